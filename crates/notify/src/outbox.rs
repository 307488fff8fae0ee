//! What is owed to subscribers, and what was tried: plain data, so that whoever keeps it loses nothing by a restart.
//!
//! A message keeps its id over all tries and restarts. It may arrive twice, after a kill between sending and noting; it is never lost,
//! short of [`GIVE_UP_AFTER`].

use record::public::Rise;
use record::time::{DAY, HOUR, SECOND};
use record::{Alert, AlertEvent, AlertState, Handling, Micros, Version};
use serde::{Deserialize, Serialize};

use crate::channel::alertmanager::{self, Named};
use crate::message::Occasion;
use crate::plan::{Budget, Planned};
use crate::subscription::{Audience, Channel, Subscription};

/// As Standard Webhooks asks: for days.
pub const GIVE_UP_AFTER: Micros = 3 * DAY;
const FIRST_WAIT: Micros = 5 * SECOND;
const LONGEST_WAIT: Micros = 3 * HOUR;

/// Of a subscription.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// Alerts whose revision is not newer were there before the subscription was.
    pub since: Version,
    pub budget: Budget,
    /// When the next digest leaves.
    pub digest_at: Micros,
    /// When the next heartbeat is due.
    pub heartbeat_at: Micros,
    /// Whether it was told that the system is silent.
    pub told_silent: bool,
    /// Of digests, heartbeats and the word of silence.
    pub tries: Tries,
}

/// Of a subscription and an alert.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Item {
    pub alert: String,
    pub planned: Planned,
    pub told: Option<Told>,
    pub escalated: bool,
    pub tries: Tries,
    /// What Alertmanager knows it by.
    pub named: Option<Named>,
    /// After this many tries and days it was let go.
    pub given_up: bool,
    /// How many changes by people it had when it was last told that it changed.
    #[serde(default)]
    pub updated_after: Option<usize>,
    /// The level that the public was told, and the UTC day (since 1970-01-01) on which it was: it stays for that day.
    #[serde(default)]
    pub told_rise: Option<(i64, Rise)>,
}

/// The last revision that went out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    pub revision: u32,
    pub severity: u8,
    pub state: AlertState,
    pub at: Micros,
    pub first_at: Micros,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Tries {
    pub failed: u32,
    pub first_failed_at: Option<Micros>,
    pub not_before: Micros,
}

impl Tries {
    /// After a failure: waits 5 s, 10 s, 20 s … 3 h, each stretched by up to a fifth (`jitter`, 0 to 1), not less than the other asks.
    pub fn failed(self, now: Micros, asked: Option<Micros>, jitter: f64) -> Tries {
        let doubled = FIRST_WAIT.saturating_mul(1 << self.failed.min(20)).min(LONGEST_WAIT);
        let stretched = doubled + (doubled as f64 * 0.2 * jitter.clamp(0.0, 1.0)) as Micros;
        let wait = stretched.max(asked.unwrap_or(0).min(DAY));
        Tries { failed: self.failed.saturating_add(1), first_failed_at: self.first_failed_at.or(Some(now)), not_before: now + wait }
    }

    pub fn is_hopeless(&self, now: Micros) -> bool {
        self.first_failed_at.is_some_and(|first| now - first >= GIVE_UP_AFTER)
    }
}

/// What an alert is due for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    Tell(Occasion),
    /// To Alertmanager once more: nothing has changed.
    Again,
}

impl Item {
    pub fn new(alert: &Alert, planned: Planned) -> Item {
        Item {
            alert: alert.id.clone(),
            planned,
            told: None,
            escalated: false,
            tries: Tries::default(),
            named: None,
            given_up: false,
            updated_after: None,
            told_rise: None,
        }
    }

    /// The level that the public is told of the alert now: one a UTC day, so that its steps can't be timed.
    pub fn rise(&self, alert: &Alert, now: Micros) -> Rise {
        self.told_rise.filter(|(day, _)| *day == now.div_euclid(DAY)).map_or(Rise::of(alert), |(_, rise)| rise)
    }

    /// Whether a revision is news to the public: its state changed, or its level did and the day is another one.
    fn is_public_news(&self, told: Told, alert: &Alert, now: Micros) -> bool {
        alert.state != told.state || self.told_rise.is_none_or(|(_, rise)| rise != self.rise(alert, now))
    }

    /// Whether people who snoozed it, and to whom it has grown too large since, are still to be told so.
    pub fn wakes(&self, subscription: &Subscription, alert: &Alert, events: &[AlertEvent], now: Micros) -> bool {
        let is_asleep = events.last().is_some_and(|event| event.snooze.is_some_and(|snooze| now < snooze.until));
        let is_told = self.updated_after == Some(events.len());
        let may = !self.given_up && now >= self.tries.not_before && !subscription.channel.is_for_machines();
        // What officials decided is theirs.
        let is_public = subscription.audience == Audience::Public;
        may && !is_public && is_asleep && !is_told && self.told.is_some() && alert.state == AlertState::Open
    }

    /// What is due now, if anything but the digest.
    pub fn due(&self, subscription: &Subscription, alert: &Alert, events: &[AlertEvent], now: Micros) -> Option<Due> {
        if self.given_up || now < self.tries.not_before {
            return None;
        }
        let Some(told) = self.told else {
            let Planned::AtOnce { from } = self.planned else {
                // Machines have no use for digests.
                return subscription.channel.is_for_machines().then_some(Due::Tell(Occasion::New)).filter(|_| is_worth_telling(alert));
            };
            let is_due = now >= from && is_worth_telling(alert) && !alert.is_snoozed(events, now);
            return is_due.then_some(Due::Tell(Occasion::New));
        };
        let is_public = subscription.audience == Audience::Public;
        let is_news = alert.revision > told.revision && (!is_public || self.is_public_news(told, alert, now));
        let handling = events.last().map_or(Handling::New, |event| event.state);
        if let Channel::Alertmanager { .. } = subscription.channel {
            let is_open = alert.state == AlertState::Open;
            let since_closed = if told.state == AlertState::Open { 0 } else { now - told.at };
            return if is_news {
                Some(Due::Tell(Occasion::Update))
            } else if is_open && now - told.at >= alertmanager::AGAIN_EVERY {
                Some(Due::Again)
            } else {
                // An end that was told once may have been lost by its restart.
                (!is_open && since_closed == 0).then_some(Due::Again)
            };
        }
        if subscription.channel.is_for_machines() {
            return is_news.then_some(Due::Tell(Occasion::Update));
        }
        let is_over = handling >= Handling::Decided;
        let is_withdrawn = alert.state == AlertState::Withdrawn && told.state != AlertState::Withdrawn;
        let grew = alert.severity > told.severity && alert.state == AlertState::Open && !is_over && !alert.is_snoozed(events, now);
        if is_news && (is_withdrawn || grew) {
            return Some(Due::Tell(Occasion::Update));
        }
        let escalation = subscription.escalation.as_ref()?;
        let is_forgotten = handling == Handling::New && alert.state == AlertState::Open && now - told.first_at >= escalation.after;
        (is_forgotten && !self.escalated).then_some(Due::Tell(Occasion::Escalation))
    }

    /// Whether the digest that leaves now takes it along.
    pub fn is_for_digest(&self, alert: &Alert, events: &[AlertEvent], now: Micros) -> bool {
        matches!(self.planned, Planned::Digest { at } if at <= now)
            && self.told.is_none()
            && !self.given_up
            && alert.state != AlertState::Withdrawn
            && !alert.is_snoozed(events, now)
            && events.last().is_none_or(|event| event.state < Handling::Decided)
    }

    /// After it went out.
    #[must_use]
    pub fn sent(&self, alert: &Alert, occasion: Option<Occasion>, now: Micros) -> Item {
        let first_at = self.told.map_or(now, |told| told.first_at);
        Item {
            told: Some(Told { revision: alert.revision, severity: alert.severity, state: alert.state, at: now, first_at }),
            escalated: self.escalated || occasion == Some(Occasion::Escalation),
            tries: Tries::default(),
            told_rise: Some((now.div_euclid(DAY), self.rise(alert, now))),
            ..self.clone()
        }
    }

    /// After it did not. `asked`: how long the other side wants to be left alone; `for_good`: that it never will take it.
    #[must_use]
    pub fn not_sent(&self, now: Micros, asked: Option<Micros>, for_good: bool, jitter: f64) -> Item {
        let tries = self.tries.failed(now, asked, jitter);
        Item { given_up: for_good || tries.is_hopeless(now), tries, ..self.clone() }
    }

    /// Whether nothing will ever be due again, so that it needn't be kept.
    pub fn is_over(&self, alert: &Alert, now: Micros) -> bool {
        alert.state != AlertState::Open && now - alert.window_end > 30 * DAY
    }
}

/// What was taken back before anybody heard of it is no news.
fn is_worth_telling(alert: &Alert) -> bool {
    alert.state != AlertState::Withdrawn
}

#[cfg(test)]
mod tests;
