//! `evaluate` from outside: its short form is held to a committed one, so that no table in docs
//! goes out of date unseen.

use std::path::Path;

use crate::program::Folder;

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
