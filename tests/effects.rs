//! The table of effects: every key of `config/pumphandle.toml`, a value of it, and what that
//! changes from outside.
//!
//! Keys are read from the file itself: one without a row fails. A row is what a check adds by
//! [`Table::row`]: a count, a file, an answer or a metric before and after, never the configuration
//! itself. A new key: a check in [`CHECKS`] or a line in an old one.
//! Keys that need a server which is not here are skipped and say so; keys whose effect takes hours
//! or several machines name their test, which must exist.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{Display, Write as _};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::{SinkExt, StreamExt};
use journal::local::{LocalJournal, Options};
use journal::{Journal, Stream};
use record::Record;
use serde_json::{Value, json};
use tokio_tungstenite::accept_hdr_async;
use tokio_tungstenite::tungstenite::Message as Frame;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};

use crate::live::{self, OUTBREAK};
use crate::notify;
use crate::program::{Folder, LONG, Running, root, until};
use crate::{bounds, sources, tidy, web};

/// Checks run beside each other, most of their time waiting, those that take longest first; each
/// adds the rows of its keys.
const CHECKS: &[fn(&mut Table)] = &[
    notifications,
    notifications_by_default,
    profiles,
    jetstream,
    outage_hold,
    requests_at_once,
    retention_of_rows,
    page,
    judging,
    partitions,
    panes,
    topics,
    lines,
    floors,
    places,
    rejects,
    replay_memory,
    embedded,
    kafka,
    warehouse,
    keys,
    file_feeds,
    retention_of_the_log,
    cells,
    bounds_of_feeds,
    streams_in_kafka,
    log_and_metrics,
    populations,
    roots,
];

/// Keys whose effect takes an hour and more or a second member of a group: tests in virtual time or
/// over real servers.
const ELSEWHERE: [(&str, &str); 3] = [
    ("retention.hard-age", "what_is_unread_goes_at_the_hard_age_and_is_reported_before"),
    ("feeds.profiles-expiry", "a_matched_post_goes_out_pending_and_again_with_its_place"),
    ("journal.session-timeout", "a_worker_that_was_thought_dead_changes_nothing_when_it_wakes"),
];

#[derive(Default)]
struct Table {
    /// By key: value and effect.
    rows: BTreeMap<String, (String, String)>,
}

impl Table {
    fn row(&mut self, key: &str, value: impl Display, effect: impl Display) {
        let before = self.rows.insert(key.to_owned(), (value.to_string(), effect.to_string()));
        assert!(before.is_none(), "two rows for `{key}`");
    }

    /// A row for a number or text that the value has changed.
    #[track_caller]
    fn differs<T: PartialEq + Display>(
        &mut self,
        key: &str,
        value: impl Display,
        what: &str,
        usual: T,
        now: T,
    ) {
        assert!(usual != now, "`{key} = {value}` has no effect: {what} is {usual}");
        self.row(key, value, format!("{what}: {usual} → {now}"));
    }

    fn skip(&mut self, key: &str, why: &str) {
        self.row(key, "-", format!("skipped: {why}"));
    }
}

#[test]
fn every_key_of_the_configuration_has_an_effect() {
    let keys = keys_of(
        &std::fs::read_to_string(root().join("config/pumphandle.toml")).expect("the defaults"),
    );
    assert!(keys.len() > 80, "{keys:?}");
    let next = Mutex::new(CHECKS.iter());
    // A check that fails must not hide what the others find.
    let failures = Mutex::new(0);
    let tables: Vec<Table> = std::thread::scope(|scope| {
        let work = || {
            let mut table = Table::default();
            loop {
                let Some(check) = next.lock().expect("no panic").next() else { return table };
                if std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| check(&mut table)))
                    .is_err()
                {
                    *failures.lock().expect("no panic") += 1;
                }
            }
        };
        let workers: Vec<_> = (0..6).map(|_| scope.spawn(work)).collect();
        workers.into_iter().map(|worker| worker.join().expect("caught")).collect()
    });
    let mut rows = BTreeMap::new();
    for (key, row) in tables.into_iter().flat_map(|table| table.rows) {
        assert!(rows.insert(key.clone(), row).is_none(), "two rows for `{key}`");
    }
    let sources = tidy::sources();
    for (key, test) in ELSEWHERE {
        assert!(
            sources.iter().any(|source| source.contains(&format!("fn {test}("))),
            "`{key}`: no test `{test}`"
        );
        let row = ("-".to_owned(), format!("shown by the test `{test}`"));
        assert!(
            rows.insert(key.to_owned(), row).is_none(),
            "`{key}` has a row now: take it off the list"
        );
    }
    print(&keys, &rows);
    let failures = failures.into_inner().expect("no panic");
    assert_eq!(failures, 0, "checks failed; what they found is above");
    let shown: BTreeSet<&String> = rows.keys().collect();
    let missing: Vec<&String> = keys.iter().filter(|key| !shown.contains(key)).collect();
    assert!(missing.is_empty(), "keys without a row: {missing:?}");
    let unknown: Vec<&&String> = shown.iter().filter(|key| !keys.contains(key)).collect();
    assert!(unknown.is_empty(), "rows of keys that are not in the file: {unknown:?}");
}

#[expect(clippy::print_stdout, reason = "the table is what tests/run shows")]
fn print(keys: &[String], rows: &BTreeMap<String, (String, String)>) {
    let mut text = String::from("\n| key | value | effect |\n| --- | --- | --- |\n");
    for key in keys {
        if let Some((value, effect)) = rows.get(key) {
            let _ = writeln!(text, "| {key} | {value} | {effect} |");
        }
    }
    println!("{text}");
}

/// `section.key`, those that are commented out and sections without keys of their own included.
fn keys_of(text: &str) -> Vec<String> {
    let mut keys: Vec<String> = Vec::new();
    let mut section = String::new();
    let mut has_key = true;
    for line in text.lines().chain(["[]"]) {
        if line.starts_with('[') {
            if !has_key
                && !keys.iter().any(|key| key.starts_with(&format!("{section}.")))
                && !text.contains(&format!("[{section}."))
            {
                keys.push(section.clone());
            }
            section = line.trim_matches(['[', ']']).to_owned();
            has_key = false;
        } else if let Some((key, _)) = line.strip_prefix("# ").unwrap_or(line).split_once(" = ")
            && key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-')
        {
            keys.push(format!("{section}.{key}"));
            has_key = true;
        }
    }
    keys
}

// ---- replays: counts and verdicts of a quiet fortnight with ten posts about influenza at its end
// ----

struct Replay {
    folder: Folder,
}

impl Replay {
    fn of(lines: &str) -> Replay {
        let folder = Folder::new();
        folder.write("posts.ndjson", lines);
        Replay { folder }
    }

    /// What `--counts` and the like write, with these settings.
    fn csv(&self, what: &str, sets: &[&str]) -> Vec<csv::StringRecord> {
        let sets = sets.iter().flat_map(|set| ["--set", set]);
        let args: Vec<&str> =
            ["replay", "posts.ndjson", what, "-"].into_iter().chain(sets).collect();
        let out = self.folder.output(&args).ends(0).stdout();
        csv::ReaderBuilder::new()
            .has_headers(false)
            .from_reader(out.as_bytes())
            .records()
            .skip(1)
            .map(|row| row.expect("a row"))
            .collect()
    }

    fn rows(&self, what: &str, sets: &[&str], fits: impl Fn(&csv::StringRecord) -> bool) -> usize {
        self.csv(what, sets).iter().filter(|row| fits(row)).count()
    }

    fn alerts(&self, sets: &[&str]) -> usize {
        let sets = sets.iter().flat_map(|set| ["--set", set]);
        let args: Vec<&str> =
            ["replay", "posts.ndjson", "--alerts", "-"].into_iter().chain(sets).collect();
        let out = self.folder.output(&args).ends(0).stdout();
        out.lines()
            .map(|line| serde_json::from_str::<Value>(line).expect("JSON")["id"].to_string())
            .collect::<BTreeSet<_>>()
            .len()
    }
}

/// Columns of `--verdicts`.
const METHOD: usize = 4;
const UPPERBOUND: usize = 8;

fn unix_seconds() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs() as i64
}

fn line(id: usize, more: Value) -> String {
    let mut line = json!({"id": format!("p{id}"), "author": format!("a{id}"), "created_at": OUTBREAK + id as i64, "arrived": OUTBREAK + id as i64, "region": "DE-BE"});
    for (key, value) in more.as_object().into_iter().flatten() {
        line[key] = value.clone();
    }
    format!("{line}\n")
}

fn panes(table: &mut Table) {
    let replay = Replay::of(&live::ten_posts().0);
    let quarters = |sets: &[&str]| {
        replay.rows("--counts", sets, |row| row[2].parse::<i64>().expect("an instant") % 3600 == 0)
    };
    let all = |sets: &[&str]| replay.rows("--counts", sets, |_| true);
    // Ten posts in the first minutes of an hour: the same panes by their start, another length:
    // fewer posts fall into the first.
    let spread = Replay::of(
        &(0..4)
            .map(|n| line(n, json!({"tags": ["flu"], "created_at": OUTBREAK + 1000 * n as i64, "arrived": OUTBREAK + 1000 * n as i64})))
            .collect::<String>(),
    );
    let first = |sets: &[&str]| {
        spread.rows("--counts", sets, |row| &row[0] == "influenza" && &row[1] == "DE-BE")
    };
    assert_eq!(quarters(&[]), all(&[]));
    table.differs("panes.length", "15m", "panes counted", first(&[]), first(&["panes.length=15m"]));
    let halves = |sets: &[&str]| replay.rows("--verdicts", sets, |row| &row[3] == "43200");
    table.differs(
        "panes.windows",
        "[\"12h\"]",
        "windows of 12 h judged",
        halves(&[]),
        halves(&["panes.windows=[\"12h\"]"]),
    );

    // Half an hour late, in order of arrival.
    let (text, first) = live::ten_posts();
    let late = json!({"id": "late", "author": "late", "created_at": first + 40, "text": "#flu", "region": "DE-BE", "langs": ["de"]});
    let at = |line: &str| {
        serde_json::from_str::<Value>(line).expect("JSON")["created_at"]
            .as_i64()
            .expect("an instant")
    };
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let behind =
        lines.iter().position(|line| at(line) > OUTBREAK + 3600 + 1500).expect("lines that follow");
    lines.insert(behind, late.to_string());
    let replay = Replay::of(&(lines.join("\n") + "\n"));
    let closed = |sets: &[&str]| {
        let sets: Vec<&str> = sets.iter().flat_map(|set| ["--set", *set]).collect();
        let args =
            [&["replay", "posts.ndjson", "--as-live", "--verdicts", "-"][..], &sets].concat();
        let out = replay.folder.output(&args).ends(0).stdout();
        let end = (OUTBREAK + 3600).to_string();
        let mut rows = csv::Reader::from_reader(out.as_bytes());
        let mut rows = rows.records().map(|row| row.expect("a row"));
        rows.find(|row| {
            (&row[0], &row[1], &row[2], &row[3], &row[5])
                == ("influenza", "DE-BE", end.as_str(), "86400", "closed")
        })
        .expect("a verdict")[6]
            .to_owned()
    };
    table.differs(
        "panes.lateness",
        "1h",
        "accounts when a window is first judged, one 30 min late",
        closed(&[]),
        closed(&["panes.lateness=1h"]),
    );

    let old =
        line(1, json!({"created_at": OUTBREAK - 40 * 3600, "arrived": OUTBREAK, "tags": ["flu"]}));
    let replay = Replay::of(&old);
    let late = |sets: &[&str]| {
        let sets: Vec<&str> = sets.iter().flat_map(|set| ["--set", *set]).collect();
        replay
            .folder
            .output(&[&["replay", "posts.ndjson"][..], &sets].concat())
            .ends(0)
            .summed("late")
    };
    table.differs(
        "panes.horizon",
        "48h",
        "posts too late, one of 40 h ago",
        late(&[]),
        late(&["panes.horizon=48h"]),
    );
}

fn topics(table: &mut Table) {
    let replay = Replay::of(
        &(line(1, json!({"tags": ["bread"]})) + &line(2, json!({"tags": ["FluSeason2026"]}))),
    );
    replay.folder.write(
        "bread.toml",
        "[[topic]]\nid = \"bread\"\nname = \"Bread\"\nkind = \"symptom\"\ntags.en = [\"bread\"]\n",
    );
    let of = |topic: &str, sets: &[&str]| replay.rows("--counts", sets, |row| &row[0] == topic);
    table.differs(
        "topics.files",
        "bread.toml",
        "cells of `bread`",
        of("bread", &[]),
        of("bread", &["topics.files=bread.toml"]),
    );
    table.differs(
        "topics.segment",
        "false",
        "cells of #FluSeason2026",
        of("influenza", &[]),
        of("influenza", &["topics.segment=false"]),
    );

    // A crisis that was written into another folder.
    let folder = &replay.folder;
    let ring = [[13.5, 50.9], [14.0, 50.9], [14.0, 51.2], [13.5, 51.2], [13.5, 50.9]];
    folder.write("elbe.geojson", json!({"type": "Polygon", "coordinates": [ring]}).to_string());
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    let end = (now + 10 * 86_400).to_string();
    let start = [
        "crisis",
        "start",
        "--polygon",
        "elbe.geojson",
        "--topic",
        "flood",
        "--until",
        &end,
        "--inhabitants",
        "60000",
        "--reason",
        "water",
    ];
    folder.output(&[&start[..], &["--set", "topics.crises=elsewhere"]].concat()).ends(0);
    let listed = |sets: &[&str]| {
        folder
            .output(&[&["crisis", "list"][..], sets].concat())
            .ends(0)
            .stdout()
            .lines()
            .filter(|line| line.contains("elbe"))
            .count()
    };
    assert!(folder.file("elsewhere/elbe.toml").is_file());
    table.differs(
        "topics.crises",
        "elsewhere",
        "crises listed",
        listed(&[]),
        listed(&["--set", "topics.crises=elsewhere"]),
    );

    // No cell of a crisis with fewer than eleven accounts is shown.
    let flooded = json!({"text": "Hochwasser in Dresden \
        #Hochwasser", "region": null, "created_at": now - 600, "arrived": now - 600});
    folder.write("posts.ndjson", (0..20).map(|n| line(n, flooded.clone())).collect::<String>());
    let placed = |sets: &[&str]| {
        replay.rows("--counts", sets, |row| &row[0] == "elbe" && row[1].starts_with("DE"))
    };
    let crises = "topics.crises=elsewhere";
    table.differs(
        "atlas.mentions-in-crises",
        "false",
        "placed cells of a crisis topic",
        placed(&[crises]),
        placed(&[crises, "atlas.mentions-in-crises=false"]),
    );
}

fn lines(table: &mut Table) {
    let replay = Replay::of(
        &[
            line(1, json!({"text": "x".repeat(3000)})),
            line(2, json!({"more": [[[[[[[[[[]]]]]]]]]]})),
            line(3, json!({"tags": ["flu", "cough"], "langs": ["de", "en", "fr"]})),
            line(4, json!({"tags": [format!("flu{}", "y".repeat(40))]})),
        ]
        .concat(),
    );
    let rejected =
        |sets: &[&str], reason: &str| replay.rows("--rejects", sets, |row| &row[2] == reason);
    table.differs(
        "limits.line-bytes",
        "1KiB",
        "lines rejected (length)",
        rejected(&[], "length"),
        rejected(&["limits.line-bytes=1KiB"], "length"),
    );
    table.differs(
        "limits.depth",
        "8",
        "lines rejected (depth)",
        rejected(&[], "depth"),
        rejected(&["limits.depth=8"], "depth"),
    );
    let dropped = |sets: &[&str]| {
        let sets: Vec<&str> = sets.iter().flat_map(|set| ["--set", *set]).collect();
        replay
            .folder
            .output(&[&["replay", "posts.ndjson"][..], &sets].concat())
            .ends(0)
            .summed("tags_dropped")
    };
    table.differs(
        "limits.tags-per-post",
        "1",
        "tags dropped",
        dropped(&[]),
        dropped(&["limits.tags-per-post=1"]),
    );
    table.differs(
        "limits.tag-bytes",
        "16",
        "tags dropped",
        dropped(&[]),
        dropped(&["limits.tag-bytes=16"]),
    );
    let languages = |sets: &[&str]| {
        replay.rows("--counts", sets, |row| &row[0] == "influenza" && row[1].starts_with("lang:"))
    };
    table.differs(
        "limits.langs-per-post",
        "1",
        "languages counted",
        languages(&[]),
        languages(&["limits.langs-per-post=1"]),
    );
}

/// More series than have room, in three hours.
fn cells(table: &mut Table) {
    let languages = [
        "de", "en", "fr", "es", "it", "nl", "pl", "pt", "sv", "da", "fi", "cs", "el", "hu", "ro",
        "bg",
    ];
    let tags = bounds::all_tags();
    let post = |n: usize| {
        let at = OUTBREAK + 3600 * n as i64;
        line(n, json!({"tags": tags, "langs": languages, "created_at": at, "arrived": at}))
    };
    let replay = Replay::of(&(0..3).map(post).collect::<String>());
    let left_out = |sets: &[&str]| {
        replay
            .folder
            .output(&set(&["replay", "posts.ndjson"], sets))
            .ends(0)
            .summed("cells_dropped")
    };
    table.differs(
        "limits.cells",
        "1000",
        "cells left out of three posts of 16 languages",
        left_out(&[]),
        left_out(&["limits.cells=1000"]),
    );
}

fn bounds_of_feeds(table: &mut Table) {
    let appended =
        |value: &str| sources::most_appended_at_once(&format!("limits.batch-bytes={value}"));
    table.differs(
        "limits.batch-bytes",
        "2KiB",
        "bytes appended at once, at most",
        appended("256KiB"),
        appended("2KiB"),
    );
    let (usual, small) = (
        sources::most_that_waited("limits.queue=64", 6.0),
        sources::most_that_waited("limits.queue=3", 1.0),
    );
    table.differs("limits.queue", "3", "lines of a network that waited, at most", usual, small);
}

fn requests_at_once(table: &mut Table) {
    let [usual, now] = [&[][..], &["limits.requests=1"]].map(|sets| {
        let (_folder, run, token) = web::served(sets);
        web::refused_of_thirty(&run, &token)
    });
    table.differs("limits.requests", "1", "answers 503 to thirty requests at once", usual, now);
}

fn replay_memory(table: &mut Table) {
    let folder = Folder::new();
    let lines: String = (0..200_000)
        .map(|n: i64| {
            let at = OUTBREAK + n / 100;
            format!(
                "{{\"id\":\"p{n}\",\"author\":\"a{n}\",\"created_at\":{at},\"arrived\":{at},\"tags\":[\"flu\"],\"region\":\"DE-BE\"}}\n"
            )
        })
        .collect();
    folder.write("posts.ndjson", lines);
    folder.output(&["replay", "posts.ndjson"]).ends(0);
    let stopped = folder
        .output(&["replay", "posts.ndjson", "--set", "limits.memory-max=64MiB"])
        .ends(1)
        .stderr();
    assert!(stopped.contains("hint: "), "{stopped}");
    table.row("limits.memory-max", "64MiB", "exit code of `replay`: 0 → 1");
}

fn judging(table: &mut Table) {
    let replay = Replay::of("");
    crate::program::simulate(&replay.folder, "posts.ndjson", &["--posts", "30000", "--days", "20"]);
    let methods = |sets: &[&str]| {
        let methods: BTreeSet<String> =
            replay.csv("--verdicts", sets).iter().map(|row| row[METHOD].to_owned()).collect();
        methods.into_iter().collect::<Vec<_>>().join(" ")
    };
    table.differs(
        "detect.method",
        "ears-c1",
        "method of verdicts",
        methods(&[]),
        methods(&["detect.method=ears-c1"]),
    );
    let bounds = |sets: &[&str]| {
        let rows = replay.csv("--verdicts", sets);
        format!(
            "{:.0}",
            rows.iter().filter_map(|row| row[UPPERBOUND].parse::<f64>().ok()).sum::<f64>()
        )
    };
    let ears = "detect.method=ears-c1";
    let params = "detect.params.alpha=0.2";
    table.differs(
        "detect.params",
        "alpha = 0.2",
        "sum of all bounds of ears-c1",
        bounds(&[ears]),
        bounds(&[ears, params]),
    );
    let usual = bounds(&[]);
    for (key, value) in [
        ("detect.false-episodes-per-week", "1000"),
        ("detect.coverage", "1"),
        ("detect.guardband", "7d"),
    ] {
        table.differs(
            key,
            value,
            "sum of all bounds",
            usual.clone(),
            bounds(&[&format!("{key}={value}")]),
        );
    }
}

fn floors(table: &mut Table) {
    let replay = Replay::of(&live::ten_posts().0);
    let usual = replay.alerts(&[]);
    table.differs(
        "detect.floors.accounts",
        "20",
        "alerts",
        usual,
        replay.alerts(&["detect.floors.accounts=20"]),
    );
    table.differs(
        "detect.floors.posts",
        "20",
        "alerts",
        usual,
        replay.alerts(&["detect.floors.posts=20"]),
    );
    table.differs(
        "detect.floors.ratio",
        "1000",
        "alerts",
        usual,
        replay.alerts(&["detect.floors.ratio=1000"]),
    );
}

fn places(table: &mut Table) {
    let at = |id, lat: f64, lon: f64| {
        line(id, json!({"tags": ["flu"], "region": null, "lat": lat, "lon": lon}))
    };
    let replay = Replay::of(&at(1, 51.05, 13.74));
    let of = |region: &str, sets: &[&str]| {
        replay.rows("--counts", sets, |row| &row[0] == "influenza" && &row[1] == region)
    };
    table.differs(
        "atlas.evidence",
        "[\"place\"]",
        "cells of Saxony, by coordinates",
        of("DE-SN", &[]),
        of("DE-SN", &["atlas.evidence=[\"place\"]"]),
    );
    let ring = [[13.5, 50.9], [14.0, 50.9], [14.0, 51.2], [13.5, 51.2], [13.5, 50.9]];
    let own = json!({"type": "FeatureCollection", "features": [{"type": "Feature", "geometry": {"type": "Polygon", "coordinates": [ring]},
        "properties": {"code": "x:elbe", "name": "Elbe", "population": 60_000}}]});
    replay.folder.write("own.geojson", own.to_string());
    table.differs(
        "atlas.regions",
        "own.geojson",
        "cells of x:elbe",
        of("x:elbe", &[]),
        of("x:elbe", &["atlas.regions=own.geojson"]),
    );
    replay.folder.write(
        "posts.ndjson",
        line(1, json!({"tags": ["flu"], "region": null, "profile": "Birmingham"})),
    );
    let placed = |sets: &[&str]| {
        replay.rows("--counts", sets, |row| &row[0] == "influenza" && row[1].starts_with("GB"))
    };
    table.differs(
        "atlas.confidence-min",
        "0.95",
        "cells of Britain, by the profile `Birmingham`",
        placed(&[]),
        placed(&["atlas.confidence-min=0.95"]),
    );
}

fn populations(table: &mut Table) {
    let folder = Folder::new();
    folder.write(
        "posts.ndjson",
        live::in_order(live::quiet(|_| json!({"lat": 51.34, "lon": 12.37}))),
    );
    folder.write("run.toml", FILE_FEED);
    folder.output(&DRAIN).ends(0);
    let ring = [[13.5, 50.9], [14.0, 50.9], [14.0, 51.2], [13.5, 51.2], [13.5, 50.9]];
    folder.write("elbe.geojson", json!({"type": "Polygon", "coordinates": [ring]}).to_string());
    folder.write("people.csv", "region,population\nDE,1000000\nDE-SN,500000\n");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    let end = (now + 10 * 86_400).to_string();
    let expected = |id: &str, sets: &[&str]| {
        let start = [
            "crisis",
            "start",
            "--config",
            "run.toml",
            "--polygon",
            "elbe.geojson",
            "--topic",
            "flood",
            "--until",
            &end,
        ];
        let rest = [
            "--inhabitants",
            "100000",
            "--reason",
            "water",
            "--id",
            id,
            "--set",
            "web.listen=127.0.0.1:1",
        ];
        let done = folder.output(&[&start[..], &rest, sets].concat()).ends(0);
        let said = done.stdout() + &done.stderr();
        said.lines()
            .find(|line| line.contains("per day"))
            .unwrap_or_else(|| panic!("{said}"))
            .replace(id, "")
            .split_once("  ")
            .map_or(String::new(), |(_, rest)| rest.to_owned())
    };
    let usual = expected("one", &[]);
    let now = expected("two", &["--set", "atlas.populations=people.csv"]);
    let short = |text: &str| text.chars().take(120).collect::<String>();
    assert!(usual != now, "{usual}");
    table.row(
        "atlas.populations",
        "people.csv",
        format!("posts that a crisis expects: {} → {}", short(&usual), short(&now)),
    );
}

// ---- runs on a file ----

const FILE_FEED: &str = "[web]\nlisten = \"127.0.0.1:0\"\n[metrics]\nlisten = \
    \"127.0.0.1:0\"\n[[feeds]]\nname = \"posts\"\nkind = \"file\"\npath = \"posts.ndjson\"\n";
const DRAIN: [&str; 4] = ["run", "--config", "run.toml", "--until-drained"];
const RUN: [&str; 3] = ["run", "--config", "run.toml"];

fn folder_of(lines: &str) -> Folder {
    let folder = Folder::new();
    folder.write("posts.ndjson", lines);
    folder.write("run.toml", FILE_FEED);
    folder
}

fn set<'a>(args: &[&'a str], sets: &[&'a str]) -> Vec<&'a str> {
    args.iter().copied().chain(sets.iter().flat_map(|set| ["--set", *set])).collect()
}

fn ended(running: &mut Running) {
    running.signal("TERM");
    running.ends(0);
}

fn rejects(table: &mut Table) {
    let lines: String = (0..1500)
        .map(|n| if n % 5 == 0 { "{\n".to_owned() } else { line(n, json!({"text": "hello"})) })
        .collect();
    let folder = folder_of(&lines);
    folder.output(&set(&DRAIN, &["rejects.share-max=0.5"])).ends(0);
    let said = folder_of(&lines).output(&DRAIN).ends(1).stderr();
    assert!(said.contains("rejects.share-max"), "{said}");
    table.row("rejects.share-max", "0.5", "exit code with 20 % rejected lines: 1 → 0");
}

fn embedded(table: &mut Table) {
    let folder = folder_of(&live::ten_posts().0);
    let printed =
        |sets: &[&str]| folder.output(&set(&DRAIN, sets)).ends(0).stdout().lines().count();
    let usual = printed(&[]);
    assert!(folder.file("data/meta.sqlite").is_file() && !folder.file("other").exists());
    let silent = printed(&["alerts.stdout=false", "journal.data=other"]);
    table.differs("alerts.stdout", "false", "lines of JSON printed", usual, silent);
    assert!(folder.file("other/meta.sqlite").is_file());
    table.row("journal.data", "other", "folder of streams, tables and keys: data → other");
    table.row(
        "journal.kind",
        "kafka",
        "streams: files under data → connections to a broker (see journal.brokers)",
    );
    table.row(
        "warehouse.kind",
        "clickhouse",
        "tables: data/warehouse.sqlite → requests to a server (see warehouse.url)",
    );
}

fn partitions(table: &mut Table) {
    let taken = |sets: &[&str]| {
        let folder = folder_of(&line(1, json!({"tags": ["flu"]})));
        folder.output(&set(&DRAIN, sets)).ends(0);
        LocalJournal::open(
            &folder.file("data"),
            if sets.is_empty() { 4 } else { 7 },
            Options::default(),
        )
        .expect("its streams")
        .partitions(Stream::Posts)
    };
    table.differs(
        "journal.partitions",
        "7",
        "partitions of posts on disk",
        taken(&[]),
        taken(&["journal.partitions=7"]),
    );

    // Retention has deleted what is unread.
    let folder = folder_of(&line(1, json!({"tags": ["flu"]})));
    folder.write("run.toml", format!("{FILE_FEED}follow = true\n"));
    let mut running = folder.start(&RUN);
    until(LONG, "a post", || {
        running.metric("pumphandle_posts_read_total").filter(|read| *read > 0.0)
    });
    ended(&mut running);
    {
        let journal = LocalJournal::open(
            &folder.file("data"),
            4,
            Options {
                retention: BTreeMap::from([(Stream::Posts, Duration::from_secs(3600))]),
                ..Options::default()
            },
        )
        .expect("its streams");
        let tick = Record::Tick(record::Tick { settings: 1, at: 0, feeds: Vec::new() }).encode();
        let entries: Vec<journal::Entry> =
            (0..4).map(|partition| journal::Entry { partition, bytes: tick.clone() }).collect();
        journal.append(Stream::Posts, &entries).expect("appended");
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
        let deleted = journal.enforce_retention(now + 10 * 86_400).expect("deleted");
        assert!(deleted.files > 0);
    }
    let said = folder.output(&RUN).ends(1).stderr();
    assert!(said.contains("journal.accept-gaps=true"), "{said}");
    let mut running = folder.start(&set(&RUN, &["journal.accept-gaps=true"]));
    until(LONG, "the gap to be passed", || {
        running.log().contains("deleted by retention before it was read").then_some(())
    });
    until(LONG, "the page", || running.get("/healthz"));
    ended(&mut running);
    table.row("journal.accept-gaps", "true", "exit code of a start over a gap: 1 → runs on");
}

fn keys(table: &mut Table) {
    let authors = |sets: &[&str], name: &str| {
        // Two posts of one account, twelve days apart.
        let text: String = (0..2).map(|n: i64| line(n as usize, json!({"author": "same", "tags": ["flu"], "created_at": OUTBREAK + n * 12 * 86_400, "arrived": OUTBREAK + n * 12 * 86_400}))).collect();
        let folder = folder_of(&text);
        let done = folder.output(&set(&DRAIN, sets));
        done.ends(0);
        let journal =
            LocalJournal::open(&folder.file("data"), 4, Options::default()).expect("its streams");
        let mut authors = BTreeSet::new();
        for partition in 0..4 {
            let batch = journal
                .read(Stream::Posts, partition, 0, 1 << 20, Duration::ZERO)
                .expect("records");
            for (_, bytes) in &batch.records {
                if let Ok(Record::Post(post)) = Record::decode(bytes) {
                    authors.extend(post.author.map(|author| format!("{author:?}")));
                }
            }
        }
        (authors.len(), folder.file(&format!("data-keys/{name}")).exists())
    };
    let (usual, made) = authors(&[], "authors.key");
    let (short, _) = authors(&["privacy.author-key-epoch=9d"], "authors.key");
    table.differs(
        "privacy.author-key-epoch",
        "9d",
        "pseudonyms of one account in twelve days",
        usual,
        short,
    );
    for (key, name) in
        [("privacy.author-key-file", "authors.key"), ("privacy.routing-key-file", "routing.key")]
    {
        let given = format!("{key}=given.key");
        let folder = folder_of(&line(1, json!({"tags": ["flu"]})));
        folder.output(&DRAIN).ends(0);
        std::fs::copy(folder.file(&format!("data-keys/{name}")), folder.file("given.key"))
            .expect("a key");
        for ours in ["data", "data-keys"] {
            std::fs::remove_dir_all(folder.file(ours)).expect("our own folder");
        }
        folder.output(&set(&DRAIN, &[&given])).ends(0);
        table.differs(
            key,
            "given.key",
            "key made beside the data folder",
            made,
            folder.file(&format!("data-keys/{name}")).exists(),
        );
    }
    let folder = folder_of(&line(1, json!({"tags": ["flu"]})));
    folder.output(&set(&DRAIN, &["privacy.keys=vault"])).ends(0);
    assert!(
        folder.file("vault/authors.key").is_file()
            && folder.file("vault/routing.key").is_file()
            && !folder.file("data-keys").exists()
    );
    table.row("privacy.keys", "vault", "folder of the keys made: data-keys → vault");
}

// ---- servers that are asked ----

/// Accepts connections, keeps what it reads, and answers.
struct Fake {
    port: u16,
    got: Arc<Mutex<String>>,
}

impl Fake {
    fn start(serve: impl Fn(&mut TcpStream, &Mutex<String>) + Send + Sync + 'static) -> Fake {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let got = Arc::new(Mutex::new(String::new()));
        let (shared, serve) = (Arc::clone(&got), Arc::new(serve));
        // Ends with the process.
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let (got, serve) = (Arc::clone(&shared), Arc::clone(&serve));
                let _ = stream.set_read_timeout(Some(LONG));
                std::thread::spawn(move || serve(&mut stream, &got));
            }
        });
        Fake { port, got }
    }

    fn got(&self) -> String {
        self.got.lock().expect("no panic").clone()
    }

    #[track_caller]
    fn until(&self, what: &str) {
        until(LONG, &format!("`{what}`, only {:?}", self.got()), || {
            self.got().contains(what).then_some(())
        });
    }
}

fn keep(got: &Mutex<String>, bytes: &[u8]) {
    got.lock().expect("no panic").push_str(&String::from_utf8_lossy(bytes));
}

/// A broker that asks for SASL and then lets nobody in.
fn broker(stream: &mut TcpStream, got: &Mutex<String>) {
    loop {
        let mut length = [0; 4];
        if stream.read_exact(&mut length).is_err() {
            return;
        }
        let mut request = vec![0; u32::from_be_bytes(length).min(1 << 16) as usize];
        if stream.read_exact(&mut request).is_err() || request.len() < 8 {
            return;
        }
        keep(got, &request);
        let body: Vec<u8> = match (request[1], request[3]) {
            // ApiVersions: only the first version of it, which names itself, SaslHandshake and
            // SaslAuthenticate.
            (18, 0) => {
                let apis: [[u8; 6]; 3] =
                    [[0, 17, 0, 0, 0, 1], [0, 18, 0, 0, 0, 0], [0, 36, 0, 0, 0, 1]];
                [&[0, 0, 0, 0, 0, 3][..], &apis.concat()].concat()
            }
            (18, _) => vec![0, 35, 0, 0, 0, 0],
            (17, _) => [&[0, 0, 0, 0, 0, 1, 0, 5][..], b"PLAIN"].concat(),
            _ => return,
        };
        let answer = [&request[4..8], &body].concat();
        let length = u32::try_from(answer.len()).expect("short").to_be_bytes();
        if stream.write_all(&[&length[..], &answer].concat()).is_err() {
            return;
        }
    }
}

fn kafka(table: &mut Table) {
    let fake = Fake::start(broker);
    let folder = Folder::new();
    folder.write("password", "quite-secret\n");
    let brokers = format!("journal.brokers=127.0.0.1:{}", fake.port);
    let mut running = folder.start(&set(
        &["tally"],
        &["journal.kind=kafka", &brokers, "journal.kafka.client.id=effect-of-a-key"],
    ));
    fake.until("effect-of-a-key");
    running.kill();
    table.row("journal.brokers", "127.0.0.1:PORT", "connections there: 0 → 1 and more");
    table.row("journal.kafka", "client.id = \"effect-of-a-key\"", "the broker is told that name");
    let sasl = [
        "journal.kind=kafka",
        &brokers,
        "journal.password-file=password",
        "journal.kafka.security.protocol=SASL_PLAINTEXT",
        "journal.kafka.sasl.mechanism=PLAIN",
        "journal.kafka.sasl.username=us",
    ];
    let mut running = folder.start(&set(&["tally"], &sasl));
    fake.until("us\0quite-secret");
    running.kill();
    table.row(
        "journal.password-file",
        "password",
        "the broker receives its content as SASL password",
    );
}

fn streams_in_kafka(table: &mut Table) {
    let Ok(brokers) = std::env::var("KAFKA_BROKERS") else {
        table.skip("journal.prefix", "no KAFKA_BROKERS");
        return table.skip("journal.replication", "no KAFKA_BROKERS");
    };
    let folder = folder_of("");
    let name = folder
        .path()
        .file_name()
        .and_then(|name| name.to_str())
        .expect("a name")
        .replace(['.', '-'], "");
    let brokers = format!("journal.brokers={brokers}");
    let prefix = |text: &str| format!("journal.prefix={text}{name}");
    let kafka = ["journal.kind=kafka", &brokers];
    folder
        .output(&set(
            &["migrate", "--config", "run.toml"],
            &[&kafka[..], &[&prefix("one")]].concat(),
        ))
        .ends(0);
    // Streams of another prefix have not been made.
    folder
        .output(&set(
            &["tally", "--config", "run.toml", "--until-drained"],
            &[&kafka[..], &[&prefix("two")]].concat(),
        ))
        .ends(1);
    table.row(
        "journal.prefix",
        "another",
        "exit code of a role whose streams `migrate` has made: 0 → 1",
    );
    folder
        .output(&set(
            &["migrate", "--config", "run.toml"],
            &[&kafka[..], &[&prefix("three"), "journal.replication=9"]].concat(),
        ))
        .ends(1);
    table.row("journal.replication", "9", "exit code of `migrate` on fewer brokers: 0 → 1");
}

fn http(answer: &'static str) -> impl Fn(&mut TcpStream, &Mutex<String>) + Send + Sync + 'static {
    move |stream, got| {
        let mut buffer = [0; 4096];
        let mut text = String::new();
        while !text.contains("\r\n\r\n") {
            match stream.read(&mut buffer) {
                Ok(read) if read > 0 => text.push_str(&String::from_utf8_lossy(&buffer[..read])),
                _ => break,
            }
        }
        keep(got, text.as_bytes());
        let _ = stream.write_all(answer.as_bytes());
    }
}

fn warehouse(table: &mut Table) {
    let fake =
        Fake::start(http("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n1\n"));
    let folder = Folder::new();
    folder.write("password", "quite-secret\n");
    let url = format!("warehouse.url=http://127.0.0.1:{}", fake.port);
    let sets = [
        "warehouse.kind=clickhouse",
        &url,
        "warehouse.user=reader",
        "warehouse.database=elsewhere",
        "warehouse.password-file=password",
    ];
    let mut running = folder.start(&set(&["alerts", "list"], &sets));
    fake.until("elsewhere");
    running.kill();
    let got = fake.got();
    assert!(got.contains("reader") && got.contains("quite-secret"), "{got}");
    table.row("warehouse.url", "http://127.0.0.1:PORT", "requests there: 0 → 1 and more");
    table.row("warehouse.user", "reader", "requests name that user");
    table.row("warehouse.database", "elsewhere", "requests name that database");
    table.row("warehouse.password-file", "password", "requests carry its content");
}

/// Rows in the warehouse of posts that are seventy days old.
fn retention_of_rows(table: &mut Table) {
    let at = unix_seconds() - 70 * 86_400;
    let post = |n: usize| {
        line(
            n,
            json!({"tags": ["flu"], "created_at": at + 3600 * n as i64, "arrived": at + 3600 * n as i64}),
        )
    };
    let folder = folder_of(&(0..30).map(post).collect::<String>());
    let rows = |name: &str| {
        folder
            .output(&["export", "--config", "run.toml", "--table", name, "--format", "ndjson"])
            .ends(0)
            .stdout()
            .lines()
            .count()
    };
    let mut running = folder.start(&RUN);
    until(LONG, "rows", || {
        running.metric("pumphandle_landed_records_total").filter(|landed| *landed > 0.0)
    });
    until(LONG, "verdicts", || (rows("verdicts") > 0).then_some(()));
    ended(&mut running);
    let (counts, verdicts) = (rows("counts"), rows("verdicts"));
    // What is old goes at a start.
    let left = |setting: &str, name: &str| {
        let mut running = folder.start(&set(&RUN, &[setting]));
        running.says("retention deleted rows");
        ended(&mut running);
        rows(name)
    };
    let verdicts_left = left("retention.verdicts=30d", "verdicts");
    assert_eq!(rows("counts"), counts);
    let counts_left = left("retention.cells=30d", "counts");
    // Panes that were open at the stop land at the start, after the deletion.
    assert!(
        counts_left < counts / 10 && verdicts_left < verdicts / 10,
        "{counts} {counts_left} {verdicts} {verdicts_left}"
    );
    let in_clickhouse = |name: &str| match crate::clickhouse::url() {
        None => "ClickHouse: skipped, not here".to_owned(),
        Some(url) => {
            let key = format!("retention.{}", if name == "counts" { "cells" } else { name });
            let [usual, now] =
                ["400d", "100d"].map(|age| clickhouse_expiry(&url, name, &format!("{key}={age}")));
            assert!(usual != now, "`{key}` has no effect in ClickHouse: {usual}");
            format!("TTL in ClickHouse: {usual} → {now}")
        }
    };
    for (key, name, usual, now) in [
        ("retention.cells", "counts", counts, counts_left),
        ("retention.verdicts", "verdicts", verdicts, verdicts_left),
    ] {
        table.row(
            key,
            "30d",
            format!("rows of `{name}`, 70 days old: {usual} → {now}; {}", in_clickhouse(name)),
        );
    }
}

/// The TTL of a table that `migrate` has made.
fn clickhouse_expiry(url: &str, name: &str, retention: &str) -> String {
    let folder = folder_of("");
    let database = folder
        .path()
        .file_name()
        .and_then(|name| name.to_str())
        .expect("a name")
        .replace(['.', '-'], "");
    let sets = [format!("warehouse.url={url}"), format!("warehouse.database=effects{database}")];
    folder
        .output(&set(
            &["migrate", "--config", "run.toml"],
            &["warehouse.kind=clickhouse", &sets[0], &sets[1], retention],
        ))
        .ends(0);
    let host = url.trim_start_matches("http://");
    let query = format!("SHOW CREATE TABLE effects{database}.{name}");
    let mut stream = TcpStream::connect(host).expect("the engine");
    write!(
        stream,
        "POST / HTTP/1.0\r\nHost: {host}\r\nContent-Length: {}\r\n\r\n{query}",
        query.len()
    )
    .expect("a request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    let rest = answer.split_once("TTL ").map_or("none", |(_, rest)| rest);
    rest.chars().take(60).take_while(|letter| *letter != '\\' && *letter != '\n').collect()
}

/// Files of the log that are 80 hours old and read by all stages.
fn retention_of_the_log(table: &mut Table) {
    const OLDER: &str = "import os, sqlite3, sys
for stream in sys.argv[1:]:
    for name in os.listdir(f'data/streams/{stream}'):
        hour = name.removesuffix('.sqlite')
        if hour.isdigit(): os.rename(f'data/streams/{stream}/{name}', \
        f'data/streams/{stream}/{int(hour) - 80}.sqlite')
    with sqlite3.connect('data/meta.sqlite') as meta:
        assert meta.execute('UPDATE meta SET value = value - 80 WHERE name = ?', \
        [f'newest:{stream}']).rowcount == 1, stream
";
    let streams =
        [Stream::Posts, Stream::Tallies, Stream::Counts, Stream::Rejects].map(Stream::name);
    let deleted = |sets: &[&str]| {
        let folder = folder_of(&(line(1, json!({"tags": ["flu"]})) + "no JSON\n"));
        let mut running = folder.start(&RUN);
        until(LONG, "rows", || {
            running.metric("pumphandle_landed_records_total").filter(|landed| *landed > 0.0)
        });
        ended(&mut running);
        let files = |stream: &str| {
            let entries = std::fs::read_dir(folder.file(&format!("data/streams/{stream}")))
                .expect("a stream");
            let names = entries
                .map(|entry| entry.expect("a file").file_name().into_string().expect("text"));
            names.filter(|name| name.ends_with(".sqlite")).collect::<BTreeSet<String>>()
        };
        let made = Command::new("python3")
            .args(["-c", OLDER])
            .args(streams)
            .current_dir(folder.path())
            .output()
            .expect("python3 runs");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let old = streams.map(files);
        assert!(old.iter().all(|files| !files.is_empty()), "{old:?}");
        // What it has begun it finishes.
        let mut running = folder.start(&set(&RUN, sets));
        until(Duration::from_secs(30), &format!("a deletion: {}", running.log()), || {
            running.log().contains("retention deleted stream=").then_some(())
        });
        ended(&mut running);
        let mut old = old.iter();
        streams.map(|stream| files(stream).is_disjoint(old.next().expect("of each stream")))
    };
    let usual = deleted(&[]);
    let values = ["100h", "100h", "2d", "2d"];
    let sets: Vec<String> = streams
        .iter()
        .zip(values)
        .map(|(stream, value)| format!("retention.{stream}={value}"))
        .collect();
    let now = deleted(&sets.iter().map(String::as_str).collect::<Vec<_>>());
    for (nth, (stream, value)) in streams.iter().zip(values).enumerate() {
        table.differs(
            &format!("retention.{stream}"),
            value,
            "files of 80 h ago are deleted at a start",
            usual[nth],
            now[nth],
        );
    }
}

fn page(table: &mut Table) {
    let folder = folder_of("");
    let status = |sets: &[&str], path: &str, headers: &str, times: usize| {
        let port = notify::free_port();
        let listen = format!("web.listen=127.0.0.1:{port}");
        let mut running = folder.start(&set(&set(&RUN, &[&listen]), sets));
        until(LONG, "the page", || running.get("/healthz"));
        let mut last = String::new();
        for nth in 0..times {
            let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("the page");
            let headers = headers.replace("192.0.2.N", &format!("192.0.2.{nth}"));
            write!(stream, "GET {path} HTTP/1.0\r\n{headers}\r\n").expect("asked");
            last.clear();
            stream.read_to_string(&mut last).expect("an answer");
        }
        ended(&mut running);
        last.split(' ').nth(1).unwrap_or_default().to_owned()
    };
    let (alerts, session, ours) = ("/api/v1/alerts", "/api/v1/session", "Host: 127.0.0.1\r\n");
    assert_eq!(status(&[], session, ours, 1), "200");
    table.row("web.listen", "127.0.0.1:PORT", "answers on that port: none → 200");
    let name = "Host: watch.example\r\n";
    table.differs(
        "web.hosts",
        "[\"watch.example\"]",
        "answer by that name",
        status(&[], session, name, 1),
        status(&["web.hosts=watch.example"], session, name, 1),
    );
    let usual = status(&[], alerts, ours, 1);
    table.differs(
        "web.anonymous",
        "viewer",
        "answer without a token",
        usual.clone(),
        status(&["web.anonymous=viewer"], alerts, ours, 1),
    );
    let secret = "0123456789abcdef0123456789abcdef";
    folder.write("secret", format!("{secret}\n"));
    let named = "X-Pumphandle-User: ana\r\nX-Pumphandle-Role: viewer\r\n";
    let proxied = format!("{ours}{named}X-Pumphandle-Proxy-Secret: {secret}\r\n");
    let (viewer, proxy, proof) =
        ("/api/v1/alerts", "web.trusted-proxies=127.0.0.1", "web.proxy-secret-file=secret");
    let both = status(&[proxy, proof], viewer, &proxied, 1);
    table.differs(
        "web.proxy-secret-file",
        "secret",
        "answer to a trusted proxy that names a viewer",
        status(&[proxy], viewer, &proxied, 1),
        both.clone(),
    );
    // Clients behind a proxy are counted by their own addresses.
    let forwarded = format!("{ours}X-Forwarded-For: 192.0.2.N\r\n");
    let few = "web.requests-per-minute=10";
    table.differs(
        "web.trusted-proxies",
        "[\"127.0.0.1\"]",
        "answer to the 20th question, each of another client by `X-Forwarded-For`",
        status(&[few], session, &forwarded, 20),
        status(&[few, proxy], session, &forwarded, 20),
    );
    let fifth = |sets: &[&str]| {
        let running = folder.start(&set(&RUN, sets));
        until(LONG, "the page", || running.get("/healthz"));
        let held: Vec<TcpStream> =
            (0..4).map(|_| TcpStream::connect(running.page()).expect("a connection")).collect();
        let answer = web::ask(&running, "/public", "")
            .map_or("none".to_owned(), |(status, _)| status.to_string());
        drop(held);
        answer
    };
    let four = fifth(&["web.connections-per-address=4"]);
    table.differs(
        "web.connections-per-address",
        "4",
        "answer on a fifth connection",
        fifth(&[]),
        four,
    );
    table.differs(
        "web.requests-per-minute",
        "10",
        "answer to the 20th question",
        status(&[], session, ours, 20),
        status(&["web.requests-per-minute=10"], session, ours, 20),
    );
}

/// A mail server that takes everything, encrypts nothing, and keeps what it is told.
fn smtp(stream: &mut TcpStream, got: &Mutex<String>) {
    let Ok(mut reader) = stream.try_clone().map(std::io::BufReader::new) else { return };
    let _ = stream.write_all(b"220 mail.example ready\r\n");
    let mut in_data = false;
    loop {
        let mut line = Vec::new();
        match std::io::BufRead::read_until(&mut reader, b'\n', &mut line) {
            Ok(read) if read > 0 => {}
            _ => return,
        }
        keep(got, &line);
        let text = String::from_utf8_lossy(&line).to_ascii_uppercase();
        let answer: &[u8] = if in_data {
            if text != ".\r\n" {
                continue;
            }
            in_data = false;
            b"250 taken\r\n"
        } else if text.starts_with("EHLO") {
            b"250-mail.example\r\n250-STARTTLS\r\n250 AUTH PLAIN LOGIN\r\n"
        } else if text.starts_with("DATA") {
            in_data = true;
            b"354 go on\r\n"
        } else if text.starts_with("AUTH") {
            b"235 in\r\n"
        } else if text.starts_with("STARTTLS") {
            b"454 not now\r\n"
        } else if text.starts_with("QUIT") {
            b"221 bye\r\n"
        } else if line.first() == Some(&0x16) {
            return;
        } else {
            b"250 ok\r\n"
        };
        if stream.write_all(answer).is_err() {
            return;
        }
    }
}

const SUBSCRIPTIONS: &str = "[[subscription]]\nname = \"by-mail\"\nchannel = \"mail\"\nto = \
    [\"duty@example.org\"]\naudience = \"official\"\nheartbeat = true\n\
    [[subscription]]\nname = \"by-feed\"\nchannel = \"feed\"\naudience = \"official\"\n";

/// A start that has alerts to send by mail through this server, each time as at a first start.
fn notifying(folder: &Folder, server: &Fake, sets: &[&str]) -> Running {
    let _ = std::fs::remove_dir_all(folder.file("data"));
    let port = format!("notify.mail.port={}", server.port);
    let usual = [
        "detect.method=eears",
        "notify.subscriptions=subscriptions.toml",
        "notify.mail.host=127.0.0.1",
        &port,
        "notify.mail.from=alerts@example.org",
    ];
    folder.start(&set(&RUN, &[&usual[..], sets].concat()))
}

fn feed_with_an_alert(folder: &Folder) -> String {
    until(LONG, "a feed with an alert", || {
        Some(files_below(folder, "data/feeds")).filter(|text| text.contains("<entry"))
    })
}

fn notifications(table: &mut Table) {
    let folder = folder_of(&notify::posts());
    folder.write("password", "quite-secret\n");
    folder.write("subscriptions.toml", SUBSCRIPTIONS);
    let server = Fake::start(smtp);
    let sets = [
        "notify.mail.encryption=none",
        "notify.mail.user=us",
        "notify.mail.password-file=password",
        "notify.mail.unsubscribe=leave@example.org",
        "notify.page=https://watch.example.org",
        "notify.cap.sender=us@example.org",
        "notify.cap.status=exercise",
        "notify.silence-after=1m",
    ];
    let mut running = notifying(&folder, &server, &sets);
    server.until("-pulse-");
    server.until("watch.example.org");
    let feeds = feed_with_an_alert(&folder);
    ended(&mut running);
    let got = server.got();
    assert!(got.contains("MAIL FROM:<alerts@example.org>"), "{got}");
    assert!(!got.contains("STARTTLS\r\n"), "{got}");
    // `\0us\0quite-secret` in base64.
    assert!(got.contains("AHVzAHF1aXRlLXNlY3JldA=="), "{got}");
    assert!(got.contains("leave@example.org"), "{got}");
    assert!(feeds.contains("us@example.org") && feeds.contains("watch.example.org"), "{feeds}");
    assert!(feeds.contains("<status>Exercise</status>"), "{feeds}");
    for (key, value, effect) in [
        (
            "notify.subscriptions",
            "subscriptions.toml",
            "mails and feeds of its subscriptions: none → some",
        ),
        ("notify.page", "https://watch.example.org", "links in mails and feeds lead there"),
        ("notify.silence-after", "1m", "a mail says that nothing new comes"),
        ("notify.mail.host", "127.0.0.1", "connections to that server: 0 → 1 and more"),
        ("notify.mail.port", "PORT", "connections to that port: 0 → 1 and more"),
        ("notify.mail.user", "us", "AUTH PLAIN with that name"),
        ("notify.mail.password-file", "password", "AUTH PLAIN with its content"),
        ("notify.mail.from", "alerts@example.org", "MAIL FROM with that address"),
        ("notify.mail.unsubscribe", "leave@example.org", "List-Unsubscribe with that address"),
        ("notify.cap.sender", "us@example.org", "sender of CAP messages"),
        ("notify.cap.status", "exercise", "status of CAP messages: Test → Exercise"),
    ] {
        table.row(key, value, effect);
    }
}

fn notifications_by_default(table: &mut Table) {
    let folder = folder_of(&notify::posts());
    folder.write("subscriptions.toml", SUBSCRIPTIONS);
    let usual = Fake::start(smtp);
    let mut running = notifying(&folder, &usual, &["notify.silence-after=7d"]);
    usual.until("STARTTLS\r\n");
    assert!(feed_with_an_alert(&folder).contains("<status>Test</status>"));
    assert!(!usual.got().contains("-pulse-"), "{}", usual.got());
    ended(&mut running);
    table.row("notify.mail.encryption", "none", "STARTTLS sent: 1 → 0");

    let hook = Fake::start(http("HTTP/1.1 204 No Content\r\n\r\n"));
    folder.write("secret", "whsec_bmV3ZXIgc2VjcmV0IG9mIDI0IGJ5dGVzIQ==\n");
    folder.write(
        "subscriptions.toml",
        format!(
            "[[subscription]]\nname = \"hook\"\nchannel = \"webhook\"\nurl = \
            \"http://127.0.0.1:{}/hook\"\nsecret-files = [\"secret\"]\naudience = \
            \"official\"\n",
            hook.port
        ),
    );
    let mut running = notifying(&folder, &usual, &[]);
    until(LONG, "a refusal", || running.log().contains("subscription=\"hook\"").then_some(()));
    ended(&mut running);
    assert_eq!(hook.got(), "");
    let mut running = notifying(&folder, &usual, &["notify.own-networks=127.0.0.0/8"]);
    hook.until("POST /hook");
    ended(&mut running);
    table.row(
        "notify.own-networks",
        "[\"127.0.0.0/8\"]",
        "requests to a webhook on this machine: 0 → 1",
    );
}

fn files_below(folder: &Folder, name: &str) -> String {
    let mut text = String::new();
    let mut folders = vec![folder.file(name)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path)
            } else {
                text += &std::fs::read_to_string(path).unwrap_or_default()
            }
        }
    }
    text
}

fn roots(table: &mut Table) {
    let folder = folder_of(&notify::posts());
    let at = |name: &str| folder.file(name).to_str().expect("text").to_owned();
    let make = [
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-days",
        "2",
        "-subj",
        "/CN=hook",
        "-addext",
        "subjectAltName=IP:127.0.0.1",
        "-addext",
        "basicConstraints=critical,CA:FALSE",
    ];
    let made = Command::new("openssl")
        .args(make)
        .args(["-keyout", &at("key.pem"), "-out", &at("root.pem")])
        .output();
    if !made.is_ok_and(|made| made.status.success()) {
        table.skip("notify.roots-file", "no openssl to make a certificate with");
        return table.skip("feeds.roots-file", "no openssl to make a certificate with");
    }
    let reached = |sets: &[&str]| {
        let _ = std::fs::remove_dir_all(folder.file("data"));
        let server = tls_server(&folder);
        folder.write("secret", "whsec_bmV3ZXIgc2VjcmV0IG9mIDI0IGJ5dGVzIQ==\n");
        folder.write(
            "subscriptions.toml",
            format!(
                "[[subscription]]\nname = \"hook\"\nchannel = \"webhook\"\nurl = \
                \"https://127.0.0.1:{}/hook\"\nsecret-files = [\"secret\"]\naudience = \
                \"official\"\n",
                server.port
            ),
        );
        let usual = [
            "detect.method=eears",
            "notify.subscriptions=subscriptions.toml",
            "notify.own-networks=127.0.0.0/8",
        ];
        let running = folder.start(&set(&RUN, &[&usual[..], sets].concat()));
        requests(running, server, "POST /hook", "subscription=\"hook\"")
    };
    table.differs(
        "notify.roots-file",
        "root.pem",
        "a webhook with that certificate is reached",
        reached(&[]),
        reached(&["notify.roots-file=root.pem"]),
    );

    let connected = |more: &str| {
        let _ = std::fs::remove_dir_all(folder.file("data"));
        let server = tls_server(&folder);
        jetstream_feed(&folder, server.port, more);
        let url = format!("feeds.blue.urls=[\"wss://127.0.0.1:{}/subscribe\"]", server.port);
        let running = folder.start(&set(&RUN, &[&url]));
        requests(running, server, "GET /subscribe", "name its certificate in `roots-file`")
    };
    table.differs(
        "feeds.roots-file",
        "root.pem",
        "a feed with that certificate is reached",
        connected(""),
        connected("roots-file = \"root.pem\"\n"),
    );
    folder.write("damaged.pem", "no certificate\n");
    jetstream_feed(&folder, 1, "roots-file = \"damaged.pem\"\n");
    let refusal = folder.output(&["check", "--config", "run.toml"]).ends(64).stdout();
    let problem = "feed `blue`: `damaged.pem` holds no certificates as PEM";
    assert!(refusal.contains(problem) && refusal.contains("hint: "), "{refusal}");
}

/// `openssl s_server`, which writes what it receives into a file and never answers.
struct TlsServer {
    port: u16,
    received: std::path::PathBuf,
    child: std::process::Child,
}

/// Whether the program sends a request to the server, rather than logging that it refuses to.
fn requests(mut running: Running, mut server: TlsServer, request: &str, refusal: &str) -> bool {
    let is_sent = until(LONG, "a request or a refusal", || {
        let is_sent = server.requests().contains(request);
        (is_sent || running.log().contains(refusal)).then_some(is_sent)
    });
    running.kill();
    server.stop();
    is_sent
}

fn tls_server(folder: &Folder) -> TlsServer {
    let port = notify::free_port();
    let received = folder.file("server");
    let child = Command::new("openssl")
        .args(["s_server", "-quiet", "-accept", &format!("127.0.0.1:{port}")])
        .arg("-cert")
        .arg(folder.file("root.pem"))
        .arg("-key")
        .arg(folder.file("key.pem"))
        // It ends with its input.
        .stdin(std::process::Stdio::piped())
        .stdout(std::fs::File::create(&received).expect("a file in our own folder"))
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("openssl");
    TlsServer { port, received, child }
}

impl TlsServer {
    fn requests(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.received).unwrap_or_default()).into_owned()
    }

    fn stop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

// ---- feeds ----

/// A Jetstream that sends posts of so many accounts once, and then nothing.
fn jetstream_server(accounts: usize, silent: bool) -> (u16, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.set_nonblocking(true).expect("a listener of ours");
    let port = listener.local_addr().expect("an address").port();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let shared = Arc::clone(&asked);
    // Ends with the process.
    std::thread::spawn(move || {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async move {
            let listener = tokio::net::TcpListener::from_std(listener).expect("a listener of ours");
            while let Ok((stream, _)) = listener.accept().await {
                let shared = Arc::clone(&shared);
                tokio::spawn(serve_jetstream(stream, shared, accounts, silent));
            }
        });
    });
    (port, asked)
}

#[expect(clippy::result_large_err, reason = "the library's signature")]
async fn serve_jetstream(
    stream: tokio::net::TcpStream,
    asked: Arc<Mutex<Vec<String>>>,
    accounts: usize,
    silent: bool,
) {
    let accepted = accept_hdr_async(stream, |request: &Request, response: Response| {
        asked.lock().expect("no panic").push(request.uri().to_string());
        Ok(response)
    });
    let Ok(mut socket) = accepted.await else { return };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_micros() as i64;
    for account in 0..accounts {
        let at = now - 5_000_000 + account as i64;
        let record = json!({"$type": "app.bsky.feed.post", "text": "hello", "createdAt": format!("{}.{:06}", at / 1_000_000, at % 1_000_000), "langs": ["en"]});
        let event = json!({"did": format!("did:plc:effect{account:04}"), "time_us": at, "kind": "commit",
            "commit": {"rev": "r", "operation": "create", "collection": "app.bsky.feed.post", "rkey": format!("k{account}"), "record": record, "cid": "c"}});
        if socket.send(Frame::text(event.to_string())).await.is_err() {
            return;
        }
    }
    if !silent {
        let _ = socket.close(None).await;
        return;
    }
    while let Some(Ok(_)) = socket.next().await {}
}

fn jetstream_feed(folder: &Folder, port: u16, more: &str) {
    let feed = format!(
        "[web]\nlisten = \"127.0.0.1:0\"\n[metrics]\nlisten = \"127.0.0.1:0\"\n[[feeds]]\nname = \
            \"blue\"\nkind = \"jetstream\"\nurls = [\"ws://127.0.0.1:{port}/subscribe\"]\n{more}"
    );
    folder.write("run.toml", feed);
}

fn jetstream(table: &mut Table) {
    // What is asked at the second connection, after the first was cut.
    let asked = |more: &str, silent: bool, connections: usize| {
        let folder = Folder::new();
        let (port, asked) = jetstream_server(3, silent);
        jetstream_feed(&folder, port, more);
        let mut running = folder.start(&RUN);
        let seen = until(LONG, "connections", || {
            Some(asked.lock().expect("no panic").clone()).filter(|asked| asked.len() >= connections)
        });
        running.kill();
        seen
    };
    let usual = asked("", false, 2);
    assert!(usual[0].starts_with("/subscribe?wantedCollections="), "{usual:?}");
    table.row(
        "feeds.urls",
        "[\"ws://127.0.0.1:PORT/subscribe\"]",
        "connections there: 0 → 1 and more",
    );
    let likes = asked("collections = [\"app.bsky.feed.like\"]\n", true, 1);
    let wanted = |uri: &str| {
        uri.split(['?', '&'])
            .filter(|pair| pair.starts_with("wantedCollections="))
            .collect::<Vec<_>>()
            .join(" ")
    };
    table.differs(
        "feeds.collections",
        "[\"app.bsky.feed.like\"]",
        "collections requested",
        wanted(&usual[0]),
        wanted(&likes[0]),
    );
    table.row("feeds.kind", "jetstream", "source: files → WebSocket connections");
    let second = asked("wire = \"v2\"\n", true, 1);
    let parameter = |uri: &str| uri.split(['?', '=']).nth(1).unwrap_or_default().to_owned();
    table.differs(
        "feeds.wire",
        "v2",
        "first parameter asked with",
        parameter(&usual[0]),
        parameter(&second[0]),
    );
    let back = |uri: &str| {
        let cursor: i64 = uri
            .split_once("cursor=")
            .expect("a cursor")
            .1
            .split('&')
            .next()
            .expect("a number")
            .parse()
            .expect("microseconds");
        let now =
            SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_micros() as i64;
        (now - cursor) / 60_000_000
    };
    let rewound = asked("rewind = \"30m\"\n", false, 2);
    table.differs(
        "feeds.rewind",
        "30m",
        "minutes resumed before now",
        back(&usual[1]),
        back(&rewound[1]),
    );
    let again = asked("idle-timeout = \"1s\"\n", true, 2);
    table.row(
        "feeds.idle-timeout",
        "1s",
        format!("connections to a server that sends nothing: 1 → {} within seconds", again.len()),
    );
}

fn profiles(table: &mut Table) {
    // How many accounts are asked for, and by how many requests, in the first seconds.
    let asked = |more: &str, enough: usize| {
        let folder = Folder::new();
        let view = Fake::start(http(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: \
                15\r\nConnection: close\r\n\r\n{\"profiles\":[]}",
        ));
        let (port, _) = jetstream_server(200, true);
        jetstream_feed(
            &folder,
            port,
            &more.replace("VIEW", &format!("http://127.0.0.1:{}", view.port)),
        );
        let mut running = folder.start(&RUN);
        until(LONG, "the posts", || {
            running.metric("pumphandle_posts_read_total").filter(|read| *read >= 200.0)
        });
        let deadline = std::time::Instant::now() + Duration::from_secs(6);
        until(LONG, "questions", || {
            let requests = view.got().matches("GET ").count();
            (requests >= enough || std::time::Instant::now() >= deadline).then_some(())
        });
        running.kill();
        let got = view.got();
        (got.matches("actors=").count(), got.matches("GET ").count())
    };
    let all =
        asked("profiles = \"VIEW\"\nprofiles-one-author-in = 1\nprofiles-per-minute = 3000\n", 8);
    let (none, _) = asked("", 1);
    table.differs("feeds.profiles", "http://127.0.0.1:PORT", "profiles asked for", none, all.0);
    let (few, _) = asked(
        "profiles = \"VIEW\"\nprofiles-one-author-in = 10000\nprofiles-per-minute = 3000\n",
        8,
    );
    table.differs(
        "feeds.profiles-one-author-in",
        "10000",
        "profiles of 200 accounts asked for",
        all.0,
        few,
    );
    let (_, slow) =
        asked("profiles = \"VIEW\"\nprofiles-one-author-in = 1\nprofiles-per-minute = 1\n", 8);
    table.differs("feeds.profiles-per-minute", "1", "requests in the first seconds", all.1, slow);
}

fn file_feeds(table: &mut Table) {
    let folder = folder_of(&line(1, json!({"tags": ["flu"]})));
    folder.write(
        "other.ndjson",
        line(1, json!({"tags": ["flu"]})) + &line(2, json!({"tags": ["flu"]})),
    );
    let exported = |sets: &[&str], name: &str| {
        folder.output(&set(&DRAIN, sets)).ends(0);
        folder
            .output(&["export", "--config", "run.toml", "--table", name, "--format", "ndjson"])
            .ends(0)
            .stdout()
    };
    let posts = |text: &str| {
        let rows = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
        rows.filter(|row| row["topic"] == "influenza" && row["region"] == "001")
            .filter_map(|row| row["posts"].as_u64())
            .sum::<u64>()
    };
    let usual = posts(&exported(&[], "v_counts"));
    table.differs(
        "feeds.path",
        "other.ndjson",
        "posts counted",
        usual,
        posts(&exported(&["feeds.posts.path=other.ndjson"], "v_counts")),
    );
    let totals = |text: String| text.lines().count();
    let _ = std::fs::remove_dir_all(folder.file("data"));
    let all = totals(exported(&[], "denominators"));
    let _ = std::fs::remove_dir_all(folder.file("data"));
    table.differs(
        "feeds.filtered",
        "true",
        "denominators",
        all,
        totals(exported(&["feeds.posts.filtered=true"], "denominators")),
    );

    let _ = std::fs::remove_dir_all(folder.file("data"));
    let read = |name: &str, more: &str| {
        folder.write("run.toml", FILE_FEED.replace("\"posts\"", &format!("\"{name}\"")) + more);
        let mut running = folder.start(&RUN);
        until(LONG, "a post", || {
            running.metric("pumphandle_posts_read_total").filter(|read| *read >= 1.0)
        });
        let shown = running.get("/metrics").expect("metrics").contains(&format!("feed=\"{name}\""));
        std::fs::OpenOptions::new()
            .append(true)
            .open(folder.file("posts.ndjson"))
            .and_then(|mut file| file.write_all(line(9, json!({})).as_bytes()))
            .expect("appended");
        let ends = running.log().contains("read to its end");
        let grown = until(LONG, "its end, or more", || {
            let ends = ends || running.log().contains("read to its end");
            let more =
                running.metric("pumphandle_posts_read_total").is_some_and(|read| read >= 2.0);
            (ends || more).then_some(more && !ends)
        });
        ended(&mut running);
        let _ = std::fs::remove_dir_all(folder.file("data"));
        folder.write("posts.ndjson", line(1, json!({"tags": ["flu"]})));
        (shown, grown)
    };
    let (named, usual) = read("posts", "");
    let (renamed, grown) = read("else-where", "follow = true\n");
    assert!(named && renamed);
    table.row("feeds.name", "else-where", "label of metrics: posts → else-where");
    table.differs("feeds.follow", "true", "a line that is appended is read", usual, grown);
}

fn outage_hold(table: &mut Table) {
    let moves = |hold: &str| {
        let folder = Folder::new();
        // Nobody listens there.
        jetstream_feed(&folder, notify::free_port(), "");
        let hold = format!("ingest.outage-hold={hold}");
        let mut running = folder.start(&set(&RUN, &[&hold]));
        until(LONG, "the page", || running.get("/healthz"));
        let deadline = std::time::Instant::now() + Duration::from_secs(8);
        let moved = until(LONG, "a watermark, or time", || {
            let moved = running.monitored("pumphandle_watermark_seconds").is_some();
            (moved || std::time::Instant::now() >= deadline).then_some(moved)
        });
        running.kill();
        moved
    };
    table.differs(
        "ingest.outage-hold",
        "0s",
        "the watermark moves while no feed is connected",
        moves("10m"),
        moves("0s"),
    );
}

fn log_and_metrics(table: &mut Table) {
    let folder = folder_of("");
    let lines = |sets: &[&str]| folder.output(&set(&DRAIN, sets)).ends(0).stderr();
    let json = |text: &str| {
        text.lines().filter(|line| serde_json::from_str::<Value>(line).is_ok()).count()
    };
    let usual = lines(&[]);
    let changed = lines(&["log.format=json"]);
    assert_eq!(json(&changed), changed.lines().count());
    table.differs("log.format", "json", "log lines that are JSON", json(&usual), json(&changed));
    table.differs(
        "log.level",
        "error",
        "log lines",
        usual.lines().count(),
        lines(&["log.level=error"]).lines().count(),
    );
    let port = notify::free_port();
    let mut running = folder.start(&set(&RUN, &[&format!("metrics.listen=127.0.0.1:{port}")]));
    let metrics = until(LONG, "metrics", || running.monitor("/metrics"));
    ended(&mut running);
    table.row(
        "metrics.listen",
        "127.0.0.1:PORT",
        format!(
            "metrics served there: 0 → {}",
            metrics.lines().filter(|line| line.starts_with("# TYPE")).count()
        ),
    );
}
