//! Writer of results: one insert per table, progress last.
//!
//! ClickHouse has no transaction over tables, and none is needed. Every row is absolute and has a
//! version, so a batch of which a part was written before a kill, or whose answer was lost, is
//! written again from its beginning and leaves what one writing would have left. Progress is
//! written when all rows are, so it never represents rows that aren't there.
//!
//! What isn't a plain upsert is decided before the first insert, from what the tables hold, and
//! written so that deciding again after any cut decides the same:
//! - The history of counts: see [`super::history`]; it is written before the counts and verdicts
//!   that it is decided from.
//! - Alert events hold in the order of their stream, each only if it was made against all events
//!   before it. They are written before the alerts of their batch, so that alerts without their
//!   events are never seen; written again they are refused, as their place is taken. An event that
//!   comes before its alert is refused too; only where a kill falls between the insert of that
//!   alert and that of the progress could it be taken in later, and nobody writes an event about an
//!   alert that isn't there.

use std::collections::{BTreeMap, BTreeSet};

use clickhouse::error::Error;
use clickhouse::{Client, Row, RowOwned, RowWrite};
use record::{AlertEvent, Record, Stage, Version};
use serde::Deserialize;

use super::rows::{
    AlertEventRow, AlertRow, CountRow, DenominatorRow, FeedRow, MetaRow, ProgressRow,
    PublicCountRow, ReferenceRow, TagCountRow, VerdictRow, WindowCountRow, seconds,
};
use super::{ClickHouse, history};
use crate::error::WarehouseError;
use crate::port::Reference;
use crate::port::{Landing, Progress};

impl Landing for ClickHouse {
    fn write(&self, rows: &[Record], progress: &[Progress]) -> Result<(), WarehouseError> {
        let client = self.client();
        let batch = Batch::new(rows, progress).map_err(|why| self.misread(why))?;
        self.run("write to", async move { batch.write(&client).await })
    }

    fn progress(&self) -> Result<Vec<Progress>, WarehouseError> {
        let client = self.client();
        let rows: Vec<ProgressRow> = self.run("read", async move {
            client
                .query("SELECT ?fields FROM progress FINAL ORDER BY stream, partition")
                .fetch_all()
                .await
        })?;
        Ok(rows
            .into_iter()
            .map(|ProgressRow { stream, partition, next }| Progress { stream, partition, next })
            .collect())
    }

    fn write_reference(&self, rows: &[Reference]) -> Result<(), WarehouseError> {
        let client = self.client();
        let rows: Vec<ReferenceRow> = rows.iter().map(ReferenceRow::from).collect();
        self.run("write to", async move { insert(&client, "reference", &rows).await })
    }
}

/// Rows by table, each kind in its order.
#[derive(Default)]
struct Batch {
    /// Counts and verdicts in the order in which they came.
    steps: Vec<history::Step>,
    counts: Vec<CountRow>,
    tag_counts: Vec<TagCountRow>,
    denominators: Vec<DenominatorRow>,
    coverage: Vec<FeedRow>,
    window_counts: Vec<WindowCountRow>,
    public_counts: Vec<PublicCountRow>,
    verdicts: Vec<VerdictRow>,
    alerts: Vec<AlertRow>,
    /// Alerts and events in the order in which they came.
    fold: Vec<AlertStep>,
    meta: Vec<MetaRow>,
    progress: Vec<ProgressRow>,
}

enum AlertStep {
    Known(String),
    Event(AlertEvent),
}

impl Batch {
    fn new(rows: &[Record], progress: &[Progress]) -> Result<Batch, serde_json::Error> {
        let mut batch = Batch::default();
        let (mut newest, mut closed_until) = (None, None);
        for row in rows {
            match row {
                Record::Count(count) => {
                    newest = newest.max(Some(count.newest));
                    let row = CountRow::from(count);
                    batch.steps.push(history::Step::Count(row.clone()));
                    batch.counts.push(row);
                }
                Record::TagCount(count) => batch.tag_counts.push(count.into()),
                Record::Total(total) => batch.denominators.push(total.into()),
                Record::Coverage(coverage) => batch.coverage.push(coverage.into()),
                Record::WindowCount(count) => batch.window_counts.push(count.into()),
                Record::PublicCount(count) => batch.public_counts.push(count.into()),
                Record::Verdict(verdict) => {
                    batch.verdicts.push(verdict.into());
                    if verdict.stage != Stage::Early {
                        let window_end = seconds(verdict.window_end);
                        closed_until = closed_until.max(Some(window_end));
                        batch.steps.push(history::Step::Closed {
                            topic: verdict.topic.clone(),
                            region: verdict.region.clone(),
                            window_end,
                            version: verdict.version.0,
                        });
                    }
                }
                Record::Alert(alert) => {
                    batch.fold.push(AlertStep::Known(alert.id.clone()));
                    batch.alerts.push(alert.into());
                }
                Record::AlertEvent(event) => batch.fold.push(AlertStep::Event(event.clone())),
                Record::Settings(settings) => {
                    let Version(version) =
                        Version::new(settings.generation, settings.number.into());
                    batch.meta.push(MetaRow {
                        key: "settings",
                        value: serde_json::to_string(settings)?,
                        version,
                    });
                }
                Record::Post(_)
                | Record::Tick(_)
                | Record::End
                | Record::Frame(_)
                | Record::Exclusion(_)
                | Record::Lift(_)
                | Record::Reject(_) => {}
            }
        }
        let newest = newest.and_then(|newest| u64::try_from(newest).ok());
        batch.meta.extend(newest.map(|newest| MetaRow::highest("newest_us", newest)));
        batch.meta.extend(
            closed_until.map(|closed: u32| MetaRow::highest("closed_until", closed.into())),
        );
        batch.progress = progress.iter().map(ProgressRow::from).collect();
        Ok(batch)
    }

    async fn write(self, client: &Client) -> Result<(), Error> {
        let history = history::of(client, self.steps).await?;
        let events = accepted(client, self.fold).await?;
        insert(client, "counts_history", &history).await?;
        insert(client, "counts", &self.counts).await?;
        insert(client, "tag_counts", &self.tag_counts).await?;
        insert(client, "denominators", &self.denominators).await?;
        insert(client, "coverage", &self.coverage).await?;
        insert(client, "window_counts", &self.window_counts).await?;
        insert(client, "public_counts", &self.public_counts).await?;
        insert(client, "meta", &self.meta).await?;
        insert(client, "verdicts", &self.verdicts).await?;
        insert(client, "alert_events", &events).await?;
        insert(client, "alerts", &self.alerts).await?;
        insert(client, "progress", &self.progress).await
    }
}

/// The caller retains rows until this returns.
pub(super) async fn insert<T>(client: &Client, table: &'static str, rows: &[T]) -> Result<(), Error>
where
    T: RowOwned + RowWrite + for<'a> Row<Value<'a> = T>,
{
    if rows.is_empty() {
        return Ok(());
    }
    let mut insert = client
        .insert::<T>(table)
        .await?
        // On by default since 26.2: an answer must mean that the rows are there.
        .with_setting("async_insert", "0")
        // Within one insert the last of equal versions holds.
        .with_setting("optimize_on_insert", "1")
        // Versions do it; two batches that happen to be equal are two batches.
        .with_setting("insert_deduplicate", "0")
        // Past counts of many years are many months.
        .with_setting("max_partitions_per_insert_block", "0");
    for row in rows {
        insert.write(row).await?;
    }
    insert.end().await
}

#[derive(Debug, Row, Deserialize)]
struct Events {
    alert: String,
    events: u64,
}

/// The fold of alerts, from what the tables hold.
async fn accepted(client: &Client, fold: Vec<AlertStep>) -> Result<Vec<AlertEventRow>, Error> {
    let alerts: BTreeSet<&str> = fold
        .iter()
        .filter_map(|step| {
            if let AlertStep::Event(event) = step { Some(event.alert.as_str()) } else { None }
        })
        .collect();
    if alerts.is_empty() {
        return Ok(Vec::new());
    }
    let mut events: BTreeMap<String, u64> = BTreeMap::new();
    let alerts: Vec<&str> = alerts.into_iter().collect();
    for alerts in alerts.chunks(super::ask::KEYS_A_QUESTION) {
        let known: Vec<Events> = client
            .query(
                "SELECT ?fields FROM (
                     SELECT a.id AS alert, uniqExact(e.position) * toUInt64(max(e.alert != '')) AS \
                     events
                     FROM alerts AS a LEFT JOIN alert_events AS e ON e.alert = a.id
                     WHERE a.id IN ? GROUP BY a.id
                 )",
            )
            .bind(alerts)
            .fetch_all()
            .await?;
        events.extend(known.into_iter().map(|Events { alert, events }| (alert, events)));
    }
    let mut accepted = Vec::new();
    for step in fold {
        match step {
            AlertStep::Known(alert) => _ = events.entry(alert).or_insert(0),
            AlertStep::Event(event) => {
                if let Some(before) =
                    events.get_mut(&event.alert).filter(|before| **before == u64::from(event.after))
                {
                    *before += 1;
                    accepted.push(AlertEventRow::from(&event));
                }
            }
        }
    }
    Ok(accepted)
}
