//! Random numbers for Monte-Carlo tests, from a seed: the same on every machine.
//!
//! All samplers are exact (up to the 53 bits of a uniform number), so a p-value's only error is
//! that of its number of replicates.

use libm::{exp, floor, log, pow, sqrt};

/// Below this mean, or this number of trials, one draws plainly.
const SMALL: f64 = 24.0;

/// xoshiro256++ (Blackman, Vigna 2019), seeded by splitmix64.
pub(super) struct Random {
    state: [u64; 4],
}

impl Random {
    pub(super) fn new(seed: u64) -> Random {
        let mut mixed = seed;
        let state = [0; 4].map(|_: u64| {
            mixed = mixed.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = mixed;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^ (z >> 31)
        });
        Random { state }
    }

    fn bits(&mut self) -> u64 {
        let [a, b, c, d] = self.state;
        let result = a.wrapping_add(d).rotate_left(23).wrapping_add(a);
        let [mut a, mut b, mut c, mut d] = [a, b, c ^ a, d ^ b];
        let shifted = self.state[1] << 17;
        b ^= c;
        a ^= d;
        c ^= shifted;
        d = d.rotate_left(45);
        self.state = [a, b, c, d];
        result
    }

    /// Strictly between 0 and 1.
    pub(super) fn uniform(&mut self) -> f64 {
        ((self.bits() >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
    }

    /// One of `0..count`.
    pub(super) fn below(&mut self, count: usize) -> usize {
        ((u128::from(self.bits()) * count as u128) >> 64) as usize
    }

    /// By Marsaglia's polar method.
    fn normal(&mut self) -> f64 {
        loop {
            let (u, v) = (2.0 * self.uniform() - 1.0, 2.0 * self.uniform() - 1.0);
            let square = u * u + v * v;
            if square < 1.0 && square > 0.0 {
                return u * sqrt(-2.0 * log(square) / square);
            }
        }
    }

    /// Gamma of this shape and scale 1 (Marsaglia, Tsang 2000).
    pub(super) fn gamma(&mut self, shape: f64) -> f64 {
        if shape < 1.0 {
            let u = self.uniform();
            return self.gamma(shape + 1.0) * pow(u, 1.0 / shape);
        }
        let d = shape - 1.0 / 3.0;
        let c = 1.0 / sqrt(9.0 * d);
        loop {
            let x = self.normal();
            let root = 1.0 + c * x;
            if root <= 0.0 {
                continue;
            }
            let cube = root * root * root;
            if log(self.uniform()) < 0.5 * x * x + d - d * cube + d * log(cube) {
                return d * cube;
            }
        }
    }

    /// By halving: the middle one of n uniform numbers is a beta number (Devroye 1986, X.4).
    pub(super) fn binomial(&mut self, trials: f64, share: f64) -> f64 {
        let (mut n, mut p, mut count) = (trials, share, 0.0);
        while n > SMALL {
            if p <= 0.0 {
                return count;
            }
            if p >= 1.0 {
                return count + n;
            }
            let middle = floor(n / 2.0) + 1.0;
            let (a, b) = (self.gamma(middle), self.gamma(n + 1.0 - middle));
            let x = a / (a + b);
            if x <= p {
                count += middle;
                n -= middle;
                p = (p - x) / (1.0 - x);
            } else {
                n = middle - 1.0;
                p /= x;
            }
        }
        for _ in 0..n as u32 {
            if self.uniform() < p {
                count += 1.0;
            }
        }
        count
    }

    /// By thinning at the arrival of the m-th event (Ahrens, Dieter 1974).
    pub(super) fn poisson(&mut self, mean: f64) -> f64 {
        let (mut mean, mut count) = (mean, 0.0);
        while mean > SMALL {
            let m = floor(mean * 0.875);
            let arrival = self.gamma(m);
            if arrival > mean {
                return count + self.binomial(m - 1.0, mean / arrival);
            }
            count += m;
            mean -= arrival;
        }
        let least = exp(-mean);
        let mut product = self.uniform();
        while product > least {
            count += 1.0;
            product *= self.uniform();
        }
        count
    }

    /// Variance `dispersion` times the mean; Poisson where that is 1.
    pub(super) fn negative_binomial(&mut self, mean: f64, dispersion: f64) -> f64 {
        if dispersion <= 1.0 || mean <= 0.0 {
            return self.poisson(mean);
        }
        let scale = dispersion - 1.0;
        let rate = self.gamma(mean / scale) * scale;
        self.poisson(rate)
    }
}
