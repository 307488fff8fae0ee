//! Watch: sums the frames of all partitions, closes windows, judges them and raises alerts.
//!
//! Between tally and everything that is read: `tallies` in; counts, verdicts and alerts out. Two folds: *open* applies every
//! frame as it comes (for open counts and early firing); *aligned* holds a partition's frames back beyond the next instant
//! until every partition has passed it, so that what is closed doesn't depend on the order in which partitions were read.
//! Here, where sums are first seen, cells under the floor of their topic's kind end. Knows no posts, no clock, no store.

mod episodes;
mod explain;
mod fold;
mod predict;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use record::kind::Kind;
use record::region::{Level, RegionTable, UNLOCATED, WORLD};
use record::time::{DAY, HOUR, MINUTE, SECOND, pane_border, pane_start};
use record::{
    Count, Coverage, CoverageRow, Exclusion, Explanation, Frame, Grounds, Handled, Micros, PastWindow, Position, PublicCount, Record,
    SeriesChange, Settings, Stage, Step, Suspect, TagCount, TopicSetting, Total, Verdict, Version, WindowChange, WindowCount,
};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::detectors::{Judgement, Method, judge_last};
use crate::publish;
use crate::snapshot::{ChunkName, Manifest, Reader, RestoreError, Snapshot, Writer};
use crate::tally::AHEAD_MAX;
use episodes::{Alarm, Episodes};
use fold::{Parts, SeriesFold, Total as TotalParts, Window};
pub(crate) use predict::predicted_again;
use predict::{Denominators, Opinion, View};

const STAGE: &str = "watch";

/// Open cells are told when the highest `at` has advanced by this.
const OPEN_EVERY: Micros = 2 * SECOND;
/// A closed window is judged once more this much later, if its numbers have changed.
const AGAIN_AFTER: Micros = 6 * HOUR;
/// Window values are kept this long as baselines.
const HISTORY: Micros = 60 * DAY;
/// With a greater share of a window's posts waiting for their place, no region below the world can be called calm.
const PENDING_MAX: f64 = 0.1;
/// Tally counts denominators by the hour, and in such panes where a topic has shorter ones.
const SHORT_PANE: Micros = 5 * MINUTE;
/// Denominators and coverage are kept for the longest window and the horizon, generously.
const TOTALS_KEPT: Micros = 10 * DAY;
/// Past windows that decide between 24 h and 7 d, and that are offered to a detector.
const PAST_WINDOWS: i64 = 28;
/// An alert is doubtful where one account, one link, near-copies or new accounts make up more than this of its sample,
/// from this many sampled posts on.
const DOUBTFUL_SHARE: f64 = 0.3;
const SAMPLED_LEAST: u32 = 5;
/// Fewest past windows from which any detector gives an answer.
const BASELINE_LEAST: usize = 3;

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
    views: BTreeMap<(String, Micros), Arc<(Pasts, View)>>,
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
    exclusions: Vec<Exclusion>,
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
            Record::Exclusion(exclusion) if !self.head.exclusions.contains(exclusion) => {
                self.head.exclusions.push(exclusion.clone());
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
        let Some(partition) = self.head.partitions.get_mut(frame.partition as usize) else { return Cow::Borrowed(frame) };
        let Some((from, until)) = partition.unread else { return Cow::Borrowed(frame) };
        let mut frame = frame.clone();
        let until = match until {
            Some(until) => until,
            None => {
                partition.last = frame.previous;
                let until = pane_border(frame.at.max(frame.watermark.unwrap_or(frame.at)) + AHEAD_MAX, HOUR);
                let horizon = self.newest().map_or(0, |settings| settings.horizon);
                let from = from.min(pane_start(until - horizon, HOUR));
                let feeds: Vec<String> = self
                    .newest()
                    .into_iter()
                    .flat_map(|settings| &settings.feeds)
                    .filter(|feed| feed.whole)
                    .map(|feed| feed.name.clone())
                    .collect();
                let hours = (0..).map(|hour| from + hour * HOUR).take_while(|start| *start < until);
                frame.coverage.extend(
                    hours.flat_map(|pane_start| feeds.iter().map(move |feed| Coverage { feed: feed.clone(), pane_start, covered: 0 })),
                );
                if let Some(partition) = self.head.partitions.get_mut(frame.partition as usize) {
                    partition.unread = Some((from, Some(until)));
                }
                until
            }
        };
        for coverage in frame.coverage.iter_mut().filter(|coverage| coverage.pane_start < until) {
            coverage.covered = 0;
        }
        let horizon = self.newest().map_or(0, |settings| settings.horizon);
        if let Some(partition) = self.head.partitions.get_mut(frame.partition as usize)
            && frame.watermark.is_some_and(|watermark| watermark >= until + horizon)
        {
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

    // ---- judging ----

    fn side(series: &Series, side: Side) -> &SeriesFold {
        match side {
            Side::Open => &series.open,
            Side::Aligned => &series.aligned,
        }
    }

    fn window(series: &Series, side: Side, length: Micros, end: Micros) -> Window {
        Watch::side(series, side)
            .window(length, end)
            .or_else(|| series.aligned.window(length, end))
            .or_else(|| series.history.get(&(length, end)).copied())
            .unwrap_or_default()
    }

    /// The share of `[from, to)` that the least covered whole feed has covered, of what it was to cover by the settings of the time.
    fn coverage(&self, side: Side, from: Micros, to: Micros) -> f64 {
        let shared = self.shared(side);
        let mut least = 1.0_f64;
        let mut names: Vec<&str> = self.rules.iter().flat_map(|rules| &rules.settings.feeds).map(|feed| feed.name.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        for name in names {
            let (mut covered, mut due) = (0, 0);
            let mut hour = pane_start(from, HOUR);
            let mut told = shared.coverage.range(hour..to).peekable();
            while hour < to {
                let feeds = told.next_if(|(start, _)| **start == hour).map(|(_, feeds)| feeds);
                let is_due = self.rules(hour).is_some_and(|rules| rules.settings.feeds.iter().any(|feed| feed.whole && feed.name == name));
                if is_due {
                    // Only hours are known: what is covered of one is taken to lie in the window's part of it.
                    let part = (hour + HOUR).min(to) - hour.max(from);
                    let told = feeds.and_then(|feeds| feeds.get(name)).and_then(|parts| parts.values().min().copied());
                    covered += told.unwrap_or(0).min(part);
                    due += part;
                }
                hour += HOUR;
            }
            if due > 0 {
                least = least.min(covered as f64 / due as f64);
            }
        }
        least
    }

    fn shared(&self, side: Side) -> &Shared {
        if side == Side::Open { &self.head.open } else { &self.head.aligned }
    }

    /// All posts of whole feeds in `[from, to)`: by the hour, and at the edges by the short panes that crisis topics bring along.
    fn population(&self, side: Side, region: &str, from: Micros, to: Micros) -> u64 {
        let (first, last) = (pane_border(from, HOUR), pane_start(to, HOUR));
        if first >= last {
            return self.total(side, region, SHORT_PANE, from, to);
        }
        let edges = self.total(side, region, SHORT_PANE, from, first) + self.total(side, region, SHORT_PANE, last, to);
        self.total(side, region, HOUR, first, last) + edges
    }

    fn total(&self, side: Side, region: &str, length: Micros, from: Micros, to: Micros) -> u64 {
        if from >= to {
            return 0;
        }
        let panes = self.shared(side).totals.get(&(region.to_owned(), length));
        panes.into_iter().flat_map(|panes| panes.range(from..to)).map(|(_, parts)| parts.total().posts).sum()
    }

    /// The ends of past windows of one length that end at the same hour, oldest first, and whether each was observed.
    fn past_ends(&self, length: Micros, end: Micros, gap: Micros) -> Vec<(Micros, bool)> {
        let (Some(rules), Some(first)) = (self.rules(end - 1), self.head.first_coverage) else { return Vec::new() };
        let newest = if gap > 0 { end - gap } else { end - length };
        let mut ends: Vec<(Micros, bool)> = (0..PAST_WINDOWS)
            .map(|back| newest - back * length)
            // At an hour's grain the beginning of coverage can't be told from a gap, so its pane counts as begun.
            .take_while(|window_end| window_end - length >= first && window_end - length >= end - HISTORY)
            .map(|window_end| (window_end, self.coverage(Side::Aligned, window_end - length, window_end) >= rules.settings.detect.coverage))
            .collect();
        ends.reverse();
        ends
    }

    /// The values of past windows, `None` where they can't serve as baseline.
    fn past(&self, key: &(String, String), series: &Series, length: Micros, end: Micros, ends: &[(Micros, bool)]) -> Vec<Option<f64>> {
        ends.iter()
            .map(|(window_end, observed)| {
                let excluded = self.head.exclusions.iter().any(|exclusion| {
                    exclusion.topic == key.0
                        && end >= exclusion.valid_from
                        && window_end - length < exclusion.to
                        && *window_end > exclusion.from
                        && self.stands_below(&key.1, &exclusion.region)
                });
                let value = f64::from(Watch::window(series, Side::Aligned, length, *window_end).authors);
                (*observed && !excluded).then_some(value)
            })
            .collect()
    }

    /// Overlays stand beside the tree: below nothing but the world.
    fn stands_below(&self, region: &str, above: &str) -> bool {
        region == above || above == WORLD || (!region.contains(':') && self.table.within(region, above))
    }

    /// Which past windows are asked for when windows that end at `end` are judged; the same for all series.
    fn pasts(&self, windows: &[Micros], end: Micros) -> Pasts {
        let (Some(shortest), Some(longest)) = (windows.first().copied(), windows.last().copied()) else { return Pasts::default() };
        let guardband = self.rules(end - 1).map_or(0, |rules| rules.settings.detect.guardband);
        Pasts {
            end,
            shortest,
            longest,
            before_guardband: self.past_ends(shortest, end, guardband),
            of_shortest: self.past_ends(shortest, end, 0),
            of_longest: self.past_ends(longest, end, 0),
            baseline_shortest: self.past_ends(shortest, end, guardband.max(shortest)),
            baseline_longest: self.past_ends(longest, end, guardband.max(longest)),
        }
    }

    /// Which window is judged: 7 d where fewer than one a day is expected and there is a baseline of such windows, else 24 h;
    /// and the past windows of that length.
    fn window_length(&self, key: &(String, String), series: &Series, pasts: &Pasts) -> (Micros, Vec<Option<f64>>) {
        let days = self.past(key, series, pasts.shortest, pasts.end, &pasts.before_guardband);
        let days: Vec<f64> = days.into_iter().flatten().collect();
        let sparse = !days.is_empty() && days.iter().sum::<f64>() / (days.len() as f64) < 1.0;
        if sparse && pasts.longest > pasts.shortest {
            let weeks = self.past(key, series, pasts.longest, pasts.end, &pasts.of_longest);
            if weeks.iter().flatten().count() >= BASELINE_LEAST {
                return (pasts.longest, weeks);
            }
        }
        (pasts.shortest, self.past(key, series, pasts.shortest, pasts.end, &pasts.of_shortest))
    }

    /// How telling a region is as the headline of an alert: deeper in the tree is more so, a language more than no place.
    fn depth(&self, region: &str) -> i8 {
        match region {
            WORLD => -3,
            UNLOCATED => -2,
            _ => self.table.level(region).number(),
        }
    }

    /// Judges all windows of topics with this pane length that end at `end`.
    fn close(&mut self, pane: Micros, end: Micros, stage: Stage, only_changed: bool, version: Version, out: &mut Vec<Record>) {
        let unheard = match self.head.mode {
            Mode::Live | Mode::AsLive => false,
            Mode::Batch => stage != Stage::Final,
            Mode::Counts => true,
        };
        let Some(rules) = self.rules(end - 1).filter(|_| !unheard).cloned() else { return };
        let settings = &rules.settings;
        let wait = if stage == Stage::Final { settings.horizon } else { settings.lateness };
        let first_verdict = out.len();
        // The same for all topics that have the same windows.
        let mut pasts_by_windows: BTreeMap<Vec<Micros>, Pasts> = BTreeMap::new();
        let mut coverages = BTreeMap::new();
        for topic in self.topics(pane, end) {
            let mut alarms = Vec::new();
            let mut calms = Vec::new();
            let mut excess: BTreeMap<String, f64> = BTreeMap::new();
            let pasts = &*pasts_by_windows.entry(topic.windows.clone()).or_insert_with(|| self.pasts(&topic.windows, end));
            let view = rules.predicts().then(|| self.view(&topic.id, pasts));
            for key in self.keys(&topic.id) {
                let Some(series) = self.series.get(&key) else { continue };
                let before = series.judged.get(&end);
                let began = if stage == Stage::Final { series.began_for_good } else { series.began };
                if began.is_none_or(|began| began >= end) {
                    // What began the series has been taken back, and with it what was said before.
                    calms.extend(before.map(|_| key));
                    continue;
                }
                let observed_of = |length: Micros| Watch::window(series, Side::Aligned, length, end).authors;
                let Opinion { length, mut judgement, grounds, recurrence } = match &view {
                    Some(view) => self.opinion(&key, series, pasts, view, Side::Aligned, observed_of),
                    None => {
                        let (length, past) = self.window_length(&key, series, pasts);
                        let judgement = judge(&rules.method, past, observed_of(length));
                        Opinion { length, judgement, grounds: Grounds::default(), recurrence: None }
                    }
                };
                let observed = observed_of(length);
                let population = self.population(Side::Aligned, &key.1, end - length, end);
                let is_country = self.table.level(&key.1) == Level::Country && key.1 != UNLOCATED;
                if let Some(before) = before.filter(|_| only_changed)
                    && (before.length, before.observed, before.population) == (length, observed, population)
                {
                    if is_country {
                        excess.insert(key.1, f64::from(observed) - before.expected);
                    }
                    continue;
                }
                let coverage = *coverages.entry(length).or_insert_with(|| self.coverage(Side::Aligned, end - length, end));
                let mut reason = judgement.reason.map_or(String::new(), |reason| reason.to_string());
                if coverage < settings.detect.coverage {
                    judgement.alarm = None;
                    reason = "coverage".to_owned();
                }
                // Posts whose place is still asked for are missing somewhere: few there says nothing.
                if judgement.alarm == Some(false) && self.pending_share(&key, end - length, end) > PENDING_MAX {
                    judgement.alarm = None;
                    reason = "pending".to_owned();
                }
                let posts = series.aligned.posts(end - length, end, None);
                let finding = Finding { stage, end, length, observed, posts, population, judgement, reason, coverage, grounds, recurrence };
                let revision = before.map_or(0, |before| before.revision + 1);
                let raised_before = before.is_some_and(|before| before.raised);
                if observed >= topic.kind.floor() {
                    out.push(Record::Verdict(finding.verdict(&key, &settings.detect.method, revision, version)));
                }
                if is_country {
                    excess.insert(key.1.clone(), finding.excess());
                }
                let raised = judgement.alarm == Some(true) && above_floors(settings, topic.kind, observed, posts, finding.expected());
                if !raised {
                    calms.push(key.clone());
                } else if !raised_before || self.head.episodes.holds(&key.0, &key.1, end) {
                    let explanation = explain::explain(&series.aligned, end - length, end);
                    let grounds = self.grounds(&key, series, pasts, &finding);
                    alarms.push(self.alarm(&key, &topic.name, &finding, end + wait, explanation, grounds));
                }
                let judged = Judged { length, observed, population, expected: finding.expected(), raised, revision };
                if let Some(series) = self.series.get_mut(&key) {
                    series.judged.insert(end, judged);
                    series.bounds = series.bounds.split_off(&(end + 1));
                }
            }
            for (topic, region) in calms {
                self.head.episodes.calm(&topic, &region, end);
            }
            // Countries first: what they explain is not raised again by the world or a language.
            alarms.sort_by_key(|alarm: &Alarm| alarm.country.is_none());
            for mut alarm in alarms {
                alarm.explained_by = explained_by(&excess, &alarm);
                self.head.episodes.alarm(alarm, version);
            }
            if !only_changed && (stage == Stage::Closed || self.head.mode == Mode::Batch) {
                self.head.episodes.quiet(&topic.id, end);
            }
            self.head.episodes.tell(version, out);
        }
        if !only_changed {
            set_qvalues(&mut out[first_verdict..]);
        }
    }

    /// Of the topic's posts everywhere in `[from, to)`, the share that a region of the tree may yet be given.
    fn pending_share(&self, key: &(String, String), from: Micros, to: Micros) -> f64 {
        if key.1 == WORLD || key.1.contains(':') {
            return 0.0;
        }
        let world = self.series.get(&(key.0.clone(), WORLD.to_owned()));
        world.map_or(0.0, |world| world.aligned.pending_share(from, to))
    }

    /// The series of a topic.
    fn keys(&self, topic: &str) -> Vec<(String, String)> {
        let span = (topic.to_owned(), String::new())..(format!("{topic}\0"), String::new());
        self.series.range(span).map(|(key, _)| key.clone()).collect()
    }

    /// What a finding rests on, so that it can be computed again.
    fn grounds(&self, key: &(String, String), series: &Series, pasts: &Pasts, finding: &Finding) -> Box<Grounds> {
        if finding.grounds.pvalue.is_some() {
            // The default brings its own.
            return Box::new(finding.grounds.clone());
        }
        let (length, past) = self.window_length(key, series, pasts);
        let ends = if length == pasts.shortest { &pasts.of_shortest } else { &pasts.of_longest };
        let used = ends.iter().zip(past).filter_map(|((end, _), value)| Some((*end, value?)));
        let baseline: Vec<PastWindow> = used.map(|(end, value)| PastWindow { end, observed: value as u32, exposure: 1.0 }).collect();
        Box::new(Grounds {
            pvalue: finding.judgement.pvalue,
            baseline_from: baseline.first().map(|window| window.end - length),
            baseline_to: baseline.last().map(|window| window.end),
            reason: finding.reason.clone(),
            baseline,
            ..Grounds::default()
        })
    }

    fn alarm(
        &self,
        key: &(String, String),
        topic_name: &str,
        finding: &Finding,
        fired_at: Micros,
        explanation: Explanation,
        grounds: Box<Grounds>,
    ) -> Alarm {
        Alarm {
            topic: key.0.clone(),
            topic_name: topic_name.to_owned(),
            region: key.1.clone(),
            country: self.table.country(&key.1),
            explained_by: None,
            depth: self.depth(&key.1),
            window_end: finding.end,
            window_length: finding.length,
            stage: finding.stage,
            fired_at,
            observed: finding.observed,
            posts: finding.posts,
            population: finding.population,
            expected: finding.expected(),
            upperbound: finding.judgement.upperbound.unwrap_or(0.0),
            method: self.rules(finding.end - 1).map_or(String::new(), |rules| rules.settings.detect.method.clone()),
            coverage: finding.coverage,
            recurrence: finding.recurrence,
            grounds: self.doubted(key, finding, grounds, &explanation),
            explanation,
        }
    }

    /// With how much could be placed, and what makes it doubtful.
    fn doubted(&self, key: &(String, String), finding: &Finding, mut grounds: Box<Grounds>, explanation: &Explanation) -> Box<Grounds> {
        let (from, to) = (finding.end - finding.length, finding.end);
        let posts = |region: &str| self.population(Side::Aligned, region, from, to) as f64;
        let (placed, all) = match self.table.level(&key.1) {
            Level::First => {
                let country = self.table.country(&key.1).unwrap_or_default();
                let beside = format!("{country}-");
                let regions: BTreeSet<&str> = self
                    .head
                    .aligned
                    .totals
                    .keys()
                    .filter(|(region, _)| region.starts_with(&beside))
                    .map(|(region, _)| region.as_str())
                    .collect();
                (regions.into_iter().map(posts).sum(), posts(&country))
            }
            _ => (posts(WORLD) - posts(UNLOCATED), posts(WORLD)),
        };
        grounds.located_share = (all > 0.0 && key.1 != WORLD).then(|| (placed / all).clamp(0.0, 1.0));
        let doubtful =
            |count: u32| explanation.sampled >= SAMPLED_LEAST && f64::from(count) > DOUBTFUL_SHARE * f64::from(explanation.sampled);
        let most_linked = explanation.link_domains.first().map_or(0, |(_, posts)| *posts);
        let found = [
            (Suspect::OneAccount, explanation.most_by_one),
            (Suspect::OneLink, most_linked),
            (Suspect::NearCopies, explanation.near_copies),
            (Suspect::NewAccounts, explanation.new_accounts),
        ];
        grounds.suspect.extend(found.into_iter().filter(|(_, count)| doubtful(*count)).map(|(suspect, _)| suspect));
        grounds.suspect.sort();
        grounds
    }

    /// Counts inside a window only grow, except by deletions, and its bound is fixed: the post that passes it fires at once.
    fn fire_early(&mut self, frame: &Frame, version: Version, out: &mut Vec<Record>) {
        let Some(watermark) = frame.watermark else { return };
        let mut fired = Vec::new();
        let mut pasts: BTreeMap<(Vec<Micros>, Micros), Pasts> = BTreeMap::new();
        for change in &frame.series {
            let Some(topic) = self.topic(&change.topic).filter(|topic| topic.kind.fires_early()).cloned() else { continue };
            let key = (change.topic.clone(), change.region.clone());
            for window in change.windows.iter().filter(|window| window.end > watermark) {
                // After a deletion a frame has no steps; what it says of a window that is open now stands all the same.
                let from = window.end - window.length;
                let counted =
                    window.end - topic.pane <= watermark && change.panes.iter().any(|pane| (from..window.end).contains(&pane.start));
                if !window.steps.is_empty() || counted {
                    fired.extend(self.early_alarm(&topic, &key, window, frame.partition, watermark, &mut pasts));
                }
            }
        }
        fired.sort_by_key(|(alarm, _)| alarm.country.is_none());
        for (mut alarm, finding) in fired {
            if alarm.country.is_none() {
                alarm.explained_by = explained_by(&self.open_excess(&alarm), &alarm);
            }
            let key = (alarm.topic.clone(), alarm.region.clone());
            out.push(Record::Verdict(finding.verdict(&key, &alarm.method, 0, version)));
            self.head.episodes.alarm(alarm, version);
        }
        self.head.episodes.tell(version, out);
    }

    fn early_alarm(
        &mut self,
        topic: &TopicSetting,
        key: &(String, String),
        window: &WindowChange,
        partition: u32,
        watermark: Micros,
        pasts: &mut BTreeMap<(Vec<Micros>, Micros), Pasts>,
    ) -> Option<(Alarm, Finding)> {
        let rules = Arc::clone(self.rules(window.end - 1)?);
        let known = self.series.get(key)?.bounds.get(&window.end).copied();
        let bound = match known {
            Some(bound) => bound,
            None if rules.predicts() => {
                if window.end - topic.pane > watermark || topic.windows.first() != Some(&window.length) {
                    return None;
                }
                let (pasts, view) = &*self.open_view(topic, window.end, &rules);
                let opinion = self.early_opinion(key, self.series.get(key)?, pasts, view, 0);
                let upperbound = opinion.judgement.upperbound.filter(|_| opinion.judgement.alarm.is_some() || !opinion.is_learning());
                Bound { length: opinion.length, expected: opinion.judgement.expected.unwrap_or(0.0), upperbound, fired: false }
            }
            None => {
                let pasts = pasts.entry((topic.windows.clone(), window.end)).or_insert_with(|| self.pasts(&topic.windows, window.end));
                let (length, past) = self.window_length(key, self.series.get(key)?, pasts);
                let judgement = judge(&rules.method, past, 0);
                let expected = judgement.expected.unwrap_or(0.0);
                Bound { length, expected, upperbound: judgement.upperbound, fired: false }
            }
        };
        let series = self.series.get(key)?;
        let (from, length, end) = (window.end - window.length, window.length, window.end);
        let others = series.open.windows.get(&(length, end));
        let other_authors = others.map_or(0, |parts| parts.sum_without(partition, |part| part.authors));
        let other_posts = series.open.posts(from, end, Some(partition));
        let as_told = Step {
            event_time: series
                .open
                .panes
                .range(from..end)
                .flat_map(|(_, parts)| parts.values())
                .map(|pane| pane.newest)
                .max()
                .unwrap_or(from),
            authors: window.authors,
            authors_self: window.authors_self,
            posts: series.open.posts(from, end, None) - other_posts,
        };
        let steps = if window.steps.is_empty() { std::slice::from_ref(&as_told) } else { &window.steps };
        // What other partitions have counted already came before this step.
        let others = series.open.panes.range(from..end).filter_map(|(_, parts)| parts.newest_without(partition));
        let others_newest = others.max().unwrap_or(from);
        let upperbound = bound.upperbound.filter(|_| bound.length == length && !bound.fired);
        let certain = upperbound.and_then(|upperbound| {
            steps.iter().map(|step| (step.event_time.max(others_newest), other_authors + step.authors, other_posts + step.posts)).find(
                |(_, observed, posts)| {
                    f64::from(*observed) > upperbound && above_floors(&rules.settings, topic.kind, *observed, *posts, bound.expected)
                },
            )
        });
        let fired = certain.and_then(|(fired_at, observed, posts)| {
            // What has not come yet can't be missing.
            let coverage = self.coverage(Side::Open, from, watermark.clamp(from + 1, end));
            let (grounds, recurrence) = self.early_grounds(key, series, topic, end, observed, &rules);
            let finding = Finding {
                stage: Stage::Early,
                end,
                length,
                observed,
                posts,
                population: self.population(Side::Open, &key.1, from, end),
                judgement: Judgement {
                    expected: Some(bound.expected),
                    upperbound: bound.upperbound,
                    alarm: Some(true),
                    ..Judgement::default()
                },
                reason: grounds.reason.clone(),
                coverage,
                grounds,
                recurrence,
            };
            (coverage >= rules.settings.detect.coverage).then_some((fired_at, finding))
        });
        let fired_once = fired.is_some();
        let is_new = fired_once && !self.head.episodes.holds(&key.0, &key.1, end);
        let alarm = fired.filter(|_| is_new).map(|(fired_at, finding)| {
            let explanation = explain::explain(&series.open, from, end);
            let pasts = pasts.entry((topic.windows.clone(), end)).or_insert_with(|| self.pasts(&topic.windows, end));
            let grounds = self.grounds(key, series, pasts, &finding);
            (self.alarm(key, &topic.name, &finding, fired_at, explanation, grounds), finding)
        });
        let fired = bound.fired || fired_once;
        self.series.get_mut(key)?.bounds.insert(end, Bound { fired, ..bound });
        alarm
    }

    /// What a topic's regions know at the end of an open window. Kept from frame to frame where all that it rests on is final.
    fn open_view(&mut self, topic: &TopicSetting, end: Micros, rules: &Rules) -> Arc<(Pasts, View)> {
        let name = (topic.id.clone(), end);
        if let Some(known) = self.views.get(&name) {
            return Arc::clone(known);
        }
        let pasts = self.pasts(&topic.windows, end);
        let view = self.view(&topic.id, &pasts);
        let made = Arc::new((pasts, view));
        let settings = &rules.settings;
        if settings.detect.guardband >= settings.horizon + 2 * topic.pane {
            self.views.retain(|(_, known), _| *known > end - DAY);
            self.views.insert(name, Arc::clone(&made));
        }
        made
    }

    fn early_grounds(
        &self,
        key: &(String, String),
        series: &Series,
        topic: &TopicSetting,
        end: Micros,
        observed: u32,
        rules: &Rules,
    ) -> (Grounds, Option<f64>) {
        if !rules.predicts() {
            return (Grounds::default(), None);
        }
        let made = match self.views.get(&(topic.id.clone(), end)) {
            Some(known) => Arc::clone(known),
            None => {
                let pasts = self.pasts(&topic.windows, end);
                let view = self.view(&topic.id, &pasts);
                Arc::new((pasts, view))
            }
        };
        let opinion = self.early_opinion(key, series, &made.0, &made.1, observed);
        (opinion.grounds, opinion.recurrence)
    }

    /// For each country what its open window has above its expectation.
    fn open_excess(&self, alarm: &Alarm) -> BTreeMap<String, f64> {
        let (length, end) = (alarm.window_length, alarm.window_end);
        let Some(rules) = self.rules(end - 1) else { return BTreeMap::new() };
        let ends = self.past_ends(length, end, 0);
        let keys = self.keys(&alarm.topic);
        let countries = keys.iter().filter(|(_, region)| self.table.level(region) == Level::Country && region != UNLOCATED);
        countries
            .filter_map(|key| {
                let series = self.series.get(key)?;
                let observed = Watch::window(series, Side::Open, length, end).authors;
                let past = self.past(key, series, length, end, &ends);
                let expected = if rules.predicts() {
                    // Near enough to say which country brings most: what the last window that was judged expected.
                    series.judged.values().next_back().map_or_else(|| mean(&past), |judged| judged.expected)
                } else {
                    judge(&rules.method, past, 0).expected.unwrap_or(0.0)
                };
                Some((key.1.clone(), f64::from(observed) - expected))
            })
            .collect()
    }

    // ---- telling ----

    /// Whether what began then, in panes of this length, has been told for good already.
    fn is_final(&self, start: Micros, length: Micros) -> bool {
        self.head.cursors.get(&length).is_some_and(|cursors| start + length < cursors.last)
    }

    fn tell_open(&mut self, version: Version, out: &mut Vec<Record>) {
        for (topic, region, start) in std::mem::take(&mut self.head.changed_cells) {
            let length = self.topic(&topic).map_or(HOUR, |topic| topic.pane);
            if !self.is_final(start, length) {
                self.tell_cell(CellName { side: Side::Open, topic: &topic, region: &region, start }, version, out);
            }
        }
        for (pane_start, key, region) in std::mem::take(&mut self.head.changed_tags) {
            let tags = self.head.open.tags.get(&pane_start).and_then(|tags| tags.get(&(key.clone(), region.clone())));
            let Some(posts) = tags.map(|parts| parts.values().sum()).filter(|_| !self.is_final(pane_start, HOUR)) else { continue };
            out.push(Record::TagCount(TagCount { key, region, pane_start, posts, last: false, version }));
        }
        for (start, pane_length, region) in std::mem::take(&mut self.head.changed_totals) {
            let panes = self.head.open.totals.get(&(region.clone(), pane_length));
            let total = panes.and_then(|panes| panes.get(&start)).map(Parts::total);
            let Some(TotalParts { posts, sampled }) = total.filter(|_| !self.is_final(pane_start(start, HOUR), HOUR)) else { continue };
            out.push(Record::Total(Total { region, pane_start: start, pane_length, posts, last: false, version, sampled }));
        }
        for (pane_start, feed) in std::mem::take(&mut self.head.changed_coverage) {
            let covered =
                self.head.open.coverage.get(&pane_start).and_then(|feeds| feeds.get(&feed)).and_then(|parts| parts.values().min());
            let Some(covered) = covered.filter(|_| !self.is_final(pane_start, HOUR)) else { continue };
            let share = *covered as f64 / HOUR as f64;
            out.push(Record::Coverage(CoverageRow { feed, pane_start, pane_length: HOUR, share, version }));
        }
    }

    /// The aligned fold is asked for what is final. Of a kind with a floor nothing below it is told; what has been told before
    /// and is below it now is told as empty.
    fn tell_cell(&mut self, name: CellName, version: Version, out: &mut Vec<Record>) {
        let CellName { side, topic, region, start } = name;
        let last = side == Side::Aligned;
        let Some(setting) = self.topic(topic) else { return };
        let (length, floor) = (setting.pane, setting.kind.floor());
        let counts_days = setting.windows.contains(&DAY);
        let key = (topic.to_owned(), region.to_owned());
        let Some(series) = self.series.get(&key) else { return };
        let fold = Watch::side(series, side);
        if !fold.panes.contains_key(&start) {
            return;
        }
        let mut pane = fold.pane(start);
        let mut authors_24h = match length {
            DAY => Some(pane.authors),
            _ if length < DAY && counts_days => Some(Watch::window(series, side, DAY, start + length).authors),
            _ => None,
        };
        if floor > 0 {
            let named = (key.0.clone(), key.1.clone(), start);
            pane.withhold_below(floor);
            if pane.authors.max(pane.authors_filtered) == 0 {
                if !self.head.told_cells.remove(&named) {
                    return;
                }
                pane = fold::Pane::default();
            } else if last {
                self.head.told_cells.remove(&named);
            } else {
                self.head.told_cells.insert(named);
            }
            authors_24h = authors_24h.filter(|authors| *authors >= floor);
        }
        out.push(Record::Count(Count {
            topic: key.0,
            level: self.table.level(&key.1).number(),
            pane_start: start,
            pane_length: length,
            posts: pane.posts,
            authors: pane.authors,
            authors_24h,
            authors_self: pane.authors_self,
            posts_news: pane.posts_news,
            posts_filtered: pane.posts_filtered,
            authors_filtered: pane.authors_filtered,
            total_posts: self.population(side, &key.1, start, start + length),
            last,
            newest: pane.newest,
            version,
            region: key.1,
        }));
    }

    /// Everything before `end` in panes of this length can't change any more.
    fn make_final(&mut self, pane: Micros, end: Micros, version: Version, out: &mut Vec<Record>) {
        let start = end - pane;
        let topics = self.topics(pane, end);
        for topic in &topics {
            for key in self.keys(&topic.id) {
                let Some(series) = self.series.get_mut(&key) else { continue };
                if series.began_for_good.is_none() && series.aligned.pane(start).posts > 0 {
                    series.began_for_good = Some(start);
                }
            }
        }
        self.close(pane, end, Stage::Final, false, version, out);
        let longest = self.rules.iter().map(|rules| rules.settings.longest_window()).max().unwrap_or(0);
        for topic in &topics {
            let floor = topic.kind.floor();
            for key in self.keys(&topic.id) {
                self.tell_cell(CellName { side: Side::Aligned, topic: &key.0, region: &key.1, start }, version, out);
                let Some(series) = self.series.get_mut(&key) else { continue };
                series.judged.remove(&end);
                for &length in &topic.windows {
                    let window = series.aligned.window(length, end).unwrap_or_default();
                    if window.authors > 0 {
                        series.history.insert((length, end), window);
                    }
                    if window.authors > 0 && window.authors >= floor {
                        out.push(Record::WindowCount(WindowCount {
                            topic: key.0.clone(),
                            region: key.1.clone(),
                            end,
                            length,
                            authors: window.authors,
                            authors_self: if floor > 0 { 0 } else { window.authors_self },
                            last: true,
                            version,
                        }));
                    }
                    series.history.remove(&(length, end - HISTORY));
                    for fold in [&mut series.aligned, &mut series.open] {
                        fold.windows.remove(&(length, end));
                    }
                }
                for fold in [&mut series.aligned, &mut series.open] {
                    // Whole panes are needed as long as a window that holds them is judged.
                    while fold.panes.first_key_value().is_some_and(|(start, _)| *start < end - longest) {
                        fold.panes.pop_first();
                    }
                }
            }
        }
        if end == pane_start(end, DAY) {
            for topic in &topics {
                self.publish(topic, end, version, out);
            }
        }
        if pane == HOUR {
            self.make_shared_final(start, version, out);
            self.forget(end, version, out);
        }
    }

    /// What the public may see of the day that ends now. A day of which the log holds only a part has no number, and so no second one
    /// should the log be made anew: days are told once.
    fn publish(&self, topic: &TopicSetting, end: Micros, version: Version, out: &mut Vec<Record>) {
        let is_counted = topic.windows.contains(&DAY) && topic.pane <= DAY;
        let begins_before = self.head.first_coverage.is_some_and(|first| first <= end - DAY);
        // Where the log ends in the midst of a day, panes of a day are made final all the same.
        let watermark = self.head.partitions.iter().filter_map(|partition| partition.watermark).max();
        let goes_on = |until: Option<Micros>| until.is_some_and(|until| pane_border(until, HOUR) >= end);
        if !is_counted || !begins_before || !(goes_on(watermark) || goes_on(self.last_told())) {
            return;
        }
        let span = (topic.id.clone(), String::new())..(format!("{}\0", topic.id), String::new());
        let counted = self.series.range(span).filter(|(_, series)| series.began_for_good.is_some());
        let accounts: BTreeMap<String, u32> = counted
            .map(|((_, region), series)| (region.clone(), series.history.get(&(DAY, end)).map_or(0, |window| window.authors)))
            .collect();
        if accounts.is_empty() {
            return;
        }
        for (region, accounts) in publish::day(topic.kind, &self.table, &accounts) {
            let level = self.table.level(&region).number();
            out.push(Record::PublicCount(PublicCount { topic: topic.id.clone(), region, level, day: end - DAY, accounts, version }));
        }
    }

    /// What is older than any window that is still judged, or than any past that one is judged by.
    fn forget(&mut self, end: Micros, version: Version, out: &mut Vec<Record>) {
        for shared in [&mut self.head.aligned, &mut self.head.open] {
            for panes in shared.totals.values_mut() {
                while panes.first_key_value().is_some_and(|(start, _)| *start < end - TOTALS_KEPT) {
                    panes.pop_first();
                }
            }
            shared.totals.retain(|_, panes| !panes.is_empty());
            while shared.coverage.first_key_value().is_some_and(|(start, _)| *start + HOUR <= end - HISTORY) {
                shared.coverage.pop_first();
            }
        }
        self.head.exclusions.retain(|exclusion| exclusion.to > end - HISTORY);
        while self.rules.get(1).is_some_and(|next| next.settings.from <= end - HISTORY) {
            self.rules.remove(0);
            self.relearn();
            let rules = &self.rules;
            self.series.retain(|(topic, _), _| rules.iter().any(|rules| rules.settings.topic(topic).is_some()));
        }
        // Nobody judges what newer settings have dropped: its episodes end by themselves.
        let Some(rules) = self.rules(end - 1).cloned() else { return };
        self.head.episodes.quiet_others(|topic| rules.settings.topic(topic).is_some(), end);
        self.head.episodes.tell(version, out);
    }

    fn make_shared_final(&mut self, start: Micros, version: Version, out: &mut Vec<Record>) {
        for ((region, pane_length), panes) in &self.head.aligned.totals {
            for (pane_start, parts) in panes.range(start..start + HOUR) {
                let TotalParts { posts, sampled } = parts.total();
                if *pane_length == HOUR {
                    self.head.denominators.put(region, *pane_start, posts);
                }
                out.push(Record::Total(Total {
                    region: region.clone(),
                    pane_start: *pane_start,
                    pane_length: *pane_length,
                    posts,
                    last: true,
                    version,
                    sampled,
                }));
            }
        }
        for ((key, region), parts) in self.head.aligned.tags.remove(&start).into_iter().flatten() {
            let posts = parts.values().sum();
            out.push(Record::TagCount(TagCount { key, region, pane_start: start, posts, last: true, version }));
        }
        self.head.open.tags.remove(&start);
        for (feed, parts) in self.head.aligned.coverage.get(&start).into_iter().flatten() {
            let share = parts.values().min().copied().unwrap_or(0) as f64 / HOUR as f64;
            out.push(Record::Coverage(CoverageRow { feed: feed.clone(), pane_start: start, pane_length: HOUR, share, version }));
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

impl Finding {
    fn expected(&self) -> f64 {
        self.judgement.expected.unwrap_or(0.0)
    }

    fn excess(&self) -> f64 {
        f64::from(self.observed) - self.expected()
    }

    fn verdict(&self, key: &(String, String), method: &str, revision: u32, version: Version) -> Verdict {
        Verdict {
            topic: key.0.clone(),
            region: key.1.clone(),
            window_end: self.end,
            window_length: self.length,
            method: method.to_owned(),
            stage: self.stage,
            observed: self.observed,
            population: self.population,
            expected: self.judgement.expected,
            upperbound: self.judgement.upperbound,
            pvalue: self.judgement.pvalue,
            alarm: self.judgement.alarm,
            reason: self.reason.clone(),
            coverage: self.coverage,
            revision,
            version,
            expected_low: self.grounds.expected_low,
            expected_high: self.grounds.expected_high,
            detectable_rise: self.grounds.detectable_rise,
            qvalue: None,
            provisional: self.grounds.provisional,
        }
    }
}

/// Judges a count against the past of its series.
fn judge(method: &Method, mut past: Vec<Option<f64>>, observed: u32) -> Judgement {
    past.push(Some(f64::from(observed)));
    judge_last(method, &past)
}

fn mean(past: &[Option<f64>]) -> f64 {
    let known: Vec<f64> = past.iter().flatten().copied().collect();
    known.iter().sum::<f64>() / (known.len() as f64).max(1.0)
}

/// q-values of verdicts by Benjamini and Hochberg (1995), among those of one window length.
fn set_qvalues(told: &mut [Record]) {
    let mut by_length: BTreeMap<Micros, Vec<&mut Verdict>> = BTreeMap::new();
    for record in told {
        if let Record::Verdict(verdict) = record
            && verdict.pvalue.is_some()
        {
            by_length.entry(verdict.window_length).or_default().push(verdict);
        }
    }
    for verdicts in by_length.values_mut() {
        verdicts.sort_by(|a, b| b.pvalue.unwrap_or(1.0).total_cmp(&a.pvalue.unwrap_or(1.0)));
        let all = verdicts.len();
        let mut least = 1.0_f64;
        for (nth, verdict) in verdicts.iter_mut().enumerate() {
            let rank = all - nth;
            least = least.min(verdict.pvalue.unwrap_or(1.0) * all as f64 / rank as f64);
            verdict.qvalue = Some(least);
        }
    }
}

/// What stands between an alarm and an alert.
fn above_floors(settings: &Settings, kind: Kind, observed: u32, posts: u32, expected: f64) -> bool {
    let floors = &settings.detect.floors;
    observed >= floors.accounts.max(kind.floor()) && posts >= floors.posts && f64::from(observed) >= floors.ratio * expected
}

/// The country with the largest excess, if that is at least half of the alarm's own.
fn explained_by(excess: &BTreeMap<String, f64>, alarm: &Alarm) -> Option<String> {
    let own = f64::from(alarm.observed) - alarm.expected;
    let (country, largest) = excess.iter().max_by(|a, b| a.1.total_cmp(b.1).then_with(|| b.0.cmp(a.0)))?;
    (alarm.country.is_none() && *largest * 2.0 >= own).then(|| country.clone())
}

#[cfg(test)]
mod tests;
