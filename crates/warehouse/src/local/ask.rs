//! Queries of pages and commands, each in one read transaction over clustered keys.

use std::io::Write;

use record::{
    Alert, AlertEvent, AlertState, Handling, Micros, Milestones, Outcome, Reason, Settings, Snooze,
    Stage, Version,
};
use rusqlite::{Connection, OptionalExtension, Row, Rows, params};

use super::Local;
use crate::error::WarehouseError;
use crate::port::Reference;
use crate::port::{
    AlertEntry, AlertQuery, AlertStory, Cell, Export, FeedCoverage, Judged, JudgedQuery, Placed,
    Published, Reading, Series, SeriesHead, SeriesQuery, Voices,
};
use crate::tables::{micros, seconds, units_from};

const ALERT_COLUMNS: &str = "a.id, a.revision, a.topic, a.topic_name, a.region, a.regions, \
    a.opened_at, a.fired_at_us, a.window_end, \
     a.window_seconds, a.stage, a.state, a.severity, a.observed, a.posts, a.population, \
     a.expected, a.upperbound, a.recurrence, a.method, \
     a.coverage, a.explanation, a.version, a.grounds";

impl Reading for Local {
    fn ready(&self) -> Result<(), WarehouseError> {
        self.question(|connection| {
            connection.query_row("SELECT count(*) FROM meta", [], |_| Ok(()))
        })
    }

    fn settings(&self) -> Result<Option<Settings>, WarehouseError> {
        let text: Option<String> = self.question(|connection| meta(connection, "settings"))?;
        text.map(|text| serde_json::from_str(&text).map_err(|why| self.misread(why.to_string())))
            .transpose()
    }

    fn latest(&self) -> Result<Option<Micros>, WarehouseError> {
        let text: Option<String> = self.question(|connection| meta(connection, "newest_us"))?;
        text.map(|text| text.parse().map_err(|_| self.misread(format!("`{text}` is no instant"))))
            .transpose()
    }

    fn heads(&self) -> Result<Vec<SeriesHead>, WarehouseError> {
        self.question(heads)
    }

    fn series(&self, query: &SeriesQuery) -> Result<Series, WarehouseError> {
        self.question(|connection| {
            let mut panes =
                if query.only.is_some() { Vec::new() } else { panes(connection, query)? };
            let mut verdicts = verdicts(connection, query)?;
            let cut = panes.len() > query.limit || verdicts.len() > query.limit;
            panes.truncate(query.limit);
            verdicts.truncate(query.limit);
            panes.reverse();
            verdicts.reverse();
            Ok(Series { panes, verdicts, cut })
        })
    }

    fn alerts(&self, query: &AlertQuery) -> Result<Vec<AlertEntry>, WarehouseError> {
        self.question(|connection| {
            let sql = format!(
                "SELECT {ALERT_COLUMNS} FROM (
                     SELECT a.id AS id, a.revision AS revision FROM alerts AS a
                     WHERE NOT EXISTS (SELECT 1 FROM alerts AS b WHERE b.id = a.id AND (b.version, \
                     b.revision) > (a.version, a.revision))
                       AND (?1 IS NULL OR a.topic = ?1) AND (?2 IS NULL OR a.region = ?2)
                       AND (?3 IS NULL OR (a.state = 'open') = ?3) AND (?4 IS NULL OR \
                       a.fired_at_us >= ?4)
                       AND (?6 IS NULL OR a.fired_at_us < ?6 OR (a.fired_at_us = ?6 AND a.id > ?7))
                     ORDER BY a.fired_at_us DESC, a.id LIMIT ?5
                 ) AS k JOIN alerts AS a ON a.id = k.id AND a.revision = k.revision ORDER BY \
                 a.fired_at_us DESC, a.id"
            );
            let limit = i64::try_from(query.limit).unwrap_or(i64::MAX);
            let (after, after_id) = query.after.as_ref().map(|(at, id)| (*at, id.as_str())).unzip();
            let mut statement = connection.prepare_cached(&sql)?;
            let alerts: Vec<Alert> = statement
                .query_map(
                    params![
                        query.topic,
                        query.region,
                        query.open,
                        query.from,
                        limit,
                        after,
                        after_id
                    ],
                    alert,
                )?
                .collect::<Result<_, _>>()?;
            alerts
                .into_iter()
                .map(|alert| Ok(AlertEntry { events: events(connection, &alert.id)?, alert }))
                .collect()
        })
    }

    fn alert(&self, id: &str) -> Result<Option<AlertStory>, WarehouseError> {
        self.question(|connection| {
            let sql = format!(
                "SELECT {ALERT_COLUMNS} FROM alerts AS a WHERE a.id = ?1 ORDER BY \
                a.version, a.revision"
            );
            let mut statement = connection.prepare_cached(&sql)?;
            let revisions: Vec<Alert> =
                statement.query_map([id], alert)?.collect::<Result<_, _>>()?;
            if revisions.is_empty() {
                return Ok(None);
            }
            Ok(Some(AlertStory { revisions, events: events(connection, id)? }))
        })
    }

    fn coverage(&self) -> Result<Vec<FeedCoverage>, WarehouseError> {
        self.question(coverage)
    }

    fn closed_until(&self) -> Result<Option<Micros>, WarehouseError> {
        let text: Option<String> = self.question(|connection| meta(connection, "closed_until"))?;
        text.map(|text| {
            text.parse().map(micros).map_err(|_| self.misread(format!("`{text}` is no instant")))
        })
        .transpose()
    }

    fn judged(&self, query: &JudgedQuery) -> Result<Vec<Placed>, WarehouseError> {
        self.question(|connection| placed(connection, query))
    }

    fn coverage_since(&self, from: Micros) -> Result<Vec<FeedCoverage>, WarehouseError> {
        self.question(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT feed, pane_start, pane_seconds, share FROM coverage WHERE pane_start >= ?1 \
                    ORDER BY feed, pane_start, pane_seconds",
            )?;
            let rows = statement.query_map([units_from(from, 1)], |row| {
                Ok(FeedCoverage {
                    feed: row.get(0)?,
                    pane_start: micros(row.get(1)?),
                    pane_length: micros(row.get(2)?),
                    share: row.get(3)?,
                })
            })?;
            rows.collect()
        })
    }

    fn totals(
        &self,
        regions: &[String],
        from: Micros,
        to: Micros,
    ) -> Result<Vec<(String, u64)>, WarehouseError> {
        self.question(|connection| {
            // Panes of different lengths count the same posts: the shortest are the hours.
            let mut statement = connection.prepare_cached(
                "SELECT sum(posts) FROM denominators WHERE region = ?1 AND pane_start >= ?2 AND \
                    pane_start < ?3 AND pane_seconds = 3600",
            )?;
            let mut totals = Vec::new();
            for region in regions {
                let sum: Option<i64> = statement
                    .query_row(params![region, units_from(from, 1), units_from(to, 1)], |row| {
                        row.get(0)
                    })?;
                totals.extend(sum.map(|sum| (region.clone(), sum.unsigned_abs())));
            }
            Ok(totals)
        })
    }

    fn voices(
        &self,
        topic: &str,
        region: &str,
        from: Micros,
        to: Micros,
    ) -> Result<Voices, WarehouseError> {
        self.question(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT coalesce(sum(posts), 0), coalesce(sum(authors), 0), \
                    coalesce(sum(authors_self), 0), coalesce(sum(posts_news), 0)
                 FROM counts WHERE topic = ?1 AND region = ?2 AND pane_start >= ?3 AND pane_start \
                 < ?4",
            )?;
            statement.query_row(
                params![topic, region, units_from(from, 1), units_from(to, 1)],
                |row| {
                    let sum = |column| row.get::<_, i64>(column).map(i64::unsigned_abs);
                    Ok(Voices {
                        posts: sum(0)?,
                        authors: sum(1)?,
                        authors_self: sum(2)?,
                        news: sum(3)?,
                    })
                },
            )
        })
    }

    fn published(
        &self,
        topics: &[String],
        region: Option<&str>,
        from: Micros,
    ) -> Result<Vec<Published>, WarehouseError> {
        self.question(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT topic, region, level, day, accounts FROM public_counts
                 WHERE topic = ?1 AND (?2 IS NULL OR region = ?2) AND day >= ?3 ORDER BY region, \
                 day",
            )?;
            let mut topics: Vec<&String> = topics.iter().collect();
            topics.sort();
            topics.dedup();
            let mut published = Vec::new();
            for topic in topics {
                let rows =
                    statement.query_map(params![topic, region, units_from(from, 1)], |row| {
                        Ok(Published {
                            topic: row.get(0)?,
                            region: row.get(1)?,
                            level: row.get(2)?,
                            day: micros(row.get(3)?),
                            accounts: row.get(4)?,
                        })
                    })?;
                for row in rows {
                    published.push(row?);
                }
            }
            Ok(published)
        })
    }

    fn references(&self, region: &str) -> Result<Vec<Reference>, WarehouseError> {
        self.question(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT series, region, date, value, unit, source FROM reference WHERE region = ?1 \
                    ORDER BY series, date",
            )?;
            let rows = statement.query_map([region], |row| {
                Ok(Reference {
                    series: row.get(0)?,
                    region: row.get(1)?,
                    date: micros(row.get(2)?),
                    value: row.get(3)?,
                    unit: row.get(4)?,
                    source: row.get(5)?,
                })
            })?;
            rows.collect()
        })
    }

    fn export(&self, export: &Export, out: &mut dyn Write) -> Result<u64, WarehouseError> {
        self.write_out(export, out)
    }
}

impl Local {
    fn question<T>(
        &self,
        question: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, WarehouseError> {
        self.ask(|connection| question(connection).map_err(|source| self.failed("read", source)))
    }
}

fn meta(connection: &Connection, key: &str) -> rusqlite::Result<Option<String>> {
    connection
        .prepare_cached("SELECT value FROM meta WHERE key = ?1")?
        .query_row([key], |row| row.get(0))
        .optional()
}

/// Jumps from series to series along the clustered key instead of reading every cell.
fn heads(connection: &Connection) -> rusqlite::Result<Vec<SeriesHead>> {
    let mut next = connection.prepare_cached(
        "SELECT topic, region, pane_start FROM counts WHERE (topic, region, pane_start) > (?1, ?2, \
            ?3) ORDER BY topic, region, pane_start LIMIT 1",
    )?;
    let mut last = connection.prepare_cached(
        "SELECT level, pane_seconds, pane_start, newest_us FROM counts WHERE topic = ?1 AND region \
            = ?2 ORDER BY pane_start DESC LIMIT 1",
    )?;
    let mut heads: Vec<SeriesHead> = Vec::new();
    loop {
        let (topic, region) = heads.last().map_or(("", ""), |head| (&head.topic, &head.region));
        let after = if heads.is_empty() { i64::MIN } else { i64::MAX };
        let found: Option<(String, String, i64)> = next
            .query_row(params![topic, region, after], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?))
            })
            .optional()?;
        let Some((topic, region, first)) = found else { return Ok(heads) };
        let head = last.query_row([&topic, &region], |row| {
            Ok(SeriesHead {
                topic: topic.clone(),
                region: region.clone(),
                level: row.get(0)?,
                pane_length: micros(row.get(1)?),
                first: micros(first),
                latest: micros(row.get(2)?),
                newest: row.get(3)?,
            })
        })?;
        heads.push(head);
    }
}

/// Latest first, one more than the limit.
fn panes(connection: &Connection, query: &SeriesQuery) -> rusqlite::Result<Vec<Cell>> {
    let mut statement = connection.prepare_cached(
        "SELECT pane_start, pane_seconds, posts, authors, authors_24h, authors_self, total_posts, \
            final FROM v_counts
         WHERE topic = ?1 AND region = ?2 AND pane_start >= ?3 AND pane_start < ?4 ORDER BY \
         pane_start DESC, pane_seconds DESC LIMIT ?5",
    )?;
    let (from, to, limit) = bounds(query);
    let rows = statement.query_map(params![query.topic, query.region, from, to, limit], |row| {
        Ok(Cell {
            start: micros(row.get(0)?),
            length: micros(row.get(1)?),
            posts: row.get(2)?,
            authors: row.get(3)?,
            authors_24h: row.get(4)?,
            authors_self: row.get(5)?,
            total_posts: row.get::<_, i64>(6)?.unsigned_abs(),
            last: row.get(7)?,
        })
    })?;
    rows.collect()
}

const JUDGED_COLUMNS: &str = "window_end, window_seconds, method, stage, observed, population, \
    expected, upperbound, pvalue, alarm, reason, \
     coverage, expected_low, expected_high, detectable_rise, provisional, version, revision";

/// Latest first, one more than the limit.
fn verdicts(connection: &Connection, query: &SeriesQuery) -> rusqlite::Result<Vec<Judged>> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {JUDGED_COLUMNS} FROM verdicts
         WHERE topic = ?1 AND region = ?2 AND window_end >= ?3 AND window_end < ?4 AND (?5 IS NULL \
         OR window_seconds = ?5)
         ORDER BY window_end DESC, window_seconds DESC, method DESC",
    ))?;
    let (from, to, _) = bounds(query);
    latest(
        statement.query(params![query.topic, query.region, from, to, query.only.map(seconds)])?,
        query.limit.saturating_add(1),
    )
}

/// A point of the clustered key each: a map is some hundred of them.
fn placed(connection: &Connection, query: &JudgedQuery) -> rusqlite::Result<Vec<Placed>> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {JUDGED_COLUMNS} FROM verdicts
         WHERE topic = ?1 AND region = ?2 AND window_end = ?3 AND (?4 IS NULL OR window_seconds = \
         ?4) ORDER BY window_seconds, method",
    ))?;
    let mut series = query.series.clone();
    series.sort();
    series.dedup();
    let mut ends: Vec<i64> = query.ends.iter().map(|end| units_from(*end, 1)).collect();
    ends.sort_unstable();
    ends.dedup();
    let length = query.length.map(seconds);
    let mut placed = Vec::new();
    for (topic, region) in &series {
        for end in &ends {
            for judged in latest(statement.query(params![topic, region, end, length])?, usize::MAX)?
            {
                placed.push(Placed { topic: topic.clone(), region: region.clone(), judged });
            }
        }
    }
    Ok(placed)
}

/// Of the stages of each verdict, which follow each other, the one with the highest version; at
/// most so many verdicts.
fn latest(mut rows: Rows<'_>, limit: usize) -> rusqlite::Result<Vec<Judged>> {
    let mut found: Vec<Judged> = Vec::new();
    let mut held = (0, 0, "");
    while let Some(row) = rows.next()? {
        let one = judged(row)?;
        let version = (row.get::<_, i64>(16)?, row.get::<_, i64>(17)?, one.stage.name());
        let is_full = found.len() == limit;
        match found.last_mut() {
            Some(last)
                if (last.end, last.length, &last.method) == (one.end, one.length, &one.method) =>
            {
                if version > held {
                    (*last, held) = (one, version);
                }
            }
            _ if is_full => break,
            _ => {
                found.push(one);
                held = version;
            }
        }
    }
    Ok(found)
}

fn judged(row: &Row) -> rusqlite::Result<Judged> {
    Ok(Judged {
        end: micros(row.get(0)?),
        length: micros(row.get(1)?),
        method: row.get(2)?,
        stage: stage(row, 3)?,
        observed: row.get(4)?,
        population: row.get::<_, i64>(5)?.unsigned_abs(),
        expected: row.get(6)?,
        upperbound: row.get(7)?,
        pvalue: row.get(8)?,
        alarm: row.get(9)?,
        reason: reason(row, 10)?,
        coverage: row.get(11)?,
        expected_low: row.get(12)?,
        expected_high: row.get(13)?,
        detectable_rise: row.get(14)?,
        provisional: row.get(15)?,
    })
}

fn bounds(query: &SeriesQuery) -> (i64, i64, i64) {
    let limit = i64::try_from(query.limit).unwrap_or(i64::MAX).saturating_add(1);
    (units_from(query.from, 1), units_from(query.to, 1), limit)
}

fn coverage(connection: &Connection) -> rusqlite::Result<Vec<FeedCoverage>> {
    let mut next = connection
        .prepare_cached("SELECT feed FROM coverage WHERE feed > ?1 ORDER BY feed LIMIT 1")?;
    let mut last = connection.prepare_cached(
        "SELECT pane_start, pane_seconds, share FROM coverage WHERE feed = ?1 ORDER BY pane_start \
            DESC, pane_seconds DESC LIMIT 1",
    )?;
    let mut feeds: Vec<FeedCoverage> = Vec::new();
    let mut before = String::new();
    while let Some(feed) = next.query_row([&before], |row| row.get::<_, String>(0)).optional()? {
        feeds.push(last.query_row([&feed], |row| {
            Ok(FeedCoverage {
                feed: feed.clone(),
                pane_start: micros(row.get(0)?),
                pane_length: micros(row.get(1)?),
                share: row.get(2)?,
            })
        })?);
        before = feed;
    }
    Ok(feeds)
}

fn events(connection: &Connection, id: &str) -> rusqlite::Result<Vec<AlertEvent>> {
    let mut statement = connection.prepare_cached(
        "SELECT alert, position, at_us, actor, state, note, revision, outcome, assignee, \
            snooze_until_us, snooze_ratio, emerged_us,
                notified_us, responded_us
         FROM alert_events WHERE alert = ?1 ORDER BY position",
    )?;
    let rows = statement.query_map([id], |row| {
        Ok(AlertEvent {
            alert: row.get(0)?,
            after: row.get(1)?,
            at: row.get(2)?,
            actor: row.get(3)?,
            state: Handling::parse(&row.get::<_, String>(4)?).unwrap_or_default(),
            note: row.get(5)?,
            revision: row.get(6)?,
            outcome: row.get::<_, Option<String>>(7)?.and_then(|name| Outcome::parse(&name)),
            assignee: row.get(8)?,
            snooze: row
                .get::<_, Option<Micros>>(9)?
                .zip(row.get(10)?)
                .map(|(until, ratio)| Snooze { until, ratio }),
            milestones: Milestones {
                emerged: row.get(11)?,
                notified: row.get(12)?,
                responded: row.get(13)?,
            },
        })
    })?;
    rows.collect()
}

fn alert(row: &Row) -> rusqlite::Result<Alert> {
    Ok(Alert {
        id: row.get(0)?,
        revision: row.get(1)?,
        topic: row.get(2)?,
        topic_name: row.get(3)?,
        region: row.get(4)?,
        regions: json(row, 5)?,
        opened_at: micros(row.get(6)?),
        fired_at: row.get(7)?,
        window_end: micros(row.get(8)?),
        window_length: micros(row.get(9)?),
        stage: stage(row, 10)?,
        state: state(row, 11)?,
        severity: row.get(12)?,
        observed: row.get(13)?,
        posts: row.get(14)?,
        population: row.get::<_, i64>(15)?.unsigned_abs(),
        expected: row.get(16)?,
        upperbound: row.get(17)?,
        recurrence: row.get(18)?,
        method: row.get(19)?,
        coverage: row.get(20)?,
        explanation: json(row, 21)?,
        version: Version(row.get::<_, i64>(22)?.unsigned_abs()),
        grounds: json(row, 23)?,
    })
}

fn stage(row: &Row, column: usize) -> rusqlite::Result<Stage> {
    let name: String = row.get(column)?;
    let stages = [Stage::Early, Stage::Closed, Stage::Final];
    stages.into_iter().find(|stage| stage.name() == name).ok_or_else(|| unknown(column, name))
}

fn reason(row: &Row, column: usize) -> rusqlite::Result<Option<Reason>> {
    let text: String = row.get(column)?;
    Reason::parse(&text).map_err(|_| unknown(column, text))
}

fn state(row: &Row, column: usize) -> rusqlite::Result<AlertState> {
    let name: String = row.get(column)?;
    let states = [AlertState::Open, AlertState::Withdrawn, AlertState::Closed];
    states.into_iter().find(|state| state.name() == name).ok_or_else(|| unknown(column, name))
}

fn unknown(column: usize, name: String) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(
        column,
        rusqlite::types::Type::Text,
        format!("unknown value `{name}`").into(),
    )
}

fn json<T: serde::de::DeserializeOwned>(row: &Row, column: usize) -> rusqlite::Result<T> {
    let text: String = row.get(column)?;
    serde_json::from_str(&text).map_err(|why| {
        rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, why.into())
    })
}
