//! Draws from the distributions that counts are made of.
//!
//! Used by `counts` and `world`. Logarithms, exponentials and gamma functions come from `libm`, so
//! that a draw is the same on every platform. Impossible parameters give 0, never a panic.

use crate::Random;

/// Mean 1.
pub fn exponential(random: &mut Random) -> f64 {
    -libm::log(random.open_unit())
}

/// Mean 0, variance 1; Marsaglia's polar method, without keeping the second value.
pub fn normal(random: &mut Random) -> f64 {
    loop {
        let x = 2.0 * random.unit() - 1.0;
        let y = 2.0 * random.unit() - 1.0;
        let square = x * x + y * y;
        if square > 0.0 && square < 1.0 {
            return x * (-2.0 * libm::log(square) / square).sqrt();
        }
    }
}

/// Scale 1, so mean and variance are `shape`; Marsaglia and Tsang 2000, section 4, with their boost
/// for shapes below 1.
pub fn gamma(random: &mut Random, shape: f64) -> f64 {
    if shape.is_nan() || shape <= 0.0 {
        return 0.0;
    }
    if shape < 1.0 {
        let boost = libm::exp(libm::log(random.open_unit()) / shape);
        return gamma(random, shape + 1.0) * boost;
    }
    let d = shape - 1.0 / 3.0;
    let c = 1.0 / (9.0 * d).sqrt();
    loop {
        let x = normal(random);
        let root = 1.0 + c * x;
        if root <= 0.0 {
            continue;
        }
        let v = root * root * root;
        let u = random.open_unit();
        if libm::log(u) < 0.5 * x * x + d * (1.0 - v + libm::log(v)) {
            return d * v;
        }
    }
}

/// Mean and variance `mean`: by inversion below 10, else Hörmann's PTRS (1993, transformed
/// rejection with squeeze). Means above 10^9 are taken as 10^9.
pub fn poisson(random: &mut Random, mean: f64) -> u64 {
    if mean.is_nan() || mean <= 0.0 {
        return 0;
    }
    match mean.min(1e9) {
        mean if mean < 10.0 => poisson_by_inversion(random, mean),
        mean => poisson_by_rejection(random, mean),
    }
}

fn poisson_by_inversion(random: &mut Random, mean: f64) -> u64 {
    let mut left = random.unit();
    let mut probability = libm::exp(-mean);
    let mut count = 0;
    while left >= probability && count < 1000 {
        left -= probability;
        count += 1;
        probability *= mean / count as f64;
    }
    count
}

fn poisson_by_rejection(random: &mut Random, mean: f64) -> u64 {
    let b = 0.931 + 2.53 * mean.sqrt();
    let a = -0.059 + 0.024_83 * b;
    let inverse_alpha = 1.1239 + 1.1328 / (b - 3.4);
    let ratio_at_mode = 0.9277 - 3.6224 / (b - 2.0);
    let log_mean = libm::log(mean);
    loop {
        let u = random.unit() - 0.5;
        let v = random.open_unit();
        let distance = 0.5 - u.abs();
        let count = ((2.0 * a / distance + b) * u + mean + 0.43).floor();
        if distance >= 0.07 && v <= ratio_at_mode {
            return count as u64;
        }
        if count < 0.0 || (distance < 0.013 && v > distance) {
            continue;
        }
        let left = libm::log(v * inverse_alpha / (a / (distance * distance) + b));
        if left <= count * log_mean - mean - libm::lgamma(count + 1.0) {
            return count as u64;
        }
    }
}

/// Mean `mean`, variance `mean + mean² / size`: a Poisson whose mean is gamma.
pub fn negative_binomial(random: &mut Random, mean: f64, size: f64) -> u64 {
    if size.is_nan() || size <= 0.0 {
        return 0;
    }
    let intensity = gamma(random, size) * mean / size;
    poisson(random, intensity)
}

/// Uniform on a logarithmic scale in [low, high), both above 0: as likely in 1..10 as in 10..100.
pub fn log_uniform(random: &mut Random, low: f64, high: f64) -> f64 {
    low * libm::exp(random.unit() * libm::log(high / low))
}
