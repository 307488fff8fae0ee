//! Fit of one size: level and trend at their likeliest, by Fisher scoring.
//!
//! Called by [`super::forecast`] for each size of its grid. Mixes nothing and gives no tails.

use libm::{exp, lgamma, log, log1p};

use super::{POISSON, Past, Prior};

/// Level and trend at the likeliest, for one size.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fit {
    /// Logarithm of the level now.
    pub(super) level: f64,
    pub(super) trend: f64,
    /// Variance of `level`, what it would be if the trend were known, and of `trend`.
    pub(super) variance: f64,
    pub(super) variance_alone: f64,
    pub(super) trend_variance: f64,
    /// From −1 (as Poisson counts leave it: a gamma law) to 1 (as very bursty ones do: an inverse
    /// gamma law).
    pub(super) skew: f64,
    pub(super) evidence: f64,
    /// Variance that a drift of the level adds.
    pub(super) drifted: f64,
}

impl Fit {
    /// Where the first fit begins.
    pub(super) fn start(level: f64, trend: f64) -> Fit {
        Fit {
            level,
            trend,
            variance: 0.0,
            variance_alone: 0.0,
            trend_variance: 0.0,
            skew: -1.0,
            evidence: 0.0,
            drifted: 0.0,
        }
    }
}

/// Fisher scoring over the log level now and the trend, with a gamma prior on the level and a
/// normal one on the trend.
pub(super) fn fit_size(
    past: &[Past],
    prior: &Prior,
    size: f64,
    with_trend: bool,
    start: Fit,
) -> Fit {
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
    laplace(past, prior, size, (level, trend), (of_level, of_both, of_trend), with_trend)
}

/// Evidence, variances and skew at the likeliest level and trend, from the information on both.
fn laplace(
    past: &[Past],
    prior: &Prior,
    size: f64,
    (level, trend): (f64, f64),
    (of_level, of_both, of_trend): (f64, f64, f64),
    with_trend: bool,
) -> Fit {
    let determinant = (of_level * of_trend - of_both * of_both).max(f64::MIN_POSITIVE);
    let base = exp(level);
    let deviation = trend - prior.trend;
    let mut evidence =
        prior.shape * (level - 2.0 * log1p(base / prior.middle)) - 0.5 * log(determinant);
    if with_trend {
        evidence -= 0.5 * deviation * deviation * (1.0 / (prior.trend_sd * prior.trend_sd));
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
    Fit {
        level,
        trend,
        variance,
        variance_alone: 1.0 / of_level,
        trend_variance,
        skew,
        evidence,
        drifted: 0.0,
    }
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
    /// ln Γ(k) and ln k, once they are needed.
    constants: Option<(f64, f64)>,
    product: f64,
}

impl Law {
    fn new(size: f64) -> Law {
        Law { size, constants: None, product: 1.0 }
    }

    /// Of a count under a mean (its logarithm without the exposure's, which no size changes), up to
    /// what no size changes, and up to what [`Law::rest`] gives for all counts together.
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
