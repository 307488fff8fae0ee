//! The demo's world: weeks of history, then a first day in which something happens.
//!
//! A preset of `World`: the caller says when history ends (now, usually), fills everything before it
//! at once and goes on at a clock of its own. Knows neither clock nor pace.

use crate::event::{Event, EventKind, Shape};
use crate::words::Topic;
use crate::world::{Until, World, WorldOptions};
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
        DemoOptions {
            live_us,
            history_days: 21,
            rate: 0.2,
        }
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
            // Enough people for three weeks, few enough that some of them are known to all.
            authors: 100_000,
            ..WorldOptions::default()
        };
        world.events = Some(events(&world, live_us));
        DemoWorld {
            world: World::new(seed, world),
            live_us,
        }
    }
}

/// One news cascade in the past. Then, after the live part begins: an outbreak of fever at once,
/// with influenza beside it, in Berlin; a bot in London's England after two hours; an outage of
/// 40 minutes after six; and every four days from the first on an outbreak somewhere else.
fn events(world: &WorldOptions, live_us: i64) -> Vec<Event> {
    let event = |kind, topic, region, start_us, length_us, factor| Event {
        kind,
        topic,
        region,
        start_us,
        end_us: start_us + length_us,
        factor,
    };
    let outbreak = |shape, topic, region, start_us, length_us, cases_per_hour: f64| {
        let factor = 1.0 + cases_per_hour * 24.0 / world.usual_per_day(topic, region).max(1e-9);
        event(
            EventKind::Outbreak(shape),
            Some(topic),
            region,
            start_us,
            length_us,
            factor,
        )
    };
    let news_us = live_us - 5 * DAY_US;
    let mut events = vec![
        event(
            EventKind::News,
            Some(Topic::Measles),
            "001",
            news_us,
            30 * HOUR_US,
            6.0,
        ),
        outbreak(
            Shape::Spike,
            Topic::Fever,
            "DE-BE",
            live_us + MINUTE_US,
            DAY_US,
            40.0,
        ),
        outbreak(
            Shape::Spike,
            Topic::Influenza,
            "DE-BE",
            live_us + MINUTE_US,
            DAY_US,
            12.0,
        ),
    ];
    let bot_us = live_us + 2 * HOUR_US;
    let bot_topic = Some(Topic::Influenza);
    events.push(event(
        EventKind::Bot,
        bot_topic,
        "GB-ENG",
        bot_us,
        2 * HOUR_US,
        60.0,
    ));
    let outage = EventKind::Outage { catch_up: true };
    let outage_us = live_us + 6 * HOUR_US;
    events.push(event(outage, None, "001", outage_us, 40 * MINUTE_US, 0.0));
    let later = [
        (Shape::ThreeDayRise, Topic::StomachBug, "US-TX"),
        (Shape::Spike, Topic::Cough, "FR-IDF"),
        (Shape::SlowRise, Topic::Influenza, "JP-13"),
        (Shape::ThreeDayRise, Topic::Measles, "ES-MD"),
    ];
    for (index, (shape, topic, region)) in later.into_iter().cycle().take(40).enumerate() {
        let start_us = live_us + DAY_US + index as i64 * 4 * DAY_US;
        events.push(outbreak(shape, topic, region, start_us, 3 * DAY_US, 4.0));
    }
    events
}
