//! A recount by brute force: what tally must come to, from the records alone.
//!
//! Written from the rules of counting (design, section 3) and from nothing else: every value is
//! made anew from all records, with sets and sorted lists, and nothing is kept up to date. Here too
//! are the random streams on which both are compared, and the fold of frames that reads what tally
//! has told. Knows nothing of tally's inside.

pub(crate) mod fold;
pub(crate) mod streams;

use std::collections::{BTreeMap, BTreeSet};

use record::kind::Kind;
use record::region::{Level, NO_LANGUAGE, RegionTable, WORLD};
use record::time::{HOUR, MINUTE, pane_start};
use record::{
    Author, Micros, Op, Post, PostId, Record, Settings, Span, TopicMatch, TopicSetting, Voice,
};

/// (topic, region, pane start)
pub(crate) type CellKey = (String, String, Micros);
/// (topic, region, window end, length)
pub(crate) type WindowKey = (String, String, Micros, Micros);

/// The final values; what is zero is left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Recount {
    pub(crate) cells: BTreeMap<CellKey, Cell>,
    /// The newest event time counted. What has been told may be newer: of posts that are deleted
    /// since.
    pub(crate) newest: BTreeMap<CellKey, Micros>,
    pub(crate) windows: BTreeMap<WindowKey, Window>,
    /// (key, own region, hour)
    pub(crate) tags: BTreeMap<(String, String, Micros), u64>,
    /// (region, pane start, length)
    pub(crate) totals: BTreeMap<(String, Micros, Micros), Total>,
    pub(crate) samples: BTreeMap<CellKey, Vec<Sample>>,
    pub(crate) late: u64,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Cell {
    pub(crate) posts: u32,
    pub(crate) authors: u32,
    pub(crate) authors_self: u32,
    pub(crate) posts_news: u32,
    pub(crate) posts_filtered: u32,
    pub(crate) authors_filtered: u32,
    pub(crate) pending: u32,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Total {
    pub(crate) posts: u64,
    pub(crate) sampled: u64,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) authors: u32,
    pub(crate) authors_self: u32,
    pub(crate) authors_filtered: u32,
}

/// A sampled post; `alike` is the print of the first one in the sample by the same author.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Sample {
    pub(crate) print: u64,
    pub(crate) alike: u64,
    pub(crate) tags: Vec<String>,
    pub(crate) langs: Vec<String>,
    pub(crate) link_domain: Option<String>,
    pub(crate) simhash: u64,
    pub(crate) account_new: bool,
    pub(crate) own: bool,
    pub(crate) news: bool,
    pub(crate) sealed_link: Option<Vec<u8>>,
}

/// The settings of a log, together.
pub(crate) struct Rules {
    pub(crate) newest: Settings,
    all: BTreeMap<u32, Settings>,
    pub(crate) topics: BTreeMap<String, TopicSetting>,
    table: RegionTable,
    /// From here on there are denominators of five minutes.
    short_from: Option<Micros>,
}

impl Rules {
    pub(crate) fn of(records: &[Record]) -> Rules {
        let mut all: Vec<&Settings> =
            records
                .iter()
                .filter_map(|record| {
                    if let Record::Settings(settings) = record { Some(settings) } else { None }
                })
                .collect();
        all.sort_by_key(|settings| settings.number);
        let newest = all.last().copied().cloned().unwrap_or_default();
        let topics = all
            .iter()
            .flat_map(|settings| &settings.topics)
            .map(|topic| (topic.id.clone(), topic.clone()))
            .collect();
        let own: Vec<_> = all.iter().flat_map(|settings| settings.regions.clone()).collect();
        let short_from = all
            .iter()
            .filter(|settings| settings.topics.iter().any(|topic| topic.pane == 5 * MINUTE))
            .map(|settings| settings.from)
            .min();
        let all = all.into_iter().map(|settings| (settings.number, settings.clone())).collect();
        Rules { newest, all, topics, table: RegionTable::new(&own), short_from }
    }

    /// Window lengths of a topic, in whole panes.
    pub(crate) fn windows(&self, topic: &TopicSetting) -> BTreeSet<Micros> {
        topic.windows.iter().map(|window| (window / topic.pane).max(1) * topic.pane).collect()
    }

    fn epoch(&self, instant: Micros) -> i64 {
        instant.div_euclid(self.newest.author_epoch)
    }

    /// By which name an author is counted in a window that begins at `begin`: that of the epoch of
    /// the begin.
    fn author(&self, post: &Post, begin: Micros) -> Option<Author> {
        match self.epoch(post.event_time) - self.epoch(begin) {
            0 => post.author,
            1 => post.author_before,
            _ => None,
        }
    }

    /// World, path, overlays, languages: each once.
    ///
    /// In a crisis a post without a place of its own counts where its text says.
    fn regions(&self, post: &Post, in_crisis: bool) -> BTreeMap<String, Level> {
        let mut regions = BTreeMap::from([(WORLD.to_owned(), Level::Beside)]);
        let own = post.places.first().map_or("ZZ", |place| place.path.as_str());
        let mentioned = post
            .places
            .iter()
            .find(|place| place.meaning == record::Meaning::Mentioned)
            .filter(|_| in_crisis && own == "ZZ");
        for code in mentioned.map_or(own, |place| place.path.as_str()).split('/') {
            regions.insert(code.to_owned(), self.table.level(code));
        }
        for overlay in &post.overlays {
            regions.insert(overlay.clone(), Level::Beside);
        }
        for lang in &post.langs {
            regions.insert(format!("lang:{lang}"), Level::Beside);
        }
        if post.langs.is_empty() {
            regions.insert(NO_LANGUAGE.to_owned(), Level::Beside);
        }
        regions
    }

    /// What a post counts in the denominators of a region of the tree: where profiles are asked,
    /// the sampled stand for all.
    fn weight(&self, post: &Post) -> u64 {
        match (post.flags.by_profile, post.flags.sampled) {
            (false, _) => 1,
            (true, false) => 0,
            (true, true) => u64::from(
                self.all[&post.settings].feeds[usize::from(post.feed)].one_author_in.max(1),
            ),
        }
    }

    /// (arrival, event time, region path, langs, tags, topics); then what the design leaves open,
    /// so that an order there is.
    fn precedence(&self, post: &Post) -> impl Ord + use<> {
        let tags: Vec<_> =
            post.tags.iter().map(|tag| (tag.key.clone(), tag.written.clone())).collect();
        let path = post.places.first().map_or("ZZ".to_owned(), |place| place.path.clone());
        let letter =
            (post.arrival, post.event_time, path, post.langs.clone(), tags, post.topics.clone());
        let rest =
            (post.flags.filtered, post.overlays.clone(), self.weight(post), post.flags.pending);
        (letter, rest, record::wire::encode_post(post))
    }

    pub(crate) fn is_late(&self, post: &Post) -> bool {
        post.flags.late || post.event_time < post.arrival - self.newest.horizon
    }
}

pub(crate) fn posts(records: &[Record]) -> impl Iterator<Item = &Post> {
    records
        .iter()
        .filter_map(|record| if let Record::Post(post) = record { Some(post) } else { None })
}

/// Whether `deletion` takes `post` away.
pub(crate) fn deletes(deletion: &Post, post: &Post, horizon: Micros) -> bool {
    let in_time = deletion.arrival <= post.event_time + horizon;
    let names = |author: Option<Author>| {
        author.is_some() && (author == post.author || author == post.author_before)
    };
    in_time
        && match deletion.op {
            Op::Delete => {
                (deletion.id != PostId::NONE && deletion.id == post.id)
                    || (deletion.alias.is_some() && deletion.alias == post.alias)
            }
            Op::Remove => {
                post.arrival < deletion.arrival
                    && (names(deletion.author) || names(deletion.author_before))
            }
            Op::Create | Op::Edit => false,
        }
}

/// Counts the records of one generation, of all partitions, from nothing.
pub(crate) fn recount(records: &[Record]) -> Recount {
    let rules = Rules::of(records);
    let horizon = rules.newest.horizon;
    let mut recount = Recount::default();

    let mut by_id: BTreeMap<PostId, Vec<&Post>> = BTreeMap::new();
    for post in posts(records).filter(|post| post.op == Op::Create) {
        if rules.is_late(post) {
            recount.late += 1;
        } else {
            by_id.entry(post.id).or_default().push(post);
        }
    }
    let known: Vec<&Post> = by_id
        .values()
        .filter_map(|same| same.iter().copied().min_by_key(|post| rules.precedence(post)))
        .collect();

    for post in known.iter().filter(|post| !post.flags.filtered) {
        let short = rules.short_from.is_some_and(|from| from <= post.event_time);
        for length in [HOUR].into_iter().chain(short.then_some(5 * MINUTE)) {
            for region in rules.regions(post, false).into_keys() {
                let weight =
                    if region == WORLD || region.contains(':') { 1 } else { rules.weight(post) };
                if weight > 0 {
                    let total = recount
                        .totals
                        .entry((region, pane_start(post.event_time, length), length))
                        .or_default();
                    (total.posts, total.sampled) = (total.posts + weight, total.sampled + 1);
                }
            }
        }
    }

    let deletions: Vec<&Post> =
        posts(records).filter(|post| matches!(post.op, Op::Delete | Op::Remove)).collect();
    let counted: Vec<&Post> = known
        .into_iter()
        .filter(|post| !deletions.iter().any(|deletion| deletes(deletion, post, horizon)))
        .collect();

    count_cells(&rules, &counted, &mut recount);
    for post in counted.iter().filter(|post| !post.flags.filtered) {
        let mine = |hit: &&TopicMatch| rules.topics.contains_key(&hit.id);
        let is_sensitive = |hit: &&TopicMatch| {
            rules.topics.get(&hit.id).is_some_and(|topic| topic.kind == Kind::Sensitive)
        };
        let sensitive: BTreeSet<&String> =
            post.topics.iter().filter(is_sensitive).flat_map(|hit| &hit.keys).collect();
        let keys: BTreeSet<&String> =
            post.topics.iter().filter(mine).flat_map(|hit| &hit.keys).collect();
        let own =
            post.places.first().map_or("ZZ", |place| place.path.rsplit('/').next().unwrap_or("ZZ"));
        for key in keys.difference(&sensitive) {
            *recount
                .tags
                .entry(((*key).clone(), own.to_owned(), pane_start(post.event_time, HOUR)))
                .or_default() += 1;
        }
    }
    recount
}

/// What one cell or window holds.
#[derive(Default)]
struct Held {
    posts: Vec<(u64, Voice)>,
    filtered: u32,
    authors: BTreeSet<Author>,
    authors_self: BTreeSet<Author>,
    authors_filtered: BTreeSet<Author>,
    newest: Micros,
    pending: u32,
}

impl Held {
    fn add(&mut self, post: &Post, voice: Voice, author: Option<Author>) {
        self.newest = self.newest.max(post.event_time);
        if post.flags.filtered {
            self.filtered += 1;
            self.authors_filtered.extend(author);
            return;
        }
        self.posts.push((post.id.print(), voice));
        self.pending += u32::from(post.flags.pending);
        self.authors.extend(author);
        if voice == Voice::Own {
            self.authors_self.extend(author);
        }
    }
}

fn count_cells(rules: &Rules, counted: &[&Post], recount: &mut Recount) {
    let mut series: BTreeMap<(String, String), Vec<(&Post, Voice)>> = BTreeMap::new();
    for post in counted {
        let mut seen = BTreeSet::new();
        for hit in &post.topics {
            let Some(topic) = rules.topics.get(&hit.id).filter(|topic| seen.insert(&topic.id))
            else {
                continue;
            };
            let regions = rules.regions(post, topic.kind == Kind::Crisis);
            for (region, _) in
                regions.iter().filter(|(region, level)| topic.kind.allows(**level, region))
            {
                series
                    .entry((topic.id.clone(), region.clone()))
                    .or_default()
                    .push((post, hit.voice));
            }
        }
    }
    for ((id, region), posts) in series {
        let topic = &rules.topics[&id];
        let mut cells: BTreeMap<Micros, (Held, Vec<&Post>)> = BTreeMap::new();
        let mut windows: BTreeMap<(Micros, Micros), Held> = BTreeMap::new();
        for (post, voice) in posts {
            let pane = pane_start(post.event_time, topic.pane);
            let cell = cells.entry(pane).or_default();
            cell.0.add(post, voice, rules.author(post, pane));
            if !post.flags.filtered {
                cell.1.push(post);
            }
            for length in rules.windows(topic) {
                let mut end = pane + topic.pane;
                while end - length <= pane {
                    windows.entry((end, length)).or_default().add(
                        post,
                        voice,
                        rules.author(post, end - length),
                    );
                    end += topic.pane;
                }
            }
        }
        for (pane, (held, sampled)) in cells {
            let key = (id.clone(), region.clone(), pane);
            let cell = Cell {
                posts: held.posts.len() as u32,
                authors: held.authors.len() as u32,
                authors_self: held.authors_self.len() as u32,
                posts_news: held.posts.iter().filter(|(_, voice)| *voice == Voice::News).count()
                    as u32,
                posts_filtered: held.filtered,
                authors_filtered: held.authors_filtered.len() as u32,
                pending: held.pending,
            };
            recount.newest.insert(key.clone(), held.newest);
            if topic.kind.samples() && !sampled.is_empty() {
                recount.samples.insert(key.clone(), sample(rules, &key, sampled));
            }
            recount.cells.insert(key, cell);
        }
        for ((end, length), held) in windows {
            let window = Window {
                authors: held.authors.len() as u32,
                authors_self: held.authors_self.len() as u32,
                authors_filtered: held.authors_filtered.len() as u32,
            };
            if window != Window::default() {
                recount.windows.insert((id.clone(), region.clone(), end, length), window);
            }
        }
    }
}

fn sample(rules: &Rules, (topic, _, pane): &CellKey, mut posts: Vec<&Post>) -> Vec<Sample> {
    posts.sort_by_key(|post| post.id.print());
    posts.truncate(64);
    let author = |post: &Post| rules.author(post, *pane);
    posts
        .iter()
        .map(|post| {
            let voice = post.topics.iter().find(|hit| hit.id == *topic).map(|hit| hit.voice);
            Sample {
                print: post.id.print(),
                alike: posts
                    .iter()
                    .find(|other| author(other) == author(post))
                    .map_or(0, |other| other.id.print()),
                tags: post.tags.iter().map(|tag| tag.key.clone()).collect(),
                langs: post.langs.clone(),
                link_domain: post.link_domain.clone(),
                simhash: post.simhash,
                account_new: post.account_age == record::AccountAge::UnderWeek,
                own: voice == Some(Voice::Own),
                news: voice == Some(Voice::News),
                sealed_link: post.sealed_link.clone(),
            }
        })
        .collect()
}

/// What the ticks of a log say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Clock {
    pub(crate) watermark: Option<Micros>,
    pub(crate) furthest: Option<Micros>,
    feeds: BTreeMap<String, FeedClock>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct FeedClock {
    epoch: u64,
    settings: u32,
    reached: Option<Micros>,
    ended: bool,
    covered: Vec<(Micros, Micros)>,
}

impl Clock {
    /// Reads records up to one tick after the other; never falls.
    pub(crate) fn of(records: &[Record]) -> Clock {
        let mut clock = Clock::default();
        for (nth, record) in records.iter().enumerate() {
            let Record::Tick(tick) = record else {
                continue;
            };
            let settings: Vec<&Settings> = records[..nth]
                .iter()
                .filter_map(|record| {
                    if let Record::Settings(settings) = record { Some(settings) } else { None }
                })
                .collect();
            let Some(newest) = settings.iter().max_by_key(|settings| settings.number) else {
                continue;
            };
            for claim in &tick.feeds {
                let feed = clock.feeds.entry(claim.feed.clone()).or_default();
                if claim.epoch < feed.epoch {
                    continue;
                }
                feed.epoch = claim.epoch;
                feed.settings = tick.settings;
                feed.reached = feed.reached.max(Some(claim.reached));
                feed.ended = claim.ended;
                if claim.span == Span::Covered {
                    feed.covered.push((claim.from, claim.reached));
                }
            }
            clock.furthest = clock.feeds.values().filter_map(|feed| feed.reached).max();
            let wanted: Option<Vec<&FeedClock>> =
                newest.feeds.iter().map(|feed| clock.feeds.get(&feed.name)).collect();
            let Some(feeds) = wanted else {
                continue;
            };
            let running: Vec<(Micros, u32)> = feeds
                .iter()
                .filter(|feed| !feed.ended)
                .filter_map(|feed| Some((feed.reached?, feed.settings)))
                .collect();
            let Some(leader) = running.iter().map(|(reached, _)| *reached).max() else {
                continue;
            };
            let held = |number: u32| {
                settings.iter().filter(|later| later.number > number).map(|later| later.from).min()
            };
            let reached = running
                .iter()
                .filter(|(reached, _)| *reached >= leader - newest.lateness)
                .map(|(reached, number)| held(*number).map_or(*reached, |from| from.min(*reached)))
                .min();
            clock.watermark = clock.watermark.max(reached);
        }
        clock
    }

    /// How much of `[start, end)` a feed has covered; an ended one covers on.
    pub(crate) fn covered(&self, feed: &str, start: Micros, end: Micros) -> Micros {
        let Some(feed) = self.feeds.get(feed) else {
            return 0;
        };
        let mut spans = feed.covered.clone();
        if let Some(reached) = feed.reached.filter(|_| feed.ended) {
            spans.push((reached, Micros::MAX));
        }
        spans.sort_unstable();
        let mut covered = 0;
        let mut done = start;
        for (from, to) in spans {
            let (from, to) = (from.max(done), to.min(end));
            if from < to {
                covered += to - from;
                done = to;
            }
        }
        covered
    }
}
