//! `keys`: where the secrets behind pseudonyms are.

use std::fs;
use std::io::{Write, stdout};

use anyhow::Context;

use super::Failure;
use crate::cli::KeysCommand;
use crate::config::{Config, JournalKind};
use crate::roles::{keys, stores};
use crate::whole;

pub(crate) fn run(config: &Config, command: &KeysCommand) -> Result<(), Failure> {
    match command {
        KeysCommand::Move => move_out(config),
    }
}

/// Each key first stands in its new place and then leaves the old one: after a kill in between it
/// is there twice, and the new one counts.
fn move_out(config: &Config) -> Result<(), Failure> {
    let (from, to) = (keys::old_folder(config), keys::folder(config));
    if from == to {
        let hint = "set another folder by `keys` in `[privacy]`";
        return Err(Failure::usage(
            format!("`privacy.keys` is `{}`, inside the data folder", to.display()),
            hint,
        ));
    }
    // A running program would write the author key into its old place again: the lock of the data
    // folder tells.
    let _journal = match config.journal.kind {
        JournalKind::Local if config.journal.data.is_dir() => Some(stores::local_journal(config)?),
        _ => None,
    };
    let mut out = stdout().lock();
    let mut moved = 0;
    for name in [keys::ROUTING, keys::AUTHORS] {
        let (old, new) = (from.join(name), to.join(name));
        let Some(text) = fs::read(&old)
            .map(Some)
            .or_else(none_if_missing)
            .with_context(|| format!("failed to read `{}`", old.display()))?
        else {
            continue;
        };
        match fs::read(&new)
            .map(Some)
            .or_else(none_if_missing)
            .with_context(|| format!("failed to read `{}`", new.display()))?
        {
            Some(there) if there != text => {
                let message = format!(
                    "`{}` already exists and differs from `{}`",
                    new.display(),
                    old.display()
                );
                return Err(Failure::usage(message, "one of them belongs to another log: move it"));
            }
            Some(_) => {}
            None => whole::write(&new, &text, whole::SECRET)
                .with_context(|| format!("failed to write `{}`", new.display()))?,
        }
        fs::remove_file(&old).with_context(|| format!("failed to remove `{}`", old.display()))?;
        writeln!(out, "moved `{}` to `{}`", old.display(), new.display())?;
        moved += 1;
    }
    if moved == 0 {
        writeln!(out, "no key in `{}`", from.display())?;
    }
    // Best effort: an empty folder is no harm.
    let _ = fs::remove_dir(&from);
    Ok(())
}

fn none_if_missing(error: std::io::Error) -> std::io::Result<Option<Vec<u8>>> {
    if error.kind() == std::io::ErrorKind::NotFound { Ok(None) } else { Err(error) }
}
