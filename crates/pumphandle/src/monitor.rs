//! The metrics of roles: what each is called, what it says, and where it comes from; and the
//! listener that serves them.
//!
//! A function for each source. Counters exist from the start, so that a rate can be computed over
//! the first event; gauges are shown once they are known. Ages are computed at the moment of a
//! scrape.

use std::collections::{BTreeMap, VecDeque};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use journal::{Journal, Stream};
use record::time::SECOND;
use record::{Micros, Position, RejectReason};
use warehouse::{AlertQuery, Warehouse};
use web::{Counter, Gauge, Health, Metrics};

use crate::config::Config;
use crate::roles;
use crate::runtime::{Context, Progress, Role, Seen};

/// How often the warehouse is queried for its figures.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// What every process has: its release, when it began, its memory, and the free space of the data
/// folder. Begins to serve them where `[metrics] listen` says so, until the process ends.
pub(crate) fn start(
    role: &'static str,
    config: &Config,
    metrics: &Arc<Metrics>,
    health: Health,
    io: &tokio::runtime::Handle,
) -> anyhow::Result<()> {
    of_process(role, metrics);
    of_disk(&config.journal.data, metrics);
    let Some(listen) = config.metrics.listen else { return Ok(()) };
    let listener = TcpListener::bind(listen)
        .with_context(|| format!("failed to listen on `{listen}` for `metrics.listen`"))?;
    listener.set_nonblocking(true)?;
    tracing::info!(
        metrics = format!("http://{}/metrics", listener.local_addr()?),
        "serving metrics"
    );
    let _entered = io.enter();
    let listener = tokio::net::TcpListener::from_std(listener)?;
    io.spawn(web::serve_monitor(listener, Arc::clone(metrics), health, std::future::pending()));
    Ok(())
}

/// What `/readyz` of the metrics listener answers: as the page does, without a question to the
/// warehouse.
pub(crate) fn readiness(health: &Arc<roles::health::Health>) -> Health {
    let health = Arc::clone(health);
    Arc::new(move || {
        let web::Readiness { failing, degraded } = health.readiness();
        if !failing.is_empty() {
            return Err(failing
                .into_iter()
                .map(|reason| reason.detail)
                .collect::<Vec<_>>()
                .join("; "));
        }
        let status = if degraded.is_empty() { "ready" } else { "degraded" };
        Ok(format!("{}\n", serde_json::json!({ "status": status, "reasons": degraded })))
    })
}

fn of_process(role: &'static str, metrics: &Arc<Metrics>) {
    let labels = [
        ("role", role),
        ("version", env!("CARGO_PKG_VERSION")),
        ("revision", env!("PUMPHANDLE_REVISION_BUILT")),
    ];
    metrics
        .gauge(
            "pumphandle_build_info",
            "Always 1; the labels name the role and the release.",
            &labels,
        )
        .set(1.0);
    let began = metrics.gauge(
        "process_start_time_seconds",
        "When the process began, in seconds since 1970.",
        &[],
    );
    began.set(seconds(roles::now()));
    let resident =
        metrics.gauge("process_resident_memory_bytes", "Resident memory of the process.", &[]);
    let files = metrics.gauge("process_open_fds", "Open file descriptors of the process.", &[]);
    metrics.before_render(move || {
        resident.set_or_clear(resident_bytes().map(|bytes| bytes as f64));
        files.set_or_clear(
            std::fs::read_dir("/proc/self/fd").ok().map(|entries| entries.count() as f64),
        );
    });
}

/// Resident memory of this process; none where there is no `/proc`.
pub(crate) fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kibibytes| kibibytes << 10)
}

fn of_disk(folder: &Path, metrics: &Arc<Metrics>) {
    let folder: PathBuf = folder.to_owned();
    let free = metrics.gauge(
        "pumphandle_disk_free_bytes",
        "Space left to us on the disk of the data folder.",
        &[],
    );
    let size =
        metrics.gauge("pumphandle_disk_size_bytes", "Size of the disk of the data folder.", &[]);
    metrics.before_render(move || {
        free.set_or_clear(fs4::available_space(&folder).ok().map(|bytes| bytes as f64));
        size.set_or_clear(fs4::total_space(&folder).ok().map(|bytes| bytes as f64));
    });
}

// ---- feeds: ingest ----

pub(crate) fn rejects(metrics: &Metrics, feed: &str, reason: RejectReason) -> Counter {
    let labels = [("feed", feed), ("reason", reason.name())];
    metrics.counter("pumphandle_rejects_total", "Lines set aside, by reason.", &labels)
}

// ---- stages: tally and watch ----

/// What the driver shows of the stages of this process; `judges`: watch is among them, which alone
/// knows totals over all partitions.
pub(crate) fn of_stages(
    metrics: &Arc<Metrics>,
    seen: &Arc<Seen>,
    clock: fn() -> Micros,
    judges: bool,
) {
    of_snapshots_and_cells(metrics, seen);
    if judges {
        of_watch(metrics, Arc::clone(seen), clock);
    }
}

type Part = fn(&record::Handled) -> u64;

/// What became of records, with the counter of each.
fn handled_counters(metrics: &Metrics) -> [(Counter, Part); 12] {
    let parts: [(&str, Part); 12] = [
        ("counted", |handled| handled.posts),
        ("duplicate", |handled| handled.duplicates),
        ("resent", |handled| handled.resent),
        ("late", |handled| handled.late),
        ("after-final", |handled| handled.after_final),
        ("deletion", |handled| handled.deletes),
        ("removal", |handled| handled.removals),
        ("edit", |handled| handled.edits),
        ("clamped", |handled| handled.clamped),
        ("refused", |handled| handled.refused),
        ("lost", |handled| handled.lost),
        ("cells", |handled| handled.cells),
    ];
    let help = "What became of the records that tally has read.";
    parts.map(|(what, part)| {
        (metrics.counter("pumphandle_records_total", help, &[("what", what)]), part)
    })
}

fn of_watch(metrics: &Metrics, seen: Arc<Seen>, clock: fn() -> Micros) {
    let watermark = metrics.gauge(
        "pumphandle_watermark_seconds",
        "The instant before which no more arrivals are expected.",
        &[],
    );
    let age = metrics.gauge(
        "pumphandle_watermark_age_seconds",
        "How far the watermark is behind the clock.",
        &[],
    );
    let parts = handled_counters(metrics);
    let skipped = metrics.counter(
        "pumphandle_windows_skipped_total",
        "Window ends without a post that a jump of the watermark passed over.",
        &[],
    );
    let cells = metrics.gauge("pumphandle_watch_cells", "Cells that watch holds.", &[]);
    let pending = metrics.gauge(
        "pumphandle_watch_pending_entries",
        "Entries of frames that wait until other partitions have come as far.",
        &[],
    );
    metrics.before_render(move || {
        cells.set(seen.watch_cells.load(Ordering::Relaxed) as f64);
        pending.set(seen.watch_pending.load(Ordering::Relaxed) as f64);
        let reached = match seen.watermark.load(Ordering::Relaxed) {
            0 => None,
            reached => Some(reached as Micros),
        };
        watermark.set_or_clear(reached.map(seconds));
        age.set_or_clear(reached.map(|reached| seconds(clock() - reached)));
        skipped.raise_to(seen.skipped.load(Ordering::Relaxed));
        let Ok(handled) = seen.handled.lock().map(|handled| *handled) else { return };
        for (counter, part) in &parts {
            counter.raise_to(part(&handled));
        }
    });
}

fn of_snapshots_and_cells(metrics: &Arc<Metrics>, seen: &Arc<Seen>) {
    let seen = Arc::clone(seen);
    let shown = Arc::downgrade(metrics);
    metrics.before_render(move || {
        let Some(metrics) = shown.upgrade() else { return };
        if let Ok(snapshots) = seen.snapshots.lock() {
            for stage in ["tally", "watch"] {
                let of_stage = || {
                    snapshots
                        .iter()
                        .filter(|((name, _), _)| *name == stage)
                        .map(|(_, written)| written)
                };
                let Some(age) = of_stage().map(|written| written.at.elapsed()).max() else {
                    continue;
                };
                let labels = [("stage", stage)];
                metrics
                    .counter(
                        "pumphandle_snapshot_bytes_total",
                        "Bytes of snapshots written.",
                        &labels,
                    )
                    .raise_to(of_stage().map(|written| written.bytes).sum());
                metrics
                    .gauge(
                        "pumphandle_snapshot_age_seconds",
                        "Since the newest snapshot, of the partition with the oldest.",
                        &labels,
                    )
                    .set(age.as_secs_f64());
            }
        }
        if let Ok(cells) = seen.cells.lock() {
            for (partition, (held, max)) in cells.iter() {
                let partition = partition.to_string();
                let labels = [("partition", partition.as_str())];
                metrics
                    .gauge("pumphandle_tally_cells", "Cells held, of a partition.", &labels)
                    .set(*held as f64);
                metrics
                    .gauge(
                        "pumphandle_tally_cells_limit",
                        "Cells of a partition, at most.",
                        &labels,
                    )
                    .set(*max as f64);
            }
        }
    });
}

// ---- landing ----

/// How far landing is behind the streams, as the one that lands knows it.
#[derive(Debug)]
pub(crate) struct Landed {
    /// Everything that had been written by then has landed.
    level_at: Mutex<Option<Instant>>,
    rows: Counter,
}

const LANDING_LAG: (&str, &str) = (
    "pumphandle_landing_lag_seconds",
    "How long ago everything that was in the streams then had reached the warehouse.",
);

impl Landed {
    pub(crate) fn new(metrics: &Arc<Metrics>) -> Arc<Landed> {
        let landed = Arc::new(Landed {
            level_at: Mutex::new(None),
            rows: metrics.counter(
                "pumphandle_landed_records_total",
                "Records of counts and alerts written into the warehouse.",
                &[],
            ),
        });
        let lag = metrics.gauge(LANDING_LAG.0, LANDING_LAG.1, &[]);
        let shared = Arc::clone(&landed);
        metrics.before_render(move || {
            let level_at = *shared.level_at.lock().unwrap_or_else(PoisonError::into_inner);
            lag.set_or_clear(level_at.map(|at| at.elapsed().as_secs_f64()));
        });
        landed
    }

    /// It is ours to land from now on.
    pub(crate) fn begun(&self) {
        let mut level_at = self.level_at.lock().unwrap_or_else(PoisonError::into_inner);
        level_at.get_or_insert_with(Instant::now);
    }

    /// Another process lands.
    pub(crate) fn lost(&self) {
        *self.level_at.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// So many records have landed; none: there was nothing left at `looked`.
    pub(crate) fn landed(&self, rows: usize, looked: Instant) {
        self.rows.add(rows as u64);
        if rows == 0 {
            *self.level_at.lock().unwrap_or_else(PoisonError::into_inner) = Some(looked);
        }
    }
}

/// The same as seen from outside, by a process that reads the streams and the warehouse but does
/// not land: after which look everything that it found in the streams has landed.
#[derive(Debug, Default)]
pub(crate) struct LandingProbe {
    /// When the streams ended where.
    looks: VecDeque<(Instant, BTreeMap<Stream, Position>)>,
    level_at: Option<Instant>,
}

/// So many looks are remembered: the lag of a longer outage is that of its oldest look.
const LOOKS_MAX: usize = 720;

impl LandingProbe {
    /// Takes a look into account; how long landing is behind, once that is known.
    pub(crate) fn look(
        &mut self,
        now: Instant,
        ends: BTreeMap<Stream, Position>,
        landed: &BTreeMap<Stream, Position>,
    ) -> Option<Duration> {
        self.looks.push_back((now, ends));
        let is_landed = |ends: &BTreeMap<Stream, Position>| {
            ends.iter().all(|(stream, end)| landed.get(stream).copied().unwrap_or(0) >= *end)
        };
        while let Some((at, _)) = self.looks.front().filter(|(_, ends)| is_landed(ends)) {
            self.level_at = Some(*at);
            self.looks.pop_front();
        }
        if self.looks.len() > LOOKS_MAX {
            self.looks.pop_back();
        }
        let oldest = self.looks.front().map(|(at, _)| *at);
        self.level_at.or(oldest).map(|at| now - at)
    }
}

// ---- warehouse: whoever serves a page ----

/// The role that queries the warehouse for what only it knows.
pub(crate) struct WarehouseMonitor<'a> {
    warehouse: &'a dyn Warehouse,
    clock: fn() -> Micros,
    up: Gauge,
    open: Gauge,
    age: Gauge,
    judged: Gauge,
    /// Where another process lands.
    lag: Option<(&'a dyn Journal, Gauge, LandingProbe)>,
}

impl<'a> WarehouseMonitor<'a> {
    /// `journal`: where landing is another process's.
    pub(crate) fn new(
        metrics: &Metrics,
        warehouse: &'a dyn Warehouse,
        journal: Option<&'a dyn Journal>,
        clock: fn() -> Micros,
    ) -> WarehouseMonitor<'a> {
        let gauge = |name: &str, help: &str| metrics.gauge(name, help, &[]);
        let lag = |journal| (journal, gauge(LANDING_LAG.0, LANDING_LAG.1), LandingProbe::default());
        WarehouseMonitor {
            warehouse,
            clock,
            up: gauge(
                "pumphandle_warehouse_up",
                "1 if the warehouse answered when it was queried last, else 0.",
            ),
            open: gauge("pumphandle_alerts_open", "Alerts that are open."),
            age: gauge(
                "pumphandle_landed_event_age_seconds",
                "How far the newest event time in the warehouse is behind the clock.",
            ),
            judged: gauge(
                "pumphandle_judged_until_seconds",
                "Latest end of a window that was judged after its close.",
            ),
            lag: journal.map(lag),
        }
    }

    fn query(&self) -> Result<(), warehouse::WarehouseError> {
        let query = AlertQuery { open: Some(true), limit: usize::MAX, ..AlertQuery::default() };
        let alerts = self.warehouse.alerts(&query)?.len();
        let (latest, closed) = (self.warehouse.latest()?, self.warehouse.closed_until()?);
        self.up.set(1.0);
        self.open.set(alerts as f64);
        self.age.set_or_clear(latest.map(|latest| seconds((self.clock)() - latest)));
        self.judged.set_or_clear(closed.map(seconds));
        Ok(())
    }
}

impl Role for WarehouseMonitor<'_> {
    fn turn(&mut self, _context: &Context) -> anyhow::Result<Progress> {
        if let Err(error) = self.query() {
            tracing::debug!(%error, "the warehouse could not be queried for its figures");
            self.up.set(0.0);
            [&self.open, &self.age, &self.judged].into_iter().for_each(Gauge::clear);
        }
        if let Some((journal, lag, probe)) = &mut self.lag {
            let behind = landing_lag(probe, *journal, self.warehouse);
            lag.set_or_clear(behind.map(|behind| behind.as_secs_f64()));
        }
        Ok(Progress::Idle(LOOK_EVERY))
    }
}

fn landing_lag(
    probe: &mut LandingProbe,
    journal: &dyn Journal,
    warehouse: &dyn Warehouse,
) -> Option<Duration> {
    let now = Instant::now();
    let mut ends = BTreeMap::new();
    for stream in [Stream::Counts, Stream::Alerts] {
        ends.insert(stream, journal.extent(stream, 0).ok()?.end);
    }
    let landed = warehouse.progress().unwrap_or_default();
    let landed = ends.keys().filter_map(|stream| {
        let progress = landed.iter().find(|progress| progress.stream == stream.name())?;
        Some((*stream, progress.next))
    });
    let landed = landed.collect();
    probe.look(now, ends, &landed)
}

/// An instant or span as metrics show it.
fn seconds(micros: Micros) -> f64 {
    micros as f64 / SECOND as f64
}

#[cfg(test)]
mod tests;
