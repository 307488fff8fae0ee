//! Progress of a feed, and the times at which ticks are due.
//!
//! Fed with the arrivals of a feed's lines and with the proofs that its connection is alive;
//! queried for the feed's part of a tick. What is claimed as covered is in the log before the tick:
//! the caller ensures that. Pure: the clocks are handed in. How long a feed has been silent goes by
//! the monotonic one, which can't be set. No claim lies further ahead of our clock than a stamp
//! may. Knows no streams, no partitions and no watermark.

use record::time::{MINUTE, Micros, SECOND};
use record::{FeedTick, Span};

use crate::clock::Now;
use crate::intake::STAMP_AHEAD_MAX;
use crate::message::Message;

/// How long a feed that is not proven alive is waited for before its silence is ticked.
pub const OUTAGE_HOLD: Micros = 10 * MINUTE;
/// A live feed whose arrivals lag our clock by more is reading what it missed: the clock says
/// nothing of it then.
const CATCHING_UP: Micros = 10 * SECOND;
/// Alive and without a line for that long, it has nothing left to catch up with.
const QUIET: Micros = 5 * SECOND;
/// What was sent within so short a time may still be on its way.
const IN_FLIGHT: Micros = 2 * SECOND;

/// One feed's progress.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    feed: String,
    epoch: u64,
    /// Live feeds follow the clock; files know arrivals only.
    live: bool,
    outage_hold: Micros,
    /// Where the next claim begins.
    from: Option<Micros>,
    /// Everything that arrived before is in.
    covered_to: Option<Micros>,
    /// The least arrival of a file.
    least: Option<Micros>,
    /// The monotonic clock at the last proof of life; before the first one, at the first tick.
    alive_at: Option<Micros>,
    /// The monotonic clock at the last line, and how far behind our clock that line's arrival was.
    heard_at: Option<Micros>,
    lag: Micros,
    catching_up: bool,
    /// Until where silence was ticked, while it lasts.
    silent_to: Option<Micros>,
    ended: bool,
    /// It could not be read to its end.
    failed: bool,
}

impl Progress {
    /// Of a feed that never ends on its own.
    pub fn live(feed: &str, epoch: u64, outage_hold: Micros) -> Progress {
        Progress {
            feed: feed.to_owned(),
            epoch,
            live: true,
            outage_hold,
            from: None,
            covered_to: None,
            least: None,
            alive_at: None,
            heard_at: None,
            lag: 0,
            catching_up: true,
            silent_to: None,
            ended: false,
            failed: false,
        }
    }

    /// Of a file: its arrivals are all that there is to know.
    pub fn of_file(feed: &str, epoch: u64) -> Progress {
        Progress { live: false, ..Progress::live(feed, epoch, 0) }
    }

    /// Takes note of a message that has been dealt with.
    pub fn on_message(&mut self, message: &Message, now: Now) {
        match message {
            Message::Line { outcome, .. } => {
                if let Some(arrival) = outcome.arrival() {
                    self.on_arrival(arrival, now);
                }
            }
            Message::Connected { at, resumed } => self.on_connected(*at, *resumed),
            Message::Alive { at } => self.on_alive(*at),
            Message::Gap { to, .. } => self.on_gap(*to, now),
            Message::Ended => self.on_end(),
            Message::Reject { .. }
            | Message::Ahead { .. }
            | Message::Disconnected { .. }
            | Message::Placed { .. }
            | Message::Failed { .. } => {}
        }
    }

    /// A connection is open. Its events begin at `resumed`, or else with what happens from now on.
    pub fn on_connected(&mut self, now: Now, resumed: Option<Micros>) {
        let start = self.bounded(resumed.unwrap_or(now.wall), now);
        self.from = Some(start);
        self.covered_to = self.covered_to.max(Some(start));
        self.catching_up = resumed.is_some();
        self.heard_at = Some(now.monotonic);
        self.alive_at = Some(now.monotonic);
        self.silent_to = None;
    }

    /// A line that arrived then has been dealt with.
    pub fn on_arrival(&mut self, arrival: Micros, now: Now) {
        let arrival = self.bounded(arrival, now);
        self.from.get_or_insert(arrival);
        // A file in another order than that of arrival covers what lies before its first line, too.
        if !self.live && self.least.is_none_or(|least| arrival < least) {
            self.least = Some(arrival);
            self.from = self.from.min(Some(arrival));
        }
        self.covered_to = self.covered_to.max(Some(arrival));
        self.heard_at = Some(now.monotonic);
        self.lag = (now.wall - arrival).max(0);
        self.catching_up = self.lag > CATCHING_UP;
    }

    /// The connection was proven alive: while nothing waits to be caught up with, nothing that
    /// arrived before is missing.
    pub fn on_alive(&mut self, now: Now) {
        if !self.live {
            return;
        }
        self.alive_at = self.alive_at.max(Some(now.monotonic));
        self.silent_to = None;
        if self.heard_at.is_some_and(|heard| now.monotonic - heard >= QUIET) {
            self.catching_up = false;
            // The lag of a line that came long ago says nothing of the next one.
            self.lag = self.lag.min(CATCHING_UP);
        }
        if self.catching_up {
            return;
        }
        let certain = now.wall - IN_FLIGHT.max(self.lag + SECOND);
        self.from.get_or_insert(certain);
        self.covered_to = self.covered_to.max(Some(certain));
    }

    /// What arrived before `to` can't be had: no claim reaches across.
    pub fn on_gap(&mut self, to: Micros, now: Now) {
        let to = self.bounded(to, now);
        self.from = Some(to);
        self.covered_to = self.covered_to.max(Some(to));
    }

    /// Nothing will come any more.
    pub fn on_end(&mut self) {
        self.ended = true;
    }

    /// It can't be read on: its end is never claimed, and nobody waits for it.
    pub fn on_failed(&mut self) {
        self.failed = true;
    }

    /// The watermark waits for the first claim of each feed: one that failed before its first line,
    /// and a file that has none yet, stand where others are.
    pub fn stand_at(&mut self, arrival: Micros) {
        if (self.failed || !self.live) && self.covered_to.is_none() {
            (self.from, self.covered_to) = (Some(arrival), Some(arrival));
        }
    }

    /// How far behind our clock the last line arrived.
    pub fn lag(&self) -> Micros {
        self.lag
    }

    pub fn has_ended(&self) -> bool {
        self.ended
    }

    /// The least and the greatest arrival spoken for.
    pub fn reached(&self) -> Option<Micros> {
        self.covered_to
    }

    /// The feed's part of a tick at this instant of our clock; none as long as nothing is known of
    /// it.
    ///
    /// Claims follow one another: each begins where the one before ended, or where the feed
    /// resumed.
    pub fn tick(&mut self, now: Now) -> Option<FeedTick> {
        let alive_at = *self.alive_at.get_or_insert(now.monotonic);
        let silent_for = now.monotonic - alive_at;
        if self.live && !self.ended && silent_for > self.outage_hold {
            let from = self.silent_to.or(self.covered_to).unwrap_or(now.wall - silent_for);
            let reached = from.max(now.wall);
            self.silent_to = Some(reached);
            return Some(self.claim(from, reached, Span::Silent));
        }
        match (self.from, self.covered_to) {
            (Some(from), Some(covered_to)) => {
                let reached = covered_to.max(from);
                self.from = Some(reached);
                Some(self.claim(from, reached, Span::Covered))
            }
            // A file without a line has nothing to say but that it is over.
            _ if self.ended => Some(self.claim(0, 0, Span::Covered)),
            _ => None,
        }
    }

    /// The feed's part of the tick that precedes the first line to arrive at `boundary` or later.
    pub fn tick_before(&mut self, boundary: Micros, now: Now) -> Option<FeedTick> {
        if self.from.is_some() {
            self.covered_to = self.covered_to.max(Some(boundary));
        }
        self.tick(now)
    }

    /// Files have been bounded where they were read.
    fn bounded(&self, arrival: Micros, now: Now) -> Micros {
        if self.live { arrival.min(now.wall.saturating_add(STAMP_AHEAD_MAX)) } else { arrival }
    }

    fn claim(&self, from: Micros, reached: Micros, span: Span) -> FeedTick {
        FeedTick {
            feed: self.feed.clone(),
            epoch: self.epoch,
            from,
            reached,
            span,
            ended: self.ended,
        }
    }
}

/// When a worker ticks: each second of its clock, and before the first line at or after each
/// multiple of 10 s of arrival, whichever is first. A replay has no clock and asks for boundaries
/// only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TickClock {
    /// Of our clock.
    every: Micros,
    /// Of arrival.
    step: Micros,
    ticked_at: Option<Micros>,
    /// The last multiple that arrivals have passed.
    passed: Option<Micros>,
}

impl Default for TickClock {
    fn default() -> TickClock {
        TickClock { every: SECOND, step: 10 * SECOND, ticked_at: None, passed: None }
    }
}

impl TickClock {
    /// Queried before each line is appended: the multiple that its arrival passes, if a tick must
    /// precede it.
    pub fn boundary(&mut self, arrival: Micros) -> Option<Micros> {
        let multiple = arrival - arrival.rem_euclid(self.step);
        let before = self.passed;
        self.passed = before.max(Some(multiple));
        // Nothing was read before the first line: there is nothing to say.
        before.filter(|before| *before < multiple).map(|_| multiple)
    }

    /// Whether a second of our clock has passed since the last tick.
    pub fn due(&self, now: Micros) -> bool {
        self.ticked_at.is_none_or(|at| now - at >= self.every || now < at)
    }

    /// Our clock when the next tick is due.
    pub fn next(&self) -> Option<Micros> {
        self.ticked_at.map(|at| at + self.every)
    }

    pub fn ticked(&mut self, now: Micros) {
        self.ticked_at = Some(now);
    }
}

#[cfg(test)]
mod tests;
