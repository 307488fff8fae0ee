//! What is appended at once: posts, the ticks that speak for them, and rejects.

use feeds::intake::Routing;
use journal::{Entry, Journal, Stream};
use record::{Post, Record, Reject, Tick, wire};

use crate::runtime::retry;

pub(super) struct Batch {
    partitions: u32,
    /// Whether an append keeps the order of its entries over all partitions.
    is_ordered: bool,
    entries: Vec<Entry>,
    /// Those of the entries that must come after all others, where an append has no order.
    tick_entries: Vec<Entry>,
    rejects: Vec<Entry>,
    is_ticked: bool,
    /// Bytes of posts and rejects.
    pub(super) bytes: usize,
    /// The most bytes that were appended at once.
    pub(super) appended_most: usize,
}

/// The record of a post, for each partition that it belongs to.
pub(crate) fn entries_of(
    routing: Routing,
    post: &Post,
    partitions: u32,
) -> impl Iterator<Item = Entry> {
    let bytes = wire::encode_post(post);
    let partitions = match routing {
        Routing::One(partition) => partition..partition + 1,
        Routing::All => 0..partitions,
    };
    let copies = std::iter::repeat_n(bytes, partitions.len());
    partitions.zip(copies).map(|(partition, bytes)| Entry { partition, bytes })
}

impl Batch {
    pub(super) fn new(partitions: u32, is_ordered: bool) -> Batch {
        Batch {
            partitions,
            is_ordered,
            entries: Vec::new(),
            tick_entries: Vec::new(),
            rejects: Vec::new(),
            is_ticked: false,
            bytes: 0,
            appended_most: 0,
        }
    }

    pub(super) fn add_post(&mut self, routing: Routing, post: &Post) {
        for entry in entries_of(routing, post, self.partitions) {
            self.bytes += entry.bytes.len();
            self.entries.push(entry);
        }
    }

    pub(super) fn add_reject(&mut self, reject: &Reject) {
        let bytes = Record::Reject(reject.clone()).encode();
        self.bytes += bytes.len();
        self.rejects.push(Entry { partition: 0, bytes });
    }

    /// Adds a tick to every partition, behind all posts so far.
    pub(super) fn add_tick(&mut self, tick: Tick) {
        let bytes = Record::Tick(tick).encode();
        let ticks = (0..self.partitions).map(|partition| Entry { partition, bytes: bytes.clone() });
        if self.is_ordered { &mut self.entries } else { &mut self.tick_entries }.extend(ticks);
        self.is_ticked = true;
    }

    /// Appends all, no tick before the posts that it speaks for; returns whether a tick was among
    /// it.
    pub(super) fn append(&mut self, journal: &dyn Journal) -> anyhow::Result<bool> {
        self.bytes = 0;
        let rejects = std::mem::take(&mut self.rejects);
        if !rejects.is_empty() {
            retry(|| journal.append(Stream::Rejects, &rejects))?;
        }
        // A post that comes before a tick which does not speak for it yet is only early; one that
        // came after it could be missed.
        for entries in [std::mem::take(&mut self.entries), std::mem::take(&mut self.tick_entries)] {
            if !entries.is_empty() {
                let bytes = entries.iter().map(|entry| entry.bytes.len()).sum();
                self.appended_most = self.appended_most.max(bytes);
                // After a failure they are appended again: posts are recognised by their identity,
                // ticks by their claims.
                retry(|| journal.append(Stream::Posts, &entries))?;
            }
        }
        Ok(std::mem::take(&mut self.is_ticked))
    }
}
