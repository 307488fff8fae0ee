use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tempfile::TempDir;

use super::*;
use crate::contract::{self, Setup};

/// A journal in a folder of its own, under a clock that stands still until it is told.
struct Folder {
    folder: TempDir,
    partitions: u32,
    hour: Arc<AtomicU64>,
    journal: Option<LocalJournal>,
}

impl Folder {
    fn new(partitions: u32) -> Folder {
        let mut folder = Folder { folder: TempDir::new().unwrap(), partitions, hour: Arc::new(AtomicU64::new(490_000)), journal: None };
        folder.reopen();
        folder
    }

    fn options(&self) -> Options {
        let hour = Arc::clone(&self.hour);
        Options { clock: Box::new(move || hour.load(Ordering::Relaxed) * 3600), ..Options::default() }
    }
}

impl Setup for Folder {
    fn journal(&self) -> &dyn Journal {
        self.journal.as_ref().unwrap()
    }

    fn reopen(&mut self) -> bool {
        self.journal = None;
        let opened = LocalJournal::open(self.folder.path(), self.partitions, self.options());
        self.journal = Some(opened.unwrap());
        true
    }

    fn expire(&mut self, stream: Stream) {
        let later = self.hour.fetch_add(73, Ordering::Relaxed) + 73;
        let mut options = self.options();
        options.retention.retain(|of, _| *of == stream);
        self.journal = None;
        let journal = LocalJournal::open(self.folder.path(), self.partitions, options).unwrap();
        journal.enforce_retention(later * 3600).unwrap();
        self.journal = Some(journal);
    }
}

#[test]
fn keeps_the_contract() {
    contract::check(Folder::new);
}
