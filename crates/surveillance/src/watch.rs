//! Watch: sums the frames of all partitions, closes windows, judges them and raises alerts.
//!
//! Between tally and everything that is read: `tallies` in; counts, verdicts and alerts out. Two folds: *open* applies every
//! frame as it comes (for open counts and early firing); *aligned* holds a partition's frames back beyond the next instant
//! until every partition has passed it, so that what is closed doesn't depend on the order in which partitions were read.
//! Here, where sums are first seen, cells under the floor of their topic's kind end. Knows no posts, no clock, no store.

mod chart;
mod early;
mod episodes;
mod explain;
mod fold;
mod judging;
mod past;
mod predict;
mod telling;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use record::region::RegionTable;
use record::time::{DAY, HOUR, SECOND, pane_border, pane_start};
use record::{
    Coverage, Exclusion, Frame, Grounds, Handled, Micros, Position, Record, SeriesChange, Settings, Stage, TopicSetting, Version,
};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::detectors::{Judgement, Method};
use crate::snapshot::{ChunkName, Manifest, Reader, RestoreError, Snapshot, Writer};
use crate::tally::AHEAD_MAX;
use chart::Chart;
use episodes::Episodes;
use fold::{Parts, SeriesFold, Total as TotalParts, Window};
pub(crate) use predict::predicted_again;
use predict::{Denominators, Known};

const STAGE: &str = "watch";

/// Open cells are told when the highest `at` has advanced by this.
const OPEN_EVERY: Micros = 2 * SECOND;
/// A closed window is judged once more this much later, if its numbers have changed.
const AGAIN_AFTER: Micros = 6 * HOUR;
/// Window values are kept this long as baselines.
const HISTORY: Micros = 60 * DAY;

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
    #[error("frame {position} of partition {partition} follows frame {previous:?}, but {last:?} was the last one seen: frames are missing")]
    Gap { partition: u32, position: Position, previous: Option<Position>, last: Option<Position> },
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
    /// Next pane end to be closed, judged again and made final, for each pane length; none before the first watermark.
    cursors: BTreeMap<Micros, Cursors>,
    /// The aligned watermark.
    passed: Option<Micros>,
    ended: Option<Micros>,
    open: Shared,
    aligned: Shared,
    first_coverage: Option<Micros>,
    exclusions: Vec<Excluded>,
    denominators: Denominators,
    episodes: Episodes,
    told_at: Option<Micros>,
    changed_cells: BTreeSet<(String, String, Micros)>,
    changed_tags: BTreeSet<(Micros, String, String)>,
    changed_totals: BTreeSet<(Micros, Micros, String)>,
    changed_coverage: BTreeSet<(Micros, String)>,
    /// Cells of kinds with a floor that have been told: they are told as empty should they fall below it.
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
    last: Option<Position>,
    watermark: Option<Micros>,
    ended: bool,
    handled: Handled,
    /// Frames that the aligned fold has not taken in.
    pending: VecDeque<Frame>,
    /// The watermark of the last frame that it has.
    aligned: Option<Micros>,
    /// After frames were deleted unread: the time of which nothing certain is known. It ends with the first frame after them.
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

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Series {
    open: SeriesFold,
    aligned: SeriesFold,
    /// (length, end) → final value, where not zero.
    history: BTreeMap<(Micros, Micros), Window>,
    /// The first pane that had a post, and the first that had one when it was final: a post may be deleted.
    began: Option<Micros>,
    began_for_good: Option<Micros>,
    /// Window end → what was last said of it, until it is final.
    judged: BTreeMap<Micros, Judged>,
    chart: Chart,
    /// Open window's end → its bound.
    bounds: BTreeMap<Micros, Bound>,
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

/// What is found of one window: the numbers of its verdict and, should it be in alarm, of its alert.
#[derive(Debug, Clone)]
struct Finding {
    stage: Stage,
    end: Micros,
    length: Micros,
    observed: u32,
    posts: u32,
    population: u64,
    judgement: Judgement,
    reason: String,
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
    /// For the default detector: also windows as long as the guardband don't reach into what is judged.
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

    /// Running totals over all partitions.
    pub fn handled(&self) -> Handled {
        self.head.partitions.iter().fold(Handled::default(), |sum, partition| {
            let of = partition.handled;
            Handled {
                posts: sum.posts + of.posts,
                duplicates: sum.duplicates + of.duplicates,
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

    /// Whether every partition has ended and everything is final.
    pub fn ended(&self) -> bool {
        self.head.ended.is_some()
    }

    /// Takes the record at `position` in. A frame that was applied before changes nothing.
    ///
    /// # Errors
    /// A gap in a partition's frames, or settings that name no detector: watch can't go on.
    pub fn apply(&mut self, position: Position, record: &Record, out: &mut Vec<Record>) -> Result<(), WatchError> {
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
            Record::Exclusion(what) if !self.head.exclusions.iter().any(|known| known.what == *what && known.lifted_from.is_none()) => {
                self.head.exclusions.push(Excluded { what: what.clone(), lifted_from: None });
                self.views.clear();
            }
            Record::Lift(lift) => {
                let held = self.head.exclusions.iter_mut().filter(|known| known.what.alert == lift.alert && known.lifted_from.is_none());
                held.for_each(|known| known.lifted_from = Some(lift.valid_from));
                self.views.clear();
            }
            _ => {}
        }
        self.head.next = position + 1;
        Ok(())
    }

    /// Goes on at `to`: what stands before it was deleted unread. Whatever frames changed there is unknown, so from a horizon before
    /// the last one read until the first that is left hours count as not covered; `settings` are those that the log holds.
    ///
    /// # Errors
    /// Settings that name no detector.
    pub fn skip(&mut self, to: Position, settings: Option<Settings>, out: &mut Vec<Record>) -> Result<(), WatchError> {
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
            let from = partition.watermark.map_or(Micros::MAX, |watermark| pane_start(watermark - horizon, HOUR));
            let before = partition.unread.map_or(Micros::MAX, |(before, _)| before);
            partition.unread = Some((from.min(before), None));
        }
        Ok(())
    }

    /// After a gap, what a partition says of the coverage of the hours that it touches is that there is none.
    fn uncovered<'a>(&mut self, frame: &'a Frame) -> Cow<'a, Frame> {
        let Some((from, until)) = self.head.partitions.get(frame.partition as usize).and_then(|partition| partition.unread) else {
            return Cow::Borrowed(frame);
        };
        let Some(settings) = self.newest() else { return Cow::Borrowed(frame) };
        let horizon = settings.horizon;
        let feeds: Vec<String> = settings.feeds.iter().filter(|feed| feed.whole).map(|feed| feed.name.clone()).collect();
        let partition = &mut self.head.partitions[frame.partition as usize];
        let mut frame = frame.clone();
        let until = until.unwrap_or_else(|| {
            partition.last = frame.previous;
            let until = pane_border(frame.at.max(frame.watermark.unwrap_or(frame.at)) + AHEAD_MAX, HOUR);
            let from = from.min(pane_start(until - horizon, HOUR));
            partition.unread = Some((from, Some(until)));
            let hours = (0..).map(|hour| from + hour * HOUR).take_while(|start| *start < until);
            let of_hour = |pane_start| feeds.iter().map(move |feed| Coverage { feed: feed.clone(), pane_start, covered: 0 });
            frame.coverage.extend(hours.flat_map(of_hour));
            until
        });
        for coverage in frame.coverage.iter_mut().filter(|coverage| coverage.pane_start < until) {
            coverage.covered = 0;
        }
        if frame.watermark.is_some_and(|watermark| watermark >= until + horizon) {
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
        let method = Method::parse(&detect.method, &detect.params)
            .map_err(|why| WatchError::Detector { method: detect.method.clone(), why: why.to_string() })?;
        self.rules.push(Arc::new(Rules { settings: settings.clone(), method }));
        self.relearn();
        self.views.clear();
        let partitions = self.head.partitions.len().max(settings.partitions as usize);
        self.head.partitions.resize_with(partitions, Partition::default);
        if let Some(passed) = self.head.passed {
            for topic in &settings.topics {
                // A post of the new topic may be a horizon old.
                self.head.cursors.entry(topic.pane).or_insert_with(|| Cursors::from(passed - settings.horizon, topic.pane));
            }
        }
        Ok(true)
    }

    /// What follows from the settings that are held.
    fn relearn(&mut self) {
        let regions: Vec<_> = self.rules.iter().flat_map(|rules| rules.settings.regions.iter().cloned()).collect();
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

    /// The topics that are counted in panes of this length, and are so in any part of the pane that ends at `end`.
    fn topics(&self, pane: Micros, end: Micros) -> Vec<TopicSetting> {
        let until = |nth: usize| self.rules.get(nth + 1).map_or(Micros::MAX, |next| next.settings.from);
        let mut topics: Vec<TopicSetting> = Vec::new();
        for (nth, rules) in self.rules.iter().enumerate().rev() {
            let holds = (rules.settings.from < end || nth == 0) && until(nth) > end - pane;
            let counted_so = rules.settings.topics.iter().filter(|topic| holds && topic.pane == pane);
            let fresh: Vec<TopicSetting> = counted_so.filter(|topic| !topics.iter().any(|known| known.id == topic.id)).cloned().collect();
            topics.extend(fresh);
        }
        topics
    }

    fn version(&self, position: Position) -> Version {
        Version::new(self.newest().map_or(0, |settings| settings.generation), position)
    }

    fn frame(&mut self, position: Position, frame: &Frame, out: &mut Vec<Record>) -> Result<(), WatchError> {
        if self.rules.is_empty() {
            return Err(WatchError::NoSettings);
        }
        let partitions = self.head.partitions.len() as u32;
        let Some(partition) = self.head.partitions.get_mut(frame.partition as usize) else {
            return Err(WatchError::Partition { partition: frame.partition, partitions });
        };
        if partition.last.is_some_and(|last| frame.position <= last) {
            return Ok(());
        }
        let frame = &*self.uncovered(frame);
        let Some(partition) = self.head.partitions.get_mut(frame.partition as usize) else { return Ok(()) };
        if partition.last != frame.previous {
            return Err(WatchError::Gap {
                partition: frame.partition,
                position: frame.position,
                previous: frame.previous,
                last: partition.last,
            });
        }
        partition.last = Some(frame.position);
        partition.watermark = frame.watermark;
        partition.ended = frame.ended;
        partition.handled = frame.handled;
        partition.pending.push_back(frame.clone());
        let version = self.version(position);
        let live = self.head.mode.follows_open();
        if live {
            self.apply_open(frame);
        }
        self.advance(version, out);
        if live && !frame.ended {
            self.fire_early(frame, version, out);
        }
        if self.head.mode == Mode::Live && self.head.told_at.is_none_or(|told| frame.at >= told + OPEN_EVERY) {
            self.head.told_at = Some(frame.at);
            self.tell_open(version, out);
        }
        Ok(())
    }

    // ---- the two folds ----

    fn apply_open(&mut self, frame: &Frame) {
        apply_shared(&mut self.head.open, frame);
        for change in &frame.series {
            let key = (change.topic.clone(), change.region.clone());
            let series = self.series.entry(key).or_default();
            apply_series(&mut series.open, frame.partition, change);
            if self.head.mode != Mode::Live {
                continue;
            }
            for pane in &change.panes {
                self.head.changed_cells.insert((change.topic.clone(), change.region.clone(), pane.start));
            }
            for window in change.windows.iter().filter(|window| window.length == DAY) {
                // The 24-hour authors of the pane that ends with the window.
                if let Some(pane) = self.topic(&change.topic).map(|topic| topic.pane).filter(|pane| *pane <= DAY) {
                    self.head.changed_cells.insert((change.topic.clone(), change.region.clone(), window.end - pane));
                }
            }
        }
        if self.head.mode != Mode::Live {
            return;
        }
        for tag in &frame.tags {
            self.head.changed_tags.insert((tag.pane_start, tag.key.clone(), tag.region.clone()));
        }
        for total in &frame.totals {
            self.head.changed_totals.insert((total.pane_start, total.length, total.region.clone()));
        }
        for coverage in &frame.coverage {
            self.head.changed_coverage.insert((coverage.pane_start, coverage.feed.clone()));
        }
    }

    fn apply_aligned(&mut self, frame: &Frame) {
        apply_shared(&mut self.head.aligned, frame);
        let first_covered = frame.coverage.iter().filter(|coverage| coverage.covered > 0).map(|coverage| coverage.pane_start).min();
        self.head.first_coverage = self.head.first_coverage.into_iter().chain(first_covered).min();
        for change in &frame.series {
            let series = self.series.entry((change.topic.clone(), change.region.clone())).or_default();
            apply_series(&mut series.aligned, frame.partition, change);
            let began = change.panes.iter().filter(|pane| pane.posts > 0).map(|pane| pane.start).min();
            series.began = series.began.into_iter().chain(began).min();
        }
    }

    /// Handles every instant that all partitions have passed.
    fn advance(&mut self, version: Version, out: &mut Vec<Record>) {
        if self.head.ended.is_some() {
            return;
        }
        let all_ended = self.head.partitions.iter().all(|partition| partition.ended);
        // A partition that has ended without any tick or post holds nothing up.
        let empty = |partition: &&Partition| partition.ended && partition.watermark.is_none();
        let watermarks = || self.head.partitions.iter().filter(|partition| !empty(partition)).map(|partition| partition.watermark);
        let end = all_ended.then(|| watermarks().max().flatten().max(self.last_told())).flatten();
        let Some(passed) = watermarks().min().flatten().or(end) else {
            // Nothing was ever read.
            self.head.ended = all_ended.then_some(0);
            return;
        };
        if self.head.cursors.is_empty() {
            self.start(passed);
        }
        while let Some((instant, due, pane, pane_end)) = self.next_due(end) {
            // Also towards an instant that others have yet to pass: held back is only what lies beyond it.
            self.align(instant);
            if end.is_none() && instant > passed {
                break;
            }
            self.done(due, pane);
            match due {
                Due::Final => self.make_final(pane, pane_end, version, out),
                // Where the horizon is short a window may be final before it is looked at again.
                Due::Close | Due::Again if self.is_final(pane_end - pane, pane) => {}
                Due::Close => self.close(pane, pane_end, Stage::Closed, false, version, out),
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

    /// Just after the beginning of the last pane that has been told: a post may lie ahead of every watermark.
    fn last_told(&self) -> Option<Micros> {
        let pending = self.head.partitions.iter().flat_map(|partition| &partition.pending).flat_map(|frame| {
            let cells = frame.series.iter().flat_map(|change| &change.panes).map(|pane| pane.start);
            cells.chain(frame.totals.iter().map(|total| total.pane_start))
        });
        let cells = self.series.values().filter_map(|series| series.aligned.panes.last_key_value());
        let totals = self.head.aligned.totals.values().filter_map(|panes| panes.last_key_value());
        let aligned = cells.map(|(start, _)| *start).chain(totals.map(|(start, _)| *start));
        pending.chain(aligned).max().map(|start| start + 1)
    }

    /// The first instants: no pane told so far is older.
    fn start(&mut self, passed: Micros) {
        let Some(settings) = self.newest() else { return };
        let told = self.head.partitions.iter().flat_map(|partition| &partition.pending).flat_map(|frame| {
            let cells = frame.series.iter().flat_map(|change| &change.panes).map(|pane| pane.start);
            cells.chain(frame.totals.iter().map(|total| total.pane_start))
        });
        // A post that arrives just after the first watermark may be a horizon old.
        let first = told.chain([passed - settings.horizon]).min().unwrap_or(passed);
        let panes = self.rules.iter().flat_map(|rules| &rules.settings.topics).map(|topic| topic.pane);
        self.head.cursors = panes.chain([HOUR]).map(|pane| (pane, Cursors::from(first, pane))).collect();
    }

    /// The next instant, what is due at it, and the pane length and pane end it is due for; when the log has ended, up to its last pane.
    fn next_due(&self, end: Option<Micros>) -> Option<(Micros, Due, Micros, Micros)> {
        let settings = self.newest()?;
        let due = self.head.cursors.iter().flat_map(|(pane, cursors)| {
            [
                (cursors.last + settings.horizon, Due::Final, *pane, cursors.last),
                (cursors.close + settings.lateness, Due::Close, *pane, cursors.close),
                (cursors.again + settings.lateness + AGAIN_AFTER, Due::Again, *pane, cursors.again),
            ]
        });
        due.filter(|(_, _, pane, pane_end)| end.is_none_or(|end| *pane_end <= pane_border(end, *pane))).min()
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

    /// Takes into the aligned fold each partition's frames up to the first that has passed `instant`.
    fn align(&mut self, instant: Micros) {
        for index in 0..self.head.partitions.len() {
            while self.head.partitions[index].aligned.is_none_or(|watermark| watermark < instant) {
                let Some(frame) = self.head.partitions[index].pending.pop_front() else { break };
                self.head.partitions[index].aligned = frame.watermark;
                self.apply_aligned(&frame);
            }
        }
    }

    // ---- snapshots ----

    pub fn snapshot(&mut self) -> Snapshot {
        let mut writer = Writer::new(&self.known_chunks);
        writer.put(&self.head);
        writer.put(&self.rules.iter().map(|rules| &rules.settings).collect::<Vec<_>>());
        let topics: BTreeSet<&String> = self.series.keys().map(|(topic, _)| topic).collect();
        writer.put(&topics);
        for topic in &topics {
            let span = ((*topic).clone(), String::new())..(format!("{topic}\0"), String::new());
            writer.put(&self.series.range(span).collect::<Vec<_>>());
        }
        let snapshot = writer.finish(STAGE, 0, vec![self.head.next]);
        self.known_chunks = snapshot.manifest.chunks.iter().copied().collect();
        snapshot
    }

    /// `chunks` are the bytes of the manifest's chunks, in its order.
    pub fn restore(manifest: &Manifest, chunks: &[Vec<u8>]) -> Result<Watch, RestoreError> {
        let mut reader = Reader::new(STAGE, manifest, chunks)?;
        let head: Head = reader.take()?;
        let mut watch = Watch::new(head.mode);
        for settings in reader.take::<Vec<Settings>>()? {
            watch.learn(&settings).map_err(|why| RestoreError::Malformed { index: 1, why: why.to_string() })?;
        }
        watch.head = head;
        for _ in reader.take::<Vec<String>>()? {
            watch.series.extend(reader.take::<Vec<((String, String), Series)>>()?);
        }
        watch.known_chunks = manifest.chunks.iter().copied().collect();
        Ok(watch)
    }
}

impl Cursors {
    /// The first panes of a length that end after `instant`.
    fn from(instant: Micros, pane: Micros) -> Cursors {
        let end = pane_start(instant, pane) + pane;
        Cursors { close: end, again: end, last: end }
    }
}

fn apply_shared(shared: &mut Shared, frame: &Frame) {
    for total in &frame.totals {
        let panes = shared.totals.entry((total.region.clone(), total.length)).or_default();
        panes.entry(total.pane_start).or_default().set(frame.partition, TotalParts { posts: total.posts, sampled: total.sampled });
    }
    for tag in &frame.tags {
        let tags = shared.tags.entry(tag.pane_start).or_default();
        tags.entry((tag.key.clone(), tag.region.clone())).or_default().set(frame.partition, tag.posts);
    }
    for coverage in &frame.coverage {
        let feeds = shared.coverage.entry(coverage.pane_start).or_default();
        feeds.entry(coverage.feed.clone()).or_default().set(frame.partition, coverage.covered);
    }
}

fn apply_series(fold: &mut SeriesFold, partition: u32, change: &SeriesChange) {
    for pane in &change.panes {
        fold.set_pane(partition, pane);
    }
    for window in &change.windows {
        fold.set_window(partition, window);
    }
}

#[cfg(test)]
mod tests;
