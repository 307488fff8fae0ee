//! API v1: JSON over the read port, every parameter bounded. Instants are unix seconds.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use record::time::{DAY, HOUR, Micros, SECOND};
use record::{Alert, AlertEvent};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use warehouse::{AlertEntry, AlertLine, AlertQuery, Judged, Reading, SeriesHead, SeriesQuery, TopicOverview, WarehouseError};

use crate::guard::Hosts;
use crate::problem::Problem;
use crate::words::Words;
use crate::{Counter, Web};

/// Questions under way at once; the others wait, and give up after [`PATIENCE`].
const QUESTIONS_MAX: usize = 4;
const PATIENCE: Duration = Duration::from_secs(5);
/// How old the overview of topics may be.
const OVERVIEW_AGE_MAX: Duration = Duration::from_secs(2);
const NAME_BYTES_MAX: usize = 200;
const ALERTS_DEFAULT: usize = 100;
const ALERTS_MAX: usize = 500;
const POINTS_MAX: usize = 10_000;
const SPAN_DEFAULT: Micros = 28 * DAY;
/// Alerts that carry a trend in the list, and its windows.
const TRENDS_MAX: usize = 30;
const TREND_WINDOWS: i64 = 14;
/// Baselines of seven windows are what detectors need at least.
const BASELINE_LEAST: Micros = 7 * DAY;
const GUARDBAND_USUAL: Micros = 48 * HOUR;

/// What all answers share.
pub(crate) struct Room {
    pub(crate) web: Web,
    pub(crate) words: Words,
    pub(crate) hosts: Hosts,
    questions: Semaphore,
    overview: Mutex<Option<(Instant, Arc<Overview>)>>,
    refused: Counter,
}

impl Room {
    pub(crate) fn new(web: Web, hosts: Hosts) -> Room {
        let refused =
            web.metrics.counter("pumphandle_http_questions_refused_total", "Questions that waited too long for the warehouse.", &[]);
        Room {
            words: Words::new(web.region_names.clone()),
            hosts,
            questions: Semaphore::new(QUESTIONS_MAX),
            overview: Mutex::default(),
            refused,
            web,
        }
    }

    /// Asks the warehouse on a thread that may wait.
    async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&dyn Reading) -> Result<T, WarehouseError> + Send + 'static,
    ) -> Result<T, Problem> {
        let Ok(Ok(_permit)) = tokio::time::timeout(PATIENCE, self.questions.acquire()).await else {
            self.refused.add(1);
            return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "too many questions at once, try again"));
        };
        let warehouse = self.web.warehouse.clone();
        match tokio::task::spawn_blocking(move || question(&*warehouse)).await {
            Ok(answer) => Ok(answer?),
            Err(_) => Err(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the question ended without an answer")),
        }
    }

    async fn overview(&self) -> Result<Arc<Overview>, Problem> {
        let known = self.overview.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((_, overview)) = known.filter(|(at, _)| at.elapsed() < OVERVIEW_AGE_MAX) {
            return Ok(overview);
        }
        let overview = Arc::new(self.ask(Overview::read).await?);
        *self.overview.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), overview.clone()));
        Ok(overview)
    }
}

/// What lists and the state of things are made of.
struct Overview {
    topics: Vec<TopicOverview>,
    heads: Vec<SeriesHead>,
    latest: Option<Micros>,
    feeds: Vec<warehouse::FeedCoverage>,
    /// How much history a series needs before it can be judged.
    needed: Micros,
}

impl Overview {
    fn read(warehouse: &dyn Reading) -> Result<Overview, WarehouseError> {
        let guardband = warehouse.settings()?.map_or(GUARDBAND_USUAL, |settings| settings.detect.guardband);
        Ok(Overview {
            topics: warehouse.topics()?,
            heads: warehouse.heads()?,
            latest: warehouse.latest()?,
            feeds: warehouse.coverage()?,
            needed: guardband + BASELINE_LEAST,
        })
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct AlertsParameters {
    state: Option<String>,
    topic: Option<String>,
    region: Option<String>,
    from: Option<String>,
    limit: Option<usize>,
}

#[derive(Serialize)]
struct AlertShown {
    #[serde(flatten)]
    line: AlertLine,
    region_name: String,
    /// Of `regions`, in the same order.
    region_names: Vec<String>,
    title: String,
    sentence: String,
    rest: String,
    rarity: Option<String>,
    events: Vec<EventShown>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trend: Option<Vec<TrendPoint>>,
}

#[derive(Serialize)]
struct EventShown {
    at: f64,
    actor: String,
    state: String,
    note: String,
}

#[derive(Serialize)]
struct TrendPoint {
    end: i64,
    observed: u32,
    expected: Option<f64>,
    upperbound: Option<f64>,
}

fn shown(words: &Words, alert: &Alert, events: &[AlertEvent], trend: Option<Vec<TrendPoint>>) -> AlertShown {
    let events = events.iter().map(|event| EventShown {
        at: event.at as f64 / SECOND as f64,
        actor: event.actor.clone(),
        state: event.state.name().to_owned(),
        note: event.note.clone(),
    });
    AlertShown {
        line: AlertLine::from(alert),
        region_name: words.region(&alert.region),
        region_names: alert.regions.iter().map(|code| words.region(code)).collect(),
        title: words.title(alert),
        sentence: words.sentence(alert),
        rest: words.rest(alert),
        rarity: words.rarity(alert),
        events: events.collect(),
        trend,
    }
}

/// `GET /api/v1/alerts?state=open|ended|all&topic=&region=&from=&limit=`: the latest revision of each alert, last fired first.
pub(crate) async fn alerts(State(room): State<Arc<Room>>, uri: Uri, headers: HeaderMap) -> Result<Response, Problem> {
    let parameters: AlertsParameters = parameters(&uri)?;
    let open = match parameters.state.as_deref() {
        None | Some("all") => None,
        Some("open") => Some(true),
        Some("ended") => Some(false),
        Some(_) => return Err(Problem::bad_request("`state` is `open`, `ended` or `all`")),
    };
    let limit = parameters.limit.unwrap_or(ALERTS_DEFAULT);
    if !(1..=ALERTS_MAX).contains(&limit) {
        return Err(Problem::bad_request(format!("`limit` is between 1 and {ALERTS_MAX}")));
    }
    let query = AlertQuery {
        topic: parameters.topic.map(|topic| name("topic", topic)).transpose()?,
        region: parameters.region.map(|region| name("region", region)).transpose()?.map(region_code),
        open,
        from: parameters.from.map(|from| instant("from", &from)).transpose()?,
        limit,
    };
    let entries = room
        .ask(move |warehouse| {
            let entries = warehouse.alerts(&query)?;
            let trends = entries.iter().take(TRENDS_MAX).map(|entry| trend(warehouse, &entry.alert));
            let trends = trends.collect::<Result<Vec<_>, _>>()?;
            Ok((entries, trends))
        })
        .await?;
    let (entries, trends) = entries;
    let mut trends = trends.into_iter();
    let alerts: Vec<AlertShown> =
        entries.iter().map(|AlertEntry { alert, events }| shown(&room.words, alert, events, trends.next())).collect();
    let body = serde_json::json!({ "simulated": room.web.simulated, "alerts": alerts });
    Ok(json(&headers, &body))
}

/// Windows that don't overlap, back from the alert's.
fn trend(warehouse: &dyn Reading, alert: &Alert) -> Result<Vec<TrendPoint>, WarehouseError> {
    let length = alert.window_length.max(HOUR);
    let query = SeriesQuery {
        topic: alert.topic.clone(),
        region: alert.region.clone(),
        from: alert.window_end.saturating_sub(length.saturating_mul(TREND_WINDOWS)),
        to: alert.window_end.saturating_add(SECOND),
        limit: POINTS_MAX,
    };
    let fits = |judged: &Judged| {
        judged.length == alert.window_length
            && judged.method == alert.method
            && alert.window_end.saturating_sub(judged.end) % length == 0
            && judged.alarm.is_some() // no answer is a gap
    };
    let verdicts = warehouse.series(&query)?.verdicts;
    Ok(verdicts
        .into_iter()
        .filter(fits)
        .map(|judged| TrendPoint {
            end: judged.end.div_euclid(SECOND),
            observed: judged.observed,
            expected: judged.expected,
            upperbound: judged.upperbound,
        })
        .collect())
}

/// `GET /api/v1/alerts/{id}`: an alert, all its revisions, and what people did with it.
pub(crate) async fn alert(
    State(room): State<Arc<Room>>,
    path: Result<Path<String>, axum::extract::rejection::PathRejection>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let Ok(Path(id)) = path else { return Err(Problem::bad_request("the alert's id is no text")) };
    let id = name("id", id)?;
    let story = room.ask(move |warehouse| warehouse.alert(&id)).await?;
    let Some(story) = story else { return Err(Problem::not_found("there is no alert with this id")) };
    let Some(last) = story.revisions.last() else { return Err(Problem::not_found("there is no alert with this id")) };
    let revisions: Vec<AlertShown> = story.revisions.iter().map(|alert| shown(&room.words, alert, &[], None)).collect();
    let body = serde_json::json!({
        "simulated": room.web.simulated,
        "alert": shown(&room.words, last, &story.events, None),
        "revisions": revisions,
    });
    Ok(json(&headers, &body))
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct SeriesParameters {
    topic: Option<String>,
    region: Option<String>,
    from: Option<String>,
    to: Option<String>,
}

#[derive(Serialize)]
struct PaneShown {
    start: i64,
    seconds: i64,
    posts: u32,
    authors: u32,
    authors_24h: Option<u32>,
    authors_self: u32,
    total_posts: u64,
    #[serde(rename = "final")]
    last: bool,
}

#[derive(Serialize)]
struct WindowShown {
    end: i64,
    seconds: i64,
    method: String,
    stage: record::Stage,
    observed: u32,
    expected: Option<f64>,
    upperbound: Option<f64>,
    pvalue: Option<f64>,
    alarm: Option<bool>,
    reason: String,
    coverage: f64,
    population: u64,
}

/// `GET /api/v1/series?topic=&region=&from=&to=`: panes by start and judged windows by end, in `[from, to)`;
/// without them the 28 days before the newest event.
pub(crate) async fn series(State(room): State<Arc<Room>>, uri: Uri, headers: HeaderMap) -> Result<Response, Problem> {
    let parameters: SeriesParameters = parameters(&uri)?;
    let required = |parameter: &str, value: Option<String>| {
        let value = value.ok_or_else(|| Problem::bad_request(format!("`{parameter}` is missing")))?;
        name(parameter, value)
    };
    let topic = required("topic", parameters.topic)?;
    let region = region_code(required("region", parameters.region)?);
    let from = parameters.from.map(|from| instant("from", &from)).transpose()?;
    let to = parameters.to.map(|to| instant("to", &to)).transpose()?;
    let latest = if to.is_none() { room.overview().await?.latest } else { None };
    // A window that is still open ends after the newest event.
    let to = to.or(latest.map(|latest| latest.saturating_add(8 * DAY))).unwrap_or(record::time::LATEST);
    let from = from.unwrap_or_else(|| latest.unwrap_or(to).saturating_sub(SPAN_DEFAULT));
    if from >= to {
        return Err(Problem::bad_request("`from` is not before `to`"));
    }
    let query = SeriesQuery { topic: topic.clone(), region: region.clone(), from, to, limit: POINTS_MAX };
    let series = room.ask(move |warehouse| warehouse.series(&query)).await?;
    let panes: Vec<PaneShown> = series
        .panes
        .iter()
        .map(|cell| PaneShown {
            start: cell.start.div_euclid(SECOND),
            seconds: cell.length.div_euclid(SECOND),
            posts: cell.posts,
            authors: cell.authors,
            authors_24h: cell.authors_24h,
            authors_self: cell.authors_self,
            total_posts: cell.total_posts,
            last: cell.last,
        })
        .collect();
    let windows: Vec<WindowShown> = series
        .verdicts
        .into_iter()
        .map(|judged| WindowShown {
            end: judged.end.div_euclid(SECOND),
            seconds: judged.length.div_euclid(SECOND),
            method: judged.method,
            stage: judged.stage,
            observed: judged.observed,
            expected: judged.expected,
            upperbound: judged.upperbound,
            pvalue: judged.pvalue,
            alarm: judged.alarm,
            reason: judged.reason,
            coverage: judged.coverage,
            population: judged.population,
        })
        .collect();
    let body = serde_json::json!({
        "simulated": room.web.simulated,
        "topic": topic,
        "region_name": room.words.region(&region),
        "region": region,
        "from": from.div_euclid(SECOND),
        "to": to.div_euclid(SECOND),
        "cut": series.cut,
        "panes": panes,
        "windows": windows,
    });
    Ok(json(&headers, &body))
}

/// `GET /api/v1/topics`: topics, and the regions that each has counts for.
pub(crate) async fn topics(State(room): State<Arc<Room>>, uri: Uri, headers: HeaderMap) -> Result<Response, Problem> {
    let NoParameters {} = parameters(&uri)?;
    let overview = room.overview().await?;
    let topics: Vec<_> = overview
        .topics
        .iter()
        .map(|topic| {
            let heads = overview.heads.iter().filter(|head| head.topic == topic.topic);
            let regions: Vec<_> = heads
                .map(|head| {
                    serde_json::json!({
                        "region": head.region,
                        "name": room.words.region(&head.region),
                        "level": head.level,
                        "newest": seconds(Some(head.newest)),
                    })
                })
                .collect();
            serde_json::json!({
                "topic": topic.topic,
                "name": topic.name.as_deref().unwrap_or(&topic.topic),
                "kind": topic.kind.map(record::kind::Kind::name),
                "pane_seconds": topic.pane_length.div_euclid(SECOND),
                "first": seconds(topic.first),
                "newest": seconds(topic.newest),
                "open_alerts": topic.open_alerts,
                "regions": regions,
            })
        })
        .collect();
    Ok(json(&headers, &serde_json::json!({ "simulated": room.web.simulated, "topics": topics })))
}

/// `GET /api/v1/status`: how far things have come and how much was seen.
pub(crate) async fn status(State(room): State<Arc<Room>>, uri: Uri, headers: HeaderMap) -> Result<Response, Problem> {
    let NoParameters {} = parameters(&uri)?;
    let overview = room.overview().await?;
    let first = overview.heads.iter().map(|head| head.first).min();
    let history = first.zip(overview.latest).map(|(first, latest)| (latest - first).max(0));
    let feeds: Vec<_> = overview
        .feeds
        .iter()
        .map(|feed| {
            serde_json::json!({
                "feed": feed.feed,
                "pane_start": feed.pane_start.div_euclid(SECOND),
                "pane_seconds": feed.pane_length.div_euclid(SECOND),
                "share": feed.share,
            })
        })
        .collect();
    let body = serde_json::json!({
        "version": room.web.version,
        "simulated": room.web.simulated,
        "first": seconds(first),
        "latest": seconds(overview.latest),
        "learning": history.is_none_or(|history| history < overview.needed),
        "history_seconds": history.unwrap_or(0).div_euclid(SECOND),
        "history_needed_seconds": overview.needed.div_euclid(SECOND),
        "topics": overview.topics.len(),
        "series": overview.heads.len(),
        "open_alerts": overview.topics.iter().map(|topic| u64::from(topic.open_alerts)).sum::<u64>(),
        "feeds": feeds,
    });
    Ok(json(&headers, &body))
}

/// `GET /metrics`.
pub(crate) async fn metrics(State(room): State<Arc<Room>>) -> Response {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], room.web.metrics.render()).into_response()
}

/// `GET /readyz`: a real query, and the binary's own check.
pub(crate) async fn ready(State(room): State<Arc<Room>>) -> Result<&'static str, Problem> {
    room.ask(|warehouse| warehouse.ready()).await?;
    if let Some(check) = &room.web.ready {
        check().map_err(|why| Problem::new(StatusCode::SERVICE_UNAVAILABLE, why))?;
    }
    Ok("ok\n")
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NoParameters {}

fn parameters<T: DeserializeOwned>(uri: &Uri) -> Result<T, Problem> {
    Query::try_from_uri(uri).map(|Query(parameters)| parameters).map_err(|why| Problem::bad_request(why.body_text()))
}

fn name(parameter: &str, value: String) -> Result<String, Problem> {
    if (1..=NAME_BYTES_MAX).contains(&value.len()) {
        Ok(value)
    } else {
        Err(Problem::bad_request(format!("`{parameter}` has between 1 and {NAME_BYTES_MAX} bytes")))
    }
}

/// Codes of the tree are upper-case; overlays are written as they are.
fn region_code(code: String) -> String {
    if code.contains(':') { code } else { code.to_ascii_uppercase() }
}

fn instant(parameter: &str, value: &str) -> Result<Micros, Problem> {
    record::time::parse(value).map_err(|why| Problem::bad_request(format!("`{parameter}` is {why}")))
}

fn seconds(instant: Option<Micros>) -> Option<i64> {
    instant.map(|instant| instant.div_euclid(SECOND))
}

/// An answer that a page which asks again gets only if it has changed.
fn json(headers: &HeaderMap, body: &serde_json::Value) -> Response {
    let body = body.to_string();
    let mut hasher = DefaultHasher::new();
    body.hash(&mut hasher);
    let tag = format!("W/\"{:016x}\"", hasher.finish());
    let fresh = [(header::ETAG, tag.as_str()), (header::CACHE_CONTROL, "no-cache"), (header::CONTENT_TYPE, "application/json")];
    let known = headers.get(header::IF_NONE_MATCH).and_then(|known| known.to_str().ok());
    if known.is_some_and(|known| known.split(',').any(|one| one.trim() == tag)) {
        return (StatusCode::NOT_MODIFIED, fresh).into_response();
    }
    (fresh, body).into_response()
}
