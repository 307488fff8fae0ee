//! Emitter: counts as records, open ones as they change and final ones once.
//!
//! Reads the ledger; cells under the floor of their topic's kind end here. Judges nothing, and
//! knows how far time has come by the schedule alone.

use std::collections::{BTreeMap, BTreeSet};

use record::time::{DAY, HOUR, MINUTE, SECOND, pane_border, pane_start};
use record::{
    Count, CoverageRow, Micros, PublicCount, Record, TagCount, TopicSetting, Total, Version,
    WindowCount,
};
use serde::{Deserialize, Serialize};

use super::batch::Values;
use super::fold::{Pane, Parts, Total as TotalParts};
use super::ledger::{Ledger, Shared};
use super::schedule::Schedule;
use super::series::{SeriesKey, Side};
use crate::publish;

/// Open cells are emitted when the highest `at` has advanced by this.
const OPEN_EVERY: Micros = 2 * SECOND;

/// What has changed since open counts were last emitted.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Emitter {
    emitted_at: Option<Micros>,
    #[serde(skip)]
    pub(super) changed_cells: BTreeSet<CellKey>,
    #[serde(skip)]
    pub(super) changed_tags: BTreeSet<(Micros, String, String)>,
    #[serde(skip)]
    pub(super) changed_totals: BTreeSet<(Micros, Micros, String)>,
    #[serde(skip)]
    pub(super) changed_coverage: BTreeSet<(Micros, String)>,
    /// Cells of kinds with a floor that have been emitted: they are emitted as empty should they
    /// fall below it.
    #[serde(skip)]
    pub(super) emitted_cells: BTreeSet<CellKey>,
}

/// (topic, region, pane start)
pub(super) type CellKey = (String, String, Micros);

impl Emitter {
    // ---- what has changed ----

    pub(super) fn mark_changed(&mut self, values: &Values, ledger: &Ledger) {
        for ((topic, region), series) in &values.series {
            let cell = |start: Micros| (topic.clone(), region.clone(), start);
            let mut starts: Vec<Micros> = series.panes.keys().copied().collect();
            // The 24-hour authors of the pane that ends with the window.
            let pane = ledger.settings.topic(topic).map(|topic| topic.pane);
            if let Some(pane) = pane.filter(|pane| *pane <= DAY) {
                let days = series.windows.range((DAY, Micros::MIN)..=(DAY, Micros::MAX));
                starts.extend(days.map(|((_, end), _)| end - pane));
            }
            self.changed_cells.extend(starts.into_iter().map(cell));
        }
        self.changed_tags.extend(values.tags.keys().cloned());
        let totals =
            values.totals.keys().map(|(region, length, start)| (*start, *length, region.clone()));
        self.changed_totals.extend(totals);
        self.changed_coverage.extend(values.coverage.keys().cloned());
    }

    /// A cell longer than an hour has a denominator that goes on changing when its own posts have
    /// ceased, and comes later than they do: when it has closed it is emitted once more, and after
    /// that with each of its denominators that changes.
    pub(super) fn mark_closed(&mut self, pane: Micros, end: Micros, ledger: &Ledger) {
        if pane <= HOUR {
            return;
        }
        for topic in ledger.settings.topics(pane, end) {
            let keys = ledger.keys(&topic.id).into_iter();
            self.changed_cells.extend(keys.map(|(topic, region)| (topic, region, end - pane)));
        }
    }

    fn mark_closed_cells(&mut self, ledger: &Ledger, schedule: &Schedule) {
        let long: BTreeMap<&str, Micros> = ledger
            .settings
            .all_topics()
            .filter(|topic| topic.pane > HOUR)
            .map(|topic| (topic.id.as_str(), topic.pane))
            .collect();
        let mut changed = BTreeSet::new();
        for (start, length, region) in &self.changed_totals {
            for (topic, pane) in long.iter().filter(|_| *length == HOUR) {
                let start = pane_start(*start, *pane);
                let has_closed = schedule.next_close(*pane).is_some_and(|next| start + pane < next);
                let key = ((*topic).to_owned(), region.clone());
                if has_closed
                    && ledger
                        .series
                        .get(&key)
                        .is_some_and(|series| series.pane(Side::Open, start).is_some())
                {
                    changed.insert((key.0, key.1, start));
                }
            }
        }
        self.changed_cells.extend(changed);
    }

    // ---- open counts ----

    /// Emits open counts if the last ones are old enough at `at`.
    pub(super) fn emit_open(
        &mut self,
        at: Micros,
        ledger: &Ledger,
        schedule: &Schedule,
        version: Version,
        out: &mut Vec<Record>,
    ) {
        // A worker's clock may have been wrong, and set back.
        let is_due = |last: Micros| at >= last + OPEN_EVERY || at < last - MINUTE;
        if !self.emitted_at.is_none_or(is_due) {
            return;
        }
        self.emitted_at = Some(at);
        self.mark_closed_cells(ledger, schedule);
        for (topic, region, start) in std::mem::take(&mut self.changed_cells) {
            let length = ledger.settings.topic(&topic).map_or(HOUR, |topic| topic.pane);
            if !schedule.is_final(start, length) {
                self.emit_cell(ledger, Side::Open, &(topic, region), start, version, out);
            }
        }
        self.emit_open_shared(ledger, schedule, version, out);
    }

    fn emit_open_shared(
        &mut self,
        ledger: &Ledger,
        schedule: &Schedule,
        version: Version,
        out: &mut Vec<Record>,
    ) {
        let is_open = |start: Micros| !schedule.is_final(pane_start(start, HOUR), HOUR);
        for (start, key, region) in std::mem::take(&mut self.changed_tags) {
            let name = (key, region);
            let parts = latest(ledger, |shared| shared.tags.get(&start)?.get(&name));
            out.extend(
                parts
                    .filter(|_| is_open(start))
                    .map(|parts| tag_count(&name, start, parts, false, version)),
            );
        }
        for (start, length, region) in std::mem::take(&mut self.changed_totals) {
            let name = (region, length);
            let parts = latest(ledger, |shared| shared.totals.get(&name)?.get(&start));
            out.extend(
                parts
                    .filter(|_| is_open(start))
                    .map(|parts| total(&name, start, parts, false, version)),
            );
        }
        for (start, feed) in std::mem::take(&mut self.changed_coverage) {
            let parts = latest(ledger, |shared| shared.coverage.get(&start)?.get(&feed));
            out.extend(
                parts
                    .filter(|_| is_open(start))
                    .map(|parts| coverage(&feed, start, parts, version)),
            );
        }
    }

    /// Emits a cell; of the aligned fold it is final. Of a kind with a floor nothing below it is
    /// emitted; a cell that has been emitted and is below it now is emitted as empty.
    fn emit_cell(
        &mut self,
        ledger: &Ledger,
        side: Side,
        key: &SeriesKey,
        start: Micros,
        version: Version,
        out: &mut Vec<Record>,
    ) {
        let last = side == Side::Aligned;
        let Some(topic) = ledger.settings.topic(&key.0) else { return };
        let (length, floor) = (topic.pane, topic.kind.floor());
        let Some(series) = ledger.series.get(key) else { return };
        let Some(mut pane) = series.pane(side, start) else { return };
        let counts_days = topic.windows.contains(&DAY);
        let mut authors_24h = match length {
            DAY => Some(pane.authors),
            _ if length < DAY && counts_days => Some(series.authors(side, DAY, start + length)),
            _ => None,
        };
        if floor > 0 {
            let cell = (key.0.clone(), key.1.clone(), start);
            pane.withhold_below(floor);
            if pane.authors.max(pane.authors_filtered) == 0 {
                if !self.emitted_cells.remove(&cell) {
                    return;
                }
                pane = Pane::default();
            } else if last {
                self.emitted_cells.remove(&cell);
            } else {
                self.emitted_cells.insert(cell);
            }
            authors_24h = authors_24h.filter(|authors| *authors >= floor);
        }
        out.push(Record::Count(Count {
            topic: key.0.clone(),
            region: key.1.clone(),
            level: ledger.settings.table.level(&key.1).number(),
            pane_start: start,
            pane_length: length,
            posts: pane.posts,
            authors: pane.authors,
            authors_24h,
            authors_self: pane.authors_self,
            posts_news: pane.posts_news,
            posts_filtered: pane.posts_filtered,
            authors_filtered: pane.authors_filtered,
            total_posts: ledger.population(side, &key.1, start, start + length),
            last,
            newest: pane.newest,
            version,
        }));
    }

    // ---- final counts ----

    /// Makes the panes of a topic that end at `end` final, in the ledger and as records.
    pub(super) fn finish_topic(
        &mut self,
        ledger: &mut Ledger,
        topic: &TopicSetting,
        end: Micros,
        version: Version,
        out: &mut Vec<Record>,
    ) {
        let start = end - topic.pane;
        let longest = ledger.settings.longest_window();
        let floor = topic.kind.floor();
        for key in ledger.keys(&topic.id) {
            self.emit_cell(ledger, Side::Aligned, &key, start, version, out);
            let Some(series) = ledger.series.get_mut(&key) else { continue };
            series.finish(start, end, &topic.windows, longest, |length, window| {
                if window.authors > 0 && window.authors >= floor {
                    out.push(Record::WindowCount(WindowCount {
                        topic: key.0.clone(),
                        region: key.1.clone(),
                        end,
                        length,
                        authors: window.authors,
                        authors_self: if floor > 0 { 0 } else { window.authors_self },
                        last: true,
                        version,
                    }));
                }
            });
        }
    }

    /// Makes the hour that begins at `start` final for what belongs to no topic.
    pub(super) fn finish_hour(
        &self,
        ledger: &mut Ledger,
        start: Micros,
        version: Version,
        out: &mut Vec<Record>,
    ) {
        let Ledger { aligned, open, denominators, .. } = ledger;
        for (name, panes) in &aligned.totals {
            for (pane_start, parts) in panes.range(start..start + HOUR) {
                if name.1 == HOUR {
                    denominators.put(&name.0, *pane_start, parts.total().posts);
                }
                out.push(total(name, *pane_start, parts, true, version));
            }
        }
        for (name, parts) in aligned.tags.remove(&start).into_iter().flatten() {
            out.push(tag_count(&name, start, &parts, true, version));
        }
        open.tags.remove(&start);
        for (feed, parts) in aligned.coverage.get(&start).into_iter().flatten() {
            out.push(coverage(feed, start, parts, version));
        }
    }

    /// Forgets cells that end before panes that are final at `end`.
    pub(super) fn forget(&mut self, end: Micros, ledger: &Ledger) {
        let longest = ledger.settings.all_topics().map(|topic| topic.pane).max().unwrap_or(HOUR);
        self.emitted_cells.retain(|(_, _, start)| start + longest >= end);
    }
}

/// Emits what the public may see of the day that ends now. A day of which the log holds only a part
/// has no number, and so no second one should the log be read again: days are emitted once.
pub(super) fn emit_public(
    ledger: &Ledger,
    schedule: &Schedule,
    topic: &TopicSetting,
    end: Micros,
    version: Version,
    out: &mut Vec<Record>,
) {
    let is_counted = topic.windows.contains(&DAY) && topic.pane <= DAY;
    let begins_before = ledger.first_coverage.is_some_and(|first| first <= end - DAY);
    // Where the log ends in the midst of a day, panes of a day are made final all the same.
    let goes_on =
        |until: Option<Micros>| until.is_some_and(|until| pane_border(until, HOUR) >= end);
    if !is_counted
        || !begins_before
        || !(goes_on(schedule.furthest()) || goes_on(last_counted(ledger, schedule)))
    {
        return;
    }
    let accounts: BTreeMap<String, u32> = ledger
        .of_topic(&topic.id)
        .filter(|(_, series)| series.began_for_good.is_some())
        .map(|((_, region), series)| (region.clone(), series.history.get(DAY, end).unwrap_or(0)))
        .collect();
    if accounts.is_empty() {
        return;
    }
    let table = &ledger.settings.table;
    for (region, accounts) in publish::day(topic.kind, table, &accounts) {
        let level = table.level(&region).number();
        out.push(Record::PublicCount(PublicCount {
            topic: topic.id.clone(),
            region,
            level,
            day: end - DAY,
            accounts,
            version,
        }));
    }
}

/// Just after the beginning of the last pane that was counted in: a post may lie ahead of every
/// watermark.
pub(super) fn last_counted(ledger: &Ledger, schedule: &Schedule) -> Option<Micros> {
    ledger.last_start().into_iter().chain(schedule.pending_starts()).max().map(|start| start + 1)
}

/// A value of the open fold, or of the aligned one where that has the latest.
fn latest<'a, T>(ledger: &'a Ledger, of: impl Fn(&'a Shared) -> Option<T>) -> Option<T> {
    of(&ledger.open).or_else(|| of(&ledger.aligned))
}

fn tag_count(
    (key, region): &(String, String),
    pane_start: Micros,
    parts: &Parts<u32>,
    last: bool,
    version: Version,
) -> Record {
    let posts = parts.values().sum();
    let (key, region) = (key.clone(), region.clone());
    Record::TagCount(TagCount { key, region, pane_start, posts, last, version })
}

fn total(
    (region, pane_length): &(String, Micros),
    pane_start: Micros,
    parts: &Parts<TotalParts>,
    last: bool,
    version: Version,
) -> Record {
    let TotalParts { posts, sampled } = parts.total();
    let (region, pane_length) = (region.clone(), *pane_length);
    Record::Total(Total { region, pane_start, pane_length, posts, last, version, sampled })
}

fn coverage(feed: &str, pane_start: Micros, parts: &Parts<Micros>, version: Version) -> Record {
    let covered = parts.values().min().copied().unwrap_or(0);
    Record::Coverage(CoverageRow {
        feed: feed.to_owned(),
        pane_start,
        pane_length: HOUR,
        share: covered as f64 / HOUR as f64,
        version,
    })
}
