//! Cursors: positions in files as short strings, from which a restart resumes.
//!
//! A file is known again by its path and by how it begins: one that was rotated away or written
//! again is read from its start.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use thiserror::Error;

/// A place in one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    pub file: Arc<str>,
    /// Of uncompressed bytes.
    pub offset: u64,
    /// Lines before it.
    pub line: u64,
    /// So many first bytes of the file, as it is stored, …
    pub head_bytes: u16,
    /// … have this hash.
    pub head: u64,
}

/// The place after a line: files are read in order, so that one place says which are done; of
/// followed files, which all may grow, it names every place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    pub others: Arc<[Position]>,
    pub at: Position,
}

#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{0}` is no place in a file")]
pub struct CursorError(String);

impl Cursor {
    pub(crate) fn of(&self, file: &str) -> Option<&Position> {
        std::iter::once(&self.at).chain(self.others.iter()).find(|position| *position.file == *file)
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for other in self.others.iter() {
            writeln!(f, "{other}")?;
        }
        write!(f, "{}", self.at)
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = self.file.replace('%', "%25").replace('\n', "%0A").replace('\r', "%0D");
        write!(f, "{}:{}:{}:{:016x}:{file}", self.offset, self.line, self.head_bytes, self.head)
    }
}

impl FromStr for Cursor {
    type Err = CursorError;

    fn from_str(text: &str) -> Result<Cursor, CursorError> {
        let mut positions = text.lines().map(str::parse).collect::<Result<Vec<Position>, _>>()?;
        let at = positions.pop().ok_or_else(|| CursorError(text.to_owned()))?;
        Ok(Cursor { others: positions.into(), at })
    }
}

impl FromStr for Position {
    type Err = CursorError;

    fn from_str(text: &str) -> Result<Position, CursorError> {
        let read = || {
            let mut parts = text.splitn(5, ':');
            let offset = parts.next()?.parse().ok()?;
            let line = parts.next()?.parse().ok()?;
            let head_bytes = parts.next()?.parse().ok()?;
            let head = u64::from_str_radix(parts.next()?, 16).ok()?;
            let file = parts.next()?.replace("%0A", "\n").replace("%0D", "\r").replace("%25", "%");
            Some(Position { file: file.into(), offset, line, head_bytes, head })
        };
        read().ok_or_else(|| CursorError(text.to_owned()))
    }
}
