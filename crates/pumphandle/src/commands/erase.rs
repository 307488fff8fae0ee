//! `erase`: takes an author's posts back, by the API of a running program, else on the streams
//! themselves.

use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, anyhow};
use record::Micros;
use record::time::SECOND;
use serde_json::{Value, json};
use web::{Erased, ErasureRefused};

use super::alerts::ack;
use super::{Failure, reached_at};
use crate::cli;
use crate::config::{Config, JournalKind};
use crate::roles::{erasure, now, stores};

/// All posts of the author's partition are looked through.
const ANSWER_WITHIN: Duration = Duration::from_secs(600);
const PATH: &str = "/api/v1/erasures";

pub(crate) fn run(config: &Config, args: &cli::Erase) -> Result<(), Failure> {
    let at = reached_at(config.web.listen);
    // In a cluster the keys are where ingest is, and the page has none.
    let asks = config.journal.kind == JournalKind::Local
        && TcpStream::connect_timeout(&at, ack::CONNECT_WITHIN).is_ok();
    let (erased, is_running) =
        if asks { (by_api(config, args)?, true) } else { (on_streams(config, args)?, false) };
    print(&erased, is_running || config.journal.kind != JournalKind::Local)?;
    Ok(())
}

fn on_streams(config: &Config, args: &cli::Erase) -> Result<Erased, Failure> {
    let journal =
        stores::journal(config).context("no API is running, and the streams cannot be opened")?;
    erasure::erase(&*journal, config, &args.author, now()).map_err(|refused| match refused {
        ErasureRefused::Invalid(why) => Failure::usage(why, ""),
        ErasureRefused::Failed(why) => anyhow!(why).into(),
    })
}

fn by_api(config: &Config, args: &cli::Erase) -> Result<Erased, Failure> {
    let token = ack::token(args.token_file.as_deref())?;
    let token = token.as_deref();
    let body = json!({ "author": args.author }).to_string();
    let at = reached_at(config.web.listen);
    let (status, answer) = ack::ask_within(at, token, "POST", PATH, Some(&body), ANSWER_WITHIN)?;
    if status != 200 {
        return Err(ack::problem(status, &answer, token, "operator").into());
    }
    read(&answer).ok_or_else(|| anyhow!("the API returned an invalid answer").into())
}

fn read(answer: &Value) -> Option<Erased> {
    let number = |name: &str| answer[name].as_u64();
    let instant = |name: &str| answer[name].as_i64().map(|seconds| seconds.saturating_mul(SECOND));
    Some(Erased {
        author: answer["author"].as_str()?.to_owned(),
        at: instant("at")?,
        posts: number("posts")?,
        topics: number("topics")?,
        cells: number("cells")?,
        older: number("older")?,
        log_until: instant("log_until")?,
        state_until: instant("state_until")?,
    })
}

fn print(erased: &Erased, is_running: bool) -> std::io::Result<()> {
    let shown = |at: Micros| record::time::display(at.div_euclid(SECOND) * SECOND);
    let mut out = std::io::stdout().lock();
    writeln!(out, "removal of {} appended at {}", erased.author, shown(erased.at))?;
    writeln!(
        out,
        "retracted: posts {}, topics {}, cells {}",
        erased.posts, erased.topics, erased.cells
    )?;
    if !is_running {
        writeln!(out, "not running: the counts change at the next start of `pumphandle run`")?;
    }
    writeln!(out, "not retracted: posts {} of final hours, included in sums", erased.older)?;
    writeln!(
        out,
        "pseudonymous copies: in the log until {}, in snapshots until {},",
        shown(erased.log_until),
        shown(erased.state_until)
    )?;
    writeln!(out, "longer only while a stage is down; in backups until they are deleted")
}
