//! Segmentation of hashtags at case, digits and `_`.
//!
//! `FluSeason2026` is `flu`, `season`, `2026`; `fluffy` stays whole. A *run* is one or more
//! neighbouring tokens written together, so that `#BirdFluOutbreak` is found to hold `birdflu`.
//! Never cuts where no border was written.

use record::text::fold;

use crate::characters::{is_decimal_digit, is_mark, is_word_character};

/// Runs longer than this are not looked at: no key has so many borders.
pub(crate) const RUN_TOKENS_MAX: usize = 8;

/// The folded tokens of one hashtag, side by side.
pub(crate) struct Tokens {
    folded: String,
    /// Where each token ends in `folded`.
    ends: Vec<usize>,
}

impl Tokens {
    pub(crate) fn of(written: &str) -> Tokens {
        let mut tokens = Tokens {
            folded: String::with_capacity(written.len()),
            ends: Vec::with_capacity(RUN_TOKENS_MAX),
        };
        let mut start = 0;
        let mut before = Class::Border;
        let mut chars = written.char_indices().peekable();
        while let Some((at, c)) = chars.next() {
            let class = class_of(c, before);
            let next = chars.peek().map(|&(_, next)| class_of(next, class));
            if starts_token(before, class, next) {
                tokens.push(&written[start..at]);
                start = at;
            }
            if class == Class::Border {
                start = at + c.len_utf8();
            }
            before = class;
        }
        tokens.push(&written[start..]);
        tokens
    }

    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The tokens `first..=last` as one word.
    pub(crate) fn run(&self, first: usize, last: usize) -> &str {
        let start = if first == 0 { 0 } else { self.ends[first - 1] };
        &self.folded[start..self.ends[last]]
    }

    fn push(&mut self, written: &str) {
        if written.is_empty() {
            return;
        }
        if written.is_ascii() {
            self.folded.extend(written.chars().map(|c| c.to_ascii_lowercase()));
        } else {
            self.folded.push_str(&fold(written));
        }
        if self.folded.len() > self.ends.last().copied().unwrap_or(0) {
            self.ends.push(self.folded.len());
        }
    }
}

/// Whether `written` has a border at all; most hashtags have none, and need no tokens.
pub(crate) fn has_borders(written: &str) -> bool {
    let mut before = Class::Border;
    let mut chars = written.chars().peekable();
    while let Some(c) = chars.next() {
        let class = class_of(c, before);
        let next = chars.peek().map(|&next| class_of(next, class));
        if class == Class::Border || (before != Class::Border && starts_token(before, class, next))
        {
            return true;
        }
        before = class;
    }
    false
}

#[derive(Clone, Copy, PartialEq)]
enum Class {
    Upper,
    Lower,
    /// Letters of scripts without case.
    Uncased,
    Digit,
    /// Stands between tokens and belongs to none.
    Border,
}

fn class_of(c: char, before: Class) -> Class {
    if is_mark(c) || matches!(c, '\u{200c}' | '\u{200d}') {
        // Belongs to the letter it is on.
        before
    } else if is_decimal_digit(c) {
        Class::Digit
    } else if c.is_uppercase() {
        Class::Upper
    } else if c.is_lowercase() {
        Class::Lower
    } else if c != '_' && is_word_character(c) {
        Class::Uncased
    } else {
        Class::Border
    }
}

fn starts_token(before: Class, class: Class, next: Option<Class>) -> bool {
    match (before, class) {
        (Class::Border, _) => false,
        (_, Class::Border) => true,
        (Class::Digit, class) => class != Class::Digit,
        (_, Class::Digit) => true,
        // `FLUSeason`: the last capital belongs to what follows it.
        (Class::Upper, Class::Upper) => next == Some(Class::Lower),
        (Class::Lower | Class::Uncased, Class::Upper) | (Class::Upper, Class::Uncased) => true,
        (Class::Upper, Class::Lower) => false,
        (Class::Lower | Class::Uncased, Class::Lower | Class::Uncased) => false,
    }
}
