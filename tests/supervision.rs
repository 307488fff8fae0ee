//! What ends the process: a role that fails, and secrets that can't be read. Those with a heartbeat
//! get a notice of the former.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};

use crate::program::{Folder, LONG, Running, skip, until};

const RUN: &str = r#"
[web]
listen = "127.0.0.1:0"
[notify]
subscriptions = ["subs/*.toml"]
own-networks = ["127.0.0.0/8"]
[[feeds]]
name = "posts"
kind = "file"
path = "posts.ndjson"
follow = true
"#;
const START: [&str; 3] = ["run", "--config", "run.toml"];
const SECRET: &str = "whsec_bmV3ZXIgc2VjcmV0IG9mIDI0IGJ5dGVzIQ==\n";

/// A followed file, and a webhook with a heartbeat; what it gets.
fn folder() -> (Folder, Arc<Mutex<Vec<String>>>) {
    let folder = Folder::new();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("it listens").port();
    let got = Arc::new(Mutex::new(Vec::new()));
    std::thread::spawn({
        let got = Arc::clone(&got);
        move || {
            for mut stream in listener.incoming().flatten() {
                let mut bytes = Vec::new();
                let mut buffer = [0; 4096];
                while let Ok(read @ 1..) = stream.read(&mut buffer) {
                    bytes.extend_from_slice(&buffer[..read]);
                    if bytes.ends_with(b"}") {
                        break;
                    }
                }
                got.lock().expect("no panic").push(String::from_utf8_lossy(&bytes).into_owned());
                let _ = stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n");
            }
        }
    });
    std::fs::create_dir(folder.file("subs")).expect("our own folder");
    folder.write(
        "subs/all.toml",
        format!(
            "[[subscription]]\nname = \"hook\"\nchannel = \"webhook\"\nurl = \
                \"http://127.0.0.1:{port}/\"\n\
             secret-files = [\"hook.secret\"]\naudience = \"official\"\nheartbeat = true\n"
        ),
    );
    folder.write("subs/hook.secret", SECRET);
    folder.write("run.toml", RUN);
    folder.write("posts.ndjson", "{\"id\":\"1\",\"author\":\"a\",\"created_at\":1767571200,\"tags\":[\"flu\"],\"region\":\"DE\"}\n");
    (folder, got)
}

/// Changes rows of the stream `state` under a process or between two.
fn damage(folder: &Folder, sql: &str) {
    let script = format!(
        "import sqlite3; c = sqlite3.connect('data/streams/state.sqlite', timeout=30); \
            c.execute({sql:?}); c.commit()"
    );
    let done = Command::new("python3")
        .args(["-c", &script])
        .current_dir(folder.path())
        .status()
        .expect("python3 runs");
    assert!(done.success());
}

fn outages(got: &Arc<Mutex<Vec<String>>>) -> Vec<String> {
    got.lock()
        .expect("no panic")
        .iter()
        .filter(|call| call.contains("system.outage"))
        .cloned()
        .collect()
}

fn wait_until_read(running: &Running) {
    until(LONG, "the post", || {
        running.metric("pumphandle_posts_read_total").filter(|read| *read >= 1.0)
    });
}

#[test]
fn a_role_that_fails_at_its_start_ends_the_process_with_a_notice() {
    let (folder, got) = folder();
    let mut running = folder.start(&START);
    wait_until_read(&running);
    assert!(
        running.get("/readyz").is_some_and(|body| body.contains("\"status\":\"ready\"")),
        "{:?}",
        running.get("/readyz")
    );
    running.signal("TERM");
    running.ends(0);
    assert_eq!(outages(&got), [""; 0], "a stop is no outage");

    damage(&folder, "UPDATE pairs SET checksum = checksum + 1 WHERE key LIKE 'manifest/watch/%'");
    let mut running = folder.start(&START);
    running.ends(1);
    let log = running.log();
    assert!(
        log.lines().any(|line| line.contains("a role ended")
            && line.contains("role=\"watch\"")
            && line.contains("is damaged")),
        "{log}"
    );
    assert!(
        log.lines().last().is_some_and(|line| line.starts_with("error: watch ended: ")),
        "{log}"
    );
    let notices = outages(&got);
    assert!(notices.len() == 1 && notices[0].contains("\"cause\":\"watch ended: "), "{notices:?}");

    // A process that is started again and again sends no more for a while.
    let mut running = folder.start(&START);
    running.ends(1);
    assert_eq!(outages(&got).len(), 1);
}

#[test]
fn a_notifier_that_fails_later_ends_the_process_with_a_notice() {
    let (folder, got) = folder();
    let mut running = folder.start(&START);
    wait_until_read(&running);
    damage(&folder, "INSERT INTO pairs VALUES ('subscription/x', 1, x'7b7d')");
    running.ends(1);
    let log = running.log();
    assert!(
        log.lines().any(|line| line.contains("a role ended") && line.contains("role=\"notify\"")),
        "{log}"
    );
    assert_eq!(outages(&got).len(), 1, "{log}");
}

#[test]
fn what_cannot_be_read_of_secrets_is_refused_before_anything_is_served() {
    let (folder, _got) = folder();
    let refused = |what: &str| {
        let said = folder.output(&["check", "--config", "run.toml"]).ends(64).stdout();
        assert!(said.starts_with("error: ") && said.contains(what), "{said}");
        let said = folder.output(&START).ends(1).stderr();
        assert!(said.contains(what) && !said.contains("serving"), "{said}");
    };
    folder.output(&["check", "--config", "run.toml"]).ends(0);
    std::fs::remove_file(folder.file("subs/hook.secret")).expect("it was there");
    refused("hook.secret`");
    folder.write("subs/hook.secret", "whsec_zz\n");
    refused("holds no `whsec_`");
    folder.write("subs/hook.secret", SECRET);
    std::fs::create_dir_all(folder.file("data")).expect("our own folder");
    folder.write("data/tokens", "duty\tofficial\n");
    refused("a damaged token file");
    std::fs::remove_file(folder.file("data/tokens")).expect("it was there");
    folder.write("roots.pem", "no certificate\n");
    folder.write("run.toml", RUN.replace("[notify]", "[notify]\nroots-file = \"roots.pem\""));
    refused("holds no certificates as PEM");
    folder.write("run.toml", RUN);
    folder.output(&["check", "--config", "run.toml"]).ends(0);
}

#[test]
fn a_token_file_damaged_while_running_is_degraded() {
    let (folder, _got) = folder();
    let mut running = folder.start(&START);
    wait_until_read(&running);
    let degraded = || {
        let is_ready = running.get("/readyz")?;
        let is_token = |line: &&str| line.starts_with("pumphandle_degraded{reason=\"token-file\"}");
        let metrics = running.get("/metrics")?;
        let value = metrics.lines().find(is_token)?.ends_with(" 1");
        (value == is_ready.contains("\"what\":\"token-file\"")).then_some(value)
    };
    until(LONG, "a sound state", || degraded().filter(|degraded| !degraded));
    folder.write("data/tokens", "duty\tofficial\n");
    until(LONG, "the condition", || degraded().filter(|degraded| *degraded));
    std::fs::remove_file(folder.file("data/tokens")).expect("it was there");
    until(LONG, "its end", || degraded().filter(|degraded| !degraded));
    running.signal("TERM");
    running.ends(0);
}

/// A small file system of its own, taken away at the end.
struct SmallDisk(std::path::PathBuf);

impl SmallDisk {
    /// None without the right to mount, which root has outside of strict containers.
    fn mount(at: &Path) -> Option<SmallDisk> {
        std::fs::create_dir_all(at).expect("our own folder");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=64m,mode=700", "tmpfs"])
            .arg(at)
            .output()
            .is_ok_and(|mount| mount.status.success());
        mounted.then(|| SmallDisk(at.to_owned()))
    }

    fn fill(&self) {
        let mut ballast = std::fs::File::create(self.0.join("ballast")).expect("a new file");
        for size in [1 << 20, 1 << 12] {
            while ballast.write_all(&vec![0; size]).is_ok() {}
        }
    }

    fn make_room(&self) {
        std::fs::remove_file(self.0.join("ballast")).expect("it was there");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a process that is killed may still hold files.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_is_reported_by_page_and_notice() {
    let (folder, got) = folder();
    let Some(disk) = SmallDisk::mount(&folder.file("data")) else {
        return skip("no right to mount a small file system");
    };
    let mut running = folder.start(&START);
    wait_until_read(&running);
    disk.fill();
    let degraded = until(LONG, "the condition, or an end", || {
        let ended = running.log().contains("error: ");
        let body = running.get("/readyz").filter(|body| body.contains("\"what\":\"disk-full\""));
        body.or_else(|| ended.then(String::new))
    });
    assert!(degraded.contains("no room is left"), "{degraded}\n{}", running.log());
    assert!(running.get("/healthz").is_some(), "the page is served on a full disk");
    running.ends(1);
    let notices = outages(&got);
    assert!(
        notices.len() == 1 && notices[0].contains("\"condition\":\"disk-full\""),
        "{notices:?}"
    );

    disk.make_room();
    let mut running = folder.start(&START);
    until(LONG, "a sound state", || {
        running.get("/readyz").filter(|body| body.contains("\"status\":\"ready\""))
    });
    running.signal("TERM");
    running.ends(0);
}

#[test]
fn after_a_clean_end_the_warehouse_file_is_whole_by_itself() {
    let (folder, _got) = folder();
    folder.write("run.toml", RUN.replace("follow = true\n", ""));
    folder.output(&["run", "--config", "run.toml", "--until-drained"]).ends(0);
    std::fs::create_dir(folder.file("copy")).expect("our own folder");
    std::fs::copy(folder.file("data/warehouse.sqlite"), folder.file("copy/warehouse.sqlite"))
        .expect("it is there");
    let rows = |data: &str| {
        let set = format!("journal.data={data}");
        folder
            .output(&["export", "--config", "run.toml", "--set", &set, "--table", "counts"])
            .ends(0)
            .stdout()
    };
    assert_eq!(rows("copy"), rows("data"));
    assert!(rows("copy").lines().count() > 1);
}
