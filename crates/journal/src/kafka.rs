//! A journal in Kafka: the same streams for any number of processes.
//!
//! ```text
//! PREFIX.posts tallies counts alerts rejects     topics; a record's position is its Kafka offset
//! PREFIX.state feeds                             compacted topics; the last value of a key
//! PREFIX.ingest tally watch land                 groups: who works on which partitions, and how
//! far, for people to see
//! ```
//!
//! [`migrate`] makes the topics and writes into them which generation they are and how many
//! partitions they have;
//! [`KafkaJournal::open`] believes that record, and refuses settings and topics that say something
//! else.
//! One idempotent producer appends, without transactions, so that positions have no gaps. Readers
//! assign themselves partitions by position and are never reset; groups only say who works on what.
//! What librdkafka retries on its own stays inside;
//! what reaches the caller says whether trying again can help.
//!
//! Any thread may call anything and may wait there. Knows no record's meaning, and no clock but
//! that of time-outs;
//! records carry the broker's time of appending, which nobody here reads.

mod settings;

mod client;

mod writer;

mod reader;

mod table;

mod recorded;

mod member;

mod migration;

mod deletion;

#[cfg(test)]
mod tests;

pub use migration::{Plan, Report, migrate};
pub use settings::KafkaSettings;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::local::held;
use crate::stream::{check_entries, check_pairs, check_partition};
use crate::{Batch, Deleted, Entry, Group, Journal, JournalError, Membership, Position, Stream};
use client::Trouble;
use member::Member;
use reader::Readers;
use recorded::Recorded;
use table::{Hands, Table, partition_of};
use writer::{Outgoing, Writer};

pub struct KafkaJournal {
    recorded: Recorded,
    tables: BTreeMap<Stream, Mutex<Table>>,
    readers: Readers,
    writer: Arc<Writer>,
    trouble: Arc<Trouble>,
    settings: KafkaSettings,
}

impl KafkaJournal {
    /// Opens streams that [`migrate`] has made.
    pub fn open(settings: KafkaSettings) -> Result<KafkaJournal, JournalError> {
        settings.check()?;
        let mut journal = KafkaJournal::connect(settings)?;
        let counts = journal.counts()?;
        if let Some(missing) = Stream::ALL.into_iter().find(|stream| !counts.contains_key(stream)) {
            return Err(JournalError::Missing { topic: journal.settings.topic(missing) });
        }
        let Some(recorded) = journal.read_recorded(&counts)? else {
            return Err(JournalError::Missing { topic: journal.settings.topic(Stream::Feeds) });
        };
        if recorded.unfinished {
            return Err(JournalError::Unfinished { prefix: journal.settings.prefix });
        }
        check_counts(&journal.settings, &recorded, &counts)?;
        journal.know(recorded);
        Ok(journal)
    }

    /// Clients, without any knowledge of what there is.
    fn connect(settings: KafkaSettings) -> Result<KafkaJournal, JournalError> {
        let trouble = Arc::new(Trouble::new(settings.clone()));
        let writer = Arc::new(Writer::open(&settings, &trouble)?);
        let readers = Readers::new(&settings, &trouble, &writer);
        let recorded =
            Recorded { generation: 0, posts: 0, feeds: 0, unfinished: true, anew: Vec::new() };
        Ok(KafkaJournal { recorded, tables: BTreeMap::new(), readers, writer, trouble, settings })
    }

    fn know(&mut self, recorded: Recorded) {
        self.tables
            .retain(|stream, _| *stream == Stream::Feeds && self.recorded.feeds == recorded.feeds);
        for stream in [Stream::State, Stream::Feeds] {
            let table =
                || Mutex::new(Table::new(&self.settings, stream, recorded.partitions(stream)));
            self.tables.entry(stream).or_insert_with(table);
        }
        self.recorded = recorded;
    }

    /// How many partitions each stream has that is there.
    fn counts(&self) -> Result<BTreeMap<Stream, u32>, JournalError> {
        let metadata = self.writer.client().fetch_metadata(None, self.settings.request_timeout);
        let metadata = metadata.map_err(|error| {
            match self.trouble.failed("ask which streams there are", None, error) {
                JournalError::Io { source, .. } => self.trouble.unreachable(&source.to_string()),
                other => other,
            }
        })?;
        let mut counts = BTreeMap::new();
        for stream in Stream::ALL {
            let name = self.settings.topic(stream);
            let topic = metadata.topics().iter().find(|topic| topic.name() == name);
            if let Some(topic) =
                topic.filter(|topic| topic.error().is_none() && !topic.partitions().is_empty())
            {
                counts.insert(
                    stream,
                    u32::try_from(topic.partitions().len()).expect("Kafka counts them in 32 bits"),
                );
            }
        }
        Ok(counts)
    }

    /// What the streams say of themselves: of two records that of the higher generation, the later
    /// in a remaking.
    fn read_recorded(
        &self,
        counts: &BTreeMap<Stream, u32>,
    ) -> Result<Option<Recorded>, JournalError> {
        let mut newest: Option<Recorded> = None;
        for stream in [Stream::Feeds, Stream::State] {
            let Some(partitions) = counts.get(&stream) else { continue };
            let mut table = Table::new(&self.settings, stream, *partitions);
            let Some(bytes) = table.get(&self.hands(), recorded::KEY)? else { continue };
            let recorded = Recorded::from_bytes(&bytes, &self.settings.topic(stream))?;
            let order = |recorded: &Recorded| {
                (recorded.generation, std::cmp::Reverse((recorded.unfinished, recorded.anew.len())))
            };
            if newest.as_ref().is_none_or(|newest| order(&recorded) > order(newest)) {
                newest = Some(recorded);
            }
        }
        Ok(newest)
    }

    fn hands(&self) -> Hands<'_> {
        Hands {
            settings: &self.settings,
            trouble: &self.trouble,
            readers: &self.readers,
            writer: &self.writer,
        }
    }

    fn table(&self, stream: Stream, call: &'static str) -> Result<&Mutex<Table>, JournalError> {
        self.tables.get(&stream).ok_or(JournalError::WrongKind { stream, call })
    }
}

impl Journal for KafkaJournal {
    fn generation(&self) -> u16 {
        self.recorded.generation
    }

    fn partitions(&self, stream: Stream) -> u32 {
        self.recorded.partitions(stream)
    }

    fn append(&self, stream: Stream, entries: &[Entry]) -> Result<Vec<Position>, JournalError> {
        stream.expect_log("append")?;
        check_entries(stream, self.partitions(stream), entries)?;
        let records: Vec<Outgoing<'_>> = entries
            .iter()
            .map(|entry| Outgoing {
                partition: entry.partition,
                key: None,
                value: Some(&entry.bytes),
            })
            .collect();
        self.writer.append(stream, &records)
    }

    fn read(
        &self,
        stream: Stream,
        partition: u32,
        from: Position,
        bytes_max: usize,
        wait: Duration,
    ) -> Result<Batch, JournalError> {
        stream.expect_log("read")?;
        check_partition(stream, self.partitions(stream), partition)?;
        self.readers.read(stream, partition, from, bytes_max, wait)
    }

    fn extent(&self, stream: Stream, partition: u32) -> Result<Range<Position>, JournalError> {
        stream.expect_log("extent")?;
        check_partition(stream, self.partitions(stream), partition)?;
        self.readers.extent(stream, partition)
    }

    /// The last pair is sent when all others are acknowledged, so that it can complete them.
    fn put(
        &self,
        stream: Stream,
        pairs: &[(String, Option<Vec<u8>>)],
    ) -> Result<Vec<Position>, JournalError> {
        stream.expect_compacted("put")?;
        check_pairs(stream, pairs)?;
        let partitions = self.partitions(stream);
        let records: Vec<Outgoing<'_>> = pairs
            .iter()
            .map(|(key, value)| Outgoing {
                partition: partition_of(key.as_bytes(), partitions),
                key: Some(key.as_bytes()),
                value: value.as_deref(),
            })
            .collect();
        let (others, last) = records.split_at(records.len().saturating_sub(1));
        let mut positions = self.writer.append(stream, others)?;
        positions.extend(self.writer.append(stream, last)?);
        Ok(positions)
    }

    fn positions_at(&self, stream: Stream, at: u64) -> Result<Vec<Position>, JournalError> {
        stream.expect_log("positions_at")?;
        deletion::positions_at(self, stream, at)
    }

    fn delete_before(
        &self,
        stream: Stream,
        positions: &[Position],
    ) -> Result<Deleted, JournalError> {
        stream.expect_log("delete_before")?;
        deletion::delete_before(self, stream, positions)
    }

    fn get(&self, stream: Stream, key: &str) -> Result<Option<Vec<u8>>, JournalError> {
        held(self.table(stream, "get")?).get(&self.hands(), key.as_bytes())
    }

    fn keys(&self, stream: Stream, prefix: &str) -> Result<Vec<String>, JournalError> {
        held(self.table(stream, "keys")?).keys(&self.hands(), prefix)
    }

    /// Sees the members of classic groups, which is what groups are unless set otherwise.
    fn groups_at_work(&self) -> Result<Vec<Group>, JournalError> {
        let mut found = Vec::new();
        for group in [Group::Ingest, Group::Tally, Group::Watch, Group::Land, Group::Notify] {
            let name = self.settings.group(group);
            let groups =
                self.writer.client().fetch_group_list(Some(&name), self.settings.request_timeout);
            let groups = groups.map_err(|error| {
                self.trouble.failed(&format!("ask who is in the group `{name}`"), None, error)
            })?;
            if groups.groups().iter().any(|group| !group.members().is_empty()) {
                found.push(group);
            }
        }
        Ok(found)
    }

    fn join(&self, group: Group) -> Result<Box<dyn Membership>, JournalError> {
        Ok(Box::new(Member::join(&self.settings, &self.trouble, group)?))
    }
}

/// Refuses settings, and topics, that have other partitions than the streams were made with: keys
/// would move away from their state.
fn check_counts(
    settings: &KafkaSettings,
    recorded: &Recorded,
    counts: &BTreeMap<Stream, u32>,
) -> Result<(), JournalError> {
    if settings.partitions != recorded.posts {
        return Err(JournalError::PartitionsRecorded {
            prefix: settings.prefix.clone(),
            recorded: recorded.posts,
            requested: settings.partitions,
        });
    }
    for (stream, found) in counts {
        let expected = recorded.partitions(*stream);
        if *found != expected {
            return Err(JournalError::PartitionsChanged {
                topic: settings.topic(*stream),
                recorded: expected,
                found: *found,
            });
        }
    }
    Ok(())
}
