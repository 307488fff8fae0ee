//! `run` on files: what is exported is what `replay` counts, whatever happens to the process on the
//! way.

use std::fs::OpenOptions;
use std::io::Write;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use simulation::Random;

use crate::live;
use crate::program::{Folder, LONG, simulate, skip, until};
use crate::recount::assert_same;

const FILE_FEED: &str = r#"
    [web]
    listen = "127.0.0.1:0"
    [[feeds]]
    name = "posts"
    kind = "file"
    path = "posts.ndjson"
"#;
const RUN: [&str; 3] = ["run", "--config", "run.toml"];
const DRAIN: [&str; 4] = ["run", "--config", "run.toml", "--until-drained"];

#[test]
fn a_drained_run_exports_what_replay_counts_and_can_be_run_again() {
    let folder = folder_with_posts(&["--posts", "20000", "--days", "5"]);
    folder.output(&DRAIN).ends(0);
    let counts = replayed(&folder);
    assert_same("exported and replayed", &exported(&folder), &counts);
    let of_log = folder
        .output(&["replay", "--config", "run.toml", "--log", "--counts", "-"])
        .ends(0)
        .stdout();
    assert_same("the retained stream and the file", &of_log, &counts);
    // A log that has ended takes no more: a second run begins a new one, and says the same.
    folder.output(&DRAIN).ends(0);
    assert_same("run again", &exported(&folder), &counts);
}

#[test]
fn a_followed_file_is_read_as_it_grows_and_a_signal_drains() {
    let folder = folder_with_posts(&["--posts", "30000", "--days", "5", "--seed", "2"]);
    let posts = std::fs::read(folder.file("posts.ndjson")).unwrap();
    folder
        .write("run.toml", FILE_FEED.replace("posts.ndjson", "growing.ndjson") + "follow = true\n");
    folder.write("growing.ndjson", "");

    let mut growing = OpenOptions::new().append(true).open(folder.file("growing.ndjson")).unwrap();
    let mut random = Random::new(5);
    let mut running = folder.start(&RUN);
    let mut written = 0;
    let mut read = 0.0;
    while written < posts.len() {
        // Pieces end anywhere, in the midst of lines too.
        let piece = random.between(200_000, 3_000_000).min((posts.len() - written) as i64) as usize;
        growing.write_all(&posts[written..written + piece]).unwrap();
        written += piece;
        if written < posts.len() {
            read = until(LONG, "more to be read", || {
                running.metric("pumphandle_posts_read_total").filter(|now| *now > read)
            });
        }
    }
    running.signal("TERM");
    running.ends(0);
    folder.write("run.toml", FILE_FEED.replace("posts.ndjson", "growing.ndjson"));
    folder.output(&DRAIN).ends(0);
    assert_same("followed", &exported(&folder), &replayed(&folder));
}

#[test]
fn twenty_kills_at_random_moments_change_no_count() {
    let folder = folder_with_posts(&["--posts", "300000", "--seed", "3"]);
    let mut random = Random::new(20);
    let mut mid_work = 0;
    for kill in 0..20 {
        let mut running = folder.start(&RUN);
        // Short lives: a fast machine must not have read everything before the last kills.
        let alive = Duration::from_millis(random.between(150, 500) as u64);
        let killed_at = Instant::now() + alive;
        until(LONG, "the moment of the kill", || {
            assert!(
                running.ended().is_none(),
                "kill {kill}: it ended by itself: {}",
                running.log()
            );
            (Instant::now() >= killed_at).then_some(())
        });
        running.kill();
        mid_work += u32::from(!running.log().contains("read to its end"));
        assert!(
            !running.log().contains("ERROR") && !running.log().contains("panicked"),
            "after {kill} kills: {}",
            running.log()
        );
    }
    assert!(mid_work >= 5, "only {mid_work} kills hit a reader at work");
    folder.output(&DRAIN).ends(0);
    assert_same("after twenty kills", &exported(&folder), &replayed(&folder));
}

#[test]
fn a_second_signal_ends_at_once_and_loses_nothing() {
    let folder = folder_with_posts(&["--posts", "60000", "--days", "6"]);
    let mut running = folder.start(&RUN);
    until(LONG, "some posts to be read", || {
        running.metric("pumphandle_posts_read_total").filter(|read| *read > 10_000.0)
    });
    running.signal("TERM");
    running.says("press again to exit immediately");
    running.signal("TERM");
    let asked = Instant::now();
    running.ends(130);
    assert!(asked.elapsed() < Duration::from_secs(2), "it took {:?}", asked.elapsed());
    folder.output(&DRAIN).ends(0);
    assert_same("after two signals", &exported(&folder), &replayed(&folder));
}

#[test]
fn a_data_folder_in_use_is_refused_with_the_name_of_who_uses_it() {
    let folder = folder_with_posts(&["--posts", "1000"]);
    let mut running = folder.start(&RUN);
    until(LONG, "the page", || running.get("/healthz"));
    for args in [&RUN[..], &DRAIN] {
        let said = folder.output(args).ends(1).stderr();
        assert!(
            said.contains(&format!(
                "error: data folder `data` is in use by process {}",
                running.pid()
            )),
            "{said}"
        );
    }
    // Reading beside it is allowed.
    until(LONG, "counts", || (exported_rows(&folder) > 0).then_some(()));
    running.signal("INT");
    running.ends(0);
}

#[test]
fn alerts_of_a_run_are_listed_and_shown() {
    let folder = Folder::new();
    let (lines, first) = live::ten_posts();
    folder.write("posts.ndjson", lines);
    folder.write("run.toml", FILE_FEED);
    let none = folder.output(&["alerts", "list", "--config", "run.toml"]).ends(64).stderr();
    assert!(none.starts_with("error: no warehouse in `data`\nhint: "), "{none}");

    folder.output(&DRAIN).ends(0);
    let lines = |args: &[&str]| -> Vec<Value> {
        let said = folder.output(&[args, &["--config", "run.toml"]].concat()).ends(0).stdout();
        said.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let list = lines(&["alerts", "list"]);
    assert_eq!(list.len(), 1, "{list:?}");
    let id = list[0]["id"].as_str().unwrap();
    let story = lines(&["alerts", "show", id]);
    assert_eq!(story.last(), Some(&list[0]));
    assert_eq!(story[0]["region"], json!("DE-BE"));
    // Partitions are read in any order, and a file faster than any clock: whether it fires before
    // the close, and with which post
    // from the fifth on, is not promised here.
    let fired_at = story[0]["fired_at"].as_i64().unwrap();
    match story[0]["stage"].as_str() {
        Some("early") => {
            assert!((4..10).map(|n| first + 3 * n).any(|at| at == fired_at), "{}", story[0])
        }
        Some("closed") => assert!(fired_at > first + 3 * 9, "{}", story[0]),
        stage => panic!("{stage:?}: {}", story[0]),
    }
    assert!(
        story.iter().zip(0..).all(|(alert, revision)| alert["revision"] == json!(revision)),
        "{story:?}"
    );
    for key in [
        "topic",
        "regions",
        "opened_at",
        "fired_at",
        "severity",
        "observed",
        "expected",
        "upperbound",
        "recurrence",
    ] {
        assert!(list[0].get(key).is_some(), "an alert line has `{key}`: {}", list[0]);
    }
    assert_eq!(
        folder.output(&["alerts", "show", "nobody", "--config", "run.toml"]).ends(1).stderr(),
        "error: no alert `nobody`\n"
    );
}

#[test]
fn an_unknown_table_lists_the_tables_and_times_choose_rows() {
    let folder = folder_with_posts(&["--posts", "5000", "--days", "3"]);
    folder.output(&DRAIN).ends(0);
    let export =
        |args: &[&str]| folder.output(&[&["export", "--config", "run.toml"], args].concat());
    let said = export(&["--table", "count"]).ends(64).stderr();
    for table in [
        "counts",
        "tag_counts",
        "denominators",
        "verdicts",
        "alerts",
        "v_counts",
        "v_daily",
        "v_weekly",
        "v_alerts",
    ] {
        assert!(said.contains(table), "no {table}: {said}");
    }
    for wrong in [["--from", "tomorrow"], ["--to", "2026-13-01"], ["--format", "xml"]] {
        let said = export(&[&["--table", "v_counts"], &wrong[..]].concat()).ends(64).stderr();
        assert!(said.starts_with("error: ") && said.contains("hint: "), "{said}");
    }
    let rows = |args: &[&str]| export(&[&["--table", "v_counts"], args].concat()).ends(0).stdout();
    let (all, day) = (rows(&[]), rows(&["--from", "2026-01-06", "--to", "2026-01-07T00:00:00Z"]));
    let starts: Vec<i64> =
        day.lines().skip(1).map(|row| row.split(',').nth(3).unwrap().parse().unwrap()).collect();
    let day = 1_767_657_600..1_767_744_000;
    assert!(!starts.is_empty() && starts.iter().all(|start| day.contains(start)), "{starts:?}");
    let in_day = all
        .lines()
        .skip(1)
        .filter(|row| day.contains(&row.split(',').nth(3).unwrap().parse().unwrap()))
        .count();
    assert_eq!(starts.len(), in_day);
    let ndjson = rows(&["--format", "ndjson"]);
    assert_eq!(ndjson.lines().count(), all.lines().count() - 1);
    assert!(
        ndjson
            .lines()
            .all(|line| serde_json::from_str::<Value>(line).unwrap()["final"] == json!(1))
    );
}

#[test]
fn a_full_disk_is_a_clear_error_and_once_there_is_room_nothing_is_missing() {
    let folder = folder_with_posts(&["--posts", "30000", "--days", "5"]);
    std::fs::create_dir(folder.file("data")).unwrap();
    let Some(disk) = SmallDisk::mount(&folder, "6m") else {
        return skip("no small disk can be mounted here");
    };
    let mut running = folder.start(&DRAIN);
    running.ends(1);
    let said = running.log();
    assert!(said.contains("error: ") && said.contains("no room left on the disk"), "{said}");
    disk.resize("400m");
    folder.output(&DRAIN).ends(0);
    assert_same("after the disk was full", &exported(&folder), &replayed(&folder));
}

/// A disk of a given size in place of the data folder.
struct SmallDisk(String);

impl SmallDisk {
    fn mount(folder: &Folder, size: &str) -> Option<SmallDisk> {
        let place = folder.file("data").to_str().expect("text").to_owned();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs", &place])
            .output();
        mounted.is_ok_and(|mounted| mounted.status.success()).then_some(SmallDisk(place))
    }

    fn resize(&self, size: &str) {
        let resized = Command::new("mount")
            .args(["-o", &format!("remount,size={size}"), &self.0])
            .status()
            .expect("mount");
        assert!(resized.success());
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Whoever still holds it open lets go when it ends.
        let _ = Command::new("umount").args(["--lazy", &self.0]).status();
    }
}

fn folder_with_posts(args: &[&str]) -> Folder {
    let folder = Folder::new();
    folder.write("run.toml", FILE_FEED);
    simulate(&folder, "posts.ndjson", args);
    folder
}

/// The `--counts` of the posts.
pub(crate) fn replayed(folder: &Folder) -> String {
    folder.output(&["replay", "posts.ndjson", "--counts", "-"]).ends(0).stdout()
}

/// The exported counts in the form of `--counts`; all of them final.
pub(crate) fn exported(folder: &Folder) -> String {
    let exported =
        folder.output(&["export", "--config", "run.toml", "--table", "v_counts"]).ends(0).stdout();
    let mut rows = csv::Reader::from_reader(exported.as_bytes());
    let header = rows.headers().expect("a header").clone();
    let column = |name: &str| {
        header
            .iter()
            .position(|column| column == name)
            .unwrap_or_else(|| panic!("no {name}: {header:?}"))
    };
    let wanted =
        ["topic", "region", "pane_start", "posts", "authors", "authors_24h", "total_posts"]
            .map(column);
    let last = column("final");
    let mut counts =
        vec!["topic,region,pane_start,posts,authors,authors_24h,total_posts".to_owned()];
    for row in rows.records() {
        let row = row.expect("a row");
        assert_eq!(&row[last], "1", "not final: {row:?}");
        counts.push(wanted.map(|at| row[at].to_owned()).join(","));
    }
    counts.join("\n") + "\n"
}

fn exported_rows(folder: &Folder) -> usize {
    let exported =
        folder.output(&["export", "--config", "run.toml", "--table", "v_counts"]).ends(0).stdout();
    exported.lines().count() - 1
}
