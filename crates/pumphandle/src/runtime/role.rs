//! Roles: the long-running parts of a process, each a sequence of turns.
//!
//! The supervisor turns a role on a thread of its own; simulation, soak and tests turn the same
//! role themselves, with a clock of their own. Knows no role.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// After the grace period snapshots are written for at most this long.
const SNAPSHOT_MAX: Duration = Duration::from_millis(1500);

/// A part of a process.
pub(crate) trait Role: Send {
    /// Does a bounded amount of work.
    fn turn(&mut self, context: &Context) -> anyhow::Result<Progress>;

    /// How long the role continues after a stop request, unless it ends before. The roles of a chain
    /// have a grace period of the supervisor.
    fn grace(&self) -> Duration {
        Duration::ZERO
    }

    /// The last act of a role that is stopped before it has ended.
    fn stop(&mut self, _context: &Context) -> anyhow::Result<()> {
        Ok(())
    }
}

/// The result of a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    /// There was work, and there may be more; the next turn is due after this time.
    Worked(Duration),
    /// There was nothing to do; the next turn is due after this time.
    Idle(Duration),
    /// The role has ended.
    Ended,
}

impl Progress {
    pub(crate) const BUSY: Progress = Progress::Worked(Duration::ZERO);
}

/// What a role knows of its process during a turn.
#[derive(Debug, Clone)]
pub(crate) struct Context {
    /// The begin of the turn.
    pub(crate) now: Instant,
    /// How long the turn may wait for input.
    pub(crate) wait: Duration,
    pub(crate) stop: Stop,
    /// How long the role continues after a stop request.
    pub(crate) grace: Duration,
    /// Set when the role that writes the input of this one has ended; none where that role is in
    /// another process.
    pub(crate) upstream: Option<Arc<AtomicBool>>,
}

impl Default for Context {
    fn default() -> Context {
        Context {
            now: Instant::now(),
            wait: Duration::ZERO,
            stop: Stop::default(),
            grace: Duration::ZERO,
            upstream: None,
        }
    }
}

impl Context {
    /// Whether the role that writes the input is in this process.
    pub(crate) fn has_upstream(&self) -> bool {
        self.upstream.is_some()
    }

    /// Whether all input has been written. To be called before reading.
    pub(crate) fn is_input_complete(&self) -> bool {
        self.upstream.as_ref().is_some_and(|ended| ended.load(Ordering::SeqCst))
    }

    /// Whether the grace period after a stop request has passed.
    pub(crate) fn is_over(&self) -> bool {
        self.stop.elapsed().is_some_and(|elapsed| elapsed >= self.grace)
    }

    /// Whether there is no time left for a snapshot. A process of one role takes the time it needs.
    pub(crate) fn is_overdue(&self) -> bool {
        let max = self.grace + SNAPSHOT_MAX;
        self.has_upstream() && self.stop.elapsed().is_some_and(|elapsed| elapsed >= max)
    }
}

/// A stop request, and the wait for it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stop(Arc<Requested>);

#[derive(Debug, Default)]
struct Requested {
    at: OnceLock<Instant>,
    lock: Mutex<()>,
    changed: Condvar,
}

impl Stop {
    pub(crate) fn request(&self) {
        let _lock = self.0.lock.lock().unwrap_or_else(PoisonError::into_inner);
        self.0.at.get_or_init(Instant::now);
        self.0.changed.notify_all();
    }

    pub(crate) fn is_requested(&self) -> bool {
        self.0.at.get().is_some()
    }

    /// The time since the request.
    fn elapsed(&self) -> Option<Duration> {
        self.0.at.get().map(Instant::elapsed)
    }

    /// Waits, until the request at most; where it has been made already, for the whole time.
    fn wait(&self, time: Duration) {
        if self.is_requested() {
            return std::thread::sleep(time);
        }
        let lock = self.0.lock.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.0.changed.wait_timeout_while(lock, time, |()| !self.is_requested()));
    }
}

/// Turns a role until it ends or its grace period after a stop request has passed.
pub(crate) fn run(role: &mut dyn Role, context: &mut Context) -> anyhow::Result<()> {
    loop {
        context.now = Instant::now();
        match role.turn(context)? {
            Progress::Ended => return Ok(()),
            _ if context.is_over() => return role.stop(context),
            Progress::Worked(wait) | Progress::Idle(wait) => context.stop.wait(wait),
        }
    }
}
