//! Page and API from outside: who is refused what, exports, and the lines of the analyst's guide.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::program::{Folder, LONG, Running, root, skip, until};

const CONFIG: &str = r#"
    [web]
    listen = "127.0.0.1:0"
    requests-per-minute = 1_000_000
    [[feeds]]
    name = "posts"
    kind = "file"
    path = "posts.ndjson"
"#;
/// 2026-01-05T00:00:00Z, a Monday.
const MONDAY: i64 = 1_767_571_200;

/// A post an hour for sixty days, from Bavaria and from France by turns.
fn posts() -> String {
    let line = |hour: i64| {
        let at = MONDAY + hour * 3_600 + 60;
        let region = if hour % 3 == 0 { "FR" } else { "DE-BY" };
        format!(
            r##"{{"id":"{hour}","author":"a{hour}","created_at":{at},"arrived":{at},"text":"in bed with #flu","langs":["de"],"region":"{region}"}}"##
        ) + "\n"
    };
    (0..1_440).map(line).collect()
}

fn filled() -> Folder {
    let folder = Folder::new();
    folder.write("run.toml", CONFIG);
    folder.write("posts.ndjson", posts());
    folder
}

/// A running program that has landed what its file holds, and an analyst's token.
pub(crate) fn served(sets: &[&str]) -> (Folder, Running, String) {
    let folder = filled();
    let made = folder
        .output(&[
            "token", "create", "--name", "Analyst", "--role", "analyst", "--config", "run.toml",
        ])
        .ends(0)
        .stdout();
    let token = made.split_whitespace().max_by_key(|word| word.len()).expect("a token").to_owned();
    let sets = sets.iter().flat_map(|set| ["--set", set]);
    let args: Vec<&str> = ["run", "--config", "run.toml"].into_iter().chain(sets).collect();
    let run = folder.start(&args);
    let headers = format!("Authorization: Bearer {token}\r\n");
    until(LONG, "counts in the warehouse", || {
        let (_, status) = ask(&run, "/api/v1/status", &headers)?;
        let status: serde_json::Value = serde_json::from_str(&status).ok()?;
        (status["latest"].as_i64()? >= MONDAY + 1_300 * 3_600).then_some(())
    });
    (folder, run, token)
}

pub(crate) fn ask(run: &Running, path: &str, headers: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(run.page()).ok()?;
    answer(&mut stream, path, headers)
}

fn answer(stream: &mut TcpStream, path: &str, headers: &str) -> Option<(u16, String)> {
    stream.set_read_timeout(Some(LONG)).ok()?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{headers}Connection: close\r\n\r\n")
        .ok()?;
    let mut text = Vec::new();
    stream.read_to_end(&mut text).ok()?;
    let text = String::from_utf8_lossy(&text).into_owned();
    let (head, body) = text.split_once("\r\n\r\n")?;
    Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
}

/// A connection from another address of this machine.
fn from_elsewhere(run: &Running) -> TcpStream {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let stream = runtime.block_on(async {
        let socket = tokio::net::TcpSocket::new_v4()?;
        socket.bind(([127, 0, 0, 2], 0).into())?;
        socket.connect(run.page().parse().expect("an address")).await?.into_std()
    });
    let stream = stream.expect("a connection");
    stream.set_nonblocking(false).expect("a stream of ours");
    stream
}

#[test]
fn dripping_connections_leave_health_to_others() {
    let folder = filled();
    let run = folder.start(&["run", "--config", "run.toml"]);
    let page = run.page();
    until(LONG, "the page", || run.get("/healthz"));
    let mut dripping = Vec::new();
    for _ in 0..512 {
        let mut stream = TcpStream::connect(&page).expect("a connection");
        // Beyond its bound an address is cut off.
        let _ = stream.write_all(b"GET / HTTP/1.1\r\nX: ");
        dripping.push(stream);
    }
    for path in ["/healthz", "/readyz", "/public"] {
        let began = Instant::now();
        let (status, _) = answer(&mut from_elsewhere(&run), path, "").expect("an answer");
        assert_eq!(status, 200, "{path}");
        assert!(began.elapsed() < Duration::from_secs(2), "{path}: {:?}", began.elapsed());
    }
    let (_, metrics) = answer(&mut from_elsewhere(&run), "/metrics", "").expect("metrics");
    let refused = metrics.lines().find_map(|line| {
        line.strip_prefix("pumphandle_http_connections_refused_total{reason=\"address\"} ")
    });
    assert!(
        refused.and_then(|count| count.parse::<u64>().ok()).is_some_and(|count| count >= 400),
        "{metrics}"
    );
}

#[test]
fn connections_per_address_are_bounded() {
    let folder = filled();
    let run =
        folder.start(&["run", "--config", "run.toml", "--set", "web.connections-per-address=4"]);
    let page = run.page();
    until(LONG, "the page", || run.get("/healthz"));
    let mut held: Vec<TcpStream> =
        (0..4).map(|_| TcpStream::connect(&page).expect("a connection")).collect();
    // A fifth may ask for health only.
    until(LONG, "four connections", || {
        ask(&run, "/public", "").is_none_or(|(status, _)| status == 503).then_some(())
    });
    until(LONG, "health", || ask(&run, "/healthz", "").filter(|(status, _)| *status == 200));
    assert_eq!(
        answer(&mut from_elsewhere(&run), "/public", "").map(|(status, _)| status),
        Some(200)
    );
    held.clear();
    until(LONG, "a place again", || ask(&run, "/public", "").filter(|(status, _)| *status == 200));
}

#[test]
fn roles_of_a_proxy_need_its_secret() {
    let folder = filled();
    let secret = "0123456789abcdef0123456789abcdef";
    folder.write("short", "secret\n");
    folder.write("secret", format!("{secret}\n"));
    let set = |file: &str| format!("web.proxy-secret-file={file}");
    let said =
        folder.output(&["check", "--config", "run.toml", "--set", &set("short")]).ends(64).stdout();
    assert!(said.contains("shorter than 16 characters") && said.contains("hint: "), "{said}");
    assert!(!said.contains("secret\n"), "{said}");
    folder.output(&["check", "--config", "run.toml", "--set", &set("nowhere")]).ends(64);
    let proxy = "web.trusted-proxies=[\"127.0.0.1\"]";
    let role = |sets: &[&str], headers: &str| {
        let sets = sets.iter().flat_map(|set| ["--set", set]);
        let run = folder
            .start(&["run", "--config", "run.toml"].into_iter().chain(sets).collect::<Vec<_>>());
        let (_, body) = until(LONG, "a session", || ask(&run, "/api/v1/session", headers));
        body
    };
    let named = "X-Pumphandle-User: Duty\r\nX-Pumphandle-Role: operator\r\n";
    let proven = format!("{named}X-Pumphandle-Proxy-Secret: {secret}\r\n");
    assert!(role(&[proxy, &set("secret")], &proven).contains("\"role\":\"operator\""));
    assert!(role(&[proxy, &set("secret")], named).contains("\"role\":\"public\""));
    assert!(role(&[proxy], &proven).contains("\"role\":\"public\""));
    assert!(role(&[&set("secret")], &proven).contains("\"role\":\"public\""));
}

/// How many of thirty exports that are requested at once are refused for now.
pub(crate) fn refused_of_thirty(run: &Running, token: &str) -> u32 {
    let page = run.page();
    let mut asking = Vec::new();
    for _ in 0..30 {
        let mut stream = TcpStream::connect(&page).expect("a connection");
        let request = format!(
            "GET /api/v1/export/verdicts HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer \
                {token}\r\nConnection: close\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).expect("a request");
        asking.push(stream);
    }
    let mut refused = 0;
    for mut stream in asking {
        let mut text = Vec::new();
        stream.read_to_end(&mut text).expect("an answer");
        let text = String::from_utf8_lossy(&text);
        if text.starts_with("HTTP/1.1 503") && text.contains("too many requests at once") {
            assert!(text.to_ascii_lowercase().contains("retry-after: "), "{text}");
            refused += 1;
        }
    }
    refused
}

#[test]
fn requests_beyond_their_bound_are_told_to_come_back() {
    let (_folder, run, token) = served(&["limits.requests=1"]);
    let refused = refused_of_thirty(&run, &token);
    assert!(refused > 0);
    assert_eq!(run.metric("pumphandle_http_requests_refused_total"), Some(f64::from(refused)));
    assert!(
        ask(&run, "/api/v1/status", &format!("Authorization: Bearer {token}\r\n"))
            .is_some_and(|(status, _)| status == 200)
    );
}

/// The first answer but a large rise comes when there are two days before the guardband, and a few
/// hours later where posts are few.
#[test]
fn status_says_how_much_history_an_answer_takes() {
    let (_folder, run, token) = served(&[]);
    let headers = format!("Authorization: Bearer {token}\r\n");
    let (_, status) = ask(&run, "/api/v1/status", &headers).expect("an answer");
    let status: serde_json::Value = serde_json::from_str(&status).expect("JSON");
    let needed = status["history_needed_seconds"].as_i64().expect("a number");
    assert_eq!((needed, &status["learning"]), (4 * 86_400, &serde_json::Value::Bool(false)));
    let first_answer = until(LONG, "an answer", || {
        let (_, verdicts) = ask(&run, "/api/v1/export/verdicts?format=ndjson", &headers)?;
        let rows = verdicts
            .lines()
            .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
        let answers = rows.filter(|row| {
            row["stage"] == "closed" && row["region"] == "001" && !row["alarm"].is_null()
        });
        answers.filter_map(|row| row["window_end"].as_i64()).min()
    });
    let history = first_answer - MONDAY;
    assert!((needed..=needed + 86_400).contains(&history), "{history}");
}

#[test]
fn the_guides_requests_answer() {
    if Command::new("curl").arg("--version").stdout(Stdio::null()).status().is_err() {
        skip("no `curl`");
        return;
    }
    let (folder, run, token) = served(&[]);
    let guide = std::fs::read_to_string(root().join("docs/guide/analyst.md")).expect("the guide");
    let lines: Vec<&str> = guide.lines().filter(|line| line.starts_with("curl ")).collect();
    assert!(lines.len() >= 5, "{lines:?}");
    for line in lines {
        assert!(line.contains("--fail"), "an error would land in a file: {line}");
        let is_endless = line.contains("/events");
        let mut command = line.replace("http://127.0.0.1:8080", &format!("http://{}", run.page()));
        if is_endless {
            command = command.replace("curl ", "curl --max-time 3 ");
        }
        let done = Command::new("sh")
            .args(["-c", &command])
            .env("TOKEN", &token)
            .current_dir(folder.path())
            .output()
            .expect("a shell");
        // 28: the time was up, with all that came before.
        let code = done.status.code();
        assert!(
            code == Some(0) || (is_endless && code == Some(28)),
            "{line}: {code:?} {}",
            String::from_utf8_lossy(&done.stderr)
        );
    }
    let counts = folder.read("counts.csv");
    assert!(counts.starts_with("topic,region,") && counts.lines().count() > 1_000, "{counts:.300}");
}

/// Starts a command, reads one line of what it writes, and closes the pipe.
fn one_line(folder: &Folder, args: &[&str], input: Option<String>) {
    let mut child = folder
        .command(args)
        .stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let stdin = child.stdin.take();
    let writer = std::thread::spawn(move || {
        if let (Some(mut stdin), Some(input)) = (stdin, input) {
            // Who reads no more closes the pipe.
            let _ = stdin.write_all(input.as_bytes());
        }
    });
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("a line");
    assert!(!line.is_empty());
    let done = child.wait_with_output().expect("its end");
    writer.join().expect("no panic");
    assert_eq!(
        (done.status.code(), String::from_utf8_lossy(&done.stderr).as_ref()),
        (Some(0), ""),
        "{args:?}"
    );
}

#[test]
fn a_reader_that_has_had_enough_is_no_failure() {
    let folder = filled();
    folder.output(&["run", "--config", "run.toml", "--until-drained"]).ends(0);
    for format in ["csv", "ndjson"] {
        one_line(
            &folder,
            &["export", "--table", "verdicts", "--format", format, "--config", "run.toml"],
            None,
        );
    }
    let series: String = (0..30_000).map(|day| format!("a,{day},{}\n", day % 7)).collect();
    one_line(
        &folder,
        &["detect", "--method", "ears-c1"],
        Some(format!("series,time,observed\n{series}")),
    );
    one_line(&folder, &["regions", "list", "--json"], None);
}

#[test]
fn an_unknown_topic_or_region_has_a_hint() {
    let folder = filled();
    folder.output(&["run", "--config", "run.toml", "--until-drained"]).ends(0);
    for (topic, region, message, hint) in [
        ("flu", "FR", "no topic `flu`", "did you mean `influenza`?"),
        ("influenza", "Bavaria", "there is no region `Bavaria`", "did you mean `DE-BY`?"),
        ("influenza", "UK", "there is no region `UK`", "did you mean `GB`?"),
        ("influenza", "QQ", "there is no region `QQ`", "`pumphandle regions list` names all"),
    ] {
        let said = folder
            .output(&["alerts", "why-not", topic, region, "--config", "run.toml"])
            .ends(64)
            .stderr();
        assert!(said.contains(message) && said.contains(hint), "{said}");
    }
    let load = |text: &str, code: i32| {
        let done = folder
            .output_of(
                &["reference", "load", "-", "--config", "run.toml"],
                text.as_bytes().to_vec(),
            )
            .ends(code);
        done.stdout() + &done.stderr()
    };
    let text = "series,region,date,value\ncases,DE,2026-01-05,1\n\ncases,EL,2026-01-05,1\ncases,UK,2026-01-05,1\ncases,FRANCE,2026-01-05,1\n";
    for text in [text.to_owned(), text.replace('\n', "\r\n")] {
        let said = load(&text, 1);
        for problem in [
            "line 4, `region`: there is no region `EL`; did you mean `GR`?",
            "line 5, `region`: there is no region `UK`; did you mean `GB`?",
            "line 6, `region`: there is no region `FRANCE`; did you mean `FR`?",
        ] {
            assert!(said.contains(problem), "{said}");
        }
    }
    assert_eq!(
        load("series,region,date,value\ncases,GR,2026-01-05,1\ncases,lang:de,2026-01-05,1\n", 0),
        "2 rows loaded\n"
    );
    folder.write("people.csv", "region,population\r\n\r\nDE-BY,13000000\r\nEL,10000000\r\n");
    let said = folder
        .output(&["check", "--config", "run.toml", "--set", "atlas.populations=[\"people.csv\"]"])
        .ends(64)
        .stdout();
    assert!(
        said.contains("`people.csv`, line 4") || said.contains("people.csv`, line 4"),
        "{said}"
    );
    assert!(said.contains("unknown region `EL`") && said.contains("did you mean `GR`?"), "{said}");
}

#[test]
fn a_time_that_is_no_date_is_refused_with_its_line() {
    let folder = Folder::new();
    let refused = |text: &str| {
        folder
            .output_of(&["detect", "--method", "ears-c1"], text.as_bytes().to_vec())
            .ends(64)
            .stderr()
    };
    for wrong in ["11/23/2026", "23.11.2026", "2026-W02", "2026-02-30"] {
        let text = format!("series,time,observed\na,2026-01-05,1\n\na,{wrong},2\n");
        for text in [text.clone(), text.replace('\n', "\r\n")] {
            let said = refused(&text);
            assert!(said.contains(&format!("line 4 of standard input: `{wrong}`")), "{said}");
            assert!(said.contains("hint: write dates as 2026-01-05, oldest first"), "{said}");
        }
    }
    // Older than what is counted, but a date: sorted as text or newest first, its order is looked
    // at.
    let text = "series,time,observed\na,1999-12-30,1\na,1999-12-31,2\na,1999-12-29,2\n";
    let judged = folder
        .output_of(&["detect", "--method", "ears-c1"], text.as_bytes().to_vec())
        .ends(0)
        .stdout();
    assert!(
        judged.lines().last().is_some_and(|line| line.contains("time-not-increasing")),
        "{judged}"
    );
}
