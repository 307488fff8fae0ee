//! What every journal must do: one suite that each implementation runs in its own tests.
//!
//! Knows the port and the few things that a test set-up must be able to do; knows no
//! implementation.
//! A panic is a broken promise, its message names it.

use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

use crate::{Batch, Entry, Journal, JournalError, Position, RECORD_BYTES_MAX, Stream};

/// A fresh, empty journal, and what the suite must be able to do to it from outside.
pub trait Setup {
    fn journal(&self) -> &dyn Journal;

    /// Closes the journal and opens it again; false where nothing outlives it.
    fn reopen(&mut self) -> bool;

    /// Lets retention delete every record that the stream has.
    fn expire(&mut self, stream: Stream);
}

/// Checks an implementation; `make` is given the number of partitions of posts, and makes a new,
/// empty journal each time.
pub fn check<S: Setup>(make: impl Fn(u32) -> S) {
    starts_empty(make(3).journal());
    appends_in_order(make(4).journal());
    reads_from_anywhere_within_limits(make(2).journal());
    takes_any_bytes(make(1).journal());
    takes_big_records(make(2).journal());
    wakes_waiting_readers(make(3).journal());
    serialises_appenders(make(2).journal());
    keeps_pairs(make(1).journal());
    refuses_misuse(make(2).journal());
    never_resets_silently(make(2));
    outlives_its_process(make(3));
}

const NO_WAIT: Duration = Duration::ZERO;
/// Longer than any test takes: a reader that needs it was not woken.
const LONG: Duration = Duration::from_secs(60);

fn starts_empty(journal: &dyn Journal) {
    assert!(journal.generation() >= 1, "generations count from 1");
    assert_eq!(journal.partitions(Stream::Posts), 3);
    assert_eq!(journal.partitions(Stream::Tallies), 1);
    assert_eq!(journal.partitions(Stream::Alerts), 1);
    for stream in logs() {
        for partition in 0..journal.partitions(stream) {
            assert_eq!(extent(journal, stream, partition), (0, 0));
            assert_eq!(read(journal, stream, partition, 0, 1000), Batch::default());
        }
        assert_eq!(append(journal, stream, &[]), Vec::<Position>::new());
    }
    for stream in [Stream::State, Stream::Feeds] {
        assert_eq!(get(journal, stream, "key"), None);
        assert_eq!(keys(journal, stream, ""), Vec::<String>::new());
        assert_eq!(put(journal, stream, &[]), Vec::<Position>::new());
    }
}

fn appends_in_order(journal: &dyn Journal) {
    let mut expected: BTreeMap<u32, Vec<(Position, Vec<u8>)>> = BTreeMap::new();
    for round in 0..20_u32 {
        let entries: Vec<Entry> = (0..round)
            .map(|n| entry((n * n + round) % 4, format!("round {round} entry {n}")))
            .collect();
        let positions = append(journal, Stream::Posts, &entries);
        assert_eq!(positions.len(), entries.len(), "a position for each entry");
        for (position, entry) in positions.into_iter().zip(entries) {
            let records = expected.entry(entry.partition).or_default();
            assert_eq!(position, records.len() as Position, "no gap, no repeat");
            records.push((position, entry.bytes));
        }
        for (partition, records) in &expected {
            let high = records.len() as Position;
            assert_eq!(extent(journal, Stream::Posts, *partition), (0, high));
            let batch = read(journal, Stream::Posts, *partition, 0, usize::MAX);
            assert_eq!(&batch.records, records, "readable as soon as appended");
            assert_eq!(batch.next, high);
        }
    }
    assert_eq!(extent(journal, Stream::Tallies, 0), (0, 0), "streams are apart");
}

fn reads_from_anywhere_within_limits(journal: &dyn Journal) {
    let records: Vec<Vec<u8>> = (0..40_usize).map(|n| vec![b'x'; n * 7 % 50]).collect();
    for appended in records.chunks(11) {
        let entries: Vec<Entry> = appended
            .iter()
            .flat_map(|bytes| [entry(1, bytes.clone()), entry(0, "other")])
            .collect();
        append(journal, Stream::Posts, &entries);
    }
    for from in 0..=records.len() {
        for bytes_max in [0, 1, 49, 100, 100_000] {
            let batch = read(journal, Stream::Posts, 1, from as Position, bytes_max);
            let expected = within(&records[from..], bytes_max);
            assert_eq!(batch.next as usize, from + batch.records.len());
            for (n, (position, bytes)) in batch.records.iter().enumerate() {
                assert_eq!(*position as usize, from + n);
                assert_eq!(bytes, &records[from + n]);
            }
            let bytes: usize = batch.records.iter().map(|(_, bytes)| bytes.len()).sum();
            assert!(batch.records.len() <= 1 || bytes <= bytes_max, "limit kept");
            assert!(batch.records.len() <= expected);
            assert_eq!(batch.records.is_empty(), from == records.len(), "progress");
        }
    }
    let mut next = 0;
    let mut seen = Vec::new();
    while next < records.len() as Position {
        let batch = read(journal, Stream::Posts, 1, next, 100);
        seen.extend(batch.records.into_iter().map(|(_, bytes)| bytes));
        next = batch.next;
    }
    assert_eq!(seen, records, "batch after batch, across the borders of appends");
}

fn takes_any_bytes(journal: &dyn Journal) {
    let all: Vec<u8> = (0..=255).collect();
    let records = [vec![], vec![0], vec![0; 1000], vec![255; 300], all, vec![]];
    let entries: Vec<Entry> = records.iter().map(|bytes| entry(0, bytes.clone())).collect();
    for stream in logs() {
        append(journal, stream, &entries);
        assert_eq!(bytes_of(read(journal, stream, 0, 0, usize::MAX)), records);
        assert_eq!(bytes_of(read(journal, stream, 0, 5, 0)), [Vec::<u8>::new()]);
    }
}

fn takes_big_records(journal: &dyn Journal) {
    let big: Vec<u8> =
        (0..8_u32 << 20).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let entries = [entry(0, "before"), entry(0, big.clone()), entry(1, "aside"), entry(0, "after")];
    append(journal, Stream::Posts, &entries);
    append(journal, Stream::Posts, &[entry(0, big.clone())]);
    assert_eq!(bytes_of(read(journal, Stream::Posts, 0, 1, 10)), [&big[..]]);
    let all = bytes_of(read(journal, Stream::Posts, 0, 0, usize::MAX));
    assert!(all == [b"before".to_vec(), big.clone(), b"after".to_vec(), big.clone()]);
    let too_long = append_result(
        journal,
        Stream::Posts,
        &[entry(0, "dropped"), entry(0, vec![0; RECORD_BYTES_MAX + 1])],
    );
    assert!(matches!(too_long, Err(JournalError::TooLarge { .. })), "{too_long:?}");
    assert_eq!(extent(journal, Stream::Posts, 0), (0, 4), "all or nothing");
    let longest: Vec<u8> =
        (0..RECORD_BYTES_MAX as u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    append(journal, Stream::Posts, &[entry(1, longest.clone())]);
    assert!(bytes_of(read(journal, Stream::Posts, 1, 1, 10)) == [longest.clone()]);
    put(journal, Stream::State, &[pair("longest", &longest)]);
    assert!(get(journal, Stream::State, "longest") == Some(longest));
    put(journal, Stream::State, &[pair("big", &big)]);
    assert!(get(journal, Stream::State, "big") == Some(big));
    let too_long = journal.put(Stream::State, &[pair("big", &vec![0; RECORD_BYTES_MAX + 1])]);
    assert!(matches!(too_long, Err(JournalError::TooLarge { .. })), "{too_long:?}");
}

fn wakes_waiting_readers(journal: &dyn Journal) {
    const RECORDS: Position = 300;
    let short = Duration::from_millis(5);
    let idle = journal.read(Stream::Posts, 0, 0, 1000, short).expect("an empty read");
    assert_eq!(idle, Batch::default(), "a wait that ends says so by no records");
    thread::scope(|scope| {
        let readers: Vec<_> = (0..6)
            .map(|reader| {
                scope.spawn(move || {
                    let mut next = 0;
                    while next < RECORDS {
                        let batch = journal
                            .read(Stream::Posts, reader % 3, next, 500, LONG)
                            .expect("a read");
                        assert!(!batch.records.is_empty(), "woken by a record");
                        for (position, bytes) in batch.records {
                            assert_eq!(position, next);
                            assert_eq!(bytes, format!("{}:{position}", reader % 3).into_bytes());
                            next += 1;
                        }
                        assert_eq!(batch.next, next);
                    }
                })
            })
            .collect();
        for position in 0..RECORDS {
            let entries: Vec<Entry> = (0..3)
                .map(|partition| entry(partition, format!("{partition}:{position}")))
                .collect();
            append(journal, Stream::Posts, &entries);
        }
        for reader in readers {
            reader.join().expect("the reader's own checks");
        }
    });
}

fn serialises_appenders(journal: &dyn Journal) {
    thread::scope(|scope| {
        for appender in 0..4_u32 {
            scope.spawn(move || {
                for n in 0..50_u32 {
                    let bytes = format!("{appender} {n:03}");
                    let positions = append(
                        journal,
                        Stream::Posts,
                        &[entry(n % 2, bytes.clone()), entry(n % 2, "mate")],
                    );
                    assert_eq!(
                        positions[1],
                        positions[0] + 1,
                        "the entries of one append stay together"
                    );
                    let batch = read(journal, Stream::Posts, n % 2, positions[0], 0);
                    assert_eq!(
                        bytes_of(batch),
                        [bytes.into_bytes()],
                        "its own append is at its position"
                    );
                }
            });
        }
    });
    for partition in 0..2 {
        assert_eq!(extent(journal, Stream::Posts, partition), (0, 200));
        let records = bytes_of(read(journal, Stream::Posts, partition, 0, usize::MAX));
        for appender in 0..4 {
            let start = format!("{appender} ").into_bytes();
            let own: Vec<_> = records.iter().filter(|bytes| bytes.starts_with(&start)).collect();
            assert_eq!(own.len(), 25);
            assert!(own.is_sorted(), "each appender's order is kept");
        }
    }
}

fn keeps_pairs(journal: &dyn Journal) {
    let mut last = None;
    let mut newer = |positions: Vec<Position>| {
        assert!(positions.is_sorted());
        assert!(last < positions.last().copied(), "positions of a key grow");
        last = positions.last().copied();
    };
    newer(put(
        journal,
        Stream::State,
        &[pair("tally/3", b"a"), pair("tally/10", b"b"), pair("watch", b"c")],
    ));
    assert_eq!(get(journal, Stream::State, "tally/10").as_deref(), Some(&b"b"[..]));
    assert_eq!(get(journal, Stream::State, "tally"), None, "a prefix is no key");
    assert_eq!(get(journal, Stream::Feeds, "watch"), None, "streams are apart");
    assert_eq!(keys(journal, Stream::State, ""), ["tally/10", "tally/3", "watch"]);
    assert_eq!(keys(journal, Stream::State, "tally/"), ["tally/10", "tally/3"]);
    assert_eq!(keys(journal, Stream::State, "x"), Vec::<String>::new());

    newer(put(journal, Stream::State, &[pair("watch", b""), ("tally/3".to_owned(), None)]));
    assert_eq!(get(journal, Stream::State, "watch"), Some(vec![]), "empty is a value");
    assert_eq!(get(journal, Stream::State, "tally/3"), None);
    assert_eq!(keys(journal, Stream::State, "tally/"), ["tally/10"]);

    newer(put(
        journal,
        Stream::State,
        &[pair("again", b"1"), ("again".to_owned(), None), pair("again", b"2")],
    ));
    assert_eq!(get(journal, Stream::State, "again"), Some(b"2".to_vec()), "in order");
    newer(put(journal, Stream::State, &[("never".to_owned(), None)]));

    newer(put(
        journal,
        Stream::State,
        &[pair("é%_\u{10ffff}", b"1"), pair("é*", b"2"), pair("%", b"3")],
    ));
    assert_eq!(keys(journal, Stream::State, "é"), ["é%_\u{10ffff}", "é*"]);
    assert_eq!(keys(journal, Stream::State, "%"), ["%"], "no character is special");
    assert_eq!(keys(journal, Stream::State, "é%_\u{10ffff}"), ["é%_\u{10ffff}"]);
}

fn refuses_misuse(journal: &dyn Journal) {
    for stream in [Stream::State, Stream::Feeds] {
        refused(append_result(journal, stream, &[entry(0, "x")]));
        refused(journal.read(stream, 0, 0, 10, NO_WAIT));
        refused(journal.extent(stream, 0));
    }
    for stream in logs() {
        refused(journal.put(stream, &[pair("key", b"value")]));
        refused(journal.get(stream, "key"));
        refused(journal.keys(stream, ""));
        let none = journal.partitions(stream);
        let no_partition = |error: JournalError| {
            assert!(matches!(error, JournalError::NoPartition { .. }), "{error}")
        };
        no_partition(
            append_result(journal, stream, &[entry(0, "x"), entry(none, "x")])
                .expect_err("no partition"),
        );
        no_partition(journal.read(stream, none, 0, 10, NO_WAIT).expect_err("no partition"));
        no_partition(journal.extent(stream, none).expect_err("no partition"));
        assert_eq!(extent(journal, stream, 0), (0, 0), "a refused append appends nothing");
    }
}

fn never_resets_silently(mut setup: impl Setup) {
    let old: Vec<Entry> = (0..10).map(|n| entry(n % 2, format!("old {n}"))).collect();
    append(setup.journal(), Stream::Posts, &old);
    append(setup.journal(), Stream::Tallies, &[entry(0, "kept")]);
    setup.expire(Stream::Posts);
    let journal = setup.journal();
    assert_eq!(extent(journal, Stream::Posts, 1), (5, 5));
    assert_eq!(extent(journal, Stream::Tallies, 0), (0, 1));
    for requested in 0..5 {
        let gone = journal.read(Stream::Posts, 1, requested, 10, LONG);
        assert!(
            matches!(gone, Err(JournalError::Gone { stream: Stream::Posts, partition: 1, requested: a, low: 5 }) if a == requested),
            "{gone:?}"
        );
    }
    assert_eq!(read(journal, Stream::Posts, 1, 5, 10), Batch { records: vec![], next: 5 });
    let beyond = journal.read(Stream::Posts, 1, 6, 10, LONG);
    assert!(
        matches!(
            beyond,
            Err(JournalError::Beyond {
                stream: Stream::Posts,
                partition: 1,
                requested: 6,
                high: 5
            })
        ),
        "{beyond:?}"
    );
    assert!(!beyond.expect_err("just seen").retry(), "no time makes it right");
    assert_eq!(append(journal, Stream::Posts, &[entry(1, "new")]), [5], "positions go on");
    setup.reopen();
    let journal = setup.journal();
    if extent(journal, Stream::Posts, 1).1 != 0 {
        assert_eq!(extent(journal, Stream::Posts, 1), (5, 6));
        assert_eq!(bytes_of(read(journal, Stream::Posts, 1, 5, 10)), [b"new"]);
    }
}

fn outlives_its_process(mut setup: impl Setup) {
    let big = vec![7; 300_000];
    for n in 0..30_u32 {
        let entries = [entry(n % 3, format!("{n}")), entry(0, big.clone())];
        append(setup.journal(), Stream::Posts, &entries);
        append(setup.journal(), Stream::Alerts, &[entry(0, format!("{n}"))]);
        put(setup.journal(), Stream::State, &[pair(&format!("{}", n % 7), &[n as u8])]);
    }
    let first =
        put(setup.journal(), Stream::Feeds, &[pair("feed", b"cursor"), ("0".to_owned(), None)]);
    let before = contents(setup.journal());
    let generation = setup.journal().generation();
    if !setup.reopen() {
        return;
    }
    assert_eq!(setup.journal().generation(), generation);
    assert!(contents(setup.journal()) == before, "everything is as it was");
    assert_eq!(append(setup.journal(), Stream::Posts, &[entry(1, "next")]), [10]);
    let again = put(setup.journal(), Stream::Feeds, &[pair("0", b""), pair("feed", b"cursor")]);
    assert!(again[0] > first[1] && again[1] > first[0], "positions of a key grow across restarts");
}

/// Everything that a journal holds.
#[derive(PartialEq)]
struct Contents {
    batches: Vec<(Stream, u32, Batch)>,
    pairs: Vec<(Stream, String, Option<Vec<u8>>)>,
}

fn contents(journal: &dyn Journal) -> Contents {
    let mut contents = Contents { batches: Vec::new(), pairs: Vec::new() };
    for stream in logs() {
        for partition in 0..journal.partitions(stream) {
            let (low, _) = extent(journal, stream, partition);
            let batch = read(journal, stream, partition, low, usize::MAX);
            contents.batches.push((stream, partition, batch));
        }
    }
    for stream in [Stream::State, Stream::Feeds] {
        for key in keys(journal, stream, "") {
            let value = get(journal, stream, &key);
            contents.pairs.push((stream, key, value));
        }
    }
    contents
}

/// How many of the records a read may bring.
fn within(records: &[Vec<u8>], bytes_max: usize) -> usize {
    let mut bytes = 0;
    let fitting = records.iter().take_while(|record| {
        bytes += record.len();
        bytes <= bytes_max
    });
    fitting.count().max(1)
}

fn logs() -> impl Iterator<Item = Stream> {
    Stream::ALL.into_iter().filter(|stream| !stream.compacted())
}

fn entry(partition: u32, bytes: impl Into<Vec<u8>>) -> Entry {
    Entry { partition, bytes: bytes.into() }
}

fn pair(key: &str, value: &[u8]) -> (String, Option<Vec<u8>>) {
    (key.to_owned(), Some(value.to_vec()))
}

fn bytes_of(batch: Batch) -> Vec<Vec<u8>> {
    batch.records.into_iter().map(|(_, bytes)| bytes).collect()
}

fn append(journal: &dyn Journal, stream: Stream, entries: &[Entry]) -> Vec<Position> {
    append_result(journal, stream, entries).expect("an append")
}

fn append_result(
    journal: &dyn Journal,
    stream: Stream,
    entries: &[Entry],
) -> Result<Vec<Position>, JournalError> {
    journal.append(stream, entries)
}

/// All that `bytes_max` allows, in as many reads as it takes where it is everything.
fn read(
    journal: &dyn Journal,
    stream: Stream,
    partition: u32,
    from: Position,
    bytes_max: usize,
) -> Batch {
    let mut batch = journal.read(stream, partition, from, bytes_max, NO_WAIT).expect("a read");
    if bytes_max < usize::MAX {
        return batch;
    }
    loop {
        let more = journal.read(stream, partition, batch.next, bytes_max, NO_WAIT).expect("a read");
        if more.records.is_empty() {
            return batch;
        }
        batch.records.extend(more.records);
        batch.next = more.next;
    }
}

fn extent(journal: &dyn Journal, stream: Stream, partition: u32) -> (Position, Position) {
    let extent = journal.extent(stream, partition).expect("an extent");
    (extent.start, extent.end)
}

fn put(
    journal: &dyn Journal,
    stream: Stream,
    pairs: &[(String, Option<Vec<u8>>)],
) -> Vec<Position> {
    let positions = journal.put(stream, pairs).expect("a put");
    assert_eq!(positions.len(), pairs.len(), "a position for each pair");
    positions
}

fn get(journal: &dyn Journal, stream: Stream, key: &str) -> Option<Vec<u8>> {
    journal.get(stream, key).expect("a get")
}

fn keys(journal: &dyn Journal, stream: Stream, prefix: &str) -> Vec<String> {
    journal.keys(stream, prefix).expect("keys")
}

fn refused<T: std::fmt::Debug>(result: Result<T, JournalError>) {
    assert!(matches!(result, Err(JournalError::WrongKind { .. })), "{result:?}");
}
