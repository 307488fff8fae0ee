//! Against a real broker, at `KAFKA_BROKERS`; without one each test says that it was skipped, or fails where parts are required.

use std::env;
use std::sync::atomic::{AtomicU32, Ordering};

use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::{Offset, TopicPartitionList};

use super::migration::wait_for;
use super::*;
use crate::contract::{self, Setup};

/// The brokers to test with.
fn brokers() -> Option<String> {
    let brokers = env::var("KAFKA_BROKERS").ok().filter(|brokers| !brokers.is_empty());
    let required = ["CI", "PUMPHANDLE_REQUIRE_PARTS"].iter().any(|name| env::var_os(name).is_some());
    assert!(brokers.is_some() || !required, "no Kafka to test with: set KAFKA_BROKERS, as tests/run does");
    if brokers.is_none() {
        eprintln!("skipped: no Kafka to test with (tests/run starts one; or set KAFKA_BROKERS)");
    }
    brokers
}

/// Settings of a prefix that nobody has used.
fn settings(brokers: &str, partitions: u32) -> KafkaSettings {
    static USED: AtomicU32 = AtomicU32::new(0);
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let prefix = format!("test-{}-{}-{}", since.as_millis(), std::process::id(), USED.fetch_add(1, Ordering::Relaxed));
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
            list.add_partition_offset(&self.settings.topic(stream), partition.cast_signed(), Offset::End).unwrap();
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
