//! weeks: has a series been above its forecasts for some weeks? For slow rises.
//!
//! In alarm where P(a chart this high) ≤ alpha for the chart of [`crate::forecast::weeks`], which
//! has the formulas, and the window is above what is expected. For one series of non-overlapping
//! windows of seven days, as `detect` has it. Days, regions and topics are unknown to it.
//!
//! `statistic` is the chart in units of its usual movement, `pvalue` its tail probability, `upperbound`
//! the largest count that would not be in alarm, absent where none is.

use super::parameters::Parameters;
use super::{Judgement, Observations, ParamError, Range, Reason};
use crate::forecast::weeks::{self, BASELINE, BASELINE_LEAST, Chart, GUARD};
use crate::forecast::{Forecast, Past, forecast};

/// The method with its parameters.
#[derive(Clone, Debug, PartialEq)]
pub struct Weeks {
    alpha: f64,
    baseline: usize,
    guardband: usize,
    range: Option<Range>,
}

impl Weeks {
    /// `alpha` 0.003: alarm where P(chart ≥ its value) ≤ alpha. `b` 28 weeks of baseline at most
    /// after `guardband` 4, or a third of the past where that is shorter.
    pub(super) fn read(parameters: &mut Parameters) -> Result<Weeks, ParamError> {
        Ok(Weeks {
            alpha: parameters.probability(&["alpha"], 0.003)?,
            baseline: parameters.count(&["b", "baseline"], BASELINE, BASELINE_LEAST..=1_000)?,
            guardband: parameters.count(&["guardband"], GUARD, 0..=1_000)?,
            range: parameters.range()?,
        })
    }

    pub(super) fn judge_all(&self, observations: &Observations) -> Vec<Judgement> {
        let mut chart = Chart::default();
        let mut judge = |t: usize| {
            let (forecast, observed) = match self.window(observations, t) {
                Ok(window) => window,
                Err(reason) => return Judgement::no_answer(reason),
            };
            let look = chart.add(&forecast, observed, self.alpha);
            if !Range::holds(self.range, t) {
                return Judgement::no_answer(Reason::NotMonitored);
            }
            Judgement {
                expected: Some(forecast.expected()),
                upperbound: look.upperbound,
                alarm: Some(look.upperbound.is_some_and(|bound| observed > bound)),
                pvalue: Some(look.pvalue),
                statistic: Some(look.value),
                reason: None,
            }
        };
        (0..observations.counts.len()).map(&mut judge).collect()
    }

    /// A window's forecast and its count.
    fn window(&self, observations: &Observations, t: usize) -> Result<(Forecast, f64), Reason> {
        let exposure = |at: usize| match observations.population.get(at) {
            None => Some(1.0),
            Some(population) => population.filter(|population| *population > 0.0),
        };
        let observed = observations.counts[t].ok_or(Reason::MissingValue)?;
        let own = exposure(t).ok_or(Reason::MissingPopulation)?;
        let newest = t - self.guardband.min(t / 3);
        let past: Vec<Past> = (newest.saturating_sub(self.baseline)..newest)
            .filter_map(|at| {
                let exposure = (exposure(at)? / own).clamp(1e-6, 1e6);
                let observed = observations.counts[at].filter(|count| *count <= 1e12)?;
                Some(Past { observed, exposure, age: (t - at) as f64 })
            })
            .collect();
        if past.len() < BASELINE_LEAST {
            return Err(Reason::BaselineTooShort);
        }
        Ok((forecast(&past, &weeks::prior()), observed))
    }
}
