use proptest::prelude::*;

use super::*;
use crate::output::{
    AlertState, Explanation, Handling, Milestones, Outcome, Snooze, Stage, Version,
};
use crate::time::{DAY, HOUR};

const NOON: Micros = 1_767_614_400_000_000;

fn alert(id: &str, observed: u32) -> Alert {
    Alert {
        id: id.to_owned(),
        revision: 0,
        topic: "fever".to_owned(),
        topic_name: "Fever".to_owned(),
        region: "DE".to_owned(),
        regions: vec!["DE".to_owned()],
        opened_at: NOON - DAY,
        fired_at: NOON,
        window_end: NOON,
        window_length: DAY,
        stage: Stage::Closed,
        state: AlertState::Open,
        severity: 1,
        observed,
        posts: observed,
        population: 0,
        expected: 6.0,
        upperbound: 11.0,
        recurrence: None,
        method: "eears".to_owned(),
        coverage: 1.0,
        explanation: Explanation::default(),
        version: Version(1),
        grounds: Box::default(),
    }
}

fn fold() -> AlertFold {
    let mut fold = AlertFold::default();
    fold.apply(alert("a", 24));
    fold
}

/// Makes the change as a writer would, or says why not.
fn make(fold: &mut AlertFold, change: AlertChange, at: Micros) -> Result<(), Refused> {
    let event = fold.event("a", &change, "duty", at)?;
    assert!(fold.apply_event(event), "what was made against the latest state is taken");
    Ok(())
}

fn after(after: u32) -> AlertChange {
    AlertChange { after, ..AlertChange::default() }
}

#[test]
fn an_alert_goes_from_new_to_closed_and_back_to_verifying() {
    let mut fold = fold();
    let to = |number, state| AlertChange { state: Some(state), ..after(number) };
    make(
        &mut fold,
        AlertChange { assignee: Some("Ann".to_owned()), ..to(0, Handling::Triaged) },
        NOON + 1,
    )
    .unwrap();
    make(&mut fold, to(1, Handling::Verifying), NOON + 2).unwrap();
    let undecided = make(&mut fold, to(2, Handling::Closed), NOON + 3);
    assert!(matches!(undecided, Err(Refused::Invalid(why)) if why.contains("needs an outcome: \
            health-event, known")));
    make(
        &mut fold,
        AlertChange { outcome: Some(Outcome::TalkOnly), ..to(2, Handling::Decided) },
        NOON + 3,
    )
    .unwrap();
    make(&mut fold, to(3, Handling::Closed), NOON + 4).unwrap();
    let (_, events) = fold.get("a").unwrap();
    assert_eq!((events[3].outcome, &*events[3].assignee), (Some(Outcome::TalkOnly), "Ann"));
    make(&mut fold, to(4, Handling::Verifying), NOON + 5).unwrap();
    assert_eq!(fold.get("a").unwrap().1[4].outcome, None);
    assert!(matches!(make(&mut fold, to(5, Handling::New), NOON + 6), Err(Refused::Invalid(_))));
    assert!(
        matches!(make(&mut fold, after(5), NOON + 6), Err(Refused::Invalid(why)) if why == "the \
            change changes nothing")
    );
    assert!(
        matches!(make(&mut fold, to(5, Handling::Verifying), NOON + 6), Err(Refused::Invalid(_))),
        "it is that already"
    );
    assert_eq!(
        make(&mut fold, to(4, Handling::Closed), NOON + 6),
        Err(Refused::Stale { known: 5, after: 4 })
    );
    assert_eq!(fold.event("b", &after(0), "duty", NOON), Err(Refused::Unknown("b".to_owned())));
}

#[test]
fn a_snoozed_alert_comes_back_in_time_or_at_twice_its_ratio() {
    let mut fold = fold();
    make(&mut fold, AlertChange { snooze_until: Some(NOON + 3 * DAY), ..after(0) }, NOON).unwrap();
    let snoozed = |fold: &AlertFold, at| {
        fold.get("a").map(|(alert, events)| alert.is_snoozed(events, at)).unwrap()
    };
    assert!(snoozed(&fold, NOON + DAY));
    assert!(!snoozed(&fold, NOON + 3 * DAY));
    fold.apply(Alert { revision: 1, observed: 47, version: Version(2), ..alert("a", 24) });
    assert!(snoozed(&fold, NOON + DAY), "7.8 is not yet twice 4");
    fold.apply(Alert { revision: 2, observed: 48, version: Version(3), ..alert("a", 24) });
    assert!(!snoozed(&fold, NOON + DAY));
    make(&mut fold, AlertChange { snooze_until: Some(NOON + 2 * DAY), ..after(1) }, NOON + DAY)
        .unwrap();
    assert!(snoozed(&fold, NOON + DAY + HOUR), "acknowledged at 8, it would be seen at 16");
    make(&mut fold, AlertChange { snooze_until: Some(NOON), ..after(2) }, NOON + DAY).unwrap();
    assert!(!snoozed(&fold, NOON + DAY + HOUR), "an instant that has passed ends a snooze");
}

#[test]
fn what_people_type_is_bounded_and_moves_nothing_around_it() {
    let mut fold = fold();
    let long = AlertChange { note: "x".repeat(NOTE_BYTES_MAX + 1), ..after(0) };
    assert!(matches!(make(&mut fold, long, NOON), Err(Refused::Invalid(_))));
    let hostile = AlertChange {
        note: "a\u{202e}b\u{0}c\nd<b>".to_owned(),
        assignee: Some("\u{2066}Bo\u{1b}".to_owned()),
        ..after(0)
    };
    make(&mut fold, hostile, NOON).unwrap();
    let (_, events) = fold.get("a").unwrap();
    assert_eq!((&*events[0].note, &*events[0].assignee), ("abc\nd<b>", "Bo"));
    let future = AlertChange { emerged_at: Some(NOON + 30 * DAY), ..after(1) };
    assert!(matches!(make(&mut fold, future, NOON), Err(Refused::Invalid(_))));
}

#[test]
fn a_change_is_read_from_json_with_seconds_or_dates() {
    let read = |text: &str| serde_json::from_str::<AlertChange>(text);
    let change =
        read(r#"{"after":2,"state":"decided","outcome":"health-event","emerged_at":1767614400.5,"notified_at":"2026-01-05T12:00:00Z"}"#)
            .unwrap();
    assert_eq!((change.emerged_at, change.notified_at), (Some(NOON + 500_000), Some(NOON)));
    assert_eq!(read(&serde_json::to_string(&change).unwrap()).unwrap(), change);
    assert!(read(r#"{"after":0,"actor":"me"}"#).is_err(), "nobody says who they are in the body");
    assert!(read(r#"{"after":0,"state":"done"}"#).is_err());
}

#[test]
fn clocks_stay_empty_until_people_have_entered_theirs() {
    let mut fold = fold();
    let clocks_of =
        |fold: &AlertFold| fold.get("a").map(|(alert, events)| clocks(alert, events)).unwrap();
    assert_eq!(clocks_of(&fold), Clocks::default());
    make(&mut fold, AlertChange { emerged_at: Some(NOON - 8 * DAY), ..after(0) }, NOON).unwrap();
    make(&mut fold, AlertChange { notified_at: Some(NOON + 5 * HOUR), ..after(1) }, NOON + DAY)
        .unwrap();
    let found = clocks_of(&fold);
    assert_eq!(found.detect.map(|clock| (clock.took(), clock.is_met())), Some((8 * DAY, false)));
    assert_eq!(found.notify.map(|clock| (clock.took(), clock.is_met())), Some((5 * HOUR, true)));
    assert_eq!(found.respond, None);
}

/// The interval by its definition: all shares from which the one seen is no further than 1.96 of
/// their own standard errors.
fn by_definition(of: u32, n: u32) -> (f64, f64) {
    let seen = f64::from(of) / f64::from(n);
    let inside = |share: f64| {
        (seen - share).abs()
            <= 1.959_963_984_540_054 * (share * (1.0 - share) / f64::from(n)).sqrt() + 1e-12
    };
    let shares =
        (0..=100_000).map(|step| f64::from(step) / 100_000.0).filter(|share| inside(*share));
    shares.fold((1.0, 0.0), |(low, high), share| (f64::min(low, share), f64::max(high, share)))
}

proptest! {
    /// Against the simplest way to count.
    #[test]
    fn figures_are_those_of_a_naive_count(stories in proptest::collection::vec((0usize..7, 1i64..50, 0i64..50, any::<bool>()), 0..60)) {
        let mut fold = AlertFold::default();
        for (number, (what, acknowledged, later, closed)) in stories.iter().enumerate() {
            let id = format!("{number:03}");
            fold.apply(alert(&id, 20));
            let mut number = 0;
            let mut change = |change: AlertChange, at| {
                let event = fold.event(&id, &AlertChange { after: number, ..change }, "duty", NOON + at * HOUR).unwrap();
                fold.apply_event(event);
                number += 1;
            };
            if *what < 6 {
                change(AlertChange { note: "seen".to_owned(), ..after(0) }, 0);
                change(AlertChange { state: Some(Handling::Triaged), ..after(0) }, *acknowledged);
            }
            if let Some(outcome) = Outcome::ALL.get(*what) {
                change(AlertChange { state: Some(Handling::Decided), outcome: Some(*outcome), ..after(0) }, acknowledged + later);
                if *closed {
                    change(AlertChange { state: Some(Handling::Closed), ..after(0) }, 200);
                }
            }
        }
        let found = figures(fold.entries());
        let decided: Vec<_> = stories.iter().filter(|story| story.0 < 5).collect();
        prop_assert_eq!((found.alerts as usize, found.decided as usize), (stories.len(), decided.len()));
        let events = decided.iter().filter(|story| story.0 == 0).count() as u32;
        let real = decided.iter().filter(|story| story.0 <= 2).count() as u32;
        prop_assert_eq!(found.events.map(|share| (share.of, share.n)), (decided.len() >= 20).then_some((events, decided.len() as u32)));
        prop_assert_eq!(found.real_rises.map(|share| share.of), (decided.len() >= 20).then_some(real));
        if let Some(share) = found.events {
            let (low, high) = by_definition(share.of, share.n);
            prop_assert!((share.low - low).abs() < 1e-4 && (share.high - high).abs() < 1e-4, "{share:?} is not {low}..{high}");
        }
        let mut times: Vec<i64> = stories.iter().filter(|story| story.0 < 6).map(|story| story.1 * HOUR).collect();
        times.sort_unstable();
        let expected = (!times.is_empty()).then(|| {
            let middle = if times.len() % 2 == 1 { times[times.len() / 2] } else { (times[times.len() / 2 - 1] + times[times.len() / 2]) / 2 };
            let ninth = times.iter().copied().find(|time| times.iter().filter(|one| *one <= time).count() * 10 >= times.len() * 9).unwrap();
            (times.len() as u32, middle, ninth)
        });
        prop_assert_eq!(found.acknowledge.map(|spread| (spread.n, spread.median, spread.ninth_decile)), expected);
    }

    /// Any number of writers who look at any state: of those that looked at the same one exactly
    /// the first is taken.
    #[test]
    fn of_changes_made_against_one_state_the_first_holds(looked_at in proptest::collection::vec(0u32..6, 0..40)) {
        let mut fold = fold();
        let mut known = 0;
        for (number, after) in looked_at.into_iter().enumerate() {
            let event = AlertEvent {
                alert: "a".to_owned(), after, at: NOON, actor: "duty".to_owned(), state: Handling::Verifying, note: number.to_string(),
                revision: 0, outcome: None, assignee: String::new(), snooze: None::<Snooze>, milestones: Milestones::default(),
            };
            let taken = fold.apply_event(event.clone());
            prop_assert_eq!(taken, after == known);
            known += u32::from(taken);
            prop_assert_eq!(fold.apply_event(event), false, "written twice it is taken once");
        }
    }
}

#[test]
fn each_change_can_be_undone_and_the_undoing_too() {
    let mut fold = fold();
    let undo = |number| AlertChange { undo: true, ..after(number) };
    assert!(matches!(make(&mut fold, undo(0), NOON), Err(Refused::Invalid(_))), "nothing yet");
    let assign = AlertChange {
        state: Some(Handling::Triaged),
        assignee: Some("duty".to_owned()),
        ..after(0)
    };
    make(&mut fold, assign, NOON).unwrap();
    let decide = AlertChange {
        state: Some(Handling::Decided),
        outcome: Some(Outcome::TalkOnly),
        ..after(1)
    };
    make(&mut fold, decide, NOON).unwrap();
    make(&mut fold, undo(2), NOON).unwrap();
    let last = |fold: &AlertFold| fold.get("a").unwrap().1.last().unwrap().clone();
    assert_eq!((last(&fold).state, last(&fold).outcome), (Handling::Triaged, None));
    assert_eq!(last(&fold).assignee, "duty");
    make(&mut fold, undo(3), NOON).unwrap();
    assert_eq!(
        (last(&fold).state, last(&fold).outcome),
        (Handling::Decided, Some(Outcome::TalkOnly))
    );
    make(&mut fold, AlertChange { note: "seen".to_owned(), ..after(4) }, NOON).unwrap();
    assert!(make(&mut fold, undo(5), NOON).is_err(), "a note stays");
}

#[test]
fn the_first_change_undone_leaves_the_alert_new() {
    let mut fold = fold();
    make(&mut fold, AlertChange { state: Some(Handling::Triaged), ..after(0) }, NOON).unwrap();
    make(&mut fold, AlertChange { undo: true, ..after(1) }, NOON).unwrap();
    assert_eq!(fold.get("a").unwrap().1.last().unwrap().state, Handling::New);
}

proptest! {
    #[test]
    fn ranks_are_rarest_first_then_the_highest_ratio(
        seen in proptest::collection::vec((0..4_u32, 1..40_u32), 2..12),
    ) {
        let mut alerts: Vec<Alert> = seen.iter().enumerate().map(|(nth, (rarity, observed))| Alert {
            recurrence: (*rarity > 0).then_some(f64::from(*rarity) * 100.0),
            ..alert(&nth.to_string(), *observed)
        }).collect();
        alerts.sort_by(crate::policy::rank);
        for pair in alerts.windows(2) {
            let key = |alert: &Alert| (alert.recurrence.unwrap_or(0.0), alert.observed);
            prop_assert!(key(&pair[0]) >= key(&pair[1]));
        }
    }
}
