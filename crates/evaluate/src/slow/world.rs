//! Counts of days, of a series by itself: bursty days, a level that drifts, and an epidemic.
//!
//! Independent of `simulation::panels`, with which limits are drawn: by the day instead of the
//! hour, with another week, burstiness of each series by itself, and levels that move.

use simulation::{Random, gamma, log_uniform, normal, panels, poisson};

/// How the level of a series moves without an epidemic.
#[derive(Clone, Copy, Debug)]
pub(super) enum Drift {
    None,
    /// Standard deviation of the logarithm's steps, a week.
    Walk(f64),
    /// A season of a year, up and down by this share.
    Year(f64),
    /// Waves of the logarithm with this standard deviation, with a memory of 3 to 14 days.
    Waves(f64),
}

impl Drift {
    pub(super) const ALL: [(&'static str, Drift); 6] = [
        ("steady", Drift::None),
        ("walk of 0.03 a week", Drift::Walk(0.03)),
        ("walk of 0.06 a week", Drift::Walk(0.06)),
        ("walk of 0.1 a week", Drift::Walk(0.1)),
        ("year of ± 30 %", Drift::Year(0.3)),
        ("waves of 3 to 14 days", Drift::Waves(0.3)),
    ];

    /// Factors of days, about 1.
    fn levels(self, days: usize, random: &mut Random) -> Vec<f64> {
        let phase = random.unit();
        let memory = log_uniform(random, 3.0, 14.0);
        let mut level = if let Drift::Waves(_) = self { normal(random) } else { 0.0 };
        let correlation = libm::exp(-1.0 / memory);
        let innovation = libm::sqrt(1.0 - correlation * correlation);
        let factor = |day: usize| match self {
            Drift::None => 1.0,
            Drift::Walk(a_week) => {
                level += a_week / libm::sqrt(7.0) * normal(random);
                libm::exp(level)
            }
            Drift::Year(share) => {
                let turns = day as f64 / 365.25 + phase;
                1.0 + share * libm::sin(std::f64::consts::TAU * turns)
            }
            Drift::Waves(deviation) => {
                level = correlation * level + innovation * normal(random);
                libm::exp(deviation * level - 0.5 * deviation * deviation)
            }
        };
        (0..days).map(factor).collect()
    }
}

/// An epidemic from its onset on.
#[derive(Clone, Copy, Debug)]
pub(super) enum Rise {
    /// A day at the peak of the frozen panels.
    Spike,
    /// Growth a day, up to eight times the level.
    Growth(f64),
    /// The second number of the cases of the first growth.
    Share(f64, f64),
    /// The level times this, as long as the series lasts.
    Held(f64),
}

/// Name, epidemic, and the days within which it is to be caught.
pub(super) const RISES: [(&str, Rise, usize); 8] = [
    ("spike", Rise::Spike, 28),
    ("3 % a day", Rise::Growth(0.03), 28),
    ("6 % a day", Rise::Growth(0.06), 28),
    ("10 % a day", Rise::Growth(0.1), 28),
    // 1.2^(1/7), 1.4^(1/7) and 1.6^(1/7) a day.
    ("20 % a week", Rise::Growth(0.026_388), 56),
    ("40 % a week", Rise::Growth(0.049_243), 56),
    ("60 % a week", Rise::Growth(0.069_449), 56),
    ("doubled and held", Rise::Held(2.0), 56),
];

impl Rise {
    /// What comes on top on a day since the onset.
    pub(super) fn cases(self, mean: f64, since: usize) -> f64 {
        match self {
            Rise::Spike if since == 0 => panels::peak(mean),
            Rise::Spike => 0.0,
            Rise::Growth(a_day) => {
                let factor = libm::exp(libm::log1p(a_day) * (since + 1) as f64);
                mean * (factor.min(8.0) - 1.0)
            }
            Rise::Share(a_day, share) => share * Rise::Growth(a_day).cases(mean, since),
            Rise::Held(factor) => mean * (factor - 1.0),
        }
    }
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Series {
    /// Count of a day, before drift and epidemic.
    pub(super) mean: f64,
    pub(super) drift: Drift,
    /// With the day of its onset.
    pub(super) rise: Option<(Rise, usize)>,
}

impl Series {
    /// Counts of days. The baseline of a seed is the same with and without an epidemic.
    pub(super) fn days(&self, days: usize, seed: u64) -> Vec<f64> {
        let [mut level, mut noise, mut ill] = [2, 3, 4].map(|part| Random::stream(seed, part));
        let size = log_uniform(&mut noise, 3.0, 30.0);
        let levels = self.drift.levels(days, &mut level);
        let count = |(day, level): (usize, f64)| {
            let weekday = if day % 7 < 5 { 1.06 } else { 0.85 };
            let burst = gamma(&mut noise, size) / size;
            let usual = poisson(&mut noise, self.mean * level * weekday * burst);
            let cases = self
                .rise
                .filter(|(_, onset)| day >= *onset)
                .map_or(0, |(rise, onset)| poisson(&mut ill, rise.cases(self.mean, day - onset)));
            (usual + cases) as f64
        };
        levels.into_iter().enumerate().map(count).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epidemic_comes_on_top_of_the_same_baseline() {
        for (_, rise, _) in RISES {
            for (_, drift) in Drift::ALL {
                let calm = Series { mean: 5.0, drift, rise: None };
                let ill = Series { rise: Some((rise, 50)), ..calm };
                let (calm, ill) = (calm.days(100, 3), ill.days(100, 3));
                assert_eq!(calm[..50], ill[..50]);
                assert!(calm.iter().zip(&ill).all(|(calm, ill)| calm <= ill), "{rise:?}");
                assert!(calm != ill, "{rise:?}");
            }
        }
    }

    #[test]
    fn levels_have_their_mean() {
        for (name, drift) in Drift::ALL.into_iter().filter(|(name, _)| !name.contains("walk")) {
            let series = Series { mean: 20.0, drift, rise: None };
            let sum: f64 = (0..40).flat_map(|seed| series.days(364, seed)).sum();
            assert!((sum / 40.0 / 364.0 - 20.0).abs() < 1.0, "{name}: {}", sum / 40.0 / 364.0);
        }
    }
}
