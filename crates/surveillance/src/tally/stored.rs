//! Snapshot format of a tally: its parts and their order.
//!
//! What can grow long goes entry by entry, with what changes together side by side: authors by
//! pane, deletions by hour.

use std::collections::BTreeMap;

use record::Micros;

use super::distinct::Distinct;
use super::series::{Cell, Series, StepAt};
use super::{Head, Pane, Regions, Tally, remember_author};
use crate::snapshot::{Manifest, Reader, RestoreError, Snapshot, Writer};

const STAGE: &str = "tally";

/// Topic, by its place in the list of topics, and region.
type SeriesKey = (u32, u32);

/// What of a series is no cell and no author.
type Changes = (
    std::collections::BTreeSet<Pane>,
    Vec<Option<(Pane, Pane)>>,
    Vec<StepAt>,
    BTreeMap<(Pane, Pane), u32>,
);

impl Tally {
    /// The state, in chunks; those that haven't changed since the last snapshot are only named.
    pub fn snapshot(&mut self) -> Snapshot {
        let mut writer = Writer::new(&self.known_chunks);
        writer.put(&self.head);
        writer.put(&self.regions.names);
        self.gone.store(&mut writer);
        writer.put_map(&self.tags);
        let mut totals: Vec<_> = self.totals.iter().collect();
        totals.sort_by_key(|((region, pane_start, length), _)| (*pane_start, *region, *length));
        writer.put_map(totals);
        writer.put_map(self.changed.iter().map(|key| (key, ())));
        writer.put_map(self.changed_tags.iter().map(|key| (key, ())));
        writer.put_map(self.changed_totals.iter().map(|key| (key, ())));
        writer.put(&self.series.keys().collect::<Vec<_>>());
        let all = || {
            let topics = (0_u32..).zip(self.series.values());
            topics.flat_map(|(topic, regions)| {
                regions.iter().map(move |(region, series)| ((topic, *region), series))
            })
        };
        writer.put_map(all().map(|(key, series)| {
            (
                key,
                (
                    &series.changed_panes,
                    &series.changed_windows,
                    &series.steps,
                    &series.steps_beyond,
                ),
            )
        }));
        writer.put_map(all().flat_map(|(key, series)| {
            series.cells.iter().map(move |(pane, cell)| ((key, pane), cell))
        }));
        writer.put_map(all().flat_map(|(key, series)| {
            each_distinct(series).flat_map(move |(which, distinct)| {
                distinct
                    .posts_by_pane()
                    .map(move |(pane, author, posts)| ((key, which, pane, author), posts))
            })
        }));
        writer.put_map(all().flat_map(|(key, series)| {
            each_distinct(series).flat_map(move |(which, distinct)| {
                distinct.changes().map(move |(length, end, by)| ((key, which, length, end), by))
            })
        }));
        writer.put(&self.identities.blocks_mut().keys().copied().collect::<Vec<Micros>>());
        for block in self.identities.blocks_mut().values_mut() {
            block.store(&mut writer);
        }
        let snapshot = writer.finish(STAGE, self.head.partition, vec![self.head.next]);
        self.known_chunks = snapshot.manifest.chunks.iter().copied().collect();
        snapshot
    }

    /// `chunks` are the bytes of the manifest's chunks, in its order.
    pub fn restore(manifest: &Manifest, chunks: &[Vec<u8>]) -> Result<Tally, RestoreError> {
        let mut reader = Reader::new(STAGE, manifest, chunks)?;
        let head: Head = reader.take()?;
        let mut tally = Tally::new(head.partition);
        tally.head = head;
        tally.relearn();
        tally.regions = Regions::with_names(reader.take()?);
        tally.gone = super::Gone::restore(&mut reader)?;
        tally.tags = reader.take_map()?;
        tally.totals = reader.take_map()?;
        tally.changed = reader.take_map::<_, (), Keys<_>>()?.0.into_iter().collect();
        tally.changed_tags = reader.take_map::<_, (), Keys<_>>()?.0.into_iter().collect();
        tally.changed_totals = reader.take_map::<_, (), Keys<_>>()?.0;
        let topics: Vec<String> = reader.take()?;
        let mut all: BTreeMap<SeriesKey, Series> = BTreeMap::new();
        for (key, (changed_panes, changed_windows, steps, steps_beyond)) in
            reader.take_map::<SeriesKey, Changes, Vec<_>>()?
        {
            all.insert(
                key,
                Series { changed_panes, changed_windows, steps, steps_beyond, ..Series::default() },
            );
        }
        for ((key, pane), cell) in reader.take_map::<(SeriesKey, Pane), Cell, Vec<_>>()? {
            all.entry(key).or_default().cells.insert(pane, cell);
        }
        for ((key, which, pane, author), posts) in
            reader.take_map::<(SeriesKey, u8, Pane, u64), u32, Vec<_>>()?
        {
            distinct_mut(all.entry(key).or_default(), which).restore_posts(author, pane, posts);
        }
        for ((key, which, length, end), by) in
            reader.take_map::<(SeriesKey, u8, u32, Pane), i32, Vec<_>>()?
        {
            distinct_mut(all.entry(key).or_default(), which).restore_change(
                length as usize,
                end,
                by,
            );
        }
        for ((topic, region), series) in all {
            if let Some(topic) = topics.get(topic as usize) {
                tally.cells_held += series.cells.len() as u64;
                tally.series.entry(topic.clone()).or_default().insert(region, series);
            }
        }
        for hour in reader.take::<Vec<Micros>>()? {
            tally.identities.restore(hour, &mut reader)?;
        }
        tally.identities.restored();
        for (print, matched) in tally.identities.matched_between(Micros::MIN, Micros::MAX) {
            remember_author(&mut tally.by_author, &matched.post(), print);
        }
        tally.known_chunks = manifest.chunks.iter().copied().collect();
        Ok(tally)
    }
}

/// Keys without values, in their order.
struct Keys<K>(Vec<K>);

impl<K> FromIterator<(K, ())> for Keys<K> {
    fn from_iter<I: IntoIterator<Item = (K, ())>>(entries: I) -> Keys<K> {
        Keys(entries.into_iter().map(|(key, ())| key).collect())
    }
}

fn each_distinct(series: &Series) -> impl Iterator<Item = (u8, &Distinct)> {
    [(0, &series.authors), (1, &series.authors_self), (2, &series.authors_filtered)].into_iter()
}

fn distinct_mut(series: &mut Series, which: u8) -> &mut Distinct {
    match which {
        0 => &mut series.authors,
        1 => &mut series.authors_self,
        _ => &mut series.authors_filtered,
    }
}
