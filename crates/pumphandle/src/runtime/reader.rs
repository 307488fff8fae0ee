//! Calls of the journal: repeated while that may help, and the one place that reads a stream.
//!
//! Below every role and command that reads the log. Knows no stage and stores no position.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, anyhow};
use journal::{Batch, Journal, JournalError, Stream};
use record::{Position, Record};
use serde::de::DeserializeOwned;

use crate::logging::Outage;

/// Read in one call by those who read a whole partition.
pub(crate) const READ_BYTES_MAX: usize = 1 << 20;
/// First wait before a failed call is repeated; doubled up to the last. Unit tests don't wait.
const RETRY_FIRST: Duration =
    if cfg!(test) { Duration::from_nanos(1) } else { Duration::from_millis(200) };
const RETRY_LAST: Duration = Duration::from_secs(10);

/// Whether a call of this process waits for room on the disk.
static DISK_IS_FULL: AtomicBool = AtomicBool::new(false);

pub(crate) fn disk_is_full() -> bool {
    DISK_IS_FULL.load(Ordering::Relaxed)
}

/// Repeats a call with growing waits while its error says that this may help.
pub(crate) fn retry<T>(mut call: impl FnMut() -> Result<T, JournalError>) -> anyhow::Result<T> {
    let mut wait = RETRY_FIRST;
    let mut outage = Outage::new("the journal");
    loop {
        let result = call();
        if matches!(result, Err(JournalError::DiskFull { .. })) {
            DISK_IS_FULL.store(true, Ordering::Relaxed);
        } else if wait > RETRY_FIRST {
            DISK_IS_FULL.store(false, Ordering::Relaxed);
        }
        match result {
            Ok(value) => {
                outage.ended();
                return Ok(value);
            }
            // A server that is away comes back; a disk that fails for so long doesn't.
            Err(error)
                if error.retry()
                    && (matches!(error, JournalError::Unreachable { .. })
                        || wait <= RETRY_LAST) =>
            {
                outage.failed(&error);
                std::thread::sleep(wait);
                wait = (wait * 2).min(RETRY_LAST + Duration::from_millis(1));
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// The JSON value of a key.
pub(crate) fn get_json<T: DeserializeOwned>(
    journal: &dyn Journal,
    stream: Stream,
    key: &str,
) -> anyhow::Result<Option<T>> {
    let Some(bytes) = retry(|| journal.get(stream, key))? else { return Ok(None) };
    serde_json::from_slice(&bytes).with_context(|| format!("`{key}` is unreadable")).map(Some)
}

/// Stores the value of a key, or deletes it.
pub(crate) fn put(
    journal: &dyn Journal,
    stream: Stream,
    key: impl Into<String>,
    value: Option<Vec<u8>>,
) -> anyhow::Result<()> {
    let entry = [(key.into(), value)];
    retry(|| journal.put(stream, &entry)).map(|_| ())
}

/// Reads on from a position: what retention has deleted is an error.
pub(crate) fn read_from(
    journal: &dyn Journal,
    stream: Stream,
    partition: u32,
    from: Position,
    bytes_max: usize,
    mut wait: Duration,
) -> anyhow::Result<Batch> {
    retry(|| journal.read(stream, partition, from, bytes_max, std::mem::take(&mut wait)))
}

/// What a stream holds at a position.
pub(crate) enum Retained {
    Batch(Batch),
    /// Nothing: retention has deleted it, and this is the first position that is left.
    From(Position),
}

/// Reads on from a position, or returns where the stream begins after a gap.
pub(crate) fn read_retained(
    journal: &dyn Journal,
    stream: Stream,
    partition: u32,
    from: Position,
    bytes_max: usize,
    wait: Duration,
) -> anyhow::Result<Retained> {
    match read_from(journal, stream, partition, from, bytes_max, wait) {
        Ok(batch) => Ok(Retained::Batch(batch)),
        Err(error) => match error.downcast_ref::<JournalError>() {
            Some(JournalError::Gone { low, .. }) => Ok(Retained::From(*low)),
            _ => Err(error),
        },
    }
}

/// Takes each record that a partition still holds, oldest first, up to its present end.
pub(crate) fn each_retained<E: From<anyhow::Error>>(
    journal: &dyn Journal,
    stream: Stream,
    partition: u32,
    mut take: impl FnMut(Record) -> Result<(), E>,
) -> Result<(), E> {
    let mut next = retry(|| journal.extent(stream, partition))?.start;
    loop {
        let batch = read_from(journal, stream, partition, next, READ_BYTES_MAX, Duration::ZERO)?;
        if batch.records.is_empty() {
            return Ok(());
        }
        next = batch.next;
        for (_, bytes) in &batch.records {
            take(Record::decode(bytes).map_err(anyhow::Error::from)?)?;
        }
    }
}

/// What happens where retention has deleted what was not read yet (`journal.accept-gaps`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gaps {
    Stop,
    /// The operator accepts the loss.
    Count,
}

impl Gaps {
    pub(crate) fn of(accepted: bool) -> Gaps {
        if accepted { Gaps::Count } else { Gaps::Stop }
    }

    /// Whether the reader may continue at `low`.
    pub(crate) fn pass(
        self,
        stream: Stream,
        partition: u32,
        from: Position,
        low: Position,
    ) -> anyhow::Result<()> {
        let (stream, lost) = (stream.name(), low.saturating_sub(from));
        if self == Gaps::Stop {
            return Err(anyhow!(
                "{lost} records of `{stream}` partition {partition} were deleted by retention \
                    before they were read, \
                 positions {from} to {low}: to count on without them, their time as not covered, \
                 start once with `--set journal.accept-gaps=true`"
            ));
        }
        tracing::warn!(
            stream,
            partition,
            from,
            to = low,
            lost,
            "deleted by retention before it was read: going on without, as agreed"
        );
        Ok(())
    }
}
