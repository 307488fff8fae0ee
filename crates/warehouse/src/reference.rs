//! Numbers of others to compare with: official case series and the like, from CSV.
//!
//! Columns `series`, `region`, `date`, `value`, and optionally `unit` and `source`, in any order;
//! further ones are refused, so that
//! a misspelt name doesn't go unnoticed. A file is loaded whole or not at all; loading it again,
//! corrected, replaces what it names.
//! Knows nothing of what the numbers mean.

use std::collections::BTreeMap;
use std::fmt;
use std::io;

use record::time::{DAY, Micros};
use thiserror::Error;

use crate::error::WarehouseError;
use crate::port::Landing;

/// Of one series and region, the number of the period that begins on a day.
#[derive(Debug, Clone, PartialEq)]
pub struct Reference {
    pub series: String,
    pub region: String,
    /// Midnight, UTC.
    pub date: Micros,
    pub value: f64,
    pub unit: String,
    pub source: String,
}

/// Bytes of one field; longer ones are a mistake in the file.
const FIELD_BYTES_MAX: usize = 256;
/// Further problems of a file aren't listed.
const PROBLEMS_MAX: usize = 20;
const ROWS_A_WRITE: usize = 10_000;

#[derive(Debug, Error)]
pub enum ReferenceError {
    #[error("failed to read the reference file, line {line}")]
    Read { line: u64, source: csv::Error },
    #[error("nothing was loaded: {}", listed(.0))]
    Problems(Vec<Problem>),
    #[error(transparent)]
    Warehouse(#[from] WarehouseError),
}

/// What is wrong with one field of one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    pub line: u64,
    pub field: &'static str,
    pub why: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "line {}, `{}`: {}", self.line, self.field, self.why)
    }
}

fn listed(problems: &[Problem]) -> String {
    problems.iter().map(|problem| format!("\n  {problem}")).collect()
}

/// Whether a region's code is known, or why its rows would never be found.
pub type RegionCheck<'a> = &'a dyn Fn(&str) -> Result<(), String>;

/// Reads a CSV file and writes its rows; returns how many.
pub fn load_reference(
    warehouse: &dyn Landing,
    mut reader: impl io::Read,
    regions: RegionCheck<'_>,
) -> Result<u64, ReferenceError> {
    let mut text = Vec::new();
    reader
        .read_to_end(&mut text)
        .map_err(|error| ReferenceError::Read { line: 1, source: error.into() })?;
    let rows = read(&text, regions)?;
    for rows in rows.chunks(ROWS_A_WRITE) {
        warehouse.write_reference(rows)?;
    }
    Ok(rows.len() as u64)
}

const FIELDS: [&str; 6] = ["series", "region", "date", "value", "unit", "source"];
const REQUIRED: usize = 4;

fn read(text: &[u8], regions: RegionCheck<'_>) -> Result<Vec<Reference>, ReferenceError> {
    let mut lines = csv::ReaderBuilder::new().flexible(true).trim(csv::Trim::All).from_reader(text);
    let line_of = |position: Option<&csv::Position>| {
        let byte = position.map_or(0, csv::Position::byte);
        record::lines::line_at(text, usize::try_from(byte).unwrap_or(usize::MAX))
    };
    let failed =
        |source: csv::Error| ReferenceError::Read { line: line_of(source.position()), source };
    let header = lines.headers().map_err(failed)?.clone();
    let places = places(&header, line_of(header.position()))?;
    let mut problems = Vec::new();
    let mut rows = Vec::new();
    let mut seen: BTreeMap<(String, String, Micros), csv::Position> = BTreeMap::new();
    for line in lines.records() {
        let line = line.map_err(failed)?;
        let problem = |field, why| Problem { line: line_of(line.position()), field, why };
        if line.len() != header.len() {
            problems.push(problem(
                "series",
                format!("{} fields instead of {}", line.len(), header.len()),
            ));
        } else {
            let row = row(&line, &places).and_then(|row| match regions(&row.region) {
                Ok(()) => Ok(row),
                Err(why) => Err(("region", why)),
            });
            match row {
                Err((field, why)) => problems.push(problem(field, why)),
                Ok(row) => {
                    let position = line.position().cloned().unwrap_or_else(csv::Position::new);
                    match seen.insert((row.series.clone(), row.region.clone(), row.date), position)
                    {
                        Some(first) => {
                            let first = line_of(Some(&first));
                            problems.push(problem(
                                "date",
                                format!(
                                    "line {first} has a value of the same series, region and date"
                                ),
                            ));
                        }
                        None => rows.push(row),
                    }
                }
            }
        }
        if problems.len() >= PROBLEMS_MAX {
            break;
        }
    }
    if problems.is_empty() { Ok(rows) } else { Err(ReferenceError::Problems(problems)) }
}

/// Where each field stands.
fn places(
    header: &csv::StringRecord,
    line: u64,
) -> Result<[Option<usize>; FIELDS.len()], ReferenceError> {
    let mut places = [None; FIELDS.len()];
    let mut problems = Vec::new();
    for (at, name) in header.iter().enumerate() {
        match FIELDS.iter().position(|field| *field == name.trim_start_matches('\u{feff}')) {
            Some(field) if places[field].is_none() => places[field] = Some(at),
            Some(field) => problems.push(Problem {
                line,
                field: FIELDS[field],
                why: "stands in the header twice".to_owned(),
            }),
            None => problems.push(Problem {
                line,
                field: "header",
                why: format!(
                    "unknown column `{}`; the columns are {}",
                    shortened(name),
                    FIELDS.join(", ")
                ),
            }),
        }
    }
    for (field, _) in FIELDS.iter().zip(places).take(REQUIRED).filter(|(_, place)| place.is_none())
    {
        problems.push(Problem { line, field, why: "is missing in the header".to_owned() });
    }
    if problems.is_empty() { Ok(places) } else { Err(ReferenceError::Problems(problems)) }
}

fn row(
    line: &csv::StringRecord,
    places: &[Option<usize>; FIELDS.len()],
) -> Result<Reference, (&'static str, String)> {
    let text = |field: usize| -> Result<&str, (&'static str, String)> {
        let text = places[field].and_then(|at| line.get(at)).unwrap_or_default();
        if text.len() > FIELD_BYTES_MAX {
            return Err((FIELDS[field], format!("longer than {FIELD_BYTES_MAX} bytes")));
        }
        if text.is_empty() && field < REQUIRED {
            return Err((FIELDS[field], "is empty".to_owned()));
        }
        Ok(text)
    };
    let (series, region, written, value) = (text(0)?, text(1)?, text(2)?, text(3)?);
    let date = date(written).ok_or_else(|| {
        ("date", format!("`{}` is no date like 2026-01-05, of 2000 to 2099", shortened(written)))
    })?;
    let number = value.parse().ok().filter(|number: &f64| number.is_finite());
    let value = number.ok_or_else(|| ("value", format!("`{}` is no number", shortened(value))))?;
    Ok(Reference {
        series: series.to_owned(),
        // `lang:de` and overlays of the operator's own are written as they are.
        region: if region.contains(':') { region.to_owned() } else { region.to_ascii_uppercase() },
        date,
        value,
        unit: text(4)?.to_owned(),
        source: text(5)?.to_owned(),
    })
}

fn date(written: &str) -> Option<Micros> {
    let calendar = written.len() == 10
        && written.bytes().enumerate().all(|(at, byte)| (at == 4 || at == 7) == (byte == b'-'));
    let instant = record::time::parse(&format!("{written}T00:00:00Z")).ok()?;
    (calendar && instant % DAY == 0).then_some(instant)
}

fn shortened(text: &str) -> String {
    text.chars().take(40).collect()
}

#[cfg(test)]
mod tests;
