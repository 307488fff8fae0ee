use proptest::prelude::*;
use record::{Op, RejectReason};

use super::scan::nests_deeper;
use super::*;

fn read(text: &str) -> Result<Line<'_>, Rejected> {
    parse(text.as_bytes(), &Limits::default())
}

fn post(text: &str) -> PostItem<'_> {
    match read(text).unwrap().item {
        Item::Post(post) => *post,
        other => panic!("{other:?}"),
    }
}

fn reason(text: &str) -> (&'static str, String) {
    let rejected = read(text).unwrap_err();
    (rejected.reason.name(), rejected.detail.into_owned())
}

/// What `nests_deeper` promises, a byte at a time.
fn depth_naive(bytes: &[u8]) -> usize {
    let (mut depth, mut deepest, mut in_string, mut escaped) = (0_usize, 0, false, false);
    for byte in bytes {
        if in_string {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_string = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => in_string = true,
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}

const OURS: &str = r#"{"id":"1","author":"a","created_at":"2026-01-05T09:00:00Z","text":"I have the #flu","tags":["flu"],"langs":["en"],"region":"US-TX","arrived":1767603601,"source":"file","op":"create","url":"https://example.org/x"}"#;
const FIRST: &str = r##"{"did":"did:plc:a","time_us":1767603601000000,"kind":"commit","cursor":7,"commit":{"rev":"r","operation":"create","collection":"app.bsky.feed.post","rkey":"k1","record":{"$type":"app.bsky.feed.post","createdAt":"2026-01-05T09:00:00.5Z","text":"I have the #flu","langs":["en"],"tags":["cough","$AAPL"],"facets":[{"index":{"byteStart":11,"byteEnd":15},"features":[{"$type":"app.bsky.richtext.facet#tag","tag":"flu"},{"$type":"app.bsky.richtext.facet#link","uri":"https://x.example"}]}],"embed":{"$type":"app.bsky.embed.external","external":{"uri":"https://www.example.org/a","title":"t"}}},"cid":"c"}}"##;
const SECOND: &str = r##"{"$type":"message","payload":{"$type":"network.bsky.jetstream.subscribeEvents#commit","seq":7,"did":"did:plc:a","time":"2026-01-05T09:00:01.000000Z","rev":"r","operation":"create","collection":"app.bsky.feed.post","rkey":"k1","cid":"c","record":{"$type":"app.bsky.feed.post","createdAt":"2026-01-05T09:00:00.5Z","text":"I have the #flu","langs":["en"],"tags":["cough","$AAPL"],"facets":[{"features":[{"tag":"flu","$type":"app.bsky.richtext.facet#tag"}]}],"embed":{"external":{"uri":"https://www.example.org/a"}}}}}"##;

// --- properties ---

/// Pieces of which lines are made, well-formed and not.
fn jsonish() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("{"),
        Just("}"),
        Just("["),
        Just("]"),
        Just("\""),
        Just("\\"),
        Just(":"),
        Just(","),
        Just("null"),
        Just("true"),
        Just("-1e999"),
        Just("\"id\""),
        Just("\"author\""),
        Just("\"created_at\""),
        Just("\"did\""),
        Just("\"time_us\""),
        Just("\"kind\""),
        Just("\"commit\""),
        Just("\"$type\""),
        Just("\"payload\""),
        Just("\"record\""),
        Just("\"facets\""),
        Just("\"features\""),
        Just("\"tags\""),
        Just("\"\\ud800\""),
        Just("\"\\u0000\""),
        Just("1767603601"),
        Just("\"2026-01-05T09:00:00Z\""),
        Just("\"app.bsky.feed.post\""),
        Just("\"create\""),
        Just(" "),
        Just("é"),
        Just("\u{0}"),
        Just("\u{feff}"),
    ];
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

/// A good line with a few bytes changed, cut or doubled.
fn damaged() -> impl Strategy<Value = Vec<u8>> {
    let line = prop_oneof![Just(OURS), Just(FIRST), Just(SECOND)];
    (line, prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..4), 0..6)).prop_map(
        |(line, changes)| {
            let mut bytes = line.as_bytes().to_vec();
            for (at, byte, what) in changes {
                let at = at.index(bytes.len().max(1)).min(bytes.len().saturating_sub(1));
                match what {
                    _ if bytes.is_empty() => {}
                    0 => bytes[at] = byte,
                    1 => bytes.truncate(at),
                    2 => bytes.insert(at, byte),
                    _ => {
                        bytes.remove(at);
                    }
                }
            }
            bytes
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

    #[test]
    fn any_bytes_become_an_item_or_a_reject(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse(&bytes, &Limits::default());
    }

    #[test]
    fn anything_like_json_becomes_an_item_or_a_reject(text in jsonish()) {
        let _ = parse(text.as_bytes(), &Limits::default());
    }

    #[test]
    fn damaged_lines_become_an_item_or_a_reject(bytes in damaged()) {
        let _ = parse(&bytes, &Limits::default());
    }

    #[test]
    fn a_value_of_any_type_anywhere_is_never_bad_json(key in 0..28_usize, value in prop_oneof![Just("null"), Just("1"), Just("-0.5"), Just("1e300"), Just("true"), Just("\"x\""), Just("[]"), Just("[1,null,{}]"), Just("{}"), Just("{\"a\":[{}]}")]) {
        const KEYS: [&str; 28] = ["id", "author", "created_at", "arrived", "text", "tags", "langs", "source", "op", "url", "region", "did", "account",
            "time_us", "cursor", "kind", "commit", "$type", "payload", "error", "seq", "time", "operation", "collection", "rkey", "record", "active", "status"];
        for line in [OURS, FIRST, SECOND] {
            // The last of two equal keys holds.
            let line = format!("{},\"{}\":{value}}}", &line[..line.len() - 1], KEYS[key]);
            let rejected = parse(line.as_bytes(), &Limits::default()).err();
            prop_assert!(rejected.is_none_or(|rejected| rejected.reason != RejectReason::Json), "{}", line);
        }
    }

    #[test]
    fn depth_is_that_of_the_naive_scan(bytes in prop::collection::vec(prop_oneof![4 => prop::sample::select(b"[]{}\"\\".to_vec()), 1 => any::<u8>()], 0..600), depth_max in 0..12_usize) {
        prop_assert_eq!(nests_deeper(&bytes, depth_max), depth_naive(&bytes) > depth_max);
    }
}

// --- what lines say ---

#[test]
fn our_schema_is_read_whole() {
    let line = read(OURS).unwrap();
    assert_eq!(line.stamp, Some(1_767_603_601_000_000));
    let post = post(OURS);
    assert_eq!((post.op, &*post.source, &*post.author, &*post.id), (Op::Create, "file", "a", "1"));
    assert_eq!(post.created_at, Some(1_767_603_600_000_000));
    assert_eq!(post.text.as_deref(), Some("I have the #flu"));
    assert_eq!((post.tags, post.langs), (vec!["flu".into()], vec!["en".into()]));
    assert_eq!(
        (post.region.as_deref(), post.link.as_deref()),
        (Some("US-TX"), Some("https://example.org/x"))
    );
}

#[test]
fn both_wires_of_jetstream_say_the_same() {
    let (first, second) = (read(FIRST).unwrap(), read(SECOND).unwrap());
    assert_eq!(first, second);
    assert_eq!((first.stamp, first.sequence), (Some(1_767_603_601_000_000), Some(7)));
    let bare = &SECOND[r#"{"$type":"message","payload":"#.len()..SECOND.len() - 1];
    assert_eq!(read(bare).unwrap(), first);
    let post = post(FIRST);
    assert_eq!((&*post.source, &*post.author, &*post.id), ("bluesky", "did:plc:a", "k1"));
    assert_eq!(post.created_at, Some(1_767_603_600_500_000));
    assert_eq!(post.tags, ["flu", "cough"]);
    assert_eq!(post.link.as_deref(), Some("https://www.example.org/a"));
}

#[test]
fn a_region_at_the_top_of_any_line_is_its_place() {
    for line in [OURS, FIRST, SECOND] {
        let line = format!("{},\"region\":\"DE-BE\"}}", &line[..line.len() - 1]);
        assert_eq!(post(&line).region.as_deref(), Some("DE-BE"));
    }
}

#[test]
fn instants_are_read_from_text_and_numbers_without_loss() {
    let at = |written: &str| {
        post(&format!(r#"{{"id":"1","author":"a","created_at":{written}}}"#).leak()[..])
            .created_at
            .unwrap()
    };
    assert_eq!(at("1767603600"), 1_767_603_600_000_000);
    assert_eq!(at("1767603600.1234569"), 1_767_603_600_123_456);
    assert_eq!(at("\"1767603600\""), 1_767_603_600_000_000);
    assert_eq!(at("\"2026-01-05T10:00:00+01:00\""), 1_767_603_600_000_000);
    assert_eq!(at("\"2026-01-05 09:00\""), 1_767_603_600_000_000);
    assert_eq!(at(r#""2026-01-05T09:00:00\u005a""#), 1_767_603_600_000_000);
}

#[test]
fn deletions_and_edits_are_told() {
    let first = r#"{"did":"d","time_us":1767603601000000,"kind":"commit","commit":{"operation":"delete","collection":"app.bsky.feed.post","rkey":"k"}}"#;
    assert_eq!(post(first).op, Op::Delete);
    assert_eq!(post(&FIRST.replace("\"create\"", "\"update\"").leak()[..]).op, Op::Edit);
    let ours = post(r#"{"id":"1","author":"a","created_at":1767603601,"op":"delete"}"#);
    assert_eq!((ours.op, ours.created_at), (Op::Delete, Some(1_767_603_601_000_000)));
}

#[test]
fn accounts_that_go_take_their_posts_along() {
    let first = |active: bool, status: &str| {
        format!(
            r#"{{"did":"d","time_us":1767603601000000,"kind":"account","account":{{"active":{active},"did":"d","seq":1,"status":"{status}"}}}}"#
        )
    };
    for status in ["deleted", "deactivated", "takendown", "suspended"] {
        let line = first(false, status);
        assert_eq!(
            read(&line).unwrap().item,
            Item::Removal { source: BLUESKY, author: "d".into() }
        );
    }
    for line in [first(false, "desynchronized"), first(false, "throttled"), first(true, "deleted")]
    {
        assert_eq!(read(&line).unwrap().item, Item::Ignored(Ignored::Account));
    }
    let second = |account: &str| {
        format!(
            r#"{{"$type":"message","payload":{{"$type":"network.bsky.jetstream.subscribeEvents#account","seq":1,"did":"d","time":"2026-01-05T09:00:01Z",{account}}}}}"#
        )
    };
    for account in
        [r#""account":{"active":false,"status":"deleted"}"#, r#""active":false,"status":"deleted""#]
    {
        let line = second(account);
        assert_eq!(
            read(&line).unwrap().item,
            Item::Removal { source: BLUESKY, author: "d".into() }
        );
    }
}

#[test]
fn what_is_no_post_is_understood_and_left() {
    let kinds = [
        (
            r#"{"did":"d","time_us":1767603601000000,"kind":"identity","identity":{"did":"d"}}"#,
            Ignored::Identity,
        ),
        (
            r#"{"did":"d","time_us":1767603601000000,"kind":"commit","commit":{"operation":"create","collection":"app.bsky.feed.like","rkey":"k","record":{"createdAt":5,"text":{}}}}"#,
            Ignored::Collection,
        ),
        (r#"{"did":"d","time_us":1767603601000000,"kind":"label"}"#, Ignored::Kind),
        (
            r#"{"$type":"message","payload":{"$type":"network.bsky.jetstream.subscribeEvents#sync","seq":1,"did":"d","time":"2026-01-05T09:00:01Z"}}"#,
            Ignored::Sync,
        ),
        (
            r#"{"$type":"network.bsky.jetstream.subscribeEvents#identity","seq":1,"did":"d","time":"never"}"#,
            Ignored::Identity,
        ),
    ];
    for (line, kind) in kinds {
        assert_eq!(read(line).unwrap().item, Item::Ignored(kind), "{line}");
    }
    let info = r#"{"$type":"network.bsky.jetstream.subscribeEvents#info","name":"OutdatedCursor"}"#;
    assert_eq!(read(info).unwrap().item, Item::Info("OutdatedCursor".into()));
    assert_eq!(
        read(r#"{"$type":"error","error":"ConsumerTooSlow"}"#).unwrap().item,
        Item::Failure("ConsumerTooSlow".into())
    );
    assert_eq!(read(" \t\r").unwrap().item, Item::Blank);
    assert_eq!(read("").unwrap().item, Item::Blank);
}

#[test]
fn unneeded_fields_may_be_of_any_type_and_keys_may_stand_twice() {
    let line = r#"{"id":"0","url":5,"more":{"deep":[1e999,{"a":null}]},"id":"1","author":"a","author":"b","created_at":1767603601,"text":null,"tags":null}"#;
    let post = post(line);
    assert_eq!((&*post.id, &*post.author, post.text, post.link), ("1", "b", None, None));
    let line = FIRST
        .replace(r#""langs":["en"]"#, r#""langs":"en","reply":7,"labels":[]"#)
        .replace(r#""cursor":7"#, r#""cursor":{}"#);
    assert!(matches!(read(&line).unwrap(), Line { sequence: None, item: Item::Post(_), .. }));
}

#[test]
fn each_defect_has_its_reason_and_names_the_field() {
    let ours =
        |fields: &str| format!(r#"{{"id":"1","author":"a","created_at":1767603601,{fields}}}"#);
    let cases = [
        (r#"{"id":"1""#.to_owned(), "json", "at byte 8"),
        (r#"{"id":"1"} x"#.to_owned(), "json", "at byte 11"),
        ("nonsense".to_owned(), "json", "at byte 3"),
        (ours(r#""lat":"x","lon":1"#), "field", "lat"),
        (ours(r#""lat":1,"lon":{}"#), "field", "lon"),
        (ours(r#""lat":1"#), "field", "lon"),
        (ours(r#""lon":1,"lat":null"#), "field", "lat"),
        (ours(r#""profile":[1]"#), "field", "profile"),
        (ours(r#""place":7"#), "field", "place"),
        ("[]".to_owned(), "shape", "not an object"),
        ("12".to_owned(), "shape", "not an object"),
        ("\"x\"".to_owned(), "shape", "not an object"),
        ("null".to_owned(), "shape", "not an object"),
        ("{}".to_owned(), "field", "id"),
        (ours(r#""id":7"#), "field", "id"),
        (ours(r#""author":"""#), "field", "author"),
        (ours(r#""author":null"#), "field", "author"),
        (ours(r#""created_at":null"#), "time", "created_at missing or unreadable"),
        (ours(r#""created_at":true"#), "time", "created_at missing or unreadable"),
        (ours(r#""created_at":"yesterday""#), "time", "created_at missing or unreadable"),
        (
            ours(r#""created_at":"2026-02-30T00:00:00Z""#),
            "time",
            "created_at missing or unreadable",
        ),
        (
            ours(r#""created_at":"-9999-01-01T00:00:00Z""#),
            "time-range",
            "created_at outside 2000 to 2099",
        ),
        (
            ours(r#""created_at":"99999-01-01T00:00:00Z""#),
            "time-range",
            "created_at outside 2000 to 2099",
        ),
        (
            ours(r#""created_at":"2100-01-01T00:00:00Z""#),
            "time-range",
            "created_at outside 2000 to 2099",
        ),
        (ours(r#""created_at":1e400"#), "time-range", "created_at outside 2000 to 2099"),
        (ours(r#""created_at":-5"#), "time-range", "created_at outside 2000 to 2099"),
        (ours(r#""arrived":"soon""#), "arrival", "arrived"),
        (ours(r#""arrived":1"#), "arrival", "arrived"),
        (ours(r#""op":"restore""#), "field", "op"),
        (ours(r#""tags":"flu""#), "field", "tags"),
        (ours(r#""tags":["flu",5]"#), "field", "tags"),
        (ours(r#""langs":{}"#), "field", "langs"),
        (ours(r#""text":5"#), "field", "text"),
        (ours(r#""region":5"#), "field", "region"),
        (ours(r#""source":[]"#), "field", "source"),
        (FIRST.replace("\"did:plc:a\"", "5"), "field", "did"),
        (FIRST.replace("1767603601000000", "\"x\""), "arrival", "time_us"),
        (FIRST.replace("1767603601000000", "12"), "arrival", "time_us"),
        (FIRST.replace("\"k1\"", "null"), "field", "rkey"),
        (FIRST.replace("createdAt", "created"), "time", "created_at missing or unreadable"),
        (
            FIRST.replace("\"operation\":\"create\"", "\"operation\":\"merge\""),
            "field",
            "operation",
        ),
        (SECOND.replace("\"2026-01-05T09:00:01.000000Z\"", "\"noon\""), "arrival", "time"),
        (r#"{"$type":"message","payload":[]}"#.to_owned(), "field", "payload"),
        (
            r#"{"did":"d","time_us":1767603601000000,"kind":"account","account":{"active":"no"}}"#
                .to_owned(),
            "field",
            "active",
        ),
    ];
    for (line, why, detail) in cases {
        assert_eq!(reason(&line), (why, detail.to_owned()), "{line}");
    }
    assert_eq!(
        parse(b"{\"id\":\"\xff\"}", &Limits::default()).unwrap_err(),
        Rejected::new(RejectReason::Utf8, "at byte 7")
    );
}

// --- bounds ---

#[test]
fn a_million_levels_are_a_reject_and_no_abort() {
    let limits = Limits { line_bytes_max: 16 << 20, ..Limits::default() };
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        for line in [
            open.repeat(1_000_000),
            format!("{}1{}", open.repeat(1_000_000), close.repeat(1_000_000)),
        ] {
            assert_eq!(parse(line.as_bytes(), &limits).unwrap_err().reason, RejectReason::Depth);
        }
        let line = format!("{{\"more\":{}1{}}}", open.repeat(100_000), close.repeat(100_000));
        assert_eq!(parse(line.as_bytes(), &limits).unwrap_err().reason, RejectReason::Depth);
    }
}

#[test]
fn brackets_in_strings_are_no_levels() {
    let nest = |levels: usize| {
        format!(
            r#"{{"id":"1","author":"a","created_at":1767603601,"text":"{}\\\"[[","more":{}{}}}"#,
            "[".repeat(300),
            "[".repeat(levels),
            "]".repeat(levels)
        )
    };
    assert!(read(&nest(127)).is_ok());
    assert_eq!(read(&nest(128)).unwrap_err().reason, RejectReason::Depth);
}

#[test]
fn a_line_of_ten_megabytes_is_a_reject() {
    let line = format!(
        r#"{{"id":"1","author":"a","created_at":1767603601,"text":"{}"}}"#,
        "x".repeat(10_000_000)
    );
    assert_eq!(read(&line).unwrap_err().reason, RejectReason::Length);
}

#[test]
fn a_hundred_thousand_tags_leave_the_first_256() {
    let tags = (0..100_000).map(|i| format!("\"t{i}\"")).collect::<Vec<_>>().join(",");
    let limits = Limits { line_bytes_max: 16 << 20, ..Limits::default() };
    let line = format!(r#"{{"id":"1","author":"a","created_at":1767603601,"tags":[{tags}]}}"#);
    let Item::Post(post) = parse(line.as_bytes(), &limits).unwrap().item else { panic!() };
    assert_eq!((post.tags.len(), post.tags_dropped, &*post.tags[255]), (256, 99_744, "t255"));
    let facets = (0..100_000)
        .map(|i| {
            format!(r#"{{"features":[{{"$type":"app.bsky.richtext.facet#tag","tag":"t{i}"}}]}}"#)
        })
        .collect::<Vec<_>>()
        .join(",");
    let start = FIRST.find("\"facets\":[").unwrap();
    let end = FIRST.find(",\"embed\"").unwrap();
    let line = format!("{}\"facets\":[{facets}]{}", &FIRST[..start], &FIRST[end..]);
    let Item::Post(post) = parse(line.as_bytes(), &limits).unwrap().item else { panic!() };
    assert_eq!((post.tags.len(), post.tags_dropped), (256, 99_745), "with the one of `tags`");
    let long = format!(
        r#"{{"id":"1","author":"a","created_at":1767603601,"tags":["{}"," ","ok"]}}"#,
        "x".repeat(641)
    );
    let post = self::post(&long);
    assert_eq!((post.tags, post.tags_dropped), (vec!["ok".into()], 1));
}

#[test]
fn nul_and_lone_surrogates_are_read() {
    let post = post(
        r#"{"id":"1","author":"a","created_at":1767603601,"text":"a\u0000b \ud800 c \ude00\ud83d\ude00","tags":["\udc00x"]}"#,
    );
    assert_eq!(post.text.as_deref(), Some("a\0b \u{fffd} c \u{fffd}😀"));
    assert_eq!(post.tags, ["\u{fffd}x"]);
}

#[test]
fn the_golden_lines_are_understood() {
    let Some(path) = crate::tests::shared("fixtures/jetstream_v1_golden.jsonl") else { return };
    let text = std::fs::read_to_string(path).unwrap();
    let items = text.lines().map(|line| read(line).unwrap().item).collect::<Vec<_>>();
    let posts = items.iter().filter(|item| matches!(item, Item::Post(_))).count();
    let ignored = |kind| items.iter().filter(|item| **item == Item::Ignored(kind)).count();
    assert_eq!((items.len(), posts), (10, 1));
    assert_eq!(
        (ignored(Ignored::Collection), ignored(Ignored::Identity), ignored(Ignored::Account)),
        (7, 1, 1)
    );
}
