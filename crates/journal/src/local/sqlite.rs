//! Opening of SQLite files with common settings, and classification of their errors.
//!
//! Knows SQLite; knows nothing of what is in a file.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags};

use crate::JournalError;

/// FULL waits for the disk at each commit. The rest bounds memory and the WAL file.
const DURABLE: &str = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = \
    -1024; \
                       PRAGMA wal_autocheckpoint = 1000; PRAGMA journal_size_limit = 4194304;";

/// Beyond this a WAL file is written back and truncated, even with readers.
const WAL_BYTES_MAX: u64 = 16 << 20;

/// Below this a failing disk counts as full: SQLite hides the reason when it can't make or map its
/// side files.
const FREE_BYTES_MIN: u64 = 256 << 10;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// Durable at each commit; made if it isn't there.
    Append { pages_max: Option<u32> },
    /// Likewise, and what is deleted is overwritten and its room can be given back.
    Replace { pages_max: Option<u32> },
    /// A file that is there.
    Read,
}

pub(super) fn connect(path: &Path, access: Access) -> Result<Connection, JournalError> {
    let failed = |error| failed(path, "open", error);
    // Readers too open for writing, so that the last one to close a file leaves no WAL behind.
    let mut flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    if access == Access::Read {
        // Nothing makes a file again that retention has deleted.
        if !path.exists() {
            return Err(corrupt(path, "the file is missing"));
        }
    } else {
        flags |= OpenFlags::SQLITE_OPEN_CREATE;
        make_private(path)?;
    }
    let connection = Connection::open_with_flags(path, flags).map_err(failed)?;
    connection.busy_timeout(Duration::from_secs(5)).map_err(failed)?;
    connection.set_prepared_statement_cache_capacity(8);
    // `auto_vacuum` comes first: it holds only for a file that is still empty.
    let (own, pages_max) = match access {
        Access::Read => ("PRAGMA query_only = 1; PRAGMA cache_size = -256;", None),
        Access::Append { pages_max } => (DURABLE, pages_max),
        Access::Replace { pages_max } => {
            let shrinking = "PRAGMA auto_vacuum = INCREMENTAL; PRAGMA secure_delete = 1;";
            connection.execute_batch(shrinking).map_err(failed)?;
            (DURABLE, pages_max)
        }
    };
    let pages_max =
        pages_max.map_or_else(String::new, |pages| format!("PRAGMA max_page_count = {pages};"));
    let settings = format!("{own} {pages_max}");
    connection.execute_batch(&settings).map_err(failed)?;
    Ok(connection)
}

/// A file that is its owner's alone, whatever the umask; SQLite gives its side files the mode of
/// the file.
pub(super) const PRIVATE: u32 = 0o600;

/// Makes the file, empty, where there is none: SQLite takes an empty file for a new one.
pub(super) fn make_private(path: &Path) -> Result<(), JournalError> {
    match fs::OpenOptions::new().write(true).create_new(true).mode(PRIVATE).open(path) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => {
            Err(io_failed(path, "make", error))
        }
        _ => Ok(()),
    }
}

/// The version of the file's tables; 0 where making it was cut short.
pub(super) fn format(connection: &Connection) -> rusqlite::Result<u32> {
    connection.query_row("PRAGMA user_version", [], |row| row.get(0))
}

/// Keeps the WAL file small where readers never leave a pause for it.
pub(super) fn trim_wal(connection: &Connection, path: &Path) {
    let size = fs::metadata(side(path, "-wal")).map_or(0, |wal| wal.len());
    if size > WAL_BYTES_MAX {
        write_back(connection);
    }
}

/// Writes the WAL into the file and cuts it. Without room or with a reader at work it stays as it
/// is, complete.
pub(super) fn write_back(connection: &Connection) {
    let _ = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
}

/// Deletes a file and what is next to it, the file first: without it the rest means nothing.
pub(super) fn delete(path: &Path) -> Result<(), JournalError> {
    for path in [path.to_owned(), side(path, "-wal"), side(path, "-shm")] {
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(io_failed(&path, "delete", error));
            }
            _ => {}
        }
    }
    Ok(())
}

pub(super) fn side(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

pub(super) fn corrupt(path: &Path, what: impl Into<String>) -> JournalError {
    JournalError::Corrupt { path: path.to_owned(), what: what.into() }
}

pub(super) fn failed(path: &Path, action: &str, error: rusqlite::Error) -> JournalError {
    use rusqlite::Error;
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => disk_full(path),
        Some(ErrorCode::SystemIoFailure | ErrorCode::CannotOpen) if no_room(path) => {
            disk_full(path)
        }
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            corrupt(path, error.to_string())
        }
        Some(_) => io(path, action, error.into()),
        None => match error {
            Error::InvalidColumnType(..)
            | Error::IntegralValueOutOfRange(..)
            | Error::FromSqlConversionFailure(..)
            | Error::QueryReturnedNoRows => corrupt(path, error.to_string()),
            error => io(path, action, error.into()),
        },
    }
}

pub(super) fn io_failed(path: &Path, action: &str, error: std::io::Error) -> JournalError {
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => disk_full(path),
        _ => io(path, action, error.into()),
    }
}

fn io(path: &Path, action: &str, source: Box<dyn std::error::Error + Send + Sync>) -> JournalError {
    JournalError::Io { action: format!("{action} `{}`", path.display()), source }
}

fn disk_full(path: &Path) -> JournalError {
    JournalError::DiskFull { path: path.to_owned() }
}

fn no_room(path: &Path) -> bool {
    let folder = path.parent().unwrap_or(path);
    fs4::available_space(folder).is_ok_and(|free| free < FREE_BYTES_MIN)
}
