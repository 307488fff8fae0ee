//! Every verdict against the judge by brute force.

use super::drive::run;
use super::model::{Expected, Model, VerdictKey, told};
use super::season::{Recipe, at, season, tallies};
use super::*;
use crate::naive::streams::{Item, Rng, each_stream};

fn same(told: Option<&Verdict>, expected: &Expected) -> bool {
    told.is_some_and(|told| {
        (told.window_length, told.observed, told.population, told.alarm, &told.reason)
            == (
                expected.length,
                expected.observed,
                expected.population,
                expected.alarm,
                &expected.reason,
            )
            && (told.expected, told.upperbound, told.pvalue)
                == (expected.expected, expected.upperbound, expected.pvalue)
            && (told.coverage - expected.coverage).abs() < 1e-9
    })
}

fn name(key: &VerdictKey) -> String {
    format!("{} {} until {} {} r{}", key.0, key.1, at(key.2), key.3.name(), key.4)
}

fn judges_as_the_model_does(log: &[Item], mode: Mode) -> Result<(), String> {
    let model = Model::of(log);
    let stages =
        if mode == Mode::Batch { &[Stage::Final][..] } else { &[Stage::Closed, Stage::Final] };
    let topics = model.topics();
    let mut expected = model.verdicts(stages);
    expected.retain(|key, verdict| verdict.observed >= topics[&key.0].kind.floor());
    let records: Vec<Record> = tallies(log, 1).into_iter().map(|(_, record)| record).collect();
    let out = run(mode, &records).map_err(|why| why.to_string())?;
    let told = told(&out);
    let mut wrong: Vec<String> = Vec::new();
    for (key, expected) in &expected {
        if !same(told.get(key), expected) {
            wrong.push(format!(
                "{}: told {:?}\n    expected {expected:?}",
                name(key),
                told.get(key)
            ));
        }
    }
    wrong.extend(
        told.keys()
            .filter(|key| !expected.contains_key(key))
            .map(|key| format!("{}: told, but not expected", name(key))),
    );
    wrong.truncate(6);
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n")) }
}

const HOURLY: Recipe =
    Recipe { kinds: &[Kind::Disease, Kind::Sensitive, Kind::Narrative], ..Recipe::SMALL };
const CRISIS: Recipe = Recipe {
    hours: 7,
    posts: 90,
    authors: 40,
    kinds: &[Kind::Crisis, Kind::Symptom],
    ..Recipe::SMALL
};
const LONG: Recipe =
    Recipe { hours: 26 * 24, posts: 300, kinds: &[Kind::Disease], real: true, ..Recipe::SMALL };

#[test]
fn every_closed_and_final_verdict_is_the_one_found_by_brute_force() {
    each_stream(
        150,
        |mut rng| {
            let recipe = rng.pick(&[HOURLY, HOURLY, HOURLY, CRISIS]);
            season(rng, &recipe)
        },
        |log, mut rng: Rng| {
            judges_as_the_model_does(
                log,
                rng.pick(&[Mode::AsLive, Mode::AsLive, Mode::Live, Mode::Batch]),
            )
        },
    );
}

#[test]
fn verdicts_of_a_month_with_real_windows_are_those_found_by_brute_force() {
    each_stream(2, |rng| season(rng, &LONG), |log, _| judges_as_the_model_does(log, Mode::AsLive));
}
