//! Reads frames as anybody may: what was told last holds, partitions add up.

use std::collections::BTreeMap;

use record::{Frame, Micros, Position, SeriesChange, WindowChange};

use super::{Cell, CellKey, Recount, Sample, Total, Window, WindowKey};

/// What the frames of all partitions have told.
#[derive(Debug, Clone, Default)]
pub(crate) struct Fold {
    partitions: BTreeMap<u32, Told>,
    /// Of the windows that the last frame told.
    pub(crate) grown: Vec<Grown>,
}

/// By how many posts a window has grown in a frame, and how many steps the frame says.
#[derive(Debug, Clone)]
pub(crate) struct Grown {
    pub(crate) topic: String,
    pub(crate) end: Micros,
    pub(crate) by: i64,
    pub(crate) steps: usize,
}

#[derive(Debug, Clone, Default)]
struct Told {
    position: Option<Position>,
    part: u32,
    last: bool,
    watermark: Option<Micros>,
    recount: Recount,
    coverage: BTreeMap<(String, Micros), Micros>,
}

impl Fold {
    /// Takes a frame in; says what is wrong with it in itself or against the one before.
    pub(crate) fn apply(&mut self, frame: &Frame) -> Result<(), String> {
        let told = self.partitions.entry(frame.partition).or_default();
        if frame.part > 1 {
            if (Some(frame.position), frame.part) != (told.position, told.part + 1) || told.last {
                return Err(format!(
                    "part {} of frame {} follows part {} of {:?}",
                    frame.part, frame.position, told.part, told.position
                ));
            }
        } else if frame.previous != told.position {
            return Err(format!(
                "frame {} follows {:?}, not {:?}",
                frame.position, told.position, frame.previous
            ));
        }
        if frame.watermark < told.watermark {
            return Err(format!(
                "the watermark falls from {:?} to {:?}",
                told.watermark, frame.watermark
            ));
        }
        told.position = Some(frame.position);
        (told.part, told.last) = (frame.part, frame.last);
        told.watermark = frame.watermark;
        let windows = || {
            frame
                .series
                .iter()
                .flat_map(|series| series.windows.iter().map(move |window| (series, window)))
        };
        let before: Vec<u32> =
            windows().map(|(series, window)| told.posts(series, window)).collect();
        // Twice, because what is told is absolute.
        told.apply(frame);
        told.apply(frame);
        self.grown.clear();
        for ((series, window), before) in windows().zip(before) {
            let posts = told.posts(series, window);
            if !steps_add_up(window, posts) {
                return Err(format!(
                    "steps of {} in {} don't add up to {posts} posts and {window:?}",
                    series.topic, series.region
                ));
            }
            let by = i64::from(posts) - i64::from(before);
            self.grown.push(Grown {
                topic: series.topic.clone(),
                end: window.end,
                by,
                steps: window.steps.len(),
            });
        }
        Ok(())
    }

    /// Sums over partitions; zeros left out.
    pub(crate) fn recount(&self) -> Recount {
        let mut sum = Recount::default();
        for told in self.partitions.values().map(|told| &told.recount) {
            for (key, cell) in &told.cells {
                let into = sum.cells.entry(key.clone()).or_default();
                into.posts += cell.posts;
                into.authors += cell.authors;
                into.authors_self += cell.authors_self;
                into.posts_news += cell.posts_news;
                into.posts_filtered += cell.posts_filtered;
                into.authors_filtered += cell.authors_filtered;
                into.pending += cell.pending;
            }
            for (key, newest) in &told.newest {
                let into = sum.newest.entry(key.clone()).or_default();
                *into = (*into).max(*newest);
            }
            for (key, window) in &told.windows {
                let into = sum.windows.entry(key.clone()).or_default();
                into.authors += window.authors;
                into.authors_self += window.authors_self;
                into.authors_filtered += window.authors_filtered;
            }
            for (key, posts) in &told.tags {
                *sum.tags.entry(key.clone()).or_default() += posts;
            }
            for (key, total) in &told.totals {
                let into = sum.totals.entry(key.clone()).or_default();
                into.posts += total.posts;
                into.sampled += total.sampled;
            }
            for (key, sample) in &told.samples {
                sum.samples.entry(key.clone()).or_default().extend(sample.iter().cloned());
            }
            sum.late += told.late;
        }
        sum.cells.retain(|_, cell| cell.posts + cell.posts_filtered > 0);
        sum.windows.retain(|_, window| *window != Window::default());
        sum.tags.retain(|_, posts| *posts > 0);
        sum.totals.retain(|_, total| total.posts > 0);
        sum.samples.retain(|_, sample| !sample.is_empty());
        for sample in sum.samples.values_mut() {
            sample.sort();
            sample.truncate(64);
        }
        sum
    }

    /// The least over partitions, of what was told.
    pub(crate) fn coverage(&self) -> BTreeMap<(String, Micros), Micros> {
        let mut least: BTreeMap<(String, Micros), Micros> = BTreeMap::new();
        for told in self.partitions.values() {
            for (key, covered) in &told.coverage {
                least
                    .entry(key.clone())
                    .and_modify(|known| *known = (*known).min(*covered))
                    .or_insert(*covered);
            }
        }
        least
    }
}

impl Told {
    /// Posts told of the panes of a window.
    fn posts(&self, series: &SeriesChange, window: &WindowChange) -> u32 {
        let at = |start: Micros| (series.topic.clone(), series.region.clone(), start);
        self.recount
            .cells
            .range(at(window.end - window.length)..at(window.end))
            .map(|(_, cell)| cell.posts)
            .sum()
    }

    fn apply(&mut self, frame: &Frame) {
        self.recount.late = frame.handled.late;
        for series in &frame.series {
            self.apply_series(series);
        }
        for tag in &frame.tags {
            self.recount.tags.insert(
                (tag.key.clone(), tag.region.clone(), tag.pane_start),
                u64::from(tag.posts),
            );
        }
        for total in &frame.totals {
            let value = Total { posts: total.posts, sampled: total.sampled };
            self.recount
                .totals
                .insert((total.region.clone(), total.pane_start, total.length), value);
        }
        for coverage in &frame.coverage {
            self.coverage.insert((coverage.feed.clone(), coverage.pane_start), coverage.covered);
        }
    }

    fn apply_series(&mut self, series: &SeriesChange) {
        for pane in &series.panes {
            let key: CellKey = (series.topic.clone(), series.region.clone(), pane.start);
            let cell = Cell {
                posts: pane.posts,
                authors: pane.authors,
                authors_self: pane.authors_self,
                posts_news: pane.posts_news,
                posts_filtered: pane.posts_filtered,
                authors_filtered: pane.authors_filtered,
                pending: pane.pending,
            };
            self.recount.newest.insert(key.clone(), pane.newest);
            if let Some(sample) = &pane.sample {
                let first = |author: u32| {
                    sample
                        .iter()
                        .find(|other| other.author == author)
                        .map_or(0, |other| other.print)
                };
                let of = |post: &record::Sampled| Sample {
                    print: post.print,
                    alike: first(post.author),
                    tags: post.tags.clone(),
                    langs: post.langs.clone(),
                    link_domain: post.link_domain.clone(),
                    simhash: post.simhash,
                    account_new: post.account_new,
                    own: post.own,
                    news: post.news,
                    sealed_link: post.sealed_link.clone(),
                };
                self.recount.samples.insert(key.clone(), sample.iter().map(of).collect());
            }
            self.recount.cells.insert(key, cell);
        }
        for window in &series.windows {
            let key: WindowKey =
                (series.topic.clone(), series.region.clone(), window.end, window.length);
            let value = Window {
                authors: window.authors,
                authors_self: window.authors_self,
                authors_filtered: window.authors_filtered,
            };
            self.recount.windows.insert(key, value);
        }
    }
}

/// The steps of a window rise by a post each, and the last says what the window says; unless there
/// were too many to tell.
fn steps_add_up(window: &WindowChange, posts: u32) -> bool {
    let rises = |two: &[record::Step]| {
        two[0].posts + 1 == two[1].posts
            && two[0].authors <= two[1].authors
            && two[0].authors_self <= two[1].authors_self
    };
    let told = (window.authors, window.authors_self, posts);
    let is_told = |last: &record::Step| (last.authors, last.authors_self, last.posts) == told;
    window.steps.windows(2).all(rises)
        && (window.steps.len() >= 400 || window.steps.last().is_none_or(is_told))
}

/// The first differences of two recounts, a line each; empty where there are none.
pub(crate) fn differences(told: &Recount, expected: &Recount) -> String {
    let mut lines = Vec::new();
    compare("cell", &told.cells, &expected.cells, &mut lines);
    for (key, cell) in &expected.cells {
        if told.newest.get(key) < expected.newest.get(key) {
            lines.push(format!(
                "newest of {key:?} {cell:?}: told {:?}, expected {:?}",
                told.newest.get(key),
                expected.newest.get(key)
            ));
        }
    }
    compare("window", &told.windows, &expected.windows, &mut lines);
    compare("tag", &told.tags, &expected.tags, &mut lines);
    compare("total", &told.totals, &expected.totals, &mut lines);
    compare("sample", &told.samples, &expected.samples, &mut lines);
    if told.late != expected.late {
        lines.push(format!("late: told {}, expected {}", told.late, expected.late));
    }
    lines.truncate(24);
    lines.join("\n")
}

fn compare<K: Ord + std::fmt::Debug, V: PartialEq + std::fmt::Debug>(
    what: &str,
    told: &BTreeMap<K, V>,
    expected: &BTreeMap<K, V>,
    lines: &mut Vec<String>,
) {
    for (key, value) in expected {
        if told.get(key) != Some(value) {
            lines.push(format!("{what} {key:?}: told {:?}, expected {value:?}", told.get(key)));
        }
    }
    for (key, value) in told.iter().filter(|(key, _)| !expected.contains_key(key)) {
        lines.push(format!("{what} {key:?}: told {value:?}, expected nothing"));
    }
}
