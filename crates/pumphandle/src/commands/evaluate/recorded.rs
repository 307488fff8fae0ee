//! Recorded counts: how often what is recorded of placebo tags would be in alarm.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anyhow::Context;
use record::time::{DAY, HOUR, SECOND};
use simulation::Random;
use surveillance::evaluation::{Panel, Schedule, Share, Track, episodes};

use super::super::Failure;
use super::{HOURS, WARM_UP, operating_p};

/// Hour → accounts on the topic and all posts.
type Hours = BTreeMap<i64, (u32, u32)>;

/// From counts as `replay --counts` writes them.
pub(super) fn table(path: &std::path::Path) -> Result<String, Failure> {
    let text =
        std::fs::read(path).with_context(|| format!("failed to open `{}`", path.display()))?;
    let mut input = csv::Reader::from_reader(text.as_slice());
    let header = input
        .headers()
        .with_context(|| format!("failed to read the header of `{}`", path.display()))?
        .clone();
    let column = |name: &str| {
        let found = header.iter().position(|column| column == name);
        found.ok_or_else(|| {
            Failure::usage(
                format!("`{}` has no column `{name}`", path.display()),
                "write it by `pumphandle replay --counts`",
            )
        })
    };
    let [topic, region, start, authors, total] =
        ["topic", "region", "pane_start", "authors", "total_posts"].map(column);
    let (topic, region, start, authors, total) = (topic?, region?, start?, authors?, total?);
    let mut cells: BTreeMap<String, BTreeMap<String, Hours>> = BTreeMap::new();
    let (mut first, mut last) = (i64::MAX, i64::MIN);
    for row in input.records() {
        let row = row.with_context(|| format!("failed to read `{}`", path.display()))?;
        let line = || {
            record::lines::line_at(
                &text,
                row.position().map_or(0, |position| position.byte() as usize),
            )
        };
        let number = |at: usize| -> Result<i64, Failure> {
            let text = row.get(at).unwrap_or_default();
            text.parse().map_err(|_| {
                Failure::usage(
                    format!("`{}`, line {}: `{text}` is no number", path.display(), line()),
                    "",
                )
            })
        };
        let hour = number(start)?.div_euclid(HOUR / SECOND);
        let (authors, total) =
            (number(authors)?.max(0) as u32, number(total)?.clamp(0, i64::from(u32::MAX)) as u32);
        (first, last) = (first.min(hour), last.max(hour));
        let of_topic = cells.entry(row.get(topic).unwrap_or_default().to_owned()).or_default();
        of_topic
            .entry(row.get(region).unwrap_or_default().to_owned())
            .or_default()
            .insert(hour, (authors, total));
    }
    // Days begin at midnight, weeks on Mondays.
    let week = DAY / HOUR * 7;
    // 1970-01-05 was a Monday.
    let begin = first - (first - 4 * DAY / HOUR).rem_euclid(week);
    let hours = usize::try_from(last + 1 - begin).unwrap_or(0);
    if hours < (WARM_UP + 7) * HOURS {
        return Err(Failure::usage(
            format!("`{}` spans {} days", path.display(), hours / HOURS),
            "six weeks at least are needed",
        ));
    }
    let mut text = String::from(
        "## Recorded counts\n\nAccounts of an hour stand for their sum over a day. Windows at or \
            below a nominal p, as a multiple of it; \
         false episodes are those of the operating threshold if nothing was going on.\n\n\
         | topic | regions | weeks | p ≤ 1 % | p ≤ 0.1 % | episodes a week \
         |\n|---|---|---|---|---|---|\n",
    );
    let mut random = Random::new(1);
    for (topic, regions) in &cells {
        let track = |of_region: &Hours| {
            let of_hour =
                |hour: usize| of_region.get(&(begin + hour as i64)).copied().unwrap_or_default();
            let counts: Vec<u32> = (0..hours).map(|hour| of_hour(hour).0).collect();
            // Hours without a post have no row, and so no denominator: what the hours before and
            // after had stands for it.
            let mut known = 0;
            let totals: Vec<u32> = (0..hours)
                .map(|hour| {
                    let total = of_hour(hour).1;
                    known = if total > 0 { total } else { known };
                    known
                })
                .collect();
            Track::new(&counts, &counts, &totals, &totals)
        };
        let panel = Panel {
            regions: regions.values().map(track).collect(),
            covered: Vec::new(),
            replayed: Vec::new(),
        };
        let from = WARM_UP * HOURS;
        let daily = Schedule { from, to: hours, every: HOURS };
        let mut shares = [Share::default(); 2];
        for value in panel.randomised(daily, usize::MAX, || random.unit()) {
            shares[0].add(value <= 0.01);
            shares[1].add(value <= 0.001);
        }
        let least = -operating_p().ln();
        let hourly = Schedule { every: 1, ..daily };
        let found: usize =
            panel.looks(hourly, usize::MAX).iter().map(|looks| episodes(looks, least)).sum();
        let weeks = hourly.years() * 365.25 / 7.0;
        let _ = writeln!(
            text,
            "| {topic} | {} | {weeks:.1} | {} | {} | {:.2} |",
            regions.len(),
            ratio(shares[0], 0.01),
            ratio(shares[1], 0.001),
            found as f64 / weeks
        );
    }
    Ok(text)
}

fn ratio(share: Share, nominal: f64) -> String {
    let (low, high) = share.interval();
    format!("{:.2} ({:.2}-{:.2})", share.value() / nominal, low / nominal, high / nominal)
}
