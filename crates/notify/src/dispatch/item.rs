//! Item of an outbox: one alert for one subscription, with what is planned and what was sent.
//!
//! Plain data, stored under one key for each item. A message has the same id over all tries and
//! restarts. After a kill between sending and storing it may arrive twice; it is never lost, short
//! of [`GIVE_UP_AFTER`](super::tries::GIVE_UP_AFTER). A mail has an outcome for each recipient
//! ([`Round`]); other channels have one for each message.

use std::collections::BTreeMap;

use record::public::Rise;
use record::time::DAY;
use record::{Alert, AlertEvent, AlertState, Handling, Micros};
use serde::{Deserialize, Serialize};

use super::round::{self, CopyOutcome, Round, SentRevision};
use super::tries::Tries;
use crate::channel::SendError;
use crate::channel::alertmanager::{self, Named};
use crate::message::Occasion;
use crate::plan::{self, Planned};
use crate::subscription::{Audience, Channel, Subscription};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Item {
    pub alert: String,
    pub planned: Planned,
    #[serde(rename = "told")]
    pub sent: Option<SentRevision>,
    pub escalated: bool,
    pub tries: Tries,
    /// Its labels in Alertmanager.
    pub named: Option<Named>,
    /// Whether it was given up after days of tries.
    pub given_up: bool,
    /// Number of responses when a change was last sent.
    #[serde(default)]
    pub updated_after: Option<usize>,
    /// The level sent to the public, and the UTC day (since 1970-01-01) of it: the level stays the
    /// same on that day.
    #[serde(default, rename = "told_rise")]
    pub sent_rise: Option<(i64, Rise)>,
    /// Mails, with an outcome for each recipient.
    #[serde(default)]
    pub rounds: BTreeMap<Occasion, Round>,
}

/// The message that is due about an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    Send(Occasion),
    /// To Alertmanager once more, without a change.
    Repeat,
}

impl Item {
    pub fn new(alert: &Alert, planned: Planned) -> Item {
        Item {
            alert: alert.id.clone(),
            planned,
            sent: None,
            escalated: false,
            tries: Tries::default(),
            named: None,
            given_up: false,
            updated_after: None,
            sent_rise: None,
            rounds: BTreeMap::new(),
        }
    }

    /// The level of the alert for the public now: one a UTC day, so that its steps can't be timed.
    pub fn rise(&self, alert: &Alert, now: Micros) -> Rise {
        self.sent_rise
            .filter(|(day, _)| *day == now.div_euclid(DAY))
            .map_or(Rise::of(alert), |(_, rise)| rise)
    }

    /// Whether a revision is news to the public: its state changed, or its level on a later day.
    fn is_public_news(&self, sent: SentRevision, alert: &Alert, now: Micros) -> bool {
        alert.state != sent.state
            || self.sent_rise.is_none_or(|(_, rise)| rise != self.rise(alert, now))
    }

    /// Whether a message that the alert has outgrown its snooze may be sent: once for each snooze.
    pub fn may_report_growth(
        &self,
        subscription: &Subscription,
        alert: &Alert,
        events: &[AlertEvent],
        now: Micros,
    ) -> bool {
        let is_asleep = events
            .last()
            .is_some_and(|event| event.snooze.is_some_and(|snooze| now < snooze.until));
        is_asleep && self.may_send_wakeup(subscription, alert, events, now)
    }

    /// Whether a snooze has expired while the alert is open and undecided. A snooze that was ended
    /// by hand is not reported.
    fn is_snooze_over(
        &self,
        subscription: &Subscription,
        alert: &Alert,
        events: &[AlertEvent],
        now: Micros,
    ) -> bool {
        let Some(event) = events.last() else { return false };
        let has_expired = event.snooze.is_some_and(|snooze| {
            snooze.until > event.at && (snooze.until..snooze.until + DAY).contains(&now)
        });
        has_expired
            && event.state < Handling::Decided
            && self.may_send_wakeup(subscription, alert, events, now)
    }

    fn may_send_wakeup(
        &self,
        subscription: &Subscription,
        alert: &Alert,
        events: &[AlertEvent],
        now: Micros,
    ) -> bool {
        let is_sent = self.updated_after == Some(events.len());
        let may = !self.given_up
            && now >= self.tries.not_before
            && !subscription.channel.is_for_machines();
        // Decisions of officials are not for the public.
        let is_public = subscription.audience == Audience::Public;
        may && !is_public && !is_sent && self.sent.is_some() && alert.state == AlertState::Open
    }

    /// What is due now, except for digests.
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
            return self.mail_due(subscription, alert, events, now).map(Due::Send);
        }
        if self.given_up {
            return None;
        }
        let Some(sent) = self.sent else {
            // Machines receive no digests.
            let is_due = match self.planned {
                Planned::AtOnce { from } => now >= from && !alert.is_snoozed(events, now),
                Planned::Digest { .. } => subscription.channel.is_for_machines(),
            };
            return (is_due && is_worth_sending(alert)).then_some(Due::Send(Occasion::New));
        };
        let is_public = subscription.audience == Audience::Public;
        let is_news =
            alert.revision > sent.revision && (!is_public || self.is_public_news(sent, alert, now));
        if let Channel::Alertmanager { .. } = subscription.channel {
            let is_open = alert.state == AlertState::Open;
            let since_closed = if sent.state == AlertState::Open { 0 } else { now - sent.at };
            return if is_news {
                Some(Due::Send(Occasion::Update))
            } else if is_open && now - sent.at >= alertmanager::AGAIN_EVERY {
                Some(Due::Repeat)
            } else {
                // Alertmanager may have lost by a restart an end that was sent once.
                (!is_open && since_closed == 0).then_some(Due::Repeat)
            };
        }
        if subscription.channel.is_for_machines() {
            return is_news.then_some(Due::Send(Occasion::Update));
        }
        self.news(subscription, alert, events, sent, now).map(Due::Send)
    }

    /// What people receive after the first message.
    fn news(
        &self,
        subscription: &Subscription,
        alert: &Alert,
        events: &[AlertEvent],
        sent: SentRevision,
        now: Micros,
    ) -> Option<Occasion> {
        let is_over = events.last().is_some_and(|event| event.state >= Handling::Decided);
        let is_withdrawn =
            alert.state == AlertState::Withdrawn && sent.state != AlertState::Withdrawn;
        let grew = alert.severity > sent.severity
            && alert.state == AlertState::Open
            && !is_over
            && !alert.is_snoozed(events, now);
        if alert.revision > sent.revision && (is_withdrawn || grew) {
            return Some(Occasion::Update);
        }
        if self.is_snooze_over(subscription, alert, events, now) {
            return Some(Occasion::Woken);
        }
        self.is_overdue(subscription, alert, events, now).then_some(Occasion::Escalation)
    }

    /// Whether nobody has acknowledged it in time, and no deputy was notified.
    fn is_overdue(
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

    /// What is due by mail: first the remaining recipients of begun mails, then a new mail. A
    /// recipient who is refused or deferred delays neither the others nor the escalation.
    fn mail_due(
        &self,
        subscription: &Subscription,
        alert: &Alert,
        events: &[AlertEvent],
        now: Micros,
    ) -> Option<Occasion> {
        for (occasion, round) in self.rounds.iter().filter(|(_, round)| !round.is_over) {
            let to = self.recipients(subscription, *occasion, now);
            let is_wanted = *occasion != Occasion::New || is_worth_sending(alert);
            if is_wanted && (round.next_recipient(&to, now).is_some() || round.is_complete(&to)) {
                return Some(*occasion);
            }
        }
        let is_open = |occasion| self.rounds.get(&occasion).is_some_and(|round| !round.is_over);
        let sent = self.sent.or_else(|| {
            self.rounds.get(&Occasion::New).filter(|round| round.count_accepted() > 0)?.began
        });
        let due = match sent {
            Some(sent) => self.news(subscription, alert, events, sent, now),
            None => {
                let is_due = matches!(self.planned, Planned::AtOnce { from } if now >= from)
                    && !alert.is_snoozed(events, now);
                let is_new =
                    is_due && is_worth_sending(alert) && !self.given_up && !is_open(Occasion::New);
                let overdue = || {
                    self.is_overdue(subscription, alert, events, now)
                        .then_some(Occasion::Escalation)
                };
                is_new.then_some(Occasion::New).or_else(overdue)
            }
        };
        due.filter(|occasion| !is_open(*occasion))
    }

    /// Recipients of a mail now. An update goes only to those who received the first mail.
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

    /// The begun round of this occasion, or a new one without those who received this revision
    /// already, by a late first mail.
    pub fn round(&self, occasion: Occasion, alert: &Alert, now: Micros) -> Round {
        if let Some(round) = self.rounds.get(&occasion).filter(|round| !round.is_over) {
            return round.clone();
        }
        let mut round =
            Round { began: Some(SentRevision::new(alert, now)), ..Round::new(occasion.name()) };
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

    /// After the mail to one recipient has an outcome; a failure of the server delays all of them.
    #[must_use]
    pub fn record_mail(
        &self,
        subscription: &Subscription,
        (alert, occasion): (&Alert, Occasion),
        (address, result): (&str, &Result<(), SendError>),
        now: Micros,
        jitter: f64,
    ) -> Item {
        let mut round = self.round(occasion, alert, now);
        let mut tries = Tries::default();
        match result {
            Err(error) if round::is_of_server(result) => {
                tries = self.tries.record_failure(now, error, jitter);
                if tries.is_hopeless(now) || matches!(error, SendError::Never { .. }) {
                    round.give_up(&self.recipients(subscription, occasion, now), alert.revision);
                }
            }
            _ => round.record_outcome(address, alert.revision, result, now, jitter),
        }
        Item { tries, ..self.clone() }.complete_round(subscription, occasion, round, now)
    }

    /// With this round, which is over if every recipient has an outcome.
    #[must_use]
    pub fn complete_round(
        mut self,
        subscription: &Subscription,
        occasion: Occasion,
        mut round: Round,
        now: Micros,
    ) -> Item {
        round.is_over = round.is_complete(&self.recipients(subscription, occasion, now));
        if round.is_over {
            self.tries = Tries::default();
            if occasion == Occasion::Escalation {
                self.escalated = true;
            } else {
                // A later change is sent, also where nobody accepted the first mail.
                let first_at = self.sent.map_or(now, |sent| sent.first_at);
                self.sent = round.began.map(|began| SentRevision { at: now, first_at, ..began });
                self.given_up =
                    round.count_accepted() == 0 && (occasion == Occasion::New || self.given_up);
            }
        }
        self.rounds.insert(occasion, round);
        self
    }

    /// Whether the digest that leaves now contains it.
    pub fn is_for_digest(&self, alert: &Alert, events: &[AlertEvent], now: Micros) -> bool {
        matches!(self.planned, Planned::Digest { at } if at <= now)
            && self.sent.is_none()
            && !self.given_up
            && alert.state != AlertState::Withdrawn
            && !alert.is_snoozed(events, now)
            && events.last().is_none_or(|event| event.state < Handling::Decided)
    }

    /// After the message was sent, by a channel with one recipient.
    #[must_use]
    pub fn record_sent(&self, alert: &Alert, occasion: Option<Occasion>, now: Micros) -> Item {
        let first_at = self.sent.map_or(now, |sent| sent.first_at);
        Item {
            sent: Some(SentRevision { first_at, ..SentRevision::new(alert, now) }),
            escalated: self.escalated || occasion == Some(Occasion::Escalation),
            tries: Tries::default(),
            sent_rise: Some((now.div_euclid(DAY), self.rise(alert, now))),
            ..self.clone()
        }
    }

    /// After a try by a channel with one recipient failed.
    #[must_use]
    pub fn record_failure(&self, now: Micros, error: &SendError, jitter: f64) -> Item {
        let tries = self.tries.record_failure(now, error, jitter);
        let given_up = tries.is_hopeless(now) || matches!(error, SendError::Never { .. });
        Item { given_up, tries, ..self.clone() }
    }

    /// With the responses that a message of changes has reported: `responses` in number.
    #[must_use]
    pub fn record_responses(self, occasion: Occasion, responses: usize) -> Item {
        match occasion {
            Occasion::Update | Occasion::Woken => Item { updated_after: Some(responses), ..self },
            Occasion::New | Occasion::Escalation => self,
        }
    }

    /// Whether nothing will be due any more, so that it needn't be stored.
    pub fn is_finished(&self, alert: &Alert, now: Micros) -> bool {
        alert.state != AlertState::Open && now - alert.window_end > 30 * DAY
    }
}

/// An alert that was withdrawn before its first message is not sent.
fn is_worth_sending(alert: &Alert) -> bool {
    alert.state != AlertState::Withdrawn
}

#[cfg(test)]
mod tests;
