//! A post as we keep it: ids, times, places, tags, topics; no text, no name.

use serde::{Deserialize, Serialize};

use crate::kind::Kind;
use crate::time::Micros;

/// Stands for (source, author, id): equal ids are one post.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PostId(pub u128);

impl PostId {
    /// No post: of records that concern an account.
    pub const NONE: PostId = PostId(0);

    /// The short print by which identities are held; it also orders the samples.
    pub fn print(self) -> u64 {
        (self.0 >> 64) as u64
    }
}

/// Stands for (source, author) in one key epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Author(pub u64);

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Op {
    /// A post was made.
    Create,
    /// A post was deleted by its author.
    Delete,
    /// A post was changed; changes no count.
    Edit,
    /// An account was deleted, deactivated, taken down or suspended: all its earlier posts leave.
    Remove,
}

/// What a place says of a post.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Meaning {
    AuthorAt,
    AuthorHome,
    Mentioned,
}

/// Where a place was learnt from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Provenance {
    /// Given by the source as a region.
    Given,
    Coordinates,
    Platform,
    Profile,
    Text,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Place {
    /// Codes from the country down, joined by `/`: `US/US-TX`; `ZZ` where unknown.
    pub path: String,
    pub meaning: Meaning,
    pub provenance: Provenance,
    /// In percent.
    pub confidence: u8,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Tag {
    /// Folded.
    pub key: String,
    /// As the author wrote it, without the sign.
    pub written: String,
}

/// Whose voice a post is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Voice {
    /// A first-person report.
    Own,
    News,
    Other,
    /// Of narratives: the claim is asked, asserted or countered.
    Asks,
    Asserts,
    Counters,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TopicMatch {
    pub id: String,
    pub voice: Voice,
    /// The lexicon keys that matched, whole or by segment, sorted; none for phrases, none of
    /// sensitive topics.
    pub keys: Vec<String>,
}

#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub enum AccountAge {
    #[default]
    Unknown,
    UnderWeek,
    UnderQuarter,
    Older,
}

#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct Flags {
    /// The author's time lay in the future and became the arrival.
    pub clamped: bool,
    /// By the microsecond it was made longer before its arrival than the horizon.
    pub late: bool,
    /// The author belongs to the fixed sample whose profiles are read.
    pub sampled: bool,
    /// Came by a feed that brings matched posts only.
    pub filtered: bool,
    /// The region given was unknown and was replaced by what contains it.
    pub region_unknown: bool,
    /// Its place waits for the author's profile.
    pub pending: bool,
    /// The post itself told no place, and its feed asks profiles for one.
    pub by_profile: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Post {
    /// The number of the settings that it was read under.
    pub settings: u32,
    /// Index of the feed in those settings.
    pub feed: u16,
    pub op: Op,
    pub id: PostId,
    /// hash(instance, local id), for sources whose deletions name no author.
    pub alias: Option<u64>,
    /// Absent only in deletions that name no author.
    pub author: Option<Author>,
    /// The same author under the key of the epoch before, for the longest window after a change of
    /// keys.
    pub author_before: Option<Author>,
    /// In whole seconds, as is the arrival: a source's exact stamp is that of one post in its
    /// archive.
    pub event_time: Micros,
    pub arrival: Micros,
    /// The first counts; others say what else is known.
    pub places: Vec<Place>,
    /// Polygons beside the tree; language overlays follow from `langs`.
    pub overlays: Vec<String>,
    /// Primary subtags, sorted, each once.
    pub langs: Vec<String>,
    pub tags: Vec<Tag>,
    pub topics: Vec<TopicMatch>,
    pub link_domain: Option<String>,
    /// Of the text, for near-copies; 0 where there was none or no topic.
    pub simhash: u64,
    pub account_age: AccountAge,
    pub flags: Flags,
    /// The post's address, sealed to a key that only the page holds; off by default.
    pub sealed_link: Option<Vec<u8>>,
}

impl Post {
    /// The path of the post's own region.
    pub fn path(&self) -> &str {
        self.places.first().map_or(crate::region::UNLOCATED, |place| &place.path)
    }

    /// Where it counts for a topic of this kind: in a crisis, where the author is not known, where
    /// the text says it is.
    pub fn path_for(&self, kind: Kind) -> &str {
        let mentioned = || self.places.iter().find(|place| place.meaning == Meaning::Mentioned);
        match self.path() {
            crate::region::UNLOCATED if kind == Kind::Crisis => {
                mentioned().map_or(crate::region::UNLOCATED, |place| &place.path)
            }
            path => path,
        }
    }

    /// Of differing records of one post the one that orders least counts (design, rules of
    /// counting: identity).
    pub fn precedence(&self) -> impl Ord + '_ {
        let keys = self.tags.iter().map(|tag| (&tag.key, &tag.written)).collect::<Vec<_>>();
        (self.arrival, self.event_time, self.path(), &self.langs, keys, &self.topics)
    }
}
