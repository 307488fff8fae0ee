//! Signing in and out of the page.

use axum::http::{HeaderValue, StatusCode, header};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::access::{Holder, Role};
use crate::api::{Answer, Asked};
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

fn answer(asked: &Asked, holder: &Holder) -> Answer {
    asked.json(&Who {
        name: holder.name.clone(),
        role: holder.role.name(),
        simulated: asked.room.web.simulated,
        version: asked.room.web.version.clone(),
        acts: holder.role >= Role::Official && asked.room.web.can_change(),
    })
}

/// `GET /api/v1/session`.
pub(crate) async fn who(asked: Asked) -> Answer {
    answer(&asked, &asked.holder)
}

/// `POST /api/v1/session`: a token, or the start link's secret, becomes a cookie that no script can
/// read.
pub(crate) async fn sign_in(asked: Asked) -> Answer {
    let given: SignIn = serde_json::from_slice(&asked.body)
        .map_err(|_| Problem::bad_request("the body is `{\"token\": …}`"))?;
    let Some((holder, cookie)) = asked.room.sessions.open(given.token.trim()) else {
        return Err(Problem::new(StatusCode::UNAUTHORIZED, "invalid or expired token"));
    };
    with_cookie(answer(&asked, &holder)?, &cookie)
}

/// `DELETE /api/v1/session`.
pub(crate) async fn sign_out(asked: Asked) -> Answer {
    let cookie = asked.room.sessions.close(&asked.headers);
    with_cookie(answer(&asked, &asked.room.sessions.anonymous())?, &cookie)
}

fn with_cookie(mut response: axum::response::Response, cookie: &str) -> Answer {
    let cookie = HeaderValue::from_str(cookie).map_err(|_| {
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "no session could be opened")
    })?;
    response.headers_mut().insert(header::SET_COOKIE, cookie);
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}
