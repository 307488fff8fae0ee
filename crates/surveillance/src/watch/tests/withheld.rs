//! What is withheld by kind: no record that leaves watch has it.

use std::collections::BTreeMap;

use super::drive::run;
use super::season::{Recipe, season, tallies};
use super::*;
use crate::naive::streams::{Item, Rng, each_stream};

const CROWDS: Recipe = Recipe {
    hours: 9,
    posts: 300,
    authors: 150,
    kinds: &[Kind::Sensitive, Kind::Crisis, Kind::Narrative, Kind::Patient, Kind::Disease],
    ..Recipe::SMALL
};

fn nothing_withheld_gets_out(log: &[Item], mut rng: Rng) -> Result<(), String> {
    let Record::Settings(settings) = &log[0].record else { return Ok(()) };
    let table = settings.region_table();
    let records: Vec<Record> =
        tallies(log, rng.pick(&[1, 3])).into_iter().map(|(_, record)| record).collect();
    let out = run(rng.pick(&[Mode::Live, Mode::Live, Mode::AsLive, Mode::Batch]), &records)
        .map_err(|why| why.to_string())?;
    let allowed = |topic: &str, region: &str, values: &[u32]| {
        let kind = settings.topic(topic).map_or(Kind::Disease, |topic| topic.kind);
        kind.allows(table.level(region), region)
            && values.iter().all(|value| *value == 0 || *value >= kind.floor())
    };
    let mut shown: BTreeMap<(String, String, Micros), u32> = BTreeMap::new();
    for record in &out {
        let fine = match record {
            Record::Count(count) => {
                shown.insert(
                    (count.topic.clone(), count.region.clone(), count.pane_start),
                    count.authors,
                );
                let values = [
                    count.authors,
                    count.authors_self,
                    count.authors_filtered,
                    count.authors_24h.unwrap_or(0),
                ];
                let posts_alone = (count.posts > 0 && count.authors == 0)
                    || (count.posts_filtered > 0 && count.authors_filtered == 0);
                allowed(&count.topic, &count.region, &values)
                    && allowed(
                        &count.topic,
                        &count.region,
                        &[count.posts_news, count.posts, count.posts_filtered],
                    )
                    && !posts_alone
                    && (count.newest == 0
                        || count.posts + count.posts_filtered > 0
                        || count.topic == "disease")
            }
            Record::WindowCount(count) => {
                allowed(&count.topic, &count.region, &[count.authors, count.authors_self])
                    && count.authors > 0
            }
            Record::Verdict(verdict) => {
                let kind = settings.topic(&verdict.topic).map_or(Kind::Disease, |topic| topic.kind);
                let early = verdict.stage != Stage::Early || kind.fires_early();
                early
                    && verdict.observed >= kind.floor()
                    && allowed(&verdict.topic, &verdict.region, &[verdict.observed])
            }
            Record::Alert(alert) => {
                let kind = settings.topic(&alert.topic).map_or(Kind::Disease, |topic| topic.kind);
                let sampled = kind.samples() || alert.explanation == Explanation::default();
                let tree = alert
                    .regions
                    .iter()
                    .chain([&alert.region])
                    .all(|region| allowed(&alert.topic, region, &[alert.observed]));
                tree && sampled
                    && alert.observed >= kind.floor()
                    && (alert.stage != Stage::Early || kind.fires_early())
            }
            Record::TagCount(count) => count.key != "sensitive",
            _ => true,
        };
        if !fine {
            return Err(format!("{record:?}"));
        }
    }
    Ok(())
}

#[test]
fn no_record_holds_a_cell_window_verdict_or_alert_below_its_floor_or_at_a_level_that_its_kind_forbids()
 {
    each_stream(400, |rng| season(rng, &CROWDS), nothing_withheld_gets_out);
}
