//! Early firing: an open window whose count has passed its bound is in alarm before it closes.
//!
//! Called with each frame of a live log. Counts inside a window only grow, except by deletions, and
//! its bound is fixed: the post that passes it fires at once. Closes nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use record::region::{Level, UNLOCATED};
use record::{
    Grounds, Micros, PaneChange, Record, SeriesChange, Stage, Step, TopicSetting, Version,
    WindowChange,
};

use super::HISTORY;
use super::episodes::{Alarm, Episodes};
use super::explain;
use super::finding::{Finding, above_floors, explained_by};
use super::judge::{Baselines, Judge, SeriesAt};
use super::ledger::Ledger;
use super::series::{Bound, Series, SeriesKey, Side};
use super::settings::Rules;
use crate::detectors::Judgement;

/// The changes of one frame.
pub(super) struct Early<'a> {
    pub(super) ledger: &'a mut Ledger,
    pub(super) episodes: &'a mut Episodes,
    pub(super) baselines: &'a mut Baselines,
    pub(super) partition: u32,
    pub(super) watermark: Micros,
    pub(super) version: Version,
}

/// The counts of an open window up to one post, over all partitions.
#[derive(Debug, Clone, Copy)]
struct Count {
    at: Micros,
    authors: u32,
    posts: u32,
}

impl Early<'_> {
    pub(super) fn run(mut self, changes: &[SeriesChange], out: &mut Vec<Record>) {
        let mut fired = Vec::new();
        for change in changes {
            let topic = self.ledger.settings.topic(&change.topic);
            let Some(topic) = topic.filter(|topic| topic.kind.fires_early()).cloned() else {
                continue;
            };
            let key = (change.topic.clone(), change.region.clone());
            for window in &change.windows {
                if may_fire(&topic, change, window, self.watermark) {
                    fired.extend(self.fire(&topic, &key, window));
                }
            }
        }
        self.baselines.retain_final(self.ledger, self.watermark);
        fired.sort_by_key(|(alarm, _)| alarm.country.is_none());
        for (mut alarm, finding) in fired {
            if alarm.country.is_none() {
                alarm.explained_by = explained_by(&self.excess(&alarm), &alarm);
            }
            let key = (alarm.topic.clone(), alarm.region.clone());
            out.push(Record::Verdict(finding.verdict(&key, &alarm.method, 0, self.version)));
            let now = alarm.window_end;
            self.episodes.raise(alarm, now, self.version);
        }
        self.episodes.emit(self.version, out);
    }

    fn fire(
        &mut self,
        topic: &TopicSetting,
        key: &SeriesKey,
        window: &WindowChange,
    ) -> Option<(Alarm, Finding)> {
        let (end, length) = (window.end, window.length);
        let rules = Arc::clone(self.ledger.settings.at(end - 1)?);
        let judge = Judge::new(&rules.method);
        let series = self.ledger.series.get(key)?;
        let at = SeriesAt { ledger: self.ledger, topic, key, series, end };
        let mut bound = match series.bounds.get(&end) {
            Some(bound) => *bound,
            None => judge.bound(&at, length, self.watermark, self.baselines)?,
        };
        let counts = counts(series, window, self.partition);
        if first_above(&counts, &bound, length, &rules, topic).is_some() {
            bound = judge.raise_bound(bound, &at, self.baselines);
        }
        let first = first_above(&counts, &bound, length, &rules, topic);
        // What has not come yet can't be missing.
        let covered_to = self.watermark.clamp(end - length + 1, end);
        let fired = first.and_then(|count| {
            let coverage = self.ledger.coverage(Side::Open, end - length, covered_to);
            (coverage >= rules.settings.detect.coverage).then_some((count, coverage))
        });
        bound.fired |= fired.is_some();
        let new = fired.filter(|_| !self.episodes.holds(&key.0, &key.1, end));
        let alarm = new.map(|(count, coverage)| {
            let grounds = judge.ground(&at, count.authors, self.baselines);
            find(&at, length, &bound, (count, coverage), grounds)
        });
        self.ledger.series.get_mut(key)?.bounds.insert(end, bound);
        alarm
    }

    /// For each country what its open window has above its expectation.
    fn excess(&self, alarm: &Alarm) -> BTreeMap<String, f64> {
        let (length, end) = (alarm.window_length, alarm.window_end);
        let ledger = &*self.ledger;
        let Some(rules) = ledger.settings.at(end - 1) else { return BTreeMap::new() };
        let judge = Judge::new(&rules.method);
        let ends = ledger.ends(length, end, 0, HISTORY);
        let table = &ledger.settings.table;
        ledger
            .of_topic(&alarm.topic)
            .filter(|((_, region), _)| table.level(region) == Level::Country && region != UNLOCATED)
            .map(|(key, series)| {
                let observed = series.authors(Side::Open, length, end);
                let expected = judge.expected(series, ledger.past(key, series, length, end, &ends));
                (key.1.clone(), f64::from(observed) - expected)
            })
            .collect()
    }
}

/// The counts of a window after each step of a partition, those of other partitions included.
fn counts(series: &Series, window: &WindowChange, partition: u32) -> Vec<Count> {
    let (from, length, end) = (window.end - window.length, window.length, window.end);
    let others = series.window(Side::Open, length, end);
    let other_authors = others.map_or(0, |parts| parts.sum_without(partition, |part| part.authors));
    let other_posts = series.posts(Side::Open, from, end, Some(partition));
    let panes = || series.panes(Side::Open, from, end);
    let whole = Step {
        event_time: panes()
            .flat_map(|(_, parts)| parts.values())
            .map(|pane| pane.newest)
            .max()
            .unwrap_or(from),
        authors: window.authors,
        authors_self: window.authors_self,
        posts: series.posts(Side::Open, from, end, None) - other_posts,
    };
    let steps = if window.steps.is_empty() { std::slice::from_ref(&whole) } else { &window.steps };
    // What other partitions have counted already came before this step.
    let newest = panes().filter_map(|(_, parts)| parts.newest_without(partition)).max();
    let others_newest = newest.unwrap_or(from);
    let count = |step: &Step| Count {
        at: step.event_time.max(others_newest),
        authors: other_authors + step.authors,
        posts: other_posts + step.posts,
    };
    steps.iter().map(count).collect()
}

/// The first count above a bound and the floors of alerts.
fn first_above(
    counts: &[Count],
    bound: &Bound,
    length: Micros,
    rules: &Rules,
    topic: &TopicSetting,
) -> Option<Count> {
    let upperbound = bound.upperbound.filter(|_| bound.length == length && !bound.fired)?;
    counts.iter().copied().find(|count| {
        f64::from(count.authors) > upperbound
            && above_floors(&rules.settings, topic.kind, count.authors, count.posts, bound.expected)
    })
}

/// The finding and the alarm of an open window.
fn find(
    at: &SeriesAt,
    length: Micros,
    bound: &Bound,
    (count, coverage): (Count, f64),
    (grounds, recurrence): (Grounds, Option<f64>),
) -> (Alarm, Finding) {
    let (from, end) = (at.end - length, at.end);
    let finding = Finding {
        stage: Stage::Early,
        end,
        length,
        observed: count.authors,
        posts: count.posts,
        population: at.ledger.population(Side::Open, &at.key.1, from, end),
        judgement: Judgement {
            expected: Some(bound.expected),
            upperbound: bound.upperbound,
            alarm: Some(true),
            ..Judgement::default()
        },
        reason: grounds.reason,
        coverage,
        grounds,
        recurrence,
    };
    // The sample may hold posts that came after the one that makes it certain, and so their
    // accounts count too.
    let accounts = at.series.authors(Side::Open, length, end).max(finding.observed);
    let explanation = explain::explain(at.series.panes(Side::Open, from, end), accounts);
    let alarm = finding.alarm(at.ledger, at.key, &at.topic.name, count.at, explanation);
    (alarm, finding)
}

/// Of a frame's changes those that can make an open window pass its bound.
pub(super) fn early_changes(
    topic: &TopicSetting,
    change: &SeriesChange,
    watermark: Micros,
) -> Option<SeriesChange> {
    let windows: Vec<WindowChange> = change
        .windows
        .iter()
        .filter(|window| may_fire(topic, change, window, watermark))
        .cloned()
        .collect();
    let panes = || {
        change
            .panes
            .iter()
            .map(|pane| PaneChange { start: pane.start, ..PaneChange::default() })
            .collect()
    };
    let (topic, region) = (change.topic.clone(), change.region.clone());
    (!windows.is_empty()).then(|| SeriesChange { topic, region, panes: panes(), windows })
}

/// After a deletion a frame has no steps; its count of a window that is open now is valid.
fn may_fire(
    topic: &TopicSetting,
    change: &SeriesChange,
    window: &WindowChange,
    watermark: Micros,
) -> bool {
    let from = window.end - window.length;
    let counted = window.end - topic.pane <= watermark
        && change.panes.iter().any(|pane| (from..window.end).contains(&pane.start));
    window.end > watermark && (!window.steps.is_empty() || counted)
}
