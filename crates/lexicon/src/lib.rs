//! Lexicon: extracts tags, topics and voice from texts.
//!
//! Used by ingest, between the feeds, which have texts, and the log, which has none: a [`Lexicon`]
//! turns a post into a [`Reading`], and the text is dropped. Data flows in the order of the modules
//! below: topic files become a lexicon, a text becomes hashtags, a hashtag becomes a key and its
//! tokens, keys and phrases become topics.
//!
//! Pure: no clock, no IO, no logging. It doesn't know regions, time, accounts or counts, and
//! detects no language.

#![cfg_attr(not(test), deny(clippy::disallowed_methods, clippy::disallowed_types))]

mod calendar;
pub use calendar::{Date, Days, MonthDay};

mod topics;
pub use topics::{Crisis, Entry, Topic, TopicFile, VoiceRules, parse};

mod defaults;
pub use defaults::{default_files, templates};

mod characters;

pub mod extract;

mod segment;

mod phrases;

mod voice;

mod matching;
pub use matching::{Lexicon, Reading, TAG_BYTES_MAX, TAGS_MAX, TopicHit};

mod explain;
pub use explain::{
    Effect, ExplainedKey, ExplainedPhrase, ExplainedTag, ExplainedTopic, ExplainedVoice,
    Explanation, How, explain,
};

mod lint;
pub use lint::{LANGUAGES, LANGUAGES_OF_TALK, lint, overdue};

#[cfg(test)]
mod tests;
