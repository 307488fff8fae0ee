//! Languages: which codes there are, so that nobody can make some up.
//!
//! The codes of ISO 639-1, and of ISO 639-2 where there is no two-letter code. Says nothing of what
//! a text is written in.

use std::collections::BTreeMap;
use std::sync::LazyLock;

/// A language a line: its code, then the other codes that stand for it (ISO 639-2, terminological
/// and bibliographic; withdrawn ISO 639-1). Facts of the code tables of ISO 639-1 and 639-2 by
/// their registration authorities, without the codes for several, uncoded, undetermined or no
/// languages and those for local use.
const CODES: &str = include_str!("../data/languages.txt");

static KNOWN: LazyLock<BTreeMap<&'static str, &'static str>> = LazyLock::new(|| {
    let codes = |line: &'static str| {
        line.split(' ').map(move |code| (code, line.split(' ').next().unwrap_or(code)))
    };
    CODES.lines().flat_map(codes).collect()
});

/// The code of a written language: what stands before the first `-` or `_` decides. `pt-BR` is
/// `pt`, `ger` and `DEU` are `de`.
pub fn find(written: &str) -> Option<&'static str> {
    let primary = written.trim().split(['-', '_']).next()?;
    if !matches!(primary.len(), 2 | 3) {
        return None;
    }
    KNOWN.get(primary.to_ascii_lowercase().as_str()).copied()
}

/// All codes, in order.
pub fn all() -> impl Iterator<Item = &'static str> {
    CODES.lines().filter_map(|line| line.split(' ').next())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_language_is_its_primary_subtag() {
        let found = [
            ("pt-BR", "pt"),
            ("EN_us", "en"),
            ("haw", "haw"),
            (" fr ", "fr"),
            ("zh-Hant-TW", "zh"),
        ];
        assert!(found.iter().all(|(written, code)| find(written) == Some(code)));
        assert_eq!(["", "x", "engl", "12", "日本", "-", "de nds"].map(find), [None; 7]);
    }

    #[test]
    fn three_letter_codes_are_their_two_letter_ones() {
        let found = [
            ("deu", "de"),
            ("ger", "de"),
            ("fre", "fr"),
            ("FRA", "fr"),
            ("heb", "he"),
            ("iw", "he"),
            ("nds", "nds"),
        ];
        assert!(found.iter().all(|(written, code)| find(written) == Some(code)));
    }

    #[test]
    fn made_up_and_empty_languages_are_none() {
        assert_eq!(
            ["xx", "qq", "zzz", "qaa", "qtz", "mul", "und", "zxx", "mis"].map(find),
            [None; 9]
        );
    }

    #[test]
    fn each_code_stands_for_one_language() {
        let codes: Vec<&str> = CODES.split_whitespace().collect();
        assert_eq!(codes.len(), KNOWN.len());
        assert!(all().eq(all().collect::<std::collections::BTreeSet<_>>()), "sorted");
        assert!(all().all(|code| find(code) == Some(code)));
        assert_eq!((all().count(), all().filter(|code| code.len() == 2).count()), (482, 184));
    }
}
