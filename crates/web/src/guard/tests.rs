use axum::http::{HeaderMap, Uri, header};

use super::Hosts;

fn allowed(listening: &str, host: &str) -> bool {
    let hosts = Hosts::new(Some(listening.parse().unwrap()), &["Pump.Example.org".to_owned()]);
    let mut headers = HeaderMap::new();
    headers.insert(header::HOST, host.parse().unwrap());
    hosts.allow(&Uri::from_static("/"), &headers)
}

#[test]
fn only_our_own_names_are_answered() {
    for host in [
        "localhost",
        "LOCALHOST:8080",
        "localhost.:1",
        "127.0.0.1:8080",
        "127.1.2.3",
        "[::1]:8080",
        "pump.example.ORG",
        "a.localhost:1",
    ] {
        assert!(allowed("127.0.0.1:8080", host), "{host}");
    }
    for host in [
        "evil.example",
        "localhost.evil.example",
        "evil.example:8080",
        "192.168.0.9",
        "localhost@evil.example",
        "evil@localhost",
        "localhost:80:80",
        "localhost:x",
        "[::1",
        "::1",
        "[fe80::1]",
        "",
        ":80",
        "[]",
        "0.0.0.0",
    ] {
        // A bare `::1` has no valid port and is no host.
        assert!(!allowed("127.0.0.1:8080", host), "{host}");
    }
    assert!(allowed("192.168.0.9:80", "192.168.0.9"));
    assert!(allowed("0.0.0.0:80", "192.168.0.9:80") && allowed("[::]:80", "[2001:db8::1]"));
    assert!(!allowed("0.0.0.0:80", "evil.example"));
}

#[test]
fn one_host_exactly_and_the_request_line_overrules_it() {
    let hosts = Hosts::new(None, &[]);
    let mut headers = HeaderMap::new();
    assert!(!hosts.allow(&Uri::from_static("/"), &headers));
    headers.append(header::HOST, "localhost".parse().unwrap());
    assert!(hosts.allow(&Uri::from_static("/"), &headers));
    assert!(!hosts.allow(&Uri::from_static("http://evil.example/"), &headers));
    headers.append(header::HOST, "localhost".parse().unwrap());
    assert!(!hosts.allow(&Uri::from_static("/"), &headers));
}
