//! Line parser: recognises the schema of each line and extracts its content.
//!
//! | arrives | form | what is lost |
//! |---|---|---|
//! | our own schema | `id`, `author`, `created_at`, …: one post or deletion | unknown fields |
//! | Jetstream v1 | `did`, `time_us`, `kind` and its body | all but posts and removals of accounts: likes, follows, handles are understood and left |
//! | Jetstream v2 | `{"$type":"message","payload":…}`, or the payload bare | the same; `sync`, `info` and `error` are understood and left |
//!
//! Any bytes become an [`Item`] or are [`Rejected`] with a reason; nothing panics and nothing of
//! the line is in the reason. In our schema a wrong type in a field that decides a count rejects
//! the line, since its writer can mend it. On a network nobody can: there only what identifies and
//! dates a post has to be right. Knows no clock, no keys, no topics.

mod raw;
mod scan;

use std::borrow::Cow;
use std::mem::take;

use record::time::{self, Micros, TimeError};
use record::{Op, RejectReason};
use serde::de::DeserializeSeed;
use thiserror::Error;

use raw::{Account, Fill, Found, Maybe, Record, Text, Top, Written};
pub(crate) use scan::is_blank;
use scan::nests_deeper;

/// The source that Jetstream lines belong to.
pub const BLUESKY: &str = "bluesky";
/// The source of lines in our schema that name none.
pub const FILE: &str = "file";
/// The collection that posts are in.
pub const POSTS: &str = "app.bsky.feed.post";

/// What a line may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    pub line_bytes_max: usize,
    /// Objects and arrays within each other; the parser would exhaust the stack.
    pub depth_max: usize,
    /// Further tags of a post are dropped and counted; at most 256.
    pub tags_max: usize,
    /// A longer tag is dropped and counted: about 64 graphemes.
    pub tag_bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            line_bytes_max: 1 << 20,
            depth_max: 128,
            tags_max: raw::ELEMENTS_MAX,
            tag_bytes_max: 640,
        }
    }
}

/// Why a line is set aside.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{}: {detail}", reason.name())]
pub struct Rejected {
    pub reason: RejectReason,
    /// The field, or the place in the line; never what stood there.
    pub detail: Cow<'static, str>,
}

impl Rejected {
    pub fn new(reason: RejectReason, detail: impl Into<Cow<'static, str>>) -> Rejected {
        Rejected { reason, detail: detail.into() }
    }
}

/// A line that was understood.
#[derive(Debug, Clone, PartialEq)]
pub struct Line<'a> {
    /// The source's own stamp of arrival, where there is one.
    pub stamp: Option<Micros>,
    /// Jetstream's sequence number, where there is one.
    pub sequence: Option<u64>,
    pub item: Item<'a>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Item<'a> {
    /// Nothing but white space.
    Blank,
    Post(Box<PostItem<'a>>),
    /// All posts of this author until now are gone.
    Removal {
        source: &'static str,
        author: Cow<'a, str>,
    },
    Ignored(Ignored),
    /// The server says something of the stream: `OutdatedCursor`, `FutureCursor`.
    Info(Cow<'a, str>),
    /// The server says that it ends the stream, and why.
    Failure(Cow<'a, str>),
}

/// A post, its deletion or its change, as a source tells it.
#[derive(Debug, Clone, PartialEq)]
pub struct PostItem<'a> {
    pub op: Op,
    pub source: Cow<'a, str>,
    pub author: Cow<'a, str>,
    /// The author's name for the post.
    pub id: Cow<'a, str>,
    /// When the author says that it was made; in deletions of our schema when it was deleted; none
    /// in Jetstream's.
    pub created_at: Option<Micros>,
    pub text: Option<Cow<'a, str>>,
    /// The platform's own tags, without empty ones and cashtags.
    pub tags: Vec<Cow<'a, str>>,
    pub tags_dropped: u32,
    pub langs: Vec<Cow<'a, str>>,
    pub region: Option<Cow<'a, str>>,
    /// Latitude and longitude in degrees, as stated: possibly invalid.
    pub coordinates: Option<(f64, f64)>,
    /// The place that the platform names, as text.
    pub place: Option<Cow<'a, str>>,
    /// What the author says of where they live, as text.
    pub profile: Option<Cow<'a, str>>,
    /// The address that the post links to.
    pub link: Option<Cow<'a, str>>,
}

/// What is understood and of no use to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Ignored {
    /// A like, a follow, a profile: a record of another collection.
    Collection,
    Identity,
    /// An account that came back, or whose state removes nothing.
    Account,
    Sync,
    Info,
    /// A kind of event that came into use after this was written.
    Kind,
    /// The server ends the stream.
    Failure,
    Blank,
    /// A post of an author who has opted out.
    OptedOut,
}

impl Ignored {
    pub fn name(self) -> &'static str {
        match self {
            Ignored::Collection => "collection",
            Ignored::Identity => "identity",
            Ignored::Account => "account",
            Ignored::Sync => "sync",
            Ignored::Info => "info",
            Ignored::Kind => "kind",
            Ignored::Failure => "failure",
            Ignored::Blank => "blank",
            Ignored::OptedOut => "opted-out",
        }
    }
}

/// Reads a line, without its newline.
pub fn parse<'a>(bytes: &'a [u8], limits: &Limits) -> Result<Line<'a>, Rejected> {
    if bytes.len() > limits.line_bytes_max {
        return Err(Rejected::new(
            RejectReason::Length,
            format!("longer than {} bytes", limits.line_bytes_max),
        ));
    }
    if is_blank(bytes) {
        return Ok(Line { stamp: None, sequence: None, item: Item::Blank });
    }
    let text = std::str::from_utf8(bytes).map_err(|err| {
        Rejected::new(RejectReason::Utf8, format!("at byte {}", err.valid_up_to()))
    })?;
    if nests_deeper(bytes, limits.depth_max) {
        return Err(Rejected::new(
            RejectReason::Depth,
            format!("deeper than {} levels", limits.depth_max),
        ));
    }
    // Lone surrogates, which JSON can spell and UTF-8 can't, become U+FFFD.
    let mut json = sonic_rs::Deserializer::from_str(text).utf8_lossy();
    let mut top = Top::default();
    match Fill(&mut top).deserialize(&mut json).and_then(|found| json.end().map(|()| found)) {
        Ok(Found::Object) => judge(&mut top, limits),
        Ok(Found::Null | Found::Other) => Err(Rejected::new(RejectReason::Shape, "not an object")),
        // The parser's own message quotes the line.
        Err(err) => Err(Rejected::new(RejectReason::Json, format!("at byte {}", err.offset()))),
    }
}

/// Which of the schemas it is, then what it says.
fn judge<'a>(top: &mut Top<'a>, limits: &Limits) -> Result<Line<'a>, Rejected> {
    if let Maybe::Here(name) = &top.kind_name {
        if name == "message" {
            let Maybe::Here(mut payload) = take(&mut top.payload) else {
                return Err(field("payload"));
            };
            // The line's own region is its place, wherever the envelope ends.
            if !top.region.is_absent() {
                payload.region = take(&mut top.region);
            }
            return wire_second(&mut payload, limits);
        }
        if name == "error" {
            let error = take(&mut top.error).here().unwrap_or(Cow::Borrowed("unnamed"));
            return Ok(Line { stamp: None, sequence: None, item: Item::Failure(error) });
        }
        if name.contains('#') && top.id.is_absent() {
            return wire_second(top, limits);
        }
    }
    let known_kind = top.kind.is("commit") || top.kind.is("identity") || top.kind.is("account");
    let has_did = !top.did.is_absent();
    let has_stamp = !matches!(top.time_us, Written::Absent);
    if (known_kind && (has_did || has_stamp)) || (has_did && has_stamp) {
        wire_first(top, limits)
    } else {
        own(top, limits)
    }
}

// --- our schema ---

fn own<'a>(top: &mut Top<'a>, limits: &Limits) -> Result<Line<'a>, Rejected> {
    let id = required(take(&mut top.id), "id")?;
    let author = required(take(&mut top.author), "author")?;
    let created_at = created(&top.created_at)?;
    let op = match optional(take(&mut top.op), "op")? {
        None => Op::Create,
        Some(op) if op == "create" => Op::Create,
        Some(op) if op == "delete" => Op::Delete,
        Some(_) => return Err(field("op")),
    };
    let source = optional(take(&mut top.source), "source")?
        .filter(|source| !source.is_empty())
        .unwrap_or(Cow::Borrowed(FILE));
    let stamp = match &top.arrived {
        Written::Absent => None,
        written => {
            Some(instant(written).map_err(|_| Rejected::new(RejectReason::Arrival, "arrived"))?)
        }
    };
    let text = optional(take(&mut top.text), "text")?;
    let (tags, tags_beyond) = list(take(&mut top.tags), "tags")?;
    let (langs, _) = list(take(&mut top.langs), "langs")?;
    let region = optional(take(&mut top.region), "region")?;
    let coordinates = coordinates(&top.lat, &top.lon)?;
    let place = optional(take(&mut top.place), "place")?;
    let profile = optional(take(&mut top.profile), "profile")?;
    let mut tags_dropped = tags_beyond;
    let tags = bounded_tags(tags.into_iter(), limits, &mut tags_dropped);
    let post = PostItem {
        op,
        source,
        author,
        id,
        created_at: Some(created_at),
        text,
        tags,
        tags_dropped,
        langs,
        region,
        coordinates,
        place,
        profile,
        link: take(&mut top.url).here(),
    };
    Ok(Line { stamp, sequence: None, item: Item::Post(Box::new(post)) })
}

fn list<'a>(
    list: Maybe<raw::List<'a>>,
    name: &'static str,
) -> Result<(Vec<Cow<'a, str>>, u32), Rejected> {
    match list {
        Maybe::Absent => Ok((Vec::new(), 0)),
        Maybe::Here(list) if !list.wrong => Ok((list.items, list.dropped)),
        Maybe::Here(_) | Maybe::Wrong => Err(field(name)),
    }
}

// --- Jetstream ---

/// What both wires say of a commit.
struct Commit<'a> {
    operation: Text<'a>,
    collection: Text<'a>,
    rkey: Text<'a>,
    record: Maybe<Record<'a>>,
}

fn wire_first<'a>(top: &mut Top<'a>, limits: &Limits) -> Result<Line<'a>, Rejected> {
    let stamp = stamp_micros(&top.time_us);
    let sequence = whole_number(&top.cursor);
    let item = match take(&mut top.kind).here().as_deref() {
        None => return Err(field("kind")),
        Some("commit") => {
            let Maybe::Here(commit) = take(&mut top.commit) else { return Err(field("commit")) };
            let commit = Commit {
                operation: commit.operation,
                collection: commit.collection,
                rkey: commit.rkey,
                record: commit.record,
            };
            from_commit(commit, take(&mut top.did), take(&mut top.region), limits)?
        }
        Some("identity") => Item::Ignored(Ignored::Identity),
        Some("account") => from_account(take(&mut top.account), take(&mut top.did))?,
        Some(_) => Item::Ignored(Ignored::Kind),
    };
    stamped(stamp, sequence, item)
}

fn wire_second<'a>(top: &mut Top<'a>, limits: &Limits) -> Result<Line<'a>, Rejected> {
    let stamp = match &top.time {
        Written::Absent => Ok(None),
        written => {
            instant(written).map(Some).map_err(|_| Rejected::new(RejectReason::Arrival, "time"))
        }
    };
    let sequence = whole_number(&top.seq);
    let name = required(take(&mut top.kind_name), "$type")?;
    let item = match name.rsplit('#').next().unwrap_or("") {
        "commit" => {
            let commit = Commit {
                operation: take(&mut top.operation),
                collection: take(&mut top.collection),
                rkey: take(&mut top.rkey),
                record: take(&mut top.record),
            };
            from_commit(commit, take(&mut top.did), take(&mut top.region), limits)?
        }
        "identity" => Item::Ignored(Ignored::Identity),
        // The relay's event inside ours; flat in early servers.
        "account" if top.account.is_absent() => from_account(
            Maybe::Here(Account { active: take(&mut top.active), status: take(&mut top.status) }),
            take(&mut top.did),
        )?,
        "account" => from_account(take(&mut top.account), take(&mut top.did))?,
        "sync" => Item::Ignored(Ignored::Sync),
        "info" => Item::Info(take(&mut top.name).here().unwrap_or(Cow::Borrowed("unnamed"))),
        _ => Item::Ignored(Ignored::Kind),
    };
    stamped(stamp, sequence, item)
}

/// An unreadable stamp matters only where it would be used.
fn stamped(
    stamp: Result<Option<Micros>, Rejected>,
    sequence: Option<u64>,
    item: Item<'_>,
) -> Result<Line<'_>, Rejected> {
    let stamp = match (stamp, &item) {
        (Err(_), Item::Ignored(_) | Item::Info(_)) => None,
        (stamp, _) => stamp?,
    };
    Ok(Line { stamp, sequence, item })
}

fn from_commit<'a>(
    commit: Commit<'a>,
    did: Text<'a>,
    region: Text<'a>,
    limits: &Limits,
) -> Result<Item<'a>, Rejected> {
    if required(commit.collection, "collection")? != POSTS {
        return Ok(Item::Ignored(Ignored::Collection));
    }
    let author = required(did, "did")?;
    let id = required(commit.rkey, "rkey")?;
    let region = optional(region, "region")?;
    let op = match required(commit.operation, "operation")?.as_ref() {
        "create" => Op::Create,
        "update" => Op::Edit,
        "delete" => Op::Delete,
        _ => return Err(field("operation")),
    };
    let mut post = PostItem {
        op,
        source: Cow::Borrowed(BLUESKY),
        author,
        id,
        created_at: None,
        text: None,
        tags: Vec::new(),
        tags_dropped: 0,
        langs: Vec::new(),
        region,
        coordinates: None,
        place: None,
        profile: None,
        link: None,
    };
    if op != Op::Delete {
        let Maybe::Here(record) = commit.record else { return Err(field("record")) };
        describe(&mut post, record, limits)?;
    }
    Ok(Item::Post(Box::new(post)))
}

fn describe<'a>(
    post: &mut PostItem<'a>,
    record: Record<'a>,
    limits: &Limits,
) -> Result<(), Rejected> {
    post.created_at = Some(created(&record.created_at)?);
    post.text = optional(record.text, "text")?;
    post.langs = record.langs.here().unwrap_or_default().items;
    let facets = record.facets.here().unwrap_or_default();
    let further = record.tags.here().unwrap_or_default();
    post.tags_dropped = facets.dropped + further.dropped;
    // Cashtags are tags too on the wire, and never about health.
    let tags = facets.tags.into_iter().chain(further.items).filter(|tag| !tag.starts_with('$'));
    post.tags = bounded_tags(tags, limits, &mut post.tags_dropped);
    post.link = record.embed.here().and_then(|embed| {
        let beside_quote = embed.media.here().map(|media| media.external).unwrap_or_default();
        let external = embed.external.here().or(beside_quote.here())?;
        external.uri.here()
    });
    Ok(())
}

fn from_account<'a>(account: Maybe<Account<'a>>, did: Text<'a>) -> Result<Item<'a>, Rejected> {
    let Maybe::Here(account) = account else { return Err(field("account")) };
    let Some(active) = account.active.0 else { return Err(field("active")) };
    let removes = !active
        && matches!(
            account.status.here().as_deref(),
            Some("deleted" | "deactivated" | "takendown" | "suspended")
        );
    if !removes {
        return Ok(Item::Ignored(Ignored::Account));
    }
    Ok(Item::Removal { source: BLUESKY, author: required(did, "did")? })
}

// --- fields ---

#[cold]
fn field(name: &'static str) -> Rejected {
    Rejected::new(RejectReason::Field, name)
}

fn required<'a>(text: Text<'a>, name: &'static str) -> Result<Cow<'a, str>, Rejected> {
    match text {
        Maybe::Here(text) if !text.is_empty() => Ok(text),
        _ => Err(field(name)),
    }
}

fn optional<'a>(text: Text<'a>, name: &'static str) -> Result<Option<Cow<'a, str>>, Rejected> {
    match text {
        Maybe::Absent => Ok(None),
        Maybe::Wrong => Err(field(name)),
        Maybe::Here(text) => Ok(Some(text)),
    }
}

/// Both or neither. What is no place on earth is still a number, and its post is unlocated.
fn coordinates(
    latitude: &Written<'_>,
    longitude: &Written<'_>,
) -> Result<Option<(f64, f64)>, Rejected> {
    let degrees = |written: &Written<'_>, name| match written {
        Written::Absent => Ok(None),
        Written::Number(text) | Written::String(text) => {
            text.trim().parse::<f64>().map(Some).map_err(|_| field(name))
        }
        Written::Wrong => Err(field(name)),
    };
    match (degrees(latitude, "lat")?, degrees(longitude, "lon")?) {
        (Some(latitude), Some(longitude)) => Ok(Some((latitude, longitude))),
        (None, None) => Ok(None),
        (None, Some(_)) => Err(field("lat")),
        (Some(_), None) => Err(field("lon")),
    }
}

fn instant(written: &Written<'_>) -> Result<Micros, TimeError> {
    match written {
        Written::Absent | Written::Wrong => Err(TimeError::Unreadable),
        Written::Number(text) | Written::String(text) => time::parse(text),
    }
}

/// When a post was made: a line without that can't be counted.
fn created(written: &Written<'_>) -> Result<Micros, Rejected> {
    instant(written).map_err(|err| match err {
        TimeError::Unreadable | TimeError::NoDate => {
            Rejected::new(RejectReason::Time, "created_at missing or unreadable")
        }
        TimeError::OutOfRange => {
            Rejected::new(RejectReason::TimeRange, "created_at outside 2000 to 2099")
        }
    })
}

/// Jetstream v1's stamp: whole microseconds.
fn stamp_micros(written: &Written<'_>) -> Result<Option<Micros>, Rejected> {
    match written {
        Written::Absent => Ok(None),
        Written::Number(text) | Written::String(text) => {
            let micros =
                text.parse::<i64>().ok().and_then(|micros| time::in_range(i128::from(micros)).ok());
            micros.map(Some).ok_or_else(|| Rejected::new(RejectReason::Arrival, "time_us"))
        }
        Written::Wrong => Err(Rejected::new(RejectReason::Arrival, "time_us")),
    }
}

fn whole_number(written: &Written<'_>) -> Option<u64> {
    match written {
        Written::Number(text) | Written::String(text) => text.parse().ok(),
        Written::Absent | Written::Wrong => None,
    }
}

fn bounded_tags<'a>(
    tags: impl Iterator<Item = Cow<'a, str>>,
    limits: &Limits,
    dropped: &mut u32,
) -> Vec<Cow<'a, str>> {
    let mut accepted = Vec::new();
    for tag in tags {
        if tag.trim().is_empty() {
            continue;
        }
        if tag.len() > limits.tag_bytes_max || accepted.len() >= limits.tags_max {
            *dropped += 1;
            continue;
        }
        accepted.push(tag);
    }
    accepted
}

#[cfg(test)]
mod tests;
