//! Pseudonyms: keyed hashes that stand for authors, posts and places in a log.
//!
//! BLAKE3 in keyed mode (its specification, section 2.3) over length-prefixed parts, so that no two lists of parts collide.
//! An author's pseudonym changes with the 30-day epoch of event time; a post's never does, and says nothing of its author.

use crate::post::{Author, PostId};
use crate::time::Micros;

/// A secret of 32 bytes. Its `Debug` shows the fingerprint only.
#[derive(Clone, PartialEq, Eq)]
pub struct Key([u8; 32]);

impl Key {
    pub fn new(bytes: [u8; 32]) -> Key {
        Key(bytes)
    }

    /// A key for one purpose, from this one.
    pub fn derive(&self, purpose: &str) -> Key {
        Key(*self.hash(&[b"derive", purpose.as_bytes()]).as_bytes())
    }

    /// What may be shown of a key: it tells one from another and nothing else.
    pub fn fingerprint(&self) -> String {
        self.hash(&[b"fingerprint"]).to_hex().as_str()[..16].to_owned()
    }

    fn hash(&self, parts: &[&[u8]]) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new_keyed(&self.0);
        for part in parts {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
        hasher.finalize()
    }

    fn short(&self, parts: &[&[u8]]) -> u64 {
        let hash = self.hash(parts);
        hash.as_bytes()[..8].iter().fold(0, |value, byte| value << 8 | u64::from(*byte))
    }

    pub fn author(&self, source: &str, author: &str) -> Author {
        Author(self.short(&[b"author", source.as_bytes(), author.as_bytes()]))
    }

    pub fn post(&self, source: &str, author: &str, id: &str) -> PostId {
        let hash = self.hash(&[b"post", source.as_bytes(), author.as_bytes(), id.as_bytes()]);
        PostId(hash.as_bytes()[..16].iter().fold(0, |value, byte| value << 8 | u128::from(*byte)))
    }

    /// The name that a deletion without an author knows a post by.
    pub fn alias(&self, instance: &str, local_id: &str) -> u64 {
        self.short(&[b"alias", instance.as_bytes(), local_id.as_bytes()])
    }

    /// Where the records of an author go: one of `partitions`.
    pub fn partition(&self, source: &str, author: &str, partitions: u32) -> u32 {
        let spread = self.short(&[b"partition", source.as_bytes(), author.as_bytes()]);
        u32::try_from(spread % u64::from(partitions.max(1))).unwrap_or(0)
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Key({})", self.fingerprint())
    }
}

/// The author keys: one an epoch of event time, each derived from a secret, so that destroying the secret of an epoch forgets it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Epoch(pub i64);

impl Epoch {
    pub fn of(instant: Micros, length: Micros) -> Epoch {
        Epoch(instant.div_euclid(length))
    }

    pub fn start(self, length: Micros) -> Micros {
        self.0 * length
    }

    pub fn before(self) -> Epoch {
        Epoch(self.0 - 1)
    }
}
