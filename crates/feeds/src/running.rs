//! A running feed: its thread, its messages, its end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicIsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use tokio::sync::watch;

use crate::message::Message;

/// A feed that reads in a thread of its own. Dropping it ends the thread.
pub struct Feed {
    /// Empty only for as long as it is being dropped.
    messages: Option<Receiver<Message>>,
    stop: Stop,
    waiting: Arc<Waiting>,
    thread: Option<JoinHandle<()>>,
}

/// Says that a feed is to end, to those who poll and to those who await.
#[derive(Clone)]
struct Stop {
    requested: Arc<AtomicBool>,
    wake: Arc<watch::Sender<bool>>,
}

/// Messages that were sent and not taken.
#[derive(Default)]
struct Waiting {
    now: AtomicIsize,
    most: AtomicIsize,
}

/// The same, seen from the feed.
pub(crate) struct Stopping {
    requested: Arc<AtomicBool>,
    waiting: Arc<Waiting>,
    pub(crate) wake: watch::Receiver<bool>,
}

impl Stopping {
    pub(crate) fn is_requested(&self) -> bool {
        self.requested.load(Ordering::Relaxed)
    }

    /// A message waits to be taken.
    pub(crate) fn sent(&self) {
        let now = self.waiting.now.fetch_add(1, Ordering::Relaxed) + 1;
        self.waiting.most.fetch_max(now, Ordering::Relaxed);
    }
}

impl Feed {
    /// `work` runs until it is done or stopped; at most `queue` messages wait for being taken.
    pub(crate) fn spawn(
        name: &str,
        queue: usize,
        work: impl FnOnce(SyncSender<Message>, Stopping) + Send + 'static,
    ) -> std::io::Result<Feed> {
        let (sender, messages) = sync_channel(queue.max(1));
        let (wake, woken) = watch::channel(false);
        let requested = Arc::new(AtomicBool::new(false));
        let waiting = Arc::new(Waiting::default());
        let stopping =
            Stopping { requested: requested.clone(), waiting: waiting.clone(), wake: woken };
        let thread = std::thread::Builder::new()
            .name(format!("feed {name}"))
            .spawn(move || work(sender, stopping))?;
        Ok(Feed {
            messages: Some(messages),
            stop: Stop { requested, wake: Arc::new(wake) },
            waiting,
            thread: Some(thread),
        })
    }

    /// Where its messages come; disconnected once it has ended.
    #[expect(clippy::expect_used, reason = "taken by drop only")]
    pub fn messages(&self) -> &Receiver<Message> {
        self.messages.as_ref().expect("held until dropped")
    }

    /// What has come, at most so many messages, without waiting.
    pub fn take(&self, most: usize) -> Vec<Message> {
        let taken = self.messages().try_iter().take(most);
        let count_down = |_: &Message| {
            self.waiting.now.fetch_sub(1, Ordering::Relaxed);
        };
        taken.inspect(count_down).collect()
    }

    /// The most messages that have waited at once, of those that [`Feed::take`] has taken or will
    /// take.
    pub fn waited_most(&self) -> usize {
        usize::try_from(self.waiting.most.load(Ordering::Relaxed)).unwrap_or(0)
    }

    /// Asks it to end; what it has sent can still be taken.
    pub fn stop(&self) {
        self.stop.requested.store(true, Ordering::Relaxed);
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
            // A panic in there has been reported already.
            let _ = thread.join();
        }
    }
}
