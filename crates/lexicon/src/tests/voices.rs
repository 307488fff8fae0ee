//! How well the rules of voice tell a report from news and talk: measured on a sample that was
//! labelled after the rules were written. The texts are invented.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use expect_test::expect;
use record::Voice;

use super::matching::shipped;
use crate::{default_files, parse};

/// Precision and recall below which posts of a language must not be judged by voice.
const PRECISION_MIN: f64 = 0.7;

struct Line {
    lang: &'static str,
    voice: Voice,
    text: &'static str,
}

fn sample() -> Vec<Line> {
    let lines = include_str!("../../../../tests/data/lexicon/voice.tsv").lines().skip(1);
    lines
        .map(|line| {
            let [lang, voice, text] = line.split('\t').collect::<Vec<_>>()[..] else {
                panic!("{line}")
            };
            let voice = match voice {
                "self" => Voice::Own,
                "news" => Voice::News,
                "other" => Voice::Other,
                _ => panic!("{line}"),
            };
            Line { lang, voice, text }
        })
        .collect()
}

#[test]
fn precision_and_recall_are_those_of_the_documentation() {
    let sample = sample();
    assert!(sample.len() >= 300);
    let lexicon = shipped();
    let voices = lexicon.voices().unwrap();
    let heard: Vec<Voice> =
        sample.iter().map(|line| voices.hear(line.text, &[line.lang]).voice).collect();
    let mut table = "| lang | lines | self: precision | recall | news: precision | recall \
        |\n|---|---|---|---|---|---|\n"
        .to_owned();
    for lang in ["en", "fr", "es", "de", "it", "pt"] {
        let of_lang: Vec<(Voice, Voice)> = sample
            .iter()
            .zip(&heard)
            .filter(|(line, _)| line.lang == lang)
            .map(|(line, &heard)| (line.voice, heard))
            .collect();
        let figures = |voice: Voice| {
            let right =
                of_lang.iter().filter(|(label, heard)| *label == voice && *heard == voice).count()
                    as f64;
            let told = of_lang.iter().filter(|(_, heard)| *heard == voice).count() as f64;
            let labelled = of_lang.iter().filter(|(label, _)| *label == voice).count() as f64;
            (right / told, right / labelled)
        };
        let ((own_precision, own_recall), (news_precision, news_recall)) =
            (figures(Voice::Own), figures(Voice::News));
        let lines = of_lang.len();
        writeln!(
            table,
            "| {lang} | {lines} | {own_precision:.2} | {own_recall:.2} | \
            {news_precision:.2} | {news_recall:.2} |"
        )
        .unwrap();
        assert!(own_precision >= PRECISION_MIN, "{lang}: {own_precision}");
    }
    println!("{table}");
    for (line, heard) in sample.iter().zip(&heard).filter(|(line, heard)| line.voice != **heard) {
        println!("{} {:?} heard as {heard:?}: {}", line.lang, line.voice, line.text);
    }
    expect![[r#"
        | lang | lines | self: precision | recall | news: precision | recall |
        |---|---|---|---|---|---|
        | en | 53 | 1.00 | 0.57 | 1.00 | 0.64 |
        | fr | 51 | 1.00 | 0.64 | 1.00 | 0.71 |
        | es | 51 | 0.91 | 0.45 | 1.00 | 0.64 |
        | de | 51 | 1.00 | 0.41 | 1.00 | 0.57 |
        | it | 51 | 0.92 | 0.50 | 1.00 | 0.57 |
        | pt | 51 | 1.00 | 0.36 | 1.00 | 0.71 |
    "#]]
    .assert_eq(&table);
    let documentation = include_str!("../../../../docs/evaluation.md");
    assert!(documentation.contains(&table), "docs/evaluation.md has other figures");
}

/// What isn't measured isn't heard: so no number of `self` posts rests on a language that nobody
/// tested.
#[test]
fn rules_are_shipped_for_measured_languages_only() {
    let measured: BTreeSet<&str> = sample().iter().map(|line| line.lang).collect();
    let files = default_files().iter().map(|(name, text)| parse(name, text).unwrap());
    let ruled: BTreeSet<String> =
        files.flat_map(|file| file.voices).map(|voice| voice.lang).collect();
    assert_eq!(ruled.iter().map(String::as_str).collect::<BTreeSet<_>>(), measured);
}
