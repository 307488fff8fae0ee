//! Snapshot of watch, and restore: what grows is in maps that are cut into chunks, by time first,
//! so that what is past keeps its chunks.
//!
//! The form of chunks is in [`crate::snapshot`]. Stores nothing itself.

use std::collections::{BTreeMap, BTreeSet};

use record::{Micros, Position, Settings};

use super::batch::{Batch, SeriesValues};
use super::emit::Emitter;
use super::episodes::Episodes;
use super::fold::{Pane, Parts, Total};
use super::ledger::{Ledger, Shared};
use super::schedule::Schedule;
use super::series::Series;
use super::{Mode, STAGE, Watch};
use crate::snapshot::{Manifest, Reader, RestoreError, Snapshot, Writer};

/// In place of a waiting batch's number: the parts of a frame whose last has not come.
const PARTIAL: u32 = u32::MAX;

/// What of watch does not grow with its series, in the order in which it is written.
type Head = (Mode, Position, Schedule, Ledger, Episodes, u64, Emitter);

const MINUTES_OF_DAY: i32 = 24 * 60;

/// Values of batches, by the partition's number, that of the batch and what else names one.
type OfBatches<K, V> = Vec<((u32, u32, K), V)>;

/// A value of all partitions, and its name.
type Row<'a, K, V> = (K, &'a Parts<V>);

/// The authors of windows of one series and length that end on one day, by the minute of their end.
type DayOfHistory = ((i32, String, String, Micros), Vec<(i32, u32)>);

impl Watch {
    pub fn snapshot(&mut self) -> Snapshot {
        let mut writer = Writer::new(&self.known_chunks);
        let Watch { mode, next, schedule, ledger, episodes, skipped, emitter, .. } = &*self;
        writer.put(&(mode, next, schedule, ledger, episodes, skipped, emitter));
        writer.put(&ledger.settings.iter().collect::<Vec<_>>());
        writer.put_map(emitter.emitted_cells.iter().map(|name| (name, ())));
        writer.put_map(emitter.changed_cells.iter().map(|name| (name, ())));
        writer.put_map(emitter.changed_tags.iter().map(|name| (name, ())));
        writer.put_map(emitter.changed_totals.iter().map(|name| (name, ())));
        writer.put_map(emitter.changed_coverage.iter().map(|name| (name, ())));
        writer.put_map(&ledger.denominators.regions);
        put_shared(&ledger.aligned, &mut writer);
        put_shared(&ledger.open, &mut writer);
        let batches: Vec<(u32, u32, &Batch)> = batches(schedule).collect();
        writer.put_map(batches.iter().flat_map(|(of, nth, batch)| {
            batch.values.series.iter().map(|(key, value)| ((*of, *nth, key), value))
        }));
        writer.put_map(batches.iter().flat_map(|(of, nth, batch)| {
            batch.values.tags.iter().map(|(key, value)| ((*of, *nth, key), value))
        }));
        writer.put_map(batches.iter().flat_map(|(of, nth, batch)| {
            batch.values.totals.iter().map(|(key, value)| ((*of, *nth, key), value))
        }));
        writer.put_map(batches.iter().flat_map(|(of, nth, batch)| {
            batch.values.coverage.iter().map(|(key, value)| ((*of, *nth, key), value))
        }));
        self.put_series(&mut writer);
        let snapshot = writer.finish(STAGE, 0, vec![self.next]);
        self.known_chunks = snapshot.manifest.chunks.iter().copied().collect();
        snapshot
    }

    fn put_series(&self, writer: &mut Writer) {
        let mut panes: Vec<Row<(Micros, &str, &str), Pane>> = Vec::new();
        let mut history: Vec<DayOfHistory> = Vec::new();
        for ((topic, region), series) in &self.ledger.series {
            panes.extend(
                series
                    .aligned
                    .panes
                    .iter()
                    .map(|(start, parts)| ((*start, topic.as_str(), region.as_str()), parts)),
            );
            let mut of_day = None;
            for (length, end, authors) in series.history.iter() {
                let day = end.div_euclid(MINUTES_OF_DAY);
                if of_day.replace((length, day)) != Some((length, day)) {
                    history.push(((day, topic.clone(), region.clone(), length), Vec::new()));
                }
                if let Some((_, ends)) = history.last_mut() {
                    ends.push((end, authors));
                }
            }
        }
        history.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        writer.put_map(history);
        panes.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        writer.put_map(panes);
        writer.put_map(&self.ledger.series);
    }

    /// `chunks` are the bytes of the manifest's chunks, in its order.
    pub fn restore(manifest: &Manifest, chunks: &[Vec<u8>]) -> Result<Watch, RestoreError> {
        let mut reader = Reader::new(STAGE, manifest, chunks)?;
        let (mode, next, mut schedule, mut ledger, episodes, skipped, mut emitter): Head =
            reader.take()?;
        for settings in reader.take::<Vec<Settings>>()? {
            ledger
                .settings
                .add(&settings)
                .map_err(|why| RestoreError::Malformed { index: 1, why: why.to_string() })?;
        }
        emitter.emitted_cells = take_set(&mut reader)?;
        emitter.changed_cells = take_set(&mut reader)?;
        emitter.changed_tags = take_set(&mut reader)?;
        emitter.changed_totals = take_set(&mut reader)?;
        emitter.changed_coverage = take_set(&mut reader)?;
        ledger.denominators.regions = reader.take_map()?;
        ledger.aligned = take_shared(&mut reader)?;
        ledger.open = take_shared(&mut reader)?;
        let series: OfBatches<(String, String), SeriesValues> = reader.take_map()?;
        let tags: OfBatches<(Micros, String, String), u32> = reader.take_map()?;
        let totals: OfBatches<(String, Micros, Micros), Total> = reader.take_map()?;
        let coverage: OfBatches<(Micros, String), Micros> = reader.take_map()?;
        for ((of, nth, key), value) in series {
            batch(&mut schedule, of, nth)?.values.series.insert(key, value);
        }
        for ((of, nth, key), value) in tags {
            batch(&mut schedule, of, nth)?.values.tags.insert(key, value);
        }
        for ((of, nth, key), value) in totals {
            batch(&mut schedule, of, nth)?.values.totals.insert(key, value);
        }
        for ((of, nth, key), value) in coverage {
            batch(&mut schedule, of, nth)?.values.coverage.insert(key, value);
        }
        let history: Vec<DayOfHistory> = reader.take_map()?;
        let panes: Vec<((Micros, String, String), Parts<Pane>)> = reader.take_map()?;
        ledger.series = reader.take_map::<(String, String), Series, _>()?;
        for ((_, topic, region, length), ends) in history {
            let series = ledger.series.get_mut(&(topic, region)).ok_or_else(misplaced)?;
            series.history.extend(length, ends);
        }
        for ((start, topic, region), parts) in panes {
            let series = ledger.series.get_mut(&(topic, region)).ok_or_else(misplaced)?;
            series.aligned.panes.insert(start, parts);
        }
        let known_chunks = manifest.chunks.iter().copied().collect();
        let watch = Watch::new(mode);
        Ok(Watch { next, schedule, ledger, episodes, skipped, emitter, known_chunks, ..watch })
    }
}

fn misplaced() -> RestoreError {
    RestoreError::Malformed {
        index: 0,
        why: "a value of a series or partition that is not there".to_owned(),
    }
}

/// (partition, number, batch)
fn batches(schedule: &Schedule) -> impl Iterator<Item = (u32, u32, &Batch)> {
    (0..).zip(&schedule.partitions).flat_map(|(of, partition)| {
        let waiting = (0..).zip(&partition.pending).map(move |(nth, batch)| (of, nth, batch));
        waiting.chain([(of, PARTIAL, &partition.partial)])
    })
}

fn batch(schedule: &mut Schedule, of: u32, nth: u32) -> Result<&mut Batch, RestoreError> {
    let partition = schedule.partitions.get_mut(of as usize).ok_or_else(misplaced)?;
    if nth == PARTIAL {
        Ok(&mut partition.partial)
    } else {
        partition.pending.get_mut(nth as usize).ok_or_else(misplaced)
    }
}

fn take_set<K: serde::de::DeserializeOwned + Ord>(
    reader: &mut Reader,
) -> Result<BTreeSet<K>, RestoreError> {
    Ok(reader.take_map::<K, (), BTreeMap<K, ()>>()?.into_keys().collect())
}

fn put_shared(shared: &Shared, writer: &mut Writer) {
    let mut totals: Vec<Row<(Micros, Micros, &str), Total>> = Vec::new();
    for ((region, length), panes) in &shared.totals {
        totals
            .extend(panes.iter().map(|(start, parts)| ((*start, *length, region.as_str()), parts)));
    }
    totals.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    writer.put_map(totals);
    writer.put_map(
        shared
            .tags
            .iter()
            .flat_map(|(start, tags)| tags.iter().map(|(name, parts)| ((*start, name), parts))),
    );
    writer.put_map(&shared.coverage);
}

fn take_shared(reader: &mut Reader) -> Result<Shared, RestoreError> {
    let mut shared = Shared::default();
    for ((start, length, region), parts) in
        reader.take_map::<(Micros, Micros, String), Parts<Total>, Vec<_>>()?
    {
        shared.totals.entry((region, length)).or_default().insert(start, parts);
    }
    for ((start, name), parts) in
        reader.take_map::<(Micros, (String, String)), Parts<u32>, Vec<_>>()?
    {
        shared.tags.entry(start).or_default().insert(name, parts);
    }
    shared.coverage = reader.take_map()?;
    Ok(shared)
}
