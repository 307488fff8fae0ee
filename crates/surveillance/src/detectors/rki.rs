//! rki: the early system of the Robert Koch Institute, mean plus two standard deviations.
//!
//! `algo.rki` of R's surveillance (Altmann 2003). Reference values as for `bayes`. With m their
//! mean: U = m + 2 sd where m > 20, else the upper 95 % limit of a Poisson mean after a count of
//! ⌊m⌋ in the table of Crow and Gardner (Biometrika 1959;46:441-53); in counts.
//!
//! Alarm where y > U. `expected` is m; there is no `pvalue` and no `statistic`.
//!
//! Defaults (R's rki3): `b` 2, `w` 4, `act-y` false; `freq` 52 or what the dates say.
//! rki1 is `b=0 w=6 act-y=true`, rki2 `b=1 w=6 act-y=true`.
//!
//! No answer: `baseline-too-short`.

use super::parameters::Parameters;
use super::reference::Reference;
use super::{
    Baseline, Judgement, Observations, ParamError, Range, Reason, mean, standard_deviation,
};

/// Upper 95 % limits of a Poisson mean for counts of 0 to 20.
const CROW_GARDNER: [f64; 21] = [
    3.285, 5.323, 6.686, 8.102, 9.598, 11.177, 12.817, 13.765, 14.921, 16.768, 17.633, 19.050,
    20.335, 21.364, 22.945, 23.762, 25.400, 26.306, 27.735, 28.966, 30.017,
];

/// The RKI method with its parameters.
#[derive(Clone, Debug, PartialEq)]
pub struct Rki {
    reference: Reference,
    range: Option<Range>,
}

impl Rki {
    pub(super) fn read(parameters: &mut Parameters) -> Result<Rki, ParamError> {
        let rki = Rki {
            reference: Reference::read(parameters, 2, 4, false)?,
            range: parameters.range()?,
        };
        parameters.compatible_with(&["surveillance"])?;
        Ok(rki)
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
        let mean = mean(&values);
        let upperbound = match CROW_GARDNER.get(libm::floor(mean) as usize) {
            Some(&limit) if mean <= 20.0 => limit,
            _ => mean + 2.0 * standard_deviation(&values),
        };
        Judgement {
            expected: Some(mean),
            upperbound: Some(upperbound),
            alarm: observations.counts[t].map(|y| y > upperbound),
            ..Judgement::default()
        }
    }
}
