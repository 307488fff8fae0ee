//! World of the demo: weeks of history, then a day with events.
//!
//! A preset of `World`: the caller says when history ends (now, usually), fills everything before
//! it at once and continues at a clock of its own. Knows neither clock nor pace.

use crate::event::{Event, EventKind, Shape};
use crate::options::{Until, WorldOptions};
use crate::places;
use crate::words::Topic;
use crate::world::World;
use crate::{DAY_US, HOUR_US, MINUTE_US};

#[derive(Clone, Debug, PartialEq)]
pub struct DemoOptions {
    /// When history ends and the live part begins.
    pub live_us: i64,
    pub history_days: u32,
    /// Mean posts a second: three weeks at 0.2 are 363,000 posts.
    pub rate: f64,
}

impl DemoOptions {
    pub fn new(live_us: i64) -> DemoOptions {
        DemoOptions { live_us, history_days: 21, rate: 0.2 }
    }

    /// Live from the last nine o'clock in Berlin (winter time) before an instant: what happens
    /// first happens in daylight, at any hour of the reader's.
    pub fn from_morning_before(instant_us: i64) -> DemoOptions {
        let since_morning_us = (instant_us - 8 * HOUR_US).rem_euclid(DAY_US);
        DemoOptions::new(instant_us - since_morning_us)
    }
}

/// A world without end, and what is to happen in it.
pub struct DemoWorld {
    pub world: World,
    /// Everything before it is history.
    pub live_us: i64,
}

impl DemoWorld {
    pub fn new(seed: u64, options: &DemoOptions) -> DemoWorld {
        let live_us = options.live_us;
        let mut world = WorldOptions {
            start_us: live_us - i64::from(options.history_days) * DAY_US,
            until: Until::Never,
            rate: options.rate,
            ..WorldOptions::default()
        };
        world.events = Some(events(&world, live_us));
        DemoWorld { world: World::new(seed, world), live_us }
    }
}

/// One news cascade in the past. Then, counted from the beginning of the live part:
///
/// | after | what |
/// |---|---|
/// | 1 min | an outbreak of fever in Berlin, and of influenza next to it, for a day |
/// | 2 h | a bot in England praises something against influenza, for two hours |
/// | 6 h | no lines for 40 minutes, then a catch-up |
/// | 1 d, 5 d, ... | outbreaks elsewhere, 40 of them |
fn events(world: &WorldOptions, live_us: i64) -> Vec<Event> {
    let event = |kind, topic, region, after_us, length_us, factor| Event {
        kind,
        topic,
        region,
        start_us: live_us + after_us,
        end_us: live_us + after_us + length_us,
        factor,
    };
    let outbreak = |shape, topic, region, after_us, length_us, cases_per_day: f64| {
        let factor = 1.0 + cases_per_day / world.usual_per_day(topic, region).max(1e-9);
        event(EventKind::Outbreak(shape), Some(topic), region, after_us, length_us, factor)
    };
    // So many an hour at first, whatever the hour; at night less, or the day would know no measure.
    let awake = places::activity("DE-BE", live_us).max(0.4);
    let (fever, influenza) = (24.0 * 24.0 / awake, 8.0 * 24.0 / awake);
    let measles = Some(Topic::Measles);
    let bot = Some(Topic::Influenza);
    let outage = EventKind::Outage { catch_up: true };
    let mut events = vec![
        event(EventKind::News, measles, "001", -5 * DAY_US, 30 * HOUR_US, 6.0),
        outbreak(Shape::Spike, Topic::Fever, "DE-BE", MINUTE_US, DAY_US, fever),
        outbreak(Shape::Spike, Topic::Influenza, "DE-BE", MINUTE_US, DAY_US, influenza),
        event(EventKind::Bot, bot, "GB-ENG", 2 * HOUR_US, 2 * HOUR_US, 60.0),
        event(outage, None, "001", 6 * HOUR_US, 40 * MINUTE_US, 0.0),
    ];
    let later = [
        (Shape::ThreeDayRise, Topic::StomachBug, "US-TX"),
        (Shape::Spike, Topic::Cough, "FR-IDF"),
        (Shape::SlowRise, Topic::Influenza, "JP-13"),
        (Shape::ThreeDayRise, Topic::Measles, "ES-MD"),
    ];
    for (index, (shape, topic, region)) in later.into_iter().cycle().take(40).enumerate() {
        let after_us = DAY_US + index as i64 * 4 * DAY_US;
        events.push(outbreak(shape, topic, region, after_us, 3 * DAY_US, 80.0));
    }
    events
}
