//! Events of a simulated world: its plan, and the ground truth for evaluation.
//!
//! One type for both, so a label can't differ from what was done.

use crate::words::Topic;

/// Something that happens in `[start_us, end_us)`.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    pub kind: EventKind,
    /// What is talked about; none for outages and jumps, which concern everything.
    pub topic: Option<Topic>,
    /// Where: a region and what lies in it, `001` for everywhere. A region without posts of its own
    /// (see `regions`) shows nothing.
    pub region: &'static str,
    pub start_us: i64,
    /// `i64::MAX` for what stays.
    pub end_us: i64,
    /// Outbreak, news: the intensity of the topic at the peak as a multiple of its usual one.
    /// Jump: the multiple of all volume. Bot: its posts an hour. Outage: 0.
    pub factor: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// People are ill: more of them say so. The only kind that should be found.
    Outbreak(Shape),
    /// Talk without cases, in many regions at once, with links to one story.
    News,
    /// One account or a few repeat themselves.
    Bot,
    /// No lines arrive. With `catch_up` they arrive after the end, quickly, each with the time at
    /// which it was written; else they are lost.
    Outage { catch_up: bool },
    /// The volume changes and stays changed.
    Jump,
}

/// How an outbreak grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// All at once, and over at once.
    Spike,
    /// Rises evenly during the first three fifths (three of five days), then stays.
    ThreeDayRise,
    /// Rises evenly from nothing to its end.
    SlowRise,
}

impl Shape {
    /// Share of the peak after that share of the whole: 0 before the start and after the end.
    pub fn at(self, share: f64) -> f64 {
        if !(0.0..1.0).contains(&share) {
            return 0.0;
        }
        match self {
            Shape::Spike => 1.0,
            Shape::ThreeDayRise => (share / 0.6).min(1.0),
            Shape::SlowRise => share,
        }
    }
}

impl Event {
    pub fn is_on(&self, instant_us: i64) -> bool {
        self.start_us <= instant_us && instant_us < self.end_us
    }

    /// What the event adds at an instant, as a multiple of the usual intensity.
    pub(crate) fn excess(&self, instant_us: i64) -> f64 {
        if !self.is_on(instant_us) {
            return 0.0;
        }
        let past_us = (instant_us - self.start_us) as f64;
        let share = past_us / (self.end_us - self.start_us) as f64;
        match self.kind {
            EventKind::Outbreak(shape) => (self.factor - 1.0).max(0.0) * shape.at(share),
            // Everybody within the hour, then forgotten: a fiftieth is left at the end.
            EventKind::News => (self.factor - 1.0).max(0.0) * libm::exp(-3.9 * share),
            EventKind::Bot | EventKind::Outage { .. } | EventKind::Jump => 0.0,
        }
    }
}

/// Whether a region is another one or lies in it; everything lies in `001`.
pub(crate) fn lies_within(region: &str, outer: &str) -> bool {
    let is_below = region.strip_prefix(outer).is_some_and(|rest| rest.starts_with('-'));
    outer == "001" || region == outer || is_below
}
