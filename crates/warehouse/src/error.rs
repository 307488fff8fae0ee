//! Errors of the ports, and whether a retry may help.

use std::error::Error as StdError;
use std::io;
use std::time::Duration;

use thiserror::Error;

use crate::tables::TABLES;

/// Error of the underlying store.
pub type Cause = Box<dyn StdError + Send + Sync>;

#[derive(Debug, Error)]
pub enum WarehouseError {
    #[error("no room left on the disk that holds `{place}`")]
    DiskFull { place: String, source: Cause },
    #[error("`{place}` is in use by another process")]
    Busy { place: String, source: Cause },
    #[error("failed to {doing} `{place}`")]
    Io { doing: &'static str, place: String, source: Cause },
    #[error("`{place}` is damaged, or not a warehouse")]
    Damaged { place: String, source: Cause },
    #[error("`{place}` can only be read")]
    ReadOnly { place: String },
    #[error("`{place}` has schema {found}, this program knows up to {known}")]
    NewerSchema { place: String, found: u32, known: u32 },
    #[error(
        "`{place}` has schema {found}, this program needs {known}\nhint: `pumphandle migrate` \
            brings it up to date"
    )]
    OlderSchema { place: String, found: u32, known: u32 },
    #[error("migration {number} of `{place}` is not the one that this program holds")]
    ChangedMigration { place: String, number: u32 },
    #[error("unknown table `{table}`\nhint: the tables are {}", names())]
    UnknownTable { table: String },
    #[error("failed to write what was exported")]
    Output(#[from] io::Error),
    #[error("a row of `{place}` can't be understood: {why}")]
    Row { place: String, why: String },
    #[error(
        "`{place}` can't be reached\nhint: is ClickHouse up, and is `url` in `[warehouse]` its \
            HTTP address?"
    )]
    Unreachable { place: String, source: Cause },
    #[error("`{place}` did not answer within {} s", after.as_secs())]
    TimedOut { place: String, after: Duration },
    #[error("`{place}` can't take this now")]
    Unready { place: String, source: Cause },
    #[error(
        "`{place}` refused user `{user}`: no such user, or another password\nhint: see `user` and \
            `password-file` in `[warehouse]`"
    )]
    Refused { place: String, user: String, source: Cause },
    #[error(
        "user `{user}` may not {doing} `{place}`\nhint: the rights that each role needs are in \
            deploy/clickhouse/users.d"
    )]
    Forbidden { doing: &'static str, place: String, user: String, source: Cause },
    #[error(
        "`{address}` is no ClickHouse address\nhint: it looks like `http://127.0.0.1:8123`; user \
            and password have keys of their own"
    )]
    Address { address: String },
    #[error("failed to start the thread that talks to ClickHouse")]
    Thread { source: io::Error },
    #[error("failed to {doing} `{place}`")]
    Statement { doing: &'static str, place: String, source: Cause },
}

impl WarehouseError {
    /// Whether the same call may succeed later with nothing but time, or an operator's hand on the
    /// disk, in between.
    pub fn try_again(&self) -> bool {
        match self {
            WarehouseError::DiskFull { .. }
            | WarehouseError::Busy { .. }
            | WarehouseError::Io { .. }
            | WarehouseError::Unreachable { .. }
            | WarehouseError::TimedOut { .. }
            | WarehouseError::Unready { .. } => true,
            WarehouseError::Damaged { .. }
            | WarehouseError::ReadOnly { .. }
            | WarehouseError::NewerSchema { .. }
            | WarehouseError::OlderSchema { .. }
            | WarehouseError::ChangedMigration { .. }
            | WarehouseError::UnknownTable { .. }
            | WarehouseError::Refused { .. }
            | WarehouseError::Forbidden { .. }
            | WarehouseError::Address { .. }
            | WarehouseError::Thread { .. }
            | WarehouseError::Output(_)
            | WarehouseError::Row { .. }
            | WarehouseError::Statement { .. } => false,
        }
    }
}

fn names() -> String {
    TABLES.iter().map(|table| format!("`{}`", table.name)).collect::<Vec<_>>().join(", ")
}
