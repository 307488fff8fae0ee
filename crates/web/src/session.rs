//! Signing in and out of the page.

use axum::http::{HeaderValue, StatusCode, header};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::access::{Holder, Role};
use crate::api::{Answer, Call};
use crate::problem::Problem;

#[derive(Serialize, JsonSchema)]
pub(crate) struct Who {
    name: String,
    /// `public`, `viewer`, `analyst`, `official` or `operator`.
    role: &'static str,
    simulated: bool,
    version: String,
    /// Whether alerts can be changed here.
    acts: bool,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SignIn {
    /// A token, or the secret of the start link.
    token: String,
}

fn answer(call: &Call, holder: &Holder) -> Answer {
    call.json(&Who {
        name: holder.name.clone(),
        role: holder.role.name(),
        simulated: call.room.web.simulated,
        version: call.room.web.version.clone(),
        acts: holder.role >= Role::Official && call.room.web.can_change(),
    })
}

/// `GET /api/v1/session`.
pub(crate) async fn who(call: Call) -> Answer {
    answer(&call, &call.holder)
}

/// `POST /api/v1/session`: a token, or the start link's secret, becomes a cookie that no script can
/// read.
pub(crate) async fn sign_in(call: Call) -> Answer {
    let given: SignIn = serde_json::from_slice(&call.body)
        .map_err(|_| Problem::bad_request("the body is `{\"token\": …}`"))?;
    let Some((holder, cookie)) = call.room.sessions.open(given.token.trim()) else {
        return Err(Problem::new(StatusCode::UNAUTHORIZED, "invalid or expired token"));
    };
    with_cookie(answer(&call, &holder)?, &cookie)
}

/// `DELETE /api/v1/session`.
pub(crate) async fn sign_out(call: Call) -> Answer {
    let cookie = call.room.sessions.close(&call.headers);
    with_cookie(answer(&call, &call.room.sessions.anonymous())?, &cookie)
}

fn with_cookie(mut response: axum::response::Response, cookie: &str) -> Answer {
    let cookie = HeaderValue::from_str(cookie).map_err(|_| {
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "no session could be opened")
    })?;
    response.headers_mut().insert(header::SET_COOKIE, cookie);
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}
