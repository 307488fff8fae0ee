//! Monitor: looks every few seconds at what no role can see of itself, and reports it to [`Health`].
//!
//! Reads how far streams have come and how feeds fare; knows no role.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use journal::{Journal, Position, Stream};
use record::time::SECOND;
use web::Metrics;

use super::health::{Health, Severity, condition};
use super::sources::{LAG_MAX, SourceStates};
use crate::drive::{Seen, disk_is_full};

const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Ticks without a frame, or frames that are not applied, for so long: a restart may help.
const STALLED_AFTER: Duration = Duration::from_secs(120);

/// One of a look's numbers.
pub(crate) struct Monitor<'a> {
    journal: &'a dyn Journal,
    health: &'a Health,
    metrics: &'a Metrics,
    seen: &'a Seen,
    sources: &'a SourceStates,
    next_look: Instant,
    frames: Stalled,
    applied: Stalled,
}

/// Reports subscriptions that a channel or a recipient keeps from being notified; `known` are those of the last look.
pub(crate) fn report_troubles(health: &Health, known: &mut BTreeSet<String>, troubles: BTreeMap<String, String>) {
    for ended in known.iter().filter(|subscription| !troubles.contains_key(*subscription)) {
        health.clear(condition::MAIL_REFUSED, ended);
    }
    for subscription in troubles.keys() {
        // What a server answers names the recipient: that stands in the log and on the page of subscriptions.
        health.degraded(condition::MAIL_REFUSED, subscription, "messages of this subscription are refused or fail");
    }
    *known = troubles.into_keys().collect();
}

impl<'a> Monitor<'a> {
    pub(crate) fn new(
        journal: &'a dyn Journal,
        health: &'a Health,
        metrics: &'a Metrics,
        seen: &'a Seen,
        sources: &'a SourceStates,
    ) -> Monitor<'a> {
        let now = Instant::now();
        Monitor { journal, health, metrics, seen, sources, next_look: now, frames: Stalled::new(now), applied: Stalled::new(now) }
    }

    /// Looks, if it is time.
    pub(crate) fn turn(&mut self, now: Instant) {
        if now < self.next_look {
            return;
        }
        self.next_look = now + LOOK_EVERY;
        // A journal that doesn't answer is its callers' to report.
        if let Ok(tallies) = self.journal.extent(Stream::Tallies, 0) {
            self.look(now, tallies.end);
        }
        self.look_at_sources();
        let full = disk_is_full().then(|| "no room is left on the disk of the data folder".to_owned());
        self.health.set(Severity::Degraded, condition::DISK_FULL, "", full);
        self.health.show(self.metrics);
    }

    /// A feed that fails, is silent or lags is no reason to restart: the others go on.
    fn look_at_sources(&self) {
        let clock = super::clock();
        let now = clock.now();
        for (feed, state) in self.sources.all() {
            let silent = state.outage.as_ref().map(|(since, _)| format!("no events for {} s", (now.monotonic - since) / SECOND));
            self.health.set(Severity::Degraded, condition::FEED_SILENT, &feed, silent);
            let failed = state.failed.as_ref().map(|_| "it is read no more, or not whole".to_owned());
            self.health.set(Severity::Degraded, condition::FEED_FAILED, &feed, failed);
            let lag = state.lag.filter(|lag| state.live && lag.abs() > LAG_MAX).map(|lag| match lag > 0 {
                true => format!("events are {} s behind the clock", lag / SECOND),
                false => format!("events are {} s ahead of the clock", -lag / SECOND),
            });
            self.health.set(Severity::Degraded, condition::LAG, &feed, lag);
        }
        let stepped =
            (!clock.steady()).then(|| "the machine's clock was set: nothing is claimed until it is steady for a minute".to_owned());
        self.health.set(Severity::Degraded, condition::CLOCK, "", stepped);
    }

    fn look(&mut self, now: Instant, tallies: Position) {
        let ticks = self.metrics.counter("pumphandle_ticks_total", "Ticks written.", &[]).get();
        let stalled = self.frames.look(now, ticks, tallies).map(|span| format!("ticks are written, but no frame for {} s", span.as_secs()));
        self.health.set(Severity::Failing, condition::NO_FRAMES, "tally", stalled);
        let watched = self.seen.watched.load(Ordering::Relaxed);
        let stalled =
            self.applied.look(now, tallies, watched).map(|span| format!("frames are written, but none applied for {} s", span.as_secs()));
        self.health.set(Severity::Failing, condition::NO_FRAMES, "watch", stalled);
    }
}

/// Whether something goes on without what should follow it.
struct Stalled {
    /// What it had come to when the other last moved, and when that was.
    cause: u64,
    effect: u64,
    moved: Instant,
}

impl Stalled {
    fn new(now: Instant) -> Stalled {
        Stalled { cause: 0, effect: 0, moved: now }
    }

    /// For how long the effect has not moved although the cause has.
    fn look(&mut self, now: Instant, cause: u64, effect: u64) -> Option<Duration> {
        if effect != self.effect || cause == self.cause {
            *self = Stalled { cause, effect, moved: now };
        }
        let span = now - self.moved;
        (span >= STALLED_AFTER).then_some(span)
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::Stalled;

    #[test]
    fn frames_that_stop_under_ticks_are_reported_and_come_back() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut stalled = Stalled::new(start);
        assert_eq!(stalled.look(at(1), 10, 5), None);
        // Without ticks nothing is expected, however long.
        assert_eq!(stalled.look(at(1_000), 10, 5), None);
        assert_eq!(stalled.look(at(1_010), 11, 5), None);
        assert_eq!(stalled.look(at(1_119), 60, 5), None);
        assert_eq!(stalled.look(at(1_120), 61, 5), Some(Duration::from_secs(120)));
        assert_eq!(stalled.look(at(1_130), 62, 6), None);
    }
}
