//! Authors whose profiles are requested for a place, and posts waiting for an answer.
//!
//! Queried are the authors of matched posts, and of the rest a fixed sample by keyed hash: so that
//! what is counted of the sample represents all. A post goes out at once, marked *pending*; once
//! its author's profile is there it goes out again with the place, or with the knowledge that there
//! is none, and tally puts the one for the other. Answers are stored in memory for a while under a
//! keyed hash; nothing of a profile is written anywhere. Knows no network: who asks takes a batch
//! and brings the answers back.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use record::pseudonym::Key;
use record::time::{DAY, HOUR, Micros};
use record::{Place, Post};
use rustc_hash::FxHashMap;

use super::Routing;

/// What a feed asks profiles for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProfileRules {
    /// One author in this many is queried, whatever the topic.
    pub one_author_in: u32,
    /// How long an answer holds.
    pub expiry: Micros,
    /// Answers stored; the oldest go first.
    pub known_max: usize,
    /// Posts that may wait; further ones stay pending.
    pub waiting_max: usize,
    /// How long a post waits before it stays pending.
    pub patience: Micros,
}

impl Default for ProfileRules {
    fn default() -> ProfileRules {
        ProfileRules {
            one_author_in: 20,
            expiry: 7 * DAY,
            known_max: 1_000_000,
            waiting_max: 50_000,
            patience: HOUR,
        }
    }
}

/// What is known of an author now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Known {
    Place(Option<Place>),
    OptedOut,
    NotYet,
}

#[derive(Debug)]
pub(super) struct Profiles {
    rules: ProfileRules,
    sample: Key,
    names: Key,
    known: FxHashMap<u64, (Known, Micros)>,
    /// In the order in which they expire.
    expiring: VecDeque<(Micros, u64)>,
    /// Author → what waits for them, and since when.
    waiting: BTreeMap<String, (Micros, Vec<(Routing, Post)>)>,
    waiting_posts: usize,
    /// To be queried, first come first.
    queue: VecDeque<String>,
    requested: BTreeSet<String>,
}

impl Profiles {
    /// `key` never rotates: the sample stays the same.
    pub(super) fn new(rules: ProfileRules, key: &Key) -> Profiles {
        Profiles {
            rules,
            sample: key.derive("sample of authors"),
            names: key.derive("profiles"),
            known: FxHashMap::default(),
            expiring: VecDeque::new(),
            waiting: BTreeMap::new(),
            waiting_posts: 0,
            queue: VecDeque::new(),
            requested: BTreeSet::new(),
        }
    }

    pub(super) fn is_sampled(&self, source: &str, author: &str) -> bool {
        self.sample.partition(source, author, self.rules.one_author_in) == 0
    }

    pub(super) fn known(&mut self, source: &str, author: &str, now: Micros) -> Known {
        self.expire(now);
        let name = self.names.author(source, author).0;
        self.known.get(&name).map_or(Known::NotYet, |(known, _)| known.clone())
    }

    fn expire(&mut self, now: Micros) {
        while let Some((until, name)) = self.expiring.front().copied()
            && (until <= now || self.known.len() > self.rules.known_max)
        {
            self.expiring.pop_front();
            // Answered again since, it lives longer.
            if self.known.get(&name).is_some_and(|(_, lives)| *lives == until) {
                self.known.remove(&name);
            }
        }
    }

    /// Keeps a post until its author's profile is there; whether there was room.
    pub(super) fn wait(
        &mut self,
        author: &str,
        routing: Routing,
        post: &Post,
        now: Micros,
    ) -> bool {
        let urgent = !post.topics.is_empty();
        if self.waiting_posts >= self.rules.waiting_max {
            self.give_up(now);
        }
        if self.waiting_posts >= self.rules.waiting_max {
            return false;
        }
        self.waiting_posts += 1;
        let entry = self.waiting.entry(author.to_owned()).or_insert_with(|| (now, Vec::new()));
        entry.1.push((routing, post.clone()));
        if self.requested.insert(author.to_owned()) {
            // What is counted and judged comes before what it is compared with.
            if urgent {
                self.queue.push_front(author.to_owned())
            } else {
                self.queue.push_back(author.to_owned())
            }
        }
        true
    }

    /// Lets go what has waited too long: it stays pending.
    fn give_up(&mut self, now: Micros) {
        let (patience, mut let_go) = (self.rules.patience, 0);
        let requested = &mut self.requested;
        self.waiting.retain(|author, (since, posts)| {
            let stays = *since + patience > now;
            if !stays {
                let_go += posts.len();
                requested.remove(author);
            }
            stays
        });
        self.queue.retain(|author| requested.contains(author));
        self.waiting_posts -= let_go;
    }

    /// Authors to be queried next, taken out of the queue.
    pub(super) fn batch(&mut self, most: usize) -> Vec<String> {
        let most = most.min(self.queue.len());
        self.queue.drain(..most).collect()
    }

    /// They could not be queried: the next batches begin with them.
    pub(super) fn ask_again(&mut self, authors: Vec<String>) {
        for author in authors.into_iter().rev().filter(|author| self.requested.contains(author)) {
            self.queue.push_front(author);
        }
    }

    /// What an author's profile says; the posts that waited for it, as they now are.
    pub(super) fn answer(
        &mut self,
        source: &str,
        author: &str,
        place: Option<&Place>,
        now: Micros,
    ) -> Vec<(Routing, Post)> {
        let mut posts = self.learn(source, author, Known::Place(place.cloned()), now);
        for (_, post) in &mut posts {
            give(post, place);
        }
        posts
    }

    /// The author has opted out; the posts that waited for an answer.
    pub(super) fn opted_out(
        &mut self,
        source: &str,
        author: &str,
        now: Micros,
    ) -> Vec<(Routing, Post)> {
        self.learn(source, author, Known::OptedOut, now)
    }

    fn learn(
        &mut self,
        source: &str,
        author: &str,
        known: Known,
        now: Micros,
    ) -> Vec<(Routing, Post)> {
        let (name, until) = (self.names.author(source, author).0, now + self.rules.expiry);
        self.known.insert(name, (known, until));
        self.expiring.push_back((until, name));
        self.requested.remove(author);
        let (_, posts) = self.waiting.remove(author).unwrap_or_default();
        self.waiting_posts -= posts.len();
        posts
    }

    /// Posts that wait for an answer.
    pub(super) fn waiting(&self) -> usize {
        self.waiting_posts
    }
}

/// What the profile says becomes the post's place; a mention keeps standing next to it.
pub(super) fn give(post: &mut Post, place: Option<&Place>) {
    post.flags.pending = false;
    if let Some(place) = place {
        post.places.retain(|other| other.path != record::region::UNLOCATED);
        post.places.insert(0, place.clone());
    }
}
