//! A deterministic simulation of all roles over the journal in memory: every fault that a seed can
//! think of, and the same numbers.
//!
//! Tally, watch and land as they are, and a model of ingest, run as processes that are turned in
//! any order, killed between any two calls, thought dead while they sleep, and turned again when
//! somebody else has taken over.
//! Between two calls of one process another may take a whole turn. In the end the warehouse holds
//! what a straight run without faults says, row for row.
//! Knows no clock and no thread: a seed is a story.

mod check;
mod ingest;
mod posts;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::{Duration, Instant};

use journal::memory::MemoryJournal;
use journal::{Batch, Change, Entry, Group, Journal, JournalError, Membership, Position, Stream};
use record::{Micros, Record, Version};
use surveillance::Manifest;

use warehouse::{Landing, Local, Reference, WarehouseError};

use crate::roles::land::Lander;
use crate::roles::tally::TallyStage;
use crate::roles::watch::WatchStage;
use crate::runtime::driver::SNAPSHOT_EVERY;
use crate::runtime::log::{self, LogState};
use crate::runtime::{Context, Driver, Gaps, Progress, Role, Stage};
use ingest::Worker;
use posts::{Rng, Story};

const SEEDS: u64 = 500;
/// A long run's streams are small ones elsewhere; a whole pipeline is worth twenty of them.
const STREAMS_A_SEED: u64 = 20;
/// No story is so long.
const STEPS_MAX: u64 = 40_000;
/// After everything has landed those who were thought dead go on for so long.
const STEPS_AFTER: u64 = 60;
/// Of one group.
const PROCESSES_MAX: usize = 3;
const KILLED: &str = "killed by the simulation";

/// How often what the simulation is for has happened, over all seeds.
#[derive(Debug, Clone, Copy, Default)]
struct Happened {
    kills: u64,
    lost_replies: u64,
    between: u64,
    late_frames: u64,
    late_manifests: u64,
    late_counts: u64,
    late_alerts: u64,
    late_ticks: u64,
    late_landings: u64,
    posts: u64,
    alerts: u64,
}

impl Happened {
    fn add(&mut self, other: Happened) {
        self.kills += other.kills;
        self.lost_replies += other.lost_replies;
        self.between += other.between;
        self.late_frames += other.late_frames;
        self.late_manifests += other.late_manifests;
        self.late_counts += other.late_counts;
        self.late_alerts += other.late_alerts;
        self.late_ticks += other.late_ticks;
        self.late_landings += other.late_landings;
        self.posts += other.posts;
        self.alerts += other.alerts;
    }
}

/// `PUMPHANDLE_STREAMS` asks for a long run, `PUMPHANDLE_SEED` is the first seed.
#[test]
fn no_fault_of_any_process_changes_a_number() {
    let number = |name: &str| std::env::var(name).ok().and_then(|value| value.parse::<u64>().ok());
    let first = number("PUMPHANDLE_SEED").unwrap_or(0);
    let seeds =
        number("PUMPHANDLE_STREAMS").map_or(SEEDS, |streams| streams.div_ceil(STREAMS_A_SEED));
    let folder = tempfile::tempdir().unwrap();
    let empty = folder.path().join("empty.sqlite");
    drop(Local::open(&empty).unwrap());
    let mut happened = Happened::default();
    for seed in first..first + seeds {
        let told = std::panic::catch_unwind(|| simulate(seed, folder.path(), &empty));
        match told {
            Ok(told) => happened.add(told),
            Err(panic) => {
                eprintln!(
                    "seed {seed}: PUMPHANDLE_SEED={seed} PUMPHANDLE_STREAMS=1 begins with it"
                );
                std::panic::resume_unwind(panic);
            }
        }
    }
    println!("{seeds} seeds: {happened:?}");
    if seeds >= SEEDS {
        let Happened {
            late_frames,
            late_manifests,
            late_counts,
            late_alerts,
            late_ticks,
            late_landings,
            alerts,
            ..
        } = happened;
        for of_one_kind in [
            late_frames,
            late_manifests,
            late_counts,
            late_alerts,
            late_ticks,
            late_landings,
            alerts,
        ] {
            assert!(of_one_kind > 0, "a fault has not happened: {happened:?}");
        }
    }
}

fn simulate(seed: u64, folder: &Path, empty: &Path) -> Happened {
    let mut rng = Rng::new(seed);
    let story = Story::new(&mut rng);
    let warehouse = fresh_warehouse(folder, empty, "landed");
    let simulation = Arc::new_cyclic(|me| Simulation {
        journal: MemoryJournal::new(story.partitions),
        warehouse,
        state: Mutex::new(State {
            me: me.clone(),
            began: Instant::now(),
            faults: rng.pick(&[0, 5, 20, 60]),
            nested: rng.pick(&[0, 2, 10]),
            moves: rng.pick(&[0, 2, 6]),
            snapshots: rng.pick(&[5, 20, 50]),
            rng,
            next_id: 0,
            processes: BTreeMap::new(),
            owners: BTreeMap::new(),
            told: BTreeMap::new(),
            running: Vec::new(),
            step: 0,
            said: story.feeds.iter().map(|_| Said::default()).collect(),
            furthest: BTreeMap::new(),
            newest: Version::default(),
            landed: [0; 2],
            complete: BTreeSet::new(),
            restores: BTreeSet::new(),
            happened: Happened::default(),
        }),
        story,
    });
    simulation.run();
    check::check(&simulation, folder, empty);
    // They hold the simulation, which holds them.
    let processes = std::mem::take(&mut simulation.state().processes);
    drop(processes);
    Happened {
        posts: simulation.story.feeds.iter().map(|feed| feed.lines.len() as u64).sum(),
        ..simulation.state().happened
    }
}

fn fresh_warehouse(folder: &Path, empty: &Path, name: &str) -> Local {
    let file = folder.join(format!("{name}.sqlite"));
    for beside in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(folder.join(format!("{name}.sqlite{beside}")));
    }
    std::fs::copy(empty, &file).unwrap();
    Local::open(&file).unwrap()
}

struct Simulation {
    story: Story,
    journal: MemoryJournal,
    warehouse: Local,
    state: Mutex<State>,
}

struct State {
    me: Weak<Simulation>,
    began: Instant,
    rng: Rng,
    /// Of a thousand calls so many fail.
    faults: u64,
    /// Between two calls of one process so often, in percent, another takes its turn.
    nested: u64,
    /// Of a hundred steps.
    moves: u64,
    /// Of a hundred turns.
    snapshots: u64,
    next_id: u64,
    processes: BTreeMap<u64, Process>,
    /// Who a group has given each partition to; of ingest, each feed.
    owners: BTreeMap<(Group, u32), u64>,
    /// What a process is to be told of its membership, after so many turns.
    told: BTreeMap<u64, VecDeque<(u64, Change)>>,
    /// Those whose turn it is, innermost last.
    running: Vec<(Group, u64)>,
    step: u64,
    /// Of each feed.
    said: Vec<Said>,
    /// The furthest frame of each partition of `posts`.
    furthest: BTreeMap<u32, Position>,
    newest: Version,
    landed: [Position; 2],
    /// The stages of which there has ever been a complete snapshot; and what process must go on
    /// from one.
    complete: BTreeSet<(String, u32)>,
    restores: BTreeSet<(u64, u32)>,
    happened: Happened,
}

/// What owners of a feed have ticked in all partitions.
#[derive(Debug, Clone, Default)]
struct Said {
    epoch: u64,
    reached: Option<Micros>,
    ended: bool,
}

struct Process {
    group: Group,
    role: Box<dyn Role>,
    /// Its clock moves only when a snapshot is due.
    now: Instant,
    wakes_at: u64,
}

/// The membership of one process.
struct Member {
    simulation: Arc<Simulation>,
    id: u64,
}

impl Membership for Member {
    fn changes(&mut self, _wait: Duration) -> Result<Vec<Change>, JournalError> {
        let mut state = self.simulation.state();
        let queue = state.told.entry(self.id).or_default();
        let mut changes = Vec::new();
        while let Some((turns, change)) = queue.pop_front() {
            if turns > 0 {
                queue.push_front((turns - 1, change));
                break;
            }
            changes.push(change);
        }
        let stage = match state.running.last() {
            Some((Group::Tally, _)) => TallyStage::NAME,
            Some((Group::Watch, _)) => WatchStage::NAME,
            _ => return Ok(changes),
        };
        for change in &changes {
            let (Change::Given(partition) | Change::Taken(partition)) = *change;
            let restores = matches!(change, Change::Given(_))
                && state.complete.contains(&(stage.to_owned(), partition));
            match restores {
                true => state.restores.insert((self.id, partition)),
                false => state.restores.remove(&(self.id, partition)),
            };
        }
        Ok(changes)
    }

    fn show(&mut self, _partition: u32, _next: Position) {}
}

impl State {
    fn is_time(&mut self) -> bool {
        let percent = self.snapshots;
        self.rng.chance(percent)
    }

    fn spawn(&mut self, group: Group) -> u64 {
        self.next_id += 1;
        let simulation = self.me.upgrade().unwrap();
        let journal: Arc<dyn Journal> = simulation.clone();
        let member = Box::new(Member { simulation: simulation.clone(), id: self.next_id });
        let (gaps, seen) = (Gaps::Stop, Arc::default());
        let role: Box<dyn Role> = match group {
            Group::Ingest => Box::new(Worker::new(simulation, member)),
            Group::Tally => Box::new(Driver::new(journal, member, TallyStage::new, gaps, seen)),
            Group::Watch => Box::new(Driver::new(journal, member, WatchStage::new, gaps, seen)),
            Group::Land => {
                Box::new(Lander::new(journal, Arc::new(Unsteady(simulation)), member, gaps))
            }
            Group::Notify => unreachable!("there are no deliveries in a simulation"),
        };
        let process = Process { group, role, now: self.began, wakes_at: 0 };
        self.processes.insert(self.next_id, process);
        self.next_id
    }

    /// Gives a partition to another process, or to a new one. Who had it hears of it some turns
    /// later.
    fn give(&mut self, group: Group, partition: u32) {
        let before = self.owners.get(&(group, partition)).copied();
        let of_group: Vec<u64> = self
            .processes
            .iter()
            .filter(|(_, process)| process.group == group)
            .map(|(id, _)| *id)
            .collect();
        let others: Vec<u64> = of_group.iter().copied().filter(|id| Some(*id) != before).collect();
        let is_new = others.is_empty() || (of_group.len() < PROCESSES_MAX && self.rng.chance(50));
        let owner = if is_new { self.spawn(group) } else { self.rng.pick(&others) };
        self.owners.insert((group, partition), owner);
        self.told.entry(owner).or_default().push_back((0, Change::Given(partition)));
        if let Some(before) = before.filter(|before| self.told.contains_key(before)) {
            let turns = self.rng.below(8);
            self.told.entry(before).or_default().push_back((turns, Change::Taken(partition)));
        }
    }

    /// What it had goes to others.
    fn bury(&mut self, id: u64) {
        self.happened.kills += 1;
        self.processes.remove(&id);
        self.told.remove(&id);
        let left: Vec<(Group, u32)> =
            self.owners.iter().filter(|(_, owner)| **owner == id).map(|(had, _)| *had).collect();
        for (group, partition) in left {
            self.give(group, partition);
        }
    }

    /// Whether the process whose turn it is has been given the partition; if not, it is one that
    /// was thought dead.
    fn is_owner(&self, group: Group, partition: u32) -> bool {
        let owner = self.owners.get(&(group, partition));
        self.running.last().is_none_or(|(of, id)| *of != group || owner == Some(id))
    }

    /// What happens to a call.
    fn fault(&mut self) -> Fault {
        let faults = self.faults;
        if !self.rng.of_thousand(faults) {
            return Fault::None;
        }
        self.happened.lost_replies += 1;
        let kills = self.rng.chance(50);
        match self.rng.below(3) {
            0 => Fault::Before { kills },
            1 => Fault::Midway { kills },
            _ => Fault::After { kills },
        }
    }
}

/// Where a call fails, and whether whoever called dies of it or says it again.
#[derive(Debug, Clone, Copy)]
enum Fault {
    None,
    Before { kills: bool },
    Midway { kills: bool },
    After { kills: bool },
}

impl Simulation {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn run(&self) {
        while log::settle(self, &self.story.settings, None).is_err() {}
        {
            let mut state = self.state();
            let partitions = self.story.partitions;
            let feeds = self.story.feeds.len() as u32;
            for (group, partitions) in [
                (Group::Ingest, feeds),
                (Group::Tally, partitions),
                (Group::Watch, 1),
                (Group::Land, 1),
            ] {
                (0..partitions).for_each(|partition| state.give(group, partition));
            }
        }
        let mut ended = false;
        while log::state(&self.journal).unwrap() != LogState::Drained {
            self.step();
            if !ended
                && self.state().said.iter().all(|said| said.ended)
                && self.state().rng.chance(20)
            {
                ended = log::end(self).is_ok();
            }
        }
        for _ in 0..STEPS_AFTER {
            self.step();
        }
        // What was said after everything had landed lands too.
        let mut state = self.state();
        (state.faults, state.nested) = (0, 0);
        let me = state.me.upgrade().unwrap();
        drop(state);
        let membership = self.journal.join(Group::Land).unwrap();
        let unsteady = Arc::new(Unsteady(me.clone()));
        let mut lander = Lander::new(me, unsteady, membership, Gaps::Stop);
        while matches!(lander.turn(&Context::default()).unwrap(), Progress::Worked(_)) {}
    }

    fn step(&self) {
        let mut state = self.state();
        state.step += 1;
        assert!(state.step < STEPS_MAX, "it never ends: {:?}", state.said);
        let ids: Vec<u64> = state.processes.keys().copied().collect();
        let id = state.rng.pick(&ids);
        let moves = state.moves;
        if state.rng.chance(moves) {
            match state.rng.below(3) {
                0 => state.bury(id),
                1 => {
                    let had: Vec<(Group, u32)> = state.owners.keys().copied().collect();
                    let (group, partition) = state.rng.pick(&had);
                    state.give(group, partition);
                }
                _ => {
                    // Thought dead: all that it had goes to others, and it hears nothing until it
                    // wakes.
                    let wakes_at = state.step + state.rng.below(150);
                    state.processes.get_mut(&id).unwrap().wakes_at = wakes_at;
                    let had: Vec<(Group, u32)> = state
                        .owners
                        .iter()
                        .filter(|(_, owner)| **owner == id)
                        .map(|(had, _)| *had)
                        .collect();
                    had.into_iter().for_each(|(group, partition)| state.give(group, partition));
                }
            }
            return;
        }
        drop(state);
        self.turn(id);
    }

    fn turn(&self, id: u64) {
        let mut state = self.state();
        let step = state.step;
        if state.processes.get(&id).is_none_or(|process| process.wakes_at > step) {
            return;
        }
        let mut process = state.processes.remove(&id).unwrap();
        state.running.push((process.group, id));
        if state.is_time() {
            process.now += SNAPSHOT_EVERY;
        }
        drop(state);
        let context = Context { now: process.now, ..Context::default() };
        let result = process.role.turn(&context);
        let mut state = self.state();
        state.running.pop();
        match result {
            Ok(_) => {
                state.processes.insert(id, process);
            }
            Err(error) => {
                let told = format!("{error:#}");
                assert!(told.contains(KILLED), "a {} stopped: {told}", process.group.name());
                state.bury(id);
            }
        }
    }

    /// Between two calls of the process whose turn it is.
    fn between(&self) {
        let mut state = self.state();
        let nested = state.nested;
        if state.running.len() != 1 || !state.rng.chance(nested) {
            return;
        }
        let ids: Vec<u64> = state.processes.keys().copied().collect();
        if ids.is_empty() {
            return;
        }
        let id = state.rng.pick(&ids);
        state.happened.between += 1;
        drop(state);
        self.turn(id);
    }

    fn fail<T>(kills: bool) -> Result<T, JournalError> {
        let reason = KILLED.to_owned();
        match kills {
            true => Err(JournalError::Broken { action: "go on".to_owned(), reason }),
            false => Err(JournalError::Unreachable { brokers: "memory".to_owned(), reason }),
        }
    }

    /// Counts what those who were thought dead say when others have gone further.
    fn note_append(&self, stream: Stream, entries: &[Entry]) {
        if !matches!(stream, Stream::Tallies | Stream::Counts | Stream::Alerts) {
            return;
        }
        let mut state = self.state();
        for entry in entries {
            match Record::decode(&entry.bytes).unwrap() {
                Record::Frame(frame) => {
                    let furthest = state.furthest.get(&frame.partition).copied();
                    let late = furthest >= Some(frame.position)
                        && !state.is_owner(Group::Tally, frame.partition);
                    state.happened.late_frames += u64::from(late);
                    state
                        .furthest
                        .insert(frame.partition, frame.position.max(furthest.unwrap_or(0)));
                }
                Record::Count(count) => {
                    let late = count.version < state.newest && !state.is_owner(Group::Watch, 0);
                    state.happened.late_counts += u64::from(late);
                    state.newest = state.newest.max(count.version);
                }
                Record::Alert(alert) => {
                    let late = alert.version < state.newest && !state.is_owner(Group::Watch, 0);
                    state.happened.late_alerts += u64::from(late);
                    state.happened.alerts += u64::from(alert.revision == 0);
                }
                _ => {}
            }
        }
    }

    fn note_put(&self, pairs: &[(String, Option<Vec<u8>>)]) {
        for (key, _) in
            pairs.iter().filter(|(key, value)| key.starts_with("manifest/") && value.is_some())
        {
            let (stage, partition, prefix) = stage_of(key);
            let group = if stage == TallyStage::NAME { Group::Tally } else { Group::Watch };
            let further = self
                .journal
                .keys(Stream::State, &prefix)
                .unwrap()
                .last()
                .is_some_and(|last| last > key);
            let mut state = self.state();
            let late = further && !state.is_owner(group, partition);
            state.happened.late_manifests += u64::from(late);
        }
    }

    /// A stage that has ever had a complete snapshot always has one.
    fn check_snapshots(&self) {
        let keys = self.journal.keys(Stream::State, "").unwrap();
        let mut complete = BTreeSet::new();
        for key in keys.iter().filter(|key| key.starts_with("manifest/")) {
            let (stage, partition, _) = stage_of(key);
            let epoch = key.rsplit('/').next().unwrap();
            let manifest =
                Manifest::decode(&self.journal.get(Stream::State, key).unwrap().unwrap()).unwrap();
            let chunk = |name: &[u8; 32]| {
                format!(
                    "chunk/{stage}/{partition}/{epoch}/{}",
                    blake3::Hash::from_bytes(*name).to_hex()
                )
            };
            if manifest.chunks.iter().all(|name| keys.binary_search(&chunk(name)).is_ok()) {
                complete.insert((stage.to_owned(), partition));
            }
        }
        let mut state = self.state();
        for stage in &state.complete {
            assert!(complete.contains(stage), "no complete snapshot of {stage:?} is left");
        }
        state.complete.extend(complete);
    }
}

/// What a manifest is of, and what all manifests of it begin with.
fn stage_of(key: &str) -> (&str, u32, String) {
    let parts: Vec<&str> = key.split('/').collect();
    (parts[1], parts[2].parse().unwrap(), parts[..3].join("/") + "/")
}

impl Journal for Simulation {
    fn generation(&self) -> u16 {
        self.journal.generation()
    }

    fn partitions(&self, stream: Stream) -> u32 {
        self.journal.partitions(stream)
    }

    /// As in Kafka: what fails may have reached some partitions, and of each the first entries.
    fn append(&self, stream: Stream, entries: &[Entry]) -> Result<Vec<Position>, JournalError> {
        self.between();
        self.note_append(stream, entries);
        let fault = self.state().fault();
        match fault {
            Fault::None => self.journal.append(stream, entries),
            Fault::Before { kills } => Simulation::fail(kills),
            Fault::Midway { kills } => {
                let first: BTreeMap<u32, u64> = {
                    let mut state = self.state();
                    (0..self.partitions(stream))
                        .map(|partition| (partition, state.rng.below(entries.len() as u64 + 1)))
                        .collect()
                };
                let reached =
                    (0u64..).zip(entries).filter(|(nth, entry)| *nth < first[&entry.partition]);
                let reached: Vec<Entry> = reached.map(|(_, entry)| entry.clone()).collect();
                self.journal.append(stream, &reached)?;
                Simulation::fail(kills)
            }
            Fault::After { kills } => {
                self.journal.append(stream, entries)?;
                Simulation::fail(kills)
            }
        }
    }

    fn read(
        &self,
        stream: Stream,
        partition: u32,
        from: Position,
        _bytes_max: usize,
        wait: Duration,
    ) -> Result<Batch, JournalError> {
        self.between();
        let mut state = self.state();
        let bytes_max = state.rng.pick(&[1, 1_000, 10_000, 1 << 20]);
        let fault = state.fault();
        let is_stage = matches!(stream, Stream::Posts | Stream::Tallies);
        let begins = from == 0
            && state
                .running
                .last()
                .is_some_and(|(_, id)| is_stage && state.restores.contains(&(*id, partition)));
        drop(state);
        assert!(
            !begins,
            "`{}` is read from its beginning, though there is a snapshot",
            stream.name()
        );
        match fault {
            Fault::None => self.journal.read(stream, partition, from, bytes_max, wait),
            Fault::Before { kills } | Fault::Midway { kills } | Fault::After { kills } => {
                Simulation::fail(kills)
            }
        }
    }

    fn extent(&self, stream: Stream, partition: u32) -> Result<Range<Position>, JournalError> {
        self.between();
        self.journal.extent(stream, partition)
    }

    fn put(
        &self,
        stream: Stream,
        pairs: &[(String, Option<Vec<u8>>)],
    ) -> Result<Vec<Position>, JournalError> {
        self.between();
        self.note_put(pairs);
        let fault = self.state().fault();
        let result = match fault {
            Fault::None => self.journal.put(stream, pairs),
            Fault::Before { kills } => Simulation::fail(kills),
            Fault::Midway { kills } => {
                let first = self.state().rng.below(pairs.len() as u64 + 1) as usize;
                self.journal.put(stream, &pairs[..first])?;
                Simulation::fail(kills)
            }
            Fault::After { kills } => {
                self.journal.put(stream, pairs)?;
                Simulation::fail(kills)
            }
        };
        if stream == Stream::State {
            self.check_snapshots();
        }
        result
    }

    fn get(&self, stream: Stream, key: &str) -> Result<Option<Vec<u8>>, JournalError> {
        self.between();
        match self.state().fault() {
            Fault::None => self.journal.get(stream, key),
            Fault::Before { kills } | Fault::Midway { kills } | Fault::After { kills } => {
                Simulation::fail(kills)
            }
        }
    }

    fn keys(&self, stream: Stream, prefix: &str) -> Result<Vec<String>, JournalError> {
        self.between();
        match self.state().fault() {
            Fault::None => self.journal.keys(stream, prefix),
            Fault::Before { kills } | Fault::Midway { kills } | Fault::After { kills } => {
                Simulation::fail(kills)
            }
        }
    }
}

/// The warehouse, whose replies may be lost, and which may stop between rows and progress.
struct Unsteady(Arc<Simulation>);

impl Unsteady {
    fn fail<T>(kills: bool) -> Result<T, WarehouseError> {
        let place = KILLED.to_owned();
        match kills {
            true => Err(WarehouseError::Damaged { place, source: KILLED.into() }),
            false => Err(WarehouseError::Busy { place, source: KILLED.into() }),
        }
    }
}

impl Landing for Unsteady {
    fn write(
        &self,
        rows: &[Record],
        progress: &[warehouse::Progress],
    ) -> Result<(), WarehouseError> {
        self.0.between();
        let mut state = self.0.state();
        for warehouse::Progress { stream, next, .. } in progress {
            let landed = usize::from(stream == Stream::Alerts.name());
            let late = *next < state.landed[landed] && !state.is_owner(Group::Land, 0);
            state.happened.late_landings += u64::from(late);
            state.landed[landed] = state.landed[landed].max(*next);
        }
        let fault = state.fault();
        let first = state.rng.below(rows.len() as u64 + 1) as usize;
        drop(state);
        match fault {
            Fault::None => self.0.warehouse.write(rows, progress),
            Fault::Before { kills } => Unsteady::fail(kills),
            Fault::Midway { kills } => {
                self.0.warehouse.write(&rows[..first], &[])?;
                Unsteady::fail(kills)
            }
            Fault::After { kills } => {
                self.0.warehouse.write(rows, progress)?;
                Unsteady::fail(kills)
            }
        }
    }

    fn progress(&self) -> Result<Vec<warehouse::Progress>, WarehouseError> {
        self.0.between();
        match self.0.state().fault() {
            Fault::None => self.0.warehouse.progress(),
            Fault::Before { kills } | Fault::Midway { kills } | Fault::After { kills } => {
                Unsteady::fail(kills)
            }
        }
    }

    fn write_reference(&self, rows: &[Reference]) -> Result<(), WarehouseError> {
        self.0.warehouse.write_reference(rows)
    }
}
