//! Reference values: the points of earlier years that are compared with now.
//!
//! Used by `bayes`, `rki` and both Farringtons. Knows years as `freq` points, or as calendar years
//! where the points have dates.

use super::parameters::Parameters;
use super::{BASELINE_LEAST, Baseline, Observations, ParamError, Reason};

/// Windows of ± `half_width` points around the same time in each of the last `years`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Reference {
    pub(super) years: usize,
    pub(super) half_width: usize,
    /// The last `half_width` points count too.
    this_year: bool,
    pub(super) frequency: Frequency,
}

/// The number of points in a year: as given, else from the dates, else 52.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frequency(Option<usize>);

impl Frequency {
    pub(super) fn read(parameters: &mut Parameters) -> Result<Frequency, ParamError> {
        match parameters.count(&["freq", "frequency"], 0, 0..=100_000)? {
            0 => Ok(Frequency(None)),
            points => Ok(Frequency(Some(points))),
        }
    }

    pub(super) fn of(self, observations: &Observations) -> usize {
        self.0.unwrap_or(match observations.days {
            Some([first, second, ..]) => match second.saturating_sub(*first) {
                1 => 365,
                28..=31 => 12,
                _ => 52,
            },
            _ => 52,
        })
    }
}

impl Reference {
    pub(super) fn read(
        parameters: &mut Parameters,
        years: usize,
        half_width: usize,
        this_year: bool,
    ) -> Result<Reference, ParamError> {
        Ok(Reference {
            years: parameters.count(&["b"], years, 0..=100)?,
            half_width: parameters.count(&["w"], half_width, 0..=1_000)?,
            this_year: parameters.flag(&["act-y"], this_year)?,
            frequency: Frequency::read(parameters)?,
        })
    }

    /// The usable reference values of point `t`, by index and not by date, as these methods do.
    pub(super) fn values(
        &self,
        observations: &Observations,
        t: usize,
        baseline: Baseline,
    ) -> Result<Vec<f64>, Reason> {
        let frequency = self.frequency.of(observations);
        let reaches_back = t >= self.years * frequency + self.half_width;
        if baseline == Baseline::Full && !reaches_back {
            return Err(Reason::BaselineTooShort);
        }
        let mut values = Vec::new();
        if self.this_year {
            values
                .extend(observations.counts[t.saturating_sub(self.half_width)..t].iter().flatten());
        }
        for year in 1..=self.years {
            let Some(centre) = t.checked_sub(year * frequency) else {
                break;
            };
            let first = centre.saturating_sub(self.half_width);
            let last = (centre + self.half_width).min(t.saturating_sub(1));
            values.extend(observations.counts.get(first..=last).unwrap_or(&[]).iter().flatten());
        }
        if values.len() < BASELINE_LEAST {
            return Err(Reason::BaselineTooShort);
        }
        Ok(values)
    }
}
