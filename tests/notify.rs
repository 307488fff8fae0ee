//! Alerts on their way to people, and what people say of them: with a real mail server, a real
//! Alertmanager, a webhook that checks signatures, and a reader of CAP. Each is down at first, and
//! the program is killed in between.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
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
const SECRETS: [&str; 2] =
    ["bmV3ZXIgc2VjcmV0IG9mIDI0IGJ5dGVzIQ==", "b2xkZXIgc2VjcmV0IG9mIDI0IGJ5dGVzIQ=="];

/// A command or package that a test needs: none where it may be missing, which is said.
fn needed<T>(what: &str, found: Option<T>) -> Option<T> {
    let required = std::env::var_os("CI").is_some()
        || std::env::var_os("PUMPHANDLE_REQUIRE_PARTS").is_some_and(|value| value == "1");
    assert!(
        found.is_some() || !required,
        "{what} is not here; tests/parts/receivers.sh fetches it"
    );
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
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
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
    TcpListener::bind("127.0.0.1:0")
        .expect("as the test has set it up")
        .local_addr()
        .expect("as the test has set it up")
        .port()
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
                let length: usize =
                    header(head, "content-length").parse().expect("as the test has set it up");
                if body.len() >= length {
                    break (head.to_owned(), body.to_owned());
                }
            };
            // The first answer is lost on its way: what was taken comes once more, under the same
            // id.
            got.lock().expect("as the test has set it up").push((head, body));
            if number > 0 {
                stream
                    .write_all(b"HTTP/1.1 204 No Content\r\n\r\n")
                    .expect("as the test has set it up");
            }
        }
    });
}

pub(crate) fn header(head: &str, name: &str) -> String {
    let found = head
        .lines()
        .find_map(|line| line.split_once(": ").filter(|(key, _)| key.eq_ignore_ascii_case(name)));
    found.unwrap_or_else(|| panic!("no `{name}` in {head}")).1.to_owned()
}

/// As a receiver would that knows only the older secret.
fn is_signed(head: &str, body: &str) -> bool {
    let key = hmac::Key::new(
        hmac::HMAC_SHA256,
        &BASE64.decode(SECRETS[1].as_bytes()).expect("as the test has set it up"),
    );
    let content =
        format!("{}.{}.{body}", header(head, "webhook-id"), header(head, "webhook-timestamp"));
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

const WORDS: &str = "bed tea soup window doctor bus school garden cold winter kitchen train letter \
    cough sister phone market rain sofa \
blanket lemon office radio stairs honey candle morning pillow bridge";

/// A fortnight with a post an hour, and thirty accounts that say #flu in the last whole hour but
/// two.
pub(crate) fn posts() -> String {
    let now = i64::try_from(
        SystemTime::now().duration_since(UNIX_EPOCH).expect("as the test has set it up").as_secs(),
    )
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
    // No two alike: near-copies would make the alert suspect, and a suspect one waits for the
    // digest.
    let words: Vec<&str> = WORDS.split(' ').collect();
    for number in 0..30_usize {
        let text: Vec<&str> =
            (0..8).map(|nth| words[(number * 7 + nth * (number + 3)) % words.len()]).collect();
        line(
            format!("flu{number}"),
            end - 1800 + number as i64,
            &format!("#flu {}", text.join(" ")),
        );
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
fn one_alert_reaches_mail_webhook_alertmanager_and_feed_though_each_is_down_and_the_program_is_killed()
 {
    let Some(aiosmtpd) = needed("the Python package aiosmtpd", aiosmtpd()) else { return };
    let Some(alertmanager) = needed("prometheus-alertmanager", on_path("prometheus-alertmanager"))
    else {
        return;
    };
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
        until(LONG, &format!("a failure of {name}: {}", running.log()), || {
            running.log().contains(&failed).then_some(())
        });
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
        .args([
            "-m",
            "aiosmtpd",
            "-n",
            "-l",
            &format!("127.0.0.1:{mail_port}"),
            "-c",
            "aiosmtpd.handlers.Mailbox",
        ])
        .arg(&mails);
    let _smtp = Part(
        smtp.stdin(Stdio::null()).stderr(Stdio::null()).spawn().expect("as the test has set it up"),
    );
    let _alertmanager = start_alertmanager(&alertmanager, &folder, alertmanager_port);

    let patience = Duration::from_secs(240);
    let alerts = until(patience, "the alert in Alertmanager", || {
        let alerts: Value =
            serde_json::from_str(&get(alertmanager_port, "/api/v2/alerts")?).ok()?;
        alerts.as_array().filter(|alerts| !alerts.is_empty()).cloned()
    });
    assert_eq!(alerts.len(), 1, "{alerts:?}");
    let id = alerts[0]["labels"]["id"].as_str().expect("as the test has set it up").to_owned();
    assert_eq!(alerts[0]["labels"]["region"], "DE-BE");
    assert!(
        alerts[0]["annotations"]["description"]
            .as_str()
            .expect("as the test has set it up")
            .ends_with("Posts, not cases."),
        "{alerts:?}"
    );

    until(patience, "two calls of the webhook", || {
        (got.lock().expect("as the test has set it up").len() >= 2).then_some(())
    });
    let calls = got.lock().expect("as the test has set it up").clone();
    assert!(calls.iter().all(|(head, body)| is_signed(head, body)), "{calls:?}");
    assert!(
        !is_signed(&calls[0].0, &calls[0].1.replace(&id, "another")),
        "the check itself can fail"
    );
    assert!(
        calls.iter().all(|(head, body)| head.starts_with("POST /hook ") && body.contains(&id)),
        "{calls:?}"
    );
    assert_eq!(
        header(&calls[0].0, "webhook-id"),
        header(&calls[1].0, "webhook-id"),
        "one id however often it comes"
    );
    let told: Value = serde_json::from_str(&calls[0].1).expect("as the test has set it up");
    assert_eq!(
        (told["type"].as_str(), told["data"]["state"].as_str()),
        (Some("alert.opened"), Some("open"))
    );

    let read_mails = || {
        let files = std::fs::read_dir(mails.join("new")).ok()?;
        let texts: Vec<String> =
            files.filter_map(|file| std::fs::read_to_string(file.ok()?.path()).ok()).collect();
        (texts.len() >= 2).then_some(texts)
    };
    let texts = until(patience, "two mails", read_mails);
    let receivers: BTreeSet<&str> = texts
        .iter()
        .filter_map(|text| text.lines().find_map(|line| line.strip_prefix("To: ")))
        .collect();
    assert_eq!(receivers, BTreeSet::from(["duty@example.org", "second@example.org"]));
    for text in &texts {
        let unfolded = text.replace("\r\n ", " ").replace("\n ", " ");
        assert!(
            unfolded.contains(
                "List-Unsubscribe: <mailto:alerts@example.org?subject=unsubscribe%20by-mail>"
            ),
            "{text}"
        );
        assert!(
            text.contains("Message-ID: <by-mail-")
                && text.contains("multipart/alternative")
                && text.contains("Content-Language: de"),
            "{text}"
        );
    }

    let feed = || std::fs::read_to_string(folder.file("data/feeds/by-feed.atom")).ok();
    until(patience, "the alert in the feed", || feed()?.contains(&id).then_some(()));
    let cap = std::fs::read_dir(folder.file("data/feeds"))
        .expect("as the test has set it up")
        .filter_map(|file| Some(file.ok()?.path()));
    let cap: Vec<PathBuf> =
        cap.filter(|file| file.to_string_lossy().ends_with(".cap.xml")).collect();
    assert!(!cap.is_empty());
    let schema = root().join("tests/data/cap-1.2.xsd");
    let checked = Command::new(&xmllint)
        .arg("--noout")
        .arg("--schema")
        .arg(schema)
        .args(&cap)
        .output()
        .expect("as the test has set it up");
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    let checked = Command::new(&xmllint)
        .arg("--noout")
        .arg(folder.file("data/feeds/by-feed.atom"))
        .output()
        .expect("as the test has set it up");
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    assert!(
        std::fs::read_to_string(&cap[0])
            .expect("as the test has set it up")
            .contains("<status>Test</status>")
    );

    running.signal("TERM");
    running.ends(0);
    say(&format!(
        "alert {id}: mail 2 of 2, webhook {} calls under one id, Alertmanager 1, CAP {} valid; \
            each was down, the program was killed once, lost 0",
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
    Part(
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("as the test has set it up"),
    )
}

#[test]
fn an_alert_is_acknowledged_from_a_terminal_and_of_two_changes_made_against_one_state_the_second_is_refused()
 {
    let folder = Folder::new();
    let (lines, _) = live::ten_posts();
    folder.write("posts.ndjson", lines);
    // Nobody listens there: an address of its own, so that no other program's page is asked.
    let port = free_port();
    let config = format!(
        "[web]\nlisten = \"127.0.0.1:{port}\"\n[detect]\nmethod = \"eears\"\n[[feeds]]\nname = \
            \"posts\"\nkind = \"file\"\npath = \"posts.ndjson\"\n"
    );
    folder.write("run.toml", config);
    folder.output(&["run", "--config", "run.toml", "--until-drained"]).ends(0);
    let list = folder.output(&["alerts", "list", "--config", "run.toml"]).ends(0).stdout();
    let alert: Value =
        serde_json::from_str(list.lines().next().expect("as the test has set it up"))
            .expect("as the test has set it up");
    let id = alert["id"].as_str().expect("as the test has set it up");
    let ack = |further: &[&str], code| {
        let done = folder
            .output(
                &[&["alerts", "ack", id, "--config", "run.toml", "--as", "duty"], further].concat(),
            )
            .ends(code);
        (done.stdout(), done.stderr())
    };
    let taken: Value = serde_json::from_str(
        &ack(&["--note", "asked the state office", "--assignee", "Duty"], 0).0,
    )
    .expect("as the test has set it up");
    assert_eq!(
        (&taken["state"], &taken["actor"], &taken["assignee"]),
        (&json!("triaged"), &json!("duty"), &json!("Duty"))
    );
    let (_, stale) = ack(&["--after", "0", "--state", "verifying"], 1);
    assert!(
        stale.contains(
            "the alert has changed since it was looked at: 1 changes are known, \
        this one was made after 0"
        ),
        "{stale}"
    );
    let (_, undecided) = ack(&["--state", "closed"], 64);
    assert!(
        undecided.contains(
            "`closed` needs an outcome: health-event, known, talk-only, artefact, could-not-tell"
        ),
        "{undecided}"
    );
    let (_, unknown) = ack(&["--outcome", "flu"], 64);
    assert!(unknown.contains("hint: one of health-event"), "{unknown}");
    let decided: Value = serde_json::from_str(
        &ack(&["--state", "decided", "--outcome", "known", "--note", "the season"], 0).0,
    )
    .expect("as the test has set it up");
    assert_eq!((&decided["outcome"], &decided["assignee"]), (&json!("known"), &json!("Duty")));
    let nobody =
        folder.output(&["alerts", "ack", "nobody", "--config", "run.toml"]).ends(1).stderr();
    assert!(nobody.contains("no alert `nobody`"), "{nobody}");
}

/// Asks the page of a running program, as who may do everything; status and answer.
pub(crate) fn asked(running: &Running, method: &str, path: &str, body: &Value) -> (u16, Value) {
    let mut stream = TcpStream::connect(running.page()).expect("a page");
    stream.set_read_timeout(Some(LONG)).expect("as the test has set it up");
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let length = body.len();
    let head = format!(
        "{method} {path} HTTP/1.0\r\nHost: 127.0.0.1\r\nContent-Type: \
            application/json\r\nContent-Length: {length}\r\n\r\n"
    );
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
    let (quiet, outbreak): (Vec<&str>, Vec<&str>) =
        lines.lines().partition(|line| line.contains("\"id\":\"n"));
    folder.write("posts.ndjson", quiet.join("\n") + "\n");
    let config = "[web]\nlisten = \"127.0.0.1:0\"\nanonymous = \"operator\"\n[detect]\nmethod = \
        \"eears\"\n[[feeds]]\nname = \"posts\"\n\
                  kind = \"file\"\npath = \"posts.ndjson\"\nfollow = true\n";
    folder.write("run.toml", config);
    let mut running = start(&folder);
    until(LONG, "a quiet fortnight", || {
        running.metric("pumphandle_posts_read_total").filter(|read| *read as usize == quiet.len())
    });
    let put = |running: &Running, name: &str, after: u32, fields: Value| {
        asked(
            running,
            "PUT",
            &format!("/api/v1/subscriptions/{name}"),
            &json!({ "after": after, "subscription": fields }),
        )
    };
    let fields = |region: &str| json!({ "channel": "feed", "audience": "official", "topics": ["influenza"], "regions": [region] });
    for (name, region) in [("berlin", "DE-BE"), ("france", "FR"), ("gone", "DE"), ("moved", "FR")] {
        let (status, answer) = put(&running, name, 0, fields(region));
        assert_eq!(status, 200, "{answer}");
    }
    assert_eq!(put(&running, "moved", 0, fields("DE")).0, 409, "made against what is no more");
    assert_eq!(put(&running, "moved", 1, fields("DE")).0, 200);
    let (status, refused) = put(
        &running,
        "odd",
        0,
        json!({ "channel": "mail", "to": ["a@example.org"], "regions": ["DE-XX"] }),
    );
    let why = refused["detail"].as_str().unwrap_or_default();
    assert!(
        status == 422 && why.contains("no mail server") && why.contains("no region `DE-XX`"),
        "{status} {refused}"
    );
    assert_eq!(
        asked(&running, "DELETE", "/api/v1/subscriptions/gone?after=1", &Value::Null).0,
        200
    );
    // What the page keeps outlives the program.
    running.signal("TERM");
    running.ends(0);
    let mut running = start(&folder);
    let (_, listed) = asked(&running, "GET", "/api/v1/subscriptions", &Value::Null);
    let listed = listed["subscriptions"].as_array().cloned().unwrap_or_default();
    let names: Vec<(&str, u64)> = listed
        .iter()
        .filter_map(|kept| Some((kept["name"].as_str()?, kept["revision"].as_u64()?)))
        .collect();
    assert_eq!(names, [("berlin", 1), ("france", 1), ("moved", 2)]);
    // One more beside a running notifier, then the outbreak.
    assert_eq!(put(&running, "late", 0, fields("001")).0, 200);
    until(LONG, "the last of them to be taken on", || {
        running
            .log()
            .lines()
            .any(|line| {
                line.contains("subscription added, receives later alerts") && line.contains("late")
            })
            .then_some(())
    });
    let mut growing = std::fs::OpenOptions::new()
        .append(true)
        .open(folder.file("posts.ndjson"))
        .expect("as the test has set it up");
    growing.write_all((outbreak.join("\n") + "\n").as_bytes()).expect("as the test has set it up");
    for name in ["berlin", "moved", "late"] {
        let file = folder.file(&format!("data/feeds/{name}.atom"));
        let feed = || std::fs::read_to_string(&file).ok();
        until(LONG, &format!("the feed {name}: {}", running.log()), || {
            feed()?.contains("<title>Influenza").then_some(())
        });
    }
    // What is taken away is no longer told to whoever asks for it, nor what is for others now to
    // those it was for.
    assert_eq!(
        asked(&running, "DELETE", "/api/v1/subscriptions/late?after=1", &Value::Null).0,
        200
    );
    let others = json!({ "channel": "feed", "audience": "public", "topics": ["measles"] });
    assert_eq!(put(&running, "moved", 2, others).0, 200);
    until(LONG, "the end of the feed late", || {
        running.get("/feeds/late.atom").is_none().then_some(())
    });
    until(LONG, "an empty feed moved", || {
        (!running.get("/feeds/moved.atom")?.contains("<entry>")).then_some(())
    });
    assert!(running.get("/feeds/berlin.atom").is_some());
    running.signal("TERM");
    running.ends(0);
    assert!(!folder.read("data/feeds/france.atom").contains("<entry>"));
    assert!(!folder.file("data/feeds/gone.atom").exists());
}

/// A mail that a server has accepted.
#[derive(Debug, Clone)]
struct Mailed {
    to: String,
    text: String,
}

impl Mailed {
    fn header(&self, name: &str) -> String {
        header(&self.text.replace("\r\n ", " "), name)
    }

    /// The plain text, decoded.
    fn body(&self) -> String {
        let part = self.text.split("Content-Type: text/plain").nth(1).expect("a text");
        let (head, body) = part.split_once("\r\n\r\n").expect("a body");
        // The text itself has a line of two hyphens.
        let boundary = self
            .text
            .split("boundary=\"")
            .nth(1)
            .and_then(|rest| rest.split('"').next())
            .expect("a boundary");
        let body = body.split(&format!("\r\n--{boundary}")).next().unwrap_or_default();
        if head.contains("base64") {
            let packed: String = body.split_whitespace().collect();
            return String::from_utf8(BASE64.decode(packed.as_bytes()).expect("base64"))
                .expect("text");
        }
        let mut bytes = Vec::new();
        let mut rest = body.replace("=\r\n", "").into_bytes().into_iter();
        while let Some(byte) = rest.next() {
            if byte == b'=' && head.contains("quoted-printable") {
                let hex: String =
                    [rest.next(), rest.next()].into_iter().flatten().map(char::from).collect();
                bytes.push(u8::from_str_radix(&hex, 16).expect("quoted-printable"));
            } else {
                bytes.push(byte);
            }
        }
        String::from_utf8(bytes).expect("text")
    }
}

type Mails = Arc<Mutex<Vec<Mailed>>>;

/// A mail server that takes mails for all but one address, and how often each address was tried.
fn mail_server(refuses: &'static str) -> (u16, Mails, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("as the test has set it up");
    let port = listener.local_addr().expect("as the test has set it up").port();
    let (mails, tried) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(Vec::new())));
    let (taken, asked) = (Arc::clone(&mails), Arc::clone(&tried));
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (taken, asked) = (Arc::clone(&taken), Arc::clone(&asked));
            std::thread::spawn(move || {
                converse(stream.expect("as the test has set it up"), refuses, &taken, &asked)
            });
        }
    });
    (port, mails, tried)
}

fn converse(
    mut stream: TcpStream,
    refuses: &str,
    taken: &Mutex<Vec<Mailed>>,
    asked: &Mutex<Vec<String>>,
) -> Option<()> {
    let mut reading = BufReader::new(stream.try_clone().ok()?);
    let mut line = String::new();
    let mut to = String::new();
    write!(stream, "220 here\r\n").ok()?;
    while reading.read_line(&mut line).ok()? > 0 {
        let command = line.trim_end().to_owned();
        line.clear();
        let reply = if let Some(address) = command.strip_prefix("RCPT TO:<") {
            to = address.trim_end_matches('>').to_owned();
            asked.lock().ok()?.push(to.clone());
            if to == refuses { "550 5.1.1 no such user" } else { "250 fine" }
        } else if command == "DATA" {
            write!(stream, "354 go on\r\n").ok()?;
            let mut text = String::new();
            while reading.read_line(&mut text).ok()? > 0 && !text.ends_with("\r\n.\r\n") {}
            taken.lock().ok()?.push(Mailed { to: to.clone(), text });
            "250 taken"
        } else if command == "QUIT" {
            "221 bye"
        } else {
            "250 fine"
        };
        write!(stream, "{reply}\r\n").ok()?;
    }
    Some(())
}

fn with_mail(port: u16, further: &str) -> String {
    format!(
        "[web]\nlisten = \"127.0.0.1:0\"\nanonymous = \
            \"operator\"\n{further}\n[notify]\nsubscriptions = [\"subscriptions.toml\"]\npage = \
            \"https://pumphandle.example.org\"\n\
         [notify.mail]\nhost = \"127.0.0.1\"\nport = {port}\nencryption = \"none\"\nfrom = \
         \"alerts@example.org\"\n\
         [[feeds]]\nname = \"posts\"\nkind = \"file\"\npath = \"posts.ndjson\"\nfollow = true\n"
    )
}

const THREE: &str = "[[subscription]]\nname = \"by-mail\"\nchannel = \"mail\"\naudience = \
    \"official\"\nregions = [\"DE-BE\"]\na-week = 100\n\
                     to = [\"a@example.org\", \"b@example.org\", \
                     \"c@example.org\"]\nescalate-after = \"30m\"\ndeputies = \
                     [\"d@example.org\"]\n";

/// The same about measles, after all that was read before.
fn an_hour_later(line: &str) -> String {
    let mut post: Value = serde_json::from_str(line).expect("a post");
    post["created_at"] = json!(post["created_at"].as_i64().expect("a time") + 5_400);
    format!("{}\n", post.to_string().replace("flu", "measles"))
}

/// What outlives a kill says who has a mail already: only the address that was refused goes
/// without, and nobody gets a second copy.
#[test]
fn one_refused_recipient_costs_nobody_a_mail_or_a_copy() {
    let folder = Folder::new();
    let (port, mails, tried) = mail_server("a@example.org");
    folder.write("posts.ndjson", posts());
    folder.write("subscriptions.toml", THREE);
    folder.write("run.toml", with_mail(port, "[detect]\nmethod = \"eears\""));
    let mut running = start(&folder);
    let sorted = |topic: &str| {
        let mails = mails.lock().expect("as the test has set it up").clone();
        let mut to: Vec<String> = mails
            .iter()
            .filter(|mail| mail.header("subject").contains(topic))
            .map(|mail| mail.to.clone())
            .collect();
        to.sort();
        to
    };
    // It fired two hours ago, more than 30 minutes: the deputy has it at once, though the first
    // recipient was refused.
    until(LONG, &format!("three mails: {}", running.log()), || {
        (sorted("Influenza").len() >= 3).then_some(())
    });
    until(LONG, "metrics", || {
        running.metric("pumphandle_deliveries_total").filter(|all| *all >= 4.0)
    });
    let shown = running.get("/metrics").expect("metrics");
    let refused = shown
        .lines()
        .find(|line| line.starts_with("pumphandle_deliveries_total") && line.contains("refused"));
    assert!(
        refused.is_some_and(|line| line.contains("mail") && line.ends_with(" 1")),
        "{refused:?}"
    );
    let (_, listed) = asked(&running, "GET", "/api/v1/subscriptions", &Value::Null);
    let refused = &listed["subscriptions"][0]["refused"];
    assert_eq!(
        (&refused[0]["address"], &refused[0]["code"]),
        (&json!("a@example.org"), &json!(550)),
        "{listed}"
    );
    assert_eq!(running.log().matches("a recipient was refused").count(), 1, "{}", running.log());
    running.kill();
    let mut running = start(&folder);
    // A second alert reaches the same people; by then whatever was to come of the first again would
    // have come.
    let later: String =
        posts().lines().filter(|line| line.contains("\"id\":\"flu")).map(an_hour_later).collect();
    let mut growing = std::fs::OpenOptions::new()
        .append(true)
        .open(folder.file("posts.ndjson"))
        .expect("as the test has set it up");
    growing.write_all(later.as_bytes()).expect("as the test has set it up");
    until(LONG, &format!("three mails of the second alert: {}", running.log()), || {
        (sorted("Measles").len() >= 3).then_some(())
    });
    running.signal("TERM");
    running.ends(0);
    for topic in ["Influenza", "Measles"] {
        assert_eq!(sorted(topic), ["b@example.org", "c@example.org", "d@example.org"], "{topic}");
    }
    let to_refused = tried
        .lock()
        .expect("as the test has set it up")
        .iter()
        .filter(|to| *to == "a@example.org")
        .count();
    assert_eq!(to_refused, 2, "once for each alert");
    let mail = mails.lock().expect("as the test has set it up")[0].clone();
    let body = mail.body();
    assert!(
        mail.header("date").ends_with("+0000")
            && mail.header("list-unsubscribe").starts_with("<mailto:"),
        "{}",
        mail.text
    );
    let year = mail.header("date").split(' ').nth(3).expect("a year").to_owned();
    assert!(
        body.lines().any(|line| line.contains("accounts posted about influenza")
            && line.contains(&format!(" {year} "))),
        "{body}"
    );
    assert!(
        body.contains("subscription “by-mail”")
            && body.contains("https://pumphandle.example.org/subscriptions"),
        "{body}"
    );
}

/// By chance how often: of one alert, as the page, a mail and a feed say it after a restart, when
/// all series are known.
#[test]
fn page_mail_and_feed_say_the_same_rarity_after_a_restart() {
    let folder = Folder::new();
    let (port, mails, _) = mail_server("");
    let all = posts();
    let (flu, quiet): (Vec<&str>, Vec<&str>) =
        all.lines().partition(|line| line.contains("\"id\":\"flu"));
    let (quiet, after): (Vec<&str>, Vec<&str>) =
        quiet.into_iter().partition(|line| line.contains("\"id\":\"n"));
    // Few enough that the rarity is somewhere between its ends.
    let outbreak = [&flu[..8], &after].concat();
    let words: Vec<String> = flu
        .iter()
        .filter_map(|line| Some(line.split("#flu ").nth(1)?.split('"').next()?.to_owned()))
        .collect();
    // Other topics and places, so that there are many series; and influenza twice a day.
    let with_others = quiet.iter().enumerate().map(|(number, line)| {
        let named = |letter: &str| {
            line.replace("\"id\":\"n", &format!("\"id\":\"{letter}"))
                .replace("\"an", &format!("\"a{letter}"))
        };
        let (region, tag) =
            [("FR", "#cough"), ("ES", "#fever"), ("IT", "#measles"), ("GB", "#cough")][number % 4];
        let other = named("o").replace("hello", tag).replace("DE-BE", region);
        let usual =
            named("f").replace("hello", &format!("#flu {}", words[number / 12 % words.len()]));
        let others = [
            (number % 5 == 0).then_some(other),
            (number % 12 == 0 && number < 355).then_some(usual),
        ];
        others.into_iter().flatten().fold(format!("{line}\n"), |all, one| all + &one + "\n")
    });
    folder.write("posts.ndjson", with_others.collect::<String>());
    let subscription = |name: &str, channel: &str| {
        format!(
            "[[subscription]]\nname = \"{name}\"\naudience = \"official\"\na-week = \
                100\n{channel}\n"
        )
    };
    folder.write(
        "subscriptions.toml",
        subscription("by-mail", "channel = \"mail\"\nto = [\"a@example.org\"]")
            + &subscription("by-feed", "channel = \"feed\""),
    );
    folder.write("run.toml", with_mail(port, ""));
    let mut running = start(&folder);
    until(LONG, "a quiet fortnight", || {
        running.metric("pumphandle_posts_read_total").filter(|read| *read as usize >= quiet.len())
    });
    running.signal("TERM");
    running.ends(0);
    let mut running = start(&folder);
    // A feed that was never written to is there, and empty.
    let feed = || running.get("/feeds/by-feed.atom");
    assert!(!until(LONG, "an empty feed", feed).contains("<entry>"));
    let mut growing = std::fs::OpenOptions::new()
        .append(true)
        .open(folder.file("posts.ndjson"))
        .expect("as the test has set it up");
    growing.write_all((outbreak.join("\n") + "\n").as_bytes()).expect("as the test has set it up");
    let mail = until(LONG, &format!("a mail: {}", running.log()), || {
        mails
            .lock()
            .expect("as the test has set it up")
            .iter()
            .find(|mail| mail.header("subject").contains("Influenza"))
            .cloned()
    });
    let body = mail.body();
    let said = |text: &str| {
        let rest = text.split("By chance ").nth(1)?;
        rest.split(" in your ").next()?.split(" in all monitored series").next().map(str::to_owned)
    };
    let by_mail = said(&body).unwrap_or_else(|| panic!("no rarity in {body}"));
    assert!(
        !by_mail.starts_with("less than") && !by_mail.starts_with("more than"),
        "a rarity that scaling would change: {by_mail}"
    );
    let about =
        body.lines().rev().find_map(|line| line.rsplit_once(" r")).expect("id and revision");
    let (id, revision) = (about.0.to_owned(), about.1.to_owned());
    let entry_of = |id: &str, revision: &str| {
        let feed = feed()?;
        let entry = feed
            .split("<entry>")
            .find(|entry| entry.contains(&format!("pumphandle-{id}-{revision}</identifier>")))?;
        Some(entry.split_once("<language>en</language>")?.1.split("</info>").next()?.to_owned())
    };
    let in_feed =
        until(LONG, &format!("revision {revision} in the feed"), || entry_of(&id, &revision));
    assert_eq!(said(&in_feed).as_deref(), Some(by_mail.as_str()), "{in_feed}");
    // The page says it of the latest revision, which the feed has too.
    until(LONG, "the same of page and feed", || {
        let (_, shown) = asked(&running, "GET", &format!("/api/v1/alerts/{id}"), &Value::Null);
        let (alert, latest) = (&shown["alert"], shown["alert"]["revision"].to_string());
        let (by_page, by_feed) =
            (alert["rarity"].as_str()?.to_owned(), said(&entry_of(&id, &latest)?)?);
        assert_eq!((by_page, said(alert["rest"].as_str()?)?), (by_feed.clone(), by_feed));
        Some(())
    });
    running.signal("TERM");
    running.ends(0);
}

#[test]
fn a_test_names_each_recipient_and_fails_where_one_is_refused() {
    let folder = Folder::new();
    let (port, mails, _) = mail_server("b@example.org");
    folder.write("secret", "whsec_zz\n");
    let hook = "[[subscription]]\nname = \"hook\"\nchannel = \"webhook\"\nurl = \
        \"https://127.0.0.1:1/\"\nsecret-files = [\"secret\"]\n";
    let fine = THREE.replace("by-mail", "fine").replace("\"b@example.org\", ", "");
    folder.write(
        "subscriptions.toml",
        format!("{THREE}{fine}[[subscription]]\nname = \"feed\"\nchannel = \"feed\"\n"),
    );
    folder.write("run.toml", with_mail(port, ""));
    folder.write("posts.ndjson", "");
    let test = |name: &str, code: i32| {
        folder.output(&["notify", "test", name, "--config", "run.toml"]).ends(code)
    };
    let refused = test("by-mail", 1);
    let lines: Vec<String> = refused.stdout().lines().map(str::to_owned).collect();
    let wanted = [
        "a@example.org: accepted",
        "b@example.org: refused 550 5.1.1 no such user",
        "c@example.org: accepted",
        "d@example.org: accepted",
    ];
    assert_eq!(lines, wanted);
    assert!(
        refused.stderr().contains("1 of 4 recipients did not accept the test"),
        "{}",
        refused.stderr()
    );
    assert!(
        mails
            .lock()
            .expect("as the test has set it up")
            .iter()
            .all(|mail| mail.body().contains("This is a test, not an alert."))
    );
    assert_eq!(test("fine", 0).stdout().lines().count(), 3);
    assert_eq!(
        test("feed", 0).stdout(),
        "https://pumphandle.example.org/feeds/feed.atom: accepted\n"
    );
    let nobody = test("nobody", 64).stderr();
    assert!(
        nobody.contains("no subscription `nobody`")
            && nobody.contains("hint: there are by-mail, feed, fine"),
        "{nobody}"
    );
    // The same by the page, of a subscription that was made there.
    let mut running = start(&folder);
    let made = json!({ "after": 0, "subscription": { "channel": "mail", "to": ["a@example.org", "b@example.org"] } });
    assert_eq!(asked(&running, "PUT", "/api/v1/subscriptions/of-page", &made).0, 200);
    let (status, answer) =
        asked(&running, "POST", "/api/v1/subscriptions/of-page/test", &Value::Null);
    let outcomes: Vec<&str> = answer["recipients"]
        .as_array()
        .expect("recipients")
        .iter()
        .filter_map(|one| one["outcome"].as_str())
        .collect();
    assert_eq!((status, outcomes), (200, vec!["accepted", "refused"]), "{answer}");
    let listens = format!("web.listen={}", running.page());
    let by_api = folder
        .output(&["notify", "test", "of-page", "--config", "run.toml", "--set", &listens])
        .ends(1);
    assert!(by_api.stdout().contains("b@example.org: refused 550"), "{}", by_api.stdout());
    running.signal("TERM");
    running.ends(0);
    // A secret that is missing or damaged is named with its subscription, before anything is
    // served.
    folder.write("subscriptions.toml", hook);
    let checked = folder.output(&["check", "--config", "run.toml"]).ends(64).stdout();
    assert!(checked.contains("subscription `hook`") && checked.contains("secret"), "{checked}");
}

/// An alert that fires while the program takes its first steps is for those who had subscribed
/// before.
#[test]
fn what_fires_in_the_first_seconds_reaches_who_subscribed_before() {
    let folder = Folder::new();
    let (port, mails, _) = mail_server("");
    folder.write("posts.ndjson", posts());
    folder.write("subscriptions.toml", THREE);
    folder.write("run.toml", with_mail(port, "[detect]\nmethod = \"eears\""));
    // Killed as soon as the alert is in the log; the notifier may or may not have begun.
    let mut running = start(&folder);
    until(LONG, "an alert", || {
        let (_, alerts) = asked(&running, "GET", "/api/v1/alerts", &Value::Null);
        alerts["alerts"].as_array().filter(|alerts| !alerts.is_empty()).map(|_| ())
    });
    running.kill();
    let mut running = start(&folder);
    until(LONG, &format!("mails: {}", running.log()), || {
        (mails.lock().expect("as the test has set it up").len() >= 4).then_some(())
    });
    running.signal("TERM");
    running.ends(0);
}
