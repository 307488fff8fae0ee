//! Ingest under clocks that are set, over a journal in memory: what it claims, and when.

use journal::memory::MemoryJournal;
use record::time::DAY;
use record::{FeedTick, Record, Span};

use super::driven::{Hands, Life};
use super::meters::{Meters, Repeated};
use super::*;

/// 2026-01-05T09:00:03Z
const T: Micros = 1_767_603_603 * SECOND;

impl Life<'_> {
    /// A post whose stamp is off by so much, as the connection hands it on.
    fn post(&mut self, stamped: Micros) {
        let number = self.lines + 1;
        let line = format!(
            r#"{{"did":"did:plc:{}","time_us":{stamped},"kind":"commit","commit":{{"operation":"create","collection":"app.bsky.feed.post","rkey":"k{number}","record":{{"createdAt":"{}","text":"x"}}}}}}"#,
            number % 7,
            record::time::display(stamped)
        );
        self.line(line.as_bytes());
    }

    fn second_passes(&mut self) {
        self.hands.pass(SECOND);
        self.round();
    }
}

/// The claims that stand in the log, each with its tick's own instant.
fn claims(journal: &MemoryJournal) -> Vec<(Micros, FeedTick)> {
    let records = journal.read(Stream::Posts, 0, 0, usize::MAX, Duration::ZERO).unwrap().records;
    let ticks = records.iter().filter_map(|(_, bytes)| match Record::decode(bytes).unwrap() {
        Record::Tick(tick) => Some(tick),
        _ => None,
    });
    ticks.flat_map(|tick| tick.feeds.into_iter().map(move |claim| (tick.at, claim))).collect()
}

fn config(folder: &tempfile::TempDir) -> Config {
    let data = folder.path().join("data");
    crate::config::built_in(&[
        format!("journal.data={}", data.display()),
        "journal.partitions=1".to_owned(),
    ])
    .unwrap()
}

/// What is claimed while the wall clock is wrong by `wrong` in `[100, until)`, with a line or only
/// a sign of life each second.
fn claimed(wrong: Micros, until: i64, lines: bool) -> Vec<(Micros, FeedTick)> {
    let folder = tempfile::tempdir().unwrap();
    let config = config(&folder);
    let journal = MemoryJournal::new(1);
    let mut life = Life::start(&journal, &config, Hands::new(T));
    for second in 0..400 {
        life.hands.be_wrong(if (100..until).contains(&second) { wrong } else { 0 });
        if lines {
            life.post(life.hands.truth());
        }
        life.alive();
        life.second_passes();
    }
    claims(&journal)
}

#[test]
fn two_days_ahead_for_two_seconds_is_claimed_by_no_tick() {
    for (wrong, lines) in [(2 * DAY, true), (2 * DAY, false), (-2 * DAY, true), (365 * DAY, false)]
    {
        let claims = claimed(wrong, 102, lines);
        assert!(
            claims
                .iter()
                .all(|(_, claim)| claim.reached <= T + 401 * SECOND && claim.span == Span::Covered),
            "{wrong}"
        );
        // They wait until both clocks have agreed for a minute, then go on to where they would be.
        let at: Vec<i64> = claims.iter().map(|(at, _)| (at - T) / SECOND).collect();
        assert!(at.iter().all(|at| !(102..160).contains(at)), "{wrong}: {at:?}");
        assert!(at.iter().any(|at| (160..165).contains(at)), "{wrong}: {at:?}");
        let furthest = claims.iter().map(|(_, claim)| claim.reached).max().unwrap();
        assert!(furthest >= T + 390 * SECOND, "{wrong}: {}", (furthest - T) / SECOND);
    }
}

#[test]
fn a_step_of_an_hour_that_holds_is_followed_and_ticks_go_on() {
    let claims = claimed(3600 * SECOND, 400, true);
    let last = claims.last().unwrap();
    assert!((last.0 - T) / SECOND > 3_900, "the clock was set, and that is ours now");
    // Arrivals are the source's: they are behind our clock now, and no claim goes beyond them.
    assert!(last.1.reached <= T + 400 * SECOND, "{last:?}");
}

#[test]
fn a_stamp_ten_days_ahead_is_neither_arrival_nor_claim() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(&folder);
    let journal = MemoryJournal::new(1);
    let mut life = Life::start(&journal, &config, Hands::new(T));
    for second in 0..60 {
        let ahead = if second == 20 { 10 * DAY } else { 0 };
        life.post(life.hands.truth() + ahead);
        life.second_passes();
    }
    let claims = claims(&journal);
    assert!(claims.iter().all(|(_, claim)| claim.reached <= T + 61 * SECOND));
    assert!(claims.last().unwrap().1.reached >= T + 58 * SECOND);
}

#[test]
fn an_outage_is_held_and_then_silent_by_the_time_that_passes() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(&folder);
    let journal = MemoryJournal::new(1);
    let mut life = Life::start(&journal, &config, Hands::new(T));
    for second in 0..1_000 {
        // After five seconds nothing comes; at second 300 the clock is set a day back for good.
        life.hands.be_wrong(if second >= 300 { -DAY } else { 0 });
        if second < 5 {
            life.post(life.hands.truth());
            life.alive();
        }
        life.second_passes();
    }
    let claims = claims(&journal);
    let silent: Vec<&FeedTick> =
        claims.iter().map(|(_, claim)| claim).filter(|claim| claim.span == Span::Silent).collect();
    // 600 seconds after the last sign of life, whatever the wall says.
    assert!((380..400).contains(&silent.len()), "{}", silent.len());
    assert!(
        claims
            .iter()
            .all(|(_, claim)| claim.span == Span::Silent || claim.reached <= T + 5 * SECOND)
    );
}

#[test]
fn an_outage_is_said_twice_and_repeated_more_and_more_rarely() {
    let mut said = Repeated::default();
    let due =
        |said: &mut Repeated, second: i64| said.due(Now { wall: 0, monotonic: second * SECOND });
    let seconds: Vec<i64> = (0..10_000).filter(|second| due(&mut said, *second)).collect();
    assert_eq!(seconds, [0, 60, 180, 420, 900, 1_860, 3_780, 7_620]);
    assert!(due(&mut said, 1_000_000), "after a long time it is news");
}

#[test]
fn what_waits_to_be_appended_is_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("posts.ndjson");
    let lines: String = (0..3_000)
        .map(|n| {
            format!(
                "{{\"id\":\"{n}\",\"author\":\"a{n}\",\"created_at\":{}}}\n",
                T / SECOND + n / 10
            )
        })
        .collect();
    std::fs::write(&path, lines).unwrap();
    for (bytes, least, most) in [(2 << 10, 512, 4 << 10), (1 << 20, 64 << 10, 2 << 20)] {
        let mut config = config(&folder);
        config.limits.batch_bytes = bytes;
        let path = path.display().to_string();
        config.feeds[0].kind = FeedKind::File { paths: vec![path], follow: false };
        let journal = MemoryJournal::new(1);
        let mut life = Life::start(&journal, &config, Hands::new(T));
        life.ingest.feeds[0].source = life.ingest.open(0, None).unwrap();
        while life.ingest.round().unwrap() {}
        let appended = life.ingest.batch.appended_most;
        assert!((least..=most).contains(&appended), "{appended} bytes for {bytes}");
    }
}

#[test]
fn a_feed_exports_rejects_and_gaps_before_the_first() {
    let metrics = Metrics::default();
    let _meters = Meters::new(&metrics, "bluesky");
    let text = metrics.render();
    for reason in RejectReason::ALL {
        let name = reason.name();
        assert!(
            text.contains(&format!(
                "\npumphandle_rejects_total{{feed=\"bluesky\",reason=\"{name}\"}} 0\n"
            )),
            "{name}: {text}"
        );
    }
    assert!(text.contains("\npumphandle_feed_gaps_total{feed=\"bluesky\"} 0\n"), "{text}");
}
