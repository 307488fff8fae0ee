//! The runtime: turns the roles of a process until they end or are stopped.
//!
//! Roles implement [`Role`]; `supervisor` gives each of them a thread, `driver` turns a pure stage
//! into a role over the journal. Knows no role, no configuration and no warehouse.

pub(crate) mod driver;
pub(crate) mod log;
pub(crate) mod reader;
pub(crate) mod requests;
pub(crate) mod role;
pub(crate) mod snapshots;
pub(crate) mod stage;
pub(crate) mod supervisor;

pub(crate) use driver::Driver;
pub(crate) use reader::{Gaps, each_retained, get_json, put, retry};
pub(crate) use role::{Context, Progress, Role, Stop};
pub(crate) use stage::{Seen, Stage};
pub(crate) use supervisor::{Group, supervise};

/// The one tokio runtime of a process: for sockets, signals and waits.
pub(crate) fn start_io() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("io")
        .enable_all()
        .build()
}
