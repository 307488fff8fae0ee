//! Schema migrations of SQLite, each applied once, all in one transaction.
//!
//! What was applied is stored with its checksum: a file from a newer program, or one whose
//! migrations differ from ours, is refused.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension, TransactionBehavior};

use super::failure;
use crate::error::WarehouseError;

/// A migration's number is its place here, from 1. One that has left the house is never changed.
const MIGRATIONS: [&str; 7] = [
    include_str!("schema/0001_tables.sql"),
    include_str!("schema/0002_reference.sql"),
    include_str!("schema/0003_grounds.sql"),
    include_str!("schema/0004_alert_loop.sql"),
    include_str!("schema/0005_sampled.sql"),
    include_str!("schema/0006_alerts_by_time.sql"),
    include_str!("schema/0007_views_for_duckdb.sql"),
];

const APPLIED: &str = "CREATE TABLE IF NOT EXISTS schema_migrations (number INTEGER PRIMARY KEY, \
    checksum TEXT NOT NULL) STRICT";

pub(super) fn migrate(connection: &mut Connection, file: &Path) -> Result<(), WarehouseError> {
    let failed = |source| failure(file, "migrate", source);
    let transaction =
        connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
    transaction.execute_batch(APPLIED).map_err(failed)?;
    let found = verify(&transaction, file)?;
    for (number, sql) in numbered().filter(|(number, _)| *number > found) {
        transaction.execute_batch(sql).map_err(failed)?;
        transaction
            .execute(
                "INSERT INTO schema_migrations (number, checksum) VALUES (?1, ?2)",
                (number, checksum(sql)),
            )
            .map_err(failed)?;
    }
    transaction.commit().map_err(failed)
}

/// For those who only read: the schema must be exactly ours.
pub(super) fn check(connection: &Connection, file: &Path) -> Result<(), WarehouseError> {
    let found = connection
        .query_row("SELECT 1 FROM sqlite_schema WHERE name = 'schema_migrations'", [], |_| Ok(()))
        .optional()
        .map_err(|source| failure(file, "read", source))?
        .map_or(Ok(0), |()| verify(connection, file))?;
    let known = MIGRATIONS.len() as u32;
    if found < known {
        Err(WarehouseError::OlderSchema { place: file.display().to_string(), found, known })
    } else {
        Ok(())
    }
}

/// The number of the last migration applied, if those applied are ours.
fn verify(connection: &Connection, file: &Path) -> Result<u32, WarehouseError> {
    let failed = |source| failure(file, "read", source);
    let place = || file.display().to_string();
    let mut statement = connection
        .prepare("SELECT number, checksum FROM schema_migrations ORDER BY number")
        .map_err(failed)?;
    let applied: Vec<(u32, String)> = statement
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
        .and_then(Iterator::collect)
        .map_err(failed)?;
    let found = applied.last().map_or(0, |(number, _)| *number);
    let known = MIGRATIONS.len() as u32;
    if found > known {
        return Err(WarehouseError::NewerSchema { place: place(), found, known });
    }
    for ((number, sql), at) in numbered().take(found as usize).zip(0..) {
        if applied.get(at) != Some(&(number, checksum(sql))) {
            return Err(WarehouseError::ChangedMigration { place: place(), number });
        }
    }
    Ok(found)
}

fn numbered() -> impl Iterator<Item = (u32, &'static str)> {
    (1..).zip(MIGRATIONS)
}

fn checksum(sql: &str) -> String {
    blake3::hash(sql.as_bytes()).to_hex().to_string()
}
