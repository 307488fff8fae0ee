use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use journal::Stream;
use web::Metrics;

use super::{Landed, LandingProbe};

fn at(counts: u64, alerts: u64) -> BTreeMap<Stream, u64> {
    BTreeMap::from([(Stream::Counts, counts), (Stream::Alerts, alerts)])
}

#[test]
fn landing_lag_is_the_age_of_the_last_look_that_landed() {
    let began = Instant::now();
    let mut probe = LandingProbe::default();
    let mut look = |seconds: u64, ends, landed| {
        probe.look(began + Duration::from_secs(seconds), ends, &landed).map(|lag| lag.as_secs())
    };
    assert_eq!(
        look(0, at(10, 1), at(4, 1)),
        Some(0),
        "the first look finds a backlog of unknown age"
    );
    assert_eq!(look(5, at(12, 1), at(4, 1)), Some(5));
    assert_eq!(look(10, at(14, 2), at(12, 1)), Some(5), "what the second look found has landed");
    assert_eq!(look(15, at(14, 2), at(14, 1)), Some(10), "all streams count");
    assert_eq!(look(20, at(14, 2), at(14, 2)), Some(0));
    // Not landed for a day: looks are bounded, the lag is not.
    for minute in 1..=24 * 60 {
        look(20 + 60 * minute, at(100 + minute, 2), at(14, 2));
    }
    assert_eq!(look(20 + 60 * 24 * 60, at(9_999, 2), at(14, 2)), Some(60 * 24 * 60));
}

#[test]
fn landing_lag_is_shown_by_the_one_that_lands() {
    let metrics = Arc::new(Metrics::default());
    let landed = Landed::new(&metrics);
    let shows = || metrics.render().contains("\npumphandle_landing_lag_seconds ");
    assert!(!shows(), "a standby does not know");
    landed.begun();
    landed.landed(3, Instant::now());
    assert!(shows());
    landed.lost();
    assert!(!shows());
}
