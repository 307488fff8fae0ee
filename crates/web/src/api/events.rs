//! Server-sent events of new and changed alerts and of the newest count.
//!
//! One reader of the warehouse serves all streams; a slow client skips states in between.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::http::StatusCode;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use warehouse::AlertQuery;

use super::{Answer, Call, Room};
use crate::metrics::{Gauge, Metrics};
use crate::problem::Problem;

/// Streams open at once.
const STREAMS_MAX: usize = 256;
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Less than a connection may stay silent.
const KEEP_ALIVE: Duration = Duration::from_secs(10);
const ALERTS_LOOKED_AT: usize = 200;

/// The latest state.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct State {
    /// Alerts with their revision and number of changes, newest first.
    alerts: Vec<(String, u32, usize)>,
    latest: Option<i64>,
}

pub(crate) struct News {
    state: watch::Sender<State>,
    streams: Arc<Semaphore>,
    looking: AtomicBool,
    open: Gauge,
}

impl News {
    pub(crate) fn new(metrics: &Metrics) -> News {
        let open =
            metrics.gauge("pumphandle_http_event_streams", "Streams of events that are open.", &[]);
        News {
            state: watch::Sender::new(State::default()),
            streams: Arc::new(Semaphore::new(STREAMS_MAX)),
            looking: AtomicBool::new(false),
            open,
        }
    }
}

/// `GET /api/v1/events`: `alert` when an alert is new or has changed (its id, revision and number
/// of changes), `latest` as counting goes on.
pub(crate) async fn events(call: Call) -> Answer {
    let room = call.room;
    let Ok(permit) = room.news.streams.clone().try_acquire_owned() else {
        return Err(Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "too many streams of events are open, ask for `alerts` instead",
        ));
    };
    if !room.news.looking.swap(true, Ordering::SeqCst) {
        tokio::spawn(look(room.clone()));
    }
    room.news.open.set((STREAMS_MAX - room.news.streams.available_permits()) as f64);
    let mut receiver = room.news.state.subscribe();
    let known = receiver.borrow_and_update().clone();
    let listener = Listener { receiver, known, waiting: Vec::new(), _permit: permit };
    let events = stream::unfold(listener, Listener::next);
    // A proxy that buffers answers would hold events back.
    Ok(answer((
        [("x-accel-buffering", "no")],
        Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)),
    )))
}

fn answer(response: impl IntoResponse) -> Response {
    response.into_response()
}

struct Listener {
    receiver: watch::Receiver<State>,
    known: State,
    /// In reverse.
    waiting: Vec<Event>,
    _permit: OwnedSemaphorePermit,
}

impl Listener {
    async fn next(mut self) -> Option<(Result<Event, std::convert::Infallible>, Listener)> {
        loop {
            if let Some(event) = self.waiting.pop() {
                return Some((Ok(event), self));
            }
            self.receiver.changed().await.ok()?;
            let fresh = self.receiver.borrow_and_update().clone();
            let event = |name: &str, data: serde_json::Value| {
                Event::default().event(name).data(data.to_string())
            };
            if fresh.latest != self.known.latest {
                self.waiting.push(event("latest", serde_json::json!({ "latest": fresh.latest })));
            }
            for alert in fresh.alerts.iter().filter(|alert| !self.known.alerts.contains(alert)) {
                self.waiting.push(event(
                    "alert",
                    serde_json::json!({ "id": alert.0, "revision": alert.1, "changes": alert.2 }),
                ));
            }
            self.known = fresh;
        }
    }
}

/// Reads the warehouse while any stream is open.
async fn look(room: Arc<Room>) {
    loop {
        let found = room
            .ask(|warehouse| {
                let alerts = warehouse
                    .alerts(&AlertQuery { limit: ALERTS_LOOKED_AT, ..AlertQuery::default() })?;
                Ok((alerts, warehouse.latest()?))
            })
            .await;
        if let Ok((alerts, latest)) = found {
            let alerts = alerts
                .into_iter()
                .map(|entry| (entry.alert.id, entry.alert.revision, entry.events.len()))
                .collect();
            let state = State {
                alerts,
                latest: latest.map(|latest| latest.div_euclid(record::time::SECOND)),
            };
            room.news.state.send_if_modified(|known| {
                let is_new = *known != state;
                *known = state;
                is_new
            });
        }
        room.news.open.set((STREAMS_MAX - room.news.streams.available_permits()) as f64);
        tokio::time::sleep(LOOK_EVERY).await;
        if room.news.state.receiver_count() == 0 {
            room.news.looking.store(false, Ordering::SeqCst);
            // A stream may have opened in between.
            if room.news.state.receiver_count() == 0
                || room.news.looking.swap(true, Ordering::SeqCst)
            {
                return;
            }
        }
    }
}
