//! The in-memory journal, with chunks in files so that they take no memory of ours, and how large
//! what went into it was.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use journal::memory::MemoryJournal;
use journal::{Batch, Entry, Journal, JournalError, Position, Stream};

pub(super) struct Measured {
    pub(super) inner: MemoryJournal,
    largest_record: AtomicU64,
    put_bytes: AtomicU64,
    /// Where chunks are stored, each in a file of its own.
    folder: PathBuf,
    /// The chunks that are held: the number of the file, and its size.
    chunks: Mutex<BTreeMap<String, (u64, u64)>>,
    next_file: AtomicU64,
}

impl Measured {
    pub(super) fn new(inner: MemoryJournal, folder: &Path) -> Measured {
        std::fs::create_dir_all(folder).unwrap();
        Measured {
            inner,
            largest_record: AtomicU64::new(0),
            put_bytes: AtomicU64::new(0),
            folder: folder.to_owned(),
            chunks: Mutex::default(),
            next_file: AtomicU64::new(0),
        }
    }

    fn file(&self, number: u64) -> PathBuf {
        self.folder.join(number.to_string())
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
        let sizes = chunks.values().map(|(_, bytes)| *bytes);
        (sizes.clone().sum(), sizes.max().unwrap_or(0))
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

    fn read(
        &self,
        stream: Stream,
        partition: u32,
        from: Position,
        bytes_max: usize,
        wait: Duration,
    ) -> Result<Batch, JournalError> {
        self.inner.read(stream, partition, from, bytes_max, wait)
    }

    fn extent(&self, stream: Stream, partition: u32) -> Result<Range<Position>, JournalError> {
        self.inner.extent(stream, partition)
    }

    fn put(
        &self,
        stream: Stream,
        pairs: &[(String, Option<Vec<u8>>)],
    ) -> Result<Vec<Position>, JournalError> {
        let mut chunks = self.chunks.lock().unwrap();
        let mut rest = Vec::new();
        for (key, value) in pairs {
            self.put_bytes
                .fetch_add(value.as_ref().map_or(0, |value| value.len() as u64), Ordering::Relaxed);
            if !key.starts_with("chunk/") {
                rest.push((key.clone(), value.clone()));
                continue;
            }
            if let Some((number, _)) = chunks.remove(key) {
                std::fs::remove_file(self.file(number)).unwrap();
            }
            if let Some(value) = value {
                let number = self.next_file.fetch_add(1, Ordering::Relaxed);
                std::fs::write(self.file(number), value).unwrap();
                chunks.insert(key.clone(), (number, value.len() as u64));
            }
            // That there is one, for `keys`.
            rest.push((key.clone(), value.as_ref().map(|_| Vec::new())));
        }
        drop(chunks);
        self.inner.put(stream, &rest)
    }

    fn get(&self, stream: Stream, key: &str) -> Result<Option<Vec<u8>>, JournalError> {
        let chunks = self.chunks.lock().unwrap();
        match chunks.get(key) {
            Some((number, _)) => Ok(Some(std::fs::read(self.file(*number)).unwrap())),
            None => self.inner.get(stream, key),
        }
    }

    fn keys(&self, stream: Stream, prefix: &str) -> Result<Vec<String>, JournalError> {
        self.inner.keys(stream, prefix)
    }
}
