//! Slow rises: a likelihood-ratio CUSUM over the daily values of a series.
//!
//! Advanced by the default judge in `watch` and by the evaluation. After Page (1954) and, for
//! negative-binomial counts, Höhle and Paul (2008), eq. 4:
//! C(t) = max(0, C(t−1) + ln f(y; κμ, k) − ln f(y; μ, k)), where μ and k are the mean and the gamma
//! shape of the day's forecast, y is the count, and κ = 1.5 is the rise that is looked for. In alarm
//! where C is above the limit; the chart then starts again. Knows no dates: days without a forecast
//! are left out by the caller.
//!
//! The limit comes from simulated in-control series, as the operating threshold does, and counts in
//! the same weekly rate.

use libm::{exp, log, log1p};

/// κ: the rise that is looked for, as a multiple of what is expected.
pub const RISE: f64 = 1.5;

/// (C, false episodes per series and year of days), from common to rare.
const TABLE: &[(f64, f64)] = &include!("slow/table.in");

/// This share of the false episodes is left to slow rises.
const SHARE: f64 = 0.1;
const WEEKS_A_YEAR: f64 = 365.25 / 7.0;
/// However few series there are, no chart below this is in alarm.
const LIMIT_LEAST: f64 = 3.0;

/// A day of a series.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Day {
    pub observed: f64,
    /// Mean and gamma shape (variance μ + μ²/k) of what was forecast.
    pub mean: f64,
    pub shape: f64,
}

impl Day {
    /// The log likelihood ratio is `slope` × count − `loss`.
    fn ratio(&self) -> (f64, f64) {
        let slope = log1p((RISE - 1.0) * self.shape / (self.shape + RISE * self.mean));
        let loss = self.shape * log1p((RISE - 1.0) * self.mean / (self.shape + self.mean));
        (slope, loss)
    }

    /// The chart after this day.
    pub fn after(&self, before: f64) -> f64 {
        let (slope, loss) = self.ratio();
        (before + slope * self.observed - loss).max(0.0)
    }

    /// The largest count with which the chart is not above `limit`, 0 where it is whatever comes.
    pub fn bound(&self, before: f64, limit: f64) -> f64 {
        let (slope, loss) = self.ratio();
        let mut bound = ((limit - before + loss) / slope).floor().max(0.0);
        // What rounding may have moved: the chart itself decides.
        while bound > 0.0 && (Day { observed: bound, ..*self }).after(before) > limit {
            bound -= 1.0;
        }
        while (Day { observed: bound + 1.0, ..*self }).after(before) <= limit {
            bound += 1.0;
        }
        bound
    }
}

/// How often a chart is in alarm, days without a forecast left out.
pub fn episodes(days: &[Option<Day>], limit: f64) -> usize {
    let mut chart = 0.0;
    let mut found = 0;
    for day in days.iter().flatten() {
        chart = day.after(chart);
        if chart > limit {
            (chart, found) = (0.0, found + 1);
        }
    }
    found
}

/// The limit at which `series` charts give their share of `per_week` false episodes a week.
pub fn limit(series: usize, per_week: f64) -> f64 {
    let rate = SHARE * per_week * WEEKS_A_YEAR / series.max(1) as f64;
    let (below, above) = around(|row| row.1 > rate);
    let slope = (above.0 - below.0) / (log(above.1) - log(below.1));
    (below.0 + slope * (log(rate) - log(below.1))).max(LIMIT_LEAST)
}

/// Mean time in days between false episodes of charts as high as this, among `series` series.
pub fn recurrence_days(chart: f64, series: usize) -> f64 {
    let (below, above) = around(|row| row.0 < chart);
    let slope = (log(above.1) - log(below.1)) / (above.0 - below.0);
    365.25 / (exp(log(below.1) + slope * (chart - below.0)) * series.max(1) as f64)
}

/// The rows between which something lies; beyond the ends the outermost two.
fn around(is_before: impl Fn(&(f64, f64)) -> bool) -> ((f64, f64), (f64, f64)) {
    let above = TABLE.partition_point(is_before).clamp(1, TABLE.len() - 1);
    (TABLE[above - 1], TABLE[above])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn more_series_raise_the_limit_and_recurrence_inverts_it() {
        let mut before = 0.0;
        for series in [10, 100, 500, 5_000, 100_000] {
            let limit = limit(series, 5.0);
            assert!(limit >= before && super::limit(series, 1.0) >= limit);
            before = limit;
            if limit > LIMIT_LEAST {
                assert!(
                    (recurrence_days(limit, series) * 5.0 * SHARE / 7.0 - 1.0).abs() < 1e-6,
                    "{series}"
                );
            }
        }
        assert!(TABLE.is_sorted_by(|a, b| a.0 < b.0 && a.1 > b.1));
    }

    /// ln f by its definition, up to what both hypotheses share.
    fn log_probability(count: f64, mean: f64, shape: f64) -> f64 {
        count * log(mean / (shape + mean)) + shape * log(shape / (shape + mean))
    }

    proptest! {
        #[test]
        fn a_bound_is_the_last_count_within_the_limit(
            mean in 0.01..500.0_f64, shape in 0.3..1e4_f64, before in 0.0..6.0_f64, over in 0.01..8.0_f64, observed in 0..2_000_u32,
        ) {
            let observed = f64::from(observed);
            let day = Day { observed, mean, shape };
            let ratio = log_probability(observed, RISE * mean, shape) - log_probability(observed, mean, shape);
            prop_assert!((day.after(before) - (before + ratio).max(0.0)).abs() < 1e-6 * (1.0 + ratio.abs()));
            let limit = before + over;
            prop_assert_eq!(day.after(before) > limit, observed > day.bound(before, limit));
        }
    }
}
