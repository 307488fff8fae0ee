//! The tally role: the stage that counts the posts of one partition.
//!
//! Turned by the driver; all counting is in `surveillance::Tally`.

use journal::Stream;
use record::{Frame, Position, Record, Settings};
use surveillance::{Manifest, RestoreError, Snapshot, Tally};

use crate::runtime::{Seen, Stage};

/// From this share of `limits.cells` on a warning is logged.
const CELLS_WARN_PERCENT: u64 = 80;

/// One partition's tally, and whether the log has ended.
pub(crate) struct TallyStage {
    tally: Tally,
    partition: u32,
    frames: Vec<Frame>,
    ended: bool,
    /// A warning of its cells has been logged.
    is_nearly_full: std::cell::Cell<bool>,
}

impl TallyStage {
    pub(crate) fn new(partition: u32) -> TallyStage {
        TallyStage {
            tally: Tally::new(partition),
            partition,
            frames: Vec::new(),
            ended: false,
            is_nearly_full: false.into(),
        }
    }
}

impl Stage for TallyStage {
    const NAME: &'static str = "tally";
    const INPUT: Stream = Stream::Posts;

    fn partition(&self) -> u32 {
        self.partition
    }

    fn next(&self) -> Position {
        self.tally.next()
    }

    fn pass(&mut self, position: Position) {
        self.tally.pass(position);
    }

    fn apply(
        &mut self,
        position: Position,
        record: &Record,
        out: &mut Vec<(Stream, Record)>,
    ) -> anyhow::Result<()> {
        self.ended |= matches!(record, Record::End);
        self.tally.apply(position, record, &mut self.frames);
        out.extend(self.frames.drain(..).map(|frame| (Stream::Tallies, Record::Frame(frame))));
        Ok(())
    }

    fn skip(
        &mut self,
        to: Position,
        settings: Option<Settings>,
        _out: &mut Vec<(Stream, Record)>,
    ) -> anyhow::Result<()> {
        self.tally.skip(to, settings);
        Ok(())
    }

    fn snapshot(&mut self) -> Snapshot {
        self.tally.snapshot()
    }

    fn restore(manifest: &Manifest, chunks: &[Vec<u8>]) -> Result<TallyStage, RestoreError> {
        let tally = Tally::restore(manifest, chunks)?;
        Ok(TallyStage {
            ended: tally.ended(),
            tally,
            partition: manifest.partition,
            frames: Vec::new(),
            is_nearly_full: false.into(),
        })
    }

    fn ended(&self) -> bool {
        self.ended
    }

    fn show(&self, seen: &Seen) {
        let (held, max) = self.tally.cells();
        if let Ok(mut cells) = seen.cells.lock() {
            cells.insert(self.partition, (held, max));
        }
        let is_nearly_full = held >= max / 100 * CELLS_WARN_PERCENT && max > 0;
        if is_nearly_full && !self.is_nearly_full.get() {
            tracing::warn!(
                partition = self.partition,
                cells = held,
                limit = max,
                "cells near `limits.cells`: at 90 % languages and overlays get no new ones, at 100 \
                    % nor do first-level regions"
            );
        }
        self.is_nearly_full.set(is_nearly_full);
    }
}
