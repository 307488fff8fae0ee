//! Metadata stored in the streams: generation, partitions, and streams still to be recreated.
//!
//! Written by `migrate` under a key of both compacted streams, because either may be lost; the
//! higher generation counts. `open` believes it rather than any setting. One line of text, so that
//! it can be read with any tool.

use std::collections::BTreeMap;

use crate::{JournalError, Stream};

/// Not text, so that no caller's key can be it.
pub(super) const KEY: &[u8] = b"\xffjournal";
const FORMAT: &str = "pumphandle-journal 1";

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Recorded {
    pub(super) generation: u16,
    pub(super) posts: u32,
    pub(super) feeds: u32,
    /// Whether `migrate` has yet to make or remake streams.
    pub(super) unfinished: bool,
    /// Streams that this generation begins again, and that still hold what the last one wrote.
    pub(super) anew: Vec<Stream>,
}

impl Recorded {
    pub(super) fn partitions(&self, stream: Stream) -> u32 {
        match stream {
            Stream::Feeds => self.feeds,
            other => other.partitions(self.posts),
        }
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let anew: Vec<&str> = self.anew.iter().map(|stream| stream.name()).collect();
        let unfinished = u8::from(self.unfinished);
        let Recorded { generation, posts, feeds, .. } = self;
        format!(
            "{FORMAT} generation={generation} posts={posts} feeds={feeds} \
            unfinished={unfinished} anew={}",
            anew.join(",")
        )
        .into_bytes()
    }

    pub(super) fn from_bytes(bytes: &[u8], topic: &str) -> Result<Recorded, JournalError> {
        let text = String::from_utf8_lossy(bytes);
        Recorded::parse(&text).ok_or_else(|| JournalError::Io {
            action: format!("read the record of `{topic}` about itself"),
            source: format!("`{text}` is of no format that this version knows").into(),
        })
    }

    fn parse(text: &str) -> Option<Recorded> {
        let fields = text.strip_prefix(FORMAT)?;
        let fields: BTreeMap<&str, &str> = fields
            .split_ascii_whitespace()
            .map(|field| field.split_once('='))
            .collect::<Option<_>>()?;
        let anew = fields.get("anew")?.split(',').filter(|name| !name.is_empty());
        Some(Recorded {
            generation: fields
                .get("generation")?
                .parse()
                .ok()
                .filter(|generation| *generation > 0)?,
            posts: fields.get("posts")?.parse().ok().filter(|partitions| *partitions > 0)?,
            feeds: fields.get("feeds")?.parse().ok().filter(|partitions| *partitions > 0)?,
            unfinished: *fields.get("unfinished")? == "1",
            anew: anew.map(Stream::from_name).collect::<Option<_>>()?,
        })
    }
}
