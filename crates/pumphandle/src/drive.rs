//! The one loop that drives a stage: read from the journal, apply, append what came out, snapshot now and then.
//!
//! Between the engine, which is pure, and the journal, which is bytes. All recovery is here: restore the last complete snapshot
//! and read on from its position. Outputs are absolute and versioned, so what was said twice after a kill changes nothing.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use journal::{Entry, Journal, JournalError, Stream};
use record::wire::DecodeError;
use record::{Frame, Micros, Position, Record};
use surveillance::snapshot::ChunkName;
use surveillance::{Manifest, Mode, RestoreError, Snapshot, Tally, Watch};

/// A snapshot at least so often, and at a clean stop.
const SNAPSHOT_EVERY: Duration = Duration::from_secs(60);
/// Read at once from one partition, so that no partition gets far ahead of the others.
const READ_BYTES_MAX: usize = 256 << 10;
/// With nothing to read, so long until the next look at whether to stop.
const WAIT: Duration = Duration::from_millis(100);
/// First wait before a failed call is tried again; doubled up to the last.
const RETRY_FIRST: Duration = Duration::from_millis(200);
const RETRY_LAST: Duration = Duration::from_secs(10);

/// How stages hear that no more will come, and that the program is to end.
#[derive(Debug, Clone, Default)]
pub(crate) struct Flow {
    /// Whoever writes this stage's input has ended: read to the end, then end too.
    pub(crate) upstream_done: Arc<AtomicBool>,
    /// This stage has ended.
    pub(crate) done: Arc<AtomicBool>,
}

impl Flow {
    /// The flow of the stage that reads what this one writes.
    pub(crate) fn then(&self) -> Flow {
        Flow { upstream_done: Arc::clone(&self.done), done: Arc::default() }
    }
}

/// What of the pipeline can be seen from outside.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) watermark: AtomicU64,
    pub(crate) handled: std::sync::Mutex<record::Handled>,
}

/// A pure stage over one partition of one stream.
pub(crate) trait Stage: Sized {
    const NAME: &'static str;
    const INPUT: Stream;

    fn partition(&self) -> u32;
    fn next(&self) -> Position;
    fn apply(&mut self, position: Position, record: &Record, out: &mut Vec<(Stream, Record)>) -> anyhow::Result<()>;
    fn snapshot(&mut self) -> Snapshot;
    fn restore(manifest: &Manifest, chunks: &[Vec<u8>]) -> Result<Self, RestoreError>;
    /// Its input has ended for good.
    fn ended(&self) -> bool;
    fn show(&self, _seen: &Seen) {}
}

/// One partition's tally, and whether the log has ended.
pub(crate) struct TallyStage {
    tally: Tally,
    partition: u32,
    frames: Vec<Frame>,
    ended: bool,
}

impl TallyStage {
    pub(crate) fn new(partition: u32) -> TallyStage {
        TallyStage { tally: Tally::new(partition), partition, frames: Vec::new(), ended: false }
    }
}

impl Stage for TallyStage {
    const NAME: &'static str = "tally";
    const INPUT: Stream = Stream::Posts;

    fn partition(&self) -> u32 {
        self.partition
    }

    fn next(&self) -> Position {
        self.tally.next()
    }

    fn apply(&mut self, position: Position, record: &Record, out: &mut Vec<(Stream, Record)>) -> anyhow::Result<()> {
        self.ended |= matches!(record, Record::End);
        self.tally.apply(position, record, &mut self.frames);
        out.extend(self.frames.drain(..).map(|frame| (Stream::Tallies, Record::Frame(frame))));
        Ok(())
    }

    fn snapshot(&mut self) -> Snapshot {
        self.tally.snapshot()
    }

    fn restore(manifest: &Manifest, chunks: &[Vec<u8>]) -> Result<TallyStage, RestoreError> {
        let tally = Tally::restore(manifest, chunks)?;
        Ok(TallyStage { ended: tally.ended(), tally, partition: manifest.partition, frames: Vec::new() })
    }

    fn ended(&self) -> bool {
        self.ended
    }
}

pub(crate) struct WatchStage {
    watch: Watch,
    records: Vec<Record>,
}

impl WatchStage {
    pub(crate) fn new() -> WatchStage {
        WatchStage { watch: Watch::new(Mode::Live), records: Vec::new() }
    }
}

impl Stage for WatchStage {
    const NAME: &'static str = "watch";
    const INPUT: Stream = Stream::Tallies;

    fn partition(&self) -> u32 {
        0
    }

    fn next(&self) -> Position {
        self.watch.next()
    }

    fn apply(&mut self, position: Position, record: &Record, out: &mut Vec<(Stream, Record)>) -> anyhow::Result<()> {
        self.watch.apply(position, record, &mut self.records)?;
        out.extend(self.records.drain(..).map(|record| {
            let stream = if matches!(record, Record::Alert(_)) { Stream::Alerts } else { Stream::Counts };
            (stream, record)
        }));
        Ok(())
    }

    fn snapshot(&mut self) -> Snapshot {
        self.watch.snapshot()
    }

    fn restore(manifest: &Manifest, chunks: &[Vec<u8>]) -> Result<WatchStage, RestoreError> {
        Ok(WatchStage { watch: Watch::restore(manifest, chunks)?, records: Vec::new() })
    }

    fn ended(&self) -> bool {
        self.watch.ended()
    }

    fn show(&self, seen: &Seen) {
        if let Some(watermark) = self.watch.watermark() {
            seen.watermark.store(u64::try_from(watermark).unwrap_or(0), Ordering::Relaxed);
        }
        if let Ok(mut handled) = seen.handled.lock() {
            *handled = self.watch.handled();
        }
    }
}

/// Drives stages until their input has ended, or until whoever writes it has and all of it is read.
pub(crate) fn drive<S: Stage>(journal: &dyn Journal, fresh: Vec<S>, flow: &Flow, seen: &Seen) -> anyhow::Result<()> {
    let mut stages = Vec::new();
    for stage in fresh {
        let partition = stage.partition();
        stages.push(restore(journal, stage).with_context(|| format!("failed to restore {} {partition}", S::NAME))?);
    }
    let mut snapshot_at = Instant::now() + SNAPSHOT_EVERY;
    let mut out = Vec::new();
    loop {
        // Looked at before reading: what is written before the flag is set will be read.
        let upstream_done = flow.upstream_done.load(Ordering::SeqCst);
        let mut read_any = false;
        for (index, stage) in stages.iter_mut().enumerate() {
            // Only one of them waits, and only where nothing has come for the others.
            let wait = if index == 0 && !upstream_done { WAIT } else { Duration::ZERO };
            let batch = again(|| journal.read(S::INPUT, stage.partition(), stage.next(), READ_BYTES_MAX, wait))?;
            for (position, bytes) in &batch.records {
                read_any = true;
                match Record::decode(bytes) {
                    Ok(record) => stage.apply(*position, &record, &mut out)?,
                    Err(error @ (DecodeError::Version { .. } | DecodeError::Kind { .. })) => {
                        return Err(anyhow!(error).context(format!(
                            "{} of partition {} at {position} was written by another release",
                            S::INPUT.name(),
                            stage.partition()
                        )));
                    }
                    Err(error) => {
                        tracing::error!(stream = S::INPUT.name(), partition = stage.partition(), position, %error, "record set aside")
                    }
                }
            }
        }
        append(journal, &mut out)?;
        for stage in &stages {
            stage.show(seen);
        }
        let ended = stages.iter().all(S::ended);
        let over = ended || (upstream_done && !read_any);
        if over || Instant::now() >= snapshot_at {
            snapshot_at = Instant::now() + SNAPSHOT_EVERY;
            for stage in &mut stages {
                write_snapshot(journal, stage)?;
            }
        }
        if over {
            flow.done.store(true, Ordering::SeqCst);
            return Ok(());
        }
    }
}

fn append(journal: &dyn Journal, out: &mut Vec<(Stream, Record)>) -> anyhow::Result<()> {
    for stream in [Stream::Tallies, Stream::Counts, Stream::Alerts] {
        let entries: Vec<Entry> =
            out.iter().filter(|(of, _)| *of == stream).map(|(_, record)| Entry { partition: 0, bytes: record.encode() }).collect();
        if !entries.is_empty() {
            again(|| journal.append(stream, &entries))?;
        }
    }
    out.clear();
    Ok(())
}

/// Calls again, ever less often, as long as the journal says that it may help.
pub(crate) fn again<T>(mut call: impl FnMut() -> Result<T, JournalError>) -> anyhow::Result<T> {
    let mut wait = RETRY_FIRST;
    loop {
        match call() {
            Ok(value) => return Ok(value),
            Err(error) if error.retry() && wait <= RETRY_LAST => {
                tracing::warn!(%error, wait_ms = wait.as_millis() as u64, "journal call failed, trying again");
                std::thread::sleep(wait);
                wait *= 2;
            }
            Err(error) => return Err(error.into()),
        }
    }
}

// ---- snapshots in the stream `state` ----

fn manifest_prefix<S: Stage>(partition: u32) -> String {
    format!("manifest/{}/{partition}/", S::NAME)
}

fn chunk_key<S: Stage>(partition: u32, name: &ChunkName) -> String {
    format!("chunk/{}/{partition}/{}", S::NAME, blake3::Hash::from_bytes(*name).to_hex())
}

/// Chunks, then the manifest that names them, then what nothing names any more is deleted: a kill between any two leaves the last
/// complete snapshot in place.
fn write_snapshot<S: Stage>(journal: &dyn Journal, stage: &mut S) -> anyhow::Result<()> {
    let partition = stage.partition();
    let snapshot = stage.snapshot();
    let chunks: Vec<(String, Option<Vec<u8>>)> =
        snapshot.fresh.into_iter().map(|(name, bytes)| (chunk_key::<S>(partition, &name), Some(bytes))).collect();
    again(|| journal.put(Stream::State, &chunks))?;
    let prefix = manifest_prefix::<S>(partition);
    let key = format!("{prefix}{:020}", stage.next());
    again(|| journal.put(Stream::State, &[(key.clone(), Some(snapshot.manifest.encode()))]))?;
    let named: BTreeSet<String> = snapshot.manifest.chunks.iter().map(|name| chunk_key::<S>(partition, name)).collect();
    let old_manifests = again(|| journal.keys(Stream::State, &prefix))?.into_iter().filter(|old| *old != key);
    let old_chunks =
        again(|| journal.keys(Stream::State, &format!("chunk/{}/{partition}/", S::NAME)))?.into_iter().filter(|old| !named.contains(old));
    let deletions: Vec<(String, Option<Vec<u8>>)> = old_manifests.chain(old_chunks).map(|old| (old, None)).collect();
    if !deletions.is_empty() {
        again(|| journal.put(Stream::State, &deletions))?;
    }
    Ok(())
}

/// The highest complete snapshot, or the fresh stage where there is none.
fn restore<S: Stage>(journal: &dyn Journal, fresh: S) -> anyhow::Result<S> {
    let partition = fresh.partition();
    let mut manifests = again(|| journal.keys(Stream::State, &manifest_prefix::<S>(partition)))?;
    manifests.sort();
    for key in manifests.iter().rev() {
        let Some(bytes) = again(|| journal.get(Stream::State, key))? else { continue };
        let manifest = Manifest::decode(&bytes)?;
        let mut chunks = Vec::with_capacity(manifest.chunks.len());
        for name in &manifest.chunks {
            match again(|| journal.get(Stream::State, &chunk_key::<S>(partition, name)))? {
                Some(chunk) => chunks.push(chunk),
                None => break,
            }
        }
        if chunks.len() == manifest.chunks.len() {
            return Ok(S::restore(&manifest, &chunks)?);
        }
        tracing::warn!(key, "incomplete snapshot passed over");
    }
    Ok(fresh)
}

/// An instant as the metrics show it.
pub(crate) fn seconds(instant: Micros) -> f64 {
    instant as f64 / 1e6
}
