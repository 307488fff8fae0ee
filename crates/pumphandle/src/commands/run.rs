//! `run`: all roles in one process, on the configured feeds; and each role as a process of its own.

use std::net::TcpListener;
use std::sync::Arc;

use anyhow::Context;
use web::Metrics;

use super::Failure;
use crate::config::Config;
use crate::logging;
use crate::monitor;
use crate::roles::cluster::{self, Role};
use crate::roles::embedded::{self, Embedded};
use crate::roles::health::Health;
use crate::roles::secrets::{self, Uses};
use crate::roles::{self, Stop};

pub(crate) fn run(config: Config, until_drained: bool, json: bool) -> Result<(), Failure> {
    logging::introduce("run", &config);
    warn(&config);
    secrets::require(&config, Uses::ALL)?;
    let metrics = Arc::new(Metrics::default());
    let health = Arc::new(Health::default());
    monitor::start("run", &config, &metrics, monitor::readiness(&health))?;
    let stop = Stop::default();
    let listener = TcpListener::bind(config.web.listen)
        .with_context(|| format!("failed to listen on `{}`", config.web.listen));
    // A job that ends by itself needs no page.
    let listener = if until_drained { listener.ok() } else { Some(listener?) };
    if let Some(address) = listener.as_ref().and_then(|listener| listener.local_addr().ok()) {
        tracing::info!(page = format!("http://{address}"), "serving");
    }
    stop_on_signals(&stop)?;
    let (worlds, clock) = (Vec::new(), roles::now);
    let embedded = Embedded {
        config,
        until_drained,
        worlds,
        simulated: false,
        clock,
        people_clock: clock,
        metrics,
        health,
        json,
    };
    embedded::run(embedded, &stop, listener)?;
    Ok(())
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
    stop_on_signals(&stop)?;
    cluster::run(config, role, until_drained, json, &stop)?;
    Ok(())
}

/// The first signal drains, the second ends at once.
pub(crate) fn stop_on_signals(stop: &Stop) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (mut interrupt, mut terminate) = {
        use tokio::signal::unix::{SignalKind, signal};
        let _entered = runtime.enter();
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?)
    };
    let stop = stop.clone();
    // Ends with the process: nothing in it needs to be put away.
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        runtime.block_on(async {
            let mut signals = 0;
            loop {
                tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} }
                signals += 1;
                if signals > 1 {
                    std::process::exit(130);
                }
                tracing::info!("stopping: draining; press again to exit immediately");
                stop.ask();
            }
        });
    })?;
    Ok(())
}
