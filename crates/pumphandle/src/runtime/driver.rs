//! The driver: a role that reads the input of a stage, applies it, appends the output and writes
//! snapshots.
//!
//! Between the stages, which are pure, and the journal, which is bytes. Outputs are absolute and
//! versioned, so that repeated output after a kill changes nothing. Waits for nothing but input.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow};
use journal::{Change, Entry, Group, Journal, Membership, RECORD_BYTES_MAX, Stream};
use record::Record;
use record::wire::DecodeError;
use surveillance::snapshot::CHUNK_BYTES_MAX;

use super::reader::{Retained, read_retained};
use super::snapshots::{Claimed, WRITE_BYTES, claim};
use super::{Context, Gaps, Progress, Role, Seen, Stage, log, retry};

/// A snapshot is written after this time, and at a clean stop.
pub(crate) const SNAPSHOT_EVERY: Duration = Duration::from_secs(60);
/// Read at once from one partition, so that no partition gets far ahead of the others.
const READ_BYTES_MAX: usize = 256 << 10;

// What stages write fits into a record, whatever they have read.
const _: () =
    assert!(record::FRAME_PART_BYTES <= RECORD_BYTES_MAX && CHUNK_BYTES_MAX <= RECORD_BYTES_MAX);

/// The stages of one member of a group.
pub(crate) struct Driver<S> {
    journal: Arc<dyn Journal>,
    membership: Box<dyn Membership>,
    fresh: fn(u32) -> S,
    gaps: Gaps,
    seen: Arc<Seen>,
    claimed: BTreeMap<u32, Claimed<S>>,
    snapshot_at: Option<Instant>,
    out: Vec<(Stream, Record)>,
}

impl<S: Stage> Driver<S> {
    pub(crate) fn join(
        journal: &Arc<dyn Journal>,
        group: Group,
        fresh: fn(u32) -> S,
        gaps: Gaps,
        seen: &Arc<Seen>,
    ) -> anyhow::Result<Driver<S>> {
        let membership = retry(|| journal.join(group))?;
        Ok(Driver::new(Arc::clone(journal), membership, fresh, gaps, Arc::clone(seen)))
    }

    pub(crate) fn new(
        journal: Arc<dyn Journal>,
        membership: Box<dyn Membership>,
        fresh: fn(u32) -> S,
        gaps: Gaps,
        seen: Arc<Seen>,
    ) -> Driver<S> {
        let (claimed, out) = (BTreeMap::new(), Vec::new());
        Driver { journal, membership, fresh, gaps, seen, claimed, snapshot_at: None, out }
    }

    pub(crate) fn stages(&self) -> impl Iterator<Item = &S> {
        self.claimed.values().map(|claimed| &claimed.stage)
    }

    /// Whether there are any stages, and all of them have ended.
    fn all_ended(&self) -> bool {
        !self.claimed.is_empty() && self.stages().all(Stage::ended)
    }

    /// Claims the partitions that the group gives to this member, and drops those that it takes.
    fn follow_group(&mut self, context: &Context) -> anyhow::Result<()> {
        let wait = if self.claimed.is_empty() { context.wait } else { Duration::ZERO };
        for change in retry(|| self.membership.changes(wait))? {
            match change {
                Change::Given(partition) => {
                    let claimed = claim(&*self.journal, (self.fresh)(partition))
                        .with_context(|| format!("failed to restore {} {partition}", S::NAME))?;
                    tracing::info!(
                        stage = S::NAME,
                        partition,
                        next = claimed.stage.next(),
                        restored = claimed.restored,
                        "partition taken over"
                    );
                    self.claimed.insert(partition, claimed);
                }
                Change::Taken(partition) => {
                    tracing::info!(stage = S::NAME, partition, "partition lost to another process");
                    self.claimed.remove(&partition);
                }
            }
        }
        Ok(())
    }

    /// Reads, applies and appends once; returns whether there was anything to read. At the end of
    /// the grace period the rest of what was read is left for the next start.
    fn read(&mut self, context: &Context, mut wait: Duration) -> anyhow::Result<bool> {
        let journal = &*self.journal;
        let mut read_any = false;
        for (&partition, Claimed { stage, .. }) in &mut self.claimed {
            // Only the first waits, so that none delays the others further.
            let (next, wait) = (stage.next(), std::mem::take(&mut wait));
            let batch =
                match read_retained(journal, S::INPUT, partition, next, READ_BYTES_MAX, wait)? {
                    Retained::Batch(batch) => batch,
                    Retained::From(low) => {
                        self.gaps.pass(S::INPUT, partition, next, low)?;
                        stage.skip(low, log::read_held(journal)?, &mut self.out)?;
                        read_any = true;
                        continue;
                    }
                };
            for (position, bytes) in &batch.records {
                read_any = true;
                if context.is_over() {
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
                        let stream = S::INPUT.name();
                        tracing::error!(stream, partition, position, %error, "record set aside");
                        stage.pass(*position);
                    }
                }
            }
            self.membership.show(partition, stage.next());
        }
        append(journal, &mut self.out)?;
        Ok(read_any)
    }

    /// Writes snapshots of the stages that have just ended, and of all others where one is due,
    /// after all output that they include. One for which there is no time left is not finished:
    /// the one before it remains.
    pub(crate) fn write_snapshots(&mut self, context: &Context, due: bool) -> anyhow::Result<()> {
        for claimed in self.claimed.values_mut() {
            let ends_now = claimed.stage.ended() && !claimed.ended;
            if (due || ends_now) && !claimed.write_snapshot(&*self.journal, context)? {
                tracing::warn!(
                    stage = S::NAME,
                    "stopped before its last snapshot was written: what came after the one before \
                        is read again"
                );
                break;
            }
            if ends_now {
                claimed.ended = true;
                S::on_end(&*self.journal)?;
            }
        }
        if let Ok(mut snapshots) = self.seen.snapshots.lock() {
            snapshots.retain(|(stage, _), _| *stage != S::NAME);
            let written =
                self.claimed.iter().map(|(of, claimed)| ((S::NAME, *of), claimed.written));
            snapshots.extend(written);
        }
        Ok(())
    }
}

impl<S: Stage + Send> Role for Driver<S> {
    fn turn(&mut self, context: &Context) -> anyhow::Result<Progress> {
        let is_input_complete = context.is_input_complete();
        self.follow_group(context)?;
        let wait = if is_input_complete { Duration::ZERO } else { context.wait };
        let read_any = self.read(context, wait)?;
        self.stages().for_each(|stage| stage.show(&self.seen));
        let has_ended =
            context.has_upstream() && (self.all_ended() || (is_input_complete && !read_any));
        let snapshot_at = *self.snapshot_at.get_or_insert(context.now + SNAPSHOT_EVERY);
        let is_due = has_ended || context.now >= snapshot_at;
        if is_due {
            self.snapshot_at = Some(context.now + SNAPSHOT_EVERY);
        }
        self.write_snapshots(context, is_due)?;
        Ok(match (has_ended, read_any) {
            (true, _) => Progress::Ended,
            (false, true) => Progress::BUSY,
            (false, false) => Progress::Idle(Duration::ZERO),
        })
    }

    fn stop(&mut self, context: &Context) -> anyhow::Result<()> {
        self.write_snapshots(context, true)
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
                retry(|| journal.append(stream, &entries))?;
                (entries, bytes) = (Vec::new(), 0);
            }
        }
        if !entries.is_empty() {
            retry(|| journal.append(stream, &entries))?;
        }
    }
    out.clear();
    Ok(())
}

#[cfg(test)]
mod tests;
