//! What a judged point costs, in CPU time, for each classic method.
//!
//!     cargo bench --profile dist -p surveillance --bench detectors
//!
//! On the 140 series of the oracles' bench in `../shared/oracles/bench`, with and without the
//! outbreak, weeks 576 to 624 of 624; without that folder on the 28 committed ones. The methods are
//! those of `tests/oracles.rs`. Fails where `farrington-flexible` takes more than its budget.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark says what it measured, and stops at what it cannot read"
)]

mod cost;

use cost::cpu_seconds;
use flate2::read::GzDecoder;
use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use surveillance::detectors::{Method, Series, detect_series};

/// Microseconds of CPU that a point of `farrington-flexible` may take.
const BUDGET: f64 = 100.0;
const WEEKS: &str = "576:624";
const POINTS: usize = 49;
const YEARLY: &[(&str, &str)] = &[
    ("no-periods", "10"),
    ("past-weeks-not-included", "26"),
    ("alpha", "0.01"),
    ("p-threshold-trend", "1"),
];

fn main() -> ExitCode {
    let (source, series) = bench();
    println!("{} series of 624 weeks ({source}), {POINTS} points judged in each", series.len());
    println!("{:<36} {:>12} {:>10}", "method", "us a point", "alarms");
    let mut slowest_farrington = 0.0_f64;
    for (title, name, params) in [
        ("ears-c1", "ears-c1", &[][..]),
        ("ears-c2", "ears-c2", &[]),
        ("ears-c3", "ears-c3", &[]),
        ("eears", "eears", &[]),
        ("essence-switch", "essence-switch", &[]),
        ("bayes", "bayes", &[]),
        ("rki", "rki", &[]),
        ("cusum", "cusum", &[]),
        ("outbreakp", "outbreakp", &[]),
        ("glr-pois", "glr-pois", &[]),
        ("farrington", "farrington", &[("alpha", "0.01")]),
        (
            "farrington-flexible nbPlugin",
            "farrington-flexible",
            &[("threshold-method", "nbPlugin")],
        ),
        ("farrington-flexible muan", "farrington-flexible", &[("threshold-method", "muan")]),
        ("farrington-flexible delta", "farrington-flexible", &[("threshold-method", "delta")]),
    ] {
        let yearly = if name == "farrington-flexible" { YEARLY } else { &[] };
        let params = params.iter().chain(yearly).chain(&[("range", WEEKS)]);
        let params: Vec<(String, String)> =
            params.map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let method = Method::parse(name, &params).unwrap();
        let (mut points, mut alarms) = (0, 0);
        let began = cpu_seconds();
        for observed in &series {
            let judgements = detect_series(&method, &Series { observed, ..Series::default() });
            points += POINTS;
            alarms += judgements[judgements.len() - POINTS..]
                .iter()
                .filter(|judgement| judgement.alarm == Some(true))
                .count();
        }
        let micros = (cpu_seconds() - began) * 1e6 / points as f64;
        if name == "farrington-flexible" {
            slowest_farrington = slowest_farrington.max(micros);
        }
        println!("{title:<36} {micros:>12.1} {alarms:>10}");
    }
    println!(
        "farrington-flexible: at most {slowest_farrington:.1} us CPU a point of {BUDGET} allowed"
    );
    if slowest_farrington <= BUDGET { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Where the series come from, and their counts.
fn bench() -> (&'static str, Vec<Vec<Option<f64>>>) {
    let above = |part: &str| -> Option<PathBuf> {
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .ancestors()
            .map(|folder| folder.join(part))
            .find(|path| path.is_file())
    };
    let rows = |path: &Path| -> Vec<BTreeMap<String, String>> {
        csv::Reader::from_reader(GzDecoder::new(File::open(path).unwrap()))
            .deserialize()
            .map(Result::unwrap)
            .collect()
    };
    if let Some(path) = above("shared/oracles/bench/series.csv.gz") {
        let mut series: BTreeMap<(String, String), [Vec<Option<f64>>; 2]> = BTreeMap::new();
        for row in rows(&path) {
            let count = |column: &str| row[column].parse::<f64>().unwrap();
            let [calm, struck] =
                series.entry((row["scenario"].clone(), row["rep"].clone())).or_default();
            calm.push(Some(count("base") + count("past")));
            struck.push(Some(count("base") + count("past") + count("current")));
        }
        return ("../shared/oracles/bench", series.into_values().flatten().collect());
    }
    let path = above("tests/data/oracles/bench.csv.gz").unwrap();
    let counts = |row: BTreeMap<String, String>| {
        row["observed"].split(' ').map(|count| count.parse().ok()).collect()
    };
    ("tests/data/oracles", rows(&path).into_iter().map(counts).collect())
}
