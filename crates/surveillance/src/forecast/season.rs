//! Season: weekday factors and the trend of a topic's total.
//!
//! Learnt from the topic's windows for `pool`, and for `detect` from the series itself. Knows no
//! holidays: the caller gives the day that a window is taken for.

use libm::lgamma;

use super::{Past, Prior, SIZES, forecast};

/// How far weekdays are apart, and how far regions' growth a day is from their topic's, is learnt:
/// standard deviations of these times one of [`SPREADS`].
const WEEKDAY_SD: f64 = 0.08;
pub(super) const REGION_TREND_SD: f64 = 0.004;
pub(super) const SPREADS: [f64; 5] = [0.25, 0.5, 1.0, 2.0, 4.0];
/// Beforehand they are weighed so: wide ones are rare. Together they are as wide as 12 % between
/// weekdays, 4 % a week between regions.
pub(super) const SPREADS_PRIOR: [f64; SPREADS.len()] = [0.25, 0.25, 0.25, 0.17, 0.08];
/// Where less than two weeks are known, weekdays are apart by this.
const WEEKDAY_SD_UNKNOWN: f64 = 0.15;
/// Before the topic's total is looked at, its growth a day is 0, give or take this: 10 % a week.
pub(super) const TOPIC_TREND_SD: f64 = 0.014;

/// Weekday factors with what they leave open.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Season {
    pub(super) factors: [f64; 7],
    pub(super) variance: f64,
    pub(super) trend: f64,
    pub(super) trend_variance: f64,
}

impl Season {
    /// Every day alike.
    pub const FLAT: Season =
        Season { factors: [1.0; 7], variance: 0.0, trend: 0.0, trend_variance: 0.0 };

    /// From windows of a total and the numbers of their days. Less than two weeks are too few for
    /// weekdays.
    pub fn learn(windows: &[(Past, i64)]) -> Season {
        let days: Vec<i64> = windows.iter().map(|(_, day)| *day).collect();
        let span = days
            .iter()
            .max()
            .zip(days.iter().min())
            .map_or(0, |(newest, oldest)| newest - oldest + 1);
        if span < 14 {
            let variance = WEEKDAY_SD_UNKNOWN * WEEKDAY_SD_UNKNOWN;
            return Season {
                variance,
                trend_variance: TOPIC_TREND_SD * TOPIC_TREND_SD,
                ..Season::FLAT
            };
        }
        let prior = Prior { trend_sd: TOPIC_TREND_SD, ..Prior::default() };
        let mut season = Season::FLAT;
        for _ in 0..2 {
            let past: Vec<Past> = windows
                .iter()
                .map(|(past, day)| Past { exposure: past.exposure * season.factor(*day), ..*past })
                .collect();
            let fitted = forecast(&past, &prior);
            season.trend = fitted.trend();
            season.trend_variance = fitted.trend_variance();
            // In counts as a Poisson law would have them: bursty ones weigh less.
            let (mut seen, mut due) = ([0.0; 7], [0.0; 7]);
            let size = SIZES[likeliest(fitted.evidence())];
            for (past, day) in windows {
                let mean =
                    fitted.expected() * past.exposure * libm::exp(-fitted.trend() * past.age);
                let weight = size / (size + mean);
                seen[day.rem_euclid(7) as usize] += past.observed * weight;
                due[day.rem_euclid(7) as usize] += mean * weight;
            }
            (season.factors, season.variance) = weekday_factors(&seen, &due);
            let mean = season.factors.iter().sum::<f64>() / 7.0;
            season.factors = season.factors.map(|factor| factor / mean);
        }
        season
    }

    pub fn factor(&self, day: i64) -> f64 {
        self.factors[day.rem_euclid(7) as usize]
    }

    /// What a day was to bring, as a multiple of another.
    pub fn relative(&self, day: i64, to: i64) -> f64 {
        self.factor(day) / self.factor(to)
    }

    /// Of the logarithm of a factor.
    pub fn variance(&self) -> f64 {
        self.variance
    }
}

/// Factors with their mean variance, from what was seen and due on each weekday: gamma laws of mean
/// 1, as wide as the seven together make likely.
fn weekday_factors(seen: &[f64; 7], due: &[f64; 7]) -> ([f64; 7], f64) {
    // A spread is so many counts in favour of "as every day".
    let counts = SPREADS.map(|spread| 1.0 / (spread * WEEKDAY_SD * spread * WEEKDAY_SD));
    let evidence = counts.map(|counts| {
        let of_day = |(seen, due): (&f64, &f64)| {
            let both = counts + due;
            lgamma(counts + seen) - lgamma(counts)
                + counts * libm::log(counts / both)
                + seen * libm::log(due.max(f64::MIN_POSITIVE) / both)
        };
        seen.iter().zip(due).map(of_day).sum()
    });
    let weights = weigh_spreads(&evidence);
    let (mut factors, mut variance) = ([0.0; 7], 0.0);
    for (factor, (seen, due)) in factors.iter_mut().zip(seen.iter().zip(due)) {
        let of_spread = |counts: f64| ((counts + seen) / (counts + due), 1.0 / (counts + due));
        let mut square = 0.0;
        for (counts, weight) in counts.iter().zip(weights) {
            let (mean, own) = of_spread(*counts);
            *factor += weight * mean;
            square += weight * (mean * mean + own);
        }
        variance += (square - *factor * *factor) / 7.0;
    }
    (factors, variance)
}

/// Weights of [`SPREADS`], from the logarithms of how likely each makes what was seen.
pub(super) fn weigh_spreads(evidence: &[f64; SPREADS.len()]) -> [f64; SPREADS.len()] {
    let largest = evidence[likeliest(evidence)];
    let mut weights = SPREADS_PRIOR;
    for (weight, evidence) in weights.iter_mut().zip(evidence) {
        *weight *= libm::exp(evidence - largest);
    }
    let total: f64 = weights.iter().sum();
    weights.map(|weight| weight / total)
}

/// The place of the largest of some numbers; the last of equal ones, the first place where there
/// are none.
pub(super) fn likeliest(numbers: &[f64]) -> usize {
    (0..numbers.len()).max_by(|a, b| numbers[*a].total_cmp(&numbers[*b])).unwrap_or(0)
}
