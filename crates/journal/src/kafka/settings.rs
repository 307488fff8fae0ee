//! Client settings of librdkafka for each use in this crate.
//!
//! Knows librdkafka's properties: which ones our promises rest on, and which are only ours until
//! somebody says otherwise. Reads no file and no environment; secrets come in as values and never
//! go out again.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use rdkafka::ClientConfig;

use crate::{Group, JournalError, RECORD_BYTES_MAX, Stream};

/// The longest batch on the wire: one record of [`RECORD_BYTES_MAX`] with its key and frame.
pub(super) const BATCH_BYTES_MAX: usize = RECORD_BYTES_MAX + (1 << 20);

#[derive(Clone)]
pub struct KafkaSettings {
    /// `HOST:PORT`, several by commas.
    pub brokers: String,
    /// Streams are the topics `PREFIX.posts` and so on, groups are `PREFIX.tally` and so on.
    pub prefix: String,
    /// Of posts; must be those that [`super::migrate`] has made.
    pub partitions: u32,
    /// librdkafka's properties, by its own names. They win over ours; those which promises rest on
    /// are refused.
    pub properties: BTreeMap<String, String>,
    /// How long a question to the brokers may take, other brokers tried meanwhile included.
    pub request_timeout: Duration,
    /// How long an append tries to be acknowledged before it says that it has failed.
    pub delivery_timeout: Duration,
    /// After how long a silence a member of a group is taken for dead. The new group protocol has
    /// the brokers' own.
    pub session_timeout: Duration,
    /// The most bytes fetched ahead of a reader of one partition.
    pub prefetch_bytes: usize,
    /// The most bytes that wait for acknowledgement; anyone who appends more waits.
    pub queue_bytes: usize,
}

impl KafkaSettings {
    pub fn new(
        brokers: impl Into<String>,
        prefix: impl Into<String>,
        partitions: u32,
    ) -> KafkaSettings {
        KafkaSettings {
            brokers: brokers.into(),
            prefix: prefix.into(),
            partitions,
            properties: BTreeMap::new(),
            request_timeout: Duration::from_secs(10),
            delivery_timeout: Duration::from_secs(30),
            session_timeout: Duration::from_secs(45),
            prefetch_bytes: 16 << 20,
            queue_bytes: 64 << 20,
        }
    }

    /// The Kafka topic of a stream.
    pub fn topic(&self, stream: Stream) -> String {
        format!("{}.{}", self.prefix, stream.name())
    }

    pub(super) fn group(&self, group: Group) -> String {
        format!("{}.{}", self.prefix, group.name())
    }

    /// Refuses what can't work before anything is connected.
    pub(super) fn check(&self) -> Result<(), JournalError> {
        let setting = |name: &str, reason: &str| {
            Err(JournalError::Setting { name: name.to_owned(), reason: reason.to_owned() })
        };
        if let Some(name) = OURS.into_iter().find(|name| self.properties.contains_key(*name)) {
            return setting(name, "the journal's promises rest on its value");
        }
        let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        if self.prefix.is_empty() || self.prefix.len() > 200 || !self.prefix.chars().all(legal) {
            return setting("prefix", "it takes 1 to 200 of a-z, A-Z, 0-9, `.`, `_` and `-`");
        }
        if self.brokers.trim().is_empty() {
            return setting("brokers", "no broker is named");
        }
        if !(1..=crate::local::PARTITIONS_MAX).contains(&self.partitions) {
            return Err(JournalError::PartitionsOutOfRange { requested: self.partitions });
        }
        Ok(())
    }

    /// What every client has.
    pub(super) fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.brokers)
            .set("client.id", &self.prefix)
            .set("socket.timeout.ms", millis(self.request_timeout.max(Duration::from_secs(10))))
            .set("socket.keepalive.enable", "true")
            // A broker that restarts is found again within a second, not ten.
            .set("reconnect.backoff.ms", "50")
            .set("reconnect.backoff.max.ms", "1000");
        config
    }

    pub(super) fn writer(&self) -> ClientConfig {
        let mut config = self.client();
        config
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("message.timeout.ms", millis(self.delivery_timeout))
            .set("message.max.bytes", BATCH_BYTES_MAX.to_string())
            .set(
                "queue.buffering.max.kbytes",
                self.queue_bytes.max(BATCH_BYTES_MAX * 2).div_ceil(1024).to_string(),
            )
            // An append waits for its acknowledgement, so what is to go together is there at once.
            .set("linger.ms", "1")
            .set("compression.type", "lz4")
            .set("retry.backoff.ms", "20")
            .set("retry.backoff.max.ms", "500");
        self.with_properties(config, &[])
    }

    /// A consumer with assigned partitions and positions.
    pub(super) fn reader(&self, prefetch_bytes: usize) -> ClientConfig {
        let mut config = self.consumer();
        config
            // Never used for anything: librdkafka assigns partitions by hand only to consumers that
            // have one.
            .set("group.id", format!("{}.readers", self.prefix))
            .set("fetch.wait.max.ms", "100")
            .set("fetch.error.backoff.ms", "100")
            // librdkafka's second of pause after each full queue would be the speed of reading.
            .set("fetch.queue.backoff.ms", "10")
            .set("fetch.message.max.bytes", prefetch_bytes.clamp(1024, 4 << 20).to_string())
            .set("queued.max.messages.kbytes", prefetch_bytes.div_ceil(1024).max(1).to_string())
            .set("queued.min.messages", "1000000")
            .set("check.crcs", "true");
        self.with_properties(
            config,
            &[
                "session.timeout.ms",
                "group.protocol",
                "partition.assignment.strategy",
                "group.instance.id",
            ],
        )
    }

    /// A consumer that is only there to be a member.
    pub(super) fn member(&self, group: Group) -> ClientConfig {
        let mut config = self.consumer();
        config.set("group.id", self.group(group));
        if self.properties.get("group.protocol").is_none_or(|protocol| protocol != "consumer") {
            config
                .set("partition.assignment.strategy", "cooperative-sticky")
                .set("session.timeout.ms", millis(self.session_timeout))
                .set(
                    "heartbeat.interval.ms",
                    millis((self.session_timeout / 10).max(Duration::from_millis(100))),
                )
                .set(
                    "max.poll.interval.ms",
                    millis(self.session_timeout.max(Duration::from_secs(300))),
                );
        }
        self.with_properties(config, &[])
    }

    fn consumer(&self) -> ClientConfig {
        let mut config = self.client();
        config
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("auto.offset.reset", "error")
            .set("allow.auto.create.topics", "false");
        config
    }

    pub(super) fn admin(&self) -> ClientConfig {
        self.with_properties(self.client(), &[])
    }

    fn with_properties(&self, mut config: ClientConfig, except: &[&str]) -> ClientConfig {
        for (name, value) in &self.properties {
            if !except.contains(&name.as_str()) {
                config.set(name, value);
            }
        }
        config
    }
}

/// Without the values of properties: passwords are among them.
impl fmt::Debug for KafkaSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaSettings")
            .field("brokers", &self.brokers)
            .field("prefix", &self.prefix)
            .field("partitions", &self.partitions)
            .field("properties", &self.properties.keys())
            .finish_non_exhaustive()
    }
}

/// Properties that nobody may pass through.
const OURS: [&str; 15] = [
    "acks",
    "request.required.acks",
    "allow.auto.create.topics",
    "auto.offset.reset",
    "bootstrap.servers",
    "metadata.broker.list",
    "enable.auto.commit",
    "auto.commit.enable",
    "enable.auto.offset.store",
    "enable.idempotence",
    "enable.partition.eof",
    "group.id",
    "max.in.flight",
    "max.in.flight.requests.per.connection",
    "transactional.id",
];

fn millis(duration: Duration) -> String {
    duration.as_millis().to_string()
}
