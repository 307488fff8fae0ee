//! Weekly look: an accumulating chart over the windows of seven days of a series.
//!
//! Advanced by the method `weeks` of `detect`, by the default judge in `watch` and by the
//! evaluation. Each window gives a normal score z of its predictive tail; the chart is the
//! exponentially weighted moving average of these (Roberts 1959): e(t) = (1 − λ) e(t−1) + λ z(t).
//! A count has a range of tail probabilities; z is the mean of the normal scores over that range,
//! whose mean is 0 under the forecast however sparse the series is. It needs no random number, so
//! that recounts and replays agree.
//!
//! The chart is divided by its standard deviation, and by how much more than that the series' chart
//! has moved in its own past. A level that is estimated from few windows, drifts, has a season or
//! waves of talk makes scores depend on each other, so what is left isn't normal: tail
//! probabilities come from simulated series of exactly this procedure, by the number of windows
//! that the chart has seen and by what is expected. Knows no dates: windows without a forecast are
//! left out by the caller.

use std::f64::consts::PI;

use libm::{exp, log, pow, sqrt};
use serde::{Deserialize, Serialize};

use super::{Forecast, Prior};
use crate::distribution::{normal_quantile, normal_upper};

/// λ: the weight of the newest window.
const NEWEST: f64 = 0.2;
/// Scores are cut here, so that one window alone is not the whole chart.
const SCORES: (f64, f64) = (-3.0, 5.0);
/// Windows of baseline at most, and between it and the window that is judged.
pub const BASELINE: usize = 28;
pub const GUARD: usize = 4;
/// With fewer windows of baseline a window gives no score.
pub const BASELINE_LEAST: usize = 4;

/// Standard deviation of the relative growth a week.
const TREND_SD: f64 = 0.014;

/// The windows that a chart's usual movement is learnt from, and as many are added at which it
/// moves as independent scores would have it.
const SCALE_WINDOWS: f64 = 104.0;
const SCALE_PRIOR: f64 = 52.0;
/// A past chart counts as this high or low at most, and the scale is in this range.
const SCALE_VALUE: f64 = 2.0;
const SCALES: (f64, f64) = (1.0, 2.5);

/// Quantiles of the chart by the windows it has seen and by what is expected.
const TABLE: [[[f64; PROBABILITIES.len()]; EXPECTED.len()]; SEEN.len()] =
    include!("weeks/table.in");
/// Fewest windows seen of each class of the table.
pub const SEEN: [u32; 4] = [1, 8, 21, 47];
/// Middles of the classes of what is expected.
pub const EXPECTED: [f64; 9] = [0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0];
/// The probabilities that the quantiles are for.
pub const PROBABILITIES: [f64; 8] = [0.3, 0.1, 0.03, 0.01, 0.003, 0.001, 0.0003, 0.0001];

/// False episodes per series and year of charts that are looked at daily are the first number times
/// p to the power of the second.
const RATE: (f64, f64) = (22.0, 0.92);
/// This share of the false episodes is planned for: reality has more than was simulated.
const PLANNED: f64 = 0.8;
const WEEKS_A_YEAR: f64 = 365.25 / 7.0;
/// However few series there are, no p above this is an alarm, and however many, the table is not
/// trusted below the other.
const P_MOST: f64 = 0.01;
const P_LEAST: f64 = 1e-6;

/// Windows between the baseline and the window that is judged, if there are `past` before it:
/// fewer where there are few.
pub fn guard(past: usize) -> usize {
    GUARD.min(past / 3)
}

/// What is known of a window of seven days beforehand. Growth goes on for as long as the baseline
/// and the guard together, so it is believed in less than by the day.
pub fn prior() -> Prior {
    Prior { trend_sd: TREND_SD, ..Prior::default() }
}

/// A series' chart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Chart {
    pub average: f64,
    /// Sum of its squares in its own standard deviations, the oldest forgotten.
    pub squares: f64,
    /// Windows that it has seen, and how many of the newest it has been above zero for.
    pub seen: u32,
    pub rising: u32,
}

/// A window in the chart.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Look {
    /// The chart in units of its usual movement.
    pub value: f64,
    /// P(a chart at least as high as this), if nothing is going on; 1 where this window isn't above
    /// what is expected.
    pub pvalue: f64,
    /// The largest count that would not have been in alarm; none if any would not.
    pub upperbound: Option<f64>,
}

impl Chart {
    /// Adds a window; `alpha` is the probability of an alarm.
    pub fn add(&mut self, forecast: &Forecast, observed: f64, alpha: f64) -> Look {
        let rest = (1.0 - NEWEST) * self.average;
        self.average = rest + NEWEST * score(forecast, observed);
        self.seen += 1;
        self.rising = if self.average > 0.0 { self.rising + 1 } else { 0 };
        let deviation = self.deviation();
        let unit = deviation * self.scale();
        let value = self.average / unit;
        let square = (self.average / deviation).clamp(-SCALE_VALUE, SCALE_VALUE);
        self.squares += square * square - self.squares / SCALE_WINDOWS;
        let expected = forecast.expected();
        let pvalue = if observed > expected { self.upper(value, expected) } else { 1.0 };
        // The score that brings the chart to its limit, and the count that brings the score.
        let least = (self.limit(alpha, expected) * unit - rest) / NEWEST;
        let upperbound = (least <= SCORES.1).then(|| {
            let p = if least > SCORES.0 { normal_upper(least) } else { 1.0 };
            let bound = forecast.bound(p);
            let alarms = score(forecast, bound) >= least;
            (if alarms { bound - 1.0 } else { bound }).max(expected.floor())
        });
        Look { value, pvalue, upperbound }
    }

    /// The average's standard deviation if scores were independent.
    fn deviation(&self) -> f64 {
        let first = pow(1.0 - NEWEST, 2.0 * f64::from(self.seen));
        sqrt(NEWEST / (2.0 - NEWEST) * (1.0 - first))
    }

    /// How much more the chart has moved before this window.
    fn scale(&self) -> f64 {
        let past = f64::from(self.seen - 1);
        let windows = SCALE_WINDOWS * (1.0 - pow(1.0 - 1.0 / SCALE_WINDOWS, past));
        sqrt((SCALE_PRIOR + self.squares) / (SCALE_PRIOR + windows)).clamp(SCALES.0, SCALES.1)
    }

    /// P(a chart of at least `value`) if nothing is going on.
    fn upper(&self, value: f64, expected: f64) -> f64 {
        let quantiles = self.quantiles(expected);
        let above = quantiles.partition_point(|quantile| *quantile < value);
        let above = above.clamp(1, quantiles.len() - 1);
        let (x0, x1) = (quantiles[above - 1], quantiles[above]);
        let (y0, y1) = (log(PROBABILITIES[above - 1]), log(PROBABILITIES[above]));
        exp(y0 + (y1 - y0) * (value - x0) / (x1 - x0)).min(1.0)
    }

    /// The value that is exceeded with this probability.
    fn limit(&self, p: f64, expected: f64) -> f64 {
        let quantiles = self.quantiles(expected);
        let above = PROBABILITIES.partition_point(|known| *known > p);
        let above = above.clamp(1, quantiles.len() - 1);
        let (x0, x1) = (quantiles[above - 1], quantiles[above]);
        let (y0, y1) = (log(PROBABILITIES[above - 1]), log(PROBABILITIES[above]));
        x0 + (x1 - x0) * (log(p) - y0) / (y1 - y0)
    }

    /// The row of the table, between classes of what is expected on logarithms.
    fn quantiles(&self, expected: f64) -> [f64; PROBABILITIES.len()] {
        let class = SEEN.partition_point(|least| *least <= self.seen).max(1) - 1;
        let above = EXPECTED.partition_point(|middle| *middle < expected);
        let above = above.clamp(1, EXPECTED.len() - 1);
        let (low, high) = (EXPECTED[above - 1], EXPECTED[above]);
        let share = (log(expected / low) / log(high / low)).clamp(0.0, 1.0);
        let rows = &TABLE[class];
        std::array::from_fn(|nth| {
            rows[above - 1][nth] + share * (rows[above][nth] - rows[above - 1][nth])
        })
    }
}

/// The p at which `series` series together give `per_week` false episodes a week.
pub fn threshold(series: usize, per_week: f64) -> f64 {
    let rate = PLANNED * per_week * WEEKS_A_YEAR / series.max(1) as f64;
    exp((log(rate) - log(RATE.0)) / RATE.1).clamp(P_LEAST, P_MOST)
}

/// Mean time in days between false episodes of this p or smaller, among `series` series.
pub fn recurrence_days(p: f64, series: usize) -> f64 {
    let rate = RATE.0 * pow(p.max(1e-12), RATE.1);
    365.25 / (rate * series.max(1) as f64)
}

/// The mean normal score of a count's range of tail probabilities, (φ(z₀) − φ(z₁)) / P(Y = y) with
/// z₀ and z₁ the scores of y or more and of more than y.
fn score(forecast: &Forecast, observed: f64) -> f64 {
    let (at_least, more) = (forecast.upper(observed), forecast.upper(observed + 1.0));
    let quantile = |p: f64| -normal_quantile(p.clamp(1e-15, 1.0 - 1e-15));
    let (low, high) = (quantile(at_least), quantile(more));
    // Where the range is narrow its ends are the mean, and the quotient would lose digits.
    let mean = if high - low < 0.01 {
        0.5 * (low + high)
    } else {
        let density = |z: f64| exp(-0.5 * z * z) / sqrt(2.0 * PI);
        (density(low) - density(high)) / (normal_upper(low) - normal_upper(high))
    };
    mean.clamp(SCORES.0, SCORES.1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::forecast::{Past, forecast};

    #[test]
    fn scores_have_mean_zero_under_their_forecast() {
        for counts in [[0.0, 0.0, 1.0, 0.0], [3.0, 5.0, 2.0, 9.0], [180.0, 220.0, 240.0, 160.0]] {
            let past = counts.map(|observed| Past { observed, exposure: 1.0, age: 6.0 });
            let forecast = forecast(&past, &prior());
            let mean: f64 = (0..5_000)
                .map(f64::from)
                .map(|count| {
                    (forecast.upper(count) - forecast.upper(count + 1.0)) * score(&forecast, count)
                })
                .sum();
            assert!(mean.abs() < 5e-3, "{counts:?}: {mean}");
        }
    }

    #[test]
    fn quantiles_rise_as_probabilities_fall() {
        for row in TABLE.iter().flatten() {
            assert!(row.is_sorted_by(|a, b| a < b), "{row:?}");
        }
        assert!(PROBABILITIES.is_sorted_by(|a, b| a > b) && EXPECTED.is_sorted());
        for (seen, expected) in [(1, 0.01), (10, 2.0), (30, 70.0), (200, 1e6)] {
            let chart = Chart { seen, ..Chart::default() };
            for p in [0.2, 0.02, 0.001, 1e-6] {
                let limit = chart.limit(p, expected);
                assert!((chart.upper(limit, expected) / p - 1.0).abs() < 1e-9, "{seen} {p}");
            }
        }
    }

    proptest! {
        #[test]
        fn a_count_is_in_alarm_where_its_p_is_at_most_alpha(
            past in prop::collection::vec(0..40_u32, 4..28), observed in 0..120_u32,
            average in -2.0..3.0_f64, seen in 0..60_u32, square in 0.3..6.0_f64, alpha in 1e-4..0.2_f64,
        ) {
            let past: Vec<Past> = past.iter().zip(4_u32..).map(|(count, age)| Past {
                observed: f64::from(*count), exposure: 1.0, age: f64::from(age),
            }).collect();
            let squares = square * f64::from(seen);
            let mut chart = Chart { average, squares, seen, rising: 0 };
            let observed = f64::from(observed);
            let look = chart.add(&forecast(&past, &prior()), observed, alpha);
            prop_assume!((look.pvalue / alpha - 1.0).abs() > 1e-9);
            let alarm = look.upperbound.is_some_and(|bound| observed > bound);
            prop_assert_eq!(look.pvalue <= alpha, alarm, "{:?}", look);
        }
    }
}
