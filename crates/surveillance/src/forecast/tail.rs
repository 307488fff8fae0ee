//! Forecast of a count: a mixture of negative-binomial laws, with its tails, bounds and quantiles.
//!
//! Built by [`super::forecast`]. Knows nothing of how its parts were fitted.

use libm::{exp, log, log1p, sqrt};

use super::{POISSON, SIZES};
use crate::distribution::{negative_binomial_upper, normal_quantile, poisson_upper};

/// Most parts of the mixture: for each size three nodes, each for usual and for wild windows.
const PARTS_MAX: usize = 6 * SIZES.len();
/// Tails are summed term by term up to here, and computed as incomplete beta functions beyond.
const SUMMED_MAX: f64 = 48.0;
/// A rise is *detectable* if it is in alarm with this probability.
const POWER: f64 = 0.8;
/// Beyond this multiple of what is expected nothing is called detectable: there are too few posts.
const RISE_MAX: f64 = 1_000.0;

/// A heavy tail: this share of the windows is wild. Their size is smaller than the law's by a
/// factor, that of the others so much larger that the variance is the law's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Wild {
    share: f64,
    size: f64,
}

impl Wild {
    /// Of a topic's regions, whose burstiness is learnt together: close to lognormal noise up to
    /// its 99.9 % quantile.
    pub const OF_TOPIC: Wild = Wild { share: 0.1, size: 0.4 };
    /// Of a series alone, with bursts that it alone can't tell from a larger spread.
    pub const OF_SERIES: Wild = Wild { share: 0.2, size: 0.25 };
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

/// The law under one size of the grid.
pub(super) struct Component {
    pub(super) weight: f64,
    pub(super) mean: f64,
    pub(super) level_shape: f64,
    pub(super) size: f64,
    pub(super) trend: f64,
    pub(super) trend_variance: f64,
}

impl Forecast {
    /// `heavy` is how likely the noise has a heavier tail than a gamma law, and `wild` that tail.
    pub(super) fn mix(
        components: impl Iterator<Item = Component>,
        heavy: f64,
        wild: Wild,
        evidence: [f64; SIZES.len()],
    ) -> Forecast {
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
        for Component { weight, mean, level_shape, size, trend, trend_variance } in components {
            forecast.mean += weight * mean;
            forecast.trend += weight * trend;
            forecast.trend_variance += weight * trend_variance;
            level_square += weight * mean * mean * (1.0 + 1.0 / level_shape);
            square += weight * mean * mean * (1.0 + 1.0 / level_shape) * (1.0 + 1.0 / size);
            if size >= POISSON {
                forecast.add(weight, mean, level_shape, size);
            } else {
                let share = wild.share * heavy;
                let tame_size = (1.0 - share) / (1.0 - share / wild.size);
                forecast.add(weight * (1.0 - share), mean, level_shape, size * tame_size);
                forecast.add(weight * share, mean, level_shape, size * wild.size);
            }
        }
        let of_square = |square: f64, mean: f64| 1.0 / (square / (mean * mean) - 1.0).max(1e-9);
        forecast.level_shape = of_square(level_square, forecast.mean);
        forecast.shape = of_square(square, forecast.mean);
        forecast
    }

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
    /// negative-binomial with this mean and size (infinite: Poisson). What simulation would find in
    /// the long run, without its noise.
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
        // Too small for a difference of sums: the tail's own terms fall like a geometric series.
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
