//! What went wrong, as `application/problem+json` (RFC 9457).

use std::time::Duration;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use warehouse::WarehouseError;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) status: StatusCode,
    pub(crate) detail: String,
    /// When it is worth asking again.
    retry: Option<Duration>,
}

impl Problem {
    pub(crate) fn new(status: StatusCode, detail: impl Into<String>) -> Problem {
        Problem { status, detail: detail.into(), retry: None }
    }

    pub(crate) fn too_many(wait: Duration) -> Problem {
        let detail = "too many questions from this address, ask again later";
        Problem { retry: Some(wait), ..Problem::new(StatusCode::TOO_MANY_REQUESTS, detail) }
    }

    /// For what another moment may answer.
    pub(crate) fn busy(detail: impl Into<String>) -> Problem {
        Problem {
            retry: Some(Duration::ZERO),
            ..Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail)
        }
    }

    pub(crate) fn bad_request(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::BAD_REQUEST, detail)
    }

    pub(crate) fn not_found(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::NOT_FOUND, detail)
    }
}

/// The cause is the operator's to know: it is on their disk, and names paths.
impl From<WarehouseError> for Problem {
    fn from(error: WarehouseError) -> Problem {
        if matches!(error, WarehouseError::TimedOut { .. }) {
            Problem::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "the query took too long and was stopped; ask for a shorter span, or later",
            )
        } else if error.try_again() {
            Problem::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "the warehouse can't be read at the moment",
            )
        } else {
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the warehouse gave no answer")
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = serde_json::json!({
            "type": "about:blank",
            "title": self.status.canonical_reason().unwrap_or("Error"),
            "status": self.status.as_u16(),
            "detail": self.detail,
        });
        let mut response =
            (self.status, [(header::CONTENT_TYPE, "application/problem+json")], body.to_string())
                .into_response();
        if let Some(retry) = self.retry {
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, HeaderValue::from(retry.as_secs() + 1));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            response
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}
