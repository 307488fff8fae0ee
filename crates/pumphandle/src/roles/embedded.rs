//! All roles in one process, over the local journal and warehouse.
//!
//! A thread each for ingest, tally, watch and land, and one for the page. They end in the order in which data flows, each when it
//! has read all that the one before it wrote.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Context, anyhow};
use journal::local::LocalJournal;
use journal::{Group, Journal, Stream};
use record::{Micros, Settings};
use tokio::net::TcpListener;
use warehouse::Reading;
use web::{Metrics, Web};

use super::ingest::{Ingest, Worlds};
use super::keys::Keys;
use super::log::{self, LogState};
use super::{Stop, desk, land, notifier, stores, subscribers};
use crate::config::Config;
use crate::drive::{Ends, Flow, Gaps, Seen, TallyStage, WatchStage, drive, seconds};

pub(crate) struct Embedded {
    pub(crate) config: Config,
    pub(crate) until_drained: bool,
    /// Stand in for the configured feeds, in the demo.
    pub(crate) worlds: Worlds,
    pub(crate) simulated: bool,
    pub(crate) clock: fn() -> Micros,
}

/// Runs until asked to stop, or until drained.
pub(crate) fn run(embedded: Embedded, stop: &Stop, listener: Option<std::net::TcpListener>) -> anyhow::Result<()> {
    let Embedded { config, until_drained, worlds, simulated, clock } = embedded;
    std::fs::create_dir_all(&config.journal.data)
        .with_context(|| format!("failed to make the data folder `{}`", config.journal.data.display()))?;
    let mut journal = stores::local_journal(&config)?;
    if matches!(log::state(&journal)?, LogState::Ended | LogState::Judged) {
        tracing::info!("the log has ended but not everything had landed: finishing that first");
        let settings = log::settle(&journal, &held_settings(&config)?, super::ingest::reached(&journal)?)?;
        pipeline(&journal, &config, settings, Worlds::new(), true, clock, stop, None, simulated, true)?;
        if until_drained {
            return Ok(());
        }
    }
    if log::state(&journal)? == LogState::Drained {
        // An ended log takes no more. Alerts are kept for ever, all else begins anew with a higher generation.
        // Landing forgets its place first: after a kill between the two the log is still drained, and both are done again.
        land::begin_anew(&*stores::warehouse(&config)?)?;
        let generation = journal.new_generation(&[Stream::Alerts])?;
        tracing::info!(generation, "the log had ended, a new one begins");
    }
    let settings = log::settle(&journal, &held_settings(&config)?, super::ingest::reached(&journal)?)?;
    pipeline(&journal, &config, settings, worlds, until_drained, clock, stop, listener, simulated, false)
}

pub(crate) fn held_settings(config: &Config) -> anyhow::Result<Settings> {
    Ok(Settings { key_fingerprints: Keys::open(config)?.fingerprints(), ..config.settings() })
}

#[expect(clippy::too_many_arguments, reason = "what the one caller has at hand, twice")]
fn pipeline(
    journal: &LocalJournal,
    config: &Config,
    settings: Settings,
    worlds: Worlds,
    until_drained: bool,
    clock: fn() -> Micros,
    stop: &Stop,
    listener: Option<std::net::TcpListener>,
    simulated: bool,
    ended: bool,
) -> anyhow::Result<()> {
    let warehouse = stores::warehouse(config)?;
    let metrics = Arc::new(Metrics::default());
    let seen = Arc::new(Seen::default());
    let gaps = Gaps::of(config.journal.accept_gaps);
    let keys = Keys::open(config)?;
    let tally_flow = Flow::default();
    let watch_flow = tally_flow.then();
    let land_flow = watch_flow.then();
    let page_stop = Stop::default();
    let shared: &dyn Journal = journal;
    std::thread::scope(|scope| {
        let ingest = scope.spawn({
            let (flow, metrics, stop, settings) = (tally_flow.clone(), Arc::clone(&metrics), stop.clone(), settings.clone());
            move || {
                // Whatever happens here, those behind must not wait for more.
                let _done = OnDrop(&flow.upstream_done);
                if ended {
                    return log::end(shared);
                }
                let mut ingest = Ingest::start(shared, config, &settings, &keys, clock, worlds, metrics)?;
                ingest.run(&stop, until_drained)
            }
        });
        let tally = scope.spawn({
            let (flow, seen, stop) = (tally_flow.clone(), Arc::clone(&seen), stop.clone());
            move || {
                let _done = OnDrop(&flow.done);
                let mut membership = shared.join(Group::Tally)?;
                let ends = Ends::Read(&flow.upstream_done);
                drive(shared, TallyStage::new, &mut *membership, &ends, gaps, &seen).context("tally stopped").inspect_err(|_| stop.ask())
            }
        });
        let watch = scope.spawn({
            let (flow, seen, stop) = (watch_flow.clone(), Arc::clone(&seen), stop.clone());
            move || {
                let _done = OnDrop(&flow.done);
                let mut membership = shared.join(Group::Watch)?;
                let ends = Ends::Read(&flow.upstream_done);
                drive(shared, WatchStage::of, &mut *membership, &ends, gaps, &seen).context("watch stopped").inspect_err(|_| stop.ask())
            }
        });
        let land = scope.spawn({
            let (flow, warehouse, stop) = (land_flow.clone(), Arc::clone(&warehouse), stop.clone());
            move || {
                let enforce = || match journal.enforce_retention(u64::try_from(super::now() / 1_000_000).unwrap_or(0)) {
                    Ok(deleted) if deleted.files > 0 => tracing::info!(files = deleted.files, bytes = deleted.bytes, "retention deleted"),
                    Ok(_) => {}
                    Err(error) => tracing::warn!(%error, "retention failed, trying again later"),
                };
                land::run(shared, &*warehouse, &Ends::Read(&flow.upstream_done), gaps, &enforce, config.alerts.stdout)
                    .context("land stopped")
                    .inspect_err(|_| stop.ask())
            }
        });
        // On a page somebody may subscribe at any time.
        let has_subscriptions = !config.notify.subscriptions.is_empty() || listener.is_some();
        let page = listener.map(|listener| {
            let (warehouse, metrics, page_stop, seen) =
                (Arc::clone(&warehouse), Arc::clone(&metrics), page_stop.clone(), Arc::clone(&seen));
            let (changes, asked) = tokio::sync::mpsc::channel(desk::QUEUE);
            let (subscriptions, wishes) = tokio::sync::mpsc::channel(subscribers::QUEUE);
            scope.spawn(move || subscribers::run(shared, config, clock, wishes));
            scope.spawn(move || {
                if let Err(error) = desk::run(shared, clock, asked) {
                    tracing::error!(%error, "the desk stopped: alerts can only be looked at");
                }
            });
            scope.spawn(move || {
                let page = super::page::web(config, warehouse, metrics, simulated, listener.local_addr()?, Some(changes))?;
                let page = Web { subscriptions: Some(subscriptions), ..page };
                serve(listener, page, &seen, page_stop)
            })
        });
        let notify_stop = Stop::default();
        let notify = has_subscriptions.then(|| {
            let (warehouse, notify_stop, settings) = (Arc::clone(&warehouse), notify_stop.clone(), settings.clone());
            scope.spawn(move || {
                let reading: Arc<dyn Reading> = warehouse;
                let equipment = notifier::Equipment::of(config, &settings, reading, simulated, clock)?;
                notifier::run(shared, &equipment, &|| notify_stop.asked())
                    .context("the notifier stopped")
                    .inspect_err(|error| tracing::error!(error = format!("{error:#}"), "nobody is told of alerts any more"))
            })
        });
        let results = [("ingest", ingest.join()), ("tally", tally.join()), ("watch", watch.join()), ("land", land.join())];
        notify_stop.ask();
        let notify = notify.map(|notify| ("notify", notify.join()));
        page_stop.ask();
        let page = page.map(|page| ("serve", page.join()));
        for (role, result) in results.into_iter().chain(notify).chain(page) {
            match result {
                Ok(result) => result?,
                Err(_) => return Err(anyhow!("the {role} role panicked")),
            }
        }
        Ok(())
    })?;
    if matches!(log::state(journal)?, LogState::Ended | LogState::Judged) {
        log::set_drained(journal)?;
    }
    Ok(())
}

/// Sets a flag when its scope ends, however it ends.
struct OnDrop<'a>(&'a std::sync::atomic::AtomicBool);

impl Drop for OnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

pub(crate) fn serve(listener: std::net::TcpListener, page: Web, seen: &Seen, stop: Stop) -> anyhow::Result<()> {
    let metrics = Arc::clone(&page.metrics);
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
                    show(seen, &metrics);
                    if stop.asked() && let Some(ended) = ended.take() {
                        // The server may have ended by itself.
                        let _ = ended.send(());
                    }
                }
            }
        }
    })
}

fn show(seen: &Seen, metrics: &Metrics) {
    let watermark = seen.watermark.load(Ordering::Relaxed);
    metrics
        .gauge("pumphandle_watermark_seconds", "The instant before which no more arrivals are expected.", &[])
        .set(seconds(watermark as Micros));
    let Ok(handled) = seen.handled.lock().map(|handled| *handled) else { return };
    for (what, count) in [
        ("counted", handled.posts),
        ("duplicate", handled.duplicates),
        ("late", handled.late),
        ("after-final", handled.after_final),
        ("deletion", handled.deletes),
        ("removal", handled.removals),
        ("edit", handled.edits),
        ("clamped", handled.clamped),
        ("refused", handled.refused),
        ("lost", handled.lost),
        ("cells", handled.cells),
    ] {
        metrics.counter("pumphandle_records_total", "What became of the records that tally has read.", &[("what", what)]).raise_to(count);
    }
}
