//! A sorted run of entries, cut into shards by the first bits of their prints.
//!
//! Of an hour at fifty posts a second one vector would be megabytes, and such vectors, grown and
//! freed hour after hour, leave holes in memory that nothing fits. Shards are small, each exactly
//! as long as it must be.

use super::entry::Entry;

/// Runs of fewer entries are one shard.
const SHARDED_FROM: usize = 8192;
/// So many first bits of a print name its shard.
const SHARD_BITS: u32 = 8;

#[derive(Debug, Clone, Default)]
pub(crate) struct Run {
    /// In order; of equally many first bits.
    shards: Vec<Vec<Entry>>,
    bits: u32,
    len: usize,
}

impl Run {
    /// Of entries in order.
    pub(crate) fn of(entries: Vec<Entry>) -> Run {
        let mut run = Run::default();
        run.merge(entries);
        run
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.shards.iter().flatten()
    }

    pub(crate) fn find(&self, print: u64) -> Option<&Entry> {
        let shard = self.shards.get(self.shard_of(print))?;
        find_in(shard, print, self.bits).map(|at| &shard[at])
    }

    /// Returns whether there was one.
    pub(crate) fn remove(&mut self, print: u64) -> bool {
        let (at, bits) = (self.shard_of(print), self.bits);
        let Some(shard) = self.shards.get_mut(at) else { return false };
        let Some(found) = find_in(shard, print, bits) else { return false };
        shard.remove(found);
        self.len -= 1;
        true
    }

    /// Takes in entries that are in order, none of which it has.
    pub(crate) fn merge(&mut self, entries: Vec<Entry>) {
        self.len += entries.len();
        let bits = if self.len < SHARDED_FROM { 0 } else { SHARD_BITS };
        if bits > self.bits || self.shards.is_empty() {
            let mut all: Vec<Entry> =
                std::mem::take(&mut self.shards).into_iter().flatten().collect();
            all.extend(entries);
            // Two sorted runs: the standard sort merges them in one pass.
            all.sort();
            self.bits = bits;
            self.shards = vec![Vec::new(); 1 << bits];
            self.put(&all);
        } else {
            self.put(&entries);
        }
    }

    fn put(&mut self, mut entries: &[Entry]) {
        while let Some(first) = entries.first() {
            let at = self.shard_of(first.print());
            let (own, rest) = entries
                .split_at(entries.partition_point(|entry| self.shard_of(entry.print()) == at));
            entries = rest;
            let shard = &mut self.shards[at];
            shard.reserve_exact(own.len());
            shard.extend_from_slice(own);
            shard.sort();
        }
    }

    fn shard_of(&self, print: u64) -> usize {
        print.checked_shr(u64::BITS - self.bits).unwrap_or(0) as usize
    }
}

/// Prints of one shard are uniform behind their first `bits`, so where one must stand follows from
/// its value; a few steps correct the guess.
fn find_in(shard: &[Entry], print: u64, bits: u32) -> Option<usize> {
    let guess = ((u128::from(print << bits) * shard.len() as u128) >> 64) as usize;
    let (mut low, mut high) = (guess, guess);
    let mut step = 8;
    while low > 0 && shard[low.min(shard.len() - 1)].print() > print {
        low = low.saturating_sub(step);
        step *= 2;
    }
    step = 8;
    while high < shard.len() && shard[high].print() < print {
        high += step;
        step *= 2;
    }
    let high = high.saturating_add(1).min(shard.len());
    let low = low.min(high);
    shard[low..high].binary_search_by_key(&print, Entry::print).ok().map(|at| low + at)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn print(raw: u32, spread: bool) -> u64 {
        if spread { u64::from(raw).wrapping_mul(0x9e37_79b9_7f4a_7c15) } else { u64::from(raw) }
    }

    proptest! {
        #[test]
        fn holds_what_an_ordered_map_holds(
            groups in prop::collection::vec((prop::collection::vec(0..40_000_u32, 0..9000), prop::collection::vec(0..40_000_u32, 0..20)), 0..5),
            spread: bool,
        ) {
            let (mut run, mut map) = (Run::default(), BTreeMap::new());
            for (added, removed) in groups {
                let fresh: BTreeMap<u64, Entry> = added
                    .into_iter()
                    .map(|raw| print(raw, spread))
                    .filter(|print| !map.contains_key(print))
                    .map(|print| (print, Entry::with_print(print)))
                    .collect();
                map.extend(fresh.clone());
                run.merge(fresh.into_values().collect());
                for gone in removed {
                    let gone = print(gone, spread);
                    prop_assert_eq!(run.remove(gone), map.remove(&gone).is_some());
                }
                prop_assert_eq!(run.len(), map.len());
                prop_assert!(run.iter().eq(map.values()));
                for raw in 0..2000 {
                    let print = print(raw * 20, spread);
                    prop_assert_eq!(run.find(print), map.get(&print));
                }
            }
        }
    }
}
