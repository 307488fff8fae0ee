//! What stands in the log beside posts: settings, and that it has ended.
//!
//! Settings are appended to every partition of `posts` and to `tallies`. A copy in `feeds` says what the log holds; it is written
//! before they are appended and once more after, so that a kill in between is mended at the next start.

use anyhow::{anyhow, bail};
use journal::{Entry, Journal, Stream};
use record::time::{HOUR, pane_border};
use record::{Micros, Record, Settings};

use crate::drive::again;

const SETTINGS: &str = "settings";
const SETTINGS_APPENDED: &str = "settings-appended";
const STATE: &str = "log";

/// Where the log stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogState {
    Open,
    /// `End` is being or has been appended; stages may not have read it yet.
    Ended,
    /// Everything has landed; the next start makes a new generation.
    Drained,
}

pub(crate) fn state(journal: &dyn Journal) -> anyhow::Result<LogState> {
    Ok(match again(|| journal.get(Stream::Feeds, STATE))?.as_deref() {
        Some(b"ended") => LogState::Ended,
        Some(b"drained") => LogState::Drained,
        _ => LogState::Open,
    })
}

/// Ends the log. After a kill in the middle the next start calls it again: an end that stands twice ends no more than once.
pub(crate) fn end(journal: &dyn Journal) -> anyhow::Result<()> {
    set_state(journal, b"ended")?;
    let entries: Vec<Entry> =
        (0..journal.partitions(Stream::Posts)).map(|partition| Entry { partition, bytes: Record::End.encode() }).collect();
    again(|| journal.append(Stream::Posts, &entries))?;
    Ok(())
}

pub(crate) fn set_drained(journal: &dyn Journal) -> anyhow::Result<()> {
    set_state(journal, b"drained")
}

fn set_state(journal: &dyn Journal, state: &[u8]) -> anyhow::Result<()> {
    again(|| journal.put(Stream::Feeds, &[(STATE.to_owned(), Some(state.to_vec()))]))?;
    Ok(())
}

/// Brings the log's settings up to what the configuration says, from the next pane on. `reached` is the furthest arrival in the log.
pub(crate) fn settle(journal: &dyn Journal, configured: &Settings, reached: Option<Micros>) -> anyhow::Result<Settings> {
    let held = match again(|| journal.get(Stream::Feeds, SETTINGS))? {
        Some(bytes) => match Record::decode(&bytes)? {
            Record::Settings(settings) => Some(settings),
            other => bail!("the log's settings are a {} record", other.kind()),
        },
        None => None,
    };
    if let Some(held) = held {
        if held.key_fingerprints != configured.key_fingerprints {
            return Err(anyhow!(
                "the pseudonym keys are not those that the log was begun with\nhint: put the key files back, or begin with an empty data folder"
            ));
        }
        let appended = again(|| journal.get(Stream::Feeds, SETTINGS_APPENDED))?;
        if appended.as_deref() != Some(held.number.to_string().as_bytes()) {
            append(journal, &held)?;
        }
        if held.same_meaning(configured) {
            return Ok(held);
        }
        let from = reached.map_or(held.from, |reached| pane_border(reached, HOUR).max(held.from));
        return begin(journal, Settings { number: held.number + 1, generation: held.generation, from, ..configured.clone() });
    }
    let generation = journal.generation();
    begin(journal, Settings { number: 1, generation, from: record::time::EARLIEST, ..configured.clone() })
}

fn begin(journal: &dyn Journal, settings: Settings) -> anyhow::Result<Settings> {
    let record = Record::Settings(settings.clone()).encode();
    again(|| journal.put(Stream::Feeds, &[(SETTINGS.to_owned(), Some(record.clone()))]))?;
    append(journal, &settings)?;
    Ok(settings)
}

fn append(journal: &dyn Journal, settings: &Settings) -> anyhow::Result<()> {
    let bytes = Record::Settings(settings.clone()).encode();
    // Watch must know them before the first frame that was counted by them.
    again(|| journal.append(Stream::Tallies, &[Entry { partition: 0, bytes: bytes.clone() }]))?;
    let entries: Vec<Entry> = (0..journal.partitions(Stream::Posts)).map(|partition| Entry { partition, bytes: bytes.clone() }).collect();
    again(|| journal.append(Stream::Posts, &entries))?;
    let number = settings.number.to_string().into_bytes();
    again(|| journal.put(Stream::Feeds, &[(SETTINGS_APPENDED.to_owned(), Some(number.clone()))]))?;
    Ok(())
}
