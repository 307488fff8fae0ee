//! Outbox of one subscription: its planned alerts, its digest, heartbeat and notices, and the one
//! delivery in flight.
//!
//! Driven by [`Dispatch`](super::Dispatch). What one alert is due for is decided by its [`Item`].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use record::policy::rank;
use record::time::{DAY, SECOND};
use record::{Alert, AlertEvent, AlertFold, AlertState, Handling, Micros, Outcome, Version};

use super::head::General;
use super::item::Due;
use super::round::{self, Round};
use super::share::Share;
use super::status::Status;
use super::tries::Tries;
use super::{Change, Content, Delivery, Head, Inputs, Item, Report, recipients};
use crate::channel::SendError;
use crate::channel::alertmanager::Named;
use crate::message::{Notice, Occasion, Pulse};
use crate::plan;
use crate::subscription::{Audience, Channel, Face, Subscription, World};

/// Older alerts are not planned any more.
const PLAN_WITHIN: Micros = 7 * DAY;
/// Outcomes of earlier alerts in a message.
const HISTORY_MAX: usize = 3;

pub(super) struct Outbox {
    pub(super) subscription: Arc<Subscription>,
    head: Head,
    /// By alert.
    items: BTreeMap<String, Item>,
    /// Alerts that the subscription doesn't cover: id, revision, number of responses.
    not_covered: BTreeSet<(String, u32, usize)>,
    share: Share,
    in_flight: Option<InFlight>,
    changes: Vec<Change>,
}

struct InFlight {
    to: String,
    subject: Subject,
}

/// What the message in flight is about.
enum Subject {
    Alert { alert: Box<Alert>, occasion: Option<Occasion> },
    General { round: Round, about: About },
}

/// What is stored once the first recipient of a general message has an outcome.
enum About {
    Digest,
    Pulse {
        is_silent: bool,
    },
    /// The reported conditions.
    Notice {
        conditions: BTreeSet<String>,
    },
}

impl About {
    fn kind(&self) -> General {
        match self {
            About::Digest => General::Digest,
            About::Pulse { .. } => General::Pulse,
            About::Notice { .. } => General::Notice,
        }
    }
}

/// Messages that are due and not sent yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Waiting {
    pub count: u64,
    /// Since when the oldest of them has waited.
    pub oldest: Option<Micros>,
}

impl Waiting {
    fn add(&mut self, count: usize, since: Option<Micros>) {
        if count > 0 {
            self.count += count as u64;
            self.oldest = [self.oldest, since].into_iter().flatten().min();
        }
    }
}

impl Outbox {
    pub(super) fn new(
        subscription: Subscription,
        stored: Option<(Head, Vec<Item>)>,
        since: Version,
        now: Micros,
    ) -> Outbox {
        let mut changes = Vec::new();
        let (head, items) = stored.unwrap_or_else(|| {
            let head = Head::new(&subscription, since, now);
            changes.push(Change::Head(Box::new(head.clone())));
            (head, Vec::new())
        });
        Outbox {
            subscription: Arc::new(subscription),
            head,
            items: items.into_iter().map(|item| (item.alert.clone(), item)).collect(),
            not_covered: BTreeSet::new(),
            share: Share::default(),
            in_flight: None,
            changes,
        }
    }

    pub(super) fn replace(&mut self, subscription: Subscription, now: Micros) {
        self.head.schedule(&subscription, now);
        self.subscription = Arc::new(subscription);
        self.forget_coverage();
        self.store_head();
    }

    pub(super) fn measure_share(&mut self, world: &dyn World, status: &Status) {
        let series = status.facts.as_ref().map_or(&[][..], |facts| &facts.series);
        self.share = Share::measure(&self.subscription, world, series);
    }

    pub(super) fn forget_coverage(&mut self) {
        self.not_covered.clear();
    }

    pub(super) fn is_in_flight(&self) -> bool {
        self.in_flight.is_some()
    }

    pub(super) fn take_changes(&mut self) -> Vec<Change> {
        std::mem::take(&mut self.changes)
    }

    fn store_head(&mut self) {
        self.changes.push(Change::Head(Box::new(self.head.clone())));
    }

    fn store_item(&mut self, item: Item) {
        self.changes.push(Change::Item(Box::new(item.clone())));
        self.items.insert(item.alert.clone(), item);
    }

    pub(super) fn poll(&mut self, inputs: &Inputs<'_>) -> Option<Delivery> {
        if inputs.status.facts.is_some() {
            self.plan_alerts(inputs);
        }
        if self.is_in_flight() {
            return None;
        }
        self.drop_finished(inputs);
        let (to, subject, content) =
            self.next_alert(inputs).or_else(|| self.next_general(inputs))?;
        self.in_flight = Some(InFlight { to: to.clone(), subject });
        let subscription = Arc::clone(&self.subscription);
        Some(Delivery { subscription, to, series: self.share.series(), content })
    }

    fn covers(&self, alert: &Alert, events: &[AlertEvent], inputs: &Inputs<'_>) -> bool {
        self.subscription.covers(&self.share.scale(alert), events, inputs.world)
    }

    fn plan_alerts(&mut self, inputs: &Inputs<'_>) {
        let mut fresh = Vec::new();
        for (alert, events) in inputs.alerts.entries() {
            let is_old =
                alert.version <= self.head.since || inputs.now - alert.window_end > PLAN_WITHIN;
            if is_old || self.items.contains_key(&alert.id) {
                continue;
            }
            let state = (alert.id.clone(), alert.revision, events.len());
            if self.not_covered.contains(&state) {
                continue;
            }
            let alert = self.share.scale(alert);
            if self.subscription.covers(&alert, events, inputs.world) {
                fresh.push(alert);
            } else {
                self.not_covered.insert(state);
            }
        }
        // The rarest take the tokens where several come at once.
        fresh.sort_by(rank);
        for alert in fresh {
            let subscription = Arc::clone(&self.subscription);
            let planned = plan::plan(&subscription, &alert, &mut self.head.budget, inputs.now);
            // The item first: a kill in between costs no token, and plans nothing twice.
            self.store_item(Item::new(&alert, planned));
            self.store_head();
        }
    }

    fn drop_finished(&mut self, inputs: &Inputs<'_>) {
        let Outbox { items, changes, .. } = self;
        items.retain(|id, item| {
            let is_finished =
                inputs.alerts.get(id).is_some_and(|(alert, _)| item.is_finished(alert, inputs.now));
            if is_finished {
                changes.push(Change::Finished(id.clone()));
            }
            !is_finished
        });
    }

    /// The next message about an alert.
    fn next_alert(&mut self, inputs: &Inputs<'_>) -> Option<(String, Subject, Content)> {
        let (mut completed, mut found) = (Vec::new(), None);
        let is_mail = matches!(self.subscription.channel, Channel::Mail { .. });
        for item in self.items.values() {
            let Some((alert, events)) = inputs.alerts.get(&item.alert) else { continue };
            let Some((alert, occasion)) = self.due(item, alert, events, inputs) else { continue };
            let Some(by_mail) = occasion.filter(|_| is_mail) else {
                found = Some((String::new(), alert, events, occasion));
                break;
            };
            let round = item.round(by_mail, &alert, inputs.now);
            let to = item.recipients(&self.subscription, by_mail, inputs.now);
            if let Some(to) = round.next_recipient(&to, inputs.now) {
                found = Some((to.clone(), alert, events, occasion));
                break;
            }
            if round.is_complete(&to) {
                completed.push((item.clone(), by_mail, round, events.len()));
            }
        }
        for (item, occasion, round, responses) in completed {
            let item = item.complete_round(&self.subscription, occasion, round, inputs.now);
            self.store_item(item.record_responses(occasion, responses));
        }
        let (to, alert, events, occasion) = found?;
        let report = self.report(&alert, events, inputs)?;
        let named = self.label_alert(&alert);
        Some((
            to,
            Subject::Alert { alert: Box::new(alert), occasion },
            Content::Alert { report: Box::new(report), occasion, named },
        ))
    }

    /// The alert as it is to be sent, and why, if a message about it is due.
    fn due(
        &self,
        item: &Item,
        alert: &Alert,
        events: &[AlertEvent],
        inputs: &Inputs<'_>,
    ) -> Option<(Alert, Option<Occasion>)> {
        let subscription = &*self.subscription;
        let growth = inputs
            .status
            .growth(&alert.id, events.len())
            .filter(|_| item.may_report_growth(subscription, alert, events, inputs.now));
        let (to_send, occasion) = match growth {
            Some(growth) => (growth.applied_to(alert), Some(Occasion::Woken)),
            None => match item.due(subscription, alert, events, inputs.now)? {
                Due::Send(occasion) => (alert.clone(), Some(occasion)),
                Due::Repeat => (alert.clone(), None),
            },
        };
        // The public receives nothing more of an alert that has become too small for it, not even
        // its end.
        let is_official = subscription.audience == Audience::Official;
        let may_receive =
            (is_official && item.sent.is_some()) || self.covers(alert, events, inputs);
        may_receive.then_some((to_send, occasion))
    }

    /// The labels of the alert in Alertmanager, which stay the same, for that channel.
    fn label_alert(&mut self, alert: &Alert) -> Option<Named> {
        let Channel::Alertmanager { .. } = self.subscription.channel else { return None };
        let item = self.items.get(&alert.id)?;
        if item.named.is_none() {
            self.store_item(Item { named: Some(Named::of(alert)), ..item.clone() });
        }
        self.items.get(&alert.id)?.named.clone()
    }

    fn report(&self, alert: &Alert, events: &[AlertEvent], inputs: &Inputs<'_>) -> Option<Report> {
        let Face { alert, rise } =
            self.subscription.face(&self.share.scale(alert), events, inputs.world)?;
        let item = self.items.get(&alert.id);
        let rise = rise.map(|rise| item.map_or(rise, |item| item.rise(&alert, inputs.now)));
        // Decisions of officials are not for the public.
        let history = match self.subscription.audience {
            Audience::Public => Vec::new(),
            Audience::Official => list_outcomes(&alert, inputs.alerts),
        };
        Some(Report { alert, rise, history })
    }

    /// The next digest, heartbeat or notice.
    fn next_general(&mut self, inputs: &Inputs<'_>) -> Option<(String, Subject, Content)> {
        let has_none =
            matches!(self.subscription.channel, Channel::Feed | Channel::Alertmanager { .. });
        if has_none || inputs.now < self.head.tries.not_before {
            return None;
        }
        let to = recipients(&self.subscription, inputs.now);
        // A new message is sent before the remaining recipients of begun ones.
        let (round, about) =
            self.due_general(inputs).or_else(|| self.begun_general(&to, inputs.now))?;
        let to = round.next_recipient(&to, inputs.now)?.clone();
        let content = self.general_content(&round, &about, inputs);
        Some((to, Subject::General { round, about }, content))
    }

    /// The digest, heartbeat or notice that is due, with a new round.
    fn due_general(&mut self, inputs: &Inputs<'_>) -> Option<(Round, About)> {
        let (name, now) = (self.subscription.name.clone(), inputs.now);
        if now >= self.head.digest_at {
            let alerts = self.digest_alerts(inputs);
            if !alerts.is_empty() {
                let id = format!("{name}-digest-{}", self.head.digest_at / SECOND);
                return Some((Round { alerts, ..Round::new(id) }, About::Digest));
            }
            self.head.digest_at = plan::next_digest(&self.subscription, now);
            self.store_head();
        }
        if !self.subscription.heartbeat {
            return None;
        }
        let head = &self.head;
        if let Some(notice) = inputs.status.news(&head.degraded) {
            let conditions = match notice {
                Notice::Degraded(conditions) => {
                    conditions.into_iter().map(|(name, _)| name).collect()
                }
                Notice::Recovered | Notice::Test => BTreeSet::new(),
            };
            let round = Round::new(format!("{name}-notice-{}", now / SECOND));
            return Some((round, About::Notice { conditions }));
        }
        let is_silent =
            inputs.status.is_silent(inputs.silence_after, now).unwrap_or(head.reported_silent);
        if is_silent == head.reported_silent && now < head.heartbeat_at {
            return None;
        }
        let id = format!("{name}-pulse-{}-{}", head.heartbeat_at / SECOND, u8::from(is_silent));
        Some((Round::new(id), About::Pulse { is_silent }))
    }

    /// Ids of the alerts in the digest that leaves now, the rarest first.
    fn digest_alerts(&self, inputs: &Inputs<'_>) -> Vec<String> {
        let mut alerts: Vec<&Alert> = self
            .items
            .values()
            .filter_map(|item| {
                let (alert, events) = inputs.alerts.get(&item.alert)?;
                let is_due = item.is_for_digest(alert, events, inputs.now)
                    && self.covers(alert, events, inputs);
                is_due.then_some(alert)
            })
            .collect();
        alerts.sort_by(|one, other| rank(one, other));
        alerts.into_iter().map(|alert| alert.id.clone()).collect()
    }

    /// A begun digest, heartbeat or notice with remaining recipients.
    fn begun_general(&self, to: &[String], now: Micros) -> Option<(Round, About)> {
        let head = &self.head;
        let begun = [
            About::Digest,
            About::Pulse { is_silent: head.reported_silent },
            About::Notice { conditions: head.degraded.clone() },
        ];
        begun.into_iter().find_map(|about| {
            let round = head.rounds.get(&about.kind())?;
            let is_open = !round.is_over && round.has_begun();
            (is_open && round.next_recipient(to, now).is_some()).then(|| (round.clone(), about))
        })
    }

    fn general_content(&self, round: &Round, about: &About, inputs: &Inputs<'_>) -> Content {
        let id = round.id.clone();
        match about {
            About::Digest => {
                let reports = round.alerts.iter().filter_map(|id| {
                    let (alert, events) = inputs.alerts.get(id)?;
                    let is_covered = self.covers(alert, events, inputs);
                    is_covered.then(|| self.report(alert, events, inputs)).flatten()
                });
                Content::Digest { id, reports: reports.collect() }
            }
            About::Pulse { is_silent } => {
                Content::Pulse { id, pulse: self.measure_pulse(*is_silent, inputs) }
            }
            About::Notice { conditions } if conditions.is_empty() => {
                Content::Notice { id, notice: Notice::Recovered }
            }
            About::Notice { conditions } => {
                let conditions = conditions.iter().map(|name| {
                    let detail = inputs.status.lasting.get(name);
                    (name.clone(), detail.cloned().unwrap_or_default())
                });
                Content::Notice { id, notice: Notice::Degraded(conditions.collect()) }
            }
        }
    }

    fn measure_pulse(&self, is_silent: bool, inputs: &Inputs<'_>) -> Pulse {
        let (mut alerts, mut unacknowledged) = (0, 0);
        for (alert, events) in inputs.alerts.entries() {
            let has_fired = alert.fired_at >= inputs.now - DAY;
            let is_new = events.last().is_none_or(|event| event.state == Handling::New);
            let is_open = alert.state == AlertState::Open && is_new;
            if (has_fired || is_open) && self.covers(alert, events, inputs) {
                alerts += u32::from(has_fired);
                unacknowledged += u32::from(is_open);
            }
        }
        let facts = inputs.status.facts.as_ref();
        Pulse {
            seen: facts.and_then(|facts| facts.seen),
            alerts,
            unacknowledged,
            latest: facts.and_then(|facts| facts.latest).map(|(latest, _)| latest),
            is_silent,
        }
    }

    /// Takes the outcome of the delivery in flight; returns the alert whose message was given up.
    pub(super) fn settle(
        &mut self,
        result: &Result<(), SendError>,
        alerts: &AlertFold,
        now: Micros,
        jitter: f64,
    ) -> Option<String> {
        let InFlight { to, subject } = self.in_flight.take()?;
        if self.head.record_outcome(&to, result, now) {
            self.store_head();
        }
        let outcome = Settlement { to, result, now, jitter };
        match subject {
            Subject::Alert { alert, occasion } => {
                let responses = alerts.get(&alert.id).map_or(0, |(_, events)| events.len());
                self.settle_alert(&alert, occasion, responses, &outcome)
            }
            Subject::General { round, about } => {
                self.settle_general(round, &about, alerts, &outcome);
                None
            }
        }
    }

    fn settle_alert(
        &mut self,
        alert: &Alert,
        occasion: Option<Occasion>,
        responses: usize,
        outcome: &Settlement<'_>,
    ) -> Option<String> {
        let Settlement { to, result, now, jitter } = outcome;
        let item = self.items.get(&alert.id)?.clone();
        let was_given_up = item.given_up;
        let is_mail = matches!(self.subscription.channel, Channel::Mail { .. });
        let item = match (occasion.filter(|_| is_mail), result) {
            (Some(occasion), result) => {
                let (about, copy) = ((alert, occasion), (to.as_str(), *result));
                let item = item.record_mail(&self.subscription, about, copy, *now, *jitter);
                let is_over = item.rounds.get(&occasion).is_some_and(|round| round.is_over);
                if is_over { item.record_responses(occasion, responses) } else { item }
            }
            (None, Ok(())) => item
                .record_sent(alert, occasion, *now)
                .record_responses(occasion.unwrap_or(Occasion::New), responses),
            (None, Err(error)) => item.record_failure(*now, error, *jitter),
        };
        let given_up = (item.given_up && !was_given_up).then(|| item.alert.clone());
        self.store_item(item);
        given_up
    }

    fn settle_general(
        &mut self,
        mut round: Round,
        about: &About,
        alerts: &AlertFold,
        outcome: &Settlement<'_>,
    ) {
        let Settlement { to, result, now, jitter } = outcome;
        let all = recipients(&self.subscription, *now);
        let had_begun = round.has_begun();
        let tries = std::mem::take(&mut self.head.tries);
        match result {
            Err(error) if round::is_of_server(result) => {
                let tries: Tries = tries.record_failure(*now, error, *jitter);
                if tries.is_hopeless(*now) || matches!(error, SendError::Never { .. }) {
                    round.give_up(&all, 0);
                } else {
                    self.head.tries = tries;
                }
            }
            _ => round.record_outcome(to, 0, result, *now, *jitter),
        }
        round.is_over = round.is_complete(&all);
        let mut digested = Vec::new();
        // The first outcome ends its turn: recipients who are tried again delay no later message.
        if round.has_begun() && !had_begun {
            match about {
                About::Digest => {
                    self.head.digest_at = plan::next_digest(&self.subscription, *now);
                    digested.clone_from(&round.alerts);
                }
                About::Pulse { is_silent } => {
                    self.head.reported_silent = *is_silent;
                    let Subscription { zone, digest_at, .. } = &*self.subscription;
                    self.head.heartbeat_at = zone.next(*now, *digest_at, None);
                }
                About::Notice { conditions } => self.head.degraded.clone_from(conditions),
            }
        }
        if round.has_begun() {
            self.head.rounds.insert(about.kind(), round);
        }
        self.store_head();
        for id in digested {
            if let (Some((alert, _)), Some(item)) = (alerts.get(&id), self.items.get(&id)) {
                self.store_item(item.record_sent(alert, Some(Occasion::New), *now));
            }
        }
    }

    pub(super) fn count_waiting(&self, now: Micros, waiting: &mut Waiting) {
        for item in self.items.values() {
            for (occasion, round) in item.rounds.iter().filter(|(_, round)| !round.is_over) {
                let count =
                    round.count_waiting(&item.recipients(&self.subscription, *occasion, now));
                waiting.add(count, round.began.map(|began| began.at));
            }
            let has_failed =
                item.tries.failed > 0 && item.rounds.values().all(|round| round.is_over);
            waiting.add(usize::from(has_failed), item.tries.first_failed_at);
        }
        let to = recipients(&self.subscription, now);
        let count = self.head.rounds.values().map(|round| round.count_waiting(&to)).sum();
        waiting.add(count, self.head.failing.as_ref().map(|failing| failing.since));
    }

    /// Why recipients get no messages, if some don't.
    pub(super) fn trouble(&self) -> Option<String> {
        match (&self.head.failing, self.head.refused.len()) {
            (Some(failing), _) => {
                Some(format!("messages fail since {}", record::time::display(failing.since)))
            }
            (None, 0) => None,
            (None, refused) => Some(format!("{refused} of its recipients refused")),
        }
    }
}

/// Outcome of the delivery in flight.
struct Settlement<'a> {
    to: String,
    result: &'a Result<(), SendError>,
    now: Micros,
    jitter: f64,
}

/// Outcomes of the last alerts of this topic in this country, latest first.
fn list_outcomes(alert: &Alert, alerts: &AlertFold) -> Vec<Outcome> {
    fn country(region: &str) -> &str {
        region.split('-').next().unwrap_or(region)
    }
    let mut past: Vec<(Micros, Outcome)> = alerts
        .entries()
        .filter(|(other, _)| {
            other.id != alert.id
                && other.topic == alert.topic
                && country(&other.region) == country(&alert.region)
        })
        .filter_map(|(other, events)| Some((other.fired_at, events.last()?.outcome?)))
        .collect();
    past.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
    past.into_iter().map(|(_, outcome)| outcome).take(HISTORY_MAX).collect()
}
