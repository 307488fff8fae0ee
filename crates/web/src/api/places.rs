//! Many series at once: verdicts of one instant, maps over days, regions and what they are called,
//! coverage over time, official series.

use std::collections::{BTreeMap, BTreeSet};

use record::AlertState;
use record::region::{self, RegionTable};
use record::time::{DAY, HOUR, Micros, SECOND};
use schemars::JsonSchema;
use serde::Serialize;
use warehouse::{AlertQuery, FeedCoverage, Hold, JudgedQuery, Placed, SeriesHead};

use super::{ALERTS_MAX, Answer, Call, Overview, Room, WindowShown, seconds, subscriptions};
use crate::access::Role;
use crate::problem::Problem;
use crate::{AlertDelivery, DeliveryState};

/// Windows of a map: days times regions.
const CELLS_MAX: usize = 12_000;
const DAYS_DEFAULT: i64 = 28;
pub(crate) const DAYS_MAX: i64 = 90;
const COVERAGE_DEFAULT: Micros = 7 * DAY;
const COVERAGE_MAX: Micros = 62 * DAY;
/// How near to its bound a window must have come to be named among those that fell below it.
const NEAR: f64 = 0.6;
const NEAR_MAX: usize = 25;

#[derive(Serialize, JsonSchema)]
pub(crate) struct Regions {
    simulated: bool,
    regions: Vec<RegionShown>,
}

#[derive(Serialize, JsonSchema)]
struct RegionShown {
    region: String,
    name: String,
    /// -1 world and overlays, 0 country, 1 first level, 2 operator's own.
    level: i8,
    parent: Option<String>,
}

/// `GET /api/v1/regions?language=`: regions with counts, their names in a language, and what they
/// are part of.
pub(crate) async fn regions(call: Call) -> Answer {
    let language = call.text("language").unwrap_or_else(|| "en".to_owned());
    let overview = call.room.overview().await?;
    let levels: BTreeMap<&str, i8> =
        overview.heads.iter().map(|head| (head.region.as_str(), head.level)).collect();
    let regions = levels.into_iter().map(|(code, level)| RegionShown {
        region: code.to_owned(),
        name: call.room.words.region_in(code, &language),
        level,
        parent: parent(code, &overview.regions),
    });
    call.json(&Regions { simulated: call.room.web.simulated, regions: regions.collect() })
}

/// What stands above a region in the tree.
fn parent(code: &str, table: &RegionTable) -> Option<String> {
    if code == region::WORLD || code.contains(':') {
        return None;
    }
    let (path, _) = table.path(code);
    match path.rsplit('/').nth(1) {
        Some(above) => Some(above.to_owned()),
        None => Some(region::WORLD.to_owned()),
    }
}

#[derive(Serialize, JsonSchema)]
pub(crate) struct Verdicts {
    simulated: bool,
    end: Option<i64>,
    seconds: i64,
    verdicts: Vec<PlacedShown>,
}

#[derive(Serialize, JsonSchema)]
struct PlacedShown {
    topic: String,
    topic_name: String,
    region: String,
    region_name: String,
    #[serde(flatten)]
    window: WindowShown,
}

impl Overview {
    /// In the language that whoever asks wishes for.
    pub(super) fn topic_name(&self, call: &Call, id: &str) -> String {
        let named = self
            .topics
            .iter()
            .find(|topic| topic.topic == id)
            .and_then(|topic| topic.name.as_deref());
        call.room.words.topic(id, named.unwrap_or(id), call.language())
    }

    /// The end of the latest day's window that has been judged, at the given hour's phase.
    fn judged_to(&self) -> Option<Micros> {
        self.closed_until.or(self.latest).map(|until| until.div_euclid(HOUR) * HOUR)
    }
}

fn placed(call: &Call, overview: &Overview, placed: Placed) -> PlacedShown {
    PlacedShown {
        topic_name: overview.topic_name(call, &placed.topic),
        region_name: call.room.words.region_in(&placed.region, call.language()),
        topic: placed.topic,
        region: placed.region,
        window: WindowShown::from(placed.judged),
    }
}

/// `GET /api/v1/verdicts?topic=|region=&end=&seconds=`: what was judged at one instant of a topic's
/// every region, or of a region's every topic.
pub(crate) async fn verdicts(call: Call) -> Answer {
    let (topic, place) = (call.text("topic"), call.region("region"));
    if topic.is_none() && place.is_none() {
        return Err(Problem::bad_request("`topic` or `region` is missing"));
    }
    let overview = call.room.overview().await?;
    let length = call.number("seconds", 86_400).saturating_mul(SECOND);
    let end = call.instant("end")?.or_else(|| overview.judged_to());
    let fits = |head: &&SeriesHead| {
        topic.as_ref().is_none_or(|topic| head.topic == *topic)
            && place.as_ref().is_none_or(|place| head.region == *place)
    };
    let series: Vec<_> = overview
        .heads
        .iter()
        .filter(fits)
        .map(|head| (head.topic.clone(), head.region.clone()))
        .collect();
    let query = JudgedQuery { series, ends: end.into_iter().collect(), length: Some(length) };
    let found = call.room.ask(move |warehouse| warehouse.judged(&query)).await?;
    let verdicts = found.into_iter().map(|one| placed(&call, &overview, one)).collect();
    call.json(&Verdicts {
        simulated: call.room.web.simulated,
        end: seconds(end),
        seconds: length / SECOND,
        verdicts,
    })
}

#[derive(Serialize, JsonSchema)]
pub(crate) struct Map {
    simulated: bool,
    topic: String,
    topic_name: String,
    under: String,
    seconds: i64,
    /// Ends of the windows, oldest first.
    ends: Vec<i64>,
    /// Of each end the least share of posts that any feed has seen in its window.
    coverage: Vec<Option<f64>>,
    places: Vec<Place>,
}

/// A region's windows, one for each end; nothing where nothing was judged.
#[derive(Serialize, JsonSchema)]
struct Place {
    region: String,
    name: String,
    observed: Vec<Option<u32>>,
    expected: Vec<Option<f64>>,
    low: Vec<Option<f64>>,
    high: Vec<Option<f64>>,
    bound: Vec<Option<f64>>,
    population: Vec<Option<u64>>,
    /// `alarm`, `calm`, `outage` (too little was seen), `none` (no answer for another reason), or
    /// nothing.
    answer: Vec<Option<&'static str>>,
}

/// `GET /api/v1/map?topic=&under=001|DE|lang&to=&days=`: the windows of a day's length that end at
/// one hour of each day, for the countries of the world, a country's first levels, or languages.
pub(crate) async fn map(call: Call) -> Answer {
    let topic = call.text("topic").unwrap_or_default();
    let under = call.region("under").unwrap_or_else(|| region::WORLD.to_owned());
    let days = call.number("days", DAYS_DEFAULT);
    let overview = call.room.overview().await?;
    let pane =
        overview.topics.iter().find(|one| one.topic == topic).map_or(HOUR, |one| one.pane_length);
    let length = DAY.max(pane);
    let last = call.instant("to")?.or_else(|| overview.judged_to());
    let last = last.map(|last| {
        if pane > HOUR { last.div_euclid(DAY) * DAY } else { last.div_euclid(HOUR) * HOUR }
    });
    let ends: Vec<Micros> = last
        .map_or_else(Vec::new, |last| (0..days).rev().map(|back| last - back * length).collect());
    let regions = regions_below(&overview, &topic, &under);
    let regions: Vec<String> =
        regions.into_iter().take((CELLS_MAX / ends.len().max(1)).max(1)).collect();
    let query = JudgedQuery {
        series: regions.iter().map(|region| (topic.clone(), region.clone())).collect(),
        ends: ends.clone(),
        length: Some(length),
    };
    let from = ends.first().map_or(0, |first| first - length);
    let (found, panes) = call
        .room
        .ask(move |warehouse| Ok((warehouse.judged(&query)?, warehouse.coverage_since(from)?)))
        .await?;
    let mut places: BTreeMap<&str, Place> = regions
        .iter()
        .map(|code| (code.as_str(), Place::new(&call.room, code, ends.len())))
        .collect();
    for Placed { region, judged, .. } in found {
        let at = ends.iter().position(|end| *end == judged.end);
        if let (Some(place), Some(at)) = (places.get_mut(region.as_str()), at) {
            place.set(at, WindowShown::from(judged));
        }
    }
    call.json(&Map {
        simulated: call.room.web.simulated,
        topic_name: overview.topic_name(&call, &topic),
        topic,
        under,
        seconds: length / SECOND,
        coverage: ends.iter().map(|end| least_seen(&panes, end - length, *end)).collect(),
        ends: ends.iter().map(|end| end.div_euclid(SECOND)).collect(),
        places: places.into_values().collect(),
    })
}

impl Place {
    fn new(room: &Room, code: &str, windows: usize) -> Place {
        Place {
            region: code.to_owned(),
            name: room.words.region(code),
            observed: vec![None; windows],
            expected: vec![None; windows],
            low: vec![None; windows],
            high: vec![None; windows],
            bound: vec![None; windows],
            population: vec![None; windows],
            answer: vec![None; windows],
        }
    }

    fn set(&mut self, at: usize, window: WindowShown) {
        self.observed[at] = Some(window.observed);
        self.expected[at] = window.expected;
        self.low[at] = window.expected_low;
        self.high[at] = window.expected_high;
        self.bound[at] = window.upperbound;
        self.population[at] = Some(window.population);
        self.answer[at] = Some(window.answer);
    }
}

/// Those that a topic has counts for: countries, languages, or what stands right below `above`.
fn regions_below(overview: &Overview, topic: &str, above: &str) -> BTreeSet<String> {
    let is_shown = |head: &&SeriesHead| match above {
        "LANG" | "lang" => head.region.starts_with("lang:"),
        region::WORLD => head.level == 0 && head.region != region::UNLOCATED,
        above => parent(&head.region, &overview.regions).as_deref() == Some(above),
    };
    let heads = overview.heads.iter().filter(|head| head.topic == topic);
    heads.filter(is_shown).map(|head| head.region.clone()).collect()
}

/// Of the feed of which least was seen between two instants: the share of its posts.
fn least_seen(panes: &[FeedCoverage], from: Micros, to: Micros) -> Option<f64> {
    let mut feeds: BTreeMap<&str, (f64, f64)> = BTreeMap::new();
    for pane in panes.iter().filter(|pane| (from..to).contains(&pane.pane_start)) {
        let sum = feeds.entry(&pane.feed).or_default();
        *sum = (sum.0 + pane.share * pane.pane_length as f64, sum.1 + pane.pane_length as f64);
    }
    feeds.into_values().map(|(seen, all)| seen / all).min_by(f64::total_cmp)
}

#[derive(Serialize, JsonSchema)]
pub(crate) struct Coverage {
    simulated: bool,
    from: i64,
    feeds: Vec<FeedShown>,
    /// Of all posts of whole feeds in the day before `to`, the share whose place is known.
    located: Option<f64>,
    posts: Option<u64>,
}

#[derive(Serialize, JsonSchema)]
struct FeedShown {
    feed: String,
    panes: Vec<CoveragePane>,
}

#[derive(Serialize, JsonSchema)]
struct CoveragePane {
    start: i64,
    seconds: i64,
    share: f64,
}

/// `GET /api/v1/coverage?from=`: how much of each feed was seen, pane by pane, and how much of it
/// could be placed.
pub(crate) async fn coverage(call: Call) -> Answer {
    let overview = call.room.overview().await?;
    let latest = overview.latest.unwrap_or(0);
    let from = call
        .instant("from")?
        .unwrap_or_else(|| latest.saturating_sub(COVERAGE_DEFAULT))
        .max(latest.saturating_sub(COVERAGE_MAX));
    let day = latest.div_euclid(HOUR) * HOUR;
    let (panes, totals) = call
        .room
        .ask(move |warehouse| {
            let regions = [region::WORLD, region::UNLOCATED].map(str::to_owned);
            Ok((warehouse.coverage_since(from)?, warehouse.totals(&regions, day - DAY, day)?))
        })
        .await?;
    let mut feeds: Vec<FeedShown> = Vec::new();
    for pane in panes {
        if feeds.last().is_none_or(|feed| feed.feed != pane.feed) {
            feeds.push(FeedShown { feed: pane.feed.clone(), panes: Vec::new() });
        }
        let Some(feed) = feeds.last_mut() else { continue };
        feed.panes.push(CoveragePane {
            start: pane.pane_start / SECOND,
            seconds: pane.pane_length / SECOND,
            share: pane.share,
        });
    }
    let total = |code: &str| totals.iter().find(|total| total.0 == code).map(|total| total.1);
    let posts = total(region::WORLD);
    let located = posts
        .filter(|all| *all > 0)
        .map(|all| 1.0 - total(region::UNLOCATED).unwrap_or(0) as f64 / all as f64);
    call.json(&Coverage {
        simulated: call.room.web.simulated,
        from: from.div_euclid(SECOND),
        feeds,
        located,
        posts,
    })
}

#[derive(Serialize, JsonSchema)]
pub(crate) struct References {
    simulated: bool,
    region: String,
    references: Vec<ReferenceShown>,
}

#[derive(Serialize, JsonSchema)]
struct ReferenceShown {
    series: String,
    date: i64,
    value: f64,
    unit: String,
    source: String,
}

/// `GET /api/v1/references?region=`: official series that were loaded to compare a region with.
pub(crate) async fn references(call: Call) -> Answer {
    let region = call.region("region").unwrap_or_default();
    let place = region.clone();
    let found = call.room.ask(move |warehouse| warehouse.references(&place)).await?;
    let references = found.into_iter().map(|one| ReferenceShown {
        series: one.series,
        date: one.date.div_euclid(SECOND),
        value: one.value,
        unit: one.unit,
        source: one.source,
    });
    call.json(&References {
        simulated: call.room.web.simulated,
        region,
        references: references.collect(),
    })
}

#[derive(Serialize, JsonSchema)]
pub(crate) struct Below {
    simulated: bool,
    from: Option<i64>,
    to: Option<i64>,
    windows: Vec<Missed>,
    /// Alerts that found no room among those that subscriptions are sent at once, and wait for a
    /// digest; latest first.
    waiting: Vec<WaitingShown>,
}

#[derive(Serialize, JsonSchema)]
struct WaitingShown {
    alert: String,
    topic: String,
    topic_name: String,
    region: String,
    region_name: String,
    fired_at: i64,
    observed: u32,
    expected: f64,
    upperbound: f64,
    /// When the first digest leaves that takes it along.
    digest_at: i64,
    /// How many subscriptions it waits in, and to officials which.
    subscriptions: usize,
    names: Vec<String>,
}

#[derive(Serialize, JsonSchema)]
struct Missed {
    #[serde(flatten)]
    placed: PlacedShown,
    /// How many accounts more would have passed the bound.
    more_needed: u32,
}

/// `GET /api/v1/below`: windows of the last seven days that came nearest to their bound without
/// passing it, one a series, nearest first.
pub(crate) async fn below(call: Call) -> Answer {
    let overview = call.room.overview().await?;
    let to = overview.judged_to();
    let ends: Vec<Micros> =
        to.map_or_else(Vec::new, |to| (0..7).map(|day| to - day * DAY).collect());
    let series =
        overview.heads.iter().map(|head| (head.topic.clone(), head.region.clone())).collect();
    let query = JudgedQuery { series, ends, length: Some(DAY) };
    let found = call.room.ask(move |warehouse| warehouse.judged(&query)).await?;
    let mut nearest: BTreeMap<(String, String), (f64, Placed)> = BTreeMap::new();
    for one in found {
        let Some(bound) = one.judged.upperbound.filter(|_| one.judged.alarm == Some(false)) else {
            continue;
        };
        let near = f64::from(one.judged.observed) / bound.max(1.0);
        let key = (one.topic.clone(), one.region.clone());
        if near >= NEAR
            && one.judged.observed > 1
            && nearest.get(&key).is_none_or(|known| known.0 < near)
        {
            nearest.insert(key, (near, one));
        }
    }
    let mut nearest: Vec<(f64, Placed)> = nearest.into_values().collect();
    nearest.sort_by(|one, other| other.0.total_cmp(&one.0));
    let windows = nearest.into_iter().take(NEAR_MAX).map(|(_, one)| Missed {
        more_needed: needed(one.judged.observed, one.judged.upperbound),
        placed: placed(&call, &overview, one),
    });
    let (windows, waiting) = (windows.collect(), waiting(&call).await?);
    call.json(&Below {
        simulated: call.room.web.simulated,
        from: seconds(to.map(|to| to - 7 * DAY)),
        to: seconds(to),
        windows,
        waiting,
    })
}

async fn waiting(call: &Call) -> Result<Vec<WaitingShown>, Problem> {
    let mut digests: BTreeMap<String, (Micros, Vec<String>)> = BTreeMap::new();
    for (name, AlertDelivery { alert, at, .. }) in subscriptions::alert_deliveries(call)
        .await
        .into_iter()
        .filter(|(_, delivery)| delivery.state == DeliveryState::Digest)
    {
        let (first, names) = digests.entry(alert).or_insert((at, Vec::new()));
        *first = at.min(*first);
        names.push(name);
    }
    if digests.is_empty() {
        return Ok(Vec::new());
    }
    let query = AlertQuery { limit: ALERTS_MAX, ..AlertQuery::default() };
    let alerts = call
        .room
        .ask(move |warehouse| warehouse.alerts(&query))
        .await?
        .into_iter()
        .map(|entry| entry.alert);
    let waiting = alerts.filter(|alert| alert.state != AlertState::Withdrawn).filter_map(|alert| {
        let (digest_at, names) = digests.remove(&alert.id)?;
        Some(WaitingShown {
            region_name: call.room.words.region(&alert.region),
            fired_at: alert.fired_at.div_euclid(SECOND),
            observed: alert.observed,
            expected: alert.expected,
            upperbound: alert.upperbound,
            digest_at: digest_at.div_euclid(SECOND),
            subscriptions: names.len(),
            names: if call.holder.role >= Role::Official { names } else { Vec::new() },
            alert: alert.id,
            topic_name: call.room.words.topic(&alert.topic, &alert.topic_name, call.language()),
            topic: alert.topic,
            region: alert.region,
        })
    });
    Ok(waiting.collect())
}

/// How many more than were observed pass a bound.
fn needed(observed: u32, bound: Option<f64>) -> u32 {
    bound.map_or(0, |bound| ((bound.floor() as i64 + 1) - i64::from(observed)).max(0) as u32)
}

#[derive(Serialize, JsonSchema)]
pub(crate) struct WhyNot {
    simulated: bool,
    topic: String,
    region: String,
    region_name: String,
    /// The latest that was judged.
    window: Option<WindowShown>,
    /// Posts in it, as far as they are told.
    posts: u32,
    /// The least number of accounts that would have been an alert, and how many more these are.
    needed: Option<u32>,
    more_needed: Option<u32>,
    /// All that stands between the series and an alert.
    held_back: Vec<HoldShown>,
    /// The alert that it is in, and to officials the state of its delivery to each subscription.
    alert: Option<String>,
    deliveries: Vec<DeliveryShown>,
    /// Days that people took out of its baseline.
    excluded: Vec<ExcludedShown>,
}

#[derive(Serialize, JsonSchema)]
struct DeliveryShown {
    subscription: String,
    /// `told`, `at-once` (not before `at`), `digest` (that leaves at `at`) or `given-up`.
    state: &'static str,
    at: i64,
}

#[derive(Serialize, JsonSchema)]
struct ExcludedShown {
    alert: String,
    from: i64,
    to: i64,
}

#[derive(Serialize, JsonSchema)]
struct HoldShown {
    /// `bound`, `accounts`, `posts`, `ratio`, `coverage`, `no-answer`, `no-posts`, `not-judged`,
    /// `withheld`, `level`, `joined`, `withdrawn` or `on-its-way`.
    what: &'static str,
    /// In a sentence.
    says: String,
}

/// `GET /api/v1/why-not?topic=&region=`: why a series is in no alert, or that it is in one; the
/// same words as `alerts why-not`.
pub(crate) async fn why_not(call: Call) -> Answer {
    let (topic, place) = call.series();
    let why = call.room.ask(move |warehouse| warehouse::why_not(warehouse, &topic, &place)).await?;
    if let [hold @ (Hold::NothingYet | Hold::UnknownTopic { .. } | Hold::UnknownRegion { .. })] =
        why.holds.as_slice()
    {
        return Err(Problem::not_found(hold.to_string()));
    }
    let deliveries = match &why.alert {
        Some(alert) if call.holder.role >= Role::Official => {
            let of_alert = subscriptions::alert_deliveries(&call)
                .await
                .into_iter()
                .filter(|(_, delivery)| delivery.alert == alert.id);
            of_alert
                .map(|(subscription, delivery)| DeliveryShown {
                    subscription,
                    state: delivery.state.name(),
                    at: delivery.at.div_euclid(SECOND),
                })
                .collect()
        }
        _ => Vec::new(),
    };
    let excluded = why.excluded.iter();
    let excluded = excluded.map(|one| ExcludedShown {
        alert: one.alert.clone(),
        from: one.from.div_euclid(SECOND),
        to: one.to.div_euclid(SECOND),
    });
    call.json(&WhyNot {
        deliveries,
        excluded: excluded.collect(),
        simulated: call.room.web.simulated,
        region_name: call.room.words.region(&why.region),
        posts: why.posts,
        needed: why.needed,
        more_needed: why.more(),
        held_back: why
            .holds
            .iter()
            .map(|hold| HoldShown { what: hold.name(), says: hold.to_string() })
            .collect(),
        alert: why.alert.map(|alert| alert.id),
        window: why.window.map(WindowShown::from),
        topic: why.topic,
        region: why.region,
    })
}
