//! Default plan of a simulated world: some events of each kind, drawn by seed.
//!
//! Outbreaks begin after two fifths of the world, so that there is something to compare them with.

use crate::event::{Event, EventKind, Shape};
use crate::options::WorldOptions;
use crate::places::{PLACES, UNLOCATED};
use crate::random::Random;
use crate::words::Topic;
use crate::{DAY_US, HOUR_US};

/// What may happen in a world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plan {
    /// Some of everything, drawn by the seed.
    All,
    /// Nothing: whatever is found was not there.
    Nothing,
    /// Nothing that concerns health, but a language that grows tenfold in three days, and a day
    /// without lines that are then read at once.
    Platform,
}

impl Plan {
    /// None where the world draws its own.
    pub fn events(self, options: &WorldOptions) -> Option<Vec<Event>> {
        match self {
            Plan::All => None,
            Plan::Nothing => Some(Vec::new()),
            Plan::Platform => Some(platform(options)),
        }
    }
}

/// From the middle on Japan grows tenfold within three days; at three quarters of the world nothing
/// arrives for 20 h.
fn platform(options: &WorldOptions) -> Vec<Event> {
    const STEPS: i64 = 72;
    let at = |quarters: i64| options.start_us + options.span_us() / 4 * quarters;
    let event = |kind, region, start_us, end_us, factor| Event {
        kind,
        topic: None,
        region,
        start_us,
        end_us,
        factor,
    };
    let factor = libm::pow(10.0, 1.0 / STEPS as f64);
    let growth = (0..STEPS)
        .map(|step| event(EventKind::Jump, "JP", at(2) + step * HOUR_US, i64::MAX, factor));
    let outage =
        event(EventKind::Outage { catch_up: true }, "001", at(3), at(3) + 20 * HOUR_US, 0.0);
    growth.chain([outage]).collect()
}

/// What happens in a world when nobody says: some of everything, more in longer ones.
pub(crate) fn drawn(seed: u64, options: &WorldOptions) -> Vec<Event> {
    let mut random = Random::stream(seed, 20);
    let random = &mut random;
    let (start_us, span_us) = (options.start_us, options.span_us());
    let days = span_us as f64 / DAY_US as f64;
    let located: Vec<&'static str> =
        PLACES.iter().map(|place| place.region).filter(|region| *region != UNLOCATED).collect();
    // From within a part of the span, and as long as fits into it.
    let stretch = |random: &mut Random, from: f64, to: f64, length_us: f64| {
        let share = (length_us / span_us as f64).min(0.4);
        let to = to.min(1.0 - share).max(from);
        let begin = from + (to - from) * random.unit();
        let begin_us = start_us + (span_us as f64 * begin) as i64;
        (begin_us, begin_us + (span_us as f64 * share) as i64 + 1)
    };
    let hours = |hours: f64| hours * HOUR_US as f64;
    let how_many = |every: f64| 1 + (days / every) as usize;
    let mut events = Vec::new();

    let shapes = [Shape::Spike, Shape::ThreeDayRise, Shape::SlowRise];
    for index in 0..how_many(2.0).max(3) {
        let shape = shapes[index % shapes.len()];
        let length = match shape {
            Shape::Spike => 6.0 + 18.0 * random.unit(),
            Shape::ThreeDayRise => 120.0,
            Shape::SlowRise => 24.0 * (7.0 + 7.0 * random.unit()),
        };
        let (begin_us, end_us) = stretch(random, 0.4, 0.85, hours(length));
        let topic = random.pick(&Topic::ALL);
        let region = random.pick(&located);
        let usual = options.usual_per_day(topic, region);
        // Enough to be found: some dozen cases a day, and as many in all if it is over sooner.
        let length_days = (end_us - begin_us) as f64 / DAY_US as f64;
        let extra = 8.0 + 32.0 * random.unit() + usual * (1.0 + 4.0 * random.unit());
        let extra_per_day = extra / length_days.min(1.0);
        events.push(Event {
            kind: EventKind::Outbreak(shape),
            topic: Some(topic),
            region,
            start_us: begin_us,
            end_us,
            factor: 1.0 + extra_per_day / usual.max(1e-9),
        });
    }
    for _ in 0..how_many(5.0) {
        let length_us = hours(18.0 + 18.0 * random.unit());
        let (begin_us, end_us) = stretch(random, 0.1, 0.9, length_us);
        let topic = random.pick(&Topic::ALL);
        let factor = 3.0 + 5.0 * random.unit();
        let kind = EventKind::News;
        let topic = Some(topic);
        events.push(Event { kind, topic, region: "001", start_us: begin_us, end_us, factor });
    }
    for _ in 0..how_many(4.0) {
        let length_us = hours(1.0 + 5.0 * random.unit());
        let (begin_us, end_us) = stretch(random, 0.1, 0.9, length_us);
        let topic = Some(random.pick(&Topic::ALL));
        let region = random.pick(&located);
        let factor = 20.0 + 60.0 * random.unit();
        let kind = EventKind::Bot;
        events.push(Event { kind, topic, region, start_us: begin_us, end_us, factor });
    }
    for index in 0..how_many(7.0).max(2) {
        let length_us = hours(0.4 + 2.6 * random.unit()).min(span_us as f64 * 0.03);
        let (begin_us, end_us) = stretch(random, 0.15, 0.9, length_us);
        let kind = EventKind::Outage { catch_up: index % 2 == 0 };
        events.push(Event {
            kind,
            topic: None,
            region: "001",
            start_us: begin_us,
            end_us,
            factor: 0.0,
        });
    }
    let (begin_us, _) = stretch(random, 0.5, 0.8, 0.0);
    events.push(Event {
        kind: EventKind::Jump,
        topic: None,
        region: random.pick(&["US", "DE", "FR", "JP", "GB", "ES"]),
        start_us: begin_us,
        end_us: i64::MAX,
        factor: 1.3 + 0.5 * random.unit(),
    });
    events
}
