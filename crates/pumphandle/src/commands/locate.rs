//! `locate`: which region coordinates or a text mean, a line of JSON each.

use std::io::{BufRead, BufWriter, Read, Write, stdin, stdout};

use anyhow::{Context, anyhow};
use atlas::{Atlas, Located, Meaning, Provenance};
use serde::{Deserialize, Serialize};

use super::Failure;
use super::tags::Lossy;
use crate::cli;
use crate::config::Config;

#[derive(Debug, Deserialize)]
struct Question {
    lat: Option<f64>,
    lon: Option<f64>,
    text: Option<Lossy>,
}

#[derive(Debug, Serialize)]
struct Answer<'a> {
    /// `ZZ` where there is none.
    region: &'a str,
    country: Option<&'a str>,
    /// 0 country, 1 first level, 2 the operator's own; none of `ZZ`.
    level: Option<i8>,
    confidence: f64,
    provenance: &'static str,
    /// What the place says of the author.
    meaning: &'static str,
    flags: Vec<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    overlays: Vec<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
}

impl<'a> Answer<'a> {
    fn of(located: Located<'a>) -> Answer<'a> {
        Answer {
            region: located.region,
            country: located.country,
            level: located.is_located().then(|| located.level.number()),
            confidence: (located.confidence * 100.0).round() / 100.0,
            provenance: located.provenance.name(),
            meaning: match located.provenance {
                Provenance::Coordinates | Provenance::Place => "author_at",
                Provenance::Profile => "author_home",
                Provenance::Mention => "mentioned",
            },
            flags: located.flags.names().collect(),
            overlays: located.overlays,
            reason: located.reason.map(atlas::Reason::name),
        }
    }
}

const SHAPE: &str = "`{\"lat\":…,\"lon\":…}` or `{\"text\":…}`";

pub(crate) fn run(config: &Config, args: &cli::Locate) -> Result<(), Failure> {
    let meaning = match args.meaning.as_str() {
        "place" => Meaning::AuthorAt,
        "mention" => Meaning::Mentioned,
        _ => Meaning::AuthorHome,
    };
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
        let shape = || format!("line {number} of standard input is not {SHAPE}");
        let question: Question = serde_json::from_str(&text).with_context(shape)?;
        let located = locate(&config.places.placing.atlas, &question, meaning).map_err(|why| anyhow!("{}: {why}", shape()))?;
        serde_json::to_writer(&mut out, &Answer::of(located)).context("failed to write")?;
        out.write_all(b"\n")?;
    }
    out.flush()?;
    Ok(())
}

fn locate<'a>(atlas: &'a Atlas, question: &Question, meaning: Meaning) -> Result<Located<'a>, &'static str> {
    let by_coordinates = match (question.lat, question.lon) {
        (Some(latitude), Some(longitude)) => Some(atlas.locate_point(latitude, longitude)),
        (None, None) => None,
        (Some(_), None) => return Err("`lat` without `lon`"),
        (None, Some(_)) => return Err("`lon` without `lat`"),
    };
    let by_text = || question.text.as_ref().map(|text| atlas.locate_text(&text.0, meaning));
    match by_coordinates {
        Some(located) if located.is_located() => Ok(located),
        Some(located) => Ok(by_text().filter(Located::is_located).unwrap_or(located)),
        None => by_text().ok_or("it has neither"),
    }
}
