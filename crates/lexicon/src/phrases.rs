//! Phrase matcher: finds all phrases in one pass, at word borders.
//!
//! The automaton runs over the folded text; an ASCII text needs no folding, only case is ignored
//! there. Knows patterns by number; knows nothing of topics.

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
    /// The ASCII signs that patterns begin with, each in all eight bytes.
    first_signs: Vec<u64>,
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
            Some(spoken) => {
                langs.is_empty()
                    || langs.iter().any(|lang| primary(lang).eq_ignore_ascii_case(spoken))
            }
        }
    }
}

/// `pt` of `pt-BR`, `pt_BR` and `por`.
fn primary(lang: &str) -> &str {
    record::language::find(lang).unwrap_or_else(|| lang.split(['-', '_']).next().unwrap_or(lang))
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
        let unspaced: Vec<bool> =
            patterns.iter().map(|pattern| pattern.contains(is_unspaced)).collect();
        let any_unspaced = unspaced.contains(&true);
        let is_sign = |byte: &u8| byte.is_ascii() && !is_word_character(char::from(*byte));
        let mut signs: Vec<u8> =
            patterns.iter().filter_map(|pattern| pattern.bytes().next()).filter(is_sign).collect();
        signs.sort_unstable();
        signs.dedup();
        let first_signs = signs.into_iter().map(|sign| u64::from(sign) * ONES).collect();
        let first_bytes = FirstBytes::of(patterns);
        Ok(Phrases {
            automaton,
            first_bytes,
            words: Words::new(),
            unspaced,
            any_unspaced,
            first_signs,
        })
    }

    /// The patterns that `wanted` accepts, in order of their ends; a pattern of a script without
    /// blanks counts only where no longer one covers it.
    pub(crate) fn find(&self, text: &str, wanted: impl Fn(usize) -> bool) -> Vec<Found> {
        let text = searched(text);
        // Folding makes ASCII of most texts in Latin letters.
        let is_ascii = matches!(text, Cow::Borrowed(_)) || text.is_ascii();
        let mut found = Vec::new();
        // An anchored search can't fail: the automaton was built for it.
        let mut look = |at| drop(self.find_at(&text, at, &wanted, &mut found));
        match is_ascii {
            true => self.starts_in_ascii(text.as_bytes(), &mut look),
            false => self.starts(text.as_bytes(), &mut look),
        }
        found.sort_unstable_by_key(|found| (found.end, Reverse(found.start)));
        if self.any_unspaced && found.len() > 1 {
            self.drop_covered(&mut found);
        }
        found
    }

    /// Where in a text a pattern may begin.
    fn starts(&self, bytes: &[u8], look: &mut impl FnMut(usize)) {
        let mut word_before = false;
        let mut at = 0;
        while let Some(&first) = bytes.get(at) {
            let second = bytes.get(at + 1).copied().unwrap_or(0);
            let (length, word) = self.words.look(first, second);
            if !(word && word_before) && self.first_bytes.begin(&bytes[at..]) {
                look(at);
            }
            word_before = word;
            at += length;
        }
    }

    /// The same of ASCII, eight bytes at a time.
    fn starts_in_ascii(&self, bytes: &[u8], look: &mut impl FnMut(usize)) {
        let mut word_before = 0;
        for (block, at) in bytes.chunks(8).zip((0..).step_by(8)) {
            let mut eight = [0; 8];
            eight[..block.len()].copy_from_slice(block);
            let eight = u64::from_le_bytes(eight);
            let word = word_bytes(eight);
            let mut starts = word & !(word << 8 | word_before);
            word_before = word >> 56;
            for signs in &self.first_signs {
                starts |= HIGH & !((eight ^ signs) + 0x7f * ONES);
            }
            while starts != 0 {
                let start = at + starts.trailing_zeros() as usize / 8;
                starts &= starts - 1;
                // The zeros behind the end are none of the text.
                if start < bytes.len() && self.first_bytes.begin(&bytes[start..]) {
                    look(start);
                }
            }
        }
    }

    /// Adds the patterns that begin at `start`. White space of any length is one blank to them.
    fn find_at(
        &self,
        text: &str,
        start: usize,
        wanted: impl Fn(usize) -> bool,
        found: &mut Vec<Found>,
    ) -> Result<(), MatchError> {
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
            state =
                self.automaton.next_state(Anchored::Yes, state, if blank { b' ' } else { byte });
            length += 1;
            if !self.automaton.is_special(state) {
                continue;
            }
            if self.automaton.is_dead(state) {
                break;
            }
            let matches =
                if self.automaton.is_match(state) { self.automaton.match_len(state) } else { 0 };
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
        // From the back, the longest of each end first: whatever covers a match has been seen
        // before it.
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

/// With which bytes patterns begin, in either case: nearly every word of a text fails here. May say
/// yes where none does.
struct FirstBytes {
    /// The first byte of patterns shorter than four.
    short: [bool; 256],
    /// The first of all patterns.
    any: [bool; 256],
    /// The first four of patterns shorter than eight.
    four: Hashes,
    /// The first four, and the first eight, of the others.
    four_of_long: Hashes,
    eight: Hashes,
}

impl FirstBytes {
    fn of(patterns: &[String]) -> FirstBytes {
        let (four, four_of_long, eight) = (Hashes::new(), Hashes::new(), Hashes::new());
        let mut first =
            FirstBytes { short: [false; 256], any: [false; 256], four, four_of_long, eight };
        for bytes in patterns.iter().map(|pattern| pattern.as_bytes()) {
            let Some(&byte) = bytes.first() else { continue };
            let (four, eight) = hashes(first_eight(bytes));
            for byte in [byte, byte.to_ascii_uppercase()] {
                first.any[usize::from(byte)] = true;
                first.short[usize::from(byte)] |= bytes.len() < 4;
            }
            match bytes.len() {
                0..4 => {}
                4..8 => first.four.insert(four),
                _ => {
                    first.four_of_long.insert(four);
                    first.eight.insert(eight);
                }
            }
        }
        first
    }

    /// Whether a pattern may begin as these bytes do.
    #[inline]
    fn begin(&self, bytes: &[u8]) -> bool {
        let found = first_eight(bytes);
        let (four, eight) = hashes(found);
        if self.four.contain(four) || (self.four_of_long.contain(four) && self.eight.contain(eight))
        {
            return true;
        }
        // White space of any kind and length is one blank to patterns, so what holds some may begin
        // as they do after all.
        let byte = (found & 0xff) as usize;
        self.short[byte] || (self.any[byte] && has_odd_blanks(found))
    }
}

/// A set of hashes of 15 bits: small enough to stay near.
struct Hashes(Box<[u64; 512]>);

impl Hashes {
    fn new() -> Hashes {
        Hashes(Box::new([0; 512]))
    }

    fn insert(&mut self, hash: u16) {
        self.0[usize::from(hash / 64)] |= 1 << (hash % 64);
    }

    #[inline]
    fn contain(&self, hash: u16) -> bool {
        self.0[usize::from(hash / 64) % 512] >> (hash % 64) & 1 == 1
    }
}

/// With zeros where there are fewer.
#[inline]
fn first_eight(bytes: &[u8]) -> u64 {
    if let Some(eight) = bytes.first_chunk::<8>() {
        return u64::from_le_bytes(*eight);
    }
    bytes.iter().rev().fold(0, |eight, byte| eight << 8 | u64::from(*byte))
}

/// Of the first four and of all; the same for letters of either case.
#[inline]
fn hashes(eight: u64) -> (u16, u16) {
    let folded = eight | (0x20 * ONES);
    let four = (folded as u32).wrapping_mul(0x9e37_79b1) >> 17;
    let eight = folded.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 49;
    (four as u16, eight as u16)
}

/// Whether there may be white space other than single blanks. The zeros behind the end are taken
/// for such.
#[inline]
fn has_odd_blanks(eight: u64) -> bool {
    // The high bit of each byte that is zero may also be set above one that is: a yes too many.
    let zeros = |bytes: u64| bytes.wrapping_sub(ONES) & !bytes & HIGH;
    let blanks = zeros(eight ^ (0x20 * ONES));
    zeros(eight & (0xe0 * ONES)) != 0 || blanks & (blanks << 8) != 0
}

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x80 * ONES;

/// The high bit of each byte that is an ASCII letter, a digit or `_`; of eight bytes of ASCII.
fn word_bytes(eight: u64) -> u64 {
    // In ASCII no sum runs over into the next byte.
    let at_least = |bytes: u64, least: u8| bytes + (0x80 - u64::from(least)) * ONES;
    let between =
        |bytes: u64, first: u8, last: u8| at_least(bytes, first) & !at_least(bytes, last + 1);
    let letters = between(eight | (0x20 * ONES), b'a', b'z');
    let digits = between(eight, b'0', b'9');
    let underscores = between(eight, b'_', b'_');
    (letters | digits | underscores) & HIGH
}

/// Which characters belong to words, as far as two bytes tell: enough for the scripts with blanks
/// between words that most posts are written in. Of the rest it says no, and the border is looked
/// at when something matches.
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

    /// The length of the character that begins with these bytes, and whether it is known to belong
    /// to a word.
    fn look(&self, first: u8, second: u8) -> (usize, bool) {
        match first {
            0..0x80 => (1, self.ascii[usize::from(first)]),
            0x80..0xe0 => {
                (2, self.two_bytes[usize::from(first & 0x1f) << 6 | usize::from(second & 0x3f)])
            }
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
    let (Some(before), Some(after)) = (text[..at].chars().next_back(), text[at..].chars().next())
    else {
        return true;
    };
    if !is_word_character(before) || !is_word_character(after) {
        return true;
    }
    // A mark belongs to the letter before it in every script.
    !is_mark(after) && (is_unspaced(before) || is_unspaced(after))
}
