//! Places from outside: what `locate` answers, own regions from GeoJSON to counts and alerts, and
//! profiles asked over HTTP.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::live;
use crate::program::{Folder, root};

const TRAVIS: (f64, f64) = (30.25, -97.75);
const EL_PASO: (f64, f64) = (31.85, -106.43);
const JUAREZ: (f64, f64) = (31.6, -106.5);

fn located(folder: &Folder, lines: &str) -> Vec<Value> {
    let said = folder.output_of(&["locate"], lines.as_bytes().to_vec()).ends(0).stdout();
    said.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
}

#[test]
fn texts_and_coordinates_are_located_line_by_line() {
    let folder = Folder::new();
    let lines = "{\"text\":\"Paris, TX\"}\n{\"text\":\"São Paulo 🇧🇷\"}\n{\"text\":\"London, \
        Ontario\"}\n{\"text\":\"the moon\"}\n\n{\"lat\":41.9022,\"lon\":12.4539}\n{\"lat\":0,\"lon\":0}\n{\"lat\":0,\"lon\":0,\"text\":\"Lyon\"}\n{\"text\":\"\\ud800\"}";
    let answers = located(&folder, lines);
    let regions: Vec<&str> =
        answers.iter().map(|answer| answer["region"].as_str().unwrap()).collect();
    assert_eq!(regions, ["US-TX", "BR-SP", "CA-ON", "ZZ", "IT-62", "ZZ", "FR-ARA", "ZZ"]);
    assert_eq!(answers[4]["flags"], json!(["near-border"]));
    assert_eq!(
        (&answers[5]["reason"], &answers[5]["provenance"]),
        (&json!("null-island"), &json!("coordinates"))
    );
    assert_eq!(
        (&answers[0]["country"], &answers[0]["level"], &answers[0]["meaning"]),
        (&json!("US"), &json!(1), &json!("author_home"))
    );
    for (line, why) in [
        ("{\"lat\":1}", "`lat` without `lon`"),
        ("{}", "it has neither"),
        ("[1]", "invalid"),
        ("{\"lat\":\"x\"}", "invalid type"),
    ] {
        let text = format!("{{\"text\":\"Lyon\"}}\n{line}\n");
        let done = folder.output_of(&["locate"], text.into_bytes()).ends(1);
        assert!(
            done.stderr().starts_with("error: line 2 of standard input is not `{\"lat\":…")
                && done.stderr().contains(why),
            "{}",
            done.stderr()
        );
        assert_eq!(done.stdout().lines().count(), 1, "what came before is answered");
    }
}

/// The numbers that the labelled set must reach, by the program itself.
#[test]
fn the_labelled_set_is_located_as_often_as_promised() {
    let file = std::fs::read_to_string(root().join("tests/data/atlas/places.tsv"))
        .expect("the labelled set");
    let rows: Vec<Vec<&str>> = file
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.split('\t').collect())
        .collect();
    let lines: Vec<String> = rows.iter().map(|row| json!({"text": row[2]}).to_string()).collect();
    let answers = located(&Folder::new(), &lines.join("\n"));
    assert!(answers.len() == rows.len() && rows.len() >= 400);
    let share = |of: &dyn Fn(&Vec<&str>, &Value) -> Option<bool>| {
        let judged: Vec<bool> =
            rows.iter().zip(&answers).filter_map(|(row, answer)| of(row, answer)).collect();
        100.0 * judged.iter().filter(|right| **right).count() as f64 / judged.len() as f64
    };
    let country = |row: &[&str]| {
        row[0]
            .split('-')
            .next()
            .map(|country| if country == "ZZ" { Value::Null } else { json!(country) })
    };
    let accuracy = share(&|row, answer| Some(Some(&answer["country"]) == country(row).as_ref()));
    let precision = share(&|row, answer| {
        (answer["region"] != "ZZ").then(|| Some(&answer["country"]) == country(row).as_ref())
    });
    let invented = share(&|row, answer| (row[1] == "none").then(|| answer["region"] != "ZZ"));
    let first_level =
        share(&|row, answer| row[0].contains('-').then(|| answer["region"] == row[0]));
    println!(
        "country {accuracy:.1} %, precision {precision:.1} %, invented {invented:.1} %, first \
            level {first_level:.1} %"
    );
    assert!(accuracy >= 92.0 && precision >= 95.0 && invented <= 5.0 && first_level >= 85.0);
}

fn square(code: &str, parent: Option<&str>, (south, west): (f64, f64), size: f64) -> Value {
    let (north, east) = (south + size, west + size);
    let ring = [[west, south], [east, south], [east, north], [west, north], [west, south]];
    json!({"type": "Feature", "properties": {"code": code, "parent": parent, "name": "A square"},
           "geometry": {"type": "Polygon", "coordinates": [ring]}})
}

/// A folder with the regions of an operator: a county, and a flood on both sides of a border.
fn with_regions() -> Folder {
    let folder = Folder::new();
    let file =
        |features: &[Value]| json!({"type": "FeatureCollection", "features": features}).to_string();
    folder.write(
        "counties.geojson",
        file(&[square("US-TX-TRAVIS", Some("US-TX"), (30.0, -98.0), 0.5)]),
    );
    folder.write("flood.geojson", file(&[square("x:flood", None, (31.0, -107.0), 1.5)]));
    folder.write(
        "people.csv",
        "region,population\nus-tx-travis,1300000\nx:flood,2300000\nUS-TX,30000000\n",
    );
    folder.write(
        "regions.toml",
        "[atlas]\nregions = [\"*.geojson\"]\npopulations = [\"people.csv\"]\n",
    );
    folder
}

fn post(n: i64, at: i64, (lat, lon): (f64, f64)) -> Value {
    json!({"id": format!("flu{n}"), "author": format!("ill{n}"), "created_at": at, "text": "#flu \
        since last night", "lat": lat, "lon": lon, "langs": ["en"]})
}

#[test]
fn a_county_and_an_overlay_across_a_border_are_counted_and_alerted() {
    let folder = with_regions();
    let begin = live::OUTBREAK + 100;
    let mut lines = live::quiet(|n| match n % 3 {
        0 => json!({"lat": TRAVIS.0, "lon": TRAVIS.1}),
        1 => json!({"lat": EL_PASO.0, "lon": EL_PASO.1}),
        _ => json!({"profile": "Ciudad Juárez, México", "lat": JUAREZ.0, "lon": JUAREZ.1}),
    });
    // A county's outbreak; two days later one that only the overlay sees whole.
    lines.extend((0..10).map(|n| (begin + n, post(n, begin + n, TRAVIS))));
    let later = begin + 2 * 86_400;
    lines.extend(
        (0..12).map(|n| {
            (later + n, post(100 + n, later + n, if n % 2 == 0 { EL_PASO } else { JUAREZ }))
        }),
    );
    folder.write("posts.ndjson", live::in_order(lines));
    let args = [
        "replay",
        "posts.ndjson",
        "--config",
        "regions.toml",
        "--counts",
        "c.csv",
        "--alerts",
        "a.ndjson",
    ];
    folder.output(&args).ends(0);

    let mut posts: BTreeMap<String, u64> = BTreeMap::new();
    for row in csv::Reader::from_path(folder.file("c.csv"))
        .expect("counts")
        .records()
        .map(|row| row.expect("a row"))
    {
        if &row[0] == "influenza" {
            *posts.entry(row[1].to_owned()).or_default() += row[3].parse::<u64>().expect("a count");
        }
    }
    let expected = [
        ("001", 22),
        ("MX", 6),
        ("MX-CHH", 6),
        ("US", 16),
        ("US-TX", 16),
        ("US-TX-TRAVIS", 10),
        ("lang:en", 22),
        ("x:flood", 12),
    ];
    assert_eq!(posts, expected.map(|(region, posts)| (region.to_owned(), posts)).into());

    let alerts: Vec<Value> = folder
        .read("a.ndjson")
        .lines()
        .map(|line| serde_json::from_str(line).expect("an alert"))
        .collect();
    let in_alarm = |region: &str| {
        alerts.iter().any(|alert| {
            alert["regions"].as_array().is_some_and(|regions| regions.contains(&json!(region)))
        })
    };
    assert!(alerts.iter().any(|alert| alert["region"] == "US-TX-TRAVIS"), "{alerts:?}");
    assert!(in_alarm("x:flood"), "{alerts:?}");
}

#[test]
fn own_regions_are_listed_shown_located_and_checked() {
    let folder = with_regions();
    let output = |args: &[&str]| folder.output(&[args, &["--config", "regions.toml"]].concat());
    let list = output(&["regions", "list", "--own"]).ends(0).stdout();
    assert_eq!(
        list,
        "US-TX-TRAVIS\t2\tUS-TX\t1300000\tA square\nx:flood\t-1\t-\t2300000\tA square\n"
    );
    let show: Value = serde_json::from_str(
        &output(&["regions", "show", "us-tx-travis", "--json"]).ends(0).stdout(),
    )
    .unwrap();
    assert_eq!(
        (&show["path"], &show["population"]),
        (&json!("US/US-TX/US-TX-TRAVIS"), &json!(1_300_000))
    );
    let texas = output(&["regions", "show", "US-TX"]).ends(0).stdout();
    assert!(
        texas.contains("population  30000000") && texas.contains("geonames    4736286"),
        "{texas}"
    );
    let below = output(&["regions", "list", "--under", "us-tx"]).ends(0).stdout();
    assert_eq!(
        below.lines().map(|line| line.split('\t').next().unwrap()).collect::<Vec<_>>(),
        ["US-TX", "US-TX-TRAVIS"]
    );
    let question = json!({"lat": EL_PASO.0, "lon": EL_PASO.1}).to_string();
    let args = ["locate", "--config", "regions.toml"];
    let answer: Value =
        serde_json::from_str(&folder.output_of(&args, question.into_bytes()).ends(0).stdout())
            .unwrap();
    assert_eq!((&answer["region"], &answer["overlays"]), (&json!("US-TX"), &json!(["x:flood"])));
    assert!(
        output(&["regions", "show", "XX-1"])
            .ends(64)
            .stderr()
            .contains("hint: `pumphandle regions list`")
    );

    assert_eq!(
        output(&["regions", "check", "counties.geojson"]).ends(0).stdout(),
        "ok: 1 own region\n"
    );
    folder.write(
        "bad.geojson",
        "{\"type\": \"FeatureCollection\",\n \"features\": [\n".to_owned()
            + &square("US-TX-2", Some("FR"), (30.0, -98.0), 0.5).to_string()
            + "]}",
    );
    let said = output(&["regions", "check", "bad.geojson"]).ends(64).stderr();
    assert!(
        said.contains("`US-TX-2` doesn't lie in its parent `FR`")
            && said.contains("`bad.geojson`, line 3"),
        "{said}"
    );
    // `check` tells the same of what the configuration names, and of populations.
    folder.write("people.csv", "region,population\nUS-XX,1\nUS,many\n");
    let said = output(&["check"]).ends(64).stdout();
    for part in ["bad.geojson`, line 3", "hint: "] {
        assert!(said.contains(part), "no `{part}`: {said}");
    }
    std::fs::remove_file(folder.file("bad.geojson")).unwrap();
    let said = output(&["check"]).ends(64).stdout();
    for part in
        ["unknown region `US-XX`", "people.csv`, line 2", "`many` is no population", "line 3"]
    {
        assert!(said.contains(part), "no `{part}`: {said}");
    }
    folder.write("people.csv", "region,population\n");
    folder.write(
        "words.toml",
        "[atlas]\nevidence = [\"coordinates\", \"guess\", \
        \"coordinates\"]\nregions = [\"none-*.geojson\"]\n",
    );
    let said = folder.output(&["check", "--config", "words.toml"]).ends(64).stdout();
    for part in [
        "bad value `guess` for `evidence`",
        "`coordinates` twice",
        "no file matches `none-*.geojson` for `regions` in `[atlas]`",
    ] {
        assert!(said.contains(part), "no `{part}`: {said}");
    }
}

#[test]
fn evidence_is_believed_in_the_order_that_is_configured() {
    let folder = Folder::new();
    let line = |id: u32, more: &str| {
        format!(
            "{{\"id\":\"{id}\",\"author\":\"a{id}\",\"created_at\":1767603600,\"text\":\"#flu at \
                home in Nairobi\",{more}}}\n"
        )
    };
    let lines = [
        line(1, "\"lat\":52.52,\"lon\":13.405,\"place\":\"Lyon\",\"profile\":\"Milan, Italy\""),
        line(2, "\"place\":\"Lyon\",\"profile\":\"Milan, Italy\""),
        line(3, "\"profile\":\"Milan, Italy\""),
        line(4, "\"lat\":0,\"lon\":0,\"profile\":\"the moon\""),
        line(5, "\"region\":\"PT\",\"lat\":52.52,\"lon\":13.405"),
        line(6, "\"lat\":95,\"lon\":13,\"profile\":\"\""),
    ];
    folder.write("posts.ndjson", lines.concat());
    let regions = |sets: &[&str]| {
        folder.output(&[&["replay", "posts.ndjson", "--counts", "c.csv"], sets].concat()).ends(0);
        let rows: Vec<String> = folder
            .read("c.csv")
            .lines()
            .skip(1)
            .map(|row| row.split(',').skip(1).collect::<Vec<_>>()[..3].join(" "))
            .collect();
        let own =
            |row: &&String| row.contains('-') || row.starts_with("ZZ") || row.starts_with("PT");
        rows.iter().filter(own).map(|row| row.replace(" 1767603600 ", " ")).collect::<Vec<_>>()
    };
    assert_eq!(regions(&[]), ["DE-BE 1", "FR-ARA 1", "IT-25 1", "PT 1", "ZZ 2"]);
    let order = "atlas.evidence=[\"mention\", \"profile\"]";
    assert_eq!(regions(&["--set", order]), ["KE-30 5", "PT 1"]);
    assert_eq!(
        regions(&["--set", "atlas.evidence=[\"profile\", \"coordinates\"]"]),
        ["IT-25 3", "PT 1", "ZZ 2"]
    );
}
