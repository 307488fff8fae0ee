//! What ingest, tally and people say to the next stage: ticks, frames, exclusions and what lifts
//! them.

use serde::{Deserialize, Serialize};

use crate::Position;
use crate::time::Micros;

/// A worker's record of how far each of its feeds has come; in every partition, after every earlier
/// post.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tick {
    pub settings: u32,
    /// The worker's clock; in a replay the arrival reached.
    pub at: Micros,
    pub feeds: Vec<FeedTick>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeedTick {
    pub feed: String,
    /// Position of the claim by which the worker owns the feed; lower ones are ignored once a
    /// higher is seen.
    pub epoch: u64,
    /// Arrivals in `[from, reached)` are spoken for.
    pub from: Micros,
    pub reached: Micros,
    pub span: Span,
    pub ended: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Span {
    /// Every arrival of the span is in the log.
    Covered,
    /// The source could not be reached; a later `Covered` replaces it.
    Silent,
}

/// All that changed in one partition between two ticks, as absolute values; or a part of it.
///
/// A frame is written in parts of at most [`FRAME_PART_BYTES`]. Every part repeats the fields up to
/// `handled`. Series, tags, totals and coverage are spread over the parts in this order, a series
/// whole in one of them. A frame that is sent again starts at part 1.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Frame {
    /// Partition of `posts`.
    pub partition: u32,
    /// Position of the tick in that partition.
    pub position: Position,
    /// Which part of the frame this is: 1, 2 and so on.
    pub part: u32,
    /// No further part of the frame follows. Only then is what the watermark says of it complete.
    pub last: bool,
    /// Position of the tick before it; none for the first. A gap stops watch.
    pub previous: Option<Position>,
    pub settings: u32,
    pub at: Micros,
    pub watermark: Option<Micros>,
    /// The log has ended: nothing follows, everything is final.
    pub ended: bool,
    pub handled: Handled,
    pub coverage: Vec<Coverage>,
    pub series: Vec<SeriesChange>,
    pub tags: Vec<TagChange>,
    pub totals: Vec<TotalChange>,
}

/// Encoded bytes of a frame's part, at most.
pub const FRAME_PART_BYTES: usize = 1 << 20;

/// A frame without content, in one part.
impl Default for Frame {
    fn default() -> Frame {
        Frame {
            partition: 0,
            position: 0,
            part: 1,
            last: true,
            previous: None,
            settings: 0,
            at: 0,
            watermark: None,
            ended: false,
            handled: Handled::default(),
            coverage: Vec::new(),
            series: Vec::new(),
            tags: Vec::new(),
            totals: Vec::new(),
        }
    }
}

impl Frame {
    /// Cut into parts of which none is longer than `bytes_max` when it is encoded, as long as no
    /// single series is.
    pub fn into_parts(mut self, bytes_max: usize) -> Vec<Frame> {
        let (series, tags) = (std::mem::take(&mut self.series), std::mem::take(&mut self.tags));
        let (totals, coverage) =
            (std::mem::take(&mut self.totals), std::mem::take(&mut self.coverage));
        let mut parts = Parts {
            head: self.clone(),
            filling: self,
            bytes: HEAD_BYTES_MAX,
            bytes_max,
            full: Vec::new(),
        };
        for change in series {
            parts.part_with_room(change.bytes_max()).series.push(change);
        }
        for change in tags {
            parts.part_with_room(change.bytes_max()).tags.push(change);
        }
        for change in totals {
            parts.part_with_room(change.bytes_max()).totals.push(change);
        }
        for change in coverage {
            parts.part_with_room(change.bytes_max()).coverage.push(change);
        }
        parts.finish()
    }
}

/// Encoded bytes at most: of a number, of a number of 32 bits, and of a part without its changes.
const NUMBER_BYTES_MAX: usize = 10;
const SHORT_BYTES_MAX: usize = 5;
const HEAD_BYTES_MAX: usize = 256;

struct Parts {
    head: Frame,
    filling: Frame,
    bytes: usize,
    bytes_max: usize,
    full: Vec<Frame>,
}

impl Parts {
    fn part_with_room(&mut self, bytes: usize) -> &mut Frame {
        if self.bytes + bytes > self.bytes_max && self.bytes > HEAD_BYTES_MAX {
            self.full.push(std::mem::replace(&mut self.filling, self.head.clone()));
            self.bytes = HEAD_BYTES_MAX;
        }
        self.bytes += bytes;
        &mut self.filling
    }

    fn finish(mut self) -> Vec<Frame> {
        self.full.push(self.filling);
        let count = self.full.len();
        for (number, part) in (1..).zip(&mut self.full) {
            part.part = number;
            part.last = number as usize == count;
        }
        self.full
    }
}

fn text_bytes_max(text: &str) -> usize {
    SHORT_BYTES_MAX + text.len()
}

impl SeriesChange {
    fn bytes_max(&self) -> usize {
        let panes: usize = self.panes.iter().map(PaneChange::bytes_max).sum();
        let windows: usize = self.windows.iter().map(WindowChange::bytes_max).sum();
        text_bytes_max(&self.topic)
            + text_bytes_max(&self.region)
            + 2 * SHORT_BYTES_MAX
            + panes
            + windows
    }
}

impl PaneChange {
    fn bytes_max(&self) -> usize {
        let sample =
            self.sample.as_ref().map_or(0, |sample| sample.iter().map(Sampled::bytes_max).sum());
        2 * NUMBER_BYTES_MAX + 8 * SHORT_BYTES_MAX + 1 + sample
    }
}

impl Sampled {
    /// Encoded bytes, at most.
    pub fn bytes_max(&self) -> usize {
        let texts: usize = self
            .tags
            .iter()
            .chain(&self.langs)
            .chain(&self.link_domain)
            .map(|text| text_bytes_max(text))
            .sum();
        let link = self.sealed_link.as_ref().map_or(0, |link| SHORT_BYTES_MAX + link.len());
        2 * NUMBER_BYTES_MAX + 3 * SHORT_BYTES_MAX + 5 + texts + link
    }
}

impl WindowChange {
    fn bytes_max(&self) -> usize {
        2 * NUMBER_BYTES_MAX
            + 4 * SHORT_BYTES_MAX
            + self.steps.len() * (NUMBER_BYTES_MAX + 3 * SHORT_BYTES_MAX)
    }
}

impl TagChange {
    fn bytes_max(&self) -> usize {
        text_bytes_max(&self.key)
            + text_bytes_max(&self.region)
            + NUMBER_BYTES_MAX
            + SHORT_BYTES_MAX
    }
}

impl TotalChange {
    fn bytes_max(&self) -> usize {
        text_bytes_max(&self.region) + 4 * NUMBER_BYTES_MAX
    }
}

impl Coverage {
    fn bytes_max(&self) -> usize {
        text_bytes_max(&self.feed) + 2 * NUMBER_BYTES_MAX
    }
}

/// Running totals of what happened to records of this partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Handled {
    pub posts: u64,
    /// Read a second time: what came first counts.
    pub duplicates: u64,
    /// Appended once more with the answer about their author's profile.
    pub resent: u64,
    pub late: u64,
    pub after_final: u64,
    pub deletes: u64,
    pub removals: u64,
    pub edits: u64,
    pub clamped: u64,
    pub refused: u64,
    /// Deleted by retention before it was read.
    pub lost: u64,
    /// Cells of posts that were not counted because the partition holds as many cells as
    /// [`crate::Settings::cells_max`] allows.
    pub cells: u64,
}

/// How much of a pane's arrivals a whole feed has covered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Coverage {
    pub feed: String,
    pub pane_start: Micros,
    /// Of the pane's length, in microseconds.
    pub covered: Micros,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeriesChange {
    pub topic: String,
    pub region: String,
    pub panes: Vec<PaneChange>,
    pub windows: Vec<WindowChange>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PaneChange {
    pub start: Micros,
    pub posts: u32,
    pub authors: u32,
    pub authors_self: u32,
    pub posts_news: u32,
    pub posts_filtered: u32,
    pub authors_filtered: u32,
    /// The newest event time counted.
    pub newest: Micros,
    /// The posts with the smallest prints, where they changed; none where the kind withholds them.
    pub sample: Option<Vec<Sampled>>,
    /// Of the posts of whole feeds, those whose place waits for a profile.
    pub pending: u32,
}

/// What a sampled post says of its cell.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Sampled {
    pub print: u64,
    /// Numbered within the cell.
    pub author: u32,
    pub tags: Vec<String>,
    pub langs: Vec<String>,
    pub link_domain: Option<String>,
    pub simhash: u64,
    pub account_new: bool,
    pub own: bool,
    pub news: bool,
    pub sealed_link: Option<Vec<u8>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct WindowChange {
    pub end: Micros,
    pub length: Micros,
    pub authors: u32,
    pub authors_self: u32,
    pub authors_filtered: u32,
    /// Of an open window: each post counted since the frame before, in order.
    pub steps: Vec<Step>,
}

/// The count of an open window just after one more post.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    pub event_time: Micros,
    pub authors: u32,
    pub authors_self: u32,
    pub posts: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TagChange {
    pub key: String,
    pub region: String,
    pub pane_start: Micros,
    pub posts: u32,
}

/// A denominator: all posts of whole feeds in a region and pane.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TotalChange {
    pub region: String,
    pub pane_start: Micros,
    pub length: Micros,
    /// Of the region where profiles are asked: an estimate, `one_author_in` for each post of a
    /// sampled author.
    pub posts: u64,
    /// The posts that were counted for it.
    pub sampled: u64,
}

/// What people take out of baselines: windows that touch `[from, to)` don't count in them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exclusion {
    pub topic: String,
    /// A region covers what stands below it.
    pub region: String,
    pub from: Micros,
    pub to: Micros,
    /// Windows that end at or after this pane end are judged with it.
    pub valid_from: Micros,
    /// The alert whose episode it is.
    pub alert: String,
}

/// Takes back what was excluded for an alert before: it was no event after all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lift {
    pub alert: String,
    /// Windows that end at or after this pane end are judged by the whole past again.
    pub valid_from: Micros,
}
