//! How fast the local journal is, and how much memory it takes: `cargo run --release -p journal
//! --example rates [FOLDER]`.
//!
//! Posts of 250 bytes in four partitions, appended in batches of 1, 100 and 5,000 with a new hour
//! every 100,000, then read back.

#![expect(clippy::print_stdout, reason = "its output")]

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use journal::local::{LocalJournal, Options};
use journal::{Entry, Journal, JournalError, Stream};

fn main() -> Result<(), JournalError> {
    let base = std::env::args().nth(1).map_or_else(std::env::temp_dir, PathBuf::from);
    let folder = base.join(format!("journal-rates-{}", std::process::id()));
    let result = measure(&folder);
    let _ = std::fs::remove_dir_all(&folder);
    result
}

fn measure(folder: &std::path::Path) -> Result<(), JournalError> {
    let appended = Arc::new(AtomicU64::new(0));
    let clock = Arc::clone(&appended);
    let options = Options {
        clock: Box::new(move || clock.load(Ordering::Relaxed) / 100_000 * 3600),
        ..Options::default()
    };
    let journal = LocalJournal::open(folder, 4, options)?;
    for (batch, appends) in [(1, 2_000), (100, 1_000), (5_000, 200)] {
        let entries: Vec<Entry> =
            (0..batch).map(|n| Entry { partition: n % 4, bytes: vec![n as u8; 250] }).collect();
        let started = Instant::now();
        for _ in 0..appends {
            journal.append(Stream::Posts, &entries)?;
            appended.fetch_add(u64::from(batch), Ordering::Relaxed);
        }
        report(&format!("append {batch} at a time"), u64::from(batch) * appends, started);
    }
    for bytes_max in [64 << 10, 1 << 20] {
        let started = Instant::now();
        let mut records = 0;
        for partition in 0..4 {
            let mut next = 0;
            loop {
                let batch =
                    journal.read(Stream::Posts, partition, next, bytes_max, Duration::ZERO)?;
                if batch.records.is_empty() {
                    break;
                }
                records += batch.records.len() as u64;
                next = batch.next;
            }
        }
        report(&format!("read {} KiB at a time", bytes_max >> 10), records, started);
    }
    let started = Instant::now();
    for n in 0..1_000_u32 {
        journal
            .put(Stream::State, &[(format!("chunk/{}", n % 50), Some(vec![n as u8; 20_000]))])?;
    }
    report("put 20 kB", 1_000, started);
    drop(journal);
    let started = Instant::now();
    LocalJournal::open(folder, 4, Options::default())?;
    println!("open                        {:>9.1} ms", started.elapsed().as_secs_f64() * 1e3);
    Ok(())
}

fn report(what: &str, records: u64, started: Instant) {
    let seconds = started.elapsed().as_secs_f64();
    println!("{what:<24} {:>12.0} records/s  resident {}", records as f64 / seconds, resident());
}

fn resident() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.map_or_else(|| "unknown".to_owned(), |line| line.trim().to_owned())
}
