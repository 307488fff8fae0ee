//! `rejects`: what was set aside, and another try at it once what was wrong is mended.
//!
//! The log keeps no byte of a reject, only where it stood and its hash; so a line is read again at
//! its place in its file, and taken only if it still is that line. What a live feed sent can't be
//! read again by place.

use std::collections::BTreeMap;
use std::io::{BufWriter, Write, stdout};

use feeds::file::{Content, FileReader, FileSettings};
use feeds::intake::{Intake, Outcome};
use journal::{Entry, Journal, Stream};
use record::{Record, Reject};

use super::Failure;
use crate::cli::RejectsCommand;
use crate::config::{Config, FeedKind};
use crate::roles::embedded::held_settings;
use crate::roles::keys::Keys;
use crate::roles::{self, ingest, stores};
use crate::runtime::log::{self, LogState};
use crate::runtime::{each_retained, retry};

const LINES_A_BATCH: usize = 4096;

pub(crate) fn run(config: &Config, command: &RejectsCommand) -> Result<(), Failure> {
    let journal = stores::journal(config)?;
    match command {
        RejectsCommand::List => list(&*journal),
        RejectsCommand::Replay => replay(&*journal, config),
    }
}

/// All that the stream still holds, oldest first.
fn each(
    journal: &dyn Journal,
    mut take: impl FnMut(Reject) -> Result<(), Failure>,
) -> Result<(), Failure> {
    each_retained(journal, Stream::Rejects, 0, |record| match record {
        Record::Reject(reject) => take(reject),
        _ => Ok(()),
    })
}

fn list(journal: &dyn Journal) -> Result<(), Failure> {
    let mut out = csv::Writer::from_writer(BufWriter::new(stdout().lock()));
    out.write_record(["feed", "place", "line", "reason", "length", "hash", "detail"])?;
    each(journal, |reject| {
        let Reject { feed, reason, place, line, length, hash, detail } = reject;
        Ok(out.serialize((feed, place, line, reason.name(), length, hash, detail))?)
    })?;
    out.flush()?;
    Ok(())
}

/// What became of the rejects of this try.
#[derive(Debug, Default)]
struct Tried {
    taken: u64,
    rejected: u64,
    changed: u64,
    live: u64,
}

fn replay(journal: &dyn Journal, config: &Config) -> Result<(), Failure> {
    let settings = log::held(journal, &held_settings(journal, config)?)?;
    if log::state(journal)? != LogState::Open {
        return Err(Failure::usage(
            "the log is closed",
            "restart it: `pumphandle run`, or `pumphandle migrate` and the roles",
        ));
    }
    let keys = Keys::open(journal, config)?;
    let mut tried = Tried::default();
    // Feed and file → lines by number, each with the hash that it had; a line that was rejected
    // twice is tried once.
    let mut files: BTreeMap<(String, String), BTreeMap<u64, String>> = BTreeMap::new();
    each(journal, |reject| {
        if config
            .feeds
            .iter()
            .any(|feed| feed.name == reject.feed && matches!(feed.kind, FeedKind::File { .. }))
        {
            files.entry((reject.feed, reject.place)).or_default().insert(reject.line, reject.hash);
        } else {
            tried.live += 1;
        }
        Ok(())
    })?;
    for ((feed, file), lines) in files {
        let Some(index) = config.feeds.iter().position(|other| other.name == feed) else {
            continue;
        };
        let mut intake = ingest::intake(config, &settings, &keys, index);
        let entries =
            read_retry(config, &feed, &file, lines, settings.partitions, &mut intake, &mut tried)?;
        if !entries.is_empty() {
            // Recognised by their identity: what was taken before is not counted twice.
            retry(|| journal.append(Stream::Posts, &entries))?;
        }
    }
    let Tried { taken, rejected, changed, live } = tried;
    let mut out = stdout().lock();
    writeln!(
        out,
        "{taken} taken, {rejected} rejected again, {changed} not found as they were, {live} of \
            live feeds, which can't be read again by place"
    )?;
    Ok(())
}

fn read_retry(
    config: &Config,
    feed: &str,
    file: &str,
    mut lines: BTreeMap<u64, String>,
    partitions: u32,
    intake: &mut Intake,
    tried: &mut Tried,
) -> Result<Vec<Entry>, Failure> {
    let settings = FileSettings {
        line_bytes_max: config.limits.line_bytes,
        ..FileSettings::new(vec![file.to_owned()])
    };
    let mut reader = match FileReader::open(settings, None) {
        Ok(reader) => reader,
        Err(error) => {
            tracing::warn!(feed, file, %error, "a file no longer exists");
            tried.changed += lines.len() as u64;
            return Ok(Vec::new());
        }
    };
    let mut entries = Vec::new();
    while !lines.is_empty()
        && let Some(batch) = reader.next_batch(LINES_A_BATCH)?
    {
        for line in batch.lines() {
            let Some(hash) = lines.remove(&line.number) else { continue };
            let outcome = match line.content {
                Content::Bytes(bytes) if feeds::file::hash(bytes) == hash => {
                    intake.read_stored(bytes, roles::now())
                }
                Content::TooLong { hash: now, .. } if now == hash => {
                    tried.rejected += 1;
                    continue;
                }
                _ => {
                    tried.changed += 1;
                    continue;
                }
            };
            match outcome {
                Ok(Outcome::Post { routing, post, .. }) => {
                    tried.taken += 1;
                    entries.extend(ingest::entries_of(routing, &post, partitions));
                }
                Ok(Outcome::Ignored { .. }) => tried.taken += 1,
                Err(_) => tried.rejected += 1,
            }
        }
    }
    tried.changed += lines.len() as u64;
    Ok(entries)
}
