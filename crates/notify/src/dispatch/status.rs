//! State of the system as subscribers with a heartbeat are notified of it: degraded conditions,
//! silence, and the facts of the warehouse that decide about deliveries.
//!
//! Durations are of a monotonic clock, so that a step of the wall clock notifies nobody.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use record::{Alert, Micros};

use crate::message::Notice;

/// A condition is reported once it has lasted this long.
const DEGRADED_AFTER: Duration = Duration::from_secs(60);
/// Its end is reported once there has been no condition for this long.
const RECOVERED_AFTER: Duration = Duration::from_secs(600);
/// A source that is being read advances more often than this.
const STALLED_AFTER: Duration = Duration::from_secs(15 * 60);

/// The last answer of the warehouse.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Facts {
    /// Topic and region of each series.
    pub series: Vec<(String, String)>,
    /// The least share of posts seen over the feeds, 0 to 1.
    pub seen: Option<f64>,
    /// The newest event counted, and the uptime since which it has been the same.
    pub latest: Option<(Micros, Duration)>,
    /// Snoozed alerts that have outgrown their snooze, by id and number of responses.
    pub growths: BTreeMap<(String, usize), Growth>,
}

/// Numbers of a later window, in which a snoozed alert has grown.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Growth {
    pub window_end: Micros,
    pub observed: u32,
    pub expected: Option<f64>,
    pub upperbound: Option<f64>,
}

impl Growth {
    pub(super) fn applied_to(&self, alert: &Alert) -> Alert {
        Alert {
            observed: self.observed,
            posts: alert.posts.max(self.observed),
            expected: self.expected.unwrap_or(alert.expected),
            upperbound: self.upperbound.unwrap_or(alert.upperbound),
            window_end: self.window_end,
            ..alert.clone()
        }
    }
}

/// What is known of the system now.
#[derive(Debug, Default)]
pub(super) struct Status {
    /// None until the warehouse was asked.
    pub(super) facts: Option<Arc<Facts>>,
    uptime: Duration,
    /// Since when each condition holds.
    since: BTreeMap<String, Duration>,
    /// Conditions that have lasted long enough, with their details.
    pub(super) lasting: BTreeMap<String, String>,
    /// Since when there is no condition.
    clear: Option<Duration>,
}

impl Status {
    pub(super) fn observe(&mut self, conditions: &BTreeMap<String, String>, uptime: Duration) {
        self.uptime = uptime;
        self.since.retain(|name, _| conditions.contains_key(name));
        self.lasting.clear();
        for (name, detail) in conditions {
            let since = *self.since.entry(name.clone()).or_insert(uptime);
            if uptime.saturating_sub(since) >= DEGRADED_AFTER {
                self.lasting.insert(name.clone(), detail.clone());
            }
        }
        self.clear = if conditions.is_empty() { self.clear.or(Some(uptime)) } else { None };
    }

    /// What is to be reported to a subscriber who was notified of the conditions `reported`.
    pub(super) fn news(&self, reported: &BTreeSet<String>) -> Option<Notice> {
        if self.lasting.keys().any(|name| !reported.contains(name)) {
            return Some(Notice::Degraded(self.lasting.clone().into_iter().collect()));
        }
        let is_over =
            self.clear.is_some_and(|since| self.uptime.saturating_sub(since) >= RECOVERED_AFTER);
        (is_over && !reported.is_empty()).then_some(Notice::Recovered)
    }

    /// Whether nothing new is counted; `after`: how old the newest event may be. None where that
    /// isn't known yet, or where old events are being read.
    pub(super) fn is_silent(&self, after: Micros, now: Micros) -> Option<bool> {
        let (latest, since) = self.facts.as_ref()?.latest?;
        if now - latest <= after {
            return Some(false);
        }
        let enough = Duration::from_micros(u64::try_from(after).unwrap_or(0)).min(STALLED_AFTER);
        (self.uptime.saturating_sub(since) >= enough).then_some(true)
    }

    pub(super) fn growth(&self, alert: &str, responses: usize) -> Option<&Growth> {
        let facts = self.facts.as_ref().filter(|facts| !facts.growths.is_empty())?;
        facts.growths.get(&(alert.to_owned(), responses))
    }
}

#[cfg(test)]
mod tests {
    use record::time::{DAY, HOUR};

    use super::*;

    #[test]
    fn a_back_fill_is_not_silent_and_a_stopped_feed_is() {
        let now = 100 * DAY;
        let is_silent = |latest: Option<Micros>, stalled_minutes: u64, after, now| {
            let latest = latest.map(|latest| (latest, Duration::ZERO));
            let facts = Some(Arc::new(Facts { latest, ..Facts::default() }));
            let uptime = Duration::from_secs(60 * stalled_minutes);
            Status { facts, uptime, ..Status::default() }.is_silent(after, now)
        };
        assert_eq!(is_silent(None, 600, 2 * HOUR, now), None, "nothing was ever counted");
        assert_eq!(is_silent(Some(now - HOUR), 30, 2 * HOUR, now), Some(false));
        assert_eq!(is_silent(Some(now - 30 * DAY), 1, 2 * HOUR, now), None, "it advances");
        assert_eq!(is_silent(Some(now - 3 * HOUR), 14, 2 * HOUR, now), None, "after a restart");
        assert_eq!(is_silent(Some(now - 3 * HOUR), 15, 2 * HOUR, now), Some(true));
        assert_eq!(is_silent(Some(now - 2 * HOUR), 1, HOUR / 60, now), Some(true), "as configured");
        // A clock that jumps two days ahead for a moment is no silence.
        assert_eq!(is_silent(Some(now), 0, 2 * HOUR, now + 2 * DAY), None);
    }

    #[test]
    fn a_condition_is_notified_once_it_lasts_and_its_end_once() {
        let mut status = Status::default();
        let at = Duration::from_secs;
        let lag = BTreeMap::from([("lag".to_owned(), "3 h".to_owned())]);
        let none = BTreeSet::new();
        status.observe(&lag, at(0));
        assert_eq!(status.news(&none), None, "it may pass");
        status.observe(&lag, at(60));
        let degraded = Notice::Degraded(vec![("lag".to_owned(), "3 h".to_owned())]);
        assert_eq!(status.news(&none), Some(degraded));
        let reported = BTreeSet::from(["lag".to_owned()]);
        assert_eq!(status.news(&reported), None, "once");
        status.observe(&BTreeMap::new(), at(100));
        assert_eq!(status.news(&reported), None);
        status.observe(&BTreeMap::new(), at(700));
        assert_eq!(status.news(&reported), Some(Notice::Recovered));
        assert_eq!(status.news(&none), None);
    }
}
