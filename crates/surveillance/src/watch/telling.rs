//! Telling: counts as they come, and once more when nothing can change them; what is older than
//! anything needs is forgotten.

use std::collections::{BTreeMap, BTreeSet};

use record::time::{DAY, HOUR, pane_border, pane_start};
use record::{
    Count, CoverageRow, Micros, PublicCount, Record, Stage, TagCount, TopicSetting, Total, Version,
    WindowCount,
};

use super::fold::{Parts, Total as TotalParts};
use super::{CellName, HISTORY, Mode, Shared, Side, Watch, fold};
use crate::publish;

/// Denominators and coverage are kept for the longest window and the horizon, generously.
const TOTALS_KEPT: Micros = 10 * DAY;

impl Watch {
    /// Whether what began then, in panes of this length, has been told for good already.
    pub(super) fn is_final(&self, start: Micros, length: Micros) -> bool {
        self.head.cursors.get(&length).is_some_and(|cursors| start + length < cursors.last)
    }

    pub(super) fn tell_open(&mut self, version: Version, out: &mut Vec<Record>) {
        self.mark_closed_cells();
        for (topic, region, start) in std::mem::take(&mut self.head.changed_cells) {
            let length = self.topic(&topic).map_or(HOUR, |topic| topic.pane);
            if !self.is_final(start, length) {
                self.tell_cell(
                    CellName { side: Side::Open, topic: &topic, region: &region, start },
                    version,
                    out,
                );
            }
        }
        for (pane_start, key, region) in std::mem::take(&mut self.head.changed_tags) {
            let name = (key.clone(), region.clone());
            let of = |shared: &Shared| {
                shared.tags.get(&pane_start).and_then(|tags| tags.get(&name)).cloned()
            };
            let tags = of(&self.head.open).or_else(|| of(&self.head.aligned));
            let Some(posts) =
                tags.map(|parts| parts.values().sum()).filter(|_| !self.is_final(pane_start, HOUR))
            else {
                continue;
            };
            out.push(Record::TagCount(TagCount {
                key,
                region,
                pane_start,
                posts,
                last: false,
                version,
            }));
        }
        for (start, pane_length, region) in std::mem::take(&mut self.head.changed_totals) {
            let name = (region.clone(), pane_length);
            let of = |shared: &Shared| {
                shared
                    .totals
                    .get(&name)
                    .and_then(|panes| panes.get(&start))
                    .map(Parts::<TotalParts>::total)
            };
            let total = of(&self.head.open).or_else(|| of(&self.head.aligned));
            let Some(TotalParts { posts, sampled }) =
                total.filter(|_| !self.is_final(pane_start(start, HOUR), HOUR))
            else {
                continue;
            };
            out.push(Record::Total(Total {
                region,
                pane_start: start,
                pane_length,
                posts,
                last: false,
                version,
                sampled,
            }));
        }
        for (pane_start, feed) in std::mem::take(&mut self.head.changed_coverage) {
            let of = |shared: &Shared| {
                let parts = shared.coverage.get(&pane_start).and_then(|feeds| feeds.get(&feed));
                parts.and_then(|parts| parts.values().min().copied())
            };
            let covered = of(&self.head.open).or_else(|| of(&self.head.aligned));
            let Some(covered) = covered.filter(|_| !self.is_final(pane_start, HOUR)) else {
                continue;
            };
            let share = covered as f64 / HOUR as f64;
            out.push(Record::Coverage(CoverageRow {
                feed,
                pane_start,
                pane_length: HOUR,
                share,
                version,
            }));
        }
    }

    /// A cell longer than an hour says how many posts there were in all, which goes on changing
    /// when its own posts have ceased, and
    /// comes later than they do: when it has closed it is told once more, and after that with each
    /// of its denominators that changes.
    pub(super) fn mark_closed(&mut self, pane: Micros, end: Micros) {
        if self.head.mode != Mode::Live || pane <= HOUR {
            return;
        }
        for topic in self.topics(pane, end) {
            let cells =
                self.keys(&topic.id).into_iter().map(|(topic, region)| (topic, region, end - pane));
            self.head.changed_cells.extend(cells);
        }
    }

    fn mark_closed_cells(&mut self) {
        let settings = self.rules.iter().map(|rules| &rules.settings);
        let long: BTreeMap<&str, Micros> = settings
            .flat_map(|settings| &settings.topics)
            .filter(|topic| topic.pane > HOUR)
            .map(|topic| (topic.id.as_str(), topic.pane))
            .collect();
        let mut changed = BTreeSet::new();
        for (start, length, region) in &self.head.changed_totals {
            for (topic, pane) in long.iter().filter(|_| *length == HOUR) {
                let start = pane_start(*start, *pane);
                let has_closed =
                    self.head.cursors.get(pane).is_some_and(|cursors| start + pane < cursors.close);
                if has_closed
                    && self
                        .series
                        .get(&((*topic).to_owned(), region.clone()))
                        .is_some_and(|series| series.pane(Side::Open, start).is_some())
                {
                    changed.insert(((*topic).to_owned(), region.clone(), start));
                }
            }
        }
        self.head.changed_cells.extend(changed);
    }

    /// The aligned fold is asked for what is final. Of a kind with a floor nothing below it is
    /// told; what has been told before
    /// and is below it now is told as empty.
    pub(super) fn tell_cell(&mut self, name: CellName, version: Version, out: &mut Vec<Record>) {
        let CellName { side, topic, region, start } = name;
        let last = side == Side::Aligned;
        let Some(setting) = self.topic(topic) else { return };
        let (length, floor) = (setting.pane, setting.kind.floor());
        let counts_days = setting.windows.contains(&DAY);
        let key = (topic.to_owned(), region.to_owned());
        let Some(series) = self.series.get(&key) else { return };
        let Some(mut pane) = series.pane(side, start) else { return };
        let mut authors_24h = match length {
            DAY => Some(pane.authors),
            _ if length < DAY && counts_days => Some(series.authors(side, DAY, start + length)),
            _ => None,
        };
        if floor > 0 {
            let named = (key.0.clone(), key.1.clone(), start);
            pane.withhold_below(floor);
            if pane.authors.max(pane.authors_filtered) == 0 {
                if !self.head.told_cells.remove(&named) {
                    return;
                }
                pane = fold::Pane::default();
            } else if last {
                self.head.told_cells.remove(&named);
            } else {
                self.head.told_cells.insert(named);
            }
            authors_24h = authors_24h.filter(|authors| *authors >= floor);
        }
        out.push(Record::Count(Count {
            topic: key.0,
            level: self.table.level(&key.1).number(),
            pane_start: start,
            pane_length: length,
            posts: pane.posts,
            authors: pane.authors,
            authors_24h,
            authors_self: pane.authors_self,
            posts_news: pane.posts_news,
            posts_filtered: pane.posts_filtered,
            authors_filtered: pane.authors_filtered,
            total_posts: self.population(side, &key.1, start, start + length),
            last,
            newest: pane.newest,
            version,
            region: key.1,
        }));
    }

    /// Everything before `end` in panes of this length can't change any more.
    pub(super) fn make_final(
        &mut self,
        pane: Micros,
        end: Micros,
        version: Version,
        out: &mut Vec<Record>,
    ) {
        let start = end - pane;
        let topics = self.topics(pane, end);
        for topic in &topics {
            for key in self.keys(&topic.id) {
                let Some(series) = self.series.get_mut(&key) else { continue };
                if series.began_for_good.is_none() && series.aligned.pane(start).posts > 0 {
                    series.began_for_good = Some(start);
                }
            }
        }
        self.close(pane, end, Stage::Final, false, version, out);
        let longest =
            self.rules.iter().map(|rules| rules.settings.longest_window()).max().unwrap_or(0);
        for topic in &topics {
            let floor = topic.kind.floor();
            for key in self.keys(&topic.id) {
                self.tell_cell(
                    CellName { side: Side::Aligned, topic: &key.0, region: &key.1, start },
                    version,
                    out,
                );
                let Some(series) = self.series.get_mut(&key) else { continue };
                series.judged.remove(&end);
                for &length in &topic.windows {
                    let window = series.aligned.window(length, end).unwrap_or_default();
                    if window.authors > 0 {
                        series.history.put(length, end, window.authors);
                    }
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
                    series.history.forget(length, end - HISTORY);
                    for fold in [&mut series.aligned, &mut series.open] {
                        fold.windows.remove(&(length, end));
                    }
                }
                // Both folds say the same of it by now.
                series.open.panes.remove(&start);
                if series
                    .aligned
                    .panes
                    .get(&start)
                    .is_some_and(|parts| parts.values().any(|pane| !pane.sample.is_empty()))
                {
                    series.aligned.thin_samples(end);
                }
                // Whole panes are needed as long as a window that holds them is judged.
                series.forget_panes(end - longest);
            }
        }
        if end == pane_start(end, DAY) {
            for topic in &topics {
                self.publish(topic, end, version, out);
            }
        }
        if pane == HOUR {
            self.make_shared_final(start, version, out);
            self.forget(end, version, out);
        }
    }

    /// What the public may see of the day that ends now. A day of which the log holds only a part
    /// has no number, and so no second one
    /// should the log be made anew: days are told once.
    pub(super) fn publish(
        &self,
        topic: &TopicSetting,
        end: Micros,
        version: Version,
        out: &mut Vec<Record>,
    ) {
        let is_counted = topic.windows.contains(&DAY) && topic.pane <= DAY;
        let begins_before = self.head.first_coverage.is_some_and(|first| first <= end - DAY);
        // Where the log ends in the midst of a day, panes of a day are made final all the same.
        let watermark =
            self.head.partitions.iter().filter_map(|partition| partition.watermark).max();
        let goes_on =
            |until: Option<Micros>| until.is_some_and(|until| pane_border(until, HOUR) >= end);
        if !is_counted || !begins_before || !(goes_on(watermark) || goes_on(self.last_told())) {
            return;
        }
        let span = (topic.id.clone(), String::new())..(format!("{}\0", topic.id), String::new());
        let counted = self.series.range(span).filter(|(_, series)| series.began_for_good.is_some());
        let accounts: BTreeMap<String, u32> = counted
            .map(|((_, region), series)| {
                (region.clone(), series.history.get(DAY, end).unwrap_or(0))
            })
            .collect();
        if accounts.is_empty() {
            return;
        }
        for (region, accounts) in publish::day(topic.kind, &self.table, &accounts) {
            let level = self.table.level(&region).number();
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

    /// What is older than any window that is still judged, or than any past that one is judged by.
    pub(super) fn forget(&mut self, end: Micros, version: Version, out: &mut Vec<Record>) {
        for shared in [&mut self.head.aligned, &mut self.head.open] {
            for panes in shared.totals.values_mut() {
                while panes.first_key_value().is_some_and(|(start, _)| *start < end - TOTALS_KEPT) {
                    panes.pop_first();
                }
            }
            shared.totals.retain(|_, panes| !panes.is_empty());
            while shared
                .coverage
                .first_key_value()
                .is_some_and(|(start, _)| *start + HOUR <= end - HISTORY)
            {
                shared.coverage.pop_first();
            }
        }
        self.head.denominators.forget(end - HISTORY);
        let longest =
            self.rules.iter().map(|rules| rules.settings.longest_window()).max().unwrap_or(0);
        for series in self.series.values_mut() {
            series.forget(end, longest);
        }
        if end == pane_start(end, DAY) {
            self.forget_series(end);
        }
        let pane_longest = self
            .rules
            .iter()
            .flat_map(|rules| &rules.settings.topics)
            .map(|topic| topic.pane)
            .max()
            .unwrap_or(HOUR);
        self.head.told_cells.retain(|(_, _, start)| start + pane_longest >= end);
        self.views.retain(|(_, known), _| *known > end - DAY);
        self.head.exclusions.retain(|excluded| excluded.what.to > end - HISTORY);
        while self.rules.get(1).is_some_and(|next| next.settings.from <= end - HISTORY) {
            self.rules.remove(0);
            self.relearn();
            let rules = &self.rules;
            self.series.retain(|(topic, _), _| {
                rules.iter().any(|rules| rules.settings.topic(topic).is_some())
            });
        }
        // Nobody judges what newer settings have dropped: its episodes end by themselves.
        let Some(rules) = self.rules(end - 1).cloned() else { return };
        self.head.episodes.quiet_others(|topic| rules.settings.topic(topic).is_some(), end);
        self.head.episodes.tell(version, out);
    }

    /// Series without a post for as long as baselines reach are none any more: one that comes back
    /// begins anew.
    pub(super) fn forget_series(&mut self, end: Micros) {
        self.series.retain(|_, series| {
            !series.is_empty() || series.latest.is_some_and(|latest| latest > end - HISTORY)
        });
    }

    pub(super) fn make_shared_final(
        &mut self,
        start: Micros,
        version: Version,
        out: &mut Vec<Record>,
    ) {
        for ((region, pane_length), panes) in &self.head.aligned.totals {
            for (pane_start, parts) in panes.range(start..start + HOUR) {
                let TotalParts { posts, sampled } = parts.total();
                if *pane_length == HOUR {
                    self.head.denominators.put(region, *pane_start, posts);
                }
                out.push(Record::Total(Total {
                    region: region.clone(),
                    pane_start: *pane_start,
                    pane_length: *pane_length,
                    posts,
                    last: true,
                    version,
                    sampled,
                }));
            }
        }
        for ((key, region), parts) in self.head.aligned.tags.remove(&start).into_iter().flatten() {
            let posts = parts.values().sum();
            out.push(Record::TagCount(TagCount {
                key,
                region,
                pane_start: start,
                posts,
                last: true,
                version,
            }));
        }
        self.head.open.tags.remove(&start);
        for (feed, parts) in self.head.aligned.coverage.get(&start).into_iter().flatten() {
            let share = parts.values().min().copied().unwrap_or(0) as f64 / HOUR as f64;
            out.push(Record::Coverage(CoverageRow {
                feed: feed.clone(),
                pane_start: start,
                pane_length: HOUR,
                share,
                version,
            }));
        }
    }
}
