//! Days of a busy topic through `run`: it lives, restarts, and exports what `replay` counts.

use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::Write;
use std::time::{SystemTime, UNIX_EPOCH};

use simulation::Random;

use crate::program::{Folder, LONG, until};
use crate::recount::assert_same;
use crate::run::{exported, replayed};

const DAYS: u64 = 9;
const LANGS: [&str; 6] = ["en", "ja", "pt", "de", "es", "fr"];
const FOLLOWED: &str = r#"
    [web]
    listen = "127.0.0.1:0"
    [[feeds]]
    name = "posts"
    kind = "file"
    path = "posts.ndjson"
    follow = true
"#;

#[test]
fn nine_days_of_350_posts_an_hour_live_and_restart() {
    nine_days(350);
}

#[test]
fn nine_days_of_900_posts_an_hour_live_and_restart() {
    nine_days(900);
}

/// A followed file that grows by three days at a time; in between the program is killed, and once
/// stopped.
fn nine_days(an_hour: u64) {
    let folder = Folder::new();
    folder.write("run.toml", FOLLOWED);
    folder.write("posts.ndjson", "");
    let mut growing = OpenOptions::new()
        .append(true)
        .open(folder.file("posts.ndjson"))
        .expect("a file in our own folder");
    let lines = lines(an_hour);
    let mut written = 0;
    for (part, lines) in lines.chunks(lines.len().div_ceil(3)).enumerate() {
        for line in lines {
            growing.write_all(line.as_bytes()).expect("a file in our own folder");
        }
        let mut running = folder.start(&["run", "--config", "run.toml"]);
        written += lines.len();
        let wanted = lines.len() as f64;
        let read = || {
            assert!(running.ended().is_none(), "it ended by itself: {}", running.log());
            running.metric("pumphandle_posts_read_total").filter(|read| *read >= wanted)
        };
        until(10 * LONG, &format!("{written} posts to be read"), read);
        match part {
            0 => running.kill(),
            _ => {
                running.signal("TERM");
                running.ends(0);
            }
        }
    }
    folder.write("run.toml", FOLLOWED.replace("follow = true", ""));
    folder.output(&["run", "--config", "run.toml", "--until-drained"]).ends(0);
    assert_same("nine days", &exported(&folder), &replayed(&folder));
}

/// In order of arrival, up to now.
fn lines(an_hour: u64) -> Vec<String> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock after 1970").as_secs();
    let (from, posts) = (now - DAYS * 86_400, DAYS * 24 * an_hour);
    let mut random = Random::new(an_hour);
    let mut below = |n: u64| random.next_u64() % n;
    let line = |nth: u64| {
        let at = from + nth * 3600 / an_hour;
        let (author, tag) = (below(40_000), below(20));
        let lang = LANGS[below(6) as usize];
        let mut line = String::new();
        let _ = writeln!(
            line,
            r#"{{"id":"{nth}","author":"a{author}","created_at":{at},"arrived":{at},"tags":["flu","sick{tag}","monday"],"langs":["{lang}"]}}"#
        );
        line
    };
    (0..posts).map(line).collect()
}
