//! SQLite warehouse for one process.
//!
//! Write-ahead log, one connection that writes, a few that read, each with a small page cache, so
//! that it stays small compared with the engine. A batch is one transaction with the progress it
//! represents. `synchronous = NORMAL`: a power cut may take the last batches away, but always rows
//! and progress together, and the streams still hold them.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags};

use crate::deadline::{self, Deadline};
use crate::error::WarehouseError;

mod schema;

mod land;

mod ask;

mod export;

/// Connections left open for the next query; more are opened under load and closed after it.
const READERS_IDLE_MAX: usize = 3;
const CACHE_KIBIBYTES: i64 = 2_000;
const LOG_BYTES_MAX: i64 = 16 << 20;
const BUSY_MAX: Duration = Duration::from_secs(5);
const STATEMENTS_CACHED: usize = 32;
/// Operations of SQLite between two looks at the deadline: well below a millisecond.
const OPERATIONS_A_LOOK: i32 = 4_000;

#[derive(Debug)]
pub struct Local {
    file: PathBuf,
    /// None where it was opened to be read only.
    writer: Option<Mutex<Connection>>,
    readers: Mutex<Vec<Connection>>,
}

impl Local {
    /// Opens or makes the file and brings its schema up to date.
    pub fn open(file: &Path) -> Result<Local, WarehouseError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let failed = |source| failure(file, "open", source);
        // Its owner's alone, whatever the umask; SQLite gives its side files the mode of the file.
        // What can't be made here it says itself.
        let _ = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file);
        let mut connection = Connection::open_with_flags(file, flags).map_err(failed)?;
        prepare(&connection).map_err(failed)?;
        connection.pragma_update(None, "journal_mode", "wal").map_err(failed)?;
        connection.pragma_update(None, "synchronous", "normal").map_err(failed)?;
        connection.pragma_update(None, "journal_size_limit", LOG_BYTES_MAX).map_err(failed)?;
        schema::migrate(&mut connection, file)?;
        Ok(Local {
            file: file.to_owned(),
            writer: Some(Mutex::new(connection)),
            readers: Mutex::default(),
        })
    }

    /// Opens an existing file to be read only, also while another process writes it.
    pub fn open_to_read(file: &Path) -> Result<Local, WarehouseError> {
        let local = Local { file: file.to_owned(), writer: None, readers: Mutex::default() };
        let connection = local.reader()?;
        schema::check(&connection, file)?;
        local.give_back(connection);
        Ok(local)
    }

    pub fn file(&self) -> &Path {
        &self.file
    }

    fn writer(&self) -> Result<MutexGuard<'_, Connection>, WarehouseError> {
        match &self.writer {
            // A writer that panicked has dropped its transaction, which rolled it back.
            Some(writer) => Ok(writer.lock().unwrap_or_else(PoisonError::into_inner)),
            None => Err(WarehouseError::ReadOnly { place: self.file.display().to_string() }),
        }
    }

    /// Runs one question in one read transaction, so that all its statements see the same state. At
    /// the deadline of the thread it is interrupted.
    fn ask<T>(
        &self,
        question: impl FnOnce(&Connection) -> Result<T, WarehouseError>,
    ) -> Result<T, WarehouseError> {
        let deadline = deadline::current();
        let timed_out = |deadline: &Deadline| WarehouseError::TimedOut {
            place: self.file.display().to_string(),
            after: deadline.limit(),
        };
        if let Some(deadline) = deadline.as_ref().filter(|deadline| deadline.is_over()) {
            return Err(timed_out(deadline));
        }
        let mut connection = self.reader()?;
        let watched = deadline.clone().map(|deadline| move || deadline.is_over());
        let has_deadline = watched.is_some();
        connection
            .progress_handler(OPERATIONS_A_LOOK, watched)
            .map_err(|source| self.failed("read", source))?;
        let answer = match connection.transaction() {
            Ok(transaction) => question(&transaction),
            Err(source) => Err(self.failed("read", source)),
        };
        // A connection that still looks at a deadline of the past would answer nothing more.
        if !has_deadline || connection.progress_handler(0, None::<fn() -> bool>).is_ok() {
            self.give_back(connection);
        }
        match (answer, deadline) {
            (Err(_), Some(deadline)) if deadline.is_over() => Err(timed_out(&deadline)),
            (answer, _) => answer,
        }
    }

    fn reader(&self) -> Result<Connection, WarehouseError> {
        if let Some(connection) = self.readers.lock().unwrap_or_else(PoisonError::into_inner).pop()
        {
            return Ok(connection);
        }
        let failed = |source| self.failed("open", source);
        let connection = Connection::open_with_flags(
            &self.file,
            OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX,
        )
        .map_err(failed)?;
        prepare(&connection).map_err(failed)?;
        Ok(connection)
    }

    fn give_back(&self, connection: Connection) {
        let mut readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        if readers.len() < READERS_IDLE_MAX {
            readers.push(connection);
        }
    }

    fn failed(&self, doing: &'static str, source: rusqlite::Error) -> WarehouseError {
        failure(&self.file, doing, source)
    }

    fn misread(&self, why: String) -> WarehouseError {
        WarehouseError::Row { place: self.file.display().to_string(), why }
    }
}

/// Leaves one file that is whole on its own, as backups copy it, where nobody else has it open.
impl Drop for Local {
    fn drop(&mut self) {
        // A reader cannot write the log back, and would leave it if it were closed last.
        self.readers.get_mut().unwrap_or_else(PoisonError::into_inner).clear();
        let Some(writer) = &mut self.writer else { return };
        let writer = writer.get_mut().unwrap_or_else(PoisonError::into_inner);
        // Where it fails, the log stays next to the file and holds the same.
        let _ = writer.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
    }
}

fn prepare(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY_MAX)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_CACHED);
    connection.pragma_update(None, "cache_size", -CACHE_KIBIBYTES)?;
    connection.pragma_update(None, "temp_store", "file")
}

fn failure(file: &Path, doing: &'static str, source: rusqlite::Error) -> WarehouseError {
    let place = file.display().to_string();
    let code = source.sqlite_error_code();
    let source = source.into();
    match code {
        Some(ErrorCode::DiskFull) => WarehouseError::DiskFull { place, source },
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            WarehouseError::Busy { place, source }
        }
        Some(ErrorCode::SystemIoFailure | ErrorCode::CannotOpen | ErrorCode::OutOfMemory) => {
            WarehouseError::Io { doing, place, source }
        }
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            WarehouseError::Damaged { place, source }
        }
        Some(ErrorCode::ReadOnly) => WarehouseError::ReadOnly { place },
        _ => WarehouseError::Statement { doing, place, source },
    }
}

#[cfg(test)]
mod tests;
