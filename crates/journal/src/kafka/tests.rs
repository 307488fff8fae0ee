//! Against a real broker, at `KAFKA_BROKERS`; without one each test says that it was skipped, or
//! fails where parts are required.
//! Tests that stop the broker start one of their own.

mod broker;

mod faults;

mod members;

mod migrations;

use std::env;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use rdkafka::admin::{AdminClient, AdminOptions, AlterConfig, ResourceSpecifier};
use rdkafka::client::DefaultClientContext;
use rdkafka::{Offset, TopicPartitionList};

use super::migration::wait_for;
use super::*;
use crate::Change;
use crate::contract::{self, Setup};

/// The brokers to test with.
fn brokers() -> Option<String> {
    let brokers = env::var("KAFKA_BROKERS").ok().filter(|brokers| !brokers.is_empty());
    part(brokers, "no Kafka to test with: tests/run starts one, or set KAFKA_BROKERS")
}

/// A part that tests need: without it they are skipped aloud, and fail where everything is to be at
/// hand.
fn part<T>(part: Option<T>, missing: &str) -> Option<T> {
    let required = ["CI", "PUMPHANDLE_REQUIRE_PARTS"]
        .iter()
        .any(|name| env::var_os(name).is_some_and(|value| !value.is_empty()));
    assert!(part.is_some() || !required, "{missing}");
    if part.is_none() {
        eprintln!("skipped: {missing}");
    }
    part
}

/// Waits until something is so.
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let started = Instant::now();
    while !is_so() {
        assert!(started.elapsed() < Duration::from_secs(60), "not in a minute: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Settings of a prefix that nobody has used.
fn settings(brokers: &str, partitions: u32) -> KafkaSettings {
    static USED: AtomicU32 = AtomicU32::new(0);
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let prefix = format!(
        "test-{}-{}-{}",
        since.as_millis(),
        std::process::id(),
        USED.fetch_add(1, Ordering::Relaxed)
    );
    let mut settings = KafkaSettings::new(brokers, prefix, partitions);
    // Tests jump about in streams: a consumer is moved when its last fetch has been answered.
    settings.properties.insert("fetch.wait.max.ms".to_owned(), "5".to_owned());
    settings
}

/// A journal in topics of its own.
struct Topics {
    settings: KafkaSettings,
    journal: Option<KafkaJournal>,
}

impl Topics {
    fn new(brokers: &str, partitions: u32) -> Topics {
        let settings = settings(brokers, partitions);
        migrate(&settings, &Plan::default()).unwrap();
        let journal = Some(KafkaJournal::open(settings.clone()).unwrap());
        Topics { settings, journal }
    }

    fn admin(&self) -> AdminClient<DefaultClientContext> {
        self.settings.admin().create().unwrap()
    }
}

impl Drop for Topics {
    fn drop(&mut self) {
        self.journal = None;
        let topics = Stream::ALL.map(|stream| self.settings.topic(stream));
        let topics = topics.each_ref().map(String::as_str);
        let _ = wait_for(self.admin().delete_topics(&topics, &AdminOptions::new()));
    }
}

impl Setup for Topics {
    fn journal(&self) -> &dyn Journal {
        self.journal.as_ref().unwrap()
    }

    fn reopen(&mut self) -> bool {
        self.journal = None;
        self.journal = Some(KafkaJournal::open(self.settings.clone()).unwrap());
        true
    }

    fn expire(&mut self, stream: Stream) {
        let mut list = TopicPartitionList::new();
        for partition in 0..self.journal().partitions(stream) {
            list.add_partition_offset(
                &self.settings.topic(stream),
                partition.cast_signed(),
                Offset::End,
            )
            .unwrap();
        }
        let deleted = wait_for(self.admin().delete_records(&list, &AdminOptions::new())).unwrap();
        deleted.elements().iter().for_each(|element| element.error().unwrap());
    }
}

#[test]
fn keeps_the_contract() {
    let Some(brokers) = brokers() else { return };
    contract::check(|partitions| Topics::new(&brokers, partitions));
}

#[test]
fn a_full_queue_makes_the_appender_wait_and_drops_nothing() {
    let Some(brokers) = brokers() else { return };
    let mut topics = Topics::new(&brokers, 2);
    topics.settings.properties.insert("queue.buffering.max.messages".to_owned(), "7".to_owned());
    topics.reopen();
    let entries: Vec<Entry> = (0..500_u32).map(|n| entry(n % 2, &n.to_string())).collect();
    let journal = topics.journal();
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| journal.append(Stream::Posts, &entries).unwrap());
        }
    });
    for partition in 0..2 {
        let once = (0..500).filter(|n| n % 2 == partition).map(|n: u32| n.to_string());
        let thrice: Vec<String> = once.clone().chain(once.clone()).chain(once).collect();
        assert_eq!(
            texts(journal, Stream::Posts, partition),
            thrice,
            "whole calls, one after the other"
        );
    }
}

#[test]
fn the_longest_record_passes_through() {
    let Some(brokers) = brokers() else { return };
    let topics = Topics::new(&brokers, 1);
    let journal = topics.journal();
    let longest: Vec<u8> = (0..crate::RECORD_BYTES_MAX as u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    assert_eq!(
        journal.append(Stream::Posts, &[Entry { partition: 0, bytes: longest.clone() }]).unwrap(),
        [0]
    );
    let batch = journal.read(Stream::Posts, 0, 0, 1, Duration::ZERO).unwrap();
    assert!(batch.records == [(0, longest.clone())]);
    let key = "k".repeat(1000);
    journal.put(Stream::State, &[(key.clone(), Some(longest.clone()))]).unwrap();
    assert!(journal.get(Stream::State, &key).unwrap() == Some(longest));
}

#[test]
fn values_of_other_processes_are_seen_as_soon_as_they_are_acknowledged() {
    let Some(brokers) = brokers() else { return };
    let topics = Topics::new(&brokers, 1);
    let ours = topics.journal();
    let theirs = KafkaJournal::open(topics.settings.clone()).unwrap();
    assert_eq!(ours.partitions(Stream::Feeds), 8);
    for n in 0..50_u32 {
        let key = format!("feed/{}", n % 20);
        for (stream, value) in
            [(Stream::Feeds, vec![n as u8]), (Stream::State, vec![n as u8; 5_000])]
        {
            theirs.put(stream, &[(key.clone(), Some(value.clone()))]).unwrap();
            assert_eq!(ours.get(stream, &key).unwrap(), Some(value));
            assert_eq!(ours.keys(stream, "feed/").unwrap().len(), (n as usize + 1).min(20));
        }
    }
    theirs.put(Stream::Feeds, &[("feed/3".to_owned(), None)]).unwrap();
    assert_eq!(ours.get(Stream::Feeds, "feed/3").unwrap(), None);
    assert_eq!(ours.keys(Stream::Feeds, "feed/").unwrap().len(), 19);
}

#[test]
fn a_compacted_stream_that_ends_in_nothing_is_read_to_its_end() {
    let Some(brokers) = brokers() else { return };
    let topics = Topics::new(&brokers, 1);
    let journal = topics.journal();
    journal.put(Stream::State, &[("key".to_owned(), Some(b"value".to_vec()))]).unwrap();
    // What compaction can leave at the end, an aborted transaction leaves as well: positions
    // without records.
    let producer: rdkafka::producer::BaseProducer =
        topics.settings.client().set("transactional.id", "nobody").create().unwrap();
    use rdkafka::producer::Producer;
    producer.init_transactions(Duration::from_secs(30)).unwrap();
    producer.begin_transaction().unwrap();
    let topic = topics.settings.topic(Stream::State);
    producer.send(rdkafka::producer::BaseRecord::to(&topic).key("key").payload("never")).unwrap();
    producer.flush(Duration::from_secs(30)).unwrap();
    producer.abort_transaction(Duration::from_secs(30)).unwrap();
    assert_eq!(journal.get(Stream::State, "key").unwrap().as_deref(), Some(&b"value"[..]));
    assert_eq!(journal.keys(Stream::State, "").unwrap(), ["key"]);
}

#[test]
fn compaction_takes_away_nothing_that_is_asked_for() {
    let Some(brokers) = brokers() else { return };
    let topics = Topics::new(&brokers, 1);
    let journal = topics.journal();
    let topic = topics.settings.topic(Stream::State);
    let hasty = [
        ("cleanup.policy", "compact"),
        ("segment.ms", "100"),
        ("min.cleanable.dirty.ratio", "0.01"),
        ("max.compaction.lag.ms", "1"),
    ];
    let change = hasty
        .into_iter()
        .fold(AlterConfig::new(ResourceSpecifier::Topic(&topic)), |change, (name, value)| {
            change.set(name, value)
        });
    wait_for(topics.admin().alter_configs([&change], &AdminOptions::new())).unwrap()[0]
        .as_ref()
        .unwrap();
    let value = |n: u32| vec![n as u8; if n.is_multiple_of(2) { 10 } else { 3_000 }];
    let mut round = 0;
    until("compaction has taken away most of what was replaced", || {
        let pairs: Vec<_> =
            (0..20).map(|key| (format!("key/{key:02}"), Some(value(round + key)))).collect();
        journal.put(Stream::State, &pairs).unwrap();
        journal
            .put(
                Stream::State,
                &[(format!("gone/{round}"), Some(vec![1; 2_000])), (format!("gone/{round}"), None)],
            )
            .unwrap();
        // One that follows all the time, one that looks values up where they stood before, one that
        // begins again.
        let fresh = KafkaJournal::open(topics.settings.clone()).unwrap();
        for journal in [journal, &fresh as &dyn Journal] {
            assert_eq!(journal.keys(Stream::State, "").unwrap().len(), 20);
            for key in 0..20 {
                assert_eq!(
                    journal.get(Stream::State, &format!("key/{key:02}")).unwrap(),
                    Some(value(round + key)),
                    "round {round}, {key}"
                );
            }
        }
        round += 1;
        let end = fresh.readers.extent(Stream::State, 0).unwrap().end;
        let context = Arc::clone(&fresh.trouble);
        let reader =
            reader::consumer_of(&topics.settings, &context, 1 << 20, &topic, &[(0, 0)]).unwrap();
        let (mut records, mut next) = (0, 0);
        while next < end {
            if let Some(record) = reader::poll(&reader, Duration::from_secs(10)).unwrap() {
                (records, next) = (records + 1, record.position + 1);
            }
        }
        records * 2 < end
    });
}

#[test]
fn settings_that_break_promises_are_refused_by_name() {
    let mut settings = KafkaSettings::new("127.0.0.1:1", "p", 1);
    settings.properties.insert("acks".to_owned(), "1".to_owned());
    let text = refusal(settings.clone());
    assert_eq!(text, "setting `acks` for Kafka is wrong: the journal's promises rest on its value");
    settings.properties = BTreeMap::from([("fetch.wait.max.mss".to_owned(), "1".to_owned())]);
    assert!(
        refusal(settings.clone()).starts_with("setting `fetch.wait.max.mss` for Kafka is wrong: ")
    );
    settings.properties = BTreeMap::from([("sasl.password".to_owned(), "secret".to_owned())]);
    assert!(!format!("{settings:?}").contains("secret"));
    settings.prefix = "a b".to_owned();
    assert!(refusal(settings).starts_with("setting `prefix` for Kafka is wrong: "));
}

fn refusal(settings: KafkaSettings) -> String {
    let error = KafkaJournal::open(settings).err().unwrap();
    assert!(!error.retry(), "{error}");
    error.to_string()
}

fn entry(partition: u32, text: &str) -> Entry {
    Entry { partition, bytes: text.as_bytes().to_vec() }
}

/// All records of a partition.
fn texts(journal: &dyn Journal, stream: Stream, partition: u32) -> Vec<String> {
    let extent = journal.extent(stream, partition).unwrap();
    let (mut next, mut texts) = (extent.start, Vec::new());
    while next < extent.end {
        let batch = journal.read(stream, partition, next, 1 << 20, Duration::ZERO).unwrap();
        texts.extend(batch.records.into_iter().map(|(_, bytes)| String::from_utf8(bytes).unwrap()));
        next = batch.next;
    }
    texts
}
