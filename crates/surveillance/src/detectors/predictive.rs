//! nb-predictive: the default. Is a count larger than its forecast leaves likely?
//!
//! In alarm where P(Y ≥ y) ≤ alpha under [`crate::forecast`], which has the formulas and sources.
//! Here for one series of non-overlapping points, as `detect` has it; `watch` forecasts a topic's
//! regions together. Knows no topics, regions or clocks.

use super::parameters::Parameters;
use super::{Judgement, Observations, ParamError, Range, Reason};
use crate::forecast::season::Season;
use crate::forecast::{Forecast, Past, Prior, Wild, forecast};

/// Defaults by the spacing of a series' points.
///
/// Chosen among some 150 combinations on Japanese notifiable diseases, US measles and influenza and
/// counts of tweets. Hours are compared with the same hour of other days. Weeks have a longer guard,
/// since epidemics last for weeks, and no answer from a baseline of less than eight; their growth
/// holds for a baseline of half a year, so that it is less than that of days.
#[derive(Clone, Copy, Debug)]
struct Spacing {
    alpha: f64,
    guardband: usize,
    least: usize,
    stride: usize,
    /// Standard deviation of the relative growth a week, and the steps of a baseline in one.
    trend_sd: f64,
    steps_a_week: f64,
    /// How likely the level drifts from point to point.
    drift: f64,
}

impl Spacing {
    const DAY: Spacing = Spacing {
        alpha: 0.001,
        guardband: 1,
        least: 1,
        stride: 1,
        trend_sd: 0.07,
        steps_a_week: 7.0,
        drift: 0.5,
    };
    const ALL: [(&'static str, Spacing); 4] = [
        ("hour", Spacing { alpha: 0.0001, stride: 24, ..Spacing::DAY }),
        ("6h", Spacing { alpha: 0.0003, stride: 4, ..Spacing::DAY }),
        ("day", Spacing::DAY),
        (
            "week",
            Spacing {
                alpha: 0.0075,
                guardband: 4,
                least: 8,
                stride: 1,
                trend_sd: 0.014,
                steps_a_week: 1.0,
                drift: 0.3,
            },
        ),
    ];
}

/// The method as `detect` has it: one series of non-overlapping points, without a topic around it.
#[derive(Clone, Debug, PartialEq)]
pub struct Predictive {
    alpha: f64,
    baseline: usize,
    /// Fewer usable points are no baseline.
    least: usize,
    guardband: usize,
    /// Points from one to the next of a baseline: a day of hours.
    stride: usize,
    weekday: bool,
    prior: Prior,
    range: Option<Range>,
}

impl Predictive {
    /// `alpha` 0.001: alarm where P(Y ≥ y) ≤ alpha. `b` 28 points of baseline after `guardband` 1;
    /// `weekday` false: whether every seventh point is alike; `prior-middle` 0.3 counts a point
    /// with `prior-shape` 0.5; `trend-sd` 0.07: growth a week. `every` hour, 6h, day or week says
    /// how far points are apart, and with it other defaults: see [`Spacing`].
    pub(super) fn read(parameters: &mut Parameters) -> Result<Predictive, ParamError> {
        let defaults = Prior::default();
        let names = Spacing::ALL.map(|(name, _)| name);
        let given = parameters.word(&["every"], &names)?;
        let spacing = given.map_or(Spacing::DAY, |given| Spacing::ALL[given].1);
        let growth = parameters.number(&["trend-sd"], spacing.trend_sd, 0.0..=10.0)?;
        Ok(Predictive {
            alpha: parameters.probability(&["alpha"], spacing.alpha)?,
            baseline: parameters.count(&["b", "baseline"], 28, 1..=1_000)?,
            least: spacing.least,
            guardband: parameters.count(&["guardband"], spacing.guardband, 0..=1_000)?,
            stride: spacing.stride,
            weekday: parameters.flag(&["weekday"], false)?,
            prior: Prior {
                heavy: 1.0,
                wild: Wild::OF_SERIES,
                drift: spacing.drift,
                trend_sd: growth / spacing.steps_a_week,
                middle: parameters.number(&["prior-middle"], defaults.middle, 1e-6..=1e9)?,
                shape: parameters.number(&["prior-shape"], defaults.shape, 0.01..=1e6)?,
                ..defaults
            },
            range: parameters.range()?,
        })
    }

    /// The threshold of an alarm.
    pub fn alpha(&self) -> f64 {
        self.alpha
    }

    pub(super) fn judge(&self, observations: &Observations, t: usize) -> Judgement {
        if !Range::holds(self.range, t) {
            return Judgement::no_answer(Reason::NotMonitored);
        }
        let exposure = |at: usize| match observations.population.get(at) {
            None => Some(1.0),
            Some(population) => population.filter(|population| *population > 0.0),
        };
        let Some(own) = exposure(t) else { return Judgement::no_answer(Reason::MissingPopulation) };
        let mut past: Vec<Past> = (self.guardband + 1..=self.guardband + self.baseline)
            .rev()
            .filter_map(|steps| {
                let at = t.checked_sub(steps * self.stride)?;
                let (observed, exposure) = (observations.counts[at]?, exposure(at)?);
                (observed <= 1e12).then_some(Past {
                    observed,
                    exposure: (exposure / own).clamp(1e-6, 1e6),
                    age: steps as f64,
                })
            })
            .collect();
        if past.len() < self.least {
            return Judgement::no_answer(Reason::BaselineTooShort);
        }
        let mut prior = self.prior;
        if self.weekday {
            let day = (t / self.stride) as i64;
            let season = Season::learn(
                &past.iter().map(|past| (*past, day - past.age as i64)).collect::<Vec<_>>(),
            );
            for window in &mut past {
                window.exposure *= season.relative(day - window.age as i64, day);
            }
            prior.exposure_variance += season.variance();
        }
        judge_by(&forecast(&past, &prior), observations.counts[t], self.alpha)
    }
}

/// The judgement of a forecast: in alarm where P(Y ≥ y) ≤ `alpha`.
pub fn judge_by(forecast: &Forecast, observed: Option<f64>, alpha: f64) -> Judgement {
    let upperbound = forecast.bound(alpha);
    Judgement {
        expected: Some(forecast.expected()),
        upperbound: Some(upperbound),
        alarm: observed.map(|observed| observed > upperbound),
        pvalue: observed.map(|observed| forecast.upper(observed)),
        statistic: None,
        reason: None,
    }
}
