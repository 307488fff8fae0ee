//! Alertmanager, API v2: sent again while an alert is open, resolved when it is over.
//!
//! It keeps alerts in memory and forgets what isn't repeated; so a repetition after its restart, or
//! ours, is all it needs.
//! What an alert is known by there are its labels: they never change in its life, so numbers are
//! annotations only.

use record::time::{MINUTE, Micros, SECOND};
use record::{Alert, AlertState};
use serde::Serialize;

use super::SendError;
use crate::http::{self, Reach};
use crate::words::{self, Telling};

/// How often what is open is said again.
pub const AGAIN_EVERY: Micros = MINUTE;
/// How long it stands without being said again: ten misses.
const STANDS_FOR: Micros = 10 * MINUTE;
/// How long after its end it is said to be over.
pub const RESOLVED_FOR: Micros = 5 * MINUTE;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Posted<'a> {
    labels: Labels<'a>,
    annotations: Annotations,
    starts_at: String,
    ends_at: String,
    #[serde(rename = "generatorURL", skip_serializing_if = "Option::is_none")]
    generator_url: Option<String>,
}

#[derive(Serialize)]
struct Labels<'a> {
    alertname: &'static str,
    id: &'a str,
    topic: &'a str,
    region: &'a str,
    severity: &'static str,
    detector: &'a str,
    subscription: &'a str,
}

#[derive(Serialize)]
struct Annotations {
    summary: String,
    description: String,
    #[serde(flatten)]
    numbers: Numbers,
}

/// The public gets a word in place of them.
#[derive(Serialize)]
#[serde(untagged)]
enum Numbers {
    Level { level: &'static str },
    Exact { observed: String, expected: String, upperbound: String },
}

/// What stays the same in an alert's life there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, serde::Deserialize)]
pub struct Named {
    pub region: String,
    pub severity: u8,
    pub detector: String,
}

impl Named {
    pub fn of(alert: &Alert) -> Named {
        Named {
            region: alert.region.clone(),
            severity: alert.severity,
            detector: alert.method.clone(),
        }
    }
}

/// The body for one alert.
pub fn body(
    alert: &Alert,
    named: &Named,
    telling: &Telling<'_>,
    subscription: &str,
    page: Option<&str>,
    now: Micros,
) -> String {
    let ends_at = if alert.state == AlertState::Open { now + STANDS_FOR } else { now };
    let posted = Posted {
        labels: Labels {
            alertname: "PumphandleAlert",
            id: &alert.id,
            topic: &alert.topic,
            region: &named.region,
            severity: if named.severity >= 2 { "critical" } else { "warning" },
            detector: &named.detector,
            subscription,
        },
        annotations: Annotations {
            summary: words::headline(alert, telling),
            description: words::rest(alert, telling),
            numbers: match telling.rise {
                Some(rise) => Numbers::Level { level: rise.name() },
                None => Numbers::Exact {
                    observed: alert.observed.to_string(),
                    expected: format!("{:.1}", alert.expected),
                    upperbound: format!("{:.1}", alert.upperbound),
                },
            },
        },
        starts_at: record::time::display(alert.fired_at.min(now).div_euclid(SECOND) * SECOND),
        ends_at: record::time::display(ends_at.div_euclid(SECOND) * SECOND),
        generator_url: page.map(|page| format!("{page}/alerts/{}", alert.id)),
    };
    // Plain text always encodes.
    serde_json::to_string(&[posted]).unwrap_or_default()
}

/// The body of a test, which resolves by itself within a minute.
pub fn test_body(subscription: &str, now: Micros) -> String {
    let at = |at: Micros| record::time::display(at.div_euclid(SECOND) * SECOND);
    let posted = serde_json::json!([{
        "labels": { "alertname": "PumphandleTest", "severity": "none", "subscription": subscription },
        "annotations": { "summary": "This is a test. There is no alert." },
        "startsAt": at(now),
        "endsAt": at(now + MINUTE),
    }]);
    posted.to_string()
}

pub fn send(reach: &Reach, url: &str, body: &str) -> Result<(), SendError> {
    let answer = http::post(
        reach,
        &format!("{}/api/v2/alerts", url.trim_end_matches('/')),
        &[],
        body.as_bytes(),
    )?;
    match answer.status {
        200..=299 => Ok(()),
        400 => Err(SendError::never(format!("Alertmanager refuses it: {}", answer.said))),
        status => Err(SendError::Later {
            why: format!("Alertmanager answers {status}: {}", answer.said),
            after: answer.retry_after,
        }),
    }
}
