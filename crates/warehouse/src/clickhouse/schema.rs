//! Schema migrations of ClickHouse, statement by statement, since it has no transactions for them.
//!
//! So every statement can be run again, and a migration is noted, with its checksum, after its last
//! one; what a kill cut short is run again. A database of a newer program, or one whose migrations
//! differ from ours, is refused. What follows from settings rather than from numbers (retention of
//! rows, as whom the dictionary reads) is set at the end.

use std::borrow::Cow;
use std::time::Duration;

use clickhouse::Row;
use clickhouse::error::Error;
use serde::{Deserialize, Serialize};

use super::{ClickHouse, ClickHouseSettings, land};
use crate::error::WarehouseError;

/// A migration's number is its place here, from 1. One that has left the house is never changed.
const MIGRATIONS: [&str; 5] = [
    include_str!("migrations/0001_tables.sql"),
    include_str!("migrations/0002_views.sql"),
    include_str!("migrations/0003_grounds.sql"),
    include_str!("migrations/0004_alert_loop.sql"),
    include_str!("migrations/0005_sampled.sql"),
];

const APPLIED: &str = "
CREATE TABLE IF NOT EXISTS schema_migrations (number UInt32, checksum String, applied_at \
DateTime('UTC') DEFAULT now())
ENGINE = ReplacingMergeTree ORDER BY number
COMMENT 'Migrations that were applied whole.'";

/// Tables with a retention, and the column from which it counts.
const CELLS: [(&str, &str); 6] = [
    ("counts", "pane_start"),
    ("counts_history", "pane_start"),
    ("tag_counts", "pane_start"),
    ("denominators", "pane_start"),
    ("coverage", "pane_start"),
    ("window_counts", "window_end"),
];

/// A region as analysts see it.
#[derive(Debug, Clone, PartialEq, Row, Serialize)]
pub struct RegionRow {
    pub region: String,
    pub name: String,
    pub parent: String,
    pub level: i8,
    pub population: u64,
    pub latitude: f64,
    pub longitude: f64,
}

#[derive(Debug, Row, Deserialize)]
struct Applied {
    number: u32,
    checksum: String,
}

pub(super) fn known() -> u32 {
    MIGRATIONS.len() as u32
}

impl ClickHouse {
    /// Makes the databases, or brings them up to date; run again it changes nothing.
    pub fn migrate(&self) -> Result<(), WarehouseError> {
        // The only statement that the database needn't exist for.
        let client = self.client().with_database("system");
        let create =
            format!("CREATE DATABASE IF NOT EXISTS {}", identifier(&self.settings.database));
        self.run("make", async move { client.query_raw(&create).execute().await })?;
        self.statement(APPLIED.to_owned())?;
        let found = self.verify()?;
        for (number, sql) in numbered().filter(|(number, _)| *number > found) {
            for statement in statements(&self.filled_in(sql)) {
                self.statement(statement)?;
            }
            self.statement(format!(
                "INSERT INTO schema_migrations (number, checksum) VALUES ({number}, '{}')",
                checksum(sql)
            ))?;
        }
        let client = self.client();
        self.run("migrate", async move {
            client.clear_cached_metadata().await;
            Ok(())
        })?;
        self.keep()?;
        self.statement(dictionary(&self.settings))
    }

    /// For every other role: the schema must be exactly ours.
    pub fn check_schema(&self) -> Result<(), WarehouseError> {
        let (found, known) = (self.verify()?, known());
        if found < known {
            return Err(WarehouseError::OlderSchema { place: self.place.clone(), found, known });
        }
        Ok(())
    }

    /// Writes regions for the dictionary `region_names`; of two of one code the one written last
    /// holds.
    pub fn write_regions(&self, rows: Vec<RegionRow>) -> Result<(), WarehouseError> {
        let client = self.client();
        self.run("write to", async move { land::insert(&client, "regions", &rows).await })
    }

    /// The number of the last migration applied, if those applied are ours.
    fn verify(&self) -> Result<u32, WarehouseError> {
        let client = self.client();
        let applied: Vec<Applied> = self.run("read the schema of", async move {
            client
                .query("SELECT ?fields FROM schema_migrations FINAL ORDER BY number")
                .fetch_all()
                .await
        })?;
        let place = || self.place.clone();
        let found = applied.last().map_or(0, |applied| applied.number);
        if found > known() {
            return Err(WarehouseError::NewerSchema { place: place(), found, known: known() });
        }
        for ((number, sql), at) in numbered().take(found as usize).zip(0..) {
            if applied
                .get(at)
                .is_none_or(|applied| applied.number != number || applied.checksum != checksum(sql))
            {
                return Err(WarehouseError::ChangedMigration { place: place(), number });
            }
        }
        Ok(found)
    }

    /// Sets the retention of rows, only where it has changed: the server looks through all parts
    /// each time.
    fn keep(&self) -> Result<(), WarehouseError> {
        let wanted = self.ttls();
        // Of earlier releases the number of days is under another key, and never equals this.
        let noted = format!("{wanted:?}");
        let client = self.client();
        let found: Option<String> = self.run("read the schema of", async move {
            client.query("SELECT value FROM meta FINAL WHERE key = 'kept'").fetch_optional().await
        })?;
        if found.as_deref() == Some(&noted) {
            return Ok(());
        }
        let client = self.client();
        let with_ttl: Vec<String> = self.run("read the schema of", async move {
            let sql = "SELECT name FROM system.tables WHERE database = currentDatabase() AND \
                engine_full LIKE '% TTL %'";
            client.query(sql).fetch_all().await
        })?;
        for (table, ttl) in wanted {
            match ttl {
                Some(ttl) => self.statement(format!("ALTER TABLE {table} MODIFY TTL {ttl}"))?,
                None if with_ttl.iter().any(|name| name == table) => {
                    self.statement(format!("ALTER TABLE {table} REMOVE TTL"))?
                }
                None => {}
            }
        }
        // Of two versions the higher holds: the clock of the server is as good as any.
        self.statement(format!(
            "INSERT INTO meta (key, value, version) SELECT 'kept', {}, \
                toUInt64(toUnixTimestamp64Micro(now64(6)))",
            literal(&noted)
        ))
    }

    /// When rows of a table go; never where there is none.
    fn ttls(&self) -> Vec<(&'static str, Option<String>)> {
        let cells = self.settings.cells_retention.map(days);
        let verdicts = self.settings.verdicts_retention.map(days);
        let after = |column: &str, days: u64| format!("{column} + toIntervalDay({days})");
        let mut ttls: Vec<(&str, Option<String>)> = CELLS
            .into_iter()
            .map(|(table, column)| (table, cells.map(|days| after(column, days))))
            .collect();
        for (table, ttl) in &mut ttls {
            if let Some(days) = verdicts.filter(|_| *table == "window_counts") {
                // Accounts of whole UTC days and weeks stay: no sum of panes gives them again.
                let within = format!(
                    "{} DELETE WHERE window_end != toStartOfDay(window_end)",
                    after("window_end", days)
                );
                *ttl = Some(ttl.take().map_or(within.clone(), |all| format!("{all}, {within}")));
            }
        }
        ttls.push(("verdicts", verdicts.map(|days| after("window_end", days))));
        ttls
    }

    pub(super) fn statement(&self, sql: String) -> Result<(), WarehouseError> {
        let client = self.client();
        self.run("migrate", async move { execute(&client, &sql).await })
    }

    fn filled_in(&self, sql: &str) -> String {
        sql.replace("{database}", &identifier(&self.settings.database))
            .replace("{public}", &identifier(&self.settings.public_database))
    }
}

async fn execute(client: &clickhouse::Client, sql: &str) -> Result<(), Error> {
    client.query_raw(sql).execute().await
}

/// It reads as the user that migrates, in the server itself, and so holds that user's password: it
/// is made again each time.
fn dictionary(settings: &ClickHouseSettings) -> String {
    let query =
        "SELECT region, name, parent, level, population, latitude, longitude FROM regions FINAL";
    format!(
        "CREATE OR REPLACE DICTIONARY region_names (
             region String, name String DEFAULT '', parent String DEFAULT '', level Int8 DEFAULT \
             0, population UInt64 DEFAULT 0,
             latitude Float64 DEFAULT 0, longitude Float64 DEFAULT 0
         )
         PRIMARY KEY region
         SOURCE(CLICKHOUSE(USER {user} PASSWORD {password} DB {database} QUERY {query}))
         LAYOUT(COMPLEX_KEY_HASHED()) LIFETIME(MIN 60 MAX 120)
         COMMENT 'Regions by code: dictGet(''region_names'', ''name'', ''DE-BY'').'",
        user = literal(&settings.user),
        password = literal(&settings.password),
        database = literal(&settings.database),
        query = literal(
            &query.replace("regions", &format!("{}.regions", identifier(&settings.database)))
        ),
    )
}

fn numbered() -> impl Iterator<Item = (u32, &'static str)> {
    (1..).zip(MIGRATIONS)
}

/// Cut at each `;` that is in no string, name or comment; comments are left out.
fn statements(sql: &str) -> Vec<String> {
    let mut statements = vec![String::new()];
    let mut quote = None;
    let mut rest = sql.chars().peekable();
    while let Some(char) = rest.next() {
        match (char, quote) {
            (';', None) => statements.push(String::new()),
            ('-', None) if rest.peek() == Some(&'-') => {
                while rest.next_if(|char| *char != '\n').is_some() {}
            }
            _ => {
                match quote {
                    None if matches!(char, '\'' | '`' | '"') => quote = Some(char),
                    // A doubled quote ends a string and begins the next one, which cuts at the same
                    // places.
                    Some(open) if open == char => quote = None,
                    _ => {}
                }
                if let Some(statement) = statements.last_mut() {
                    statement.push(char);
                    if char == '\\' && quote.is_some() {
                        statement.extend(rest.next());
                    }
                }
            }
        }
    }
    statements
        .iter()
        .map(|statement| statement.trim().to_owned())
        .filter(|statement| !statement.is_empty())
        .collect()
}

fn identifier(name: &str) -> String {
    format!("`{}`", escaped(name, '`'))
}

fn literal(text: &str) -> String {
    format!("'{}'", escaped(text, '\''))
}

fn escaped(text: &str, quote: char) -> Cow<'_, str> {
    if text.contains(['\\', quote]) {
        Cow::Owned(text.replace('\\', "\\\\").replace(quote, &format!("\\{quote}")))
    } else {
        Cow::Borrowed(text)
    }
}

/// Zero would be no limit, so a part of a day is a day.
fn days(span: Duration) -> u64 {
    span.as_secs().div_ceil(86_400).max(1)
}

fn checksum(sql: &str) -> String {
    blake3::hash(sql.as_bytes()).to_hex().to_string()
}

#[cfg(test)]
mod tests {
    use super::{MIGRATIONS, statements};

    #[test]
    fn statements_are_cut_where_no_string_or_comment_holds_the_semicolon() {
        let sql = "-- one; comment\nSELECT 'a;b', `c;d`, 'it''s; so', 'a\\';' -- more; of \
            it\n;\n;SELECT 2; ";
        assert_eq!(statements(sql), ["SELECT 'a;b', `c;d`, 'it''s; so', 'a\\';'", "SELECT 2"]);
    }

    /// A migration that was cut short is run again.
    #[test]
    fn every_statement_can_be_run_again() {
        for sql in MIGRATIONS {
            for statement in statements(sql) {
                let again = [
                    "CREATE TABLE IF NOT EXISTS ",
                    "CREATE DATABASE IF NOT EXISTS ",
                    "CREATE OR REPLACE VIEW ",
                ];
                let adds = statement.matches("ADD COLUMN").count();
                let only_adds = statement.starts_with("ALTER TABLE ")
                    && adds > 0
                    && statement.matches("ADD COLUMN IF NOT EXISTS ").count() == adds;
                assert!(
                    only_adds || again.iter().any(|beginning| statement.starts_with(beginning)),
                    "{statement}"
                );
            }
        }
    }
}
