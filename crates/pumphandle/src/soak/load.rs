//! What is sent during a soak: lines of our own schema, handed to the real ingest as a connection
//! would, under clocks that are set.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;
use std::sync::mpsc::SyncSender;
use std::time::Duration;

use feeds::intake::TOPICS_MAX;
use journal::memory::MemoryJournal;
use journal::{Entry, Journal, Stream};
use record::time::{DAY, HOUR, MINUTE, SECOND, pane_start};
use record::{Micros, Settings};
use simulation::Random;

use super::{PARTITIONS, Plan, START, minute_start};
use crate::config::{self, Config};
use crate::roles::ingest::driven::{Hands, Life};

pub(super) const TOPIC: &str = "influenza";
const TOPIC_TAG: &str = "flu";
const LANGS: [&str; 8] = ["en", "ja", "pt", "de", "es", "fr", "ko", "it"];
/// Where posts of a plan with places come from.
const COUNTRIES: [&str; 40] = [
    "AR", "AT", "AU", "BD", "BE", "BR", "CA", "CH", "CL", "CN", "CO", "CZ", "DE", "DK", "EG", "ES",
    "FI", "FR", "GB", "GR", "ID", "IE", "IN", "IT", "JP", "KE", "KR", "MX", "NG", "NL", "NO", "PE",
    "PH", "PL", "PT", "RO", "SE", "TR", "US", "ZA",
];
/// Topics of such a plan, beside the one.
const TOPICS: usize = 9;
const OUTAGE_MINUTES: i64 = 40;
/// The wall clock is wrong by so much, from the second minute of its hour on, for so long.
const STEP: Micros = 2 * DAY;
const STEP_SECONDS: i64 = 2;
/// So often ingest looks at its clock, and ticks.
const ROUND_SECONDS: i64 = 2;

/// What is appended in one simulated minute.
pub(super) struct Minute {
    pub(super) entries: Vec<Entry>,
}

/// The built-in configuration, with all that it stores below `folder`.
pub(super) fn config(folder: &Path) -> Config {
    let data = format!("journal.data={}", folder.join("data").display());
    let keys = format!("privacy.keys={}", folder.join("keys").display());
    config::built_in(&[data, keys, format!("journal.partitions={PARTITIONS}")]).unwrap()
}

/// Posts by topic and hour.
pub(super) type Sent = BTreeMap<(String, Micros), u64>;

/// Sends all minutes; returns what was sent, for hours that are final in the end.
pub(super) fn send(
    plan: &Plan,
    config: &Config,
    settings: &Settings,
    sender: &SyncSender<Minute>,
) -> Sent {
    let topics = config.topics.lexicon.topics();
    let tags: Vec<String> =
        topics.iter().filter_map(|topic| Some(topic.tags.first()?.text.clone())).collect();
    // Of a post only its first topics are stored; some topics exclude the tags of others.
    let written: Vec<&str> = tags.iter().map(String::as_str).collect();
    let hits = config.topics.lexicon.read(Some(""), &written, &[], config.topics.segment).topics;
    let is_hourly =
        |id: &str| topics.iter().any(|topic| topic.id == id && topic.kind.pane() == HOUR);
    let hostile_topics: Vec<String> = hits
        .iter()
        .take(TOPICS_MAX)
        .filter(|hit| is_hourly(hit.id))
        .map(|hit| hit.id.to_owned())
        .collect();
    assert!(hits.len() > TOPICS_MAX && !hostile_topics.is_empty());
    let mut load = Load {
        plan: plan.clone(),
        tags,
        hostile_topics,
        random: Random::new(1),
        next_id: 0,
        sent: BTreeMap::new(),
    };
    let journal = MemoryJournal::new(PARTITIONS);
    let mut life = Life::of(&journal, config, settings, Hands::new(START));
    let mut held = Vec::new();
    for minute in 0..plan.days * 24 * 60 {
        let lines = load.lines(minute);
        let outage = plan.outage.map(|hour| minute - hour * 60);
        if outage == Some(0) {
            life.disconnected();
        }
        if outage == Some(OUTAGE_MINUTES) {
            life.connected();
            for (_, line) in held.drain(..) {
                let line: String = line;
                life.line(line.as_bytes());
            }
        }
        let is_away = outage.is_some_and(|since| (0..OUTAGE_MINUTES).contains(&since));
        let steps = plan.clock_step.is_some_and(|hour| minute == hour * 60 + 1);
        let mut lines = lines.into_iter().peekable();
        for second in (0..60).step_by(ROUND_SECONDS as usize) {
            let until = minute_start(minute) + (second + ROUND_SECONDS) * SECOND;
            life.hands.be_wrong(if steps && second < STEP_SECONDS { STEP } else { 0 });
            while let Some((arrival, line)) = lines.next_if(|(arrival, _)| *arrival < until) {
                if is_away {
                    held.push((arrival, line));
                } else {
                    life.hands.pass(arrival - life.hands.truth());
                    life.line(line.as_bytes());
                }
            }
            life.hands.pass(until - life.hands.truth());
            if !is_away {
                life.alive();
            }
            life.round();
        }
        if sender.send(Minute { entries: appended(&journal) }).is_err() {
            break;
        }
    }
    assert_eq!(journal.extent(Stream::Rejects, 0).unwrap(), 0..0, "a line was rejected");
    let end = START + plan.days * DAY - settings.horizon - HOUR;
    load.sent.retain(|(_, hour), _| *hour < end);
    load.sent
}

/// What ingest has appended since it was last looked at.
fn appended(journal: &MemoryJournal) -> Vec<Entry> {
    let mut entries = Vec::new();
    for partition in 0..PARTITIONS {
        let from = journal.extent(Stream::Posts, partition).unwrap().start;
        let batch =
            journal.read(Stream::Posts, partition, from, usize::MAX, Duration::ZERO).unwrap();
        journal.forget(Stream::Posts, partition, batch.next);
        entries.extend(batch.records.into_iter().map(|(_, bytes)| Entry { partition, bytes }));
    }
    entries
}

struct Load {
    plan: Plan,
    /// A tag of each topic.
    tags: Vec<String>,
    random: Random,
    next_id: u64,
    sent: Sent,
    /// Topics by the hour that a post with all tags counts for.
    hostile_topics: Vec<String>,
}

impl Load {
    /// The lines that arrive in a minute, in order of arrival.
    fn lines(&mut self, minute: i64) -> Vec<(Micros, String)> {
        let from = minute_start(minute);
        let others = i64::from(self.plan.others) * 60;
        let topical = i64::from(self.plan.topical) * (minute % 60 + 1) / 60
            - i64::from(self.plan.topical) * (minute % 60) / 60;
        let all = others + topical;
        let mut lines = Vec::with_capacity(all as usize);
        for nth in 0..all {
            let arrival = from + MINUTE * nth / all;
            let is_topical = (nth + 1) * topical / all > nth * topical / all;
            let account = if is_topical {
                self.below(self.plan.accounts)
            } else {
                self.below(2_000_000) + 10_000_000
            };
            let line = self.post(arrival, account, is_topical);
            lines.push((arrival, line));
        }
        if minute % 60 == 7 && self.plan.hostile.contains(&(minute / 60)) {
            let arrival = from + MINUTE - SECOND;
            for _ in 0..200 {
                let line = self.hostile(arrival);
                lines.push((arrival, line));
            }
        }
        lines
    }

    fn below(&mut self, n: u64) -> u64 {
        self.random.next_u64() % n.max(1)
    }

    fn post(&mut self, arrival: Micros, account: u64, is_topical: bool) -> String {
        let id = self.id();
        let lang = LANGS[self.below(LANGS.len() as u64) as usize];
        let (text, tags) = match is_topical {
            true => {
                let other = if self.plan.has_places {
                    self.below(2 * TOPICS as u64) as usize
                } else {
                    usize::MAX
                };
                let tag = if other < TOPICS { &self.tags[other] } else { TOPIC_TAG };
                if tag == TOPIC_TAG {
                    *self.sent.entry((TOPIC.to_owned(), pane_start(arrival, HOUR))).or_default() +=
                        1;
                }
                (
                    "in bed since monday",
                    format!(r#"["{tag}","sick{}","monday"]"#, arrival / SECOND % 20),
                )
            }
            false => (
                "the sun sets late over the harbour and the gulls are loud tonight",
                r#"["sunset"]"#.to_owned(),
            ),
        };
        let region = match self.plan.has_places {
            true => {
                format!(r#","region":"{}""#, COUNTRIES[self.below(COUNTRIES.len() as u64) as usize])
            }
            false => String::new(),
        };
        self.written(
            id,
            account,
            arrival,
            &format!(r#""text":"{text}","tags":{tags},"langs":["{lang}"]{region}"#),
        )
    }

    /// A stranger's worst post: a tag of each topic, and languages that do not exist.
    fn hostile(&mut self, arrival: Micros) -> String {
        let id = self.id();
        let langs: Vec<String> = (0..16)
            .map(|_| format!("\"q{}{}\"", letter(self.below(26)), letter(self.below(26))))
            .collect();
        let tags: Vec<String> = self.tags.iter().map(|tag| format!("\"{tag}\"")).collect();
        for topic in &self.hostile_topics {
            *self.sent.entry((topic.clone(), pane_start(arrival, HOUR))).or_default() += 1;
        }
        self.written(
            id,
            99,
            arrival,
            &format!(r#""text":"","tags":[{}],"langs":[{}]"#, tags.join(","), langs.join(",")),
        )
    }

    fn id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    fn written(&self, id: u64, account: u64, arrival: Micros, rest: &str) -> String {
        let mut line = String::with_capacity(256);
        let stamp = arrival as f64 / 1e6;
        let _ = write!(
            line,
            r#"{{"id":"p{id}","author":"a{account}","created_at":{stamp:.6},"arrived":{stamp:.6},{rest}}}"#
        );
        line
    }
}

fn letter(number: u64) -> char {
    char::from(b'a' + (number % 26) as u8)
}
