//! Public tables and views: their columns for `export`, and the form of instants. The same in every
//! implementation.

use record::time::{Micros, SECOND};

/// A table or view by its stable name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Table {
    pub name: &'static str,
    /// The column by which `from` and `to` choose rows.
    pub time: &'static str,
    /// How many of its units a second has: 1 for unix seconds, a million for the columns named
    /// `…_us`.
    pub units_per_second: i64,
    /// Columns with text that strangers or people typed: in CSV guarded against being run as a
    /// spreadsheet formula.
    pub guarded: &'static [&'static str],
    /// Columns that hold JSON: text in CSV, nested in NDJSON.
    pub json: &'static [&'static str],
}

const fn table(name: &'static str, time: &'static str) -> Table {
    Table { name, time, units_per_second: 1, guarded: &[], json: &[] }
}

pub const TABLES: [Table; 15] = [
    table("counts", "pane_start"),
    Table { guarded: &["tag"], ..table("tag_counts", "pane_start") },
    table("denominators", "pane_start"),
    table("coverage", "pane_start"),
    table("window_counts", "window_end"),
    table("verdicts", "window_end"),
    Table {
        guarded: &["topic_name"],
        json: &["regions", "explanation"],
        ..table("alerts", "opened_at")
    },
    Table {
        units_per_second: 1_000_000,
        guarded: &["actor", "note", "assignee"],
        ..table("alert_events", "at_us")
    },
    table("public_counts", "day"),
    table("counts_history", "pane_start"),
    Table { guarded: &["series", "unit", "source"], ..table("reference", "date") },
    table("v_counts", "pane_start"),
    table("v_daily", "day"),
    table("v_weekly", "week"),
    Table {
        guarded: &["topic_name", "handled_by", "note", "assignee"],
        json: &["regions", "explanation"],
        ..table("v_alerts", "opened_at")
    },
];

impl Table {
    pub fn named(name: &str) -> Option<&'static Table> {
        TABLES.iter().find(|table| table.name == name)
    }
}

/// Unix seconds, downwards.
pub(crate) fn seconds(instant: Micros) -> i64 {
    instant.div_euclid(SECOND)
}

pub(crate) fn micros(seconds: i64) -> Micros {
    seconds.saturating_mul(SECOND)
}

/// The least whole number of units that is not before the instant.
pub(crate) fn units_from(instant: Micros, units_per_second: i64) -> i64 {
    let length = SECOND / units_per_second;
    instant.div_euclid(length) + i64::from(instant.rem_euclid(length) != 0)
}
