//! What `score.py` uses of Python: its generator, mean, median and formats of numbers.

/// The Mersenne Twister (Matsumoto and Nishimura 1998), seeded and read as `random.Random` does.
pub(super) struct Random {
    state: [u32; 624],
    at: usize,
}

impl Random {
    /// As `random.Random(seed)`: `init_by_array` with this one word.
    pub(super) fn new(seed: u32) -> Random {
        const N: usize = 624;
        let mut state = [19_650_218u32; N];
        for at in 1..N {
            let before = state[at - 1];
            state[at] =
                1_812_433_253u32.wrapping_mul(before ^ (before >> 30)).wrapping_add(at as u32);
        }
        let mut at = 1;
        let mut mix = |state: &mut [u32; N], factor: u32, add: &dyn Fn(usize) -> u32| {
            let before = state[at - 1];
            let mixed = (before ^ (before >> 30)).wrapping_mul(factor);
            state[at] = (state[at] ^ mixed).wrapping_add(add(at));
            at += 1;
            if at == N {
                state[0] = state[N - 1];
                at = 1;
            }
        };
        for _ in 0..N {
            mix(&mut state, 1_664_525, &|_| seed);
        }
        for _ in 1..N {
            mix(&mut state, 1_566_083_941, &|at| (at as u32).wrapping_neg());
        }
        state[0] = 0x8000_0000;
        Random { state, at: N }
    }

    fn next_u32(&mut self) -> u32 {
        let n = self.state.len();
        if self.at == n {
            for at in 0..n {
                let pair =
                    (self.state[at] & 0x8000_0000) | (self.state[(at + 1) % n] & 0x7fff_ffff);
                let odd = if pair & 1 == 1 { 0x9908_b0df } else { 0 };
                self.state[at] = self.state[(at + 397) % n] ^ (pair >> 1) ^ odd;
            }
            self.at = 0;
        }
        let mut word = self.state[self.at];
        self.at += 1;
        word ^= word >> 11;
        word ^= (word << 7) & 0x9d2c_5680;
        word ^= (word << 15) & 0xefc6_0000;
        word ^ (word >> 18)
    }

    /// As `random()`.
    pub(super) fn unit(&mut self) -> f64 {
        let (high, low) = (self.next_u32() >> 5, self.next_u32() >> 6);
        (f64::from(high) * 67_108_864.0 + f64::from(low)) / 9_007_199_254_740_992.0
    }

    /// As `randrange(low, high)`.
    pub(super) fn between(&mut self, low: usize, high: usize) -> usize {
        let n = high.saturating_sub(low).clamp(1, u32::MAX as usize) as u32;
        loop {
            let drawn = self.next_u32() >> n.leading_zeros();
            if drawn < n {
                return low + drawn as usize;
            }
        }
    }

    /// As `choices(range(n), k=n)`.
    pub(super) fn choices(&mut self, n: usize) -> Vec<usize> {
        (0..n).map(|_| (self.unit() * n as f64) as usize).collect()
    }

    /// `times` values of samples drawn with replacement from `n` items, in order.
    pub(super) fn bootstrap(
        &mut self,
        n: usize,
        times: usize,
        of: impl Fn(&[usize]) -> f64,
    ) -> Vec<f64> {
        let mut values: Vec<f64> =
            (0..times).map(|_| of(&self.choices(n))).filter(|value| value.is_finite()).collect();
        values.sort_by(f64::total_cmp);
        values
    }
}

/// As `statistics.mean` of shares (0, or from 2⁻¹¹ to 1): the sum is exact, and rounded once.
pub(super) fn mean(shares: &[f64]) -> f64 {
    if shares.is_empty() || shares.iter().any(|share| share.is_nan()) {
        return f64::NAN;
    }
    let units = |share: &f64| (share * 2f64.powi(64)) as u128;
    let (sum, n) = (shares.iter().map(units).sum::<u128>() << 40, shares.len() as u128);
    ((sum / n) | u128::from(sum % n != 0)) as f64 * 2f64.powi(-104)
}

pub(super) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => f64::NAN,
        odd if odd % 2 == 1 => values[middle],
        _ => (values[middle - 1] + values[middle]) / 2.0,
    }
}

/// As `{:.Nf}`.
pub(super) fn fixed(value: f64, places: usize) -> String {
    if value.is_nan() { "nan".to_owned() } else { format!("{value:.places$}") }
}

/// As `{:+.Nf}`.
pub(super) fn signed(value: f64, places: usize) -> String {
    if value.is_nan() { "+nan".to_owned() } else { format!("{value:+.places$}") }
}

/// As `{:.Ng}`.
pub(super) fn general(value: f64, digits: usize) -> String {
    if !value.is_finite() {
        return value.to_string().to_lowercase();
    }
    let scientific = format!("{value:.*e}", digits - 1);
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let without_zeros = |text: &str| match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text.to_owned(),
    };
    if (-4..digits as i32).contains(&exponent) {
        without_zeros(&format!("{value:.*}", (digits as i32 - 1 - exponent) as usize))
    } else {
        let sign = if exponent < 0 { '-' } else { '+' };
        format!("{}e{sign}{:02}", without_zeros(mantissa), exponent.abs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_are_those_of_python() {
        // >>> r = random.Random(4); [r.random(), r.random()], r.randrange(26, 470),
        // r.choices(range(9), k=9)
        let mut random = Random::new(4);
        assert_eq!(
            [random.unit(), random.unit()],
            [0.236_048_089_737_434_52, 0.103_166_034_230_715_8]
        );
        assert_eq!(random.between(26, 470), 228);
        assert_eq!(random.choices(9), [4, 0, 0, 4, 2, 8, 0, 4, 3]);
    }

    #[test]
    fn numbers_are_written_as_python_writes_them() {
        for (value, written) in [
            (0.25, "0.25"),
            (1.0, "1"),
            (0.000_046, "4.6e-05"),
            (0.000_999_96, "0.001"),
            (1234.5, "1.23e+03"),
            (0.0, "0"),
            (f64::NAN, "nan"),
            (f64::INFINITY, "inf"),
        ] {
            assert_eq!(general(value, 3), written);
        }
        assert_eq!(
            [fixed(0.125, 2), signed(2.0, 1), signed(f64::NAN, 1)],
            ["0.12", "+2.0", "+nan"]
        );
        assert_eq!(mean(&[0.1, 0.2, 0.3]), 0.2);
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), 2.5);
    }
}
