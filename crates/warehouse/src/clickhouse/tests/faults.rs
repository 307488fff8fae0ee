//! What goes wrong between us and the server, with the server's own answers.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::mpsc;
use std::thread;

use super::*;
use crate::deadline::Deadline;

#[test]
fn a_server_that_is_not_there_or_does_not_answer_is_tried_again() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = settings(&format!("http://{}", listener.local_addr().unwrap()));
    let after = Duration::from_millis(50);
    let error = ClickHouse::connect(ClickHouseSettings { answer_max: after, ..silent.clone() })
        .unwrap_err();
    assert!(matches!(error, WarehouseError::TimedOut { .. }) && error.try_again(), "{error:?}");
    drop(listener);
    let error = ClickHouse::connect(silent).unwrap_err();
    assert!(matches!(error, WarehouseError::Unreachable { .. }) && error.try_again(), "{error:?}");
    assert!(error.to_string().contains("hint: is ClickHouse up"), "{error}");
    let nowhere = ClickHouse::connect(settings("http://no-such-host.invalid:8123")).unwrap_err();
    assert!(matches!(nowhere, WarehouseError::Unreachable { .. }), "{nowhere:?}");
}

#[test]
fn a_wrong_password_is_said_and_not_tried_again() {
    let Some(engine) = engine::Engine::start(None, 0, &["--user", "writer", "--password", "right"])
    else {
        engine::absent::<()>("no ClickHouse engine of our own");
        return;
    };
    let as_user = |user: &str, password: &str| {
        ClickHouse::connect(ClickHouseSettings {
            user: user.to_owned(),
            password: password.to_owned(),
            ..settings(engine.url())
        })
    };
    for (user, password) in [("writer", "wrong"), ("nobody", "right"), ("writer", "")] {
        let error = as_user(user, password).unwrap_err();
        assert!(
            matches!(&error, WarehouseError::Refused { user: said, .. } if said == user)
                && !error.try_again(),
            "{error:?}"
        );
        assert!(
            error.to_string().contains("hint: see `user` and `password-file`")
                && !error.to_string().contains("wrong"),
            "{error}"
        );
    }
    as_user("writer", "right").unwrap();
}

/// The engine as an operator has set it up, over the data that another engine has left.
fn engine_with(data: &std::path::Path, config: &str) -> Option<engine::Engine> {
    let file = data.with_extension("xml");
    fs::write(&file, config.replace("{file}", &file.display().to_string())).unwrap();
    engine::Engine::start(Some(data), 0, &["--config-file", &file.display().to_string()])
}

#[test]
fn a_server_that_is_gone_a_user_that_may_only_read_and_one_without_rights_are_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let Some(mut engine) = engine::Engine::start(Some(&data), 0, &[]) else {
        engine::absent::<()>("no ClickHouse engine of our own");
        return;
    };
    let settings = settings(engine.url());
    let warehouse = ClickHouse::connect(settings.clone()).unwrap();
    warehouse.migrate().unwrap();
    let row = |version| [Record::Count(count("flu", "DE", 0, version))];
    warehouse.write(&row(1), &[progress(1)]).unwrap();
    engine.kill();
    let gone = warehouse.write(&row(2), &[progress(2)]).unwrap_err();
    assert!(matches!(gone, WarehouseError::Unreachable { .. }) && gone.try_again(), "{gone:?}");

    let mut reader = engine_with(
        &data,
        "<clickhouse>
           <user_directories><users_xml><path>{file}</path></users_xml></user_directories>
           <profiles><default><readonly>1</readonly></default></profiles>
           <users><default><password></password><profile>default</profile><quota>default</quota><networks><ip>::/0</ip></networks></default></users>
           <quotas><default/></quotas>
         </clickhouse>",
    )
    .unwrap();
    let warehouse = ClickHouse::connect(ClickHouseSettings {
        url: reader.url().to_owned(),
        ..settings.clone()
    })
    .unwrap();
    warehouse.check_schema().unwrap();
    assert_eq!(warehouse.progress().unwrap(), [progress(1)]);
    for error in
        [warehouse.write(&row(2), &[progress(2)]).unwrap_err(), warehouse.migrate().unwrap_err()]
    {
        assert!(
            matches!(error, WarehouseError::ReadOnly { .. }) && !error.try_again(),
            "{error:?}"
        );
    }
    drop(warehouse);
    reader.kill();

    let denied = engine_with(
        &data,
        "<clickhouse>
           <user_directories><users_xml><path>{file}</path></users_xml></user_directories>
           <profiles><default><readonly>0</readonly></default></profiles>
           <users><default><password></password><profile>default</profile><quota>default</quota><networks><ip>::/0</ip></networks>
             <grants><query>GRANT SELECT ON *.*</query></grants></default></users>
           <quotas><default/></quotas>
         </clickhouse>",
    )
    .unwrap();
    let warehouse = ClickHouse::connect(ClickHouseSettings {
        url: denied.url().to_owned(),
        ..settings.clone()
    })
    .unwrap();
    let error = warehouse.write(&row(2), &[progress(2)]).unwrap_err();
    assert!(matches!(error, WarehouseError::Forbidden { .. }) && !error.try_again(), "{error:?}");
}

/// The users of deploy/clickhouse, one of them in the place of the only user that the engine of the
/// tests has.
fn as_deployed(user: &str, databases: &ClickHouseSettings) -> String {
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../deploy/clickhouse/users.d/pumphandle.xml");
    let deployed = fs::read_to_string(file).unwrap();
    let between = |text: &str, name: &str| {
        let (open, close) = (format!("<{name}>"), format!("</{name}>"));
        let from = text.find(&open).unwrap_or_else(|| panic!("<{name}>"));
        text[from + open.len()..text.find(&close).unwrap()].to_owned()
    };
    let (profiles, quotas, users) =
        (between(&deployed, "profiles"), between(&deployed, "quotas"), between(&deployed, "users"));
    let grants = between(&between(&users, user), "grants")
        .replace("pumphandle.", &format!("{}.", databases.database))
        .replace("public.", &format!("{}.", databases.public_database))
        .replace("DEFINER ON writer", "DEFINER ON default");
    let quota = if user == "analyst" { user } else { "unlimited" };
    format!(
        "<clickhouse>
           <user_directories><users_xml><path>{{file}}</path></users_xml></user_directories>
           <profiles><default/>{profiles}</profiles><quotas><default/>{quotas}</quotas>
           <users><default><password></password><networks><ip>::/0</ip></networks>
             <profile>{user}</profile><quota>{quota}</quota><grants>{grants}</grants></default></users>
         </clickhouse>"
    )
}

#[test]
fn the_writer_of_deploy_can_do_all_and_the_analyst_only_reads() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let named = settings("http://127.0.0.1:1");
    let Some(mut engine) = engine_with(&data, &as_deployed("writer", &named)) else {
        engine::absent::<()>("no ClickHouse engine of our own");
        return;
    };
    let writer = ClickHouse::connect(ClickHouseSettings {
        url: engine.url().to_owned(),
        cells_retention: Some(Duration::from_secs(400 * 86_400)),
        ..named.clone()
    })
    .unwrap();
    for number in 0..4 {
        writer.migrate().unwrap();
        writer.check_schema().unwrap();
        writer.write(&batch(number), &[progress(number + 1)]).unwrap();
    }
    writer.write_reference(&[]).unwrap();
    for table in TABLES {
        csv(&writer, table);
    }
    drop(writer);
    engine.kill();

    let mut engine = engine_with(&data, &as_deployed("analyst", &named)).unwrap();
    let analyst =
        ClickHouse::connect(ClickHouseSettings { url: engine.url().to_owned(), ..named.clone() })
            .unwrap();
    for table in TABLES {
        csv(&analyst, table);
    }
    ask(&analyst, &format!("SELECT * FROM `{}`.public_counts", named.public_database));
    ask(&analyst, "SELECT dictGet('region_names', 'name', 'DE') AS name");
    ask(&analyst, "SELECT * FROM v_counts_as_of(known = '2026-01-05 08:00:00')");
    for refused in [
        "INSERT INTO counts (topic) VALUES ('x')",
        "DROP TABLE counts",
        "ALTER TABLE counts DELETE WHERE 1",
        "CREATE TABLE mine (a UInt8) ENGINE = Memory",
        "SELECT 1 SETTINGS max_execution_time = 3600",
        "SELECT 1 SETTINGS max_memory_usage = 100000000000",
        "SELECT number FROM system.numbers LIMIT 2000000 FORMAT Null SETTINGS max_result_rows = 0",
        "SELECT * FROM url('http://127.0.0.1:1/', 'TSV', 'a String')",
    ] {
        let error = analyst.statement(refused.to_owned()).unwrap_err();
        assert!(!error.try_again(), "{refused}: {error:?}");
    }
    engine.kill();
}

/// What the page and its exports ask, each under the deadline that they ask with; and nothing that
/// changes a table.
#[test]
fn the_reader_of_deploy_answers_all_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let named = settings("http://127.0.0.1:1");
    let Some(mut engine) = engine_with(&data, &as_deployed("writer", &named)) else {
        engine::absent::<()>("no ClickHouse engine of our own");
        return;
    };
    let writer =
        ClickHouse::connect(ClickHouseSettings { url: engine.url().to_owned(), ..named.clone() })
            .unwrap();
    writer.migrate().unwrap();
    writer.write(&batch(1), &[progress(1)]).unwrap();
    drop(writer);
    engine.kill();

    let mut engine = engine_with(&data, &as_deployed("reader", &named)).unwrap();
    let reader =
        ClickHouse::connect(ClickHouseSettings { url: engine.url().to_owned(), ..named.clone() })
            .unwrap();
    reader.check_schema().unwrap();
    Deadline::new(Duration::from_secs(20)).run(|| {
        reader.ready().unwrap();
        reader.settings().unwrap();
        reader.latest().unwrap();
        reader.closed_until().unwrap();
        assert!(!reader.heads().unwrap().is_empty());
        reader.topics().unwrap();
        reader.alerts(&AlertQuery::default()).unwrap();
        reader.coverage().unwrap();
        reader.references("DE").unwrap();
        reader.published(&["flu".to_owned()], None, 0).unwrap();
    });
    for table in TABLES {
        Deadline::new(Duration::from_secs(600)).run(|| csv(&reader, table));
    }
    for refused in [
        "INSERT INTO counts (topic) VALUES ('x')",
        "DROP TABLE counts",
        "TRUNCATE TABLE counts",
        "DROP VIEW v_counts",
        "ALTER TABLE counts DELETE WHERE 1",
        "CREATE TABLE mine (a UInt8) ENGINE = Memory",
        "SELECT 1 SETTINGS max_execution_time = 3600",
        "SELECT * FROM url('http://127.0.0.1:1/', 'TSV', 'a String')",
    ] {
        let error = reader.statement(refused.to_owned()).unwrap_err();
        assert!(!error.try_again(), "{refused}: {error:?}");
    }
    assert!(reader.write(&batch(2), &[progress(2)]).is_err());
    engine.kill();
}

#[test]
fn a_full_disk_is_named_and_the_same_batch_lands_when_there_is_room() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let config = "<clickhouse><storage_configuration><disks>
                    <default><keep_free_space_bytes>4611686018427387904</keep_free_space_bytes></default>
                  </disks></storage_configuration></clickhouse>";
    let Some(mut full) = engine_with(&data, config) else {
        engine::absent::<()>("no ClickHouse engine of our own");
        return;
    };
    let settings = settings(full.url());
    let warehouse = ClickHouse::connect(settings.clone()).unwrap();
    // The first migration makes its tables, which takes no room for rows, and fails where it notes
    // that it has.
    let rows = [Record::Count(count("flu", "DE", 0, 1))];
    for error in
        [warehouse.migrate().unwrap_err(), warehouse.write(&rows, &[progress(1)]).unwrap_err()]
    {
        assert!(matches!(error, WarehouseError::DiskFull { .. }) && error.try_again(), "{error:?}");
        assert!(
            error.to_string().starts_with("no room left on the disk that holds `http://127.0.0.1:"),
            "{error}"
        );
    }
    assert_eq!(warehouse.progress().unwrap(), []);
    full.kill();

    let engine = engine::Engine::start(Some(&data), 0, &[]).unwrap();
    let warehouse =
        ClickHouse::connect(ClickHouseSettings { url: engine.url().to_owned(), ..settings })
            .unwrap();
    warehouse.migrate().unwrap();
    warehouse.write(&rows, &[progress(1)]).unwrap();
    assert_eq!(warehouse.progress().unwrap(), [progress(1)]);
    assert_eq!(csv(&warehouse, "v_counts").lines().count(), 2);
}

/// Passes bytes on, and cuts the connection where the reply to the chosen insert would come back:
/// the rows are in, the answer is lost.
struct Proxy {
    url: String,
    /// How many inserts pass before the one whose reply is cut; negative: none is.
    before: Arc<AtomicI64>,
}

impl Proxy {
    fn to(url: &str) -> Proxy {
        let target = url.trim_start_matches("http://").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let before = Arc::new(AtomicI64::new(-1));
        let shared = before.clone();
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let Ok(server) = TcpStream::connect(&target) else { continue };
                let doomed = Arc::new(AtomicI64::new(0));
                let (mut from_client, mut to_server) =
                    (client.try_clone().unwrap(), server.try_clone().unwrap());
                let (inserts, cut) = (shared.clone(), doomed.clone());
                thread::spawn(move || {
                    let mut bytes = [0; 65_536];
                    while let Ok(length @ 1..) = from_client.read(&mut bytes) {
                        let is_insert =
                            bytes[..length].windows(12).any(|window| window == b"query=INSERT");
                        if is_insert && inserts.fetch_sub(1, Ordering::SeqCst) == 0 {
                            cut.store(1, Ordering::SeqCst);
                        }
                        if to_server.write_all(&bytes[..length]).is_err() {
                            break;
                        }
                    }
                    let _ = to_server.shutdown(Shutdown::Write);
                });
                let (mut from_server, mut to_client) = (server, client);
                thread::spawn(move || {
                    let mut bytes = [0; 65_536];
                    while let Ok(length @ 1..) = from_server.read(&mut bytes) {
                        if doomed.load(Ordering::SeqCst) == 1
                            || to_client.write_all(&bytes[..length]).is_err()
                        {
                            break;
                        }
                    }
                    let _ = to_client.shutdown(Shutdown::Both);
                    let _ = from_server.shutdown(Shutdown::Both);
                });
            }
        });
        Proxy { url, before }
    }
}

/// A batch of every table: counts that change, close and are revised, verdicts, alerts and what
/// people did.
fn batch(number: u64) -> Vec<Record> {
    let hour = number as i64 / 2;
    let version = number + 1;
    let event = record::AlertEvent {
        alert: format!("alert {}", number / 5),
        after: (number % 5) as u32,
        at: MONDAY + number as i64,
        actor: "duty".to_owned(),
        state: record::Handling::Verifying,
        note: format!("note {number}"),
        ..record::AlertEvent::default()
    };
    let start = MONDAY + hour * HOUR;
    vec![
        Record::Count(Count { posts: number as u32 + 1, ..count("flu", "DE", hour, version) }),
        Record::Count(Count { posts: number as u32 + 2, ..count("flu", "DE", hour - 1, version) }),
        Record::TagCount(record::TagCount {
            key: "flu".to_owned(),
            region: "DE".to_owned(),
            pane_start: start,
            posts: number as u32,
            last: false,
            version: Version(version),
        }),
        Record::Total(record::Total {
            region: "DE".to_owned(),
            pane_start: start,
            pane_length: HOUR,
            posts: number * 10,
            last: false,
            version: Version(version),
            sampled: number * 10,
        }),
        Record::Verdict(Verdict {
            window_end: start + HOUR,
            stage: if number.is_multiple_of(2) { Stage::Early } else { Stage::Closed },
            version: Version(version),
            ..verdict("flu", "DE")
        }),
        Record::Alert(record::Alert {
            revision: number as u32 % 5,
            version: Version(version),
            ..alert(&format!("alert {}", number / 5))
        }),
        Record::AlertEvent(event),
    ]
}

const TABLES: [&str; 12] = [
    "counts",
    "counts_history",
    "tag_counts",
    "denominators",
    "coverage",
    "window_counts",
    "verdicts",
    "alerts",
    "alert_events",
    "v_counts",
    "v_daily",
    "v_alerts",
];

fn same_tables(one: &ClickHouse, other: &ClickHouse) {
    for table in TABLES {
        assert_eq!(csv(one, table), csv(other, table), "{table}");
    }
    assert_eq!(one.progress().unwrap(), other.progress().unwrap());
}

#[test]
fn fifty_replies_cut_after_the_insert_double_nothing() {
    let Some(url) = engine::url() else { return };
    let Fresh { warehouse: expected, databases: _databases } = fresh(&url);
    let proxy = Proxy::to(&url);
    let Fresh { warehouse, databases: _others } = fresh(&proxy.url);
    let mut cuts = 0;
    let mut places = BTreeSet::new();
    for number in 0..50_u64 {
        let (rows, progress) = (batch(number), [progress(number + 1)]);
        expected.write(&rows, &progress).unwrap();
        // Each batch at another insert, so that every table's is cut.
        let place = number as i64 % 9;
        proxy.before.store(place, Ordering::SeqCst);
        while let Err(error) = warehouse.write(&rows, &progress) {
            assert!(
                matches!(error, WarehouseError::Unreachable { .. }) && error.try_again(),
                "{error:?}"
            );
            cuts += 1;
            places.insert(place);
        }
        // A batch with fewer inserts than that is cut at its last one, when it is written again.
        if proxy.before.swap(-1, Ordering::SeqCst) >= 0 {
            proxy.before.store(0, Ordering::SeqCst);
            warehouse.write(&rows, &progress).unwrap_err();
            cuts += 1;
            warehouse.write(&rows, &progress).unwrap();
        }
    }
    println!("{cuts} replies cut at inserts {places:?}; lost 0, doubled 0");
    assert_eq!(cuts, 50);
    same_tables(&warehouse, &expected);
    assert!(csv(&warehouse, "counts_history").lines().count() > 25);
    assert_eq!(csv(&warehouse, "alert_events").lines().count(), 51);
}

#[test]
fn three_restarts_in_mid_landing_lose_and_double_nothing() {
    const BATCHES: u64 = 60;
    let folder = tempfile::tempdir().unwrap();
    let Some(mut engine) = engine::Engine::start(Some(folder.path()), 0, &[]) else {
        engine::absent::<()>("no ClickHouse engine of our own");
        return;
    };
    let (url, port) = (engine.url().to_owned(), engine.port());
    let Fresh { warehouse: expected, databases: _databases } = fresh(&url);
    let Fresh { warehouse, databases: _others } = fresh(&url);
    for number in 0..BATCHES {
        expected.write(&batch(number), &[progress(number + 1)]).unwrap();
    }
    let (landed, landings) = mpsc::sync_channel(0);
    let (restarted, restarts) = mpsc::channel();
    thread::scope(|scope| {
        let warehouse = &warehouse;
        scope.spawn(move || {
            for number in 0..BATCHES {
                while let Err(error) = warehouse.write(&batch(number), &[progress(number + 1)]) {
                    assert!(error.try_again(), "{error:?}");
                    let _ = restarts.recv_timeout(Duration::from_millis(100));
                }
                let _ = landed.try_send(number);
            }
        });
        for kill in 1..=3 {
            // The next batch is being written when the one before has landed.
            while landings.recv().unwrap() < kill * BATCHES / 4 {}
            engine.kill();
            engine = engine::Engine::start(Some(folder.path()), port, &[]).unwrap();
            restarted.send(()).unwrap();
        }
        drop(landings);
    });
    println!("3 kills; lost 0, doubled 0");
    same_tables(&warehouse, &expected);
}
