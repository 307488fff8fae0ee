//! nb-predictive: the default. Is a count larger than its forecast leaves likely?
//!
//! In alarm where P(Y ≥ y) ≤ alpha under [`crate::forecast`], which has the formulas and sources.
//! Here for one series of non-overlapping points, as `detect` has it; `watch` forecasts a topic's
//! regions together. Knows no topics, regions or clocks.

use super::parameters::Parameters;
use super::{Judgement, Observations, ParamError, Range, Reason};
use crate::forecast::season::Season;
use crate::forecast::{Forecast, Past, Prior, forecast};

/// The method as `detect` has it: one series of non-overlapping points, without a topic around it.
#[derive(Clone, Debug, PartialEq)]
pub struct Predictive {
    alpha: f64,
    baseline: usize,
    guardband: usize,
    weekday: bool,
    prior: Prior,
    range: Option<Range>,
}

impl Predictive {
    /// `alpha` 0.001: alarm where P(Y ≥ y) ≤ alpha. `b` 28 points of baseline after `guardband` 1;
    /// `weekday` false: whether every seventh point is alike; `prior-middle` 0.3 counts a point
    /// with `prior-shape` 0.5.
    pub(super) fn read(parameters: &mut Parameters) -> Result<Predictive, ParamError> {
        let defaults = Prior::default();
        Ok(Predictive {
            alpha: parameters.probability(&["alpha"], 0.001)?,
            baseline: parameters.count(&["b", "baseline"], 28, 1..=1_000)?,
            guardband: parameters.count(&["guardband"], 1, 0..=1_000)?,
            weekday: parameters.flag(&["weekday"], false)?,
            prior: Prior {
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
        let newest = t.saturating_sub(self.guardband);
        let mut past: Vec<Past> = (newest.saturating_sub(self.baseline)..newest)
            .filter_map(|at| {
                let (observed, exposure) = (observations.counts[at]?, exposure(at)?);
                (observed <= 1e12).then_some(Past {
                    observed,
                    exposure: (exposure / own).clamp(1e-6, 1e6),
                    age: (t - at) as f64,
                })
            })
            .collect();
        if past.is_empty() {
            return Judgement::no_answer(Reason::BaselineTooShort);
        }
        let mut prior = self.prior;
        if self.weekday {
            let season = Season::learn(
                &past.iter().map(|past| (*past, (t as i64) - past.age as i64)).collect::<Vec<_>>(),
            );
            for window in &mut past {
                window.exposure *= season.relative(t as i64 - window.age as i64, t as i64);
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
