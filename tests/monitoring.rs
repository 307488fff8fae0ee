//! What the program shows of itself: metrics of every role, one log line an event, sentences at a
//! terminal.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::live;
use crate::notify;
use crate::program::{Folder, LONG, Running, simulate, skip, until};

const FOLLOWED: &str = r#"
    [web]
    listen = "127.0.0.1:0"
    [metrics]
    listen = "127.0.0.1:0"
    [[feeds]]
    name = "posts"
    kind = "file"
    path = "posts.ndjson"
    follow = true
"#;
const RUN: [&str; 3] = ["run", "--config", "run.toml"];
/// By which the posts of `notify` are an alert that stays open.
const EEARS: &str = "detect.method=eears";

/// What `promtool check metrics` has against it. It must be there in CI.
#[track_caller]
fn promtool_accepts(role: &str, metrics: &str) {
    let started = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut promtool) = started else {
        let required = std::env::var_os("CI").is_some()
            || std::env::var_os("PUMPHANDLE_REQUIRE_PARTS").is_some_and(|value| value == "1");
        assert!(!required, "promtool is not here; tests/parts/promtool.sh fetches it");
        return skip("promtool is not here");
    };
    promtool.stdin.take().expect("piped").write_all(metrics.as_bytes()).expect("it reads");
    let output = promtool.wait_with_output().expect("its end");
    let said = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.trim().is_empty(), "{role}: {said}\n{metrics}");
}

/// The names of metrics that are shown.
fn names(metrics: &str) -> BTreeSet<&str> {
    let names = metrics.lines().filter(|line| !line.starts_with('#'));
    names.filter_map(|line| line.split(['{', ' ']).next()).collect()
}

#[track_caller]
fn shows(role: &str, metrics: &str, wanted: &[&str]) {
    let names = names(metrics);
    for name in wanted {
        assert!(names.contains(name), "{role} shows no {name}:\n{metrics}");
    }
}

const OF_PROCESS: [&str; 6] = [
    "pumphandle_build_info",
    "process_start_time_seconds",
    "process_resident_memory_bytes",
    "process_open_fds",
    "pumphandle_disk_free_bytes",
    "pumphandle_disk_size_bytes",
];
const OF_FEEDS: [&str; 6] = [
    "pumphandle_feed_connected",
    "pumphandle_feed_reconnects_total",
    "pumphandle_feed_gaps_total",
    "pumphandle_rejects_total",
    "pumphandle_posts_resent_total",
    "pumphandle_posts_read_total",
];
const OF_SNAPSHOTS: [&str; 2] =
    ["pumphandle_snapshot_bytes_total", "pumphandle_snapshot_age_seconds"];
const OF_TALLY: [&str; 2] = ["pumphandle_tally_cells", "pumphandle_tally_cells_limit"];
const OF_WATCH: [&str; 6] = [
    "pumphandle_watermark_seconds",
    "pumphandle_watermark_age_seconds",
    "pumphandle_records_total",
    "pumphandle_watch_cells",
    "pumphandle_watch_pending_entries",
    "pumphandle_windows_skipped_total",
];
const OF_LAND: [&str; 2] = ["pumphandle_landing_lag_seconds", "pumphandle_landed_records_total"];
const OF_WAREHOUSE: [&str; 4] = [
    "pumphandle_warehouse_up",
    "pumphandle_alerts_open",
    "pumphandle_judged_until_seconds",
    "pumphandle_landed_event_age_seconds",
];

#[test]
fn one_process_shows_the_metrics_of_all_its_roles() {
    let folder = Folder::new();
    folder.write("run.toml", FOLLOWED);
    folder.write("posts.ndjson", notify::posts() + "not a post\n");
    folder.write("mine.toml", "[[subscription]]\nname = \"duty\"\nchannel = \"feed\"\n");
    let running = folder
        .start(&[&RUN[..], &["--set", "notify.subscriptions=mine.toml", "--set", EEARS]].concat());
    until(LONG, "the alert in the metrics", || {
        (running.monitored("pumphandle_alerts_open")? == 1.0).then_some(())
    });
    until(LONG, "the line that was set aside", || {
        (running.monitored("pumphandle_rejects_total")? == 1.0).then_some(())
    });
    let metrics = running.monitor("/metrics").expect("metrics");
    promtool_accepts("run", &metrics);
    shows(
        "run",
        &metrics,
        &[&OF_PROCESS[..], &OF_FEEDS, &OF_SNAPSHOTS, &OF_TALLY, &OF_WATCH, &OF_LAND, &OF_WAREHOUSE]
            .concat(),
    );
    shows(
        "run",
        &metrics,
        &[
            "pumphandle_deliveries_total",
            "pumphandle_deliveries_waiting",
            "pumphandle_feed_silent_seconds",
        ],
    );
    for labels in [
        "snapshot_bytes_total{stage=\"tally\"}",
        "snapshot_age_seconds{stage=\"watch\"}",
        "tally_cells{partition=\"0\"}",
    ] {
        assert!(metrics.contains(&format!("pumphandle_{labels} ")), "{labels}: {metrics}");
    }
    assert!(
        metrics.contains("pumphandle_deliveries_total{channel=\"feed\",result=\"sent\"} "),
        "{metrics}"
    );
    assert!(
        metrics.contains("pumphandle_rejects_total{feed=\"posts\",reason=\"depth\"} 0"),
        "exported before the first: {metrics}"
    );
    assert!(metrics.contains("pumphandle_feed_gaps_total{feed=\"posts\"} 0"), "{metrics}");
    assert!(
        metrics.contains("pumphandle_build_info{revision=") && metrics.contains("role=\"run\""),
        "{metrics}"
    );
    // The page shows the same.
    let of_page = running.get("/metrics").expect("metrics of the page");
    promtool_accepts("the page", &of_page);
    assert!(names(&metrics).is_subset(&names(&of_page)), "{of_page}");
    assert_eq!(running.monitor("/healthz").as_deref(), Some("ok\n"));
    assert!(running.monitor("/readyz").is_some());
}

#[test]
fn a_page_of_its_own_shows_nothing_that_it_does_not_know() {
    let folder = Folder::new();
    folder.write("run.toml", FOLLOWED.replace("follow = true", ""));
    folder.write("posts.ndjson", live::ten_posts().0);
    folder.output(&["run", "--config", "run.toml", "--until-drained"]).ends(0);
    let serve = folder.start(&["serve", "--config", "run.toml"]);
    until(LONG, "the warehouse in the metrics", || {
        (serve.monitored("pumphandle_warehouse_up")? == 1.0).then_some(())
    });
    let metrics = serve.monitor("/metrics").expect("metrics");
    promtool_accepts("serve", &metrics);
    shows("serve", &metrics, &[&OF_PROCESS[..], &OF_WAREHOUSE].concat());
    for unknown in [&OF_TALLY[..], &OF_WATCH, &OF_LAND[1..], &OF_FEEDS].concat() {
        assert!(!names(&metrics).contains(unknown), "serve shows {unknown}: {metrics}");
    }
}

#[test]
fn an_address_in_use_for_metrics_is_an_error() {
    let folder = Folder::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("an address").to_string();
    folder.write("run.toml", FOLLOWED);
    folder.write("posts.ndjson", "");
    let said = folder
        .output(&[&RUN[..], &["--set", &format!("metrics.listen={address}")]].concat())
        .ends(1)
        .stderr();
    assert!(
        said.contains(&format!("failed to listen on `{address}` for `metrics.listen`")),
        "{said}"
    );
}

/// Over real Kafka and ClickHouse.
mod cluster {
    use super::*;
    use crate::cluster::Cluster;

    #[test]
    fn every_role_shows_metrics_that_promtool_accepts() {
        let Some(cluster) = Cluster::shared() else { return };
        simulate(&cluster.folder, "posts.ndjson", &["--posts", "3000", "--days", "3"]);
        cluster.migrate();
        let roles: Vec<(&str, Running)> = ["ingest", "tally", "watch", "land", "serve"]
            .into_iter()
            .map(|role| {
                (
                    role,
                    cluster.folder.start(&[
                        role,
                        "--config",
                        "run.toml",
                        "--set",
                        "metrics.listen=127.0.0.1:0",
                    ]),
                )
            })
            .collect();
        for (role, running) in &roles {
            let wanted = match *role {
                "ingest" => &OF_FEEDS[..],
                "tally" => &OF_TALLY[..],
                "watch" => &OF_WATCH[..],
                "land" => &OF_LAND[..],
                "serve" => &[
                    "pumphandle_warehouse_up",
                    "pumphandle_alerts_open",
                    "pumphandle_landing_lag_seconds",
                ],
                _ => &[],
            };
            let whole = || wanted.iter().all(|name| running.monitored(name).is_some());
            until(
                LONG,
                &format!(
                    "the metrics of {role}: {}",
                    running.monitor("/metrics").unwrap_or_default()
                ),
                || whole().then_some(()),
            );
            let metrics = running.monitor("/metrics").expect("metrics");
            promtool_accepts(role, &metrics);
            shows(role, &metrics, &OF_PROCESS);
            assert!(metrics.contains(&format!("role=\"{role}\"")), "{metrics}");
            assert!(running.monitor("/readyz").is_some(), "{role}");
            if *role != "watch" {
                assert!(
                    !names(&metrics).contains("pumphandle_watermark_seconds"),
                    "{role} knows no watermark: {metrics}"
                );
            }
        }
        for (role, mut running) in roles {
            running.signal("TERM");
            running.ends(0);
            let log = running.log();
            let first = log.lines().next().unwrap_or_default();
            assert!(
                first.contains(" starting role=")
                    && first.contains(role)
                    && first.contains("run.toml"),
                "{role}: {first}"
            );
            let taken = match role {
                "ingest" => "feed taken over feed=\"posts\"",
                "tally" => "partition taken over stage=\"tally\" partition=",
                "watch" => "partition taken over stage=\"watch\" partition=0",
                "land" => "landing taken over stage=\"land\"",
                _ => "serving",
            };
            assert!(log.contains(taken), "{role}: {log}");
        }
    }
}

#[test]
fn every_log_line_is_json_where_that_is_configured() {
    let folder = Folder::new();
    folder.write("run.toml", FOLLOWED);
    folder.write("posts.ndjson", notify::posts());
    let args = [&RUN[..], &["--set", "log.format=json", "--set", EEARS]].concat();
    let mut running = folder.start(&args);
    until(LONG, "an alert", || (running.monitored("pumphandle_alerts_open")? == 1.0).then_some(()));
    // A second process ends with an error and a hint: on one line as well.
    let other = folder.output(&args).ends(1).stderr();
    running.signal("TERM");
    running.ends(0);
    for log in [running.log(), other.clone()] {
        for line in log.lines() {
            let line: Value =
                serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
            assert!(
                line["timestamp"].is_string()
                    && line["level"].is_string()
                    && line["message"].is_string(),
                "{line}"
            );
        }
        let first: Value = serde_json::from_str(log.lines().next().expect("a line")).expect("JSON");
        assert_eq!(
            (first["message"].as_str(), first["role"].as_str(), first["config"].as_str()),
            (Some("starting"), Some("run"), Some("run.toml"))
        );
        assert!(
            first["release"].as_str().is_some_and(|release| release.starts_with(char::is_numeric)),
            "{first}"
        );
    }
    let last: Value = serde_json::from_str(other.lines().last().expect("a line")).expect("JSON");
    assert!(
        last["level"] == "ERROR"
            && last["message"]
                .as_str()
                .is_some_and(|message| message.contains("in use by process")),
        "{last}"
    );
}

#[test]
fn every_line_of_a_text_log_begins_with_its_instant() {
    let folder = Folder::new();
    folder.write("run.toml", FOLLOWED);
    folder.write("posts.ndjson", notify::posts() + "{\"text\": \"a\\nb\"}\n");
    let mut running = folder.start(&[&RUN[..], &["--set", EEARS]].concat());
    until(LONG, "an alert", || (running.monitored("pumphandle_alerts_open")? == 1.0).then_some(()));
    running.signal("TERM");
    running.ends(0);
    for line in running.log().lines() {
        let instant = line.split(' ').next().unwrap_or_default();
        assert!(
            instant.len() >= 20 && instant.starts_with("20") && instant.ends_with('Z'),
            "{line}"
        );
    }
}

#[test]
fn the_level_of_the_log_is_configured_and_rust_log_overrides_it() {
    let folder = Folder::new();
    folder.write("run.toml", FOLLOWED.replace("follow = true", ""));
    folder.write("posts.ndjson", "");
    let args = ["run", "--config", "run.toml", "--until-drained", "--set", "log.level=error"];
    assert_eq!(folder.output(&args).ends(0).stderr(), "");
    let loud = folder.command(&args).env("RUST_LOG", "info").output().expect("it runs");
    assert!(String::from_utf8_lossy(&loud.stderr).contains(" starting role=\"run\""));
}

#[test]
fn a_changed_set_of_topics_is_logged_when_it_is_taken_on() {
    let folder = Folder::new();
    folder.write("run.toml", FOLLOWED);
    folder.write("posts.ndjson", live::ten_posts().0);
    folder.write(
        "one.toml",
        "[[topic]]\nid = \"bread\"\nname = \"Bread\"\nkind = \"symptom\"\ntags.en = [\"bread\"]\n",
    );
    for (args, wanted) in [
        (&[][..], None),
        (&[][..], None),
        (&["--set", "topics.files=one.toml"][..], Some("topics_added=\"bread\"")),
        (
            &["--set", "topics.files=one.toml", "--set", "topics.segment=false"][..],
            Some("lexicon_changed=true"),
        ),
    ] {
        let mut running = folder.start(&[&RUN[..], args].concat());
        until(LONG, "the page", || running.get("/healthz"));
        running.signal("TERM");
        running.ends(0);
        let log = running.log();
        let line = log.lines().find(|line| line.contains("changed settings apply from now on"));
        match wanted {
            Some(wanted) => assert!(line.is_some_and(|line| line.contains(wanted)), "{log}"),
            None => assert_eq!(line, None),
        }
    }
}

/// Runs a command as if at a terminal, until it has printed what is looked for, or ends; what it
/// printed. None where there is no
/// `script` to make a terminal with.
fn at_a_terminal(
    folder: &Folder,
    args: &[&str],
    until_line: impl Fn(&str) -> bool,
) -> Option<String> {
    let quoted: Vec<String> = args.iter().map(|arg| format!("'{arg}'")).collect();
    let command = folder.command(args);
    let program = command.get_program().to_str().expect("text").to_owned();
    let mut script = Command::new("script");
    script.current_dir(folder.path()).args([
        "-q",
        "-e",
        "-c",
        &format!("exec '{program}' {} 2>stderr", quoted.join(" ")),
        "/dev/null",
    ]);
    let Ok(mut child) = script.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn() else {
        skip("`script` is not here");
        return None;
    };
    let mut printed = String::new();
    for line in BufReader::new(child.stdout.take().expect("piped")).lines() {
        let line = line.expect("text");
        let line = line.trim_end_matches('\r');
        printed += line;
        printed.push('\n');
        if until_line(line) {
            break;
        }
    }
    // It may have ended by itself.
    let _ = child.kill();
    let _ = child.wait();
    Some(printed)
}

#[test]
fn a_terminal_gets_sentences_and_a_pipe_gets_json() {
    let folder = Folder::new();
    folder.write("run.toml", FOLLOWED.replace("follow = true", ""));
    folder.write("posts.ndjson", live::ten_posts().0);
    let never = |_: &str| false;
    let config = ["--config", "run.toml"];
    let shown = |args: &[&str]| at_a_terminal(&folder, &[args, &config[..]].concat(), never);
    let Some(run) = shown(&["run", "--until-drained"]) else { return };
    let piped = |args: &[&str]| -> Vec<Value> {
        let text = folder.output(&[args, &config[..]].concat()).ends(0).stdout();
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    };
    let listed = piped(&["alerts", "list"]);
    let id = listed[0]["id"].as_str().expect("an id");
    let alerts = piped(&["alerts", "show", id]);
    assert_eq!(listed.len(), 1, "{listed:?}");
    assert!(run.lines().count() <= alerts.len() && run.starts_with("ALERT "), "{run}");
    for printed in [
        run,
        shown(&["alerts", "list"]).expect("a terminal"),
        shown(&["alerts", "list", "--log"]).expect("a terminal"),
    ] {
        for line in printed.lines() {
            assert!(
                line.contains("accounts posted about")
                    && line.ends_with(&format!("[{id}]"))
                    && !line.contains('{'),
                "{printed}"
            );
        }
        assert!(printed.lines().count() >= 1, "{printed}");
    }
    let show = shown(&["alerts", "show", id]).expect("a terminal");
    let (details, revisions): (Vec<&str>, Vec<&str>) =
        show.lines().partition(|line| line.starts_with("  "));
    assert_eq!(revisions.len(), alerts.len(), "a line a revision: {show}");
    assert!(details.iter().any(|line| line.starts_with("  - ")), "what to check: {show}");
    let ack = shown(&["alerts", "ack", id, "--as", "ana", "--set", "web.listen=127.0.0.1:1"])
        .expect("a terminal");
    assert_eq!(ack, format!("Alert {id} is now `triaged`; changed by ana.\n"));
    for args in [&["alerts", "list", "--json"][..], &["alerts", "show", id, "--json"]] {
        let json = shown(args).expect("a terminal");
        assert!(
            json.lines().all(
                |line| serde_json::from_str::<Value>(line).is_ok_and(|alert| alert["id"] == id)
            ),
            "{json}"
        );
    }
}

#[test]
fn a_demo_at_a_terminal_prints_five_lines_and_then_alerts() {
    let folder = Folder::new();
    let args = [
        "demo",
        "--listen",
        "127.0.0.1:0",
        "--data",
        "demo",
        "--speed",
        "600",
        "--stop-after",
        "60",
    ];
    let Some(printed) = at_a_terminal(&folder, &args, |line| line.starts_with("ALERT ")) else {
        return;
    };
    let lines: Vec<&str> = printed.lines().collect();
    assert!(
        lines[1].starts_with("Page: http://127.0.0.1:") && lines[4].contains("Ctrl-C"),
        "{printed}"
    );
    assert!(lines[5..].iter().all(|line| line.ends_with(']') && !line.contains('{')), "{printed}");
    assert!(lines.last().is_some_and(|line| line.starts_with("ALERT ")), "{printed}");
    assert!(!folder.read("stderr").contains("INFO"), "the log says only what is wrong");
}

#[test]
fn a_demo_obeys_its_configuration() {
    let folder = Folder::new();
    folder.write(
        "demo.toml",
        "[web]\nhosts = [\"watch.example\"]\n[metrics]\nlisten = \"127.0.0.1:0\"\n[[feeds]]\nname \
            = \"real\"\nkind = \"jetstream\"\n",
    );
    let mut running = folder.start(&[
        "demo",
        "--listen",
        "127.0.0.1:0",
        "--data",
        "demo",
        "--stop-after",
        "10",
        "--config",
        "demo.toml",
        "--set",
        "log.format=json",
    ]);
    let log = until(LONG, "both addresses", || {
        Some(running.log()).filter(|log| log.contains("\"metrics\":") && log.contains("\"page\":"))
    });
    for line in log.lines() {
        serde_json::from_str::<Value>(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    }
    let metrics = until(LONG, "metrics", || {
        running
            .monitor("/metrics")
            .filter(|metrics| metrics.contains("pumphandle_posts_read_total{feed=\"simulated\"}"))
    });
    assert!(!metrics.contains("feed=\"real\""), "{metrics}");
    running.ends(0);
    let bad =
        folder.output(&["demo", "--data", "other", "--set", "panes.laetness=1m"]).ends(64).stderr();
    assert!(bad.contains("did you mean `lateness`?"), "{bad}");
}

#[test]
fn the_version_names_the_revision() {
    let folder = Folder::new();
    let version = folder.output(&["--version"]).ends(0).stdout();
    let first = version.lines().next().unwrap_or_default().to_owned();
    let output = Command::new("git")
        .args(["rev-parse", "--short=12", "HEAD"])
        .current_dir(crate::program::root())
        .output();
    let has_git = output.is_ok_and(|output| output.status.success());
    let revision = first.split_once(" (").and_then(|(_, rest)| rest.strip_suffix(')'));
    assert!(
        first.starts_with("pumphandle ")
            && (!has_git || revision.is_some_and(|revision| revision.len() >= 7)),
        "{first}"
    );
}
