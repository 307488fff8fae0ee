//! A snoozed alert that watch says nothing new of, and the verdicts of its series.

use record::time::{DAY, HOUR};
use record::{Handling, Record, Snooze, Verdict, Version};

use super::*;
use crate::contract::{MONDAY, alert, verdict};
use crate::{Landing, Local};

fn window(hours: i64, observed: u32, version: u64) -> Record {
    let (window_end, expected) = (MONDAY + hours * HOUR, Some(5.0));
    Record::Verdict(Verdict {
        window_end,
        observed,
        expected,
        version: Version(version),
        ..verdict("flu", "DE-BY")
    })
}

#[test]
fn what_has_doubled_since_it_was_snoozed_is_awake_whether_or_not_it_was_told_anew() {
    let sample = alert("a");
    let snoozed = AlertEvent {
        alert: "a".to_owned(),
        at: MONDAY + HOUR / 2,
        state: Handling::Triaged,
        snooze: Some(Snooze { until: MONDAY + 3 * DAY, ratio: 4.0 }),
        ..AlertEvent::default()
    };
    let open = Alert {
        topic: "flu".to_owned(),
        region: "DE-BY".to_owned(),
        method: verdict("flu", "DE-BY").method,
        state: AlertState::Open,
        window_end: MONDAY,
        window_length: verdict("flu", "DE-BY").window_length,
        ..sample
    };
    let woken = |rows: &[Record], alert: &Alert, events: &[AlertEvent]| {
        let folder = tempfile::tempdir().unwrap();
        let warehouse = Local::open(&folder.path().join("warehouse.sqlite")).unwrap();
        warehouse.write(rows, &[]).unwrap();
        woken(&warehouse, alert, events).unwrap().map(|judged| (judged.end, judged.observed))
    };
    let events = [snoozed.clone()];
    // Twice 4 times 5 expected is 40.
    assert_eq!(woken(&[window(1, 39, 1)], &open, &events), None);
    assert_eq!(
        woken(&[window(1, 40, 1), window(2, 55, 2), window(3, 30, 3)], &open, &events),
        Some((MONDAY + 2 * HOUR, 55))
    );
    assert_eq!(woken(&[window(-1, 80, 1)], &open, &events), None, "before what it was raised by");
    assert_eq!(
        woken(&[window(0, 41, 1)], &open, &events),
        Some((MONDAY, 41)),
        "the window that was still open"
    );
    assert_eq!(
        woken(&[window(1, 80, 1)], &Alert { state: AlertState::Closed, ..open.clone() }, &events),
        None
    );
    assert_eq!(woken(&[window(1, 80, 1)], &open, &[AlertEvent { snooze: None, ..snoozed }]), None);
    assert_eq!(woken(&[window(1, 80, 1)], &open, &[]), None);
}
