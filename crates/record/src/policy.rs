//! Policy: the thresholds that more than one part of the program applies, each defined once.
//!
//! Applied by the engine, which raises alerts, by the warehouse, which explains their absence, and
//! by mail, page and command line, which present them. Rules of one kind of topic are in
//! [`crate::kind`], rules of publication in [`crate::public`]; what an operator may set is in
//! [`crate::Settings`].

use std::cmp::Ordering;

use crate::kind::Kind;
use crate::output::{Alert, Explanation, Grounds, Snooze};
use crate::settings::{DetectSettings, Floors};
use crate::time::{DAY, MINUTE, Micros};

/// How far an author's clock may be ahead of arrival before the post is dated at its arrival.
pub const AHEAD_MAX: Micros = 5 * MINUTE;
/// No baseline begins earlier than this before its window.
pub const BASELINE_REACH: Micros = 60 * DAY;
/// Fewest baseline values from which a spread can be estimated.
pub const BASELINE_VALUES_LEAST: usize = 3;
/// Decided alerts are no longer excluded from baselines after this. By the machine's clock, which
/// is far ahead of the windows where old posts are counted; so it is longer than any baseline.
pub const EXCLUSION_REACH: Micros = 400 * DAY;
/// How rare an alert has to be, where somebody chooses: a name, and the days in which chance alone
/// raises less than one.
pub const RARITIES: [(&str, f64); 3] = [("month", 30.4), ("quarter", 91.3), ("year", 365.25)];
/// The default detector.
pub const METHOD_DEFAULT: &str = "nb-predictive";

/// A part of a sample is large above this share of it, from `SAMPLED_LEAST` posts on.
const LARGE_SHARE: f64 = 0.3;
const SAMPLED_LEAST: u32 = 5;
/// A snoozed alert comes back at once when its ratio is so many times that at which it was snoozed.
const WAKING_RATIO: f64 = 2.0;
/// A provisional alert is large from this many accounts and this ratio on.
const PROVISIONAL_ACCOUNTS_LEAST: u32 = 11;
const PROVISIONAL_RATIO_LEAST: f64 = 5.0;
/// Below this share of posts seen, people should check for an outage.
const COVERAGE_USUAL: f64 = 0.95;
/// No expectation counts as less: the ratio of a rare topic stays finite.
const EXPECTED_LEAST: f64 = 0.1;

/// The order of an inbox and of a digest: rarest first, then the largest ratio.
pub fn rank(one: &Alert, other: &Alert) -> Ordering {
    let rarity = |alert: &Alert| alert.recurrence.unwrap_or(0.0);
    rarity(other)
        .total_cmp(&rarity(one))
        .then(other.ratio().total_cmp(&one.ratio()))
        .then(one.id.cmp(&other.id))
}

/// A floor below which an alarm is no alert.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Shortfall {
    Accounts { least: u32 },
    Posts { have: u32, least: u32 },
    Ratio { have: f64, least: f64 },
}

impl Floors {
    pub fn accounts_least(&self, kind: Kind) -> u32 {
        self.accounts.max(kind.floor())
    }

    /// The floors that a window in alarm doesn't reach; none: it is an alert.
    pub fn shortfalls(
        &self,
        kind: Kind,
        observed: u32,
        posts: u32,
        expected: f64,
    ) -> impl Iterator<Item = Shortfall> {
        let least = self.accounts_least(kind);
        [
            (observed < least).then_some(Shortfall::Accounts { least }),
            (posts < self.posts).then_some(Shortfall::Posts { have: posts, least: self.posts }),
            (f64::from(observed) < self.ratio * expected).then(|| Shortfall::Ratio {
                have: f64::from(observed) / expected,
                least: self.ratio,
            }),
        ]
        .into_iter()
        .flatten()
    }
}

impl DetectSettings {
    /// History from which on a window can be judged.
    pub fn history_least(&self) -> Micros {
        let values = if self.method == METHOD_DEFAULT { 2 } else { BASELINE_VALUES_LEAST as i64 };
        self.guardband + values * DAY
    }
}

impl Explanation {
    /// Whether so many of the sampled posts are a large part of them.
    pub fn is_large(&self, posts: u32) -> bool {
        self.sampled >= SAMPLED_LEAST && f64::from(posts) > LARGE_SHARE * f64::from(self.sampled)
    }
}

impl Grounds {
    /// A doubtful alert is never sent at once and never public.
    pub fn is_doubtful(&self) -> bool {
        !self.suspect.is_empty()
    }
}

impl Alert {
    /// Observed to expected.
    pub fn ratio(&self) -> f64 {
        ratio(self.observed, self.expected)
    }

    /// Whether it is sent with a digest only, whatever a subscription requests.
    pub fn waits_for_digest(&self) -> bool {
        let is_small =
            self.observed < PROVISIONAL_ACCOUNTS_LEAST || self.ratio() < PROVISIONAL_RATIO_LEAST;
        self.grounds.is_doubtful() || (self.grounds.provisional && is_small)
    }

    pub fn has_gaps(&self) -> bool {
        self.coverage < COVERAGE_USUAL
    }
}

impl Snooze {
    /// Whether a window has grown so much since it was snoozed that the snooze ends.
    pub fn is_outgrown(&self, observed: u32, expected: f64) -> bool {
        ratio(observed, expected) >= WAKING_RATIO * self.ratio
    }
}

fn ratio(observed: u32, expected: f64) -> f64 {
    f64::from(observed) / expected.max(EXPECTED_LEAST)
}
