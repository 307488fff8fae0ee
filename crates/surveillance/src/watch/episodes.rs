//! Episodes: alarms joined into the alerts that an official receives.
//!
//! All alarms of a topic within one country's subtree are one episode. The world, languages and what can't be placed link to
//! the open alert of the country that explains at least half of their excess, and open one of their own only where none does.
//! An episode that rose early is confirmed or withdrawn when its window closes, and ends a day after its last alarm.

use std::collections::{BTreeMap, BTreeSet};

use record::time::DAY;
use record::{Alert, AlertState, Explanation, Micros, Stage, Version};
use serde::{Deserialize, Serialize};

/// The group of the world, its languages and what can't be placed.
const BESIDE: &str = record::region::WORLD;

/// An episode ends when no window that ended in this span was in alarm.
const QUIET: Micros = DAY;

/// Alarms this much older than an episode's last can't be revised any more.
const ALARMS_KEPT: Micros = 3 * DAY;

/// A window above its bound, and above the floors of alerts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Alarm {
    pub(crate) topic: String,
    pub(crate) topic_name: String,
    pub(crate) region: String,
    /// The country above the region; none beside the tree.
    pub(crate) country: Option<String>,
    /// The country that explains at least half of the excess of a region beside the tree.
    pub(crate) explained_by: Option<String>,
    /// How deep in the tree: deeper is more telling.
    pub(crate) depth: i8,
    pub(crate) window_end: Micros,
    pub(crate) window_length: Micros,
    pub(crate) stage: Stage,
    pub(crate) fired_at: Micros,
    pub(crate) observed: u32,
    pub(crate) posts: u32,
    pub(crate) population: u64,
    pub(crate) expected: f64,
    pub(crate) upperbound: f64,
    pub(crate) method: String,
    pub(crate) coverage: f64,
    pub(crate) explanation: Explanation,
}

impl Alarm {
    fn excess(&self) -> f64 {
        f64::from(self.observed) - self.expected
    }

    /// 1 notable, 2 high, 3 very high: how many times the distance from expected to bound was covered.
    fn severity(&self) -> u8 {
        let distance = (self.upperbound - self.expected).max(1.0);
        match self.excess() / distance {
            score if score >= 8.0 => 3,
            score if score >= 3.0 => 2,
            _ => 1,
        }
    }

    fn group(&self) -> String {
        match (&self.country, self.region.starts_with("x:")) {
            (Some(country), _) => country.clone(),
            (None, true) => self.region.clone(),
            (None, false) => BESIDE.to_owned(),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Episode {
    alert: Alert,
    /// Windows in alarm: (region, window end) → the alarm. Those that can't be taken back any more are dropped.
    alarms: BTreeMap<(String, Micros), Alarm>,
    /// Whether any alarm has outlived the close of its window.
    confirmed: bool,
    last_end: Micros,
    linked: BTreeSet<String>,
}

/// All open episodes.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Episodes {
    /// (topic, group) → episode.
    open: BTreeMap<(String, String), Episode>,
}

impl Episodes {
    /// An alarm rose, or a later stage bore it out.
    pub(crate) fn alarm(&mut self, alarm: Alarm, version: Version, out: &mut Vec<Alert>) {
        let group = alarm.group();
        let own = (alarm.topic.clone(), group.clone());
        if group == BESIDE && !self.open.contains_key(&own) {
            let Some(country) = &alarm.explained_by else {
                return self.raise(own, alarm, version, out);
            };
            if let Some(episode) = self.open.get_mut(&(alarm.topic.clone(), country.clone()))
                && episode.linked.insert(alarm.region.clone())
            {
                episode.tell(version, out);
            }
            return;
        }
        self.raise(own, alarm, version, out);
    }

    fn raise(&mut self, key: (String, String), alarm: Alarm, version: Version, out: &mut Vec<Alert>) {
        let group = key.1.clone();
        let confirmed = alarm.stage != Stage::Early;
        let at = (alarm.region.clone(), alarm.window_end);
        match self.open.get_mut(&key) {
            None => {
                let mut episode = Episode {
                    alert: first_alert(&alarm, &group, version),
                    last_end: alarm.window_end,
                    alarms: BTreeMap::from([(at, alarm)]),
                    confirmed,
                    linked: BTreeSet::new(),
                };
                episode.describe();
                out.push(episode.alert.clone());
                self.open.insert(key, episode);
            }
            Some(episode) => {
                episode.last_end = episode.last_end.max(alarm.window_end);
                episode.confirmed |= confirmed;
                let alarm = match episode.alarms.get(&at) {
                    // The later stage has the better numbers, the earlier one said when it was certain.
                    Some(known) if known.fired_at < alarm.fired_at => Alarm { fired_at: known.fired_at, ..alarm },
                    _ => alarm,
                };
                episode.alarms.insert(at, alarm);
                let final_by = episode.last_end - ALARMS_KEPT;
                episode.alarms.retain(|(_, end), _| *end >= final_by);
                let before = episode.alert.clone();
                episode.describe();
                if differs(&before, &episode.alert) {
                    episode.alert.revision = before.revision;
                    episode.tell(version, out);
                } else {
                    // Not worth a message: what was told stands until something is.
                    episode.alert = before;
                }
            }
        }
    }

    /// A window that was in alarm is not any more: its close, or a revision, did not bear it out.
    pub(crate) fn calm(&mut self, topic: &str, region: &str, window_end: Micros, version: Version, out: &mut Vec<Alert>) {
        let at = (region.to_owned(), window_end);
        let holders = self.open.iter().filter(|((of, _), episode)| of == topic && episode.alarms.contains_key(&at));
        let keys: Vec<_> = holders.map(|(key, _)| key.clone()).collect();
        for key in keys {
            let Some(episode) = self.open.get_mut(&key) else { continue };
            episode.alarms.remove(&at);
            if episode.alarms.is_empty() {
                episode.alert.state = AlertState::Withdrawn;
                episode.tell(version, out);
                self.open.remove(&key);
            } else {
                episode.confirmed = episode.alarms.values().any(|alarm| alarm.stage != Stage::Early);
                let before = episode.alert.clone();
                episode.describe();
                if differs(&before, &episode.alert) {
                    episode.alert.revision = before.revision;
                    episode.tell(version, out);
                }
            }
        }
    }

    pub(crate) fn holds(&self, topic: &str, region: &str, window_end: Micros) -> bool {
        let at = (region.to_owned(), window_end);
        self.open.iter().any(|((of, _), episode)| of == topic && episode.alarms.contains_key(&at))
    }

    /// Ends the episodes of a topic whose last alarm is long past, when windows that end at `end` have been judged.
    pub(crate) fn quiet(&mut self, topic: &str, end: Micros, version: Version, out: &mut Vec<Alert>) {
        let over: Vec<_> = self
            .open
            .iter()
            .filter(|((of, _), episode)| of == topic && end - episode.last_end >= QUIET)
            .map(|(key, _)| key.clone())
            .collect();
        for key in over {
            if let Some(mut episode) = self.open.remove(&key) {
                episode.alert.state = AlertState::Closed;
                episode.tell(version, out);
            }
        }
    }

    pub(crate) fn end(&mut self, version: Version, out: &mut Vec<Alert>) {
        for (_, mut episode) in std::mem::take(&mut self.open) {
            episode.alert.state = AlertState::Closed;
            episode.tell(version, out);
        }
    }
}

impl Episode {
    /// Sets the headline from the alarms: the deepest region that explains half of the largest excess, at its highest.
    fn describe(&mut self) {
        let largest = self.alarms.values().map(Alarm::excess).fold(0.0, f64::max);
        let telling = self.alarms.values().filter(|alarm| alarm.excess() * 2.0 >= largest);
        let order = |alarm: &Alarm| (alarm.depth, (alarm.excess() * 1e6) as i64, alarm.window_end);
        let Some(alarm) = telling.max_by_key(|alarm| order(alarm)) else { return };
        let regions: BTreeSet<&String> =
            self.alarms.keys().map(|(region, _)| region).chain(&self.linked).chain(&self.alert.regions).collect();
        self.alert = Alert {
            region: alarm.region.clone(),
            regions: regions.into_iter().cloned().collect(),
            window_end: alarm.window_end,
            window_length: alarm.window_length,
            stage: self.alarms.values().map(|alarm| alarm.stage).max().unwrap_or(Stage::Early),
            severity: alarm.severity().max(self.alert.severity),
            observed: alarm.observed,
            posts: alarm.posts,
            population: alarm.population,
            expected: alarm.expected,
            upperbound: alarm.upperbound,
            method: alarm.method.clone(),
            coverage: alarm.coverage,
            explanation: alarm.explanation.clone(),
            ..self.alert.clone()
        };
    }

    fn tell(&mut self, version: Version, out: &mut Vec<Alert>) {
        self.alert.revision += 1;
        self.alert.version = version;
        self.alert.regions = self.alert.regions.iter().chain(&self.linked).cloned().collect::<BTreeSet<_>>().into_iter().collect();
        out.push(self.alert.clone());
    }
}

/// Whether a reader of the alert should hear of it again: another stage, region or weight, not another count.
fn differs(before: &Alert, after: &Alert) -> bool {
    (before.stage, before.state, before.severity, &before.region, &before.regions)
        != (after.stage, after.state, after.severity, &after.region, &after.regions)
}

fn first_alert(alarm: &Alarm, group: &str, version: Version) -> Alert {
    let name = format!("{}\n{}\n{}\n{}", alarm.topic, group, alarm.window_end, version.0 >> 48);
    Alert {
        id: blake3::hash(name.as_bytes()).to_hex().as_str()[..12].to_owned(),
        revision: 0,
        topic: alarm.topic.clone(),
        topic_name: alarm.topic_name.clone(),
        region: alarm.region.clone(),
        regions: Vec::new(),
        opened_at: alarm.window_end - alarm.window_length,
        fired_at: alarm.fired_at,
        window_end: alarm.window_end,
        window_length: alarm.window_length,
        stage: alarm.stage,
        state: AlertState::Open,
        severity: 0,
        observed: alarm.observed,
        posts: alarm.posts,
        population: alarm.population,
        expected: alarm.expected,
        upperbound: alarm.upperbound,
        recurrence: None,
        method: alarm.method.clone(),
        coverage: alarm.coverage,
        explanation: Explanation::default(),
        version,
    }
}
