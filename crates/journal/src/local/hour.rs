//! Hour file of a stream: the batches of one hour, and the first position of each partition.
//!
//! A row is a part of one append in one partition. Because each file says where it starts, the
//! newest alone tells where every partition is, and a reader finds the file of a position without
//! opening them all. Knows neither the other files nor the clock.

use std::path::PathBuf;

use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};

use super::sqlite::{self, Access};
use super::{PARTITIONS_MAX, frame};
use crate::{Batch, Entry, JournalError, Position};

/// Raised when the tables change; a file of another format is refused.
const FORMAT: u32 = 1;

/// A longer run of records is split, so that reading a few doesn't load many.
const ROW_BYTES: usize = 64 << 10;

/// `key` is partition << 48 | first position: one tree, in which a partition's rows are in order.
const TABLES: &str = "
    CREATE TABLE starts (partition INTEGER PRIMARY KEY, position INTEGER NOT NULL) STRICT;
    CREATE TABLE batches (key INTEGER PRIMARY KEY, count INTEGER NOT NULL, checksum INTEGER NOT \
    NULL, bytes BLOB NOT NULL) STRICT;
";
const POSITION_BITS: u32 = 48;
const _: () = assert!((PARTITIONS_MAX as u64) << POSITION_BITS == 1 << 63);

pub(super) struct HourFile {
    connection: Connection,
    path: PathBuf,
}

/// How much more a read may bring.
pub(super) struct Budget {
    pub(super) bytes_max: usize,
    pub(super) bytes: usize,
    pub(super) spent: bool,
}

impl HourFile {
    /// Makes a file that begins at these positions, or takes the one whose making was not heard of.
    pub(super) fn create(
        path: PathBuf,
        starts: &[Position],
        pages_max: Option<u32>,
    ) -> Result<HourFile, JournalError> {
        let mut connection = sqlite::connect(&path, Access::Append { pages_max })?;
        let made = (|| {
            let transaction =
                connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            if sqlite::format(&transaction)? == 0 {
                transaction.execute_batch(TABLES)?;
                for (partition, start) in starts.iter().enumerate() {
                    let values = params![partition as i64, *start as i64];
                    transaction.execute("INSERT INTO starts VALUES (?1, ?2)", values)?;
                }
                transaction.pragma_update(None, "user_version", FORMAT)?;
            }
            transaction.commit()
        })();
        if let Err(error) = made {
            // Nothing is in it yet, and left half made it would stand between the hours before and
            // after it.
            drop(connection);
            let _ = sqlite::delete(&path);
            return Err(sqlite::failed(&path, "make", error));
        }
        let file = HourFile { connection, path };
        match file.starts(starts.len())? == starts {
            true => Ok(file),
            false => Err(sqlite::corrupt(
                &file.path,
                "it starts at other positions than it was made for",
            )),
        }
    }

    /// Opens a file; none where its making was cut short, so that it holds nothing.
    pub(super) fn open(path: PathBuf, access: Access) -> Result<Option<HourFile>, JournalError> {
        let connection = sqlite::connect(&path, access)?;
        match sqlite::format(&connection).map_err(|error| sqlite::failed(&path, "open", error))? {
            0 => Ok(None),
            FORMAT => Ok(Some(HourFile { connection, path })),
            other => Err(sqlite::corrupt(
                &path,
                format!("its format is {other}, this version knows {FORMAT}"),
            )),
        }
    }

    /// Where each partition enters the file.
    pub(super) fn starts(&self, partitions: usize) -> Result<Vec<Position>, JournalError> {
        let read = || -> rusqlite::Result<Vec<(i64, i64)>> {
            let mut select = self
                .connection
                .prepare_cached("SELECT partition, position FROM starts ORDER BY partition")?;
            select.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
        };
        let rows = read().map_err(|error| self.failed("read", error))?;
        let complete = rows.len() == partitions
            && rows.iter().enumerate().all(|(n, row)| row.0 == n as i64 && row.1 >= 0);
        match complete {
            true => Ok(rows.into_iter().map(|(_, position)| position as Position).collect()),
            false => Err(sqlite::corrupt(
                &self.path,
                "its starts are not those of the stream's partitions",
            )),
        }
    }

    /// Where each partition leaves the file, so far.
    pub(super) fn ends(&self, starts: &[Position]) -> Result<Vec<Position>, JournalError> {
        let last =
            "SELECT key, count FROM batches WHERE key BETWEEN ?1 AND ?2 ORDER BY key DESC LIMIT 1";
        let end = |partition: u32, start: Position| -> rusqlite::Result<Position> {
            let mut select = self.connection.prepare_cached(last)?;
            let row: Option<(i64, i64)> = select
                .query_row([key(partition, 0), key(partition, Position::MAX)], |row| {
                    Ok((row.get(0)?, row.get(1)?))
                })
                .optional()?;
            Ok(row.map_or(start, |(key, count)| first(key) + count as Position))
        };
        (0..)
            .zip(starts)
            .map(|(partition, start)| {
                end(partition, *start).map_err(|error| self.failed("read", error))
            })
            .collect()
    }

    /// Appends in one transaction; `next` is where each partition is, and is moved on.
    pub(super) fn append(
        &mut self,
        entries: &[Entry],
        next: &mut [Position],
    ) -> Result<Vec<Position>, JournalError> {
        let path = &self.path;
        append(&mut self.connection, entries, next)
            .map_err(|error| sqlite::failed(path, "append to", error))
    }

    /// Reads on from `batch.next` up to `until`, or until the budget is spent.
    pub(super) fn read(
        &self,
        partition: u32,
        until: Position,
        budget: &mut Budget,
        batch: &mut Batch,
    ) -> Result<(), JournalError> {
        // The row that holds a position is the last that begins at or before it.
        let select = "SELECT key, count, checksum, bytes FROM batches WHERE key >= coalesce( \
                          (SELECT key FROM batches WHERE key BETWEEN ?1 AND ?2 ORDER BY key DESC \
                          LIMIT 1), ?2) \
                      AND key < ?3 ORDER BY key";
        let failed = |error| self.failed("read", error);
        let mut select = self.connection.prepare_cached(select).map_err(failed)?;
        let range = [key(partition, 0), key(partition, batch.next), key(partition, until)];
        let mut rows = select.query(range).map_err(failed)?;
        while let Some(row) = rows.next().map_err(failed)? {
            let key: i64 = row.get(0).map_err(failed)?;
            let count: u32 = row.get(1).map_err(failed)?;
            let checksum: u32 = row.get(2).map_err(failed)?;
            let bytes =
                row.get_ref(3).map_err(failed)?.as_blob().map_err(|error| failed(error.into()))?;
            if frame::checksum(key, count, bytes) != checksum {
                return Err(self.damaged(partition, first(key), "has a wrong checksum"));
            }
            let end = first(key) + Position::from(count);
            if end <= batch.next {
                continue;
            }
            if first(key) > batch.next {
                break;
            }
            self.read_row(partition, first(key)..end.min(until), bytes, budget, batch)?;
            if budget.spent || batch.next == until {
                return Ok(());
            }
        }
        Err(self.damaged(partition, batch.next, "is missing"))
    }

    /// Before the next hour's file takes over.
    pub(super) fn finish(self) {
        sqlite::write_back(&self.connection);
    }

    fn read_row(
        &self,
        partition: u32,
        positions: std::ops::Range<Position>,
        mut bytes: &[u8],
        budget: &mut Budget,
        batch: &mut Batch,
    ) -> Result<(), JournalError> {
        for position in positions {
            let Some(record) = frame::pop(&mut bytes) else {
                return Err(self.damaged(partition, position, "is cut off"));
            };
            if position < batch.next {
                continue;
            }
            budget.bytes += record.len();
            if budget.bytes > budget.bytes_max && !batch.records.is_empty() {
                budget.spent = true;
                return Ok(());
            }
            batch.records.push((position, record.to_vec()));
            batch.next = position + 1;
        }
        Ok(())
    }

    fn failed(&self, action: &str, error: rusqlite::Error) -> JournalError {
        sqlite::failed(&self.path, action, error)
    }

    fn damaged(&self, partition: u32, position: Position, how: &str) -> JournalError {
        sqlite::corrupt(&self.path, format!("partition {partition} position {position} {how}"))
    }

    pub(super) fn trim_wal(&self) {
        sqlite::trim_wal(&self.connection, &self.path);
    }
}

/// A row being filled.
#[derive(Default)]
struct Row {
    first: Position,
    count: u32,
    bytes: Vec<u8>,
}

fn append(
    connection: &mut Connection,
    entries: &[Entry],
    next: &mut [Position],
) -> rusqlite::Result<Vec<Position>> {
    let mut rows: Vec<Row> = next.iter().map(|_| Row::default()).collect();
    let mut positions = Vec::with_capacity(entries.len());
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut insert = transaction.prepare_cached("INSERT INTO batches VALUES (?1, ?2, ?3, ?4)")?;
    let mut write = |partition: u32, row: &mut Row| -> rusqlite::Result<()> {
        let key = key(partition, row.first);
        let checksum = frame::checksum(key, row.count, &row.bytes);
        insert.execute(params![key, row.count, checksum, row.bytes])?;
        row.count = 0;
        row.bytes.clear();
        Ok(())
    };
    for entry in entries {
        let partition = entry.partition as usize;
        let row = &mut rows[partition];
        if row.count > 0 && row.bytes.len() + entry.bytes.len() > ROW_BYTES {
            write(entry.partition, row)?;
        }
        if row.count == 0 {
            row.first = next[partition];
        }
        frame::push(&mut row.bytes, &entry.bytes);
        row.count += 1;
        positions.push(next[partition]);
        next[partition] += 1;
    }
    for (partition, row) in (0..).zip(&mut rows) {
        if row.count > 0 {
            write(partition, row)?;
        }
    }
    drop(insert);
    transaction.commit()?;
    Ok(positions)
}

fn key(partition: u32, position: Position) -> i64 {
    let position = position.min((1 << POSITION_BITS) - 1);
    i64::from(partition) << POSITION_BITS | position as i64
}

fn first(key: i64) -> Position {
    key as Position & ((1 << POSITION_BITS) - 1)
}
