//! Close: windows that end become verdicts, and alarms above the floors go to their episodes.
//!
//! Called for each instant at which windows close, are judged again or become final. Judges nothing
//! itself and joins no alarms.

use std::collections::BTreeMap;

use record::region::{Level, UNLOCATED};
use record::{Micros, Reason, Record, Stage, TopicSetting, Version};

use super::episodes::{Alarm, Episodes};
use super::explain;
use super::finding::{Finding, above_floors, explained_by, set_qvalues};
use super::judge::{Assessment, Baselines, Judge, SeriesAt};
use super::ledger::Ledger;
use super::series::{Reported, Series, SeriesKey, Side};
use super::settings::Rules;

/// With a greater share of a window's posts waiting for their place, no region below the world is
/// judged not to be in alarm.
const PENDING_MAX: f64 = 0.1;

/// All windows of topics with one pane length that end at one instant.
pub(super) struct Close<'a> {
    pub(super) ledger: &'a mut Ledger,
    pub(super) episodes: &'a mut Episodes,
    pub(super) baselines: Baselines,
    pub(super) rules: &'a Rules,
    pub(super) end: Micros,
    pub(super) stage: Stage,
    /// Only windows whose numbers have changed since they were last judged.
    pub(super) only_changed: bool,
    /// Whether episodes end that were quiet before these windows.
    pub(super) ends_quiet: bool,
    /// The end of the newest windows that have closed.
    pub(super) newest: Micros,
    pub(super) version: Version,
    /// By window length.
    pub(super) coverages: BTreeMap<Micros, f64>,
}

/// What the windows of one topic come to.
#[derive(Default)]
struct Outcome {
    alarms: Vec<Alarm>,
    /// Windows that are not in alarm.
    calm: Vec<SeriesKey>,
    /// Country → accounts above those expected.
    excess: BTreeMap<String, f64>,
}

impl Close<'_> {
    pub(super) fn run(mut self, topics: &[TopicSetting], out: &mut Vec<Record>) {
        let first_verdict = out.len();
        for topic in topics {
            let mut outcome = Outcome::default();
            for key in self.ledger.keys(&topic.id) {
                self.close_series(topic, &key, &mut outcome, out);
            }
            self.settle(topic, outcome);
            self.episodes.emit(self.version, out);
        }
        if !self.only_changed {
            set_qvalues(&mut out[first_verdict..]);
        }
    }

    /// Gives a topic's alarms to their episodes.
    fn settle(&mut self, topic: &TopicSetting, outcome: Outcome) {
        let Outcome { mut alarms, calm, excess } = outcome;
        for (topic, region) in calm {
            self.episodes.clear(&topic, &region, self.end);
        }
        // Countries first: what they explain is not raised again by the world or a language.
        alarms.sort_by_key(|alarm: &Alarm| alarm.country.is_none());
        for mut alarm in alarms {
            alarm.explained_by = explained_by(&excess, &alarm);
            self.episodes.raise(alarm, self.newest, self.version);
        }
        if self.ends_quiet {
            self.episodes.end_quiet(&topic.id, self.end);
        }
    }

    fn close_series(
        &mut self,
        topic: &TopicSetting,
        key: &SeriesKey,
        outcome: &mut Outcome,
        out: &mut Vec<Record>,
    ) {
        let Some(series) = self.ledger.series.get(key) else { return };
        let before = series.reported.get(&self.end).cloned();
        let is_final = self.stage == Stage::Final;
        let began = if is_final { series.began_for_good } else { series.began };
        if began.is_none_or(|began| began >= self.end) {
            // The posts with which the series began were deleted, and with them its verdicts.
            outcome.calm.extend(before.map(|_| key.clone()));
            return;
        }
        let at = SeriesAt { ledger: self.ledger, topic, key, series, end: self.end };
        let assessment = Judge::new(&self.rules.method).judge(&at, self.stage, &mut self.baselines);
        let (length, chart) = (assessment.length, assessment.chart);
        let observed = at.observed(length);
        let population = self.ledger.population(Side::Aligned, &key.1, self.end - length, self.end);
        let is_country =
            self.ledger.settings.table.level(&key.1) == Level::Country && key.1 != UNLOCATED;
        if let Some(before) = before.as_ref().filter(|_| self.only_changed)
            && (before.length, before.observed, before.population) == (length, observed, population)
        {
            if is_country {
                outcome.excess.insert(key.1.clone(), f64::from(observed) - before.expected);
            }
            return;
        }
        let coverage = *self
            .coverages
            .entry(length)
            .or_insert_with(|| self.ledger.coverage(Side::Aligned, self.end - length, self.end));
        let finding = self.find(key, series, assessment, (observed, population, coverage));
        let revision = before.as_ref().map_or(0, |before| before.revision + 1);
        let settings = &self.rules.settings;
        if observed >= topic.kind.floor() {
            let method = &settings.detect.method;
            out.push(Record::Verdict(finding.verdict(key, method, revision, self.version)));
        }
        if is_country {
            outcome.excess.insert(key.1.clone(), finding.excess());
        }
        let expected = finding.expected();
        let raised = finding.judgement.alarm == Some(true)
            && above_floors(settings, topic.kind, observed, finding.posts, expected);
        if !raised {
            outcome.calm.push(key.clone());
        } else if before.is_none_or(|before| !before.raised)
            || self.episodes.holds(&key.0, &key.1, self.end)
        {
            outcome.alarms.push(self.alarm(topic, key, series, &finding));
        }
        let reported = Reported { length, observed, population, expected, raised, revision };
        self.ledger.set_reported(key, self.end, reported, is_final.then_some(chart));
    }

    /// The numbers of a window. One that was not covered, or whose posts lack a place, has no
    /// answer.
    fn find(
        &self,
        key: &SeriesKey,
        series: &Series,
        assessment: Assessment,
        (observed, population, coverage): (u32, u64, f64),
    ) -> Finding {
        let Assessment { length, mut judgement, grounds, recurrence, .. } = assessment;
        let from = self.end - length;
        let mut reason = judgement.reason;
        if coverage < self.rules.settings.detect.coverage {
            judgement.alarm = None;
            reason = Some(Reason::Coverage);
        }
        // Posts whose place is being looked up are missing somewhere: few there mean nothing.
        if judgement.alarm == Some(false)
            && self.ledger.pending_share(key, from, self.end) > PENDING_MAX
        {
            judgement.alarm = None;
            reason = Some(Reason::Pending);
        }
        Finding {
            stage: self.stage,
            end: self.end,
            length,
            observed,
            posts: series.posts(Side::Aligned, from, self.end, None),
            population,
            judgement,
            reason,
            coverage,
            grounds,
            recurrence,
        }
    }

    fn alarm(
        &self,
        topic: &TopicSetting,
        key: &SeriesKey,
        series: &Series,
        finding: &Finding,
    ) -> Alarm {
        let from = self.end - finding.length;
        let panes = series.panes(Side::Aligned, from, self.end);
        let explanation = explain::explain(panes, finding.observed);
        let settings = &self.rules.settings;
        let wait = match self.stage {
            Stage::Final => settings.horizon,
            _ => settings.lateness,
        };
        finding.alarm(self.ledger, key, &topic.name, self.end + wait, explanation)
    }
}
