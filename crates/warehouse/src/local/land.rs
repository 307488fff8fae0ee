//! Writer of results: one prepared upsert per kind of record, one transaction per batch.

use record::reason::text_of;
use record::time::SECOND;
use record::{
    Alert, AlertEvent, Count, CoverageRow, Micros, Outcome, PublicCount, Record, Settings, Stage,
    TagCount, Total, Verdict, Version, WindowCount,
};
use rusqlite::{
    CachedStatement, Connection, OptionalExtension, Transaction, TransactionBehavior, params,
};

use super::Local;
use crate::error::WarehouseError;
use crate::port::Reference;
use crate::port::{Landing, Progress};
use crate::tables::seconds;

const COUNT: &str = "
INSERT INTO counts (topic, region, level, pane_start, pane_seconds, posts, authors, authors_24h, \
authors_self, posts_news,
                    posts_filtered, authors_filtered, total_posts, final, newest_us, version)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)
ON CONFLICT DO UPDATE SET level = excluded.level, posts = excluded.posts, authors = \
excluded.authors, authors_24h = excluded.authors_24h,
    authors_self = excluded.authors_self, posts_news = excluded.posts_news, posts_filtered = \
    excluded.posts_filtered,
    authors_filtered = excluded.authors_filtered, total_posts = excluded.total_posts, final = \
    excluded.final,
    newest_us = excluded.newest_us, version = excluded.version
WHERE excluded.version >= version";

/// A count enters the history when it is final, when its cell is there already in an older version,
/// or when its pane was closed (a verdict says so) while the cell was still empty.
const REVISION: &str = "
INSERT INTO counts_history (topic, region, level, pane_start, pane_seconds, posts, authors, \
authors_24h, authors_self, posts_news,
                            posts_filtered, authors_filtered, total_posts, final, newest_us, \
                            version)
SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16
WHERE ?14 = 1
   OR EXISTS (SELECT 1 FROM counts_history WHERE topic = ?1 AND region = ?2 AND pane_start = ?4 \
   AND pane_seconds = ?5 AND version < ?16)
   OR (EXISTS (SELECT 1 FROM verdicts WHERE topic = ?1 AND region = ?2 AND window_end = ?4 + ?5 \
   AND stage <> 'early' AND version <= ?16)
       AND NOT EXISTS (SELECT 1 FROM counts_history WHERE topic = ?1 AND region = ?2 AND \
       pane_start = ?4 AND pane_seconds = ?5))
ON CONFLICT DO NOTHING";

/// A verdict that is not early closes the pane that ends with its window: the cell enters the
/// history as it is.
const CLOSING: &str = "
INSERT INTO counts_history (topic, region, level, pane_start, pane_seconds, posts, authors, \
authors_24h, authors_self, posts_news,
                            posts_filtered, authors_filtered, total_posts, final, newest_us, \
                            version)
SELECT topic, region, level, pane_start, pane_seconds, posts, authors, authors_24h, authors_self, \
posts_news,
       posts_filtered, authors_filtered, total_posts, final, newest_us, version
FROM counts AS c
WHERE topic = ?1 AND region = ?2 AND pane_start >= ?3 - ?4 AND pane_start < ?3 AND pane_start + \
pane_seconds = ?3 AND version <= ?5
  AND NOT EXISTS (SELECT 1 FROM counts_history AS h
                  WHERE h.topic = c.topic AND h.region = c.region AND h.pane_start = c.pane_start \
                  AND h.pane_seconds = c.pane_seconds)
ON CONFLICT DO NOTHING";

const TAG_COUNT: &str = "
INSERT INTO tag_counts (tag, region, pane_start, posts, final, version) VALUES (?1, ?2, ?3, ?4, \
?5, ?6)
ON CONFLICT DO UPDATE SET posts = excluded.posts, final = excluded.final, version = excluded.version
WHERE excluded.version >= version";

const TOTAL: &str = "
INSERT INTO denominators (region, pane_start, pane_seconds, posts, final, version, total_sampled) \
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
ON CONFLICT DO UPDATE SET posts = excluded.posts, total_sampled = excluded.total_sampled, final = \
excluded.final, version = excluded.version
WHERE excluded.version >= version";

const COVERAGE: &str = "
INSERT INTO coverage (feed, pane_start, pane_seconds, share, version) VALUES (?1, ?2, ?3, ?4, ?5)
ON CONFLICT DO UPDATE SET share = excluded.share, version = excluded.version
WHERE excluded.version >= version";

const WINDOW_COUNT: &str = "
INSERT INTO window_counts (topic, region, window_end, window_seconds, authors, authors_self, \
final, version)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
ON CONFLICT DO UPDATE SET authors = excluded.authors, authors_self = excluded.authors_self, final \
= excluded.final, version = excluded.version
WHERE excluded.version >= version";

const PUBLIC_COUNT: &str = "
INSERT INTO public_counts (topic, region, level, day, accounts, version) VALUES (?1, ?2, ?3, ?4, \
?5, ?6)
ON CONFLICT DO UPDATE SET level = excluded.level, accounts = excluded.accounts, version = \
excluded.version
WHERE excluded.version >= version";

const VERDICT: &str = "
INSERT INTO verdicts (topic, region, window_end, window_seconds, method, stage, observed, \
expected, upperbound, pvalue, alarm, reason,
                      population, coverage, revision, version, expected_low, expected_high, \
                      detectable_rise, qvalue, provisional)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, \
?21)
ON CONFLICT DO UPDATE SET observed = excluded.observed, expected = excluded.expected, upperbound = \
excluded.upperbound,
    pvalue = excluded.pvalue, alarm = excluded.alarm, reason = excluded.reason, population = \
    excluded.population,
    coverage = excluded.coverage, revision = excluded.revision, version = excluded.version, \
    expected_low = excluded.expected_low,
    expected_high = excluded.expected_high, detectable_rise = excluded.detectable_rise, qvalue = \
    excluded.qvalue,
    provisional = excluded.provisional
WHERE excluded.version >= version";

const ALERT: &str = "
INSERT INTO alerts (id, revision, topic, topic_name, region, regions, opened_at, fired_at_us, \
window_end, window_seconds, stage, state,
                    severity, observed, posts, population, expected, upperbound, recurrence, \
                    method, coverage, explanation, version, grounds)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, \
?21, ?22, ?23, ?24)
ON CONFLICT DO UPDATE SET topic = excluded.topic, topic_name = excluded.topic_name, region = \
excluded.region, regions = excluded.regions,
    opened_at = excluded.opened_at, fired_at_us = excluded.fired_at_us, window_end = \
    excluded.window_end,
    window_seconds = excluded.window_seconds, stage = excluded.stage, state = excluded.state, \
    severity = excluded.severity,
    observed = excluded.observed, posts = excluded.posts, population = excluded.population, \
    expected = excluded.expected,
    upperbound = excluded.upperbound, recurrence = excluded.recurrence, method = excluded.method, \
    coverage = excluded.coverage,
    explanation = excluded.explanation, version = excluded.version, grounds = excluded.grounds
WHERE excluded.version >= version";

/// The fold of alerts, as a condition: the alert is known, and the event was made against all
/// events before it.
const ALERT_EVENT: &str = "
INSERT INTO alert_events (alert, position, at_us, actor, state, note, revision, outcome, assignee, \
snooze_until_us, snooze_ratio, emerged_us,
                          notified_us, responded_us)
SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14
WHERE EXISTS (SELECT 1 FROM alerts WHERE id = ?1) AND (SELECT count(*) FROM alert_events WHERE \
alert = ?1) = ?2
ON CONFLICT DO NOTHING";

const PROGRESS: &str = "
INSERT INTO progress (stream, partition, next) VALUES (?1, ?2, ?3)
ON CONFLICT DO UPDATE SET next = excluded.next";

const META: &str = "
INSERT INTO meta (key, value, version) VALUES (?1, ?2, ?3)
ON CONFLICT DO UPDATE SET value = excluded.value, version = excluded.version
WHERE excluded.version >= version";

const REFERENCE: &str = "
INSERT INTO reference (series, region, date, value, unit, source) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
ON CONFLICT DO UPDATE SET value = excluded.value, unit = excluded.unit, source = excluded.source";

/// What goes by the age of cells.
const CELLS: [&str; 6] = [
    "DELETE FROM counts WHERE pane_start < ?1",
    "DELETE FROM counts_history WHERE pane_start < ?1",
    "DELETE FROM tag_counts WHERE pane_start < ?1",
    "DELETE FROM denominators WHERE pane_start < ?1",
    "DELETE FROM coverage WHERE pane_start < ?1",
    "DELETE FROM window_counts WHERE window_end < ?1",
];

/// What goes by the age of verdicts. Accounts of whole UTC days and weeks stay: no sum of panes
/// gives them again.
const VERDICTS: [&str; 2] = [
    "DELETE FROM verdicts WHERE window_end < ?1",
    "DELETE FROM window_counts WHERE window_end < ?1 AND window_end % 86400 <> 0",
];

impl Landing for Local {
    fn write(&self, rows: &[Record], progress: &[Progress]) -> Result<(), WarehouseError> {
        let mut connection = self.writer()?;
        let transaction = connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(|source| self.failed("write", source))?;
        land(&transaction, rows, progress)
            .and_then(|()| transaction.commit())
            .map_err(|source| self.failed("write", source))
    }

    fn progress(&self) -> Result<Vec<Progress>, WarehouseError> {
        self.ask(|connection| {
            read_progress(connection).map_err(|source| self.failed("read", source))
        })
    }

    fn delete_before(
        &self,
        cells: Option<Micros>,
        verdicts: Option<Micros>,
    ) -> Result<u64, WarehouseError> {
        let cells = cells.map(|before| CELLS.map(|sql| (sql, before)));
        let verdicts = verdicts.map(|before| VERDICTS.map(|sql| (sql, before)));
        let connection = self.writer()?;
        let mut rows = 0;
        // Each is a transaction of its own, so that rows which land wait for one table at most.
        for (sql, before) in cells.into_iter().flatten().chain(verdicts.into_iter().flatten()) {
            rows += connection
                .execute(sql, [seconds(before)])
                .map_err(|source| self.failed("delete from", source))?;
        }
        Ok(rows as u64)
    }

    fn write_reference(&self, rows: &[Reference]) -> Result<(), WarehouseError> {
        let mut connection = self.writer()?;
        let transaction = connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(|source| self.failed("write", source))?;
        land_reference(&transaction, rows)
            .and_then(|()| transaction.commit())
            .map_err(|source| self.failed("write", source))
    }
}

fn land_reference(transaction: &Transaction, rows: &[Reference]) -> rusqlite::Result<()> {
    let mut statement = transaction.prepare_cached(REFERENCE)?;
    for Reference { series, region, date, value, unit, source } in rows {
        statement.execute(params![series, region, seconds(*date), finite(*value), unit, source])?;
    }
    Ok(())
}

fn read_progress(connection: &Connection) -> rusqlite::Result<Vec<Progress>> {
    let mut statement = connection.prepare_cached(
        "SELECT stream, partition, next FROM progress ORDER BY stream, partition",
    )?;
    let rows = statement.query_map([], |row| {
        Ok(Progress {
            stream: row.get(0)?,
            partition: row.get(1)?,
            next: row.get::<_, i64>(2)?.unsigned_abs(),
        })
    })?;
    rows.collect()
}

fn land(transaction: &Transaction, rows: &[Record], progress: &[Progress]) -> rusqlite::Result<()> {
    let mut statements = Statements::prepare(transaction)?;
    let mut newest = None;
    for row in in_table_order(rows) {
        match row {
            Record::Count(count) => {
                newest = newest.max(Some(count.newest));
                statements.count(count)?;
            }
            Record::TagCount(count) => statements.tag_count(count)?,
            Record::Total(total) => statements.total(total)?,
            Record::Coverage(coverage) => statements.coverage(coverage)?,
            Record::WindowCount(count) => statements.window_count(count)?,
            Record::PublicCount(count) => statements.public_count(count)?,
            Record::Verdict(verdict) => statements.verdict(verdict)?,
            Record::Alert(alert) => statements.alert(alert)?,
            Record::AlertEvent(event) => statements.alert_event(event)?,
            Record::Settings(settings) => statements.settings(settings)?,
            Record::Post(_)
            | Record::Tick(_)
            | Record::End
            | Record::Frame(_)
            | Record::Exclusion(_)
            | Record::Lift(_)
            | Record::Reject(_) => {}
        }
    }
    if let Some(newest) = newest {
        statements.meta.execute(params!["newest_us", newest.to_string(), newest])?;
    }
    if let Some(closed) = statements.closed_until {
        statements.meta.execute(params!["closed_until", closed.to_string(), closed])?;
    }
    let mut statement = transaction.prepare_cached(PROGRESS)?;
    for Progress { stream, partition, next } in progress {
        statement.execute(params![stream, partition, whole(*next)])?;
    }
    Ok(())
}

/// Rows that lie next to each other in the tables one after the other, so that each page is fetched
/// once.
///
/// Rows of one series, one alert, one key keep their order: the history of counts and the fold of
/// alerts depend on it.
fn in_table_order(rows: &[Record]) -> Vec<&Record> {
    fn place(row: &Record) -> (&str, &str) {
        match row {
            Record::Count(row) => (&row.topic, &row.region),
            Record::WindowCount(row) => (&row.topic, &row.region),
            Record::PublicCount(row) => (&row.topic, &row.region),
            Record::Verdict(row) => (&row.topic, &row.region),
            Record::TagCount(row) => (&row.key, &row.region),
            Record::Total(row) => (&row.region, ""),
            Record::Coverage(row) => (&row.feed, ""),
            _ => ("", ""),
        }
    }
    let mut ordered: Vec<&Record> = rows.iter().collect();
    ordered.sort_by(|one, other| place(one).cmp(&place(other)));
    ordered
}

struct Statements<'a> {
    /// The latest end of a window that was judged for good, in unix seconds: cells that end later
    /// are open and have no history.
    closed_until: Option<i64>,
    count: CachedStatement<'a>,
    revision: CachedStatement<'a>,
    closing: CachedStatement<'a>,
    tag_count: CachedStatement<'a>,
    total: CachedStatement<'a>,
    coverage: CachedStatement<'a>,
    window_count: CachedStatement<'a>,
    public_count: CachedStatement<'a>,
    verdict: CachedStatement<'a>,
    alert: CachedStatement<'a>,
    alert_event: CachedStatement<'a>,
    meta: CachedStatement<'a>,
}

impl<'a> Statements<'a> {
    fn prepare(transaction: &'a Transaction) -> rusqlite::Result<Statements<'a>> {
        let closed_until: Option<i64> = transaction
            .prepare_cached("SELECT version FROM meta WHERE key = 'closed_until'")?
            .query_row([], |row| row.get(0))
            .optional()?;
        Ok(Statements {
            closed_until,
            count: transaction.prepare_cached(COUNT)?,
            revision: transaction.prepare_cached(REVISION)?,
            closing: transaction.prepare_cached(CLOSING)?,
            tag_count: transaction.prepare_cached(TAG_COUNT)?,
            total: transaction.prepare_cached(TOTAL)?,
            coverage: transaction.prepare_cached(COVERAGE)?,
            window_count: transaction.prepare_cached(WINDOW_COUNT)?,
            public_count: transaction.prepare_cached(PUBLIC_COUNT)?,
            verdict: transaction.prepare_cached(VERDICT)?,
            alert: transaction.prepare_cached(ALERT)?,
            alert_event: transaction.prepare_cached(ALERT_EVENT)?,
            meta: transaction.prepare_cached(META)?,
        })
    }

    fn count(&mut self, count: &Count) -> rusqlite::Result<()> {
        let values = params![
            count.topic,
            count.region,
            count.level,
            seconds(count.pane_start),
            seconds(count.pane_length),
            count.posts,
            count.authors,
            count.authors_24h,
            count.authors_self,
            count.posts_news,
            count.posts_filtered,
            count.authors_filtered,
            whole(count.total_posts),
            count.last,
            count.newest,
            version(count.version),
        ];
        self.count.execute(values)?;
        let pane_end = seconds(count.pane_start).saturating_add(seconds(count.pane_length));
        if count.last || self.closed_until.is_some_and(|closed| pane_end <= closed) {
            self.revision.execute(values)?;
        }
        Ok(())
    }

    fn tag_count(&mut self, count: &TagCount) -> rusqlite::Result<()> {
        let TagCount { key, region, pane_start, posts, last, version: at } = count;
        self.tag_count.execute(params![
            key,
            region,
            seconds(*pane_start),
            posts,
            last,
            version(*at)
        ])?;
        Ok(())
    }

    fn total(&mut self, total: &Total) -> rusqlite::Result<()> {
        let Total { region, pane_start, pane_length, posts, last, version: at, sampled } = total;
        self.total.execute(params![
            region,
            seconds(*pane_start),
            seconds(*pane_length),
            whole(*posts),
            last,
            version(*at),
            whole(*sampled)
        ])?;
        Ok(())
    }

    fn coverage(&mut self, coverage: &CoverageRow) -> rusqlite::Result<()> {
        let CoverageRow { feed, pane_start, pane_length, share, version: at } = coverage;
        self.coverage.execute(params![
            feed,
            seconds(*pane_start),
            seconds(*pane_length),
            finite(*share),
            version(*at)
        ])?;
        Ok(())
    }

    fn window_count(&mut self, count: &WindowCount) -> rusqlite::Result<()> {
        let WindowCount { topic, region, end, length, authors, authors_self, last, version: at } =
            count;
        self.window_count.execute(params![
            topic,
            region,
            seconds(*end),
            seconds(*length),
            authors,
            authors_self,
            last,
            version(*at)
        ])?;
        Ok(())
    }

    fn public_count(&mut self, count: &PublicCount) -> rusqlite::Result<()> {
        let PublicCount { topic, region, level, day, accounts, version: at } = count;
        self.public_count.execute(params![
            topic,
            region,
            level,
            seconds(*day),
            accounts,
            version(*at)
        ])?;
        Ok(())
    }

    fn verdict(&mut self, verdict: &Verdict) -> rusqlite::Result<()> {
        self.verdict.execute(params![
            verdict.topic,
            verdict.region,
            seconds(verdict.window_end),
            seconds(verdict.window_length),
            verdict.method,
            verdict.stage.name(),
            verdict.observed,
            verdict.expected.filter(|number| number.is_finite()),
            verdict.upperbound.filter(|number| number.is_finite()),
            verdict.pvalue.filter(|number| number.is_finite()),
            verdict.alarm,
            text_of(verdict.reason),
            whole(verdict.population),
            finite(verdict.coverage),
            verdict.revision,
            version(verdict.version),
            verdict.expected_low.filter(|number| number.is_finite()),
            verdict.expected_high.filter(|number| number.is_finite()),
            verdict.detectable_rise.filter(|number| number.is_finite()),
            verdict.qvalue.filter(|number| number.is_finite()),
            verdict.provisional,
        ])?;
        if verdict.stage != Stage::Early {
            self.closed_until = self.closed_until.max(Some(seconds(verdict.window_end)));
            self.closing.execute(params![
                verdict.topic,
                verdict.region,
                seconds(verdict.window_end),
                PANE_SECONDS_MAX,
                version(verdict.version)
            ])?;
        }
        Ok(())
    }

    fn alert(&mut self, alert: &Alert) -> rusqlite::Result<()> {
        self.alert.execute(params![
            alert.id,
            alert.revision,
            alert.topic,
            alert.topic_name,
            alert.region,
            json(&alert.regions)?,
            seconds(alert.opened_at),
            alert.fired_at,
            seconds(alert.window_end),
            seconds(alert.window_length),
            alert.stage.name(),
            alert.state.name(),
            alert.severity,
            alert.observed,
            alert.posts,
            whole(alert.population),
            finite(alert.expected),
            finite(alert.upperbound),
            alert.recurrence.filter(|number| number.is_finite()),
            alert.method,
            finite(alert.coverage),
            json(&alert.explanation)?,
            version(alert.version),
            json(&alert.grounds)?,
        ])?;
        Ok(())
    }

    fn alert_event(&mut self, event: &AlertEvent) -> rusqlite::Result<()> {
        let AlertEvent {
            alert,
            after,
            at,
            actor,
            state,
            note,
            revision,
            outcome,
            assignee,
            snooze,
            milestones,
        } = event;
        self.alert_event.execute(params![
            alert,
            after,
            at,
            actor,
            state.name(),
            note,
            revision,
            outcome.map(Outcome::name),
            assignee,
            snooze.map(|snooze| snooze.until),
            snooze.map(|snooze| snooze.ratio),
            milestones.emerged,
            milestones.notified,
            milestones.responded,
        ])?;
        Ok(())
    }

    fn settings(&mut self, settings: &Settings) -> rusqlite::Result<()> {
        let at = Version::new(settings.generation, u64::from(settings.number));
        self.meta.execute(params!["settings", json(settings)?, version(at)])?;
        Ok(())
    }
}

/// No kind of topic has longer panes.
const PANE_SECONDS_MAX: i64 = 7 * record::time::DAY / SECOND;

fn json<T: serde::Serialize>(value: &T) -> rusqlite::Result<String> {
    serde_json::to_string(value).map_err(|why| rusqlite::Error::ToSqlConversionFailure(why.into()))
}

/// SQLite has no unsigned numbers; nothing that we count comes near its greatest.
fn whole(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn version(version: Version) -> i64 {
    whole(version.0)
}

/// A column that can't be NULL holds zero for what is no number.
fn finite(number: f64) -> f64 {
    if number.is_finite() { number } else { 0.0 }
}
