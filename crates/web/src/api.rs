//! API v1: JSON over the read port, every parameter bounded. Instants are unix seconds.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use record::alerts::{Course, Point};
use record::policy;
use record::region::RegionTable;
use record::time::{DAY, HOUR, Micros, SECOND};
use record::{Alert, AlertEvent};
use schemars::JsonSchema;
use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use warehouse::{
    AlertEntry, AlertLine, AlertQuery, Deadline, Judged, JudgedQuery, Reading, SeriesHead,
    SeriesQuery, TopicOverview, WarehouseError,
};

use self::events::News;
use self::handling::Logged;
use crate::access::{Holder, Sessions};
use crate::connections::Connections;
use crate::guard::Hosts;
use crate::limits::Limits;
use crate::problem::Problem;
use crate::words::{LANGUAGES, Words};
use crate::{AlertText, Counter, Reader, Readiness, Reason, Web};

pub(crate) mod erasures;
pub(crate) mod events;
pub(crate) mod feeds;
pub(crate) mod handling;
pub(crate) mod places;
pub(crate) mod published;
pub(crate) mod subscriptions;
pub(crate) mod tables;

/// Queries of the warehouse at once; the others wait, and give up after [`PATIENCE`].
const QUESTIONS_MAX: usize = 4;
/// Exports of which something is unsent, each with its file.
const EXPORTS_MAX: usize = 4;
/// The time for the query of `/readyz`, which has a permit of its own.
const READY_MAX: Duration = Duration::from_secs(3);
const PATIENCE: Duration = Duration::from_secs(5);
/// How old the overview of topics may be.
const OVERVIEW_AGE_MAX: Duration = Duration::from_secs(2);
const NAME_BYTES_MAX: usize = 200;
const ALERTS_DEFAULT: i64 = 100;
pub(crate) const ALERTS_MAX: usize = 500;
const POINTS_MAX: usize = 10_000;
const SPAN_DEFAULT: Micros = 28 * DAY;
/// Alerts that carry a trend in the list, and its windows.
const TRENDS_MAX: usize = 30;
const TREND_WINDOWS: i64 = 28;
/// Of fewer posts nothing is said of what is usual.
const USUAL_POSTS_LEAST: u64 = 20;
/// The history that is needed under default settings, before any have landed.
const HISTORY_USUAL: Micros = 4 * DAY;

pub(crate) type Answer = Result<Response, Problem>;

/// What all answers share.
pub(crate) struct Room {
    pub(crate) web: Web,
    pub(crate) words: Words,
    pub(crate) hosts: Hosts,
    pub(crate) sessions: Sessions,
    pub(crate) limits: Limits,
    pub(crate) connections: Arc<Connections>,
    pub(crate) news: News,
    /// API requests answered at once.
    pub(crate) requests: Arc<Semaphore>,
    pub(crate) exports: Arc<Semaphore>,
    questions: Arc<Semaphore>,
    ready: Arc<Semaphore>,
    overview: Mutex<Option<(Instant, Arc<Overview>)>>,
    refused: Counter,
    interrupted: Counter,
    pub(crate) too_many: Counter,
}

impl Room {
    pub(crate) fn readiness(&self) -> Readiness {
        self.web.ready.as_ref().map(|check| check()).unwrap_or_default()
    }

    pub(crate) fn new(web: Web, hosts: Hosts) -> Room {
        let refused = web.metrics.counter(
            "pumphandle_http_questions_refused_total",
            "Questions that waited too long for the warehouse.",
            &[],
        );
        let interrupted = web.metrics.counter(
            "pumphandle_http_queries_interrupted_total",
            "Queries stopped at their deadline.",
            &[],
        );
        let too_many = web.metrics.counter(
            "pumphandle_http_requests_refused_total",
            "Requests refused because `limits.requests` were under way.",
            &[],
        );
        Room {
            words: Words::new(web.region_names.clone(), web.topic_names.clone()),
            hosts,
            sessions: Sessions::new(web.access.clone()),
            limits: Limits::new(web.requests_a_minute),
            connections: Connections::new(
                web.connections_per_address,
                web.access.proxies.clone(),
                &web.metrics,
            ),
            news: News::new(&web.metrics),
            requests: Arc::new(Semaphore::new(web.requests_at_once)),
            exports: Arc::new(Semaphore::new(EXPORTS_MAX)),
            questions: Arc::new(Semaphore::new(QUESTIONS_MAX)),
            ready: Arc::new(Semaphore::new(1)),
            overview: Mutex::default(),
            refused,
            interrupted,
            too_many,
            web,
        }
    }

    pub(crate) fn is_proxy(&self, address: IpAddr) -> bool {
        self.sessions.believes(address)
    }

    /// Queries the warehouse on a thread that may wait.
    pub(crate) async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&dyn Reading) -> Result<T, WarehouseError> + Send + 'static,
    ) -> Result<T, Problem> {
        self.ask_within(self.web.query_max, question).await
    }

    /// As [`Room::ask`], for at most so long.
    pub(crate) async fn ask_within<T: Send + 'static>(
        &self,
        limit: Duration,
        question: impl FnOnce(&dyn Reading) -> Result<T, WarehouseError> + Send + 'static,
    ) -> Result<T, Problem> {
        self.with_permit_of(&self.questions, limit, question).await
    }

    /// Whether the warehouse answers a query, however many others wait for it.
    async fn ask_ready(&self) -> Result<(), Problem> {
        self.with_permit_of(&self.ready, READY_MAX, |warehouse| warehouse.ready()).await
    }

    /// The permit belongs to the query, not to whoever waits for it: it is given back when the
    /// query ends. A query nobody waits for any more is interrupted, as is one that takes too long.
    async fn with_permit_of<T: Send + 'static>(
        &self,
        permits: &Arc<Semaphore>,
        limit: Duration,
        question: impl FnOnce(&dyn Reading) -> Result<T, WarehouseError> + Send + 'static,
    ) -> Result<T, Problem> {
        let Ok(Ok(permit)) = tokio::time::timeout(PATIENCE, permits.clone().acquire_owned()).await
        else {
            self.refused.add(1);
            return Err(Problem::busy("too many questions at once, try again"));
        };
        let warehouse = self.web.warehouse.clone();
        let deadline = Deadline::new(limit);
        let _waiting = CancelOnDrop(deadline.clone());
        let answered = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            deadline.run(|| question(&*warehouse))
        });
        let answer = answered.await.map_err(|_| {
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the question ended without an answer")
        })?;
        answer.map_err(|error| {
            if matches!(error, WarehouseError::TimedOut { .. }) {
                self.interrupted.add(1);
            }
            Problem::from(error)
        })
    }

    pub(crate) async fn overview(&self) -> Result<Arc<Overview>, Problem> {
        let known = self.overview.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((_, overview)) = known.filter(|(at, _)| at.elapsed() < OVERVIEW_AGE_MAX) {
            return Ok(overview);
        }
        let overview = Arc::new(self.ask(Overview::read).await?);
        *self.overview.lock().unwrap_or_else(PoisonError::into_inner) =
            Some((Instant::now(), overview.clone()));
        Ok(overview)
    }
}

struct CancelOnDrop(Deadline);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

/// What lists and the state of things are made of.
pub(crate) struct Overview {
    topics: Vec<TopicOverview>,
    heads: Vec<SeriesHead>,
    regions: RegionTable,
    latest: Option<Micros>,
    /// The latest end of a window judged other than early.
    closed_until: Option<Micros>,
    /// Of the last day, panes that have passed.
    feeds: Vec<warehouse::FeedCoverage>,
    /// How much history there must be before a series can be called calm.
    needed: Micros,
    /// Codes of the operator's own regions, in upper case.
    own: BTreeSet<String>,
    /// False episodes a week that all series together may give.
    false_episodes_a_week: Option<f64>,
}

impl Overview {
    fn read(warehouse: &dyn Reading) -> Result<Overview, WarehouseError> {
        let settings = warehouse.settings()?;
        Ok(Overview {
            topics: warehouse.topics()?,
            heads: warehouse.heads()?,
            regions: settings.as_ref().map(record::Settings::region_table).unwrap_or_default(),
            latest: warehouse.latest()?,
            closed_until: warehouse.closed_until()?,
            feeds: passed(warehouse)?,
            needed: settings
                .as_ref()
                .map_or(HISTORY_USUAL, |settings| settings.detect.history_least()),
            own: settings
                .iter()
                .flat_map(|settings| &settings.regions)
                .map(|region| region.code.to_ascii_uppercase())
                .collect(),
            false_episodes_a_week: settings.map(|settings| settings.detect.false_episodes_per_week),
        })
    }
}

impl Overview {
    /// Whether a topic is watched, or was and has counts. Before anything has landed every one may
    /// be.
    pub(crate) fn knows_topic(&self, topic: &str) -> bool {
        self.knows_nothing() || self.topics.iter().any(|known| known.topic == topic)
    }

    pub(crate) fn knows_nothing(&self) -> bool {
        self.topics.is_empty()
    }

    /// Whether the public may see numbers of a topic.
    pub(crate) fn is_public_topic(&self, topic: &str) -> bool {
        self.topics.iter().any(|known| {
            known.topic == topic && known.kind.is_some_and(record::public::has_numbers)
        })
    }

    /// Whether there is such a region: of ISO 3166, of the operator's own, a language, or one that
    /// has counts.
    pub(crate) fn knows_region(&self, code: &str, words: &Words) -> bool {
        let upper = code.to_ascii_uppercase();
        let is_special = code == record::region::WORLD || code == record::region::NO_LANGUAGE;
        let has_counts = || self.heads.iter().any(|head| head.region == code);
        let in_tree = || !code.contains(':') && !self.regions.path(code).1;
        self.knows_nothing()
            || is_special
            || in_tree()
            || self.own.contains(&upper)
            || words.knows(code)
            || has_counts()
    }
}

/// The panes of the last day that have passed, or the latest of a feed that has none: what is still
/// open isn't missing.
fn passed(warehouse: &dyn Reading) -> Result<Vec<warehouse::FeedCoverage>, WarehouseError> {
    let Some(latest) = warehouse.latest()? else { return warehouse.coverage() };
    let mut panes = warehouse.coverage_since(latest.saturating_sub(DAY))?;
    panes.retain(|pane| pane.pane_start.saturating_add(pane.pane_length) <= latest);
    for feed in warehouse.coverage()? {
        if panes.iter().all(|pane| pane.feed != feed.feed) {
            panes.push(feed);
        }
    }
    Ok(panes)
}

/// A question as the table of endpoints has let it through: known parameters, each once, requested by
/// somebody who may.
pub(crate) struct Call {
    pub(crate) room: Arc<Room>,
    pub(crate) parameters: BTreeMap<String, String>,
    /// What stands in the address' place of `{…}`.
    pub(crate) path: Option<String>,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) holder: Holder,
    /// One of `limits.requests`, until the answer is made.
    pub(crate) _permit: OwnedSemaphorePermit,
}

impl Call {
    /// The first language that is wished for and known: names of topics and places come in it,
    /// where they have one.
    pub(crate) fn language(&self) -> &'static str {
        let wished = self
            .headers
            .get(header::ACCEPT_LANGUAGE)
            .and_then(|wished| wished.to_str().ok())
            .unwrap_or_default();
        let known = |wish: &str| {
            LANGUAGES.into_iter().find(|known| {
                wish.trim().get(..2).is_some_and(|wish| wish.eq_ignore_ascii_case(known))
            })
        };
        wished.split(',').find_map(known).unwrap_or(LANGUAGES[0])
    }

    fn reader(&self) -> Reader {
        Reader { language: self.language(), zone: self.text("zone").unwrap_or_default() }
    }

    /// A parameter as it was given; `routes` has checked it.
    pub(crate) fn text(&self, parameter: &str) -> Option<String> {
        self.parameters.get(parameter).cloned()
    }

    /// A region's code.
    pub(crate) fn region(&self, parameter: &str) -> Option<String> {
        self.text(parameter).map(region_code)
    }

    pub(crate) fn number(&self, parameter: &str, usual: i64) -> i64 {
        self.parameters.get(parameter).and_then(|text| text.parse().ok()).unwrap_or(usual)
    }

    /// The required topic and region.
    pub(crate) fn series(&self) -> (String, String) {
        (self.text("topic").unwrap_or_default(), self.region("region").unwrap_or_default())
    }

    pub(crate) fn instant(&self, parameter: &str) -> Result<Option<Micros>, Problem> {
        let parse = |text| {
            record::time::parse_or_date(text)
                .map_err(|why| Problem::bad_request(format!("`{parameter}` is {why}")))
        };
        self.parameters.get(parameter).map(|text| parse(text)).transpose()
    }

    /// An answer that a page which asks again gets only if it has changed.
    pub(crate) fn json<T: Serialize>(&self, body: &T) -> Answer {
        let body = serde_json::to_string(body).map_err(|_| {
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the answer can't be written")
        })?;
        let mut hasher = DefaultHasher::new();
        body.hash(&mut hasher);
        let tag = format!("W/\"{:016x}\"", hasher.finish());
        let fresh = [
            (header::ETAG, tag.as_str()),
            (header::CACHE_CONTROL, "no-cache"),
            (header::CONTENT_TYPE, "application/json"),
            (header::VARY, "accept-language"),
        ];
        let known = self.headers.get(header::IF_NONE_MATCH).and_then(|known| known.to_str().ok());
        if known.is_some_and(|known| known.split(',').any(|one| one.trim() == tag)) {
            return Ok((StatusCode::NOT_MODIFIED, fresh).into_response());
        }
        Ok((fresh, body).into_response())
    }
}

#[derive(Serialize, JsonSchema)]
pub(crate) struct Alerts {
    simulated: bool,
    alerts: Vec<AlertShown>,
    /// `after` of the next page; nothing on the last.
    next: Option<String>,
}

#[derive(Serialize, JsonSchema)]
pub(crate) struct OneAlert {
    simulated: bool,
    alert: AlertShown,
    revisions: Vec<AlertShown>,
    usual: Usual,
}

/// What was usual here in the eight weeks before it; nothing of fewer than 20 posts.
#[derive(Serialize, JsonSchema, Default)]
struct Usual {
    /// Of accounts a pane, the share that spoke of themselves.
    first_person: Option<f64>,
    posts_per_million: Option<f64>,
    /// Of posts, the share that linked to news.
    news: Option<f64>,
}

impl Usual {
    fn before(warehouse: &dyn Reading, alert: &Alert) -> Result<Usual, WarehouseError> {
        let (from, to) = (alert.opened_at - 56 * DAY, alert.opened_at);
        let voices = warehouse.voices(&alert.topic, &alert.region, from, to)?;
        if voices.posts < USUAL_POSTS_LEAST {
            return Ok(Usual::default());
        }
        let all: u64 = warehouse
            .totals(std::slice::from_ref(&alert.region), from, to)?
            .iter()
            .map(|(_, posts)| *posts)
            .sum();
        Ok(Usual {
            first_person: Some(voices.authors_self as f64 / voices.authors.max(1) as f64),
            posts_per_million: (all > 0).then(|| voices.posts as f64 * 1e6 / all as f64),
            news: Some(voices.news as f64 / voices.posts as f64),
        })
    }
}

#[derive(Serialize, JsonSchema)]
struct AlertShown {
    #[serde(flatten)]
    #[schemars(with = "serde_json::Map<String, serde_json::Value>")]
    line: AlertLine,
    region_name: String,
    /// Of `regions`, in the same order.
    region_names: Vec<String>,
    title: String,
    #[serde(flatten)]
    text: AlertText,
    /// Observed to expected.
    ratio: f64,
    /// Which of `month`, `quarter` and `year` it is rarer than: chance alone raises less than one in
    /// that time.
    rarer_than: Vec<&'static str>,
    events: Vec<Logged>,
    /// How the rise went since the alert opened; none where no window of it was judged.
    #[serde(skip_serializing_if = "Option::is_none")]
    course: Option<CourseShown>,
    /// Whether it has come to twice the ratio that it was snoozed at: then it is not snoozed any
    /// more.
    woken: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    trend: Option<Vec<TrendPoint>>,
}

/// Windows of the alert's length in its region, since it opened.
#[derive(Serialize, JsonSchema)]
struct CourseShown {
    /// `rising`, `steady`, `falling` or `ended`.
    phase: &'static str,
    peak: PointShown,
    latest: PointShown,
    /// The end of the first of the latest windows that are not in alarm.
    below_since: Option<i64>,
}

impl From<Course> for CourseShown {
    fn from(course: Course) -> CourseShown {
        CourseShown {
            phase: course.phase.name(),
            peak: course.peak.into(),
            latest: course.latest.into(),
            below_since: course.below_since.map(|since| since.div_euclid(SECOND)),
        }
    }
}

#[derive(Serialize, JsonSchema)]
struct PointShown {
    end: i64,
    observed: u32,
    expected: Option<f64>,
    upperbound: Option<f64>,
    alarm: bool,
}

impl From<Point> for PointShown {
    fn from(point: Point) -> PointShown {
        PointShown {
            end: point.end.div_euclid(SECOND),
            observed: point.observed,
            expected: point.expected,
            upperbound: point.upperbound,
            alarm: point.is_alarm,
        }
    }
}

#[derive(Serialize, JsonSchema)]
struct TrendPoint {
    end: i64,
    observed: u32,
    expected: Option<f64>,
    upperbound: Option<f64>,
    low: Option<f64>,
    high: Option<f64>,
}

fn rarer_than(alert: &Alert) -> Vec<&'static str> {
    let days = alert.recurrence.unwrap_or(0.0);
    policy::RARITIES.iter().filter(|(_, least)| days > *least).map(|(name, _)| *name).collect()
}

/// What is known of an alert beside its records.
#[derive(Default)]
struct Standing {
    woken: bool,
    course: Option<Course>,
    trend: Option<Vec<TrendPoint>>,
}

impl Standing {
    fn of(
        warehouse: &dyn Reading,
        alert: &Alert,
        events: &[AlertEvent],
    ) -> Result<Standing, WarehouseError> {
        Ok(Standing {
            woken: warehouse::woken(warehouse, alert, events)?.is_some(),
            course: warehouse::course(warehouse, alert)?,
            trend: None,
        })
    }
}

fn shown(
    room: &Room,
    reader: &Reader,
    alert: &Alert,
    events: &[AlertEvent],
    standing: Standing,
) -> AlertShown {
    let (words, language) = (&room.words, reader.language);
    let line = AlertLine::from(alert);
    AlertShown {
        line: AlertLine {
            topic_name: words.topic(&line.topic, &line.topic_name, language),
            ..line
        },
        region_name: words.region(&alert.region),
        region_names: alert.regions.iter().map(|code| words.region(code)).collect(),
        title: words.title(alert, language),
        text: (room.web.describe)(alert, standing.course.as_ref(), reader),
        ratio: alert.ratio(),
        rarer_than: rarer_than(alert),
        events: Logged::all(events),
        course: standing.course.map(CourseShown::from),
        woken: standing.woken,
        trend: standing.trend,
    }
}

/// `GET /api/v1/alerts?state=open|ended|all&order=fired|rarity&topic=&region=&from=&limit=`: the
/// latest revision of each alert, last fired first; `order=rarity` ranks those of one page.
pub(crate) async fn alerts(call: Call) -> Answer {
    let room = &call.room;
    let open = match call.text("state").as_deref() {
        None | Some("all") => None,
        Some("open") => Some(true),
        Some(_) => Some(false),
    };
    let is_ranked = call.text("order").as_deref() == Some("rarity");
    let limit = usize::try_from(call.number("limit", ALERTS_DEFAULT)).unwrap_or(0);
    let after = call.text("after").map(|cursor| -> Result<_, Problem> {
        let (at, id) = cursor
            .split_once('.')
            .ok_or_else(|| Problem::bad_request("`after` is no place in this list"))?;
        let at: Micros =
            at.parse().map_err(|_| Problem::bad_request("`after` is no place in this list"))?;
        Ok((at, id.to_owned()))
    });
    let query = AlertQuery {
        topic: call.text("topic"),
        region: call.region("region"),
        open,
        from: call.instant("from")?,
        after: after.transpose()?,
        limit,
    };
    let (entries, standings) = room
        .ask(move |warehouse| {
            let entries = warehouse.alerts(&query)?;
            let standings =
                entries.iter().enumerate().map(|(nth, AlertEntry { alert, events })| {
                    if nth < TRENDS_MAX {
                        let trend = Some(trend(warehouse, alert)?);
                        return Ok(Standing { trend, ..Standing::of(warehouse, alert, events)? });
                    }
                    let woken = warehouse::woken(warehouse, alert, events)?.is_some();
                    Ok(Standing { woken, ..Standing::default() })
                });
            let standings = standings.collect::<Result<Vec<_>, WarehouseError>>()?;
            Ok((entries, standings))
        })
        .await?;
    let reader = call.reader();
    let next = entries
        .last()
        .filter(|_| entries.len() == limit)
        .map(|last| format!("{}.{}", last.alert.fired_at, last.alert.id));
    let mut alerts: Vec<_> = entries.into_iter().zip(standings).collect();
    if is_ranked {
        alerts.sort_by(|(one, _), (other, _)| policy::rank(&one.alert, &other.alert));
    }
    let alerts = alerts.into_iter().map(|(AlertEntry { mut alert, events }, standing)| {
        // What it was computed from, and weighs most, is for its own page.
        alert.grounds.baseline = Vec::new();
        shown(room, &reader, &alert, &events, standing)
    });
    let alerts = alerts.collect();
    call.json(&Alerts { simulated: room.web.simulated, alerts, next })
}

/// Windows that don't overlap, back from the alert's: points of the key, so that a list of alerts
/// reads no whole series.
fn trend(warehouse: &dyn Reading, alert: &Alert) -> Result<Vec<TrendPoint>, WarehouseError> {
    let length = alert.window_length.max(HOUR);
    let query = JudgedQuery {
        series: vec![(alert.topic.clone(), alert.region.clone())],
        ends: (0..=TREND_WINDOWS)
            .map(|back| alert.window_end.saturating_sub(length.saturating_mul(back)))
            .collect(),
        length: Some(alert.window_length),
    };
    // What was not seen is a gap; a place with too few posts to tell calm has a count all the same.
    let fits = |judged: &Judged| {
        judged.method == alert.method && judged.reason != Some(record::Reason::Coverage)
    };
    let verdicts = warehouse.judged(&query)?.into_iter().map(|placed| placed.judged);
    Ok(verdicts
        .filter(fits)
        .map(|judged| TrendPoint {
            end: judged.end.div_euclid(SECOND),
            observed: judged.observed,
            expected: judged.expected,
            upperbound: judged.upperbound,
            low: judged.expected_low,
            high: judged.expected_high,
        })
        .collect())
}

/// `GET /api/v1/alerts/{id}`: an alert, all its revisions, and what people did with it.
pub(crate) async fn alert(call: Call) -> Answer {
    let room = &call.room;
    let id = name("id", call.path.clone().unwrap_or_default())?;
    let story = room
        .ask(move |warehouse| {
            let Some(story) = warehouse.alert(&id)? else { return Ok(None) };
            let Some(last) = story.revisions.last() else { return Ok(None) };
            let standing = Standing::of(warehouse, last, &story.events)?;
            let usual = Usual::before(warehouse, last)?;
            Ok(Some((story, standing, usual)))
        })
        .await?;
    let Some((story, standing, usual)) = story else {
        return Err(Problem::not_found("there is no alert with this id"));
    };
    let Some(last) = story.revisions.last() else {
        return Err(Problem::not_found("there is no alert with this id"));
    };
    let reader = call.reader();
    let revisions = story.revisions.iter();
    let revisions: Vec<AlertShown> =
        revisions.map(|alert| shown(room, &reader, alert, &[], Standing::default())).collect();
    let alert = shown(room, &reader, last, &story.events, standing);
    call.json(&OneAlert { simulated: room.web.simulated, alert, revisions, usual })
}

#[derive(Serialize, JsonSchema)]
pub(crate) struct Series {
    simulated: bool,
    topic: String,
    region: String,
    region_name: String,
    from: i64,
    to: i64,
    /// Whether there was more than one answer holds.
    cut: bool,
    panes: Vec<PaneShown>,
    windows: Vec<WindowShown>,
}

#[derive(Serialize, JsonSchema)]
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

impl From<&warehouse::Cell> for PaneShown {
    fn from(cell: &warehouse::Cell) -> PaneShown {
        PaneShown {
            start: cell.start.div_euclid(SECOND),
            seconds: cell.length.div_euclid(SECOND),
            posts: cell.posts,
            authors: cell.authors,
            authors_24h: cell.authors_24h,
            authors_self: cell.authors_self,
            total_posts: cell.total_posts,
            last: cell.last,
        }
    }
}

/// A judged window.
#[derive(Serialize, JsonSchema)]
pub(crate) struct WindowShown {
    end: i64,
    seconds: i64,
    method: String,
    #[schemars(with = "String")]
    stage: record::Stage,
    observed: u32,
    expected: Option<f64>,
    upperbound: Option<f64>,
    pvalue: Option<f64>,
    alarm: Option<bool>,
    /// `alarm`, `calm`, `outage` where too little was seen, or `none`.
    answer: &'static str,
    reason: &'static str,
    coverage: f64,
    population: u64,
    /// What is expected lies in here with 95 %.
    expected_low: Option<f64>,
    expected_high: Option<f64>,
    /// The smallest rise, as a multiple of what is expected, that would be in alarm with 80 %;
    /// above 10 there are too few posts to tell.
    detectable_rise: Option<f64>,
    /// From an installation's first fortnight.
    provisional: bool,
}

impl From<Judged> for WindowShown {
    fn from(judged: Judged) -> WindowShown {
        WindowShown {
            end: judged.end.div_euclid(SECOND),
            seconds: judged.length.div_euclid(SECOND),
            method: judged.method,
            stage: judged.stage,
            observed: judged.observed,
            expected: judged.expected,
            upperbound: judged.upperbound,
            pvalue: judged.pvalue,
            alarm: judged.alarm,
            answer: match judged.alarm {
                Some(true) => "alarm",
                Some(false) => "calm",
                None if judged.reason == Some(record::Reason::Coverage) => "outage",
                None => "none",
            },
            reason: record::reason::text_of(judged.reason),
            coverage: judged.coverage,
            population: judged.population,
            expected_low: judged.expected_low,
            expected_high: judged.expected_high,
            detectable_rise: judged.detectable_rise,
            provisional: judged.provisional,
        }
    }
}

/// `GET /api/v1/series?topic=&region=&from=&to=&seconds=&every=`: panes by start and judged windows
/// by end, in `[from, to)`;
/// without them the 28 days before the newest event. With `seconds` only windows of that length and
/// no panes; with `every` too, only those whose ends are so many seconds apart, back from `to`'s
/// last.
pub(crate) async fn series(call: Call) -> Answer {
    let room = &call.room;
    let (topic, region) = call.series();
    let (from, to) = (call.instant("from")?, call.instant("to")?);
    let length = call.text("seconds").map(|_| call.number("seconds", 0));
    let every = call.number("every", 1).saturating_mul(SECOND);
    let latest = if to.is_none() { room.overview().await?.latest } else { None };
    // A window that is still open ends after the newest event.
    let to =
        to.or(latest.map(|latest| latest.saturating_add(8 * DAY))).unwrap_or(record::time::LATEST);
    let from = from.unwrap_or_else(|| latest.unwrap_or(to).saturating_sub(SPAN_DEFAULT));
    if from >= to {
        return Err(Problem::bad_request("`from` is not before `to`"));
    }
    let only = length.map(|length| length.saturating_mul(SECOND));
    let query = SeriesQuery {
        topic: topic.clone(),
        region: region.clone(),
        from,
        to,
        limit: POINTS_MAX,
        only,
    };
    let series = room
        .ask(move |warehouse| match only {
            Some(length) if every >= DAY => spaced(warehouse, &query, length, every),
            _ => warehouse.series(&query),
        })
        .await?;
    let last = series.verdicts.last().map(|judged| judged.end);
    let fits = |judged: &Judged| {
        only.is_none() || last.is_some_and(|last| (last - judged.end).rem_euclid(every) == 0)
    };
    call.json(&Series {
        simulated: room.web.simulated,
        region_name: room.words.region(&region),
        topic,
        region,
        from: from.div_euclid(SECOND),
        to: to.div_euclid(SECOND),
        cut: series.cut,
        panes: series.panes.iter().map(PaneShown::from).collect(),
        windows: series.verdicts.into_iter().filter(fits).map(WindowShown::from).collect(),
    })
}

/// Windows of one length whose ends are `every` apart: points of the key, so that a year of days
/// reads no year of hours.
fn spaced(
    warehouse: &dyn Reading,
    query: &SeriesQuery,
    length: Micros,
    every: Micros,
) -> Result<warehouse::Series, WarehouseError> {
    let latest = warehouse.series(&SeriesQuery { limit: 1, ..query.clone() })?;
    let Some(last) = latest.verdicts.last().map(|judged| judged.end) else {
        return Ok(warehouse::Series::default());
    };
    let ends =
        (0..).map(|back| last - every.saturating_mul(back)).take_while(|end| *end >= query.from);
    let ends: Vec<Micros> = ends.take(query.limit + 1).collect();
    let cut = ends.len() > query.limit;
    let judged = JudgedQuery {
        series: vec![(query.topic.clone(), query.region.clone())],
        ends,
        length: Some(length),
    };
    let verdicts = warehouse.judged(&judged)?.into_iter().map(|placed| placed.judged);
    Ok(warehouse::Series { panes: Vec::new(), verdicts: verdicts.collect(), cut })
}

#[derive(Serialize, JsonSchema)]
pub(crate) struct Topics {
    simulated: bool,
    topics: Vec<TopicShown>,
}

#[derive(Serialize, JsonSchema)]
struct TopicShown {
    topic: String,
    name: String,
    kind: Option<&'static str>,
    pane_seconds: i64,
    first: Option<i64>,
    newest: Option<i64>,
    open_alerts: u32,
    /// Fewer accounts than this are never shown; none for most kinds.
    floor: u32,
    /// Of campaigns: days of every year, `04-07` or `04-24/04-30`.
    days: Vec<String>,
    regions: Vec<TopicRegion>,
}

#[derive(Serialize, JsonSchema)]
struct TopicRegion {
    region: String,
    name: String,
    level: i8,
    newest: Option<i64>,
}

/// `GET /api/v1/topics`: topics, and the regions that each has counts for.
pub(crate) async fn topics(call: Call) -> Answer {
    let overview = call.room.overview().await?;
    let shown = overview.topics.iter().map(|topic| {
        let heads = overview.heads.iter().filter(|head| head.topic == topic.topic);
        let regions = heads.map(|head| TopicRegion {
            region: head.region.clone(),
            name: call.room.words.region_in(&head.region, call.language()),
            level: head.level,
            newest: seconds(Some(head.newest)),
        });
        TopicShown {
            topic: topic.topic.clone(),
            name: overview.topic_name(&call, &topic.topic),
            kind: topic.kind.map(record::kind::Kind::name),
            pane_seconds: topic.pane_length.div_euclid(SECOND),
            first: seconds(topic.first),
            newest: seconds(topic.newest),
            open_alerts: topic.open_alerts,
            floor: topic.kind.map_or(0, record::kind::Kind::floor),
            days: call.room.web.campaigns.get(&topic.topic).cloned().unwrap_or_default(),
            regions: regions.collect(),
        }
    });
    call.json(&Topics { simulated: call.room.web.simulated, topics: shown.collect() })
}

#[derive(Serialize, JsonSchema)]
pub(crate) struct Status {
    version: String,
    simulated: bool,
    first: Option<i64>,
    latest: Option<i64>,
    /// The latest end of a window that was judged other than early.
    judged_until: Option<i64>,
    learning: bool,
    history_seconds: i64,
    history_needed_seconds: i64,
    topics: usize,
    series: usize,
    open_alerts: u64,
    false_episodes_a_week: Option<f64>,
    feeds: Vec<FeedNow>,
    /// Conditions under which the program works with less.
    degraded: Vec<Reason>,
}

/// What share of a feed's last day was seen, in panes that have passed.
#[derive(Serialize, JsonSchema)]
struct FeedNow {
    feed: String,
    pane_start: i64,
    pane_seconds: i64,
    share: f64,
}

/// `GET /api/v1/status`: how far things have come and how much was seen.
pub(crate) async fn status(call: Call) -> Answer {
    let overview = call.room.overview().await?;
    let first = overview.heads.iter().map(|head| head.first).min();
    let history = first.zip(overview.latest).map(|(first, latest)| (latest - first).max(0));
    let mut feeds: Vec<FeedNow> = Vec::new();
    for pane in &overview.feeds {
        let (start, seconds) =
            (pane.pane_start.div_euclid(SECOND), pane.pane_length.div_euclid(SECOND));
        match feeds.iter_mut().find(|feed| feed.feed == pane.feed) {
            Some(feed) => {
                let whole = feed.pane_seconds + seconds;
                feed.share = (feed.share * feed.pane_seconds as f64 + pane.share * seconds as f64)
                    / whole.max(1) as f64;
                feed.pane_start = feed.pane_start.min(start);
                feed.pane_seconds = whole;
            }
            None => feeds.push(FeedNow {
                feed: pane.feed.clone(),
                pane_start: start,
                pane_seconds: seconds,
                share: pane.share,
            }),
        }
    }
    call.json(&Status {
        version: call.room.web.version.clone(),
        simulated: call.room.web.simulated,
        first: seconds(first),
        latest: seconds(overview.latest),
        judged_until: seconds(overview.closed_until),
        learning: history.is_none_or(|history| history < overview.needed),
        history_seconds: history.unwrap_or(0).div_euclid(SECOND),
        history_needed_seconds: overview.needed.div_euclid(SECOND),
        topics: overview.topics.len(),
        series: overview.heads.len(),
        open_alerts: overview.topics.iter().map(|topic| u64::from(topic.open_alerts)).sum(),
        false_episodes_a_week: overview.false_episodes_a_week,
        feeds,
        degraded: call.room.readiness().degraded,
    })
}

/// `GET /metrics`.
pub(crate) fn metrics(room: &Room) -> Response {
    ([(header::CONTENT_TYPE, crate::monitor::METRICS_TYPE)], room.web.metrics.render())
        .into_response()
}

/// `GET /readyz`: a real query, and the conditions of the process. 503 only for what a restart can
/// mend.
pub(crate) async fn ready(room: &Room) -> Result<Response, Problem> {
    room.ask_ready().await?;
    let Readiness { failing, degraded } = room.readiness();
    if !failing.is_empty() {
        let details: Vec<String> = failing.iter().map(|reason| reason.detail.clone()).collect();
        return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, details.join("; ")));
    }
    let status = if degraded.is_empty() { "ready" } else { "degraded" };
    let body = serde_json::json!({ "status": status, "reasons": degraded });
    Ok(([(header::CONTENT_TYPE, "application/json")], format!("{body}\n")).into_response())
}

fn name(parameter: &str, value: String) -> Result<String, Problem> {
    if (1..=NAME_BYTES_MAX).contains(&value.len()) {
        Ok(value)
    } else {
        Err(Problem::bad_request(format!("`{parameter}` has between 1 and {NAME_BYTES_MAX} bytes")))
    }
}

/// Codes of the tree are upper-case; overlays are written as they are.
pub(crate) fn region_code(code: String) -> String {
    if code.contains(':') { code } else { code.to_ascii_uppercase() }
}

fn seconds(instant: Option<Micros>) -> Option<i64> {
    instant.map(|instant| instant.div_euclid(SECOND))
}
