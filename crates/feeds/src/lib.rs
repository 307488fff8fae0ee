//! In: files and networks to records.
//!
//! The first stage: reads what sources send, line by line, and hands on [`record::Post`]s with the
//! partition they go to,
//! and how far each feed has come. It holds the only code that sees texts and names, and keeps
//! neither.
//!
//! [`clock`] says what time it is. Reading order is the order in which data flows:
//! [`line`](mod@line) tells what a line says, [`intake`] makes the record
//! of it, [`file`] and [`jetstream`] bring the lines, [`profiles`] asks authors' profiles for
//! places, [`message`] is what they send, [`progress`] turns their arrivals into
//! ticks. Knows no streams, no counts and no watermark.

pub mod clock;
pub use clock::{Clock, Now};

pub mod line;

pub mod intake;

pub mod file;

pub mod jetstream;

pub mod profiles;

pub mod message;
pub use message::{Cursor, Message};

mod running;
pub use running::Feed;

pub mod progress;

/// Who we are to servers that we ask, unless the operator configures more.
pub const USER_AGENT: &str = concat!("pumphandle/", env!("CARGO_PKG_VERSION"));

#[cfg(test)]
mod tests;
