//! Bluesky's Jetstream, live.
//!
//! | arrives | form | what is lost |
//! |---|---|---|
//! | v1 `/subscribe` | a JSON object a frame; accounts and handles come whatever is requested | what lies further back than the server keeps, silently: reported here by the first stamp |
//! | v2 `subscribeEvents` | the same facts in an envelope | the same, reported by the server |
//!
//! A connection that ends is made again at the cursor, a little earlier than the last line; what
//! comes twice is recognised by its identity, later. A connection that is silent (no frame, no
//! answer to our pings) is left for the next address, and so is one that only answers pings for
//! longer than the feed's own rate of late explains.
//! A stamp ahead of our clock moves neither the place to resume from nor what is covered.
//! Runs in a thread with a runtime of its own and hands on what it reads as it comes: a full queue
//! slows the server down.
//! Knows no streams, and no secrets: the network is public.

mod address;
mod connection;
mod pace;
mod retry;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use record::time::{Micros, SECOND};
use thiserror::Error;

use crate::clock::Clock;
pub use crate::cursor::jetstream::{Cursor, CursorError};
use crate::intake::Intake;
use crate::line::POSTS;
use crate::profiles::ProfileSettings;
use crate::running::Feed;
use crate::{Certificate, tls};
use address::Address;

/// How the two sides speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wire {
    /// `/subscribe`
    First,
    /// `/xrpc/network.bsky.jetstream.subscribeEvents`
    Second,
}

#[derive(Debug, Clone)]
pub struct JetstreamSettings {
    /// The feed's name.
    pub feed: String,
    /// Tried in turn.
    pub urls: Vec<String>,
    /// None: recognised by each address's path.
    pub wire: Option<Wire>,
    /// The collections requested, `*` for any end of a name; none asks for all. What comes of
    /// others is left.
    pub collections: Vec<String>,
    /// Who asks.
    pub user_agent: String,
    /// A connection is resumed so much before the last line.
    pub rewind: Micros,
    /// Without any frame for that long a connection is given up; without an event only if its rate
    /// doesn't explain that.
    pub idle: Duration,
    pub ping_every: Duration,
    pub connect_timeout: Duration,
    pub back_off_first: Duration,
    pub back_off_max: Duration,
    /// A connection that lasted that long was a good one: the next wait is short again.
    pub steady_after: Duration,
    /// Messages that may wait to be taken.
    pub queue: usize,
    /// Whom to ask for authors' profiles.
    pub profiles: Option<ProfileSettings>,
    /// Authorities trusted beside Mozilla's list, for servers and profiles.
    pub roots: Vec<Certificate>,
    /// Have frames compressed with this dictionary, which must be the server's.
    pub dictionary: Option<PathBuf>,
}

impl JetstreamSettings {
    pub fn new(feed: &str, urls: Vec<String>) -> JetstreamSettings {
        JetstreamSettings {
            feed: feed.to_owned(),
            urls,
            wire: None,
            collections: vec![POSTS.to_owned()],
            user_agent: crate::USER_AGENT.to_owned(),
            rewind: 5 * SECOND,
            idle: Duration::from_secs(30),
            ping_every: Duration::from_secs(10),
            connect_timeout: Duration::from_secs(15),
            back_off_first: Duration::from_millis(500),
            back_off_max: Duration::from_secs(60),
            steady_after: Duration::from_secs(30),
            queue: 4096,
            profiles: None,
            roots: Vec::new(),
            dictionary: None,
        }
    }
}

/// Whether posts are among these collections; without any named, everything is.
pub fn wants_posts(collections: &[String]) -> bool {
    let covers = |collection: &String| match collection.strip_suffix('*') {
        Some(start) => POSTS.starts_with(start),
        None => collection == POSTS,
    };
    collections.is_empty() || collections.iter().any(covers)
}

/// What can't be right however often it is tried.
#[derive(Debug, Error)]
pub enum SettingsError {
    #[error("no address to connect to")]
    NoUrl,
    #[error("`{url}` is no address of a Jetstream: {why}")]
    Url { url: String, why: String },
    #[error("failed to read the dictionary `{path}`")]
    Dictionary { path: String, source: std::io::Error },
    #[error("`{path}` is no Zstandard dictionary")]
    NoDictionary { path: String },
    #[error("failed to set up TLS")]
    Tls(#[from] rustls::Error),
    #[error("failed to start the feed")]
    Thread(#[source] std::io::Error),
}

/// The world that a feed can't be handed as data.
pub struct World {
    pub clock: Clock,
    /// Evenly from 0 to 1, for the spread of waits.
    pub random: Box<dyn FnMut() -> f64 + Send>,
}

/// A dictionary of Zstandard, by whose number a server knows it.
#[derive(Clone)]
struct Dictionary {
    id: u32,
    bytes: Arc<Vec<u8>>,
}

impl Dictionary {
    fn read(path: &PathBuf) -> Result<Dictionary, SettingsError> {
        let name = || path.display().to_string();
        let bytes = std::fs::read(path)
            .map_err(|source| SettingsError::Dictionary { path: name(), source })?;
        // RFC 8878, section 5: a magic number, then the dictionary's, little-endian.
        match bytes.get(..8) {
            Some(&[0x37, 0xa4, 0x30, 0xec, a, b, c, d]) => {
                Ok(Dictionary { id: u32::from_le_bytes([a, b, c, d]), bytes: Arc::new(bytes) })
            }
            _ => Err(SettingsError::NoDictionary { path: name() }),
        }
    }
}

/// Connects, and stays connected, in a thread of its own.
pub fn start(
    settings: JetstreamSettings,
    from: Option<Cursor>,
    intake: Intake,
    world: World,
) -> Result<Feed, SettingsError> {
    let addresses = settings
        .urls
        .iter()
        .map(|url| Address::parse(url, settings.wire))
        .collect::<Result<Vec<_>, _>>()?;
    if addresses.is_empty() {
        return Err(SettingsError::NoUrl);
    }
    let tls = tls::client_config(&settings.roots)?;
    let dictionary = settings.dictionary.as_ref().map(Dictionary::read).transpose()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(SettingsError::Thread)?;
    let (feed, queue) = (settings.feed.clone(), settings.queue);
    let connections =
        connection::Connections::new(settings, addresses, dictionary, tls, from, intake, world);
    Feed::spawn(&feed, queue, move |sender, stopping| {
        runtime.block_on(connections.run(sender, stopping))
    })
    .map_err(SettingsError::Thread)
}

#[cfg(test)]
mod tests;
