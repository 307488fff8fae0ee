//! Round of a mail: its recipients, each with an outcome of its own.
//!
//! Part of the item or the head that the mail is about, and stored with it. A mail goes to one
//! recipient after another, and each outcome is stored before the next, so a restart repeats at
//! most the one mail in flight. A refusal is final for that mail and that address.

use std::collections::BTreeMap;

use record::{Alert, AlertState, Micros};
use serde::{Deserialize, Serialize};

use super::tries::Tries;
use crate::channel::SendError;

/// The last revision of an alert that was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SentRevision {
    pub revision: u32,
    pub severity: u8,
    pub state: AlertState,
    pub at: Micros,
    pub first_at: Micros,
}

impl SentRevision {
    pub(super) fn new(alert: &Alert, now: Micros) -> SentRevision {
        SentRevision {
            revision: alert.revision,
            severity: alert.severity,
            state: alert.state,
            at: now,
            first_at: now,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Round {
    /// Id of the mail.
    pub id: String,
    /// The alert as the first recipient received it; none where it is about no single alert.
    pub began: Option<SentRevision>,
    /// The alerts of a digest, fixed for all recipients.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alerts: Vec<String>,
    /// By address.
    pub copies: BTreeMap<String, MailCopy>,
    pub is_over: bool,
}

impl Round {
    /// Whether some recipient was tried, so that the next message of this kind may begin.
    pub fn has_begun(&self) -> bool {
        !self.copies.is_empty()
    }
}

/// The mail to one address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MailCopy {
    pub outcome: CopyOutcome,
    /// The alert's revision that it was about.
    pub revision: u32,
    pub tries: Tries,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CopyOutcome {
    Waiting,
    Accepted,
    Refused,
    /// Tried for days.
    GivenUp,
}

impl Round {
    pub fn new(id: impl Into<String>) -> Round {
        Round { id: id.into(), ..Round::default() }
    }

    /// The next recipient without an outcome whose next try is due.
    pub fn next_recipient<'a>(&self, to: &'a [String], now: Micros) -> Option<&'a String> {
        let is_due =
            |copy: &MailCopy| copy.outcome == CopyOutcome::Waiting && now >= copy.tries.not_before;
        to.iter().find(|address| self.copies.get(*address).is_none_or(is_due))
    }

    /// Whether all of these have a final outcome.
    pub fn is_complete(&self, to: &[String]) -> bool {
        to.iter().all(|address| {
            self.copies.get(address).is_some_and(|copy| copy.outcome != CopyOutcome::Waiting)
        })
    }

    pub fn count_accepted(&self) -> usize {
        self.copies.values().filter(|copy| copy.outcome == CopyOutcome::Accepted).count()
    }

    /// Number of recipients without a final outcome.
    pub fn count_waiting(&self, to: &[String]) -> usize {
        let has_none = |address: &&String| {
            self.copies.get(*address).is_none_or(|copy| copy.outcome == CopyOutcome::Waiting)
        };
        if self.is_over { 0 } else { to.iter().filter(has_none).count() }
    }

    /// Records the outcome of the mail to one address. A failure of the server belongs to no
    /// address and changes nothing.
    pub fn record_outcome(
        &mut self,
        address: &str,
        revision: u32,
        result: &Result<(), SendError>,
        now: Micros,
        jitter: f64,
    ) {
        let before = self.copies.get(address).map_or(Tries::default(), |copy| copy.tries);
        let (outcome, tries) = match result {
            Ok(()) => (CopyOutcome::Accepted, before),
            Err(SendError::Refused { .. }) => (CopyOutcome::Refused, before),
            Err(error @ SendError::Deferred { .. }) => {
                let tries = before.record_failure(now, error, jitter);
                (
                    if tries.is_hopeless(now) {
                        CopyOutcome::GivenUp
                    } else {
                        CopyOutcome::Waiting
                    },
                    tries,
                )
            }
            Err(SendError::Later { .. } | SendError::Never { .. }) => return,
        };
        self.copies.insert(address.to_owned(), MailCopy { outcome, revision, tries });
    }

    /// Gives up every recipient without an outcome.
    pub fn give_up(&mut self, to: &[String], revision: u32) {
        for address in to {
            let copy =
                MailCopy { outcome: CopyOutcome::GivenUp, revision, tries: Tries::default() };
            let known = self.copies.entry(address.clone()).or_insert(copy);
            if known.outcome == CopyOutcome::Waiting {
                known.outcome = CopyOutcome::GivenUp;
            }
        }
    }
}

/// Whether a failure is the server's, so that no other recipient is tried now either.
pub fn is_of_server(result: &Result<(), SendError>) -> bool {
    matches!(result, Err(SendError::Later { .. } | SendError::Never { .. }))
}
