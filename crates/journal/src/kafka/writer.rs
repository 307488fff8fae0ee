//! Kafka appends: one idempotent producer for all streams, with a count of pending acknowledgements
//! per call.
//!
//! A call's records go into the queue under the lock of their stream, so that they stand together
//! in each partition; idempotence keeps them so through every retry. The call returns when
//! librdkafka has reported on each of them, which it does within the delivery timeout. A full queue
//! makes the caller wait. Knows no meaning of records, and never sends one twice on its own.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::client::Client;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::Message;
use rdkafka::producer::{BaseRecord, DeliveryResult, Producer, ProducerContext, ThreadedProducer};

use super::KafkaSettings;
use super::client::{Trouble, code_of};
use crate::local::held;
use crate::{JournalError, Position, Stream};

/// How long beyond its timeout librdkafka may take to report a failure.
const REPORT_GRACE: Duration = Duration::from_secs(30);
/// How long to serve reports before a full queue is tried again.
const FULL_WAIT: Duration = Duration::from_millis(2);

pub(super) struct Writer {
    producer: ThreadedProducer<Reports>,
    /// Held while the records of one call enter the queue.
    order: BTreeMap<Stream, Mutex<()>>,
    topics: BTreeMap<Stream, String>,
    delivery_timeout: Duration,
    trouble: Arc<Trouble>,
}

/// One record on its way; key and value as Kafka has them.
pub(super) struct Outgoing<'a> {
    pub(super) partition: u32,
    pub(super) key: Option<&'a [u8]>,
    pub(super) value: Option<&'a [u8]>,
}

impl Writer {
    pub(super) fn open(
        settings: &KafkaSettings,
        trouble: &Arc<Trouble>,
    ) -> Result<Writer, JournalError> {
        let reports = Reports { trouble: Arc::clone(trouble) };
        let producer = settings
            .writer()
            .create_with_context(reports)
            .map_err(|error| trouble.misset(error))?;
        Ok(Writer {
            producer,
            order: Stream::ALL.into_iter().map(|stream| (stream, Mutex::default())).collect(),
            topics: Stream::ALL
                .into_iter()
                .map(|stream| (stream, settings.topic(stream)))
                .collect(),
            delivery_timeout: settings.delivery_timeout,
            trouble: Arc::clone(trouble),
        })
    }

    /// A client to ask questions with.
    pub(super) fn client(&self) -> &Client<Reports> {
        self.producer.client()
    }

    /// Appends, and waits until everything is acknowledged. Returns the position of each record.
    pub(super) fn append(
        &self,
        stream: Stream,
        records: &[Outgoing<'_>],
    ) -> Result<Vec<Position>, JournalError> {
        let call = Arc::new(Call {
            progress: Mutex::new(Progress::of(records.len())),
            done: Condvar::new(),
        });
        let refused = {
            let _order = held(&self.order[&stream]);
            self.enqueue(&self.topics[&stream], records, &call)
        };
        let sent = refused.as_ref().map_or(records.len(), |(sent, _)| *sent);
        let mut progress = call.wait(sent, self.delivery_timeout + REPORT_GRACE);
        let error = refused.map(|(_, error)| error).or_else(|| progress.failed.take());
        match error {
            Some(error) => Err(self.failed(stream, error)),
            None => progress.positions(stream),
        }
    }

    /// Puts records into the producer's queue. Where that fails, says how many are in it.
    fn enqueue(
        &self,
        topic: &str,
        records: &[Outgoing<'_>],
        call: &Arc<Call>,
    ) -> Option<(usize, KafkaError)> {
        for (index, record) in records.iter().enumerate() {
            let ticket = Box::new(Ticket { call: Arc::clone(call), index });
            let mut base =
                BaseRecord::with_opaque_to(topic, ticket).partition(record.partition.cast_signed());
            base.key = record.key;
            base.payload = record.value;
            let started = Instant::now();
            while let Err((error, back)) = self.producer.send(base) {
                let full = code_of(&error) == Some(Code::QueueFull);
                if !full || started.elapsed() > self.delivery_timeout + REPORT_GRACE {
                    return Some((index, error));
                }
                self.producer.poll(FULL_WAIT);
                base = back;
            }
        }
        None
    }

    fn failed(&self, stream: Stream, error: KafkaError) -> JournalError {
        let action = format!("append to `{}`", self.topics[&stream]);
        // The reason why librdkafka has given the whole producer up; what it says of single records
        // then is a consequence.
        match self.client().fatal_error() {
            Some((_, reason)) => JournalError::Broken { action, reason },
            None => self.trouble.failed(&action, Some(stream), error),
        }
    }
}

/// Receives librdkafka's reports.
pub(super) struct Reports {
    trouble: Arc<Trouble>,
}

impl ClientContext for Reports {
    fn error(&self, error: KafkaError, reason: &str) {
        self.trouble.saw(&error, reason);
    }
}

impl ProducerContext for Reports {
    type DeliveryOpaque = Box<Ticket>;

    fn delivery(&self, result: &DeliveryResult<'_>, ticket: Box<Ticket>) {
        let outcome = match result {
            Ok(message) => Ok(message.offset()),
            Err((error, _)) => Err(error.clone()),
        };
        ticket.call.report(ticket.index, outcome);
    }
}

/// Goes with a record through librdkafka.
pub(super) struct Ticket {
    call: Arc<Call>,
    index: usize,
}

struct Call {
    progress: Mutex<Progress>,
    done: Condvar,
}

struct Progress {
    reported: usize,
    /// How many reports the call waits for; unknown while it still enqueues.
    expected: Option<usize>,
    /// Kafka's offsets; below zero where the broker didn't say.
    offsets: Vec<i64>,
    failed: Option<KafkaError>,
}

impl Call {
    fn report(&self, index: usize, outcome: Result<i64, KafkaError>) {
        let mut progress = held(&self.progress);
        progress.reported += 1;
        match outcome {
            Ok(offset) => progress.offsets[index] = offset,
            Err(error) => progress.failed = progress.failed.take().or(Some(error)),
        }
        if progress.expected == Some(progress.reported) {
            self.done.notify_all();
        }
    }

    /// Waits for as many reports as records were sent. What comes after `limit` is reported to
    /// nobody.
    fn wait(&self, sent: usize, limit: Duration) -> Progress {
        let mut progress = held(&self.progress);
        progress.expected = Some(sent);
        let (mut progress, timeout) = self
            .done
            .wait_timeout_while(progress, limit, |progress| progress.reported < sent)
            .unwrap_or_else(PoisonError::into_inner);
        if timeout.timed_out() && progress.failed.is_none() {
            progress.failed = Some(KafkaError::MessageProduction(Code::MessageTimedOut));
        }
        let records = progress.offsets.len();
        std::mem::replace(&mut *progress, Progress::of(records))
    }
}

impl Progress {
    fn of(records: usize) -> Progress {
        Progress { reported: 0, expected: None, offsets: vec![-1; records], failed: None }
    }

    fn positions(self, stream: Stream) -> Result<Vec<Position>, JournalError> {
        // A retry that the broker knows to have written already, too long ago to know where, is
        // answered without an offset.
        let position = |offset: i64| {
            Position::try_from(offset).map_err(|_| JournalError::Io {
                action: format!("append to `{}`", stream.name()),
                source: "a record was written, but the broker no longer knows where".into(),
            })
        };
        self.offsets.into_iter().map(position).collect()
    }
}
