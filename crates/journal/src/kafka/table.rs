//! The last value of each key of a compacted stream.
//!
//! Follows the stream from its first record, and before each answer up to where it ends at that
//! moment, so that an answer holds all that any process had had acknowledged. Short values are
//! stored in memory; of long ones only the position, where they are read again: snapshots are
//! larger than what anybody wants to hold twice. Keys that aren't text are the journal's own.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::consumer::BaseConsumer;

use super::KafkaSettings;
use super::client::{Shared, Trouble};
use super::reader::{Readers, Record, consumer_of, is_passing, poll};
use super::writer::{Outgoing, Writer};
use crate::{JournalError, Position, Stream};

/// The longest value that is held in memory.
const HELD_BYTES_MAX: usize = 1024;
/// How many bytes of a compacted stream are fetched ahead.
const PREFETCH_BYTES: usize = 4 << 20;
/// How long nothing may come although there is something, before the stream is pushed on.
const STALL: Duration = Duration::from_secs(2);
/// How often a value may be replaced between its look-up and its reading.
const ATTEMPTS: u32 = 20;
/// The key of records that only move the end.
const PUSH: &[u8] = b"\xffpush";

pub(super) struct Table {
    stream: Stream,
    topic: String,
    partitions: u32,
    follower: Option<Follower>,
}

struct Follower {
    consumer: BaseConsumer<Shared>,
    next: Vec<Position>,
    slots: BTreeMap<Vec<u8>, Slot>,
}

struct Slot {
    partition: u32,
    position: Position,
    held: Option<Vec<u8>>,
}

/// What a table needs to do its work.
pub(super) struct Hands<'a> {
    pub(super) settings: &'a KafkaSettings,
    pub(super) trouble: &'a Arc<Trouble>,
    pub(super) readers: &'a Readers,
    pub(super) writer: &'a Writer,
}

impl Table {
    pub(super) fn new(settings: &KafkaSettings, stream: Stream, partitions: u32) -> Table {
        Table { stream, topic: settings.topic(stream), partitions, follower: None }
    }

    pub(super) fn get(
        &mut self,
        hands: &Hands<'_>,
        key: &[u8],
    ) -> Result<Option<Vec<u8>>, JournalError> {
        let stream = self.stream;
        for _ in 0..ATTEMPTS {
            let follower = self.follow(hands, Some(partition_of(key, self.partitions)))?;
            let Some(slot) = follower.slots.get(key) else { return Ok(None) };
            if let Some(value) = &slot.held {
                return Ok(Some(value.clone()));
            }
            let record = hands.readers.read_at(stream, slot.partition, slot.position)?;
            if record.position == slot.position {
                return Ok(record.value);
            }
            // A newer value of this key has let compaction delete the one that was looked up.
        }
        Err(JournalError::Io {
            action: format!("read `{}`", self.topic),
            source: "its value was replaced again and again".into(),
        })
    }

    /// The keys that are text and begin so, sorted.
    pub(super) fn keys(
        &mut self,
        hands: &Hands<'_>,
        prefix: &str,
    ) -> Result<Vec<String>, JournalError> {
        let follower = self.follow(hands, None)?;
        let keys = follower.slots.range(prefix.as_bytes().to_vec()..).map(|(key, _)| key);
        let keys = keys.take_while(|key| key.starts_with(prefix.as_bytes()));
        Ok(keys.filter_map(|key| String::from_utf8(key.clone()).ok()).collect())
    }

    /// Follows the stream to where it ends now: one partition, or all.
    fn follow(&mut self, hands: &Hands<'_>, only: Option<u32>) -> Result<&Follower, JournalError> {
        let result = self.try_follow(hands, only);
        if result.as_ref().is_err_and(|error| !error.retry()) {
            self.follower = None;
        }
        result?;
        Ok(self.follower.as_ref().expect("just followed"))
    }

    fn try_follow(&mut self, hands: &Hands<'_>, only: Option<u32>) -> Result<(), JournalError> {
        let extent = |partition| {
            hands.readers.extent(self.stream, partition).map(|extent| (partition, extent))
        };
        if self.follower.is_none() {
            let extents: Vec<_> = (0..self.partitions).map(extent).collect::<Result<_, _>>()?;
            let from: Vec<_> =
                extents.into_iter().map(|(partition, extent)| (partition, extent.start)).collect();
            let consumer =
                consumer_of(hands.settings, hands.trouble, PREFETCH_BYTES, &self.topic, &from)?;
            let next = from.into_iter().map(|(_, position)| position).collect();
            self.follower = Some(Follower { consumer, next, slots: BTreeMap::new() });
        }
        let partitions = only.map_or(0..self.partitions, |only| only..only + 1);
        let extents: Vec<_> = partitions.map(extent).collect::<Result<_, _>>()?;
        let follower = self.follower.as_mut().expect("just made");
        let mut moved = Instant::now();
        let mut pushed = false;
        loop {
            let lagging = extents
                .iter()
                .find(|(partition, extent)| follower.next[*partition as usize] < extent.end);
            let Some(&(partition, _)) = lagging else { return Ok(()) };
            match poll(&follower.consumer, STALL) {
                Ok(Some(record)) => {
                    follower.take(record);
                    moved = Instant::now();
                }
                Ok(None) if moved.elapsed() < STALL => {}
                Ok(None) if !pushed => {
                    // The last records of a stream can be tombstones that compaction has deleted:
                    // then no fetch ever reaches its end.
                    hands.writer.append(
                        self.stream,
                        &[Outgoing { partition, key: Some(PUSH), value: None }],
                    )?;
                    (moved, pushed) = (Instant::now(), true);
                }
                Ok(None) if moved.elapsed() < hands.settings.request_timeout => {}
                Ok(None) => {
                    self.follower = None;
                    return Err(hands.trouble.unreachable("no record came in time"));
                }
                Err(error)
                    if is_passing(&error) && moved.elapsed() < hands.settings.request_timeout => {}
                Err(error) => {
                    self.follower = None;
                    return Err(hands.trouble.failed(
                        &format!("read `{}`", self.topic),
                        Some(self.stream),
                        error,
                    ));
                }
            }
        }
    }
}

impl Follower {
    fn take(&mut self, record: Record) {
        let Some(next) = self.next.get_mut(record.partition as usize) else { return };
        *next = record.position + 1;
        let Some(key) = record.key else { return };
        match record.value {
            None => {
                self.slots.remove(&key);
            }
            Some(value) => {
                let held = (value.len() <= HELD_BYTES_MAX).then_some(value);
                self.slots.insert(
                    key,
                    Slot { partition: record.partition, position: record.position, held },
                );
            }
        }
    }
}

/// The partition of a key: the same for every process (FNV-1a).
pub(super) fn partition_of(key: &[u8], partitions: u32) -> u32 {
    let hash = key.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    // The low bits of FNV are weak, the high ones are folded in.
    ((hash ^ (hash >> 32)) % u64::from(partitions)) as u32
}
