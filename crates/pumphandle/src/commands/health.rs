//! `health`: whether a page is ready, for a container that has no other tool to ask with.

use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use anyhow::{Context, bail};

use super::{Failure, reached_at};
use crate::config::Config;

const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// Of the answer only the first line matters.
const ANSWER_BYTES_MAX: u64 = 4096;

pub(crate) fn run(config: &Config, address: Option<&str>) -> Result<(), Failure> {
    let listen = config.web.listen.to_string();
    Ok(ask(address.unwrap_or(&listen))?)
}

fn ask(address: &str) -> anyhow::Result<()> {
    let asked = || format!("failed to ask `http://{address}/readyz`");
    let at = reached_at(address.to_socket_addrs().with_context(asked)?.next().with_context(asked)?);
    let mut stream = TcpStream::connect_timeout(&at, ANSWER_WITHIN).with_context(asked)?;
    stream.set_read_timeout(Some(ANSWER_WITHIN))?;
    write!(stream, "GET /readyz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")
        .with_context(asked)?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer).with_context(asked)?;
    let answer = String::from_utf8_lossy(&answer);
    let status = answer.lines().next().unwrap_or_default();
    if status.split(' ').nth(1) != Some("200") {
        bail!("`http://{address}/readyz` answers `{status}`");
    }
    Ok(())
}
