use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use record::time::{DAY, HOUR, MINUTE, WEEK};
use record::{AlertEvent, AlertState, Handling};

use super::*;
use crate::plan::BURST;
use crate::sample::{Europe, TUESDAY, fever, subscription};

type Stored = BTreeMap<String, (Option<Head>, BTreeMap<String, Item>)>;

/// Drives dispatch without a thread: stores its changes as JSON and restarts it from them.
struct Driver {
    subscriptions: Vec<Subscription>,
    alerts: AlertFold,
    dispatch: Dispatch<'static>,
    stored: Stored,
    now: Micros,
}

impl Driver {
    fn new(subscriptions: Vec<Subscription>) -> Driver {
        let dispatch = Dispatch::new(&Europe, 2 * HOUR);
        let (alerts, stored) = (AlertFold::default(), Stored::new());
        let mut driver = Driver { subscriptions, alerts, dispatch, stored, now: TUESDAY };
        driver.restart();
        driver
    }

    /// Starts again with what is stored; the delivery in flight has no outcome.
    fn restart(&mut self) {
        self.dispatch = Dispatch::new(&Europe, 2 * HOUR);
        for subscription in self.subscriptions.clone() {
            let stored = self.stored.get(&subscription.name).cloned().map(|(head, items)| {
                (head.expect("stored before its items"), items.into_values().collect())
            });
            self.dispatch.subscribe(subscription, stored, Version(0), self.now);
        }
        self.dispatch.learn(Arc::default());
        self.store();
    }

    fn store(&mut self) {
        for (name, change) in self.dispatch.take_changes() {
            let (head, items) = self.stored.entry(name).or_default();
            match change {
                Change::Head(new) => {
                    let json = serde_json::to_string(&new).unwrap();
                    *head = Some(serde_json::from_str(&json).unwrap());
                }
                Change::Item(item) => {
                    let json = serde_json::to_string(&item).unwrap();
                    items.insert(item.alert.clone(), serde_json::from_str(&json).unwrap());
                }
                Change::Finished(alert) => _ = items.remove(&alert),
            }
        }
    }

    fn fire(&mut self, number: usize, recurrence: f64) {
        self.alerts.apply(Alert {
            id: format!("alert-{number:02}"),
            fired_at: self.now,
            window_end: self.now,
            recurrence: Some(recurrence),
            version: Version(8),
            ..fever()
        });
    }

    fn poll(&mut self) -> Vec<Delivery> {
        let deliveries = self.dispatch.poll(&self.alerts, self.now);
        self.store();
        deliveries
    }

    fn settle(&mut self, delivery: &Delivery, result: &Result<(), SendError>) {
        self.dispatch.settle(&delivery.subscription.name, result, &self.alerts, self.now, 0.5);
        self.store();
    }
}

fn named(name: &str, lines: &str) -> Subscription {
    Subscription { name: name.to_owned(), ..subscription(lines) }
}

fn three_subscriptions() -> Vec<Subscription> {
    vec![
        named(
            "mail",
            "channel = \"mail\"\nto = [\"a@example.org\", \"b@example.org\"]\nquiet = \
                \"22:00-07:00\"\na-week = 3\nescalate-after = \"4h\"\ndeputies = \
                [\"d@example.org\"]",
        ),
        named(
            "daily",
            "channel = \"mail\"\nto = [\"a@example.org\", \"c@example.org\"]\nwhen = \"daily\"",
        ),
        named(
            "hook",
            "channel = \"webhook\"\nurl = \"https://example.org\"\nsecret-files = [\"s\"]",
        ),
    ]
}

/// The alerts of a first message: a digest may have many.
fn first_alerts(delivery: &Delivery) -> Vec<String> {
    match &delivery.content {
        Content::Alert { report, occasion: Some(Occasion::New), .. } => {
            vec![report.alert.id.clone()]
        }
        Content::Digest { reports, .. } => {
            reports.iter().map(|report| report.alert.id.clone()).collect()
        }
        _ => Vec::new(),
    }
}

fn reply(number: u8, is_mail: bool) -> Result<(), SendError> {
    match number {
        0 if is_mail => Err(SendError::Refused { code: 550, why: "unknown".to_owned() }),
        1 if is_mail => Err(SendError::Deferred { why: "greylisted".to_owned() }),
        2 => Err(SendError::later("unreachable")),
        _ => Ok(()),
    }
}

#[derive(Debug, Clone)]
struct Step {
    minutes: i64,
    recurrence: Option<f64>,
    reply: u8,
    is_killed: bool,
}

fn steps(count: usize) -> impl Strategy<Value = Vec<Step>> {
    let recurrence = proptest::option::weighted(0.3, 10.0f64..1_000.0);
    let step = (0i64..60, recurrence, 0u8..6, proptest::bool::weighted(0.15));
    let step = step.prop_map(|(minutes, recurrence, reply, is_killed)| Step {
        minutes,
        recurrence,
        reply,
        is_killed,
    });
    proptest::collection::vec(step, count)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever fails and whenever the process is killed: each recipient receives each alert unless
    /// refused, and no copy is repeated except the one in flight at a kill.
    #[test]
    fn each_recipient_receives_each_alert_once(steps in steps(40)) {
        let mut driver = Driver::new(three_subscriptions());
        let mut fired = 0;
        let mut copies = BTreeMap::<(String, String, String), usize>::new();
        let mut killed = copies.clone();
        let mut refused = BTreeSet::new();
        let rest = Step { minutes: 30, recurrence: None, reply: 5, is_killed: false };
        for step in steps.into_iter().chain(std::iter::repeat_n(rest, 150)) {
            driver.now += step.minutes * MINUTE;
            if let Some(recurrence) = step.recurrence {
                driver.fire(fired, recurrence);
                fired += 1;
            }
            loop {
                let deliveries = driver.poll();
                if deliveries.is_empty() {
                    break;
                }
                for delivery in &deliveries {
                    let name = delivery.subscription.name.clone();
                    let key = |alert| (name.clone(), delivery.to.clone(), alert);
                    let result = reply(step.reply, name != "hook");
                    for alert in first_alerts(delivery) {
                        prop_assert!(!refused.contains(&key(alert.clone())), "after a refusal");
                        if result.is_ok() {
                            *copies.entry(key(alert.clone())).or_default() += 1;
                        }
                        if step.is_killed {
                            *killed.entry(key(alert)).or_default() += 1;
                        } else if matches!(result, Err(SendError::Refused { .. })) {
                            refused.insert(key(alert));
                        }
                    }
                    if !step.is_killed {
                        driver.settle(delivery, &result);
                    }
                }
                if step.is_killed {
                    driver.restart();
                    break;
                }
            }
        }
        for alert in 0..fired {
            for (name, to) in [("mail", "a"), ("mail", "b"), ("daily", "a"), ("daily", "c"), ("hook", "")] {
                let to = if to.is_empty() { String::new() } else { format!("{to}@example.org") };
                let key = (name.to_owned(), to, format!("alert-{alert:02}"));
                let count = copies.get(&key).copied().unwrap_or(0);
                let repeated = killed.get(&key).copied().unwrap_or(0);
                prop_assert!(count >= 1 || refused.contains(&key), "{key:?} was never sent");
                prop_assert!(count <= 1 + repeated, "{key:?} was sent {count} times");
            }
        }
    }

    /// Restarts between outcomes, and the order of outcomes, change no delivery.
    #[test]
    fn restarts_and_order_of_outcomes_change_nothing(steps in steps(60), changes in proptest::collection::vec(0u8..6, 60)) {
        let mut drivers = [Driver::new(three_subscriptions()), Driver::new(three_subscriptions())];
        let mut fired = 0;
        for (step, change) in steps.iter().zip(changes) {
            for driver in &mut drivers {
                driver.now += 3 * step.minutes * MINUTE;
                if let Some(recurrence) = step.recurrence {
                    driver.fire(fired, recurrence);
                }
                change_alert(driver, fired.saturating_sub(2), change);
            }
            fired += usize::from(step.recurrence.is_some());
            if step.is_killed {
                drivers[1].restart();
            }
            let deliveries = drivers[0].poll();
            prop_assert_eq!(&deliveries, &drivers[1].poll());
            for delivery in &deliveries {
                let is_mail = delivery.subscription.name != "hook";
                drivers[0].settle(delivery, &reply(step.reply, is_mail));
            }
            for delivery in deliveries.iter().rev() {
                let is_mail = delivery.subscription.name != "hook";
                drivers[1].settle(delivery, &reply(step.reply, is_mail));
            }
            prop_assert_eq!(&drivers[0].stored, &drivers[1].stored);
        }
    }

    /// At most the tokens of a week and the burst go at once in any week, and none in quiet hours.
    #[test]
    fn weekly_limit_and_quiet_hours_hold(steps in steps(120)) {
        let lines = "quiet = \"22:00-07:00\"\na-week = 2";
        let mut driver = Driver::new(vec![named("limited", lines)]);
        let zone = driver.subscriptions[0].zone;
        let mut sent: Vec<Micros> = Vec::new();
        for (number, step) in steps.iter().enumerate() {
            driver.fire(number, 30.0);
            for _ in 0..=step.minutes / 6 {
                driver.now += HOUR;
                if step.is_killed {
                    driver.restart();
                }
                for delivery in driver.poll() {
                    if matches!(delivery.content, Content::Alert { .. }) {
                        let minute = zone.local(driver.now).minute;
                        prop_assert!((7 * 60..22 * 60).contains(&minute), "at minute {minute}");
                        sent.push(driver.now);
                    }
                    driver.settle(&delivery, &Ok(()));
                }
            }
        }
        prop_assert!(!sent.is_empty());
        for (at, last) in sent.iter().enumerate() {
            let in_week = sent[..=at].iter().filter(|first| last - **first < WEEK).count();
            // A token taken at night is used in the morning.
            prop_assert!(in_week <= 2 + BURST as usize + 1, "{in_week} in a week");
        }
    }

    /// Deputies receive an alert once the time has passed since its firing, or since the end of the
    /// quiet hours in which it fired, whatever happens to the first mail.
    #[test]
    fn escalation_counts_from_firing(hour in 0i64..24, delay in 0i64..200, reply_number in 0u8..6, response in proptest::option::of(0i64..500)) {
        let mut driver = Driver::new(vec![three_subscriptions().remove(0)]);
        let subscription = driver.subscriptions[0].clone();
        driver.now += hour * HOUR;
        let fired_at = driver.now;
        driver.fire(0, 1_000.0);
        driver.now += delay * MINUTE;
        let due = crate::plan::after_quiet(&subscription, fired_at) + 4 * HOUR;
        let responded = response.map(|minutes| fired_at + minutes * MINUTE);
        let mut escalated = Vec::new();
        while driver.now < fired_at + DAY {
            if responded.is_some_and(|at| at <= driver.now) {
                respond(&mut driver, 0, Handling::Triaged);
            }
            for delivery in driver.poll() {
                let is_deputy = delivery.to == "d@example.org";
                if is_deputy {
                    escalated.push(driver.now);
                }
                let number = if is_deputy { 5 } else { reply_number.min(1) };
                driver.settle(&delivery, &reply(number, true));
            }
            driver.now += MINUTE;
        }
        let first_poll = fired_at + delay * MINUTE;
        let expected = due.max(first_poll);
        let is_taken_up = responded.is_some_and(|at| at <= expected + 2 * MINUTE);
        match escalated.as_slice() {
            [] => prop_assert!(is_taken_up, "no escalation"),
            // First mails to the two recipients may be sent in the minutes before it.
            [at] => prop_assert!((expected..=expected + 2 * MINUTE).contains(at)),
            more => prop_assert!(false, "{} escalations", more.len()),
        }
    }
}

fn respond(driver: &mut Driver, number: usize, state: Handling) {
    let id = format!("alert-{number:02}");
    let Some((alert, events)) = driver.alerts.get(&id) else { return };
    let (after, revision) = (u32::try_from(events.len()).unwrap(), alert.revision);
    let at = driver.now;
    let event = AlertEvent { alert: id, after, at, state, revision, ..AlertEvent::default() };
    driver.alerts.apply_event(event);
}

/// Grows, withdraws or acknowledges an alert.
fn change_alert(driver: &mut Driver, number: usize, change: u8) {
    let Some((alert, _)) = driver.alerts.get(&format!("alert-{number:02}")) else { return };
    let revision = alert.revision + 1;
    match change {
        0 => {
            let severity = alert.severity + 1;
            let grown = Alert { revision, severity, ..alert.clone() };
            driver.alerts.apply(grown);
        }
        1 => {
            let withdrawn = Alert { revision, state: AlertState::Withdrawn, ..alert.clone() };
            driver.alerts.apply(withdrawn);
        }
        2 => respond(driver, number, Handling::Triaged),
        _ => {}
    }
}

/// A digest that some recipients wait for holds the same alerts for each of them.
#[test]
fn a_digest_is_the_same_for_each_recipient() {
    let mut driver = Driver::new(vec![three_subscriptions().remove(1)]);
    driver.fire(0, 30.0);
    driver.poll();
    driver.now += DAY;
    let first = driver.poll().remove(0);
    assert_eq!(first_alerts(&first), ["alert-00"]);
    driver.settle(&first, &Ok(()));
    driver.fire(1, 30.0);
    driver.restart();
    let second = driver.poll().remove(0);
    assert_eq!((first_alerts(&second), &*second.to), (first_alerts(&first), "c@example.org"));
    driver.settle(&second, &Ok(()));
    assert_eq!(driver.poll(), []);
}

#[test]
fn nothing_is_planned_before_the_first_facts() {
    let mut driver = Driver::new(vec![named("out", "channel = \"stdout\"")]);
    driver.dispatch = Dispatch::new(&Europe, HOUR);
    driver.dispatch.subscribe(named("out", ""), None, Version(0), TUESDAY);
    driver.fire(0, 1_000.0);
    assert!(driver.poll().is_empty() && !driver.dispatch.is_idle());
    driver.dispatch.learn(Arc::default());
    let delivery = driver.poll().remove(0);
    assert!(!driver.dispatch.is_idle() && driver.poll().is_empty(), "one is in flight");
    driver.settle(&delivery, &Ok(()));
    assert!(driver.poll().is_empty() && driver.dispatch.is_idle());
    // The outcome of a subscription that was removed meanwhile changes nothing.
    driver.dispatch.unsubscribe("out");
    driver.settle(&delivery, &Ok(()));
}
