//! Every detector against the numbers that R computed, row by row.
//!
//! The rows lie beside the checkout, in `../shared/oracles` (or under `PUMPHANDLE_SHARED`); where
//! they don't, these tests say so and pass. A part without outside licence is in
//! `tests/data/oracles` and is always checked.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test says what it compared, and stops at what it cannot read"
)]

use flate2::read::GzDecoder;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use surveillance::detectors::space::{Cell, Cluster, Place, SpaceMethod};
use surveillance::detectors::{Judgement, Method, Series, detect_series};

/// The folder of the oracles, if it is there.
fn oracles() -> Option<PathBuf> {
    let found = match std::env::var_os("PUMPHANDLE_SHARED") {
        Some(shared) => Some(Path::new(&shared).join("oracles")),
        None => Path::new(env!("CARGO_MANIFEST_DIR"))
            .ancestors()
            .map(|folder| folder.join("shared/oracles"))
            .find(|folder| folder.is_dir()),
    };
    let found = found.filter(|folder| folder.is_dir());
    if found.is_none() {
        println!(
            "skipped: no folder `shared/oracles` beside the checkout or under PUMPHANDLE_SHARED"
        );
    }
    found
}

/// The part of the oracles that is in the repository.
fn committed(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .map(|folder| folder.join("tests/data/oracles").join(file))
        .find(|path| path.is_file())
        .unwrap_or_else(|| panic!("tests/data/oracles/{file} is part of the repository"))
}

type Row = BTreeMap<String, String>;

fn rows(path: &Path) -> Vec<Row> {
    let file = File::open(path).unwrap();
    let reader: Box<dyn Read> = if path.extension().is_some_and(|extension| extension == "gz") {
        Box::new(GzDecoder::new(file))
    } else {
        Box::new(file)
    };
    csv::Reader::from_reader(reader).deserialize().map(Result::unwrap).collect()
}

fn number(text: &str) -> Option<f64> {
    match text {
        "" => None,
        "Inf" => Some(f64::INFINITY),
        "-Inf" => Some(f64::NEG_INFINITY),
        _ => Some(text.parse().unwrap()),
    }
}

/// Days since 1970-01-01 of a date such as 2024-02-29.
fn day(date: &str) -> i64 {
    let parts: Vec<i64> = date.split('-').map(|part| part.parse().unwrap()).collect();
    let (year, month, day) = (parts[0] - i64::from(parts[1] <= 2), parts[1], parts[2]);
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[derive(Default)]
struct Stored {
    observed: Vec<Option<f64>>,
    population: Vec<Option<f64>>,
    days: Vec<i64>,
}

impl Stored {
    fn judge(&self, method: &Method) -> Vec<Judgement> {
        // As `detect` does with dates: a time that is not after those before it has no answer.
        let times: Vec<f64> = self.days.iter().map(|day| *day as f64).collect();
        detect_series(
            method,
            &Series {
                times: (!times.is_empty()).then_some(times.as_slice()),
                observed: &self.observed,
                population: Some(&self.population),
                days: (self.days.len() == self.observed.len()).then_some(self.days.as_slice()),
            },
        )
    }
}

fn stored(folder: &Path) -> BTreeMap<(String, String), Stored> {
    let mut all: BTreeMap<(String, String), Stored> = BTreeMap::new();
    for row in rows(&folder.join("series.csv.gz")) {
        let series = all.entry((row["dataset"].clone(), row["unit"].clone())).or_default();
        series.observed.push(number(&row["observed"]));
        series.population.push(number(&row["population"]));
        if !row["date"].is_empty() {
            series.days.push(day(&row["date"]));
        }
    }
    all
}

/// A case of cases.json with the rows that R gave for it, by unit.
struct Case {
    id: String,
    dataset: String,
    params: Value,
    range: Option<(u64, u64)>,
    frequency: u64,
    rows: BTreeMap<String, Vec<Row>>,
}

fn cases(folder: &Path, algorithm: &str, file: &str) -> Vec<Case> {
    let json: Value =
        serde_json::from_reader(File::open(folder.join("cases.json")).unwrap()).unwrap();
    let mut rows_of: BTreeMap<String, BTreeMap<String, Vec<Row>>> = BTreeMap::new();
    for row in rows(&folder.join(file)) {
        let units = rows_of.entry(row["case"].clone()).or_default();
        units.entry(row["unit"].clone()).or_default().push(row);
    }
    let cases: Vec<Case> = json["cases"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|case| case["algorithm"] == algorithm)
        .map(|case| {
            let id = case["case"].as_str().unwrap().to_owned();
            let dataset = case["dataset"].as_str().unwrap().to_owned();
            let datasets = json["datasets"].as_array().unwrap();
            let of_dataset = datasets.iter().find(|set| set["dataset"] == dataset.as_str());
            Case {
                frequency: of_dataset.unwrap()["freq"].as_u64().unwrap(),
                dataset,
                params: case["params"].clone(),
                range: case["range"]
                    .as_array()
                    .map(|r| (r[0].as_u64().unwrap(), r[1].as_u64().unwrap())),
                rows: rows_of.remove(&id).unwrap_or_else(|| panic!("no rows for case {id}")),
                id,
            }
        })
        .collect();
    assert!(rows_of.is_empty(), "rows without a case: {:?}", rows_of.keys());
    cases
}

impl Case {
    /// A case's parameters with the number of points in a year.
    fn yearly_params(&self, leave_out: &[&str]) -> Vec<(String, String)> {
        let mut params = self.params(leave_out);
        params.push(("freq".to_owned(), self.frequency.to_string()));
        params
    }

    /// A case's parameters as `detect` takes them, but those in `leave_out`.
    fn params(&self, leave_out: &[&str]) -> Vec<(String, String)> {
        let mut params: Vec<(String, String)> = Vec::new();
        for (key, value) in self.params.as_object().unwrap() {
            if leave_out.contains(&key.as_str()) {
                continue;
            }
            let text = match value {
                Value::Null => continue,
                Value::String(text) => text.clone(),
                Value::Array(list) => {
                    list.iter().map(Value::to_string).collect::<Vec<_>>().join(",")
                }
                other => other.to_string(),
            };
            params.push((key.clone(), text));
        }
        if let Some((first, last)) = self.range {
            params.push(("range".to_owned(), format!("{first}:{last}")));
        }
        params
    }
}

/// Counts what was compared, and collects what differed.
#[derive(Default)]
struct Comparison {
    compared: usize,
    alarms: usize,
    differences: Vec<String>,
}

impl Comparison {
    fn number(
        &mut self,
        place: &str,
        what: &str,
        ours: Option<f64>,
        theirs: Option<f64>,
        tolerance: f64,
    ) {
        let same = match (ours, theirs) {
            (None, None) => true,
            (Some(a), Some(b)) => {
                (a - b).abs() <= tolerance * a.abs().max(b.abs()).max(1e-4) || a == b
            }
            _ => false,
        };
        if !same {
            self.differences.push(format!("{place}: {what} is {ours:?}, in R {theirs:?}"));
        }
    }

    fn alarm(&mut self, place: &str, judgement: &Judgement, theirs: &str) {
        let theirs = match theirs {
            "" => None,
            "0" => Some(false),
            "1" => Some(true),
            other => panic!("alarm `{other}`"),
        };
        self.alarms += usize::from(theirs == Some(true));
        if judgement.alarm != theirs {
            self.differences.push(format!(
                "{place}: alarm is {:?} ({:?}), in R {theirs:?}",
                judgement.alarm, judgement.reason
            ));
        }
        if judgement.alarm.is_none() && judgement.reason.is_none() {
            self.differences.push(format!("{place}: no answer and no reason"));
        }
    }

    fn done(self, method: &str, expected_rows: usize) {
        println!(
            "{method}: {} rows compared of {expected_rows}, {} alarms, {} differences",
            self.compared,
            self.alarms,
            self.differences.len()
        );
        for difference in self.differences.iter().take(20) {
            println!("  {difference}");
        }
        assert!(self.differences.is_empty(), "{method}: {} differences", self.differences.len());
        assert_eq!(self.compared, expected_rows, "{method}: rows left out");
        assert!(self.compared > 0, "{method}: nothing compared");
    }
}

fn parse(name: &str, params: &[(String, String)]) -> Method {
    Method::parse(name, params).unwrap_or_else(|error| panic!("{error}"))
}

fn pairs(params: &[(&str, &str)]) -> Vec<(String, String)> {
    params.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

/// Judges all series of all cases; `check` looks at each row, whose judgement it is given.
fn compare(
    name: &str,
    folder: &Path,
    cases: &[Case],
    method_of: impl Fn(&Case, &[Row]) -> Method,
    check: impl Fn(&mut Comparison, &str, &Judgement, &Row),
) {
    let series = stored(folder);
    let mut comparison = Comparison::default();
    let mut expected_rows = 0;
    for case in cases {
        for (unit, rows) in &case.rows {
            expected_rows += rows.len();
            let series = &series[&(case.dataset.clone(), unit.clone())];
            let judgements = series.judge(&method_of(case, rows));
            for row in rows {
                let t: usize = row["t"].parse().unwrap();
                assert_eq!(series.observed[t - 1], number(&row["observed"]));
                let place = format!("{} {unit} t={t} y={}", case.id, row["observed"]);
                comparison.compared += 1;
                check(&mut comparison, &place, &judgements[t - 1], row);
            }
        }
    }
    comparison.done(name, expected_rows);
}

#[test]
fn ears_equals_r() {
    let Some(folder) = oracles() else { return };
    let cases = cases(&folder, "ears", "ears.csv.gz");
    let method = |case: &Case, _: &[Row]| {
        let name = format!("ears-{}", case.params["method"].as_str().unwrap().to_lowercase());
        parse(&name, &case.params(&["method"]))
    };
    compare("ears-c1|c2|c3", &folder, &cases, method, |comparison, place, ours, row| {
        comparison.number(place, "upperbound", ours.upperbound, number(&row["upperbound"]), 1e-9);
        comparison.alarm(place, ours, &row["alarm"]);
    });
}

/// Without `range`, R's default range must come out by itself.
#[test]
fn ears_begins_where_r_begins() {
    let Some(folder) = oracles() else { return };
    let series = stored(&folder);
    for case in cases(&folder, "ears", "ears.csv.gz") {
        let name = format!("ears-{}", case.params["method"].as_str().unwrap().to_lowercase());
        let mut params = case.params(&["method"]);
        params.retain(|(key, _)| key != "range");
        for (unit, rows) in &case.rows {
            let judgements =
                series[&(case.dataset.clone(), unit.clone())].judge(&parse(&name, &params));
            let first =
                judgements.iter().position(|judgement| judgement.alarm.is_some()).unwrap() + 1;
            let in_r = rows.iter().find(|row| !row["alarm"].is_empty()).unwrap();
            assert_eq!(first.to_string(), in_r["t"], "{} {unit}", case.id);
        }
    }
}

#[test]
fn bayes_and_rki_equal_r() {
    let Some(folder) = oracles() else { return };
    for name in ["bayes", "rki"] {
        let cases = cases(&folder, name, &format!("{name}.csv"));
        let method = |case: &Case, _: &[Row]| parse(name, &case.yearly_params(&[]));
        compare(name, &folder, &cases, method, |comparison, place, ours, row| {
            comparison.number(
                place,
                "upperbound",
                ours.upperbound,
                number(&row["upperbound"]),
                1e-9,
            );
            comparison.alarm(place, ours, &row["alarm"]);
        });
    }
}

/// The in-control means that a case gives to the detector as a list.
fn listed(rows: &[Row], column: &str) -> String {
    rows.iter().map(|row| row[column].as_str()).collect::<Vec<_>>().join(",")
}

#[test]
fn cusum_equals_r() {
    let Some(folder) = oracles() else { return };
    let cases = cases(&folder, "cusum", "cusum.csv");
    let method = |case: &Case, _: &[Row]| {
        let m_is_the_mean = case.params["m"].as_str().is_some_and(|m| m.starts_with("mean"));
        let params = case.yearly_params(if m_is_the_mean { &["m"] } else { &[] });
        parse("cusum", &params)
    };
    compare("cusum", &folder, &cases, method, |comparison, place, ours, row| {
        comparison.number(place, "upperbound", ours.upperbound, number(&row["upperbound"]), 1e-9);
        comparison.number(place, "expected", ours.expected, number(&row["m0"]), 1e-9);
        comparison.number(place, "statistic", ours.statistic, number(&row["cusum"]), 1e-9);
        comparison.alarm(place, ours, &row["alarm"]);
    });
}

#[test]
fn farrington_equals_r() {
    let Some(folder) = oracles() else { return };
    let cases = cases(&folder, "farrington_original", "farrington_original.csv");
    let method = |case: &Case, _: &[Row]| parse("farrington", &case.yearly_params(&[]));
    compare("farrington", &folder, &cases, method, |comparison, place, ours, row| {
        comparison.number(place, "upperbound", ours.upperbound, number(&row["upperbound"]), 1e-6);
        comparison.number(place, "expected", ours.expected, number(&row["median"]), 1e-6);
        comparison.number(
            place,
            "pvalue",
            ours.pvalue,
            number(&row["quantile"]).map(|q| 1.0 - q),
            1e-6,
        );
        comparison.alarm(place, ours, &row["alarm"]);
    });
}

/// All rows. Of R's columns, phi, mu0 and the trend are not compared by themselves: they make the
/// limits and p-values, which are. The score of nbPlugin and muan mixes scales in R, and where
/// there are too few cases we give none.
#[test]
fn farrington_flexible_equals_r() {
    let Some(folder) = oracles() else { return };
    let cases = cases(&folder, "farrington_flexible", "farrington_flexible.csv");
    let method = |case: &Case, _: &[Row]| {
        let mut params = case.yearly_params(&[]);
        params.push(("compat".to_owned(), "surveillance".to_owned()));
        parse("farrington-flexible", &params)
    };
    let delta: Vec<&str> = cases
        .iter()
        .filter(|case| case.params["thresholdMethod"] == "delta")
        .map(|case| case.id.as_str())
        .collect();
    compare("farrington-flexible", &folder, &cases, method, |comparison, place, ours, row| {
        let is_delta = delta.contains(&row["case"].as_str());
        let tolerance = if is_delta { 1e-6 } else { 0.0 };
        comparison.number(
            place,
            "upperbound",
            ours.upperbound,
            number(&row["upperbound"]),
            tolerance,
        );
        comparison.number(place, "expected", ours.expected, number(&row["expected"]), 1e-6);
        comparison.number(place, "pvalue", ours.pvalue, number(&row["pvalue"]), 1e-6);
        if is_delta && ours.statistic.is_some() {
            comparison.number(place, "statistic", ours.statistic, number(&row["score"]), 1e-6);
        }
        comparison.alarm(place, ours, &row["alarm"]);
    });
}

#[test]
fn glr_equals_r() {
    let Some(folder) = oracles() else { return };
    let cases = cases(&folder, "glr", "glr.csv");
    let method = |case: &Case, rows: &[Row]| {
        let mut params = case.yearly_params(&["effective", "mu0"]);
        let is_poisson = case.params["alpha"] == 0;
        match case.params["mu0"].as_object() {
            None => params.push(("mu0".to_owned(), listed(rows, "m0"))),
            Some(model) => params
                .extend(model.iter().map(|(key, value)| (format!("mu0.{key}"), value.to_string()))),
        }
        parse(if is_poisson { "glr-pois" } else { "glr-nb" }, &params)
    };
    compare("glr-pois|nb", &folder, &cases, method, |comparison, place, ours, row| {
        // The case with R's own glm.nb rests on an iterated fit.
        let tolerance = if place.starts_with("glr-066") { 1e-6 } else { 1e-9 };
        comparison.number(place, "statistic", ours.statistic, number(&row["statistic"]), tolerance);
        comparison.number(place, "expected", ours.expected, number(&row["m0"]), tolerance);
        comparison.alarm(place, ours, &row["alarm"]);
    });
}

#[test]
fn outbreakp_equals_r() {
    let Some(folder) = oracles() else { return };
    let cases = cases(&folder, "outbreakP", "outbreakP.csv");
    let method = |case: &Case, _: &[Row]| parse("outbreakp", &case.params(&[]));
    compare("outbreakp", &folder, &cases, method, |comparison, place, ours, row| {
        comparison.number(place, "statistic", ours.statistic, number(&row["statistic"]), 1e-9);
        comparison.alarm(place, ours, &row["alarm"]);
    });
}

/// With the table of R, and with the one found here.
#[test]
fn rogerson_equals_r() {
    let Some(folder) = oracles() else { return };
    let cases = cases(&folder, "rogerson", "rogerson.csv");
    for given in [true, false] {
        let method = |case: &Case, rows: &[Row]| {
            let mut params = case.params(&["theta0t"]);
            params.push(("theta0t".to_owned(), listed(rows, "theta0t")));
            if given {
                params.push(("h-values".to_owned(), "1,5.1,1.4,2,6.6,2.6,3,7.6,3.8".to_owned()));
            }
            parse("rogerson", &params)
        };
        let title = if given { "rogerson (R's limits)" } else { "rogerson (own limits)" };
        compare(title, &folder, &cases, method, |comparison, place, ours, row| {
            comparison.number(
                place,
                "upperbound",
                ours.upperbound,
                number(&row["upperbound"]),
                1e-9,
            );
            comparison.alarm(place, ours, &row["alarm"]);
        });
    }
}

#[test]
fn stcd_equals_r() {
    let Some(folder) = oracles() else { return };
    check_stcd("stcd", &folder.join("stcd.csv"), &folder.join("cases.json"));
}

#[test]
fn stcd_equals_the_committed_rows() {
    check_stcd("stcd (committed)", &committed("stcd.csv"), &committed("stcd.json"));
}

/// Every event with R's statistic, and the event of the first alarm and where its cluster begins.
fn check_stcd(title: &str, rows_at: &Path, cases_at: &Path) {
    let json: Value = serde_json::from_reader(File::open(cases_at).unwrap()).unwrap();
    let mut of_case: BTreeMap<String, Vec<Row>> = BTreeMap::new();
    for row in rows(rows_at) {
        of_case.entry(row["case"].clone()).or_default().push(row);
    }
    let mut comparison = Comparison::default();
    let mut expected_rows = 0;
    for case in json["cases"].as_array().unwrap().iter().filter(|case| case["algorithm"] == "stcd")
    {
        let rows = of_case.remove(case["case"].as_str().unwrap()).unwrap();
        expected_rows += rows.len();
        let param = |name: &str| case["params"][name].to_string();
        let params = [
            ("radius", param("radius")),
            ("epsilon", param("epsilon")),
            ("threshold", param("threshold")),
            ("cusum", param("cusum")),
        ];
        let params: Vec<(&str, &str)> = params
            .iter()
            .map(|(key, value)| (*key, value.as_str()))
            .chain([("compat", "surveillance")])
            .collect();
        let Ok(SpaceMethod::Stcd(stcd)) = SpaceMethod::parse("stcd", &pairs(&params)) else {
            panic!("stcd")
        };
        let at = |row: &Row, column: &str| number(&row[column]).unwrap();
        let places: Vec<Place> =
            rows.iter().map(|row| Place { x: at(row, "x"), y: at(row, "y") }).collect();
        let cells: Vec<Cell> = rows
            .iter()
            .enumerate()
            .map(|(place, row)| Cell {
                place,
                time: at(row, "t"),
                observed: Some(1.0),
                population: None,
                expected: None,
            })
            .collect();
        let answer = stcd.judge(&places, &cells);
        for (row, ours) in rows.iter().zip(&answer.judgements) {
            comparison.compared += 1;
            let place = format!("{} event {}", case["case"], row["i"]);
            let theirs = number(&row["R"]);
            comparison.number(&place, "statistic", ours.statistic, theirs, 1e-9);
            let alarm = theirs.unwrap() > case["params"]["threshold"].as_f64().unwrap();
            comparison.alarm(&place, ours, if alarm { "1" } else { "0" });
        }
        // R counts from 1, and gives -1 without an alarm.
        let (first, centre) =
            answer.first.map_or((-1, -1), |(first, centre)| (first as i64 + 1, centre as i64 + 1));
        assert_eq!(
            (Some(first), Some(centre)),
            (case["idxFA"].as_i64(), case["idxCC"].as_i64()),
            "{}",
            case["case"]
        );
    }
    assert!(of_case.is_empty(), "rows without a case: {:?}", of_case.keys());
    comparison.done(title, expected_rows);
}

/// The brain cancer data of New Mexico as an analyst would give them: counts and populations of
/// each county and year up to the last one scanned.
fn new_mexico(folder: &Path) -> (Vec<String>, Vec<Place>, Vec<Cell>) {
    let geo: Vec<Row> = rows(&folder.join("scan_nm/nm_geo.csv"))
        .into_iter()
        .filter(|row| row["county"] != "cibola")
        .collect();
    let counties: Vec<String> = geo.iter().map(|row| row["county"].clone()).collect();
    let place = |row: &Row| Place {
        x: number(&row["seat_long"]).unwrap(),
        y: number(&row["seat_lat"]).unwrap(),
    };
    let cell = |row: &Row| {
        let [time, population, observed] =
            ["year", "population", "count"].map(|column| number(&row[column]));
        let place = counties.iter().position(|county| *county == row["county"])?;
        (time.unwrap() < 1990.0).then_some(Cell {
            place,
            time: time.unwrap(),
            observed,
            population,
            expected: None,
        })
    };
    let cells = rows(&folder.join("scan_nm/nm_popcas.csv")).iter().filter_map(cell).collect();
    (counties.clone(), geo.iter().map(place).collect(), cells)
}

/// Four scans with their ten first clusters each; the expectations of the model-based one are
/// fitted here too, not read. Then p, which R gives for that one.
#[test]
fn scans_equal_r() {
    let Some(folder) = oracles() else { return };
    let json: Value =
        serde_json::from_reader(File::open(folder.join("scan_nm/scan_nm.json")).unwrap()).unwrap();
    let (counties, places, cells) = new_mexico(&folder);
    let years = "14:17";
    for (kind, name, params) in [
        ("expectation_poisson", "expectation-based-poisson", vec![("replicates", "9999")]),
        (
            "population_poisson_time_equal",
            "prospective-poisson",
            vec![("compat", "scanstatistics")],
        ),
        ("population_poisson_person_time", "prospective-poisson", vec![]),
        ("space_time_permutation", "space-time-permutation", vec![]),
    ] {
        let mut params = params;
        params.extend([
            ("range", years),
            ("duration-max", "4"),
            ("neighbours", "15"),
            ("distance", "great-circle"),
        ]);
        let Ok(SpaceMethod::Scan(scan)) = SpaceMethod::parse(name, &pairs(&params)) else {
            panic!("{name}")
        };
        let clusters: Vec<Cluster> = scan.clusters(&places, &cells).unwrap();
        let theirs =
            json["scans"].as_array().unwrap().iter().find(|scan| scan["kind"] == kind).unwrap();
        let theirs = theirs["top"].as_array().unwrap();
        let mut comparison = Comparison::default();
        for (rank, (ours, theirs)) in clusters.iter().zip(theirs).enumerate() {
            comparison.compared += 1;
            let place = format!("{kind} cluster {}", rank + 1);
            let names: Vec<Value> =
                ours.places.iter().map(|place| Value::from(counties[*place].as_str())).collect();
            // R writes a list of one as its only element.
            let in_r = if theirs["counties"].is_array() {
                theirs["counties"].clone()
            } else {
                Value::from(vec![theirs["counties"].clone()])
            };
            if Value::from(names.clone()) != in_r
                || theirs["duration"].as_u64() != Some(ours.duration as u64)
            {
                comparison
                    .differences
                    .push(format!("{place}: {names:?} for {} years, in R {theirs}", ours.duration));
            }
            comparison.number(
                &place,
                "observed",
                Some(ours.observed),
                theirs["observed"].as_f64(),
                0.0,
            );
            comparison.number(
                &place,
                "expected",
                Some(ours.expected),
                theirs["expected"].as_f64(),
                1e-9,
            );
            comparison.number(&place, "LLR", Some(ours.statistic), theirs["llr"].as_f64(), 1e-9);
            assert_eq!(ours.span, (1990.0 - ours.duration as f64, 1989.0));
        }
        comparison.done(&format!("{name} ({kind})"), theirs.len());
        if kind == "expectation_poisson" {
            let (ours, theirs) = (
                clusters[0].pvalue.unwrap(),
                json["mc_p_expectation_poisson_999"].as_f64().unwrap(),
            );
            // Three binomial standard deviations of R's 999 replicates and our 9999.
            let deviation = (theirs * (1.0 - theirs) * (1.0 / 999.0 + 1.0 / 9999.0)).sqrt();
            println!(
                "{name}: Monte-Carlo p {ours} of 9999 replicates, in R {theirs} of 999 (standard \
                    deviation {deviation:.4})"
            );
            assert!((ours - theirs).abs() <= 3.0 * deviation, "p is {ours}, in R {theirs}");
        }
    }
}

/// R's `algo.quality`: bayes against the known outbreaks of the simulated point source.
#[test]
fn quality_equals_r() {
    let Some(folder) = oracles() else { return };
    let json: Value =
        serde_json::from_reader(File::open(folder.join("quality.json")).unwrap()).unwrap();
    let series = stored(&folder);
    let range = json["bayes_range"]
        .as_array()
        .unwrap()
        .iter()
        .map(|t| t.as_u64().unwrap() as usize)
        .collect::<Vec<_>>();
    let judged = series[&("simPointSource101".to_owned(), "total".to_owned())].judge(&parse(
        "bayes",
        &pairs(&[("b", "0"), ("w", "6"), ("act-y", "true"), ("alpha", "0.05"), ("freq", "52")]),
    ));
    let state: Vec<bool> =
        json["state"].as_array().unwrap().iter().map(|state| state == 1).collect();
    let mut table = [[0.0; 2]; 2];
    for t in range[0] - 1..range[1] {
        table[usize::from(state[t])][usize::from(judged[t].alarm == Some(true))] += 1.0;
    }
    let [[tn, fp], [miss, tp]] = table;
    let (sens, spec): (f64, f64) = (tp / (tp + miss), tn / (tn + fp));
    // The lag of each outbreak until its first alarm, or the penalty.
    let starts: Vec<usize> =
        (range[0] - 1..range[1]).filter(|t| state[*t] && !state[t - 1]).collect();
    let lag = |start: &usize| {
        let last = (*start..state.len()).take_while(|t| state[*t]).last().unwrap();
        (*start..=last)
            .position(|t| judged[t].alarm == Some(true))
            .map_or(json["penalty"].as_f64().unwrap(), |lag| lag as f64)
    };
    let lags = starts.iter().map(lag).sum::<f64>() / starts.len() as f64;
    let dist = ((1.0 - sens).powi(2) + (1.0 - spec).powi(2)).sqrt();
    let mut comparison = Comparison::default();
    for (name, ours) in [
        ("TP", tp),
        ("FP", fp),
        ("TN", tn),
        ("FN", miss),
        ("sens", sens),
        ("spec", spec),
        ("dist", dist),
        ("mlag", lags),
    ] {
        comparison.compared += 1;
        comparison.number("quality", name, Some(ours), json["quality"][name].as_f64(), 1e-9);
    }
    comparison.done("algo.quality of bayes", 8);
}

#[test]
fn essence_equals_its_oracle() {
    let Some(folder) = oracles() else { return };
    check_essence("essence", &folder.join("essence.csv.gz"));
}

#[test]
fn essence_equals_the_committed_rows() {
    check_essence("essence (committed)", &committed("essence.csv.gz"));
}

fn check_essence(title: &str, path: &Path) {
    let mut by_series: BTreeMap<String, Vec<Row>> = BTreeMap::new();
    for row in rows(path) {
        by_series.entry(row["series"].clone()).or_default().push(row);
    }
    for (name, prefix) in
        [("essence-regression", "reg"), ("essence-ewma", "ewma"), ("essence-switch", "switch")]
    {
        let mut comparison = Comparison::default();
        let mut expected_rows = 0;
        for (series, rows) in &by_series {
            expected_rows += 2 * rows.len();
            let observed: Vec<Option<f64>> =
                rows.iter().map(|row| number(&row["observed"])).collect();
            let days: Vec<i64> = rows.iter().map(|row| day(&row["date"])).collect();
            let input = Series { observed: &observed, days: Some(&days), ..Series::default() };
            // The alerts of ESSENCE: red below 0.01, yellow below 0.05.
            for (alpha, colours) in [("0.01", ["red", "red"]), ("0.05", ["red", "yellow"])] {
                let judgements = detect_series(&parse(name, &pairs(&[("alpha", alpha)])), &input);
                for (row, ours) in rows.iter().zip(&judgements) {
                    let place = format!("{name} {series} t={}", row["t"]);
                    let column = |column: &str| row[&format!("{prefix}_{column}")].as_str();
                    comparison.compared += 1;
                    comparison.number(
                        &place,
                        "expected",
                        ours.expected,
                        number(column("expected")),
                        1e-9,
                    );
                    comparison.number(
                        &place,
                        "statistic",
                        ours.statistic,
                        number(column("statistic")),
                        1e-9,
                    );
                    comparison.number(
                        &place,
                        "pvalue",
                        ours.pvalue,
                        number(column("pvalue")),
                        1e-9,
                    );
                    // Before there is a baseline all are grey, but for those that the original
                    // turns blue for being below the weekly mean, without ever having judged them.
                    let theirs = match (column("pvalue"), column("alert")) {
                        ("", "grey" | "blue") => "",
                        (_, colour) if colours.contains(&colour) => "1",
                        _ => "0",
                    };
                    comparison.alarm(&place, ours, theirs);
                    if let (Some(upperbound), Some(true)) = (ours.upperbound, ours.alarm) {
                        assert!(number(&row["observed"]).unwrap() > upperbound, "{place}");
                    }
                }
            }
        }
        comparison.done(&format!("{name} ({title}, both levels)"), expected_rows);
    }
}

fn check_eears(name: &str, path: &Path) {
    let mut by_series: BTreeMap<(String, String), Vec<Row>> = BTreeMap::new();
    for row in rows(path) {
        by_series.entry((row["series"].clone(), row["step"].clone())).or_default().push(row);
    }
    let mut comparison = Comparison::default();
    let mut expected_rows = 0;
    for ((series, step), rows) in &by_series {
        expected_rows += rows.len();
        let first = &rows[0];
        let method = parse(
            "eears",
            &pairs(&[
                ("compat", "epitweetr"),
                ("alpha", &first["alpha"]),
                ("alpha-outlier", &first["alpha_outlier"]),
                ("k-decay", &first["k_decay"]),
                ("n", &first["n"]),
                ("step", step),
            ]),
        );
        let observed: Vec<Option<f64>> = rows.iter().map(|row| number(&row["observed"])).collect();
        let judgements =
            detect_series(&method, &Series { observed: &observed, ..Series::default() });
        for (row, ours) in rows.iter().zip(&judgements) {
            let place = format!("{series} step={step} t={}", row["t"]);
            comparison.compared += 1;
            comparison.number(&place, "expected", ours.expected, number(&row["baseline"]), 1e-9);
            comparison.number(&place, "upperbound", ours.upperbound, number(&row["U0_dw"]), 1e-9);
            comparison.alarm(&place, ours, &row["alarm_dw"]);
        }
    }
    comparison.done(name, expected_rows);
}

#[test]
fn eears_equals_r() {
    let Some(folder) = oracles() else { return };
    check_eears("eears", &folder.join("eears.csv.gz"));
}

#[test]
fn eears_equals_the_committed_rows() {
    check_eears("eears (committed)", &committed("eears.csv.gz"));
}

type Params<'a> = &'a [(&'a str, &'a str)];

const NOUFAILY: Params = &[
    ("range", "576:624"),
    ("no-periods", "10"),
    ("past-weeks-not-included", "26"),
    ("alpha", "0.01"),
    ("p-threshold-trend", "1"),
    ("threshold-method", "nbPlugin"),
    ("compat", "surveillance"),
];
const MUAN: Params = &[
    ("range", "576:624"),
    ("no-periods", "10"),
    ("past-weeks-not-included", "26"),
    ("alpha", "0.01"),
    ("p-threshold-trend", "1"),
    ("threshold-method", "muan"),
    ("compat", "surveillance"),
];
const DELTA: Params = &[
    ("range", "576:624"),
    ("no-periods", "10"),
    ("past-weeks-not-included", "26"),
    ("compat", "surveillance"),
];

/// The alarms of R in the last 49 weeks of the simulated weekly series of Noufaily's 28 scenarios,
/// for the methods of the `bench` table of that name and their parameters.
const BENCH: &[(&str, &str, Params)] = &[
    ("earsC1", "ears-c1", &[]),
    ("earsC2", "ears-c2", &[]),
    ("earsC3", "ears-c3", &[]),
    ("bayes1", "bayes", &[]),
    ("bayes2", "bayes", &[("b", "1")]),
    ("bayes3", "bayes", &[("b", "2"), ("w", "4"), ("act-y", "false")]),
    ("rki1", "rki", &[("b", "0"), ("w", "6"), ("act-y", "true")]),
    ("rki3", "rki", &[]),
    ("farrington_original_a01", "farrington", &[("alpha", "0.01"), ("range", "576:624")]),
    ("ff_nbPlugin_a01", "farrington-flexible", NOUFAILY),
    ("ff_muan_a01", "farrington-flexible", MUAN),
    ("ff_delta_a05", "farrington-flexible", DELTA),
    ("glrpois_S1", "glr-pois", &[("range", "576:624")]),
    ("cusum", "cusum", &[("range", "576:624")]),
    ("cusum_rossi", "cusum", &[("range", "576:624"), ("trans", "rossi")]),
    ("cusum_glm_rossi", "cusum", &[("range", "576:624"), ("trans", "rossi"), ("m", "glm")]),
];

fn check_bench(
    comparison: &mut Comparison,
    method: &Method,
    place: &str,
    observed: &[Option<f64>],
    alarms: &str,
) {
    let judgements = detect_series(method, &Series { observed, ..Series::default() });
    let last = &judgements[judgements.len() - alarms.len()..];
    for (index, (ours, theirs)) in last.iter().zip(alarms.chars()).enumerate() {
        comparison.compared += 1;
        // The table holds R's missing alarms as 0.
        let ours = Judgement { alarm: Some(ours.alarm == Some(true)), ..*ours };
        comparison.alarm(&format!("{place} week {index}"), &ours, theirs.to_string().as_str());
    }
}

#[test]
fn alarms_equal_the_committed_bench() {
    let table = rows(&committed("bench.csv.gz"));
    for (column, name, params) in BENCH {
        let mut comparison = Comparison::default();
        let method = parse(name, &pairs(params));
        for row in &table {
            let observed: Vec<Option<f64>> = row["observed"].split(' ').map(number).collect();
            let place = format!("{column} scenario {}", row["scenario"]);
            check_bench(&mut comparison, &method, &place, &observed, &row[*column]);
        }
        comparison.done(&format!("{column} (committed bench)"), table.len() * 49);
    }
}

/// Calm and struck counts of each scenario and run of the bench.
type Bench = BTreeMap<(String, String), [Vec<Option<f64>>; 2]>;

fn bench_series(folder: &Path) -> Bench {
    let mut series = Bench::new();
    for row in rows(&folder.join("bench/series.csv.gz")) {
        let count = |column: &str| number(&row[column]).unwrap();
        let without = count("base") + count("past");
        let [calm, struck] =
            series.entry((row["scenario"].clone(), row["rep"].clone())).or_default();
        calm.push(Some(without));
        struck.push(Some(without + count("current")));
    }
    series
}

/// The share of weeks with a false alarm and of outbreaks found, as Bedubourg & Le Strat (2017) and
/// `score.py` of the oracles count them, for our own default (no `compat`).
#[test]
fn farrington_flexible_scores_on_the_bench() {
    let Some(folder) = oracles() else { return };
    const FIRST_WEEK: usize = 576;
    let params: Vec<(&str, &str)> =
        NOUFAILY.iter().copied().filter(|(key, _)| *key != "compat").collect();
    let method = parse("farrington-flexible", &pairs(&params));
    let alarms = |observed: &[Option<f64>]| -> Vec<bool> {
        let judgements = detect_series(&method, &Series { observed, ..Series::default() });
        judgements[FIRST_WEEK - 1..].iter().map(|judgement| judgement.alarm == Some(true)).collect()
    };
    let series = bench_series(&folder);
    let (mut false_alarms, mut weeks, mut found, mut outbreaks) = (0, 0, 0, 0);
    for row in
        rows(&folder.join("bench/outbreaks.csv")).iter().filter(|row| row["kind"] == "current")
    {
        let [calm, struck] = &series[&(row["scenario"].clone(), row["rep"].clone())];
        let calm = alarms(calm);
        false_alarms += calm.iter().filter(|alarm| **alarm).count();
        weeks += calm.len();
        let week = |column: &str| row[column].parse::<usize>().unwrap() - FIRST_WEEK;
        found += usize::from(alarms(struck)[week("start")..=week("end")].contains(&true));
        outbreaks += 1;
    }
    let (rate, power) = (false_alarms as f64 / weeks as f64, found as f64 / f64::from(outbreaks));
    println!(
        "farrington-flexible (nbPlugin, 0.01) on the bench: FPR {:.2} % of {weeks} weeks, POD \
            {:.1} % of {outbreaks} outbreaks",
        100.0 * rate,
        100.0 * power
    );
    assert!((0.007..=0.013).contains(&rate) && power >= 0.43);
}

#[test]
fn alarms_equal_the_whole_bench() {
    let Some(folder) = oracles() else { return };
    let series = bench_series(&folder);
    let table = rows(&folder.join("bench/alarms.csv.gz"));
    for (column, name, params) in BENCH {
        let mut comparison = Comparison::default();
        let method = parse(name, &pairs(params));
        for row in table.iter().filter(|row| row["method"] == *column) {
            let [calm, struck] = &series[&(row["scenario"].clone(), row["rep"].clone())];
            let place = format!("{column} scenario {} run {}", row["scenario"], row["rep"]);
            check_bench(
                &mut comparison,
                &method,
                &format!("{place} without"),
                calm,
                &row["without_outbreak"],
            );
            check_bench(
                &mut comparison,
                &method,
                &format!("{place} with"),
                struck,
                &row["with_outbreak"],
            );
        }
        comparison.done(&format!("{column} (bench)"), 140 * 2 * 49);
    }
}
