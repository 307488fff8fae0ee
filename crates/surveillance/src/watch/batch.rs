//! Batch: the frames of one partition between two instants, merged.
//!
//! Waits in the schedule until the ledger takes it in. Values are absolute, so the latest of each
//! cell is enough, and a batch is bounded by cells, not by frames. Knows no other partition.

use std::collections::BTreeMap;

use record::{Frame, Micros, PaneChange, SeriesChange};
use serde::{Deserialize, Serialize};

use super::fold::{Pane, Sample, Total, Window};

/// Values of a partition, and how far it had come with them.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Batch {
    pub(super) watermark: Option<Micros>,
    /// The first hour that was reported as covered in part, if only for a while.
    pub(super) first_covered: Option<Micros>,
    /// Stored in chunks of its own.
    #[serde(skip)]
    pub(super) values: Values,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Values {
    /// (topic, region) → values.
    pub(super) series: BTreeMap<(String, String), SeriesValues>,
    /// (hour, key, region) → posts.
    pub(super) tags: BTreeMap<(Micros, String, String), u32>,
    /// (region, pane length, pane start) → posts.
    pub(super) totals: BTreeMap<(String, Micros, Micros), Total>,
    /// (hour, feed) → covered.
    pub(super) coverage: BTreeMap<(Micros, String), Micros>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct SeriesValues {
    pub(super) panes: BTreeMap<Micros, PaneValue>,
    /// (length, end) → value.
    pub(super) windows: BTreeMap<(Micros, Micros), Window>,
    /// The first pane that had a post, if only for a while: a post may be deleted.
    pub(super) began: Option<Micros>,
    /// The last one.
    pub(super) latest: Option<Micros>,
}

/// A cell's numbers, and its sample where it has changed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct PaneValue {
    pane: Pane,
    has_sample: bool,
}

impl Batch {
    pub(super) fn of(frame: &Frame) -> Batch {
        let mut values = Values::default();
        for change in &frame.series {
            let of_series = SeriesValues::of(change);
            match values.series.entry((change.topic.clone(), change.region.clone())) {
                std::collections::btree_map::Entry::Vacant(entry) => drop(entry.insert(of_series)),
                std::collections::btree_map::Entry::Occupied(mut entry) => {
                    entry.get_mut().absorb(of_series)
                }
            }
        }
        values.tags.extend(
            frame
                .tags
                .iter()
                .map(|tag| ((tag.pane_start, tag.key.clone(), tag.region.clone()), tag.posts)),
        );
        let totals = frame.totals.iter();
        values.totals.extend(totals.map(|total| {
            (
                (total.region.clone(), total.length, total.pane_start),
                Total { posts: total.posts, sampled: total.sampled },
            )
        }));
        values.coverage.extend(
            frame.coverage.iter().map(|row| ((row.pane_start, row.feed.clone()), row.covered)),
        );
        let first_covered = frame
            .coverage
            .iter()
            .filter(|coverage| coverage.covered > 0)
            .map(|coverage| coverage.pane_start)
            .min();
        Batch { watermark: frame.watermark, first_covered, values }
    }

    /// Takes in a later batch of the partition.
    pub(super) fn absorb(&mut self, later: Batch) {
        self.watermark = later.watermark;
        self.first_covered = self.first_covered.into_iter().chain(later.first_covered).min();
        for (key, values) in later.values.series {
            self.values.series.entry(key).or_default().absorb(values);
        }
        self.values.tags.extend(later.values.tags);
        self.values.totals.extend(later.values.totals);
        self.values.coverage.extend(later.values.coverage);
    }

    /// Beginnings of the panes of cells and denominators.
    pub(super) fn starts(&self) -> impl Iterator<Item = Micros> {
        let cells = self.values.series.values().flat_map(|series| series.panes.keys().copied());
        cells.chain(self.values.totals.keys().map(|(_, _, start)| *start))
    }

    /// How many values it holds.
    pub(super) fn len(&self) -> usize {
        let Values { series, tags, totals, coverage } = &self.values;
        let of_series: usize =
            series.values().map(|series| series.panes.len() + series.windows.len()).sum();
        of_series + tags.len() + totals.len() + coverage.len()
    }
}

impl SeriesValues {
    fn of(change: &SeriesChange) -> SeriesValues {
        let with_posts =
            || change.panes.iter().filter(|pane| pane.posts > 0).map(|pane| pane.start);
        SeriesValues {
            panes: change.panes.iter().map(|pane| (pane.start, PaneValue::of(pane))).collect(),
            windows: change
                .windows
                .iter()
                .map(|window| {
                    (
                        (window.length, window.end),
                        Window { authors: window.authors, authors_self: window.authors_self },
                    )
                })
                .collect(),
            began: with_posts().min(),
            latest: with_posts().max(),
        }
    }

    fn absorb(&mut self, later: SeriesValues) {
        for (start, value) in later.panes {
            let value = match self.panes.remove(&start) {
                Some(before) if !value.has_sample => PaneValue {
                    has_sample: before.has_sample,
                    pane: value.over(Some(&before.pane)),
                },
                _ => value,
            };
            self.panes.insert(start, value);
        }
        self.windows.extend(later.windows);
        self.began = self.began.into_iter().chain(later.began).min();
        self.latest = self.latest.max(later.latest);
    }
}

impl PaneValue {
    pub(super) fn of(change: &PaneChange) -> PaneValue {
        let pane = Pane {
            posts: change.posts,
            authors: change.authors,
            authors_self: change.authors_self,
            posts_news: change.posts_news,
            posts_filtered: change.posts_filtered,
            authors_filtered: change.authors_filtered,
            newest: change.newest,
            sample: change.sample.as_deref().map(Sample::of).unwrap_or_default(),
            pending: change.pending,
        };
        PaneValue { pane, has_sample: change.sample.is_some() }
    }

    /// The cell, with the sample that is known where this brings none.
    pub(super) fn over(self, known: Option<&Pane>) -> Pane {
        match known {
            Some(known) if !self.has_sample => Pane { sample: known.sample.clone(), ..self.pane },
            _ => self.pane,
        }
    }
}
