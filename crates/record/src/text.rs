//! The one folding of text: the form in which tags, lexicon entries, phrases and place names are
//! compared.
//!
//! Used wherever two spellings have to count as one, so that ingest, lexicon and atlas can't
//! disagree.
//! Knows characters only; knows nothing of tags, languages or topics.
//!
//! | step | example |
//! |---|---|
//! | compatibility forms (NFKC) | `ｆｌｕ` is `flu`, `ﾊ` is `ハ` |
//! | full case folding | `GRIPPE` is `grippe`, `ß` is `ss`, `ς` is `σ`, `İ` is `i` |
//! | marks on Latin letters dropped, Latin letters with strokes and ligatures spelled out | `fièvre` is `fievre`, `ł` is `l`, `œ` is `oe` |
//! | marks of other scripts kept | `が` is not `か`, `й` is not `и` |
//! | Arabic: tatweel and harakat dropped, alef forms unified | `حُمّـى` is `حمى`, `إنفلونزا` is `انفلونزا` |
//! | what can't be seen dropped; joiners stay between letters of scripts that need them | VS16, ZWSP, bidi controls; `می‌خواهم` keeps its ZWNJ |
//! | apostrophes unified | `j’ai` is `j'ai` |
//! | leading signs dropped | `#flu`, `＃flu` are `flu` |

use std::iter::Peekable;
use std::str::Chars;
use std::sync::OnceLock;

use caseless::Caseless;
use unicode_normalization::char::{canonical_combining_class, is_combining_mark};
use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfkc_quick};

/// The folded form of `text`; folding twice is folding once.
pub fn fold(text: &str) -> String {
    if text.is_ascii() {
        return text.trim_start_matches('#').to_ascii_lowercase();
    }
    let mut folded = String::with_capacity(text.len());
    if fold_simple(text, &mut folded) {
        return strip_signs(folded);
    }
    let mut folded = fold_once(text);
    // Rare sequences (a mark that a dropped character had kept apart from its letter) need a second
    // look.
    for _ in 0..FOLDS_MAX {
        let again = fold_once(&folded);
        if again == folded {
            break;
        }
        folded = again;
    }
    folded
}

/// After so many rounds the form is taken as it is; two have been enough for everything seen.
const FOLDS_MAX: usize = 8;

fn strip_signs(mut folded: String) -> String {
    let signs = folded.len() - folded.trim_start_matches('#').len();
    folded.drain(..signs);
    folded
}

// --- the long way: any text ---

/// What the marks that follow would sit on.
#[derive(Clone, Copy, PartialEq)]
enum Base {
    Latin,
    Alef,
    Other,
    /// Not part of a word.
    None,
}

fn fold_once(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut base = Base::None;
    let mut joiner = None;
    for c in text.nfkc().default_case_fold().nfkd() {
        if is_dropped(c) {
            continue;
        }
        if is_joiner(c) {
            joiner = (base == Base::Other || base == Base::Alef).then_some(c);
            continue;
        }
        if is_combining_mark(c) {
            let dropped = match base {
                Base::Latin => is_latin_mark(c),
                Base::Alef => ('\u{653}'..='\u{655}').contains(&c),
                Base::Other | Base::None => false,
            };
            if dropped {
                continue;
            }
            kept.extend(joiner.take());
            kept.push(c);
            continue;
        }
        let c = unified(c);
        base = base_of(c);
        let between_words = base == Base::Other || base == Base::Alef;
        if let Some(joiner) = joiner.take()
            && between_words
        {
            kept.push(joiner);
        }
        match latin_spelling(c) {
            Some(spelling) => kept.push_str(spelling),
            None => kept.push(c),
        }
    }
    strip_signs(kept.nfc().collect())
}

fn base_of(c: char) -> Base {
    match c {
        ALEF => Base::Alef,
        _ if is_latin_letter(c) => Base::Latin,
        _ if c.is_alphanumeric() => Base::Other,
        _ => Base::None,
    }
}

const ALEF: char = '\u{627}';

/// One sign for several that mean the same. Alef with hamza or madda is decomposed by now and loses
/// its mark as one.
fn unified(c: char) -> char {
    match c {
        '\u{671}'..='\u{673}' => ALEF,
        '\u{2018}' | '\u{2019}' | '\u{2bc}' => '\'',
        _ => c,
    }
}

/// Latin letters that Unicode doesn't take apart; the list that Mastodon folds, and the ligatures.
fn latin_spelling(c: char) -> Option<&'static str> {
    Some(match c {
        'ø' => "o",
        'ł' => "l",
        'đ' | 'ð' => "d",
        'ħ' => "h",
        'ı' => "i",
        'ŧ' => "t",
        'ŋ' => "n",
        'ĸ' => "k",
        'æ' => "ae",
        'œ' => "oe",
        _ => return None,
    })
}

fn is_latin_letter(c: char) -> bool {
    matches!(c,
        'a'..='z' | 'A'..='Z' | '\u{c0}'..='\u{d6}' | '\u{d8}'..='\u{f6}' | '\u{f8}'..='\u{2af}'
        | '\u{1d00}'..='\u{1d25}' | '\u{1d6b}'..='\u{1d77}' | '\u{1d79}'..='\u{1d9a}' | '\u{1e00}'..='\u{1eff}'
        | '\u{2c60}'..='\u{2c7f}' | '\u{a722}'..='\u{a787}' | '\u{a78b}'..='\u{a7ff}' | '\u{ab30}'..='\u{ab64}')
}

/// Marks that belong to no script of their own.
fn is_latin_mark(c: char) -> bool {
    matches!(c,
        '\u{300}'..='\u{36f}' | '\u{1ab0}'..='\u{1aff}' | '\u{1dc0}'..='\u{1dff}'
        | '\u{20d0}'..='\u{20ff}' | '\u{fe20}'..='\u{fe2f}')
}

fn is_joiner(c: char) -> bool {
    matches!(c, '\u{200c}' | '\u{200d}')
}

/// Dropped wherever it stands: what can't be seen, and what Arabic writes or leaves out at will.
fn is_dropped(c: char) -> bool {
    match c {
        // Soft hyphen, joiners of no effect, bidi controls, word joiner, byte order mark.
        '\u{ad}'
        | '\u{34f}'
        | '\u{61c}'
        | '\u{180b}'..='\u{180f}'
        | '\u{200b}'
        | '\u{200e}'
        | '\u{200f}' => true,
        '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' => true,
        // Variation selectors and tag characters.
        '\u{fe00}'..='\u{fe0f}' | '\u{e0000}'..='\u{e0fff}' => true,
        // Tatweel, harakat, Quranic marks.
        '\u{640}' | '\u{610}'..='\u{61a}' | '\u{64b}'..='\u{652}' | '\u{670}' => true,
        '\u{6d6}'..='\u{6dc}'
        | '\u{6df}'..='\u{6e4}'
        | '\u{6e7}'
        | '\u{6e8}'
        | '\u{6ea}'..='\u{6ed}' => true,
        _ => false,
    }
}

// --- the short way: texts in which no character depends on its neighbours ---

/// Folds into `folded` if every character can be folded alone; otherwise says `false`, and `folded`
/// is void.
fn fold_simple(text: &str, folded: &mut String) -> bool {
    let mut chars = text.chars().peekable();
    let mut after_mark = false;
    let mut open = OpenPage::default();
    while let Some(c) = chars.next() {
        if c.is_ascii() {
            folded.push(c.to_ascii_lowercase());
            after_mark = false;
            continue;
        }
        let alone = match open.folding_alone(c) {
            Some(alone) => alone,
            None if is_joiner(c) && joins_nothing(folded, &mut chars) => Alone::Nothing,
            None => return false,
        };
        match alone {
            Alone::Nothing => {}
            Alone::One(c) => {
                folded.push(c);
                after_mark = false;
            }
            Alone::Two(first, second) => {
                folded.push(first);
                folded.push(second);
                after_mark = false;
            }
            // Two marks in a row may have to change places.
            Alone::Mark(_) if after_mark => return false,
            Alone::Mark(c) => {
                folded.push(c);
                after_mark = true;
            }
        }
    }
    true
}

/// A joiner in an emoji: no letter before it.
fn joins_nothing(folded: &str, rest: &mut Peekable<Chars<'_>>) -> bool {
    let letter_before =
        folded.chars().next_back().is_some_and(|c| c.is_alphanumeric() || is_combining_mark(c));
    let mark_after = rest.peek().is_some_and(|&c| is_combining_mark(c) || is_joiner(c));
    !letter_before && !mark_after
}

/// What becomes of a character whatever stands around it.
#[derive(Clone, Copy)]
enum Alone {
    Nothing,
    One(char),
    Two(char, char),
    /// Kept, and never composed, but ordered among its like.
    Mark(char),
}

const PAGE_CHARS: usize = 256;
/// Up to U+2FFFF; what lies beyond goes the long way.
const PAGES: usize = 0x30000 / PAGE_CHARS;

type Page = Box<[Option<Alone>; PAGE_CHARS]>;

/// Pages are made from the long way when first needed, so the two can't differ by a typing mistake.
static ALONE: [OnceLock<Page>; PAGES] = [const { OnceLock::new() }; PAGES];

/// The page last looked at: most neighbours are of one script.
#[derive(Default)]
struct OpenPage {
    number: usize,
    page: Option<&'static Page>,
}

impl OpenPage {
    fn folding_alone(&mut self, c: char) -> Option<Alone> {
        let code = c as usize;
        let number = code / PAGE_CHARS;
        if self.page.is_none() || self.number != number {
            let page = ALONE.get(number)?.get_or_init(|| page_from(number * PAGE_CHARS));
            *self = OpenPage { number, page: Some(page) };
        }
        self.page?[code % PAGE_CHARS]
    }
}

fn page_from(first: usize) -> Page {
    let mut page = Box::new([None; PAGE_CHARS]);
    for (offset, alone) in page.iter_mut().enumerate() {
        *alone = u32::try_from(first + offset).ok().and_then(char::from_u32).and_then(make_alone);
    }
    page
}

fn make_alone(c: char) -> Option<Alone> {
    if is_dropped(c) {
        return Some(Alone::Nothing);
    }
    if is_joiner(c) {
        return None;
    }
    let mut buffer = [0; 4];
    let folded = fold_once(c.encode_utf8(&mut buffer));
    let mut results = folded.chars();
    match (results.next(), results.next(), results.next()) {
        (Some(only), None, None) if depends_on_no_neighbour(only) => {
            let ordered = canonical_combining_class(only) != 0;
            // A mark that becomes something else is ordered before it does.
            if only != c && canonical_combining_class(c) != 0 {
                return None;
            }
            Some(if ordered { Alone::Mark(only) } else { Alone::One(only) })
        }
        (Some(first), Some(second), None) if first.is_ascii() && second.is_ascii() => {
            Some(Alone::Two(first, second))
        }
        _ => None,
    }
}

fn depends_on_no_neighbour(c: char) -> bool {
    let composes_with_the_one_before = is_nfkc_quick(std::iter::once(c)) != IsNormalized::Yes;
    let dropped_from_some_letters = is_latin_mark(c) || ('\u{653}'..='\u{655}').contains(&c);
    !composes_with_the_one_before && !dropped_from_some_letters
}
