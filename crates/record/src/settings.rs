//! Settings: what of the configuration the engine must know, kept in the log so that the log
//! explains itself.

use serde::{Deserialize, Serialize};

use crate::kind::Kind;
use crate::region::{OwnRegion, RegionTable};
use crate::time::{DAY, HOUR, MINUTE, Micros};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// Counts up from 1 within a generation.
    pub number: u32,
    /// Raised whenever a stream is made anew.
    pub generation: u16,
    /// The pane start from which these settings hold, in event time.
    pub from: Micros,
    pub lateness: Micros,
    pub horizon: Micros,
    /// Length of the panes of symptom and disease topics.
    pub pane: Micros,
    pub windows: Vec<Micros>,
    pub partitions: u32,
    pub topics: Vec<TopicSetting>,
    pub feeds: Vec<FeedSetting>,
    pub regions: Vec<OwnRegion>,
    pub detect: DetectSettings,
    /// How long one author key holds.
    pub author_epoch: Micros,
    /// Cells (series times panes) that tally holds at most for one partition, and watch for all.
    pub cells_max: u64,
    /// Fingerprints of the routing key and of the author secret.
    pub key_fingerprints: Vec<String>,
    /// Hash of what decides topics from text (topic files, segmenting).
    pub lexicon: String,
    /// Hash of what decides places from coordinates and text (the atlas' data, the operator's
    /// polygons, the order of evidence).
    pub places: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopicSetting {
    pub id: String,
    pub name: String,
    pub kind: Kind,
    pub pane: Micros,
    pub windows: Vec<Micros>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeedSetting {
    pub name: String,
    /// Whether it brings all posts, not only matched ones.
    pub whole: bool,
    /// Where posts tell no place themselves, the profiles of one author in so many are asked for
    /// one; 0 where none are.
    pub one_author_in: u32,
}

impl FeedSetting {
    /// A feed whose posts tell their places themselves, or have none.
    pub fn new(name: impl Into<String>, whole: bool) -> FeedSetting {
        FeedSetting { name: name.into(), whole, one_author_in: 0 }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DetectSettings {
    pub method: String,
    pub params: Vec<(String, String)>,
    /// Between the baseline and now; not less than the horizon.
    pub guardband: Micros,
    /// Least share of a window that must have been observed.
    pub coverage: f64,
    pub floors: Floors,
    /// False episodes a week that all series together may give if nothing is going on.
    pub false_episodes_per_week: f64,
}

/// What an alarm must reach before it becomes an alert.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Floors {
    pub accounts: u32,
    pub posts: u32,
    /// Of observed to expected.
    pub ratio: f64,
}

impl Default for DetectSettings {
    fn default() -> DetectSettings {
        DetectSettings {
            method: "eears".to_owned(),
            params: Vec::new(),
            guardband: 48 * HOUR,
            coverage: 0.8,
            floors: Floors { accounts: 3, posts: 5, ratio: 1.5 },
            false_episodes_per_week: 5.0,
        }
    }
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            number: 1,
            generation: 1,
            from: crate::time::EARLIEST,
            lateness: 2 * MINUTE,
            horizon: 36 * HOUR,
            pane: HOUR,
            windows: vec![DAY, 7 * DAY],
            partitions: 1,
            topics: Vec::new(),
            feeds: Vec::new(),
            regions: Vec::new(),
            detect: DetectSettings::default(),
            author_epoch: 30 * DAY,
            cells_max: 300_000,
            key_fingerprints: Vec::new(),
            lexicon: String::new(),
            places: String::new(),
        }
    }
}

impl Settings {
    pub fn topic(&self, id: &str) -> Option<&TopicSetting> {
        self.topics.iter().find(|topic| topic.id == id)
    }

    pub fn region_table(&self) -> RegionTable {
        RegionTable::new(&self.regions)
    }

    /// The longest window of any topic.
    pub fn longest_window(&self) -> Micros {
        self.topics
            .iter()
            .flat_map(|topic| &topic.windows)
            .chain(&self.windows)
            .copied()
            .max()
            .unwrap_or(7 * DAY)
    }

    /// Whether two settings mean the same, whatever their number and start.
    pub fn same_meaning(&self, other: &Settings) -> bool {
        let plain = |settings: &Settings| Settings {
            number: 0,
            from: 0,
            generation: 0,
            ..settings.clone()
        };
        plain(self) == plain(other)
    }
}
