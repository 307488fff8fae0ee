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
pub(super) struct Points {
    pub(super) counts: Vec<f64>,
    /// Below `seasons`.
    season: Vec<usize>,
    /// Logarithms of denominators; empty for none.
    offsets: Vec<f64>,
    /// Times less `centres` of their season.
    distances: Vec<f64>,
    centres: Vec<f64>,
    /// ln(y + 0.1), where the iteration starts.
    starts: Vec<f64>,
    /// Σ of y ln y − y, the part of the deviance that no fit changes; by point.
    saturated: Vec<f64>,
}

/// A point of the baseline.
#[derive(Clone, Copy)]
pub(super) struct Point {
    pub(super) count: f64,
    pub(super) time: f64,
    pub(super) season: usize,
    pub(super) offset: f64,
}

impl Points {
    /// Every season must be below `seasons`.
    pub(super) fn of(points: &[Point], seasons: usize) -> Points {
        let mut centres = vec![0.0; seasons];
        let mut sizes = vec![0.0_f64; seasons];
        for point in points {
            centres[point.season] += point.time;
            sizes[point.season] += 1.0;
        }
        for (centre, size) in centres.iter_mut().zip(&sizes) {
            *centre /= size.max(1.0);
        }
        let has_offsets = points.iter().any(|point| point.offset != 0.0);
        let own = |count: f64| if count > 0.0 { count * log(count) - count } else { 0.0 };
        Points {
            counts: points.iter().map(|point| point.count).collect(),
            season: points.iter().map(|point| point.season).collect(),
            offsets: if has_offsets {
                points.iter().map(|point| point.offset).collect()
            } else {
                Vec::new()
            },
            distances: points.iter().map(|point| point.time - centres[point.season]).collect(),
            centres,
            starts: points.iter().map(|point| log(point.count + 0.1)).collect(),
            saturated: points.iter().map(|point| own(point.count)).collect(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.counts.len()
    }

    fn offset(&self, i: usize) -> f64 {
        self.offsets.get(i).copied().unwrap_or(0.0)
    }

    /// One pass: from predictors and means, the deviance and the weights and sums for the next
    /// solve.
    fn gather(
        &self,
        prior: Option<&[f64]>,
        predictors: &[f64],
        means: &[f64],
        weights: &mut [f64],
        sums: &mut [Sums],
    ) -> f64 {
        let prior_of = |i: usize| prior.map_or(1.0, |prior| prior[i]);
        let saturated: f64 = (0..self.len()).map(|i| prior_of(i) * self.saturated[i]).sum();
        sums.fill(Sums::default());
        let mut rest = 0.0;
        for i in 0..self.len() {
            let (mean, eta, count, prior, d) =
                (means[i], predictors[i], self.counts[i], prior_of(i), self.distances[i]);
            rest += prior * (mean - count * eta);
            let w = prior * mean;
            // w z, with z = η − offset + (y − μ)/μ.
            let wz = prior * (mean * (eta - self.offset(i)) + (count - mean));
            weights[i] = w;
            let season = &mut sums[self.season[i]];
            season.w += w;
            season.wd += w * d;
            season.wdd += w * d * d;
            season.wz += wz;
            season.wdz += wz * d;
        }
        2.0 * (saturated + rest)
    }
}

/// One season under the weights of the last solve.
#[derive(Clone, Copy, Default)]
struct Season {
    weight: f64,
    /// Weighted mean of the distances.
    distance: f64,
    /// Linear predictor there, without offset.
    level: f64,
}

/// Sums over a season of weights w, distances d and working responses z.
#[derive(Clone, Copy, Default)]
struct Sums {
    w: f64,
    wd: f64,
    wdd: f64,
    wz: f64,
    wdz: f64,
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
        let n = points.len();
        let mut predictors = points.starts.clone();
        let mut means: Vec<f64> = points.counts.iter().map(|count| count + 0.1).collect();
        let mut weights = vec![0.0; n];
        let mut sums = vec![Sums::default(); points.centres.len()];
        let mut seasons = vec![Season::default(); points.centres.len()];
        let mut last = points.gather(prior, &predictors, &means, &mut weights, &mut sums);
        let mut next_weights = weights.clone();
        for _ in 0..ITERATIONS_MAX {
            let (mut squares, mut products) = (0.0, 0.0);
            for (season, sum) in seasons.iter_mut().zip(&sums).filter(|(_, sum)| sum.w > 0.0) {
                *season = Season { weight: sum.w, distance: sum.wd / sum.w, level: sum.wz / sum.w };
                squares += sum.wdd - sum.wd * season.distance;
                products += sum.wdz - sum.wd * season.level;
            }
            let slope = (trend && squares > 0.0).then(|| products / squares);
            match slope {
                None if points.offsets.is_empty() => {
                    // All points of a season have one mean.
                    let flat: Vec<f64> =
                        seasons.iter().map(|season| mean_of(season.level)).collect();
                    for i in 0..n {
                        predictors[i] = seasons[points.season[i]].level;
                        means[i] = flat[points.season[i]];
                    }
                }
                _ => {
                    let slope = slope.unwrap_or(0.0);
                    for i in 0..n {
                        let season = seasons[points.season[i]];
                        predictors[i] = season.level
                            + slope * (points.distances[i] - season.distance)
                            + points.offset(i);
                        means[i] = mean_of(predictors[i]);
                    }
                }
            }
            let now = points.gather(prior, &predictors, &means, &mut next_weights, &mut sums);
            if !now.is_finite() {
                return None;
            }
            if fabs(now - last) / (fabs(now) + 0.1) < DEVIANCE_TOLERANCE {
                let used = seasons.iter().filter(|season| season.weight > 0.0).count();
                let rank = used + usize::from(slope.is_some());
                let degrees_of_freedom = n.checked_sub(rank).filter(|df| *df > 0)? as f64;
                return Some(Fit {
                    slope,
                    seasons,
                    time_squares: squares,
                    means,
                    predictors,
                    weights,
                    degrees_of_freedom,
                });
            }
            std::mem::swap(&mut weights, &mut next_weights);
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
    pub(super) fn outbreak_weights(
        &self,
        points: &Points,
        dispersion: f64,
        threshold: f64,
    ) -> Vec<f64> {
        let mut weights: Vec<f64> = (0..self.means.len())
            .map(|i| {
                if points.counts[i] <= self.means[i] {
                    return 1.0;
                }
                let season = self.seasons[points.season[i]];
                let mut leverage = self.weights[i] / season.weight;
                if self.slope.is_some() {
                    let distance = points.distances[i] - season.distance;
                    leverage += self.weights[i] * distance * distance / self.time_squares;
                }
                let root = cbrt(points.counts[i]);
                let raw =
                    1.5 * (root * root * exp(-self.predictors[i] / 6.0) - sqrt(self.means[i]));
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
    pub(super) fn predict(
        &self,
        points: &Points,
        time: f64,
        season: usize,
        offset: f64,
    ) -> Option<(f64, f64)> {
        let centre = points.centres.get(season)?;
        let season = self.seasons.get(season).filter(|season| season.weight > 0.0)?;
        let distance = time - centre - season.distance;
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
