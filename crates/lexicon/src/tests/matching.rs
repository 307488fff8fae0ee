//! From texts and tags to topics.

use std::fmt::Write as _;

use expect_test::{Expect, expect};
use proptest::prelude::*;

use crate::{Lexicon, TAG_BYTES_MAX, TAGS_MAX, default_files, parse};

fn lexicon(text: &str) -> Lexicon {
    Lexicon::new(parse("topics.toml", text).unwrap().topics)
        .unwrap_or_else(|problems| panic!("{problems:#?}"))
}

pub(super) fn shipped() -> Lexicon {
    let files = default_files()
        .iter()
        .map(|(name, text)| parse(name, text).unwrap_or_else(|problems| panic!("{problems:#?}")));
    Lexicon::of_files(files.collect()).unwrap_or_else(|problems| panic!("{problems:#?}"))
}

/// Posts in, a line each; `lang|text` for a post that states its language.
fn check(lexicon: &Lexicon, posts: &str, expected: Expect) {
    let mut table = String::new();
    for post in posts.lines().map(str::trim).filter(|post| !post.is_empty()) {
        let (langs, text) = match post.split_once('|') {
            Some((lang, text)) => (vec![lang], text),
            None => (vec![], post),
        };
        let reading = lexicon.read(Some(text), &[], &langs, true);
        let topics: Vec<String> = reading
            .topics
            .iter()
            .map(|hit| format!("{}[{}]", hit.id, hit.keys.join(" ")))
            .collect();
        writeln!(table, "{post} -> {}", topics.join(", ")).unwrap();
    }
    expected.assert_eq(&table);
}

const SMALL: &str = r#"
[[topic]]
id = "influenza"
kind = "disease"
name = "Influenza"
tags = { any = ["flu", "influenza", "Fièvre_Grippe"], ja = ["インフルエンザ"] }
phrases = { en = ["caught the flu"], ja = ["熱"], any = ["j'ai la grippe"] }
exclude = { tags = ["birdflu"], phrases = ["flu game", "熱海"] }

[[topic]]
id = "stomach-bug"
kind = "symptom"
name = "Stomach bug"
tags = { any = ["stomachflu"] }

[[topic]]
id = "hiv"
kind = "sensitive"
name = "HIV"
tags = { any = ["hiv"] }
phrases = { en = ["hiv test"] }
"#;

#[test]
fn tags_match_whole_or_by_segment() {
    check(
        &lexicon(SMALL),
        "
        #flu
        #FLU #flu #Flu2026
        #FluSeason2026
        #fluffy #influencer #reflux #Flub #fluent
        #flu_season #season_flu
        #2026flu #flu2
        #FLUSeason
        #TheFLU
        #StomachFlu
        #StomachFluSeason
        #FièvreGrippe #fievre_grippe
        #インフルエンザ2026 #新インフルエンザ
        #ＦｌｕＳｅａｓｏｎ
        ",
        expect![[r#"
            #flu -> influenza[flu]
            #FLU #flu #Flu2026 -> influenza[flu]
            #FluSeason2026 -> influenza[flu]
            #fluffy #influencer #reflux #Flub #fluent -> 
            #flu_season #season_flu -> influenza[flu]
            #2026flu #flu2 -> influenza[flu]
            #FLUSeason -> influenza[flu]
            #TheFLU -> influenza[flu]
            #StomachFlu -> stomach-bug[stomachflu]
            #StomachFluSeason -> stomach-bug[stomachflu]
            #FièvreGrippe #fievre_grippe -> influenza[fievre_grippe]
            #インフルエンザ2026 #新インフルエンザ -> influenza[インフルエンザ]
            #ＦｌｕＳｅａｓｏｎ -> influenza[flu]
        "#]],
    );
}

#[test]
fn exclusions_hold_for_the_whole_post() {
    check(
        &lexicon(SMALL),
        "
        #BirdFlu
        #flu #birdflu
        #flu #BirdFluOutbreak
        #flu #bird_flu
        #flu Jordan's Flu  Game
        #flu flu gamer
        ",
        expect![[r#"
            #BirdFlu -> 
            #flu #birdflu -> 
            #flu #BirdFluOutbreak -> 
            #flu #bird_flu -> 
            #flu Jordan's Flu  Game -> 
            #flu flu gamer -> influenza[flu]
        "#]],
    );
}

#[test]
fn phrases_match_at_word_borders_in_the_posts_languages() {
    check(
        &lexicon(SMALL),
        "
        I caught the flu!
        I CAUGHT   THE FLU.
        I caught the flub
        uncaught the flu
        en-GB|caught the flu
        de|caught the flu
        J’ai la grippe
        fr|Aujourd'hui j'ai la Grippe.
        昨日から熱がある
        熱海に行く
        熱海に行って熱が出た
        ",
        expect![[r#"
            I caught the flu! -> influenza[]
            I CAUGHT   THE FLU. -> influenza[]
            I caught the flub -> 
            uncaught the flu -> 
            en-GB|caught the flu -> influenza[]
            de|caught the flu -> 
            J’ai la grippe -> influenza[]
            fr|Aujourd'hui j'ai la Grippe. -> influenza[]
            昨日から熱がある -> influenza[]
            熱海に行く -> 
            熱海に行って熱が出た -> 
        "#]],
    );
}

#[test]
fn sensitive_tags_are_shown_nowhere() {
    let lexicon = lexicon(SMALL);
    let reading = lexicon.read(Some("#hiv #HIVTest #flu #hivemind"), &[], &[], true);
    let tags: Vec<&str> = reading.tags.iter().map(|tag| tag.key.as_str()).collect();
    assert_eq!(tags, ["flu", "hivemind"]);
    let hits: Vec<(&str, usize)> =
        reading.topics.iter().map(|hit| (hit.id, hit.keys.len())).collect();
    assert_eq!(hits, [("influenza", 1), ("hiv", 0)]);
    // Even where segments aren't counted.
    assert_eq!(lexicon.read(Some("#HIVTest"), &[], &[], false), crate::Reading::default());
}

#[test]
fn without_segment_only_whole_tags_count() {
    let lexicon = lexicon(SMALL);
    assert!(lexicon.read(Some("#FluSeason #flu2026"), &[], &[], false).topics.is_empty());
    assert_eq!(lexicon.read(Some("#Flu"), &[], &[], false).topics.len(), 1);
}

#[test]
fn platform_tags_stand_for_those_of_the_text() {
    let lexicon = lexicon(SMALL);
    let reading =
        lexicon.read(Some("caught it #flu"), &["Cough", "#cough", "$TSLA", ""], &[], true);
    let tags: Vec<(&str, &str)> =
        reading.tags.iter().map(|tag| (tag.key.as_str(), tag.written.as_str())).collect();
    assert_eq!(tags, [("cough", "Cough")]);
    assert!(reading.topics.is_empty());
    // Phrases are read all the same.
    assert_eq!(lexicon.read(Some("caught the flu"), &["cough"], &[], true).topics.len(), 1);
    assert_eq!(lexicon.read(None, &["flu"], &[], true).topics.len(), 1);
}

#[test]
fn tags_beyond_the_bounds_are_counted() {
    let lexicon = lexicon(SMALL);
    let many: String = (0..100_000).map(|n| format!("#tag{n} ")).collect();
    let reading = lexicon.read(Some(&many), &[], &[], true);
    assert_eq!((reading.tags.len(), reading.dropped_tags), (TAGS_MAX, 100_000 - TAGS_MAX));
    let long = format!("#{} #flu", "é".repeat(10_000));
    let reading = lexicon.read(Some(&long), &[], &[], true);
    assert_eq!((reading.tags.len(), reading.dropped_tags), (1, 1));
    let borders = "aB".repeat(TAG_BYTES_MAX / 2);
    assert_eq!(lexicon.read(None, &[&borders], &[], true).tags.len(), 1);
}

#[test]
fn the_shipped_topics_read_the_tags_of_issue_5() {
    check(
        &shipped(),
        "
        #GRIPPE2026 #fluffy #インフルエンザ #إنفلونزا #Fièvre
        #FluSeason2026
        #influencer #fluent #reflux #fluffy
        #BabyFever is real
        #WorldCupFever2026 #fever
        #CoronaBeer #corona
        #Covid19Vaccine #LongCovid
        Michael Jordan #flu flu game
        #StomachFlu going round
        #BirdFlu in dairy cows
        en|I've been coughing all night and now I have a fever
        fr|J'ai de la fièvre et je tousse #grippe
        es|Mi hijo tiene tos y fiebre alta
        de|Ich habe Fieber und Husten, liege mit Grippe flach
        ja|昨日から発熱、インフルエンザかも
        fr|Il a la fièvre acheteuse
        de|hat Sarampion
        fr|cas de rougeole à l'école
        de|Fieber
        en|Fieber
        ",
        expect![[r#"
            #GRIPPE2026 #fluffy #インフルエンザ #إنفلونزا #Fièvre -> influenza[grippe انفلونزا インフルエンザ], fever[fievre]
            #FluSeason2026 -> influenza[flu fluseason]
            #influencer #fluent #reflux #fluffy -> 
            #BabyFever is real -> 
            #WorldCupFever2026 #fever -> 
            #CoronaBeer #corona -> 
            #Covid19Vaccine #LongCovid -> covid-19[covid covid19 longcovid], long-covid[longcovid]
            Michael Jordan #flu flu game -> 
            #StomachFlu going round -> stomach-bug[stomachflu]
            #BirdFlu in dairy cows -> avian-influenza[birdflu]
            en|I've been coughing all night and now I have a fever -> fever[], cough[]
            fr|J'ai de la fièvre et je tousse #grippe -> influenza[grippe], fever[], cough[]
            es|Mi hijo tiene tos y fiebre alta -> fever[], cough[]
            de|Ich habe Fieber und Husten, liege mit Grippe flach -> influenza[], fever[], cough[]
            ja|昨日から発熱、インフルエンザかも -> influenza[], fever[]
            fr|Il a la fièvre acheteuse -> 
            de|hat Sarampion -> 
            fr|cas de rougeole à l'école -> measles[]
            de|Fieber -> fever[]
            en|Fieber -> 
        "#]],
    );
}

#[test]
fn voices_of_posts() {
    let lexicon = shipped();
    let mut table = String::new();
    for post in [
        "en|I have a fever and my cough is killing me",
        "en|My son has the flu, day 3 of no sleep",
        "en|Health officials report 40 new cases of measles in Texas",
        "en|I have to say the measles coverage is poor",
        "en|I got my flu shot today! #flu",
        "en|#flu season is coming",
        "fr|J'ai de la fièvre et je tousse #grippe",
        "fr|Santé publique France : l'épidémie de grippe progresse",
        "fr|La grippe, c'est nul",
        "es|Mi hijo tiene tos y fiebre alta",
        "es|Tengo que escribir sobre la gripe",
        "es|Según el ministerio de sanidad suben los casos de gripe",
        "de|Ich habe Fieber und Husten",
        "de|RKI: Grippewelle hat begonnen",
        "de|mein Sohn hat Husten",
        "en|mein Sohn hat #Husten",
        "My son has #measles",
    ] {
        let (langs, text) =
            post.split_once('|').map_or((vec![], post), |(lang, text)| (vec![lang], text));
        let reading = lexicon.read(Some(text), &[], &langs, true);
        let hits: Vec<String> =
            reading.topics.iter().map(|hit| format!("{} {:?}", hit.id, hit.voice)).collect();
        writeln!(table, "{post} -> {}", hits.join(", ")).unwrap();
    }
    expect![[r#"
        en|I have a fever and my cough is killing me -> fever Own, cough Own
        en|My son has the flu, day 3 of no sleep -> influenza Own
        en|Health officials report 40 new cases of measles in Texas -> measles News
        en|I have to say the measles coverage is poor -> measles Other
        en|I got my flu shot today! #flu -> influenza Other
        en|#flu season is coming -> influenza Other
        fr|J'ai de la fièvre et je tousse #grippe -> influenza Own, fever Own, cough Own
        fr|Santé publique France : l'épidémie de grippe progresse -> influenza News
        fr|La grippe, c'est nul -> influenza Other
        es|Mi hijo tiene tos y fiebre alta -> fever Own, cough Own
        es|Tengo que escribir sobre la gripe -> influenza Other
        es|Según el ministerio de sanidad suben los casos de gripe -> influenza News
        de|Ich habe Fieber und Husten -> fever Own, cough Own
        de|RKI: Grippewelle hat begonnen -> influenza News
        de|mein Sohn hat Husten -> cough Own
        en|mein Sohn hat #Husten -> cough Other
        My son has #measles -> measles Own
    "#]]
    .assert_eq(&table);
}

#[test]
fn a_megabyte_of_phrases_is_read_in_linear_time() {
    let lexicon = shipped();
    for piece in
        ["caught the flu ", "熱", "発熱", "fievre ", "a fever\n", "é", "\u{301}", "#flu ", "#aB"]
    {
        let text = piece.repeat(1_000_000 / piece.len());
        let _ = lexicon.read(Some(&text), &[], &[], true);
    }
}

/// All borders set by the writer, found by the simplest method.
fn pieces_between_borders(written: &str) -> Vec<String> {
    let chars: Vec<char> = written.chars().collect();
    let kind = |c: char| match c {
        '_' => 0,
        '0'..='9' => 1,
        _ if c.is_uppercase() => 2,
        _ => 3,
    };
    let is_border = |at: usize| {
        if at == 0 || at == chars.len() {
            return true;
        }
        let (before, after) = (kind(chars[at - 1]), kind(chars[at]));
        let small_follows = chars.get(at + 1).is_some_and(|&c| kind(c) == 3);
        match (before, after) {
            (2, 3) => false,
            (2, 2) => small_follows,
            (0, 0) => true,
            (before, after) => before != after,
        }
    };
    let mut pieces = Vec::new();
    for start in (0..chars.len()).filter(|&at| is_border(at)) {
        for end in (start + 1..=chars.len()).filter(|&at| is_border(at)) {
            pieces.push(
                chars[start..end].iter().filter(|&&c| c != '_').collect::<String>().to_lowercase(),
            );
        }
    }
    pieces
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(super::cases(20_000)) })]

    /// Never by substring: what matches is a piece between two borders, and where there is such a
    /// piece it matches.
    #[test]
    fn a_key_matches_between_borders_only(written in "(flu|Flu|FLU|ab|Ab|bird|Bird|A|a|_|1|26|Season){1,6}") {
        let lexicon = lexicon("
            [[topic]]\nid = \"a\"\nkind = \"disease\"\nname = \"A\"\ntags = { any = [\"flu\", \
            \"ab1\", \"birdflu\"] }
        ");
        let pieces = pieces_between_borders(&written);
        let reading = lexicon.read(None, &[&written], &[], true);
        let keys: Vec<&str> = reading.topics.iter().flat_map(|hit| &hit.keys).map(String::as_str).collect();
        for key in &keys {
            prop_assert!(pieces.iter().any(|piece| piece == key), "{} by {}", key, written);
        }
        let expected = pieces.iter().any(|piece| ["flu", "ab1", "birdflu"].contains(&piece.as_str()));
        prop_assert_eq!(!keys.is_empty(), expected, "{}", written);
    }

    #[test]
    fn a_phrase_matches_between_words_only(before in ".{0,3}", after in ".{0,3}") {
        let lexicon = lexicon("
            [[topic]]\nid = \"a\"\nkind = \"disease\"\nname = \"A\"\nphrases = { any = [\"tos\"] }
        ");
        let text = format!("{before}tos{after}");
        let word = |c: char| c.is_alphanumeric() || c == '_' || crate::characters::is_mark(c);
        let folded = record::text::fold(&text);
        let expected = folded.match_indices("tos").any(|(at, found)| {
            let torn = |c: Option<char>| c.is_some_and(|c| word(c) && !crate::characters::is_unspaced(c));
            let mark = folded[at + found.len()..].chars().next().is_some_and(crate::characters::is_mark);
            !mark && !torn(folded[..at].chars().next_back()) && !torn(folded[at + found.len()..].chars().next())
        });
        prop_assert_eq!(!lexicon.read(Some(&text), &[], &[], true).topics.is_empty(), expected, "{:?}", text);
    }

    #[test]
    fn any_text_can_be_read(text in any::<String>(), tags in prop::collection::vec(any::<String>(), 0..4)) {
        let lexicon = lexicon(SMALL);
        let tags: Vec<&str> = tags.iter().map(String::as_str).collect();
        let reading = lexicon.read(Some(&text), &tags, &["en"], true);
        prop_assert!(reading.tags.iter().all(|tag| !tag.key.is_empty() && tag.key != "hiv"));
    }
}
