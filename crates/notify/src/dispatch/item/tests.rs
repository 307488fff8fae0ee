use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;
use record::time::{HOUR, MINUTE};
use record::{Milestones, Outcome, Snooze};

use super::*;
use crate::dispatch::tries::{FIRST_WAIT, GIVE_UP_AFTER, LONGEST_WAIT};
use crate::sample::{TUESDAY, fever, subscription};

fn at_once() -> Planned {
    Planned::AtOnce { from: TUESDAY }
}

fn event(after: u32, state: Handling, snooze: Option<Snooze>) -> AlertEvent {
    let outcome = (state >= Handling::Decided).then_some(Outcome::TalkOnly);
    AlertEvent {
        alert: fever().id,
        after,
        at: TUESDAY,
        state,
        outcome,
        snooze,
        milestones: Milestones::default(),
        ..AlertEvent::default()
    }
}

#[test]
fn people_receive_news_and_machines_every_revision() {
    let mail = subscription("channel = \"mail\"\nto = [\"a@example.org\"]");
    let hook = subscription(
        "channel = \"webhook\"\nurl = \"https://example.org\"\nsecret-files = [\"s\"]",
    );
    let told = Item::new(&fever(), at_once()).record_sent(&fever(), Some(Occasion::New), TUESDAY);
    let due = |subscription, alert: &Alert| told.due(subscription, alert, &[], TUESDAY + MINUTE);
    let confirmed = Alert { revision: 1, ..fever() };
    let grown = Alert { revision: 2, severity: 3, ..fever() };
    let withdrawn = Alert { revision: 3, state: AlertState::Withdrawn, ..fever() };
    let update = Some(Due::Send(Occasion::Update));
    assert_eq!(
        [&confirmed, &grown, &withdrawn].map(|alert| due(&mail, alert)),
        [None, update, update]
    );
    assert_eq!([&confirmed, &grown, &withdrawn].map(|alert| due(&hook, alert)), [update; 3]);
    assert_eq!(due(&hook, &fever()), None, "once");
    let never_told = Item::new(&fever(), at_once());
    assert_eq!(
        never_told.due(&mail, &withdrawn, &[], TUESDAY),
        None,
        "withdrawn before the first message"
    );
}

#[test]
fn snoozed_alerts_are_silent_until_doubled_and_old_ones_escalate() {
    let mail = subscription(
        "channel = \"mail\"\nto = [\"a@example.org\"]\nescalate-after = \"2h\"\ndeputies = \
            [\"b@example.org\"]",
    );
    let told = Item::new(&fever(), at_once()).record_sent(&fever(), Some(Occasion::New), TUESDAY);
    let snooze = Some(Snooze { until: TUESDAY + DAY, ratio: fever().ratio() });
    let grown = Alert { revision: 1, severity: 2, observed: 40, ..fever() };
    let doubled = Alert { revision: 1, severity: 2, observed: 46, ..fever() };
    let snoozed = [event(0, Handling::Triaged, snooze)];
    assert_eq!(told.due(&mail, &grown, &snoozed, TUESDAY + HOUR), None);
    assert_eq!(
        told.due(&mail, &doubled, &snoozed, TUESDAY + HOUR),
        Some(Due::Send(Occasion::Update))
    );
    // Growth known from elsewhere is reported once for each snooze, and to people only.
    let wakes = |item: &Item, events: &[AlertEvent]| {
        item.may_report_growth(&mail, &fever(), events, TUESDAY + HOUR)
    };
    assert!(
        wakes(&told, &snoozed)
            && !wakes(&told, &[])
            && !wakes(&Item::new(&fever(), at_once()), &snoozed)
    );
    let woken = Item { updated_after: Some(1), ..told.clone() };
    let again = [snoozed[0].clone(), event(1, Handling::Triaged, snooze)];
    assert!(
        !wakes(&woken, &snoozed)
            && wakes(&woken, &again)
            && !told.may_report_growth(&mail, &fever(), &snoozed, TUESDAY + DAY)
    );
    let feed = subscription("channel = \"feed\"");
    assert!(!told.may_report_growth(&feed, &fever(), &snoozed, TUESDAY + HOUR));
    let fired = Alert { fired_at: TUESDAY, ..fever() };
    assert_eq!(told.due(&mail, &fired, &[], TUESDAY + 2 * HOUR - 1), None);
    let escalation = Some(Due::Send(Occasion::Escalation));
    assert_eq!(told.due(&mail, &fired, &[], TUESDAY + 2 * HOUR), escalation);
    assert_eq!(
        told.due(&mail, &fired, &[event(0, Handling::Triaged, None)], TUESDAY + 2 * HOUR),
        None
    );
    let asleep = [event(0, Handling::New, snooze)];
    assert_eq!(
        told.due(&mail, &fired, &asleep, TUESDAY + 2 * HOUR),
        None,
        "somebody has snoozed it"
    );
    let escalated = told.record_sent(&fired, Some(Occasion::Escalation), TUESDAY + 2 * HOUR);
    assert_eq!(escalated.due(&mail, &fired, &[], TUESDAY + DAY), None, "once");
}

#[test]
fn only_an_expired_snooze_is_mailed_and_once() {
    let mail = subscription("channel = \"mail\"\nto = [\"a@example.org\"]");
    let told = Item::new(&fever(), at_once()).record_sent(&fever(), Some(Occasion::New), TUESDAY);
    let until =
        |until| [event(0, Handling::Triaged, Some(Snooze { until, ratio: fever().ratio() }))];
    let woken = Some(Due::Send(Occasion::Woken));
    assert_eq!(told.due(&mail, &fever(), &until(TUESDAY + DAY), TUESDAY + DAY - 1), None);
    assert_eq!(told.due(&mail, &fever(), &until(TUESDAY + DAY), TUESDAY + DAY), woken);
    assert_eq!(
        told.due(&mail, &fever(), &until(TUESDAY - 1), TUESDAY + DAY),
        None,
        "ended by hand"
    );
    let once = Item { updated_after: Some(1), ..told };
    assert_eq!(once.due(&mail, &fever(), &until(TUESDAY + DAY), TUESDAY + DAY), None);
}

const REFUSED: SendError = SendError::Refused { code: 550, why: String::new() };

fn deferred() -> SendError {
    SendError::Deferred { why: "greylisted".to_owned() }
}

fn three() -> Subscription {
    subscription(
        "channel = \"mail\"\nto = [\"a@example.org\", \"b@example.org\", \
            \"c@example.org\"]\nescalate-after = \"2h\"\ndeputies = [\"d@example.org\"]",
    )
}

#[test]
fn a_refusal_is_final_and_copies_nothing() {
    let mail = three();
    let alert = Alert { fired_at: TUESDAY, ..fever() };
    let mut item = Item::new(&alert, at_once());
    let mut sent: Vec<String> = Vec::new();
    let mut now = TUESDAY;
    while now < TUESDAY + DAY {
        while let Some(Due::Send(occasion)) = item.due(&mail, &alert, &[], now) {
            let round = item.round(occasion, &alert, now);
            let to = item.recipients(&mail, occasion, now);
            let address = round.next_recipient(&to, now).expect("due").clone();
            let result = if address.starts_with('a') { Err(REFUSED) } else { Ok(()) };
            sent.push(format!("{} {address} {}", occasion.name(), (now - TUESDAY) / MINUTE));
            item = item.record_mail(&mail, (&alert, occasion), (&address, &result), now, 0.5);
        }
        now += MINUTE;
    }
    let wanted = [
        "new a@example.org 0",
        "new b@example.org 0",
        "new c@example.org 0",
        "escalation d@example.org 120",
    ];
    assert_eq!(sent, wanted);
    assert!(item.sent.is_some() && !item.given_up && item.escalated);
}

#[test]
fn a_deferred_recipient_delays_no_other_mail() {
    let mail = three();
    let alert = Alert { fired_at: TUESDAY, ..fever() };
    let mut item = Item::new(&alert, at_once());
    let mut sent = BTreeMap::new();
    let mut now = TUESDAY;
    while now < TUESDAY + 5 * DAY {
        while let Some(Due::Send(occasion)) = item.due(&mail, &alert, &[], now) {
            let to = item.recipients(&mail, occasion, now);
            let address =
                item.round(occasion, &alert, now).next_recipient(&to, now).expect("due").clone();
            let result = if address.starts_with('a') { Err(deferred()) } else { Ok(()) };
            sent.entry((occasion, address.clone())).or_insert_with(Vec::new).push(now - TUESDAY);
            item = item.record_mail(&mail, (&alert, occasion), (&address, &result), now, 0.5);
        }
        now += MINUTE;
    }
    assert_eq!(sent[&(Occasion::New, "c@example.org".to_owned())], [0]);
    assert_eq!(sent[&(Occasion::Escalation, "d@example.org".to_owned())], [2 * HOUR]);
    let tries = &sent[&(Occasion::New, "a@example.org".to_owned())];
    assert!(
        tries.len() > 10 && *tries.last().unwrap() >= 3 * DAY && item.sent.is_some(),
        "{tries:?}"
    );
}

/// An update goes only to recipients of the first mail; one who received the newer revision late
/// gets it once.
#[test]
fn updates_reach_recipients_of_the_first_mail_once() {
    let mail = three();
    let alert = Alert { fired_at: TUESDAY, ..fever() };
    let mut item = Item::new(&alert, at_once());
    for (address, result) in [("a@example.org", Ok(())), ("b@example.org", Err(deferred()))] {
        item = item.record_mail(&mail, (&alert, Occasion::New), (address, &result), TUESDAY, 0.5);
    }
    let grown = Alert { revision: 1, severity: 3, ..alert.clone() };
    let withdrawn = Alert { revision: 2, state: AlertState::Withdrawn, ..alert.clone() };
    assert_eq!(item.due(&mail, &withdrawn, &[], TUESDAY + HOUR), Some(Due::Send(Occasion::Update)));
    assert_eq!(item.recipients(&mail, Occasion::Update, TUESDAY + HOUR), ["a@example.org"]);
    // The others receive their first mail about the grown alert, and only the first one an update.
    let mut later = item.clone();
    for address in ["b@example.org", "c@example.org"] {
        later = later.record_mail(
            &mail,
            (&grown, Occasion::New),
            (address, &Ok(())),
            TUESDAY + HOUR,
            0.5,
        );
    }
    assert_eq!(later.due(&mail, &grown, &[], TUESDAY + HOUR), Some(Due::Send(Occasion::Update)));
    let to = later.recipients(&mail, Occasion::Update, TUESDAY + HOUR);
    let round = later.round(Occasion::Update, &grown, TUESDAY + HOUR);
    assert_eq!(
        round.next_recipient(&to, TUESDAY + HOUR).map(String::as_str),
        Some("a@example.org")
    );
    assert_eq!(round.count_waiting(&to), 1);
}

#[test]
fn escalation_starts_after_quiet_hours_and_digests() {
    let quiet = "quiet = \"13:00-17:00\"\nalways = [\"measles\"]\nchannel = \"mail\"\nto = \
        [\"a@example.org\"]";
    let subscription = subscription(quiet);
    let alert = Alert { fired_at: TUESDAY, ..fever() };
    // 14:00 in Berlin.
    assert_eq!(plan::escalates_from(&subscription, &alert, at_once()), TUESDAY + 3 * HOUR);
    let always = Alert { topic: "measles".to_owned(), ..alert.clone() };
    assert_eq!(plan::escalates_from(&subscription, &always, at_once()), TUESDAY);
    assert_eq!(
        plan::escalates_from(&subscription, &alert, Planned::Digest { at: TUESDAY + DAY }),
        TUESDAY + DAY
    );
}

#[test]
fn alertmanager_receives_repeats_and_the_end() {
    let alertmanager = subscription("channel = \"alertmanager\"\nurl = \"http://127.0.0.1:9093\"");
    let told = Item::new(&fever(), at_once()).record_sent(&fever(), Some(Occasion::New), TUESDAY);
    assert_eq!(told.due(&alertmanager, &fever(), &[], TUESDAY + MINUTE - 1), None);
    assert_eq!(told.due(&alertmanager, &fever(), &[], TUESDAY + MINUTE), Some(Due::Repeat));
    let closed = Alert { revision: 1, state: AlertState::Closed, ..fever() };
    assert_eq!(
        told.due(&alertmanager, &closed, &[], TUESDAY + 1),
        Some(Due::Send(Occasion::Update))
    );
}

proptest! {
    /// Whatever the server and recipients reply, and whenever the program is killed: nobody accepts
    /// a mail twice but the one that was on its way at a kill, and after a refusal nothing is sent
    /// to that address on that occasion.
    #[test]
    fn no_accepted_copy_is_repeated(steps in proptest::collection::vec((0u8..5, any::<bool>()), 40)) {
        let mail = three();
        let alert = Alert { fired_at: TUESDAY, ..fever() };
        let mut item = Item::new(&alert, at_once());
        let mut accepted = BTreeMap::<(Occasion, String), u32>::new();
        let mut allowed = BTreeMap::<(Occasion, String), u32>::new();
        let mut final_for = BTreeSet::new();
        let mut now = TUESDAY;
        for (reply, is_killed) in steps {
            now += 4 * HOUR;
            let Some(Due::Send(occasion)) = item.due(&mail, &alert, &[], now) else { continue };
            let to = item.recipients(&mail, occasion, now);
            let Some(address) = item.round(occasion, &alert, now).next_recipient(&to, now).cloned() else {
                let round = item.round(occasion, &alert, now);
                item = item.complete_round(&mail, occasion, round, now);
                continue;
            };
            prop_assert!(!final_for.contains(&(occasion, address.clone())));
            let result = match reply {
                0 => Err(REFUSED),
                1 => Err(deferred()),
                2 => Err(SendError::later("away")),
                _ => Ok(()),
            };
            let key = (occasion, address.clone());
            if result.is_ok() {
                *accepted.entry(key.clone()).or_default() += 1;
            }
            if is_killed {
                *allowed.entry(key).or_default() += 1;
                continue;
            }
            if matches!(result, Ok(()) | Err(SendError::Refused { .. })) {
                final_for.insert(key);
            }
            item = item.record_mail(&mail, (&alert, occasion), (&address, &result), now, 0.5);
        }
        for (key, count) in accepted {
            prop_assert!(count <= 1 + allowed.get(&key).copied().unwrap_or(0), "{key:?}");
        }
    }

    /// However often it fails, the wait grows, is bounded, and three days pass before it is let go.
    #[test]
    fn tries_continue_for_three_days(jitters in proptest::collection::vec(0.0f64..1.0, 200), asked in proptest::option::of(0i64..2 * DAY)) {
        let mut item = Item::new(&fever(), at_once());
        let mut now = TUESDAY;
        let mut tries = 0;
        for jitter in jitters {
            let after = asked.map(|asked| Duration::from_micros(asked.unsigned_abs()));
            item = item.record_failure(now, &SendError::Later { why: String::new(), after }, jitter);
            tries += 1;
            if item.given_up {
                break;
            }
            let wait = item.tries.not_before - now;
            prop_assert!(wait >= FIRST_WAIT && wait <= (LONGEST_WAIT + LONGEST_WAIT / 5).max(asked.unwrap_or(0).min(DAY)));
            prop_assert!(wait >= asked.unwrap_or(0).min(DAY));
            now = item.tries.not_before;
        }
        prop_assert!(item.given_up && now - TUESDAY >= GIVE_UP_AFTER && tries >= 3);
    }

    /// A kill between any two steps, over and over: what is due is sent, with one id, and a closed
    /// alert ends it.
    #[test]
    fn a_kill_loses_no_message(kills in proptest::collection::vec(any::<bool>(), 60), fails in proptest::collection::vec(any::<bool>(), 60)) {
        let hook = subscription("channel = \"webhook\"\nurl = \
            \"https://example.org\"\nsecret-files = [\"s\"]");
        let revisions = [fever(), Alert { revision: 1, ..fever() }, Alert { revision: 2, state: AlertState::Closed, ..fever() }];
        let mut stored = Item::new(&fever(), at_once());
        let mut received = BTreeSet::new();
        let mut now = TUESDAY;
        for (step, (kill, fail)) in kills.iter().zip(&fails).enumerate() {
            let alert = &revisions[(step / 20).min(2)];
            // A restart has only `stored`.
            if let Some(Due::Send(_)) = stored.due(&hook, alert, &[], now) {
                if *fail {
                    stored = stored.record_failure(now, &SendError::later("away"), 0.5);
                } else {
                    received.insert(alert.revision);
                    if !kill {
                        stored = stored.record_sent(alert, None, now);
                    }
                }
            }
            now += 4 * HOUR / 10;
        }
        let could = |range: std::ops::Range<usize>| range.clone().any(|step| !fails[step]) ;
        // Waits may stretch over one revision; the last is whole and stands for all before it.
        if could(40..60) && !stored.given_up && now >= stored.tries.not_before {
            let mut last = stored.clone();
            while let Some(Due::Send(_)) = last.due(&hook, &revisions[2], &[], now) {
                received.insert(2);
                last = last.record_sent(&revisions[2], None, now);
            }
            prop_assert!(received.contains(&2));
        }
    }
}
