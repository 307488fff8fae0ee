//! `tags`: what a text says, a line of JSON each.

use std::io::{BufRead, BufWriter, Write, stdin, stdout};

use anyhow::Context;
use record::Voice;
use serde::{Deserialize, Serialize};

use super::Failure;
use crate::config::Config;

#[derive(Debug, Deserialize)]
struct Question {
    text: String,
    lang: Option<String>,
}

#[derive(Debug, Serialize)]
struct Answer<'a> {
    tags: Vec<&'a str>,
    keys: Vec<&'a str>,
    topics: Vec<&'a str>,
    voice: &'static str,
}

pub(crate) fn run(config: &Config) -> Result<(), Failure> {
    let mut out = BufWriter::new(stdout().lock());
    for (line, number) in stdin().lock().lines().zip(1u64..) {
        let line = line.with_context(|| format!("failed to read line {number} of standard input"))?;
        if line.trim().is_empty() {
            continue;
        }
        let question: Question =
            serde_json::from_str(&line).with_context(|| format!("line {number} of standard input is not `{{\"text\":…}}`"))?;
        let langs: Vec<&str> = question.lang.iter().map(String::as_str).collect();
        let reading = config.topics.lexicon.read(Some(&question.text), &[], &langs, config.topics.segment);
        let answer = Answer {
            tags: reading.tags.iter().map(|tag| tag.written.as_str()).collect(),
            keys: reading.tags.iter().map(|tag| tag.key.as_str()).collect(),
            topics: reading.topics.iter().map(|hit| hit.id).collect(),
            voice: voice(reading.topics.iter().map(|hit| hit.voice)),
        };
        serde_json::to_writer(&mut out, &answer).context("failed to write")?;
        out.write_all(b"\n")?;
    }
    out.flush()?;
    Ok(())
}

/// Of several voices the most telling one.
fn voice(voices: impl Iterator<Item = Voice>) -> &'static str {
    match voices.min().unwrap_or(Voice::Other) {
        Voice::Own => "self",
        Voice::News => "news",
        Voice::Other => "other",
        Voice::Asks => "asks",
        Voice::Asserts => "asserts",
        Voice::Counters => "counters",
    }
}
