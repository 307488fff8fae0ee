use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use std::{env, fs, io, process};

use record::time::{DAY, HOUR, MINUTE, SECOND};
use record::{Count, Record, Stage, Verdict, Version};

use super::{Answer, ClickHouse, ClickHouseSettings, RegionRow};
use crate::contract::{self, Kept, MONDAY, alert, count, csv, verdict};
use crate::error::WarehouseError;
use crate::port::{AlertQuery, Landing, Progress, Reading, SeriesQuery, Warehouse};

#[path = "../../../../tests/parts/clickhouse.rs"]
mod engine;

mod faults;

mod guide;

/// Databases of one test, dropped with it.
struct Databases {
    settings: ClickHouseSettings,
}

impl Drop for Databases {
    fn drop(&mut self) {
        let drop = |database: &str| {
            sql(&self.settings, &format!("DROP DATABASE IF EXISTS `{database}` SYNC"))
        };
        drop(&self.settings.public_database)
            .and_then(|()| drop(&self.settings.database))
            .expect("drop the databases");
    }
}

/// Settings for databases that nobody else has.
fn settings(url: &str) -> ClickHouseSettings {
    static MADE: AtomicU32 = AtomicU32::new(0);
    let database = format!("test_{}_{}", process::id(), MADE.fetch_add(1, Ordering::Relaxed));
    ClickHouseSettings {
        url: url.to_owned(),
        public_database: format!("{database}_public"),
        database,
        user: env::var("CLICKHOUSE_USER").unwrap_or_else(|_| "default".to_owned()),
        password: env::var("CLICKHOUSE_PASSWORD").unwrap_or_default(),
        ..ClickHouseSettings::default()
    }
}

/// A statement outside the databases of the test.
fn sql(settings: &ClickHouseSettings, statement: &str) -> Result<(), WarehouseError> {
    let warehouse = ClickHouse::connect(ClickHouseSettings {
        database: "system".to_owned(),
        ..settings.clone()
    })?;
    warehouse.statement(statement.to_owned())
}

/// The answer to a question, tab separated.
fn ask(warehouse: &ClickHouse, question: &str) -> String {
    let (client, question) = (warehouse.client(), question.to_owned());
    let bytes = warehouse
        .run("read", async move {
            client.query_raw(&question).fetch_bytes("TabSeparatedWithNames")?.collect().await
        })
        .unwrap_or_else(|error| {
            panic!("{error}: {:?}", std::error::Error::source(&error).map(ToString::to_string))
        });
    String::from_utf8(bytes.to_vec()).unwrap()
}

struct Fresh {
    warehouse: ClickHouse,
    databases: Databases,
}

fn fresh(url: &str) -> Fresh {
    let settings = settings(url);
    let warehouse = ClickHouse::connect(settings.clone()).unwrap();
    warehouse.migrate().unwrap();
    Fresh { warehouse, databases: Databases { settings } }
}

/// Emptied databases that wait for the next test that needs one: to make them again takes far
/// longer.
type Pool = Arc<Mutex<Vec<Databases>>>;

struct Lent {
    pool: Pool,
    databases: Option<Databases>,
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(databases) = self.databases.take() {
            let all = format!(
                "TRUNCATE ALL TABLES FROM `{}` NOT LIKE 'schema_migrations'",
                databases.settings.database
            );
            sql(&databases.settings, &all).unwrap();
            self.pool.lock().unwrap().push(databases);
        }
    }
}

#[test]
fn contract() {
    let Some(url) = engine::url() else { return };
    let pool = Pool::default();
    // All of them take minutes here, where a batch is a dozen requests: that is for `tests/run
    // --long`.
    let seeds = if env::var_os("PUMPHANDLE_STREAMS").is_some() { contract::SEEDS } else { 6 };
    let fresh = || {
        let databases = pool.lock().unwrap().pop().unwrap_or_else(|| fresh(&url).databases);
        let warehouse = ClickHouse::connect(databases.settings.clone()).unwrap();
        Box::new(Kept::new(warehouse, Lent { pool: pool.clone(), databases: Some(databases) }))
            as Box<dyn Warehouse>
    };
    contract::holds(&fresh, seeds);
}

#[test]
fn migrating_again_changes_nothing_and_other_roles_only_look() {
    let Some(url) = engine::url() else { return };
    let Fresh { warehouse, databases } = fresh(&url);
    warehouse.write(&[Record::Count(count("flu", "DE", 0, 1))], &[]).unwrap();
    let tables = || {
        let question = "SELECT name, create_table_query FROM system.tables WHERE database = \
            currentDatabase() ORDER BY name";
        ask(&warehouse, question)
    };
    let before = tables();
    warehouse.migrate().unwrap();
    assert_eq!(tables(), before);
    assert_eq!(csv(&warehouse, "counts").lines().count(), 2);
    ClickHouse::connect(databases.settings.clone()).unwrap().check_schema().unwrap();
    // Cut short after any statement, it is run again from its beginning.
    warehouse.statement("TRUNCATE TABLE schema_migrations".to_owned()).unwrap();
    warehouse.statement("DROP VIEW v_weekly".to_owned()).unwrap();
    let older = warehouse.check_schema().unwrap_err();
    assert!(
        matches!(older, WarehouseError::OlderSchema { found: 0, .. }) && !older.try_again(),
        "{older:?}"
    );
    warehouse.migrate().unwrap();
    assert_eq!(tables(), before);
    assert_eq!(csv(&warehouse, "counts").lines().count(), 2);
}

#[test]
fn a_missing_an_older_a_newer_and_a_changed_schema_are_refused() {
    let Some(url) = engine::url() else { return };
    let missing = ClickHouse::connect(settings(&url)).unwrap();
    for error in [
        missing.check_schema().unwrap_err(),
        missing.ready().unwrap_err(),
        missing.write(&[], &[progress(1)]).unwrap_err(),
    ] {
        assert!(
            error.to_string().ends_with("hint: `pumphandle migrate` brings it up to date")
                && !error.try_again(),
            "{error}"
        );
    }
    let Fresh { warehouse, databases: _databases } = fresh(&url);
    let note = |number: &str, checksum: &str| {
        warehouse
            .statement(format!(
                "INSERT INTO schema_migrations (number, checksum) VALUES ({number}, '{checksum}')"
            ))
            .unwrap();
    };
    note("99", "x");
    for error in [warehouse.check_schema().unwrap_err(), warehouse.migrate().unwrap_err()] {
        assert!(
            matches!(error, WarehouseError::NewerSchema { found: 99, known: 5, .. })
                && !error.try_again(),
            "{error:?}"
        );
    }
    warehouse
        .statement(
            "ALTER TABLE schema_migrations DELETE WHERE number = 99 SETTINGS mutations_sync = 2"
                .to_owned(),
        )
        .unwrap();
    note("1", "x");
    for error in [warehouse.check_schema().unwrap_err(), warehouse.migrate().unwrap_err()] {
        assert!(
            matches!(error, WarehouseError::ChangedMigration { number: 1, .. })
                && !error.try_again(),
            "{error:?}"
        );
    }
}

#[test]
fn rows_are_kept_as_long_as_the_settings_say() {
    let Some(url) = engine::url() else { return };
    let Fresh { warehouse, databases } = fresh(&url);
    let ttls = |warehouse: &ClickHouse| {
        let question =
            "SELECT name, extract(engine_full, 'TTL (.*?) SETTINGS') AS ttl FROM system.tables
                        WHERE database = currentDatabase() AND ttl != '' ORDER BY name";
        ask(warehouse, question).lines().skip(1).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(ttls(&warehouse), [""; 0]);
    let kept = |cells: Option<u64>, verdicts: Option<u64>| {
        let days = |days: Option<u64>| days.map(|days| Duration::from_secs(days * 86_400));
        let settings = ClickHouseSettings {
            cells_retention: days(cells),
            verdicts_retention: days(verdicts),
            ..databases.settings.clone()
        };
        let warehouse = ClickHouse::connect(settings).unwrap();
        warehouse.migrate().unwrap();
        ttls(&warehouse)
    };
    for days in [400, 400, 30] {
        let ttls = kept(Some(days), Some(days));
        assert_eq!(ttls.len(), 7, "{ttls:?}");
        assert!(ttls.contains(&format!("counts\tpane_start + toIntervalDay({days})")), "{ttls:?}");
        assert!(
            ttls.contains(&format!("verdicts\twindow_end + toIntervalDay({days})")),
            "{ttls:?}"
        );
    }
    let ttls_of_verdicts = kept(None, Some(400));
    assert_eq!(ttls_of_verdicts.len(), 2, "{ttls_of_verdicts:?}");
    assert_eq!(ttls_of_verdicts[0], "verdicts\twindow_end + toIntervalDay(400)");
    assert!(
        ttls_of_verdicts[1].contains("window_end != toStartOfDay(window_end)"),
        "{ttls_of_verdicts:?}"
    );
    warehouse.migrate().unwrap();
    assert_eq!(ttls(&warehouse), [""; 0]);
}

#[test]
fn every_table_and_view_says_what_it_is_and_views_warn_of_levels() {
    let Some(url) = engine::url() else { return };
    let Fresh { warehouse, databases: _databases } = fresh(&url);
    let question =
        "SELECT name, comment FROM system.tables WHERE database = currentDatabase() ORDER BY name";
    for line in ask(&warehouse, question).lines().skip(1) {
        let (name, comment) = line.split_once('\t').unwrap();
        assert!(!comment.is_empty(), "{name}");
        assert!(!name.starts_with("v_") || comment.contains("evels"), "{name}: {comment}");
    }
}

/// A count that a page showed is found again, whatever came later, and landing again doesn't change
/// when it was known.
#[test]
fn what_was_known_at_an_instant_stays_so() {
    let Some(url) = engine::url() else { return };
    let Fresh { warehouse, databases: _databases } = fresh(&url);
    let insert = |posts: u32, version: u64, landed: &str| {
        let columns = "topic, region, level, pane_start, pane_seconds, version, posts, authors, \
            authors_self, posts_news, posts_filtered, \
                       authors_filtered, total_posts, final, newest_us, landed_at";
        warehouse
            .statement(format!(
                "INSERT INTO counts_history ({columns})
                 VALUES ('flu', 'DE', 0, '2026-01-05 00:00:00', 3600, {version}, {posts}, 1, 0, 0, \
                 0, 0, 1000, 0, 0, '{landed}')"
            ))
            .unwrap();
    };
    insert(5, 1, "2026-01-05 01:02:00");
    insert(7, 2, "2026-01-05 07:00:00");
    insert(6, 3, "2026-01-06 13:00:00");
    insert(5, 1, "2026-02-01 00:00:00");
    for (known, posts) in [
        ("2026-01-05 01:00:00", None),
        ("2026-01-05 02:00:00", Some("5\t5000")),
        ("2026-01-05 08:00:00", Some("7\t7000")),
        ("2026-03-01", Some("6\t6000")),
    ] {
        let answer =
            ask(&warehouse, &format!("SELECT posts, rate FROM v_counts_as_of(known = '{known}')"));
        assert_eq!(answer.lines().nth(1), posts, "{known}");
    }
}

#[test]
fn the_public_sees_its_own_database_and_names_come_from_the_dictionary() {
    let Some(url) = engine::url() else { return };
    let Fresh { warehouse, databases } = fresh(&url);
    let row = |version: u32, accounts: &str| {
        let values = format!("('flu', 'DE', 0, '2026-01-05', {accounts}, {version})");
        warehouse
            .statement(format!(
                "INSERT INTO public_counts (topic, region, level, day, \
            accounts, version) VALUES {values}"
            ))
            .unwrap();
    };
    row(2, "NULL");
    row(1, "25");
    let public = format!("SELECT * FROM `{}`.public_counts", databases.settings.public_database);
    assert_eq!(
        ask(&warehouse, &public),
        "topic\tregion\tlevel\tday\taccounts\nflu\tDE\t0\t2026-01-05\t\\N\n"
    );
    let region = |name: &str| RegionRow {
        region: "DE-BY".to_owned(),
        name: name.to_owned(),
        parent: "DE".to_owned(),
        level: 1,
        population: 13_000_000,
        latitude: 48.9,
        longitude: 11.4,
    };
    warehouse.write_regions(vec![region("Bavaria")]).unwrap();
    let name = "SELECT dictGet('region_names', 'name', 'DE-BY') AS name, dictGet('region_names', \
        'name', 'XX') AS unknown";
    assert_eq!(ask(&warehouse, name), "name\tunknown\nBavaria\t\n");
    warehouse.write_regions(vec![region("Bayern")]).unwrap();
    warehouse.statement("SYSTEM RELOAD DICTIONARY region_names".to_owned()).unwrap();
    assert_eq!(ask(&warehouse, name), "name\tunknown\nBayern\t\n");
}

#[test]
fn hostile_text_and_numbers_land_and_come_back() {
    let Some(url) = engine::url() else { return };
    let Fresh { warehouse, databases: _databases } = fresh(&url);
    let text = "a\0b'\"?; DROP TABLE counts; --\\N\\\u{202e}\u{1F637}";
    let rows = [
        Record::Count(Count {
            posts: u32::MAX,
            total_posts: u64::MAX,
            newest: i64::MAX,
            ..count(text, text, 0, u64::MAX)
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
    warehouse.write(&rows, &[]).unwrap();
    let query = SeriesQuery {
        topic: text.to_owned(),
        region: text.to_owned(),
        from: i64::MIN,
        to: i64::MAX,
        limit: usize::MAX,
        only: None,
    };
    let series = warehouse.series(&query).unwrap();
    assert_eq!(series.panes[0].posts, u32::MAX);
    assert_eq!(
        (series.verdicts[0].expected, series.verdicts[0].upperbound, series.verdicts[0].coverage),
        (None, None, 0.0)
    );
    assert_eq!(
        warehouse.alerts(&AlertQuery { limit: usize::MAX, ..AlertQuery::default() }).unwrap(),
        []
    );
    let exported = csv(&warehouse, "counts");
    let fields = csv_fields(exported.lines().nth(1).unwrap());
    assert_eq!(
        (fields[0].as_str(), fields[12].as_str(), fields[15].as_str()),
        (text, "18446744073709551615", "18446744073709551615")
    );
}

fn csv_fields(line: &str) -> Vec<String> {
    let mut reader = ::csv::ReaderBuilder::new().has_headers(false).from_reader(line.as_bytes());
    reader.records().next().unwrap().unwrap().iter().map(str::to_owned).collect()
}

/// More months in one batch than the server takes by default.
#[test]
fn past_counts_of_many_years_land_in_one_batch() {
    let Some(url) = engine::url() else { return };
    let Fresh { warehouse, databases: _databases } = fresh(&url);
    let rows: Vec<Record> =
        (0..150).map(|month| Record::Count(count("flu", "DE", -month * 31 * 24, 1))).collect();
    warehouse.write(&rows, &[progress(150)]).unwrap();
    assert_eq!(csv(&warehouse, "v_counts").lines().count(), 151);
}

/// Many alerts are requested by pieces, as the text of a question has a limit.
#[test]
fn thousands_of_alerts_with_events_are_read_at_once() {
    let Some(url) = engine::url() else { return };
    let Fresh { warehouse, databases: _databases } = fresh(&url);
    let id = |number: usize| {
        format!("alert-{number:05}-of-a-long-name-that-makes-the-text-of-a-list-long")
    };
    let rows: Vec<Record> = (0..3_000)
        .flat_map(|number| {
            let event = record::AlertEvent {
                alert: id(number),
                after: 0,
                at: MONDAY,
                actor: "duty".to_owned(),
                state: record::Handling::Verifying,
                note: String::new(),
                ..record::AlertEvent::default()
            };
            [Record::Alert(alert(&id(number))), Record::AlertEvent(event)]
        })
        .collect();
    for _ in 0..2 {
        warehouse.write(&rows, &[]).unwrap();
        let entries =
            warehouse.alerts(&AlertQuery { limit: usize::MAX, ..AlertQuery::default() }).unwrap();
        assert_eq!(entries.len(), 3_000);
        assert!(entries.iter().all(|entry| entry.events.len() == 1));
    }
}

/// A page asks on a thread of a runtime, and drops the warehouse on one.
#[test]
fn it_can_be_asked_and_dropped_inside_another_runtime() {
    let Some(url) = engine::url() else { return };
    let Fresh { warehouse, databases } = fresh(&url);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
    runtime.block_on(async {
        tokio::spawn(async move {
            warehouse.ready().unwrap();
            drop(warehouse);
        })
        .await
        .unwrap();
    });
    drop(databases);
}

#[test]
fn answers_of_the_server_are_told_apart() {
    let answers = [
        (
            "Code: 243. DB::Exception: Cannot reserve 1.00 MiB, not enough space. \
                (NOT_ENOUGH_SPACE)",
            Answer::NoRoom,
        ),
        (
            "Code: 75. DB::Exception: Cannot write to file: /x, errno: 28, strerror: No space left \
                on device.",
            Answer::NoRoom,
        ),
        (
            "Code: 164. DB::Exception: Cannot execute query in readonly mode. (READONLY)",
            Answer::ReadOnly,
        ),
        ("Code: 60. DB::Exception: Table x doesn't exist. (UNKNOWN_TABLE)", Answer::NoSchema),
        (
            "Code: 81. DB::Exception: Database x does not exist. (UNKNOWN_DATABASE)",
            Answer::NoSchema,
        ),
        ("Code: 516. DB::Exception: default: Authentication failed", Answer::Refused),
        ("Code: 497. DB::Exception: x: Not enough privileges. (ACCESS_DENIED)", Answer::Forbidden),
        ("Code: 241. DB::Exception: Memory limit (total) exceeded", Answer::NotNow),
        ("Code: 252. DB::Exception: Too many parts (3000)", Answer::NotNow),
        ("Code: 62. DB::Exception: Syntax error", Answer::Else),
        ("503 Service Unavailable", Answer::NotNow),
        ("404 Not Found", Answer::Else),
        ("<html>", Answer::Else),
    ];
    for (said, answer) in answers {
        assert_eq!(Answer::parse(said), answer, "{said}");
    }
}

#[test]
fn passwords_are_in_no_message() {
    let settings =
        ClickHouseSettings { password: "secret".to_owned(), ..ClickHouseSettings::default() };
    assert!(!format!("{settings:?}").contains("secret"));
    for url in [
        "http://me:secret@127.0.0.1:8123",
        "127.0.0.1:8123",
        "http://",
        "http://x/path",
        "http://x?password=secret",
    ] {
        let error =
            ClickHouse::connect(ClickHouseSettings { url: url.to_owned(), ..settings.clone() })
                .unwrap_err();
        assert!(matches!(error, WarehouseError::Address { .. }) && !error.try_again(), "{error:?}");
        assert!(url.contains('?') || !error.to_string().contains("secret"), "{error}");
    }
}

fn progress(next: u64) -> Progress {
    Progress { stream: "counts".to_owned(), partition: 0, next }
}
