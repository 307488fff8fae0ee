//! `notify`: tries a subscription before an alert does.

use std::io::{Write, stdout};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::anyhow;
use serde_json::Value;
use web::{TestOutcome, Tested};

use super::alerts::ack;
use super::{Failure, quoted, reached_at};
use crate::cli::{NotifyCommand, NotifyTest};
use crate::config::Config;
use crate::roles::notifier::channels::Channels;
use crate::roles::{now, stores, subscribers};

/// Mail servers may take their time, for each recipient.
const ANSWER_WITHIN: Duration = Duration::from_secs(70);

pub(crate) fn run(config: &Config, command: &NotifyCommand) -> Result<(), Failure> {
    match command {
        NotifyCommand::Test(args) => test(config, args),
    }
}

/// Sends a test by the subscription's channel: what a file says from here, what the page says by
/// its API, or by the streams where no page listens.
fn test(config: &Config, args: &NotifyTest) -> Result<(), Failure> {
    let at = reached_at(config.web.listen);
    let tested = match subscribers::find(None, config, &args.name)? {
        Some(subscription) => Channels::of(config, false)?.test(&subscription, now()),
        None if TcpStream::connect_timeout(&at, ack::CONNECT_WITHIN).is_ok() => {
            by_api(config, args)?
        }
        None => on_streams(config, args)?,
    };
    let mut out = stdout().lock();
    for Tested { recipient, outcome } in &tested {
        match outcome {
            TestOutcome::Accepted => writeln!(out, "{recipient}: accepted")?,
            TestOutcome::Refused { code, why } => {
                writeln!(out, "{recipient}: refused {code} {why}")?
            }
            TestOutcome::Failed { why } => writeln!(out, "{recipient}: failed: {why}")?,
        }
    }
    let missed = tested.iter().filter(|one| one.outcome != TestOutcome::Accepted).count();
    if missed > 0 {
        return Err(
            anyhow!("{missed} of {} recipients did not accept the test", tested.len()).into()
        );
    }
    Ok(())
}

fn unknown(config: &Config, name: &str, others: &[String]) -> Failure {
    let of_files = config.notify.subscriptions.iter().map(|subscription| subscription.name.clone());
    let mut names: Vec<String> = of_files.chain(others.iter().cloned()).collect();
    names.sort();
    names.dedup();
    let hint = match names.is_empty() {
        true => "there are none: set files in `notify.subscriptions`, or create one on the page"
            .to_owned(),
        false => {
            format!("there are {}", names.iter().take(20).cloned().collect::<Vec<_>>().join(", "))
        }
    };
    Failure::usage(format!("no subscription `{}`", quoted(name)), hint)
}

fn on_streams(config: &Config, args: &NotifyTest) -> Result<Vec<Tested>, Failure> {
    let journal = stores::journal(config)?;
    match subscribers::find(Some(&*journal), config, &args.name)? {
        Some(subscription) => Ok(Channels::of(config, false)?.test(&subscription, now())),
        None => Err(unknown(
            config,
            &args.name,
            &subscribers::names(&*journal, config)?.into_iter().collect::<Vec<_>>(),
        )),
    }
}

fn by_api(config: &Config, args: &NotifyTest) -> Result<Vec<Tested>, Failure> {
    let token = ack::token(args.token_file.as_deref())?;
    let token = token.as_deref();
    if !args.name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
        return Err(unknown(config, &args.name, &[]));
    }
    let path = format!("/api/v1/subscriptions/{}/test", args.name);
    let (status, answer) =
        ack::ask_within(reached_at(config.web.listen), token, "POST", &path, None, ANSWER_WITHIN)?;
    match status {
        200 => Ok(answer["recipients"].as_array().into_iter().flatten().map(tested).collect()),
        404 => Err(unknown(config, &args.name, &[])),
        _ => Err(ack::problem(status, &answer, token, "official").into()),
    }
}

fn tested(shown: &Value) -> Tested {
    let why = || shown["why"].as_str().unwrap_or_default().to_owned();
    let code = shown["code"].as_u64().and_then(|code| u16::try_from(code).ok()).unwrap_or(0);
    let outcome = match shown["outcome"].as_str() {
        Some("accepted") => TestOutcome::Accepted,
        Some("refused") => TestOutcome::Refused { code, why: why() },
        _ => TestOutcome::Failed { why: why() },
    };
    Tested { recipient: shown["recipient"].as_str().unwrap_or_default().to_owned(), outcome }
}
