//! The folding of `record::text`, which the lexicon lives by.

use proptest::prelude::*;
use record::text::fold;

/// Characters at which folding has something to decide, and any others.
fn tricky() -> impl Strategy<Value = String> {
    let character = prop_oneof![
        8 => prop::sample::select("aAeEiIıİnNsßSſøŁæŒ#＃﹟_ '’ʼ09 ".chars().collect::<Vec<_>>()),
        4 => prop::sample::select("\u{300}\u{301}\u{308}\u{30a}\u{323}\u{327}\u{345}\u{20dd}\u{1dc4}".chars().collect::<Vec<_>>()),
        4 => prop::sample::select("\u{fe0f}\u{fe0e}\u{200b}\u{200c}\u{200d}\u{200e}\u{202e}\u{2060}\u{feff}\u{ad}\u{34f}\u{e0100}\0".chars().collect::<Vec<_>>()),
        4 => prop::sample::select("اأإآٱىيئؤةحمـّىَُِٰٕٓٔ".chars().collect::<Vec<_>>()),
        4 => prop::sample::select("かがﾊﾟﾞ\u{3099}\u{309a}ｆＵ㍿熱한\u{1112}\u{1161}\u{11ab}".chars().collect::<Vec<_>>()),
        4 => prop::sample::select("σςΣάΆήᾳйёЙЁकि्क़ผูำශ්‍රීעַי".chars().collect::<Vec<_>>()),
        4 => any::<char>(),
    ];
    prop::collection::vec(character, 0..24).prop_map(String::from_iter)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(super::cases(20_000)) })]

    #[test]
    fn folding_twice_is_folding_once(text in tricky()) {
        let folded = fold(&text);
        prop_assert_eq!(fold(&folded), folded.clone(), "{:?} to {:?}", text, folded);
    }

    #[test]
    fn no_sign_leads_and_nothing_unseen_stays(text in tricky()) {
        let folded = fold(&text);
        prop_assert!(!folded.starts_with('#'));
        let unseen = folded.contains(['\u{fe0f}', '\u{200b}', '\u{202e}', '\u{feff}', '\u{640}']);
        prop_assert!(!unseen);
    }

    /// A character beyond the tables sends the whole text the long way; the short way must agree
    /// with it.
    #[test]
    fn the_short_way_is_the_long_way(text in tricky()) {
        let long = fold(&format!("\u{30000} {text}"));
        let long = long.strip_prefix("\u{30000} ").unwrap_or(&long).trim_start_matches('#');
        prop_assert_eq!(fold(&text), long);
    }
}

/// Keys of old posts are compared with keys of new ones, so a change here is a change of every
/// stored key.
#[test]
fn keys_are_those_of_earlier_releases() {
    for line in include_str!("folded.tsv").lines().filter(|line| !line.starts_with("//")) {
        let [written, key, why] = line.split('\t').collect::<Vec<_>>()[..] else {
            panic!("three columns in {line:?}");
        };
        assert_eq!(fold(&unescaped(written)), unescaped(key), "{why}: {written}");
    }
}

/// The same for every character there is, as one number (FNV-1a).
#[test]
fn every_character_folds_as_in_earlier_releases() {
    let mut print: u64 = 0xcbf2_9ce4_8422_2325;
    for c in char::MIN..=char::MAX {
        for byte in fold(c.encode_utf8(&mut [0; 4])).bytes().chain([0xff]) {
            print = (print ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    assert_eq!(format!("{print:016x}"), "1b890caa90c148fc");
}

#[test]
fn a_megabyte_of_marks_is_folded_in_linear_time() {
    for text in [
        "\u{301}",
        "e\u{301}\u{323}",
        "\u{64b}",
        "ا\u{655}\u{653}",
        "\u{200d}",
        "\u{94d}",
        "\u{1100}\u{1161}\u{11a8}",
    ] {
        let long = text.repeat(1_000_000 / text.len());
        assert!(fold(&long).len() <= long.len() * 3);
    }
}

fn unescaped(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("\\u{") {
        let end = at + rest[at..].find('}').unwrap();
        plain.push_str(&rest[..at]);
        plain.push(char::from_u32(u32::from_str_radix(&rest[at + 3..end], 16).unwrap()).unwrap());
        rest = &rest[end + 1..];
    }
    plain + rest
}
