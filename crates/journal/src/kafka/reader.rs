//! Reads Kafka's partitions by position, without groups: a consumer for each reader, reused for the
//! next read.
//!
//! A read takes the consumer that is where it wants to read on, and has it for itself, so that
//! readers never wait for each other.
//! librdkafka fetches ahead of it into a bounded queue. Moving a consumer to another position is
//! rare and costs some milliseconds: then, and whenever nothing comes, the brokers are queried for
//! the existing positions.

use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::Message;
use rdkafka::util::Timeout;
use rdkafka::{Offset, TopicPartitionList};

use super::KafkaSettings;
use super::client::{Shared, Trouble, code_of, is_absence, is_silence};
use super::writer::Writer;
use crate::local::held;
use crate::stream::check_extent;
use crate::{Batch, JournalError, Position, Stream};

/// Maximum idle consumers of one partition.
const IDLE_PER_PARTITION: usize = 2;
/// How long an idle consumer is retained, with its prefetched records.
const IDLE_MAX: Duration = Duration::from_secs(60);
/// A record at most so far ahead in a compacted stream is read up to rather than jumped to.
const READ_UP_TO: Position = 256;
/// How much is fetched ahead of a reader of single values: the next one, but not what a jump throws
/// away.
const VALUE_PREFETCH_BYTES: usize = 256 << 10;
/// How long to wait before the brokers are queried again.
const AGAIN: Duration = Duration::from_millis(50);

pub(super) struct Readers {
    settings: KafkaSettings,
    trouble: Arc<Trouble>,
    writer: Arc<Writer>,
    idle: Mutex<Vec<Reader>>,
}

/// What Kafka has at a position.
pub(super) struct Record {
    pub(super) partition: u32,
    pub(super) position: Position,
    pub(super) key: Option<Vec<u8>>,
    pub(super) value: Option<Vec<u8>>,
}

impl Readers {
    pub(super) fn new(
        settings: &KafkaSettings,
        trouble: &Arc<Trouble>,
        writer: &Arc<Writer>,
    ) -> Readers {
        Readers {
            settings: settings.clone(),
            trouble: Arc::clone(trouble),
            writer: Arc::clone(writer),
            idle: Mutex::default(),
        }
    }

    /// The port's `read`.
    pub(super) fn read(
        &self,
        stream: Stream,
        partition: u32,
        from: Position,
        bytes_max: usize,
        wait: Duration,
    ) -> Result<Batch, JournalError> {
        let mut reader = self.take(stream, partition, |next| next == from);
        if reader.as_ref().is_none_or(|reader| reader.next != from) {
            check_extent(stream, partition, from, &self.extent(stream, partition)?)?;
            reader = Some(self.moved(reader, stream, partition, from)?);
        }
        let mut reader = reader.expect("just made");
        let batch = self.read_on(&mut reader, bytes_max, wait)?;
        // After an error nobody knows where a consumer is: the next read gets a new one.
        self.keep(reader);
        Ok(batch)
    }

    /// The record at a position of a compacted stream, or the first after it.
    pub(super) fn read_at(
        &self,
        stream: Stream,
        partition: u32,
        position: Position,
    ) -> Result<Record, JournalError> {
        let mut reader =
            self.take(stream, partition, |next| next <= position && position - next <= READ_UP_TO);
        if reader
            .as_ref()
            .is_none_or(|reader| !(reader.next <= position && position - reader.next <= READ_UP_TO))
        {
            reader = Some(self.moved(reader, stream, partition, position)?);
        }
        let mut reader = reader.expect("just made");
        let deadline = Instant::now() + self.settings.request_timeout;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match reader.poll(left) {
                Ok(Some(record)) => {
                    reader.next = record.position + 1;
                    if record.position >= position {
                        self.keep(reader);
                        return Ok(record);
                    }
                }
                Ok(None) if left.is_zero() => {
                    return Err(self.trouble.unreachable("no record came in time"));
                }
                Ok(None) => {}
                Err(error) if is_passing(&error) && !left.is_zero() => {}
                Err(error) => {
                    return Err(self.trouble.failed(
                        &format!("read `{}`", reader.topic),
                        Some(stream),
                        error,
                    ));
                }
            }
        }
    }

    /// The positions that can be read now. Asks until the brokers answer, for the time that a
    /// request may take.
    pub(super) fn extent(
        &self,
        stream: Stream,
        partition: u32,
    ) -> Result<Range<Position>, JournalError> {
        let topic = self.settings.topic(stream);
        let deadline = Instant::now() + self.settings.request_timeout;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let (low, high) = match self.writer.client().fetch_watermarks(
                &topic,
                partition.cast_signed(),
                left,
            ) {
                Ok(watermarks) => watermarks,
                Err(error) if is_passing(&error) && left > AGAIN => {
                    std::thread::sleep(AGAIN);
                    continue;
                }
                Err(error) => {
                    return Err(self.trouble.failed(
                        &format!("ask for the positions of `{topic}`"),
                        Some(stream),
                        error,
                    ));
                }
            };
            if let (Ok(low), Ok(high)) = (Position::try_from(low), Position::try_from(high)) {
                return Ok(low..high);
            }
        }
    }

    fn read_on(
        &self,
        reader: &mut Reader,
        bytes_max: usize,
        wait: Duration,
    ) -> Result<Batch, JournalError> {
        let mut batch = Batch { records: Vec::new(), next: reader.next };
        let mut bytes = 0;
        let mut deadline = Instant::now() + wait;
        // Whether something is known to be there, so that it must come.
        let mut awaited = false;
        loop {
            let left = if batch.records.is_empty() {
                deadline.saturating_duration_since(Instant::now())
            } else {
                Duration::ZERO
            };
            match reader.poll(left) {
                Ok(Some(record)) if record.position < reader.next => {}
                Ok(Some(record)) if record.position > reader.next => {
                    reader.ahead = Some(record);
                    // Deleted between two reads; a log stream has no other gaps.
                    return if batch.records.is_empty() { self.gone(reader) } else { Ok(batch) };
                }
                Ok(Some(record)) => {
                    bytes += record.value.as_ref().map_or(0, Vec::len);
                    if bytes > bytes_max && !batch.records.is_empty() {
                        reader.ahead = Some(record);
                        return Ok(batch);
                    }
                    reader.next = record.position + 1;
                    batch.next = reader.next;
                    batch.records.push((record.position, record.value.unwrap_or_default()));
                }
                Ok(None) if !batch.records.is_empty() => return Ok(batch),
                Ok(None) if deadline > Instant::now() => {}
                Ok(None) if awaited => {
                    return Err(self.trouble.unreachable("no record came in time"));
                }
                Ok(None) => {
                    let extent = self.extent(reader.stream, reader.partition)?;
                    check_extent(reader.stream, reader.partition, reader.next, &extent)?;
                    if extent.end == reader.next {
                        return Ok(batch);
                    }
                    awaited = true;
                    deadline = Instant::now() + self.settings.request_timeout;
                }
                Err(_) if !batch.records.is_empty() => return Ok(batch),
                Err(error) if is_out_of_range(&error) => return self.gone(reader),
                Err(error) if is_passing(&error) => {}
                Err(error) => {
                    let action = format!("read `{}`", reader.topic);
                    return Err(self.trouble.failed(&action, Some(reader.stream), error));
                }
            }
        }
    }

    /// Why a reader finds nothing at its position.
    fn gone(&self, reader: &Reader) -> Result<Batch, JournalError> {
        let extent = self.extent(reader.stream, reader.partition)?;
        check_extent(reader.stream, reader.partition, reader.next, &extent)?;
        // It is within what there is now: the records that led to it were lost, and others were
        // written in their place.
        Err(JournalError::Beyond {
            stream: reader.stream,
            partition: reader.partition,
            requested: reader.next,
            high: extent.end,
        })
    }

    /// The idle consumer that is well for a read, else one that may be moved, else none.
    fn take(
        &self,
        stream: Stream,
        partition: u32,
        stands_well: impl Fn(Position) -> bool,
    ) -> Option<Reader> {
        let mut idle = held(&self.idle);
        let own = |reader: &Reader| reader.stream == stream && reader.partition == partition;
        let found = idle.iter().position(|reader| own(reader) && stands_well(reader.next));
        // Another role may read the same partition elsewhere; it keeps its consumer.
        let found = found.or_else(|| match idle.iter().filter(|reader| own(reader)).count() {
            IDLE_PER_PARTITION.. => idle.iter().position(own),
            _ => None,
        });
        found.map(|index| idle.remove(index))
    }

    fn keep(&self, mut reader: Reader) {
        let now = Instant::now();
        reader.used = now;
        let mut idle = held(&self.idle);
        idle.push(reader);
        let mut surplus: Vec<Reader> =
            idle.extract_if(.., |reader| now.duration_since(reader.used) > IDLE_MAX).collect();
        let newest = idle.last().expect("just pushed");
        let (stream, partition) = (newest.stream, newest.partition);
        let own = |reader: &Reader| reader.stream == stream && reader.partition == partition;
        if idle.iter().filter(|reader| own(reader)).count() > IDLE_PER_PARTITION {
            let oldest = idle.iter().position(own).expect("just counted");
            surplus.push(idle.remove(oldest));
        }
        // Closing a consumer waits for its threads; nobody needs to wait for that.
        drop(idle);
        drop(surplus);
    }

    fn moved(
        &self,
        reader: Option<Reader>,
        stream: Stream,
        partition: u32,
        to: Position,
    ) -> Result<Reader, JournalError> {
        if let Some(mut reader) = reader {
            let offset = Offset::Offset(to.cast_signed());
            if reader
                .consumer
                .seek(&reader.topic, partition.cast_signed(), offset, self.settings.request_timeout)
                .is_ok()
            {
                reader.next = to;
                reader.ahead = None;
                return Ok(reader);
            }
        }
        let topic = self.settings.topic(stream);
        let prefetch_bytes = if stream.compacted() {
            self.settings.prefetch_bytes.min(VALUE_PREFETCH_BYTES)
        } else {
            self.settings.prefetch_bytes
        };
        let consumer =
            consumer_of(&self.settings, &self.trouble, prefetch_bytes, &topic, &[(partition, to)])?;
        Ok(Reader {
            consumer,
            stream,
            partition,
            topic,
            next: to,
            ahead: None,
            used: Instant::now(),
        })
    }
}

/// A consumer of some partitions of a topic, each from a position.
pub(super) fn consumer_of(
    settings: &KafkaSettings,
    trouble: &Arc<Trouble>,
    prefetch_bytes: usize,
    topic: &str,
    partitions: &[(u32, Position)],
) -> Result<BaseConsumer<Shared>, JournalError> {
    let context = Shared(Arc::clone(trouble));
    let consumer: BaseConsumer<Shared> = settings
        .reader(prefetch_bytes)
        .create_with_context(context)
        .map_err(|error| trouble.misset(error))?;
    let mut list = TopicPartitionList::with_capacity(partitions.len());
    let assigned = partitions
        .iter()
        .try_for_each(|(partition, from)| {
            list.add_partition_offset(
                topic,
                partition.cast_signed(),
                Offset::Offset(from.cast_signed()),
            )
        })
        .and_then(|()| consumer.assign(&list));
    assigned.map_err(|error| trouble.failed(&format!("read `{topic}`"), None, error))?;
    Ok(consumer)
}

/// The next record that a consumer has fetched.
pub(super) fn poll(
    consumer: &BaseConsumer<Shared>,
    wait: Duration,
) -> Result<Option<Record>, KafkaError> {
    let Some(polled) = consumer.poll(Timeout::After(wait)) else { return Ok(None) };
    let message = polled?;
    Ok(Some(Record {
        partition: message.partition().cast_unsigned(),
        position: message.offset().cast_unsigned(),
        key: message.key().map(<[u8]>::to_vec),
        value: message.payload().map(<[u8]>::to_vec),
    }))
}

/// Trouble that librdkafka gets over on its own as soon as the brokers let it. A stream that was
/// there when the journal was opened is unknown for a while to a broker that has just started.
pub(super) fn is_passing(error: &KafkaError) -> bool {
    code_of(error).is_some_and(|code| is_silence(code) || is_absence(code))
}

fn is_out_of_range(error: &KafkaError) -> bool {
    matches!(
        code_of(error),
        Some(Code::AutoOffsetReset | Code::OffsetOutOfRange | Code::NoOffset | Code::LogTruncation)
    )
}

struct Reader {
    consumer: BaseConsumer<Shared>,
    stream: Stream,
    partition: u32,
    topic: String,
    /// The position that the next read begins at.
    next: Position,
    /// Taken from the consumer, but not yet by a read.
    ahead: Option<Record>,
    used: Instant,
}

impl Reader {
    fn poll(&mut self, wait: Duration) -> Result<Option<Record>, KafkaError> {
        match self.ahead.take() {
            Some(record) => Ok(Some(record)),
            None => poll(&self.consumer, wait),
        }
    }
}
