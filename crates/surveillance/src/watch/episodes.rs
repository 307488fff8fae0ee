//! Episodes: alarms joined into the alerts that an official receives.
//!
//! All alarms of a topic within one country's subtree are one episode. The world, languages and
//! what can't be placed link to the open alert of the country that explains at least half of their
//! excess, and open one of their own only where none does.
//! An episode that rose early is confirmed or withdrawn when its window closes, and ends a day
//! after its last alarm, a week after it where the rise lasts. As long as its windows can be revised it may be withdrawn all the same,
//! and an alarm of the window that raised it takes it up again.

use std::collections::{BTreeMap, BTreeSet};

use record::time::{DAY, WEEK};
use record::{Alert, AlertState, Explanation, Grounds, Micros, Reason, Record, Stage, Version};
use serde::{Deserialize, Serialize};

/// The group of the world, its languages and what can't be placed.
const OUTSIDE: &str = record::region::WORLD;

/// An episode ends when no window that ended in this span was in alarm; one that the weekly look has
/// raised or that has outlasted the guardband, when none was for a week.
const QUIET: Micros = DAY;
const QUIET_WEEKLY: Micros = WEEK;

/// Alarms this much older than an episode's last can't be revised any more.
const ALARMS_KEPT: Micros = 3 * DAY;

/// A window above its bound, and above the floors of alerts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Alarm {
    pub(crate) topic: String,
    pub(crate) topic_name: String,
    pub(crate) region: String,
    /// The country above the region; none outside the tree.
    pub(crate) country: Option<String>,
    /// The country that explains at least half of the excess of a region outside the tree.
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
    pub(crate) recurrence: Option<f64>,
    pub(crate) grounds: Box<Grounds>,
}

impl Alarm {
    fn excess(&self) -> f64 {
        f64::from(self.observed) - self.expected
    }

    /// Whether it is part of a rise over weeks, or judged by a level from before its episode.
    fn lasts(&self) -> bool {
        let has_held = |(name, _): &(String, f64)| name == Grounds::HELD_DAYS;
        self.grounds.reason == Some(Reason::SlowRise) || self.grounds.model.iter().any(has_held)
    }

    /// 1 notable, 2 high, 3 very high: how many times the distance from expected to bound was
    /// covered.
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
            (None, false) => OUTSIDE.to_owned(),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Episode {
    /// The country, or the group outside the tree.
    group: String,
    alert: Alert,
    /// The alert as it was last emitted.
    emitted: Option<Alert>,
    /// Windows in alarm: (region, window end) → the alarm.
    alarms: BTreeMap<(String, Micros), Alarm>,
    /// An alarm that nothing can revise any more is no longer among them: this episode is never withdrawn.
    lasting: bool,
    last_end: Micros,
    /// It ends when no window that ended in this span was in alarm.
    quiet: Micros,
    /// Regions outside the tree whose alarms this episode explains.
    linked: BTreeSet<String>,
}

/// All open episodes, and those that are over but may be revised.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Episodes {
    /// (topic, group) → episode.
    open: BTreeMap<(String, String), Episode>,
    /// Alert → episode that has been emitted.
    over: BTreeMap<String, Episode>,
}

impl Episodes {
    /// An alarm rose, or a later stage bore it out, while windows that end at `now` are judged for
    /// the first time. Nothing is emitted of it before [`Episodes::emit`].
    pub(crate) fn raise(&mut self, alarm: Alarm, now: Micros, version: Version) {
        let group = alarm.group();
        let own = (alarm.topic.clone(), group.clone());
        if group == OUTSIDE
            && !self.open.contains_key(&own)
            && let Some(country) = &alarm.explained_by
        {
            if let Some(episode) = self.open.get_mut(&(alarm.topic.clone(), country.clone())) {
                episode.linked.insert(alarm.region);
                episode.describe();
            }
            return;
        }
        let at = (alarm.region.clone(), alarm.window_end);
        let mut taking = None;
        if !self.open.contains_key(&own)
            && let Some((id, episode)) =
                self.over.iter_mut().find(|(_, episode)| episode.takes(&own, &alarm))
        {
            if now - alarm.window_end.max(episode.last_end) >= episode.quiet {
                // A revision of what is over: it stays so.
                episode.take(at, alarm);
                return;
            }
            taking = Some(id.clone());
        }
        let episode = self.open.entry(own).or_insert_with(|| {
            if let Some(resumed) = taking.and_then(|id| self.over.remove(&id)) {
                return resumed;
            }
            let alert = first_alert(&alarm, &group, version);
            match self.over.remove(&alert.id) {
                Some(before) => Episode {
                    alert: Alert { state: AlertState::Open, ..before.alert.clone() },
                    ..before
                },
                None => Episode {
                    group: group.clone(),
                    alert,
                    emitted: None,
                    alarms: BTreeMap::new(),
                    lasting: false,
                    last_end: alarm.window_end,
                    quiet: QUIET,
                    linked: BTreeSet::new(),
                },
            }
        });
        episode.alert.state = AlertState::Open;
        episode.take(at, alarm);
    }

    /// A window that was in alarm is not any more: its close, or a revision, did not bear it out.
    pub(crate) fn clear(&mut self, topic: &str, region: &str, window_end: Micros) {
        let at = (region.to_owned(), window_end);
        let open = self.open.values_mut().map(|episode| (episode, true));
        for (episode, is_open) in open.chain(self.over.values_mut().map(|episode| (episode, false)))
        {
            if episode.alert.topic != topic || episode.alarms.remove(&at).is_none() {
                continue;
            }
            if !episode.alarms.is_empty() {
                // Of one that is over only its withdrawal is news.
                if is_open {
                    episode.describe();
                }
            } else if !episode.lasting {
                episode.alert.state = AlertState::Withdrawn;
            }
        }
    }

    pub(crate) fn holds(&self, topic: &str, region: &str, window_end: Micros) -> bool {
        let at = (region.to_owned(), window_end);
        self.open.iter().any(|((of, _), episode)| of == topic && episode.alarms.contains_key(&at))
    }

    /// Ends the episodes of a topic whose last alarm is long past, when windows that end at `end`
    /// have been judged.
    pub(crate) fn end_quiet(&mut self, topic: &str, end: Micros) {
        for episode in self.open.values_mut().filter(|episode| episode.alert.topic == topic) {
            episode.close_if_quiet(end);
        }
        self.over.retain(|_, episode| {
            episode.alert.topic != topic || end - episode.last_end < ALARMS_KEPT
        });
    }

    /// The same for topics that are not judged any more.
    pub(crate) fn end_quiet_others(&mut self, judged: impl Fn(&str) -> bool, end: Micros) {
        for episode in self.open.values_mut().filter(|episode| !judged(&episode.alert.topic)) {
            episode.close_if_quiet(end);
        }
        self.over.retain(|_, episode| {
            judged(&episode.alert.topic) || end - episode.last_end < ALARMS_KEPT
        });
    }

    /// Nothing will follow: all episodes are over.
    pub(crate) fn end_all(&mut self) {
        for episode in self.open.values_mut() {
            episode.close_if_quiet(Micros::MAX);
        }
    }

    /// Emits once what has changed since the last call, whatever number of alarms made it change.
    pub(crate) fn emit(&mut self, version: Version, out: &mut Vec<Record>) {
        for episode in self.open.values_mut().chain(self.over.values_mut()) {
            let revision = match &episode.emitted {
                Some(emitted) if !differs(emitted, &episode.alert) => continue,
                Some(emitted) => emitted.revision + 1,
                // Raised and taken back before anybody heard of it.
                None if episode.alert.state == AlertState::Withdrawn => continue,
                None => 0,
            };
            episode.alert = Alert { revision, version, ..episode.alert.clone() };
            episode.emitted = Some(episode.alert.clone());
            out.push(Record::Alert(episode.alert.clone()));
        }
        let over = self.open.extract_if(.., |_, episode| episode.alert.state != AlertState::Open);
        let emitted = over.filter(|(_, episode)| episode.emitted.is_some());
        self.over.extend(emitted.map(|(_, episode)| (episode.alert.id.clone(), episode)));
    }
}

impl Episode {
    /// Whether an alarm is of this episode, which was over: no quiet day lies between them.
    fn takes(&self, (topic, group): &(String, String), alarm: &Alarm) -> bool {
        let first = self.alarms.keys().map(|(_, end)| *end).min().unwrap_or(self.last_end);
        self.alert.state == AlertState::Closed
            && self.alert.topic == *topic
            && self.group == *group
            && alarm.window_end < self.last_end + self.quiet
            && alarm.window_end > first - self.quiet
    }

    fn take(&mut self, at: (String, Micros), alarm: Alarm) {
        self.last_end = self.last_end.max(alarm.window_end);
        if alarm.lasts() {
            self.quiet = QUIET_WEEKLY;
        }
        let alarm = match self.alarms.get(&at) {
            // The later stage has the better numbers, the earlier one the time at which it was certain.
            Some(known) if known.fired_at < alarm.fired_at => {
                Alarm { fired_at: known.fired_at, ..alarm }
            }
            _ => alarm,
        };
        self.alarms.insert(at, alarm);
        let revised_from = self.last_end - ALARMS_KEPT;
        let held = self.alarms.len();
        self.alarms.retain(|(_, end), _| *end >= revised_from);
        self.lasting |= self.alarms.len() < held;
        self.describe();
    }

    fn close_if_quiet(&mut self, end: Micros) {
        if end - self.last_end >= self.quiet && self.alert.state == AlertState::Open {
            self.alert.state = AlertState::Closed;
        }
    }

    /// Sets the headline from the alarms: the deepest region that explains half of the largest
    /// excess, at its highest.
    fn describe(&mut self) {
        let largest = self.alarms.values().map(Alarm::excess).fold(0.0, f64::max);
        let telling = self.alarms.values().filter(|alarm| alarm.excess() * 2.0 >= largest);
        let order = |alarm: &Alarm| (alarm.depth, (alarm.excess() * 1e6) as i64, alarm.window_end);
        let Some(alarm) = telling.max_by_key(|alarm| order(alarm)) else { return };
        let regions: BTreeSet<&String> = self
            .alarms
            .keys()
            .map(|(region, _)| region)
            .chain(&self.linked)
            .chain(&self.alert.regions)
            .collect();
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
            recurrence: alarm.recurrence,
            grounds: alarm.grounds.clone(),
            ..self.alert.clone()
        };
    }
}

/// Whether a reader of the alert should hear of it again: another stage, region or weight, not
/// another count.
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
        recurrence: alarm.recurrence,
        method: alarm.method.clone(),
        coverage: alarm.coverage,
        explanation: Explanation::default(),
        version,
        grounds: alarm.grounds.clone(),
    }
}
