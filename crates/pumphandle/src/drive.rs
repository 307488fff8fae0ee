//! The one loop that drives a stage: read from the journal, apply, append what came out, snapshot
//! now and then.
//!
//! Between the engine, which is pure, and the journal, which is bytes. All recovery is here:
//! restore the last complete snapshot
//! and read on from its position. Outputs are absolute and versioned, so what was said twice after
//! a kill changes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use journal::{Batch, Change, Entry, Journal, JournalError, Membership, RECORD_BYTES_MAX, Stream};
use record::wire::DecodeError;
use record::{Frame, Position, Record, Settings};
use surveillance::snapshot::{CHUNK_BYTES_MAX, ChunkName};
use surveillance::{Manifest, Mode, RestoreError, Snapshot, Tally, Watch};

use crate::logging::Outage;
use crate::roles::{Stop, log};

/// A snapshot at least so often, and at a clean stop.
const SNAPSHOT_EVERY: Duration = Duration::from_secs(60);
/// Read at once from one partition, so that no partition gets far ahead of the others.
const READ_BYTES_MAX: usize = 256 << 10;
/// With nothing to read, so long until the next look at whether to stop.
const WAIT: Duration = Duration::from_millis(100);
/// How often a role of its own looks whether it is to end.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// First wait before a failed call is tried again; doubled up to the last. Unit tests don't wait.
const RETRY_FIRST: Duration =
    if cfg!(test) { Duration::from_nanos(1) } else { Duration::from_millis(200) };
const RETRY_LAST: Duration = Duration::from_secs(10);

/// After a stop request stages read what is left for at most so long, and write their snapshots in
/// at most so much more.
pub(crate) const DRAIN_MAX: Duration = Duration::from_secs(3);
const LAST_SNAPSHOT_MAX: Duration = Duration::from_millis(1500);
/// Bytes that are appended or put in one call, about.
const WRITE_BYTES: usize = 4 << 20;
/// From this share of `limits.cells` on a warning is logged.
const CELLS_WARN_PERCENT: u64 = 80;

// What stages write fits into a record, whatever they have read.
const _: () =
    assert!(record::FRAME_PART_BYTES <= RECORD_BYTES_MAX && CHUNK_BYTES_MAX <= RECORD_BYTES_MAX);

/// When a role ends.
pub(crate) enum Ends<'a> {
    /// When everything has been read that was written before upstream was done; soon after a stop
    /// request also with something
    /// unread, which is read at the next start.
    Drained(&'a Drain),
    /// When it says so, asked about once a second; what is unread is left to others.
    Told(&'a dyn Fn() -> anyhow::Result<bool>),
}

impl Ends<'_> {
    /// Looked at before reading: what is written before the flag is set will be read.
    pub(crate) fn upstream_done(&self) -> bool {
        match self {
            Ends::Drained(drain) => drain.upstream_done.load(Ordering::SeqCst),
            Ends::Told(_) => false,
        }
    }

    /// Not even a snapshot is to be finished.
    fn is_overdue(&self) -> bool {
        matches!(self, Ends::Drained(drain) if drain.is_over(LAST_SNAPSHOT_MAX))
    }

    pub(crate) fn told(&self, next_look: &mut Instant) -> anyhow::Result<bool> {
        match self {
            Ends::Told(told) if Instant::now() >= *next_look => {
                *next_look = Instant::now() + LOOK_EVERY;
                told()
            }
            Ends::Drained(drain) => Ok(drain.is_over(Duration::ZERO)),
            Ends::Told(_) => Ok(false),
        }
    }
}

/// How long a stage reads on after a stop request.
#[derive(Debug)]
pub(crate) struct Drain {
    upstream_done: Arc<AtomicBool>,
    stop: Stop,
    at_most: Duration,
    requested_at: OnceLock<Instant>,
}

impl Drain {
    pub(crate) fn new(flow: &Flow, stop: &Stop, at_most: Duration) -> Drain {
        Drain {
            upstream_done: Arc::clone(&flow.upstream_done),
            stop: stop.clone(),
            at_most,
            requested_at: OnceLock::new(),
        }
    }

    fn is_over(&self, more: Duration) -> bool {
        self.stop.asked()
            && self.requested_at.get_or_init(Instant::now).elapsed() >= self.at_most + more
    }
}

/// How stages of one process hear that no more will come.
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

/// One partition's tally, and whether the log has ended.
pub(crate) struct TallyStage {
    tally: Tally,
    partition: u32,
    frames: Vec<Frame>,
    ended: bool,
    /// A warning of its cells has been logged.
    is_nearly_full: std::cell::Cell<bool>,
}

impl TallyStage {
    pub(crate) fn new(partition: u32) -> TallyStage {
        TallyStage {
            tally: Tally::new(partition),
            partition,
            frames: Vec::new(),
            ended: false,
            is_nearly_full: false.into(),
        }
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

    fn pass(&mut self, position: Position) {
        self.tally.pass(position);
    }

    fn apply(
        &mut self,
        position: Position,
        record: &Record,
        out: &mut Vec<(Stream, Record)>,
    ) -> anyhow::Result<()> {
        self.ended |= matches!(record, Record::End);
        self.tally.apply(position, record, &mut self.frames);
        out.extend(self.frames.drain(..).map(|frame| (Stream::Tallies, Record::Frame(frame))));
        Ok(())
    }

    fn skip(
        &mut self,
        to: Position,
        settings: Option<Settings>,
        _out: &mut Vec<(Stream, Record)>,
    ) -> anyhow::Result<()> {
        self.tally.skip(to, settings);
        Ok(())
    }

    fn snapshot(&mut self) -> Snapshot {
        self.tally.snapshot()
    }

    fn restore(manifest: &Manifest, chunks: &[Vec<u8>]) -> Result<TallyStage, RestoreError> {
        let tally = Tally::restore(manifest, chunks)?;
        Ok(TallyStage {
            ended: tally.ended(),
            tally,
            partition: manifest.partition,
            frames: Vec::new(),
            is_nearly_full: false.into(),
        })
    }

    fn ended(&self) -> bool {
        self.ended
    }

    fn show(&self, seen: &Seen) {
        let (held, max) = self.tally.cells();
        if let Ok(mut cells) = seen.cells.lock() {
            cells.insert(self.partition, (held, max));
        }
        let is_nearly_full = held >= max / 100 * CELLS_WARN_PERCENT && max > 0;
        if is_nearly_full && !self.is_nearly_full.get() {
            tracing::warn!(
                partition = self.partition,
                cells = held,
                limit = max,
                "cells near `limits.cells`: at 90 % languages and overlays get no new ones, at 100 \
                    % nor do first-level regions"
            );
        }
        self.is_nearly_full.set(is_nearly_full);
    }
}

pub(crate) struct WatchStage {
    watch: Watch,
    records: Vec<Record>,
}

impl WatchStage {
    /// Of the one partition that there is.
    pub(crate) fn of(_partition: u32) -> WatchStage {
        WatchStage { watch: Watch::new(Mode::Live), records: Vec::new() }
    }

    /// Number of series held.
    #[cfg(test)]
    pub(crate) fn series(&self) -> usize {
        self.watch.series_held()
    }

    /// Cells held, and entries of frames that wait for other partitions.
    #[cfg(test)]
    pub(crate) fn cells_and_pending(&self) -> (usize, usize) {
        (self.watch.cells(), self.watch.pending())
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

    fn pass(&mut self, position: Position) {
        self.watch.pass(position);
    }

    fn apply(
        &mut self,
        position: Position,
        record: &Record,
        out: &mut Vec<(Stream, Record)>,
    ) -> anyhow::Result<()> {
        self.watch.apply(position, record, &mut self.records)?;
        out.extend(self.records.drain(..).map(|record| {
            let stream =
                if matches!(record, Record::Alert(_)) { Stream::Alerts } else { Stream::Counts };
            (stream, record)
        }));
        Ok(())
    }

    fn skip(
        &mut self,
        to: Position,
        settings: Option<Settings>,
        out: &mut Vec<(Stream, Record)>,
    ) -> anyhow::Result<()> {
        self.watch.skip(to, settings, &mut self.records)?;
        out.extend(self.records.drain(..).map(|record| (Stream::Counts, record)));
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

    fn on_end(journal: &dyn Journal) -> anyhow::Result<()> {
        log::set_judged(journal)
    }

    fn show(&self, seen: &Seen) {
        seen.watched.store(self.next(), Ordering::Relaxed);
        if let Some(watermark) = self.watch.watermark() {
            seen.watermark.store(u64::try_from(watermark).unwrap_or(0), Ordering::Relaxed);
        }
        seen.skipped.store(self.watch.skipped_windows(), Ordering::Relaxed);
        seen.watch_cells.store(self.watch.cells() as u64, Ordering::Relaxed);
        seen.watch_pending.store(self.watch.pending() as u64, Ordering::Relaxed);
        if let Ok(mut handled) = seen.handled.lock() {
            *handled = self.watch.handled();
        }
    }
}

/// Drives the stages of the partitions that this member of the stage's group has, until it ends.
pub(crate) fn drive<S: Stage>(
    journal: &dyn Journal,
    fresh: fn(u32) -> S,
    membership: &mut dyn Membership,
    ends: &Ends<'_>,
    gaps: Gaps,
    seen: &Seen,
) -> anyhow::Result<()> {
    let mut driver = Driver::new(fresh, gaps);
    let mut snapshot_at = Instant::now() + SNAPSHOT_EVERY;
    let mut next_look = Instant::now();
    loop {
        let upstream_done = ends.upstream_done();
        let wait = if upstream_done { Duration::ZERO } else { WAIT };
        let read_any = driver.turn(journal, membership, ends, &mut next_look, wait)?;
        for stage in driver.stages() {
            stage.show(seen);
        }
        let is_read =
            !matches!(ends, Ends::Told(_)) && (driver.all_ended() || (upstream_done && !read_any));
        let over = is_read || ends.told(&mut next_look)?;
        let is_time = over || Instant::now() >= snapshot_at;
        if is_time {
            snapshot_at = Instant::now() + SNAPSHOT_EVERY;
        }
        driver.keep(journal, is_time, ends)?;
        driver.show_snapshots(seen);
        if over {
            return Ok(());
        }
    }
}

/// The stages that one member of a group has; knows no clock and no end.
pub(crate) struct Driver<S> {
    fresh: fn(u32) -> S,
    gaps: Gaps,
    driven: BTreeMap<u32, Driven<S>>,
    out: Vec<(Stream, Record)>,
}

/// A stage that is being driven.
struct Driven<S> {
    stage: S,
    /// The position of our claim, in digits that sort as it does.
    epoch: String,
    /// What it said last has been said of its end, too.
    ended: bool,
    /// Whether it goes on from a snapshot.
    restored: bool,
    written: SnapshotsWritten,
}

impl<S: Stage> Driver<S> {
    pub(crate) fn new(fresh: fn(u32) -> S, gaps: Gaps) -> Driver<S> {
        Driver { fresh, gaps, driven: BTreeMap::new(), out: Vec::new() }
    }

    pub(crate) fn stages(&self) -> impl Iterator<Item = &S> {
        self.driven.values().map(|driven| &driven.stage)
    }

    /// Whether there are any stages, and all of them have ended.
    pub(crate) fn all_ended(&self) -> bool {
        !self.driven.is_empty() && self.stages().all(Stage::ended)
    }

    fn show_snapshots(&self, seen: &Seen) {
        let Ok(mut snapshots) = seen.snapshots.lock() else { return };
        snapshots.retain(|(stage, _), _| *stage != S::NAME);
        snapshots.extend(
            self.driven.iter().map(|(partition, driven)| ((S::NAME, *partition), driven.written)),
        );
    }

    /// Looks at the membership once, then reads, applies and appends once; whether there was
    /// anything to read. Once it is to end it
    /// leaves the rest of what it has read.
    pub(crate) fn turn(
        &mut self,
        journal: &dyn Journal,
        membership: &mut dyn Membership,
        ends: &Ends<'_>,
        next_look: &mut Instant,
        mut wait: Duration,
    ) -> anyhow::Result<bool> {
        let idle = if self.driven.is_empty() { WAIT } else { Duration::ZERO };
        for change in again(|| membership.changes(idle))? {
            match change {
                Change::Given(partition) => {
                    let fresh = (self.fresh)(partition);
                    let driven = take_on(journal, fresh)
                        .with_context(|| format!("failed to restore {} {partition}", S::NAME))?;
                    tracing::info!(
                        stage = S::NAME,
                        partition,
                        next = driven.stage.next(),
                        restored = driven.restored,
                        "partition taken over"
                    );
                    self.driven.insert(partition, driven);
                }
                Change::Taken(partition) => {
                    tracing::info!(stage = S::NAME, partition, "partition lost to another process");
                    self.driven.remove(&partition);
                }
            }
        }
        let mut read_any = false;
        for (&partition, Driven { stage, .. }) in &mut self.driven {
            // Only one of them waits, and only where nothing has come for the others.
            let batch = match kept(
                journal,
                S::INPUT,
                partition,
                stage.next(),
                READ_BYTES_MAX,
                std::mem::take(&mut wait),
            )? {
                Kept::Batch(batch) => batch,
                Kept::From(low) => {
                    self.gaps.pass(S::INPUT, partition, stage.next(), low)?;
                    stage.skip(low, log::read_held(journal)?, &mut self.out)?;
                    read_any = true;
                    continue;
                }
            };
            for (position, bytes) in &batch.records {
                read_any = true;
                if ends.told(next_look)? {
                    break;
                }
                match Record::decode(bytes) {
                    Ok(record) => stage.apply(*position, &record, &mut self.out)?,
                    Err(error @ (DecodeError::Version { .. } | DecodeError::Kind { .. })) => {
                        return Err(anyhow!(error).context(format!(
                            "{} of partition {partition} at {position} was written by another \
                                release",
                            S::INPUT.name()
                        )));
                    }
                    Err(error) => {
                        tracing::error!(stream = S::INPUT.name(), partition, position, %error, "record set aside");
                        stage.pass(*position);
                    }
                }
            }
            membership.show(partition, stage.next());
        }
        append(journal, &mut self.out)?;
        Ok(read_any)
    }

    /// Writes snapshots of those that have just ended, and of all others if it is time. To be
    /// called after each turn, when all that
    /// they include has been said. A snapshot for which there is no time left is not finished: the
    /// one before it stands.
    pub(crate) fn keep(
        &mut self,
        journal: &dyn Journal,
        is_time: bool,
        ends: &Ends<'_>,
    ) -> anyhow::Result<()> {
        for driven in self.driven.values_mut() {
            let ends_now = driven.stage.ended() && !driven.ended;
            if (is_time || ends_now) && !write_snapshot(journal, driven, ends)? {
                tracing::warn!(
                    stage = S::NAME,
                    "stopped before its last snapshot was written: what came after the one before \
                        is read again"
                );
                return Ok(());
            }
            if ends_now {
                driven.ended = true;
                S::on_end(journal)?;
            }
        }
        Ok(())
    }
}

/// What a stream still holds at a position.
pub(crate) enum Kept {
    Batch(Batch),
    /// Nothing: retention has deleted it, and this is the first that is left.
    From(Position),
}

pub(crate) fn kept(
    journal: &dyn Journal,
    stream: Stream,
    partition: u32,
    from: Position,
    bytes_max: usize,
    mut wait: Duration,
) -> anyhow::Result<Kept> {
    again(|| match journal.read(stream, partition, from, bytes_max, std::mem::take(&mut wait)) {
        Ok(batch) => Ok(Kept::Batch(batch)),
        Err(JournalError::Gone { low, .. }) => Ok(Kept::From(low)),
        Err(error) => Err(error),
    })
}

/// What happens where retention has deleted what was not read yet (`journal.accept-gaps`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gaps {
    Stop,
    /// The operator knows, and wants to go on with less.
    Count,
}

impl Gaps {
    pub(crate) fn of(accepted: bool) -> Gaps {
        if accepted { Gaps::Count } else { Gaps::Stop }
    }

    /// Whether the reader may go on at `low`.
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

fn append(journal: &dyn Journal, out: &mut Vec<(Stream, Record)>) -> anyhow::Result<()> {
    for stream in [Stream::Tallies, Stream::Counts, Stream::Alerts] {
        let (mut entries, mut bytes) = (Vec::new(), 0);
        for (_, record) in out.iter().filter(|(of, _)| *of == stream) {
            let entry = Entry { partition: 0, bytes: record.encode() };
            bytes += entry.bytes.len();
            entries.push(entry);
            if bytes >= WRITE_BYTES {
                again(|| journal.append(stream, &entries))?;
                (entries, bytes) = (Vec::new(), 0);
            }
        }
        if !entries.is_empty() {
            again(|| journal.append(stream, &entries))?;
        }
    }
    out.clear();
    Ok(())
}

/// Whether a call of this process waits for room on the disk.
static DISK_IS_FULL: AtomicBool = AtomicBool::new(false);

pub(crate) fn disk_is_full() -> bool {
    DISK_IS_FULL.load(Ordering::Relaxed)
}

/// Calls again, ever less often, as long as the journal says that it may help.
pub(crate) fn again<T>(mut call: impl FnMut() -> Result<T, JournalError>) -> anyhow::Result<T> {
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

/// Takes each record that a partition still holds, oldest first, up to its end of now.
pub(crate) fn each_retained<E: From<anyhow::Error>>(
    journal: &dyn Journal,
    stream: Stream,
    partition: u32,
    mut take: impl FnMut(Record) -> Result<(), E>,
) -> Result<(), E> {
    let mut next = again(|| journal.extent(stream, partition))?.start;
    loop {
        let batch =
            again(|| journal.read(stream, partition, next, READ_BYTES_MAX, Duration::ZERO))?;
        if batch.records.is_empty() {
            return Ok(());
        }
        next = batch.next;
        for (_, bytes) in &batch.records {
            take(Record::decode(bytes).map_err(anyhow::Error::from)?)?;
        }
    }
}

// ---- snapshots in the stream `state` ----
//
// owner/STAGE/PARTITION                        who drives the stage; the position of the claim is
// the owner's epoch
// manifest/STAGE/PARTITION/POSITION/EPOCH      names chunks of its epoch
// chunk/STAGE/PARTITION/EPOCH/HASH

fn manifest_prefix<S: Stage>(partition: u32) -> String {
    format!("manifest/{}/{partition}/", S::NAME)
}

fn chunk_prefix<S: Stage>(partition: u32) -> String {
    format!("chunk/{}/{partition}/", S::NAME)
}

fn chunk_key<S: Stage>(partition: u32, epoch: &str, name: &ChunkName) -> String {
    format!("{}{epoch}/{}", chunk_prefix::<S>(partition), blake3::Hash::from_bytes(*name).to_hex())
}

fn epoch_of_manifest(key: &str) -> &str {
    key.rsplit('/').next().unwrap_or_default()
}

fn epoch_of_chunk(key: &str) -> &str {
    key.rsplit('/').nth(1).unwrap_or_default()
}

/// From where a stage needs its input: what follows the snapshot that it would go on from, all of
/// it where there is none.
pub(crate) fn snapshot_position<S: Stage>(
    journal: &dyn Journal,
    partition: u32,
) -> anyhow::Result<Position> {
    let manifests = again(|| journal.keys(Stream::State, &manifest_prefix::<S>(partition)))?;
    // The newest may be incomplete: then an older one is gone on from, as long as it is there.
    let position = |key: &String| {
        key.rsplit('/').nth(1).and_then(|position| position.parse().ok()).unwrap_or(0)
    };
    Ok(manifests.iter().map(position).min().unwrap_or(0))
}

/// Chunks, then the manifest that names them, then what this owner and those before it don't need
/// any more is deleted: a kill
/// between any two leaves the last complete snapshot in place. Nobody deletes what a later owner
/// has written, and nobody names a
/// chunk that is not their own: so one that was thought dead and wakes, even between two of these
/// steps, harms no snapshot.
///
/// Returns false, without a manifest, if the time in which `ends` wants it done is over.
fn write_snapshot<S: Stage>(
    journal: &dyn Journal,
    Driven { stage, epoch, written, .. }: &mut Driven<S>,
    ends: &Ends<'_>,
) -> anyhow::Result<bool> {
    let partition = stage.partition();
    if ends.is_overdue() {
        return Ok(false);
    }
    let snapshot = stage.snapshot();
    let manifest = snapshot.manifest.encode();
    let bytes = manifest.len() + snapshot.fresh.iter().map(|(_, chunk)| chunk.len()).sum::<usize>();
    let chunks = snapshot
        .fresh
        .into_iter()
        .map(|(name, chunk)| (chunk_key::<S>(partition, epoch, &name), Some(chunk)));
    if !put_all(journal, chunks, ends)? {
        return Ok(false);
    }
    let prefix = manifest_prefix::<S>(partition);
    let key = format!("{prefix}{:020}/{epoch}", stage.next());
    again(|| journal.put(Stream::State, &[(key.clone(), Some(manifest.clone()))]))?;
    *written = SnapshotsWritten { bytes: written.bytes + bytes as u64, at: Instant::now() };
    let named: BTreeSet<String> = snapshot
        .manifest
        .chunks
        .iter()
        .map(|name| chunk_key::<S>(partition, epoch, name))
        .collect();
    let manifests = again(|| journal.keys(Stream::State, &prefix))?;
    if manifests.iter().any(|other| epoch_of_manifest(other) > epoch.as_str()) {
        tracing::warn!(stage = S::NAME, partition, "another process has gone on from here");
    }
    let old_manifests =
        manifests.into_iter().filter(|old| *old != key && epoch_of_manifest(old) <= epoch.as_str());
    let chunks = again(|| journal.keys(Stream::State, &chunk_prefix::<S>(partition)))?;
    let old_chunks = chunks
        .into_iter()
        .filter(|old| !named.contains(old) && epoch_of_chunk(old) <= epoch.as_str());
    let deletions: Vec<(String, Option<Vec<u8>>)> =
        old_manifests.chain(old_chunks).map(|old| (old, None)).collect();
    if !deletions.is_empty() {
        again(|| journal.put(Stream::State, &deletions))?;
    }
    Ok(true)
}

/// Puts chunks, a few mebibytes a call; false as soon as there is no time left.
fn put_all(
    journal: &dyn Journal,
    chunks: impl Iterator<Item = (String, Option<Vec<u8>>)>,
    ends: &Ends<'_>,
) -> anyhow::Result<bool> {
    let (mut batch, mut bytes) = (Vec::new(), 0);
    for chunk in chunks {
        bytes += chunk.1.as_ref().map_or(0, Vec::len);
        batch.push(chunk);
        if bytes >= WRITE_BYTES {
            again(|| journal.put(Stream::State, &batch))?;
            (batch, bytes) = (Vec::new(), 0);
            if ends.is_overdue() {
                return Ok(false);
            }
        }
    }
    if !batch.is_empty() {
        again(|| journal.put(Stream::State, &batch))?;
    }
    Ok(true)
}

/// Claims the stage, and goes on from the highest complete snapshot; without one it begins.
fn take_on<S: Stage>(journal: &dyn Journal, fresh: S) -> anyhow::Result<Driven<S>> {
    let partition = fresh.partition();
    let claim = (
        format!("owner/{}/{partition}", S::NAME),
        Some(std::process::id().to_string().into_bytes()),
    );
    let claimed = again(|| journal.put(Stream::State, std::slice::from_ref(&claim)))?;
    let epoch = format!("{:020}", claimed.first().copied().unwrap_or(0));
    let written = SnapshotsWritten { bytes: 0, at: Instant::now() };
    let mut seen = Vec::new();
    loop {
        let mut manifests =
            again(|| journal.keys(Stream::State, &manifest_prefix::<S>(partition)))?;
        manifests.sort();
        for key in manifests.iter().rev() {
            if let Some((stage, chunks)) = restore(journal, key, partition)? {
                // Whoever was before us may go on deleting its own.
                let copies = chunks
                    .into_iter()
                    .map(|(name, bytes)| (chunk_key::<S>(partition, &epoch, &name), Some(bytes)));
                put_all(journal, copies, &Ends::Told(&|| Ok(false)))?;
                return Ok(Driven { stage, epoch, ended: false, restored: true, written });
            }
            tracing::warn!(key, "incomplete snapshot passed over");
        }
        if manifests == seen {
            return Ok(Driven { stage: fresh, epoch, ended: false, restored: false, written });
        }
        // They may have been replaced while we looked.
        seen = manifests;
    }
}

/// A stage as it was, and the chunks that say so.
type Restored<S> = (S, Vec<(ChunkName, Vec<u8>)>);

/// None if some chunks are missing.
fn restore<S: Stage>(
    journal: &dyn Journal,
    key: &str,
    partition: u32,
) -> anyhow::Result<Option<Restored<S>>> {
    let Some(bytes) = again(|| journal.get(Stream::State, key))? else { return Ok(None) };
    let manifest = Manifest::decode(&bytes)?;
    let mut chunks = Vec::with_capacity(manifest.chunks.len());
    for name in &manifest.chunks {
        let Some(chunk) = again(|| {
            journal.get(Stream::State, &chunk_key::<S>(partition, epoch_of_manifest(key), name))
        })?
        else {
            return Ok(None);
        };
        chunks.push(chunk);
    }
    let stage = S::restore(&manifest, &chunks)?;
    Ok(Some((stage, manifest.chunks.into_iter().zip(chunks).collect())))
}

#[cfg(test)]
mod tests;
