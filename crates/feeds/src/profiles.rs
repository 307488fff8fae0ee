//! Client of Bluesky's `app.bsky.actor.getProfiles`, 25 authors per request.
//!
//! | arrives | form | what is lost |
//! |---|---|---|
//! | a batch of dids | `GET …?actors=…&actors=…` | |
//! | the answer | JSON `profiles[]` with `did`, `description`, `labels[]` | all but the description; of accounts that don't want to be seen without a login that too |
//!
//! One request at a time, no faster than allowed; `ratelimit-*` and `retry-after` are obeyed,
//! failures wait longer each time. Knows no posts: what comes back is for [`crate::intake`] to use.

use std::time::Duration;

use http_body_util::{BodyExt, Empty, Limited};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use record::time::SECOND;
use rustls::ClientConfig;
use serde::Deserialize;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio::time::{Instant, sleep_until, timeout};

use crate::clock::Clock;

/// No server takes more in one request.
pub const BATCH_MAX: usize = 25;
const PATH: &str = "/xrpc/app.bsky.actor.getProfiles";
const ANSWER_BYTES_MAX: usize = 4 << 20;
/// Who doesn't want to be shown to those who aren't logged in.
const UNSEEN: &str = "!no-unauthenticated";

#[derive(Debug, Clone, PartialEq)]
pub struct ProfileSettings {
    /// `https://public.api.bsky.app`
    pub url: String,
    pub requests_per_minute: u32,
    pub request_timeout: Duration,
    pub back_off_first: Duration,
    pub back_off_max: Duration,
    /// Who asks.
    pub user_agent: String,
}

impl ProfileSettings {
    pub fn new(url: &str) -> ProfileSettings {
        ProfileSettings {
            url: url.trim_end_matches('/').to_owned(),
            requests_per_minute: 300,
            request_timeout: Duration::from_secs(15),
            back_off_first: Duration::from_secs(1),
            back_off_max: Duration::from_secs(300),
            user_agent: crate::USER_AGENT.to_owned(),
        }
    }
}

/// What came of one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Each author requested, with what they say of themselves; none where there is no such profile
    /// any more.
    Profiles(Profiles),
    /// Ask again.
    Failed { authors: Vec<String>, why: String },
}

/// The other end of the task that asks.
pub(crate) struct Asker {
    batches: mpsc::Sender<Vec<String>>,
    answers: mpsc::Receiver<Answer>,
    pub(crate) busy: bool,
}

impl Asker {
    /// In the runtime of the caller.
    pub(crate) fn start(settings: ProfileSettings, clock: Clock, tls: &ClientConfig) -> Asker {
        let (batches, wanted) = mpsc::channel(1);
        let (sender, answers) = mpsc::channel(1);
        tokio::spawn(ask(settings, clock, tls.clone(), wanted, sender));
        Asker { batches, answers, busy: false }
    }

    /// The batch comes back if there is no room for it now.
    pub(crate) fn ask(&mut self, batch: Vec<String>) -> Result<(), Vec<String>> {
        match self.batches.try_send(batch) {
            Ok(()) => {
                self.busy = true;
                Ok(())
            }
            Err(TrySendError::Full(batch) | TrySendError::Closed(batch)) => Err(batch),
        }
    }

    pub(crate) async fn answer(&mut self) -> Option<Answer> {
        let answer = self.answers.recv().await;
        self.busy = false;
        answer
    }
}

#[derive(Debug, Deserialize)]
struct Body {
    profiles: Vec<Profile>,
}

#[derive(Debug, Deserialize)]
struct Profile {
    did: String,
    #[serde(default)]
    description: Option<String>,
    #[serde(default)]
    labels: Vec<Label>,
}

#[derive(Debug, Deserialize)]
struct Label {
    #[serde(default)]
    val: String,
}

type Http = Client<HttpsConnector<HttpConnector>, Empty<hyper::body::Bytes>>;

/// Why a request brought nothing, and when the next may be made.
struct Failure {
    why: String,
    /// Time stated by the server.
    until: Option<Instant>,
    /// The request itself is at fault: asking the same again is of no use.
    refused: bool,
}

async fn ask(
    settings: ProfileSettings,
    clock: Clock,
    tls: ClientConfig,
    mut wanted: mpsc::Receiver<Vec<String>>,
    sender: mpsc::Sender<Answer>,
) {
    let connector = hyper_rustls::HttpsConnectorBuilder::new()
        .with_tls_config(tls)
        .https_or_http()
        .enable_http1()
        .build();
    let http: Http = Client::builder(TokioExecutor::new()).build(connector);
    let pace = Duration::from_secs(60) / settings.requests_per_minute.max(1);
    let mut back_off = settings.back_off_first;
    let mut next = Instant::now();
    while let Some(batch) = wanted.recv().await {
        sleep_until(next).await;
        let result = request(&http, &settings, &batch, &clock).await;
        next = Instant::now() + pace;
        let answer = match result {
            Ok((answer, until)) => {
                back_off = settings.back_off_first;
                next = next.max(until.unwrap_or(next));
                Answer::Profiles(answer)
            }
            // One author whom the server doesn't take spoils a batch: then each is queried alone.
            Err(failure) if failure.refused && batch.len() > 1 => {
                let (answered, left) = one_by_one(&http, &settings, batch, pace, &clock).await;
                if !left.is_empty()
                    && sender
                        .send(Answer::Failed { authors: left, why: failure.why })
                        .await
                        .is_err()
                {
                    return;
                }
                Answer::Profiles(answered)
            }
            Err(failure) if failure.refused => Answer::Profiles(
                batch.into_iter().map(|author| (author, Description::Nothing)).collect(),
            ),
            Err(failure) => {
                next = next.max(failure.until.unwrap_or(Instant::now() + back_off));
                back_off = (back_off * 2).min(settings.back_off_max);
                Answer::Failed { authors: batch, why: failure.why }
            }
        };
        if sender.send(answer).await.is_err() {
            return;
        }
    }
}

async fn one_by_one(
    http: &Http,
    settings: &ProfileSettings,
    batch: Vec<String>,
    pace: Duration,
    clock: &Clock,
) -> (Profiles, Vec<String>) {
    let (mut all, mut left) = (Profiles::new(), Vec::new());
    for author in batch {
        tokio::time::sleep(pace).await;
        match request(http, settings, std::slice::from_ref(&author), clock).await {
            Ok((mut answer, _)) => all.append(&mut answer),
            Err(failure) if failure.refused => all.push((author, Description::Nothing)),
            Err(_) => left.push(author),
        }
    }
    (all, left)
}

/// What a profile says for us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Description {
    Says(String),
    /// There is no description, or no such author.
    Nothing,
    /// The author wants to be shown to nobody who is not signed in.
    OptedOut,
}

pub(crate) type Profiles = Vec<(String, Description)>;

async fn request(
    http: &Http,
    settings: &ProfileSettings,
    batch: &[String],
    clock: &Clock,
) -> Result<(Profiles, Option<Instant>), Failure> {
    let query: Vec<String> =
        batch.iter().map(|author| format!("actors={}", encoded(author))).collect();
    let failed = |why: String| Failure { why, until: None, refused: false };
    let uri = format!("{}{PATH}?{}", settings.url, query.join("&"));
    let uri: hyper::Uri = uri.parse().map_err(|_| failed("no address".to_owned()))?;
    let request = hyper::Request::get(uri)
        .header(hyper::header::USER_AGENT, &settings.user_agent)
        .body(Empty::new());
    let request = request.map_err(|_| failed("no request can be made".to_owned()))?;
    let response = timeout(settings.request_timeout, http.request(request)).await;
    let response = response
        .map_err(|_| failed("no answer in time".to_owned()))?
        .map_err(|error| failed(format!("no connection: {}", causes(&error))))?;
    let status = response.status();
    let number = |name: &str| -> Option<i64> {
        response.headers().get(name)?.to_str().ok()?.trim().parse().ok()
    };
    // The reset is an instant of the server's clock, in seconds; a retry is a span.
    let reset = number("ratelimit-reset")
        .map(|at| at.saturating_sub(clock.wall() / SECOND).clamp(0, 3_600));
    let spent = number("ratelimit-remaining") == Some(0);
    let wait = number("retry-after")
        .map(|seconds| seconds.clamp(0, 3_600))
        .or(reset.filter(|_| spent || status.as_u16() == 429));
    let until = wait.map(|seconds| Instant::now() + Duration::from_secs(seconds.unsigned_abs()));
    if !status.is_success() {
        let refused = status.is_client_error() && !matches!(status.as_u16(), 401 | 403 | 408 | 429);
        return Err(Failure { why: format!("the server answers {status}"), until, refused });
    }
    let body = timeout(
        settings.request_timeout,
        Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect(),
    )
    .await;
    let body = body
        .map_err(|_| failed("the answer stopped".to_owned()))?
        .map_err(|error| failed(format!("the answer broke: {error}")))?;
    let body: Body = sonic_rs::from_slice(&body.to_bytes())
        .map_err(|_| failed("the answer can't be read".to_owned()))?;
    let mut profiles: Profiles =
        batch.iter().map(|author| (author.clone(), Description::Nothing)).collect();
    for profile in body.profiles {
        let unseen = profile.labels.iter().any(|label| label.val == UNSEEN);
        if let Some(of) = profiles.iter_mut().find(|(author, _)| *author == profile.did) {
            of.1 = if unseen {
                Description::OptedOut
            } else {
                profile.description.map_or(Description::Nothing, Description::Says)
            };
        }
    }
    Ok((profiles, until))
}

/// An error and its causes, outermost first.
fn causes(error: &dyn std::error::Error) -> String {
    std::iter::successors(Some(error), |error| error.source())
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}

/// As part of a query; a did holds little else than letters, digits and colons.
fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:".contains(&byte);
    text.bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

#[cfg(test)]
pub(crate) mod tests;
