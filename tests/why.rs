//! Why there is no alert, and an alert's numbers again, from a terminal.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;

use crate::program::Folder;

const CONFIG: &str = r#"
    [topics]
    files = ["topics.toml"]
    [notify]
    subscriptions = ["subscriptions.toml"]
    [web]
    listen = "127.0.0.1:0"
    [[feeds]]
    name = "posts"
    kind = "file"
    path = "posts.ndjson"
"#;
const TOPICS: &str = r#"
    [[topic]]
    id = "influenza"
    kind = "disease"
    name = "Influenza"
    tags = { any = ["flu"] }
"#;
/// Nothing at once, and only what is pressing whatever was spent.
const SUBSCRIPTIONS: &str = r#"
    [[subscription]]
    name = "weekly"
    channel = "stdout"
    audience = "official"
    when = "weekly"
    [[subscription]]
    name = "elsewhere"
    channel = "stdout"
    regions = ["JP"]
"#;
const DAYS: i64 = 24;

/// A few accounts a day in France and Bavaria, and in Bavaria a crowd on the last day, which ended
/// at the last midnight: nobody is told of
/// what is a week old.
fn posts() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs() as i64;
    let begin = (now / 86_400 - DAYS) * 86_400;
    let mut lines: Vec<(i64, String)> = Vec::new();
    for day in 0..DAYS {
        for (region, usual, crowd) in [("FR", 4, 7), ("DE-BY", 5, 60)] {
            let accounts = if day == DAYS - 1 { crowd } else { usual + day % 3 };
            for nth in 0..accounts {
                let at = begin + day * 86_400 + nth * 1_200 + 600;
                let line = format!(
                    r##"{{"id":"{region}{day}-{nth}","author":"{region}-{nth}","created_at":{at},"arrived":{at},"text":"#flu","region":"{region}"}}"##
                );
                lines.push((at, line));
            }
        }
    }
    lines.sort();
    lines.into_iter().map(|(_, line)| line + "\n").collect()
}

#[test]
fn an_official_is_told_what_was_missing_and_an_alert_is_computed_again() {
    let folder = Folder::new();
    folder.write("run.toml", CONFIG);
    folder.write("topics.toml", TOPICS);
    folder.write("subscriptions.toml", SUBSCRIPTIONS);
    folder.write("posts.ndjson", posts());
    folder.output(&["run", "--config", "run.toml", "--until-drained"]).ends(0);
    let said = |args: &[&str], code: i32| {
        let done = folder.output(&[args, &["--config", "run.toml"]].concat()).ends(code);
        done.stdout() + &done.stderr()
    };
    let why = said(&["alerts", "why-not", "influenza", "fr"], 0);
    let of = |name: &str| {
        why.lines()
            .find_map(|line| line.strip_prefix(name))
            .unwrap_or_else(|| panic!("no `{name}` in {why}"))
            .trim()
            .to_owned()
    };
    assert!(why.starts_with("influenza in FR: no alert\n"), "{why}");
    let observed: u32 = of("observed:").split(' ').next().unwrap().parse().unwrap();
    let numbers: Vec<u32> = of("needed:").split(' ').filter_map(|word| word.parse().ok()).collect();
    assert!(numbers[0] == observed + numbers[1] && numbers[1] > 0, "{why}");
    assert!(
        of("bound:").ends_with("(nb-predictive)")
            && of("held back:").starts_with("bound: not above"),
        "{why}"
    );
    assert!(
        said(&["alerts", "why-not", "flue", "FR"], 64)
            .contains("`pumphandle topics list` names all")
    );
    assert!(
        said(&["alerts", "why-not", "influenza", "FR-NOWHERE"], 64).contains("did you mean `FR`?")
    );

    let alerts = said(&["alerts", "list"], 0);
    let alerts: Vec<Value> =
        alerts.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect();
    let alert = alerts
        .iter()
        .find(|alert| alert["region"] == "DE-BY")
        .expect("an alert of the crowd in Bavaria");
    // Rarer than a year goes at once; the others wait for the digest. What covers other places says
    // nothing of it.
    let why = said(&["alerts", "why-not", "influenza", "DE-BY"], 0);
    assert!(why.starts_with("influenza in DE-BY: in an alert\n"), "{why}");
    let budget: Vec<&str> =
        why.lines().filter_map(|line| line.strip_prefix("budget:    ")).collect();
    let hears =
        |line: &str| line.contains("was notified at") || line.contains("included in the digest of");
    assert!(matches!(budget[..], [line] if line.starts_with("`weekly` ") && hears(line)), "{why}");
    let again = said(&["alerts", "recompute", alert["id"].as_str().unwrap()], 0);
    assert!(
        again.ends_with("the same\n")
            && again.contains(&format!("observed:   {}", alert["observed"])),
        "{again}"
    );
    let stored = again
        .lines()
        .find_map(|line| line.strip_prefix("upperbound: ")?.split(' ').next()?.parse::<f64>().ok());
    let gap = stored.expect("a bound") - alert["upperbound"].as_f64().expect("a bound");
    assert!(gap.abs() < 1e-9, "{again}");
    assert!(said(&["alerts", "recompute", "none"], 1).contains("no alert `none`"));
    // While a run holds the streams, and its page can't be found, the alert is explained without
    // them.
    let running = folder.start(&["run", "--config", "run.toml"]);
    running.page();
    let why = said(&["alerts", "why-not", "influenza", "DE-BY"], 0);
    assert!(
        why.starts_with("influenza in DE-BY: in an alert\n")
            && why.contains("\nbudget:    unknown: data folder"),
        "{why}"
    );
}
