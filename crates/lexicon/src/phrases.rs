//! Phrases found in a text: all of them at once, at word borders.
//!
//! The automaton runs over the folded text; an ASCII text needs no folding, only case is ignored there.
//! Knows patterns by number; knows nothing of topics.

use std::borrow::Cow;
use std::cmp::Reverse;

use aho_corasick::automaton::Automaton;
use aho_corasick::nfa::contiguous::NFA;
use aho_corasick::{Anchored, BuildError, MatchError};
use record::text::fold;

use crate::characters::{is_mark, is_unspaced, is_word_character};
use crate::topics::ANY;

pub(crate) struct Phrases {
    /// Walked from each place where a phrase can begin, so that most of a text is never fed to it.
    automaton: NFA,
    first_bytes: FirstBytes,
    words: Words,
    /// Whether the pattern has characters of a script without blanks between words.
    unspaced: Vec<bool>,
    any_unspaced: bool,
}

/// The language in which a phrase means what it means.
#[derive(Debug)]
pub(crate) struct SpokenIn {
    /// The primary subtag; none for any language.
    primary: Option<String>,
}

impl SpokenIn {
    pub(crate) fn of(lang: &str) -> SpokenIn {
        SpokenIn { primary: (lang != ANY).then(|| primary(lang).to_owned()) }
    }

    pub(crate) fn name(&self) -> &str {
        self.primary.as_deref().unwrap_or(ANY)
    }

    /// Whether it is tried in a post of these languages; one that states none may be of any.
    pub(crate) fn one_of(&self, langs: &[&str]) -> bool {
        match &self.primary {
            None => true,
            Some(spoken) => langs.is_empty() || langs.iter().any(|lang| primary(lang).eq_ignore_ascii_case(spoken)),
        }
    }
}

/// `pt` of `pt-BR` and `pt_BR`.
fn primary(lang: &str) -> &str {
    lang.split(['-', '_']).next().unwrap_or(lang)
}

/// A pattern found, by its place in the folded text.
#[derive(Clone, Copy)]
pub(crate) struct Found {
    pub(crate) pattern: usize,
    pub(crate) start: usize,
    pub(crate) end: usize,
}

/// The form of a text that is searched: ASCII as it is, since case is ignored, else folded.
pub(crate) fn searched(text: &str) -> Cow<'_, str> {
    match text.is_ascii() {
        true => Cow::Borrowed(text),
        false => Cow::Owned(fold(text)),
    }
}

impl Phrases {
    /// Of patterns in the form that [`pattern`] gives them.
    pub(crate) fn new(patterns: &[String]) -> Result<Phrases, BuildError> {
        let automaton = NFA::builder().ascii_case_insensitive(true).build(patterns)?;
        let unspaced: Vec<bool> = patterns.iter().map(|pattern| pattern.contains(is_unspaced)).collect();
        let any_unspaced = unspaced.contains(&true);
        Ok(Phrases { automaton, first_bytes: FirstBytes::of(patterns), words: Words::new(), unspaced, any_unspaced })
    }

    /// The patterns that `wanted` accepts, in order of their ends; a pattern of a script without blanks counts only
    /// where no longer one covers it.
    pub(crate) fn find(&self, text: &str, wanted: impl Fn(usize) -> bool) -> Vec<Found> {
        let text = searched(text);
        let bytes = text.as_bytes();
        let mut found = Vec::new();
        let mut word_before = false;
        let mut at = 0;
        while let Some(&first) = bytes.get(at) {
            let second = bytes.get(at + 1).copied().unwrap_or(0);
            let (length, word) = self.words.look(first, second);
            if !(word && word_before) && self.first_bytes.contain(first, second) {
                // An anchored search can't fail: the automaton was built for it.
                let _ = self.find_at(&text, at, &wanted, &mut found);
            }
            word_before = word;
            at += length;
        }
        found.sort_unstable_by_key(|found| (found.end, Reverse(found.start)));
        if self.any_unspaced && found.len() > 1 {
            self.drop_covered(&mut found);
        }
        found
    }

    /// Adds the patterns that begin at `start`. White space of any length is one blank to them.
    fn find_at(&self, text: &str, start: usize, wanted: impl Fn(usize) -> bool, found: &mut Vec<Found>) -> Result<(), MatchError> {
        let bytes = text.as_bytes();
        let mut state = self.automaton.start_state(Anchored::Yes)?;
        let mut at = start;
        let mut length = 0;
        while let Some(&byte) = bytes.get(at) {
            let blank = is_blank(byte);
            at += 1;
            if blank {
                at += bytes[at..].iter().take_while(|&&byte| is_blank(byte)).count();
            }
            state = self.automaton.next_state(Anchored::Yes, state, if blank { b' ' } else { byte });
            length += 1;
            if !self.automaton.is_special(state) {
                continue;
            }
            if self.automaton.is_dead(state) {
                break;
            }
            let matches = if self.automaton.is_match(state) { self.automaton.match_len(state) } else { 0 };
            for index in 0..matches {
                let pattern = self.automaton.match_pattern(state, index);
                let begins_here = self.automaton.pattern_len(pattern) == length;
                let pattern = pattern.as_usize();
                if begins_here && wanted(pattern) && is_border(text, start) && is_border(text, at) {
                    found.push(Found { pattern, start, end: at });
                }
            }
        }
        Ok(())
    }

    fn drop_covered(&self, found: &mut Vec<Found>) {
        // From the back, the longest of each end first: whatever covers a match has been seen before it.
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

/// With which two bytes patterns begin, in either case: nearly every word of a text fails here.
struct FirstBytes(Box<[u64; 1024]>);

impl FirstBytes {
    fn of(patterns: &[String]) -> FirstBytes {
        let mut first = FirstBytes(Box::new([0; 1024]));
        for pattern in patterns {
            match pattern.as_bytes() {
                &[byte] => (0..=u8::MAX).for_each(|next| first.insert(byte, next)),
                &[byte, next, ..] => first.insert(byte, next),
                [] => {}
            }
        }
        first
    }

    fn insert(&mut self, first: u8, second: u8) {
        for first in [first, first.to_ascii_uppercase()] {
            for second in [second, second.to_ascii_uppercase()] {
                let bit = usize::from(first) << 8 | usize::from(second);
                self.0[bit / 64] |= 1 << (bit % 64);
            }
        }
    }

    fn contain(&self, first: u8, second: u8) -> bool {
        let bit = usize::from(first) << 8 | usize::from(second);
        self.0[bit / 64] >> (bit % 64) & 1 == 1
    }
}

/// Which characters belong to words, as far as two bytes tell: enough for the scripts with blanks between words that
/// most posts are written in. Of the rest it says no, and the border is looked at when something matches.
struct Words {
    ascii: [bool; 128],
    two_bytes: Box<[bool; 2048]>,
}

impl Words {
    fn new() -> Words {
        let mut words = Words { ascii: [false; 128], two_bytes: Box::new([false; 2048]) };
        for (c, word) in ('\0'..).zip(words.ascii.iter_mut()) {
            *word = is_word_character(c);
        }
        for (c, word) in ('\0'..).zip(words.two_bytes.iter_mut()) {
            *word = is_word_character(c);
        }
        words
    }

    /// The length of the character that begins with these bytes, and whether it is known to belong to a word.
    fn look(&self, first: u8, second: u8) -> (usize, bool) {
        match first {
            0..0x80 => (1, self.ascii[usize::from(first)]),
            0x80..0xe0 => (2, self.two_bytes[usize::from(first & 0x1f) << 6 | usize::from(second & 0x3f)]),
            0xe0..0xf0 => (3, false),
            _ => (4, false),
        }
    }
}

/// The form of a phrase that texts are searched for: folded, one blank for any white space.
pub(crate) fn pattern(phrase: &str) -> String {
    let folded = fold(phrase);
    let words: Vec<&str> = folded.split_whitespace().collect();
    words.join(" ")
}

fn is_blank(byte: u8) -> bool {
    byte == b' ' || (b'\t'..=b'\r').contains(&byte)
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
