//! Requests of the page, answered by a role.
//!
//! The page sends them over a bounded channel; each turn waits for one of them. Knows no request.

use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::mpsc::Receiver;

use super::{Context, Progress, Role};

/// A role that answers requests, and is called without one after a time without any.
pub(crate) struct Answering<T, A> {
    pub(crate) io: Handle,
    pub(crate) requests: Receiver<T>,
    /// The longest time between two calls.
    pub(crate) every: Duration,
    pub(crate) answer: A,
}

impl<T: Send, A: FnMut(Option<T>) + Send> Role for Answering<T, A> {
    fn turn(&mut self, _context: &Context) -> anyhow::Result<Progress> {
        let Answering { io, requests, every, answer } = self;
        match io.block_on(async { tokio::time::timeout(*every, requests.recv()).await }) {
            Ok(Some(request)) => answer(Some(request)),
            // The page has ended; the stop request follows.
            Ok(None) => return Ok(Progress::Idle(*every)),
            Err(_) => answer(None),
        }
        Ok(Progress::BUSY)
    }
}
