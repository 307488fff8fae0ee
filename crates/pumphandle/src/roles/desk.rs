//! The desk: what people do with alerts, written into the stream of alerts.
//!
//! One path for page, API and terminal. A change becomes a record that names what it was made
//! against; it is appended, and the stream is read on until that record has come by: only then is
//! it known whether it holds or another was faster, whoever wrote that.
//! What was decided to be an event, or was known, leaves later baselines by an exclusion record in
//! `tallies`, and comes back into them by a lift once that is corrected.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, anyhow};
use journal::{Entry, Journal, Stream};
use record::policy::EXCLUSION_REACH;
use record::region::WORLD;
use record::time::{HOUR, pane_border};
use record::{
    Alert, AlertChange, AlertEvent, AlertFold, Exclusion, Lift, Micros, Position, Record, Refused,
    Version,
};

use crate::runtime::log::{self, LogState};
use crate::runtime::reader::{READ_BYTES_MAX, read_from};
use crate::runtime::requests::Answering;
use crate::runtime::{Role, put, retry};

/// Changes that wait; whoever asks waits before that.
pub(crate) const QUEUE: usize = 64;
/// What has been excluded and lifted, in the stream `feeds`: it is made anew together with
/// `tallies`.
const EXCLUDED: &str = "excluded/";

/// The fold of alerts, and how far it has read.
pub(crate) struct Desk<'a> {
    journal: &'a dyn Journal,
    fold: AlertFold,
    next: Position,
    /// The newest version up to each revision of an alert, by its position.
    versions: Vec<(Position, Version)>,
    /// Alert → what was noted of it in `tallies` last.
    noted: BTreeMap<String, Noted>,
    clock: fn() -> Micros,
}

/// What was noted of an alert in `tallies`, and after how many changes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Noted {
    changes: usize,
    /// Up to where its episode is excluded; none once that is lifted.
    to: Option<Micros>,
}

impl<'a> Desk<'a> {
    /// Reads everything there is; alerts are kept for ever, and there are few.
    pub(crate) fn open(
        journal: &'a dyn Journal,
        clock: fn() -> Micros,
    ) -> anyhow::Result<Desk<'a>> {
        let next = retry(|| journal.extent(Stream::Alerts, 0))?.start;
        let mut desk = Desk {
            journal,
            fold: AlertFold::default(),
            next,
            versions: Vec::new(),
            noted: BTreeMap::new(),
            clock,
        };
        for key in retry(|| journal.keys(Stream::Feeds, EXCLUDED))? {
            let id = &key[EXCLUDED.len()..];
            if let Some(noted) = noted_of(journal, id)? {
                desk.noted.insert(id.to_owned(), noted);
            }
        }
        desk.read_on()?;
        Ok(desk)
    }

    pub(crate) fn fold(&self) -> &AlertFold {
        &self.fold
    }

    /// The newest version of an alert before a position of the stream.
    pub(crate) fn newest_before(&self, position: Position) -> Version {
        let before = self.versions.partition_point(|(at, _)| *at < position);
        before
            .checked_sub(1)
            .and_then(|last| self.versions.get(last))
            .map_or(Version(0), |(_, version)| *version)
    }

    /// Reads what has come, and says to watch what was decided since.
    pub(crate) fn read_on(&mut self) -> anyhow::Result<()> {
        loop {
            let (journal, next) = (self.journal, self.next);
            let batch =
                read_from(journal, Stream::Alerts, 0, next, READ_BYTES_MAX, Duration::ZERO)?;
            if batch.records.is_empty() {
                return self.tell_watch();
            }
            for (position, bytes) in &batch.records {
                match Record::decode(bytes)
                    .with_context(|| format!("record {position} of `alerts`"))?
                {
                    Record::Alert(alert) => {
                        let newest = self
                            .versions
                            .last()
                            .map_or(alert.version, |(_, version)| alert.version.max(*version));
                        self.versions.push((*position, newest));
                        self.fold.apply(alert);
                    }
                    Record::AlertEvent(event) => _ = self.fold.apply_event(event),
                    other => {
                        return Err(anyhow!("record {position} of `alerts` is a {}", other.kind()));
                    }
                }
            }
            self.next = batch.next;
        }
    }

    /// Makes a change, and says how the alert stands after it. When this returns, the change is
    /// durable and holds.
    pub(crate) fn change(
        &mut self,
        id: &str,
        change: &AlertChange,
        actor: &str,
    ) -> Result<AlertEvent, Refused> {
        let failed = |error: anyhow::Error| Refused::Failed(format!("{error:#}"));
        self.read_on().map_err(failed)?;
        let event = self.fold.event(id, change, actor, (self.clock)())?;
        let entry = Entry { partition: 0, bytes: Record::AlertEvent(event.clone()).encode() };
        retry(|| self.journal.append(Stream::Alerts, std::slice::from_ref(&entry)))
            .map_err(failed)?;
        self.read_on().map_err(failed)?;
        let known = self.fold.get(id).map_or(&[][..], |(_, events)| events);
        match known.get(event.after as usize) {
            Some(taken) if *taken == event => Ok(event),
            _ => Err(Refused::Stale {
                known: u32::try_from(known.len()).unwrap_or(u32::MAX),
                after: event.after,
            }),
        }
    }

    /// Appends what decided episodes take out of baselines, and what corrected ones put back. After
    /// a kill before it was noted it is appended again: watch takes what it knows for nothing new.
    /// What another desk noted with less knowledge is noted anew.
    fn tell_watch(&mut self) -> anyhow::Result<()> {
        let now = (self.clock)();
        let mut due = Vec::new();
        for (alert, events) in self.fold.entries() {
            let wanted = wanted(alert, events);
            let is_done =
                wanted.as_ref().is_none_or(|wanted| wanted.is_in(self.noted.get(&alert.id)));
            if let Some(wanted) =
                wanted.filter(|_| !is_done && now - alert.window_end < EXCLUSION_REACH)
            {
                due.push((alert.id.clone(), events.len(), wanted));
            }
        }
        // A log that has ended takes no more; the next one begins without this note, and it is
        // noted then.
        if due.is_empty() || log::state(self.journal)? != LogState::Open {
            return Ok(());
        }
        for (id, changes, wanted) in due {
            // Another desk may have been faster, or know more.
            if let Some(noted) = noted_of(self.journal, &id)?
                .filter(|noted| noted.changes > changes || wanted.is_in(Some(noted)))
            {
                self.noted.insert(id, noted);
                continue;
            }
            let (records, to) = match wanted {
                Wanted::Excluded { to, exclusions, .. } => {
                    (exclusions.into_iter().map(Record::Exclusion).collect(), Some(to))
                }
                Wanted::Lifted { lift, .. } => (vec![Record::Lift(lift)], None),
            };
            let entries: Vec<Entry> = records
                .iter()
                .map(|record| Entry { partition: 0, bytes: record.encode() })
                .collect();
            retry(|| self.journal.append(Stream::Tallies, &entries))?;
            let noted = Noted { changes, to };
            let value = Some(noted.written().into_bytes());
            put(self.journal, Stream::Feeds, format!("{EXCLUDED}{id}"), value)?;
            match to {
                Some(to) => tracing::info!(
                    alert = id,
                    to = record::time::display(to),
                    "an episode leaves later baselines"
                ),
                None => tracing::info!(
                    alert = id,
                    "an episode was none after all, and is in later baselines again"
                ),
            }
            self.noted.insert(id, noted);
        }
        Ok(())
    }
}

impl Noted {
    fn written(self) -> String {
        format!("{} {}", self.changes, self.to.map_or("lifted".to_owned(), |to| to.to_string()))
    }

    fn parse(text: &str) -> Option<Noted> {
        let (changes, to) = text.split_once(' ')?;
        let to = if to == "lifted" { None } else { Some(to.parse().ok()?) };
        Some(Noted { changes: changes.parse().ok()?, to })
    }
}

/// What was noted of an alert.
fn noted_of(journal: &dyn Journal, id: &str) -> anyhow::Result<Option<Noted>> {
    let key = format!("{EXCLUDED}{id}");
    let Some(value) = retry(|| journal.get(Stream::Feeds, &key))? else { return Ok(None) };
    let noted = String::from_utf8(value).ok().and_then(|text| Noted::parse(&text));
    noted.with_context(|| format!("`{key}` says nothing of an exclusion")).map(Some)
}

/// What watch should know of an episode.
enum Wanted {
    Excluded {
        to: Micros,
        exclusions: Vec<Exclusion>,
    },
    /// After so many changes it was no event any more.
    Lifted {
        changes: usize,
        lift: Lift,
    },
}

impl Wanted {
    fn is_in(&self, noted: Option<&Noted>) -> bool {
        match (self, noted) {
            (Wanted::Excluded { to, .. }, Some(noted)) => {
                noted.to.is_some_and(|noted| noted >= *to)
            }
            // An exclusion may stand in the log without its note.
            (Wanted::Lifted { changes, .. }, Some(noted)) => {
                noted.to.is_none() && noted.changes >= *changes
            }
            (_, None) => false,
        }
    }
}

/// Nothing of an alert that was never an event.
fn wanted(alert: &Alert, events: &[AlertEvent]) -> Option<Wanted> {
    let leaves = |event: &AlertEvent| event.outcome.is_some_and(record::Outcome::leaves_baselines);
    let decided = events.iter().rposition(leaves)?;
    let valid_from = |event: &AlertEvent| pane_border(event.at.max(alert.window_end), HOUR) + HOUR;
    Some(match events.get(decided + 1) {
        None => Wanted::Excluded {
            to: alert.window_end,
            exclusions: exclusions(alert, valid_from(&events[decided])),
        },
        Some(corrected) => Wanted::Lifted {
            changes: decided + 2,
            lift: Lift { alert: alert.id.clone(), valid_from: valid_from(corrected) },
        },
    })
}

/// The regions of an episode, from the start of the window that raised it to the end of the last
/// one reported. The world only if it is what was in alarm itself: it covers everything, also where
/// nothing happened.
fn exclusions(alert: &Alert, valid_from: Micros) -> Vec<Exclusion> {
    let regions =
        alert.regions.iter().filter(|region| region.as_str() != WORLD || alert.region == WORLD);
    regions
        .map(|region| Exclusion {
            topic: alert.topic.clone(),
            region: region.clone(),
            from: alert.opened_at,
            to: alert.window_end,
            valid_from,
            alert: alert.id.clone(),
        })
        .collect()
}

/// How often the stream is read without a request: decided episodes go on, and other processes
/// write too.
const READ_EVERY: Duration = Duration::from_secs(2);

/// The role that answers changes.
pub(crate) fn role<'a>(
    journal: &'a dyn Journal,
    clock: fn() -> Micros,
    io: tokio::runtime::Handle,
    requests: tokio::sync::mpsc::Receiver<web::Change>,
) -> impl Role + 'a {
    let mut desk = None;
    let answer = move |change: Option<web::Change>| match change {
        Some(change) => answer_change(journal, clock, &mut desk, change),
        None => read_idle(&mut desk),
    };
    Answering { io, requests, every: READ_EVERY, answer }
}

/// Reads the stream of alerts between two changes.
fn read_idle(desk: &mut Option<Desk<'_>>) {
    if let Some(Err(error)) = desk.as_mut().map(Desk::read_on) {
        tracing::warn!(%error, "the stream of alerts can't be read, trying again");
        *desk = None;
    }
}

/// What was read is retained; after an error it is read again, from the beginning.
fn answer_change<'a>(
    journal: &'a dyn Journal,
    clock: fn() -> Micros,
    desk: &mut Option<Desk<'a>>,
    web::Change { alert, change, actor, answer }: web::Change,
) {
    let opened = match desk.take() {
        Some(desk) => Ok(desk),
        None => Desk::open(journal, clock).map_err(|error| Refused::Failed(format!("{error:#}"))),
    };
    let result = opened.and_then(|mut opened| {
        let result = opened.change(&alert, &change, &actor);
        if !matches!(result, Err(Refused::Failed(_))) {
            *desk = Some(opened);
        }
        result
    });
    // The reader may have gone; the change holds all the same.
    let _ = answer.send(result);
}

#[cfg(test)]
mod tests;
