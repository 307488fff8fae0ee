use std::env;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use proptest::collection::vec;
use proptest::prelude::*;
use rusqlite::Connection;
use tempfile::TempDir;

use super::hour::HourFile;
use super::*;
use crate::contract::{self, Setup};
use crate::memory::MemoryJournal;

const FIRST_HOUR: u64 = 490_000;

/// A journal in a folder of its own, under a clock that the test sets.
struct Folder {
    folder: TempDir,
    partitions: u32,
    pages_max: Option<u32>,
    hour: Arc<AtomicU64>,
    journal: Option<LocalJournal>,
}

impl Folder {
    fn new(partitions: u32) -> Folder {
        Folder::limited(partitions, None)
    }

    fn limited(partitions: u32, pages_max: Option<u32>) -> Folder {
        let mut folder = Folder {
            folder: TempDir::new().unwrap(),
            partitions,
            pages_max,
            hour: Arc::new(AtomicU64::new(FIRST_HOUR)),
            journal: None,
        };
        folder.reopen();
        folder
    }

    fn options(&self) -> Options {
        let hour = Arc::clone(&self.hour);
        Options {
            clock: Box::new(move || hour.load(Ordering::Relaxed) * 3600),
            pages_max: self.pages_max,
            ..Options::default()
        }
    }

    fn try_open(&self) -> Result<LocalJournal, JournalError> {
        LocalJournal::open(self.folder.path(), self.partitions, self.options())
    }

    fn local(&self) -> &LocalJournal {
        self.journal.as_ref().unwrap()
    }

    fn pass_hours(&self, hours: u64) -> u64 {
        self.hour.fetch_add(hours, Ordering::Relaxed) + hours
    }

    fn enforce_retention(&self) -> Deleted {
        let now = self.hour.load(Ordering::Relaxed) * 3600;
        self.local().enforce_retention(now).unwrap()
    }

    fn append(&self, stream: Stream, records: &[&str]) -> Vec<Position> {
        let entries: Vec<Entry> =
            records.iter().map(|record| entry(0, record.as_bytes().to_vec())).collect();
        self.local().append(stream, &entries).unwrap()
    }

    fn read(&self, stream: Stream, from: Position) -> Result<Vec<String>, JournalError> {
        let batch = self.local().read(stream, 0, from, usize::MAX, Duration::ZERO)?;
        Ok(batch.records.into_iter().map(|(_, bytes)| String::from_utf8(bytes).unwrap()).collect())
    }

    fn extent(&self, stream: Stream) -> Range<Position> {
        self.local().extent(stream, 0).unwrap()
    }

    fn files(&self, stream: Stream) -> Vec<String> {
        let folder = self.folder.path().join("streams").join(stream.name());
        let mut names: Vec<String> = fs::read_dir(folder)
            .unwrap()
            .map(|file| file.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    fn databases(&self, stream: Stream) -> Vec<String> {
        let mut names = self.files(stream);
        names.retain(|name| name.ends_with(".sqlite"));
        names
    }

    fn file(&self, stream: Stream, hour: u64) -> PathBuf {
        self.folder.path().join(format!("streams/{}/{hour}.sqlite", stream.name()))
    }
}

impl Setup for Folder {
    fn journal(&self) -> &dyn Journal {
        self.local()
    }

    fn reopen(&mut self) -> bool {
        self.journal = None;
        self.journal = Some(self.try_open().unwrap());
        true
    }

    fn expire(&mut self, stream: Stream) {
        self.pass_hours(73);
        self.journal = None;
        let mut options = self.options();
        options.retention.retain(|of, _| *of == stream);
        self.journal =
            Some(LocalJournal::open(self.folder.path(), self.partitions, options).unwrap());
        self.enforce_retention();
    }
}

fn entry(partition: u32, bytes: impl Into<Vec<u8>>) -> Entry {
    Entry { partition, bytes: bytes.into() }
}

#[test]
fn keeps_the_contract() {
    contract::check(Folder::new);
}

#[test]
fn a_second_opener_is_told_who_holds_the_folder() {
    let mut folder = Folder::new(1);
    let error = folder.try_open().err().unwrap();
    assert!(!error.retry());
    let expected = format!(
        "data folder `{}` is in use by process {}",
        folder.folder.path().display(),
        std::process::id()
    );
    assert_eq!(error.to_string(), expected);
    folder.reopen();
}

#[test]
fn a_child_process_being_started_does_not_keep_the_lock() {
    let folder = TempDir::new().unwrap();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                Command::new(env::current_exe().unwrap())
                    .arg("--list")
                    .stdout(Stdio::null())
                    .status()
                    .unwrap();
            }
        });
        let taken: Vec<bool> = (0..1_000).map(|_| Lock::take(folder.path()).is_ok()).collect();
        done.store(true, Ordering::Relaxed);
        assert!(taken.iter().all(|taken| *taken));
    });
}

#[test]
fn another_partition_count_is_refused_with_both_and_a_way_out() {
    let mut folder = Folder::new(4);
    folder.append(Stream::Posts, &["x"]);
    folder.append(Stream::Alerts, &["kept"]);
    folder.journal = None;
    folder.partitions = 6;
    let error = folder.try_open().err().unwrap();
    assert!(matches!(error, JournalError::Partitions { recorded: 4, requested: 6, .. }));
    assert!(error.to_string().contains("pumphandle migrate"), "{error}");
    assert!(!error.retry());

    let keep = [Stream::Alerts, Stream::Posts];
    folder.journal =
        Some(LocalJournal::open_anew(folder.folder.path(), 6, folder.options(), &keep).unwrap());
    assert_eq!(folder.local().generation(), 2);
    assert_eq!(folder.local().partitions(Stream::Posts), 6);
    assert_eq!(folder.extent(Stream::Posts), 0..0, "posts can't be kept over it");
    assert_eq!(folder.read(Stream::Alerts, 0).unwrap(), ["kept"]);
    folder.reopen();
    assert_eq!(folder.local().partitions(Stream::Posts), 6);

    for requested in [0, PARTITIONS_MAX + 1] {
        let error =
            LocalJournal::open(&folder.folder.path().join("other"), requested, Options::default())
                .err()
                .unwrap();
        assert!(matches!(error, JournalError::PartitionsOutOfRange { .. }));
    }
}

#[test]
fn retention_deletes_whole_hours_and_positions_go_on() {
    let mut folder = Folder::new(2);
    for _ in 0..3 {
        folder.append(Stream::Posts, &["a", "b"]);
        folder.append(Stream::Alerts, &["c"]);
        folder.pass_hours(1);
    }
    folder.pass_hours(69);
    assert_eq!(
        folder.enforce_retention(),
        Deleted::default(),
        "72 h after its last instant, not before"
    );
    folder.pass_hours(1);
    let deleted = folder.enforce_retention();
    assert!(deleted.files == 1 && deleted.bytes > 0);
    assert_eq!(folder.extent(Stream::Posts), 2..6);
    assert!(matches!(folder.read(Stream::Posts, 1), Err(JournalError::Gone { low: 2, .. })));
    assert_eq!(folder.read(Stream::Posts, 2).unwrap(), ["a", "b", "a", "b"]);

    let hour = folder.pass_hours(1000);
    assert_eq!(folder.enforce_retention().files, 2);
    assert_eq!(folder.extent(Stream::Posts), 6..6, "nothing left, nothing forgotten");
    let left = folder.files(Stream::Posts);
    assert_eq!(left[0], format!("{hour}.sqlite"));
    assert!(left[1..].iter().all(|name| name.starts_with(&left[0])), "{left:?}");
    folder.reopen();
    assert_eq!(folder.extent(Stream::Posts), 6..6);
    folder.pass_hours(1000);
    assert_eq!(folder.enforce_retention(), Deleted::default(), "an empty file may stay");
    assert_eq!(folder.append(Stream::Posts, &["d"]), [6]);
    assert_eq!(folder.read(Stream::Posts, 6).unwrap(), ["d"]);
    assert_eq!(folder.read(Stream::Alerts, 0).unwrap(), ["c", "c", "c"], "for ever");
}

#[test]
fn alerts_share_a_file_for_a_month() {
    let folder = Folder::new(1);
    for _ in 0..3 {
        folder.append(Stream::Alerts, &["x"]);
        folder.pass_hours(359);
    }
    assert_eq!(folder.databases(Stream::Alerts).len(), 1);
    folder.pass_hours(1);
    folder.append(Stream::Alerts, &["y"]);
    assert_eq!(folder.read(Stream::Alerts, 0).unwrap(), ["x", "x", "x", "y"]);
}

#[test]
fn a_clock_set_back_or_forward_changes_no_order() {
    let mut folder = Folder::new(1);
    for hour in [
        FIRST_HOUR + 50,
        FIRST_HOUR,
        FIRST_HOUR + 51,
        FIRST_HOUR + 10,
        0,
        FIRST_HOUR + 51,
        FIRST_HOUR + 90,
    ] {
        folder.hour.store(hour, Ordering::Relaxed);
        folder.append(Stream::Posts, &[&hour.to_string()]);
        folder.reopen();
    }
    let read = folder.read(Stream::Posts, 0).unwrap();
    let offsets: Vec<u64> =
        read.iter().map(|hour| hour.parse::<u64>().unwrap().saturating_sub(FIRST_HOUR)).collect();
    assert_eq!(offsets, [50, 0, 51, 10, 0, 51, 90]);
    assert_eq!(folder.databases(Stream::Posts).len(), 3);
}

#[test]
fn a_new_generation_starts_anew_but_what_is_kept() {
    let mut folder = Folder::new(2);
    assert_eq!(folder.local().generation(), 1);
    for stream in Stream::ALL {
        match stream.compacted() {
            true => drop(folder.local().put(stream, &[("key".to_owned(), Some(vec![1]))]).unwrap()),
            false => drop(folder.append(stream, &["old"])),
        }
    }
    folder.read(Stream::Posts, 0).unwrap();
    let generation =
        folder.journal.as_mut().unwrap().new_generation(&[Stream::Alerts, Stream::Feeds]);
    assert_eq!(generation.unwrap(), 2);
    for _ in 0..2 {
        assert_eq!(folder.local().generation(), 2);
        assert_eq!(folder.read(Stream::Alerts, 0).unwrap(), ["old"]);
        assert!(folder.local().get(Stream::Feeds, "key").unwrap().is_some());
        assert!(folder.local().get(Stream::State, "key").unwrap().is_none());
        for stream in [Stream::Posts, Stream::Tallies, Stream::Counts, Stream::Rejects] {
            assert_eq!(folder.extent(stream), 0..0);
        }
        folder.reopen();
    }
    assert_eq!(folder.append(Stream::Posts, &["new"]), [0]);
    assert_eq!(folder.read(Stream::Posts, 0).unwrap(), ["new"]);
}

#[test]
fn a_generation_interrupted_while_deleting_is_finished_by_the_next_start() {
    let mut folder = Folder::new(2);
    for _ in 0..3 {
        folder.append(Stream::Posts, &["old"]);
        folder.pass_hours(1);
    }
    folder.local().meta.new_generation(2, &[]).unwrap();
    fs::remove_file(folder.file(Stream::Posts, FIRST_HOUR)).unwrap();
    folder.reopen();
    assert_eq!(folder.local().generation(), 2);
    assert_eq!(folder.extent(Stream::Posts), 0..0);
    assert_eq!(folder.append(Stream::Posts, &["new"]), [0]);
    folder.reopen();
    assert_eq!(folder.read(Stream::Posts, 0).unwrap(), ["new"]);
}

#[test]
fn a_damaged_row_is_named_and_what_stands_before_it_is_read() {
    let folder = Folder::new(1);
    for n in 0..5 {
        folder.append(Stream::Posts, &[&format!("record {n}")]);
    }
    folder.pass_hours(1);
    folder.append(Stream::Posts, &["next hour"]);
    let path = folder.file(Stream::Posts, FIRST_HOUR);
    let file = Connection::open(&path).unwrap();
    for damage in [
        "bytes = CAST('\u{8}recorb 3' AS BLOB)",
        "count = 2",
        "checksum = checksum + 1",
        "bytes = x''",
    ] {
        file.execute_batch("BEGIN").unwrap();
        let keep: (u32, u32, Vec<u8>) = file
            .query_row("SELECT count, checksum, bytes FROM batches WHERE key = 3", [], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?))
            })
            .unwrap();
        file.execute(&format!("UPDATE batches SET {damage} WHERE key = 3"), []).unwrap();
        file.execute_batch("COMMIT").unwrap();
        assert_eq!(folder.read(Stream::Posts, 1).unwrap(), ["record 1", "record 2"]);
        let error = folder.read(Stream::Posts, 3).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("`{}` is damaged: partition 0 position 3 has a wrong checksum", path.display())
        );
        assert!(!error.retry());
        file.execute(
            "UPDATE batches SET count = ?1, checksum = ?2, bytes = ?3 WHERE key = 3",
            rusqlite::params![keep.0, keep.1, keep.2],
        )
        .unwrap();
        assert_eq!(folder.read(Stream::Posts, 3).unwrap(), ["record 3", "record 4", "next hour"]);
    }
    file.execute("DELETE FROM batches WHERE key = 3", []).unwrap();
    assert_eq!(folder.read(Stream::Posts, 2).unwrap(), ["record 2"]);
    let error = folder.read(Stream::Posts, 3).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("`{}` is damaged: partition 0 position 3 is missing", path.display())
    );
}

#[test]
fn files_that_are_missing_or_no_database_are_named() {
    let mut folder = Folder::new(1);
    for n in 0..4 {
        folder.append(Stream::Posts, &[&format!("{n}")]);
        folder.pass_hours(1);
    }
    folder.journal = None;
    let middle = folder.file(Stream::Posts, FIRST_HOUR + 1);
    fs::remove_file(&middle).unwrap();
    folder.reopen();
    assert_eq!(folder.read(Stream::Posts, 0).unwrap(), ["0"]);
    let error = folder.read(Stream::Posts, 1).unwrap_err();
    assert!(matches!(error, JournalError::Corrupt { .. }), "{error}");
    folder.journal = None;
    fs::write(&middle, "no database".repeat(1000)).unwrap();
    folder.reopen();
    let error = folder.read(Stream::Posts, 1).unwrap_err();
    assert!(matches!(&error, JournalError::Corrupt { path, .. } if *path == middle), "{error}");

    folder.journal = None;
    fs::remove_file(folder.file(Stream::Posts, FIRST_HOUR + 3)).unwrap();
    let error = folder.try_open().err().unwrap();
    assert!(
        error.to_string().contains("newest files are missing"),
        "a position would come twice: {error}"
    );
    fs::remove_file(folder.folder.path().join("meta.sqlite")).unwrap();
    let error = folder.try_open().err().unwrap();
    assert!(error.to_string().contains("it is missing, but there are streams"), "{error}");
}

#[test]
fn a_file_whose_making_was_cut_short_is_made_again() {
    let mut folder = Folder::new(2);
    folder.append(Stream::Posts, &["a"]);
    let hour = folder.pass_hours(1);
    folder.journal = None;
    fs::write(folder.file(Stream::Posts, hour), b"").unwrap();
    folder.reopen();
    assert_eq!(folder.extent(Stream::Posts), 0..1);
    folder.journal = None;
    let made = Connection::open(folder.file(Stream::Posts, hour)).unwrap();
    made.execute_batch("PRAGMA journal_mode = WAL").unwrap();
    drop(made);
    folder.reopen();
    assert_eq!(folder.extent(Stream::Posts), 0..1);
    // Or made whole, and nobody heard of it.
    drop(HourFile::create(folder.file(Stream::Posts, hour), &[1, 0], None).unwrap());
    assert_eq!(folder.append(Stream::Posts, &["b"]), [1]);
    folder.reopen();
    assert_eq!(folder.read(Stream::Posts, 0).unwrap(), ["a", "b"]);
    // Or there was no room for it.
    let path = folder.file(Stream::Posts, hour + 1);
    let full = HourFile::create(path.clone(), &[2, 0], Some(2)).err().unwrap();
    assert!(matches!(full, JournalError::DiskFull { .. }), "{full}");
    assert!(!path.exists());
}

#[test]
fn a_full_disk_is_named_leaves_nothing_half_written_and_ends_with_room() {
    let mut folder = Folder::limited(2, Some(40));
    let record = "x".repeat(3000);
    let entries =
        vec![entry(0, record.clone()), entry(1, record.clone()), entry(0, record.clone())];
    let full = loop {
        match folder.local().append(Stream::Posts, &entries) {
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert!(matches!(full, JournalError::DiskFull { .. }), "{full}");
    assert!(full.retry());
    let extents = [0, 1].map(|partition| folder.local().extent(Stream::Posts, partition).unwrap());
    assert!(
        extents[1].end > 3 && extents[0].end == 2 * extents[1].end,
        "whole appends only: {extents:?}"
    );
    assert!(folder.local().append(Stream::Posts, &entries).is_err(), "still full");
    let high = extents[0].end;
    assert_eq!(folder.read(Stream::Posts, 0).unwrap().len() as Position, high);
    // Every hour's file has the same limit, so the next hour brings room.
    folder.pass_hours(1);
    assert_eq!(folder.local().append(Stream::Posts, &entries).unwrap(), [high, high / 2, high + 1]);

    let values: Vec<_> = (0..100).map(|n| (n.to_string(), Some(vec![7; 3000]))).collect();
    assert!(matches!(
        folder.local().put(Stream::State, &values),
        Err(JournalError::DiskFull { .. })
    ));
    assert_eq!(folder.local().keys(Stream::State, "").unwrap(), Vec::<String>::new());
    folder.pages_max = None;
    folder.reopen();
    folder.local().put(Stream::State, &values).unwrap();
    assert_eq!(folder.read(Stream::Posts, 0).unwrap().len() as Position, high + 2);
}

/// Needs the right to mount, which root has outside of strict containers; the limit on pages above
/// needs nothing.
#[test]
fn a_really_full_file_system_is_named_and_survived() {
    let mounted = TempDir::new().unwrap();
    let mount = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=3m", "tmpfs"])
        .arg(mounted.path())
        .output();
    if !mount.is_ok_and(|mount| mount.status.success()) {
        println!("skipped: no right to mount a small file system");
        return;
    }
    let filled = std::panic::catch_unwind(|| fill(mounted.path()));
    assert!(Command::new("umount").arg(mounted.path()).status().unwrap().success());
    filled.unwrap();
}

fn fill(folder: &Path) {
    let ballast = folder.join("ballast");
    fs::write(&ballast, vec![0; 1 << 20]).unwrap();
    let data = folder.join("data");
    let open = || LocalJournal::open(&data, 1, Options::default());
    let journal = open().unwrap();
    let record = vec![entry(0, vec![7; 5000])];
    let mut appended = 0;
    let full = loop {
        match journal.append(Stream::Posts, &record) {
            Ok(positions) => {
                assert_eq!(positions, [appended]);
                appended += 1;
            }
            Err(error) => break error,
        }
    };
    assert!(
        matches!(full, JournalError::DiskFull { .. }),
        "{full}: {:?}",
        std::error::Error::source(&full)
    );
    for _ in 0..20 {
        let full = journal.append(Stream::Posts, &record).err().or_else(|| {
            appended += 1;
            None
        });
        assert!(
            full.as_ref().is_none_or(|full| matches!(full, JournalError::DiskFull { .. })),
            "{full:?}"
        );
        let full = journal.put(Stream::State, &[("key".to_owned(), Some(vec![7; 100_000]))]).err();
        assert!(
            full.as_ref().is_none_or(|full| matches!(full, JournalError::DiskFull { .. })),
            "{full:?}"
        );
    }
    assert_eq!(journal.extent(Stream::Posts, 0).unwrap(), 0..appended);
    fs::remove_file(&ballast).unwrap();
    assert_eq!(journal.append(Stream::Posts, &record).unwrap(), [appended], "room again");
    drop(journal);
    let journal = open().unwrap();
    let batch = journal.read(Stream::Posts, 0, 0, usize::MAX, Duration::ZERO).unwrap();
    assert_eq!(batch.next, appended + 1);
    assert!(batch.records.iter().all(|(_, bytes)| *bytes == record[0].bytes));
}

#[test]
fn neither_files_nor_handles_pile_up_over_weeks() {
    let folder = Folder::new(2);
    let big = "x".repeat(200_000);
    for hour in 0..200_u64 {
        for stream in [Stream::Posts, Stream::Tallies] {
            folder.append(stream, &[&hour.to_string()]);
        }
        if hour % 10 == 0 {
            folder.append(Stream::Posts, &[big.as_str(); 20]);
        }
        let low = folder.extent(Stream::Posts).start;
        for back in 0..12 {
            let from = (folder.extent(Stream::Posts).end - 1).saturating_sub(back * 5).max(low);
            folder.local().read(Stream::Posts, 0, from, 1, Duration::ZERO).unwrap();
        }
        folder.pass_hours(1);
        folder.enforce_retention();
    }
    let mut sizes = Vec::new();
    for name in folder.files(Stream::Posts) {
        let size =
            fs::metadata(folder.folder.path().join("streams/posts").join(&name)).unwrap().len();
        sizes.push((name, size));
    }
    let wals: Vec<_> =
        sizes.iter().filter(|(name, size)| name.ends_with("-wal") && *size > 0).collect();
    assert!(wals.is_empty(), "written back when their hour was over: {wals:?}");
    let files = sizes.iter().filter(|(name, _)| name.ends_with(".sqlite")).count();
    assert!(files <= 73, "{files}");
    let handles = handles_below(folder.folder.path());
    // One to write each stream and those of readers, with a WAL and its index next to each; and the
    // lock.
    assert!(handles <= 3 * (2 + 8) + 1, "{handles} handles");
}

#[cfg(target_os = "linux")]
fn handles_below(folder: &Path) -> usize {
    let handles = fs::read_dir("/proc/self/fd").unwrap();
    let paths = handles.filter_map(|handle| fs::read_link(handle.ok()?.path()).ok());
    paths.filter(|path| path.starts_with(folder)).count()
}

#[cfg(not(target_os = "linux"))]
fn handles_below(_: &Path) -> usize {
    0
}

#[test]
fn a_long_append_leaves_no_long_wal() {
    let folder = Folder::new(1);
    let entries: Vec<Entry> = (0..60).map(|_| entry(0, vec![1; 1 << 20])).collect();
    folder.local().append(Stream::Posts, &entries).unwrap();
    let wal = sqlite::side(&folder.file(Stream::Posts, FIRST_HOUR), "-wal");
    let size = fs::metadata(wal).unwrap().len();
    assert!(size <= 16 << 20, "{size}");
}

#[test]
fn readers_meet_retention_as_gone_and_never_as_a_gap() {
    let folder = Folder::new(1);
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let mut next = 0;
                while !done.load(Ordering::Relaxed) {
                    match folder.local().read(Stream::Posts, 0, next, 200, Duration::from_millis(1))
                    {
                        Ok(batch) => {
                            for (position, bytes) in batch.records {
                                assert_eq!(
                                    (position, bytes),
                                    (next, next.to_string().into_bytes())
                                );
                                next += 1;
                            }
                        }
                        Err(JournalError::Gone { requested, low, .. }) => {
                            assert!(requested == next && low > next);
                            next = low;
                        }
                        Err(error) => panic!("{error}: {:?}", std::error::Error::source(&error)),
                    }
                    if next % 7 == 0 {
                        next = next.saturating_sub(40);
                    }
                }
            });
        }
        for position in 0..600_u64 {
            folder.append(Stream::Posts, &[&position.to_string()]);
            if position % 3 == 0 {
                folder.pass_hours(20);
                folder.enforce_retention();
            }
        }
        done.store(true, Ordering::Relaxed);
    });
    assert_eq!(folder.extent(Stream::Posts).end, 600);
}

/// What append `n` of the killed process holds, in its three partitions; some begin a new file,
/// some are long.
fn nth_append(n: u64) -> Vec<Entry> {
    let length = if n.is_multiple_of(13) { 200_000 } else { n as usize % 700 };
    (0..1 + n % 5)
        .map(|record| {
            entry(((n + record) % 3) as u32, format!("{n} {record} {}", "x".repeat(length)))
        })
        .collect()
}

fn nth_clock(n: u64) -> u64 {
    (FIRST_HOUR + n / 7) * 3600
}

/// Not a test on its own: the process that `survives_kill_at_any_moment` starts and kills.
#[test]
fn appends_until_it_is_killed() {
    let Ok(folder) = env::var("JOURNAL_TEST_KILLED_FOLDER") else {
        return;
    };
    let first: u64 = env::var("JOURNAL_TEST_KILLED_FIRST").unwrap().parse().unwrap();
    let clock = Arc::new(AtomicU64::new(nth_clock(first)));
    let told = Arc::clone(&clock);
    let options =
        Options { clock: Box::new(move || told.load(Ordering::Relaxed)), ..Options::default() };
    let journal = LocalJournal::open(Path::new(&folder), 3, options).unwrap();
    for n in first.. {
        clock.store(nth_clock(n), Ordering::Relaxed);
        journal.append(Stream::Posts, &nth_append(n)).unwrap();
        journal
            .put(
                Stream::State,
                &[
                    ("a".to_owned(), Some(n.to_le_bytes().to_vec())),
                    ("b".to_owned(), Some(n.to_le_bytes().to_vec())),
                ],
            )
            .unwrap();
        println!("appended {n}");
    }
}

#[test]
fn survives_kill_at_any_moment() {
    let folder = TempDir::new().unwrap();
    let mut held: Vec<Vec<Vec<u8>>> = vec![Vec::new(); 3];
    let mut appended = 0;
    let mut state = 0x9e37_79b9_7f4a_7c15_u64 ^ u64::from(std::process::id());
    println!("seed {state:#x}");
    for _ in 0..20 {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let (lines, pause) = (state >> 60, state >> 33 & 0xfff);
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["--exact", "--nocapture", "local::tests::appends_until_it_is_killed"])
            .env("JOURNAL_TEST_KILLED_FOLDER", folder.path())
            .env("JOURNAL_TEST_KILLED_FIRST", appended.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut told = BufReader::new(child.stdout.take().unwrap())
            .lines()
            .map_while(Result::ok)
            .filter_map(|line| line.strip_prefix("appended ")?.parse::<u64>().ok());
        let mut last = told.by_ref().take(lines as usize).last();
        thread::sleep(Duration::from_micros(pause));
        child.kill().unwrap();
        child.wait().unwrap();
        last = told.last().or(last);

        // Opens at once, because the lock died with its holder.
        let journal = LocalJournal::open(folder.path(), 3, Options::default()).unwrap();
        let found: Vec<Vec<Vec<u8>>> = (0..3)
            .map(|partition| {
                let from = held[partition as usize].len() as Position;
                let batch = journal
                    .read(Stream::Posts, partition, from, usize::MAX, Duration::ZERO)
                    .unwrap();
                assert_eq!(batch.next, journal.extent(Stream::Posts, partition).unwrap().end);
                batch.records.into_iter().map(|(_, bytes)| bytes).collect()
            })
            .collect();
        for (held, found) in held.iter_mut().zip(&found) {
            held.extend_from_slice(found);
        }
        let mut expected: Vec<Vec<Vec<u8>>> = vec![Vec::new(); 3];
        let first = appended;
        while expected != found {
            assert!(
                expected.iter().zip(&found).all(|(expected, found)| found.starts_with(expected)),
                "whole appends, in order"
            );
            for entry in nth_append(appended) {
                expected[entry.partition as usize].push(entry.bytes);
            }
            appended += 1;
        }
        let acknowledged = last.map_or(first, |last| last + 1);
        assert!(
            (acknowledged..=acknowledged + 1).contains(&appended),
            "{acknowledged} were acknowledged, {appended} found"
        );
        let values = ["a", "b"].map(|key| journal.get(Stream::State, key).unwrap());
        assert_eq!(values[0], values[1], "all pairs or none");
    }
    let journal = LocalJournal::open(folder.path(), 3, Options::default()).unwrap();
    for (partition, held) in (0..).zip(held) {
        let batch = journal.read(Stream::Posts, partition, 0, usize::MAX, Duration::ZERO).unwrap();
        let all: Vec<Vec<u8>> = batch.records.into_iter().map(|(_, bytes)| bytes).collect();
        assert!(all == held, "what was read once is read again");
    }
}

#[derive(Clone, Debug)]
enum Act {
    Append(Vec<(u32, usize)>),
    Read { partition: u32, permille: u64, bytes_max: usize },
    PassHours(u64),
    EnforceRetention,
    Reopen,
    NewGeneration,
}

fn act() -> impl Strategy<Value = Act> {
    let length = prop_oneof![6 => 0..40_usize, 2 => 0..3000_usize, 1 => 60_000..140_000_usize];
    prop_oneof![
        8 => vec((0..3_u32, length), 0..12).prop_map(Act::Append),
        8 => (0..3_u32, 0..1100_u64, prop_oneof![0..200_usize, 0..200_000_usize, Just(usize::MAX)])
            .prop_map(|(partition, permille, bytes_max)| Act::Read { partition, permille, bytes_max }),
        3 => (1..4_u64).prop_map(Act::PassHours),
        1 => Just(Act::EnforceRetention),
        1 => Just(Act::Reopen),
        1 => prop::bool::weighted(0.2).prop_map(|anew| if anew { Act::NewGeneration } else { Act::EnforceRetention }),
    ]
}

/// What a journal is: a list for each partition, of which the first so many are gone.
#[derive(Default)]
struct Naive {
    records: [Vec<(u64, Vec<u8>)>; 3],
    low: [usize; 3],
}

impl Naive {
    fn read(&self, partition: usize, from: usize, bytes_max: usize) -> Vec<(Position, Vec<u8>)> {
        let mut bytes = 0;
        let mut read: Vec<(Position, Vec<u8>)> = Vec::new();
        for (n, (_, record)) in self.records[partition].iter().enumerate().skip(from) {
            bytes += record.len();
            if bytes <= bytes_max || read.is_empty() {
                read.push((n as Position, record.clone()));
            } else {
                break;
            }
        }
        read
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_acts_leave_both_journals_as_a_naive_list(acts in vec(act(), 1..60)) {
        const RETENTION_HOURS: u64 = 5;
        let mut folder = Folder::new(3);
        let reopen = |folder: &mut Folder| {
            folder.journal = None;
            let mut options = folder.options();
            options.retention.insert(Stream::Posts, Duration::from_secs(RETENTION_HOURS * 3600));
            options.readers_max = 2;
            folder.journal = Some(LocalJournal::open(folder.folder.path(), 3, options).unwrap());
        };
        reopen(&mut folder);
        let mut memory = MemoryJournal::new(3);
        let mut naive = Naive::default();
        let mut made = 0_u32;
        for act in acts {
            let hour = folder.hour.load(Ordering::Relaxed);
            match act {
                Act::Append(shapes) => {
                    let mut entries = Vec::new();
                    let mut positions = Vec::new();
                    for (partition, length) in shapes {
                        made += 1;
                        let bytes: Vec<u8> = made.to_le_bytes().into_iter().cycle().take(length).collect();
                        let records = &mut naive.records[partition as usize];
                        positions.push(records.len() as Position);
                        records.push((hour, bytes.clone()));
                        entries.push(entry(partition, bytes));
                    }
                    prop_assert_eq!(&folder.local().append(Stream::Posts, &entries).unwrap(), &positions);
                    prop_assert_eq!(memory.append(Stream::Posts, &entries).unwrap(), positions);
                }
                Act::Read { partition, permille, bytes_max } => {
                    let (low, high) = (naive.low[partition as usize], naive.records[partition as usize].len());
                    let from = (high as u64 * permille).div_ceil(1000) as usize;
                    for journal in [folder.local() as &dyn Journal, &memory] {
                        let read = journal.read(Stream::Posts, partition, from as Position, bytes_max, Duration::ZERO);
                        match read {
                            Ok(batch) => {
                                prop_assert!(low <= from && from <= high);
                                prop_assert_eq!(batch.next as usize, from + batch.records.len());
                                prop_assert_eq!(batch.records, naive.read(partition as usize, from, bytes_max));
                            }
                            Err(JournalError::Gone { requested, low: said, .. }) => {
                                prop_assert!(from < low);
                                prop_assert_eq!((requested as usize, said as usize), (from, low));
                            }
                            Err(JournalError::Beyond { requested, high: said, .. }) => {
                                prop_assert!(from > high);
                                prop_assert_eq!((requested as usize, said as usize), (from, high));
                            }
                            Err(error) => prop_assert!(false, "{}", error),
                        }
                    }
                }
                Act::PassHours(hours) => {
                    folder.pass_hours(hours);
                },
                Act::EnforceRetention => {
                    folder.enforce_retention();
                    for (partition, records) in (0..).zip(&naive.records) {
                        let expired = |hour: u64| folder.hour.load(Ordering::Relaxed) >= hour + 1 + RETENTION_HOURS;
                        let low = records.iter().take_while(|(hour, _)| expired(*hour)).count();
                        naive.low[partition as usize] = naive.low[partition as usize].max(low);
                        memory.forget(Stream::Posts, partition, low as Position);
                    }
                }
                Act::Reopen => reopen(&mut folder),
                Act::NewGeneration => {
                    folder.journal.as_mut().unwrap().new_generation(&[]).unwrap();
                    memory = MemoryJournal::new(3);
                    naive = Naive::default();
                }
            }
            for partition in 0..3_u32 {
                let (low, high) = (naive.low[partition as usize], naive.records[partition as usize].len());
                for journal in [folder.local() as &dyn Journal, &memory] {
                    let extent = journal.extent(Stream::Posts, partition).unwrap();
                    prop_assert_eq!((extent.start as usize, extent.end as usize), (low, high));
                }
            }
        }
    }
}
