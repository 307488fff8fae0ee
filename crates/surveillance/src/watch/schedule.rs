//! Schedule: how far each partition has come, which batches wait, and which windows are due.
//!
//! Frames enter here; batches leave in the order in which the aligned fold takes them. Knows
//! watermarks and pane ends, no counts and no judge.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use record::policy::AHEAD_MAX;
use record::time::{HOUR, pane_border, pane_start};
use record::{Coverage, Frame, Handled, Micros, Position, SeriesChange, Settings};
use serde::{Deserialize, Serialize};

use super::WatchError;
use super::batch::Batch;
use super::settings::SettingsHistory;
use crate::tally::hours_told;

/// A closed window is judged once more this much later, if its numbers have changed.
const AGAIN_AFTER: Micros = 6 * HOUR;

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Schedule {
    pub(super) partitions: Vec<Partition>,
    /// Next pane end to be closed, judged again and made final, for each pane length; none before
    /// the first watermark.
    cursors: BTreeMap<Micros, Cursors>,
    /// The aligned watermark.
    passed: Option<Micros>,
    ended: Option<Micros>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Partition {
    /// The last frame that has come as a whole.
    last: Option<Position>,
    /// Of a frame that has come in part: its position, and the part that is due.
    parts: Option<(Position, u32)>,
    /// The values of those parts.
    pub(super) partial: Batch,
    /// Of their changes, those that can make an open window pass its bound.
    pub(super) early: Vec<SeriesChange>,
    watermark: Option<Micros>,
    ended: bool,
    handled: Handled,
    /// What the aligned fold has not taken in: for each instant that may be due the frames up to
    /// the first that has passed it.
    pub(super) pending: VecDeque<Batch>,
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

/// What can happen at an instant of the aligned fold, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Due {
    Final,
    Close,
    Again,
}

/// Panes that are due at an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct DuePane {
    pub(super) instant: Micros,
    pub(super) due: Due,
    pub(super) length: Micros,
    pub(super) end: Micros,
}

/// A frame, or a part of one, that is to be applied.
#[derive(Debug)]
pub(super) struct Accepted<'a> {
    pub(super) frame: Cow<'a, Frame>,
    /// Not in parts.
    pub(super) is_whole: bool,
    /// Of the parts before it, the changes that can make an open window pass its bound.
    pub(super) early: Vec<SeriesChange>,
}

/// How far all partitions have come.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reached {
    pub(super) passed: Micros,
    /// Where the log has ended: the end of the last pane.
    pub(super) end: Option<Micros>,
}

impl Schedule {
    /// What all partitions have passed.
    pub(super) fn watermark(&self) -> Option<Micros> {
        self.passed
    }

    pub(super) fn has_ended(&self) -> bool {
        self.ended.is_some()
    }

    /// The furthest watermark of any partition.
    pub(super) fn furthest(&self) -> Option<Micros> {
        self.partitions.iter().filter_map(|partition| partition.watermark).max()
    }

    pub(super) fn handled(&self) -> Handled {
        self.partitions.iter().fold(Handled::default(), |sum, partition| {
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

    fn pending(&self) -> impl Iterator<Item = &Batch> {
        self.partitions.iter().flat_map(|partition| &partition.pending)
    }

    /// Values of frames that wait because another partition has yet to pass an instant.
    pub(super) fn pending_values(&self) -> usize {
        self.pending().map(Batch::len).sum()
    }

    /// Beginnings of the panes that wait.
    pub(super) fn pending_starts(&self) -> impl Iterator<Item = Micros> {
        self.pending().flat_map(Batch::starts)
    }

    // ---- frames ----

    /// Makes room for what new settings count.
    pub(super) fn add_settings(&mut self, settings: &Settings) {
        let partitions = self.partitions.len().max(settings.partitions as usize);
        self.partitions.resize_with(partitions, Partition::default);
        if let Some(passed) = self.passed {
            for topic in &settings.topics {
                // A post of the new topic may be a horizon old.
                self.cursors
                    .entry(topic.pane)
                    .or_insert_with(|| Cursors::from(passed - settings.horizon, topic.pane));
            }
        }
    }

    /// Notes that frames were deleted unread.
    pub(super) fn skip_frames(&mut self, horizon: Micros) {
        for partition in &mut self.partitions {
            let from = partition
                .watermark
                .map_or(Micros::MAX, |watermark| pane_start(watermark - horizon, HOUR));
            let before = partition.unread.map_or(Micros::MAX, |(before, _)| before);
            partition.unread = Some((from.min(before), None));
        }
    }

    /// Checks that a frame or part is the next one of its partition and notes how far it comes;
    /// returns none where it has been applied already.
    pub(super) fn accept<'a>(
        &mut self,
        frame: &'a Frame,
        settings: &Settings,
    ) -> Result<Option<Accepted<'a>>, WatchError> {
        let partitions = self.partitions.len() as u32;
        let Some(partition) = self.partitions.get_mut(frame.partition as usize) else {
            return Err(WatchError::Partition { partition: frame.partition, partitions });
        };
        if partition.last.is_some_and(|last| frame.position <= last) {
            return Ok(None);
        }
        // The first record after what was deleted unread may be any part of a frame.
        let resumes = matches!(partition.unread, Some((_, None)));
        let frame = partition.uncovered(frame, settings);
        if !partition.expects(&frame, resumes)? {
            return Ok(None);
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
        Ok(Some(Accepted { frame, is_whole, early }))
    }

    // ---- batches ----

    /// Whether the aligned fold needs a partition's next frame for the next instant, whatever the
    /// others have.
    pub(super) fn awaits(&self, index: usize, settings: &Settings) -> bool {
        let partition = &self.partitions[index];
        let next = || self.next_due(settings, None).map(|due| due.instant);
        partition.pending.is_empty()
            && self.ended.is_none()
            && next().is_some_and(|instant| partition.is_behind(instant))
    }

    /// Puts a frame whose parts have all come behind those that wait: into the last of them, unless
    /// an instant may be due between.
    pub(super) fn queue(&mut self, index: usize, settings: &SettingsHistory, merges: bool) {
        let partition = &self.partitions[index];
        let before = partition
            .pending
            .iter()
            .rev()
            .nth(1)
            .map_or(partition.aligned, |batch| batch.watermark);
        let tail = partition.pending.back().map(|batch| batch.watermark);
        let merges = merges && tail.is_some_and(|tail| !self.separates(settings, before, tail));
        let partition = &mut self.partitions[index];
        let batch = std::mem::take(&mut partition.partial);
        match partition.pending.back_mut().filter(|_| merges) {
            Some(last) => last.absorb(batch),
            None => partition.pending.push_back(batch),
        }
    }

    /// Whether an instant lies after one watermark and not after the next: the frame of the latter
    /// is the first that has passed it.
    fn separates(
        &self,
        settings: &SettingsHistory,
        before: Option<Micros>,
        tail: Option<Micros>,
    ) -> bool {
        let Some(tail) = tail else { return false };
        let (Some(before), Some(newest)) = (before, settings.newest()) else { return true };
        let panes: BTreeSet<Micros> =
            settings.panes().chain(self.cursors.keys().copied()).collect();
        let delays = [newest.horizon, newest.lateness, newest.lateness + AGAIN_AFTER];
        panes
            .into_iter()
            .any(|pane| delays.iter().any(|delay| pane_start(tail - delay, pane) > before - delay))
    }

    /// The next batch that waits before a partition has passed `instant`, and its partition.
    pub(super) fn pop(&mut self, instant: Micros) -> Option<(usize, Batch)> {
        let waits = |partition: &mut Partition| {
            partition.is_behind(instant).then(|| partition.pending.pop_front())?
        };
        let (index, batch) =
            (0..).zip(&mut self.partitions).find_map(|(n, part)| Some((n, waits(part)?)))?;
        self.align(index, batch.watermark);
        Some((index, batch))
    }

    /// Notes that the aligned fold has a partition's frames up to this watermark.
    pub(super) fn align(&mut self, index: usize, watermark: Option<Micros>) {
        self.partitions[index].aligned = watermark;
    }

    // ---- instants ----

    /// How far all partitions have come; none before anything was read. `last_start` is the last
    /// pane that was counted in.
    pub(super) fn reached(
        &mut self,
        settings: &SettingsHistory,
        last_start: impl Fn(&Schedule) -> Option<Micros>,
    ) -> Option<Reached> {
        if self.ended.is_some() {
            return None;
        }
        let all_ended = self.partitions.iter().all(|partition| partition.ended);
        // A partition that has ended without any tick or post holds nothing up.
        let empty = |partition: &&Partition| partition.ended && partition.watermark.is_none();
        let watermarks = || {
            let held = self.partitions.iter().filter(|partition| !empty(partition));
            held.map(|partition| partition.watermark)
        };
        let end = all_ended.then(|| watermarks().max().flatten().max(last_start(self))).flatten();
        let Some(passed) = watermarks().min().flatten().or(end) else {
            // Nothing was ever read.
            self.ended = all_ended.then_some(0);
            return None;
        };
        if self.cursors.is_empty() {
            self.start(passed, settings);
        }
        Some(Reached { passed, end })
    }

    /// Notes that everything up to there has been handled.
    pub(super) fn finish(&mut self, Reached { passed, end }: Reached) {
        self.passed = Some(passed);
        self.ended = end;
    }

    /// The first instants: no pane counted so far is older.
    fn start(&mut self, passed: Micros, settings: &SettingsHistory) {
        let Some(newest) = settings.newest() else { return };
        // A post that arrives just after the first watermark may be a horizon old.
        let first = self.pending_starts().chain([passed - newest.horizon]).min().unwrap_or(passed);
        self.cursors = settings.panes().map(|pane| (pane, Cursors::from(first, pane))).collect();
    }

    /// What is due next; when the log has ended, up to its last pane.
    pub(super) fn next_due(&self, settings: &Settings, end: Option<Micros>) -> Option<DuePane> {
        let again_after = settings.lateness + AGAIN_AFTER;
        let due = self.cursors.iter().flat_map(|(length, cursors)| {
            [
                (Due::Final, cursors.last, settings.horizon),
                (Due::Close, cursors.close, settings.lateness),
                (Due::Again, cursors.again, again_after),
            ]
            .map(|(due, end, delay)| DuePane {
                instant: end + delay,
                due,
                length: *length,
                end,
            })
        });
        due.filter(|due| end.is_none_or(|end| due.end <= pane_border(end, due.length))).min()
    }

    pub(super) fn advance(&mut self, due: Due, pane: Micros) {
        if let Some(cursors) = self.cursors.get_mut(&pane) {
            match due {
                Due::Final => cursors.last += pane,
                Due::Close => cursors.close += pane,
                Due::Again => cursors.again += pane,
            }
        }
    }

    /// Moves all cursors to the panes that hold `to`. Returns their ends by pane length, and how
    /// many window ends were never closed.
    pub(super) fn jump(&mut self, to: Micros) -> (BTreeMap<Micros, Micros>, u64) {
        let mut ends: BTreeMap<Micros, Micros> = BTreeMap::new();
        let mut skipped = 0;
        for (pane, cursors) in &mut self.cursors {
            let end = pane_start(to, *pane) + pane;
            skipped += ((end - cursors.close).max(0) / pane).unsigned_abs();
            for cursor in [&mut cursors.close, &mut cursors.again, &mut cursors.last] {
                *cursor = end.max(*cursor);
            }
            ends.insert(*pane, end);
        }
        (ends, skipped)
    }

    /// The end of the next pane of this length that becomes final.
    pub(super) fn next_final(&self, pane: Micros) -> Option<Micros> {
        self.cursors.get(&pane).map(|cursors| cursors.last)
    }

    /// The same of any length.
    pub(super) fn first_final(&self) -> Option<Micros> {
        self.cursors.values().map(|cursors| cursors.last).min()
    }

    /// The end of the next pane of this length that closes.
    pub(super) fn next_close(&self, pane: Micros) -> Option<Micros> {
        self.cursors.get(&pane).map(|cursors| cursors.close)
    }

    /// Whether the pane of this length that begins at `start` is final.
    pub(super) fn is_final(&self, start: Micros, length: Micros) -> bool {
        self.next_final(length).is_some_and(|next| start + length < next)
    }
}

impl Partition {
    /// Whether the aligned fold has yet to pass an instant in this partition.
    fn is_behind(&self, instant: Micros) -> bool {
        self.aligned.is_none_or(|watermark| watermark < instant)
    }

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

    /// After a gap, a frame with no coverage of the hours that the gap touches.
    fn uncovered<'a>(&mut self, frame: &'a Frame, settings: &Settings) -> Cow<'a, Frame> {
        let Some((from, until)) = self.unread else { return Cow::Borrowed(frame) };
        let horizon = settings.horizon;
        let mut frame = frame.clone();
        let until = until.unwrap_or_else(|| {
            self.last = frame.previous;
            let until =
                pane_border(frame.at.max(frame.watermark.unwrap_or(frame.at)) + AHEAD_MAX, HOUR);
            let from = from.min(pane_start(until - horizon, HOUR));
            self.unread = Some((from, Some(until)));
            let whole = || settings.feeds.iter().filter(|feed| feed.whole);
            let of_hour = |pane_start| {
                whole().map(move |feed| Coverage {
                    feed: feed.name.clone(),
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
            self.unread = None;
        }
        Cow::Owned(frame)
    }
}

impl Cursors {
    /// The first panes of a length that end after `instant`.
    fn from(instant: Micros, pane: Micros) -> Cursors {
        let end = pane_start(instant, pane) + pane;
        Cursors { close: end, again: end, last: end }
    }
}
