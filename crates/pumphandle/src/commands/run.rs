//! `run`: all roles in one process, on the configured feeds; and each role as a process of its own.

use std::net::TcpListener;
use std::sync::Arc;

use anyhow::Context as _;
use tokio::runtime::Handle;
use tokio::signal::unix::{SignalKind, signal};
use web::Metrics;

use super::Failure;
use crate::config::Config;
use crate::logging;
use crate::monitor;
use crate::roles;
use crate::roles::cluster::{self, Role};
use crate::roles::embedded::{self, Embedded};
use crate::roles::health::Health;
use crate::roles::secrets::{self, Uses};
use crate::runtime::{self, Stop};

pub(crate) fn run(config: Config, until_drained: bool, json: bool) -> Result<(), Failure> {
    logging::introduce("run", &config);
    warn(&config);
    secrets::require(&config, Uses::ALL)?;
    let metrics = Arc::new(Metrics::default());
    let health = Arc::new(Health::default());
    let io = runtime::start_io()?;
    monitor::start("run", &config, &metrics, monitor::readiness(&health), io.handle())?;
    let stop = Stop::default();
    let listener = TcpListener::bind(config.web.listen)
        .with_context(|| format!("failed to listen on `{}`", config.web.listen));
    // A job that ends by itself needs no page.
    let listener = if until_drained { listener.ok() } else { Some(listener?) };
    if let Some(address) = listener.as_ref().and_then(|listener| listener.local_addr().ok()) {
        tracing::info!(page = format!("http://{address}"), "serving");
    }
    stop_on_signals(&stop, io.handle())?;
    let embedded = Embedded {
        config,
        until_drained,
        simulated: false,
        clock: roles::now,
        people_clock: roles::now,
        metrics,
        health,
        json,
        io: io.handle().clone(),
    };
    Ok(embedded::run(&embedded, Vec::new(), &stop, listener)?)
}

/// What `check` warns of, in the log.
fn warn(config: &Config) {
    for warning in &config.warnings {
        tracing::warn!(
            "{}",
            warning.as_warning().to_string().trim_start_matches("warning: ").replace('\n', "; ")
        );
    }
}

/// One role, until a signal or until drained.
pub(crate) fn role(
    config: &Config,
    role: Role,
    until_drained: bool,
    json: bool,
) -> Result<(), Failure> {
    if let Some((message, hint)) = role.refusal(config) {
        return Err(Failure::usage(message, hint));
    }
    logging::introduce(role.name(), config);
    warn(config);
    secrets::require(config, role.uses())?;
    let stop = Stop::default();
    let io = runtime::start_io()?;
    stop_on_signals(&stop, io.handle())?;
    Ok(cluster::run(config, role, until_drained, json, &stop, io.handle())?)
}

/// The first signal drains, the second ends at once.
pub(crate) fn stop_on_signals(stop: &Stop, io: &Handle) -> Result<(), Failure> {
    let _entered = io.enter();
    let (mut interrupt, mut terminate) =
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let stop = stop.clone();
    io.spawn(async move {
        tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} }
        tracing::info!("stopping: draining; press again to exit immediately");
        stop.request();
        tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} }
        std::process::exit(130);
    });
    Ok(())
}
