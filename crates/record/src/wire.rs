//! The binary form of records: a version byte, a kind byte, then the fields in postcard's compact
//! form.
//!
//! Any byte string decodes to a record or to a named error. A change of any record's fields raises
//! [`VERSION`];
//! golden files in `tests/data/wire/` hold what each version looked like.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::log::{Exclusion, Frame, Lift, Tick};
use crate::output::{
    Alert, AlertEvent, Count, CoverageRow, PublicCount, Reject, TagCount, Total, Verdict,
    WindowCount,
};
use crate::post::Post;
use crate::settings::Settings;

pub const VERSION: u8 = 2;

/// A record longer than this is refused before it is read.
pub const BYTES_MAX: usize = 64 << 20;

#[derive(Debug, Clone, PartialEq)]
pub enum Record {
    Post(Post),
    Tick(Tick),
    Settings(Settings),
    /// The log takes no more.
    End,
    Frame(Frame),
    Exclusion(Exclusion),
    Count(Count),
    TagCount(TagCount),
    Total(Total),
    Coverage(CoverageRow),
    WindowCount(WindowCount),
    Verdict(Verdict),
    Alert(Alert),
    AlertEvent(AlertEvent),
    Reject(Reject),
    PublicCount(PublicCount),
    Lift(Lift),
}

#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DecodeError {
    #[error("empty record")]
    Empty,
    #[error("record of {bytes} bytes is longer than {BYTES_MAX}")]
    TooLong { bytes: usize },
    #[error("record version {found} is not understood, this program reads version {VERSION}")]
    Version { found: u8 },
    #[error("record kind {found} is unknown")]
    Kind { found: u8 },
    #[error("malformed {kind} record: {why}")]
    Body { kind: &'static str, why: String },
    #[error("{bytes} bytes too many after a {kind} record")]
    Trailing { kind: &'static str, bytes: usize },
}

macro_rules! kinds {
    ($($number:literal $name:literal $variant:ident;)*) => {
        impl Record {
            /// What the record is, in a word.
            pub fn kind(&self) -> &'static str {
                match self {
                    $(Record::$variant(_) => $name,)*
                    Record::End => "end",
                }
            }

            pub fn encode(&self) -> Vec<u8> {
                match self {
                    $(Record::$variant(body) => encode_body($number, body),)*
                    Record::End => vec![VERSION, 0],
                }
            }

            pub fn decode(bytes: &[u8]) -> Result<Record, DecodeError> {
                if bytes.len() > BYTES_MAX {
                    return Err(DecodeError::TooLong { bytes: bytes.len() });
                }
                let (version, rest) = bytes.split_first().ok_or(DecodeError::Empty)?;
                if *version != VERSION {
                    return Err(DecodeError::Version { found: *version });
                }
                let (kind, body) = rest.split_first().ok_or(DecodeError::Empty)?;
                match kind {
                    0 if body.is_empty() => Ok(Record::End),
                    0 => Err(DecodeError::Trailing { kind: "end", bytes: body.len() }),
                    $($number => decode_body($name, body).map(Record::$variant),)*
                    _ => Err(DecodeError::Kind { found: *kind }),
                }
            }
        }
    };
}

kinds! {
    1 "post" Post;
    2 "tick" Tick;
    3 "settings" Settings;
    4 "frame" Frame;
    5 "exclusion" Exclusion;
    6 "count" Count;
    7 "tag count" TagCount;
    8 "total" Total;
    9 "coverage" Coverage;
    10 "window count" WindowCount;
    11 "verdict" Verdict;
    12 "alert" Alert;
    13 "alert event" AlertEvent;
    14 "reject" Reject;
    15 "public count" PublicCount;
    16 "lift" Lift;
}

/// The wire form of a post without wrapping it first: the hot path of ingest.
pub fn encode_post(post: &Post) -> Vec<u8> {
    encode_body(1, post)
}

#[expect(clippy::expect_used, reason = "writing plain data to memory has no way to fail")]
fn encode_body<T: Serialize>(kind: u8, body: &T) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(128);
    bytes.extend_from_slice(&[VERSION, kind]);
    postcard::to_extend(body, bytes).expect("plain data always encodes")
}

fn decode_body<'a, T: Deserialize<'a>>(
    kind: &'static str,
    body: &'a [u8],
) -> Result<T, DecodeError> {
    let (record, rest) = postcard::take_from_bytes(body)
        .map_err(|why| DecodeError::Body { kind, why: why.to_string() })?;
    if rest.is_empty() {
        Ok(record)
    } else {
        Err(DecodeError::Trailing { kind, bytes: rest.len() })
    }
}

#[cfg(test)]
mod tests;
