//! Monitor: looks every few seconds at what no role can see of itself, and reports it to
//! [`Health`].
//!
//! Reads how far streams have come and how feeds fare; knows no role.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use journal::{Journal, Position, Stream};
use record::Micros;
use record::time::SECOND;
use web::Metrics;

use super::health::{Health, Severity, condition};
use super::notifier::{self, Equipment};
use super::sources::{LAG_MAX, SourceStates};
use crate::runtime::reader::disk_is_full;
use crate::runtime::{Context, Progress, Role, Seen};
use crate::tokens;

const LOOK_EVERY: Duration = Duration::from_secs(2);
const DELIVERIES_EVERY: Duration = Duration::from_millis(200);
/// Ticks without a frame, or frames that are not applied, for so long: a restart may help.
const STALLED_AFTER: Duration = Duration::from_secs(120);
/// An outage of a feed is reported from this length on.
const OUTAGE_MIN: Micros = 30 * SECOND;
/// How far the watermark may be behind the clock, and for how long it may come no nearer.
const BEHIND_MAX: Duration = Duration::from_secs(15 * 60);
const BEHIND_HELD: Duration = Duration::from_secs(60);

/// One of a look's numbers.
pub(crate) struct Monitor<'a> {
    journal: &'a dyn Journal,
    health: &'a Health,
    metrics: &'a Metrics,
    seen: &'a Seen,
    sources: &'a SourceStates,
    silence_after: Micros,
    /// The watermark, and when it was first seen so.
    behind: Option<(Micros, Instant)>,
    began: Instant,
    frames: Stalled,
    applied: Stalled,
}

impl Role for Monitor<'_> {
    fn turn(&mut self, context: &Context) -> anyhow::Result<Progress> {
        // A journal that doesn't answer is reported by its callers.
        if let Ok(tallies) = self.journal.extent(Stream::Tallies, 0) {
            self.look(context.now, tallies.end);
        }
        self.look_at_sources();
        self.look_at_watermark(context.now);
        let full =
            disk_is_full().then(|| "no room is left on the disk of the data folder".to_owned());
        self.health.set(Severity::Degraded, condition::DISK_FULL, "", full);
        Ok(Progress::Idle(LOOK_EVERY))
    }
}

/// Reports deliveries that fail, and shows the conditions of the process in metrics.
pub(crate) struct DeliveryMonitor<'a> {
    pub(crate) health: &'a Health,
    pub(crate) metrics: &'a Metrics,
    pub(crate) equipment: Option<&'a Equipment>,
    /// Subscriptions that are reported now.
    pub(crate) failing: BTreeSet<String>,
    /// When the process counts as settled; none once it does.
    pub(crate) settled_at: Option<Instant>,
}

impl Role for DeliveryMonitor<'_> {
    fn turn(&mut self, context: &Context) -> anyhow::Result<Progress> {
        if let Some(equipment) = self.equipment {
            self.report(equipment.deliveries.troubles());
            if self.settled_at.take_if(|at| context.now >= *at).is_some() {
                notifier::outage::forget(equipment);
            }
        }
        self.health.show(self.metrics);
        Ok(Progress::Idle(DELIVERIES_EVERY))
    }

    fn stop(&mut self, _context: &Context) -> anyhow::Result<()> {
        self.health.show(self.metrics);
        Ok(())
    }
}

impl DeliveryMonitor<'_> {
    fn report(&mut self, troubles: BTreeMap<String, String>) {
        for ended in self.failing.iter().filter(|name| !troubles.contains_key(*name)) {
            self.health.clear(condition::MAIL_REFUSED, ended);
        }
        for subscription in troubles.keys() {
            // The answer of a server names the recipient: it is in the log and on the page of
            // subscriptions.
            self.health.degraded(
                condition::MAIL_REFUSED,
                subscription,
                "messages of this subscription are refused or fail",
            );
        }
        self.failing = troubles.into_keys().collect();
    }
}

/// Reports a token file that has been damaged while the page is served.
pub(crate) struct TokenMonitor<'a> {
    pub(crate) health: &'a Health,
    /// The token file.
    pub(crate) file: PathBuf,
}

impl Role for TokenMonitor<'_> {
    fn turn(&mut self, _context: &Context) -> anyhow::Result<Progress> {
        let damage = tokens::read(&self.file).err();
        let detail = damage.map(|_| "the token file is damaged: no token is accepted".to_owned());
        self.health.set(Severity::Degraded, condition::TOKEN_FILE, "", detail);
        Ok(Progress::Idle(LOOK_EVERY))
    }
}

impl<'a> Monitor<'a> {
    pub(crate) fn new(
        journal: &'a dyn Journal,
        health: &'a Health,
        metrics: &'a Metrics,
        seen: &'a Seen,
        sources: &'a SourceStates,
        silence_after: Micros,
    ) -> Monitor<'a> {
        let now = Instant::now();
        Monitor {
            journal,
            health,
            metrics,
            seen,
            sources,
            silence_after,
            behind: None,
            began: now,
            frames: Stalled::new(now),
            applied: Stalled::new(now),
        }
    }

    /// Counting is behind where the watermark is far behind the clock and comes no nearer: a
    /// back-fill does.
    fn look_at_watermark(&mut self, now: Instant) {
        let wall = super::now();
        let watermark = Micros::try_from(self.seen.watermark.load(Ordering::Relaxed)).unwrap_or(0);
        let ticks = self.metrics.counter("pumphandle_ticks_total", "Ticks written.", &[]).get();
        let is_late = match watermark {
            0 => ticks > 0 && now.duration_since(self.began) >= BEHIND_MAX,
            watermark => wall - watermark > BEHIND_MAX.as_micros() as Micros,
        };
        let (distance, since) = *self.behind.get_or_insert((wall - watermark, now));
        if !is_late || wall - watermark < distance {
            self.behind = is_late.then_some((wall - watermark, now));
            self.health.set(Severity::Degraded, condition::LAG, "", None);
            return;
        }
        if now.duration_since(since) >= BEHIND_HELD {
            let detail = match watermark {
                0 => "nothing can be closed yet: a feed has claimed nothing".to_owned(),
                watermark => format!(
                    "counting is {} min behind the clock",
                    (wall - watermark) / (60 * SECOND)
                ),
            };
            self.health.set(Severity::Degraded, condition::LAG, "", Some(detail));
        }
    }

    /// A feed that fails, is silent or lags is no reason to restart: the others go on.
    fn look_at_sources(&self) {
        let clock = super::clock();
        let now = clock.now();
        for (feed, state) in self.sources.all() {
            let outage = state
                .outage
                .as_ref()
                .map(|(since, _)| now.monotonic - since)
                .filter(|span| *span >= OUTAGE_MIN);
            // A followed file says nothing of its own life: it is silent after as long as the whole
            // system would be.
            let is_quiet = |at: &Micros| {
                !state.live && !state.ended && now.monotonic - at >= self.silence_after
            };
            let silent = outage.or(state.event_at.filter(is_quiet).map(|at| now.monotonic - at));
            let silent = silent.map(|span| format!("no events for {} s", span / SECOND));
            self.health.set(Severity::Degraded, condition::FEED_SILENT, &feed, silent);
            let failed =
                state.failed.as_ref().map(|_| "it is read no more, or not whole".to_owned());
            self.health.set(Severity::Degraded, condition::FEED_FAILED, &feed, failed);
            let lag =
                state.lag.filter(|lag| state.live && lag.abs() > LAG_MAX).map(|lag| {
                    match lag > 0 {
                        true => format!("events are {} s behind the clock", lag / SECOND),
                        false => format!("events are {} s ahead of the clock", -lag / SECOND),
                    }
                });
            self.health.set(Severity::Degraded, condition::LAG, &feed, lag);
        }
        let stepped = (!clock.steady()).then(|| {
            "the machine's clock was set: nothing is claimed until it is steady for a minute"
                .to_owned()
        });
        self.health.set(Severity::Degraded, condition::CLOCK, "", stepped);
    }

    fn look(&mut self, now: Instant, tallies: Position) {
        let ticks = self.metrics.counter("pumphandle_ticks_total", "Ticks written.", &[]).get();
        let stalled = self
            .frames
            .look(now, ticks, tallies)
            .map(|span| format!("ticks are written, but no frame for {} s", span.as_secs()));
        self.health.set(Severity::Failing, condition::NO_FRAMES, "tally", stalled);
        let watched = self.seen.watched.load(Ordering::Relaxed);
        let stalled = self
            .applied
            .look(now, tallies, watched)
            .map(|span| format!("frames are written, but none applied for {} s", span.as_secs()));
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
