//! Frames in parts, and frames that wait: how they are cut and merged may not be seen in what is
//! told.

use super::drive::{Store, run, unversioned};
use super::order::{log, read_somehow};
use super::season::{Recipe, post, season, tallies};
use super::*;
use crate::naive::streams::{Item, Rng, each_stream};

/// A frame in parts of any size, in the order in which tally fills them.
fn cut(frame: &Frame, rng: &mut Rng) -> Vec<Frame> {
    let parts = rng.pick(&[1, 1, 2, 3, 9]);
    let header = Frame {
        series: Vec::new(),
        tags: Vec::new(),
        totals: Vec::new(),
        coverage: Vec::new(),
        ..frame.clone()
    };
    let mut cut: Vec<Frame> =
        (1..=parts).map(|part| Frame { part, last: part == parts, ..header.clone() }).collect();
    let mut at = 0;
    let mut go_on = |rng: &mut Rng| {
        while at + 1 < cut.len() && rng.chance(30) {
            at += 1;
        }
        at
    };
    let of_series: Vec<usize> = frame.series.iter().map(|_| go_on(rng)).collect();
    let of_tags: Vec<usize> = frame.tags.iter().map(|_| go_on(rng)).collect();
    let of_totals: Vec<usize> = frame.totals.iter().map(|_| go_on(rng)).collect();
    for (part, series) in of_series.into_iter().zip(&frame.series) {
        cut[part].series.push(series.clone());
    }
    for (part, tag) in of_tags.into_iter().zip(&frame.tags) {
        cut[part].tags.push(tag.clone());
    }
    for (part, total) in of_totals.into_iter().zip(&frame.totals) {
        cut[part].totals.push(total.clone());
    }
    if let Some(last) = cut.last_mut() {
        last.coverage.clone_from(&frame.coverage);
    }
    cut
}

fn parts_cannot_be_seen(log: &[Item], mut rng: Rng) -> Result<(), String> {
    let mode = rng.pick(&[Mode::Live, Mode::Live, Mode::AsLive, Mode::Batch]);
    let records = read_somehow(&tallies(log, rng.pick(&[1, 2, 3])), &mut rng);
    let straight: Vec<Record> =
        run(mode, &records).map_err(|why| why.to_string())?.iter().map(unversioned).collect();
    let mut store = Store::default();
    let (mut watch, mut position, mut out) = (Watch::new(mode), 0, Vec::new());
    let mut apply = |watch: &mut Watch, record: &Record, rng: &mut Rng| {
        watch.apply(position, record, &mut out).map_err(|why| why.to_string())?;
        position += 1;
        if rng.chance(5) {
            let manifest = store.put(watch);
            *watch = store.get(&manifest);
        }
        Ok::<(), String>(())
    };
    for record in &records {
        let Record::Frame(frame) = record else {
            apply(&mut watch, record, &mut rng)?;
            continue;
        };
        let parts = cut(frame, &mut rng);
        // A tally that is killed between parts sends the frame again, from its first part.
        while rng.chance(20) {
            for part in &parts[..rng.below(parts.len() as u64) as usize] {
                apply(&mut watch, &Record::Frame(part.clone()), &mut rng)?;
            }
        }
        for part in parts {
            apply(&mut watch, &Record::Frame(part), &mut rng)?;
        }
    }
    let out: Vec<Record> = out.iter().map(unversioned).collect();
    match out.iter().zip(&straight).find(|(told, due)| told != due) {
        None if out.len() == straight.len() => Ok(()),
        None => Err(format!("{} records instead of {}", out.len(), straight.len())),
        Some((told, due)) => Err(format!("{mode:?}: told {told:?}\ninstead of {due:?}")),
    }
}

#[test]
fn parts_kills_and_snapshots_between_them_change_nothing() {
    each_stream(600, log, parts_cannot_be_seen);
}

#[test]
fn a_part_that_does_not_follow_is_a_gap_until_it_is_skipped() {
    let settings = Record::Settings(settings(1));
    let part = |position: Position, previous: Option<Position>, part: u32, last: bool| {
        Record::Frame(Frame {
            position,
            previous,
            part,
            last,
            at: MONDAY,
            watermark: Some(MONDAY),
            ..Frame::default()
        })
    };
    let mut watch = Watch::new(Mode::Live);
    let mut out = Vec::new();
    watch.apply(0, &settings, &mut out).unwrap();
    let gap = watch.clone().apply(1, &part(5, None, 2, true), &mut out);
    assert_eq!(gap, Err(WatchError::Part { partition: 0, position: 5, part: 2, due: 1 }));
    watch.apply(1, &part(5, None, 1, false), &mut out).unwrap();
    assert_eq!(watch.watermark(), None);
    let gap = watch.clone().apply(2, &part(5, None, 3, true), &mut out);
    assert_eq!(gap, Err(WatchError::Part { partition: 0, position: 5, part: 3, due: 2 }));
    let other = watch.clone().apply(2, &part(9, Some(5), 1, true), &mut out);
    assert!(matches!(other, Err(WatchError::Gap { .. })), "{other:?}");

    // What was deleted unread is known of by the driver, which then goes on in the middle of a
    // frame.
    let mut skipped = watch.clone();
    skipped.skip(40, None, &mut out).unwrap();
    skipped.apply(40, &part(30, Some(25), 3, false), &mut out).unwrap();
    assert_eq!(skipped.watermark(), None);
    skipped.apply(41, &part(30, Some(25), 4, true), &mut out).unwrap();
    assert_eq!(skipped.watermark(), Some(MONDAY));
    skipped.apply(42, &part(35, Some(30), 1, true), &mut out).unwrap();
}

/// One partition is read a long way before the others.
fn one_far_ahead(told: &[(Option<u32>, Record)], partition: u32) -> Vec<Record> {
    let is_ahead = |of: &Option<u32>| of.is_none() || *of == Some(partition);
    let (ahead, behind): (Vec<_>, Vec<_>) = told.iter().partition(|(of, _)| is_ahead(of));
    ahead.into_iter().chain(behind).map(|(_, record)| record.clone()).collect()
}

fn merging_cannot_be_seen(log: &[Item], mut rng: Rng) -> Result<(), String> {
    let mode = rng.pick(&[Mode::Live, Mode::AsLive, Mode::Batch]);
    let partitions = rng.pick(&[2, 3]);
    let told = tallies(log, partitions);
    let ahead = rng.below(u64::from(partitions)) as u32;
    let records =
        if rng.chance(50) { one_far_ahead(&told, ahead) } else { read_somehow(&told, &mut rng) };
    let (mut merged, mut unmerged) = (Watch::new(mode), Watch::new(mode));
    unmerged.unmerged = true;
    for (position, record) in (0..).zip(&records) {
        let (mut out, mut due) = (Vec::new(), Vec::new());
        merged.apply(position, record, &mut out).map_err(|why| why.to_string())?;
        unmerged.apply(position, record, &mut due).map_err(|why| why.to_string())?;
        if out != due {
            return Err(format!("{mode:?}, at {position}\n{out:?}\ninstead of\n{due:?}"));
        }
    }
    Ok(())
}

#[test]
fn merging_the_frames_that_wait_changes_nothing() {
    const SHORT: Recipe =
        Recipe { hours: 26, posts: 150, kinds: &[Kind::Disease, Kind::Narrative], ..Recipe::SMALL };
    each_stream(
        500,
        |mut rng| if rng.chance(50) { season(rng, &SHORT) } else { log(rng) },
        merging_cannot_be_seen,
    );
}

#[test]
fn what_waits_is_bounded_by_cells_and_instants_not_by_frames() {
    let held = |seconds: i64| {
        let mut pipeline = Pipeline::new(Mode::Live, 2);
        pipeline.tick(MONDAY + MINUTE);
        let mut frames = Vec::new();
        let mut reached = MONDAY + MINUTE;
        for step in 1..=DAY / (seconds * SECOND) {
            let at = MONDAY + MINUTE + step * seconds * SECOND;
            let mut post = post(step as u64, step as u64 % 50 * 2, "DE/DE-BE");
            (post.event_time, post.arrival) = (at - SECOND, at - SECOND);
            post.topics = vec![TopicMatch {
                id: "flu".into(),
                voice: Voice::Other,
                keys: vec!["flu".into()],
            }];
            let tick = FeedTick {
                feed: "feed".into(),
                epoch: 1,
                from: reached,
                reached: at,
                span: Span::Covered,
                ended: false,
            };
            reached = at;
            for record in
                [Record::Post(post), Record::Tick(Tick { settings: 1, at, feeds: vec![tick] })]
            {
                pipeline.position += 1;
                pipeline.tallies[0].apply(pipeline.position, &record, &mut frames);
            }
        }
        let count = frames.len();
        for frame in frames {
            pipeline.watch.apply(pipeline.taken, &Record::Frame(frame), &mut pipeline.out).unwrap();
            pipeline.taken += 1;
        }
        let batches = pipeline.watch.schedule.partitions[0].pending.len();
        (count, batches, pipeline.watch.pending())
    };
    let (few, many) = (held(600), held(60));
    assert_eq!((few.0, many.0), (144, 1440));
    // An instant each hour for closing and finality, and their days and weeks.
    assert!(many.1 <= 24 * 3 + 2 && many.1 <= few.1 + 24, "{few:?} {many:?}");
    assert!(many.2 < few.2 * 2, "{few:?} {many:?}");
}
