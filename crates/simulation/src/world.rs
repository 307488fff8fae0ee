//! Simulated world: who posts when, what happens to posts, and in which order they arrive.
//!
//! Sessions begin as a Poisson process whose intensity is the sum over places and topics of share ×
//! hour × weekday × growth × what is going on; it is held constant for ten minutes. A session is
//! one author's run of posts, so counts are overdispersed as real ones are. Whatever comes later
//! (the next post of a session, deletes, edits, repeats) waits in a heap as a few numbers. Memory
//! is therefore bounded by what may be pending: about 4 % of the posts of 60 hours.
//!
//! It draws and orders; `line` writes.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};

use crate::event::{Event, EventKind, lies_within};

use crate::line::{AccountStatus, Author, Content, Matter, Pen, Post};
use crate::options::{Until, WorldOptions, place_shares};
use crate::places::PLACES;
use crate::plan;
use crate::random::{Random, mix};
use crate::samplers::{exponential, log_uniform, normal};
use crate::words::{Lang, Topic};
use crate::{DAY_US, HOUR_US, MINUTE_US, SECOND_US};

/// A line of the world, without its line feed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// When it reaches the reader: never less than the line before. It is the line's own `time_us`,
    /// except that a repeat keeps the `time_us` it had the first time.
    pub arrival_us: i64,
    pub text: String,
}

/// A stream of lines. The same seed and options give the same lines, and asking for them in
/// portions changes nothing.
pub struct World {
    options: WorldOptions,
    events: Vec<Event>,
    random: Random,
    key: u64,
    pen: Pen,
    shares: Vec<f64>,
    slot: Slot,
    attention: Attention,
    /// The next session's begin, within the slot.
    next_session_us: i64,
    pending: BinaryHeap<Reverse<Pending>>,
    pushed: u64,
    /// How often the name of an author was taken up again after its account was deleted.
    returned: BTreeMap<Author, u64>,
    recent: VecDeque<Emission>,
    last_us: i64,
    posts: u64,
    /// No sessions after that; what is pending may still arrive until then.
    over_us: Option<i64>,
    ready: Option<Emission>,
}

/// A line, unwritten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Emission {
    arrival_us: i64,
    time_us: i64,
    content: Content,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Pending {
    at_us: i64,
    /// Keeps those of one instant in the order in which they were thought of.
    number: u64,
    act: Act,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    Session(Session),
    Line(Content),
    Repeat { time_us: i64, content: Content },
}

/// The rest of an author's run of posts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Session {
    author: Author,
    place: u8,
    matter: Matter,
    lang: Lang,
    posts_left: u8,
}

/// Ten minutes of constant intensity.
struct Slot {
    end_us: i64,
    /// Running sums over what may begin; the last one is the total a microsecond.
    sums: Vec<f64>,
    /// Events that begin sessions now, in the order of their sums.
    active: Vec<usize>,
    /// Running sums over places, for sessions of events that concern many.
    places: Vec<f64>,
}

/// How much each topic is talked about in each place: a level a day, and straight lines between.
struct Attention {
    seed: u64,
    sd: f64,
    day: i64,
    today: Vec<f64>,
    tomorrow: Vec<f64>,
}

const SLOT_US: i64 = 10 * MINUTE_US;
const TOPICS: usize = Topic::ALL.len();
/// Chat and the topics.
const KINDS: usize = 1 + TOPICS;

/// Sessions of more than one post, and the chance of yet another one in those.
const LONG_SESSIONS: f64 = 0.3;
const LONGER: f64 = 2.0 / 3.0;
const SESSION_POSTS_MAX: u8 = 20;
/// Posts of a session after the first that stay with its topic; the others are chat.
const STAY: f64 = 0.5;
const REPEAT_RUN: usize = 50;

impl World {
    pub fn new(seed: u64, options: WorldOptions) -> World {
        let mut options = options;
        // Never so slow that a world of a few posts would have no end, and no share beyond a whole.
        options.rate = if options.rate.is_nan() { 1.0 } else { options.rate.clamp(1e-6, 1e6) };
        options.health = options.health.clamp(0.0, 0.5);
        options.authors = options.authors.max(1);
        let events = match options.events.take() {
            Some(events) => events,
            None => plan::drawn(seed, &options),
        };
        let start_us = options.start_us;
        let mut world = World {
            events,
            random: Random::stream(seed, 10),
            key: mix(seed, 11),
            pen: Pen::new(mix(seed, 12)),
            shares: place_shares(options.unlocated),
            slot: Slot { end_us: start_us, sums: vec![], active: vec![], places: vec![] },
            attention: Attention::new(mix(seed, 13), options.attention_sd),
            next_session_us: start_us,
            pending: BinaryHeap::new(),
            pushed: 0,
            returned: BTreeMap::new(),
            recent: VecDeque::with_capacity(REPEAT_RUN),
            last_us: start_us - 1,
            posts: 0,
            over_us: (options.until == Until::Posts(0)).then_some(start_us),
            ready: None,
            options,
        };
        world.open_slot(start_us);
        world.draw_session(start_us);
        world
    }

    /// What happens in this world, by start: the plan it follows and the truth to be found.
    pub fn events(&self) -> Vec<Event> {
        let mut events = self.events.clone();
        events.sort_by_key(|event| (event.start_us, event.end_us));
        events
    }

    /// Posts given so far, each counted once.
    pub fn posts(&self) -> u64 {
        self.posts
    }

    #[cfg(test)]
    pub(crate) fn pending_len(&self) -> usize {
        self.pending.len()
    }

    /// Puts the next line in place of `text` and returns its arrival; none at the world's end.
    /// The quick way: `text` keeps its memory.
    pub fn next_line(&mut self, text: &mut String) -> Option<i64> {
        self.next_line_before(i64::MAX, text)
    }

    /// The same for lines that arrive before an instant. None: nothing more before it; ask again
    /// with a later one.
    pub fn next_line_before(&mut self, instant_us: i64, text: &mut String) -> Option<i64> {
        let emission = match self.ready.take() {
            Some(emission) => emission,
            None => self.advance(instant_us)?,
        };
        if emission.arrival_us >= instant_us {
            self.ready = Some(emission);
            return None;
        }
        self.pen.write(&emission.content, emission.time_us, text);
        Some(emission.arrival_us)
    }

    /// The lines that arrive before an instant and were not given yet.
    pub fn lines_before(&mut self, instant_us: i64) -> impl Iterator<Item = Line> + '_ {
        std::iter::from_fn(move || {
            let mut text = String::new();
            let arrival_us = self.next_line_before(instant_us, &mut text)?;
            Some(Line { arrival_us, text })
        })
    }

    /// Lives on until there is a line or the instant is reached.
    fn advance(&mut self, instant_us: i64) -> Option<Emission> {
        loop {
            let pending_us = self.pending.peek().map(|Reverse(pending)| pending.at_us);
            let session_us = if self.over_us.is_none() { Some(self.next_session_us) } else { None };
            let next_us = match (pending_us, session_us) {
                (None, None) => return None,
                (Some(at_us), None) | (None, Some(at_us)) => at_us,
                (Some(pending_us), Some(session_us)) => pending_us.min(session_us),
            };
            if next_us >= instant_us || self.over_us.is_some_and(|over_us| next_us > over_us) {
                return None;
            }
            if let Until::Instant(end_us) = self.options.until
                && next_us >= end_us
            {
                self.over_us = Some(end_us - 1);
                continue;
            }
            let emission = if pending_us == Some(next_us) {
                self.wake()
            } else {
                self.begin_session();
                None
            };
            if emission.is_some() {
                return emission;
            }
        }
    }

    /// Takes up what has waited longest.
    fn wake(&mut self) -> Option<Emission> {
        let Reverse(pending) = self.pending.pop()?;
        let now_us = pending.at_us;
        match pending.act {
            Act::Session(session) => {
                let post = self.post(&session, now_us);
                self.go_on(session, now_us);
                if self.random.chance(self.options.shares.deletes_before) {
                    let waits_us = self.random.between(SECOND_US, 10 * MINUTE_US);
                    self.push(now_us + waits_us, Act::Line(Content::Create(post)));
                    self.deliver(Content::Delete(post), now_us)
                } else {
                    self.deliver(Content::Create(post), now_us)
                }
            }
            Act::Line(content) => self.deliver(content, now_us),
            Act::Repeat { time_us, content } => {
                let is_lost = self.outage(now_us).is_some();
                let arrival_us = now_us.max(self.last_us);
                self.last_us = arrival_us;
                (!is_lost).then_some(Emission { arrival_us, time_us, content })
            }
        }
    }

    /// Lets a line arrive: now, after the outage, or never.
    fn deliver(&mut self, content: Content, now_us: i64) -> Option<Emission> {
        if let Some(outage) = self.outage(now_us) {
            let EventKind::Outage { catch_up: true } = outage.kind else {
                return None;
            };
            // Twelve times as fast as it was written.
            let arrival_us = outage.end_us + (now_us - outage.start_us) / 12;
            self.push(arrival_us, Act::Line(content));
            return None;
        }
        if matches!(content, Content::Create(_)) && self.over_us.is_some() {
            return None;
        }
        let arrival_us = now_us.max(self.last_us + 1);
        self.last_us = arrival_us;
        let emission = Emission { arrival_us, time_us: arrival_us, content };
        if let Content::Create(post) = content {
            self.posts += 1;
            if self.options.until == Until::Posts(self.posts) {
                self.over_us = Some(arrival_us + 10 * MINUTE_US);
            }
            self.follow_up(&post, arrival_us);
        }
        self.remember(emission);
        Some(emission)
    }

    fn outage(&self, now_us: i64) -> Option<&Event> {
        self.events
            .iter()
            .find(|event| matches!(event.kind, EventKind::Outage { .. }) && event.is_on(now_us))
    }

    /// What a post brings about, later.
    fn follow_up(&mut self, post: &Post, now_us: i64) {
        let shares = self.options.shares;
        if self.random.chance(shares.deletes) {
            let delay = log_uniform(&mut self.random, 5.0, 60.0 * 3600.0);
            self.push(now_us + seconds(delay), Act::Line(Content::Delete(*post)));
        }
        if self.random.chance(shares.unequal) {
            let delay = log_uniform(&mut self.random, 10.0, 48.0 * 3600.0);
            let again = self.other(post);
            self.push(now_us + seconds(delay), Act::Line(Content::Again(again)));
        }
        if self.random.chance(shares.edits) {
            let delay = log_uniform(&mut self.random, 20.0, 24.0 * 3600.0);
            let edited = Post { edition: 1, ..*post };
            self.push(now_us + seconds(delay), Act::Line(Content::Edit(edited)));
        }
        if self.random.chance(shares.departures) {
            self.depart(post.author, now_us);
        }
        let by = self.any_author();
        for (share, content) in [
            (shares.likes, Content::Like { by, of: *post }),
            (shares.unlikes, Content::Unlike { by, of: *post }),
            (shares.reposts, Content::Repost { by, of: *post }),
            (shares.follows, Content::Follow { by, of: post.author }),
            (shares.profiles, Content::Profile(post.author)),
            (shares.identities, Content::Identity(by)),
        ] {
            if self.random.chance(share) {
                let delay = log_uniform(&mut self.random, 0.5, 3600.0);
                self.push(now_us + seconds(delay), Act::Line(content));
            }
        }
    }

    /// The same id with something else in it.
    fn other(&mut self, post: &Post) -> Post {
        if self.random.chance(0.5) {
            return Post { edition: 2, ..*post };
        }
        let place = self.random.below(PLACES.len() as u64) as u8;
        Post { place, edition: 2 * u8::from(self.random.chance(0.3)), ..*post }
    }

    fn depart(&mut self, author: Author, now_us: i64) {
        let delay = log_uniform(&mut self.random, 60.0, 60.0 * 3600.0);
        let at_us = now_us + seconds(delay);
        let status = match self.random.unit() {
            draw if draw < 0.5 => AccountStatus::Deleted,
            draw if draw < 0.84 => AccountStatus::Deactivated,
            draw if draw < 0.92 => AccountStatus::Suspended,
            _ => AccountStatus::TakenDown,
        };
        self.push(at_us, Act::Line(Content::Account(author, status)));
        if status == AccountStatus::Deleted {
            // Anyone who posts in this author's stead from now on is a new account.
            let name = Author(author.0 & AUTHOR_NAME);
            *self.returned.entry(name).or_default() += 1;
        } else {
            let pause = log_uniform(&mut self.random, 600.0, 200.0 * 3600.0);
            let content = Content::Account(author, AccountStatus::Active);
            self.push(at_us + seconds(pause), Act::Line(content));
        }
    }

    /// Keeps the line for a reconnect, and at times has one.
    fn remember(&mut self, emission: Emission) {
        if self.recent.len() == REPEAT_RUN {
            self.recent.pop_front();
        }
        self.recent.push_back(emission);
        if self.random.chance(self.options.shares.repeats / REPEAT_RUN as f64) {
            let back_us = emission.arrival_us + self.random.between(SECOND_US, 5 * MINUTE_US);
            for index in 0..self.recent.len() {
                let Emission { time_us, content, .. } = self.recent[index];
                self.push(back_us + index as i64, Act::Repeat { time_us, content });
            }
        }
    }

    fn push(&mut self, at_us: i64, act: Act) {
        self.pushed += 1;
        self.pending.push(Reverse(Pending { at_us, number: self.pushed, act }));
    }
}

/// Sessions: when they begin, whose they are, what they are about.
impl World {
    /// Lets the session begin that is due, and draws when the next one will.
    fn begin_session(&mut self) {
        let now_us = self.next_session_us;
        if now_us < self.slot.end_us {
            let session = self.session();
            self.push(now_us, Act::Session(session));
        } else {
            self.open_slot(now_us);
        }
        self.draw_session(now_us);
    }

    /// The next begin, or the slot's end: an exponential wait forgets what was before.
    fn draw_session(&mut self, now_us: i64) {
        let total = self.slot.sums.last().copied().unwrap_or(0.0);
        let wait_us = exponential(&mut self.random) / total;
        let left_us = self.slot.end_us - now_us;
        let wait_us = if wait_us < left_us as f64 { wait_us as i64 } else { left_us };
        self.next_session_us = now_us + wait_us;
    }

    fn open_slot(&mut self, now_us: i64) {
        let start_us = now_us - now_us.rem_euclid(SLOT_US);
        self.slot.end_us = start_us + SLOT_US;
        let middle_us = start_us + SLOT_US / 2;
        self.attention.move_to(start_us);
        let weeks = (middle_us - self.options.start_us) as f64 / (7 * DAY_US) as f64;
        let growth = libm::exp(libm::log1p(self.options.growth_per_week.max(-0.99)) * weeks);
        let sessions_per_us = self.options.rate * growth / SECOND_US as f64 / mean_session_posts();
        let health = self.options.health * mean_session_posts() / mean_health_posts();
        let mut sum = 0.0;
        let mut topic_sums = [0.0; TOPICS];
        self.slot.sums.clear();
        self.slot.places.clear();
        self.slot.active.clear();
        for (index, place) in PLACES.iter().enumerate() {
            let jumps: f64 = self
                .events
                .iter()
                .filter(|event| event.kind == EventKind::Jump)
                .filter(|event| event.is_on(middle_us) && lies_within(place.region, event.region))
                .map(|event| event.factor.max(0.0))
                .product();
            let all = sessions_per_us * self.shares[index] * place.activity(middle_us) * jumps;
            self.slot.places.push(self.slot.places.last().unwrap_or(&0.0) + all);
            sum += all * (1.0 - health);
            self.slot.sums.push(sum);
            let healthy = all * health * place.health(middle_us);
            for (number, topic) in Topic::ALL.into_iter().enumerate() {
                let usual = healthy * topic.share();
                sum += usual * self.attention.level(index, number, middle_us);
                self.slot.sums.push(sum);
                topic_sums[number] += usual;
            }
        }
        for (index, event) in self.events.iter().enumerate() {
            let intensity = match (event.kind, event.topic) {
                (EventKind::Bot, Some(_)) if event.is_on(middle_us) => {
                    event.factor.max(0.0) / HOUR_US as f64
                }
                (EventKind::Outbreak(_) | EventKind::News, Some(topic)) => {
                    let share: f64 = match event.region {
                        "001" => topic_sums[topic as usize],
                        region => {
                            let within = |place: usize| lies_within(PLACES[place].region, region);
                            let places = (0..PLACES.len()).filter(|place| within(*place));
                            let usual = places.map(|place| place_share(&self.slot.places, place));
                            usual.sum::<f64>() * health * topic.share()
                        }
                    };
                    share * event.excess(middle_us)
                }
                _ => 0.0,
            };
            if intensity > 0.0 {
                sum += intensity;
                self.slot.sums.push(sum);
                self.slot.active.push(index);
            }
        }
    }

    fn session(&mut self) -> Session {
        let total = self.slot.sums.last().copied().unwrap_or(0.0);
        let drawn = self.random.unit() * total;
        let chosen = self.slot.sums.partition_point(|sum| *sum <= drawn);
        let chosen = chosen.min(self.slot.sums.len() - 1);
        let usual = PLACES.len() * KINDS;
        if chosen < usual {
            let (place, kind) = (chosen / KINDS, chosen % KINDS);
            return match kind {
                0 => self.session_of(place, Matter::Chat),
                kind => self.session_of(place, Matter::Health(Topic::ALL[kind - 1])),
            };
        }
        let index = self.slot.active[chosen - usual];
        let event = &self.events[index];
        let (kind, region) = (event.kind, event.region);
        let topic = event.topic.unwrap_or(Topic::Influenza);
        let number = index as u16;
        match kind {
            EventKind::Bot => {
                let place = PLACES.iter().position(|place| place.region == region);
                let place = place.unwrap_or(PLACES.len() - 1);
                // One account or a few, by the event's number.
                let accounts = 1 + mix(self.key, index as u64) % 3;
                let account = self.random.below(accounts);
                let author = Author(BOT | (index as u64) << 8 | account);
                let lang = PLACES[place].lang(0.0);
                let matter = Matter::Bot(topic, number);
                Session { author, place: place as u8, lang, matter, posts_left: 0 }
            }
            EventKind::News => {
                let place = self.place_within(region);
                self.session_of(place, Matter::News(topic, number))
            }
            _ => {
                let place = self.place_within(region);
                self.session_of(place, Matter::Outbreak(topic))
            }
        }
    }

    /// A place of a region, weighted by current activity.
    fn place_within(&mut self, region: &str) -> usize {
        let sums = &self.slot.places;
        let within = |place: &usize| lies_within(PLACES[*place].region, region);
        let total: f64 =
            (0..PLACES.len()).filter(within).map(|place| place_share(sums, place)).sum();
        let mut left = self.random.unit() * total;
        for place in (0..PLACES.len()).filter(within) {
            left -= place_share(sums, place);
            if left < 0.0 {
                return place;
            }
        }
        (0..PLACES.len()).find(within).unwrap_or(PLACES.len() - 1)
    }

    fn session_of(&mut self, place: usize, matter: Matter) -> Session {
        let mut posts_left = 0;
        if self.random.chance(LONG_SESSIONS) {
            posts_left = 1;
            while posts_left < SESSION_POSTS_MAX && self.random.chance(LONGER) {
                posts_left += 1;
            }
        }
        let author = self.author(place, matter == Matter::Chat);
        let lang = PLACES[place].lang(self.random.unit());
        Session { author, place: place as u8, lang, matter, posts_left }
    }

    /// Somebody of a place: for chat mostly one of the few who post much, else anybody.
    fn author(&mut self, place: usize, is_chat: bool) -> Author {
        let authors = (self.options.authors as f64 * self.shares[place]).max(1.0);
        let unit = self.random.unit();
        let skewed = if is_chat { unit * unit * unit.sqrt() } else { unit };
        let name = Author((place as u64) << 32 | (skewed * authors) as u64);
        let returned = self.returned.get(&name).copied().unwrap_or(0);
        Author(name.0 | returned << 48)
    }

    fn any_author(&mut self) -> Author {
        let place = self.random.below(PLACES.len() as u64) as usize;
        self.author(place, true)
    }

    fn go_on(&mut self, session: Session, now_us: i64) {
        if session.posts_left == 0 {
            return;
        }
        let pause_us = seconds(10.0 + 230.0 * exponential(&mut self.random));
        let matter = if self.random.chance(STAY) { session.matter } else { Matter::Chat };
        let posts_left = session.posts_left - 1;
        self.push(now_us + pause_us, Act::Session(Session { matter, posts_left, ..session }));
    }

    fn post(&mut self, session: &Session, now_us: i64) -> Post {
        let shares = self.options.shares;
        let draw = self.random.unit();
        let lag = if draw < shares.late {
            // From an hour to thirty, and every fifth of them beyond any horizon.
            match self.random.chance(0.8) {
                true => log_uniform(&mut self.random, 3600.0, 30.0 * 3600.0),
                false => log_uniform(&mut self.random, 36.1 * 3600.0, 500.0 * 3600.0),
            }
        } else if draw < shares.late + shares.early {
            -log_uniform(&mut self.random, 60.0, 70.0 * 3600.0)
        } else {
            0.2 + 0.6 * exponential(&mut self.random)
        };
        Post {
            author: session.author,
            created_us: now_us - seconds(lag),
            place: session.place,
            lang: session.lang,
            matter: session.matter,
            seed: self.random.next_u64(),
            edition: 0,
        }
    }
}

impl Iterator for World {
    type Item = Line;

    fn next(&mut self) -> Option<Line> {
        let mut text = String::with_capacity(1024);
        let arrival_us = self.next_line(&mut text)?;
        Some(Line { arrival_us, text })
    }
}

impl Attention {
    fn new(seed: u64, sd: f64) -> Attention {
        Attention { seed, sd, day: i64::MIN, today: vec![], tomorrow: vec![] }
    }

    fn move_to(&mut self, instant_us: i64) {
        let day = instant_us.div_euclid(DAY_US);
        if day != self.day {
            self.day = day;
            self.today = self.levels(day);
            self.tomorrow = self.levels(day + 1);
        }
    }

    fn levels(&self, day: i64) -> Vec<f64> {
        let mut random = Random::new(mix(self.seed, day as u64));
        let level = |_| libm::exp(self.sd * normal(&mut random) - 0.5 * self.sd * self.sd);
        (0..PLACES.len() * TOPICS).map(level).collect()
    }

    fn level(&self, place: usize, topic: usize, instant_us: i64) -> f64 {
        let share = instant_us.rem_euclid(DAY_US) as f64 / DAY_US as f64;
        let index = place * TOPICS + topic;
        self.today[index] * (1.0 - share) + self.tomorrow[index] * share
    }
}

impl PartialOrd for Pending {
    fn partial_cmp(&self, other: &Pending) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Pending {
    fn cmp(&self, other: &Pending) -> std::cmp::Ordering {
        (self.at_us, self.number).cmp(&(other.at_us, other.number))
    }
}

/// The bits of an author that say whose place it is, without how often it was taken again.
const AUTHOR_NAME: u64 = (1 << 48) - 1;
const BOT: u64 = 1 << 47;

/// A place's own share of running sums.
fn place_share(sums: &[f64], place: usize) -> f64 {
    match place {
        0 => sums[0],
        place => sums[place] - sums[place - 1],
    }
}

/// Mean posts of a session: one, and in long ones 1 + a geometric number cut at the maximum.
fn mean_session_posts() -> f64 {
    1.0 + LONG_SESSIONS * mean_more_posts()
}

/// Mean posts of a health session that are about health: each further one stays if all before did.
fn mean_health_posts() -> f64 {
    // Σ over k ≥ 1 of STAY^k × P(at least k more posts).
    let mut mean = 1.0;
    let mut stays = STAY;
    let mut reaches = LONG_SESSIONS;
    for _ in 0..SESSION_POSTS_MAX {
        mean += stays * reaches;
        stays *= STAY;
        reaches *= LONGER;
    }
    mean
}

fn mean_more_posts() -> f64 {
    let mut mean = 0.0;
    let mut reaches = 1.0;
    for _ in 0..SESSION_POSTS_MAX {
        mean += reaches;
        reaches *= LONGER;
    }
    mean
}

fn seconds(seconds: f64) -> i64 {
    (seconds * SECOND_US as f64) as i64
}
