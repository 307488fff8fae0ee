//! Cells of one (topic, region): posts, distinct authors, sample, and changes since the last frame.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use record::time::{WEEK, pane_start};
use record::{Micros, Post, Step, TopicMatch, Voice};
use serde::{Deserialize, Serialize};

use super::distinct::{Distinct, Pane};

/// The posts with the smallest prints explain a cell.
pub(crate) const SAMPLE_POSTS_MAX: usize = 64;

/// Windows that end this many panes after the one that the watermark is in still have steps.
const OPEN_AHEAD: Pane = 3;

/// Steps of an open window reported in one frame; the first ones, since the first that passes the
/// bound is sufficient.
const STEPS_MAX: usize = 1024;

/// Panes of one length and the windows over them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Grid {
    pub(crate) pane: Micros,
    /// In panes. The first is a single pane.
    pub(crate) lengths: Vec<Pane>,
    /// Which of the lengths are windows that are judged.
    pub(crate) judged: Vec<usize>,
}

impl Grid {
    pub(crate) fn new(pane: Micros, windows: &[Micros]) -> Grid {
        let mut lengths = vec![1];
        let mut judged = Vec::new();
        for window in windows {
            let panes = Pane::try_from(window / pane).unwrap_or(Pane::MAX).max(1);
            let index = lengths.iter().position(|length| *length == panes).unwrap_or(lengths.len());
            if index == lengths.len() {
                lengths.push(panes);
            }
            judged.push(index);
        }
        Grid { pane, lengths, judged }
    }

    pub(crate) fn pane_of(&self, instant: Micros) -> Pane {
        let origin = pane_start(0, self.pane);
        Pane::try_from((pane_start(instant, self.pane) - origin) / self.pane).unwrap_or(Pane::MAX)
    }

    pub(crate) fn instant(&self, pane: Pane) -> Micros {
        pane_start(0, self.pane) + Micros::from(pane) * self.pane
    }

    /// The first pane border at or after an instant.
    pub(crate) fn border(&self, instant: Micros) -> Pane {
        let pane = self.pane_of(instant);
        if self.instant(pane) == instant { pane } else { pane + 1 }
    }

    pub(crate) fn longest(&self) -> Micros {
        self.lengths.iter().copied().max().map_or(WEEK, |panes| Micros::from(panes) * self.pane)
    }
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Cell {
    pub(crate) posts: u32,
    pub(crate) posts_news: u32,
    pub(crate) posts_filtered: u32,
    pub(crate) newest: Micros,
    /// The smallest prints, sorted.
    pub(crate) sample: Vec<u64>,
    pub(crate) sample_changed: bool,
    /// Of `posts`, those whose place waits for a profile.
    pub(crate) pending: u32,
}

impl Cell {
    fn add_sample(&mut self, print: u64) {
        if let Err(at) = self.sample.binary_search(&print)
            && at < SAMPLE_POSTS_MAX
        {
            self.sample.insert(at, print);
            self.sample.truncate(SAMPLE_POSTS_MAX);
            self.sample_changed = true;
        }
    }
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Series {
    pub(crate) cells: BTreeMap<Pane, Cell>,
    pub(crate) authors: Distinct,
    pub(crate) authors_self: Distinct,
    pub(crate) authors_filtered: Distinct,
    pub(crate) changed_panes: BTreeSet<Pane>,
    /// For each window length the span of window ends whose value changed.
    pub(crate) changed_windows: Vec<Option<(Pane, Pane)>>,
    /// Posts counted into open windows since the last frame, in order.
    pub(crate) steps: Vec<StepAt>,
    /// Those for which there was no more room: (window end, pane) → posts.
    pub(crate) steps_beyond: BTreeMap<(Pane, Pane), u32>,
}

/// What distinct counts were just after a post, for each window length, of the open windows that
/// end at `end`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StepAt {
    end: Pane,
    pane: Pane,
    event_time: Micros,
    authors: Vec<(u32, u32)>,
}

/// A post's pseudonyms, each with the window starts for which it is the one in force, in panes.
pub(crate) type Pseudonyms = Vec<(u64, Range<Pane>)>;

impl Series {
    /// `open_end` is the end of the pane that the watermark is in, where steps of open windows are
    /// wanted.
    pub(crate) fn add(
        &mut self,
        grid: &Grid,
        post: &Post,
        hit: &TopicMatch,
        pseudonyms: &Pseudonyms,
        samples: bool,
        open_end: Option<Pane>,
    ) {
        let pane = grid.pane_of(post.event_time);
        let cell = self.cells.entry(pane).or_default();
        cell.newest = cell.newest.max(post.event_time);
        self.changed_panes.insert(pane);
        let changed = &mut self.changed_windows;
        changed.resize(grid.lengths.len(), None);
        let mut touched =
            |index: usize, first: Pane, last: Pane| widen(&mut changed[index], first, last);
        if post.flags.filtered {
            cell.posts_filtered += 1;
            for (author, starts) in pseudonyms {
                self.authors_filtered.add(*author, pane, &grid.lengths, starts, &mut touched);
            }
            return;
        }
        cell.posts += 1;
        cell.pending += u32::from(post.flags.pending);
        cell.posts_news += u32::from(hit.voice == Voice::News);
        if samples {
            cell.add_sample(post.id.print());
        }
        for (author, starts) in pseudonyms {
            self.authors.add(*author, pane, &grid.lengths, starts, &mut touched);
            if hit.voice == Voice::Own {
                self.authors_self.add(*author, pane, &grid.lengths, starts, &mut touched);
            }
        }
        if let Some(open_end) = open_end {
            self.add_steps(grid, post.event_time, pane, open_end);
        }
    }

    /// A post of `pane` as a step of the open windows that it lies in.
    fn add_steps(&mut self, grid: &Grid, event_time: Micros, pane: Pane, open_end: Pane) {
        // A window has steps from when the watermark is in its last pane or that has a post; then
        // every post of the window is one.
        let newest = self.cells.last_key_value().map_or(pane, |(newest, _)| *newest);
        for end in open_end.max(pane + 1)..=open_end.max(newest.min(open_end + OPEN_AHEAD) + 1) {
            for (changed, _) in self
                .changed_windows
                .iter_mut()
                .zip(&grid.lengths)
                .filter(|(_, length)| pane >= end - **length)
            {
                // Reported even where its author was in the window before: one more post may be
                // what a floor still requires.
                widen(changed, end, end);
            }
            if self.steps.len() >= STEPS_MAX {
                *self.steps_beyond.entry((end, pane)).or_default() += 1;
                continue;
            }
            let authors = (0..grid.lengths.len())
                .map(|index| {
                    (self.authors.authors(index, end), self.authors_self.authors(index, end))
                })
                .collect();
            self.steps.push(StepAt { end, pane, event_time, authors });
        }
    }

    /// Returns whether the sample of the pane must be made again, because one of its posts has left
    /// and others wait.
    pub(crate) fn remove(
        &mut self,
        grid: &Grid,
        post: &Post,
        hit: &TopicMatch,
        pseudonyms: &Pseudonyms,
    ) -> bool {
        let pane = grid.pane_of(post.event_time);
        let Some(cell) = self.cells.get_mut(&pane) else {
            return false;
        };
        self.changed_panes.insert(pane);
        let changed = &mut self.changed_windows;
        changed.resize(grid.lengths.len(), None);
        let mut touched =
            |index: usize, first: Pane, last: Pane| widen(&mut changed[index], first, last);
        if post.flags.filtered {
            cell.posts_filtered = cell.posts_filtered.saturating_sub(1);
            for (author, starts) in pseudonyms {
                self.authors_filtered.remove(*author, pane, &grid.lengths, starts, &mut touched);
            }
            return false;
        }
        cell.posts = cell.posts.saturating_sub(1);
        cell.pending = cell.pending.saturating_sub(u32::from(post.flags.pending));
        cell.posts_news = cell.posts_news.saturating_sub(u32::from(hit.voice == Voice::News));
        for (author, starts) in pseudonyms {
            self.authors.remove(*author, pane, &grid.lengths, starts, &mut touched);
            if hit.voice == Voice::Own {
                self.authors_self.remove(*author, pane, &grid.lengths, starts, &mut touched);
            }
        }
        // The steps before a deletion no longer add up; the frame's own values stand.
        self.steps.clear();
        self.steps_beyond.clear();
        match cell.sample.binary_search(&post.id.print()) {
            Ok(at) => {
                cell.sample.remove(at);
                cell.sample_changed = true;
                cell.posts as usize > cell.sample.len()
            }
            Err(_) => false,
        }
    }

    /// The steps that concern the window of this length that ends at `end`, posts counted back from
    /// `posts`.
    pub(crate) fn steps_of(&self, index: usize, length: Pane, end: Pane, posts: u32) -> Vec<Step> {
        let within = |step: &&StepAt| step.end == end && step.pane >= end - length;
        let steps: Vec<&StepAt> = self.steps.iter().filter(within).collect();
        let beyond: u32 =
            self.steps_beyond.range((end, end - length)..(end, end)).map(|(_, posts)| posts).sum();
        let count = steps.len() as u32 + beyond;
        steps
            .into_iter()
            .zip(1..)
            .filter_map(|(step, nth)| {
                let (authors, authors_self) = *step.authors.get(index)?;
                Some(Step {
                    event_time: step.event_time,
                    authors,
                    authors_self,
                    posts: posts.saturating_sub(count - nth),
                })
            })
            .collect()
    }

    pub(crate) fn posts_in(&self, from: Pane, end: Pane) -> u32 {
        self.cells.range(from..end).map(|(_, cell)| cell.posts).sum()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.cells.is_empty()
            && self.authors.is_empty()
            && self.authors_filtered.is_empty()
            && self.changed_panes.is_empty()
    }
}

fn widen(span: &mut Option<(Pane, Pane)>, first: Pane, last: Pane) {
    *span = Some(match *span {
        Some((from, to)) => (from.min(first), to.max(last)),
        None => (first, last),
    });
}
