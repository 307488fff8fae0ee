//! The notifier: tells subscribers of alerts, of how things are, and of silence.
//!
//! What is owed and what was tried stands in the compacted stream `state` under `notify/`, written after each step: a restart goes on
//! where it was, and tells with the same ids. Each subscription sends by a thread of its own, one message at a time, so that one that
//! hangs or fails delays no other. The warehouse is asked only for what decorates (trends, how many series, how much was seen), on
//! threads that may wait: its being away delays no message.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context;
use journal::{Change, Group, Journal, Membership, Stream};
use notify::channel::mail::MailServer;
use notify::channel::webhook::Secret;
use notify::channel::{alertmanager, cap, mail, webhook};
use notify::message::{Bar, Frame, Occasion, Pulse, TREND_BARS};
use notify::outbox::{Due, Head, Item, Tries};
use notify::plan::{Budget, Planned};
use notify::subscription::{Face, World};
use notify::words::{self, Language, Names, Telling};
use notify::zone::Zone;
use notify::{Audience, Channel, Message, Reach, SendError, Subscription, message, plan};
use record::kind::Kind;
use record::public::Rise;
use record::region::RegionTable;
use record::time::DAY;
use record::{Alert, AlertEvent, Micros, Outcome, Settings, Version};
use warehouse::{Judged, Reading, SeriesHead, SeriesQuery};
use web::{Hears, Owed};

use super::desk::Desk;
use super::subscribers::{self, Pages};
use crate::config::{Config, Notify};
use crate::drive::again;
use crate::monitor::Deliveries;
use crate::whole;

pub(crate) mod outage;

const TURN_EVERY: Duration = Duration::from_millis(200);
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// How often it is looked what the page has made of subscriptions.
const RENEW_EVERY: Duration = Duration::from_secs(2);
/// When asked to end, what is due still goes out for so long.
const DRAIN_MAX: Duration = Duration::from_secs(10);
/// What a feed holds.
const FEED_MAX: usize = 100;
/// Alerts older than that are told to nobody anew.
const TELL_WITHIN: Micros = 7 * DAY;
const PREFIX: &str = "notify/";

/// What everything the notifier says is made with.
pub(crate) struct Equipment {
    notify: Notify,
    reach: Reach,
    mail: Option<MailServer>,
    secrets: BTreeMap<String, Vec<Secret>>,
    world: Arc<Places>,
    warehouse: Arc<dyn Reading>,
    feeds: PathBuf,
    /// The data folder.
    data: PathBuf,
    simulated: bool,
    clock: fn() -> Micros,
    deliveries: Deliveries,
}

impl Equipment {
    /// Reads what only the notifier needs: passwords, secrets, certificates.
    pub(crate) fn of(
        config: &Config,
        settings: &Settings,
        warehouse: Arc<dyn Reading>,
        simulated: bool,
        clock: fn() -> Micros,
        deliveries: Deliveries,
    ) -> anyhow::Result<Equipment> {
        let notify = config.notify.clone();
        let pem =
            notify.roots_file.as_ref().map(|file| std::fs::read(file).with_context(|| format!("failed to read `{}`", file.display())));
        let pem = pem.transpose()?;
        let roots = match &pem {
            Some(pem) => Reach::certificates(pem).context("`notify.roots-file` holds no certificates")?,
            None => Vec::new(),
        };
        let mut mail = None;
        if let Some(server) = &notify.mail {
            let password = server.password_file.as_deref().map(super::stores::secret).transpose()?;
            mail = Some(MailServer {
                host: server.host.clone(),
                port: server.port,
                encryption: server.encryption,
                user: server.user.clone().map(|user| (user, password.unwrap_or_default())),
                from: server.from.parse().with_context(|| format!("`{}` is no mail address", server.from))?,
                root_pem: pem,
                unsubscribe: server.unsubscribe.as_ref().map(|address| address.parse()).transpose().context("`notify.mail.unsubscribe`")?,
            });
        }
        let mut secrets = BTreeMap::new();
        for subscription in &notify.subscriptions {
            let Channel::Webhook { secret_files, .. } = &subscription.channel else { continue };
            let mut read = Vec::new();
            for file in secret_files {
                let text = super::stores::secret(file)?;
                read.push(
                    Secret::parse(&text).with_context(|| format!("`{}` holds no `whsec_` and base64 of 24 to 64 bytes", file.display()))?,
                );
            }
            secrets.insert(subscription.name.clone(), read);
        }
        let world = Arc::new(Places::new(settings, config));
        let feeds = feeds(config);
        Ok(Equipment {
            reach: Reach { own_networks: notify.own_networks.clone(), roots },
            notify,
            mail,
            secrets,
            world,
            warehouse,
            feeds,
            data: config.journal.data.clone(),
            simulated,
            clock,
            deliveries,
        })
    }

    fn frame<'a>(&'a self, subscription: &'a Subscription) -> Frame<'a> {
        Frame { subscription: &subscription.name, page: self.notify.page.as_deref(), simulated: self.simulated }
    }
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
}

impl Places {
    fn new(settings: &Settings, config: &Config) -> Places {
        Places {
            kinds: settings.topics.iter().map(|topic| (topic.id.clone(), topic.kind)).collect(),
            table: settings.region_table(),
            atlas: atlas::Atlas::new(),
            own: config.places.names(),
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
        Some((id.to_owned(), names.map(|(language, name)| (language.to_owned(), name.to_owned())).collect()))
    });
    named.collect()
}

impl Names for Places {
    fn region(&self, code: &str, language: Language) -> Option<String> {
        let known = self.atlas.region(code).map(|region| region.name_in(language.code()).to_owned());
        known.or_else(|| {
            let names = self.own.get(code)?;
            names.get(language.code()).or_else(|| names.get("en")).or_else(|| names.values().next()).cloned()
        })
    }

    fn topic(&self, id: &str, language: Language) -> Option<String> {
        let names = TOPIC_NAMES.lines().find_map(|line| line.strip_prefix(id)?.strip_prefix('|'))?;
        let column = match language {
            Language::English => return None,
            Language::French => 0,
            Language::Spanish => 1,
            Language::German => 2,
        };
        names.split('|').nth(column).map(str::to_owned)
    }
}

/// What the page's API says of an alert: what messages say, in English and of one series.
pub(crate) fn teller(config: &Config) -> web::Teller {
    let places = Places::new(&config.settings(), config);
    Arc::new(move |alert| {
        let telling = Telling { language: Language::English, zone: &Zone::utc(), names: &places, series: 1, history: &[], rise: None };
        web::Told { sentence: words::headline(alert, &telling), rest: words::rest(alert, &telling), rarity: words::rarity(alert, &telling) }
    })
}

/// What the warehouse said last.
#[derive(Default)]
struct Looked {
    heads: Vec<SeriesHead>,
    seen: Option<f64>,
    latest: Option<Micros>,
    /// Alerts that are snoozed, with what people did with them: what the notifier wants to know of.
    snoozed: Vec<(Alert, Vec<AlertEvent>)>,
    /// Of these, by their changes, those that have outgrown it, and the window in which.
    woken: BTreeMap<(String, usize), Judged>,
}

/// Tells until asked to stop, then what is still due.
pub(crate) fn run(journal: &dyn Journal, equipment: &Equipment, stop: &dyn Fn() -> bool) -> anyhow::Result<()> {
    let looked = Mutex::new(Looked::default());
    let (over, needed) = (AtomicBool::new(false), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let looking = scope.spawn(|| look(equipment, &looked, &needed, &over));
        // A panic there is one of the role, and must not wait for its stop.
        let result = tell(journal, equipment, &looked, &needed, &|| stop() || looking.is_finished());
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
                    woken.extend(warehouse::woken(&**warehouse, alert, events)?.map(|judged| ((alert.id.clone(), events.len()), judged)));
                }
                Ok::<_, warehouse::WarehouseError>((warehouse.heads()?, warehouse.coverage()?, warehouse.latest()?, woken))
            };
            match ask() {
                Ok((heads, coverage, latest, woken)) => {
                    let seen = coverage.iter().map(|feed| feed.share).reduce(f64::min);
                    let mut looked = looked.lock().unwrap_or_else(PoisonError::into_inner);
                    *looked = Looked { heads, seen, latest, woken, snoozed: std::mem::take(&mut looked.snoozed) };
                }
                Err(error) => tracing::debug!(%error, "the warehouse can't be asked, messages go without what it knows"),
            }
        }
        std::thread::sleep(TURN_EVERY);
    }
}

/// `needed`: whether there is anybody to tell.
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
        std::thread::sleep(TURN_EVERY);
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

/// What came of a message.
struct Outcomes {
    subscription: String,
    sent: Sent,
    result: Result<(), SendError>,
}

/// What a message was about.
#[derive(Clone)]
enum Sent {
    Alert { alert: Box<Alert>, occasion: Option<Occasion> },
    Digest { alerts: Vec<Alert> },
    Pulse { is_silent: bool },
}

struct Notifier<'a> {
    journal: &'a dyn Journal,
    equipment: &'a Equipment,
    desk: Desk<'a>,
    /// Those of files first, then those of the page.
    subscriptions: Vec<Arc<Subscription>>,
    /// What the page had made when it was last looked, and when that was.
    pages: Pages,
    renewed: Option<Instant>,
    heads: BTreeMap<String, Head>,
    /// (subscription, alert) → what is owed.
    items: BTreeMap<(String, String), Item>,
    /// Alerts that a subscription doesn't cover as they are: in this revision, after so many changes by people.
    passed_over: BTreeSet<(String, String, u32, usize)>,
    busy: BTreeSet<String>,
    done: (Sender<Outcomes>, Receiver<Outcomes>),
}

impl<'a> Notifier<'a> {
    fn open(journal: &'a dyn Journal, equipment: &'a Equipment) -> anyhow::Result<Notifier<'a>> {
        let desk = Desk::open(journal, equipment.clock)?;
        let mut notifier = Notifier {
            journal,
            equipment,
            desk,
            subscriptions: Vec::new(),
            pages: Pages::new(),
            renewed: None,
            heads: BTreeMap::new(),
            items: BTreeMap::new(),
            passed_over: BTreeSet::new(),
            busy: BTreeSet::new(),
            done: channel(),
        };
        for subscription in &equipment.notify.subscriptions {
            notifier.take_on(subscription.clone())?;
        }
        Ok(notifier)
    }

    /// A subscription with what is kept of it; a new one is told of what comes after now.
    fn take_on(&mut self, subscription: Subscription) -> anyhow::Result<()> {
        let name = &subscription.name;
        let now = (self.equipment.clock)();
        let head = match again(|| self.journal.get(Stream::State, &head_key(name)))? {
            Some(bytes) => {
                serde_json::from_slice(&bytes).with_context(|| format!("what is kept of subscription `{name}` is unreadable"))?
            }
            None => {
                let head = Head {
                    since: self.desk.fold().alerts().map(|alert| alert.version).max().unwrap_or(Version(0)),
                    budget: Budget::new(subscription.a_week, now),
                    digest_at: plan::next_digest(&subscription, now),
                    heartbeat_at: subscription.zone.next(now, subscription.digest_at, None),
                    told_silent: false,
                    tries: Tries::default(),
                };
                self.keep_head(name, &head)?;
                head
            }
        };
        self.heads.insert(name.clone(), head);
        for key in again(|| self.journal.keys(Stream::State, &item_key(name, "")))? {
            let Some(bytes) = again(|| self.journal.get(Stream::State, &key))? else { continue };
            let item: Item = serde_json::from_slice(&bytes).with_context(|| format!("`{key}` is unreadable"))?;
            self.items.insert((name.clone(), item.alert.clone()), item);
        }
        self.subscriptions.push(Arc::new(subscription));
        Ok(())
    }

    /// Takes on what was made on the page, changes what was changed, and forgets what was taken away.
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
        let gone: Vec<String> = self.pages.keys().filter(|name| !pages.contains_key(*name)).cloned().collect();
        self.pages = pages;
        let before: BTreeMap<String, Audience> = self.subscriptions.iter().map(|one| (one.name.clone(), one.audience)).collect();
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
                    self.subscriptions.push(Arc::new(subscription));
                }
                None => {
                    self.take_on(subscription)?;
                    tracing::info!(subscription = name, "told of what comes from now on");
                }
            }
        }
        for name in gone.into_iter().filter(|name| self.subscriptions.iter().all(|subscription| subscription.name != *name)) {
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
        while let Ok(done) = self.done.1.try_recv() {
            self.note(done, now)?;
        }
        self.renew(now)?;
        let mut is_idle = self.busy.is_empty();
        for subscription in self.subscriptions.clone() {
            self.plan(&subscription, looked, now)?;
            if !self.busy.contains(&subscription.name) && self.send_one(&subscription, looked, now)? {
                is_idle = false;
            }
        }
        let items = self.items.values().filter(|item| item.tries.failed > 0 && !item.given_up).count();
        let heads = self.heads.values().filter(|head| head.tries.failed > 0).count();
        self.equipment.deliveries.waiting(items + heads);
        Ok(is_idle)
    }

    fn snoozed(&self) -> Vec<(Alert, Vec<AlertEvent>)> {
        let now = (self.equipment.clock)();
        let asleep = self.desk.fold().entries().filter(|(alert, events)| alert.is_snoozed(events, now));
        asleep.map(|(alert, events)| (alert.clone(), events.to_vec())).collect()
    }

    fn plan(&mut self, subscription: &Subscription, looked: &Looked, now: Micros) -> anyhow::Result<()> {
        let name = &subscription.name;
        let Some(mut head) = self.heads.get(name).cloned() else { return Ok(()) };
        let mut fresh = Vec::new();
        for (alert, events) in self.desk.fold().entries() {
            let is_known = self.items.contains_key(&(name.clone(), alert.id.clone()));
            let is_old = alert.version <= head.since || now - alert.window_end > TELL_WITHIN;
            if is_known || is_old || self.passed_over.contains(&(name.clone(), alert.id.clone(), alert.revision, events.len())) {
                continue;
            }
            let mine = for_reader(alert, series_of(subscription, &self.equipment.world, looked));
            if subscription.covers(&mine, events, &*self.equipment.world) {
                fresh.push((alert.clone(), mine));
            } else {
                self.passed_over.insert((name.clone(), alert.id.clone(), alert.revision, events.len()));
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

    /// Begins to send one message of a subscription, if one is due.
    fn send_one(&mut self, subscription: &Subscription, looked: &Looked, now: Micros) -> anyhow::Result<bool> {
        let name = &subscription.name;
        let series = series_of(subscription, &self.equipment.world, looked);
        let mut over = Vec::new();
        let mut chosen = None;
        let from = (name.clone(), String::new());
        for ((of, id), item) in self.items.range(from..).take_while(|((of, _), _)| of == name) {
            let Some((alert, events)) = self.desk.fold().get(id) else { continue };
            if item.is_over(alert, now) {
                over.push((of.clone(), id.clone()));
                continue;
            }
            // What has become too small for the public is not told them any more, not even that it is over: it would have to be said of it.
            let may_see = item.told.is_some() && subscription.audience == Audience::Official;
            if !may_see && !subscription.covers(&for_reader(alert, series), events, &*self.equipment.world) {
                continue;
            }
            let woken = looked.woken.get(&(id.clone(), events.len())).filter(|_| item.wakes(subscription, alert, events, now));
            if let Some(judged) = woken {
                chosen = Some((grown(alert, judged), events.to_vec(), Some(Occasion::Woken)));
                break;
            }
            if let Some(due) = item.due(subscription, alert, events, now) {
                let occasion = if let Due::Tell(occasion) = due { Some(occasion) } else { None };
                chosen = Some((alert.clone(), events.to_vec(), occasion));
                break;
            }
        }
        for key in over {
            self.put(item_key(&key.0, &key.1), None)?;
            self.items.remove(&key);
        }
        if let Some((alert, events, occasion)) = chosen {
            self.begin_alert(subscription, alert, &events, occasion, series, now)?;
            return Ok(true);
        }
        self.send_other(subscription, looked, series, now)
    }

    fn begin_alert(
        &mut self,
        subscription: &Subscription,
        alert: Alert,
        events: &[AlertEvent],
        occasion: Option<Occasion>,
        series: u32,
        now: Micros,
    ) -> anyhow::Result<()> {
        // What officials decided is theirs.
        let history = if subscription.audience == Audience::Public { Vec::new() } else { self.history(&alert) };
        let Some(Face { alert: mine, rise }) = self.face(subscription, &alert, events, series, now) else { return Ok(()) };
        let is_public = subscription.audience == Audience::Public;
        let sent = Sent::Alert { alert: Box::new(alert.clone()), occasion };
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
                let result = self.feed(subscription, &mine, rise, now);
                let result = result.map_err(|error| SendError::Later { why: format!("{error:#}"), after: None });
                return self.note(Outcomes { subscription: subscription.name.clone(), sent, result }, now);
            }
            Channel::Alertmanager { url } => {
                let key = (subscription.name.clone(), alert.id.clone());
                let known = self.items.get(&key).and_then(|item| item.named.clone());
                let named = match known {
                    Some(named) => named,
                    None => {
                        let named = alertmanager::Named::of(&alert);
                        if let Some(item) = self.items.get(&key).cloned() {
                            self.keep_item(&subscription.name, Item { named: Some(named.clone()), ..item })?;
                        }
                        named
                    }
                };
                let body = alertmanager::body(&mine, &named, &telling, &subscription.name, self.equipment.notify.page.as_deref(), now);
                let (reach, url) = (self.equipment.reach.clone(), url.clone());
                self.begin(subscription, sent, move || alertmanager::send(&reach, &url, &body));
            }
            Channel::Mail { .. } | Channel::Webhook { .. } | Channel::Stdout => {
                let occasion = occasion.unwrap_or(Occasion::Update);
                let (equipment, subscription_of) = (Render::of(self.equipment), subscription.clone());
                let to = match (&subscription.channel, occasion) {
                    (_, Occasion::Escalation) => {
                        subscription.escalation.as_ref().map(|escalation| escalation.deputies.clone()).unwrap_or_default()
                    }
                    (Channel::Mail { to }, _) => to.at(&subscription.zone, now),
                    _ => Vec::new(),
                };
                let deliver = self.deliver(subscription, to, now);
                self.begin(subscription, sent, move || {
                    let telling = Telling {
                        language: subscription_of.language,
                        zone: &subscription_of.zone,
                        names: &*equipment.world,
                        series,
                        history: &history,
                        rise,
                    };
                    let frame =
                        Frame { subscription: &subscription_of.name, page: equipment.page.as_deref(), simulated: equipment.simulated };
                    let trend = if is_public { Vec::new() } else { trend(&*equipment.warehouse, &mine) };
                    deliver(&message::of_alert(&mine, occasion, &telling, &frame, &trend))
                });
            }
        }
        Ok(())
    }

    /// The alert as the subscription's audience may see it now.
    fn face(&self, subscription: &Subscription, alert: &Alert, events: &[AlertEvent], series: u32, now: Micros) -> Option<Face> {
        let face = subscription.face(&for_reader(alert, series), events, &*self.equipment.world)?;
        let item = self.items.get(&(subscription.name.clone(), alert.id.clone()));
        let rise = face.rise.map(|rise| item.map_or(rise, |item| item.rise(alert, now)));
        Some(Face { rise, ..face })
    }

    /// Digest, heartbeat, the word of silence.
    fn send_other(&mut self, subscription: &Subscription, looked: &Looked, series: u32, now: Micros) -> anyhow::Result<bool> {
        let name = &subscription.name;
        let Some(head) = self.heads.get(name).cloned() else { return Ok(false) };
        if now < head.tries.not_before || matches!(subscription.channel, Channel::Feed | Channel::Alertmanager { .. }) {
            return Ok(false);
        }
        let to = if let Channel::Mail { to } = &subscription.channel { to.at(&subscription.zone, now) } else { Vec::new() };
        let frame = self.equipment.frame(subscription);
        if now >= head.digest_at {
            let from = (name.clone(), String::new());
            let due = self.items.range(from..).take_while(|((of, _), _)| of == name).filter_map(|((_, id), item)| {
                let (alert, events) = self.desk.fold().get(id)?;
                let may_see = subscription.covers(&for_reader(alert, series), events, &*self.equipment.world);
                (may_see && item.is_for_digest(alert, events, now)).then(|| alert.clone())
            });
            let mut alerts: Vec<Alert> = due.collect();
            alerts.sort_by(plan::rank);
            if alerts.is_empty() {
                let head = Head { digest_at: plan::next_digest(subscription, now), ..head };
                self.keep_head(name, &head)?;
                self.heads.insert(name.clone(), head);
                return Ok(false);
            }
            let told: Vec<(Face, Vec<Outcome>)> = alerts
                .iter()
                .filter_map(|alert| {
                    let history = if subscription.audience == Audience::Public { Vec::new() } else { self.history(alert) };
                    let events = self.desk.fold().get(&alert.id).map_or(&[][..], |(_, events)| events);
                    Some((self.face(subscription, alert, events, series, now)?, history))
                })
                .collect();
            let tellings: Vec<(&Alert, Telling<'_>)> = told
                .iter()
                .map(|(face, history)| {
                    let names: &dyn Names = &*self.equipment.world;
                    let (language, zone) = (subscription.language, &subscription.zone);
                    (&face.alert, Telling { language, zone, names, series, history, rise: face.rise })
                })
                .collect();
            let id = format!("{name}-digest-{}", head.digest_at / 1_000_000);
            let message = message::digest(&tellings, &id, subscription.language, &subscription.zone, now, &frame);
            let deliver = self.deliver(subscription, to, now);
            self.begin(subscription, Sent::Digest { alerts }, move || deliver(&message));
            return Ok(true);
        }
        if !subscription.heartbeat {
            return Ok(false);
        }
        let is_silent = looked.latest.is_some_and(|latest| now - latest > self.equipment.notify.silence_after);
        let is_news = is_silent != head.told_silent;
        if is_news || now >= head.heartbeat_at {
            let since = now - DAY;
            let alerts = self.desk.fold().entries().filter(|(alert, events)| {
                alert.fired_at >= since && subscription.covers(&for_reader(alert, series), events, &*self.equipment.world)
            });
            let alerts = u32::try_from(alerts.count()).unwrap_or(u32::MAX);
            let pulse = Pulse { seen: looked.seen, alerts, latest: looked.latest, is_silent };
            let id = format!("{name}-pulse-{}-{}", head.heartbeat_at / 1_000_000, u8::from(is_silent));
            let message = message::pulse(&pulse, &id, subscription.language, &subscription.zone, now, &frame);
            let deliver = self.deliver(subscription, to, now);
            self.begin(subscription, Sent::Pulse { is_silent }, move || deliver(&message));
            return Ok(true);
        }
        Ok(false)
    }

    /// How a message gets there.
    fn deliver(
        &self,
        subscription: &Subscription,
        to: Vec<String>,
        now: Micros,
    ) -> impl FnOnce(&Message) -> Result<(), SendError> + Send + 'static {
        let channel = subscription.channel.clone();
        let secrets = self.equipment.secrets.get(&subscription.name).cloned().unwrap_or_default();
        let (reach, server) = (self.equipment.reach.clone(), self.equipment.mail.clone());
        move |message| match channel {
            Channel::Mail { .. } => match &server {
                Some(server) => mail::send(server, &to, message),
                None => Err(SendError::Never { why: "there is no mail server".to_owned() }),
            },
            Channel::Webhook { url, .. } => webhook::send(&reach, &url, &secrets, &message.id, &message.json.to_string(), now),
            Channel::Stdout | Channel::Feed | Channel::Alertmanager { .. } => {
                let mut out = std::io::stdout().lock();
                writeln!(out, "{}", message.json)
                    .and_then(|()| out.flush())
                    .map_err(|error| SendError::Later { why: error.to_string(), after: None })
            }
        }
    }

    fn begin(&mut self, subscription: &Subscription, sent: Sent, send: impl FnOnce() -> Result<(), SendError> + Send + 'static) {
        let (name, done) = (subscription.name.clone(), self.done.0.clone());
        self.busy.insert(name.clone());
        let thread = std::thread::Builder::new().name(format!("notify {name}"));
        let for_thread = (name.clone(), sent.clone());
        let spawned = thread.spawn(move || {
            let result = send();
            // Nobody waits for it any more after the end.
            let _ = done.send(Outcomes { subscription: for_thread.0, sent: for_thread.1, result });
        });
        if let Err(error) = spawned {
            let result = Err(SendError::Later { why: error.to_string(), after: None });
            let _ = self.done.0.send(Outcomes { subscription: name, sent, result });
        }
    }

    /// Writes down what came of a message.
    fn note(&mut self, done: Outcomes, now: Micros) -> anyhow::Result<()> {
        let Outcomes { subscription: name, sent, result } = done;
        self.busy.remove(&name);
        let mut random = [0; 2];
        // Without randomness all wait equally long, no more.
        let _ = getrandom::fill(&mut random);
        let jitter = f64::from(u16::from_le_bytes(random)) / f64::from(u16::MAX);
        let (for_good, asked) = match &result {
            Ok(()) => (false, None),
            Err(SendError::Later { after, .. }) => (false, after.map(|after| Micros::try_from(after.as_micros()).unwrap_or(Micros::MAX))),
            Err(SendError::Never { .. }) => (true, None),
        };
        match &result {
            Ok(()) => self.equipment.deliveries.sent(),
            Err(_) => self.equipment.deliveries.failed(for_good),
        }
        if let Err(error) = &result {
            tracing::warn!(subscription = name, %error, for_good, "a message didn't go out");
        }
        match sent {
            Sent::Alert { alert, occasion } => {
                let Some(item) = self.items.get(&(name.clone(), alert.id.clone())).cloned() else { return Ok(()) };
                let changes = self.desk.fold().get(&alert.id).map(|(_, events)| events.len());
                let item = match result {
                    Ok(()) if matches!(occasion, Some(Occasion::Update | Occasion::Woken)) => {
                        Item { updated_after: changes, ..item.sent(&alert, occasion, now) }
                    }
                    Ok(()) => item.sent(&alert, occasion, now),
                    Err(_) => item.not_sent(now, asked, for_good, jitter),
                };
                if item.given_up {
                    tracing::error!(subscription = name, alert = alert.id, "a message was given up");
                }
                self.keep_item(&name, item)
            }
            Sent::Digest { alerts } => {
                let is_over = self.note_head(&name, result.is_ok() || for_good, asked, jitter, now, |head, subscription| {
                    head.digest_at = plan::next_digest(subscription, now);
                })?;
                for alert in alerts.iter().filter(|_| is_over) {
                    if let Some(item) = self.items.get(&(name.clone(), alert.id.clone())).cloned() {
                        self.keep_item(&name, item.sent(alert, Some(Occasion::New), now))?;
                    }
                }
                Ok(())
            }
            Sent::Pulse { is_silent } => self
                .note_head(&name, result.is_ok() || for_good, asked, jitter, now, |head, subscription| {
                    head.told_silent = is_silent;
                    head.heartbeat_at = subscription.zone.next(now, subscription.digest_at, None);
                })
                .map(|_| ()),
        }
    }

    fn note_head(
        &mut self,
        name: &str,
        is_done: bool,
        asked: Option<Micros>,
        jitter: f64,
        now: Micros,
        change: impl FnOnce(&mut Head, &Subscription),
    ) -> anyhow::Result<bool> {
        let subscription = self.subscriptions.iter().find(|subscription| subscription.name == name).map(Arc::clone);
        let (Some(mut head), Some(subscription)) = (self.heads.get(name).cloned(), subscription) else {
            return Ok(false);
        };
        let is_over = is_done || head.tries.is_hopeless(now);
        if is_over {
            change(&mut head, &subscription);
            head.tries = Tries::default();
        } else {
            head.tries = head.tries.failed(now, asked, jitter);
        }
        self.keep_head(name, &head)?;
        self.heads.insert(name.to_owned(), head);
        Ok(is_over)
    }

    /// Adds to a feed and writes its file: what is kept comes first, so that a kill in between is mended by the next message.
    fn feed(&self, subscription: &Subscription, alert: &Alert, rise: Option<Rise>, now: Micros) -> anyhow::Result<()> {
        let key = feed_key(&subscription.name);
        let kept = again(|| self.journal.get(Stream::State, &key))?;
        let mut sent: Vec<cap::Sent> = kept.map(|bytes| serde_json::from_slice(&bytes)).transpose()?.unwrap_or_default();
        let sender = cap::Sender {
            sender: self.equipment.notify.cap_sender.clone(),
            status: if self.equipment.simulated { cap::Status::Test } else { self.equipment.notify.cap_status },
            audience: subscription.audience,
            page: self.equipment.notify.page.clone(),
        };
        // What went out to others before the audience was changed is not for this one.
        sent.retain(|sent| cap::is_public(&sent.xml) == (subscription.audience == Audience::Public));
        if !sent.iter().any(|sent| sent.alert == alert.id && sent.revision == alert.revision) {
            let before: Vec<cap::Sent> = sent.iter().filter(|sent| sent.alert == alert.id).cloned().collect();
            sent.push(cap::message(alert, rise, &before, &sender, &subscription.zone, &*self.equipment.world, now));
            let surplus = sent.len().saturating_sub(FEED_MAX);
            sent.drain(..surplus);
            self.put(key, Some(serde_json::to_vec(&sent)?))?;
        }
        let folder = &self.equipment.feeds;
        let write = |name: String, text: &str| {
            let file = folder.join(name);
            whole::write(&file, text.as_bytes(), whole::SECRET).with_context(|| format!("failed to write `{}`", file.display()))
        };
        for message in sent.iter().filter(|message| message.alert == alert.id) {
            write(cap_file(&subscription.name, message), &message.xml)?;
        }
        write(format!("{}.atom", subscription.name), &cap::atom(&subscription.name, &sender, &sent, now))
    }

    /// Takes a feed's files away, which were for others or for nobody any more; what is kept of it stays.
    fn withdraw_feed(&self, name: &str) -> anyhow::Result<()> {
        let kept = again(|| self.journal.get(Stream::State, &feed_key(name)))?;
        let sent: Vec<cap::Sent> = kept.map(|bytes| serde_json::from_slice(&bytes)).transpose()?.unwrap_or_default();
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
            .filter(|(other, _)| other.id != alert.id && other.topic == alert.topic && country(&other.region) == here)
            .filter_map(|(other, events): (&Alert, &[AlertEvent])| Some((other.fired_at, events.last()?.outcome?)))
            .collect();
        past.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
        past.into_iter().map(|(_, outcome)| outcome).take(3).collect()
    }
}

/// What a thread that sends needs to know of the equipment.
struct Render {
    world: Arc<Places>,
    warehouse: Arc<dyn Reading>,
    page: Option<String>,
    simulated: bool,
}

impl Render {
    fn of(equipment: &Equipment) -> Render {
        Render {
            world: Arc::clone(&equipment.world),
            warehouse: Arc::clone(&equipment.warehouse),
            page: equipment.notify.page.clone(),
            simulated: equipment.simulated,
        }
    }
}

fn head_key(subscription: &str) -> String {
    format!("{PREFIX}head/{subscription}")
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
        let item: Item = serde_json::from_slice(&bytes).with_context(|| format!("`{key}` is unreadable"))?;
        let (hears, at) = match (item.told, item.planned) {
            (Some(told), _) => (Hears::Told, told.first_at),
            (None, Planned::AtOnce { from: at } | Planned::Digest { at }) if item.given_up => (Hears::GivenUp, at),
            (None, Planned::AtOnce { from }) => (Hears::AtOnce, from),
            (None, Planned::Digest { at }) => (Hears::Digest, at),
        };
        found.push(Owed { alert: item.alert, hears, at });
    }
    Ok(found)
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

/// Of all series that the subscription judges together, one gives such a false episode so much more often.
fn for_reader(alert: &Alert, series: u32) -> Alert {
    Alert { recurrence: alert.recurrence.map(|days| days / f64::from(series.max(1))), ..alert.clone() }
}

fn series_of(subscription: &Subscription, world: &Places, looked: &Looked) -> u32 {
    let is_mine = |head: &&SeriesHead| {
        (subscription.topics.is_empty() || subscription.topics.contains(&head.topic))
            && (subscription.kinds.is_empty() || world.kind(&head.topic).is_some_and(|kind| subscription.kinds.contains(&kind)))
            && subscription.covers_region(&head.region, world)
    };
    u32::try_from(looked.heads.iter().filter(is_mine).count()).unwrap_or(u32::MAX)
}

/// The last windows of the alert's series that don't overlap, oldest first; none where the warehouse is away.
fn trend(warehouse: &dyn Reading, alert: &Alert) -> Vec<Bar> {
    let ends: Vec<Micros> = (0..TREND_BARS).rev().map(|back| alert.window_end - back * alert.window_length).collect();
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
        let found = series.verdicts.iter().find(|verdict| verdict.end == end && verdict.length == alert.window_length);
        if end == alert.window_end { Some(alert.observed) } else { found.map(|verdict| verdict.observed) }
    };
    let bars: Vec<Bar> = ends.into_iter().map(|end| Bar { end, observed: observed(end) }).collect();
    bars.into_iter().skip_while(|bar| bar.observed.is_none()).collect()
}
