//! Deliveries of an alert to subscriptions, for `alerts why-not`.
//!
//! Read from the page's API if it is running, otherwise from the streams.
//! Sends nothing.

use std::net::TcpStream;

use record::{Micros, time};
use web::{AlertDelivery, DeliveryState};

use super::ack;
use crate::commands::{Failure, reached_at};
use crate::config::Config;
use crate::roles::{notifier, stores, subscribers};

/// Subscription, state of delivery, and time.
type Delivery = (String, String, Micros);

/// A line for each subscription that includes the alert, or the reason why there is none.
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
                    "available to officials only: set a token by {}",
                    ack::TOKEN
                )]);
            }
        },
        Err(_) => match on_streams(config, alert) {
            Ok(found) => found,
            Err(why) => {
                return Ok(vec![format!(
                    "unknown: {why:#}; if the page listens on another address, set it by `--set \
                        web.listen=`"
                )]);
            }
        },
    };
    if found.is_empty() {
        return Ok(vec!["no subscription includes it, or none has received it yet".to_owned()]);
    }
    let line = |(name, state, at): Delivery| {
        let at = time::display(at);
        match state.as_str() {
            "sent" => format!("`{name}` was notified at {at}"),
            "at-once" => format!("`{name}` will be notified immediately, not before {at}"),
            "given-up" => format!("delivery to `{name}` failed"),
            _ => format!(
                "`{name}` has reached its limit of immediate alerts: included in the digest of {at}"
            ),
        }
    };
    Ok(found.into_iter().map(line).collect())
}

/// Nothing if the role of the caller does not allow it.
fn by_api(config: &Config, topic: &str, region: &str) -> Result<Option<Vec<Delivery>>, Failure> {
    let token = ack::token(None)?;
    let path = format!("/api/v1/why-not?topic={}&region={}", encoded(topic), encoded(region));
    let ask =
        |path: &str| ack::ask(reached_at(config.web.listen), token.as_deref(), "GET", path, None);
    let ((status, answer), (_, who)) = (ask(&path)?, ask("/api/v1/session")?);
    if status != 200 || !matches!(who["role"].as_str(), Some("official" | "operator")) {
        return Ok(None);
    }
    let deliveries = answer["deliveries"].as_array().into_iter().flatten();
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    Ok(Some(
        deliveries
            .map(|one| {
                (
                    text(&one["subscription"]),
                    text(&one["state"]),
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

fn on_streams(config: &Config, alert: &str) -> anyhow::Result<Vec<Delivery>> {
    let journal = stores::journal(config)?;
    let mut found = Vec::new();
    for name in subscribers::names(&*journal, config)? {
        let deliveries = notifier::alert_deliveries(&*journal, &name)?
            .into_iter()
            .filter(|delivery| delivery.alert == alert);
        found.extend(deliveries.map(|AlertDelivery { state, at, .. }: AlertDelivery| {
            (name.clone(), DeliveryState::name(state).to_owned(), at)
        }));
    }
    Ok(found)
}
