//! The roles, a file each: what one thread of the embedded program does or a process of its own,
//! and what they share.

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
pub(crate) mod sources;
pub(crate) mod stores;
pub(crate) mod subscribers;
pub(crate) mod supervise;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};

use feeds::Clock;
use record::Micros;
use record::time::SECOND;

/// The SQLite warehouse, under the data folder.
pub(crate) const WAREHOUSE_FILE: &str = "warehouse.sqlite";

/// The machine's clocks, one pair for all roles of the process. Only edges read them.
pub(crate) fn clock() -> &'static Clock {
    static CLOCK: LazyLock<Clock> = LazyLock::new(Clock::system);
    &CLOCK
}

/// Our clock. A step of the machine's is followed only once it has held for a minute.
pub(crate) fn now() -> Micros {
    clock().wall()
}

/// What names the journal's files and says how old they are, in seconds: no step moves it while the
/// process lives.
pub(crate) fn journal_seconds() -> u64 {
    u64::try_from(clock().unstepped() / SECOND).unwrap_or(0)
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
