//! The shipped packs: what they must cover, and that an editor would find nothing in them.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::LazyLock;

use expect_test::{Expect, expect};
use proptest::prelude::*;
use record::Voice;
use record::kind::Kind;
use record::text::fold;

use super::matching::shipped;
use crate::segment::Tokens;
use crate::{Date, Days, LANGUAGES, Lexicon, Topic, default_files, explain, lint, overdue, parse};

/// The diseases and groups of diseases that public-health institutes follow on social media.
const COVERED: &str = "
    measles rubella mumps dengue haemorrhagic-fever avian-influenza chikungunya poliomyelitis \
    tuberculosis anthrax west-nile-virus
    crimean-congo-haemorrhagic-fever botulism ebola tularaemia rabies tetanus brucellosis \
    chickenpox diphtheria lyme-disease plague
    pertussis meningococcal-disease antimicrobial-resistance campylobacteriosis chlamydia cholera \
    creutzfeldt-jakob-disease
    cryptosporidiosis echinococcosis giardiasis gonorrhea haemophilus-influenzae hantavirus \
    clostridium-difficile hepatitis-a
    hepatitis-b-c hiv-aids influenza lassa-fever legionnaires-disease leptospirosis listeriosis \
    lymphogranuloma-venereum malaria
    pneumococcal-disease q-fever rift-valley-fever salmonellosis shigellosis syphilis \
    tick-borne-encephalitis toxoplasmosis
    trichinellosis typhoid-fever yellow-fever yersiniosis zika bioterrorism infectious-diseases \
    mers-cov covid-19 covid-19-outbreaks
    sars smallpox healthcare-associated-infections zoonoses vectorborne-diseases \
    foodborne-diseases waterborne-diseases stec-vtec mpox
";

const SENSITIVE: [&str; 7] = [
    "hiv-aids",
    "syphilis",
    "gonorrhea",
    "chlamydia",
    "lymphogranuloma-venereum",
    "hepatitis-b-c",
    "mpox",
];

fn languages(topic: &Topic) -> BTreeSet<&str> {
    topic.tags.iter().map(|entry| entry.lang.as_str()).filter(|lang| *lang != "any").collect()
}

#[test]
fn seventy_three_diseases_have_tags_in_ten_languages_each() {
    let lexicon = shipped();
    let covered: Vec<&str> = COVERED.split_whitespace().collect();
    assert_eq!(covered.iter().collect::<BTreeSet<_>>().len(), 73);
    for id in covered {
        let topic = lexicon
            .topics()
            .iter()
            .find(|topic| topic.id == id)
            .unwrap_or_else(|| panic!("no topic `{id}`"));
        let kind = if SENSITIVE.contains(&id) { Kind::Sensitive } else { Kind::Disease };
        assert_eq!(topic.kind, kind, "{id}");
        let languages = languages(topic);
        assert!(LANGUAGES.iter().all(|lang| languages.contains(lang)), "{id}: {languages:?}");
    }
}

#[test]
fn twenty_symptoms_have_tags_in_ten_languages_each() {
    let lexicon = shipped();
    let symptoms: Vec<&Topic> =
        lexicon.topics().iter().filter(|topic| topic.kind == Kind::Symptom).collect();
    assert!(symptoms.len() >= 20, "{}", symptoms.len());
    for topic in symptoms {
        assert!(
            LANGUAGES.iter().all(|lang| languages(topic).contains(lang)),
            "{}: {:?}",
            topic.id,
            languages(topic)
        );
    }
}

#[test]
fn every_kind_of_topic_is_shipped() {
    let lexicon = shipped();
    // Crisis topics are begun by an operator, from templates.
    for kind in Kind::ALL {
        let watched = lexicon.topics().iter().any(|topic| topic.kind == kind);
        assert_eq!(watched, kind != Kind::Crisis, "{kind:?}");
    }
    let parts = ["cause", "illness", "treatment", "interventions", "information"];
    for part in parts {
        let is_of = |topic: &&Topic| {
            topic.kind == Kind::Narrative && topic.id.split('-').next() == Some(part)
        };
        assert!(lexicon.topics().iter().any(|topic| is_of(&topic)), "{part}");
    }
}

#[test]
fn no_sensitive_key_stands_elsewhere() {
    let lexicon = shipped();
    let (sensitive, others): (Vec<&Topic>, Vec<&Topic>) =
        lexicon.topics().iter().partition(|topic| topic.kind == Kind::Sensitive);
    let keys: BTreeSet<String> =
        sensitive.iter().flat_map(|topic| &topic.tags).map(|entry| fold(&entry.text)).collect();
    for topic in others {
        for entry in &topic.tags {
            assert!(!keys.contains(&fold(&entry.text)), "{} of {}", entry.text, topic.id);
            let tokens = Tokens::of(&entry.text);
            for first in 0..tokens.len() {
                for last in first..tokens.len() {
                    assert!(
                        !keys.contains(tokens.run(first, last)),
                        "{} in {} of {}",
                        tokens.run(first, last),
                        entry.text,
                        topic.id
                    );
                }
            }
        }
    }
}

#[test]
fn an_editor_finds_nothing_in_the_shipped_packs() {
    let problems = lint(shipped().topics());
    let told: Vec<String> = problems
        .iter()
        .map(|problem| {
            format!("{}:{}: {}", problem.place.file(), problem.place.line(), problem.message)
        })
        .collect();
    assert!(told.is_empty(), "{}", told.join("\n"));
}

#[test]
fn every_tag_of_a_topic_counts_for_it() {
    let lexicon = shipped();
    for (index, topic) in lexicon.topics().iter().enumerate() {
        for entry in &topic.tags {
            let text = format!("#{}", entry.text);
            let tags: Vec<&str> = crate::extract::hashtags(&text).collect();
            assert_eq!(tags, [entry.text.as_str()], "{}: no hashtag", topic.id);
            let reading = lexicon.read(Some(&text), &[], &[], true);
            assert!(reading.topics.iter().any(|hit| hit.topic == index), "{text} of {}", topic.id);
        }
    }
}

#[test]
fn every_phrase_of_a_topic_counts_for_it() {
    let lexicon = shipped();
    for (index, topic) in lexicon.topics().iter().enumerate() {
        for entry in &topic.phrases {
            let langs: &[&str] = if entry.lang == "any" { &[] } else { &[&entry.lang] };
            let reading = lexicon.read(Some(&entry.text), &[], langs, true);
            assert!(
                reading.topics.iter().any(|hit| hit.topic == index),
                "{:?} ({}) of {}",
                entry.text,
                entry.lang,
                topic.id
            );
        }
    }
}

/// The simulated network knows six topics; another that matched its sentences would count what
/// isn't there.
#[test]
fn simulated_posts_count_for_their_six_topics_only() {
    let six = ["influenza", "fever", "cough", "covid-19", "measles", "stomach-bug"];
    let words = concat!(env!("CARGO_MANIFEST_DIR"), "/../simulation/src/words.rs");
    let source = std::fs::read_to_string(words).unwrap();
    let lexicon = shipped();
    let mut texts = 0;
    for text in source.split('"').skip(1).step_by(2).filter(|text| !text.is_empty()) {
        texts += 1;
        for text in [text.to_owned(), format!("#{text}")] {
            let reading = lexicon.read(Some(&text), &[], &[], true);
            let others: Vec<&str> =
                reading.topics.iter().map(|hit| hit.id).filter(|id| !six.contains(id)).collect();
            assert!(others.is_empty(), "{others:?} by {text:?}");
        }
    }
    assert!(texts > 100, "{texts}");
}

fn check_topics(posts: &str, expected: Expect) {
    let lexicon = shipped();
    let mut table = String::new();
    for post in posts.lines().map(str::trim).filter(|post| !post.is_empty()) {
        let (langs, text) =
            post.split_once('|').map_or((vec![], post), |(lang, text)| (vec![lang], text));
        let reading = lexicon.read(Some(text), &[], &langs, true);
        let topics: Vec<&str> = reading.topics.iter().map(|hit| hit.id).collect();
        writeln!(table, "{post} -> {}", topics.join(", ")).unwrap();
    }
    expected.assert_eq(&table);
}

#[test]
fn words_of_two_meanings_count_in_one() {
    check_topics(
        "
        en|A Plague Tale is the best game this year #plague
        en|Cases of plague found in Madagascar #plague
        en|Saw #Anthrax live, thrash metal forever
        en|#Anthrax found in cattle, vets say
        pl|O cholera, znowu pada #cholera
        en|#cholera spreads in the camp
        en|Lyme Regis is lovely #lyme
        en|bitten by a tick, now #LymeDisease
        en|SARS-CoV-2 lineages rise again
        en|Pay your #SARS eFiling before the deadline, tax return
        fr|Quelle rage au volant
        fr|cas de rage chez une chauve-souris
        it|il tifo allo stadio
        es|montó en cólera
        es|brote de cólera en Haití
        en|#CovidOutbreak at the school
        en|#covid again
        en|#SARSCoV2 #COVID19
        en|#BirdFlu in dairy cows
        en|#YellowFever #hayfever
        en|#Hantavirus #HepatitisA #HepatitisB
        en|#LongCovid
        en|#VHF radio contest #hamradio
        en|this song gives me chills #chills
        en|#hives on the roof #beekeeping
        ",
        expect![[r#"
            en|A Plague Tale is the best game this year #plague -> 
            en|Cases of plague found in Madagascar #plague -> plague
            en|Saw #Anthrax live, thrash metal forever -> 
            en|#Anthrax found in cattle, vets say -> anthrax
            pl|O cholera, znowu pada #cholera -> 
            en|#cholera spreads in the camp -> cholera
            en|Lyme Regis is lovely #lyme -> 
            en|bitten by a tick, now #LymeDisease -> lyme-disease
            en|SARS-CoV-2 lineages rise again -> covid-19
            en|Pay your #SARS eFiling before the deadline, tax return -> 
            fr|Quelle rage au volant -> 
            fr|cas de rage chez une chauve-souris -> rabies
            it|il tifo allo stadio -> 
            es|montó en cólera -> 
            es|brote de cólera en Haití -> cholera
            en|#CovidOutbreak at the school -> covid-19, covid-19-outbreaks
            en|#covid again -> covid-19
            en|#SARSCoV2 #COVID19 -> covid-19
            en|#BirdFlu in dairy cows -> avian-influenza
            en|#YellowFever #hayfever -> yellow-fever
            en|#Hantavirus #HepatitisA #HepatitisB -> hantavirus, hepatitis-a, hepatitis-b-c
            en|#LongCovid -> covid-19, long-covid
            en|#VHF radio contest #hamradio -> 
            en|this song gives me chills #chills -> 
            en|#hives on the roof #beekeeping -> 
        "#]],
    );
}

#[test]
fn an_explanation_names_each_match_and_the_voice() {
    let explanation =
        explain(&shipped(), Some("J'ai de la fièvre et je tousse #grippe"), &[], &[], true);
    let topics: Vec<(&str, Option<Voice>)> =
        explanation.topics.iter().map(|topic| (topic.id.as_str(), topic.voice)).collect();
    assert_eq!(
        topics,
        [("influenza", Some(Voice::Own)), ("fever", Some(Voice::Own)), ("cough", Some(Voice::Own))]
    );
    expect![[r#"
        tag #grippe: key `grippe`
          `grippe` whole: counts for influenza
        phrase "fièvre" at 11..18 (fr): counts for fever
        phrase "de la fièvre" at 5..18 (fr): counts for fever
        phrase "je tousse" at 22..31 (fr): counts for cough
        phrase "grippe" at 33..39 (fr): counts for influenza
        voice "J'ai" at 0..4 (fr): own
        voice "je tousse" at 22..31 (fr): own
        counts for influenza, voice self
        counts for fever, voice self
        counts for cough, voice self
    "#]]
    .assert_eq(&explanation.to_string());
    let explanation = explain(
        &shipped(),
        Some("#BabyFever2026 #FluSeason caught ﬂu, a Fe\u{301}ver dream"),
        &[],
        &["en"],
        true,
    );
    expect![[r#"
        tag #BabyFever2026: key `babyfever2026`, segments baby fever 2026
          `babyfever` by segment: excludes fever
          `fever` by segment: counts for fever
        tag #FluSeason: key `fluseason`, segments flu season
          `flu` by segment: stands in a longer key of influenza
          `fluseason` whole: counts for influenza
        phrase "a Féver" at 39..48 (en): counts for fever
        phrase "Féver dream" at 41..54 (any): excludes fever
        counts for influenza, voice other
        doesn't count for fever: excluded
    "#]]
    .assert_eq(&explanation.to_string());
}

#[test]
fn claims_are_asked_asserted_or_countered() {
    let lexicon = shipped();
    let mut table = String::new();
    for post in [
        "en|Do vaccines cause autism? Asking for a friend",
        "en|Vaccines cause autism, wake up",
        "en|Vaccines don't cause autism, that myth was debunked long ago",
        "en|Vaccines cause autism https://example.org/?utm=1",
        "fr|Est-ce que la 5G provoque le cancer",
        "fr|La 5G provoque le covid, c'est évident",
        "fr|Non, la 5G ne transmet rien, la 5g provoque seulement des rumeurs : c'est faux",
        "es|¿La ivermectina funciona de verdad?",
        "es|La ivermectina cura, yo lo sé",
        "es|Es un bulo que la ivermectina cure",
        "de|Stimmt es, dass die Impfung unfruchtbar macht? Impfung unfruchtbar",
        "de|Masern sind harmlos",
        "de|Falsch ist: Masern sind harmlos",
        "it|È vero che il 5G provoca malattie",
        "pt|É mentira que a vacina altera o DNA",
    ] {
        let (lang, text) = post.split_once('|').unwrap();
        let reading = lexicon.read(Some(text), &[], &[lang], true);
        let hits: Vec<String> =
            reading.topics.iter().map(|hit| format!("{} {:?}", hit.id, hit.voice)).collect();
        writeln!(table, "{post} -> {}", hits.join(", ")).unwrap();
    }
    expect![[r#"
        en|Do vaccines cause autism? Asking for a friend -> interventions-vaccines-autism Asks
        en|Vaccines cause autism, wake up -> interventions-vaccines-autism Asserts
        en|Vaccines don't cause autism, that myth was debunked long ago -> interventions-vaccines-autism Counters
        en|Vaccines cause autism https://example.org/?utm=1 -> interventions-vaccines-autism Asserts
        fr|Est-ce que la 5G provoque le cancer -> cause-radio-masts Asks
        fr|La 5G provoque le covid, c'est évident -> covid-19 Other, cause-radio-masts Asserts
        fr|Non, la 5G ne transmet rien, la 5g provoque seulement des rumeurs : c'est faux -> cause-radio-masts Counters
        es|¿La ivermectina funciona de verdad? -> treatment-ivermectin Asks
        es|La ivermectina cura, yo lo sé -> treatment-ivermectin Asserts
        es|Es un bulo que la ivermectina cure -> treatment-ivermectin Counters
        de|Stimmt es, dass die Impfung unfruchtbar macht? Impfung unfruchtbar -> interventions-vaccines-infertility Asks
        de|Masern sind harmlos -> measles Other, illness-measles-harmless Asserts
        de|Falsch ist: Masern sind harmlos -> measles Other, illness-measles-harmless Counters
        it|È vero che il 5G provoca malattie -> cause-radio-masts Asks
        pt|É mentira que a vacina altera o DNA -> interventions-vaccines-dna-chips Counters
    "#]]
    .assert_eq(&table);
}

fn check_lint(text: &str, expected: Expect) {
    let topics = parse("a.toml", text).unwrap().topics;
    let told: Vec<String> = lint(&topics)
        .iter()
        .map(|problem| {
            let hint = problem.hint.as_ref().map(|hint| format!(" ({hint})")).unwrap_or_default();
            format!("{}: {}{hint}\n", problem.place.line(), problem.message)
        })
        .filter(|told| !told.contains("has no tags"))
        .collect();
    expected.assert_eq(&told.concat());
}

#[test]
fn lint_tells_what_an_editor_would_ask() {
    check_lint(
        r#"
[[topic]]
id = "a"
kind = "disease"
name = "A"
shared = ["gripe", "nonesuch"]
tags = { fr = ["grippe", "Grippé", "rage"], es = ["gripe"], en = ["legionella", "HepatitisA"] }
days = ["01-01"]

[[topic]]
id = "b"
kind = "disease"
name = "B"
tags = { fr = ["grippe"], es = ["gripe"], en = ["legionela", "HepatitisB"] }

[[topic]]
id = "c"
kind = "campaign"
name = "C"
shared = ["gripe"]
tags = { any = ["gripe"] }

[[topic]]
id = "d"
kind = "narrative"
name = "D"
tags = { en = ["x_claim"] }
"#,
        expect![[r#"
            3: topic `a` has `days`, but is no campaign
            6: topic `a` shares `nonesuch`, which is none of its tags
            7: tag `Grippé` of `a` is folded to `grippe`, as `grippe` is (leave one of them out)
            7: tag `legionella` of `a` is nearly `legionela` of `b` (see whether one of them is misspelt)
            7: tag `rage` of `a` is a common word (en) (say more precisely what is meant)
            7: tag `rage` of `a` is a common word (fr) (say more precisely what is meant)
            14: tag `gripe` of `b` is a tag of `a` too (leave it to one of them, or say `shared = ["gripe"]` in both)
            14: tag `grippe` of `b` is a tag of `a` too (leave it to one of them, or say `shared = ["grippe"]` in both)
            24: narrative `d` names no `source`
            24: narrative `d` names no day of `review`
        "#]],
    );
}

#[test]
fn days_and_dates_are_read() {
    assert_eq!(Days::parse("03-24").unwrap().to_string(), "03-24");
    assert_eq!(Days::parse("04-24/04-30").unwrap().to_string(), "04-24/04-30");
    for bad in ["", "3-24", "13-01", "02-30", "04-31", "12-27/01-03", "04-24/", "04-24-25", "+4-24"]
    {
        assert_eq!(Days::parse(bad), None, "{bad}");
    }
    assert_eq!(Date::parse("2028-02-29").unwrap().to_string(), "2028-02-29");
    for bad in
        ["2027-02-29", "2100-02-29", "27-02-01", "2027-2-1", "2027-02-01T00:00:00Z", "tomorrow"]
    {
        assert_eq!(Date::parse(bad), None, "{bad}");
    }
    let noon = record::time::parse("2026-11-18T12:00:00Z").unwrap();
    let day = Date::of(noon).unwrap();
    assert_eq!(day.to_string(), "2026-11-18");
    let lexicon = shipped();
    let today: Vec<&str> = lexicon
        .topics()
        .iter()
        .filter(|topic| topic.days.iter().any(|days| days.contain(day.month_day())))
        .map(|topic| topic.id.as_str())
        .collect();
    assert_eq!(today, ["flu-vaccination", "antimicrobial-awareness-week"]);
}

#[test]
fn narratives_fall_due() {
    let lexicon = shipped();
    let narratives = lexicon.topics().iter().filter(|topic| topic.kind == Kind::Narrative);
    let last = narratives.map(|topic| topic.review.unwrap()).max().unwrap();
    assert_eq!(overdue(lexicon.topics(), Date::parse("2026-11-22").unwrap()), []);
    assert_eq!(
        overdue(lexicon.topics(), last)
            .iter()
            .filter(|due| due.message.contains(&last.to_string()))
            .count(),
        0
    );
    assert!(!overdue(lexicon.topics(), Date::parse("2099-01-01").unwrap()).is_empty());
}

#[test]
fn bad_sources_reviews_and_days_are_refused() {
    let text = "[[topic]]\nid = \"a\"\nkind = \"narrative\"\nname = \"A\"\ntags = { any = \
        [\"a_b\"] }\nsource = \"who\"\nreview = \"soon\"\ndays = [\"02-30\"]\n";
    let told: Vec<String> = parse("a.toml", text)
        .unwrap_err()
        .iter()
        .map(|problem| format!("{}: {}", problem.place.line(), problem.message))
        .collect();
    assert_eq!(
        told,
        [
            "6: `source` is `who`, which is no address",
            "7: `review` is `soon`, which is no day",
            "8: `days` holds `02-30`, which is no day of a year"
        ]
    );
}

#[test]
fn the_shipped_files_have_each_topic_once() {
    let count = default_files()
        .iter()
        .map(|(name, text)| parse(name, text).unwrap().topics.len())
        .sum::<usize>();
    assert_eq!(shipped().topics().len(), count);
}

/// Pieces that shipped rules say something of, in any order.
fn posts() -> impl Strategy<Value = String> {
    let pieces = prop::sample::select(vec![
        "#flu",
        "#BabyFever",
        "#FluSeason2026",
        "#HepatitisB",
        "#LongCovid",
        "#鳥インフルエンザ",
        "#الكوليرا",
        "J'ai de la fièvre",
        "je tousse",
        "インフルエンザ",
        "鳥インフルエンザ",
        "flu game",
        "I have a fever",
        "vaccine",
        "health officials",
        "5g causes",
        "?",
        "myth",
        "é",
        "ﬂ",
        "\u{301}",
        "#",
        "\u{202e}",
        "\n",
        "🤒",
        "حُمَّى",
        "ß",
    ]);
    let piece =
        prop_oneof![6 => pieces.prop_map(str::to_owned), 1 => any::<char>().prop_map(String::from)];
    prop::collection::vec(piece, 0..10).prop_map(|pieces| pieces.join(" "))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(super::cases(2_000)) })]

    #[test]
    fn an_explanation_says_what_the_reading_says(text in posts(), french in any::<bool>(), segment in any::<bool>()) {
        let lexicon = &*SHIPPED;
        let langs: &[&str] = if french { &["fr"] } else { &[] };
        let explanation = explain(lexicon, Some(&text), &[], langs, segment);
        let reading = lexicon.read(Some(&text), &[], langs, segment);
        let explained: Vec<(&str, Voice)> =
            explanation.topics.iter().filter_map(|topic| Some((topic.id.as_str(), topic.voice?))).collect();
        let read: Vec<(&str, Voice)> = reading.topics.iter().map(|hit| (hit.id, hit.voice)).collect();
        prop_assert_eq!(explained, read);
        for phrase in &explanation.phrases {
            prop_assert_eq!(&text[phrase.place.clone()], phrase.found.as_str());
            let known = lexicon.topics().iter().filter(|topic| topic.id == phrase.topic).flat_map(|topic| topic.phrases.iter().chain(&topic.exclude_phrases));
            let found = crate::phrases::pattern(&phrase.found);
            let told = known.map(|entry| crate::phrases::pattern(&entry.text)).any(|pattern| found.contains(&pattern));
            prop_assert!(told, "{:?} in {:?}", phrase, text);
        }
    }
}

static SHIPPED: LazyLock<Lexicon> = LazyLock::new(shipped);
