//! The client against a real server on a port of ours: what it asks, how it waits, and what becomes
//! of the posts.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use super::*;
use crate::clock::Now;

/// What the server answers to one request after another; the last one repeats for ever.
#[derive(Clone)]
pub(crate) enum Does {
    /// A profile of each author requested but `did:gone`.
    Answer,
    /// Status and headers.
    Refuse(&'static str),
    /// Refuses what names this author.
    RefuseOf(&'static str),
    Say(&'static str),
}

pub(crate) struct Server {
    url: String,
    /// The authors of each request.
    requests: Arc<Mutex<Vec<Vec<String>>>>,
}

impl Server {
    pub(crate) fn start(does: Vec<Does>) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        // Ends with the process.
        std::thread::spawn(move || {
            let mut nth = 0;
            while let Ok((mut stream, _)) = listener.accept() {
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                let mut line = String::new();
                while reader.read_line(&mut line).is_ok_and(|bytes| bytes > 0) {
                    if line.starts_with("GET ") {
                        let query = line.split(['?', ' ']).nth(2).unwrap_or_default();
                        let authors: Vec<String> = query
                            .split('&')
                            .filter_map(|pair| pair.strip_prefix("actors="))
                            .map(str::to_owned)
                            .collect();
                        assert!(
                            line.starts_with("GET /xrpc/app.bsky.actor.getProfiles?actors="),
                            "{line}"
                        );
                        let does = does[nth.min(does.len() - 1)].clone();
                        nth += 1;
                        seen.lock().unwrap().push(authors.clone());
                        stream.write_all(answer(&does, &authors).as_bytes()).unwrap();
                    }
                    line.clear();
                }
            }
        });
        Server { url, requests }
    }

    pub(crate) fn settings(&self) -> ProfileSettings {
        ProfileSettings {
            requests_per_minute: 60_000,
            back_off_first: Duration::from_millis(1),
            ..ProfileSettings::new(&self.url)
        }
    }

    pub(crate) fn requests(&self) -> Vec<Vec<String>> {
        self.requests.lock().unwrap().clone()
    }
}

fn answer(does: &Does, authors: &[String]) -> String {
    let body = match does {
        Does::Refuse(head) => return format!("HTTP/1.1 {head}\r\ncontent-length: 2\r\n\r\n{{}}"),
        Does::RefuseOf(author) if authors.iter().any(|name| name == author) => {
            return "HTTP/1.1 400 Bad Request\r\ncontent-length: 2\r\n\r\n{}".to_owned();
        }
        Does::Say(body) => (*body).to_owned(),
        Does::Answer | Does::RefuseOf(_) => {
            let profile = |author: &String| {
                format!(
                    r#"{{"did":"{author}","handle":"h","description":"nurse | Leeds, UK","labels":[]}}"#
                )
            };
            let profiles: Vec<String> =
                authors.iter().filter(|author| *author != "did:gone").map(profile).collect();
            format!(r#"{{"profiles":[{}]}}"#, profiles.join(","))
        }
    };
    format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn clock() -> i64 {
    1_767_603_600 * SECOND
}

fn authors(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| format!("did:{name}")).collect()
}

/// The answers to one batch after another, each requested when the one before is there.
fn answers(settings: ProfileSettings, batches: Vec<Vec<String>>) -> Vec<Answer> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async move {
        let clock = Clock::of(|| Now { wall: clock(), monotonic: 0 });
        let tls = crate::tls::client_config(&[]).unwrap();
        let mut asker = Asker::start(settings, clock, &tls);
        let mut all = Vec::new();
        for batch in batches {
            asker.ask(batch).unwrap();
            assert!(asker.busy);
            all.push(timeout(Duration::from_secs(20), asker.answer()).await.unwrap().unwrap());
        }
        all
    })
}

#[test]
fn a_batch_is_one_request_and_who_is_gone_says_nothing() {
    let server = Server::start(vec![Does::Answer]);
    let batch: Vec<String> =
        authors(&["gone"]).into_iter().chain((1..BATCH_MAX).map(|n| format!("did:{n}"))).collect();
    let said = answers(server.settings(), vec![batch.clone(), authors(&["a"])]);
    let Answer::Profiles(first) = &said[0] else { panic!("{said:?}") };
    assert_eq!(first.len(), BATCH_MAX);
    assert_eq!(first[0], ("did:gone".to_owned(), Description::Nothing));
    assert!(
        first[1..]
            .iter()
            .all(|(_, said)| *said == Description::Says("nurse | Leeds, UK".to_owned()))
    );
    assert_eq!(server.requests(), [batch, authors(&["a"])]);
}

#[test]
fn who_wants_not_to_be_seen_is_not() {
    let body = r#"{"profiles":[{"did":"did:a","description":"Leeds","labels":[{"val":"!no-unauthenticated","src":"did:a"}]},{"did":"did:b","labels":[]}]}"#;
    let server = Server::start(vec![Does::Say(body)]);
    let said = answers(server.settings(), vec![authors(&["a", "b"])]);
    assert_eq!(
        said,
        [Answer::Profiles(vec![
            ("did:a".to_owned(), Description::OptedOut),
            ("did:b".to_owned(), Description::Nothing)
        ])]
    );
}

#[test]
fn limits_of_the_server_are_obeyed_and_failures_asked_again() {
    // The reset is a second ahead of our clock.
    let limited = "429 Too Many Requests\r\nratelimit-remaining: 0\r\nratelimit-reset: 1767603601";
    let server = Server::start(vec![
        Does::Refuse(limited),
        Does::Refuse("503 Service Unavailable"),
        Does::Say("not json"),
        Does::Answer,
    ]);
    let began = Instant::now();
    let said = answers(server.settings(), vec![authors(&["a"]); 4]);
    assert!(began.elapsed() >= Duration::from_secs(1), "{:?}", began.elapsed());
    for (answer, why) in said.iter().zip(["429", "503", "can't be read"]) {
        assert!(
            matches!(answer, Answer::Failed { authors: failed, why: said } if said.contains(why) && *failed == authors(&["a"])),
            "{answer:?}"
        );
    }
    assert!(matches!(&said[3], Answer::Profiles(said) if said.len() == 1));
}

#[test]
fn one_author_whom_the_server_refuses_spoils_nobody_else() {
    let server = Server::start(vec![Does::RefuseOf("did:bad")]);
    let said = answers(server.settings(), vec![authors(&["a", "bad", "b"])]);
    let Answer::Profiles(said) = &said[0] else { panic!("{said:?}") };
    let none = |author: &str| {
        said.iter().any(|(name, said)| name == author && *said == Description::Nothing)
    };
    assert!(said.len() == 3 && none("did:bad") && !none("did:a") && !none("did:b"), "{said:?}");
    assert_eq!(server.requests().len(), 4);
}

#[test]
fn a_server_that_is_not_there_is_a_failure_and_no_panic() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let settings = ProfileSettings {
        request_timeout: Duration::from_secs(5),
        ..ProfileSettings::new(&format!("http://{free}"))
    };
    let said = answers(settings, vec![authors(&["a"])]);
    assert!(
        matches!(&said[0], Answer::Failed { why, .. } if why.contains("no connection")),
        "{said:?}"
    );
}
