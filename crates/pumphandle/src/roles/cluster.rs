//! One role in a process of its own, over streams that several processes share.
//!
//! The same stages as embedded, driven by the same loop; what a process works on is what its group
//! gives it. Roles find each
//! other only through streams: what is told in `feeds` says how far the log has come (see
//! [`super::log`]).

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use journal::{Group, Journal};
use record::{Record, Settings};
use warehouse::Reading;
use web::{Metrics, Web};

use super::embedded::{held_settings, ready_check, serve};
use super::health::Health;
use super::ingest::{Around, Ingest};
use super::keys::Keys;
use super::log::LogState;
use super::monitor::{report_token_file, report_troubles};
use super::retention::Retention;
use super::secrets::Uses;
use super::supervise::{self, Beside};
use super::{Stop, desk, land, log, notifier, stores, subscribers};
use crate::config::{Config, JournalKind, WarehouseKind};
use crate::drive::{Ends, Gaps, Seen, TallyStage, WatchStage, drive};
use crate::monitor::{self, Landed};
use crate::printer::Printer;

/// How often `serve` looks whether the log has ended.
const LOOK_EVERY: Duration = Duration::from_millis(200);

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

/// Runs until asked to stop or, if `until_drained`, until everything has been read, judged and
/// landed.
pub(crate) fn run(
    config: &Config,
    role: Role,
    until_drained: bool,
    json: bool,
    stop: &Stop,
) -> anyhow::Result<()> {
    let metrics = Arc::new(Metrics::default());
    let health = Arc::new(Health::default());
    monitor::start(role.name(), config, &metrics, monitor::readiness(&health))?;
    if role == Role::Serve {
        return run_serve(config, until_drained, metrics, health, stop);
    }
    let journal = stores::journal(config)?;
    let journal = &*journal;
    let seen = Arc::new(Seen::default());
    monitor::of_stages(&metrics, &seen, super::now, role == Role::Watch);
    let gaps = Gaps::of(config.journal.accept_gaps);
    let ends_at = |past: LogState| {
        move || Ok(stop.asked() || (until_drained && log::state(journal)? >= past))
    };
    match role {
        Role::Ingest => {
            let settings = log::held(journal, &held_settings(journal, config)?)?;
            let keys = Keys::open(journal, config)?;
            let around = Around { clock: super::clock().clone(), metrics, sources: Arc::default() };
            Ingest::start(journal, config, &settings, &keys, Vec::new(), around)?
                .run(stop, until_drained)
        }
        Role::Tally => {
            understood(journal, config)?;
            let told = ends_at(LogState::Judged);
            let mut membership = journal.join(Group::Tally)?;
            drive(journal, TallyStage::new, &mut *membership, &Ends::Told(&told), gaps, &seen)
        }
        Role::Watch => {
            understood(journal, config)?;
            let told = ends_at(LogState::Judged);
            let mut membership = journal.join(Group::Watch)?;
            drive(journal, WatchStage::of, &mut *membership, &Ends::Told(&told), gaps, &seen)
        }
        Role::Land => {
            let warehouse = stores::warehouse(config)?;
            let told = ends_at(LogState::Drained);
            // The role that knows what has landed deletes from the log. Where several wait to land,
            // all do, and each the same.
            let mut retention = Retention::new(journal, &*warehouse, config, &health, &metrics);
            let mut enforce = || retention.enforce();
            let mut printer = Printer::of(config, json);
            let mut print = |rows: &[Record]| printer.print(rows);
            let landed = Landed::new(&metrics);
            land::run(
                journal,
                &*warehouse,
                &Ends::Told(&told),
                gaps,
                &health,
                &mut enforce,
                &mut print,
                &landed,
            )
        }
        Role::Serve => Ok(()),
    }
}

/// The log's settings, compared with all of the configuration but keys: only ingest has those.
fn understood(journal: &dyn Journal, config: &Config) -> anyhow::Result<Settings> {
    let held = log::read_held(journal)?;
    let key_fingerprints = held.map(|held| held.key_fingerprints).unwrap_or_default();
    log::held(journal, &Settings { key_fingerprints, ..config.settings() })
}

fn run_serve(
    config: &Config,
    until_drained: bool,
    metrics: Arc<Metrics>,
    health: Arc<Health>,
    stop: &Stop,
) -> anyhow::Result<()> {
    let warehouse = stores::warehouse(config)?;
    let journal =
        (config.journal.kind != JournalKind::Local).then(|| stores::journal(config)).transpose()?;
    let journal = journal.as_deref();
    stores::data_folder(config)?;
    let equipment = journal
        .map(|journal| {
            let reading: Arc<dyn Reading> = Arc::<dyn warehouse::Warehouse>::clone(&warehouse);
            let settings = log::read_held(journal)?.unwrap_or_else(|| config.settings());
            let degraded: notifier::Degraded = {
                let health = Arc::clone(&health);
                Arc::new(move || health.lasting())
            };
            notifier::note_new(journal, config)?;
            anyhow::Ok(
                notifier::Equipment::of(config, &settings, reading, false, super::now)?
                    .observed(Arc::clone(&metrics), degraded),
            )
        })
        .transpose()?;
    let listener = TcpListener::bind(config.web.listen)
        .with_context(|| format!("failed to listen on `{}`", config.web.listen))?;
    if let Some(journal) = journal {
        notifier::note_new(journal, config)?;
    }
    let address = listener.local_addr()?;
    tracing::info!(page = format!("http://{address}"), "serving");
    let (changes, subscriptions, mut services) = match journal {
        Some(journal) => {
            let (changes, asked) = tokio::sync::mpsc::channel(desk::QUEUE);
            let (subscriptions, wishes) = tokio::sync::mpsc::channel(subscribers::QUEUE);
            let book = supervise::Role::new("subscribers", move || {
                subscribers::run(journal, config, super::now, wishes);
                Ok(())
            });
            let desk = supervise::Role::new("desk", move || desk::run(journal, super::now, asked));
            (Some(changes), Some(subscriptions), vec![book, desk])
        }
        None => (None, None, Vec::new()),
    };
    let page = super::page::web(
        config,
        Arc::clone(&warehouse),
        Arc::clone(&metrics),
        false,
        address,
        changes,
    )?;
    let page = Web { subscriptions, ready: Some(ready_check(&health)), ..page };
    let (page_stop, notify_stop) = (Stop::default(), Stop::default());
    services.push(supervise::Role::new("serve", {
        let page_stop = page_stop.clone();
        move || serve(listener, page, page_stop)
    }));
    services.push(supervise::Role::new("figures", {
        let (metrics, page_stop) = (&metrics, page_stop.clone());
        move || {
            monitor::watch_warehouse(metrics, &*warehouse, journal, super::now, &page_stop);
            Ok(())
        }
    }));
    let notify = equipment.as_ref().zip(journal).map(|(equipment, journal)| {
        let notify_stop = notify_stop.clone();
        supervise::Role::new("notify", move || {
            notifier::run(journal, equipment, &|| notify_stop.asked())
        })
    });
    // Ends with a log that ends, where it may.
    let drained = supervise::Role::new("drained", || {
        while !stop.asked() {
            if let Some(journal) = journal.filter(|_| until_drained)
                && log::state(journal)? == LogState::Drained
            {
                stop.ask();
            }
            std::thread::sleep(LOOK_EVERY);
        }
        Ok(())
    });
    let groups = vec![
        supervise::Group { stop: stop.clone(), is_finite: false, roles: vec![drained] },
        supervise::Group { stop: page_stop, is_finite: false, roles: services },
        supervise::Group {
            stop: notify_stop,
            is_finite: false,
            roles: notify.into_iter().collect(),
        },
    ];
    let mut troubled = BTreeSet::new();
    let mut each_turn = || {
        if let Some(equipment) = &equipment {
            report_troubles(&health, &mut troubled, equipment.deliveries.troubles());
        }
        report_token_file(&health, &config.journal.data);
        health.show(&metrics);
    };
    let notice = |cause: &str| {
        if let Some((equipment, journal)) = equipment.as_ref().zip(journal) {
            notifier::outage::report(journal, equipment, cause);
        }
    };
    let beside = Beside {
        health: &health,
        each_turn: &mut each_turn,
        notice: Box::new(notice),
        abandon: &supervise::exit,
    };
    supervise::supervise(groups, beside)
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
        log::settle(journal, &held_settings(journal, config)?, super::ingest::reached(journal)?)?;
    if held.is_some_and(|held| held.number != settings.number) {
        let groups: Vec<&str> = journal.groups_at_work()?.into_iter().map(Group::name).collect();
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
    land::begin_anew(&*stores::warehouse(config)?)?;
    let report = migrate(&settings, &Plan { anew: true, ..plan })?;
    tracing::info!(generation = report.generation, "the log had ended, a new one begins");
    Ok(Box::new(KafkaJournal::open(settings)?))
}

#[cfg(not(feature = "kafka"))]
fn migrated_journal(config: &Config) -> anyhow::Result<Box<dyn Journal>> {
    stores::journal(config)
}
