//! How each feed fares, for whoever answers for the whole: metrics, the page, the notifier.
//!
//! Ingest writes it, others read it. A feed that fails is a state, and no end of the program.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use feeds::Now;
use record::Micros;
use record::time::{MINUTE, SECOND};

/// Stamps and our clock may differ by so much before it is worth a word.
pub(crate) const LAG_MAX: Micros = MINUTE;

/// What is known of one feed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct SourceState {
    /// Whether it has a connection; a file has one while it can be read.
    pub(crate) connected: bool,
    /// Whether it follows the clock: a network.
    pub(crate) live: bool,
    /// The monotonic clock at the last event.
    pub(crate) event_at: Option<Micros>,
    /// How far the last line's stamp was behind our clock; negative where it was ahead.
    pub(crate) lag: Option<Micros>,
    /// The monotonic clock when the outage began that goes on, and why.
    pub(crate) outage: Option<(Micros, String)>,
    /// Why it is read no more, or not whole.
    pub(crate) failed: Option<String>,
    /// It has been read to its end.
    pub(crate) ended: bool,
    pub(crate) rejects: u64,
    pub(crate) gaps: u64,
    pub(crate) reconnects: u64,
}

impl SourceState {
    /// What is degraded about it, in a few words.
    pub(crate) fn problem(&self, now: Now) -> Option<String> {
        if let Some(why) = &self.failed {
            return Some(format!("failed: {why}"));
        }
        if let Some((since, why)) = &self.outage {
            return Some(format!("no events for {} s: {why}", (now.monotonic - since) / SECOND));
        }
        let lag = self.lag.filter(|lag| self.live && lag.abs() > LAG_MAX)?;
        Some(if lag > 0 {
            format!("{} s behind our clock", lag / SECOND)
        } else {
            format!("{} s ahead of our clock", -lag / SECOND)
        })
    }
}

/// All feeds of this process, by name.
#[derive(Debug, Default)]
pub(crate) struct SourceStates(Mutex<BTreeMap<String, SourceState>>);

impl SourceStates {
    pub(crate) fn change(&self, feed: &str, change: impl FnOnce(&mut SourceState)) {
        let mut states = self.held();
        match states.get_mut(feed) {
            Some(state) => change(state),
            None => change(states.entry(feed.to_owned()).or_default()),
        }
    }

    /// A feed that another worker has now is none of ours.
    pub(crate) fn forget(&self, feed: &str) {
        self.held().remove(feed);
    }

    pub(crate) fn all(&self) -> BTreeMap<String, SourceState> {
        self.held().clone()
    }

    fn held(&self) -> MutexGuard<'_, BTreeMap<String, SourceState>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
