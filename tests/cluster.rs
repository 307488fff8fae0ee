//! The roles as processes of their own, over real Kafka and the real ClickHouse engine: what lands
//! is what `replay` counts, whatever is killed on the way.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use simulation::Random;

use crate::clickhouse;
use crate::live;
use crate::notify;
use crate::program::{Folder, LONG, Running, root, simulate, until};
use crate::recount::assert_same;
use crate::run::{exported, replayed};

/// Two of each, watch with its standby.
const ROLES: [&str; 9] =
    ["ingest", "ingest", "tally", "tally", "watch", "watch", "land", "land", "serve"];
/// What a set-up on two busy cores may take.
const VERY_LONG: Duration = Duration::from_secs(300);

/// The two servers, streams and tables of a test's own on them, and its folder.
pub(crate) struct Cluster {
    pub(crate) folder: Folder,
    /// Of the test's own, if it is going to be hard on them.
    _kafka: Option<Kafka>,
    _clickhouse: Option<clickhouse::Engine>,
}

impl Cluster {
    /// On servers that tests share; none, said so, where there are none.
    pub(crate) fn shared() -> Option<Cluster> {
        let Ok(brokers) = std::env::var("KAFKA_BROKERS") else {
            return clickhouse::absent("no Kafka: KAFKA_BROKERS is not set; tests/run starts one");
        };
        Some(Cluster::on(&brokers, &clickhouse::url()?, None, None))
    }

    fn on(
        brokers: &str,
        url: &str,
        kafka: Option<Kafka>,
        clickhouse: Option<clickhouse::Engine>,
    ) -> Cluster {
        let folder = Folder::new();
        let name = folder
            .path()
            .file_name()
            .and_then(|name| name.to_str())
            .expect("a name")
            .replace(['.', '-'], "");
        folder.write(
            "run.toml",
            format!(
                r#"
                [journal]
                kind = "kafka"
                brokers = "{brokers}"
                prefix = "test{name}"
                session-timeout = "3s"
                [warehouse]
                kind = "clickhouse"
                url = "{url}"
                database = "test{name}"
                [web]
                listen = "127.0.0.1:0"
                [[feeds]]
                name = "posts"
                kind = "file"
                path = "posts.ndjson"
                "#
            ),
        );
        Cluster { folder, _kafka: kafka, _clickhouse: clickhouse }
    }

    pub(crate) fn migrate(&self) {
        self.folder.output(&["migrate", "--config", "run.toml"]).ends(0);
    }

    fn start(&self, role: &str) -> Running {
        self.folder.start(&[role, "--config", "run.toml", "--until-drained"])
    }

    /// The final verdicts that landed, as `replay --verdicts` writes them.
    fn final_verdicts(&self) -> BTreeSet<String> {
        let rows = self
            .folder
            .output(&["export", "--config", "run.toml", "--table", "verdicts"])
            .ends(0)
            .stdout();
        last_verdicts(&rows)
    }

    fn alert_ids(&self, args: &[&str]) -> BTreeSet<String> {
        let lines =
            self.folder.output(&[args, &["--config", "run.toml"]].concat()).ends(0).stdout();
        let id = |line: &str| {
            serde_json::from_str::<Value>(line).expect("JSON")["id"]
                .as_str()
                .expect("an id")
                .to_owned()
        };
        let ids: BTreeSet<String> = lines.lines().map(id).collect();
        assert!(
            args[0] != "alerts" || ids.len() == lines.lines().count(),
            "an alert is listed twice: {lines}"
        );
        ids
    }

    /// What landed is what is counted by `replay`, and each alert is one that the log tells, once;
    /// says so.
    #[track_caller]
    fn is_whole(&self, after: &str) {
        let (landed, replayed) = (exported(&self.folder), replayed(&self.folder));
        assert_same(after, &landed, &replayed);
        let ids = self.alert_ids(&["alerts", "list"]);
        assert_eq!(ids, self.alert_ids(&["replay", "--log", "--alerts", "-"]), "after {after}");
        tell(&format!(
            "{after}: {} cells, lost 0, doubled 0; {} alerts, each once",
            landed.lines().count() - 1,
            ids.len()
        ));
    }
}

/// `topic,region,window_end,window_seconds,method,observed,expected,upperbound,pvalue,alarm,reason`
/// of final verdicts.
fn last_verdicts(rows: &str) -> BTreeSet<String> {
    let mut reader = csv::Reader::from_reader(rows.as_bytes());
    let header = reader.headers().expect("a header").clone();
    let column = |name: &str| {
        header
            .iter()
            .position(|column| column == name)
            .unwrap_or_else(|| panic!("no {name}: {header:?}"))
    };
    let stage = column("stage");
    let wanted = [
        "topic",
        "region",
        "window_end",
        "window_seconds",
        "method",
        "observed",
        "expected",
        "upperbound",
        "pvalue",
        "alarm",
        "reason",
    ]
    .map(column);
    let rows = reader.records().map(|row| row.expect("a row"));
    // The same number may be written 32 and 32.0.
    let value = |field: &str| {
        field.parse::<f64>().map_or_else(|_| field.to_owned(), |number| number.to_string())
    };
    rows.filter(|row| &row[stage] == "final")
        .map(|row| wanted.map(|at| value(&row[at])).join(","))
        .collect()
}

/// For whoever reads what the tests say.
#[expect(clippy::print_stdout, reason = "a seed is of use only where tests are read")]
fn tell(what: &str) {
    println!("{what}");
}

/// A broker of the test's own, that can be killed and started again on what it keeps.
struct Kafka {
    folder: tempfile::TempDir,
    port: u16,
    child: Child,
}

impl Kafka {
    fn start() -> Option<Kafka> {
        let script = root().join("tests/kafka_local.sh");
        let fetched = Command::new(&script)
            .arg("--fetch")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        if !fetched.is_ok_and(|status| status.success()) {
            return clickhouse::absent("no Kafka of one's own: tests/kafka_local.sh fetches none");
        }
        let folder = tempfile::tempdir().expect("a folder for temporary files");
        // The two after it are the broker's too; should they be taken, the start says so.
        let port = TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .expect("a free port")
            .port();
        let child = spawn(&script, folder.path(), port);
        Some(Kafka { folder, port, child })
    }

    fn brokers(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    fn restart(&mut self) {
        self.kill();
        self.child = spawn(&root().join("tests/kafka_local.sh"), self.folder.path(), self.port);
    }

    /// As `kill -9`.
    fn kill(&mut self) {
        if let Ok(pid) = std::fs::read_to_string(self.folder.path().join("broker.pid")) {
            // It may have ended by itself.
            let _ = Command::new("kill").args(["-9", pid.trim()]).stderr(Stdio::null()).status();
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Kafka {
    fn drop(&mut self) {
        self.kill();
    }
}

fn spawn(script: &Path, folder: &Path, port: u16) -> Child {
    let mut command = Command::new(script);
    command
        .arg(folder)
        .arg(port.to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut child = command.spawn().expect("bash runs");
    let mut said = String::new();
    let out = child.stdout.take().expect("it is piped");
    BufReader::new(out).read_line(&mut said).expect("the broker says when it is ready");
    assert!(said.starts_with("ready"), "the broker didn't start: {said:?}");
    child
}

#[test]
fn two_of_each_role_land_what_replay_counts_and_judges() {
    let Some(cluster) = Cluster::shared() else { return };
    let folder = &cluster.folder;
    simulate(folder, "posts.ndjson", &["--posts", "200000", "--days", "12", "--seed", "11"]);
    cluster.migrate();
    // Done twice it changes nothing more.
    cluster.migrate();
    let mut roles = ROLES.map(|role| (role, cluster.start(role)));
    for (role, running) in &mut roles {
        until(VERY_LONG, &format!("the end of {role}: {}", running.log()), || running.ended());
        running.ends(0);
    }
    assert_same("landed and replayed", &exported(folder), &replayed(folder));

    let verdicts = folder.output(&["replay", "posts.ndjson", "--verdicts", "-"]).ends(0).stdout();
    let (landed, replayed) = (cluster.final_verdicts(), last_verdicts(&verdicts));
    assert!(replayed.len() > 1000, "{} verdicts", replayed.len());
    let differing: Vec<&String> = landed.symmetric_difference(&replayed).take(5).collect();
    assert!(
        differing.is_empty(),
        "{} and {} verdicts: {differing:?}",
        landed.len(),
        replayed.len()
    );

    let ids = cluster.alert_ids(&["alerts", "list"]);
    assert!(!ids.is_empty(), "no alert at all");
    assert_eq!(ids, cluster.alert_ids(&["replay", "--log", "--alerts", "-"]));

    // A drained log takes no more: the next start is refused, and what is migrated begins anew and
    // counts the same.
    cluster.migrate();
    let mut roles = ["ingest", "tally", "watch", "land"].map(|role| (role, cluster.start(role)));
    for (_, running) in &mut roles {
        until(VERY_LONG, "the end of the second run", || running.ended());
        running.ends(0);
    }
    assert_same("a second generation", &exported(folder), &self::replayed(folder));
}

#[test]
fn twenty_kills_of_random_roles_lose_nothing_and_double_nothing() {
    let Some(cluster) = Cluster::shared() else { return };
    let folder = &cluster.folder;
    simulate(folder, "posts.ndjson", &["--posts", "150000", "--days", "9", "--seed", "12"]);
    cluster.migrate();
    let seed = 4;
    let mut random = Random::new(seed);
    let mut roles: Vec<(&str, Running)> =
        ROLES[..8].iter().map(|role| (*role, cluster.start(role))).collect();
    let mut kills: BTreeMap<&str, u32> = BTreeMap::new();
    for _ in 0..20 {
        let at = Instant::now() + Duration::from_millis(random.between(100, 1500) as u64);
        until(LONG, "the moment of the kill", || (Instant::now() >= at).then_some(()));
        let victim = random.between(0, roles.len() as i64) as usize;
        let role = roles[victim].0;
        roles[victim].1.kill();
        assert!(!roles[victim].1.log().contains("panicked"), "{role}: {}", roles[victim].1.log());
        *kills.entry(role).or_default() += 1;
        roles[victim].1 = cluster.start(role);
    }
    for (role, running) in &mut roles {
        until(VERY_LONG, &format!("the end of {role}: {}", running.log()), || running.ended());
        running.ends(0);
    }
    cluster.is_whole(&format!("20 kills of roles (seed {seed}: {kills:?})"));
}

#[test]
fn servers_that_are_killed_three_times_each_lose_nothing() {
    let Some(mut kafka) = Kafka::start() else { return };
    let data = tempfile::tempdir().expect("a folder for temporary files");
    let Some(mut engine) = clickhouse::Engine::start(Some(data.path()), 0, &[]) else { return };
    let port = engine.port();
    let cluster = Cluster::on(&kafka.brokers(), engine.url(), None, None);
    let folder = &cluster.folder;
    simulate(folder, "posts.ndjson", &["--posts", "100000", "--days", "6", "--seed", "13"]);
    cluster.migrate();
    let mut roles: Vec<(&str, Running)> =
        ROLES[..8].iter().map(|role| (*role, cluster.start(role))).collect();
    let mut random = Random::new(5);
    for _ in 0..3 {
        for server in ["kafka", "clickhouse"] {
            let at = Instant::now() + Duration::from_millis(random.between(500, 3000) as u64);
            until(LONG, "the moment of the kill", || (Instant::now() >= at).then_some(()));
            if server == "kafka" {
                kafka.restart();
            } else {
                engine.kill();
                engine = clickhouse::Engine::start(Some(data.path()), port, &[])
                    .expect("it started before");
            }
        }
    }
    for (role, running) in &mut roles {
        let mut status =
            until(VERY_LONG, &format!("the end of {role}: {}", running.log()), || running.ended());
        // One that was still starting when its server went has given up and said so; as docker
        // does, it is started again.
        let log = running.log();
        if !status.success()
            && (log.contains("does not answer") || log.contains("can't be reached"))
        {
            *running = cluster.start(role);
            status = until(VERY_LONG, &format!("the end of {role}: {}", running.log()), || {
                running.ended()
            });
        }
        assert!(status.success(), "{role}: {}", running.log());
        running.ends(0);
    }
    cluster.is_whole("3 kills of Kafka and 3 of ClickHouse");
}

#[test]
fn a_worker_that_was_thought_dead_changes_nothing_when_it_wakes() {
    let Some(cluster) = Cluster::shared() else { return };
    let folder = &cluster.folder;
    simulate(folder, "posts.ndjson", &["--posts", "100000", "--days", "6", "--seed", "14"]);
    cluster.migrate();
    let mut roles: Vec<(&str, Running)> =
        ROLES[..8].iter().map(|role| (*role, cluster.start(role))).collect();
    // Who of the two has the work is not known from outside: both sleep in turn, longer than their
    // session lasts.
    for (_, sleeper) in &mut roles {
        if sleeper.ended().is_some() {
            continue;
        }
        sleeper.signal("STOP");
        let at = Instant::now() + Duration::from_millis(4500);
        until(LONG, "the end of its session", || (Instant::now() >= at).then_some(()));
        sleeper.signal("CONT");
    }
    for (role, running) in &mut roles {
        until(VERY_LONG, &format!("the end of {role}: {}", running.log()), || running.ended());
        running.ends(0);
    }
    cluster.is_whole("each process stopped for longer than its session, and woken");
}

#[test]
fn a_role_refuses_what_the_others_would_not_agree_to() {
    let Some(cluster) = Cluster::shared() else { return };
    let folder = &cluster.folder;
    folder.write("posts.ndjson", "");
    let early = folder.output(&["tally", "--config", "run.toml"]).ends(1).stderr();
    assert!(early.contains("pumphandle migrate"), "{early}");
    cluster.migrate();
    let other = folder
        .output(&["tally", "--config", "run.toml", "--set", "panes.lateness=7m"])
        .ends(1)
        .stderr();
    assert!(
        other.contains("differs from the settings that the log holds")
            && other.contains("pumphandle migrate"),
        "{other}"
    );
    let fewer = folder
        .output(&["watch", "--config", "run.toml", "--set", "journal.partitions=3"])
        .ends(1)
        .stderr();
    assert!(fewer.contains("partitions"), "{fewer}");
    let local = folder.output(&["watch", "--set", "journal.kind=local"]).ends(64).stderr();
    assert!(
        local.starts_with("error: a watch of its own needs streams that processes share")
            && local.contains("hint: "),
        "{local}"
    );
    let nowhere = folder
        .output(&["migrate", "--config", "run.toml", "--set", "warehouse.url=http://127.0.0.1:9"])
        .ends(1)
        .stderr();
    assert!(nowhere.contains("127.0.0.1:9"), "{nowhere}");
    let nobody = folder
        .output(&["migrate", "--config", "run.toml", "--set", "journal.brokers=127.0.0.1:9"])
        .ends(1)
        .stderr();
    assert!(nobody.contains("127.0.0.1:9"), "{nobody}");
}

#[test]
fn a_warehouse_that_is_away_delays_no_alert_and_has_everything_afterwards() {
    let Ok(brokers) = std::env::var("KAFKA_BROKERS") else {
        return clickhouse::absent::<()>(
            "no Kafka: KAFKA_BROKERS is not set; tests/run starts one",
        )
        .unwrap_or(());
    };
    let data = tempfile::tempdir().expect("a folder for temporary files");
    let Some(mut engine) = clickhouse::Engine::start(Some(data.path()), 0, &[]) else { return };
    let port = engine.port();
    let cluster = Cluster::on(&brokers, engine.url(), None, None);
    let folder = &cluster.folder;
    let (lines, _) = live::ten_posts();
    let outbreak: usize =
        lines.split_inclusive('\n').take_while(|line| !line.contains("flu")).map(str::len).sum();
    folder.write("posts.ndjson", &lines[..outbreak]);
    cluster.migrate();
    let followed = ["--set", "feeds.posts.follow=true"];
    let mut roles = ["ingest", "tally", "watch", "land"]
        .map(|role| folder.start(&[&[role, "--config", "run.toml"], &followed[..]].concat()));
    let hours = || {
        folder
            .output(&["export", "--config", "run.toml", "--table", "denominators"])
            .ends(0)
            .stdout()
            .lines()
            .count()
    };
    until(VERY_LONG, "the fortnight to land", || (hours() > 14 * 24).then_some(()));

    engine.kill();
    let away = Instant::now();
    let last = lines.rfind("flu").expect("ten of them");
    let spike = last + lines[last..].find('\n').expect("a whole line") + 1;
    append(folder, &lines[outbreak..spike]);
    let listed =
        || folder.output(&["alerts", "list", "--log", "--config", "run.toml"]).ends(0).stdout();
    until(Duration::from_secs(60), "an alert without a warehouse", || {
        listed().contains("\"early\"").then_some(())
    });
    let outage = Duration::from_secs(if std::env::var_os("PUMPHANDLE_STREAMS").is_some() {
        120
    } else {
        15
    });
    until(VERY_LONG, "the end of the outage", || (away.elapsed() > outage).then_some(()));
    append(folder, &lines[spike..]);
    let _engine =
        clickhouse::Engine::start(Some(data.path()), port, &[]).expect("it started before");
    let id = |lines: &str| {
        serde_json::from_str::<Value>(lines.lines().next().expect("an alert")).expect("JSON")["id"]
            .clone()
    };
    let landed = || folder.output(&["alerts", "list", "--config", "run.toml"]).ends(0).stdout();
    until(VERY_LONG, "the alert to land", || (!landed().is_empty()).then_some(()));
    assert_eq!(id(&landed()), id(&listed()));
    for role in &mut roles {
        role.signal("TERM");
        role.ends(0);
    }
    let mut roles = ["ingest", "tally", "watch", "land"].map(|role| cluster.start(role));
    for role in &mut roles {
        until(VERY_LONG, "the end", || role.ended());
        role.ends(0);
    }
    assert_same("after the outage", &exported(folder), &replayed(folder));
}

#[test]
fn of_two_that_may_tell_one_does_and_the_other_goes_on_when_it_is_killed() {
    let Some(cluster) = Cluster::shared() else { return };
    let folder = &cluster.folder;
    let port = notify::free_port();
    folder.write("secret", "whsec_b2xkZXIgc2VjcmV0IG9mIDI0IGJ5dGVzIQ==\n");
    folder.write(
        "subscriptions.toml",
        format!(
            "[[subscription]]\nname = \"hook\"\nchannel = \"webhook\"\nurl = \
                \"http://127.0.0.1:{port}/hook\"\nsecret-files = [\"secret\"]\naudience = \
                \"official\"\n"
        ),
    );
    let config = "[detect]\nmethod = \"eears\"\n[notify]\nsubscriptions = \
        [\"subscriptions.toml\"]\nown-networks = [\"127.0.0.0/8\"]\n";
    let written = config.to_owned() + &folder.read("run.toml");
    folder.write("run.toml", written);
    let lines = notify::posts();
    let (quiet, outbreak): (Vec<&str>, Vec<&str>) =
        lines.lines().partition(|line| line.contains("\"id\":\"n"));
    folder.write("posts.ndjson", quiet.join("\n") + "\n");
    cluster.migrate();
    let followed = [
        "--config",
        "run.toml",
        "--set",
        "feeds.posts.follow=true",
        "--set",
        "web.anonymous=operator",
    ];
    let start = |role: &str| folder.start(&[&[role][..], &followed[..]].concat());
    let mut roles = ["ingest", "tally", "watch", "land"].map(start);
    let mut tellers = vec![start("serve"), start("serve")];
    for teller in &tellers {
        teller.page();
    }
    let hours = || {
        folder
            .output(&["export", "--config", "run.toml", "--table", "denominators"])
            .ends(0)
            .stdout()
            .lines()
            .count()
    };
    until(VERY_LONG, "the fortnight to land", || (hours() > 14 * 24).then_some(()));

    let got = Arc::new(Mutex::new(Vec::new()));
    notify::webhook(port, Arc::clone(&got));
    let calls = || got.lock().expect("no panic").clone();
    append(folder, &(outbreak.join("\n") + "\n"));
    // The first call is never answered, so it is owed still; who made it is killed, or the one that
    // stands by: either way it comes again.
    until(VERY_LONG, "the first call", || (!calls().is_empty()).then_some(()));
    tellers.remove(0).kill();
    until(VERY_LONG, "the second call", || (calls().len() >= 2).then_some(()));
    // What the page keeps is in Kafka, and whoever tells now looks there.
    let fields = json!({ "after": 0, "subscription": { "channel": "feed", "audience": "official", "topics": ["influenza"] } });
    let (status, answer) = notify::asked(&tellers[0], "PUT", "/api/v1/subscriptions/late", &fields);
    assert_eq!(status, 200, "{answer}");
    until(LONG, "it to be taken on", || {
        tellers[0].log().contains("subscription added, receives later alerts").then_some(())
    });
    for running in tellers.iter_mut().chain(&mut roles) {
        running.signal("TERM");
        running.ends(0);
    }
    let ids: Vec<String> =
        calls().iter().map(|(head, _)| notify::header(head, "webhook-id")).collect();
    let alerts = cluster.alert_ids(&["alerts", "list"]);
    for alert in &alerts {
        let of_alert: BTreeSet<&String> =
            ids.iter().filter(|id| id.contains(alert.as_str())).collect();
        assert!(!of_alert.is_empty(), "nobody was told of {alert}: {ids:?}");
    }
    // What was never answered is told again as new, by whoever is left; in a later revision if
    // there is one by then.
    let again =
        |id: &String| id.split('-').nth(1) == ids[0].split('-').nth(1) && id.ends_with("-new");
    assert!(ids[1..].iter().any(again), "{ids:?}");
    tell(&format!(
        "two notifiers over Kafka, one killed: {} calls for {} alerts, lost 0",
        ids.len(),
        alerts.len()
    ));
}

fn append(folder: &Folder, lines: &str) {
    let mut file =
        OpenOptions::new().append(true).open(folder.file("posts.ndjson")).expect("it is there");
    file.write_all(lines.as_bytes()).expect("room for it");
}
