//! The one error map: every refusal leaves as `{"message": "…", "code": "…"}` with its status.
//!
//! Handlers return a [`Refusal`]; what axum and the handlers' panics would answer is replaced here too.

use std::any::Any;
use std::time::Duration;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};

use crate::hub::HubError;
use crate::wire::{ApiError, ErrorCode, ascii};

/// A request that is not granted.
#[derive(Debug, Clone)]
pub(super) struct Refusal {
    error: ApiError,
    /// The rest of the request was not read: the connection cannot be used again.
    close: bool,
    /// After how many seconds the same request may be taken.
    retry_after: Option<u64>,
}

impl Refusal {
    pub(super) fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            error: ApiError::new(code, message),
            close: false,
            retry_after: None,
        }
    }

    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::BadRequest, message)
    }

    pub(super) fn not_implemented(field: &str) -> Self {
        Self::new(
            ErrorCode::NotImplemented,
            format!("`{field}` is not implemented by this server: leave it out"),
        )
    }

    pub(super) fn not_authenticated(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::NotAuthenticated, message)
    }

    pub(super) fn too_large(limit: usize) -> Self {
        Self {
            close: true,
            ..Self::new(
                ErrorCode::ContentTooLarge,
                format!("the request's body is larger than the {limit} bytes that this server takes"),
            )
        }
    }

    pub(super) fn too_many_requests(wait: Duration) -> Self {
        let seconds = wait.as_secs_f64().ceil().max(1.0);
        Self::new(
            ErrorCode::TooManyRequests,
            format!("this account makes more requests than it may: wait for {seconds} s"),
        )
        .retry_after(wait)
    }

    /// Says when the same request may be taken; whole seconds, and one at least.
    pub(super) fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait.as_secs() + u64::from(wait.subsec_nanos() > 0).max(u64::from(wait.is_zero())));
        self
    }

    pub(super) fn closing(mut self) -> Self {
        self.close = true;
        self
    }
}

impl From<HubError> for Refusal {
    fn from(error: HubError) -> Self {
        let code = match error {
            HubError::Stopped | HubError::Store(_) => ErrorCode::ServiceUnavailable,
            HubError::Occupied => ErrorCode::Conflict,
        };
        Self::new(code, error.to_string())
    }
}

impl From<ApiError> for Refusal {
    fn from(error: ApiError) -> Self {
        Self {
            error,
            close: false,
            retry_after: None,
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::from(ascii::to_json(&self.error)));
        *response.status_mut() =
            StatusCode::from_u16(self.error.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if self.error.code == ErrorCode::NotAuthenticated {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.close {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

/// The answer when a handler panicked. What it panicked with goes to the log alone.
pub(super) fn panicked(panic: Box<dyn Any + Send + 'static>) -> Response {
    let text = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("no message");
    tracing::error!(panic = text, "a request's handler panicked");
    Refusal::new(
        ErrorCode::InternalServerError,
        "something in the server failed; its log says what",
    )
    .into_response()
}
