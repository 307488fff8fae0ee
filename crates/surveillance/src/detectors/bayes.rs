//! bayes: the posterior predictive quantile of a Poisson mean, given reference values.
//!
//! Riebler (2004), after Farrington's windows; `algo.bayes` of R's surveillance. Reference values:
//! the last `w` points (`act-y`), and of each of the `b` years before the 2w + 1 points around the
//! same time of the year. With Jeffreys' prior the predictive law of a count is negative-binomial:
//! U = NB quantile at 1 − `alpha` with size = sum + 1/2 and prob = n / (n + 1), in counts.
//!
//! Alarm where y > U. `expected` is (sum + 1/2) / n, `pvalue` P(Y ≥ y), `statistic` none.
//!
//! Defaults (R's bayes1): `b` 0, `w` 6, `act-y` true, `alpha` 0.05; `freq`, the points in a year,
//! 52 or what the dates say. bayes2 is `b=1`, bayes3 `b=2 w=4 act-y=false`.
//! No fit, no trend, no overdispersion: a cheap second opinion.
//!
//! No answer: `baseline-too-short`.

use super::parameters::Parameters;
use super::reference::Reference;
use super::{Baseline, Judgement, Observations, ParamError, Range, Reason};
use crate::distribution::{negative_binomial_quantile, negative_binomial_upper};

/// The Bayes method with its parameters.
#[derive(Clone, Debug, PartialEq)]
pub struct Bayes {
    reference: Reference,
    alpha: f64,
    range: Option<Range>,
}

impl Bayes {
    pub(super) fn read(parameters: &mut Parameters) -> Result<Bayes, ParamError> {
        let bayes = Bayes {
            reference: Reference::read(parameters, 0, 6, true)?,
            alpha: parameters.probability(&["alpha"], 0.05)?,
            range: parameters.range()?,
        };
        parameters.compatible_with(&["surveillance"])?;
        Ok(bayes)
    }

    pub(super) fn judge(
        &self,
        observations: &Observations,
        t: usize,
        baseline: Baseline,
    ) -> Judgement {
        if !Range::holds(self.range, t) {
            return Judgement::no_answer(Reason::NotMonitored);
        }
        let values = match self.reference.values(observations, t, baseline) {
            Ok(values) => values,
            Err(reason) => return Judgement::no_answer(reason),
        };
        let n = values.len() as f64;
        let size = values.iter().sum::<f64>() + 0.5;
        let prob = n / (n + 1.0);
        let upperbound = negative_binomial_quantile(1.0 - self.alpha, size, prob);
        let observed = observations.counts[t];
        Judgement {
            expected: Some(size / n),
            upperbound: Some(upperbound),
            alarm: observed.map(|y| y > upperbound),
            pvalue: observed.map(|y| negative_binomial_upper(y, size, prob)),
            statistic: None,
            reason: None,
        }
    }
}
