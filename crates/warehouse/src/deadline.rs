//! Query deadlines of a caller.
//!
//! The ports block, so a deadline belongs to a thread for the time of a call: the waiting caller
//! sets it, and the store below it interrupts what takes longer. Without one a query takes as long
//! as it does.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

thread_local! {
    static CURRENT: RefCell<Option<Deadline>> = const { RefCell::new(None) };
}

/// An instant at which queries are interrupted, or the earlier one at which their caller cancels
/// them.
#[derive(Debug, Clone)]
pub struct Deadline {
    until: Instant,
    limit: Duration,
    cancelled: Arc<AtomicBool>,
}

impl Deadline {
    pub fn new(limit: Duration) -> Deadline {
        Deadline { until: Instant::now() + limit, limit, cancelled: Arc::default() }
    }

    /// From any thread.
    pub fn cancel(&self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }

    pub fn is_over(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed) || Instant::now() >= self.until
    }

    /// Runs queries on this thread, each of which ends at the deadline with
    /// [`crate::WarehouseError::TimedOut`].
    pub fn run<T>(&self, queries: impl FnOnce() -> T) -> T {
        struct Restore(Option<Deadline>);
        impl Drop for Restore {
            fn drop(&mut self) {
                CURRENT.set(self.0.take());
            }
        }
        let _restore = Restore(CURRENT.replace(Some(self.clone())));
        queries()
    }

    pub(crate) fn limit(&self) -> Duration {
        self.limit
    }

    #[cfg(feature = "clickhouse")]
    pub(crate) fn remaining(&self) -> Duration {
        if self.cancelled.load(Ordering::Relaxed) {
            Duration::ZERO
        } else {
            self.until.saturating_duration_since(Instant::now())
        }
    }
}

/// That of this thread.
pub(crate) fn current() -> Option<Deadline> {
    CURRENT.with_borrow(Clone::clone)
}
