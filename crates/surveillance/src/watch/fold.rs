//! Sums over partitions: the latest value of each partition, added up.

use std::collections::BTreeMap;
use std::sync::Arc;

use record::{Micros, Sampled};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The latest value of each partition, in the order of their numbers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Parts<T>(Vec<(u32, T)>);

impl<T> Default for Parts<T> {
    fn default() -> Parts<T> {
        Parts(Vec::new())
    }
}

impl<T> Parts<T> {
    pub(crate) fn set(&mut self, partition: u32, value: T) {
        match self.0.binary_search_by_key(&partition, |(of, _)| *of) {
            Ok(at) => self.0[at].1 = value,
            Err(at) => {
                // There are many of these and most are short: a vector's own growth would waste
                // most of their memory.
                self.0.reserve_exact(1);
                self.0.insert(at, (partition, value));
            }
        }
    }

    /// The sum over the other partitions.
    pub(crate) fn sum_without(&self, partition: u32, of: impl Fn(&T) -> u32) -> u32 {
        self.0.iter().filter(|(part, _)| *part != partition).map(|(_, value)| of(value)).sum()
    }

    pub(crate) fn get(&self, partition: u32) -> Option<&T> {
        self.iter().find(|(of, _)| *of == partition).map(|(_, value)| value)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        self.0.iter().map(|(partition, value)| (*partition, value))
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = &T> {
        self.0.iter().map(|(_, value)| value)
    }

    pub(crate) fn values_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.0.iter_mut().map(|(_, value)| value)
    }
}

impl Parts<Pane> {
    /// The newest event time that the other partitions have counted.
    pub(crate) fn newest_without(&self, partition: u32) -> Option<Micros> {
        self.0
            .iter()
            .filter(|(part, pane)| *part != partition && pane.posts > 0)
            .map(|(_, pane)| pane.newest)
            .max()
    }

    /// The sum over partitions, without the samples.
    pub(crate) fn total(&self) -> Pane {
        let mut sum = Pane::default();
        for pane in self.values() {
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
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Window {
    pub(crate) authors: u32,
    pub(crate) authors_self: u32,
}

impl Parts<Window> {
    pub(crate) fn total(&self) -> Window {
        self.values().fold(Window::default(), |sum, window| Window {
            authors: sum.authors + window.authors,
            authors_self: sum.authors_self + window.authors_self,
        })
    }
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
        self.values().fold(Total::default(), |sum, part| Total {
            posts: sum.posts + part.posts,
            sampled: sum.sampled + part.sampled,
        })
    }
}

impl Pane {
    /// Empties what fewer accounts than `floor` stand behind, whole and filtered feeds each by
    /// themselves, and small parts of the rest.
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

/// A cell's sampled posts in wire form: most are never looked at, and written out they would take
/// five times the room. Both folds and frames that wait share one copy.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Sample(Option<Arc<[u8]>>);

impl Sample {
    #[expect(clippy::expect_used, reason = "writing plain data to memory has no way to fail")]
    pub(crate) fn of(posts: &[Sampled]) -> Sample {
        match posts {
            [] => Sample::default(),
            posts => {
                Sample(Some(postcard::to_stdvec(posts).expect("plain data always encodes").into()))
            }
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    #[expect(
        clippy::expect_used,
        reason = "the bytes were written by `of`, or came out of a chunk with the right hash"
    )]
    pub(crate) fn posts(&self) -> Vec<Sampled> {
        self.0.as_ref().map_or_else(Vec::new, |bytes| {
            postcard::from_bytes(bytes).expect("a stored sample decodes")
        })
    }
}

impl Serialize for Sample {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_bytes(self.0.as_deref().unwrap_or_default())
    }
}

impl<'de> Deserialize<'de> for Sample {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Sample, D::Error> {
        let bytes: &[u8] = Deserialize::deserialize(from)?;
        Ok(Sample((!bytes.is_empty()).then(|| bytes.into())))
    }
}

/// The posts with the smallest prints stand for a window, as they do for a pane.
pub(crate) const SAMPLE_POSTS_MAX: usize = 64;

/// The values of one series.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct SeriesFold {
    pub(crate) panes: BTreeMap<Micros, Parts<Pane>>,
    /// (length, end) → value.
    pub(crate) windows: BTreeMap<(Micros, Micros), Parts<Window>>,
}

impl SeriesFold {
    /// The sum over partitions, without the samples.
    pub(crate) fn pane(&self, start: Micros) -> Pane {
        self.panes.get(&start).map(Parts::<Pane>::total).unwrap_or_default()
    }

    pub(crate) fn window(&self, length: Micros, end: Micros) -> Option<Window> {
        self.windows.get(&(length, end)).map(Parts::<Window>::total)
    }

    /// Of the posts in the panes that begin in `[from, to)`, the share whose place waits for a
    /// profile.
    pub(crate) fn pending_share(&self, from: Micros, to: Micros) -> f64 {
        let panes = self.panes.range(from..to.max(from)).flat_map(|(_, parts)| parts.values());
        let (pending, posts) = panes
            .fold((0, 0), |(pending, posts), pane| (pending + pane.pending, posts + pane.posts));
        f64::from(pending) / f64::from(posts.max(1))
    }

    /// Drops sampled posts that no window has among its smallest prints any more, when every window
    /// still to be judged ends after `end` and panes before it can't change. Such a window contains
    /// all that lies between the pane and `end`, so a post with [`SAMPLE_POSTS_MAX`] smaller prints
    /// there is in none of their samples.
    pub(crate) fn thin_samples(&mut self, end: Micros) {
        let mut smallest = std::collections::BinaryHeap::new();
        for (_, parts) in self.panes.range_mut(..end).rev() {
            let sampled: Vec<Vec<Sampled>> =
                parts.values().map(|pane| pane.sample.posts()).collect();
            for print in sampled.iter().flatten().map(|post| post.print) {
                smallest.push(print);
                if smallest.len() > SAMPLE_POSTS_MAX {
                    smallest.pop();
                }
            }
            let Some(limit) =
                smallest.peek().copied().filter(|_| smallest.len() == SAMPLE_POSTS_MAX)
            else {
                continue;
            };
            for (pane, mut posts) in parts.values_mut().zip(sampled) {
                let before = posts.len();
                posts.retain(|post| post.print <= limit);
                if posts.len() < before {
                    pane.sample = Sample::of(&posts);
                }
            }
        }
    }
}

/// Entries of `below` and `over` in order; where both have a key, that of `over`.
pub(crate) fn overlaid<'a, K: Ord + Copy + 'a, V: 'a>(
    below: impl Iterator<Item = (&'a K, &'a V)>,
    over: impl Iterator<Item = (&'a K, &'a V)>,
) -> impl Iterator<Item = (K, &'a V)> {
    let (mut below, mut over) = (below.peekable(), over.peekable());
    std::iter::from_fn(move || {
        let order = match (below.peek(), over.peek()) {
            (Some((low, _)), Some((high, _))) => low.cmp(high),
            (Some(_), None) => std::cmp::Ordering::Less,
            (None, _) => std::cmp::Ordering::Greater,
        };
        let next = match order {
            std::cmp::Ordering::Less => below.next(),
            std::cmp::Ordering::Greater => over.next(),
            std::cmp::Ordering::Equal => {
                below.next();
                over.next()
            }
        };
        next.map(|(key, value)| (*key, value))
    })
}

/// Puts a partition's value over what lies below, where the values of the other partitions come
/// from.
pub(crate) fn lay<K: Ord + Clone, T: Clone>(
    below: Option<&BTreeMap<K, Parts<T>>>,
    over: &mut BTreeMap<K, Parts<T>>,
    key: &K,
    partition: u32,
    value: T,
) {
    let known = || below.and_then(|below| below.get(key)).cloned().unwrap_or_default();
    over.entry(key.clone()).or_insert_with(known).set(partition, value);
}

/// Sets a partition's value below. What lies over it stays the latest frames' and goes where both
/// are the same; `is_latest` where the value is of the partition's latest frame. `over` is none
/// where nothing reads open values.
pub(crate) fn settle<K: Ord + Clone, T: Clone + PartialEq>(
    below: &mut BTreeMap<K, Parts<T>>,
    over: Option<&mut BTreeMap<K, Parts<T>>>,
    key: &K,
    partition: u32,
    value: T,
    is_latest: bool,
) {
    let parts = below.entry(key.clone()).or_default();
    let Some(over) = over else { return parts.set(partition, value) };
    let above = match over.remove(key) {
        Some(above) if is_latest => with(above, partition, value.clone()),
        Some(above) => above,
        None if is_latest => return parts.set(partition, value),
        // A later frame had the value below already.
        None => parts.clone(),
    };
    parts.set(partition, value);
    if above != *parts {
        over.insert(key.clone(), above);
    }
}

fn with<T>(mut parts: Parts<T>, partition: u32, value: T) -> Parts<T> {
    parts.set(partition, value);
    parts
}

#[cfg(test)]
mod tests {
    use record::PaneChange;
    use record::time::HOUR;

    use super::super::batch::PaneValue;
    use super::*;
    use crate::naive::streams::Rng;

    fn sampled(print: u64) -> Sampled {
        Sampled {
            print,
            author: 0,
            tags: Vec::new(),
            langs: Vec::new(),
            link_domain: None,
            simhash: 0,
            account_new: false,
            own: false,
            news: false,
            sealed_link: None,
        }
    }

    fn smallest(fold: &SeriesFold, from: Micros, to: Micros) -> Vec<u64> {
        let panes = fold.panes.range(from..to).flat_map(|(_, parts)| parts.values());
        let mut prints: Vec<u64> =
            panes.flat_map(|pane| pane.sample.posts()).map(|post| post.print).collect();
        prints.sort_unstable();
        prints.truncate(SAMPLE_POSTS_MAX);
        prints
    }

    #[test]
    fn thinned_samples_give_every_later_window_the_same_posts() {
        for seed in 0..8 {
            let mut rng = Rng::new(seed);
            let (mut whole, hours) = (SeriesFold::default(), 60);
            for hour in 0..hours {
                for partition in 0..rng.between(1, 4) as u32 {
                    let mut prints: Vec<u64> = (0..rng.below(70)).map(|_| rng.next()).collect();
                    prints.sort_unstable();
                    prints.truncate(SAMPLE_POSTS_MAX);
                    let sample = Some(prints.into_iter().map(sampled).collect());
                    let value = PaneValue::of(&PaneChange {
                        start: hour * HOUR,
                        sample,
                        ..PaneChange::default()
                    });
                    whole.panes.entry(hour * HOUR).or_default().set(partition, value.over(None));
                }
            }
            let mut thinned = whole.clone();
            for end in 1..=hours {
                thinned.thin_samples(end * HOUR);
                if end == hours || !rng.chance(20) {
                    continue;
                }
                for window_end in [end + 1, rng.between(end + 1, hours + 1)] {
                    for length in [6, 24] {
                        let (from, to) = ((window_end - length).max(0) * HOUR, window_end * HOUR);
                        assert_eq!(
                            smallest(&thinned, from, to),
                            smallest(&whole, from, to),
                            "seed {seed}: {length} h to {window_end}"
                        );
                    }
                }
            }
            let held: usize = thinned
                .panes
                .values()
                .flat_map(Parts::values)
                .map(|pane| pane.sample.posts().len())
                .sum();
            assert!(held < SAMPLE_POSTS_MAX * 8, "seed {seed}: {held} posts of {hours} hours");
        }
    }
}
