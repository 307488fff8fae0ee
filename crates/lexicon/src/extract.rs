//! The hashtags of a text, by the rules of the public twitter-text conformance suite.
//!
//! A sign (`#`, full-width `＃`, small `﹟`) opens a hashtag if nothing that belongs to a word, no
//! `&` and no link is around it; it holds letters, marks, digits and a few joining signs of all
//! scripts, at least one of them a letter;
//! directly before another sign or `://` it is none.
//! One pass, linear in the text. Knows nothing of keys, limits or topics.
//!
//! Meant differences from twitter-text: the small sign opens a hashtag too, and a link needs no
//! known top-level domain (any host after `http://`, any last label of two letters or more before a
//! path), so that no list ages here.

use memchr::memchr2;

use crate::characters::{is_letter_or_mark, is_sign, is_tag_character};

/// The hashtags of `text` in their order, as written, without their sign; repeated ones are
/// repeated.
pub fn hashtags(text: &str) -> Hashtags<'_> {
    Hashtags { text, cursor: 0, last_end: usize::MAX, links: Links { looked_at: 0, link_end: 0 } }
}

/// Iterator made by [`hashtags`].
pub struct Hashtags<'text> {
    text: &'text str,
    cursor: usize,
    /// Where the last hashtag, good or not, ended: its characters can't open the next one.
    last_end: usize,
    links: Links,
}

impl<'text> Iterator for Hashtags<'text> {
    type Item = &'text str;

    fn next(&mut self) -> Option<&'text str> {
        loop {
            let (sign, body) = next_sign(self.text, self.cursor)?;
            self.cursor = body;
            if sign == self.last_end || !opens(self.text, sign) {
                continue;
            }
            let Some(end) = body_end(self.text, body) else {
                continue;
            };
            self.cursor = end;
            self.last_end = end;
            let rest = &self.text[end..];
            let runs_on = rest.starts_with(is_sign) || rest.starts_with("://");
            if !runs_on && !self.links.cover(self.text, sign) {
                return Some(&self.text[body..end]);
            }
        }
    }
}

/// Where the next sign at or after `from` is, and where what follows it begins.
fn next_sign(text: &str, from: usize) -> Option<(usize, usize)> {
    let bytes = text.as_bytes();
    let mut at = from;
    loop {
        // 0xEF begins both wide signs, and nothing before U+F000.
        at += memchr2(b'#', 0xef, bytes.get(at..)?)?;
        let length = match bytes[at..] {
            [b'#', ..] => 1,
            [0xef, 0xbc, 0x83, ..] | [0xef, 0xb9, 0x9f, ..] => 3,
            _ => 0,
        };
        if length > 0 {
            return Some((at, at + length));
        }
        at += 1;
    }
}

/// Whether what is before the sign lets a hashtag begin.
fn opens(text: &str, sign: usize) -> bool {
    match text[..sign].chars().next_back() {
        None => true,
        // Variation selectors are marks, but end an emoji.
        Some('\u{fe0e}' | '\u{fe0f}') => true,
        Some(c) => c != '&' && !is_tag_character(c),
    }
}

/// The end of the hashtag whose first character is at `start`, if there is one.
fn body_end(text: &str, start: usize) -> Option<usize> {
    let mut end = start;
    let mut has_letter = false;
    for c in text[start..].chars() {
        // A keycap: the sign is part of an emoji.
        let is_keycap = end == start && matches!(c, '\u{fe0f}' | '\u{20e3}');
        if is_keycap || !is_tag_character(c) {
            break;
        }
        has_letter |= is_letter_or_mark(c);
        end += c.len_utf8();
    }
    has_letter.then_some(end)
}

/// The links of a text, found as far as they are requested.
struct Links {
    looked_at: usize,
    link_end: usize,
}

impl Links {
    /// Whether the sign at `sign` is inside the path or query of a link; called with rising `sign`.
    fn cover(&mut self, text: &str, sign: usize) -> bool {
        // No link has blanks, and most signs follow one.
        let before = text[..sign].chars().next_back();
        if before.is_none_or(char::is_whitespace) {
            return false;
        }
        while self.looked_at < sign {
            let Some(found) = memchr2(b'/', b'?', &text.as_bytes()[self.looked_at..sign]) else {
                self.looked_at = sign;
                break;
            };
            let slash = self.looked_at + found;
            self.looked_at = slash + 1;
            if slash >= self.link_end && ends_host(text, slash) {
                self.link_end = link_end(text, slash);
            }
        }
        sign < self.link_end
    }
}

/// Whether a link's host, with or without port, ends at `end`, where a `/` or `?` is.
fn ends_host(text: &str, end: usize) -> bool {
    let before = &text[..end];
    let without_digits = before.trim_end_matches(|c: char| c.is_ascii_digit());
    let host_end = match without_digits.strip_suffix(':') {
        Some(host) if without_digits.len() < before.len() => host.len(),
        _ => end,
    };
    let before = &text[..host_end];
    let long = run_before(before, |c| match c {
        '-' | '_' | '.' => true,
        _ => !c.is_ascii_punctuation() && !c.is_control() && !c.is_whitespace(),
    });
    if long > 0
        && let Some(before) = strip_scheme(&before[..host_end - long])
    {
        return !before.ends_with(forbids_link);
    }
    if !text[end..].starts_with('/') {
        return false;
    }
    let short = run_before(before, |c| is_bare_host_character(c) || is_latin_accented(c));
    let mut host = &before[host_end - short..];
    let before = &before[..host_end - short];
    if before.ends_with('/') {
        return false;
    }
    if before.ends_with(forbids_link) {
        // It can still begin behind an accented letter, as the rules have it.
        host = host.trim_start_matches(is_bare_host_character);
    }
    let host = host.trim_start_matches(is_latin_accented);
    host.starts_with(|c: char| c.is_ascii_alphanumeric()) && has_top_level(host)
}

/// The length in bytes of the longest end of `text` that has only characters which `belongs`
/// accepts.
fn run_before(text: &str, belongs: impl Fn(char) -> bool) -> usize {
    text.len() - text.trim_end_matches(belongs).len()
}

fn strip_scheme(text: &str) -> Option<&str> {
    let scheme = text.strip_suffix("://")?;
    let end = scheme.as_bytes();
    let length = if end.len() >= 5 && end[end.len() - 5..].eq_ignore_ascii_case(b"https") {
        5
    } else if end.len() >= 4 && end[end.len() - 4..].eq_ignore_ascii_case(b"http") {
        4
    } else {
        return None;
    };
    Some(&scheme[..scheme.len() - length])
}

fn forbids_link(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '@' | '\u{ff20}' | '$' | '#' | '\u{ff03}')
}

fn is_bare_host_character(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')
}

fn has_top_level(host: &str) -> bool {
    let Some((labels, top)) = host.rsplit_once('.') else {
        return false;
    };
    let is_word = top.len() >= 2 && top.bytes().all(|byte| byte.is_ascii_alphabetic());
    let is_punycode =
        top.len() > 4 && top.is_char_boundary(4) && top[..4].eq_ignore_ascii_case("xn--");
    !labels.is_empty() && (is_word || is_punycode)
}

/// The end of a link whose path or query begins at `start`.
fn link_end(text: &str, start: usize) -> usize {
    let mut end = start;
    if text[start..].starts_with('/') {
        end = path_end(text, start);
    }
    if text[end..].starts_with('?') {
        end = query_end(text, end);
    }
    end
}

fn path_end(text: &str, start: usize) -> usize {
    let mut end = start;
    let mut at = start;
    while let Some(c) = text[at..].chars().next() {
        if c == '(' {
            let Some(closed) = parentheses_end(text, at) else {
                break;
            };
            // A pair can end a path only directly behind what could end it too.
            if end == at {
                end = closed;
            }
            at = closed;
            continue;
        }
        if !is_path_character(c) {
            break;
        }
        at += c.len_utf8();
        // What else a path may hold can't end it: a full stop there ends the sentence.
        if c.is_alphanumeric() || matches!(c, '-' | '=' | '_' | '#' | '/' | '+') {
            end = at;
        }
    }
    end
}

/// The end of `(x)` or `((x))` at `open`.
fn parentheses_end(text: &str, open: usize) -> Option<usize> {
    let inside = &text[open + 1..];
    let (inside, closing) = match inside.strip_prefix('(') {
        Some(inner) => (inner, "))"),
        None => (inside, ")"),
    };
    let rest = inside.trim_start_matches(is_path_character);
    let is_empty = rest.len() == inside.len();
    let rest = rest.strip_prefix(closing)?;
    (!is_empty).then_some(text.len() - rest.len())
}

fn is_path_character(c: char) -> bool {
    if c.is_ascii() {
        return c.is_ascii_alphanumeric() || "-!*';:=+,.$/%#[]_~&|@".contains(c);
    }
    is_latin_accented(c) || is_cyrillic(c)
}

fn query_end(text: &str, start: usize) -> usize {
    let mut end = start;
    for (at, byte) in text.bytes().enumerate().skip(start) {
        if !(byte.is_ascii_alphanumeric() || b"-!?*'();:&=+$/%#[]_.,~|@".contains(&byte)) {
            break;
        }
        if byte.is_ascii_alphanumeric() || b"_&=#/".contains(&byte) {
            end = at + 1;
        }
    }
    end
}

fn is_latin_accented(c: char) -> bool {
    match c {
        '\u{d7}' | '\u{f7}' => false,
        '\u{c0}'..='\u{24f}' | '\u{1e00}'..='\u{1eff}' => true,
        _ => matches!(
            c,
            '\u{253}'
                | '\u{254}'
                | '\u{256}'
                | '\u{257}'
                | '\u{259}'
                | '\u{25b}'
                | '\u{263}'
                | '\u{268}'
                | '\u{26f}'
                | '\u{272}'
                | '\u{289}'
                | '\u{2bb}'
        ),
    }
}

fn is_cyrillic(c: char) -> bool {
    matches!(c, '\u{400}'..='\u{52f}' | '\u{1c80}'..='\u{1c8a}' | '\u{2de0}'..='\u{2dff}' | '\u{a640}'..='\u{a69f}')
}
