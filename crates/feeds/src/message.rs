//! Messages of feeds: records, rejected lines, and the state of the connection.
//!
//! The order of messages is the order of the source. A cursor is the place after what it comes
//! with: once everything up to it is safe, a restart reads on from there. Knows no streams and no
//! ticks.

use std::fmt;
use std::str::FromStr;

use record::time::Micros;
use record::{Post, Reject};
use thiserror::Error;

use crate::clock::Now;
use crate::file;
use crate::intake::{Outcome, Routing};
use crate::jetstream;

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

/// A place in a source, as a short string.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cursor {
    File(file::Cursor),
    Jetstream(jetstream::Cursor),
}

#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CursorError {
    #[error("`{0}` is no cursor of a feed")]
    Kind(String),
    #[error(transparent)]
    File(#[from] file::CursorError),
    #[error(transparent)]
    Jetstream(#[from] jetstream::CursorError),
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cursor::File(cursor) => write!(f, "file {cursor}"),
            Cursor::Jetstream(cursor) => write!(f, "jetstream {cursor}"),
        }
    }
}

impl FromStr for Cursor {
    type Err = CursorError;

    fn from_str(text: &str) -> Result<Cursor, CursorError> {
        match text.split_once(' ') {
            Some(("file", cursor)) => Ok(Cursor::File(cursor.parse()?)),
            Some(("jetstream", cursor)) => Ok(Cursor::Jetstream(cursor.parse()?)),
            _ => Err(CursorError::Kind(text.to_owned())),
        }
    }
}
