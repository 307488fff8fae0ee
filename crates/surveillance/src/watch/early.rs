//! Early firing: an open window whose count has passed its bound is in alarm before it closes.

use std::collections::BTreeMap;
use std::sync::Arc;

use record::region::{Level, UNLOCATED};
use record::time::DAY;
use record::{
    Grounds, Micros, PaneChange, Record, SeriesChange, Stage, Step, TopicSetting, Version,
    WindowChange,
};

use super::episodes::Alarm;
use super::judging::{above_floors, explained_by, judge};
use super::predict::Known;
use super::{Bound, Finding, Pasts, Rules, Side, Watch, explain};
use crate::detectors::Judgement;

impl Watch {
    /// Counts inside a window only grow, except by deletions, and its bound is fixed: the post that
    /// passes it fires at once.
    pub(super) fn fire_early(
        &mut self,
        partition: u32,
        watermark: Micros,
        changes: &[SeriesChange],
        version: Version,
        out: &mut Vec<Record>,
    ) {
        let mut fired = Vec::new();
        let mut pasts: BTreeMap<(Vec<Micros>, Micros), Pasts> = BTreeMap::new();
        for change in changes {
            let Some(topic) =
                self.topic(&change.topic).filter(|topic| topic.kind.fires_early()).cloned()
            else {
                continue;
            };
            let key = (change.topic.clone(), change.region.clone());
            for window in change.windows.iter().filter(|window| window.end > watermark) {
                if may_fire(&topic, change, window, watermark) {
                    fired.extend(
                        self.early_alarm(&topic, &key, window, partition, watermark, &mut pasts),
                    );
                }
            }
        }
        fired.sort_by_key(|(alarm, _)| alarm.country.is_none());
        for (mut alarm, finding) in fired {
            if alarm.country.is_none() {
                alarm.explained_by = explained_by(&self.open_excess(&alarm), &alarm);
            }
            let key = (alarm.topic.clone(), alarm.region.clone());
            out.push(Record::Verdict(finding.verdict(&key, &alarm.method, 0, version)));
            let now = alarm.window_end;
            self.head.episodes.alarm(alarm, now, version);
        }
        self.head.episodes.tell(version, out);
    }

    fn early_alarm(
        &mut self,
        topic: &TopicSetting,
        key: &(String, String),
        window: &WindowChange,
        partition: u32,
        watermark: Micros,
        pasts: &mut BTreeMap<(Vec<Micros>, Micros), Pasts>,
    ) -> Option<(Alarm, Finding)> {
        let rules = Arc::clone(self.rules(window.end - 1)?);
        let known = self.series.get(key)?.bounds.get(&window.end).copied();
        let bound = match known {
            Some(bound) => bound,
            None if rules.predicts() => {
                if window.end - topic.pane > watermark
                    || topic.windows.first() != Some(&window.length)
                {
                    return None;
                }
                self.keep_known(topic, window.end, &rules);
                let Known { pasts, view } = &*self.known_while_open(topic, window.end);
                let opinion = self
                    .day_forecast(key, self.series.get(key)?, pasts, view, (Side::Open, false))
                    .opinion(view, 0, None);
                let upperbound = opinion.judgement.upperbound.filter(|_| !view.is_learning());
                Bound {
                    length: opinion.length,
                    expected: opinion.judgement.expected.unwrap_or(0.0),
                    upperbound,
                    fired: false,
                }
            }
            None => {
                let pasts = pasts
                    .entry((topic.windows.clone(), window.end))
                    .or_insert_with(|| self.pasts(&topic.windows, window.end));
                let (length, past) = self.window_length(key, self.series.get(key)?, pasts);
                let judgement = judge(&rules.method, past, 0);
                let expected = judgement.expected.unwrap_or(0.0);
                Bound { length, expected, upperbound: judgement.upperbound, fired: false }
            }
        };
        let series = self.series.get(key)?;
        let (from, length, end) = (window.end - window.length, window.length, window.end);
        let others = series.window(Side::Open, length, end);
        let other_authors =
            others.map_or(0, |parts| parts.sum_without(partition, |part| part.authors));
        let other_posts = series.posts(Side::Open, from, end, Some(partition));
        let as_told = Step {
            event_time: series
                .panes(Side::Open, from, end)
                .flat_map(|(_, parts)| parts.values())
                .map(|pane| pane.newest)
                .max()
                .unwrap_or(from),
            authors: window.authors,
            authors_self: window.authors_self,
            posts: series.posts(Side::Open, from, end, None) - other_posts,
        };
        let steps =
            if window.steps.is_empty() { std::slice::from_ref(&as_told) } else { &window.steps };
        // What other partitions have counted already came before this step.
        let others = series
            .panes(Side::Open, from, end)
            .filter_map(|(_, parts)| parts.newest_without(partition));
        let others_newest = others.max().unwrap_or(from);
        let first_above = |bound: &Bound| {
            let upperbound = bound.upperbound.filter(|_| bound.length == length && !bound.fired)?;
            steps
                .iter()
                .map(|step| {
                    (
                        step.event_time.max(others_newest),
                        other_authors + step.authors,
                        other_posts + step.posts,
                    )
                })
                .find(|(_, observed, posts)| {
                    f64::from(*observed) > upperbound
                        && above_floors(
                            &rules.settings,
                            topic.kind,
                            *observed,
                            *posts,
                            bound.expected,
                        )
                })
        };
        let mut bound = bound;
        let mut certain = first_above(&bound);
        let again = (certain.is_some() && rules.predicts()).then(|| {
            let known = self.known_while_open(topic, end);
            (self.day_forecast(key, series, &known.pasts, &known.view, (Side::Open, false)), known)
        });
        if let Some((forecasted, known)) = &again {
            // More posts may have come than the bound was fixed for, as when an outage is caught up
            // with.
            let fresh = forecasted.opinion(&known.view, 0, None).judgement;
            bound.upperbound =
                bound.upperbound.zip(fresh.upperbound).map(|(fixed, fresh)| fixed.max(fresh));
            bound.expected = bound.expected.max(fresh.expected.unwrap_or(0.0));
            certain = first_above(&bound);
        }
        let fired = certain.and_then(|(fired_at, observed, posts)| {
            // What has not come yet can't be missing.
            let coverage = self.coverage(Side::Open, from, watermark.clamp(from + 1, end));
            let (grounds, recurrence) =
                again.map_or((Grounds::default(), None), |(forecasted, known)| {
                    let opinion = forecasted.opinion(&known.view, observed, None);
                    (opinion.grounds, opinion.recurrence)
                });
            let finding = Finding {
                stage: Stage::Early,
                end,
                length,
                observed,
                posts,
                population: self.population(Side::Open, &key.1, from, end),
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
            (coverage >= rules.settings.detect.coverage).then_some((fired_at, finding))
        });
        let fired_once = fired.is_some();
        let is_new = fired_once && !self.head.episodes.holds(&key.0, &key.1, end);
        let alarm = fired.filter(|_| is_new).map(|(fired_at, finding)| {
            // The sample may hold posts that came after the one that makes it certain, and so their
            // accounts count too.
            let accounts = series.authors(Side::Open, length, end).max(finding.observed);
            let explanation = explain::explain(series.panes(Side::Open, from, end), accounts);
            let pasts = pasts
                .entry((topic.windows.clone(), end))
                .or_insert_with(|| self.pasts(&topic.windows, end));
            let grounds = self.grounds(key, series, pasts, &finding);
            (self.alarm(key, &topic.name, &finding, fired_at, explanation, grounds), finding)
        });
        let fired = bound.fired || fired_once;
        self.series.get_mut(key)?.bounds.insert(end, Bound { fired, ..bound });
        alarm
    }

    /// Keeps what a topic's regions know at the end of an open window from frame to frame, where
    /// all that it rests on is final.
    fn keep_known(&mut self, topic: &TopicSetting, end: Micros, rules: &Rules) {
        let settings = &rules.settings;
        let name = (topic.id.clone(), end);
        if settings.detect.guardband >= settings.horizon + 2 * topic.pane
            && !self.views.contains_key(&name)
        {
            let known = Arc::new(self.known(topic, end));
            self.views.retain(|(_, known), _| *known > end - DAY);
            self.views.insert(name, known);
        }
    }

    fn known_while_open(&self, topic: &TopicSetting, end: Micros) -> Arc<Known> {
        let kept = self.views.get(&(topic.id.clone(), end)).cloned();
        kept.unwrap_or_else(|| Arc::new(self.known(topic, end)))
    }

    /// For each country what its open window has above its expectation.
    fn open_excess(&self, alarm: &Alarm) -> BTreeMap<String, f64> {
        let (length, end) = (alarm.window_length, alarm.window_end);
        let Some(rules) = self.rules(end - 1) else { return BTreeMap::new() };
        let ends = self.past_ends(length, end, 0);
        let keys = self.keys(&alarm.topic);
        let countries = keys.iter().filter(|(_, region)| {
            self.table.level(region) == Level::Country && region != UNLOCATED
        });
        countries
            .filter_map(|key| {
                let series = self.series.get(key)?;
                let observed = series.authors(Side::Open, length, end);
                let past = self.past(key, series, length, end, &ends);
                let expected = if rules.predicts() {
                    // Near enough to say which country brings most: what the last window that was
                    // judged expected.
                    series
                        .judged
                        .values()
                        .next_back()
                        .map_or_else(|| mean(&past), |judged| judged.expected)
                } else {
                    judge(&rules.method, past, 0).expected.unwrap_or(0.0)
                };
                Some((key.1.clone(), f64::from(observed) - expected))
            })
            .collect()
    }
}

/// Of a frame's changes those that can make an open window pass its bound.
pub(super) fn early_changes(
    topic: &TopicSetting,
    change: &SeriesChange,
    watermark: Micros,
) -> Option<SeriesChange> {
    let may_fire = |window: &&WindowChange| {
        window.end > watermark && may_fire(topic, change, window, watermark)
    };
    let windows: Vec<WindowChange> = change.windows.iter().filter(may_fire).cloned().collect();
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

/// After a deletion a frame has no steps; what it says of a window that is open now stands all the
/// same.
fn may_fire(
    topic: &TopicSetting,
    change: &SeriesChange,
    window: &WindowChange,
    watermark: Micros,
) -> bool {
    let from = window.end - window.length;
    let counted = window.end - topic.pane <= watermark
        && change.panes.iter().any(|pane| (from..window.end).contains(&pane.start));
    !window.steps.is_empty() || counted
}

fn mean(past: &[Option<f64>]) -> f64 {
    let known: Vec<f64> = past.iter().flatten().copied().collect();
    known.iter().sum::<f64>() / (known.len() as f64).max(1.0)
}
