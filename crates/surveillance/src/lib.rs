//! Surveillance engine: counts posts, closes windows, judges them and raises alerts.
//!
//! Records in, records out; time comes in as ticks. No clock, no randomness, no IO, no logging:
//! what the log holds decides everything.
//! `tally` counts the posts of one partition and emits the changes as frames; `watch` sums the
//! frames of all partitions, closes windows, judges them and joins alarms into alerts. Both give
//! their state as a [`Snapshot`]. `detectors` and `forecast` are the mathematics, over
//! `distribution`.

#![cfg_attr(not(test), deny(clippy::disallowed_methods, clippy::disallowed_types))]

pub mod snapshot;
pub use snapshot::{Manifest, RestoreError, Snapshot};

pub mod tally;
pub use tally::Tally;

pub mod watch;
pub use watch::{Mode, Watch, WatchError};

mod distribution;
pub use distribution::t_quantile_upper;

pub mod forecast;

pub mod detectors;

pub mod emerging;

mod recompute;
pub use recompute::{RecomputeError, recompute};

pub mod publish;

#[cfg(test)]
mod tests;
#[cfg(test)]
use tests::naive;
