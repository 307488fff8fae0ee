//! The ingest role: reads feeds, appends posts, and after them the ticks that say how far each feed
//! has come.
//!
//! A tick stands in every partition behind every post that it speaks for; a feed's cursor is
//! written after its tick. So a restart reads again what was not ticked, and what it appends twice
//! is told by its identity.
//!
//! Feeds fail one by one: a file that can't be read on, or of which too much can't be read, is
//! left, reported and counted, and the others go on. What strangers write on a network is counted
//! and warned of, and never a reason to end.
//!
//! Several workers share the feeds: a feed belongs to the owner of one partition of the stream
//! `feeds`, and the position of the owner's claim is the feed's epoch. One that was thought dead
//! and wakes writes on under its lower epoch, which changes nothing.

mod meters;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use feeds::file::{Content, FileReader, FileSettings, looks};
use feeds::intake::{Intake, IntakeSettings, Outcome, Routing};
use feeds::jetstream::{self, JetstreamSettings};
use feeds::line::Rejected;
use feeds::profiles::ProfileSettings;
use feeds::progress::{Progress as FeedProgress, TickClock};
use feeds::{Clock, Cursor, Feed, Message, Now};
use journal::{Change, Entry, Group, Journal, Membership, Stream};
use notify::channel::explain_certificate_error;
use record::region::UNLOCATED;
use record::time::SECOND;
use record::{Micros, Op, Post, Provenance, Record, Reject, RejectReason, Settings, Tick, wire};
use serde::{Deserialize, Serialize};
use simulation::World;
use web::Metrics;

use meters::{Meters, Outage, Repeated};

use super::keys::Keys;
use super::sources::{LAG_MAX, SourceStates};
use super::stores;
use crate::config::{Config, FeedKind, Wire};
use crate::monitor;
use crate::runtime::log::{self, LogState};
use crate::runtime::{Context, Progress, Role, retry};

/// Lines taken from one feed before the next one's turn.
const LINES_A_TURN: usize = 2_000;
/// Below so many lines a share says nothing.
const LINES_JUDGED_MIN: u64 = 1_000;
const UNSTEADY: &str = "pumphandle_clock_unsteady_seconds_total";
const UNSTEADY_HELP: &str =
    "Seconds in which ticks waited because wall and monotonic clock did not agree.";
/// The stamps of a source must differ from our clock for so long before it is reported.
const LAG_SAID_AFTER: Micros = 10 * SECOND;
/// The key that names the authorities a feed trusts.
const ROOTS_KEY: &str = "roots-file";
/// With nothing to read, so long until the next look.
const IDLE: Duration = Duration::from_millis(20);
/// How often a live connection is asked whether it is alive.
const PING_EVERY_MAX: Duration = Duration::from_secs(10);
/// How often a worker that is to end looks whether the others' feeds have been read.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// How often it is looked whether keys can be destroyed.
const FORGET_KEYS_EVERY: Duration = Duration::from_secs(3_600);
/// What a clean stop adds to the clock of its last tick, so that open counts are told once more.
const LAST_TICK_AHEAD: Micros = 2 * SECOND;

/// Where a feed's lines come from.
enum Source {
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

struct Running {
    name: String,
    epoch: u64,
    source: Source,
    finite: bool,
    /// A network, which follows the clock.
    live: bool,
    progress: FeedProgress,
    /// After the last line that was appended.
    cursor: Option<Cursor>,
    meters: Meters,
    /// Lines read and lines rejected since the start, or of a network since they were last judged.
    lines: u64,
    rejected: u64,
    /// What the first line looks like that was rejected, as long as none was understood.
    looks: Option<&'static str>,
    any_understood: bool,
    /// A followed file has been read up to what is written to it now.
    caught_up: bool,
    outage: Option<Outage>,
    /// The monotonic clock at the last line, and how far that line's stamp was behind our clock.
    event_at: Option<Micros>,
    lag: Option<Micros>,
    /// The monotonic clock since when stamps have differed from our clock, and whether that was
    /// reported.
    differs: Option<(Micros, bool)>,
    rejects_said: Repeated,
    ahead_said: Repeated,
    errors_said: Repeated,
    /// Why it is read no more; or, of followed files, why one of them was not read to its end.
    failed: Option<String>,
    cut_short: Option<String>,
    /// It failed before its first line, and stands where others are.
    stands: bool,
    failed_noted: bool,
    /// A tick has reported that it has ended; and `feeds` says so too.
    ended_ticked: bool,
    said_read: bool,
    /// Where earlier owners stood is forgotten.
    alone: bool,
}

impl Running {
    /// A feed of which nothing has been read.
    fn of(
        name: String,
        epoch: u64,
        source: Source,
        progress: FeedProgress,
        meters: Meters,
    ) -> Running {
        Running {
            name,
            epoch,
            source,
            finite: false,
            live: false,
            progress,
            cursor: None,
            meters,
            lines: 0,
            rejected: 0,
            looks: None,
            any_understood: false,
            caught_up: false,
            outage: None,
            event_at: None,
            lag: None,
            differs: None,
            rejects_said: Repeated::default(),
            ahead_said: Repeated::default(),
            errors_said: Repeated::default(),
            failed: None,
            cut_short: None,
            stands: false,
            failed_noted: false,
            ended_ticked: false,
            said_read: false,
            alone: false,
        }
    }
}

/// What `feeds` holds of a feed: where it goes on, and how far it has spoken for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Place {
    cursor: Option<String>,
    reached: Option<Micros>,
}

/// A key for each epoch: an earlier owner never overwrites where a later one stands.
fn place_key(feed: &str, epoch: u64) -> String {
    format!("cursor/{feed}/{epoch:020}")
}

/// Of the latest owner that has reported where it stands; and the keys of all before it.
fn last_place(journal: &dyn Journal, feed: &str) -> anyhow::Result<(Option<Place>, Vec<String>)> {
    let mut keys = retry(|| journal.keys(Stream::Feeds, &format!("cursor/{feed}/")))?;
    let last = keys.pop();
    let place = last.map(|key| read_place(journal, &key)).transpose()?.flatten();
    Ok((place, keys))
}

/// The furthest arrival that any feed has spoken for.
pub(crate) fn reached(journal: &dyn Journal) -> anyhow::Result<Option<Micros>> {
    Ok(places(journal)?.into_iter().filter_map(|place| place.reached).max())
}

fn places(journal: &dyn Journal) -> anyhow::Result<Vec<Place>> {
    let keys = retry(|| journal.keys(Stream::Feeds, "cursor/"))?;
    let places =
        keys.iter().map(|key| read_place(journal, key)).collect::<anyhow::Result<Vec<_>>>()?;
    Ok(places.into_iter().flatten().collect())
}

fn read_place(journal: &dyn Journal, key: &str) -> anyhow::Result<Option<Place>> {
    match retry(|| journal.get(Stream::Feeds, key))? {
        Some(bytes) => Ok(Some(
            serde_json::from_slice(&bytes)
                .with_context(|| format!("the cursor `{key}` is unreadable"))?,
        )),
        None => Ok(None),
    }
}

/// That a feed has been read to its end, and its last tick appended.
fn read_key(feed: &str) -> String {
    format!("read/{feed}")
}

/// That a feed can't be read to its end, and why.
fn failed_key(feed: &str) -> String {
    format!("failed/{feed}")
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

/// The partition of the stream `feeds` whose owner reads the feed.
fn share_of(feed: &str, partitions: u32) -> u32 {
    let hash = blake3::hash(feed.as_bytes());
    let spread = u32::from_le_bytes([
        hash.as_bytes()[0],
        hash.as_bytes()[1],
        hash.as_bytes()[2],
        hash.as_bytes()[3],
    ]);
    spread % partitions.max(1)
}

/// A feed that some worker reads.
struct Planned {
    /// Its place in settings.
    index: usize,
    name: String,
    share: u32,
    finite: bool,
}

pub(crate) struct Ingest<'a> {
    journal: &'a dyn Journal,
    config: &'a Config,
    settings: Settings,
    keys: Keys,
    around: Around,
    until_drained: bool,
    membership: Box<dyn Membership>,
    planned: Vec<Planned>,
    /// Shares of feeds that are ours.
    shares: BTreeSet<u32>,
    /// In place of the feeds of these names.
    worlds: BTreeMap<String, WorldSource>,
    feeds: Vec<Running>,
    ticks: TickClock,
    entries: Vec<Entry>,
    /// Those of the entries that must come after all others, where an append has no order of its
    /// own.
    tick_entries: Vec<Entry>,
    rejects: Vec<Entry>,
    ticked: bool,
    next_look: Instant,
    /// When it is next looked whether keys of old epochs can be destroyed.
    next_forget: Instant,
    /// Bytes of what has gathered, and the most that were appended at once.
    gathered: usize,
    appended_most: usize,
    /// The monotonic clock when wall and monotonic clock parted.
    unsteady: Option<Micros>,
    next_show: Micros,
}

/// What a role works in: its clocks, and where it shows how it fares.
#[derive(Clone)]
pub(crate) struct Around {
    pub(crate) clock: Clock,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) sources: Arc<SourceStates>,
}

/// Who hands a world in, in place of configured feeds.
pub(crate) type Worlds = Vec<(String, WorldSource)>;

impl Role for Ingest<'_> {
    /// Ends once all finite feeds have been read, here or elsewhere, and the log has ended.
    fn turn(&mut self, context: &Context) -> anyhow::Result<Progress> {
        self.share()?;
        let busy = self.round()?;
        if self.until_drained && !context.stop.is_requested() && self.drained()? {
            return Ok(Progress::Ended);
        }
        Ok(if busy { Progress::BUSY } else { Progress::Idle(IDLE) })
    }

    fn stop(&mut self, _context: &Context) -> anyhow::Result<()> {
        self.finish(false)
    }
}

impl<'a> Ingest<'a> {
    pub(crate) fn start(
        journal: &'a dyn Journal,
        config: &'a Config,
        settings: &Settings,
        keys: &Keys,
        worlds: Worlds,
        around: Around,
        until_drained: bool,
    ) -> anyhow::Result<Ingest<'a>> {
        let shares = journal.partitions(Stream::Feeds);
        let planned =
            config.feeds.iter().take(settings.feeds.len()).enumerate().map(|(index, feed)| {
                Planned {
                    index,
                    name: feed.name.clone(),
                    share: share_of(&feed.name, shares),
                    finite: matches!(feed.kind, FeedKind::File { follow: false, .. })
                        && worlds.iter().all(|(world, _)| *world != feed.name),
                }
            });
        let planned = planned.collect();
        Ok(Ingest {
            journal,
            config,
            settings: settings.clone(),
            keys: keys.clone(),
            around,
            until_drained,
            membership: retry(|| journal.join(Group::Ingest))?,
            planned,
            shares: BTreeSet::new(),
            worlds: worlds.into_iter().collect(),
            feeds: Vec::new(),
            ticks: TickClock::default(),
            entries: Vec::new(),
            tick_entries: Vec::new(),
            rejects: Vec::new(),
            ticked: false,
            next_look: Instant::now(),
            next_forget: Instant::now(),
            gathered: 0,
            appended_most: 0,
            unsteady: None,
            next_show: Micros::MIN,
        })
    }

    /// Takes feeds on and lets them go, as the group decides.
    fn share(&mut self) -> anyhow::Result<()> {
        for change in retry(|| self.membership.changes(Duration::ZERO))? {
            match change {
                Change::Given(share) => {
                    self.shares.insert(share);
                    let ours: Vec<usize> = (0..self.planned.len())
                        .filter(|planned| self.planned[*planned].share == share)
                        .collect();
                    for planned in ours {
                        self.take_on(planned)?;
                    }
                }
                Change::Taken(share) => {
                    self.shares.remove(&share);
                    // What was read of it and not ticked is read again by whoever has it now.
                    let (feeds, planned) = (&mut self.feeds, &self.planned);
                    for feed in planned.iter().filter(|planned| planned.share == share) {
                        tracing::info!(feed = feed.name, "feed lost to another process");
                    }
                    feeds.retain(|feed| {
                        planned
                            .iter()
                            .all(|planned| planned.name != feed.name || planned.share != share)
                    });
                    for planned in planned.iter().filter(|planned| planned.share == share) {
                        tracing::info!(feed = planned.name, "given to another worker");
                        self.around.sources.forget(&planned.name);
                    }
                }
            }
        }
        Ok(())
    }

    /// Claims the feed and resumes it. The claim's position is its epoch: what an earlier owner
    /// still says is told by it.
    fn take_on(&mut self, planned: usize) -> anyhow::Result<()> {
        let Planned { index, ref name, finite, .. } = self.planned[planned];
        let name = name.clone();
        let claim = (format!("claim/{name}"), Some(std::process::id().to_string().into_bytes()));
        // What an earlier owner has read to the end is looked at again.
        let claim = [claim, (read_key(&name), None), (failed_key(&name), None)];
        let epoch =
            retry(|| self.journal.put(Stream::Feeds, &claim))?.first().copied().unwrap_or(0);
        let (place, _) = last_place(self.journal, &name)?;
        // Ours from now on, before our first tick: what an earlier owner ticks after it is ignored,
        // and so must be where that one stands.
        let place = place.unwrap_or(Place { cursor: None, reached: None });
        let own = (place_key(&name, epoch), Some(serde_json::to_vec(&place)?));
        retry(|| self.journal.put(Stream::Feeds, std::slice::from_ref(&own)))?;
        let cursor = place.cursor.as_deref().map(str::parse::<Cursor>).transpose()?;
        let now = self.around.clock.now();
        let opened = self.open(index, cursor.clone());
        let is_file = matches!(self.config.feeds[index].kind, FeedKind::File { .. });
        let mut progress = match &opened {
            Ok(Source::Live(_)) => FeedProgress::live(&name, epoch, self.config.ingest.outage_hold),
            Err(_) if !is_file => FeedProgress::live(&name, epoch, self.config.ingest.outage_hold),
            _ => FeedProgress::of_file(&name, epoch),
        };
        if let (Ok(Source::File(..)), Some(reached)) = (&opened, place.reached) {
            // A file resumes at the very line: nothing between is missing.
            progress.on_connected(now, Some(reached.min(now.wall)));
        }
        let meters = Meters::of(&self.around.metrics, &name);
        tracing::info!(feed = name, resumed = cursor.is_some(), "feed taken over");
        let live = matches!(opened, Ok(Source::Live(_)));
        let connected = opened.is_ok() && !live;
        meters.connected.set(f64::from(u8::from(connected)));
        meters.failed.set(0.0);
        self.around.sources.change(&name, |state| {
            state.live = live;
            state.connected = connected;
        });
        let (source, failed) = match opened {
            Ok(source) => (source, None),
            Err(error) => (Source::None, Some(format!("it could not be opened: {error:#}"))),
        };
        let feed =
            Running { finite, live, cursor, ..Running::of(name, epoch, source, progress, meters) };
        self.feeds.push(feed);
        if let Some(why) = failed {
            self.fail(self.feeds.len() - 1, why)?;
        }
        Ok(())
    }

    /// A feed that can't be read on: the others go on without it, its end is not claimed and what
    /// it lacks is not covered.
    fn fail(&mut self, index: usize, why: String) -> anyhow::Result<()> {
        let feed = &mut self.feeds[index];
        tracing::error!(
            feed = feed.name,
            why,
            "this feed has failed and is read no more; the others go on"
        );
        feed.source = Source::None;
        feed.progress.on_failed();
        feed.meters.failed.set(1.0);
        feed.meters.connected.set(0.0);
        self.around.sources.change(&feed.name, |state| {
            state.failed = Some(why.clone());
            state.connected = false;
        });
        feed.failed = Some(why);
        Ok(())
    }

    fn open(&mut self, index: usize, cursor: Option<Cursor>) -> anyhow::Result<Source> {
        let feed = &self.config.feeds[index];
        if let Some(mut world) = self.worlds.remove(&feed.name) {
            world.intake = Some(intake(self.config, &self.settings, &self.keys, index));
            return Ok(Source::World(Box::new(world)));
        }
        match &feed.kind {
            FeedKind::File { paths, follow } => {
                let files = FileSettings {
                    follow: *follow,
                    line_bytes_max: self.config.limits.line_bytes,
                    batch_bytes: self.config.limits.batch_bytes,
                    ..FileSettings::new(paths.clone())
                };
                let from = match &cursor {
                    Some(Cursor::File(cursor)) => Some(cursor),
                    _ => None,
                };
                Ok(Source::File(
                    Box::new(FileReader::open(files, from)?),
                    Box::new(intake(self.config, &self.settings, &self.keys, index)),
                ))
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
                let user_agent = user_agent(self.config);
                let idle =
                    Duration::from_micros(u64::try_from(*idle_timeout).unwrap_or(30_000_000));
                let jetstream = JetstreamSettings {
                    wire: match wire {
                        Wire::Auto => None,
                        Wire::V1 => Some(jetstream::Wire::First),
                        Wire::V2 => Some(jetstream::Wire::Second),
                    },
                    rewind: *rewind,
                    idle,
                    // Several pings must go unanswered before a connection is silent.
                    ping_every: (idle / 3).min(PING_EVERY_MAX),
                    queue: self.config.limits.queue,
                    collections: collections.clone(),
                    profiles: profiles.as_ref().map(|profiles| ProfileSettings {
                        user_agent: user_agent.clone(),
                        ..profiles.settings.clone()
                    }),
                    user_agent,
                    roots: roots.unwrap_or_default().1,
                    ..JetstreamSettings::new(&feed.name, urls.clone())
                };
                let from = match cursor {
                    Some(Cursor::Jetstream(cursor)) => Some(cursor),
                    _ => None,
                };
                let world =
                    jetstream::World { clock: self.around.clock.clone(), random: Box::new(random) };
                Ok(Source::Live(jetstream::start(
                    jetstream,
                    from,
                    intake(self.config, &self.settings, &self.keys, index),
                    world,
                )?))
            }
        }
    }

    /// A turn of each feed, and a tick if it is time for one; whether there was anything to read.
    fn round(&mut self) -> anyhow::Result<bool> {
        let mut busy = false;
        for index in 0..self.feeds.len() {
            busy |= self.turn(index)?;
        }
        let now = self.around.clock.now();
        if self.is_steady(now) && self.ticks.due(now.monotonic) {
            self.place_failed()?;
            self.tick(now, None);
        }
        self.flush()?;
        self.show(now);
        Ok(busy)
    }

    /// Whether wall and monotonic clock agree. While they don't, no tick says how far feeds have
    /// come.
    fn is_steady(&mut self, now: Now) -> bool {
        let step = self.around.clock.step();
        match (step, self.unsteady) {
            (Some(step), None) => {
                self.unsteady = Some(now.monotonic);
                tracing::warn!(
                    seconds = step / SECOND,
                    "the wall clock has left the monotonic one: ticks wait until both have agreed \
                        for 60 s"
                );
            }
            (None, Some(since)) => {
                self.unsteady = None;
                let metrics = &self.around.metrics;
                let waited = u64::try_from((now.monotonic - since) / SECOND).unwrap_or(0);
                metrics.counter(UNSTEADY, UNSTEADY_HELP, &[]).add(waited);
                tracing::warn!(
                    seconds = (now.monotonic - since) / SECOND,
                    "wall and monotonic clock agree again: ticks go on"
                );
            }
            _ => {}
        }
        step.is_none()
    }

    /// Brings metrics and states up to date, each second.
    fn show(&mut self, now: Now) {
        if now.monotonic < self.next_show {
            return;
        }
        self.next_show = now.monotonic + SECOND;
        let clock = &self.around.clock;
        let metrics = &self.around.metrics;
        let gauge = |name: &str, help: &str| metrics.gauge(name, help, &[]);
        gauge(
            "pumphandle_clock_steady",
            "1 while wall and monotonic clock agree; ticks wait while they don't.",
        )
        .set(f64::from(u8::from(clock.steady())));
        metrics
            .counter(
                "pumphandle_clock_steps_total",
                "Times that the wall clock left the monotonic one by more than a minute.",
                &[],
            )
            .raise_to(clock.steps());
        gauge(
            "pumphandle_append_bytes_max",
            "The most bytes appended at once; `limits.batch-bytes` bounds what is added to.",
        )
        .set(self.appended_most as f64);
        metrics.counter(UNSTEADY, UNSTEADY_HELP, &[]);
        let degraded =
            self.around.sources.all().values().filter(|state| state.problem(now).is_some()).count();
        gauge(
            "pumphandle_feeds_degraded",
            "Feeds that have failed, bring nothing, or whose stamps differ from our clock by more \
                than a minute.",
        )
        .set(degraded as f64);
        for feed in &self.feeds {
            if let Source::Live(source) = &feed.source {
                feed.meters.waited.set(source.waited_most() as f64);
            }
            if let Some(at) = feed.event_at {
                feed.meters.silent.set(((now.monotonic - at) / SECOND) as f64);
            }
            if let Some(lag) = feed.lag {
                feed.meters.lag.set(seconds(lag));
            }
            self.around.sources.change(&feed.name, |state| {
                state.ended = feed.progress.has_ended();
                (state.event_at, state.lag) = (feed.event_at, feed.lag);
            });
        }
    }

    /// Tells the others which of our feeds have been read to the end; once all finite ones have,
    /// ends the rest; once all feeds have ended, whoever owns the first share ends the log. A log
    /// of which a feed has failed is not ended.
    fn drained(&mut self) -> anyhow::Result<bool> {
        self.say_read()?;
        self.say_failed()?;
        let done = |feed: &Running| feed.said_read || feed.failed_noted;
        if self.feeds.iter().any(|feed| feed.finite && !done(feed))
            || Instant::now() < self.next_look
        {
            return Ok(false);
        }
        self.next_look = Instant::now() + LOOK_EVERY;
        let read = retry(|| self.journal.keys(Stream::Feeds, "read/"))?;
        let failed = retry(|| self.journal.keys(Stream::Feeds, "failed/"))?;
        let is_read = |planned: &&Planned| read.contains(&read_key(&planned.name));
        let is_failed = |planned: &&Planned| failed.contains(&failed_key(&planned.name));
        if self
            .planned
            .iter()
            .filter(|planned| planned.finite)
            .all(|planned| is_read(&planned) || is_failed(&planned))
        {
            let failures: Vec<String> =
                self.planned.iter().filter(is_failed).map(|planned| planned.name.clone()).collect();
            if !failures.is_empty() {
                self.finish(false)?;
                let mut reported = Vec::new();
                for name in failures {
                    let why = retry(|| self.journal.get(Stream::Feeds, &failed_key(&name)))?
                        .unwrap_or_default();
                    reported.push(format!(
                        "feed `{name}` was not read to its end: {}",
                        String::from_utf8_lossy(&why)
                    ));
                }
                bail!("{}", reported.join("\n"));
            }
            if self.feeds.iter().any(|feed| !feed.said_read) {
                self.finish(true)?;
                self.say_read()?;
                self.next_look = Instant::now();
            } else if self.shares.contains(&0)
                && self.planned.iter().all(|planned| is_read(&planned))
            {
                log::end(self.journal)?;
            }
        }
        Ok(log::state(self.journal)? != LogState::Open)
    }

    /// So that other workers don't wait for its end.
    fn say_failed(&mut self) -> anyhow::Result<()> {
        for feed in self.feeds.iter_mut().filter(|feed| !feed.failed_noted) {
            if let Some(why) = feed.failed.as_ref().or(feed.cut_short.as_ref()) {
                let pair = (failed_key(&feed.name), Some(why.clone().into_bytes()));
                retry(|| self.journal.put(Stream::Feeds, std::slice::from_ref(&pair)))?;
                feed.failed_noted = true;
            }
        }
        Ok(())
    }

    /// After the flush of the tick that says so.
    fn say_read(&mut self) -> anyhow::Result<()> {
        for feed in
            self.feeds.iter_mut().filter(|feed| feed.progress.has_ended() && !feed.said_read)
        {
            if feed.ended_ticked {
                let pair = (read_key(&feed.name), Some(feed.epoch.to_string().into_bytes()));
                retry(|| self.journal.put(Stream::Feeds, std::slice::from_ref(&pair)))?;
                feed.said_read = true;
            }
        }
        Ok(())
    }

    /// Takes some lines of one feed; whether there were any.
    fn turn(&mut self, index: usize) -> anyhow::Result<bool> {
        // Taken out for the turn, so that what it reads can be handed to the rest of us.
        match std::mem::replace(&mut self.feeds[index].source, Source::None) {
            Source::None => Ok(false),
            Source::File(mut reader, mut intake) => {
                let turned = self.turn_of_file(index, &mut reader, &mut intake);
                self.put_back(index, Source::File(reader, intake));
                turned
            }
            Source::Live(feed) => {
                let messages = feed.take(LINES_A_TURN);
                self.put_back(index, Source::Live(feed));
                let any = !messages.is_empty();
                for message in messages {
                    self.message(index, message);
                    self.flush_if_full()?;
                }
                Ok(any)
            }
            Source::World(mut world) => {
                let until = (world.due)();
                let mut text = String::new();
                let mut lines = 0;
                while lines < LINES_A_TURN
                    && world.world.next_line_before(until, &mut text).is_some()
                {
                    // The simulated clock bounds what arrives by it.
                    if let Some(Ok(outcome)) = world
                        .intake
                        .as_mut()
                        .map(|intake| intake.read(text.as_bytes(), Some(until)))
                    {
                        lines += 1;
                        self.event(index, self.around.clock.now());
                        self.append(index, outcome);
                        self.flush_if_full()?;
                    }
                }
                self.put_back(index, Source::World(world));
                Ok(lines > 0)
            }
        }
    }

    /// Unless it has failed meanwhile.
    fn put_back(&mut self, index: usize, source: Source) {
        let feed = &mut self.feeds[index];
        if feed.failed.is_none() {
            feed.source = source;
        }
    }

    fn turn_of_file(
        &mut self,
        index: usize,
        reader: &mut FileReader,
        intake: &mut Intake,
    ) -> anyhow::Result<bool> {
        match reader.next_batch(LINES_A_TURN) {
            Ok(Some(batch)) => {
                let now = self.around.clock.now();
                for line in batch.lines() {
                    let outcome = match line.content {
                        Content::Bytes(bytes) if self.feeds[index].caught_up => {
                            intake.read(bytes, Some(now.wall))
                        }
                        Content::Bytes(bytes) => intake.read_stored(bytes, now.wall),
                        Content::TooLong { length, .. } => Err(Rejected::new(
                            RejectReason::Length,
                            format!("line of {length} bytes"),
                        )),
                    };
                    if let Some(by) = intake.take_ahead() {
                        self.ahead(index, by, now);
                    }
                    let cursor = Cursor::File(line.cursor());
                    self.event(index, now);
                    match outcome {
                        Ok(outcome) => self.take(index, outcome, cursor),
                        Err(rejected) => {
                            let feed = &mut self.feeds[index];
                            if feed.looks.is_none() && !feed.any_understood {
                                feed.looks = looks::hint(line.begins());
                            }
                            let reject = line.reject(&feed.name, &rejected);
                            self.reject(index, &reject, cursor);
                            if let Some(why) = self.too_many_rejected(
                                index,
                                LINES_JUDGED_MIN,
                                self.config.rejects.share_max,
                            ) {
                                self.fail(index, why)?;
                                return Ok(true);
                            }
                        }
                    }
                    self.flush_if_full()?;
                }
                if batch.is_empty() {
                    // Only followed files say that there is nothing at the moment.
                    self.feeds[index].caught_up = true;
                }
                Ok(!batch.is_empty())
            }
            Ok(None) if self.feeds[index].progress.has_ended() => Ok(false),
            Ok(None) => {
                // Of a short file, only what can't be one at all.
                let most = if self.feeds[index].looks.is_some() { 0.5 } else { 1.0 - f64::EPSILON };
                match self.too_many_rejected(index, 1, most) {
                    Some(why) => self.fail(index, why)?,
                    None => {
                        let feed = &mut self.feeds[index];
                        feed.progress.on_end();
                        tracing::info!(feed = feed.name, "read to its end");
                    }
                }
                Ok(false)
            }
            Err(error) => {
                let why = format!("{:#}", anyhow::Error::from(error));
                if self.feeds[index].finite {
                    self.fail(index, why)?;
                    return Ok(false);
                }
                // Followed files are many, and one of them is not all.
                let now = self.around.clock.now();
                let feed = &mut self.feeds[index];
                if feed.errors_said.due(now) {
                    tracing::error!(
                        feed = feed.name,
                        why,
                        "a file could not be read, going on with the others"
                    );
                }
                feed.meters.failed.set(1.0);
                feed.cut_short.get_or_insert_with(|| why.clone());
                self.around.sources.change(&feed.name, |state| state.failed = Some(why));
                Ok(false)
            }
        }
    }

    /// Why a file is no feed, if so great a share of at least so many lines was rejected: better no
    /// counts than wrong ones.
    fn too_many_rejected(&self, index: usize, lines_min: u64, share_max: f64) -> Option<String> {
        let feed = &self.feeds[index];
        let share = feed.rejected as f64 / feed.lines.max(1) as f64;
        if feed.lines < lines_min || share <= share_max {
            return None;
        }
        let hint = feed
            .looks
            .unwrap_or("`pumphandle rejects list` and `pumphandle_rejects_total` say why");
        let percent = (share * 100.0).round();
        let than =
            if feed.lines < LINES_JUDGED_MIN { "" } else { ", more than `rejects.share-max`" };
        Some(format!("{percent} % of {} lines were rejected{than}\nhint: {hint}", feed.lines))
    }

    fn message(&mut self, index: usize, message: Message) {
        let now = self.around.clock.now();
        match message {
            Message::Line { outcome, cursor } => {
                self.heard(index, now);
                self.event(index, now);
                self.take(index, outcome, cursor);
            }
            Message::Reject { reject, cursor } => {
                self.heard(index, now);
                self.event(index, now);
                self.reject(index, &reject, cursor);
                self.judge_rejects(index, now);
            }
            Message::Placed { posts, requested, failed } => {
                self.placed(index, posts, requested, failed)
            }
            Message::Ahead { by } => self.ahead(index, by, now),
            other => {
                match &other {
                    Message::Gap { from, to, why } => self.gap(index, *from, *to, why),
                    Message::Disconnected { why, .. } => {
                        let why = explain_certificate_error(why, ROOTS_KEY);
                        self.disconnected(index, &why, now)
                    }
                    Message::Connected { resumed, .. } => self.connected(index, *resumed),
                    Message::Alive { .. } => self.heard(index, now),
                    Message::Failed { why } => {
                        tracing::error!(
                            feed = self.feeds[index].name,
                            why,
                            "a part of the source could not be read"
                        );
                    }
                    _ => {}
                }
                self.feeds[index].progress.on_message(&other, now);
            }
        }
    }

    fn gap(&mut self, index: usize, from: Micros, to: Micros, why: &str) {
        let feed = &self.feeds[index];
        tracing::warn!(
            feed = feed.name,
            from = record::time::display(from),
            to = record::time::display(to),
            why,
            "gap: these arrivals are lost"
        );
        feed.meters.gaps.add(1);
        self.around.sources.change(&feed.name, |state| state.gaps += 1);
    }

    /// An outage is reported when it begins and when it ends, and in between more and more rarely.
    fn disconnected(&mut self, index: usize, why: &str, now: Now) {
        let feed = &mut self.feeds[index];
        feed.meters.connected.set(0.0);
        let outage = feed.outage.get_or_insert_with(|| {
            feed.meters.outages.add(1);
            let reported = Repeated::default();
            Outage {
                since: now.monotonic,
                why: why.to_owned(),
                attempts: 0,
                resumed: None,
                reconnected: false,
                reported,
            }
        });
        outage.attempts += 1;
        outage.reconnected = false;
        let seconds = (now.monotonic - outage.since) / SECOND;
        if outage.reported.due(now) {
            match outage.attempts {
                1 => tracing::warn!(
                    feed = feed.name,
                    why,
                    "an outage begins: connecting again, nothing is claimed as covered meanwhile"
                ),
                attempts => {
                    tracing::warn!(feed = feed.name, why, seconds, attempts, "the outage goes on")
                }
            }
        } else {
            tracing::debug!(feed = feed.name, why, seconds, "no connection");
        }
        self.around.sources.change(&feed.name, |state| {
            state.connected = false;
            state.outage.get_or_insert_with(|| (now.monotonic, why.to_owned())).1 = why.to_owned();
        });
    }

    fn connected(&mut self, index: usize, resumed: Option<Micros>) {
        let feed = &mut self.feeds[index];
        feed.meters.connected.set(1.0);
        let again = feed.outage.is_some();
        match &mut feed.outage {
            Some(outage) => {
                outage.reconnected = true;
                outage.resumed = resumed;
                feed.meters.reconnects.add(1);
            }
            None => tracing::info!(feed = feed.name, "connected"),
        }
        self.around.sources.change(&feed.name, |state| {
            state.connected = true;
            state.reconnects += u64::from(again);
        });
    }

    /// A connection has brought something, or has proven that there was nothing: an outage is over.
    fn heard(&mut self, index: usize, now: Now) {
        let feed = &mut self.feeds[index];
        let Some(outage) = feed.outage.take_if(|outage| outage.reconnected) else { return };
        tracing::info!(
            feed = feed.name,
            seconds = (now.monotonic - outage.since) / SECOND,
            attempts = outage.attempts,
            resumed_from = outage.resumed.map(record::time::display),
            why = outage.why,
            "the outage is over"
        );
        self.around.sources.change(&feed.name, |state| state.outage = None);
    }

    /// A line came, whatever it says.
    fn event(&mut self, index: usize, now: Now) {
        self.feeds[index].event_at = Some(now.monotonic);
    }

    /// A line whose stamp is not believed.
    fn ahead(&mut self, index: usize, by: Micros, now: Now) {
        let feed = &mut self.feeds[index];
        feed.meters.ahead.add(1);
        feed.lag = Some(-by);
        if feed.ahead_said.due(now) {
            tracing::warn!(
                feed = feed.name,
                seconds = by / SECOND,
                "a line is stamped ahead of our clock, which counts in its place: one of the two \
                    is wrong"
            );
        }
    }

    /// How far a network is behind our clock is shown, and reported once it has lasted.
    fn lag(&mut self, index: usize, arrival: Micros, now: Now) {
        let feed = &mut self.feeds[index];
        let lag = now.wall - arrival;
        feed.lag = Some(lag);
        if !feed.live {
            return;
        }
        match &mut feed.differs {
            Some((since, reported)) if lag.abs() <= LAG_MAX => {
                if *reported {
                    tracing::info!(
                        feed = feed.name,
                        seconds = (now.monotonic - *since) / SECOND,
                        "its stamps are near our clock again"
                    );
                }
                feed.differs = None;
            }
            None if lag.abs() > LAG_MAX => feed.differs = Some((now.monotonic, false)),
            Some((since, reported)) if !*reported && now.monotonic - *since >= LAG_SAID_AFTER => {
                *reported = true;
                tracing::warn!(
                    feed = feed.name,
                    seconds = lag / SECOND,
                    "its stamps are behind our clock: it is catching up, or one of the two clocks \
                        is wrong"
                );
            }
            _ => {}
        }
    }

    /// Posts that went out before, with their places: tally puts them in place of what it has.
    fn placed(
        &mut self,
        index: usize,
        posts: Vec<(Routing, Post)>,
        asked: u32,
        failed: Option<String>,
    ) {
        let feed = &self.feeds[index];
        let result = if failed.is_some() { "failed" } else { "answered" };
        let labels = [("feed", feed.name.as_str()), ("result", result)];
        self.around
            .metrics
            .counter("pumphandle_profiles_total", "Profiles asked for a place.", &labels)
            .add(asked.into());
        if let Some(why) = failed {
            let why = explain_certificate_error(&why, ROOTS_KEY);
            tracing::warn!(feed = feed.name, why, "profiles could not be asked, trying again");
        }
        feed.meters.resent.add(posts.len() as u64);
        for (routing, post) in posts {
            if post.path() != UNLOCATED {
                self.feeds[index].meters.located.add(1);
                self.feeds[index].meters.sampled_located.add(u64::from(post.flags.sampled));
            }
            self.put(routing, &post);
        }
    }

    fn put(&mut self, routing: Routing, post: &Post) {
        let bytes = wire::encode_post(post);
        let copies =
            if matches!(routing, Routing::One(_)) { 1 } else { self.settings.partitions as usize };
        self.gathered += bytes.len() * copies;
        match routing {
            Routing::One(partition) => self.entries.push(Entry { partition, bytes }),
            Routing::All => self.entries.extend(
                (0..self.settings.partitions)
                    .map(|partition| Entry { partition, bytes: bytes.clone() }),
            ),
        }
    }

    fn take(&mut self, index: usize, outcome: Outcome, cursor: Cursor) {
        self.append(index, outcome);
        self.feeds[index].cursor = Some(cursor);
    }

    fn append(&mut self, index: usize, outcome: Outcome) {
        let now = self.around.clock.now();
        self.feeds[index].lines += 1;
        self.feeds[index].any_understood = true;
        if let Some(arrival) = outcome.arrival() {
            if let Some(boundary) = self.ticks.boundary(arrival)
                && self.is_steady(now)
            {
                self.tick(now, Some((index, boundary)));
            }
            self.feeds[index].progress.on_arrival(arrival, now);
            self.lag(index, arrival, now);
        }
        let Outcome::Post { routing, post, dropped, .. } = outcome else {
            self.feeds[index].meters.ignored.add(1);
            return;
        };
        self.put(routing, &post);
        for (what, count) in
            [("tag", dropped.tags), ("language", dropped.languages), ("topic", dropped.topics)]
        {
            if count > 0 {
                let labels = [("feed", self.feeds[index].name.as_str()), ("what", what)];
                let help = "Tags, languages and topics of posts that were left out: too many, too \
                    long, or no such language.";
                self.around
                    .metrics
                    .counter("pumphandle_post_parts_dropped_total", help, &labels)
                    .add(count.into());
            }
        }
        let meters = &self.feeds[index].meters;
        meters.accepted.add(1);
        if post.op == Op::Create {
            meters.creates.add(1);
            meters.located.add(u64::from(post.path() != UNLOCATED));
            let has_coordinates = post
                .places
                .first()
                .is_some_and(|place| place.provenance == Provenance::Coordinates);
            meters.by_coordinates.add(u64::from(has_coordinates));
            meters.pending.add(u64::from(post.flags.pending));
            meters.sampled.add(u64::from(post.flags.sampled));
            meters.sampled_located.add(u64::from(post.flags.sampled && post.path() != UNLOCATED));
        }
    }

    fn reject(&mut self, index: usize, reject: &Reject, cursor: Cursor) {
        monitor::rejects(&self.around.metrics, &reject.feed, reject.reason).add(1);
        self.around.sources.change(&reject.feed, |state| state.rejects += 1);
        let bytes = Record::Reject(reject.clone()).encode();
        self.gathered += bytes.len();
        self.rejects.push(Entry { partition: 0, bytes });
        let feed = &mut self.feeds[index];
        feed.cursor = Some(cursor);
        feed.lines += 1;
        feed.rejected += 1;
    }

    /// On a network anybody may write what can't be read: that is reported, and nothing more.
    fn judge_rejects(&mut self, index: usize, now: Now) {
        let feed = &mut self.feeds[index];
        if feed.lines < LINES_JUDGED_MIN {
            return;
        }
        let share = feed.rejected as f64 / feed.lines as f64;
        if share > self.config.rejects.share_max && feed.rejects_said.due(now) {
            tracing::warn!(
                feed = feed.name,
                percent = (share * 1_000.0).round() / 10.0,
                lines = feed.lines,
                "many lines can't be read: `pumphandle rejects list` and \
                    `pumphandle_rejects_total` say why"
            );
        }
        (feed.lines, feed.rejected) = (0, 0);
    }

    /// For a feed that failed before its first line, and for a followed file that has none yet, the
    /// watermark would wait for ever:
    /// they stand where the least of the others is.
    fn place_failed(&mut self) -> anyhow::Result<()> {
        let is_without_line = |feed: &Running| {
            (feed.failed.is_some() || feed.caught_up) && feed.progress.reached().is_none()
        };
        if !self.feeds.iter().any(is_without_line) {
            return Ok(());
        }
        let ours = self
            .feeds
            .iter()
            .filter(|feed| feed.failed.is_none())
            .filter_map(|feed| feed.progress.reached())
            .min();
        let least = match ours {
            Some(least) => Some(least),
            None => places(self.journal)?.into_iter().filter_map(|place| place.reached).min(),
        };
        if let Some(least) = least {
            for feed in self.feeds.iter_mut().filter(|feed| is_without_line(feed)) {
                feed.progress.stand_at(least);
                feed.stands = true;
            }
        }
        Ok(())
    }

    /// A tick of all feeds; of one that is about to pass a multiple of ten seconds, up to that.
    fn tick(&mut self, now: Now, before: Option<(usize, Micros)>) {
        let feeds: Vec<_> = self
            .feeds
            .iter_mut()
            .enumerate()
            .filter_map(|(index, feed)| match before {
                Some((passing, boundary)) if passing == index => {
                    feed.progress.tick_before(boundary, now)
                }
                _ => feed.progress.tick(now),
            })
            .collect();
        self.ticks.ticked(now.monotonic);
        if feeds.is_empty() {
            return;
        }
        for feed in &mut self.feeds {
            feed.ended_ticked |= feeds.iter().any(|told| told.ended && told.feed == feed.name);
        }
        let bytes =
            Record::Tick(Tick { settings: self.settings.number, at: now.wall, feeds }).encode();
        let ticks = (0..self.settings.partitions)
            .map(|partition| Entry { partition, bytes: bytes.clone() });
        if self.journal.appends_in_order() { &mut self.entries } else { &mut self.tick_entries }
            .extend(ticks);
        self.ticked = true;
        self.around.metrics.counter("pumphandle_ticks_total", "Ticks written.", &[]).add(1);
    }

    fn flush_if_full(&mut self) -> anyhow::Result<()> {
        if self.gathered >= self.config.limits.batch_bytes { self.flush() } else { Ok(()) }
    }

    /// Appends what has gathered, no tick before the posts that it speaks for; then, if a tick was
    /// among it, the cursors.
    fn flush(&mut self) -> anyhow::Result<()> {
        self.gathered = 0;
        if !self.rejects.is_empty() {
            let rejects = std::mem::take(&mut self.rejects);
            retry(|| self.journal.append(Stream::Rejects, &rejects))?;
        }
        // A post that comes before a tick which does not speak for it yet is only early; one that
        // came after it could be missed.
        for entries in [std::mem::take(&mut self.entries), std::mem::take(&mut self.tick_entries)] {
            if !entries.is_empty() {
                self.appended_most =
                    self.appended_most.max(entries.iter().map(|entry| entry.bytes.len()).sum());
                // Said again after a failure, posts are told by their identity, and ticks by their
                // claims.
                retry(|| self.journal.append(Stream::Posts, &entries))?;
            }
        }
        if std::mem::take(&mut self.ticked) {
            let mut places: Vec<(String, Option<Vec<u8>>)> = Vec::new();
            for feed in &mut self.feeds {
                // Where a feed merely stands, nothing of it was read.
                let reached = feed.progress.reached().filter(|_| !feed.stands);
                let place = Place { cursor: feed.cursor.as_ref().map(Cursor::to_string), reached };
                places.push((place_key(&feed.name, feed.epoch), Some(serde_json::to_vec(&place)?)));
            }
            retry(|| self.journal.put(Stream::Feeds, &places))?;
            self.forget_earlier_places()?;
            self.forget_keys();
        }
        Ok(())
    }

    /// Destroys the author keys of epochs that no post needs any more, once every feed of ours has
    /// come so far. By our clock, too:
    /// a stamp that is ahead must cost no key.
    fn forget_keys(&mut self) {
        if Instant::now() < self.next_forget {
            return;
        }
        let reached = self
            .feeds
            .iter()
            .filter(|feed| !feed.progress.has_ended())
            .map(|feed| feed.progress.reached())
            .min()
            .flatten();
        let Some(reached) = reached else { return };
        self.next_forget = Instant::now() + FORGET_KEYS_EVERY;
        match self.keys.forget(reached.min(self.around.clock.wall()), &self.settings) {
            Ok(false) => {}
            Ok(true) => {
                tracing::debug!("author keys of old epochs destroyed");
                for feed in &mut self.feeds {
                    match &mut feed.source {
                        Source::File(_, intake) => intake.set_authors(&self.keys.authors),
                        Source::World(world) => world
                            .intake
                            .iter_mut()
                            .for_each(|intake| intake.set_authors(&self.keys.authors)),
                        // In another thread: it holds them until the next start.
                        Source::Live(_) | Source::None => {}
                    }
                }
            }
            Err(error) => tracing::warn!(
                error = format!("{error:#}"),
                "author keys of old epochs can't be destroyed: make the key file's folder \
                    writable, or replace the file by hand"
            ),
        }
    }

    /// Once the latest owner has reported where it stands, what earlier ones reported is of no use.
    fn forget_earlier_places(&mut self) -> anyhow::Result<()> {
        for feed in self.feeds.iter_mut().filter(|feed| !feed.alone) {
            let (_, earlier) = last_place(self.journal, &feed.name)?;
            let deletions: Vec<(String, Option<Vec<u8>>)> =
                earlier.into_iter().map(|key| (key, None)).collect();
            if !deletions.is_empty() {
                retry(|| self.journal.put(Stream::Feeds, &deletions))?;
            }
            feed.alone = true;
        }
        Ok(())
    }

    fn finish(&mut self, drained: bool) -> anyhow::Result<()> {
        for index in 0..self.feeds.len() {
            if let Source::Live(feed) = &self.feeds[index].source {
                feed.stop();
                let rest = feed.take(usize::MAX);
                for message in rest {
                    self.message(index, message);
                }
            }
            if drained {
                self.feeds[index].progress.on_end();
            }
        }
        self.place_failed()?;
        let now = self.around.clock.now();
        self.tick(Now { wall: now.wall + LAST_TICK_AHEAD, ..now }, None);
        self.flush()?;
        let totals: BTreeMap<&str, u64> = self
            .feeds
            .iter()
            .map(|feed| (feed.name.as_str(), feed.meters.accepted.get()))
            .collect();
        tracing::info!(?totals, "feeds stopped");
        Ok(())
    }
}

/// Who we are to the servers that we read, and where to find who runs this.
fn user_agent(config: &Config) -> String {
    let page = config.notify.page.as_deref().unwrap_or("a hashtag surveillance for public health");
    format!("{} (+{page})", feeds::USER_AGENT)
}

fn seconds(micros: Micros) -> f64 {
    micros as f64 / SECOND as f64
}

/// Evenly from 0 to 1.
fn random() -> f64 {
    let mut bytes = [0; 8];
    // Without randomness waits are merely not spread.
    let _ = getrandom::fill(&mut bytes);
    (u64::from_le_bytes(bytes) >> 11) as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
pub(crate) mod driven;
#[cfg(test)]
mod tests;
