//! Cursors of Jetstream as short strings, from which a connection resumes.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use record::time::Micros;
use thiserror::Error;

/// The place after a line: by number on the server that gave it, by time anywhere else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    pub host: Arc<str>,
    pub sequence: Option<u64>,
    /// The greatest stamp so far.
    pub stamp: Micros,
}

#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{0}` is no place in a Jetstream")]
pub struct CursorError(String);

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.sequence {
            Some(sequence) => write!(f, "{} {sequence} {}", self.stamp, self.host),
            None => write!(f, "{} - {}", self.stamp, self.host),
        }
    }
}

impl FromStr for Cursor {
    type Err = CursorError;

    fn from_str(text: &str) -> Result<Cursor, CursorError> {
        let read = || {
            let mut parts = text.splitn(3, ' ');
            let stamp = parts.next()?.parse().ok()?;
            let sequence = match parts.next()? {
                "-" => None,
                number => Some(number.parse().ok()?),
            };
            Some(Cursor { host: parts.next()?.into(), sequence, stamp })
        };
        read().ok_or_else(|| CursorError(text.to_owned()))
    }
}
