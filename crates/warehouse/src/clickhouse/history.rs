//! Writer of `counts_history`: a cell at the close of its pane, and each later revision.
//!
//! A verdict that is not early closes the pane that ends with its window, and the cell enters the
//! history as it is then. A count enters when it is final, when its cell is there already in an
//! older version, or when its pane was closed while the cell was still empty. The same rules as the
//! SQLite side has, as a fold over the batch that begins with what the tables hold. Deciding again
//! after a cut decides the same: the history is written first, and what is in it already keeps its
//! version.

use std::collections::{BTreeMap, BTreeSet};

use clickhouse::error::Error;
use clickhouse::{Client, Row};
use serde::Deserialize;

use super::rows::CountRow;

pub(super) enum Step {
    Count(CountRow),
    Closed { topic: String, region: String, window_end: u32, version: u64 },
}

/// No kind of topic has longer panes.
const PANE_SECONDS_MAX: u32 = 7 * 86_400;
/// More ends of panes in one batch are requested by their range.
const ENDS_MAX: usize = 1_000;

/// Topic, region, end of the pane.
type Place = (String, String, u32);

#[derive(Debug, Default)]
struct Existing {
    /// The cell as it is now, by the length of its panes.
    cells: BTreeMap<Place, BTreeMap<u32, CountRow>>,
    /// The least version in the history.
    oldest: BTreeMap<(Place, u32), u64>,
    /// The least version of a verdict that is not early.
    closed: BTreeMap<Place, u64>,
}

#[derive(Debug, Row, Deserialize)]
struct Oldest {
    topic: String,
    region: String,
    pane_end: u32,
    pane_seconds: u32,
    version: u64,
}

#[derive(Debug, Row, Deserialize)]
struct Closed {
    topic: String,
    region: String,
    window_end: u32,
    version: u64,
}

pub(super) async fn of(client: &Client, steps: Vec<Step>) -> Result<Vec<CountRow>, Error> {
    if steps.is_empty() {
        return Ok(Vec::new());
    }
    let landed: Option<u64> = client
        .query("SELECT version FROM meta FINAL WHERE key = 'closed_until'")
        .fetch_optional()
        .await?;
    let landed = landed.and_then(|until| u32::try_from(until).ok());
    let closed_until = steps
        .iter()
        .filter_map(|step| {
            if let Step::Closed { window_end, .. } = step { Some(*window_end) } else { None }
        })
        .fold(landed, |until, end| until.max(Some(end)));
    let closed_by_now =
        |count: &CountRow, until: Option<u32>| until.is_some_and(|until| count.pane_end() <= until);

    let mut requests = Requests::default();
    let mut closings = Requests::default();
    for step in &steps {
        match step {
            // Cells of panes that are still open leave no trace, which spares the questions nearly
            // always.
            Step::Count(count) if count.last == 1 || closed_by_now(count, closed_until) => {
                requests.add(&count.topic, count.pane_end())
            }
            Step::Count(_) => {}
            Step::Closed { topic, window_end, .. } => {
                requests.add(topic, *window_end);
                closings.add(topic, *window_end);
            }
        }
    }
    let mut known = Existing::ask(client, &requests, &closings).await?;
    let mut entered = Vec::new();
    let mut until = landed;
    for step in steps {
        match step {
            Step::Count(count) => {
                if count.last == 1 || closed_by_now(&count, until) {
                    known.revise(&count, &mut entered);
                }
                known.now(count);
            }
            Step::Closed { topic, region, window_end, version } => {
                until = until.max(Some(window_end));
                known.close((topic, region, window_end), version, &mut entered);
            }
        }
    }
    Ok(entered)
}

impl Existing {
    fn revise(&mut self, count: &CountRow, entered: &mut Vec<CountRow>) {
        let place = (count.topic.clone(), count.region.clone(), count.pane_end());
        let closed_empty = self.closed.get(&place).is_some_and(|verdict| *verdict <= count.version);
        let oldest = self.oldest.get(&(place.clone(), count.pane_seconds)).copied();
        if count.last == 1 || oldest.map_or(closed_empty, |oldest| oldest < count.version) {
            self.enter(place, count.clone(), entered);
        }
    }

    fn close(&mut self, place: Place, version: u64, entered: &mut Vec<CountRow>) {
        let cells: Vec<CountRow> =
            self.cells.get(&place).into_iter().flat_map(BTreeMap::values).cloned().collect();
        for cell in cells {
            if cell.version <= version
                && !self.oldest.contains_key(&(place.clone(), cell.pane_seconds))
            {
                self.enter(place.clone(), cell, entered);
            }
        }
        self.closed
            .entry(place)
            .and_modify(|least| *least = version.min(*least))
            .or_insert(version);
    }

    fn enter(&mut self, place: Place, count: CountRow, entered: &mut Vec<CountRow>) {
        let version = count.version;
        self.oldest
            .entry((place, count.pane_seconds))
            .and_modify(|least| *least = version.min(*least))
            .or_insert(version);
        entered.push(count);
    }

    fn now(&mut self, count: CountRow) {
        let place = (count.topic.clone(), count.region.clone(), count.pane_end());
        let cells = self.cells.entry(place).or_default();
        if cells.get(&count.pane_seconds).is_none_or(|cell| cell.version <= count.version) {
            cells.insert(count.pane_seconds, count);
        }
    }

    async fn ask(
        client: &Client,
        requests: &Requests<'_>,
        closings: &Requests<'_>,
    ) -> Result<Existing, Error> {
        let mut known = Existing::default();
        if let Some(panes) = closings.condition(
            "toUInt32(pane_start) + pane_seconds",
            "pane_start",
            PANE_SECONDS_MAX,
        ) {
            let cells: Vec<CountRow> = client
                .query(&format!("SELECT ?fields FROM counts FINAL WHERE {panes}"))
                .bind(closings.topics())
                .fetch_all()
                .await?;
            cells.into_iter().for_each(|cell| known.now(cell));
        }
        if let Some(panes) = requests.condition(
            "toUInt32(pane_start) + pane_seconds",
            "pane_start",
            PANE_SECONDS_MAX,
        ) {
            let sql = format!(
                "SELECT ?fields FROM (
                     SELECT topic, region, toUInt32(toUInt32(pane_start) + pane_seconds) AS \
                     pane_end, pane_seconds, min(h.version) AS version
                     FROM counts_history AS h WHERE {panes} GROUP BY topic, region, pane_start, \
                     pane_seconds
                 )"
            );
            let oldest: Vec<Oldest> =
                client.query(&sql).bind(requests.topics()).fetch_all().await?;
            known.oldest = oldest
                .into_iter()
                .map(|Oldest { topic, region, pane_end, pane_seconds, version }| {
                    (((topic, region, pane_end), pane_seconds), version)
                })
                .collect();
        }
        if let Some(windows) = requests.condition("toUInt32(window_end)", "window_end", 0) {
            let sql = format!(
                "SELECT ?fields FROM (
                     SELECT topic, region, window_end, min(v.version) AS version
                     FROM verdicts AS v WHERE stage != 'early' AND {windows} GROUP BY topic, \
                     region, window_end
                 )"
            );
            let closed: Vec<Closed> =
                client.query(&sql).bind(requests.topics()).fetch_all().await?;
            known.closed = closed
                .into_iter()
                .map(|Closed { topic, region, window_end, version }| {
                    ((topic, region, window_end), version)
                })
                .collect();
        }
        Ok(known)
    }
}

/// Which topics and ends of panes a batch is about.
#[derive(Debug, Default)]
struct Requests<'a> {
    topics: BTreeSet<&'a str>,
    ends: BTreeSet<u32>,
}

impl<'a> Requests<'a> {
    fn add(&mut self, topic: &'a str, end: u32) {
        self.topics.insert(topic);
        self.ends.insert(end);
    }

    fn topics(&self) -> Vec<&'a str> {
        self.topics.iter().copied().collect()
    }

    /// None for an empty request. The range of the column spares months; its one placeholder is for
    /// the topics.
    fn condition(&self, end: &str, column: &str, before: u32) -> Option<String> {
        let (first, last) = (self.ends.first()?.saturating_sub(before), self.ends.last()?);
        let ends = if self.ends.len() > ENDS_MAX {
            String::new()
        } else {
            let ends: Vec<String> = self.ends.iter().map(u32::to_string).collect();
            format!(" AND {end} IN ({})", ends.join(", "))
        };
        Some(format!(
            "topic IN ? AND {column} >= toDateTime({first}, 'UTC') AND {column} <= \
                toDateTime({last}, 'UTC'){ends}"
        ))
    }
}
