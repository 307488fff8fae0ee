//! The roles, a file each, what they share, and the two compositions: `embedded` and `cluster`.
//!
//! A role implements [`Role`](crate::runtime::Role); the runtime turns it.

pub(crate) mod cluster;
pub(crate) mod desk;
pub(crate) mod embedded;
pub(crate) mod erasure;
pub(crate) mod health;
pub(crate) mod ingest;
pub(crate) mod keys;
pub(crate) mod land;
pub(crate) mod monitor;
pub(crate) mod notifier;
pub(crate) mod page;
pub(crate) mod retention;
pub(crate) mod secrets;
pub(crate) mod services;
pub(crate) mod sources;
pub(crate) mod stores;
pub(crate) mod subscribers;
pub(crate) mod tally;
pub(crate) mod watch;

use std::sync::LazyLock;

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
