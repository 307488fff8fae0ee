//! The page: files that are part of the program, so that it needs no folder, no build step and
//! nobody else's server.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write;
use std::sync::{LazyLock, OnceLock};

use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use flate2::Compression;
use flate2::write::GzEncoder;

use crate::api::Room;
use crate::problem::Problem;

/// A file, and what of it goes over the wire.
#[derive(Debug)]
pub(crate) struct File {
    pub(crate) path: &'static str,
    kind: &'static str,
    text: &'static str,
    packed: OnceLock<(String, Vec<u8>)>,
}

const fn file(path: &'static str, kind: &'static str, text: &'static str) -> File {
    File { path, kind, text, packed: OnceLock::new() }
}

const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const DATA: &str = "application/json";

/// Everything but the shapes of places, which come a country at a time.
pub(crate) static FILES: [File; 25] = [
    file("/style.css", STYLE, include_str!("../page/style.css")),
    file("/theme.js", SCRIPT, include_str!("../page/theme.js")),
    file("/app.js", SCRIPT, include_str!("../page/app.js")),
    file("/ask.js", SCRIPT, include_str!("../page/ask.js")),
    file("/words.js", SCRIPT, include_str!("../page/words.js")),
    file("/draw.js", SCRIPT, include_str!("../page/draw.js")),
    file("/parts.js", SCRIPT, include_str!("../page/parts.js")),
    file("/map.js", SCRIPT, include_str!("../page/map.js")),
    file("/inbox.js", SCRIPT, include_str!("../page/inbox.js")),
    file("/alert.js", SCRIPT, include_str!("../page/alert.js")),
    file("/explorer.js", SCRIPT, include_str!("../page/explorer.js")),
    file("/lists.js", SCRIPT, include_str!("../page/lists.js")),
    file("/subscriptions.js", SCRIPT, include_str!("../page/subscriptions.js")),
    file("/public.js", SCRIPT, include_str!("../page/public.js")),
    file("/words/en.json", DATA, include_str!("../page/words/en.json")),
    file("/words/fr.json", DATA, include_str!("../page/words/fr.json")),
    file("/words/es.json", DATA, include_str!("../page/words/es.json")),
    file("/words/de.json", DATA, include_str!("../page/words/de.json")),
    file("/vendor/preact-htm.js", SCRIPT, include_str!("../page/vendor/preact-htm.js")),
    file("/vendor/d3-geo.min.js", SCRIPT, include_str!("../page/vendor/d3-geo.min.js")),
    file("/vendor/fsum.js", SCRIPT, include_str!("../page/vendor/fsum.js")),
    file("/vendor/merge.js", SCRIPT, include_str!("../page/vendor/merge.js")),
    file("/vendor/range.js", SCRIPT, include_str!("../page/vendor/range.js")),
    file(
        "/vendor/topojson-client.min.js",
        SCRIPT,
        include_str!("../page/vendor/topojson-client.min.js"),
    ),
    file("/icon.svg", "image/svg+xml", include_str!("../page/icon.svg")),
];

static WORLD: File = file("/map/world.json", DATA, include_str!("../map/world.json"));

/// Country, tab, its first levels; made by `crates/atlas/examples/write_map.rs`.
static FIRST: LazyLock<BTreeMap<&str, File>> = LazyLock::new(|| {
    let lines = include_str!("../map/first.txt").lines().filter_map(|line| line.split_once('\t'));
    lines.map(|(code, shapes)| (code, file("/map/{country}", DATA, shapes))).collect()
});

const SHELL: &str = include_str!("../page/index.html");
/// Where people come in; the page itself reads the rest of the address.
pub(crate) const ADDRESSES: [&str; 11] = [
    "/",
    "/alerts/{id}",
    "/explorer",
    "/series",
    "/topics",
    "/sources",
    "/below",
    "/subscriptions",
    "/sign-in",
    "/public",
    "/public/{place}",
];

/// Stands in the page where it says that data is made up; said by the server, so that it shows
/// before any script runs.
const MARK: &str = "<!-- simulated -->";
const SIMULATED: &str = "<aside class=\"banner\" aria-label=\"Simulated data\" \
    lang=\"en\"><b>Simulated data.</b> Every post, account and \
                         outbreak here is made up.</aside>";

pub(crate) fn shell(room: &Room, headers: &HeaderMap) -> Response {
    let text = SHELL.replace(MARK, if room.web.simulated { SIMULATED } else { "" });
    let tag = tag(&text);
    let head = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CACHE_CONTROL, "no-cache"),
        (header::ETAG, tag.as_str()),
    ];
    if is_known(headers, &tag) {
        (StatusCode::NOT_MODIFIED, head).into_response()
    } else {
        (head, text).into_response()
    }
}

/// The shapes of all countries (`world.json`), or of the first levels of one (`DE.json`).
pub(crate) fn map(name: &str, headers: &HeaderMap) -> Response {
    match name.strip_suffix(".json") {
        Some("world") => answer(&WORLD, headers),
        Some(country) if FIRST.contains_key(country) => answer(&FIRST[country], headers),
        _ => Problem::not_found("there are no shapes of this country").into_response(),
    }
}

pub(crate) fn answer(file: &File, headers: &HeaderMap) -> Response {
    let (tag, packed) = file.packed();
    let head = [
        (header::CONTENT_TYPE, file.kind),
        (header::CACHE_CONTROL, "no-cache"),
        (header::ETAG, tag.as_str()),
        (header::VARY, "accept-encoding"),
    ];
    if is_known(headers, tag) {
        return (StatusCode::NOT_MODIFIED, head).into_response();
    }
    let takes_gzip = headers
        .get(header::ACCEPT_ENCODING)
        .and_then(|takes| takes.to_str().ok())
        .is_some_and(|takes| {
            takes.split(',').any(|one| {
                one.split(';').next().is_some_and(|name| name.trim() == "gzip")
                    && !one.replace(' ', "").ends_with(";q=0")
            })
        });
    if takes_gzip {
        (head, [(header::CONTENT_ENCODING, "gzip")], packed.clone()).into_response()
    } else {
        (head, file.text).into_response()
    }
}

impl File {
    fn packed(&self) -> &(String, Vec<u8>) {
        self.packed.get_or_init(|| {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
            // Into memory: it can't fail.
            let _ = encoder.write_all(self.text.as_bytes());
            (tag(self.text), encoder.finish().unwrap_or_default())
        })
    }
}

fn tag(text: &str) -> String {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    format!("\"{:016x}\"", hasher.finish())
}

fn is_known(headers: &HeaderMap, tag: &str) -> bool {
    headers.get(header::IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == tag.as_bytes())
}

#[cfg(test)]
mod tests;
