//! Phrases found in a text: all of them at once, at word borders.
//!
//! The automaton runs over the folded text; an ASCII text needs no folding, only case is ignored there.
//! Knows patterns by number; knows nothing of topics or languages.

use std::borrow::Cow;

use aho_corasick::{AhoCorasick, BuildError};
use record::text::fold;

use crate::characters::{is_mark, is_unspaced, is_word_character};

pub(crate) struct Phrases {
    automaton: AhoCorasick,
    /// Whether the pattern has characters of a script without blanks between words.
    unspaced: Vec<bool>,
    any_unspaced: bool,
}

/// A pattern found in the prepared text.
#[derive(Clone, Copy)]
pub(crate) struct Found {
    pub(crate) pattern: usize,
    pub(crate) start: usize,
    pub(crate) end: usize,
}

impl Phrases {
    /// Of patterns in the form that [`pattern`] gives them.
    pub(crate) fn new(patterns: &[String]) -> Result<Phrases, BuildError> {
        let automaton = AhoCorasick::builder().ascii_case_insensitive(true).build(patterns)?;
        let unspaced: Vec<bool> = patterns.iter().map(|pattern| pattern.contains(is_unspaced)).collect();
        let any_unspaced = unspaced.contains(&true);
        Ok(Phrases { automaton, unspaced, any_unspaced })
    }

    /// The patterns that `wanted` accepts, in order of their ends; a pattern of a script without blanks counts only
    /// where no longer one covers it.
    pub(crate) fn find(&self, text: &str, wanted: impl Fn(usize) -> bool) -> Vec<Found> {
        let text = prepared(text);
        let mut found: Vec<Found> = self
            .automaton
            .find_overlapping_iter(text.as_ref())
            .map(|found| Found { pattern: found.pattern().as_usize(), start: found.start(), end: found.end() })
            .filter(|found| wanted(found.pattern) && is_border(&text, found.start) && is_border(&text, found.end))
            .collect();
        if self.any_unspaced && found.len() > 1 {
            self.drop_covered(&mut found);
        }
        found
    }

    fn drop_covered(&self, found: &mut Vec<Found>) {
        // From the back, the longest of each end first: whatever covers a match has been seen before it.
        found.sort_unstable_by_key(|found| (found.end, std::cmp::Reverse(found.start)));
        found.reverse();
        let mut least_start = usize::MAX;
        found.retain(|found| {
            let covered = least_start <= found.start;
            least_start = least_start.min(found.start);
            !(covered && self.unspaced[found.pattern])
        });
        found.reverse();
    }
}

/// The form of a phrase that texts are searched for.
pub(crate) fn pattern(phrase: &str) -> String {
    prepared(phrase.trim()).to_lowercase()
}

/// Folded, with one blank for any white space.
fn prepared(text: &str) -> Cow<'_, str> {
    if !text.is_ascii() {
        let folded = fold(text);
        return Cow::Owned(if is_tidy(&folded) { folded } else { tidied(&folded) });
    }
    if is_tidy(text) { Cow::Borrowed(text) } else { Cow::Owned(tidied(text)) }
}

fn is_tidy(text: &str) -> bool {
    let mut blank_before = false;
    text.bytes().all(|byte| {
        let blank = byte == b' ';
        let tidy = !(blank && blank_before) && !(b'\t'..=b'\r').contains(&byte);
        blank_before = blank;
        tidy
    })
}

fn tidied(text: &str) -> String {
    let mut tidy = String::with_capacity(text.len());
    for word in text.split_whitespace() {
        if !tidy.is_empty() {
            tidy.push(' ');
        }
        tidy.push_str(word);
    }
    tidy
}

/// Whether a word may begin or end at `at`.
fn is_border(text: &str, at: usize) -> bool {
    let (Some(before), Some(after)) = (text[..at].chars().next_back(), text[at..].chars().next()) else {
        return true;
    };
    if !is_word_character(before) || !is_word_character(after) {
        return true;
    }
    // A mark belongs to the letter before it in every script.
    !is_mark(after) && (is_unspaced(before) || is_unspaced(after))
}
