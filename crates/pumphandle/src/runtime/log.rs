//! What stands in the log beside posts: settings, and that it has ended.
//!
//! Settings are appended to every partition of `posts` and to `tallies`. A copy in `feeds` says
//! what the log holds; it is written before they are appended and once more after, so that a kill
//! in between is mended at the next start.

use std::collections::BTreeSet;

use anyhow::{Context, anyhow, bail};
use journal::{Entry, Journal, Stream};
use record::time::{HOUR, pane_border};
use record::{Micros, Position, Record, Settings};

use super::{put, retry};

const SETTINGS: &str = "settings";
const SETTINGS_APPENDED: &str = "settings-appended";
const STATE: &str = "log";
/// Up to where `counts` and `alerts` hold everything that was judged.
const JUDGED: &str = "log-judged";
/// Of a changed set of names so many are logged.
const NAMES_LOGGED_MAX: usize = 20;

/// Where the log stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum LogState {
    Open,
    /// `End` is being or has been appended; stages may not have read it yet.
    Ended,
    /// Watch has judged everything and noted it; it may not have landed yet.
    Judged,
    /// Everything has landed; the next start makes a new generation.
    Drained,
}

pub(crate) fn state(journal: &dyn Journal) -> anyhow::Result<LogState> {
    Ok(match retry(|| journal.get(Stream::Feeds, STATE))?.as_deref() {
        Some(b"ended") => LogState::Ended,
        Some(b"judged") => LogState::Judged,
        Some(b"drained") => LogState::Drained,
        _ => LogState::Open,
    })
}

/// Ends the log. After a kill in the middle the next start calls it again: an end that stands twice
/// ends no more than once.
pub(crate) fn end(journal: &dyn Journal) -> anyhow::Result<()> {
    set_state(journal, b"ended")?;
    let entries: Vec<Entry> = (0..journal.partitions(Stream::Posts))
        .map(|partition| Entry { partition, bytes: Record::End.encode() })
        .collect();
    retry(|| journal.append(Stream::Posts, &entries))?;
    Ok(())
}

/// After watch's last output. Said again after a kill, or by one that was thought dead, it changes
/// nothing.
pub(crate) fn set_judged(journal: &dyn Journal) -> anyhow::Result<()> {
    if state(journal)? != LogState::Ended {
        return Ok(());
    }
    let end = |stream| Ok::<_, anyhow::Error>(retry(|| journal.extent(stream, 0))?.end);
    let judged = serde_json::to_vec(&[end(Stream::Counts)?, end(Stream::Alerts)?])?;
    put(journal, Stream::Feeds, JUDGED, Some(judged))?;
    set_state(journal, b"judged")
}

/// Says that everything has landed if it has: `next` are the first positions of `counts` and
/// `alerts` that have not.
pub(crate) fn drain(journal: &dyn Journal, next: [Position; 2]) -> anyhow::Result<()> {
    if state(journal)? != LogState::Judged {
        return Ok(());
    }
    let Some(judged) = retry(|| journal.get(Stream::Feeds, JUDGED))? else { return Ok(()) };
    let judged: [Position; 2] =
        serde_json::from_slice(&judged).context("the record of what was judged is unreadable")?;
    if next[0] >= judged[0] && next[1] >= judged[1] { set_drained(journal) } else { Ok(()) }
}

pub(crate) fn set_drained(journal: &dyn Journal) -> anyhow::Result<()> {
    set_state(journal, b"drained")
}

fn set_state(journal: &dyn Journal, state: &[u8]) -> anyhow::Result<()> {
    put(journal, Stream::Feeds, STATE, Some(state.to_vec()))?;
    Ok(())
}

/// The settings that the log holds, if they say what the configuration says; a role of its own
/// never changes them.
pub(crate) fn held(journal: &dyn Journal, configured: &Settings) -> anyhow::Result<Settings> {
    let held = read_held(journal)?.ok_or_else(|| {
        anyhow!("the log holds no settings yet\nhint: run `pumphandle migrate` first")
    })?;
    check_keys(&held, configured)?;
    if !held.same_meaning(configured) {
        bail!(
            "the configuration differs from the settings that the log holds (number {})\nhint: run \
                `pumphandle migrate` with this configuration, or start the role with the \
                configuration of the others",
            held.number
        );
    }
    Ok(held)
}

pub(crate) fn read_held(journal: &dyn Journal) -> anyhow::Result<Option<Settings>> {
    match retry(|| journal.get(Stream::Feeds, SETTINGS))? {
        Some(bytes) => match Record::decode(&bytes)? {
            Record::Settings(settings) => Ok(Some(settings)),
            other => bail!("the log's settings are a {} record", other.kind()),
        },
        None => Ok(None),
    }
}

fn check_keys(held: &Settings, configured: &Settings) -> anyhow::Result<()> {
    if held.key_fingerprints != configured.key_fingerprints {
        bail!(
            "the pseudonym keys are not those that the log was begun with\nhint: put the key files \
                back, or begin with an empty data folder"
        );
    }
    Ok(())
}

/// Brings the log's settings up to what the configuration says, from the next pane on. `reached` is
/// the furthest arrival in the log.
pub(crate) fn settle(
    journal: &dyn Journal,
    configured: &Settings,
    reached: Option<Micros>,
) -> anyhow::Result<Settings> {
    if let Some(held) = read_held(journal)? {
        check_keys(&held, configured)?;
        let appended = retry(|| journal.get(Stream::Feeds, SETTINGS_APPENDED))?;
        if appended.as_deref() != Some(held.number.to_string().as_bytes()) {
            append(journal, &held)?;
        }
        if held.same_meaning(configured) {
            return Ok(held);
        }
        let from = reached.map_or(held.from, |reached| pane_border(reached, HOUR).max(held.from));
        let settings = Settings {
            number: held.number + 1,
            generation: held.generation,
            from,
            ..configured.clone()
        };
        log_change(&held, &settings);
        return begin(journal, settings);
    }
    let generation = journal.generation();
    begin(
        journal,
        Settings { number: 1, generation, from: record::time::EARLIEST, ..configured.clone() },
    )
}

/// What counts from now on that did not, and the reverse.
fn log_change(held: &Settings, settings: &Settings) {
    let topics =
        |of: &Settings| of.topics.iter().map(|topic| topic.id.clone()).collect::<BTreeSet<_>>();
    let feeds =
        |of: &Settings| of.feeds.iter().map(|feed| feed.name.clone()).collect::<BTreeSet<_>>();
    let difference = |new: BTreeSet<String>, old: BTreeSet<String>| {
        let named = |names: Vec<&String>| {
            let shown: Vec<&str> =
                names.iter().take(NAMES_LOGGED_MAX).map(|name| name.as_str()).collect();
            let more = names.len() - shown.len();
            if more > 0 { format!("{} and {more} more", shown.join(" ")) } else { shown.join(" ") }
        };
        (named(new.difference(&old).collect()), named(old.difference(&new).collect()))
    };
    let (topics_added, topics_removed) = difference(topics(settings), topics(held));
    let (feeds_added, feeds_removed) = difference(feeds(settings), feeds(held));
    tracing::info!(
        number = settings.number,
        from = record::time::display(settings.from),
        topics_added,
        topics_removed,
        lexicon_changed = settings.lexicon != held.lexicon,
        regions_changed = settings.places != held.places || settings.regions != held.regions,
        detection_changed = settings.detect != held.detect,
        feeds_added,
        feeds_removed,
        "changed settings apply from now on"
    );
}

fn begin(journal: &dyn Journal, settings: Settings) -> anyhow::Result<Settings> {
    let record = Record::Settings(settings.clone()).encode();
    put(journal, Stream::Feeds, SETTINGS, Some(record))?;
    append(journal, &settings)?;
    Ok(settings)
}

fn append(journal: &dyn Journal, settings: &Settings) -> anyhow::Result<()> {
    let bytes = Record::Settings(settings.clone()).encode();
    // Watch must know them before the first frame that was counted by them.
    retry(|| journal.append(Stream::Tallies, &[Entry { partition: 0, bytes: bytes.clone() }]))?;
    let entries: Vec<Entry> = (0..journal.partitions(Stream::Posts))
        .map(|partition| Entry { partition, bytes: bytes.clone() })
        .collect();
    retry(|| journal.append(Stream::Posts, &entries))?;
    let number = settings.number.to_string().into_bytes();
    put(journal, Stream::Feeds, SETTINGS_APPENDED, Some(number))
}
