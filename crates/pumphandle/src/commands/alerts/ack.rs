//! `alerts ack`: the same path as the page's, by its API if one listens, else on the streams
//! themselves.
//!
//! The data folder's lock says which: where it is held, a program runs that knows better.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use notify::http::{Limits, Request};
use record::{AlertChange, AlertEvent, Handling, Outcome, Refused};
use serde_json::{Value, json};

use crate::cli::Ack;
use crate::commands::{Failure, actor, export, reached_at};
use crate::config::Config;
use crate::printer;
use crate::roles::desk::Desk;
use crate::roles::{now, stores};

pub(crate) const CONNECT_WITHIN: Duration = Duration::from_millis(500);
const ANSWER_WITHIN: Duration = Duration::from_secs(20);
const ANSWER_BYTES_MAX: usize = 4 << 20;
pub(crate) const TOKEN: &str = "PUMPHANDLE_TOKEN";

pub(super) fn run(config: &Config, args: &Ack) -> Result<(), Failure> {
    let change = change(args)?;
    let at = reached_at(config.web.listen);
    let done = match TcpStream::connect_timeout(&at, CONNECT_WITHIN) {
        Ok(_) => by_api(at, args, change)?,
        Err(_) => on_streams(config, args, change)?,
    };
    let mut out = std::io::stdout().lock();
    if printer::is_for_people(args.json) {
        writeln!(out, "{}", printer::acknowledged(&done))?;
    } else {
        writeln!(out, "{done}")?;
    }
    Ok(())
}

fn change(args: &Ack) -> Result<AlertChange, Failure> {
    let instant = |option, written| export::instant(option, written);
    Ok(AlertChange {
        after: args.after.unwrap_or(0),
        state: named("--state", &args.state, Handling::parse, &Handling::ALL.map(Handling::name))?,
        outcome: named(
            "--outcome",
            &args.outcome,
            Outcome::parse,
            &Outcome::ALL.map(Outcome::name),
        )?,
        assignee: args.assignee.clone(),
        note: args.note.clone(),
        undo: args.undo,
        snooze_until: instant("--snooze-until", &args.snooze_until)?,
        emerged_at: instant("--emerged", &args.emerged)?,
        notified_at: instant("--notified", &args.notified)?,
        responded_at: instant("--responded", &args.responded)?,
    })
}

fn named<T>(
    option: &str,
    written: &Option<String>,
    parse: fn(&str) -> Option<T>,
    names: &[&str],
) -> Result<Option<T>, Failure> {
    let Some(name) = written else { return Ok(None) };
    match parse(name) {
        Some(value) => Ok(Some(value)),
        None => Err(Failure::usage(
            format!("unknown `{option} {name}`"),
            format!("one of {}", names.join(", ")),
        )),
    }
}

/// Acknowledging is what a change of a new alert is for.
fn triaged_if_new(change: AlertChange, known: usize) -> AlertChange {
    let state = change.state.or((known == 0 && !change.undo)
        .then_some(if change.outcome.is_some() { Handling::Decided } else { Handling::Triaged }));
    AlertChange { state, ..change }
}

fn on_streams(config: &Config, args: &Ack, change: AlertChange) -> Result<Value, Failure> {
    let journal = stores::journal(config)
        .context("no API listens, and the streams can't be opened either")?;
    let mut desk = Desk::open(&*journal, now)?;
    let known = desk.fold().get(&args.id).map_or(0, |(_, events)| events.len());
    let after = args.after.unwrap_or(u32::try_from(known)?);
    let change = AlertChange { after, ..triaged_if_new(change, known) };
    match desk.change(&args.id, &change, &actor(args.actor.clone())) {
        Ok(event) => Ok(shown(&event)),
        Err(Refused::Invalid(why)) => Err(Failure::usage(why, "")),
        Err(refused) => Err(anyhow!(refused).into()),
    }
}

fn shown(event: &AlertEvent) -> Value {
    json!({
        "alert": event.alert,
        "after": event.after,
        "state": event.state,
        "outcome": event.outcome,
        "assignee": event.assignee,
        "note": event.note,
        "actor": event.actor,
        "at": event.at.div_euclid(1_000_000),
    })
}

fn by_api(at: SocketAddr, args: &Ack, change: AlertChange) -> Result<Value, Failure> {
    let token = token(args.token_file.as_deref())?;
    let token = token.as_deref();
    if !args.id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
        return Err(anyhow!("no alert `{}`", args.id).into());
    }
    let path = format!("/api/v1/alerts/{}", args.id);
    let (status, alert) = ask(at, token, "GET", &path, None)?;
    if status != 200 {
        return Err(problem(status, &alert, token, "official").into());
    }
    let known = alert["alert"]["events"].as_array().map_or(0, Vec::len);
    let after = args.after.unwrap_or(u32::try_from(known)?);
    let change = AlertChange { after, ..triaged_if_new(change, known) };
    let (status, answer) =
        ask(at, token, "POST", &format!("{path}/changes"), Some(&serde_json::to_string(&change)?))?;
    if status == 200 {
        Ok(answer.get("event").cloned().unwrap_or(answer))
    } else {
        Err(problem(status, &answer, token, "official").into())
    }
}

/// The access token for the API: of a file, else of the environment.
pub(crate) fn token(file: Option<&Path>) -> anyhow::Result<Option<String>> {
    let text = match file {
        Some(file) => {
            let text = std::fs::read_to_string(file);
            Some(text.with_context(|| format!("failed to read `{}`", file.display()))?)
        }
        None => std::env::var(TOKEN).ok(),
    };
    Ok(text.map(|text| text.trim().to_owned()))
}

pub(crate) fn problem(
    status: u16,
    answer: &Value,
    token: Option<&str>,
    role: &str,
) -> anyhow::Error {
    let detail =
        answer["detail"].as_str().or(answer["title"].as_str()).unwrap_or("without a reason");
    let hint = if matches!(status, 401 | 403) && token.is_none() {
        format!(
            "\nhint: give a token of role `{role}` by `--token-file` or {TOKEN}; `pumphandle token \
                create` makes one"
        )
    } else {
        String::new()
    };
    anyhow!("the API answers {status}: {detail}{hint}")
}

pub(super) fn ask(
    at: SocketAddr,
    token: Option<&str>,
    method: &str,
    path: &str,
    body: Option<&str>,
) -> anyhow::Result<(u16, Value)> {
    ask_within(at, token, method, path, body, ANSWER_WITHIN)
}

pub(crate) fn ask_within(
    at: SocketAddr,
    token: Option<&str>,
    method: &str,
    path: &str,
    body: Option<&str>,
    within: Duration,
) -> anyhow::Result<(u16, Value)> {
    if token.is_some_and(|token| token.bytes().any(|byte| !byte.is_ascii_graphic())) {
        bail!("the token holds what no token holds");
    }
    let authorization = token.map(|token| format!("Bearer {token}"));
    let headers: Vec<(&str, &str)> =
        authorization.iter().map(|value| ("authorization", value.as_str())).collect();
    let body = body.unwrap_or_default().as_bytes();
    let request = Request { method, host: &at.to_string(), path, headers: &headers, body };
    let limits = Limits { deadline: within, body_deadline: within, body_bytes: ANSWER_BYTES_MAX };
    let response = notify::http::exchange(at, None, &request, &limits)
        .with_context(|| format!("failed to ask `http://{at}{path}`"))?;
    Ok((response.status, serde_json::from_slice(&response.body).unwrap_or(Value::Null)))
}
