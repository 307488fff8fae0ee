//! Soak: days of load through the real stages over simulated time, in minutes.
//!
//! Lines are read by the real intake into the in-memory journal; tally, watch and land are driven by the real loops, with
//! snapshots, restarts, kills, hostile accounts, an outage, a clock step and an absent tally on the way. A table shows resident
//! memory, snapshot sizes and restart time by day. The run fails where a stage ends, a count is wrong, or memory or the
//! largest chunk grows after the longest window and horizon by more than history takes.
//!
//! `PUMPHANDLE_SOAK=ci` runs the nine days that CI runs, `long` the others too; without it nothing runs.

mod load;
mod measured;

use std::collections::BTreeMap;
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

use journal::memory::MemoryJournal;
use journal::{Change, Entry, Journal, JournalError, Membership, Position, Stream};
use record::time::{DAY, HOUR, MINUTE};
use record::{Micros, Record, Settings};
use warehouse::{Export, Format, Local, Reading};

use crate::drive::{Driver, Ends, Gaps, Stage, TallyStage, WatchStage};
use crate::roles::land::Lander;
use load::{Load, Minute};
use measured::Measured;

/// 2026-02-26T00:00:00Z.
const START: Micros = 20_510 * DAY;
/// After the longest window and the horizon everything that is not history has been replaced once.
const FULL_AFTER: Micros = 7 * DAY + 36 * HOUR;
/// What a day of history of one series takes, up to the reach of baselines: window values of two lengths an hour and the chart.
const HISTORY_BYTES: u64 = 4_000;
/// What the allocator may add to resident memory without anything having grown.
const SLACK_BYTES: u64 = 16 << 20;
const CHUNK_BYTES_MAX: u64 = 4 << 20;
const RECORD_BYTES_MAX: u64 = 1 << 20;

/// One soak.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    name: &'static str,
    days: i64,
    /// Posts that match no topic, a second.
    others: u32,
    /// Posts of one topic, an hour.
    topical: u32,
    /// How many accounts post on the topic.
    accounts: u64,
    /// Hours in which one account sends 200 posts in a second, each with tags of all topics and unknown languages.
    hostile: &'static [i64],
    /// An hour from which on nothing arrives for forty minutes; then everything comes at once.
    outage: Option<i64>,
    /// An hour in which the wall clock is two days ahead for two seconds.
    clock_step: Option<i64>,
    /// One of three tallies is away: from this minute on, for so many.
    away: &'static [(i64, i64)],
    resident_max: u64,
    restart_max: Duration,
}

const NINE_DAYS: Plan = Plan {
    name: "nine days, one topic at 900 posts an hour among 10 posts/s",
    days: 9,
    others: 10,
    topical: 900,
    accounts: 60_000,
    hostile: &[30, 31, 150],
    outage: Some(50),
    clock_step: Some(75),
    away: &[(20 * 60, 10), (100 * 60, 24 * 60)],
    resident_max: 512 << 20,
    restart_max: Duration::from_secs(2),
};

const LONG: [Plan; 2] = [
    Plan {
        name: "thirty days of a network at 50 posts/s",
        days: 30,
        others: 50,
        topical: 350,
        accounts: 30_000,
        hostile: &[],
        outage: Some(200),
        clock_step: None,
        away: &[],
        resident_max: 512 << 20,
        restart_max: Duration::from_secs(4),
    },
    Plan {
        name: "a pandemic: 1.6 million accounts on one topic in eight days",
        days: 10,
        others: 20,
        topical: 8_400,
        accounts: 1_600_000,
        hostile: &[],
        outage: None,
        clock_step: None,
        away: &[],
        resident_max: 2 << 30,
        restart_max: Duration::from_secs(10),
    },
];

#[test]
fn soak() {
    let plans: Vec<Plan> = match std::env::var("PUMPHANDLE_SOAK").as_deref() {
        Ok("long") => [NINE_DAYS].into_iter().chain(LONG).collect(),
        Ok(_) => vec![NINE_DAYS],
        Err(_) => {
            println!("skipped: PUMPHANDLE_SOAK=ci runs nine days, `long` a month and a pandemic too");
            return;
        }
    };
    for plan in plans {
        run(&plan);
    }
}

/// A day's line of the table.
#[derive(Debug, Clone, Default)]
struct Day {
    resident: u64,
    /// Bytes of all chunks of the newest snapshots, and of the largest chunk.
    chunks: u64,
    largest: u64,
    /// Bytes written by one snapshot of all stages.
    written: u64,
    restart: Duration,
    series: u64,
}

fn run(plan: &Plan) {
    let began = Instant::now();
    let folder = tempfile::tempdir().unwrap();
    let warehouse = Local::open(&folder.path().join("warehouse.sqlite")).unwrap();
    let load = Load::new(plan.clone(), folder.path());
    let settings = load.settings().clone();
    let (sender, minutes) = sync_channel::<Minute>(32);
    let producer = std::thread::spawn(move || load.run(&sender));
    let journal = Measured::new(MemoryJournal::new(settings.partitions));
    let mut stack = Stack::new(&journal, &warehouse, &settings);
    let mut days: Vec<Day> = Vec::new();
    println!("soak: {}", plan.name);
    println!("day  resident MB  chunks MB  largest kB  snapshot kB  restart ms  series");
    for (minute, Minute { entries }) in (0i64..).zip(minutes) {
        journal.append(Stream::Posts, &entries).unwrap();
        let away = plan.away.iter().any(|(from, minutes)| (*from..from + minutes).contains(&minute));
        stack.turn(away);
        if minute % 30 == 29 {
            stack.land();
        }
        if minute % 60 == 59 {
            stack.snapshot();
        }
        if minute % (24 * 60) == 24 * 60 - 1 {
            let day = stack.day();
            let Day { resident, chunks, largest, written, restart, series, .. } = &day;
            println!(
                "{:>3}  {:>11}  {:>9}  {:>10}  {:>11}  {:>10}  {:>6}",
                days.len() + 1,
                resident >> 20,
                chunks >> 20,
                largest >> 10,
                written >> 10,
                restart.as_millis(),
                series
            );
            days.push(day);
        }
    }
    let expected = producer.join().unwrap();
    stack.finish();
    let (seconds, resident_end) = (began.elapsed().as_secs(), resident());
    println!("     largest record {} kB, at the end {} MB, {seconds} s", journal.largest_record() >> 10, resident_end >> 20);
    check_counts(&warehouse, &expected);
    check_growth(plan, &days, &journal);
}

/// Every hour's count of the topic in the world is what was sent.
fn check_counts(warehouse: &Local, expected: &BTreeMap<Micros, u64>) {
    let export = Export { table: "counts".to_owned(), from: None, to: None, format: Format::Csv };
    let mut out = Vec::new();
    warehouse.export(&export, &mut out).unwrap();
    let rows = csv::Reader::from_reader(out.as_slice()).into_deserialize().map(Result::unwrap);
    let mut counted: BTreeMap<Micros, u64> = BTreeMap::new();
    for row in rows {
        let row: BTreeMap<String, String> = row;
        if row["topic"] == load::TOPIC && row["region"] == "001" && row["final"] == "1" {
            counted.insert(row["pane_start"].parse::<i64>().unwrap() * 1_000_000, row["posts"].parse().unwrap());
        }
    }
    let differing: Vec<_> = expected.iter().filter(|(hour, posts)| counted.get(hour) != Some(posts)).take(5).collect();
    assert!(differing.is_empty(), "of {} hours these differ: {differing:?}, counted {:?}", expected.len(), counted.get(differing[0].0));
}

fn check_growth(plan: &Plan, days: &[Day], journal: &Measured) {
    for (number, day) in (1..).zip(days) {
        assert!(day.resident <= plan.resident_max, "day {number}: {} MB resident", day.resident >> 20);
        assert!(day.largest <= CHUNK_BYTES_MAX, "day {number}: a chunk of {} bytes", day.largest);
        assert!(day.restart <= plan.restart_max, "day {number}: {} ms to restart", day.restart.as_millis());
    }
    assert!(journal.largest_record() <= RECORD_BYTES_MAX, "a record of {} bytes", journal.largest_record());
    let full = usize::try_from(FULL_AFTER / DAY).unwrap();
    let Some((last, first)) = days.last().zip(days.get(full)) else { return };
    let grown_days = (days.len() - 1 - full) as u64;
    let history = last.series * HISTORY_BYTES * grown_days;
    let grown = last.resident.saturating_sub(first.resident);
    assert!(grown <= history + SLACK_BYTES, "resident memory grew by {} MB in {grown_days} days", grown >> 20);
    let grown = last.largest.saturating_sub(first.largest);
    assert!(grown <= history.max(CHUNK_BYTES_MAX / 4), "the largest chunk grew by {grown} bytes in {grown_days} days");
}

/// All stages of an installation, as drivers.
struct Stack<'a> {
    journal: &'a Measured,
    warehouse: &'a Local,
    settings: &'a Settings,
    tallies: Vec<(Driver<TallyStage>, Alone)>,
    watch: (Driver<WatchStage>, Alone),
    lander: (Lander<'a>, Alone),
    restarts: u64,
}

impl<'a> Stack<'a> {
    fn new(journal: &'a Measured, warehouse: &'a Local, settings: &'a Settings) -> Stack<'a> {
        let record = Record::Settings(settings.clone()).encode();
        let entries: Vec<Entry> = (0..settings.partitions).map(|partition| Entry { partition, bytes: record.clone() }).collect();
        journal.append(Stream::Posts, &entries).unwrap();
        journal.append(Stream::Tallies, &[Entry { partition: 0, bytes: record }]).unwrap();
        let mut stack = Stack {
            journal,
            warehouse,
            settings,
            tallies: Vec::new(),
            watch: (Driver::new(WatchStage::of, Gaps::Stop), Alone::with(0)),
            lander: (Lander::new(Gaps::Stop), Alone::with(0)),
            restarts: 0,
        };
        stack.start();
        stack
    }

    /// New processes, which go on from the last snapshots.
    fn start(&mut self) {
        self.tallies =
            (0..self.settings.partitions).map(|partition| (Driver::new(TallyStage::new, Gaps::Stop), Alone::with(partition))).collect();
        self.watch = (Driver::new(WatchStage::of, Gaps::Stop), Alone::with(0));
        self.lander = (Lander::new(Gaps::Stop), Alone::with(0));
    }

    /// Reads what there is; the last tally reads nothing while it is away.
    fn turn(&mut self, away: bool) {
        let working = self.tallies.len() - usize::from(away);
        for (driver, member) in &mut self.tallies[..working] {
            while turn(driver, self.journal, member) {}
        }
        let (driver, member) = &mut self.watch;
        while turn(driver, self.journal, member) {}
    }

    fn land(&mut self) {
        let (lander, member) = &mut self.lander;
        while !lander.turn(self.journal, self.warehouse, member, &NEVER, &mut Instant::now(), Duration::ZERO).unwrap().is_empty() {}
    }

    /// Snapshots of all stages; then retention deletes all that they no longer need.
    fn snapshot(&mut self) {
        for (driver, _) in &mut self.tallies {
            driver.keep(self.journal, true, &NEVER).unwrap();
        }
        self.watch.0.keep(self.journal, true, &NEVER).unwrap();
        self.land();
        for (driver, _) in &self.tallies {
            for stage in driver.stages() {
                self.journal.inner.forget(Stream::Posts, stage.partition(), stage.next());
            }
        }
        for stage in self.watch.0.stages() {
            self.journal.inner.forget(Stream::Tallies, 0, stage.next());
        }
        for stream in [Stream::Counts, Stream::Alerts] {
            let end = self.journal.extent(stream, 0).unwrap().end;
            self.journal.inner.forget(stream, 0, end);
        }
    }

    /// Measures, and restarts everything: every second time without a snapshot, as after a kill.
    fn day(&mut self) -> Day {
        let before = self.journal.put_bytes();
        self.snapshot();
        let written = self.journal.put_bytes() - before;
        let (chunks, largest) = self.journal.chunks();
        let mut day = Day { resident: resident(), chunks, largest, written, series: self.series(), ..Day::default() };
        self.restarts += 1;
        let began = Instant::now();
        self.start();
        for (driver, member) in &mut self.tallies {
            turn(driver, self.journal, member);
        }
        turn(&mut self.watch.0, self.journal, &mut self.watch.1);
        day.restart = began.elapsed();
        day
    }

    fn series(&self) -> u64 {
        self.watch.0.stages().map(|stage| stage.series() as u64).sum()
    }

    fn finish(&mut self) {
        self.turn(false);
        self.land();
    }
}

const NEVER: Ends<'static> = Ends::Told(&|| Ok(false));

/// Reads once; whether there was anything.
fn turn<S: Stage>(driver: &mut Driver<S>, journal: &Measured, member: &mut Alone) -> bool {
    driver.turn(journal, member, &NEVER, &mut Instant::now(), Duration::ZERO).unwrap()
}

/// The only member of a group, with one partition.
struct Alone {
    partition: u32,
    given: bool,
}

impl Alone {
    fn with(partition: u32) -> Alone {
        Alone { partition, given: false }
    }
}

impl Membership for Alone {
    fn changes(&mut self, _wait: Duration) -> Result<Vec<Change>, JournalError> {
        let first = !std::mem::replace(&mut self.given, true);
        Ok(first.then_some(Change::Given(self.partition)).into_iter().collect())
    }

    fn show(&mut self, _partition: u32, _next: Position) {}
}

/// Resident memory of this process in bytes; 0 where it can't be read.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().split(' ').next()).and_then(|kilobytes| kilobytes.parse::<u64>().ok()).unwrap_or(0) << 10
}

fn minute_start(minute: i64) -> Micros {
    START + minute * MINUTE
}
