//! Random streams in which everything collides, from a seed.
//!
//! Few authors, ids, places, tags and topics; times that fall on borders; unequal records of one
//! post, deletions before and after their posts, removals, edits, late posts, a change of keys and
//! of settings. A *plain* stream has no ticks and no order that matters; a *live* one has ticks
//! between its posts and disorder, as much as the promises allow or more.

use record::kind::Kind;
use record::region::OwnRegion;
use record::time::{DAY, HOUR, MINUTE, Micros, SECOND, pane_border, pane_start};
use record::{
    AccountAge, Author, FeedSetting, FeedTick, Flags, Meaning, Op, Place, Post, PostId, Provenance,
    Record, Settings, Span, Tag, Tick, TopicMatch, TopicSetting, Voice,
};

use super::deletes;

/// SplitMix64 (Steele, Lea, Flood 2014): a seed means the same stream for ever.
#[derive(Debug, Clone)]
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn new(seed: u64) -> Rng {
        Rng(mix(seed.wrapping_add(0x5eed)))
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.next() % n.max(1)
    }

    /// In `[from, to)`.
    pub(crate) fn between(&mut self, from: Micros, to: Micros) -> Micros {
        from + self.below((to - from).max(1) as u64) as Micros
    }

    pub(crate) fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    pub(crate) fn pick<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.below(of.len() as u64) as usize].clone()
    }

    pub(crate) fn shuffle<T>(&mut self, list: &mut [T]) {
        for at in (1..list.len()).rev() {
            list.swap(at, self.below(at as u64 + 1) as usize);
        }
    }
}

fn mix(value: u64) -> u64 {
    let value = (value ^ value >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ value >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ value >> 31
}

/// A record and the partitions that it goes to.
#[derive(Debug, Clone)]
pub(crate) struct Item {
    /// None: to every partition.
    pub(crate) author: Option<u64>,
    pub(crate) record: Record,
}

impl Item {
    pub(crate) fn everywhere(record: Record) -> Item {
        Item { author: None, record }
    }

    pub(crate) fn goes_to(&self, partition: u64, partitions: u64) -> bool {
        self.author.is_none_or(|author| author % partitions == partition)
    }
}

impl std::fmt::Display for Item {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.record {
            Record::Post(post) => {
                let author = |author: Option<Author>| {
                    author.map_or("-".to_owned(), |author| format!("{:04x}", author.0 >> 48))
                };
                write!(f, "{:?} #{} by {:?}", post.op, post.id.0 & 0xffff, self.author)?;
                write!(f, " ({}, before {})", author(post.author), author(post.author_before))?;
                write!(
                    f,
                    " event {} arrival {:+}s",
                    record::time::display(post.event_time),
                    (post.arrival - post.event_time) as f64 / 1e6
                )?;
                write!(
                    f,
                    " {} {:?} {:?} alias {:?}",
                    post.path(),
                    post.overlays,
                    post.langs,
                    post.alias
                )?;
                for hit in &post.topics {
                    write!(f, " {}:{:?}{:?}", hit.id, hit.voice, hit.keys)?;
                }
                write!(
                    f,
                    "{} settings {}",
                    if post.flags.filtered { " filtered" } else { "" },
                    post.settings
                )
            }
            Record::Tick(tick) => {
                write!(f, "tick settings {}", tick.settings)?;
                for feed in &tick.feeds {
                    let (from, reached) =
                        (record::time::display(feed.from), record::time::display(feed.reached));
                    write!(
                        f,
                        " [{} epoch {} {from}..{reached} {:?}{}]",
                        feed.feed,
                        feed.epoch,
                        feed.span,
                        if feed.ended { " ended" } else { "" }
                    )?;
                }
                Ok(())
            }
            Record::Settings(settings) => {
                write!(
                    f,
                    "settings {} from {}",
                    settings.number,
                    record::time::display(settings.from)
                )?;
                write!(
                    f,
                    " lateness {}s horizon {}s",
                    settings.lateness / SECOND,
                    settings.horizon / SECOND
                )?;
                for topic in &settings.topics {
                    let windows: Vec<Micros> =
                        topic.windows.iter().map(|window| window / MINUTE).collect();
                    write!(f, " {} pane {}m windows {windows:?}m", topic.id, topic.pane / MINUTE)?;
                }
                write!(f, " feeds {:?}", settings.feeds)
            }
            other => write!(f, "{}", other.kind()),
        }
    }
}

/// One random world and the streams that come out of it.
pub(crate) struct World {
    rng: Rng,
    base: Micros,
    span: Micros,
    authors: u64,
    ids: u64,
    /// In percent of the records.
    removals: u64,
    settings: Settings,
    /// The next settings, as long as they are not in the log, and after.
    later: Option<Settings>,
    later_in_log: bool,
    items: Vec<Item>,
}

const PATHS: [&str; 5] = ["ZZ", "DE", "DE/DE-BE", "DE/DE-BE/MITTE", "US/US-TX"];
const KEYS: [&str; 3] = ["flu", "cough", "hiv"];

impl World {
    pub(crate) fn new(mut rng: Rng) -> World {
        let author_epoch = rng.pick(&[30 * DAY, 8 * DAY]);
        let epoch_border = 2558 * 8 * DAY;
        assert_eq!(epoch_border % (8 * DAY), 0);
        let monday = 20_458 * DAY;
        let base = match rng.below(4) {
            0 => pane_border(epoch_border, 1) - rng.between(0, 8 * HOUR),
            1 => 682 * 30 * DAY - rng.between(0, 8 * HOUR),
            2 => monday - rng.between(0, 8 * HOUR),
            _ => 20_470 * DAY + rng.between(0, 2 * DAY),
        };
        let topic = |kind: Kind, pane: Micros, windows: &[Micros]| TopicSetting {
            id: kind.name().to_owned(),
            name: kind.name().to_owned(),
            kind,
            pane,
            windows: windows.to_vec(),
        };
        let real = rng.chance(50);
        let mut topics = Vec::new();
        for kind in Kind::ALL {
            let setting = match (kind, real) {
                (Kind::Symptom | Kind::Disease, _) => topic(kind, HOUR, &[3 * HOUR, 6 * HOUR]),
                (Kind::Crisis, _) => topic(kind, 5 * MINUTE, &[15 * MINUTE, HOUR]),
                (_, true) => topic(kind, kind.pane(), kind.windows()),
                (Kind::Narrative | Kind::Campaign, false) => {
                    topic(kind, 2 * HOUR, &[4 * HOUR, 8 * HOUR])
                }
                (Kind::Sensitive | Kind::Patient, false) => topic(kind, 3 * HOUR, &[3 * HOUR]),
            };
            if kind == Kind::Symptom || rng.chance(35) {
                topics.push(setting);
            }
        }
        let kept = 1 + rng.below(topics.len() as u64) as usize;
        let feeds = vec![FeedSetting {
            one_author_in: rng.pick(&[0, 1, 7]),
            ..FeedSetting::new("a", true)
        }];
        let settings = Settings {
            horizon: rng.pick(&[2 * HOUR, 2 * HOUR, HOUR, 150 * MINUTE, 5 * HOUR]),
            windows: vec![3 * HOUR, 6 * HOUR],
            topics: topics[..kept].to_vec(),
            feeds,
            regions: vec![OwnRegion { code: "MITTE".to_owned(), parent: Some("DE-BE".to_owned()) }],
            author_epoch,
            ..Settings::default()
        };
        let span = rng.pick(&[3 * HOUR, 8 * HOUR, 14 * HOUR]);
        let authors = 1 + rng.below(5);
        let ids = 2 + rng.below(40);
        let later = rng.chance(40).then(|| Settings {
            number: 2,
            topics: topics.clone(),
            from: pane_border(base + rng.between(0, span), HOUR),
            regions: if rng.chance(50) { settings.regions.clone() } else { Vec::new() },
            ..settings.clone()
        });
        World {
            rng,
            base,
            span,
            authors,
            ids,
            removals: 5,
            settings,
            later,
            later_in_log: false,
            items: Vec::new(),
        }
    }

    /// So much in so little time that samples leave posts out.
    pub(crate) fn crowded(rng: Rng) -> World {
        let world = World::new(rng);
        World {
            base: pane_start(world.base, HOUR) + MINUTE,
            span: HOUR / 2,
            ids: 2000,
            removals: 0,
            ..world
        }
    }

    /// Records whose order doesn't matter, after the settings: no ticks.
    pub(crate) fn plain(mut self, posts: u64) -> Vec<Item> {
        self.items.push(Item::everywhere(Record::Settings(self.settings.clone())));
        self.later_in_log = self.later.is_some();
        for _ in 0..posts {
            let event = self.base + self.rng.between(0, self.span);
            let event = self.on_a_border_perhaps(event);
            let arrival = event + self.delay();
            let mut item = match self.rng.below(100) {
                0..55 => {
                    let id = self.rng.below(self.ids);
                    self.create(id, event, arrival)
                }
                55..75 => self.unequal(),
                75..90 => self.delete(arrival),
                at if at < 90 + self.removals => self.removal(arrival),
                _ => self.edit(event, arrival),
            };
            if let Record::Post(post) = &mut item.record
                && post.op == Op::Create
                && self.rng.chance(3)
            {
                // Ingest had not yet read the newer settings.
                let known: Vec<&str> =
                    self.settings.topics.iter().map(|topic| topic.id.as_str()).collect();
                post.settings = 1;
                post.topics.retain(|hit| known.contains(&hit.id.as_str()));
            }
            self.items.push(item);
        }
        let order: Vec<Item> = self.items.clone();
        with_later_settings(order, self.later.as_ref(), &mut self.rng)
    }

    /// Records in the order in which a log would have them, ticks among them. `within` the bounds
    /// nothing comes so late that what it concerns is final.
    pub(crate) fn live(mut self, records: u64, within: bool) -> Vec<Item> {
        self.feeds();
        self.items.push(Item::everywhere(Record::Settings(self.settings.clone())));
        let names: Vec<String> = self.settings.feeds.iter().map(|feed| feed.name.clone()).collect();
        let mut feeds: Vec<Live> = names.iter().map(|name| Live::new(name, self.base)).collect();
        let mut now = self.base;
        let mut id_next = 3;
        let step_max = 2 * self.span / records.max(1) as i64;
        let tick_percent = self.rng.pick(&[3, 10, 30]);
        let disorder = self.rng.pick(&[0, MINUTE, 20 * MINUTE, HOUR]);
        for _ in 0..records {
            now += self.rng.between(0, step_max + 1);
            // As far as any watermark may be by now.
            let bound = feeds.iter().map(|feed| feed.furthest).max().unwrap_or(now);
            let settings_due = !self.later_in_log
                && self.later.as_ref().is_some_and(|later| now.max(bound) > later.from - 3 * HOUR)
                && self.rng.chance(20);
            if settings_due {
                let later = self.later.as_mut().expect("just seen");
                later.from = later.from.max(pane_border(now.max(bound) + 10 * MINUTE, HOUR));
                self.items.push(Item::everywhere(Record::Settings(later.clone())));
                self.later_in_log = true;
                for name in later
                    .feeds
                    .iter()
                    .map(|feed| feed.name.clone())
                    .filter(|name| !names.contains(name))
                {
                    feeds.push(Live::new(&name, now));
                }
                continue;
            }
            if self.rng.chance(tick_percent) {
                self.tick(&mut feeds, now);
                continue;
            }
            let back = if self.rng.chance(30) { self.rng.between(0, disorder + 1) } else { 0 };
            let arrival = now - back;
            let event = if self.rng.chance(70) {
                arrival - self.rng.between(-5 * MINUTE, 20 * MINUTE)
            } else {
                arrival - self.delay()
            };
            let event = self.on_a_border_perhaps(event).min(arrival + 5 * MINUTE);
            let item = match self.rng.below(100) {
                0..60 => {
                    id_next += 1;
                    self.create(id_next, event, arrival)
                }
                60..75 => self.unequal(),
                75..90 => self.delete(arrival),
                at if at < 90 + self.removals => self.removal(arrival),
                _ => self.edit(event, arrival),
            };
            let fits = if let Record::Post(post) = &item.record {
                self.is_in_bounds(post, bound, now)
            } else {
                true
            };
            if fits || (!within && self.rng.chance(60)) {
                self.items.push(item);
            }
        }
        // Before a log ends every feed has told how far it came.
        let number = if self.later_in_log { 2 } else { 1 };
        let last = |feed: &Live| FeedTick {
            feed: feed.name.clone(),
            epoch: feed.epoch,
            from: feed.claimed,
            reached: feed.claimed.max(now),
            span: Span::Covered,
            ended: true,
        };
        self.items.push(Item::everywhere(Record::Tick(Tick {
            settings: number,
            at: now,
            feeds: feeds.iter().map(last).collect(),
        })));
        self.items
    }

    fn feeds(&mut self) {
        let more = self.rng.below(3);
        for name in ["b", "c"].into_iter().take(more as usize) {
            let whole = self.rng.chance(60);
            self.settings.feeds.push(FeedSetting::new(name.to_owned(), whole));
        }
        if let Some(later) = &mut self.later {
            later.feeds = self.settings.feeds.clone();
            if self.rng.chance(30) {
                later.feeds.push(FeedSetting::new("d", true));
            }
        }
    }

    /// Whether tally can still be exact about this record: nothing that it concerns is final at
    /// `bound`.
    fn is_in_bounds(&self, post: &Post, bound: Micros, now: Micros) -> bool {
        let horizon = self.settings.horizon;
        let mut topics =
            self.settings.topics.iter().chain(self.later.iter().flat_map(|later| &later.topics));
        let grain = if topics.any(|topic| topic.pane < HOUR) { 5 * MINUTE } else { HOUR };
        let is_final = |post: &Post| pane_start(post.event_time, grain) + grain + horizon <= bound;
        let exists =
            |post: &&Post| post.op == Op::Create && post.event_time >= post.arrival - horizon;
        let items = || {
            self.items.iter().filter_map(|item| {
                if let Record::Post(post) = &item.record { Some(post) } else { None }
            })
        };
        match post.op {
            Op::Create if !exists(&post) => true,
            Op::Create => {
                let remembered = |deletion: &Post| {
                    !deletes(deletion, post, horizon) || deletion.arrival >= post.event_time - HOUR
                };
                !is_final(post)
                    && items()
                        .filter(exists)
                        .filter(|same| same.id == post.id)
                        .all(|same| !is_final(same))
                    && items().filter(|other| other.op == Op::Delete).all(remembered)
            }
            Op::Delete | Op::Remove => {
                post.arrival <= now + horizon
                    && items()
                        .filter(exists)
                        .filter(|of| deletes(post, of, horizon))
                        .all(|of| !is_final(of))
            }
            Op::Edit => true,
        }
    }

    fn tick(&mut self, feeds: &mut [Live], now: Micros) {
        let stale = self.rng.chance(5);
        let mut claims = Vec::new();
        for feed in feeds.iter_mut() {
            if self.rng.chance(3) {
                feed.lag = if self.rng.chance(50) { 0 } else { self.rng.between(0, 20 * MINUTE) };
                feed.ended = self.rng.chance(25);
            }
            if self.rng.chance(4) {
                feed.epoch += 1;
                feed.ended = false;
            }
            if self.rng.chance(15) {
                continue;
            }
            let reached = if feed.ended {
                feed.claimed
            } else {
                feed.claimed.max(now - feed.lag - self.rng.between(0, 90 * SECOND))
            };
            let again = self.rng.chance(10);
            let from =
                if again { feed.claimed - self.rng.between(0, 2 * HOUR) } else { feed.claimed };
            let span = if self.rng.chance(12) && !again { Span::Silent } else { Span::Covered };
            let epoch = if stale { feed.epoch.saturating_sub(1) } else { feed.epoch };
            claims.push(FeedTick {
                feed: feed.name.clone(),
                epoch,
                from,
                reached,
                span,
                ended: feed.ended,
            });
            feed.furthest = feed.furthest.max(reached);
            if !stale || epoch == feed.epoch {
                feed.claimed = reached;
            }
        }
        // A worker has some of the feeds; a tick may come without any.
        let settings = if self.later_in_log && self.rng.chance(60) { 2 } else { 1 };
        self.items.push(Item::everywhere(Record::Tick(Tick { settings, at: now, feeds: claims })));
    }

    // ---- records ----

    fn create(&mut self, id: u64, event_time: Micros, arrival: Micros) -> Item {
        let author = id % self.authors;
        // As ingest makes them.
        let (event_time, arrival) = (pane_start(event_time, SECOND), pane_start(arrival, SECOND));
        let (number, topics) = self.topics(event_time);
        let mut post = Post {
            settings: number,
            feed: 0,
            op: Op::Create,
            id: id_of(id),
            alias: alias_of(id),
            author: None,
            author_before: None,
            event_time,
            arrival,
            places: self.places(),
            overlays: self.rng.pick(&[
                vec![],
                vec![],
                vec!["x:flood".to_owned()],
                vec!["x:flood".to_owned(), "x:flood".to_owned()],
            ]),
            langs: self.langs(),
            tags: self.tags(),
            topics,
            link_domain: self.rng.pick(&[None, Some("who.int".to_owned())]),
            simhash: self.rng.below(3),
            account_age: self.rng.pick(&[AccountAge::Unknown, AccountAge::UnderWeek]),
            flags: self.flags(author),
            sealed_link: None,
        };
        self.sign(&mut post, author);
        Item { author: Some(author), record: Record::Post(post) }
    }

    fn flags(&mut self, author: u64) -> Flags {
        let by_profile = self.rng.chance(40);
        Flags {
            filtered: self.rng.chance(10),
            sampled: by_profile && author.is_multiple_of(2),
            pending: by_profile && self.rng.chance(50),
            by_profile,
            late: self.rng.chance(2),
            ..Flags::default()
        }
    }

    /// A record of a post that there is already, which differs in one thing, or in nothing.
    fn unequal(&mut self) -> Item {
        let creates: Vec<&Item> = self
            .items
            .iter()
            .filter(|item| matches!(&item.record, Record::Post(post) if post.op == Op::Create))
            .collect();
        let Some(mut item) =
            creates.get(self.rng.below(creates.len() as u64) as usize).map(|item| (*item).clone())
        else {
            return self.create(1, self.base, self.base);
        };
        let Record::Post(post) = &mut item.record else {
            return item;
        };
        match self.rng.below(14) {
            0 => post.arrival += pane_start(self.rng.between(-HOUR, HOUR), SECOND),
            1 => {
                let event = post.event_time + self.rng.between(-2 * HOUR, 2 * HOUR);
                let event = self.on_a_border_perhaps(event).min(post.arrival + 5 * MINUTE);
                post.event_time = pane_start(event, SECOND);
                (post.settings, post.topics) = self.topics(post.event_time);
            }
            2 => post.places = self.places(),
            3 => post.langs = self.langs(),
            4 => post.tags = self.tags(),
            5 => (post.settings, post.topics) = self.topics(post.event_time),
            6 => post.flags.filtered = !post.flags.filtered,
            7 => post.overlays = vec!["x:flood".to_owned()],
            8 => post.simhash += 1,
            // The profile's answer, which may be no place; or one who believed otherwise of where
            // the place came from.
            10 => {
                post.flags.pending = !post.flags.pending;
                if self.rng.chance(50) {
                    post.places = self.places();
                }
            }
            11 => post.flags = self.flags(item.author.unwrap_or_default()),
            9 => {
                post.arrival -= pane_start(self.rng.between(0, MINUTE), SECOND);
                post.places = self.places();
            }
            _ => {}
        }
        post.event_time = post.event_time.min(post.arrival + 5 * MINUTE);
        let author = item.author.unwrap_or_default();
        self.sign(post, author);
        item
    }

    fn delete(&mut self, arrival: Micros) -> Item {
        let post = self.some_post();
        let id = match &post {
            Some(post) if self.rng.chance(80) => (post.id.0 & 0xffff) as u64 - 1,
            _ => self.rng.below(self.ids + 3),
        };
        let arrival = self.about(post.as_ref(), arrival);
        let author = id % self.authors;
        let by_alias = alias_of(id).is_some() && self.rng.chance(50);
        let mut delete =
            concerns(Op::Delete, if by_alias { PostId::NONE } else { id_of(id) }, arrival);
        delete.alias = alias_of(id).filter(|_| by_alias);
        if by_alias {
            return Item::everywhere(Record::Post(delete));
        }
        self.sign(&mut delete, author);
        Item { author: Some(author), record: Record::Post(delete) }
    }

    fn removal(&mut self, arrival: Micros) -> Item {
        let post = self.some_post();
        let arrival = self.about(post.as_ref(), arrival);
        let author = self.rng.below(self.authors);
        let mut removal = concerns(Op::Remove, PostId::NONE, arrival);
        self.sign(&mut removal, author);
        Item { author: Some(author), record: Record::Post(removal) }
    }

    fn edit(&mut self, event_time: Micros, arrival: Micros) -> Item {
        let id = self.rng.below(self.ids);
        let mut item = self.create(id, event_time, arrival);
        if let Record::Post(post) = &mut item.record {
            post.op = Op::Edit;
        }
        item
    }

    fn some_post(&mut self) -> Option<Post> {
        let at = self.rng.below(self.items.len() as u64) as usize;
        match self.items.get(at).map(|item| &item.record) {
            Some(Record::Post(post)) if post.op == Op::Create => Some(post.clone()),
            _ => None,
        }
    }

    /// An arrival on a border of what a deletion reaches, or this one.
    fn about(&mut self, post: Option<&Post>, arrival: Micros) -> Micros {
        let horizon = self.settings.horizon;
        match (post, self.rng.below(8)) {
            (Some(post), 0) => post.event_time + horizon,
            (Some(post), 1) => post.event_time + horizon + 1,
            (Some(post), 2) => post.arrival,
            (Some(post), 3) => post.arrival + 1,
            (Some(post), 4) => post.arrival - self.rng.between(0, HOUR),
            (Some(post), 5) => post.arrival + self.rng.between(0, HOUR),
            _ => arrival,
        }
    }

    fn sign(&self, post: &mut Post, author: u64) {
        let length = self.settings.author_epoch;
        let epoch = post.event_time.div_euclid(length);
        let name = |epoch: i64| Author(mix(author * 1_000_003 + epoch as u64));
        let later = self.later.as_ref().map_or(0, Settings::longest_window);
        let longest = self.settings.longest_window().max(later).min(length);
        post.author = Some(name(epoch));
        post.author_before = (post.event_time < epoch * length + longest).then(|| name(epoch - 1));
    }

    fn places(&mut self) -> Vec<Place> {
        let mut place = |meaning| {
            let path = self.rng.pick(&PATHS).to_owned();
            Place { path, meaning, provenance: Provenance::Given, confidence: 90 }
        };
        let (own, mentioned) = (place(Meaning::AuthorHome), place(Meaning::Mentioned));
        if self.rng.chance(30) { vec![own, mentioned] } else { vec![own] }
    }

    fn langs(&mut self) -> Vec<String> {
        let langs: &[&str] = self.rng.pick(&[
            &[][..],
            &["en"][..],
            &["en"][..],
            &["de", "en"][..],
            &["und"][..],
            &["en", "en"][..],
        ]);
        langs.iter().map(|lang| (*lang).to_owned()).collect()
    }

    fn tags(&mut self) -> Vec<Tag> {
        let tags: &[&str] =
            self.rng.pick(&[&[][..], &["flu"][..], &["Flu"][..], &["flu", "cough"][..]]);
        tags.iter().map(|tag| Tag { key: tag.to_lowercase(), written: (*tag).to_owned() }).collect()
    }

    /// The number of the settings in force, and some of their topics.
    fn topics(&mut self, event_time: Micros) -> (u32, Vec<TopicMatch>) {
        let later =
            self.later.as_ref().filter(|later| self.later_in_log && later.from <= event_time);
        let settings = later.unwrap_or(&self.settings);
        let number = settings.number;
        let topics: Vec<String> = settings.topics.iter().map(|topic| topic.id.clone()).collect();
        let mut hits = Vec::new();
        for id in topics {
            if self.rng.chance(if hits.is_empty() { 55 } else { 30 }) {
                let voice = self.rng.pick(&[Voice::Own, Voice::News, Voice::Other]);
                let keys = KEYS
                    .iter()
                    .filter(|_| self.rng.chance(40))
                    .map(|key| (*key).to_owned())
                    .collect();
                hits.push(TopicMatch { id, voice, keys });
            }
        }
        if !hits.is_empty() && self.rng.chance(4) {
            let again = TopicMatch { voice: Voice::Own, ..hits[0].clone() };
            hits.push(again);
        }
        (number, hits)
    }

    fn on_a_border_perhaps(&mut self, instant: Micros) -> Micros {
        match self.rng.below(10) {
            0 => pane_start(instant, HOUR),
            1 => pane_start(instant, HOUR) - 1,
            2 => pane_start(instant, 5 * MINUTE),
            _ => instant,
        }
    }

    /// Arrival after event time.
    fn delay(&mut self) -> Micros {
        let horizon = self.settings.horizon;
        match self.rng.below(12) {
            0 => -5 * MINUTE,
            1 => horizon,
            2 => horizon + 1,
            3 => self.rng.between(0, 2 * horizon),
            4 => -self.rng.between(0, 5 * MINUTE),
            5..9 => 0,
            _ => self.rng.between(0, horizon),
        }
    }
}

/// A feed as a live stream has it.
struct Live {
    name: String,
    epoch: u64,
    claimed: Micros,
    /// As far as any claim went, also one that is ignored.
    furthest: Micros,
    lag: Micros,
    ended: bool,
}

impl Live {
    fn new(name: &str, claimed: Micros) -> Live {
        Live { name: name.to_owned(), epoch: 1, claimed, furthest: claimed, lag: 0, ended: false }
    }
}

fn id_of(id: u64) -> PostId {
    let print = match id {
        0 => 0,
        1 => u64::MAX,
        _ => mix(id),
    };
    PostId(u128::from(print) << 64 | u128::from(id + 1))
}

fn alias_of(id: u64) -> Option<u64> {
    id.is_multiple_of(3).then_some(id + 1000)
}

fn concerns(op: Op, id: PostId, arrival: Micros) -> Post {
    Post {
        settings: 1,
        feed: 0,
        op,
        id,
        alias: None,
        author: None,
        author_before: None,
        event_time: arrival,
        arrival,
        places: Vec::new(),
        overlays: Vec::new(),
        langs: Vec::new(),
        tags: Vec::new(),
        topics: Vec::new(),
        link_domain: None,
        simhash: 0,
        account_age: AccountAge::Unknown,
        flags: Flags::default(),
        sealed_link: None,
    }
}

/// Puts the later settings somewhere before the first post that was read under them.
fn with_later_settings(mut items: Vec<Item>, later: Option<&Settings>, rng: &mut Rng) -> Vec<Item> {
    let Some(later) = later else {
        return items;
    };
    let first = items.iter().position(
        |item| matches!(&item.record, Record::Post(post) if post.settings == later.number),
    );
    let latest = first.unwrap_or(items.len()).max(1);
    let at = if rng.chance(50) { latest } else { 1 + rng.below(latest as u64) as usize };
    items.insert(at.min(latest), Item::everywhere(Record::Settings(later.clone())));
    items
}

/// The same records in another order: the first settings first, later ones before what was read
/// under them.
pub(crate) fn shuffled(items: &[Item], rng: &mut Rng) -> Vec<Item> {
    let (settings, mut rest): (Vec<Item>, Vec<Item>) =
        items.iter().cloned().partition(|item| matches!(item.record, Record::Settings(_)));
    rng.shuffle(&mut rest);
    let mut settings = settings.into_iter();
    let mut items: Vec<Item> = settings.next().into_iter().chain(rest).collect();
    for later in settings {
        if let Record::Settings(later) = &later.record {
            items = with_later_settings(items, Some(later), rng);
        }
    }
    items
}

/// The end of a plain stream: its only feed has covered everything, the clock goes on by the hour,
/// the log ends.
pub(crate) fn closing(items: &[Item], beyond: Micros) -> Vec<Item> {
    let number = items.iter().filter_map(|item| {
        if let Record::Settings(settings) = &item.record { Some(settings.number) } else { None }
    });
    let settings = number.max().unwrap_or(1);
    let arrivals = || {
        items.iter().filter_map(|item| {
            if let Record::Post(post) = &item.record {
                Some(post.arrival.max(post.event_time))
            } else {
                None
            }
        })
    };
    let (Some(first), Some(last)) = (arrivals().min(), arrivals().max()) else {
        return vec![Item::everywhere(Record::End)];
    };
    let mut closing = Vec::new();
    let mut reached = first;
    while reached < last + beyond {
        reached = (reached + HOUR).min(last + beyond);
        let claim = FeedTick {
            feed: "a".to_owned(),
            epoch: 1,
            from: first,
            reached,
            span: Span::Covered,
            ended: false,
        };
        closing.push(Item::everywhere(Record::Tick(Tick {
            settings,
            at: reached,
            feeds: vec![claim],
        })));
    }
    closing.push(Item::everywhere(Record::End));
    closing
}

/// Checks a property on many random streams; on the first that fails it says what is left of it
/// when all that is not needed for the failure has been taken away. `PUMPHANDLE_STREAMS` is the
/// number of streams, `PUMPHANDLE_SEED` the first seed.
pub(crate) fn each_stream(
    streams: u64,
    make: impl Fn(Rng) -> Vec<Item>,
    property: impl Fn(&[Item], Rng) -> Result<(), String>,
) {
    let number = |name: &str| std::env::var(name).ok().and_then(|value| value.parse().ok());
    let first = number("PUMPHANDLE_SEED").unwrap_or(0);
    let streams = number("PUMPHANDLE_STREAMS").unwrap_or(streams);
    for seed in first..first + streams {
        let holds = |items: &[Item]| {
            let checked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                property(items, Rng::new(!seed))
            }));
            checked.unwrap_or_else(|_| Err("a panic".to_owned()))
        };
        let items = make(Rng::new(seed));
        if holds(&items).is_ok() {
            continue;
        }
        let left = minimise(items, |items| holds(items).is_err());
        let why = holds(&left).err().unwrap_or_default();
        let story: Vec<String> = left.iter().map(Item::to_string).collect();
        panic!("seed {seed}\n{}\n\n{why}", story.join("\n"));
    }
}

/// Drops records as long as what is left still fails; keeps settings and the last tick.
fn minimise(mut items: Vec<Item>, fails: impl Fn(&[Item]) -> bool) -> Vec<Item> {
    let mut size = items.len().div_ceil(2);
    let mut tries = 4000;
    while size > 0 && tries > 0 {
        let mut at = 0;
        let mut any = false;
        while at < items.len() && tries > 0 {
            let end = (at + size).min(items.len());
            let last = items.len() - 1;
            let kept = |nth: usize, item: &Item| {
                matches!(item.record, Record::Settings(_))
                    || (nth == last && matches!(item.record, Record::Tick(_)))
            };
            let drop = |nth: usize, item: &Item| (at..end).contains(&nth) && !kept(nth, item);
            let fewer: Vec<Item> = items
                .iter()
                .enumerate()
                .filter(|(nth, item)| !drop(*nth, item))
                .map(|(_, item)| item.clone())
                .collect();
            tries -= 1;
            if fewer.len() < items.len() && fails(&fewer) {
                items = fewer;
                any = true;
            } else {
                at = end;
            }
        }
        size = if size == 1 && any { 1 } else { size / 2 };
    }
    items
}
