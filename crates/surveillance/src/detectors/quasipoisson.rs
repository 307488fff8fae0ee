//! The regression of both Farringtons: quasi-Poisson, log link, a level for each season and one
//! common slope.
//!
//! A design of one factor and one slope needs no QR: within seasons everything is a weighted mean,
//! and the slope is the ratio of two sums, so that an iteration is a single pass. The iterates are
//! those of R's `glm.fit` (start at y + 0.1, stop when the deviance changes by less than 1e-8 of
//! itself, at most 25 times), because limits must agree with it; and, as there, the weights which
//! remain for dispersion, leverage and standard errors are those of the last solve.

use super::least_squares::{DEVIANCE_TOLERANCE, ITERATIONS_MAX, mean_of};
use libm::{cbrt, exp, fabs, log, sqrt};

/// The baseline: one entry a point in each of the vectors.
#[derive(Default)]
pub(super) struct Points {
    pub(super) counts: Vec<f64>,
    pub(super) times: Vec<f64>,
    /// Below `seasons`.
    pub(super) season: Vec<usize>,
    /// Logarithms of denominators; empty for none.
    pub(super) offsets: Vec<f64>,
    pub(super) seasons: usize,
}

/// Sums of one season, under the weights of the last solve.
#[derive(Clone, Copy, Default)]
struct Season {
    weight: f64,
    time: f64,
    level: f64,
}

/// A fit that converged.
pub(super) struct Fit {
    pub(super) slope: Option<f64>,
    seasons: Vec<Season>,
    /// Σ w (t − mean t of its season)².
    time_squares: f64,
    means: Vec<f64>,
    predictors: Vec<f64>,
    weights: Vec<f64>,
    pub(super) degrees_of_freedom: f64,
}

impl Fit {
    /// None where it doesn't converge, or where nothing is left to measure a spread with.
    pub(super) fn of(points: &Points, trend: bool, prior: Option<&[f64]>) -> Option<Fit> {
        let n = points.counts.len();
        let offset = |i: usize| points.offsets.get(i).copied().unwrap_or(0.0);
        let prior_of = |i: usize| prior.map_or(1.0, |prior| prior[i]);
        let saturated: Vec<f64> = points.counts.iter().map(|&y| if y > 0.0 { y * log(y) - y } else { 0.0 }).collect();
        let mut predictors: Vec<f64> = points.counts.iter().map(|y| log(y + 0.1)).collect();
        let mut means: Vec<f64> = points.counts.iter().map(|y| y + 0.1).collect();
        let deviance = |predictors: &[f64], means: &[f64]| {
            let part = |i: usize| prior_of(i) * (saturated[i] - points.counts[i] * predictors[i] + means[i]);
            2.0 * (0..n).map(part).sum::<f64>()
        };
        let mut last = deviance(&predictors, &means);
        let mut weights = vec![0.0; n];
        let mut working = vec![0.0; n];
        for _ in 0..ITERATIONS_MAX {
            let mut seasons = vec![Season::default(); points.seasons];
            for i in 0..n {
                weights[i] = prior_of(i) * means[i];
                working[i] = predictors[i] - offset(i) + (points.counts[i] - means[i]) / means[i];
                let season = &mut seasons[points.season[i]];
                season.weight += weights[i];
                season.time += weights[i] * points.times[i];
                season.level += weights[i] * working[i];
            }
            for season in seasons.iter_mut().filter(|season| season.weight > 0.0) {
                season.time /= season.weight;
                season.level /= season.weight;
            }
            let mut squares = 0.0;
            let mut products = 0.0;
            if trend {
                for i in 0..n {
                    let season = seasons[points.season[i]];
                    let distance = points.times[i] - season.time;
                    squares += weights[i] * distance * distance;
                    products += weights[i] * distance * (working[i] - season.level);
                }
            }
            let slope = (squares > 0.0).then(|| products / squares);
            for i in 0..n {
                let season = seasons[points.season[i]];
                let rise = slope.map_or(0.0, |slope| slope * (points.times[i] - season.time));
                predictors[i] = season.level + rise + offset(i);
                means[i] = mean_of(predictors[i]);
            }
            let now = deviance(&predictors, &means);
            if !now.is_finite() {
                return None;
            }
            if fabs(now - last) / (fabs(now) + 0.1) < DEVIANCE_TOLERANCE {
                let used = seasons.iter().filter(|season| season.weight > 0.0).count();
                let rank = used + usize::from(slope.is_some());
                let degrees_of_freedom = n.checked_sub(rank).filter(|df| *df > 0)? as f64;
                return Some(Fit { slope, seasons, time_squares: squares, means, predictors, weights, degrees_of_freedom });
            }
            last = now;
        }
        None
    }

    /// Σ w r² / (n − p), r = (y − mean)/mean, w the working weights.
    pub(super) fn dispersion(&self, points: &Points) -> f64 {
        self.dispersion_with(points, &self.weights)
    }

    pub(super) fn dispersion_with(&self, points: &Points, weights: &[f64]) -> f64 {
        let part = |i: usize| {
            let residual = (points.counts[i] - self.means[i]) / self.means[i];
            weights[i] * residual * residual
        };
        (0..self.means.len()).map(part).sum::<f64>() / self.degrees_of_freedom
    }

    /// Weights that make past outbreaks count for less: g where the standardised Anscombe residual
    /// s is at most `threshold`, g/s² beyond, g such that they sum to n.
    pub(super) fn outbreak_weights(&self, points: &Points, dispersion: f64, threshold: f64) -> Vec<f64> {
        let mut weights: Vec<f64> = (0..self.means.len())
            .map(|i| {
                let season = self.seasons[points.season[i]];
                let mut leverage = self.weights[i] / season.weight;
                if self.slope.is_some() {
                    let distance = points.times[i] - season.time;
                    leverage += self.weights[i] * distance * distance / self.time_squares;
                }
                let root = cbrt(points.counts[i]);
                let eta = self.predictors[i];
                let raw = 1.5 * (root * root * exp(-eta / 6.0) - exp(0.5 * eta));
                let standardised = raw / sqrt(dispersion * (1.0 - leverage));
                if standardised > threshold { 1.0 / (standardised * standardised) } else { 1.0 }
            })
            .collect();
        let scale = weights.len() as f64 / weights.iter().sum::<f64>();
        for weight in &mut weights {
            *weight *= scale;
        }
        weights
    }

    /// The linear predictor at a time of a season, and its variance for a dispersion of 1.
    pub(super) fn predict(&self, time: f64, season: usize, offset: f64) -> Option<(f64, f64)> {
        let season = self.seasons.get(season).filter(|season| season.weight > 0.0)?;
        let distance = time - season.time;
        let level = season.level + offset;
        match self.slope {
            None => Some((level, 1.0 / season.weight)),
            Some(slope) => {
                let variance = 1.0 / season.weight + distance * distance / self.time_squares;
                Some((level + slope * distance, variance))
            }
        }
    }

    /// The slope's t statistic for this dispersion.
    pub(super) fn trend_statistic(&self, dispersion: f64) -> Option<f64> {
        self.slope.map(|slope| slope / sqrt(dispersion / self.time_squares))
    }
}
