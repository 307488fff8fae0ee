//! The house: what is written about it is true, and nothing lies around in it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::program::{Folder, root, skip};

const FILE_BYTES_MAX: u64 = 1 << 20;
const LINE_COLUMNS_MAX: usize = 100;
/// Share of longer lines: text that can't be broken.
const LONG_LINES_MAX: f64 = 0.01;
/// Words with a better one in the field (sent, reported, stored, requested), and the most that
/// sources may have of each. Lower a number when its word got rarer.
const WORDS_MAX: [(&str, usize); 10] = [
    ("told", 72),
    ("said", 92),
    ("asked", 39),
    ("kept", 42),
    ("hears", 2),
    ("stands", 75),
    ("owed", 50),
    ("anew", 64),
    ("whoever", 24),
    ("beside", 67),
];

#[test]
fn documents_name_only_files_that_exist() {
    let mut missing = Vec::new();
    for document in tracked().into_iter().filter(|path| path.ends_with(".md")) {
        let text = read(&document);
        for (number, line) in text.lines().enumerate() {
            for named in line.split('`').skip(1).step_by(2).filter(|word| is_path_of_ours(word)) {
                if !exists(named, &document) {
                    missing.push(format!("{document}:{}: `{named}`", number + 1));
                }
            }
            for link in line.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
                let file = link.split('#').next().unwrap_or_default();
                if !link.contains("://")
                    && !link.starts_with("mailto:")
                    && !file.is_empty()
                    && !exists(file, &document)
                {
                    missing.push(format!("{document}:{}: link to {link}", number + 1));
                }
            }
        }
    }
    assert!(missing.is_empty(), "documents name what isn't there:\n{}", missing.join("\n"));
}

#[test]
fn every_row_of_the_privacy_page_names_tests_that_exist() {
    let sources = sources();
    let (mut rows, mut wrong) = (0, Vec::new());
    for (number, line) in
        read("docs/privacy.md").lines().enumerate().filter(|(_, line)| line.starts_with('|'))
    {
        let last = line.trim_end_matches('|').rsplit('|').next().unwrap_or_default().trim();
        if last == "test" || last.starts_with("---") {
            continue;
        }
        rows += 1;
        let names: Vec<&str> = last.split('`').skip(1).step_by(2).collect();
        let unknown = names
            .iter()
            .filter(|name| !sources.iter().any(|source| source.contains(&format!("fn {name}("))));
        wrong.extend(
            unknown.map(|name| format!("docs/privacy.md:{}: no test `{name}`", number + 1)),
        );
        if names.is_empty() {
            wrong.push(format!("docs/privacy.md:{}: names no test", number + 1));
        }
    }
    assert!(rows >= 20 && wrong.is_empty(), "{rows} rows\n{}", wrong.join("\n"));
}

#[test]
fn every_crate_and_module_begins_by_saying_what_it_is() {
    let sources = tracked().into_iter().filter(|path| path.ends_with(".rs"));
    // Tests of a module need no introduction: the module has one.
    let silent: Vec<String> = sources
        .filter(|path| !path.contains("/tests/") && !path.ends_with("/tests.rs"))
        .filter(|path| !read(path).trim_start().starts_with("//!"))
        .collect();
    assert!(silent.is_empty(), "no `//!` at the head of {silent:?}");
}

#[test]
fn no_file_is_large_and_none_names_a_machine() {
    let mut wrong = Vec::new();
    // Written so that this file doesn't hold them itself.
    let machine_paths = ["work", "root", "home"].map(|folder| format!("/{folder}/"));
    for path in tracked() {
        let bytes = std::fs::read(root().join(&path)).unwrap_or_default();
        if bytes.len() as u64 > FILE_BYTES_MAX && !is_large_on_purpose(&path) {
            wrong.push(format!("{path} has {} bytes", bytes.len()));
        }
        let Ok(text) = std::str::from_utf8(&bytes) else { continue };
        for (number, line) in text.lines().enumerate() {
            let names_one = |folder: &String| {
                let is_start = |at: usize| {
                    !line[..at].ends_with(|c: char| c.is_alphanumeric() || "./-_~})".contains(c))
                };
                line.match_indices(folder.as_str()).any(|(at, _)| is_start(at))
            };
            if machine_paths.iter().any(names_one) {
                wrong.push(format!("{path}:{}: {}", number + 1, line.trim()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn lines_have_at_most_100_columns() {
    let sources: Vec<String> = engine_and_program().map(|path| read(&path)).collect();
    let lines = || sources.iter().flat_map(|source| source.lines());
    let long = lines().filter(|line| line.chars().count() > LINE_COLUMNS_MAX).count();
    let share = long as f64 / lines().count() as f64;
    assert!(share <= LONG_LINES_MAX, "{long} lines over {LINE_COLUMNS_MAX} columns");
}

#[test]
fn replaced_words_only_get_rarer() {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for path in engine_and_program() {
        for word in read(&path).split(|c: char| !c.is_ascii_alphabetic()) {
            *counts.entry(word.to_ascii_lowercase()).or_default() += 1;
        }
    }
    let more: Vec<String> = WORDS_MAX
        .iter()
        .map(|(word, most)| (word, counts.get(*word).copied().unwrap_or(0), most))
        .filter(|(_, count, most)| count > *most)
        .map(|(word, count, most)| format!("`{word}`: {count}, at most {most}"))
        .collect();
    assert!(more.is_empty(), "use sent, reported, stored, requested, returns, expires: {more:?}");
}

#[test]
fn every_dependency_of_the_workspace_is_used_and_has_a_reason() {
    let manifest = read("Cargo.toml");
    let parsed: toml::Table = manifest.parse().expect("TOML");
    let declared: BTreeSet<&String> =
        parsed["workspace"]["dependencies"].as_table().expect("dependencies").keys().collect();
    let mut used: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for path in tracked()
        .into_iter()
        .filter(|path| path.starts_with("crates/") && path.ends_with("/Cargo.toml"))
    {
        let of_crate: toml::Table = read(&path).parse().expect("TOML");
        let targets = of_crate
            .get("target")
            .and_then(toml::Value::as_table)
            .into_iter()
            .flat_map(|targets| targets.values());
        let tables = targets.filter_map(toml::Value::as_table).chain([&of_crate]);
        for table in tables.flat_map(|table| {
            ["dependencies", "dev-dependencies", "build-dependencies"].map(|kind| table.get(kind))
        }) {
            for (name, value) in table.and_then(toml::Value::as_table).into_iter().flatten() {
                let inherited = value.get("workspace").and_then(toml::Value::as_bool) == Some(true);
                assert!(inherited, "{path}: `{name}` is not of the workspace");
                used.entry(name.clone()).or_default().push(path.clone());
            }
        }
    }
    let unused: Vec<_> = declared.iter().filter(|name| !used.contains_key(name.as_str())).collect();
    // The members stand in the list whether or not one needs another already.
    let unused: Vec<_> =
        unused.into_iter().filter(|name| !root().join("crates").join(name).is_dir()).collect();
    assert!(unused.is_empty(), "declared and used by no crate: {unused:?}");
}

#[test]
fn the_default_configuration_is_in_order_and_has_no_key_without_a_word() {
    let folder = Folder::new();
    let file = root().join("config/pumphandle.toml");
    let said = folder.output(&["check", "--config", file.to_str().unwrap()]).ends(0).stdout();
    assert!(said.starts_with("ok: "), "{said}");
    let said = folder.output(&["check"]).ends(0).stdout();
    assert!(said.starts_with("ok: ") && said.trim_end().ends_with("from the defaults"), "{said}");

    let text = read("config/pumphandle.toml");
    let mut commented = false;
    for (number, line) in text.lines().enumerate() {
        let is_key = line.split_once(" = ").is_some_and(|(key, _)| {
            key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-')
        });
        assert!(
            !is_key || commented,
            "config/pumphandle.toml:{}: no word about `{line}`",
            number + 1
        );
        commented = line.starts_with("# ");
    }
}

#[test]
fn every_topic_has_a_name_in_each_language() {
    let names = read("crates/pumphandle/src/roles/notifier/topics.txt");
    let named: BTreeSet<&str> = names
        .lines()
        .filter(|line| line.split('|').filter(|name| !name.is_empty()).count() == 4)
        .filter_map(|line| line.split('|').next())
        .collect();
    let files = tracked()
        .into_iter()
        .filter(|path| path.starts_with("config/topics/"))
        .map(|path| read(&path));
    let ids: Vec<String> = files
        .flat_map(|text| {
            let ids =
                text.lines().filter_map(|line| line.strip_prefix("id = \"")?.strip_suffix('"'));
            ids.map(str::to_owned).collect::<Vec<_>>()
        })
        .collect();
    let unnamed: Vec<&String> = ids.iter().filter(|id| !named.contains(id.as_str())).collect();
    assert!(ids.len() > 100 && unnamed.is_empty(), "{} topics, unnamed: {unnamed:?}", ids.len());
}

#[test]
fn every_command_has_help_with_an_example() {
    let folder = Folder::new();
    let help = folder.output(&["--help"]).ends(0).stdout();
    let listed = help
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| line.starts_with("  "));
    // What is indented deeper goes on with the line before.
    let named = listed
        .filter(|line| !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next());
    let commands: Vec<&str> = named.filter(|command| *command != "help").collect();
    for expected in [
        "demo", "run", "replay", "simulate", "tags", "topics", "detect", "check", "alerts",
        "export",
    ] {
        assert!(commands.contains(&expected), "no `{expected}` in {commands:?}");
    }
    for command in commands {
        let help = folder.output(&[command, "--help"]).ends(0).stdout();
        let (_, examples) = help
            .split_once("\nExample")
            .unwrap_or_else(|| panic!("`{command} --help` has no example:\n{help}"));
        assert!(examples.contains(&format!("pumphandle {command}")), "{examples}");
    }
    assert!(folder.output(&["--version"]).ends(0).stdout().starts_with("pumphandle "));
}

#[test]
fn what_a_house_needs_is_there() {
    for file in [
        "README.md",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "LICENSE",
        "NOTICE",
        "docs/architecture.md",
        "docs/glossary.md",
        "docs/style.md",
        "tests/run",
        ".ci/run",
        "rust-toolchain.toml",
    ] {
        assert!(root().join(file).is_file(), "{file}");
    }
    assert!(read("CHANGELOG.md").contains("\n## "), "a changelog has releases");
}

/// Sources of the crates without their tests.
fn engine_and_program() -> impl Iterator<Item = String> {
    let is_source =
        |path: &String| path.ends_with(".rs") && path.contains("/src/") && !path.contains("/tests");
    tracked().into_iter().filter(is_source)
}

/// The text of every source file.
pub(crate) fn sources() -> Vec<String> {
    tracked().iter().filter(|path| path.ends_with(".rs")).map(|path| read(path)).collect()
}

/// Every file that git knows of; where there is no git, every source file.
fn tracked() -> Vec<String> {
    let listed = Command::new("git").current_dir(root()).args(["ls-files", "-z"]).output();
    if let Ok(listed) = listed
        && listed.status.success()
    {
        let names = String::from_utf8(listed.stdout).expect("names in UTF-8");
        // What is deleted and not committed yet is on its way out.
        return names
            .split('\0')
            .filter(|name| !name.is_empty() && root().join(name).is_file())
            .map(str::to_owned)
            .collect();
    }
    skip("no git here: only what lies under crates, tests, docs and config is looked at");
    let mut found = Vec::new();
    let mut folders: Vec<PathBuf> =
        ["crates", "tests", "docs", "config"].iter().map(|folder| root().join(folder)).collect();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder)
            .expect("a folder")
            .map(|entry| entry.expect("an entry").path())
        {
            match entry.is_dir() {
                true => folders.push(entry),
                false => found.push(
                    entry
                        .strip_prefix(root())
                        .expect("below it")
                        .to_str()
                        .expect("UTF-8")
                        .to_owned(),
                ),
            }
        }
    }
    found
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Facts that only come in bulk: the map of the world.
fn is_large_on_purpose(path: &str) -> bool {
    path.starts_with("crates/atlas/data/")
}

/// `crates/…`, `docs/…` and the like, without patterns and places to fill in.
fn is_path_of_ours(word: &str) -> bool {
    let first = word.split('/').next().unwrap_or_default();
    let ours = ["crates", "docs", "config", "tests", "deploy", ".ci"].contains(&first)
        && word.contains('/');
    ours && !word.contains(['*', '{', '<', '…', ' ', ','])
        && !word.chars().any(|c| c.is_uppercase() && !word.contains(".md"))
}

fn exists(named: &str, document: &str) -> bool {
    let named = named.trim_end_matches('/').split(':').next().unwrap_or_default();
    let beside = Path::new(document).parent().unwrap_or(Path::new("")).join(named);
    root().join(named).exists() || root().join(beside).exists()
}
