//! Messages of feeds: records, rejected lines, and the state of the connection.
//!
//! The order of messages is the order of the source. A cursor is the place after what it comes
//! with: once everything up to it is safe, a restart reads on from there. Knows no streams and no
//! ticks.

use record::time::Micros;
use record::{Post, Reject};

use crate::clock::Now;
use crate::cursor::Cursor;
use crate::intake::{Outcome, Routing};

#[derive(Debug, Clone, PartialEq)]
pub enum Message {
    Line {
        outcome: Outcome,
        cursor: Cursor,
    },
    /// A line that can't be counted, and why.
    Reject {
        reject: Reject,
        cursor: Cursor,
    },
    /// The line that follows was stamped so far ahead of our clock that ours counts in its place.
    Ahead {
        by: Micros,
    },
    /// A connection is open; its events begin at this arrival, or with what happens from now on.
    Connected {
        at: Now,
        resumed: Option<Micros>,
    },
    /// The connection was proven alive at this moment: by an event, or by an answer while its own
    /// rate explains the silence.
    Alive {
        at: Now,
    },
    /// Arrivals in `[from, to)` can't be had any more.
    Gap {
        from: Micros,
        to: Micros,
        why: String,
    },
    /// The feed tries again on its own.
    Disconnected {
        at: Now,
        why: String,
    },
    /// Posts that went out before, now with what their authors' profiles say of a place.
    Placed {
        posts: Vec<(Routing, Post)>,
        /// Profiles requested.
        requested: u32,
        /// Why nothing came of it; it is tried again.
        failed: Option<String>,
    },
    /// A part of the source can't be read; the feed continues with the next.
    Failed {
        why: String,
    },
    /// Nothing will come any more.
    Ended,
}
