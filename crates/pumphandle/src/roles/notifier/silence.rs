//! Whether the system is silent: nothing new is counted. A back-fill counts old events, and is not
//! silent.

use std::time::Duration;

use record::Micros;

/// What is being read advances more often than this.
const STALLED_AFTER: Duration = Duration::from_secs(15 * 60);

/// `latest`: the newest event counted; `stalled`: for how long, by a monotonic clock, it has been
/// the same; `after`: how old it may be.
/// Nothing where it can't be known yet, or where old events are being read.
pub(super) fn is_silent(
    latest: Option<Micros>,
    stalled: Duration,
    after: Micros,
    now: Micros,
) -> Option<bool> {
    let latest = latest?;
    if now - latest <= after {
        return Some(false);
    }
    let enough = Duration::from_micros(u64::try_from(after).unwrap_or(0)).min(STALLED_AFTER);
    (stalled >= enough).then_some(true)
}

#[cfg(test)]
mod tests {
    use record::time::{DAY, HOUR};

    use super::*;

    #[test]
    fn a_back_fill_is_not_silent_and_a_stopped_feed_is() {
        let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
        let now = 100 * DAY;
        assert_eq!(is_silent(None, minutes(600), 2 * HOUR, now), None, "nothing was ever counted");
        assert_eq!(is_silent(Some(now - HOUR), minutes(30), 2 * HOUR, now), Some(false));
        assert_eq!(is_silent(Some(now - 30 * DAY), minutes(1), 2 * HOUR, now), None, "it advances");
        assert_eq!(
            is_silent(Some(now - 3 * HOUR), minutes(14), 2 * HOUR, now),
            None,
            "a restart says nothing"
        );
        assert_eq!(is_silent(Some(now - 3 * HOUR), minutes(15), 2 * HOUR, now), Some(true));
        assert_eq!(
            is_silent(Some(now - 2 * HOUR), minutes(1), HOUR / 60, now),
            Some(true),
            "as asked for"
        );
        // A clock that jumps two days ahead for a moment makes no silence.
        assert_eq!(is_silent(Some(now), Duration::ZERO, 2 * HOUR, now + 2 * DAY), None);
    }
}
