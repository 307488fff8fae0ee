//! What the stream `feeds` holds of each feed: the claim of its owner, where it goes on, and whether
//! it has been read to its end.

use journal::{Journal, Stream};
use record::Micros;
use serde::{Deserialize, Serialize};

use crate::runtime::{get_json, put, retry};

/// Where a feed goes on, and how far it has spoken for.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Place {
    pub(super) cursor: Option<String>,
    pub(super) reached: Option<Micros>,
}

/// A key for each epoch: an earlier owner never overwrites where a later one stands.
fn place_key(feed: &str, epoch: u64) -> String {
    format!("cursor/{feed}/{epoch:020}")
}

/// That a feed has been read to its end, and its last tick appended.
fn read_key(feed: &str) -> String {
    format!("read/{feed}")
}

/// That a feed can't be read to its end, and why.
fn failed_key(feed: &str) -> String {
    format!("failed/{feed}")
}

/// Claims a feed; returns the epoch, which is the position of the claim, and the place of the last
/// owner.
pub(super) fn claim(journal: &dyn Journal, feed: &str) -> anyhow::Result<(u64, Place)> {
    let claim = (format!("claim/{feed}"), Some(std::process::id().to_string().into_bytes()));
    // What an earlier owner has read to the end is looked at again.
    let claim = [claim, (read_key(feed), None), (failed_key(feed), None)];
    let epoch = retry(|| journal.put(Stream::Feeds, &claim))?.first().copied().unwrap_or(0);
    let (place, _) = last_place(journal, feed)?;
    // Ours from now on, before our first tick: what an earlier owner ticks after it is ignored,
    // and so must be where that one stands.
    let place = place.unwrap_or_default();
    store_places(journal, &[(feed, epoch, place.clone())])?;
    Ok((epoch, place))
}

/// Stores the places of feeds under the epochs of their owners.
pub(super) fn store_places(
    journal: &dyn Journal,
    places: &[(&str, u64, Place)],
) -> anyhow::Result<()> {
    let entries = places
        .iter()
        .map(|(feed, epoch, place)| Ok((place_key(feed, *epoch), Some(serde_json::to_vec(place)?))))
        .collect::<anyhow::Result<Vec<_>>>()?;
    retry(|| journal.put(Stream::Feeds, &entries)).map(|_| ())
}

/// Deletes the places of all owners but the latest: they are of no use once that one has stored
/// its own.
pub(super) fn delete_earlier_places(journal: &dyn Journal, feed: &str) -> anyhow::Result<()> {
    let (_, earlier) = last_place(journal, feed)?;
    let deletions: Vec<(String, Option<Vec<u8>>)> =
        earlier.into_iter().map(|key| (key, None)).collect();
    if !deletions.is_empty() {
        retry(|| journal.put(Stream::Feeds, &deletions))?;
    }
    Ok(())
}

/// The place of the latest owner, and the keys of all before it.
fn last_place(journal: &dyn Journal, feed: &str) -> anyhow::Result<(Option<Place>, Vec<String>)> {
    let mut keys = retry(|| journal.keys(Stream::Feeds, &format!("cursor/{feed}/")))?;
    let last = keys.pop();
    let place = last.map(|key| get_json(journal, Stream::Feeds, &key)).transpose()?.flatten();
    Ok((place, keys))
}

fn places(journal: &dyn Journal) -> anyhow::Result<Vec<Place>> {
    let keys = retry(|| journal.keys(Stream::Feeds, "cursor/"))?;
    keys.iter().filter_map(|key| get_json(journal, Stream::Feeds, key).transpose()).collect()
}

/// The furthest arrival that any feed has spoken for.
pub(crate) fn furthest(journal: &dyn Journal) -> anyhow::Result<Option<Micros>> {
    Ok(places(journal)?.into_iter().filter_map(|place| place.reached).max())
}

/// The least arrival that a feed has come to.
pub(super) fn least(journal: &dyn Journal) -> anyhow::Result<Option<Micros>> {
    Ok(places(journal)?.into_iter().filter_map(|place| place.reached).min())
}

pub(super) fn set_read(journal: &dyn Journal, feed: &str, epoch: u64) -> anyhow::Result<()> {
    put(journal, Stream::Feeds, read_key(feed), Some(epoch.to_string().into_bytes()))
}

pub(super) fn set_failed(journal: &dyn Journal, feed: &str, why: &str) -> anyhow::Result<()> {
    put(journal, Stream::Feeds, failed_key(feed), Some(why.as_bytes().to_vec()))
}

/// Why a feed was not read to its end.
pub(super) fn why_failed(journal: &dyn Journal, feed: &str) -> anyhow::Result<String> {
    let why = retry(|| journal.get(Stream::Feeds, &failed_key(feed)))?.unwrap_or_default();
    Ok(String::from_utf8_lossy(&why).into_owned())
}

/// The feeds that have been read to their end, by any owner, and those that have failed.
pub(super) struct Ends {
    read: Vec<String>,
    failed: Vec<String>,
}

impl Ends {
    pub(super) fn read(journal: &dyn Journal) -> anyhow::Result<Ends> {
        Ok(Ends {
            read: retry(|| journal.keys(Stream::Feeds, "read/"))?,
            failed: retry(|| journal.keys(Stream::Feeds, "failed/"))?,
        })
    }

    pub(super) fn is_read(&self, feed: &str) -> bool {
        self.read.contains(&read_key(feed))
    }

    pub(super) fn has_failed(&self, feed: &str) -> bool {
        self.failed.contains(&failed_key(feed))
    }
}
