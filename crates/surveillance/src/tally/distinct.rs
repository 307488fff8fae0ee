//! Distinct authors of every window of a series, kept up to date post by post.
//!
//! For each author the panes with posts; for each window length how many authors every window holds, as differences:
//! an author's post in pane p is in the windows that end after p and begin at or before it, and only those that no
//! neighbouring post of the same author already fills become one larger. So a post costs two additions a length, whatever
//! the length, and a deletion undoes exactly what the post did.

use std::collections::BTreeMap;
use std::ops::Range;

use serde::{Deserialize, Serialize};

/// Counts panes of one length from the origin of time; as a window's end it is the first pane no longer in it.
pub(crate) type Pane = i32;

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Distinct {
    /// (author, pane) → posts.
    posts: BTreeMap<(u64, Pane), u32>,
    /// For each window length: window end → change in the number of authors against the window before.
    change: Vec<BTreeMap<Pane, i32>>,
}

impl Distinct {
    /// Counts one more post. `starts` are the window starts for which this pseudonym is the one in force.
    /// Calls `touched(length index, first end, last end)` for the windows whose value changed.
    pub(crate) fn add(
        &mut self,
        author: u64,
        pane: Pane,
        lengths: &[Pane],
        starts: &Range<Pane>,
        touched: &mut impl FnMut(usize, Pane, Pane),
    ) {
        let posts = self.posts.entry((author, pane)).or_default();
        *posts += 1;
        if *posts == 1 {
            self.shift(author, pane, lengths, starts, 1, touched);
        }
    }

    /// Takes back one post that was added with the same arguments.
    pub(crate) fn remove(
        &mut self,
        author: u64,
        pane: Pane,
        lengths: &[Pane],
        starts: &Range<Pane>,
        touched: &mut impl FnMut(usize, Pane, Pane),
    ) {
        let Some(posts) = self.posts.get_mut(&(author, pane)) else {
            return;
        };
        *posts -= 1;
        if *posts == 0 {
            self.posts.remove(&(author, pane));
            self.shift(author, pane, lengths, starts, -1, touched);
        }
    }

    fn shift(
        &mut self,
        author: u64,
        pane: Pane,
        lengths: &[Pane],
        starts: &Range<Pane>,
        by: i32,
        touched: &mut impl FnMut(usize, Pane, Pane),
    ) {
        let before = self.posts.range((author, Pane::MIN)..(author, pane)).next_back().map(|((_, before), _)| *before);
        let after = self.posts.range((author, pane + 1)..=(author, Pane::MAX)).next().map(|((_, after), _)| *after);
        self.change.resize_with(lengths.len().max(self.change.len()), BTreeMap::new);
        for (index, &length) in lengths.iter().enumerate() {
            let first = before.map_or(pane + 1, |before| (before + length + 1).max(pane + 1)).max(starts.start.saturating_add(length));
            let last = after.map_or(pane + length, |after| after.min(pane + length)).min(starts.end.saturating_add(length - 1));
            if first > last {
                continue;
            }
            for (end, by) in [(first, by), (last + 1, -by)] {
                let change = self.change[index].entry(end).or_default();
                *change += by;
                if *change == 0 {
                    self.change[index].remove(&end);
                }
            }
            touched(index, first, last);
        }
    }

    /// Distinct authors in the window of this length that ends at `end`.
    pub(crate) fn authors(&self, length_index: usize, end: Pane) -> u32 {
        let sum: i32 = self.change.get(length_index).map_or(0, |change| change.range(..=end).map(|(_, by)| by).sum());
        u32::try_from(sum).unwrap_or(0)
    }

    /// The last window end of any length that holds anyone.
    pub(crate) fn is_empty(&self) -> bool {
        self.posts.is_empty() && self.change.iter().all(BTreeMap::is_empty)
    }

    /// Forgets posts in panes before `pane`, and folds the differences of windows that end before `end`.
    pub(crate) fn forget(&mut self, pane: Pane, end: Pane) {
        self.posts.retain(|(_, at), _| *at >= pane);
        for change in &mut self.change {
            let rest = change.split_off(&end);
            let folded: i32 = change.values().sum();
            *change = rest;
            if folded != 0 {
                let first = change.entry(end).or_default();
                *first += folded;
                if *first == 0 {
                    change.remove(&end);
                }
            }
        }
    }
}
