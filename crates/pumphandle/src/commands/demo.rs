//! `demo`: the real pipeline on a simulated network, with its page.

use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use record::Micros;
use simulation::{DemoOptions, DemoWorld};

use super::Failure;
use crate::cli;
use crate::config;
use crate::roles::embedded::{self, Embedded};
use crate::roles::ingest::WorldSource;
use crate::roles::{self, Stop};

/// The name of the feed, labelled so that it can't be taken for a real one.
const FEED: &str = "simulated";
/// Marks a folder as the demo's own, so that only such a one is ever emptied.
const MARK: &str = "simulated-data";

pub(crate) fn run(args: &cli::Demo) -> Result<(), Failure> {
    let folder = args.data.clone().unwrap_or_else(|| std::env::temp_dir().join(format!("pumphandle-demo-{}", std::process::id())));
    prepare(&folder)?;
    let sets = [format!("journal.data={}", folder.display()), "journal.partitions=1".to_owned(), format!("web.listen={}", args.listen)];
    let mut config = config::built_in(&sets).map_err(Failure::Configuration)?;
    config.feeds.truncate(1);
    config.feeds[0].name = FEED.to_owned();
    let listener = TcpListener::bind(config.web.listen).with_context(|| format!("failed to listen on `{}`", config.web.listen))?;
    let stop = Stop::default();
    super::run::stop_on_signals(&stop)?;
    tracing::info!(page = format!("http://{}", listener.local_addr()?), "serving simulated posts; Ctrl-C ends");
    if let Some(seconds) = args.stop_after {
        let stop = stop.clone();
        std::thread::spawn(move || {
            std::thread::sleep(Duration::from_secs(seconds));
            stop.ask();
        });
    }
    let demo = DemoWorld::new(args.seed, &DemoOptions::from_morning_before(roles::now()));
    let live = demo.live_us;
    let speed = Micros::from(args.speed);
    let world_clock = WORLD_CLOCK.get_or_init(|| WorldClock { live, speed, began: OnceLock::new() });
    let mut filled = false;
    let due = move || {
        // History comes at once; from its end on the world's clock runs, quickened.
        if !filled {
            filled = true;
            return live;
        }
        world_clock.began.get_or_init(Instant::now);
        world_clock.now()
    };
    let world = WorldSource { world: demo.world, due: Box::new(due), intake: None };
    let worlds = vec![(FEED.to_owned(), world)];
    let embedded = Embedded { config, until_drained: false, worlds, simulated: true, clock: roles::now, people_clock: simulated_now };
    let result = embedded::run(embedded, &stop, Some(listener));
    if args.data.is_none() {
        // Best effort: what is left in a folder for temporary files is the system's to remove.
        let _ = std::fs::remove_dir_all(&folder);
    }
    Ok(result?)
}

/// The clock of the simulated world: it stands at the end of history until that has been read, then it runs, quickened.
struct WorldClock {
    live: Micros,
    speed: Micros,
    began: OnceLock<Instant>,
}

static WORLD_CLOCK: OnceLock<WorldClock> = OnceLock::new();

impl WorldClock {
    fn now(&self) -> Micros {
        let passed = self.began.get().map_or(0, |began| Micros::try_from(began.elapsed().as_micros()).unwrap_or(0));
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
        let empty = folder.read_dir().with_context(|| format!("failed to read `{shown}`"))?.next().is_none();
        if !empty && !folder.join(MARK).exists() {
            bail!("`{shown}` holds something that no demo made\nhint: give a new or empty folder to `--data`");
        }
        std::fs::remove_dir_all(folder).with_context(|| format!("failed to empty `{shown}`"))?;
    }
    std::fs::create_dir_all(folder).with_context(|| format!("failed to make `{shown}`"))?;
    std::fs::write(folder.join(MARK), "made by `pumphandle demo`, emptied at every start\n")?;
    Ok(())
}
