use proptest::prelude::*;

use super::*;
use crate::log::*;
use crate::post::*;

fn post() -> Post {
    Post {
        settings: 1,
        feed: 0,
        op: Op::Create,
        id: PostId(7 << 64 | 9),
        alias: None,
        author: Some(Author(42)),
        author_before: None,
        event_time: 1_767_614_400_000_000,
        arrival: 1_767_614_401_000_000,
        places: vec![Place {
            path: "US/US-TX".into(),
            meaning: Meaning::AuthorAt,
            provenance: Provenance::Given,
            confidence: 100,
        }],
        overlays: vec![],
        langs: vec!["en".into()],
        tags: vec![Tag { key: "flu".into(), written: "Flu".into() }],
        topics: vec![TopicMatch {
            id: "influenza".into(),
            voice: Voice::Own,
            keys: vec!["flu".into()],
        }],
        link_domain: None,
        simhash: 3,
        account_age: AccountAge::Unknown,
        flags: Flags { clamped: true, ..Flags::default() },
        sealed_link: None,
    }
}

/// What version 2 looked like on the wire, so that a change of a field's order or type can't go
/// unnoticed.
fn golden() -> Vec<(&'static str, Record)> {
    let tick = Tick {
        settings: 1,
        at: 5,
        feeds: vec![FeedTick {
            feed: "bluesky".into(),
            epoch: 2,
            from: 3,
            reached: 4,
            span: Span::Silent,
            ended: true,
        }],
    };
    let exclusion = Exclusion {
        topic: "influenza".into(),
        region: "DE".into(),
        from: 5,
        to: 7,
        valid_from: 8,
        alert: "a1".into(),
    };
    vec![
        ("post", Record::Post(post())),
        ("tick", Record::Tick(tick)),
        ("end", Record::End),
        ("settings", Record::Settings(Settings::default())),
        ("exclusion", Record::Exclusion(exclusion)),
        ("lift", Record::Lift(Lift { alert: "a1".into(), valid_from: 9 })),
        (
            "frame",
            Record::Frame(Frame {
                partition: 3,
                position: 9,
                previous: Some(4),
                ..Frame::default()
            }),
        ),
    ]
}

#[test]
fn golden_files_still_read_and_write_the_same() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/data/wire/v2");
    for (name, record) in golden() {
        let path = format!("{folder}/{name}.bin");
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::create_dir_all(folder).unwrap();
            std::fs::write(&path, record.encode()).unwrap();
        }
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!(Record::decode(&bytes), Ok(record.clone()), "{name}");
        assert_eq!(record.encode(), bytes, "{name}");
    }
}

#[test]
fn what_is_not_a_record_is_named() {
    assert_eq!(Record::decode(&[]), Err(DecodeError::Empty));
    assert_eq!(Record::decode(&[VERSION]), Err(DecodeError::Empty));
    assert_eq!(Record::decode(&[99, 1]), Err(DecodeError::Version { found: 99 }));
    assert_eq!(Record::decode(&[VERSION, 200]), Err(DecodeError::Kind { found: 200 }));
    let mut long = Record::Post(post()).encode();
    long.push(0);
    assert_eq!(Record::decode(&long), Err(DecodeError::Trailing { kind: "post", bytes: 1 }));
}

proptest! {
    #[test]
    fn any_bytes_decode_or_fail_by_name(kind in 0u8..20, body in proptest::collection::vec(any::<u8>(), 0..400)) {
        let bytes = [vec![VERSION, kind], body].concat();
        if let Ok(record) = Record::decode(&bytes) {
            // A varint may be written longer than need be, so the bytes may differ: the meaning may
            // not.
            prop_assert!(Record::decode(&record.encode()).is_ok());
        }
    }

    #[test]
    fn a_damaged_record_never_panics(at in 0usize..200, value in any::<u8>(), cut in 0usize..200) {
        let mut bytes = Record::Post(post()).encode();
        let length = bytes.len();
        bytes[at % length] = value;
        bytes.truncate(length - cut % length);
        let _ = Record::decode(&bytes);
    }
}
