//! How many placed posts a day a polygon may be expected to have.
//!
//! Only coordinates put a post into a polygon. So it is the country's posts with coordinates, times
//! the share of its people who live there: read from the posts that the log retains, or, where
//! another process holds it, from what has landed and that process's metrics.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use journal::Stream;
use lexicon::Topic;
use record::time::{DAY, HOUR};
use record::{Micros, Op, Provenance, Record};

use crate::commands::{Failure, export, reached_at};
use crate::config::{Config, JournalKind, Places};
use crate::roles::stores;
use crate::runtime::each_retained;

/// Points that probe the polygon, a side of a square.
const PROBES: u32 = 40;
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
const ANSWER_BYTES_MAX: u64 = 16 << 20;
/// What has landed is looked at for so long.
const LANDED: Micros = 7 * DAY;

pub(super) struct Expected {
    /// None where nothing has been counted yet.
    pub(super) a_day: Option<f64>,
    from: &'static str,
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.a_day {
            Some(a_day) => {
                let rounded =
                    if a_day < 10.0 { format!("{a_day:.1}") } else { format!("{a_day:.0}") };
                write!(f, "about {rounded} located posts per day expected, {}", self.from)
            }
            None => write!(f, "no estimate of located posts per day: nothing has been counted yet"),
        }
    }
}

pub(super) fn of(config: &Config, topic: &Topic) -> Expected {
    let Some(crisis) = &topic.crisis else { return Expected { a_day: None, from: "" } };
    // Country → the share of its people who live in the polygon.
    let shares: BTreeMap<String, f64> = countries(&config.places, &crisis.region)
        .into_iter()
        .filter_map(|(country, part)| {
            let people = config.places.population(&country)?;
            Some((country, (part * crisis.inhabitants as f64 / people.max(1) as f64).min(1.0)))
        })
        .collect();
    let sum = |posts: &BTreeMap<String, f64>| {
        shares
            .iter()
            .map(|(country, share)| share * posts.get(country).unwrap_or(&0.0))
            .sum::<f64>()
    };
    match retained(config) {
        Ok(Some(posts)) => {
            return Expected {
                a_day: Some(sum(&posts)),
                from: "from the posts with coordinates in the log and its share of inhabitants",
            };
        }
        Ok(None) => return Expected { a_day: None, from: "" },
        Err(error) => {
            tracing::debug!(?error, "the log cannot be read while another process holds it")
        }
    }
    match landed(config, shares.keys().cloned().collect()) {
        Some((posts, Some(share))) => Expected {
            a_day: Some(sum(&posts) * share),
            from: "from the located posts of recent days, their share with coordinates, and the \
                polygon's share of inhabitants",
        },
        Some((posts, None)) => Expected {
            a_day: Some(sum(&posts)),
            from: "at most, assuming that all located posts have coordinates, from its share of inhabitants",
        },
        None => Expected { a_day: None, from: "" },
    }
}

/// The countries in which the polygon lies, with the part of it in each.
fn countries(places: &Places, code: &str) -> BTreeMap<String, f64> {
    let atlas = &places.placing.atlas;
    let own = atlas.own().into_iter().flat_map(|own| own.each());
    let Some([west, south, east, north]) =
        own.filter(|own| own.code == code).map(|own| own.bounds).next()
    else {
        return BTreeMap::new();
    };
    let mut points: BTreeMap<String, u32> = BTreeMap::new();
    let along =
        |from: f64, to: f64, n: u32| from + (to - from) * (f64::from(n) + 0.5) / f64::from(PROBES);
    for (row, column) in (0..PROBES).flat_map(|row| (0..PROBES).map(move |column| (row, column))) {
        let located = atlas.locate_point(along(south, north, row), along(west, east, column));
        if let (true, Some(country)) = (located.overlays.contains(&code), located.country) {
            *points.entry(country.to_owned()).or_default() += 1;
        }
    }
    let all: u32 = points.values().sum();
    points
        .into_iter()
        .map(|(country, of)| (country, f64::from(of) / f64::from(all.max(1))))
        .collect()
}

/// Posts with coordinates a day, by country, of the log; none if it holds none at all.
fn retained(config: &Config) -> Result<Option<BTreeMap<String, f64>>, Failure> {
    if config.journal.kind == JournalKind::Local
        && !config.journal.data.join("meta.sqlite").exists()
    {
        return Ok(None);
    }
    let journal = stores::journal(config)?;
    let (mut posts, mut first, mut last): (BTreeMap<String, f64>, Micros, Micros) =
        (BTreeMap::new(), Micros::MAX, Micros::MIN);
    for partition in 0..journal.partitions(Stream::Posts) {
        each_retained(&*journal, Stream::Posts, partition, |record| {
            let Record::Post(post) = record else { return Ok(()) };
            if post.op == Op::Create {
                (first, last) = (first.min(post.arrival), last.max(post.arrival));
                if let Some(place) =
                    post.places.first().filter(|place| place.provenance == Provenance::Coordinates)
                {
                    *posts
                        .entry(place.path.split('/').next().unwrap_or_default().to_owned())
                        .or_default() += 1.0;
                }
            }
            Ok::<(), Failure>(())
        })?;
    }
    if first > last {
        return Ok(None);
    }
    let days = (last - first).max(HOUR) as f64 / DAY as f64;
    Ok(Some(posts.into_iter().map(|(country, posts)| (country, posts / days)).collect()))
}

/// Placed posts a day, by country, of what has landed; and the share of placed posts that have
/// coordinates, if the page is reachable.
fn landed(config: &Config, countries: Vec<String>) -> Option<(BTreeMap<String, f64>, Option<f64>)> {
    let warehouse = export::open(config).ok()?;
    let latest =
        warehouse.coverage().ok()?.iter().map(|pane| pane.pane_start + pane.pane_length).max()?;
    let from =
        warehouse.coverage_since(latest - LANDED).ok()?.iter().map(|pane| pane.pane_start).min()?;
    let days = (latest - from).max(HOUR) as f64 / DAY as f64;
    let totals = warehouse.totals(&countries, from, latest).ok()?;
    Some((
        totals.into_iter().map(|(country, posts)| (country, posts as f64 / days)).collect(),
        with_coordinates(config),
    ))
}

fn with_coordinates(config: &Config) -> Option<f64> {
    let at = reached_at(config.web.listen);
    let mut stream = TcpStream::connect_timeout(&at, ANSWER_WITHIN).ok()?;
    stream.set_read_timeout(Some(ANSWER_WITHIN)).ok()?;
    write!(stream, "GET /metrics HTTP/1.0\r\nHost: {at}\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.take(ANSWER_BYTES_MAX).read_to_string(&mut answer).ok()?;
    let sum = |name: &str| {
        let values = answer
            .lines()
            .filter(|line| line.starts_with(name))
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
        values.sum::<f64>()
    };
    let located = sum("pumphandle_posts_located_total");
    (located > 0.0).then(|| sum("pumphandle_posts_by_coordinates_total") / located)
}
