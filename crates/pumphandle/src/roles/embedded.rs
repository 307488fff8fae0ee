//! All roles in one process, over the local journal and warehouse.
//!
//! A thread each for ingest, tally, watch and land, one for the page, one for the notifier. They
//! end in the order in which data
//! flows, each when it has read all that the one before it wrote; the page after them, and the
//! notifier last. A role that ends
//! before that ends the process (see [`supervise`]).

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use journal::local::LocalJournal;
use journal::{Group, Journal, Stream};
use record::{Micros, Record, Settings};
use tokio::net::TcpListener;
use warehouse::Reading;
use web::{Metrics, Web};

use super::health::Health;
use super::ingest::{Around, Ingest, Worlds};
use super::keys::{self, Keys};
use super::log::{self, LogState};
use super::monitor::{Monitor, report_token_file, report_troubles};
use super::retention::Retention;
use super::sources::SourceStates;
use super::supervise::{self, Beside, Role};
use super::{Stop, desk, erasure, land, notifier, stores, subscribers};
use crate::config::Config;
use crate::drive::{DRAIN_MAX, Drain, Ends, Flow, Gaps, Seen, TallyStage, WatchStage, drive};
use crate::monitor::{self, Landed};
use crate::printer::Printer;

/// A process that has run for so long reports its next failure, however short ago the one before it
/// was.
const SETTLED_AFTER: Duration = Duration::from_secs(3600);

pub(crate) type Clock = fn() -> Micros;

pub(crate) struct Embedded {
    pub(crate) config: Config,
    pub(crate) until_drained: bool,
    /// Stand in for the configured feeds, in the demo.
    pub(crate) worlds: Worlds,
    pub(crate) simulated: bool,
    pub(crate) clock: Clock,
    /// The clock by which people act and are notified; in the demo that of the simulated world.
    pub(crate) people_clock: Clock,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) health: Arc<Health>,
    /// Alerts are printed as JSON, at a terminal too.
    pub(crate) json: bool,
}

/// Runs until asked to stop, or until drained.
pub(crate) fn run(
    embedded: Embedded,
    stop: &Stop,
    listener: Option<std::net::TcpListener>,
) -> anyhow::Result<()> {
    let Embedded {
        config,
        until_drained,
        worlds,
        simulated,
        clock,
        people_clock,
        metrics,
        health,
        json,
    } = embedded;
    let clocks = (clock, people_clock);
    let mut printer = Printer::of(&config, json);
    let seen = Arc::new(Seen::default());
    monitor::of_stages(&metrics, &seen, clock, true);
    let show = Show { metrics: &metrics, seen: &seen, health: &health };
    stores::data_folder(&config)?;
    let mut journal = stores::local_journal(&config)?;
    if matches!(log::state(&journal)?, LogState::Ended | LogState::Judged) {
        tracing::info!("the log has ended but not everything had landed: finishing that first");
        let settings = log::settle(
            &journal,
            &held_settings(&journal, &config)?,
            super::ingest::reached(&journal)?,
        )?;
        pipeline(
            &journal,
            &config,
            settings,
            Worlds::new(),
            true,
            clocks,
            stop,
            None,
            simulated,
            true,
            &show,
            &mut printer,
        )?;
        if until_drained {
            return Ok(());
        }
    }
    if log::state(&journal)? == LogState::Drained {
        // An ended log takes no more. Alerts are kept for ever, all else begins anew with a higher
        // generation.
        // Landing forgets its place first: after a kill between the two the log is still drained,
        // and both are done again.
        land::begin_anew(&*stores::warehouse(&config)?)?;
        let generation = journal.new_generation(&[Stream::Alerts])?;
        tracing::info!(generation, "the log had ended, a new one begins");
    }
    let settings = log::settle(
        &journal,
        &held_settings(&journal, &config)?,
        super::ingest::reached(&journal)?,
    )?;
    pipeline(
        &journal,
        &config,
        settings,
        worlds,
        until_drained,
        clocks,
        stop,
        listener,
        simulated,
        false,
        &show,
        &mut printer,
    )
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

/// Where a pipeline shows what it does.
struct Show<'a> {
    metrics: &'a Arc<Metrics>,
    seen: &'a Arc<Seen>,
    health: &'a Arc<Health>,
}

#[expect(clippy::too_many_arguments, reason = "what the one caller has at hand, twice")]
fn pipeline(
    journal: &LocalJournal,
    config: &Config,
    settings: Settings,
    worlds: Worlds,
    until_drained: bool,
    (clock, people_clock): (Clock, Clock),
    stop: &Stop,
    listener: Option<std::net::TcpListener>,
    simulated: bool,
    ended: bool,
    show: &Show<'_>,
    printer: &mut Printer,
) -> anyhow::Result<()> {
    let warehouse = stores::warehouse(config)?;
    let (metrics, seen, health) =
        (Arc::clone(show.metrics), Arc::clone(show.seen), Arc::clone(show.health));
    let sources = Arc::new(SourceStates::default());
    let landed = Landed::new(&metrics);
    let gaps = Gaps::of(config.journal.accept_gaps);
    let keys = Keys::open(journal, config)?;
    let shared: &dyn Journal = journal;
    // Before anything is served: what it can't read would leave everybody uninformed.
    let reading: Arc<dyn Reading> = Arc::<dyn warehouse::Warehouse>::clone(&warehouse);
    let degraded: notifier::Degraded = {
        let health = Arc::clone(&health);
        Arc::new(move || health.lasting())
    };
    let equipment = notifier::Equipment::of(config, &settings, reading, simulated, people_clock)?
        .observed(Arc::clone(&metrics), degraded);
    notifier::note_new(shared, config)?;
    let tally_flow = Flow::default();
    let watch_flow = tally_flow.then();
    let land_flow = watch_flow.then();
    let (page_stop, notify_stop) = (Stop::default(), Stop::default());
    let ingest = Role::new("ingest", {
        let (flow, metrics, stop, settings) =
            (tally_flow.clone(), Arc::clone(&metrics), stop.clone(), settings.clone());
        let (keys, sources) = (&keys, Arc::clone(&sources));
        move || {
            // Whatever happens here, those behind must not wait for more.
            let _done = OnDrop(&flow.upstream_done);
            if ended {
                return log::end(shared);
            }
            let around = Around { clock: super::clock().clone(), metrics, sources };
            let mut ingest = Ingest::start(shared, config, &settings, keys, worlds, around)?;
            ingest.run(&stop, until_drained)
        }
    });
    let tally = Role::new("tally", {
        let (flow, seen, stop) = (tally_flow.clone(), Arc::clone(&seen), stop.clone());
        move || {
            let _done = OnDrop(&flow.done);
            let mut membership = shared.join(Group::Tally)?;
            let drain = Drain::new(&flow, &stop, DRAIN_MAX);
            drive(shared, TallyStage::new, &mut *membership, &Ends::Drained(&drain), gaps, &seen)
        }
    });
    let watch = Role::new("watch", {
        let (flow, seen, stop) = (watch_flow.clone(), Arc::clone(&seen), stop.clone());
        move || {
            let _done = OnDrop(&flow.done);
            let mut membership = shared.join(Group::Watch)?;
            let drain = Drain::new(&flow, &stop, DRAIN_MAX);
            drive(shared, WatchStage::of, &mut *membership, &Ends::Drained(&drain), gaps, &seen)
        }
    });
    let land = Role::new("land", {
        let (flow, warehouse, health) = (land_flow, Arc::clone(&warehouse), Arc::clone(&health));
        let (metrics, stop) = (Arc::clone(&metrics), stop.clone());
        move || {
            let mut retention = Retention::new(shared, &*warehouse, config, &health, &metrics);
            let mut enforce = || retention.enforce();
            landed.begun();
            let mut print = |rows: &[Record]| printer.print(rows);
            let drain = Drain::new(&flow, &stop, DRAIN_MAX);
            land::run(
                shared,
                &*warehouse,
                &Ends::Drained(&drain),
                gaps,
                &health,
                &mut enforce,
                &mut print,
                &landed,
            )
        }
    });
    // On a page somebody may subscribe at any time.
    let has_subscriptions = !config.notify.subscriptions.is_empty() || listener.is_some();
    let mut services = Vec::new();
    if let Some(listener) = listener {
        let (changes, asked) = tokio::sync::mpsc::channel(desk::QUEUE);
        let (subscriptions, wishes) = tokio::sync::mpsc::channel(subscribers::QUEUE);
        let (erasures, requests) = tokio::sync::mpsc::channel(erasure::QUEUE);
        // These three end when nobody can ask them any more, which is when the page has ended.
        services.push(Role::new("subscribers", move || {
            subscribers::run(shared, config, people_clock, wishes);
            Ok(())
        }));
        services.push(Role::new("erasure", move || {
            erasure::run(shared, config, clock, requests);
            Ok(())
        }));
        services.push(Role::new("desk", move || desk::run(shared, people_clock, asked)));
        let page = super::page::web(
            config,
            Arc::clone(&warehouse),
            Arc::clone(&metrics),
            simulated,
            listener.local_addr()?,
            Some(changes),
        )?;
        let page = Web {
            subscriptions: Some(subscriptions),
            erasures: Some(erasures),
            ready: Some(ready_check(&health)),
            ..page
        };
        let page_stop = page_stop.clone();
        services.push(Role::new("serve", move || serve(listener, page, page_stop)));
    }
    services.push(Role::new("figures", {
        let (metrics, warehouse, page_stop) =
            (Arc::clone(&metrics), Arc::clone(&warehouse), page_stop.clone());
        move || {
            monitor::watch_warehouse(&metrics, &*warehouse, None, clock, &page_stop);
            Ok(())
        }
    }));
    let notify = has_subscriptions.then(|| {
        let (equipment, notify_stop) = (&equipment, notify_stop.clone());
        Role::new("notify", move || notifier::run(shared, equipment, &|| notify_stop.asked()))
    });
    let groups = vec![
        supervise::Group {
            stop: stop.clone(),
            is_finite: ended || until_drained,
            roles: vec![ingest, tally, watch, land],
        },
        supervise::Group { stop: page_stop, is_finite: false, roles: services },
        supervise::Group {
            stop: notify_stop,
            is_finite: false,
            roles: notify.into_iter().collect(),
        },
    ];
    let mut conditions =
        Monitor::new(shared, &health, &metrics, &seen, &sources, config.notify.silence_after);
    let began = Instant::now();
    let mut is_settled = false;
    let mut troubled = BTreeSet::new();
    let mut each_turn = || {
        let now = Instant::now();
        conditions.turn(now);
        report_troubles(&health, &mut troubled, equipment.deliveries.troubles());
        report_token_file(&health, &config.journal.data);
        if !is_settled && now - began >= SETTLED_AFTER {
            is_settled = true;
            notifier::outage::forget(&equipment);
        }
    };
    let notice = |cause: &str| notifier::outage::report(shared, &equipment, cause);
    let beside = Beside {
        health: &health,
        each_turn: &mut each_turn,
        notice: Box::new(notice),
        abandon: &supervise::exit,
    };
    supervise::supervise(groups, beside)?;
    if matches!(log::state(journal)?, LogState::Ended | LogState::Judged) {
        log::set_drained(journal)?;
    }
    Ok(())
}

/// What `/readyz` adds to a query of the warehouse.
pub(crate) fn ready_check(health: &Arc<Health>) -> web::ReadyCheck {
    let health = Arc::clone(health);
    Arc::new(move || health.readiness())
}

/// Sets a flag when its scope ends, however it ends.
struct OnDrop<'a>(&'a std::sync::atomic::AtomicBool);

impl Drop for OnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

pub(crate) fn serve(listener: std::net::TcpListener, page: Web, stop: Stop) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        let (ended, wait) = tokio::sync::oneshot::channel::<()>();
        let mut server = tokio::spawn(web::serve(listener, page, async {
            let _ = wait.await;
        }));
        let mut every = tokio::time::interval(Duration::from_millis(200));
        let ended = std::cell::RefCell::new(Some(ended));
        loop {
            tokio::select! {
                result = &mut server => return result.map_err(anyhow::Error::from)?.map_err(anyhow::Error::from),
                _ = every.tick() => {
                    if stop.asked() && let Some(ended) = ended.take() {
                        // The server may have ended by itself.
                        let _ = ended.send(());
                    }
                }
            }
        }
    })
}
