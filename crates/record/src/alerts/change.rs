//! A change that a person asks for, and what it must fulfil to become a record.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::AlertFold;
use crate::output::{Alert, AlertEvent, Handling, Milestones, Outcome, Snooze};
use crate::time::{self, DAY, Micros};

pub const NOTE_BYTES_MAX: usize = 4_000;
/// Of who did it and of who has it.
pub const ACTOR_BYTES_MAX: usize = 200;
/// Of one alert.
pub const EVENTS_MAX: usize = 1_000;
const SNOOZE_MAX: Micros = 366 * DAY;

/// What is to be changed; what is not given stays. In JSON instants are unix seconds or RFC 3339.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AlertChange {
    /// How many events the alert had when it was looked at.
    pub after: u32,
    pub state: Option<Handling>,
    /// With `decided`, or to correct what was decided.
    pub outcome: Option<Outcome>,
    /// Who has it from now on; empty: nobody.
    pub assignee: Option<String>,
    pub note: String,
    /// Takes the last change back: all but its note is again as before it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub undo: bool,
    /// An instant that has passed ends a snooze.
    #[serde(with = "seconds", skip_serializing_if = "Option::is_none")]
    pub snooze_until: Option<Micros>,
    /// When the health event began, as far as is known.
    #[serde(with = "seconds", skip_serializing_if = "Option::is_none")]
    pub emerged_at: Option<Micros>,
    /// When the authority in charge was told.
    #[serde(with = "seconds", skip_serializing_if = "Option::is_none")]
    pub notified_at: Option<Micros>,
    /// When the first response was complete.
    #[serde(with = "seconds", skip_serializing_if = "Option::is_none")]
    pub responded_at: Option<Micros>,
}

/// Why a change can't be made.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Refused {
    #[error("no alert `{0}`")]
    Unknown(String),
    /// Somebody was faster.
    #[error(
        "the alert has changed since it was looked at: {known} changes are known, this one was \
            made after {after}"
    )]
    Stale { known: u32, after: u32 },
    #[error("{0}")]
    Invalid(String),
    /// Nothing is known of whether it holds.
    #[error("{0}")]
    Failed(String),
}

impl AlertFold {
    /// The record of a change, if it may be made now. `at` is the clock's, `actor` who asks.
    pub fn event(
        &self,
        id: &str,
        change: &AlertChange,
        actor: &str,
        at: Micros,
    ) -> Result<AlertEvent, Refused> {
        let Some((alert, events)) = self.get(id) else {
            return Err(Refused::Unknown(id.to_owned()));
        };
        let known = u32::try_from(events.len()).unwrap_or(u32::MAX);
        if change.after != known {
            return Err(Refused::Stale { known, after: change.after });
        }
        if events.len() >= EVENTS_MAX {
            return Err(Refused::Invalid(format!("an alert takes at most {EVENTS_MAX} changes")));
        }
        if change.undo {
            return change.undone(id, alert, events, actor, at);
        }
        let last = events.last();
        let was = last.map_or(Handling::New, |event| event.state);
        let state = change.state.unwrap_or(was);
        let outcome = change.outcome_in(state, last.and_then(|event| event.outcome))?;
        if state == Handling::New && was != Handling::New {
            return Err(Refused::Invalid(format!(
                "an alert that is `{}` can't become `new` again",
                was.name()
            )));
        }
        let milestones = change.milestones_of(alert, last, at)?;
        let snooze = change.snooze_of(alert, last, at)?;
        let event = AlertEvent {
            alert: id.to_owned(),
            after: change.after,
            at,
            actor: text("who changes it", actor, ACTOR_BYTES_MAX)?,
            state,
            note: text("the note", &change.note, NOTE_BYTES_MAX)?,
            revision: alert.revision,
            outcome,
            assignee: match &change.assignee {
                Some(assignee) => text("the assignee", assignee, ACTOR_BYTES_MAX)?,
                None => last.map(|event| event.assignee.clone()).unwrap_or_default(),
            },
            snooze,
            milestones,
        };
        if event.note.is_empty() && event.changes(last).is_empty() {
            return Err(Refused::Invalid("the change changes nothing".to_owned()));
        }
        Ok(event)
    }
}

impl AlertChange {
    /// The record that restores what was before the last change.
    fn undone(
        &self,
        id: &str,
        alert: &Alert,
        events: &[AlertEvent],
        actor: &str,
        at: Micros,
    ) -> Result<AlertEvent, Refused> {
        let only = AlertChange {
            after: self.after,
            undo: true,
            note: self.note.clone(),
            ..AlertChange::default()
        };
        if *self != only {
            return Err(Refused::Invalid("`undo` goes with a note only".to_owned()));
        }
        let Some((last, before)) = events.split_last() else {
            return Err(Refused::Invalid("there is no change to undo".to_owned()));
        };
        let event = AlertEvent {
            alert: id.to_owned(),
            after: self.after,
            at,
            actor: text("who changes it", actor, ACTOR_BYTES_MAX)?,
            note: text("the note", &self.note, NOTE_BYTES_MAX)?,
            revision: alert.revision,
            ..before.last().cloned().unwrap_or_default()
        };
        if event.changes(Some(last)).is_empty() {
            return Err(Refused::Invalid("the last change was a note, which stays".to_owned()));
        }
        Ok(event)
    }

    fn outcome_in(
        &self,
        state: Handling,
        before: Option<Outcome>,
    ) -> Result<Option<Outcome>, Refused> {
        let name = state.name();
        if state >= Handling::Decided {
            let outcome = self.outcome.or(before);
            return outcome.map(Some).ok_or_else(|| {
                Refused::Invalid(format!("`{name}` needs an outcome: {}", Outcome::names()))
            });
        }
        // An alert that is verified again is undecided.
        match self.outcome {
            None => Ok(None),
            Some(_) => {
                Err(Refused::Invalid(format!("an outcome belongs to `decided`, not to `{name}`")))
            }
        }
    }

    fn milestones_of(
        &self,
        alert: &Alert,
        last: Option<&AlertEvent>,
        at: Micros,
    ) -> Result<Milestones, Refused> {
        let before = last.map(|event| event.milestones).unwrap_or_default();
        let milestones = Milestones {
            emerged: self.emerged_at.or(before.emerged),
            notified: self.notified_at.or(before.notified),
            responded: self.responded_at.or(before.responded),
        };
        let possible = time::EARLIEST..=at.max(alert.window_end) + DAY;
        for (name, instant) in [
            ("emerged_at", milestones.emerged),
            ("notified_at", milestones.notified),
            ("responded_at", milestones.responded),
        ] {
            if instant.is_some_and(|instant| !possible.contains(&instant)) {
                return Err(Refused::Invalid(format!("`{name}` is no instant that has passed")));
            }
        }
        Ok(milestones)
    }

    fn snooze_of(
        &self,
        alert: &Alert,
        last: Option<&AlertEvent>,
        at: Micros,
    ) -> Result<Option<Snooze>, Refused> {
        match self.snooze_until {
            None => Ok(last.and_then(|event| event.snooze)),
            Some(until) if until <= at => Ok(None),
            Some(until) if until - at > SNOOZE_MAX => {
                Err(Refused::Invalid("an alert is snoozed for a year at most".to_owned()))
            }
            Some(until) => Ok(Some(Snooze { until, ratio: alert.ratio() })),
        }
    }
}

/// What a change of an alert concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
pub enum Changed {
    State,
    Outcome,
    Assignee,
    Snooze,
    Milestones,
}

impl Changed {
    pub fn name(self) -> &'static str {
        self.into()
    }
}

impl AlertEvent {
    /// What differs from the event before it, its note left out.
    pub fn changes(&self, before: Option<&AlertEvent>) -> Vec<Changed> {
        let initial = AlertEvent::default();
        let before = before.unwrap_or(&initial);
        [
            (self.state != before.state, Changed::State),
            (self.outcome != before.outcome, Changed::Outcome),
            (self.assignee != before.assignee, Changed::Assignee),
            (self.snooze != before.snooze, Changed::Snooze),
            (self.milestones != before.milestones, Changed::Milestones),
        ]
        .into_iter()
        .filter_map(|(differs, what)| differs.then_some(what))
        .collect()
    }
}

/// What somebody typed: of bounded length, without characters that move what stands around it.
fn text(what: &str, typed: &str, bytes_max: usize) -> Result<String, Refused> {
    let typed = typed.trim();
    if typed.len() > bytes_max {
        return Err(Refused::Invalid(format!("{what} has more than {bytes_max} bytes")));
    }
    let hostile = |letter: char| {
        (letter.is_control() && !matches!(letter, '\n' | '\t')) || is_direction(letter)
    };
    Ok(typed.chars().filter(|letter| !hostile(*letter)).collect())
}

/// Marks that change the direction of what follows them.
fn is_direction(letter: char) -> bool {
    matches!(letter, '\u{200e}' | '\u{200f}' | '\u{061c}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Unix seconds, also with a fraction; a string that [`time::parse`] reads is read too.
mod seconds {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    use crate::time::{self, Micros, SECOND};

    pub(super) fn serialize<S: Serializer>(
        instant: &Option<Micros>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match instant {
            Some(instant) => serializer.serialize_f64(*instant as f64 / SECOND as f64),
            None => serializer.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Micros>, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Number(f64),
            Text(String),
        }
        let parsed = match Option::<Written>::deserialize(deserializer)? {
            None => return Ok(None),
            Some(Written::Number(seconds)) => time::parse(&format!("{seconds:.6}")),
            Some(Written::Text(text)) => time::parse(&text),
        };
        parsed.map(Some).map_err(|why| D::Error::custom(format!("an instant is {why}")))
    }
}
