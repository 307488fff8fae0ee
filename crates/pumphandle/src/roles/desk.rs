//! The desk: what people do with alerts, written into the stream of alerts.
//!
//! One path for page, API and terminal. A change becomes a record that names what it was made against; it is appended, and the stream
//! is read on until that record has come by: only then is it known whether it holds or another was faster, whoever wrote that.
//! What was decided to be an event, or was known, leaves later baselines by an exclusion record in `tallies`.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, anyhow};
use journal::{Entry, Journal, Stream};
use record::region::WORLD;
use record::time::{DAY, HOUR, pane_border};
use record::{Alert, AlertChange, AlertEvent, AlertFold, Exclusion, Micros, Position, Record, Refused};

use super::log::{self, LogState};
use crate::drive::again;

/// Changes that wait; whoever asks waits before that.
pub(crate) const QUEUE: usize = 64;
const READ_BYTES_MAX: usize = 1 << 20;
/// What has been excluded, in the stream `feeds`: it is made anew together with `tallies`.
const EXCLUDED: &str = "excluded/";
/// Baselines don't reach further back, so neither need exclusions.
const BASELINES_REACH: Micros = 400 * DAY;

/// The fold of alerts, and how far it has read.
pub(crate) struct Desk<'a> {
    journal: &'a dyn Journal,
    fold: AlertFold,
    next: Position,
    /// Alert → the end up to which its exclusion reaches.
    excluded: BTreeMap<String, Micros>,
    clock: fn() -> Micros,
}

impl<'a> Desk<'a> {
    /// Reads everything there is; alerts are kept for ever, and there are few.
    pub(crate) fn open(journal: &'a dyn Journal, clock: fn() -> Micros) -> anyhow::Result<Desk<'a>> {
        let next = again(|| journal.extent(Stream::Alerts, 0))?.start;
        let mut desk = Desk { journal, fold: AlertFold::default(), next, excluded: BTreeMap::new(), clock };
        for key in again(|| journal.keys(Stream::Feeds, EXCLUDED))? {
            let id = &key[EXCLUDED.len()..];
            if let Some(to) = excluded_to(journal, id)? {
                desk.excluded.insert(id.to_owned(), to);
            }
        }
        desk.read_on()?;
        Ok(desk)
    }

    pub(crate) fn fold(&self) -> &AlertFold {
        &self.fold
    }

    /// Reads what has come, and excludes what was decided since.
    pub(crate) fn read_on(&mut self) -> anyhow::Result<()> {
        loop {
            let batch = again(|| self.journal.read(Stream::Alerts, 0, self.next, READ_BYTES_MAX, Duration::ZERO))?;
            if batch.records.is_empty() {
                return self.exclude();
            }
            for (position, bytes) in &batch.records {
                match Record::decode(bytes).with_context(|| format!("record {position} of `alerts`"))? {
                    Record::Alert(alert) => _ = self.fold.apply(alert),
                    Record::AlertEvent(event) => _ = self.fold.apply_event(event),
                    other => return Err(anyhow!("record {position} of `alerts` is a {}", other.kind())),
                }
            }
            self.next = batch.next;
        }
    }

    /// Makes a change, and says how the alert stands after it. When this returns, the change is durable and holds.
    pub(crate) fn change(&mut self, id: &str, change: &AlertChange, actor: &str) -> Result<AlertEvent, Refused> {
        let failed = |error: anyhow::Error| Refused::Failed(format!("{error:#}"));
        self.read_on().map_err(failed)?;
        let event = self.fold.event(id, change, actor, (self.clock)())?;
        let entry = Entry { partition: 0, bytes: Record::AlertEvent(event.clone()).encode() };
        again(|| self.journal.append(Stream::Alerts, std::slice::from_ref(&entry))).map_err(failed)?;
        self.read_on().map_err(failed)?;
        let known = self.fold.get(id).map_or(&[][..], |(_, events)| events);
        match known.get(event.after as usize) {
            Some(taken) if *taken == event => Ok(event),
            _ => Err(Refused::Stale { known: u32::try_from(known.len()).unwrap_or(u32::MAX), after: event.after }),
        }
    }

    /// Appends what decided episodes take out of baselines. After a kill before it was noted it is appended again: watch takes an
    /// exclusion that it knows for nothing new.
    fn exclude(&mut self) -> anyhow::Result<()> {
        let now = (self.clock)();
        let mut due = Vec::new();
        for (alert, events) in self.fold.entries() {
            let Some(last) = events.last().filter(|event| event.outcome.is_some_and(record::Outcome::leaves_baselines)) else { continue };
            let covered = self.excluded.get(&alert.id).copied().unwrap_or(Micros::MIN);
            if alert.window_end > covered && now - alert.window_end < BASELINES_REACH {
                due.push((alert.id.clone(), alert.window_end, exclusions(alert, last)));
            }
        }
        // A log that has ended takes no more; the next one begins without this note, and is told then.
        if due.is_empty() || log::state(self.journal)? != LogState::Open {
            return Ok(());
        }
        for (id, to, exclusions) in due {
            // Another desk may have been faster.
            if let Some(noted) = excluded_to(self.journal, &id)?.filter(|noted| *noted >= to) {
                self.excluded.insert(id, noted);
                continue;
            }
            let entries: Vec<Entry> =
                exclusions.into_iter().map(|exclusion| Entry { partition: 0, bytes: Record::Exclusion(exclusion).encode() }).collect();
            again(|| self.journal.append(Stream::Tallies, &entries))?;
            again(|| self.journal.put(Stream::Feeds, &[(format!("{EXCLUDED}{id}"), Some(to.to_string().into_bytes()))]))?;
            tracing::info!(alert = id, to = record::time::display(to), "an episode leaves later baselines");
            self.excluded.insert(id, to);
        }
        Ok(())
    }
}

/// Up to where an episode has been excluded.
fn excluded_to(journal: &dyn Journal, id: &str) -> anyhow::Result<Option<Micros>> {
    let key = format!("{EXCLUDED}{id}");
    let Some(value) = again(|| journal.get(Stream::Feeds, &key))? else { return Ok(None) };
    let to = String::from_utf8(value).ok().and_then(|text| text.parse().ok());
    to.with_context(|| format!("`{key}` holds no instant")).map(Some)
}

/// The regions of an episode, from the start of the window that raised it to the end of the last one told of. The world only if it is
/// what was in alarm itself: it covers everything, also where nothing happened.
fn exclusions(alert: &Alert, decided: &AlertEvent) -> Vec<Exclusion> {
    let valid_from = pane_border(decided.at.max(alert.window_end), HOUR) + HOUR;
    let regions = alert.regions.iter().filter(|region| region.as_str() != WORLD || alert.region == WORLD);
    regions
        .map(|region| Exclusion {
            topic: alert.topic.clone(),
            region: region.clone(),
            from: alert.opened_at,
            to: alert.window_end,
            valid_from,
        })
        .collect()
}

/// How often the stream is looked at while nobody asks: decided episodes go on, and other processes write too.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Answers changes until nobody can ask any more.
pub(crate) fn run(journal: &dyn Journal, clock: fn() -> Micros, mut asked: tokio::sync::mpsc::Receiver<web::Change>) -> anyhow::Result<()> {
    let mut desk: Option<Desk<'_>> = None;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    loop {
        let next = runtime.block_on(async { tokio::time::timeout(LOOK_EVERY, asked.recv()).await });
        let web::Change { alert, change, actor, answer } = match next {
            Ok(Some(change)) => change,
            Ok(None) => return Ok(()),
            Err(_) => {
                if let Some(Err(error)) = desk.as_mut().map(Desk::read_on) {
                    tracing::warn!(%error, "the stream of alerts can't be read, trying again");
                    desk = None;
                }
                continue;
            }
        };
        // What was read stays; after an error it is read anew, from the beginning.
        let opened = match desk.take() {
            Some(desk) => Ok(desk),
            None => Desk::open(journal, clock).map_err(|error| Refused::Failed(format!("{error:#}"))),
        };
        let result = opened.and_then(|mut opened| {
            let result = opened.change(&alert, &change, &actor);
            if !matches!(result, Err(Refused::Failed(_))) {
                desk = Some(opened);
            }
            result
        });
        // Whoever asked may have gone; the change stands all the same.
        let _ = answer.send(result);
    }
}

#[cfg(test)]
mod tests;
