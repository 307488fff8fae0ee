//! Judging: closed windows become verdicts, and alarms above the floors become alerts.

use std::collections::{BTreeMap, BTreeSet};

use record::kind::Kind;
use record::region::{Level, UNLOCATED, WORLD};
use record::{
    Explanation, Grounds, Micros, PastWindow, Record, Settings, Stage, Suspect, Verdict, Version,
};

use super::episodes::Alarm;
use super::predict::Opinion;
use super::{Finding, Judged, Mode, Pasts, Series, Side, Watch, explain};
use crate::detectors::{Judgement, Method, Reason, judge_last};

/// With a greater share of a window's posts waiting for their place, no region below the world can
/// be called calm.
const PENDING_MAX: f64 = 0.1;
/// Where accounts wrote so many posts each, few of them wrote most, whoever it was in which pane.
const POSTS_EACH_MOST: u32 = 3;

impl Watch {
    /// How telling a region is as the headline of an alert: deeper in the tree is more so, a
    /// language more than no place.
    pub(super) fn depth(&self, region: &str) -> i8 {
        match region {
            WORLD => -3,
            UNLOCATED => -2,
            _ => self.table.level(region).number(),
        }
    }

    /// Judges all windows of topics with this pane length that end at `end`.
    pub(super) fn close(
        &mut self,
        pane: Micros,
        end: Micros,
        stage: Stage,
        only_changed: bool,
        version: Version,
        out: &mut Vec<Record>,
    ) {
        let unheard = match self.head.mode {
            Mode::Live | Mode::AsLive => false,
            Mode::Batch => stage != Stage::Final,
            Mode::Counts => true,
        };
        let Some(rules) = self.rules(end - 1).filter(|_| !unheard).cloned() else { return };
        let settings = &rules.settings;
        let wait = if stage == Stage::Final { settings.horizon } else { settings.lateness };
        let first_verdict = out.len();
        let newest = if self.head.mode == Mode::Batch {
            end
        } else {
            self.head.cursors.get(&pane).map_or(end, |cursors| cursors.close - pane)
        };
        // The same for all topics that have the same windows.
        let mut pasts_by_windows: BTreeMap<Vec<Micros>, Pasts> = BTreeMap::new();
        let mut coverages = BTreeMap::new();
        for topic in self.topics(pane, end) {
            let mut alarms = Vec::new();
            let mut calms = Vec::new();
            let mut excess: BTreeMap<String, f64> = BTreeMap::new();
            let pasts = &*pasts_by_windows
                .entry(topic.windows.clone())
                .or_insert_with(|| self.pasts(&topic.windows, end));
            let view = rules.predicts().then(|| self.view(&topic.id, pasts));
            let open_days = if rules.predicts() { self.open_days(&topic, end) } else { None };
            for key in self.keys(&topic.id) {
                let Some(series) = self.series.get(&key) else { continue };
                let before = series.judged.get(&end);
                let began =
                    if stage == Stage::Final { series.began_for_good } else { series.began };
                if began.is_none_or(|began| began >= end) {
                    // What began the series has been taken back, and with it what was said before.
                    calms.extend(before.map(|_| key));
                    continue;
                }
                let observed_of = |length: Micros| series.authors(Side::Aligned, length, end);
                let (Opinion { length, mut judgement, grounds, recurrence }, chart) = match &view {
                    Some(view) => self.opinion(
                        &key,
                        series,
                        pasts,
                        view,
                        (stage, open_days.as_deref()),
                        observed_of,
                    ),
                    None => {
                        let (length, past) = self.window_length(&key, series, pasts);
                        let judgement = judge(&rules.method, past, observed_of(length));
                        (
                            Opinion {
                                length,
                                judgement,
                                grounds: Grounds::default(),
                                recurrence: None,
                            },
                            series.chart,
                        )
                    }
                };
                let observed = observed_of(length);
                let population = self.population(Side::Aligned, &key.1, end - length, end);
                let is_country = self.table.level(&key.1) == Level::Country && key.1 != UNLOCATED;
                if let Some(before) = before.filter(|_| only_changed)
                    && (before.length, before.observed, before.population)
                        == (length, observed, population)
                {
                    if is_country {
                        excess.insert(key.1, f64::from(observed) - before.expected);
                    }
                    continue;
                }
                let coverage = *coverages
                    .entry(length)
                    .or_insert_with(|| self.coverage(Side::Aligned, end - length, end));
                let mut reason = judgement.reason;
                if coverage < settings.detect.coverage {
                    judgement.alarm = None;
                    reason = Some(Reason::Coverage);
                }
                // Posts whose place is still asked for are missing somewhere: few there says
                // nothing.
                if judgement.alarm == Some(false)
                    && self.pending_share(&key, end - length, end) > PENDING_MAX
                {
                    judgement.alarm = None;
                    reason = Some(Reason::Pending);
                }
                let posts = series.posts(Side::Aligned, end - length, end, None);
                let finding = Finding {
                    stage,
                    end,
                    length,
                    observed,
                    posts,
                    population,
                    judgement,
                    reason,
                    coverage,
                    grounds,
                    recurrence,
                };
                let revision = before.map_or(0, |before| before.revision + 1);
                let raised_before = before.is_some_and(|before| before.raised);
                if observed >= topic.kind.floor() {
                    out.push(Record::Verdict(finding.verdict(
                        &key,
                        &settings.detect.method,
                        revision,
                        version,
                    )));
                }
                if is_country {
                    excess.insert(key.1.clone(), finding.excess());
                }
                let raised = judgement.alarm == Some(true)
                    && above_floors(settings, topic.kind, observed, posts, finding.expected());
                if !raised {
                    calms.push(key.clone());
                } else if !raised_before || self.head.episodes.holds(&key.0, &key.1, end) {
                    let explanation =
                        explain::explain(series.panes(Side::Aligned, end - length, end), observed);
                    let grounds = self.grounds(&key, series, pasts, &finding);
                    alarms.push(self.alarm(
                        &key,
                        &topic.name,
                        &finding,
                        end + wait,
                        explanation,
                        grounds,
                    ));
                }
                let judged = Judged {
                    length,
                    observed,
                    population,
                    expected: finding.expected(),
                    raised,
                    revision,
                };
                if let Some(series) = self.series.get_mut(&key) {
                    series.judged.insert(end, judged);
                    if stage == Stage::Final {
                        series.chart = chart;
                    }
                    series.bounds = series.bounds.split_off(&(end + 1));
                }
            }
            for (topic, region) in calms {
                self.head.episodes.calm(&topic, &region, end);
            }
            // Countries first: what they explain is not raised again by the world or a language.
            alarms.sort_by_key(|alarm: &Alarm| alarm.country.is_none());
            for mut alarm in alarms {
                alarm.explained_by = explained_by(&excess, &alarm);
                self.head.episodes.alarm(alarm, newest, version);
            }
            if !only_changed && (stage == Stage::Closed || self.head.mode == Mode::Batch) {
                self.head.episodes.quiet(&topic.id, end);
            }
            self.head.episodes.tell(version, out);
        }
        if !only_changed {
            set_qvalues(&mut out[first_verdict..]);
        }
    }

    /// Of the topic's posts everywhere in `[from, to)`, the share that a region of the tree may yet
    /// be given.
    pub(super) fn pending_share(&self, key: &(String, String), from: Micros, to: Micros) -> f64 {
        if key.1 == WORLD || key.1.contains(':') {
            return 0.0;
        }
        let world = self.series.get(&(key.0.clone(), WORLD.to_owned()));
        world.map_or(0.0, |world| world.aligned.pending_share(from, to))
    }

    /// The series of a topic.
    pub(super) fn keys(&self, topic: &str) -> Vec<(String, String)> {
        let span = (topic.to_owned(), String::new())..(format!("{topic}\0"), String::new());
        self.series.range(span).map(|(key, _)| key.clone()).collect()
    }

    /// What a finding rests on, so that it can be computed again.
    pub(super) fn grounds(
        &self,
        key: &(String, String),
        series: &Series,
        pasts: &Pasts,
        finding: &Finding,
    ) -> Box<Grounds> {
        if finding.grounds.pvalue.is_some() {
            // The default brings its own.
            return Box::new(finding.grounds.clone());
        }
        let (length, past) = self.window_length(key, series, pasts);
        let ends = if length == pasts.shortest { &pasts.of_shortest } else { &pasts.of_longest };
        let used = ends.iter().zip(past).filter_map(|((end, _), value)| Some((*end, value?)));
        let baseline: Vec<PastWindow> = used
            .map(|(end, value)| PastWindow { end, observed: value as u32, exposure: 1.0 })
            .collect();
        Box::new(Grounds {
            pvalue: finding.judgement.pvalue,
            baseline_from: baseline.first().map(|window| window.end - length),
            baseline_to: baseline.last().map(|window| window.end),
            reason: finding.reason,
            baseline,
            ..Grounds::default()
        })
    }

    pub(super) fn alarm(
        &self,
        key: &(String, String),
        topic_name: &str,
        finding: &Finding,
        fired_at: Micros,
        explanation: Explanation,
        grounds: Box<Grounds>,
    ) -> Alarm {
        Alarm {
            topic: key.0.clone(),
            topic_name: topic_name.to_owned(),
            region: key.1.clone(),
            country: self.table.country(&key.1),
            explained_by: None,
            depth: self.depth(&key.1),
            window_end: finding.end,
            window_length: finding.length,
            stage: finding.stage,
            fired_at,
            observed: finding.observed,
            posts: finding.posts,
            population: finding.population,
            expected: finding.expected(),
            upperbound: finding.judgement.upperbound.unwrap_or(0.0),
            method: self
                .rules(finding.end - 1)
                .map_or(String::new(), |rules| rules.settings.detect.method.clone()),
            coverage: finding.coverage,
            recurrence: finding.recurrence,
            grounds: self.doubted(key, finding, grounds, &explanation),
            explanation,
        }
    }

    /// With how much could be placed, and what makes it doubtful.
    pub(super) fn doubted(
        &self,
        key: &(String, String),
        finding: &Finding,
        mut grounds: Box<Grounds>,
        explanation: &Explanation,
    ) -> Box<Grounds> {
        let (from, to) = (finding.end - finding.length, finding.end);
        let posts = |region: &str| self.population(Side::Aligned, region, from, to) as f64;
        let (placed, all) = match self.table.level(&key.1) {
            Level::First => {
                let country = self.table.country(&key.1).unwrap_or_default();
                let beside = format!("{country}-");
                let regions: BTreeSet<&str> = self
                    .head
                    .aligned
                    .totals
                    .keys()
                    .filter(|(region, _)| region.starts_with(&beside))
                    .map(|(region, _)| region.as_str())
                    .collect();
                (regions.into_iter().map(posts).sum(), posts(&country))
            }
            _ => (posts(WORLD) - posts(UNLOCATED), posts(WORLD)),
        };
        grounds.located_share =
            (all > 0.0 && key.1 != WORLD).then(|| (placed / all).clamp(0.0, 1.0));
        let most_linked = explanation.link_domains.first().map_or(0, |(_, posts)| *posts);
        let found = [
            (Suspect::OneAccount, explanation.most_by_one),
            (Suspect::OneLink, most_linked),
            (Suspect::NearCopies, explanation.near_copies),
            (Suspect::NewAccounts, explanation.new_accounts),
        ];
        grounds.suspect.extend(
            found
                .into_iter()
                .filter(|(_, count)| explanation.is_large(*count))
                .map(|(suspect, _)| suspect),
        );
        if finding.posts >= POSTS_EACH_MOST * finding.observed
            && !grounds.suspect.contains(&Suspect::OneAccount)
        {
            grounds.suspect.push(Suspect::OneAccount);
        }
        grounds.suspect.sort();
        grounds
    }
}

impl Finding {
    pub(super) fn expected(&self) -> f64 {
        self.judgement.expected.unwrap_or(0.0)
    }

    fn excess(&self) -> f64 {
        f64::from(self.observed) - self.expected()
    }

    pub(super) fn verdict(
        &self,
        key: &(String, String),
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
}

/// Judges a count against the past of its series.
pub(super) fn judge(method: &Method, mut past: Vec<Option<f64>>, observed: u32) -> Judgement {
    past.push(Some(f64::from(observed)));
    judge_last(method, &past)
}

/// q-values of verdicts by Benjamini and Hochberg (1995), among those of one window length.
fn set_qvalues(told: &mut [Record]) {
    let mut by_length: BTreeMap<Micros, Vec<&mut Verdict>> = BTreeMap::new();
    for record in told {
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

/// Whether an alarm is an alert.
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
