//! How often one address may ask: a bucket of requests each, which fills again as time passes.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Addresses remembered; beyond it those that have been quiet longest are forgotten.
const ADDRESSES_MAX: usize = 10_000;
/// How many requests may come at once, in minutes' worth.
const BURST: f64 = 0.5;

/// A bucket for each address; those of one IPv6 /64 share one.
#[derive(Debug)]
pub(crate) struct Limits {
    a_minute: f64,
    buckets: Mutex<BTreeMap<[u8; 16], Bucket>>,
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    left: f64,
    at: Instant,
}

impl Limits {
    pub(crate) fn new(a_minute: u32) -> Limits {
        Limits { a_minute: f64::from(a_minute), buckets: Mutex::default() }
    }

    /// Takes `cost` requests from an address' bucket; else says how long it takes until there are
    /// so many.
    pub(crate) fn take(&self, address: IpAddr, cost: f64, now: Instant) -> Result<(), Duration> {
        let full = (self.a_minute * BURST).max(cost);
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= ADDRESSES_MAX {
            let quiet = buckets.iter().min_by_key(|(_, bucket)| bucket.at).map(|(key, _)| *key);
            quiet.and_then(|key| buckets.remove(&key));
        }
        let bucket = buckets.entry(address_key(address)).or_insert(Bucket { left: full, at: now });
        let filled = now.saturating_duration_since(bucket.at).as_secs_f64() * self.a_minute / 60.0;
        *bucket = Bucket { left: (bucket.left + filled).min(full), at: now.max(bucket.at) };
        if bucket.left < cost {
            return Err(Duration::from_secs_f64((cost - bucket.left) * 60.0 / self.a_minute));
        }
        bucket.left -= cost;
        Ok(())
    }
}

/// An address to count by: that of IPv4, also where it comes mapped, and the /64 of IPv6.
pub(crate) fn address_key(address: IpAddr) -> [u8; 16] {
    let mut octets = match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    };
    if matches!(address, IpAddr::V6(address) if address.to_ipv4_mapped().is_none()) {
        octets[8..].fill(0);
    }
    octets
}

#[cfg(test)]
mod tests;
