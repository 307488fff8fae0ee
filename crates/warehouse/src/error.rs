//! What can go wrong at the ports, and whether trying again may help.

use std::io;

use thiserror::Error;

use crate::tables::TABLES;

#[derive(Debug, Error)]
pub enum WarehouseError {
    #[error("no room left on the disk that holds `{place}`")]
    DiskFull { place: String, source: rusqlite::Error },
    #[error("`{place}` is in use by another process")]
    Busy { place: String, source: rusqlite::Error },
    #[error("failed to {doing} `{place}`")]
    Io { doing: &'static str, place: String, source: rusqlite::Error },
    #[error("`{place}` is damaged, or not a warehouse")]
    Damaged { place: String, source: rusqlite::Error },
    #[error("`{place}` can only be read")]
    ReadOnly { place: String },
    #[error("`{place}` has schema {found}, this program knows up to {known}")]
    NewerSchema { place: String, found: u32, known: u32 },
    #[error("`{place}` has schema {found}, this program needs {known}\nhint: `pumphandle migrate` brings it up to date")]
    OlderSchema { place: String, found: u32, known: u32 },
    #[error("migration {number} of `{place}` is not the one that this program holds")]
    ChangedMigration { place: String, number: u32 },
    #[error("unknown table `{table}`\nhint: the tables are {}", names())]
    UnknownTable { table: String },
    #[error("failed to write what was exported")]
    Output(#[from] io::Error),
    #[error("a row of `{place}` can't be understood: {why}")]
    Row { place: String, why: String },
    #[error("failed to {doing} `{place}`")]
    Statement { doing: &'static str, place: String, source: rusqlite::Error },
}

impl WarehouseError {
    /// Whether the same call may succeed later with nothing but time, or an operator's hand on the disk, in between.
    pub fn try_again(&self) -> bool {
        match self {
            WarehouseError::DiskFull { .. } | WarehouseError::Busy { .. } | WarehouseError::Io { .. } => true,
            WarehouseError::Damaged { .. }
            | WarehouseError::ReadOnly { .. }
            | WarehouseError::NewerSchema { .. }
            | WarehouseError::OlderSchema { .. }
            | WarehouseError::ChangedMigration { .. }
            | WarehouseError::UnknownTable { .. }
            | WarehouseError::Output(_)
            | WarehouseError::Row { .. }
            | WarehouseError::Statement { .. } => false,
        }
    }
}

fn names() -> String {
    TABLES.iter().map(|table| format!("`{}`", table.name)).collect::<Vec<_>>().join(", ")
}
