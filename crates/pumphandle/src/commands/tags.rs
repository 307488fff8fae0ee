//! `tags`: what a text says, a line of JSON each.
//!
//! Takes what posts may hold: unpaired surrogates and bytes that are no UTF-8 become U+FFFD, as
//! they do when posts are read.

use lexicon::extract::hashtags;
use lexicon::{Reading, TAG_BYTES_MAX, TAGS_MAX};
use record::Voice;
use serde::{Deserialize, Serialize};

use super::Failure;
use super::lines::{self, Lossy};
use crate::config::Config;

#[derive(Debug, Deserialize)]
struct Question {
    text: Lossy,
    lang: Option<Lossy>,
}

#[derive(Debug, Serialize)]
struct Answer<'a> {
    tags: Vec<&'a str>,
    keys: Vec<&'a str>,
    topics: Vec<&'a str>,
    voice: &'static str,
    /// Tags beyond a bound; left out where there are none.
    #[serde(skip_serializing_if = "is_zero")]
    dropped: usize,
}

/// As the text has them, repeated ones repeated; without those that are too long, too many or
/// sensitive.
fn written<'text>(config: &Config, text: &'text str, reading: &Reading<'_>) -> Vec<&'text str> {
    let shown = |written: &str| {
        // Another spelling of a key may have borders, and stand between them for what must not be
        // shown.
        let known = || reading.tags.iter().any(|tag| tag.written == written);
        known()
            || !config
                .topics
                .lexicon
                .read(None, &[written], &[], config.topics.segment)
                .tags
                .is_empty()
    };
    hashtags(text)
        .filter(|written| written.len() <= TAG_BYTES_MAX)
        .take(TAGS_MAX)
        .filter(|written| shown(written))
        .collect()
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn is_zero(count: &usize) -> bool {
    *count == 0
}

pub(crate) fn run(config: &Config) -> Result<(), Failure> {
    lines::answered(config, "`{\"text\":…}`", |question: Question| {
        let langs: Vec<&str> = question.lang.iter().map(|lang| lang.0.as_str()).collect();
        let reading =
            config.topics.lexicon.read(Some(&question.text.0), &[], &langs, config.topics.segment);
        let answer = Answer {
            tags: written(config, &question.text.0, &reading),
            keys: reading.tags.iter().map(|tag| tag.key.as_str()).collect(),
            topics: reading.topics.iter().map(|hit| hit.id).collect(),
            voice: voice(reading.topics.iter().map(|hit| hit.voice)),
            dropped: reading.dropped_tags,
        };
        lines::json(&answer)
    })
}

/// Of several voices the most telling one.
fn voice(voices: impl Iterator<Item = Voice>) -> &'static str {
    voice_name(voices.min().unwrap_or(Voice::Other))
}

/// As people read it; `self` is what the records call `own`.
pub(super) fn voice_name(voice: Voice) -> &'static str {
    match voice {
        Voice::Own => "self",
        Voice::News => "news",
        Voice::Other => "other",
        Voice::Asks => "asks",
        Voice::Asserts => "asserts",
        Voice::Counters => "counters",
    }
}
