use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use journal::local::{LocalJournal, Options};
use journal::{Entry, Group as Members};
use record::time::HOUR as MICROS_OF_HOUR;
use record::{FeedSetting, FeedTick, Record, Settings, Span, Tick};
use tempfile::TempDir;
use warehouse::Local;

use super::*;
use crate::roles::land::Lander;
use crate::runtime::{Driver, Gaps, log, role};

const BEGIN: u64 = 490_000;
const HOURS: Duration = Duration::from_secs(HOUR);

struct World {
    folder: TempDir,
    hour: Arc<AtomicU64>,
    journal: Arc<LocalJournal>,
    warehouse: Arc<Local>,
    health: Health,
    metrics: Metrics,
}

impl World {
    fn new() -> World {
        let (folder, hour) = (TempDir::new().unwrap(), Arc::new(AtomicU64::new(BEGIN)));
        let seen = Arc::clone(&hour);
        let options = Options {
            clock: Box::new(move || seen.load(Ordering::SeqCst) * HOUR),
            ..Options::default()
        };
        let journal = LocalJournal::open(&folder.path().join("data"), 1, options).unwrap();
        let warehouse = Local::open(&folder.path().join("warehouse.sqlite")).unwrap();
        World {
            folder,
            hour,
            journal: Arc::new(journal),
            warehouse: Arc::new(warehouse),
            health: Health::default(),
            metrics: Metrics::default(),
        }
    }

    fn retention(&self, posts_hours: u32, hard_hours: u32) -> Retention<'_> {
        let ages = BTreeMap::from([
            (Stream::Posts, HOURS * posts_hours),
            (Stream::Tallies, HOURS * posts_hours),
            (Stream::Counts, HOURS * 720),
            (Stream::Rejects, HOURS * 720),
        ]);
        Retention {
            journal: &*self.journal,
            warehouse: &*self.warehouse,
            ages,
            hard_age: HOURS * hard_hours,
            cells: None,
            verdicts: None,
            clock: Agreement::default(),
            rows_at: None,
            health: &self.health,
            metrics: &self.metrics,
        }
    }

    fn now(&self) -> u64 {
        self.hour.load(Ordering::SeqCst) * HOUR
    }

    fn pass(&self, hours: u64) {
        self.hour.fetch_add(hours, Ordering::SeqCst);
    }

    fn append_ticks(&self, hours: std::ops::Range<i64>) {
        for hour in hours.map(|hour| BEGIN as i64 + hour) {
            let (from, reached) = (hour * MICROS_OF_HOUR, (hour + 1) * MICROS_OF_HOUR);
            let feed = FeedTick {
                feed: "feed".to_owned(),
                epoch: 1,
                from,
                reached,
                span: Span::Covered,
                ended: false,
            };
            let tick = Record::Tick(Tick { settings: 1, at: reached, feeds: vec![feed] });
            self.journal
                .append(Stream::Posts, &[Entry { partition: 0, bytes: tick.encode() }])
                .unwrap();
        }
    }

    /// All stages up to the end of what there is, as after a start; a gap would be an error.
    fn run_stages(&self) {
        let journal: Arc<dyn Journal> = self.journal.clone();
        let (gaps, seen) = (Gaps::Stop, Arc::default());
        let join = |group| journal.join(group).unwrap();
        let lander =
            Lander::new(journal.clone(), self.warehouse.clone(), join(Members::Land), gaps);
        let roles: [Box<dyn Role>; 3] = [
            Box::new(Driver::join(&journal, Members::Tally, TallyStage::new, gaps, &seen).unwrap()),
            Box::new(Driver::join(&journal, Members::Watch, WatchStage::new, gaps, &seen).unwrap()),
            Box::new(lander),
        ];
        for mut role in roles {
            let upstream = Some(Arc::new(AtomicBool::new(true)));
            let mut context = Context { upstream, ..Context::default() };
            role::run(&mut *role, &mut context).unwrap();
        }
    }

    fn snapshot_at(&self, position: Position) {
        let old = self.journal.keys(Stream::State, "manifest/tally/0/").unwrap();
        let old = old.into_iter().map(|key| (key, None));
        let new = (format!("manifest/tally/0/{position:020}/{:020}", 1), Some(b"x".to_vec()));
        self.journal.put(Stream::State, &old.chain([new]).collect::<Vec<_>>()).unwrap();
    }

    fn posts(&self) -> std::ops::Range<Position> {
        self.journal.extent(Stream::Posts, 0).unwrap()
    }
}

#[test]
fn a_start_after_80_hours_off_loses_nothing() {
    let world = World::new();
    let settings = Settings { feeds: vec![FeedSetting::new("feed", true)], ..Settings::default() };
    log::settle(&*world.journal, &settings, None).unwrap();
    world.append_ticks(1..4);
    world.run_stages();
    world.append_ticks(4..30);
    world.pass(80);
    let mut retention = world.retention(72, 168);
    retention.look(world.now(), Instant::now()).unwrap();
    let backlog = world.metrics.render();
    assert!(
        backlog.contains("pumphandle_backlog_age_seconds{stream=\"posts\"} 284400\n"),
        "{backlog}"
    );
    let conditions = world.health.readiness().degraded;
    assert_eq!(
        conditions.iter().map(|reason| reason.subject.as_str()).collect::<Vec<_>>(),
        ["tally"]
    );
    world.run_stages();
    let landed = world.warehouse.progress().unwrap();
    let counts = landed.iter().find(|progress| progress.stream == "counts").unwrap();
    assert_eq!(counts.next, world.journal.extent(Stream::Counts, 0).unwrap().end);
    // What all have read goes at the next look, and nobody is behind.
    world.append_ticks(30..31);
    world.run_stages();
    world.retention(72, 168).look(world.now(), Instant::now()).unwrap();
    assert_eq!(world.posts().end - world.posts().start, 1);
    assert_eq!(world.health.readiness().degraded, []);
    drop(world.folder);
}

#[test]
fn a_clock_step_deletes_nothing_that_is_needed() {
    let world = World::new();
    world.append_ticks(1..4);
    world.pass(2);
    let mut retention = world.retention(72, 168);
    let start = Instant::now();
    retention.look(world.now(), start).unwrap();
    let two_hours = start + 2 * HOURS;
    retention.look(world.now() + 2 * HOUR, two_hours).unwrap();
    // Thirty days ahead, for as long as it lasts: an hour of agreement is needed first.
    let ahead = world.now() + 722 * HOUR;
    retention.look(ahead, two_hours).unwrap();
    retention.look(ahead + 600, two_hours + Duration::from_secs(600)).unwrap();
    retention.look(world.now() + 3 * HOUR, two_hours + HOURS).unwrap();
    assert_eq!(world.posts(), 0..3);
}

#[test]
fn what_is_unread_goes_at_the_hard_age_and_is_reported_before() {
    let world = World::new();
    world.append_ticks(1..4);
    let mut retention = world.retention(72, 168);
    let start = Instant::now();
    retention.look(world.now(), start).unwrap();
    assert_eq!(world.health.readiness().degraded, []);
    world.pass(49);
    retention.look(world.now(), start + 49 * HOURS).unwrap();
    let detail = &world.health.readiness().degraded[0].detail;
    assert_eq!(detail, "tally has not read records that are 48 h old; they are deleted at 168 h");
    world.pass(168 - 49);
    retention.look(world.now(), start + 168 * HOURS).unwrap();
    assert_eq!(world.posts(), 0..3, "the last of the hour is not as old");
    world.pass(1);
    retention.look(world.now(), start + 169 * HOURS).unwrap();
    assert_eq!(world.posts(), 3..3);
}

/// Whole hours go once they are old and read, or very old; nothing else.
#[test]
fn deletion_is_that_of_a_naive_model() {
    const AGE: u64 = 24;
    const HARD: u64 = 72;
    for seed in 1..=30_u64 {
        let mut state = seed;
        let mut random = |below: u64| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % below
        };
        let world = World::new();
        let mut retention = world.retention(AGE as u32, HARD as u32);
        let start = Instant::now();
        let mut hours: Vec<u64> = Vec::new();
        let (mut low, mut needed) = (0_usize, 0_u64);
        retention.look(world.now(), start).unwrap();
        for _ in 0..60 {
            let hour = world.hour.load(Ordering::SeqCst);
            match random(4) {
                0 => {
                    world.append_ticks(0..1);
                    hours.push(hour);
                }
                1 => world.pass(1 + random(29)),
                2 => {
                    needed = needed.max(hours.len() as u64 * random(101) / 100);
                    world.snapshot_at(needed);
                }
                _ => {
                    let passed = u32::try_from(hour - BEGIN).unwrap();
                    retention.look(world.now(), start + passed * HOURS).unwrap();
                    while let Some(oldest) = hours.get(low).copied() {
                        let end = hours.iter().rposition(|of| *of == oldest).unwrap() + 1;
                        let is_past = |age: u64| hour > oldest + age;
                        if !(is_past(AGE) && end as u64 <= needed || passed >= 1 && is_past(HARD)) {
                            break;
                        }
                        low = end;
                    }
                }
            }
            assert_eq!(world.posts(), low as u64..hours.len() as u64, "seed {seed}");
        }
    }
}
