//! Chart: a CUSUM over the days of a series, for a rise that no single day shows.
//!
//! A part of each series, advanced by the default judge with one day at a time; the formula is in
//! [`crate::forecast::slow`]. Knows no counts and not which days are left out.

use record::Micros;
use record::time::DAY;
use serde::{Deserialize, Serialize};

use crate::forecast::slow::Day;

/// A series' chart after its last final day.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Chart {
    value: f64,
    /// The end of the day after which it has been above zero.
    since: Micros,
    /// The end of the last day in it.
    until: Micros,
}

/// The chart at the day that is judged.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct ChartedDay {
    pub(super) before: f64,
    pub(super) value: f64,
    /// The largest count that day with which it is not in alarm.
    pub(super) bound: f64,
    pub(super) since: Micros,
}

impl Chart {
    /// Moves on to the day that ends at `end`; returns whether that day is after the last one.
    pub(super) fn advance(&mut self, end: Micros) -> bool {
        let is_new = end > self.until;
        self.until = self.until.max(end);
        is_new
    }

    /// Adds the day that was moved on to. Above `limit` the chart is in alarm and starts again.
    pub(super) fn add(&mut self, day: &Day, limit: f64) -> ChartedDay {
        let before = self.value;
        if before == 0.0 {
            self.since = self.until - DAY;
        }
        let value = day.after(before);
        self.value = if value > limit { 0.0 } else { value };
        ChartedDay { before, value, bound: day.bound(before, limit), since: self.since }
    }
}
