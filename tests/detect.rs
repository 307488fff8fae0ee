//! `detect` from outside: the committed rows of R through CSV, the methods of space and time, and
//! what it refuses.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::program::Folder;

type Row = BTreeMap<String, String>;

fn committed(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/oracles").join(name)
}

fn rows_of(csv: &str) -> Vec<Row> {
    csv::Reader::from_reader(csv.as_bytes())
        .deserialize()
        .map(|row| row.expect("a row of CSV"))
        .collect()
}

fn committed_rows(name: &str) -> Vec<Row> {
    let mut text = String::new();
    let file = File::open(committed(name)).expect("a committed oracle");
    match name.ends_with(".gz") {
        true => flate2::read::GzDecoder::new(file).read_to_string(&mut text),
        false => { file }.read_to_string(&mut text),
    }
    .expect("text");
    rows_of(&text)
}

fn near(ours: &str, theirs: &str) -> bool {
    match (ours.parse::<f64>(), theirs.parse::<f64>()) {
        (Ok(a), Ok(b)) => (a - b).abs() <= 1e-9 * a.abs().max(b.abs()).max(1e-4),
        _ => ours == theirs,
    }
}

fn detect(folder: &Folder, args: &[&str], input: String) -> Vec<Row> {
    let args: Vec<&str> = ["detect"].into_iter().chain(args.iter().copied()).collect();
    rows_of(&folder.output_of(&args, input.into_bytes()).ends(0).stdout())
}

#[test]
fn eears_and_essence_equal_the_committed_rows() {
    let folder = Folder::new();
    let mut compared = 0;
    let mut by_parameters: BTreeMap<Vec<String>, Vec<Row>> = BTreeMap::new();
    for row in committed_rows("eears.csv.gz") {
        let key = |(name, column): (&str, &str)| format!("{name}={}", row[column]);
        let params = [
            ("alpha", "alpha"),
            ("alpha-outlier", "alpha_outlier"),
            ("k-decay", "k_decay"),
            ("n", "n"),
            ("step", "step"),
        ]
        .map(key);
        by_parameters.entry(params.to_vec()).or_default().push(row);
    }
    for (params, rows) in &by_parameters {
        let mut args = vec!["--method", "eears", "--param", "compat=epitweetr"];
        params.iter().for_each(|param| args.extend(["--param", param]));
        let input: String = rows
            .iter()
            .map(|row| format!("{},{},{}\n", row["series"], row["t"], row["observed"]))
            .collect();
        let ours = detect(&folder, &args, format!("series,time,observed\n{input}"));
        assert_eq!(ours.len(), rows.len());
        for (ours, theirs) in ours.iter().zip(rows) {
            assert_eq!(
                (&ours["series"], &ours["time"], &ours["alarm"]),
                (&theirs["series"], &theirs["t"], &theirs["alarm_dw"]),
                "{theirs:?}"
            );
            assert!(
                near(&ours["upperbound"], &theirs["U0_dw"])
                    && near(&ours["expected"], &theirs["baseline"]),
                "{ours:?} {theirs:?}"
            );
            compared += 1;
        }
    }
    let rows = committed_rows("essence.csv.gz");
    let input: String = rows
        .iter()
        .map(|row| format!("{},{},{}\n", row["series"], row["date"], row["observed"]))
        .collect();
    for (method, prefix) in
        [("essence-regression", "reg"), ("essence-ewma", "ewma"), ("essence-switch", "switch")]
    {
        let ours = detect(&folder, &["--method", method], format!("series,time,observed\n{input}"));
        assert_eq!(ours.len(), rows.len());
        for (ours, theirs) in ours.iter().zip(&rows) {
            for column in ["expected", "statistic", "pvalue"] {
                assert!(
                    near(&ours[column], &theirs[&format!("{prefix}_{column}")]),
                    "{method} {column} {ours:?} {theirs:?}"
                );
            }
            compared += 1;
        }
    }
    println!("{compared} rows of R compared through the program");
}

#[test]
fn stcd_equals_the_committed_rows() {
    let folder = Folder::new();
    let rows: Vec<Row> =
        committed_rows("stcd.csv").into_iter().filter(|row| row["case"] == "stcd-071").collect();
    let places: String =
        rows.iter().map(|row| format!("{},{},{}\n", row["i"], row["x"], row["y"])).collect();
    folder.write("places.csv", format!("series,x,y\n{places}"));
    let input: String = rows.iter().map(|row| format!("{},{},1\n", row["i"], row["t"])).collect();
    let args = [
        "detect",
        "--method",
        "stcd",
        "--places",
        "places.csv",
        "--param",
        "radius=8",
        "--param",
        "epsilon=0.5",
    ];
    let done =
        folder.output_of(&args, format!("series,time,observed\n{input}").into_bytes()).ends(0);
    let ours = rows_of(&done.stdout());
    assert_eq!(ours.len(), rows.len());
    for (ours, theirs) in ours.iter().zip(&rows) {
        assert!(near(&ours["statistic"], &theirs["R"]), "{ours:?} {theirs:?}");
    }
    assert!(
        done.stderr().contains("series `89`") && done.stderr().contains("begins with series `54`"),
        "{}",
        done.stderr()
    );
}

#[test]
fn scans_print_clusters() {
    let folder = Folder::new();
    folder
        .write("places.csv", "series,lon,lat\nBerlin,13.4,52.5\nPotsdam,13.06,52.4\nParis,2.35,48.86\nRome,12.5,41.9\nMadrid,-3.7,40.4\n");
    let mut input = "series,time,observed,population\n".to_owned();
    for (city, usual) in [("Berlin", 4), ("Potsdam", 2), ("Paris", 5), ("Rome", 4), ("Madrid", 5)] {
        for day in 1..=20 {
            let struck = day >= 18 && ["Berlin", "Potsdam"].contains(&city);
            let count = if struck { usual * 6 } else { usual + day % 3 };
            input += &format!("{city},2026-11-{day:02},{count},{}\n", usual * 1000);
        }
    }
    for method in ["space-time-permutation", "prospective-poisson", "expectation-based-poisson"] {
        let clusters =
            detect(&folder, &["--method", method, "--places", "places.csv"], input.clone());
        let first = &clusters[0];
        assert_eq!(first["places"], "Berlin;Potsdam", "{method}: {first:?}");
        assert_eq!(
            (first["first"].as_str(), first["last"].as_str()),
            ("2026-11-18", "2026-11-20"),
            "{method}"
        );
        assert_eq!((first["alarm"].as_str(), first["pvalue"].as_str()), ("1", "0.001"), "{method}");
        let calm = input.lines().filter(|line| {
            !line.contains("2026-11-2") && line.contains("2026-11-0") || line.starts_with("series")
        });
        let calm: String = calm.map(|line| format!("{line}\n")).collect();
        let first = &detect(&folder, &["--method", method, "--places", "places.csv"], calm)[0];
        assert!(
            first["alarm"] == "0" || first["reason"] == "baseline-too-short",
            "{method}: {first:?}"
        );
    }
}

#[test]
fn bad_input_has_a_reason_and_bad_usage_a_hint() {
    let folder = Folder::new();
    folder.write("places.csv", "series,x,y\na,0,0\nb,1,1\n");
    folder.write("lost.csv", "series,x,y\na,0,north\n");
    let reasons = |args: &[&str], input: &str| -> Vec<String> {
        detect(&folder, args, format!("series,time,observed\n{input}"))
            .iter()
            .map(|row| row["reason"].clone())
            .collect()
    };
    let past = (1..=8).map(|day| format!("a,{day},{}\n", day % 3)).collect::<String>();
    for (last, reason) in [
        ("a,9,NA", "missing-value"),
        ("a,9,", "missing-value"),
        ("a,9,-4", "negative-count"),
        ("a,9,NaN", "not-finite"),
        ("a,3,4", "time-not-increasing"),
        ("a,9,1e15", ""),
    ] {
        assert_eq!(
            reasons(&["--method", "ears-c1"], &format!("{past}{last}\n"))[8],
            reason,
            "{last}"
        );
    }
    assert!(reasons(&["--method", "ears-c1"], "").is_empty());
    assert_eq!(reasons(&["--method", "ears-c1"], "a,1,5\n"), ["baseline-too-short"]);
    let scan = ["--method", "space-time-permutation", "--places", "places.csv"];
    assert_eq!(reasons(&scan, ""), ["baseline-too-short"]);
    assert_eq!(reasons(&scan, "a,2,5\na,1,5\nb,1,1\n"), ["time-not-increasing"]);
    assert_eq!(reasons(&scan, "a,1,0\nb,1,0\n"), ["no-excess"]);
    for (args, code, hint) in [
        (&["--method", "stcd"][..], 64, "`--places places.csv`"),
        (&["--method", "ears-c1", "--places", "places.csv"], 64, "`--places` is for `stcd`"),
        (&["--method", "stdc"], 64, "did you mean `stcd`?"),
        (&["--method", "stcd", "--places", "places.csv"], 64, "`--param radius=50`"),
        (
            &["--method", "stcd", "--places", "lost.csv", "--param", "radius=1"],
            1,
            "`north` is not a number",
        ),
        (
            &["--method", "prospective-poisson", "--places", "none.csv"],
            1,
            "failed to open `none.csv`",
        ),
    ] {
        let args: Vec<&str> = ["detect"].into_iter().chain(args.iter().copied()).collect();
        let done = folder.output_of(&args, b"series,time,observed\na,1,1\n".to_vec()).ends(code);
        assert!(done.stderr().contains(hint), "{args:?}: {}", done.stderr());
    }
}
