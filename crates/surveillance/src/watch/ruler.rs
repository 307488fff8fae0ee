//! Ruler: what a series is compared with while it is in alarm.
//!
//! A rise that lasts must not become its own baseline: as long as final windows are in alarm, and
//! for seven days after, baselines end before the first of them. After eight weeks the level is
//! taken as new. A part of each series, read by the default judge. Knows no counts.

use record::Micros;
use record::time::{DAY, WEEK};
use serde::{Deserialize, Serialize};

/// Windows in alarm that are further apart are two runs.
const GAP: Micros = WEEK;
/// A run that began earlier has become the usual.
const LONGEST: Micros = 8 * WEEK;

/// The newest two runs of final windows in alarm: the ends of the first and the last of each.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Ruler(Vec<(Micros, Micros)>);

impl Ruler {
    /// Adds a final window in alarm; they come in order.
    pub(super) fn add(&mut self, end: Micros) {
        match self.0.last_mut() {
            Some((_, last)) if end - *last < GAP => *last = end,
            _ => self.0.push((end, end)),
        }
        if self.0.len() > 2 {
            self.0.remove(0);
        }
    }

    /// By how many days, as a span, the baseline of a window is older than it would be, if final
    /// windows up to `known` count; so a window has one baseline at every stage.
    pub(super) fn held(&self, end: Micros, known: Micros) -> Micros {
        let run = self.0.iter().rev().find(|(first, _)| *first <= known);
        match run {
            Some((first, last)) if known - last < GAP && known - first < LONGEST => {
                (end - first + DAY - 1).div_euclid(DAY) * DAY
            }
            _ => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn baselines_end_before_a_run_that_lasts() {
        let mut ruler = Ruler::default();
        assert_eq!(ruler.held(100 * DAY, 98 * DAY), 0);
        for day in 90..100 {
            ruler.add(day * DAY);
        }
        // Before any of it is known, while it lasts, a week after it, and once it is the usual.
        assert_eq!(ruler.held(91 * DAY, 89 * DAY), 0);
        assert_eq!(ruler.held(96 * DAY, 94 * DAY), 6 * DAY);
        assert_eq!(ruler.held(105 * DAY, 103 * DAY), 15 * DAY);
        assert_eq!(ruler.held(108 * DAY, 106 * DAY), 0);
        for day in 100..200 {
            ruler.add(day * DAY);
        }
        assert_eq!(ruler.held(147 * DAY, 145 * DAY), 57 * DAY);
        assert_eq!(ruler.held(149 * DAY, 147 * DAY), 0);
    }
}
