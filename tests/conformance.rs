//! The hashtag cases of the public twitter-text suite, for the reader's own tests and for the
//! program's.
//!
//! Read where the source of `egg-mode-text` lies unpacked beside other packages, as it does
//! wherever our tests were built;
//! nothing of the suite is copied here.

use std::path::PathBuf;

/// How many cases the suite has: a reader of it that skips some would prove less than it says.
const CASES: usize = 76;

/// Texts and the hashtags in them, without their signs; none where the suite isn't there.
pub(crate) fn cases() -> Option<Vec<(String, Vec<String>)>> {
    let suite = suite()?;
    let mut section = "";
    let mut cases: Vec<(String, Vec<String>)> = Vec::new();
    for line in suite.lines() {
        let indented = line.len() - line.trim_start().len();
        let line = line.trim().trim_start_matches("- ");
        match line.split_once(':') {
            Some((name, "")) if indented == 2 => section = name,
            _ if !["hashtags", "hashtags_from_astral", "hashtags_with_indices"]
                .contains(&section) => {}
            Some(("text", text)) => cases.push((quoted(text).concat(), Vec::new())),
            Some(("expected" | "hashtag", tags)) => {
                if let Some((_, expected)) = cases.last_mut() {
                    expected.extend(quoted(tags));
                }
            }
            _ => {}
        }
    }
    assert_eq!(cases.len(), CASES);
    Some(cases)
}

fn suite() -> Option<String> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| std::env::home_dir().map(|home| home.join(".cargo")))?;
    let registries = std::fs::read_dir(home.join("registry").join("src")).ok()?;
    for registry in registries.flatten() {
        for package in std::fs::read_dir(registry.path()).ok()?.flatten() {
            if package.file_name().to_string_lossy().starts_with("egg-mode-text-") {
                return std::fs::read_to_string(package.path().join("src").join("extract.yml"))
                    .ok();
            }
        }
    }
    None
}

/// The texts between double quotes, with what is escaped in them.
fn quoted(line: &str) -> Vec<String> {
    let mut texts = Vec::new();
    let mut open: Option<String> = None;
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match (c, &mut open) {
            ('"', None) => open = Some(String::new()),
            ('"', Some(_)) => texts.extend(open.take()),
            ('\\', Some(text)) => text.push(match chars.next() {
                Some('n') => '\n',
                Some('r') => '\r',
                Some('t') => '\t',
                Some(width @ ('u' | 'U')) => {
                    let digits: String =
                        chars.by_ref().take(if width == 'u' { 4 } else { 8 }).collect();
                    let code = u32::from_str_radix(&digits, 16).expect("digits of a code");
                    char::from_u32(code).expect("a code of a character")
                }
                Some(c) => c,
                None => break,
            }),
            (c, Some(text)) => text.push(c),
            _ => {}
        }
    }
    texts
}
