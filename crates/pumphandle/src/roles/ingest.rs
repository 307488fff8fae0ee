//! The ingest role: reads feeds, appends posts, and after them the ticks that say how far each feed
//! has come.
//!
//! A tick stands in every partition behind every post that it speaks for; a feed's cursor is
//! written after its tick. So a restart reads again what was not ticked, and what it appends twice
//! is recognised by its identity.
//!
//! Feeds fail one by one: a file that can't be read on, or of which too much can't be read, is
//! left, reported and counted, and the others go on. What strangers write on a network is counted
//! and warned of, and never a reason to end.
//!
//! Several workers share the feeds: a feed belongs to the owner of one partition of the stream
//! `feeds`, and the position of the owner's claim is the feed's epoch. One that was thought dead
//! and wakes writes on under its lower epoch, which changes nothing.

mod batch;
mod feed;
mod meters;
mod source;
mod stored;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::bail;
use feeds::file::{Content, FileReader};
use feeds::intake::{Intake, Outcome};
use feeds::line::Rejected;
use feeds::progress::{Progress as FeedProgress, TickClock};
use feeds::{Clock, Cursor, Message, Now};
use journal::{Change, Group, Journal, Membership, Stream};
use record::time::SECOND;
use record::{FeedTick, Micros, Reject, RejectReason, Settings, Tick};
use web::Metrics;

use self::batch::Batch;
pub(crate) use self::batch::entries_of;
use self::feed::Running;
use self::source::Source;
pub(crate) use self::source::{WorldSource, intake};
use self::stored::Ends;
pub(crate) use self::stored::furthest as reached;
use super::keys::Keys;
use super::sources::SourceStates;
use crate::config::{Config, FeedKind};
use crate::runtime::log::{self, LogState};
use crate::runtime::{Context, Progress, Role, retry};

/// Lines taken from one feed before the next one's turn.
const LINES_A_TURN: usize = 2_000;
/// Below so many lines a share says nothing.
const LINES_JUDGED_MIN: u64 = 1_000;
const UNSTEADY: &str = "pumphandle_clock_unsteady_seconds_total";
const UNSTEADY_HELP: &str =
    "Seconds in which ticks waited because wall and monotonic clock did not agree.";
/// With nothing to read, so long until the next look.
const IDLE: Duration = Duration::from_millis(20);
/// How often a worker that is to end looks whether the others' feeds have been read.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// How often it is looked whether keys can be destroyed.
const FORGET_KEYS_EVERY: Duration = Duration::from_secs(3_600);
/// What a clean stop adds to the clock of its last tick, so that open counts are written once more.
const LAST_TICK_AHEAD: Micros = 2 * SECOND;

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
    batch: Batch,
    next_look: Instant,
    /// When it is next looked whether keys of old epochs can be destroyed.
    next_forget: Instant,
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

impl Around {
    /// By the clock of the machine.
    pub(crate) fn new(metrics: &Arc<Metrics>, sources: &Arc<SourceStates>) -> Around {
        Around {
            clock: super::clock().clone(),
            metrics: Arc::clone(metrics),
            sources: Arc::clone(sources),
        }
    }
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
            keys: Keys::open(journal, config)?,
            around,
            until_drained,
            membership: retry(|| journal.join(Group::Ingest))?,
            planned,
            shares: BTreeSet::new(),
            worlds: worlds.into_iter().collect(),
            feeds: Vec::new(),
            ticks: TickClock::default(),
            batch: Batch::new(settings.partitions, journal.appends_in_order()),
            next_look: Instant::now(),
            next_forget: Instant::now(),
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
                    for planned in 0..self.planned.len() {
                        if self.planned[planned].share == share {
                            self.take_on(planned)?;
                        }
                    }
                }
                Change::Taken(share) => {
                    self.shares.remove(&share);
                    // What was read of it and not ticked is read again by the next owner.
                    for planned in self.planned.iter().filter(|planned| planned.share == share) {
                        tracing::info!(feed = planned.name, "feed lost to another process");
                        self.feeds.retain(|feed| feed.name != planned.name);
                        self.around.sources.forget(&planned.name);
                    }
                }
            }
        }
        Ok(())
    }

    /// Claims the feed and resumes it. The claim's position is its epoch: what an earlier owner
    /// still writes is recognised by it.
    fn take_on(&mut self, planned: usize) -> anyhow::Result<()> {
        let Planned { index, ref name, finite, .. } = self.planned[planned];
        let name = name.clone();
        let (epoch, place) = stored::claim(self.journal, &name)?;
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
        tracing::info!(feed = name, resumed = cursor.is_some(), "feed taken over");
        let (source, failed) = match opened {
            Ok(source) => (source, None),
            Err(error) => (Source::None, Some(format!("it could not be opened: {error:#}"))),
        };
        let live = matches!(source, Source::Live(_));
        let running = Running::new(&name, epoch, source, progress, &self.around);
        let mut feed = Running { finite, live, cursor, ..running };
        feed.opened(failed.is_none());
        if let Some(why) = failed {
            feed.fail(why);
        }
        self.feeds.push(feed);
        Ok(())
    }

    /// The world in place of a feed, or its source, after a cursor.
    fn open(&mut self, index: usize, cursor: Option<Cursor>) -> anyhow::Result<Source> {
        let intake = intake(self.config, &self.settings, &self.keys, index);
        if let Some(world) = self.worlds.remove(&self.config.feeds[index].name) {
            return Ok(Source::World(Box::new(WorldSource { intake: Some(intake), ..world })));
        }
        Source::open(self.config, &self.around.clock, intake, index, cursor)
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
        .set(self.batch.appended_most as f64);
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
            feed.show(now);
        }
    }

    /// Tells the others which of our feeds have been read to the end; once all finite ones have,
    /// ends the rest; once all feeds have ended, whoever owns the first share ends the log. A log
    /// of which a feed has failed is not ended.
    fn drained(&mut self) -> anyhow::Result<bool> {
        self.note_read()?;
        self.note_failed()?;
        if self.feeds.iter().any(|feed| feed.finite && !feed.is_settled())
            || Instant::now() < self.next_look
        {
            return Ok(false);
        }
        self.next_look = Instant::now() + LOOK_EVERY;
        let ends = Ends::read(self.journal)?;
        let mut finite = self.planned.iter().filter(|planned| planned.finite);
        if finite.all(|planned| ends.is_read(&planned.name) || ends.has_failed(&planned.name)) {
            let failed = self.planned.iter().map(|planned| planned.name.clone());
            let failed: Vec<String> = failed.filter(|name| ends.has_failed(name)).collect();
            if !failed.is_empty() {
                self.finish(false)?;
                let mut reported = Vec::new();
                for name in failed {
                    let why = stored::why_failed(self.journal, &name)?;
                    reported.push(format!("feed `{name}` was not read to its end: {why}"));
                }
                bail!("{}", reported.join("\n"));
            }
            if self.feeds.iter().any(|feed| !feed.is_read_noted) {
                self.finish(true)?;
                self.note_read()?;
                self.next_look = Instant::now();
            } else if self.shares.contains(&0)
                && self.planned.iter().all(|planned| ends.is_read(&planned.name))
            {
                log::end(self.journal)?;
            }
        }
        Ok(log::state(self.journal)? != LogState::Open)
    }

    /// So that other workers don't wait for its end.
    fn note_failed(&mut self) -> anyhow::Result<()> {
        for feed in self.feeds.iter_mut().filter(|feed| !feed.failed_noted) {
            if let Some(why) = feed.failed.as_ref().or(feed.cut_short.as_ref()) {
                stored::set_failed(self.journal, &feed.name, why)?;
                feed.failed_noted = true;
            }
        }
        Ok(())
    }

    /// After the flush of the tick that says so.
    fn note_read(&mut self) -> anyhow::Result<()> {
        for feed in &mut self.feeds {
            if feed.progress.has_ended() && feed.ended_ticked && !feed.is_read_noted {
                stored::set_read(self.journal, &feed.name, feed.epoch)?;
                feed.is_read_noted = true;
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
                        self.feeds[index].note_event(self.around.clock.now());
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
        let batch = match reader.next_batch(LINES_A_TURN) {
            Ok(Some(batch)) => batch,
            Ok(None) => {
                if !self.feeds[index].progress.has_ended() {
                    self.feeds[index].end_file();
                }
                return Ok(false);
            }
            Err(error) => {
                let feed = &mut self.feeds[index];
                let why = format!("{:#}", anyhow::Error::from(error));
                match feed.finite {
                    true => feed.fail(why),
                    false => feed.cut_short(why, self.around.clock.now()),
                }
                return Ok(false);
            }
        };
        let now = self.around.clock.now();
        for line in batch.lines() {
            let outcome = match line.content {
                Content::Bytes(bytes) if self.feeds[index].caught_up => {
                    intake.read(bytes, Some(now.wall))
                }
                Content::Bytes(bytes) => intake.read_stored(bytes, now.wall),
                Content::TooLong { length, .. } => {
                    Err(Rejected::new(RejectReason::Length, format!("line of {length} bytes")))
                }
            };
            let feed = &mut self.feeds[index];
            if let Some(by) = intake.take_ahead() {
                feed.note_ahead(by, now);
            }
            feed.note_event(now);
            let cursor = Cursor::File(line.cursor());
            match outcome {
                Ok(outcome) => self.take(index, outcome, cursor),
                Err(rejected) => {
                    feed.guess_kind(line.begins());
                    let reject = line.reject(&feed.name, &rejected);
                    self.reject(index, &reject, cursor);
                    if self.feeds[index].fail_if_rejected(self.config.rejects.share_max) {
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

    fn message(&mut self, index: usize, message: Message) {
        let now = self.around.clock.now();
        let feed = &mut self.feeds[index];
        if matches!(message, Message::Line { .. } | Message::Reject { .. }) {
            feed.prove_alive(now);
            feed.note_event(now);
        }
        match message {
            Message::Line { outcome, cursor } => self.take(index, outcome, cursor),
            Message::Reject { reject, cursor } => {
                self.reject(index, &reject, cursor);
                self.feeds[index].judge_rejects(self.config.rejects.share_max, now);
            }
            // Posts that went out before: tally puts them in place of what it has.
            Message::Placed { posts, requested, failed } => {
                feed.count_placed(&posts, requested, failed);
                for (routing, post) in posts {
                    self.batch.add_post(routing, &post);
                }
            }
            Message::Ahead { by } => feed.note_ahead(by, now),
            other => feed.report(&other, now),
        }
    }

    fn take(&mut self, index: usize, outcome: Outcome, cursor: Cursor) {
        self.append(index, outcome);
        self.feeds[index].cursor = Some(cursor);
    }

    fn append(&mut self, index: usize, outcome: Outcome) {
        let now = self.around.clock.now();
        self.feeds[index].count_line();
        if let Some(arrival) = outcome.arrival() {
            if let Some(boundary) = self.ticks.boundary(arrival)
                && self.is_steady(now)
            {
                self.tick(now, Some((index, boundary)));
            }
            self.feeds[index].progress.on_arrival(arrival, now);
            self.feeds[index].note_lag(arrival, now);
        }
        let feed = &self.feeds[index];
        match outcome {
            Outcome::Post { routing, post, dropped, .. } => {
                self.batch.add_post(routing, &post);
                feed.count_post(&post, &dropped);
            }
            _ => feed.meters.ignored.add(1),
        }
    }

    fn reject(&mut self, index: usize, reject: &Reject, cursor: Cursor) {
        self.batch.add_reject(reject);
        self.feeds[index].count_reject(reject);
        self.feeds[index].cursor = Some(cursor);
    }

    /// Feeds without a line stand where the least of the others is.
    fn place_failed(&mut self) -> anyhow::Result<()> {
        if !self.feeds.iter().any(Running::is_without_line) {
            return Ok(());
        }
        let ours = self.feeds.iter().filter(|feed| feed.failed.is_none());
        let least = match ours.filter_map(|feed| feed.progress.reached()).min() {
            Some(least) => Some(least),
            None => stored::least(self.journal)?,
        };
        if let Some(least) = least {
            for feed in self.feeds.iter_mut().filter(|feed| feed.is_without_line()) {
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
            let ended = |tick: &FeedTick| tick.ended && tick.feed == feed.name;
            feed.ended_ticked |= feeds.iter().any(ended);
        }
        self.batch.add_tick(Tick { settings: self.settings.number, at: now.wall, feeds });
        self.around.metrics.counter("pumphandle_ticks_total", "Ticks written.", &[]).add(1);
    }

    fn flush_if_full(&mut self) -> anyhow::Result<()> {
        if self.batch.bytes >= self.config.limits.batch_bytes { self.flush() } else { Ok(()) }
    }

    /// Appends what has gathered; then, if a tick was among it, stores the places of feeds.
    fn flush(&mut self) -> anyhow::Result<()> {
        if self.batch.append(self.journal)? {
            let places: Vec<_> =
                self.feeds.iter().map(|feed| (&*feed.name, feed.epoch, feed.place())).collect();
            stored::store_places(self.journal, &places)?;
            for feed in self.feeds.iter_mut().filter(|feed| !feed.alone) {
                stored::delete_earlier_places(self.journal, &feed.name)?;
                feed.alone = true;
            }
            self.forget_keys();
        }
        Ok(())
    }

    /// Destroys the author keys of epochs that no post needs any more, once every feed of ours has
    /// come so far. By our clock, too: a stamp that is ahead must cost no key.
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
            .map(|feed| (feed.name.as_str(), feed.meters.posts.accepted.get()))
            .collect();
        tracing::info!(?totals, "feeds stopped");
        Ok(())
    }
}

/// The partition of the stream `feeds` whose owner reads the feed.
fn share_of(feed: &str, partitions: u32) -> u32 {
    let hash = blake3::hash(feed.as_bytes());
    let [a, b, c, d, ..] = *hash.as_bytes();
    u32::from_le_bytes([a, b, c, d]) % partitions.max(1)
}

#[cfg(test)]
pub(crate) mod driven;
#[cfg(test)]
mod tests;
