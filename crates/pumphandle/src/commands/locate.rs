//! `locate`: which region coordinates or a text mean, a line of JSON each.

use atlas::{Atlas, Located, Meaning, Provenance};
use serde::{Deserialize, Serialize};

use super::Failure;
use super::lines::{self, Lossy};
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
    lines::answered(config, SHAPE, |question: Question| {
        let located = locate(&config.places.placing.atlas, &question, meaning)?;
        lines::json(&Answer::of(located))
    })
}

fn locate<'a>(
    atlas: &'a Atlas,
    question: &Question,
    meaning: Meaning,
) -> Result<Located<'a>, &'static str> {
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
