use std::collections::{BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::sync::Mutex;

use futures_util::{SinkExt, StreamExt};
use proptest::prelude::*;
use record::RejectReason;
use record::time::MINUTE;
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::accept_hdr_async;
use tokio_tungstenite::tungstenite::Message as Frame;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};

use super::address::Resume;
use super::retry::Retry;
use super::*;
use crate::Message;
use crate::clock::Now;
use crate::intake::{self, Intake, IntakeSettings, Outcome};
use crate::line::Limits;

/// 2026-01-05T09:00:00Z.
const NINE: Micros = 1_767_603_600 * SECOND;
const LONG: Duration = Duration::from_secs(20);

/// What the server does with one connection after another; the last one repeats for ever.
#[derive(Clone)]
enum Does {
    /// Sends so many events from the cursor on, then breaks off without a word.
    Cut(usize),
    /// Sends everything from the cursor on, then waits.
    Serve,
    /// Accepts and neither sends nor answers.
    Silent,
    Refuse(u16, &'static str),
    /// Sends these frames, then everything from the cursor on.
    Say(Vec<Frame>),
}

/// A Jetstream with these events, as (stamp, sequence, frame).
struct Server {
    address: SocketAddr,
    /// Requests of each connection.
    requests: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn start(events: Vec<(Micros, u64, String)>, does: Vec<Does>) -> Server {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = requests.clone();
        std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let listener = TcpListener::from_std(listener).unwrap();
                let mut does = VecDeque::from(does);
                let events = Arc::new(events);
                while let Ok((stream, _)) = listener.accept().await {
                    let now =
                        if does.len() > 1 { does.pop_front().unwrap() } else { does[0].clone() };
                    tokio::spawn(serve(stream, now, events.clone(), seen.clone()));
                }
            });
        });
        Server { address, requests }
    }

    fn url(&self, path: &str) -> String {
        format!("ws://{}{path}", self.address)
    }

    fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

#[expect(clippy::result_large_err, reason = "the library's signature")]
async fn serve(
    stream: TcpStream,
    does: Does,
    events: Arc<Vec<(Micros, u64, String)>>,
    requests: Arc<Mutex<Vec<String>>>,
) {
    let mut cursor = u64::MAX;
    let refusal = match &does {
        Does::Refuse(status, body) => Some((*status, *body)),
        _ => None,
    };
    let accepted = accept_hdr_async(stream, |request: &Request, response: Response| {
        let query = request.uri().query().unwrap_or("").to_owned();
        if let Some(number) = query.split('&').find_map(|part| part.strip_prefix("cursor=")) {
            cursor = number.parse().unwrap();
        }
        requests.lock().unwrap().push(request.uri().to_string());
        match refusal {
            Some((status, body)) => {
                let mut response = ErrorResponse::new(Some(body.to_owned()));
                *response.status_mut() = status.try_into().unwrap();
                Err(response)
            }
            None => Ok(response),
        }
    });
    let Ok(mut socket) = accepted.await else { return };
    // As the real one tells numbers from times. Without a cursor everything is sent: tests have no
    // "now".
    let reached = |stamp: Micros, sequence: u64| match cursor {
        u64::MAX => true,
        number if number < 1_000_000_000_000_000 => sequence >= number,
        time => stamp >= i64::try_from(time).unwrap(),
    };
    let frames = events
        .iter()
        .filter(|(stamp, sequence, _)| reached(*stamp, *sequence))
        .map(|(_, _, frame)| Frame::text(frame.clone()));
    let (before, most) = match does {
        Does::Cut(most) => (vec![], most),
        Does::Say(frames) => (frames, usize::MAX),
        Does::Silent => return std::future::pending().await,
        Does::Serve | Does::Refuse(..) => (vec![], usize::MAX),
    };
    for frame in before.into_iter().chain(frames).take(most) {
        if socket.send(frame).await.is_err() {
            return;
        }
    }
    if most == usize::MAX {
        // Answers pings by being read.
        while let Some(Ok(_)) = socket.next().await {}
    }
}

fn first(number: u64) -> (Micros, u64, String) {
    let stamp = NINE + i64::try_from(number).unwrap() * SECOND / 10;
    let body = format!(r#""createdAt":"{}","text":"post {number}""#, record::time::display(stamp));
    let frame = format!(
        r#"{{"did":"did:plc:{}","time_us":{stamp},"kind":"commit","commit":{{"operation":"create","collection":"app.bsky.feed.post","rkey":"k{number}","record":{{{body}}}}}}}"#,
        number % 7
    );
    (stamp, number, frame)
}

fn second(number: u64) -> (Micros, u64, String) {
    let stamp = NINE + i64::try_from(number).unwrap() * SECOND / 10;
    let time = record::time::display(stamp);
    let frame = format!(
        r#"{{"$type":"message","payload":{{"$type":"network.bsky.jetstream.subscribeEvents#commit","seq":{number},"did":"d","time":"{time}","operation":"create","collection":"app.bsky.feed.post","rkey":"k{number}","record":{{"createdAt":"{time}","text":"x"}}}}}}"#
    );
    (stamp, number, frame)
}

fn settings(urls: Vec<String>) -> JetstreamSettings {
    JetstreamSettings {
        back_off_first: Duration::from_millis(1),
        queue: 8,
        ..JetstreamSettings::new("bluesky", urls)
    }
}

/// A wall clock, and a monotonic one that is still.
fn world(clock: fn() -> Micros) -> World {
    World {
        clock: Clock::of(move || Now { wall: clock(), monotonic: 0 }),
        random: Box::new(|| 0.0),
    }
}

fn go(settings: JetstreamSettings, from: Option<Cursor>) -> Feed {
    go_with(settings, from, Limits::default())
}

fn go_with(settings: JetstreamSettings, from: Option<Cursor>, limits: Limits) -> Feed {
    let intake = Intake::new(IntakeSettings { limits, ..intake::tests::settings() });
    start(settings, from, intake, world(|| NINE + MINUTE)).unwrap()
}

#[test]
fn posts_of_a_feed_whose_profiles_are_asked_come_again_with_their_place() {
    use crate::intake::ProfileRules;
    use crate::profiles::tests as profiles;
    let posts = 40;
    let server = Server::start((0..posts).map(first).collect(), vec![Does::Cut(25), Does::Serve]);
    // The first answer is a failure: nobody is forgotten for that.
    let view = profiles::Server::start(vec![
        profiles::Does::Refuse("503 Service Unavailable"),
        profiles::Does::Answer,
    ]);
    let settings = JetstreamSettings {
        profiles: Some(view.settings()),
        ..settings(vec![server.url("/subscribe")])
    };
    let rules = ProfileRules { one_author_in: 1, ..ProfileRules::default() };
    let intake = Intake::new(IntakeSettings { profiles: Some(rules), ..intake::tests::settings() });
    let feed = start(settings, None, intake, world(|| NINE + MINUTE)).unwrap();
    // What is known of each post at last: it may be sent more than once.
    let mut known: std::collections::BTreeMap<record::PostId, record::Post> =
        std::collections::BTreeMap::new();
    let mut failures = 0;
    until(&feed, |message| {
        match message {
            Message::Line { outcome: Outcome::Post { post, .. }, .. } => {
                let place = known.entry(post.id).or_insert_with(|| post.clone());
                if place.flags.pending {
                    *place = post.clone();
                }
            }
            Message::Placed { posts, failed, .. } => {
                failures += usize::from(failed.is_some());
                for (_, post) in posts {
                    assert!(known.contains_key(&post.id), "a place comes after its post");
                    known.insert(post.id, post.clone());
                }
            }
            _ => {}
        }
        known.len() as u64 == posts && known.values().all(|post| !post.flags.pending)
    });
    assert_eq!(failures, 1);
    assert!(
        known
            .values()
            .all(|post| post.path() == "GB/GB-ENG" && post.flags.by_profile && post.flags.sampled)
    );
    // Seven authors, each answered once.
    let mut answered: Vec<String> = view.requests()[1..].concat();
    answered.sort();
    assert_eq!(answered, (0..7).map(|n| format!("did:plc:{n}")).collect::<Vec<_>>());
}

/// Messages until one is the last that the test needs.
fn until(feed: &Feed, mut last: impl FnMut(&Message) -> bool) -> Vec<Message> {
    let mut messages = Vec::new();
    loop {
        let message =
            feed.messages().recv_timeout(LONG).unwrap_or_else(|_| panic!("after {messages:#?}"));
        let done = last(&message);
        messages.push(message);
        if done {
            return messages;
        }
    }
}

/// Posts' stamps, in tenths of a second after nine.
fn stamps(messages: &[Message]) -> Vec<i64> {
    let arrivals = messages.iter().filter_map(|message| match message {
        Message::Line { outcome: Outcome::Post { arrival, .. }, .. } => {
            Some((arrival - NINE) / (SECOND / 10))
        }
        _ => None,
    });
    arrivals.collect()
}

fn is_stamp(message: &Message, stamp: i64) -> bool {
    stamps(std::slice::from_ref(message)) == [stamp]
}

fn why(message: &Message) -> &str {
    match message {
        Message::Disconnected { why, .. } => why,
        _ => "",
    }
}

fn at(host: &str, sequence: Option<u64>, tenths: i64) -> Cursor {
    Cursor { host: host.into(), sequence, stamp: NINE + tenths * SECOND / 10 }
}

#[test]
fn ten_cuts_lose_nothing() {
    let does = [vec![Does::Cut(70); 10], vec![Does::Serve]].concat();
    let server = Server::start((0..500).map(first).collect(), does);
    let feed = go(settings(vec![server.url("")]), None);
    let messages = until(&feed, |message| is_stamp(message, 499));
    let seen = stamps(&messages);
    assert_eq!(seen.iter().copied().collect::<BTreeSet<_>>(), (0..500).collect());
    let connected =
        messages.iter().filter(|message| matches!(message, Message::Connected { .. })).count();
    assert_eq!((connected, server.requests().len()), (11, 11));
    assert!(server.requests()[0].starts_with("/subscribe?wantedCollections=app.bsky.feed.post"));
    // Each time a little before the last line.
    assert_eq!(
        server.requests()[1].rsplit('=').next().unwrap(),
        (NINE + 69 * SECOND / 10 - 5 * SECOND).to_string()
    );
    assert!(!messages.iter().any(|message| matches!(message, Message::Gap { .. })));
    // Every cursor can be written down, and leads to what follows.
    let Some(Message::Line { cursor: crate::Cursor::Jetstream(cursor), .. }) =
        messages.iter().rev().find(|message| is_stamp(message, 300))
    else {
        panic!()
    };
    drop(feed);
    let feed = go(
        JetstreamSettings { rewind: 0, ..settings(vec![server.url("")]) },
        Some(cursor.to_string().parse().unwrap()),
    );
    let messages = until(&feed, |message| is_stamp(message, 499));
    assert_eq!(stamps(&messages), (300..500).collect::<Vec<_>>());
    assert_eq!(
        messages[0],
        Message::Connected {
            at: Now { wall: NINE + MINUTE, monotonic: 0 },
            resumed: Some(NINE + 30 * SECOND)
        }
    );
}

#[test]
fn the_second_wire_resumes_by_number_on_the_same_host_and_by_time_on_another() {
    let server = Server::start((0..90).map(second).collect(), vec![Does::Cut(20), Does::Serve]);
    let path = "/xrpc/network.bsky.jetstream.subscribeEvents";
    let feed = go(settings(vec![server.url(path)]), Some(at("elsewhere", Some(5), 100)));
    let messages = until(&feed, |message| is_stamp(message, 89));
    assert_eq!(
        stamps(&messages),
        (50..70).chain(69..90).collect::<Vec<_>>(),
        "the number is inclusive"
    );
    let requests = server.requests();
    assert_eq!(
        requests[0],
        format!("{path}?collections=app.bsky.feed.post&cursor={}", NINE + 5 * SECOND)
    );
    assert_eq!(requests[1], format!("{path}?collections=app.bsky.feed.post&cursor=69"));
}

#[test]
fn a_server_that_falls_silent_is_left_for_the_next() {
    let silent = Server::start(vec![], vec![Does::Silent]);
    let server = Server::start((0..3).map(first).collect(), vec![Does::Serve]);
    let settings = JetstreamSettings {
        idle: Duration::from_millis(120),
        ping_every: Duration::from_millis(40),
        ..settings(vec![silent.url("/subscribe"), server.url("/subscribe")])
    };
    let feed = go(settings, None);
    let messages = until(&feed, |message| is_stamp(message, 2));
    assert!(
        messages.iter().any(|message| why(message).starts_with("no sign of life from `127.0.0.1:")),
        "{messages:#?}"
    );
    // The other one has no more lines either, but answers: it is retained, and proven alive.
    let later = until(&feed, {
        let mut alive = 0;
        move |message| {
            alive += u32::from(matches!(message, Message::Alive { .. }));
            alive == 6
        }
    });
    assert!(later.iter().all(|message| matches!(message, Message::Alive { .. })), "{later:#?}");
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn what_a_server_refuses_with_is_told() {
    let does = vec![
        Does::Refuse(400, "invalid wantedCollections"),
        Does::Refuse(503, "bootstrap in progress\u{7}"),
        Does::Serve,
    ];
    let server = Server::start((0..1).map(first).collect(), does);
    let feed = go(settings(vec![server.url("")]), None);
    let messages = until(&feed, |message| is_stamp(message, 0));
    let host = server.address;
    assert_eq!(
        why(&messages[0]),
        format!("`{host}` refuses with 400 Bad Request: invalid wantedCollections")
    );
    assert_eq!(
        why(&messages[1]),
        format!("`{host}` refuses with 503 Service Unavailable: bootstrap in progress")
    );
}

#[test]
fn a_cursor_that_is_too_old_is_a_gap_and_the_feed_goes_on_from_the_oldest() {
    let too_old = Does::Refuse(400, r#"{"error":"CursorTooOld","message":"floor is 40"}"#);
    let info = r#"{"$type":"message","payload":{"$type":"network.bsky.jetstream.subscribeEvents#info","name":"OutdatedCursor"}}"#;
    let server = Server::start(
        (40..60).map(second).collect(),
        vec![too_old, Does::Say(vec![Frame::text(info)])],
    );
    let feed = go(
        settings(vec![server.url("/x/subscribeEvents")]),
        Some(at(&server.address.to_string(), Some(5), 5)),
    );
    let messages = until(&feed, |message| is_stamp(message, 59));
    assert!(why(&messages[0]).contains("CursorTooOld"));
    let gaps = messages.iter().filter_map(|message| match message {
        Message::Gap { from, to, .. } => {
            Some(((from - NINE) / (SECOND / 10), (to - NINE) / (SECOND / 10)))
        }
        _ => None,
    });
    assert_eq!(gaps.collect::<Vec<_>>(), [(5, 40)]);
    assert_eq!(stamps(&messages), (40..60).collect::<Vec<_>>());
    assert!(server.requests()[0].ends_with("cursor=5"));
    assert!(server.requests()[1].ends_with(&format!("cursor={}", NINE + SECOND / 2 - 5 * SECOND)));
}

#[test]
fn a_number_of_another_archive_is_replaced_by_the_time() {
    let info = r#"{"$type":"message","payload":{"$type":"network.bsky.jetstream.subscribeEvents#info","name":"FutureCursor"}}"#;
    let server = Server::start(
        (0..120).map(second).collect(),
        vec![Does::Say(vec![Frame::text(info)]), Does::Serve],
    );
    let feed = go(
        settings(vec![server.url("/subscribeEvents")]),
        Some(at(&server.address.to_string(), Some(999), 100)),
    );
    let messages = until(&feed, |message| is_stamp(message, 119));
    assert!(messages.iter().any(|message| why(message).contains("doesn't know the place")));
    assert_eq!(stamps(&messages), (50..120).collect::<Vec<_>>());
}

#[test]
fn a_silent_clamp_of_the_first_wire_is_seen_by_the_first_stamp() {
    let server = Server::start((0..5).map(first).collect(), vec![Does::Serve]);
    let feed = go(settings(vec![server.url("")]), Some(at("127.0.0.1:1", None, -36_000 * 10)));
    let messages = until(&feed, |message| is_stamp(message, 4));
    let Some(Message::Gap { from, to, why }) =
        messages.iter().find(|message| matches!(message, Message::Gap { .. }))
    else {
        panic!()
    };
    assert_eq!((*from, *to), (NINE - 36_000 * SECOND, NINE));
    assert_eq!(why, "the server left out what came before");
}

#[test]
fn frames_that_can_t_be_lines_are_set_aside_and_the_next_is_read() {
    let long = format!(r#"{{"did":"d","text":"{}"}}"#, "x".repeat(5_000));
    let does = vec![Does::Say(vec![
        Frame::text(long),
        Frame::text("{\"a\":".repeat(100_000)),
        Frame::binary(b"\xff\xfe".to_vec()),
        Frame::text("{"),
        Frame::text(""),
        Frame::text(
            r#"{"did":"d","time_us":1767603600000000,"kind":"commit","commit":{"operation":"create","collection":"app.bsky.feed.post","record":{}}}"#,
        ),
    ])];
    let server = Server::start((0..1).map(first).collect(), does);
    let feed = go_with(
        settings(vec![server.url("")]),
        None,
        Limits { line_bytes_max: 4_000, ..Limits::default() },
    );
    let messages = until(&feed, |message| is_stamp(message, 0));
    let reasons = messages.iter().filter_map(|message| match message {
        Message::Reject { reject, .. } => Some((reject.reason, reject.length)),
        _ => None,
    });
    let expected = [
        (RejectReason::Length, 5_021),
        (RejectReason::Length, 500_000),
        (RejectReason::Utf8, 2),
        (RejectReason::Json, 1),
        (RejectReason::Field, 132),
    ];
    assert_eq!(reasons.collect::<Vec<_>>(), expected);
}

#[test]
fn the_servers_own_end_of_the_stream_is_told() {
    let error = Frame::text(r#"{"$type":"error","error":"ConsumerTooSlow","message":"m"}"#);
    let server =
        Server::start((0..1).map(second).collect(), vec![Does::Say(vec![error]), Does::Serve]);
    let feed = go(settings(vec![server.url("/subscribeEvents")]), None);
    let messages = until(&feed, |message| is_stamp(message, 0));
    assert!(
        messages.iter().any(|message| why(message).ends_with("ends the stream: ConsumerTooSlow"))
    );
}

#[test]
fn a_server_without_tls_is_an_error_and_no_panic() {
    let server = Server::start(vec![], vec![Does::Serve]);
    let feed = go(settings(vec![server.url("").replace("ws://", "wss://")]), None);
    let messages = until(&feed, |message| matches!(message, Message::Disconnected { .. }));
    assert!(why(&messages[0]).starts_with("failed to connect to `127.0.0.1:"), "{messages:?}");
}

#[test]
fn a_feed_ends_when_asked_though_nobody_takes_its_messages() {
    let server = Server::start((0..500).map(first).collect(), vec![Does::Serve]);
    let feed = go(settings(vec![server.url("")]), None);
    until(&feed, |message| matches!(message, Message::Line { .. }));
    feed.stop();
    while feed.messages().recv_timeout(LONG).is_ok() {}
    drop(feed);
    // Also while it waits for a server that is not there.
    let feed = go(
        JetstreamSettings { back_off_first: LONG, ..settings(vec!["ws://127.0.0.1:1".to_owned()]) },
        None,
    );
    until(&feed, |message| matches!(message, Message::Disconnected { .. }));
    drop(feed);
}

#[test]
fn compressed_frames_are_read_with_the_dictionary_of_the_settings() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/data/feeds/dictionary.zstd");
    let bytes = std::fs::read(&path).unwrap();
    let id = Dictionary::read(&path).unwrap().id;
    let pack = |line: &str| {
        let mut encoder =
            zstd::stream::write::Encoder::with_dictionary(Vec::new(), 3, &bytes).unwrap();
        std::io::Write::write_all(&mut encoder, line.as_bytes()).unwrap();
        encoder.finish().unwrap()
    };
    let broken = Frame::binary(b"\x28\xb5\x2f\xfdno".to_vec());
    let bomb = Frame::binary(pack(&" ".repeat(3 << 20)));
    let does = vec![Does::Say(vec![
        broken,
        bomb,
        Frame::binary(pack(&second(0).2)),
        Frame::binary(pack(&second(1).2)),
    ])];
    let server = Server::start(vec![], does);
    let feed = go(
        JetstreamSettings {
            dictionary: Some(path),
            ..settings(vec![server.url("/subscribeEvents")])
        },
        None,
    );
    let messages = until(&feed, |message| is_stamp(message, 1));
    assert_eq!(stamps(&messages), [0, 1]);
    assert_eq!(
        messages.iter().filter(|message| matches!(message, Message::Reject { .. })).count(),
        2
    );
    assert!(server.requests()[0].ends_with(&format!("&zstdDictionary={id}")));
    let address = Address::parse("wss://h/subscribe", None).unwrap();
    assert!(
        address
            .url(None, &[POSTS.to_owned()], Some(&Dictionary { id, bytes: Arc::default() }))
            .ends_with("&compress=true")
    );
}

#[test]
fn addresses_are_told_by_their_path_and_wrong_ones_refused_at_once() {
    let address = |url: &str, wire| {
        Address::parse(url, wire).map(|address| {
            (address.url(Some(Resume::Time(7)), &[POSTS.to_owned()], None), address.wire)
        })
    };
    assert_eq!(
        address("wss://j.example", None).unwrap(),
        (
            "wss://j.example/subscribe?wantedCollections=app.bsky.feed.post&cursor=7".to_owned(),
            Wire::First
        )
    );
    assert_eq!(
        address("wss://j.example/", Some(Wire::Second)).unwrap(),
        ("wss://j.example/xrpc/network.bsky.jetstream.subscribeEvents?collections=app.bsky.feed.post&cursor=7".to_owned(), Wire::Second)
    );
    assert_eq!(
        address("ws://j:81/a/subscribe?wantedDids=d", None).unwrap().0,
        "ws://j:81/a/subscribe?wantedDids=d&wantedCollections=app.bsky.feed.post&cursor=7"
    );
    for url in ["https://j.example", "j.example", "wss://", "wss:// /", ""] {
        assert!(matches!(address(url, None), Err(SettingsError::Url { .. })), "{url}");
    }
    let none = start(settings(vec![]), None, Intake::new(intake::tests::settings()), world(|| 0));
    assert!(matches!(none.err(), Some(SettingsError::NoUrl)));
    let no_dictionary = Dictionary::read(&PathBuf::from(file!()).with_file_name("none"));
    assert!(matches!(no_dictionary, Err(SettingsError::Dictionary { .. })));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn waits_grow_within_their_bounds(randoms in prop::collection::vec(0.0..1.0_f64, 1..60)) {
        let (first, max) = (Duration::from_millis(500), Duration::from_secs(60));
        let mut retry = Retry::new(first, max);
        let mut least = first / 2;
        for random in randoms {
            let wait = retry.wait(random);
            prop_assert!(wait >= least.min(max / 2) && wait <= max);
            least = (least * 2).min(max / 2);
        }
        retry.reset();
        prop_assert!(retry.wait(1.0) == first);
    }

    #[test]
    fn cursors_are_written_and_read(host in "[a-z.:0-9]{1,20}", sequence in any::<Option<u64>>(), stamp in any::<i64>(), text in ".{0,40}") {
        let cursor = crate::Cursor::Jetstream(Cursor { host: host.as_str().into(), sequence, stamp });
        prop_assert_eq!(cursor.to_string().parse::<crate::Cursor>(), Ok(cursor));
        let _ = text.parse::<crate::Cursor>();
    }
}
