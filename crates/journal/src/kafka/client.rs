//! Error reports of librdkafka, translated into journal errors.
//!
//! librdkafka reports trouble next to the call that suffers from it: a refused password is an
//! event, and the call a time-out. So the clients of one journal share a [`Trouble`], which
//! remembers the last of each kind for the error of the call.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};

use super::KafkaSettings;
use crate::local::held;
use crate::{JournalError, Stream};

/// How long a report of trouble explains what fails after it.
const FRESH: Duration = Duration::from_secs(60);

pub(super) struct Trouble {
    settings: KafkaSettings,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    refused: Option<(Instant, String)>,
    other: Option<(Instant, String)>,
}

/// The context of the clients that have no better one.
#[derive(Clone)]
pub(super) struct Shared(pub(super) Arc<Trouble>);

impl ClientContext for Shared {
    fn error(&self, error: KafkaError, reason: &str) {
        self.0.saw(&error, reason);
    }
}

impl ConsumerContext for Shared {}

impl Trouble {
    pub(super) fn new(settings: KafkaSettings) -> Trouble {
        Trouble { settings, seen: Mutex::default() }
    }

    pub(super) fn saw(&self, error: &KafkaError, reason: &str) {
        let report = Some((Instant::now(), reason.to_owned()));
        let mut seen = held(&self.seen);
        match error.rdkafka_error_code() {
            Some(code) if is_refusal(code) => seen.refused = report,
            // It says no more than what came before it.
            Some(Code::AllBrokersDown) if seen.other.is_some() => {}
            _ => seen.other = report,
        }
    }

    /// The error of a call on a stream.
    pub(super) fn failed(
        &self,
        action: &str,
        stream: Option<Stream>,
        error: KafkaError,
    ) -> JournalError {
        match (code_of(&error), stream) {
            (Some(code), _) if is_refusal(code) => self.refused(
                &self.explained(|seen| &seen.refused).unwrap_or_else(|| error.to_string()),
            ),
            (Some(code), Some(stream)) if is_absence(code) => {
                JournalError::Missing { topic: self.settings.topic(stream) }
            }
            (Some(code), _) if is_silence(code) => self.unreachable(&error.to_string()),
            _ => JournalError::Io { action: action.to_owned(), source: Box::new(error) },
        }
    }

    /// The brokers don't answer, or refuse to, for all that we know.
    pub(super) fn unreachable(&self, otherwise: &str) -> JournalError {
        if let Some(reason) = self.explained(|seen| &seen.refused) {
            return self.refused(&reason);
        }
        let reason = self.explained(|seen| &seen.other).unwrap_or_else(|| otherwise.to_owned());
        JournalError::Unreachable { brokers: self.settings.brokers.clone(), reason }
    }

    /// A client that could not be made: its settings are wrong.
    pub(super) fn misset(&self, error: KafkaError) -> JournalError {
        let (name, reason) = match error {
            KafkaError::ClientConfig(_, reason, name, _) => (name, reason),
            other => ("[journal.kafka]".to_owned(), other.to_string()),
        };
        JournalError::Setting { name, reason }
    }

    fn refused(&self, reason: &str) -> JournalError {
        JournalError::Refused { brokers: self.settings.brokers.clone(), reason: reason.to_owned() }
    }

    fn explained(&self, kind: impl Fn(&Seen) -> &Option<(Instant, String)>) -> Option<String> {
        let seen = held(&self.seen);
        kind(&seen)
            .as_ref()
            .filter(|(at, _)| at.elapsed() < FRESH)
            .map(|(_, reason)| reason.clone())
    }
}

/// Errors of administration have a code too.
pub(super) fn code_of(error: &KafkaError) -> Option<Code> {
    match error {
        KafkaError::AdminOp(code) => Some(*code),
        other => other.rdkafka_error_code(),
    }
}

fn is_refusal(code: Code) -> bool {
    matches!(
        code,
        Code::Authentication
            | Code::SaslAuthenticationFailed
            | Code::UnsupportedSASLMechanism
            | Code::IllegalSASLState
            | Code::TopicAuthorizationFailed
            | Code::GroupAuthorizationFailed
            | Code::ClusterAuthorizationFailed
    )
}

/// There is no such topic, for all that the broker knows.
pub(super) fn is_absence(code: Code) -> bool {
    matches!(code, Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::UnknownPartition)
}

/// Nobody has answered, or somebody who could not.
pub(super) fn is_silence(code: Code) -> bool {
    matches!(
        code,
        Code::AllBrokersDown
            | Code::BrokerTransportFailure
            | Code::OperationTimedOut
            | Code::RequestTimedOut
            | Code::TimedOutQueue
            | Code::MessageTimedOut
            | Code::Resolve
            | Code::SSL
            | Code::NetworkException
            | Code::LeaderNotAvailable
            | Code::NotLeaderForPartition
            | Code::BrokerNotAvailable
            | Code::ReplicaNotAvailable
            | Code::CoordinatorNotAvailable
            | Code::WaitingForCoordinator
            | Code::OffsetNotAvailable
            | Code::NotEnoughReplicas
            | Code::NotEnoughReplicasAfterAppend
            | Code::KafkaStorageError
    )
}
