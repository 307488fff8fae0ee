//! Event rate of a feed, and the length of silence that it explains.
//!
//! Measured by the source's own stamps: what is read again in a burst says nothing of the rate at
//! which it happened.

use std::time::Duration;

use record::time::{Micros, SECOND};

/// Of the typical gap, so many are still no surprise.
const GAPS: f64 = 20.0;
/// Of the longest gap of late, so many are still no surprise.
const LONGEST: f64 = 3.0;
/// What a new gap counts in the typical one.
const NEW: f64 = 0.05;
/// What is left of the longest gap after each event.
const FADES: f64 = 0.99;
/// Until two events have come.
const UNKNOWN: Duration = Duration::from_mins(10);
/// Shorter silences are never a surprise.
const SHORT: Duration = Duration::from_secs(5);

#[derive(Debug, Clone, Default)]
pub(super) struct Pace {
    last: Option<Micros>,
    /// Seconds between events, of late.
    gap: Option<f64>,
    longest: f64,
}

impl Pace {
    pub(super) fn on_stamp(&mut self, stamp: Micros) {
        let Some(last) = self.last.replace(self.last.map_or(stamp, |last| last.max(stamp))) else {
            return;
        };
        if stamp <= last {
            return;
        }
        let gap = (stamp - last) as f64 / SECOND as f64;
        self.gap = Some(self.gap.map_or(gap, |typical| typical + NEW * (gap - typical)));
        self.longest = gap.max(self.longest * FADES);
    }

    /// How long a silence its own rate explains.
    pub(super) fn explains(&self) -> Duration {
        let Some(gap) = self.gap else { return UNKNOWN };
        Duration::try_from_secs_f64((GAPS * gap).max(LONGEST * self.longest))
            .unwrap_or(Duration::MAX)
            .max(SHORT)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn after(gaps: impl IntoIterator<Item = f64>) -> Pace {
        let (mut pace, mut at) = (Pace::default(), 0.0);
        pace.on_stamp(0);
        for gap in gaps {
            at += gap;
            pace.on_stamp((at * SECOND as f64) as Micros);
        }
        pace
    }

    #[test]
    fn one_event_in_two_minutes_is_given_forty() {
        assert!(after([120.0; 50]).explains() >= Duration::from_mins(39));
        assert_eq!(after([]).explains(), UNKNOWN);
        // Fifty a second: five seconds of nothing are a surprise.
        assert_eq!(after([0.02; 500]).explains(), SHORT);
    }

    #[test]
    fn a_fast_feed_forgets_the_gap_of_an_outage() {
        let gaps = [[0.02; 500].as_slice(), &[600.0], &[0.02; 1_500]].concat();
        assert_eq!(after(gaps).explains(), SHORT);
    }

    #[test]
    fn what_is_read_again_changes_no_rate() {
        let mut pace = after([60.0; 20]);
        let explains = pace.explains();
        for stamp in 0..1_200 {
            pace.on_stamp(stamp * SECOND);
        }
        assert_eq!(pace.explains(), explains);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// A feed at a steady rate, or with gaps up to a few times as long, is never cut.
        #[test]
        fn gaps_as_they_were_are_explained(gap in 0.001..600.0_f64, spread in prop::collection::vec(0.1..2.5_f64, 30..200)) {
            let gaps: Vec<f64> = spread.iter().map(|times| times * gap).collect();
            for seen in 20..gaps.len() {
                let pace = after(gaps[..seen].iter().copied());
                prop_assert!(pace.explains().as_secs_f64() >= gaps[seen]);
            }
        }
    }
}
