//! Emerging tags: tags that co-occur with a topic more often than by chance.
//!
//! For editors of topic files, from a file of posts or the retained stream; no stage of the
//! pipeline uses it. Every post is taken in, in any order; accounts are counted, never posts, so
//! that one prolific account has no effect. Knows nothing of texts and lexicons: which tags a topic
//! already has is provided by the caller.
//!
//! Excluded by privacy: a topic that is sensitive, and any post that counts for one, since what is
//! next to a sensitive topic may reveal as much as its own tags.

use std::collections::{BTreeMap, BTreeSet};

use record::kind::Kind;
use record::{Author, Micros, Op, Post, PostId};
use rustc_hash::{FxHashMap, FxHashSet};

/// Minimum accounts of a reported tag, for any topic.
pub const ACCOUNTS_MIN: u32 = 10;

/// A tag that people who write about a topic use unusually often.
#[derive(Debug, Clone, PartialEq)]
pub struct EmergingTag {
    pub topic: String,
    /// Folded.
    pub key: String,
    /// With both in one post.
    pub accounts: u32,
    /// Of the topic, with any tag.
    pub topic_accounts: u32,
    pub key_accounts: u32,
    /// With any tag at all.
    pub all_accounts: u32,
    /// How many times more common the tag is among the topic's accounts than among all.
    pub lift: f64,
}

/// The posts taken in, as far as they matter here.
pub struct Emerging {
    kinds: BTreeMap<String, Kind>,
    names: Names,
    posts: FxHashMap<PostId, Entry>,
    deleted: FxHashSet<PostId>,
    /// By the names of sources whose deletions name no author.
    deleted_aliases: FxHashSet<u64>,
    /// All that was written before is gone.
    removed: FxHashMap<Author, Micros>,
    /// An author's name before a change of keys → the name after it.
    renamed: FxHashMap<Author, Author>,
    /// How keys were written, where that isn't the key itself.
    written: FxHashMap<u32, BTreeSet<Box<str>>>,
}

struct Entry {
    author: Author,
    alias: Option<u64>,
    arrival: Micros,
    event_time: Micros,
    /// Each once.
    keys: Box<[u32]>,
    topics: Box<[u32]>,
}

impl Emerging {
    /// Of topics with their kinds; others are no topics here.
    pub fn new(kinds: BTreeMap<String, Kind>) -> Emerging {
        Emerging {
            kinds,
            names: Names::default(),
            posts: FxHashMap::default(),
            deleted: FxHashSet::default(),
            deleted_aliases: FxHashSet::default(),
            removed: FxHashMap::default(),
            renamed: FxHashMap::default(),
            written: FxHashMap::default(),
        }
    }

    pub fn take(&mut self, post: &Post) {
        if let (Some(author), Some(before)) = (post.author, post.author_before) {
            self.renamed.insert(before, author);
        }
        match (post.op, post.author) {
            (Op::Create, Some(author)) => self.create(post, author),
            (Op::Delete, _) => {
                self.deleted.insert(post.id);
                self.deleted_aliases.extend(post.alias);
            }
            (Op::Remove, Some(author)) => {
                let until = self.removed.entry(author).or_insert(post.arrival);
                *until = (*until).max(post.arrival);
            }
            (Op::Create | Op::Remove, None) | (Op::Edit, _) => {}
        }
    }

    fn create(&mut self, post: &Post, author: Author) {
        let mut keys = Vec::with_capacity(post.tags.len());
        for tag in &post.tags {
            let key = self.names.number(&tag.key);
            keys.push(key);
            if tag.written != tag.key {
                let spellings = self.written.entry(key).or_default();
                if !spellings.contains(tag.written.as_str()) {
                    spellings.insert(tag.written.as_str().into());
                }
            }
        }
        keys.sort_unstable();
        keys.dedup();
        let mut topics: Vec<u32> =
            post.topics.iter().map(|topic| self.names.number(&topic.id)).collect();
        topics.sort_unstable();
        topics.dedup();
        let (arrival, event_time) = (post.arrival, post.event_time);
        let entry = Entry {
            author,
            alias: post.alias,
            arrival,
            event_time,
            keys: keys.into(),
            topics: topics.into(),
        };
        match self.posts.get_mut(&post.id) {
            Some(known) if !self.names.precedes(&entry, known) => {}
            Some(known) => *known = entry,
            None => drop(self.posts.insert(post.id, entry)),
        }
    }

    /// The tags that at least [`ACCOUNTS_MIN`] accounts, and as many as the topic's kind asks, used
    /// with a topic at least `lift_min` times as often as chance would; by topic, the most telling
    /// first. `is_known` says whether a topic counts by such a tag already, or whether it must not
    /// be shown at all.
    pub fn tags(&self, lift_min: f64, is_known: impl Fn(&str, &str) -> bool) -> Vec<EmergingTag> {
        let counted = self.counted();
        let mut found = Vec::new();
        for (&(topic, key), accounts) in &counted.of_both {
            let (topic_name, key_name) = (self.names.name(topic), self.names.name(key));
            let floor = self.kinds.get(topic_name).map_or(0, |kind| kind.floor()).max(ACCOUNTS_MIN);
            let (accounts, topic_accounts, key_accounts) =
                (*accounts, counted.of_topics[&topic], counted.of_keys[&key]);
            // (accounts / topic) / (key / all), as whole numbers as long as possible.
            let lift = f64::from(accounts) * f64::from(counted.all)
                / (f64::from(topic_accounts) * f64::from(key_accounts));
            if accounts < floor
                || lift < lift_min
                || self.spellings(key).any(|written| is_known(topic_name, written))
            {
                continue;
            }
            found.push(EmergingTag {
                topic: topic_name.to_owned(),
                key: key_name.to_owned(),
                accounts,
                topic_accounts,
                key_accounts,
                all_accounts: counted.all,
                lift,
            });
        }
        found.sort_by(|a, b| {
            a.topic
                .cmp(&b.topic)
                .then(b.telling().total_cmp(&a.telling()))
                .then_with(|| a.key.cmp(&b.key))
        });
        found
    }

    fn spellings(&self, key: u32) -> impl Iterator<Item = &str> {
        let others = self.written.get(&key).into_iter().flatten().map(|written| &**written);
        [self.names.name(key)].into_iter().chain(others)
    }

    fn counted(&self) -> Counted {
        let sensitive =
            |topic: &u32| self.kinds.get(self.names.name(*topic)) == Some(&Kind::Sensitive);
        let mut accounts = Accounts::default();
        let removed: FxHashMap<Author, Micros> = self.removed_by_last_name();
        #[expect(clippy::iter_over_hash_type, reason = "sets are filled, whatever the order")]
        for (id, post) in &self.posts {
            let author = self.last_name(post.author);
            let deleted = self.deleted.contains(id)
                || post.alias.is_some_and(|alias| self.deleted_aliases.contains(&alias));
            let removed = removed.get(&author).is_some_and(|until| post.arrival < *until);
            if deleted || removed || post.keys.is_empty() || post.topics.iter().any(sensitive) {
                continue;
            }
            accounts.all.insert(author);
            for &key in &post.keys {
                accounts.of_keys.entry(key).or_default().insert(author);
            }
            for &topic in
                post.topics.iter().filter(|topic| self.kinds.contains_key(self.names.name(**topic)))
            {
                accounts.of_topics.entry(topic).or_default().insert(author);
                for &key in &post.keys {
                    accounts.of_both.entry((topic, key)).or_default().insert(author);
                }
            }
        }
        accounts.counted()
    }

    fn removed_by_last_name(&self) -> FxHashMap<Author, Micros> {
        let mut removed: FxHashMap<Author, Micros> = FxHashMap::default();
        #[expect(clippy::iter_over_hash_type, reason = "the greatest is the same in any order")]
        for (author, until) in &self.removed {
            let last = removed.entry(self.last_name(*author)).or_insert(*until);
            *last = (*last).max(*until);
        }
        removed
    }

    /// One name for an account on both sides of a change of keys: it must not count as two people.
    fn last_name(&self, author: Author) -> Author {
        let mut last = author;
        // Names form chains, one link a change; a circle would be two hashes that collide.
        for _ in 0..RENAMED_MAX {
            match self.renamed.get(&last) {
                Some(next) => last = *next,
                None => break,
            }
        }
        last
    }
}

/// Changes of keys that one account is followed over: ten years of them.
const RENAMED_MAX: u32 = 128;

impl EmergingTag {
    /// What the topic's accounts say by the tag more than all do: many accounts or a high lift
    /// alone are not enough.
    fn telling(&self) -> f64 {
        f64::from(self.accounts) * libm::log2(self.lift)
    }
}

#[derive(Default)]
struct Accounts {
    all: FxHashSet<Author>,
    of_topics: FxHashMap<u32, FxHashSet<Author>>,
    of_keys: FxHashMap<u32, FxHashSet<Author>>,
    of_both: FxHashMap<(u32, u32), FxHashSet<Author>>,
}

struct Counted {
    all: u32,
    of_topics: FxHashMap<u32, u32>,
    of_keys: FxHashMap<u32, u32>,
    of_both: BTreeMap<(u32, u32), u32>,
}

impl Accounts {
    fn counted(self) -> Counted {
        let count = |accounts: FxHashSet<Author>| u32::try_from(accounts.len()).unwrap_or(u32::MAX);
        Counted {
            all: count(self.all),
            of_topics: self
                .of_topics
                .into_iter()
                .map(|(topic, accounts)| (topic, count(accounts)))
                .collect(),
            of_keys: self
                .of_keys
                .into_iter()
                .map(|(key, accounts)| (key, count(accounts)))
                .collect(),
            of_both: self
                .of_both
                .into_iter()
                .map(|(both, accounts)| (both, count(accounts)))
                .collect(),
        }
    }
}

/// Keys and topics by number: each is in many posts.
#[derive(Default)]
struct Names {
    numbers: FxHashMap<Box<str>, u32>,
    names: Vec<Box<str>>,
}

impl Names {
    fn number(&mut self, name: &str) -> u32 {
        if let Some(&number) = self.numbers.get(name) {
            return number;
        }
        let number = u32::try_from(self.names.len())
            .expect("memory ends before four thousand million names");
        self.names.push(name.into());
        self.numbers.insert(name.into(), number);
        number
    }

    fn name(&self, number: u32) -> &str {
        &self.names[number as usize]
    }

    /// Which of two records of one post counts: decided by content, not by reading order.
    fn precedes(&self, a: &Entry, b: &Entry) -> bool {
        let order = |entry: &Entry| {
            let mut keys: Vec<&str> = entry.keys.iter().map(|key| self.name(*key)).collect();
            keys.sort_unstable();
            let mut topics: Vec<&str> =
                entry.topics.iter().map(|topic| self.name(*topic)).collect();
            topics.sort_unstable();
            (entry.arrival, entry.event_time, keys, topics, entry.author)
        };
        order(a) < order(b)
    }
}

#[cfg(test)]
mod tests;
