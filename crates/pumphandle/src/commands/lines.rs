//! Lines of JSON in, an answer to each out, within the bound of a line.

use std::fmt;
use std::io::{BufRead, BufWriter, Read, Write, stdin, stdout};

use anyhow::{Context, anyhow};
use serde::de::{DeserializeOwned, Deserializer, Visitor};
use serde::{Deserialize, Serialize};

use super::Failure;
use crate::config::Config;

/// Asks `answer` about each line of standard input, empty ones left out; what it makes of one is a
/// line of standard output.
/// `shape` is what a line should look like, for who wrote another one; `answer` may say why a line
/// is none.
pub(super) fn answered<Q: DeserializeOwned>(
    config: &Config,
    shape: &str,
    mut answer: impl FnMut(Q) -> Result<String, &'static str>,
) -> Result<(), Failure> {
    let mut out = BufWriter::new(stdout().lock());
    let mut input = stdin().lock();
    let bytes_max = config.limits.line_bytes;
    let mut line = Vec::new();
    for number in 1_u64.. {
        line.clear();
        let bounded = (&mut input).take(bytes_max as u64 + 1).read_until(b'\n', &mut line);
        if bounded.with_context(|| format!("failed to read line {number} of standard input"))? == 0
        {
            break;
        }
        if line.len() > bytes_max {
            return Err(anyhow!(
                "line {number} of standard input is longer than {bytes_max} bytes"
            )
            .into());
        }
        let text = String::from_utf8_lossy(&line);
        if text.trim().is_empty() {
            continue;
        }
        let no_question = || format!("line {number} of standard input is not {shape}");
        let question = serde_json::from_str(&text).with_context(no_question)?;
        let answered = answer(question).map_err(|why| anyhow!("{}: {why}", no_question()))?;
        writeln!(out, "{answered}")?;
    }
    out.flush()?;
    Ok(())
}

/// An answer as a line of JSON.
pub(super) fn json(answer: &impl Serialize) -> Result<String, &'static str> {
    serde_json::to_string(answer).map_err(|_| "its answer can't be written as JSON")
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
