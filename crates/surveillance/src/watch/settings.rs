//! Settings over time: which settings, topics and detector hold for a pane.
//!
//! Owned by the ledger, which reads counts by the settings of their time. Knows no counts.

use std::sync::Arc;

use record::region::RegionTable;
use record::time::HOUR;
use record::{Micros, Settings, TopicSetting};

use super::WatchError;
use crate::detectors::Method;

/// Settings, and the detector that they name.
#[derive(Debug)]
pub(super) struct Rules {
    pub(super) settings: Settings,
    pub(super) method: Method,
}

#[derive(Debug, Clone, Default)]
pub(super) struct SettingsHistory {
    /// Oldest first; those that hold for a pane are the last that begin at or before it.
    rules: Vec<Arc<Rules>>,
    /// The regions of all of them.
    pub(super) table: RegionTable,
}

impl SettingsHistory {
    /// Adds settings; returns whether they are newer than those known.
    pub(super) fn add(&mut self, settings: &Settings) -> Result<bool, WatchError> {
        if self.newest().is_some_and(|known| known.number >= settings.number) {
            return Ok(false);
        }
        let detect = &settings.detect;
        let method = Method::parse(&detect.method, &detect.params).map_err(|why| {
            WatchError::Detector { method: detect.method.clone(), why: why.to_string() }
        })?;
        self.rules.push(Arc::new(Rules { settings: settings.clone(), method }));
        self.set_table();
        Ok(true)
    }

    fn set_table(&mut self) {
        let regions: Vec<_> =
            self.iter().flat_map(|settings| settings.regions.iter().cloned()).collect();
        self.table = RegionTable::new(&regions);
    }

    /// Drops settings that no pane after `before` needs; returns whether there were any.
    pub(super) fn forget(&mut self, before: Micros) -> bool {
        let held = self.rules.len();
        while self.rules.get(1).is_some_and(|next| next.settings.from <= before) {
            self.rules.remove(0);
        }
        let has_changed = self.rules.len() < held;
        if has_changed {
            self.set_table();
        }
        has_changed
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Settings> {
        self.rules.iter().map(|rules| &rules.settings)
    }

    pub(super) fn newest(&self) -> Option<&Settings> {
        self.rules.last().map(|rules| &rules.settings)
    }

    /// Those that hold for panes that begin at `start`.
    pub(super) fn at(&self, start: Micros) -> Option<&Arc<Rules>> {
        self.rules.iter().rev().find(|rules| rules.settings.from <= start).or(self.rules.first())
    }

    /// A topic as it was last.
    pub(super) fn topic(&self, id: &str) -> Option<&TopicSetting> {
        self.rules.iter().rev().find_map(|rules| rules.settings.topic(id))
    }

    /// The topics of all settings; one that several have comes several times.
    pub(super) fn all_topics(&self) -> impl Iterator<Item = &TopicSetting> {
        self.iter().flat_map(|settings| &settings.topics)
    }

    /// The topics that are counted in panes of this length, and are so in any part of the pane that
    /// ends at `end`.
    pub(super) fn topics(&self, pane: Micros, end: Micros) -> Vec<TopicSetting> {
        let until =
            |nth: usize| self.rules.get(nth + 1).map_or(Micros::MAX, |next| next.settings.from);
        let mut topics: Vec<TopicSetting> = Vec::new();
        for (nth, rules) in self.rules.iter().enumerate().rev() {
            let holds = (rules.settings.from < end || nth == 0) && until(nth) > end - pane;
            let counted_so =
                rules.settings.topics.iter().filter(|topic| holds && topic.pane == pane);
            let fresh: Vec<TopicSetting> = counted_so
                .filter(|topic| !topics.iter().any(|known| known.id == topic.id))
                .cloned()
                .collect();
            topics.extend(fresh);
        }
        topics
    }

    /// The lengths of panes that anything is counted in.
    pub(super) fn panes(&self) -> impl Iterator<Item = Micros> {
        self.all_topics().map(|topic| topic.pane).chain([HOUR])
    }

    pub(super) fn longest_window(&self) -> Micros {
        self.iter().map(Settings::longest_window).max().unwrap_or(0)
    }
}
