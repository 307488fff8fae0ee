//! Alerts on their way to people, and what people say of them: with a real mail server, a real Alertmanager, a webhook that checks
//! signatures, and a reader of CAP. Each is down at first, and the program is killed in between.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use data_encoding::BASE64;
use ring::hmac;
use serde_json::{Value, json};

use crate::live;
use crate::program::{Folder, LONG, Running, root, skip, until};

const HOUR: i64 = 3600;
const SECRETS: [&str; 2] = ["bmV3ZXIgc2VjcmV0IG9mIDI0IGJ5dGVzIQ==", "b2xkZXIgc2VjcmV0IG9mIDI0IGJ5dGVzIQ=="];

/// A command or package that a test needs: none where it may be missing, which is said.
fn needed<T>(what: &str, found: Option<T>) -> Option<T> {
    let required = std::env::var_os("CI").is_some() || std::env::var_os("PUMPHANDLE_REQUIRE_PARTS").is_some_and(|value| value == "1");
    assert!(found.is_some() || !required, "{what} is not here; tests/parts/receivers.sh fetches it");
    if found.is_none() {
        skip(&format!("{what} is not here"));
    }
    found
}

fn on_path(name: &str) -> Option<PathBuf> {
    let paths = std::env::var_os("PATH")?;
    std::env::split_paths(&paths).map(|folder| folder.join(name)).find(|file| file.is_file())
}

/// The Python package, where tests/parts/receivers.sh has put it.
fn aiosmtpd() -> Option<PathBuf> {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    Some(target.join("parts/aiosmtpd")).filter(|package| package.join("aiosmtpd").is_dir())
}

/// Ends with the test.
struct Part(Child);

impl Drop for Part {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").expect("as the test has set it up").local_addr().expect("as the test has set it up").port()
}

/// Answers a request, and hands on its head and body.
pub(crate) fn webhook(port: u16, got: Arc<Mutex<Vec<(String, String)>>>) {
    let listener = TcpListener::bind(("127.0.0.1", port)).expect("as the test has set it up");
    std::thread::spawn(move || {
        for (number, stream) in listener.incoming().enumerate() {
            let mut stream = stream.expect("as the test has set it up");
            stream.set_read_timeout(Some(LONG)).expect("as the test has set it up");
            let mut bytes = Vec::new();
            let mut buffer = [0; 4096];
            let (head, body) = loop {
                let read = stream.read(&mut buffer).expect("as the test has set it up");
                bytes.extend_from_slice(&buffer[..read]);
                let text = String::from_utf8_lossy(&bytes).into_owned();
                let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
                let length: usize = header(head, "content-length").parse().expect("as the test has set it up");
                if body.len() >= length {
                    break (head.to_owned(), body.to_owned());
                }
            };
            // The first answer is lost on its way: what was taken comes once more, under the same id.
            got.lock().expect("as the test has set it up").push((head, body));
            if number > 0 {
                stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").expect("as the test has set it up");
            }
        }
    });
}

pub(crate) fn header(head: &str, name: &str) -> String {
    let found = head.lines().find_map(|line| line.split_once(": ").filter(|(key, _)| key.eq_ignore_ascii_case(name)));
    found.unwrap_or_else(|| panic!("no `{name}` in {head}")).1.to_owned()
}

/// As a receiver would that knows only the older secret.
fn is_signed(head: &str, body: &str) -> bool {
    let key = hmac::Key::new(hmac::HMAC_SHA256, &BASE64.decode(SECRETS[1].as_bytes()).expect("as the test has set it up"));
    let content = format!("{}.{}.{body}", header(head, "webhook-id"), header(head, "webhook-timestamp"));
    let signatures = header(head, "webhook-signature");
    signatures
        .split(' ')
        .filter_map(|one| BASE64.decode(one.strip_prefix("v1,")?.as_bytes()).ok())
        .any(|tag| hmac::verify(&key, content.as_bytes(), &tag).is_ok())
}

fn get(port: u16, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(LONG)).ok()?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned())
}

const WORDS: &str = "bed tea soup window doctor bus school garden cold winter kitchen train letter cough sister phone market rain sofa \
blanket lemon office radio stairs honey candle morning pillow bridge";

/// A fortnight with a post an hour, and thirty accounts that say #flu in the last whole hour but two.
pub(crate) fn posts() -> String {
    let now = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).expect("as the test has set it up").as_secs())
        .expect("as the test has set it up");
    let end = now - now % HOUR - 2 * HOUR;
    let mut lines = String::new();
    let mut line = |id: String, at: i64, text: &str| {
        let post = json!({"id": id, "author": format!("a{id}"), "created_at": at, "text": text, "region": "DE-BE", "langs": ["de"]});
        writeln!(lines, "{post}").expect("as the test has set it up");
    };
    for hour in 0..15 * 24 {
        line(format!("n{hour}"), end - (15 * 24 - hour) * HOUR, "hello");
    }
    // No two alike: near-copies would make the alert suspect, and a suspect one waits for the digest.
    let words: Vec<&str> = WORDS.split(' ').collect();
    for number in 0..30_usize {
        let text: Vec<&str> = (0..8).map(|nth| words[(number * 7 + nth * (number + 3)) % words.len()]).collect();
        line(format!("flu{number}"), end - 1800 + number as i64, &format!("#flu {}", text.join(" ")));
    }
    // What closes the window.
    for number in 0..4 {
        line(format!("after{number}"), end + (number + 1) * 600, "hello");
    }
    lines
}

fn start(folder: &Folder) -> Running {
    folder.start(&["run", "--config", "run.toml"])
}

#[test]
fn one_alert_reaches_mail_webhook_alertmanager_and_feed_though_each_is_down_and_the_program_is_killed() {
    let Some(aiosmtpd) = needed("the Python package aiosmtpd", aiosmtpd()) else { return };
    let Some(alertmanager) = needed("prometheus-alertmanager", on_path("prometheus-alertmanager")) else { return };
    let Some(xmllint) = needed("xmllint", on_path("xmllint")) else { return };
    let folder = Folder::new();
    let [mail_port, hook_port, alertmanager_port] = [free_port(), free_port(), free_port()];
    folder.write("posts.ndjson", posts());
    folder.write("newer", format!("whsec_{}\n", SECRETS[0]));
    folder.write("older", format!("whsec_{}\n", SECRETS[1]));
    folder.write(
        "subscriptions.toml",
        format!(
            r#"
[[subscription]]
name = "by-mail"
channel = "mail"
to = ["duty@example.org", "second@example.org"]
audience = "official"
regions = ["DE"]
language = "de"
zone = "Europe/Berlin"

[[subscription]]
name = "by-hook"
channel = "webhook"
url = "http://127.0.0.1:{hook_port}/hook"
secret-files = ["newer", "older"]
audience = "official"

[[subscription]]
name = "by-alertmanager"
channel = "alertmanager"
url = "http://127.0.0.1:{alertmanager_port}"
audience = "official"

[[subscription]]
name = "by-feed"
channel = "feed"
audience = "official"

[[subscription]]
name = "elsewhere"
channel = "webhook"
url = "http://127.0.0.1:{hook_port}/elsewhere"
secret-files = ["newer"]
audience = "official"
regions = ["FR"]
"#
        ),
    );
    folder.write(
        "run.toml",
        format!(
            r#"
[web]
listen = "127.0.0.1:0"
[detect]
method = "eears"
[notify]
subscriptions = ["subscriptions.toml"]
own-networks = ["127.0.0.0/8"]
page = "https://pumphandle.example.org"
[notify.mail]
host = "127.0.0.1"
port = {mail_port}
encryption = "none"
from = "alerts@example.org"
[notify.cap]
sender = "alerts@example.org"
[[feeds]]
name = "posts"
kind = "file"
path = "posts.ndjson"
"#
        ),
    );
    // A folder that can't be made: the feed is down, too.
    std::fs::create_dir(folder.file("data")).expect("as the test has set it up");
    folder.write("data/feeds", "");

    let mut running = start(&folder);
    for name in ["by-mail", "by-hook", "by-alertmanager", "by-feed"] {
        let failed = format!("subscription=\"{name}\"");
        until(LONG, &format!("a failure of {name}: {}", running.log()), || running.log().contains(&failed).then_some(()));
    }
    running.kill();
    let mut running = start(&folder);

    std::fs::remove_file(folder.file("data/feeds")).expect("as the test has set it up");
    let got = Arc::new(Mutex::new(Vec::new()));
    webhook(hook_port, Arc::clone(&got));
    let mails = folder.file("mails");
    // Maildir's folders are made by who keeps the mails.
    let mut smtp = Command::new("python3");
    smtp.env("PYTHONPATH", aiosmtpd)
        .args(["-m", "aiosmtpd", "-n", "-l", &format!("127.0.0.1:{mail_port}"), "-c", "aiosmtpd.handlers.Mailbox"])
        .arg(&mails);
    let _smtp = Part(smtp.stdin(Stdio::null()).stderr(Stdio::null()).spawn().expect("as the test has set it up"));
    let _alertmanager = start_alertmanager(&alertmanager, &folder, alertmanager_port);

    let patience = Duration::from_secs(240);
    let alerts = until(patience, "the alert in Alertmanager", || {
        let alerts: Value = serde_json::from_str(&get(alertmanager_port, "/api/v2/alerts")?).ok()?;
        alerts.as_array().filter(|alerts| !alerts.is_empty()).cloned()
    });
    assert_eq!(alerts.len(), 1, "{alerts:?}");
    let id = alerts[0]["labels"]["id"].as_str().expect("as the test has set it up").to_owned();
    assert_eq!(alerts[0]["labels"]["region"], "DE-BE");
    assert!(
        alerts[0]["annotations"]["description"].as_str().expect("as the test has set it up").ends_with("Posts, not cases."),
        "{alerts:?}"
    );

    until(patience, "two calls of the webhook", || (got.lock().expect("as the test has set it up").len() >= 2).then_some(()));
    let calls = got.lock().expect("as the test has set it up").clone();
    assert!(calls.iter().all(|(head, body)| is_signed(head, body)), "{calls:?}");
    assert!(!is_signed(&calls[0].0, &calls[0].1.replace(&id, "another")), "the check itself can fail");
    assert!(calls.iter().all(|(head, body)| head.starts_with("POST /hook ") && body.contains(&id)), "{calls:?}");
    assert_eq!(header(&calls[0].0, "webhook-id"), header(&calls[1].0, "webhook-id"), "one id however often it comes");
    let told: Value = serde_json::from_str(&calls[0].1).expect("as the test has set it up");
    assert_eq!((told["type"].as_str(), told["data"]["state"].as_str()), (Some("alert.opened"), Some("open")));

    let read_mails = || {
        let files = std::fs::read_dir(mails.join("new")).ok()?;
        let texts: Vec<String> = files.filter_map(|file| std::fs::read_to_string(file.ok()?.path()).ok()).collect();
        (texts.len() >= 2).then_some(texts)
    };
    let texts = until(patience, "two mails", read_mails);
    let receivers: BTreeSet<&str> = texts.iter().filter_map(|text| text.lines().find_map(|line| line.strip_prefix("To: "))).collect();
    assert_eq!(receivers, BTreeSet::from(["duty@example.org", "second@example.org"]));
    for text in &texts {
        let unfolded = text.replace("\r\n ", " ").replace("\n ", " ");
        assert!(unfolded.contains("List-Unsubscribe: <mailto:alerts@example.org?subject=unsubscribe%20by-mail>"), "{text}");
        assert!(
            text.contains("Message-ID: <by-mail-") && text.contains("multipart/alternative") && text.contains("Content-Language: de"),
            "{text}"
        );
    }

    let feed = until(patience, "the feed", || std::fs::read_to_string(folder.file("data/feeds/by-feed.atom")).ok());
    assert!(feed.contains(&id));
    let cap = std::fs::read_dir(folder.file("data/feeds")).expect("as the test has set it up").filter_map(|file| Some(file.ok()?.path()));
    let cap: Vec<PathBuf> = cap.filter(|file| file.to_string_lossy().ends_with(".cap.xml")).collect();
    assert!(!cap.is_empty());
    let schema = root().join("tests/data/cap-1.2.xsd");
    let checked = Command::new(&xmllint).arg("--noout").arg("--schema").arg(schema).args(&cap).output().expect("as the test has set it up");
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    let checked =
        Command::new(&xmllint).arg("--noout").arg(folder.file("data/feeds/by-feed.atom")).output().expect("as the test has set it up");
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    assert!(std::fs::read_to_string(&cap[0]).expect("as the test has set it up").contains("<status>Test</status>"));

    running.signal("TERM");
    running.ends(0);
    say(&format!(
        "alert {id}: mail 2 of 2, webhook {} calls under one id, Alertmanager 1, CAP {} valid; each was down, the program was killed once, lost 0",
        got.lock().expect("as the test has set it up").len(),
        cap.len()
    ));
}

#[expect(clippy::print_stdout, reason = "what was measured is read where tests are read")]
fn say(what: &str) {
    println!("{what}");
}

fn start_alertmanager(binary: &Path, folder: &Folder, port: u16) -> Part {
    folder.write("alertmanager.yml", "route:\n  receiver: none\nreceivers:\n  - name: none\n");
    let mut command = Command::new(binary);
    command
        .arg(format!("--config.file={}", folder.file("alertmanager.yml").display()))
        .arg(format!("--storage.path={}", folder.file("alertmanager").display()))
        .arg(format!("--web.listen-address=127.0.0.1:{port}"))
        .arg("--cluster.listen-address=");
    Part(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("as the test has set it up"))
}

#[test]
fn an_alert_is_acknowledged_from_a_terminal_and_of_two_changes_made_against_one_state_the_second_is_refused() {
    let folder = Folder::new();
    let (lines, _) = live::ten_posts();
    folder.write("posts.ndjson", lines);
    // Nobody listens there: an address of its own, so that no other program's page is asked.
    let port = free_port();
    let config = format!(
        "[web]\nlisten = \"127.0.0.1:{port}\"\n[detect]\nmethod = \"eears\"\n[[feeds]]\nname = \"posts\"\nkind = \"file\"\npath = \"posts.ndjson\"\n"
    );
    folder.write("run.toml", config);
    folder.output(&["run", "--config", "run.toml", "--until-drained"]).ends(0);
    let list = folder.output(&["alerts", "list", "--config", "run.toml"]).ends(0).stdout();
    let alert: Value = serde_json::from_str(list.lines().next().expect("as the test has set it up")).expect("as the test has set it up");
    let id = alert["id"].as_str().expect("as the test has set it up");
    let ack = |further: &[&str], code| {
        let done = folder.output(&[&["alerts", "ack", id, "--config", "run.toml", "--as", "duty"], further].concat()).ends(code);
        (done.stdout(), done.stderr())
    };
    let taken: Value =
        serde_json::from_str(&ack(&["--note", "asked the state office", "--assignee", "Duty"], 0).0).expect("as the test has set it up");
    assert_eq!((&taken["state"], &taken["actor"], &taken["assignee"]), (&json!("triaged"), &json!("duty"), &json!("Duty")));
    let (_, stale) = ack(&["--after", "0", "--state", "verifying"], 1);
    assert!(stale.contains("the alert has changed since it was looked at: 1 changes are known, this one was made after 0"), "{stale}");
    let (_, undecided) = ack(&["--state", "closed"], 64);
    assert!(undecided.contains("`closed` needs an outcome: health-event, known, talk-only, artefact, could-not-tell"), "{undecided}");
    let (_, unknown) = ack(&["--outcome", "flu"], 64);
    assert!(unknown.contains("hint: one of health-event"), "{unknown}");
    let decided: Value = serde_json::from_str(&ack(&["--state", "decided", "--outcome", "known", "--note", "the season"], 0).0)
        .expect("as the test has set it up");
    assert_eq!((&decided["outcome"], &decided["assignee"]), (&json!("known"), &json!("Duty")));
    let nobody = folder.output(&["alerts", "ack", "nobody", "--config", "run.toml"]).ends(1).stderr();
    assert!(nobody.contains("no alert `nobody`"), "{nobody}");
}

/// Asks the page of a running program, as who may do everything; status and answer.
pub(crate) fn asked(running: &Running, method: &str, path: &str, body: &Value) -> (u16, Value) {
    let mut stream = TcpStream::connect(running.page()).expect("a page");
    stream.set_read_timeout(Some(LONG)).expect("as the test has set it up");
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let length = body.len();
    let head = format!("{method} {path} HTTP/1.0\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n");
    stream.write_all((head + &body).as_bytes()).expect("as the test has set it up");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    let (head, body) = answer.split_once("\r\n\r\n").expect("an answer");
    (head[9..12].parse().expect("a status"), serde_json::from_str(body).unwrap_or(Value::Null))
}

#[test]
fn a_subscription_made_on_the_page_is_told_without_a_restart_and_one_taken_away_is_not() {
    let folder = Folder::new();
    let lines = posts();
    let (quiet, outbreak): (Vec<&str>, Vec<&str>) = lines.lines().partition(|line| line.contains("\"id\":\"n"));
    folder.write("posts.ndjson", quiet.join("\n") + "\n");
    let config = "[web]\nlisten = \"127.0.0.1:0\"\nanonymous = \"operator\"\n[detect]\nmethod = \"eears\"\n[[feeds]]\nname = \"posts\"\n\
                  kind = \"file\"\npath = \"posts.ndjson\"\nfollow = true\n";
    folder.write("run.toml", config);
    let mut running = start(&folder);
    until(LONG, "a quiet fortnight", || running.metric("pumphandle_posts_read_total").filter(|read| *read as usize == quiet.len()));
    let put = |running: &Running, name: &str, after: u32, fields: Value| {
        asked(running, "PUT", &format!("/api/v1/subscriptions/{name}"), &json!({ "after": after, "subscription": fields }))
    };
    let fields = |region: &str| json!({ "channel": "feed", "audience": "official", "topics": ["influenza"], "regions": [region] });
    for (name, region) in [("berlin", "DE-BE"), ("france", "FR"), ("gone", "DE"), ("moved", "FR")] {
        let (status, answer) = put(&running, name, 0, fields(region));
        assert_eq!(status, 200, "{answer}");
    }
    assert_eq!(put(&running, "moved", 0, fields("DE")).0, 409, "made against what is no more");
    assert_eq!(put(&running, "moved", 1, fields("DE")).0, 200);
    let (status, refused) = put(&running, "odd", 0, json!({ "channel": "mail", "to": ["a@example.org"], "regions": ["DE-XX"] }));
    let why = refused["detail"].as_str().unwrap_or_default();
    assert!(status == 422 && why.contains("no mail server") && why.contains("no region `DE-XX`"), "{status} {refused}");
    assert_eq!(asked(&running, "DELETE", "/api/v1/subscriptions/gone?after=1", &Value::Null).0, 200);
    // What the page keeps outlives the program.
    running.signal("TERM");
    running.ends(0);
    let mut running = start(&folder);
    let (_, listed) = asked(&running, "GET", "/api/v1/subscriptions", &Value::Null);
    let listed = listed["subscriptions"].as_array().cloned().unwrap_or_default();
    let names: Vec<(&str, u64)> = listed.iter().filter_map(|kept| Some((kept["name"].as_str()?, kept["revision"].as_u64()?))).collect();
    assert_eq!(names, [("berlin", 1), ("france", 1), ("moved", 2)]);
    // One more beside a running notifier, then the outbreak.
    assert_eq!(put(&running, "late", 0, fields("001")).0, 200);
    until(LONG, "the last of them to be taken on", || {
        running.log().lines().any(|line| line.contains("told of what comes from now on") && line.contains("late")).then_some(())
    });
    let mut growing = std::fs::OpenOptions::new().append(true).open(folder.file("posts.ndjson")).expect("as the test has set it up");
    growing.write_all((outbreak.join("\n") + "\n").as_bytes()).expect("as the test has set it up");
    for name in ["berlin", "moved", "late"] {
        let file = folder.file(&format!("data/feeds/{name}.atom"));
        let feed = until(LONG, &format!("the feed {name}: {}", running.log()), || std::fs::read_to_string(&file).ok());
        assert!(feed.contains("influenza") || feed.contains("Influenza"), "{feed}");
    }
    // What is taken away is no longer told to whoever asks for it, nor what is for others now to those it was for.
    assert_eq!(asked(&running, "DELETE", "/api/v1/subscriptions/late?after=1", &Value::Null).0, 200);
    let others = json!({ "channel": "feed", "audience": "public", "topics": ["measles"] });
    assert_eq!(put(&running, "moved", 2, others).0, 200);
    for name in ["late", "moved"] {
        until(LONG, &format!("the end of the feed {name}"), || running.get(&format!("/feeds/{name}.atom")).is_none().then_some(()));
    }
    assert!(running.get("/feeds/berlin.atom").is_some());
    running.signal("TERM");
    running.ends(0);
    for name in ["france", "gone"] {
        assert!(!folder.file(&format!("data/feeds/{name}.atom")).exists(), "{name}");
    }
}
