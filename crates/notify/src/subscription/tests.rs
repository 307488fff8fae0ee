use record::{Grounds, Handling, Outcome, Suspect};

use super::*;
use crate::sample::{Europe, TUESDAY, fever, subscription};

#[test]
fn every_mistake_is_told_at_once_with_its_line() {
    let text = "
[[subscription]]
name = \"Bavaria!\"
channel = \"mail\"
to = [\"nobody\"]
zone = \"Europe/Atlantis\"
quiet = \"night\"
kinds = [\"symptoms\"]

[[subscription]]
name = \"ok\"
channel = \"stdout\"

[[subscription]]
name = \"ok\"
channel = \"pigeon\"
language = \"nl\"
rarity = \"decade\"
";
    let mistakes = parse_subscriptions("a.toml", text, Path::new("/etc")).unwrap_err();
    let told: Vec<String> = mistakes
        .iter()
        .map(|mistake| format!("{}: {}", mistake.place.line(), mistake.message))
        .collect();
    assert_eq!(
        told,
        [
            "2: subscription `Bavaria!`: a name is small letters, digits and hyphens, at most 60",
            "2: subscription `Bavaria!`: `nobody` is no mail address",
            "2: subscription `Bavaria!`: unknown time zone `Europe/Atlantis`",
            "2: subscription `Bavaria!`: `quiet = \"night\"` is no span",
            "2: subscription `Bavaria!`: unknown kind `symptoms`",
            "14: subscription `ok`: the name is taken",
            "14: subscription `ok`: unknown rarity `decade`",
            "14: subscription `ok`: unknown language `nl`",
            "14: subscription `ok`: unknown channel `pigeon`, or one that has no `url`",
        ]
    );
    let syntax = parse_subscriptions(
        "a.toml",
        "[[subscription]]\nname = \"a\"\nchanel = \"stdout\"\n",
        Path::new("/etc"),
    )
    .unwrap_err();
    assert_eq!(
        (syntax[0].place.line(), syntax[0].message.contains("chanel")),
        (3, true),
        "{syntax:?}"
    );
}

#[test]
fn a_region_covers_what_stands_below_it() {
    let covers = |lines: &str, region: &str| {
        subscription(lines).covers(&Alert { region: region.to_owned(), ..fever() }, &[], &Europe)
    };
    assert!(
        covers("regions = [\"DE\"]", "DE-BY")
            && covers("regions = [\"001\"]", "DE-BY")
            && covers("", "ZZ")
    );
    assert!(!covers("regions = [\"DE-BY\"]", "DE") && !covers("regions = [\"FR\"]", "DE-BY"));
    assert!(covers("topics = [\"measles\"]\nalways = [\"fever\"]", "DE"));
    assert!(
        !covers("topics = [\"measles\"]", "DE")
            && covers("kinds = [\"symptom\"]", "DE")
            && !covers("kinds = [\"disease\"]", "DE")
    );
    let rarer = |lines: &str, days| {
        subscription(lines).covers(&Alert { recurrence: days, ..fever() }, &[], &Europe)
    };
    assert!(
        rarer("rarity = \"year\"", Some(366.0))
            && !rarer("rarity = \"year\"", Some(91.0))
            && rarer("rarity = \"year\"", None)
    );
}

#[test]
fn a_public_channel_carries_no_few_no_doubtful_and_no_sensitive() {
    let public = Subscription { audience: Audience::Public, ..subscription("") };
    let official = subscription("");
    let cases = [
        (Alert { observed: 11, ..fever() }, true),
        (Alert { observed: 10, ..fever() }, false),
        (Alert { topic: "hiv".to_owned(), observed: 40, ..fever() }, false),
        (Alert { topic: "flood".to_owned(), observed: 40, ..fever() }, false),
        (Alert { topic: "of nobody".to_owned(), observed: 40, ..fever() }, false),
        (
            Alert {
                grounds: Box::new(Grounds {
                    suspect: vec![Suspect::NearCopies],
                    ..Grounds::default()
                }),
                ..fever()
            },
            false,
        ),
    ];
    for (alert, expected) in cases {
        assert_eq!(
            public.covers(&alert, &[], &Europe),
            expected,
            "{} {}",
            alert.topic,
            alert.observed
        );
        assert!(official.covers(&alert, &[], &Europe));
    }
    // A crisis only once a person has verified it; what is sensitive never.
    let decided = |outcome| AlertEvent {
        outcome: Some(outcome),
        state: Handling::Decided,
        ..AlertEvent::default()
    };
    let seen = |topic: &str, observed, outcome| {
        public.covers(
            &Alert { topic: topic.to_owned(), observed, ..fever() },
            &[decided(outcome)],
            &Europe,
        )
    };
    assert!(seen("flood", 11, Outcome::HealthEvent) && !seen("flood", 10, Outcome::HealthEvent));
    assert!(!seen("flood", 40, Outcome::TalkOnly) && !seen("hiv", 40, Outcome::HealthEvent));
    assert_eq!(Audience::default(), Audience::Public);
    let Face { alert: shown, rise } =
        public.face(&Alert { observed: 23, posts: 27, ..fever() }, &[], &Europe).unwrap();
    assert_eq!(
        (shown.observed, shown.posts, shown.population, rise),
        (0, 0, 0, Some(Rise::Several))
    );
    assert_eq!(
        (shown.regions, shown.explanation),
        (vec!["DE-BY".to_owned()], record::Explanation::default())
    );
    assert_eq!(public.face(&Alert { observed: 10, ..fever() }, &[], &Europe), None);
    assert_eq!(official.face(&fever(), &[], &Europe), Some(Face { alert: fever(), rise: None }));
}

#[test]
fn turns_change_at_the_hour_in_their_own_zone() {
    let lines = "channel = \"mail\"\nto = [\"ann@example.org\", \"bo@example.org\", \
        \"cy@example.org\"]\nrota = { starts = \"2026-01-05\", days = 7, hands-over = \"08:00\" }";
    let subscription = subscription(lines);
    let Channel::Mail { to } = &subscription.channel else { panic!("a mail") };
    let on_duty = |text: &str| to.at(&subscription.zone, record::time::parse(text).unwrap());
    assert_eq!(on_duty("2026-01-05T07:00:00Z"), ["ann@example.org"]);
    assert_eq!(on_duty("2026-01-12T06:59:00Z"), ["ann@example.org"]);
    assert_eq!(on_duty("2026-01-12T07:00:00Z"), ["bo@example.org"]);
    assert_eq!(on_duty("2026-01-26T12:00:00Z"), ["ann@example.org"]);
    assert_eq!(
        on_duty("2026-01-01T12:00:00Z"),
        ["cy@example.org"],
        "before its start it runs backwards"
    );
    assert_eq!(to.at(&subscription.zone, TUESDAY), ["bo@example.org"]);
}

#[test]
fn what_is_written_of_a_subscription_reads_as_the_same_again() {
    let lines = [
        "channel = \"feed\"\naudience = \"public\"\nkinds = [\"symptom\", \"crisis\"]\nrarity = \
            \"quarter\"\nzone = \"Asia/Tokyo\"",
        "channel = \"mail\"\nto = [\"a@example.org\", \"b@example.org\"]\nrota = { starts = \
            \"2026-01-05\", days = 3 }\nquiet = \"22:00-06:05\"\n\
         when = \"weekly\"\ndigest-day = \"friday\"\ndigest-at = \"07:30\"\na-week = 0\nalways = \
         [\"measles\"]\nlanguage = \"de\"\n\
         heartbeat = true\nescalate-after = \"90m\"\ndeputies = [\"c@example.org\"]\nregions = \
         [\"DE-BY\", \"lang:de\"]\ntopics = [\"fever\"]",
    ];
    for line in lines {
        let text = format!("[[subscription]]\nname = \"test\"\n{line}");
        let subscription = parse_subscriptions("a.toml", &text, Path::new("")).unwrap().remove(0);
        assert_eq!(
            of_page(subscription.written()).as_ref(),
            Ok(&subscription),
            "{}",
            subscription.written()
        );
    }
}

#[test]
fn a_page_may_name_no_machine_and_no_file_and_is_told_all_mistakes() {
    let refused = |json: Value| of_page(json).unwrap_err().join("; ");
    let webhook = serde_json::json!({ "name": "a", "channel": "webhook", "url": "https://example.org", "secret-files": ["/etc/shadow"] });
    assert!(refused(webhook).contains("other channels stand in files"));
    let several = serde_json::json!({ "name": "A \
        b", "channel": "mail", "to": ["nobody"], "zone": "Mars", "language": "xx" });
    let said = refused(several);
    for part in [
        "small letters",
        "`nobody` is no mail address",
        "unknown time zone `Mars`",
        "unknown language `xx`",
    ] {
        assert!(said.contains(part), "{said}");
    }
    assert!(
        refused(serde_json::json!({ "name": "a", "channel": "feed", "chanel": 1 }))
            .contains("chanel")
    );
    let many: Vec<String> = (0..201).map(|n| format!("t{n}")).collect();
    assert!(
        refused(serde_json::json!({ "name": "a", "channel": "feed", "topics": many }))
            .contains("at most 200")
    );
    // What stands in a file is shown without what may be secret.
    let text = "[[subscription]]\nname = \"hook\"\nchannel = \"webhook\"\nurl = \
        \"https://user:pass@hooks.example.org/T0/secret\"\nsecret-files = [\"key\"]";
    let shown = parse_subscriptions("a.toml", text, Path::new("/etc"))
        .unwrap()
        .remove(0)
        .written()
        .to_string();
    assert!(
        shown.contains("hooks.example.org")
            && !shown.contains("secret")
            && !shown.contains("pass")
            && !shown.contains("key"),
        "{shown}"
    );
}
