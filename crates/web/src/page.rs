//! The page: files that are part of the program, so that it needs no folder, no build step and nobody else's server.

use std::hash::{DefaultHasher, Hash, Hasher};

use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::api::Room;

#[derive(Debug)]
pub(crate) struct File {
    pub(crate) path: &'static str,
    kind: &'static str,
    text: &'static str,
}

pub(crate) static FILES: [File; 6] = [
    File { path: "/", kind: "text/html; charset=utf-8", text: include_str!("../page/index.html") },
    File { path: "/style.css", kind: "text/css; charset=utf-8", text: include_str!("../page/style.css") },
    File { path: "/app.js", kind: "text/javascript; charset=utf-8", text: include_str!("../page/app.js") },
    File { path: "/chart.js", kind: "text/javascript; charset=utf-8", text: include_str!("../page/chart.js") },
    File { path: "/make.js", kind: "text/javascript; charset=utf-8", text: include_str!("../page/make.js") },
    File { path: "/icon.svg", kind: "image/svg+xml", text: include_str!("../page/icon.svg") },
];

/// Stands in the page where it says that data is made up; said by the server, so that it shows before any script runs.
const MARK: &str = "<!-- simulated -->";
const SIMULATED: &str = "<p class=\"simulated\" role=\"note\"><b>Simulated data.</b> Every post, account and outbreak here is made up.</p>";

pub(crate) fn answer(file: &File, room: &Room, request: &Request) -> Response {
    let text = file.text.replace(MARK, if room.web.simulated { SIMULATED } else { "" });
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    let tag = format!("\"{:016x}\"", hasher.finish());
    let head = [(header::CONTENT_TYPE, file.kind), (header::CACHE_CONTROL, "no-cache"), (header::ETAG, tag.as_str())];
    let known = request.headers().get(header::IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == tag.as_bytes());
    if known { (StatusCode::NOT_MODIFIED, head).into_response() } else { (head, text).into_response() }
}
