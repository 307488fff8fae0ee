//! Addresses and request parameters of Jetstream servers.

use std::sync::Arc;

use record::time::Micros;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use super::{Cursor, Dictionary, SettingsError, Wire};

const FIRST_PATH: &str = "/subscribe";
const SECOND_PATH: &str = "/xrpc/network.bsky.jetstream.subscribeEvents";

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Address {
    /// Scheme, host and path.
    base: String,
    /// What the operator asks for already.
    query: String,
    /// Host and port, by which sequence numbers are distinguished.
    pub(super) host: Arc<str>,
    pub(super) wire: Wire,
}

/// From where a connection is resumed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Resume {
    Sequence(u64),
    Time(Micros),
}

impl Address {
    pub(super) fn parse(url: &str, wire: Option<Wire>) -> Result<Address, SettingsError> {
        let wrong = |why: &str| SettingsError::Url { url: url.to_owned(), why: why.to_owned() };
        let (base, query) = url.trim().split_once('?').unwrap_or((url.trim(), ""));
        let (scheme, rest) = base
            .split_once("://")
            .ok_or_else(|| wrong("it starts with neither `wss://` nor `ws://`"))?;
        if scheme != "wss" && scheme != "ws" {
            return Err(wrong("it starts with neither `wss://` nor `ws://`"));
        }
        let (host, path) = rest.find('/').map_or((rest, ""), |slash| rest.split_at(slash));
        if host.is_empty() {
            return Err(wrong("it names no host"));
        }
        let path = path.trim_end_matches('/');
        let by_path = if path.ends_with("subscribeEvents") { Wire::Second } else { Wire::First };
        let wire = wire.unwrap_or(by_path);
        let path = match (path, wire) {
            ("", Wire::First) => FIRST_PATH,
            ("", Wire::Second) => SECOND_PATH,
            (path, _) => path,
        };
        let address = Address {
            base: format!("{scheme}://{host}{path}"),
            query: query.to_owned(),
            host: host.into(),
            wire,
        };
        // What the client can't make a request of is refused now rather than tried for ever.
        address
            .url(None, &[], None)
            .into_client_request()
            .map_err(|err| wrong(&err.to_string()))?;
        Ok(address)
    }

    /// The address with collections as the wish, and where to begin.
    pub(super) fn url(
        &self,
        resume: Option<Resume>,
        collections: &[String],
        dictionary: Option<&Dictionary>,
    ) -> String {
        let (wanted, compression) = match self.wire {
            Wire::First => ("wantedCollections", "compress=true".to_owned()),
            Wire::Second => (
                "collections",
                dictionary
                    .map(|dictionary| format!("zstdDictionary={}", dictionary.id))
                    .unwrap_or_default(),
            ),
        };
        let mut parts = Vec::new();
        parts.extend((!self.query.is_empty()).then(|| self.query.clone()));
        parts.extend(collections.iter().map(|collection| format!("{wanted}={collection}")));
        parts.extend(dictionary.is_some().then_some(compression));
        parts.extend(resume.map(|resume| match resume {
            Resume::Sequence(sequence) => format!("cursor={sequence}"),
            Resume::Time(time) => format!("cursor={time}"),
        }));
        if parts.is_empty() {
            self.base.clone()
        } else {
            format!("{}?{}", self.base, parts.join("&"))
        }
    }

    /// Numbers hold on the server that gave them, and of the wires only the second says if they are
    /// too old; else by time, a little before.
    pub(super) fn resume(&self, cursor: &Cursor, rewind: Micros, by_time: bool) -> Resume {
        match cursor.sequence {
            Some(sequence) if !by_time && self.wire == Wire::Second && cursor.host == self.host => {
                Resume::Sequence(sequence)
            }
            _ => Resume::Time(cursor.stamp - rewind),
        }
    }
}
