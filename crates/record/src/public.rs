//! Publication: what the public may receive of each kind of topic, by mail, feed, page and API.
//!
//! Numbers are those of `public_counts` only, one for each topic, region and final UTC day;
//! `surveillance::publish` applies [`accounts`] and withholds more where sums would reveal a small
//! number. Alerts carry words only: their windows overlap each other and the published days, so
//! that a number in them, rounded or not, could be subtracted from another one. An alert that the
//! public may not receive has no [`PublicAlert`].

use serde::{Deserialize, Serialize};

use crate::kind::Kind;
use crate::output::{Alert, AlertEvent, Explanation, Grounds, Outcome};
use crate::time::{DAY, pane_start};

/// No public number stands for fewer accounts.
pub const ACCOUNTS_LEAST: u32 = 11;
/// Public numbers are multiples of this.
pub const ROUNDING: u32 = 5;

/// The least number of accounts that may be published; none for kinds that are counted by weeks
/// (published numbers are of days) or must be verified by a person first.
pub fn floor(kind: Kind) -> Option<u32> {
    match kind {
        Kind::Symptom | Kind::Disease | Kind::Campaign => Some(ACCOUNTS_LEAST),
        Kind::Narrative => Some(kind.floor()),
        Kind::Sensitive | Kind::Patient | Kind::Crisis => None,
    }
}

pub fn rounded(accounts: u32) -> u32 {
    accounts.saturating_add(ROUNDING / 2) / ROUNDING * ROUNDING
}

/// A number of accounts as it may be published: rounded, none below the floor. Numbers that add up
/// to each other are decided together, by `surveillance::publish`.
pub fn accounts(kind: Kind, accounts: u32) -> Option<u32> {
    floor(kind).filter(|floor| accounts >= *floor).map(|_| rounded(accounts))
}

/// How far an alert lies above the usual level, in place of every number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rise {
    /// Less than three times the usual level.
    Above,
    /// Three to ten times.
    Several,
    /// Ten times and more.
    Many,
}

impl Rise {
    pub const ALL: [Rise; 3] = [Rise::Above, Rise::Several, Rise::Many];

    pub fn of(alert: &Alert) -> Rise {
        match alert.ratio() {
            ratio if ratio >= 10.0 => Rise::Many,
            ratio if ratio >= 3.0 => Rise::Several,
            _ => Rise::Above,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Rise::Above => "above-usual",
            Rise::Several => "several-times-usual",
            Rise::Many => "many-times-usual",
        }
    }
}

/// An alert as the public may receive it.
#[derive(Debug, Clone, PartialEq)]
pub struct PublicAlert {
    /// Without numbers of accounts and posts, sample, grounds and other regions; its instants are
    /// UTC days, except the end of the window, which is that of a pane.
    pub alert: Alert,
    pub rise: Rise,
}

/// Whether the public may see numbers of topics of this kind at all.
pub fn has_numbers(kind: Kind) -> bool {
    floor(kind).is_some()
}

/// The alert as the public may receive it: of a known topic whose kind is public, at or above the
/// kind's floor, and not doubtful. A crisis is public once a person has decided that it is a health
/// event.
pub fn alert(kind: Option<Kind>, alert: &Alert, events: &[AlertEvent]) -> Option<PublicAlert> {
    let is_verified =
        events.last().is_some_and(|event| event.outcome == Some(Outcome::HealthEvent));
    let least = match kind? {
        Kind::Crisis => is_verified.then_some(ACCOUNTS_LEAST)?,
        kind => floor(kind)?,
    };
    if alert.observed < least || alert.grounds.is_doubtful() {
        return None;
    }
    Some(PublicAlert { rise: Rise::of(alert), alert: without_numbers(alert) })
}

fn without_numbers(alert: &Alert) -> Alert {
    Alert {
        regions: vec![alert.region.clone()],
        opened_at: pane_start(alert.opened_at, DAY),
        fired_at: pane_start(alert.fired_at, DAY),
        observed: 0,
        posts: 0,
        population: 0,
        expected: 0.0,
        upperbound: 0.0,
        recurrence: None,
        explanation: Explanation::default(),
        grounds: Box::new(Grounds::default()),
        ..alert.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alert_of(observed: u32) -> Alert {
        Alert {
            id: "a".to_owned(),
            revision: 1,
            topic: "t".to_owned(),
            topic_name: "T".to_owned(),
            region: "DE".to_owned(),
            regions: vec!["DE".to_owned(), "FR".to_owned()],
            opened_at: DAY + 1,
            fired_at: DAY + 7,
            window_end: 2 * DAY,
            window_length: DAY,
            stage: crate::Stage::Closed,
            state: crate::AlertState::Open,
            severity: 1,
            observed,
            posts: observed,
            population: 777,
            expected: 2.5,
            upperbound: 7.5,
            recurrence: Some(99.5),
            method: "m".to_owned(),
            coverage: 1.0,
            explanation: Explanation::default(),
            version: crate::Version(1),
            grounds: Box::default(),
        }
    }

    #[test]
    fn each_kind_has_its_public_floor_and_patients_none() {
        for kind in Kind::ALL {
            let least = match kind {
                Kind::Symptom | Kind::Disease | Kind::Campaign => Some(11),
                Kind::Narrative => Some(50),
                Kind::Crisis | Kind::Sensitive | Kind::Patient => None,
            };
            for observed in [1, 10, 11, 49, 50, 100_000] {
                let is_public = alert(Some(kind), &alert_of(observed), &[]).is_some();
                assert_eq!(
                    is_public,
                    least.is_some_and(|least| observed >= least),
                    "{kind:?} {observed}"
                );
            }
            assert_eq!(has_numbers(kind), least.is_some(), "{kind:?}");
        }
        assert_eq!(alert(None, &alert_of(100), &[]), None, "an unknown topic");
    }

    #[test]
    fn a_public_alert_holds_no_number_of_accounts() {
        let shown = alert(Some(Kind::Symptom), &alert_of(77), &[]).expect("public");
        assert_eq!(shown.rise, Rise::Many);
        let alert = shown.alert;
        assert_eq!((alert.observed, alert.posts, alert.population), (0, 0, 0));
        assert_eq!((alert.expected, alert.upperbound, alert.recurrence), (0.0, 0.0, None));
        assert_eq!(
            (alert.opened_at, alert.fired_at, alert.regions),
            (DAY, DAY, vec!["DE".to_owned()])
        );
        assert_eq!(
            (alert.explanation, *alert.grounds),
            (Explanation::default(), Grounds::default())
        );
    }
}
