//! Snapshots: a stage's state as data, in chunks that are named by their content.
//!
//! A chunk that hasn't changed keeps its name and isn't written again; the manifest, written last, names the chunks in order.
//! Knows no store: whoever drives the stage puts chunks and manifest where it likes.

use std::collections::BTreeSet;

use record::Position;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Names a chunk: the BLAKE3 hash of its bytes.
pub type ChunkName = [u8; 32];

/// Raised whenever the form of any chunk changes; another version is refused, never guessed.
const VERSION: u16 = 3;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    version: u16,
    pub stage: String,
    pub partition: u32,
    /// The first position of the log that the state does not include, for each partition read.
    pub next: Vec<Position>,
    pub chunks: Vec<ChunkName>,
}

/// A manifest and those of its chunks that the one before didn't have.
#[derive(Debug, Clone)]
pub struct Snapshot {
    pub manifest: Manifest,
    pub fresh: Vec<(ChunkName, Vec<u8>)>,
}

#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RestoreError {
    #[error("snapshot version {found} is not understood, this program reads version {VERSION}")]
    Version { found: u16 },
    #[error("snapshot is of `{found}`, not of `{wanted}`")]
    Stage { found: String, wanted: String },
    #[error("snapshot chunk {index} is missing")]
    Missing { index: usize },
    #[error("snapshot chunk {index} does not have the content it is named for")]
    Damaged { index: usize },
    #[error("snapshot chunk {index} is malformed: {why}")]
    Malformed { index: usize, why: String },
}

impl Manifest {
    pub fn encode(&self) -> Vec<u8> {
        to_bytes(self)
    }

    pub fn decode(bytes: &[u8]) -> Result<Manifest, RestoreError> {
        let manifest: Manifest = postcard::from_bytes(bytes).map_err(|why| RestoreError::Malformed { index: 0, why: why.to_string() })?;
        if manifest.version != VERSION {
            return Err(RestoreError::Version { found: manifest.version });
        }
        Ok(manifest)
    }
}

/// Collects the chunks of a snapshot.
#[derive(Debug)]
pub(crate) struct Writer<'a> {
    known: &'a BTreeSet<ChunkName>,
    chunks: Vec<ChunkName>,
    fresh: Vec<(ChunkName, Vec<u8>)>,
}

impl<'a> Writer<'a> {
    /// `known` are the names in the manifest before.
    pub(crate) fn new(known: &'a BTreeSet<ChunkName>) -> Writer<'a> {
        Writer { known, chunks: Vec::new(), fresh: Vec::new() }
    }

    pub(crate) fn put<T: Serialize>(&mut self, part: &T) -> ChunkName {
        let bytes = to_bytes(part);
        let name = *blake3::hash(&bytes).as_bytes();
        self.chunks.push(name);
        if !self.known.contains(&name) && !self.fresh.iter().any(|(fresh, _)| *fresh == name) {
            self.fresh.push((name, bytes));
        }
        name
    }

    /// A part that is known not to have changed since it was put under this name.
    pub(crate) fn keep(&mut self, name: ChunkName) -> bool {
        let kept = self.known.contains(&name);
        if kept {
            self.chunks.push(name);
        }
        kept
    }

    pub(crate) fn finish(self, stage: &str, partition: u32, next: Vec<Position>) -> Snapshot {
        Snapshot {
            manifest: Manifest { version: VERSION, stage: stage.to_owned(), partition, next, chunks: self.chunks },
            fresh: self.fresh,
        }
    }
}

/// Hands out the chunks of a snapshot in the order in which they were put.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    manifest: &'a Manifest,
    chunks: &'a [Vec<u8>],
    at: usize,
}

impl<'a> Reader<'a> {
    /// `chunks` are the bytes of `manifest.chunks`, in its order.
    pub(crate) fn new(stage: &str, manifest: &'a Manifest, chunks: &'a [Vec<u8>]) -> Result<Reader<'a>, RestoreError> {
        if manifest.stage != stage {
            return Err(RestoreError::Stage { found: manifest.stage.clone(), wanted: stage.to_owned() });
        }
        Ok(Reader { manifest, chunks, at: 0 })
    }

    pub(crate) fn take<T: DeserializeOwned>(&mut self) -> Result<T, RestoreError> {
        let index = self.at;
        let (Some(name), Some(bytes)) = (self.manifest.chunks.get(index), self.chunks.get(index)) else {
            return Err(RestoreError::Missing { index });
        };
        if blake3::hash(bytes).as_bytes() != name {
            return Err(RestoreError::Damaged { index });
        }
        self.at += 1;
        postcard::from_bytes(bytes).map_err(|why| RestoreError::Malformed { index, why: why.to_string() })
    }
}

#[expect(clippy::expect_used, reason = "writing plain data to memory has no way to fail")]
fn to_bytes<T: Serialize>(part: &T) -> Vec<u8> {
    postcard::to_stdvec(part).expect("plain data always encodes")
}
