//! What everybody may see: published days, and nothing that isn't in them.

use std::collections::{BTreeMap, BTreeSet};

use record::region;
use record::time::{DAY, SECOND};
use schemars::JsonSchema;
use serde::Serialize;
use warehouse::{Published, TopicOverview};

use super::{Answer, Call, name, region_code};
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
    let topic = call.text("topic").map(|topic| name("topic", topic)).transpose()?;
    let place =
        call.text("region").map(|place| name("region", place)).transpose()?.map(region_code);
    let under =
        region_code(name("under", call.text("under").unwrap_or_else(|| region::WORLD.to_owned()))?);
    if topic.is_some() == place.is_some() {
        return Err(Problem::bad_request("either `region` or `topic` is given"));
    }
    let ids: Vec<String> = overview
        .topics
        .iter()
        .filter(|topic| is_public(topic))
        .map(|topic| topic.topic.clone())
        .collect();
    let topics: Vec<String> = match &topic {
        Some(topic) => ids.iter().filter(|id| *id == topic).cloned().collect(),
        None => ids.clone(),
    };
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
    let series = |rows: &[&Published]| -> Vec<Option<u32>> {
        let known: BTreeMap<i64, Option<u32>> =
            rows.iter().map(|row| (row.day, row.accounts)).collect();
        days.iter().map(|day| known.get(day).copied().flatten()).collect()
    };
    let mut by: BTreeMap<&str, Vec<&Published>> = BTreeMap::new();
    for row in &rows {
        by.entry(if place.is_some() { &row.topic } else { &row.region }).or_default().push(row);
    }
    let has_any = |accounts: &[Option<u32>]| accounts.iter().any(Option::is_some);
    let (mut topics, mut places) = (Vec::new(), Vec::new());
    if place.is_some() {
        for (topic, rows) in by {
            let accounts = series(&rows);
            if has_any(&accounts) {
                topics.push(TopicDays {
                    name: overview.topic_name(&call, topic),
                    topic: topic.to_owned(),
                    accounts,
                });
            }
        }
    } else {
        for (code, rows) in by {
            let is_part = if under == region::WORLD {
                !code.contains('-') && code != region::WORLD
            } else {
                code.starts_with(&format!("{under}-"))
            };
            if is_part {
                places.push(PlaceDays {
                    region: code.to_owned(),
                    name: call.room.words.region(code),
                    accounts: series(&rows),
                });
            }
        }
    }
    let countries: BTreeSet<String> = countries
        .into_iter()
        .filter(|row| row.level == 0 && row.accounts.is_some())
        .map(|row| row.region)
        .collect();
    call.json(&Days {
        simulated: call.room.web.simulated,
        days: days.iter().map(|day| day.div_euclid(SECOND)).collect(),
        topics,
        places,
        countries: countries.into_iter().collect(),
    })
}
