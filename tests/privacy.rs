//! Privacy from outside: who can read what a run leaves, where keys are, who can sign in, and what
//! erasure takes back.

use std::fs::{self, Permissions};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::notify::free_port;
use crate::program::{Folder, LONG, Running, until};

/// 2026-01-05T00:00:00Z, a Monday.
const MONDAY: i64 = 1_767_571_200;
const RUN: [&str; 3] = ["run", "--config", "run.toml"];

fn config(port: u16, follow: bool) -> String {
    format!(
        r#"
        [topics]
        files = ["topics.toml"]
        [web]
        listen = "127.0.0.1:{port}"
        [[feeds]]
        name = "posts"
        kind = "file"
        path = "posts.ndjson"
        follow = {follow}
        "#
    )
}

const TOPICS: &str = "[[topic]]\nid = \"influenza\"\nkind = \"disease\"\nname = \
    \"Influenza\"\ntags = { any = [\"flu\"] }\n";
const HOURS: i64 = 12;
const AUTHORS: i64 = 20;

/// Each author posts once an hour.
fn posts() -> String {
    let all = (0..HOURS).flat_map(|hour| (0..AUTHORS).map(move |author| (hour, author)));
    let line = |(hour, author): (i64, i64)| {
        let at = MONDAY + hour * 3_600 + author * 60;
        format!(
            "{{\"id\":\"{hour}-{author}\",\"author\":\"a-{author}\",\"created_at\":{at},\"text\":\"#flu\",\"region\":\"DE\"}}\n"
        )
    };
    all.map(line).collect()
}

fn folder(port: u16, follow: bool) -> Folder {
    let folder = Folder::new();
    folder.write("run.toml", config(port, follow));
    folder.write("topics.toml", TOPICS);
    folder.write("posts.ndjson", posts());
    folder
}

/// Runs until the feed is read, all of it at the first start, then stops: the log is begun and goes
/// on at the next start.
fn run_and_stop(folder: &Folder) -> String {
    let is_first = !folder.file("data").exists();
    let mut running = folder.start(&RUN);
    match is_first {
        true => all_counted(&running),
        false => drop(until(LONG, "the feed to be taken on", || {
            running.metric("pumphandle_posts_read_total")
        })),
    }
    running.signal("TERM");
    running.ends(0);
    running.log()
}

fn all_counted(running: &Running) {
    let all = (HOURS * AUTHORS) as f64;
    until(LONG, "all posts to be read", || {
        running.metric("pumphandle_posts_read_total").filter(|read| *read >= all)
    });
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
        .permissions()
        .mode()
        & 0o777
}

fn all_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = vec![folder.to_owned()];
    for entry in fs::read_dir(folder).expect("our own folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() { found.extend(all_below(&path)) } else { found.push(path) }
    }
    found
}

/// Those that somebody else could read; files of a running program may go while they are looked at.
fn open_to_others(folder: &Path) -> Vec<PathBuf> {
    all_below(folder)
        .into_iter()
        .filter(|path| {
            fs::symlink_metadata(path).is_ok_and(|found| found.permissions().mode() & 0o077 != 0)
        })
        .collect()
}

#[test]
fn all_that_a_run_leaves_is_its_owners_alone() {
    let folder = folder(0, false);
    let ours = folder.command(&["run", "--config", "run.toml", "--until-drained"]);
    let mut shell = Command::new("sh");
    shell
        .args(["-c", "umask 022; exec \"$@\"", "sh"])
        .arg(ours.get_program())
        .args(ours.get_args())
        .current_dir(folder.path());
    assert!(shell.output().expect("a shell").status.success());
    folder
        .output(&[
            "token", "create", "--config", "run.toml", "--name", "duty", "--role", "official",
        ])
        .ends(0);
    let (data, keys) = (folder.file("data"), folder.file("data-keys"));
    let found = all_below(&data);
    for expected in [
        "data/lock",
        "data/meta.sqlite",
        "data/streams/state.sqlite",
        "data/warehouse.sqlite",
        "data/tokens",
    ] {
        assert!(found.contains(&folder.file(expected)), "no {expected} in {found:?}");
    }
    assert_eq!((open_to_others(&data), open_to_others(&keys)), (vec![], vec![]));
    assert_eq!(
        (mode(&data), mode(&folder.file("data/warehouse.sqlite")), mode(&keys.join("authors.key"))),
        (0o700, 0o600, 0o600)
    );

    // One that an earlier release left open is closed, also beside a log that goes on.
    for path in all_below(&data) {
        let open = if path.is_dir() { 0o755 } else { 0o644 };
        fs::set_permissions(&path, Permissions::from_mode(open)).expect("ours");
    }
    folder.write("run.toml", config(0, true));
    let running = folder.start(&RUN);
    all_counted(&running);
    running.says("was open to other users of this machine");
    assert_eq!(open_to_others(&data), Vec::<PathBuf>::new());
    assert!(
        all_below(&data).iter().any(|path| path.to_string_lossy().ends_with("-wal")),
        "with SQLite's side files"
    );
}

#[test]
fn keys_lie_outside_the_data_and_a_missing_one_is_never_replaced() {
    let folder = folder(0, true);
    run_and_stop(&folder);
    let inside: Vec<PathBuf> = all_below(&folder.file("data"))
        .into_iter()
        .filter(|path| path.extension().is_some_and(|end| end == "key"))
        .collect();
    assert_eq!(inside, Vec::<PathBuf>::new());
    for name in ["authors.key", "routing.key"] {
        let (file, beside) = (folder.file("data-keys").join(name), folder.file(name));
        fs::rename(&file, &beside).expect("the key");
        let said = folder.output(&RUN).ends(1).stderr();
        assert!(said.contains(name) && said.contains("hint: put the key file back"), "{said}");
        assert!(!file.exists(), "another {name} was made");
        fs::rename(&beside, &file).expect("the key");
    }
    // Another key is refused, too, and stays as it is.
    let authors = folder.file("data-keys/authors.key");
    let right = fs::read(&authors).expect("the key");
    fs::write(&authors, format!("{}\n", "7".repeat(64))).expect("a key");
    assert!(folder.output(&RUN).ends(1).stderr().contains("not those that the log was begun with"));
    fs::write(&authors, right).expect("the key");
    run_and_stop(&folder);
}

#[test]
fn keys_inside_the_data_go_on_with_a_warning_until_moved() {
    let folder = folder(0, true);
    run_and_stop(&folder);
    fs::rename(folder.file("data-keys"), folder.file("data/keys")).expect("the keys");
    let said = run_and_stop(&folder);
    assert_eq!(said.matches("lies inside the data folder").count(), 2, "{said}");
    assert!(folder.file("data/keys/authors.key").exists());
    let moved = folder.output(&["keys", "move", "--config", "run.toml"]).ends(0).stdout();
    assert_eq!(moved.lines().count(), 2, "{moved}");
    assert!(!folder.file("data/keys").exists() && folder.file("data-keys/authors.key").exists());
    assert!(!run_and_stop(&folder).contains("lies inside"));
    assert!(
        folder
            .output(&["keys", "move", "--config", "run.toml"])
            .ends(0)
            .stdout()
            .starts_with("no key in")
    );
}

#[test]
fn keys_are_made_in_the_folder_that_is_named() {
    let folder = folder(0, true);
    folder.write("run.toml", format!("[privacy]\nkeys = \"vault\"\n{}", config(0, true)));
    run_and_stop(&folder);
    assert!(folder.file("vault/authors.key").exists() && !folder.file("data-keys").exists());
}

#[test]
fn author_keys_of_old_epochs_are_destroyed_and_counts_go_on() {
    let folder = folder(0, true);
    run_and_stop(&folder);
    let key = folder.read("data-keys/authors.key");
    let day = key
        .lines()
        .find_map(|line| line.strip_prefix("from "))
        .expect("the oldest day of the chain");
    // Epochs of 30 days from 1970 on: the one of eight and a half days before the posts.
    assert_eq!(day, "2025-12-08", "{key}");
    run_and_stop(&folder);
    assert_eq!(folder.read("data-keys/authors.key"), key);
}

struct Answer {
    status: u16,
    cookie: Option<String>,
    body: Value,
}

fn http(running: &Running, method: &str, path: &str, headers: &str, body: &str) -> Answer {
    let address = running.page();
    let mut stream = TcpStream::connect(&address).expect("the page");
    stream.set_read_timeout(Some(LONG)).expect("a socket");
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Type: \
            application/json\r\n{headers}Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).expect("a request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    let cookie = head.lines().find_map(|line| {
        line.to_lowercase().starts_with("set-cookie:").then(|| line[11..].trim().to_owned())
    });
    Answer {
        status: head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status"),
        cookie: cookie.map(|cookie| cookie.split(';').next().unwrap_or_default().to_owned()),
        body: serde_json::from_str(body).unwrap_or(Value::Null),
    }
}

fn sign_in(running: &Running, secret: &str) -> Answer {
    let origin = format!("Origin: http://{}\r\n", running.page());
    http(running, "POST", "/api/v1/session", &origin, &json!({ "token": secret }).to_string())
}

fn role(running: &Running, cookie: &str) -> String {
    let answer = http(running, "GET", "/api/v1/session", &format!("Cookie: {cookie}\r\n"), "");
    answer.body["role"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn a_session_ends_with_its_token() {
    let folder = folder(0, true);
    let token = folder
        .output(&[
            "token", "create", "--config", "run.toml", "--name", "duty", "--role", "official",
        ])
        .ends(0)
        .stdout();
    let running = folder.start(&RUN);
    let opened = sign_in(&running, token.trim());
    let cookie = opened.cookie.expect("a session");
    assert_eq!((opened.status, role(&running, &cookie).as_str()), (200, "official"));
    folder.output(&["token", "revoke", "--config", "run.toml", "duty"]).ends(0);
    assert_eq!(role(&running, &cookie), "public");
    assert_eq!(sign_in(&running, token.trim()).status, 401);
}

#[test]
fn a_start_link_opens_once_and_is_never_logged() {
    let folder = folder(0, true);
    let running = folder.start(&RUN);
    running.says("no token has been made");
    let file = folder.file("data/start-link");
    let link = folder.read("data/start-link").lines().next().expect("a link").to_owned();
    assert_eq!(mode(&file), 0o600);
    let secret = |link: &str| link.trim().split_once("/sign-in#").expect("a link").1.to_owned();
    assert!(link.starts_with(&format!("http://{}/", running.page())), "{link}");
    let cookie = sign_in(&running, &secret(&link)).cookie.expect("a session");
    assert_eq!((role(&running, &cookie).as_str(), file.exists()), ("operator", false));
    assert_eq!(sign_in(&running, &secret(&link)).status, 401);
    let another = folder.output(&["token", "link", "--config", "run.toml"]).ends(0).stdout();
    assert_eq!(sign_in(&running, &secret(&another)).status, 200);
    for secret in [secret(&link), secret(&another)] {
        assert!(!running.log().contains(&secret), "{}", running.log());
    }
}

/// Posts in all counts of the topic, as exported.
fn counted(folder: &Folder) -> u64 {
    let csv =
        folder.output(&["export", "--config", "run.toml", "--table", "v_counts"]).ends(0).stdout();
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    let headers = reader.headers().expect("a head").clone();
    let column = |name: &str| headers.iter().position(|header| header == name).expect("a column");
    let (region, posts) = (column("region"), column("posts"));
    let rows = reader.records().map(|row| row.expect("a row"));
    rows.filter(|row| &row[region] == "DE")
        .map(|row| row[posts].parse::<u64>().expect("a number"))
        .sum()
}

#[test]
fn erasure_takes_an_authors_posts_back_running_or_stopped() {
    let folder = folder(free_port(), true);
    let all = (HOURS * AUTHORS) as u64;
    let token = folder
        .output(&["token", "create", "--config", "run.toml", "--name", "op", "--role", "operator"])
        .ends(0)
        .stdout();
    folder.write("token", token);
    let erase = |author: &str| {
        let args = ["erase", "--config", "run.toml", "--author", author, "--token-file", "token"];
        folder.output(&args)
    };
    let mut running = folder.start(&RUN);
    all_counted(&running);
    until(LONG, "all counts to land", || (counted(&folder) == all).then_some(()));
    let said = erase("file:a-3").ends(0).stdout();
    assert!(
        said.contains(&format!("retracted: posts {HOURS}, topics 1, cells {HOURS}\n")),
        "{said}"
    );
    assert!(
        said.contains("in the log until ")
            && said.contains("backups")
            && !said.contains("not running"),
        "{said}"
    );
    assert!(erase("a-3").ends(1).stderr().contains("SOURCE:ID"), "it must name its source");
    assert!(
        erase("file:nobody").ends(0).stdout().contains("retracted: posts 0, topics 0, cells 0")
    );
    assert!(!running.log().contains("a-3"), "whose it was is not logged");
    running.signal("TERM");
    running.ends(0);
    let said = erase("file:a-4").ends(0).stdout();
    assert!(
        said.contains(&format!("retracted: posts {HOURS}, topics 1"))
            && said.contains("not running"),
        "{said}"
    );
    folder.output(&["run", "--config", "run.toml", "--until-drained"]).ends(0);
    assert_eq!(counted(&folder), all - 2 * HOURS as u64);
}
