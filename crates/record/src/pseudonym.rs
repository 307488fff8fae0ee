//! Pseudonyms: keyed hashes that stand for authors, posts and places in a log.
//!
//! BLAKE3 in keyed mode (its specification, section 2.3) over length-prefixed parts, so that no two
//! lists of parts collide.
//! An author's pseudonym changes with the 30-day epoch of event time; a post's never does, and says
//! nothing of its author.
//! Author keys are a chain with a key for each day ([`AuthorKeys`]): a day's key gives all later
//! ones and none before it, so that destroying it destroys the pseudonyms of the epochs before, and
//! one key of 32 bytes is all that is stored.

use crate::post::{Author, PostId};
use crate::time::{DAY, EARLIEST, Micros};

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

    /// To be written into a key file, and nowhere else.
    pub fn to_hex(&self) -> String {
        blake3::Hash::from_bytes(self.0).to_hex().to_string()
    }

    /// Of a part of a text: near-copies of texts are told by these, and by whoever has the key
    /// only.
    pub fn shingle(&self, bytes: &[u8]) -> u64 {
        self.short(&[b"shingle", bytes])
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

/// The author keys of all epochs that begin on some day or later, as that day's key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthorKeys {
    /// The fingerprint of the chain's first key: it tells one chain from another.
    id: String,
    /// Since 1970-01-01.
    day: i64,
    key: Key,
}

impl AuthorKeys {
    /// A whole chain, from the first day that is believed on.
    pub fn new(root: Key) -> AuthorKeys {
        AuthorKeys { id: root.fingerprint(), day: EARLIEST.div_euclid(DAY), key: root }
    }

    /// What is left of the chain of this id from a day on.
    pub fn from_day(id: String, day: i64, key: Key) -> AuthorKeys {
        AuthorKeys { id, day, key }
    }

    pub fn id(&self) -> &str {
        &self.id
    }

    /// The oldest day whose key is held, since 1970-01-01.
    pub fn day(&self) -> i64 {
        self.day
    }

    /// Of the oldest day.
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// The key of an epoch of this length. Epochs whose keys are destroyed share one, which is that
    /// of no other epoch: what still comes of them is late, and counted as nothing else.
    pub fn epoch(&self, epoch: Epoch, length: Micros) -> Key {
        let start = epoch.start(length);
        if start.div_euclid(DAY) < self.day {
            return self.key.derive("epochs before");
        }
        self.of_day(start.div_euclid(DAY)).derive(&format!("epoch from {start}"))
    }

    /// Destroys the keys of all epochs before the one of an instant; whether there were any.
    pub fn forget_before(&mut self, instant: Micros, length: Micros) -> bool {
        let day = Epoch::of(instant, length).start(length).div_euclid(DAY);
        if day <= self.day {
            return false;
        }
        self.key = self.of_day(day);
        self.day = day;
        true
    }

    fn of_day(&self, day: i64) -> Key {
        (self.day..day).fold(self.key.clone(), |key, _| key.derive("next day"))
    }
}

/// A span of event time in which authors have one pseudonym.
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

#[cfg(test)]
mod tests {
    use super::*;

    const LENGTH: Micros = 30 * DAY;

    #[test]
    fn later_keys_stay_the_same_when_earlier_ones_are_destroyed() {
        let whole = AuthorKeys::new(Key::new([7; 32]));
        let now = 20_600 * DAY + 5;
        let (this, before) = (Epoch::of(now, LENGTH), Epoch::of(now, LENGTH).before());
        let mut held = whole.clone();
        assert!(
            held.forget_before(now - LENGTH, LENGTH) && !held.forget_before(now - LENGTH, LENGTH)
        );
        for epoch in [before, this, Epoch(this.0 + 7)] {
            assert_eq!(held.epoch(epoch, LENGTH), whole.epoch(epoch, LENGTH));
        }
        assert_ne!(whole.epoch(this, LENGTH), whole.epoch(before, LENGTH));
        assert_eq!((held.id(), held.day() * DAY), (whole.id(), before.start(LENGTH)));
        // What it held before can't be had from it, and is nothing that it gives for another epoch.
        assert_ne!(held.epoch(before.before(), LENGTH), whole.epoch(before.before(), LENGTH));
        assert_eq!(held.epoch(before.before(), LENGTH), held.epoch(Epoch(1), LENGTH));
        assert_ne!(held.epoch(before.before(), LENGTH), held.epoch(before, LENGTH));
    }

    #[test]
    fn a_chain_in_two_steps_is_the_chain_in_one() {
        let root = AuthorKeys::new(Key::new([9; 32]));
        let (mut once, mut twice) = (root.clone(), root);
        once.forget_before(20_000 * DAY, LENGTH);
        twice.forget_before(15_000 * DAY, LENGTH);
        twice.forget_before(20_000 * DAY, LENGTH);
        assert_eq!(once, twice);
    }
}
