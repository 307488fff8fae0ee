//! The watch role: the stage that judges counts and raises alerts.
//!
//! Turned by the driver; all judgement is in `surveillance::Watch`.

use std::sync::atomic::Ordering;

use journal::{Journal, Stream};
use record::{Position, Record, Settings};
use surveillance::{Manifest, Mode, RestoreError, Snapshot, Watch};

use crate::runtime::{Seen, Stage, log};

pub(crate) struct WatchStage {
    watch: Watch,
    records: Vec<Record>,
}

impl WatchStage {
    /// There is one partition.
    pub(crate) fn new(_partition: u32) -> WatchStage {
        WatchStage { watch: Watch::new(Mode::Live), records: Vec::new() }
    }

    /// Number of series held.
    #[cfg(test)]
    pub(crate) fn series(&self) -> usize {
        self.watch.series_held()
    }

    /// Cells held, and entries of frames that wait for other partitions.
    #[cfg(test)]
    pub(crate) fn cells_and_pending(&self) -> (usize, usize) {
        (self.watch.cells(), self.watch.pending())
    }
}

impl Stage for WatchStage {
    const NAME: &'static str = "watch";
    const INPUT: Stream = Stream::Tallies;

    fn partition(&self) -> u32 {
        0
    }

    fn next(&self) -> Position {
        self.watch.next()
    }

    fn pass(&mut self, position: Position) {
        self.watch.pass(position);
    }

    fn apply(
        &mut self,
        position: Position,
        record: &Record,
        out: &mut Vec<(Stream, Record)>,
    ) -> anyhow::Result<()> {
        self.watch.apply(position, record, &mut self.records)?;
        out.extend(self.records.drain(..).map(|record| {
            let stream =
                if matches!(record, Record::Alert(_)) { Stream::Alerts } else { Stream::Counts };
            (stream, record)
        }));
        Ok(())
    }

    fn skip(
        &mut self,
        to: Position,
        settings: Option<Settings>,
        out: &mut Vec<(Stream, Record)>,
    ) -> anyhow::Result<()> {
        self.watch.skip(to, settings, &mut self.records)?;
        out.extend(self.records.drain(..).map(|record| (Stream::Counts, record)));
        Ok(())
    }

    fn snapshot(&mut self) -> Snapshot {
        self.watch.snapshot()
    }

    fn restore(manifest: &Manifest, chunks: &[Vec<u8>]) -> Result<WatchStage, RestoreError> {
        Ok(WatchStage { watch: Watch::restore(manifest, chunks)?, records: Vec::new() })
    }

    fn ended(&self) -> bool {
        self.watch.ended()
    }

    fn on_end(journal: &dyn Journal) -> anyhow::Result<()> {
        log::set_judged(journal)
    }

    fn show(&self, seen: &Seen) {
        seen.watched.store(self.next(), Ordering::Relaxed);
        if let Some(watermark) = self.watch.watermark() {
            seen.watermark.store(u64::try_from(watermark).unwrap_or(0), Ordering::Relaxed);
        }
        seen.skipped.store(self.watch.skipped_windows(), Ordering::Relaxed);
        seen.watch_cells.store(self.watch.cells() as u64, Ordering::Relaxed);
        seen.watch_pending.store(self.watch.pending() as u64, Ordering::Relaxed);
        if let Ok(mut handled) = seen.handled.lock() {
            *handled = self.watch.handled();
        }
    }
}
