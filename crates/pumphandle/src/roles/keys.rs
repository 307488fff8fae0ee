//! The secrets behind pseudonyms: two small files outside the data folder, made where the log is
//! still empty, never shown.
//!
//! The routing key never changes. The author key is a chain ([`AuthorKeys`]): ingest destroys what
//! no post needs any more by writing a later day's key in place of an earlier one's. The log holds
//! the fingerprints of both.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};
use journal::Journal;
use record::pseudonym::{AuthorKeys, Key};
use record::time::DAY;
use record::{Micros, Settings};

use crate::config::Config;
use crate::runtime::log;
use crate::whole;

pub(crate) const ROUTING: &str = "routing.key";
pub(crate) const AUTHORS: &str = "authors.key";

#[derive(Debug, Clone)]
pub(crate) struct Keys {
    /// Decides partitions and identities; never rotates.
    pub(crate) routing: Key,
    pub(crate) authors: AuthorKeys,
    author_file: PathBuf,
}

/// Where new keys are made: beside the data folder, so that a copy of it holds none.
pub(crate) fn folder(config: &Config) -> PathBuf {
    if let Some(folder) = &config.privacy.keys {
        return folder.clone();
    }
    let data = &config.journal.data;
    match data.file_name() {
        Some(name) => {
            let mut beside = name.to_owned();
            beside.push("-keys");
            data.with_file_name(beside)
        }
        // The root, or a folder that is named by `..` alone, has no place beside it.
        None => old_folder(config),
    }
}

/// Where earlier releases made them.
pub(crate) fn old_folder(config: &Config) -> PathBuf {
    config.journal.data.join("keys")
}

fn file(config: &Config, named: Option<&PathBuf>, name: &str) -> PathBuf {
    if let Some(file) = named {
        return file.clone();
    }
    let (file, old) = (folder(config).join(name), old_folder(config).join(name));
    if !file.exists() && old.exists() { old } else { file }
}

/// Warns of keys that lie where earlier releases made them.
pub(crate) fn warn_of_place(config: &Config) {
    let inside = old_folder(config);
    for (named, name) in
        [(&config.privacy.routing_key_file, ROUTING), (&config.privacy.author_key_file, AUTHORS)]
    {
        let file = file(config, named.as_ref(), name);
        if folder(config) != inside && file == inside.join(name) {
            tracing::warn!(
                file = %file.display(),
                "a pseudonym key lies inside the data folder: a copy of the folder undoes its \
                    pseudonyms; `pumphandle keys move` moves it"
            );
        }
    }
}

impl Keys {
    /// Reads the keys; makes them where the log is still empty. A key that a log was begun with is
    /// never replaced.
    pub(crate) fn open(journal: &dyn Journal, config: &Config) -> anyhow::Result<Keys> {
        let is_begun = log::read_held(journal)?.is_some();
        let routing_file = file(config, config.privacy.routing_key_file.as_ref(), ROUTING);
        let author_file = file(config, config.privacy.author_key_file.as_ref(), AUTHORS);
        if is_begun
            && let Some(missing) =
                [&routing_file, &author_file].into_iter().find(|file| !file.exists())
        {
            bail!(
                "key file `{}` is missing, and the log was begun with it\nhint: put the key file \
                    back, or begin with an empty data folder",
                missing.display()
            );
        }
        let routing = match read(&routing_file)? {
            Some(text) => parse(text.trim()).ok_or_else(|| not_a_key(&routing_file))?,
            None => {
                let key = random()?;
                write(&routing_file, &format!("{}\n", key.to_hex()))?;
                key
            }
        };
        let authors = match read(&author_file)? {
            Some(text) => parse_chain(&text).ok_or_else(|| not_a_key(&author_file))?,
            None => {
                let authors = AuthorKeys::new(random()?);
                write(&author_file, &chain_text(&authors))?;
                authors
            }
        };
        Ok(Keys { routing, authors, author_file })
    }

    /// What settings keep of them, so that another key is noticed.
    pub(crate) fn fingerprints(&self) -> Vec<String> {
        vec![
            format!("routing {}", self.routing.fingerprint()),
            format!("authors {}", self.authors.id()),
        ]
    }

    /// Destroys the keys of epochs that no post needs any more that arrives at `reached` or later,
    /// in the file too; whether there were any. An epoch's key is needed for the longest window and
    /// the horizon after the epoch's end.
    pub(crate) fn forget(&mut self, reached: Micros, settings: &Settings) -> anyhow::Result<bool> {
        let mut authors = self.authors.clone();
        let needed = reached - settings.horizon - settings.longest_window();
        if !authors.forget_before(needed, settings.author_epoch) {
            return Ok(false);
        }
        write(&self.author_file, &chain_text(&authors))?;
        self.authors = authors;
        Ok(true)
    }
}

fn read(file: &Path) -> anyhow::Result<Option<String>> {
    match fs::read_to_string(file) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => {
            Err(error).with_context(|| format!("failed to read key file `{}`", file.display()))
        }
    }
}

fn not_a_key(file: &Path) -> anyhow::Error {
    anyhow!("key file `{}` does not hold 64 hexadecimal digits", file.display())
}

fn parse(text: &str) -> Option<Key> {
    Some(Key::new(*blake3::Hash::from_hex(text).ok()?.as_bytes()))
}

/// Whether a file with this text can be the routing key.
pub(crate) fn is_key(text: &str) -> bool {
    parse(text.trim()).is_some()
}

/// Whether a file with this text can be the author key.
pub(crate) fn is_author_key(text: &str) -> bool {
    parse_chain(text).is_some()
}

/// 64 hexadecimal digits are the first key of a chain; what ingest has written in their place names
/// the chain and the day.
fn parse_chain(text: &str) -> Option<AuthorKeys> {
    if let Some(root) = parse(text.trim()) {
        return Some(AuthorKeys::new(root));
    }
    let field = |name: &str| {
        text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')).map(str::trim)
    };
    let day = record::time::parse(&format!("{}T00:00:00Z", field("from")?)).ok()?.div_euclid(DAY);
    let key = parse(field("key")?)?;
    // A damaged key would give every author another pseudonym.
    (field("check")? == key.fingerprint())
        .then(|| AuthorKeys::from_day(field("chain").unwrap_or_default().to_owned(), day, key))
}

fn chain_text(authors: &AuthorKeys) -> String {
    let day = record::time::display(authors.day() * DAY);
    let (day, key) = (day.get(..10).unwrap_or_default(), authors.key());
    format!(
        "chain {}\nfrom {day}\nkey {}\ncheck {}\n",
        authors.id(),
        key.to_hex(),
        key.fingerprint()
    )
}

fn random() -> anyhow::Result<Key> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| anyhow!("no randomness: {error}"))?;
    Ok(Key::new(bytes))
}

/// A kill never leaves half a key.
fn write(file: &Path, text: &str) -> anyhow::Result<()> {
    whole::write(file, text.as_bytes(), whole::SECRET)
        .with_context(|| format!("failed to write key file `{}`", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_is_read_as_it_was_written_and_damage_is_seen() {
        let mut authors = AuthorKeys::new(Key::new([3; 32]));
        assert_eq!(parse_chain(&chain_text(&authors)), Some(authors.clone()));
        authors.forget_before(20_600 * DAY, 30 * DAY);
        let text = chain_text(&authors);
        assert_eq!(parse_chain(&text), Some(authors.clone()));
        assert_eq!(
            parse_chain(&format!("{}\n", Key::new([3; 32]).to_hex())),
            Some(AuthorKeys::new(Key::new([3; 32])))
        );
        let hex = authors.key().to_hex();
        let other =
            hex.replace(hex.chars().next().unwrap(), if hex.starts_with('0') { "1" } else { "0" });
        assert_eq!(parse_chain(&text.replace(&hex, &other)), None);
        assert_eq!(parse_chain("chain x\nfrom 2026-01-01\n"), None);
    }
}
