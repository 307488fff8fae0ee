//! How fast page and API answer from a year of 500 series in SQLite: `cargo run --profile ci -p web --example bench_answers -- [SERIES] [DAYS]`
//!
//! Fills a warehouse in a temporary folder with panes and verdicts of every hour and alerts of every day, serves it, and asks as the page
//! does, without its cache of what hasn't changed. Prints p50, p99 and the greatest of each question; fails where a p99 is over 50 ms.
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a tool run by hand")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use record::time::{DAY, HOUR};
use record::{Alert, Count, Record, Settings, Stage, TopicSetting, Verdict, Version};
use warehouse::contract::{MONDAY, alert, count, verdict};
use warehouse::{Landing, Local};
use web::{Role, Web, serve};

const TOPICS: usize = 10;
const BATCH: usize = 20_000;
const QUESTIONS: usize = 400;
const P99_MAX: Duration = Duration::from_millis(50);
const STREAMS: usize = 200;
const STREAMS_BYTES_MAX: usize = 50 << 20;

fn main() {
    let mut numbers = std::env::args().skip(1).map(|number| number.parse().unwrap());
    let (series, days): (usize, i64) = (numbers.next().unwrap_or(500), numbers.next().unwrap_or(365) as i64);
    let folder = tempfile::tempdir().unwrap();
    let warehouse = Local::open(&folder.path().join("warehouse.sqlite")).unwrap();
    let began = Instant::now();
    fill(&warehouse, series, days);
    println!("{series} series, {} hours each, filled in {:.0?}", days * 24, began.elapsed());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    let mut web = Web::new(Arc::new(warehouse));
    web.access.anonymous = Role::Operator;
    web.requests_a_minute = 1_000_000;
    runtime.spawn(serve(listener, web, std::future::pending()));
    let end = (MONDAY + days * DAY) / 1_000_000;
    let mut slow = false;
    for (name, path) in [
        ("inbox", "/api/v1/alerts?limit=200".to_owned()),
        ("alert", format!("/api/v1/alerts/a{}", days - 1)),
        ("series, 28 days", "/api/v1/series?topic=t@&region=R@".to_owned()),
        (
            "series, eight weeks",
            format!("/api/v1/series?topic=t@&region=R@&seconds=86400&every=86400&from={}&to={}", end - 56 * 86_400, end + 1),
        ),
        (
            "series, a year by day",
            format!("/api/v1/series?topic=t@&region=R@&seconds=86400&every=86400&from={}&to={}", end - 365 * 86_400, end + 1),
        ),
        ("status", "/api/v1/status".to_owned()),
        ("topics", "/api/v1/topics".to_owned()),
        ("map, 28 days", "/api/v1/map?topic=t@&under=001&days=28".to_owned()),
    ] {
        let ask = |number: usize| {
            let place = number * 7 % series;
            let path = path.replace("t@", &format!("t{}", place % TOPICS)).replace("R@", &format!("R{}", place / TOPICS));
            let began = Instant::now();
            let bytes = get(address, &path);
            (began.elapsed(), bytes)
        };
        ask(0);
        let mut took: Vec<(Duration, usize)> = (0..QUESTIONS).map(ask).collect();
        took.sort();
        let at = |share: f64| took[((took.len() - 1) as f64 * share) as usize].0;
        println!("{name:22} p50 {:6.1?}  p99 {:6.1?}  most {:6.1?}  {} kB", at(0.5), at(0.99), at(1.0), took[0].1 / 1_000);
        slow |= (name == "inbox" || name.starts_with("series")) && at(0.99) > P99_MAX;
    }
    let before = resident();
    let streams: Vec<TcpStream> = (0..STREAMS).map(|_| listen(address)).collect();
    let grown = resident().saturating_sub(before);
    println!("{STREAMS} streams of events: {:.1} MB, both ends of their connections included", grown as f64 / 1e6);
    assert_eq!(streams.len(), STREAMS);
    assert!(grown < STREAMS_BYTES_MAX, "{STREAMS} streams take {grown} bytes");
    assert!(!slow, "inbox or series took longer than {P99_MAX:?}");
}

fn fill(warehouse: &Local, series: usize, days: i64) {
    let topics = (0..TOPICS).map(|topic| TopicSetting {
        id: format!("t{topic}"),
        name: format!("Topic {topic}"),
        kind: record::kind::Kind::Disease,
        pane: HOUR,
        windows: vec![DAY],
    });
    let mut rows = vec![Record::Settings(Settings { topics: topics.collect(), ..Settings::default() })];
    for place in 0..series {
        let (topic, region) = (format!("t{}", place % TOPICS), format!("R{}", place / TOPICS));
        for hour in 0..days * 24 {
            let version = Version((place as u64) << 20 | hour as u64);
            rows.push(Record::Count(Count { level: 0, version, ..count(&topic, &region, hour, 1) }));
            let end = MONDAY + (hour + 1) * HOUR;
            rows.push(Record::Verdict(Verdict {
                window_end: end,
                window_length: DAY,
                stage: Stage::Closed,
                version,
                ..verdict(&topic, &region)
            }));
        }
        if rows.len() >= BATCH {
            warehouse.write(&std::mem::take(&mut rows), &[]).unwrap();
        }
    }
    for day in 0..days {
        let (topic, region) = (format!("t{}", day as usize % TOPICS), format!("R{}", day as usize / TOPICS % (series / TOPICS).max(1)));
        let end = MONDAY + (day + 1) * DAY;
        for revision in 0..4 {
            rows.push(Record::Alert(Alert {
                topic: topic.clone(),
                region: region.clone(),
                revision,
                fired_at: end,
                window_end: end,
                window_length: DAY,
                version: Version(u64::from(revision) + 1),
                ..alert(&format!("a{day}"))
            }));
        }
    }
    warehouse.write(&rows, &[]).unwrap();
}

/// Opens a stream of events and reads its beginning.
fn listen(address: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(b"GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut head = [0; 12];
    stream.read_exact(&mut head).unwrap();
    assert_eq!(&head, b"HTTP/1.1 200");
    stream
}

/// Bytes of memory that this process holds.
fn resident() -> usize {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    text.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok()).unwrap_or(0) * 4_096
}

/// The bytes of an answer, which must be one.
fn get(address: SocketAddr, path: &str) -> usize {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").as_bytes()).unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    assert!(bytes.starts_with(b"HTTP/1.1 200"), "{path}: {}", String::from_utf8_lossy(&bytes[..bytes.len().min(300)]));
    bytes.len()
}
