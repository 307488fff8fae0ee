//! What everybody may see: published days, and nothing that isn't in them.

use std::collections::{BTreeMap, BTreeSet};

use record::region;
use record::time::{DAY, SECOND};
use schemars::JsonSchema;
use serde::Serialize;
use warehouse::{Published, TopicOverview};

use super::{Answer, Call};
use crate::problem::Problem;

/// Days shown, and days before them that say what is usual.
const DAYS: i64 = 14 + 28;

#[derive(Serialize, JsonSchema)]
pub(crate) struct Days {
    simulated: bool,
    /// Starts of the published days, oldest first; UTC.
    days: Vec<i64>,
    /// Of `region`: its topics.
    topics: Vec<TopicDays>,
    /// Of `topic`: its places.
    places: Vec<PlaceDays>,
    /// Countries with any published number.
    countries: Vec<String>,
}

#[derive(Serialize, JsonSchema)]
struct TopicDays {
    topic: String,
    name: String,
    /// One for each day: accounts, rounded to 5; nothing where it is withheld.
    accounts: Vec<Option<u32>>,
}

#[derive(Serialize, JsonSchema)]
struct PlaceDays {
    region: String,
    name: String,
    accounts: Vec<Option<u32>>,
}

/// Rows were decided when their day was final; a topic whose kind has no public numbers any more
/// shows none of them.
fn is_public(topic: &TopicOverview) -> bool {
    topic.kind.is_none_or(record::public::has_numbers)
}

/// `GET /api/v1/public?region=` or `?topic=&under=`: the last published days.
pub(crate) async fn days(call: Call) -> Answer {
    let overview = call.room.overview().await?;
    let (topic, place) = (call.text("topic"), call.region("region"));
    let under = call.region("under").unwrap_or_else(|| region::WORLD.to_owned());
    if topic.is_some() == place.is_some() {
        return Err(Problem::bad_request("either `region` or `topic` is given"));
    }
    let ids: Vec<String> = overview
        .topics
        .iter()
        .filter(|topic| is_public(topic))
        .map(|topic| topic.topic.clone())
        .collect();
    let mut topics = ids.clone();
    topics.retain(|id| topic.as_ref().is_none_or(|topic| id == topic));
    let from = overview.latest.unwrap_or(0).div_euclid(DAY) * DAY - (DAYS + 2) * DAY;
    let region = place.clone();
    let (rows, worlds, countries) = call
        .room
        .ask(move |warehouse| {
            let rows = warehouse.published(&topics, region.as_deref(), from)?;
            let worlds = warehouse.published(&ids, Some(region::WORLD), from)?;
            let latest = worlds.iter().map(|row| row.day).max().unwrap_or(from);
            Ok((rows, worlds, warehouse.published(&ids, None, latest)?))
        })
        .await?;
    // A day is published when the world has a row of it, with a number or without.
    let days: BTreeSet<i64> = worlds.iter().chain(&rows).map(|row| row.day).collect();
    let days: Vec<i64> = days.into_iter().rev().take(DAYS as usize).rev().collect();
    let (mut topics, mut places) = (Vec::new(), Vec::new());
    if place.is_some() {
        for (topic, accounts) in by_key(&rows, &days, |row| &row.topic) {
            if accounts.iter().any(Option::is_some) {
                let name = overview.topic_name(&call, topic);
                topics.push(TopicDays { name, topic: topic.to_owned(), accounts });
            }
        }
    } else {
        for (code, accounts) in by_key(&rows, &days, |row| &row.region) {
            if is_below(code, &under) {
                let name = call.room.words.region(code);
                places.push(PlaceDays { region: code.to_owned(), name, accounts });
            }
        }
    }
    let countries = countries.into_iter().filter(|row| row.level == 0 && row.accounts.is_some());
    let countries: BTreeSet<String> = countries.map(|row| row.region).collect();
    call.json(&Days {
        simulated: call.room.web.simulated,
        days: days.iter().map(|day| day.div_euclid(SECOND)).collect(),
        topics,
        places,
        countries: countries.into_iter().collect(),
    })
}

/// One number for each day, of each topic or region that the rows name.
fn by_key<'a>(
    rows: &'a [Published],
    days: &[i64],
    key: fn(&Published) -> &String,
) -> BTreeMap<&'a str, Vec<Option<u32>>> {
    let mut known: BTreeMap<&str, BTreeMap<i64, Option<u32>>> = BTreeMap::new();
    for row in rows {
        known.entry(key(row)).or_default().insert(row.day, row.accounts);
    }
    let in_order = |known: BTreeMap<i64, Option<u32>>| {
        days.iter().map(|day| known.get(day).copied().flatten()).collect()
    };
    known.into_iter().map(|(key, known)| (key, in_order(known))).collect()
}

/// Whether a place is a country, where the world is above, or else one of a country's levels.
fn is_below(code: &str, above: &str) -> bool {
    if above == region::WORLD {
        !code.contains('-') && code != region::WORLD
    } else {
        code.strip_prefix(above).is_some_and(|rest| rest.starts_with('-'))
    }
}
