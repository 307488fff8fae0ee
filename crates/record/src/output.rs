//! What watch says to the world: counts, verdicts, alerts; and what was set aside.

use serde::{Deserialize, Serialize};

use crate::reason::Reason;
use crate::time::Micros;

/// `generation << 48 | position`: of two values of one thing the higher holds.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct Version(pub u64);

impl Version {
    pub fn new(generation: u16, position: u64) -> Version {
        Version(u64::from(generation) << 48 | position)
    }
}

/// A cell, absolute.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count {
    pub topic: String,
    pub region: String,
    /// -1 world and overlays, 0 country, 1 first level, 2 operator's own.
    pub level: i8,
    pub pane_start: Micros,
    pub pane_length: Micros,
    pub posts: u32,
    pub authors: u32,
    /// Distinct authors in the 24 h before the pane's end; none where the pane is longer.
    pub authors_24h: Option<u32>,
    pub authors_self: u32,
    pub posts_news: u32,
    pub posts_filtered: u32,
    pub authors_filtered: u32,
    /// All posts of whole feeds in the region and pane.
    pub total_posts: u64,
    pub last: bool,
    pub newest: Micros,
    pub version: Version,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TagCount {
    pub key: String,
    pub region: String,
    pub pane_start: Micros,
    pub posts: u32,
    pub last: bool,
    pub version: Version,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Total {
    pub region: String,
    pub pane_start: Micros,
    pub pane_length: Micros,
    /// Where profiles are asked for places, an estimate from a fixed sample of authors.
    pub posts: u64,
    pub last: bool,
    pub version: Version,
    /// The posts that `posts` was made from; less than it where it is an estimate.
    pub sampled: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CoverageRow {
    pub feed: String,
    pub pane_start: Micros,
    pub pane_length: Micros,
    /// 0 to 1.
    pub share: f64,
    pub version: Version,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WindowCount {
    pub topic: String,
    pub region: String,
    pub end: Micros,
    pub length: Micros,
    pub authors: u32,
    pub authors_self: u32,
    pub last: bool,
    pub version: Version,
}

/// What the public may see of a topic in a region on a final UTC day; told once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublicCount {
    pub topic: String,
    pub region: String,
    /// -1 world, 0 country, 1 first level.
    pub level: i8,
    /// The day's start.
    pub day: Micros,
    /// Distinct accounts, rounded; none of the world where its number is withheld. Other regions
    /// have no record then.
    pub accounts: Option<u32>,
    pub version: Version,
}

/// How certain a verdict is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[derive(strum::IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
pub enum Stage {
    /// The window is still open.
    Early,
    /// The watermark has passed its end and lateness.
    Closed,
    /// Its numbers can't change any more.
    Final,
}

impl Stage {
    pub fn name(self) -> &'static str {
        self.into()
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    pub topic: String,
    pub region: String,
    pub window_end: Micros,
    pub window_length: Micros,
    pub method: String,
    pub stage: Stage,
    pub observed: u32,
    pub population: u64,
    pub expected: Option<f64>,
    pub upperbound: Option<f64>,
    pub pvalue: Option<f64>,
    /// None is *no answer*, with its reason.
    pub alarm: Option<bool>,
    #[serde(with = "crate::reason::as_text")]
    pub reason: Option<Reason>,
    pub coverage: f64,
    pub revision: u32,
    pub version: Version,
    /// What is expected lies in here with 95 %, by the method's own account of what it doesn't
    /// know.
    pub expected_low: Option<f64>,
    pub expected_high: Option<f64>,
    /// The smallest rise, as a multiple of what is expected, that would be in alarm with 80 %.
    pub detectable_rise: Option<f64>,
    /// By Benjamini and Hochberg, among all windows of one length that end with this one; a column
    /// for analysts, no rule uses it.
    pub qvalue: Option<f64>,
    /// From an installation's first fortnight.
    pub provisional: bool,
}

/// Where an episode stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[derive(strum::IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
pub enum AlertState {
    Open,
    /// It rose early and the close did not bear it out, or a revision took it back.
    Withdrawn,
    /// The episode is over.
    Closed,
}

impl AlertState {
    pub fn name(self) -> &'static str {
        self.into()
    }
}

/// An episode as an official receives it; each revision is whole.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Alert {
    pub id: String,
    pub revision: u32,
    pub topic: String,
    pub topic_name: String,
    /// The region that explains it best.
    pub region: String,
    /// All regions in alarm during the episode, sorted.
    pub regions: Vec<String>,
    /// Start of the window that raised it first.
    pub opened_at: Micros,
    /// Event time of the post that made it certain, or the instant of the close that found it.
    pub fired_at: Micros,
    pub window_end: Micros,
    pub window_length: Micros,
    pub stage: Stage,
    pub state: AlertState,
    /// 1 notable, 2 high, 3 very high: how far above the bound.
    pub severity: u8,
    pub observed: u32,
    pub posts: u32,
    pub population: u64,
    pub expected: f64,
    pub upperbound: f64,
    /// Mean time between false episodes this rare, in days; none until it has been simulated for
    /// this method.
    pub recurrence: Option<f64>,
    pub method: String,
    pub coverage: f64,
    pub explanation: Explanation,
    pub version: Version,
    pub grounds: Box<Grounds>,
}

/// What an alert rests on, as far as the method says: from it the alert can be computed again.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Grounds {
    /// P(a count at least this large) if nothing is going on.
    pub pvalue: Option<f64>,
    /// The p at or below which the window is in alarm.
    pub threshold: Option<f64>,
    /// What is expected lies in here with 95 %.
    pub expected_low: Option<f64>,
    pub expected_high: Option<f64>,
    /// The smallest rise, as a multiple of what is expected, that would be in alarm with 80 %.
    pub detectable_rise: Option<f64>,
    /// The beginning of the oldest baseline window and the end of the newest.
    pub baseline_from: Option<Micros>,
    pub baseline_to: Option<Micros>,
    /// Of all posts of the window's whole feeds under the nearest country or world, those that
    /// could be placed as finely as the region.
    pub located_share: Option<f64>,
    /// Why a person should doubt it: such an alert is never sent at once, and never public.
    pub suspect: Vec<Suspect>,
    /// From an installation's first fortnight: for the digest, unless it is large.
    pub provisional: bool,
    /// What the answer rests on, such as a missing denominator.
    #[serde(with = "crate::reason::as_text")]
    pub reason: Option<Reason>,
    /// What the method was given, oldest first.
    pub baseline: Vec<PastWindow>,
    /// The method's numbers that come from elsewhere than the baseline, by name.
    pub model: Vec<(String, f64)>,
}

impl Grounds {
    /// Under this name in `model` stands for how many days a slow rise has lasted.
    pub const RISING_DAYS: &'static str = "rising-days";
    /// By how many days the level that a count was compared with is older than usual: a rise that
    /// lasts is compared with what was before it.
    pub const HELD_DAYS: &'static str = "held-days";

    /// Where no single window is in alarm but many days together are: how many.
    pub fn rising_days(&self) -> Option<u32> {
        self.model
            .iter()
            .find(|(name, _)| name == Grounds::RISING_DAYS)
            .map(|(_, days)| *days as u32)
    }
}

/// A baseline window as a method was given it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PastWindow {
    pub end: Micros,
    pub observed: u32,
    /// How much it was to bring, as a multiple of the judged window: by denominator, weekday and
    /// holiday.
    pub exposure: f64,
}

/// What makes an alert doubtful.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[derive(strum::IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
pub enum Suspect {
    /// One account wrote more than 30 % of the sampled posts, or accounts wrote three and more
    /// each, so that a few wrote most.
    OneAccount,
    /// One link stands in more than 30 % of them.
    OneLink,
    /// More than 30 % are near-copies of one another.
    NearCopies,
    /// More than 30 % come from new accounts.
    NewAccounts,
    /// All posts of the region, or of the whole platform, rose as the topic did.
    PlatformGrowth,
}

impl Suspect {
    pub const ALL: [Suspect; 5] = [
        Suspect::OneAccount,
        Suspect::OneLink,
        Suspect::NearCopies,
        Suspect::NewAccounts,
        Suspect::PlatformGrowth,
    ];

    pub fn name(self) -> &'static str {
        self.into()
    }
}

/// What the sample of the window's posts shows.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Explanation {
    pub sampled: u32,
    pub own: u32,
    pub news: u32,
    /// With the number of sampled posts, most first; only what at least five accounts used.
    pub tags: Vec<(String, u32)>,
    pub langs: Vec<(String, u32)>,
    pub link_domains: Vec<(String, u32)>,
    /// So many sampled posts at least are by one author.
    pub most_by_one: u32,
    /// Largest group of near-copies.
    pub near_copies: u32,
    pub new_accounts: u32,
}

/// Where people are with an alert.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
#[derive(strum::IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
pub enum Handling {
    /// Nobody has acknowledged it.
    #[default]
    New,
    /// Somebody has it.
    Triaged,
    /// Somebody is finding out.
    Verifying,
    /// It is known what it was: see [`Outcome`].
    Decided,
    /// Nothing is left to do.
    Closed,
}

impl Handling {
    pub const ALL: [Handling; 5] = [
        Handling::New,
        Handling::Triaged,
        Handling::Verifying,
        Handling::Decided,
        Handling::Closed,
    ];

    pub fn name(self) -> &'static str {
        self.into()
    }

    pub fn parse(name: &str) -> Option<Handling> {
        Handling::ALL.into_iter().find(|handling| handling.name() == name)
    }
}

/// What an alert turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[derive(strum::IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
pub enum Outcome {
    HealthEvent,
    /// Already known, or the expected season.
    Known,
    /// People talked of it, and nothing else.
    TalkOnly,
    /// A bot, an outage, another sense of a word.
    Artefact,
    CouldNotTell,
}

impl Outcome {
    pub const ALL: [Outcome; 5] = [
        Outcome::HealthEvent,
        Outcome::Known,
        Outcome::TalkOnly,
        Outcome::Artefact,
        Outcome::CouldNotTell,
    ];

    pub fn name(self) -> &'static str {
        self.into()
    }

    pub fn parse(name: &str) -> Option<Outcome> {
        Outcome::ALL.into_iter().find(|outcome| outcome.name() == name)
    }

    pub(crate) fn names() -> String {
        Outcome::ALL.map(Outcome::name).join(", ")
    }

    /// Whether people did post more, for whatever reason.
    pub fn is_real_rise(self) -> bool {
        matches!(self, Outcome::HealthEvent | Outcome::Known | Outcome::TalkOnly)
    }

    /// Whether its days are no picture of usual ones, so that they leave later baselines.
    pub fn leaves_baselines(self) -> bool {
        matches!(self, Outcome::HealthEvent | Outcome::Known)
    }
}

/// Not to be seen until then, unless it grows.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Snooze {
    pub until: Micros,
    /// Observed to expected when it was snoozed.
    pub ratio: f64,
}

/// Of an event, what only people know: 7-1-7 counts from it. The detection itself is the alert's
/// `fired_at`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Milestones {
    pub emerged: Option<Micros>,
    pub notified: Option<Micros>,
    pub responded: Option<Micros>,
}

/// What a person did with an alert, and how it stands after that.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct AlertEvent {
    pub alert: String,
    /// The number of the event that it was made against.
    pub after: u32,
    pub at: Micros,
    pub actor: String,
    pub state: Handling,
    pub note: String,
    /// The alert's revision that it was made against.
    pub revision: u32,
    pub outcome: Option<Outcome>,
    /// Who has it; empty: nobody.
    pub assignee: String,
    pub snooze: Option<Snooze>,
    pub milestones: Milestones,
}

/// Why input was set aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[derive(strum::IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
pub enum RejectReason {
    Json,
    Utf8,
    Length,
    Depth,
    Shape,
    Field,
    Time,
    TimeRange,
    Arrival,
    Region,
    Tags,
    Record,
}

impl RejectReason {
    pub const ALL: [RejectReason; 12] = [
        RejectReason::Json,
        RejectReason::Utf8,
        RejectReason::Length,
        RejectReason::Depth,
        RejectReason::Shape,
        RejectReason::Field,
        RejectReason::Time,
        RejectReason::TimeRange,
        RejectReason::Arrival,
        RejectReason::Region,
        RejectReason::Tags,
        RejectReason::Record,
    ];

    pub fn name(self) -> &'static str {
        self.into()
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reject {
    pub feed: String,
    pub reason: RejectReason,
    /// File and line, or cursor.
    pub place: String,
    pub line: u64,
    pub length: u64,
    /// First 16 hex digits of the BLAKE3 hash of the bytes.
    pub hash: String,
    pub detail: String,
}
