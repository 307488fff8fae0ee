//! A line as Jetstream v1 sends it, with the region at its top level.
//!
//! Everything that a line says follows from a few numbers and the world's key, so that a repeat, an
//! edit or a delete needs the numbers only: nothing that waits holds text. Written straight into a
//! reused string; the keys are in the order in which the network's own lines have them.
//!
//! Knows no plan and no clock: `world` decides what is posted when.

use crate::places::PLACES;
use crate::random::{Random, mix};
use crate::words::{Lang, Topic};
use crate::{DAY_US, HOUR_US, MINUTE_US, SECOND_US};

/// One post, by the numbers it follows from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Post {
    pub(crate) author: Author,
    pub(crate) created_us: i64,
    /// Index into `PLACES`.
    pub(crate) place: u8,
    pub(crate) lang: Lang,
    pub(crate) matter: Matter,
    pub(crate) seed: u64,
    /// 0 as first written; another one has another text.
    pub(crate) edition: u8,
}

/// What a post is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Matter {
    Chat,
    Health(Topic),
    /// Health, by somebody who has it more often than not.
    Outbreak(Topic),
    /// The number is the event's: all share its story.
    News(Topic, u16),
    Bot(Topic, u16),
}

/// An account, as a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Author(pub(crate) u64);

/// What a line says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    Create(Post),
    /// The same id once more, as a create, with another text or place.
    Again(Post),
    Edit(Post),
    Delete(Post),
    Like {
        by: Author,
        of: Post,
    },
    Unlike {
        by: Author,
        of: Post,
    },
    Repost {
        by: Author,
        of: Post,
    },
    Follow {
        by: Author,
        of: Author,
    },
    Profile(Author),
    Identity(Author),
    Account(Author, AccountStatus),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AccountStatus {
    Active,
    Deactivated,
    Deleted,
    Suspended,
    TakenDown,
}

/// Writes lines of one world.
pub(crate) struct Pen {
    key: u64,
    text: String,
    link: String,
    facets: Vec<Facet>,
    day: Day,
}

/// A stretch of the text, in bytes.
struct Facet {
    start: usize,
    end: usize,
    is_link: bool,
}

/// The date last written: neighbours share it.
struct Day {
    number: i64,
    date: String,
}

impl Pen {
    pub(crate) fn new(key: u64) -> Pen {
        Pen {
            key,
            text: String::new(),
            link: String::new(),
            facets: Vec::new(),
            day: Day { number: i64::MIN, date: String::new() },
        }
    }

    /// Replaces `out` by the line, without a line feed.
    pub(crate) fn write(&mut self, content: &Content, time_us: i64, out: &mut String) {
        out.clear();
        match content {
            Content::Create(post) | Content::Again(post) => {
                self.post(out, post, "create", time_us);
            }
            Content::Edit(post) => self.post(out, post, "update", time_us),
            Content::Delete(post) => {
                self.head(out, post.author, time_us, "commit");
                self.delete(out, "app.bsky.feed.post", post.record_key(), time_us);
            }
            Content::Like { by, of } => {
                self.reaction(out, "app.bsky.feed.like", *by, of, time_us);
            }
            Content::Repost { by, of } => {
                self.reaction(out, "app.bsky.feed.repost", *by, of, time_us);
            }
            Content::Unlike { by, of } => {
                self.head(out, *by, time_us, "commit");
                let record_key = RecordKey { at_us: of.created_us, clock: by.0 };
                self.delete(out, "app.bsky.feed.like", record_key, time_us);
            }
            Content::Follow { by, of } => self.follow(out, *by, *of, time_us),
            Content::Profile(author) => self.profile(out, *author, time_us),
            Content::Identity(author) => {
                self.head(out, *author, time_us, "identity");
                out.push_str("\"identity\":{\"did\":\"");
                self.did(out, *author);
                self.sequence_and_time(out, time_us);
            }
            Content::Account(author, status) => self.account(out, *author, *status, time_us),
        }
    }

    fn head(&self, out: &mut String, author: Author, time_us: i64, kind: &str) {
        out.push_str("{\"did\":\"");
        self.did(out, author);
        out.push_str("\",\"time_us\":");
        push_number(out, time_us);
        out.push_str(",\"kind\":\"");
        out.push_str(kind);
        out.push_str("\",");
    }

    fn post(&mut self, out: &mut String, post: &Post, operation: &str, time_us: i64) {
        self.head(out, post.author, time_us, "commit");
        out.push_str("\"region\":\"");
        out.push_str(PLACES[usize::from(post.place)].region);
        out.push_str("\",");
        self.commit(out, operation, "app.bsky.feed.post", post.record_key(), time_us);
        let mut random = Random::new(mix(post.seed, u64::from(post.edition)));
        let written = self.compose(post, &mut random);
        out.push_str("\"createdAt\":\"");
        self.time(out, post.created_us);
        out.push('"');
        if !self.link.is_empty() {
            out.push_str(
                ",\"embed\":{\"$type\":\"app.bsky.embed.external\",\
                 \"external\":{\"description\":\"\",\"title\":\"\",\"uri\":\"",
            );
            out.push_str(&self.link);
            out.push_str("\"}}");
        }
        if written.with_facets && !self.facets.is_empty() {
            self.facets(out);
        }
        langs(out, post.lang, &mut random);
        if written.is_reply {
            self.reply(out, post, &mut random);
        }
        if let Some(tag) = written.outline_tag {
            out.push_str(",\"tags\":[\"");
            out.push_str(tag);
            out.push_str("\"]");
        }
        out.push_str(",\"text\":\"");
        push_escaped(out, &self.text);
        out.push_str("\"},\"cid\":\"");
        push_cid(out, post.seed, u64::from(post.edition));
        out.push_str("\"}}");
    }

    fn facets(&self, out: &mut String) {
        out.push_str(",\"facets\":[");
        for (index, facet) in self.facets.iter().enumerate() {
            if index > 0 {
                out.push(',');
            }
            if facet.is_link {
                out.push_str(
                    "{\"features\":[{\"$type\":\"app.bsky.richtext.facet#link\",\"uri\":\"",
                );
                out.push_str(&self.link);
            } else {
                out.push_str(
                    "{\"features\":[{\"$type\":\"app.bsky.richtext.facet#tag\",\"tag\":\"",
                );
                out.push_str(&self.text[facet.start + 1..facet.end]);
            }
            out.push_str("\"}],\"index\":{\"byteEnd\":");
            push_number(out, facet.end as i64);
            out.push_str(",\"byteStart\":");
            push_number(out, facet.start as i64);
            out.push_str("}}");
        }
        out.push(']');
    }

    /// An answer to somebody's post of the hours before.
    fn reply(&self, out: &mut String, post: &Post, random: &mut Random) {
        let parent = Subject::drawn(random, post.created_us);
        let root = if random.chance(0.6) { parent } else { Subject::drawn(random, parent.at_us) };
        out.push_str(",\"reply\":{\"parent\":{");
        self.subject(out, &parent);
        out.push_str("},\"root\":{");
        self.subject(out, &root);
        out.push_str("}}");
    }

    fn subject(&self, out: &mut String, subject: &Subject) {
        out.push_str("\"cid\":\"");
        push_cid(out, subject.seed, 0);
        out.push_str("\",\"uri\":\"at://");
        self.did(out, subject.author);
        out.push_str("/app.bsky.feed.post/");
        push_record_key(out, RecordKey { at_us: subject.at_us, clock: subject.seed });
        out.push('"');
    }

    fn reaction(
        &mut self,
        out: &mut String,
        collection: &str,
        by: Author,
        of: &Post,
        time_us: i64,
    ) {
        self.head(out, by, time_us, "commit");
        let record_key = RecordKey { at_us: time_us - SECOND_US / 5, clock: by.0 };
        self.commit(out, "create", collection, record_key, time_us);
        out.push_str("\"createdAt\":\"");
        self.time(out, time_us - SECOND_US);
        out.push_str("\",\"subject\":{");
        let of = Subject { author: of.author, at_us: of.created_us, seed: of.seed };
        self.subject(out, &of);
        out.push_str("}},\"cid\":\"");
        push_cid(out, mix(by.0, of.seed), time_us as u64);
        out.push_str("\"}}");
    }

    fn follow(&mut self, out: &mut String, by: Author, of: Author, time_us: i64) {
        self.head(out, by, time_us, "commit");
        let record_key = RecordKey { at_us: time_us - SECOND_US / 5, clock: by.0 };
        self.commit(out, "create", "app.bsky.graph.follow", record_key, time_us);
        out.push_str("\"createdAt\":\"");
        self.time(out, time_us - SECOND_US);
        out.push_str("\",\"subject\":\"");
        self.did(out, of);
        out.push_str("\"},\"cid\":\"");
        push_cid(out, mix(by.0, of.0), time_us as u64);
        out.push_str("\"}}");
    }

    fn profile(&mut self, out: &mut String, author: Author, time_us: i64) {
        self.head(out, author, time_us, "commit");
        self.commit_named(out, "update", "app.bsky.actor.profile", time_us);
        out.push_str("self\",\"record\":{\"$type\":\"app.bsky.actor.profile\",\"createdAt\":\"");
        self.time(out, time_us - 300 * DAY_US);
        out.push_str(
            "\",\"description\":\"An account of a simulated world. #flu in a profile is no post.\",\
             \"displayName\":\"Simulated\"},\"cid\":\"",
        );
        push_cid(out, author.0, time_us as u64);
        out.push_str("\"}}");
    }

    fn account(&mut self, out: &mut String, author: Author, status: AccountStatus, time_us: i64) {
        self.head(out, author, time_us, "account");
        out.push_str("\"account\":{\"active\":");
        out.push_str(if status == AccountStatus::Active { "true" } else { "false" });
        out.push_str(",\"did\":\"");
        self.did(out, author);
        let status = match status {
            AccountStatus::Active => "",
            AccountStatus::Deactivated => "\",\"status\":\"deactivated",
            AccountStatus::Deleted => "\",\"status\":\"deleted",
            AccountStatus::Suspended => "\",\"status\":\"suspended",
            AccountStatus::TakenDown => "\",\"status\":\"takendown",
        };
        out.push_str(status);
        self.sequence_and_time(out, time_us);
    }

    fn sequence_and_time(&mut self, out: &mut String, time_us: i64) {
        out.push_str("\",\"seq\":");
        push_number(out, 12_000_000_000 + time_us.rem_euclid(400 * DAY_US) / 10_000);
        out.push_str(",\"time\":\"");
        self.time(out, time_us - SECOND_US / 2);
        out.push_str("\"}}");
    }

    fn delete(&self, out: &mut String, collection: &str, record_key: RecordKey, time_us: i64) {
        self.commit_named(out, "delete", collection, time_us);
        push_record_key(out, record_key);
        out.push_str("\"}}");
    }

    /// Up to and with the opening of the record and its type.
    fn commit(
        &self,
        out: &mut String,
        operation: &str,
        collection: &str,
        record_key: RecordKey,
        time_us: i64,
    ) {
        self.commit_named(out, operation, collection, time_us);
        push_record_key(out, record_key);
        out.push_str("\",\"record\":{\"$type\":\"");
        out.push_str(collection);
        out.push_str("\",");
    }

    /// Up to the record key.
    fn commit_named(&self, out: &mut String, operation: &str, collection: &str, time_us: i64) {
        out.push_str("\"commit\":{\"rev\":\"");
        push_record_key(out, RecordKey { at_us: time_us - SECOND_US / 8, clock: time_us as u64 });
        out.push_str("\",\"operation\":\"");
        out.push_str(operation);
        out.push_str("\",\"collection\":\"");
        out.push_str(collection);
        out.push_str("\",\"rkey\":\"");
    }

    fn did(&self, out: &mut String, author: Author) {
        let mut random = Random::new(mix(self.key, author.0));
        out.push_str("did:plc:");
        push_base32(out, random.next_u64(), 12);
        push_base32(out, random.next_u64(), 12);
    }

    /// RFC 3339 with milliseconds.
    fn time(&mut self, out: &mut String, instant_us: i64) {
        let day = instant_us.div_euclid(DAY_US);
        if day != self.day.number {
            self.day = Day { number: day, date: date(day) };
        }
        let rest = instant_us.rem_euclid(DAY_US);
        out.push_str(&self.day.date);
        out.push('T');
        push_padded(out, rest / HOUR_US, 2);
        out.push(':');
        push_padded(out, rest % HOUR_US / MINUTE_US, 2);
        out.push(':');
        push_padded(out, rest % MINUTE_US / SECOND_US, 2);
        out.push('.');
        push_padded(out, rest % SECOND_US / 1000, 3);
        out.push('Z');
    }
}

/// What a composed post has besides its text, link and facets.
struct Written {
    with_facets: bool,
    is_reply: bool,
    /// A tag in the record's `tags` rather than in the text.
    outline_tag: Option<&'static str>,
}

impl Pen {
    /// Fills text, link and facets.
    fn compose(&mut self, post: &Post, random: &mut Random) -> Written {
        self.text.clear();
        self.link.clear();
        self.facets.clear();
        let mut written = Written {
            with_facets: random.chance(0.9),
            is_reply: random.chance(0.35),
            outline_tag: None,
        };
        let lang = post.lang;
        match post.matter {
            Matter::Chat => {
                self.sentence(random.pick(lang.openings()), "");
                self.closing(lang, random, 0.6);
                if random.chance(0.12) {
                    self.tag(random.pick(lang.harmless_tags()));
                    if random.chance(0.3) {
                        self.tag(random.pick(lang.harmless_tags()));
                    }
                } else if random.chance(0.02) {
                    written.outline_tag = Some(random.pick(lang.harmless_tags()));
                }
                if random.chance(0.04) {
                    self.link.push_str("https://pages.example/notes/");
                    push_base32(&mut self.link, random.next_u64(), 8);
                    self.show_link();
                }
            }
            Matter::Health(topic) => self.health(topic, lang, 0.5, random),
            Matter::Outbreak(topic) => self.health(topic, lang, 0.8, random),
            Matter::News(topic, story) => {
                written.is_reply = false;
                let tag = random.pick(topic.tags(lang));
                self.sentence(random.pick(lang.headlines()), tag);
                self.link.push_str("https://courier.example/");
                self.link.push_str(topic.id());
                self.link.push('-');
                push_number(&mut self.link, i64::from(story));
                self.show_link();
            }
            Matter::Bot(topic, number) => {
                written.is_reply = false;
                written.with_facets = true;
                self.sentence(lang.advertisement(), topic.tags(lang)[0]);
                self.text.push(' ');
                push_number(&mut self.text, random.between(1, 100));
                self.link.push_str("https://wonderdrops.example/");
                push_number(&mut self.link, i64::from(number));
                self.show_link();
            }
        }
        written
    }

    fn health(&mut self, topic: Topic, lang: Lang, first_person: f64, random: &mut Random) {
        let sentences =
            if random.chance(first_person) { lang.first_person() } else { lang.third_person() };
        self.sentence(random.pick(sentences), random.pick(topic.tags(lang)));
        self.closing(lang, random, 0.6);
        if random.chance(0.12) {
            self.tag(random.pick(lang.harmless_tags()));
        }
    }

    /// A sentence with the tag where it says so.
    fn sentence(&mut self, sentence: &str, tag: &str) {
        let Some((before, after)) = sentence.split_once("{}") else {
            self.text.push_str(sentence);
            return;
        };
        self.text.push_str(before);
        self.bare_tag(tag);
        self.text.push_str(after);
    }

    fn closing(&mut self, lang: Lang, random: &mut Random, probability: f64) {
        if random.chance(probability) {
            self.text.push(' ');
            self.text.push_str(random.pick(lang.closings()));
        }
    }

    fn tag(&mut self, tag: &str) {
        self.text.push(' ');
        self.bare_tag(tag);
    }

    fn bare_tag(&mut self, tag: &str) {
        let start = self.text.len();
        self.text.push('#');
        self.text.push_str(tag);
        self.facets.push(Facet { start, end: self.text.len(), is_link: false });
    }

    /// The link as clients show it, without its scheme.
    fn show_link(&mut self) {
        self.text.push(' ');
        let start = self.text.len();
        self.text.push_str(self.link.trim_start_matches("https://"));
        self.facets.push(Facet { start, end: self.text.len(), is_link: true });
    }
}

fn langs(out: &mut String, lang: Lang, random: &mut Random) {
    match random.unit() {
        draw if draw < 0.04 => {}
        draw if draw < 0.06 => push_langs(out, lang.regional_code(), None),
        draw if draw < 0.08 && lang != Lang::En => push_langs(out, lang.code(), Some("en")),
        _ => push_langs(out, lang.code(), None),
    }
}

fn push_langs(out: &mut String, first: &str, second: Option<&str>) {
    out.push_str(",\"langs\":[\"");
    out.push_str(first);
    if let Some(second) = second {
        out.push_str("\",\"");
        out.push_str(second);
    }
    out.push_str("\"]");
}

/// A post that another one refers to.
#[derive(Clone, Copy)]
struct Subject {
    author: Author,
    at_us: i64,
    seed: u64,
}

impl Subject {
    fn drawn(random: &mut Random, before_us: i64) -> Subject {
        Subject {
            author: Author(random.next_u64()),
            at_us: before_us - random.between(SECOND_US, 20 * HOUR_US),
            seed: random.next_u64(),
        }
    }
}

impl Post {
    fn record_key(&self) -> RecordKey {
        RecordKey { at_us: self.created_us, clock: self.seed }
    }
}

/// A TID: 53 bits of microseconds, ten of a clock's number.
#[derive(Clone, Copy)]
struct RecordKey {
    at_us: i64,
    clock: u64,
}

fn push_record_key(out: &mut String, key: RecordKey) {
    const SORTABLE: &[u8; 32] = b"234567abcdefghijklmnopqrstuvwxyz";
    let bits = ((key.at_us as u64) << 10 | key.clock & 1023) & (u64::MAX >> 1);
    for index in 0..13 {
        let digit = bits >> (60 - 5 * index) & 31;
        out.push(char::from(SORTABLE[digit as usize]));
    }
}

fn push_cid(out: &mut String, seed: u64, edition: u64) {
    out.push_str("bafyrei");
    let mut random = Random::new(mix(seed ^ 0x5C1D, edition));
    for _ in 0..4 {
        push_base32(out, random.next_u64(), 12);
    }
    push_base32(out, random.next_u64(), 4);
}

/// At most twelve characters.
fn push_base32(out: &mut String, mut bits: u64, length: usize) {
    const RFC_4648: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    for _ in 0..length {
        out.push(char::from(RFC_4648[(bits & 31) as usize]));
        bits >>= 5;
    }
}

fn push_number(out: &mut String, number: i64) {
    let mut digits = [0; 20];
    let mut start = digits.len();
    let mut left = number.unsigned_abs();
    loop {
        start -= 1;
        digits[start] = b'0' + (left % 10) as u8;
        left /= 10;
        if left == 0 {
            break;
        }
    }
    if number < 0 {
        out.push('-');
    }
    for digit in &digits[start..] {
        out.push(char::from(*digit));
    }
}

fn push_padded(out: &mut String, number: i64, width: u32) {
    for place in (0..width).rev() {
        let digit = number / 10_i64.pow(place) % 10;
        out.push(char::from(b'0' + digit as u8));
    }
}

/// Our texts hold quotes and line feeds, no other character that JSON wants escaped.
fn push_escaped(out: &mut String, text: &str) {
    let mut rest = text;
    while let Some(at) = rest.find(['"', '\n']) {
        let (plain, from) = rest.split_at(at);
        out.push_str(plain);
        out.push_str(if from.starts_with('"') { "\\\"" } else { "\\n" });
        rest = &from[1..];
    }
    out.push_str(rest);
}

/// `2026-01-05`.
fn date(day: i64) -> String {
    let (year, month, day_of_month) = record::time::date(day);
    let mut out = String::with_capacity(10);
    push_padded(&mut out, year, 4);
    out.push('-');
    push_padded(&mut out, i64::from(month), 2);
    out.push('-');
    push_padded(&mut out, i64::from(day_of_month), 2);
    out
}
