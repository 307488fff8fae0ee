//! How fast page and API answer from a year of 500 series in SQLite: `cargo run --profile ci -p web
//! --example bench_answers -- [SERIES] [DAYS] [FOLDER]`
//!
//! Fills a warehouse in a temporary folder (in FOLDER it is kept, and not filled again) as the
//! pipeline does (panes, their history, denominators, windows, closed and final verdicts of every
//! hour; coverage; an alert a day with its revisions and what people did), serves it, and asks over
//! HTTP what each page asks, without its cache of what hasn't changed. Prints p50, p99 and the
//! greatest of each answer and of a whole alert page, and what memory open streams of events take;
//! fails where a p99 of inbox, series, map or alert is over 50 ms, or 200 streams take more than 50
//! MB.
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a tool run by hand")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use record::time::{DAY, HOUR};
use record::{
    Alert, AlertEvent, AlertState, Count, CoverageRow, Handling, Outcome, PastWindow, Record,
    Settings, Stage, TopicSetting, Total, Verdict, Version, WindowCount,
};
use warehouse::contract::{MONDAY, alert, count, verdict};
use warehouse::{Landing, Local, Reading};
use web::{Role, Web, serve};

const TOPICS: usize = 10;
const COUNTRIES: &str = "AR AT AU BE BG BR CA CH CL CO CY CZ DE DK EE ES FI FR GB GR HR HU IE IN \
    IS IT JP KE KR LT LU LV MA MT MX NG NL NO \
     NZ PE PH PL PT RO SE SI SK TR UA US";
const BATCH: usize = 20_000;
const QUESTIONS: usize = 400;
const P99_MAX: Duration = Duration::from_millis(50);
const STREAMS: usize = 200;
const STREAMS_BYTES_MAX: usize = 50 << 20;

fn main() {
    let mut given = std::env::args().skip(1);
    let mut number = |usual: i64| given.next().map_or(usual, |number| number.parse().unwrap());
    let (series, days) = (number(500) as usize, number(365));
    let temporary = tempfile::tempdir().unwrap();
    let folder = given.next().map_or(temporary.path().to_owned(), PathBuf::from);
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("warehouse.sqlite");
    let warehouse = Local::open(&file).unwrap();
    let began = Instant::now();
    if warehouse.latest().unwrap().is_none() {
        fill(&warehouse, series, days);
        println!("{series} series, {} hours each, filled in {:.0?}", days * 24, began.elapsed());
    }
    println!("{:.1} GB of SQLite", std::fs::metadata(&file).unwrap().len() as f64 / 1e9);
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    let mut web = Web::new(Arc::new(warehouse));
    web.access.anonymous = Role::Operator;
    web.requests_a_minute = 1_000_000;
    web.connections_per_address = 2 * STREAMS;
    runtime.spawn(serve(listener, web, std::future::pending()));
    let bench = Bench { address, series, days };
    let end = (MONDAY + days * DAY) / 1_000_000;
    let place = "topic=t@&region=R@";
    let alert_page = [
        format!("/api/v1/alerts/a{}", days - 1),
        format!(
            "/api/v1/series?{place}&seconds=86400&every=86400&from={}&to={}",
            end - 56 * 86_400,
            end + 1
        ),
        format!("/api/v1/series?{place}&seconds=86400&from={}&to={}", end - 36 * 3_600, end + 1),
        format!("/api/v1/verdicts?topic=t@&end={end}&seconds=86400"),
        format!("/api/v1/verdicts?region=R@&end={end}&seconds=86400"),
        format!("/api/v1/map?topic=t@&under=001&to={end}&days=1"),
        format!("/api/v1/alerts?{place}&limit=20"),
        "/api/v1/references?region=R@".to_owned(),
    ];
    let mut slow = Vec::new();
    for (name, path) in [
        ("inbox", "/api/v1/alerts?limit=200".to_owned()),
        ("inbox, open ones", "/api/v1/alerts?state=open".to_owned()),
        ("figures", "/api/v1/figures".to_owned()),
        ("status", "/api/v1/status".to_owned()),
        ("topics", "/api/v1/topics".to_owned()),
        ("regions", "/api/v1/regions?language=de".to_owned()),
        ("series, 28 days", format!("/api/v1/series?{place}")),
        (
            "series, a quarter",
            format!(
                "/api/v1/series?{place}&seconds=86400&every=3600&from={}&to={}",
                end - 91 * 86_400,
                end + 1
            ),
        ),
        (
            "series, a year by day",
            format!(
                "/api/v1/series?{place}&seconds=86400&every=86400&from={}&to={}",
                end - 365 * 86_400,
                end + 1
            ),
        ),
        ("map, 28 days", "/api/v1/map?topic=t@&under=001&days=28".to_owned()),
        ("why-not", format!("/api/v1/why-not?{place}")),
        ("below the line", "/api/v1/below".to_owned()),
        ("coverage", "/api/v1/coverage".to_owned()),
        ("alert", alert_page[0].clone()),
        ("alert: eight weeks", alert_page[1].clone()),
        ("alert: 36 hours", alert_page[2].clone()),
        ("alert: other places", alert_page[3].clone()),
        ("alert: other topics", alert_page[4].clone()),
        ("alert: map of a day", alert_page[5].clone()),
        ("alert: earlier ones", alert_page[6].clone()),
    ] {
        let promised =
            ["inbox", "series", "map", "alert"].iter().any(|promised| name.starts_with(promised));
        slow.extend(
            bench
                .ask(name, &[path])
                .filter(|p99| promised && *p99 > P99_MAX)
                .map(|p99| format!("{name}: {p99:.1?}")),
        );
    }
    slow.extend(
        bench
            .ask("alert page, all of it", &alert_page)
            .filter(|p99| *p99 > P99_MAX)
            .map(|p99| format!("alert page: {p99:.1?}")),
    );
    let before = resident();
    let streams: Vec<TcpStream> = (0..STREAMS).map(|_| listen(address)).collect();
    let grown = resident().saturating_sub(before);
    println!(
        "{STREAMS} streams of events: {:.1} MB, both ends of their connections included",
        grown as f64 / 1e6
    );
    assert_eq!(streams.len(), STREAMS);
    assert!(grown < STREAMS_BYTES_MAX, "{STREAMS} streams take {grown} bytes");
    assert!(slow.is_empty(), "p99 is over {P99_MAX:?} of {}", slow.join(", "));
}

struct Bench {
    address: SocketAddr,
    series: usize,
    days: i64,
}

impl Bench {
    /// Asks for all of `paths`, one after the other, of many series in turn: prints how long that
    /// took and returns the p99.
    fn ask(&self, name: &str, paths: &[String]) -> Option<Duration> {
        let once = |number: usize| {
            let place = number * 7 % self.series;
            let began = Instant::now();
            let mut bytes = 0;
            for path in paths {
                let path = path
                    .replace("t@", &format!("t{}", place % TOPICS))
                    .replace("R@", &region(place / TOPICS));
                let path = path.replace(
                    &format!("a{}", self.days - 1),
                    &format!("a{}", self.days - 1 - number as i64 % 100),
                );
                bytes += get(self.address, &path);
            }
            (began.elapsed(), bytes)
        };
        once(0);
        let mut took: Vec<(Duration, usize)> = (0..QUESTIONS).map(once).collect();
        took.sort();
        let at = |share: f64| took[((took.len() - 1) as f64 * share) as usize].0;
        println!(
            "{name:22} p50 {:6.1?}  p99 {:6.1?}  most {:6.1?}  {} kB",
            at(0.5),
            at(0.99),
            at(1.0),
            took[0].1 / 1_000
        );
        took.get((took.len() - 1) * 99 / 100).map(|took| took.0)
    }
}

/// A country, or beyond them the first levels that they might have.
fn region(place: usize) -> String {
    let countries: Vec<&str> = COUNTRIES.split_whitespace().collect();
    let country = countries[place % countries.len()];
    if place < countries.len() {
        country.to_owned()
    } else {
        format!("{country}-{}", place / countries.len())
    }
}

fn fill(warehouse: &Local, series: usize, days: i64) {
    let topics = (0..TOPICS).map(|topic| TopicSetting {
        id: format!("t{topic}"),
        name: format!("Topic {topic}"),
        kind: record::kind::Kind::Disease,
        pane: HOUR,
        windows: vec![DAY],
    });
    let mut rows =
        vec![Record::Settings(Settings { topics: topics.collect(), ..Settings::default() })];
    let write = |rows: &mut Vec<Record>, least: usize| {
        if rows.len() >= least {
            warehouse.write(&std::mem::take(rows), &[]).unwrap();
        }
    };
    // Week by week, so that the file is mixed somewhat as a year of landing mixes it; hour by hour
    // it would take an hour to fill.
    for week in 0..(days + 6) / 7 {
        let hours = || week * 168..((week + 1) * 168).min(days * 24);
        let version = |hour: i64, late: u64| Version(((hour as u64) << 8) + late);
        for hour in hours() {
            let (start, version) = (MONDAY + hour * HOUR, version(hour, 1));
            rows.push(Record::Coverage(CoverageRow {
                feed: "bluesky".to_owned(),
                pane_start: start,
                pane_length: HOUR,
                share: 0.98,
                version,
            }));
            for place in 0..series.div_ceil(TOPICS) {
                let region = region(place);
                rows.push(Record::Total(Total {
                    region,
                    pane_start: start,
                    pane_length: HOUR,
                    posts: 9_000,
                    last: true,
                    version,
                    sampled: 9_000,
                }));
            }
        }
        write(&mut rows, BATCH);
        for place in 0..series {
            let (topic, region) = (format!("t{}", place % TOPICS), region(place / TOPICS));
            for hour in hours() {
                let end = MONDAY + (hour + 1) * HOUR;
                for (late, last) in [(1, false), (2, true)] {
                    let version = version(hour, late);
                    rows.push(Record::Count(Count {
                        level: 0,
                        last,
                        version,
                        ..count(&topic, &region, hour, 1)
                    }));
                    let stage = if last { Stage::Final } else { Stage::Closed };
                    let verdict = Verdict {
                        window_end: end,
                        window_length: DAY,
                        stage,
                        version,
                        ..verdict(&topic, &region)
                    };
                    rows.push(Record::Verdict(Verdict {
                        expected_low: Some(1.0),
                        expected_high: Some(9.0),
                        ..verdict
                    }));
                }
                let (topic, region) = (topic.clone(), region.clone());
                let version = version(hour, 2);
                rows.push(Record::WindowCount(WindowCount {
                    topic,
                    region,
                    end,
                    length: DAY,
                    authors: 9,
                    authors_self: 3,
                    last: true,
                    version,
                }));
            }
            write(&mut rows, BATCH);
        }
    }
    for day in 0..days {
        let (topic, region) = (
            format!("t{}", day as usize % TOPICS),
            region(day as usize / TOPICS % (series / TOPICS).max(1)),
        );
        let end = MONDAY + (day + 1) * DAY;
        for revision in 0..4 {
            let mut told = Alert {
                topic: topic.clone(),
                region: region.clone(),
                revision,
                fired_at: end,
                window_end: end,
                window_length: DAY,
                state: if day + 7 < days { AlertState::Closed } else { AlertState::Open },
                version: Version(u64::from(revision) + 1),
                ..alert(&format!("a{day}"))
            };
            let past =
                |back: i64| PastWindow { end: end - (back + 2) * DAY, observed: 5, exposure: 1.0 };
            told.grounds.baseline = (0..28).map(past).collect();
            rows.push(Record::Alert(told));
        }
        for (after, state) in
            [(0, Handling::Triaged), (1, Handling::Verifying), (2, Handling::Decided)]
        {
            let outcome = (after == 2).then_some(Outcome::TalkOnly);
            let event = AlertEvent {
                alert: format!("a{day}"),
                after,
                at: end,
                actor: "duty".to_owned(),
                state,
                outcome,
                ..AlertEvent::default()
            };
            rows.push(Record::AlertEvent(event));
        }
    }
    write(&mut rows, 0);
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
    stream
        .write_all(
            format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                .as_bytes(),
        )
        .unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    assert!(
        bytes.starts_with(b"HTTP/1.1 200"),
        "{path}: {}",
        String::from_utf8_lossy(&bytes[..bytes.len().min(300)])
    );
    bytes.len()
}
