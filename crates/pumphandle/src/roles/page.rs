//! What the page is handed: the warehouse, names of places, and who may see and do what.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use warehouse::Warehouse;
use web::{Access, Feeds, Metrics, Role, Web};

use crate::config::Config;
use crate::roles::health::Health;
use crate::roles::{notifier, stores};
use crate::runtime::{self, Context, Progress};
use crate::{near, start_link, tokens};

/// How often the server is checked.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// The role that serves the page.
pub(crate) struct Page {
    io: tokio::runtime::Handle,
    waiting: Option<(TcpListener, Web)>,
    server: Option<JoinHandle<std::io::Result<()>>>,
    /// Dropped to end the server.
    running: Option<oneshot::Sender<()>>,
}

impl Page {
    pub(crate) fn new(io: tokio::runtime::Handle, listener: TcpListener, web: Web) -> Page {
        Page { io, waiting: Some((listener, web)), server: None, running: None }
    }

    fn join(&mut self) -> anyhow::Result<()> {
        let Some(server) = self.server.take() else { return Ok(()) };
        Ok(self.io.block_on(server)??)
    }
}

impl runtime::Role for Page {
    fn turn(&mut self, _context: &Context) -> anyhow::Result<Progress> {
        if let Some((listener, web)) = self.waiting.take() {
            listener.set_nonblocking(true)?;
            let _entered = self.io.enter();
            let listener = tokio::net::TcpListener::from_std(listener)?;
            let (running, ended) = oneshot::channel();
            self.running = Some(running);
            let shutdown = async { drop(ended.await) };
            self.server = Some(self.io.spawn(web::serve(listener, web, shutdown)));
        }
        if self.server.as_ref().is_some_and(JoinHandle::is_finished) {
            self.join()?;
            return Ok(Progress::Ended);
        }
        Ok(Progress::Idle(LOOK_EVERY))
    }

    fn stop(&mut self, _context: &Context) -> anyhow::Result<()> {
        self.running = None;
        self.join()
    }
}

/// What `/readyz` adds to a query of the warehouse.
pub(crate) fn ready_check(health: &Arc<Health>) -> web::ReadyCheck {
    let health = Arc::clone(health);
    Arc::new(move || health.readiness())
}

pub(crate) fn web(
    config: &Config,
    warehouse: Arc<dyn Warehouse>,
    metrics: Arc<Metrics>,
    simulated: bool,
    address: SocketAddr,
) -> anyhow::Result<Web> {
    Ok(Web {
        simulated,
        metrics,
        hosts: config.web.hosts.clone(),
        region_names: config.places.names(),
        topic_names: notifier::topic_names(),
        campaigns: campaigns(config),
        feeds: Some(Feeds {
            folder: notifier::feeds(config),
            is_public: notify::channel::cap::is_public,
        }),
        describe: notifier::describe(config),
        access: access(config, simulated, address)?,
        requests_a_minute: config.web.requests_per_minute,
        requests_at_once: config.limits.requests,
        connections_per_address: config.web.connections_per_address,
        spool: spool(config)?,
        suggest_topic: Arc::new(suggest_topic(config)),
        suggest_region: Arc::new(suggest_region(config)),
        ..Web::new(warehouse)
    })
}

/// Exports wait for their readers in the data folder: a folder for temporary files may be small,
/// and in memory.
fn spool(config: &Config) -> anyhow::Result<PathBuf> {
    let data = config.journal.data.clone();
    std::fs::create_dir_all(&data)
        .with_context(|| format!("failed to make the data folder `{}`", data.display()))?;
    Ok(data)
}

fn suggest_topic(config: &Config) -> impl Fn(&str) -> Option<String> + use<> {
    let lexicon = Arc::clone(&config.topics.lexicon);
    move |written| near::topic(&lexicon, written)
}

fn suggest_region(config: &Config) -> impl Fn(&str) -> Option<String> + use<> {
    let atlas = Arc::clone(&config.places.placing.atlas);
    move |written| near::region(&atlas, written)
}

fn campaigns(config: &Config) -> BTreeMap<String, Vec<String>> {
    let topics = config.topics.lexicon.topics().iter().filter(|topic| !topic.days.is_empty());
    topics
        .map(|topic| (topic.id.clone(), topic.days.iter().map(ToString::to_string).collect()))
        .collect()
}

/// Nobody's secrets are in a simulated world: there whoever can reach the page may do what
/// officials do.
/// Elsewhere, while no token has been made, a start link is made: for a terminal and a file, never
/// for the log.
fn access(config: &Config, simulated: bool, address: SocketAddr) -> anyhow::Result<Access> {
    let file = tokens::file(&config.journal.data);
    let proxies = config.web.trusted_proxies.clone();
    let anonymous = if simulated { Role::Official } else { config.web.anonymous };
    let https = config.notify.page.as_deref().is_some_and(|page| page.starts_with("https://"));
    let proxy_secret = config.web.proxy_secret_file.as_deref().map(stores::secret).transpose()?;
    let link_file = start_link::file(&config.journal.data);
    if anonymous < Role::Official && proxy_secret.is_none() && tokens::read(&file)?.is_empty() {
        let link = start_link::make(&link_file, &address_of(config, address), super::now())?;
        if std::io::stderr().is_terminal() {
            writeln!(
                std::io::stderr().lock(),
                "Open this link within ten minutes, it works once: {link}"
            )?;
        }
        tracing::info!(
            file = %link_file.display(),
            "no token has been made: a link in this file opens the page once, within ten minutes; \
                `pumphandle token link` prints another"
        );
    }
    let start = (anonymous < Role::Official).then(|| start_link::spent_by(link_file, super::now));
    Ok(Access { anonymous, tokens: tokens::lookup(file), start, proxies, proxy_secret, https })
}

/// Where people open the page: where mails say it is, else where it listens. One that listens
/// everywhere is called by the name that works here.
pub(crate) fn address_of(config: &Config, listens: SocketAddr) -> String {
    let host = if listens.ip().is_unspecified() {
        format!("localhost:{}", listens.port())
    } else {
        listens.to_string()
    };
    config.notify.page.clone().unwrap_or_else(|| format!("http://{host}"))
}
