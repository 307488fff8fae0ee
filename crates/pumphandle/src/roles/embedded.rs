//! All roles in one process, over the local journal and warehouse.
//!
//! The roles end in the order in which data flows, each when it has read all that the one before it
//! wrote; then the page, then deliveries. A role that ends before that ends the process (see
//! [`supervisor`](crate::runtime::supervisor)).

use std::sync::Arc;

use anyhow::Context as _;
use journal::{Group as Members, Journal, Stream};
use record::{Micros, Settings};
use tokio::runtime::Handle;
use warehouse::Warehouse;
use web::Metrics;

use super::health::Health;
use super::ingest::{self, Around, Ingest, Worlds};
use super::keys::{self, Keys};
use super::land::{self, Lander};
use super::monitor::Monitor;
use super::retention::Retention;
use super::services::{self, Services};
use super::sources::SourceStates;
use super::stores;
use super::tally::TallyStage;
use super::watch::WatchStage;
use crate::config::Config;
use crate::monitor::{self, Landed};
use crate::printer::Printer;
use crate::runtime::log::{self, LogState};
use crate::runtime::{Context, Driver, Gaps, Group, Progress, Role, Seen, Stop};

pub(crate) type Clock = fn() -> Micros;

pub(crate) struct Embedded {
    pub(crate) config: Config,
    pub(crate) until_drained: bool,
    pub(crate) simulated: bool,
    pub(crate) clock: Clock,
    /// The clock by which people act and are notified; in the demo that of the simulated world.
    pub(crate) people_clock: Clock,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) health: Arc<Health>,
    /// Alerts are printed as JSON, at a terminal too.
    pub(crate) json: bool,
    pub(crate) io: Handle,
}

/// What the pipeline does at its head.
enum Head {
    /// Reads the configured feeds, or worlds in place of them.
    Ingest(Worlds),
    /// Ends a log whose end was interrupted.
    End,
}

/// Ends the log in place of ingest.
struct EndOfLog<'a>(&'a dyn Journal);

impl Role for EndOfLog<'_> {
    fn turn(&mut self, _context: &Context) -> anyhow::Result<Progress> {
        log::end(self.0).map(|()| Progress::Ended)
    }
}

/// Runs until stopped, or until drained. `worlds` replace the configured feeds, in the demo.
pub(crate) fn run(
    embedded: &Embedded,
    worlds: Worlds,
    stop: &Stop,
    listener: Option<std::net::TcpListener>,
) -> anyhow::Result<()> {
    let config = &embedded.config;
    let seen = Arc::new(Seen::default());
    monitor::of_stages(&embedded.metrics, &seen, embedded.clock, true);
    stores::data_folder(config)?;
    let mut journal = Arc::new(stores::local_journal(config)?);
    if matches!(log::state(&*journal)?, LogState::Ended | LogState::Judged) {
        tracing::info!("the log has ended but not everything had landed: finishing that first");
        embedded.pipeline(journal.clone(), Head::End, &seen, stop, None)?;
        if embedded.until_drained {
            return Ok(());
        }
    }
    if log::state(&*journal)? == LogState::Drained {
        // An ended log takes no more: all but alerts begins again with a higher generation. Landing
        // forgets its place first: after a kill between the two the log is still drained, and both
        // are repeated.
        land::begin_generation(&*stores::warehouse(config)?)?;
        let journal = Arc::get_mut(&mut journal).context("the journal is still in use")?;
        let generation = journal.new_generation(&[Stream::Alerts])?;
        tracing::info!(generation, "the log had ended, a new one begins");
    }
    embedded.pipeline(journal, Head::Ingest(worlds), &seen, stop, listener)
}

/// The settings of the configuration with the fingerprints of the keys; these are made where the
/// log is still empty.
pub(crate) fn held_settings(journal: &dyn Journal, config: &Config) -> anyhow::Result<Settings> {
    keys::warn_of_place(config);
    Ok(Settings {
        key_fingerprints: Keys::open(journal, config)?.fingerprints(),
        ..config.settings()
    })
}

impl Embedded {
    fn pipeline(
        &self,
        shared: Arc<dyn Journal>,
        head: Head,
        seen: &Arc<Seen>,
        stop: &Stop,
        listener: Option<std::net::TcpListener>,
    ) -> anyhow::Result<()> {
        let Embedded { config, metrics, health, .. } = self;
        let journal = &*shared;
        let settings =
            log::settle(journal, &held_settings(journal, config)?, ingest::reached(journal)?)?;
        let warehouse = stores::warehouse(config)?;
        let equipment = services::equipment(
            journal,
            config,
            &settings,
            &warehouse,
            (metrics, health),
            self.simulated,
            self.people_clock,
        )?;
        let sources = Arc::new(SourceStates::default());
        let is_finite = self.until_drained || matches!(head, Head::End);
        let mut counting = Group { is_chain: true, is_finite, ..Group::new() };
        match head {
            Head::End => counting.add("ingest", EndOfLog(journal)),
            Head::Ingest(worlds) => {
                let around = Around::new(metrics, &sources);
                let ends = self.until_drained;
                let ingest = Ingest::start(journal, config, &settings, worlds, around, ends)?;
                counting.add("ingest", ingest);
            }
        }
        self.add_stages(&mut counting, &shared, &warehouse, seen)?;
        let services = Services {
            config,
            journal: Some(journal),
            warehouse: &warehouse,
            metrics,
            health,
            equipment: Some(&equipment),
            io: &self.io,
            clock: self.clock,
            people_clock: self.people_clock,
            simulated: self.simulated,
            is_embedded: true,
        };
        let [mut serving, answering, mut delivering] = services.groups(listener)?;
        serving.add("retention", Retention::new(journal, &*warehouse, config, health, metrics));
        let silence_after = config.notify.silence_after;
        delivering
            .add("monitor", Monitor::new(journal, health, metrics, seen, &sources, silence_after));
        let groups = vec![counting, serving, answering, delivering];
        services::run(stop, groups, health, Some((journal, &equipment)))?;
        if matches!(log::state(journal)?, LogState::Ended | LogState::Judged) {
            log::set_drained(journal)?;
        }
        Ok(())
    }

    /// Tally, watch and land: each reads what the one before it writes.
    fn add_stages(
        &self,
        counting: &mut Group<'_>,
        journal: &Arc<dyn Journal>,
        warehouse: &Arc<dyn Warehouse>,
        seen: &Arc<Seen>,
    ) -> anyhow::Result<()> {
        let gaps = Gaps::of(self.config.journal.accept_gaps);
        counting.add("tally", Driver::join(journal, Members::Tally, TallyStage::new, gaps, seen)?);
        counting.add("watch", Driver::join(journal, Members::Watch, WatchStage::new, gaps, seen)?);
        let landed = Landed::new(&self.metrics);
        landed.begun();
        let landing = Arc::<dyn Warehouse>::clone(warehouse);
        let printer = Printer::of(&self.config, self.json);
        counting.add("land", Lander::join(journal, landing, gaps, &self.health, landed, printer)?);
        Ok(())
    }
}
