//! What is owed to subscribers, and what was tried: plain data, so that whoever keeps it loses
//! nothing by a restart.
//!
//! A message keeps its id over all tries and restarts. It may arrive twice, after a kill between
//! sending and noting; it is never lost,
//! short of [`GIVE_UP_AFTER`]. A mail has an outcome for each recipient ([`Round`]); other channels
//! have one for each message.

use std::collections::{BTreeMap, BTreeSet};

use record::public::Rise;
use record::time::{DAY, HOUR, SECOND};
use record::{Alert, AlertEvent, AlertState, Handling, Micros, Version};
use serde::{Deserialize, Serialize};

use crate::channel::SendError;
use crate::channel::alertmanager::{self, Named};
use crate::message::Occasion;
use crate::plan::{self, Budget, Planned};
use crate::rounds::{self, CopyOutcome, Round};
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
    /// Of digests, heartbeats and notices, as far as the other side failed.
    pub tries: Tries,
    /// Digest, heartbeat and notice that are on their way, or were last.
    #[serde(default)]
    pub rounds: BTreeMap<Other, Round>,
    /// Conditions of which it was notified, and that have not ended since.
    #[serde(default)]
    pub degraded: BTreeSet<String>,
    /// Addresses that were refused last, and by which reply.
    #[serde(default)]
    pub refused: BTreeMap<String, Refusal>,
    /// Why nothing goes out at present.
    #[serde(default)]
    pub failing: Option<Failing>,
}

/// A message of a subscription that is about no single alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Other {
    Digest,
    Pulse,
    Notice,
}

/// What a mail server replied to a recipient.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    pub code: u16,
    pub why: String,
    pub at: Micros,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failing {
    pub why: String,
    pub since: Micros,
}

impl Head {
    /// Of a subscription that hears of alerts after `since`.
    pub fn new(subscription: &Subscription, since: Version, now: Micros) -> Head {
        Head {
            since,
            budget: Budget::new(subscription.a_week, now),
            digest_at: plan::next_digest(subscription, now),
            heartbeat_at: subscription.zone.next(now, subscription.digest_at, None),
            told_silent: false,
            tries: Tries::default(),
            rounds: BTreeMap::new(),
            degraded: BTreeSet::new(),
            refused: BTreeMap::new(),
            failing: None,
        }
    }

    /// What the other side did last, to be shown; whether it has changed. `to`: the recipient, of
    /// mails.
    pub fn note(&mut self, to: Option<&str>, result: &Result<(), SendError>, now: Micros) -> bool {
        let before = (self.refused.clone(), self.failing.clone());
        match (result, to) {
            (Ok(()), to) => {
                self.failing = None;
                to.map(|to| self.refused.remove(to));
            }
            (Err(SendError::Refused { code, why }), Some(to)) => {
                self.failing = None;
                self.refused
                    .insert(to.to_owned(), Refusal { code: *code, why: why.clone(), at: now });
            }
            (Err(error), _) => {
                let since = self.failing.as_ref().map_or(now, |failing| failing.since);
                self.failing = Some(Failing { why: error.to_string(), since });
            }
        }
        before != (self.refused.clone(), self.failing.clone())
    }
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
    /// The level that the public was told, and the UTC day (since 1970-01-01) on which it was: it
    /// stays for that day.
    #[serde(default)]
    pub told_rise: Option<(i64, Rise)>,
    /// Mails, with an outcome for each recipient.
    #[serde(default)]
    pub rounds: BTreeMap<Occasion, Round>,
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

impl Told {
    fn of(alert: &Alert, now: Micros) -> Told {
        Told {
            revision: alert.revision,
            severity: alert.severity,
            state: alert.state,
            at: now,
            first_at: now,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Tries {
    pub failed: u32,
    pub first_failed_at: Option<Micros>,
    pub not_before: Micros,
}

impl Tries {
    /// After a failure: waits 5 s, 10 s, 20 s … 3 h, each stretched by up to a fifth (`jitter`, 0
    /// to 1), not less than the other asks.
    pub fn failed(self, now: Micros, asked: Option<Micros>, jitter: f64) -> Tries {
        let doubled = FIRST_WAIT.saturating_mul(1 << self.failed.min(20)).min(LONGEST_WAIT);
        let stretched = doubled + (doubled as f64 * 0.2 * jitter.clamp(0.0, 1.0)) as Micros;
        let wait = stretched.max(asked.unwrap_or(0).min(DAY));
        Tries {
            failed: self.failed.saturating_add(1),
            first_failed_at: self.first_failed_at.or(Some(now)),
            not_before: now + wait,
        }
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
            rounds: BTreeMap::new(),
        }
    }

    /// The level that the public is told of the alert now: one a UTC day, so that its steps can't
    /// be timed.
    pub fn rise(&self, alert: &Alert, now: Micros) -> Rise {
        self.told_rise
            .filter(|(day, _)| *day == now.div_euclid(DAY))
            .map_or(Rise::of(alert), |(_, rise)| rise)
    }

    /// Whether a revision is news to the public: its state changed, or its level did and the day is
    /// another one.
    fn is_public_news(&self, told: Told, alert: &Alert, now: Micros) -> bool {
        alert.state != told.state
            || self.told_rise.is_none_or(|(_, rise)| rise != self.rise(alert, now))
    }

    /// Whether people who snoozed it, and to whom it has grown too large since, are still to be
    /// told so.
    pub fn wakes(
        &self,
        subscription: &Subscription,
        alert: &Alert,
        events: &[AlertEvent],
        now: Micros,
    ) -> bool {
        let is_asleep = events
            .last()
            .is_some_and(|event| event.snooze.is_some_and(|snooze| now < snooze.until));
        is_asleep && self.may_wake(subscription, alert, events, now)
    }

    /// Whether a snooze has run out, and the alert is still open and undecided. One that was ended
    /// by hand is known to people.
    fn is_back(
        &self,
        subscription: &Subscription,
        alert: &Alert,
        events: &[AlertEvent],
        now: Micros,
    ) -> bool {
        let Some(event) = events.last() else { return false };
        let has_run_out = event.snooze.is_some_and(|snooze| {
            snooze.until > event.at && (snooze.until..snooze.until + DAY).contains(&now)
        });
        has_run_out
            && event.state < Handling::Decided
            && self.may_wake(subscription, alert, events, now)
    }

    fn may_wake(
        &self,
        subscription: &Subscription,
        alert: &Alert,
        events: &[AlertEvent],
        now: Micros,
    ) -> bool {
        let is_told = self.updated_after == Some(events.len());
        let may = !self.given_up
            && now >= self.tries.not_before
            && !subscription.channel.is_for_machines();
        // What officials decided is theirs.
        let is_public = subscription.audience == Audience::Public;
        may && !is_public && !is_told && self.told.is_some() && alert.state == AlertState::Open
    }

    /// What is due now, if anything but the digest.
    pub fn due(
        &self,
        subscription: &Subscription,
        alert: &Alert,
        events: &[AlertEvent],
        now: Micros,
    ) -> Option<Due> {
        if now < self.tries.not_before {
            return None;
        }
        if let Channel::Mail { .. } = subscription.channel {
            return self.mail_due(subscription, alert, events, now).map(Due::Tell);
        }
        if self.given_up {
            return None;
        }
        let Some(told) = self.told else {
            // Machines have no use for digests.
            let is_due = match self.planned {
                Planned::AtOnce { from } => now >= from && !alert.is_snoozed(events, now),
                Planned::Digest { .. } => subscription.channel.is_for_machines(),
            };
            return (is_due && is_worth_telling(alert)).then_some(Due::Tell(Occasion::New));
        };
        let is_public = subscription.audience == Audience::Public;
        let is_news =
            alert.revision > told.revision && (!is_public || self.is_public_news(told, alert, now));
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
        self.news(subscription, alert, events, told, now).map(Due::Tell)
    }

    /// What people are told after the first message.
    fn news(
        &self,
        subscription: &Subscription,
        alert: &Alert,
        events: &[AlertEvent],
        told: Told,
        now: Micros,
    ) -> Option<Occasion> {
        let is_over = events.last().is_some_and(|event| event.state >= Handling::Decided);
        let is_withdrawn =
            alert.state == AlertState::Withdrawn && told.state != AlertState::Withdrawn;
        let grew = alert.severity > told.severity
            && alert.state == AlertState::Open
            && !is_over
            && !alert.is_snoozed(events, now);
        if alert.revision > told.revision && (is_withdrawn || grew) {
            return Some(Occasion::Update);
        }
        if self.is_back(subscription, alert, events, now) {
            return Some(Occasion::Woken);
        }
        self.is_forgotten(subscription, alert, events, now).then_some(Occasion::Escalation)
    }

    /// Whether nobody has acknowledged it in time, and no deputy was told so.
    fn is_forgotten(
        &self,
        subscription: &Subscription,
        alert: &Alert,
        events: &[AlertEvent],
        now: Micros,
    ) -> bool {
        let Some(escalation) = &subscription.escalation else { return false };
        let is_new = events.last().is_none_or(|event| event.state == Handling::New);
        let is_late =
            now - plan::escalates_from(subscription, alert, self.planned) >= escalation.after;
        is_new
            && is_late
            && !self.escalated
            && alert.state == AlertState::Open
            && !alert.is_snoozed(events, now)
    }

    /// What is due by mail: mails that are on their way to some recipients go on, then what is new.
    /// A recipient that is refused, or is
    /// to be tried later, holds up neither the others nor the escalation.
    fn mail_due(
        &self,
        subscription: &Subscription,
        alert: &Alert,
        events: &[AlertEvent],
        now: Micros,
    ) -> Option<Occasion> {
        for (occasion, round) in self.rounds.iter().filter(|(_, round)| !round.is_over) {
            let to = self.recipients(subscription, *occasion, now);
            let is_wanted = *occasion != Occasion::New || is_worth_telling(alert);
            if is_wanted && (round.next(&to, now).is_some() || round.is_complete(&to)) {
                return Some(*occasion);
            }
        }
        let is_open = |occasion| self.rounds.get(&occasion).is_some_and(|round| !round.is_over);
        let told = self.told.or_else(|| {
            self.rounds.get(&Occasion::New).filter(|round| round.accepted() > 0)?.began
        });
        let due = match told {
            Some(told) => self.news(subscription, alert, events, told, now),
            None => {
                let is_due = matches!(self.planned, Planned::AtOnce { from } if now >= from)
                    && !alert.is_snoozed(events, now);
                let is_new =
                    is_due && is_worth_telling(alert) && !self.given_up && !is_open(Occasion::New);
                let forgotten = || {
                    self.is_forgotten(subscription, alert, events, now)
                        .then_some(Occasion::Escalation)
                };
                is_new.then_some(Occasion::New).or_else(forgotten)
            }
        };
        due.filter(|occasion| !is_open(*occasion))
    }

    /// Whom a mail goes to now. What is taken back goes to those only who have heard of it.
    pub fn recipients(
        &self,
        subscription: &Subscription,
        occasion: Occasion,
        now: Micros,
    ) -> Vec<String> {
        let mut to = subscription.recipients(occasion, now);
        if let (Occasion::Update, Some(first)) =
            (occasion, self.rounds.get(&Occasion::New).filter(|round| !round.is_over))
        {
            to.retain(|address| {
                first.copies.get(address).is_some_and(|copy| copy.outcome == CopyOutcome::Accepted)
            });
        }
        to
    }

    /// The mails of this occasion: those on their way, or new ones. Who got this revision already,
    /// by a late first mail, has it.
    pub fn round(&self, occasion: Occasion, alert: &Alert, now: Micros) -> Round {
        if let Some(round) = self.rounds.get(&occasion).filter(|round| !round.is_over) {
            return round.clone();
        }
        let mut round = Round { began: Some(Told::of(alert, now)), ..Round::new(occasion.name()) };
        if occasion == Occasion::Update {
            for (address, copy) in [Occasion::New, Occasion::Update]
                .iter()
                .filter_map(|before| self.rounds.get(before))
                .flat_map(|round| &round.copies)
            {
                if copy.outcome == CopyOutcome::Accepted && copy.revision >= alert.revision {
                    round.copies.insert(address.clone(), copy.clone());
                }
            }
        }
        round
    }

    /// Notes what became of the mail to one recipient; a failure of the server holds up all of
    /// them.
    #[must_use]
    pub fn mailed(
        &self,
        subscription: &Subscription,
        (alert, occasion): (&Alert, Occasion),
        (address, result): (&str, &Result<(), SendError>),
        now: Micros,
        jitter: f64,
    ) -> Item {
        let mut round = self.round(occasion, alert, now);
        let mut tries = Tries::default();
        if rounds::is_of_server(result) {
            let asked = if let Err(SendError::Later { after: Some(after), .. }) = result {
                Micros::try_from(after.as_micros()).ok()
            } else {
                None
            };
            tries = self.tries.failed(now, asked, jitter);
            if tries.is_hopeless(now) || matches!(result, Err(SendError::Never { .. })) {
                round.give_up(&self.recipients(subscription, occasion, now), alert.revision);
            }
        } else {
            round.note(address, alert.revision, result, now, jitter);
        }
        let item =
            Item { tries, rounds: self.rounds.clone(), ..self.clone() }.with(occasion, round);
        item.completed(subscription, occasion, now)
    }

    fn with(mut self, occasion: Occasion, round: Round) -> Item {
        self.rounds.insert(occasion, round);
        self
    }

    /// The item after a round in which every recipient has an outcome; as it was where some have
    /// none.
    #[must_use]
    pub fn completed(&self, subscription: &Subscription, occasion: Occasion, now: Micros) -> Item {
        let to = self.recipients(subscription, occasion, now);
        let Some(round) = self.rounds.get(&occasion).filter(|round| round.is_complete(&to)) else {
            return self.clone();
        };
        let has_arrived = round.accepted() > 0;
        let mut item = self.clone().with(occasion, Round { is_over: true, ..round.clone() });
        item.tries = Tries::default();
        if occasion == Occasion::Escalation {
            item.escalated = true;
            return item;
        }
        // A later change is tried again, also where nobody took the first mail.
        item.told = round.began.map(|began| Told {
            at: now,
            first_at: self.told.map_or(now, |told| told.first_at),
            ..began
        });
        item.given_up = !has_arrived && (occasion == Occasion::New || self.given_up);
        item
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
            told: Some(Told { first_at, ..Told::of(alert, now) }),
            escalated: self.escalated || occasion == Some(Occasion::Escalation),
            tries: Tries::default(),
            told_rise: Some((now.div_euclid(DAY), self.rise(alert, now))),
            ..self.clone()
        }
    }

    /// After it did not. `asked`: how long the other side wants to be left alone; `for_good`: that
    /// it never will take it.
    #[must_use]
    pub fn not_sent(
        &self,
        now: Micros,
        asked: Option<Micros>,
        for_good: bool,
        jitter: f64,
    ) -> Item {
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
