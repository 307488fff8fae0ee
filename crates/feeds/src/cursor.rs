//! Cursors: places in sources as short strings, from which a restart resumes.

pub(crate) mod file;
pub(crate) mod jetstream;

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

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
