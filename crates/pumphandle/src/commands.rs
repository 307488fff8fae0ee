//! One-off commands, a file each, and what they fail with.

mod alerts;
mod check;
mod crisis;
mod demo;
mod detect;
mod erase;
mod evaluate;
mod export;
mod health;
mod keys;
mod lines;
mod locate;
mod notify;
mod outputs;
mod reference;
mod regions;
mod rejects;
mod replay;
mod run;
mod simulate;
mod tags;
mod token;
mod topics;

use std::io::{IsTerminal, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::ExitCode;

use anyhow::Error;
use record::diagnostic::{Diagnostic, shorten_quotes};

use crate::EX_USAGE;
use crate::cli::{Cli, Command};
use crate::config::{self, Config};
use crate::logging;
use crate::roles::cluster::{self, Role};

/// Name of the person at a terminal: as given, otherwise the system's user name.
fn actor(name: Option<String>) -> String {
    name.or_else(|| std::env::var("USER").ok())
        .filter(|name| !name.trim().is_empty())
        .unwrap_or_else(|| "terminal".to_owned())
}

/// What a message quotes of something wrong.
fn quoted(text: &str) -> String {
    text.chars().take(120).collect()
}

/// Address for requests to a page: loopback for a page that listens on all addresses.
fn reached_at(listens: SocketAddr) -> SocketAddr {
    if listens.ip().is_unspecified() {
        (Ipv4Addr::LOCALHOST, listens.port()).into()
    } else {
        listens
    }
}

/// How a command fails: by what the user wrote, or by what happened.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Everything that is wrong with the configuration.
    Configuration(Vec<Diagnostic>),
    /// Bad usage, with a hint where one can be given.
    Usage {
        message: String,
        hint: Option<String>,
    },
    Other(Error),
}

impl<E: Into<Error>> From<E> for Failure {
    fn from(error: E) -> Failure {
        Failure::Other(error.into())
    }
}

impl Failure {
    pub(crate) fn usage(message: impl Into<String>, hint: impl Into<String>) -> Failure {
        let hint: String = hint.into();
        Failure::Usage { message: message.into(), hint: (!hint.is_empty()).then_some(hint) }
    }

    pub(crate) fn print(&self) {
        if matches!(self, Failure::Other(error) if is_broken_pipe(error)) {
            return;
        }
        if self.is_logged() {
            return;
        }
        let mut stderr = std::io::stderr().lock();
        // Where standard error is closed there is nobody left to tell.
        let _ = match self {
            Failure::Configuration(problems) => {
                problems.iter().try_for_each(|problem| write!(stderr, "{problem}"))
            }
            Failure::Usage { message, hint } => {
                let hint = hint.as_ref().map_or(String::new(), |hint| format!("hint: {hint}\n"));
                write!(stderr, "{}", shorten_quotes(&format!("error: {message}\n{hint}"), '`'))
            }
            Failure::Other(error) => {
                writeln!(stderr, "{}", shorten_quotes(&format!("error: {error:#}"), '`'))
            }
        };
    }

    /// Where the log is JSON, the last line of a role is too.
    fn is_logged(&self) -> bool {
        match self {
            Failure::Configuration(_) => false,
            Failure::Usage { message, hint: None } => logging::end_with(message),
            Failure::Usage { message, hint: Some(hint) } => {
                logging::end_with(&format!("{message}\nhint: {hint}"))
            }
            Failure::Other(error) => logging::end_with(&format!("{error:#}")),
        }
    }

    pub(crate) fn code(&self) -> ExitCode {
        match self {
            Failure::Configuration(_) | Failure::Usage { .. } => ExitCode::from(EX_USAGE),
            // A reader that has had enough (`| head`) is no failure.
            Failure::Other(error) if is_broken_pipe(error) => ExitCode::SUCCESS,
            Failure::Other(_) => ExitCode::FAILURE,
        }
    }
}

/// Writers of CSV and JSON wrap the error of the pipe without naming it as their cause.
fn is_broken_pipe(error: &Error) -> bool {
    error.chain().any(|cause| {
        let io = cause.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
        let csv = cause.downcast_ref::<csv::Error>().and_then(|error| match error.kind() {
            csv::ErrorKind::Io(error) => Some(error.kind()),
            _ => None,
        });
        let json =
            cause.downcast_ref::<serde_json::Error>().and_then(serde_json::Error::io_error_kind);
        [io, csv, json].contains(&Some(std::io::ErrorKind::BrokenPipe))
    })
}

pub(crate) fn run(cli: Cli) -> Result<(), Failure> {
    let load = || {
        let config = load(cli.config.as_deref(), &cli.set)?;
        logging::start(&config.log);
        Ok(config)
    };
    match cli.command {
        Command::Demo(args) => demo::run(&args, cli.config.as_deref(), &cli.set),
        Command::Run(args) => run::run(load()?, args.until_drained, args.json),
        Command::Ingest(args) => run::role(&load()?, Role::Ingest, args.until_drained, args.json),
        Command::Tally(args) => run::role(&load()?, Role::Tally, args.until_drained, args.json),
        Command::Watch(args) => run::role(&load()?, Role::Watch, args.until_drained, args.json),
        Command::Land(args) => run::role(&load()?, Role::Land, args.until_drained, args.json),
        Command::Serve(args) => run::role(&load()?, Role::Serve, args.until_drained, args.json),
        Command::Migrate => Ok(cluster::migrate(&load()?)?),
        Command::Replay(args) => replay::run(&load()?, &args),
        Command::Simulate(args) => default_log(|| simulate::run(&args)),
        Command::Tags => tags::run(&load()?),
        Command::Locate(args) => locate::run(&load()?, &args),
        Command::Regions(args) => regions::run(load, &args.command),
        Command::Detect(args) => default_log(|| detect::run(&args)),
        Command::Evaluate(args) => default_log(|| evaluate::run(&args)),
        Command::Topics(args) => topics::run(&load()?, &args.command),
        Command::Check(args) => check(cli.config.as_deref(), &cli.set, args.today.as_deref()),
        Command::Crisis(args) => crisis::run(load, &args.command),
        Command::Alerts(args) => alerts::run(&load()?, &args.command),
        Command::Notify(args) => notify::run(&load()?, &args.command),
        Command::Rejects(args) => rejects::run(&load()?, &args.command),
        Command::Reference(args) => reference::run(&load()?, &args.command),
        Command::Token(args) => token::run(&load()?, &args.command),
        Command::Keys(args) => keys::run(&load()?, &args.command),
        Command::Erase(args) => erase::run(&load()?, &args),
        Command::Health { address } => health::run(&load()?, address.as_deref()),
        Command::Export(args) => export::run(&load()?, &args),
    }
}

/// For commands that read no configuration.
fn default_log(run: impl FnOnce() -> Result<(), Failure>) -> Result<(), Failure> {
    logging::start(&config::Log::default());
    run()
}

fn load(file: Option<&Path>, sets: &[String]) -> Result<Config, Failure> {
    config::load(file, sets, config::environment()).map_err(Failure::Configuration)
}

fn check(file: Option<&Path>, sets: &[String], today: Option<&str>) -> Result<(), Failure> {
    if check::run(file, sets, check::today(today)?, &mut std::io::stdout().lock()) {
        Ok(())
    } else {
        Err(Failure::Configuration(Vec::new()))
    }
}

/// Whether a progress bar would be seen.
pub(crate) fn stderr_is_terminal() -> bool {
    std::io::stderr().is_terminal()
}
