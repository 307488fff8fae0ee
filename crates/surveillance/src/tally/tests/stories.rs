//! Cases that once went wrong, each with its story in its name.

use record::{FeedSetting, FeedTick, Span, Tick, Voice, WindowChange};

use super::examples::{NOVEMBER, read_post, read_time, settings};
use super::*;

fn feed_tick(feed: &str, from: &str, reached: &str) -> FeedTick {
    let (from, reached) = (read_time(from), read_time(reached));
    FeedTick { feed: feed.to_owned(), epoch: 1, from, reached, span: Span::Covered, ended: false }
}

fn tick_of(settings: u32, feeds: Vec<FeedTick>) -> Record {
    Record::Tick(Tick {
        settings,
        at: feeds.iter().map(|feed| feed.reached).max().unwrap_or(NOVEMBER),
        feeds,
    })
}

/// All feeds at once, under settings 1.
fn tick(reached: &str) -> Record {
    tick_of(1, vec![feed_tick("file", "08:00", reached)])
}

fn post(line: &str) -> Record {
    Record::Post(read_post(line))
}

fn with_feeds(feeds: &[&str]) -> Settings {
    let feeds = feeds.iter().map(|name| FeedSetting::new((*name).to_owned(), true)).collect();
    Settings { feeds, ..settings() }
}

/// A tally that has taken these records in, and its frames.
fn run(log: &[Record]) -> (Tally, Vec<Frame>) {
    let mut tally = Tally::new(0);
    let mut frames = Vec::new();
    for (position, record) in (0..).zip(log) {
        tally.apply(position, record, &mut frames);
    }
    (tally, frames)
}

/// Of a frame what it says of the 24 h windows of a topic in the world: (end, authors).
fn windows(frame: &Frame, topic: &str) -> Vec<WindowChange> {
    let series =
        frame.series.iter().filter(|series| series.topic == topic && series.region == "001");
    series
        .flat_map(|series| series.windows.clone())
        .filter(|window| window.length == 24 * HOUR)
        .collect()
}

fn ends(frame: &Frame, topic: &str) -> Vec<(Micros, u32)> {
    windows(frame, topic).iter().map(|window| (window.end, window.authors)).collect()
}

fn folded(frames: &[Frame]) -> Recount {
    let mut fold = Fold::default();
    frames.iter().for_each(|frame| fold.apply(frame).unwrap());
    fold.recount()
}

#[test]
fn the_frame_that_passes_a_panes_end_tells_the_windows_of_a_series_in_which_nothing_more_happened()
{
    let log = [
        Record::Settings(settings()),
        post("post 1 ann 09:05 flu"),
        tick("09:10"),
        tick("11:59"),
        tick("12:00"),
        tick("12:01"),
    ];
    let (_, frames) = run(&log);
    assert_eq!(
        ends(&frames[1], "flu"),
        [(read_time("10:00"), 1), (read_time("11:00"), 1), (read_time("12:00"), 1)]
    );
    // The window that opens is reported with the one that ends.
    assert_eq!(ends(&frames[2], "flu"), [(read_time("12:00"), 1), (read_time("13:00"), 1)]);
    assert_eq!(ends(&frames[3], "flu"), []);
}

#[test]
fn what_is_final_is_forgotten_and_so_is_all_that_stands_for_it() {
    let log = [
        Record::Settings(settings()),
        tick("09:00"),
        post("post 1 ann 09:05 DE flu hiv rumour quake key=flu alias=3"),
        post("post 2 bob 09:06"),
        post("delete 3 bob 09:07"),
        post("delete alias=8 09:07"),
        post("remove cyd 09:08"),
        tick("09:10"),
    ];
    let (mut tally, _) = run(&log);
    let mut out = Vec::new();
    // Two weeks later nothing is held but the settings and the names of regions.
    tally.apply(90, &tick("36T09:00"), &mut out);
    tally.apply(91, &tick("45T09:00"), &mut out);
    assert!(tally.identities.blocks_mut().is_empty() && tally.by_author.is_empty());
    assert!(tally.series.values().all(BTreeMap::is_empty), "{:?}", tally.series);
    assert!(
        tally.tags.is_empty()
            && tally.totals.is_empty()
            && tally.changed_totals.is_empty()
            && tally.changed_tags.is_empty()
    );
    assert_eq!(format!("{:?}", tally.gone), format!("{:?}", Gone::default()));
    let bytes: usize = tally.snapshot().fresh.iter().map(|(_, bytes)| bytes.len()).sum();
    assert!(bytes < 1000, "{bytes} bytes");
}

#[test]
fn a_window_that_opens_is_told_though_its_last_pane_has_nothing() {
    // Else the open sum over partitions would lack the part of a partition in which nothing more
    // happens.
    let log = [
        Record::Settings(settings()),
        post("post 1 ann 09:05 flu"),
        tick("09:10"),
        tick("10:00:01"),
    ];
    let (_, frames) = run(&log);
    assert_eq!(ends(&frames[1], "flu").last(), Some(&(read_time("11:00"), 1)));
}

#[test]
fn another_post_by_an_author_of_the_window_is_a_step_too() {
    let log = [
        Record::Settings(settings()),
        post("post 1 ann 09:05 flu"),
        tick("09:10"),
        post("post 2 ann 09:11 flu"),
        post("post 3 bob 08:55 flu:own"),
        tick("09:12"),
    ];
    let (_, frames) = run(&log);
    let open = windows(&frames[1], "flu")
        .into_iter()
        .find(|window| window.end == read_time("10:00"))
        .unwrap();
    let steps: Vec<_> = open
        .steps
        .iter()
        .map(|step| (step.event_time, step.authors, step.authors_self, step.posts))
        .collect();
    assert_eq!(steps, [(read_time("09:11"), 1, 0, 2), (read_time("08:55"), 2, 1, 3)]);
}

#[test]
fn more_posts_than_a_frame_has_steps_for_leave_the_first_steps_right() {
    let mut log = vec![Record::Settings(settings()), tick("09:10")];
    log.extend((0..3000).map(|nth| {
        post(&format!("post {} by{nth} 09:{}:{} flu", nth + 1, 10 + nth / 60, nth % 60))
    }));
    log.push(tick("09:59:59"));
    let (_, frames) = run(&log);
    let open = windows(&frames[1], "flu")
        .into_iter()
        .find(|window| window.end == read_time("10:00"))
        .unwrap();
    assert_eq!(open.authors, 3000);
    assert!(open.steps.len() < 3000);
    assert!((1..).zip(&open.steps).all(|(nth, step)| (step.posts, step.authors) == (nth, nth)));
}

#[test]
fn an_ended_feed_covers_on_in_every_later_pane_and_no_more_when_it_comes_back() {
    let mut gone = feed_tick("a", "08:00", "08:30");
    gone.ended = true;
    let mut back = feed_tick("a", "11:30", "11:40");
    back.epoch = 2;
    let log = [
        Record::Settings(with_feeds(&["a", "b"])),
        tick_of(1, vec![gone, feed_tick("b", "08:00", "08:30")]),
        tick_of(1, vec![feed_tick("b", "08:30", "11:50")]),
        tick_of(1, vec![back]),
    ];
    let (_, frames) = run(&log);
    let told = |frame: &Frame| {
        let of_a = frame.coverage.iter().filter(|coverage| coverage.feed == "a");
        of_a.map(|coverage| {
            ((coverage.pane_start - read_time("00:00")) / HOUR, coverage.covered / MINUTE)
        })
        .collect::<Vec<_>>()
    };
    assert_eq!(told(&frames[0]), [(8, 60)]);
    assert_eq!(told(&frames[1]), [(9, 60), (10, 60), (11, 60)]);
    assert_eq!(told(&frames[2]), [(8, 30), (9, 0), (10, 0), (11, 10)]);
}

#[test]
fn the_watermark_waits_at_newer_settings_for_every_feed_and_not_only_for_the_worker_that_ticks() {
    let newer = |number: u32, from: &str| {
        Record::Settings(Settings { number, from: read_time(from), ..with_feeds(&["a", "b"]) })
    };
    let reached = |settings: u32, feed: &str, reached: &str| {
        tick_of(settings, vec![feed_tick(feed, "08:00", reached)])
    };
    let log = [
        Record::Settings(with_feeds(&["a", "b"])),
        reached(1, "a", "09:59"),
        reached(1, "b", "09:59"),
        newer(2, "10:00"),
        newer(3, "11:00"),
        reached(1, "a", "10:01"),
        reached(3, "b", "10:01"), // b continues, but a has not read the newer settings
        reached(2, "a", "10:01"),
        reached(3, "b", "11:01"),
        reached(2, "a", "11:01"), // settings 3 hold from 11:00 on
        reached(3, "a", "11:01"),
    ];
    let (_, frames) = run(&log);
    let told: Vec<Option<Micros>> = frames.iter().map(|frame| frame.watermark).collect();
    let at = |time: &str| Some(read_time(time));
    assert_eq!(told[..4], [None, at("09:59"), at("09:59"), at("10:00")]);
    // While b is an hour ahead, a is left out.
    assert_eq!(told[4..], [at("10:01"), at("11:01"), at("11:01"), at("11:01")]);
}

#[test]
fn a_tick_without_feeds_before_any_other_is_no_overflow() {
    let (_, frames) = run(&[Record::Settings(settings()), tick_of(1, Vec::new()), Record::End]);
    assert_eq!(
        frames.iter().map(|frame| (frame.watermark, frame.ended)).collect::<Vec<_>>(),
        [(None, false), (None, true)]
    );
}

#[test]
fn a_log_that_has_ended_takes_nothing_more() {
    let log =
        [Record::Settings(settings()), post("post 1 ann 09:05 flu"), tick("09:10"), Record::End];
    let (mut tally, frames) = run(&log);
    let mut more = Vec::new();
    for (position, record) in (10..).zip([
        post("post 2 bob 09:11 flu"),
        tick("11:00"),
        Record::End,
        Record::Settings(settings()),
    ]) {
        tally.apply(position, &record, &mut more);
    }
    assert_eq!(
        (frames.len(), more.len(), tally.handled().posts, tally.handled().refused),
        (2, 0, 1, 4)
    );
}

#[test]
fn a_partition_whose_last_post_is_an_hour_before_the_others_tells_the_windows_of_that_hour_too() {
    let log =
        [Record::Settings(settings()), post("post 1 ann 09:30 quake"), tick("09:58"), Record::End];
    let (_, frames) = run(&log);
    // Another partition may hold a post of 10:03, whose author's clock is ahead, and so end at
    // 11:00.
    let told = folded(&frames).windows;
    assert!(told.keys().any(|key| key.0 == "quake" && key.2 == read_time("11:00")));
}

#[test]
fn a_deletion_by_alias_touches_no_post_whose_print_is_zero() {
    let mut first = read_post("post 1 ann 09:05 flu");
    first.id = PostId(1);
    let log = [
        Record::Settings(settings()),
        Record::Post(first),
        post("post 2 bob 09:05 flu alias=7"),
        post("delete alias=7 09:06"),
        tick("09:10"),
        Record::End,
    ];
    let (_, frames) = run(&log);
    assert_eq!(
        folded(&frames).cells[&("flu".to_owned(), "001".to_owned(), read_time("09:00"))].posts,
        1
    );
}

#[test]
fn a_post_that_a_whole_and_a_filtered_feed_bring_at_one_time_counts_as_of_the_whole_one_in_either_order()
 {
    let (whole, filtered) = (post("post 1 ann 09:05 flu"), post("post 1 ann 09:05 flu filtered"));
    let (other, other_filtered) = (post("post 2 ann 09:05"), post("post 2 ann 09:05 filtered"));
    for order in
        [[&whole, &filtered, &other, &other_filtered], [&filtered, &whole, &other_filtered, &other]]
    {
        let mut log = vec![Record::Settings(settings())];
        log.extend(order.into_iter().cloned());
        log.extend([tick("09:10"), Record::End]);
        let told = folded(&run(&log).1);
        let cell = told.cells[&("flu".to_owned(), "001".to_owned(), read_time("09:00"))];
        assert_eq!((cell.posts, cell.posts_filtered), (1, 0));
        assert_eq!(told.totals[&("001".to_owned(), read_time("09:00"), HOUR)].posts, 2);
    }
}

#[test]
fn a_sampled_post_has_the_voice_of_the_cells_topic_not_of_any() {
    let log = [
        Record::Settings(settings()),
        post("post 1 ann 09:05 flu hiv:own quake:news"),
        tick("09:10"),
        Record::End,
    ];
    let told = folded(&run(&log).1);
    let sample = &told.samples[&("flu".to_owned(), "001".to_owned(), read_time("09:00"))];
    assert_eq!((sample[0].own, sample[0].news), (false, false));
}

#[test]
fn five_minute_denominators_begin_with_the_settings_that_ask_for_them_and_replacing_a_post_leaves_them_right()
 {
    let quiet: Vec<_> =
        settings().topics.into_iter().filter(|topic| topic.pane > SHORT_PANE).collect();
    let log = [
        Record::Settings(Settings { topics: quiet, ..settings() }),
        post("post 1 ann 09:05 DE arrives=09:06"),
        post("post 2 bob 10:05 DE arrives=10:06"),
        Record::Settings(Settings { number: 2, from: read_time("10:00"), ..settings() }),
        post("post 3 cyd 09:05 DE"),
        post("post 4 dan 10:05 DE"),
        post("post 1 ann 09:05 FR arrives=09:05"),
        post("post 2 bob 10:05 FR arrives=10:05"),
        tick_of(2, vec![feed_tick("file", "08:00", "10:10")]),
        Record::End,
    ];
    let totals = folded(&run(&log).1).totals;
    let short: Vec<(&str, u64)> = totals
        .iter()
        .filter(|(key, _)| key.2 == SHORT_PANE)
        .map(|(key, total)| (key.0.as_str(), total.posts))
        .collect();
    assert_eq!(short, [("001", 2), ("DE", 1), ("FR", 1), ("lang:und", 2)]);
}

#[test]
fn an_own_region_that_newer_settings_drop_does_not_become_a_country_that_sensitive_topics_tell() {
    let own = vec![record::region::OwnRegion {
        code: "MITTE".to_owned(),
        parent: Some("DE-BE".to_owned()),
    }];
    let log = [
        Record::Settings(Settings { regions: own, ..settings() }),
        Record::Settings(Settings { number: 2, from: read_time("10:00"), ..settings() }),
        post("post 1 ann 09:05 DE/DE-BE/MITTE hiv"),
        tick_of(2, vec![feed_tick("file", "08:00", "10:10")]),
        Record::End,
    ];
    let told = folded(&run(&log).1);
    assert_eq!(told.cells.keys().map(|key| key.1.as_str()).collect::<Vec<_>>(), ["001", "DE"]);
}

#[test]
fn a_five_minute_pane_that_is_final_stays_though_its_hour_is_not() {
    let log = [
        Record::Settings(settings()),
        tick("09:10"),
        post("post 1 ann 09:05 flu quake"),
        tick("23T21:20"),
        post("remove ann 09:30"),
        post("post 2 bob 09:06 flu quake"),
        tick("23T21:30"),
        Record::End,
    ];
    let cells = folded(&run(&log).1).cells;
    let posts = |topic: &str, pane: &str| {
        cells.get(&(topic.to_owned(), "001".to_owned(), read_time(pane))).map(|cell| cell.posts)
    };
    assert_eq!((posts("flu", "09:00"), posts("quake", "09:05")), (Some(1), Some(1)));
}

#[test]
fn an_account_removed_just_before_a_change_of_keys_takes_a_post_along_whose_clock_was_ahead_of_it()
{
    // Epochs change on 3 December: the post's time lies in the new one, the removal's in the old.
    let log = [
        Record::Settings(settings()),
        post("post 1 ann 33T00:01 flu arrives=32T23:58"),
        post("remove ann 32T23:59"),
        tick("33T00:05"),
        Record::End,
    ];
    assert!(folded(&run(&log).1).cells.is_empty());
}

#[test]
fn authors_of_a_sample_are_told_apart_by_the_key_of_the_pane_where_a_long_pane_lies_across_a_change_of_keys()
 {
    let patient = record::TopicSetting {
        id: "asthma".to_owned(),
        name: "asthma".to_owned(),
        kind: Kind::Patient,
        pane: Kind::Patient.pane(),
        windows: Kind::Patient.windows().to_vec(),
    };
    let log = [
        Record::Settings(Settings { topics: vec![patient], ..settings() }),
        post("post 1 ann 32T23:30 asthma"),
        post("post 2 ann 33T00:30 asthma"),
        post("post 3 bob 33T00:40 asthma"),
        tick("33T01:00"),
        Record::End,
    ];
    let told = folded(&run(&log).1);
    let alike: Vec<u64> = told
        .samples
        .iter()
        .find(|(key, _)| key.1 == "001")
        .unwrap()
        .1
        .iter()
        .map(|post| post.alike)
        .collect();
    assert_eq!(alike, [1, 1, 3]);
    assert_eq!(told.cells.values().map(|cell| cell.authors).max(), Some(2));
}

#[test]
fn a_topic_named_twice_in_a_post_an_overlay_and_a_language_count_once() {
    let mut twice = read_post("post 1 ann 09:05 flu flu:own lang=en,en overlay=x:flood,x:flood");
    twice.topics[1].voice = Voice::Own;
    let log = [Record::Settings(settings()), Record::Post(twice), tick("09:10"), Record::End];
    let told = folded(&run(&log).1);
    assert_eq!(told.cells.len(), 4);
    assert!(
        told.cells.values().all(|cell| (cell.posts, cell.authors, cell.authors_self) == (1, 1, 0))
    );
    assert!(told.totals.values().all(|total| total.posts == 1));
}

#[test]
fn equal_states_make_equal_snapshots_whatever_came_first() {
    let deletes: Vec<Record> =
        (1..200).map(|id| post(&format!("delete {id} ann 09:{:02}", id % 60))).collect();
    let there: Vec<Record> = deletes.iter().cloned().chain([tick("10:00")]).collect();
    let back: Vec<Record> = deletes.iter().rev().cloned().chain([tick("10:00")]).collect();
    let chunks = |log: &[Record]| {
        let log: Vec<Record> =
            [Record::Settings(settings())].into_iter().chain(log.iter().cloned()).collect();
        run(&log).0.snapshot().manifest.chunks
    };
    assert_eq!(chunks(&there), chunks(&back));
}

#[test]
fn a_damaged_or_missing_chunk_is_refused_by_name() {
    let (mut tally, _) =
        run(&[Record::Settings(settings()), post("post 1 ann 09:05 flu"), tick("09:10")]);
    let snapshot = tally.snapshot();
    let by_name: BTreeMap<ChunkName, Vec<u8>> = snapshot.fresh.into_iter().collect();
    let mut chunks: Vec<Vec<u8>> =
        snapshot.manifest.chunks.iter().map(|name| by_name[name].clone()).collect();
    assert!(Tally::restore(&snapshot.manifest, &chunks).is_ok());
    chunks[1].push(0);
    assert_eq!(
        Tally::restore(&snapshot.manifest, &chunks).unwrap_err(),
        RestoreError::Damaged { index: 1 }
    );
    chunks.truncate(1);
    assert_eq!(
        Tally::restore(&snapshot.manifest, &chunks).unwrap_err(),
        RestoreError::Missing { index: 1 }
    );
}
