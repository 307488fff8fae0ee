//! Queries of pages and commands, on the latest versions of rows.

use std::collections::BTreeMap;
use std::io::Write;

use clickhouse::{Client, Row};
use record::{Alert, AlertEvent, Micros, Reason, Settings};
use serde::Deserialize;

use super::ClickHouse;
use super::rows::{AlertEventRow, AlertRow, micros, stage};
use crate::error::WarehouseError;
use crate::port::Reference;
use crate::port::{
    AlertEntry, AlertQuery, AlertStory, Cell, Export, FeedCoverage, Judged, JudgedQuery, Placed,
    Published, Reading, Series, SeriesHead, SeriesQuery, Voices,
};
use crate::tables::{seconds, units_from};

/// The text of a question has a limit on the server; long lists are queried in pieces.
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
    topic: String,
    region: String,
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
    expected_low: Option<f64>,
    expected_high: Option<f64>,
    detectable_rise: Option<f64>,
    provisional: u8,
}

#[derive(Debug, Row, Deserialize)]
struct VoicesRow {
    posts: u64,
    authors: u64,
    authors_self: u64,
    news: u64,
}

#[derive(Debug, Row, Deserialize)]
struct TotalRow {
    region: String,
    total: u64,
}

#[derive(Debug, Row, Deserialize)]
struct PublishedRow {
    topic: String,
    region: String,
    level: i8,
    begins: i64,
    accounts: Option<u32>,
}

#[derive(Debug, Row, Deserialize)]
struct ReferenceRow {
    series: String,
    region: String,
    day: i64,
    value: f64,
    unit: String,
    source: String,
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
        self.meta("settings")?
            .map(|text| serde_json::from_str(&text).map_err(|why| self.misread(why)))
            .transpose()
    }

    fn latest(&self) -> Result<Option<Micros>, WarehouseError> {
        self.meta("newest_us")?
            .map(|text| text.parse().map_err(|_| self.misread(format!("`{text}` is no instant"))))
            .transpose()
    }

    fn heads(&self) -> Result<Vec<SeriesHead>, WarehouseError> {
        let client = self.client();
        // Of equal panes the highest version, so that FINAL isn't needed.
        let sql = "
            SELECT ?fields FROM (
                SELECT topic, region, tupleElement(head, 1) AS level, tupleElement(head, 2) AS \
                pane_seconds, first, latest,
                       tupleElement(head, 3) AS newest_us
                FROM (
                    SELECT topic, region, min(pane_start) AS first, max(pane_start) AS latest,
                           argMax((level, pane_seconds, newest_us), (pane_start, pane_seconds, \
                           version)) AS head
                    FROM counts GROUP BY topic, region
                )
            ) ORDER BY topic, region";
        let rows: Vec<HeadRow> =
            self.run("read", async move { client.query(sql).fetch_all().await })?;
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
        let (panes, verdicts) = self.run("read", async move {
            let panes =
                if query.only.is_some() { Vec::new() } else { panes(&client, &query).await? };
            Ok((panes, verdicts(&client, &query).await?))
        })?;
        let cut = panes.len() > limit || verdicts.len() > limit;
        let mut panes: Vec<Cell> = panes.into_iter().take(limit).map(cell).collect();
        let mut verdicts = verdicts
            .into_iter()
            .take(limit)
            .map(judged_of)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|why| self.misread(why))?;
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
            let rows: Vec<AlertRow> = client
                .query("SELECT ?fields FROM alerts FINAL WHERE id = ? ORDER BY version, revision")
                .bind(&id)
                .fetch_all()
                .await?;
            let events = events(&client, vec![id]).await?;
            Ok((rows, events))
        })?;
        if rows.is_empty() {
            return Ok(None);
        }
        let revisions: Vec<Alert> = rows
            .into_iter()
            .map(AlertRow::read)
            .collect::<Result<_, _>>()
            .map_err(|why| self.misread(why))?;
        Ok(Some(AlertStory { revisions, events: events.into_values().next().unwrap_or_default() }))
    }

    fn coverage(&self) -> Result<Vec<FeedCoverage>, WarehouseError> {
        let client = self.client();
        let sql = "SELECT ?fields FROM coverage FINAL ORDER BY feed, pane_start DESC, pane_seconds \
            DESC LIMIT 1 BY feed";
        let rows: Vec<FeedHead> =
            self.run("read", async move { client.query(sql).fetch_all().await })?;
        Ok(rows.into_iter().map(coverage).collect())
    }

    fn closed_until(&self) -> Result<Option<Micros>, WarehouseError> {
        let client = self.client();
        let sql = "SELECT toUnixTimestamp(max(window_end)) FROM verdicts WHERE stage != 'early'";
        let latest: u32 = self.run("read", async move { client.query(sql).fetch_one().await })?;
        Ok((latest > 0).then(|| micros(latest)))
    }

    fn judged(&self, query: &JudgedQuery) -> Result<Vec<Placed>, WarehouseError> {
        let (client, query) = (self.client(), query.clone());
        let rows = self.run("read", async move { placed(&client, &query).await })?;
        let found = rows.into_iter().map(|mut row| {
            let (topic, region) = (std::mem::take(&mut row.topic), std::mem::take(&mut row.region));
            Ok(Placed { topic, region, judged: judged_of(row).map_err(|why| self.misread(why))? })
        });
        found.collect()
    }

    fn coverage_since(&self, from: Micros) -> Result<Vec<FeedCoverage>, WarehouseError> {
        let client = self.client();
        let sql = "SELECT ?fields FROM coverage FINAL WHERE pane_start >= toDateTime(?, 'UTC') \
            ORDER BY feed, pane_start, pane_seconds";
        let rows: Vec<FeedHead> = self
            .run("read", async move { client.query(sql).bind(instant(from)).fetch_all().await })?;
        Ok(rows.into_iter().map(coverage).collect())
    }

    fn totals(
        &self,
        regions: &[String],
        from: Micros,
        to: Micros,
    ) -> Result<Vec<(String, u64)>, WarehouseError> {
        let client = self.client();
        // Panes of different lengths count the same posts: the shortest are the hours.
        let sql = "
            SELECT region, sum(posts) AS total FROM denominators FINAL
            WHERE region IN ? AND pane_start >= toDateTime(?, 'UTC') AND pane_start < \
            toDateTime(?, 'UTC') AND pane_seconds = 3600
            GROUP BY region";
        let mut totals = BTreeMap::new();
        for chunk in regions.chunks(KEYS_A_QUESTION) {
            let (client, chunk) = (client.clone(), chunk.to_vec());
            let rows: Vec<TotalRow> = self.run("read", async move {
                client
                    .query(sql)
                    .bind(&chunk)
                    .bind(instant(from))
                    .bind(instant(to))
                    .fetch_all()
                    .await
            })?;
            totals.extend(rows.into_iter().map(|row| (row.region, row.total)));
        }
        Ok(regions
            .iter()
            .filter_map(|region| Some((region.clone(), *totals.get(region)?)))
            .collect())
    }

    fn voices(
        &self,
        topic: &str,
        region: &str,
        from: Micros,
        to: Micros,
    ) -> Result<Voices, WarehouseError> {
        let (client, topic, region) = (self.client(), topic.to_owned(), region.to_owned());
        let sql = "
            SELECT sum(c.posts) AS posts, sum(c.authors) AS authors, sum(c.authors_self) AS \
            authors_self, sum(c.posts_news) AS news
            FROM counts AS c FINAL
            WHERE topic = ? AND region = ? AND pane_start >= toDateTime(?, 'UTC') AND pane_start < \
            toDateTime(?, 'UTC')";
        let row: VoicesRow = self.run("read", async move {
            client
                .query(sql)
                .bind(&topic)
                .bind(&region)
                .bind(instant(from))
                .bind(instant(to))
                .fetch_one()
                .await
        })?;
        Ok(Voices {
            posts: row.posts,
            authors: row.authors,
            authors_self: row.authors_self,
            news: row.news,
        })
    }

    fn published(
        &self,
        topics: &[String],
        region: Option<&str>,
        from: Micros,
    ) -> Result<Vec<Published>, WarehouseError> {
        let sql = "
            SELECT topic, region, level, toInt64(toUnixTimestamp(toDateTime(day, 'UTC'))) AS \
            begins, accounts FROM public_counts FINAL
            WHERE topic IN ? AND (? = '' OR region = ?) AND toDateTime(day, 'UTC') >= \
            toDateTime(?, 'UTC')
            ORDER BY topic, region, day";
        let mut topics = topics.to_vec();
        topics.sort();
        topics.dedup();
        let mut published = Vec::new();
        for chunk in topics.chunks(KEYS_A_QUESTION) {
            let (client, chunk, region) =
                (self.client(), chunk.to_vec(), region.unwrap_or("").to_owned());
            let rows: Vec<PublishedRow> = self.run("read", async move {
                client
                    .query(sql)
                    .bind(&chunk)
                    .bind(&region)
                    .bind(&region)
                    .bind(instant(from))
                    .fetch_all()
                    .await
            })?;
            published.extend(rows.into_iter().map(|row| Published {
                topic: row.topic,
                region: row.region,
                level: row.level,
                day: crate::tables::micros(row.begins),
                accounts: row.accounts,
            }));
        }
        Ok(published)
    }

    fn references(&self, region: &str) -> Result<Vec<Reference>, WarehouseError> {
        let (client, region) = (self.client(), region.to_owned());
        let sql = "SELECT series, region, toInt64(toUnixTimestamp(toDateTime(date, 'UTC'))) AS \
            day, value, unit, source
                   FROM reference FINAL WHERE region = ? ORDER BY series, date";
        let rows: Vec<ReferenceRow> =
            self.run("read", async move { client.query(sql).bind(&region).fetch_all().await })?;
        let reference = |row: ReferenceRow| Reference {
            series: row.series,
            region: row.region,
            date: crate::tables::micros(row.day),
            value: row.value,
            unit: row.unit,
            source: row.source,
        };
        Ok(rows.into_iter().map(reference).collect())
    }

    fn export(&self, export: &Export, out: &mut dyn Write) -> Result<u64, WarehouseError> {
        self.write_out(export, out)
    }
}

impl ClickHouse {
    fn meta(&self, key: &'static str) -> Result<Option<String>, WarehouseError> {
        let client = self.client();
        self.run("read", async move {
            client
                .query("SELECT value FROM meta FINAL WHERE key = ?")
                .bind(key)
                .fetch_optional()
                .await
        })
    }
}

/// Latest first, one more than the limit.
async fn panes(
    client: &Client,
    query: &SeriesQuery,
) -> Result<Vec<CellRow>, clickhouse::error::Error> {
    let sql = "
        SELECT ?fields FROM v_counts
        WHERE topic = ? AND region = ? AND pane_start >= toDateTime(?, 'UTC') AND pane_start < \
        toDateTime(?, 'UTC')
        ORDER BY pane_start DESC, pane_seconds DESC LIMIT ?";
    let (from, to) = (instant(query.from), instant(query.to));
    client
        .query(sql)
        .bind(&query.topic)
        .bind(&query.region)
        .bind(from)
        .bind(to)
        .bind(one_more(query.limit))
        .fetch_all()
        .await
}

/// Latest first, one more than the limit; of the stages of one verdict the one with the highest
/// version.
async fn verdicts(
    client: &Client,
    query: &SeriesQuery,
) -> Result<Vec<JudgedRow>, clickhouse::error::Error> {
    let sql = "
        SELECT ?fields FROM (
            SELECT * FROM verdicts FINAL
            WHERE topic = ? AND region = ? AND window_end >= toDateTime(?, 'UTC') AND window_end < \
            toDateTime(?, 'UTC')
              AND (? = 0 OR window_seconds = ?)
            ORDER BY version DESC, revision DESC, stage DESC LIMIT 1 BY window_end, \
            window_seconds, method
        )
        ORDER BY window_end DESC, window_seconds DESC, method DESC LIMIT ?";
    let (from, to) = (instant(query.from), instant(query.to));
    let only = query.only.map_or(0, seconds);
    let select = client
        .query(sql)
        .bind(&query.topic)
        .bind(&query.region)
        .bind(from)
        .bind(to)
        .bind(only)
        .bind(only);
    select.bind(one_more(query.limit)).fetch_all().await
}

/// In pieces, as many series at once as a question may name.
async fn placed(
    client: &Client,
    query: &JudgedQuery,
) -> Result<Vec<JudgedRow>, clickhouse::error::Error> {
    let mut series = query.series.clone();
    series.sort();
    series.dedup();
    let ends: Vec<u32> = query.ends.iter().copied().map(instant).collect();
    let (Some(least), Some(greatest)) = (ends.iter().min(), ends.iter().max()) else {
        return Ok(Vec::new());
    };
    let length = query.length.map_or(0, seconds);
    let sql = "
        SELECT ?fields FROM (
            SELECT * FROM verdicts FINAL
            WHERE (topic, region) IN ? AND window_end >= toDateTime(?, 'UTC') AND window_end <= \
            toDateTime(?, 'UTC')
              AND toUnixTimestamp(window_end) IN ? AND (? = 0 OR window_seconds = ?)
            ORDER BY version DESC, revision DESC, stage DESC LIMIT 1 BY topic, region, window_end, \
            window_seconds, method
        )
        ORDER BY topic, region, window_end, window_seconds, method";
    let mut rows: Vec<JudgedRow> = Vec::new();
    for series in series.chunks(KEYS_A_QUESTION) {
        let select = client
            .query(sql)
            .bind(series)
            .bind(least)
            .bind(greatest)
            .bind(&ends)
            .bind(length)
            .bind(length);
        rows.extend(select.fetch_all::<JudgedRow>().await?);
    }
    Ok(rows)
}

async fn alerts(
    client: &Client,
    query: &AlertQuery,
) -> Result<Vec<AlertRow>, clickhouse::error::Error> {
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
    if query.after.is_some() {
        conditions.push("(fired_at_us < ? OR (fired_at_us = ? AND id > ?))");
    }
    let sql = format!(
        "SELECT ?fields FROM (SELECT * FROM alerts FINAL ORDER BY version DESC, revision DESC \
            LIMIT 1 BY id)
         WHERE {} ORDER BY fired_at_us DESC, id LIMIT ?",
        conditions.join(" AND ")
    );
    let mut select = client.query(&sql);
    for text in [&query.topic, &query.region].into_iter().flatten() {
        select = select.bind(text);
    }
    if let Some(from) = query.from {
        select = select.bind(from);
    }
    if let Some((at, id)) = &query.after {
        select = select.bind(at).bind(at).bind(id);
    }
    select.bind((query.limit as u64).min(ROWS_MAX)).fetch_all().await
}

async fn events(
    client: &Client,
    alerts: Vec<String>,
) -> Result<BTreeMap<String, Vec<AlertEvent>>, clickhouse::error::Error> {
    let mut events: BTreeMap<String, Vec<AlertEvent>> = BTreeMap::new();
    for alerts in alerts.chunks(KEYS_A_QUESTION) {
        let rows: Vec<AlertEventRow> = client
            .query(
                "SELECT ?fields FROM alert_events FINAL WHERE alert IN ? ORDER BY alert, position",
            )
            .bind(alerts)
            .fetch_all()
            .await?;
        for row in rows {
            events.entry(row.alert.clone()).or_default().push(row.into());
        }
    }
    Ok(events)
}

fn coverage(row: FeedHead) -> FeedCoverage {
    FeedCoverage {
        feed: row.feed,
        pane_start: micros(row.pane_start),
        pane_length: micros(row.pane_seconds),
        share: row.share,
    }
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

fn judged_of(row: JudgedRow) -> Result<Judged, String> {
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
        reason: Reason::parse(&row.reason).map_err(|why| why.to_string())?,
        coverage: row.coverage,
        expected_low: row.expected_low,
        expected_high: row.expected_high,
        detectable_rise: row.detectable_rise,
        provisional: row.provisional == 1,
    })
}

/// Seconds, upwards, within what a DateTime holds.
pub(super) fn instant(instant: Micros) -> u32 {
    u32::try_from(units_from(instant, 1).max(0)).unwrap_or(u32::MAX)
}

fn one_more(limit: usize) -> u64 {
    (limit as u64).min(ROWS_MAX) + 1
}
