//! Failed tries of a message: how many, and when the next one is due.
//!
//! Part of each item, copy and subscription in the outbox. It sends nothing and reads no clock.

use record::Micros;
use record::time::{DAY, HOUR, SECOND};
use serde::{Deserialize, Serialize};

use crate::channel::SendError;

/// Standard Webhooks recommends retries for days.
pub const GIVE_UP_AFTER: Micros = 3 * DAY;
pub(super) const FIRST_WAIT: Micros = 5 * SECOND;
pub(super) const LONGEST_WAIT: Micros = 3 * HOUR;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Tries {
    pub failed: u32,
    pub first_failed_at: Option<Micros>,
    pub not_before: Micros,
}

impl Tries {
    /// After one more failure: waits 5 s, 10 s, 20 s … 3 h, each extended by up to a fifth
    /// (`jitter`, 0 to 1), and at least as long as the receiver requested.
    #[must_use]
    pub fn record_failure(self, now: Micros, error: &SendError, jitter: f64) -> Tries {
        let doubled = FIRST_WAIT.saturating_mul(1 << self.failed.min(20)).min(LONGEST_WAIT);
        let extended = doubled + (doubled as f64 * 0.2 * jitter.clamp(0.0, 1.0)) as Micros;
        let wait = extended.max(requested_wait(error).min(DAY));
        Tries {
            failed: self.failed.saturating_add(1),
            first_failed_at: self.first_failed_at.or(Some(now)),
            not_before: now + wait,
        }
    }

    pub fn is_hopeless(&self, now: Micros) -> bool {
        self.first_failed_at.is_some_and(|first| now - first >= GIVE_UP_AFTER)
    }
}

fn requested_wait(error: &SendError) -> Micros {
    let SendError::Later { after: Some(after), .. } = error else { return 0 };
    Micros::try_from(after.as_micros()).unwrap_or(Micros::MAX)
}
