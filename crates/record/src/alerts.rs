//! The fold of the alert stream: what is known of each alert after all its records, and what people
//! may do with it.
//!
//! Inbox, outbox and audit log in one. A change that a person asks for ([`AlertChange`]) becomes a
//! record ([`AlertEvent`]) that names how many stood before it; the fold takes it only if so many
//! do. Whoever wrote it reads it back to learn whether it holds.

use std::collections::BTreeMap;

use crate::output::{Alert, AlertEvent};
use crate::time::Micros;

mod change;
pub use change::{ACTOR_BYTES_MAX, AlertChange, Changed, EVENTS_MAX, NOTE_BYTES_MAX, Refused};

mod course;
pub use course::{Course, Phase, Point};

mod figures;
pub use figures::{Clock, Clocks, Figures, Share, Spread, clocks, figures};

#[cfg(test)]
mod tests;

#[derive(Debug, Clone, Default, PartialEq)]
pub struct AlertFold {
    alerts: BTreeMap<String, (Alert, Vec<AlertEvent>)>,
}

impl AlertFold {
    /// Returns whether the record said anything new: a revision written twice changes nothing.
    pub fn apply(&mut self, alert: Alert) -> bool {
        match self.alerts.get_mut(&alert.id) {
            Some((known, _))
                if known.version >= alert.version && known.revision >= alert.revision =>
            {
                false
            }
            Some((known, _)) => {
                *known = alert;
                true
            }
            None => {
                self.alerts.insert(alert.id.clone(), (alert, Vec::new()));
                true
            }
        }
    }

    /// Refuses an event for an unknown alert, and one made against an older state than is known.
    pub fn apply_event(&mut self, event: AlertEvent) -> bool {
        match self.alerts.get_mut(&event.alert) {
            Some((_, events)) if events.len() == event.after as usize => {
                events.push(event);
                true
            }
            _ => false,
        }
    }

    pub fn get(&self, id: &str) -> Option<(&Alert, &[AlertEvent])> {
        self.alerts.get(id).map(|(alert, events)| (alert, events.as_slice()))
    }

    pub fn alerts(&self) -> impl Iterator<Item = &Alert> {
        self.alerts.values().map(|(alert, _)| alert)
    }

    /// Every alert with what people did with it, by id.
    pub fn entries(&self) -> impl Iterator<Item = (&Alert, &[AlertEvent])> {
        self.alerts.values().map(|(alert, events)| (alert, events.as_slice()))
    }
}

impl Alert {
    /// Whether people wished not to see it now: until the instant they named, unless it has come to
    /// twice the ratio it had then.
    pub fn is_snoozed(&self, events: &[AlertEvent], now: Micros) -> bool {
        let snooze = events.last().and_then(|event| event.snooze);
        snooze.is_some_and(|snooze| {
            now < snooze.until && !snooze.is_outgrown(self.observed, self.expected)
        })
    }
}
