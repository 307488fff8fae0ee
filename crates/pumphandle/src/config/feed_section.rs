//! `[[feeds]]`: sources of posts, each of a kind with keys of its own.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use feeds::intake::ProfileRules;
use feeds::jetstream::Wire;
use feeds::profiles::ProfileSettings;
use record::FeedSetting;
use record::diagnostic::{Diagnostic, Place};
use record::document::Table;
use record::time::{DAY, HOUR, MINUTE, Micros, SECOND};

use super::reader::{Misfit, Mode, Read, Reader, Section, key_of, read_keys};

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Feed {
    pub(crate) name: String,
    /// Whether it brings all posts, not only matched ones.
    pub(crate) whole: bool,
    pub(crate) kind: FeedKind,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum FeedKind {
    Jetstream {
        /// Tried in turn.
        urls: Vec<String>,
        collections: Vec<String>,
        /// How events are written; none: by the address.
        wire: Option<Wire>,
        /// How far before the last event it resumes.
        rewind: Micros,
        /// The longest time of a connection without an event.
        idle_timeout: Micros,
        profiles: Option<Box<FeedProfiles>>,
        /// Certificates of authorities to trust in addition to Mozilla's list, as PEM.
        roots_file: Option<PathBuf>,
    },
    File {
        /// Paths, patterns and `-`, resolved, in the order of reading.
        paths: Vec<String>,
        follow: bool,
    },
}

/// How authors' profiles are requested.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct FeedProfiles {
    pub(crate) settings: ProfileSettings,
    pub(crate) rules: ProfileRules,
}

impl Feed {
    pub(super) fn setting(&self) -> FeedSetting {
        let one_author_in = match &self.kind {
            FeedKind::Jetstream { profiles: Some(profiles), .. } => profiles.rules.one_author_in,
            _ => 0,
        };
        FeedSetting { one_author_in, ..FeedSetting::new(&self.name, self.whole) }
    }
}

pub(super) fn read_feeds(
    reader: &mut Reader,
    defaults: &Table,
    file: Option<&Path>,
) -> Read<Vec<Feed>> {
    let mut names = BTreeMap::new();
    let feeds = reader.list_of_sections("feeds", defaults, |section| {
        let name = section.feed_name("name", &mut names);
        let kind = section.feed_kind("kind");
        let whole = section.inverted("filtered");
        Ok(Feed { name: name?, kind: kind?, whole: whole? })
    })?;
    if feeds.is_empty() {
        let file =
            file.map_or_else(|| "the defaults".to_owned(), |file| file.display().to_string());
        let warning = Diagnostic::of_file(&file, "no feed, so there is nothing to read");
        reader.warnings.push(warning.hint("write `[[feeds]]` before each"));
    }
    Ok(feeds)
}

/// Kebab-case: `bluesky-eu`.
fn is_name(text: &str) -> bool {
    let is_part = |part: &str| {
        !part.is_empty()
            && part.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    };
    text.len() <= 64 && text.split('-').all(is_part)
}

impl Section<'_> {
    fn feed_name(&mut self, key: &str, names: &mut BTreeMap<String, Place>) -> Read<String> {
        let expected = "small letters, digits and single hyphens, such as `bluesky-eu`";
        let name = self.text_of(key, expected, is_name)?;
        let place = self.place_of(key);
        if let Some(first) = names.get(&name) {
            let hint = format!("give each feed a name of its own; the first stands in {first}");
            return Err(self.error(&place, &format!("second feed named `{name}`"), &hint));
        }
        names.insert(name.clone(), place);
        Ok(name)
    }

    /// The kind of a feed, and the keys that belong to it; those of the other kind are refused.
    fn feed_kind(&mut self, key: &str) -> Read<FeedKind> {
        let kinds = [
            ("jetstream", Some(true)),
            ("file", Some(false)),
            ("mastodon", None),
            ("x", None),
            ("push", None),
        ];
        let (jetstream, file) = match self.kind(key, &kinds) {
            Ok(true) => (Mode::Read, Mode::Refuse("it belongs to feeds of kind `file`")),
            Ok(false) => (Mode::Refuse("it belongs to feeds of kind `jetstream`"), Mode::Read),
            // The keys of a kind that is wrong are neither right nor wrong.
            Err(_) => (Mode::Skip, Mode::Skip),
        };
        let jetstream = self.in_mode(jetstream, |section| {
            read_keys!(section, FeedKind::Jetstream {
                urls = urls(),
                collections = collections(),
                wire = word(&[
                    ("auto", None),
                    ("v1", Some(Wire::First)),
                    ("v2", Some(Wire::Second)),
                ]),
                rewind = duration(0..=HOUR),
                idle_timeout = duration(SECOND..=10 * MINUTE),
                profiles = profiles(),
                roots_file = existing_file("name a file of certificates, as PEM"),
            })
        });
        let file = self.in_mode(file, |section| {
            let follow = section.follow("follow");
            let paths = section.paths("path", follow);
            Ok(FeedKind::File { follow: follow?, paths: paths? })
        });
        jetstream.or(file)
    }

    fn profiles(&mut self, key: &str) -> Read<Option<Box<FeedProfiles>>> {
        let url = self.optional(key, |url, _| {
            let rest = url.strip_prefix("https://").or(url.strip_prefix("http://"));
            let fits = rest.is_some_and(|rest| {
                let is_bad = |c: char| c.is_whitespace() || "@?#".contains(c);
                !rest.is_empty() && !rest.contains(is_bad)
            });
            let expected = "the address of an AppView, such as `https://public.api.bsky.app`";
            if fits { Ok(url.to_owned()) } else { Err(expected.into()) }
        });
        let one_author_in = self.whole_number("profiles-one-author-in", 1..=10_000);
        let per_minute = self.whole_number("profiles-per-minute", 1..=3_000);
        let expiry = self.duration("profiles-expiry", HOUR..=30 * DAY);
        let (url, one_author_in) = (url?, one_author_in?);
        let (requests_per_minute, expiry) = (per_minute?, expiry?);
        Ok(url.map(|url| {
            Box::new(FeedProfiles {
                settings: ProfileSettings { requests_per_minute, ..ProfileSettings::new(&url) },
                rules: ProfileRules { one_author_in, expiry, ..ProfileRules::default() },
            })
        }))
    }

    fn urls(&mut self, key: &str) -> Read<Vec<String>> {
        let urls = self.texts_of(key, |url, _| check_url(url).map(|()| url.to_owned()))?;
        if urls.is_empty() {
            let hint = "leave `urls` out for the public servers";
            return Err(self.error(&self.place_of(key), "no url for `urls`", hint));
        }
        Ok(urls)
    }

    fn collections(&mut self, key: &str) -> Read<Vec<String>> {
        let is_part = |part: &str| {
            let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-*".contains(&byte);
            !part.is_empty() && part.bytes().all(fits)
        };
        let collections = self.texts_of(key, |text, _| {
            let fits = text.split('.').count() > 1 && text.split('.').all(is_part);
            let expected = "the name of a collection, such as `app.bsky.feed.post`";
            if fits { Ok(text.to_owned()) } else { Err(expected.into()) }
        })?;
        if !feeds::jetstream::wants_posts(&collections) {
            let message =
                format!("`collections` without `{}`, so no post will be read,", feeds::line::POSTS);
            let warning = Diagnostic::new(&self.place_of(key), message);
            self.reader.warnings.push(warning.hint("leave `collections` out for posts"));
        }
        Ok(collections)
    }

    fn follow(&mut self, key: &str) -> Read<bool> {
        if self.is_given(key) { self.boolean(key) } else { Ok(false) }
    }

    /// A path, or a list of them. Files that don't exist are warned of, unless they are followed.
    fn paths(&mut self, key: &str, follow: Read<bool>) -> Read<Vec<String>> {
        let hint = "name a file, a pattern such as `posts-*.ndjson.gz`, or `-` for standard input";
        let written = self.text_or_texts(key, "a file feed without `path`", hint)?;
        if written.is_empty() {
            let hint = "name a file, a pattern, or `-` for standard input";
            return Err(self.error(&self.place_of(key), "no path for `path`", hint));
        }
        let follow = follow?;
        let mut paths = Vec::new();
        for (path, place) in written {
            if path == "-" {
                paths.push(path);
                continue;
            }
            let resolved = self.resolve(&place, &path);
            let is_pattern = path.contains(['*', '?', '[']);
            if !follow && !is_pattern && !resolved.exists() {
                let message = format!("no file `{}` for `path` in `[[feeds]]`", resolved.display());
                let hint = "it must be there before `run` begins, or be followed";
                self.reader.warnings.push(Diagnostic::new(&place, message).hint(hint));
            }
            paths.push(resolved.display().to_string());
        }
        Ok(paths)
    }
}

pub(super) const SECRET_IN_URL: &str = "secret in a url";

/// Whether the host follows a user, with or without a password.
pub(super) fn has_user(url: &str) -> bool {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split(['/', '?', '#']).next().is_some_and(|authority| authority.contains('@'))
}

/// An address of Jetstream.
fn check_url(url: &str) -> Result<(), Misfit> {
    if has_user(url) {
        let hint = "write the address without user and password";
        return Err(Misfit::new(SECRET_IN_URL, hint));
    }
    let parts = url.split_once("://").filter(|(scheme, _)| ["ws", "wss"].contains(scheme));
    let Some((_, rest)) = parts else {
        return Err("an address that begins with `wss://` or `ws://`".into());
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if rest.contains(['?', '#']) {
        let hint = "the address without `?` and what follows; that is made from the other keys";
        return Err(hint.into());
    }
    // The brackets of `[::1]:8080` hold colons of their own.
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (authority, None),
    };
    let is_bad = |c: char| c.is_whitespace() || c.is_control();
    let is_host =
        !host.is_empty() && !host.contains(|c: char| is_bad(c) || "\"<>\\^`{|}".contains(c));
    let is_port = port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0));
    if is_host && is_port && !rest.contains(is_bad) {
        Ok(())
    } else {
        Err("an address such as `wss://host/path` or `ws://127.0.0.1:6008/subscribe`".into())
    }
}
