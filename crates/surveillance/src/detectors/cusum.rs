//! cusum: cumulative sums of standardised counts.
//!
//! Rossi, Lampugnani, Marchi, Stat Med 1999;18:2111-22, and `algo.cusum` of R's surveillance:
//! C(t) = max(0, C(t−1) + g(y(t)) − `k`) from C = 0 at the start of `range`; alarm where C(t) ≥
//! `h`.
//! There is no reset: once up it comes down only as counts do. With m the in-control mean, in
//! counts, and a = `alpha`, `trans` chooses g:
//!
//! - `standard`: (y − m) / √m
//! - `rossi`: (y − 3m + 2√(y m)) / (2√m)
//! - `anscombe`: 1.5 (y^⅔ − m^⅔) / m^⅙
//! - `anscombe2nd`: (y^⅔ − (m^⅔ − m^−⅓/9)) / (⅔ m^⅙)
//! - `pearsonNegBin`: (y − m) / √(m + a m²)
//! - `anscombeNegBin`: ∫ from m to y of (x (1 + a x))^−⅓ dx / (m + a m²)^⅙; R reads the integral
//!   from a rounded table, here it is computed
//! - `none`: y
//!
//! `m`: a number, a list of one for each point of `range`, or `glm`, a Poisson model with a yearly
//! wave fitted to the points before `range`; by default the mean of these.
//! `arla` and `arlr` choose `k` and `h` instead, as R's `find.kh` does: the average run length of a
//! standard normal CUSUM is `arla` (default 500) at mean 0 and `arlr` (default 7) at mean 2k.
//! Defaults: `k` 1.04, `h` 2.26, `trans` standard, `alpha` 0.1; without `range` the first year
//! (`freq` points) trains.
//!
//! `statistic` is C(t), `expected` m, `upperbound` the count at which C(t) would reach h, by R's
//! formulas (rounded up for `standard`; in units of g, h − C(t), for `none` and `anscombeNegBin`).
//! There is no `pvalue`.
//!
//! No answer: `baseline-too-short` (nothing to train on), `zero-expected` (m is 0), `no-fit`.

use super::least_squares::{Family, fit_log_linear, harmonic_row, mean_of, transposed};
use super::parameters::Parameters;
use super::reference::Frequency;
use super::run_length::find_kh;
use super::{Judgement, Observations, ParamError, Range, Reason, mean};
use libm::{cbrt, ceil, sqrt};

/// How a count is standardised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Transformation {
    Standard,
    Rossi,
    Anscombe,
    AnscombeSecondOrder,
    PearsonNegativeBinomial,
    AnscombeNegativeBinomial,
    None,
}

const TRANSFORMATIONS: [(&str, Transformation); 7] = [
    ("standard", Transformation::Standard),
    ("rossi", Transformation::Rossi),
    ("anscombe", Transformation::Anscombe),
    ("anscombe2nd", Transformation::AnscombeSecondOrder),
    ("pearsonNegBin", Transformation::PearsonNegativeBinomial),
    ("anscombeNegBin", Transformation::AnscombeNegativeBinomial),
    ("none", Transformation::None),
];

/// Where the in-control mean comes from.
#[derive(Clone, Debug, PartialEq)]
enum InControl {
    TrainingMean,
    Model,
    Given(Vec<f64>),
}

/// The CUSUM with its parameters.
#[derive(Clone, Debug, PartialEq)]
pub struct Cusum {
    k: f64,
    h: f64,
    in_control: InControl,
    transformation: Transformation,
    alpha: f64,
    frequency: Frequency,
    range: Option<Range>,
}

impl Cusum {
    pub(super) fn read(parameters: &mut Parameters) -> Result<Cusum, ParamError> {
        let names = TRANSFORMATIONS.map(|(name, _)| name);
        let transformation = parameters.word(&["trans"], &names)?.unwrap_or(0);
        let m = parameters.text(&["m"])?;
        let in_control = match m {
            None => InControl::TrainingMean,
            Some(text) if text.eq_ignore_ascii_case("glm") => InControl::Model,
            Some(text) => InControl::Given(parameters.numbers_in("m", text, 0.0..=1e15)?),
        };
        let (k, h) = reference_and_limit(parameters)?;
        let cusum = Cusum {
            k,
            h,
            in_control,
            transformation: TRANSFORMATIONS[transformation].1,
            alpha: parameters.number(&["alpha"], 0.1, 0.0..=1e9)?,
            frequency: Frequency::read(parameters)?,
            range: parameters.range()?,
        };
        parameters.compatible_with(&["surveillance"])?;
        Ok(cusum)
    }

    pub(super) fn judge_all(&self, observations: &Observations) -> Vec<Judgement> {
        let length = observations.counts.len();
        let frequency = self.frequency.of(observations);
        let monitored = Range::or_after(self.range, frequency, length);
        let mut judgements = vec![Judgement::no_answer(Reason::NotMonitored); length];
        for judgement in judgements.iter_mut().take(monitored.start) {
            judgement.reason = Some(Range::reason_before(self.range));
        }
        let means = match self.means(observations, &monitored, frequency) {
            Ok(means) => means,
            Err(reason) => {
                judgements[monitored].fill(Judgement::no_answer(reason));
                return judgements;
            }
        };
        let mut sum = 0.0;
        for (t, m) in monitored.zip(means) {
            judgements[t] = self.judge(observations.counts[t], m, &mut sum);
        }
        judgements
    }

    fn judge(&self, observed: Option<f64>, m: f64, sum: &mut f64) -> Judgement {
        if m == 0.0 && self.transformation != Transformation::None {
            return Judgement::no_answer(Reason::ZeroExpected);
        }
        let before = *sum;
        if let Some(y) = observed {
            let next = (before + self.standardised(y, m) - self.k).max(0.0);
            if next.is_nan() {
                return Judgement::no_answer(Reason::NotFinite);
            }
            *sum = next;
        }
        let bound = self.bound(m, before, *sum);
        Judgement {
            expected: Some(m),
            upperbound: Some(if bound.is_nan() { 0.0 } else { bound.max(0.0) }),
            alarm: observed.map(|_| *sum >= self.h),
            pvalue: None,
            statistic: observed.map(|_| *sum),
            reason: None,
        }
    }

    fn standardised(&self, y: f64, m: f64) -> f64 {
        let spread = m + self.alpha * m * m;
        match self.transformation {
            Transformation::Standard => (y - m) / sqrt(m),
            Transformation::Rossi => (y - 3.0 * m + 2.0 * sqrt(y * m)) / (2.0 * sqrt(m)),
            Transformation::Anscombe => 1.5 * (two_thirds(y) - two_thirds(m)) / sixth(m),
            Transformation::AnscombeSecondOrder => {
                (two_thirds(y) - (two_thirds(m) - 1.0 / (9.0 * cbrt(m)))) / (2.0 / 3.0 * sixth(m))
            }
            Transformation::PearsonNegativeBinomial => (y - m) / sqrt(spread),
            Transformation::AnscombeNegativeBinomial => {
                (anscombe_integral(y, self.alpha) - anscombe_integral(m, self.alpha))
                    / sixth(spread)
            }
            Transformation::None => y,
        }
    }

    /// R's inverse of `standardised` at the decision limit.
    fn bound(&self, m: f64, before: f64, after: f64) -> f64 {
        let room = self.h + self.k - before;
        let root = sqrt(m);
        match self.transformation {
            Transformation::Standard => ceil(root * room + m),
            Transformation::Rossi => {
                2.0 * room * root + 5.0 * m - 2.0 * sqrt(4.0 * m * m + 2.0 * m * root * room)
            }
            Transformation::Anscombe => three_halves(2.0 / 3.0 * sixth(m) * room + two_thirds(m)),
            // R has m^(1/3)/9 here where the transformation itself has m^(-1/3)/9.
            Transformation::AnscombeSecondOrder => {
                three_halves(2.0 / 3.0 * sixth(m) * room + two_thirds(m) - cbrt(m) / 9.0)
            }
            Transformation::PearsonNegativeBinomial => sqrt(m + self.alpha * m * m) * room + m,
            Transformation::AnscombeNegativeBinomial | Transformation::None => self.h - after,
        }
    }

    fn means(
        &self,
        observations: &Observations,
        monitored: &std::ops::Range<usize>,
        frequency: usize,
    ) -> Result<Vec<f64>, Reason> {
        let training = &observations.counts[..monitored.start];
        let points = monitored.len();
        match &self.in_control {
            InControl::Given(means) if means.len() == 1 => Ok(vec![means[0]; points]),
            InControl::Given(means) if means.len() >= points => Ok(means[..points].to_vec()),
            InControl::Given(_) => Err(Reason::BaselineTooShort),
            InControl::TrainingMean => {
                let values: Vec<f64> = training.iter().flatten().copied().collect();
                if values.is_empty() {
                    return Err(Reason::BaselineTooShort);
                }
                Ok(vec![mean(&values); points])
            }
            InControl::Model => {
                let frequency = frequency as f64;
                let row = |t: usize| harmonic_row(t as f64 + 1.0, frequency, 1, false);
                let usable = |t: &usize| training[*t].is_some();
                let rows: Vec<Vec<f64>> = (0..training.len()).filter(usable).map(row).collect();
                let values: Vec<f64> = training.iter().flatten().copied().collect();
                if values.len() < 4 {
                    return Err(Reason::BaselineTooShort);
                }
                let fit = fit_log_linear(&transposed(&rows), &values, Family::Poisson, None);
                if !fit.converged {
                    return Err(Reason::NoFit);
                }
                let eta =
                    |row: Vec<f64>| row.iter().zip(&fit.coefficients).map(|(x, b)| x * b).sum();
                Ok(monitored.clone().map(|t| mean_of(eta(row(t)))).collect())
            }
        }
    }
}

/// `k` and `h` as given, or for the run lengths that are given.
fn reference_and_limit(parameters: &mut Parameters) -> Result<(f64, f64), ParamError> {
    let (k, h) = (
        parameters.number_if_given(&["k"], 0.0..=1e9)?,
        parameters.number_if_given(&["h"], 0.0..=1e9)?,
    );
    let in_control = parameters.number_if_given(&["arla"], 1.0..=1e9)?;
    let out_of_control = parameters.number_if_given(&["arlr"], 1.0..=1e9)?;
    if in_control.is_none() && out_of_control.is_none() {
        return Ok((k.unwrap_or(1.04), h.unwrap_or(2.26)));
    }
    let (in_control, out_of_control) = (in_control.unwrap_or(500.0), out_of_control.unwrap_or(7.0));
    if let Some(given) = k.or(h) {
        let key = if k.is_some() { "k" } else { "h" };
        return Err(parameters.bad(
            key,
            &given.to_string(),
            "leave it out: `arla` and `arlr` choose `k` and `h`",
        ));
    }
    find_kh(in_control, out_of_control).ok_or_else(|| {
        parameters.bad(
            "arlr",
            &out_of_control.to_string(),
            format!("above 1 and well below `arla`, {in_control}"),
        )
    })
}

fn two_thirds(x: f64) -> f64 {
    let root = cbrt(x);
    root * root
}

fn sixth(x: f64) -> f64 {
    sqrt(cbrt(x))
}

fn three_halves(x: f64) -> f64 {
    if x < 0.0 { 0.0 } else { x * sqrt(x) }
}

/// ∫ from 0 to y of (x (1 + a x))^(−1/3) dx = 1.5 y^(2/3) ₂F₁(1/3, 2/3; 5/3; −a y).
fn anscombe_integral(y: f64, a: f64) -> f64 {
    /// From a y = 4 the series in 1/(a y) is the quicker one.
    const FAR: f64 = 4.0;
    let near = |y: f64| {
        // Pfaff's transformation: ₂F₁(1/3, 1; 5/3; a y / (1 + a y)) / (1 + a y)^(1/3).
        let z = a * y / (1.0 + a * y);
        let (mut term, mut sum) = (1.0, 1.0);
        for step in 0..2_000 {
            let n = f64::from(step);
            term *= (1.0 / 3.0 + n) / (5.0 / 3.0 + n) * z;
            sum += term;
            if term < 1e-17 * sum {
                break;
            }
        }
        1.5 * two_thirds(y) * sum / cbrt(1.0 + a * y)
    };
    if a * y <= FAR {
        return near(y);
    }
    // (x (1 + a x))^(−1/3) = a^(−1/3) x^(−2/3) Σ binomial(−1/3, n) (a x)^(−n), term by term.
    let far = |y: f64| {
        let (mut term, mut sum) = (1.0, 0.0);
        for step in 0..200 {
            let n = f64::from(step);
            sum += term / (1.0 / 3.0 - n);
            term *= -(1.0 / 3.0 + n) / ((n + 1.0) * a * y);
            if term.abs() < 1e-18 {
                break;
            }
        }
        cbrt(y / a) * sum
    };
    let border = FAR / a;
    near(border) + far(y) - far(border)
}

/// For tests: the same by Simpson's rule, after x = u^(3/2).
#[cfg(test)]
pub(super) fn anscombe_integral_both_ways(y: f64, a: f64) -> (f64, f64) {
    let upper = libm::pow(y, 2.0 / 3.0);
    let steps = 20_000;
    let width = upper / f64::from(steps);
    let value = |u: f64| 1.5 / cbrt(1.0 + a * u * sqrt(u));
    let mut sum = value(0.0) + value(upper);
    for step in 1..steps {
        sum += value(width * f64::from(step)) * if step % 2 == 1 { 4.0 } else { 2.0 };
    }
    (anscombe_integral(y, a), sum * width / 3.0)
}
