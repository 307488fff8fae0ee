//! A local stream as a sequence of hour files: append, read, delete.
//!
//! Appenders wait for each other and for the disk; readers wait for neither, they see what the
//! marks announce. Knows hours; knows nothing of SQLite's inside.

use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use super::hour::{Budget, HourFile};
use super::meta::Meta;
use super::readers::Readers;
use super::sqlite::{self, Access};
use super::{held, make_folder};
use crate::stream::check_extent;
use crate::{Batch, Deleted, Entry, JournalError, Position, Stream};

const HOUR_SECONDS: u64 = 3600;

pub(super) struct Log {
    stream: Stream,
    folder: PathBuf,
    partitions: usize,
    pages_max: Option<u32>,
    /// None before the first append, after an error, and when its hour is over.
    writer: Mutex<Option<Writer>>,
    marks: Mutex<Marks>,
    grown: Condvar,
}

struct Writer {
    hour: u64,
    file: HourFile,
}

struct Marks {
    /// What each partition holds. Its end moves when an append is durable.
    extents: Vec<Range<Position>>,
    /// By hour; their start, once it has been queried.
    files: BTreeMap<u64, Option<Starts>>,
}

type Starts = Arc<[Position]>;

impl Log {
    /// Takes up the files of a folder, of which the newest must be at least of the hour that was
    /// recorded.
    pub(super) fn open(
        stream: Stream,
        folder: PathBuf,
        partitions: u32,
        recorded: Option<u64>,
        pages_max: Option<u32>,
    ) -> Result<Log, JournalError> {
        let partitions = partitions as usize;
        make_folder(&folder)?;
        let mut files: BTreeMap<u64, Option<Starts>> =
            hours(&folder)?.into_iter().map(|hour| (hour, None)).collect();
        let mut extents = vec![0..0; partitions];
        while let Some((hour, starts)) =
            files.last_entry().map(|entry| (*entry.key(), entry.into_mut()))
        {
            let path = path(&folder, hour);
            let Some(file) = HourFile::open(path.clone(), Access::Append { pages_max })? else {
                sqlite::delete(&path)?;
                files.remove(&hour);
                continue;
            };
            let positions = file.starts(partitions)?;
            for (extent, end) in extents.iter_mut().zip(file.ends(&positions)?) {
                extent.end = end;
            }
            *starts = Some(positions.into());
            break;
        }
        let newest = files.last_key_value().map(|(hour, _)| *hour);
        if newest < recorded {
            let what = "its newest files are missing: restore them, or start a new generation with \
                `pumphandle migrate`";
            return Err(sqlite::corrupt(&folder, what));
        }
        if let Some(mut oldest) = files.first_entry() {
            let path = path(&folder, *oldest.key());
            let missing = || sqlite::corrupt(&path, "its tables are missing");
            let file = HourFile::open(path.clone(), Access::Read)?.ok_or_else(missing)?;
            let starts = file.starts(partitions)?;
            for (extent, low) in extents.iter_mut().zip(&starts) {
                extent.start = *low;
            }
            oldest.insert(Some(starts.into()));
        }
        Ok(Log {
            stream,
            folder,
            partitions,
            pages_max,
            writer: Mutex::default(),
            marks: Mutex::new(Marks { extents, files }),
            grown: Condvar::new(),
        })
    }

    pub(super) fn append(
        &self,
        now: u64,
        meta: &Meta,
        entries: &[Entry],
    ) -> Result<Vec<Position>, JournalError> {
        let hour = now / HOUR_SECONDS;
        let mut writer = held(&self.writer);
        // After an error the file is closed, and taken up again by the next append as it then is on
        // disk.
        let mut current = match writer.take() {
            Some(current) if hour < current.hour + self.span() => current,
            over => {
                if let Some(over) = over {
                    over.file.finish();
                }
                self.writer_of(hour, meta)?
            }
        };
        let mut ends = self.ends();
        let positions = current.file.append(entries, &mut ends)?;
        self.announce(&ends);
        current.file.trim_wal();
        *writer = Some(current);
        Ok(positions)
    }

    pub(super) fn read(
        &self,
        readers: &Readers,
        partition: u32,
        from: Position,
        bytes_max: usize,
        wait: Duration,
    ) -> Result<Batch, JournalError> {
        let (marks, _) = self
            .grown
            .wait_timeout_while(held(&self.marks), wait, |marks| {
                marks.extents[partition as usize].end == from
            })
            .unwrap_or_else(PoisonError::into_inner);
        let extent = marks.extents[partition as usize].clone();
        drop(marks);
        check_extent(self.stream, partition, from, &extent)?;
        let mut batch = Batch { records: Vec::new(), next: from };
        match self.read_files(readers, partition, extent.end, bytes_max, &mut batch) {
            // What is before a damaged row is worth having; the next read meets the damage at once.
            Err(error) if batch.records.is_empty() => {
                // Unless retention took the file away meanwhile.
                check_extent(self.stream, partition, from, &self.extent(partition))?;
                Err(error)
            }
            _ => Ok(batch),
        }
    }

    pub(super) fn extent(&self, partition: u32) -> Range<Position> {
        held(&self.marks).extents[partition as usize].clone()
    }

    /// Where the first file begins that may hold records of an instant or later.
    pub(super) fn positions_at(
        &self,
        at: u64,
        readers: &Readers,
    ) -> Result<Vec<Position>, JournalError> {
        let hours: Vec<u64> = held(&self.marks).files.keys().copied().collect();
        match hours.into_iter().find(|hour| (hour + self.span()) * HOUR_SECONDS > at) {
            Some(hour) => Ok(self.starts(readers, hour)?.to_vec()),
            None => Ok(self.ends()),
        }
    }

    /// Deletes the files of which no partition holds a position at or after these.
    pub(super) fn delete_before(
        &self,
        now: u64,
        positions: &[Position],
        meta: &Meta,
        readers: &Readers,
        deleted: &mut Deleted,
    ) -> Result<(), JournalError> {
        let hour = now / HOUR_SECONDS;
        let mut writer = held(&self.writer);
        let is_before =
            |ends: &[Position]| ends.iter().zip(positions).all(|(end, position)| end <= position);
        let hours: Vec<u64> = held(&self.marks).files.keys().copied().collect();
        for pair in hours.windows(2) {
            if !is_before(&self.starts(readers, pair[1])?) {
                return Ok(());
            }
            self.delete(pair[0], pair[1], readers, deleted)?;
        }
        // The newest file carries the positions, so it goes only after a new one has taken them
        // over.
        if let Some(newest) = hours.last().copied().filter(|newest| hour >= newest + self.span())
            && is_before(&self.ends())
            && *self.starts(readers, newest)? != self.ends()[..]
        {
            if let Some(over) = writer.take() {
                over.file.finish();
            }
            let current = self.writer_of(hour, meta)?;
            self.delete(newest, current.hour, readers, deleted)?;
            *writer = Some(current);
        }
        Ok(())
    }

    /// Closes the file of an hour that is over.
    pub(super) fn close_if_over(&self, now: u64) {
        let hour = now / HOUR_SECONDS;
        if let Some(over) = held(&self.writer).take_if(|current| hour >= current.hour + self.span())
        {
            over.file.finish();
        }
    }

    /// How many hours one file covers. Unlimited retention would leave too many small ones.
    fn span(&self) -> u64 {
        match self.stream {
            Stream::Alerts => 30 * 24,
            _ => 1,
        }
    }

    fn ends(&self) -> Vec<Position> {
        held(&self.marks).extents.iter().map(|extent| extent.end).collect()
    }

    fn announce(&self, ends: &[Position]) {
        for (extent, end) in held(&self.marks).extents.iter_mut().zip(ends) {
            extent.end = *end;
        }
        self.grown.notify_all();
    }

    /// Opens the newest file if it covers the hour, else makes one. A clock that was set back goes
    /// on in the newest.
    fn writer_of(&self, hour: u64, meta: &Meta) -> Result<Writer, JournalError> {
        let newest = held(&self.marks).files.last_key_value().map(|(hour, _)| *hour);
        if let Some(newest) = newest
            && hour < newest + self.span()
        {
            let path = path(&self.folder, newest);
            let access = Access::Append { pages_max: self.pages_max };
            let missing = || sqlite::corrupt(&path, "its tables are missing");
            let file = HourFile::open(path.clone(), access)?.ok_or_else(missing)?;
            let starts = file.starts(self.partitions)?;
            self.announce(&file.ends(&starts)?);
            return Ok(Writer { hour: newest, file });
        }
        let starts = self.ends();
        let file = HourFile::create(path(&self.folder, hour), &starts, self.pages_max)?;
        meta.set_newest_hour(self.stream, hour)?;
        held(&self.marks).files.insert(hour, Some(starts.into()));
        Ok(Writer { hour, file })
    }

    fn read_files(
        &self,
        readers: &Readers,
        partition: u32,
        high: Position,
        bytes_max: usize,
        batch: &mut Batch,
    ) -> Result<(), JournalError> {
        let mut budget = Budget { bytes_max, bytes: 0, spent: false };
        while batch.next < high && !budget.spent {
            let (hour, until) = self.find(readers, partition, batch.next, high)?;
            let file = self.reader(readers, hour)?;
            file.read(partition, until, &mut budget, batch)?;
            self.give_back(readers, hour, file);
        }
        Ok(())
    }

    /// The file that holds a position, and the position at which the next file takes over.
    fn find(
        &self,
        readers: &Readers,
        partition: u32,
        position: Position,
        high: Position,
    ) -> Result<(u64, Position), JournalError> {
        let hours: Vec<u64> = held(&self.marks).files.keys().copied().collect();
        let start = |at: usize| Ok(self.starts(readers, hours[at])?[partition as usize]);
        // Most read at the end. Otherwise: the last file that starts at or before the position.
        let (mut found, mut beyond) = (0, hours.len());
        if beyond > 0 && start(beyond - 1)? <= position {
            found = beyond - 1;
        }
        while beyond - found > 1 {
            let middle = found + (beyond - found) / 2;
            match start(middle)? <= position {
                true => found = middle,
                false => beyond = middle,
            }
        }
        let until = match beyond < hours.len() {
            true => start(beyond)?.min(high),
            false => high,
        };
        match hours.get(found) {
            Some(hour) if until > position => Ok((*hour, until)),
            _ => {
                let what = format!("no file holds partition {partition} position {position}");
                Err(sqlite::corrupt(&self.folder, what))
            }
        }
    }

    fn starts(&self, readers: &Readers, hour: u64) -> Result<Starts, JournalError> {
        if let Some(Some(starts)) = held(&self.marks).files.get(&hour) {
            return Ok(Arc::clone(starts));
        }
        let file = self.reader(readers, hour)?;
        let starts: Starts = file.starts(self.partitions)?.into();
        self.give_back(readers, hour, file);
        if let Some(known) = held(&self.marks).files.get_mut(&hour) {
            *known = Some(Arc::clone(&starts));
        }
        Ok(starts)
    }

    fn reader(&self, readers: &Readers, hour: u64) -> Result<HourFile, JournalError> {
        match readers.take(self.stream, hour) {
            Some(file) => Ok(file),
            None => {
                let path = path(&self.folder, hour);
                let missing = || sqlite::corrupt(&path, "its tables are missing");
                HourFile::open(path.clone(), Access::Read)?.ok_or_else(missing)
            }
        }
    }

    fn give_back(&self, readers: &Readers, hour: u64, file: HourFile) {
        readers.give(self.stream, hour, file, || held(&self.marks).files.contains_key(&hour));
    }

    /// Deletes the oldest file, whose successor is known. Readers hear of it before it happens.
    fn delete(
        &self,
        hour: u64,
        next: u64,
        readers: &Readers,
        deleted: &mut Deleted,
    ) -> Result<(), JournalError> {
        let lows = self.starts(readers, next)?;
        let mut marks = held(&self.marks);
        marks.files.remove(&hour);
        for (extent, low) in marks.extents.iter_mut().zip(lows.iter()) {
            deleted.records += low.saturating_sub(extent.start);
            extent.start = *low;
        }
        drop(marks);
        readers.forget(self.stream, hour);
        let path = path(&self.folder, hour);
        deleted.bytes += fs::metadata(&path).map_or(0, |file| file.len());
        deleted.files += 1;
        sqlite::delete(&path)
    }
}

fn path(folder: &Path, hour: u64) -> PathBuf {
    folder.join(format!("{hour}.sqlite"))
}

/// The hours of the files in a folder; side files left over from a deletion are deleted.
fn hours(folder: &Path) -> Result<Vec<u64>, JournalError> {
    let failed = |error| sqlite::io_failed(folder, "list", error);
    let mut hours = Vec::new();
    for file in fs::read_dir(folder).map_err(failed)? {
        let name = file.map_err(failed)?.file_name();
        let Some((hour, suffix)) = name.to_str().and_then(|name| name.split_once('.')) else {
            continue;
        };
        let Ok(hour) = hour.parse() else {
            continue;
        };
        match suffix {
            "sqlite" => hours.push(hour),
            "sqlite-wal" | "sqlite-shm" if !path(folder, hour).exists() => {
                sqlite::delete(&path(folder, hour))?
            }
            _ => {}
        }
    }
    hours.sort_unstable();
    Ok(hours)
}
