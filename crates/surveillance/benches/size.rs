//! How large the state of `watch` is after days of one busy topic, and how long a start from it
//! takes.
//!
//!     cargo bench --profile dist -p surveillance --bench size -- [DAYS] [POSTS AN HOUR]
//!
//! One topic in six languages, three tags a post, three partitions, a tick each minute, a snapshot
//! each ten. Prints a line a day:
//! bytes of the snapshot, of its chunks written on that day for each snapshot, of its largest
//! chunk, resident memory, and the time of a restore. Fails where a chunk is longer than 4 MiB, or
//! where the last day has more than the day before and its history.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark says what it measured, and stops at what it cannot read"
)]

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Instant;

use record::kind::Kind;
use record::time::{DAY, MINUTE, SECOND};
use record::*;
use simulation::Random;
use surveillance::{Mode, Tally, Watch};

const MONDAY: Micros = 1_767_571_200 * SECOND;
const PARTITIONS: u32 = 3;
const CHUNK_MAX: usize = 4 << 20;
/// By so much the snapshot may grow in a day after the longest window and the horizon.
const GROWTH_MAX: usize = 512 << 10;

fn settings() -> Settings {
    let topic = |id: &str, kind: Kind| TopicSetting {
        id: id.into(),
        name: id.into(),
        kind,
        pane: kind.pane(),
        windows: kind.windows().to_vec(),
    };
    let mut settings = Settings {
        partitions: PARTITIONS,
        topics: vec![topic("covid", Kind::Disease), topic("flu", Kind::Disease)],
        feeds: vec![FeedSetting::new("feed", true)],
        ..Settings::default()
    };
    settings.detect.method = "nb-predictive".to_owned();
    settings
}

fn post(nth: u64, at: Micros, random: &mut Random) -> Post {
    let author = random.below(1_000_000);
    let tag = |n: u64| format!("tag{}", n % 5000);
    let tags = (0..3)
        .map(|_| tag(random.below(5000)))
        .map(|key| Tag { written: key.clone(), key })
        .collect();
    let langs = ["de", "en", "es", "fr", "it", "pt"];
    Post {
        settings: 1,
        feed: 0,
        op: Op::Create,
        id: PostId(u128::from(random.below(u64::MAX)) << 64 | u128::from(nth)),
        alias: None,
        author: Some(Author(author.wrapping_mul(0x9e37_79b9_7f4a_7c15))),
        author_before: None,
        event_time: at,
        arrival: at,
        places: Vec::new(),
        overlays: vec![],
        langs: vec![langs[random.below(6) as usize].to_owned()],
        tags,
        topics: vec![TopicMatch {
            id: "covid".into(),
            voice: Voice::Own,
            keys: vec!["covid".into()],
        }],
        link_domain: nth.is_multiple_of(4).then(|| "example.org".to_owned()),
        simhash: random.below(u64::MAX),
        account_age: AccountAge::Unknown,
        flags: Flags::default(),
        sealed_link: None,
    }
}

fn main() -> ExitCode {
    let mut numbers = std::env::args().filter_map(|argument| argument.parse::<i64>().ok());
    let (days, an_hour) = (numbers.next().unwrap_or(9), numbers.next().unwrap_or(900));
    let mut random = Random::new(1);
    let mut tallies: Vec<Tally> = (0..PARTITIONS).map(Tally::new).collect();
    let mut watch = Watch::new(Mode::Live);
    let mut chunks: BTreeMap<[u8; 32], Vec<u8>> = BTreeMap::new();
    let (mut out, mut frames) = (Vec::new(), Vec::new());
    let (mut position, mut taken) = (1, 1);
    watch.apply(0, &Record::Settings(settings()), &mut out).unwrap();
    for tally in &mut tallies {
        tally.apply(0, &Record::Settings(settings()), &mut frames);
    }
    let mut reached = MONDAY;
    let (mut is_within, mut sizes) = (true, Vec::new());
    let mut written = (0, 0);
    println!("day  snapshot  written/snapshot  largest chunk  restore  resident");
    for minute in 1..=days * DAY / MINUTE {
        let at = MONDAY + minute * MINUTE;
        for nth in 0..an_hour / 60 {
            let nth = (minute * an_hour + nth) as u64;
            let post = post(nth, at - random.below(60) as i64 * SECOND - SECOND, &mut random);
            let partition = (post.author.unwrap().0 % u64::from(PARTITIONS)) as usize;
            tallies[partition].apply(position, &Record::Post(post), &mut frames);
            position += 1;
        }
        let feed = FeedTick {
            feed: "feed".into(),
            epoch: 1,
            from: reached,
            reached: at,
            span: Span::Covered,
            ended: false,
        };
        reached = at;
        let tick = Record::Tick(Tick { settings: 1, at, feeds: vec![feed] });
        for tally in &mut tallies {
            tally.apply(position, &tick, &mut frames);
        }
        position += 1;
        for frame in frames.drain(..) {
            watch.apply(taken, &Record::Frame(frame), &mut out).unwrap();
            taken += 1;
        }
        out.clear();
        if minute % 10 > 0 {
            continue;
        }
        let snapshot = watch.snapshot();
        written = (
            written.0 + 1,
            written.1 + snapshot.fresh.iter().map(|(_, bytes)| bytes.len()).sum::<usize>(),
        );
        chunks.extend(snapshot.fresh);
        let held: std::collections::BTreeSet<_> =
            snapshot.manifest.chunks.iter().copied().collect();
        chunks.retain(|name, _| held.contains(name));
        if (minute * MINUTE) % DAY > 0 {
            continue;
        }
        let size = chunks.values().map(Vec::len).sum::<usize>();
        let largest = chunks.values().map(Vec::len).max().unwrap_or(0);
        let began = Instant::now();
        let bytes: Vec<Vec<u8>> =
            snapshot.manifest.chunks.iter().map(|name| chunks[name].clone()).collect();
        watch = Watch::restore(&snapshot.manifest, &bytes).unwrap();
        let restore = began.elapsed().as_secs_f64();
        let resident = resident_megabytes();
        println!(
            "{:>3} {size:>9} {:>17} {largest:>14} {restore:>7.3}s {resident:>6.0} MB",
            minute * MINUTE / DAY,
            written.1 / written.0
        );
        written = (0, 0);
        sizes.push(size);
        is_within &= largest <= CHUNK_MAX;
    }
    if let [.., before, last] = sizes[..] {
        is_within &= sizes.len() < 9 || last <= before + GROWTH_MAX;
    }
    println!(
        "at most {CHUNK_MAX} bytes a chunk and {GROWTH_MAX} more a day: {}",
        if is_within { "held" } else { "not held" }
    );
    if is_within { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Resident memory of this process, tallies included.
fn resident_megabytes() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or("0 kB");
    line.trim().trim_end_matches("kB").trim().parse::<f64>().unwrap_or(0.0) / 1024.0
}
