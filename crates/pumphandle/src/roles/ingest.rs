//! The ingest role: reads feeds, appends posts, and after them the ticks that say how far each feed has come.
//!
//! A tick stands in every partition behind every post that it speaks for; a feed's cursor is written after its tick. So a restart
//! reads again what was not ticked, and what it appends twice is told by its identity.
//!
//! Several workers share the feeds: a feed belongs to the owner of one partition of the stream `feeds`, and the position of the
//! owner's claim is the feed's epoch. One that was thought dead and wakes writes on under its lower epoch, which changes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use feeds::file::{Content, FileReader, FileSettings};
use feeds::intake::{Intake, IntakeSettings, Outcome, Routing};
use feeds::jetstream::{self, JetstreamSettings};
use feeds::line::Rejected;
use feeds::progress::{Progress, TickClock};
use feeds::{Cursor, Feed, Message};
use journal::{Change, Entry, Group, Journal, Membership, Stream};
use record::region::UNLOCATED;
use record::time::SECOND;
use record::{Micros, Op, Post, Provenance, Record, Reject, RejectReason, Settings, Tick, wire};
use serde::{Deserialize, Serialize};
use simulation::World;
use web::Metrics;

use super::Stop;
use super::keys::Keys;
use super::log::{self, LogState};
use crate::config::{Config, FeedKind, Wire};
use crate::drive::again;
use crate::logging::Outage;
use crate::monitor::{self, FeedFigures};

/// Lines taken from one feed before the next one's turn.
const LINES_A_TURN: usize = 2_000;
/// Below so many lines a share says nothing.
const LINES_JUDGED_MIN: u64 = 1_000;
/// With nothing to read, so long until the next look.
const IDLE: Duration = Duration::from_millis(20);
/// How often a worker that is to end looks whether the others' feeds have been read.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// How often it is looked whether keys can be destroyed.
const FORGET_KEYS_EVERY: Duration = Duration::from_secs(3_600);
/// What a clean stop adds to the clock of its last tick, so that open counts are told once more.
const LAST_TICK_AHEAD: Micros = 2 * SECOND;

/// Where a feed's lines come from.
enum Source {
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
    progress: Progress,
    /// After the last line that was appended.
    cursor: Option<Cursor>,
    accepted: web::Counter,
    /// Posts made, those of them that have a place, and those that went out while theirs was still asked for.
    creates: web::Counter,
    located: web::Counter,
    by_coordinates: web::Counter,
    pending: web::Counter,
    figures: Arc<FeedFigures>,
    outage: Outage,
    /// Lines read and lines rejected since the start.
    lines: u64,
    rejected: u64,
    /// A tick has said that it has ended; and `feeds` says so too.
    ended_ticked: bool,
    said_read: bool,
    /// Where earlier owners stood is forgotten.
    alone: bool,
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

/// Of the latest owner that has said where it stands; and the keys of all before it.
fn last_place(journal: &dyn Journal, feed: &str) -> anyhow::Result<(Option<Place>, Vec<String>)> {
    let mut keys = again(|| journal.keys(Stream::Feeds, &format!("cursor/{feed}/")))?;
    let last = keys.pop();
    let place = last.map(|key| read_place(journal, &key)).transpose()?.flatten();
    Ok((place, keys))
}

/// The furthest arrival that any feed has spoken for.
pub(crate) fn reached(journal: &dyn Journal) -> anyhow::Result<Option<Micros>> {
    let mut furthest = None;
    for key in again(|| journal.keys(Stream::Feeds, "cursor/"))? {
        if let Some(place) = read_place(journal, &key)? {
            furthest = furthest.max(place.reached);
        }
    }
    Ok(furthest)
}

fn read_place(journal: &dyn Journal, key: &str) -> anyhow::Result<Option<Place>> {
    match again(|| journal.get(Stream::Feeds, key))? {
        Some(bytes) => Ok(Some(serde_json::from_slice(&bytes).with_context(|| format!("the cursor `{key}` is unreadable"))?)),
        None => Ok(None),
    }
}

/// That a feed has been read to its end, and its last tick appended.
fn read_key(feed: &str) -> String {
    format!("read/{feed}")
}

/// What makes records of the lines of the feed that stands there in settings.
pub(crate) fn intake(config: &Config, settings: &Settings, keys: &Keys, index: usize) -> Intake {
    let lexicon = Arc::clone(&config.topics.lexicon);
    let mut intake = IntakeSettings::of(settings, index as u16, keys.routing.clone(), keys.authors.clone(), lexicon);
    intake.segment = config.topics.segment;
    intake.limits = config.limits.of_lines();
    intake.langs_max = config.limits.langs_per_post;
    intake.placing = config.places.placing.clone();
    if let Some(FeedKind::Jetstream { profiles: Some(profiles), .. }) = config.feeds.get(index).map(|feed| &feed.kind) {
        intake.profiles = Some(profiles.rules);
    }
    Intake::new(intake)
}

/// The partition of the stream `feeds` whose owner reads the feed.
fn share_of(feed: &str, partitions: u32) -> u32 {
    let hash = blake3::hash(feed.as_bytes());
    let spread = u32::from_le_bytes([hash.as_bytes()[0], hash.as_bytes()[1], hash.as_bytes()[2], hash.as_bytes()[3]]);
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
    clock: fn() -> Micros,
    membership: Box<dyn Membership>,
    planned: Vec<Planned>,
    /// Shares of feeds that are ours.
    shares: BTreeSet<u32>,
    /// In place of the feeds of these names.
    worlds: BTreeMap<String, WorldSource>,
    feeds: Vec<Running>,
    ticks: TickClock,
    entries: Vec<Entry>,
    /// Those of the entries that must come after all others, where an append has no order of its own.
    tick_entries: Vec<Entry>,
    rejects: Vec<Entry>,
    ticked: bool,
    next_look: Instant,
    /// When it is next looked whether keys of old epochs can be destroyed.
    next_forget: Instant,
    metrics: Arc<Metrics>,
}

/// Who hands a world in, in place of configured feeds.
pub(crate) type Worlds = Vec<(String, WorldSource)>;

impl<'a> Ingest<'a> {
    pub(crate) fn start(
        journal: &'a dyn Journal,
        config: &'a Config,
        settings: &Settings,
        keys: &Keys,
        clock: fn() -> Micros,
        worlds: Worlds,
        metrics: Arc<Metrics>,
    ) -> anyhow::Result<Ingest<'a>> {
        let shares = journal.partitions(Stream::Feeds);
        let planned = config.feeds.iter().take(settings.feeds.len()).enumerate().map(|(index, feed)| Planned {
            index,
            name: feed.name.clone(),
            share: share_of(&feed.name, shares),
            finite: matches!(feed.kind, FeedKind::File { follow: false, .. }) && worlds.iter().all(|(world, _)| *world != feed.name),
        });
        let planned = planned.collect();
        Ok(Ingest {
            journal,
            config,
            settings: settings.clone(),
            keys: keys.clone(),
            clock,
            membership: again(|| journal.join(Group::Ingest))?,
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
            metrics,
        })
    }

    /// Takes feeds on and lets them go, as the group decides.
    fn share(&mut self) -> anyhow::Result<()> {
        for change in again(|| self.membership.changes(Duration::ZERO))? {
            match change {
                Change::Given(share) => {
                    self.shares.insert(share);
                    let ours: Vec<usize> = (0..self.planned.len()).filter(|planned| self.planned[*planned].share == share).collect();
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
                    feeds.retain(|feed| planned.iter().all(|planned| planned.name != feed.name || planned.share != share));
                }
            }
        }
        Ok(())
    }

    /// Claims the feed and resumes it. The claim's position is its epoch: what an earlier owner still says is told by it.
    fn take_on(&mut self, planned: usize) -> anyhow::Result<()> {
        let Planned { index, ref name, finite, .. } = self.planned[planned];
        let name = name.clone();
        let claim = (format!("claim/{name}"), Some(std::process::id().to_string().into_bytes()));
        // What an earlier owner has read to the end is looked at again.
        let claim = [claim, (read_key(&name), None)];
        let epoch = again(|| self.journal.put(Stream::Feeds, &claim))?.first().copied().unwrap_or(0);
        let (place, _) = last_place(self.journal, &name)?;
        // Ours from now on, before our first tick: what an earlier owner ticks after it is ignored, and so must be where that one stands.
        let place = place.unwrap_or(Place { cursor: None, reached: None });
        let own = (place_key(&name, epoch), Some(serde_json::to_vec(&place)?));
        again(|| self.journal.put(Stream::Feeds, std::slice::from_ref(&own)))?;
        let cursor = place.cursor.as_deref().map(str::parse::<Cursor>).transpose()?;
        let source = self.open(index, cursor.clone()).with_context(|| format!("failed to open feed `{name}`"))?;
        let mut progress = match source {
            Source::Live(_) => Progress::live(&name, epoch, self.config.ingest.outage_hold),
            Source::File(..) | Source::World(_) => Progress::of_file(&name, epoch),
        };
        if let (Source::File(..), Some(reached)) = (&source, place.reached) {
            // A file resumes at the very line: nothing between is missing.
            progress.on_connected((self.clock)(), Some(reached));
        }
        let accepted =
            self.metrics.counter("pumphandle_posts_read_total", "Posts, deletions and removals read and appended.", &[("feed", &name)]);
        let of_feed = |metric: &'static str, help: &'static str| self.metrics.counter(metric, help, &[("feed", &name)]);
        let creates = of_feed("pumphandle_posts_made_total", "Posts made, of all that were read.");
        let located = of_feed("pumphandle_posts_located_total", "Posts made that have a place, be it by a later answer.");
        let by_coordinates = of_feed("pumphandle_posts_by_coordinates_total", "Posts made that have a place by their coordinates.");
        let pending = of_feed("pumphandle_posts_pending_total", "Posts that went out while their author's profile was still asked for.");
        let resumed = cursor.is_some();
        tracing::info!(feed = name, resumed, "feed taken over");
        let is_live = matches!(source, Source::Live(_));
        let figures = FeedFigures::new(&self.metrics, &name, is_live);
        let outage = Outage::new(format!("feed `{name}`"));
        self.feeds.push(Running {
            name,
            epoch,
            source,
            finite,
            progress,
            cursor,
            accepted,
            creates,
            located,
            by_coordinates,
            pending,
            figures,
            outage,
            lines: 0,
            rejected: 0,
            ended_ticked: false,
            said_read: false,
            alone: false,
        });
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
                let files =
                    FileSettings { follow: *follow, line_bytes_max: self.config.limits.line_bytes, ..FileSettings::new(paths.clone()) };
                let from = match &cursor {
                    Some(Cursor::File(cursor)) => Some(cursor),
                    _ => None,
                };
                Ok(Source::File(Box::new(FileReader::open(files, from)?), Box::new(intake(self.config, &self.settings, &self.keys, index))))
            }
            FeedKind::Jetstream { urls, wire, rewind, idle_timeout, profiles, .. } => {
                let jetstream = JetstreamSettings {
                    wire: match wire {
                        Wire::Auto => None,
                        Wire::V1 => Some(jetstream::Wire::First),
                        Wire::V2 => Some(jetstream::Wire::Second),
                    },
                    rewind: *rewind,
                    idle: Duration::from_micros(u64::try_from(*idle_timeout).unwrap_or(30_000_000)),
                    queue: self.config.limits.queue,
                    profiles: profiles.as_ref().map(|profiles| profiles.settings.clone()),
                    ..JetstreamSettings::new(&feed.name, urls.clone())
                };
                let from = match cursor {
                    Some(Cursor::Jetstream(cursor)) => Some(cursor),
                    _ => None,
                };
                let world = jetstream::World { clock: self.clock, random: Box::new(random) };
                Ok(Source::Live(jetstream::start(jetstream, from, intake(self.config, &self.settings, &self.keys, index), world)?))
            }
        }
    }

    /// Reads until asked to stop, or, if `until_drained`, until every finite feed has been read, by whomever, and the log has ended.
    pub(crate) fn run(&mut self, stop: &Stop, until_drained: bool) -> anyhow::Result<()> {
        loop {
            self.share()?;
            let mut busy = false;
            for index in 0..self.feeds.len() {
                busy |= self.turn(index)?;
            }
            let now = (self.clock)();
            if self.ticks.due(now) {
                self.tick(now, None);
            }
            self.flush()?;
            self.check_rejects()?;
            if stop.asked() {
                return self.finish(false);
            }
            if until_drained && self.drained()? {
                return Ok(());
            }
            if !busy {
                std::thread::sleep(IDLE);
            }
        }
    }

    /// Tells the others which of our feeds have been read to the end; once all finite ones have, ends the rest; once all feeds
    /// have ended, whoever owns the first share ends the log.
    fn drained(&mut self) -> anyhow::Result<bool> {
        self.say_read()?;
        if self.feeds.iter().any(|feed| feed.finite && !feed.said_read) || Instant::now() < self.next_look {
            return Ok(false);
        }
        self.next_look = Instant::now() + LOOK_EVERY;
        let read = again(|| self.journal.keys(Stream::Feeds, "read/"))?;
        let is_read = |planned: &&Planned| read.contains(&read_key(&planned.name));
        if self.planned.iter().filter(|planned| planned.finite).all(|planned| is_read(&planned)) {
            if self.feeds.iter().any(|feed| !feed.said_read) {
                self.finish(true)?;
                self.say_read()?;
                self.next_look = Instant::now();
            } else if self.shares.contains(&0) && self.planned.iter().all(|planned| is_read(&planned)) {
                log::end(self.journal)?;
            }
        }
        Ok(log::state(self.journal)? != LogState::Open)
    }

    /// After the flush of the tick that says so.
    fn say_read(&mut self) -> anyhow::Result<()> {
        for feed in self.feeds.iter_mut().filter(|feed| feed.progress.has_ended() && !feed.said_read) {
            if feed.ended_ticked {
                let pair = (read_key(&feed.name), Some(feed.epoch.to_string().into_bytes()));
                again(|| self.journal.put(Stream::Feeds, std::slice::from_ref(&pair)))?;
                feed.said_read = true;
            }
        }
        Ok(())
    }

    /// Takes some lines of one feed; whether there were any.
    fn turn(&mut self, index: usize) -> anyhow::Result<bool> {
        // Taken out for the turn, so that what it reads can be handed to the rest of us.
        let name = self.feeds[index].name.clone();
        match &mut self.feeds[index].source {
            Source::File(reader, _) => match reader.next_batch(LINES_A_TURN) {
                Ok(Some(batch)) => {
                    for line in batch.lines() {
                        let Source::File(_, intake) = &mut self.feeds[index].source else { break };
                        let outcome = match line.content {
                            Content::Bytes(bytes) => intake.read(bytes, None),
                            Content::TooLong { length, .. } => Err(Rejected::new(RejectReason::Length, format!("line of {length} bytes"))),
                        };
                        let cursor = Cursor::File(line.cursor());
                        match outcome {
                            Ok(outcome) => self.take(index, outcome, cursor),
                            Err(rejected) => self.reject(index, &line.reject(&name, &rejected), cursor),
                        }
                    }
                    Ok(!batch.is_empty())
                }
                Ok(None) => {
                    let ended_before = self.feeds[index].progress.has_ended();
                    if !ended_before {
                        self.feeds[index].progress.on_end();
                        self.feeds[index].figures.connected.set(0.0);
                        tracing::info!(feed = name, "read to its end");
                    }
                    Ok(false)
                }
                Err(error) => {
                    tracing::error!(feed = name, error = %anyhow::Error::from(error), "a file could not be read, going on with the next");
                    Ok(true)
                }
            },
            Source::Live(feed) => {
                let messages: Vec<Message> = feed.messages().try_iter().take(LINES_A_TURN).collect();
                let any = !messages.is_empty();
                for message in messages {
                    self.message(index, message);
                }
                Ok(any)
            }
            Source::World(world) => {
                let until = (world.due)();
                let mut lines = Vec::new();
                let mut text = String::new();
                while lines.len() < LINES_A_TURN && world.world.next_line_before(until, &mut text).is_some() {
                    if let Some(Ok(outcome)) = world.intake.as_mut().map(|intake| intake.read(text.as_bytes(), None)) {
                        lines.push(outcome);
                    }
                }
                let any = !lines.is_empty();
                for outcome in lines {
                    self.append(index, outcome);
                }
                Ok(any)
            }
        }
    }

    fn message(&mut self, index: usize, message: Message) {
        let now = (self.clock)();
        match message {
            Message::Line { outcome, cursor } => self.take(index, outcome, cursor),
            Message::Reject { reject, cursor } => self.reject(index, &reject, cursor),
            Message::Placed { posts, asked, failed } => self.placed(index, posts, asked, failed),
            other => {
                let feed = &mut self.feeds[index];
                match &other {
                    Message::Gap { from, to, why } => {
                        tracing::warn!(
                            feed = feed.name,
                            from = record::time::display(*from),
                            to = record::time::display(*to),
                            why,
                            "gap: these arrivals are lost"
                        );
                        feed.figures.gaps.add(1);
                    }
                    Message::Disconnected { why, .. } => {
                        feed.figures.connected.set(0.0);
                        feed.figures.disconnects.add(1);
                        feed.outage.failed(why);
                    }
                    Message::Connected { .. } => {
                        feed.figures.connected.set(1.0);
                        feed.outage.ended();
                        tracing::info!(feed = feed.name, "connected");
                    }
                    Message::Failed { why } => tracing::error!(feed = feed.name, why, "a part of the source could not be read"),
                    _ => {}
                }
                feed.progress.on_message(&other, now);
            }
        }
    }

    /// Posts that went out before, with their places: tally puts them in place of what it has.
    fn placed(&mut self, index: usize, posts: Vec<(Routing, Post)>, asked: u32, failed: Option<String>) {
        let feed = &self.feeds[index];
        let result = if failed.is_some() { "failed" } else { "answered" };
        let labels = [("feed", feed.name.as_str()), ("result", result)];
        self.metrics.counter("pumphandle_profiles_total", "Profiles asked for a place.", &labels).add(asked.into());
        if let Some(why) = failed {
            tracing::warn!(feed = feed.name, why, "profiles could not be asked, trying again");
        }
        feed.figures.resent.add(posts.len() as u64);
        for (routing, post) in posts {
            if post.path() != UNLOCATED {
                self.feeds[index].located.add(1);
                self.feeds[index].figures.sampled_located.add(u64::from(post.flags.sampled));
            }
            self.put(routing, &post);
        }
    }

    fn put(&mut self, routing: Routing, post: &Post) {
        let bytes = wire::encode_post(post);
        match routing {
            Routing::One(partition) => self.entries.push(Entry { partition, bytes }),
            Routing::All => self.entries.extend((0..self.settings.partitions).map(|partition| Entry { partition, bytes: bytes.clone() })),
        }
    }

    fn take(&mut self, index: usize, outcome: Outcome, cursor: Cursor) {
        self.append(index, outcome);
        self.feeds[index].cursor = Some(cursor);
    }

    fn append(&mut self, index: usize, outcome: Outcome) {
        let now = (self.clock)();
        self.feeds[index].lines += 1;
        if let Some(arrival) = outcome.arrival() {
            if let Some(boundary) = self.ticks.boundary(arrival) {
                self.tick(now, Some((index, boundary)));
            }
            self.feeds[index].progress.on_arrival(arrival, now);
        }
        let feed = &self.feeds[index];
        feed.figures.heard(outcome.arrival().filter(|_| matches!(feed.source, Source::Live(_))), now);
        let Outcome::Post { routing, post, dropped, .. } = outcome else { return };
        self.put(routing, &post);
        for (what, count) in [("tag", dropped.tags), ("language", dropped.languages), ("topic", dropped.topics)] {
            if count > 0 {
                let labels = [("feed", self.feeds[index].name.as_str()), ("what", what)];
                let help = "Tags, languages and topics of posts that were left out: too many, too long, or no such language.";
                self.metrics.counter("pumphandle_post_parts_dropped_total", help, &labels).add(count.into());
            }
        }
        let feed = &self.feeds[index];
        feed.accepted.add(1);
        if post.op == Op::Create {
            feed.creates.add(1);
            feed.located.add(u64::from(post.path() != UNLOCATED));
            let has_coordinates = post.places.first().is_some_and(|place| place.provenance == Provenance::Coordinates);
            feed.by_coordinates.add(u64::from(has_coordinates));
            feed.pending.add(u64::from(post.flags.pending));
            feed.figures.sampled.add(u64::from(post.flags.sampled));
            feed.figures.sampled_located.add(u64::from(post.flags.sampled && post.path() != UNLOCATED));
        }
    }

    fn reject(&mut self, index: usize, reject: &Reject, cursor: Cursor) {
        monitor::rejects(&self.metrics, &reject.feed, reject.reason).add(1);
        self.rejects.push(Entry { partition: 0, bytes: Record::Reject(reject.clone()).encode() });
        let now = (self.clock)();
        let feed = &mut self.feeds[index];
        feed.figures.heard(None, now);
        feed.cursor = Some(cursor);
        feed.lines += 1;
        feed.rejected += 1;
    }

    /// A feed of which too much can't be read is no feed: better no counts than wrong ones.
    fn check_rejects(&self) -> anyhow::Result<()> {
        for feed in self.feeds.iter().filter(|feed| feed.lines >= LINES_JUDGED_MIN) {
            let share = feed.rejected as f64 / feed.lines as f64;
            if share > self.config.rejects.share_max {
                bail!(
                    "feed `{}`: {:.0} % of {} lines were rejected, more than `rejects.share-max`\nhint: the stream `rejects` and `pumphandle_rejects_total` say why",
                    feed.name,
                    share * 100.0,
                    feed.lines
                );
            }
        }
        Ok(())
    }

    /// A tick of all feeds; of one that is about to pass a multiple of ten seconds, up to that.
    fn tick(&mut self, now: Micros, before: Option<(usize, Micros)>) {
        let feeds: Vec<_> = self
            .feeds
            .iter_mut()
            .enumerate()
            .filter_map(|(index, feed)| match before {
                Some((passing, boundary)) if passing == index => feed.progress.tick_before(boundary, now),
                _ => feed.progress.tick(now),
            })
            .collect();
        self.ticks.ticked(now);
        if feeds.is_empty() {
            return;
        }
        for feed in &mut self.feeds {
            feed.ended_ticked |= feeds.iter().any(|told| told.ended && told.feed == feed.name);
        }
        let bytes = Record::Tick(Tick { settings: self.settings.number, at: now, feeds }).encode();
        let ticks = (0..self.settings.partitions).map(|partition| Entry { partition, bytes: bytes.clone() });
        if self.journal.appends_in_order() { &mut self.entries } else { &mut self.tick_entries }.extend(ticks);
        self.ticked = true;
        self.metrics.counter("pumphandle_ticks_total", "Ticks written.", &[]).add(1);
    }

    /// Appends what has gathered, no tick before the posts that it speaks for; then, if a tick was among it, the cursors.
    fn flush(&mut self) -> anyhow::Result<()> {
        if !self.rejects.is_empty() {
            let rejects = std::mem::take(&mut self.rejects);
            again(|| self.journal.append(Stream::Rejects, &rejects))?;
        }
        // A post that comes before a tick which does not speak for it yet is only early; one that came after it could be missed.
        for entries in [std::mem::take(&mut self.entries), std::mem::take(&mut self.tick_entries)] {
            if !entries.is_empty() {
                // Said again after a failure, posts are told by their identity, and ticks by their claims.
                again(|| self.journal.append(Stream::Posts, &entries))?;
            }
        }
        if std::mem::take(&mut self.ticked) {
            let mut places: Vec<(String, Option<Vec<u8>>)> = Vec::new();
            for feed in &mut self.feeds {
                let place = Place { cursor: feed.cursor.as_ref().map(Cursor::to_string), reached: feed.progress.reached() };
                places.push((place_key(&feed.name, feed.epoch), Some(serde_json::to_vec(&place)?)));
            }
            again(|| self.journal.put(Stream::Feeds, &places))?;
            self.forget_earlier_places()?;
            self.forget_keys();
        }
        Ok(())
    }

    /// Destroys the author keys of epochs that no post needs any more, once every feed of ours has come so far. By our clock, too:
    /// a stamp that is ahead must cost no key.
    fn forget_keys(&mut self) {
        if Instant::now() < self.next_forget {
            return;
        }
        let reached = self.feeds.iter().filter(|feed| !feed.progress.has_ended()).map(|feed| feed.progress.reached()).min().flatten();
        let Some(reached) = reached else { return };
        self.next_forget = Instant::now() + FORGET_KEYS_EVERY;
        match self.keys.forget(reached.min((self.clock)()), &self.settings) {
            Ok(false) => {}
            Ok(true) => {
                tracing::info!("author keys of old epochs destroyed");
                for feed in &mut self.feeds {
                    match &mut feed.source {
                        Source::File(_, intake) => intake.set_authors(&self.keys.authors),
                        Source::World(world) => world.intake.iter_mut().for_each(|intake| intake.set_authors(&self.keys.authors)),
                        // In another thread: it holds them until the next start.
                        Source::Live(_) => {}
                    }
                }
            }
            Err(error) => tracing::warn!(
                error = format!("{error:#}"),
                "author keys of old epochs can't be destroyed: make the key file's folder writable, or replace the file by hand"
            ),
        }
    }

    /// Once the latest owner has said where it stands, what earlier ones said is of no use.
    fn forget_earlier_places(&mut self) -> anyhow::Result<()> {
        for feed in self.feeds.iter_mut().filter(|feed| !feed.alone) {
            let (_, earlier) = last_place(self.journal, &feed.name)?;
            let deletions: Vec<(String, Option<Vec<u8>>)> = earlier.into_iter().map(|key| (key, None)).collect();
            if !deletions.is_empty() {
                again(|| self.journal.put(Stream::Feeds, &deletions))?;
            }
            feed.alone = true;
        }
        Ok(())
    }

    fn finish(&mut self, drained: bool) -> anyhow::Result<()> {
        for index in 0..self.feeds.len() {
            if let Source::Live(feed) = &self.feeds[index].source {
                feed.stop();
                let rest: Vec<Message> = feed.messages().try_iter().collect();
                for message in rest {
                    self.message(index, message);
                }
            }
            if drained {
                self.feeds[index].progress.on_end();
            }
        }
        let now = (self.clock)() + LAST_TICK_AHEAD;
        self.tick(now, None);
        self.flush()?;
        let totals: BTreeMap<&str, u64> = self.feeds.iter().map(|feed| (feed.name.as_str(), feed.accepted.get())).collect();
        tracing::info!(?totals, "feeds stopped");
        Ok(())
    }
}

/// Evenly from 0 to 1.
fn random() -> f64 {
    let mut bytes = [0; 8];
    // Without randomness waits are merely not spread.
    let _ = getrandom::fill(&mut bytes);
    (u64::from_le_bytes(bytes) >> 11) as f64 / (1u64 << 53) as f64
}
