//! Intake: converts a parsed line into a record and its partition.
//!
//! Arrives an item with its text, author and links; leaves a [`Post`] with none of them:
//! pseudonyms, instants, a place, tags, topics. The last place that sees text. What is lost: the
//! text, the author's name, addresses, tags and languages beyond their bounds (counted). Time is
//! judged here as far as it needs the source's stamp (clamping); lateness, identity and counting
//! are tally's. Reads no clock: live feeds hand in theirs.

mod link;
mod placing;
mod profiles;
mod simhash;
pub use placing::{Evidence, Placing};
pub use profiles::ProfileRules;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use lexicon::Lexicon;
use record::kind::Kind;
use record::language;
use record::policy::AHEAD_MAX;
use record::pseudonym::{AuthorKeys, Epoch, Key};
use record::region::{OwnRegion, RegionTable, UNLOCATED};
use record::time::{MINUTE, Micros, SECOND, pane_border, pane_start};
use record::{
    AccountAge, Author, Flags, Meaning, Op, Place, Post, PostId, Provenance, RejectReason,
    Settings, TopicMatch,
};
use rustc_hash::FxHashMap;

use crate::line::{self, Ignored, Item, Limits, Line, PostItem, Rejected};
use profiles::{Known as KnownProfile, Profiles};

/// How far a source's stamp may be ahead of our clock before ours counts in its place.
pub const STAMP_AHEAD_MAX: Micros = MINUTE;
/// A stored line without a line before it may be this far ahead of our clock to be taken for one
/// that has just come.
const STORED_AHEAD_MAX: Micros = AHEAD_MAX;

/// Topics of one post, in the lexicon's order; further ones are left out.
pub const TOPICS_MAX: usize = 32;

/// Distinct written regions whose paths are remembered.
const PATHS_MAX: usize = 10_000;
/// Authors whose pseudonyms are at hand; all are let go at once when there are more.
const AUTHORS_MAX: usize = 1 << 14;

/// What a line without a stamp of the source arrived at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArrivalRule {
    /// Its event time: files without stamps.
    EventTime,
    /// Our clock: push.
    Clock,
    /// The greatest event time so far, among lines at most this far ahead of it; further ones are
    /// rejected.
    /// File order as order of arrival (`--as-live`).
    Greatest { ahead_max: Micros },
}

/// Everything that decides how a feed's lines become records.
#[derive(Clone)]
pub struct IntakeSettings {
    /// The number of the settings that hold.
    pub number: u32,
    /// Index of the feed in those settings.
    pub feed: u16,
    /// Whether the feed brings all posts, not only matched ones.
    pub whole: bool,
    pub arrival: ArrivalRule,
    pub horizon: Micros,
    /// How long one author key holds.
    pub author_epoch: Micros,
    pub longest_window: Micros,
    pub partitions: u32,
    /// Whether a tag also counts by its segments.
    pub segment: bool,
    /// Never rotates: decides partitions and the identity of posts.
    pub routing: Key,
    pub authors: AuthorKeys,
    pub lexicon: Arc<Lexicon>,
    /// The operator's own, overlays among them.
    pub regions: Vec<OwnRegion>,
    pub placing: Placing,
    /// Topics of the kind crisis, for which a mentioned place may count.
    pub crises: BTreeSet<String>,
    /// Topics of the kinds sensitive and patient: the record of a post that matches one holds
    /// nothing but what counting needs.
    pub private: BTreeSet<String>,
    /// Of feeds whose authors' profiles are requested for places.
    pub profiles: Option<ProfileRules>,
    pub limits: Limits,
    pub langs_max: usize,
}

impl IntakeSettings {
    /// The usual ones for a feed of these settings.
    pub fn of(
        settings: &Settings,
        feed: u16,
        routing: Key,
        authors: AuthorKeys,
        lexicon: Arc<Lexicon>,
    ) -> IntakeSettings {
        let of_kinds = |kinds: &[Kind]| {
            let topics = settings.topics.iter().filter(|topic| kinds.contains(&topic.kind));
            topics.map(|topic| topic.id.clone()).collect::<BTreeSet<String>>()
        };
        IntakeSettings {
            number: settings.number,
            feed,
            whole: settings.feeds.get(usize::from(feed)).is_none_or(|feed| feed.whole),
            arrival: ArrivalRule::EventTime,
            horizon: settings.horizon,
            author_epoch: settings.author_epoch,
            longest_window: settings.longest_window(),
            partitions: settings.partitions,
            segment: true,
            routing,
            authors,
            lexicon,
            regions: settings.regions.clone(),
            placing: Placing::default(),
            crises: of_kinds(&[Kind::Crisis]),
            private: of_kinds(&[Kind::Sensitive, Kind::Patient]),
            profiles: None,
            limits: Limits::default(),
            langs_max: 16,
        }
    }
}

/// Which partitions of `posts` a record goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Routing {
    One(u32),
    /// Deletions that name no author.
    All,
}

/// What of a post was left out, because it was too much or, of languages, because there is none of
/// that code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Dropped {
    pub tags: u32,
    pub languages: u32,
    pub topics: u32,
}

#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    clippy::large_enum_variant,
    reason = "nearly all are posts, and a box would cost each an allocation"
)]
pub enum Outcome {
    Post {
        routing: Routing,
        post: Post,
        /// To the microsecond; the record holds whole seconds, which name no single post of an
        /// archive.
        arrival: Micros,
        dropped: Dropped,
    },
    /// Understood, and nothing to keep; how far the feed has come it tells all the same.
    Ignored { kind: Ignored, arrival: Option<Micros> },
}

impl Outcome {
    pub fn arrival(&self) -> Option<Micros> {
        match self {
            Outcome::Post { arrival, .. } => Some(*arrival),
            Outcome::Ignored { arrival, .. } => *arrival,
        }
    }
}

/// What an author was called in the epoch last seen.
struct Known {
    source: Box<str>,
    epoch: Epoch,
    author: Author,
    before: Option<Author>,
    routing: Routing,
}

/// Makes records of one feed's lines.
pub struct Intake {
    settings: IntakeSettings,
    regions: RegionTable,
    /// Overlays as the operator writes them, by their upper-cased code.
    overlays: BTreeMap<String, String>,
    paths: FxHashMap<Box<str>, (Box<str>, bool)>,
    /// The author keys in use; more than a handful only in archives.
    author_keys: BTreeMap<i64, Key>,
    similarity: Key,
    /// People write more than once an hour, and three keyed hashes are a third of the work on a
    /// line.
    authors: FxHashMap<Box<str>, Known>,
    /// For [`ArrivalRule::Greatest`].
    greatest: Option<Micros>,
    /// The greatest arrival so far of lines that were read by a clock.
    latest: Option<Micros>,
    /// The line in hand was stored before we came to it, who knows how long ago.
    stored: bool,
    /// How far ahead of our clock the last line was, where ours counts in its place.
    ahead: Option<Micros>,
    profiles: Option<Profiles>,
}

impl Intake {
    pub fn new(settings: IntakeSettings) -> Intake {
        let beside = settings.regions.iter().filter(|region| region.parent.is_none());
        Intake {
            regions: RegionTable::new(&settings.regions),
            overlays: beside
                .map(|region| (region.code.to_ascii_uppercase(), region.code.clone()))
                .collect(),
            paths: FxHashMap::default(),
            author_keys: BTreeMap::new(),
            similarity: settings.routing.derive("similarity"),
            authors: FxHashMap::default(),
            greatest: None,
            latest: None,
            stored: false,
            ahead: None,
            profiles: settings.profiles.map(|rules| Profiles::new(rules, &settings.routing)),
            settings,
        }
    }

    pub fn settings(&self) -> &IntakeSettings {
        &self.settings
    }

    /// A line's bytes → its record; `now` is our clock, for live feeds only.
    pub fn read(&mut self, bytes: &[u8], now: Option<Micros>) -> Result<Outcome, Rejected> {
        let line = line::parse(bytes, &self.settings.limits)?;
        self.record(&line, now)
    }

    /// As [`Intake::read`], of a line that was stored before we came to it: our clock bounds its
    /// arrival and says no more of it.
    pub fn read_stored(&mut self, bytes: &[u8], now: Micros) -> Result<Outcome, Rejected> {
        self.stored = true;
        let outcome = self.read(bytes, Some(now));
        self.stored = false;
        outcome
    }

    /// How far ahead of our clock the line read last was stamped or dated, if that was too far to
    /// be believed.
    pub fn take_ahead(&mut self) -> Option<Micros> {
        self.ahead.take()
    }

    /// A line → its record; `now` is our clock, for live feeds only.
    pub fn record(&mut self, line: &Line<'_>, now: Option<Micros>) -> Result<Outcome, Rejected> {
        match &line.item {
            Item::Post(item) => self.post(item, line.stamp, now),
            Item::Removal { source, author } => {
                let arrival = self.arrival(line.stamp, None, now)?;
                Ok(self.removal(source, author, arrival))
            }
            Item::Ignored(kind) => Ok(Outcome::Ignored {
                kind: *kind,
                arrival: line.stamp.and_then(|stamp| self.bounded(stamp, now).ok()),
            }),
            Item::Info(_) => Ok(Outcome::Ignored { kind: Ignored::Info, arrival: None }),
            Item::Failure(_) => Ok(Outcome::Ignored { kind: Ignored::Failure, arrival: None }),
            Item::Blank => Ok(Outcome::Ignored { kind: Ignored::Blank, arrival: None }),
        }
    }

    /// When a record reached us, by the source's stamp or by the feed's rule.
    fn arrival(
        &mut self,
        stamp: Option<Micros>,
        event: Option<Micros>,
        now: Option<Micros>,
    ) -> Result<Micros, Rejected> {
        let dated = || {
            event.ok_or_else(|| Rejected::new(RejectReason::Arrival, "neither stamped nor dated"))
        };
        if let Some(stamp) = stamp {
            return self.bounded(stamp, now);
        }
        let arrival = match self.settings.arrival {
            ArrivalRule::EventTime => dated()?,
            ArrivalRule::Clock => now.map_or_else(dated, Ok)?,
            ArrivalRule::Greatest { ahead_max } => {
                let event = dated()?;
                let greatest = self.greatest.unwrap_or(event);
                if event > greatest + ahead_max {
                    return Err(Rejected::new(
                        RejectReason::Arrival,
                        "too far ahead of the lines before",
                    ));
                }
                let greatest = greatest.max(event);
                self.greatest = Some(greatest);
                greatest
            }
        };
        self.bounded(arrival, now)
    }

    /// No arrival lies beyond our clock, where there is one. A stored line that claims to came with
    /// the line before it, unless that is so recent that nothing is lost by our clock.
    fn bounded(&mut self, arrival: Micros, now: Option<Micros>) -> Result<Micros, Rejected> {
        let Some(now) = now else { return Ok(arrival) };
        let known = believed(arrival, now);
        if known == arrival {
            self.latest = self.latest.max(Some(arrival));
            return Ok(arrival);
        }
        self.ahead = Some(arrival - now);
        match self.latest {
            _ if !self.stored => Ok(known),
            Some(latest) if latest < now - self.settings.horizon / 2 => Ok(latest),
            Some(_) => Ok(known),
            None if arrival - now <= STORED_AHEAD_MAX => Ok(known),
            None => Err(Rejected::new(
                RejectReason::Arrival,
                "dated ahead of our clock, with no line before it",
            )),
        }
    }

    fn post(
        &mut self,
        item: &PostItem<'_>,
        stamp: Option<Micros>,
        now: Option<Micros>,
    ) -> Result<Outcome, Rejected> {
        // In our schema a deletion without a stamp is dated: `created_at` says when it was made.
        let stamp = if item.op == Op::Delete { stamp.or(item.created_at) } else { stamp };
        let arrival = self.arrival(stamp, item.created_at, now)?;
        let written = match item.op {
            Op::Delete => arrival,
            _ => item.created_at.unwrap_or(arrival),
        };
        // Decided to the microsecond; then the record holds whole seconds.
        let clamped = written > arrival + AHEAD_MAX;
        let event_time = if clamped { arrival } else { written };
        let late = item.op == Op::Create && event_time < arrival - self.settings.horizon;
        let exact = arrival;
        let (arrival, event_time) = (pane_start(arrival, SECOND), pane_start(event_time, SECOND));
        let (routing, author, author_before) = self.authors(&item.source, &item.author, event_time);
        let mut post = Post {
            settings: self.settings.number,
            feed: self.settings.feed,
            op: item.op,
            id: self.settings.routing.post(&item.source, &item.author, &item.id),
            alias: None,
            author: Some(author),
            author_before,
            event_time,
            arrival,
            places: Vec::new(),
            overlays: Vec::new(),
            langs: Vec::new(),
            tags: Vec::new(),
            topics: Vec::new(),
            link_domain: None,
            simhash: 0,
            account_age: AccountAge::Unknown,
            flags: Flags { clamped, late, filtered: !self.settings.whole, ..Flags::default() },
            sealed_link: None,
        };
        let mut dropped = Dropped { tags: item.tags_dropped, ..Dropped::default() };
        // Deletions and edits say nothing of their own.
        if item.op == Op::Create {
            self.place(item, &mut post);
            self.describe(item, &mut post, &mut dropped);
            self.place_in_crisis(item, &mut post);
            if self.has_opted_out(item, routing, &mut post, now.unwrap_or(arrival)) {
                return Ok(Outcome::Ignored { kind: Ignored::OptedOut, arrival: Some(exact) });
            }
        }
        Ok(Outcome::Post { routing, post, arrival: exact, dropped })
    }

    /// All that an author ever wrote goes; the keys are those that posts still open may carry.
    pub fn removal(&mut self, source: &str, author: &str, arrival: Micros) -> Outcome {
        let exact = arrival;
        // Up to a whole second: what they posted within this one goes, too.
        let arrival = pane_border(arrival, SECOND);
        let newest = Epoch::of(arrival + AHEAD_MAX, self.settings.author_epoch);
        let oldest = Epoch::of(arrival - self.settings.horizon, self.settings.author_epoch);
        let post = Post {
            settings: self.settings.number,
            feed: self.settings.feed,
            op: Op::Remove,
            id: PostId::NONE,
            alias: None,
            author: Some(self.author(source, author, newest)),
            author_before: (oldest != newest).then(|| self.author(source, author, oldest)),
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
            flags: Flags { filtered: !self.settings.whole, ..Flags::default() },
            sealed_link: None,
        };
        Outcome::Post {
            routing: self.routing(source, author),
            post,
            arrival: exact,
            dropped: Dropped::default(),
        }
    }

    fn routing(&self, source: &str, author: &str) -> Routing {
        match self.settings.partitions {
            0 | 1 => Routing::One(0),
            partitions => Routing::One(self.settings.routing.partition(source, author, partitions)),
        }
    }

    /// Where the author's records go; the author under the key of the event's epoch and, for the
    /// longest window after a change of keys, the one before.
    fn authors(
        &mut self,
        source: &str,
        author: &str,
        event_time: Micros,
    ) -> (Routing, Author, Option<Author>) {
        let epoch = Epoch::of(event_time, self.settings.author_epoch);
        let fresh =
            event_time - epoch.start(self.settings.author_epoch) < self.settings.longest_window;
        if let Some(known) = self.authors.get(author)
            && *known.source == *source
            && known.epoch == epoch
            && (known.before.is_some() || !fresh)
        {
            return (known.routing, known.author, known.before.filter(|_| fresh));
        }
        let before = fresh.then(|| self.author(source, author, epoch.before()));
        let known = Known {
            source: source.into(),
            epoch,
            author: self.author(source, author, epoch),
            before,
            routing: self.routing(source, author),
        };
        let found = (known.routing, known.author, known.before);
        if self.authors.len() >= AUTHORS_MAX {
            self.authors.clear();
        }
        self.authors.insert(author.into(), known);
        found
    }

    fn author(&mut self, source: &str, author: &str, epoch: Epoch) -> Author {
        let (keys, length) = (&self.settings.authors, self.settings.author_epoch);
        self.author_keys
            .entry(epoch.0)
            .or_insert_with(|| keys.epoch(epoch, length))
            .author(source, author)
    }

    /// Goes on with keys of which older ones were destroyed.
    pub fn set_authors(&mut self, authors: &AuthorKeys) {
        self.settings.authors = authors.clone();
        self.author_keys.clear();
        self.authors.clear();
    }

    /// Where it comes from: the region that its line states, else what the evidence says; and the
    /// overlays that hold it.
    fn place(&mut self, item: &PostItem<'_>, post: &mut Post) {
        post.overlays = self.settings.placing.overlays(item);
        match item.region.as_deref().map(str::trim).filter(|region| !region.is_empty()) {
            Some(region) if region.contains(':') => {
                match self.overlays.get(&region.to_ascii_uppercase()) {
                    Some(overlay) if post.overlays.contains(overlay) => {}
                    Some(overlay) => post.overlays.push(overlay.clone()),
                    None => post.flags.region_unknown = true,
                }
            }
            Some(region) => {
                let (path, unknown) = self.path(region);
                post.flags.region_unknown = unknown;
                post.places.push(Place {
                    path: path.into(),
                    meaning: Meaning::AuthorAt,
                    provenance: Provenance::Given,
                    confidence: 100,
                });
                return;
            }
            None => {}
        }
        post.places.extend(self.settings.placing.of_post(item, &self.regions));
    }

    /// Where people look at a crisis they care where it is: there a mentioned place is used in
    /// place of one that isn't known.
    fn place_in_crisis(&self, item: &PostItem<'_>, post: &mut Post) {
        let placing = &self.settings.placing;
        if !placing.mentions_in_crises
            || post.path() != UNLOCATED
            || !post.topics.iter().any(|hit| self.settings.crises.contains(&hit.id))
        {
            return;
        }
        let Some(mention) = item
            .text
            .as_deref()
            .and_then(|text| placing.of_text(text, atlas::Meaning::Mentioned, &self.regions))
        else {
            return;
        };
        if post.places.is_empty() {
            let unknown = Place {
                path: UNLOCATED.to_owned(),
                meaning: Meaning::AuthorAt,
                provenance: Provenance::Given,
                confidence: 0,
            };
            post.places.push(unknown);
        }
        post.places.push(mention);
    }

    /// Where nothing else tells a place, the author's profile may: of posts that match a topic, and
    /// of a sample of authors. Whether the profile says that its author doesn't want to be read.
    fn has_opted_out(
        &mut self,
        item: &PostItem<'_>,
        routing: Routing,
        post: &mut Post,
        now: Micros,
    ) -> bool {
        let Some(profiles) = &mut self.profiles else { return false };
        let is_located = item.region.is_some() || post.path() != UNLOCATED;
        if is_located || !self.settings.placing.evidence.contains(&Evidence::Profile) {
            return false;
        }
        post.flags.by_profile = true;
        post.flags.sampled = profiles.is_sampled(&item.source, &item.author);
        if !post.flags.sampled && post.topics.is_empty() {
            return false;
        }
        match profiles.known(&item.source, &item.author, now) {
            KnownProfile::Place(place) => profiles::give(post, place.as_ref()),
            KnownProfile::OptedOut => return true,
            KnownProfile::NotYet => {
                post.flags.pending = true;
                profiles.wait(&item.author, routing, post, now);
            }
        }
        false
    }

    /// Authors to be queried next, at most so many.
    pub fn questions(&mut self, most: usize) -> Vec<String> {
        self.profiles.as_mut().map(|profiles| profiles.batch(most)).unwrap_or_default()
    }

    /// They could not be queried.
    pub fn unanswered(&mut self, authors: Vec<String>) {
        if let Some(profiles) = &mut self.profiles {
            profiles.ask_again(authors);
        }
    }

    /// Posts that wait for profiles.
    pub fn waiting(&self) -> usize {
        self.profiles.as_ref().map_or(0, Profiles::waiting)
    }

    /// What an author says of themselves, or nothing; the posts that waited for it, to be stored in
    /// place of what went out.
    pub fn answered(
        &mut self,
        source: &str,
        author: &str,
        description: Option<&str>,
        now: Micros,
    ) -> Vec<(Routing, Post)> {
        let place = description.and_then(|description| {
            self.settings.placing.of_description(description, &self.regions)
        });
        match &mut self.profiles {
            Some(profiles) => profiles.answer(source, author, place.as_ref(), now),
            None => Vec::new(),
        }
    }

    /// An author's profile says that they don't want to be read: the posts that went out while it
    /// was requested are taken back.
    pub fn opted_out(&mut self, source: &str, author: &str, now: Micros) -> Vec<(Routing, Post)> {
        let waited = self
            .profiles
            .as_mut()
            .map(|profiles| profiles.opted_out(source, author, now))
            .unwrap_or_default();
        let Some(last) = waited.iter().map(|(_, post)| post.arrival).max() else {
            return Vec::new();
        };
        match self.removal(source, author, last + SECOND) {
            Outcome::Post { routing, post, .. } => vec![(routing, post)],
            Outcome::Ignored { .. } => Vec::new(),
        }
    }

    fn path(&mut self, region: &str) -> (Box<str>, bool) {
        if let Some(known) = self.paths.get(region) {
            return known.clone();
        }
        let (path, unknown) = self.regions.path(region);
        let found = (path.into_boxed_str(), unknown);
        if self.paths.len() < PATHS_MAX {
            self.paths.insert(region.into(), found.clone());
        }
        found
    }

    /// Languages, tags and topics.
    fn describe(&self, item: &PostItem<'_>, post: &mut Post, dropped: &mut Dropped) {
        for written in &item.langs {
            match language::find(written) {
                Some(code) if post.langs.iter().any(|known| known == code) => {}
                Some(code) if post.langs.len() < self.settings.langs_max => {
                    post.langs.push(code.to_owned())
                }
                _ => dropped.languages += 1,
            }
        }
        post.langs.sort_unstable();
        let tags = item.tags.iter().map(AsRef::as_ref).collect::<Vec<_>>();
        let langs = post.langs.iter().map(String::as_str).collect::<Vec<_>>();
        let reading =
            self.settings.lexicon.read(item.text.as_deref(), &tags, &langs, self.settings.segment);
        post.tags = reading.tags;
        let lexicon = &self.settings.lexicon;
        let hits =
            reading.topics.into_iter().filter(|hit| lexicon.counts(hit.topic, post.event_time));
        post.topics = hits
            .map(|hit| TopicMatch { id: hit.id.to_owned(), voice: hit.voice, keys: hit.keys })
            .collect();
        dropped.topics += post.topics.len().saturating_sub(TOPICS_MAX) as u32;
        post.topics.truncate(TOPICS_MAX);
        // What only explains a topic's cells is stored only for posts that have one.
        if !post.topics.is_empty() {
            post.link_domain = item.link.as_deref().and_then(link::domain);
            post.simhash =
                item.text.as_deref().map_or(0, |text| simhash::of(text, &self.similarity));
        }
        // Of a post on HIV or on a patient's condition nothing is written that could be found again
        // in an archive of posts.
        if post.topics.iter().any(|hit| self.settings.private.contains(&hit.id)) {
            post.tags.clear();
            post.topics.iter_mut().for_each(|hit| hit.keys.clear());
            post.link_domain = None;
            post.simhash = 0;
        }
        dropped.tags =
            dropped.tags.saturating_add(u32::try_from(reading.dropped_tags).unwrap_or(u32::MAX));
    }
}

/// A clock that is ahead of ours by more than a little is wrong: ours counts.
pub(crate) fn believed(stamp: Micros, now: Micros) -> Micros {
    if stamp > now.saturating_add(STAMP_AHEAD_MAX) { now } else { stamp }
}

#[cfg(test)]
pub(crate) mod tests;
