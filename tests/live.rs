//! `replay --as-live`: an alert fires at the post that makes it certain, and the close confirms it
//! or takes it back.

use std::fmt::Write;

use serde_json::{Value, json};
use simulation::Random;

use crate::program::Folder;

/// 2026-01-05T00:00:00Z, a Monday.
const MONDAY: i64 = 1_767_571_200;
const DAY: i64 = 86_400;
/// Ten o'clock after a fortnight.
pub(crate) const OUTBREAK: i64 = MONDAY + 14 * DAY + 10 * 3600;

#[test]
fn ten_posts_after_a_quiet_fortnight_fire_at_the_post_that_made_it_certain() {
    let flu: Vec<(i64, Value)> = (0..10).map(|n| flu_post(n, OUTBREAK + 100 + 3 * n)).collect();
    let told = told(&flu);
    let alert = told.alerts_of(0);
    assert_eq!((&alert["topic"], &alert["region"]), (&json!("influenza"), &json!("DE-BE")));
    assert_eq!((&alert["stage"], &alert["state"]), (&json!("early"), &json!("open")));
    assert_eq!(alert["regions"], json!(["001", "DE", "DE-BE", "lang:de"]));
    // Certain is what is beyond the bound and what a floor asks for: by default five posts of three
    // accounts.
    let certain = 5.max(alert["upperbound"].as_f64().unwrap().floor() as i64 + 1);
    assert_eq!(alert["fired_at"], json!(OUTBREAK + 100 + 3 * (certain - 1)), "{alert}");
    assert_eq!(alert["observed"], json!(certain));

    let window_end = OUTBREAK + 3600;
    assert_eq!(alert["window_end"], json!(window_end));
    let verdict = |stage: &str| told.verdict("DE-BE", window_end, stage);
    assert_eq!(verdict("early"), Some((certain, "1".to_owned())));
    assert_eq!(verdict("closed"), Some((10, "1".to_owned())));
    assert_eq!(verdict("final"), Some((10, "1".to_owned())));
    // What follows are revisions of the one alert: none is a second one, and none moves when it
    // fired.
    let confirmed = told.alerts_of(1);
    assert_eq!((&confirmed["stage"], &confirmed["observed"]), (&json!("closed"), &json!(10)));
    for (revision, later) in told.alerts.iter().enumerate() {
        assert_eq!((&later["id"], &later["fired_at"]), (&alert["id"], &alert["fired_at"]));
        assert_eq!(later["revision"], json!(revision));
    }
    assert_eq!(
        told.alerts.last().unwrap()["state"],
        json!("closed"),
        "two quiet days end the episode"
    );
}

#[test]
fn an_early_alert_whose_posts_are_deleted_is_withdrawn() {
    let mut flu: Vec<(i64, Value)> = (0..10).map(|n| flu_post(n, OUTBREAK + 100 + 3 * n)).collect();
    for n in 0..8 {
        let deleted_at = OUTBREAK + 1500 + n;
        flu.push((deleted_at, json!({"id": format!("flu{n}"), "author": format!("ill{n}"), "created_at": deleted_at, "op": "delete"})));
    }
    let told = told(&flu);
    assert_eq!(told.alerts.len(), 2, "{:?}", told.alerts);
    assert_eq!(
        (&told.alerts[0]["stage"], &told.alerts[0]["state"]),
        (&json!("early"), &json!("open"))
    );
    assert_eq!(
        (&told.alerts[1]["id"], &told.alerts[1]["state"]),
        (&told.alerts[0]["id"], &json!("withdrawn"))
    );
    assert_eq!(told.verdict("DE-BE", OUTBREAK + 3600, "closed").unwrap().0, 2);
}

#[test]
fn many_posts_of_two_accounts_are_no_alert() {
    let flu: Vec<(i64, Value)> = (0..10)
        .map(|n| {
            let (at, mut post) = flu_post(n, OUTBREAK + 100 + 3 * n);
            post["author"] = json!(format!("ill{}", n % 2));
            (at, post)
        })
        .collect();
    let told = told(&flu);
    assert!(told.alerts.is_empty(), "{:?}", told.alerts);
    assert_eq!(told.verdict("DE-BE", OUTBREAK + 3600, "closed").unwrap().0, 2);
}

fn flu_post(n: i64, at: i64) -> (i64, Value) {
    let text = "#flu since last night";
    (
        at,
        json!({"id": format!("flu{n}"), "author": format!("ill{n}"), "created_at": at, "text": text, "region": "DE-BE", "langs": ["de"]}),
    )
}

struct Told {
    alerts: Vec<Value>,
    verdicts: Vec<csv::StringRecord>,
}

impl Told {
    fn alerts_of(&self, revision: usize) -> &Value {
        self.alerts
            .get(revision)
            .unwrap_or_else(|| panic!("no revision {revision}: {:?}", self.alerts))
    }

    /// Observed and alarm of the day's window.
    fn verdict(&self, region: &str, window_end: i64, stage: &str) -> Option<(i64, String)> {
        let of = |row: &&csv::StringRecord| {
            (&row[0], &row[1], &row[2], &row[3], &row[5])
                == ("influenza", region, window_end.to_string().as_str(), "86400", stage)
        };
        self.verdicts
            .iter()
            .find(of)
            .map(|row| (row[6].parse().expect("a count"), row[10].to_owned()))
    }
}

/// What is told of these posts, in a fortnight and some days of others.
fn told(flu: &[(i64, Value)]) -> Told {
    let folder = Folder::new();
    let args = ["replay", "-", "--as-live", "--alerts", "a.ndjson", "--verdicts", "v.csv"];
    folder.output_of(&args, fortnight(flu).into_bytes()).ends(0);
    let alerts = folder
        .read("a.ndjson")
        .lines()
        .map(|line| serde_json::from_str(line).expect("an alert"))
        .collect();
    let verdicts = csv::Reader::from_path(folder.file("v.csv"))
        .expect("verdicts")
        .records()
        .map(|row| row.expect("a row"))
        .collect();
    Told { alerts, verdicts }
}

/// A fortnight and some days of other posts, with these among them.
fn fortnight(flu: &[(i64, Value)]) -> String {
    let mut lines = quiet(|_| json!({"region": "DE-BE"}));
    lines.extend_from_slice(flu);
    in_order(lines)
}

/// Posts about nothing, from where `place` says.
pub(crate) fn quiet(place: impl Fn(i64) -> Value) -> Vec<(i64, Value)> {
    let mut random = Random::new(3);
    (0..18 * 24 * 20)
        .map(|n| {
            let at = MONDAY + 180 * n + random.between(0, 180);
            let author = format!("u{}", random.below(300));
            let mut post = json!({"id": format!("q{n}"), "author": author, "created_at": at, "text": "Guten Tag", "langs": ["de"]});
            for (key, value) in place(n).as_object().into_iter().flatten() {
                post[key] = value.clone();
            }
            (at, post)
        })
        .collect()
}

/// A line each, the oldest first.
pub(crate) fn in_order(mut lines: Vec<(i64, Value)>) -> String {
    lines.sort_by_key(|(at, _)| *at);
    let mut text = String::new();
    for (_, line) in &lines {
        let _ = writeln!(text, "{line}");
    }
    text
}

/// Lines in which ten posts of ten accounts end a quiet fortnight, and the instant of the first of
/// them.
pub(crate) fn ten_posts() -> (String, i64) {
    let first = OUTBREAK + 100;
    (fortnight(&(0..10).map(|n| flu_post(n, first + 3 * n)).collect::<Vec<_>>()), first)
}
