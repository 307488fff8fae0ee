//! Notice of an outage, sent to subscriptions with a heartbeat when a failure ends the process.
//!
//! The last act of the process, independent of what may have failed: it writes nothing to the
//! journal, and where subscriptions of the page can't be read, those of files are notified.

use std::fs::File;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use journal::Journal;
use notify::{Audience, Channel, SendError, Subscription, dispatch, message};
use record::Micros;

use super::Equipment;
use crate::roles::health::condition;
use crate::roles::subscribers;
use crate::runtime::reader::disk_is_full;

/// A file in the data folder that says when the last notice was sent.
const MARK: &str = "outage-notice";
/// A process that fails at each start sends one notice in so long.
const REPEAT_AFTER: Duration = Duration::from_secs(6 * 3600);

/// Sends the cause to each subscription with a heartbeat, all at once.
pub(crate) fn report(journal: &dyn Journal, equipment: &Equipment, cause: &str) {
    let subscriptions = with_heartbeat(journal, equipment);
    if subscriptions.is_empty() {
        return;
    }
    let mark = equipment.data.join(MARK);
    if was_sent_lately(&mark) {
        tracing::warn!(file = %mark.display(), "notice of the outage not sent again: the last one \
            is less than 6 h old");
        return;
    }
    let now = (equipment.clock)();
    let was_sent = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for subscription in &subscriptions {
            let was_sent = &was_sent;
            scope.spawn(move || match send(equipment, subscription, cause, now) {
                Ok(()) => {
                    was_sent.store(true, Ordering::Relaxed);
                    tracing::info!(subscription = subscription.name, "notice of the outage sent");
                }
                Err(error) => {
                    tracing::error!(subscription = subscription.name, %error, "notice of \
                    the outage not sent")
                }
            });
        }
    });
    if !was_sent.into_inner() {
        return;
    }
    // Where not even an empty file can be made, the next start sends the notice again.
    if let Err(error) = File::create(&mark) {
        tracing::warn!(%error, file = %mark.display(), "failed to note that the notice was sent");
    }
}

/// After an hour without a failure the next one is reported at once.
pub(crate) fn forget(equipment: &Equipment) {
    // There may be none.
    let _ = std::fs::remove_file(equipment.data.join(MARK));
}

fn was_sent_lately(mark: &std::path::Path) -> bool {
    let sent = std::fs::metadata(mark).and_then(|metadata| metadata.modified());
    sent.is_ok_and(|sent| {
        SystemTime::now().duration_since(sent).is_ok_and(|age| age < REPEAT_AFTER)
    })
}

fn with_heartbeat(journal: &dyn Journal, equipment: &Equipment) -> Vec<Subscription> {
    let of_files = &equipment.notify.subscriptions;
    let of_page = match subscribers::stored(journal) {
        Ok(pages) => subscribers::of_page(&pages, of_files),
        Err(error) => {
            tracing::error!(
                error = format!("{error:#}"),
                "subscriptions of the page can't be read and get no notice of the outage"
            );
            Vec::new()
        }
    };
    of_files
        .iter()
        .cloned()
        .chain(of_page)
        .filter(|subscription| subscription.heartbeat && has_notices(subscription))
        .collect()
}

/// Feeds and Alertmanager have no place for a message that is no alert.
fn has_notices(subscription: &Subscription) -> bool {
    !matches!(subscription.channel, Channel::Feed | Channel::Alertmanager { .. })
}

/// To every recipient: a refusal of one is returned, and delays no other.
fn send(
    equipment: &Equipment,
    subscription: &Subscription,
    cause: &str,
    now: Micros,
) -> Result<(), SendError> {
    let condition = match disk_is_full() {
        true => condition::DISK_FULL.to_owned(),
        // A cause begins with the role.
        false => {
            format!("{} {}", condition::ROLE_ENDED, cause.split(' ').next().unwrap_or_default())
        }
    };
    // An error may name files and addresses.
    let error = (subscription.audience == Audience::Official).then_some(cause);
    let id = format!("{}-outage-{}", subscription.name, now.div_euclid(1_000_000));
    let frame = equipment.transport.channels.frame(subscription);
    let message = message::outage(
        &condition,
        error,
        &id,
        subscription.language,
        &subscription.zone,
        now,
        &frame,
    );
    let mut result = Ok(());
    let channels = &equipment.transport.channels;
    for recipient in dispatch::recipients(subscription, now) {
        result = result.and(channels.send(subscription, &recipient, &message, now));
    }
    result
}
