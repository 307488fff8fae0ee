//! `health`: checks that a page is ready, for a container without another HTTP client.

use std::net::ToSocketAddrs;
use std::time::Duration;

use anyhow::{Context, bail};

use super::alerts::ack;
use super::{Failure, reached_at};
use crate::config::Config;

const ANSWER_WITHIN: Duration = Duration::from_secs(5);

pub(crate) fn run(config: &Config, address: Option<&str>) -> Result<(), Failure> {
    let listen = config.web.listen.to_string();
    Ok(check_ready(address.unwrap_or(&listen))?)
}

fn check_ready(address: &str) -> anyhow::Result<()> {
    let failed = || format!("failed to ask `http://{address}/readyz`");
    let resolved = address.to_socket_addrs().with_context(failed)?.next().with_context(failed)?;
    let at = reached_at(resolved);
    let (status, _) = ack::ask_within(at, None, "GET", "/readyz", None, ANSWER_WITHIN)?;
    if status != 200 {
        bail!("`http://{address}/readyz` answers {status}");
    }
    Ok(())
}
