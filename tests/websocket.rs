//! `run` on a Jetstream: a local server that cuts the connection again and again, and a program
//! that is ended and killed between.
//!
//! Simulated lines are dated anew so that the last one is now: a live feed counts what is at most a
//! horizon old.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use simulation::Random;
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::accept_hdr_async;
use tokio_tungstenite::tungstenite::Message as Frame;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};

use crate::program::{Folder, LONG, simulate, until};
use crate::recount::assert_same;
use crate::run::{exported, replayed};

const SECOND: i64 = 1_000_000;
const HOUR: i64 = 3600 * SECOND;
const CUTS: usize = 10;

#[test]
fn ten_cuts_two_stops_and_a_kill_change_no_count() {
    let folder = Folder::new();
    simulate(&folder, "january.ndjson", &["--posts", "20000", "--days", "1.2", "--seed", "6"]);
    let lines = dated_until_now(&folder.read("january.ndjson"));
    folder.write(
        "posts.ndjson",
        lines.iter().map(|(_, line)| format!("{line}\n")).collect::<String>(),
    );
    let mut random = Random::new(10);
    let server =
        Server::start(lines, (0..CUTS).map(|_| random.between(800, 1700) as usize).collect());
    folder.write(
        "run.toml",
        format!(
            "[web]\nlisten = \"127.0.0.1:0\"\n[[feeds]]\nname = \"bluesky\"\nkind = \
                \"jetstream\"\nrewind = \"10m\"\nurls = [\"ws://{}/subscribe\"]\n",
            server.address
        ),
    );

    // Waits grow from cut to cut until a connection has held: each life of the program sees but a
    // few.
    let run = ["run", "--config", "run.toml"];
    for (life, cuts) in [3, 5, 8].into_iter().enumerate() {
        let mut running = folder.start(&run);
        until(LONG, "the connection to be cut", || (server.cuts_done() >= cuts).then_some(()));
        if life == 1 {
            running.kill();
        } else {
            running.signal("TERM");
            running.ends(0);
        }
    }
    let mut running = folder.start(&run);
    until(LONG, "all lines to be read", || server.state().read_to_the_end.then_some(()));
    running.signal("TERM");
    running.ends(0);
    assert_eq!(server.cuts_done(), CUTS);

    folder.output(&["run", "--config", "run.toml", "--until-drained"]).ends(0);
    let asked = server.state().asked.clone();
    assert!(asked.len() > CUTS, "{asked:?}");
    assert!(
        asked[0].starts_with("/subscribe?wantedCollections=app.bsky.feed.post")
            && !asked[0].contains("cursor="),
        "{asked:?}"
    );
    assert!(asked[1..].iter().all(|query| query.contains("&cursor=")), "{asked:?}");
    let sent = server.state().sent;
    assert!(
        sent > folder.read("posts.ndjson").lines().count() + 500,
        "{sent} lines: too few came twice"
    );
    assert_same("by a Jetstream that was cut", &exported(&folder), &replayed(&folder));
}

/// A Jetstream v1 that serves these lines, by their stamps, and cuts the first connections.
struct Server {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// After how many lines the next connections are cut.
    cuts: VecDeque<usize>,
    /// What each connection asked for.
    asked: Vec<String>,
    sent: usize,
    /// A client has answered what came behind the last line.
    read_to_the_end: bool,
}

impl Server {
    fn start(lines: Vec<(i64, String)>, cuts: VecDeque<usize>) -> Server {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.set_nonblocking(true).expect("a listener of ours");
        let address = listener.local_addr().expect("an address");
        let state = Arc::new(Mutex::new(State { cuts, ..State::default() }));
        let shared = Arc::clone(&state);
        // Ends with the process.
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime");
            runtime.block_on(async move {
                let listener = TcpListener::from_std(listener).expect("a listener of ours");
                let lines = Arc::new(lines);
                while let Ok((stream, _)) = listener.accept().await {
                    tokio::spawn(serve(stream, Arc::clone(&lines), Arc::clone(&shared)));
                }
            });
        });
        Server { address, state }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().expect("no panic")
    }

    fn cuts_done(&self) -> usize {
        CUTS - self.state().cuts.len()
    }
}

#[expect(clippy::result_large_err, reason = "the library's signature")]
async fn serve(stream: TcpStream, lines: Arc<Vec<(i64, String)>>, state: Arc<Mutex<State>>) {
    let mut cursor = i64::MIN;
    let accepted = accept_hdr_async(stream, |request: &Request, response: Response| {
        if let Some(number) = request
            .uri()
            .query()
            .unwrap_or_default()
            .split('&')
            .find_map(|part| part.strip_prefix("cursor="))
        {
            cursor = number.parse().expect("microseconds");
        }
        state.lock().expect("no panic").asked.push(request.uri().to_string());
        Ok(response)
    });
    let Ok(mut socket) = accepted.await else { return };
    // From the first line with that stamp or a later one on; without a cursor from the beginning: a
    // test has no "now".
    let first = lines.iter().position(|(stamp, _)| *stamp >= cursor).unwrap_or(lines.len());
    let cut = state.lock().expect("no panic").cuts.front().copied().unwrap_or(usize::MAX);
    for (_, line) in lines[first..].iter().take(cut) {
        if socket.send(Frame::text(line.clone())).await.is_err() {
            // The client has left: this was no cut.
            return;
        }
        state.lock().expect("no panic").sent += 1;
    }
    if lines.len() - first > cut {
        let left = {
            let mut state = state.lock().expect("no panic");
            state.cuts.pop_front();
            state.cuts.len()
        };
        // Every other time without a word.
        if left % 2 == 0 {
            let _ = socket.close(None).await;
        }
        return;
    }
    if socket.send(Frame::Ping("the end".into())).await.is_err() {
        return;
    }
    while let Some(Ok(frame)) = socket.next().await {
        if matches!(frame, Frame::Pong(said) if said.as_ref() == b"the end") {
            state.lock().expect("no panic").read_to_the_end = true;
        }
    }
}

/// The lines as if the last one arrived a minute ago, with their stamps. Left out are posts that
/// are not late but older than what the program, whose clock is now, still takes in.
fn dated_until_now(lines: &str) -> Vec<(i64, String)> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_micros() as i64;
    let events: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).expect("simulated lines are JSON"))
        .collect();
    let stamp = |event: &Value| event["time_us"].as_i64().expect("a stamp");
    let last = events.iter().map(stamp).max().expect("some lines");
    let shift = (now - 60 * SECOND - last) / SECOND * SECOND;
    let oldest = now - 34 * HOUR;
    let mut dated = Vec::new();
    for mut event in events {
        let arrival = stamp(&event) + shift;
        event["time_us"] = json!(arrival);
        let created = &mut event["commit"]["record"]["createdAt"];
        if let Some(written) = created.as_str() {
            let created_at = crate::recount::instant(written) + shift;
            if created_at < oldest && created_at >= arrival - 36 * HOUR {
                continue;
            }
            *created = json!(format!("{}.{:06}", created_at / SECOND, created_at % SECOND));
        } else if event.get("commit").is_some_and(Value::is_null) {
            // Indexing has put it there.
            event.as_object_mut().expect("an object").remove("commit");
        }
        dated.push((arrival, event.to_string()));
    }
    dated
}
