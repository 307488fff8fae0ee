//! Stages: the pure parts of the pipeline, each over one partition of one stream.
//!
//! Tally and watch implement [`Stage`]; `driver` reads their input, appends their output and writes
//! their snapshots. Knows no journal call and no clock.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::AtomicU64;
use std::time::Instant;

use journal::{Journal, Stream};
use record::{Position, Record, Settings};
use surveillance::{Manifest, RestoreError, Snapshot};

/// A pure stage over one partition of one stream.
pub(crate) trait Stage: Sized {
    const NAME: &'static str;
    const INPUT: Stream;

    fn partition(&self) -> u32;
    fn next(&self) -> Position;
    /// Goes on behind a record that can't be read.
    fn pass(&mut self, position: Position);
    fn apply(
        &mut self,
        position: Position,
        record: &Record,
        out: &mut Vec<(Stream, Record)>,
    ) -> anyhow::Result<()>;
    /// Goes on at `to`, by the operator's consent: what stands before it has been deleted unread.
    fn skip(
        &mut self,
        to: Position,
        settings: Option<Settings>,
        out: &mut Vec<(Stream, Record)>,
    ) -> anyhow::Result<()>;
    fn snapshot(&mut self) -> Snapshot;
    fn restore(manifest: &Manifest, chunks: &[Vec<u8>]) -> Result<Self, RestoreError>;
    /// Its input has ended for good.
    fn ended(&self) -> bool;
    /// After its last output has been appended.
    fn on_end(_journal: &dyn Journal) -> anyhow::Result<()> {
        Ok(())
    }
    fn show(&self, _seen: &Seen) {}
}

/// What of the pipeline can be seen from outside.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) watermark: AtomicU64,
    pub(crate) handled: Mutex<record::Handled>,
    /// The first position of `tallies` that watch has not applied.
    pub(crate) watched: AtomicU64,
    /// Window ends without a post that a jump of the watermark passed over.
    pub(crate) skipped: AtomicU64,
    /// Cells that watch holds, and entries of frames that wait for other partitions.
    pub(crate) watch_cells: AtomicU64,
    pub(crate) watch_pending: AtomicU64,
    /// By stage and partition.
    pub(crate) snapshots: Mutex<BTreeMap<(&'static str, u32), SnapshotsWritten>>,
    /// Cells that each partition's tally holds, and how many it may.
    pub(crate) cells: Mutex<BTreeMap<u32, (u64, u64)>>,
}

/// Snapshots that one stage has written since it was taken on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SnapshotsWritten {
    /// Of chunks and manifests.
    pub(crate) bytes: u64,
    /// When the newest was complete, or when the stage was taken on.
    pub(crate) at: Instant,
}
