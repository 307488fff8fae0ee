//! `detect`: judges series of counts from CSV.

use std::collections::BTreeMap;
use std::io::{stdin, stdout};

use anyhow::{Context, anyhow};
use surveillance::detectors::{Method, Series, detect_series};

use super::Failure;
use crate::cli::Detect;

/// The columns that must be there, and the one that may.
const COLUMNS: [&str; 4] = ["series", "time", "observed", "population"];

#[derive(Debug, Default)]
struct Points {
    times: Vec<String>,
    written: Vec<String>,
    observed: Vec<Option<f64>>,
    population: Vec<Option<f64>>,
}

pub(crate) fn run(args: &Detect) -> Result<(), Failure> {
    let params = args
        .params
        .iter()
        .map(|param| match param.split_once('=') {
            Some((key, value)) => Ok((key.trim().to_owned(), value.trim().to_owned())),
            None => Err(Failure::usage(format!("`--param {param}` has no `=`"), "write `--param KEY=VALUE`")),
        })
        .collect::<Result<Vec<_>, _>>()?;
    let method = Method::parse(&args.method, &params).map_err(|error| Failure::usage(error.to_string(), String::new()))?;
    let (order, series) = read()?;
    let mut out = csv::Writer::from_writer(stdout().lock());
    out.write_record(["series", "time", "observed", "expected", "upperbound", "alarm", "pvalue", "reason", "statistic"])?;
    for name in &order {
        let Some(points) = series.get(name) else { continue };
        let days: Option<Vec<i64>> = points.times.iter().map(|time| days(time)).collect();
        let population = points.population.iter().any(Option::is_some).then_some(points.population.as_slice());
        let judged = detect_series(&method, &Series { observed: &points.observed, population, days: days.as_deref() });
        for ((time, written), judgement) in points.times.iter().zip(&points.written).zip(judged) {
            let number = |value: Option<f64>| value.map_or(String::new(), |value| value.to_string());
            let alarm = judgement.alarm.map_or("", |alarm| if alarm { "1" } else { "0" });
            let reason = judgement.reason.map_or(String::new(), |reason| reason.to_string());
            out.write_record([
                name.as_str(),
                time,
                written,
                &number(judgement.expected),
                &number(judgement.upperbound),
                alarm,
                &number(judgement.pvalue),
                &reason,
                &number(judgement.statistic),
            ])?;
        }
    }
    out.flush()?;
    Ok(())
}

/// Series in the order in which they first appear.
fn read() -> Result<(Vec<String>, BTreeMap<String, Points>), Failure> {
    let mut input = csv::ReaderBuilder::new().flexible(true).from_reader(stdin().lock());
    let header = input.headers().context("failed to read the header of standard input")?.clone();
    let column = |name: &str| header.iter().position(|column| column.trim() == name);
    let [Some(series), Some(time), Some(observed), population] = COLUMNS.map(column) else {
        let found = header.iter().collect::<Vec<_>>().join(",");
        return Err(Failure::usage(format!("the header `{found}` lacks a column"), "columns are `series,time,observed[,population]`"));
    };
    let mut order = Vec::new();
    let mut points: BTreeMap<String, Points> = BTreeMap::new();
    for (row, line) in input.records().zip(2u64..) {
        let row = row.with_context(|| format!("failed to read line {line} of standard input"))?;
        let field = |at: usize| row.get(at).map(str::trim).ok_or_else(|| anyhow!("line {line} of standard input has too few fields"));
        let name = field(series)?.to_owned();
        let of = points.entry(name.clone()).or_insert_with(|| {
            order.push(name);
            Points::default()
        });
        of.times.push(field(time)?.to_owned());
        of.written.push(field(observed)?.to_owned());
        of.observed.push(number(field(observed)?, "observed", line)?);
        of.population.push(match population {
            Some(at) => number(row.get(at).unwrap_or("").trim(), "population", line)?,
            None => None,
        });
    }
    Ok((order, points))
}

/// Empty and `NA` are missing; what is a number but no count is left to the method to refuse.
fn number(text: &str, column: &str, line: u64) -> Result<Option<f64>, Failure> {
    match text {
        "" | "NA" => Ok(None),
        _ => match text.parse() {
            Ok(value) => Ok(Some(value)),
            Err(_) => Err(anyhow!("line {line} of standard input: `{text}` in column `{column}` is not a number").into()),
        },
    }
}

/// Days since 1970-01-01, where a time is a date.
fn days(time: &str) -> Option<i64> {
    if time.len() != 10 || time.as_bytes().get(4) != Some(&b'-') {
        return None;
    }
    record::time::parse(&format!("{time}T00:00:00Z")).ok().map(|instant| instant.div_euclid(record::time::DAY))
}
