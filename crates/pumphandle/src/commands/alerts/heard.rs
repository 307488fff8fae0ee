//! Who hears of an alert: asked of the page's API if one listens, else of the streams themselves.

use std::net::TcpStream;

use record::{Micros, time};
use web::{Hears, Owed};

use super::ack;
use crate::commands::{Failure, reached_at};
use crate::config::Config;
use crate::roles::{notifier, stores, subscribers};

/// Subscription, what it hears, and when.
type Heard = (String, String, Micros);

/// A line for each subscription that covers the alert, or one that says why there is none.
pub(super) fn lines(
    config: &Config,
    alert: &str,
    topic: &str,
    region: &str,
) -> Result<Vec<String>, Failure> {
    let found = match TcpStream::connect_timeout(
        &reached_at(config.web.listen),
        ack::CONNECT_WITHIN,
    ) {
        Ok(_) => match by_api(config, topic, region)? {
            Some(found) => found,
            None => {
                return Ok(vec![format!(
                    "the page says it to officials: give a token by {}",
                    ack::TOKEN
                )]);
            }
        },
        Err(_) => match on_streams(config, alert) {
            Ok(found) => found,
            // Whoever reads the streams may listen elsewhere; what is known of the alert stands all
            // the same.
            Err(why) => {
                return Ok(vec![format!(
                    "not known now: {why:#}; where its page listens elsewhere, say so by `--set \
                        web.listen=`"
                )]);
            }
        },
    };
    if found.is_empty() {
        return Ok(vec!["no subscription covers it, or none has heard of it yet".to_owned()]);
    }
    let line = |(name, hears, at): Heard| {
        let at = time::display(at);
        match hears.as_str() {
            "told" => format!("`{name}` was told at {at}"),
            "at-once" => format!("`{name}` is told at once, not before {at}"),
            "given-up" => format!("`{name}` couldn't be told"),
            _ => format!("`{name}` has no room for it at once, it waits for the digest of {at}"),
        }
    };
    Ok(found.into_iter().map(line).collect())
}

/// Nothing where whoever asks may not know.
fn by_api(config: &Config, topic: &str, region: &str) -> Result<Option<Vec<Heard>>, Failure> {
    let token = std::env::var(ack::TOKEN).ok();
    let path = format!("/api/v1/why-not?topic={}&region={}", encoded(topic), encoded(region));
    let ask = |path: &str| {
        ack::ask(reached_at(config.web.listen), token.as_deref().map(str::trim), "GET", path, None)
    };
    let ((status, answer), (_, who)) = (ask(&path)?, ask("/api/v1/session")?);
    if status != 200 || !matches!(who["role"].as_str(), Some("official" | "operator")) {
        return Ok(None);
    }
    let heard = answer["heard"].as_array().into_iter().flatten();
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    Ok(Some(
        heard
            .map(|one| {
                (
                    text(&one["subscription"]),
                    text(&one["hears"]),
                    one["at"].as_i64().unwrap_or(0) * time::SECOND,
                )
            })
            .collect(),
    ))
}

/// As a part of an address.
fn encoded(text: &str) -> String {
    let byte = |byte: u8| {
        if byte.is_ascii_alphanumeric() || byte == b'-' {
            char::from(byte).to_string()
        } else {
            format!("%{byte:02X}")
        }
    };
    text.bytes().map(byte).collect()
}

fn on_streams(config: &Config, alert: &str) -> anyhow::Result<Vec<Heard>> {
    let journal = stores::journal(config)?;
    let mut found = Vec::new();
    for name in subscribers::names(&*journal, config)? {
        let owed = notifier::owed(&*journal, &name)?.into_iter().filter(|owed| owed.alert == alert);
        found.extend(
            owed.map(|Owed { hears, at, .. }: Owed| {
                (name.clone(), Hears::name(hears).to_owned(), at)
            }),
        );
    }
    Ok(found)
}
