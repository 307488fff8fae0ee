//! Table of recorded counts: how often recorded counts of placebo tags would raise an alarm.
//!
//! Reads the CSV of `replay --counts`. Doesn't open files.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use record::time::{DAY, HOUR, SECOND};
use simulation::Random;

use crate::panel::{Panel, Schedule, Share, Track, episodes};
use crate::{HOURS, WARM_UP, operating_p};

const HOURS_A_WEEK: i64 = DAY / HOUR * 7;
const COLUMNS: [&str; 5] = ["topic", "region", "pane_start", "authors", "total_posts"];

/// Hour → accounts on the topic and all posts.
type Hours = BTreeMap<i64, (u32, u32)>;
/// Topic → region → hours.
type Cells = BTreeMap<String, BTreeMap<String, Hours>>;

#[derive(Debug, thiserror::Error)]
pub enum RecordedError {
    #[error("failed to read {what}`{}`", path.display())]
    Csv { what: &'static str, path: PathBuf, source: csv::Error },
    #[error("`{}` has no column `{column}`", path.display())]
    MissingColumn { path: PathBuf, column: &'static str },
    #[error("`{}`, line {line}: `{text}` is no number", path.display())]
    NotANumber { path: PathBuf, line: u64, text: String },
    #[error("`{}` spans {days} days", path.display())]
    TooShort { path: PathBuf, days: usize },
}

impl RecordedError {
    /// How to mend it, empty where there is nothing to say.
    pub fn hint(&self) -> &'static str {
        match self {
            RecordedError::MissingColumn { .. } => "write it by `pumphandle replay --counts`",
            RecordedError::TooShort { .. } => "six weeks at least are needed",
            RecordedError::Csv { .. } | RecordedError::NotANumber { .. } => "",
        }
    }
}

/// `path` names the file in errors.
pub fn recorded_table(csv: &[u8], path: &Path) -> Result<String, RecordedError> {
    let cells = read_cells(csv, path)?;
    let hours = || cells.values().flat_map(BTreeMap::values).flat_map(BTreeMap::keys);
    let (first, last) = (*hours().min().unwrap_or(&0), *hours().max().unwrap_or(&-1));
    // 1970-01-05 was a Monday. Days begin at midnight, weeks on Mondays.
    let begin = first - (first - 4 * DAY / HOUR).rem_euclid(HOURS_A_WEEK);
    let hours = usize::try_from(last + 1 - begin).unwrap_or(0);
    if hours < (WARM_UP + 7) * HOURS {
        return Err(RecordedError::TooShort { path: path.to_owned(), days: hours / HOURS });
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
        let tracks = regions.values().map(|counts| track(counts, begin, hours));
        let panel = Panel { regions: tracks.collect(), ..Panel::default() };
        let daily = Schedule { from: WARM_UP * HOURS, to: hours, every: HOURS };
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

fn read_cells(text: &[u8], path: &Path) -> Result<Cells, RecordedError> {
    let failed = |what| move |source| RecordedError::Csv { what, path: path.to_owned(), source };
    let mut input = csv::Reader::from_reader(text);
    let header = input.headers().map_err(failed("the header of "))?.clone();
    let mut columns = [0; COLUMNS.len()];
    for (at, column) in columns.iter_mut().zip(COLUMNS) {
        *at = header
            .iter()
            .position(|name| name == column)
            .ok_or_else(|| RecordedError::MissingColumn { path: path.to_owned(), column })?;
    }
    let [topic, region, start, authors, total] = columns;
    let mut cells = Cells::new();
    for row in input.records() {
        let row = row.map_err(failed(""))?;
        let field = |at: usize| row.get(at).unwrap_or_default();
        let number = |at: usize| {
            field(at).parse::<i64>().map_err(|_| {
                let byte = row.position().map_or(0, |position| position.byte() as usize);
                RecordedError::NotANumber {
                    path: path.to_owned(),
                    line: record::lines::line_at(text, byte),
                    text: field(at).to_owned(),
                }
            })
        };
        let hour = number(start)?.div_euclid(HOUR / SECOND);
        let counts =
            (number(authors)?.max(0) as u32, number(total)?.clamp(0, i64::from(u32::MAX)) as u32);
        let regions = cells.entry(field(topic).to_owned()).or_default();
        regions.entry(field(region).to_owned()).or_default().insert(hour, counts);
    }
    Ok(cells)
}

fn track(counts: &Hours, begin: i64, hours: usize) -> Track {
    let of_hour = |hour: usize| counts.get(&(begin + hour as i64)).copied().unwrap_or_default();
    let accounts: Vec<u32> = (0..hours).map(|hour| of_hour(hour).0).collect();
    // An hour without a row has no denominator: it takes that of the hour before.
    let mut known = 0;
    let totals: Vec<u32> = (0..hours)
        .map(|hour| {
            let total = of_hour(hour).1;
            known = if total > 0 { total } else { known };
            known
        })
        .collect();
    Track::new(&accounts, &accounts, &totals, &totals)
}

fn ratio(share: Share, nominal: f64) -> String {
    let (low, high) = share.interval();
    format!("{:.2} ({:.2}-{:.2})", share.value() / nominal, low / nominal, high / nominal)
}
