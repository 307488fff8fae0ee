//! A compacted stream: the last value of each key, in one SQLite file.
//!
//! Deleted values are overwritten, because snapshots hold pseudonyms. Knows nothing of what keys or
//! values mean.

use std::path::PathBuf;
use std::sync::Mutex;

use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};

use super::sqlite::{self, Access};
use super::{frame, held};
use crate::{JournalError, Position};

const FORMAT: u32 = 1;

/// Free pages given back to the disk at a time: what fits into a pause.
const SHRINK_PAGES: u32 = 4096;

const TABLES: &str = "
    CREATE TABLE pairs (key TEXT NOT NULL UNIQUE, checksum INTEGER NOT NULL, value BLOB NOT NULL) \
    STRICT;
    CREATE TABLE next (position INTEGER NOT NULL) STRICT;
    INSERT INTO next VALUES (0);
";

pub(super) struct Pairs {
    path: PathBuf,
    pages_max: Option<u32>,
    /// None before the first use and after an error.
    connection: Mutex<Option<Connection>>,
}

impl Pairs {
    pub(super) fn new(path: PathBuf, pages_max: Option<u32>) -> Pairs {
        Pairs { path, pages_max, connection: Mutex::default() }
    }

    pub(super) fn put(
        &self,
        pairs: &[(String, Option<Vec<u8>>)],
    ) -> Result<Vec<Position>, JournalError> {
        if pairs.is_empty() {
            return Ok(Vec::new());
        }
        self.with("write", |connection| {
            let transaction =
                connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let next: i64 = transaction
                .prepare_cached("SELECT position FROM next")?
                .query_row([], |row| row.get(0))?;
            let mut set =
                transaction.prepare_cached("INSERT OR REPLACE INTO pairs VALUES (?1, ?2, ?3)")?;
            let mut delete = transaction.prepare_cached("DELETE FROM pairs WHERE key = ?1")?;
            for (key, value) in pairs {
                match value {
                    Some(value) => {
                        set.execute(params![key, frame::checksum(0, 0, value), value])?
                    }
                    None => delete.execute([key])?,
                };
            }
            drop((set, delete));
            let end = next + pairs.len() as i64;
            transaction.prepare_cached("UPDATE next SET position = ?1")?.execute([end])?;
            transaction.commit()?;
            sqlite::trim_wal(connection, &self.path);
            Ok((next as Position..end as Position).collect())
        })
    }

    pub(super) fn get(&self, key: &str) -> Result<Option<Vec<u8>>, JournalError> {
        let row = self.with("read", |connection| {
            let mut select =
                connection.prepare_cached("SELECT checksum, value FROM pairs WHERE key = ?1")?;
            let row: Option<(u32, Vec<u8>)> =
                select.query_row([key], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
            Ok(row)
        })?;
        match row {
            Some((checksum, value)) if frame::checksum(0, 0, &value) != checksum => Err(
                sqlite::corrupt(&self.path, format!("the value of `{key}` has a wrong checksum")),
            ),
            row => Ok(row.map(|(_, value)| value)),
        }
    }

    pub(super) fn keys(&self, prefix: &str) -> Result<Vec<String>, JournalError> {
        self.with("read", |connection| {
            let mut select =
                connection.prepare_cached("SELECT key FROM pairs WHERE key >= ?1 ORDER BY key")?;
            let mut rows = select.query([prefix])?;
            let mut keys = Vec::new();
            while let Some(row) = rows.next()? {
                let key: String = row.get(0)?;
                if !key.starts_with(prefix) {
                    break;
                }
                keys.push(key);
            }
            Ok(keys)
        })
    }

    /// Gives free pages back to the disk.
    pub(super) fn shrink(&self) -> Result<(), JournalError> {
        if held(&self.connection).is_none() {
            return Ok(());
        }
        self.with("shrink", |connection| {
            connection.execute_batch(&format!("PRAGMA incremental_vacuum({SHRINK_PAGES})"))
        })
    }

    fn with<T>(
        &self,
        action: &str,
        act: impl FnOnce(&mut Connection) -> rusqlite::Result<T>,
    ) -> Result<T, JournalError> {
        let mut held = held(&self.connection);
        let mut connection = match held.take() {
            Some(connection) => connection,
            None => self.connect()?,
        };
        let result =
            act(&mut connection).map_err(|error| sqlite::failed(&self.path, action, error))?;
        *held = Some(connection);
        Ok(result)
    }

    fn connect(&self) -> Result<Connection, JournalError> {
        let failed = |error| sqlite::failed(&self.path, "open", error);
        let access = Access::Replace { pages_max: self.pages_max };
        let mut connection = sqlite::connect(&self.path, access)?;
        match sqlite::format(&connection).map_err(failed)? {
            0 => {
                let transaction = connection
                    .transaction_with_behavior(TransactionBehavior::Immediate)
                    .map_err(failed)?;
                transaction.execute_batch(TABLES).map_err(failed)?;
                transaction.pragma_update(None, "user_version", FORMAT).map_err(failed)?;
                transaction.commit().map_err(failed)?;
                Ok(connection)
            }
            FORMAT => Ok(connection),
            other => Err(sqlite::corrupt(
                &self.path,
                format!("its format is {other}, this version knows {FORMAT}"),
            )),
        }
    }
}
