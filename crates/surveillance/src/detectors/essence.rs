//! essence-ewma, essence-regression, essence-switch: the detectors of NSSP-ESSENCE for daily
//! counts.
//!
//! As in CDC's R package Rnssp (`alert_ewma`, `alert_regression`, `alert_switch`); Burkom, Stat Med
//! 2021;40:438-462. Baseline: n days, growing to `baseline`, ending before a guard of `guard` days
//! and the day itself; m and s are its mean and standard deviation; in counts.
//!
//! **essence-ewma**, from 7 baseline days, with w = 0.4 and 0.9 side by side:
//! z(t) = w y(t) + (1 − w) z(t−1); statistic (z − m)/σ with n − 1 degrees of freedom, σ = s
//! √(w/(2−w) + 1/n − 2(1−w)^(g+1) (1 − (1−w)^n)/n) + c(w), c(w) = (0.1289 − (0.2414 − 0.1826
//! (1−w)⁴) ln ½) w / t₀.₉₅, and not less than (w/t₀.₉₅)(0.01 + 0.05 (1−w)²). Beyond t₀.₉₉ z is set
//! back to m ± t₀.₉₉ σ. The smaller of both p-values counts. A series that is below 1 throughout is
//! divided by its median positive value.
//!
//! **essence-regression**, from 11 days: least squares on the day's number and the weekday (six
//! dummies), n − 8 degrees of freedom; expected = forecast, not below 0;
//! σ = √mse √((n+7)(n−4)/(n(n−7))), not below 0.01/t₀.₉₅; statistic (y − expected)/σ. An alarm is
//! withdrawn where y is below its mean of the last 7 days (on Saturday and Sunday: and below the
//! mean of the last 7 such days).
//!
//! **essence-switch**: the regression where its adjusted R² is at least 0.60, else the EWMA.
//!
//! Alarm where p < `alpha` (0.01, ESSENCE's red; 0.05 is its yellow). `upperbound` is the count at
//! which p = alpha. Defaults: `baseline` 28, `guard` 2. Weekdays come from the dates; without dates
//! the first point is taken for a Monday. Quantiles are rounded to five places, as in the original.
//!
//! No answer: `baseline-too-short`; `no-fit` where missing days leave a weekday unknown.

use super::least_squares::least_squares;
use super::parameters::Parameters;
use super::{
    Baseline, Judgement, Observations, ParamError, Range, Reason, mean, standard_deviation,
};
use crate::distribution::{t_quantile_upper, t_upper};
use libm::{fabs, floor, log, pow, sqrt};

/// The weights of the two moving averages: for slow rises, and for jumps.
const WEIGHTS: [f64; 2] = [0.4, 0.9];
const EWMA_LEAST: usize = 7;
const REGRESSION_LEAST: usize = 11;
const SWITCH_AT: f64 = 0.60;

/// Which of the three.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Ewma,
    Regression,
    Switch,
}

/// An ESSENCE detector with its parameters.
#[derive(Clone, Debug, PartialEq)]
pub struct Essence {
    kind: Kind,
    baseline: usize,
    guard: usize,
    alpha: f64,
    /// t quantiles by degrees of freedom, from 1: at 0.95 and 0.99 to five places, and at 1 −
    /// alpha.
    at_95: Vec<f64>,
    at_99: Vec<f64>,
    at_alpha: Vec<f64>,
    range: Option<Range>,
}

impl Essence {
    pub(super) fn read(kind: Kind, parameters: &mut Parameters) -> Result<Essence, ParamError> {
        let least = if kind == Kind::Ewma { EWMA_LEAST } else { REGRESSION_LEAST };
        let baseline = parameters.count(&["baseline", "baseline-length"], 28, least..=1_000)?;
        let alpha = parameters.probability(&["alpha"], 0.01)?;
        let quantiles =
            |upper: f64| (1..baseline).map(move |df| t_quantile_upper(upper, df as f64));
        let rounded = |value: f64| floor(value * 1e5 + 0.5) / 1e5;
        Ok(Essence {
            kind,
            baseline,
            guard: parameters.count(&["guard", "guard-length"], 2, 0..=1_000)?,
            alpha,
            at_95: quantiles(0.05).map(rounded).collect(),
            at_99: quantiles(0.01).map(rounded).collect(),
            at_alpha: quantiles(alpha).collect(),
            range: parameters.range()?,
        })
    }

    pub(super) fn name(&self) -> &'static str {
        match self.kind {
            Kind::Ewma => "essence-ewma",
            Kind::Regression => "essence-regression",
            Kind::Switch => "essence-switch",
        }
    }

    pub(super) fn judge_all(
        &self,
        observations: &Observations,
        baseline: Baseline,
    ) -> Vec<Judgement> {
        let mut judgements = match self.kind {
            Kind::Ewma => self.ewma(observations, baseline),
            Kind::Regression => {
                self.regression(observations).into_iter().map(|(judgement, _)| judgement).collect()
            }
            Kind::Switch => {
                let averages = self.ewma(observations, baseline);
                let regressions = self.regression(observations);
                let choose =
                    |(average, (regression, fit)): (Judgement, (Judgement, Option<f64>))| {
                        if fit.is_some_and(|fit| fit >= SWITCH_AT) { regression } else { average }
                    };
                averages.into_iter().zip(regressions).map(choose).collect()
            }
        };
        for (t, judgement) in judgements.iter_mut().enumerate() {
            if !Range::holds(self.range, t) {
                *judgement = Judgement::no_answer(Reason::NotMonitored);
            }
        }
        judgements
    }

    fn ewma(&self, observations: &Observations, baseline: Baseline) -> Vec<Judgement> {
        let least = match baseline {
            Baseline::Full => EWMA_LEAST,
            Baseline::AtLeastThree => super::BASELINE_LEAST,
        };
        let unit = unit_of(&observations.counts);
        let scaled: Vec<Option<f64>> =
            observations.counts.iter().map(|y| y.map(|y| y / unit)).collect();
        let mut averages: Option<[f64; 2]> = None;
        let mut judgements = Vec::with_capacity(scaled.len());
        for (t, &observed) in scaled.iter().enumerate() {
            let before = averages;
            if let Some(y) = observed {
                averages = Some(match before {
                    None => [y; 2],
                    Some(z) => [0, 1].map(|i| WEIGHTS[i] * y + (1.0 - WEIGHTS[i]) * z[i]),
                });
            }
            let values = self.baseline_of(&scaled, t);
            if values.len() < least {
                judgements.push(Judgement::no_answer(Reason::BaselineTooShort));
                continue;
            }
            let (judgement, after) = self.judge_averages(&values, observed, before, averages);
            averages = after;
            judgements.push(in_counts(judgement, unit));
        }
        judgements
    }

    /// The usable values of the baseline that ends before the guard.
    fn baseline_of(&self, values: &[Option<f64>], t: usize) -> Vec<f64> {
        let end = t.saturating_sub(self.guard);
        let start = end.saturating_sub(self.baseline);
        values[start..end].iter().flatten().copied().collect()
    }

    fn judge_averages(
        &self,
        values: &[f64],
        observed: Option<f64>,
        before: Option<[f64; 2]>,
        averages: Option<[f64; 2]>,
    ) -> (Judgement, Option<[f64; 2]>) {
        let (n, df) = (values.len() as f64, values.len() - 1);
        let centre = mean(values);
        let deviation = standard_deviation(values);
        let (at_95, at_99, at_alpha) =
            (self.at_95[df - 1], self.at_99[df - 1], self.at_alpha[df - 1]);
        let sigma = WEIGHTS.map(|w| {
            let rest = 1.0 - w;
            let guard = self.guard as f64;
            let shrink =
                w / (2.0 - w) + 1.0 / n - 2.0 * pow(rest, guard + 1.0) * (1.0 - pow(rest, n)) / n;
            let constant = (0.1289 - (0.2414 - 0.1826 * pow(rest, 4.0)) * log(0.5)) * (w / at_95);
            let least = w / at_95 * (0.01 + 0.05 * rest * rest);
            (deviation * sqrt(shrink.max(0.0)) + constant).max(least)
        });
        let upperbound = before.map(|z| {
            let bound =
                |i: usize| (centre + at_alpha * sigma[i] - (1.0 - WEIGHTS[i]) * z[i]) / WEIGHTS[i];
            bound(0).min(bound(1)).max(0.0)
        });
        let mut judgement = Judgement {
            expected: Some(centre),
            upperbound,
            reason: observed.is_none().then_some(Reason::MissingValue),
            ..Judgement::default()
        };
        let (Some(_), Some(mut z)) = (observed, averages) else {
            return (judgement, averages);
        };
        let statistics = [0, 1].map(|i| (z[i] - centre) / sigma[i]);
        for i in [0, 1] {
            if fabs(statistics[i]) > at_99 {
                z[i] = centre + at_99.copysign(statistics[i]) * sigma[i];
            }
        }
        let pvalues = statistics.map(|statistic| t_upper(statistic, df as f64));
        let smaller = usize::from(pvalues[0] >= pvalues[1]);
        judgement.statistic = Some(statistics[smaller]);
        judgement.pvalue = Some(pvalues[smaller]);
        judgement.alarm = Some(pvalues[smaller] < self.alpha);
        (judgement, Some(z))
    }

    /// Judgements with the adjusted R² of their regressions.
    fn regression(&self, observations: &Observations) -> Vec<(Judgement, Option<f64>)> {
        (0..observations.counts.len())
            .map(|t| match self.judge_regression(observations, t) {
                Ok((judgement, fit)) => (judgement, Some(fit)),
                Err(reason) => (Judgement::no_answer(reason), None),
            })
            .collect()
    }

    fn judge_regression(
        &self,
        observations: &Observations,
        t: usize,
    ) -> Result<(Judgement, f64), Reason> {
        let end = t.saturating_sub(self.guard);
        let start = end.saturating_sub(self.baseline);
        let days: Vec<usize> =
            (start..end).filter(|&day| observations.counts[day].is_some()).collect();
        if days.len() < REGRESSION_LEAST {
            return Err(Reason::BaselineTooShort);
        }
        let row = |day: usize| {
            let mut row = [0.0; 8];
            row[0] = 1.0;
            row[1] = (day - start) as f64 + 1.0;
            let weekday = weekday(observations, day);
            if weekday < 6 {
                row[2 + weekday] = 1.0;
            }
            row
        };
        let rows: Vec<[f64; 8]> = days.iter().map(|&day| row(day)).collect();
        let columns = (0..8).map(|column| rows.iter().map(|row| row[column]).collect()).collect();
        let values: Vec<f64> = days.iter().filter_map(|&day| observations.counts[day]).collect();
        let fit = least_squares(columns, values.clone());
        if fit.rank < 8 {
            return Err(Reason::NoFit);
        }
        let at =
            |row: &[f64; 8]| row.iter().zip(&fit.coefficients).map(|(x, b)| x * b).sum::<f64>();
        let fitted: Vec<f64> = rows.iter().map(at).collect();
        let (n, df) = (values.len() as f64, values.len() - 8);
        let residual: f64 = values.iter().zip(&fitted).map(|(y, f)| (y - f) * (y - f)).sum();
        let centre = mean(&fitted);
        let explained: f64 = fitted.iter().map(|f| (f - centre) * (f - centre)).sum();
        let mse = residual / df as f64;
        let share = explained / (residual + explained);
        let adjusted = 1.0 - (1.0 - share) * (n - 1.0) / df as f64;
        let adjusted = if adjusted.is_nan() { 0.0 } else { adjusted };
        let spread = sqrt(mse) * sqrt((n + 7.0) * (n - 4.0) / (n * (n - 7.0)));
        let sigma = spread.max(0.01 / self.at_95[df - 1]);
        let expected = at(&row(t)).max(0.0);
        let upperbound = expected + self.at_alpha[df - 1] * sigma;
        let statistic = observations.counts[t].map(|y| (y - expected) / sigma);
        let pvalue = statistic.map(|statistic| t_upper(statistic, df as f64));
        let withdrawn =
            observations.counts[t].is_some_and(|y| is_below_the_week(observations, t, y));
        let judgement = Judgement {
            expected: Some(expected),
            upperbound: Some(upperbound),
            alarm: pvalue.map(|p| p < self.alpha && !withdrawn),
            pvalue,
            statistic,
            reason: None,
        };
        Ok((judgement, adjusted))
    }
}

/// 0 for Monday.
fn weekday(observations: &Observations, t: usize) -> usize {
    match observations.days {
        // 1970-01-01 was a Thursday.
        Some(days) => days[t].rem_euclid(7).wrapping_add(3).rem_euclid(7) as usize,
        None => t % 7,
    }
}

/// Below the mean of the last seven days; at the weekend, of the last seven such days too.
fn is_below_the_week(observations: &Observations, t: usize, y: f64) -> bool {
    if t < 6 {
        return false;
    }
    let week: Vec<f64> = observations.counts[t - 6..=t].iter().flatten().copied().collect();
    if y >= mean(&week) {
        return false;
    }
    let today = weekday(observations, t);
    if today < 5 {
        return true;
    }
    let same: Vec<f64> = (0..=t)
        .rev()
        .filter(|&day| weekday(observations, day) == today)
        .filter_map(|day| observations.counts[day])
        .take(7)
        .collect();
    same.len() == 7 && y < mean(&same)
}

/// Rates below 1 throughout are judged in units of their median positive value.
fn unit_of(counts: &[Option<f64>]) -> f64 {
    let mut positive: Vec<f64> = counts.iter().flatten().copied().filter(|y| *y > 0.0).collect();
    if positive.is_empty() || positive.iter().any(|y| *y >= 1.0) {
        return 1.0;
    }
    positive.sort_by(f64::total_cmp);
    let middle = positive.len() / 2;
    let median = if positive.len() % 2 == 1 {
        positive[middle]
    } else {
        0.5 * (positive[middle - 1] + positive[middle])
    };
    if median > f64::MIN_POSITIVE { median } else { 1.0 }
}

fn in_counts(judgement: Judgement, unit: f64) -> Judgement {
    Judgement {
        expected: judgement.expected.map(|expected| expected * unit),
        upperbound: judgement.upperbound.map(|upperbound| upperbound * unit),
        ..judgement
    }
}
