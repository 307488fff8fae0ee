//! Forecast: how many accounts a window is likely to bring if nothing is going on.
//!
//! Used by the default detector in `watch`, by `detect` and by the evaluation; `pool` and `season`
//! give the prior, `operating` and `weeks` the thresholds. Knows no topics, regions or clocks.
//!
//! A window's count is negative-binomial around level × exposure. *Exposure* is what is known
//! beforehand, as a multiple of the judged window: denominator, weekday, holiday. The *level*
//! drifts by a slow log-linear trend. Neither level nor dispersion is known, so neither is plugged
//! in: the upper tail is an average over both.
//!
//! - Dispersion: a grid of sizes k (variance μ + μ²/k), weighted by the marginal likelihood of the
//!   baseline under each, times the weights that the topic's other regions gave.
//! - Level: for each k the posterior of the log level *now* by Laplace's method (Fisher scoring
//!   over level and trend), as a gamma law. With Poisson counts and no trend that is nearly exact
//!   (Gamma–Poisson); with prior shape ½ it is near Jeffreys', whose tails are near those of the
//!   exact conditional test of Przyborowski and Wilenski (1940).
//! - Drift: where the prior allows for it, the level also walks, by steps learnt from the one-step
//!   residuals of the fit (`drift`).
//! - Tail: level (gamma) × noise (gamma of shape k) is one intensity. The narrower of the two is
//!   replaced by the nodes of Gauss's quadrature for gamma weights (Golub and Welsch 1969; three
//!   nodes keep six moments), the wider stays a gamma law; so the whole is a mixture of
//!   negative-binomials whose tails are exact.
//!
//! Units are counts. Everything is libm and fixed order: the same bits everywhere.

mod drift;
mod fit;
pub mod operating;
pub mod pool;
pub mod season;
mod spread;
mod tail;
pub mod weeks;

pub use tail::{Forecast, Wild};

use fit::{Fit, fit_size};
use libm::{exp, log};
use tail::Component;

/// Sizes of the negative-binomial law, from bursty to (nearly) Poisson.
pub const SIZES: [f64; 16] = [
    0.06, 0.12, 0.25, 0.5, 0.9, 1.5, 2.5, 4.0, 7.0, 12.0, 22.0, 50.0, 150.0, 600.0, 3000.0, POISSON,
];
/// So large a size that it is a Poisson law.
const POISSON: f64 = 1e9;
/// Before anything is known of a topic: most series of hashtags are near Poisson at the counts that
/// they have.
const SIZES_PRIOR: [f64; SIZES.len()] = [
    0.01, 0.015, 0.025, 0.04, 0.05, 0.07, 0.08, 0.09, 0.09, 0.09, 0.09, 0.09, 0.09, 0.08, 0.06,
    0.08,
];
/// Noise is at least this likely to have a heavier tail than a gamma law.
pub(super) const HEAVY_LEAST: f64 = 0.05;
/// Sizes that weigh less than this against the likeliest are left out.
const WEIGHT_LEAST: f64 = 1e-4;
/// The logarithm of what a size, with its weight, must not fall behind the likeliest by; that of
/// [`WEIGHT_LEAST`].
const EVIDENCE_SPAN: f64 = 9.3;
/// Where the mean count is below this share of a size, its law can't be distinguished from Poisson's.
const ALIKE: f64 = 0.002;
/// With fewer counts than this in the baseline a trend can't be fitted: the topic's is taken.
const TREND_COUNTS_LEAST: f64 = 20.0;

/// A past window as the model takes it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Past {
    pub observed: f64,
    /// What it was to bring, as a multiple of the judged window.
    pub exposure: f64,
    /// Days before the judged window.
    pub age: f64,
}

/// What is known before the series' own past is looked at.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Prior {
    /// Of the judged window's level: its middle, and the shape on both sides of it. The law is beta
    /// prime, λ^a (1 + λ/M)^-2a: near zero like a gamma law of shape a, but with a heavy upper
    /// tail, so that it never contradicts a past of its own.
    pub middle: f64,
    pub shape: f64,
    /// Relative growth a day, and its standard deviation.
    pub trend: f64,
    pub trend_sd: f64,
    /// Weights of [`SIZES`], each times `shift`; they needn't add up to one.
    pub sizes: [f64; SIZES.len()],
    /// So that one of the sizes is the topic's likeliest.
    pub shift: f64,
    /// Variance of the logarithm of the judged window's exposure: what weekday factors and
    /// denominators leave open.
    pub exposure_variance: f64,
    /// By how much the level's variance is larger than independent windows would have it: (1 + ρ) /
    /// (1 − ρ).
    pub dependence: f64,
    /// How likely the noise has a heavier tail than a gamma law, and what that tail is.
    pub heavy: f64,
    pub wild: Wild,
    /// How likely the level drifts from window to window, beyond its trend.
    pub drift: f64,
}

impl Default for Prior {
    fn default() -> Prior {
        Prior {
            middle: 0.3,
            shape: 0.5,
            trend: 0.0,
            trend_sd: 0.014,
            sizes: SIZES_PRIOR,
            shift: 1.0,
            exposure_variance: 0.0,
            dependence: 1.0,
            heavy: HEAVY_LEAST,
            wild: Wild::OF_TOPIC,
            drift: 0.0,
        }
    }
}

/// The forecast of a window from its past, in any order.
pub fn forecast(past: &[Past], prior: &Prior) -> Forecast {
    let grid = Grid::new(past, prior);
    let mut fits = grid.fits(past, prior);
    let mut evidence = fits.map(|fit| fit.evidence);
    let mut weights = grid.weights(prior, &evidence);
    if prior.drift > 0.0 {
        for ((fit, size), _) in
            fits.iter_mut().zip(grid.sizes).zip(weights).filter(|(_, weight)| *weight > 0.0)
        {
            drift::follow(fit, past, size, prior.drift);
        }
        evidence = fits.map(|fit| fit.evidence);
        weights = grid.weights(prior, &evidence);
    }
    let total: f64 = weights.iter().sum();
    // How much of the trend's uncertainty the extrapolation from the baseline's middle adds where
    // it was not fitted.
    let middle = past.iter().map(|window| window.age * window.exposure).sum::<f64>()
        / grid.exposed.max(f64::MIN_POSITIVE);
    let extrapolated =
        if grid.with_trend { 0.0 } else { (prior.trend_sd * middle) * (prior.trend_sd * middle) };
    let component = |((fit, &size), weight): ((&Fit, &f64), f64)| {
        let variance =
            fit.variance * prior.dependence + fit.drifted + extrapolated + prior.exposure_variance;
        // The second term of Laplace's expansion: bursty counts leave more room above than below. A
        // trend is off by a normal law on the logarithm, whose mean lies half its variance above;
        // the law of exposures has the mean that they were given.
        let of_trend =
            (fit.variance - fit.variance_alone) * prior.dependence + fit.drifted + extrapolated;
        let above = (0.5 * fit.variance_alone * prior.dependence * (1.0 + fit.skew)
            + 0.5 * of_trend)
            .min(1.0);
        let fitted = fit.trend_variance;
        Component {
            weight: weight / total,
            mean: (exp(fit.level) * (1.0 + above)).clamp(1e-9, 1e12),
            level_shape: (1.0 / (variance * (1.0 + 2.0 * above)).max(1e-9)).clamp(1e-3, 1e9),
            size,
            trend: fit.trend,
            trend_variance: if grid.with_trend { fitted } else { prior.trend_sd * prior.trend_sd },
        }
    };
    let weighted = fits.iter().zip(&grid.sizes).zip(weights).filter(|(_, weight)| *weight > 0.0);
    Forecast::mix(weighted.map(component), prior.heavy, prior.wild, evidence)
}

/// The sizes that are fitted to a past.
struct Grid {
    sizes: [f64; SIZES.len()],
    /// From this one on the past can't distinguish a size from Poisson's law, whose fit is used.
    alike: usize,
    with_trend: bool,
    exposed: f64,
    /// Logarithm of the level at which the first fit begins.
    first: f64,
}

impl Grid {
    fn new(past: &[Past], prior: &Prior) -> Grid {
        let counted: f64 = past.iter().map(|window| window.observed).sum();
        let exposed: f64 = past.iter().map(|window| window.exposure).sum();
        let sizes = SIZES.map(|size| if size < POISSON { size * prior.shift } else { size });
        let alike = sizes
            .iter()
            .position(|size| *size >= POISSON || counted < size * ALIKE * past.len() as f64)
            .unwrap_or(SIZES.len() - 1);
        Grid {
            sizes,
            alike,
            with_trend: counted >= TREND_COUNTS_LEAST && prior.trend_sd > 0.0,
            exposed,
            first: log((counted + prior.shape) / (exposed + prior.shape / prior.middle)),
        }
    }

    /// Prior weight of a size and of those that can't be distinguished from it.
    fn prior_weight(&self, prior: &Prior, nth: usize) -> f64 {
        if nth < self.alike {
            prior.sizes[nth]
        } else {
            prior.sizes[self.alike..].iter().copied().fold(0.0, f64::max)
        }
    }

    /// From the size that is likeliest beforehand to both sides; each fit begins where the last one
    /// ended. Evidence has one peak: once it falls and what is left has no weight to speak of, it
    /// is less likely still.
    fn fits(&self, past: &[Past], prior: &Prior) -> [Fit; SIZES.len()] {
        let alike = self.alike;
        let weight = |nth: usize| self.prior_weight(prior, nth);
        let start = (0..=alike).max_by(|a, b| weight(*a).total_cmp(&weight(*b))).unwrap_or(alike);
        let fit_of = |nth: usize, from: Fit| {
            let size = if nth < alike { self.sizes[nth] } else { POISSON };
            fit_size(past, prior, size, self.with_trend, from)
        };
        let mut fits = [Fit::start(self.first, prior.trend); SIZES.len()];
        fits[start] = fit_of(start, fits[start]);
        let mut best = (log(weight(start)) + fits[start].evidence, fits[start].evidence);
        for upwards in [true, false] {
            let mut before = fits[start];
            let mut unlikely = false;
            let side = if upwards { start + 1..alike + 1 } else { 0..start };
            for step in 0..side.len() {
                let nth = if upwards { side.start + step } else { side.end - 1 - step };
                if unlikely {
                    fits[nth] = Fit { evidence: best.1 - 2.0 * EVIDENCE_SPAN, ..before };
                    continue;
                }
                let fitted = fit_of(nth, before);
                best =
                    (best.0.max(log(weight(nth)) + fitted.evidence), best.1.max(fitted.evidence));
                let left = if upwards { nth..alike + 1 } else { 0..nth + 1 };
                let most = left.map(weight).fold(0.0, f64::max);
                unlikely = fitted.evidence < before.evidence
                    && log(most) + fitted.evidence < best.0 - EVIDENCE_SPAN;
                (before, fits[nth]) = (fitted, fitted);
            }
        }
        let poisson = fits[alike];
        fits[alike..].fill(poisson);
        fits
    }

    /// Weights of the sizes after their evidence; those that weigh nearly nothing are 0.
    fn weights(&self, prior: &Prior, evidence: &[f64; SIZES.len()]) -> [f64; SIZES.len()] {
        let largest = evidence.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let mut weights = [0.0; SIZES.len()];
        for (nth, weight) in weights.iter_mut().enumerate() {
            *weight = prior.sizes[nth] * exp(evidence[nth] - largest);
        }
        // Even where the past can't distinguish a size from Poisson's law, the future can.
        let usual = exp(self.first);
        for (nth, &size) in self.sizes.iter().enumerate().rev().skip(1) {
            if usual < size * ALIKE {
                weights[SIZES.len() - 1] += weights[nth];
                weights[nth] = 0.0;
            }
        }
        let heaviest = weights.iter().copied().fold(0.0, f64::max);
        weights.map(|weight| if weight < WEIGHT_LEAST * heaviest { 0.0 } else { weight })
    }
}
