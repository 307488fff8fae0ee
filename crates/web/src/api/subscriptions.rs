//! Who hears of what: subscriptions listed, made, changed and taken away by those who may.

use axum::http::StatusCode;
use record::time::SECOND;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::{Answer, Asked, PATIENCE, name};
use crate::problem::Problem;
use crate::{Hears, Owed, SubscriptionAsked, SubscriptionKept, SubscriptionRefused, SubscriptionWish};

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
    /// As in a file of subscriptions, with what is usual filled in; of addresses of machines only the host.
    subscription: Value,
}

impl From<SubscriptionKept> for SubscriptionShown {
    fn from(kept: SubscriptionKept) -> SubscriptionShown {
        let SubscriptionKept { name, of_file, revision, by, at, owed, subscription } = kept;
        let waiting = owed.iter().filter(|owed| owed.hears == Hears::Digest).count();
        let source = if of_file { "file" } else { "page" };
        SubscriptionShown { name, source, revision, by, at: at.map(|at| at.div_euclid(SECOND)), waiting, subscription }
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
pub(crate) async fn list(asked: Asked) -> Answer {
    answer(&asked, SubscriptionWish::List).await
}

/// `PUT /api/v1/subscriptions/{name}`: 200 with all of them once it holds, 409 if somebody else was faster, 422 with every mistake.
pub(crate) async fn set(asked: Asked) -> Answer {
    let name = name("name", asked.path.clone().unwrap_or_default())?;
    let wanted: Wanted =
        serde_json::from_slice(&asked.body).map_err(|why| Problem::bad_request(format!("the subscription can't be read: {why}")))?;
    answer(&asked, SubscriptionWish::Set { name, after: wanted.after, subscription: wanted.subscription }).await
}

/// `DELETE /api/v1/subscriptions/{name}?after=`.
pub(crate) async fn remove(asked: Asked) -> Answer {
    let name = name("name", asked.path.clone().unwrap_or_default())?;
    let after = asked.text("after").and_then(|after| after.parse().ok());
    let after = after.ok_or_else(|| Problem::bad_request("`after` is the revision that was looked at"))?;
    answer(&asked, SubscriptionWish::Remove { name, after }).await
}

/// What subscriptions hear of alerts, each with the subscription's name; nothing where none are kept, or they can't be asked now.
pub(super) async fn owed(asked: &Asked) -> Vec<(String, Owed)> {
    let kept = ask(asked, SubscriptionWish::List).await.unwrap_or_default();
    kept.into_iter().flat_map(|kept| kept.owed.into_iter().map(move |owed| (kept.name.clone(), owed))).collect()
}

async fn answer(asked: &Asked, wish: SubscriptionWish) -> Answer {
    let kept = ask(asked, wish).await?;
    asked.json(&Subscriptions { subscriptions: kept.into_iter().map(SubscriptionShown::from).collect() })
}

async fn ask(asked: &Asked, wish: SubscriptionWish) -> Result<Vec<SubscriptionKept>, Problem> {
    let Some(book) = asked.room.web.subscriptions.clone() else {
        return Err(Problem::new(StatusCode::NOT_IMPLEMENTED, "this server keeps no subscriptions: it has no streams"));
    };
    let actor = if asked.holder.name.is_empty() { asked.holder.role.name().to_owned() } else { asked.holder.name.clone() };
    let (answer, answered) = oneshot::channel();
    let busy = || Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the streams take nothing at the moment, try again");
    timeout(PATIENCE, book.send(SubscriptionAsked { wish, actor, answer })).await.map_err(|_| busy())?.map_err(|_| busy())?;
    match timeout(PATIENCE, answered).await {
        Ok(Ok(Ok(kept))) => Ok(kept),
        Ok(Ok(Err(refused))) => Err(refusal(refused)),
        Ok(Err(_)) | Err(_) => Err(busy()),
    }
}

fn refusal(refused: SubscriptionRefused) -> Problem {
    match refused {
        SubscriptionRefused::Unknown => Problem::not_found("there is no such subscription on the page"),
        SubscriptionRefused::Stale => Problem::new(StatusCode::CONFLICT, "somebody else has changed this subscription meanwhile"),
        SubscriptionRefused::Invalid(why) => Problem::new(StatusCode::UNPROCESSABLE_ENTITY, why),
        SubscriptionRefused::Failed(why) => Problem::new(StatusCode::SERVICE_UNAVAILABLE, why),
    }
}
