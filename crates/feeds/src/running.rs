//! A feed at work: its thread, its messages, its end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use tokio::sync::watch;

use crate::message::Message;

/// A feed that reads in a thread of its own. Dropping it ends the thread.
pub struct Feed {
    /// Empty only for as long as it is being dropped.
    messages: Option<Receiver<Message>>,
    stop: Stop,
    thread: Option<JoinHandle<()>>,
}

/// Says that a feed is to end, to those who poll and to those who await.
#[derive(Clone)]
struct Stop {
    asked: Arc<AtomicBool>,
    wake: Arc<watch::Sender<bool>>,
}

/// The same, seen from the feed.
pub(crate) struct Stopping {
    asked: Arc<AtomicBool>,
    pub(crate) wake: watch::Receiver<bool>,
}

impl Stopping {
    pub(crate) fn asked(&self) -> bool {
        self.asked.load(Ordering::Relaxed)
    }
}

impl Feed {
    /// `work` runs until it is done or asked to stop; at most `queue` messages wait for being taken.
    pub(crate) fn spawn(
        name: &str,
        queue: usize,
        work: impl FnOnce(SyncSender<Message>, Stopping) + Send + 'static,
    ) -> std::io::Result<Feed> {
        let (sender, messages) = sync_channel(queue.max(1));
        let (wake, woken) = watch::channel(false);
        let asked = Arc::new(AtomicBool::new(false));
        let stopping = Stopping { asked: asked.clone(), wake: woken };
        let thread = std::thread::Builder::new().name(format!("feed {name}")).spawn(move || work(sender, stopping))?;
        Ok(Feed { messages: Some(messages), stop: Stop { asked, wake: Arc::new(wake) }, thread: Some(thread) })
    }

    /// Where its messages come; disconnected once it has ended.
    #[expect(clippy::expect_used, reason = "taken by drop only")]
    pub fn messages(&self) -> &Receiver<Message> {
        self.messages.as_ref().expect("held until dropped")
    }

    /// Asks it to end; what it has sent can still be taken.
    pub fn stop(&self) {
        self.stop.asked.store(true, Ordering::Relaxed);
        self.stop.wake.send_replace(true);
        if let Some(thread) = &self.thread {
            thread.thread().unpark();
        }
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.stop();
        // A thread that waits for room in the queue is let go.
        self.messages = None;
        if let Some(thread) = self.thread.take() {
            // A panic in there has been told already.
            let _ = thread.join();
        }
    }
}
