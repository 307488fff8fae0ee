//! How fast the Kafka journal is: `KAFKA_BROKERS=127.0.0.1:9092 cargo run --profile ci -p journal
//! --features kafka --example kafka_rates [MILLIONS]`.
//!
//! Records of 100 and 250 bytes in four partitions, appended 1, 100 and 5,000 at a time, then read
//! back; then snapshots' chunks. By CPU seconds of this process, librdkafka's threads included, and
//! by the clock on the wall, which is the broker's too.

#![expect(clippy::print_stdout, reason = "its output")]

use std::error::Error;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use journal::kafka::{KafkaJournal, KafkaSettings, Plan, migrate};
use journal::{Entry, Journal, Stream};

fn main() -> Result<(), Box<dyn Error>> {
    let brokers = std::env::var("KAFKA_BROKERS")
        .map_err(|_| "set KAFKA_BROKERS to the brokers to measure with")?;
    let millions: f64 = std::env::args().nth(1).map_or(Ok(2.0), |millions| millions.parse())?;
    let total = (millions * 1e6) as u64;
    for record_bytes in [100, 250] {
        let unix_millis = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis();
        let mut settings = KafkaSettings::new(&brokers, format!("rates-{unix_millis}"), 4);
        for property in std::env::args().skip(2) {
            let (name, value) = property.split_once('=').ok_or("a property is NAME=VALUE")?;
            settings.properties.insert(name.to_owned(), value.to_owned());
        }
        let measure = Measure::begin()?;
        migrate(&settings, &Plan::default())?;
        measure.report("migrate", 1)?;
        let measure = Measure::begin()?;
        let journal = KafkaJournal::open(settings)?;
        measure.report("open", 1)?;
        println!("records of {record_bytes} bytes");
        appends(&journal, record_bytes, total)?;
        reads(&journal)?;
        if record_bytes == 250 {
            snapshots(&journal)?;
            cursors(&journal)?;
        }
        let measure = Measure::begin()?;
        drop(journal);
        measure.report("close", 1)?;
    }
    Ok(())
}

fn appends(journal: &KafkaJournal, record_bytes: usize, total: u64) -> Result<(), Box<dyn Error>> {
    for (batch, appends) in [(1, 500), (100, 500), (5_000, total / 5_000)] {
        // Every record differs, as posts do; half of it is compressible, as posts are.
        let mut seed = 1_u64;
        let entries: Vec<Entry> = (0..batch)
            .map(|n| {
                let mut bytes = vec![b'a'; record_bytes];
                for byte in bytes.iter_mut().step_by(2) {
                    seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    *byte = (seed >> 56) as u8;
                }
                Entry { partition: n % 4, bytes }
            })
            .collect();
        let measure = Measure::begin()?;
        for _ in 0..appends {
            journal.append(Stream::Posts, &entries)?;
        }
        measure.report(&format!("append {batch} at a time"), u64::from(batch) * appends)?;
    }
    Ok(())
}

fn reads(journal: &KafkaJournal) -> Result<(), Box<dyn Error>> {
    for bytes_max in [64 << 10, 1 << 20] {
        let measure = Measure::begin()?;
        let mut records = 0;
        for partition in 0..4 {
            let end = journal.extent(Stream::Posts, partition)?.end;
            let mut next = 0;
            while next < end {
                let batch = journal.read(
                    Stream::Posts,
                    partition,
                    next,
                    bytes_max,
                    Duration::from_secs(1),
                )?;
                records += batch.records.len() as u64;
                next = batch.next;
            }
        }
        measure.report(&format!("read {} KiB at a time", bytes_max >> 10), records)?;
    }
    Ok(())
}

fn snapshots(journal: &KafkaJournal) -> Result<(), Box<dyn Error>> {
    const CHUNKS: u64 = 400;
    let chunk = |n: u64| {
        (0..256 << 10)
            .map(|at: u64| (at.wrapping_mul(n + 7).wrapping_mul(2_654_435_761) >> 24) as u8)
            .collect()
    };
    let pairs: Vec<(String, Option<Vec<u8>>)> =
        (0..CHUNKS).map(|n| (format!("chunk/{n:04}"), Some(chunk(n)))).collect();
    let measure = Measure::begin()?;
    for pairs in pairs.chunks(20) {
        journal.put(Stream::State, pairs)?;
    }
    measure.report("put chunks of 256 KiB", CHUNKS)?;
    let measure = Measure::begin()?;
    let keys = journal.keys(Stream::State, "chunk/")?;
    measure.report("first look at the keys", keys.len() as u64)?;
    let measure = Measure::begin()?;
    for key in &keys {
        journal.get(Stream::State, key)?.ok_or("a chunk is missing")?;
    }
    measure.report("get chunks in order", keys.len() as u64)?;
    let measure = Measure::begin()?;
    for key in keys.iter().rev().take(100) {
        journal.get(Stream::State, key)?.ok_or("a chunk is missing")?;
    }
    measure.report("get chunks backward", 100)?;
    Ok(())
}

fn cursors(journal: &KafkaJournal) -> Result<(), Box<dyn Error>> {
    let measure = Measure::begin()?;
    for n in 0..200 {
        journal.put(Stream::Feeds, &[(format!("cursor/{}", n % 20), Some(vec![n as u8; 50]))])?;
    }
    measure.report("put cursors", 200)?;
    let measure = Measure::begin()?;
    for n in 0..200 {
        journal.get(Stream::Feeds, &format!("cursor/{}", n % 20))?.ok_or("a cursor is missing")?;
    }
    measure.report("get cursors", 200)?;
    let measure = Measure::begin()?;
    for _ in 0..200 {
        journal.keys(Stream::Feeds, "cursor/")?;
    }
    measure.report("list cursors", 200)?;
    let next = journal.extent(Stream::Posts, 0)?.end;
    let measure = Measure::begin()?;
    for _ in 0..200 {
        journal.read(Stream::Posts, 0, next, 1000, Duration::ZERO)?;
    }
    measure.report("read at the end", 200)?;
    Ok(())
}

struct Measure {
    started: Instant,
    cpu_seconds: f64,
}

impl Measure {
    fn begin() -> Result<Measure, Box<dyn Error>> {
        Ok(Measure { started: Instant::now(), cpu_seconds: cpu_seconds()? })
    }

    fn report(self, what: &str, records: u64) -> Result<(), Box<dyn Error>> {
        let wall = self.started.elapsed().as_secs_f64();
        let cpu = cpu_seconds()? - self.cpu_seconds;
        let count = records as f64;
        println!(
            "{what:28} {records:9} in {wall:6.2} s: {:10.0}/s, {cpu:5.2} CPU-s: {:10.0}/CPU-s",
            count / wall,
            count / cpu.max(0.01)
        );
        Ok(())
    }
}

/// Of all threads of this process, in hundredths.
fn cpu_seconds() -> Result<f64, Box<dyn Error>> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields: Vec<&str> =
        stat.rsplit_once(')').ok_or("no fields")?.1.split_ascii_whitespace().collect();
    // User and system time are the 14th and 15th field of all, the name being the second.
    Ok((fields[11].parse::<f64>()? + fields[12].parse::<f64>()?) / 100.0)
}
