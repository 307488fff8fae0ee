//! Metadata of a data folder: format, generation, partitions, and the newest file of each stream.
//!
//! Opened for each question, because there is about one an hour. Knows nothing of what is in the
//! streams.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};

use super::sqlite;
use crate::{JournalError, Stream};

const FORMAT: u32 = 1;

/// `name` is `generation`, `partitions`, `newest:<stream>` (the hour of its newest file) or
/// `anew:<stream>` (still to be deleted).
const TABLES: &str =
    "CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;";

pub(super) struct Meta {
    folder: PathBuf,
    path: PathBuf,
}

impl Meta {
    /// Opens what the folder remembers; an empty folder gets these partitions and generation 1.
    pub(super) fn open(folder: &Path, partitions: u32) -> Result<Meta, JournalError> {
        let meta = Meta { folder: folder.to_owned(), path: folder.join("meta.sqlite") };
        let connection = meta.connect()?;
        match sqlite::format(&connection).map_err(meta.failed("open"))? {
            0 if folder.join("streams").exists() => {
                drop(connection);
                Err(sqlite::corrupt(&meta.path, "it is missing, but there are streams"))
            }
            0 => meta.make(connection, partitions).map(|()| meta),
            FORMAT => Ok(meta),
            other => Err(sqlite::corrupt(
                &meta.path,
                format!("its format is {other}, this version knows {FORMAT}"),
            )),
        }
    }

    pub(super) fn generation(&self) -> Result<u16, JournalError> {
        self.value("generation")
    }

    pub(super) fn partitions(&self) -> Result<u32, JournalError> {
        self.value("partitions")
    }

    /// Begins a new generation; the streams that are not retained are [`Meta::anew`] until somebody
    /// has deleted them.
    pub(super) fn new_generation(
        &self,
        partitions: u32,
        keep: &[Stream],
    ) -> Result<(), JournalError> {
        let repartitioned = self.partitions()? != partitions;
        let Some(generation) = self.generation()?.checked_add(1) else {
            return Err(JournalError::GenerationsSpent { folder: self.folder.clone() });
        };
        let mut values = vec![
            ("generation".to_owned(), i64::from(generation)),
            ("partitions".to_owned(), i64::from(partitions)),
        ];
        for stream in Stream::ALL {
            let repartitioned = repartitioned && stream == Stream::Posts;
            if repartitioned || !keep.contains(&stream) {
                values.push((anew(stream), 1));
            }
        }
        self.set(&values)
    }

    /// The streams whose old files are still to be deleted.
    pub(super) fn anew(&self) -> Result<Vec<Stream>, JournalError> {
        let connection = self.connect()?;
        let read = || -> rusqlite::Result<Vec<String>> {
            let mut select = connection.prepare("SELECT name FROM meta")?;
            select.query_map([], |row| row.get(0))?.collect()
        };
        let names = read().map_err(self.failed("read"))?;
        Ok(Stream::ALL.into_iter().filter(|stream| names.contains(&anew(*stream))).collect())
    }

    /// Its old files are deleted.
    pub(super) fn is_anew(&self, stream: Stream) -> Result<(), JournalError> {
        let connection = self.connect()?;
        let values = params![anew(stream), newest(stream)];
        connection
            .execute("DELETE FROM meta WHERE name IN (?1, ?2)", values)
            .map_err(self.failed("write"))?;
        Ok(())
    }

    pub(super) fn newest_hour(&self, stream: Stream) -> Result<Option<u64>, JournalError> {
        let hour: Option<i64> = self.optional(&newest(stream))?;
        Ok(hour.map(|hour| hour as u64))
    }

    pub(super) fn set_newest_hour(&self, stream: Stream, hour: u64) -> Result<(), JournalError> {
        self.set(&[(newest(stream), hour as i64)])
    }

    fn make(&self, mut connection: Connection, partitions: u32) -> Result<(), JournalError> {
        let made = (|| {
            let transaction =
                connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            transaction.execute_batch(TABLES)?;
            transaction.execute(
                "INSERT INTO meta VALUES ('generation', 1), ('partitions', ?1)",
                [partitions],
            )?;
            transaction.pragma_update(None, "user_version", FORMAT)?;
            transaction.commit()
        })();
        made.map_err(self.failed("make"))
    }

    fn value<T: rusqlite::types::FromSql>(&self, name: &str) -> Result<T, JournalError> {
        self.optional(name)?
            .ok_or_else(|| sqlite::corrupt(&self.path, format!("`{name}` is missing")))
    }

    fn optional<T: rusqlite::types::FromSql>(&self, name: &str) -> Result<Option<T>, JournalError> {
        let connection = self.connect()?;
        connection
            .query_row("SELECT value FROM meta WHERE name = ?1", [name], |row| row.get(0))
            .optional()
            .map_err(self.failed("read"))
    }

    fn set(&self, values: &[(String, i64)]) -> Result<(), JournalError> {
        let mut connection = self.connect()?;
        let set = (|| {
            let transaction =
                connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            for (name, value) in values {
                transaction
                    .execute("INSERT OR REPLACE INTO meta VALUES (?1, ?2)", params![name, value])?;
            }
            transaction.commit()
        })();
        set.map_err(self.failed("write"))
    }

    fn connect(&self) -> Result<Connection, JournalError> {
        sqlite::make_private(&self.path)?;
        let connection = Connection::open(&self.path).map_err(self.failed("open"))?;
        // Without a WAL, so that one small file is all there is; EXTRA makes the end of a
        // transaction durable too.
        let settings = "PRAGMA busy_timeout = 5000; PRAGMA synchronous = EXTRA;";
        connection.execute_batch(settings).map_err(self.failed("open"))?;
        Ok(connection)
    }

    fn failed(&self, action: &str) -> impl Fn(rusqlite::Error) -> JournalError {
        move |error| sqlite::failed(&self.path, action, error)
    }
}

fn anew(stream: Stream) -> String {
    format!("anew:{}", stream.name())
}

fn newest(stream: Stream) -> String {
    format!("newest:{}", stream.name())
}
