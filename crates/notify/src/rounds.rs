//! Recipients of one mail, each with an outcome of its own.
//!
//! Plain data, stored with the outbox. A mail goes to one recipient after another, and each outcome
//! is stored before the next: a
//! restart repeats at most the one mail that was on its way. A refusal is final for that mail and
//! that address.

use std::collections::BTreeMap;

use record::Micros;
use serde::{Deserialize, Serialize};

use crate::channel::SendError;
use crate::outbox::{Told, Tries};

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Round {
    /// Which mail it is.
    pub id: String,
    /// The alert as it was for the first recipient; none of what is about no alert.
    pub began: Option<Told>,
    /// The alerts of a digest, fixed for all recipients.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alerts: Vec<String>,
    /// By address.
    pub copies: BTreeMap<String, MailCopy>,
    pub is_over: bool,
}

impl Round {
    /// Whether some recipient was tried, so that the next message of this kind may take its turn.
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

    /// Who is next: without an outcome, and not to be left alone for now.
    pub fn next<'a>(&self, to: &'a [String], now: Micros) -> Option<&'a String> {
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

    pub fn accepted(&self) -> usize {
        self.copies.values().filter(|copy| copy.outcome == CopyOutcome::Accepted).count()
    }

    /// How many are without a final outcome.
    pub fn waiting(&self, to: &[String]) -> usize {
        let has_none = |address: &&String| {
            self.copies.get(*address).is_none_or(|copy| copy.outcome == CopyOutcome::Waiting)
        };
        if self.is_over { 0 } else { to.iter().filter(has_none).count() }
    }

    /// Notes what became of the mail to one address. A failure of the server belongs to no address:
    /// then nothing changes.
    pub fn note(
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
            Err(SendError::Deferred { .. }) => {
                let tries = before.failed(now, None, jitter);
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

    /// Gives up all that have no outcome.
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

/// Whether a failure is the server's, so that nobody else is tried now either.
pub fn is_of_server(result: &Result<(), SendError>) -> bool {
    matches!(result, Err(SendError::Later { .. } | SendError::Never { .. }))
}
