//! Creation and update of topics.
//!
//! Can be stopped at any instant and run again: before anything is made, deleted or made again, the
//! plan is in a compacted stream, and a journal with an unfinished plan can't be opened. A stream
//! made again raises the generation, because positions in it begin again; so nothing is deleted
//! while a group has members.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::{Duration, Instant};

use rdkafka::admin::{
    AdminClient, AdminOptions, AlterConfig, ConfigSource, NewTopic, ResourceSpecifier,
    TopicReplication,
};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};

use super::client::Shared;
use super::recorded::{self, Recorded};
use super::settings::BATCH_BYTES_MAX;
use super::table::partition_of;
use super::writer::Outgoing;
use super::{KafkaJournal, KafkaSettings, check_counts};
use crate::{Journal, JournalError, Stream};

/// How long to wait before the brokers are queried again whether something is done.
const AGAIN: Duration = Duration::from_millis(50);

/// What the topics shall be like.
#[derive(Clone, Debug)]
pub struct Plan {
    /// How many brokers hold each record; the brokers' own default if none. Only for streams that
    /// are made.
    pub replication: Option<u16>,
    /// How many shares of feeds there are for the workers of ingest.
    pub feeds_partitions: u32,
    /// How long at least a record stays. A stream without one is retained for ever; compacted ones
    /// take none.
    pub retention: BTreeMap<Stream, Duration>,
    /// Age at which readers delete records themselves, which files are cut by; the retention if
    /// none.
    pub ages: BTreeMap<Stream, Duration>,
    /// Begins a new generation: deletes all streams but alerts, and makes them again, with other
    /// partitions if so set.
    pub anew: bool,
    /// The least generation of streams that are made; above 1, streams whose record is lost are
    /// made again too.
    pub generation_min: u16,
}

impl Default for Plan {
    fn default() -> Plan {
        Plan {
            replication: None,
            feeds_partitions: 8,
            retention: crate::local::Options::default().retention,
            ages: BTreeMap::new(),
            anew: false,
            generation_min: 1,
        }
    }
}

/// What has been done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    pub generation: u16,
    /// Streams made, or made again.
    pub made: BTreeSet<Stream>,
    /// Streams that were there, and now keep records as planned.
    pub changed: BTreeSet<Stream>,
}

/// Makes the streams, or brings their retention up to date. `settings.partitions` of posts must be
/// those they were made with, unless they are made again.
pub fn migrate(settings: &KafkaSettings, plan: &Plan) -> Result<Report, JournalError> {
    settings.check()?;
    if !(1..=crate::local::PARTITIONS_MAX).contains(&plan.feeds_partitions) {
        return Err(JournalError::Setting {
            name: "feeds-partitions".to_owned(),
            reason: "it is not between 1 and 32768".to_owned(),
        });
    }
    let journal = KafkaJournal::connect(settings.clone())?;
    let admin = settings.admin().create_with_context(Shared(Arc::clone(&journal.trouble)));
    let admin = admin.map_err(|error| journal.trouble.misset(error))?;
    let migration = Migration { journal, admin, plan };
    let counts = migration.counts()?;
    let recorded = migration.journal.read_recorded(&counts)?;
    migration.carry_out(migration.begin(recorded, &counts)?, &counts)
}

struct Migration<'a> {
    journal: KafkaJournal,
    admin: AdminClient<Shared>,
    plan: &'a Plan,
}

impl Migration<'_> {
    /// How many partitions each stream has, by the controller's word: a broker that has just
    /// started doesn't know all topics, and what looks as if it were missing would be made again.
    fn counts(&self) -> Result<BTreeMap<Stream, u32>, JournalError> {
        let mut counts = self.journal.counts()?;
        for stream in Stream::ALL {
            if counts.contains_key(&stream) {
                continue;
            }
            let name = self.journal.settings.topic(stream);
            let topic = NewTopic::new(&name, 1, TopicReplication::Fixed(-1));
            let results =
                wait_for(self.admin.create_topics([&topic], &self.options().validate_only(true)));
            let results =
                results.map_err(|error| self.failed("ask which streams there are", error))?;
            if let Some(Err((_, Code::TopicAlreadyExists))) = results.into_iter().next() {
                self.until_done(|| {
                    counts = self.journal.counts()?;
                    Ok(counts.contains_key(&stream))
                })?;
            }
        }
        Ok(counts)
    }

    /// What the streams shall say of themselves, given what they say now.
    fn begin(
        &self,
        recorded: Option<Recorded>,
        counts: &BTreeMap<Stream, u32>,
    ) -> Result<Recorded, JournalError> {
        let settings = &self.journal.settings;
        let afresh = |generation: Option<u16>, anew: Vec<Stream>| {
            let generation = generation
                .ok_or_else(|| JournalError::PrefixSpent { prefix: settings.prefix.clone() })?;
            let generation = generation.max(self.plan.generation_min).max(1);
            Ok(Recorded {
                generation,
                posts: settings.partitions,
                feeds: self.plan.feeds_partitions,
                unfinished: true,
                anew,
            })
        };
        let remade = || counts.keys().copied().filter(|stream| *stream != Stream::Alerts).collect();
        let Some(recorded) = recorded else {
            let orphans = counts.keys().any(|stream| !stream.compacted());
            if orphans && self.plan.generation_min <= 1 {
                return Err(JournalError::Unrecorded { prefix: settings.prefix.clone() });
            }
            return afresh(Some(1), if orphans { remade() } else { Vec::new() });
        };
        if self.plan.anew {
            return afresh(recorded.generation.checked_add(1), remade());
        }
        let there: BTreeMap<Stream, u32> = counts
            .iter()
            .filter(|(stream, _)| !recorded.anew.contains(stream))
            .map(|(stream, count)| (*stream, *count))
            .collect();
        check_counts(settings, &recorded, &there)?;
        let complete = Stream::ALL.iter().all(|stream| counts.contains_key(stream));
        if complete || recorded.unfinished {
            return Ok(recorded);
        }
        let generation = recorded.generation;
        let feeds = recorded.feeds;
        Ok(Recorded { feeds, ..afresh(generation.checked_add(1), Vec::new())? })
    }

    fn carry_out(
        &self,
        mut recorded: Recorded,
        counts: &BTreeMap<Stream, u32>,
    ) -> Result<Report, JournalError> {
        let mut report = Report { generation: recorded.generation, ..Report::default() };
        if recorded.unfinished {
            // The record needs a place, which must be one that stays, before anything else is
            // touched.
            for stream in [Stream::State, Stream::Feeds] {
                if !counts.contains_key(&stream) {
                    recorded.anew.retain(|anew| *anew != stream);
                    self.make(stream, &recorded)?;
                    report.made.insert(stream);
                }
            }
            if !recorded.anew.is_empty() {
                self.expect_nobody()?;
            }
            self.record(&recorded)?;
            // Compacted streams come last, and one after the other, so that one of them always
            // holds the record.
            recorded.anew.sort_by_key(|stream| (stream.compacted(), *stream));
            for stream in recorded.anew.clone() {
                self.delete(stream)?;
                self.make(stream, &recorded)?;
                recorded.anew.retain(|anew| *anew != stream);
                self.record(&recorded)?;
                report.made.insert(stream);
            }
            for stream in Stream::ALL.into_iter().filter(|stream| !stream.compacted()) {
                if !counts.contains_key(&stream) && !report.made.contains(&stream) {
                    self.make(stream, &recorded)?;
                    report.made.insert(stream);
                }
            }
            recorded.unfinished = false;
            self.record(&recorded)?;
        }
        self.configure(&mut report)?;
        Ok(report)
    }

    /// Writes the record into the compacted streams that are to stay.
    fn record(&self, recorded: &Recorded) -> Result<(), JournalError> {
        let counts = self.journal.counts()?;
        for stream in [Stream::State, Stream::Feeds] {
            let Some(partitions) = counts.get(&stream) else { continue };
            let partition = partition_of(recorded::KEY, *partitions);
            let value = recorded.to_bytes();
            self.journal.writer.append(
                stream,
                &[Outgoing { partition, key: Some(recorded::KEY), value: Some(&value) }],
            )?;
        }
        Ok(())
    }

    /// Refuses to delete streams under roles that still work: they would continue and mix two
    /// generations.
    fn expect_nobody(&self) -> Result<(), JournalError> {
        match self.journal.groups_at_work()?.first() {
            Some(group) => Err(JournalError::InUse { group: self.journal.settings.group(*group) }),
            None => Ok(()),
        }
    }

    fn make(&self, stream: Stream, recorded: &Recorded) -> Result<(), JournalError> {
        let name = self.journal.settings.topic(stream);
        let action = format!("make stream `{name}`");
        let replication = TopicReplication::Fixed(self.plan.replication.map_or(-1, i32::from));
        let partitions = recorded.partitions(stream).cast_signed();
        let properties = self.properties(stream);
        let topic = properties
            .iter()
            .fold(NewTopic::new(&name, partitions, replication), |topic, (key, value)| {
                topic.set(key, value)
            });
        let started = Instant::now();
        self.until_done(|| {
            let results = wait_for(self.admin.create_topics([&topic], &self.options()));
            match results.map_err(|error| self.failed(&action, error))?.into_iter().next() {
                // A topic of this name is on its way out.
                Some(Err((_, Code::TopicAlreadyExists))) => Ok(false),
                // A cluster that has just started doesn't know all its brokers yet.
                Some(Err((_, Code::InvalidReplicationFactor)))
                    if started.elapsed() < self.journal.settings.request_timeout =>
                {
                    Ok(false)
                }
                Some(Err((_, Code::InvalidReplicationFactor))) => Err(JournalError::Setting {
                    name: "replication".to_owned(),
                    reason: "there are not as many brokers as shall hold each record".to_owned(),
                }),
                Some(Err((_, code))) => Err(self.failed(&action, KafkaError::AdminOp(code))),
                Some(Ok(_)) | None => Ok(true),
            }
        })?;
        self.until_done(|| self.has_leaders(&name, recorded.partitions(stream)))
    }

    fn delete(&self, stream: Stream) -> Result<(), JournalError> {
        let name = self.journal.settings.topic(stream);
        let action = format!("delete stream `{name}`");
        let results = wait_for(self.admin.delete_topics(&[&name], &self.options()));
        match results.map_err(|error| self.failed(&action, error))?.into_iter().next() {
            Some(Err((_, Code::UnknownTopicOrPartition))) | Some(Ok(_)) | None => {}
            Some(Err((_, code))) => return Err(self.failed(&action, KafkaError::AdminOp(code))),
        }
        self.until_done(|| Ok(!self.journal.counts()?.contains_key(&stream)))
    }

    /// Gives every stream the properties that it should have, and leaves its others as they are.
    fn configure(&self, report: &mut Report) -> Result<(), JournalError> {
        let action = "ask for the properties of streams";
        let topics: BTreeMap<String, Stream> = Stream::ALL
            .into_iter()
            .map(|stream| (self.journal.settings.topic(stream), stream))
            .collect();
        let resources: Vec<ResourceSpecifier<'_>> =
            topics.keys().map(|topic| ResourceSpecifier::Topic(topic)).collect();
        let described = wait_for(self.admin.describe_configs(&resources, &self.options()))
            .map_err(|error| self.failed(action, error))?;
        for (resource, (topic, stream)) in described.into_iter().zip(&topics) {
            let resource =
                resource.map_err(|code| self.failed(action, KafkaError::AdminOp(code)))?;
            let wanted = self.properties(*stream);
            let has = |name: &str| resource.get(name).and_then(|entry| entry.value.as_deref());
            if wanted.iter().all(|(name, value)| has(name) == Some(value)) {
                continue;
            }
            // This request resets what it doesn't name.
            let own =
                resource.entries.iter().filter(|entry| entry.source == ConfigSource::DynamicTopic);
            let mut properties: BTreeMap<&str, &str> = own
                .filter_map(|entry| Some((entry.name.as_str(), entry.value.as_deref()?)))
                .collect();
            properties.extend(wanted.iter().map(|(name, value)| (*name, value.as_str())));
            let change = properties.into_iter().fold(
                AlterConfig::new(ResourceSpecifier::Topic(topic)),
                |change, (name, value)| change.set(name, value),
            );
            let action = format!("change properties of stream `{topic}`");
            let results = wait_for(self.admin.alter_configs([&change], &self.options()))
                .map_err(|error| self.failed(&action, error))?;
            if let Some(Err((_, code))) = results.into_iter().next() {
                return Err(self.failed(&action, KafkaError::AdminOp(code)));
            }
            report.changed.insert(*stream);
        }
        Ok(())
    }

    fn properties(&self, stream: Stream) -> BTreeMap<&'static str, String> {
        const HOUR: Duration = Duration::from_secs(3600);
        let millis = |duration: Duration| duration.as_millis().to_string();
        let mut properties = BTreeMap::from([
            ("message.timestamp.type", "LogAppendTime".to_owned()),
            ("max.message.bytes", BATCH_BYTES_MAX.to_string()),
        ]);
        if self.plan.replication.is_some_and(|replication| replication > 2) {
            // What is acknowledged outlives one broker, and one broker may be away. Of two, none
            // may be.
            properties.insert("min.insync.replicas", "2".to_owned());
        }
        if stream.compacted() {
            properties.insert("cleanup.policy", "compact".to_owned());
            properties.insert("segment.bytes", (64 << 20).to_string());
            properties.insert("segment.ms", millis(HOUR));
            properties.insert("min.cleanable.dirty.ratio", "0.1".to_owned());
            // Snapshots hold pseudonyms: what has been replaced is gone within hours, however
            // little is written.
            properties.insert("max.compaction.lag.ms", millis(6 * HOUR));
        } else {
            let retention = self.plan.retention.get(&stream).filter(|_| stream != Stream::Alerts);
            properties.insert("cleanup.policy", "delete".to_owned());
            properties.insert("retention.bytes", "-1".to_owned());
            properties.insert(
                "retention.ms",
                retention.map_or("-1".to_owned(), |retention| millis(*retention)),
            );
            // Kafka deletes whole files: a file of a week would hold posts for a week.
            let age = self.plan.ages.get(&stream).or(retention);
            let file =
                age.map_or(24 * HOUR, |age| (*age / 72).clamp(Duration::from_secs(60), 24 * HOUR));
            properties.insert("segment.ms", millis(file));
        }
        properties
    }

    fn has_leaders(&self, name: &str, partitions: u32) -> Result<bool, JournalError> {
        let client = self.journal.writer.client();
        let metadata = client.fetch_metadata(Some(name), self.journal.settings.request_timeout);
        let metadata = metadata.map_err(|error| self.failed("ask who leads a stream", error))?;
        let led = |topic: &rdkafka::metadata::MetadataTopic| {
            topic.partitions().iter().filter(|partition| partition.leader() >= 0).count()
        };
        Ok(metadata
            .topics()
            .iter()
            .any(|topic| topic.name() == name && led(topic) == partitions as usize))
    }

    /// Tries until it says true, for the time that a request may take.
    fn until_done(
        &self,
        mut attempt: impl FnMut() -> Result<bool, JournalError>,
    ) -> Result<(), JournalError> {
        let started = Instant::now();
        while !attempt()? {
            if started.elapsed() > self.journal.settings.request_timeout {
                return Err(self
                    .journal
                    .trouble
                    .unreachable("a change of streams is not done in time"));
            }
            std::thread::sleep(AGAIN);
        }
        Ok(())
    }

    fn options(&self) -> AdminOptions {
        let timeout = Some(self.journal.settings.request_timeout);
        AdminOptions::new().request_timeout(timeout).operation_timeout(timeout)
    }

    fn failed(&self, action: &str, error: KafkaError) -> JournalError {
        self.journal.trouble.failed(action, None, error)
    }
}

/// Waits for an answer of librdkafka's administration, which comes from a thread of its own.
pub(super) fn wait_for<F: Future>(future: F) -> F::Output {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Unpark>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(output) => return output,
            Poll::Pending => std::thread::park(),
        }
    }
}
