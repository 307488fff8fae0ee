//! Journal: ordered, partitioned streams of records.
//!
//! Every stage hands its output to the journal and reads its input from it; between two stages
//! there is no other connection. So a stage may die at any instant: what it read is still here, and
//! what it wrote was here before it has returned. [`Journal`] is the port; [`memory`] holds
//! everything in memory (replay, tests, simulation), [`local`] in SQLite files under one folder,
//! and `kafka` (behind a feature) in Kafka, for several processes.
//!
//! Bytes only: the journal knows no record's meaning, no event time, no watermark, and not who
//! reads how far. Its one clock is the hour of appending, by which the local side names and deletes
//! its files; no reader ever sees it.

mod stream;

mod error;

mod group;

pub mod memory;

pub mod local;

#[cfg(feature = "kafka")]
pub mod kafka;

#[cfg(any(test, feature = "contract"))]
pub mod contract;

pub use error::JournalError;
pub use group::{Alone, Change, Group, Membership};
pub use stream::{Batch, Entry, Position, RECORD_BYTES_MAX, Stream};

use std::ops::Range;
use std::time::Duration;

/// What has been deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Deleted {
    pub records: u64,
    pub files: usize,
    pub bytes: u64,
}

/// Streams that are appended to and read by position, and two that keep the last value of a key.
///
/// Any thread may call any method. A consumer is never reset silently: what retention has deleted
/// is [`JournalError::Gone`], what was never written is [`JournalError::Beyond`].
pub trait Journal: Send + Sync {
    /// How often the streams were made again, from 1; the high 16 bits of every version.
    fn generation(&self) -> u16;

    /// How many partitions the stream has. A partition at or above it is
    /// [`JournalError::NoPartition`].
    fn partitions(&self, stream: Stream) -> u32;

    /// Appends in order; on return every entry is durable and readable. Returns the position of
    /// each entry.
    ///
    /// An error that says [`retry`](JournalError::retry) may, after a failing disk or a lost reply,
    /// have appended all the same:
    /// appending again can only double whole entries, which absolute values and identities make
    /// harmless.
    fn append(&self, stream: Stream, entries: &[Entry]) -> Result<Vec<Position>, JournalError>;

    /// Whether nothing of one append can be read, in any partition, before all that is before it in
    /// the same append.
    /// Where not, what must not overtake others has to be appended after they are.
    fn appends_in_order(&self) -> bool {
        false
    }

    /// Reads on from a position: at least one record if there is one, else no more than `bytes_max`
    /// bytes of them.
    /// With nothing new it waits for up to `wait` and then returns no records, with `next` equal to
    /// `from`.
    fn read(
        &self,
        stream: Stream,
        partition: u32,
        from: Position,
        bytes_max: usize,
        wait: Duration,
    ) -> Result<Batch, JournalError>;

    /// The positions that can be read now; `end` is that of the record to come.
    fn extent(&self, stream: Stream, partition: u32) -> Result<Range<Position>, JournalError>;

    /// Sets keys of a compacted stream, in order; `None` deletes. Returns the position of each
    /// pair, which grows for each key from put to put, across restarts and deletes too.
    ///
    /// Locally all or nothing. Kafka may stop after some: what completes the others is to be
    /// written last.
    fn put(
        &self,
        stream: Stream,
        pairs: &[(String, Option<Vec<u8>>)],
    ) -> Result<Vec<Position>, JournalError>;

    /// The last value of a key.
    fn get(&self, stream: Stream, key: &str) -> Result<Option<Vec<u8>>, JournalError>;

    /// The keys that have a value and begin with `prefix`, sorted by bytes.
    fn keys(&self, stream: Stream, prefix: &str) -> Result<Vec<String>, JournalError>;

    /// The first position of each partition that may have been appended at or after an instant, in
    /// unix seconds: all records before it are older. A journal that knows no time takes none for
    /// old.
    fn positions_at(&self, stream: Stream, _at: u64) -> Result<Vec<Position>, JournalError> {
        (0..self.partitions(stream))
            .map(|partition| Ok(self.extent(stream, partition)?.start))
            .collect()
    }

    /// Deletes records before these positions, one of each partition; some of them may stay, as
    /// long as a file holds others too.
    /// Positions continue counting.
    fn delete_before(
        &self,
        _stream: Stream,
        _positions: &[Position],
    ) -> Result<Deleted, JournalError> {
        Ok(Deleted::default())
    }

    /// Gives back what is of no use any more, such as files of silent streams that are open. To be
    /// called now and then.
    fn tidy(&self) -> Result<(), JournalError> {
        Ok(())
    }

    /// The groups that have members now, where other processes can have joined.
    fn groups_at_work(&self) -> Result<Vec<Group>, JournalError> {
        Ok(Vec::new())
    }

    /// Joins a group; a journal that one process has for itself gives it everything.
    fn join(&self, group: Group) -> Result<Box<dyn Membership>, JournalError> {
        let partitions =
            if group.stream().compacted() { 1 } else { self.partitions(group.stream()) };
        Ok(Box::new(Alone::of(partitions)))
    }
}
