//! Erasure: takes an author's posts back on request, as the deletion of their account at its source
//! would.
//!
//! A removal under the author's pseudonyms is appended to their partition of `posts`; tally does
//! the rest. What it takes back is counted from the log, which holds posts as long as a removal can
//! reach them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use feeds::intake::{Intake, IntakeSettings, Outcome, Routing};
use journal::{Entry, Journal, Stream};
use record::time::{HOUR, SECOND, pane_start};
use record::{Author, Micros, Op, Post, PostId, Record, wire};
use web::{Erased, ErasureRefused, ErasureRequest};

use super::ingest;
use super::keys::Keys;
use crate::config::Config;
use crate::runtime::log::{self, LogState};
use crate::runtime::requests::Answering;
use crate::runtime::{Role, each_retained, retry};

/// Requests that wait.
pub(crate) const QUEUE: usize = 4;
/// The source of an author who is named by a DID.
const BLUESKY: &str = "bluesky";
/// The longest time between two turns.
const TURN_EVERY: Duration = Duration::from_secs(60);

/// The role that answers requests.
pub(crate) fn role<'a>(
    journal: &'a dyn Journal,
    config: &'a Config,
    clock: fn() -> Micros,
    io: tokio::runtime::Handle,
    requests: tokio::sync::mpsc::Receiver<ErasureRequest>,
) -> impl Role + 'a {
    let answer = move |request: Option<ErasureRequest>| {
        let Some(ErasureRequest { author, actor, answer }) = request else { return };
        let erased = erase(journal, config, &author, clock());
        match &erased {
            // Never the author: the log of the program has many readers.
            Ok(erased) => {
                tracing::info!(actor, posts = erased.posts, "an author was erased on request")
            }
            Err(error) => tracing::warn!(actor, ?error, "an erasure was refused"),
        }
        // The reader may have gone; what was written holds all the same.
        let _ = answer.send(erased);
    };
    Answering { io, requests, every: TURN_EVERY, answer }
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
    // be now. Pseudonyms are those of the epochs at the log's end, so the author is looked for
    // under these.
    let reached = ingest::reached(journal).map_err(failed)?.unwrap_or(now);
    let (partition, removal) = removal_at(reached)?;
    let mut found = Found::default();
    let authors: BTreeSet<Author> =
        removal.author.into_iter().chain(removal.author_before).collect();
    each_retained(journal, Stream::Posts, partition, |record| {
        if let Record::Post(post) = record {
            found.take(post, &authors);
        }
        Ok::<_, anyhow::Error>(())
    })
    .map_err(failed)?;
    // Right after their last post: the later a removal, the fewer earlier posts it reaches.
    let last = found.posts.values().map(|post| post.arrival).max();
    let (_, removal) = removal_at(last.map_or(reached, |last| last + SECOND))?;
    let entry = Entry { partition, bytes: wire::encode_post(&removal) };
    retry(|| journal.append(Stream::Posts, std::slice::from_ref(&entry))).map_err(failed)?;
    let spent = |span: Micros| now + span + HOUR;
    let mut erased = Erased {
        author: author.trim().to_owned(),
        at: removal.arrival,
        log_until: spent(config.retention.posts.max(config.retention.tallies)),
        state_until: spent(settings.longest_window() + settings.horizon),
        ..Erased::default()
    };
    found.count(&removal, settings.horizon, &mut erased);
    Ok(erased)
}

/// Posts of the author that their author has not deleted.
#[derive(Default)]
struct Found {
    posts: BTreeMap<PostId, Post>,
}

impl Found {
    /// Counts what a removal takes back.
    fn count(&self, removal: &Post, horizon: Micros, erased: &mut Erased) {
        let (mut topics, mut cells) = (BTreeSet::new(), BTreeSet::new());
        for post in self.posts.values() {
            if post.flags.late || removal.arrival > post.event_time + horizon {
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
    }

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
