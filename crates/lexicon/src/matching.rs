//! Matcher: finds the topics of a post and the tags that match them.
//!
//! Built once from all topics, then applied to every post. Tags are matched whole, then by tokens;
//! phrases at word borders. Knows no time, place or account; what a reading is counted for is
//! decided downstream.

use std::collections::BTreeMap;
use std::ops::Range;

use record::diagnostic::Diagnostic;
use record::kind::Kind;
use record::text::fold;
use record::{Micros, Tag, Voice};
use rustc_hash::FxHashMap;

use crate::characters::{is_sign, is_tag_character};
use crate::extract::hashtags;
use crate::phrases::{Phrases, SpokenIn, pattern};
use crate::segment::{RUN_TOKENS_MAX, Tokens, has_borders};
use crate::topics::{Entry, Topic, TopicFile, VoiceRules};
use crate::voice::Voices;

/// Tags of one post beyond this many are dropped and counted.
pub const TAGS_MAX: usize = 256;
/// Tags longer than this are dropped and counted; networks allow 64 to 100 characters.
pub const TAG_BYTES_MAX: usize = 512;

/// All topics, ready to read posts.
pub struct Lexicon {
    topics: Vec<Topic>,
    keys: FxHashMap<Box<str>, KeyUse>,
    phrases: Option<Phrases>,
    /// What each pattern of `phrases` is used for.
    phrase_uses: Vec<Vec<PhraseUse>>,
    key_bytes_max: usize,
    voices: Option<Voices>,
}

/// What one post says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reading<'lexicon> {
    /// Once per key, in the order of the post; none of a sensitive topic.
    pub tags: Vec<Tag>,
    /// Once per topic, in the lexicon's order.
    pub topics: Vec<TopicHit<'lexicon>>,
    /// Beyond [`TAGS_MAX`] or [`TAG_BYTES_MAX`].
    pub dropped_tags: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicHit<'lexicon> {
    /// Into [`Lexicon::topics`].
    pub topic: usize,
    pub id: &'lexicon str,
    pub voice: Voice,
    /// The lexicon keys that matched, whole or by segment, sorted; none for phrases, none of
    /// sensitive topics.
    pub keys: Vec<String>,
}

#[derive(Debug, Default)]
struct KeyUse {
    topics: Vec<usize>,
    excluded_from: Vec<usize>,
    sensitive: bool,
}

#[derive(Debug)]
struct PhraseUse {
    topic: usize,
    lang: SpokenIn,
    excludes: bool,
}

impl Lexicon {
    /// The lexicon of these topics, or everything that they get wrong together.
    pub fn new(topics: Vec<Topic>) -> Result<Lexicon, Vec<Diagnostic>> {
        let problems = problems_of(&topics);
        if !problems.is_empty() {
            return Err(problems);
        }
        let mut keys: FxHashMap<Box<str>, KeyUse> = FxHashMap::default();
        let mut patterns: BTreeMap<String, Vec<PhraseUse>> = BTreeMap::new();
        for (index, topic) in topics.iter().enumerate() {
            for entry in &topic.tags {
                let key_use = keys.entry(fold(&entry.text).into()).or_default();
                push_once(&mut key_use.topics, index);
                key_use.sensitive |= topic.kind == Kind::Sensitive;
            }
            for entry in &topic.exclude_tags {
                push_once(
                    &mut keys.entry(fold(&entry.text).into()).or_default().excluded_from,
                    index,
                );
            }
            for (entries, excludes) in [(&topic.phrases, false), (&topic.exclude_phrases, true)] {
                for entry in entries {
                    let lang = SpokenIn::of(&entry.lang);
                    patterns.entry(pattern(&entry.text)).or_default().push(PhraseUse {
                        topic: index,
                        lang,
                        excludes,
                    });
                }
            }
        }
        let key_bytes_max = keys.keys().map(|key| key.len()).max().unwrap_or(0);
        let (patterns, phrase_uses): (Vec<String>, Vec<Vec<PhraseUse>>) =
            patterns.into_iter().unzip();
        let phrases = match patterns.is_empty() {
            true => None,
            false => Some(
                Phrases::new(&patterns).map_err(|error| vec![too_many_phrases(&topics, &error)])?,
            ),
        };
        Ok(Lexicon { topics, keys, phrases, phrase_uses, key_bytes_max, voices: None })
    }

    /// The lexicon of whole files, rules of voice and all.
    pub fn of_files(files: Vec<TopicFile>) -> Result<Lexicon, Vec<Diagnostic>> {
        let (topics, voices): (Vec<Vec<Topic>>, Vec<Vec<VoiceRules>>) =
            files.into_iter().map(|file| (file.topics, file.voices)).unzip();
        match (Lexicon::new(topics.concat()), Voices::new(&voices.concat())) {
            (Ok(lexicon), Ok(voices)) => Ok(Lexicon { voices, ..lexicon }),
            (lexicon, voices) => {
                Err([lexicon.err().unwrap_or_default(), voices.err().unwrap_or_default()].concat())
            }
        }
    }

    /// In the order in which they were given.
    pub fn topics(&self) -> &[Topic] {
        &self.topics
    }

    /// Whether posts of an instant count for a topic: for crises not when they are over.
    pub fn counts(&self, topic: usize, at: Micros) -> bool {
        self.topics
            .get(topic)
            .and_then(|topic| topic.crisis.as_ref())
            .is_none_or(|crisis| at < crisis.until)
    }

    /// What a post says. Its tags are `platform_tags` if there are any, else those of `text`;
    /// phrases are tried for its languages, all if it states none; with `segment`, a tag also
    /// counts by its tokens.
    pub fn read(
        &self,
        text: Option<&str>,
        platform_tags: &[&str],
        langs: &[&str],
        segment: bool,
    ) -> Reading<'_> {
        let mut reader = Reader {
            lexicon: self,
            segment,
            read: Vec::new(),
            dropped_tags: 0,
            hits: Hits::default(),
        };
        if platform_tags.is_empty() {
            for written in text.map(hashtags).into_iter().flatten() {
                reader.tag(written);
            }
        } else {
            for written in platform_tags {
                reader.tag(written.trim().trim_start_matches(is_sign));
            }
        }
        if let Some(text) = text {
            reader.phrases(text, langs);
        }
        let mut reading = reader.reading();
        if let (Some(text), Some(voices), false) = (text, &self.voices, reading.topics.is_empty()) {
            let heard = voices.hear(text, langs);
            for hit in &mut reading.topics {
                hit.voice = match self.topics[hit.topic].kind {
                    Kind::Narrative => heard.stance,
                    _ => heard.voice,
                };
            }
        }
        reading
    }

    pub(crate) fn voices(&self) -> Option<&Voices> {
        self.voices.as_ref()
    }

    /// The phrases in a text: place in its searched form, topic, whether it excludes, and in which
    /// language.
    pub(crate) fn phrases_found(
        &self,
        text: &str,
        langs: &[&str],
    ) -> Vec<(Range<usize>, usize, bool, &str)> {
        let Some(phrases) = &self.phrases else {
            return Vec::new();
        };
        let spoken = |phrase: &&PhraseUse| phrase.lang.one_of(langs);
        let wanted =
            |pattern: usize| self.phrase_uses[pattern].iter().any(|phrase| spoken(&phrase));
        let mut uses = Vec::new();
        for found in phrases.find(text, wanted) {
            for phrase in self.phrase_uses[found.pattern].iter().filter(spoken) {
                uses.push((
                    found.start..found.end,
                    phrase.topic,
                    phrase.excludes,
                    phrase.lang.name(),
                ));
            }
        }
        uses
    }

    fn key_use(&self, key: &str) -> Option<(&str, &KeyUse)> {
        let (key, key_use) = self.keys.get_key_value(key)?;
        Some((key, key_use))
    }
}

// --- reading one post ---

pub(crate) struct Reader<'lexicon> {
    lexicon: &'lexicon Lexicon,
    segment: bool,
    read: Vec<ReadTag>,
    dropped_tags: usize,
    hits: Hits<'lexicon>,
}

struct ReadTag {
    tag: Tag,
    sensitive: bool,
}

/// What was found so far, with repetitions.
#[derive(Default)]
pub(crate) struct Hits<'lexicon> {
    /// Topic, and the key if it was a tag.
    pub(crate) topics: Vec<(usize, Option<&'lexicon str>)>,
    /// Keys inside longer ones: they count for a topic that is counted anyway (`flu` of
    /// `FluSeason`), for no other.
    pub(crate) inner: Vec<(usize, &'lexicon str)>,
    /// Topic, and the key if it was a tag.
    pub(crate) excluded: Vec<(usize, Option<&'lexicon str>)>,
}

impl<'lexicon> Reader<'lexicon> {
    fn tag(&mut self, written: &str) {
        // A cashtag came along with the hashtags, as on Bluesky.
        if written.starts_with('$') {
            return;
        }
        if written.len() > TAG_BYTES_MAX || self.read.len() == TAGS_MAX {
            self.dropped_tags += 1;
            return;
        }
        let key = fold(written);
        // So few that a look at each is cheaper than a set.
        if key.is_empty() || self.read.iter().any(|read| read.tag.key == key) {
            return;
        }
        let sensitive = self.match_key(&key, written);
        self.read.push(ReadTag { tag: Tag { key, written: written.to_owned() }, sensitive });
    }

    /// Notes what the tag represents, and says whether it is sensitive.
    fn match_key(&mut self, key: &str, written: &str) -> bool {
        let mut sensitive = false;
        let mut found_whole = false;
        if let Some((key, key_use)) = self.lexicon.key_use(key) {
            sensitive = key_use.sensitive;
            found_whole = !key_use.topics.is_empty();
            self.hits.add(key, key_use);
        }
        if has_borders(written) {
            sensitive |= self.match_runs(&Tokens::of(written), found_whole);
        }
        sensitive
    }

    /// The same for its runs of tokens. What excludes or is sensitive does so wherever it is; a
    /// topic is counted by the longest runs that don't overlap, or by the whole: `StomachFluSeason`
    /// is stomach flu, and no flu.
    fn match_runs(&mut self, tokens: &Tokens, found_whole: bool) -> bool {
        let mut sensitive = false;
        let mut counted_to = if found_whole { tokens.len() } else { 0 };
        for first in 0..tokens.len() {
            let mut longest = None;
            for last in first..tokens.len().min(first + RUN_TOKENS_MAX) {
                let run = tokens.run(first, last);
                if run.len() > self.lexicon.key_bytes_max {
                    break;
                }
                let Some((key, key_use)) = self.lexicon.key_use(run) else {
                    continue;
                };
                sensitive |= key_use.sensitive;
                self.hits.exclude(key, key_use);
                if self.segment && !key_use.topics.is_empty() {
                    self.hits.inner.extend(key_use.topics.iter().map(|&topic| (topic, key)));
                    longest = Some((last, key, key_use));
                }
            }
            if let Some((last, key, key_use)) = longest
                && first >= counted_to
            {
                self.hits.add(key, key_use);
                counted_to = last + 1;
            }
        }
        sensitive
    }

    /// What a tag alone says.
    pub(crate) fn one_tag(
        lexicon: &'lexicon Lexicon,
        written: &str,
        segment: bool,
    ) -> (Option<Tag>, Hits<'lexicon>) {
        let mut reader =
            Reader { lexicon, segment, read: Vec::new(), dropped_tags: 0, hits: Hits::default() };
        reader.tag(written.trim().trim_start_matches(is_sign));
        (reader.read.pop().map(|read| read.tag), reader.hits)
    }

    fn phrases(&mut self, text: &str, langs: &[&str]) {
        for (_, topic, excludes, _) in self.lexicon.phrases_found(text, langs) {
            match excludes {
                true => self.hits.excluded.push((topic, None)),
                false => self.hits.topics.push((topic, None)),
            }
        }
    }

    fn reading(mut self) -> Reading<'lexicon> {
        let topics = self.topic_hits();
        let tags =
            self.read.into_iter().filter(|read| !read.sensitive).map(|read| read.tag).collect();
        Reading { tags, topics, dropped_tags: self.dropped_tags }
    }

    fn topic_hits(&mut self) -> Vec<TopicHit<'lexicon>> {
        let Hits { topics, inner, excluded } = &mut self.hits;
        topics.retain(|(topic, _)| !excluded.iter().any(|(excluded, _)| excluded == topic));
        inner.retain(|(topic, _)| topics.iter().any(|(counted, _)| counted == topic));
        topics.extend(inner.iter().map(|&(topic, key)| (topic, Some(key))));
        topics.sort_unstable();
        topics.dedup();
        let mut hits: Vec<TopicHit<'_>> = Vec::new();
        for &(index, key) in topics.iter() {
            let topic = &self.lexicon.topics[index];
            if hits.last().is_none_or(|last| last.topic != index) {
                hits.push(TopicHit {
                    topic: index,
                    id: &topic.id,
                    voice: Voice::Other,
                    keys: Vec::new(),
                });
            }
            let shown = key.filter(|_| topic.kind != Kind::Sensitive);
            if let (Some(key), Some(hit)) = (shown, hits.last_mut()) {
                hit.keys.push(key.to_owned());
            }
        }
        hits
    }
}

impl<'lexicon> Hits<'lexicon> {
    fn add(&mut self, key: &'lexicon str, key_use: &KeyUse) {
        self.topics.extend(key_use.topics.iter().map(|&topic| (topic, Some(key))));
        self.exclude(key, key_use);
    }

    fn exclude(&mut self, key: &'lexicon str, key_use: &KeyUse) {
        self.excluded.extend(key_use.excluded_from.iter().map(|&topic| (topic, Some(key))));
    }
}

fn push_once(list: &mut Vec<usize>, item: usize) {
    if !list.contains(&item) {
        list.push(item);
    }
}

// --- what topics get wrong together ---

fn problems_of(topics: &[Topic]) -> Vec<Diagnostic> {
    let mut problems = Vec::new();
    let mut ids: BTreeMap<&str, &Topic> = BTreeMap::new();
    for topic in topics {
        check_id(topic, &mut problems);
        check_entries(topic, &mut problems);
        match ids.get(topic.id.as_str()) {
            Some(first) => {
                let message = format!(
                    "topic `{}` stands in `{}`, line {} already",
                    topic.id, first.file, first.line
                );
                problems.push(problem(topic, topic.line, message, None));
            }
            None => {
                ids.insert(&topic.id, topic);
            }
        }
    }
    check_sensitive_keys(topics, &mut problems);
    problems.sort_by(|a, b| a.place.cmp(&b.place));
    problems
}

fn check_id(topic: &Topic, problems: &mut Vec<Diagnostic>) {
    let is_part = |part: &str| {
        !part.is_empty()
            && part.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    };
    if !topic.id.split('-').all(is_part) {
        let words: Vec<String> = topic
            .id
            .split(|c: char| !c.is_alphanumeric())
            .map(fold)
            .filter(|word| is_part(word))
            .collect();
        let hint = match words.is_empty() {
            true => "small ASCII letters, digits and single hyphens".to_owned(),
            false => format!("write `{}`", words.join("-")),
        };
        problems.push(problem(
            topic,
            topic.line,
            format!("`{}` is not a topic id", topic.id),
            Some(hint),
        ));
    }
}

fn check_entries(topic: &Topic, problems: &mut Vec<Diagnostic>) {
    if topic.tags.is_empty() && topic.phrases.is_empty() {
        let hint = Some("give it `tags`, `phrases` or both".to_owned());
        problems.push(problem(
            topic,
            topic.line,
            format!("topic `{}` has nothing to match", topic.id),
            hint,
        ));
    }
    for entry in topic.tags.iter().chain(&topic.exclude_tags) {
        if let Some((message, hint)) = tag_problem(entry) {
            problems.push(problem(topic, entry.line, message, hint));
        }
    }
    for entry in topic.phrases.iter().chain(&topic.exclude_phrases) {
        if pattern(&entry.text).is_empty() {
            problems.push(problem(
                topic,
                entry.line,
                format!("nothing is left of phrase {:?} when it is folded", entry.text),
                None,
            ));
        }
    }
    for excluded in &topic.exclude_tags {
        let key = fold(&excluded.text);
        if topic.tags.iter().any(|entry| fold(&entry.text) == key) {
            let message = format!("topic `{}` excludes its own tag `{}`", topic.id, excluded.text);
            problems.push(problem(topic, excluded.line, message, None));
        }
    }
}

fn tag_problem(entry: &Entry) -> Option<(String, Option<String>)> {
    let tag = entry.text.trim_start_matches(is_sign);
    if fold(tag).is_empty() {
        return Some((format!("nothing is left of tag {:?} when it is folded", entry.text), None));
    }
    if tag.len() > TAG_BYTES_MAX {
        return Some((
            format!("a tag of {} bytes; at most {TAG_BYTES_MAX} are read", tag.len()),
            None,
        ));
    }
    // Networks other than twitter-text's allow hyphens and emoji in tags; none allows blanks.
    if tag.contains(char::is_whitespace) {
        let together: String = tag.split_whitespace().collect();
        let hint = format!("write `{together}`, or put it under `phrases`");
        return Some((
            format!("tag `{}` has a blank, which no hashtag has", entry.text),
            Some(hint),
        ));
    }
    let first = tag.chars().next().filter(|&c| !is_tag_character(c))?;
    Some((format!("tag `{}` begins with `{first}`, which no hashtag does", entry.text), None))
}

/// A sensitive key is stripped wherever tags are shown, so it can't be shown for another topic.
fn check_sensitive_keys(topics: &[Topic], problems: &mut Vec<Diagnostic>) {
    let is_sensitive = |topic: &&Topic| topic.kind == Kind::Sensitive;
    let mut sensitive: BTreeMap<String, (&Topic, &Entry)> = BTreeMap::new();
    for topic in topics.iter().filter(is_sensitive) {
        for entry in &topic.tags {
            sensitive.entry(fold(&entry.text)).or_insert((topic, entry));
        }
    }
    for topic in topics.iter().filter(|topic| !is_sensitive(topic)) {
        for entry in &topic.tags {
            if let Some((other, place)) = sensitive.get(&fold(&entry.text)) {
                let message = format!(
                    "tag `{}` of `{}` is a key of the sensitive topic `{}`",
                    entry.text, topic.id, other.id
                );
                let hint = Some(format!(
                    "a key may not stand in a sensitive and another topic; see `{}`, line {}",
                    other.file, place.line
                ));
                problems.push(problem(topic, entry.line, message, hint));
            }
        }
    }
}

fn too_many_phrases(topics: &[Topic], error: &dyn std::fmt::Display) -> Diagnostic {
    let file = topics.first().map_or("", |topic| &topic.file);
    Diagnostic::at(file, 1, format!("the phrases are too many to be searched for: {error}"))
}

fn problem(topic: &Topic, line: usize, message: String, hint: Option<String>) -> Diagnostic {
    Diagnostic { hint, ..Diagnostic::at(&topic.file, line, message) }
}
