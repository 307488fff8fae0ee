use proptest::prelude::*;
use record::time::{DAY, HOUR, MINUTE};
use record::{Grounds, Suspect};

use super::*;
use crate::sample::{TUESDAY, fever, subscription};

fn once_a_month() -> Alert {
    Alert { recurrence: Some(30.0), ..fever() }
}

proptest! {
    /// In no span of time do more go at once than the tokens refilled in it, and the two that may
    /// have gathered before it.
    #[test]
    fn no_span_has_more_than_its_tokens_and_the_burst(a_week in 1u32..20, waits in proptest::collection::vec(0i64..4 * DAY, 1..120)) {
        let mut budget = Budget::new(a_week, TUESDAY);
        let mut now = TUESDAY;
        let mut went = Vec::new();
        for wait in waits {
            now += wait;
            if budget.take(a_week, now) {
                went.push(now);
            }
        }
        for (from, first) in went.iter().enumerate() {
            for (to, last) in went.iter().enumerate().skip(from) {
                let refilled = (i128::from(last - first) * i128::from(a_week)) / i128::from(WEEK);
                prop_assert!((to - from + 1) as i128 <= refilled + i128::from(BURST) + 1 && (to - from + 1) as i128 <= refilled + 1 + i128::from(BURST));
                // Evenly: a week never has more than its number and the burst.
                prop_assert!(last - first >= WEEK || (to - from + 1) as u32 <= a_week + BURST);
            }
        }
    }

    /// Whoever comes no faster than tokens do always finds one; and waiting never costs one.
    #[test]
    fn whoever_is_slow_enough_is_never_held_back(a_week in 1u32..20, extra in proptest::collection::vec(0i64..DAY, 1..60)) {
        let mut budget = Budget::new(a_week, TUESDAY);
        let mut now = TUESDAY;
        for extra in extra {
            now += WEEK / i64::from(a_week) + extra;
            prop_assert!(budget.take(a_week, now));
        }
    }

    /// Against a bucket that is filled microtoken by microtoken, an hour at a time.
    #[test]
    fn tokens_are_those_of_a_naive_bucket(a_week in prop::sample::select(vec![1u32, 2, 3, 4, 6, 7, 8, 12, 14]), asks in proptest::collection::vec(0i64..60, 1..100)) {
        let mut budget = Budget::new(a_week, TUESDAY);
        // In token-hours: a token costs as many as a week has.
        let (cost, mut bucket) = (168, 2 * 168);
        let mut now = TUESDAY;
        for hours in asks {
            for _ in 0..hours {
                bucket = (bucket + i64::from(a_week)).min(2 * cost);
            }
            now += hours * HOUR;
            let naive = bucket >= cost;
            if naive {
                bucket -= cost;
            }
            prop_assert_eq!(budget.take(a_week, now), naive);
        }
    }

    /// A clock that jumps about gives no token twice.
    #[test]
    fn a_clock_set_back_gives_nothing(a_week in 1u32..10, jumps in proptest::collection::vec(-3i64..3, 1..60)) {
        let mut budget = Budget::new(a_week, TUESDAY);
        let (mut now, mut latest, mut went) = (TUESDAY, TUESDAY, 0i64);
        for jump in jumps {
            now += jump * DAY;
            latest = latest.max(now);
            went += i64::from(budget.take(a_week, now));
        }
        prop_assert!(went <= (latest - TUESDAY) * i64::from(a_week) / WEEK + i64::from(BURST));
    }

    /// A night is never disturbed, but for `always`; and nobody waits longer than it lasts.
    #[test]
    fn nights_are_quiet(minutes in 0i64..7 * 24 * 60, rare in any::<bool>()) {
        let subscriber = subscription("quiet = \"22:00-06:00\"");
        let now = TUESDAY + minutes * MINUTE;
        let mut budget = Budget::new(3, now);
        let alert = Alert { recurrence: Some(if rare { 900.0 } else { 30.0 }), ..fever() };
        let Planned::AtOnce { from } = plan(&subscriber, &alert, &mut budget, now) else { panic!("there are tokens") };
        let local = subscriber.zone.local(from);
        prop_assert!((6 * 60..22 * 60).contains(&local.minute), "{local:?}");
        prop_assert!(from >= now && from - now <= 8 * HOUR);
        let always = subscription("quiet = \"22:00-06:00\"\nalways = [\"fever\"]");
        prop_assert_eq!(plan(&always, &alert, &mut budget, now), Planned::AtOnce { from: now });
    }
}

#[test]
fn without_a_token_it_waits_for_the_digest_unless_it_is_rare() {
    let subscriber = subscription("a-week = 1\ndigest-at = \"08:00\"");
    let mut budget = Budget::new(1, TUESDAY);
    let digest = Planned::Digest { at: record::time::parse("2026-01-14T07:00:00Z").unwrap() };
    let at_once = Planned::AtOnce { from: TUESDAY };
    let mut planned = |alert: &Alert| plan(&subscriber, alert, &mut budget, TUESDAY);
    assert_eq!(
        [planned(&once_a_month()), planned(&once_a_month())],
        [at_once; 2],
        "a burst of two"
    );
    assert_eq!(planned(&once_a_month()), digest);
    assert_eq!(planned(&Alert { recurrence: Some(366.0), ..fever() }), at_once);
    assert_eq!(
        planned(&Alert { recurrence: Some(365.0), ..fever() }),
        digest,
        "once a year is not rarer than a year"
    );
}

#[test]
fn what_is_doubtful_is_never_sent_at_once() {
    let subscriber = subscription(
        "always = [\"fever\"]\nwhen = \"weekly\"\ndigest-day = \"friday\"\ndigest-at = \"09:30\"",
    );
    let mut budget = Budget::new(3, TUESDAY);
    let friday = Planned::Digest { at: record::time::parse("2026-01-16T08:30:00Z").unwrap() };
    let mut planned = |alert: &Alert| plan(&subscriber, alert, &mut budget, TUESDAY);
    let suspect = Grounds { suspect: vec![Suspect::OneAccount], ..Grounds::default() };
    assert_eq!(planned(&Alert { grounds: Box::new(suspect), ..fever() }), friday);
    let provisional = || Box::new(Grounds { provisional: true, ..Grounds::default() });
    assert_eq!(
        planned(&Alert { grounds: provisional(), observed: 23, ..fever() }),
        friday,
        "3.8 times is not 5"
    );
    let at_once = Planned::AtOnce { from: TUESDAY };
    assert_eq!(planned(&Alert { grounds: provisional(), observed: 30, ..fever() }), at_once);
    assert_eq!(planned(&fever()), at_once, "`always` goes at once for a reader of digests too");
}

#[test]
fn no_token_a_week_is_none() {
    let mut budget = Budget::new(0, TUESDAY);
    assert!(!(0..100).any(|week| budget.take(0, TUESDAY + week * WEEK)));
}
