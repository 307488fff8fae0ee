use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::Message;

/// File name, line number, content; of lines too long their length.
type Seen = (String, u64, String);
type Read = Vec<(Seen, Cursor)>;

fn settings(paths: &[&Path]) -> FileSettings {
    FileSettings::new(paths.iter().map(|path| path.to_str().unwrap().to_owned()).collect())
}

fn seen(line: &FileLine<'_>) -> Seen {
    let name = Path::new(line.file()).file_name().unwrap().to_str().unwrap().to_owned();
    let content = match &line.content {
        Content::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Content::TooLong { length, .. } => format!("<{length}>"),
    };
    (name, line.number, content)
}

/// Everything that there is to read, with the cursor after each line.
fn read_all(reader: &mut FileReader, batch: usize) -> Result<Read, (Vec<Seen>, FileError)> {
    let mut lines = Vec::new();
    loop {
        match reader.next_batch(batch) {
            Ok(Some(found)) if found.is_empty() => return Ok(lines),
            Ok(Some(found)) => lines.extend(found.lines().map(|line| (seen(&line), line.cursor()))),
            Ok(None) => return Ok(lines),
            Err(error) => return Err((lines.into_iter().map(|(line, _)| line).collect(), error)),
        }
    }
}

fn contents(settings: FileSettings) -> Vec<String> {
    let mut reader = FileReader::open(settings, None).unwrap();
    read_all(&mut reader, 100).unwrap().into_iter().map(|((_, _, content), _)| content).collect()
}

fn put(folder: &TempDir, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.path().join(name);
    fs::write(&path, bytes).unwrap();
    path
}

fn append(path: &Path, bytes: &[u8]) {
    OpenOptions::new().append(true).create(true).open(path).unwrap().write_all(bytes).unwrap();
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstandard(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 1).unwrap()
}

/// The lines, found by the simplest method.
fn naive(bytes: &[u8], line_bytes_max: usize) -> Vec<(u64, String)> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let lines =
        bytes.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    lines
        .zip(1..)
        .filter(|(line, _)| !crate::line::is_blank(line))
        .map(|(line, number)| {
            (
                number,
                if line.len() > line_bytes_max {
                    "<>".to_owned()
                } else {
                    String::from_utf8_lossy(line).into_owned()
                },
            )
        })
        .collect()
}

#[test]
fn zero_bytes_after_a_member_are_padding() {
    let folder = TempDir::new().unwrap();
    let zeros = vec![0; 300_000];
    let padded = [gzip(b"a\n"), zeros.clone(), gzip(b"b\n"), vec![0; 7]].concat();
    assert_eq!(contents(settings(&[&put(&folder, "padded.gz", &padded)])), ["a", "b"]);
    // What follows and is neither padding nor a member is damage, and a cut member is a cut one.
    for (name, bytes) in [
        ("garbage.gz", [gzip(b"a\n"), b"xyz".to_vec()].concat()),
        ("cut.gz", gzip(b"a\nb\n")[..14].to_vec()),
    ] {
        let mut reader = FileReader::open(settings(&[&put(&folder, name, &bytes)]), None).unwrap();
        assert!(read_all(&mut reader, 100).is_err(), "{name}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(150) })]

    #[test]
    fn plain_gzip_zstandard_and_pipes_give_the_same_lines(
        text in "(\u{feff})?([ab]{0,30}(\n|\r\n)){0,30}[ab]{0,30}", split in any::<prop::sample::Index>(), batch in 1..9_usize, batch_bytes in 1..100_usize
    ) {
        let folder = TempDir::new().unwrap();
        let bytes = text.as_bytes();
        let at = split.index(bytes.len() + 1);
        let members = [gzip(&bytes[..at]), gzip(&bytes[at..])].concat();
        let frames = [zstandard(&bytes[..at]), zstandard(&bytes[at..])].concat();
        let expected = naive(bytes, 20);
        let files = [put(&folder, "plain.gz", bytes), put(&folder, "gzip", &members), put(&folder, "zstd.txt", &frames)];
        for path in &files {
            let settings = FileSettings { line_bytes_max: 20, batch_bytes, ..settings(&[path]) };
            let mut reader = FileReader::open(settings.clone(), None).unwrap();
            let mut piped = FileReader::of(fs::File::open(path).unwrap(), settings).unwrap();
            for reader in [&mut reader, &mut piped] {
                let lines = read_all(reader, batch).unwrap().into_iter().map(|((_, number, content), _)| {
                    (number, if content.starts_with('<') { "<>".to_owned() } else { content })
                });
                prop_assert_eq!(lines.collect::<Vec<_>>(), expected.clone());
            }
            prop_assert_eq!(reader.progress().0, reader.progress().1);
        }
    }

    #[test]
    fn reading_on_from_any_line_gives_the_lines_after_it(
        texts in prop::collection::vec("([ab]{0,12}\n){0,8}[ab]{0,3}", 1..4), at in any::<prop::sample::Index>(), follow in any::<bool>(), batch in 1..5_usize
    ) {
        let folder = TempDir::new().unwrap();
        let stored = |i: usize, text: &str| match i % 3 {
            0 => text.as_bytes().to_vec(),
            1 => gzip(text.as_bytes()),
            _ => zstandard(text.as_bytes()),
        };
        let files = texts.iter().enumerate().map(|(i, text)| put(&folder, &format!("%{i}"), &stored(i, text))).collect::<Vec<_>>();
        let paths = files.iter().map(PathBuf::as_path).collect::<Vec<_>>();
        let settings = FileSettings { line_bytes_max: 8, follow, ..settings(&paths) };
        let all = read_all(&mut FileReader::open(settings.clone(), None).unwrap(), batch).unwrap();
        prop_assume!(!all.is_empty());
        let at = at.index(all.len());
        let cursor = all[at].1.to_string().parse::<Cursor>().unwrap();
        prop_assert_eq!(&cursor, &all[at].1);
        let rest = read_all(&mut FileReader::open(settings, Some(&cursor)).unwrap(), batch).unwrap();
        let rest = rest.into_iter().map(|(line, _)| line).collect::<Vec<_>>();
        let after = all.into_iter().skip(at + 1).map(|(line, _)| line).collect::<Vec<_>>();
        prop_assert_eq!(rest, after);
    }

    #[test]
    fn any_text_is_a_cursor_or_an_error(text in ".{0,60}") {
        let _ = text.parse::<Cursor>();
    }

    #[test]
    fn any_bytes_are_lines_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..300), magic in prop::sample::select(vec![&b""[..], b"\x1f\x8b\x08\x00", b"\x28\xb5\x2f\xfd", b"\x50\x2a\x4d\x18"])) {
        let folder = TempDir::new().unwrap();
        let path = put(&folder, "x", &[magic, &bytes].concat());
        let _ = read_all(&mut FileReader::open(settings(&[&path]), None).unwrap(), 10);
    }
}

#[test]
fn a_long_line_is_passed_by_and_the_next_is_read() {
    let folder = TempDir::new().unwrap();
    let long = vec![b'x'; 3_000_000];
    let path = put(
        &folder,
        "a",
        &[b"one\n", &long[..], b"\r\ntwo\n", &long[..1 << 20], b"\n", &long[..]].concat(),
    );
    let mut reader = FileReader::open(settings(&[&path]), None).unwrap();
    let mut lines = Vec::new();
    while let Some(batch) = reader.next_batch(10).unwrap() {
        for line in batch.lines() {
            let reject = line.reject("feed", &Rejected::new(record::RejectReason::Length, "x"));
            lines.push((
                line.number,
                reject.length,
                reject.hash,
                matches!(line.content, Content::TooLong { .. }),
            ));
        }
    }
    let hash = |bytes: &[u8]| hash_of(blake3::hash(bytes));
    assert_eq!(lines[0], (1, 3, hash(b"one"), false));
    // Met before its end, the carriage return belongs to it.
    assert_eq!((lines[1].0, lines[1].1, lines[1].3), (2, 3_000_001, true));
    assert_eq!(lines[2], (3, 3, hash(b"two"), false));
    assert_eq!(lines[3], (4, 1 << 20, hash(&long[..1 << 20]), false));
    assert_eq!(lines[4], (5, 3_000_000, hash(&long), true));
}

#[test]
fn compressed_files_that_are_cut_off_give_their_lines_and_an_error() {
    let folder = TempDir::new().unwrap();
    let text = (0..5_000).map(|i| format!("line {i} {}\n", i * 7_919 % 10_007)).collect::<String>();
    for (name, stored) in [("a.gz", gzip(text.as_bytes())), ("a.zst", zstandard(text.as_bytes()))] {
        let path = put(&folder, name, &stored[..stored.len() - 20]);
        let after = put(&folder, "after", b"more\n");
        let mut reader = FileReader::open(settings(&[&path, &after]), None).unwrap();
        let (lines, error) = read_all(&mut reader, 100).unwrap_err();
        let FileError::Truncated { file, lines: count } = error else { panic!("{error}") };
        assert_eq!(file, path.to_str().unwrap());
        assert_eq!(count, lines.len() as u64);
        assert!(
            lines
                .iter()
                .all(|(_, number, content)| content.starts_with(&format!("line {} ", number - 1)))
        );
        let rest = read_all(&mut reader, 100).unwrap();
        assert_eq!(
            rest[0].0,
            ("after".to_owned(), 1, "more".to_owned()),
            "the next file is read all the same"
        );
    }
}

#[test]
fn empty_files_have_no_lines() {
    let folder = TempDir::new().unwrap();
    for (name, bytes) in [
        ("a", vec![]),
        ("b", gzip(b"")),
        ("c", zstandard(b"")),
        ("d", b"\n\r\n  \n".to_vec()),
        ("e", b"\xef\xbb\xbf".to_vec()),
    ] {
        let path = put(&folder, name, &bytes);
        assert_eq!(contents(settings(&[&path])), Vec::<String>::new(), "{name}");
    }
}

#[test]
fn files_come_in_the_order_given_and_patterns_by_name() {
    let folder = TempDir::new().unwrap();
    for name in ["b.nd", "a.nd", "c.nd", "z"] {
        put(&folder, name, format!("{name}\n").as_bytes());
    }
    let settings = FileSettings::new(
        ["z", "b.nd", "*.nd"]
            .iter()
            .map(|name| folder.path().join(name).to_str().unwrap().to_owned())
            .collect(),
    );
    assert_eq!(contents(settings), ["z", "b.nd", "a.nd", "c.nd"]);
}

#[test]
fn what_does_not_exist_is_said_at_once() {
    let folder = TempDir::new().unwrap();
    let open = |name: &str| {
        FileReader::open(settings(&[&folder.path().join(name)]), None)
            .err()
            .map(|error| error.to_string())
            .unwrap()
    };
    assert!(open("none").starts_with("failed to open `/"));
    assert!(open("*.nd").starts_with("no file matches `/"));
    assert!(open("a***").contains("is no pattern of file names"));
    let mut reader = FileReader::open(settings(&[folder.path()]), None).unwrap();
    assert!(matches!(reader.next_batch(1), Err(FileError::Open { .. })), "a folder is no file");
}

#[test]
fn a_growing_file_is_followed_and_its_last_line_waits() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("a");
    let settings = FileSettings { follow: true, ..settings(&[&path]) };
    let mut reader = FileReader::open(settings, None).unwrap();
    let mut next = || {
        read_all(&mut reader, 10)
            .unwrap()
            .into_iter()
            .map(|((_, number, content), _)| (number, content))
            .collect::<Vec<_>>()
    };
    assert_eq!(next(), [], "it need not exist yet");
    append(&path, b"one\ntw");
    next();
    append(&path, b"o\n");
    assert_eq!(next().last().unwrap(), &(2, "two".to_owned()));
    append(&path, b"three");
    assert_eq!(next(), []);
    append(&path, b"\nfour\n");
    assert_eq!(next(), [(3, "three".to_owned()), (4, "four".to_owned())]);
}

#[test]
fn a_rotated_file_is_read_to_its_end_and_the_new_one_from_its_start() {
    let folder = TempDir::new().unwrap();
    let path = put(&folder, "a", b"one\n");
    let settings = FileSettings { follow: true, ..settings(&[&path]) };
    let mut reader = FileReader::open(settings.clone(), None).unwrap();
    let mut lines = Vec::new();
    let mut next = |lines: &mut Vec<(String, Cursor)>| {
        lines.extend(
            read_all(&mut reader, 10)
                .unwrap()
                .into_iter()
                .map(|((_, _, content), cursor)| (content, cursor)),
        )
    };
    next(&mut lines);
    let old = folder.path().join("a.1");
    fs::rename(&path, &old).unwrap();
    append(&old, b"two\n");
    append(&path, b"four\n");
    next(&mut lines);
    append(&old, b"three");
    for _ in 0..4 {
        next(&mut lines);
    }
    append(&path, b"five\n");
    next(&mut lines);
    assert_eq!(
        lines.iter().map(|(content, _)| &**content).collect::<Vec<_>>(),
        ["one", "two", "three", "four", "five"]
    );
    // A cursor of the old file begins the new one.
    let mut reader = FileReader::open(settings, Some(&lines[1].1)).unwrap();
    let rest = read_all(&mut reader, 10)
        .unwrap()
        .into_iter()
        .map(|((_, _, content), _)| content)
        .collect::<Vec<_>>();
    assert_eq!(rest, ["four", "five"]);
}

#[test]
fn a_file_written_anew_in_place_is_read_from_its_start() {
    let folder = TempDir::new().unwrap();
    let path = put(&folder, "a", b"one\ntwo\n");
    let mut reader =
        FileReader::open(FileSettings { follow: true, ..settings(&[&path]) }, None).unwrap();
    let mut next = || {
        read_all(&mut reader, 10)
            .unwrap()
            .into_iter()
            .map(|((_, number, content), _)| (number, content))
            .collect::<Vec<_>>()
    };
    assert_eq!(next().len(), 2);
    fs::write(&path, b"three\n").unwrap();
    assert_eq!([next(), next(), next()].concat(), [(1, "three".to_owned())]);
    // Longer than before: recognised by how it begins.
    fs::write(&path, b"four and some more, longer than what was read\n").unwrap();
    let lines = [next(), next(), next()].concat();
    assert_eq!(
        lines.last().unwrap(),
        &(1, "four and some more, longer than what was read".to_owned())
    );
}

#[test]
fn files_that_come_later_are_found_by_a_followed_pattern() {
    let folder = TempDir::new().unwrap();
    let pattern = folder.path().join("*.nd");
    let settings = FileSettings { follow: true, ..settings(&[&pattern]) };
    let mut reader = FileReader::open(settings.clone(), None).unwrap();
    let mut next = || read_all(&mut reader, 10).unwrap();
    assert!(next().is_empty());
    put(&folder, "b.nd", b"one\n");
    let mut lines = [next(), next()].concat();
    put(&folder, "a.nd", b"two\n");
    append(&folder.path().join("b.nd"), b"three\n");
    lines.extend([next(), next(), next()].concat());
    let mut names = lines.iter().map(|(line, _)| line.2.clone()).collect::<Vec<_>>();
    names.sort();
    assert_eq!(names, ["one", "three", "two"]);
    // A restart knows how far each of them was read.
    append(&folder.path().join("a.nd"), b"four\n");
    let cursor = lines.last().unwrap().1.clone();
    let mut reader = FileReader::open(settings, Some(&cursor)).unwrap();
    let rest = read_all(&mut reader, 10).unwrap();
    assert_eq!(rest.iter().map(|(line, _)| &*line.2).collect::<Vec<_>>(), ["four"]);
}

#[test]
fn a_file_feed_sends_records_rejects_and_its_end() {
    let folder = TempDir::new().unwrap();
    let good = |id: u32| {
        format!("{{\"id\":\"{id}\",\"author\":\"a\",\"created_at\":{}}}\n", 1_767_603_600 + id)
    };
    let text = format!("{}nonsense\n\n{}{}\n", good(0), good(1), "x".repeat(300));
    let paths = [
        put(&folder, "a", text.as_bytes()),
        put(&folder, "b", &gzip(good(2).as_bytes())[..30]),
        put(&folder, "c", good(3).as_bytes()),
    ];
    let settings =
        FileSettings { line_bytes_max: 200, ..settings(&[&paths[0], &paths[1], &paths[2]]) };
    let intake = || crate::intake::Intake::new(crate::intake::tests::settings());
    let messages = |from: Option<&Cursor>| {
        let feed = start("f", settings.clone(), from, intake(), 1, || {
            panic!("a file that is over has no clock")
        })
        .unwrap();
        feed.messages().iter().collect::<Vec<_>>()
    };
    let told = |messages: &[Message]| {
        let told = messages.iter().map(|message| match message {
            Message::Line { outcome, .. } => {
                format!("line {}", outcome.arrival().unwrap() / 1_000_000 - 1_767_603_600)
            }
            Message::Reject { reject, .. } => {
                format!("{} {} {}", reject.reason.name(), reject.line, reject.length)
            }
            Message::Failed { why } => {
                format!("failed {}", why.rsplit("in the middle").next().unwrap())
            }
            Message::Ended => "ended".to_owned(),
            other => panic!("{other:?}"),
        });
        told.collect::<Vec<_>>()
    };
    let all = messages(None);
    let expected = [
        "line 0",
        "json 2 8",
        "line 1",
        "length 5 300",
        "failed  of its compressed data, after 0 lines",
        "line 3",
        "ended",
    ];
    assert_eq!(told(&all), expected);
    let Message::Reject { cursor: crate::Cursor::File(cursor), .. } = &all[1] else { panic!() };
    assert_eq!(told(&messages(Some(cursor))), expected[2..]);
    // Nobody need take everything.
    drop(start("f", settings.clone(), None, intake(), 1, || 0).unwrap());
}

#[test]
fn a_followed_feed_waits_for_more_until_it_is_stopped() {
    let folder = TempDir::new().unwrap();
    let path = put(&folder, "a", b"{}\n");
    let settings = FileSettings { follow: true, ..settings(&[&path]) };
    let intake = crate::intake::Intake::new(crate::intake::tests::settings());
    let feed = start("f", settings, None, intake, 4, || 1_767_603_600_000_000).unwrap();
    let next = || feed.messages().recv_timeout(std::time::Duration::from_secs(20));
    assert!(matches!(next(), Ok(Message::Reject { .. })));
    append(&path, b"{\"id\":\"1\",\"author\":\"a\",\"created_at\":\"2031-01-01\"}\n{\"id\":\"1\",\"author\":\"a\",\"created_at\":\"2031-01-01T00:00:00Z\"}\n");
    assert!(matches!(next(), Ok(Message::Reject { .. })));
    let Ok(Message::Line { outcome, .. }) = next() else { panic!() };
    assert_eq!(outcome.arrival(), Some(1_767_603_600_000_000), "a time to come is our clock's");
    feed.stop();
    assert!(next().is_err(), "and no end is claimed");
}
