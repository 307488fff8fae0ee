//! Which journal and which warehouse the configuration names, opened.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use journal::local::{LocalJournal, Options};
use journal::{Journal, Stream};
use notify::{Certificate, Reach};
use record::Micros;
use warehouse::{Local, Warehouse};

use super::WAREHOUSE_FILE;
use crate::config::{Config, JournalKind, WarehouseKind};
use crate::whole;

pub(crate) fn retention(config: &Config) -> BTreeMap<Stream, Duration> {
    BTreeMap::from([
        (Stream::Posts, duration(config.retention.posts)),
        (Stream::Tallies, duration(config.retention.tallies)),
        (Stream::Counts, duration(config.retention.counts)),
        (Stream::Rejects, duration(config.retention.rejects)),
    ])
}

/// What the names of our files and folders in the data folder begin with.
const OURS: [&str; 9] = [
    "crises",
    "feeds",
    "keys",
    "lock",
    "meta.sqlite",
    "start-link",
    "streams",
    "tokens",
    WAREHOUSE_FILE,
];

/// Makes the data folder for its owner alone. One that is open to others was made by an earlier
/// release, or by hand: it is tightened.
pub(crate) fn data_folder(config: &Config) -> anyhow::Result<()> {
    let data = &config.journal.data;
    whole::make_folder(data)
        .with_context(|| format!("failed to make the data folder `{}`", data.display()))?;
    match tighten(data) {
        Ok(0) => {}
        Ok(changed) => {
            tracing::info!(folder = %data.display(), changed, "the data folder was open to other \
                users of this machine: closed")
        }
        Err(error) => {
            tracing::warn!(folder = %data.display(), %error, "the data folder may be open to other \
                users of this machine")
        }
    }
    Ok(())
}

/// What brokers delete by themselves: records that a stage may not have read only at the hard age.
#[cfg(feature = "kafka")]
pub(crate) fn broker_retention(config: &Config) -> BTreeMap<Stream, Duration> {
    let hard_age = duration(config.retention.hard_age);
    let mut retention = retention(config);
    for (stream, age) in &mut retention {
        // Nobody reads rejects before they go.
        if *stream != Stream::Rejects {
            *age = hard_age.max(*age);
        }
    }
    retention
}

pub(crate) fn duration(span: Micros) -> Duration {
    Duration::from_micros(u64::try_from(span).unwrap_or(0))
}

/// The folder, and of what is in it only what is ours: people put data beside other files.
fn tighten(data: &Path) -> std::io::Result<usize> {
    let mut changed = whole::tighten_one(data)?;
    for entry in std::fs::read_dir(data)? {
        let entry = entry?;
        if OURS.iter().any(|ours| entry.file_name().to_string_lossy().starts_with(ours)) {
            changed += whole::tighten(&entry.path())?;
        }
    }
    Ok(changed)
}

pub(crate) fn local_journal(config: &Config) -> anyhow::Result<LocalJournal> {
    let options = Options {
        retention: retention(config),
        clock: Box::new(super::journal_seconds),
        ..Options::default()
    };
    Ok(LocalJournal::open(&config.journal.data, config.journal.partitions, options)?)
}

pub(crate) fn journal(config: &Config) -> anyhow::Result<Box<dyn Journal>> {
    match config.journal.kind {
        JournalKind::Local => Ok(Box::new(local_journal(config)?)),
        #[cfg(feature = "kafka")]
        JournalKind::Kafka => Ok(Box::new(journal::kafka::KafkaJournal::open(kafka(config)?)?)),
        #[cfg(not(feature = "kafka"))]
        JournalKind::Kafka => anyhow::bail!("this build has no Kafka"),
    }
}

#[cfg(feature = "kafka")]
pub(crate) fn kafka(config: &Config) -> anyhow::Result<journal::kafka::KafkaSettings> {
    let kafka = &config.journal.kafka;
    let mut settings = journal::kafka::KafkaSettings::new(
        &*kafka.brokers,
        &*kafka.prefix,
        config.journal.partitions,
    );
    settings.session_timeout = duration(kafka.session_timeout);
    settings.properties.extend(kafka.properties.iter().cloned());
    if let Some(file) = &kafka.password_file {
        settings.properties.insert("sasl.password".to_owned(), secret(file)?);
    }
    Ok(settings)
}

pub(crate) fn warehouse(config: &Config) -> anyhow::Result<Arc<dyn Warehouse>> {
    match config.warehouse.kind {
        WarehouseKind::Local => {
            data_folder(config)?;
            Ok(Arc::new(Local::open(&config.journal.data.join(WAREHOUSE_FILE))?))
        }
        #[cfg(feature = "clickhouse")]
        WarehouseKind::ClickHouse => {
            let clickhouse = clickhouse(config)?;
            clickhouse.check_schema()?;
            Ok(Arc::new(clickhouse))
        }
        #[cfg(not(feature = "clickhouse"))]
        WarehouseKind::ClickHouse => anyhow::bail!("this build has no ClickHouse"),
    }
}

/// Without a look at its tables.
#[cfg(feature = "clickhouse")]
pub(crate) fn clickhouse(config: &Config) -> anyhow::Result<warehouse::clickhouse::ClickHouse> {
    let named = &config.warehouse.clickhouse;
    Ok(warehouse::clickhouse::ClickHouse::connect(warehouse::clickhouse::ClickHouseSettings {
        url: named.url.clone(),
        database: named.database.clone(),
        user: named.user.clone(),
        password: named.password_file.as_deref().map(secret).transpose()?.unwrap_or_default(),
        cells_retention: config.retention.cells.map(duration),
        verdicts_retention: config.retention.verdicts.map(duration),
        ..warehouse::clickhouse::ClickHouseSettings::default()
    })?)
}

/// A file's only line.
pub(super) fn secret(file: &Path) -> anyhow::Result<String> {
    let text = std::fs::read_to_string(file)
        .with_context(|| format!("failed to read `{}`", file.display()))?;
    Ok(text.trim_end_matches(['\n', '\r']).to_owned())
}

/// The certificates of a PEM file, and its bytes.
pub(super) fn read_certificates(file: &Path) -> anyhow::Result<(Vec<u8>, Vec<Certificate>)> {
    let bytes =
        std::fs::read(file).with_context(|| format!("failed to read `{}`", file.display()))?;
    let certificates = Reach::certificates(&bytes)
        .with_context(|| format!("`{}` holds no certificates as PEM", file.display()))?;
    Ok((bytes, certificates))
}
