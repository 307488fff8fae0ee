//! The server: connections, routes, and what holds for every answer.

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::{Pin, pin};
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Path, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Sleep;

use crate::api::{self, Room};
use crate::connections::{Slot, Use};
use crate::guard::{Hosts, URI_BYTES_MAX, protect};
use crate::problem::Problem;
use crate::{Web, page, routes};

/// How long the head of a request may take on a connection of the reserve.
const HEAD_MAX_RESERVE: Duration = Duration::from_secs(2);
/// Bytes of the head of a request.
const HEAD_BYTES_MAX: usize = 64 << 10;
/// A connection whose client takes nothing of an answer for so long is closed.
const STALL_MAX: Duration = Duration::from_secs(30);
/// How long answers under way may take after a stop is requested.
const DRAIN_MAX: Duration = Duration::from_secs(5);
/// Pause after the listener failed, such as for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// Serves until `shutdown` is ready, then finishes what is under way.
pub async fn serve(
    listener: TcpListener,
    web: Web,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let hosts = Hosts::new(listener.local_addr().ok(), &web.hosts);
    let room = Arc::new(Room::new(web, hosts));
    let service = TowerToHyperService::new(router(room.clone()));
    let head_max = room.web.head_max;
    let (stopping, stop) = watch::channel(false);
    let mut open = JoinSet::new();
    let mut shutdown = pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            () = &mut shutdown => break,
            accepted = listener.accept() => accepted,
        };
        while open.try_join_next().is_some() {}
        match accepted {
            Ok((stream, address)) => {
                // Without a place the stream is dropped here, which closes it.
                if let Some((slot, used)) = room.connections.admit(address.ip()) {
                    let head_max =
                        if used == Use::Health { head_max.min(HEAD_MAX_RESERVE) } else { head_max };
                    let peer = Peer { address, used };
                    let (service, stop) = (service.clone(), stop.clone());
                    open.spawn(async move {
                        connection(stream, peer, service, head_max, stop).await;
                        drop(slot);
                    });
                }
            }
            Err(error) if is_of_one_connection(&error) => {}
            Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
    }
    drop(listener);
    // Without connections nobody waits for it.
    let _ = stopping.send(true);
    // What is still open after that is dropped with the set.
    let _ =
        tokio::time::timeout(DRAIN_MAX, async { while open.join_next().await.is_some() {} }).await;
    Ok(())
}

fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
    )
}

/// Answers the requests of a connection, until it ends or the server stops.
async fn connection<S>(
    stream: TcpStream,
    peer: Peer,
    service: S,
    head_max: Duration,
    mut stop: watch::Receiver<bool>,
) where
    S: Service<hyper::Request<Incoming>, Response = Response, Error = Infallible>,
{
    let service = hyper::service::service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        service.call(request)
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(head_max).max_buf_size(HEAD_BYTES_MAX);
    builder.keep_alive(peer.used == Use::Everything);
    let mut served =
        pin!(builder.serve_connection(TokioIo::new(Connection { stream, stalled: None }), service));
    tokio::select! {
        // A connection that broke is the client's; each answer is counted by itself.
        _ = served.as_mut() => return,
        _ = stop.wait_for(|stop| *stop) => served.as_mut().graceful_shutdown(),
    }
    let _ = served.await;
}

/// Whose connection it is, and what for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer {
    pub(crate) address: SocketAddr,
    pub(crate) used: Use,
}

/// The address that a request counts for: behind a trusted proxy that of the client, as the proxy
/// names it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Client(pub(crate) IpAddr);

fn router(room: Arc<Room>) -> Router {
    let files = page::FILES.iter().fold(Router::new(), |router: Router<Arc<Room>>, file| {
        router.route(file.path, get(async move |headers: HeaderMap| page::answer(file, &headers)))
    });
    let shells = page::ADDRESSES.iter().fold(files, |router, address| {
        router.route(
            address,
            get(async |State(room): State<Arc<Room>>, headers: HeaderMap| {
                page::shell(&room, &headers)
            }),
        )
    });
    shells
        .route(
            "/map/{name}",
            get(async |Path(name): Path<String>, headers: HeaderMap| page::map(&name, &headers)),
        )
        .route("/metrics", get(async |State(room): State<Arc<Room>>| api::metrics(&room)))
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(async |State(room): State<Arc<Room>>| api::ready(&room).await))
        .merge(routes::router())
        .fallback(async || Problem::not_found("there is nothing at this address"))
        .method_not_allowed_fallback(async || {
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "this address takes no such method")
        })
        .layer(middleware::from_fn_with_state(room.clone(), around))
        .with_state(room)
}

/// Before and after every answer.
async fn around(State(room): State<Arc<Room>>, mut request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let asks_for_life = matches!(path, "/healthz" | "/readyz");
    // Whatever scrapes metrics calls a process by the name of its machine, container or service; no
    // page can read the answer.
    let by_any_name = asks_for_life || path == "/metrics";
    let label = label(path);
    let peer = request.extensions().get::<ConnectInfo<Peer>>().map(|info| info.0);
    let is_reserve = peer.is_some_and(|peer| peer.used == Use::Health);
    let direct = peer.map(|peer| peer.address.ip());
    let forwarded = direct
        .filter(|direct| room.is_proxy(*direct))
        .and_then(|_| forwarded(&room, request.headers()));
    if let Some(client) = forwarded.or(direct) {
        request.extensions_mut().insert(Client(client));
    }
    let slot = forwarded.map(|client| room.connections.admit_forwarded(client));
    let mut response = if request.uri().to_string().len() > URI_BYTES_MAX {
        Problem::new(
            StatusCode::URI_TOO_LONG,
            format!("an address has at most {URI_BYTES_MAX} bytes"),
        )
        .into_response()
    } else if !by_any_name && !room.hosts.allow(request.uri(), request.headers()) {
        let detail = "this server isn't called by that name; `hosts` in `[web]` adds names";
        Problem::new(StatusCode::MISDIRECTED_REQUEST, detail).into_response()
    } else if !asks_for_life && (is_reserve || matches!(slot, Some(None))) {
        Problem::busy("too many connections at once from this address, or in all; try again")
            .into_response()
    } else {
        next.run(request).await
    };
    protect(response.headers_mut());
    let not_ours = response.status().is_client_error()
        && !response.headers().contains_key(header::CONTENT_TYPE);
    if not_ours {
        let headers = response.headers().clone();
        response = Problem::new(response.status(), "the request can't be answered").into_response();
        protect(response.headers_mut());
        if let Some(allow) = headers.get(header::ALLOW) {
            response.headers_mut().insert(header::ALLOW, allow.clone());
        }
    }
    let status = response.status().as_u16().to_string();
    room.web
        .metrics
        .counter(
            "pumphandle_http_requests_total",
            "Requests answered.",
            &[("path", label), ("status", &status)],
        )
        .add(1);
    match slot.flatten() {
        Some(slot) => response.map(|body| held_until_sent(body, slot)),
        None => response,
    }
}

/// The body, which gives the place back when it has been sent, or its client has gone.
fn held_until_sent(body: Body, slot: Slot) -> Body {
    Body::new(body.map_frame(move |frame| {
        let _held = &slot;
        frame
    }))
}

/// The client that trusted proxies name: of the addresses in their order the last that is no
/// trusted proxy's itself.
/// Those before it were written by the client, who may write anything.
fn forwarded(room: &Room, headers: &HeaderMap) -> Option<IpAddr> {
    let lines = |name| {
        headers
            .get_all(name)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .collect::<Vec<_>>()
            .join(",")
    };
    let mut named: Vec<Option<IpAddr>> =
        lines("x-forwarded-for").split(',').map(forwarded_address).collect();
    if named.iter().all(Option::is_none) {
        // RFC 7239: `for=192.0.2.60;proto=http, for="[2001:db8::1]:47"`.
        let of = |part: &str| {
            let (name, value) = part.trim().split_once('=')?;
            name.eq_ignore_ascii_case("for").then(|| forwarded_address(value)).flatten()
        };
        named = lines("forwarded").split(',').map(|one| one.split(';').find_map(of)).collect();
    }
    named.into_iter().rev().map_while(|named| named).find(|named| !room.is_proxy(*named))
}

/// An address with or without a port, brackets and quotes.
fn forwarded_address(written: &str) -> Option<IpAddr> {
    let written = written.trim().trim_matches('"');
    let parsed = written
        .parse::<IpAddr>()
        .ok()
        .or_else(|| written.parse::<SocketAddr>().ok().map(|address| address.ip()));
    let bare = || written.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    parsed.or_else(bare).map(|address| address.to_canonical())
}

/// A path as a label: only those that exist, so that strangers can't make labels.
fn label(path: &str) -> &'static str {
    static PATHS: LazyLock<Vec<&'static str>> = LazyLock::new(|| {
        let api = routes::ENDPOINTS.iter().map(|endpoint| endpoint.path);
        let mut paths: Vec<_> = api
            .chain(page::ADDRESSES)
            .chain(["/metrics", "/healthz", "/readyz", "/map/{name}"])
            .collect();
        paths.dedup();
        paths
    });
    let fits = |known: &&str| {
        let (mut known, mut path) = (known.split('/'), path.split('/'));
        loop {
            match (known.next(), path.next()) {
                (None, None) => return true,
                (Some(one), Some(other))
                    if one == other || (one.starts_with('{') && !other.is_empty()) => {}
                _ => return false,
            }
        }
    };
    PATHS.iter().copied().find(fits).unwrap_or("other")
}

/// A stream whose client must read: a write that waits too long is an error. Reading is bounded by
/// the time for a head and for a body.
struct Connection {
    stream: TcpStream,
    /// When a write that waits is given up.
    stalled: Option<Pin<Box<Sleep>>>,
}

impl Connection {
    fn watch<T>(
        &mut self,
        context: &mut Context<'_>,
        polled: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            self.stalled = None;
            return polled;
        }
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(tokio::time::sleep(STALL_MAX)));
        stalled.as_mut().poll(context).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.watch(context, polled)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.watch(context, polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests;
