//! Hashtags of texts: properties, the classes of the twitter-text conformance suite, and a
//! differential test against another implementation of its rules.

use std::sync::LazyLock;

use egg_mode_text::hashtag_entities;
use proptest::prelude::*;
use regex::Regex;

use crate::characters::{is_letter_or_mark, is_tag_character};
use crate::extract::hashtags;

#[path = "../../../../tests/conformance.rs"]
mod conformance;

fn tags(text: &str) -> Vec<&str> {
    hashtags(text).collect()
}

/// Pieces of which texts near the rules' edges are made.
fn pieces() -> impl Strategy<Value = String> {
    let signs = prop::sample::select(vec![
        "#",
        "#",
        "#",
        "＃",
        "##",
        " #",
        "\n#",
        ".#",
        "_#",
        "&#",
        "a#",
        "、#",
        "🤒#",
        "🤒\u{fe0f}#",
        "\u{200d}#",
    ]);
    let words = prop::sample::select(vec![
        "flu",
        "Grippe",
        "é",
        "1",
        "16",
        "_",
        "インフル",
        "熱",
        "ゞ",
        "грипп",
        "حمى",
        "می‌خواهم",
        "महात्मा",
        "१२",
        "ශ්‍ර",
        "발열",
        "·",
        "・",
        "～",
        "〃",
        "\u{301}",
        "\u{fe0f}",
        "\u{200c}",
        "\u{20021}",
        "\u{104a0}",
        "Ⅳ",
        "ⓐ",
        "²",
        "‘",
        "’",
        "&",
        "@",
        "$",
        ":",
        "://",
        "-",
        "(",
        ")",
        ".",
        ",",
        "!",
        "\0",
        "\u{202e}",
        "\t",
        "\u{3000}",
        "🤒",
    ]);
    let piece = prop_oneof![3 => signs.prop_map(str::to_owned), 5 => words.prop_map(str::to_owned), 1 => any::<char>().prop_map(String::from)];
    prop::collection::vec(piece, 0..16).prop_map(|pieces| pieces.concat())
}

/// Links with and without scheme, what is before and behind them, and what only looks like one.
fn links() -> impl Strategy<Value = String> {
    let before = prop::sample::select(vec![
        "", "", "(", "熱", "é", ".", ",", "a", "@", "$", "-", "&", "#flu ", "see:", "«",
    ]);
    let scheme = prop::sample::select(vec!["", "", "http://", "HTTPS://", "ftp://", "//"]);
    let host = prop::sample::select(vec![
        "twitter.com",
        "b1.co.uk",
        "www.who.int",
        "a_b.x-y.org",
        "é.fr",
        "münchen.de",
        "熱.jp",
        "flu",
        "and",
    ]);
    let port = prop::sample::select(vec!["", "", ":80", ":"]);
    let behind = prop::sample::select(vec![
        "#", "#", "#", "/", "/", "?", "=", "&", "!", "(", ")", "flu", "熱", "é", "ж", "2026", ".",
        ",", ";", "'", "-", "_", "@", "+", "%",
    ]);
    let behind = prop::collection::vec(behind, 0..10).prop_map(|pieces| pieces.concat());
    let opens = prop::sample::select(vec!["/", "/", "/", "?", "#", "!", "("]);
    let link = (before, scheme, host, port, opens, behind)
        .prop_map(|(a, b, c, d, e, f)| format!("{a}{b}{c}{d}{e}{f}"));
    prop::collection::vec(link, 1..4).prop_map(|links| links.join(" "))
}

proptest! {
    #![proptest_config(ProptestConfig { max_global_rejects: u32::MAX, failure_persistence: None, ..ProptestConfig::with_cases(super::cases(25_000)) })]

    #[test]
    fn hashtags_stand_in_the_text_behind_a_sign(text in pieces()) {
        let mut at = 0;
        for tag in hashtags(&text) {
            let start = tag.as_ptr() as usize - text.as_ptr() as usize;
            prop_assert!(start >= at && &text[start..start + tag.len()] == tag);
            prop_assert!(text[..start].ends_with(['#', '＃', '﹟']));
            prop_assert!(tag.chars().all(is_tag_character) && tag.chars().any(is_letter_or_mark));
            at = start + tag.len();
        }
    }

    #[test]
    fn no_text_is_too_much(text in any::<String>()) {
        prop_assert!(hashtags(&text).count() <= text.len());
    }

    #[test]
    fn agrees_with_the_oracle_on_links(text in links()) {
        prop_assume!(!outside_the_oracle(&text));
        prop_assert_eq!(tags(&text), oracle(&text));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { max_global_rejects: u32::MAX, failure_persistence: None, ..ProptestConfig::with_cases(super::cases(1_000_000)) })]

    #[test]
    fn agrees_with_the_oracle_on_tags(text in pieces()) {
        prop_assume!(!outside_the_oracle(&text));
        prop_assert_eq!(tags(&text), oracle(&text));
    }
}

fn oracle(text: &str) -> Vec<&str> {
    let sign = |tag: &str| tag.chars().next().map_or(0, char::len_utf8);
    hashtag_entities(text, true)
        .iter()
        .map(|entity| entity.substr(text))
        .map(|tag| &tag[sign(tag)..])
        .collect()
}

/// Where the oracle differs from the reference, or we from both, and why.
fn outside_the_oracle(text: &str) -> bool {
    static LISTED: LazyLock<Regex> = LazyLock::new(|| {
        let differences = [
            // Ours: the small sign opens a hashtag too.
            "﹟",
            // The oracle's: it stops for good at a keycap, the reference continues behind it.
            "[#＃][\u{fe0f}\u{20e3}]",
            // The oracle's: of `#a#b` it drops `a` and takes `b`; the reference takes neither.
            "[#＃][^\\x00-/:-@ ]+[#＃]",
            // The oracle's: of a hashtag and a domain that overlap it drops both, the reference the
            // later.
            "[#＃][^\\x00-/:-@ ]+[.][^\\x00-/:-@ ]",
            // Letters younger than the oracle's tables.
            "\\p{Cn}",
            // Ours: a link's host may have any name.
            "(?i)https?://(flu|and)",
        ];
        Regex::new(&differences.join("|")).unwrap()
    });
    // The oracle's: of a link without scheme it sees no path behind a port and no query; the
    // reference sees both.
    let half_seen = |word: &str| {
        (word.contains(":80/") || word.contains('?')) && !word.to_lowercase().contains("http")
    };
    LISTED.is_match(text) || text.split(' ').any(half_seen)
}

#[test]
fn classes_are_unicodes() {
    let letter_or_mark = Regex::new(r"^[\p{L}\p{M}]$").unwrap();
    let digit = Regex::new(r"^\p{Nd}$").unwrap();
    // The tables may be of different Unicode versions; what is assigned in all must be the same in
    // all.
    let unassigned = Regex::new(r"^\p{Cn}$").unwrap();
    for c in char::MIN..=char::MAX {
        let text = c.encode_utf8(&mut [0; 4]).to_owned();
        let same = is_letter_or_mark(c) == letter_or_mark.is_match(&text)
            && crate::characters::is_decimal_digit(c) == digit.is_match(&text);
        assert!(same || unassigned.is_match(&text), "U+{:04X}", u32::from(c));
    }
}

/// One case or more for each class of the suite.
#[test]
fn conformance() {
    let cases: &[(&str, &str, &[&str])] = &[
        ("letters", "sick with #flu today", &["flu"]),
        ("at the start, at the end", "#flu and #cough", &["flu", "cough"]),
        ("letters then digits", "#covid19", &["covid19"]),
        ("digits then letters", "#2026flu", &["2026flu"]),
        ("digits only", "ward #16, bed #0", &[]),
        ("no letter", "#_ #1_2 #122 #〃", &[]),
        ("underscores", "#_flu #flu_ #flu_season", &["_flu", "flu_", "flu_season"]),
        (
            "in brackets",
            "(#flu )#cough [#fever ]#tos ’#toux’#fiebre",
            &["flu", "cough", "fever", "tos", "toux", "fiebre"],
        ),
        (
            "accents",
            "#fièvre #sarampión #Übelkeit #Ateş #ştu #İn #ın",
            &["fièvre", "sarampión", "Übelkeit", "Ateş", "ştu", "İn", "ın"],
        ),
        (
            "Latin extended",
            "#qızdırma #mûǁae #Čeština #Ċaoiṁín",
            &["qızdırma", "mûǁae", "Čeština", "Ċaoiṁín"],
        ),
        ("middle dot", "#il·lusió", &["il·lusió"]),
        ("hyphen ends", "#grippe-aviaire", &["grippe"]),
        ("apostrophe ends", "#flu’s #flu's", &["flu", "flu"]),
        ("blank behind the sign", "# flu # インフル", &[]),
        ("Cyrillic, Greek", "#грипп! #Γρίπη_Αθήνα", &["грипп", "Γρίπη_Αθήνα"]),
        ("Armenian, Georgian", "#Մահաթմա #მაჰათმა", &["Մահաթմա", "მაჰათმა"]),
        ("Korean, half-width Hangul", "#독감 #ﾣﾦﾰ", &["독감", "ﾣﾦﾰ"]),
        (
            "Katakana, Hiragana, Kanji",
            "#インフルエンザ #はしか #発熱 が",
            &["インフルエンザ", "はしか", "発熱"],
        ),
        ("mixed", "咳 #日本語ハッシュタグ", &["日本語ハッシュタグ"]),
        ("long vowel, half width, voicing", "#サッカー #ｻｯｶｰ #ﾊﾟﾋﾟ", &["サッカー", "ｻｯｶｰ", "ﾊﾟﾋﾟ"]),
        (
            "iteration marks",
            "#云々 #学問のすゝめ #いすゞ #各〻 #各〃",
            &["云々", "学問のすゝめ", "いすゞ", "各〻", "各〃"],
        ),
        ("tilde, wave dash", "#メ～テレ #メ〜テレ", &["メ～テレ", "メ〜テレ"]),
        ("behind CJK punctuation", "熱。#発熱。 熱！＃発熱 ", &["発熱", "発熱"]),
        ("behind a CJK letter", "熱#発熱", &[]),
        ("full-width sign and digits", "熱 ＃ｆｌｕ１２３", &["ｆｌｕ１２３"]),
        ("small sign", "熱 ﹟flu", &["flu"]),
        (
            "Arabic, tatweel, digits",
            "#إنفلونزا #ســـلام_عليكم_٤٠٦ #۳۴۵هشتگ",
            &["إنفلونزا", "ســـلام_عليكم_٤٠٦", "۳۴۵هشتگ"],
        ),
        ("Persian joiner", "#أي‌بي‌إم #می‌خواهم", &["أي‌بي‌إم", "می‌خواهم"]),
        ("Hebrew points and punctuation", "#עַל־יְדֵי #וכו׳ #מ״כ", &["עַל־יְדֵי", "וכו׳", "מ״כ"]),
        ("Hindi, digits only", "#महात्मा_१२३४ #१२३४ गांधी", &["महात्मा_१२३४"]),
        (
            "Indic scripts",
            "#বাংলা #ਪੰਜਾਬੀ #தமிழ் \
            #ශ්‍රීලංකා",
            &["বাংলা", "ਪੰਜਾਬੀ", "தமிழ்", "ශ්‍රීලංකා"],
        ),
        (
            "Thai, Khmer, Burmese, Lao",
            "#ผู้เริ่ม #មហាត្មះ #မြင့်မြတ်သော #ຊີວະສາດ",
            &["ผู้เริ่ม", "មហាត្មះ", "မြင့်မြတ်သော", "ຊີວະສາດ"],
        ),
        ("Tibetan, Amharic", "#བོད་སྐད་ #ኢትዮ", &["བོད་སྐད་", "ኢትዮ"]),
        (
            "beyond the first plane",
            "#\u{20021} #\u{16f04}\u{16f51} #A\u{104a0}",
            &["\u{20021}", "\u{16f04}\u{16f51}", "A\u{104a0}"],
        ),
        (
            "behind emoji",
            "🤒#flu ✌\u{fe0e}#cough ✌🏿\u{fe0f}#fever 👨‍👩‍👧#tos",
            &["flu", "cough", "fever", "tos"],
        ),
        ("before emoji", "#flu🤒", &["flu"]),
        ("keycap", "#️⃣ #\u{20e3} #flu", &["flu"]),
        ("before punctuation", "#flu: #flu; #flu, #flu. #flu! #flu?", &["flu"; 6]),
        ("behind punctuation", ":#flu ;#flu ,#flu .#flu !#flu ?#flu /#flu", &["flu"; 7]),
        ("before a line end", "#flu\ntest\n#cough\r\n#fever\n", &["flu", "cough", "fever"]),
        ("inside a word, behind an entity", "text#flu &#flu", &[]),
        ("signs in a row", "##flu #flu#cough #flu# #flu ##", &["flu", "flu"]),
        ("a scheme behind the sign", "#http://twitter.com #https://twitter.com", &[]),
        (
            "inside a link",
            "http://twitter.com/#flu twitter.com/#flu https://x.org/a?b=#flu \
                https://x.org/a_(b)#flu",
            &[],
        ),
        (
            "inside a link with a host that is no name",
            "http://localhost:8080/#/flu http://10.0.0.1/#flu",
            &[],
        ),
        ("behind a link", "http://x.org #flu http://x.org/),#cough", &["flu", "cough"]),
        ("behind a slash that is no link", "sick/#flu and/or.#cough", &["flu", "cough"]),
        ("a tag that runs into a domain", "#熱example.com", &["熱example"]),
    ];
    for (class, text, expected) in cases {
        assert_eq!(tags(text), *expected, "{class}: {text}");
    }
}

#[test]
fn a_megabyte_of_anything_is_read_in_linear_time() {
    let pieces = [
        "#",
        "#a",
        "#a ",
        "＃",
        "/#a",
        "a.com/#a",
        "http://",
        "http://a/(",
        "(/#",
        "a.com/(a/#",
        "a?#",
        "?#b.c/",
        "é.#",
        "\u{301}",
        "#\u{fe0f}",
        "x:1/#",
        "\u{ef00}#",
    ];
    for piece in pieces {
        let text = piece.repeat(1_000_000 / piece.len());
        let _ = hashtags(&text).count();
    }
}

/// The suite itself; where it is missing, the cases above represent it.
#[test]
fn conformance_suite() {
    let Some(cases) = conformance::cases() else {
        println!("skipped: the source of `egg-mode-text` isn't in the registry's folder");
        return;
    };
    for (text, expected) in &cases {
        assert_eq!(tags(text), *expected, "{text}");
    }
}
