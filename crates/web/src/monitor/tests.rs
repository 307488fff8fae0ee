use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::net::TcpListener;

use super::{CONNECTIONS_MAX, HEAD_BYTES_MAX, Health, serve_monitor};
use crate::Metrics;

/// Runs a monitor; what stops it is dropped with the returned sender.
fn start(health: Health) -> (SocketAddr, tokio::sync::oneshot::Sender<()>) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let metrics = Arc::new(Metrics::default());
            metrics.counter("pumphandle_some_total", "Some.", &[]).add(7);
            let listener = TcpListener::from_std(listener).unwrap();
            serve_monitor(listener, metrics, health, async {
                let _ = stopped.await;
            })
            .await;
        });
    });
    (address, stop)
}

fn ask(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn answers_by_any_host_name_and_nothing_else() {
    let healthy = Arc::new(AtomicBool::new(true));
    let shared = healthy.clone();
    let health: Health = Arc::new(move || {
        if shared.load(Ordering::SeqCst) {
            Ok("{\"ready\":true}".to_owned())
        } else {
            Err("tally ended\n".to_owned())
        }
    });
    let (address, _stop) = start(health);
    let get = |path: &str| {
        ask(address, &format!("GET {path} HTTP/1.1\r\nHost: elsewhere.example\r\n\r\n"))
    };
    let metrics = get("/metrics");
    assert!(
        metrics.starts_with("HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4"),
        "{metrics}"
    );
    assert!(metrics.contains("\npumphandle_some_total 7\n"), "{metrics}");
    assert!(get("/healthz").ends_with("\r\n\r\nok\n"));
    let ready = get("/readyz");
    assert!(
        ready.starts_with("HTTP/1.1 200 ")
            && ready.contains("application/json")
            && ready.ends_with("{\"ready\":true}"),
        "{ready}"
    );
    healthy.store(false, Ordering::SeqCst);
    let ready = get("/readyz");
    assert!(ready.starts_with("HTTP/1.1 503 ") && ready.ends_with("tally ended\n"), "{ready}");
    assert!(get("/").starts_with("HTTP/1.1 404 "));
    assert!(ask(address, "POST /metrics HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 405 "));
    let head = ask(address, "HEAD /metrics HTTP/1.1\r\n\r\n");
    assert!(head.starts_with("HTTP/1.1 200 ") && head.ends_with("\r\n\r\n"), "{head}");
}

#[test]
fn long_heads_are_refused() {
    let (address, _stop) = start(Arc::new(|| Ok(String::new())));
    let mut stream = TcpStream::connect(address).unwrap();
    let _ =
        stream.write_all(format!("GET / HTTP/1.1\r\nX: {}", "x".repeat(HEAD_BYTES_MAX)).as_bytes());
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 431");
}

#[test]
fn silent_connections_hold_no_slot_for_long() {
    let (address, _stop) = start(Arc::new(|| Ok(String::new())));
    let silent: Vec<TcpStream> =
        (0..CONNECTIONS_MAX).map(|_| TcpStream::connect(address).unwrap()).collect();
    assert!(ask(address, "GET /healthz HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 200 "));
    drop(silent);
}
