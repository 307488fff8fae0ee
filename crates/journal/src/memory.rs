//! In-memory journal for replay, tests and simulation.
//!
//! Keeps what isn't forgotten by [`MemoryJournal::forget`], so a replay decides how much memory it
//! takes. A hook sees every call before it acts and before it answers, and may make it fail at
//! either point; without one it never fails except on misuse. Knows no disk, no clock and no
//! retention.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::stream::{check_entries, check_pairs, check_partition};
use crate::{Batch, Deleted, Entry, Journal, JournalError, Position, Stream};

pub struct MemoryJournal {
    partitions: u32,
    generation: u16,
    hook: Option<Hook>,
    content: Mutex<Content>,
    grown: Condvar,
}

/// Called at each step of each call; an error becomes the call's result. Must not call the journal.
pub type Hook = Box<dyn Fn(Step) -> Result<(), JournalError> + Send + Sync>;

/// Where a call is. An error before it is done means that nothing happened; after it, that only the
/// answer is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    pub call: Call,
    pub stream: Stream,
    pub done: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    Append,
    Read,
    Put,
    /// `get` and `keys`.
    Get,
}

#[derive(Default)]
struct Content {
    logs: BTreeMap<(Stream, u32), Log>,
    pairs: BTreeMap<Stream, Pairs>,
}

#[derive(Default)]
struct Log {
    low: Position,
    records: VecDeque<Vec<u8>>,
}

#[derive(Default)]
struct Pairs {
    next: Position,
    values: BTreeMap<String, Vec<u8>>,
}

impl MemoryJournal {
    /// `partitions`: of the stream of posts.
    pub fn new(partitions: u32) -> MemoryJournal {
        MemoryJournal {
            partitions,
            generation: 1,
            hook: None,
            content: Mutex::default(),
            grown: Condvar::new(),
        }
    }

    #[must_use]
    pub fn with_generation(mut self, generation: u16) -> MemoryJournal {
        self.generation = generation;
        self
    }

    #[must_use]
    pub fn with_hook(mut self, hook: Hook) -> MemoryJournal {
        self.hook = Some(hook);
        self
    }

    /// Deletes the records below a position, as retention would; positions continue counting.
    pub fn forget(&self, stream: Stream, partition: u32, below: Position) {
        let mut content = self.content();
        let log = content.logs.entry((stream, partition)).or_default();
        while log.low < below && log.records.pop_front().is_some() {
            log.low += 1;
        }
    }

    /// Bytes of all records and values held.
    pub fn bytes(&self) -> u64 {
        let content = self.content();
        let records = content.logs.values().flat_map(|log| &log.records).map(Vec::len);
        let values = content.pairs.values().flat_map(|pairs| pairs.values.values()).map(Vec::len);
        records.chain(values).map(|bytes| bytes as u64).sum()
    }

    fn content(&self) -> MutexGuard<'_, Content> {
        // The content changes by whole records, so a panic elsewhere leaves it sound.
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn step(&self, call: Call, stream: Stream, done: bool) -> Result<(), JournalError> {
        match &self.hook {
            Some(hook) => hook(Step { call, stream, done }),
            None => Ok(()),
        }
    }
}

impl Journal for MemoryJournal {
    fn generation(&self) -> u16 {
        self.generation
    }

    fn partitions(&self, stream: Stream) -> u32 {
        stream.partitions(self.partitions)
    }

    fn appends_in_order(&self) -> bool {
        true
    }

    fn append(&self, stream: Stream, entries: &[Entry]) -> Result<Vec<Position>, JournalError> {
        stream.expect_log("append")?;
        check_entries(stream, self.partitions(stream), entries)?;
        self.step(Call::Append, stream, false)?;
        let mut content = self.content();
        let positions = entries
            .iter()
            .map(|entry| {
                let log = content.logs.entry((stream, entry.partition)).or_default();
                log.records.push_back(entry.bytes.clone());
                log.high() - 1
            })
            .collect();
        drop(content);
        self.grown.notify_all();
        self.step(Call::Append, stream, true)?;
        Ok(positions)
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
        self.step(Call::Read, stream, false)?;
        let (mut content, _) = self
            .grown
            .wait_timeout_while(self.content(), wait, |content| {
                content.logs.entry((stream, partition)).or_default().high() == from
            })
            .unwrap_or_else(PoisonError::into_inner);
        let log = content.logs.entry((stream, partition)).or_default();
        let batch = log.read(stream, partition, from, bytes_max)?;
        drop(content);
        self.step(Call::Read, stream, true)?;
        Ok(batch)
    }

    fn extent(&self, stream: Stream, partition: u32) -> Result<Range<Position>, JournalError> {
        stream.expect_log("extent")?;
        check_partition(stream, self.partitions(stream), partition)?;
        let mut content = self.content();
        let log = content.logs.entry((stream, partition)).or_default();
        Ok(log.low..log.high())
    }

    fn delete_before(
        &self,
        stream: Stream,
        positions: &[Position],
    ) -> Result<Deleted, JournalError> {
        stream.expect_log("delete_before")?;
        let mut deleted = Deleted::default();
        for (partition, position) in (0..).zip(positions) {
            let low = self.extent(stream, partition)?.start;
            self.forget(stream, partition, *position);
            deleted.records += self.extent(stream, partition)?.start - low;
        }
        Ok(deleted)
    }

    fn put(
        &self,
        stream: Stream,
        pairs: &[(String, Option<Vec<u8>>)],
    ) -> Result<Vec<Position>, JournalError> {
        stream.expect_compacted("put")?;
        check_pairs(stream, pairs)?;
        self.step(Call::Put, stream, false)?;
        let mut content = self.content();
        let table = content.pairs.entry(stream).or_default();
        let positions = pairs
            .iter()
            .map(|(key, value)| {
                match value {
                    Some(value) => table.values.insert(key.clone(), value.clone()),
                    None => table.values.remove(key),
                };
                table.next += 1;
                table.next - 1
            })
            .collect();
        drop(content);
        self.step(Call::Put, stream, true)?;
        Ok(positions)
    }

    fn get(&self, stream: Stream, key: &str) -> Result<Option<Vec<u8>>, JournalError> {
        stream.expect_compacted("get")?;
        self.step(Call::Get, stream, false)?;
        let value =
            self.content().pairs.get(&stream).and_then(|pairs| pairs.values.get(key)).cloned();
        self.step(Call::Get, stream, true)?;
        Ok(value)
    }

    fn keys(&self, stream: Stream, prefix: &str) -> Result<Vec<String>, JournalError> {
        stream.expect_compacted("keys")?;
        self.step(Call::Get, stream, false)?;
        let mut content = self.content();
        let values = &content.pairs.entry(stream).or_default().values;
        let keys = values
            .range(prefix.to_owned()..)
            .map(|(key, _)| key)
            .take_while(|key| key.starts_with(prefix))
            .cloned()
            .collect();
        drop(content);
        self.step(Call::Get, stream, true)?;
        Ok(keys)
    }
}

impl Log {
    fn high(&self) -> Position {
        self.low + self.records.len() as Position
    }

    fn read(
        &self,
        stream: Stream,
        partition: u32,
        from: Position,
        bytes_max: usize,
    ) -> Result<Batch, JournalError> {
        crate::stream::check_extent(stream, partition, from, &(self.low..self.high()))?;
        let skipped =
            usize::try_from(from - self.low).expect("it is at most the number of records held");
        let mut batch = Batch { records: Vec::new(), next: from };
        let mut bytes = 0;
        for record in self.records.range(skipped..) {
            bytes += record.len();
            if bytes > bytes_max && !batch.records.is_empty() {
                break;
            }
            batch.records.push((batch.next, record.clone()));
            batch.next += 1;
        }
        Ok(batch)
    }
}
