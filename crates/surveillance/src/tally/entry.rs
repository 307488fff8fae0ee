//! Entries of the identity table: the print of a post, its times and its basis in sixteen bytes.

use record::Micros;
use record::policy::AHEAD_MAX;
use record::time::SECOND;

/// An entry's second word: event time in its hour, then arrival after event time plus
/// [`AHEAD_MAX`], both in seconds, then the basis.
const EVENT_BITS: u32 = 12;
const DELAY_BITS: u32 = 28;
pub(super) const BASIS_BITS: u32 = 24;

/// A known post, as found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) hour: Micros,
    pub(crate) event_time: Micros,
    pub(crate) arrival: Micros,
    pub(super) basis: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Entry {
    print: u64,
    /// See [`EVENT_BITS`].
    packed: u64,
}

impl Entry {
    /// Times are whole seconds, as in every record. None where they are too far apart to be held;
    /// such a record is late, and never gets here.
    pub(super) fn new(
        print: u64,
        hour: Micros,
        event_time: Micros,
        arrival: Micros,
        basis: u32,
    ) -> Option<Entry> {
        debug_assert!(event_time % SECOND == 0 && arrival % SECOND == 0, "whole seconds");
        let event = seconds(event_time - hour, EVENT_BITS)?;
        let delay = seconds(arrival - event_time + AHEAD_MAX, DELAY_BITS)?;
        Some(Entry {
            print,
            packed: (event << DELAY_BITS | delay) << BASIS_BITS | u64::from(basis),
        })
    }

    pub(crate) fn print(&self) -> u64 {
        self.print
    }

    pub(super) fn stored(&self) -> StoredEntry {
        (self.print, self.packed)
    }

    pub(super) fn restored((print, packed): StoredEntry) -> Entry {
        Entry { print, packed }
    }

    #[cfg(test)]
    pub(crate) fn with_print(print: u64) -> Entry {
        Entry { print, packed: 0 }
    }

    pub(super) fn known(&self, hour: Micros) -> Known {
        let delay = (self.packed >> BASIS_BITS & ((1 << DELAY_BITS) - 1)) as Micros * SECOND;
        let event = (self.packed >> (BASIS_BITS + DELAY_BITS)) as Micros * SECOND;
        let event_time = hour + event;
        Known {
            hour,
            event_time,
            arrival: event_time - AHEAD_MAX + delay,
            basis: (self.packed & ((1 << BASIS_BITS) - 1)) as u32,
        }
    }
}

/// As in a snapshot: print, and the packed rest.
pub(super) type StoredEntry = (u64, u64);

/// Of a span, if it isn't negative and fits.
fn seconds(span: Micros, bits: u32) -> Option<u64> {
    u64::try_from(span / SECOND).ok().filter(|seconds| span >= 0 && *seconds < 1 << bits)
}
