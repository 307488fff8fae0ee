use journal::memory::MemoryJournal;
use record::time::MINUTE;
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
    journal.append(Stream::Alerts, &[Entry { partition: 0, bytes: Record::Alert(alert).encode() }]).unwrap();
}

fn decided(after: u32, outcome: Outcome) -> AlertChange {
    AlertChange { after, state: Some(Handling::Decided), outcome: Some(outcome), ..AlertChange::default() }
}

fn excluded(journal: &dyn Journal) -> Vec<Exclusion> {
    let batch = journal.read(Stream::Tallies, 0, 0, READ_BYTES_MAX, Duration::ZERO).unwrap();
    let records = batch.records.iter().map(|(_, bytes)| Record::decode(bytes).unwrap());
    records.filter_map(|record| if let Record::Exclusion(exclusion) = record { Some(exclusion) } else { None }).collect()
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
                        let change = AlertChange { after, note: format!("by {writer}"), ..AlertChange::default() };
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
        let claimed: Vec<String> =
            winners.iter().enumerate().filter(|(_, won)| won.contains(&(after as u32))).map(|(writer, _)| writer.to_string()).collect();
        assert_eq!(claimed, std::slice::from_ref(&event.actor), "exactly the writer of change {after} was told that it holds");
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
    assert!(found.iter().all(|one| one.topic == "fever" && one.from == NOON - DAY && one.to == NOON && one.valid_from == NOON + HOUR));
    desk.change("a", &AlertChange { after: 1, note: "told the state".to_owned(), ..AlertChange::default() }, "duty").unwrap();
    let mut other = Desk::open(&journal, noon).unwrap();
    other.read_on().unwrap();
    assert_eq!(excluded(&journal), found, "once");
    tell(&journal, Alert { revision: 1, window_end: NOON + 5 * HOUR, version: Version(2), ..alert("a") });
    desk.read_on().unwrap();
    assert_eq!(excluded(&journal)[2..].iter().map(|one| one.to).collect::<Vec<_>>(), [NOON + 5 * HOUR; 2]);
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
