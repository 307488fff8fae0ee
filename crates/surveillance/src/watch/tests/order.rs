//! Partitions, the order in which they are read, restarts: none of them may be seen in what is
//! told.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::drive::{Store, run, unversioned};
use super::model::told as verdicts;
use super::season::{Recipe, season, tallies};
use super::*;
use crate::naive::streams::{Item, Rng, World, each_stream};

/// Small worlds in which everything collides, and seasons in which there is something to judge.
pub(super) fn log(mut rng: Rng) -> Vec<Item> {
    const SHORT: Recipe =
        Recipe { hours: 14, posts: 60, kinds: &[Kind::Disease, Kind::Narrative], ..Recipe::SMALL };
    let by_default = rng.chance(40);
    let mut log = if rng.chance(60) {
        let log = World::new(rng.clone()).live(rng.pick(&[20, 50]), true);
        with_weak_floors(log)
    } else {
        season(rng, &SHORT)
    };
    for item in &mut log {
        if let (Record::Settings(settings), true) = (&mut item.record, by_default) {
            settings.detect.method = "nb-predictive".to_owned();
        }
    }
    log
}

fn with_weak_floors(mut log: Vec<Item>) -> Vec<Item> {
    for item in &mut log {
        if let Record::Settings(settings) = &mut item.record {
            settings.detect.floors = Floors { accounts: 1, posts: 1, ratio: 1.0 };
            settings.detect.guardband = settings.horizon;
        }
    }
    log
}

/// Reads partitions with any skew; nothing overtakes settings and exclusions that came before it.
pub(super) fn read_somehow(told: &[(Option<u32>, Record)], rng: &mut Rng) -> Vec<Record> {
    let mut queues: BTreeMap<Option<u32>, VecDeque<(usize, &Record)>> = BTreeMap::new();
    for (nth, (partition, record)) in told.iter().enumerate() {
        queues.entry(*partition).or_default().push_back((nth, record));
    }
    let mut read = Vec::new();
    let mut favourite = None;
    while read.len() < told.len() {
        let of_all =
            queues.get(&None).and_then(|queue| queue.front()).map_or(usize::MAX, |(nth, _)| *nth);
        let free: Vec<Option<u32>> = queues
            .iter()
            .filter(|(_, queue)| queue.front().is_some_and(|(nth, _)| *nth <= of_all))
            .map(|(partition, _)| *partition)
            .collect();
        if !free.contains(&favourite) || rng.chance(20) {
            favourite = rng.pick(&free);
        }
        read.extend(
            queues
                .get_mut(&favourite)
                .and_then(VecDeque::pop_front)
                .map(|(_, record)| record.clone()),
        );
    }
    read
}

/// Final counts and closed and final verdicts; of a batch the alerts too.
fn promised(out: &[Record], mode: Mode) -> (BTreeSet<Vec<u8>>, Vec<Record>) {
    let mut last = BTreeSet::new();
    for record in out {
        let is_last = match record {
            Record::Count(count) => count.last && count.posts + count.posts_filtered > 0,
            Record::TagCount(count) => count.last && count.posts > 0,
            Record::Total(total) => total.last && total.posts > 0,
            Record::WindowCount(count) => count.last,
            Record::PublicCount(_) => true,
            _ => false,
        };
        if is_last {
            let mut record = unversioned(record);
            if let Record::Count(count) = &mut record {
                // What has been deleted since may be seen in it.
                count.newest = 0;
            }
            last.insert(record.encode());
        }
    }
    last.extend(
        verdicts(out).into_values().map(|verdict| unversioned(&Record::Verdict(verdict)).encode()),
    );
    let alerts = out
        .iter()
        .filter(|record| mode == Mode::Batch && matches!(record, Record::Alert(_)))
        .map(unversioned)
        .collect();
    (last, alerts)
}

fn first_difference(left: &BTreeSet<Vec<u8>>, right: &BTreeSet<Vec<u8>>) -> String {
    let show = |bytes: Option<&Vec<u8>>| {
        bytes.map(|bytes| format!("{:?}", Record::decode(bytes))).unwrap_or_default()
    };
    format!(
        "only one said {}\nonly the other said {}",
        show(left.difference(right).next()),
        show(right.difference(left).next())
    )
}

fn partitions_cannot_be_seen(log: &[Item], mut rng: Rng) -> Result<(), String> {
    let mode = rng.pick(&[Mode::Batch, Mode::AsLive, Mode::Live]);
    let alone: Vec<Record> = tallies(log, 1).into_iter().map(|(_, record)| record).collect();
    let alone = promised(&run(mode, &alone).map_err(|why| why.to_string())?, mode);
    let partitions = rng.pick(&[2, 3, 7]);
    let told = tallies(log, partitions);
    for _ in 0..2 {
        let read = read_somehow(&told, &mut rng);
        let several = promised(&run(mode, &read).map_err(|why| why.to_string())?, mode);
        if alone.0 != several.0 {
            return Err(format!(
                "{mode:?}, {partitions} partitions\n{}",
                first_difference(&alone.0, &several.0)
            ));
        }
        if alone.1 != several.1 {
            return Err(format!(
                "{partitions} partitions\nalerts {:?}\nand {:?}",
                alone.1, several.1
            ));
        }
    }
    Ok(())
}

#[test]
fn neither_partitions_nor_the_order_of_reading_them_can_be_seen() {
    each_stream(2000, log, partitions_cannot_be_seen);
}

fn finals_of(log: &[Item], mode: Mode, partitions: u32) -> Result<BTreeSet<Vec<u8>>, String> {
    let records: Vec<Record> =
        tallies(log, partitions).into_iter().map(|(_, record)| record).collect();
    let told = verdicts(&run(mode, &records).map_err(|why| why.to_string())?);
    let finals = told.into_values().filter(|verdict| verdict.stage == Stage::Final);
    // How often a window was judged before is the only thing that may differ.
    Ok(finals
        .map(|verdict| unversioned(&Record::Verdict(Verdict { revision: 0, ..verdict })).encode())
        .collect())
}

fn what_is_final_is_what_a_batch_says(log: &[Item], mut rng: Rng) -> Result<(), String> {
    let (live, batch) = (
        finals_of(log, rng.pick(&[Mode::Live, Mode::AsLive]), rng.pick(&[1, 2, 3]))?,
        finals_of(log, Mode::Batch, 1)?,
    );
    if live == batch { Ok(()) } else { Err(first_difference(&live, &batch)) }
}

#[test]
fn final_verdicts_are_those_of_a_batch() {
    each_stream(2000, log, what_is_final_is_what_a_batch_says);
}

fn a_restart_cannot_be_seen(log: &[Item], mut rng: Rng) -> Result<(), String> {
    let mode = rng.pick(&[Mode::Live, Mode::Live, Mode::AsLive, Mode::Batch]);
    let told = tallies(log, rng.pick(&[1, 2, 3]));
    let records = read_somehow(&told, &mut rng);
    let mut store = Store::default();
    let (mut straight, mut restarted) = (Watch::new(mode), Watch::new(mode));
    let mut manifests = Vec::new();
    let mut all: Vec<Vec<Record>> = Vec::new();
    for (position, record) in (0..).zip(&records) {
        let (mut out, mut again) = (Vec::new(), Vec::new());
        straight.apply(position, record, &mut out).map_err(|why| why.to_string())?;
        restarted.apply(position, record, &mut again).map_err(|why| why.to_string())?;
        if out != again {
            return Err(format!("after a restart, at {position}\n{out:?}\n{again:?}"));
        }
        all.push(out);
        if rng.chance(10) {
            let manifest = store.put(&mut restarted);
            restarted = store.get(&manifest);
            if restarted.next() != position + 1 {
                return Err("a snapshot of another position".to_owned());
            }
            // A driver may read on from an earlier position than the snapshot's.
            let mut again = Vec::new();
            for (position, record) in (0..).zip(&records).take(position as usize + 1) {
                restarted.apply(position, record, &mut again).map_err(|why| why.to_string())?;
            }
            if !again.is_empty() {
                return Err("records applied before have told something again".to_owned());
            }
            manifests.push(manifest);
        }
    }
    // From any of the snapshots everything after it is said again, to the version.
    if let Some(manifest) = (!manifests.is_empty()).then(|| rng.pick(&manifests)) {
        let mut late = store.get(&manifest);
        for (position, record) in (0..).zip(&records).skip(late.next() as usize) {
            let mut out = Vec::new();
            late.apply(position, record, &mut out).map_err(|why| why.to_string())?;
            if out != all[position as usize] {
                return Err(format!(
                    "from an older snapshot, at {position}\n{out:?}\n{:?}",
                    all[position as usize]
                ));
            }
        }
    }
    repeated_frames_change_nothing(&records, mode, &all, &mut rng)?;
    a_missing_frame_is_noticed(&records, mode, &all, &mut rng)
}

/// A tally that restarts says its last frames again, at new positions; a driver may deliver
/// settings again too.
fn repeated_frames_change_nothing(
    records: &[Record],
    mode: Mode,
    all: &[Vec<Record>],
    rng: &mut Rng,
) -> Result<(), String> {
    let mut repeated: Vec<Record> = Vec::new();
    for (nth, record) in records.iter().enumerate() {
        repeated.push(record.clone());
        if rng.chance(10) {
            let from = rng.below(nth as u64 + 1) as usize;
            repeated.extend(records[from..=nth].iter().cloned());
        }
    }
    let out: Vec<Record> =
        run(mode, &repeated).map_err(|why| why.to_string())?.iter().map(unversioned).collect();
    let straight: Vec<Record> = all.iter().flatten().map(unversioned).collect();
    if out == straight {
        Ok(())
    } else {
        Err("frames that were delivered again have changed something".to_owned())
    }
}

fn a_missing_frame_is_noticed(
    records: &[Record],
    mode: Mode,
    all: &[Vec<Record>],
    rng: &mut Rng,
) -> Result<(), String> {
    let partition = |record: &Record| {
        if let Record::Frame(frame) = record { Some(frame.partition) } else { None }
    };
    let missing = rng.below(records.len() as u64) as usize;
    let Some(of) = partition(&records[missing]) else { return Ok(()) };
    let next = (missing + 1..records.len()).find(|nth| partition(&records[*nth]) == Some(of));
    let mut watch = Watch::new(mode);
    for (position, record) in (0..).zip(records).filter(|(position, _)| *position != missing as u64)
    {
        let mut out = Vec::new();
        let applied = watch.apply(position, record, &mut out);
        let due = next == Some(position as usize);
        match applied {
            Err(WatchError::Gap { .. }) if due => return Ok(()),
            Err(why) => return Err(format!("at {position}: {why}")),
            Ok(()) if due => return Err("a gap was not noticed".to_owned()),
            Ok(()) if position < missing as u64 && out != all[position as usize] => {
                return Err("told otherwise before a gap".to_owned());
            }
            Ok(()) => {}
        }
    }
    Ok(())
}

#[test]
fn a_restart_anywhere_repeated_frames_and_gaps_never_change_what_is_told() {
    each_stream(1000, log, a_restart_cannot_be_seen);
}
