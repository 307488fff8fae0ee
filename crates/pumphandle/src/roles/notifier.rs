//! The notifier: sends alerts, heartbeats and notices to subscriptions.
//!
//! What is due and what was tried is stored in the compacted stream `state` under `notify/`,
//! written after each step: a restart goes on
//! where it was, with the same ids. Each subscription sends by a thread of its own, one message to
//! one recipient at a time, so that one
//! that hangs or fails delays no other, and each outcome is stored before the next recipient's
//! turn. The warehouse is asked only for
//! what decorates (trends, how many series, how much was seen), on threads that may wait: its being
//! away delays no message for long.

pub(crate) mod channels;
pub(crate) mod deliveries;
mod silence;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context;
use journal::{Change, Group, Journal, Membership, Stream};
use lexicon::{Date, Days, MonthDay};
use notify::channel::{alertmanager, cap};
use notify::message::{Bar, Notice, Occasion, Pulse, TREND_BARS};
use notify::outbox::{Due, Head, Item, Other, Tries};
use notify::plan::Planned;
use notify::rounds::{Round, is_of_server};
use notify::subscription::{Face, World};
use notify::words::{self, Language, Names, Telling};
use notify::zone::Zone;
use notify::{Audience, Channel, Message, SendError, Subscription, message, plan};
use record::kind::Kind;
use record::public::Rise;
use record::region::RegionTable;
use record::time::{DAY, pane_start};
use record::{Alert, AlertEvent, AlertState, Handling, Micros, Outcome, Position, Settings};
use warehouse::{Judged, Reading, SeriesHead, SeriesQuery};
use web::{Delivery, Hears, Metrics, Owed, RecipientRefused};

pub(crate) use self::channels::Channels;
use self::deliveries::Deliveries;
use super::desk::Desk;
use super::subscribers::{self, Pages};
use crate::config::{Config, Notify};
use crate::drive::again;
use crate::whole;

pub(crate) mod outage;

const TURN_EVERY: Duration = Duration::from_millis(200);
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// How often it is looked what the page has made of subscriptions.
const RENEW_EVERY: Duration = Duration::from_secs(2);
/// For so long a start waits for what the warehouse knows of series, which decides how rare an
/// alert is to a reader.
const LOOK_PATIENCE: Duration = Duration::from_secs(5);
/// A feed that couldn't be written is written again after so long.
const FEED_AGAIN: Duration = Duration::from_secs(30);
/// A condition of which people are notified holds for so long.
const DEGRADED_AFTER: Duration = Duration::from_secs(60);
/// And its end has lasted so long.
const RECOVERED_AFTER: Duration = Duration::from_secs(600);
/// How often what waits is counted.
const COUNT_EVERY: Duration = Duration::from_secs(2);
/// When asked to end, what is due still goes out for so long.
const DRAIN_MAX: Duration = Duration::from_secs(10);
/// What a feed holds.
const FEED_MAX: usize = 100;
/// Alerts older than that are told to nobody anew.
const TELL_WITHIN: Micros = 7 * DAY;
const PREFIX: &str = "notify/";

/// Conditions under which the program works with less: what and detail.
pub(crate) type Degraded = Arc<dyn Fn() -> BTreeMap<String, String> + Send + Sync>;

/// What everything the notifier sends is made with.
pub(crate) struct Equipment {
    notify: Notify,
    pub(crate) channels: Channels,
    pub(crate) deliveries: Arc<Deliveries>,
    world: Arc<Places>,
    warehouse: Arc<dyn Reading>,
    feeds: PathBuf,
    /// The data folder.
    data: PathBuf,
    simulated: bool,
    metrics: Arc<Metrics>,
    degraded: Degraded,
    clock: fn() -> Micros,
}

impl Equipment {
    /// Reads what only the notifier needs: passwords, secrets, certificates.
    pub(crate) fn of(
        config: &Config,
        settings: &Settings,
        warehouse: Arc<dyn Reading>,
        simulated: bool,
        clock: fn() -> Micros,
    ) -> anyhow::Result<Equipment> {
        Ok(Equipment {
            channels: Channels::of(config, simulated)?,
            deliveries: Arc::default(),
            notify: config.notify.clone(),
            world: Arc::new(Places::new(settings, config)),
            warehouse,
            feeds: feeds(config),
            data: config.journal.data.clone(),
            simulated,
            metrics: Arc::default(),
            degraded: Arc::new(BTreeMap::new),
            clock,
        })
    }

    /// With where its numbers are shown, and the conditions of which those with a heartbeat are
    /// notified.
    pub(crate) fn observed(self, metrics: Arc<Metrics>, degraded: Degraded) -> Equipment {
        Equipment { metrics, degraded, ..self }
    }
}

/// Notes where the stream of alerts ends for subscriptions of files that are new: they are notified
/// of all that comes after, whatever
/// becomes of this start. To be called before any role writes.
pub(crate) fn note_new(journal: &dyn Journal, config: &Config) -> anyhow::Result<()> {
    let mut end = None;
    for subscription in &config.notify.subscriptions {
        let (head, since) = (head_key(&subscription.name), since_key(&subscription.name));
        if again(|| journal.get(Stream::State, &head))?.is_some()
            || again(|| journal.get(Stream::State, &since))?.is_some()
        {
            continue;
        }
        let end = match end {
            Some(end) => end,
            None => *end.insert(alerts_end(journal)?),
        };
        again(|| {
            journal.put(Stream::State, &[(since.clone(), Some(end.to_string().into_bytes()))])
        })?;
    }
    Ok(())
}

/// Where the stream of alerts ends now: a subscription made now is notified of what comes after.
pub(crate) fn alerts_end(journal: &dyn Journal) -> anyhow::Result<Position> {
    Ok(again(|| journal.extent(Stream::Alerts, 0))?.end)
}

/// The folder in which feeds stand as files.
pub(crate) fn feeds(config: &Config) -> PathBuf {
    config.journal.data.join("feeds")
}

/// What places and topics are called, and what is below what.
struct Places {
    kinds: BTreeMap<String, Kind>,
    table: RegionTable,
    atlas: atlas::Atlas,
    /// Code → what it is called by language, the operator's own regions too.
    own: BTreeMap<String, BTreeMap<String, String>>,
    /// Id, name and days of each campaign.
    campaigns: Vec<(String, String, Vec<Days>)>,
}

impl Places {
    fn new(settings: &Settings, config: &Config) -> Places {
        Places {
            kinds: settings.topics.iter().map(|topic| (topic.id.clone(), topic.kind)).collect(),
            table: settings.region_table(),
            atlas: atlas::Atlas::new(),
            own: config.places.names(),
            campaigns: config
                .topics
                .lexicon
                .topics()
                .iter()
                .filter(|topic| !topic.days.is_empty())
                .map(|topic| (topic.id.clone(), topic.name.clone(), topic.days.clone()))
                .collect(),
        }
    }
}

impl World for Places {
    fn kind(&self, topic: &str) -> Option<Kind> {
        self.kinds.get(topic).copied()
    }

    fn is_within(&self, region: &str, above: &str) -> bool {
        self.table.within(region, above)
    }
}

/// Names of the topics that come with the program, a topic a line.
const TOPIC_NAMES: &str = include_str!("notifier/topics.txt");

/// By topic and language.
pub(crate) fn topic_names() -> BTreeMap<String, BTreeMap<String, String>> {
    let named = TOPIC_NAMES.lines().filter_map(|line| {
        let (id, names) = line.split_once('|')?;
        let names = ["fr", "es", "de"].into_iter().zip(names.split('|'));
        Some((
            id.to_owned(),
            names.map(|(language, name)| (language.to_owned(), name.to_owned())).collect(),
        ))
    });
    named.collect()
}

impl Names for Places {
    fn region(&self, code: &str, language: Language) -> Option<String> {
        let known =
            self.atlas.region(code).map(|region| region.name_in(language.code()).to_owned());
        known.or_else(|| {
            let names = self.own.get(code)?;
            names
                .get(language.code())
                .or_else(|| names.get("en"))
                .or_else(|| names.values().next())
                .cloned()
        })
    }

    fn topic(&self, id: &str, language: Language) -> Option<String> {
        let names =
            TOPIC_NAMES.lines().find_map(|line| line.strip_prefix(id)?.strip_prefix('|'))?;
        let column = match language {
            Language::English => return None,
            Language::French => 0,
            Language::Spanish => 1,
            Language::German => 2,
        };
        names.split('|').nth(column).map(str::to_owned)
    }

    fn campaigns(&self, from: Micros, to: Micros, language: Language) -> Vec<String> {
        let days = std::iter::successors(Some(pane_start(from, DAY)), |day| Some(day + DAY));
        let days: Vec<MonthDay> = days
            .take_while(|day| *day < to)
            .filter_map(|day| Some(Date::of(day)?.month_day()))
            .collect();
        let covers = |span: &Days| span.is_short() && days.iter().any(|day| span.contain(*day));
        let found = self.campaigns.iter().filter(|(_, _, spans)| spans.iter().any(covers));
        found
            .map(|(id, name, _)| self.topic(id, language).unwrap_or_else(|| name.clone()))
            .collect()
    }
}

/// Puts alerts into the words of messages, with the recurrence among all series.
pub(crate) fn describe(config: &Config) -> web::Describe {
    let places = Places::new(&config.settings(), config);
    Arc::new(move |alert, reader| {
        let telling = Telling {
            language: Language::parse(reader.language).unwrap_or(Language::English),
            zone: &Zone::named(&reader.zone).unwrap_or_else(Zone::utc),
            names: &places,
            series: 0,
            history: &[],
            rise: None,
        };
        web::AlertText {
            sentence: words::headline(alert, &telling),
            rest: words::rest(alert, &telling),
            rarity: words::rarity(alert, &telling),
            doubt: words::doubt(alert, &telling).map(str::to_owned),
            checks: words::checks(alert, &telling),
        }
    })
}

/// What the warehouse said last.
#[derive(Default)]
struct Looked {
    /// Whether it was asked at all; it may have failed.
    was_asked: bool,
    heads: Vec<SeriesHead>,
    seen: Option<f64>,
    latest: Option<Micros>,
    /// Since when `latest` has been the same.
    advanced: Option<Instant>,
    /// Alerts that are snoozed, with what people did with them: what the notifier wants to know of.
    snoozed: Vec<(Alert, Vec<AlertEvent>)>,
    /// Of these, by their changes, those that have outgrown it, and the window in which.
    woken: BTreeMap<(String, usize), Judged>,
}

impl Looked {
    fn is_silent(&self, equipment: &Equipment, now: Micros) -> Option<bool> {
        let stalled = self.advanced.map_or(Duration::ZERO, |at| at.elapsed());
        silence::is_silent(self.latest, stalled, equipment.notify.silence_after, now)
    }
}

/// Sends until asked to stop, then what is still due.
pub(crate) fn run(
    journal: &dyn Journal,
    equipment: &Equipment,
    stop: &dyn Fn() -> bool,
) -> anyhow::Result<()> {
    let looked = Mutex::new(Looked::default());
    let (over, needed) = (AtomicBool::new(false), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let looking = scope.spawn(|| look(equipment, &looked, &needed, &over));
        // A panic there is one of the role, and must not wait for its stop.
        let result =
            tell(journal, equipment, &looked, &needed, &|| stop() || looking.is_finished());
        over.store(true, Ordering::SeqCst);
        result
    })
}

fn look(equipment: &Equipment, looked: &Mutex<Looked>, needed: &AtomicBool, over: &AtomicBool) {
    let mut next = Instant::now();
    while !over.load(Ordering::SeqCst) {
        if Instant::now() >= next && needed.load(Ordering::SeqCst) {
            next = Instant::now() + LOOK_EVERY;
            let warehouse = &equipment.warehouse;
            let snoozed = looked.lock().unwrap_or_else(PoisonError::into_inner).snoozed.clone();
            let ask = || {
                let mut woken = BTreeMap::new();
                for (alert, events) in &snoozed {
                    woken.extend(
                        warehouse::woken(&**warehouse, alert, events)?
                            .map(|judged| ((alert.id.clone(), events.len()), judged)),
                    );
                }
                Ok::<_, warehouse::WarehouseError>((
                    warehouse.heads()?,
                    warehouse.coverage()?,
                    warehouse.latest()?,
                    woken,
                ))
            };
            let answer = ask();
            let mut looked = looked.lock().unwrap_or_else(PoisonError::into_inner);
            looked.was_asked = true;
            match answer {
                Ok((heads, coverage, latest, woken)) => {
                    if looked.advanced.is_none() || looked.latest != latest {
                        looked.advanced = Some(Instant::now());
                    }
                    looked.seen = coverage.iter().map(|feed| feed.share).reduce(f64::min);
                    (looked.heads, looked.latest, looked.woken) = (heads, latest, woken);
                }
                Err(error) => {
                    tracing::debug!(%error, "the warehouse can't be asked, messages go without \
                        what it knows")
                }
            }
        }
        std::thread::sleep(TURN_EVERY);
    }
}

/// `needed`: whether there is anybody to notify.
fn tell(
    journal: &dyn Journal,
    equipment: &Equipment,
    looked: &Mutex<Looked>,
    needed: &AtomicBool,
    stop: &dyn Fn() -> bool,
) -> anyhow::Result<()> {
    let mut membership = again(|| journal.join(Group::Notify))?;
    let mut notifier: Option<Notifier<'_>> = None;
    let mut ends_at = None;
    loop {
        notifier = owned(journal, equipment, &mut *membership, notifier)?;
        let mut is_idle = true;
        if let Some(notifier) = &mut notifier {
            let mut looked = looked.lock().unwrap_or_else(PoisonError::into_inner);
            is_idle = notifier.turn(&looked)?;
            looked.snoozed = notifier.snoozed();
            needed.store(!notifier.subscriptions.is_empty(), Ordering::SeqCst);
        }
        if stop() {
            let ends_at = *ends_at.get_or_insert_with(|| Instant::now() + DRAIN_MAX);
            if is_idle || Instant::now() >= ends_at {
                return Ok(());
            }
        }
        match &mut notifier {
            Some(notifier) => notifier.wait(),
            None => std::thread::sleep(TURN_EVERY),
        }
    }
}

fn owned<'a>(
    journal: &'a dyn Journal,
    equipment: &'a Equipment,
    membership: &mut dyn Membership,
    mut notifier: Option<Notifier<'a>>,
) -> anyhow::Result<Option<Notifier<'a>>> {
    for change in again(|| membership.changes(Duration::ZERO))? {
        notifier = match change {
            Change::Given(_) => Some(Notifier::open(journal, equipment)?),
            Change::Taken(_) => None,
        };
    }
    Ok(notifier)
}

/// What came of a message to one recipient.
struct Outcomes {
    subscription: String,
    /// Empty for channels with one recipient, which has no name.
    to: String,
    sent: Sent,
    result: Result<(), SendError>,
}

/// What a message was about.
#[derive(Clone)]
enum Sent {
    Alert { alert: Box<Alert>, occasion: Option<Occasion> },
    Other { round: Box<Round>, about: About },
}

/// What is noted once a message that is about no single alert is on its way.
#[derive(Clone)]
enum About {
    Digest,
    Pulse {
        is_silent: bool,
    },
    /// The conditions of which it notifies.
    Notice {
        conditions: BTreeSet<String>,
    },
}

impl About {
    fn kind(&self) -> Other {
        match self {
            About::Digest => Other::Digest,
            About::Pulse { .. } => Other::Pulse,
            About::Notice { .. } => Other::Notice,
        }
    }
}

struct Notifier<'a> {
    journal: &'a dyn Journal,
    equipment: &'a Equipment,
    opened: Instant,
    desk: Desk<'a>,
    /// Those of files first, then those of the page.
    subscriptions: Vec<Arc<Subscription>>,
    /// What the page had made when it was last looked, and when that was.
    pages: Pages,
    renewed: Option<Instant>,
    heads: BTreeMap<String, Head>,
    /// (subscription, alert) → what is due.
    items: BTreeMap<(String, String), Item>,
    /// Alerts that a subscription doesn't cover as they are: in this revision, after so many
    /// changes by people.
    passed_over: BTreeSet<(String, String, u32, usize)>,
    /// How many series were known when that was decided.
    series: usize,
    /// Feeds that couldn't be written, and when that was last tried.
    unwritten: BTreeMap<String, Instant>,
    conditions: Conditions,
    counted: Option<Instant>,
    busy: BTreeSet<String>,
    done: (Sender<Outcomes>, Receiver<Outcomes>),
    /// Taken from `done`, not yet noted.
    arrived: Vec<Outcomes>,
}

/// Conditions that have lasted long enough to notify of them.
#[derive(Default)]
struct Conditions {
    since: BTreeMap<String, Instant>,
    lasting: BTreeMap<String, String>,
    /// Since when there is none.
    clear: Option<Instant>,
}

impl Conditions {
    fn update(&mut self, now: &BTreeMap<String, String>, at: Instant) {
        self.since.retain(|name, _| now.contains_key(name));
        for name in now.keys() {
            self.since.entry(name.clone()).or_insert(at);
        }
        let lasts = |name: &String| {
            self.since
                .get(name)
                .is_some_and(|since| at.saturating_duration_since(*since) >= DEGRADED_AFTER)
        };
        self.lasting = now
            .iter()
            .filter(|(name, _)| lasts(name))
            .map(|(name, detail)| (name.clone(), detail.clone()))
            .collect();
        self.clear = if now.is_empty() { self.clear.or(Some(at)) } else { None };
    }

    /// What somebody who was notified of `known` is to be notified of now.
    fn news(&self, known: &BTreeSet<String>, at: Instant) -> Option<Notice> {
        if self.lasting.keys().any(|name| !known.contains(name)) {
            return Some(Notice::Degraded(self.lasting.clone().into_iter().collect()));
        }
        let is_over =
            self.clear.is_some_and(|since| at.saturating_duration_since(since) >= RECOVERED_AFTER);
        (is_over && !known.is_empty()).then_some(Notice::Recovered)
    }
}

impl<'a> Notifier<'a> {
    fn open(journal: &'a dyn Journal, equipment: &'a Equipment) -> anyhow::Result<Notifier<'a>> {
        let desk = Desk::open(journal, equipment.clock)?;
        let mut notifier = Notifier {
            journal,
            equipment,
            opened: Instant::now(),
            desk,
            subscriptions: Vec::new(),
            pages: Pages::new(),
            renewed: None,
            heads: BTreeMap::new(),
            items: BTreeMap::new(),
            passed_over: BTreeSet::new(),
            series: 0,
            unwritten: BTreeMap::new(),
            conditions: Conditions::default(),
            counted: None,
            busy: BTreeSet::new(),
            done: channel(),
            arrived: Vec::new(),
        };
        for subscription in &equipment.notify.subscriptions {
            notifier.take_on(subscription.clone(), None)?;
        }
        Ok(notifier)
    }

    /// A subscription with what is stored of it; a new one is notified of alerts from `since` on,
    /// or as [`note_new`] has noted, or now.
    fn take_on(
        &mut self,
        subscription: Subscription,
        since: Option<Position>,
    ) -> anyhow::Result<()> {
        let name = &subscription.name;
        let now = (self.equipment.clock)();
        let head = match again(|| self.journal.get(Stream::State, &head_key(name)))? {
            Some(bytes) => serde_json::from_slice(&bytes)
                .with_context(|| format!("what is kept of subscription `{name}` is unreadable"))?,
            None => {
                let noted = again(|| self.journal.get(Stream::State, &since_key(name)))?;
                let noted = noted.and_then(|bytes| String::from_utf8(bytes).ok()?.parse().ok());
                let since = since.or(noted).unwrap_or(Position::MAX);
                let head = Head::new(&subscription, self.desk.newest_before(since), now);
                self.keep_head(name, &head)?;
                if noted.is_some() {
                    self.put(since_key(name), None)?;
                }
                head
            }
        };
        self.heads.insert(name.clone(), head);
        for key in again(|| self.journal.keys(Stream::State, &item_key(name, "")))? {
            let Some(bytes) = again(|| self.journal.get(Stream::State, &key))? else { continue };
            let item: Item =
                serde_json::from_slice(&bytes).with_context(|| format!("`{key}` is unreadable"))?;
            self.items.insert((name.clone(), item.alert.clone()), item);
        }
        self.publish(&subscription, now);
        self.subscriptions.push(Arc::new(subscription));
        Ok(())
    }

    /// Writes the file of a feed as far as it goes, also while nothing was ever sent: who reads it
    /// finds an empty feed, not none.
    fn publish(&mut self, subscription: &Subscription, now: Micros) {
        if subscription.channel != Channel::Feed {
            return;
        }
        match self.write_feed(subscription, now) {
            Ok(()) => _ = self.unwritten.remove(&subscription.name),
            Err(error) => {
                let error = format!("{error:#}");
                tracing::warn!(
                    subscription = subscription.name,
                    error,
                    "a feed could not be written, trying again later"
                );
                self.unwritten.insert(subscription.name.clone(), Instant::now());
            }
        }
    }

    /// Takes on what was made on the page, changes what was changed, and forgets what was taken
    /// away.
    fn renew(&mut self, now: Micros) -> anyhow::Result<()> {
        if self.renewed.is_some_and(|at| at.elapsed() < RENEW_EVERY) {
            return Ok(());
        }
        self.renewed = Some(Instant::now());
        let pages = subscribers::kept(self.journal)?;
        if pages == self.pages {
            return Ok(());
        }
        let of_files = &self.equipment.notify.subscriptions;
        let wanted = subscribers::of_page(&pages, of_files);
        let gone: Vec<String> =
            self.pages.keys().filter(|name| !pages.contains_key(*name)).cloned().collect();
        self.pages = pages;
        let before: BTreeMap<String, Audience> =
            self.subscriptions.iter().map(|one| (one.name.clone(), one.audience)).collect();
        self.subscriptions.truncate(of_files.len());
        for subscription in wanted {
            let name = subscription.name.clone();
            if before.get(&name).is_some_and(|audience| *audience != subscription.audience) {
                self.withdraw_feed(&name)?;
            }
            // It may cover now what it did not.
            self.passed_over.retain(|(of, ..)| *of != name);
            match self.heads.get(&name).cloned() {
                Some(head) => {
                    let digest_at = plan::next_digest(&subscription, now);
                    let heartbeat_at = subscription.zone.next(now, subscription.digest_at, None);
                    let head = Head { digest_at, heartbeat_at, ..head };
                    self.keep_head(&name, &head)?;
                    self.heads.insert(name, head);
                    self.publish(&subscription, now);
                    self.subscriptions.push(Arc::new(subscription));
                }
                None => {
                    let since = self.pages.get(&name).and_then(subscribers::Kept::since);
                    self.take_on(subscription, since)?;
                    tracing::info!(subscription = name, "told of what comes from now on");
                }
            }
        }
        for name in gone
            .into_iter()
            .filter(|name| self.subscriptions.iter().all(|subscription| subscription.name != *name))
        {
            self.withdraw_feed(&name)?;
            self.heads.remove(&name);
            self.items.retain(|(of, _), _| *of != name);
            // A later one of this name begins anew.
            let mut keys = again(|| self.journal.keys(Stream::State, &item_key(&name, "")))?;
            keys.extend([head_key(&name), feed_key(&name)]);
            for key in keys {
                self.put(key, None)?;
            }
        }
        Ok(())
    }

    fn put(&self, key: String, value: Option<Vec<u8>>) -> anyhow::Result<()> {
        again(|| self.journal.put(Stream::State, &[(key.clone(), value.clone())])).map(|_| ())
    }

    fn keep_head(&self, name: &str, head: &Head) -> anyhow::Result<()> {
        self.put(head_key(name), Some(serde_json::to_vec(head)?))
    }

    fn keep_item(&mut self, name: &str, item: Item) -> anyhow::Result<()> {
        self.put(item_key(name, &item.alert), Some(serde_json::to_vec(&item)?))?;
        self.items.insert((name.to_owned(), item.alert.clone()), item);
        Ok(())
    }

    /// One look at everything; whether nothing is under way and nothing is due.
    fn turn(&mut self, looked: &Looked) -> anyhow::Result<bool> {
        let now = (self.equipment.clock)();
        self.desk.read_on()?;
        let arrived = std::mem::take(&mut self.arrived);
        for done in arrived.into_iter().chain(self.done.1.try_iter().collect::<Vec<_>>()) {
            self.note(done, now)?;
        }
        self.renew(now)?;
        self.conditions.update(&(self.equipment.degraded)(), Instant::now());
        if looked.heads.len() != self.series {
            // How rare an alert is to a reader depends on it.
            self.series = looked.heads.len();
            self.passed_over.clear();
        }
        let may_plan = looked.was_asked || self.opened.elapsed() >= LOOK_PATIENCE;
        let mut is_idle = self.busy.is_empty() && (may_plan || self.subscriptions.is_empty());
        for subscription in self.subscriptions.clone() {
            if may_plan {
                self.plan(&subscription, looked, now)?;
            }
            if !self.busy.contains(&subscription.name)
                && self.send_one(&subscription, looked, now)?
            {
                is_idle = false;
            }
            if self
                .unwritten
                .get(&subscription.name)
                .is_some_and(|tried| tried.elapsed() >= FEED_AGAIN)
            {
                self.publish(&subscription, now);
            }
        }
        self.count(now);
        Ok(is_idle)
    }

    /// Waits for the next turn, which comes at once where a message has its outcome: the next
    /// recipient is not to wait.
    fn wait(&mut self) {
        self.arrived.extend(self.done.1.recv_timeout(TURN_EVERY));
    }

    /// Counts what waits, for metrics.
    fn count(&mut self, now: Micros) {
        if self.counted.is_some_and(|at| at.elapsed() < COUNT_EVERY) {
            return;
        }
        self.counted = Some(Instant::now());
        let mut waiting: BTreeMap<&'static str, (u64, Option<Micros>)> = BTreeMap::new();
        let mut troubles = BTreeMap::new();
        for subscription in &self.subscriptions {
            let (count, oldest) = waiting.entry(subscription.channel.name()).or_default();
            let mut add = |number: usize, since: Option<Micros>| {
                *count += number as u64;
                *oldest = [*oldest, since].into_iter().flatten().min();
            };
            let from = (subscription.name.clone(), String::new());
            for (_, item) in
                self.items.range(from..).take_while(|((of, _), _)| *of == subscription.name)
            {
                for (occasion, round) in item.rounds.iter().filter(|(_, round)| !round.is_over) {
                    let number = round.waiting(&item.recipients(subscription, *occasion, now));
                    add(number, round.began.map(|began| began.at).filter(|_| number > 0));
                }
                let has_failed =
                    item.tries.failed > 0 && item.rounds.values().all(|round| round.is_over);
                add(usize::from(has_failed), item.tries.first_failed_at.filter(|_| has_failed));
            }
            let Some(head) = self.heads.get(&subscription.name) else { continue };
            let to = channels::recipients(subscription, now);
            let number = head.rounds.values().map(|round| round.waiting(&to)).sum();
            add(number, head.failing.as_ref().map(|failing| failing.since).filter(|_| number > 0));
            let trouble = match (&head.failing, head.refused.len()) {
                (Some(failing), _) => {
                    Some(format!("messages fail since {}", record::time::display(failing.since)))
                }
                (None, 0) => None,
                (None, refused) => Some(format!("{refused} of its recipients refused")),
            };
            troubles.extend(trouble.map(|trouble| (subscription.name.clone(), trouble)));
        }
        self.equipment.deliveries.set_waiting(&waiting, troubles);
        self.equipment.deliveries.show(&self.equipment.metrics, now);
    }

    fn snoozed(&self) -> Vec<(Alert, Vec<AlertEvent>)> {
        let now = (self.equipment.clock)();
        let asleep =
            self.desk.fold().entries().filter(|(alert, events)| alert.is_snoozed(events, now));
        asleep.map(|(alert, events)| (alert.clone(), events.to_vec())).collect()
    }

    fn plan(
        &mut self,
        subscription: &Subscription,
        looked: &Looked,
        now: Micros,
    ) -> anyhow::Result<()> {
        let name = &subscription.name;
        let Some(mut head) = self.heads.get(name).cloned() else { return Ok(()) };
        let share = Share::of(subscription, &self.equipment.world, looked);
        let mut fresh = Vec::new();
        for (alert, events) in self.desk.fold().entries() {
            let is_known = self.items.contains_key(&(name.clone(), alert.id.clone()));
            let is_old = alert.version <= head.since || now - alert.window_end > TELL_WITHIN;
            if is_known
                || is_old
                || self.passed_over.contains(&(
                    name.clone(),
                    alert.id.clone(),
                    alert.revision,
                    events.len(),
                ))
            {
                continue;
            }
            let mine = share.for_reader(alert);
            if subscription.covers(&mine, events, &*self.equipment.world) {
                fresh.push((alert.clone(), mine));
            } else {
                self.passed_over.insert((
                    name.clone(),
                    alert.id.clone(),
                    alert.revision,
                    events.len(),
                ));
            }
        }
        // The rarest take the tokens where several come at once.
        fresh.sort_by(|(one, _), (other, _)| plan::rank(one, other));
        for (alert, mine) in fresh {
            let planned = plan::plan(subscription, &mine, &mut head.budget, now);
            // The item first: killed in between it costs no token, and is never planned twice.
            self.keep_item(name, Item::new(&alert, planned))?;
            self.keep_head(name, &head)?;
            self.heads.insert(name.clone(), head.clone());
        }
        Ok(())
    }

    /// Begins to send one message to one recipient of a subscription, if one is due.
    fn send_one(
        &mut self,
        subscription: &Arc<Subscription>,
        looked: &Looked,
        now: Micros,
    ) -> anyhow::Result<bool> {
        let name = &subscription.name;
        let share = Share::of(subscription, &self.equipment.world, looked);
        let (mut over, mut completed) = (Vec::new(), Vec::new());
        let mut chosen = None;
        let from = (name.clone(), String::new());
        for ((of, id), item) in self.items.range(from..).take_while(|((of, _), _)| of == name) {
            let Some((alert, events)) = self.desk.fold().get(id) else { continue };
            if item.is_over(alert, now) {
                over.push((of.clone(), id.clone()));
                continue;
            }
            // What has become too small for the public is not told them any more, not even that it
            // is over: it would have to be said of it.
            let may_see = item.told.is_some() && subscription.audience == Audience::Official;
            if !may_see
                && !subscription.covers(&share.for_reader(alert), events, &*self.equipment.world)
            {
                continue;
            }
            let woken = looked
                .woken
                .get(&(id.clone(), events.len()))
                .filter(|_| item.wakes(subscription, alert, events, now));
            let (alert, occasion) = match (woken, item.due(subscription, alert, events, now)) {
                (Some(judged), _) => (grown(alert, judged), Some(Occasion::Woken)),
                (None, Some(Due::Tell(occasion))) => (alert.clone(), Some(occasion)),
                (None, Some(Due::Again)) => (alert.clone(), None),
                (None, None) => continue,
            };
            let mut to = String::new();
            if let (Channel::Mail { .. }, Some(occasion)) = (&subscription.channel, occasion) {
                let (round, all) = (
                    item.round(occasion, &alert, now),
                    item.recipients(subscription, occasion, now),
                );
                match round.next(&all, now) {
                    Some(next) => to.clone_from(next),
                    None => {
                        if round.is_complete(&all) {
                            completed.push((item.clone(), occasion, round, events.len()));
                        }
                        continue;
                    }
                }
            }
            chosen = Some((alert, events.to_vec(), occasion, to));
            break;
        }
        for key in over {
            self.put(item_key(&key.0, &key.1), None)?;
            self.items.remove(&key);
        }
        for (mut item, occasion, round, changes) in completed {
            item.rounds.insert(occasion, round);
            let item = item.completed(subscription, occasion, now);
            self.keep_item(name, noted_changes(item, occasion, Some(changes)))?;
        }
        if let Some((alert, events, occasion, to)) = chosen {
            self.begin_alert(subscription, alert, &events, occasion, to, share, now)?;
            return Ok(true);
        }
        self.send_other(subscription, looked, share, now)
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "what one message is made of, from the one caller"
    )]
    fn begin_alert(
        &mut self,
        subscription: &Arc<Subscription>,
        alert: Alert,
        events: &[AlertEvent],
        occasion: Option<Occasion>,
        to: String,
        share: Share,
        now: Micros,
    ) -> anyhow::Result<()> {
        // What officials decided is theirs.
        let is_public = subscription.audience == Audience::Public;
        let history = if is_public { Vec::new() } else { self.history(&alert) };
        let mine = share.for_reader(&alert);
        let Some(Face { alert: mine, rise }) = self.face(subscription, &mine, events, now) else {
            return Ok(());
        };
        let sent = Sent::Alert { alert: Box::new(alert.clone()), occasion };
        let series = share.series();
        let telling = Telling {
            language: subscription.language,
            zone: &subscription.zone,
            names: &*self.equipment.world,
            series,
            history: &history,
            rise,
        };
        match &subscription.channel {
            Channel::Feed => {
                let result = self.feed(subscription, &mine, rise, series, now);
                let result = result
                    .map_err(|error| SendError::Later { why: format!("{error:#}"), after: None });
                return self.note(
                    Outcomes { subscription: subscription.name.clone(), to, sent, result },
                    now,
                );
            }
            Channel::Alertmanager { url } => {
                let key = (subscription.name.clone(), alert.id.clone());
                let known = self.items.get(&key).and_then(|item| item.named.clone());
                let named = match known {
                    Some(named) => named,
                    None => {
                        let named = alertmanager::Named::of(&alert);
                        if let Some(item) = self.items.get(&key).cloned() {
                            self.keep_item(
                                &subscription.name,
                                Item { named: Some(named.clone()), ..item },
                            )?;
                        }
                        named
                    }
                };
                let body = alertmanager::body(
                    &mine,
                    &named,
                    &telling,
                    &subscription.name,
                    self.equipment.channels.page(),
                    now,
                );
                let (reach, url) = (self.equipment.channels.reach().clone(), url.clone());
                self.begin(subscription, to, sent, move |_| {
                    alertmanager::send(&reach, &url, &body)
                });
            }
            Channel::Mail { .. } | Channel::Webhook { .. } | Channel::Stdout => {
                let occasion = occasion.unwrap_or(Occasion::Update);
                let (channels, of) = (self.equipment.channels.clone(), Arc::clone(subscription));
                let (world, warehouse) =
                    (Arc::clone(&self.equipment.world), Arc::clone(&self.equipment.warehouse));
                self.begin(subscription, to, sent, move |to| {
                    let telling = Telling {
                        language: of.language,
                        zone: &of.zone,
                        names: &*world,
                        series,
                        history: &history,
                        rise,
                    };
                    let trend = if is_public { Vec::new() } else { trend(&*warehouse, &mine) };
                    let message =
                        message::of_alert(&mine, occasion, &telling, &channels.frame(&of), &trend);
                    channels.send(&of, to, &message, now)
                });
            }
        }
        Ok(())
    }

    /// The alert as the subscription's audience may see it now.
    fn face(
        &self,
        subscription: &Subscription,
        alert: &Alert,
        events: &[AlertEvent],
        now: Micros,
    ) -> Option<Face> {
        let face = subscription.face(alert, events, &*self.equipment.world)?;
        let item = self.items.get(&(subscription.name.clone(), alert.id.clone()));
        let rise = face.rise.map(|rise| item.map_or(rise, |item| item.rise(alert, now)));
        Some(Face { rise, ..face })
    }

    /// Digest, heartbeat, notices.
    fn send_other(
        &mut self,
        subscription: &Arc<Subscription>,
        looked: &Looked,
        share: Share,
        now: Micros,
    ) -> anyhow::Result<bool> {
        let name = &subscription.name;
        let Some(head) = self.heads.get(name).cloned() else { return Ok(false) };
        if now < head.tries.not_before
            || matches!(subscription.channel, Channel::Feed | Channel::Alertmanager { .. })
        {
            return Ok(false);
        }
        let to = channels::recipients(subscription, now);
        // What is new comes before what some recipients are still to get.
        let about = self.due_other(subscription, &head, looked, share, now)?;
        let waits = |about: &About| {
            let round = head
                .rounds
                .get(&about.kind())
                .filter(|round| !round.is_over && round.has_begun())?;
            round.next(&to, now).map(|_| round.clone())
        };
        let is_silent = head.told_silent;
        let begun = [
            About::Digest,
            About::Pulse { is_silent },
            About::Notice { conditions: head.degraded.clone() },
        ];
        let begun = begun.into_iter().find_map(|about| Some((waits(&about)?, about)));
        let Some((round, about)) = about.or(begun) else { return Ok(false) };
        let Some(to) = round.next(&to, now).cloned() else { return Ok(false) };
        let message = self.other_message(subscription, &round, &about, looked, share, now);
        let (channels, of) = (self.equipment.channels.clone(), Arc::clone(subscription));
        let sent = Sent::Other { round: Box::new(round), about };
        self.begin(subscription, to, sent, move |to| channels.send(&of, to, &message, now));
        Ok(true)
    }

    /// What is due that is about no single alert, with the round that it begins.
    fn due_other(
        &mut self,
        subscription: &Subscription,
        head: &Head,
        looked: &Looked,
        share: Share,
        now: Micros,
    ) -> anyhow::Result<Option<(Round, About)>> {
        let name = &subscription.name;
        if now >= head.digest_at {
            let from = (name.clone(), String::new());
            let due = self.items.range(from..).take_while(|((of, _), _)| of == name).filter_map(
                |((_, id), item)| {
                    let (alert, events) = self.desk.fold().get(id)?;
                    let may_see = subscription.covers(
                        &share.for_reader(alert),
                        events,
                        &*self.equipment.world,
                    );
                    (may_see && item.is_for_digest(alert, events, now)).then(|| alert.clone())
                },
            );
            let mut alerts: Vec<Alert> = due.collect();
            if !alerts.is_empty() {
                alerts.sort_by(plan::rank);
                let id = format!("{name}-digest-{}", head.digest_at / 1_000_000);
                let alerts = alerts.into_iter().map(|alert| alert.id).collect();
                return Ok(Some((Round { alerts, ..Round::new(id) }, About::Digest)));
            }
            let head = Head { digest_at: plan::next_digest(subscription, now), ..head.clone() };
            self.keep_head(name, &head)?;
            self.heads.insert(name.clone(), head);
        }
        if !subscription.heartbeat {
            return Ok(None);
        }
        if let Some(notice) = self.conditions.news(&head.degraded, Instant::now()) {
            let conditions = match &notice {
                Notice::Degraded(conditions) => {
                    conditions.iter().map(|(name, _)| name.clone()).collect()
                }
                Notice::Recovered | Notice::Test => BTreeSet::new(),
            };
            return Ok(Some((
                Round::new(format!("{name}-notice-{}", now / 1_000_000)),
                About::Notice { conditions },
            )));
        }
        let is_silent = looked.is_silent(self.equipment, now).unwrap_or(head.told_silent);
        if is_silent != head.told_silent || now >= head.heartbeat_at {
            let id =
                format!("{name}-pulse-{}-{}", head.heartbeat_at / 1_000_000, u8::from(is_silent));
            return Ok(Some((Round::new(id), About::Pulse { is_silent })));
        }
        Ok(None)
    }

    fn other_message(
        &self,
        subscription: &Subscription,
        round: &Round,
        about: &About,
        looked: &Looked,
        share: Share,
        now: Micros,
    ) -> Message {
        let (language, zone) = (subscription.language, &subscription.zone);
        let frame = self.equipment.channels.frame(subscription);
        match about {
            About::Digest => {
                let is_public = subscription.audience == Audience::Public;
                let shown = |id: &String| {
                    let (alert, events) = self.desk.fold().get(id)?;
                    let alert = share.for_reader(alert);
                    if !subscription.covers(&alert, events, &*self.equipment.world) {
                        return None;
                    }
                    let history = if is_public { Vec::new() } else { self.history(&alert) };
                    Some((self.face(subscription, &alert, events, now)?, history))
                };
                let shown: Vec<(Face, Vec<Outcome>)> =
                    round.alerts.iter().filter_map(shown).collect();
                let names: &dyn Names = &*self.equipment.world;
                let series = share.series();
                let tellings: Vec<(&Alert, Telling<'_>)> = shown
                    .iter()
                    .map(|(face, history)| {
                        (
                            &face.alert,
                            Telling { language, zone, names, series, history, rise: face.rise },
                        )
                    })
                    .collect();
                message::digest(&tellings, &round.id, language, zone, now, &frame)
            }
            About::Pulse { is_silent } => {
                let since = now - DAY;
                let mine = |alert: &Alert, events: &[AlertEvent]| {
                    subscription.covers(&share.for_reader(alert), events, &*self.equipment.world)
                };
                let entries = || self.desk.fold().entries();
                let fired = entries()
                    .filter(|(alert, events)| alert.fired_at >= since && mine(alert, events))
                    .count();
                let is_new = |events: &[AlertEvent]| {
                    events.last().is_none_or(|event| event.state == Handling::New)
                };
                let open = entries()
                    .filter(|(alert, events)| {
                        alert.state == AlertState::Open && is_new(events) && mine(alert, events)
                    })
                    .count();
                let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
                let pulse = Pulse {
                    seen: looked.seen,
                    alerts: number(fired),
                    unacknowledged: number(open),
                    latest: looked.latest,
                    is_silent: *is_silent,
                };
                message::pulse(&pulse, &round.id, language, zone, now, &frame)
            }
            About::Notice { conditions } => {
                let detail =
                    |name: &String| self.conditions.lasting.get(name).cloned().unwrap_or_default();
                let notice = match conditions.is_empty() {
                    true => Notice::Recovered,
                    false => Notice::Degraded(
                        conditions.iter().map(|name| (name.clone(), detail(name))).collect(),
                    ),
                };
                message::notice(&notice, &round.id, language, zone, now, &frame)
            }
        }
    }

    fn begin(
        &mut self,
        subscription: &Subscription,
        to: String,
        sent: Sent,
        send: impl FnOnce(&str) -> Result<(), SendError> + Send + 'static,
    ) {
        let (name, done) = (subscription.name.clone(), self.done.0.clone());
        self.busy.insert(name.clone());
        let thread = std::thread::Builder::new().name(format!("notify {name}"));
        let outcomes = move |result| Outcomes { subscription: name, to, sent, result };
        let for_thread = outcomes.clone();
        let spawned = thread.spawn(move || {
            let mut outcomes = for_thread(Ok(()));
            outcomes.result = send(&outcomes.to);
            // Nobody waits for it any more after the end.
            let _ = done.send(outcomes);
        });
        if let Err(error) = spawned {
            let result = Err(SendError::Later { why: error.to_string(), after: None });
            let _ = self.done.0.send(outcomes(result));
        }
    }

    /// Writes down what came of a message to one recipient.
    fn note(&mut self, done: Outcomes, now: Micros) -> anyhow::Result<()> {
        let Outcomes { subscription: name, to, sent, result } = done;
        self.busy.remove(&name);
        let mut random = [0; 2];
        // Without randomness all wait equally long, no more.
        let _ = getrandom::fill(&mut random);
        let jitter = f64::from(u16::from_le_bytes(random)) / f64::from(u16::MAX);
        // One that was taken away meanwhile is owed nothing.
        let found = self
            .subscriptions
            .iter()
            .find(|subscription| subscription.name == name)
            .map(Arc::clone);
        let Some(subscription) = found else { return Ok(()) };
        self.equipment.deliveries.count(subscription.channel.name(), &result);
        match &result {
            Ok(()) => {}
            Err(SendError::Refused { code, why }) => {
                tracing::warn!(
                    subscription = name,
                    recipient = to,
                    code,
                    why,
                    "a recipient was refused, for this message for good"
                );
            }
            Err(error) => {
                tracing::warn!(subscription = name, recipient = to, %error, "a message didn't go \
                    out")
            }
        }
        if let Some(head) = self.heads.get_mut(&name)
            && head.note(Some(to.as_str()).filter(|to| !to.is_empty()), &result, now)
        {
            let head = head.clone();
            self.keep_head(&name, &head)?;
        }
        match sent {
            Sent::Alert { alert, occasion } => {
                self.note_alert(&subscription, &alert, occasion, &to, &result, now, jitter)
            }
            Sent::Other { round, about } => {
                self.note_other(&subscription, *round, &about, &to, &result, now, jitter)
            }
        }
    }

    #[expect(clippy::too_many_arguments, reason = "what came of a message, from the one caller")]
    fn note_alert(
        &mut self,
        subscription: &Subscription,
        alert: &Alert,
        occasion: Option<Occasion>,
        to: &str,
        result: &Result<(), SendError>,
        now: Micros,
        jitter: f64,
    ) -> anyhow::Result<()> {
        let name = &subscription.name;
        let Some(item) = self.items.get(&(name.clone(), alert.id.clone())).cloned() else {
            return Ok(());
        };
        let changes = self.desk.fold().get(&alert.id).map(|(_, events)| events.len());
        let was_given_up = item.given_up;
        let item = match (&subscription.channel, occasion) {
            (Channel::Mail { .. }, Some(occasion)) => {
                let item = item.mailed(subscription, (alert, occasion), (to, result), now, jitter);
                if item.rounds.get(&occasion).is_some_and(|round| round.is_over) {
                    noted_changes(item, occasion, changes)
                } else {
                    item
                }
            }
            (_, occasion) => match result {
                Ok(()) => noted_changes(
                    item.sent(alert, occasion, now),
                    occasion.unwrap_or(Occasion::New),
                    changes,
                ),
                Err(error) => item.not_sent(
                    now,
                    asked_wait(error),
                    matches!(error, SendError::Never { .. }),
                    jitter,
                ),
            },
        };
        if item.given_up && !was_given_up {
            tracing::error!(subscription = name, alert = alert.id, "a message was given up");
        }
        self.keep_item(name, item)
    }

    #[expect(clippy::too_many_arguments, reason = "what came of a message, from the one caller")]
    fn note_other(
        &mut self,
        subscription: &Subscription,
        mut round: Round,
        about: &About,
        to: &str,
        result: &Result<(), SendError>,
        now: Micros,
        jitter: f64,
    ) -> anyhow::Result<()> {
        let name = &subscription.name;
        let Some(mut head) = self.heads.get(name).cloned() else { return Ok(()) };
        let all = channels::recipients(subscription, now);
        let had_begun = round.has_begun();
        head.tries = Tries::default();
        match result {
            Err(error) if is_of_server(result) => {
                let tries = self
                    .heads
                    .get(name)
                    .map_or(Tries::default(), |head| head.tries)
                    .failed(now, asked_wait(error), jitter);
                if tries.is_hopeless(now) || matches!(error, SendError::Never { .. }) {
                    round.give_up(&all, 0);
                } else {
                    head.tries = tries;
                }
            }
            _ => round.note(to, 0, result, now, jitter),
        }
        round.is_over = round.is_complete(&all);
        let mut told = Vec::new();
        // From the first outcome on it has had its turn: who is to be tried later delays nothing
        // that comes after.
        if round.has_begun() && !had_begun {
            match about {
                About::Digest => {
                    head.digest_at = plan::next_digest(subscription, now);
                    told.clone_from(&round.alerts);
                }
                About::Pulse { is_silent } => {
                    head.told_silent = *is_silent;
                    head.heartbeat_at = subscription.zone.next(now, subscription.digest_at, None);
                }
                About::Notice { conditions } => head.degraded.clone_from(conditions),
            }
        }
        if round.has_begun() {
            head.rounds.insert(about.kind(), round);
        }
        self.keep_head(name, &head)?;
        self.heads.insert(name.clone(), head);
        for id in told {
            let Some((alert, _)) = self.desk.fold().get(&id) else { continue };
            if let Some(item) = self.items.get(&(name.clone(), id)).cloned() {
                let item = item.sent(alert, Some(Occasion::New), now);
                self.keep_item(name, item)?;
            }
        }
        Ok(())
    }

    fn feed_sender(&self, subscription: &Subscription) -> cap::Sender {
        let notify = &self.equipment.notify;
        cap::Sender {
            sender: notify.cap_sender.clone(),
            status: if self.equipment.simulated { cap::Status::Test } else { notify.cap_status },
            audience: subscription.audience,
            page: notify.page.clone(),
        }
    }

    /// What a feed holds for its audience: what went out to others before the audience was changed
    /// is not for this one.
    fn feed_entries(&self, subscription: &Subscription) -> anyhow::Result<Vec<cap::Sent>> {
        let kept = again(|| self.journal.get(Stream::State, &feed_key(&subscription.name)))?;
        let mut sent: Vec<cap::Sent> = match kept {
            Some(bytes) => serde_json::from_slice(&bytes)
                .with_context(|| format!("feed `{}` is unreadable", subscription.name))?,
            None => Vec::new(),
        };
        sent.retain(|sent| {
            cap::is_public(&sent.xml) == (subscription.audience == Audience::Public)
        });
        Ok(sent)
    }

    fn write_feed(&self, subscription: &Subscription, now: Micros) -> anyhow::Result<()> {
        let sent = self.feed_entries(subscription)?;
        let atom = cap::atom(&subscription.name, &self.feed_sender(subscription), &sent, now);
        self.write_feed_file(format!("{}.atom", subscription.name), &atom)
    }

    fn write_feed_file(&self, name: String, text: &str) -> anyhow::Result<()> {
        let file = self.equipment.feeds.join(name);
        whole::write(&file, text.as_bytes(), whole::PLAIN)
            .with_context(|| format!("failed to write `{}`", file.display()))
    }

    /// Adds to a feed and writes its file: what is kept comes first, so that a kill in between is
    /// mended by the next message. A revision
    /// that says what the last one said adds nothing.
    fn feed(
        &self,
        subscription: &Subscription,
        alert: &Alert,
        rise: Option<Rise>,
        series: u32,
        now: Micros,
    ) -> anyhow::Result<()> {
        let sender = self.feed_sender(subscription);
        let mut sent = self.feed_entries(subscription)?;
        if !sent.iter().any(|sent| sent.alert == alert.id && sent.revision == alert.revision) {
            let before: Vec<cap::Sent> =
                sent.iter().filter(|sent| sent.alert == alert.id).cloned().collect();
            let message = cap::message(
                alert,
                rise,
                &before,
                &sender,
                &subscription.zone,
                &*self.equipment.world,
                series,
                now,
            );
            let is_news = alert.state != AlertState::Open
                || before.last().is_none_or(|last| last.summary != message.summary);
            if is_news {
                sent.push(message);
                let surplus = sent.len().saturating_sub(FEED_MAX);
                sent.drain(..surplus);
                self.put(feed_key(&subscription.name), Some(serde_json::to_vec(&sent)?))?;
            }
        }
        for message in sent.iter().filter(|message| message.alert == alert.id) {
            self.write_feed_file(cap_file(&subscription.name, message), &message.xml)?;
        }
        self.write_feed_file(
            format!("{}.atom", subscription.name),
            &cap::atom(&subscription.name, &sender, &sent, now),
        )
    }

    /// Takes a feed's files away, which were for others or for nobody any more; what is kept of it
    /// stays.
    fn withdraw_feed(&self, name: &str) -> anyhow::Result<()> {
        let kept = again(|| self.journal.get(Stream::State, &feed_key(name)))?;
        let sent: Vec<cap::Sent> =
            kept.map(|bytes| serde_json::from_slice(&bytes)).transpose()?.unwrap_or_default();
        let messages = sent.iter().map(|sent| cap_file(name, sent));
        for file in messages.chain([format!("{name}.atom")]) {
            let path = self.equipment.feeds.join(file);
            if let Err(error) = std::fs::remove_file(&path)
                && error.kind() != std::io::ErrorKind::NotFound
            {
                tracing::warn!(%error, file = %path.display(), "a file of a feed stays");
            }
        }
        Ok(())
    }

    /// What the last alerts of this topic in this country were, latest first.
    fn history(&self, alert: &Alert) -> Vec<Outcome> {
        let country = |region: &str| region.split('-').next().unwrap_or(region).to_owned();
        let here = country(&alert.region);
        let mut past: Vec<(Micros, Outcome)> = self
            .desk
            .fold()
            .entries()
            .filter(|(other, _)| {
                other.id != alert.id && other.topic == alert.topic && country(&other.region) == here
            })
            .filter_map(|(other, events): (&Alert, &[AlertEvent])| {
                Some((other.fired_at, events.last()?.outcome?))
            })
            .collect();
        past.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
        past.into_iter().map(|(_, outcome)| outcome).take(3).collect()
    }
}

/// After a message of changes, so many of them are known to those who got it.
fn noted_changes(item: Item, occasion: Occasion, changes: Option<usize>) -> Item {
    let is_of_changes = matches!(occasion, Occasion::Update | Occasion::Woken);
    if is_of_changes { Item { updated_after: changes, ..item } } else { item }
}

/// How long the other side wants to be left alone.
fn asked_wait(error: &SendError) -> Option<Micros> {
    let SendError::Later { after: Some(after), .. } = error else { return None };
    Some(Micros::try_from(after.as_micros()).unwrap_or(Micros::MAX))
}

fn head_key(subscription: &str) -> String {
    format!("{PREFIX}head/{subscription}")
}

/// Where the stream of alerts ended when a subscription of a file was new.
fn since_key(subscription: &str) -> String {
    format!("{PREFIX}since/{subscription}")
}

/// What a feed has said.
fn feed_key(subscription: &str) -> String {
    format!("{PREFIX}feed/{subscription}")
}

fn cap_file(subscription: &str, sent: &cap::Sent) -> String {
    format!("{subscription}-{}-{}.cap.xml", sent.alert, sent.revision)
}

fn item_key(subscription: &str, alert: &str) -> String {
    format!("{PREFIX}item/{subscription}/{alert}")
}

/// What a subscription hears of alerts, by alert.
pub(crate) fn owed(journal: &dyn Journal, subscription: &str) -> anyhow::Result<Vec<Owed>> {
    let mut found = Vec::new();
    for key in again(|| journal.keys(Stream::State, &item_key(subscription, "")))? {
        let Some(bytes) = again(|| journal.get(Stream::State, &key))? else { continue };
        let item: Item =
            serde_json::from_slice(&bytes).with_context(|| format!("`{key}` is unreadable"))?;
        let (hears, at) = match (item.told.filter(|_| !item.given_up), item.planned) {
            (Some(told), _) => (Hears::Told, told.first_at),
            (None, Planned::AtOnce { from: at } | Planned::Digest { at }) if item.given_up => {
                (Hears::GivenUp, at)
            }
            (None, Planned::AtOnce { from }) => (Hears::AtOnce, from),
            (None, Planned::Digest { at }) => (Hears::Digest, at),
        };
        found.push(Owed { alert: item.alert, hears, at });
    }
    Ok(found)
}

/// How a subscription's messages fare.
pub(crate) fn delivery(journal: &dyn Journal, subscription: &str) -> anyhow::Result<Delivery> {
    let key = head_key(subscription);
    let Some(bytes) = again(|| journal.get(Stream::State, &key))? else {
        return Ok(Delivery::default());
    };
    let head: Head =
        serde_json::from_slice(&bytes).with_context(|| format!("`{key}` is unreadable"))?;
    let refused = head.refused.into_iter().map(|(address, refusal)| {
        let notify::outbox::Refusal { code, why, at } = refusal;
        RecipientRefused { address, code, why, at }
    });
    Ok(Delivery {
        refused: refused.collect(),
        failing: head.failing.map(|failing| (failing.why, failing.since)),
    })
}

/// The alert with the numbers of a later window, in which it has grown.
fn grown(alert: &Alert, judged: &Judged) -> Alert {
    Alert {
        observed: judged.observed,
        posts: alert.posts.max(judged.observed),
        expected: judged.expected.unwrap_or(alert.expected),
        upperbound: judged.upperbound.unwrap_or(alert.upperbound),
        window_end: judged.end,
        ..alert.clone()
    }
}

/// How many of all series a subscription covers. An alert's recurrence is measured among all of
/// them; among fewer, chance gives such a
/// false episode so much more rarely.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Share {
    mine: u32,
    all: u32,
}

impl Share {
    fn of(subscription: &Subscription, world: &Places, looked: &Looked) -> Share {
        let topics = &subscription.topics;
        let is_mine = |head: &&SeriesHead| {
            (topics.is_empty()
                || topics.contains(&head.topic)
                || subscription.always.contains(&head.topic))
                && (subscription.kinds.is_empty()
                    || world
                        .kind(&head.topic)
                        .is_some_and(|kind| subscription.kinds.contains(&kind)))
                && subscription.covers_region(&head.region, world)
        };
        let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        Share {
            mine: number(looked.heads.iter().filter(is_mine).count()),
            all: number(looked.heads.len()),
        }
    }

    fn is_known(self) -> bool {
        self.mine > 0 && self.all > 0
    }

    /// Among how many series the recurrence of [`Share::for_reader`] is measured; 0: all, which is
    /// what an alert says itself.
    fn series(self) -> u32 {
        if self.is_known() { self.mine } else { 0 }
    }

    fn for_reader(self, alert: &Alert) -> Alert {
        let factor = if self.is_known() { f64::from(self.all) / f64::from(self.mine) } else { 1.0 };
        Alert { recurrence: alert.recurrence.map(|days| days * factor), ..alert.clone() }
    }
}

/// The last windows of the alert's series that don't overlap, oldest first; none where the
/// warehouse is away.
fn trend(warehouse: &dyn Reading, alert: &Alert) -> Vec<Bar> {
    let ends: Vec<Micros> =
        (0..TREND_BARS).rev().map(|back| alert.window_end - back * alert.window_length).collect();
    let query = SeriesQuery {
        topic: alert.topic.clone(),
        region: alert.region.clone(),
        from: ends.first().copied().unwrap_or(alert.window_end),
        to: alert.window_end + 1,
        limit: 5_000,
        only: None,
    };
    let Ok(series) = warehouse.series(&query) else { return Vec::new() };
    let observed = |end: Micros| {
        let found = series
            .verdicts
            .iter()
            .find(|verdict| verdict.end == end && verdict.length == alert.window_length);
        if end == alert.window_end {
            Some(alert.observed)
        } else {
            found.map(|verdict| verdict.observed)
        }
    };
    let bars: Vec<Bar> = ends.into_iter().map(|end| Bar { end, observed: observed(end) }).collect();
    bars.into_iter().skip_while(|bar| bar.observed.is_none()).collect()
}

#[cfg(test)]
mod tests;
