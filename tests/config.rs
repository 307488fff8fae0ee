//! Configurations that are wrong, and what `check` says of them: every message stands in
//! `data/config/NAME.expected`.
//!
//! A line `# with: --set …` or `# with: NAME=value` in a configuration is an argument or a variable
//! beside it.
//! `UPDATE_EXPECT=1` writes the expected files anew, to be read with care.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const BAD_USAGE: i32 = 64;

#[test]
fn every_mistake_is_told_with_its_place_and_a_hint() {
    let names = names();
    assert!(names.len() >= 30, "{} configurations", names.len());
    for name in names {
        let output = check(&name);
        let said = String::from_utf8(output.stdout).unwrap()
            + std::str::from_utf8(&output.stderr).unwrap();
        expect_test::expect_file![folder().join(format!("{name}.expected"))].assert_eq(&said);
        let code = if name.starts_with("good-") { 0 } else { BAD_USAGE };
        assert_eq!(output.status.code(), Some(code), "{name}: {said}");
        assert_eq!(
            said.matches("error: ").count(),
            said.matches("hint: ").count() - said.matches("warning: ").count(),
            "{name}: {said}"
        );
        assert!(!said.contains("hunter2"), "{name} shows a secret: {said}");
    }
}

#[test]
fn every_expected_text_belongs_to_a_configuration() {
    let names = names();
    for expected in files_with("expected") {
        let name = name_of(&expected);
        assert!(names.contains(&name), "{name}.expected is left over");
    }
}

#[test]
fn a_configuration_that_is_not_there_is_bad_usage() {
    let output = command().args(["check", "--config", "nowhere.toml"]).output().unwrap();
    let said =
        String::from_utf8(output.stdout).unwrap() + std::str::from_utf8(&output.stderr).unwrap();
    assert_eq!(
        said,
        "error: failed to read the configuration: no such file, in `nowhere.toml`\n\
        hint: without `--config` the defaults hold; its path is relative to the working directory\n"
    );
    assert_eq!(output.status.code(), Some(BAD_USAGE));
}

#[test]
fn the_configuration_of_the_source_tree_is_in_order() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let output = command()
        .current_dir(root)
        .args(["check", "--config", "config/pumphandle.toml"])
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.starts_with("ok: "), "{said}");
    assert_eq!(output.status.code(), Some(0));
}

fn check(name: &str) -> Output {
    let file = format!("{name}.toml");
    let text = std::fs::read(folder().join(&file)).expect("a configuration that was listed");
    let mut command = command();
    command.args(["check", "--config", &file]);
    for with in
        String::from_utf8_lossy(&text).lines().filter_map(|line| line.strip_prefix("# with: "))
    {
        match with.strip_prefix("--set ") {
            Some(set) => command.args(["--set", set]),
            None => {
                let (name, value) = with.split_once('=').expect("`NAME=value`");
                command.env(name, value)
            }
        };
    }
    command.output().expect("the program runs")
}

/// In the folder of the configurations, so that no message names a machine.
fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pumphandle"));
    command.env_clear().current_dir(folder());
    command
}

fn names() -> Vec<String> {
    files_with("toml").iter().map(|path| name_of(path)).collect()
}

fn name_of(path: &Path) -> String {
    path.file_stem().and_then(|name| name.to_str()).expect("a name in UTF-8").to_owned()
}

fn files_with(extension: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder())
        .expect("the folder of configurations")
        .map(|entry| entry.expect("an entry of it").path());
    let mut files: Vec<PathBuf> =
        entries.filter(|path| path.extension().is_some_and(|found| found == extension)).collect();
    files.sort();
    files
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/data/config")
        .canonicalize()
        .expect("the folder of configurations")
}
