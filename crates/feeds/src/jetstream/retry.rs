//! Back-off with jitter between connection attempts.

use std::time::Duration;

#[derive(Debug, Clone)]
pub(super) struct Retry {
    first: Duration,
    max: Duration,
    failures: u32,
}

impl Retry {
    pub(super) fn new(first: Duration, max: Duration) -> Retry {
        Retry { first, max, failures: 0 }
    }

    /// The connection was a good one.
    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }

    /// `random` from 0 to 1 spreads it over its upper half.
    pub(super) fn wait(&mut self, random: f64) -> Duration {
        let doubled = self.first.saturating_mul(1 << self.failures.min(20));
        self.failures = self.failures.saturating_add(1);
        doubled.min(self.max).mul_f64(0.5 + random.clamp(0.0, 1.0) / 2.0)
    }
}
