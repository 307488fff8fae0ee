//! Streams, positions and entries: the types shared by all implementations.
//!
//! Knows the names, and which streams keep a last value; knows nothing of how or for how long
//! anything is written.

use std::ops::Range;

use crate::JournalError;

/// The longest record or value. A longer one is refused before anything is written.
pub const RECORD_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Where a record is in its (stream, partition): 0, 1, 2 and so on, without gaps.
pub type Position = u64;

/// The streams of design section 8.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, strum::IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
pub enum Stream {
    Posts,
    Tallies,
    Counts,
    Alerts,
    /// Compacted: snapshots.
    State,
    /// Compacted: claims and cursors of feeds.
    Feeds,
    Rejects,
}

impl Stream {
    pub const ALL: [Stream; 7] = [
        Stream::Posts,
        Stream::Tallies,
        Stream::Counts,
        Stream::Alerts,
        Stream::State,
        Stream::Feeds,
        Stream::Rejects,
    ];

    /// As in file names and Kafka topics.
    pub fn name(self) -> &'static str {
        self.into()
    }

    pub fn from_name(name: &str) -> Option<Stream> {
        Stream::ALL.into_iter().find(|stream| stream.name() == name)
    }

    /// Whether it keeps the last value of a key (`put`, `get`, `keys`) instead of positions
    /// (`append`, `read`, `extent`).
    pub fn compacted(self) -> bool {
        matches!(self, Stream::State | Stream::Feeds)
    }

    pub(crate) fn expect_log(self, call: &'static str) -> Result<(), JournalError> {
        match self.compacted() {
            false => Ok(()),
            true => Err(JournalError::WrongKind { stream: self, call }),
        }
    }

    pub(crate) fn expect_compacted(self, call: &'static str) -> Result<(), JournalError> {
        match self.compacted() {
            true => Ok(()),
            false => Err(JournalError::WrongKind { stream: self, call }),
        }
    }

    /// Only posts are spread over partitions; each of the others has one writer.
    pub(crate) fn partitions(self, posts_partitions: u32) -> u32 {
        match self {
            Stream::Posts => posts_partitions,
            _ => 1,
        }
    }
}

/// One record to append.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub partition: u32,
    pub bytes: Vec<u8>,
}

/// What a read brought: consecutive records, and where to read on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    pub records: Vec<(Position, Vec<u8>)>,
    pub next: Position,
}

/// Refuses entries which no implementation may take.
pub(crate) fn check_entries(
    stream: Stream,
    partitions: u32,
    entries: &[Entry],
) -> Result<(), JournalError> {
    for entry in entries {
        check_partition(stream, partitions, entry.partition)?;
        check_size(stream, &entry.bytes)?;
    }
    Ok(())
}

pub(crate) fn check_partition(
    stream: Stream,
    partitions: u32,
    partition: u32,
) -> Result<(), JournalError> {
    if partition < partitions {
        Ok(())
    } else {
        Err(JournalError::NoPartition { stream, partition, partitions })
    }
}

pub(crate) fn check_pairs(
    stream: Stream,
    pairs: &[(String, Option<Vec<u8>>)],
) -> Result<(), JournalError> {
    pairs
        .iter()
        .filter_map(|(_, value)| value.as_deref())
        .try_for_each(|value| check_size(stream, value))
}

fn check_size(stream: Stream, bytes: &[u8]) -> Result<(), JournalError> {
    if bytes.len() <= RECORD_BYTES_MAX {
        Ok(())
    } else {
        Err(JournalError::TooLarge { stream, bytes: bytes.len() })
    }
}

pub(crate) fn check_extent(
    stream: Stream,
    partition: u32,
    requested: Position,
    extent: &Range<Position>,
) -> Result<(), JournalError> {
    let (low, high) = (extent.start, extent.end);
    if requested < low {
        Err(JournalError::Gone { stream, partition, requested, low })
    } else if requested > high {
        Err(JournalError::Beyond { stream, partition, requested, high })
    } else {
        Ok(())
    }
}
