use journal::memory::MemoryJournal;
use record::time::{DAY, MINUTE};
use record::{AlertState, Explanation, Handling, Outcome, Stage, Version};

use super::*;

const NOON: Micros = 1_767_614_400_000_000;

fn noon() -> Micros {
    NOON
}

fn alert(id: &str) -> Alert {
    Alert {
        regions: ["001", "DE", "DE-BY"].map(str::to_owned).to_vec(),
        opened_at: NOON - DAY,
        fired_at: NOON - MINUTE,
        window_end: NOON,
        ..surveillance_alert(id)
    }
}

fn surveillance_alert(id: &str) -> Alert {
    Alert {
        id: id.to_owned(),
        revision: 0,
        topic: "fever".to_owned(),
        topic_name: "Fever".to_owned(),
        region: "DE-BY".to_owned(),
        regions: Vec::new(),
        opened_at: 0,
        fired_at: 0,
        window_end: 0,
        window_length: DAY,
        stage: Stage::Closed,
        state: AlertState::Open,
        severity: 1,
        observed: 23,
        posts: 26,
        population: 9_000,
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

fn tell(journal: &dyn Journal, alert: Alert) {
    journal
        .append(Stream::Alerts, &[Entry { partition: 0, bytes: Record::Alert(alert).encode() }])
        .unwrap();
}

fn decided(after: u32, outcome: Outcome) -> AlertChange {
    AlertChange {
        after,
        state: Some(Handling::Decided),
        outcome: Some(outcome),
        ..AlertChange::default()
    }
}

fn excluded(journal: &dyn Journal) -> Vec<Exclusion> {
    let batch = journal.read(Stream::Tallies, 0, 0, READ_BYTES_MAX, Duration::ZERO).unwrap();
    let records = batch.records.iter().map(|(_, bytes)| Record::decode(bytes).unwrap());
    records
        .filter_map(
            |record| if let Record::Exclusion(exclusion) = record { Some(exclusion) } else { None },
        )
        .collect()
}

/// Eight desks, as in eight processes, each of which tries to make each of thirty changes.
#[test]
fn of_writers_that_race_one_holds_and_all_learn_which() {
    let journal = MemoryJournal::new(1);
    tell(&journal, alert("a"));
    let winners: Vec<Vec<u32>> = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..8)
            .map(|writer| {
                let journal = &journal;
                scope.spawn(move || {
                    let mut desk = Desk::open(journal, noon).unwrap();
                    let mut won = Vec::new();
                    for after in 0..30 {
                        let change = AlertChange {
                            after,
                            note: format!("by {writer}"),
                            ..AlertChange::default()
                        };
                        loop {
                            match desk.change("a", &change, &writer.to_string()) {
                                Ok(event) => won.push(event.after),
                                Err(Refused::Stale { known, .. }) if known <= after => continue,
                                Err(Refused::Stale { .. }) => {}
                                Err(other) => panic!("{other}"),
                            }
                            break;
                        }
                    }
                    won
                })
            })
            .collect();
        writers.into_iter().map(|writer| writer.join().unwrap()).collect()
    });
    let desk = Desk::open(&journal, noon).unwrap();
    let (_, events) = desk.fold().get("a").unwrap();
    assert_eq!(events.len(), 30);
    for (after, event) in events.iter().enumerate() {
        let claimed: Vec<String> = winners
            .iter()
            .enumerate()
            .filter(|(_, won)| won.contains(&(after as u32)))
            .map(|(writer, _)| writer.to_string())
            .collect();
        assert_eq!(
            claimed,
            std::slice::from_ref(&event.actor),
            "exactly the writer of change {after} was told that it holds"
        );
    }
}

#[test]
fn what_was_an_event_leaves_later_baselines_once_and_grows_with_its_episode() {
    let journal = MemoryJournal::new(1);
    tell(&journal, alert("a"));
    tell(&journal, alert("b"));
    let mut desk = Desk::open(&journal, noon).unwrap();
    desk.change("b", &decided(0, Outcome::TalkOnly), "duty").unwrap();
    assert_eq!(excluded(&journal), []);
    desk.change("a", &decided(0, Outcome::HealthEvent), "duty").unwrap();
    let found = excluded(&journal);
    let regions: Vec<&str> = found.iter().map(|exclusion| &*exclusion.region).collect();
    assert_eq!(regions, ["DE", "DE-BY"], "the world was not in alarm by itself");
    assert!(found.iter().all(|one| one.topic == "fever"
        && one.from == NOON - DAY
        && one.to == NOON
        && one.valid_from == NOON + HOUR));
    desk.change(
        "a",
        &AlertChange { after: 1, note: "told the state".to_owned(), ..AlertChange::default() },
        "duty",
    )
    .unwrap();
    let mut other = Desk::open(&journal, noon).unwrap();
    other.read_on().unwrap();
    assert_eq!(excluded(&journal), found, "once");
    tell(
        &journal,
        Alert { revision: 1, window_end: NOON + 5 * HOUR, version: Version(2), ..alert("a") },
    );
    desk.read_on().unwrap();
    assert_eq!(
        excluded(&journal)[2..].iter().map(|one| one.to).collect::<Vec<_>>(),
        [NOON + 5 * HOUR; 2]
    );
}

fn told(journal: &dyn Journal) -> Vec<Record> {
    let batch = journal.read(Stream::Tallies, 0, 0, READ_BYTES_MAX, Duration::ZERO).unwrap();
    batch.records.iter().map(|(_, bytes)| Record::decode(bytes).unwrap()).collect()
}

/// The alerts whose episodes are out of baselines in the end.
fn out_in_the_end(journal: &dyn Journal) -> Vec<String> {
    let mut out = Vec::new();
    for record in told(journal) {
        match record {
            Record::Exclusion(exclusion) if !out.contains(&exclusion.alert) => {
                out.push(exclusion.alert)
            }
            Record::Lift(lift) => out.retain(|alert| *alert != lift.alert),
            _ => {}
        }
    }
    out
}

#[test]
fn an_outcome_that_is_corrected_puts_the_episode_back_and_only_that_one() {
    let journal = MemoryJournal::new(1);
    tell(&journal, alert("a"));
    // Of the same regions and days.
    tell(&journal, alert("b"));
    let mut desk = Desk::open(&journal, noon).unwrap();
    desk.change("a", &decided(0, Outcome::HealthEvent), "duty").unwrap();
    desk.change("b", &decided(0, Outcome::Known), "duty").unwrap();
    desk.change(
        "a",
        &AlertChange { after: 1, outcome: Some(Outcome::TalkOnly), ..AlertChange::default() },
        "duty",
    )
    .unwrap();
    assert_eq!(
        told(&journal).last(),
        Some(&Record::Lift(Lift { alert: "a".to_owned(), valid_from: NOON + HOUR }))
    );
    assert_eq!(out_in_the_end(&journal), ["b"]);
    let before = told(&journal).len();
    tell(
        &journal,
        Alert { revision: 1, window_end: NOON + 5 * HOUR, version: Version(2), ..alert("a") },
    );
    desk.read_on().unwrap();
    Desk::open(&journal, noon).unwrap();
    assert_eq!(
        told(&journal).len(),
        before,
        "noted once, and its growth takes nothing out any more"
    );
    // Verified anew it is undecided, so it is back in too; and out once it is an event again.
    desk.change(
        "b",
        &AlertChange { after: 1, state: Some(Handling::Verifying), ..AlertChange::default() },
        "duty",
    )
    .unwrap();
    assert_eq!(out_in_the_end(&journal), Vec::<String>::new());
    desk.change("b", &decided(2, Outcome::HealthEvent), "duty").unwrap();
    assert_eq!(out_in_the_end(&journal), ["b"]);
}

/// Several desks that look at any time, are killed between saying and noting, or note late: in the
/// end what is out is what was decided.
#[test]
fn what_is_out_in_the_end_is_what_was_decided_last_whoever_was_killed_or_slow() {
    let mut seed = 7_u64;
    let mut below = |n: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % n
    };
    for _ in 0..300 {
        let journal = MemoryJournal::new(1);
        let ids = ["a", "b", "c"];
        ids.iter().for_each(|id| tell(&journal, alert(id)));
        let mut desks: Vec<Desk<'_>> =
            (0..3).map(|_| Desk::open(&journal, noon).unwrap()).collect();
        for _ in 0..below(14) {
            let (id, nth) = (ids[below(3) as usize], below(3) as usize);
            let key = format!("{EXCLUDED}{id}");
            match below(10) {
                0 => desks[nth] = Desk::open(&journal, noon).unwrap(),
                1 => desks[nth].read_on().unwrap(),
                // Killed before it was noted: the note is what it was, or none.
                2 => {
                    let before = journal.get(Stream::Feeds, &key).unwrap();
                    let mut killed = Desk::open(&journal, noon).unwrap();
                    let after = killed.fold().get(id).unwrap().1.len() as u32;
                    let _ = killed.change(
                        id,
                        &decided(after, Outcome::ALL[below(5) as usize]),
                        "killed",
                    );
                    journal.put(Stream::Feeds, &[(key, before)]).unwrap();
                }
                // Slow: it says what held when it looked last, and notes that over what is noted.
                3 => {
                    let slow = &desks[nth];
                    let (alert, events) = slow.fold().get(id).unwrap();
                    if let Some(Wanted::Excluded { to, exclusions, .. }) = wanted(alert, events) {
                        let say = |exclusion| Entry {
                            partition: 0,
                            bytes: Record::Exclusion(exclusion).encode(),
                        };
                        journal
                            .append(
                                Stream::Tallies,
                                &exclusions.into_iter().map(say).collect::<Vec<_>>(),
                            )
                            .unwrap();
                        let noted = Noted { changes: events.len(), to: Some(to) };
                        journal
                            .put(Stream::Feeds, &[(key, Some(noted.written().into_bytes()))])
                            .unwrap();
                        desks[nth].noted.insert(id.to_owned(), noted);
                    }
                }
                _ => {
                    let desk = &mut desks[nth];
                    desk.read_on().unwrap();
                    let after = desk.fold().get(id).unwrap().1.len() as u32;
                    let change = if below(4) == 0 {
                        AlertChange {
                            after,
                            state: Some(Handling::Verifying),
                            note: format!("after {after}"),
                            ..AlertChange::default()
                        }
                    } else {
                        decided(after, Outcome::ALL[below(5) as usize])
                    };
                    let _ = desk.change(id, &change, "duty");
                }
            }
        }
        // Two more looks of everybody, or of one who has just come.
        desks.push(Desk::open(&journal, noon).unwrap());
        (0..2).for_each(|_| desks.iter_mut().for_each(|desk| desk.read_on().unwrap()));
        let mut out = out_in_the_end(&journal);
        out.sort();
        let leaves = |id: &&&str| {
            let events = desks[0].fold().get(id).unwrap().1;
            events.last().and_then(|event| event.outcome).is_some_and(Outcome::leaves_baselines)
        };
        assert_eq!(out, ids.iter().filter(leaves).copied().collect::<Vec<_>>());
    }
}

#[test]
fn a_log_that_has_ended_takes_no_exclusion() {
    let journal = MemoryJournal::new(1);
    tell(&journal, alert("a"));
    log::end(&journal).unwrap();
    let mut desk = Desk::open(&journal, noon).unwrap();
    desk.change("a", &decided(0, Outcome::Known), "duty").unwrap();
    assert_eq!(excluded(&journal), []);
}
