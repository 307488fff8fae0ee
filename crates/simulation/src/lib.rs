//! Simulation: a seeded synthetic world of posts and counts.
//!
//! A source in front of the pipeline: `simulate` prints its lines, `demo` feeds them to the real
//! pipeline, `evaluate` draws count series from it, tests and benches use both. One seed gives one
//! world, byte for byte, on every platform and in every version: so it brings its own generator and
//! takes logarithms from `libm`.
//!
//! It does not know how posts are counted, which topics are configured, or what a detector is; its
//! labels state what was simulated, not what should be detected. No person, account, news item or
//! address in it is real.

#![cfg_attr(not(test), deny(clippy::disallowed_methods, clippy::disallowed_types))]

mod random;
mod samplers;

pub mod counts;
pub mod panels;

mod places;
mod words;

mod event;
mod options;
mod plan;

mod line;
mod world;

mod demo;

#[cfg(test)]
mod tests;

pub use demo::{DemoOptions, DemoWorld};
pub use event::{Event, EventKind, Shape};
pub use options::{Shares, Until, WorldOptions};
pub use places::regions;
pub use plan::Plan;
pub use random::Random;
pub use samplers::{exponential, gamma, log_uniform, negative_binomial, normal, poisson};
pub use words::Topic;
pub use world::{Line, World};

/// Microseconds in a second, as all instants here are microseconds since 1970 in UTC.
pub const SECOND_US: i64 = 1_000_000;
pub const MINUTE_US: i64 = 60 * SECOND_US;
pub const HOUR_US: i64 = 60 * MINUTE_US;
pub const DAY_US: i64 = 24 * HOUR_US;
