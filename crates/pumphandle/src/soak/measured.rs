//! The in-memory journal, and how large what went into it was.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use journal::memory::MemoryJournal;
use journal::{Batch, Entry, Journal, JournalError, Position, Stream};

pub(super) struct Measured {
    pub(super) inner: MemoryJournal,
    largest_record: AtomicU64,
    put_bytes: AtomicU64,
    /// Sizes of the chunks that are held.
    chunks: Mutex<BTreeMap<String, u64>>,
}

impl Measured {
    pub(super) fn new(inner: MemoryJournal) -> Measured {
        Measured { inner, largest_record: AtomicU64::new(0), put_bytes: AtomicU64::new(0), chunks: Mutex::default() }
    }

    /// Bytes of the longest record of any stream so far.
    pub(super) fn largest_record(&self) -> u64 {
        self.largest_record.load(Ordering::Relaxed)
    }

    /// Bytes of all values put so far.
    pub(super) fn put_bytes(&self) -> u64 {
        self.put_bytes.load(Ordering::Relaxed)
    }

    /// Bytes of all chunks, and of the largest.
    pub(super) fn chunks(&self) -> (u64, u64) {
        let chunks = self.chunks.lock().unwrap();
        (chunks.values().sum(), chunks.values().copied().max().unwrap_or(0))
    }
}

impl Journal for Measured {
    fn generation(&self) -> u16 {
        self.inner.generation()
    }

    fn partitions(&self, stream: Stream) -> u32 {
        self.inner.partitions(stream)
    }

    fn appends_in_order(&self) -> bool {
        self.inner.appends_in_order()
    }

    fn append(&self, stream: Stream, entries: &[Entry]) -> Result<Vec<Position>, JournalError> {
        let largest = entries.iter().map(|entry| entry.bytes.len() as u64).max().unwrap_or(0);
        self.largest_record.fetch_max(largest, Ordering::Relaxed);
        self.inner.append(stream, entries)
    }

    fn read(&self, stream: Stream, partition: u32, from: Position, bytes_max: usize, wait: Duration) -> Result<Batch, JournalError> {
        self.inner.read(stream, partition, from, bytes_max, wait)
    }

    fn extent(&self, stream: Stream, partition: u32) -> Result<Range<Position>, JournalError> {
        self.inner.extent(stream, partition)
    }

    fn put(&self, stream: Stream, pairs: &[(String, Option<Vec<u8>>)]) -> Result<Vec<Position>, JournalError> {
        let mut chunks = self.chunks.lock().unwrap();
        for (key, value) in pairs {
            let bytes = value.as_ref().map(|value| value.len() as u64);
            self.put_bytes.fetch_add(bytes.unwrap_or(0), Ordering::Relaxed);
            if key.starts_with("chunk/") {
                match bytes {
                    Some(bytes) => chunks.insert(key.clone(), bytes),
                    None => chunks.remove(key),
                };
            }
        }
        drop(chunks);
        self.inner.put(stream, pairs)
    }

    fn get(&self, stream: Stream, key: &str) -> Result<Option<Vec<u8>>, JournalError> {
        self.inner.get(stream, key)
    }

    fn keys(&self, stream: Stream, prefix: &str) -> Result<Vec<String>, JournalError> {
        self.inner.keys(stream, prefix)
    }
}
