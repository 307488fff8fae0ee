//! Watch: sums the frames of all partitions, closes windows, judges them and raises alerts.
//!
//! Between tally and everything that is read: `tallies` in; counts, verdicts and alerts out. Two
//! folds: *open* applies every
//! frame as it comes (for open counts and early firing); *aligned* holds a partition's frames back
//! beyond the next instant
//! until every partition has passed it, so that what is closed doesn't depend on the order in which
//! partitions were read.
//! Frames that wait are merged; open is held as what it says otherwise than aligned.
//! Here, where sums are first seen, cells under the floor of their topic's kind end. Knows no
//! posts, no clock, no store.

mod batch;
mod chart;
mod early;
mod episodes;
mod explain;
mod fold;
mod judging;
mod past;
mod predict;
mod series;
mod skipping;
mod stored;
mod telling;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use record::policy::{AHEAD_MAX, BASELINE_REACH as HISTORY};
use record::region::RegionTable;
use record::time::{DAY, HOUR, MINUTE, SECOND, pane_border, pane_start};
use record::{
    Coverage, Exclusion, Frame, Grounds, Handled, Micros, Position, Record, SeriesChange, Settings,
    Stage, TopicSetting, Version,
};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::detectors::{Judgement, Method, Reason};
use crate::snapshot::ChunkName;
use crate::tally::hours_told;
use batch::{Batch, Values};
use episodes::Episodes;
use fold::{Parts, Total as TotalParts, lay, settle};
pub(crate) use predict::predicted_again;
use predict::{Denominators, Known};
use series::Series;

const STAGE: &str = "watch";

/// Open cells are told when the highest `at` has advanced by this.
const OPEN_EVERY: Micros = 2 * SECOND;
/// A closed window is judged once more this much later, if its numbers have changed.
const AGAIN_AFTER: Micros = 6 * HOUR;

/// What watch says, and how often.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mode {
    /// As the log comes in: open counts, early firing, closed and final verdicts.
    Live,
    /// As live, without open counts: a replay that acts as if it were live.
    AsLive,
    /// Final panes and verdicts only.
    Batch,
    /// Final panes only: nothing is judged.
    Counts,
}

impl Mode {
    /// Whether open windows matter.
    fn follows_open(self) -> bool {
        matches!(self, Mode::Live | Mode::AsLive)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum WatchError {
    #[error(
        "frame {position} of partition {partition} follows frame {previous:?}, but {last:?} was \
            the last one seen: frames are missing"
    )]
    Gap { partition: u32, position: Position, previous: Option<Position>, last: Option<Position> },
    #[error(
        "part {part} of frame {position} of partition {partition} came where part {due} was due: \
            parts are missing"
    )]
    Part { partition: u32, position: Position, part: u32, due: u32 },
    #[error("frame of partition {partition}, but there are {partitions} partitions")]
    Partition { partition: u32, partitions: u32 },
    #[error("a frame came before any settings")]
    NoSettings,
    #[error("detector `{method}`: {why}")]
    Detector { method: String, why: String },
}

#[derive(Debug, Clone)]
pub struct Watch {
    head: Head,
    /// Oldest first; those that hold for a pane are the last that begin at or before it.
    rules: Vec<Arc<Rules>>,
    /// The regions of all of them.
    table: RegionTable,
    /// (topic, region) → series.
    series: BTreeMap<(String, String), Series>,
    /// What topics know at open window ends; follows from the rest.
    views: BTreeMap<(String, Micros), Arc<Known>>,
    known_chunks: BTreeSet<ChunkName>,
    /// Each frame waits by itself.
    #[cfg(test)]
    unmerged: bool,
}

/// Settings, and the detector that they name.
#[derive(Debug)]
struct Rules {
    settings: Settings,
    method: Method,
}

impl Rules {
    /// Whether the default detector judges, which looks at all of a topic's regions together.
    fn predicts(&self) -> bool {
        matches!(self.method, Method::Predictive(_))
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Head {
    mode: Mode,
    next: Position,
    partitions: Vec<Partition>,
    /// Next pane end to be closed, judged again and made final, for each pane length; none before
    /// the first watermark.
    cursors: BTreeMap<Micros, Cursors>,
    /// The aligned watermark.
    passed: Option<Micros>,
    ended: Option<Micros>,
    /// What the latest frames say and `aligned` doesn't yet, laid over it. What grows stands in
    /// chunks of its own.
    #[serde(skip)]
    open: Shared,
    #[serde(skip)]
    aligned: Shared,
    first_coverage: Option<Micros>,
    exclusions: Vec<Excluded>,
    #[serde(skip)]
    denominators: Denominators,
    episodes: Episodes,
    /// Window ends that were never judged because the watermark jumped over them.
    skipped: u64,
    told_at: Option<Micros>,
    #[serde(skip)]
    changed_cells: BTreeSet<(String, String, Micros)>,
    #[serde(skip)]
    changed_tags: BTreeSet<(Micros, String, String)>,
    #[serde(skip)]
    changed_totals: BTreeSet<(Micros, Micros, String)>,
    #[serde(skip)]
    changed_coverage: BTreeSet<(Micros, String)>,
    /// Cells of kinds with a floor that have been told: they are told as empty should they fall
    /// below it.
    #[serde(skip)]
    told_cells: BTreeSet<(String, String, Micros)>,
}

/// What people took out of baselines, and from which pane end on it is back in them.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Excluded {
    what: Exclusion,
    lifted_from: Option<Micros>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Partition {
    /// The last frame that has come as a whole.
    last: Option<Position>,
    /// Of a frame that has come in part: its position, and the part that is due.
    parts: Option<(Position, u32)>,
    /// What those parts say.
    partial: Batch,
    /// Of their changes, those that can make an open window pass its bound.
    early: Vec<SeriesChange>,
    watermark: Option<Micros>,
    ended: bool,
    handled: Handled,
    /// What the aligned fold has not taken in: for each instant that may be due the frames up to
    /// the first that has passed it.
    pending: VecDeque<Batch>,
    /// The watermark of the last frame that it has.
    aligned: Option<Micros>,
    /// After frames were deleted unread: the time of which nothing certain is known. It ends with
    /// the first frame after them.
    unread: Option<(Micros, Option<Micros>)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Cursors {
    close: Micros,
    again: Micros,
    last: Micros,
}

/// What belongs to no topic.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Shared {
    /// (region, pane length) → pane start → posts.
    totals: BTreeMap<(String, Micros), BTreeMap<Micros, Parts<TotalParts>>>,
    /// (pane start) → (key, region) → posts.
    tags: BTreeMap<Micros, BTreeMap<(String, String), Parts<u32>>>,
    /// Pane start → feed → covered.
    coverage: BTreeMap<Micros, BTreeMap<String, Parts<Micros>>>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Judged {
    length: Micros,
    observed: u32,
    population: u64,
    expected: f64,
    /// Whether it was in alarm, and above the floors of alerts.
    raised: bool,
    revision: u32,
}

/// The bound of an open window, fixed when it is first needed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Bound {
    length: Micros,
    expected: f64,
    /// None where there is no answer.
    upperbound: Option<f64>,
    fired: bool,
}

/// What is found of one window: the numbers of its verdict and, should it be in alarm, of its
/// alert.
#[derive(Debug, Clone)]
struct Finding {
    stage: Stage,
    end: Micros,
    length: Micros,
    observed: u32,
    posts: u32,
    population: u64,
    judgement: Judgement,
    reason: Option<Reason>,
    coverage: f64,
    grounds: Grounds,
    recurrence: Option<f64>,
}

/// Names a cell, and the fold that is asked for it.
#[derive(Debug, Clone, Copy)]
struct CellName<'a> {
    side: Side,
    topic: &'a str,
    region: &'a str,
    start: Micros,
}

/// Window ends that serve as past when windows that end at `end` are judged.
#[derive(Debug, Clone, Default)]
struct Pasts {
    end: Micros,
    shortest: Micros,
    longest: Micros,
    before_guardband: Vec<(Micros, bool)>,
    of_shortest: Vec<(Micros, bool)>,
    of_longest: Vec<(Micros, bool)>,
    /// For the default detector: also windows as long as the guardband don't reach into what is
    /// judged.
    baseline_shortest: Vec<(Micros, bool)>,
    baseline_longest: Vec<(Micros, bool)>,
}

/// Which of the two folds is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Open,
    Aligned,
}

/// What can happen at an instant of the aligned fold, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Due {
    Final,
    Close,
    Again,
}

impl Watch {
    pub fn new(mode: Mode) -> Watch {
        Watch {
            head: Head {
                mode,
                next: 0,
                partitions: Vec::new(),
                cursors: BTreeMap::new(),
                passed: None,
                ended: None,
                open: Shared::default(),
                aligned: Shared::default(),
                first_coverage: None,
                exclusions: Vec::new(),
                denominators: Denominators::default(),
                episodes: Episodes::default(),
                skipped: 0,
                told_at: None,
                changed_cells: BTreeSet::new(),
                changed_tags: BTreeSet::new(),
                changed_totals: BTreeSet::new(),
                changed_coverage: BTreeSet::new(),
                told_cells: BTreeSet::new(),
            },
            rules: Vec::new(),
            table: RegionTable::default(),
            series: BTreeMap::new(),
            views: BTreeMap::new(),
            known_chunks: BTreeSet::new(),
            #[cfg(test)]
            unmerged: false,
        }
    }

    /// The first position of `tallies` that has not been applied.
    pub fn next(&self) -> Position {
        self.head.next
    }

    /// What all partitions have passed.
    pub fn watermark(&self) -> Option<Micros> {
        self.head.passed
    }

    /// Number of (topic, region) series held.
    pub fn series_held(&self) -> usize {
        self.series.len()
    }

    /// Running totals over all partitions.
    pub fn handled(&self) -> Handled {
        self.head.partitions.iter().fold(Handled::default(), |sum, partition| {
            let of = partition.handled;
            Handled {
                posts: sum.posts + of.posts,
                duplicates: sum.duplicates + of.duplicates,
                resent: sum.resent + of.resent,
                late: sum.late + of.late,
                after_final: sum.after_final + of.after_final,
                deletes: sum.deletes + of.deletes,
                removals: sum.removals + of.removals,
                edits: sum.edits + of.edits,
                clamped: sum.clamped + of.clamped,
                refused: sum.refused + of.refused,
                lost: sum.lost + of.lost,
                cells: sum.cells + of.cells,
            }
        })
    }

    /// Values of frames that wait because another partition has yet to pass an instant.
    pub fn pending(&self) -> usize {
        self.head.partitions.iter().flat_map(|partition| &partition.pending).map(Batch::len).sum()
    }

    /// Cells held: panes of series.
    pub fn cells(&self) -> usize {
        self.series
            .values()
            .map(|series| series.aligned.panes.len() + series.open.panes.len())
            .sum()
    }

    /// Whether every partition has ended and everything is final.
    pub fn ended(&self) -> bool {
        self.head.ended.is_some()
    }

    /// Takes the record at `position` in. A frame that was applied before changes nothing.
    ///
    /// # Errors
    /// A gap in a partition's frames, or settings that name no detector: watch can't go on.
    pub fn apply(
        &mut self,
        position: Position,
        record: &Record,
        out: &mut Vec<Record>,
    ) -> Result<(), WatchError> {
        if position < self.head.next {
            return Ok(());
        }
        match record {
            Record::Settings(settings) => {
                let news = self.learn(settings)?;
                // Readers of what watch says need the names of topics too.
                out.extend(news.then(|| record.clone()));
            }
            Record::Frame(frame) => self.frame(position, frame, out)?,
            Record::Exclusion(what)
                if !self
                    .head
                    .exclusions
                    .iter()
                    .any(|known| known.what == *what && known.lifted_from.is_none()) =>
            {
                self.head.exclusions.push(Excluded { what: what.clone(), lifted_from: None });
                self.views.clear();
            }
            Record::Lift(lift) => {
                let held =
                    self.head.exclusions.iter_mut().filter(|known| {
                        known.what.alert == lift.alert && known.lifted_from.is_none()
                    });
                held.for_each(|known| known.lifted_from = Some(lift.valid_from));
                self.views.clear();
            }
            _ => {}
        }
        self.head.next = position + 1;
        Ok(())
    }

    /// Goes on behind a record that can't be read. If it was a frame, the next one of its partition
    /// is a gap.
    pub fn pass(&mut self, position: Position) {
        self.head.next = self.head.next.max(position + 1);
    }

    /// Goes on at `to`: what stands before it was deleted unread. Whatever frames changed there is
    /// unknown, so from a horizon before
    /// the last one read until the first that is left hours count as not covered; `settings` are
    /// those that the log holds.
    ///
    /// # Errors
    /// Settings that name no detector.
    pub fn skip(
        &mut self,
        to: Position,
        settings: Option<Settings>,
        out: &mut Vec<Record>,
    ) -> Result<(), WatchError> {
        if to <= self.head.next {
            return Ok(());
        }
        self.head.next = to;
        if let Some(settings) = settings
            && self.learn(&settings)?
        {
            out.push(Record::Settings(settings));
        }
        let horizon = self.newest().map_or(0, |settings| settings.horizon);
        for partition in &mut self.head.partitions {
            let from = partition
                .watermark
                .map_or(Micros::MAX, |watermark| pane_start(watermark - horizon, HOUR));
            let before = partition.unread.map_or(Micros::MAX, |(before, _)| before);
            partition.unread = Some((from.min(before), None));
        }
        Ok(())
    }

    /// After a gap, what a partition says of the coverage of the hours that it touches is that
    /// there is none.
    fn uncovered<'a>(&mut self, frame: &'a Frame) -> Cow<'a, Frame> {
        let Some((from, until)) = self
            .head
            .partitions
            .get(frame.partition as usize)
            .and_then(|partition| partition.unread)
        else {
            return Cow::Borrowed(frame);
        };
        let Some(settings) = self.newest() else { return Cow::Borrowed(frame) };
        let horizon = settings.horizon;
        let feeds: Vec<String> =
            settings.feeds.iter().filter(|feed| feed.whole).map(|feed| feed.name.clone()).collect();
        let partition = &mut self.head.partitions[frame.partition as usize];
        let mut frame = frame.clone();
        let until = until.unwrap_or_else(|| {
            partition.last = frame.previous;
            let until =
                pane_border(frame.at.max(frame.watermark.unwrap_or(frame.at)) + AHEAD_MAX, HOUR);
            let from = from.min(pane_start(until - horizon, HOUR));
            partition.unread = Some((from, Some(until)));
            let of_hour = |pane_start| {
                feeds.iter().map(move |feed| Coverage {
                    feed: feed.clone(),
                    pane_start,
                    covered: 0,
                })
            };
            frame.coverage.extend(hours_told(from, until).flat_map(of_hour));
            until
        });
        for coverage in frame.coverage.iter_mut().filter(|coverage| coverage.pane_start < until) {
            coverage.covered = 0;
        }
        if frame.last && frame.watermark.is_some_and(|watermark| watermark >= until + horizon) {
            // All of those hours are final.
            partition.unread = None;
        }
        Cow::Owned(frame)
    }

    /// Returns whether the settings are newer than those known.
    fn learn(&mut self, settings: &Settings) -> Result<bool, WatchError> {
        if self.newest().is_some_and(|known| known.number >= settings.number) {
            return Ok(false);
        }
        let detect = &settings.detect;
        let method = Method::parse(&detect.method, &detect.params).map_err(|why| {
            WatchError::Detector { method: detect.method.clone(), why: why.to_string() }
        })?;
        self.rules.push(Arc::new(Rules { settings: settings.clone(), method }));
        self.relearn();
        self.views.clear();
        let partitions = self.head.partitions.len().max(settings.partitions as usize);
        self.head.partitions.resize_with(partitions, Partition::default);
        if let Some(passed) = self.head.passed {
            for topic in &settings.topics {
                // A post of the new topic may be a horizon old.
                self.head
                    .cursors
                    .entry(topic.pane)
                    .or_insert_with(|| Cursors::from(passed - settings.horizon, topic.pane));
            }
        }
        Ok(true)
    }

    /// What follows from the settings that are held.
    fn relearn(&mut self) {
        let regions: Vec<_> =
            self.rules.iter().flat_map(|rules| rules.settings.regions.iter().cloned()).collect();
        self.table = RegionTable::new(&regions);
    }

    fn newest(&self) -> Option<&Settings> {
        self.rules.last().map(|rules| &rules.settings)
    }

    /// Those that hold for panes that begin at `start`.
    fn rules(&self, start: Micros) -> Option<&Arc<Rules>> {
        self.rules.iter().rev().find(|rules| rules.settings.from <= start).or(self.rules.first())
    }

    /// A topic as it was last.
    fn topic(&self, id: &str) -> Option<&TopicSetting> {
        self.rules.iter().rev().find_map(|rules| rules.settings.topic(id))
    }

    /// The topics that are counted in panes of this length, and are so in any part of the pane that
    /// ends at `end`.
    fn topics(&self, pane: Micros, end: Micros) -> Vec<TopicSetting> {
        let until =
            |nth: usize| self.rules.get(nth + 1).map_or(Micros::MAX, |next| next.settings.from);
        let mut topics: Vec<TopicSetting> = Vec::new();
        for (nth, rules) in self.rules.iter().enumerate().rev() {
            let holds = (rules.settings.from < end || nth == 0) && until(nth) > end - pane;
            let counted_so =
                rules.settings.topics.iter().filter(|topic| holds && topic.pane == pane);
            let fresh: Vec<TopicSetting> = counted_so
                .filter(|topic| !topics.iter().any(|known| known.id == topic.id))
                .cloned()
                .collect();
            topics.extend(fresh);
        }
        topics
    }

    fn version(&self, position: Position) -> Version {
        Version::new(self.newest().map_or(0, |settings| settings.generation), position)
    }

    fn frame(
        &mut self,
        position: Position,
        frame: &Frame,
        out: &mut Vec<Record>,
    ) -> Result<(), WatchError> {
        if self.rules.is_empty() {
            return Err(WatchError::NoSettings);
        }
        let partitions = self.head.partitions.len() as u32;
        let index = frame.partition as usize;
        let Some(partition) = self.head.partitions.get(index) else {
            return Err(WatchError::Partition { partition: frame.partition, partitions });
        };
        if partition.last.is_some_and(|last| frame.position <= last) {
            return Ok(());
        }
        // The first record after what was deleted unread may be any part of a frame.
        let resumes = matches!(partition.unread, Some((_, None)));
        let frame = &*self.uncovered(frame);
        let Some(partition) = self.head.partitions.get_mut(index) else { return Ok(()) };
        if !partition.expects(frame, resumes)? {
            return Ok(());
        }
        let is_whole = frame.last && partition.parts.is_none();
        if frame.part == 1 {
            partition.early.clear();
        }
        let early = std::mem::take(&mut partition.early);
        partition.parts = (!frame.last).then_some((frame.position, frame.part + 1));
        if frame.last {
            partition.last = Some(frame.position);
            partition.watermark = frame.watermark;
            partition.ended = frame.ended;
            partition.handled = frame.handled;
        }
        let version = self.version(position);
        let batch = Batch::of(frame);
        if self.head.mode == Mode::Live {
            self.mark_changed(&batch.values);
        }
        if is_whole && self.awaits(index) {
            self.settle(index, batch, true);
        } else {
            if self.head.mode.follows_open() {
                self.lay(frame.partition, &batch.values);
            }
            self.head.partitions[index].partial.absorb(batch);
            if !frame.last {
                self.head.partitions[index].early = [early, self.early_changes(frame)].concat();
                return Ok(());
            }
            self.queue(index);
        }
        self.advance(version, out);
        if self.head.mode.follows_open()
            && !frame.ended
            && let Some(watermark) = frame.watermark
        {
            let changes = if early.is_empty() {
                Cow::Borrowed(&frame.series)
            } else {
                Cow::Owned([early, frame.series.clone()].concat())
            };
            self.fire_early(frame.partition, watermark, &changes, version, out);
        }
        // A worker's clock may have been wrong, and set back.
        let is_due = |told: Micros| frame.at >= told + OPEN_EVERY || frame.at < told - MINUTE;
        if self.head.mode == Mode::Live && self.head.told_at.is_none_or(is_due) {
            self.head.told_at = Some(frame.at);
            self.tell_open(version, out);
        }
        Ok(())
    }

    fn early_changes(&self, part: &Frame) -> Vec<SeriesChange> {
        let Some(watermark) = part.watermark.filter(|_| self.head.mode.follows_open()) else {
            return Vec::new();
        };
        let of_topic = |change: &SeriesChange| {
            early::early_changes(self.topic(&change.topic)?, change, watermark)
        };
        part.series.iter().filter_map(of_topic).collect()
    }

    // ---- the two folds ----

    /// Remembers what is to be told as open.
    fn mark_changed(&mut self, values: &Values) {
        for ((topic, region), series) in &values.series {
            let cell = |start: Micros| (topic.clone(), region.clone(), start);
            let mut starts: Vec<Micros> = series.panes.keys().copied().collect();
            // The 24-hour authors of the pane that ends with the window.
            if let Some(pane) =
                self.topic(topic).map(|topic| topic.pane).filter(|pane| *pane <= DAY)
            {
                starts.extend(
                    series
                        .windows
                        .range((DAY, Micros::MIN)..=(DAY, Micros::MAX))
                        .map(|((_, end), _)| end - pane),
                );
            }
            self.head.changed_cells.extend(starts.into_iter().map(cell));
        }
        self.head.changed_tags.extend(values.tags.keys().cloned());
        let totals =
            values.totals.keys().map(|(region, length, start)| (*start, *length, region.clone()));
        self.head.changed_totals.extend(totals);
        self.head.changed_coverage.extend(values.coverage.keys().cloned());
    }

    /// Takes values into the open fold.
    fn lay(&mut self, partition: u32, values: &Values) {
        let Head { open, aligned, .. } = &mut self.head;
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

    /// Takes values into the aligned fold; `is_latest` where the partition has said nothing later.
    fn settle(&mut self, index: usize, batch: Batch, is_latest: bool) {
        let Batch { watermark, first_covered, values } = batch;
        let has_open = self.head.mode.follows_open();
        let partition = index as u32;
        self.head.partitions[index].aligned = watermark;
        self.head.first_coverage = self.head.first_coverage.into_iter().chain(first_covered).min();
        let Head { open, aligned, .. } = &mut self.head;
        for ((region, length, start), total) in values.totals {
            let of_region = (region, length);
            let over = above(&mut open.totals, &of_region, has_open, is_latest);
            settle(
                aligned.totals.entry(of_region).or_default(),
                over,
                &start,
                partition,
                total,
                is_latest,
            );
        }
        for ((start, key, region), posts) in values.tags {
            let over = above(&mut open.tags, &start, has_open, is_latest);
            settle(
                aligned.tags.entry(start).or_default(),
                over,
                &(key, region),
                partition,
                posts,
                is_latest,
            );
        }
        for ((start, feed), covered) in values.coverage {
            let over = above(&mut open.coverage, &start, has_open, is_latest);
            settle(
                aligned.coverage.entry(start).or_default(),
                over,
                &feed,
                partition,
                covered,
                is_latest,
            );
        }
        open.totals.retain(|_, panes| !panes.is_empty());
        open.tags.retain(|_, tags| !tags.is_empty());
        open.coverage.retain(|_, feeds| !feeds.is_empty());
        for (key, series) in values.series {
            self.series.entry(key).or_default().settle(partition, series, is_latest, has_open);
        }
    }

    /// Whether the aligned fold needs a partition's next frame for the next instant, whatever
    /// others say.
    fn awaits(&self, index: usize) -> bool {
        let partition = &self.head.partitions[index];
        let next = || self.next_due(None).map(|(instant, ..)| instant);
        partition.pending.is_empty()
            && self.head.ended.is_none()
            && next().is_some_and(|instant| {
                partition.aligned.is_none_or(|watermark| watermark < instant)
            })
    }

    /// Puts a frame whose parts have all come behind those that wait: into the last of them, unless
    /// an instant may be due between.
    fn queue(&mut self, index: usize) {
        let partition = &self.head.partitions[index];
        let before = partition
            .pending
            .iter()
            .rev()
            .nth(1)
            .map_or(partition.aligned, |batch| batch.watermark);
        let tail = partition.pending.back().map(|batch| batch.watermark);
        let merges = tail.is_some_and(|tail| !self.separates(before, tail));
        #[cfg(test)]
        let merges = merges && !self.unmerged;
        let partition = &mut self.head.partitions[index];
        let batch = std::mem::take(&mut partition.partial);
        match partition.pending.back_mut().filter(|_| merges) {
            Some(last) => last.absorb(batch),
            None => partition.pending.push_back(batch),
        }
    }

    /// Whether an instant lies after one watermark and not after the next: the frame of the latter
    /// is the first that has passed it.
    fn separates(&self, before: Option<Micros>, tail: Option<Micros>) -> bool {
        let Some(tail) = tail else { return false };
        let (Some(before), Some(settings)) = (before, self.newest()) else { return true };
        let topics =
            self.rules.iter().flat_map(|rules| &rules.settings.topics).map(|topic| topic.pane);
        let panes: BTreeSet<Micros> =
            topics.chain(self.head.cursors.keys().copied()).chain([HOUR]).collect();
        let delays = [settings.horizon, settings.lateness, settings.lateness + AGAIN_AFTER];
        panes
            .into_iter()
            .any(|pane| delays.iter().any(|delay| pane_start(tail - delay, pane) > before - delay))
    }

    /// Handles every instant that all partitions have passed.
    fn advance(&mut self, version: Version, out: &mut Vec<Record>) {
        if self.head.ended.is_some() {
            return;
        }
        let all_ended = self.head.partitions.iter().all(|partition| partition.ended);
        // A partition that has ended without any tick or post holds nothing up.
        let empty = |partition: &&Partition| partition.ended && partition.watermark.is_none();
        let watermarks = || {
            self.head
                .partitions
                .iter()
                .filter(|partition| !empty(partition))
                .map(|partition| partition.watermark)
        };
        let end = all_ended.then(|| watermarks().max().flatten().max(self.last_told())).flatten();
        let Some(passed) = watermarks().min().flatten().or(end) else {
            // Nothing was ever read.
            self.head.ended = all_ended.then_some(0);
            return;
        };
        if self.head.cursors.is_empty() {
            self.start(passed);
        }
        loop {
            self.skip_empty(passed, version, out);
            let Some((instant, due, pane, pane_end)) = self.next_due(end) else { break };
            // Also towards an instant that others have yet to pass: held back is only what lies
            // beyond it.
            self.align(instant);
            if end.is_none() && instant > passed {
                break;
            }
            self.done(due, pane);
            match due {
                Due::Final => self.make_final(pane, pane_end, version, out),
                // Where the horizon is short a window may be final before it is looked at again.
                Due::Close | Due::Again if self.is_final(pane_end - pane, pane) => {}
                Due::Close => {
                    self.mark_closed(pane, pane_end);
                    self.close(pane, pane_end, Stage::Closed, false, version, out);
                }
                Due::Again => self.close(pane, pane_end, Stage::Closed, true, version, out),
            }
        }
        self.head.passed = Some(passed);
        if end.is_some() {
            self.align(Micros::MAX);
            if self.head.mode == Mode::Batch {
                self.head.episodes.end();
                self.head.episodes.tell(version, out);
            }
            self.head.ended = end;
        }
    }

    /// Just after the beginning of the last pane that has been told: a post may lie ahead of every
    /// watermark.
    fn last_told(&self) -> Option<Micros> {
        let pending = self
            .head
            .partitions
            .iter()
            .flat_map(|partition| &partition.pending)
            .flat_map(Batch::starts);
        let cells = self.series.values().filter_map(|series| series.aligned.panes.last_key_value());
        let totals = self.head.aligned.totals.values().filter_map(|panes| panes.last_key_value());
        let aligned = cells.map(|(start, _)| *start).chain(totals.map(|(start, _)| *start));
        pending.chain(aligned).max().map(|start| start + 1)
    }

    /// The first instants: no pane told so far is older.
    fn start(&mut self, passed: Micros) {
        let Some(settings) = self.newest() else { return };
        let told = self
            .head
            .partitions
            .iter()
            .flat_map(|partition| &partition.pending)
            .flat_map(Batch::starts);
        // A post that arrives just after the first watermark may be a horizon old.
        let first = told.chain([passed - settings.horizon]).min().unwrap_or(passed);
        let panes =
            self.rules.iter().flat_map(|rules| &rules.settings.topics).map(|topic| topic.pane);
        self.head.cursors =
            panes.chain([HOUR]).map(|pane| (pane, Cursors::from(first, pane))).collect();
    }

    /// The next instant, what is due at it, and the pane length and pane end it is due for; when
    /// the log has ended, up to its last pane.
    fn next_due(&self, end: Option<Micros>) -> Option<(Micros, Due, Micros, Micros)> {
        let settings = self.newest()?;
        let due = self.head.cursors.iter().flat_map(|(pane, cursors)| {
            [
                (cursors.last + settings.horizon, Due::Final, *pane, cursors.last),
                (cursors.close + settings.lateness, Due::Close, *pane, cursors.close),
                (cursors.again + settings.lateness + AGAIN_AFTER, Due::Again, *pane, cursors.again),
            ]
        });
        due.filter(|(_, _, pane, pane_end)| {
            end.is_none_or(|end| *pane_end <= pane_border(end, *pane))
        })
        .min()
    }

    fn done(&mut self, due: Due, pane: Micros) {
        if let Some(cursors) = self.head.cursors.get_mut(&pane) {
            match due {
                Due::Final => cursors.last += pane,
                Due::Close => cursors.close += pane,
                Due::Again => cursors.again += pane,
            }
        }
    }

    /// Takes into the aligned fold each partition's frames up to the first that has passed
    /// `instant`.
    fn align(&mut self, instant: Micros) {
        for index in 0..self.head.partitions.len() {
            while self.head.partitions[index].aligned.is_none_or(|watermark| watermark < instant) {
                let Some(batch) = self.head.partitions[index].pending.pop_front() else { break };
                self.settle(index, batch, false);
            }
        }
    }
}

impl Partition {
    /// Whether a part of a frame is to be applied: not where it has been. A frame that is sent
    /// again starts at its first part.
    fn expects(&self, frame: &Frame, resumes: bool) -> Result<bool, WatchError> {
        let (partition, position) = (frame.partition, frame.position);
        if self.last != frame.previous {
            return Err(WatchError::Gap {
                partition,
                position,
                previous: frame.previous,
                last: self.last,
            });
        }
        let due = self.parts.filter(|(of, _)| *of == position).map_or(1, |(_, due)| due);
        if frame.part > due && !resumes {
            return Err(WatchError::Part { partition, position, part: frame.part, due });
        }
        Ok(frame.part == 1 || frame.part >= due)
    }
}

impl Cursors {
    /// The first panes of a length that end after `instant`.
    fn from(instant: Micros, pane: Micros) -> Cursors {
        let end = pane_start(instant, pane) + pane;
        Cursors { close: end, again: end, last: end }
    }
}

/// Where what lies over a group of values may be: of a latest frame only where there is something.
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

#[cfg(test)]
mod tests;
