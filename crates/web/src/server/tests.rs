use std::sync::{Arc, Mutex};

use record::time::{DAY, HOUR, SECOND};
use record::{
    Alert, AlertEvent, AlertState, Count, CoverageRow, Explanation, Record, Settings, Stage,
    TopicSetting, Verdict, Version,
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use warehouse::contract::{MONDAY, alert, count, verdict};
use warehouse::{Landing, Local};

use crate::{
    Access, AlertDelivery, AlertText, Change, Delivery, DeliveryState, Holder, Reader, Readiness,
    Reason, RecipientRefused, Role, StoredSubscription, SubscriptionAnswer, SubscriptionRefused,
    SubscriptionRequest, SubscriptionWish, TestOutcome, Tested, Web, routes, serve,
};

const HOSTILE: &str = "<img src=x onerror=alert(1)>\"'&\u{202e}</script>";

/// A server over a warehouse in a folder of its own.
struct Served {
    address: String,
    stop: oneshot::Sender<()>,
    server: JoinHandle<std::io::Result<()>>,
    _folder: TempDir,
}

struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        let line = self
            .head
            .lines()
            .find(|line| line.to_ascii_lowercase().starts_with(&format!("{name}:")))?;
        line.split_once(':').map(|(_, value)| value.trim())
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|why| panic!("{why}: {}", self.body))
    }
}

impl Served {
    async fn start(rows: &[Record], change: impl FnOnce(&mut Web)) -> Served {
        let folder = tempfile::tempdir().unwrap();
        let warehouse = Local::open(&folder.path().join("warehouse.sqlite")).unwrap();
        warehouse.write(rows, &[]).unwrap();
        let mut web = Web::new(Arc::new(warehouse));
        web.access.anonymous = Role::Operator;
        web.requests_a_minute = 1_000_000;
        web.connections_per_address = 400;
        web.spool = folder.path().to_owned();
        change(&mut web);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (stop, stopped) = oneshot::channel();
        let server = tokio::spawn(serve(listener, web, async {
            let _ = stopped.await;
        }));
        Served { address, stop, server, _folder: folder }
    }

    async fn raw(&self, request: &str) -> Answer {
        let mut stream = TcpStream::connect(&self.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await.unwrap();
        let text = String::from_utf8(bytes).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        Answer { status, head: head.to_owned(), body: body.to_owned() }
    }

    async fn get(&self, path: &str) -> Answer {
        self.raw(&format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"))
            .await
    }
}

fn filled() -> Vec<Record> {
    let topic = TopicSetting {
        id: "flu".to_owned(),
        name: "Influenza".to_owned(),
        kind: record::kind::Kind::Disease,
        pane: HOUR,
        windows: vec![DAY],
    };
    let mut rows = vec![Record::Settings(Settings { topics: vec![topic], ..Settings::default() })];
    for hour in -24 * 20..0 {
        rows.push(Record::Count(Count {
            posts: 2,
            authors: 2,
            total_posts: 500,
            last: hour < -36,
            ..count("flu", "DE-BY", hour, 1)
        }));
        // Of too few posts to tell calm on one day, and not seen on another.
        let (alarm, reason) = match (hour + 1) / 24 {
            -3 => (None, "too-few-posts"),
            -4 => (None, "coverage"),
            _ => (Some(false), ""),
        };
        let judged = Verdict {
            alarm,
            reason: record::Reason::parse(reason).unwrap(),
            ..verdict("flu", "DE-BY")
        };
        rows.push(Record::Verdict(Verdict { window_end: MONDAY + (hour + 1) * HOUR, ..judged }));
    }
    let share = 0.97;
    rows.push(Record::Coverage(CoverageRow {
        feed: "bluesky".to_owned(),
        pane_start: MONDAY - HOUR,
        pane_length: HOUR,
        share,
        version: Version(1),
    }));
    rows.push(Record::Alert(alert("flu-by")));
    rows.push(Record::Alert(Alert {
        revision: 1,
        stage: Stage::Closed,
        observed: 24,
        version: Version(2),
        ..alert("flu-by")
    }));
    rows.push(Record::Alert(Alert {
        state: AlertState::Withdrawn,
        fired_at: MONDAY - DAY,
        ..alert("old one")
    }));
    rows.push(Record::AlertEvent(AlertEvent {
        alert: "flu-by".to_owned(),
        after: 0,
        at: MONDAY + SECOND,
        actor: "duty".to_owned(),
        state: record::Handling::Verifying,
        note: HOSTILE.to_owned(),
        ..AlertEvent::default()
    }));
    rows
}

#[tokio::test]
async fn alerts_are_listed_with_their_sentence_and_trend() {
    let served = Served::start(&filled(), |web| {
        web.simulated = true;
        web.describe =
            Arc::new(|alert: &Alert, course: Option<&record::alerts::Course>, reader: &Reader| {
                AlertText {
                    course_text: course.map(|course| format!("peak {}", course.peak.observed)),
                    sentence: format!("{} of {}", alert.observed, alert.topic_name),
                    rest: format!("Posts, not cases. {} {}", reader.language, reader.zone),
                    rarity: Some("about once a year".to_owned()),
                    doubt: None,
                    checks: vec!["Ask.".to_owned()],
                }
            });
        web.region_names
            .insert("DE-BY".to_owned(), [("en".to_owned(), "Bavaria".to_owned())].into());
    })
    .await;
    let answer = served.get("/api/v1/alerts?zone=Europe/Berlin").await;
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
    let body = answer.json();
    assert_eq!(body["simulated"], true);
    let ids: Vec<_> = body["alerts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|alert| alert["id"].as_str().unwrap())
        .collect();
    assert_eq!(ids, ["flu-by", "old one"]);
    let first = &body["alerts"][0];
    assert_eq!(first["sentence"], "24 of Influenza");
    for (field, value) in [
        ("topic", Value::from("flu")),
        ("region", "DE-BY".into()),
        ("regions", vec!["DE", "DE-BY"].into()),
        ("opened_at", (MONDAY / SECOND - 86_400).into()),
        ("fired_at", (MONDAY as f64 / 1e6 + 1.234_567).into()),
        ("stage", "closed".into()),
        ("state", "open".into()),
        ("severity", 2.into()),
        ("observed", 24.into()),
        ("expected", 6.0.into()),
        ("upperbound", 11.0.into()),
        ("recurrence", 365.0.into()),
        ("revision", 1.into()),
        ("rest", "Posts, not cases. en Europe/Berlin".into()),
        ("doubt", Value::Null),
        ("checks", vec!["Ask."].into()),
        ("ratio", 4.0.into()),
        ("rarer_than", vec!["month", "quarter"].into()),
        ("rarity", "about once a year".into()),
        ("title", "Influenza · Bavaria".into()),
    ] {
        assert_eq!(first[field], value, "{field}");
    }
    assert_eq!(first["events"][0]["note"], HOSTILE);
    assert_eq!(first["trend"].as_array().unwrap().len(), 19, "all but what was not seen");
    let served = &served;
    let list = |query: &'static str| async move {
        let answer = served.get(&format!("/api/v1/alerts?{query}")).await.json();
        answer["alerts"].as_array().unwrap().len()
    };
    assert_eq!(list("state=open").await, 1);
    assert_eq!(list("order=rarity").await, 2);
    assert_eq!(served.get("/api/v1/alerts?order=age").await.status, 400);
    assert_eq!(list("state=ended").await, 1);
    assert_eq!(list("region=de-by&topic=flu&limit=1").await, 1);
    assert_eq!(list("from=2026-01-05T00:00:00Z").await, 1);
    let one = served.get("/api/v1/alerts/old%20one").await.json();
    assert_eq!(
        (one["alert"]["state"].as_str(), one["revisions"].as_array().unwrap().len()),
        (Some("withdrawn"), 1)
    );
    assert_eq!(
        served.get("/api/v1/alerts/flu-by").await.json()["revisions"].as_array().unwrap().len(),
        2
    );
}

#[tokio::test]
async fn series_topics_and_status_are_answered() {
    let served = Served::start(&filled(), |_| {}).await;
    let series = served.get("/api/v1/series?topic=flu&region=DE-BY").await.json();
    assert_eq!(series["panes"].as_array().unwrap().len(), 480);
    assert_eq!(series["windows"].as_array().unwrap().len(), 480);
    assert_eq!(series["windows"][0]["upperbound"], 9.5);
    let part = served
        .get("/api/v1/series?topic=flu&region=DE-BY&from=1767484800&to=2026-01-04T03:00:00Z")
        .await
        .json();
    assert_eq!(part["panes"].as_array().unwrap().len(), 3);
    assert_eq!(
        part["panes"][0],
        serde_json::json!({
            "start": 1_767_484_800, "seconds": 3_600, "posts": 2, "authors": 2, "authors_24h": null, "authors_self": 0,
            "total_posts": 500, "final": false
        })
    );
    let none = served.get("/api/v1/series?topic=flu&region=FR").await;
    assert_eq!((none.status, none.json()["panes"].as_array().unwrap().len()), (200, 0));
    let topics = served.get("/api/v1/topics").await.json();
    assert_eq!(topics["topics"][0]["name"], "Influenza");
    assert_eq!(topics["topics"][0]["kind"], "disease");
    assert_eq!(topics["topics"][0]["open_alerts"], 1);
    assert_eq!(topics["topics"][0]["regions"][0]["name"], "DE-BY (Germany)");
    let status = served.get("/api/v1/status").await.json();
    assert_eq!(status["latest"], MONDAY / SECOND - 3_600);
    assert_eq!(
        (&status["learning"], &status["history_needed_seconds"]),
        (&Value::Bool(false), &Value::from(5 * 86_400))
    );
    assert_eq!(status["feeds"][0]["share"], 0.97);
}

/// Windows of a day or a week that were judged at any hours: what is requested by length and
/// distance is what a filter of all leaves.
#[tokio::test]
async fn windows_a_distance_apart_are_those_that_a_filter_of_all_leaves() {
    let lengths = [DAY, 7 * DAY];
    for seed in 0..40_i64 {
        let judged = |hour: i64| (hour * 37 + seed * 11) % 7 > 1 && hour % (5 + seed) != 0;
        // The last ones may be of another length than what is requested.
        let length = |hour: i64| {
            lengths[usize::from(if hour > -(seed % 3) * 150 {
                seed % 2 == 0
            } else {
                (hour + seed) % 3 == 0
            })]
        };
        let verdicts = (-400..0).filter(|hour| judged(*hour)).map(|hour| {
            let judged = verdict("flu", "DE");
            Record::Verdict(Verdict {
                window_end: MONDAY + hour * HOUR,
                window_length: length(hour),
                observed: (500 + hour) as u32,
                ..judged
            })
        });
        let rows: Vec<Record> = verdicts.chain([Record::Count(count("flu", "DE", 0, 1))]).collect();
        let served = Served::start(&rows, |_| {}).await;
        let whole = served.get("/api/v1/series?topic=flu&region=DE").await.json();
        for (seconds, every) in [
            (86_400, 3_600),
            (86_400, 86_400),
            (604_800, 7_200),
            (604_800, 86_400),
            (3_600, 86_400),
        ] {
            let answer = served
                .get(&format!("/api/v1/series?topic=flu&region=DE&seconds={seconds}&every={every}"))
                .await
                .json();
            let of_length: Vec<&Value> = whole["windows"]
                .as_array()
                .unwrap()
                .iter()
                .filter(|one| one["seconds"] == seconds)
                .collect();
            let last = of_length.last().map_or(0, |one| one["end"].as_i64().unwrap());
            let fits: Vec<&Value> = of_length
                .into_iter()
                .filter(|one| (last - one["end"].as_i64().unwrap()) % every == 0)
                .collect();
            assert_eq!(
                answer["windows"].as_array().unwrap().iter().collect::<Vec<_>>(),
                fits,
                "seed {seed}, {seconds} s every {every} s"
            );
        }
    }
}

#[tokio::test]
async fn an_empty_warehouse_has_answers() {
    let served = Served::start(&[], |_| {}).await;
    for path in [
        "/api/v1/alerts",
        "/api/v1/series?topic=flu&region=DE",
        "/api/v1/topics",
        "/api/v1/status",
        "/readyz",
        "/",
    ] {
        assert_eq!(served.get(path).await.status, 200, "{path}");
    }
    let status = served.get("/api/v1/status").await.json();
    assert_eq!((&status["latest"], &status["learning"]), (&Value::Null, &Value::Bool(true)));
}

#[tokio::test]
async fn every_answer_carries_the_headers_that_protect() {
    let served = Served::start(&filled(), |_| {}).await;
    for path in [
        "/",
        "/public/DE",
        "/style.css",
        "/app.js",
        "/map/world.json",
        "/icon.svg",
        "/api/v1/status",
        "/metrics",
        "/healthz",
        "/nothing",
    ] {
        let answer = served.get(path).await;
        let policy = answer.header("content-security-policy").unwrap();
        assert!(
            policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"),
            "{path}"
        );
        assert!(!policy.contains("unsafe") && !policy.contains("http"), "{path}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{path}");
        assert_eq!(answer.header("referrer-policy"), Some("no-referrer"), "{path}");
        assert!(answer.header("cache-control").is_some(), "{path}");
    }
}

#[tokio::test]
async fn mistakes_are_problems() {
    let served = Served::start(&filled(), |_| {}).await;
    let long = "x".repeat(201);
    for (path, status, says) in [
        ("/nothing", 404, "nothing at this address"),
        ("/api/v1", 404, "nothing"),
        ("/api/v1/alerts/", 404, "nothing"),
        ("/../etc/passwd", 404, "nothing"),
        ("/api/v1/alerts/nobody", 404, "no alert with this id"),
        ("/api/v1/alerts/%ff", 400, "id"),
        ("/api/v1/alerts?limit=0", 400, "`limit` is between 1 and 500"),
        ("/api/v1/alerts?limit=99999999999999999999", 400, "limit"),
        ("/api/v1/alerts?limit=-1", 400, "limit"),
        ("/api/v1/alerts?state=%3Cb%3E", 400, "`state` is"),
        ("/api/v1/alerts?unknown=1", 400, "unknown"),
        ("/api/v1/alerts?topic=a&topic=b", 400, "duplicate"),
        ("/api/v1/status?x=1", 400, "unknown"),
        ("/api/v1/series", 400, "`topic` is missing"),
        ("/api/v1/series?topic=flu", 400, "`region` is missing"),
        ("/api/v1/series?topic=&region=DE", 400, "`topic` has between 1 and 200 bytes"),
        (&format!("/api/v1/series?topic={long}&region=DE"), 400, "`topic` has between"),
        ("/api/v1/series?topic=flu&region=DE&from=tomorrow", 400, "`from` is not a date"),
        ("/api/v1/series?topic=flu&region=DE&to=1e300", 400, "`to` is outside the years"),
        (
            "/api/v1/series?topic=flu&region=DE&from=-99999999999999999999999999",
            400,
            "`from` is outside",
        ),
        (
            "/api/v1/series?topic=flu&region=DE&from=2026-01-02&to=2026-01-01T00:00:00Z",
            400,
            "`from`",
        ),
        (
            "/api/v1/series?topic=flu&region=DE&from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z",
            400,
            "not before",
        ),
        (&format!("/?{}", "x".repeat(5_000)), 414, "at most 4096 bytes"),
    ] {
        let answer = served.get(path).await;
        assert_eq!(
            (answer.status, answer.header("content-type")),
            (status, Some("application/problem+json")),
            "{path}"
        );
        let problem = answer.json();
        assert_eq!(problem["status"], status, "{path}");
        assert!(problem["detail"].as_str().unwrap().contains(says), "{path}: {problem}");
    }
    for method in ["POST", "DELETE", "PUT", "OPTIONS", "BREW"] {
        let answer = served
            .raw(&format!(
                "{method} /api/v1/alerts HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
            ))
            .await;
        assert_eq!(
            (answer.status, answer.header("content-type")),
            (405, Some("application/problem+json")),
            "{method}"
        );
    }
    // Each random question gets some answer, and the server is alive afterwards.
    let pieces = [
        "topic", "=", "&", "%00", "%", "%zz", "flu", "from", "1e400", "+", "🦠", "\"", "[]",
        "limit", "-9", "region", "?", "#", "lang:xx",
    ];
    let mut at: usize = 1;
    for path in ["/api/v1/series?", "/api/v1/alerts?", "/api/v1/alerts/", "/"] {
        for length in 0..40 {
            let query: String = (0..length % 9 + 1)
                .map(|_| {
                    at = at
                        .wrapping_mul(6_364_136_223_846_793_005)
                        .wrapping_add(1_442_695_040_888_963_407);
                    pieces[(at >> 33) % pieces.len()]
                })
                .collect();
            let answer = served.get(&format!("{path}{query}")).await;
            assert!((200..500).contains(&answer.status), "{path}{query}: {}", answer.status);
        }
    }
    assert_eq!(served.get("/healthz").await.body, "ok\n");
}

#[tokio::test]
async fn strangers_names_are_refused() {
    let served = Served::start(&filled(), |web| web.hosts.push("pump.example".to_owned())).await;
    let call = |host: &'static str, path: &'static str| {
        let served = &served;
        async move {
            served.raw(&format!("GET {path} HTTP/1.1\r\n{host}Connection: close\r\n\r\n")).await
        }
    };
    for path in ["/", "/api/v1/alerts", "/app.js"] {
        let answer = call("Host: evil.example\r\n", path).await;
        assert_eq!(
            (answer.status, answer.header("content-type")),
            (421, Some("application/problem+json")),
            "{path}"
        );
        assert!(!answer.body.contains("influenza"));
        assert_eq!(call("Host: pump.example:8080\r\n", path).await.status, 200);
    }
    for path in ["/healthz", "/readyz", "/metrics"] {
        assert_eq!(call("Host: serve:8080\r\n", path).await.status, 200, "{path}");
    }
    assert_eq!(call("", "/").await.status, 421);
    assert_eq!(call("Host: localhost\r\nHost: evil.example\r\n", "/").await.status, 421);
    assert_eq!(
        served
            .raw(
                "GET http://evil.example/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
            )
            .await
            .status,
        421
    );
}

/// JSON can't close a script, and the page takes it for text; here: it comes back whole, as JSON,
/// never as markup.
#[tokio::test]
async fn hostile_text_stays_text() {
    let hostile = Alert {
        topic: HOSTILE.to_owned(),
        topic_name: HOSTILE.to_owned(),
        region: HOSTILE.to_owned(),
        explanation: Explanation {
            sampled: 9,
            tags: vec![(HOSTILE.to_owned(), 9)],
            ..Explanation::default()
        },
        ..alert(HOSTILE)
    };
    let served = Served::start(
        &[Record::Alert(hostile), Record::Count(count(HOSTILE, HOSTILE, 0, 1))],
        |_| {},
    )
    .await;
    let list = served.get("/api/v1/alerts").await;
    assert_eq!(list.header("content-type"), Some("application/json"));
    let body = list.json();
    assert_eq!(body["alerts"][0]["id"], HOSTILE);
    assert_eq!(body["alerts"][0]["tags"][0]["name"], HOSTILE);
    assert!(body["alerts"][0]["title"].as_str().unwrap().contains("onerror"));
    assert!(!served.get("/").await.body.contains("onerror"));
    let topics = served.get("/api/v1/topics").await.json();
    assert_eq!(topics["topics"][0]["regions"][0]["region"], HOSTILE);
}

#[tokio::test]
async fn simulated_data_is_said_before_any_script_runs() {
    let simulated = Served::start(&[], |web| web.simulated = true).await.get("/").await.body;
    assert!(simulated.contains("Simulated data.") && simulated.contains("Posts, not cases"));
    let real = Served::start(&[], |_| {}).await.get("/").await.body;
    assert!(!real.contains("Simulated data.") && real.contains("Posts, not cases"));
}

#[tokio::test]
async fn what_has_not_changed_is_not_sent_again() {
    let served = Served::start(&filled(), |_| {}).await;
    for path in ["/api/v1/alerts", "/api/v1/series?topic=flu&region=DE-BY", "/", "/app.js"] {
        let first = served.get(path).await;
        let tag = first.header("etag").unwrap();
        let again = served
            .raw(&format!(
                "GET {path} HTTP/1.1\r\nHost: localhost\r\nIf-None-Match: \
                {tag}\r\nConnection: close\r\n\r\n"
            ))
            .await;
        assert_eq!((again.status, again.body.as_str()), (304, ""), "{path}");
    }
}

#[tokio::test]
async fn ready_is_503_only_for_what_a_restart_can_mend() {
    let reason = |what: &str| Reason {
        what: what.to_owned(),
        subject: String::new(),
        detail: format!("{what} holds"),
    };
    let state = Arc::new(Mutex::new(Readiness {
        failing: vec![reason("no-frames")],
        degraded: vec![reason("lag")],
    }));
    let seen = state.clone();
    let served =
        Served::start(&[], |web| web.ready = Some(Arc::new(move || seen.lock().unwrap().clone())))
            .await;
    let answer = served.get("/readyz").await;
    assert_eq!((answer.status, answer.json()["detail"].as_str()), (503, Some("no-frames holds")));
    state.lock().unwrap().failing.clear();
    let answer = served.get("/readyz").await;
    let expected = json!({"status": "degraded", "reasons": [{"what": "lag", "subject": "", "detail": "lag holds"}]});
    assert_eq!((answer.status, answer.json()), (200, expected));
    state.lock().unwrap().degraded.clear();
    let answer = served.get("/readyz").await;
    assert_eq!((answer.status, answer.json()), (200, json!({"status": "ready", "reasons": []})));
}

#[tokio::test]
async fn metrics_show_what_the_binary_counts_and_requests_by_known_path() {
    let served = Served::start(&[], |web| {
        web.metrics.counter("pumphandle_posts_total", "Posts read.", &[("feed", "bluesky")]).add(7);
    })
    .await;
    served.get("/some/strangers/path").await;
    let answer = served.get("/metrics").await;
    assert!(answer.header("content-type").unwrap().starts_with("text/plain; version=0.0.4"));
    assert!(
        answer.body.contains("pumphandle_posts_total{feed=\"bluesky\"} 7\n"),
        "{}",
        answer.body
    );
    assert!(
        answer.body.contains("pumphandle_http_requests_total{path=\"other\",status=\"404\"} 1\n"),
        "{}",
        answer.body
    );
}

#[tokio::test]
async fn it_stops_when_asked_even_with_a_connection_open() {
    let served = Served::start(&[], |_| {}).await;
    let mut idle = TcpStream::connect(&served.address).await.unwrap();
    idle.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let mut byte = [0];
    idle.read_exact(&mut byte).await.unwrap();
    served.stop.send(()).unwrap();
    served.server.await.unwrap().unwrap();
}

/// A token for each role, by its name.
fn tokens(web: &mut Web) {
    let tokens = |token: &crate::TokenHash| {
        let role =
            Role::ALL.into_iter().find(|role| blake3::hash(role.name().as_bytes()) == *token)?;
        Some(Holder { name: format!("a {role}"), role })
    };
    web.access = Access {
        tokens: Arc::new(tokens),
        start: Some(crate::access::tests::start_link("start")),
        ..Access::default()
    };
}

impl Served {
    async fn with_token(&self, method: &str, path: &str, token: &str, body: &str) -> Answer {
        let length = body.len();
        self.raw(&format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer \
                {token}\r\nContent-Type: application/json\r\n\
             Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
        ))
        .await
    }
}

/// Every endpoint of the table, called by every role, by nobody, and with a forged token.
#[tokio::test]
async fn each_endpoint_answers_only_those_who_may_ask() {
    let served = Served::start(&filled(), tokens).await;
    let description = served.get("/api/openapi.json").await.json();
    let mut call = 0;
    for endpoint in routes::ENDPOINTS.iter().filter(|endpoint| endpoint.path != "/api/v1/events") {
        let operation =
            &description["paths"][endpoint.path][endpoint.method.as_str().to_ascii_lowercase()];
        let said = operation["description"].as_str().unwrap();
        let least =
            Role::ALL.into_iter().find(|role| said.contains(&format!("Role: {role} "))).unwrap();
        let path = endpoint.path.replace("{id}", "flu-by").replace("{table}", "counts");
        for role in Role::ALL.into_iter().filter(|role| *role != Role::Public) {
            let answer = served.with_token(endpoint.method.as_str(), &path, role.name(), "").await;
            let refused = answer.status == 403
                && answer.json()["detail"].as_str().unwrap().contains("this needs another role");
            assert_eq!(
                refused,
                role < least,
                "{} {path} as {role}: {}",
                endpoint.method,
                answer.status
            );
        }
        let method = &endpoint.method;
        let nobody = served
            .raw(&format!(
                "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
            ))
            .await;
        assert_eq!(
            nobody.status == 401 && nobody.body.contains("this needs a token"),
            least > Role::Public,
            "{method} {path}: {}",
            nobody.body
        );
        for forged in ["viewer2", "Viewer", "", "public viewer"] {
            assert_eq!(
                served.with_token(method.as_str(), &path, forged, "").await.status,
                401,
                "{method} {path} with `{forged}`"
            );
        }
        call += 1;
    }
    assert!(call > 15, "{call}");
}

/// What the description says of an answer is what comes: every field is described, and every
/// required one is there.
#[tokio::test]
async fn answers_are_as_they_are_described() {
    let served = Served::start(&filled(), |_| {}).await;
    let description = served.get("/api/openapi.json").await.json();
    assert_eq!(description["openapi"], "3.1.0");
    for (path, call) in [
        ("/api/v1/status", ""),
        ("/api/v1/topics", ""),
        ("/api/v1/regions", "?language=de"),
        ("/api/v1/alerts", ""),
        ("/api/v1/alerts/{id}", ""),
        ("/api/v1/figures", ""),
        ("/api/v1/series", "?topic=flu&region=DE-BY"),
        ("/api/v1/verdicts", "?topic=flu&end=2026-01-04T00:00:00Z"),
        ("/api/v1/map", "?topic=flu&under=DE&days=3"),
        ("/api/v1/coverage", ""),
        ("/api/v1/why-not", "?topic=flu&region=DE-BY"),
        ("/api/v1/below", ""),
        ("/api/v1/references", "?region=DE"),
        ("/api/v1/public", "?region=DE"),
        ("/api/v1/session", ""),
    ] {
        let answer = served.get(&format!("{}{call}", path.replace("{id}", "flu-by"))).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        let schema = &description["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]
            ["schema"];
        fits(&description, schema, &answer.json(), path);
    }
    let parameters =
        |path: &str| description["paths"][path]["get"]["parameters"].as_array().unwrap().len();
    assert_eq!((parameters("/api/v1/series"), parameters("/api/v1/alerts/{id}")), (6, 2));
}

fn fits(description: &Value, schema: &Value, value: &Value, place: &str) {
    if let Some(name) = schema["$ref"].as_str() {
        let name =
            name.strip_prefix("#/components/schemas/").unwrap_or_else(|| panic!("{place}: {name}"));
        let schema = &description["components"]["schemas"][name];
        assert!(schema.is_object(), "{place}: no schema `{name}`");
        return fits(description, schema, value, place);
    }
    if let Some(choices) = schema["anyOf"].as_array() {
        if value.is_null() {
            assert!(choices.iter().any(|choice| choice["type"] == "null"), "{place}");
        } else {
            fits(
                description,
                choices.iter().find(|choice| choice["type"] != "null").unwrap(),
                value,
                place,
            );
        }
        return;
    }
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_i64() || number.is_u64() => "integer",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let allows = |allowed: &Value| allowed == kind || (allowed == "number" && kind == "integer");
    let said = &schema["type"];
    let allowed = if let Some(list) = said.as_array() {
        list.iter().any(allows)
    } else {
        said.is_null() || allows(said)
    };
    assert!(allowed, "{place}: {kind} where {said} is described");
    match value {
        Value::Array(items) => {
            items.iter().take(5).for_each(|item| fits(description, &schema["items"], item, place))
        }
        Value::Object(fields) => {
            let known = schema["properties"].as_object();
            for required in schema["required"].as_array().into_iter().flatten() {
                assert!(fields.contains_key(required.as_str().unwrap()), "{place}: no {required}");
            }
            let open = !schema["additionalProperties"].is_null();
            for (name, field) in fields {
                match known.and_then(|known| known.get(name)) {
                    Some(schema) => fits(description, schema, field, &format!("{place}.{name}")),
                    None => assert!(open, "{place}: {name} isn't described"),
                }
            }
        }
        _ => {}
    }
}

#[tokio::test]
async fn a_session_is_opened_once_by_the_start_link_and_only_from_our_own_page() {
    let served = Served::start(&filled(), tokens).await;
    let open = |extra: &'static str, body: &'static str| {
        let served = &served;
        async move {
            let length = body.len();
            served
                .raw(&format!(
                    "POST /api/v1/session HTTP/1.1\r\nHost: localhost\r\n{extra}Content-Type: \
                        application/json\r\nContent-Length: {length}\r\n\
                     Connection: close\r\n\r\n{body}"
                ))
                .await
        }
    };
    let ours = "Origin: http://localhost\r\n";
    assert_eq!(open("Origin: http://evil.example\r\n", "{\"token\":\"start\"}").await.status, 403);
    assert_eq!(open("Origin: null\r\n", "{\"token\":\"start\"}").await.status, 403);
    for body in ["", "{}", "[]", "{\"token\":7}", "{\"token\":\"start\",\"role\":\"operator\"}"] {
        assert_eq!(open(ours, body).await.status, 400, "{body}");
    }
    assert_eq!(open(ours, "{\"token\":\"guess\"}").await.status, 401);
    let opened = open(ours, "{\"token\":\"start\"}").await;
    assert_eq!((opened.status, opened.json()["role"].as_str()), (200, Some("operator")));
    let cookie = opened.header("set-cookie").unwrap();
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"), "{cookie}");
    assert_eq!(open(ours, "{\"token\":\"start\"}").await.status, 401, "a start link opens once");
    let cookie = cookie.split(';').next().unwrap();
    let ask = |method: &'static str, extra: &'static str| {
        let (served, cookie) = (&served, cookie);
        async move {
            let head = format!(
                "{method} /api/v1/session HTTP/1.1\r\nHost: localhost\r\n{extra}Cookie: \
                    {cookie}\r\nConnection: close\r\n\r\n"
            );
            served.raw(&head).await
        }
    };
    assert_eq!(ask("GET", "").await.json()["name"], "operator");
    assert_eq!(ask("DELETE", "").await.status, 403, "a browser names the origin of a change");
    assert_eq!(ask("DELETE", ours).await.json()["role"], "public");
    assert_eq!(ask("GET", "").await.json()["role"], "public");
}

#[tokio::test]
async fn changes_go_out_by_their_channel_and_answer_as_they_hold() {
    let (changes, mut call) = tokio::sync::mpsc::channel::<Change>(4);
    let served = Served::start(&filled(), |web| {
        tokens(web);
        web.changes = Some(changes);
    })
    .await;
    let desk = tokio::spawn(async move {
        let mut seen = Vec::new();
        while let Some(change) = call.recv().await {
            seen.push((change.alert.clone(), change.actor.clone(), change.change.note.clone()));
            let known = 1;
            let answer = match change.alert.as_str() {
                "flu-by" if change.change.after == known => Ok(AlertEvent {
                    alert: change.alert,
                    after: known,
                    actor: change.actor,
                    state: change.change.state.unwrap_or_default(),
                    ..AlertEvent::default()
                }),
                "flu-by" => Err(record::Refused::Stale { known, after: change.change.after }),
                other => Err(record::Refused::Unknown(other.to_owned())),
            };
            let _ = change.answer.send(answer);
        }
        seen
    });
    let post = |id: &'static str, token: &'static str, body: String| {
        let served = &served;
        async move {
            served.with_token("POST", &format!("/api/v1/alerts/{id}/changes"), token, &body).await
        }
    };
    let done = post("flu-by", "official", "{\"after\":1,\"state\":\"triaged\"}".to_owned()).await;
    assert_eq!(
        (done.status, done.json()["changes"].as_u64(), done.json()["event"]["state"].as_str()),
        (200, Some(2), Some("triaged"))
    );
    assert_eq!(
        post("flu-by", "official", "{\"after\":0,\"state\":\"triaged\"}".to_owned()).await.status,
        409
    );
    assert_eq!(
        post("nobody", "official", "{\"after\":1,\"state\":\"triaged\"}".to_owned()).await.status,
        404
    );
    assert_eq!(
        post("flu-by", "viewer", "{\"after\":1,\"state\":\"triaged\"}".to_owned()).await.status,
        403
    );
    for body in [
        "",
        "{",
        "{\"after\":1,\"actor\":\"me\"}",
        "{\"after\":-1}",
        "{\"after\":1,\"state\":\"gone\"}",
    ] {
        assert_eq!(post("flu-by", "official", body.to_owned()).await.status, 400, "{body}");
    }
    let hostile = format!("{{\"after\":1,\"note\":{}}}", Value::from(HOSTILE));
    assert_eq!(post("flu-by", "operator", hostile).await.status, 200);
    assert_eq!(
        post("flu-by", "official", format!("{{\"after\":1,\"note\":\"{}\"}}", "x".repeat(20_000)))
            .await
            .status,
        413
    );
    // One that says nothing of its length is read up to the bound, and a head has one too.
    let chunk = format!("1000\r\n{}\r\n", "x".repeat(0x1000));
    let endless = format!(
        "POST /api/v1/alerts/flu-by/changes HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer \
            official\r\nContent-Type: application/json\r\n\
         Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n{}0\r\n\r\n",
        chunk.repeat(5)
    );
    assert_eq!(served.raw(&endless).await.status, 413);
    let long = format!(
        "GET /api/v1/status HTTP/1.1\r\nHost: localhost\r\nX-Long: {}\r\nConnection: close\r\n\r\n",
        "x".repeat(600_000)
    );
    assert_eq!(served.raw(&long).await.status, 431);
    let form = served
        .raw(
            "POST /api/v1/alerts/flu-by/changes HTTP/1.1\r\nHost: localhost\r\nAuthorization: \
            Bearer official\r\nContent-Type: text/plain\r\nContent-Length: 11\r\nConnection: \
            close\r\n\r\n{\"after\":1}",
        )
        .await;
    assert_eq!(form.status, 415);
    served.stop.send(()).unwrap();
    served.server.await.unwrap().unwrap();
    let seen = desk.await.unwrap();
    // Whoever asks is who they are known as, whatever they say.
    assert_eq!(seen[0].1, "a official");
    assert!(seen.contains(&("flu-by".to_owned(), "a operator".to_owned(), HOSTILE.to_owned())));
}

#[tokio::test]
async fn subscriptions_are_asked_for_by_those_who_may_and_answered_as_the_book_says() {
    let (book, mut call) = tokio::sync::mpsc::channel::<SubscriptionRequest>(4);
    let served = Served::start(&filled(), |web| {
        tokens(web);
        web.subscriptions = Some(book);
    })
    .await;
    let keeper = tokio::spawn(async move {
        let mut seen = Vec::new();
        while let Some(SubscriptionRequest { wish, actor, answer }) = call.recv().await {
            let stored = StoredSubscription {
                name: "bavaria".to_owned(),
                of_file: false,
                revision: 3,
                by: HOSTILE.to_owned(),
                at: Some(MONDAY),
                alerts: [
                    ("flu-by", DeliveryState::Digest),
                    ("old one", DeliveryState::Digest),
                    ("flu-by-2", DeliveryState::Sent),
                ]
                .map(|(alert, state)| AlertDelivery {
                    alert: alert.to_owned(),
                    state,
                    at: MONDAY + DAY,
                })
                .to_vec(),
                delivery: Delivery {
                    refused: vec![RecipientRefused {
                        address: "b@example.org".to_owned(),
                        code: 550,
                        why: HOSTILE.to_owned(),
                        at: MONDAY,
                    }],
                    failing: None,
                },
                subscription: serde_json::json!({ "channel": "feed" }),
            };
            let _ = answer.send(match &wish {
                SubscriptionWish::List => Ok(SubscriptionAnswer {
                    subscriptions: vec![stored],
                    ..SubscriptionAnswer::default()
                }),
                SubscriptionWish::Set { after: 3, .. }
                | SubscriptionWish::Remove { after: 3, .. } => Ok(SubscriptionAnswer::default()),
                SubscriptionWish::Test { name } if name == "bavaria" => {
                    let tested = |recipient: &str, outcome| Tested {
                        recipient: recipient.to_owned(),
                        outcome,
                    };
                    let refused = TestOutcome::Refused { code: 550, why: HOSTILE.to_owned() };
                    let tested = vec![
                        tested("a@example.org", TestOutcome::Accepted),
                        tested("b@example.org", refused),
                    ];
                    Ok(SubscriptionAnswer { tested, ..SubscriptionAnswer::default() })
                }
                SubscriptionWish::Test { .. } => Err(SubscriptionRefused::Unknown),
                SubscriptionWish::Set { name, .. } if name == "wrong" => {
                    Err(SubscriptionRefused::Invalid(HOSTILE.to_owned()))
                }
                SubscriptionWish::Set { .. } => Err(SubscriptionRefused::Stale),
                SubscriptionWish::Remove { .. } => Err(SubscriptionRefused::Unknown),
            });
            seen.push((format!("{wish:?}"), actor));
        }
        seen
    });
    let ask =
        |method: &'static str, path: &'static str, token: &'static str, body: &'static str| {
            let served = &served;
            async move { served.with_token(method, path, token, body).await }
        };
    let listed = ask("GET", "/api/v1/subscriptions", "official", "").await.json();
    assert_eq!(
        (listed["subscriptions"][0]["by"].as_str(), listed["subscriptions"][0]["source"].as_str()),
        (Some(HOSTILE), Some("page"))
    );
    let shown = serde_json::json!([{ "address": "b@example.org", "code": 550, "why": HOSTILE, "at": MONDAY / SECOND }]);
    assert_eq!(
        (&listed["subscriptions"][0]["refused"], &listed["subscriptions"][0]["failing"]),
        (&shown, &Value::Null)
    );
    let tested = ask("POST", "/api/v1/subscriptions/bavaria/test", "official", "").await.json();
    let outcomes = tested["recipients"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (one["outcome"].as_str().unwrap(), one["code"].as_u64()));
    assert_eq!(outcomes.collect::<Vec<_>>(), [("accepted", None), ("refused", Some(550))]);
    assert_eq!(ask("POST", "/api/v1/subscriptions/nobody/test", "official", "").await.status, 404);
    let wanted = "{\"after\":3,\"subscription\":{\"channel\":\"feed\"}}";
    assert_eq!(ask("PUT", "/api/v1/subscriptions/bavaria", "operator", wanted).await.status, 200);
    let stale = "{\"after\":2,\"subscription\":{}}";
    assert_eq!(ask("PUT", "/api/v1/subscriptions/bavaria", "official", stale).await.status, 409);
    let refused = ask("PUT", "/api/v1/subscriptions/wrong", "official", stale).await;
    assert_eq!((refused.status, refused.json()["detail"].as_str()), (422, Some(HOSTILE)));
    assert_eq!(
        ask("DELETE", "/api/v1/subscriptions/bavaria?after=3", "official", "").await.status,
        200
    );
    assert_eq!(
        ask("DELETE", "/api/v1/subscriptions/bavaria?after=1", "official", "").await.status,
        404
    );
    // What waits for a digest is known to viewers, in whose digest to officials.
    for (token, names) in
        [("viewer", serde_json::json!([])), ("official", serde_json::json!(["bavaria"]))]
    {
        let below = ask("GET", "/api/v1/below", token, "").await.json();
        assert_eq!(
            below["waiting"].as_array().unwrap().len(),
            1,
            "one of them was taken back: {below}"
        );
        let one = &below["waiting"][0];
        assert_eq!(
            (&one["alert"], &one["subscriptions"], &one["names"]),
            (&"flu-by".into(), &1.into(), &names)
        );
        assert_eq!(one["digest_at"], MONDAY / SECOND + 86_400);
    }
    let path = "/api/v1/why-not?topic=flu&region=DE-BY";
    let deliveries = ask("GET", path, "official", "").await.json();
    let digest = serde_json::json!([{ "subscription": "bavaria", "state": "digest", "at": MONDAY / SECOND + 86_400 }]);
    assert_eq!((&deliveries["alert"], &deliveries["deliveries"]), (&"flu-by".into(), &digest));
    assert_eq!(ask("GET", path, "viewer", "").await.json()["deliveries"], serde_json::json!([]));
    assert_eq!(ask("POST", "/api/v1/subscriptions/bavaria/test", "viewer", "").await.status, 403);
    for (method, path, body) in [
        ("DELETE", "/api/v1/subscriptions/bavaria", ""),
        ("DELETE", "/api/v1/subscriptions/bavaria?after=x", ""),
        ("PUT", "/api/v1/subscriptions/bavaria", "{\"after\":3}"),
        ("PUT", "/api/v1/subscriptions/bavaria", "{\"after\":3,\"subscription\":{},\"by\":\"me\"}"),
    ] {
        assert_eq!(ask(method, path, "official", body).await.status, 400, "{method} {path} {body}");
    }
    for token in ["viewer", "analyst"] {
        assert_eq!(ask("GET", "/api/v1/subscriptions", token, "").await.status, 403);
        assert_eq!(ask("PUT", "/api/v1/subscriptions/bavaria", token, wanted).await.status, 403);
    }
    served.stop.send(()).unwrap();
    served.server.await.unwrap().unwrap();
    let seen = keeper.await.unwrap();
    assert_eq!(seen.len(), 11, "what was refused at the door is not call: {seen:?}");
    assert_eq!((seen[0].1.as_str(), seen[3].1.as_str()), ("a official", "a operator"));
}

#[tokio::test]
async fn an_alert_says_what_was_usual_before_it_where_there_was_enough() {
    let mut rows = filled();
    let opened_at = MONDAY - 2 * DAY;
    rows.push(Record::Alert(Alert {
        topic: "flu".to_owned(),
        region: "DE-BY".to_owned(),
        opened_at,
        ..alert("grown")
    }));
    rows.push(Record::Alert(Alert {
        topic: "flu".to_owned(),
        region: "FR".to_owned(),
        opened_at,
        ..alert("new")
    }));
    for hour in -24 * 20..0 {
        rows.push(Record::Count(Count {
            posts: 2,
            authors: 2,
            authors_self: 1,
            posts_news: u32::from(hour % 2 == 0),
            total_posts: 500,
            version: Version(9),
            ..count("flu", "DE-BY", hour, 9)
        }));
        rows.push(Record::Total(record::Total {
            region: "DE-BY".to_owned(),
            pane_start: MONDAY + hour * HOUR,
            pane_length: HOUR,
            posts: 500,
            last: true,
            version: Version(9),
            sampled: 500,
        }));
    }
    let served = Served::start(&rows, |_| {}).await;
    let usual = |id: &'static str| {
        let served = &served;
        async move { served.get(&format!("/api/v1/alerts/{id}")).await.json()["usual"].clone() }
    };
    assert_eq!(
        usual("grown").await,
        serde_json::json!({ "first_person": 0.5, "posts_per_million": 4000.0, "news": 0.25 })
    );
    assert_eq!(
        usual("new").await,
        serde_json::json!({ "first_person": null, "posts_per_million": null, "news": null })
    );
    served.stop.send(()).unwrap();
    served.server.await.unwrap().unwrap();
}

#[tokio::test]
async fn feeds_are_given_to_whom_they_are_for_and_lead_nowhere_else() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("open.atom", "<feed>for all</feed>");
    write("closed.atom", "<feed>for some</feed>");
    write("open-3f2a-0.cap.xml", "<alert>for all</alert>");
    write("secret.txt", "for all");
    let feeds = crate::Feeds {
        folder: folder.path().to_owned(),
        is_public: |text| text.contains("for all"),
    };
    let served = Served::start(&filled(), |web| {
        tokens(web);
        web.feeds = Some(feeds);
    })
    .await;
    let open = served.get("/feeds/open.atom").await;
    assert_eq!(
        (open.status, open.header("content-type"), open.body.as_str()),
        (200, Some("application/atom+xml; charset=utf-8"), "<feed>for all</feed>")
    );
    assert_eq!(
        served.get("/feeds/open-3f2a-0.cap.xml").await.header("content-type"),
        Some("application/cap+xml; charset=utf-8")
    );
    assert_eq!(served.get("/feeds/closed.atom").await.status, 401);
    assert_eq!(served.with_token("GET", "/feeds/closed.atom", "viewer", "").await.status, 200);
    for path in [
        "secret.txt",
        "none.atom",
        "..%2Fsecret.atom",
        "%2e%2e%2fopen.atom",
        "open.atom%00",
        ".atom",
        "a/b.atom",
        "OPEN..atom",
    ] {
        assert_eq!(served.get(&format!("/feeds/{path}")).await.status, 404, "{path}");
    }
    served.stop.send(()).unwrap();
    served.server.await.unwrap().unwrap();
}

#[tokio::test]
async fn pages_of_alerts_and_tables_come_whole() {
    let hostile = Alert { topic_name: "=cmd()".to_owned(), ..alert("odd") };
    let mut rows: Vec<Record> = (0..7)
        .map(|number| {
            Record::Alert(Alert { fired_at: MONDAY + number % 3, ..alert(&format!("a{number}")) })
        })
        .collect();
    rows.push(Record::Alert(hostile));
    rows.extend((0..3_000).map(|hour| Record::Count(count("flu", "DE", hour, 1))));
    let served = Served::start(&rows, |_| {}).await;
    let mut ids = Vec::new();
    let mut next = Some(String::new());
    while let Some(after) = next {
        let cursor = if after.is_empty() { String::new() } else { format!("&after={after}") };
        let page = served.get(&format!("/api/v1/alerts?limit=3{cursor}")).await.json();
        ids.extend(
            page["alerts"]
                .as_array()
                .unwrap()
                .iter()
                .map(|alert| alert["id"].as_str().unwrap().to_owned()),
        );
        next = page["next"].as_str().map(str::to_owned);
    }
    let mut sorted = ids.clone();
    sorted.sort();
    sorted.dedup();
    assert_eq!((ids.len(), sorted.len()), (8, 8));
    assert_eq!(served.get("/api/v1/alerts?after=nonsense").await.status, 400);
    let table = served.get("/api/v1/export/alerts").await;
    assert!(table.body.contains("'=cmd()") && !table.body.contains(",=cmd()"), "{}", table.body);
    assert_eq!(table.header("content-disposition"), Some("attachment; filename=\"alerts.csv\""));
    let counts = served.get("/api/v1/export/counts?format=ndjson").await;
    assert_eq!(counts.body.matches("\"topic\":\"flu\"").count(), 3_000);
    for path in [
        "/api/v1/export/sqlite_schema",
        "/api/v1/export/..%2fsecret",
        "/api/v1/export/counts?format=xlsx",
        "/map/..%2findex.html",
        "/map/DEU.json",
        "/vendor/../Cargo.toml",
    ] {
        assert!([400, 404].contains(&served.get(path).await.status), "{path}");
    }
}

#[tokio::test]
async fn an_address_that_asks_too_much_waits() {
    let served = Served::start(&[], |web| web.requests_a_minute = 20).await;
    let mut statuses = Vec::new();
    for _ in 0..12 {
        statuses.push(served.get("/api/v1/session").await.status);
    }
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 10, "{statuses:?}");
    let refused = served.get("/api/v1/session").await;
    assert_eq!(
        (refused.status, refused.header("content-type")),
        (429, Some("application/problem+json"))
    );
    assert!(refused.header("retry-after").unwrap().parse::<u64>().unwrap() >= 1);
    assert_eq!(served.get("/healthz").await.status, 200, "whether it lives may always be call");
}

/// Two hundred who listen, and one of them reads nothing: each of the others receives a new alert.
/// What they cost is measured by `examples/bench_answers.rs`, in a process of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_streams_hear_of_a_new_alert() {
    const STREAMS: usize = 200;
    let folder = tempfile::tempdir().unwrap();
    let warehouse = Arc::new(Local::open(&folder.path().join("warehouse.sqlite")).unwrap());
    let mut web = Web::new(warehouse.clone());
    web.access.anonymous = Role::Viewer;
    web.connections_per_address = STREAMS + 1;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let server = tokio::spawn(serve(listener, web, async {
        let _ = stopped.await;
    }));
    let mut streams = Vec::new();
    for _ in 0..STREAMS {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
        let mut head = [0; 12];
        stream.read_exact(&mut head).await.unwrap();
        assert_eq!(&head, b"HTTP/1.1 200");
        streams.push(stream);
    }
    warehouse.write(&[Record::Alert(alert("new"))], &[]).unwrap();
    for stream in streams.iter_mut().skip(1) {
        let mut text = String::new();
        let mut buffer = [0; 1_024];
        while !text.contains("event: alert") {
            let read =
                tokio::time::timeout(std::time::Duration::from_secs(20), stream.read(&mut buffer))
                    .await
                    .expect("in time")
                    .unwrap();
            assert!(read > 0, "{text}");
            text.push_str(&String::from_utf8_lossy(&buffer[..read]));
        }
        assert!(text.contains("\"id\":\"new\""), "{text}");
        assert!(text.contains("x-accel-buffering: no\r\n"), "{text}");
    }
    stop.send(()).unwrap();
    server.await.unwrap().unwrap();
}

/// Who sends a byte a second, or reads nothing, keeps nobody else waiting.
#[tokio::test]
async fn slow_clients_hold_nobody_up() {
    let rows: Vec<Record> =
        (0..20_000).map(|hour| Record::Count(count("flu", "DE", hour, 1))).collect();
    let served = Served::start(&rows, |_| {}).await;
    let mut slow = Vec::new();
    for _ in 0..40 {
        let mut stream = TcpStream::connect(&served.address).await.unwrap();
        stream
            .write_all(b"GET /api/v1/export/counts HTTP/1.1\r\nHost: localhost\r\n\r\n")
            .await
            .unwrap();
        slow.push(stream);
        let mut stream = TcpStream::connect(&served.address).await.unwrap();
        stream
            .write_all(
                b"POST /api/v1/session HTTP/1.1\r\nHost: localhost\r\nContent-Type: \
                    application/json\r\nContent-Length: 9000\r\n\r\n{",
            )
            .await
            .unwrap();
        slow.push(stream);
    }
    let began = std::time::Instant::now();
    assert_eq!(served.get("/api/v1/status").await.status, 200);
    assert_eq!(served.get("/").await.status, 200);
    assert!(began.elapsed() < std::time::Duration::from_secs(5), "{:?}", began.elapsed());
}

impl Served {
    /// From another address of this machine.
    async fn get_from(&self, from: [u8; 4], path: &str, headers: &str) -> Option<Answer> {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind((from, 0).into()).unwrap();
        let mut stream = socket.connect(self.address.parse().unwrap()).await.ok()?;
        stream
            .write_all(
                format!(
                    "GET {path} HTTP/1.1\r\nHost: localhost\r\n{headers}Connection: close\r\n\r\n"
                )
                .as_bytes(),
            )
            .await
            .ok()?;
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await.ok()?;
        let text = String::from_utf8(bytes).unwrap();
        let (head, body) = text.split_once("\r\n\r\n")?;
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok())?;
        Some(Answer { status, head: head.to_owned(), body: body.to_owned() })
    }
}

#[tokio::test]
async fn dripping_heads_from_one_address_hold_up_no_other() {
    let served = Served::start(&filled(), |web| web.connections_per_address = 32).await;
    let mut dripping = Vec::new();
    for _ in 0..512 {
        let mut stream = TcpStream::connect(&served.address).await.unwrap();
        let _ = stream.write_all(b"GET / HTTP/1.1\r\nX: ").await;
        dripping.push(stream);
    }
    for path in ["/healthz", "/readyz", "/", "/api/v1/status"] {
        let began = std::time::Instant::now();
        let answer = served.get_from([127, 0, 0, 2], path, "").await.expect("an answer");
        assert_eq!(answer.status, 200, "{path}");
        assert!(
            began.elapsed() < std::time::Duration::from_secs(2),
            "{path}: {:?}",
            began.elapsed()
        );
    }
    let text = served.get_from([127, 0, 0, 2], "/metrics", "").await.unwrap().body;
    assert!(
        text.contains("pumphandle_http_connections_refused_total{reason=\"address\"}"),
        "{text}"
    );
    // The same address has places for health, which a head that doesn't come holds for 2 s only.
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(6);
    while served
        .get_from([127, 0, 0, 1], "/healthz", "")
        .await
        .is_none_or(|answer| answer.status != 200)
    {
        assert!(std::time::Instant::now() < deadline, "no answer to the same address");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert!(
        served.get_from([127, 0, 0, 1], "/", "").await.is_none_or(|answer| answer.status == 503)
    );
}

#[tokio::test]
async fn a_head_and_a_body_must_come_in_time() {
    let served = Served::start(&filled(), |web| {
        web.head_max = std::time::Duration::from_millis(300);
        web.body_max = std::time::Duration::from_millis(300);
    })
    .await;
    let open = async |request: &'static [u8]| {
        let mut stream = TcpStream::connect(&served.address).await.unwrap();
        stream.write_all(request).await.unwrap();
        stream
    };
    let mut idle = open(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    let mut head = open(b"GET /healthz HTTP/1.1\r\nX: ").await;
    let mut silent = open(b"").await;
    let mut body = open(
        b"POST /api/v1/session HTTP/1.1\r\nHost: localhost\r\nContent-Type: \
            application/json\r\nContent-Length: 90\r\n\r\n{",
    )
    .await;
    let mut text = [0; 4_096];
    let read = idle.read(&mut text).await.unwrap();
    assert!(String::from_utf8_lossy(&text[..read]).starts_with("HTTP/1.1 200"));
    assert_eq!(served.get("/healthz").await.status, 200);
    for stream in [&mut idle, &mut head, &mut silent, &mut body] {
        let mut answer = Vec::new();
        // Far beyond every limit.
        let ended = tokio::time::timeout(
            std::time::Duration::from_secs(9),
            stream.read_to_end(&mut answer),
        )
        .await;
        ended.expect("closed in time").unwrap();
        let answer = String::from_utf8_lossy(&answer).into_owned();
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408"), "{answer}");
    }
}

#[tokio::test]
async fn clients_behind_a_trusted_proxy_have_limits_of_their_own() {
    let limited = |trusted: &'static [&'static str]| {
        Served::start(&[], move |web| {
            web.requests_a_minute = 20;
            web.access.proxies = trusted.iter().map(|address| address.parse().unwrap()).collect();
        })
    };
    let ask = async |served: &Served, forwarded: &str| {
        served
            .get_from([127, 0, 0, 3], "/api/v1/session", forwarded)
            .await
            .map_or(0, |answer| answer.status)
    };
    let served = limited(&["127.0.0.3", "10.0.0.7"]).await;
    for header in [
        "X-Forwarded-For: 192.0.2.1\r\n",
        "X-Forwarded-For: 1.1.1.1, 192.0.2.2\r\n",
        "X-Forwarded-For: 192.0.2.3:4711, 10.0.0.7\r\n",
        "X-Forwarded-For: [2001:db8::1]:4711\r\n",
        "Forwarded: for=\"[2001:db8:0:9::1]:47\";proto=https\r\n",
    ] {
        for _ in 0..10 {
            assert_eq!(ask(&served, header).await, 200, "{header}");
        }
        assert_eq!(ask(&served, header).await, 429, "{header}");
    }
    // What a client writes before the proxy's own word makes no new bucket.
    assert_eq!(ask(&served, "X-Forwarded-For: 7.7.7.7, 192.0.2.1\r\n").await, 429);
    // From an address that isn't trusted it is nothing.
    let served = limited(&[]).await;
    let statuses: Vec<u16> = {
        let mut statuses = Vec::new();
        for number in 0..11 {
            statuses.push(ask(&served, &format!("X-Forwarded-For: 192.0.2.{number}\r\n")).await);
        }
        statuses
    };
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 10, "{statuses:?}");
}

#[tokio::test]
async fn requests_beyond_the_bound_are_told_to_come_back() {
    let (changes, mut call) = tokio::sync::mpsc::channel(8);
    let served = Served::start(&filled(), |web| {
        web.requests_at_once = 1;
        web.changes = Some(changes);
    })
    .await;
    let body = "{\"after\":1,\"state\":\"triaged\"}";
    let request = format!(
        "POST /api/v1/alerts/flu-by/changes HTTP/1.1\r\nHost: localhost\r\nContent-Type: \
            application/json\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    let mut held = TcpStream::connect(&served.address).await.unwrap();
    held.write_all(request.as_bytes()).await.unwrap();
    let change: Change = call.recv().await.unwrap();
    let refused = served.get("/api/v1/status").await;
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("1")));
    assert!(refused.body.contains("too many requests at once"), "{}", refused.body);
    for path in ["/healthz", "/readyz", "/metrics", "/"] {
        assert_eq!(served.get(path).await.status, 200, "{path}");
    }
    drop(change);
    let mut answer = Vec::new();
    held.read_to_end(&mut answer).await.unwrap();
    assert_eq!(served.get("/api/v1/status").await.status, 200);
    assert!(
        served.get("/metrics").await.body.contains("pumphandle_http_requests_refused_total 1\n")
    );
}

#[tokio::test]
async fn a_query_ends_at_its_deadline_and_frees_its_permit() {
    let rows: Vec<Record> =
        (0..20_000).map(|hour| Record::Count(count("flu", "DE", hour, 1))).collect();
    let served =
        Served::start(&rows, |web| web.query_max = std::time::Duration::from_nanos(1)).await;
    for _ in 0..12 {
        let answer = served.get("/api/v1/alerts").await;
        assert_eq!(answer.status, 503, "{}", answer.body);
        assert!(answer.body.contains("the query took too long"), "{}", answer.body);
    }
    assert!(
        served
            .get("/metrics")
            .await
            .body
            .contains("pumphandle_http_queries_interrupted_total 12\n")
    );
    assert_eq!(served.get("/readyz").await.status, 200, "it has a time and a permit of its own");
}

/// A client that reads nothing of an export holds no query: everything can be written to the main
/// file meanwhile.
#[tokio::test]
async fn an_export_that_nobody_reads_holds_no_read_transaction() {
    let folder = tempfile::tempdir().unwrap();
    let warehouse = Arc::new(Local::open(&folder.path().join("warehouse.sqlite")).unwrap());
    let rows: Vec<Record> =
        (0..40_000).map(|hour| Record::Count(count("flu", "DE", hour, 1))).collect();
    warehouse.write(&rows, &[]).unwrap();
    let served = Served::start(&[], |web| {
        web.warehouse = warehouse.clone();
        web.spool = folder.path().to_owned();
    })
    .await;
    let mut slow = TcpStream::connect(&served.address).await.unwrap();
    slow.write_all(
        b"GET /api/v1/export/counts HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    )
    .await
    .unwrap();
    let mut head = [0; 400];
    slow.read_exact(&mut head).await.unwrap();
    assert!(String::from_utf8_lossy(&head).contains("content-length: "));
    warehouse.write(&[Record::Count(count("flu", "FR", 0, 1))], &[]).unwrap();
    let other = rusqlite::Connection::open(folder.path().join("warehouse.sqlite")).unwrap();
    let busy: i64 =
        other.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0)).unwrap();
    assert_eq!(busy, 0, "a reader pins the log");
    let names: Vec<_> =
        std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(names.iter().all(|name| !name.to_string_lossy().contains("export")), "{names:?}");
    let mut rest = Vec::new();
    slow.read_to_end(&mut rest).await.unwrap();
    let lines = String::from_utf8_lossy(&rest).matches("\nflu,").count()
        + String::from_utf8_lossy(&head).matches("\nflu,").count();
    assert!((39_998..=40_000).contains(&lines), "{lines}");
}

#[tokio::test]
async fn an_unknown_topic_or_region_is_not_found() {
    let served = Served::start(&filled(), |web| {
        web.suggest_topic = Arc::new(|written| (written == "grippe").then(|| "flu".to_owned()));
        web.suggest_region = Arc::new(|written| (written == "Bavaria").then(|| "DE-BY".to_owned()));
    })
    .await;
    for (path, says) in [
        ("/api/v1/series?topic=nope&region=DE", "there is no topic `nope`"),
        (
            "/api/v1/series?topic=grippe&region=DE",
            "there is no topic `grippe`; did you mean `flu`?",
        ),
        ("/api/v1/series?topic=flu&region=XX", "there is no region `XX`"),
        (
            "/api/v1/why-not?topic=flu&region=Bavaria",
            "there is no region `Bavaria`; did you mean `DE-BY`?",
        ),
        ("/api/v1/alerts?region=DE-XX", "no region `DE-XX`"),
        ("/api/v1/alerts?topic=nope", "no topic `nope`"),
        ("/api/v1/verdicts?topic=nope", "no topic"),
        ("/api/v1/map?topic=flu&under=QQ", "no region `QQ`"),
        ("/api/v1/figures?region=lang:qq", "no region `lang:qq`"),
        ("/api/v1/references?region=EL", "no region `EL`"),
        ("/api/v1/public?region=Nowhere", "no region"),
        ("/api/v1/public?topic=nope", "no topic"),
    ] {
        let answer = served.get(path).await;
        assert_eq!(
            (answer.status, answer.header("content-type")),
            (404, Some("application/problem+json")),
            "{path}: {}",
            answer.body
        );
        assert!(
            answer.json()["detail"].as_str().unwrap().contains(says),
            "{path}: {}",
            answer.body
        );
    }
    for path in [
        "/api/v1/series?topic=flu&region=DE",
        "/api/v1/series?topic=flu&region=de-by",
        "/api/v1/series?topic=flu&region=001",
        "/api/v1/series?topic=flu&region=ZZ",
        "/api/v1/alerts?region=lang:de",
        "/api/v1/map?topic=flu&under=lang",
        "/api/v1/public?topic=flu",
    ] {
        assert_eq!(served.get(path).await.status, 200, "{path}");
    }
}

#[tokio::test]
async fn the_public_is_not_told_of_topics_without_published_numbers() {
    let quiet = TopicSetting {
        id: "quiet".to_owned(),
        name: "A quiet illness".to_owned(),
        kind: record::kind::Kind::Sensitive,
        pane: 7 * DAY,
        windows: vec![7 * DAY],
    };
    let served = Served::start(
        &[Record::Settings(Settings { topics: vec![quiet], ..Settings::default() })],
        |web| {
            web.access.anonymous = Role::Public;
        },
    )
    .await;
    let [known, unknown] = [
        served.get("/api/v1/public?topic=quiet").await,
        served.get("/api/v1/public?topic=nope").await,
    ];
    assert_eq!((known.status, known.body), (404, unknown.body));
}

#[tokio::test]
async fn dates_are_instants_at_midnight() {
    let served = Served::start(&filled(), |_| {}).await;
    let series = |from: &str| format!("/api/v1/series?topic=flu&region=DE-BY&from={from}");
    let [date, instant] = [
        served.get(&series("2026-01-02")).await,
        served.get(&series("2026-01-02T00:00:00Z")).await,
    ];
    assert_eq!((date.status, date.body), (200, instant.body));
    assert_eq!(served.get("/api/v1/export/v_counts?from=2026-01-05").await.status, 200);
    for wrong in ["2026-02-30", "02.01.2026", "1/2/2026", "2026-1-2"] {
        let answer = served.get(&series(wrong)).await;
        assert_eq!(answer.status, 400, "{wrong}");
        assert!(
            answer.body.contains("`from` is not a date, a date and time"),
            "{wrong}: {}",
            answer.body
        );
    }
}

#[test]
fn parameters_are_described_as_they_are_checked() {
    let description = routes::description("0");
    let of = |path: &str, name: &str| {
        let parameters = description["paths"][path]["get"]["parameters"].as_array().unwrap();
        parameters.iter().find(|one| one["name"] == name).unwrap()["schema"].clone()
    };
    assert_eq!(of("/api/v1/series", "topic")["minLength"], 1);
    assert_eq!(of("/api/v1/series", "region")["minLength"], 1);
    assert_eq!(of("/api/v1/series", "seconds")["type"], "integer");
    assert_eq!(of("/api/v1/series", "every")["minimum"], 1);
    assert_eq!(
        of("/api/v1/alerts", "limit"),
        serde_json::json!({ "type": "integer", "format": "int64", "minimum": 1, "maximum": 500 })
    );
    assert_eq!(
        of("/api/v1/regions", "language")["enum"],
        serde_json::json!(["en", "fr", "es", "de"])
    );
    assert_eq!(of("/api/v1/alerts", "state")["enum"], serde_json::json!(["open", "ended", "all"]));
}
