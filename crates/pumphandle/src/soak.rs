//! Soak: days of load through the real stages over simulated time, in minutes.
//!
//! Lines are handed to the real ingest, as a connection would, under clocks that are set; tally,
//! watch and land are driven by the real loops over the in-memory journal, with snapshots,
//! restarts, kills, hostile accounts, an outage, a clock step and an absent tally on the way. A
//! table shows resident memory, snapshot sizes and restart time by half day.
//! The run fails where a stage ends, a count is wrong, or memory or the largest chunk grows after
//! the longest window and horizon by more than history takes.
//!
//! All roles share the process; of them only sockets are left out. Resident memory is that of the
//! process without the bytes that the in-memory journal holds, which in an installation lie on
//! disk: above all the posts that the absent tally has not read.
//! Chunks lie in files.
//!
//! `PUMPHANDLE_SOAK=ci` runs the nine days that CI runs, `long` the others too; without it nothing
//! runs.

mod load;
mod measured;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};

use journal::memory::MemoryJournal;
use journal::{Change, Journal, JournalError, Membership, Position, Stream};
use record::Micros;
use record::time::{DAY, HOUR, MINUTE, SECOND, pane_start};
use warehouse::{Export, Format, Local, Reading};

use crate::monitor;
use crate::roles::land::Lander;
use crate::roles::tally::TallyStage;
use crate::roles::watch::WatchStage;
use crate::runtime::{Context, Driver, Gaps, Progress, Role, Stage, log};
use load::{Minute, Sent};
use measured::Measured;

const PARTITIONS: u32 = 3;
/// 2026-02-26T00:00:00Z.
const START: Micros = 20_510 * DAY;
/// After the longest window and the horizon everything that is not history has been replaced once.
const FULL_AFTER: Micros = 7 * DAY + 36 * HOUR;
/// A line of the table is measured so often.
const MEASURED_EVERY: Micros = 12 * HOUR;
/// What a day of history of one series takes, up to the reach of baselines: window values of two
/// lengths an hour and the chart.
const HISTORY_BYTES: u64 = 4_000;
/// What the allocator may add to resident memory without anything having grown.
const SLACK_BYTES: u64 = 16 << 20;
/// Chunks are cut at keys, so that each is a little larger or smaller by what series happen to lie
/// in it.
const CHUNK_SLACK_BYTES: u64 = 64 << 10;
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
    /// Posts come from forty countries, and half of the topical ones are of nine more topics: some
    /// 500 series.
    has_places: bool,
    /// How many accounts post on the topic.
    accounts: u64,
    /// Hours in which one account sends 200 posts in a second, each with tags of all topics and
    /// unknown languages.
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
    has_places: false,
    accounts: 60_000,
    hostile: &[30, 31, 150],
    outage: Some(50),
    clock_step: Some(75),
    away: &[(20 * 60, 10), (100 * 60, 24 * 60)],
    resident_max: 256 << 20,
    restart_max: Duration::from_secs(2),
};

const MONTH: Plan = Plan {
    name: "thirty days of a network at 50 posts/s",
    days: 30,
    others: 50,
    topical: 350,
    has_places: true,
    accounts: 30_000,
    hostile: &[],
    outage: Some(200),
    clock_step: None,
    away: &[],
    resident_max: 512 << 20,
    restart_max: Duration::from_secs(4),
};

const PANDEMIC: Plan = Plan {
    name: "a pandemic: 1.6 million accounts on one topic in eight days",
    days: 10,
    others: 20,
    topical: 8_400,
    has_places: false,
    accounts: 1_600_000,
    hostile: &[],
    outage: None,
    clock_step: None,
    away: &[],
    resident_max: 2 << 30,
    restart_max: Duration::from_secs(10),
};

#[test]
fn soak() {
    let plans: Vec<Plan> = match std::env::var("PUMPHANDLE_SOAK").as_deref() {
        Ok("ci") => vec![NINE_DAYS],
        Ok("month") => vec![MONTH],
        Ok("pandemic") => vec![PANDEMIC],
        Ok("long") => vec![NINE_DAYS, MONTH, PANDEMIC],
        Ok(other) => {
            panic!("PUMPHANDLE_SOAK={other}: `ci`, `month`, `pandemic`, or `long` for the three")
        }
        Err(_) => {
            println!(
                "skipped: PUMPHANDLE_SOAK=ci runs nine days, `month`, `pandemic` or `long` more"
            );
            return;
        }
    };
    for plan in plans {
        run(&plan);
    }
}

/// A line of the table.
#[derive(Debug, Clone, Default)]
struct Row {
    resident: u64,
    /// Bytes of all chunks of the newest snapshots, and of the largest chunk.
    chunks: u64,
    largest: u64,
    /// Bytes written by one snapshot of all stages.
    written: u64,
    /// Time of a processor for a restart of all stages, from their snapshots.
    restart: Duration,
    series: u64,
    /// Cells of watch, and entries of frames that wait for other partitions.
    cells: u64,
    pending: u64,
}

fn run(plan: &Plan) {
    let began = Instant::now();
    let folder = tempfile::tempdir().unwrap();
    let warehouse = Arc::new(Local::open(&folder.path().join("warehouse.sqlite")).unwrap());
    let config = load::config(folder.path());
    let chunks = folder.path().join("chunks");
    let journal = Arc::new(Measured::new(MemoryJournal::new(PARTITIONS), &chunks));
    let settings = log::settle(&*journal, &config.settings(), None).unwrap();
    println!("soak: {}", plan.name);
    let expected = std::thread::scope(|scope| {
        let (sender, minutes) = sync_channel::<Minute>(4);
        let (config, settings) = (&config, &settings);
        let producer = scope.spawn(move || load::send(plan, config, settings, &sender));
        let mut stack = Stack::new(&journal, &warehouse, settings.partitions);
        let rows = pass(plan, &mut stack, &minutes);
        let expected = producer.join().unwrap();
        check_growth(plan, &rows, &journal);
        expected
    });
    println!(
        "     largest record {} kB, {} s",
        journal.largest_record() >> 10,
        began.elapsed().as_secs()
    );
    check_counts(&warehouse, &expected);
}

/// Lets all minutes pass.
fn pass(plan: &Plan, stack: &mut Stack, minutes: &Receiver<Minute>) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    println!(
        "days  resident MB  chunks kB  largest kB  snapshot kB  restart ms  series  cells  pending"
    );
    let measured_every = MEASURED_EVERY / MINUTE;
    for (minute, Minute { entries }) in (0i64..).zip(minutes) {
        stack.journal.append(Stream::Posts, &entries).unwrap();
        stack.is_away =
            plan.away.iter().any(|(from, minutes)| (*from..from + minutes).contains(&minute));
        stack.turn();
        if minute % 30 == 29 {
            stack.land();
        }
        if minute % 60 == 59 && minute % measured_every != measured_every - 1 {
            stack.snapshot();
        }
        if minute % measured_every == measured_every / 2 + 20 {
            // As after a kill: what came after the last snapshot is read, and written, again.
            stack.start();
        }
        if minute % measured_every == measured_every - 1 {
            let row = stack.measure();
            let Row { resident, chunks, largest, written, restart, series, cells, pending } = &row;
            println!(
                "{:>4.1}  {:>11}  {:>9}  {:>10}  {:>11}  {:>10}  {series:>6}  {cells:>5}  {pending:>7}",
                (minute + 1) as f64 / (24.0 * 60.0),
                resident >> 20,
                chunks >> 10,
                largest >> 10,
                written >> 10,
                restart.as_millis(),
            );
            rows.push(row);
        }
    }
    stack.finish();
    rows
}

/// Every hour's counts of topics in the world are what was sent.
fn check_counts(warehouse: &Local, expected: &Sent) {
    let export = Export { table: "counts".to_owned(), from: None, to: None, format: Format::Csv };
    let mut out = Vec::new();
    warehouse.export(&export, &mut out).unwrap();
    let rows = csv::Reader::from_reader(out.as_slice()).into_deserialize().map(Result::unwrap);
    let mut counted = Sent::new();
    for row in rows {
        let row: BTreeMap<String, String> = row;
        if row["region"] == "001" && row["final"] == "1" {
            let hour = pane_start(row["pane_start"].parse::<i64>().unwrap() * SECOND, HOUR);
            *counted.entry((row["topic"].clone(), hour)).or_default() +=
                row["posts"].parse::<u64>().unwrap();
        }
    }
    let differing: Vec<_> =
        expected.iter().filter(|(of, posts)| counted.get(of) != Some(posts)).collect();
    let shown: Vec<_> =
        differing.iter().take(5).map(|(of, posts)| (of, posts, counted.get(of))).collect();
    assert!(
        differing.is_empty(),
        "{} of {} counts differ, with what was sent and counted: {shown:?}",
        differing.len(),
        expected.len()
    );
}

fn check_growth(plan: &Plan, rows: &[Row], journal: &Measured) {
    for (number, row) in (1..).zip(rows) {
        let days = f64::from(number) / (DAY / MEASURED_EVERY) as f64;
        assert!(
            row.resident <= plan.resident_max,
            "after {days} days: {} MB resident",
            row.resident >> 20
        );
        assert!(
            row.largest <= CHUNK_BYTES_MAX,
            "after {days} days: a chunk of {} bytes",
            row.largest
        );
        assert!(
            row.restart <= plan.restart_max,
            "after {days} days: {} ms to restart",
            row.restart.as_millis()
        );
    }
    assert!(
        journal.largest_record() <= RECORD_BYTES_MAX,
        "a record of {} bytes",
        journal.largest_record()
    );
    // The row of that moment, and those after it.
    let full = usize::try_from(FULL_AFTER / MEASURED_EVERY).unwrap() - 1;
    let first = rows.get(full).unwrap_or_else(|| panic!("{} rows", rows.len()));
    for (after, row) in (0..).zip(&rows[full..]) {
        let history = row.series * HISTORY_BYTES * after * MEASURED_EVERY as u64 / DAY as u64;
        let (resident, largest) = (
            row.resident.saturating_sub(first.resident),
            row.largest.saturating_sub(first.largest),
        );
        assert!(
            resident <= history + SLACK_BYTES,
            "resident memory grew by {resident} bytes in {after} half days"
        );
        assert!(
            largest <= history + CHUNK_SLACK_BYTES,
            "the largest chunk grew by {largest} bytes in {after} half days"
        );
    }
}

/// All stages of an installation.
struct Stack {
    journal: Arc<Measured>,
    warehouse: Arc<Local>,
    partitions: u32,
    tallies: Vec<Driver<TallyStage>>,
    watch: Driver<WatchStage>,
    lander: Lander,
    /// Whether the last tally is away.
    is_away: bool,
    /// Its clock stands still: only the plan writes snapshots.
    context: Context,
}

/// New processes, which resume from the last snapshots.
fn start(
    journal: &Arc<Measured>,
    warehouse: &Arc<Local>,
    partitions: u32,
) -> (Vec<Driver<TallyStage>>, Driver<WatchStage>, Lander) {
    let (gaps, seen) = (Gaps::Stop, Arc::default());
    let tally = |partition| {
        let member = Box::new(Alone::with(partition));
        Driver::new(journal.clone(), member, TallyStage::new, gaps, Arc::clone(&seen))
    };
    let tallies = (0..partitions).map(tally).collect();
    let member = || Box::new(Alone::with(0));
    let watch = Driver::new(journal.clone(), member(), WatchStage::new, gaps, Arc::clone(&seen));
    (tallies, watch, Lander::new(journal.clone(), warehouse.clone(), member(), gaps))
}

impl Stack {
    fn new(journal: &Arc<Measured>, warehouse: &Arc<Local>, partitions: u32) -> Stack {
        let (tallies, watch, lander) = start(journal, warehouse, partitions);
        let (journal, warehouse) = (journal.clone(), warehouse.clone());
        let context = Context::default();
        let is_away = false;
        Stack { journal, warehouse, partitions, tallies, watch, lander, is_away, context }
    }

    fn start(&mut self) {
        (self.tallies, self.watch, self.lander) =
            start(&self.journal, &self.warehouse, self.partitions);
    }

    fn working(&mut self) -> &mut [Driver<TallyStage>] {
        let working = self.tallies.len() - usize::from(self.is_away);
        &mut self.tallies[..working]
    }

    /// Reads what there is.
    fn turn(&mut self) {
        let context = self.context.clone();
        for driver in self.working() {
            turn_all(driver, &context);
        }
        turn_all(&mut self.watch, &context);
    }

    fn land(&mut self) {
        turn_all(&mut self.lander, &self.context);
    }

    /// Snapshots of all stages; then retention deletes all that they no longer need.
    fn snapshot(&mut self) {
        let (journal, context) = (self.journal.clone(), self.context.clone());
        for driver in self.working() {
            driver.write_snapshots(&context, true).unwrap();
        }
        self.watch.write_snapshots(&context, true).unwrap();
        self.land();
        for stage in self.working().iter().flat_map(Driver::stages) {
            journal.inner.forget(Stream::Posts, stage.partition(), stage.next());
        }
        for stage in self.watch.stages() {
            journal.inner.forget(Stream::Tallies, 0, stage.next());
        }
        for stream in [Stream::Counts, Stream::Alerts] {
            let end = journal.extent(stream, 0).unwrap().end;
            journal.inner.forget(stream, 0, end);
        }
    }

    /// Measures, and restarts everything after a last snapshot.
    fn measure(&mut self) -> Row {
        let before = self.journal.put_bytes();
        self.snapshot();
        let written = self.journal.put_bytes() - before;
        let (chunks, largest) = self.journal.chunks();
        let of_watch: Vec<&WatchStage> = self.watch.stages().collect();
        let series = of_watch.iter().map(|stage| stage.series() as u64).sum();
        let (cells, pending) =
            of_watch.iter().map(|stage| stage.cells_and_pending()).next().unwrap_or_default();
        let resident =
            monitor::resident_bytes().unwrap_or(0).saturating_sub(self.journal.inner.bytes());
        let (cells, pending) = (cells as u64, pending as u64);
        let began = cpu_time();
        self.start();
        let context = self.context.clone();
        for driver in self.working() {
            driver.turn(&context).unwrap();
        }
        self.watch.turn(&context).unwrap();
        Row {
            resident,
            chunks,
            largest,
            written,
            restart: cpu_time() - began,
            series,
            cells,
            pending,
        }
    }

    fn finish(&mut self) {
        self.is_away = false;
        self.turn();
        self.land();
    }
}

/// Turns a role while there is work.
fn turn_all(role: &mut dyn Role, context: &Context) {
    while matches!(role.turn(context).unwrap(), Progress::Worked(_)) {}
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

/// What this thread has used of a processor, so that other load on the machine does not count.
fn cpu_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    Duration::from_nanos(stat.split(' ').next().and_then(|nanos| nanos.parse().ok()).unwrap_or(0))
}

fn minute_start(minute: i64) -> Micros {
    START + minute * MINUTE
}
