//! Feeds that the notifier writes: Atom, and the CAP messages in it. A document says itself whom it
//! is for.

use std::io::Read;

use axum::http::{StatusCode, header};
use axum::response::IntoResponse;

use super::{Answer, Call};
use crate::access::Role;
use crate::problem::Problem;

/// A feed holds a hundred messages in four languages.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// `GET /feeds/{file}`: what is for the public to everybody, all else to those who may see alerts.
pub(crate) async fn file(call: Call) -> Answer {
    let Some(feeds) = call.room.web.feeds.clone() else { return Err(nothing()) };
    let file = call.path.clone().unwrap_or_default();
    let kind = match file.strip_suffix(".atom").or_else(|| file.strip_suffix(".cap.xml")) {
        Some(name) if is_name(name) && file.ends_with(".atom") => {
            "application/atom+xml; charset=utf-8"
        }
        Some(name) if is_name(name) => "application/cap+xml; charset=utf-8",
        _ => return Err(nothing()),
    };
    let path = feeds.folder.join(&file);
    let read = tokio::task::spawn_blocking(move || {
        let mut text = String::new();
        std::fs::File::open(path)?.take(FILE_BYTES_MAX).read_to_string(&mut text).map(|_| text)
    });
    let Ok(Ok(text)) = read.await else { return Err(nothing()) };
    if call.holder.role < Role::Viewer && !(feeds.is_public)(&text) {
        return Err(Problem::new(
            StatusCode::UNAUTHORIZED,
            "this feed is not for the public: it needs a token",
        ));
    }
    Ok(([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "no-cache")], text).into_response())
}

/// As subscriptions and alerts are called: nothing that leads elsewhere.
fn is_name(name: &str) -> bool {
    (1..=200).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

fn nothing() -> Problem {
    Problem::not_found("there is no such feed")
}
