use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::thread;

use super::*;

fn reach(networks: &[&str]) -> Reach {
    Reach {
        own_networks: networks.iter().map(|network| Reach::network(network).unwrap()).collect(),
        roots: Vec::new(),
    }
}

/// A server that answers each connection with these bytes, then closes.
fn server(
    answer: impl Into<Vec<u8>>,
    connections: usize,
) -> (String, thread::JoinHandle<Vec<Vec<u8>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/hook?a=b", listener.local_addr().unwrap());
    let answer = answer.into();
    let handle = thread::spawn(move || {
        (0..connections)
            .map(|_| {
                let (mut stream, _) = listener.accept().unwrap();
                let mut got = Vec::new();
                let mut buffer = [0; 4096];
                while !got.ends_with(b"{}") {
                    let read = stream.read(&mut buffer).unwrap();
                    if read == 0 {
                        break;
                    }
                    got.extend_from_slice(&buffer[..read]);
                }
                // The other side may have had enough.
                let _ = stream.write_all(&answer);
                got
            })
            .collect()
    });
    (url, handle)
}

#[test]
fn only_the_internet_is_reached_and_only_encrypted() {
    for inside in [
        "0.0.0.0",
        "10.1.2.3",
        "100.64.0.1",
        "127.0.0.1",
        "127.9.9.9",
        "169.254.169.254",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.1.1",
        "192.0.0.8",
        "192.0.2.1",
        "198.18.0.1",
        "198.51.100.1",
        "203.0.113.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "64:ff9b::7f00:1",
        "fc00::1",
        "fd12::1",
        "fe80::1",
        "ff02::1",
        "2001:db8::1",
        "2001::1",
        "2002:7f00:1::",
        "3fff::1",
        "100::1",
    ] {
        let address: IpAddr = inside.parse().unwrap();
        assert!(!Reach::default().allows(unmapped(address), true), "{inside}");
        let host = if address.is_ipv6() { format!("[{inside}]") } else { inside.to_owned() };
        let refused = post(&Reach::default(), &format!("https://{host}/hook"), &[], b"{}");
        assert!(matches!(refused, Err(SendError::Never { .. })), "{inside}");
    }
    for outside in ["1.1.1.1", "9.9.9.9", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "2a00::1"]
    {
        let address: IpAddr = outside.parse().unwrap();
        assert!(Reach::default().allows(address, true), "{outside}");
        assert!(!Reach::default().allows(address, false), "{outside} only by https");
    }
    // Other ways to write 127.0.0.1 are read by the same parser that connects.
    for spelled in [
        "http://2130706433/",
        "https://0x7f.1/",
        "https://0177.0.0.1/",
        "https://127.1/",
        "https://[::ffff:7f00:1]/",
    ] {
        assert!(post(&Reach::default(), spelled, &[], b"{}").is_err(), "{spelled}");
    }
    for wrong in [
        "ftp://example.org/",
        "file:///etc/passwd",
        "https://user:pw@example.org/",
        "nonsense",
        "https://",
    ] {
        assert!(
            matches!(post(&Reach::default(), wrong, &[], b"{}"), Err(SendError::Never { .. })),
            "{wrong}"
        );
    }
    assert!(matches!(
        post(&Reach::default(), "https://localhost/hook", &[], b"{}"),
        Err(SendError::Later { .. })
    ));
}

#[test]
fn own_networks_are_what_the_operator_says_they_are() {
    let own = reach(&["10.0.0.0/8", "fd00::/8", "192.168.7.2", "0.0.0.0/32"]);
    let is_own = |text: &str| own.is_own(text.parse().unwrap());
    assert!(
        is_own("10.255.1.1") && is_own("fd12::9") && is_own("192.168.7.2") && is_own("0.0.0.0")
    );
    assert!(
        !is_own("11.0.0.0") && !is_own("192.168.7.3") && !is_own("fe80::1") && !is_own("0.0.0.1")
    );
    assert!(reach(&["0.0.0.0/0"]).is_own("8.8.8.8".parse().unwrap()));
    assert!(Reach::network("10.0.0.0/33").is_none() && Reach::network("ten").is_none());
}

#[test]
fn one_request_is_sent_and_a_redirect_is_an_answer_like_others() {
    let own = reach(&["127.0.0.1/32"]);
    let (url, got) = server(
        "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nRetry-After: 7\r\nContent-Length: \
            4\r\n\r\nmove",
        1,
    );
    let answer = post(&own, &url, &[("webhook-id", "m1")], b"{}").unwrap();
    assert_eq!(
        (answer.status, answer.retry_after, &*answer.said),
        (302, Some(Duration::from_secs(7)), "move")
    );
    let got = String::from_utf8(got.join().unwrap().remove(0)).unwrap();
    assert!(got.starts_with("POST /hook?a=b HTTP/1.1\r\nhost: 127.0.0.1:"), "{got}");
    assert!(got.contains("\r\nwebhook-id: m1\r\n") && got.ends_with("\r\n\r\n{}"), "{got}");
}

#[test]
fn an_answer_without_end_or_sense_is_bounded_and_an_error() {
    let own = reach(&["127.0.0.1/32"]);
    for answer in
        [vec![b'x'; 1 << 20], b"HTTP/1.1 200".to_vec(), Vec::new(), b"HTTP/9 yes\r\n\r\n".to_vec()]
    {
        let (url, got) = server(answer, 1);
        assert!(matches!(post(&own, &url, &[], b"{}"), Err(SendError::Later { .. })));
        got.join().unwrap();
    }
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    assert!(matches!(
        post(&own, &format!("http://{closed}/"), &[], b"{}"),
        Err(SendError::Later { .. })
    ));
}
