use std::sync::Arc;

use lexicon::Lexicon;
use proptest::prelude::*;
use record::time::{DAY, HOUR, SECOND};
use record::{FeedSetting, Op, PostId, Voice};

use super::*;

const FLU: &str = r#"
[[topic]]
id = "influenza"
kind = "disease"
name = "Influenza"
tags = { any = ["flu"] }
phrases = { en = ["caught the flu"] }

[[topic]]
id = "hiv"
kind = "sensitive"
name = "HIV"
tags = { any = ["hiv"] }
"#;

/// 2026-01-05T09:00:00Z, a Monday.
const NINE: Micros = 1_767_603_600 * SECOND;

pub(crate) fn settings() -> IntakeSettings {
    let topics = lexicon::parse("flu.toml", FLU).unwrap().topics;
    let settings = Settings {
        partitions: 4,
        feeds: vec![FeedSetting::new("f", true)],
        regions: vec![
            OwnRegion { code: "x:flood".to_owned(), parent: None },
            OwnRegion { code: "DE-BE-MITTE".to_owned(), parent: Some("DE-BE".to_owned()) },
        ],
        ..Settings::default()
    };
    IntakeSettings::of(
        &settings,
        0,
        Key::new([1; 32]),
        AuthorKeys::new(Key::new([2; 32])),
        Arc::new(Lexicon::new(topics).unwrap()),
    )
}

fn post_of(outcome: Outcome) -> Post {
    match outcome {
        Outcome::Post { post, .. } => post,
        Outcome::Ignored { kind, .. } => panic!("ignored: {}", kind.name()),
    }
}

fn read(line: &str) -> Post {
    post_of(Intake::new(settings()).read(line.as_bytes(), None).unwrap())
}

/// A line of our schema with further fields.
fn ours(fields: &str) -> String {
    format!(
        r#"{{"id":"1","author":"a","created_at":1767603600{}{fields}}}"#,
        if fields.is_empty() { "" } else { "," }
    )
}

fn jetstream(did: &str, time_us: Micros, created: Micros, body: &str) -> String {
    format!(
        r#"{{"did":"{did}","time_us":{time_us},"kind":"commit","commit":{{"operation":"create","collection":"app.bsky.feed.post","rkey":"k","record":{{"createdAt":"{}",{body}}}}}}}"#,
        record::time::display(created)
    )
}

#[test]
fn a_post_keeps_no_text_and_all_that_is_counted() {
    let post = read(&ours(
        r##""text":"I caught the FLU, see https://x.example","tags":["#FluSeason2026"],"langs":["en-GB","DE","en","x-klingon"],"region":"us-tx","url":"https://www.Example.org:8080/a?b""##,
    ));
    assert_eq!((post.settings, post.feed, post.op), (1, 0, Op::Create));
    assert_eq!((post.event_time, post.arrival), (NINE, NINE));
    assert_eq!(post.path(), "US/US-TX");
    assert_eq!(post.langs, ["de", "en"]);
    assert_eq!(post.tags.iter().map(|tag| &*tag.key).collect::<Vec<_>>(), ["fluseason2026"]);
    let topics =
        post.topics.iter().map(|topic| (&*topic.id, topic.keys.clone())).collect::<Vec<_>>();
    assert_eq!(topics, [("influenza", vec!["flu".to_owned()])]);
    assert_eq!(post.link_domain.as_deref(), Some("example.org"));
    assert_ne!(post.simhash, 0);
    assert_eq!(post.flags, Flags::default());
    let bytes = record::wire::encode_post(&post);
    assert!(!bytes.windows(6).any(|window| window == b"caught"));
}

#[test]
fn a_post_on_a_sensitive_topic_holds_its_topics_only() {
    let settings = IntakeSettings { private: BTreeSet::from(["hiv".to_owned()]), ..settings() };
    let line = ours(
        r##""text":"tested, and the flu","tags":["#FluSeason2026","HIV","Berlin"],"url":"https://example.org""##,
    );
    let post = post_of(Intake::new(settings).read(line.as_bytes(), None).unwrap());
    let topics = post.topics.iter().map(|topic| (&*topic.id, topic.keys.len())).collect::<Vec<_>>();
    assert_eq!(topics, [("influenza", 0), ("hiv", 0)]);
    assert_eq!((post.tags, post.link_domain, post.simhash), (vec![], None, 0));
}

#[test]
fn a_record_holds_whole_seconds_and_what_microseconds_decided() {
    let horizon = settings().horizon;
    let read = |arrival: Micros, created: Micros| {
        let line = jetstream("d", arrival, created, r#""text":"""#);
        let outcome = Intake::new(settings()).read(line.as_bytes(), None).unwrap();
        assert_eq!(outcome.arrival(), Some(arrival), "how far the feed has come is not rounded");
        post_of(outcome)
    };
    let post = read(NINE + 1_999_999, NINE + 999_999);
    assert_eq!(
        (post.arrival, post.event_time, post.flags),
        (NINE + SECOND, NINE, Flags::default())
    );
    // Both lie in one second, before and after the border.
    let (last, late) = (
        read(NINE + 500_000, NINE + 500_000 - horizon),
        read(NINE + 500_000, NINE + 499_999 - horizon),
    );
    assert_eq!((last.event_time, last.flags.late), (late.event_time, false));
    assert!(late.flags.late);
    let (at, past) = (read(NINE, NINE + AHEAD_MAX), read(NINE, NINE + AHEAD_MAX + 1));
    assert_eq!((at.flags.clamped, past.flags.clamped, past.event_time), (false, true, NINE));
    let removal = post_of(Intake::new(settings()).removal("bluesky", "d", NINE + 1));
    assert_eq!(removal.arrival, NINE + SECOND, "what was posted within the second goes, too");
}

#[test]
fn authors_stay_the_same_when_old_keys_are_destroyed() {
    let (mut whole, mut intake) = (Intake::new(settings()), Intake::new(settings()));
    let mut authors = settings().authors;
    let needed = NINE - settings().horizon - settings().longest_window;
    assert!(authors.forget_before(needed, settings().author_epoch));
    intake.set_authors(&authors);
    let line =
        |created: Micros| format!(r#"{{"id":"1","author":"a","created_at":{}}}"#, created / SECOND);
    for created in [NINE, NINE - settings().horizon, needed, NINE + 60 * DAY] {
        let read =
            |intake: &mut Intake| post_of(intake.read(line(created).as_bytes(), None).unwrap());
        let (one, other) = (read(&mut whole), read(&mut intake));
        assert_eq!(
            (one.author, one.author_before.filter(|_| created > needed)),
            (other.author, other.author_before.filter(|_| created > needed))
        );
    }
}

#[test]
fn a_post_without_topic_keeps_its_tags_only() {
    let post = read(&ours(r##""text":"Sunset at #Nice","url":"https://example.org""##));
    assert_eq!(post.tags, [record::Tag { key: "nice".to_owned(), written: "Nice".to_owned() }]);
    assert_eq!((post.topics, post.link_domain, post.simhash), (vec![], None, 0));
}

#[test]
fn a_later_event_than_its_arrival_is_clamped_after_five_minutes() {
    let at = |created: Micros| read(&jetstream("d", NINE, created, r#""text":"""#));
    let post = at(NINE + 5 * MINUTE);
    assert_eq!((post.event_time, post.flags.clamped), (NINE + 5 * MINUTE, false));
    let post = at(NINE + 5 * MINUTE + SECOND);
    assert_eq!((post.event_time, post.arrival, post.flags.clamped), (NINE, NINE, true));
    let post = at(NINE - 100 * DAY);
    assert_eq!(
        (post.event_time, post.arrival),
        (NINE - 100 * DAY, NINE),
        "lateness is not judged here"
    );
}

#[test]
fn a_stamp_ahead_of_our_clock_becomes_our_clock() {
    let mut intake = Intake::new(settings());
    let mut at = |time_us: Micros, now: Option<Micros>| {
        post_of(
            intake.read(jetstream("d", time_us, time_us, r#""text":"""#).as_bytes(), now).unwrap(),
        )
    };
    assert_eq!(at(NINE + MINUTE, Some(NINE)).arrival, NINE + MINUTE);
    let post = at(NINE + 2 * MINUTE, Some(NINE));
    assert_eq!(
        (post.arrival, post.event_time, post.flags.clamped),
        (NINE, NINE + 2 * MINUTE, false)
    );
    let post = at(NINE + 6 * MINUTE, Some(NINE));
    assert_eq!((post.arrival, post.event_time, post.flags.clamped), (NINE, NINE, true));
    assert_eq!(at(NINE + DAY, None).arrival, NINE + DAY, "a file has no clock");
    let own = post_of(intake.read(ours("").as_bytes(), Some(NINE - DAY)).unwrap());
    assert_eq!((own.arrival, own.event_time), (NINE - DAY, NINE - DAY));
    assert_eq!(intake.take_ahead(), Some(DAY));
    assert_eq!(intake.take_ahead(), None, "asked of the last line only");
}

#[test]
fn a_stored_line_dated_ahead_came_with_the_line_before_it() {
    let line = |at: Micros| format!(r#"{{"id":"1","author":"a","created_at":{}}}"#, at / SECOND);
    let mut intake = Intake::new(settings());
    let mut read = |at: Micros, now: Micros| {
        intake.read_stored(line(at).as_bytes(), now).map(|outcome| outcome.arrival().unwrap())
    };
    let year_2099 = 4_070_908_800 * SECOND;
    let now = NINE + 30 * DAY;
    assert_eq!(
        read(year_2099, now).unwrap_err().reason,
        RejectReason::Arrival,
        "nothing tells when it came"
    );
    assert_eq!(read(NINE, now), Ok(NINE));
    assert_eq!(read(year_2099, now), Ok(NINE));
    assert_eq!(read(now + 2 * MINUTE, now), Ok(NINE));
    assert_eq!(read(NINE + DAY, now), Ok(NINE + DAY), "what comes later is taken as it is");
    // Among lines of today it came now.
    assert_eq!(read(now, now), Ok(now));
    assert_eq!(read(year_2099, now + SECOND), Ok(now + SECOND));
    // A collector whose clock is ahead: its lines come now, the first one too.
    let mut fresh = Intake::new(settings());
    assert_eq!(
        fresh.read_stored(line(now + 2 * MINUTE).as_bytes(), now).unwrap().arrival(),
        Some(now)
    );
}

#[test]
fn arrival_follows_the_rule_where_there_is_no_stamp() {
    let arrival = |rule: ArrivalRule, line: &str, now| {
        let mut intake = Intake::new(IntakeSettings { arrival: rule, ..settings() });
        post_of(intake.read(line.as_bytes(), now).unwrap()).arrival
    };
    assert_eq!(arrival(ArrivalRule::EventTime, &ours(""), None), NINE);
    assert_eq!(arrival(ArrivalRule::Clock, &ours(""), Some(NINE + HOUR)), NINE + HOUR);
    assert_eq!(
        arrival(ArrivalRule::Clock, &ours(r#""arrived":1767603660"#), Some(NINE + HOUR)),
        NINE + MINUTE
    );
    assert_eq!(
        arrival(ArrivalRule::EventTime, &ours(r#""arrived":1767603660"#), None),
        NINE + MINUTE
    );
}

#[test]
fn file_order_is_order_of_arrival_up_to_a_week_ahead() {
    let mut intake = Intake::new(IntakeSettings {
        arrival: ArrivalRule::Greatest { ahead_max: 7 * DAY },
        ..settings()
    });
    let mut at = |created: Micros| {
        let line = format!(r#"{{"id":"1","author":"a","created_at":{}}}"#, created / SECOND);
        intake.read(line.as_bytes(), None).map(|outcome| outcome.arrival().unwrap())
    };
    assert_eq!(at(NINE), Ok(NINE));
    assert_eq!(at(NINE - HOUR), Ok(NINE));
    assert_eq!(at(NINE + 7 * DAY), Ok(NINE + 7 * DAY));
    assert_eq!(at(NINE + 15 * DAY).unwrap_err().reason, RejectReason::Arrival);
    assert_eq!(at(NINE), Ok(NINE + 7 * DAY));
}

#[test]
fn a_deletion_names_the_post_that_it_deletes() {
    let mut intake = Intake::new(settings());
    let mut read = |line: &str| match intake.read(line.as_bytes(), None).unwrap() {
        Outcome::Post { routing, post, .. } => (routing, post),
        Outcome::Ignored { .. } => panic!(),
    };
    let (made_in, made) =
        read(&ours(r#""source":"bluesky","text":"x""#).replace("\"a\"", "\"did:plc:a\""));
    let delete = r#"{"did":"did:plc:a","time_us":1767690000000000,"kind":"commit","commit":{"operation":"delete","collection":"app.bsky.feed.post","rkey":"1"}}"#;
    let (deleted_in, deleted) = read(delete);
    assert_eq!(
        (made.id, made.author, made_in),
        (deleted.id, deleted.author, deleted_in),
        "a line of ours may be of Bluesky"
    );
    assert_eq!(
        (deleted.op, deleted.event_time, deleted.arrival),
        (Op::Delete, NINE + DAY, NINE + DAY)
    );
    let (_, dated) = read(&ours(r#""op":"delete""#));
    assert_eq!((dated.arrival, dated.event_time), (NINE, NINE));
    let (_, stamped) = read(&ours(r#""op":"delete","arrived":1767603660"#));
    assert_eq!((stamped.arrival, stamped.event_time), (NINE + MINUTE, NINE + MINUTE));
    assert_ne!(read(&ours("")).1.id, made.id, "another source is another post");
}

#[test]
fn authors_change_their_name_with_the_epoch_and_carry_both_for_a_week() {
    let start = Epoch::of(NINE, 30 * DAY).start(30 * DAY);
    let at = |event: Micros| {
        read(&format!(r#"{{"id":"1","author":"a","created_at":{}}}"#, event / SECOND))
    };
    let (before, first, last, after) =
        (at(start - SECOND), at(start), at(start + 7 * DAY - SECOND), at(start + 7 * DAY));
    assert_ne!(before.author, first.author);
    assert_eq!((first.author_before, last.author_before), (before.author, before.author));
    assert_eq!((after.author, after.author_before), (first.author, None));
    assert_eq!(before.author_before, None);
    assert_eq!(before.id, first.id, "identity does not change with it");
}

#[test]
fn a_removal_carries_every_name_that_open_posts_may_have() {
    let start = Epoch::of(NINE, 30 * DAY).start(30 * DAY);
    let removal = |arrival: Micros| {
        read(&format!(
            r#"{{"did":"a","time_us":{arrival},"kind":"account","account":{{"active":false,"status":"deleted"}}}}"#
        ))
    };
    let name = |event: Micros| read(&jetstream("a", event, event, r#""text":"""#)).author;
    let (old, new) = (name(start - SECOND), name(start + 8 * DAY));
    let removed = removal(start + HOUR);
    assert_eq!(
        (removed.op, removed.id, removed.event_time),
        (Op::Remove, PostId::NONE, start + HOUR)
    );
    assert_eq!((removed.author, removed.author_before), (new, old));
    let removed = removal(start + 37 * HOUR);
    assert_eq!((removed.author, removed.author_before), (new, None));
    let removed = removal(start - 4 * MINUTE);
    assert_eq!(
        (removed.author, removed.author_before),
        (new, old),
        "a clock a little ahead may have begun the epoch"
    );
    let no_stamp = r#"{"did":"a","kind":"account","time_us":null,"account":{"active":false,"status":"deleted"}}"#;
    assert_eq!(
        Intake::new(settings()).read(no_stamp.as_bytes(), None).unwrap_err().reason,
        RejectReason::Arrival
    );
}

#[test]
fn regions_are_placed_by_the_table() {
    let at = |region: &str| {
        let post = read(&ours(&format!(r#""region":"{region}""#)));
        (post.path().to_owned(), post.overlays.join(","), post.flags.region_unknown)
    };
    let at = |region: &str| {
        let (path, overlays, unknown) = at(region);
        format!("{path} {overlays} {unknown}")
    };
    assert_eq!(at("DE-BE"), "DE/DE-BE  false");
    assert_eq!(at("de-be-mitte"), "DE/DE-BE/DE-BE-MITTE  false");
    assert_eq!(at("US-QQ"), "US  true");
    assert_eq!(at("Atlantis"), "ZZ  true");
    assert_eq!(at("ZZ"), "ZZ  false");
    assert_eq!(at(""), "ZZ  false");
    assert_eq!(at("X:Flood"), "ZZ x:flood false");
    assert_eq!(at("x:fire"), "ZZ  true");
}

#[test]
fn edits_and_ignored_lines_say_nothing_but_when() {
    let edit = jetstream("d", NINE, NINE, r#""text":"caught the flu","langs":["en"]"#)
        .replace("\"create\"", "\"update\"");
    let post = read(&edit);
    assert_eq!((post.op, post.topics.len(), post.langs.len()), (Op::Edit, 0, 0));
    let like = r#"{"did":"d","time_us":1767603600000000,"kind":"commit","commit":{"operation":"create","collection":"app.bsky.feed.like","rkey":"k"}}"#;
    let outcome = Intake::new(settings()).read(like.as_bytes(), None).unwrap();
    assert_eq!(outcome, Outcome::Ignored { kind: Ignored::Collection, arrival: Some(NINE) });
}

#[test]
fn filtered_feeds_are_flagged_and_voice_is_the_lexicons() {
    let mut intake = Intake::new(IntakeSettings { whole: false, ..settings() });
    let post = post_of(intake.read(ours(r#""tags":["flu"]"#).as_bytes(), None).unwrap());
    assert!(post.flags.filtered);
    assert!(matches!(post.topics[0].voice, Voice::Own | Voice::News | Voice::Other));
}

#[test]
fn of_an_address_only_the_domain_is_kept() {
    let domain = |address: &str| link::domain(address).unwrap_or_default();
    assert_eq!(domain("https://www.WHO.int/news#x"), "who.int");
    assert_eq!(domain("HTTP://user:secret@example.org:81?q"), "example.org");
    assert_eq!(domain("https://xn--bcher-kva.example."), "xn--bcher-kva.example");
    for none in [
        "ftp://example.org",
        "example.org",
        "https://[::1]/",
        "https://localhost/",
        "https:// /",
        "javascript:alert(1)",
        "",
    ] {
        assert_eq!(domain(none), "", "{none}");
    }
}

#[test]
fn no_golden_line_is_rejected() {
    let Some(path) = crate::tests::shared("fixtures/jetstream_v1_golden.jsonl") else { return };
    let mut intake = Intake::new(settings());
    let outcomes = std::fs::read_to_string(path).unwrap();
    let outcomes = outcomes
        .lines()
        .map(|line| intake.read(line.as_bytes(), None).unwrap())
        .collect::<Vec<_>>();
    assert!(outcomes.iter().all(|outcome| outcome.arrival().is_some()), "all are stamped");
    assert_eq!(
        outcomes.iter().filter(|outcome| matches!(outcome, Outcome::Post { .. })).count(),
        1
    );
}

#[test]
fn near_copies_have_near_prints() {
    let key = Key::new([1; 32]);
    let of = |text: &str| simhash::of(text, &key);
    let near = |a: &str, b: &str| (of(a) ^ of(b)).count_ones();
    let text = "health officials report a sharp rise in flu cases across the county this week, \
        schools are closing";
    assert_eq!(near(text, &text.to_uppercase()), 0);
    assert!(near(text, &format!("{text} #flu")) <= 12);
    assert!(
        near(
            text,
            "lovely weather at the lake today, anyone up for a swim before the storm comes in \
                tonight?"
        ) > 16
    );
    assert_eq!(of("!? …"), 0);
    assert_eq!(of("caught the flu"), 0x6938_ed43_09e5_a052, "stored in the log: must not change");
    let others = [2_u8, 3, 4, 5]
        .map(|other| (of(text) ^ simhash::of(text, &Key::new([other; 32]))).count_ones());
    assert!(
        others.iter().all(|bits| *bits > 12),
        "{others:?}: without the key no known text can be tried"
    );
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(500) })]

    #[test]
    fn one_author_goes_to_one_partition(author in "[a-z]{1,8}", id in "[a-z]{1,8}", text in ".{0,40}", event in 0..10_000_i64) {
        let mut intake = Intake::new(settings());
        let line = serde_json::json!({"id": id, "author": author, "created_at": NINE / SECOND + event * 3600, "text": text}).to_string();
        let Outcome::Post { routing, post, .. } = intake.read(line.as_bytes(), None).unwrap() else { panic!() };
        prop_assert!(matches!(routing, Routing::One(0..4)));
        let other = serde_json::json!({"id": "other", "author": author, "created_at": NINE / SECOND}).to_string();
        let Outcome::Post { routing: again, post: other, .. } = intake.read(other.as_bytes(), None).unwrap() else { panic!() };
        prop_assert_eq!(routing, again);
        prop_assert!(post.id != other.id || id == "other");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

    #[test]
    fn what_is_remembered_of_authors_changes_nothing(posts in prop::collection::vec((0..3_usize, 0..2_usize, 0..70_i64), 1..40)) {
        let mut remembers = Intake::new(settings());
        for (author, source, day) in posts {
            let line = format!(
                r#"{{"id":"1","author":"{}","source":"{}","created_at":{}}}"#, ["a", "b", "c"][author], ["x", "y"][source], (NINE + day * DAY) / SECOND
            );
            prop_assert_eq!(remembers.read(line.as_bytes(), None), Intake::new(settings()).read(line.as_bytes(), None));
        }
    }
}

/// Prints how many lines a second of processor time become records; asserts only what no machine
/// should miss.
#[test]
fn lines_become_records_fast() {
    let mut intake = Intake::new(settings());
    let lines = (0..2_000_i64).map(|i| {
        let body = r#""$type":"app.bsky.feed.post","langs":["en"],"reply":{"parent":{"cid":"bafyreiainko5un5pbcdosvxpbisjnjzemojnry6nsgtdftdgslbu37kxai","uri":"at://did:plc:j76trmiofvaxxpvx2vnb2vwf/app.bsky.feed.post/3mmojbrjwbs26"},"root":{"cid":"bafyreiainko5un5pbcdosvxpbisjnjzemojnry6nsgtdftdgslbu37kxai","uri":"at://did:plc:j76trmiofvaxxpvx2vnb2vwf/app.bsky.feed.post/3mmojbrjwbs26"}},"text":"The weather was lovely today so we went for a long walk by the lake and had an ice cream""#;
        jetstream(&format!("did:plc:q235v55g5unth4zjjd{i:06}"), NINE + i, NINE + i, body)
    });
    let lines = lines.collect::<Vec<_>>();
    let rounds = 100;
    let start = std::time::Instant::now();
    let mut posts = 0;
    for _ in 0..rounds {
        for line in &lines {
            posts +=
                usize::from(matches!(intake.read(line.as_bytes(), None), Ok(Outcome::Post { .. })));
        }
    }
    let rate = f64::from(rounds) * lines.len() as f64 / start.elapsed().as_secs_f64();
    println!("{rate:.0} lines of {} bytes a second", lines[0].len());
    assert_eq!(posts, 100 * lines.len());
    assert!(rate > 20_000.0);
}

// ---- places ----

fn asking() -> Intake {
    Intake::new(IntakeSettings {
        profiles: Some(ProfileRules { one_author_in: 4, ..ProfileRules::default() }),
        ..settings()
    })
}

fn by(author: &str, id: &str, fields: &str) -> String {
    format!(
        r#"{{"id":"{id}","author":"{author}","source":"bluesky","created_at":1767603600,{fields}}}"#
    )
}

fn path_of(post: &Post) -> (&str, bool) {
    (post.path(), post.flags.pending)
}

#[test]
fn a_matched_post_goes_out_pending_and_again_with_its_place() {
    let mut intake = asking();
    let line = by("did:a", "1", r##""text":"#flu""##);
    let post = post_of(intake.read(line.as_bytes(), Some(NINE)).unwrap());
    assert!(post.flags.by_profile && path_of(&post) == ("ZZ", true), "{post:?}");
    assert_eq!(
        (intake.questions(25), intake.questions(25), intake.waiting()),
        (vec!["did:a".to_owned()], vec![], 1)
    );
    // Could not be queried: requested again, once.
    intake.unanswered(vec!["did:a".to_owned()]);
    assert_eq!(intake.questions(25), ["did:a"]);
    let again = intake.answered("bluesky", "did:a", Some("nurse | she/her\nLeeds, UK"), NINE);
    let [(routing, placed)] = &again[..] else { panic!("{again:?}") };
    assert_eq!(path_of(placed), ("GB/GB-ENG", false));
    assert_eq!(placed.places[0].provenance, Provenance::Profile);
    assert_eq!(
        (placed.id, placed.arrival, placed.event_time),
        (post.id, post.arrival, post.event_time)
    );
    assert_eq!(*routing, intake.routing("bluesky", "did:a"));
    assert_eq!(intake.waiting(), 0);
    // Known from now on, until it expires.
    let next = |intake: &mut Intake, id: &str, now| {
        post_of(intake.read(by("did:a", id, r##""text":"#flu""##).as_bytes(), Some(now)).unwrap())
    };
    assert_eq!(path_of(&next(&mut intake, "2", NINE + DAY)), ("GB/GB-ENG", false));
    assert!(intake.questions(25).is_empty());
    assert_eq!(path_of(&next(&mut intake, "3", NINE + 8 * DAY)), ("ZZ", true));
    assert_eq!(intake.questions(25), ["did:a"]);
    // That there is no place is an answer too.
    let [(_, placed)] = &intake.answered("bluesky", "did:a", None, NINE)[..] else { panic!() };
    assert_eq!(path_of(placed), ("ZZ", false));
}

#[test]
fn who_opts_out_in_their_profile_is_taken_back_and_not_read() {
    let mut intake = asking();
    let line = |id: &str| by("did:a", id, r##""text":"#flu""##);
    let post = post_of(intake.read(line("1").as_bytes(), Some(NINE)).unwrap());
    assert_eq!(intake.questions(25), ["did:a"]);
    let again = intake.opted_out("bluesky", "did:a", NINE);
    let [(routing, removal)] = &again[..] else { panic!("{again:?}") };
    assert_eq!(
        (removal.op, removal.author, *routing),
        (Op::Remove, post.author, intake.routing("bluesky", "did:a"))
    );
    assert!(removal.arrival > post.arrival && intake.waiting() == 0);
    let next = intake.read(line("2").as_bytes(), Some(NINE + DAY)).unwrap();
    assert!(
        matches!(next, Outcome::Ignored { kind: Ignored::OptedOut, arrival: Some(_) }),
        "{next:?}"
    );
    assert!(
        post_of(intake.read(line("3").as_bytes(), Some(NINE + 8 * DAY)).unwrap()).flags.pending,
        "asked again"
    );
}

#[test]
fn only_authors_of_the_sample_are_asked_for_other_posts_and_told_places_need_no_profile() {
    let mut intake = asking();
    let (mut sampled, mut unsampled) = (0, 0);
    for n in 0..400 {
        let author = format!("did:{n}");
        let post = post_of(
            intake.read(by(&author, "1", r#""text":"hello""#).as_bytes(), Some(NINE)).unwrap(),
        );
        assert!(post.flags.by_profile && post.flags.pending == post.flags.sampled);
        sampled += u32::from(post.flags.sampled);
        let again = post_of(
            intake
                .read(by(&author, "2", r#""text":"hello again""#).as_bytes(), Some(NINE))
                .unwrap(),
        );
        assert_eq!(again.flags.sampled, post.flags.sampled, "the sample is of authors");
        unsampled += u32::from(!again.flags.sampled);
    }
    assert!((70..130).contains(&sampled) && sampled + unsampled == 400, "{sampled}");
    assert_eq!(intake.questions(1000).len() as u32, sampled);
    for told in [r#""lat":52.52,"lon":13.405"#, r#""region":"FR""#, r#""profile":"Milan, Italy""#] {
        let post = post_of(
            intake
                .read(
                    by("did:told", "1", &format!(r##""text":"#flu",{told}"##)).as_bytes(),
                    Some(NINE),
                )
                .unwrap(),
        );
        assert!(!post.flags.by_profile && !post.flags.pending && post.path() != "ZZ", "{told}");
    }
}

#[test]
fn descriptions_are_believed_where_they_are_clear() {
    let placing = Placing::default();
    let regions = RegionTable::new(&[]);
    let path = |text: &str| {
        placing.of_description(text, &regions).map_or("ZZ".to_owned(), |place| place.path)
    };
    for (text, expected) in [
        ("Mum of two. Views my own.\nLeeds, UK", "GB/GB-ENG"),
        ("📍Austin, TX | he/him", "US/US-TX"),
        ("Journaliste • Lyon, France", "FR/FR-ARA"),
        ("Paris, France / but really\nBerlin, Germany", "ZZ"),
        ("I talk about nice things and reading", "ZZ"),
        ("", "ZZ"),
    ] {
        assert_eq!(path(text), expected, "{text}");
    }
}

#[test]
fn a_mentioned_place_counts_in_crises_only() {
    let crisis = r#"
[[topic]]
id = "quake"
kind = "crisis"
name = "Quake"
tags = { any = ["quake"] }
"#;
    let topics = lexicon::parse("crisis.toml", crisis).unwrap().topics;
    let mut settings = settings();
    settings.lexicon = Arc::new(Lexicon::new(topics).unwrap());
    settings.crises = ["quake".to_owned()].into();
    let mut intake = Intake::new(settings);
    let post = post_of(
        intake
            .read(ours(r##""text":"#quake they felt it in Nairobi, Kenya""##).as_bytes(), None)
            .unwrap(),
    );
    assert_eq!(
        (post.path(), post.path_for(Kind::Disease), post.path_for(Kind::Crisis)),
        ("ZZ", "ZZ", "KE/KE-30")
    );
    let home = post_of(
        intake
            .read(
                ours(r##""text":"#quake they felt it in Nairobi, Kenya","region":"FR""##)
                    .as_bytes(),
                None,
            )
            .unwrap(),
    );
    assert_eq!((home.path_for(Kind::Crisis), home.places.len()), ("FR", 1));
}
