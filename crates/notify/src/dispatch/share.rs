//! Share of all series that a subscription covers.
//!
//! The recurrence of an alert is measured among all series. Among fewer series, chance produces an
//! equal alert less often, in proportion.

use record::Alert;

use crate::subscription::{Subscription, World};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Share {
    covered: u32,
    all: u32,
}

impl Share {
    /// `series`: topic and region of each.
    pub(super) fn measure(
        subscription: &Subscription,
        world: &dyn World,
        series: &[(String, String)],
    ) -> Share {
        let kinds = &subscription.kinds;
        let is_covered = |(topic, region): &&(String, String)| {
            (subscription.topics.is_empty()
                || subscription.topics.contains(topic)
                || subscription.always.contains(topic))
                && (kinds.is_empty() || world.kind(topic).is_some_and(|kind| kinds.contains(&kind)))
                && subscription.covers_region(region, world)
        };
        let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        Share {
            covered: number(series.iter().filter(is_covered).count()),
            all: number(series.len()),
        }
    }

    /// Among how many series the recurrence of [`Share::scale`] is measured; 0: among all, as in
    /// the alert itself.
    pub(super) fn series(self) -> u32 {
        self.covered
    }

    /// The alert with its recurrence among the covered series.
    pub(super) fn scale(self, alert: &Alert) -> Alert {
        let factor = match self.covered {
            0 => 1.0,
            covered => f64::from(self.all) / f64::from(covered),
        };
        Alert { recurrence: alert.recurrence.map(|days| days * factor), ..alert.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{Europe, fever, subscription};

    #[test]
    fn recurrence_is_scaled_by_the_share_of_series() {
        let series = [("measles", "DE-BE"), ("measles", "FR"), ("fever", "DE-BE"), ("fever", "FR")]
            .map(|(topic, region)| (topic.to_owned(), region.to_owned()));
        let share = |lines: &str| Share::measure(&subscription(lines), &Europe, &series);
        assert_eq!((share(""), share("").series()), (Share { covered: 4, all: 4 }, 4));
        let one = share("topics = [\"measles\"]\nregions = [\"DE\"]");
        assert_eq!(one, Share { covered: 1, all: 4 });
        assert_eq!(one.scale(&fever()).recurrence, Some(4.0 * 365.0));
        let always = share("topics = [\"measles\"]\nalways = [\"fever\"]\nregions = [\"DE\"]");
        assert_eq!(always, Share { covered: 2, all: 4 });
        let none = share("topics = [\"hiv\"]");
        assert_eq!((none, none.series()), (Share { covered: 0, all: 4 }, 0));
        assert_eq!(none.scale(&fever()), fever(), "an unknown share scales nothing");
    }
}
