//! `demo`: the page and a first alert within a minute, a clean end, and a folder of its own.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::program::{Folder, LONG, Running, until};

const DEMO: [&str; 6] = ["demo", "--listen", "127.0.0.1:0", "--data", "demo", "--speed"];

#[test]
fn a_first_alert_within_a_minute_and_a_clean_end() {
    let folder = Folder::new();
    let began = Instant::now();
    let mut running = folder.start(&[&DEMO[..], &["60"]].concat());
    let page = until(LONG, "the page", || running.get("/"));
    assert!(page.contains("<html") && page.to_lowercase().contains("simulated"), "{page}");
    until(LONG, "a first alert", || alerts(&running).filter(|alerts| !alerts.is_empty()));
    assert!(
        began.elapsed() < Duration::from_secs(60),
        "the first alert came after {:?}",
        began.elapsed()
    );
    // Live, the first to happen is an outbreak of fever in Berlin, and of influenza beside it.
    let outbreak = |alert: &Value| {
        alert["region"] == "DE-BE"
            && ["fever", "influenza"].iter().any(|topic| alert["topic"] == *topic)
    };
    let alert = until(LONG, "an alert in Berlin", || alerts(&running)?.into_iter().find(outbreak));
    assert!(
        ["early", "closed"].iter().any(|stage| alert["stage"] == *stage)
            && alert["state"] == "open",
        "{alert}"
    );
    running.get("/healthz").expect("it is alive");
    running.get("/readyz").expect("it is ready");
    assert!(
        running.metric("pumphandle_posts_read_total").is_some_and(|read| read > 100_000.0),
        "weeks of history come at once"
    );

    running.signal("INT");
    running.ends(0);
    // A second start begins anew, in the same folder.
    let mut again = folder.start(&[&DEMO[..], &["60", "--stop-after", "2"]].concat());
    until(LONG, "the page", || again.get("/"));
    again.ends(0);
}

#[test]
fn a_folder_that_no_demo_made_is_refused_and_left_alone() {
    let folder = Folder::new();
    std::fs::create_dir(folder.file("demo")).unwrap();
    folder.write("demo/thesis.txt", "all of it");
    let said = folder
        .output(&["demo", "--listen", "127.0.0.1:0", "--data", "demo", "--stop-after", "1"])
        .ends(1)
        .stderr();
    assert!(
        said.contains("error: `demo` contains files that are not from a demo\nhint: "),
        "{said}"
    );
    assert_eq!(folder.read("demo/thesis.txt"), "all of it");
}

fn alerts(running: &Running) -> Option<Vec<Value>> {
    let body: Value = serde_json::from_str(&running.get("/api/v1/alerts")?).expect("JSON");
    let alerts = body
        .as_array()
        .or_else(|| body["alerts"].as_array())
        .unwrap_or_else(|| panic!("no alerts in {body}"));
    Some(alerts.clone())
}
