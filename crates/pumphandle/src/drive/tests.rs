//! What the loop does where the journal no longer has what a stage would read next; all else is
//! simulated (see `simulated`).

use journal::Group;
use journal::memory::MemoryJournal;
use record::time::HOUR;
use record::{FeedSetting, FeedTick, Span, Tick};

use super::*;

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
fn forgetful() -> MemoryJournal {
    let journal = MemoryJournal::new(1);
    let settings = Settings { feeds: vec![FeedSetting::new(FEED, true)], ..Settings::default() };
    log::settle(&journal, &settings, None).unwrap();
    let ticks: Vec<Entry> =
        (1..=5).map(|hour| Entry { partition: 0, bytes: tick(hour).encode() }).collect();
    let positions = journal.append(Stream::Posts, &ticks).unwrap();
    journal.forget(Stream::Posts, 0, positions[3]);
    journal
}

fn turn(journal: &MemoryJournal, gaps: Gaps) -> anyhow::Result<bool> {
    let mut membership = journal.join(Group::Tally)?;
    let mut driver = Driver::new(TallyStage::new, gaps);
    let (ends, mut next_look) = (Ends::Told(&|| Ok(false)), Instant::now());
    driver.turn(journal, &mut *membership, &ends, &mut next_look, Duration::ZERO)?;
    driver.turn(journal, &mut *membership, &ends, &mut next_look, Duration::ZERO)
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
fn a_stage_stops_where_retention_has_deleted_what_it_would_read_and_says_how_to_go_on() {
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
fn by_consent_it_goes_on_by_the_settings_of_the_log_and_counts_what_it_has_lost() {
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
    assert_eq!(covered, [(4, 1), (5, 1)], "nobody has spoken for the hours before");
}

#[test]
fn a_damaged_record_at_the_end_is_passed_and_counted() {
    let journal = MemoryJournal::new(1);
    let settings = Settings { feeds: vec![FeedSetting::new(FEED, true)], ..Settings::default() };
    log::settle(&journal, &settings, None).unwrap();
    let mut damaged = tick(1).encode();
    damaged.truncate(9);
    journal.append(Stream::Posts, &[Entry { partition: 0, bytes: damaged }]).unwrap();
    let mut membership = journal.join(Group::Tally).unwrap();
    let mut driver = Driver::new(TallyStage::new, Gaps::Stop);
    let (ends, mut next_look) = (Ends::Told(&|| Ok(false)), Instant::now());
    let mut turn = |driver: &mut Driver<TallyStage>| {
        driver.turn(&journal, &mut *membership, &ends, &mut next_look, Duration::ZERO).unwrap()
    };
    assert!(turn(&mut driver));
    assert!(!turn(&mut driver), "it is read again");
    journal.append(Stream::Posts, &[Entry { partition: 0, bytes: tick(2).encode() }]).unwrap();
    assert!(turn(&mut driver));
    assert_eq!(frames(&journal).iter().map(|frame| frame.handled.refused).collect::<Vec<_>>(), [1]);
}

#[test]
fn after_a_stop_request_a_backlog_is_left_for_the_next_start() {
    let journal = MemoryJournal::new(1);
    let settings = Settings { feeds: vec![FeedSetting::new(FEED, true)], ..Settings::default() };
    log::settle(&journal, &settings, None).unwrap();
    let ticks = |hours: std::ops::Range<i64>| {
        hours.map(|hour| Entry { partition: 0, bytes: tick(hour).encode() }).collect::<Vec<_>>()
    };
    journal.append(Stream::Posts, &ticks(1..50)).unwrap();
    let (flow, stop, seen) = (Flow::default(), Stop::default(), Seen::default());
    let run = |at_most: Duration| {
        let drain = Drain::new(&flow, &stop, at_most);
        let mut membership = journal.join(Group::Tally).unwrap();
        drive(
            &journal,
            TallyStage::new,
            &mut *membership,
            &Ends::Drained(&drain),
            Gaps::Stop,
            &seen,
        )
        .unwrap();
    };
    stop.ask();
    // Its input has not ended: only the stop request ends it, at once, with a snapshot.
    run(Duration::ZERO);
    assert_eq!(frames(&journal), []);
    assert!(seen.snapshots.lock().unwrap().values().next().unwrap().bytes > 0);
    // With time enough it reads what is there.
    flow.upstream_done.store(true, Ordering::SeqCst);
    run(Duration::from_secs(60));
    assert_eq!(frames(&journal).len(), 49);
}
