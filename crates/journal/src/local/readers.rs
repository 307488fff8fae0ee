//! Pool of idle read-only files: those used most recently.
//!
//! A reader takes a file out and has it to itself, so files in use are as many as threads that
//! read.

use std::collections::VecDeque;
use std::sync::Mutex;

use super::held;
use super::hour::HourFile;
use crate::Stream;

pub(super) struct Readers {
    idle: Mutex<VecDeque<Idle>>,
    idle_max: usize,
}

struct Idle {
    stream: Stream,
    hour: u64,
    file: HourFile,
}

impl Readers {
    pub(super) fn new(idle_max: usize) -> Readers {
        Readers { idle: Mutex::default(), idle_max }
    }

    pub(super) fn take(&self, stream: Stream, hour: u64) -> Option<HourFile> {
        let mut idle = held(&self.idle);
        let at = idle.iter().rposition(|idle| idle.stream == stream && idle.hour == hour)?;
        idle.remove(at).map(|idle| idle.file)
    }

    /// Returns a file. `is_current` is evaluated under the lock that `forget` takes, so no deleted
    /// file stays open here.
    pub(super) fn give(
        &self,
        stream: Stream,
        hour: u64,
        file: HourFile,
        is_current: impl FnOnce() -> bool,
    ) {
        let mut idle = held(&self.idle);
        if !is_current() {
            return;
        }
        idle.push_back(Idle { stream, hour, file });
        while idle.len() > self.idle_max {
            idle.pop_front();
        }
    }

    pub(super) fn forget(&self, stream: Stream, hour: u64) {
        held(&self.idle).retain(|idle| idle.stream != stream || idle.hour != hour);
    }

    pub(super) fn clear(&self) {
        held(&self.idle).clear();
    }
}
