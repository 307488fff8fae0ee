//! Options of a simulated world: period, volume, and the rates of events other than plain posts.

use crate::event::{Event, lies_within};
use crate::places::{PLACES, Place, UNLOCATED};
use crate::words::Topic;
use crate::{DAY_US, MINUTE_US, SECOND_US};

/// A world's constitution; `Default` is what `simulate` prints.
#[derive(Clone, Debug, PartialEq)]
pub struct WorldOptions {
    pub start_us: i64,
    pub until: Until,
    /// Mean posts a second at the start; by default a million posts take a fortnight.
    pub rate: f64,
    /// Relative growth a week: 0.05 is five per cent.
    pub growth_per_week: f64,
    /// Share of posts in no known region.
    pub unlocated: f64,
    /// Share of posts with a health tag, outside events.
    pub health: f64,
    /// Accounts. Some post often, most hardly ever.
    pub authors: u64,
    /// Standard deviation of the logarithm of a topic's intensity in a place, from day to day.
    pub attention_sd: f64,
    pub shares: Shares,
    /// What happens. None: drawn by the seed, with each kind of event in every world.
    pub events: Option<Vec<Event>>,
}

/// When a world ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// After so many posts, each counted once: repeats, edits and everything else not.
    Posts(u64),
    /// Before that instant.
    Instant(i64),
    Never,
}

/// How often something else than a plain post happens, per post.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shares {
    /// Written an hour to three weeks before it arrives.
    pub late: f64,
    /// Written, it says, minutes to days after it arrives.
    pub early: f64,
    /// Lines that are repeated to the byte, in runs, as after a reconnect.
    pub repeats: f64,
    /// Posts that arrive again with another text or region.
    pub unequal: f64,
    /// Posts that are deleted within 60 hours.
    pub deletes: f64,
    /// Posts whose delete arrives first.
    pub deletes_before: f64,
    /// Posts after which the account goes: deleted, deactivated, suspended, taken down.
    pub departures: f64,
    pub edits: f64,
    pub likes: f64,
    pub unlikes: f64,
    pub reposts: f64,
    pub follows: f64,
    pub profiles: f64,
    pub identities: f64,
}

impl Default for WorldOptions {
    fn default() -> WorldOptions {
        WorldOptions {
            // 2026-01-05T00:00:00Z, a Monday.
            start_us: 1_767_571_200 * SECOND_US,
            until: Until::Posts(1_000_000),
            rate: 1_000_000.0 / (14.0 * 86_400.0),
            growth_per_week: 0.01,
            unlocated: 0.6,
            health: 0.015,
            authors: 250_000,
            attention_sd: 0.2,
            shares: Shares::default(),
            events: None,
        }
    }
}

impl Default for Shares {
    fn default() -> Shares {
        Shares {
            late: 0.006,
            early: 0.002,
            repeats: 0.004,
            unequal: 0.001,
            deletes: 0.03,
            deletes_before: 0.001,
            departures: 0.0008,
            edits: 0.002,
            likes: 0.05,
            unlikes: 0.004,
            reposts: 0.02,
            follows: 0.02,
            profiles: 0.003,
            identities: 0.003,
        }
    }
}

impl Shares {
    /// Posts only: every line is a plain create.
    pub fn none() -> Shares {
        Shares {
            late: 0.0,
            early: 0.0,
            repeats: 0.0,
            unequal: 0.0,
            deletes: 0.0,
            deletes_before: 0.0,
            departures: 0.0,
            edits: 0.0,
            likes: 0.0,
            unlikes: 0.0,
            reposts: 0.0,
            follows: 0.0,
            profiles: 0.0,
            identities: 0.0,
        }
    }
}

impl WorldOptions {
    /// So many posts at the default rate.
    pub fn posts(posts: u64) -> WorldOptions {
        WorldOptions { until: Until::Posts(posts), ..WorldOptions::default() }
    }

    /// So many posts in about so many days.
    pub fn posts_over(posts: u64, days: f64) -> WorldOptions {
        let rate = posts as f64 / (days * 86_400.0);
        WorldOptions { rate, ..WorldOptions::posts(posts) }
    }

    /// About how long it will last; four weeks for one that has no end.
    pub(crate) fn span_us(&self) -> i64 {
        match self.until {
            Until::Posts(posts) => (posts as f64 / self.rate * SECOND_US as f64) as i64,
            Until::Instant(instant_us) => instant_us - self.start_us,
            Until::Never => 28 * DAY_US,
        }
        .clamp(MINUTE_US, 3660 * DAY_US)
    }

    /// Usual posts a day with that topic's tags from that region and what lies in it, at the start.
    pub fn usual_per_day(&self, topic: Topic, region: &str) -> f64 {
        let shares = place_shares(self.unlocated);
        let places = PLACES.iter().zip(&shares);
        let share: f64 = places
            .filter(|(place, _)| lies_within(place.region, region))
            .map(|(_, share)| share)
            .sum();
        self.rate * 86_400.0 * share * self.health * topic.share()
    }
}

/// Shares of all posts, in the order of `PLACES`; they sum to 1.
pub(crate) fn place_shares(unlocated: f64) -> Vec<f64> {
    let unlocated = unlocated.clamp(0.0, 1.0);
    let sum = |is_unlocated: bool| -> f64 {
        let places = PLACES.iter().filter(|place| (place.region == UNLOCATED) == is_unlocated);
        places.map(|place| place.weight).sum()
    };
    let (located_sum, unlocated_sum) = (sum(false), sum(true));
    let share = |place: &Place| match place.region {
        UNLOCATED => unlocated * place.weight / unlocated_sum,
        _ => (1.0 - unlocated) * place.weight / located_sum,
    };
    PLACES.iter().map(share).collect()
}
