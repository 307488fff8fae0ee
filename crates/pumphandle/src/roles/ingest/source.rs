//! Sources of a feed: opens the file, the network or the simulated world that its lines come from.

use std::sync::Arc;
use std::time::Duration;

use feeds::file::{FileReader, FileSettings};
use feeds::intake::{Intake, IntakeSettings};
use feeds::jetstream::{self, JetstreamSettings};
use feeds::profiles::ProfileSettings;
use feeds::{Clock, Cursor, Feed};
use record::{Micros, Settings};
use simulation::World;

use crate::config::{Config, FeedKind};
use crate::roles::keys::Keys;
use crate::roles::stores;

/// How often a live connection is checked for being alive.
const PING_EVERY_MAX: Duration = Duration::from_secs(10);

/// Where a feed's lines come from.
pub(super) enum Source {
    /// It could not be opened.
    None,
    File(Box<FileReader>, Box<Intake>),
    Live(Feed),
    /// The demo's made-up world, up to an instant that moves with the clock.
    World(Box<WorldSource>),
}

pub(crate) struct WorldSource {
    pub(crate) world: World,
    /// The instant of the world that lines are due up to, by our clock.
    pub(crate) due: Box<dyn FnMut() -> Micros + Send>,
    pub(crate) intake: Option<Intake>,
}

impl Source {
    /// Opens the source that is configured, after a cursor.
    pub(super) fn open(
        config: &Config,
        clock: &Clock,
        intake: Intake,
        index: usize,
        cursor: Option<Cursor>,
    ) -> anyhow::Result<Source> {
        match &config.feeds[index].kind {
            FeedKind::File { paths, follow } => {
                let files = FileSettings {
                    follow: *follow,
                    line_bytes_max: config.limits.line_bytes,
                    batch_bytes: config.limits.batch_bytes,
                    ..FileSettings::new(paths.clone())
                };
                let from = match &cursor {
                    Some(Cursor::File(cursor)) => Some(cursor),
                    _ => None,
                };
                let reader = FileReader::open(files, from)?;
                Ok(Source::File(Box::new(reader), Box::new(intake)))
            }
            FeedKind::Jetstream {
                urls,
                collections,
                wire,
                rewind,
                idle_timeout,
                profiles,
                roots_file,
            } => {
                let roots = roots_file.as_deref().map(stores::read_certificates).transpose()?;
                let user_agent = user_agent(config);
                let idle = stores::duration(*idle_timeout);
                let profiles = profiles.as_ref().map(|profiles| ProfileSettings {
                    user_agent: user_agent.clone(),
                    ..profiles.settings.clone()
                });
                let jetstream = JetstreamSettings {
                    wire: *wire,
                    rewind: *rewind,
                    idle,
                    // Several pings must go unanswered before a connection is silent.
                    ping_every: (idle / 3).min(PING_EVERY_MAX),
                    queue: config.limits.queue,
                    collections: collections.clone(),
                    profiles,
                    user_agent,
                    roots: roots.unwrap_or_default().1,
                    ..JetstreamSettings::new(&config.feeds[index].name, urls.clone())
                };
                let from = match cursor {
                    Some(Cursor::Jetstream(cursor)) => Some(cursor),
                    _ => None,
                };
                let world = jetstream::World { clock: clock.clone(), random: Box::new(random) };
                Ok(Source::Live(jetstream::start(jetstream, from, intake, world)?))
            }
        }
    }
}

/// What makes records of the lines of the feed that stands there in settings.
pub(crate) fn intake(config: &Config, settings: &Settings, keys: &Keys, index: usize) -> Intake {
    let lexicon = Arc::clone(&config.topics.lexicon);
    let mut intake = IntakeSettings::of(
        settings,
        index as u16,
        keys.routing.clone(),
        keys.authors.clone(),
        lexicon,
    );
    intake.segment = config.topics.segment;
    intake.limits = config.limits.of_lines();
    intake.langs_max = config.limits.langs_per_post;
    intake.placing = config.places.placing.clone();
    if let Some(FeedKind::Jetstream { profiles: Some(profiles), .. }) =
        config.feeds.get(index).map(|feed| &feed.kind)
    {
        intake.profiles = Some(profiles.rules);
    }
    Intake::new(intake)
}

/// Who we are to the servers that we read, and where to find who runs this.
fn user_agent(config: &Config) -> String {
    let page = config.notify.page.as_deref().unwrap_or("a hashtag surveillance for public health");
    format!("{} (+{page})", feeds::USER_AGENT)
}

/// Evenly from 0 to 1.
fn random() -> f64 {
    let mut bytes = [0; 8];
    // Without randomness waits are merely not spread.
    let _ = getrandom::fill(&mut bytes);
    (u64::from_le_bytes(bytes) >> 11) as f64 / (1u64 << 53) as f64
}
