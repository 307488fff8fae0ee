//! Distributions: tails and quantiles of the normal, t, Poisson and negative-binomial laws.
//!
//! Everything goes through `libm`, so that a limit has the same last bit on every platform, and
//! through Loader's saddle-point density ("Fast and accurate computation of binomial
//! probabilities", 2000), so that nothing is lost where counts are large. Tails are computed as
//! tails, never as one minus the other side.
//!
//! All functions are total: an argument outside the domain gives NaN, which the caller's
//! `Judgement` turns into a stated reason.

use libm::{ceil, erfc, exp, fabs, floor, lgamma, log, log1p, pow, sqrt, tan};
use std::f64::consts::PI;

const LN_SQRT_TWO_PI: f64 = 0.918_938_533_204_672_8;
/// Steps after which a continued fraction or series is cut; reached only above `LARGE`.
const STEPS_MAX: usize = 20_000;
/// From here a gamma or beta tail is its normal approximation (Wilson-Hilferty, Camp-Paulson):
/// its relative error there is below what a count can show.
const LARGE: f64 = 1e8;
/// R's guard in discrete quantiles: a cdf this close below p counts as p.
const FUZZ: f64 = 64.0 * f64::EPSILON;

/// P(Z > x) of the standard normal law.
pub(crate) fn normal_upper(x: f64) -> f64 {
    0.5 * erfc(x / std::f64::consts::SQRT_2)
}

/// The standard normal quantile: Wichura's algorithm AS 241 (PPND16), relative error about 1e-16.
pub(crate) fn normal_quantile(p: f64) -> f64 {
    if !(0.0..=1.0).contains(&p) {
        return f64::NAN;
    }
    if p == 0.0 {
        return f64::NEG_INFINITY;
    }
    if p == 1.0 {
        return f64::INFINITY;
    }
    let q = p - 0.5;
    if fabs(q) <= 0.425 {
        let r = 0.180_625 - q * q;
        return q * polynomial(&CENTRE_ABOVE, r) / polynomial(&CENTRE_BELOW, r);
    }
    let tail = if q < 0.0 { p } else { 1.0 - p };
    let r = sqrt(-log(tail));
    let value = if r <= 5.0 {
        polynomial(&MIDDLE_ABOVE, r - 1.6) / polynomial(&MIDDLE_BELOW, r - 1.6)
    } else {
        polynomial(&FAR_ABOVE, r - 5.0) / polynomial(&FAR_BELOW, r - 5.0)
    };
    if q < 0.0 { -value } else { value }
}

/// P(T > x) of Student's law with `df` > 0 degrees of freedom.
pub(crate) fn t_upper(x: f64, df: f64) -> f64 {
    if x.is_nan() || df.is_nan() || df <= 0.0 {
        return f64::NAN;
    }
    let square = x * x;
    let half = if square.is_infinite() {
        0.0
    } else {
        0.5 * beta_lower(0.5 * df, 0.5, df / (df + square), square / (df + square))
    };
    if x >= 0.0 { half } else { 1.0 - half }
}

/// The t quantile at 1 − `upper`: the x with P(T > x) = `upper`.
pub fn t_quantile_upper(upper: f64, df: f64) -> f64 {
    if upper.is_nan() || !(0.0..=1.0).contains(&upper) || df.is_nan() || df <= 0.0 {
        return f64::NAN;
    }
    if upper == 0.0 {
        return f64::INFINITY;
    }
    if upper == 1.0 {
        return f64::NEG_INFINITY;
    }
    if upper > 0.5 {
        return -t_quantile_upper(1.0 - upper, df);
    }
    if upper == 0.5 {
        return 0.0;
    }
    if df == 1.0 {
        return 1.0 / tan(PI * upper);
    }
    if df == 2.0 {
        return (1.0 - 2.0 * upper) / sqrt(2.0 * upper * (1.0 - upper));
    }
    // Newton on the logarithm of the tail, inside a bracket.
    let mut low = 0.0;
    let mut high = f64::INFINITY;
    let mut x = -normal_quantile(upper);
    let target = log(upper);
    let log_constant = lgamma(0.5 * (df + 1.0)) - lgamma(0.5 * df) - 0.5 * log(df * PI);
    for _ in 0..200 {
        let tail = t_upper(x, df);
        let error = log(tail) - target;
        if error > 0.0 {
            low = x;
        } else {
            high = x;
        }
        let density = exp(log_constant - 0.5 * (df + 1.0) * log1p(x * x / df));
        let mut next = x + error * tail / density;
        if !(next > low && next < high) {
            next = if high.is_infinite() { 2.0 * x + 1.0 } else { 0.5 * (low + high) };
        }
        if fabs(next - x) <= 4.0 * f64::EPSILON * fabs(x) {
            return next;
        }
        x = next;
    }
    x
}

/// P(Y ≥ y) of the Poisson law, y a count ≥ 0.
pub(crate) fn poisson_upper(y: f64, mean: f64) -> f64 {
    if y <= 0.0 { 1.0 } else { gamma_lower(y, mean) }
}

/// The Poisson quantile: the least k with P(Y ≤ k) ≥ `p`, as R's `qpois` with its fuzz.
pub(crate) fn poisson_quantile(p: f64, mean: f64) -> f64 {
    if mean == 0.0 {
        return 0.0;
    }
    discrete_quantile(p, mean, mean, 1.0 / sqrt(mean), |k| gamma_upper(k + 1.0, mean))
}

/// P(Y ≥ y) of the negative-binomial law with real `size` and success probability `prob` (mean
/// `size`·(1 − `prob`)/`prob`), y a count ≥ 0.
pub(crate) fn negative_binomial_upper(y: f64, size: f64, prob: f64) -> f64 {
    if y <= 0.0 { 1.0 } else { beta_lower(y, size, 1.0 - prob, prob) }
}

/// The negative-binomial quantile: the least k with P(Y ≤ k) ≥ `p`, as R's `qnbinom`.
pub(crate) fn negative_binomial_quantile(p: f64, size: f64, prob: f64) -> f64 {
    if size == 0.0 || prob == 1.0 {
        return 0.0;
    }
    let mean = size * (1.0 - prob) / prob;
    let variance = mean / prob;
    let skewness = (2.0 - prob) / sqrt(size * (1.0 - prob));
    discrete_quantile(p, mean, variance, skewness, |k| beta_lower(size, k + 1.0, prob, 1.0 - prob))
}

/// Gallops from the Cornish-Fisher guess to a bracket, then halves it.
fn discrete_quantile(
    p: f64,
    mean: f64,
    variance: f64,
    skewness: f64,
    cdf: impl Fn(f64) -> f64,
) -> f64 {
    if p.is_nan()
        || !(0.0..1.0).contains(&p)
        || !(mean.is_finite() && variance.is_finite())
        || mean < 0.0
    {
        return f64::NAN;
    }
    let target = p * (1.0 - FUZZ);
    let z = normal_quantile(p);
    let sigma = sqrt(variance);
    let guess = mean + sigma * (z + skewness * (z * z - 1.0) / 6.0);
    let guess = if guess.is_finite() { floor(guess).max(0.0) } else { 0.0 };
    let (mut below, mut reached) = (-1.0, guess);
    let mut step = ceil(0.02 * sigma).max(1.0);
    if cdf(guess) >= target {
        while reached > 0.0 {
            let next = (reached - step).max(0.0);
            if cdf(next) >= target {
                reached = next;
                step *= 2.0;
            } else {
                below = next;
                break;
            }
        }
    } else {
        below = guess;
        loop {
            reached = below + step;
            if !reached.is_finite() {
                return f64::NAN;
            }
            if cdf(reached) >= target {
                break;
            }
            below = reached;
            step *= 2.0;
        }
    }
    while reached - below > 1.0 {
        let middle = floor(0.5 * (below + reached));
        if middle <= below || middle >= reached {
            break;
        }
        if cdf(middle) >= target {
            reached = middle;
        } else {
            below = middle;
        }
    }
    reached
}

/// The regularised incomplete beta function I_x(a, b), with `complement` = 1 − x given apart so
/// that neither loses its digits. Continued fraction of DLMF 8.17.22, Lentz's method.
pub(crate) fn beta_lower(a: f64, b: f64, x: f64, complement: f64) -> f64 {
    if [a, b, x, complement].iter().any(|v| v.is_nan()) || a < 0.0 || b < 0.0 {
        return f64::NAN;
    }
    if x <= 0.0 {
        return 0.0;
    }
    if complement <= 0.0 || a == 0.0 {
        return 1.0;
    }
    if b == 0.0 {
        return 0.0;
    }
    if a > LARGE || b > LARGE {
        return beta_lower_large(a, b, x, complement);
    }
    // x^a (1-x)^b / B(a, b), by the binomial density.
    let front = a * b / (a + b) * binomial_density(a, b, x, complement);
    if x <= (a + 1.0) / (a + b + 2.0) {
        (front * beta_fraction(a, b, x) / a).min(1.0)
    } else {
        (1.0 - front * beta_fraction(b, a, complement) / b).max(0.0)
    }
}

fn beta_fraction(a: f64, b: f64, x: f64) -> f64 {
    const TINY: f64 = 1e-300;
    let lift = |v: f64| if fabs(v) < TINY { TINY } else { v };
    let mut c = 1.0;
    let mut d = 1.0 / lift(1.0 - (a + b) * x / (a + 1.0));
    let mut value = d;
    for step in 1..STEPS_MAX {
        let m = step as f64;
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        d = 1.0 / lift(1.0 + even * d);
        c = lift(1.0 + even / c);
        value *= d * c;
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        d = 1.0 / lift(1.0 + odd * d);
        c = lift(1.0 + odd / c);
        let factor = d * c;
        value *= factor;
        if fabs(factor - 1.0) <= f64::EPSILON {
            break;
        }
    }
    value
}

/// Paulson's cube-root approximation of the F law, exact in the limit.
fn beta_lower_large(a: f64, b: f64, x: f64, complement: f64) -> f64 {
    let ratio = pow(b * x / (a * complement), 1.0 / 3.0);
    let (u, v) = (1.0 / (9.0 * b), 1.0 / (9.0 * a));
    // I_x(a, b) is the cdf of F with (2a, 2b) degrees of freedom at b x / (a (1-x)).
    let z = ((1.0 - u) * ratio - (1.0 - v)) / sqrt(u * ratio * ratio + v);
    normal_upper(-z)
}

/// The regularised lower incomplete gamma function P(a, x).
pub(crate) fn gamma_lower(a: f64, x: f64) -> f64 {
    gamma_sides(a, x).0
}

/// The regularised upper incomplete gamma function Q(a, x).
pub(crate) fn gamma_upper(a: f64, x: f64) -> f64 {
    gamma_sides(a, x).1
}

fn gamma_sides(a: f64, x: f64) -> (f64, f64) {
    if a.is_nan() || x.is_nan() || a <= 0.0 || x < 0.0 {
        return (f64::NAN, f64::NAN);
    }
    if x == 0.0 {
        return (0.0, 1.0);
    }
    if x.is_infinite() {
        return (1.0, 0.0);
    }
    if a > LARGE {
        let z = (pow(x / a, 1.0 / 3.0) - 1.0 + 1.0 / (9.0 * a)) * 3.0 * sqrt(a);
        return (normal_upper(-z), normal_upper(z));
    }
    // x^a e^-x / Γ(a + 1)
    let front = poisson_density(a, x);
    if x < a + 1.0 {
        let (mut term, mut sum) = (1.0, 1.0);
        for step in 1..STEPS_MAX {
            term *= x / (a + step as f64);
            sum += term;
            if term <= sum * 0.5 * f64::EPSILON {
                break;
            }
        }
        let lower = (front * sum).min(1.0);
        (lower, 1.0 - lower)
    } else {
        const TINY: f64 = 1e-300;
        let mut b = x + 1.0 - a;
        let mut c = 1.0 / TINY;
        let mut d = 1.0 / b;
        let mut value = d;
        for step in 1..STEPS_MAX {
            let m = step as f64;
            let an = -m * (m - a);
            b += 2.0;
            d = an * d + b;
            if fabs(d) < TINY {
                d = TINY;
            }
            c = b + an / c;
            if fabs(c) < TINY {
                c = TINY;
            }
            d = 1.0 / d;
            let factor = d * c;
            value *= factor;
            if fabs(factor - 1.0) <= f64::EPSILON {
                break;
            }
        }
        let upper = (front * a * value).min(1.0);
        (1.0 - upper, upper)
    }
}

/// mean^y e^-mean / Γ(y + 1), y real (Loader 2000).
fn poisson_density(y: f64, mean: f64) -> f64 {
    if mean == 0.0 {
        return if y == 0.0 { 1.0 } else { 0.0 };
    }
    if y <= mean * f64::MIN_POSITIVE {
        return exp(-mean);
    }
    exp(-stirling_error(y) - deviance(y, mean)) / sqrt(2.0 * PI * y)
}

/// Γ(a+b+1) / (Γ(a+1) Γ(b+1)) p^a q^b, a and b real (Loader 2000).
fn binomial_density(a: f64, b: f64, p: f64, q: f64) -> f64 {
    let n = a + b;
    let log_value = stirling_error(n)
        - stirling_error(a)
        - stirling_error(b)
        - deviance(a, n * p)
        - deviance(b, n * q);
    exp(log_value) * sqrt(n / (2.0 * PI * a * b))
}

/// ln Γ(n + 1) − Stirling's approximation of it.
fn stirling_error(n: f64) -> f64 {
    if n <= 15.0 {
        return lgamma(n + 1.0) - (n + 0.5) * log(n) + n - LN_SQRT_TWO_PI;
    }
    let square = n * n;
    (1.0 / 12.0
        - (1.0 / 360.0 - (1.0 / 1260.0 - (1.0 / 1680.0 - 1.0 / 1188.0 / square) / square) / square)
            / square)
        / n
}

/// x ln(x/m) + m − x, without cancellation where x is near m.
fn deviance(x: f64, m: f64) -> f64 {
    if fabs(x - m) < 0.1 * (x + m) {
        let v = (x - m) / (x + m);
        let mut sum = (x - m) * v;
        let mut term = 2.0 * x * v;
        let square = v * v;
        for step in 1..1000 {
            term *= square;
            let next = sum + term / f64::from(2 * step + 1);
            if next == sum {
                break;
            }
            sum = next;
        }
        return sum;
    }
    x * log(x / m) + m - x
}

fn polynomial(coefficients: &[f64], x: f64) -> f64 {
    coefficients.iter().rev().fold(0.0, |sum, c| sum * x + c)
}

// Wichura (1988), "Algorithm AS 241: the percentage points of the normal distribution".
const CENTRE_ABOVE: [f64; 8] = [
    3.387_132_872_796_366_5,
    133.141_667_891_784_38,
    1_971.590_950_306_551_3,
    13_731.693_765_509_46,
    45_921.953_931_549_87,
    67_265.770_927_008_7,
    33_430.575_583_588_13,
    2_509.080_928_730_122_7,
];
const CENTRE_BELOW: [f64; 8] = [
    1.0,
    42.313_330_701_600_91,
    687.187_007_492_057_9,
    5_394.196_021_424_751,
    21_213.794_301_586_597,
    39_307.895_800_092_71,
    28_729.085_735_721_943,
    5_226.495_278_852_545,
];
const MIDDLE_ABOVE: [f64; 8] = [
    1.423_437_110_749_683_5,
    4.630_337_846_156_546,
    5.769_497_221_460_691,
    3.647_848_324_763_204_5,
    1.270_458_252_452_368_4,
    0.241_780_725_177_450_6,
    0.022_723_844_989_269_184,
    7.745_450_142_783_414e-4,
];
const MIDDLE_BELOW: [f64; 8] = [
    1.0,
    2.053_191_626_637_759,
    1.676_384_830_183_803_8,
    0.689_767_334_985_1,
    0.148_103_976_427_480_08,
    0.015_198_666_563_616_457,
    5.475_938_084_995_345e-4,
    1.050_750_071_644_416_9e-9,
];
const FAR_ABOVE: [f64; 8] = [
    6.657_904_643_501_104,
    5.463_784_911_164_114,
    1.784_826_539_917_291_3,
    0.296_560_571_828_504_87,
    0.026_532_189_526_576_124,
    0.001_242_660_947_388_078_4,
    2.711_555_568_743_487_6e-5,
    2.010_334_399_292_288_1e-7,
];
const FAR_BELOW: [f64; 8] = [
    1.0,
    0.599_832_206_555_888,
    0.136_929_880_922_735_8,
    0.014_875_361_290_850_615,
    7.868_691_311_456_133e-4,
    1.846_318_317_510_054_7e-5,
    1.421_511_758_316_446e-7,
    2.044_263_103_389_939_8e-15,
];
