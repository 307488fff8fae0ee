//! What the public is told, through tally and watch: of whole final days, once, from the counts
//! themselves.

use std::collections::{BTreeMap, BTreeSet};

use record::public::ACCOUNTS_LEAST;
use record::time::DAY;

use super::*;
use crate::naive::streams::Rng;
use crate::publish;

const PATHS: [&str; 7] = ["DE/DE-BY", "DE/DE-BE", "DE", "FR/FR-IDF", "FR", "LU", "ZZ"];

fn published(out: &[Record]) -> Vec<PublicCount> {
    out.iter()
        .filter_map(|record| {
            if let Record::PublicCount(count) = record { Some(count.clone()) } else { None }
        })
        .collect()
}

#[test]
fn each_whole_day_is_told_once_when_it_is_final_and_as_the_one_function_says() {
    let mut rows = 0;
    for seed in 0..12 {
        let mut rng = Rng::new(seed);
        let partitions = rng.pick(&[1, 3]);
        let mode = rng.pick(&[Mode::Live, Mode::AsLive, Mode::Batch]);
        let mut pipeline = Pipeline::new(mode, partitions);
        // (day, topic, region) → accounts, and the regions of each topic so far.
        let mut truth: BTreeMap<(i64, &str, String), BTreeSet<u64>> = BTreeMap::new();
        let mut seen: BTreeMap<(i64, &str), BTreeSet<String>> = BTreeMap::new();
        let crowd = rng.pick(&[40, 90, 200]);
        for hour in 0..24 * 5 {
            for nth in 0..rng.below(14) as i64 {
                let (path, topic) = (rng.pick(&PATHS), rng.pick(&["flu", "flu", "hiv", "claim"]));
                // An account stays in its place.
                let author = rng.below(crowd) * PATHS.len() as u64
                    + PATHS.iter().position(|known| *known == path).unwrap() as u64;
                pipeline.post(
                    MONDAY + hour * HOUR + rng.below(59) as i64 * MINUTE + nth * SECOND,
                    author,
                    path,
                    Some(topic),
                );
                for region in path.split('/').chain(["001"]) {
                    truth.entry((hour / 24, topic, region.to_owned())).or_default().insert(author);
                    for day in hour / 24..5 {
                        seen.entry((day, topic)).or_default().insert(region.to_owned());
                    }
                }
            }
            pipeline.tick(MONDAY + (hour + 1) * HOUR);
            // Whoever asks each hour sees no day that isn't final, and no number twice.
            let horizon = 36 * HOUR;
            let told = published(&pipeline.out);
            assert!(
                told.iter().all(|row| row.day + DAY + horizon <= MONDAY + (hour + 1) * HOUR),
                "{told:?}"
            );
        }
        pipeline.end();
        let told = published(&pipeline.out);
        let keys: BTreeSet<(&str, &str, Micros)> =
            told.iter().map(|row| (row.topic.as_str(), row.region.as_str(), row.day)).collect();
        assert_eq!(keys.len(), told.len(), "a number was told twice");
        let table = settings(1).region_table();
        let mut expected = BTreeSet::new();
        for ((day, topic), regions) in &seen {
            let kind = settings(1).topic(topic).unwrap().kind;
            let count = |region: &String| {
                truth
                    .get(&(*day, topic, region.clone()))
                    .map_or(0, |accounts| accounts.len() as u32)
            };
            let accounts = regions.iter().map(|region| (region.clone(), count(region))).collect();
            for (region, number) in publish::day(kind, &table, &accounts) {
                assert!(number.is_none() || count(&region) >= ACCOUNTS_LEAST);
                expected.insert(((*topic).to_owned(), region, MONDAY + day * DAY, number));
            }
        }
        let told: BTreeSet<_> =
            told.into_iter().map(|row| (row.topic, row.region, row.day, row.accounts)).collect();
        assert_eq!(told, expected, "seed {seed}, {mode:?}");
        assert!(told.iter().all(|(topic, ..)| topic != "hiv"));
        rows += told.len();
    }
    assert!(rows > 100, "only {rows} rows");
}

#[test]
fn a_day_of_which_the_log_holds_a_part_is_not_told() {
    let mut pipeline = Pipeline::new(Mode::Live, 1);
    pipeline.reached = MONDAY + 3 * HOUR;
    for hour in [4, 28] {
        for author in 0..60 {
            pipeline.post(
                MONDAY + hour * HOUR + author as i64 * MINUTE,
                author,
                "DE/DE-BY",
                Some("flu"),
            );
        }
    }
    pipeline.tick(MONDAY + 4 * DAY);
    let told = published(&pipeline.out);
    assert!(!told.is_empty() && told.iter().all(|row| row.day > MONDAY), "{told:?}");
}
