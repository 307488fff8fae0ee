//! Sums over partitions: the values that frames tell, the latest of each partition, added up.

use std::collections::BTreeMap;

use record::{Micros, PaneChange, Sampled, WindowChange};
use serde::{Deserialize, Serialize};

/// The latest value of each partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Parts<T>(Vec<(u32, T)>);

impl<T> Default for Parts<T> {
    fn default() -> Parts<T> {
        Parts(Vec::new())
    }
}

impl<T> Parts<T> {
    pub(crate) fn set(&mut self, partition: u32, value: T) {
        match self.0.iter_mut().find(|(of, _)| *of == partition) {
            Some((_, known)) => *known = value,
            None => self.0.push((partition, value)),
        }
    }

    /// The sum over the other partitions.
    pub(crate) fn sum_without(&self, partition: u32, of: impl Fn(&T) -> u32) -> u32 {
        self.0.iter().filter(|(part, _)| *part != partition).map(|(_, value)| of(value)).sum()
    }

    pub(crate) fn get(&self, partition: u32) -> Option<&T> {
        self.0.iter().find(|(of, _)| *of == partition).map(|(_, value)| value)
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = &T> {
        self.0.iter().map(|(_, value)| value)
    }
}

impl Parts<Pane> {
    /// The newest event time that the other partitions have counted.
    pub(crate) fn newest_without(&self, partition: u32) -> Option<Micros> {
        self.0.iter().filter(|(part, pane)| *part != partition && pane.posts > 0).map(|(_, pane)| pane.newest).max()
    }
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Window {
    pub(crate) authors: u32,
    pub(crate) authors_self: u32,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Pane {
    pub(crate) posts: u32,
    pub(crate) authors: u32,
    pub(crate) authors_self: u32,
    pub(crate) posts_news: u32,
    pub(crate) posts_filtered: u32,
    pub(crate) authors_filtered: u32,
    pub(crate) newest: Micros,
    pub(crate) sample: Sample,
    pub(crate) pending: u32,
}

/// A denominator of one partition.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Total {
    pub(crate) posts: u64,
    pub(crate) sampled: u64,
}

impl Parts<Total> {
    pub(crate) fn total(&self) -> Total {
        self.values().fold(Total::default(), |sum, part| Total { posts: sum.posts + part.posts, sampled: sum.sampled + part.sampled })
    }
}

impl Pane {
    /// Empties what fewer accounts than `floor` stand behind, whole and filtered feeds each by themselves, and small parts of the rest.
    pub(crate) fn withhold_below(&mut self, floor: u32) {
        if self.authors < floor {
            (self.posts, self.authors, self.authors_self, self.posts_news) = (0, 0, 0, 0);
        }
        if self.authors_filtered < floor {
            (self.posts_filtered, self.authors_filtered) = (0, 0);
        }
        for part in [&mut self.authors_self, &mut self.posts_news] {
            if *part < floor {
                *part = 0;
            }
        }
    }
}

/// A cell's sampled posts in wire form: most are never looked at, and written out they would take five times the room.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Sample(Box<[u8]>);

impl Sample {
    #[expect(clippy::expect_used, reason = "writing plain data to memory has no way to fail")]
    fn of(posts: &[Sampled]) -> Sample {
        match posts {
            [] => Sample::default(),
            posts => Sample(postcard::to_stdvec(posts).expect("plain data always encodes").into_boxed_slice()),
        }
    }

    #[expect(clippy::expect_used, reason = "the bytes were written by `of`, or came out of a chunk with the right hash")]
    pub(crate) fn posts(&self) -> Vec<Sampled> {
        if self.0.is_empty() { Vec::new() } else { postcard::from_bytes(&self.0).expect("a kept sample decodes") }
    }
}

/// What frames have told of one series.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct SeriesFold {
    pub(crate) panes: BTreeMap<Micros, Parts<Pane>>,
    /// (length, end) → value.
    pub(crate) windows: BTreeMap<(Micros, Micros), Parts<Window>>,
}

impl SeriesFold {
    pub(crate) fn set_pane(&mut self, partition: u32, change: &PaneChange) {
        let parts = self.panes.entry(change.start).or_default();
        let sample = match &change.sample {
            Some(posts) => Sample::of(posts),
            None => parts.get(partition).map(|pane| pane.sample.clone()).unwrap_or_default(),
        };
        let pane = Pane {
            posts: change.posts,
            authors: change.authors,
            authors_self: change.authors_self,
            posts_news: change.posts_news,
            posts_filtered: change.posts_filtered,
            authors_filtered: change.authors_filtered,
            newest: change.newest,
            sample,
            pending: change.pending,
        };
        parts.set(partition, pane);
    }

    pub(crate) fn set_window(&mut self, partition: u32, change: &WindowChange) {
        let window = Window { authors: change.authors, authors_self: change.authors_self };
        self.windows.entry((change.length, change.end)).or_default().set(partition, window);
    }

    /// The sum over partitions, without the samples.
    pub(crate) fn pane(&self, start: Micros) -> Pane {
        let mut sum = Pane::default();
        for pane in self.panes.get(&start).into_iter().flat_map(Parts::values) {
            sum.posts += pane.posts;
            sum.authors += pane.authors;
            sum.authors_self += pane.authors_self;
            sum.posts_news += pane.posts_news;
            sum.posts_filtered += pane.posts_filtered;
            sum.authors_filtered += pane.authors_filtered;
            sum.newest = sum.newest.max(pane.newest);
            sum.pending += pane.pending;
        }
        sum
    }

    pub(crate) fn window(&self, length: Micros, end: Micros) -> Option<Window> {
        let parts = self.windows.get(&(length, end))?;
        Some(parts.values().fold(Window::default(), |sum, window| Window {
            authors: sum.authors + window.authors,
            authors_self: sum.authors_self + window.authors_self,
        }))
    }

    /// Of the posts in the panes that begin in `[from, to)`, the share whose place waits for a profile.
    pub(crate) fn pending_share(&self, from: Micros, to: Micros) -> f64 {
        let panes = self.panes.range(from..to.max(from)).flat_map(|(_, parts)| parts.values());
        let (pending, posts) = panes.fold((0, 0), |(pending, posts), pane| (pending + pane.pending, posts + pane.posts));
        f64::from(pending) / f64::from(posts.max(1))
    }

    /// Posts in the panes that begin in `[from, to)`, leaving out one partition if asked to.
    pub(crate) fn posts(&self, from: Micros, to: Micros, without: Option<u32>) -> u32 {
        let panes = self.panes.range(from..to.max(from)).flat_map(|(_, parts)| parts.0.iter());
        panes.filter(|(partition, _)| Some(*partition) != without).map(|(_, pane)| pane.posts).sum()
    }
}
