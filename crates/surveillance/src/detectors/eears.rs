//! eears: the modified EARS of epitweetr and episomer (ECDC), compatible or with a floor.
//!
//! From epitweetr's `alert.R` and Annex I of its vignette. Baseline: the n = `baseline` values
//! y(t−n·`step`) … y(t−`step`), without guard. All in counts:
//!
//! 1. m = mean, r(i) = (y(i) − m) / (sd without y(i) · √(1 − 1/n)), the externally studentised
//!    residual.
//! 2. c = t quantile at 1 − `alpha-outlier` with n − 2 degrees of freedom; w(i) =
//!    (c/r(i))^`k-decay` where r(i) > c, else 1; scaled to sum n. So past spikes do not hide the
//!    next one.
//! 3. m_w = mean(w y); s_w² = Σ w (y − m_w)² / (n − 1).
//! 4. U = m_w + t quantile at 1 − `alpha` with n − 1 degrees of freedom · s_w √(1 + 1/n).
//!
//! Alarm where y(t) > U. `expected` is the unweighted m, as epitweetr reports it; `statistic` is (y
//! − m_w) / (s_w √(1 + 1/n)), `pvalue` its t tail.
//!
//! The default is *fixed*: s_w² ≥ max(m_w, 0.25), the Poisson floor, and r(i) := 0 where both its
//! parts are 0; then a constant past, such as seven days of nothing, gives a limit too.
//! `compat=epitweetr` leaves that out: a constant past has no answer, `constant-baseline`, however
//! high the count; and one post after a past with a single post alarms.
//!
//! Defaults: `baseline` (also `n`) 7, `step` 1 (`same-weekday=true` is 7), `alpha` 0.025,
//! `alpha-outlier` 0.05, `k-decay` 4. Bonferroni's division of alpha by the number of regions is
//! the caller's. With fewer values than n, from three, n is what there is.

use super::parameters::Parameters;
use super::{
    Baseline, Judgement, ParamError, Range, Reason, baseline_values, is_constant, mean,
    standard_deviation,
};
use crate::distribution::{t_quantile_upper, t_upper};
use libm::{pow, sqrt};

/// The modified EARS of epitweetr with its parameters.
#[derive(Clone, Debug, PartialEq)]
pub struct Eears {
    baseline: usize,
    step: usize,
    k_decay: f64,
    /// As the original, which has no answer where the past is constant.
    compatible: bool,
    /// t quantiles at 1 − alpha by degrees of freedom, from 1.
    limits: Vec<f64>,
    /// t quantiles at 1 − alpha-outlier by degrees of freedom, from 1.
    outlier_limits: Vec<f64>,
    range: Option<Range>,
}

impl Eears {
    pub(super) fn read(parameters: &mut Parameters) -> Result<Eears, ParamError> {
        let baseline = parameters.count(&["baseline", "n", "no-historic"], 7, 3..=1_000)?;
        let same_weekday = parameters.flag(&["same-weekday"], false)?;
        let step = parameters.count(&["step"], if same_weekday { 7 } else { 1 }, 1..=1_000)?;
        let alpha = parameters.probability(&["alpha"], 0.025)?;
        let alpha_outlier = parameters.probability(&["alpha-outlier"], 0.05)?;
        let quantiles =
            |alpha| (1..baseline).map(|df| t_quantile_upper(alpha, df as f64)).collect();
        Ok(Eears {
            baseline,
            step,
            k_decay: parameters.number(&["k-decay"], 4.0, 0.0..=1_000.0)?,
            compatible: parameters.compatible_with(&["epitweetr"])?.is_some(),
            limits: quantiles(alpha),
            outlier_limits: quantiles(alpha_outlier),
            range: parameters.range()?,
        })
    }

    pub(super) fn judge(&self, counts: &[Option<f64>], t: usize, baseline: Baseline) -> Judgement {
        if !Range::holds(self.range, t) {
            return Judgement::no_answer(Reason::NotMonitored);
        }
        match baseline_values(counts, t, 0, self.step, self.baseline, baseline) {
            Ok(values) => self.judge_by(&values, counts[t]),
            Err(reason) => Judgement::no_answer(reason),
        }
    }

    fn judge_by(&self, values: &[f64], observed: Option<f64>) -> Judgement {
        let unweighted = mean(values);
        if self.compatible && is_constant(values) {
            return Judgement {
                expected: Some(unweighted),
                ..Judgement::no_answer(Reason::ConstantBaseline)
            };
        }
        let n = values.len() as f64;
        let df = values.len() - 1;
        let weights = self.weights(values, unweighted);
        let weighted_mean = weights.iter().zip(values).map(|(w, y)| w * y).sum::<f64>() / n;
        let squares = weights
            .iter()
            .zip(values)
            .map(|(w, y)| w * (y - weighted_mean) * (y - weighted_mean))
            .sum::<f64>();
        let variance = squares / df as f64;
        let variance =
            if self.compatible { variance } else { variance.max(weighted_mean).max(0.25) };
        let spread = sqrt(variance) * sqrt(1.0 + 1.0 / n);
        let upperbound = weighted_mean + self.limits[df - 1] * spread;
        let statistic = observed.map(|y| (y - weighted_mean) / spread).filter(|z| z.is_finite());
        Judgement {
            expected: Some(unweighted),
            upperbound: Some(upperbound),
            alarm: observed.map(|y| y > upperbound),
            pvalue: statistic.map(|z| t_upper(z, df as f64)),
            statistic,
            reason: None,
        }
    }

    /// Weights that sum to n, small where a value stands out from the others.
    fn weights(&self, values: &[f64], centre: f64) -> Vec<f64> {
        let n = values.len() as f64;
        let limit = self.outlier_limits[values.len() - 3];
        let mut others = Vec::with_capacity(values.len());
        let mut weights: Vec<f64> = (0..values.len())
            .map(|i| {
                others.clear();
                others.extend(values[..i].iter().chain(&values[i + 1..]));
                let deviation = values[i] - centre;
                let residual = if deviation == 0.0 {
                    0.0
                } else {
                    deviation / (standard_deviation(&others) * sqrt(1.0 - 1.0 / n))
                };
                if residual > limit { pow(limit / residual, self.k_decay) } else { 1.0 }
            })
            .collect();
        let sum: f64 = weights.iter().sum();
        for weight in &mut weights {
            *weight *= n / sum;
        }
        weights
    }
}
