//! Ledger: all sums of counts, the settings they were counted by, and what was taken out of them.
//!
//! Takes in the values of frames and is read by the judges and by `emit`. *Open* has the latest
//! values of each partition where they differ from *aligned*, which has those that all partitions
//! have passed. Knows no watermark and decides nothing.

mod past;

use std::collections::BTreeMap;

use record::time::{DAY, HOUR, pane_start};
use record::{Exclusion, Lift, Micros};
use serde::{Deserialize, Serialize};

use super::batch::{Batch, Values};
use super::chart::Chart;
use super::denominators::Denominators;
use super::fold::{Parts, Total, lay, settle};
use super::series::{Reported, Series, SeriesKey};
use super::settings::SettingsHistory;
use super::{HISTORY, REACH};

/// Denominators are held for the longest window and the horizon, generously.
const TOTALS_SPAN: Micros = 10 * DAY;

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Ledger {
    #[serde(skip)]
    pub(super) settings: SettingsHistory,
    #[serde(skip)]
    pub(super) series: BTreeMap<SeriesKey, Series>,
    #[serde(skip)]
    pub(super) open: Shared,
    #[serde(skip)]
    pub(super) aligned: Shared,
    #[serde(skip)]
    pub(super) denominators: Denominators,
    pub(super) first_coverage: Option<Micros>,
    exclusions: Vec<Excluded>,
}

/// Sums that belong to no topic.
#[derive(Debug, Clone, Default)]
pub(super) struct Shared {
    /// (region, pane length) → pane start → posts.
    pub(super) totals: BTreeMap<(String, Micros), BTreeMap<Micros, Parts<Total>>>,
    /// (pane start) → (key, region) → posts.
    pub(super) tags: BTreeMap<Micros, BTreeMap<(String, String), Parts<u32>>>,
    /// Pane start → feed → covered.
    pub(super) coverage: BTreeMap<Micros, BTreeMap<String, Parts<Micros>>>,
}

/// A span that is excluded from baselines, and the pane end from which it is in them again.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Excluded {
    what: Exclusion,
    lifted_from: Option<Micros>,
}

/// Past windows that windows ending at `end` are compared with: their ends, and whether each was
/// observed.
#[derive(Debug, Clone, Default)]
pub(super) struct PastEnds {
    pub(super) end: Micros,
    /// How much further back they are than they would be: see [`Ruler`](super::ruler::Ruler).
    pub(super) held: Micros,
    pub(super) shortest: Micros,
    pub(super) longest: Micros,
    pub(super) before_guardband: Vec<(Micros, bool)>,
    pub(super) of_shortest: Vec<(Micros, bool)>,
    pub(super) of_longest: Vec<(Micros, bool)>,
    /// For the default detector: also windows as long as the guardband don't reach into what is
    /// judged.
    pub(super) baseline_shortest: Vec<(Micros, bool)>,
    pub(super) baseline_longest: Vec<(Micros, bool)>,
    /// For the weekly look; none where no day ends.
    pub(super) weeks: Vec<(Micros, bool)>,
}

impl PastEnds {
    /// Ends of windows of the one or the other length, up to the judged window.
    pub(super) fn of_length(&self, length: Micros) -> &[(Micros, bool)] {
        if length == self.shortest { &self.of_shortest } else { &self.of_longest }
    }
}

impl Ledger {
    /// Number of cells: panes of series.
    pub(super) fn cells(&self) -> usize {
        self.series
            .values()
            .map(|series| series.aligned.panes.len() + series.open.panes.len())
            .sum()
    }

    /// The series of a topic.
    pub(super) fn keys(&self, topic: &str) -> Vec<SeriesKey> {
        self.of_topic(topic).map(|(key, _)| key.clone()).collect()
    }

    pub(super) fn of_topic(&self, topic: &str) -> impl Iterator<Item = (&SeriesKey, &Series)> {
        let span = (topic.to_owned(), String::new())..(format!("{topic}\0"), String::new());
        self.series.range(span)
    }

    // ---- what people exclude ----

    pub(super) fn exclude(&mut self, what: &Exclusion) {
        let is_known = |known: &Excluded| known.what == *what && known.lifted_from.is_none();
        if !self.exclusions.iter().any(is_known) {
            self.exclusions.push(Excluded { what: what.clone(), lifted_from: None });
        }
    }

    pub(super) fn lift(&mut self, lift: &Lift) {
        self.exclusions
            .iter_mut()
            .filter(|known| known.what.alert == lift.alert && known.lifted_from.is_none())
            .for_each(|known| known.lifted_from = Some(lift.valid_from));
    }

    // ---- the two folds ----

    /// Takes values into the open fold.
    pub(super) fn lay(&mut self, partition: u32, values: &Values) {
        let Ledger { open, aligned, .. } = self;
        for ((region, length, start), total) in &values.totals {
            let of_region = (region.clone(), *length);
            let below = aligned.totals.get(&of_region);
            lay(below, open.totals.entry(of_region).or_default(), start, partition, *total);
        }
        for ((start, key, region), posts) in &values.tags {
            lay(
                aligned.tags.get(start),
                open.tags.entry(*start).or_default(),
                &(key.clone(), region.clone()),
                partition,
                *posts,
            );
        }
        for ((start, feed), covered) in &values.coverage {
            lay(
                aligned.coverage.get(start),
                open.coverage.entry(*start).or_default(),
                feed,
                partition,
                *covered,
            );
        }
        for (key, series) in &values.series {
            self.series.entry(key.clone()).or_default().lay(partition, series);
        }
    }

    /// Takes a partition's batch into the aligned fold; `is_latest` where the partition has sent
    /// nothing later, `has_open` where there is an open fold.
    pub(super) fn settle(&mut self, index: usize, batch: Batch, is_latest: bool, has_open: bool) {
        let Batch { first_covered, values, .. } = batch;
        let partition = index as u32;
        self.first_coverage = self.first_coverage.into_iter().chain(first_covered).min();
        let Ledger { open, aligned, .. } = self;
        for ((region, length, start), total) in values.totals {
            let of_region = (region, length);
            let over = above(&mut open.totals, &of_region, has_open, is_latest);
            let below = aligned.totals.entry(of_region).or_default();
            settle(below, over, &start, partition, total, is_latest);
        }
        for ((start, key, region), posts) in values.tags {
            let over = above(&mut open.tags, &start, has_open, is_latest);
            let below = aligned.tags.entry(start).or_default();
            settle(below, over, &(key, region), partition, posts, is_latest);
        }
        for ((start, feed), covered) in values.coverage {
            let over = above(&mut open.coverage, &start, has_open, is_latest);
            let below = aligned.coverage.entry(start).or_default();
            settle(below, over, &feed, partition, covered, is_latest);
        }
        open.totals.retain(|_, panes| !panes.is_empty());
        open.tags.retain(|_, tags| !tags.is_empty());
        open.coverage.retain(|_, feeds| !feeds.is_empty());
        for (key, series) in values.series {
            self.series.entry(key).or_default().settle(partition, series, is_latest, has_open);
        }
    }

    /// The last pane that was counted in.
    pub(super) fn last_start(&self) -> Option<Micros> {
        let cells = self.series.values().filter_map(|series| series.aligned.panes.last_key_value());
        let totals = self.aligned.totals.values().filter_map(|panes| panes.last_key_value());
        cells.map(|(start, _)| *start).chain(totals.map(|(start, _)| *start)).max()
    }

    /// The first pane that was counted in from the given one of its length on.
    pub(super) fn first_start(&self, from: impl Fn(Micros) -> Option<Micros>) -> Option<Micros> {
        let panes: BTreeMap<&str, Micros> = self
            .settings
            .all_topics()
            .filter_map(|topic| Some((topic.id.as_str(), from(topic.pane)?)))
            .collect();
        let hour = from(HOUR).unwrap_or(Micros::MIN);
        let cells = self.series.iter().filter_map(|((topic, _), series)| {
            let from = *panes.get(topic.as_str())?;
            series.aligned.panes.range(from..).next().map(|(start, _)| *start)
        });
        let shared = &self.aligned;
        let totals = shared
            .totals
            .values()
            .filter_map(|panes| panes.range(hour..).next())
            .map(|(start, _)| *start);
        let tags = shared.tags.range(hour..).next().map(|(start, _)| *start);
        cells.chain(totals).chain(tags).min()
    }

    /// Notes which series of a topic had a post when the pane that begins at `start` was final.
    pub(super) fn begin_for_good(&mut self, topic: &str, start: Micros) {
        for key in self.keys(topic) {
            let Some(series) = self.series.get_mut(&key) else { continue };
            if series.began_for_good.is_none() && series.aligned.pane(start).posts > 0 {
                series.began_for_good = Some(start);
            }
        }
    }

    // ---- what windows were found to be ----

    /// Notes what was reported of a window, with the chart after it if it is final, and drops the
    /// bounds of windows up to it.
    pub(super) fn set_reported(
        &mut self,
        key: &SeriesKey,
        end: Micros,
        reported: Reported,
        chart: Option<Chart>,
    ) {
        if let Some(series) = self.series.get_mut(key) {
            if let Some(chart) = chart {
                series.chart = chart;
                if reported.raised {
                    series.ruler.add(end);
                }
            }
            series.reported.insert(end, reported);
            series.bounds = series.bounds.split_off(&(end + 1));
        }
    }

    // ---- time passes ----

    /// Forgets sums that no window needs that is still judged, when panes of an hour before `end`
    /// are final.
    pub(super) fn forget(&mut self, end: Micros) {
        for shared in [&mut self.aligned, &mut self.open] {
            for panes in shared.totals.values_mut() {
                while panes.first_key_value().is_some_and(|(start, _)| *start < end - TOTALS_SPAN) {
                    panes.pop_first();
                }
            }
            shared.totals.retain(|_, panes| !panes.is_empty());
            while shared
                .coverage
                .first_key_value()
                .is_some_and(|(start, _)| *start + HOUR <= end - REACH)
            {
                shared.coverage.pop_first();
            }
        }
        self.denominators.forget(end - REACH);
        let longest = self.settings.longest_window();
        for series in self.series.values_mut() {
            series.forget(end, longest);
        }
        if end == pane_start(end, DAY) {
            self.forget_series(end);
        }
        self.exclusions.retain(|excluded| excluded.what.to > end - REACH);
        if self.settings.forget(end - REACH) {
            let settings = &self.settings;
            self.series.retain(|(topic, _), _| settings.topic(topic).is_some());
        }
    }

    /// Forgets series without a post for as long as baselines reach: one that comes back begins
    /// again.
    pub(super) fn forget_series(&mut self, end: Micros) {
        self.series.retain(|_, series| {
            !series.is_empty() || series.latest.is_some_and(|latest| latest > end - HISTORY)
        });
    }

    /// Steps over an empty stretch of time up to `to`; `ends` are the first pane ends after it, by
    /// pane length.
    pub(super) fn skip_to(&mut self, to: Micros, ends: &BTreeMap<Micros, Micros>) {
        let longest = self.settings.longest_window();
        let panes: BTreeMap<String, Micros> =
            self.settings.all_topics().map(|topic| (topic.id.clone(), topic.pane)).collect();
        for ((topic, _), series) in &mut self.series {
            let end = panes.get(topic).and_then(|pane| ends.get(pane)).copied();
            series.skip_to(end.unwrap_or(to), to - longest);
        }
        self.denominators.forget(to - REACH);
    }
}

/// The open values of a group: of a latest frame only where there are some.
fn above<'a, K: Ord + Clone, V: Default>(
    open: &'a mut BTreeMap<K, V>,
    group: &K,
    has_open: bool,
    is_latest: bool,
) -> Option<&'a mut V> {
    match (has_open, is_latest) {
        (false, _) => None,
        (true, true) => open.get_mut(group),
        (true, false) => Some(open.entry(group.clone()).or_default()),
    }
}
