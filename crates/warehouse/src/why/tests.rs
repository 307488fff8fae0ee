//! Each thing that can stand between a series and an alert, on a warehouse of rows.

use record::kind::Kind;
use record::time::SECOND;
use record::{
    AlertEvent, Count, Grounds, Handling, Outcome, Record, Stage, TopicSetting, Verdict, Version,
};

use super::*;
use crate::contract::{MONDAY, alert, count, verdict};
use crate::{Landing, Local};

fn settings() -> Record {
    let topic = |id: &str, kind: Kind| TopicSetting {
        id: id.to_owned(),
        name: id.to_owned(),
        kind,
        pane: kind.pane(),
        windows: kind.windows().to_vec(),
    };
    Record::Settings(Settings {
        topics: vec![topic("flu", Kind::Disease), topic("hiv", Kind::Sensitive)],
        ..Settings::default()
    })
}

fn judged(observed: u32, expected: f64, bound: f64, alarm: Option<bool>) -> Verdict {
    Verdict {
        window_end: MONDAY + DAY,
        window_length: DAY,
        stage: Stage::Final,
        observed,
        expected: Some(expected),
        upperbound: Some(bound),
        alarm,
        reason: None,
        coverage: 1.0,
        ..verdict("flu", "FR")
    }
}

fn asked(topic: &str, region: &str, rows: &[Record]) -> WhyNot {
    let folder = tempfile::tempdir().unwrap();
    let warehouse = Local::open(&folder.path().join("warehouse.sqlite")).unwrap();
    warehouse.write(&[&[settings()], rows].concat(), &[]).unwrap();
    why_not(&warehouse, topic, region).unwrap()
}

fn holds(posts: u32, verdict: Verdict) -> (Vec<String>, Option<u32>) {
    let posts =
        Record::Count(Count { posts, authors: verdict.observed, ..count("flu", "FR", 3, 1) });
    let why = asked("flu", "fr", &[posts, Record::Verdict(verdict)]);
    (why.holds.iter().map(ToString::to_string).collect(), why.more())
}

#[test]
fn what_held_it_back_is_said_with_how_much_more_was_needed() {
    expect_test::expect![[r#"
        flu in FR: no alert
        window:    24 h to 2026-01-06T00:00:00Z (final)
        observed:  7 accounts, 9 posts
        expected:  5.2
        bound:     12.4 (eears)
        needed:    13 accounts, 6 more
        held back: bound: not above 12.4
        held back: floor: an alert takes 1.5 times what is expected, this is 1.3
    "#]]
    .assert_eq(
        &asked(
            "flu",
            "FR",
            &[
                Record::Count(Count { posts: 9, authors: 7, ..count("flu", "FR", 3, 1) }),
                Record::Verdict(Verdict {
                    method: "eears".to_owned(),
                    ..judged(7, 5.2, 12.4, Some(false))
                }),
            ],
        )
        .to_string(),
    );
    let floors = [
        "floor: an alert takes at least 3 accounts",
        "floor: an alert takes at least 5 posts, there are 2",
    ];
    assert_eq!(
        holds(2, judged(2, 0.1, 1.0, Some(true))),
        (floors.map(str::to_owned).to_vec(), Some(1))
    );
    let covered = |share| {
        holds(
            9,
            Verdict {
                coverage: share,
                reason: Some(Reason::Coverage),
                ..judged(7, 5.2, 6.0, None)
            },
        )
        .0
    };
    assert_eq!(
        covered(0.45),
        [
            "coverage: 45 % of the window was seen, 80 % are needed",
            "floor: an alert takes 1.5 times what is expected, this is 1.3"
        ]
    );
    let learning = Verdict {
        reason: Some(Reason::Learning),
        upperbound: None,
        expected: None,
        ..judged(9, 0.0, 0.0, None)
    };
    assert_eq!(
        holds(9, learning),
        (vec!["learning: a new installation gives no answer in its first days".to_owned()], None)
    );
    let few = Verdict {
        reason: Some(Reason::TooFewPosts),
        detectable_rise: Some(26.0),
        ..judged(3, 0.4, 4.0, None)
    };
    let said = [
        "too few posts: calm can't be told here, only 26 times what is expected would be seen",
        "bound: not above 4",
    ];
    assert_eq!(holds(9, few), (said.map(str::to_owned).to_vec(), Some(2)));
    let short = Verdict {
        reason: Some(Reason::BaselineTooShort),
        upperbound: None,
        expected: None,
        ..judged(9, 0.0, 0.0, None)
    };
    assert_eq!(
        holds(9, short),
        (vec!["history: too few earlier windows to compare with".to_owned()], None)
    );
    assert_eq!(
        holds(9, judged(9, 1.0, 4.0, Some(true))).0,
        ["nothing: it is above all of these, and its alert has not landed yet"]
    );
}

#[test]
fn what_was_never_judged_says_why() {
    let first = |topic: &str, region: &str, rows: &[Record]| {
        asked(topic, region, rows).holds[0].to_string()
    };
    assert_eq!(first("flue", "FR", &[]), "topic: nothing watches it; topics are `flu`, `hiv`");
    assert_eq!(first("flu", "FR-XX", &[]), "region: unknown; what is there counts as `FR`");
    assert_eq!(first("hiv", "FR-IDF", &[]), "kind: sensitive topics are not counted at this level");
    assert_eq!(
        first("hiv", "FR", &[]),
        "floor: of sensitive topics nothing is told below 20 accounts"
    );
    assert_eq!(first("flu", "FR", &[]), "no posts: none of the topic was ever counted here");
    assert_eq!(
        first("flu", "FR", &[Record::Count(count("flu", "FR", 3, 1))]),
        "not judged: no window has closed since its first post"
    );
}

#[test]
fn before_anything_has_landed_nothing_is_known_of_topics() {
    let folder = tempfile::tempdir().unwrap();
    let warehouse = Local::open(&folder.path().join("warehouse.sqlite")).unwrap();
    assert_eq!(why_not(&warehouse, "flu", "FR").unwrap().holds, [Hold::NothingYet]);
}

#[test]
fn days_that_people_took_out_of_the_baseline_are_named_until_they_are_back() {
    let told = |region: &str, days: i64, outcomes: &[Outcome]| {
        let mut raised = alert("past");
        raised.topic = "flu".to_owned();
        raised.region = region.to_owned();
        raised.regions = vec!["001".to_owned(), region.to_owned()];
        raised.opened_at = MONDAY - (days + 1) * DAY;
        raised.window_end = MONDAY - days * DAY;
        raised.state = AlertState::Closed;
        let decided = (0..).zip(outcomes).map(|(after, outcome)| {
            let (alert, state, outcome) = ("past".to_owned(), Handling::Decided, Some(*outcome));
            Record::AlertEvent(AlertEvent {
                alert,
                after,
                state,
                outcome,
                actor: "duty".to_owned(),
                ..AlertEvent::default()
            })
        });
        let posts = Record::Count(Count { posts: 9, authors: 7, ..count("flu", "FR", 3, 1) });
        let rows =
            [posts, Record::Verdict(judged(7, 5.2, 12.4, Some(false))), Record::Alert(raised)];
        asked("flu", "FR", &rows.into_iter().chain(decided).collect::<Vec<_>>())
    };
    let event = [Outcome::HealthEvent];
    let out = told("FR", 9, &event).to_string();
    assert!(
        out.ends_with(
            "baseline:  without 2025-12-26T00:00:00Z to 2025-12-27T00:00:00Z, which \
        alert past took out\n"
        ),
        "{out}"
    );
    assert_eq!(told("001", 9, &event).excluded.len(), 1, "the world covers France");
    for (region, days, outcomes) in [
        ("FR", 9, &[Outcome::TalkOnly][..]),
        ("FR", 9, &[Outcome::Known, Outcome::TalkOnly]),
        ("DE", 9, &event),
        ("FR", 90, &event),
        ("FR", 9, &[]),
    ] {
        assert_eq!(
            told(region, days, outcomes).excluded,
            [],
            "{region} {days} days ago, {outcomes:?}"
        );
    }
}

#[test]
fn an_alert_of_the_time_is_named() {
    let found = |regions: &[&str], state: AlertState, observed: u32| {
        let mut raised = alert("a1");
        raised.topic = "flu".to_owned();
        raised.region = regions[0].to_owned();
        raised.regions = regions.iter().map(|region| (*region).to_owned()).collect();
        raised.opened_at = MONDAY;
        raised.window_end = MONDAY + DAY;
        raised.state = state;
        raised.version = Version(9);
        raised.grounds = Box::new(Grounds {
            suspect: vec![Suspect::NearCopies],
            provisional: true,
            ..Grounds::default()
        });
        let posts = Record::Count(Count {
            posts: 30,
            authors: observed,
            pane_start: MONDAY + 3600 * SECOND,
            ..count("flu", "FR", 3, 1)
        });
        asked(
            "flu",
            "FR",
            &[
                posts,
                Record::Verdict(judged(observed, 2.0, 8.0, Some(observed > 8))),
                Record::Alert(raised),
            ],
        )
    };
    let own = found(&["FR", "FR-IDF"], AlertState::Open, 20).to_string();
    assert!(
        own.starts_with("flu in FR: in an alert")
            && own.contains("alert:     a1 (open), headed FR"),
        "{own}"
    );
    assert!(own.contains("suspect (near-copies)") && own.contains("first fortnight"), "{own}");
    let joined = found(&["DE"], AlertState::Open, 20).holds;
    assert_eq!(joined, [Hold::Joined { alert: "a1".to_owned(), region: "DE".to_owned() }]);
    let withdrawn = found(&["FR"], AlertState::Withdrawn, 3).holds;
    assert_eq!(
        withdrawn[..2],
        [Hold::Withdrawn { alert: "a1".to_owned() }, Hold::Bound { bound: 8.0 }]
    );
}
