//! Subscriptions: listed, made, changed, removed and tested by officials.

use std::time::Duration;

use axum::http::StatusCode;
use record::time::SECOND;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::{Answer, Call, PATIENCE, name};
use crate::problem::Problem;
use crate::{
    AlertDelivery, DeliveryState, RecipientRefused, StoredSubscription, SubscriptionAnswer,
    SubscriptionRefused, SubscriptionRequest, SubscriptionWish, TestOutcome, Tested,
};

/// A mail server may take its time, for each recipient.
const TEST_PATIENCE: Duration = Duration::from_secs(60);

#[derive(Serialize, JsonSchema)]
pub(crate) struct Subscriptions {
    /// By name.
    subscriptions: Vec<SubscriptionShown>,
}

#[derive(Serialize, JsonSchema)]
struct SubscriptionShown {
    name: String,
    /// `file` (changed there only) or `page`.
    source: &'static str,
    /// How often it was written on the page; 0 of those in files.
    revision: u32,
    /// Who wrote it last, on the page.
    by: String,
    at: Option<i64>,
    /// Alerts that wait for its digest, beyond those that were sent at once.
    waiting: usize,
    /// Recipients whose mail server refused the last message.
    refused: Vec<RefusedShown>,
    /// Why nothing goes out at present.
    failing: Option<FailingShown>,
    /// As in a file of subscriptions, with what is usual filled in; of addresses of machines only
    /// the host.
    subscription: Value,
}

#[derive(Serialize, JsonSchema)]
struct RefusedShown {
    address: String,
    /// Of the SMTP reply.
    code: u16,
    why: String,
    at: i64,
}

#[derive(Serialize, JsonSchema)]
struct FailingShown {
    why: String,
    since: i64,
}

#[derive(Serialize, JsonSchema)]
pub(crate) struct TestShown {
    /// Each recipient with what became of the test.
    recipients: Vec<RecipientShown>,
}

#[derive(Serialize, JsonSchema)]
struct RecipientShown {
    recipient: String,
    /// `accepted`, `refused` (for good) or `failed`.
    outcome: &'static str,
    /// Of the SMTP reply that refused it.
    code: Option<u16>,
    why: Option<String>,
}

impl From<Tested> for RecipientShown {
    fn from(tested: Tested) -> RecipientShown {
        let (outcome, code, why) = match tested.outcome {
            TestOutcome::Accepted => ("accepted", None, None),
            TestOutcome::Refused { code, why } => ("refused", Some(code), Some(why)),
            TestOutcome::Failed { why } => ("failed", None, Some(why)),
        };
        RecipientShown { recipient: tested.recipient, outcome, code, why }
    }
}

impl From<StoredSubscription> for SubscriptionShown {
    fn from(stored: StoredSubscription) -> SubscriptionShown {
        let StoredSubscription { name, of_file, revision, by, at, alerts, delivery, subscription } =
            stored;
        let waiting = alerts.iter().filter(|alert| alert.state == DeliveryState::Digest).count();
        let source = if of_file { "file" } else { "page" };
        let refused = delivery.refused.into_iter().map(|refused| {
            let RecipientRefused { address, code, why, at } = refused;
            RefusedShown { address, code, why, at: at.div_euclid(SECOND) }
        });
        let failing = delivery
            .failing
            .map(|(why, since)| FailingShown { why, since: since.div_euclid(SECOND) });
        let (refused, at) = (refused.collect(), at.map(|at| at.div_euclid(SECOND)));
        SubscriptionShown {
            name,
            source,
            revision,
            by,
            at,
            waiting,
            refused,
            failing,
            subscription,
        }
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wanted {
    /// The revision that was looked at; 0 for a new one.
    after: u32,
    /// As in a file of subscriptions: `channel`, `to`, `topics`, `regions`, `when` and so on.
    subscription: Value,
}

/// `GET /api/v1/subscriptions`.
pub(crate) async fn list(call: Call) -> Answer {
    answer(&call, SubscriptionWish::List).await
}

/// `PUT /api/v1/subscriptions/{name}`: 200 with all of them once it holds, 409 if somebody else was
/// faster, 422 with every mistake.
pub(crate) async fn set(call: Call) -> Answer {
    let name = name("name", call.path.clone().unwrap_or_default())?;
    let wanted: Wanted = serde_json::from_slice(&call.body)
        .map_err(|why| Problem::bad_request(format!("the subscription can't be read: {why}")))?;
    answer(
        &call,
        SubscriptionWish::Set { name, after: wanted.after, subscription: wanted.subscription },
    )
    .await
}

/// `DELETE /api/v1/subscriptions/{name}?after=`.
pub(crate) async fn remove(call: Call) -> Answer {
    let name = name("name", call.path.clone().unwrap_or_default())?;
    let after = call.text("after").and_then(|after| after.parse().ok());
    let after =
        after.ok_or_else(|| Problem::bad_request("`after` is the revision that was looked at"))?;
    answer(&call, SubscriptionWish::Remove { name, after }).await
}

/// What subscriptions hear of alerts, each with the subscription's name; nothing where none are
/// stored, or the journal does not answer.
pub(super) async fn alert_deliveries(call: &Call) -> Vec<(String, AlertDelivery)> {
    let stored =
        ask(call, SubscriptionWish::List, PATIENCE).await.unwrap_or_default().subscriptions;
    stored
        .into_iter()
        .flat_map(|stored| stored.alerts.into_iter().map(move |alert| (stored.name.clone(), alert)))
        .collect()
}

/// `POST /api/v1/subscriptions/{name}/test`: sends a test to every recipient, and says what became
/// of it.
pub(crate) async fn test(call: Call) -> Answer {
    let name = name("name", call.path.clone().unwrap_or_default())?;
    let tested = ask(&call, SubscriptionWish::Test { name }, TEST_PATIENCE).await?.tested;
    call.json(&TestShown { recipients: tested.into_iter().map(RecipientShown::from).collect() })
}

async fn answer(call: &Call, wish: SubscriptionWish) -> Answer {
    let stored = ask(call, wish, PATIENCE).await?.subscriptions;
    call.json(&Subscriptions {
        subscriptions: stored.into_iter().map(SubscriptionShown::from).collect(),
    })
}

async fn ask(
    call: &Call,
    wish: SubscriptionWish,
    patience: Duration,
) -> Result<SubscriptionAnswer, Problem> {
    let Some(book) = call.room.web.subscriptions.clone() else {
        return Err(Problem::new(
            StatusCode::NOT_IMPLEMENTED,
            "this server keeps no subscriptions: it has no streams",
        ));
    };
    let actor = call.holder.actor();
    let (answer, answered) = oneshot::channel();
    let busy = || {
        Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "the streams take nothing at the moment, try again",
        )
    };
    timeout(PATIENCE, book.send(SubscriptionRequest { wish, actor, answer }))
        .await
        .map_err(|_| busy())?
        .map_err(|_| busy())?;
    match timeout(patience, answered).await {
        Ok(Ok(Ok(stored))) => Ok(stored),
        Ok(Ok(Err(refused))) => Err(refusal(refused)),
        Ok(Err(_)) | Err(_) => Err(busy()),
    }
}

fn refusal(refused: SubscriptionRefused) -> Problem {
    match refused {
        SubscriptionRefused::Unknown => {
            Problem::not_found("there is no such subscription, or it is not of the page")
        }
        SubscriptionRefused::Stale => Problem::new(
            StatusCode::CONFLICT,
            "somebody else has changed this subscription meanwhile",
        ),
        SubscriptionRefused::Invalid(why) => Problem::new(StatusCode::UNPROCESSABLE_ENTITY, why),
        SubscriptionRefused::Failed(why) => Problem::new(StatusCode::SERVICE_UNAVAILABLE, why),
    }
}
