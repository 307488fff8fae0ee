//! Explanation of matches: analyses a post again and reports each rule that applied.
//!
//! For people at a terminal, so it may be slow. Shows sensitive keys to anyone who typed the text;
//! nothing of it is stored.

use std::fmt;
use std::ops::Range;

use record::Voice;
use record::text::fold;

use crate::extract::hashtags;
use crate::matching::{Hits, Lexicon, Reader};
use crate::phrases::searched;
use crate::segment::Tokens;
use crate::voice::{Says, has_question_mark};

/// Effects of each tag and phrase of a post, and the resulting topics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// Whether the tags are the platform's; else they are those of the text.
    pub platform_tags: bool,
    pub tags: Vec<ExplainedTag>,
    pub phrases: Vec<ExplainedPhrase>,
    /// In the order of the text.
    pub voice_rules: Vec<ExplainedVoice>,
    /// Whether a sentence ends in a question mark, which marks a claim as a question.
    pub question_mark: bool,
    /// Of every topic that a tag or phrase speaks of, in the lexicon's order.
    pub topics: Vec<ExplainedTopic>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExplainedTag {
    pub written: String,
    pub key: String,
    /// The pieces between the borders that its writer set.
    pub segments: Vec<String>,
    pub matches: Vec<ExplainedKey>,
}

/// A key of the lexicon found in a tag.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ExplainedKey {
    pub key: String,
    pub topic: String,
    pub how: How,
    pub effect: Effect,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum How {
    Whole,
    Segment,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effect {
    Counts,
    /// Part of a longer key: reported where its topic is counted anyway.
    Inside,
    Excludes,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExplainedPhrase {
    /// As the post has it.
    pub found: String,
    /// In bytes of the text.
    pub place: Range<usize>,
    /// In which posts the phrase is tried; `any` for all.
    pub lang: String,
    pub topic: String,
    pub effect: Effect,
}

/// A phrase of a rule of voice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExplainedVoice {
    pub found: String,
    pub place: Range<usize>,
    pub lang: String,
    /// The rule's list: `own`, `not`, `news`, `asks` or `counters`.
    pub rule: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExplainedTopic {
    pub id: String,
    /// None where the post doesn't count, because something excludes it.
    pub voice: Option<Voice>,
}

/// Why `lexicon` reads a post as it does; the arguments are those of [`Lexicon::read`].
pub fn explain(
    lexicon: &Lexicon,
    text: Option<&str>,
    platform_tags: &[&str],
    langs: &[&str],
    segment: bool,
) -> Explanation {
    let mut spoken_of = Vec::new();
    let written: Vec<&str> = match platform_tags.is_empty() {
        true => text.map(hashtags).into_iter().flatten().collect(),
        false => platform_tags.to_vec(),
    };
    let mut tags: Vec<ExplainedTag> = Vec::new();
    for written in written {
        let (read, hits) = Reader::one_tag(lexicon, written, segment);
        let Some(read) = read.filter(|read| tags.iter().all(|tag| tag.key != read.key)) else {
            continue;
        };
        let tokens = Tokens::of(&read.written);
        let segments = (0..tokens.len()).map(|at| tokens.run(at, at).to_owned()).collect();
        let matches = matches(lexicon, &read.key, &hits, &mut spoken_of);
        tags.push(ExplainedTag { written: read.written, key: read.key, segments, matches });
    }
    let (phrases, voice_rules) = text
        .map(|text| phrases_and_rules(lexicon, text, langs, &mut spoken_of))
        .unwrap_or_default();
    let reading = lexicon.read(text, platform_tags, langs, segment);
    spoken_of.sort_unstable();
    spoken_of.dedup();
    let voice =
        |topic: usize| reading.topics.iter().find(|hit| hit.topic == topic).map(|hit| hit.voice);
    let topics = spoken_of
        .iter()
        .map(|&topic| ExplainedTopic {
            id: lexicon.topics()[topic].id.clone(),
            voice: voice(topic),
        })
        .collect();
    Explanation {
        platform_tags: !platform_tags.is_empty(),
        tags,
        phrases,
        voice_rules,
        question_mark: text.is_some_and(has_question_mark),
        topics,
    }
}

fn phrases_and_rules(
    lexicon: &Lexicon,
    text: &str,
    langs: &[&str],
    spoken_of: &mut Vec<usize>,
) -> (Vec<ExplainedPhrase>, Vec<ExplainedVoice>) {
    let places = Places::of(text);
    let mut phrases = Vec::new();
    for (phrase, topic, excludes, lang) in lexicon.phrases_found(text, langs) {
        spoken_of.push(topic);
        let place = places.written(phrase);
        phrases.push(ExplainedPhrase {
            found: text[place.clone()].to_owned(),
            place,
            lang: lang.to_owned(),
            topic: lexicon.topics()[topic].id.clone(),
            effect: if excludes { Effect::Excludes } else { Effect::Counts },
        });
    }
    let mut rules = Vec::new();
    for rule in lexicon.voices().into_iter().flat_map(|voices| voices.found(text, langs)) {
        let place = places.written(rule.place);
        rules.push(ExplainedVoice {
            found: text[place.clone()].to_owned(),
            place,
            lang: rule.lang.to_owned(),
            rule: list(rule.says),
        });
    }
    rules.sort_by_key(|rule| (rule.place.start, rule.place.end, rule.rule));
    (phrases, rules)
}

fn matches(
    lexicon: &Lexicon,
    tag: &str,
    hits: &Hits<'_>,
    spoken_of: &mut Vec<usize>,
) -> Vec<ExplainedKey> {
    let counts = hits.topics.iter().map(|&(topic, key)| (topic, key, Effect::Counts));
    let inside = hits.inner.iter().map(|&(topic, key)| (topic, Some(key), Effect::Inside));
    let excludes = hits.excluded.iter().map(|&(topic, key)| (topic, key, Effect::Excludes));
    let mut matches = Vec::new();
    for (topic, key, effect) in counts.chain(inside).chain(excludes) {
        let key = key.unwrap_or_default().to_owned();
        let how = if key == tag { How::Whole } else { How::Segment };
        if effect != Effect::Inside {
            spoken_of.push(topic);
        }
        matches.push(ExplainedKey { key, topic: lexicon.topics()[topic].id.clone(), how, effect });
    }
    matches.sort();
    // A key that counts on its own need not be reported as a part of another.
    matches.dedup_by(|a, b| {
        (&a.key, &a.topic, a.how) == (&b.key, &b.topic, b.how)
            && (a.effect == b.effect || a.effect == Effect::Inside)
    });
    matches
}

fn list(says: Says) -> &'static str {
    match says {
        Says::Own => "own",
        Says::Not => "not",
        Says::News => "news",
        Says::Asks => "asks",
        Says::Counters => "counters",
    }
}

/// From places in the searched form of a text to places in the text.
struct Places<'text> {
    text: &'text str,
    /// Where characters begin, and the end.
    borders: Vec<usize>,
    same: bool,
}

impl Places<'_> {
    fn of(text: &str) -> Places<'_> {
        let borders = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
        Places { text, borders, same: searched(text) == text }
    }

    /// The first end of the text that folds to as much as is before `place` says where it begins.
    fn written(&self, place: Range<usize>) -> Range<usize> {
        if self.same {
            return place;
        }
        let folded = |at: usize| fold(&self.text[..at]).len();
        let start = self.borders.partition_point(|&at| folded(at) <= place.start).saturating_sub(1);
        let end =
            self.borders.partition_point(|&at| folded(at) < place.end).min(self.borders.len() - 1);
        self.borders[start]..self.borders[end].max(self.borders[start])
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for tag in &self.tags {
            write!(f, "tag #{}: key `{}`", tag.written, tag.key)?;
            if tag.segments.len() > 1 {
                write!(f, ", segments {}", tag.segments.join(" "))?;
            }
            if tag.matches.is_empty() {
                write!(f, ": in no topic")?;
            }
            writeln!(f)?;
            for key in &tag.matches {
                let how = match key.how {
                    How::Whole => "whole",
                    How::Segment => "by segment",
                };
                writeln!(f, "  `{}` {how}: {} {}", key.key, effect(key.effect), key.topic)?;
            }
        }
        for phrase in &self.phrases {
            let place = &phrase.place;
            let (found, lang) = (&phrase.found, &phrase.lang);
            writeln!(
                f,
                "phrase \"{found}\" at {}..{} ({lang}): {} {}",
                place.start,
                place.end,
                effect(phrase.effect),
                phrase.topic
            )?;
        }
        for rule in &self.voice_rules {
            writeln!(
                f,
                "voice \"{}\" at {}..{} ({}): {}",
                rule.found, rule.place.start, rule.place.end, rule.lang, rule.rule
            )?;
        }
        if self.topics.is_empty() {
            writeln!(f, "counts for no topic")?;
        }
        for topic in &self.topics {
            match topic.voice {
                Some(voice) => writeln!(f, "counts for {}, voice {}", topic.id, voice_name(voice))?,
                None => writeln!(f, "doesn't count for {}: excluded", topic.id)?,
            }
        }
        Ok(())
    }
}

fn effect(effect: Effect) -> &'static str {
    match effect {
        Effect::Counts => "counts for",
        Effect::Inside => "stands in a longer key of",
        Effect::Excludes => "excludes",
    }
}

/// As people read it; `self` is what the records call `own`.
fn voice_name(voice: Voice) -> &'static str {
    match voice {
        Voice::Own => "self",
        Voice::News => "news",
        Voice::Other => "other",
        Voice::Asks => "asks",
        Voice::Asserts => "asserts",
        Voice::Counters => "counters",
    }
}
