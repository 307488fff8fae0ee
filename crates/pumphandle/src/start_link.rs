//! The start link: opens the page as operator, once, within ten minutes.
//!
//! It stands in a file of the data folder that only its owner can read, and is printed to a
//! terminal; it never enters the log. The page looks at the file at each sign-in, so that a link
//! made by `pumphandle token link` works without a restart.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use record::Micros;
use record::time::MINUTE;
use web::{StartLink, TokenHash};

use crate::{tokens, whole};

const LIVES: Micros = 10 * MINUTE;

pub(crate) fn file(data: &Path) -> PathBuf {
    data.join("start-link")
}

/// Makes a link, in place of any made before; `page` is the address of the page.
pub(crate) fn make(file: &Path, page: &str, now: Micros) -> anyhow::Result<String> {
    let link = format!("{}/sign-in#{}", page.trim_end_matches('/'), tokens::random()?);
    let until = record::time::display(now + LIVES);
    whole::write(file, format!("{link}\n{until}\n").as_bytes(), whole::SECRET)
        .with_context(|| format!("failed to write `{}`", file.display()))?;
    Ok(link)
}

/// Whether a secret is that of the link in the file; then the file goes, and the link is spent.
pub(crate) fn spent_by(file: PathBuf, clock: fn() -> Micros) -> StartLink {
    Arc::new(move |given| is_spent(&file, given, clock()))
}

fn is_spent(file: &Path, given: &TokenHash, now: Micros) -> bool {
    let Ok(text) = fs::read_to_string(file) else { return false };
    let mut lines = text.lines();
    let secret = lines
        .next()
        .and_then(|link| link.split_once('#'))
        .map(|(_, secret)| blake3::hash(secret.as_bytes()));
    let until = lines.next().and_then(|until| record::time::parse(until).ok());
    // A clock set back by more than its life gives it no other one.
    let is_over = until.is_none_or(|until| now >= until || now < until - 2 * LIVES);
    let is_it = secret.is_some_and(|secret| secret == *given);
    if !is_over && !is_it {
        return false;
    }
    // Of two that come at once the one that removes the file has spent it.
    fs::remove_file(file).is_ok() && is_it && !is_over
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_start_link_opens_once_within_ten_minutes() {
        let folder = tempfile::tempdir().unwrap();
        let file = file(folder.path());
        let now = 1_767_603_600_000_000;
        let hash = |link: &str| blake3::hash(link.split_once('#').unwrap().1.as_bytes());
        let link = make(&file, "http://127.0.0.1:8080/", now).unwrap();
        assert!(link.starts_with("http://127.0.0.1:8080/sign-in#"), "{link}");
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(!is_spent(&file, &blake3::hash(b"guess"), now));
        assert!(
            is_spent(&file, &hash(&link), now + LIVES - 1) && !is_spent(&file, &hash(&link), now)
        );
        let old = make(&file, "http://127.0.0.1:8080", now).unwrap();
        let link = make(&file, "http://127.0.0.1:8080", now).unwrap();
        assert!(!is_spent(&file, &hash(&old), now), "a newer one stands in its place");
        assert!(!is_spent(&file, &hash(&link), now + LIVES) && !file.exists(), "over, and gone");
        assert!(!is_spent(&file, &hash(&link), now));
    }
}
