//! Texts: what must be so, and how often the rest is right on a set labelled by hand.

use super::brief;
use crate::{Atlas, Meaning};

fn home(text: &str) -> String {
    brief(&Atlas::new().locate_text(text, Meaning::AuthorHome))
}

#[test]
fn containers_flags_and_abbreviations_decide() {
    let cases = [
        ("Paris, TX", "US-TX"),
        ("Paris", "FR-IDF"),
        ("São Paulo 🇧🇷", "BR-SP flag"),
        ("London, Ontario", "CA-ON"),
        ("Cambridge, Ontario", "CA-ON"),
        ("Athens, Georgia", "US-GA"),
        ("Tbilisi, Georgia", "GE-TB"),
        ("Springfield, USA", "US ambiguous-first-level"),
        ("Toronto, CA", "CA-ON"),
        ("San Francisco, CA", "US-CA"),
        ("🏴\u{e0067}\u{e0062}\u{e0073}\u{e0063}\u{e0074}\u{e007f}", "GB-SCT flag"),
        ("Hamburg & Berlin", "DE multi"),
        ("London / New York", "ZZ multi"),
        ("the moon", "ZZ common-word"),
        ("CA", "ZZ no-place"),
        ("", "ZZ empty"),
        (" \u{fe0f} ", "ZZ empty"),
        ("qwertyuiop", "ZZ no-place"),
        ("ÜT: 52.3702,4.8952", "NL-NH coordinates-in-text"),
        ("0.000,0.000", "ZZ coordinates-in-text null-island"),
    ];
    let wrong: Vec<_> = cases
        .iter()
        .filter(|(text, expected)| home(text) != *expected)
        .map(|(text, expected)| (text, expected, home(text)))
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_mention_is_never_a_residence() {
    let atlas = Atlas::new();
    let mention = atlas.locate_text(
        "Huge queues at the clinic in Nairobi today, people coughing",
        Meaning::Mentioned,
    );
    assert_eq!((mention.region, mention.provenance.name()), ("KE-30", "mention"));
    assert_eq!(atlas.locate_text("Nairobi, Kenya", Meaning::AuthorAt).provenance.name(), "place");
    assert_eq!(
        atlas.locate_text("i had a nice bath and split a banana", Meaning::Mentioned).region,
        "ZZ"
    );
}

#[test]
fn any_text_is_answered() {
    for text in [
        "🇧",
        "🏴",
        "🏴\u{e0067}",
        ",,,,",
        "- - -",
        "....",
        "\u{200d}",
        "a\u{301}\u{301}",
        "ﷺ",
        "日本日本日本日本日本日本日本日本",
        "1.23,4",
        "999.99,999.99",
        "-",
        "°12.34 12.34",
    ] {
        let _ = home(text);
    }
    let long = "London ".repeat(10_000);
    assert_eq!(home(&long), "GB-ENG");
}

#[test]
fn names_on_the_labelled_set_are_right_as_often_as_promised() {
    let atlas = Atlas::new();
    let (mut asked, mut right, mut answered, mut answered_right) = (0, 0, 0, 0);
    let (mut nothing, mut invented, mut firsts, mut firsts_right) = (0, 0, 0, 0);
    // By confidence: answers, right ones, sum of confidence.
    let mut table = [(0_u32, 0_u32, 0.0_f64); 10];
    for line in include_str!("../../../../tests/data/atlas/places.tsv")
        .lines()
        .filter(|line| !line.starts_with('#'))
    {
        let [region, kind, text] = line.split('\t').collect::<Vec<_>>()[..] else {
            panic!("{line}")
        };
        let located = atlas.locate_text(text, Meaning::AuthorHome);
        let country = region.split('-').next().unwrap();
        let country_right = located.country.unwrap_or("ZZ") == country;
        asked += 1;
        right += u32::from(country_right);
        if located.is_located() {
            answered += 1;
            answered_right += u32::from(country_right);
            let row = &mut table[((located.confidence * 10.0) as usize).min(9)];
            let whole = country_right
                && (!region.contains('-')
                    || located.region == region
                    || located.level == record::region::Level::Country);
            *row = (row.0 + 1, row.1 + u32::from(whole), row.2 + located.confidence);
        }
        if kind == "none" {
            nothing += 1;
            invented += u32::from(located.is_located());
        }
        if region.contains('-') {
            firsts += 1;
            firsts_right += u32::from(located.region == region);
        }
        if !country_right || (region.contains('-') && located.region != region) {
            println!("{text}: {region}, found {} {:.2}", brief(&located), located.confidence);
        }
    }
    let percent = |part: u32, whole: u32| 100.0 * f64::from(part) / f64::from(whole);
    println!(
        "{asked} strings: country {:.1} %, precision {:.1} %, invented {:.1} % of {nothing}, first \
            level {:.1} % of {firsts}",
        percent(right, asked),
        percent(answered_right, answered),
        percent(invented, nothing),
        percent(firsts_right, firsts)
    );
    println!("| confidence | answers | mean confidence | right |\n|---|---|---|---|");
    for (n, (answers, right, sum)) in table.iter().enumerate().filter(|(_, row)| row.0 > 0) {
        println!(
            "| {:.1}–{:.1} | {answers} | {:.2} | {:.2} |",
            n as f64 / 10.0,
            (n + 1) as f64 / 10.0,
            sum / f64::from(*answers),
            f64::from(*right) / f64::from(*answers)
        );
    }
    assert!(asked >= 400);
    assert!(percent(right, asked) >= 92.0 && percent(answered_right, answered) >= 95.0);
    assert!(percent(invented, nothing) <= 5.0 && percent(firsts_right, firsts) >= 85.0);
}

#[test]
fn words_that_are_also_places_are_sorted_for_search() {
    assert!(
        crate::written::is_stop("moon")
            && crate::written::is_stop("zoo")
            && !crate::written::is_stop("nairobi")
    );
}
