//! Stored delivery state: what the compacted stream `state` holds of each subscription, under
//! `notify/`.
//!
//! The notifier writes it after each step and reads it at its start; page and terminal read it to
//! show deliveries. It decides nothing.

use journal::{Journal, Stream};
use notify::dispatch::head::Refusal;
use notify::dispatch::{Change, Head, Item};
use notify::plan::Planned;
use record::Position;
use web::{AlertDelivery, Delivery, DeliveryState, RecipientRefused};

use crate::config::Config;
use crate::runtime::{get_json, put, retry};

const PREFIX: &str = "notify/";

fn head_key(subscription: &str) -> String {
    format!("{PREFIX}head/{subscription}")
}

fn item_key(subscription: &str, alert: &str) -> String {
    format!("{PREFIX}item/{subscription}/{alert}")
}

/// Where the stream of alerts ended when a subscription of a file was new.
fn since_key(subscription: &str) -> String {
    format!("{PREFIX}since/{subscription}")
}

/// Entries of a feed.
pub(super) fn feed_key(subscription: &str) -> String {
    format!("{PREFIX}feed/{subscription}")
}

/// Notes where the stream of alerts ends for subscriptions of files that are new: they receive all
/// later alerts, however this start goes on. To be called before any role writes.
pub(crate) fn note_new(journal: &dyn Journal, config: &Config) -> anyhow::Result<()> {
    let mut end = None;
    for subscription in &config.notify.subscriptions {
        let (head, since) = (head_key(&subscription.name), since_key(&subscription.name));
        if retry(|| journal.get(Stream::State, &head))?.is_some()
            || retry(|| journal.get(Stream::State, &since))?.is_some()
        {
            continue;
        }
        let end = match end {
            Some(end) => end,
            None => *end.insert(alerts_end(journal)?),
        };
        put(journal, Stream::State, since, Some(end.to_string().into_bytes()))?;
    }
    Ok(())
}

/// Where the stream of alerts ends now: a subscription made now receives later alerts.
pub(crate) fn alerts_end(journal: &dyn Journal) -> anyhow::Result<Position> {
    Ok(retry(|| journal.extent(Stream::Alerts, 0))?.end)
}

/// What [`note_new`] has noted.
pub(super) fn noted_start(
    journal: &dyn Journal,
    subscription: &str,
) -> anyhow::Result<Option<Position>> {
    let noted = retry(|| journal.get(Stream::State, &since_key(subscription)))?;
    Ok(noted.and_then(|bytes| String::from_utf8(bytes).ok()?.parse().ok()))
}

pub(super) fn delete_start(journal: &dyn Journal, subscription: &str) -> anyhow::Result<()> {
    put(journal, Stream::State, since_key(subscription), None)
}

/// The stored state of a subscription; none of a new one.
pub(super) fn read_state(
    journal: &dyn Journal,
    subscription: &str,
) -> anyhow::Result<Option<(Head, Vec<Item>)>> {
    match get_json(journal, Stream::State, &head_key(subscription))? {
        Some(head) => Ok(Some((head, read_items(journal, subscription)?))),
        None => Ok(None),
    }
}

fn read_items(journal: &dyn Journal, subscription: &str) -> anyhow::Result<Vec<Item>> {
    let keys = retry(|| journal.keys(Stream::State, &item_key(subscription, "")))?;
    keys.iter().filter_map(|key| get_json(journal, Stream::State, key).transpose()).collect()
}

pub(super) fn write_change(
    journal: &dyn Journal,
    subscription: &str,
    change: &Change,
) -> anyhow::Result<()> {
    let (key, value) = match change {
        Change::Head(head) => (head_key(subscription), Some(serde_json::to_vec(head)?)),
        Change::Item(item) => {
            (item_key(subscription, &item.alert), Some(serde_json::to_vec(item)?))
        }
        Change::Finished(alert) => (item_key(subscription, alert), None),
    };
    put(journal, Stream::State, key, value)
}

/// Deletes the state of a subscription: a later one of this name starts without it.
pub(super) fn delete_state(journal: &dyn Journal, subscription: &str) -> anyhow::Result<()> {
    let mut keys = retry(|| journal.keys(Stream::State, &item_key(subscription, "")))?;
    keys.extend([head_key(subscription), feed_key(subscription)]);
    keys.into_iter().try_for_each(|key| put(journal, Stream::State, key, None))
}

/// What a subscription receives of alerts, by alert.
pub(crate) fn alert_deliveries(
    journal: &dyn Journal,
    subscription: &str,
) -> anyhow::Result<Vec<AlertDelivery>> {
    let items = read_items(journal, subscription)?.into_iter();
    let deliveries = items.map(|item| {
        let (state, at) = match (item.sent.filter(|_| !item.given_up), item.planned) {
            (Some(sent), _) => (DeliveryState::Sent, sent.first_at),
            (None, Planned::AtOnce { from: at } | Planned::Digest { at }) if item.given_up => {
                (DeliveryState::GivenUp, at)
            }
            (None, Planned::AtOnce { from }) => (DeliveryState::AtOnce, from),
            (None, Planned::Digest { at }) => (DeliveryState::Digest, at),
        };
        AlertDelivery { alert: item.alert, state, at }
    });
    Ok(deliveries.collect())
}

/// Refused recipients of a subscription, and why its channel fails.
pub(crate) fn delivery(journal: &dyn Journal, subscription: &str) -> anyhow::Result<Delivery> {
    let Some(head) = get_json::<Head>(journal, Stream::State, &head_key(subscription))? else {
        return Ok(Delivery::default());
    };
    let refused = head.refused.into_iter().map(|(address, refusal)| {
        let Refusal { code, why, at } = refusal;
        RecipientRefused { address, code, why, at }
    });
    Ok(Delivery {
        refused: refused.collect(),
        failing: head.failing.map(|failing| (failing.why, failing.since)),
    })
}
