//! The driver where the journal no longer has what a stage would read next; all else is simulated
//! (see `simulated`).

use std::sync::atomic::AtomicBool;

use journal::memory::MemoryJournal;
use record::time::HOUR;
use record::{FeedSetting, FeedTick, Frame, Settings, Span, Tick};

use super::*;
use crate::roles::tally::TallyStage;
use crate::runtime::{Stop, each_retained, role};

const FEED: &str = "feed";
/// Hour 0 of these tests, in this century.
const BEGIN: i64 = 490_000;

fn tick(hour: i64) -> Record {
    let hour = BEGIN + hour;
    let feed = FeedTick {
        feed: FEED.to_owned(),
        epoch: 1,
        from: hour * HOUR,
        reached: (hour + 1) * HOUR,
        span: Span::Covered,
        ended: false,
    };
    Record::Tick(Tick { settings: 1, at: (hour + 1) * HOUR, feeds: vec![feed] })
}

/// Settings and five ticks, of which retention has deleted all but the last two.
fn forgetful() -> Arc<MemoryJournal> {
    let journal = Arc::new(MemoryJournal::new(1));
    let settings = Settings { feeds: vec![FeedSetting::new(FEED, true)], ..Settings::default() };
    log::settle(&*journal, &settings, None).unwrap();
    let ticks: Vec<Entry> =
        (1..=5).map(|hour| Entry { partition: 0, bytes: tick(hour).encode() }).collect();
    let positions = journal.append(Stream::Posts, &ticks).unwrap();
    journal.forget(Stream::Posts, 0, positions[3]);
    journal
}

fn driver(journal: &Arc<MemoryJournal>, gaps: Gaps) -> Driver<TallyStage> {
    let journal: Arc<dyn Journal> = journal.clone();
    Driver::join(&journal, Group::Tally, TallyStage::new, gaps, &Arc::default()).unwrap()
}

fn turn(journal: &Arc<MemoryJournal>, gaps: Gaps) -> anyhow::Result<Progress> {
    let mut driver = driver(journal, gaps);
    driver.turn(&Context::default())?;
    driver.turn(&Context::default())
}

fn frames(journal: &MemoryJournal) -> Vec<Frame> {
    let mut frames = Vec::new();
    each_retained(journal, Stream::Tallies, 0, |record| {
        frames.extend(if let Record::Frame(frame) = record { Some(frame) } else { None });
        Ok::<_, anyhow::Error>(())
    })
    .unwrap();
    frames
}

#[test]
fn a_stage_stops_at_a_gap_with_a_hint() {
    let journal = forgetful();
    let error = turn(&journal, Gaps::Stop).unwrap_err().to_string();
    assert!(
        error.contains("of `posts` partition 0 were deleted")
            && error.contains("--set journal.accept-gaps=true"),
        "{error}"
    );
    assert_eq!(frames(&journal), []);
}

#[test]
fn an_accepted_gap_is_counted_as_lost() {
    let journal = forgetful();
    turn(&journal, Gaps::Count).unwrap();
    let frames = frames(&journal);
    // The settings stood before the ticks.
    assert_eq!(frames.iter().map(|frame| frame.handled.lost).collect::<Vec<_>>(), [4, 4]);
    assert_eq!(
        frames.iter().map(|frame| frame.watermark).collect::<Vec<_>>(),
        [Some((BEGIN + 5) * HOUR), Some((BEGIN + 6) * HOUR)]
    );
    let covered: Vec<(i64, i64)> = frames
        .iter()
        .flat_map(|frame| &frame.coverage)
        .map(|coverage| (coverage.pane_start / HOUR - BEGIN, coverage.covered / HOUR))
        .collect();
    assert_eq!(covered, [(4, 1), (5, 1)], "the hours before are not covered");
}

#[test]
fn a_damaged_record_at_the_end_is_passed_and_counted() {
    let journal = Arc::new(MemoryJournal::new(1));
    let settings = Settings { feeds: vec![FeedSetting::new(FEED, true)], ..Settings::default() };
    log::settle(&*journal, &settings, None).unwrap();
    let mut damaged = tick(1).encode();
    damaged.truncate(9);
    journal.append(Stream::Posts, &[Entry { partition: 0, bytes: damaged }]).unwrap();
    let mut driver = driver(&journal, Gaps::Stop);
    let mut turn = || driver.turn(&Context::default()).unwrap();
    assert_eq!(turn(), Progress::BUSY);
    assert_eq!(turn(), Progress::Idle(Duration::ZERO), "it is read again");
    journal.append(Stream::Posts, &[Entry { partition: 0, bytes: tick(2).encode() }]).unwrap();
    assert_eq!(turn(), Progress::BUSY);
    assert_eq!(frames(&journal).iter().map(|frame| frame.handled.refused).collect::<Vec<_>>(), [1]);
}

#[test]
fn after_a_stop_request_a_backlog_is_left_for_the_next_start() {
    let journal = Arc::new(MemoryJournal::new(1));
    let settings = Settings { feeds: vec![FeedSetting::new(FEED, true)], ..Settings::default() };
    log::settle(&*journal, &settings, None).unwrap();
    let ticks = |hours: std::ops::Range<i64>| {
        hours.map(|hour| Entry { partition: 0, bytes: tick(hour).encode() }).collect::<Vec<_>>()
    };
    journal.append(Stream::Posts, &ticks(1..50)).unwrap();
    let (ended, stop) = (Arc::new(AtomicBool::new(false)), Stop::default());
    let run = |grace: Duration| {
        let mut driver = driver(&journal, Gaps::Stop);
        let (stop, upstream) = (stop.clone(), Some(Arc::clone(&ended)));
        let mut context = Context { stop, grace, upstream, ..Context::default() };
        role::run(&mut driver, &mut context).unwrap();
        driver.seen.snapshots.lock().unwrap().values().map(|written| written.bytes).sum::<u64>()
    };
    stop.request();
    // Its input has not ended: only the stop request ends it, at once, with a snapshot.
    assert!(run(Duration::ZERO) > 0);
    assert_eq!(frames(&journal), []);
    // With time enough it reads what is there.
    ended.store(true, std::sync::atomic::Ordering::SeqCst);
    run(Duration::from_secs(60));
    assert_eq!(frames(&journal).len(), 49);
}
