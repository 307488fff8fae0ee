//! Feeds: the files of subscriptions by channel `feed`, Atom with a CAP message for each revision.
//!
//! Entries are stored in the stream `state`; the files are written from them, so that a kill in
//! between is repaired by the next message.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Context;
use journal::{Journal, Stream};
use notify::channel::cap;
use notify::dispatch::Report;
use notify::{Audience, Channel, Subscription};
use record::{AlertState, Micros};

use super::{Equipment, store};
use crate::config::Config;
use crate::runtime::{get_json, put};
use crate::whole;

/// Files that couldn't be written are written again after this long.
const RETRY_AFTER: Duration = Duration::from_secs(30);
/// Entries of a feed.
const ENTRIES_MAX: usize = 100;

/// The folder of the files.
pub(crate) fn feeds(config: &Config) -> PathBuf {
    config.journal.data.join("feeds")
}

pub(super) struct Feeds<'a> {
    journal: &'a dyn Journal,
    equipment: &'a Equipment,
    /// Feeds that couldn't be written, and when that was last tried.
    unwritten: BTreeMap<String, Instant>,
}

impl<'a> Feeds<'a> {
    pub(super) fn new(journal: &'a dyn Journal, equipment: &'a Equipment) -> Feeds<'a> {
        Feeds { journal, equipment, unwritten: BTreeMap::new() }
    }

    /// Writes the file of a feed, also while nothing was sent: its readers find an empty feed.
    pub(super) fn publish(&mut self, subscription: &Subscription, now: Micros) {
        if subscription.channel != Channel::Feed {
            return;
        }
        match self.write(subscription, now) {
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

    pub(super) fn is_retry_due(&self, name: &str) -> bool {
        self.unwritten.get(name).is_some_and(|tried| tried.elapsed() >= RETRY_AFTER)
    }

    fn sender(&self, subscription: &Subscription) -> cap::Sender {
        let notify = &self.equipment.notify;
        cap::Sender {
            sender: notify.cap.sender.clone(),
            status: if self.equipment.simulated { cap::Status::Test } else { notify.cap.status },
            audience: subscription.audience,
            page: notify.page.clone(),
        }
    }

    /// Stored entries for the audience; entries from before its audience was changed are left out.
    fn entries(&self, subscription: &Subscription) -> anyhow::Result<Vec<cap::Sent>> {
        let mut sent = self.stored(&subscription.name)?;
        sent.retain(|sent| {
            cap::is_public(&sent.xml) == (subscription.audience == Audience::Public)
        });
        Ok(sent)
    }

    fn stored(&self, name: &str) -> anyhow::Result<Vec<cap::Sent>> {
        Ok(get_json(self.journal, Stream::State, &store::feed_key(name))?.unwrap_or_default())
    }

    fn write(&self, subscription: &Subscription, now: Micros) -> anyhow::Result<()> {
        let sent = self.entries(subscription)?;
        let atom = cap::atom(&subscription.name, &self.sender(subscription), &sent, now);
        self.write_file(atom_file(&subscription.name), &atom)
    }

    fn write_file(&self, name: String, text: &str) -> anyhow::Result<()> {
        let file = self.equipment.feeds.join(name);
        whole::write(&file, text.as_bytes(), whole::PLAIN)
            .with_context(|| format!("failed to write `{}`", file.display()))
    }

    /// Adds an alert to a feed and writes its files. A revision with the text of the last one adds
    /// nothing.
    pub(super) fn add(
        &self,
        subscription: &Subscription,
        report: &Report,
        series: u32,
        now: Micros,
    ) -> anyhow::Result<()> {
        let (name, alert) = (&subscription.name, &report.alert);
        let sender = self.sender(subscription);
        let mut sent = self.entries(subscription)?;
        if !sent.iter().any(|sent| sent.alert == alert.id && sent.revision == alert.revision) {
            let before: Vec<cap::Sent> =
                sent.iter().filter(|sent| sent.alert == alert.id).cloned().collect();
            let places = &self.equipment.transport.places;
            let zone = &subscription.zone;
            let message =
                cap::message(alert, report.rise, &before, &sender, zone, places, series, now);
            let is_news = alert.state != AlertState::Open
                || before.last().is_none_or(|last| last.summary != message.summary);
            if is_news {
                sent.push(message);
                let surplus = sent.len().saturating_sub(ENTRIES_MAX);
                sent.drain(..surplus);
                let value = serde_json::to_vec(&sent)?;
                put(self.journal, Stream::State, store::feed_key(name), Some(value))?;
            }
        }
        for message in sent.iter().filter(|message| message.alert == alert.id) {
            self.write_file(cap_file(name, message), &message.xml)?;
        }
        self.write_file(atom_file(name), &cap::atom(name, &sender, &sent, now))
    }

    /// Deletes the files of a feed; its entries stay stored.
    pub(super) fn delete_files(&self, name: &str) -> anyhow::Result<()> {
        let sent = self.stored(name)?;
        let messages = sent.iter().map(|sent| cap_file(name, sent));
        for file in messages.chain([atom_file(name)]) {
            let path = self.equipment.feeds.join(file);
            if let Err(error) = std::fs::remove_file(&path)
                && error.kind() != std::io::ErrorKind::NotFound
            {
                tracing::warn!(%error, file = %path.display(), "failed to delete a file of a feed");
            }
        }
        Ok(())
    }
}

fn atom_file(subscription: &str) -> String {
    format!("{subscription}.atom")
}

fn cap_file(subscription: &str, sent: &cap::Sent) -> String {
    format!("{subscription}-{}-{}.cap.xml", sent.alert, sent.revision)
}
