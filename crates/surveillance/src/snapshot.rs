//! Snapshots: a stage's state as data, in chunks that are named by their content.
//!
//! A chunk that hasn't changed keeps its name and isn't written again; the manifest, written last,
//! names the chunks in order.
//! No chunk is longer than [`CHUNK_BYTES_MAX`]. A map is cut between entries whose keys' hashes say
//! so: an entry that comes, goes or changes renames the chunk it is in, seldom also the next.
//! Knows no store: the driver of the stage stores chunks and manifest.

use std::collections::BTreeSet;
use std::hash::Hasher;

use record::Position;
use rustc_hash::FxHasher;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Names a chunk: the BLAKE3 hash of its bytes.
pub type ChunkName = [u8; 32];

/// Bytes of a chunk, at most.
pub const CHUNK_BYTES_MAX: usize = 4 << 20;

/// How long the chunks of a map are.
#[derive(Debug, Clone, Copy)]
struct Sizes {
    /// No chunk is cut by a key's hash before it has as many bytes.
    min: usize,
    /// From there on, as many bytes on average until a hash cuts it.
    mean: usize,
    max: usize,
}

const SIZES: Sizes = Sizes { min: 64 << 10, mean: 192 << 10, max: CHUNK_BYTES_MAX };

/// First byte of a chunk: whether the part or map that it belongs to continues in the next one.
const ENDS_HERE: u8 = 0;
const GOES_ON: u8 = 1;

/// Raised whenever the form of any chunk changes; another version is refused, never guessed.
const VERSION: u16 = 5;

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
        let manifest: Manifest = postcard::from_bytes(bytes)
            .map_err(|why| RestoreError::Malformed { index: 0, why: why.to_string() })?;
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
    sizes: Sizes,
    chunks: Vec<ChunkName>,
    fresh: Vec<(ChunkName, Vec<u8>)>,
    fresh_names: BTreeSet<ChunkName>,
}

impl<'a> Writer<'a> {
    /// `known` are the names in the manifest before.
    pub(crate) fn new(known: &'a BTreeSet<ChunkName>) -> Writer<'a> {
        Writer {
            known,
            sizes: SIZES,
            chunks: Vec::new(),
            fresh: Vec::new(),
            fresh_names: BTreeSet::new(),
        }
    }

    /// A part that is read back as a whole. Of what can grow long and changes in few places,
    /// [`Writer::put_map`] rewrites less.
    pub(crate) fn put<T: Serialize>(&mut self, part: &T) {
        let mut piece = Piece::new(self);
        piece.extend(&to_bytes(part));
        piece.end();
    }

    /// A part that is read back entry by entry. Entries that change together should stand together;
    /// returns the names of its chunks.
    pub(crate) fn put_map<K: Serialize, V: Serialize>(
        &mut self,
        entries: impl IntoIterator<Item = (K, V)>,
    ) -> Vec<ChunkName> {
        let sizes = self.sizes;
        let mut piece = Piece::new(self);
        let (mut entry, mut cut) = (Vec::new(), false);
        for (key, value) in entries {
            entry.clear();
            write_to(&mut entry, &key);
            let hash = hash(&entry);
            write_to(&mut entry, &value);
            let length = to_bytes(&entry.len());
            if cut || piece.bytes.len() + length.len() + entry.len() > sizes.max {
                piece.go_on();
            }
            piece.extend(&length);
            piece.extend(&entry);
            cut = piece.bytes.len() >= sizes.min && hash % (sizes.mean as u64) < entry.len() as u64;
        }
        piece.end()
    }

    /// A map that is known not to have changed since its chunks were put under these names.
    pub(crate) fn keep(&mut self, names: &[ChunkName]) -> bool {
        let is_unchanged = !names.is_empty() && names.iter().all(|name| self.known.contains(name));
        if is_unchanged {
            self.chunks.extend_from_slice(names);
        }
        is_unchanged
    }

    fn put_chunk(&mut self, bytes: Vec<u8>) -> ChunkName {
        let name = *blake3::hash(&bytes).as_bytes();
        self.chunks.push(name);
        if !self.known.contains(&name) && self.fresh_names.insert(name) {
            self.fresh.push((name, bytes));
        }
        name
    }

    pub(crate) fn finish(self, stage: &str, partition: u32, next: Vec<Position>) -> Snapshot {
        Snapshot {
            manifest: Manifest {
                version: VERSION,
                stage: stage.to_owned(),
                partition,
                next,
                chunks: self.chunks,
            },
            fresh: self.fresh,
        }
    }
}

/// The chunk that is being filled.
struct Piece<'w, 'a> {
    writer: &'w mut Writer<'a>,
    bytes: Vec<u8>,
    names: Vec<ChunkName>,
}

impl<'w, 'a> Piece<'w, 'a> {
    fn new(writer: &'w mut Writer<'a>) -> Piece<'w, 'a> {
        Piece { writer, bytes: vec![ENDS_HERE], names: Vec::new() }
    }

    /// What doesn't fit goes into further chunks.
    fn extend(&mut self, mut bytes: &[u8]) {
        while self.bytes.len() + bytes.len() > self.writer.sizes.max {
            let (here, rest) = bytes.split_at(self.writer.sizes.max - self.bytes.len());
            self.bytes.extend_from_slice(here);
            self.go_on();
            bytes = rest;
        }
        self.bytes.extend_from_slice(bytes);
    }

    fn go_on(&mut self) {
        if let [mark, _, ..] = self.bytes.as_mut_slice() {
            *mark = GOES_ON;
            let full = std::mem::replace(&mut self.bytes, vec![ENDS_HERE]);
            self.names.push(self.writer.put_chunk(full));
        }
    }

    fn end(mut self) -> Vec<ChunkName> {
        self.names.push(self.writer.put_chunk(self.bytes));
        self.names
    }
}

/// Hands out the parts of a snapshot in the order in which they were put.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    manifest: &'a Manifest,
    chunks: &'a [Vec<u8>],
    at: usize,
}

impl<'a> Reader<'a> {
    /// `chunks` are the bytes of `manifest.chunks`, in its order.
    pub(crate) fn new(
        stage: &str,
        manifest: &'a Manifest,
        chunks: &'a [Vec<u8>],
    ) -> Result<Reader<'a>, RestoreError> {
        if manifest.stage != stage {
            return Err(RestoreError::Stage {
                found: manifest.stage.clone(),
                wanted: stage.to_owned(),
            });
        }
        Ok(Reader { manifest, chunks, at: 0 })
    }

    pub(crate) fn take<T: DeserializeOwned>(&mut self) -> Result<T, RestoreError> {
        let (mut bytes, mut goes_on) = self.chunk()?;
        let mut joined = Vec::new();
        if goes_on {
            joined.extend_from_slice(bytes);
            while goes_on {
                (bytes, goes_on) = self.chunk()?;
                joined.extend_from_slice(bytes);
            }
            bytes = &joined;
        }
        postcard::from_bytes(bytes).map_err(|why| self.malformed(&why.to_string()))
    }

    /// What [`Writer::put_map`] was given.
    pub(crate) fn take_map<K: DeserializeOwned, V: DeserializeOwned, C: FromIterator<(K, V)>>(
        &mut self,
    ) -> Result<C, RestoreError> {
        let (mut bytes, mut goes_on) = self.chunk()?;
        let mut failed = None;
        let entries = std::iter::from_fn(|| {
            let entry = self.entry(&mut bytes, &mut goes_on);
            entry.unwrap_or_else(|error| {
                failed = Some(error);
                None
            })
        });
        let map = entries.collect();
        failed.map_or(Ok(map), Err)
    }

    fn entry<K: DeserializeOwned, V: DeserializeOwned>(
        &mut self,
        bytes: &mut &'a [u8],
        goes_on: &mut bool,
    ) -> Result<Option<(K, V)>, RestoreError> {
        while bytes.is_empty() {
            if !*goes_on {
                return Ok(None);
            }
            (*bytes, *goes_on) = self.chunk()?;
        }
        let (length, rest) = postcard::take_from_bytes::<usize>(bytes)
            .map_err(|why| self.malformed(&why.to_string()))?;
        *bytes = rest;
        let mut joined = Vec::new();
        while joined.len() + bytes.len() < length {
            if !*goes_on {
                return Err(self.malformed("an entry has no end"));
            }
            joined.extend_from_slice(bytes);
            (*bytes, *goes_on) = self.chunk()?;
        }
        let (here, rest) = bytes.split_at(length - joined.len());
        *bytes = rest;
        let entry = if joined.is_empty() {
            postcard::from_bytes(here)
        } else {
            joined.extend_from_slice(here);
            postcard::from_bytes(&joined)
        };
        entry.map(Some).map_err(|why| self.malformed(&why.to_string()))
    }

    /// The content of the next chunk, and whether what it belongs to continues after it.
    fn chunk(&mut self) -> Result<(&'a [u8], bool), RestoreError> {
        let index = self.at;
        let (Some(name), Some(bytes)) = (self.manifest.chunks.get(index), self.chunks.get(index))
        else {
            return Err(RestoreError::Missing { index });
        };
        if blake3::hash(bytes).as_bytes() != name {
            return Err(RestoreError::Damaged { index });
        }
        self.at += 1;
        match bytes.split_first() {
            Some((&ENDS_HERE, content)) => Ok((content, false)),
            Some((&GOES_ON, content)) => Ok((content, true)),
            _ => Err(self.malformed("it has no mark of whether it goes on")),
        }
    }

    fn malformed(&self, why: &str) -> RestoreError {
        RestoreError::Malformed { index: self.at.saturating_sub(1), why: why.to_owned() }
    }
}

/// Where a map is cut must not depend on where it was cut before.
fn hash(key: &[u8]) -> u64 {
    let mut hasher = FxHasher::default();
    hasher.write(key);
    // Of a product, the higher bits are the mixed ones.
    hasher.finish().wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 24
}

fn to_bytes<T: Serialize>(part: &T) -> Vec<u8> {
    let mut bytes = Vec::new();
    write_to(&mut bytes, part);
    bytes
}

#[expect(clippy::expect_used, reason = "writing plain data to memory has no way to fail")]
fn write_to<T: Serialize>(bytes: &mut Vec<u8>, part: &T) {
    *bytes = postcard::to_extend(part, std::mem::take(bytes)).expect("plain data always encodes");
}

#[cfg(test)]
mod tests;
