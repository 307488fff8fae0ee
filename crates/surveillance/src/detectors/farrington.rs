//! farrington and farrington-flexible: regression on the same season of past years.
//!
//! Farrington, Andrews, Beale, Catchpole, J R Stat Soc A 1996;159:547-63; Noufaily et al., Stat Med
//! 2013;32:1206-22; as computed by `algo.farrington` and `farringtonFlexible` of R's surveillance.
//!
//! Baseline of point k: the windows k − i·`freq` ± `w` for i = 1 … `b` years (by date where points
//! have dates: the same day of the year, moved to the nearest same weekday for weekly points).
//! farrington-flexible with `no-periods` P > 1 takes what lies between the windows too, in P − 1
//! seasons a year, but nothing of the last `past-weeks-not-included` points.
//!
//! Model: quasi-Poisson, log link: season + slope · time + log(population) if `population-offset`.
//! 1. Fit; φ = max(1, Σ w r²/(n − p)).
//! 2. If `reweight`: weights ∝ 1/s² where the standardised Anscombe residual s exceeds
//!    `weights-threshold` (eq. 5 of 1996); fit and φ again.
//! 3. The slope stays only if `b` ≥ 3, its t-test has p < `p-threshold-trend`, and the expected
//!    count is no more than the greatest of the baseline; else 1 and 2 again without it.
//! 4. With η and its standard error at k, U is by `threshold-method`
//!    - `delta`: (μ^⅔ + z √(4/9 μ^⅓ τ))^(3/2), τ = φ + se²μ, μ = exp(η); for `powertrans` 1/2 with
//!      √(τ/4), for none √(μ τ);
//!    - `nbPlugin`: NB quantile at 1 − `alpha` with mean m = exp(η) and variance φ m
//!      (Poisson if φ = 1);
//!    - `muan`: the same with m = exp(η + z se).
//!
//! Alarm where y > U, y is not 0 and the last `limit54[2]` points, y included, sum to at least
//! `limit54[1]`. With fewer there is no alarm, `too-few-cases`, and no U.
//!
//! Defaults of farrington-flexible: `b` 5, `w` 3, `reweight`, `weights-threshold` 2.58, `alpha`
//! 0.05 (one-sided), `trend`, `p-threshold-trend` 0.05, `limit54` 5,4, `powertrans` 2/3,
//! `population-offset` false, `no-periods` 1, `past-weeks-not-included` w, `threshold-method`
//! delta, `freq` 52 or what the dates say. Of farrington: `weights-threshold` 1, z at 1 − α/2,
//! delta only, and the U of too few cases is 0, as in R.
//!
//! `expected` is exp(η); `pvalue` P(Y ≥ y) under the law that gives U; `statistic` the exceedance
//! (y − expected)/(U − expected).
//!
//! `compat=surveillance` reproduces an error of R's code (1.20.3 to 1.26.0): after reweighting, the
//! dispersion behind the trend's test and se is Σ ω r²/(n − p) with ω the outbreak weights, about
//! 1/μ of what it should be. Without it φ stands there. nbPlugin with `p-threshold-trend=1` is the
//! same in both. The original is right in this respect.
//!
//! No answer: `baseline-too-short`; `no-fit` where the regression does not converge.

use super::parameters::Parameters;
use super::quasipoisson::{Fit, Point, Points};
use super::reference::Frequency;
use super::{Baseline, Judgement, Observations, ParamError, Range, Reason, calendar};
use crate::distribution::{
    negative_binomial_quantile, negative_binomial_upper, normal_quantile, normal_upper,
    poisson_quantile, poisson_upper, t_upper,
};
use libm::{cbrt, exp, fabs, log, pow, sqrt};

/// The power that makes counts symmetric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Power {
    TwoThirds,
    Half,
    None,
}

/// How the limit follows from the fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Threshold {
    Delta,
    PlugIn,
    Quantile,
}

/// Farrington's method, original or flexible, with its parameters.
#[derive(Clone, Debug, PartialEq)]
pub struct Farrington {
    flexible: bool,
    years: usize,
    half_width: usize,
    reweight: bool,
    weights_threshold: f64,
    alpha: f64,
    /// The normal quantile that belongs to alpha, one-sided or two-sided.
    z: f64,
    trend: bool,
    trend_level: f64,
    cases_least: f64,
    cases_span: usize,
    power: Power,
    population_offset: bool,
    periods: usize,
    guard: usize,
    threshold: Threshold,
    compatible: bool,
    frequency: Frequency,
    range: Option<Range>,
}

/// A fit that has settled whether there is a trend.
struct Model {
    fit: Fit,
    phi: f64,
    /// The dispersion by which the standard error of the prediction is scaled.
    error_dispersion: f64,
}

/// A point's limit.
struct Limit {
    upperbound: f64,
    pvalue: Option<f64>,
}

impl Farrington {
    pub(super) fn read(
        flexible: bool,
        parameters: &mut Parameters,
    ) -> Result<Farrington, ParamError> {
        let half_width = parameters.count(&["w"], 3, 0..=1_000)?;
        let alpha = parameters.probability(&["alpha"], 0.05)?;
        let limits = match parameters.text(&["limit54"])? {
            None => vec![5.0, 4.0],
            Some(text) => match parameters.numbers_in("limit54", text, 0.0..=1e9)?.as_slice() {
                [cases, span] if *span >= 1.0 && span.fract() == 0.0 => vec![*cases, *span],
                _ => {
                    return Err(parameters.bad(
                        "limit54",
                        text,
                        "least cases and in how many points, such as `5,4`",
                    ));
                }
            },
        };
        let powers = [Power::TwoThirds, Power::Half, Power::None];
        let mut farrington = Farrington {
            flexible,
            years: parameters.count(&["b"], 5, 1..=100)?,
            half_width,
            reweight: parameters.flag(&["reweight"], true)?,
            weights_threshold: 1.0,
            alpha,
            z: -normal_quantile(if flexible { alpha } else { 0.5 * alpha }),
            trend: parameters.flag(&["trend"], true)?,
            trend_level: 0.05,
            cases_least: limits[0],
            cases_span: limits[1] as usize,
            power: powers[parameters.word(&["powertrans"], &["2/3", "1/2", "none"])?.unwrap_or(0)],
            population_offset: false,
            periods: 1,
            guard: half_width,
            threshold: Threshold::Delta,
            compatible: false,
            frequency: Frequency::read(parameters)?,
            range: parameters.range()?,
        };
        let compatible = parameters.compatible_with(&["surveillance"])?.is_some();
        if flexible {
            let thresholds = [Threshold::Delta, Threshold::PlugIn, Threshold::Quantile];
            let threshold =
                parameters.word(&["threshold-method"], &["delta", "nbPlugin", "muan"])?;
            farrington.compatible = compatible;
            farrington.threshold = thresholds[threshold.unwrap_or(0)];
            farrington.weights_threshold =
                parameters.number(&["weights-threshold"], 2.58, 0.0..=1e9)?;
            farrington.trend_level = parameters.number(&["p-threshold-trend"], 0.05, 0.0..=1.0)?;
            farrington.population_offset = parameters.flag(&["population-offset"], false)?;
            farrington.periods = parameters.count(&["no-periods"], 1, 1..=1_000)?;
            farrington.guard =
                parameters.count(&["past-weeks-not-included"], half_width, 0..=100_000)?;
        }
        Ok(farrington)
    }

    pub(super) fn name(&self) -> &'static str {
        if self.flexible { "farrington-flexible" } else { "farrington" }
    }

    pub(super) fn judge(&self, observations: &Observations, k: usize, _: Baseline) -> Judgement {
        if !Range::holds(self.range, k) {
            return Judgement::no_answer(Reason::NotMonitored);
        }
        self.judge_by_fit(observations, k).unwrap_or_else(Judgement::no_answer)
    }

    fn judge_by_fit(&self, observations: &Observations, k: usize) -> Result<Judgement, Reason> {
        let labelled = match self.flexible {
            true => self.seasons(observations, k)?,
            false => self.windows(observations, k)?,
        };
        let offset = self.offset(observations, k).ok_or(Reason::MissingPopulation)?;
        let points = self.points(observations, &labelled);
        if points.len() < super::BASELINE_LEAST {
            return Err(Reason::BaselineTooShort);
        }
        let time = self.time(observations, k, &labelled);
        let model = self.model(&points, time, offset)?;
        let (eta, variance) = model
            .fit
            .predict(&points, time, self.periods - 1, offset)
            .ok_or(Reason::BaselineTooShort)?;
        let error = sqrt(model.error_dispersion * variance);
        let observed = observations.counts[k];
        let expected = mean_of_prediction(eta);
        let limit = self.limit(eta, error, model.phi, observed);
        let statistic = observed.map(|y| (y - expected) / (limit.upperbound - expected));
        let first = (k + 1).saturating_sub(self.cases_span);
        let cases: f64 = observations.counts[first..=k].iter().flatten().sum();
        if cases < self.cases_least {
            return Ok(Judgement {
                expected: (!self.flexible).then_some(expected),
                upperbound: (!self.flexible).then_some(0.0),
                alarm: observed.map(|_| false),
                pvalue: limit.pvalue,
                statistic: None,
                reason: Some(Reason::TooFewCases),
            });
        }
        // A limit of a discrete law may lie below what is expected: of nothing but zeros it is 0.
        let above = match self.threshold {
            Threshold::Delta => statistic.map(|statistic| statistic > 1.0),
            Threshold::PlugIn | Threshold::Quantile => observed.map(|y| y > limit.upperbound),
        };
        let statistic =
            statistic.filter(|statistic| statistic.is_finite() && limit.upperbound > expected);
        Ok(Judgement {
            expected: Some(expected),
            upperbound: Some(limit.upperbound),
            alarm: observed.map(|y| above == Some(true) && y != 0.0),
            pvalue: limit.pvalue,
            statistic,
            reason: None,
        })
    }

    /// Steps 1 to 3.
    fn model(&self, points: &Points, time: f64, offset: f64) -> Result<Model, Reason> {
        if self.trend
            && let Some(model) = self.fit(points, true)
            && let Some(statistic) =
                model.fit.trend_statistic(self.trend_dispersion(points, &model))
        {
            let pvalue = 2.0 * t_upper(fabs(statistic), model.fit.degrees_of_freedom);
            let (eta, _) = model
                .fit
                .predict(points, time, self.periods - 1, offset)
                .ok_or(Reason::BaselineTooShort)?;
            let greatest = points.counts.iter().copied().fold(0.0, f64::max);
            let is_within = mean_of_prediction(eta) <= greatest;
            if self.years >= 3 && pvalue < self.trend_level && is_within {
                return Ok(model);
            }
        }
        self.fit(points, false).ok_or(Reason::NoFit)
    }

    /// The original tests its trend with the dispersion as it is, not raised to 1.
    fn trend_dispersion(&self, points: &Points, model: &Model) -> f64 {
        if self.flexible { model.error_dispersion } else { model.fit.dispersion(points) }
    }

    /// Steps 1 and 2.
    fn fit(&self, points: &Points, trend: bool) -> Option<Model> {
        let first = Fit::of(points, trend, None)?;
        let raw = first.dispersion(points);
        let phi = raw.max(1.0);
        if !self.reweight {
            let error_dispersion = if self.compatible { raw } else { phi };
            return Some(Model { fit: first, phi, error_dispersion });
        }
        let weights = first.outbreak_weights(points, phi, self.weights_threshold);
        let fit = Fit::of(points, trend, Some(&weights))?;
        let phi = fit.dispersion(points).max(1.0);
        let error_dispersion =
            if self.compatible { fit.dispersion_with(points, &weights) } else { phi };
        Some(Model { fit, phi, error_dispersion })
    }

    /// Step 4.
    fn limit(&self, eta: f64, error: f64, phi: f64, observed: Option<f64>) -> Limit {
        match self.threshold {
            Threshold::Delta => {
                let mean = mean_of_prediction(eta);
                let tau = phi + error * error * mean;
                let (spread, exponent) = match self.power {
                    Power::TwoThirds => (sqrt(4.0 / 9.0 * cbrt(mean) * tau), 2.0 / 3.0),
                    Power::Half => (sqrt(0.25 * tau), 0.5),
                    Power::None => (sqrt(mean * tau), 1.0),
                };
                let centre = pow(mean, exponent);
                let upperbound = pow(centre + self.z * spread, 1.0 / exponent);
                let pvalue = observed.map(|y| normal_upper((pow(y, exponent) - centre) / spread));
                Limit { upperbound, pvalue }
            }
            Threshold::PlugIn | Threshold::Quantile => {
                let margin =
                    if self.threshold == Threshold::Quantile { self.z * error } else { 0.0 };
                let mean = exp(eta + margin);
                if phi > 1.0 {
                    let (size, prob) = (mean / (phi - 1.0), 1.0 / phi);
                    Limit {
                        upperbound: negative_binomial_quantile(1.0 - self.alpha, size, prob),
                        pvalue: observed.map(|y| negative_binomial_upper(y, size, prob)),
                    }
                } else {
                    Limit {
                        upperbound: poisson_quantile(1.0 - self.alpha, mean),
                        pvalue: observed.map(|y| poisson_upper(y, mean)),
                    }
                }
            }
        }
    }

    /// The baseline as regression input, without missing values.
    fn points(&self, observations: &Observations, labelled: &[(usize, usize)]) -> Points {
        let mut points = Vec::with_capacity(labelled.len());
        for &(index, season) in labelled {
            let Some(count) = observations.counts[index] else {
                continue;
            };
            let Some(offset) = self.offset(observations, index) else {
                continue;
            };
            points.push(Point {
                count,
                time: self.time(observations, index, labelled),
                season,
                offset,
            });
        }
        Points::of(&points, self.periods)
    }

    /// The logarithm of the denominator, 0 without one; none where it is missing.
    fn offset(&self, observations: &Observations, index: usize) -> Option<f64> {
        if !self.population_offset {
            return Some(0.0);
        }
        observations
            .population
            .get(index)
            .copied()
            .flatten()
            .filter(|population| *population > 0.0)
            .map(log)
    }

    /// A point's place in time: its index, or its distance in days from the first of the baseline
    /// in units of the first spacing, as R has it.
    fn time(&self, observations: &Observations, index: usize, labelled: &[(usize, usize)]) -> f64 {
        match (observations.days, labelled.first()) {
            (Some(days), Some(&(first, _))) if self.flexible => {
                let spacing = days.get(1).map_or(1, |second| second.saturating_sub(days[0])).max(1);
                days[index].saturating_sub(days[first]) as f64 / spacing as f64
            }
            _ => index as f64 + 1.0,
        }
    }

    /// The original's baseline: windows around the same time of the last years, as far as they
    /// exist.
    fn windows(
        &self,
        observations: &Observations,
        k: usize,
    ) -> Result<Vec<(usize, usize)>, Reason> {
        let frequency = self.frequency.of(observations);
        // R's default range begins half a window early.
        if (k + 1) < (frequency * self.years).saturating_sub(self.half_width)
            && self.range.is_none()
        {
            return Err(Reason::BaselineTooShort);
        }
        let mut indices: Vec<usize> = match observations.days {
            Some(days) => calendar::windows(days, k, self.years, self.half_width, frequency),
            None => (1..=self.years)
                .rev()
                .flat_map(|year| {
                    let centre = k as i64 - (frequency * year) as i64;
                    centre - self.half_width as i64..=centre + self.half_width as i64
                })
                .filter_map(|index| usize::try_from(index).ok())
                .collect(),
        };
        indices.retain(|index| *index < k);
        Ok(indices.into_iter().map(|index| (index, 0)).collect())
    }

    /// The flexible baseline: indices with their seasons, oldest first; the season of `k` is the
    /// last.
    fn seasons(
        &self,
        observations: &Observations,
        k: usize,
    ) -> Result<Vec<(usize, usize)>, Reason> {
        let frequency = self.frequency.of(observations);
        let centres: Vec<usize> = match observations.days {
            Some(days) => calendar::same_time_in_past_years(days, k, self.years, frequency)
                .ok_or(Reason::BaselineTooShort)?,
            None => (0..=self.years)
                .map(|year| k.checked_sub(frequency * year))
                .collect::<Option<_>>()
                .ok_or(Reason::BaselineTooShort)?,
        };
        let window = 2 * self.half_width + 1;
        let mut label: Vec<Option<usize>> = vec![None; k + 1];
        let own = self.periods - 1;
        label[k.saturating_sub(self.half_width)..=k].fill(Some(own));
        for pair in centres.windows(2) {
            let (newer, older) = (pair[0], pair[1]);
            // R counts from 1 and lets the first window begin at 0.
            if older + 1 < self.half_width {
                return Err(Reason::BaselineTooShort);
            }
            let last = (older + self.half_width).min(k);
            label[older.saturating_sub(self.half_width)..=last].fill(Some(own));
            if self.periods > 1 {
                let gap = newer.checked_sub(older + window).ok_or(Reason::BaselineTooShort)?;
                let (length, rest) = (gap / (self.periods - 1), gap % (self.periods - 1));
                let mut index = older + self.half_width + 1;
                for season in 0..self.periods - 1 {
                    for _ in 0..length + usize::from(season < rest) {
                        label[index] = Some(season);
                        index += 1;
                    }
                }
            }
        }
        let end = k.saturating_sub(self.guard);
        Ok((0..end).filter_map(|index| label[index].map(|season| (index, season))).collect())
    }
}

fn mean_of_prediction(eta: f64) -> f64 {
    exp(eta).max(f64::EPSILON)
}
