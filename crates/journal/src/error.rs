//! Errors of a journal, one variant for each reaction of a caller.
//!
//! Knows whether trying again can help; never tries again on its own.

use std::path::PathBuf;

use crate::{Position, RECORD_BYTES_MAX, Stream};

#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    #[error("no room left on the disk for `{}`", path.display())]
    DiskFull { path: PathBuf },

    #[error("data folder `{}` is in use by {}", folder.display(), owner(*pid))]
    Locked { folder: PathBuf, pid: Option<u32> },

    #[error("`{}` is damaged: {what}", path.display())]
    Corrupt { path: PathBuf, what: String },

    #[error(
        "data folder `{}` has {recorded} partitions of posts, not {requested}: \
         set `partitions = {recorded}` in `[journal]`, or start a new generation with `pumphandle \
         migrate`",
        folder.display()
    )]
    Partitions { folder: PathBuf, recorded: u32, requested: u32 },

    #[error("{requested} partitions of posts are not between 1 and 32768")]
    PartitionsOutOfRange { requested: u32 },

    #[error("data folder `{}` is at its last generation, 65535: start with an empty \
        folder", folder.display())]
    GenerationsSpent { folder: PathBuf },

    #[error("Kafka at `{brokers}` does not answer: {reason}")]
    Unreachable { brokers: String, reason: String },

    #[error(
        "Kafka at `{brokers}` refuses us: {reason}: check user, password, certificates and rights \
            in `[journal.kafka]`"
    )]
    Refused { brokers: String, reason: String },

    #[error("Kafka has no stream `{topic}`: run `pumphandle migrate`")]
    Missing { topic: String },

    #[error("the streams `{prefix}.*` were not made to the end: run `pumphandle migrate` again")]
    Unfinished { prefix: String },

    #[error(
        "streams can't be made anew while the group `{group}` has members: stop its roles, or wait \
            until Kafka has missed the dead"
    )]
    InUse { group: String },

    #[error(
        "the streams `{prefix}.*` are there, but not the record of their generation: state one \
            higher than any before to `pumphandle migrate`"
    )]
    Unrecorded { prefix: String },

    #[error(
        "streams `{prefix}.*` have {recorded} partitions of posts, not {requested}: \
         set `partitions = {recorded}` in `[journal]`, or start a new generation with `pumphandle \
         migrate`"
    )]
    PartitionsRecorded { prefix: String, recorded: u32, requested: u32 },

    #[error(
        "stream `{topic}` was made with {recorded} partitions and now has {found}, so keys are \
            away from their state: \
         start a new generation with `pumphandle migrate`"
    )]
    PartitionsChanged { topic: String, recorded: u32, found: u32 },

    #[error("streams `{prefix}.*` are at their last generation, 65535: use another prefix")]
    PrefixSpent { prefix: String },

    #[error("setting `{name}` for Kafka is wrong: {reason}")]
    Setting { name: String, reason: String },

    #[error("failed to {action}, and this process can't any more: {reason}: start it again")]
    Broken { action: String, reason: String },

    #[error("position {requested} of `{}` partition {partition} has been deleted: the first is \
        {low}", stream.name())]
    Gone { stream: Stream, partition: u32, requested: Position, low: Position },

    #[error("position {requested} of `{}` partition {partition} was never written: the next is \
        {high}", stream.name())]
    Beyond { stream: Stream, partition: u32, requested: Position, high: Position },

    #[error("stream `{}` has {partitions} partitions, there is no {partition}", stream.name())]
    NoPartition { stream: Stream, partition: u32, partitions: u32 },

    #[error("stream `{}` {} compacted: it takes no \
        `{call}`", stream.name(), if stream.compacted() { "is" } else { "is not" })]
    WrongKind { stream: Stream, call: &'static str },

    #[error("record of {bytes} bytes for `{}` is longer than {RECORD_BYTES_MAX}", stream.name())]
    TooLarge { stream: Stream, bytes: usize },

    #[error("failed to {action}")]
    Io {
        action: String,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl JournalError {
    /// Whether the same call can succeed later without anybody changing a setting or a position.
    pub fn retry(&self) -> bool {
        match self {
            JournalError::DiskFull { .. }
            | JournalError::Io { .. }
            | JournalError::Unreachable { .. } => true,
            JournalError::Locked { .. }
            | JournalError::Corrupt { .. }
            | JournalError::Partitions { .. }
            | JournalError::PartitionsOutOfRange { .. }
            | JournalError::GenerationsSpent { .. }
            | JournalError::Refused { .. }
            | JournalError::Missing { .. }
            | JournalError::Unfinished { .. }
            | JournalError::InUse { .. }
            | JournalError::Unrecorded { .. }
            | JournalError::PartitionsRecorded { .. }
            | JournalError::PartitionsChanged { .. }
            | JournalError::PrefixSpent { .. }
            | JournalError::Setting { .. }
            | JournalError::Broken { .. }
            | JournalError::Gone { .. }
            | JournalError::Beyond { .. }
            | JournalError::NoPartition { .. }
            | JournalError::WrongKind { .. }
            | JournalError::TooLarge { .. } => false,
        }
    }
}

fn owner(pid: Option<u32>) -> String {
    match pid {
        Some(pid) => format!("process {pid}"),
        None => "another process".to_owned(),
    }
}
