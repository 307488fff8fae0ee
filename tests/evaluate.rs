//! `evaluate` from outside: its short form is held to a committed one, so that no table in docs
//! goes out of date unseen; `--real` is held to `score.py`, where the series are there.

use std::path::Path;
use std::process::Command;

use crate::program::{Folder, root, skip};

/// Where this fails because a detector was changed on purpose: `UPDATE_EXPECT=1` writes the short
/// form anew, and `pumphandle evaluate > docs/evaluation/detectors.md` the tables that people read.
#[test]
fn the_short_form_says_what_it_said() {
    let folder = Folder::new();
    let told = folder.output(&["evaluate", "--short", "--plot", "plot.svg"]).ends(0).stdout();
    let committed =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/evaluate/short.md");
    expect_test::expect_file![committed].assert_eq(&told);
    let plot = folder.read("plot.svg");
    assert!(
        plot.starts_with("<svg")
            && plot.contains("nb-predictive")
            && plot.trim_end().ends_with("</svg>")
    );
}

#[test]
fn real_series_score_as_by_score_py() {
    let shared = std::env::var_os("PUMPHANDLE_SHARED")
        .map_or_else(|| root().join("../shared"), Into::into)
        .join("real");
    if !shared.join("score.py").exists() {
        return skip("no `../shared/real` beside the checkout or under PUMPHANDLE_SHARED");
    }
    if Command::new("python3").arg("--version").output().is_err() {
        return skip("no python3 to run score.py");
    }
    let folder = Folder::new();
    let shared_name = shared.display().to_string();
    for args in [
        &["dengue", "--param", "guardband=4", "--against", "ears-c2,min-sigma=0.5"][..],
        &["measles"],
        &["japan", "--method", "essence-ewma"],
        &["nab", "--method", "outbreakp"],
    ] {
        let ours = ["evaluate", "--real", &shared_name, "--only"];
        let ours = folder.output(&[&ours[..], args].concat()).ends(0).stdout();
        let theirs = Command::new("python3")
            .arg(shared.join("score.py"))
            .arg(env!("CARGO_BIN_EXE_pumphandle"))
            .args(args)
            .output()
            .expect("score.py runs");
        assert!(theirs.status.success(), "{args:?}: {}", String::from_utf8_lossy(&theirs.stderr));
        assert_eq!(ours, String::from_utf8_lossy(&theirs.stdout), "{args:?}");
    }
}
