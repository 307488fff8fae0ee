//! The roles around the pipeline: page, change handler, subscriptions, deliveries, monitors.
//!
//! The same in the embedded program and in `serve`; both put these groups behind their own. Counts
//! and lands nothing.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use journal::Journal;
use record::{Micros, Settings};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use warehouse::{Reading, Warehouse};
use web::{Metrics, Web};

use super::health::{Health, condition};
use super::monitor::{DeliveryMonitor, TokenMonitor};
use super::notifier::{self, Equipment};
use super::page::{self, Page};
use super::{desk, erasure, subscribers};
use crate::config::Config;
use crate::monitor::WarehouseMonitor;
use crate::runtime::supervisor::{self, OnFailure};
use crate::runtime::{Group, Stop, supervise};
use crate::tokens;

/// A process that has run for this long reports its next failure, however recent the one before it.
const SETTLED_AFTER: Duration = Duration::from_secs(3600);

/// What these roles share.
pub(crate) struct Services<'a> {
    pub(crate) config: &'a Config,
    /// None in a `serve` over a local warehouse, where nothing can be changed.
    pub(crate) journal: Option<&'a dyn Journal>,
    pub(crate) warehouse: &'a Arc<dyn Warehouse>,
    pub(crate) metrics: &'a Arc<Metrics>,
    pub(crate) health: &'a Arc<Health>,
    pub(crate) equipment: Option<&'a Equipment>,
    pub(crate) io: &'a Handle,
    pub(crate) clock: fn() -> Micros,
    /// The clock by which people act and are notified.
    pub(crate) people_clock: fn() -> Micros,
    pub(crate) simulated: bool,
    /// Whether all roles are in this process.
    pub(crate) is_embedded: bool,
}

/// Reads what deliveries need, before anything is served: what can't be read would leave everybody
/// uninformed.
pub(crate) fn equipment(
    journal: &dyn Journal,
    config: &Config,
    settings: &Settings,
    warehouse: &Arc<dyn Warehouse>,
    (metrics, health): (&Arc<Metrics>, &Arc<Health>),
    simulated: bool,
    clock: fn() -> Micros,
) -> anyhow::Result<Equipment> {
    notifier::note_new(journal, config)?;
    let reading: Arc<dyn Reading> = Arc::<dyn Warehouse>::clone(warehouse);
    let health = Arc::clone(health);
    let degraded: notifier::Degraded = Arc::new(move || health.lasting());
    Ok(Equipment::of(config, settings, reading, simulated, clock)?
        .observed(Arc::clone(metrics), degraded))
}

impl<'a> Services<'a> {
    /// In the order in which they stop: the page, then what answers it, then deliveries. The last
    /// two answer or send what the first one still asks for.
    pub(crate) fn groups(&self, listener: Option<TcpListener>) -> anyhow::Result<[Group<'a>; 3]> {
        let [mut serving, mut answering, mut delivering] = [const { Group::new() }; 3];
        // On a page somebody may subscribe at any time.
        let can_subscribe = listener.is_some() || !self.config.notify.subscriptions.is_empty();
        if let Some(listener) = listener {
            let page = self.page(&listener, &mut answering)?;
            serving.add("serve", Page::new(self.io.clone(), listener, page));
            let file = tokens::file(&self.config.journal.data);
            serving.add("tokens", TokenMonitor { health: self.health, file });
        }
        let streams = self.journal.filter(|_| !self.is_embedded);
        let figures = WarehouseMonitor::new(self.metrics, &**self.warehouse, streams, self.clock);
        serving.add("figures", figures);
        if let (true, Some(journal), Some(equipment)) =
            (can_subscribe, self.journal, self.equipment)
        {
            let (notifier, inquiry) = notifier::roles(journal, equipment);
            delivering.add("notify", notifier);
            delivering.add("facts", inquiry);
        }
        let deliveries = DeliveryMonitor {
            health: self.health,
            metrics: self.metrics,
            equipment: self.equipment,
            failing: BTreeSet::new(),
            settled_at: Some(Instant::now() + SETTLED_AFTER),
        };
        delivering.add("deliveries", deliveries);
        Ok([serving, answering, delivering])
    }

    /// The page, and the roles that answer its requests.
    fn page(&self, listener: &TcpListener, answering: &mut Group<'a>) -> anyhow::Result<Web> {
        let address = listener.local_addr().context("the page has no address")?;
        let (config, clock) = (self.config, self.people_clock);
        let (metrics, warehouse) = (Arc::clone(self.metrics), Arc::clone(self.warehouse));
        let page = page::web(config, warehouse, metrics, self.simulated, address)?;
        let mut page = Web { ready: Some(page::ready_check(self.health)), ..page };
        let Some(journal) = self.journal else { return Ok(page) };
        let (changes, requests) = mpsc::channel(desk::QUEUE);
        page.changes = Some(changes);
        answering.add("desk", desk::role(journal, clock, self.io.clone(), requests));
        let (subscriptions, requests) = mpsc::channel(subscribers::QUEUE);
        page.subscriptions = Some(subscriptions);
        let subscribers = subscribers::role(journal, config, clock, self.io.clone(), requests);
        answering.add("subscribers", subscribers);
        if self.is_embedded {
            let (erasures, requests) = mpsc::channel(erasure::QUEUE);
            page.erasures = Some(erasures);
            let erasure = erasure::role(journal, config, self.clock, self.io.clone(), requests);
            answering.add("erasure", erasure);
        }
        Ok(page)
    }
}

/// Runs the roles of a process. A failure is a condition of the process, and its cause the last
/// notice of those deliveries that there are.
pub(crate) fn run(
    stop: &Stop,
    groups: Vec<Group<'_>>,
    health: &Health,
    deliveries: Option<(&dyn Journal, &Equipment)>,
) -> anyhow::Result<()> {
    let report = |role: &str| health.failing(condition::ROLE_ENDED, role, format!("{role} ended"));
    let notice = |cause: &str| {
        if let Some((journal, equipment)) = deliveries {
            notifier::outage::report(journal, equipment, cause);
        }
    };
    let abandon = &supervisor::exit;
    supervise(stop, groups, OnFailure { report: &report, notice: Box::new(notice), abandon })
}
