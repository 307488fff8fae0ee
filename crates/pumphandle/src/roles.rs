//! The roles, a file each: what one thread of the embedded program does or a process of its own, and what they share.

pub(crate) mod cluster;
pub(crate) mod desk;
pub(crate) mod embedded;
pub(crate) mod erasure;
pub(crate) mod health;
pub(crate) mod ingest;
pub(crate) mod keys;
pub(crate) mod land;
pub(crate) mod log;
pub(crate) mod monitor;
pub(crate) mod notifier;
pub(crate) mod page;
pub(crate) mod retention;
pub(crate) mod secrets;
pub(crate) mod stores;
pub(crate) mod subscribers;
pub(crate) mod supervise;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use record::Micros;

/// The SQLite warehouse, under the data folder.
pub(crate) const WAREHOUSE_FILE: &str = "warehouse.sqlite";

/// Our clock. Only edges read it.
pub(crate) fn now() -> Micros {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Micros::try_from(since.as_micros()).unwrap_or(Micros::MAX)
}

/// Asks all roles to drain and end.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stop(Arc<AtomicBool>);

impl Stop {
    pub(crate) fn ask(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    pub(crate) fn asked(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}
