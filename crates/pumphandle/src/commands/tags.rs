//! `tags`: what a text says, a line of JSON each.
//!
//! Takes what posts may hold: unpaired surrogates and bytes that are no UTF-8 become U+FFFD, as they do when posts are read.

use std::fmt;
use std::io::{BufRead, BufWriter, Read, Write, stdin, stdout};

use anyhow::{Context, anyhow};
use lexicon::extract::hashtags;
use lexicon::{Reading, TAG_BYTES_MAX, TAGS_MAX};
use record::Voice;
use serde::de::{Deserializer, Visitor};
use serde::{Deserialize, Serialize};

use super::Failure;
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

/// As the text has them, repeated ones repeated; without those that are too long, too many or sensitive.
fn written<'text>(config: &Config, text: &'text str, reading: &Reading<'_>) -> Vec<&'text str> {
    let shown = |written: &str| {
        // Another spelling of a key may have borders, and stand between them for what must not be shown.
        let known = || reading.tags.iter().any(|tag| tag.written == written);
        known() || !config.topics.lexicon.read(None, &[written], &[], config.topics.segment).tags.is_empty()
    };
    hashtags(text).filter(|written| written.len() <= TAG_BYTES_MAX).take(TAGS_MAX).filter(|written| shown(written)).collect()
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn is_zero(count: &usize) -> bool {
    *count == 0
}

pub(crate) fn run(config: &Config) -> Result<(), Failure> {
    let mut out = BufWriter::new(stdout().lock());
    let mut input = stdin().lock();
    let bytes_max = config.limits.line_bytes;
    let mut line = Vec::new();
    for number in 1_u64.. {
        line.clear();
        let bounded = (&mut input).take(bytes_max as u64 + 1).read_until(b'\n', &mut line);
        if bounded.with_context(|| format!("failed to read line {number} of standard input"))? == 0 {
            break;
        }
        if line.len() > bytes_max {
            return Err(anyhow!("line {number} of standard input is longer than {bytes_max} bytes").into());
        }
        let text = String::from_utf8_lossy(&line);
        if text.trim().is_empty() {
            continue;
        }
        let question: Question =
            serde_json::from_str(&text).with_context(|| format!("line {number} of standard input is not `{{\"text\":…}}`"))?;
        let langs: Vec<&str> = question.lang.iter().map(|lang| lang.0.as_str()).collect();
        let reading = config.topics.lexicon.read(Some(&question.text.0), &[], &langs, config.topics.segment);
        let answer = Answer {
            tags: written(config, &question.text.0, &reading),
            keys: reading.tags.iter().map(|tag| tag.key.as_str()).collect(),
            topics: reading.topics.iter().map(|hit| hit.id).collect(),
            voice: voice(reading.topics.iter().map(|hit| hit.voice)),
            dropped: reading.dropped_tags,
        };
        serde_json::to_writer(&mut out, &answer).context("failed to write")?;
        out.write_all(b"\n")?;
    }
    out.flush()?;
    Ok(())
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

/// A string in which JSON may have spelt what UTF-8 can't.
#[derive(Debug)]
pub(super) struct Lossy(pub(super) String);

impl<'de> Deserialize<'de> for Lossy {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Lossy, D::Error> {
        deserializer.deserialize_bytes(LossyVisitor)
    }
}

struct LossyVisitor;

impl Visitor<'_> for LossyVisitor {
    type Value = Lossy;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E>(self, text: &str) -> Result<Lossy, E> {
        Ok(Lossy(text.to_owned()))
    }

    fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Lossy, E> {
        Ok(Lossy(String::from_utf8_lossy(bytes).into_owned()))
    }
}
