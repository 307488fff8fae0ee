//! The listener for monitoring: `/metrics`, `/healthz` and `/readyz` of any role, page or no page.
//!
//! Beside the server of page and API, and independent of it: what it shows may be collected while
//! that one is overrun. It answers by any host name, since it holds numbers only, takes no
//! parameters, and nothing can be changed here.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use crate::metrics::Metrics;

/// Whether a role is healthy: the body of 200, or that of 503. One that begins with `{` is sent as
/// JSON.
pub type Health = Arc<dyn Fn() -> Result<String, String> + Send + Sync>;

/// Connections beyond this wait to be accepted.
const CONNECTIONS_MAX: usize = 32;
/// A connection is closed after this, whatever it has sent and read by then.
const CONNECTION_MAX: Duration =
    if cfg!(test) { Duration::from_millis(300) } else { Duration::from_secs(10) };
const HEAD_BYTES_MAX: usize = 8 << 10;
/// After a failure to accept, such as too many open files.
const PAUSE: Duration = Duration::from_millis(100);

pub(crate) const METRICS_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Answers until `shutdown` is ready.
pub async fn serve_monitor(
    listener: TcpListener,
    metrics: Arc<Metrics>,
    health: Health,
    shutdown: impl Future<Output = ()>,
) {
    let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    tokio::pin!(shutdown);
    loop {
        let accepted = async {
            let slot = slots.clone().acquire_owned().await.ok();
            listener.accept().await.map(|(stream, _)| (stream, slot))
        };
        tokio::select! {
            () = &mut shutdown => return,
            accepted = accepted => match accepted {
                Ok((stream, slot)) => {
                    let (metrics, health) = (metrics.clone(), health.clone());
                    tokio::spawn(async move {
                        // Who hangs up or takes too long gets no answer.
                        let _ = tokio::time::timeout(CONNECTION_MAX, answer(stream, &metrics, &health)).await;
                        drop(slot);
                    });
                }
                Err(_) => tokio::time::sleep(PAUSE).await,
            },
        }
    }
}

/// One request a connection.
async fn answer(mut stream: TcpStream, metrics: &Metrics, health: &Health) -> io::Result<()> {
    let mut head = Vec::new();
    let mut buffer = [0; 1024];
    while !head.windows(4).any(|end| end == b"\r\n\r\n") && head.len() <= HEAD_BYTES_MAX {
        let read = stream.read(&mut buffer).await?;
        if read == 0 {
            return Ok(());
        }
        head.extend_from_slice(&buffer[..read]);
    }
    let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let line = String::from_utf8_lossy(line);
    let mut words = line.split(' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let path = target.split('?').next().unwrap_or_default();
    let (status, kind, body) = if head.len() > HEAD_BYTES_MAX {
        let why = "the head of the request is too long\n";
        ("431 Request Header Fields Too Large", "text/plain", why.to_owned())
    } else if !matches!(method, "GET" | "HEAD") {
        ("405 Method Not Allowed", "text/plain", "only GET and HEAD\n".to_owned())
    } else {
        page(path, metrics, health)
    };
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nCache-Control: \
            no-store\r\n\
         X-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await?;
    if method != "HEAD" {
        stream.write_all(body.as_bytes()).await?;
    }
    stream.shutdown().await
}

/// Status, type and body.
fn page(path: &str, metrics: &Metrics, health: &Health) -> (&'static str, &'static str, String) {
    match path {
        "/metrics" => ("200 OK", METRICS_TYPE, metrics.render()),
        "/healthz" => ("200 OK", "text/plain", "ok\n".to_owned()),
        "/readyz" => {
            let (status, body) = match health() {
                Ok(body) => ("200 OK", body),
                Err(body) => ("503 Service Unavailable", body),
            };
            let kind = if body.starts_with('{') { "application/json" } else { "text/plain" };
            (status, kind, body)
        }
        _ => {
            let known = "there are /metrics, /healthz and /readyz\n";
            ("404 Not Found", "text/plain", known.to_owned())
        }
    }
}

#[cfg(test)]
mod tests;
