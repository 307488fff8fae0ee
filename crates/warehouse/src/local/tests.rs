use std::env;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use record::time::{DAY, HOUR};
use record::{Count, Record, Verdict, Version, WindowCount};
use rusqlite::Connection;

use super::Local;
use crate::contract::{self, Kept, MONDAY, count, csv, verdict};
use crate::deadline::Deadline;
use crate::error::WarehouseError;
use crate::port::{AlertQuery, Export, Format, Landing, Progress, Reading, SeriesQuery, Warehouse};

fn fresh() -> Box<dyn Warehouse> {
    let folder = tempfile::tempdir().unwrap();
    let local = Local::open(&folder.path().join("warehouse.sqlite")).unwrap();
    Box::new(Kept::new(local, folder))
}

#[test]
fn contract() {
    contract::holds(&fresh, contract::SEEDS);
}

#[test]
fn reopening_keeps_everything_and_migrating_twice_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("warehouse.sqlite");
    let position = Progress { stream: "counts".to_owned(), partition: 0, next: 4 };
    Local::open(&file)
        .unwrap()
        .write(&[Record::Count(count("flu", "DE", 0, 1))], std::slice::from_ref(&position))
        .unwrap();
    let again = Local::open(&file).unwrap();
    assert_eq!(again.progress().unwrap(), [position]);
    assert_eq!(csv(&again, "counts").lines().count(), 2);
    let reader = Local::open_to_read(&file).unwrap();
    assert_eq!(csv(&reader, "counts"), csv(&again, "counts"));
    let refused = reader.write(&[], &[]).unwrap_err();
    assert!(matches!(refused, WarehouseError::ReadOnly { .. }) && !refused.try_again());
}

#[test]
fn a_newer_a_changed_and_a_foreign_file_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let made = |name: &str, sql: &str| {
        let file = folder.path().join(name);
        drop(Local::open(&file).unwrap());
        Connection::open(&file).unwrap().execute_batch(sql).unwrap();
        file
    };
    let newer = made("newer", "INSERT INTO schema_migrations VALUES (99, 'x')");
    assert!(matches!(
        Local::open(&newer).unwrap_err(),
        WarehouseError::NewerSchema { found: 99, known: 7, .. }
    ));
    assert!(matches!(Local::open_to_read(&newer).unwrap_err(), WarehouseError::NewerSchema { .. }));
    let changed = made("changed", "UPDATE schema_migrations SET checksum = 'x' WHERE number = 1");
    assert!(matches!(
        Local::open(&changed).unwrap_err(),
        WarehouseError::ChangedMigration { number: 1, .. }
    ));
    let older = folder.path().join("older");
    Connection::open(&older).unwrap().execute_batch("CREATE TABLE other (a)").unwrap();
    assert!(matches!(
        Local::open_to_read(&older).unwrap_err(),
        WarehouseError::OlderSchema { found: 0, .. }
    ));
    let foreign = folder.path().join("foreign");
    std::fs::write(
        &foreign,
        "not a database, but long enough to be read as the head of one. ".repeat(50),
    )
    .unwrap();
    let error = Local::open(&foreign).unwrap_err();
    assert!(matches!(error, WarehouseError::Damaged { .. }) && !error.try_again(), "{error:?}");
    let missing = Local::open_to_read(&folder.path().join("missing")).unwrap_err();
    assert!(matches!(missing, WarehouseError::Io { .. }), "{missing:?}");
}

#[test]
fn a_full_disk_is_named_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let local = Local::open(&folder.path().join("warehouse.sqlite")).unwrap();
    let progress = |next| [Progress { stream: "counts".to_owned(), partition: 0, next }];
    local.write(&[Record::Count(count("flu", "DE", 0, 1))], &progress(1)).unwrap();
    let pages: i64 =
        local.writer().unwrap().query_row("PRAGMA page_count", [], |row| row.get(0)).unwrap();
    local
        .writer()
        .unwrap()
        .query_row(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(()))
        .unwrap();
    let rows: Vec<Record> =
        (0..5_000).map(|hour| Record::Count(count("flu", "DE", hour, 2))).collect();
    let error = local.write(&rows, &progress(2)).unwrap_err();
    assert!(matches!(error, WarehouseError::DiskFull { .. }) && error.try_again(), "{error:?}");
    assert_eq!(local.progress().unwrap(), progress(1));
    assert_eq!(csv(&local, "counts").lines().count(), 2);
    local.writer().unwrap().query_row("PRAGMA max_page_count = 1000000", [], |_| Ok(())).unwrap();
    local.write(&rows, &progress(2)).unwrap();
    assert_eq!(csv(&local, "counts").lines().count(), 5_001);
}

#[test]
fn hostile_text_and_numbers_land_and_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let local = Local::open(&folder.path().join("warehouse.sqlite")).unwrap();
    let text = "a\0b'\"; DROP TABLE counts; --\u{202e}\u{1F637}";
    let rows = [
        Record::Count(Count {
            posts: u32::MAX,
            total_posts: u64::MAX,
            newest: i64::MAX,
            ..count(text, text, 0, 1)
        }),
        Record::Verdict(Verdict {
            expected: Some(f64::NAN),
            upperbound: Some(f64::INFINITY),
            coverage: f64::NAN,
            version: Version(u64::MAX),
            ..verdict(text, text)
        }),
        Record::End,
    ];
    local.write(&rows, &[]).unwrap();
    let query = SeriesQuery {
        topic: text.to_owned(),
        region: text.to_owned(),
        from: i64::MIN,
        to: i64::MAX,
        limit: usize::MAX,
        only: None,
    };
    let series = local.series(&query).unwrap();
    assert_eq!(series.panes[0].posts, u32::MAX);
    assert_eq!(
        (series.verdicts[0].expected, series.verdicts[0].upperbound, series.verdicts[0].coverage),
        (None, None, 0.0)
    );
    assert_eq!(
        local.alerts(&AlertQuery { limit: usize::MAX, ..AlertQuery::default() }).unwrap(),
        []
    );
}

#[test]
fn an_export_that_can_not_be_written_is_an_error() {
    struct Closed;
    impl std::io::Write for Closed {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let local = Local::open(&folder.path().join("warehouse.sqlite")).unwrap();
    for format in [Format::Csv, Format::Ndjson] {
        local.write(&[Record::Count(count("flu", "DE", 0, 1))], &[]).unwrap();
        let export = Export { table: "counts".to_owned(), from: None, to: None, format };
        let error = local.export(&export, &mut Closed).unwrap_err();
        let WarehouseError::Output(error) = error else { panic!("{error:?}") };
        // Callers tell a reader that has gone from a disk that is full.
        assert_eq!(error.kind(), std::io::ErrorKind::BrokenPipe, "{format:?}");
    }
}

#[test]
fn questions_are_answered_while_rows_are_written() {
    let folder = tempfile::tempdir().unwrap();
    let local = Local::open(&folder.path().join("warehouse.sqlite")).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for hour in 0..200 {
                // A pair each time: a reader that sees one must see the other.
                local
                    .write(
                        &[
                            Record::Count(count("flu", "DE", hour, 1)),
                            Record::Count(count("flu", "FR", hour, 1)),
                        ],
                        &[],
                    )
                    .unwrap();
            }
        });
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..100 {
                    let heads = local.heads().unwrap();
                    assert!(
                        heads.is_empty() || heads.len() == 2 && heads[0].latest == heads[1].latest,
                        "{heads:?}"
                    );
                }
            });
        }
    });
}

/// The child of the test below: writes batches, each with its progress, until it is killed.
#[test]
fn writes_until_killed() {
    let Ok(file) = env::var("WAREHOUSE_TEST_FILE") else { return };
    let local = Local::open(&PathBuf::from(file)).unwrap();
    let mut next = local.progress().unwrap().first().map_or(0, |progress| progress.next);
    loop {
        let rows: Vec<Record> =
            (next..next + 50).map(|at| Record::Count(count("flu", "DE", at as i64, at))).collect();
        next += 50;
        local
            .write(&rows, &[Progress { stream: "counts".to_owned(), partition: 0, next }])
            .unwrap();
    }
}

#[test]
fn a_kill_anywhere_neither_loses_nor_doubles() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("warehouse.sqlite");
    let mut before = 0;
    for kill in 0..6 {
        let mut child = writing_child(&file);
        let waiting = Instant::now();
        // Something new has landed, so the child is at work; then it dies after a little more work
        // of its own.
        while landed(&file) <= before && waiting.elapsed() < Duration::from_secs(30) {
            std::thread::yield_now();
        }
        for _ in 0..kill {
            landed(&file);
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let local = Local::open(&file).unwrap();
        let next = local.progress().unwrap()[0].next;
        assert!(next > before);
        let rows = csv(&local, "counts");
        let starts: Vec<i64> = rows
            .lines()
            .skip(1)
            .map(|line| line.split(',').nth(3).unwrap().parse().unwrap())
            .collect();
        let expected: Vec<i64> =
            (0..next as i64).map(|hour| (MONDAY + hour * HOUR) / 1_000_000).collect();
        assert_eq!(starts, expected);
        before = next;
    }
}

fn writing_child(file: &Path) -> Child {
    Command::new(env::current_exe().unwrap())
        .args(["--exact", "local::tests::writes_until_killed"])
        .env("WAREHOUSE_TEST_FILE", file)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

fn landed(file: &Path) -> u64 {
    let progress = Local::open_to_read(file).and_then(|local| local.progress());
    progress.ok().and_then(|progress| progress.first().map(|progress| progress.next)).unwrap_or(0)
}

#[test]
fn a_closed_file_is_whole_without_its_log() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("warehouse.sqlite");
    let local = Local::open(&file).unwrap();
    local.write(&[Record::Count(count("flu", "DE", 0, 1))], &[]).unwrap();
    // A connection that reads stays open among the readers.
    assert_eq!(local.heads().unwrap().len(), 1);
    drop(local);
    let copy = folder.path().join("copy.sqlite");
    std::fs::copy(&file, &copy).unwrap();
    assert_eq!(csv(&Local::open_to_read(&copy).unwrap(), "counts").lines().count(), 2);
}

#[test]
fn rows_go_by_age_and_counts_of_whole_days_stay_with_cells() {
    let folder = tempfile::tempdir().unwrap();
    let local = Local::open(&folder.path().join("warehouse.sqlite")).unwrap();
    let window = |end: i64| {
        let (topic, region) = ("flu".to_owned(), "DE".to_owned());
        Record::WindowCount(WindowCount {
            topic,
            region,
            end,
            length: DAY,
            authors: 1,
            authors_self: 0,
            last: true,
            version: Version(1),
        })
    };
    let rows = [
        Record::Count(count("flu", "DE", 0, 1)),
        Record::Count(count("flu", "DE", 30, 1)),
        Record::Verdict(verdict("flu", "DE")),
        window(MONDAY + DAY),
        window(MONDAY + DAY + HOUR),
    ];
    local.write(&rows, &[]).unwrap();
    let lines = |table: &str| csv(&local, table).lines().count() - 1;
    assert_eq!(local.delete_before(None, None).unwrap(), 0);
    assert_eq!((lines("counts"), lines("verdicts"), lines("window_counts")), (2, 1, 2));
    assert_eq!(local.delete_before(None, Some(MONDAY + 2 * DAY)).unwrap(), 2);
    assert_eq!((lines("counts"), lines("verdicts"), lines("window_counts")), (2, 0, 1));
    assert_eq!(local.delete_before(Some(MONDAY + DAY), None).unwrap(), 1);
    assert_eq!((lines("counts"), lines("window_counts")), (1, 1));
}

/// The floor lies below the target of 100,000, so that a busy machine doesn't fail it; the figures
/// are printed.
#[test]
fn rows_land_fast() {
    for hours in [1, 20] {
        let folder = tempfile::tempdir().unwrap();
        let local = Local::open(&folder.path().join("warehouse.sqlite")).unwrap();
        let start = Instant::now();
        let mut rows = 0;
        for from in (0..200).step_by(hours) {
            let batch: Vec<Record> =
                (from..from + hours).flat_map(|hour| a_row_of_each_series(hour as i64)).collect();
            rows += batch.len();
            local
                .write(
                    &batch,
                    &[Progress { stream: "counts".to_owned(), partition: 0, next: rows as u64 }],
                )
                .unwrap();
        }
        let per_second = rows as f64 / start.elapsed().as_secs_f64();
        println!("{rows} rows landed in batches of {}, {per_second:.0} a second", 500 * hours);
        let start = Instant::now();
        assert_eq!(local.heads().unwrap().len(), 500);
        println!("heads of 500 series in {:?}", start.elapsed());
        let start = Instant::now();
        let query = SeriesQuery {
            topic: "flu".to_owned(),
            region: "R100".to_owned(),
            from: MONDAY,
            to: i64::MAX,
            limit: 10_000,
            only: None,
        };
        assert_eq!(local.series(&query).unwrap().panes.len(), 200);
        println!("a series of 200 panes in {:?}", start.elapsed());
        assert!(per_second > 10_000.0, "{per_second:.0} rows a second");
    }
}

fn a_row_of_each_series(hour: i64) -> impl Iterator<Item = Record> {
    (0..250).flat_map(move |region| {
        ["cough", "flu"].into_iter().map(move |topic| {
            Record::Count(count(topic, &format!("R{region:03}"), hour, hour as u64))
        })
    })
}

#[test]
fn a_query_is_interrupted_at_its_deadline_or_when_cancelled() {
    let folder = tempfile::tempdir().unwrap();
    let warehouse = Local::open(&folder.path().join("warehouse.sqlite")).unwrap();
    let endless = || {
        warehouse.ask(|connection| {
            let sql = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT \
                count(*) FROM n";
            connection
                .query_row(sql, [], |_| Ok(()))
                .map_err(|source| warehouse.failed("read", source))
        })
    };
    let soon = Deadline::new(Duration::from_millis(20));
    assert!(matches!(soon.run(endless), Err(WarehouseError::TimedOut { .. })));
    assert!(
        matches!(soon.run(|| warehouse.ready()), Err(WarehouseError::TimedOut { .. })),
        "of all queries together"
    );
    // The connection answers again, and a deadline holds for its own thread and call only.
    warehouse.ready().unwrap();
    let late = Deadline::new(Duration::from_secs(3_600));
    std::thread::scope(|scope| {
        let asking = scope.spawn(|| late.run(endless));
        late.cancel();
        assert!(matches!(asking.join().unwrap(), Err(WarehouseError::TimedOut { .. })));
    });
    warehouse.ready().unwrap();
}

#[test]
fn views_need_no_function_that_other_readers_lack() {
    let folder = tempfile::tempdir().unwrap();
    let warehouse = Local::open(&folder.path().join("warehouse.sqlite")).unwrap();
    let views = warehouse.ask(|connection| {
        let failed = |source| warehouse.failed("read", source);
        let mut statement = connection
            .prepare("SELECT sql FROM sqlite_schema WHERE type = 'view'")
            .map_err(failed)?;
        let views = statement.query_map([], |row| row.get::<_, String>(0)).map_err(failed)?;
        views.collect::<Result<Vec<_>, _>>().map_err(failed)
    });
    let views = views.unwrap();
    assert!(views.len() >= 4, "{views:?}");
    // DuckDB calls it `count_star`, which SQLite doesn't know.
    assert!(views.iter().all(|view| !view.contains("count(*)")), "{views:?}");
}
