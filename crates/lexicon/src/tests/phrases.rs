//! Phrases in texts, against a search that tries every pattern at every place.

use proptest::prelude::*;

use crate::characters::{is_mark, is_unspaced, is_word_character};
use crate::phrases::{Phrases, pattern, searched};

/// What `find` must give where no script without blanks is about: pattern, start and end, in order
/// of ends.
fn plainly(patterns: &[String], text: &str) -> Vec<(usize, usize, usize)> {
    let text = searched(text);
    let borders: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
    let mut found = Vec::new();
    for (number, pattern) in patterns.iter().enumerate() {
        let ends =
            borders.iter().filter_map(|&start| Some((start, end_of(pattern, &text, start)?)));
        found.extend(
            ends.filter(|&(start, end)| is_border(&text, start) && is_border(&text, end))
                .map(|(start, end)| (number, start, end)),
        );
    }
    found.sort_unstable_by_key(|&(_, start, end)| (end, std::cmp::Reverse(start)));
    found
}

/// Where the pattern ends that begins at `start`; one blank of it is as much white space as there
/// is.
fn end_of(pattern: &str, text: &str, start: usize) -> Option<usize> {
    let mut rest = text[start..].chars().peekable();
    let mut end = start;
    for c in pattern.chars() {
        let next = rest.next()?;
        end += next.len_utf8();
        if c != ' ' {
            if !c.eq_ignore_ascii_case(&next) {
                return None;
            }
            continue;
        }
        if !is_blank(next) {
            return None;
        }
        while rest.next_if(|&c| is_blank(c)).is_some() {
            end += 1;
        }
    }
    Some(end)
}

fn is_blank(c: char) -> bool {
    c == ' ' || ('\t'..='\r').contains(&c)
}

fn is_border(text: &str, at: usize) -> bool {
    let (before, after) = (text[..at].chars().next_back(), text[at..].chars().next());
    match (before, after) {
        (Some(before), Some(after)) if is_word_character(before) && is_word_character(after) => {
            !is_mark(after) && (is_unspaced(before) || is_unspaced(after))
        }
        _ => true,
    }
}

/// Few characters, so that beginnings of phrases are met often and broken off everywhere.
const PIECES: &[&str] = &[
    "a", "b", "Ab", "aab", " ", " ", "  ", "\n", "\t ", "\0", "*", "?", "_", "1", "é", "ж", "Ж",
    "\u{301}", "—",
];

fn texts(least: usize, most: usize) -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(PIECES), least..most)
        .prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(super::cases(20_000)) })]

    #[test]
    fn phrases_are_those_of_a_plain_search(phrases in prop::collection::vec(texts(1, 14), 1..8), text in texts(0, 60), ascii in any::<bool>()) {
        let mut patterns: Vec<String> = phrases.iter().map(|phrase| pattern(phrase)).filter(|pattern| !pattern.is_empty()).collect();
        patterns.sort();
        patterns.dedup();
        prop_assume!(!patterns.is_empty());
        // What one text holds of the patterns, so that long ones are met too.
        let text = format!("{text}{}{text}", patterns.join("\n"));
        let text = if ascii { text.chars().filter(char::is_ascii).collect() } else { text };
        let found = Phrases::new(&patterns).unwrap().find(&text, |_| true);
        let mut found: Vec<(usize, usize, usize)> = found.iter().map(|found| (found.pattern, found.start, found.end)).collect();
        let mut expected = plainly(&patterns, &text);
        found.sort_unstable();
        expected.sort_unstable();
        prop_assert_eq!(found, expected, "{:?} in {:?}", patterns, text);
    }
}
