use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;

use super::*;
use crate::message::{self, Frame, Occasion};
use crate::sample::{Europe, TUESDAY, fever};
use crate::words::{Language, Telling};
use crate::zone::Zone;

/// A mail server that gives these replies to commands that begin so, and takes everything else;
/// what it was sent comes back.
fn conversation(
    replies: &'static [(&'static str, &'static str)],
) -> (MailServer, std::thread::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let heard = std::thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let mut reading = BufReader::new(stream.try_clone().unwrap());
        let mut writing = stream;
        let mut heard = String::new();
        let reply = |begins: &str, usual: &str| {
            replies
                .iter()
                .find(|(command, _)| begins.starts_with(command))
                .map_or(usual.to_owned(), |(_, reply)| (*reply).to_owned())
        };
        write!(writing, "{}\r\n", reply("greeting", "220 here")).unwrap();
        let mut is_data = false;
        let mut line = String::new();
        while reading.read_line(&mut line).unwrap_or(0) > 0 {
            heard.push_str(&line);
            let answer = match (is_data, line.trim_end()) {
                (true, ".") => {
                    is_data = false;
                    reply("end of data", "250 taken")
                }
                (true, _) => String::new(),
                (false, command) if command.starts_with("DATA") => {
                    let answer = reply("DATA", "354 go on");
                    is_data = answer.starts_with("354");
                    answer
                }
                (false, command) => {
                    reply(command, if command.starts_with("QUIT") { "221 bye" } else { "250 fine" })
                }
            };
            if answer == "hang up" {
                return heard;
            }
            if !answer.is_empty() {
                write!(writing, "{answer}\r\n").unwrap();
            }
            line.clear();
        }
        heard
    });
    let from = "alerts@example.org".parse().unwrap();
    let server = MailServer {
        host: "127.0.0.1".to_owned(),
        port,
        encryption: Encryption::None,
        user: None,
        from,
        root_pem: None,
        unsubscribe: None,
    };
    (server, heard)
}

fn sample() -> Message {
    let zone = Zone::utc();
    let telling = Telling {
        language: Language::English,
        zone: &zone,
        names: &Europe,
        series: 40,
        history: &[],
        rise: None,
    };
    message::of_alert(&fever(), Occasion::New, &telling, &Frame::default(), &[])
}

fn outcome(replies: &'static [(&'static str, &'static str)]) -> Result<(), SendError> {
    let (server, heard) = conversation(replies);
    let sent = send(&server, "duty@example.org", &sample(), TUESDAY);
    heard.join().unwrap();
    sent
}

#[test]
fn only_a_refused_recipient_is_final() {
    assert_eq!(outcome(&[]), Ok(()));
    let refused = SendError::Refused { code: 550, why: "5.1.1 no such user".to_owned() };
    assert_eq!(outcome(&[("RCPT", "550-5.1.1 no such\r\n550 5.1.1 user")]), Err(refused));
    for passing in [
        ("RCPT", "450 greylisted"),
        ("RCPT", "hang up"),
        ("DATA", "554 no"),
        ("end of data", "552 too large"),
    ] {
        let replies: &'static [_] = Box::leak(Box::new([passing]));
        assert!(matches!(outcome(replies), Err(SendError::Deferred { .. })), "{passing:?}");
    }
    for of_server in [
        ("greeting", "554 go away"),
        ("EHLO", "502 no"),
        ("MAIL", "550 not you"),
        ("RCPT", "421 closing"),
    ] {
        let replies: &'static [_] = Box::leak(Box::new([of_server]));
        assert!(matches!(outcome(replies), Err(SendError::Later { .. })), "{of_server:?}");
    }
}

#[test]
fn a_mail_carries_its_date_and_how_to_unsubscribe() {
    let (server, heard) = conversation(&[]);
    send(&server, "duty@example.org", &sample(), TUESDAY).unwrap();
    let heard = heard.join().unwrap();
    assert!(
        heard.contains("RCPT TO:<duty@example.org>")
            && heard.contains("Date: Tue, 13 Jan 2026 13:00:00 +0000"),
        "{heard}"
    );
    assert!(
        heard
            .replace("\r\n ", " ")
            .contains("List-Unsubscribe: <mailto:alerts@example.org?subject=unsubscribe%20"),
        "{heard}"
    );
}
