//! Dispatch: decides which message goes to which recipient of which subscription, and when.
//!
//! The pure stage between the alert stream and the channels. It plans alerts by budget and quiet
//! hours, collects digests, escalates, reports growth of snoozed alerts, and records the outcome
//! for each recipient. Its driver reads the streams, stores each [`Change`] before it sends a
//! [`Delivery`], and returns the outcome; after a restart it subscribes with the stored state.
//! Dispatch has no thread, file, journal, clock or randomness.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use record::public::Rise;
use record::{Alert, AlertFold, Micros, Outcome, Version};

use crate::channel::SendError;
use crate::channel::alertmanager::Named;
use crate::message::{Notice, Occasion, Pulse};
use crate::subscription::{Channel, Subscription, World};

pub mod head;
pub mod item;
mod outbox;
pub mod round;
mod share;
mod status;
pub mod tries;

pub use self::head::Head;
pub use self::item::Item;
use self::outbox::Outbox;
pub use self::outbox::Waiting;
use self::status::Status;
pub use self::status::{Facts, Growth};

/// One message to one recipient.
#[derive(Debug, Clone, PartialEq)]
pub struct Delivery {
    pub subscription: Arc<Subscription>,
    /// A mail address; empty for channels with one recipient.
    pub to: String,
    /// Among how many series recurrences are measured; 0: among all.
    pub series: u32,
    pub content: Content,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    Alert {
        report: Box<Report>,
        /// None: repeated without a change.
        occasion: Option<Occasion>,
        /// Its labels in Alertmanager, for that channel.
        named: Option<Named>,
    },
    Digest {
        id: String,
        reports: Vec<Report>,
    },
    Pulse {
        id: String,
        pulse: Pulse,
    },
    Notice {
        id: String,
        notice: Notice,
    },
}

/// An alert as the audience of a subscription may see it.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    pub alert: Alert,
    /// For the public, in place of every number.
    pub rise: Option<Rise>,
    /// Outcomes of the last alerts of this topic in this country, latest first; empty for the
    /// public.
    pub history: Vec<Outcome>,
}

/// A value to store, for the next start.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    Head(Box<Head>),
    Item(Box<Item>),
    /// The item of this alert is finished.
    Finished(String),
}

/// What a decision depends on besides the outbox.
struct Inputs<'a> {
    alerts: &'a AlertFold,
    world: &'a dyn World,
    status: &'a Status,
    silence_after: Micros,
    now: Micros,
}

pub struct Dispatch<'a> {
    world: &'a dyn World,
    /// The system is silent when the newest event is older.
    silence_after: Micros,
    status: Status,
    /// By subscription.
    outboxes: BTreeMap<String, Outbox>,
}

impl<'a> Dispatch<'a> {
    pub fn new(world: &'a dyn World, silence_after: Micros) -> Dispatch<'a> {
        Dispatch { world, silence_after, status: Status::default(), outboxes: BTreeMap::new() }
    }

    /// Adds a subscription with its stored state; without one it receives alerts newer than
    /// `since`.
    pub fn subscribe(
        &mut self,
        subscription: Subscription,
        stored: Option<(Head, Vec<Item>)>,
        since: Version,
        now: Micros,
    ) {
        let name = subscription.name.clone();
        let mut outbox = Outbox::new(subscription, stored, since, now);
        outbox.measure_share(self.world, &self.status);
        self.outboxes.insert(name, outbox);
    }

    /// Replaces a known subscription by its new version; returns whether it was known.
    pub fn replace(&mut self, subscription: &Subscription, now: Micros) -> bool {
        let Some(outbox) = self.outboxes.get_mut(&subscription.name) else { return false };
        outbox.replace(subscription.clone(), now);
        outbox.measure_share(self.world, &self.status);
        true
    }

    pub fn unsubscribe(&mut self, name: &str) {
        self.outboxes.remove(name);
    }

    pub fn subscription(&self, name: &str) -> Option<&Arc<Subscription>> {
        self.outboxes.get(name).map(|outbox| &outbox.subscription)
    }

    pub fn subscriptions(&self) -> impl Iterator<Item = &Arc<Subscription>> {
        self.outboxes.values().map(|outbox| &outbox.subscription)
    }

    /// Takes a new answer of the warehouse. Nothing is planned before the first one.
    pub fn learn(&mut self, facts: Arc<Facts>) {
        let known = self.status.facts.as_ref().map_or(0, |facts| facts.series.len());
        let is_grown = facts.series.len() != known;
        self.status.facts = Some(facts);
        for outbox in self.outboxes.values_mut() {
            outbox.measure_share(self.world, &self.status);
            if is_grown {
                // Rarity, and so what a subscription covers, depends on the number of series.
                outbox.forget_coverage();
            }
        }
    }

    /// Takes the conditions under which the system works with less, by name with a detail.
    pub fn observe(&mut self, conditions: &BTreeMap<String, String>, uptime: Duration) {
        self.status.observe(conditions, uptime);
    }

    /// Whether nothing is in flight and everything known is planned.
    pub fn is_idle(&self) -> bool {
        let is_planned = self.status.facts.is_some() || self.outboxes.is_empty();
        is_planned && self.outboxes.values().all(|outbox| !outbox.is_in_flight())
    }

    /// Plans new alerts and returns what is to be sent now: for each subscription at most one
    /// delivery, and none while one of it is in flight.
    pub fn poll(&mut self, alerts: &AlertFold, now: Micros) -> Vec<Delivery> {
        let Dispatch { world, silence_after, status, outboxes } = self;
        let (world, silence_after) = (*world, *silence_after);
        let inputs = Inputs { alerts, world, status, silence_after, now };
        outboxes.values_mut().filter_map(|outbox| outbox.poll(&inputs)).collect()
    }

    /// Takes the outcome of the delivery in flight of a subscription; `jitter`, 0 to 1, extends the
    /// wait after a failure. Returns the alert whose message was given up.
    pub fn settle(
        &mut self,
        subscription: &str,
        result: &Result<(), SendError>,
        alerts: &AlertFold,
        now: Micros,
        jitter: f64,
    ) -> Option<String> {
        self.outboxes.get_mut(subscription)?.settle(result, alerts, now, jitter)
    }

    /// What is to be stored, by subscription, in this order.
    pub fn take_changes(&mut self) -> Vec<(String, Change)> {
        let taken = self.outboxes.iter_mut().flat_map(|(name, outbox)| {
            outbox.take_changes().into_iter().map(|change| (name.clone(), change))
        });
        taken.collect()
    }

    /// Messages that are due and not sent yet, by channel.
    pub fn count_waiting(&self, now: Micros) -> BTreeMap<&'static str, Waiting> {
        let mut waiting: BTreeMap<&'static str, Waiting> = BTreeMap::new();
        for outbox in self.outboxes.values() {
            let channel = outbox.subscription.channel.name();
            outbox.count_waiting(now, waiting.entry(channel).or_default());
        }
        waiting
    }

    /// Subscriptions with a failing channel or refused recipients, and a sentence each.
    pub fn troubles(&self) -> BTreeMap<String, String> {
        let troubles = self.outboxes.iter();
        troubles.filter_map(|(name, outbox)| Some((name.clone(), outbox.trouble()?))).collect()
    }
}

/// Recipients of a message to the whole subscription. Channels other than mail have one recipient,
/// without a name.
pub fn recipients(subscription: &Subscription, now: Micros) -> Vec<String> {
    match &subscription.channel {
        Channel::Mail { to } => to.at(&subscription.zone, now),
        _ => vec![String::new()],
    }
}

#[cfg(test)]
mod tests;
