//! Subscriptions: those of files, and those that officials edit in the web UI.
//!
//! A subscription of the web UI is stored in the compacted stream `state` under a key of its own,
//! in the form of a file; the notifier reloads them every few seconds, without a restart.
//! A name belongs to one subscription; files take precedence. What is delivered is decided
//! elsewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use journal::{Journal, Stream};
use notify::{Channel, Subscription, subscription};
use record::{Micros, Position};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use web::{
    StoredSubscription, SubscriptionAnswer, SubscriptionRefused, SubscriptionRequest,
    SubscriptionWish,
};

use super::notifier::channels::Channels;
use super::notifier::store;
use crate::config::Config;
use crate::runtime::requests::Answering;
use crate::runtime::{Role, get_json, put, retry};

/// Requests in the queue; further ones wait to enter it.
pub(crate) const QUEUE: usize = 16;
/// The longest time between two turns.
const TURN_EVERY: Duration = Duration::from_secs(60);
const PREFIX: &str = "subscription/";

/// A stored subscription of the page.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Stored {
    /// From 1, one more with each change.
    revision: u32,
    by: String,
    at: Micros,
    /// Where the stream of alerts ended when it was made: it receives later alerts.
    #[serde(default)]
    since: Option<Position>,
    subscription: Value,
}

impl Stored {
    pub(super) fn since(&self) -> Option<Position> {
        self.since
    }
}

/// Subscriptions of the page, by name.
pub(crate) type Pages = BTreeMap<String, Stored>;

/// Valid subscriptions of the page, without those whose name a file has.
pub(crate) fn of_page(pages: &Pages, of_files: &[Subscription]) -> Vec<Subscription> {
    let mut found = Vec::new();
    for (name, stored) in pages {
        match subscription::of_page(stored.subscription.clone()) {
            Ok(subscription) if of_files.iter().all(|other| other.name != subscription.name) => {
                found.push(subscription)
            }
            Ok(_) => {}
            // One of another release must not disable the others.
            Err(why) => tracing::warn!(
                subscription = name,
                why = why.join("; "),
                "a subscription of the page can't be read"
            ),
        }
    }
    found
}

pub(crate) fn stored(journal: &dyn Journal) -> anyhow::Result<Pages> {
    let mut found = Pages::new();
    for key in retry(|| journal.keys(Stream::State, PREFIX))? {
        let Some(stored) = get_json(journal, Stream::State, &key)? else { continue };
        found.insert(key[PREFIX.len()..].to_owned(), stored);
    }
    Ok(found)
}

/// Of files and of the page.
pub(crate) fn names(journal: &dyn Journal, config: &Config) -> anyhow::Result<BTreeSet<String>> {
    let of_files = config.notify.subscriptions.iter().map(|subscription| subscription.name.clone());
    Ok(stored(journal)?.into_keys().chain(of_files).collect())
}

/// A subscription of a file or of the page.
pub(crate) fn find(
    journal: Option<&dyn Journal>,
    config: &Config,
    name: &str,
) -> anyhow::Result<Option<Subscription>> {
    let of_files = &config.notify.subscriptions;
    if let Some(found) = of_files.iter().find(|subscription| subscription.name == name) {
        return Ok(Some(found.clone()));
    }
    let Some(journal) = journal else { return Ok(None) };
    let of_page = of_page(&stored(journal)?, of_files);
    Ok(of_page.into_iter().find(|subscription| subscription.name == name))
}

/// The role that answers requests.
pub(crate) fn role<'a>(
    journal: &'a dyn Journal,
    config: &'a Config,
    clock: fn() -> Micros,
    io: tokio::runtime::Handle,
    requests: tokio::sync::mpsc::Receiver<SubscriptionRequest>,
) -> impl Role + 'a {
    let book = Book { journal, config, clock };
    let answer = move |request: Option<SubscriptionRequest>| {
        let Some(SubscriptionRequest { wish, actor, answer }) = request else { return };
        match wish {
            SubscriptionWish::Test { name } => test(&book, name, &actor, answer),
            // The requester may be gone; what was written remains.
            wish => _ = answer.send(book.answer(wish, &actor)),
        }
    };
    Answering { io, requests, every: TURN_EVERY, answer }
}

/// Sends a test on a thread of its own: a mail server that doesn't answer delays no other request.
fn test(
    book: &Book<'_>,
    name: String,
    actor: &str,
    answer: tokio::sync::oneshot::Sender<Result<SubscriptionAnswer, SubscriptionRefused>>,
) {
    let failed = |error: anyhow::Error| SubscriptionRefused::Failed(format!("{error:#}"));
    let ready = find(Some(book.journal), book.config, &name).and_then(|found| {
        let channels = Channels::of(book.config, false)?;
        Ok(found.map(|subscription| (channels, subscription)))
    });
    let ready = ready.map_err(failed).and_then(|ready| ready.ok_or(SubscriptionRefused::Unknown));
    let (channels, subscription) = match ready {
        Ok(ready) => ready,
        Err(refused) => {
            // The requester may be gone.
            let _ = answer.send(Err(refused));
            return;
        }
    };
    tracing::info!(subscription = name, by = actor, "a test of a subscription was requested");
    let now = (book.clock)();
    let send = move || {
        let tested = channels.test(&subscription, now);
        let _ = answer.send(Ok(SubscriptionAnswer { tested, ..SubscriptionAnswer::default() }));
    };
    if let Err(error) = std::thread::Builder::new().name(format!("test {name}")).spawn(send) {
        tracing::warn!(%error, "no thread for a test");
    }
}

struct Book<'a> {
    journal: &'a dyn Journal,
    config: &'a Config,
    clock: fn() -> Micros,
}

impl Book<'_> {
    fn answer(
        &self,
        wish: SubscriptionWish,
        actor: &str,
    ) -> Result<SubscriptionAnswer, SubscriptionRefused> {
        let failed = |error: anyhow::Error| SubscriptionRefused::Failed(format!("{error:#}"));
        let known = stored(self.journal).map_err(failed)?;
        match wish {
            SubscriptionWish::List | SubscriptionWish::Test { .. } => {}
            SubscriptionWish::Set { name, after, subscription } => {
                let subscription = self.checked(&name, subscription, &known)?;
                let revision = known.get(&name).map_or(0, |stored| stored.revision);
                if revision != after {
                    return Err(SubscriptionRefused::Stale);
                }
                let since = match known.get(&name) {
                    Some(stored) => stored.since,
                    None => Some(store::alerts_end(self.journal).map_err(failed)?),
                };
                let (by, at) = (actor.to_owned(), (self.clock)());
                let stored = Stored {
                    revision: revision + 1,
                    by,
                    at,
                    since,
                    subscription: subscription.written(),
                };
                self.put(&name, Some(&stored)).map_err(failed)?;
                tracing::info!(
                    subscription = name,
                    by = actor,
                    revision = stored.revision,
                    "a subscription was written on the page"
                );
            }
            SubscriptionWish::Remove { name, after } => {
                let stored = known.get(&name).ok_or(SubscriptionRefused::Unknown)?;
                if stored.revision != after {
                    return Err(SubscriptionRefused::Stale);
                }
                self.put(&name, None).map_err(failed)?;
                tracing::info!(
                    subscription = name,
                    by = actor,
                    "a subscription was taken away on the page"
                );
            }
        }
        Ok(SubscriptionAnswer {
            subscriptions: self.all().map_err(failed)?,
            ..SubscriptionAnswer::default()
        })
    }

    fn put(&self, name: &str, stored: Option<&Stored>) -> anyhow::Result<()> {
        let value = stored.map(serde_json::to_vec).transpose()?;
        put(self.journal, Stream::State, format!("{PREFIX}{name}"), value)
    }

    fn all(&self) -> anyhow::Result<Vec<StoredSubscription>> {
        let of_page = stored(self.journal)?.into_iter().map(|(name, stored)| {
            let Stored { revision, by, at, subscription, .. } = stored;
            let at = Some(at);
            StoredSubscription { name, revision, by, at, subscription, ..Default::default() }
        });
        let of_files =
            self.config.notify.subscriptions.iter().map(|subscription| StoredSubscription {
                name: subscription.name.clone(),
                of_file: true,
                subscription: subscription.written(),
                ..Default::default()
            });
        // Files come last: they take precedence where both have a name.
        let all: BTreeMap<String, StoredSubscription> =
            of_page.chain(of_files).map(|stored| (stored.name.clone(), stored)).collect();
        let found = all.into_values().map(|stored| {
            let alerts = store::alert_deliveries(self.journal, &stored.name)?;
            let delivery = store::delivery(self.journal, &stored.name)?;
            Ok(StoredSubscription { alerts, delivery, ..stored })
        });
        found.collect()
    }

    /// Checks a subscription by the rules of a file, and that its topics and regions exist.
    fn checked(
        &self,
        name: &str,
        mut json: Value,
        known: &Pages,
    ) -> Result<Subscription, SubscriptionRefused> {
        if let Some(fields) = json.as_object_mut() {
            fields.insert("name".to_owned(), Value::from(name));
        }
        let subscription = subscription::of_page(json)
            .map_err(|mistakes| SubscriptionRefused::Invalid(mistakes.join("; ")))?;
        let notify = &self.config.notify;
        let mut mistakes = Vec::new();
        if notify.subscriptions.iter().any(|other| other.name == name) {
            mistakes.push(format!("`{name}` stands in a file, and is changed there"));
        }
        if !known.contains_key(name)
            && known.len() + notify.subscriptions.len() >= subscription::SUBSCRIPTIONS_MAX
        {
            mistakes.push(format!(
                "there are {} subscriptions, no more are taken",
                subscription::SUBSCRIPTIONS_MAX
            ));
        }
        if matches!(subscription.channel, Channel::Mail { .. }) && notify.mail.is_none() {
            mistakes.push(
                "there is no mail server; whoever runs this names one in `[notify.mail]`"
                    .to_owned(),
            );
        }
        let topics = self.config.topics.lexicon.topics();
        for topic in subscription
            .topics
            .union(&subscription.always)
            .filter(|id| topics.iter().all(|topic| topic.id != **id))
        {
            mistakes.push(format!("no topic `{topic}`"));
        }
        let regions = subscription.regions.iter();
        mistakes.extend(
            regions
                .filter(|region| !self.config.places.is_region(region))
                .map(|region| format!("no region `{region}`")),
        );
        if mistakes.is_empty() {
            Ok(subscription)
        } else {
            Err(SubscriptionRefused::Invalid(mistakes.join("; ")))
        }
    }
}

#[cfg(test)]
mod tests;
