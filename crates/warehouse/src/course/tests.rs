//! The course of an alert from landed verdicts.

use record::alerts::Phase;
use record::time::HOUR;
use record::{AlertState, Record, Verdict, Version};

use super::*;
use crate::contract::{MONDAY, alert, verdict};
use crate::{Landing, Local};

#[test]
fn a_course_has_the_peak_the_latest_window_and_since_when_it_is_below_the_bound() {
    let sample = verdict("flu", "DE-BY");
    let length = sample.window_length;
    let open = Alert {
        topic: "flu".to_owned(),
        region: "DE-BY".to_owned(),
        method: sample.method.clone(),
        state: AlertState::Open,
        opened_at: MONDAY - length,
        window_end: MONDAY,
        window_length: length,
        ..alert("a")
    };
    let window = |hours: i64, observed: u32, is_alarm: bool, version: u64| {
        Record::Verdict(Verdict {
            window_end: MONDAY + hours * HOUR,
            observed,
            alarm: Some(is_alarm),
            version: Version(version),
            ..verdict("flu", "DE-BY")
        })
    };
    let folder = tempfile::tempdir().unwrap();
    let warehouse = Local::open(&folder.path().join("warehouse.sqlite")).unwrap();
    assert_eq!(course(&warehouse, &open).unwrap(), None);
    let days = length / HOUR;
    warehouse
        .write(
            &[
                window(-1, 900, true, 1),
                window(0, 20, true, 2),
                window(days, 80, true, 3),
                window(2 * days, 30, false, 4),
                window(3 * days, 25, false, 5),
            ],
            &[],
        )
        .unwrap();
    let found = course(&warehouse, &open).unwrap().unwrap();
    assert_eq!((found.peak.end, found.peak.observed), (MONDAY + length, 80));
    assert_eq!((found.latest.end, found.latest.observed), (MONDAY + 3 * length, 25));
    assert_eq!(found.below_since, Some(MONDAY + 2 * length));
    assert_eq!(found.phase, Phase::Steady);
    // Twelve hours after the peak, in windows of a day that overlap it.
    let point = |hours: i64, observed, is_alarm| Point {
        end: MONDAY + hours * HOUR,
        observed,
        expected: None,
        upperbound: None,
        is_alarm,
    };
    let phase = |points: &[Point]| Course::of(&open, points).unwrap().phase;
    let half = days / 2;
    assert_eq!(phase(&[point(0, 390, true), point(half, 200, true)]), Phase::Falling);
    assert_eq!(phase(&[point(0, 35, true), point(half, 31, false)]), Phase::Steady);
    assert_eq!(phase(&[point(0, 5, true), point(half, 31, true)]), Phase::Rising);
    let closed = Alert { state: AlertState::Closed, ..open.clone() };
    assert_eq!(course(&warehouse, &closed).unwrap().unwrap().phase, Phase::Ended);
    warehouse.write(&[window(4 * days, 90, true, 6)], &[]).unwrap();
    let found = course(&warehouse, &open).unwrap().unwrap();
    assert_eq!((found.phase, found.below_since), (Phase::Rising, None));
    assert_eq!(found.latest, found.peak);
}
