use proptest::prelude::*;
use record::time::MINUTE;
use record::{Milestones, Outcome, Snooze};

use super::*;
use crate::sample::{TUESDAY, fever, subscription};

fn at_once() -> Planned {
    Planned::AtOnce { from: TUESDAY }
}

fn event(after: u32, state: Handling, snooze: Option<Snooze>) -> AlertEvent {
    let outcome = (state >= Handling::Decided).then_some(Outcome::TalkOnly);
    AlertEvent { alert: fever().id, after, at: TUESDAY, state, outcome, snooze, milestones: Milestones::default(), ..AlertEvent::default() }
}

#[test]
fn people_hear_of_what_matters_and_machines_of_every_revision() {
    let mail = subscription("channel = \"mail\"\nto = [\"a@example.org\"]");
    let hook = subscription("channel = \"webhook\"\nurl = \"https://example.org\"\nsecret-files = [\"s\"]");
    let told = Item::new(&fever(), at_once()).sent(&fever(), Some(Occasion::New), TUESDAY);
    let due = |subscription, alert: &Alert| told.due(subscription, alert, &[], TUESDAY + MINUTE);
    let confirmed = Alert { revision: 1, ..fever() };
    let grown = Alert { revision: 2, severity: 3, ..fever() };
    let withdrawn = Alert { revision: 3, state: AlertState::Withdrawn, ..fever() };
    let update = Some(Due::Tell(Occasion::Update));
    assert_eq!([&confirmed, &grown, &withdrawn].map(|alert| due(&mail, alert)), [None, update, update]);
    assert_eq!([&confirmed, &grown, &withdrawn].map(|alert| due(&hook, alert)), [update; 3]);
    assert_eq!(due(&hook, &fever()), None, "once");
    let never_told = Item::new(&fever(), at_once());
    assert_eq!(never_told.due(&mail, &withdrawn, &[], TUESDAY), None, "taken back before anybody heard of it");
}

#[test]
fn what_is_snoozed_is_silent_until_it_doubles_and_what_nobody_takes_up_goes_to_the_deputy() {
    let mail = subscription("channel = \"mail\"\nto = [\"a@example.org\"]\nescalate-after = \"2h\"\ndeputies = [\"b@example.org\"]");
    let told = Item::new(&fever(), at_once()).sent(&fever(), Some(Occasion::New), TUESDAY);
    let snooze = Some(Snooze { until: TUESDAY + DAY, ratio: fever().ratio() });
    let grown = Alert { revision: 1, severity: 2, observed: 40, ..fever() };
    let doubled = Alert { revision: 1, severity: 2, observed: 46, ..fever() };
    let snoozed = [event(0, Handling::Triaged, snooze)];
    assert_eq!(told.due(&mail, &grown, &snoozed, TUESDAY + HOUR), None);
    assert_eq!(told.due(&mail, &doubled, &snoozed, TUESDAY + HOUR), Some(Due::Tell(Occasion::Update)));
    // Who learns elsewhere that it has doubled asks whether it is still to be told: once for each snooze, and to people only.
    let wakes = |item: &Item, events: &[AlertEvent]| item.wakes(&mail, &fever(), events, TUESDAY + HOUR);
    assert!(wakes(&told, &snoozed) && !wakes(&told, &[]) && !wakes(&Item::new(&fever(), at_once()), &snoozed));
    let woken = Item { updated_after: Some(1), ..told.clone() };
    let again = [snoozed[0].clone(), event(1, Handling::Triaged, snooze)];
    assert!(!wakes(&woken, &snoozed) && wakes(&woken, &again) && !told.wakes(&mail, &fever(), &snoozed, TUESDAY + DAY));
    let feed = subscription("channel = \"feed\"");
    assert!(!told.wakes(&feed, &fever(), &snoozed, TUESDAY + HOUR));
    assert_eq!(told.due(&mail, &fever(), &[], TUESDAY + 2 * HOUR - 1), None);
    let escalation = Some(Due::Tell(Occasion::Escalation));
    assert_eq!(told.due(&mail, &fever(), &[], TUESDAY + 2 * HOUR), escalation);
    assert_eq!(told.due(&mail, &fever(), &[event(0, Handling::Triaged, None)], TUESDAY + 2 * HOUR), None);
    let escalated = told.sent(&fever(), Some(Occasion::Escalation), TUESDAY + 2 * HOUR);
    assert_eq!(escalated.due(&mail, &fever(), &[], TUESDAY + DAY), None, "once");
}

#[test]
fn alertmanager_is_told_again_while_it_is_open_and_that_it_is_over() {
    let alertmanager = subscription("channel = \"alertmanager\"\nurl = \"http://127.0.0.1:9093\"");
    let told = Item::new(&fever(), at_once()).sent(&fever(), Some(Occasion::New), TUESDAY);
    assert_eq!(told.due(&alertmanager, &fever(), &[], TUESDAY + MINUTE - 1), None);
    assert_eq!(told.due(&alertmanager, &fever(), &[], TUESDAY + MINUTE), Some(Due::Again));
    let closed = Alert { revision: 1, state: AlertState::Closed, ..fever() };
    assert_eq!(told.due(&alertmanager, &closed, &[], TUESDAY + 1), Some(Due::Tell(Occasion::Update)));
}

proptest! {
    /// However often it fails, the wait grows, is bounded, and three days pass before it is let go.
    #[test]
    fn tries_go_on_for_three_days(jitters in proptest::collection::vec(0.0f64..1.0, 200), asked in proptest::option::of(0i64..2 * DAY)) {
        let mut item = Item::new(&fever(), at_once());
        let mut now = TUESDAY;
        let mut tries = 0;
        for jitter in jitters {
            item = item.not_sent(now, asked, false, jitter);
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

    /// A kill between any two steps, over and over: what is due is told, with one id, and a closed alert ends it.
    #[test]
    fn whatever_is_killed_nothing_is_lost(kills in proptest::collection::vec(any::<bool>(), 60), fails in proptest::collection::vec(any::<bool>(), 60)) {
        let hook = subscription("channel = \"webhook\"\nurl = \"https://example.org\"\nsecret-files = [\"s\"]");
        let revisions = [fever(), Alert { revision: 1, ..fever() }, Alert { revision: 2, state: AlertState::Closed, ..fever() }];
        let mut kept = Item::new(&fever(), at_once());
        let mut received = std::collections::BTreeSet::new();
        let mut now = TUESDAY;
        for (step, (kill, fail)) in kills.iter().zip(&fails).enumerate() {
            let alert = &revisions[(step / 20).min(2)];
            // What is not kept is forgotten by a kill; all that a restart has is `kept`.
            if let Some(Due::Tell(_)) = kept.due(&hook, alert, &[], now) {
                if *fail {
                    kept = kept.not_sent(now, None, false, 0.5);
                } else {
                    received.insert(alert.revision);
                    if !kill {
                        kept = kept.sent(alert, None, now);
                    }
                }
            }
            now += 4 * HOUR / 10;
        }
        let could = |range: std::ops::Range<usize>| range.clone().any(|step| !fails[step]) ;
        // Waits may stretch over one revision; the last is whole and stands for all before it.
        if could(40..60) && !kept.given_up && now >= kept.tries.not_before {
            let mut last = kept.clone();
            while let Some(Due::Tell(_)) = last.due(&hook, &revisions[2], &[], now) {
                received.insert(2);
                last = last.sent(&revisions[2], None, now);
            }
            prop_assert!(received.contains(&2));
        }
    }
}
