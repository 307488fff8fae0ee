//! Names the release: its version and, where git is known, the revision that it is built of.
//!
//! `PUMPHANDLE_REVISION` gives the revision where no checkout is at hand, as in an image.

use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-env-changed=PUMPHANDLE_REVISION");
    // A checkout of something else may lie around a copy of this source.
    let is_ours = git(&["ls-files", "build.rs"]).is_some();
    let git = |args: &[&str]| if is_ours { git(args) } else { None };
    let given = std::env::var("PUMPHANDLE_REVISION").ok().filter(|revision| is_revision(revision));
    let revision = given.or_else(|| {
        git(&["rev-parse", "--short=12", "HEAD"]).filter(|revision| is_revision(revision))
    });
    // The file changes with each commit; the branch's name stands in HEAD.
    let branch = git(&["symbolic-ref", "--quiet", "HEAD"]);
    for name in
        [Some("HEAD".to_owned()), branch, Some("packed-refs".to_owned())].into_iter().flatten()
    {
        if let Some(path) =
            git(&["rev-parse", "--git-path", &name]).filter(|path| Path::new(path).exists())
        {
            println!("cargo::rerun-if-changed={path}");
        }
    }
    println!("cargo::rerun-if-changed=build.rs");
    let version = std::env::var("CARGO_PKG_VERSION").unwrap_or_default();
    let release =
        revision.as_ref().map_or(version.clone(), |revision| format!("{version} ({revision})"));
    println!("cargo::rustc-env=PUMPHANDLE_RELEASE={release}");
    println!("cargo::rustc-env=PUMPHANDLE_REVISION_BUILT={}", revision.unwrap_or_default());
}

fn is_revision(text: &str) -> bool {
    (7..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// What git says; none where there is no git, no checkout, or one of something else that this
/// source lies in.
fn git(args: &[&str]) -> Option<String> {
    let output =
        Command::new("git").args(args).output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_owned()).filter(|text| !text.is_empty())
}
