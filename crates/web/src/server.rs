//! The server: connections, routes, and what holds for every answer.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::extract::connect_info::Connected;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::serve::IncomingStream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::{Instant, Sleep};

use crate::api::{self, Room};
use crate::guard::{Hosts, URI_BYTES_MAX, protect};
use crate::problem::Problem;
use crate::{Web, page, routes};

/// Connections beyond this wait to be accepted.
const CONNECTIONS_MAX: usize = 512;
/// A connection on which nothing moves for so long is closed.
const IDLE_MAX: Duration = Duration::from_secs(30);
/// How long answers under way may take once we are asked to stop.
const DRAIN_MAX: Duration = Duration::from_secs(5);

/// Serves until `shutdown` is ready, then finishes what is under way.
pub async fn serve(listener: TcpListener, web: Web, shutdown: impl Future<Output = ()> + Send + 'static) -> io::Result<()> {
    let hosts = Hosts::new(listener.local_addr().ok(), &web.hosts);
    let listener = Bounded { listener, slots: Arc::new(Semaphore::new(CONNECTIONS_MAX)) };
    let service = router(Arc::new(Room::new(web, hosts))).into_make_service_with_connect_info::<Peer>();
    let (stopping, stopped) = oneshot::channel::<()>();
    let server = axum::serve(listener, service).with_graceful_shutdown(async move {
        shutdown.await;
        // Whoever waits has gone only if the server has ended.
        let _ = stopping.send(());
    });
    let too_long = async {
        match stopped.await {
            Ok(()) => tokio::time::sleep(DRAIN_MAX).await,
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        ended = server => ended,
        () = too_long => Ok(()),
    }
}

/// Whose connection it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer(pub(crate) SocketAddr);

impl Connected<IncomingStream<'_, Bounded>> for Peer {
    fn connect_info(stream: IncomingStream<'_, Bounded>) -> Peer {
        Peer(*stream.remote_addr())
    }
}

fn router(room: Arc<Room>) -> Router {
    let files = page::FILES.iter().fold(Router::new(), |router: Router<Arc<Room>>, file| {
        router.route(file.path, get(async move |headers: HeaderMap| page::answer(file, &headers)))
    });
    let shells = page::ADDRESSES.iter().fold(files, |router, address| {
        router.route(address, get(async |State(room): State<Arc<Room>>, headers: HeaderMap| page::shell(&room, &headers)))
    });
    shells
        .route("/map/{name}", get(async |Path(name): Path<String>, headers: HeaderMap| page::map(&name, &headers)))
        .route("/metrics", get(async |State(room): State<Arc<Room>>| api::metrics(&room)))
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(async |State(room): State<Arc<Room>>| api::ready(&room).await))
        .merge(routes::router())
        .fallback(async || Problem::not_found("there is nothing at this address"))
        .method_not_allowed_fallback(async || Problem::new(StatusCode::METHOD_NOT_ALLOWED, "this address takes no such method"))
        .layer(middleware::from_fn_with_state(room.clone(), around))
        .with_state(room)
}

/// Before and after every answer.
async fn around(State(room): State<Arc<Room>>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let asks_for_life = matches!(path, "/healthz" | "/readyz");
    let label = label(path);
    let mut response = if request.uri().to_string().len() > URI_BYTES_MAX {
        Problem::new(StatusCode::URI_TOO_LONG, format!("an address has at most {URI_BYTES_MAX} bytes")).into_response()
    } else if !asks_for_life && !room.hosts.allow(request.uri(), request.headers()) {
        let detail = "this server isn't called by that name; `hosts` in `[web]` adds names";
        Problem::new(StatusCode::MISDIRECTED_REQUEST, detail).into_response()
    } else {
        next.run(request).await
    };
    protect(response.headers_mut());
    let not_ours = response.status().is_client_error() && !response.headers().contains_key(header::CONTENT_TYPE);
    if not_ours {
        let headers = response.headers().clone();
        response = Problem::new(response.status(), "the request can't be answered").into_response();
        protect(response.headers_mut());
        if let Some(allow) = headers.get(header::ALLOW) {
            response.headers_mut().insert(header::ALLOW, allow.clone());
        }
    }
    let status = response.status().as_u16().to_string();
    room.web.metrics.counter("pumphandle_http_requests_total", "Requests answered.", &[("path", label), ("status", &status)]).add(1);
    response
}

/// A path as a label: only those that exist, so that strangers can't make labels.
fn label(path: &str) -> &'static str {
    static PATHS: LazyLock<Vec<&'static str>> = LazyLock::new(|| {
        let api = routes::endpoints().into_iter().map(|endpoint| endpoint.path);
        let mut paths: Vec<_> = api.chain(page::ADDRESSES).chain(["/metrics", "/healthz", "/readyz", "/map/{name}"]).collect();
        paths.dedup();
        paths
    });
    let fits = |known: &&str| {
        let (mut known, mut path) = (known.split('/'), path.split('/'));
        loop {
            match (known.next(), path.next()) {
                (None, None) => return true,
                (Some(one), Some(other)) if one == other || (one.starts_with('{') && !other.is_empty()) => {}
                _ => return false,
            }
        }
    };
    PATHS.iter().copied().find(fits).unwrap_or("other")
}

/// Accepts a bounded number of connections, and none that only stays.
pub(crate) struct Bounded {
    listener: TcpListener,
    slots: Arc<Semaphore>,
}

impl axum::serve::Listener for Bounded {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, Self::Addr) {
        let slot = self.slots.clone().acquire_owned().await.ok();
        let (stream, address) = axum::serve::Listener::accept(&mut self.listener).await;
        (Connection { stream, idle: Box::pin(tokio::time::sleep(IDLE_MAX)), _slot: slot }, address)
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}

pub(crate) struct Connection {
    stream: TcpStream,
    idle: Pin<Box<Sleep>>,
    _slot: Option<OwnedSemaphorePermit>,
}

impl Connection {
    /// Progress puts the end off; waiting beyond it is an error.
    fn watch<T>(&mut self, context: &mut Context<'_>, polled: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        match polled {
            Poll::Ready(done) => {
                self.idle.as_mut().reset(Instant::now() + IDLE_MAX);
                Poll::Ready(done)
            }
            Poll::Pending => self.idle.as_mut().poll(context).map(|()| Err(io::ErrorKind::TimedOut.into())),
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_read(context, buffer);
        self.watch(context, polled)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.watch(context, polled)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, context: &mut Context<'_>, slices: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.watch(context, polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests;
