//! One role in a process of its own, over streams that several processes share.
//!
//! The same roles as embedded; what a process works on is what its group gives it. Roles find each
//! other only through streams: `feeds` holds how far the log has come (see
//! [`log`](crate::runtime::log)).

#[cfg(feature = "kafka")]
use std::collections::BTreeSet;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use journal::{Group as Members, Journal};
use record::Settings;
use tokio::runtime::Handle;
use web::Metrics;

use super::embedded::held_settings;
use super::health::Health;
use super::ingest::{self, Around, Ingest};
use super::land::Lander;
use super::retention::Retention;
use super::secrets::Uses;
use super::services::{self, Services};
use super::stores;
use super::tally::TallyStage;
use super::watch::WatchStage;
use crate::config::{Config, JournalKind, WarehouseKind};
use crate::monitor::{self, Landed};
use crate::printer::Printer;
use crate::runtime::log::{self, LogState};
use crate::runtime::{self, Context, Driver, Gaps, Group, Progress, Seen, Stop};

/// How often a process looks whether the log has ended.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// A role that may run by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Ingest,
    Tally,
    Watch,
    Land,
    Serve,
}

impl Role {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Role::Ingest => "ingest",
            Role::Tally => "tally",
            Role::Watch => "watch",
            Role::Land => "land",
            Role::Serve => "serve",
        }
    }

    /// What it reads of secrets: a process of its own may have no others.
    pub(crate) fn uses(self) -> Uses {
        Uses {
            warehouse: matches!(self, Role::Land | Role::Serve),
            ingests: self == Role::Ingest,
            serves: self == Role::Serve,
        }
    }

    /// What of the configuration a process of its own can't share with others, and what to do about
    /// it.
    pub(crate) fn refusal(self, config: &Config) -> Option<(String, &'static str)> {
        let alone = "`pumphandle run` is all roles in one process, without a server";
        if self != Role::Serve && config.journal.kind == JournalKind::Local {
            return Some((
                format!(
                    "a {} of its own needs streams that processes share: `journal.kind` is `local`",
                    self.name()
                ),
                alone,
            ));
        }
        let has_tables = matches!(self, Role::Land | Role::Serve);
        if has_tables
            && config.warehouse.kind == WarehouseKind::Local
            && config.journal.kind == JournalKind::Kafka
        {
            return Some((
                format!(
                    "a {} of its own needs tables that processes share: `warehouse.kind` is \
                        `local`",
                    self.name()
                ),
                "set `warehouse.kind` to `clickhouse`",
            ));
        }
        None
    }
}

/// Stops its process once the log has come to a state.
struct LogEnd<'a> {
    journal: &'a dyn Journal,
    state: LogState,
    stop: Stop,
}

impl runtime::Role for LogEnd<'_> {
    fn turn(&mut self, _context: &Context) -> anyhow::Result<Progress> {
        if log::state(self.journal)? >= self.state {
            self.stop.request();
        }
        Ok(Progress::Idle(LOOK_EVERY))
    }
}

/// Runs until stopped or, if `until_drained`, until everything has been read, judged and landed.
pub(crate) fn run(
    config: &Config,
    role: Role,
    until_drained: bool,
    json: bool,
    stop: &Stop,
    io: &Handle,
) -> anyhow::Result<()> {
    let metrics = Arc::new(Metrics::default());
    let health = Arc::new(Health::default());
    monitor::start(role.name(), config, &metrics, monitor::readiness(&health), io)?;
    if role == Role::Serve {
        return run_serve(config, until_drained, &metrics, &health, stop, io);
    }
    let shared: Arc<dyn Journal> = stores::journal(config)?.into();
    let journal = &*shared;
    let seen = Arc::new(Seen::default());
    monitor::of_stages(&metrics, &seen, super::now, role == Role::Watch);
    let gaps = Gaps::of(config.journal.accept_gaps);
    let warehouse = (role == Role::Land).then(|| stores::warehouse(config)).transpose()?;
    let mut group = Group { is_finite: until_drained && role == Role::Ingest, ..Group::new() };
    match (role, &warehouse) {
        (Role::Ingest, _) => {
            let settings = log::held(journal, &held_settings(journal, config)?)?;
            let around = Around::new(&metrics, &Arc::default());
            let worlds = Vec::new();
            let ingest = Ingest::start(journal, config, &settings, worlds, around, until_drained)?;
            group.add("ingest", ingest);
        }
        (Role::Tally, _) => {
            check_settings(journal, config)?;
            let tally = Driver::join(&shared, Members::Tally, TallyStage::new, gaps, &seen)?;
            group.add("tally", tally);
        }
        (Role::Watch, _) => {
            check_settings(journal, config)?;
            let watch = Driver::join(&shared, Members::Watch, WatchStage::new, gaps, &seen)?;
            group.add("watch", watch);
        }
        (_, Some(warehouse)) => {
            let landing = Arc::<dyn warehouse::Warehouse>::clone(warehouse);
            let (landed, printer) = (Landed::new(&metrics), Printer::of(config, json));
            group.add("land", Lander::join(&shared, landing, gaps, &health, landed, printer)?);
            // The role that knows what has landed deletes from the log. Where several wait to land,
            // all do, and each the same.
            let retention = Retention::new(journal, &**warehouse, config, &health, &metrics);
            group.add("retention", retention);
        }
        (Role::Land | Role::Serve, None) => {}
    }
    if until_drained && role != Role::Ingest {
        let state = if role == Role::Land { LogState::Drained } else { LogState::Judged };
        group.add("log-end", LogEnd { journal, state, stop: stop.clone() });
    }
    services::run(stop, vec![group], &health, None)
}

/// The log's settings, compared with all of the configuration but keys: only ingest has those.
fn check_settings(journal: &dyn Journal, config: &Config) -> anyhow::Result<Settings> {
    let held = log::read_held(journal)?;
    let key_fingerprints = held.map(|held| held.key_fingerprints).unwrap_or_default();
    log::held(journal, &Settings { key_fingerprints, ..config.settings() })
}

fn run_serve(
    config: &Config,
    until_drained: bool,
    metrics: &Arc<Metrics>,
    health: &Arc<Health>,
    stop: &Stop,
    io: &Handle,
) -> anyhow::Result<()> {
    let warehouse = stores::warehouse(config)?;
    let journal =
        (config.journal.kind != JournalKind::Local).then(|| stores::journal(config)).transpose()?;
    let journal = journal.as_deref();
    stores::data_folder(config)?;
    let equipment = journal
        .map(|journal| {
            let settings = log::read_held(journal)?.unwrap_or_else(|| config.settings());
            let observers = (metrics, health);
            services::equipment(
                journal,
                config,
                &settings,
                &warehouse,
                observers,
                false,
                super::now,
            )
        })
        .transpose()?;
    let listener = TcpListener::bind(config.web.listen)
        .with_context(|| format!("failed to listen on `{}`", config.web.listen))?;
    tracing::info!(page = format!("http://{}", listener.local_addr()?), "serving");
    let services = Services {
        config,
        journal,
        warehouse: &warehouse,
        metrics,
        health,
        equipment: equipment.as_ref(),
        io,
        clock: super::now,
        people_clock: super::now,
        simulated: false,
        is_embedded: false,
    };
    let mut groups = services.groups(Some(listener))?;
    if let Some(journal) = journal.filter(|_| until_drained) {
        let state = LogState::Drained;
        groups[0].add("log-end", LogEnd { journal, state, stop: stop.clone() });
    }
    services::run(stop, groups.into(), health, journal.zip(equipment.as_ref()))
}

/// Makes or brings up to date what roles only look at: streams, settings, tables. Says what it has
/// done.
pub(crate) fn migrate(config: &Config) -> anyhow::Result<()> {
    let journal = migrated_journal(config)?;
    let journal = &*journal;
    #[cfg(feature = "clickhouse")]
    if config.warehouse.kind == WarehouseKind::ClickHouse {
        let clickhouse = stores::clickhouse(config)?;
        clickhouse.migrate()?;
        clickhouse.write_regions(region_rows(config))?;
        tracing::info!(database = config.warehouse.clickhouse.database, "tables are up to date");
    }
    if config.warehouse.kind == WarehouseKind::Local {
        stores::warehouse(config)?;
    }
    let held = log::read_held(journal)?;
    let settings =
        log::settle(journal, &held_settings(journal, config)?, ingest::reached(journal)?)?;
    if held.is_some_and(|held| held.number != settings.number) {
        let groups: Vec<&str> = journal.groups_at_work()?.into_iter().map(Members::name).collect();
        if !groups.is_empty() {
            tracing::warn!(
                number = settings.number,
                groups = groups.join(" "),
                "settings changed while roles run: they go on with their own until they are \
                    started with this configuration"
            );
        }
    }
    tracing::info!(
        number = settings.number,
        from = record::time::display(settings.from),
        "settings are up to date"
    );
    Ok(())
}

/// What analysts' queries call regions, and where maps put them.
#[cfg(feature = "clickhouse")]
fn region_rows(config: &Config) -> Vec<warehouse::clickhouse::RegionRow> {
    use record::region::{Level, UNLOCATED, WORLD};
    use warehouse::clickhouse::RegionRow;
    let atlas = &config.places.placing.atlas;
    let population = |code: &str| config.places.population(code).unwrap_or(0);
    let row = |region: &str,
               name: &str,
               parent: &str,
               level: Level,
               (latitude, longitude): (f64, f64)| RegionRow {
        region: region.to_owned(),
        name: name.to_owned(),
        parent: parent.to_owned(),
        level: level.number(),
        population: population(region),
        latitude,
        longitude,
    };
    let nowhere = (0.0, 0.0);
    let world = atlas.regions().iter().zip(atlas.centres()).map(|(region, centre)| {
        let (parent, level) = match region.is_country() {
            true => (WORLD, Level::Country),
            false => (atlas.regions()[usize::from(region.country)].code.as_str(), Level::First),
        };
        row(&region.code, &region.name, parent, level, centre.unwrap_or(nowhere))
    });
    let own = atlas.own().into_iter().flat_map(atlas::OwnRegions::each).map(|own| {
        let [west, south, east, north] = own.bounds;
        let level = if own.parent.is_some() { Level::Own } else { Level::Beside };
        row(
            own.code,
            own.name.unwrap_or(own.code),
            own.parent.unwrap_or_default(),
            level,
            ((south + north) / 2.0, (west + east) / 2.0),
        )
    });
    let all = [
        row(WORLD, "World", "", Level::Beside, nowhere),
        row(UNLOCATED, "Place unknown", WORLD, Level::Country, nowhere),
    ];
    all.into_iter().chain(world).chain(own).collect()
}

#[cfg(feature = "kafka")]
fn migrated_journal(config: &Config) -> anyhow::Result<Box<dyn Journal>> {
    use journal::kafka::{KafkaJournal, Plan, migrate};
    if config.journal.kind == JournalKind::Local {
        return stores::journal(config);
    }
    let settings = stores::kafka(config)?;
    let plan = Plan {
        replication: Some(config.journal.kafka.replication),
        retention: stores::broker_retention(config),
        ages: stores::retention(config),
        ..Plan::default()
    };
    let report = migrate(&settings, &plan)?;
    let names = |streams: &BTreeSet<journal::Stream>| {
        streams.iter().map(|stream| stream.name()).collect::<Vec<_>>().join(" ")
    };
    tracing::info!(
        generation = report.generation,
        made = names(&report.made),
        changed = names(&report.changed),
        "streams are up to date"
    );
    let journal = KafkaJournal::open(settings.clone())?;
    if log::state(&journal)? != LogState::Drained {
        return Ok(Box::new(journal));
    }
    // An ended log takes no more. Alerts are kept for ever, all else begins anew with a higher
    // generation.
    // Landing forgets its place first: after a kill between the two the log is still drained, and
    // both are done again.
    drop(journal);
    super::land::begin_generation(&*stores::warehouse(config)?)?;
    let report = migrate(&settings, &Plan { anew: true, ..plan })?;
    tracing::info!(generation = report.generation, "the log had ended, a new one begins");
    Ok(Box::new(KafkaJournal::open(settings)?))
}

#[cfg(not(feature = "kafka"))]
fn migrated_journal(config: &Config) -> anyhow::Result<Box<dyn Journal>> {
    stores::journal(config)
}
