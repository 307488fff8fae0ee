//! Mistakes in topic files: all of them, each with its line.

use std::fmt::Write as _;

use expect_test::{Expect, expect};
use record::diagnostic::Diagnostic;

use crate::{Lexicon, default_files, parse, templates};

fn check(files: &[(&str, &str)], expected: Expect) {
    let mut parsed = Vec::new();
    let mut problems = Vec::new();
    for (name, text) in files {
        match parse(name, text) {
            Ok(file) => parsed.push(file),
            Err(found) => problems.extend(found),
        }
    }
    if problems.is_empty() {
        problems = Lexicon::of_files(parsed).err().unwrap_or_default();
    }
    expected.assert_eq(&told(&problems));
}

fn told(problems: &[Diagnostic]) -> String {
    let mut told = String::new();
    for problem in problems {
        writeln!(told, "{}:{}: {}", problem.place.file(), problem.place.line(), problem.message)
            .unwrap();
        if let Some(hint) = &problem.hint {
            writeln!(told, "  hint: {hint}").unwrap();
        }
    }
    told
}

#[test]
fn the_shipped_files_are_without_mistakes() {
    check(default_files(), expect![""]);
}

#[test]
fn every_file_of_the_folder_is_compiled_in() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../config/topics");
    let mut there: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.path().is_file())
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    there.sort();
    let compiled: Vec<&str> = default_files().iter().map(|(name, _)| *name).collect();
    assert_eq!(compiled, there);
    // Templates are parsed too, though nothing watches them before an operator says where.
    let files = default_files().iter().chain(templates());
    let parsed = files.map(|(name, text)| parse(name, text).unwrap()).collect();
    Lexicon::of_files(parsed).unwrap();
}

#[test]
fn all_mistakes_of_a_file_are_told_at_once() {
    check(
        &[(
            "a.toml",
            r#"# mistakes
topics = 1

[[topic]]
id = "flu"
knd = "disease"
name = ""
tags = { any = ["flu", 3], Frensh = ["grippe"], fr = "grippe" }

[[topic]]
id = "cough"
kind = "symtom"
name = "Cough"
tags = ["cough"]
phrases = { en = ["a cough"] }
exclude = { tag = ["coughcough"] }

[[topic]]
kind = "narative"

[[voice]]
lang = "English"
onw = ["i have"]

[[voice]]
news = "reports"
"#,
        )],
        expect![[r#"
            a.toml:2: unknown key `topics` in a topic file
              hint: did you mean `topic`?
            a.toml:4: a topic without `kind`
            a.toml:6: unknown key `knd` in `[[topic]]`
              hint: did you mean `kind`?
            a.toml:7: `name` is empty
            a.toml:8: `Frensh` is not a language in `tags`
              hint: a language is a code of ISO 639 in small letters such as `fr`, or `any`
            a.toml:8: `tags` holds a number, not a string
            a.toml:8: `tags` holds a string, not a list of strings
              hint: write a list, even of one: `["…"]`
            a.toml:12: unknown kind `symtom`
              hint: did you mean `symptom`?
            a.toml:14: `tags` is a list, not a table of languages
              hint: write `tags = { any = ["…"], fr = ["…"] }`
            a.toml:16: unknown key `tag` in `exclude`
              hint: did you mean `tags`?
            a.toml:18: a topic without `id`
            a.toml:18: a topic without `name`
            a.toml:19: unknown kind `narative`
              hint: did you mean `narrative`?
            a.toml:22: `English` is not a language in `lang`
              hint: a language is a code of ISO 639 in small letters such as `fr`, or `any`
            a.toml:23: unknown key `onw` in `[[voice]]`
              hint: did you mean `own`?
            a.toml:25: a voice without `lang`
        "#]],
    );
}

#[test]
fn broken_toml_is_told_with_the_rest() {
    check(
        &[("a.toml", "[[topic]\nid = \"flu\"\nkind = disease\nname = \"Flu\"\n")],
        expect![[r#"
        a.toml:1: unclosed array table, expected `]`
          hint: a section is written `[name]`, on a line of its own
    "#]],
    );
    check(
        &[("a.toml", "topic = { id = \"flu\" }\n")],
        expect![[r#"
        a.toml:1: `topic` is a table, not a list of tables
          hint: write `[[topic]]`, with two brackets, before each topic
    "#]],
    );
    check(
        &[("a.toml", "topic = [1]\n")],
        expect![[r#"
            a.toml:1: a topic is a table, not a number
              hint: write `[[topic]]`, with two brackets, before each topic
        "#]],
    );
}

#[test]
fn mistakes_between_files_are_told() {
    check(
        &[
            (
                "a.toml",
                r##"
[[topic]]
id = "Bird Flu"
kind = "disease"
name = "x"
tags = { any = ["bird flu", "#️", "-x"] }

[[topic]]
id = "empty"
kind = "disease"
name = "x"

[[topic]]
id = "hepatitis"
kind = "disease"
name = "x"
tags = { any = ["hepatitis"], fr = ["HÉPATITE"] }
phrases = { any = [" "] }
exclude = { tags = ["Hepatitis"] }
"##,
            ),
            (
                "b.toml",
                r#"
[[topic]]
id = "hepatitis"
kind = "sensitive"
name = "x"
tags = { any = [
    "hepb",
    "hepatite",
] }

[[voice]]
lang = "en"
own = [
    "i have",
    "\u200B",
]
"#,
            ),
        ],
        expect![[r##"
            a.toml:3: `Bird Flu` is not a topic id
              hint: write `bird-flu`
            a.toml:6: tag `bird flu` has a blank, which no hashtag has
              hint: write `birdflu`, or put it under `phrases`
            a.toml:6: nothing is left of tag "#\u{fe0f}" when it is folded
            a.toml:6: tag `-x` begins with `-`, which no hashtag does
            a.toml:9: topic `empty` has nothing to match
              hint: give it `tags`, `phrases` or both
            a.toml:17: tag `HÉPATITE` of `hepatitis` is a key of the sensitive topic `hepatitis`
              hint: a key may not stand in a sensitive and another topic; see `b.toml`, line 8
            a.toml:18: nothing is left of phrase " " when it is folded
            a.toml:19: topic `hepatitis` excludes its own tag `Hepatitis`
            b.toml:3: topic `hepatitis` stands in `a.toml`, line 14 already
            b.toml:15: nothing is left of phrase "\u{200b}" when it is folded
        "##]],
    );
}

#[test]
fn an_empty_file_is_no_mistake() {
    check(&[("a.toml", "")], expect![""]);
    assert!(Lexicon::new(Vec::new()).unwrap().read(Some("#flu"), &[], &[], true).topics.is_empty());
}

#[test]
fn no_text_makes_the_parser_panic() {
    let text = default_files()[0].1;
    for end in (0..text.len()).step_by(7).filter(|&end| text.is_char_boundary(end)) {
        let _ = parse("a.toml", &text[..end]);
        let _ = parse("a.toml", &text[end..]);
    }
}
