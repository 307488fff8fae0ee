//! What is sent during a soak: lines of our own schema, read by the real intake, and the ticks that claim them.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;
use std::sync::mpsc::SyncSender;

use feeds::Now;
use feeds::intake::{Intake, Outcome, Routing};
use feeds::progress::{Progress, TickClock};
use journal::Entry;
use journal::memory::MemoryJournal;
use record::time::{DAY, HOUR, MINUTE, SECOND, pane_start};
use record::{Micros, Record, Settings, Tick, wire};
use simulation::Random;

use super::{Plan, START, minute_start};
use crate::config::{self, Config};
use crate::roles::ingest;
use crate::roles::keys::Keys;

pub(super) const TOPIC: &str = "influenza";
const LANGS: [&str; 8] = ["en", "ja", "pt", "de", "es", "fr", "ko", "it"];
const OUTAGE_MINUTES: i64 = 40;

/// What is appended in one simulated minute.
pub(super) struct Minute {
    pub(super) entries: Vec<Entry>,
}

pub(super) struct Load {
    plan: Plan,
    settings: Settings,
    intake: Intake,
    /// A tag of each topic.
    tags: Vec<String>,
    progress: Progress,
    ticks: TickClock,
    random: Random,
    next_id: u64,
    /// What comes once the outage is over.
    held: Vec<(Micros, String)>,
    /// Posts of the topic by hour.
    sent: BTreeMap<Micros, u64>,
}

impl Load {
    pub(super) fn new(plan: Plan, folder: &Path) -> Load {
        let data = format!("journal.data={}", folder.join("data").display());
        let keys = format!("privacy.keys={}", folder.join("keys").display());
        let sets = [data, keys, "journal.partitions=3".to_owned()];
        let config: Config = config::built_in(&sets).unwrap();
        let keys = Keys::open(&MemoryJournal::new(3), &config).unwrap();
        let settings = Settings { number: 1, ..config.settings() };
        let intake = ingest::intake(&config, &settings, &keys, 0);
        let tags = config.topics.lexicon.topics().iter().filter_map(|topic| Some(topic.tags.first()?.text.clone())).collect();
        let progress = Progress::of_file(&settings.feeds[0].name, 1);
        Load {
            plan,
            settings,
            intake,
            tags,
            progress,
            ticks: TickClock::default(),
            random: Random::new(1),
            next_id: 0,
            held: Vec::new(),
            sent: BTreeMap::new(),
        }
    }

    pub(super) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Sends all minutes; returns the number of posts of the topic by hour, for hours that are final in the end.
    pub(super) fn run(mut self, sender: &SyncSender<Minute>) -> BTreeMap<Micros, u64> {
        for minute in 0..self.plan.days * 24 * 60 {
            let entries = self.minute(minute);
            if sender.send(Minute { entries }).is_err() {
                break;
            }
        }
        let end = START + self.plan.days * DAY - self.settings.horizon - HOUR;
        self.sent.retain(|hour, _| *hour < end);
        self.sent
    }

    fn minute(&mut self, minute: i64) -> Vec<Entry> {
        let lines = self.lines(minute);
        let outage = self.plan.outage.map(|hour| hour * 60);
        let silent = outage.is_some_and(|from| (from..from + OUTAGE_MINUTES).contains(&minute));
        if silent {
            self.held.extend(lines);
            return Vec::new();
        }
        let mut entries = Vec::new();
        let waiting = std::mem::take(&mut self.held);
        let resumed = !waiting.is_empty();
        for (arrival, line) in waiting.into_iter().chain(lines) {
            let step = self.plan.clock_step.is_some_and(|hour| minute == hour * 60 && arrival < minute_start(minute) + 2 * SECOND);
            let true_time = if resumed { minute_start(minute) } else { arrival };
            let now = Now { wall: true_time + if step { 2 * DAY } else { 0 }, monotonic: true_time - START };
            self.line(arrival, now, &line, &mut entries);
        }
        entries
    }

    fn line(&mut self, arrival: Micros, now: Now, line: &str, entries: &mut Vec<Entry>) {
        if let Some(boundary) = self.ticks.boundary(arrival) {
            let feeds = self.progress.tick_before(boundary, now).into_iter().collect();
            let tick = Record::Tick(Tick { settings: 1, at: boundary, feeds }).encode();
            entries.extend((0..self.settings.partitions).map(|partition| Entry { partition, bytes: tick.clone() }));
        }
        let outcome = self.intake.read(line.as_bytes(), Some(now.wall)).unwrap();
        self.progress.on_arrival(arrival, now);
        let Outcome::Post { routing: Routing::One(partition), post, .. } = outcome else { return };
        entries.push(Entry { partition, bytes: wire::encode_post(&post) });
    }

    /// The lines that arrive in a minute, in order of arrival.
    fn lines(&mut self, minute: i64) -> Vec<(Micros, String)> {
        let from = minute_start(minute);
        let others = i64::from(self.plan.others) * 60;
        let topical = i64::from(self.plan.topical) * (minute % 60 + 1) / 60 - i64::from(self.plan.topical) * (minute % 60) / 60;
        let all = others + topical;
        let mut lines = Vec::with_capacity(all as usize);
        for nth in 0..all {
            let arrival = from + MINUTE * nth / all;
            let is_topical = (nth + 1) * topical / all > nth * topical / all;
            let account = if is_topical { self.below(self.plan.accounts) } else { self.below(2_000_000) + 10_000_000 };
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
            true => ("in bed since monday", format!(r#"["flu","sick{}","monday"]"#, self.below(20))),
            false => ("the sun sets late over the harbour and the gulls are loud tonight", r#"["sunset"]"#.to_owned()),
        };
        if is_topical {
            *self.sent.entry(pane_start(arrival, HOUR)).or_default() += 1;
        }
        self.written(id, account, arrival, &format!(r#""text":"{text}","tags":{tags},"langs":["{lang}"]"#))
    }

    /// A stranger's worst post: a tag of each topic, and languages that do not exist.
    fn hostile(&mut self, arrival: Micros) -> String {
        let id = self.id();
        let langs: Vec<String> = (0..16).map(|_| format!("\"q{}{}\"", letter(self.below(26)), letter(self.below(26)))).collect();
        let tags: Vec<String> = self.tags.iter().map(|tag| format!("\"{tag}\"")).collect();
        *self.sent.entry(pane_start(arrival, HOUR)).or_default() += 1;
        self.written(id, 99, arrival, &format!(r#""text":"","tags":[{}],"langs":[{}]"#, tags.join(","), langs.join(",")))
    }

    fn id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    fn written(&self, id: u64, account: u64, arrival: Micros, rest: &str) -> String {
        let mut line = String::with_capacity(256);
        let stamp = arrival as f64 / 1e6;
        let _ = write!(line, r#"{{"id":"p{id}","author":"a{account}","created_at":{stamp:.6},"arrived":{stamp:.6},{rest}}}"#);
        line
    }
}

fn letter(number: u64) -> char {
    char::from(b'a' + (number % 26) as u8)
}
