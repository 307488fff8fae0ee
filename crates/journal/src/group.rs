//! Groups: assignment of partitions to processes.
//!
//! A group hands each partition of a stream to one member at a time, and to another when that one
//! leaves or falls silent. It decides nothing about correctness: a member that was dropped without
//! hearing of it may write on for a while, and everything written is absolute and versioned, so
//! that it changes nothing.

use std::time::Duration;

use crate::{JournalError, Position, Stream};

/// What a process wants a share of. Members of one group share the partitions of its stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, strum::IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
pub enum Group {
    /// Feeds, by the partitions of [`Stream::Feeds`].
    Ingest,
    /// The partitions of [`Stream::Posts`].
    Tally,
    /// The one partition of [`Stream::Tallies`]: one member is active, the others stand by.
    Watch,
    /// The one partition of [`Stream::Counts`]; anyone who owns it lands alerts too.
    Land,
    /// The one partition of [`Stream::Alerts`]: one member tells people, the others stand by.
    Notify,
}

impl Group {
    /// As in the names of Kafka's groups.
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// The stream whose partitions are shared.
    pub fn stream(self) -> Stream {
        match self {
            Group::Ingest => Stream::Feeds,
            Group::Tally => Stream::Posts,
            Group::Watch => Stream::Tallies,
            Group::Land => Stream::Counts,
            Group::Notify => Stream::Alerts,
        }
    }
}

/// Events of a member. A partition is given once before it is taken, and taken once before it is
/// given again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Restore its state, then work on it.
    Given(u32),
    /// Drop it and its state; another member may have it already.
    Taken(u32),
}

/// One member of a group, until it is dropped.
pub trait Membership: Send {
    /// What has changed since the last call; waits for up to `wait` if nothing has. To be called
    /// every few seconds: a member that falls silent loses its partitions.
    fn changes(&mut self, wait: Duration) -> Result<Vec<Change>, JournalError>;

    /// Shows outside how far a partition has been worked on. Nothing is ever resumed from it.
    fn show(&mut self, partition: u32, next: Position);
}

/// The membership of a journal that one process has for itself: all partitions, at once and for
/// good.
#[derive(Debug)]
pub struct Alone(Vec<Change>);

impl Alone {
    pub fn of(partitions: u32) -> Alone {
        Alone((0..partitions).map(Change::Given).collect())
    }
}

impl Membership for Alone {
    fn changes(&mut self, _wait: Duration) -> Result<Vec<Change>, JournalError> {
        Ok(std::mem::take(&mut self.0))
    }

    fn show(&mut self, _partition: u32, _next: Position) {}
}
