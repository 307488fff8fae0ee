//! Erasure: takes an author's posts back on request, as the deletion of their account at its source
//! would.
//!
//! A removal under the author's pseudonyms is appended to their partition of `posts`; tally does
//! the rest. What it takes back is
//! counted from the log, which holds posts as long as a removal can reach them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use feeds::intake::{Intake, IntakeSettings, Outcome, Routing};
use journal::{Entry, Journal, Stream};
use record::time::{HOUR, SECOND, pane_start};
use record::{Author, Micros, Op, Post, PostId, Record, wire};
use web::{Erased, ErasureAsked, ErasureRefused};

use super::ingest;
use super::keys::Keys;
use super::log::{self, LogState};
use crate::config::Config;
use crate::drive::again;

/// Requests that wait.
pub(crate) const QUEUE: usize = 4;
/// The source of an author who is named by a DID.
const BLUESKY: &str = "bluesky";
/// Read from the stream at once.
const READ_BYTES_MAX: usize = 1 << 20;

/// Answers requests until nobody can have any more.
pub(crate) fn run(
    journal: &dyn Journal,
    config: &Config,
    clock: fn() -> Micros,
    mut asked: tokio::sync::mpsc::Receiver<ErasureAsked>,
) {
    while let Some(ErasureAsked { author, actor, answer }) = asked.blocking_recv() {
        let erased = erase(journal, config, &author, clock());
        match &erased {
            // Never whose: the log of the program is read by many.
            Ok(erased) => {
                tracing::info!(actor, posts = erased.posts, "an author was erased on request")
            }
            Err(error) => tracing::warn!(actor, ?error, "an erasure was refused"),
        }
        // Whoever asked may have gone; what was written stands all the same.
        let _ = answer.send(erased);
    }
}

/// A DID is of Bluesky; everything else names its source first.
fn source_and_id(author: &str) -> Option<(&str, &str)> {
    let (source, id) =
        if author.starts_with("did:") { (BLUESKY, author) } else { author.split_once(':')? };
    (!source.is_empty() && !id.is_empty()).then_some((source, id))
}

/// Appends the removal and says what it takes back.
pub(crate) fn erase(
    journal: &dyn Journal,
    config: &Config,
    author: &str,
    now: Micros,
) -> Result<Erased, ErasureRefused> {
    let failed = |error: anyhow::Error| ErasureRefused::Failed(format!("{error:#}"));
    let Some((source, id)) = source_and_id(author.trim()) else {
        return Err(ErasureRefused::Invalid(
            "an author is a DID or `SOURCE:ID`, such as `posts:user-17`".to_owned(),
        ));
    };
    let Some(settings) = log::read_held(journal).map_err(failed)? else {
        return Err(ErasureRefused::Invalid(
            "the log is empty: there is nothing to erase".to_owned(),
        ));
    };
    if log::state(journal).map_err(failed)? != LogState::Open {
        return Err(ErasureRefused::Invalid("the log has ended and takes no more".to_owned()));
    }
    let keys = Keys::open(journal, config).map_err(failed)?;
    let lexicon = Arc::clone(&config.topics.lexicon);
    let mut intake =
        Intake::new(IntakeSettings::of(&settings, 0, keys.routing, keys.authors, lexicon));
    let mut removal_at = |at: Micros| match intake.removal(source, id, at) {
        Outcome::Post { routing: Routing::One(partition), post, .. } => Ok((partition, post)),
        _ => Err(ErasureRefused::Failed("the author has no partition".to_owned())),
    };
    // By the log's clock, which stands still while nothing runs: what could be taken back then can
    // be now. Pseudonyms are those of
    // the epochs at the log's end, so the author is looked for under these.
    let reached = ingest::reached(journal).map_err(failed)?.unwrap_or(now);
    let (partition, removal) = removal_at(reached)?;
    let mut found = Found::default();
    let authors: BTreeSet<Author> =
        removal.author.into_iter().chain(removal.author_before).collect();
    each_post(journal, partition, |post| found.take(post, &authors)).map_err(failed)?;
    // Right after their last post: the later a removal, the fewer earlier posts it reaches.
    let last = found.posts.values().map(|post| post.arrival).max();
    let (_, removal) = removal_at(last.map_or(reached, |last| last + SECOND))?;
    let entry = Entry { partition, bytes: wire::encode_post(&removal) };
    again(|| journal.append(Stream::Posts, std::slice::from_ref(&entry))).map_err(failed)?;
    let spent = |span: Micros| now + span + HOUR;
    let mut erased = Erased {
        author: author.trim().to_owned(),
        at: removal.arrival,
        log_until: spent(config.retention.posts.max(config.retention.tallies)),
        state_until: spent(settings.longest_window() + settings.horizon),
        ..Erased::default()
    };
    let (mut topics, mut cells) = (BTreeSet::new(), BTreeSet::new());
    for post in found.posts.values() {
        if post.flags.late || removal.arrival > post.event_time + settings.horizon {
            erased.older += 1;
            continue;
        }
        erased.posts += 1;
        for hit in &post.topics {
            topics.insert(&hit.id);
            cells.insert((&hit.id, post.path(), pane_start(post.event_time, HOUR)));
        }
    }
    (erased.topics, erased.cells) = (topics.len() as u64, cells.len() as u64);
    Ok(erased)
}

/// Posts of the author that their author has not deleted.
#[derive(Default)]
struct Found {
    posts: BTreeMap<PostId, Post>,
}

impl Found {
    fn take(&mut self, post: Post, authors: &BTreeSet<Author>) {
        let is_theirs = post
            .author
            .into_iter()
            .chain(post.author_before)
            .any(|author| authors.contains(&author));
        match post.op {
            Op::Create if is_theirs => {
                self.posts.insert(post.id, post);
            }
            Op::Delete => {
                self.posts.remove(&post.id);
            }
            Op::Create | Op::Edit | Op::Remove => {}
        }
    }
}

fn each_post(
    journal: &dyn Journal,
    partition: u32,
    mut take: impl FnMut(Post),
) -> anyhow::Result<()> {
    let extent = again(|| journal.extent(Stream::Posts, partition))?;
    let mut next = extent.start;
    while next < extent.end {
        let batch =
            again(|| journal.read(Stream::Posts, partition, next, READ_BYTES_MAX, Duration::ZERO))?;
        if batch.next <= next {
            break;
        }
        next = batch.next;
        for (_, bytes) in batch.records {
            if let Record::Post(post) = Record::decode(&bytes)? {
                take(post);
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_author_is_a_did_or_names_its_source() {
        assert_eq!(source_and_id("did:plc:abc"), Some(("bluesky", "did:plc:abc")));
        assert_eq!(source_and_id("posts:user:17"), Some(("posts", "user:17")));
        for wrong in ["", "user-17", ":17", "posts:"] {
            assert_eq!(source_and_id(wrong), None, "{wrong}");
        }
    }
}
