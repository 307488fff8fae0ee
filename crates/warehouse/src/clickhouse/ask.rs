//! What pages and commands ask, always of the latest versions.

use std::collections::BTreeMap;
use std::io::Write;

use clickhouse::{Client, Row};
use record::{Alert, AlertEvent, Micros, Settings};
use serde::Deserialize;

use super::ClickHouse;
use super::rows::{AlertEventRow, AlertRow, micros, stage};
use crate::error::WarehouseError;
use crate::port::{AlertEntry, AlertQuery, AlertStory, Cell, Export, FeedCoverage, Judged, Reading, Series, SeriesHead, SeriesQuery};
use crate::tables::units_from;

/// The text of a question has a limit on the server; what is asked by a list is asked in pieces.
pub(super) const KEYS_A_QUESTION: usize = 500;
/// Where no limit is wanted.
const ROWS_MAX: u64 = 1_000_000_000;

#[derive(Debug, Row, Deserialize)]
struct HeadRow {
    topic: String,
    region: String,
    level: i8,
    pane_seconds: u32,
    first: u32,
    latest: u32,
    newest_us: i64,
}

#[derive(Debug, Row, Deserialize)]
struct CellRow {
    pane_start: u32,
    pane_seconds: u32,
    posts: u32,
    authors: u32,
    authors_24h: Option<u32>,
    authors_self: u32,
    total_posts: u64,
    #[serde(rename = "final")]
    last: u8,
}

#[derive(Debug, Row, Deserialize)]
struct JudgedRow {
    window_end: u32,
    window_seconds: u32,
    method: String,
    stage: String,
    observed: u32,
    population: u64,
    expected: Option<f64>,
    upperbound: Option<f64>,
    pvalue: Option<f64>,
    alarm: Option<u8>,
    reason: String,
    coverage: f64,
}

#[derive(Debug, Row, Deserialize)]
struct FeedHead {
    feed: String,
    pane_start: u32,
    pane_seconds: u32,
    share: f64,
}

impl Reading for ClickHouse {
    fn ready(&self) -> Result<(), WarehouseError> {
        let client = self.client();
        self.run("read", async move { client.query("SELECT count() FROM meta").execute().await })
    }

    fn settings(&self) -> Result<Option<Settings>, WarehouseError> {
        self.meta("settings")?.map(|text| serde_json::from_str(&text).map_err(|why| self.misread(why))).transpose()
    }

    fn latest(&self) -> Result<Option<Micros>, WarehouseError> {
        self.meta("newest_us")?.map(|text| text.parse().map_err(|_| self.misread(format!("`{text}` is no instant")))).transpose()
    }

    fn heads(&self) -> Result<Vec<SeriesHead>, WarehouseError> {
        let client = self.client();
        // Of equal panes the highest version, so that FINAL isn't needed.
        let sql = "
            SELECT ?fields FROM (
                SELECT topic, region, tupleElement(head, 1) AS level, tupleElement(head, 2) AS pane_seconds, first, latest,
                       tupleElement(head, 3) AS newest_us
                FROM (
                    SELECT topic, region, min(pane_start) AS first, max(pane_start) AS latest,
                           argMax((level, pane_seconds, newest_us), (pane_start, pane_seconds, version)) AS head
                    FROM counts GROUP BY topic, region
                )
            ) ORDER BY topic, region";
        let rows: Vec<HeadRow> = self.run("read", async move { client.query(sql).fetch_all().await })?;
        let head = |row: HeadRow| SeriesHead {
            topic: row.topic,
            region: row.region,
            level: row.level,
            pane_length: micros(row.pane_seconds),
            first: micros(row.first),
            latest: micros(row.latest),
            newest: row.newest_us,
        };
        Ok(rows.into_iter().map(head).collect())
    }

    fn series(&self, query: &SeriesQuery) -> Result<Series, WarehouseError> {
        let (client, query) = (self.client(), query.clone());
        let limit = query.limit;
        let (panes, verdicts) = self.run("read", async move { Ok((panes(&client, &query).await?, verdicts(&client, &query).await?)) })?;
        let cut = panes.len() > limit || verdicts.len() > limit;
        let mut panes: Vec<Cell> = panes.into_iter().take(limit).map(cell).collect();
        let mut verdicts = verdicts.into_iter().take(limit).map(judged).collect::<Result<Vec<_>, _>>().map_err(|why| self.misread(why))?;
        panes.reverse();
        verdicts.reverse();
        Ok(Series { panes, verdicts, cut })
    }

    fn alerts(&self, query: &AlertQuery) -> Result<Vec<AlertEntry>, WarehouseError> {
        let (client, query) = (self.client(), query.clone());
        let (rows, mut events) = self.run("read", async move {
            let rows = alerts(&client, &query).await?;
            let events = events(&client, rows.iter().map(AlertRow::id).collect()).await?;
            Ok((rows, events))
        })?;
        let entry = |row: AlertRow| {
            let alert = row.read().map_err(|why| self.misread(why))?;
            Ok(AlertEntry { events: events.remove(&alert.id).unwrap_or_default(), alert })
        };
        rows.into_iter().map(entry).collect()
    }

    fn alert(&self, id: &str) -> Result<Option<AlertStory>, WarehouseError> {
        let (client, id) = (self.client(), id.to_owned());
        let (rows, events) = self.run("read", async move {
            let rows: Vec<AlertRow> =
                client.query("SELECT ?fields FROM alerts FINAL WHERE id = ? ORDER BY version, revision").bind(&id).fetch_all().await?;
            let events = events(&client, vec![id]).await?;
            Ok((rows, events))
        })?;
        if rows.is_empty() {
            return Ok(None);
        }
        let revisions: Vec<Alert> = rows.into_iter().map(AlertRow::read).collect::<Result<_, _>>().map_err(|why| self.misread(why))?;
        Ok(Some(AlertStory { revisions, events: events.into_values().next().unwrap_or_default() }))
    }

    fn coverage(&self) -> Result<Vec<FeedCoverage>, WarehouseError> {
        let client = self.client();
        let sql = "SELECT ?fields FROM coverage FINAL ORDER BY feed, pane_start DESC, pane_seconds DESC LIMIT 1 BY feed";
        let rows: Vec<FeedHead> = self.run("read", async move { client.query(sql).fetch_all().await })?;
        let coverage = |row: FeedHead| FeedCoverage {
            feed: row.feed,
            pane_start: micros(row.pane_start),
            pane_length: micros(row.pane_seconds),
            share: row.share,
        };
        Ok(rows.into_iter().map(coverage).collect())
    }

    fn export(&self, export: &Export, out: &mut dyn Write) -> Result<u64, WarehouseError> {
        self.write_out(export, out)
    }
}

impl ClickHouse {
    fn meta(&self, key: &'static str) -> Result<Option<String>, WarehouseError> {
        let client = self.client();
        self.run("read", async move { client.query("SELECT value FROM meta FINAL WHERE key = ?").bind(key).fetch_optional().await })
    }
}

/// Latest first, one more than the limit.
async fn panes(client: &Client, query: &SeriesQuery) -> Result<Vec<CellRow>, clickhouse::error::Error> {
    let sql = "
        SELECT ?fields FROM v_counts
        WHERE topic = ? AND region = ? AND pane_start >= toDateTime(?, 'UTC') AND pane_start < toDateTime(?, 'UTC')
        ORDER BY pane_start DESC, pane_seconds DESC LIMIT ?";
    let (from, to) = (instant(query.from), instant(query.to));
    client.query(sql).bind(&query.topic).bind(&query.region).bind(from).bind(to).bind(one_more(query.limit)).fetch_all().await
}

/// Latest first, one more than the limit; of the stages of one verdict the one with the highest version.
async fn verdicts(client: &Client, query: &SeriesQuery) -> Result<Vec<JudgedRow>, clickhouse::error::Error> {
    let sql = "
        SELECT ?fields FROM (
            SELECT * FROM verdicts FINAL
            WHERE topic = ? AND region = ? AND window_end >= toDateTime(?, 'UTC') AND window_end < toDateTime(?, 'UTC')
            ORDER BY version DESC, revision DESC, stage DESC LIMIT 1 BY window_end, window_seconds, method
        )
        ORDER BY window_end DESC, window_seconds DESC, method DESC LIMIT ?";
    let (from, to) = (instant(query.from), instant(query.to));
    client.query(sql).bind(&query.topic).bind(&query.region).bind(from).bind(to).bind(one_more(query.limit)).fetch_all().await
}

async fn alerts(client: &Client, query: &AlertQuery) -> Result<Vec<AlertRow>, clickhouse::error::Error> {
    let mut conditions = vec!["1"];
    if query.topic.is_some() {
        conditions.push("topic = ?");
    }
    if query.region.is_some() {
        conditions.push("region = ?");
    }
    match query.open {
        Some(true) => conditions.push("state = 'open'"),
        Some(false) => conditions.push("state != 'open'"),
        None => {}
    }
    if query.from.is_some() {
        conditions.push("fired_at_us >= ?");
    }
    let sql = format!(
        "SELECT ?fields FROM (SELECT * FROM alerts FINAL ORDER BY version DESC, revision DESC LIMIT 1 BY id)
         WHERE {} ORDER BY fired_at_us DESC, id LIMIT ?",
        conditions.join(" AND ")
    );
    let mut asked = client.query(&sql);
    for text in [&query.topic, &query.region].into_iter().flatten() {
        asked = asked.bind(text);
    }
    if let Some(from) = query.from {
        asked = asked.bind(from);
    }
    asked.bind((query.limit as u64).min(ROWS_MAX)).fetch_all().await
}

async fn events(client: &Client, alerts: Vec<String>) -> Result<BTreeMap<String, Vec<AlertEvent>>, clickhouse::error::Error> {
    let mut events: BTreeMap<String, Vec<AlertEvent>> = BTreeMap::new();
    for alerts in alerts.chunks(KEYS_A_QUESTION) {
        let rows: Vec<AlertEventRow> = client
            .query("SELECT ?fields FROM alert_events FINAL WHERE alert IN ? ORDER BY alert, position")
            .bind(alerts)
            .fetch_all()
            .await?;
        for row in rows {
            events.entry(row.alert.clone()).or_default().push(row.into());
        }
    }
    Ok(events)
}

fn cell(row: CellRow) -> Cell {
    Cell {
        start: micros(row.pane_start),
        length: micros(row.pane_seconds),
        posts: row.posts,
        authors: row.authors,
        authors_24h: row.authors_24h,
        authors_self: row.authors_self,
        total_posts: row.total_posts,
        last: row.last == 1,
    }
}

fn judged(row: JudgedRow) -> Result<Judged, String> {
    Ok(Judged {
        end: micros(row.window_end),
        length: micros(row.window_seconds),
        method: row.method,
        stage: stage(&row.stage)?,
        observed: row.observed,
        population: row.population,
        expected: row.expected,
        upperbound: row.upperbound,
        pvalue: row.pvalue,
        alarm: row.alarm.map(|alarm| alarm == 1),
        reason: row.reason,
        coverage: row.coverage,
    })
}

/// Seconds, upwards, within what a DateTime holds.
pub(super) fn instant(instant: Micros) -> u32 {
    u32::try_from(units_from(instant, 1).max(0)).unwrap_or(u32::MAX)
}

fn one_more(limit: usize) -> u64 {
    (limit as u64).min(ROWS_MAX) + 1
}
