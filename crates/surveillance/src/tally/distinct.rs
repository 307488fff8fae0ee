//! Distinct authors of every window of a series, updated post by post.
//!
//! For each author the panes with posts; for each window length how many authors every window
//! holds, as differences:
//! an author's post in pane p is in the windows that end after p and begin at or before it, and
//! only those that no neighbouring post of the same author already fills become one larger. So a
//! post costs two additions a length, whatever the length, and a deletion undoes exactly what the
//! post did.

use std::collections::BTreeMap;
use std::ops::Range;

/// Counts panes of one length from the origin of time; as a window's end it is the first pane no
/// longer in it.
pub(crate) type Pane = i32;

#[derive(Debug, Clone, Default)]
pub(crate) struct Distinct {
    /// (author, pane) → posts.
    posts: BTreeMap<(u64, Pane), u32>,
    /// For each window length: window end → change in the number of authors against the window
    /// before.
    change: Vec<BTreeMap<Pane, i32>>,
}

impl Distinct {
    /// Counts one more post. `starts` are the window starts for which this pseudonym is the one in
    /// force.
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
        let before = self
            .posts
            .range((author, Pane::MIN)..(author, pane))
            .next_back()
            .map(|((_, before), _)| *before);
        let after = self
            .posts
            .range((author, pane + 1)..=(author, Pane::MAX))
            .next()
            .map(|((_, after), _)| *after);
        self.change.resize_with(lengths.len().max(self.change.len()), BTreeMap::new);
        for (index, &length) in lengths.iter().enumerate() {
            let first = before
                .map_or(pane + 1, |before| (before + length + 1).max(pane + 1))
                .max(starts.start.saturating_add(length));
            let last = after
                .map_or(pane + length, |after| after.min(pane + length))
                .min(starts.end.saturating_add(length - 1));
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
        let sum: i32 = self
            .change
            .get(length_index)
            .map_or(0, |change| change.range(..=end).map(|(_, by)| by).sum());
        u32::try_from(sum).unwrap_or(0)
    }

    /// The last window end of any length that holds anyone.
    pub(crate) fn is_empty(&self) -> bool {
        self.posts.is_empty() && self.change.iter().all(BTreeMap::is_empty)
    }

    /// (pane, author, posts), in this order.
    pub(crate) fn posts_by_pane(&self) -> impl Iterator<Item = (Pane, u64, u32)> + use<> {
        let mut panes: BTreeMap<Pane, Vec<(u64, u32)>> = BTreeMap::new();
        for ((author, pane), posts) in &self.posts {
            panes.entry(*pane).or_default().push((*author, *posts));
        }
        panes.into_iter().flat_map(|(pane, authors)| {
            authors.into_iter().map(move |(author, posts)| (pane, author, posts))
        })
    }

    /// (length index, window end, change in the number of authors).
    pub(crate) fn changes(&self) -> impl Iterator<Item = (u32, Pane, i32)> {
        (0..)
            .zip(&self.change)
            .flat_map(|(index, change)| change.iter().map(move |(end, by)| (index, *end, *by)))
    }

    pub(crate) fn restore_posts(&mut self, author: u64, pane: Pane, posts: u32) {
        self.posts.insert((author, pane), posts);
    }

    pub(crate) fn restore_change(&mut self, length_index: usize, end: Pane, by: i32) {
        self.change.resize_with(self.change.len().max(length_index + 1), BTreeMap::new);
        self.change[length_index].insert(end, by);
    }

    /// Forgets posts in panes before `pane`, and folds the differences of windows that end before
    /// `end`.
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
