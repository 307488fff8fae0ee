//! The fold of the alert stream: what is known of each alert after all its records.

use std::collections::BTreeMap;

use crate::output::{Alert, AlertEvent};

/// Inbox, outbox and audit log in one: the latest revision of each alert and what people did with it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct AlertFold {
    alerts: BTreeMap<String, (Alert, Vec<AlertEvent>)>,
}

impl AlertFold {
    /// Returns whether the record said anything new: a revision written twice changes nothing.
    pub fn apply(&mut self, alert: Alert) -> bool {
        match self.alerts.get_mut(&alert.id) {
            Some((known, _)) if known.version >= alert.version && known.revision >= alert.revision => false,
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
}
