//! rogerson: a Poisson CUSUM whose in-control mean changes with time.
//!
//! Rogerson, Yamada, Stat Med 2004;23:2195-2214; `algo.rogerson` of R's surveillance. With θ₀(t)
//! the in-control mean (`theta0t`: a number, or a list of one for each point of `range`; by default
//! the mean of the points before `range`), θ₁ = θ₀ + `s` √θ₀ the mean to detect, k(t) = (θ₁ −
//! θ₀)/ln(θ₁/θ₀) rounded to `digits` places but not to a whole or a half, h(t) the limit that gives
//! an in-control average run length of `arl0` at θ₀(t), h the same at the mean of all θ₀(t): C(t) =
//! max(0, C(t−1) + (h/h(t)) (y − k(t))); alarm where C ≥ h.
//!
//! `h-values` is a table of theta0,h,k one after the other, of which the nearest theta0 counts;
//! else h is found as R's `hValues` does, for θ₀ to one decimal place, by the Markov chain of
//! Hawkins (Commun Stat Simul 1992;21:1001-20), tolerance `rel-tol`.
//! `limit`: below 0 the sum runs on after an alarm, else it is cut to limit · h; `fir` starts it at
//! h/2 and cuts it to h/2.
//!
//! Defaults: `s` 1, `arl0` 500, `limit` −1, `fir` false, `digits` 1, `rel-tol` 0.02, `distribution`
//! poisson (R's binomial is not offered); without `range` the first year trains.
//!
//! `statistic` is C(t), `expected` θ₀(t), `upperbound` the count, rounded up, at which C(t) reaches
//! h. There is no `pvalue`.
//!
//! No answer: `baseline-too-short`; `zero-expected`; `no-fit` where θ₀ is above 200 and no
//! `h-values` are given.

use super::parameters::Parameters;
use super::reference::Frequency;
use super::run_length::solve_without_pivots;
use super::{Judgement, Observations, ParamError, Range, Reason, mean};
use crate::distribution::gamma_upper;
use libm::{ceil, fabs, floor, log, pow, round, sqrt};
use std::collections::BTreeMap;

/// Largest in-control mean for which a limit is searched.
const MEAN_MAX: f64 = 200.0;
/// Most states of the Markov chain; beyond, no limit is found.
const STATES_MAX: usize = 2_000;
/// Most steps of the search for a limit.
const SEARCH_STEPS_MAX: usize = 100;

/// Rogerson's CUSUM with its parameters.
#[derive(Clone, Debug, PartialEq)]
pub struct Rogerson {
    /// Empty: the mean of the training points.
    means: Vec<f64>,
    shift: f64,
    run_length: f64,
    tolerance: f64,
    /// Rows of in-control mean, h, k; empty: to be found.
    table: Vec<[f64; 3]>,
    head_start: bool,
    cut: Option<f64>,
    digits: i32,
    frequency: Frequency,
    range: Option<Range>,
}

impl Rogerson {
    pub(super) fn read(parameters: &mut Parameters) -> Result<Rogerson, ParamError> {
        let means = match parameters.text(&["theta0t"])? {
            None => Vec::new(),
            Some(text) => parameters.numbers_in("theta0t", text, 0.0..=1e15)?,
        };
        let table = match parameters.text(&["h-values"])? {
            None => Vec::new(),
            Some(text) => {
                let numbers = parameters.numbers_in("h-values", text, 0.0..=1e15)?;
                let rows = numbers.chunks_exact(3);
                if !rows.remainder().is_empty() || rows.clone().any(|row| row[1] <= 0.0) {
                    return Err(parameters.bad(
                        "h-values",
                        text,
                        "theta0,h,k,theta0,h,k,… with each h above 0",
                    ));
                }
                rows.map(|row| [row[0], row[1], row[2]]).collect()
            }
        };
        parameters.word(&["distribution"], &["poisson"])?;
        let head_start = parameters.flag(&["fir"], false)?;
        let cut = parameters.number(&["limit"], -1.0, -1e9..=1e9)?;
        let rogerson = Rogerson {
            means,
            shift: parameters.number(&["s"], 1.0, 0.01..=100.0)?,
            run_length: parameters.number(&["arl0"], 500.0, 2.0..=1e6)?,
            tolerance: parameters.number(&["rel-tol"], 0.02, 1e-6..=1.0)?,
            table,
            head_start,
            cut: if head_start { Some(0.5) } else { (cut >= 0.0).then_some(cut) },
            digits: parameters.count(&["digits"], 1, 0..=2)? as i32,
            frequency: Frequency::read(parameters)?,
            range: parameters.range()?,
        };
        parameters.compatible_with(&["surveillance"])?;
        Ok(rogerson)
    }

    pub(super) fn judge_all(&self, observations: &Observations) -> Vec<Judgement> {
        let length = observations.counts.len();
        let monitored = Range::or_after(self.range, self.frequency.of(observations), length);
        let mut judgements = vec![Judgement::no_answer(Reason::NotMonitored); length];
        judgements[..monitored.start].fill(Judgement::no_answer(Range::reason_before(self.range)));
        if let Err(reason) = self.judge_monitored(observations, monitored.clone(), &mut judgements)
        {
            judgements[monitored].fill(Judgement::no_answer(reason));
        }
        judgements
    }

    fn judge_monitored(
        &self,
        observations: &Observations,
        monitored: std::ops::Range<usize>,
        judgements: &mut [Judgement],
    ) -> Result<(), Reason> {
        let means = self.in_control(&observations.counts[..monitored.start], monitored.len())?;
        if means.is_empty() {
            return Ok(());
        }
        if means.iter().any(|mean| *mean <= 0.0) {
            return Err(Reason::ZeroExpected);
        }
        let mut found: BTreeMap<u64, f64> = BTreeMap::new();
        let h = self.limit_at(mean(&means), &mut found)?;
        let mut sum = if self.head_start { 0.5 * h } else { 0.0 };
        let mut alarmed = false;
        for (t, theta0) in monitored.zip(means) {
            let k = self.reference_value(theta0);
            let scale = h / self.limit_at(theta0, &mut found)?;
            if let Some(cut) = self.cut
                && alarmed
            {
                sum = sum.min(cut * h);
            }
            let upperbound = ceil((h - sum) / scale + k).max(0.0);
            let observed = observations.counts[t];
            alarmed = false;
            if let Some(y) = observed {
                sum = (sum + scale * (y - k)).max(0.0);
                alarmed = sum >= h;
            }
            judgements[t] = Judgement {
                expected: Some(theta0),
                upperbound: Some(upperbound),
                alarm: observed.map(|_| alarmed),
                pvalue: None,
                statistic: observed.map(|_| sum),
                reason: None,
            };
        }
        Ok(())
    }

    fn in_control(&self, training: &[Option<f64>], points: usize) -> Result<Vec<f64>, Reason> {
        match self.means.as_slice() {
            [] => {
                let values: Vec<f64> = training.iter().flatten().copied().collect();
                if values.is_empty() {
                    Err(Reason::BaselineTooShort)
                } else {
                    Ok(vec![mean(&values); points])
                }
            }
            [one] => Ok(vec![*one; points]),
            means if means.len() >= points => Ok(means[..points].to_vec()),
            _ => Err(Reason::BaselineTooShort),
        }
    }

    /// h at an in-control mean, from the table or found; `found` remembers.
    fn limit_at(&self, theta0: f64, found: &mut BTreeMap<u64, f64>) -> Result<f64, Reason> {
        if !self.table.is_empty() {
            let distance = |row: &&[f64; 3]| fabs(row[0] - theta0);
            let nearest = self.table.iter().min_by(|a, b| distance(a).total_cmp(&distance(b)));
            return nearest.map(|row| row[1]).ok_or(Reason::NoFit);
        }
        if theta0 > MEAN_MAX {
            return Err(Reason::NoFit);
        }
        let tenths = round(theta0 * 10.0).max(1.0) as u64;
        if let Some(limit) = found.get(&tenths) {
            return Ok(*limit);
        }
        let limit = self.find_limit(tenths as f64 / 10.0).ok_or(Reason::NoFit)?;
        found.insert(tenths, limit);
        Ok(limit)
    }

    /// k for a shift of `s` standard deviations, kept off wholes and halves, where the Markov chain
    /// would have too few states.
    fn reference_value(&self, theta0: f64) -> f64 {
        let theta1 = theta0 + self.shift * sqrt(theta0);
        let k = (theta1 - theta0) / (log(theta1) - log(theta0));
        let unit = pow(10.0, f64::from(self.digits));
        let fraction = self.rounded(k) - floor(self.rounded(k));
        if fraction != 0.5 && fraction != 0.0 {
            return self.rounded(k);
        }
        let beyond = (k - floor(k)) * unit;
        let half_unit = 0.5 / unit;
        self.rounded(if beyond - floor(beyond) < 0.5 { k + half_unit } else { k - half_unit })
    }

    fn rounded(&self, value: f64) -> f64 {
        let unit = pow(10.0, f64::from(self.digits));
        round(value * unit) / unit
    }

    /// The limit h whose average run length comes near `arl0`, as R's `findH` searches for it.
    fn find_limit(&self, theta0: f64) -> Option<f64> {
        let k = self.reference_value(theta0);
        let run_length = |h: f64| {
            let (plain, head_start) = average_run_lengths(h, k, theta0, self.digits)?;
            Some(if self.head_start { head_start } else { plain })
        };
        let target = self.run_length;
        let far = |length: f64| fabs((length - target) / target);
        let mut h1 = (4.0 * k).min(12.0);
        let mut length1 = run_length(h1)?;
        while length1 < 100.0 {
            h1 *= 2.0;
            length1 = run_length(h1)?;
        }
        let h2 = if target > length1 { 2.0 * h1 } else { 0.5 * h1 };
        let length2 = run_length(h2)?;
        let guess = h1 + (h2 - h1) * (log(target) - log(length1)) / (log(length2) - log(length1));
        let mut h = self.rounded(guess);
        let mut length = run_length(h)?;
        if far(length) < self.tolerance {
            return Some(h);
        }
        let step = 1.0 / common_denominator(&[k], self.digits);
        for _ in 0..SEARCH_STEPS_MAX {
            let next = self.rounded(h + (target - length).signum() * step);
            let next_length = run_length(next)?;
            if far(next_length) < self.tolerance {
                return Some(next);
            }
            let has_crossed = (target - length) * (target - next_length) <= 0.0;
            if has_crossed {
                // The one whose run length is at least the target.
                return Some(if next_length > target { next } else { h });
            }
            (h, length) = (next, next_length);
        }
        None
    }
}

/// In-control average run length of a Poisson CUSUM from 0 and from h/2 (Hawkins 1992): from the
/// chain over the multiples of the common denominator of h and k, R's `arlCusum`.
pub(super) fn average_run_lengths(h: f64, k: f64, theta: f64, digits: i32) -> Option<(f64, f64)> {
    let unit = pow(10.0, f64::from(digits));
    let (h, k) = (round(h * unit) / unit, round(k * unit) / unit);
    let denominator = common_denominator(&[h, k, h + k], digits);
    let last = floor(h * denominator - 0.5);
    if !(h > 0.0 && last >= 0.0 && last < STATES_MAX as f64) {
        return None;
    }
    let last = last as usize;
    let winsor = ceil(h + k + 1.0);
    // P(Y ≤ k + step / denominator)
    let cdf = |step: i64| {
        let x = (round(k * denominator) + step as f64) / denominator;
        let whole = floor(x + 1e-7);
        if x >= winsor {
            1.0
        } else if whole < 0.0 {
            0.0
        } else {
            gamma_upper(whole + 1.0, theta)
        }
    };
    let span = last as i64 + 1;
    let cdfs: Vec<f64> = (-span..=span).map(cdf).collect();
    let at = |step: i64| cdfs[(step + span) as usize];
    let states = last + 1;
    let matrix: Vec<Vec<f64>> = (0..states as i64)
        .map(|from| {
            (0..states as i64)
                .map(|to| {
                    let moves = if to == 0 { at(-from) } else { at(to - from) - at(to - from - 1) };
                    if from == to { 1.0 - moves } else { -moves }
                })
                .collect()
        })
        .collect();
    let lengths = solve_without_pivots(matrix, vec![1.0; states]);
    let middle = states / 2;
    let both = (lengths[0], lengths[middle]);
    (both.0.is_finite() && both.1.is_finite() && both.0 > 0.0).then_some(both)
}

/// The least N up to 10^digits for which all values are multiples of 1/N.
fn common_denominator(values: &[f64], digits: i32) -> f64 {
    let most = pow(10.0, f64::from(digits));
    let is_multiple = |n: f64| {
        values.iter().all(|value| {
            let product = round(value * n * most) / most;
            product == floor(product)
        })
    };
    (1..=most as u32).map(f64::from).find(|n| is_multiple(*n)).unwrap_or(1.0)
}
