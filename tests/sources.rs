//! Feeds that fail, lie or fall silent: later posts count, nothing is blinded, and the others go
//! on.

use std::collections::VecDeque;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use futures_util::{SinkExt, StreamExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::accept_hdr_async;
use tokio_tungstenite::tungstenite::Message as Frame;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};

use crate::program::{Folder, LONG, Running, until};
use crate::recount::assert_same;
use crate::run::exported;

const RUN: [&str; 3] = ["run", "--config", "run.toml"];
const DRAIN: [&str; 4] = ["run", "--config", "run.toml", "--until-drained"];
const WEB: &str = "[web]\nlisten = \"127.0.0.1:0\"\n";
const DAY: i64 = 86_400;

/// Seconds since 1970.
fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs() as i64
}

fn file_feed(name: &str, path: &str, more: &str) -> String {
    format!("[[feeds]]\nname = \"{name}\"\nkind = \"file\"\npath = \"{path}\"\n{more}\n")
}

fn post(id: &str, at: i64) -> String {
    format!(
        "{{\"id\":\"{id}\",\"author\":\"a{id}\",\"created_at\":{at},\"text\":\"#flu\",\"region\":\"DE\",\"langs\":[\"de\"]}}\n"
    )
}

/// The sum over the series of a metric that hold this label.
fn labelled(running: &Running, name: &str, label: &str) -> Option<f64> {
    let body = running.get("/metrics")?;
    let lines = body.lines().filter(|line| {
        line.strip_prefix(name).is_some_and(|rest| rest.starts_with('{')) && line.contains(label)
    });
    let values: Vec<f64> = lines.filter_map(|line| line.rsplit(' ').next()?.parse().ok()).collect();
    (!values.is_empty()).then(|| values.iter().sum())
}

fn records(running: &Running, what: &str) -> Option<f64> {
    labelled(running, "pumphandle_records_total", &format!("what=\"{what}\""))
}

/// Waits until tally has counted so many posts.
#[track_caller]
fn counts(running: &Running, posts: f64) {
    until(LONG, &format!("{posts} posts to be counted: {}", running.log()), || {
        records(running, "counted").filter(|counted| *counted >= posts)
    });
    assert_eq!(records(running, "counted"), Some(posts));
    is_not_blind(running);
}

/// No post has come too late for good, and the watermark is where it can be.
#[track_caller]
fn is_not_blind(running: &Running) {
    assert_eq!(records(running, "after-final"), Some(0.0), "{}", running.log());
    let watermark = until(LONG, "a watermark", || running.metric("pumphandle_watermark_seconds"));
    let ahead = watermark - now() as f64;
    assert!(ahead < 120.0, "the watermark is {ahead} s ahead");
}

#[test]
fn lines_dated_ahead_in_a_followed_file_blind_nothing() {
    let folder = Folder::new();
    folder.write("run.toml", WEB.to_owned() + &file_feed("posts", "posts.ndjson", "follow = true"));
    folder.write("posts.ndjson", "");
    let mut file = OpenOptions::new().append(true).open(folder.file("posts.ndjson")).unwrap();
    let mut running = folder.start(&RUN);
    let mut written = 0;
    let mut write = |lines: String| {
        written += lines.lines().count();
        file.write_all(lines.as_bytes()).unwrap();
        written as f64
    };
    let posts = (0..50).map(|n| post(&format!("before{n}"), now() - 60 + n)).collect::<String>();
    let all = write(posts);
    counts(&running, all);
    let all = write(post("in-2099", 4_070_908_800) + &post("in-a-month", now() + 30 * DAY));
    counts(&running, all);
    for n in 0..3 {
        let all = write((0..20).map(|m| post(&format!("after{n}-{m}"), now())).collect());
        counts(&running, all);
    }
    assert_eq!(running.metric("pumphandle_feed_stamps_ahead_total"), Some(2.0));
    assert!(running.log().contains("stamped ahead of our clock"), "{}", running.log());
    running.signal("TERM");
    running.ends(0);
    // After a restart as well.
    let running = folder.start(&RUN);
    file.write_all(post("restarted", now()).as_bytes()).unwrap();
    until(LONG, "one more post", || {
        running.metric("pumphandle_posts_read_total").filter(|read| *read == 1.0)
    });
    is_not_blind(&running);
}

#[test]
fn a_stored_line_of_2099_leaves_an_archive_as_it_is() {
    let folder = Folder::new();
    folder.write("run.toml", WEB.to_owned() + &file_feed("posts", "posts.ndjson", ""));
    let archive = |ahead: &str| {
        let mut lines: Vec<String> =
            (0..200).map(|n| post(&n.to_string(), 1_767_571_200 + 1_800 * n)).collect();
        lines.insert(50, ahead.to_owned());
        lines.concat()
    };
    folder.write("posts.ndjson", archive(&post("in-2099", 4_070_908_800)));
    folder.output(&DRAIN).ends(0);
    let posts = |folder: &Folder| {
        let rows = exported(folder);
        let world = rows.lines().filter(|row| row.starts_with("influenza,001,"));
        world.map(|row| row.split(',').nth(3).unwrap().parse::<u64>().unwrap()).sum::<u64>()
    };
    assert_eq!(posts(&folder), 201);
}

#[test]
fn a_followed_file_without_a_line_holds_nothing_back() {
    let folder = Folder::new();
    folder.write("some.ndjson", post("1", now() - 60));
    folder.write("none.ndjson", "");
    let feeds = [("some", "some.ndjson"), ("none", "none.ndjson"), ("missing", "missing.ndjson")];
    folder.write(
        "run.toml",
        WEB.to_owned() + &feeds.map(|(name, path)| file_feed(name, path, "follow = true")).concat(),
    );
    let running = folder.start(&RUN);
    until(LONG, "a watermark", || running.metric("pumphandle_watermark_seconds"));
}

#[test]
fn a_gzip_cut_in_the_middle_fails_its_feed_after_the_others() {
    let folder = Folder::new();
    let lines = |name: &str| {
        (0..3_000).map(|n| post(&format!("{name}{n}"), 1_767_571_200 + 60 * n)).collect::<String>()
    };
    let whole = gzip(lines("cut").as_bytes());
    folder.write("cut.ndjson.gz", &whole[..whole.len() / 2]);
    folder.write("good.ndjson", lines("good"));
    folder.write(
        "run.toml",
        WEB.to_owned()
            + &file_feed("cut", "cut.ndjson.gz", "")
            + &file_feed("good", "good.ndjson", ""),
    );
    let said = folder.output(&DRAIN).ends(1).stderr();
    assert!(
        said.contains("error: ") && said.contains("feed `cut` was not read to its end"),
        "{said}"
    );
    assert!(
        said.contains("`cut.ndjson.gz` is cut off in the middle of its compressed data"),
        "{said}"
    );
    assert!(!said.contains("read to its end feed=\"cut\""), "{said}");
    assert!(said.contains("read to its end feed=\"good\""), "{said}");
    let rows =
        folder.output(&["export", "--config", "run.toml", "--table", "v_counts"]).ends(0).stdout();
    assert!(rows.lines().count() > 1, "what could be read is counted: {rows}");

    // Once it is whole, nothing is missing.
    folder.write("cut.ndjson.gz", &whole);
    folder.output(&DRAIN).ends(0);
    let replayed = folder
        .output(&["replay", "cut.ndjson.gz", "good.ndjson", "--counts", "-"])
        .ends(0)
        .stdout();
    assert_same("after the file was made whole", &exported(&folder), &replayed);
}

#[test]
fn a_file_that_is_no_feed_leaves_the_others_and_the_page() {
    let folder = Folder::new();
    folder.write("bad.ndjson", "no JSON\n".repeat(2_000));
    folder.write("good.ndjson", post("1", now()));
    let feeds = [
        ("bad", "bad.ndjson", ""),
        ("missing", "missing.ndjson", ""),
        ("good", "good.ndjson", "follow = true"),
    ];
    folder.write(
        "run.toml",
        WEB.to_owned() + &feeds.map(|(name, path, more)| file_feed(name, path, more)).concat(),
    );
    let mut running = folder.start(&RUN);
    counts(&running, 1.0);
    until(LONG, "two failures", || {
        running.metric("pumphandle_feed_failed").filter(|failed| *failed == 2.0)
    });
    assert_eq!(labelled(&running, "pumphandle_feed_failed", "feed=\"good\""), Some(0.0));
    assert!(running.log().contains("more than `rejects.share-max`"), "{}", running.log());
    let mut file = OpenOptions::new().append(true).open(folder.file("good.ndjson")).unwrap();
    file.write_all(post("2", now()).as_bytes()).unwrap();
    counts(&running, 2.0);
    running.signal("TERM");
    running.ends(0);
}

#[test]
fn what_is_no_file_of_lines_is_refused_with_a_hint() {
    let folder = Folder::new();
    let lines: Vec<String> =
        (0..5).map(|n| post(&n.to_string(), 1_767_571_200 + n).trim().to_owned()).collect();
    let utf_16 = |little: bool| -> Vec<u8> {
        let units: Vec<u16> =
            std::iter::once(0xfeff).chain(lines.join("\n").encode_utf16()).collect();
        units
            .into_iter()
            .flat_map(|unit| if little { unit.to_le_bytes() } else { unit.to_be_bytes() })
            .collect()
    };
    let array = format!("[{}]", lines.join(","));
    let long = format!("[{}]", vec![lines[0].clone(); 20_000].join(","));
    let tables: [(&str, Vec<u8>, &str); 6] = [
        ("utf-16le", utf_16(true), "UTF-16"),
        ("utf-16be", utf_16(false), "UTF-16"),
        ("array", array.into_bytes(), "JSON array"),
        ("long-array", long.into_bytes(), "JSON array"),
        ("array-by-lines", format!("[\n{}\n]\n", lines.join(",\n")).into_bytes(), "JSON array"),
        ("table", b"id,author,created_at\n1,a,1767571200\n".to_vec(), "a table"),
    ];
    for (name, bytes, word) in tables {
        folder.write(name, &bytes);
        let said = folder.output(&["replay", name]).ends(1).stderr();
        assert!(
            said.contains(&format!("`{name}` cannot be read\nhint: it looks like"))
                && said.contains(word),
            "{name}: {said}"
        );
        folder.write("run.toml", WEB.to_owned() + &file_feed("posts", name, ""));
        let said = folder.output(&DRAIN).ends(1).stderr();
        assert!(said.contains("hint: it looks like") && said.contains(word), "{name}: {said}");
    }
    // Padding is no member, and no damage either.
    folder
        .write("padded.gz", [gzip((lines.join("\n") + "\n").as_bytes()), vec![0; 1_000]].concat());
    assert_eq!(folder.output(&["replay", "padded.gz"]).ends(0).summed("posts"), 5);
}

/// Of three thousand posts read from a file with this setting.
pub(crate) fn most_appended_at_once(set: &str) -> f64 {
    let folder = Folder::new();
    folder.write(
        "posts.ndjson",
        (0..3_000).map(|n| post(&n.to_string(), 1_767_571_200 + n)).collect::<String>(),
    );
    folder.write("run.toml", WEB.to_owned() + &file_feed("posts", "posts.ndjson", ""));
    let running = folder.start(&[&RUN[..], &["--set", set]].concat());
    until(LONG, "all to be read", || running.log().contains("read to its end").then_some(()));
    until(LONG, "a figure", || {
        running.metric("pumphandle_append_bytes_max").filter(|bytes| *bytes > 0.0)
    })
}

#[test]
fn batch_bytes_bound_what_is_appended_at_once() {
    let (small, large) = (
        most_appended_at_once("limits.batch-bytes=2KiB"),
        most_appended_at_once("limits.batch-bytes=1MiB"),
    );
    assert!(small < 4_096.0 && large > 40_000.0, "{small} and {large} bytes");
}

#[test]
fn a_message_quotes_no_page_of_what_is_wrong() {
    let folder = Folder::new();
    let long = "x".repeat(4_000);
    let cases: [&[&str]; 5] = [
        &["replay", "none.ndjson", "--memory-max", &long],
        &["check", "--set", &format!("panes.horizon={long}")],
        &["check", "--set", &format!("panes.{long}=1")],
        &["topics", "show", &long],
        &["detect", "--method", &long],
    ];
    for args in cases {
        let done = folder.output(args);
        let said = done.stdout() + &done.stderr();
        assert!(
            said.contains("error: ") && said.chars().count() < 1_500,
            "{} characters: {said}",
            said.chars().count()
        );
        assert!(!said.contains(&"x".repeat(121)), "{said}");
    }
}

// --- networks ---

/// What a server does with one connection.
#[derive(Clone)]
struct Script {
    lines: Vec<String>,
    then: Then,
}

#[derive(Clone, Copy, PartialEq)]
enum Then {
    Cut,
    /// Answers pings, and nothing else.
    Answer,
}

struct Server {
    address: SocketAddr,
    /// Address and user agent of each connection.
    asked: Arc<Mutex<Vec<(String, String)>>>,
}

impl Server {
    /// Makes one script after the other when it is needed; the last one goes on for ever.
    fn start(scripts: Vec<Box<dyn Fn() -> Script + Send>>) -> Server {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.set_nonblocking(true).expect("a listener of ours");
        let address = listener.local_addr().expect("an address");
        let asked = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&asked);
        // Ends with the process.
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime");
            runtime.block_on(async move {
                let listener = TcpListener::from_std(listener).expect("a listener of ours");
                let mut scripts = VecDeque::from(scripts);
                while let Ok((stream, _)) = listener.accept().await {
                    let script = scripts[0]();
                    if scripts.len() > 1 {
                        scripts.pop_front();
                    }
                    tokio::spawn(serve(stream, script, Arc::clone(&seen)));
                }
            });
        });
        Server { address, asked }
    }

    fn asked(&self) -> Vec<(String, String)> {
        self.asked.lock().expect("no panic").clone()
    }
}

#[expect(clippy::result_large_err, reason = "the library's signature")]
async fn serve(stream: TcpStream, script: Script, asked: Arc<Mutex<Vec<(String, String)>>>) {
    let accepted = accept_hdr_async(stream, |request: &Request, response: Response| {
        let agent = request
            .headers()
            .get("user-agent")
            .and_then(|agent| agent.to_str().ok())
            .unwrap_or_default()
            .to_owned();
        asked.lock().expect("no panic").push((request.uri().to_string(), agent));
        Ok(response)
    });
    let Ok(mut socket) = accepted.await else { return };
    for line in script.lines {
        if socket.send(Frame::text(line)).await.is_err() {
            return;
        }
    }
    if script.then == Then::Answer {
        while let Some(Ok(_)) = socket.next().await {}
    }
}

/// A post stamped and dated at this microsecond.
fn event(id: &str, at: i64, created: &str) -> String {
    format!(
        r##"{{"did":"did:plc:{id}","time_us":{at},"kind":"commit","commit":{{"operation":"create","collection":"app.bsky.feed.post","rkey":"{id}","record":{{"createdAt":"{created}","text":"#flu","langs":["de"]}}}}}}"##
    )
}

/// So many events a tenth of a second apart, the last of them now.
fn events(name: &str, count: i64) -> Vec<String> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_micros() as i64;
    let at = |n: i64| now - (count - 1 - n) * 100_000;
    (0..count).map(|n| event(&format!("{name}{n}"), at(n), &created(at(n)))).collect()
}

/// Unix seconds are read too.
fn created(micros: i64) -> String {
    format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000)
}

fn jetstream(urls: &[&Server], more: &str) -> String {
    let urls: Vec<String> =
        urls.iter().map(|server| format!("\"ws://{}/subscribe\"", server.address)).collect();
    format!(
        "{WEB}[[feeds]]\nname = \"bluesky\"\nkind = \"jetstream\"\nurls = [{}]\n{more}\n",
        urls.join(", ")
    )
}

fn script(
    lines: impl Fn() -> Vec<String> + Send + 'static,
    then: Then,
) -> Box<dyn Fn() -> Script + Send> {
    Box::new(move || Script { lines: lines(), then })
}

#[test]
fn a_stamp_ten_days_ahead_then_a_cut_blinds_nothing() {
    let folder = Folder::new();
    let ahead = || {
        let at = (now() + 10 * DAY) * 1_000_000;
        let mut lines = events("first", 20);
        lines.push(event("ahead", at, &created(at)));
        lines
    };
    let server =
        Server::start(vec![script(ahead, Then::Cut), script(|| events("later", 30), Then::Answer)]);
    folder.write("run.toml", jetstream(&[&server], ""));
    let mut running = folder.start(&RUN);
    counts(&running, 51.0);
    let asked = server.asked();
    let cursor: i64 = asked[1].0.rsplit_once("cursor=").expect("a cursor").1.parse().unwrap();
    assert!(cursor / 1_000_000 <= now() + 60, "{asked:?}");
    assert!(asked.iter().all(|(_, agent)| agent.starts_with("pumphandle/")), "{asked:?}");
    assert_eq!(running.metric("pumphandle_feed_stamps_ahead_total"), Some(1.0));
    running.signal("TERM");
    running.ends(0);
    let running = folder.start(&RUN);
    until(LONG, "later posts", || {
        running.metric("pumphandle_posts_read_total").filter(|read| *read >= 30.0)
    });
    is_not_blind(&running);
    assert!(server.asked().last().unwrap().0.contains("cursor="));
}

#[test]
fn a_connection_that_only_pings_is_left_for_the_next() {
    let folder = Folder::new();
    let stalled = Server::start(vec![script(|| events("stalled", 40), Then::Answer)]);
    let good = Server::start(vec![script(|| events("good", 40), Then::Answer)]);
    folder.write(
        "run.toml",
        jetstream(
            &[&stalled, &good],
            "idle-timeout = \"1s\"\n[notify]\npage = \"https://flu.example.org\"",
        ),
    );
    let mut running = folder.start(&RUN);
    counts(&running, 80.0);
    running.says("the outage is over");
    let log = running.log();
    assert!(log.contains("an outage begins") && log.contains("though it answers"), "{log}");
    assert!(running.metric("pumphandle_feed_outages_total").is_some_and(|outages| outages >= 1.0));
    assert!(
        running
            .metric("pumphandle_feed_reconnects_total")
            .is_some_and(|reconnects| reconnects >= 1.0)
    );
    assert_eq!(
        stalled.asked()[0].1,
        format!("pumphandle/{} (+https://flu.example.org)", env!("CARGO_PKG_VERSION"))
    );
    running.signal("TERM");
    running.ends(0);
}

#[test]
fn bad_dates_of_strangers_end_nothing() {
    let folder = Folder::new();
    let lines = || {
        let mut lines = events("good", 2_000);
        for (n, line) in lines.iter_mut().enumerate().filter(|(n, _)| n % 16 == 5) {
            *line = event(&format!("bad{n}"), now() * 1_000_000, "yesterday");
        }
        lines
    };
    let server = Server::start(vec![script(lines, Then::Answer)]);
    folder.write("run.toml", jetstream(&[&server], ""));
    let mut running = folder.start(&RUN);
    counts(&running, 1_875.0);
    assert_eq!(running.metric("pumphandle_rejects_total"), Some(125.0));
    assert_eq!(running.metric("pumphandle_feed_failed"), Some(0.0));
    assert_eq!(running.log().matches("many lines can't be read").count(), 1, "{}", running.log());
    assert_eq!(running.metric("pumphandle_feed_connected"), Some(1.0));
    running.signal("TERM");
    running.ends(0);
}

#[test]
fn collections_are_asked_for_and_others_left() {
    let folder = Folder::new();
    let server = Server::start(vec![script(|| events("post", 25), Then::Answer)]);
    let wanted = "collections = [\"app.bsky.feed.like\", \"app.bsky.graph.*\"]";
    folder.write("run.toml", jetstream(&[&server], wanted));
    let said = folder.output(&["check", "--config", "run.toml"]).ends(0);
    let said = said.stdout() + &said.stderr();
    assert!(
        said.contains("no post will be read") && said.contains("hint: leave `collections` out"),
        "{said}"
    );
    let mut running = folder.start(&RUN);
    until(LONG, "all to be left", || {
        running.metric("pumphandle_lines_ignored_total").filter(|ignored| *ignored == 25.0)
    });
    assert_eq!(running.metric("pumphandle_posts_read_total"), Some(0.0));
    let asked = server.asked();
    assert!(
        asked[0]
            .0
            .contains("wantedCollections=app.bsky.feed.like&wantedCollections=app.bsky.graph.*"),
        "{asked:?}"
    );
    running.signal("TERM");
    running.ends(0);
}

/// Of three thousand events of a network read with this setting; waits for at `least` so many.
pub(crate) fn most_that_waited(set: &str, least: f64) -> f64 {
    let folder = Folder::new();
    let server = Server::start(vec![script(|| events("post", 3_000), Then::Answer)]);
    folder.write("run.toml", jetstream(&[&server], ""));
    let running = folder.start(&[&RUN[..], &["--set", set]].concat());
    until(LONG, "all to be read", || {
        running.metric("pumphandle_posts_read_total").filter(|read| *read == 3_000.0)
    });
    until(LONG, "a figure", || {
        running.metric("pumphandle_feed_queue_messages_max").filter(|most| *most >= least)
    })
}

#[test]
fn a_queue_bounds_the_lines_that_wait() {
    let (small, large) =
        (most_that_waited("limits.queue=3", 1.0), most_that_waited("limits.queue=2000", 6.0));
    assert!(small <= 5.0 && large <= 2_002.0, "{small} and {large} lines");
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}
