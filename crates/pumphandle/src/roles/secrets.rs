//! Secrets, certificates and tokens: read by `check`, and by each role before it listens, so that
//! none is found wrong later.
//!
//! Reads and compares only; makes nothing, and shows no content.

use std::path::Path;

use anyhow::anyhow;
use record::diagnostic::Diagnostic;

use super::keys;
use super::notifier::channels::Channels;
use super::stores::{self, secret};
use crate::config::{Config, Feed, FeedKind, JournalKind, WarehouseKind};
use crate::tokens;

/// Which of them a process needs.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Uses {
    pub(crate) warehouse: bool,
    /// Keys of pseudonyms, certificates of feeds.
    pub(crate) ingests: bool,
    /// The page and the notifier.
    pub(crate) serves: bool,
}

impl Uses {
    pub(crate) const ALL: Uses = Uses { warehouse: true, ingests: true, serves: true };
}

/// Whether a file's text is what it should be.
type IsRight = fn(&str) -> bool;

/// Refuses to start with what `check` would refuse.
pub(crate) fn require(config: &Config, uses: Uses) -> anyhow::Result<()> {
    let problems: Vec<String> = problems(config, uses).iter().map(ToString::to_string).collect();
    match problems.is_empty() {
        true => Ok(()),
        // The first is printed with `error: ` as every failure is.
        false => Err(anyhow!("{}", problems.join("\n").trim_start_matches("error: ").to_owned())),
    }
}

/// Everything that is wrong with them.
pub(crate) fn problems(config: &Config, uses: Uses) -> Vec<Diagnostic> {
    let mut problems = Vec::new();
    if config.journal.kind == JournalKind::Kafka {
        let kafka = &config.journal.kafka;
        check_password(kafka.password_file.as_deref(), &mut problems);
        for (name, value) in kafka.properties.iter().filter(|(name, _)| name.ends_with(".location"))
        {
            if let Err(error) = std::fs::read(value) {
                problems
                    .push(of_file(Path::new(value), format!("`{name}` can't be read: {error}")));
            }
        }
    }
    if uses.warehouse && config.warehouse.kind == WarehouseKind::ClickHouse {
        check_password(config.warehouse.clickhouse.password_file.as_deref(), &mut problems);
    }
    if uses.ingests {
        problems.extend(config.feeds.iter().filter_map(check_feed));
        let files: [(_, IsRight, _); 2] = [
            (
                &config.privacy.author_key_file,
                keys::is_author_key,
                "neither 64 hexadecimal digits nor what ingest has written in their place",
            ),
            (
                &config.privacy.routing_key_file,
                keys::is_key,
                "a key that is not 64 hexadecimal digits",
            ),
        ];
        for (file, is_right, message) in files {
            if let Some(file) = file
                && let Some(text) = read(file, &mut problems)
                && !is_right(&text)
            {
                problems.push(of_file(file, message.to_owned()));
            }
        }
    }
    if uses.serves {
        problems.extend(Channels::problems(config));
        let file = tokens::file(&config.journal.data);
        if let Err(error) = tokens::read(&file) {
            let hint =
                format!("{error:#}; correct that line, or remove the file and make tokens anew");
            problems.push(of_file(&file, "a damaged token file".to_owned()).hint(hint));
        }
    }
    problems
}

fn check_feed(feed: &Feed) -> Option<Diagnostic> {
    let FeedKind::Jetstream { roots_file: Some(file), .. } = &feed.kind else { return None };
    let error = stores::read_certificates(file).err()?;
    let message = format!("feed `{}`: {error:#}", feed.name);
    Some(of_file(file, message).hint("`roots-file` names certificates of authorities, as PEM"))
}

fn check_password(file: Option<&Path>, problems: &mut Vec<Diagnostic>) {
    if let Some(file) = file
        && read(file, problems).is_some_and(|text| text.is_empty())
    {
        problems.push(of_file(file, "an empty password".to_owned()));
    }
}

fn read(file: &Path, problems: &mut Vec<Diagnostic>) -> Option<String> {
    match secret(file) {
        Ok(text) => Some(text),
        Err(error) => {
            let why = error.root_cause().to_string();
            problems.push(
                of_file(file, format!("can't be read: {why}"))
                    .hint("a relative path is taken from the file that names it"),
            );
            None
        }
    }
}

fn of_file(file: &Path, message: String) -> Diagnostic {
    Diagnostic::of_file(&file.display().to_string(), message)
}
