//! Delivery state of a subscription as a whole: token budget, digest, heartbeat, notices and the
//! last outcome of its channel.
//!
//! Stored under one key for each subscription. What concerns one alert is an `Item`.

use std::collections::{BTreeMap, BTreeSet};

use record::{Micros, Version};
use serde::{Deserialize, Serialize};

use super::round::Round;
use super::tries::Tries;
use crate::channel::SendError;
use crate::plan::{self, Budget};
use crate::subscription::Subscription;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// Alerts up to this version existed before the subscription did.
    pub since: Version,
    pub budget: Budget,
    /// When the next digest leaves.
    pub digest_at: Micros,
    /// When the next heartbeat is due.
    pub heartbeat_at: Micros,
    /// Whether the last heartbeat reported that the system is silent.
    #[serde(rename = "told_silent")]
    pub reported_silent: bool,
    /// Failures of the receiver on digests, heartbeats and notices.
    pub tries: Tries,
    /// The latest digest, heartbeat and notice.
    #[serde(default)]
    pub rounds: BTreeMap<General, Round>,
    /// Reported conditions that have not ended.
    #[serde(default)]
    pub degraded: BTreeSet<String>,
    /// Addresses that were refused last, and by which reply.
    #[serde(default)]
    pub refused: BTreeMap<String, Refusal>,
    /// Why nothing goes out at present.
    #[serde(default)]
    pub failing: Option<Failing>,
}

/// A message of a subscription that is about no single alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum General {
    Digest,
    Pulse,
    Notice,
}

/// Reply of a mail server to a recipient.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    pub code: u16,
    pub why: String,
    pub at: Micros,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failing {
    pub why: String,
    pub since: Micros,
}

impl Head {
    /// Of a subscription that receives alerts after `since`.
    pub fn new(subscription: &Subscription, since: Version, now: Micros) -> Head {
        let mut head = Head {
            since,
            budget: Budget::new(subscription.a_week, now),
            digest_at: 0,
            heartbeat_at: 0,
            reported_silent: false,
            tries: Tries::default(),
            rounds: BTreeMap::new(),
            degraded: BTreeSet::new(),
            refused: BTreeMap::new(),
            failing: None,
        };
        head.schedule(subscription, now);
        head
    }

    /// Sets when the next digest and the next heartbeat are due.
    pub fn schedule(&mut self, subscription: &Subscription, now: Micros) {
        self.digest_at = plan::next_digest(subscription, now);
        self.heartbeat_at = subscription.zone.next(now, subscription.digest_at, None);
    }

    /// Records the last outcome of the channel, for display; returns whether that changes anything.
    /// `to`: the recipient, empty for channels other than mail.
    pub fn record_outcome(
        &mut self,
        to: &str,
        result: &Result<(), SendError>,
        now: Micros,
    ) -> bool {
        let before = (self.refused.clone(), self.failing.clone());
        match result {
            Ok(()) => {
                self.failing = None;
                self.refused.remove(to);
            }
            Err(SendError::Refused { code, why }) if !to.is_empty() => {
                self.failing = None;
                let refusal = Refusal { code: *code, why: why.clone(), at: now };
                self.refused.insert(to.to_owned(), refusal);
            }
            Err(error) => {
                let since = self.failing.as_ref().map_or(now, |failing| failing.since);
                self.failing = Some(Failing { why: error.to_string(), since });
            }
        }
        before != (self.refused.clone(), self.failing.clone())
    }
}
