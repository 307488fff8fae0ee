//! Jetstream connections in sequence: their events, their end, and the position of the next one.

use std::io::Read;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, TrySendError};
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use record::time::{MINUTE, Micros, SECOND};
use record::{Op, Reject, RejectReason};
use rustls::ClientConfig;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::http::header::USER_AGENT;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message as Frame};
use tokio_tungstenite::{
    Connector, MaybeTlsStream, WebSocketStream, connect_async_tls_with_config,
};

use super::address::{Address, Resume};
use super::pace::Pace;
use super::retry::Retry;
use super::{Cursor, Dictionary, JetstreamSettings, World};
use crate::clock::Now;
use crate::cursor;
use crate::file::hash_of;
use crate::intake::{Intake, Outcome, believed};
use crate::line::{self, BLUESKY, Ignored, Item, Rejected};
use crate::message::Message;
use crate::profiles::{Answer, Asker, BATCH_MAX, Description};
use crate::running::Stopping;

/// Longer frames end the connection; those beyond the bound of lines are set aside one by one.
const FRAME_BYTES_MAX: usize = 16 << 20;
/// Stamps of one server, read again, don't differ; those of two do by a little.
const SKEW_MAX: Micros = MINUTE;
/// How often life is reported while lines come.
const ALIVE_EVERY: Micros = SECOND;
/// Of what a server says of itself, so much is passed on.
const REASON_CHARS_MAX: usize = 120;

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

pub(super) struct Connections {
    settings: JetstreamSettings,
    addresses: Vec<Address>,
    dictionary: Option<Dictionary>,
    tls: Arc<ClientConfig>,
    /// The place after the last line that was sent on.
    cursor: Option<Cursor>,
    intake: Intake,
    world: World,
    /// Sequence numbers are of no use until the next line.
    by_time: bool,
    /// Stated by the server: what lies between the cursor and the next line is gone.
    outdated: bool,
    /// Where lines ended when the connection was resumed, until the first one comes.
    resumed_after: Option<Micros>,
    /// By the monotonic clock.
    alive_sent: Micros,
    /// Of all connections together.
    pace: Pace,
    event_at: Option<Instant>,
    /// Whether posts are among what is requested.
    wants_posts: bool,
    asker: Option<Asker>,
}

/// Why a connection is over.
enum End {
    /// Stop was requested, or the receiver is gone.
    Stopped,
    /// It fell silent: another server may do better.
    Idle,
    /// It answers and brings no event for longer than its rate explains.
    Stalled(Duration),
    /// The place that we requested is known to be wrong: ask again at once.
    Again(String),
    Broken(String),
}

impl Connections {
    pub(super) fn new(
        settings: JetstreamSettings,
        addresses: Vec<Address>,
        dictionary: Option<Dictionary>,
        tls: Arc<ClientConfig>,
        mut cursor: Option<Cursor>,
        intake: Intake,
        world: World,
    ) -> Connections {
        if let Some(cursor) = &mut cursor {
            cursor.stamp = believed(cursor.stamp, world.clock.wall());
        }
        let wants_posts = super::wants_posts(&settings.collections);
        Connections {
            settings,
            addresses,
            dictionary,
            tls,
            cursor,
            intake,
            world,
            by_time: false,
            outdated: false,
            resumed_after: None,
            alive_sent: Micros::MIN,
            pace: Pace::default(),
            event_at: None,
            wants_posts,
            asker: None,
        }
    }

    pub(super) async fn run(mut self, sender: SyncSender<Message>, mut stopping: Stopping) {
        let mut retry = Retry::new(self.settings.back_off_first, self.settings.back_off_max);
        let mut turn = 0;
        self.asker = self
            .settings
            .profiles
            .clone()
            .map(|profiles| Asker::start(profiles, self.world.clock.clone(), &self.tls));
        while !stopping.is_requested() {
            let address = self.addresses[turn % self.addresses.len()].clone();
            let began = Instant::now();
            let before = self.cursor.clone();
            let end = self.connection(&address, &sender, &mut stopping).await;
            let brought_lines = self.cursor != before;
            // A server that has just sent lines is queried again before the next one is, unless it
            // hangs.
            let hangs = matches!(end, End::Idle | End::Stalled(_));
            let why = match end {
                End::Stopped => return,
                End::Again(why) => {
                    let disconnected = Message::Disconnected { at: self.world.clock.now(), why };
                    if !send(&sender, disconnected, &stopping).await {
                        return;
                    }
                    continue;
                }
                End::Idle => format!(
                    "no sign of life from `{}` for {} s",
                    address.host,
                    self.settings.idle.as_secs_f64()
                ),
                End::Stalled(silence) => format!(
                    "no event from `{}` for {:.0} s, though it answers: more than its rate \
                        explains",
                    address.host,
                    silence.as_secs_f64()
                ),
                End::Broken(why) => why,
            };
            if hangs || !brought_lines {
                turn += 1;
            }
            if brought_lines && began.elapsed() >= self.settings.steady_after {
                retry.reset();
            }
            if !send(&sender, Message::Disconnected { at: self.world.clock.now(), why }, &stopping)
                .await
            {
                return;
            }
            let wait = retry.wait((self.world.random)());
            tokio::select! {
                () = sleep(wait) => {}
                _ = stopping.wake.changed() => {}
            }
        }
    }

    /// One connection from its beginning to its end.
    async fn connection(
        &mut self,
        address: &Address,
        sender: &SyncSender<Message>,
        stopping: &mut Stopping,
    ) -> End {
        let resume = self
            .cursor
            .as_ref()
            .map(|cursor| address.resume(cursor, self.settings.rewind, self.by_time));
        let url = address.url(resume, &self.settings.collections, self.dictionary.as_ref());
        let mut request = match url.into_client_request() {
            Ok(request) => request,
            Err(error) => {
                return End::Broken(format!(
                    "no request can be made to `{}`: {error}",
                    address.host
                ));
            }
        };
        if let Ok(user_agent) = HeaderValue::from_str(&self.settings.user_agent) {
            request.headers_mut().insert(USER_AGENT, user_agent);
        }
        let limits = WebSocketConfig::default()
            .max_message_size(Some(FRAME_BYTES_MAX))
            .max_frame_size(Some(FRAME_BYTES_MAX));
        let connector = Connector::Rustls(Arc::clone(&self.tls));
        let connecting = timeout(
            self.settings.connect_timeout,
            connect_async_tls_with_config(request, Some(limits), true, Some(connector)),
        );
        let connected = tokio::select! {
            connected = connecting => connected,
            _ = stopping.wake.changed() => return End::Stopped,
        };
        let mut socket = match connected {
            Err(_) => return End::Broken(format!("`{}` doesn't answer", address.host)),
            Ok(Err(error)) => return self.refused(address, error),
            Ok(Ok((socket, _))) => socket,
        };
        let resumed = match (resume, &self.cursor) {
            (Some(Resume::Time(time)), _) => Some(time),
            (Some(Resume::Sequence(_)), Some(cursor)) => Some(cursor.stamp),
            _ => None,
        };
        self.resumed_after = self.cursor.as_ref().map(|cursor| cursor.stamp);
        if !send(sender, Message::Connected { at: self.world.clock.now(), resumed }, stopping).await
        {
            return End::Stopped;
        }
        let end = self.read(&mut socket, address, sender, stopping).await;
        // A farewell is polite; whether it arrives doesn't matter.
        let _ = timeout(Duration::from_millis(200), socket.close(None)).await;
        end
    }

    /// A server that won't have us says why.
    fn refused(&mut self, address: &Address, error: Error) -> End {
        let Error::Http(response) = error else {
            return End::Broken(format!("failed to connect to `{}`: {error}", address.host));
        };
        let body = response
            .body()
            .as_deref()
            .map(|body| String::from_utf8_lossy(body).into_owned())
            .unwrap_or_default();
        let why = format!("`{}` refuses with {}: {}", address.host, response.status(), cut(&body));
        if !body.contains("CursorTooOld") {
            return End::Broken(why);
        }
        // By time the server goes back as far as it can; if not even that, it starts with what
        // happens now.
        if self.by_time {
            self.outdated = true;
            if let Some(cursor) = &mut self.cursor {
                cursor.stamp = self.world.clock.wall();
            }
            return End::Broken(why);
        }
        self.by_time = true;
        self.outdated = true;
        End::Again(why)
    }

    async fn read(
        &mut self,
        socket: &mut Socket,
        address: &Address,
        sender: &SyncSender<Message>,
        stopping: &mut Stopping,
    ) -> End {
        let began = Instant::now();
        let mut heard = began;
        let mut ping_at = heard + self.settings.ping_every;
        loop {
            let explained = self.pace.explains().max(self.settings.idle);
            let event_by = self.event_at.map_or(began, |at| at.max(began)) + explained;
            let deadline = (heard + self.settings.idle).min(ping_at).min(event_by);
            let frame = tokio::select! {
                frame = timeout_at(deadline, socket.next()) => frame,
                answer = answer(&mut self.asker) => {
                    if !self.answered(answer, sender, stopping).await {
                        return End::Stopped;
                    }
                    continue;
                }
                _ = stopping.wake.changed() => return End::Stopped,
            };
            let now = Instant::now();
            let frame = match frame {
                Ok(Some(Ok(frame))) => frame,
                Ok(Some(Err(error))) => {
                    return End::Broken(format!("connection to `{}` broke: {error}", address.host));
                }
                Ok(None) => {
                    return End::Broken(format!("`{}` closed the connection", address.host));
                }
                Err(_) if now >= heard + self.settings.idle => return End::Idle,
                Err(_) if now >= event_by => return End::Stalled(explained),
                Err(_) => {
                    ping_at = now + self.settings.ping_every;
                    match timeout(self.settings.idle, socket.send(Frame::Ping(Vec::new().into())))
                        .await
                    {
                        Ok(Ok(())) => continue,
                        Ok(Err(error)) => {
                            return End::Broken(format!(
                                "connection to `{}` broke: {error}",
                                address.host
                            ));
                        }
                        Err(_) => return End::Idle,
                    }
                }
            };
            let clock = self.world.clock.now();
            let is_event = matches!(frame, Frame::Text(_) | Frame::Binary(_));
            let going_on = match frame {
                Frame::Text(text) => {
                    self.line(text.as_bytes(), address, clock, sender, stopping).await
                }
                Frame::Binary(bytes) => match self.unpacked(&bytes) {
                    Ok(line) => self.line(&line, address, clock, sender, stopping).await,
                    Err(rejected) => {
                        self.set_aside(&bytes, &rejected, address, sender, stopping).await
                    }
                },
                // Who answers may still have stalled: until its rate explains the silence again,
                // this proves nothing.
                Frame::Ping(_) | Frame::Pong(_) if self.is_explained() => {
                    self.alive(clock, true, sender, stopping).await
                }
                Frame::Ping(_) | Frame::Pong(_) => None,
                Frame::Close(close) => {
                    let reason = close
                        .map(|close| format!(": {} {}", close.code, cut(&close.reason)))
                        .unwrap_or_default();
                    Some(End::Broken(format!("`{}` closed the connection{reason}", address.host)))
                }
                Frame::Frame(_) => None,
            };
            if let Some(end) = going_on {
                return end;
            }
            self.ask();
            // Waiting for our own queue is no silence of the server's.
            heard = Instant::now();
            if is_event {
                self.event_at = Some(heard);
            }
        }
    }

    /// Whether the feed's rate explains that nothing has come since the last event; nothing
    /// explains that none ever came.
    fn is_explained(&self) -> bool {
        self.event_at.is_some_and(|at| at.elapsed() <= self.pace.explains())
    }

    /// Asks the next authors' profiles, unless it waits for others.
    fn ask(&mut self) {
        if let Some(asker) = self.asker.as_mut().filter(|asker| !asker.busy) {
            let batch = self.intake.questions(BATCH_MAX);
            if !batch.is_empty()
                && let Err(batch) = asker.ask(batch)
            {
                self.intake.unanswered(batch);
            }
        }
    }

    /// False if nobody listens any more.
    async fn answered(
        &mut self,
        answer: Answer,
        sender: &SyncSender<Message>,
        stopping: &Stopping,
    ) -> bool {
        let now = self.world.clock.wall();
        let message = match answer {
            Answer::Profiles(profiles) => {
                let requested = profiles.len() as u32;
                let posts = profiles.into_iter().flat_map(|(author, profile)| match profile {
                    Description::OptedOut => self.intake.opted_out(BLUESKY, &author, now),
                    Description::Says(text) => {
                        self.intake.answered(BLUESKY, &author, Some(&text), now)
                    }
                    Description::Nothing => self.intake.answered(BLUESKY, &author, None, now),
                });
                Message::Placed { posts: posts.collect(), requested, failed: None }
            }
            Answer::Failed { authors, why } => {
                let count = authors.len() as u32;
                self.intake.unanswered(authors);
                Message::Placed { posts: Vec::new(), requested: count, failed: Some(why) }
            }
        };
        self.ask();
        send(sender, message, stopping).await
    }

    /// Deals with a line; something only if the connection is over with it.
    async fn line(
        &mut self,
        bytes: &[u8],
        address: &Address,
        clock: Now,
        sender: &SyncSender<Message>,
        stopping: &Stopping,
    ) -> Option<End> {
        let read = line::parse(bytes, &self.intake.settings().limits);
        match &read {
            Ok(line) => match &line.item {
                Item::Failure(name) => {
                    return Some(End::Broken(format!(
                        "`{}` ends the stream: {}",
                        address.host,
                        cut(name)
                    )));
                }
                Item::Info(name) if name == "OutdatedCursor" => self.outdated = true,
                // The number is another archive's: without it, by time.
                Item::Info(name)
                    if name == "FutureCursor" && !self.by_time && self.cursor.is_some() =>
                {
                    self.by_time = true;
                    return Some(End::Again(format!(
                        "`{}` doesn't know the place to resume from",
                        address.host
                    )));
                }
                _ => {
                    // One that can't be believed tells nothing of what came before.
                    if let Some(stamp) = line.stamp
                        && stamp == believed(stamp, clock.wall)
                        && !self.note_gap(stamp, sender, stopping).await
                    {
                        return Some(End::Stopped);
                    }
                    self.advance(line, address, clock.wall);
                }
            },
            Err(rejected) => {
                return self.set_aside(bytes, rejected, address, sender, stopping).await;
            }
        }
        let recorded = read.and_then(|line| self.intake.record(&line, Some(clock.wall)));
        if let Some(by) = self.intake.take_ahead()
            && !send(sender, Message::Ahead { by }, stopping).await
        {
            return Some(End::Stopped);
        }
        let outcome = match recorded {
            // Nobody requested it.
            Ok(Outcome::Post { post, .. }) if !self.wants_posts && post.op != Op::Remove => {
                Outcome::Ignored { kind: Ignored::Collection, arrival: Some(post.arrival) }
            }
            Ok(outcome) => outcome,
            Err(rejected) => {
                return self.set_aside(bytes, &rejected, address, sender, stopping).await;
            }
        };
        let message = Message::Line { outcome, cursor: self.place(address) };
        if !send(sender, message, stopping).await {
            return Some(End::Stopped);
        }
        self.alive(clock, false, sender, stopping).await
    }

    /// The first line after a resumption tells what was lost between: false if nobody listens any
    /// more.
    async fn note_gap(
        &mut self,
        stamp: Micros,
        sender: &SyncSender<Message>,
        stopping: &Stopping,
    ) -> bool {
        let Some(after) = self.resumed_after.take() else { return true };
        let outdated = std::mem::take(&mut self.outdated);
        // What was read last is read again first, unless it is gone.
        if stamp <= after || (!outdated && stamp <= after + SKEW_MAX) {
            return true;
        }
        let why = match outdated {
            true => "the server no longer has what came before".to_owned(),
            false => "the server left out what came before".to_owned(),
        };
        send(sender, Message::Gap { from: after, to: stamp, why }, stopping).await
    }

    fn advance(&mut self, line: &line::Line<'_>, address: &Address, now: Micros) {
        let Some(stamp) = line.stamp.map(|stamp| believed(stamp, now)) else { return };
        self.pace.on_stamp(stamp);
        let before = self.cursor.as_ref().map_or(stamp, |cursor| cursor.stamp);
        self.by_time = false;
        self.cursor = Some(Cursor {
            host: address.host.clone(),
            sequence: line.sequence,
            stamp: before.max(stamp),
        });
    }

    /// The place after the last line; before the first stamp, now.
    fn place(&self, address: &Address) -> cursor::Cursor {
        let now = || Cursor {
            host: address.host.clone(),
            sequence: None,
            stamp: self.world.clock.wall(),
        };
        cursor::Cursor::Jetstream(self.cursor.clone().unwrap_or_else(now))
    }

    async fn alive(
        &mut self,
        clock: Now,
        answered: bool,
        sender: &SyncSender<Message>,
        stopping: &Stopping,
    ) -> Option<End> {
        // While lines come fast it is enough to say so now and then.
        if !answered
            && (self.alive_sent..self.alive_sent.saturating_add(ALIVE_EVERY))
                .contains(&clock.monotonic)
        {
            return None;
        }
        self.alive_sent = clock.monotonic;
        (!send(sender, Message::Alive { at: clock }, stopping).await).then_some(End::Stopped)
    }

    async fn set_aside(
        &mut self,
        bytes: &[u8],
        rejected: &Rejected,
        address: &Address,
        sender: &SyncSender<Message>,
        stopping: &Stopping,
    ) -> Option<End> {
        let reject = Reject {
            feed: self.settings.feed.clone(),
            reason: rejected.reason,
            place: address.host.to_string(),
            line: self.cursor.as_ref().and_then(|cursor| cursor.sequence).unwrap_or(0),
            length: bytes.len() as u64,
            hash: hash_of(blake3::hash(bytes)),
            detail: rejected.detail.clone().into_owned(),
        };
        let cursor = self.place(address);
        (!send(sender, Message::Reject { reject, cursor }, stopping).await).then_some(End::Stopped)
    }

    /// A compressed frame's line, no longer than lines may be.
    fn unpacked(&self, bytes: &[u8]) -> Result<Vec<u8>, Rejected> {
        let Some(dictionary) = &self.dictionary else { return Ok(bytes.to_vec()) };
        let bound = self.intake.settings().limits.line_bytes_max;
        let broken = |_| Rejected::new(RejectReason::Json, "a compressed frame that can't be read");
        let decoder = zstd::stream::read::Decoder::with_dictionary(bytes, &dictionary.bytes)
            .map_err(broken)?;
        let mut line = Vec::new();
        decoder.take(bound as u64 + 1).read_to_end(&mut line).map_err(broken)?;
        Ok(line)
    }
}

/// What a server says, on one line and no longer than a message bears.
fn cut(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(REASON_CHARS_MAX).collect()
}

/// The next answer; never, where no profiles are requested.
async fn answer(asker: &mut Option<Asker>) -> Answer {
    if let Some(asker) = asker
        && let Some(answer) = asker.answer().await
    {
        return answer;
    }
    std::future::pending().await
}

/// Waits for room in the queue without holding up the runtime; false if nobody listens any more.
async fn send(sender: &SyncSender<Message>, message: Message, stopping: &Stopping) -> bool {
    let mut message = message;
    let mut wait = Duration::from_micros(200);
    loop {
        match sender.try_send(message) {
            Ok(()) => {
                stopping.sent();
                return true;
            }
            Err(TrySendError::Disconnected(_)) => return false,
            Err(TrySendError::Full(_)) if stopping.is_requested() => return false,
            Err(TrySendError::Full(back)) => message = back,
        }
        sleep(wait).await;
        wait = (wait * 2).min(Duration::from_millis(20));
    }
}
