//! The rules that belong to a topic's kind: pane, windows, levels, floors.
//!
//! One table, read by tally (what it sends), watch (what it lets out) and the configuration (what
//! it may change).

use serde::{Deserialize, Serialize};

use crate::region::Level;
use crate::time::{DAY, HOUR, MINUTE, Micros, WEEK};

/// A crisis topic is watched for no longer.
pub const CRISIS_LONGEST: Micros = 30 * DAY;
/// No fewer people live in the polygon of a crisis topic.
pub const CRISIS_INHABITANTS_LEAST: u64 = 10_000;

/// What use of social media in medicine a topic serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[derive(strum::IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
pub enum Kind {
    Symptom,
    Disease,
    Narrative,
    Crisis,
    Sensitive,
    Patient,
    Campaign,
}

impl Kind {
    pub const ALL: [Kind; 7] = [
        Kind::Symptom,
        Kind::Disease,
        Kind::Narrative,
        Kind::Crisis,
        Kind::Sensitive,
        Kind::Patient,
        Kind::Campaign,
    ];

    pub fn name(self) -> &'static str {
        self.into()
    }

    pub fn parse(name: &str) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// The length of the panes that a topic of this kind is counted in.
    pub fn pane(self) -> Micros {
        match self {
            Kind::Symptom | Kind::Disease => HOUR,
            Kind::Crisis => 5 * MINUTE,
            Kind::Narrative | Kind::Campaign => DAY,
            Kind::Sensitive | Kind::Patient => WEEK,
        }
    }

    /// The windows that are judged, shortest first.
    pub fn windows(self) -> &'static [Micros] {
        match self {
            Kind::Sensitive | Kind::Patient => &[WEEK],
            _ => &[DAY, WEEK],
        }
    }

    /// The least number of accounts a cell must have before it may leave the engine.
    pub fn floor(self) -> u32 {
        match self {
            Kind::Symptom | Kind::Disease | Kind::Campaign => 0,
            Kind::Crisis => 11,
            Kind::Sensitive | Kind::Patient => 20,
            Kind::Narrative => 50,
        }
    }

    /// Whether cells of this region may leave tally at all.
    pub fn allows(self, level: Level, code: &str) -> bool {
        match self {
            Kind::Sensitive => level == Level::Country || code == crate::region::WORLD,
            Kind::Narrative => {
                level == Level::Country || code == crate::region::WORLD || code.starts_with("lang:")
            }
            Kind::Symptom | Kind::Disease | Kind::Crisis | Kind::Patient | Kind::Campaign => true,
        }
    }

    /// Whether what explains a cell (the sample of its posts) may be sent along.
    pub fn samples(self) -> bool {
        !matches!(self, Kind::Sensitive | Kind::Narrative | Kind::Crisis)
    }

    /// Whether an open window may be judged before it closes.
    pub fn fires_early(self) -> bool {
        !matches!(self, Kind::Sensitive | Kind::Patient)
    }
}
