//! Watch: sums the frames of all partitions, closes windows, judges them and raises alerts.
//!
//! Between tally and everything that reads counts: `tallies` in; counts, verdicts and alerts out.
//! Frames enter by the [`schedule`], their values go to the [`ledger`], which has two folds: *open*
//! applies every frame as it comes (for open counts and early firing); *aligned* holds a
//! partition's frames back beyond the next instant until every partition has passed it, so that
//! what is closed doesn't depend on the order in which partitions were read. At each instant a
//! [`judge`] judges the windows that [`close`], and [`episodes`] joins alarms into alerts.
//! Knows no posts, no clock, no store.

mod batch;
mod chart;
mod close;
mod denominators;
mod early;
mod emit;
mod episodes;
mod explain;
mod finding;
mod fold;
mod judge;
mod ledger;
mod ruler;
mod schedule;
mod series;
mod settings;
mod stored;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use record::policy::BASELINE_REACH as HISTORY;
use record::time::{DAY, HOUR, WEEK, pane_start};
use record::{Frame, Handled, Micros, Position, Record, SeriesChange, Settings, Stage, Version};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::forecast::weeks;
use crate::snapshot::ChunkName;
use batch::Batch;
use close::Close;
use early::{Early, early_changes};
use emit::Emitter;
use episodes::Episodes;
use judge::Baselines;
pub(crate) use judge::recompute;
use ledger::Ledger;
use schedule::{Accepted, Due, DuePane, Schedule};

const STAGE: &str = "watch";

/// What the weekly look reads, and with it denominators and coverage.
const REACH: Micros = (weeks::BASELINE + weeks::GUARD + 1) as Micros * WEEK;

/// What watch emits.
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
    mode: Mode,
    next: Position,
    schedule: Schedule,
    ledger: Ledger,
    episodes: Episodes,
    /// Window ends that were never judged because the watermark jumped over them.
    skipped: u64,
    emitter: Emitter,
    /// Of open windows; follows from the ledger.
    baselines: Baselines,
    known_chunks: BTreeSet<ChunkName>,
    /// Each frame waits by itself.
    #[cfg(test)]
    unmerged: bool,
}

impl Watch {
    pub fn new(mode: Mode) -> Watch {
        Watch {
            mode,
            next: 0,
            schedule: Schedule::default(),
            ledger: Ledger::default(),
            episodes: Episodes::default(),
            skipped: 0,
            emitter: Emitter::default(),
            baselines: Baselines::default(),
            known_chunks: BTreeSet::new(),
            #[cfg(test)]
            unmerged: false,
        }
    }

    /// The first position of `tallies` that has not been applied.
    pub fn next(&self) -> Position {
        self.next
    }

    /// What all partitions have passed.
    pub fn watermark(&self) -> Option<Micros> {
        self.schedule.watermark()
    }

    /// Number of (topic, region) series held.
    pub fn series_held(&self) -> usize {
        self.ledger.series.len()
    }

    /// Running totals over all partitions.
    pub fn handled(&self) -> Handled {
        self.schedule.handled()
    }

    /// Values of frames that wait because another partition has yet to pass an instant.
    pub fn pending(&self) -> usize {
        self.schedule.pending_values()
    }

    /// Cells held: panes of series.
    pub fn cells(&self) -> usize {
        self.ledger.cells()
    }

    /// Whether every partition has ended and everything is final.
    pub fn ended(&self) -> bool {
        self.schedule.has_ended()
    }

    /// Windows that were not judged because the watermark jumped over them: ends, of each pane
    /// length by itself.
    pub fn skipped_windows(&self) -> u64 {
        self.skipped
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
        if position < self.next {
            return Ok(());
        }
        match record {
            Record::Settings(settings) => {
                let is_new = self.add_settings(settings)?;
                // Readers of the output need the names of topics too.
                out.extend(is_new.then(|| record.clone()));
            }
            Record::Frame(frame) => self.apply_frame(position, frame, out)?,
            Record::Exclusion(what) => {
                self.ledger.exclude(what);
                self.baselines.clear();
            }
            Record::Lift(lift) => {
                self.ledger.lift(lift);
                self.baselines.clear();
            }
            _ => {}
        }
        self.next = position + 1;
        Ok(())
    }

    /// Goes on behind a record that can't be read. If it was a frame, the next one of its partition
    /// is a gap.
    pub fn pass(&mut self, position: Position) {
        self.next = self.next.max(position + 1);
    }

    /// Goes on at `to`: records before it were deleted unread. What frames changed there is
    /// unknown, so from a horizon before the last one read until the first that is left hours count
    /// as not covered; `settings` are those that the log holds.
    ///
    /// # Errors
    /// Settings that name no detector.
    pub fn skip(
        &mut self,
        to: Position,
        settings: Option<Settings>,
        out: &mut Vec<Record>,
    ) -> Result<(), WatchError> {
        if to <= self.next {
            return Ok(());
        }
        self.next = to;
        if let Some(settings) = settings
            && self.add_settings(&settings)?
        {
            out.push(Record::Settings(settings));
        }
        let horizon = self.ledger.settings.newest().map_or(0, |settings| settings.horizon);
        self.schedule.skip_frames(horizon);
        Ok(())
    }

    /// Returns whether the settings are newer than those known.
    fn add_settings(&mut self, settings: &Settings) -> Result<bool, WatchError> {
        let is_new = self.ledger.settings.add(settings)?;
        if is_new {
            self.baselines.clear();
            self.schedule.add_settings(settings);
        }
        Ok(is_new)
    }

    fn apply_frame(
        &mut self,
        position: Position,
        frame: &Frame,
        out: &mut Vec<Record>,
    ) -> Result<(), WatchError> {
        let Some(settings) = self.ledger.settings.newest() else {
            return Err(WatchError::NoSettings);
        };
        let version = Version::new(settings.generation, position);
        let Some(accepted) = self.schedule.accept(frame, settings)? else { return Ok(()) };
        let Accepted { frame, is_whole, early } = accepted;
        let frame = &*frame;
        let index = frame.partition as usize;
        let batch = Batch::of(frame);
        if self.mode == Mode::Live {
            self.emitter.mark_changed(&batch.values, &self.ledger);
        }
        if is_whole && self.schedule.awaits(index, settings) {
            self.schedule.align(index, batch.watermark);
            self.ledger.settle(index, batch, true, self.mode.follows_open());
        } else {
            if self.mode.follows_open() {
                self.ledger.lay(frame.partition, &batch.values);
            }
            let changes = self.early_changes(frame);
            let partition = &mut self.schedule.partitions[index];
            partition.partial.absorb(batch);
            if !frame.last {
                partition.early = [early, changes].concat();
                return Ok(());
            }
            #[cfg(test)]
            let merges = !self.unmerged;
            #[cfg(not(test))]
            let merges = true;
            self.schedule.queue(index, &self.ledger.settings, merges);
        }
        self.advance(version, out);
        self.fire_early(frame, early, version, out);
        if self.mode == Mode::Live {
            self.emitter.emit_open(frame.at, &self.ledger, &self.schedule, version, out);
        }
        Ok(())
    }

    fn early_changes(&self, part: &Frame) -> Vec<SeriesChange> {
        let Some(watermark) = part.watermark.filter(|_| self.mode.follows_open() && !part.last)
        else {
            return Vec::new();
        };
        let of_topic = |change: &SeriesChange| {
            early_changes(self.ledger.settings.topic(&change.topic)?, change, watermark)
        };
        part.series.iter().filter_map(of_topic).collect()
    }

    fn fire_early(
        &mut self,
        frame: &Frame,
        early: Vec<SeriesChange>,
        version: Version,
        out: &mut Vec<Record>,
    ) {
        let Some(watermark) = frame.watermark else { return };
        if !self.mode.follows_open() || frame.ended {
            return;
        }
        let changes = if early.is_empty() {
            Cow::Borrowed(&frame.series)
        } else {
            Cow::Owned([early, frame.series.clone()].concat())
        };
        let early = Early {
            ledger: &mut self.ledger,
            episodes: &mut self.episodes,
            baselines: &mut self.baselines,
            partition: frame.partition,
            watermark,
            version,
        };
        early.run(&changes, out);
    }

    // ---- instants ----

    /// Takes into the aligned fold each partition's frames up to the first that has passed
    /// `instant`.
    fn align(&mut self, instant: Micros) {
        while let Some((index, batch)) = self.schedule.pop(instant) {
            self.ledger.settle(index, batch, false, self.mode.follows_open());
        }
    }

    /// Handles every instant that all partitions have passed.
    fn advance(&mut self, version: Version, out: &mut Vec<Record>) {
        let ledger = &self.ledger;
        let last_start = |schedule: &Schedule| emit::last_counted(ledger, schedule);
        let Some(reached) = self.schedule.reached(&ledger.settings, last_start) else { return };
        loop {
            self.skip_empty(reached.passed, version, out);
            let Some(settings) = self.ledger.settings.newest() else { return };
            let Some(due) = self.schedule.next_due(settings, reached.end) else { break };
            // Also towards an instant that others have yet to pass: held back is only what lies
            // beyond it.
            self.align(due.instant);
            if reached.end.is_none() && due.instant > reached.passed {
                break;
            }
            self.schedule.advance(due.due, due.length);
            self.handle(due, version, out);
        }
        if reached.end.is_some() {
            self.align(Micros::MAX);
            if self.mode == Mode::Batch {
                self.episodes.end_all();
                self.episodes.emit(version, out);
            }
        }
        self.schedule.finish(reached);
    }

    fn handle(
        &mut self,
        DuePane { due, length, end, .. }: DuePane,
        version: Version,
        out: &mut Vec<Record>,
    ) {
        match due {
            Due::Final => self.make_final(length, end, version, out),
            // Where the horizon is short a window may be final before it is judged again.
            Due::Close | Due::Again if self.schedule.is_final(end - length, length) => {}
            Due::Close => {
                if self.mode == Mode::Live {
                    self.emitter.mark_closed(length, end, &self.ledger);
                }
                self.close((length, end), Stage::Closed, false, version, out);
            }
            Due::Again => self.close((length, end), Stage::Closed, true, version, out),
        }
    }

    /// Judges all windows of topics with this pane length that end at `end`.
    fn close(
        &mut self,
        (pane, end): (Micros, Micros),
        stage: Stage,
        only_changed: bool,
        version: Version,
        out: &mut Vec<Record>,
    ) {
        let is_judged = match self.mode {
            Mode::Live | Mode::AsLive => true,
            Mode::Batch => stage == Stage::Final,
            Mode::Counts => false,
        };
        let rules = self.ledger.settings.at(end - 1).filter(|_| is_judged);
        let Some(rules) = rules.map(Arc::clone) else { return };
        let is_batch = self.mode == Mode::Batch;
        let newest = self.schedule.next_close(pane).map_or(end, |next| next - pane);
        let topics = self.ledger.settings.topics(pane, end);
        let close = Close {
            ledger: &mut self.ledger,
            episodes: &mut self.episodes,
            baselines: Baselines::default(),
            rules: &rules,
            end,
            stage,
            only_changed,
            ends_quiet: !only_changed && (stage == Stage::Closed || is_batch),
            newest: if is_batch { end } else { newest },
            version,
            coverages: BTreeMap::new(),
        };
        close.run(&topics, out);
    }

    /// Judges and emits panes of this length that end at `end` for the last time.
    fn make_final(&mut self, pane: Micros, end: Micros, version: Version, out: &mut Vec<Record>) {
        let start = end - pane;
        let topics = self.ledger.settings.topics(pane, end);
        for topic in &topics {
            self.ledger.begin_for_good(&topic.id, start);
        }
        self.close((pane, end), Stage::Final, false, version, out);
        for topic in &topics {
            self.emitter.finish_topic(&mut self.ledger, topic, end, version, out);
        }
        if end == pane_start(end, DAY) {
            for topic in &topics {
                emit::emit_public(&self.ledger, &self.schedule, topic, end, version, out);
            }
        }
        if pane == HOUR {
            self.emitter.finish_hour(&mut self.ledger, start, version, out);
            self.forget(end, version, out);
        }
    }

    /// Forgets what is older than any window that is still judged and any past that one is compared
    /// with.
    fn forget(&mut self, end: Micros, version: Version, out: &mut Vec<Record>) {
        self.emitter.forget(end, &self.ledger);
        self.ledger.forget(end);
        // Newer settings may have dropped a topic: its episodes end by themselves.
        let Some(rules) = self.ledger.settings.at(end - 1) else { return };
        self.episodes.end_quiet_others(|topic| rules.settings.topic(topic).is_some(), end);
        self.episodes.emit(version, out);
    }

    /// Steps over a long stretch of time in which nothing was counted, as after a wrong clock, an
    /// outage of weeks or in a file with a gap of years. Windows with counts in them, and all within
    /// the longest window and the horizon of the new watermark, are judged; those between are only
    /// counted.
    fn skip_empty(&mut self, passed: Micros, version: Version, out: &mut Vec<Record>) {
        let Some(settings) = self.ledger.settings.newest() else { return };
        let Some(first) = self.schedule.first_final() else { return };
        let longest = self.ledger.settings.longest_window();
        // No post that is still to come is older.
        let until = passed - settings.horizon;
        if until - first <= longest {
            return;
        }
        let next_start = |pane: Micros| Some(self.schedule.next_final(pane)? - pane);
        let counted = self.ledger.first_start(next_start);
        let start = counted.into_iter().chain(self.schedule.pending_starts()).min();
        let to = start.map_or(until, |start| start.min(until));
        if to - first <= longest {
            return;
        }
        let (ends, skipped) = self.schedule.jump(to);
        self.skipped += skipped;
        self.episodes.end_quiet_others(|_| false, to);
        self.ledger.skip_to(to, &ends);
        self.forget(pane_start(to, HOUR), version, out);
        self.ledger.forget_series(to);
    }
}

#[cfg(test)]
mod tests;
