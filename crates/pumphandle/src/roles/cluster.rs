//! One role in a process of its own, over streams that several processes share.
//!
//! The same stages as embedded, driven by the same loop; what a process works on is what its group gives it. Roles find each
//! other only through streams: what is told in `feeds` says how far the log has come (see [`super::log`]).

use std::net::TcpListener;
use std::sync::Arc;

use anyhow::Context;
use journal::{Group, Journal};
use record::Settings;
use warehouse::Reading;
use web::{Metrics, Web};

use super::embedded::{held_settings, serve};
use super::ingest::{Around, Ingest};
use super::keys::Keys;
use super::log::LogState;
use super::{Stop, desk, land, log, notifier, stores, subscribers};
use crate::config::{Config, JournalKind, WarehouseKind};
use crate::drive::{Ends, Gaps, Seen, TallyStage, WatchStage, drive};

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

    /// What of the configuration a process of its own can't share with others, and what to do about it.
    pub(crate) fn refusal(self, config: &Config) -> Option<(String, &'static str)> {
        let alone = "`pumphandle run` is all roles in one process, without a server";
        if self != Role::Serve && config.journal.kind == JournalKind::Local {
            return Some((format!("a {} of its own needs streams that processes share: `journal.kind` is `local`", self.name()), alone));
        }
        let has_tables = matches!(self, Role::Land | Role::Serve);
        if has_tables && config.warehouse.kind == WarehouseKind::Local && config.journal.kind == JournalKind::Kafka {
            return Some((
                format!("a {} of its own needs tables that processes share: `warehouse.kind` is `local`", self.name()),
                "set `warehouse.kind` to `clickhouse`",
            ));
        }
        None
    }
}

/// Runs until asked to stop or, if `until_drained`, until everything has been read, judged and landed.
pub(crate) fn run(config: &Config, role: Role, until_drained: bool, stop: &Stop) -> anyhow::Result<()> {
    if role == Role::Serve {
        return run_serve(config, until_drained, stop);
    }
    let journal = stores::journal(config)?;
    let journal = &*journal;
    let seen = Seen::default();
    let gaps = Gaps::of(config.journal.accept_gaps);
    let ends_at = |past: LogState| move || Ok(stop.asked() || (until_drained && log::state(journal)? >= past));
    match role {
        Role::Ingest => {
            let settings = log::held(journal, &held_settings(config)?)?;
            let keys = Keys::open(config)?;
            let metrics = Arc::new(Metrics::default());
            let around = Around { clock: super::clock().clone(), metrics, sources: Arc::default() };
            Ingest::start(journal, config, &settings, &keys, Vec::new(), around)?.run(stop, until_drained)
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
            land::run(journal, &*warehouse, &Ends::Told(&told), gaps, &|| {}, config.alerts.stdout)
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

fn run_serve(config: &Config, until_drained: bool, stop: &Stop) -> anyhow::Result<()> {
    let warehouse = stores::warehouse(config)?;
    let journal = (config.journal.kind != JournalKind::Local).then(|| stores::journal(config)).transpose()?;
    let journal = journal.as_deref();
    let listener = TcpListener::bind(config.web.listen).with_context(|| format!("failed to listen on `{}`", config.web.listen))?;
    let address = listener.local_addr()?;
    tracing::info!(page = format!("http://{address}"), "serving");
    let page_stop = Stop::default();
    std::thread::scope(|scope| {
        let changes = journal.map(|journal| {
            let (changes, asked) = tokio::sync::mpsc::channel(desk::QUEUE);
            scope.spawn(move || {
                if let Err(error) = desk::run(journal, super::now, asked) {
                    tracing::error!(%error, "the desk stopped: alerts can only be looked at");
                }
            });
            changes
        });
        let subscriptions = journal.map(|journal| {
            let (subscriptions, wishes) = tokio::sync::mpsc::channel(subscribers::QUEUE);
            scope.spawn(move || subscribers::run(journal, config, super::now, wishes));
            subscriptions
        });
        let notify_stop = Stop::default();
        let notify = journal.map(|journal| {
            let (warehouse, notify_stop) = (Arc::clone(&warehouse), notify_stop.clone());
            scope.spawn(move || -> anyhow::Result<()> {
                let reading: Arc<dyn Reading> = warehouse;
                let settings = log::read_held(journal)?.unwrap_or_else(|| config.settings());
                let equipment = notifier::Equipment::of(config, &settings, reading, false, super::now)?;
                notifier::run(journal, &equipment, &|| notify_stop.asked()).context("the notifier stopped")
            })
        });
        let page = super::page::web(config, warehouse, Arc::new(Metrics::default()), false, address, changes);
        let page = page.map(|page| Web { subscriptions, ..page });
        let page = scope.spawn(|| serve(listener, page?, &Seen::default(), page_stop.clone()));
        loop {
            let drained = match journal {
                Some(journal) if until_drained => log::state(journal)? == LogState::Drained,
                _ => false,
            };
            let notify_ended = notify.as_ref().is_some_and(std::thread::ScopedJoinHandle::is_finished);
            if stop.asked() || drained || page.is_finished() || notify_ended {
                notify_stop.ask();
                let notified = notify.map_or(Ok(Ok(())), std::thread::ScopedJoinHandle::join);
                page_stop.ask();
                page.join().map_err(|_| anyhow::anyhow!("the page panicked"))??;
                return notified.map_err(|_| anyhow::anyhow!("the notifier panicked"))?;
            }
            std::thread::sleep(std::time::Duration::from_millis(200));
        }
    })
}

/// Makes or brings up to date what roles only look at: streams, settings, tables. Says what it has done.
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
    let settings = log::settle(journal, &held_settings(config)?, super::ingest::reached(journal)?)?;
    tracing::info!(number = settings.number, from = record::time::display(settings.from), "settings are up to date");
    Ok(())
}

/// What analysts' queries call regions, and where maps put them.
#[cfg(feature = "clickhouse")]
fn region_rows(config: &Config) -> Vec<warehouse::clickhouse::RegionRow> {
    use record::region::{Level, UNLOCATED, WORLD};
    use warehouse::clickhouse::RegionRow;
    let atlas = &config.places.placing.atlas;
    let population = |code: &str| config.places.population(code).unwrap_or(0);
    let row = |region: &str, name: &str, parent: &str, level: Level, (latitude, longitude): (f64, f64)| RegionRow {
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
        row(own.code, own.name.unwrap_or(own.code), own.parent.unwrap_or_default(), level, ((south + north) / 2.0, (west + east) / 2.0))
    });
    let all = [row(WORLD, "World", "", Level::Beside, nowhere), row(UNLOCATED, "Place unknown", WORLD, Level::Country, nowhere)];
    all.into_iter().chain(world).chain(own).collect()
}

#[cfg(feature = "kafka")]
fn migrated_journal(config: &Config) -> anyhow::Result<Box<dyn Journal>> {
    use journal::kafka::{KafkaJournal, Plan, migrate};
    if config.journal.kind == JournalKind::Local {
        return stores::journal(config);
    }
    let settings = stores::kafka(config)?;
    let plan = Plan { replication: Some(config.journal.kafka.replication), retention: stores::retention(config), ..Plan::default() };
    let report = migrate(&settings, &plan)?;
    let names =
        |streams: &std::collections::BTreeSet<journal::Stream>| streams.iter().map(|stream| stream.name()).collect::<Vec<_>>().join(" ");
    tracing::info!(generation = report.generation, made = names(&report.made), changed = names(&report.changed), "streams are up to date");
    let journal = KafkaJournal::open(settings.clone())?;
    if log::state(&journal)? != LogState::Drained {
        return Ok(Box::new(journal));
    }
    // An ended log takes no more. Alerts are kept for ever, all else begins anew with a higher generation.
    // Landing forgets its place first: after a kill between the two the log is still drained, and both are done again.
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
