//! Source adapters: read files and network feeds, and produce posts.
//!
//! The first stage: reads what sources send, line by line, and hands on [`record::Post`]s with the
//! partition they go to, and how far each feed has come. It contains the only code that reads texts
//! and names, and stores neither.
//!
//! Modules in the order of data flow: [`line`](mod@line) parses a line, [`intake`] converts it into
//! a record, [`file`] and [`jetstream`] read lines, [`profiles`] requests authors' profiles,
//! [`message`] is the output of a feed, [`progress`] computes ticks from arrivals, [`clock`] reads
//! the time. Knows no streams, no counts and no watermark.

pub mod clock;
pub use clock::{Clock, Now};

mod cursor;
pub use cursor::Cursor;

pub mod line;

pub mod intake;

pub mod file;

pub mod jetstream;

pub mod profiles;

pub mod message;
pub use message::Message;

mod running;
pub use running::Feed;

mod tls;
pub use tls::Certificate;

pub mod progress;

/// Who we are to servers that we ask, unless the operator configures more.
pub const USER_AGENT: &str = concat!("pumphandle/", env!("CARGO_PKG_VERSION"));

#[cfg(test)]
mod tests;
