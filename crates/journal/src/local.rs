//! A journal in one folder of one machine: SQLite files, no server.
//!
//! ```text
//! data/lock                                 held while open; the pid of the holder
//! data/meta.sqlite                          format, generation, partitions of posts, newest file
//! of each stream
//! data/streams/posts/<unix hour>.sqlite     what was appended in that hour; deleted as a whole
//! data/streams/state.sqlite                 the last value of a key
//! ```
//!
//! What [`Journal::append`] and [`Journal::put`] return from survives kill and power loss, so
//! positions never go backward.
//! Each call is one transaction with one wait for the disk: for speed, append many entries at once.
//! Memory is bounded by open files (one to write a stream, a few to read) of about 1 MB each,
//! whatever the length of the streams.
//!
//! Knows the hour of appending, for its own files only; knows neither records nor readers.

mod frame;
mod hour;
mod lock;
mod log;
mod meta;
mod pairs;
mod readers;
mod sqlite;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::stream::{check_entries, check_pairs, check_partition};
use crate::{Batch, Deleted, Entry, Journal, JournalError, Position, Stream};
use lock::Lock;
use log::Log;
use meta::Meta;
use pairs::Pairs;
use readers::Readers;

/// The most partitions of posts.
pub const PARTITIONS_MAX: u32 = 1 << 15;

pub struct LocalJournal {
    options: Options,
    partitions: u32,
    generation: u16,
    logs: BTreeMap<Stream, Log>,
    pairs: BTreeMap<Stream, Pairs>,
    readers: Readers,
    meta: Meta,
    folder: PathBuf,
    /// Last, so that it is released after everything is closed.
    _lock: Lock,
}

pub struct Options {
    /// Unix seconds; only names files.
    pub clock: Box<dyn Fn() -> u64 + Send + Sync>,
    /// How long at least a record stays; it goes with the last of its file, an hour later. A stream
    /// without one is retained for ever.
    pub retention: BTreeMap<Stream, Duration>,
    /// How many files that nobody reads stay open for the next read.
    pub readers_max: usize,
    /// The most pages of 4 KiB in one file: a disk that is full early.
    pub pages_max: Option<u32>,
}

impl Default for Options {
    fn default() -> Options {
        const HOUR: Duration = Duration::from_secs(3600);
        Options {
            clock: Box::new(unix_seconds),
            retention: BTreeMap::from([
                (Stream::Posts, 72 * HOUR),
                (Stream::Tallies, 72 * HOUR),
                (Stream::Counts, 30 * 24 * HOUR),
                (Stream::Rejects, 30 * 24 * HOUR),
            ]),
            readers_max: 8,
            pages_max: None,
        }
    }
}

impl LocalJournal {
    /// Opens the journal of a folder, or makes it. `partitions` of posts must be those it was made
    /// with.
    pub fn open(
        folder: &Path,
        partitions: u32,
        options: Options,
    ) -> Result<LocalJournal, JournalError> {
        LocalJournal::open_with(folder, partitions, options, None)
    }

    /// Opens a folder in a new generation, whatever was in it: all streams but those in `keep`
    /// begin again, at position 0.
    /// Posts are never retained over a change of `partitions`.
    pub fn open_anew(
        folder: &Path,
        partitions: u32,
        options: Options,
        keep: &[Stream],
    ) -> Result<LocalJournal, JournalError> {
        LocalJournal::open_with(folder, partitions, options, Some(keep))
    }

    /// Begins a new generation: all streams but those in `keep` begin again, at position 0. Returns
    /// its number.
    ///
    /// Takes the journal for itself, because every position that a reader holds becomes
    /// meaningless.
    pub fn new_generation(&mut self, keep: &[Stream]) -> Result<u16, JournalError> {
        self.meta.new_generation(self.partitions, keep)?;
        self.logs.clear();
        self.pairs.clear();
        self.readers.clear();
        self.load()?;
        Ok(self.generation)
    }

    /// Deletes the files that are past the retention of their stream, at a time in unix seconds,
    /// whether or not they have been read.
    /// Positions continue counting.
    pub fn enforce_retention(&self, now: u64) -> Result<Deleted, JournalError> {
        let mut deleted = Deleted::default();
        for (stream, log) in &self.logs {
            if let Some(retention) = self.options.retention.get(stream) {
                let until =
                    log.positions_at(now.saturating_sub(retention.as_secs()), &self.readers)?;
                log.delete_before(now, &until, &self.meta, &self.readers, &mut deleted)?;
            }
        }
        self.tidy_at(now)?;
        Ok(deleted)
    }

    fn tidy_at(&self, now: u64) -> Result<(), JournalError> {
        for log in self.logs.values() {
            log.close_if_over(now);
        }
        self.pairs.values().try_for_each(Pairs::shrink)
    }

    fn open_with(
        folder: &Path,
        partitions: u32,
        options: Options,
        anew: Option<&[Stream]>,
    ) -> Result<LocalJournal, JournalError> {
        if !(1..=PARTITIONS_MAX).contains(&partitions) {
            return Err(JournalError::PartitionsOutOfRange { requested: partitions });
        }
        make_folder(folder)?;
        let lock = Lock::take(folder)?;
        let meta = Meta::open(folder, partitions)?;
        if let Some(keep) = anew {
            meta.new_generation(partitions, keep)?;
        }
        let recorded = meta.partitions()?;
        if recorded != partitions {
            return Err(JournalError::Partitions {
                folder: folder.to_owned(),
                recorded,
                requested: partitions,
            });
        }
        let mut journal = LocalJournal {
            readers: Readers::new(options.readers_max),
            options,
            partitions,
            generation: 0,
            logs: BTreeMap::new(),
            pairs: BTreeMap::new(),
            meta,
            folder: folder.to_owned(),
            _lock: lock,
        };
        journal.load()?;
        Ok(journal)
    }

    /// Opens the streams, after finishing what a new generation has begun to delete.
    fn load(&mut self) -> Result<(), JournalError> {
        let streams = self.folder.join("streams");
        make_folder(&streams)?;
        for stream in self.meta.anew()? {
            delete_stream(&streams, stream)?;
            self.meta.is_anew(stream)?;
        }
        self.generation = self.meta.generation()?;
        for stream in Stream::ALL {
            if stream.compacted() {
                let path = streams.join(stream.name()).with_extension("sqlite");
                let pairs = Pairs::new(path, self.options.pages_max);
                self.pairs.insert(stream, pairs);
            } else {
                let log = Log::open(
                    stream,
                    streams.join(stream.name()),
                    self.partitions(stream),
                    self.meta.newest_hour(stream)?,
                    self.options.pages_max,
                )?;
                self.logs.insert(stream, log);
            }
        }
        Ok(())
    }

    fn log(&self, stream: Stream, call: &'static str) -> Result<&Log, JournalError> {
        self.logs.get(&stream).ok_or(JournalError::WrongKind { stream, call })
    }

    fn compacted(&self, stream: Stream, call: &'static str) -> Result<&Pairs, JournalError> {
        self.pairs.get(&stream).ok_or(JournalError::WrongKind { stream, call })
    }
}

impl Journal for LocalJournal {
    fn generation(&self) -> u16 {
        self.generation
    }

    fn partitions(&self, stream: Stream) -> u32 {
        stream.partitions(self.partitions)
    }

    fn append(&self, stream: Stream, entries: &[Entry]) -> Result<Vec<Position>, JournalError> {
        let log = self.log(stream, "append")?;
        check_entries(stream, self.partitions(stream), entries)?;
        if entries.is_empty() {
            return Ok(Vec::new());
        }
        log.append((self.options.clock)(), &self.meta, entries)
    }

    /// One append is one transaction.
    fn appends_in_order(&self) -> bool {
        true
    }

    fn read(
        &self,
        stream: Stream,
        partition: u32,
        from: Position,
        bytes_max: usize,
        wait: Duration,
    ) -> Result<Batch, JournalError> {
        let log = self.log(stream, "read")?;
        check_partition(stream, self.partitions(stream), partition)?;
        log.read(&self.readers, partition, from, bytes_max, wait)
    }

    fn extent(&self, stream: Stream, partition: u32) -> Result<Range<Position>, JournalError> {
        let log = self.log(stream, "extent")?;
        check_partition(stream, self.partitions(stream), partition)?;
        Ok(log.extent(partition))
    }

    fn positions_at(&self, stream: Stream, at: u64) -> Result<Vec<Position>, JournalError> {
        self.log(stream, "positions_at")?.positions_at(at, &self.readers)
    }

    fn delete_before(
        &self,
        stream: Stream,
        positions: &[Position],
    ) -> Result<Deleted, JournalError> {
        let mut deleted = Deleted::default();
        let log = self.log(stream, "delete_before")?;
        log.delete_before(
            (self.options.clock)(),
            positions,
            &self.meta,
            &self.readers,
            &mut deleted,
        )?;
        Ok(deleted)
    }

    fn tidy(&self) -> Result<(), JournalError> {
        self.tidy_at((self.options.clock)())
    }

    fn put(
        &self,
        stream: Stream,
        pairs: &[(String, Option<Vec<u8>>)],
    ) -> Result<Vec<Position>, JournalError> {
        let compacted = self.compacted(stream, "put")?;
        check_pairs(stream, pairs)?;
        compacted.put(pairs)
    }

    fn get(&self, stream: Stream, key: &str) -> Result<Option<Vec<u8>>, JournalError> {
        self.compacted(stream, "get")?.get(key)
    }

    fn keys(&self, stream: Stream, prefix: &str) -> Result<Vec<String>, JournalError> {
        self.compacted(stream, "keys")?.keys(prefix)
    }
}

fn unix_seconds() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

/// What the mutexes guard changes in one step or is dropped on an error, so a panic elsewhere
/// leaves it sound.
pub(crate) fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Makes a folder whose existence survives a power loss.
fn make_folder(folder: &Path) -> Result<(), JournalError> {
    if folder.is_dir() {
        return Ok(());
    }
    let parent = folder.parent().filter(|parent| !parent.as_os_str().is_empty());
    let made = (|| {
        parent.map_or(Ok(()), fs::create_dir_all)?;
        // Posts under pseudonyms are in it: its owner's alone, whatever the umask.
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        parent.map_or(Ok(()), |parent| fs::File::open(parent)?.sync_all())
    })();
    made.map_err(|error| sqlite::io_failed(folder, "make folder", error))
}

fn delete_stream(streams: &Path, stream: Stream) -> Result<(), JournalError> {
    let folder = streams.join(stream.name());
    match fs::remove_dir_all(&folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(sqlite::io_failed(&folder, "delete", error))
        }
        _ => sqlite::delete(&folder.with_extension("sqlite")),
    }
}
