//! What is told for good against the recount, in every mode.

use std::collections::BTreeMap;

use super::drive::run;
use super::season::{Recipe, at, season, tallies};
use super::*;
use crate::naive::streams::{Item, Rng, World, closing, each_stream};
use crate::naive::{Rules, Total, recount};

/// What is told of a cell: posts, authors, those of 24 h, own, news, filtered posts and authors,
/// all posts of the region and pane.
type Told = (u32, u32, Option<u32>, u32, u32, u32, u32, u64);

type CellKey = (String, String, Micros);

/// Everything told for good, by what it is told of; and whether anything was told as open, or
/// otherwise, after it.
#[derive(Default)]
struct Final {
    cells: BTreeMap<CellKey, Told>,
    levels: BTreeMap<String, i8>,
    windows: BTreeMap<(String, String, Micros, Micros), (u32, u32)>,
    tags: BTreeMap<(String, String, Micros), u64>,
    totals: BTreeMap<(String, Micros, Micros), Total>,
}

impl Final {
    fn of(out: &[Record]) -> Result<Final, String> {
        let mut told = Final::default();
        fn put<K: Ord + std::fmt::Debug, V: PartialEq>(
            into: &mut BTreeMap<K, V>,
            key: K,
            value: V,
            last: bool,
        ) -> Result<(), String> {
            if into.get(&key).is_some_and(|known| !last || *known != value) {
                return Err(format!("{key:?} was told again after it was told for good"));
            }
            if last {
                into.insert(key, value);
            }
            Ok(())
        }
        for record in out {
            match record {
                Record::Count(count) => {
                    let value = (
                        count.posts,
                        count.authors,
                        count.authors_24h,
                        count.authors_self,
                        count.posts_news,
                        count.posts_filtered,
                        count.authors_filtered,
                        count.total_posts,
                    );
                    told.levels.insert(count.region.clone(), count.level);
                    put(
                        &mut told.cells,
                        (count.topic.clone(), count.region.clone(), count.pane_start),
                        value,
                        count.last,
                    )?;
                }
                Record::WindowCount(count) => {
                    let key = (count.topic.clone(), count.region.clone(), count.end, count.length);
                    put(&mut told.windows, key, (count.authors, count.authors_self), count.last)?;
                }
                Record::TagCount(count) => {
                    let key = (count.key.clone(), count.region.clone(), count.pane_start);
                    put(&mut told.tags, key, u64::from(count.posts), count.last)?;
                }
                Record::Total(total) => {
                    put(
                        &mut told.totals,
                        (total.region.clone(), total.pane_start, total.pane_length),
                        Total { posts: total.posts, sampled: total.sampled },
                        total.last,
                    )?;
                }
                _ => {}
            }
        }
        told.cells.retain(|_, cell| cell.0 + cell.5 > 0);
        told.tags.retain(|_, posts| *posts > 0);
        told.totals.retain(|_, total| total.posts > 0);
        Ok(told)
    }
}

/// The final counts that the recount finds, what is withheld by kind left out.
fn expected(log: &[Item], end: Micros) -> Final {
    let records: Vec<Record> = log.iter().map(|item| item.record.clone()).collect();
    let rules = Rules::of(&records);
    let recount = recount(&records);
    let total = |region: &str, start: Micros, length: Micros| {
        recount.totals.get(&(region.to_owned(), start, length)).map_or(0, |total| total.posts)
    };
    let table = rules.newest.region_table();
    let mut expected = Final::default();
    for ((topic, region, start), cell) in &recount.cells {
        let setting = &rules.topics[topic];
        let (pane, floor) = (setting.pane, setting.kind.floor());
        let above =
            |value: u32, accounts: u32| if value < floor || accounts < floor { 0 } else { value };
        let day = recount.windows.get(&(topic.clone(), region.clone(), start + pane, DAY));
        let authors_24h = match pane {
            DAY => Some(cell.authors),
            _ if pane < DAY && setting.windows.contains(&DAY) => {
                Some(day.map_or(0, |window| window.authors))
            }
            _ => None,
        };
        let total_posts = if pane < HOUR {
            total(region, *start, pane)
        } else {
            (0..pane / HOUR).map(|hours| total(region, start + hours * HOUR, HOUR)).sum()
        };
        let (accounts, filtered) = (cell.authors, cell.authors_filtered);
        let told = (
            if accounts < floor { 0 } else { cell.posts },
            above(accounts, accounts),
            authors_24h.filter(|authors| *authors >= floor),
            above(cell.authors_self, accounts),
            above(cell.posts_news, accounts),
            if filtered < floor { 0 } else { cell.posts_filtered },
            above(filtered, filtered),
            total_posts,
        );
        if told.0 + told.5 > 0 {
            expected.cells.insert((topic.clone(), region.clone(), *start), told);
            expected.levels.insert(region.clone(), table.level(region).number());
        }
    }
    for (key, window) in &recount.windows {
        let setting = &rules.topics[&key.0];
        let floor = setting.kind.floor();
        let due = setting.windows.contains(&key.3) && key.2 <= pane_border(end, setting.pane);
        if due && window.authors > 0 && window.authors >= floor {
            expected.windows.insert(
                key.clone(),
                (window.authors, if floor > 0 { 0 } else { window.authors_self }),
            );
        }
    }
    expected.tags = recount.tags;
    expected.totals = recount.totals;
    expected
}

fn differences<K: Ord + std::fmt::Debug, V: PartialEq + std::fmt::Debug>(
    what: &str,
    told: &BTreeMap<K, V>,
    expected: &BTreeMap<K, V>,
) -> Vec<String> {
    let mut lines: Vec<String> = expected
        .iter()
        .filter(|(key, value)| told.get(key) != Some(value))
        .map(|(key, value)| format!("{what} {key:?}: told {:?}, expected {value:?}", told.get(key)))
        .collect();
    lines.extend(
        told.iter()
            .filter(|(key, _)| !expected.contains_key(key))
            .map(|(key, value)| format!("{what} {key:?}: told {value:?}, expected nothing")),
    );
    lines
}

fn tells_for_good_what_the_recount_finds(log: &[Item], mut rng: Rng) -> Result<(), String> {
    let partitions = rng.pick(&[1, 1, 2, 3, 7]);
    let mode = rng.pick(&[Mode::Batch, Mode::Counts, Mode::AsLive, Mode::Live]);
    let records: Vec<Record> =
        tallies(log, partitions).into_iter().map(|(_, record)| record).collect();
    let watermark =
        |record: &Record| if let Record::Frame(frame) = record { frame.watermark } else { None };
    let plain: Vec<Record> = log.iter().map(|item| item.record.clone()).collect();
    // The pane of the last post is passed too, though it may lie ahead of the watermark.
    let last = recount(&plain).totals.keys().map(|(_, start, _)| start + 1).max();
    let end = records.iter().filter_map(watermark).max().max(last).unwrap_or(0);
    let out = run(mode, &records).map_err(|why| why.to_string())?;
    let told = Final::of(&out)?;
    let expected = expected(log, end);
    let mut wrong = differences("cell", &told.cells, &expected.cells);
    wrong.extend(differences("window", &told.windows, &expected.windows));
    wrong.extend(differences("tag", &told.tags, &expected.tags));
    wrong.extend(differences("total", &told.totals, &expected.totals));
    let settings: Vec<&Settings> = log
        .iter()
        .filter_map(|item| {
            if let Record::Settings(settings) = &item.record { Some(settings) } else { None }
        })
        .collect();
    // Of an own region that newer settings have dropped nobody is told another level.
    if settings.iter().all(|each| each.regions == settings[0].regions) {
        let is_wrong = |(region, level): &(&String, &i8)| told.levels.get(*region) != Some(level);
        wrong.extend(
            expected
                .levels
                .iter()
                .filter(is_wrong)
                .map(|(region, level)| format!("{region} is not told as level {level}")),
        );
    }
    wrong.truncate(8);
    if wrong.is_empty() {
        Ok(())
    } else {
        Err(format!("{mode:?}, {partitions} partitions, end {}\n{}", at(end), wrong.join("\n")))
    }
}

/// Symptoms and diseases count days too.
fn with_days(mut log: Vec<Item>) -> Vec<Item> {
    for item in &mut log {
        if let Record::Settings(settings) = &mut item.record {
            for topic in settings.topics.iter_mut().filter(|topic| topic.pane == HOUR) {
                topic.windows.push(DAY);
            }
        }
    }
    log
}

#[test]
fn a_plain_replay_tells_for_good_what_the_recount_finds() {
    each_stream(
        3000,
        |mut rng| {
            let posts = rng.pick(&[3, 20, 60]);
            let mut log = World::new(rng.clone()).plain(posts);
            log.extend(closing(&log, rng.pick(&[0, HOUR, 9 * HOUR])));
            log.pop();
            if rng.chance(30) { with_days(log) } else { log }
        },
        tells_for_good_what_the_recount_finds,
    );
}

#[test]
fn a_live_log_tells_for_good_what_the_recount_finds() {
    each_stream(
        3000,
        |mut rng| {
            let posts = rng.pick(&[20, 60]);
            let log = World::new(rng.clone()).live(posts, true);
            if rng.chance(30) { with_days(log) } else { log }
        },
        tells_for_good_what_the_recount_finds,
    );
}

#[test]
fn crowds_are_told_for_good_and_what_is_withheld_by_kind_is_not() {
    const CROWDS: Recipe = Recipe {
        hours: 5,
        posts: 260,
        authors: 120,
        kinds: &[Kind::Symptom, Kind::Crisis, Kind::Sensitive, Kind::Narrative, Kind::Patient],
        ..Recipe::SMALL
    };
    each_stream(300, |rng| season(rng, &CROWDS), tells_for_good_what_the_recount_finds);
}
