//! Admission of connections: a bound for all, one for each address, and a reserve that only health
//! checks may use.
//!
//! Knows addresses and counts. Knows nothing of requests; time limits of a connection are the
//! server's.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use crate::limits::address_key;
use crate::{Counter, Gauge, Metrics};

/// Connections held at once, the reserve not counted.
pub(crate) const CONNECTIONS_MAX: usize = 512;
/// Connections beyond the bounds that may ask for `/healthz` and `/readyz`; loopback is not counted
/// here.
const RESERVE_MAX: usize = 16;
/// Connections of the reserve that one address may hold.
const RESERVE_PER_ADDRESS: usize = 2;

/// What a connection may be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Use {
    Everything,
    /// One request for the state of the process.
    Health,
}

/// Counts open connections, and requests that a trusted proxy forwards, by the address of the
/// client.
#[derive(Debug)]
pub(crate) struct Connections {
    per_address: usize,
    /// Their own connections are counted for the bound of all only.
    trusted: Vec<IpAddr>,
    open: Mutex<Open>,
    shown: Gauge,
    of_address: Counter,
    of_all: Counter,
}

#[derive(Debug, Default)]
struct Open {
    all: usize,
    of: BTreeMap<[u8; 16], usize>,
    reserve: usize,
    reserve_of: BTreeMap<[u8; 16], usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Counted for all, and for an address unless it is trusted.
    Connection(Option<[u8; 16]>),
    /// Of the reserve, for an address; loopback is not counted for all of it.
    Reserve { of: [u8; 16], counts: bool },
    /// A forwarded request of an address.
    Request([u8; 16]),
}

/// Gives its place back when it is dropped.
#[derive(Debug)]
pub(crate) struct Slot {
    connections: Arc<Connections>,
    place: Place,
}

impl Connections {
    pub(crate) fn new(
        per_address: usize,
        trusted: Vec<IpAddr>,
        metrics: &Metrics,
    ) -> Arc<Connections> {
        let refused = |reason| {
            let help = "Connections and forwarded requests refused because an address, or all \
                together, held too many.";
            metrics.counter(
                "pumphandle_http_connections_refused_total",
                help,
                &[("reason", reason)],
            )
        };
        Arc::new(Connections {
            per_address,
            trusted,
            open: Mutex::default(),
            shown: metrics.gauge("pumphandle_http_connections", "Connections that are open.", &[]),
            of_address: refused("address"),
            of_all: refused("all"),
        })
    }

    /// A place for a new connection, or none: then it is closed unanswered.
    pub(crate) fn admit(self: &Arc<Connections>, address: IpAddr) -> Option<(Slot, Use)> {
        let key = address_key(address);
        let is_trusted = self.trusted.contains(&address.to_canonical());
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let is_full = open.all >= CONNECTIONS_MAX;
        let held = open.of.get(&key).copied().unwrap_or(0);
        if !is_full && (is_trusted || held < self.per_address) {
            open.all += 1;
            if !is_trusted {
                open.of.insert(key, held + 1);
            }
            self.shown.set(open.all as f64);
            let place = Place::Connection((!is_trusted).then_some(key));
            return Some((self.slot(place), Use::Everything));
        }
        let counts = !address.to_canonical().is_loopback();
        let held = open.reserve_of.get(&key).copied().unwrap_or(0);
        if held < RESERVE_PER_ADDRESS && (!counts || open.reserve < RESERVE_MAX) {
            open.reserve += usize::from(counts);
            open.reserve_of.insert(key, held + 1);
            return Some((self.slot(Place::Reserve { of: key, counts }), Use::Health));
        }
        drop(open);
        if is_full {
            self.of_all.add(1)
        } else {
            self.of_address.add(1)
        }
        None
    }

    /// A place for a request of a client behind a trusted proxy, held until its answer has been
    /// sent.
    pub(crate) fn admit_forwarded(self: &Arc<Connections>, client: IpAddr) -> Option<Slot> {
        let key = address_key(client);
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let held = open.of.get(&key).copied().unwrap_or(0);
        if held >= self.per_address {
            self.of_address.add(1);
            return None;
        }
        open.of.insert(key, held + 1);
        Some(self.slot(Place::Request(key)))
    }

    fn slot(self: &Arc<Connections>, place: Place) -> Slot {
        Slot { connections: self.clone(), place }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut open = self.connections.open.lock().unwrap_or_else(PoisonError::into_inner);
        match self.place {
            Place::Connection(of) => {
                open.all = open.all.saturating_sub(1);
                if let Some(of) = of {
                    give_back(&mut open.of, of);
                }
                self.connections.shown.set(open.all as f64);
            }
            Place::Reserve { of, counts } => {
                open.reserve = open.reserve.saturating_sub(usize::from(counts));
                give_back(&mut open.reserve_of, of);
            }
            Place::Request(of) => give_back(&mut open.of, of),
        }
    }
}

/// An address without a connection takes no memory.
fn give_back(held: &mut BTreeMap<[u8; 16], usize>, of: [u8; 16]) {
    if let Some(count) = held.get_mut(&of) {
        *count -= 1;
        if *count == 0 {
            held.remove(&of);
        }
    }
}

#[cfg(test)]
mod tests;
