//! Finding: the numbers of one judged window, as a verdict and as an alarm.
//!
//! Made where windows close and where open ones pass their bound. Decides neither which windows are
//! judged nor which alarms become alerts.

use std::collections::{BTreeMap, BTreeSet};

use record::kind::Kind;
use record::region::{Level, UNLOCATED, WORLD};
use record::{Explanation, Grounds, Micros, Record, Settings, Stage, Suspect, Verdict, Version};

use super::episodes::Alarm;
use super::ledger::Ledger;
use super::series::{SeriesKey, Side};
use crate::detectors::{Judgement, Reason};

/// At this many posts per account the count is dominated by a few accounts.
const POSTS_EACH_MOST: u32 = 3;

/// One judged window: the numbers of its verdict and, should it be in alarm, of its alert.
#[derive(Debug, Clone)]
pub(super) struct Finding {
    pub(super) stage: Stage,
    pub(super) end: Micros,
    pub(super) length: Micros,
    pub(super) observed: u32,
    pub(super) posts: u32,
    pub(super) population: u64,
    pub(super) judgement: Judgement,
    pub(super) reason: Option<Reason>,
    pub(super) coverage: f64,
    pub(super) grounds: Grounds,
    pub(super) recurrence: Option<f64>,
}

impl Finding {
    pub(super) fn expected(&self) -> f64 {
        self.judgement.expected.unwrap_or(0.0)
    }

    pub(super) fn excess(&self) -> f64 {
        f64::from(self.observed) - self.expected()
    }

    pub(super) fn verdict(
        &self,
        key: &SeriesKey,
        method: &str,
        revision: u32,
        version: Version,
    ) -> Verdict {
        Verdict {
            topic: key.0.clone(),
            region: key.1.clone(),
            window_end: self.end,
            window_length: self.length,
            method: method.to_owned(),
            stage: self.stage,
            observed: self.observed,
            population: self.population,
            expected: self.judgement.expected,
            upperbound: self.judgement.upperbound,
            pvalue: self.judgement.pvalue,
            alarm: self.judgement.alarm,
            reason: self.reason,
            coverage: self.coverage,
            revision,
            version,
            expected_low: self.grounds.expected_low,
            expected_high: self.grounds.expected_high,
            detectable_rise: self.grounds.detectable_rise,
            qvalue: None,
            provisional: self.grounds.provisional,
        }
    }

    pub(super) fn alarm(
        &self,
        ledger: &Ledger,
        key: &SeriesKey,
        topic_name: &str,
        fired_at: Micros,
        explanation: Explanation,
    ) -> Alarm {
        let settings = &ledger.settings;
        Alarm {
            topic: key.0.clone(),
            topic_name: topic_name.to_owned(),
            region: key.1.clone(),
            country: settings.table.country(&key.1),
            explained_by: None,
            depth: depth(ledger, &key.1),
            window_end: self.end,
            window_length: self.length,
            stage: self.stage,
            fired_at,
            observed: self.observed,
            posts: self.posts,
            population: self.population,
            expected: self.expected(),
            upperbound: self.judgement.upperbound.unwrap_or(0.0),
            method: settings
                .at(self.end - 1)
                .map_or(String::new(), |rules| rules.settings.detect.method.clone()),
            coverage: self.coverage,
            recurrence: self.recurrence,
            grounds: Box::new(Grounds {
                located_share: self.located_share(ledger, &key.1),
                suspect: self.suspects(&explanation),
                ..self.grounds.clone()
            }),
            explanation,
        }
    }

    /// The share of the posts around a region that could be located.
    fn located_share(&self, ledger: &Ledger, region: &str) -> Option<f64> {
        let (from, to) = (self.end - self.length, self.end);
        let posts = |region: &str| ledger.population(Side::Aligned, region, from, to) as f64;
        let (located, all) = match ledger.settings.table.level(region) {
            Level::First => {
                let country = ledger.settings.table.country(region).unwrap_or_default();
                let of_country = format!("{country}-");
                let regions: BTreeSet<&str> = ledger
                    .aligned
                    .totals
                    .keys()
                    .filter(|(region, _)| region.starts_with(&of_country))
                    .map(|(region, _)| region.as_str())
                    .collect();
                (regions.into_iter().map(posts).sum(), posts(&country))
            }
            _ => (posts(WORLD) - posts(UNLOCATED), posts(WORLD)),
        };
        (all > 0.0 && region != WORLD).then(|| (located / all).clamp(0.0, 1.0))
    }

    /// What makes the alarm doubtful.
    fn suspects(&self, explanation: &Explanation) -> Vec<Suspect> {
        let mut suspects = self.grounds.suspect.clone();
        let most_linked = explanation.link_domains.first().map_or(0, |(_, posts)| *posts);
        let counts = [
            (Suspect::OneAccount, explanation.most_by_one),
            (Suspect::OneLink, most_linked),
            (Suspect::NearCopies, explanation.near_copies),
            (Suspect::NewAccounts, explanation.new_accounts),
        ];
        let doubtful = counts.into_iter().filter(|(_, count)| explanation.is_large(*count));
        suspects.extend(doubtful.map(|(suspect, _)| suspect));
        if self.posts >= POSTS_EACH_MOST * self.observed && !suspects.contains(&Suspect::OneAccount)
        {
            suspects.push(Suspect::OneAccount);
        }
        suspects.sort();
        suspects
    }
}

/// Order of regions as the headline of an alert: deeper in the tree is better, a language better
/// than no place.
fn depth(ledger: &Ledger, region: &str) -> i8 {
    match region {
        WORLD => -3,
        UNLOCATED => -2,
        _ => ledger.settings.table.level(region).number(),
    }
}

/// q-values of verdicts by Benjamini and Hochberg (1995), among those of one window length.
pub(super) fn set_qvalues(records: &mut [Record]) {
    let mut by_length: BTreeMap<Micros, Vec<&mut Verdict>> = BTreeMap::new();
    for record in records {
        if let Record::Verdict(verdict) = record
            && verdict.pvalue.is_some()
        {
            by_length.entry(verdict.window_length).or_default().push(verdict);
        }
    }
    for verdicts in by_length.values_mut() {
        verdicts.sort_by(|a, b| b.pvalue.unwrap_or(1.0).total_cmp(&a.pvalue.unwrap_or(1.0)));
        let all = verdicts.len();
        let mut least = 1.0_f64;
        for (nth, verdict) in verdicts.iter_mut().enumerate() {
            let rank = all - nth;
            least = least.min(verdict.pvalue.unwrap_or(1.0) * all as f64 / rank as f64);
            verdict.qvalue = Some(least);
        }
    }
}

/// Whether a count is above the floors below which no alarm becomes an alert.
pub(super) fn above_floors(
    settings: &Settings,
    kind: Kind,
    observed: u32,
    posts: u32,
    expected: f64,
) -> bool {
    settings.detect.floors.shortfalls(kind, observed, posts, expected).next().is_none()
}

/// The country with the largest excess, if that is at least half of the alarm's own.
pub(super) fn explained_by(excess: &BTreeMap<String, f64>, alarm: &Alarm) -> Option<String> {
    let own = f64::from(alarm.observed) - alarm.expected;
    let (country, largest) =
        excess.iter().max_by(|a, b| a.1.total_cmp(b.1).then_with(|| b.0.cmp(a.0)))?;
    (alarm.country.is_none() && *largest * 2.0 >= own).then(|| country.clone())
}
