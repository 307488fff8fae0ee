//! Chart: the weekly look of a series, for a rise that no single window shows.
//!
//! A part of each series, advanced by the default judge where a day ends; the formula is in
//! [`crate::forecast::weeks`]. Windows of seven days that end on one day of the week don't overlap,
//! so each day of the week has a chart of its own. Knows no counts and not which windows are left
//! out.

use record::Micros;
use record::time::DAY;
use serde::{Deserialize, Serialize};

use crate::forecast::weeks;

/// A series' charts, by the day of the week, after its last final window.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Chart {
    days: [weeks::Chart; 7],
    /// The end of the last window in any of them.
    until: Micros,
}

impl Chart {
    /// The chart of the windows that end on this one's day of the week; none where this window is
    /// in it already.
    pub(super) fn at(&mut self, end: Micros) -> Option<&mut weeks::Chart> {
        if end <= self.until {
            return None;
        }
        self.until = end;
        Some(&mut self.days[end.div_euclid(DAY).rem_euclid(7) as usize])
    }
}
