//! Worlds in which nobody falls ill, with the configuration as it is shipped: what still makes an
//! alert is a false one.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::program::Folder;

/// 2026-01-05T00:00:00Z, when simulated worlds begin.
const MONDAY: f64 = 1_767_571_200.0;

/// Each alert as it was last told.
fn alerts(folder: &Folder, simulated: &[&str], replayed: &[&str]) -> Vec<Value> {
    let lines = folder.output(&[&["simulate"], simulated].concat()).ends(0).stdout();
    folder.write("posts.ndjson", lines);
    folder
        .output(&[&["replay", "posts.ndjson", "--alerts", "alerts.ndjson"], replayed].concat())
        .ends(0);
    let mut last: BTreeMap<String, Value> = BTreeMap::new();
    for line in folder.read("alerts.ndjson").lines() {
        let alert: Value = serde_json::from_str(line).expect("an alert a line");
        last.insert(alert["id"].as_str().expect("an id").to_owned(), alert);
    }
    last.into_values().collect()
}

#[test]
fn the_first_fortnight_of_an_installation_gives_five_alerts_at_most_if_nothing_happens() {
    for seed in ["1", "2"] {
        let folder = Folder::new();
        let raised =
            alerts(&folder, &["--posts", "1000000", "--seed", seed, "--events", "nothing"], &[]);
        assert!(raised.len() <= 5, "seed {seed}: {raised:#?}");
    }
}

#[test]
fn a_language_that_grows_tenfold_and_a_day_that_is_read_late_are_no_matter_of_health() {
    // Japan has 1,500 posts a day at first, and then so few that a denominator of its own is only
    // just one.
    let days = 21;
    for posts in [900_000, 300_000] {
        let folder = Folder::new();
        let world = [
            "--posts",
            &posts.to_string(),
            "--days",
            &days.to_string(),
            "--seed",
            "5",
            "--events",
            "platform",
        ];
        let raised = alerts(&folder, &world, &["--as-live"]);
        let day =
            |alert: &Value| (alert["fired_at"].as_f64().expect("an instant") - MONDAY) / 86_400.0;
        let of_japan = |alert: &&Value| {
            alert["region"]
                .as_str()
                .is_some_and(|region| region.starts_with("JP") || region == "lang:ja")
        };
        let is_notice = |alert: &Value| {
            alert["grounds"]["suspect"]
                .as_array()
                .is_some_and(|why| why.contains(&"platform-growth".into()))
        };
        // It grows from the middle on.
        let since = |alert: &&Value| day(alert) >= f64::from(days) / 2.0;
        let japan: Vec<&Value> = raised
            .iter()
            .filter(of_japan)
            .filter(since)
            .filter(|alert| !is_notice(alert))
            .collect();
        assert!(japan.is_empty(), "{japan:#?}");
        // What was read late, at three quarters, made no crowd of alarms that its windows, once
        // whole, didn't bear out.
        let late = f64::from(days) * 0.75..f64::from(days) * 0.75 + 1.5;
        let withdrawn = raised
            .iter()
            .filter(|alert| alert["state"] == "withdrawn" && late.contains(&day(alert)))
            .count();
        assert!(withdrawn <= 1, "{raised:#?}");
        // Five a week are what the settings allow.
        assert!(raised.len() <= 15, "{}", raised.len());
    }
}
