//! The secrets behind pseudonyms: two files of 32 bytes in hexadecimal, made when first needed, never shown.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use record::pseudonym::Key;

use crate::config::Config;
use crate::whole;

#[derive(Debug, Clone)]
pub(crate) struct Keys {
    /// Decides partitions and identities; never rotates.
    pub(crate) routing: Key,
    /// The author keys of all epochs derive from it.
    pub(crate) authors: Key,
}

impl Keys {
    pub(crate) fn open(config: &Config) -> anyhow::Result<Keys> {
        let folder = config.journal.data.join("keys");
        let file = |given: &Option<PathBuf>, name: &str| given.clone().unwrap_or_else(|| folder.join(name));
        Ok(Keys {
            routing: open(&file(&config.privacy.routing_key_file, "routing.key"))?,
            authors: open(&file(&config.privacy.author_key_file, "authors.key"))?,
        })
    }

    /// What settings keep of them, so that another key is noticed.
    pub(crate) fn fingerprints(&self) -> Vec<String> {
        vec![format!("routing {}", self.routing.fingerprint()), format!("authors {}", self.authors.fingerprint())]
    }
}

fn open(file: &Path) -> anyhow::Result<Key> {
    let shown = file.display();
    match fs::read_to_string(file) {
        Ok(text) => read(text.trim()).ok_or_else(|| anyhow!("key file `{shown}` does not hold 64 hexadecimal digits")),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            make(file).with_context(|| format!("failed to make key file `{shown}`"))
        }
        Err(error) => Err(error).with_context(|| format!("failed to read key file `{shown}`")),
    }
}

fn read(text: &str) -> Option<Key> {
    Some(Key::new(*blake3::Hash::from_hex(text).ok()?.as_bytes()))
}

/// A kill never leaves half a key.
fn make(file: &Path) -> anyhow::Result<Key> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| anyhow!("no randomness: {error}"))?;
    whole::write(file, format!("{}\n", blake3::Hash::from_bytes(bytes).to_hex()).as_bytes(), whole::SECRET)?;
    Ok(Key::new(bytes))
}
