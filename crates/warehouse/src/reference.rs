//! Numbers of others to compare with: official case series and the like, from CSV.
//!
//! Columns `series`, `region`, `date`, `value`, and optionally `unit` and `source`, in any order;
//! further ones are refused, so that a misspelt name doesn't go unnoticed. A file is loaded whole
//! or not at all; loading it again, corrected, replaces what it names.
//! Knows nothing of what the numbers mean.

use std::collections::BTreeMap;
use std::io;

use record::diagnostic::Diagnostic;
use record::time::{DAY, Micros};
use thiserror::Error;

use crate::error::WarehouseError;
use crate::port::{Landing, Reference};

/// Bytes of one field; longer ones are a mistake in the file.
const FIELD_BYTES_MAX: usize = 256;
/// Further errors of a file aren't listed.
const ERRORS_MAX: usize = 20;
const ROWS_A_WRITE: usize = 10_000;

#[derive(Debug, Error)]
pub enum ReferenceError {
    #[error("failed to read the reference file, line {line}")]
    Read { line: u64, source: csv::Error },
    #[error("nothing was loaded: {}", listed(.0))]
    Problems(Vec<Diagnostic>),
    #[error(transparent)]
    Warehouse(#[from] WarehouseError),
}

fn listed(errors: &[Diagnostic]) -> String {
    let line = |error: &Diagnostic| format!("\n  line {}, {}", error.place.line(), error.message);
    errors.iter().map(line).collect()
}

/// An error in one field of one line. The name of the file is the caller's.
fn field_error(line: u64, field: &str, why: &str) -> Diagnostic {
    let line = usize::try_from(line).unwrap_or(usize::MAX);
    Diagnostic::at("", line, format!("`{field}`: {why}"))
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
    let mut errors = Vec::new();
    let mut rows = Vec::new();
    let mut seen: BTreeMap<(String, String, Micros), csv::Position> = BTreeMap::new();
    for line in lines.records() {
        let line = line.map_err(failed)?;
        let line_number = line_of(line.position());
        if line.len() != header.len() {
            let why = format!("{} fields instead of {}", line.len(), header.len());
            errors.push(field_error(line_number, "series", &why));
        } else {
            let row = row(&line, &places).and_then(|row| match regions(&row.region) {
                Ok(()) => Ok(row),
                Err(why) => Err(("region", why)),
            });
            let row = row.and_then(|row| {
                let position = line.position().cloned().unwrap_or_else(csv::Position::new);
                let key = (row.series.clone(), row.region.clone(), row.date);
                match seen.insert(key, position) {
                    Some(first) => {
                        let first = line_of(Some(&first));
                        let why =
                            format!("line {first} has a value of the same series, region and date");
                        Err(("date", why))
                    }
                    None => Ok(row),
                }
            });
            match row {
                Ok(row) => rows.push(row),
                Err((field, why)) => errors.push(field_error(line_number, field, &why)),
            }
        }
        if errors.len() >= ERRORS_MAX {
            break;
        }
    }
    if errors.is_empty() { Ok(rows) } else { Err(ReferenceError::Problems(errors)) }
}

/// Where each field stands.
fn places(
    header: &csv::StringRecord,
    line: u64,
) -> Result<[Option<usize>; FIELDS.len()], ReferenceError> {
    let mut places = [None; FIELDS.len()];
    let mut errors = Vec::new();
    for (at, name) in header.iter().enumerate() {
        match FIELDS.iter().position(|field| *field == name.trim_start_matches('\u{feff}')) {
            Some(field) if places[field].is_none() => places[field] = Some(at),
            Some(field) => {
                errors.push(field_error(line, FIELDS[field], "stands in the header twice"));
            }
            None => {
                let columns = FIELDS.join(", ");
                let why =
                    format!("unknown column `{}`; the columns are {columns}", shortened(name));
                errors.push(field_error(line, "header", &why));
            }
        }
    }
    for (field, _) in FIELDS.iter().zip(places).take(REQUIRED).filter(|(_, place)| place.is_none())
    {
        errors.push(field_error(line, field, "is missing in the header"));
    }
    if errors.is_empty() { Ok(places) } else { Err(ReferenceError::Problems(errors)) }
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
