//! Erasure of an author on request.

use std::time::Duration;

use axum::http::StatusCode;
use record::time::SECOND;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::{Answer, Call, PATIENCE};
use crate::problem::Problem;
use crate::{ErasureRefused, ErasureRequest};

/// All posts of the author's partition are looked through.
const WITHIN: Duration = Duration::from_secs(600);

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wanted {
    /// A DID, or `SOURCE:ID`.
    author: String,
}

#[derive(Serialize, JsonSchema)]
pub(crate) struct ErasedShown {
    author: String,
    at: i64,
    /// Posts that leave the counts, the topics that they matched, and the cells that they were
    /// counted in.
    posts: u64,
    topics: u64,
    cells: u64,
    /// Posts of hours that are final, whose counts stand.
    older: u64,
    /// When retention has deleted the last record of theirs in the streams `posts` and `tallies`.
    log_until: i64,
    /// When no state of the engine holds a pseudonym or a sampled post of theirs any more.
    state_until: i64,
}

/// `POST /api/v1/erasures`: 200 once the removal is in the log.
pub(crate) async fn erase(call: Call) -> Answer {
    let Wanted { author } = serde_json::from_slice(&call.body)
        .map_err(|_| Problem::bad_request("the body is `{\"author\": …}`"))?;
    let Some(erasures) = call.room.web.erasures.clone() else {
        let detail =
            "this server can't erase: it has no keys; `pumphandle erase` does it where ingest runs";
        return Err(Problem::new(StatusCode::NOT_IMPLEMENTED, detail));
    };
    let actor = if call.holder.name.is_empty() {
        call.holder.role.name().to_owned()
    } else {
        call.holder.name.clone()
    };
    let (answer, answered) = oneshot::channel();
    let busy = || {
        Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "the streams take nothing at the moment, try again",
        )
    };
    timeout(PATIENCE, erasures.send(ErasureRequest { author, actor, answer }))
        .await
        .map_err(|_| busy())?
        .map_err(|_| busy())?;
    match timeout(WITHIN, answered).await {
        Ok(Ok(Ok(erased))) => call.json(&ErasedShown {
            author: erased.author,
            at: erased.at.div_euclid(SECOND),
            posts: erased.posts,
            topics: erased.topics,
            cells: erased.cells,
            older: erased.older,
            log_until: erased.log_until.div_euclid(SECOND),
            state_until: erased.state_until.div_euclid(SECOND),
        }),
        Ok(Ok(Err(ErasureRefused::Invalid(why)))) => {
            Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, why))
        }
        Ok(Ok(Err(ErasureRefused::Failed(why)))) => {
            Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, why))
        }
        Ok(Err(_)) | Err(_) => Err(busy()),
    }
}
