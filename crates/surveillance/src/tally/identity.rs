//! Identities of posts: one entry per post, in blocks of an hour of event time, until the hour is
//! final.
//!
//! Exact counting needs the identity of every post, also of those that match no topic; so an entry
//! is small: a print of eight bytes, then both times, in seconds, and a reference to its
//! denominators (place, languages, tags) in eight more. A block is a sorted run and a small tail;
//! one filter over all blocks answers "never seen" for almost every new post. Posts that match a
//! topic are stored whole, in wire form, since they may have to be taken back.

use std::collections::BTreeMap;

use record::time::{HOUR, pane_start};
use record::{Micros, Post, Record, Tag};
use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

use super::entry::{BASIS_BITS, Entry, Known, StoredEntry};
use super::run::Run;
use crate::snapshot::{ChunkName, Reader, RestoreError, Writer};

/// A sorted run is merged with its tail when the tail is longer than this and a sixteenth of the
/// run.
const TAIL_MIN: usize = 1024;

/// Bases beyond this many in one hour are stored without their tags: the tags only order unequal
/// records of one post.
const BASES_MAX: usize = (1 << BASIS_BITS) - 1;

/// What of a post its denominators depend on, and by which unequal records of one post are ordered.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Basis {
    pub(crate) filtered: bool,
    /// How many posts it represents in the denominators of its regions: those next to the tree
    /// count it once.
    pub(crate) weight: u32,
    pub(crate) path: String,
    pub(crate) overlays: Vec<String>,
    pub(crate) langs: Vec<String>,
    pub(crate) tags: Vec<Tag>,
}

impl Basis {
    pub(crate) fn of(post: &Post, weight: u32) -> Basis {
        Basis {
            filtered: post.flags.filtered,
            weight,
            path: post.path().to_owned(),
            overlays: post.overlays.clone(),
            langs: post.langs.clone(),
            tags: post.tags.clone(),
        }
    }
}

/// A post that matches a topic, whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Matched {
    wire: Box<[u8]>,
    /// Whether it is taken out of all cells.
    pub(crate) deleted: bool,
    /// The series, by topic and region, that had no room for its cell.
    pub(crate) left_out: LeftOut,
}

pub(crate) type LeftOut = Box<[(String, u32)]>;

impl Matched {
    pub(crate) fn new(post: &Post, deleted: bool, left_out: LeftOut) -> Matched {
        Matched { wire: record::wire::encode_post(post).into_boxed_slice(), deleted, left_out }
    }

    pub(crate) fn is_left_out(&self, topic: &str, region: u32) -> bool {
        is_left_out(&self.left_out, topic, region)
    }

    /// Whether this record, whose `own` content and weight it is, counts less than an equally
    /// placed `other`.
    pub(crate) fn goes_behind(&self, other: (&Post, u32), own: (&Post, u32)) -> bool {
        // A record whose place was still requested gives way to the one that has the answer, even
        // if that is no place.
        let rest = |(post, weight): (&Post, u32)| {
            (post.flags.filtered, post.overlays.clone(), weight, post.flags.pending)
        };
        (rest(other), record::wire::encode_post(other.0).as_slice()) < (rest(own), &*self.wire)
    }

    #[expect(
        clippy::unreachable,
        reason = "the bytes were written by this program in this process, or came out of a chunk \
            with the right hash"
    )]
    pub(crate) fn post(&self) -> Post {
        match Record::decode(&self.wire) {
            Ok(Record::Post(post)) => post,
            _ => unreachable!("a stored post is a post"),
        }
    }
}

pub(crate) fn is_left_out(left_out: &LeftOut, topic: &str, region: u32) -> bool {
    left_out.iter().any(|(of, at)| of == topic && *at == region)
}

/// The posts of one hour of event time.
#[derive(Debug, Clone, Default)]
pub(crate) struct Block {
    run: Run,
    /// Few posts come any more: it takes no more room than it needs.
    settled: bool,
    /// The chunks in which run, bases and matched posts were last put into a snapshot; none since
    /// one of them changed.
    stored: Stored,
    tail: BTreeMap<u64, Entry>,
    bases: Bases,
    matched: BTreeMap<u64, Matched>,
}

#[derive(Debug, Clone, Default)]
struct Stored {
    run: Vec<ChunkName>,
    bases: Vec<ChunkName>,
    matched: Vec<ChunkName>,
}

impl Block {
    fn find(&self, print: u64) -> Option<&Entry> {
        self.tail.get(&print).or_else(|| self.run.find(print))
    }

    fn insert(&mut self, print: u64, entry: Entry) {
        self.tail.insert(print, entry);
        if self.tail.len() > TAIL_MIN.max(self.run.len() / 32) {
            self.merge();
        }
    }

    fn merge(&mut self) {
        self.run.merge(std::mem::take(&mut self.tail).into_values().collect());
        self.stored.run.clear();
    }

    fn settle(&mut self) {
        if !self.settled {
            self.settled = true;
            if !self.tail.is_empty() {
                self.merge();
            }
            self.bases.settle();
        }
    }

    fn remove(&mut self, print: u64) {
        if self.tail.remove(&print).is_none() && self.run.remove(print) {
            self.stored.run.clear();
        }
        self.stored.matched.clear();
        self.matched.remove(&print);
    }

    fn matched_mut(&mut self) -> &mut BTreeMap<u64, Matched> {
        self.stored.matched.clear();
        &mut self.matched
    }

    fn prints(&self) -> impl Iterator<Item = u64> + '_ {
        self.run.iter().chain(self.tail.values()).map(Entry::print)
    }

    fn len(&self) -> usize {
        self.run.len() + self.tail.len()
    }

    pub(crate) fn store(&mut self, writer: &mut Writer<'_>) {
        writer.put_map(self.tail.values().map(Entry::stored));
        if !writer.keep(&self.stored.run) {
            self.stored.run = writer.put_map(self.run.iter().map(Entry::stored));
        }
        if !writer.keep(&self.stored.bases) {
            self.stored.bases = writer.put_map(self.bases.iter());
        }
        if !writer.keep(&self.stored.matched) {
            self.stored.matched = writer.put_map(&self.matched);
        }
    }

    fn restore(reader: &mut Reader<'_>) -> Result<Block, RestoreError> {
        let tail: Vec<StoredEntry> = reader.take_map()?;
        let run: Vec<StoredEntry> = reader.take_map()?;
        Ok(Block {
            tail: tail.into_iter().map(|stored| (stored.0, Entry::restored(stored))).collect(),
            run: Run::of(run.into_iter().map(Entry::restored).collect()),
            bases: Bases::of(reader.take_map::<u32, Vec<u8>, Vec<_>>()?),
            matched: reader.take_map()?,
            ..Block::default()
        })
    }
}

/// All known posts of a partition.
#[derive(Debug, Clone, Default)]
pub(crate) struct Identities {
    blocks: BTreeMap<Micros, Block>,
    filter: Filter,
}

impl Identities {
    pub(crate) fn find(&self, print: u64, event_time: Micros) -> Option<Known> {
        if !self.filter.may_hold(print) {
            return None;
        }
        let hour = pane_start(event_time, HOUR);
        let here = self.blocks.get_key_value(&hour);
        // An equal record is in the same hour; an unequal one may be anywhere.
        let all = here.into_iter().chain(self.blocks.iter().filter(|(at, _)| **at != hour));
        all.map(|(hour, block)| (hour, block.find(print)))
            .find_map(|(hour, entry)| entry.map(|entry| entry.known(*hour)))
    }

    /// The posts with an event time in `[from, to)`.
    pub(crate) fn known_between(&self, from: Micros, to: Micros) -> Vec<Known> {
        let blocks = self.blocks.range(pane_start(from, HOUR)..to);
        let all = blocks.flat_map(|(hour, block)| {
            block.run.iter().chain(block.tail.values()).map(|entry| entry.known(*hour))
        });
        all.filter(|known| (from..to).contains(&known.event_time)).collect()
    }

    pub(crate) fn basis(&self, known: &Known) -> Basis {
        match self.blocks.get(&known.hour) {
            Some(block) => block.bases.get(known.basis),
            None => Basis {
                filtered: false,
                weight: 1,
                path: String::new(),
                overlays: Vec::new(),
                langs: Vec::new(),
                tags: Vec::new(),
            },
        }
    }

    /// Returns false where the times can't be held.
    pub(crate) fn insert(&mut self, post: &Post, weight: u32) -> bool {
        let (print, hour) = (post.id.print(), pane_start(post.event_time, HOUR));
        if self.blocks.last_key_value().is_some_and(|(newest, _)| *newest < hour) {
            self.blocks.range_mut(..hour - HOUR).for_each(|(_, block)| block.settle());
        }
        let block = self.blocks.entry(hour).or_default();
        let bases = block.bases.ends.len();
        let basis = block.bases.intern(&Basis::of(post, weight));
        if block.bases.ends.len() > bases {
            block.stored.bases.clear();
        }
        let Some(entry) = Entry::new(print, hour, post.event_time, post.arrival, basis) else {
            return false;
        };
        block.insert(print, entry);
        if block.settled {
            block.bases.index = FxHashMap::default();
        }
        if !self.filter.insert(print) {
            let posts: usize = self.blocks.values().map(Block::len).sum();
            // The old one goes before the new one comes: together they would be the largest thing
            // held.
            self.filter = Filter::default();
            self.filter = Filter::with_room_for(posts + posts / 4);
            for print in self.blocks.values().flat_map(Block::prints) {
                self.filter.insert(print);
            }
        }
        true
    }

    pub(crate) fn remove(&mut self, print: u64, hour: Micros) {
        if let Some(block) = self.blocks.get_mut(&hour) {
            block.remove(print);
        }
    }

    pub(crate) fn keep_whole(&mut self, hour: Micros, print: u64, matched: Matched) {
        self.blocks.entry(hour).or_default().matched_mut().insert(print, matched);
    }

    pub(crate) fn matched(&self, hour: Micros, print: u64) -> Option<&Matched> {
        self.blocks.get(&hour)?.matched.get(&print)
    }

    pub(crate) fn matched_mut(&mut self, hour: Micros, print: u64) -> Option<&mut Matched> {
        self.blocks.get_mut(&hour)?.matched_mut().get_mut(&print)
    }

    /// The matching posts of the hours in `[from, to)`, by print.
    pub(crate) fn matched_between(
        &self,
        from: Micros,
        to: Micros,
    ) -> impl Iterator<Item = (u64, &Matched)> {
        self.blocks
            .range(from..to.max(from))
            .flat_map(|(_, block)| block.matched.iter().map(|(print, matched)| (*print, matched)))
    }

    /// Drops the entries of hours that began before `hour`, and their whole posts unless `keep`
    /// says a longer pane still needs them.
    pub(crate) fn forget(
        &mut self,
        hour: Micros,
        keep: impl Fn(Micros, &Post) -> bool,
    ) -> Vec<(u64, Post)> {
        let mut dropped = Vec::new();
        let old: Vec<Micros> = self.blocks.range(..hour).map(|(hour, _)| *hour).collect();
        for hour in old {
            let Some(block) = self.blocks.get_mut(&hour) else {
                continue;
            };
            if block.len() > 0 {
                *block = Block { matched: std::mem::take(&mut block.matched), ..Block::default() };
            }
            block.matched_mut().retain(|print, matched| {
                let post = matched.post();
                let is_kept = keep(hour, &post);
                if !is_kept {
                    dropped.push((*print, post));
                }
                is_kept
            });
            if block.matched.is_empty() {
                self.blocks.remove(&hour);
            }
        }
        dropped
    }

    pub(crate) fn blocks_mut(&mut self) -> &mut BTreeMap<Micros, Block> {
        &mut self.blocks
    }

    /// Puts a block back.
    pub(crate) fn restore(
        &mut self,
        hour: Micros,
        reader: &mut Reader<'_>,
    ) -> Result<(), RestoreError> {
        self.blocks.insert(hour, Block::restore(reader)?);
        Ok(())
    }

    /// After the last block has been put back.
    pub(crate) fn restored(&mut self) {
        let posts: usize = self.blocks.values().map(Block::len).sum();
        self.filter = Filter::with_room_for(posts + posts / 2);
        for print in self.blocks.values().flat_map(Block::prints) {
            self.filter.insert(print);
        }
    }
}

/// Bases of an hour, each stored once, in postcard form one after the other.
#[derive(Debug, Clone, Default)]
struct Bases {
    bytes: Vec<u8>,
    ends: Vec<u32>,
    index: FxHashMap<Vec<u8>, u32>,
}

impl Bases {
    #[expect(clippy::expect_used, reason = "writing plain data to memory has no way to fail")]
    fn intern(&mut self, basis: &Basis) -> u32 {
        let wire = postcard::to_stdvec(basis).expect("plain data always encodes");
        if let Some(at) = self.index.get(&wire) {
            return *at;
        }
        if self.ends.len() >= BASES_MAX || self.bytes.len() + wire.len() > u32::MAX as usize {
            return if basis.tags.is_empty() {
                0
            } else {
                self.intern(&Basis { tags: Vec::new(), ..basis.clone() })
            };
        }
        let at = self.ends.len() as u32;
        self.bytes.extend_from_slice(&wire);
        self.ends.push(self.bytes.len() as u32);
        self.index.insert(wire, at);
        at
    }

    fn of(wires: Vec<(u32, Vec<u8>)>) -> Bases {
        let mut bases = Bases::default();
        for (_, wire) in wires {
            bases.bytes.extend_from_slice(&wire);
            bases.ends.push(bases.bytes.len() as u32);
        }
        bases
    }

    /// Each with its number, in wire form.
    fn iter(&self) -> impl Iterator<Item = (u32, &[u8])> {
        (0..self.ends.len()).map(|at| (at as u32, self.wire(at)))
    }

    fn wire(&self, at: usize) -> &[u8] {
        let from = if at == 0 { 0 } else { self.ends[at - 1] as usize };
        &self.bytes[from..self.ends[at] as usize]
    }

    /// The index over bases costs more than it saves where few posts come.
    fn settle(&mut self) {
        self.index = FxHashMap::default();
        self.bytes.shrink_to_fit();
        self.ends.shrink_to_fit();
    }

    #[expect(
        clippy::expect_used,
        reason = "the bytes were written by `intern`, or came out of a chunk with the right hash"
    )]
    fn get(&self, at: u32) -> Basis {
        postcard::from_bytes(self.wire(at as usize)).expect("a stored basis decodes")
    }
}

/// A Bloom filter over prints (Bloom 1970): four bits in two words, sixteen bits of room a print;
/// about one in three hundred new posts is looked up in vain.
#[derive(Debug, Clone, Default)]
struct Filter {
    words: Vec<u64>,
    room: usize,
    held: usize,
}

impl Filter {
    fn with_room_for(posts: usize) -> Filter {
        let room = posts.max(4096);
        Filter { words: vec![0; (room / 4).next_multiple_of(2)], room, held: 0 }
    }

    /// False when it is full; the print must then go into a larger one.
    fn insert(&mut self, print: u64) -> bool {
        if self.held >= self.room {
            return false;
        }
        for (word, bits) in self.places(print) {
            self.words[word] |= bits;
        }
        self.held += 1;
        true
    }

    fn may_hold(&self, print: u64) -> bool {
        !self.words.is_empty()
            && self.places(print).into_iter().all(|(word, bits)| self.words[word] & bits == bits)
    }

    fn places(&self, print: u64) -> [(usize, u64); 2] {
        let mixed = print.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let place = |value: u64, bits: u64| {
            let word = ((u128::from(value) * self.words.len() as u128) >> 64) as usize;
            (word, 1 << (bits & 63) | 1 << (bits >> 6 & 63))
        };
        [place(print, mixed >> 7), place(mixed, print >> 3)]
    }
}
