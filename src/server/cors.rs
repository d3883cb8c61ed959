//! Which web pages may call the API from a browser (CORS): those of listed origins, with the headers that the API knows.
//!
//! Who may do what is decided by secrets, not here: a page shows its secret like any other client, and no cookies.

use std::time::Duration;

use http::{HeaderName, HeaderValue, Method, header};
use tower_http::cors::{AllowOrigin, CorsLayer};

/// How long a browser may remember what it was allowed.
const REMEMBERED: Duration = Duration::from_secs(3600);

/// What answers the browsers' questions, and marks answers for them; `None` when no origin is listed.
pub(super) fn layer(origins: &[HeaderValue]) -> Option<CorsLayer> {
    if origins.is_empty() {
        return None;
    }
    let allowed = if origins.iter().any(|origin| origin == "*") {
        AllowOrigin::any()
    } else {
        AllowOrigin::list(origins.iter().cloned())
    };
    let layer = CorsLayer::new()
        .allow_origin(allowed)
        .allow_methods([Method::GET, Method::POST])
        .allow_headers([
            header::AUTHORIZATION,
            header::CONTENT_TYPE,
            header::ACCEPT,
            HeaderName::from_static("last-event-id"),
            HeaderName::from_static("x-timezone"),
        ])
        .expose_headers([header::RETRY_AFTER])
        .max_age(REMEMBERED);
    Some(layer)
}
