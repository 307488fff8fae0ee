//! glr-pois and glr-nb: likelihood-ratio and generalised likelihood-ratio CUSUMs for slow rises.
//!
//! Höhle, Paul, Comput Stat Data Anal 2008;52:4357-68; `algo.glrpois` and `algo.glrnb` of R's
//! surveillance. In control y(t) is Poisson with mean μ₀(t), or negative-binomial with variance
//! μ₀ + `alpha` μ₀²; out of control the mean is μ₀ e^κ (`change=intercept`).
//!
//! - `theta` given (κ = theta, a LR CUSUM): C(t) = max(0, C(t−1) + ln f₁(y)/f₀(y)), eq. 4;
//!   alarm where C > `c-arl`.
//! - else the GLR: the maximum over change points in the last `m` points (−1: since the last
//!   restart) and over κ ≥ 0 (`dir=dec`: κ ≤ 0) of the log likelihood ratio; alarm where it is ≥
//!   `c-arl`.
//!   The change has to be `mtilde` points old (with a window, `mtilde` + 1 for glr-pois, as in R).
//!
//! `change=epi` (glr-pois): out of control the mean is μ₀(t) + λ y(t−1), λ ≥ 0, as in an epidemic; the
//! GLR is the maximum over λ and over change points as above, of which the newest is `mtilde` − 1
//! points old. The count before the first point of a chart is 0, after an alarm that of the alarm.
//!
//! After an alarm the chart starts again. `mu0`: one number, a list of one for each point of
//! `range`, or nothing: a Poisson model, for glr-nb a negative-binomial one (R's `glm.nb`), with
//! `mu0-s` yearly waves and a trend if `mu0-trend`, fitted to the points before `range`, and fitted
//! again after each alarm if `mu0-refit`; then `alpha`, unless given, is the model's.
//!
//! Defaults: `c-arl` 5, `m` −1, `mtilde` 1, `dir` inc, `mu0-s` 1, `freq` 52 or what the dates say;
//! without `range` the first year trains. `ret` is accepted for R's sake.
//! Time grows with the square of the points since the restart, for glr-nb with their cube: give `m`
//! where series are long.
//!
//! `statistic` is the log likelihood ratio, `expected` μ₀, `upperbound` the count above which the
//! chart would alarm (whole for the GLR; absent for glr-nb without `theta` and for `dir=dec`).
//! There is no `pvalue`.
//!
//! No answer: `baseline-too-short`, `no-fit`, `zero-expected`.

use super::least_squares::{
    Family, fit_log_linear, fit_negative_binomial, harmonic_row, mean_of, transposed,
};
use super::outbreakp::greatest_without_alarm;
use super::parameters::Parameters;
use super::reference::Frequency;
use super::{Judgement, Observations, ParamError, Range, Reason};
use libm::{exp, fabs, log, log1p};

/// Newton's steps for κ; R allows a thousand, and needs a handful.
const NEWTON_STEPS_MAX: usize = 100;

/// A likelihood-ratio CUSUM with its parameters.
#[derive(Clone, Debug, PartialEq)]
pub struct Glr {
    /// glr-nb, whose model of the in-control mean is negative-binomial.
    negative_binomial: bool,
    /// None: Poisson. Some(None): to be estimated.
    alpha: Option<Option<f64>>,
    limit: f64,
    /// Given means; empty for a model.
    means: Vec<f64>,
    waves: usize,
    trend: bool,
    refit: bool,
    theta: Option<f64>,
    /// Whether an epidemic is looked for instead of a shift of the log mean.
    epidemic: bool,
    /// 1 for a rise, −1 for a fall.
    direction: f64,
    least_age: usize,
    window: Option<usize>,
    frequency: Frequency,
    range: Option<Range>,
}

/// The points since the last restart.
#[derive(Default)]
struct Chart {
    counts: Vec<f64>,
    means: Vec<f64>,
    sum: f64,
    /// The count before the first point.
    before: f64,
}

impl Chart {
    /// The log likelihood ratio of an epidemic since a point, at its likeliest λ: Newton's method
    /// on a concave function, from 0.
    fn epidemic_since(&self, change: usize) -> f64 {
        let point = |at: usize| {
            let before = if at == 0 { self.before } else { self.counts[at - 1] };
            (self.counts[at], self.means[at], before)
        };
        let points = || (change..self.counts.len()).map(point).filter(|(.., before)| *before > 0.0);
        let mut lambda = 0.0_f64;
        for _ in 0..NEWTON_STEPS_MAX {
            let (mut score, mut information) = (0.0, 0.0);
            for (y, mean, before) in points() {
                let share = before / (mean + lambda * before);
                score += y * share - before;
                information += y * share * share;
            }
            let step = score / information;
            if !step.is_finite() || (lambda == 0.0 && step <= 0.0) {
                break;
            }
            lambda = (lambda + step).max(0.0);
            if fabs(step) <= 1e-12 * lambda {
                break;
            }
        }
        points().map(|(y, mean, before)| y * log1p(lambda * before / mean) - lambda * before).sum()
    }
}

impl Glr {
    pub(super) fn read(
        negative_binomial: bool,
        parameters: &mut Parameters,
    ) -> Result<Glr, ParamError> {
        let means = match parameters.text(&["mu0"])? {
            None => Vec::new(),
            Some(text) => parameters.numbers_in("mu0", text, 0.0..=1e15)?,
        };
        let alpha = match (negative_binomial, parameters.number_if_given(&["alpha"], 0.0..=1e9)?) {
            (false, None | Some(0.0)) | (true, Some(0.0)) => None,
            (false, Some(alpha)) => {
                return Err(parameters.bad(
                    "alpha",
                    &alpha.to_string(),
                    "glr-nb is the method with an alpha",
                ));
            }
            (true, Some(alpha)) => Some(Some(alpha)),
            (true, None) if means.is_empty() => Some(None),
            (true, None) => {
                return Err(parameters.bad("alpha", "", "a number, where `mu0` is given"));
            }
        };
        let changes: &[&str] =
            if negative_binomial { &["intercept"] } else { &["intercept", "epi"] };
        let epidemic = parameters.word(&["change"], changes)? == Some(1);
        parameters.word(&["ret"], &["value", "cases"])?;
        let window = parameters.number(&["m"], -1.0, -1.0..=1e6)?;
        Ok(Glr {
            negative_binomial,
            alpha,
            limit: parameters.number(&["c-arl"], 5.0, 0.0..=1e9)?,
            means,
            waves: parameters.count(&["mu0-s"], 1, 0..=20)?,
            trend: parameters.flag(&["mu0-trend"], false)?,
            refit: parameters.flag(&["mu0-refit"], false)?,
            theta: parameters
                .number_if_given(&["theta"], -20.0..=20.0)?
                .filter(|theta| *theta != 0.0 && !epidemic),
            epidemic,
            direction: [1.0, -1.0][parameters.word(&["dir"], &["inc", "dec"])?.unwrap_or(0)],
            least_age: parameters.count(&["mtilde"], 1, 1..=1_000_000)?,
            window: (window > 0.0).then_some(window as usize),
            frequency: Frequency::read(parameters)?,
            range: {
                parameters.compatible_with(&["surveillance"])?;
                parameters.range()?
            },
        })
    }

    pub(super) fn name(&self) -> &'static str {
        if self.negative_binomial { "glr-nb" } else { "glr-pois" }
    }

    pub(super) fn judge_all(&self, observations: &Observations) -> Vec<Judgement> {
        let length = observations.counts.len();
        let frequency = self.frequency.of(observations);
        let monitored = Range::or_after(self.range, frequency, length);
        let mut judgements = vec![Judgement::no_answer(Reason::NotMonitored); length];
        judgements[..monitored.start].fill(Judgement::no_answer(Range::reason_before(self.range)));
        let mut model = match self.in_control(observations, monitored.clone(), frequency) {
            Ok(model) => model,
            Err(reason) => {
                judgements[monitored].fill(Judgement::no_answer(reason));
                return judgements;
            }
        };
        let alpha = model.1;
        let mut first = monitored.start;
        let mut chart = Chart::default();
        for t in monitored.clone() {
            let mean = model.0[t - first];
            judgements[t] = match observations.counts[t] {
                _ if mean <= 0.0 => Judgement::no_answer(Reason::ZeroExpected),
                None => {
                    Judgement { expected: Some(mean), ..Judgement::no_answer(Reason::MissingValue) }
                }
                Some(y) => self.judge(&mut chart, alpha, y, mean),
            };
            if judgements[t].alarm == Some(true) {
                let before = observations.counts[t].unwrap_or(0.0);
                chart = Chart { before, ..Chart::default() };
                if self.refit && self.means.is_empty() {
                    first = t + 1;
                    match self.in_control(observations, first..monitored.end, frequency) {
                        Ok(next) => model.0 = next.0,
                        Err(reason) => {
                            judgements[first..monitored.end].fill(Judgement::no_answer(reason));
                            break;
                        }
                    }
                }
            }
        }
        judgements
    }

    fn judge(&self, chart: &mut Chart, alpha: Option<f64>, y: f64, mean: f64) -> Judgement {
        let (statistic, upperbound, alarm) = match self.theta {
            Some(theta) => {
                let before = chart.sum;
                chart.sum = (before + log_ratio(theta, alpha, y, mean)).max(0.0);
                (chart.sum, self.bound_for(theta, alpha, before, mean), chart.sum > self.limit)
            }
            None => {
                chart.means.push(mean);
                chart.counts.push(0.0);
                let here = chart.counts.len() - 1;
                let mut with = |y: f64| {
                    chart.counts[here] = y;
                    self.generalised(chart, alpha)
                };
                let upperbound = (alpha.is_none() && self.direction > 0.0)
                    .then(|| {
                        let cell = std::cell::RefCell::new(&mut with);
                        greatest_without_alarm(1e9, |y| (cell.borrow_mut())(y) >= self.limit)
                    })
                    .flatten();
                let statistic = with(y);
                (statistic, upperbound, statistic >= self.limit)
            }
        };
        Judgement {
            expected: Some(mean),
            upperbound,
            alarm: Some(alarm),
            pvalue: None,
            statistic: Some(statistic),
            reason: statistic.is_nan().then_some(Reason::NotFinite),
        }
    }

    /// The count at which the LR CUSUM reaches its limit.
    fn bound_for(&self, theta: f64, alpha: Option<f64>, before: f64, mean: f64) -> Option<f64> {
        if theta < 0.0 {
            return None;
        }
        // The log ratio is linear in the count.
        let at_zero = log_ratio(theta, alpha, 0.0, mean);
        let slope = log_ratio(theta, alpha, 1.0, mean) - at_zero;
        let bound = (self.limit - before - at_zero) / slope;
        (slope > 0.0 && bound.is_finite()).then(|| bound.max(0.0))
    }

    /// The maximum over change points and shifts, not below 0.
    fn generalised(&self, chart: &Chart, alpha: Option<f64>) -> f64 {
        let last = chart.counts.len() - 1;
        let oldest = self.window.map_or(0, |window| last.saturating_sub(window));
        let mut greatest = 0.0_f64;
        match alpha {
            None if self.epidemic => {
                let newest = (last + 1).checked_sub(self.least_age);
                for change in newest.map_or(0..0, |newest| oldest..newest + 1) {
                    greatest = greatest.max(chart.epidemic_since(change));
                }
            }
            None => {
                // With a window R wants the change one point older.
                let age = if self.window.is_some() { self.least_age } else { self.least_age - 1 };
                let Some(newest) = last.checked_sub(age) else {
                    return 0.0;
                };
                let mut count: f64 = chart.counts[newest + 1..].iter().sum();
                let mut mean: f64 = chart.means[newest + 1..].iter().sum();
                for change in (oldest..=newest).rev() {
                    count += chart.counts[change];
                    mean += chart.means[change];
                    let shift = self.direction * (self.direction * log(count / mean)).max(0.0);
                    let gain = if count == 0.0 { 0.0 } else { shift * count };
                    greatest = greatest.max(gain + (1.0 - exp(shift)) * mean);
                }
            }
            Some(alpha) => {
                let Some(newest) = last.checked_sub(self.least_age - 1) else {
                    return 0.0;
                };
                let mut shift = 0.5;
                for change in oldest..=newest {
                    let (counts, means) = (&chart.counts[change..], &chart.means[change..]);
                    shift = self.direction
                        * (self.direction * best_shift(shift, alpha, counts, means)).max(0.0);
                    let value: f64 = counts
                        .iter()
                        .zip(means)
                        .map(|(y, mean)| log_ratio(shift, Some(alpha), *y, *mean))
                        .sum();
                    greatest = greatest.max(value);
                }
            }
        }
        greatest
    }

    /// In-control means of the points of `monitored`, and the alpha that holds with them.
    fn in_control(
        &self,
        observations: &Observations,
        monitored: std::ops::Range<usize>,
        frequency: usize,
    ) -> Result<(Vec<f64>, Option<f64>), Reason> {
        let points = monitored.len();
        match self.means.as_slice() {
            [mean] => Ok((vec![*mean; points], self.alpha.flatten())),
            [] => {
                let row = |t: usize| {
                    harmonic_row(t as f64 + 1.0, frequency as f64, self.waves, self.trend)
                };
                let training = (0..monitored.start)
                    .filter_map(|t| observations.counts[t].map(|y| (row(t), y)));
                let (rows, values): (Vec<Vec<f64>>, Vec<f64>) = training.unzip();
                if values.len() < rows.first().map_or(1, Vec::len) + 1 {
                    return Err(Reason::BaselineTooShort);
                }
                let columns = transposed(&rows);
                let (coefficients, size) = if self.negative_binomial {
                    fit_negative_binomial(&columns, &values).ok_or(Reason::NoFit)?
                } else {
                    let fit = fit_log_linear(&columns, &values, Family::Poisson, None);
                    if !fit.converged {
                        return Err(Reason::NoFit);
                    }
                    (fit.coefficients, f64::INFINITY)
                };
                let eta = |row: Vec<f64>| row.iter().zip(&coefficients).map(|(x, b)| x * b).sum();
                let means = monitored.map(|t| mean_of(eta(row(t)))).collect();
                let alpha = self.alpha.map(|alpha| alpha.unwrap_or(1.0 / size));
                if alpha.is_some_and(|alpha| !(alpha.is_finite() && alpha > 0.0)) {
                    return Err(Reason::NoFit);
                }
                Ok((means, alpha))
            }
            means if means.len() >= points => Ok((means[..points].to_vec(), self.alpha.flatten())),
            _ => Err(Reason::BaselineTooShort),
        }
    }
}

/// ln f₁(y)/f₀(y) for a shift of the log mean.
fn log_ratio(shift: f64, alpha: Option<f64>, y: f64, mean: f64) -> f64 {
    match alpha {
        None => shift * y + (1.0 - exp(shift)) * mean,
        Some(alpha) => {
            shift * y
                + (y + 1.0 / alpha) * log((1.0 + alpha * mean) / (1.0 + alpha * mean * exp(shift)))
        }
    }
}

/// The shift that makes the counts most likely, by Newton's method from `start`.
fn best_shift(start: f64, alpha: f64, counts: &[f64], means: &[f64]) -> f64 {
    let mut shift = start;
    for _ in 0..NEWTON_STEPS_MAX {
        let factor = exp(shift);
        let (mut score, mut information) = (0.0, 0.0);
        for (y, mean) in counts.iter().zip(means) {
            let spread = 1.0 + alpha * factor * mean;
            score += (y - factor * mean) / spread;
            information += factor * mean * (alpha * y + 1.0) / (spread * spread);
        }
        let step = score / information;
        if !step.is_finite() {
            return 0.0;
        }
        shift += step;
        if fabs(step) <= 1e-6 || shift <= -18.0 {
            break;
        }
    }
    shift
}
