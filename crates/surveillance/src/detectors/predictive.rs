//! nb-predictive: the default. How likely is a count at least this large, given what the past
//! leaves open?
//!
//! A window's count is negative-binomial around level × exposure. *Exposure* is what is known
//! beforehand, as a multiple of the
//! judged window: denominator, weekday, holiday. The *level* drifts by a slow log-linear trend.
//! Neither level nor dispersion is
//! known, so neither is plugged in: the upper tail is an average over both.
//!
//! - Dispersion: a grid of sizes k (variance μ + μ²/k), weighted by the marginal likelihood of the
//!   baseline under each, times the
//!   weights that the topic's other regions gave.
//! - Level: for each k the posterior of the log level *now* by Laplace's method (Fisher scoring
//!   over level and trend), held as a
//!   gamma law. With Poisson counts and no trend that is nearly exact (Gamma–Poisson); with prior
//!   shape ½ it is near Jeffreys', whose tails
//!   are near those of the exact conditional test of Przyborowski and Wilenski (1940).
//! - Tail: level (gamma) × noise (gamma of shape k) is one intensity. The narrower of the two is
//!   replaced by the nodes of Gauss's
//!   quadrature for gamma weights (Golub and Welsch 1969; three nodes keep six moments), the wider
//!   stays a gamma law; so the
//!   whole is a mixture of negative-binomials whose tails are exact.
//!
//! Units are counts. Everything is libm and fixed order: the same bits everywhere. Knows no topics,
//! regions or clocks.

use super::distribution::{negative_binomial_upper, normal_quantile, poisson_upper};
use super::parameters::Parameters;
use super::{Judgement, Observations, ParamError, Range, Reason};
use libm::{exp, lgamma, log, log1p, sqrt};

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
/// Where the mean count is below this share of a size, its law can't be told from Poisson's.
const ALIKE: f64 = 0.002;
/// Most parts of the mixture: for each size three nodes, each for usual and for wild windows.
const PARTS_MAX: usize = 6 * SIZES.len();
/// In a heavy-tailed law this share of the windows is wild: their size is smaller than the law's by
/// [`WILD_SIZE`], that of the
/// others so much larger that the variance is the law's. Close to lognormal noise up to its 99.9 %
/// quantile.
const WILD_SHARE: f64 = 0.1;
const WILD_SIZE: f64 = 0.4;
/// With fewer counts than this in the baseline a trend can't be told: it stays what the topic's is.
const TREND_COUNTS_LEAST: f64 = 20.0;
/// Tails are summed term by term up to here, and computed as incomplete beta functions beyond.
const SUMMED_MAX: f64 = 48.0;
/// A rise is *detectable* if it is in alarm with this probability.
const POWER: f64 = 0.8;
/// Beyond this multiple of what is expected nothing is called detectable: there are too few posts
/// to tell.
pub const RISE_MAX: f64 = 1_000.0;

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
    /// Of the judged window's level: its middle, and the shape on both sides of it. The law is a
    /// beta prime one, λ^a (1 + λ/M)^-2a:
    /// near zero like a gamma law of shape a, but with a heavy upper tail, so that it never argues
    /// with a past of its own.
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
    /// How likely the noise has a heavier tail than a gamma law.
    pub heavy: f64,
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
        }
    }
}

/// What a window may bring if nothing is going on: a mixture of negative-binomial laws.
#[derive(Clone, Debug, PartialEq)]
pub struct Forecast {
    parts: [Part; PARTS_MAX],
    len: usize,
    mean: f64,
    /// Gamma shape of the level.
    level_shape: f64,
    /// Gamma shape of the intensity as a whole.
    shape: f64,
    /// Logarithm of each size's marginal likelihood, prior weights left out.
    evidence: [f64; SIZES.len()],
    /// Relative growth a day, and the variance of what is known of it.
    trend: f64,
    trend_variance: f64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Part {
    weight: f64,
    mean: f64,
    size: f64,
}

/// Level and trend at the likeliest, for one size.
#[derive(Clone, Copy, Debug)]
struct Fit {
    /// Logarithm of the level now.
    level: f64,
    trend: f64,
    /// Variance of `level`, what it would be if the trend were known, and of `trend`.
    variance: f64,
    variance_alone: f64,
    trend_variance: f64,
    /// From −1 (as Poisson counts leave it: a gamma law) to 1 (as very bursty ones do: an inverse
    /// gamma law).
    skew: f64,
    evidence: f64,
}

/// The forecast of a window from its past, in any order.
pub fn forecast(past: &[Past], prior: &Prior) -> Forecast {
    let counted: f64 = past.iter().map(|window| window.observed).sum();
    let with_trend = counted >= TREND_COUNTS_LEAST && prior.trend_sd > 0.0;
    let exposed: f64 = past.iter().map(|window| window.exposure).sum();
    let first = log((counted + prior.shape) / (exposed + prior.shape / prior.middle));
    let mut fits = [Fit {
        level: first,
        trend: prior.trend,
        variance: 0.0,
        variance_alone: 0.0,
        trend_variance: 0.0,
        skew: -1.0,
        evidence: 0.0,
    }; SIZES.len()];
    let sizes = SIZES.map(|size| if size < POISSON { size * prior.shift } else { size });
    // From here on the past can't tell a size from Poisson's law, whose fit stands for theirs.
    let alike = sizes
        .iter()
        .position(|size| *size >= POISSON || counted < size * ALIKE * past.len() as f64)
        .unwrap_or(SIZES.len() - 1);
    let weight = |nth: usize| {
        if nth < alike {
            prior.sizes[nth]
        } else {
            prior.sizes[alike..].iter().copied().fold(0.0, f64::max)
        }
    };
    let start = (0..=alike).max_by(|a, b| weight(*a).total_cmp(&weight(*b))).unwrap_or(alike);
    let fit_of = |nth: usize, from: Fit| {
        fit(past, prior, if nth < alike { sizes[nth] } else { POISSON }, with_trend, from)
    };
    fits[start] = fit_of(start, fits[start]);
    let mut best = (log(weight(start)) + fits[start].evidence, fits[start].evidence);
    // From the size that is likeliest beforehand to both sides; each fit begins where the last one
    // ended. Evidence has one peak: once it
    // falls and what is left has no weight to speak of, it is less likely still.
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
            best = (best.0.max(log(weight(nth)) + fitted.evidence), best.1.max(fitted.evidence));
            let left = if upwards { nth..alike + 1 } else { 0..nth + 1 };
            let most = left.map(weight).fold(0.0, f64::max);
            unlikely = fitted.evidence < before.evidence
                && log(most) + fitted.evidence < best.0 - EVIDENCE_SPAN;
            (before, fits[nth]) = (fitted, fitted);
        }
    }
    let poisson = fits[alike];
    fits[alike..].fill(poisson);
    let evidence = fits.map(|fit| fit.evidence);
    let largest = evidence.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let mut weights = [0.0; SIZES.len()];
    for (nth, weight) in weights.iter_mut().enumerate() {
        *weight = prior.sizes[nth] * exp(evidence[nth] - largest);
    }
    // Even where the past can't tell a size from Poisson's law, what may come can.
    let usual = exp(first);
    for (nth, &size) in sizes.iter().enumerate().rev().skip(1) {
        if usual < size * ALIKE {
            weights[SIZES.len() - 1] += weights[nth];
            weights[nth] = 0.0;
        }
    }
    let heaviest = weights.iter().copied().fold(0.0, f64::max);
    for weight in &mut weights {
        *weight = if *weight < WEIGHT_LEAST * heaviest { 0.0 } else { *weight };
    }
    let total: f64 = weights.iter().sum();
    // How much of the trend's uncertainty the extrapolation from the baseline's middle adds where
    // it was not fitted.
    let middle = past.iter().map(|window| window.age * window.exposure).sum::<f64>()
        / exposed.max(f64::MIN_POSITIVE);
    let extrapolated =
        if with_trend { 0.0 } else { (prior.trend_sd * middle) * (prior.trend_sd * middle) };
    let mut forecast = Forecast {
        parts: [Part::default(); PARTS_MAX],
        len: 0,
        mean: 0.0,
        level_shape: 0.0,
        shape: 0.0,
        evidence,
        trend: 0.0,
        trend_variance: 0.0,
    };
    let (mut square, mut level_square) = (0.0, 0.0);
    for ((fit, &size), weight) in
        fits.iter().zip(&sizes).zip(weights).filter(|(_, weight)| *weight > 0.0)
    {
        let weight = weight / total;
        let variance = fit.variance * prior.dependence + extrapolated + prior.exposure_variance;
        // The second term of Laplace's expansion: bursty counts leave more room above than below. A
        // trend is off by a normal law on the
        // logarithm, whose mean lies half its variance above; the law of exposures has the mean
        // that they were given.
        let of_trend = (fit.variance - fit.variance_alone) * prior.dependence + extrapolated;
        let above = (0.5 * fit.variance_alone * prior.dependence * (1.0 + fit.skew)
            + 0.5 * of_trend)
            .min(1.0);
        let mean = (exp(fit.level) * (1.0 + above)).clamp(1e-9, 1e12);
        let level_shape = (1.0 / (variance * (1.0 + 2.0 * above)).max(1e-9)).clamp(1e-3, 1e9);
        forecast.mean += weight * mean;
        forecast.trend += weight * fit.trend;
        forecast.trend_variance +=
            weight * if with_trend { fit.trend_variance } else { prior.trend_sd * prior.trend_sd };
        level_square += weight * mean * mean * (1.0 + 1.0 / level_shape);
        square += weight * mean * mean * (1.0 + 1.0 / level_shape) * (1.0 + 1.0 / size);
        if size >= POISSON {
            forecast.add(weight, mean, level_shape, size);
        } else {
            let wild = WILD_SHARE * prior.heavy;
            let tame_size = (1.0 - wild) / (1.0 - wild / WILD_SIZE);
            forecast.add(weight * (1.0 - wild), mean, level_shape, size * tame_size);
            forecast.add(weight * wild, mean, level_shape, size * WILD_SIZE);
        }
    }
    let of_square = |square: f64, mean: f64| 1.0 / (square / (mean * mean) - 1.0).max(1e-9);
    forecast.level_shape = of_square(level_square, forecast.mean);
    forecast.shape = of_square(square, forecast.mean);
    forecast
}

/// Fisher scoring over the log level now and the trend, with a gamma prior on the level and a
/// normal one on the trend.
fn fit(past: &[Past], prior: &Prior, size: f64, with_trend: bool, start: Fit) -> Fit {
    let trend_precision = if with_trend { 1.0 / (prior.trend_sd * prior.trend_sd) } else { 1.0 };
    let (mut level, mut trend) = (start.level, if with_trend { start.trend } else { prior.trend });
    let (mut of_level, mut of_both, mut of_trend);
    let mut steps = 0;
    loop {
        let base = exp(level);
        let ratio = base / (base + prior.middle);
        let (mut push, mut tilt) = (prior.shape * (1.0 - 2.0 * ratio), 0.0);
        (of_level, of_both, of_trend) =
            (2.0 * prior.shape * ratio * (1.0 - ratio), 0.0, trend_precision);
        let mut decay = Decay::new(trend);
        for window in past {
            let mean = base * window.exposure * decay.after(window.age);
            let share = size / (size + mean);
            let weight = mean * share;
            let score = (window.observed - mean) * share;
            push += score;
            of_level += weight;
            if with_trend {
                tilt -= window.age * score;
                of_both -= window.age * weight;
                of_trend += window.age * window.age * weight;
            }
        }
        if with_trend {
            tilt -= (trend - prior.trend) * trend_precision;
        }
        let determinant = of_level * of_trend - of_both * of_both;
        let step = ((of_trend * push - of_both * tilt) / determinant).clamp(-2.0, 2.0);
        level += step;
        let mut tilted = 0.0;
        if with_trend {
            tilted = ((of_level * tilt - of_both * push) / determinant).clamp(-0.1, 0.1);
            trend += tilted;
        }
        steps += 1;
        if step.abs().max(30.0 * tilted.abs()) < 1e-3 || steps >= 20 {
            break;
        }
    }
    let determinant = (of_level * of_trend - of_both * of_both).max(f64::MIN_POSITIVE);
    let base = exp(level);
    let deviation = trend - prior.trend;
    let mut evidence =
        prior.shape * (level - 2.0 * log1p(base / prior.middle)) - 0.5 * log(determinant);
    if with_trend {
        evidence -= 0.5 * deviation * deviation * trend_precision;
    }
    let mut decay = Decay::new(trend);
    let (mut skewed, mut weights) = (0.0, 0.0);
    let mut law = Law::new(size);
    for window in past {
        let log_mean = level - trend * window.age;
        let mean = base * decay.after(window.age) * window.exposure;
        evidence += law.log_probability(window.observed, log_mean, mean);
        let weight = mean * size / (size + mean);
        weights += weight;
        skewed += weight * (mean - size) / (mean + size);
    }
    evidence += law.rest();
    let skew = if weights > 0.0 { skewed / weights } else { -1.0 };
    let (variance, trend_variance) = (of_trend / determinant, of_level / determinant);
    Fit { level, trend, variance, variance_alone: 1.0 / of_level, trend_variance, skew, evidence }
}

/// exp(−trend × age) for one age after another; most are a day older than the one before.
struct Decay {
    trend: f64,
    age: f64,
    value: f64,
    gap: f64,
    ratio: f64,
}

impl Decay {
    fn new(trend: f64) -> Decay {
        Decay { trend, age: 0.0, value: 1.0, gap: 0.0, ratio: 1.0 }
    }

    fn after(&mut self, age: f64) -> f64 {
        let gap = age - self.age;
        if gap != self.gap {
            (self.gap, self.ratio) = (gap, exp(-self.trend * gap));
        }
        self.age = age;
        self.value *= self.ratio;
        self.value
    }
}

/// Probabilities of counts of one size. Logarithms are taken of products where they can be.
struct Law {
    size: f64,
    /// ln Γ(k) and ln k, once they are asked for.
    constants: Option<(f64, f64)>,
    product: f64,
}

impl Law {
    fn new(size: f64) -> Law {
        Law { size, constants: None, product: 1.0 }
    }

    /// Of a count under a mean (its logarithm without the exposure's, which no size changes), up to
    /// what no size changes, and up to
    /// what [`Law::rest`] gives for all counts together.
    fn log_probability(&mut self, observed: f64, log_mean: f64, mean: f64) -> f64 {
        if self.size >= POISSON {
            return observed * log_mean - mean;
        }
        self.rising(observed) + observed * log_mean
            - (observed + self.size) * log1p(mean / self.size)
    }

    /// ln Γ(y + k) − ln Γ(k) − y ln k; of small counts only the product, whose logarithm comes with
    /// the rest.
    fn rising(&mut self, observed: f64) -> f64 {
        if observed <= 12.0 {
            let mut nth = 1.0;
            while nth < observed {
                self.product *= 1.0 + nth / self.size;
                nth += 1.0;
            }
            return if self.product > 1e200 { self.rest() } else { 0.0 };
        }
        let (gamma, log_size) =
            *self.constants.get_or_insert_with(|| (lgamma(self.size), log(self.size)));
        lgamma(observed + self.size) - gamma - observed * log_size
    }

    fn rest(&mut self) -> f64 {
        let rest = log(self.product);
        self.product = 1.0;
        rest
    }
}

impl Forecast {
    /// What is expected, in counts.
    pub fn expected(&self) -> f64 {
        self.mean
    }

    /// Gamma shape of the intensity: the count's variance is mean + mean² / shape.
    pub fn shape(&self) -> f64 {
        self.shape
    }

    /// Relative growth a day.
    pub fn trend(&self) -> f64 {
        self.trend
    }

    /// What is left open of it.
    pub fn trend_variance(&self) -> f64 {
        self.trend_variance
    }

    /// The logarithms of the marginal likelihoods of [`SIZES`].
    pub fn evidence(&self) -> &[f64; SIZES.len()] {
        &self.evidence
    }

    /// What is expected lies in here with 95 %: the level's own uncertainty, without the noise of
    /// counts.
    pub fn interval(&self) -> (f64, f64) {
        let quantile = |p: f64| {
            // Wilson and Hilferty 1931.
            let ninth = 1.0 / (9.0 * self.level_shape);
            let root = (1.0 - ninth + normal_quantile(p) * sqrt(ninth)).max(0.0);
            self.mean * root * root * root
        };
        (quantile(0.025), quantile(0.975))
    }

    fn add(&mut self, weight: f64, mean: f64, level_shape: f64, size: f64) {
        let (narrow, wide) =
            if level_shape < size { (size, level_shape) } else { (level_shape, size) };
        let mut push = |weight: f64, mean: f64, size: f64| {
            self.parts[self.len] = Part { weight, mean, size };
            self.len += 1;
        };
        if narrow > 400.0 {
            // So narrow that its variance is all that matters.
            push(weight, mean, 1.0 / ((1.0 + 1.0 / narrow) * (1.0 + 1.0 / wide) - 1.0));
        } else if narrow > 30.0 {
            let spread = sqrt(narrow + 1.0);
            let (low, high) = (narrow + 1.0 - spread, narrow + 1.0 + spread);
            let share_high = (narrow - low) / (high - low);
            push(weight * (1.0 - share_high), mean * low / narrow, wide);
            push(weight * share_high, mean * high / narrow, wide);
        } else {
            for (share, node) in gauss_laguerre(narrow) {
                push(weight * share, mean * node / narrow, wide);
            }
        }
    }

    fn parts(&self) -> &[Part] {
        &self.parts[..self.len]
    }

    /// P(a count of `observed` or more).
    pub fn upper(&self, observed: f64) -> f64 {
        self.upper_of_risen(observed, 1.0)
    }

    /// The same if everything were to rise by a factor.
    fn upper_of_risen(&self, observed: f64, rise: f64) -> f64 {
        if observed <= 0.0 {
            return 1.0;
        }
        self.parts()
            .iter()
            .map(|part| part.weight * part_upper(observed, part.mean * rise, part.size))
            .sum::<f64>()
            .clamp(0.0, 1.0)
    }

    /// P(a count above `observed`) + u P(that count): uniform under the model, for u uniform on [0,
    /// 1).
    pub fn randomised(&self, observed: f64, u: f64) -> f64 {
        let above = self.upper(observed + 1.0);
        above + u * (self.upper(observed) - above)
    }

    /// How often [`Forecast::randomised`] is at or below `p` if the count's law is in truth
    /// negative-binomial with this mean and size
    /// (infinite: Poisson). What simulation would find in the long run, without its noise.
    pub fn exceeded(&self, p: f64, mean: f64, size: f64) -> f64 {
        let bound = self.bound(p);
        let truly = |count: f64| {
            if size.is_finite() {
                part_upper(count, mean, size)
            } else {
                poisson_upper(count, mean)
            }
        };
        let (above, at_least) = (self.upper(bound + 1.0), self.upper(bound));
        let share = ((p - above) / (at_least - above).max(f64::MIN_POSITIVE)).clamp(0.0, 1.0);
        let truly_above = truly(bound + 1.0);
        truly_above + share * (truly(bound) - truly_above)
    }

    /// The largest count that is not in alarm at `p`: the least U with P(count > U) ≤ `p`.
    pub fn bound(&self, p: f64) -> f64 {
        let deviation = sqrt(self.mean + self.mean * self.mean / self.shape);
        if self.mean + 12.0 * deviation < SUMMED_MAX {
            return self.bound_by_summing(p);
        }
        self.bound_by_search(p, self.mean + 3.0 * deviation)
    }

    fn bound_by_summing(&self, p: f64) -> f64 {
        let mut terms = [0.0; PARTS_MAX];
        let mut rest = 1.0;
        for (term, part) in terms.iter_mut().zip(self.parts()) {
            *term = part.weight * exp(-part.size * log1p(part.mean / part.size));
            rest -= *term;
        }
        let mut count = 0.0;
        while rest > p && count < SUMMED_MAX {
            for (term, part) in terms.iter_mut().zip(self.parts()) {
                *term *= (part.size + count) / (count + 1.0) * part.mean / (part.size + part.mean);
                rest -= *term;
            }
            count += 1.0;
        }
        // Where sums have lost their digits, or go on for too long, tails are computed as such.
        if rest > p || rest < 1e-12 { self.bound_by_search(p, count) } else { count }
    }

    /// The tail's logarithm is nearly straight: a secant inside of a bracket.
    fn bound_by_search(&self, p: f64, guess: f64) -> f64 {
        let target = log(p);
        let tail = |count: f64| log(self.upper(count + 1.0).max(f64::MIN_POSITIVE)) - target;
        let (mut low, mut at_low) = (-1.0, -target);
        let mut high = guess.max(1.0).floor();
        let mut at_high = tail(high);
        while at_high > 0.0 && high < 1e15 {
            (low, at_low) = (high, at_high);
            high = (high * 1.5 + 4.0).floor();
            at_high = tail(high);
        }
        let mut halve = false;
        while high - low > 1.0 {
            let share = if halve { 0.5 } else { at_low / (at_low - at_high) };
            let middle = (low + (high - low) * share).floor().clamp(low + 1.0, high - 1.0);
            let at = tail(middle);
            let span = high - low;
            if at > 0.0 {
                (low, at_low) = (middle, at);
            } else {
                (high, at_high) = (middle, at);
            }
            halve = high - low > 0.5 * span;
        }
        high
    }

    /// The smallest rise, as a multiple of what is expected, that exceeds `bound` with a
    /// probability of 80 %; at most [`RISE_MAX`].
    pub fn detectable_rise(&self, bound: f64) -> f64 {
        let caught = |rise: f64| part_upper(bound + 1.0, self.mean * rise, self.shape) >= POWER;
        let (mut low, mut high) = (1.0, 2.0);
        while !caught(high) {
            (low, high) = (high, high * 2.0);
            if high > RISE_MAX {
                return RISE_MAX;
            }
        }
        for _ in 0..5 {
            let middle = sqrt(low * high);
            if caught(middle) { high = middle } else { low = middle }
        }
        high
    }
}

/// P(Y ≥ y) of a negative-binomial law by mean and size.
fn part_upper(observed: f64, mean: f64, size: f64) -> f64 {
    if observed <= SUMMED_MAX {
        let ratio = mean / (size + mean);
        let mut term = exp(-size * log1p(mean / size));
        let mut below = term;
        let mut count = 0.0;
        while count + 1.0 < observed {
            term *= (size + count) / (count + 1.0) * ratio;
            below += term;
            count += 1.0;
        }
        let upper = 1.0 - below;
        if upper > 1e-7 {
            return upper;
        }
        // What sums can't tell from nothing: the tail's own terms fall like a geometric series.
        let (mut term, mut sum) = (term * (size + count) / (count + 1.0) * ratio, 0.0);
        for _ in 0..4_000 {
            sum += term;
            count += 1.0;
            term *= (size + count) / (count + 1.0) * ratio;
            if term <= sum * 1e-12 {
                break;
            }
        }
        return sum;
    }
    negative_binomial_upper(observed, size, size / (size + mean))
}

/// Weights and nodes of the three-point rule for Gamma(shape, 1): the roots of x³ − 3(a+2)x² +
/// 3(a+1)(a+2)x − a(a+1)(a+2).
fn gauss_laguerre(shape: f64) -> [(f64, f64); 3] {
    let a = shape;
    // Depressed: x = z + a + 2, z³ − 3(a+2) z − 2(a+2) = 0; three real roots by cosines.
    let p = a + 2.0;
    let angle = libm::acos((1.0 / sqrt(p)).min(1.0)) / 3.0;
    let third = 2.0 * std::f64::consts::PI / 3.0;
    let nodes =
        [0.0, 1.0, 2.0].map(|nth| (p + 2.0 * sqrt(p) * libm::cos(angle - nth * third)).max(0.0));
    let weight = |own: f64, other: f64, another: f64| {
        (a * (a + 1.0) - (other + another) * a + other * another)
            / ((own - other) * (own - another))
    };
    let [x, y, z] = nodes;
    [(weight(x, y, z), x), (weight(y, x, z), y), (weight(z, x, y), z)]
}

/// The method as `detect` has it: one series of non-overlapping points, without a topic around it.
#[derive(Clone, Debug, PartialEq)]
pub struct Predictive {
    alpha: f64,
    baseline: usize,
    guardband: usize,
    weekday: bool,
    prior: Prior,
    range: Option<Range>,
}

impl Predictive {
    /// `alpha` 0.001: alarm where P(Y ≥ y) ≤ alpha. `b` 28 points of baseline after `guardband` 1;
    /// `weekday` false: whether
    /// every seventh point is alike; `prior-middle` 0.3 counts a point with `prior-shape` 0.5.
    pub(super) fn read(parameters: &mut Parameters) -> Result<Predictive, ParamError> {
        let defaults = Prior::default();
        Ok(Predictive {
            alpha: parameters.probability(&["alpha"], 0.001)?,
            baseline: parameters.count(&["b", "baseline"], 28, 1..=1_000)?,
            guardband: parameters.count(&["guardband"], 1, 0..=1_000)?,
            weekday: parameters.flag(&["weekday"], false)?,
            prior: Prior {
                middle: parameters.number(&["prior-middle"], defaults.middle, 1e-6..=1e9)?,
                shape: parameters.number(&["prior-shape"], defaults.shape, 0.01..=1e6)?,
                ..defaults
            },
            range: parameters.range()?,
        })
    }

    /// The threshold of an alarm.
    pub fn alpha(&self) -> f64 {
        self.alpha
    }

    pub(super) fn judge(&self, observations: &Observations, t: usize) -> Judgement {
        if !Range::holds(self.range, t) {
            return Judgement::no_answer(Reason::NotMonitored);
        }
        let exposure = |at: usize| match observations.population.get(at) {
            None => Some(1.0),
            Some(population) => population.filter(|population| *population > 0.0),
        };
        let Some(own) = exposure(t) else { return Judgement::no_answer(Reason::MissingPopulation) };
        let newest = t.saturating_sub(self.guardband);
        let mut past: Vec<Past> = (newest.saturating_sub(self.baseline)..newest)
            .filter_map(|at| {
                let (observed, exposure) = (observations.counts[at]?, exposure(at)?);
                (observed <= 1e12).then_some(Past {
                    observed,
                    exposure: (exposure / own).clamp(1e-6, 1e6),
                    age: (t - at) as f64,
                })
            })
            .collect();
        if past.is_empty() {
            return Judgement::no_answer(Reason::BaselineTooShort);
        }
        let mut prior = self.prior;
        if self.weekday {
            let season = super::pool::Season::learn(
                &past.iter().map(|past| (*past, (t as i64) - past.age as i64)).collect::<Vec<_>>(),
            );
            for window in &mut past {
                window.exposure *= season.relative(t as i64 - window.age as i64, t as i64);
            }
            prior.exposure_variance += season.variance();
        }
        judge_by(&forecast(&past, &prior), observations.counts[t], self.alpha)
    }
}

/// The judgement of a forecast: in alarm where P(Y ≥ y) ≤ `alpha`.
pub fn judge_by(forecast: &Forecast, observed: Option<f64>, alpha: f64) -> Judgement {
    let upperbound = forecast.bound(alpha);
    Judgement {
        expected: Some(forecast.expected()),
        upperbound: Some(upperbound),
        alarm: observed.map(|observed| observed > upperbound),
        pvalue: observed.map(|observed| forecast.upper(observed)),
        statistic: None,
        reason: None,
    }
}
