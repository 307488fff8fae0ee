//! Tally: counts the posts of one partition and emits changes at each tick.
//!
//! Between ingest and watch: `posts` in, frames out. All rules of counting are here: identity, late
//! posts, deletions, ancestors and overlays, distinct authors, denominators, samples (design,
//! section 3). Knows no other partition, no baseline and no clock: its time is the watermark, made
//! from ticks.

mod clock;
mod distinct;
mod entry;
mod gone;
mod identity;
mod run;
mod series;
mod stored;

use std::collections::{BTreeMap, BTreeSet};

use record::kind::Kind;
use record::policy::AHEAD_MAX;
use record::pseudonym::Epoch;
use record::region::{Level, RegionTable, WORLD};
use record::time::{EARLIEST, HOUR, LATEST, MINUTE, SECOND, pane_border, pane_start};
use record::{
    FRAME_PART_BYTES, Frame, Handled, Micros, Op, PaneChange, Position, Post, PostId, Record,
    Sampled, SeriesChange, Settings, TagChange, TopicMatch, TotalChange, WindowChange,
};
use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

use crate::snapshot::ChunkName;
use clock::Clock;
pub(crate) use clock::hours_told;
use entry::Known;
use gone::Gone;
use identity::{Basis, Identities, LeftOut, Matched};
use series::{Cell, Grid, Pseudonyms, Series};

/// All changed denominators are sent when the watermark passes a multiple of this; those of a
/// frame's panes with the frame.
const TOTALS_EVERY: Micros = 10 * SECOND;

/// The panes of denominators where a crisis topic is counted in such short ones; else only hours
/// are stored.
pub(crate) const SHORT_PANE: Micros = 5 * MINUTE;

/// One partition's counts.
#[derive(Debug, Clone)]
pub struct Tally {
    head: Head,
    regions: Regions,
    grids: BTreeMap<String, (Grid, Kind)>,
    table: RegionTable,
    /// From this event time on there are denominators of short panes.
    short_from: Option<Micros>,
    gone: Gone,
    identities: Identities,
    by_author: ByAuthor,
    /// Topic → region → series.
    series: BTreeMap<String, BTreeMap<u32, Series>>,
    changed: BTreeSet<(String, u32)>,
    tags: BTreeMap<(Micros, u32, String), Counted>,
    totals: FxHashMap<(u32, Micros, Micros), Total>,
    changed_totals: Vec<(u32, Micros, Micros)>,
    changed_tags: BTreeSet<(Micros, u32, String)>,
    /// Cells of all series.
    cells_held: u64,
    known_chunks: BTreeSet<ChunkName>,
    /// Encoded bytes of a frame's part, at most.
    part_bytes: usize,
}

/// The small part of the state.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Head {
    partition: u32,
    settings: Vec<Settings>,
    clock: Clock,
    previous: Option<Position>,
    /// The first position not yet applied.
    next: Position,
    handled: Handled,
    totals_sent: Option<Micros>,
    ended: bool,
}

#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
struct Counted {
    posts: u64,
    changed: bool,
}

/// A denominator.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
struct Total {
    /// Posts, weighted by sampling factor.
    posts: u64,
    /// Each once.
    sampled: u64,
    changed: bool,
}

impl Tally {
    pub fn new(partition: u32) -> Tally {
        Tally {
            head: Head { partition, ..Head::default() },
            regions: Regions::default(),
            grids: BTreeMap::new(),
            table: RegionTable::default(),
            short_from: None,
            gone: Gone::default(),
            identities: Identities::default(),
            by_author: ByAuthor::new(),
            series: BTreeMap::new(),
            changed: BTreeSet::new(),
            tags: BTreeMap::new(),
            totals: FxHashMap::default(),
            changed_totals: Vec::new(),
            changed_tags: BTreeSet::new(),
            cells_held: 0,
            known_chunks: BTreeSet::new(),
            part_bytes: FRAME_PART_BYTES,
        }
    }

    /// The first position of the partition that has not been applied.
    pub fn next(&self) -> Position {
        self.head.next
    }

    pub fn handled(&self) -> Handled {
        self.head.handled
    }

    pub fn watermark(&self) -> Option<Micros> {
        self.head.clock.watermark()
    }

    /// Cells held, and how many the settings allow.
    pub fn cells(&self) -> (u64, u64) {
        (self.cells_held, self.cells_max())
    }

    fn cells_max(&self) -> u64 {
        self.newest_settings().map_or(u64::MAX, |settings| settings.cells_max)
    }

    /// Whether the log has ended.
    pub fn ended(&self) -> bool {
        self.head.ended
    }

    /// Takes the record at `position` in. A record that was applied before changes nothing. A frame
    /// comes out in its parts.
    pub fn apply(&mut self, position: Position, record: &Record, out: &mut Vec<Frame>) {
        if position < self.head.next {
            return;
        }
        self.head.next = position + 1;
        if self.head.ended {
            // A log that has ended takes no more.
            self.head.handled.refused += 1;
            return;
        }
        match record {
            Record::Settings(settings) => self.learn(settings.clone()),
            Record::Post(post) => self.post(post),
            Record::Tick(tick) => {
                if self.head.settings.is_empty() {
                    return;
                }
                let before = self.head.clock.watermark();
                self.head.clock.tick(tick, &self.head.settings);
                let frame = self.frame(position, tick.at, before, false);
                out.extend(frame.into_parts(self.part_bytes));
            }
            Record::End => {
                self.head.ended = true;
                let at = self.head.clock.furthest().unwrap_or_default();
                let frame = self.frame(position, at, self.watermark(), true);
                out.extend(frame.into_parts(self.part_bytes));
            }
            // Not of this stream: another program's record is no reason to stop counting.
            _ => self.head.handled.refused += 1,
        }
    }

    /// Goes on behind a record that can't be read: it is counted as refused.
    pub fn pass(&mut self, position: Position) {
        if position >= self.head.next {
            self.head.next = position + 1;
            self.head.handled.refused += 1;
        }
    }

    /// Goes on at `to`: what is before it was deleted unread. That is counted as lost, and as no
    /// tick of it has spoken for its arrivals, their coverage is 0; `settings` are those that the
    /// log holds, in case they were reported in the gap.
    pub fn skip(&mut self, to: Position, settings: Option<Settings>) {
        if to <= self.head.next {
            return;
        }
        self.head.handled.lost += to - self.head.next;
        self.head.next = to;
        if let Some(settings) = settings {
            self.learn(settings);
        }
    }

    fn learn(&mut self, settings: Settings) {
        if self.head.settings.last().is_some_and(|newest| newest.number >= settings.number) {
            return;
        }
        self.head.settings.push(settings);
        let short_until = self.short_from.unwrap_or(Micros::MAX);
        self.relearn();
        // Posts may be known already that lie beyond the beginning of these settings.
        if let Some(short_from) = self.short_from.filter(|from| *from < short_until) {
            for known in self.identities.known_between(short_from, short_until) {
                let basis = self.identities.basis(&known);
                self.count_total(&basis, known.event_time, SHORT_PANE, 1);
            }
        }
    }

    /// What follows from the settings that are held.
    fn relearn(&mut self) {
        self.grids.clear();
        self.short_from = None;
        for settings in &self.head.settings {
            for topic in &settings.topics {
                self.grids
                    .insert(topic.id.clone(), (Grid::new(topic.pane, &topic.windows), topic.kind));
                if topic.pane == SHORT_PANE
                    && self.short_from.is_none_or(|from| settings.from < from)
                {
                    self.short_from = Some(settings.from);
                }
            }
            self.table = settings.region_table();
        }
        self.series.retain(|topic, _| self.grids.contains_key(topic));
        self.cells_held = self
            .series
            .values()
            .flat_map(BTreeMap::values)
            .map(|series| series.cells.len() as u64)
            .sum();
    }

    fn newest_settings(&self) -> Option<&Settings> {
        self.head.settings.last()
    }

    fn author_epoch(&self) -> Micros {
        self.newest_settings().map_or(30 * 24 * HOUR, |settings| settings.author_epoch)
    }

    fn horizon(&self) -> Micros {
        self.newest_settings().map_or(36 * HOUR, |settings| settings.horizon)
    }

    /// Whether the pane of this length that holds this instant can take no more posts. A post is
    /// known as long as its hour can.
    fn is_final(&self, instant: Micros, length: Micros) -> bool {
        self.watermark().is_some_and(|watermark| {
            pane_start(instant, length) + length + self.horizon() <= watermark
        })
    }

    // ---- records ----

    fn post(&mut self, post: &Post) {
        match post.op {
            Op::Create => self.create(post),
            Op::Delete => {
                self.head.handled.deletes += 1;
                if let Some(alias) = post.alias {
                    self.gone.delete_alias(alias, post.arrival);
                }
                let print = (post.id != PostId::NONE).then_some(post.id.print());
                if let Some(print) = print {
                    self.gone.delete(print, post.arrival);
                }
                let by_id = print.and_then(|print| {
                    Some((self.identities.find(print, post.event_time)?.hour, print))
                });
                let by_alias: Vec<(Micros, u64)> = match post.alias {
                    // Sources whose deletions name no author are few and filtered: a walk is
                    // cheaper than an index.
                    Some(alias) => self
                        .identities
                        .matched_between(Micros::MIN, Micros::MAX)
                        .filter(|(_, matched)| !matched.deleted)
                        .map(|(print, matched)| (print, matched.post()))
                        .filter(|(_, stored)| stored.alias == Some(alias))
                        .map(|(print, stored)| (pane_start(stored.event_time, HOUR), print))
                        .collect(),
                    None => Vec::new(),
                };
                for (hour, print) in by_id.into_iter().chain(by_alias) {
                    self.review(hour, print);
                }
            }
            Op::Remove => {
                self.head.handled.removals += 1;
                for author in post.author.into_iter().chain(post.author_before) {
                    self.gone.remove_account(author.0, post.arrival);
                    let theirs = self
                        .by_author
                        .range((author.0, Micros::MIN, 0)..=(author.0, Micros::MAX, u64::MAX));
                    for (_, hour, print) in theirs.copied().collect::<Vec<_>>() {
                        self.review(hour, print);
                    }
                }
            }
            Op::Edit => self.head.handled.edits += 1,
        }
    }

    fn create(&mut self, post: &Post) {
        if post.flags.late || post.event_time < post.arrival - self.horizon() {
            self.head.handled.late += 1;
            return;
        }
        if self.is_final(post.event_time, HOUR) {
            self.head.handled.after_final += 1;
            return;
        }
        let print = post.id.print();
        if let Some(known) = self.identities.find(print, post.event_time) {
            let precedes = self.precedes(post, &known, print);
            let is_same = (known.arrival, known.event_time) == (post.arrival, post.event_time);
            // Without a place in the answer, and without a topic, nothing tells the second record
            // from the first.
            let is_answer = post.flags.by_profile
                && !post.flags.pending
                && (precedes || post.topics.is_empty());
            if is_same && is_answer {
                self.head.handled.resent += 1;
            } else {
                self.head.handled.duplicates += 1;
            }
            if !precedes {
                return;
            }
            self.take_back(&known, print);
        } else {
            self.head.handled.posts += 1;
        }
        let weight = self.weight(post);
        if !self.identities.insert(post, weight) {
            self.head.handled.refused += 1;
            return;
        }
        self.head.handled.clamped += u64::from(post.flags.clamped);
        self.count_totals(&Basis::of(post, weight), post.event_time, 1);
        if post.topics.iter().any(|hit| self.grids.contains_key(&hit.id)) {
            let hour = pane_start(post.event_time, HOUR);
            let deleted = self.gone.holds(post, self.horizon());
            let left_out = if deleted { LeftOut::default() } else { self.count(post) };
            self.identities.keep_whole(hour, print, Matched::new(post, deleted, left_out));
            remember_author(&mut self.by_author, post, print);
        }
    }

    /// Whether a record comes before the one that counts now for the same post.
    fn precedes(&self, post: &Post, known: &Known, print: u64) -> bool {
        match (post.arrival, post.event_time).cmp(&(known.arrival, known.event_time)) {
            std::cmp::Ordering::Less => return true,
            std::cmp::Ordering::Greater => return false,
            std::cmp::Ordering::Equal => {}
        }
        let weight = self.weight(post);
        if let Some(matched) = self.identities.matched(known.hour, print) {
            let counts_now = matched.post();
            // Where the rules of counting leave two records equal, what else they say decides, so
            // that their order never does.
            return match post.precedence().cmp(&counts_now.precedence()) {
                std::cmp::Ordering::Equal => {
                    matched.goes_behind((post, weight), (&counts_now, self.weight(&counts_now)))
                }
                order => order.is_lt(),
            };
        }
        let basis = self.identities.basis(known);
        let tags = |tags: &[record::Tag]| {
            tags.iter().map(|tag| (tag.key.clone(), tag.written.clone())).collect::<Vec<_>>()
        };
        let nothing: &[TopicMatch] = &[];
        let letter = (post.path(), &post.langs, tags(&post.tags), post.topics.as_slice());
        (letter, post.flags.filtered, &post.overlays, weight)
            < (
                (&basis.path, &basis.langs, tags(&basis.tags), nothing),
                basis.filtered,
                &basis.overlays,
                basis.weight,
            )
    }

    /// How many posts it represents in the denominators of its regions.
    ///
    /// One with a stated place, or whose feed requests no profiles, is one. Where profiles are
    /// requested, those of matched posts all are and of the rest a fixed sample; so only authors of
    /// that sample count, matched or not, each for as many as there are to one of them.
    fn weight(&self, post: &Post) -> u32 {
        if !post.flags.by_profile {
            return 1;
        }
        if !post.flags.sampled {
            return 0;
        }
        let settings = self
            .head
            .settings
            .iter()
            .find(|settings| settings.number == post.settings)
            .or(self.newest_settings());
        settings
            .and_then(|settings| settings.feeds.get(usize::from(post.feed)))
            .map_or(1, |feed| feed.one_author_in.max(1))
    }

    fn take_back(&mut self, known: &Known, print: u64) {
        let basis = self.identities.basis(known);
        self.count_totals(&basis, known.event_time, -1);
        if let Some(matched) = self.identities.matched(known.hour, print).cloned() {
            let post = matched.post();
            self.identities.remove(print, known.hour);
            forget_author(&mut self.by_author, &post, print);
            if !matched.deleted {
                self.uncount(&post, &matched.left_out);
            }
        } else {
            self.identities.remove(print, known.hour);
        }
    }

    /// Takes a post out of the cells if a deletion now counts against it.
    fn review(&mut self, hour: Micros, print: u64) {
        if self.is_final(hour, HOUR) {
            // Stored only because a longer pane may sample it; its numbers stand.
            return;
        }
        let horizon = self.horizon();
        let Some(matched) = self.identities.matched_mut(hour, print) else {
            return;
        };
        if matched.deleted {
            return;
        }
        let post = matched.post();
        if self.gone.holds(&post, horizon) {
            matched.deleted = true;
            let left_out = matched.left_out.clone();
            self.uncount(&post, &left_out);
        }
    }

    // ---- cells ----

    /// Returns the series that had no room for a cell.
    fn count(&mut self, post: &Post) -> LeftOut {
        let mut left_out = Vec::new();
        let watermark = self.watermark();
        for hit in each_topic(post) {
            let Some((grid, kind)) = self
                .grids
                .get(&hit.id)
                .filter(|(grid, _)| !self.is_final(post.event_time, grid.pane))
            else {
                continue;
            };
            let pseudonyms = self.pseudonyms(post, grid);
            let open_end = watermark
                .filter(|_| kind.fires_early())
                .map(|watermark| grid.pane_of(watermark) + 1);
            let pane = grid.pane_of(post.event_time);
            for region in self.regions.of_post(post, &self.table, *kind) {
                let known = self.series.get(&hit.id).and_then(|regions| regions.get(&region));
                if known.is_none_or(|series| !series.cells.contains_key(&pane)) {
                    if !self.has_room(region) {
                        self.head.handled.cells += 1;
                        left_out.push((hit.id.clone(), region));
                        continue;
                    }
                    self.cells_held += 1;
                }
                let series =
                    self.series.entry(hit.id.clone()).or_default().entry(region).or_default();
                series.add(grid, post, hit, &pseudonyms, kind.samples(), open_end);
                self.changed.insert((hit.id.clone(), region));
            }
        }
        self.count_tags(post, 1);
        left_out.into_boxed_slice()
    }

    /// Whether the region may have one more cell. The last tenth of the room is not for overlays;
    /// world and countries always have.
    fn has_room(&self, region: u32) -> bool {
        let max = self.cells_max();
        let code = self.regions.name(region);
        if code.contains(':') {
            return self.cells_held < max - max / 10;
        }
        code == WORLD || self.table.level(code) == Level::Country || self.cells_held < max
    }

    /// Takes a post out of its cells, but for those that it was `left_out` of.
    fn uncount(&mut self, post: &Post, left_out: &LeftOut) {
        for hit in each_topic(post) {
            let Some((grid, kind)) = self
                .grids
                .get(&hit.id)
                .filter(|(grid, _)| !self.is_final(post.event_time, grid.pane))
            else {
                continue;
            };
            let pseudonyms = self.pseudonyms(post, grid);
            let counted = |region: &u32| !identity::is_left_out(left_out, &hit.id, *region);
            for region in self.regions.of_post(post, &self.table, *kind).into_iter().filter(counted)
            {
                let Some(series) =
                    self.series.get_mut(&hit.id).and_then(|regions| regions.get_mut(&region))
                else {
                    continue;
                };
                let resample = series.remove(grid, post, hit, &pseudonyms);
                self.changed.insert((hit.id.clone(), region));
                if resample {
                    let pane = grid.pane_of(post.event_time);
                    let (from, to) = (pane_start(grid.instant(pane), HOUR), grid.instant(pane + 1));
                    let mut prints: Vec<u64> = self
                        .identities
                        .matched_between(from, to)
                        .filter(|(print, matched)| {
                            !matched.deleted
                                && *print != post.id.print()
                                && !matched.is_left_out(&hit.id, region)
                        })
                        .map(|(print, matched)| (print, matched.post()))
                        .filter(|(_, other)| {
                            !other.flags.filtered
                                && grid.pane_of(other.event_time) == pane
                                && other.topics.iter().any(|topic| topic.id == hit.id)
                                && self.regions.of_post(other, &self.table, *kind).contains(&region)
                        })
                        .map(|(print, _)| print)
                        .collect();
                    prints.sort_unstable();
                    prints.truncate(series::SAMPLE_POSTS_MAX);
                    if let Some(cell) = series.cells.get_mut(&pane) {
                        cell.sample = prints;
                    }
                }
            }
        }
        self.count_tags(post, -1);
    }

    /// A post's pseudonyms and the window starts for which each is in force: that of the epoch in
    /// which the window begins.
    fn pseudonyms(&self, post: &Post, grid: &Grid) -> Pseudonyms {
        let length = self.author_epoch();
        let epoch = Epoch::of(post.event_time, length);
        let starts = |epoch: Epoch| {
            grid.border(epoch.start(length))..grid.border(Epoch(epoch.0 + 1).start(length))
        };
        let now = post.author.map(|author| (author.0, starts(epoch)));
        let before = post.author_before.map(|author| (author.0, starts(epoch.before())));
        now.into_iter().chain(before).collect()
    }

    fn count_tags(&mut self, post: &Post, by: i64) {
        if post.flags.filtered {
            return;
        }
        let of = |wanted: fn(Kind) -> bool| -> BTreeSet<&String> {
            let hits = post
                .topics
                .iter()
                .filter(|hit| self.grids.get(&hit.id).is_some_and(|(_, kind)| wanted(*kind)));
            hits.flat_map(|hit| &hit.keys).collect()
        };
        // A key of a sensitive topic stays untold even where another topic has it too.
        let keys = &of(|kind| kind != Kind::Sensitive) - &of(|kind| kind == Kind::Sensitive);
        let region = self.regions.number(record::region::own_of(post.path()));
        let pane = pane_start(post.event_time, HOUR);
        for key in keys {
            let at = (pane, region, key.clone());
            let count = self.tags.entry(at.clone()).or_default();
            count.posts = count.posts.saturating_add_signed(by);
            self.changed_tags.insert(at);
        }
    }

    fn count_totals(&mut self, basis: &Basis, event_time: Micros, by: i64) {
        self.count_total(basis, event_time, HOUR, by);
        if self.short_from.is_some_and(|from| from <= event_time)
            && !self.is_final(event_time, SHORT_PANE)
        {
            self.count_total(basis, event_time, SHORT_PANE, by);
        }
    }

    fn count_total(&mut self, basis: &Basis, event_time: Micros, length: Micros, by: i64) {
        if basis.filtered {
            return;
        }
        let pane = pane_start(event_time, length);
        for region in self.regions.of(&basis.path, &basis.overlays, &basis.langs) {
            let weight =
                if basis.weight == 1 || self.regions.is_beside(region) { 1 } else { basis.weight };
            if weight == 0 {
                continue;
            }
            let total = self.totals.entry((region, pane, length)).or_default();
            total.posts = total.posts.saturating_add_signed(by * i64::from(weight));
            total.sampled = total.sampled.saturating_add_signed(by);
            if !total.changed {
                total.changed = true;
                self.changed_totals.push((region, pane, length));
            }
        }
    }

    // ---- frames ----

    /// Whether the watermark has passed a multiple of [`TOTALS_EVERY`] since denominators were
    /// reported, or an instant at which watch may close a window: it counts on all that was posted
    /// before.
    fn are_totals_due(&self, watermark: Option<Micros>) -> bool {
        let (Some(now), Some(sent)) = (watermark, self.head.totals_sent) else {
            return watermark.is_some();
        };
        let (lateness, horizon) =
            self.newest_settings().map_or((0, 0), |settings| (settings.lateness, settings.horizon));
        [0, lateness, horizon].iter().any(|delay| {
            (now - delay).div_euclid(TOTALS_EVERY) > (sent - delay).div_euclid(TOTALS_EVERY)
        })
    }

    /// `before` is where the watermark stood when the frame before was made.
    fn frame(
        &mut self,
        position: Position,
        at: Micros,
        before: Option<Micros>,
        ended: bool,
    ) -> Frame {
        let number = self.newest_settings().map_or(1, |settings| settings.number);
        let horizon = self.horizon();
        let furthest = self.head.clock.furthest();
        if ended {
            self.finish_clock(furthest);
        }
        let watermark = self.watermark();
        // Another partition may have ended a pane later, by a post whose author's clock was ahead.
        let end = ended.then(|| pane_border(watermark.unwrap_or(EARLIEST) + AHEAD_MAX, HOUR));
        // What lies further ahead belongs to a replay that has read on: it is reported when its
        // time comes.
        let until = if ended { Micros::MAX } else { furthest.unwrap_or(EARLIEST) + AHEAD_MAX };
        let mut frame = Frame {
            partition: self.head.partition,
            position,
            previous: self.head.previous.replace(position),
            settings: number,
            at,
            watermark,
            ended,
            handled: self.head.handled,
            ..Frame::default()
        };
        let final_before = |watermark: Micros| pane_start(watermark - horizon, HOUR);
        if let Some(settings) = self.head.settings.last() {
            let until = end.unwrap_or(pane_border(until.min(LATEST), HOUR));
            self.head.clock.coverage(
                settings,
                before.map(final_before),
                until,
                &mut frame.coverage,
            );
        }
        self.tell_series(before, watermark, until, end, &mut frame);
        self.tell_tags(until, &mut frame);
        let all_totals = ended || self.are_totals_due(watermark);
        if all_totals {
            self.head.totals_sent = watermark;
        }
        self.tell_totals(until, all_totals, &mut frame);
        if before < watermark
            && let Some(now) = watermark.map(final_before)
            && before.is_none_or(|before| final_before(before) < now)
        {
            self.forget(now);
        }
        frame
    }

    /// Moves the clock behind all that was counted.
    fn finish_clock(&mut self, furthest: Option<Micros>) {
        let cells = self.series.values().flat_map(BTreeMap::values);
        let newest = cells.flat_map(|series| series.cells.values()).map(|cell| cell.newest).max();
        if let Some(last) = furthest.into_iter().chain(newest).max() {
            self.head.clock.finish(pane_border(last + 1, HOUR));
        }
    }

    fn tell_series(
        &mut self,
        before: Option<Micros>,
        watermark: Option<Micros>,
        until: Micros,
        end: Option<Micros>,
        frame: &mut Frame,
    ) {
        let author_epoch = self.author_epoch();
        let changed = std::mem::take(&mut self.changed);
        let mut sent: BTreeMap<(&str, u32), SeriesChange> = BTreeMap::new();
        for (topic, regions) in &mut self.series {
            let Some((grid, kind)) = self.grids.get(topic) else {
                continue;
            };
            let last = grid.border(end.unwrap_or(until));
            let passed = match (passed_ends(grid, before, watermark), end) {
                (passed, Some(_)) => passed.start..last + 1,
                // The window that opens now is reported too: a partition in which nothing more
                // happens has its part in it.
                (passed, None) if !passed.is_empty() && kind.fires_early() => {
                    passed.start..passed.end + 1
                }
                (passed, None) => passed,
            };
            let all: Vec<u32> = if passed.is_empty() {
                changed
                    .range((topic.clone(), 0)..=(topic.clone(), u32::MAX))
                    .map(|(_, region)| *region)
                    .collect()
            } else {
                regions.keys().copied().collect()
            };
            for region in all {
                let Some(series) = regions.get_mut(&region) else {
                    continue;
                };
                let mut change = SeriesChange {
                    topic: topic.clone(),
                    region: self.regions.name(region).to_owned(),
                    panes: Vec::new(),
                    windows: Vec::new(),
                };
                change.panes =
                    pane_changes(series, topic, grid, until, *kind, author_epoch, &self.identities);
                windows(series, grid, &passed, last, &mut change.windows);
                if !series.changed_panes.is_empty() {
                    self.changed.insert((topic.clone(), region));
                }
                if !change.panes.is_empty() || !change.windows.is_empty() {
                    sent.insert((topic.as_str(), region), change);
                }
            }
        }
        frame.series = sent.into_values().collect();
        frame.series.sort_by(|a, b| (&a.topic, &a.region).cmp(&(&b.topic, &b.region)));
    }

    fn tell_tags(&mut self, until: Micros, frame: &mut Frame) {
        let ahead = self.changed_tags.split_off(&(until.saturating_add(1), 0, String::new()));
        for at in std::mem::replace(&mut self.changed_tags, ahead) {
            let posts = self.tags.get(&at).map_or(0, |count| count.posts);
            let (pane_start, region, key) = at;
            let posts = u32::try_from(posts).unwrap_or(u32::MAX);
            frame.tags.push(TagChange {
                key,
                region: self.regions.name(region).to_owned(),
                pane_start,
                posts,
            });
        }
        frame.tags.sort_by(|a, b| {
            (&a.key, &a.region, a.pane_start).cmp(&(&b.key, &b.region, b.pane_start))
        });
    }

    /// All denominators that have changed, or those of the frame's panes only: a pane never comes
    /// with more posts than its denominator.
    fn tell_totals(&mut self, until: Micros, all: bool, frame: &mut Frame) {
        let mut panes: BTreeMap<&str, Vec<(Micros, Micros)>> = BTreeMap::new();
        for change in frame.series.iter().filter(|_| !all) {
            let Some((grid, _)) = self.grids.get(&change.topic) else { continue };
            let spans = change
                .panes
                .iter()
                .map(|pane| (pane.start, grid.instant(grid.pane_of(pane.start) + 1)));
            panes.entry(&change.region).or_default().extend(spans);
        }
        if !all && panes.is_empty() {
            return;
        }
        let mut left = Vec::new();
        for at in std::mem::take(&mut self.changed_totals) {
            let (region, pane_start, length) = at;
            let overlaps =
                |&(from, to): &(Micros, Micros)| from < pane_start + length && pane_start < to;
            let is_due = all
                || panes
                    .get(self.regions.name(region))
                    .is_some_and(|spans| spans.iter().any(overlaps));
            if pane_start > until || !is_due {
                left.push(at);
            } else if let Some(total) = self.totals.get_mut(&at) {
                total.changed = false;
                frame.totals.push(TotalChange {
                    region: self.regions.name(region).to_owned(),
                    pane_start,
                    length,
                    posts: total.posts,
                    sampled: total.sampled,
                });
            }
        }
        self.changed_totals = left;
        frame.totals.sort_by(|a, b| {
            (a.pane_start, a.length, &a.region).cmp(&(b.pane_start, b.length, &b.region))
        });
    }

    /// Everything before `hour` is final: identities go, and cells that no window needs any more.
    fn forget(&mut self, hour: Micros) {
        let grids = &self.grids;
        let dropped = self.identities.forget(hour, |_, post| {
            // A post in a longer pane may still be sampled again.
            post.topics
                .iter()
                .filter_map(|hit| grids.get(&hit.id))
                .any(|(grid, _)| grid.instant(grid.pane_of(post.event_time) + 1) > hour)
        });
        for (print, post) in &dropped {
            forget_author(&mut self.by_author, post, *print);
        }
        self.gone.forget(hour - HOUR);
        let mut cells_held = self.cells_held;
        for (topic, regions) in &mut self.series {
            let Some((grid, _)) = grids.get(topic) else {
                continue;
            };
            let keep_from = grid.pane_of(hour - grid.longest());
            regions.retain(|_, series| {
                let held = series.cells.len();
                // Cells are final; their distinct authors are needed as long as a window that holds
                // them is not.
                series.cells.retain(|pane, _| *pane >= keep_from);
                cells_held -= (held - series.cells.len()) as u64;
                // No post can leave their samples any more.
                for (_, cell) in series
                    .cells
                    .range_mut(..grid.pane_of(hour))
                    .filter(|(_, cell)| !cell.sample_changed)
                {
                    cell.sample = Vec::new();
                }
                series.authors.forget(keep_from, grid.pane_of(hour));
                series.authors_self.forget(keep_from, grid.pane_of(hour));
                series.authors_filtered.forget(keep_from, grid.pane_of(hour));
                !series.is_empty()
            });
        }
        self.cells_held = cells_held;
        self.tags = self.tags.split_off(&(hour, 0, String::new()));
        self.totals.retain(|(_, pane, _), _| *pane >= hour);
        let held = self.head.settings.len();
        let longest =
            self.head.settings.iter().map(Settings::longest_window).max().unwrap_or_default();
        while self.head.settings.len() > 1 && self.head.settings[1].from <= hour - longest {
            self.head.settings.remove(0);
        }
        if self.head.settings.len() < held {
            self.relearn();
        }
    }
}

type Pane = distinct::Pane;

/// The posts that are stored whole, by their author: (author, hour, print).
type ByAuthor = BTreeSet<(u64, Micros, u64)>;

/// A post's names, under both keys where it carries both.
fn names(post: &Post) -> impl Iterator<Item = u64> + use<> {
    post.author.into_iter().chain(post.author_before).map(|author| author.0)
}

fn remember_author(by_author: &mut ByAuthor, post: &Post, print: u64) {
    by_author.extend(names(post).map(|author| (author, pane_start(post.event_time, HOUR), print)));
}

fn forget_author(by_author: &mut ByAuthor, post: &Post, print: u64) {
    for author in names(post) {
        by_author.remove(&(author, pane_start(post.event_time, HOUR), print));
    }
}

/// A post counts once in a topic, however often it is named.
fn each_topic(post: &Post) -> impl Iterator<Item = &TopicMatch> {
    let first = |nth: usize, hit: &TopicMatch| {
        !post.topics[..nth].iter().any(|earlier| earlier.id == hit.id)
    };
    post.topics.iter().enumerate().filter(move |(nth, hit)| first(*nth, hit)).map(|(_, hit)| hit)
}

/// Bytes of samples that a series brings in one frame, at most; those of one cell fit.
const SAMPLES_BYTES_MAX: usize = 256 << 10;

/// Of a sampled post: its first tags, none longer than so many bytes, and no longer domain than
/// there can be.
const SAMPLE_TAGS_MAX: usize = 16;
const SAMPLE_TAG_BYTES_MAX: usize = 128;
const SAMPLE_DOMAIN_BYTES_MAX: usize = 253;
const SAMPLE_LINK_BYTES_MAX: usize = 1024;

/// Window ends that the watermark passes now: reported for every series that has anyone in the
/// window.
fn passed_ends(
    grid: &Grid,
    before: Option<Micros>,
    watermark: Option<Micros>,
) -> std::ops::Range<Pane> {
    match (before, watermark) {
        (_, None) => 1..1,
        (None, Some(now)) => Pane::MIN..grid.pane_of(now) + 1,
        (Some(then), Some(now)) => grid.pane_of(then) + 1..grid.pane_of(now) + 1,
    }
}

/// Takes the changed panes up to `until`, oldest first. Where there is no room for all samples in
/// one frame, the older ones stay for the next.
fn pane_changes(
    series: &mut Series,
    topic: &str,
    grid: &Grid,
    until: Micros,
    kind: Kind,
    author_epoch: Micros,
    identities: &Identities,
) -> Vec<PaneChange> {
    let ahead = series.changed_panes.split_off(&grid.pane_of(until).saturating_add(1));
    let mut room = SAMPLES_BYTES_MAX;
    let mut changes = Vec::new();
    for pane in std::mem::replace(&mut series.changed_panes, ahead).into_iter().rev() {
        changes.push(pane_change(
            series,
            topic,
            grid,
            pane,
            kind,
            author_epoch,
            identities,
            &mut room,
        ));
        let is_unsent = |cell: &Cell| kind.samples() && cell.sample_changed;
        if series.cells.get(&pane).is_some_and(is_unsent) {
            series.changed_panes.insert(pane);
        }
    }
    changes.reverse();
    changes
}

/// `room` is what of [`SAMPLES_BYTES_MAX`] is left; a sample that doesn't fit stays marked as
/// changed.
#[expect(
    clippy::too_many_arguments,
    reason = "one caller, which holds them apart because it borrows the series"
)]
fn pane_change(
    series: &mut Series,
    topic: &str,
    grid: &Grid,
    pane: Pane,
    kind: Kind,
    author_epoch: Micros,
    identities: &Identities,
    room: &mut usize,
) -> PaneChange {
    let authors = series.authors.authors(0, pane + 1);
    let authors_self = series.authors_self.authors(0, pane + 1);
    let authors_filtered = series.authors_filtered.authors(0, pane + 1);
    let Some(cell) = series.cells.get_mut(&pane) else {
        return PaneChange { start: grid.instant(pane), ..PaneChange::default() };
    };
    let sample = (kind.samples() && cell.sample_changed && *room > 0)
        .then(|| sampled(&cell.sample, topic, grid, pane, author_epoch, identities))
        .filter(|sample| {
            let bytes: usize = sample.iter().map(Sampled::bytes_max).sum();
            let fits = bytes <= *room;
            *room = if fits { *room - bytes } else { 0 };
            fits
        });
    cell.sample_changed &= kind.samples() && sample.is_none();
    PaneChange {
        start: grid.instant(pane),
        posts: cell.posts,
        authors,
        authors_self,
        posts_news: cell.posts_news,
        posts_filtered: cell.posts_filtered,
        authors_filtered,
        newest: cell.newest,
        sample,
        pending: cell.pending,
    }
}

/// What the sampled posts say of their cell, with authors numbered within it.
fn sampled(
    prints: &[u64],
    topic: &str,
    grid: &Grid,
    pane: Pane,
    author_epoch: Micros,
    identities: &Identities,
) -> Vec<Sampled> {
    let mut authors = Vec::new();
    let epoch = Epoch::of(grid.instant(pane), author_epoch);
    let (from, to) = (pane_start(grid.instant(pane), HOUR), grid.instant(pane + 1));
    let hours = (0..).map(|hour| from + hour * HOUR).take_while(|hour| *hour < to);
    let hours: Vec<Micros> = hours.collect();
    let find = |print: &u64| {
        hours.iter().find_map(|hour| identities.matched(*hour, *print)).map(Matched::post)
    };
    prints
        .iter()
        .filter_map(|print| find(print).map(|post| (*print, post)))
        .map(|(print, post)| {
            // As in the cell's count, an author goes by the key in force where the pane begins.
            let by = if Epoch::of(post.event_time, author_epoch) == epoch {
                post.author
            } else {
                post.author_before
            };
            let number = authors.iter().position(|author| *author == by).unwrap_or_else(|| {
                authors.push(by);
                authors.len() - 1
            });
            let voice = each_topic(&post).find(|hit| hit.id == topic).map(|hit| hit.voice);
            Sampled {
                print,
                author: number as u32,
                tags: post
                    .tags
                    .iter()
                    .filter(|tag| tag.key.len() <= SAMPLE_TAG_BYTES_MAX)
                    .take(SAMPLE_TAGS_MAX)
                    .map(|tag| tag.key.clone())
                    .collect(),
                own: voice == Some(record::Voice::Own),
                news: voice == Some(record::Voice::News),
                langs: post.langs,
                link_domain: post
                    .link_domain
                    .filter(|domain| domain.len() <= SAMPLE_DOMAIN_BYTES_MAX),
                simhash: post.simhash,
                account_new: post.account_age == record::AccountAge::UnderWeek,
                sealed_link: post.sealed_link.filter(|link| link.len() <= SAMPLE_LINK_BYTES_MAX),
            }
        })
        .collect()
}

/// The windows to tell of: those passed now that hold anyone, and those whose value changed, up to
/// the last open one.
fn windows(
    series: &mut Series,
    grid: &Grid,
    passed: &std::ops::Range<Pane>,
    last: Pane,
    out: &mut Vec<WindowChange>,
) {
    let first_held = series.cells.first_key_value().map_or(Pane::MAX, |(pane, _)| *pane);
    let last_held = series.cells.last_key_value().map_or(Pane::MIN, |(pane, _)| *pane);
    let changed = std::mem::take(&mut series.changed_windows);
    for &index in &grid.judged {
        let length = grid.lengths[index];
        let value = |end: Pane| WindowChange {
            end: grid.instant(end),
            length: Micros::from(length) * grid.pane,
            authors: series.authors.authors(index, end),
            authors_self: series.authors_self.authors(index, end),
            authors_filtered: series.authors_filtered.authors(index, end),
            steps: Vec::new(),
        };
        let passed = passed.start.max(first_held.saturating_add(1))
            ..passed.end.min(last_held.saturating_add(length).saturating_add(1));
        let changed = changed
            .get(index)
            .copied()
            .flatten()
            .map_or(1..1, |(first, end)| first..end.min(last) + 1);
        for end in ends_with_cells(series, length, &passed, &changed) {
            let mut window = value(end);
            if changed.contains(&end) {
                let posts = series.posts_in(end - length, end);
                window.steps = series.steps_of(index, length, end, posts);
            } else if window.authors == 0 && window.authors_filtered == 0 {
                continue;
            }
            out.push(window);
        }
    }
    series.steps.clear();
    series.steps_beyond.clear();
}

/// Of two ranges of window ends those whose window has a cell: posts may lie years apart.
fn ends_with_cells(
    series: &Series,
    length: Pane,
    passed: &std::ops::Range<Pane>,
    changed: &std::ops::Range<Pane>,
) -> Vec<Pane> {
    let ranges = [passed, changed].into_iter().filter(|range| !range.is_empty());
    let Some(from) = ranges.clone().map(|range| range.start).min() else { return Vec::new() };
    let to = ranges.map(|range| range.end).max().unwrap_or(from);
    let (mut ends, mut next) = (Vec::new(), from);
    for pane in series.cells.range(from.saturating_sub(length)..to).map(|(pane, _)| *pane) {
        let until = pane.saturating_add(length).saturating_add(1).min(to);
        ends.extend(
            (next.max(pane + 1)..until).filter(|end| passed.contains(end) || changed.contains(end)),
        );
        next = next.max(until);
    }
    ends
}

/// Region codes as small numbers, and for what a post says of its place the regions it counts for.
#[derive(Debug, Clone, Default)]
struct Regions {
    names: Vec<String>,
    numbers: FxHashMap<String, u32>,
    languages: FxHashMap<String, u32>,
    paths: FxHashMap<String, Vec<u32>>,
}

impl Regions {
    fn with_names(names: Vec<String>) -> Regions {
        let numbers = names.iter().cloned().zip(0..).collect();
        Regions { names, numbers, ..Regions::default() }
    }

    fn number(&mut self, code: &str) -> u32 {
        if let Some(number) = self.numbers.get(code) {
            return *number;
        }
        let number = self.names.len() as u32;
        self.names.push(code.to_owned());
        self.numbers.insert(code.to_owned(), number);
        number
    }

    /// The world and overlays, of which a post counts whatever its place.
    fn is_beside(&self, number: u32) -> bool {
        let code = self.name(number);
        code == WORLD || code.contains(':')
    }

    fn name(&self, number: u32) -> &str {
        self.names.get(number as usize).map_or(record::region::UNLOCATED, String::as_str)
    }

    /// Own region, ancestors, the world, and overlays: each language once, `lang:und` without any.
    fn of(&mut self, path: &str, overlays: &[String], langs: &[String]) -> Vec<u32> {
        let mut regions = match self.paths.get(path) {
            Some(regions) => regions.clone(),
            None => {
                let regions: Vec<u32> = std::iter::once(WORLD)
                    .chain(path.split('/'))
                    .map(|code| self.number(code))
                    .collect();
                self.paths.insert(path.to_owned(), regions.clone());
                regions
            }
        };
        for overlay in overlays {
            let number = self.number(overlay);
            if !regions.contains(&number) {
                regions.push(number);
            }
        }
        for lang in langs {
            let number = match self.languages.get(lang) {
                Some(number) => *number,
                None => {
                    let number = self.number(&format!("lang:{lang}"));
                    self.languages.insert(lang.clone(), number);
                    number
                }
            };
            if !regions.contains(&number) {
                regions.push(number);
            }
        }
        if langs.is_empty() {
            regions.push(self.number(record::region::NO_LANGUAGE));
        }
        regions
    }

    /// Of those, what the topic's kind lets out of tally.
    fn of_post(&mut self, post: &Post, table: &RegionTable, kind: Kind) -> Vec<u32> {
        let path = post.path_for(kind);
        let mut regions = self.of(path, &post.overlays, &post.langs);
        let country = path.split('/').next();
        let level = |code: &str| match table.level(code) {
            _ if code == WORLD || code.contains(':') => Level::Beside,
            // An own region that newer settings have dropped is no country for that.
            Level::Country if Some(code) != country => Level::Own,
            level => level,
        };
        regions.retain(|region| {
            let code = &self.names[*region as usize];
            kind.allows(level(code), code)
        });
        regions
    }
}

#[cfg(test)]
mod tests;
