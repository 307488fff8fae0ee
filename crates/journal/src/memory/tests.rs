use std::sync::atomic::{AtomicU32, Ordering};

use super::*;
use crate::contract::{self, Setup};

struct Fresh(MemoryJournal);

impl Setup for Fresh {
    fn journal(&self) -> &dyn Journal {
        &self.0
    }

    fn reopen(&mut self) -> bool {
        false
    }

    fn expire(&mut self, stream: Stream) {
        for partition in 0..self.0.partitions(stream) {
            self.0.forget(stream, partition, Position::MAX);
        }
    }
}

#[test]
fn keeps_the_contract() {
    contract::check(|partitions| Fresh(MemoryJournal::new(partitions)));
}

#[test]
fn a_hook_fails_a_call_before_it_acts_or_loses_only_its_answer() {
    let appends = AtomicU32::new(0);
    let journal = MemoryJournal::new(1).with_hook(Box::new(move |step| {
        let append = step.call == Call::Append;
        let failing = match appends.load(Ordering::Relaxed) {
            0 => append && !step.done,
            _ => append && step.done,
        };
        appends.fetch_add(u32::from(append), Ordering::Relaxed);
        match failing {
            true => Err(JournalError::Io { action: "append".to_owned(), source: "made up".into() }),
            false => Ok(()),
        }
    }));
    let entries = [Entry { partition: 0, bytes: b"x".to_vec() }];
    assert!(journal.append(Stream::Posts, &entries).unwrap_err().retry());
    assert_eq!(journal.extent(Stream::Posts, 0).unwrap(), 0..0);
    assert!(journal.append(Stream::Posts, &entries).unwrap_err().retry());
    assert_eq!(journal.extent(Stream::Posts, 0).unwrap(), 0..1);
}
