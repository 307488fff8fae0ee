//! Notifier: the role that sends alerts, heartbeats and notices to subscriptions.
//!
//! It reads alerts, responses and subscriptions, passes them to [`Dispatch`], stores what that
//! changes, and sends each delivery on a thread of its own. Each outcome is stored before the next
//! recipient of a subscription is tried, so a restart goes on where it was, with the same ids; a
//! channel that hangs delays no other. Who receives what and when is decided by dispatch alone.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use journal::{Change, Group, Journal, Membership};
use notify::dispatch::{Content, Delivery, Facts};
use notify::{Channel, Dispatch, SendError, Subscription};
use record::{Alert, AlertEvent, Micros, Position, Settings};
use warehouse::Reading;
use web::Metrics;

use self::channels::Channels;
use self::deliveries::Deliveries;
use self::facts::{Exchange, Inquiry};
use self::feed::Feeds;
use self::places::Places;
use self::transport::Transport;
use super::desk::Desk;
use super::subscribers::{self, Pages};
use crate::config::{Config, Notify};
use crate::runtime::{Context, Progress, Role, retry};

pub(crate) mod channels;
pub(crate) mod deliveries;
mod facts;
mod feed;
pub(crate) mod outage;
mod places;
pub(crate) mod store;
mod transport;

pub(crate) use self::feed::feeds;
pub(crate) use self::places::{describe, topic_names};
pub(crate) use self::store::{alert_deliveries, note_new};

const TURN_EVERY: Duration = Duration::from_millis(200);
/// How often subscriptions edited in the web UI are reloaded.
const RELOAD_EVERY: Duration = Duration::from_secs(2);
/// How long a start waits for the first answer of the warehouse, on which the rarity of an alert to
/// a reader depends.
const FACTS_PATIENCE: Duration = Duration::from_secs(5);
/// How often waiting messages are counted.
const COUNT_EVERY: Duration = Duration::from_secs(2);
/// Grace period for due deliveries at shutdown.
const DRAIN_MAX: Duration = Duration::from_secs(10);

/// Conditions under which the program works with less: name and detail.
pub(crate) type Degraded = Arc<dyn Fn() -> BTreeMap<String, String> + Send + Sync>;

/// What the notifier is made with.
pub(crate) struct Equipment {
    notify: Notify,
    transport: Arc<Transport>,
    pub(crate) deliveries: Arc<Deliveries>,
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
        let channels = Channels::of(config, simulated)?;
        let places = Places::new(settings, config);
        Ok(Equipment {
            transport: Arc::new(Transport { channels, places, warehouse }),
            deliveries: Arc::default(),
            notify: config.notify.clone(),
            feeds: feeds(config),
            data: config.journal.data.clone(),
            simulated,
            metrics: Arc::default(),
            degraded: Arc::new(BTreeMap::new),
            clock,
        })
    }

    /// With its metrics, and the conditions that subscriptions with a heartbeat are notified of.
    pub(crate) fn observed(self, metrics: Arc<Metrics>, degraded: Degraded) -> Equipment {
        Equipment { metrics, degraded, ..self }
    }
}

/// The role that sends until it is stopped, then what is still due; and the role that queries the
/// warehouse for it.
pub(crate) fn roles<'a>(
    journal: &'a dyn Journal,
    equipment: &'a Equipment,
) -> (impl Role + 'a, impl Role + 'a) {
    let (exchange, began) = (Arc::<Exchange>::default(), Instant::now());
    let warehouse = &*equipment.transport.warehouse;
    let inquiry = Inquiry { warehouse, exchange: Arc::clone(&exchange), began };
    let session = Session { journal, equipment, exchange, began };
    (Candidate { session, membership: None, notifier: None }, inquiry)
}

/// What lasts while another process is the notifier.
#[derive(Clone)]
struct Session<'a> {
    journal: &'a dyn Journal,
    equipment: &'a Equipment,
    exchange: Arc<Exchange>,
    /// Of the uptime.
    began: Instant,
}

/// The notifier while the group assigns that task to this process; otherwise it waits.
struct Candidate<'a> {
    session: Session<'a>,
    membership: Option<Box<dyn Membership>>,
    notifier: Option<Notifier<'a>>,
}

impl Role for Candidate<'_> {
    fn turn(&mut self, context: &Context) -> anyhow::Result<Progress> {
        let membership = match &mut self.membership {
            Some(membership) => membership,
            none => none.insert(retry(|| self.session.journal.join(Group::Notify))?),
        };
        for change in retry(|| membership.changes(Duration::ZERO))? {
            self.notifier = match change {
                Change::Given(_) => Some(Notifier::open(self.session.clone())?),
                Change::Taken(_) => None,
            };
        }
        let is_idle = match &mut self.notifier {
            Some(notifier) => notifier.turn(context.wait)?,
            None => true,
        };
        Ok(match (is_idle && context.stop.is_requested(), &self.notifier) {
            (true, _) => Progress::Ended,
            (false, Some(_)) => Progress::BUSY,
            (false, None) => Progress::Idle(TURN_EVERY),
        })
    }

    fn grace(&self) -> Duration {
        DRAIN_MAX
    }
}

/// Outcome of a delivery.
struct Outcome {
    subscription: Arc<Subscription>,
    /// Empty for channels with one recipient.
    to: String,
    result: Result<(), SendError>,
}

struct Notifier<'a> {
    session: Session<'a>,
    opened: Instant,
    desk: Desk<'a>,
    dispatch: Dispatch<'a>,
    feeds: Feeds<'a>,
    /// What dispatch has learned last.
    facts: Option<Arc<Facts>>,
    /// Subscriptions edited in the web UI, and when they were last read.
    pages: Pages,
    reloaded: Option<Instant>,
    counted: Option<Instant>,
    outcomes: (Sender<Outcome>, Receiver<Outcome>),
}

impl<'a> Notifier<'a> {
    fn open(session: Session<'a>) -> anyhow::Result<Notifier<'a>> {
        let (journal, equipment) = (session.journal, session.equipment);
        let places = &equipment.transport.places;
        let mut notifier = Notifier {
            session,
            opened: Instant::now(),
            desk: Desk::open(journal, equipment.clock)?,
            dispatch: Dispatch::new(places, equipment.notify.silence_after),
            feeds: Feeds::new(journal, equipment),
            facts: None,
            pages: Pages::new(),
            reloaded: None,
            counted: None,
            outcomes: channel(),
        };
        let now = (equipment.clock)();
        for subscription in &equipment.notify.subscriptions {
            notifier.subscribe(subscription.clone(), None, now)?;
        }
        Ok(notifier)
    }

    /// Adds a subscription with its stored state; a new one receives alerts from `since` on, or
    /// from where [`note_new`] has noted, or from now on.
    fn subscribe(
        &mut self,
        subscription: Subscription,
        since: Option<Position>,
        now: Micros,
    ) -> anyhow::Result<()> {
        let name = subscription.name.clone();
        let stored = store::read_state(self.session.journal, &name)?;
        let noted =
            if stored.is_none() { store::noted_start(self.session.journal, &name)? } else { None };
        let since = self.desk.newest_before(since.or(noted).unwrap_or(Position::MAX));
        self.feeds.publish(&subscription, now);
        self.dispatch.subscribe(subscription, stored, since, now);
        self.store_changes()?;
        if noted.is_some() {
            store::delete_start(self.session.journal, &name)?;
        }
        Ok(())
    }

    /// Applies changes of subscriptions in the web UI.
    fn reload(&mut self, now: Micros) -> anyhow::Result<()> {
        if self.reloaded.is_some_and(|at| at.elapsed() < RELOAD_EVERY) {
            return Ok(());
        }
        self.reloaded = Some(Instant::now());
        let pages = subscribers::stored(self.session.journal)?;
        if pages == self.pages {
            return Ok(());
        }
        let of_files = &self.session.equipment.notify.subscriptions;
        let is_of_file = |name: &str| of_files.iter().any(|one| one.name == name);
        let wanted = subscribers::of_page(&pages, of_files);
        let before = std::mem::replace(&mut self.pages, pages);
        let mut unwanted: Vec<String> =
            self.dispatch.subscriptions().map(|one| one.name.clone()).collect();
        unwanted.retain(|name| !is_of_file(name) && wanted.iter().all(|one| one.name != *name));
        for name in unwanted {
            self.dispatch.unsubscribe(&name);
        }
        for subscription in wanted {
            let name = subscription.name.clone();
            let known = self.dispatch.subscription(&name).map(|known| known.audience);
            if known.is_some_and(|audience| audience != subscription.audience) {
                self.feeds.delete_files(&name)?;
            }
            if self.dispatch.replace(&subscription, now) {
                self.feeds.publish(&subscription, now);
            } else {
                let since = self.pages.get(&name).and_then(subscribers::Stored::since);
                self.subscribe(subscription, since, now)?;
                tracing::info!(subscription = name, "subscription added, receives later alerts");
            }
        }
        self.store_changes()?;
        let removed = before.into_keys().filter(|name| !self.pages.contains_key(name));
        for name in removed.filter(|name| !is_of_file(name)) {
            self.feeds.delete_files(&name)?;
            store::delete_state(self.session.journal, &name)?;
        }
        Ok(())
    }

    fn store_changes(&mut self) -> anyhow::Result<()> {
        let changes = self.dispatch.take_changes();
        changes
            .iter()
            .try_for_each(|(name, change)| store::write_change(self.session.journal, name, change))
    }

    /// One pass over everything, after a wait for the outcome of a delivery; returns whether nothing
    /// is in flight and nothing is due.
    fn turn(&mut self, wait: Duration) -> anyhow::Result<bool> {
        let first = self.outcomes.1.recv_timeout(wait).ok();
        let now = (self.session.equipment.clock)();
        self.desk.read_on()?;
        let arrived: Vec<Outcome> = first.into_iter().chain(self.outcomes.1.try_iter()).collect();
        for outcome in arrived {
            self.settle(&outcome, now)?;
        }
        self.reload(now)?;
        self.dispatch.observe(&(self.session.equipment.degraded)(), self.session.began.elapsed());
        self.learn_facts();
        let was_idle = self.dispatch.is_idle();
        let deliveries = self.dispatch.poll(self.desk.fold(), now);
        self.store_changes()?;
        let is_idle = was_idle && deliveries.is_empty();
        for delivery in deliveries {
            self.send(delivery, now)?;
        }
        for subscription in self.dispatch.subscriptions() {
            if self.feeds.is_retry_due(&subscription.name) {
                self.feeds.publish(subscription, now);
            }
        }
        self.count_waiting(now);
        self.session.exchange.request(self.snoozed(now));
        Ok(is_idle)
    }

    fn learn_facts(&mut self) {
        let is_late = self.facts.is_none() && self.opened.elapsed() >= FACTS_PATIENCE;
        let known = self.session.exchange.facts().or_else(|| is_late.then(Arc::default));
        let Some(facts) = known else { return };
        if self.facts.as_ref().is_none_or(|last| !Arc::ptr_eq(last, &facts)) {
            self.dispatch.learn(Arc::clone(&facts));
            self.facts = Some(facts);
        }
    }

    /// Snoozed alerts with their responses; none while there is no subscription.
    fn snoozed(&self, now: Micros) -> Option<Vec<(Alert, Vec<AlertEvent>)>> {
        self.dispatch.subscriptions().next()?;
        let entries = self.desk.fold().entries();
        let snoozed = entries.filter(|(alert, events)| alert.is_snoozed(events, now));
        Some(snoozed.map(|(alert, events)| (alert.clone(), events.to_vec())).collect())
    }

    /// A feed is written at once; every other channel is sent to on a thread.
    fn send(&mut self, delivery: Delivery, now: Micros) -> anyhow::Result<()> {
        let Delivery { subscription, to, series, content } = &delivery;
        let outcome =
            |result| Outcome { subscription: Arc::clone(subscription), to: to.clone(), result };
        if let (Channel::Feed, Content::Alert { report, .. }) = (&subscription.channel, content) {
            let result = self.feeds.add(subscription, report, *series, now);
            let failed = |error| SendError::Later { why: format!("{error:#}"), after: None };
            return self.settle(&outcome(result.map_err(failed)), now);
        }
        let unsent = outcome(Ok(()));
        let thread = std::thread::Builder::new().name(format!("notify {}", subscription.name));
        let (transport, sender) =
            (Arc::clone(&self.session.equipment.transport), self.outcomes.0.clone());
        let spawned = thread.spawn(move || {
            let result = transport.send(&delivery, now);
            let Delivery { subscription, to, .. } = delivery;
            // After the end of the role nobody receives it.
            let _ = sender.send(Outcome { subscription, to, result });
        });
        match spawned {
            Ok(_) => Ok(()),
            Err(error) => {
                let result = Err(SendError::Later { why: error.to_string(), after: None });
                self.settle(&Outcome { result, ..unsent }, now)
            }
        }
    }

    fn settle(&mut self, outcome: &Outcome, now: Micros) -> anyhow::Result<()> {
        let Outcome { subscription, to, result } = outcome;
        let name = &subscription.name;
        self.session.equipment.deliveries.count(subscription.channel.name(), result);
        match result {
            Ok(()) => {}
            Err(SendError::Refused { code, why }) => tracing::warn!(
                subscription = name,
                recipient = to,
                code,
                why,
                "a recipient was refused, for this message for good"
            ),
            Err(error) => {
                tracing::warn!(subscription = name, recipient = to, %error, "a message didn't go \
                    out")
            }
        }
        let mut random = [0; 2];
        // Without randomness all wait equally long.
        let _ = getrandom::fill(&mut random);
        let jitter = f64::from(u16::from_le_bytes(random)) / f64::from(u16::MAX);
        let given_up = self.dispatch.settle(name, result, self.desk.fold(), now, jitter);
        if let Some(alert) = given_up {
            tracing::error!(subscription = name, alert, "a message was given up");
        }
        self.store_changes()
    }

    /// Counts waiting messages, for metrics.
    fn count_waiting(&mut self, now: Micros) {
        if self.counted.is_some_and(|at| at.elapsed() < COUNT_EVERY) {
            return;
        }
        self.counted = Some(Instant::now());
        let deliveries = &self.session.equipment.deliveries;
        deliveries.set_waiting(&self.dispatch.count_waiting(now), self.dispatch.troubles());
        deliveries.show(&self.session.equipment.metrics, now);
    }
}
