//! Row types of the ClickHouse tables.
//!
//! Instants are unix seconds, as in a DateTime; what lies outside its range is cut to it, as no
//! pane of ours does.

use clickhouse::Row;
use record::reason::text_of;
use record::time::Micros;
use record::{
    Alert, AlertEvent, AlertState, Count, CoverageRow, Handling, Milestones, Outcome, PublicCount,
    Snooze, Stage, TagCount, Total, Verdict, Version, WindowCount,
};
use serde::{Deserialize, Serialize};

use crate::port::{Progress, Reference};
use crate::tables;

/// Of `counts` and of `counts_history`.
#[derive(Debug, Clone, PartialEq, Row, Serialize, Deserialize)]
pub(super) struct CountRow {
    pub(super) topic: String,
    pub(super) region: String,
    pub(super) level: i8,
    pub(super) pane_start: u32,
    pub(super) pane_seconds: u32,
    pub(super) posts: u32,
    pub(super) authors: u32,
    pub(super) authors_24h: Option<u32>,
    pub(super) authors_self: u32,
    pub(super) posts_news: u32,
    pub(super) posts_filtered: u32,
    pub(super) authors_filtered: u32,
    pub(super) total_posts: u64,
    #[serde(rename = "final")]
    pub(super) last: u8,
    pub(super) newest_us: i64,
    pub(super) version: u64,
}

impl CountRow {
    pub(super) fn pane_end(&self) -> u32 {
        self.pane_start.saturating_add(self.pane_seconds)
    }
}

impl From<&Count> for CountRow {
    fn from(count: &Count) -> CountRow {
        CountRow {
            topic: count.topic.clone(),
            region: count.region.clone(),
            level: count.level,
            pane_start: seconds(count.pane_start),
            pane_seconds: seconds(count.pane_length),
            posts: count.posts,
            authors: count.authors,
            authors_24h: count.authors_24h,
            authors_self: count.authors_self,
            posts_news: count.posts_news,
            posts_filtered: count.posts_filtered,
            authors_filtered: count.authors_filtered,
            total_posts: count.total_posts,
            last: count.last.into(),
            newest_us: count.newest,
            version: count.version.0,
        }
    }
}

#[derive(Debug, Row, Serialize)]
pub(super) struct TagCountRow {
    tag: String,
    region: String,
    pane_start: u32,
    posts: u32,
    #[serde(rename = "final")]
    last: u8,
    version: u64,
}

impl From<&TagCount> for TagCountRow {
    fn from(count: &TagCount) -> TagCountRow {
        TagCountRow {
            tag: count.key.clone(),
            region: count.region.clone(),
            pane_start: seconds(count.pane_start),
            posts: count.posts,
            last: count.last.into(),
            version: count.version.0,
        }
    }
}

#[derive(Debug, Row, Serialize)]
pub(super) struct DenominatorRow {
    region: String,
    pane_start: u32,
    pane_seconds: u32,
    posts: u64,
    total_sampled: u64,
    #[serde(rename = "final")]
    last: u8,
    version: u64,
}

impl From<&Total> for DenominatorRow {
    fn from(total: &Total) -> DenominatorRow {
        DenominatorRow {
            region: total.region.clone(),
            pane_start: seconds(total.pane_start),
            pane_seconds: seconds(total.pane_length),
            posts: total.posts,
            total_sampled: total.sampled,
            last: total.last.into(),
            version: total.version.0,
        }
    }
}

#[derive(Debug, Row, Serialize)]
pub(super) struct FeedRow {
    feed: String,
    pane_start: u32,
    pane_seconds: u32,
    share: f64,
    version: u64,
}

impl From<&CoverageRow> for FeedRow {
    fn from(coverage: &CoverageRow) -> FeedRow {
        FeedRow {
            feed: coverage.feed.clone(),
            pane_start: seconds(coverage.pane_start),
            pane_seconds: seconds(coverage.pane_length),
            share: finite(coverage.share),
            version: coverage.version.0,
        }
    }
}

#[derive(Debug, Row, Serialize)]
pub(super) struct WindowCountRow {
    topic: String,
    region: String,
    window_end: u32,
    window_seconds: u32,
    authors: u32,
    authors_self: u32,
    #[serde(rename = "final")]
    last: u8,
    version: u64,
}

impl From<&WindowCount> for WindowCountRow {
    fn from(count: &WindowCount) -> WindowCountRow {
        WindowCountRow {
            topic: count.topic.clone(),
            region: count.region.clone(),
            window_end: seconds(count.end),
            window_seconds: seconds(count.length),
            authors: count.authors,
            authors_self: count.authors_self,
            last: count.last.into(),
            version: count.version.0,
        }
    }
}

#[derive(Debug, Row, Serialize)]
pub(super) struct PublicCountRow {
    topic: String,
    region: String,
    level: i8,
    day: u16,
    accounts: Option<u32>,
    version: u64,
}

impl From<&PublicCount> for PublicCountRow {
    fn from(count: &PublicCount) -> PublicCountRow {
        PublicCountRow {
            topic: count.topic.clone(),
            region: count.region.clone(),
            level: count.level,
            day: days(count.day),
            accounts: count.accounts,
            version: count.version.0,
        }
    }
}

#[derive(Debug, Row, Serialize)]
pub(super) struct VerdictRow {
    topic: String,
    region: String,
    window_end: u32,
    window_seconds: u32,
    method: String,
    stage: &'static str,
    observed: u32,
    expected: Option<f64>,
    upperbound: Option<f64>,
    pvalue: Option<f64>,
    alarm: Option<u8>,
    reason: &'static str,
    population: u64,
    coverage: f64,
    revision: u32,
    version: u64,
    expected_low: Option<f64>,
    expected_high: Option<f64>,
    detectable_rise: Option<f64>,
    qvalue: Option<f64>,
    provisional: u8,
}

impl From<&Verdict> for VerdictRow {
    fn from(verdict: &Verdict) -> VerdictRow {
        VerdictRow {
            topic: verdict.topic.clone(),
            region: verdict.region.clone(),
            window_end: seconds(verdict.window_end),
            window_seconds: seconds(verdict.window_length),
            method: verdict.method.clone(),
            stage: verdict.stage.name(),
            observed: verdict.observed,
            expected: verdict.expected.filter(|number| number.is_finite()),
            upperbound: verdict.upperbound.filter(|number| number.is_finite()),
            pvalue: verdict.pvalue.filter(|number| number.is_finite()),
            alarm: verdict.alarm.map(u8::from),
            reason: text_of(verdict.reason),
            population: verdict.population,
            coverage: finite(verdict.coverage),
            revision: verdict.revision,
            version: verdict.version.0,
            expected_low: verdict.expected_low.filter(|number| number.is_finite()),
            expected_high: verdict.expected_high.filter(|number| number.is_finite()),
            detectable_rise: verdict.detectable_rise.filter(|number| number.is_finite()),
            qvalue: verdict.qvalue.filter(|number| number.is_finite()),
            provisional: verdict.provisional.into(),
        }
    }
}

#[derive(Debug, Row, Serialize, Deserialize)]
pub(super) struct AlertRow {
    id: String,
    revision: u32,
    topic: String,
    topic_name: String,
    region: String,
    regions: String,
    opened_at: u32,
    fired_at_us: i64,
    window_end: u32,
    window_seconds: u32,
    stage: String,
    state: String,
    severity: u8,
    observed: u32,
    posts: u32,
    population: u64,
    expected: f64,
    upperbound: f64,
    recurrence: Option<f64>,
    method: String,
    coverage: f64,
    explanation: String,
    version: u64,
    grounds: String,
}

impl From<&Alert> for AlertRow {
    fn from(alert: &Alert) -> AlertRow {
        AlertRow {
            id: alert.id.clone(),
            revision: alert.revision,
            topic: alert.topic.clone(),
            topic_name: alert.topic_name.clone(),
            region: alert.region.clone(),
            regions: serde_json::Value::from(alert.regions.as_slice()).to_string(),
            opened_at: seconds(alert.opened_at),
            fired_at_us: alert.fired_at,
            window_end: seconds(alert.window_end),
            window_seconds: seconds(alert.window_length),
            stage: alert.stage.name().to_owned(),
            state: alert.state.name().to_owned(),
            severity: alert.severity,
            observed: alert.observed,
            posts: alert.posts,
            population: alert.population,
            expected: finite(alert.expected),
            upperbound: finite(alert.upperbound),
            recurrence: alert.recurrence.filter(|number| number.is_finite()),
            method: alert.method.clone(),
            coverage: finite(alert.coverage),
            explanation: serde_json::to_string(&alert.explanation)
                .expect("it has neither maps nor numbers that JSON lacks"),
            version: alert.version.0,
            grounds: serde_json::to_string(&alert.grounds).expect("it has no maps"),
        }
    }
}

impl AlertRow {
    pub(super) fn id(&self) -> String {
        self.id.clone()
    }

    /// Says why where the row is none of ours.
    pub(super) fn read(self) -> Result<Alert, String> {
        let unreadable = |column: &str, why: serde_json::Error| {
            format!("alert `{}`, column `{column}`: {why}", self.id)
        };
        Ok(Alert {
            regions: serde_json::from_str(&self.regions)
                .map_err(|why| unreadable("regions", why))?,
            explanation: serde_json::from_str(&self.explanation)
                .map_err(|why| unreadable("explanation", why))?,
            grounds: serde_json::from_str(&self.grounds)
                .map_err(|why| unreadable("grounds", why))?,
            stage: stage(&self.stage)?,
            state: state(&self.state)?,
            id: self.id,
            revision: self.revision,
            topic: self.topic,
            topic_name: self.topic_name,
            region: self.region,
            opened_at: micros(self.opened_at),
            fired_at: self.fired_at_us,
            window_end: micros(self.window_end),
            window_length: micros(self.window_seconds),
            severity: self.severity,
            observed: self.observed,
            posts: self.posts,
            population: self.population,
            expected: self.expected,
            upperbound: self.upperbound,
            recurrence: self.recurrence,
            method: self.method,
            coverage: self.coverage,
            version: Version(self.version),
        })
    }
}

#[derive(Debug, Row, Serialize, Deserialize)]
pub(super) struct AlertEventRow {
    pub(super) alert: String,
    pub(super) position: u32,
    pub(super) at_us: i64,
    pub(super) actor: String,
    pub(super) state: String,
    pub(super) note: String,
    pub(super) revision: u32,
    pub(super) outcome: Option<String>,
    pub(super) assignee: String,
    pub(super) snooze_until_us: Option<i64>,
    pub(super) snooze_ratio: Option<f64>,
    pub(super) emerged_us: Option<i64>,
    pub(super) notified_us: Option<i64>,
    pub(super) responded_us: Option<i64>,
}

impl From<&AlertEvent> for AlertEventRow {
    fn from(event: &AlertEvent) -> AlertEventRow {
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
        } = event.clone();
        AlertEventRow {
            alert,
            position: after,
            at_us: at,
            actor,
            state: state.name().to_owned(),
            note,
            revision,
            outcome: outcome.map(|outcome| outcome.name().to_owned()),
            assignee,
            snooze_until_us: snooze.map(|snooze| snooze.until),
            snooze_ratio: snooze.map(|snooze| snooze.ratio),
            emerged_us: milestones.emerged,
            notified_us: milestones.notified,
            responded_us: milestones.responded,
        }
    }
}

impl From<AlertEventRow> for AlertEvent {
    fn from(row: AlertEventRow) -> AlertEvent {
        AlertEvent {
            alert: row.alert,
            after: row.position,
            at: row.at_us,
            actor: row.actor,
            state: Handling::parse(&row.state).unwrap_or_default(),
            note: row.note,
            revision: row.revision,
            outcome: row.outcome.as_deref().and_then(Outcome::parse),
            assignee: row.assignee,
            snooze: row
                .snooze_until_us
                .zip(row.snooze_ratio)
                .map(|(until, ratio)| Snooze { until, ratio }),
            milestones: Milestones {
                emerged: row.emerged_us,
                notified: row.notified_us,
                responded: row.responded_us,
            },
        }
    }
}

#[derive(Debug, Row, Serialize)]
pub(super) struct ReferenceRow {
    series: String,
    region: String,
    date: u16,
    value: f64,
    unit: String,
    source: String,
}

impl From<&Reference> for ReferenceRow {
    fn from(row: &Reference) -> ReferenceRow {
        ReferenceRow {
            series: row.series.clone(),
            region: row.region.clone(),
            date: days(row.date),
            value: finite(row.value),
            unit: row.unit.clone(),
            source: row.source.clone(),
        }
    }
}

#[derive(Debug, Row, Serialize, Deserialize)]
pub(super) struct ProgressRow {
    pub(super) stream: String,
    pub(super) partition: u32,
    pub(super) next: u64,
}

impl From<&Progress> for ProgressRow {
    fn from(row: &Progress) -> ProgressRow {
        ProgressRow { stream: row.stream.clone(), partition: row.partition, next: row.next }
    }
}

#[derive(Debug, Row, Serialize, Deserialize)]
pub(super) struct MetaRow {
    pub(super) key: &'static str,
    pub(super) value: String,
    pub(super) version: u64,
}

impl MetaRow {
    /// Of a number that only grows: it is its own version.
    pub(super) fn highest(key: &'static str, number: u64) -> MetaRow {
        MetaRow { key, value: number.to_string(), version: number }
    }
}

/// As in a Date.
fn days(instant: Micros) -> u16 {
    u16::try_from(instant.div_euclid(record::time::DAY).max(0)).unwrap_or(u16::MAX)
}

pub(super) fn stage(name: &str) -> Result<Stage, String> {
    let stages = [Stage::Early, Stage::Closed, Stage::Final];
    stages
        .into_iter()
        .find(|stage| stage.name() == name)
        .ok_or_else(|| format!("`{name}` is no stage"))
}

fn state(name: &str) -> Result<AlertState, String> {
    let states = [AlertState::Open, AlertState::Withdrawn, AlertState::Closed];
    states
        .into_iter()
        .find(|state| state.name() == name)
        .ok_or_else(|| format!("`{name}` is no state of an alert"))
}

pub(super) fn seconds(instant: Micros) -> u32 {
    u32::try_from(tables::seconds(instant).max(0)).unwrap_or(u32::MAX)
}

pub(super) fn micros(seconds: u32) -> Micros {
    tables::micros(seconds.into())
}

/// A column that can't be NULL holds zero for what is no number.
fn finite(number: f64) -> f64 {
    if number.is_finite() { number } else { 0.0 }
}
