//! Tally against the naive recount: random streams first, then each rule of counting as a table,
//! then its parts.

use super::*;
use crate::naive::fold::{Fold, differences};
use crate::naive::streams::{Item, Rng, World, closing, each_stream, shuffled};
use crate::naive::{self, CellKey, Clock, Recount, Rules, WindowKey};
use crate::snapshot::{CHUNK_BYTES_MAX, Manifest, Reader, RestoreError, Snapshot, Writer};

mod bounds;
mod examples;
mod parts;
mod sampled;
mod stories;

/// Tallies of all partitions, fed in the order of a log; each numbers its records on its own.
struct Partitions {
    tallies: Vec<Tally>,
    positions: Vec<Position>,
    fold: Fold,
}

impl Partitions {
    fn new(partitions: u32) -> Partitions {
        let tallies: Vec<Tally> = (0..partitions).map(Tally::new).collect();
        Partitions { positions: vec![7; tallies.len()], tallies, fold: Fold::default() }
    }

    fn apply(&mut self, item: &Item) -> Result<Vec<Frame>, String> {
        let count = self.tallies.len() as u64;
        let mut frames = Vec::new();
        for ((partition, tally), position) in (0..).zip(&mut self.tallies).zip(&mut self.positions)
        {
            if item.goes_to(partition, count) {
                tally.apply(*position, &item.record, &mut frames);
                // Positions of a log have gaps.
                *position += 1 + *position % 3;
            }
        }
        for frame in &frames {
            self.fold.apply(frame)?;
        }
        Ok(frames)
    }

    fn after_final(&self) -> u64 {
        self.tallies.iter().map(|tally| tally.handled().after_final).sum()
    }
}

fn records(items: &[Item]) -> Vec<Record> {
    items.iter().map(|item| item.record.clone()).collect()
}

/// When the log has ended the panes that its last posts are in are passed too; what was reported of
/// windows beyond doesn't matter.
fn holds_at_the_end(
    expected: &Recount,
    rules: &Rules,
    partitions: &Partitions,
) -> Result<(), String> {
    let watermark =
        partitions.tallies.iter().filter_map(Tally::watermark).max().unwrap_or(Micros::MIN);
    let passed = |key: &WindowKey| key.2 - rules.topics[&key.0].pane < watermark;
    let mut told = partitions.fold.recount();
    let mut expected = expected.clone();
    told.windows.retain(|key, _| passed(key));
    expected.windows.retain(|key, _| passed(key));
    equal(&told, &expected).map_err(|why| format!("at the end\n{why}"))
}

fn equal(told: &Recount, expected: &Recount) -> Result<(), String> {
    let differences = differences(told, expected);
    if differences.is_empty() { Ok(()) } else { Err(differences) }
}

fn counts_as_the_recount_does(items: &[Item], mut rng: Rng) -> Result<(), String> {
    let records = records(items);
    let (expected, rules) = (naive::recount(&records), Rules::of(&records));
    for turn in 0..2 {
        let mut log = if turn == 0 { items.to_vec() } else { shuffled(items, &mut rng) };
        let beyond = rng.pick(&[0, HOUR, 9 * HOUR]);
        log.extend(closing(items, beyond));
        let mut partitions = Partitions::new(rng.pick(&[1, 2, 3, 7]));
        for item in &log {
            partitions.apply(item)?;
        }
        holds_at_the_end(&expected, &rules, &partitions)
            .map_err(|why| format!("turn {turn}\n{why}"))?;
    }
    Ok(())
}

#[test]
fn a_plain_replay_counts_as_the_recount_does_in_any_order_and_any_partitions() {
    each_stream(
        5000,
        |mut rng| {
            let posts = rng.pick(&[5, 30, 120, 300]);
            World::new(rng).plain(posts)
        },
        counts_as_the_recount_does,
    );
}

/// What a frame of every partition must have reported by now, and what its watermark and coverage
/// must be.
fn tells_what_holds(log: &[Item], partitions: &Partitions, before: &Clock) -> Result<(), String> {
    let records = records(log);
    let clock = Clock::of(&records);
    let rules = Rules::of(&records);
    for tally in &partitions.tallies {
        if tally.watermark() != clock.watermark {
            let of = |watermark: Option<Micros>| watermark.map(record::time::display);
            return Err(format!(
                "watermark {:?}, expected {:?}",
                of(tally.watermark()),
                of(clock.watermark)
            ));
        }
    }
    let Some(furthest) = clock.furthest else {
        return Ok(());
    };
    let until = furthest + AHEAD_MAX;
    let mut told = partitions.fold.recount();
    // Passed, or open and perhaps to fire early; of windows further ahead each partition tells what
    // it likes.
    let due_window = |key: &WindowKey| {
        let topic = &rules.topics[&key.0];
        let opens = if topic.kind.fires_early() { topic.pane } else { 0 };
        clock.watermark.is_some_and(|watermark| key.2 <= pane_start(watermark, topic.pane) + opens)
    };
    let mut expected = naive::recount(&records);
    told.windows.retain(|key, _| due_window(key));
    expected.windows.retain(|key, _| due_window(key));
    // What lies ahead is reported when its time comes.
    expected.cells.retain(|(_, _, pane), _| *pane <= until);
    expected.newest.retain(|(_, _, pane), _| *pane <= until);
    expected.samples.retain(|(_, _, pane), _| *pane <= until);
    expected.tags.retain(|(_, _, pane), _| *pane <= until);
    expected.totals.retain(|(_, pane, _), _| *pane <= until);
    let due = |clock: &Clock| clock.watermark.map(|watermark| watermark.div_euclid(TOTALS_EVERY));
    if due(before) == due(&clock) {
        told.totals.clear();
        expected.totals.clear();
    }
    equal(&told, &expected)?;
    let from =
        before.watermark.map_or(furthest - 60 * HOUR, |watermark| watermark - rules.newest.horizon);
    covers_what_is_covered(&rules, &clock, partitions, from, until)
}

/// Coverage of every whole feed in the panes that begin in `[from, until)`.
fn covers_what_is_covered(
    rules: &Rules,
    clock: &Clock,
    partitions: &Partitions,
    from: Micros,
    until: Micros,
) -> Result<(), String> {
    let coverage = partitions.fold.coverage();
    for feed in rules.newest.feeds.iter().filter(|feed| feed.whole) {
        let mut pane = pane_start(from, HOUR);
        while pane < until {
            let told = coverage.get(&(feed.name.clone(), pane)).copied().unwrap_or(0);
            let covered = clock.covered(&feed.name, pane, pane + HOUR);
            if told != covered {
                let pane = record::time::display(pane);
                return Err(format!(
                    "coverage of {} at {pane}: told {}s, expected {}s",
                    feed.name,
                    told / SECOND,
                    covered / SECOND
                ));
            }
            pane += HOUR;
        }
    }
    Ok(())
}

fn tells_live_what_holds(items: &[Item], mut rng: Rng) -> Result<(), String> {
    let mut partitions = Partitions::new(rng.pick(&[1, 2, 3, 7]));
    let ticks = items.iter().filter(|item| matches!(item.record, Record::Tick(_))).count() as u64;
    let checks = [rng.below(ticks), rng.below(ticks), rng.below(ticks), ticks.saturating_sub(1)];
    let mut tick = 0;
    let rules = Rules::of(&records(items));
    let mut steps = Steps::default();
    for (nth, item) in items.iter().enumerate() {
        let before = partitions.tallies[0].watermark();
        partitions.apply(item)?;
        steps.check(item, &partitions.fold, before, &rules)?;
        if matches!(item.record, Record::Tick(_)) {
            if checks.contains(&tick) {
                let before = Clock::of(&records(&items[..nth]));
                tells_what_holds(&items[..=nth], &partitions, &before)
                    .map_err(|why| format!("at {item}\n{why}"))?;
            }
            tick += 1;
        }
    }
    partitions.apply(&Item::everywhere(Record::End))?;
    if partitions.after_final() > 0 {
        return Err("a record came after final; the stream should not have one".to_owned());
    }
    let records = records(items);
    let ends = || partitions.tallies.iter().filter_map(Tally::watermark);
    if let (Some(first), Some(last)) = (ends().min(), ends().max()) {
        covers_what_is_covered(
            &rules,
            &Clock::of(&records),
            &partitions,
            first - rules.newest.horizon,
            last,
        )?;
    }
    holds_at_the_end(&naive::recount(&records), &rules, &partitions)
}

/// Where posts only came since the last frame, each is a step of every open window that it is in.
#[derive(Default)]
struct Steps {
    ids: BTreeSet<PostId>,
    only_new: bool,
}

impl Steps {
    fn check(
        &mut self,
        item: &Item,
        fold: &Fold,
        before: Option<Micros>,
        rules: &Rules,
    ) -> Result<(), String> {
        match &item.record {
            Record::Post(post) => {
                self.only_new &= post.op == Op::Create && self.ids.insert(post.id)
            }
            Record::Tick(_) => {
                for window in fold.grown.iter().filter(|_| self.only_new) {
                    let Some(topic) = rules.topics.get(&window.topic) else { continue };
                    let is_open = before.is_some_and(|before| {
                        pane_start(before, topic.pane) + topic.pane == window.end
                    });
                    let due = if topic.kind.fires_early() && is_open {
                        window.by
                    } else {
                        window.steps as i64
                    };
                    if due != window.steps as i64 || (!topic.kind.fires_early() && window.steps > 0)
                    {
                        return Err(format!("an open window has grown by {due} posts: {window:?}"));
                    }
                }
                self.only_new = true;
            }
            _ => {}
        }
        Ok(())
    }
}

#[test]
fn live_frames_tell_at_every_tick_what_holds_by_then_and_at_the_end_what_the_recount_finds() {
    each_stream(
        3000,
        |mut rng| {
            let posts = rng.pick(&[20, 60, 200]);
            World::new(rng).live(posts, true)
        },
        tells_live_what_holds,
    );
}

/// A store of snapshots, as a driver keeps one.
#[derive(Default)]
struct Store {
    chunks: BTreeMap<ChunkName, Vec<u8>>,
}

impl Store {
    fn restart(&mut self, tally: &mut Tally) -> Result<Tally, String> {
        let snapshot = tally.snapshot();
        for (name, bytes) in snapshot.fresh {
            if self.chunks.insert(name, bytes).is_some() {
                return Err("a chunk was written again".to_owned());
            }
        }
        let manifest =
            Manifest::decode(&snapshot.manifest.encode()).map_err(|why| why.to_string())?;
        let bytes: Option<Vec<Vec<u8>>> =
            manifest.chunks.iter().map(|name| self.chunks.get(name).cloned()).collect();
        let restored = Tally::restore(&manifest, &bytes.ok_or("a chunk was never written")?)
            .map_err(|why| why.to_string())?;
        if restored.next() != tally.next() || manifest.next != [tally.next()] {
            return Err("a snapshot of another position".to_owned());
        }
        // Chunks that the last two manifests don't name are gone.
        self.chunks.retain(|name, _| manifest.chunks.contains(name));
        Ok(restored)
    }
}

fn goes_on_after_a_restart_as_if_nothing_had_been(
    items: &[Item],
    mut rng: Rng,
) -> Result<(), String> {
    let mut log = items.to_vec();
    if !items.iter().any(|item| matches!(item.record, Record::Tick(_))) {
        log.extend(closing(items, 9 * HOUR));
    } else {
        log.push(Item::everywhere(Record::End));
    }
    let log: Vec<(Position, &Record)> =
        (0..).map(|nth| nth * 3).zip(log.iter().map(|item| &item.record)).collect();
    let percent = rng.pick(&[2, 10, 50]);
    let mut store = Store::default();
    let mut straight = Tally::new(0);
    let mut restarted = Tally::new(0);
    for (nth, (position, record)) in log.iter().enumerate() {
        let (mut told, mut told_again) = (Vec::new(), Vec::new());
        straight.apply(*position, record, &mut told);
        restarted.apply(*position, record, &mut told_again);
        let bytes = |frames: &[Frame]| {
            frames.iter().map(|frame| Record::Frame(frame.clone()).encode()).collect::<Vec<_>>()
        };
        if bytes(&told) != bytes(&told_again) {
            return Err(format!("after a restart, at {position}\n{told:?}\n{told_again:?}"));
        }
        if rng.chance(percent) {
            restarted = store.restart(&mut restarted)?;
            // A driver may read on from an earlier position than the snapshot's.
            let back = rng.below(nth as u64 + 1) as usize;
            let mut again = Vec::new();
            for (position, record) in &log[nth - back..=nth] {
                restarted.apply(*position, record, &mut again);
            }
            if !again.is_empty() {
                return Err("records applied before have told something again".to_owned());
            }
        }
        if rng.chance(3) {
            // Taking a snapshot changes nothing, and one of a restored tally is as good.
            straight.snapshot();
            restarted = store.restart(&mut restarted)?;
            restarted = store.restart(&mut restarted)?;
        }
    }
    if straight.handled() != restarted.handled() {
        return Err(format!(
            "handled {:?}, and after restarts {:?}",
            straight.handled(),
            restarted.handled()
        ));
    }
    Ok(())
}

#[test]
fn a_tally_goes_on_after_a_restart_anywhere_as_if_nothing_had_been() {
    each_stream(
        1500,
        |mut rng| {
            let posts = rng.pick(&[20, 60, 150]);
            match rng.below(3) {
                0 => World::new(rng).plain(posts),
                1 => World::new(rng).live(posts, true),
                _ => World::new(rng).live(posts, false),
            }
        },
        goes_on_after_a_restart_as_if_nothing_had_been,
    );
}

/// What a frame says of a pane or a window that was final before it is what was stated already.
fn what_is_final_stays(items: &[Item], mut rng: Rng) -> Result<(), String> {
    let mut partitions = Partitions::new(rng.pick(&[1, 3]));
    let rules = Rules::of(&records(items));
    let horizon = rules.newest.horizon;
    for item in items {
        if !matches!(item.record, Record::Tick(_)) {
            partitions.apply(item)?;
            continue;
        }
        let was = partitions.fold.recount();
        let watermark = partitions.tallies[0].watermark();
        partitions.apply(item)?;
        let is = partitions.fold.recount();
        let Some(watermark) = watermark else { continue };
        let only_final = |mut recount: Recount| {
            let is_final = |key: &CellKey| key.2 + rules.topics[&key.0].pane + horizon <= watermark;
            recount.cells.retain(|key, _| is_final(key));
            recount.newest.clear();
            recount.samples.retain(|key, _| is_final(key));
            recount.windows.retain(|key, _| key.2 + horizon <= watermark);
            recount.tags.retain(|(_, _, pane), _| pane + HOUR + horizon <= watermark);
            recount.totals.retain(|(_, pane, _), _| pane + HOUR + horizon <= watermark);
            Recount { late: 0, ..recount }
        };
        equal(&only_final(is), &only_final(was)).map_err(|why| format!("at {item}\n{why}"))?;
    }
    Ok(())
}

#[test]
fn what_is_final_stays_however_late_records_come() {
    each_stream(
        1500,
        |mut rng| {
            let posts = rng.pick(&[60, 150]);
            World::new(rng).live(posts, false)
        },
        what_is_final_stays,
    );
}

#[test]
fn a_sample_is_the_64_smallest_prints_also_when_sampled_posts_are_deleted() {
    each_stream(100, |rng| World::crowded(rng).plain(700), counts_as_the_recount_does);
    each_stream(100, |rng| World::crowded(rng).live(700, true), tells_live_what_holds);
}

/// By the operator's consent: what was deleted before it was read is as if it had never been, but
/// for being counted as lost.
fn goes_on_after_a_gap(items: &[Item], mut rng: Rng) -> Result<(), String> {
    let records: Vec<Record> = records(items).into_iter().chain([Record::End]).collect();
    // The reader receives settings, too; the random streams have theirs at the head.
    let first =
        records.iter().position(|record| !matches!(record, Record::Settings(_))).unwrap_or(0);
    let mut cut =
        [rng.below(records.len() as u64) as usize, rng.below(records.len() as u64) as usize]
            .map(|at| at.clamp(first, records.len() - 1));
    cut.sort_unstable();
    let (from, to) = (cut[0], cut[1]);
    let (mut whole, mut gap) = (Vec::new(), Vec::new());
    let (mut without, mut skipping) = (Tally::new(0), Tally::new(0));
    for (position, record) in (0..).zip(&records) {
        if !(from..to).contains(&(position as usize)) {
            without.apply(position, record, &mut whole);
        }
        if position as usize == to {
            skipping.skip(position, without.newest_settings().cloned());
        }
        if !(from..to).contains(&(position as usize)) {
            skipping.apply(position, record, &mut gap);
        }
    }
    let lost = skipping.handled().lost;
    if lost != (to - from) as u64 {
        return Err(format!("{lost} records lost of {}", to - from));
    }
    whole.iter_mut().chain(&mut gap).for_each(|frame| frame.handled.lost = 0);
    if whole == gap {
        Ok(())
    } else {
        Err(format!("frames differ after a gap of records {from} to {to}"))
    }
}

#[test]
fn what_was_deleted_before_it_was_read_is_as_if_it_had_never_been_and_is_counted() {
    each_stream(
        2000,
        |mut rng| {
            let records = rng.pick(&[30, 120]);
            World::new(rng).live(records, true)
        },
        goes_on_after_a_gap,
    );
}
