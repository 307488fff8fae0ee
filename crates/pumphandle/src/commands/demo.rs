//! `demo`: the real pipeline on a simulated network, with its page.

use std::net::TcpListener;
use std::path::PathBuf;
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
use crate::whole;

/// The name of the feed, labelled so that it can't be taken for a real one.
const FEED: &str = "simulated";
/// Marks a folder as the demo's own, so that only such a one is ever emptied.
const MARK: &str = "simulated-data";

pub(crate) fn run(args: &cli::Demo) -> Result<(), Failure> {
    let folder = args.data.clone().unwrap_or_else(|| std::env::temp_dir().join(format!("pumphandle-demo-{}", std::process::id())));
    prepare(&folder)?;
    let sets = [
        format!("journal.data={}", folder.display()),
        // Gone with the rest of it: nothing in a simulated world is anybody's.
        format!("privacy.keys={}", folder.join("keys").display()),
        "journal.partitions=1".to_owned(),
        format!("web.listen={}", args.listen),
    ];
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
    let mut began = None;
    let mut filled = false;
    let due = move || {
        // History comes at once; from its end on the world's clock runs, quickened.
        if !filled {
            filled = true;
            return live;
        }
        let began = *began.get_or_insert_with(Instant::now);
        live + Micros::try_from(began.elapsed().as_micros()).unwrap_or(0) * speed
    };
    let world = WorldSource { world: demo.world, due: Box::new(due), intake: None };
    let embedded = Embedded { config, until_drained: false, worlds: vec![(FEED.to_owned(), world)], simulated: true, clock: roles::now };
    let result = embedded::run(embedded, &stop, Some(listener));
    if args.data.is_none() {
        // Best effort: what is left in a folder for temporary files is the system's to remove.
        let _ = std::fs::remove_dir_all(&folder);
    }
    Ok(result?)
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
    whole::make_folder(folder).with_context(|| format!("failed to make `{shown}`"))?;
    whole::write(&folder.join(MARK), b"made by `pumphandle demo`, emptied at every start\n", whole::SECRET)?;
    Ok(())
}
