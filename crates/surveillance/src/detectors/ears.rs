//! EARS C1, C2 and C3: a moving mean and spread of the last few points.
//!
//! CDC's Early Aberration Reporting System: Hutwagner et al., J Urban Health 2003;80(2):i89-96;
//! the form with z quantiles: Fricker, Hegler, Dunfee, Stat Med 2008;27:3407-29; as computed by
//! `earsC` of R's surveillance. With n = `baseline`, z = the normal quantile at 1 − `alpha`, s =
//! max(sd with n − 1, `min-sigma`), all in counts:
//!
//! - C1: mean and s of y(t−n) … y(t−1); U = mean + z s.
//! - C2: the same of y(t−n−2) … y(t−3), a guard of two points; U = mean + z s.
//! - C3: Z(j) = (y(j) − mean(j)) / s(j) with C2's baseline, c = max(0, Z(t−1) − 1) + max(0, Z(t−2)
//!   − 1);
//!   U = max(0, y(t) + s(t) (z − c)).
//!
//! Alarm where y(t) > U. So C3, in this form, alarms for what the two points *before* carried over
//! (c > z) whatever the point itself is; CDC's own statistic adds the point's Z. It finds a rise
//! one or two points late, and is here because users compare with it.
//!
//! Defaults: `baseline` 7, `min-sigma` 0, `alpha` 0.001 for C1 and C2, 0.025 for C3.
//! Burkom's advice is `min-sigma=0.5`: with 0, any count above a constant past alarms in C1 and C2.
//!
//! `statistic` is (y − mean)/s, for C3 the carried c; `pvalue` is the normal tail of it for C1 and
//! C2, none for C3 whose sum has no simple law.
//!
//! No answer: `baseline-too-short`; `constant-baseline` where C3 divides 0 by 0, which R leaves as
//! NaN.

use super::parameters::Parameters;
use super::{
    Baseline, Judgement, ParamError, Range, Reason, baseline_values, mean, standard_deviation,
};
use crate::distribution::{normal_quantile, normal_upper};

/// Which of the three.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    C1,
    C2,
    C3,
}

/// EARS C1, C2 or C3 with its parameters.
#[derive(Clone, Debug, PartialEq)]
pub struct Ears {
    kind: Kind,
    baseline: usize,
    min_sigma: f64,
    /// The normal quantile at 1 − alpha.
    z: f64,
    range: Option<Range>,
}

/// A point's distance from its baseline.
struct Distance {
    mean: f64,
    sigma: f64,
    z: f64,
}

impl Ears {
    pub(super) fn read(kind: Kind, parameters: &mut Parameters) -> Result<Ears, ParamError> {
        let alpha = match kind {
            Kind::C1 | Kind::C2 => 0.001,
            Kind::C3 => 0.025,
        };
        let ears = Ears {
            kind,
            baseline: parameters.count(&["baseline"], 7, 3..=10_000)?,
            min_sigma: parameters.number(&["min-sigma"], 0.0, 0.0..=1e15)?,
            z: -normal_quantile(parameters.probability(&["alpha"], alpha)?),
            range: parameters.range()?,
        };
        parameters.compatible_with(&["surveillance"])?;
        Ok(ears)
    }

    pub(super) fn name(&self) -> &'static str {
        match self.kind {
            Kind::C1 => "ears-c1",
            Kind::C2 => "ears-c2",
            Kind::C3 => "ears-c3",
        }
    }

    pub(super) fn judge(&self, counts: &[Option<f64>], t: usize, baseline: Baseline) -> Judgement {
        if !Range::holds(self.range, t) {
            return Judgement::no_answer(Reason::NotMonitored);
        }
        let outcome = match self.kind {
            Kind::C1 | Kind::C2 => self.judge_one(counts, t, baseline),
            Kind::C3 => self.judge_three(counts, t, baseline),
        };
        outcome.unwrap_or_else(Judgement::no_answer)
    }

    fn judge_one(
        &self,
        counts: &[Option<f64>],
        t: usize,
        baseline: Baseline,
    ) -> Result<Judgement, Reason> {
        let now = self.distance(counts, t, baseline)?;
        let upperbound = now.mean + self.z * now.sigma;
        let statistic = now.z.is_finite().then_some(now.z);
        Ok(Judgement {
            expected: Some(now.mean),
            upperbound: Some(upperbound),
            alarm: counts[t].map(|y| y > upperbound),
            pvalue: statistic.map(normal_upper),
            statistic,
            reason: None,
        })
    }

    fn judge_three(
        &self,
        counts: &[Option<f64>],
        t: usize,
        baseline: Baseline,
    ) -> Result<Judgement, Reason> {
        let now = self.distance(counts, t, baseline)?;
        let (Some(day_before), Some(two_before)) = (t.checked_sub(1), t.checked_sub(2)) else {
            return Err(Reason::BaselineTooShort);
        };
        let mut carried = 0.0;
        for day in [day_before, two_before] {
            match self.distance(counts, day, baseline) {
                // 0/0, which R carries on as NaN.
                Ok(past) if past.z.is_nan() && counts[day].is_some() => {
                    return Err(Reason::ConstantBaseline);
                }
                // A missing day carries nothing.
                Ok(past) => carried += (past.z - 1.0).max(0.0),
                Err(reason) if baseline == Baseline::Full => return Err(reason),
                Err(_) => {}
            }
        }
        let Some(y) = counts[t] else {
            return Err(Reason::MissingValue);
        };
        let limit = y + now.sigma * (self.z - carried);
        if limit.is_nan() {
            return Err(Reason::ConstantBaseline);
        }
        let upperbound = limit.max(0.0);
        Ok(Judgement {
            expected: Some(now.mean),
            upperbound: Some(upperbound),
            alarm: Some(y > upperbound),
            pvalue: None,
            statistic: carried.is_finite().then_some(carried),
            reason: None,
        })
    }

    fn distance(
        &self,
        counts: &[Option<f64>],
        t: usize,
        baseline: Baseline,
    ) -> Result<Distance, Reason> {
        let guard = match self.kind {
            Kind::C1 => 0,
            Kind::C2 | Kind::C3 => 2,
        };
        let values = baseline_values(counts, t, guard, 1, self.baseline, baseline)?;
        let mean = mean(&values);
        let sigma = standard_deviation(&values).max(self.min_sigma);
        let z = counts[t].map_or(f64::NAN, |y| (y - mean) / sigma);
        Ok(Distance { mean, sigma, z })
    }
}
