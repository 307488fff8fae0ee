//! A judge by brute force: what watch must say of every window, from the records of a log alone.
//!
//! Written from the design's section 3 and decision 0002; every value is made anew from all posts
//! for every window.
//! Knows how a log is read by one tally only so far as to know how much of it has been told when an
//! instant has passed.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use record::time::{DAY, HOUR, pane_border, pane_start};
use record::*;

use super::season::{tallies, watermarks};
use crate::detectors::{Method, judge_last};
use crate::naive::streams::Item;
use crate::naive::{Clock, deletes};

/// A post as far as it is counted.
pub(crate) struct Fact {
    /// Its place in the log, and that of what took it away.
    pub(crate) index: usize,
    pub(crate) gone: usize,
    pub(crate) event_time: Micros,
    pub(crate) author: Option<Author>,
    pub(crate) filtered: bool,
    pub(crate) topics: BTreeSet<String>,
    pub(crate) regions: BTreeSet<String>,
}

pub(crate) struct Model {
    /// Oldest first.
    pub(crate) settings: Vec<Settings>,
    /// Each with the end from which it is lifted.
    pub(crate) exclusions: Vec<(Exclusion, Option<Micros>)>,
    pub(crate) facts: Vec<Fact>,
    /// Places of ticks and the watermark after them; the end of the log is the last of them.
    pub(crate) ticks: Vec<(usize, Option<Micros>)>,
    /// As far as the last pane of the log reaches.
    pub(crate) end: Option<Micros>,
    /// As far as the watermark came.
    covered_until: Option<Micros>,
    pub(crate) records: Vec<Record>,
    /// Places in `facts`: of a series, and of all posts of a region.
    by_series: BTreeMap<(String, String), Vec<usize>>,
    by_region: BTreeMap<String, Vec<usize>>,
    // What has been worked out before.
    clocks: RefCell<BTreeMap<usize, Clock>>,
    covered: RefCell<BTreeMap<(String, Micros, usize), Micros>>,
    shares: RefCell<BTreeMap<(Micros, Micros, usize), f64>>,
    firsts: RefCell<BTreeMap<usize, Option<Micros>>>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Expected {
    pub(crate) length: Micros,
    pub(crate) observed: u32,
    pub(crate) posts: u32,
    pub(crate) population: u64,
    pub(crate) expected: Option<f64>,
    pub(crate) upperbound: Option<f64>,
    pub(crate) pvalue: Option<f64>,
    pub(crate) alarm: Option<bool>,
    pub(crate) reason: Option<Reason>,
    pub(crate) coverage: f64,
}

/// (topic, region, window end, stage, revision)
pub(crate) type VerdictKey = (String, String, Micros, Stage, u32);

impl Model {
    pub(crate) fn of(log: &[Item]) -> Model {
        let records: Vec<Record> = log.iter().map(|item| item.record.clone()).collect();
        let settings: Vec<Settings> = records
            .iter()
            .filter_map(|record| {
                if let Record::Settings(settings) = record { Some(settings.clone()) } else { None }
            })
            .collect();
        let horizon = settings[0].horizon;
        let lifted = |at: usize, alert: &str| {
            records[at..].iter().find_map(|record| match record {
                Record::Lift(lift) if lift.alert == alert => Some(lift.valid_from),
                _ => None,
            })
        };
        let exclusions = records.iter().enumerate().filter_map(|(at, record)| match record {
            Record::Exclusion(exclusion) => Some((exclusion.clone(), lifted(at, &exclusion.alert))),
            _ => None,
        });
        let marks = watermarks(log);
        // Whether the pane that holds an instant could take nothing more when a record came.
        let is_final = |index: usize, instant: Micros, pane: Micros| {
            marks[index]
                .is_some_and(|watermark| pane_start(instant, pane) + pane + horizon <= watermark)
        };
        let panes: BTreeMap<&str, Micros> = settings
            .iter()
            .flat_map(|settings| &settings.topics)
            .map(|topic| (topic.id.as_str(), topic.pane))
            .collect();
        let mut ticks: Vec<(usize, Option<Micros>)> = (0..)
            .zip(marks.iter().copied())
            .filter(|(index, _)| matches!(log[*index].record, Record::Tick(_)))
            .collect();
        let mut end = tallies(log, 1).into_iter().filter_map(|(_, told)| {
            if let Record::Frame(frame) = told { Some(frame) } else { None }
        });
        let covered_until = end.next_back().and_then(|frame| frame.watermark);
        ticks.push((records.len(), covered_until));
        let posts = || {
            records.iter().enumerate().filter_map(|(index, record)| {
                if let Record::Post(post) = record { Some((index, post)) } else { None }
            })
        };
        // A post may lie ahead of the watermark.
        let grain = panes.values().copied().min().unwrap_or(HOUR).min(HOUR);
        let is_told = |post: &Post| {
            post.op == Op::Create && (!post.flags.filtered || !post.topics.is_empty())
        };
        let told =
            posts().filter(|(_, post)| is_told(post) && post.event_time >= post.arrival - horizon);
        let last = told.map(|(_, post)| pane_start(post.event_time, grain) + 1).max();
        let end = covered_until.max(last);
        let mut known = BTreeSet::new();
        let mut facts = Vec::new();
        for (index, post) in posts()
            .filter(|(_, post)| post.op == Op::Create && post.event_time >= post.arrival - horizon)
        {
            if is_final(index, post.event_time, HOUR) || !known.insert(post.id) {
                continue;
            }
            let in_time = |at: usize| at < index || !is_final(at, post.event_time, HOUR);
            let gone = posts()
                .filter(|(at, deletion)| in_time(*at) && deletes(deletion, post, horizon))
                .map(|(at, _)| at.max(index))
                .min();
            let counts = |id: &&str| {
                panes.get(id).is_some_and(|pane| !is_final(index, post.event_time, *pane))
            };
            let mut regions: BTreeSet<String> = post.path().split('/').map(str::to_owned).collect();
            regions.insert("001".to_owned());
            regions.extend(post.overlays.iter().cloned());
            regions.extend(post.langs.iter().map(|lang| format!("lang:{lang}")));
            if post.langs.is_empty() {
                regions.insert("lang:und".to_owned());
            }
            facts.push(Fact {
                index,
                gone: gone.unwrap_or(usize::MAX),
                event_time: post.event_time,
                author: post.author,
                filtered: post.flags.filtered,
                topics: post
                    .topics
                    .iter()
                    .map(|hit| hit.id.as_str())
                    .filter(counts)
                    .map(str::to_owned)
                    .collect(),
                regions,
            });
        }
        let mut by_series: BTreeMap<(String, String), Vec<usize>> = BTreeMap::new();
        let mut by_region: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (nth, fact) in
            facts.iter().enumerate().filter(|(_, fact): &(usize, &Fact)| !fact.filtered)
        {
            for region in &fact.regions {
                by_region.entry(region.clone()).or_default().push(nth);
                for topic in &fact.topics {
                    by_series.entry((topic.clone(), region.clone())).or_default().push(nth);
                }
            }
        }
        let exclusions = exclusions.collect();
        Model {
            exclusions,
            by_series,
            by_region,
            shares: RefCell::default(),
            firsts: RefCell::default(),
            facts,
            ticks,
            end,
            covered_until,
            settings,
            records,
            clocks: RefCell::default(),
            covered: RefCell::default(),
        }
    }

    /// The place in the log up to which has been told when all is known to have passed `instant`;
    /// none if that never comes.
    pub(crate) fn passed(&self, instant: Micros) -> Option<usize> {
        let at = self.ticks.partition_point(|(_, watermark)| {
            watermark.is_none_or(|watermark| watermark < instant)
        });
        self.ticks.get(at).map(|(index, _)| *index)
    }

    /// As [`Model::passed`]; when the log has ended everything is known.
    fn known_at(&self, instant: Micros) -> usize {
        self.passed(instant).unwrap_or(self.records.len())
    }

    pub(crate) fn first(&self) -> &Settings {
        &self.settings[0]
    }

    /// The settings that hold for a pane that begins then.
    pub(crate) fn in_force(&self, start: Micros) -> &Settings {
        self.settings
            .iter()
            .rev()
            .find(|settings| settings.from <= start)
            .unwrap_or(&self.settings[0])
    }

    /// All topics of all settings, each as it was last.
    pub(crate) fn topics(&self) -> BTreeMap<String, TopicSetting> {
        self.settings
            .iter()
            .flat_map(|settings| &settings.topics)
            .map(|topic| (topic.id.clone(), topic.clone()))
            .collect()
    }

    pub(crate) fn series(&self) -> BTreeSet<(String, String)> {
        let table = self.settings[self.settings.len() - 1].region_table();
        let mut series = BTreeSet::new();
        let topics = self.topics();
        for fact in self.facts.iter().filter(|fact| !fact.filtered) {
            for topic in fact.topics.iter().filter_map(|id| topics.get(id)) {
                let allowed = fact
                    .regions
                    .iter()
                    .filter(|region| topic.kind.allows(table.level(region), region));
                series.extend(allowed.map(|region| (topic.id.clone(), region.clone())));
            }
        }
        series
    }

    fn counted(
        &self,
        key: &(String, String),
        from: Micros,
        to: Micros,
        known: usize,
    ) -> impl Iterator<Item = &Fact> {
        let facts = self.by_series.get(key).into_iter().flatten().map(|nth| &self.facts[*nth]);
        facts.filter(move |fact| {
            fact.index <= known && fact.gone > known && (from..to).contains(&fact.event_time)
        })
    }

    pub(crate) fn observed(
        &self,
        key: &(String, String),
        from: Micros,
        to: Micros,
        known: usize,
    ) -> u32 {
        self.counted(key, from, to, known)
            .filter_map(|fact| fact.author)
            .collect::<BTreeSet<_>>()
            .len() as u32
    }

    pub(crate) fn posts(
        &self,
        key: &(String, String),
        from: Micros,
        to: Micros,
        known: usize,
    ) -> u32 {
        self.counted(key, from, to, known).count() as u32
    }

    pub(crate) fn population(&self, region: &str, from: Micros, to: Micros, known: usize) -> u64 {
        let facts = self.by_region.get(region).into_iter().flatten().map(|nth| &self.facts[*nth]);
        facts.filter(|fact| fact.index <= known && (from..to).contains(&fact.event_time)).count()
            as u64
    }

    /// How much of an hour a feed has covered, by what is told up to a place; an hour that is final
    /// doesn't change.
    fn covered(&self, feed: &str, hour: Micros, known: usize) -> Micros {
        if self.covered_until.is_none_or(|end| hour >= end) {
            return 0;
        }
        let known = known.min(self.known_at(hour + HOUR + self.first().horizon));
        let key = (feed.to_owned(), hour, known);
        if let Some(covered) = self.covered.borrow().get(&key) {
            return *covered;
        }
        let mut clocks = self.clocks.borrow_mut();
        let upto = (known + 1).min(self.records.len());
        let clock = clocks.entry(known).or_insert_with(|| {
            let of_clock =
                |record: &&Record| matches!(record, Record::Settings(_) | Record::Tick(_));
            Clock::of(&self.records[..upto].iter().filter(of_clock).cloned().collect::<Vec<_>>())
        });
        let covered = clock.covered(feed, hour, hour + HOUR);
        self.covered.borrow_mut().insert(key, covered);
        covered
    }

    /// The least share of `[from, to)` that a whole feed has covered, at an hour's grain.
    pub(crate) fn coverage(&self, from: Micros, to: Micros, known: usize) -> f64 {
        if let Some(share) = self.shares.borrow().get(&(from, to, known)) {
            return *share;
        }
        let share = self.share(from, to, known);
        self.shares.borrow_mut().insert((from, to, known), share);
        share
    }

    fn share(&self, from: Micros, to: Micros, known: usize) -> f64 {
        let mut names: BTreeSet<&str> = BTreeSet::new();
        for settings in &self.settings {
            names.extend(settings.feeds.iter().map(|feed| feed.name.as_str()));
        }
        let mut least = 1.0_f64;
        for name in names {
            // Covered, of what it had to cover.
            let (mut covered, mut due) = (0, 0);
            let mut hour = pane_start(from, HOUR);
            while hour < to {
                let part = (hour + HOUR).min(to) - hour.max(from);
                if self.in_force(hour).feeds.iter().any(|feed| feed.whole && feed.name == name) {
                    covered += self.covered(name, hour, known).min(part);
                    due += part;
                }
                hour += HOUR;
            }
            if due > 0 {
                least = least.min(covered as f64 / due as f64);
            }
        }
        least
    }

    fn first_coverage(&self, known: usize) -> Option<Micros> {
        if let Some(first) = self.firsts.borrow().get(&known) {
            return *first;
        }
        let first = self.first_covered(known);
        self.firsts.borrow_mut().insert(known, first);
        first
    }

    fn first_covered(&self, known: usize) -> Option<Micros> {
        let claims = self.records.iter().filter_map(|record| {
            if let Record::Tick(tick) = record { Some(&tick.feeds) } else { None }
        });
        let begin = claims.flatten().map(|claim| pane_start(claim.from, HOUR)).min()?;
        let whole = |hour: Micros| {
            let feeds = self.settings.iter().flat_map(|settings| &settings.feeds);
            feeds.filter(|feed| feed.whole).any(|feed| self.covered(&feed.name, hour, known) > 0)
        };
        (0..)
            .map(|hours| begin + hours * HOUR)
            .take_while(|hour| *hour <= self.end.unwrap_or(begin))
            .find(|hour| whole(*hour))
    }

    fn excluded(&self, key: &(String, String), from: Micros, to: Micros, judged: Micros) -> bool {
        let table = self.first().region_table();
        self.exclusions.iter().any(|(exclusion, lifted)| {
            let overlay = key.1.contains(':');
            let holds =
                judged >= exclusion.valid_from && lifted.is_none_or(|lifted| judged < lifted);
            let subtree = exclusion.region == "001"
                || exclusion.region == key.1
                || (!overlay && table.within(&key.1, &exclusion.region));
            exclusion.topic == key.0
                && holds
                && subtree
                && from < exclusion.to
                && exclusion.from < to
        })
    }

    /// Past windows, oldest first; none where one can't serve.
    fn past(
        &self,
        key: &(String, String),
        length: Micros,
        newest: Micros,
        judged: Micros,
        known: usize,
    ) -> Vec<Option<f64>> {
        let settings = self.in_force(judged - 1);
        let Some(first) = self.first_coverage(known) else { return Vec::new() };
        let mut past = Vec::new();
        for back in 0..28 {
            let (from, to) = (newest - (back + 1) * length, newest - back * length);
            if from < first || from < judged - 60 * DAY {
                break;
            }
            let serves = self.coverage(from, to, known) >= settings.detect.coverage
                && !self.excluded(key, from, to, judged);
            past.push(serves.then(|| f64::from(self.observed(key, from, to, known))));
        }
        past.reverse();
        past
    }

    pub(crate) fn length(
        &self,
        key: &(String, String),
        topic: &TopicSetting,
        end: Micros,
        known: usize,
    ) -> Micros {
        let (shortest, longest) = (topic.windows[0], topic.windows[topic.windows.len() - 1]);
        let guardband = self.in_force(end - 1).detect.guardband;
        let days: Vec<f64> =
            self.past(key, shortest, end - guardband, end, known).into_iter().flatten().collect();
        let few = !days.is_empty() && days.iter().sum::<f64>() < days.len() as f64;
        let weeks =
            || self.past(key, longest, end - longest, end, known).into_iter().flatten().count();
        if few && longest > shortest && weeks() >= 3 { longest } else { shortest }
    }

    /// What is to be said of a window by what is known.
    pub(crate) fn judge(
        &self,
        key: &(String, String),
        topic: &TopicSetting,
        end: Micros,
        known: usize,
    ) -> Expected {
        let settings = self.in_force(end - 1);
        let length = self.length(key, topic, end, known);
        let from = end - length;
        let observed = self.observed(key, from, end, known);
        let mut series = self.past(key, length, from, end, known);
        series.push(Some(f64::from(observed)));
        let method = Method::parse(&settings.detect.method, &settings.detect.params).unwrap();
        let judgement = judge_last(&method, &series);
        let coverage = self.coverage(from, end, known);
        let covered = coverage >= settings.detect.coverage;
        let reason = judgement.reason;
        Expected {
            length,
            observed,
            posts: self.posts(key, from, end, known),
            population: self.population(&key.1, from, end, known),
            expected: judgement.expected,
            upperbound: judgement.upperbound,
            pvalue: judgement.pvalue,
            alarm: judgement.alarm.filter(|_| covered),
            reason: if covered { reason } else { Some(Reason::Coverage) },
            coverage,
        }
    }

    /// The window ends of a topic that are ever judged at this distance from their end, and what is
    /// known then.
    fn due(&self, topic: &TopicSetting, after: Micros) -> Vec<(Micros, usize)> {
        let Some(end) = self.end else { return Vec::new() };
        let Some(first) = self.facts.iter().map(|fact| fact.event_time).min() else {
            return Vec::new();
        };
        let last = pane_border(end, topic.pane);
        let ends = (1..)
            .map(|panes| pane_start(first, topic.pane) + panes * topic.pane)
            .take_while(|end| *end <= last);
        let holds =
            |end: &Micros| self.in_force(end - 1).topics.iter().any(|held| held.id == topic.id);
        ends.filter(holds).map(|end| (end, self.known_at(end + after))).collect()
    }

    /// The first pane of which a post has been told by then.
    fn began(&self, key: &(String, String), pane: Micros, known: usize) -> Option<Micros> {
        let facts = self.by_series.get(key).into_iter().flatten().map(|nth| &self.facts[*nth]);
        let told = |fact: &&Fact| {
            let next = self.ticks.get(self.ticks.partition_point(|(tick, _)| *tick < fact.index));
            next.is_some_and(|(tick, _)| *tick <= known && fact.gone > *tick)
        };
        facts.filter(told).map(|fact| pane_start(fact.event_time, pane)).min()
    }

    /// The first pane that had a post when it was final.
    fn began_for_good(&self, key: &(String, String), pane: Micros) -> Option<Micros> {
        let facts = self.by_series.get(key).into_iter().flatten().map(|nth| &self.facts[*nth]);
        let panes: BTreeSet<Micros> = facts.map(|fact| pane_start(fact.event_time, pane)).collect();
        panes.into_iter().find(|start| {
            self.posts(
                key,
                *start,
                start + pane,
                self.known_at(start + pane + self.first().horizon),
            ) > 0
        })
    }

    /// Every closed and final verdict, and which were judged without being told for the floor of
    /// their kind.
    pub(crate) fn verdicts(&self, stages: &[Stage]) -> BTreeMap<VerdictKey, Expected> {
        let first = self.first();
        let mut verdicts = BTreeMap::new();
        let topics = self.topics();
        for key in self.series() {
            let topic = &topics[&key.0];
            let mut said: BTreeMap<Micros, (u32, Expected)> = BTreeMap::new();
            let told = |said: &BTreeMap<Micros, (u32, Expected)>, end: Micros| {
                said.get(&end).map_or(0, |(revision, _)| revision + 1)
            };
            if stages.contains(&Stage::Closed) && first.lateness < first.horizon {
                for (end, known) in self.due(topic, first.lateness) {
                    if self.began(&key, topic.pane, known).is_some_and(|began| began < end) {
                        let judged = self.judge(&key, topic, end, known);
                        said.insert(end, (0, judged.clone()));
                        verdicts
                            .insert((key.0.clone(), key.1.clone(), end, Stage::Closed, 0), judged);
                    }
                }
                let again = first.lateness + 6 * HOUR;
                // What is final already is not judged as closed once more.
                for (end, known) in
                    self.due(topic, again).into_iter().filter(|_| again < first.horizon)
                {
                    if self.began(&key, topic.pane, known).is_none_or(|began| began >= end) {
                        continue;
                    }
                    let judged = self.judge(&key, topic, end, known);
                    let changed = |before: &Expected| {
                        (before.length, before.observed, before.population)
                            != (judged.length, judged.observed, judged.population)
                    };
                    if said.get(&end).is_none_or(|(_, before)| changed(before)) {
                        let revision = told(&said, end);
                        said.insert(end, (revision, judged.clone()));
                        verdicts.insert(
                            (key.0.clone(), key.1.clone(), end, Stage::Closed, revision),
                            judged,
                        );
                    }
                }
            }
            if stages.contains(&Stage::Final) {
                let began = self.began_for_good(&key, topic.pane);
                for (end, known) in self.due(topic, first.horizon) {
                    if began.is_some_and(|began| began < end) {
                        let judged = self.judge(&key, topic, end, known);
                        verdicts.insert(
                            (key.0.clone(), key.1.clone(), end, Stage::Final, told(&said, end)),
                            judged,
                        );
                    }
                }
            }
        }
        verdicts
    }
}

/// What watch has said of closed and final windows.
pub(crate) fn told(out: &[Record]) -> BTreeMap<VerdictKey, Verdict> {
    let verdicts = out.iter().filter_map(|record| {
        if let Record::Verdict(verdict) = record { Some(verdict) } else { None }
    });
    verdicts
        .filter(|verdict| verdict.stage != Stage::Early)
        .map(|verdict| {
            let key = (
                verdict.topic.clone(),
                verdict.region.clone(),
                verdict.window_end,
                verdict.stage,
                verdict.revision,
            );
            (key, verdict.clone())
        })
        .collect()
}
