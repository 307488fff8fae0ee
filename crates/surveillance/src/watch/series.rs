//! One series: the cells and windows of a topic in a region, as all partitions have passed them and
//! as the latest frames have them.

use std::collections::BTreeMap;

use record::Micros;
use record::time::{DAY, MINUTE, WEEK};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::batch::SeriesValues;
use super::chart::Chart;
use super::fold::{Pane, Parts, SeriesFold, Window, lay, overlaid, settle};
use super::ruler::Ruler;
use super::{HISTORY, REACH};

/// (topic, region)
pub(super) type SeriesKey = (String, String);

/// Which of the two folds is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Open,
    Aligned,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Series {
    /// Its panes are stored in chunks of their own.
    #[serde(serialize_with = "put_windows", deserialize_with = "take_windows")]
    pub(super) aligned: SeriesFold,
    /// What the latest frames have and `aligned` hasn't yet, laid over it.
    pub(super) open: SeriesFold,
    #[serde(skip)]
    pub(super) history: History,
    /// The first pane that had a post, and the first that had one when it was final: a post may be
    /// deleted.
    pub(super) began: Option<Micros>,
    pub(super) began_for_good: Option<Micros>,
    /// The last pane that had a post.
    pub(super) latest: Option<Micros>,
    /// Window end → what was last reported of it, until it is final.
    pub(super) reported: BTreeMap<Micros, Reported>,
    pub(super) chart: Chart,
    pub(super) ruler: Ruler,
    /// Open window's end → its bound.
    pub(super) bounds: BTreeMap<Micros, Bound>,
}

/// The numbers of the last verdict on a window.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Reported {
    pub(super) length: Micros,
    pub(super) observed: u32,
    pub(super) population: u64,
    pub(super) expected: f64,
    /// Whether it was in alarm, and above the floors of alerts.
    pub(super) raised: bool,
    pub(super) revision: u32,
}

/// The bound of an open window, fixed when it is first needed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct Bound {
    pub(super) length: Micros,
    pub(super) expected: f64,
    /// None where there is no answer.
    pub(super) upperbound: Option<f64>,
    pub(super) fired: bool,
}

impl Series {
    /// Takes in the values of a partition while others have yet to pass the same instant.
    pub(super) fn lay(&mut self, partition: u32, values: &SeriesValues) {
        let Series { aligned, open, .. } = self;
        for (start, value) in &values.panes {
            let known = open
                .panes
                .get(start)
                .or_else(|| aligned.panes.get(start))
                .and_then(|parts| parts.get(partition));
            let pane = value.clone().over(known);
            lay(Some(&aligned.panes), &mut open.panes, start, partition, pane);
        }
        for (name, window) in &values.windows {
            lay(Some(&aligned.windows), &mut open.windows, name, partition, *window);
        }
    }

    /// Takes in the values of a partition up to an instant; see [`settle`].
    pub(super) fn settle(
        &mut self,
        partition: u32,
        values: SeriesValues,
        is_latest: bool,
        has_open: bool,
    ) {
        let Series { aligned, open, .. } = self;
        self.latest = self.latest.max(values.latest);
        for (start, value) in values.panes {
            let known = aligned.panes.get(&start).and_then(|parts| parts.get(partition));
            let pane = value.over(known);
            settle(
                &mut aligned.panes,
                has_open.then_some(&mut open.panes),
                &start,
                partition,
                pane,
                is_latest,
            );
        }
        for (name, window) in values.windows {
            settle(
                &mut aligned.windows,
                has_open.then_some(&mut open.windows),
                &name,
                partition,
                window,
                is_latest,
            );
        }
        self.began = self.began.into_iter().chain(values.began).min();
    }

    /// The panes that begin in `[from, to)`.
    pub(super) fn panes(
        &self,
        side: Side,
        from: Micros,
        to: Micros,
    ) -> impl Iterator<Item = (Micros, &Parts<Pane>)> {
        let span = from..to.max(from);
        let over = (side == Side::Open).then(|| self.open.panes.range(span.clone()));
        overlaid(self.aligned.panes.range(span), over.into_iter().flatten())
    }

    pub(super) fn pane(&self, side: Side, start: Micros) -> Option<Pane> {
        let over = self.open.panes.get(&start).filter(|_| side == Side::Open);
        over.or_else(|| self.aligned.panes.get(&start)).map(Parts::<Pane>::total)
    }

    pub(super) fn window(&self, side: Side, length: Micros, end: Micros) -> Option<&Parts<Window>> {
        let over = self.open.windows.get(&(length, end)).filter(|_| side == Side::Open);
        over.or_else(|| self.aligned.windows.get(&(length, end)))
    }

    /// Distinct authors of a window, final or not.
    pub(super) fn authors(&self, side: Side, length: Micros, end: Micros) -> u32 {
        let counted = self.window(side, length, end).map(|parts| parts.total().authors);
        counted.or_else(|| self.history.get(length, end)).unwrap_or(0)
    }

    /// Posts in the panes that begin in `[from, to)`, of all partitions or of all but one.
    pub(super) fn posts(&self, side: Side, from: Micros, to: Micros, without: Option<u32>) -> u32 {
        let panes = self.panes(side, from, to).flat_map(|(_, parts)| parts.iter());
        panes.filter(|(partition, _)| Some(*partition) != without).map(|(_, pane)| pane.posts).sum()
    }

    /// Makes the pane from `start` to `end` final, and the windows that end with it: they become
    /// history, and `emit` gets each.
    pub(super) fn finish(
        &mut self,
        start: Micros,
        end: Micros,
        windows: &[Micros],
        longest: Micros,
        mut emit: impl FnMut(Micros, Window),
    ) {
        self.reported.remove(&end);
        for &length in windows {
            let window = self.aligned.window(length, end).unwrap_or_default();
            if window.authors > 0 {
                self.history.put(length, end, window.authors);
            }
            emit(length, window);
            self.history.forget(length, end - HISTORY);
            for fold in [&mut self.aligned, &mut self.open] {
                fold.windows.remove(&(length, end));
            }
        }
        // Both folds have the same values of it by now.
        self.open.panes.remove(&start);
        let pane = self.aligned.panes.get(&start);
        if pane.is_some_and(|parts| parts.values().any(|pane| !pane.sample.is_empty())) {
            self.aligned.thin_samples(end);
        }
        // Whole panes are needed as long as a window that holds them is judged.
        self.forget_panes(end - longest);
    }

    /// Whether it has had no post for so long that nothing is left of it.
    pub(super) fn is_empty(&self) -> bool {
        let folds = [&self.aligned, &self.open];
        self.history.is_empty()
            && self.reported.is_empty()
            && folds.iter().all(|fold| fold.panes.is_empty() && fold.windows.is_empty())
    }

    /// Forgets what no window needs that is still judged, whatever topics are, when panes of an
    /// hour before `end` are final.
    pub(super) fn forget(&mut self, end: Micros, longest: Micros) {
        for fold in [&mut self.aligned, &mut self.open] {
            let mut next = fold.windows.first_key_value().map(|(name, _)| *name);
            while let Some((length, first)) = next {
                if first < end {
                    fold.windows.remove(&(length, first));
                    next = fold.windows.range((length, first)..).next().map(|(name, _)| *name);
                } else {
                    next = fold
                        .windows
                        .range((length + 1, Micros::MIN)..)
                        .next()
                        .map(|(name, _)| *name);
                }
            }
        }
        self.forget_panes(end - longest);
        self.history.forget_all(end - HISTORY);
        self.reported = self.reported.split_off(&end);
        self.bounds = self.bounds.split_off(&end);
    }

    pub(super) fn forget_panes(&mut self, before: Micros) {
        for fold in [&mut self.aligned, &mut self.open] {
            while fold.panes.first_key_value().is_some_and(|(start, _)| *start < before) {
                fold.panes.pop_first();
            }
        }
    }

    /// Steps over the windows that end before `end`, whose panes all begin before `oldest` or hold
    /// nothing.
    pub(super) fn skip_to(&mut self, end: Micros, oldest: Micros) {
        for fold in [&mut self.aligned, &mut self.open] {
            fold.windows.retain(|(_, window_end), _| *window_end >= end);
            fold.panes = fold.panes.split_off(&oldest);
        }
        self.reported = self.reported.split_off(&end);
        self.bounds = self.bounds.split_off(&end);
    }
}

fn put_windows<S: Serializer>(fold: &SeriesFold, to: S) -> Result<S::Ok, S::Error> {
    fold.windows.serialize(to)
}

fn take_windows<'de, D: Deserializer<'de>>(from: D) -> Result<SeriesFold, D::Error> {
    Ok(SeriesFold { windows: Deserialize::deserialize(from)?, ..SeriesFold::default() })
}

/// Final window values as baselines: those that aren't zero, by the minute at which they end.
#[derive(Debug, Clone, Default)]
pub(super) struct History(BTreeMap<Micros, BTreeMap<i32, u32>>);

const MINUTES_OF_DAY: i32 = (DAY / MINUTE) as i32;

fn minute(instant: Micros) -> i32 {
    i32::try_from(instant.div_euclid(MINUTE)).unwrap_or(i32::MAX)
}

impl History {
    pub(super) fn get(&self, length: Micros, end: Micros) -> Option<u32> {
        self.0.get(&length)?.get(&minute(end)).copied()
    }

    pub(super) fn put(&mut self, length: Micros, end: Micros, authors: u32) {
        self.0.entry(length).or_default().insert(minute(end), authors);
    }

    /// Forgets windows that end at or before `end`; weeks that end with a day are read for longer.
    pub(super) fn forget(&mut self, length: Micros, end: Micros) {
        let Some(ends) = self.0.get_mut(&length) else { return };
        let mut oldest = minute(end);
        if length == WEEK {
            let recent: Vec<i32> =
                ends.range(minute(end - 2 * DAY)..=oldest).map(|(at, _)| *at).collect();
            recent.iter().filter(|at| at.rem_euclid(MINUTES_OF_DAY) != 0).for_each(|at| {
                ends.remove(at);
            });
            oldest = minute(end + HISTORY - REACH);
        }
        while ends.first_key_value().is_some_and(|(first, _)| *first <= oldest) {
            ends.pop_first();
        }
        if ends.is_empty() {
            self.0.remove(&length);
        }
    }

    /// The same of windows of every length.
    pub(super) fn forget_all(&mut self, end: Micros) {
        for length in self.0.keys().copied().collect::<Vec<_>>() {
            self.forget(length, end);
        }
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// (length, minute of the end, authors), by length.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Micros, i32, u32)> {
        self.0
            .iter()
            .flat_map(|(length, ends)| ends.iter().map(|(end, authors)| (*length, *end, *authors)))
    }

    pub(super) fn extend(&mut self, length: Micros, values: impl IntoIterator<Item = (i32, u32)>) {
        self.0.entry(length).or_default().extend(values);
    }
}
