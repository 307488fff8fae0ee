//! `demo`: the real pipeline on a simulated network, with its page.

use std::io::Write;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use record::Micros;
use simulation::{DemoOptions, DemoWorld};
use web::Metrics;

use super::Failure;
use crate::cli;
use crate::config::{self, Config, Feed, FeedKind};
use crate::roles::embedded::{self, Clock, Embedded};
use crate::roles::health::Health;
use crate::roles::ingest::WorldSource;
use crate::runtime::{self, Stop};
use crate::{logging, monitor, printer, roles, whole};

/// The name of the feed, labelled so that it can't be taken for a real one.
const FEED: &str = "simulated";
/// Marks a folder as the demo's own, so that only such a one is ever emptied.
const MARK: &str = "simulated-data";

pub(crate) fn run(args: &cli::Demo, file: Option<&Path>, sets: &[String]) -> Result<(), Failure> {
    let for_people = printer::is_for_people(args.json);
    let folder = args.data.clone().unwrap_or_else(|| {
        std::env::temp_dir().join(format!("pumphandle-demo-{}", std::process::id()))
    });
    let config = configured(args, file, sets, &folder, for_people)?;
    logging::start(&config.log);
    prepare(&folder)?;
    logging::introduce("demo", &config);
    let metrics = Arc::new(Metrics::default());
    let health = Arc::new(Health::default());
    let io = runtime::start_io()?;
    monitor::start("demo", &config, &metrics, monitor::readiness(&health), io.handle())?;
    let listener = TcpListener::bind(config.web.listen)
        .with_context(|| format!("failed to listen on `{}`", config.web.listen))?;
    let stop = Stop::default();
    super::run::stop_on_signals(&stop, io.handle())?;
    let page = format!("http://{}", listener.local_addr()?);
    tracing::info!(page, "serving simulated posts; press Ctrl-C to stop");
    if for_people {
        greet(&page, args.speed)?;
    }
    if let Some(seconds) = args.stop_after {
        let stop = stop.clone();
        io.spawn(async move {
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            stop.request();
        });
    }
    let worlds = vec![(FEED.to_owned(), world(args))];
    let (clock, people_clock): (Clock, Clock) = (roles::now, simulated_now);
    let embedded = Embedded {
        config,
        until_drained: false,
        simulated: true,
        clock,
        people_clock,
        metrics,
        health,
        json: args.json,
        io: io.handle().clone(),
    };
    let result = embedded::run(&embedded, worlds, &stop, Some(listener));
    if args.data.is_none() {
        // Best effort: what is left in a folder for temporary files is the system's to remove.
        let _ = std::fs::remove_dir_all(&folder);
    }
    Ok(result?)
}

/// The simulated world, and its clock.
fn world(args: &cli::Demo) -> WorldSource {
    let demo = DemoWorld::new(args.seed, &DemoOptions::from_morning_before(roles::now()));
    let live = demo.live_us;
    let speed = Micros::from(args.speed);
    let clock = WORLD_CLOCK.get_or_init(|| WorldClock { live, speed, began: OnceLock::new() });
    let mut filled = false;
    let due = move || {
        // History comes at once; from its end on the world's clock runs, quickened.
        if !filled {
            filled = true;
            return live;
        }
        clock.began.get_or_init(Instant::now);
        clock.now()
    };
    WorldSource { world: demo.world, due: Box::new(due), intake: None }
}

/// Defaults, the file and the sets that were named; streams, tables and the one feed are the demo's
/// own.
fn configured(
    args: &cli::Demo,
    file: Option<&Path>,
    sets: &[String],
    folder: &Path,
    for_people: bool,
) -> Result<Config, Failure> {
    let mut usual = vec!["journal.partitions=1".to_owned()];
    if for_people {
        // Sentences are not to be looked for between lines of the log.
        usual.push("log.level=warn".to_owned());
    }
    let mut sets = sets.to_vec();
    sets.push(format!("journal.data={}", folder.display()));
    // Gone with the rest of the folder: no author of a simulated world is a person.
    sets.push(format!("privacy.keys={}", folder.join("keys").display()));
    sets.extend(["journal.kind=local", "warehouse.kind=local"].map(str::to_owned));
    sets.extend(args.listen.as_ref().map(|listen| format!("web.listen={listen}")));
    let mut config = config::load_named(file, &usual, &sets).map_err(Failure::Configuration)?;
    config.feeds = vec![Feed {
        name: FEED.to_owned(),
        whole: true,
        kind: FeedKind::File { paths: Vec::new(), follow: true },
    }];
    Ok(config)
}

/// What a person at a terminal should know.
fn greet(page: &str, speed: u32) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "pumphandle on a simulated network: synthetic posts; nothing is sent or fetched unless \
            configured."
    )?;
    writeln!(out, "Page: {page}")?;
    writeln!(
        out,
        "Reading three weeks of history takes some seconds; then time runs {speed} times as fast \
            as the clock."
    )?;
    writeln!(
        out,
        "Soon after, fever rises in Berlin: the first alert appears within a minute, here and on \
            the page."
    )?;
    writeln!(out, "Press Ctrl-C to stop.")?;
    Ok(())
}

/// The clock of the simulated world: it stands at the end of history until that has been read, then
/// it runs, quickened.
struct WorldClock {
    live: Micros,
    speed: Micros,
    began: OnceLock<Instant>,
}

static WORLD_CLOCK: OnceLock<WorldClock> = OnceLock::new();

impl WorldClock {
    fn now(&self) -> Micros {
        let passed = self
            .began
            .get()
            .map_or(0, |began| Micros::try_from(began.elapsed().as_micros()).unwrap_or(0));
        self.live + passed * self.speed
    }
}

/// When people do something in the simulated world: beside its alerts, not hours before them.
fn simulated_now() -> Micros {
    WORLD_CLOCK.get().map_or_else(roles::now, WorldClock::now)
}

/// Empties the folder if it is a demo's, refuses it if it is anything else's.
fn prepare(folder: &PathBuf) -> anyhow::Result<()> {
    let shown = folder.display();
    if folder.exists() {
        let empty = folder
            .read_dir()
            .with_context(|| format!("failed to read `{shown}`"))?
            .next()
            .is_none();
        if !empty && !folder.join(MARK).exists() {
            bail!(
                "`{shown}` contains files that are not from a demo\nhint: give a new or empty folder to \
                    `--data`"
            );
        }
        std::fs::remove_dir_all(folder).with_context(|| format!("failed to empty `{shown}`"))?;
    }
    whole::make_folder(folder).with_context(|| format!("failed to create `{shown}`"))?;
    whole::write(
        &folder.join(MARK),
        b"created by `pumphandle demo`, emptied at every start\n",
        whole::SECRET,
    )?;
    Ok(())
}
