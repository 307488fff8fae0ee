//! Skipping: a long stretch of time in which nothing was counted is stepped over at once.
//!
//! A wrong clock, an outage of weeks or a file with a gap of years moves the watermark far. Windows
//! with counts in them, and all
//! within the longest window and the horizon of the new watermark, are judged as ever; those
//! between are not, and are counted.

use std::collections::BTreeMap;

use record::time::{HOUR, pane_start};
use record::{Micros, Record, Version};

use super::{HISTORY, Watch};

impl Watch {
    /// Windows that were not judged because the watermark jumped over them: ends, of each pane
    /// length by itself.
    pub fn skipped_windows(&self) -> u64 {
        self.head.skipped
    }

    /// Moves all cursors to the next pane that holds anything or may yet get a post, if more than
    /// the longest window lies between.
    pub(super) fn skip_empty(&mut self, passed: Micros, version: Version, out: &mut Vec<Record>) {
        let Some(settings) = self.newest() else { return };
        let longest =
            self.rules.iter().map(|rules| rules.settings.longest_window()).max().unwrap_or(0);
        let Some(first) = self.head.cursors.values().map(|cursors| cursors.last).min() else {
            return;
        };
        // No post that is still to come is older.
        let until = passed - settings.horizon;
        if until - first <= longest {
            return;
        }
        let to = self.first_counted().map_or(until, |start| start.min(until));
        if to - first <= longest {
            return;
        }
        let mut ends: BTreeMap<Micros, Micros> = BTreeMap::new();
        for (pane, cursors) in &mut self.head.cursors {
            let end = pane_start(to, *pane) + pane;
            let skipped = (end - cursors.close).max(0) / pane;
            self.head.skipped += skipped.unsigned_abs();
            for cursor in [&mut cursors.close, &mut cursors.again, &mut cursors.last] {
                *cursor = end.max(*cursor);
            }
            ends.insert(*pane, end);
        }
        let panes: BTreeMap<String, Micros> = self
            .rules
            .iter()
            .flat_map(|rules| &rules.settings.topics)
            .map(|topic| (topic.id.clone(), topic.pane))
            .collect();
        for ((topic, _), series) in &mut self.series {
            let end = panes.get(topic).and_then(|pane| ends.get(pane)).copied();
            series.skip_to(end.unwrap_or(to), to - longest);
        }
        self.head.denominators.forget(to - HISTORY);
        self.head.episodes.quiet_others(|_| false, to);
        self.forget(pane_start(to, HOUR), version, out);
        self.forget_series(to);
    }

    /// The first pane that isn't final and has been counted in, in either fold or in a batch that
    /// waits.
    fn first_counted(&self) -> Option<Micros> {
        let panes: BTreeMap<&str, Micros> = self
            .rules
            .iter()
            .flat_map(|rules| &rules.settings.topics)
            .filter_map(|topic| {
                Some((topic.id.as_str(), self.head.cursors.get(&topic.pane)?.last - topic.pane))
            })
            .collect();
        let hour = self.head.cursors.get(&HOUR).map_or(Micros::MIN, |cursors| cursors.last - HOUR);
        let cells = self.series.iter().filter_map(|((topic, _), series)| {
            let from = *panes.get(topic.as_str())?;
            series.aligned.panes.range(from..).next().map(|(start, _)| *start)
        });
        let shared = &self.head.aligned;
        let totals = shared
            .totals
            .values()
            .filter_map(|panes| panes.range(hour..).next())
            .map(|(start, _)| *start);
        let tags = shared.tags.range(hour..).next().map(|(start, _)| *start);
        let waiting = self
            .head
            .partitions
            .iter()
            .flat_map(|partition| &partition.pending)
            .flat_map(|batch| batch.starts());
        cells.chain(totals).chain(tags).chain(waiting).min()
    }
}
