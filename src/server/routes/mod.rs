//! The routes: extract, call, convert. Each is served under `/v1` and `/api/v1`, identically.

mod channel;
mod conversation;
mod runs;
mod server;
mod table;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, header};
use serde::Serialize;
use tower_http::catch_panic::CatchPanicLayer;

use super::App;
use super::error::{self, Refusal};
use super::request::Format;
use crate::wire::{ErrorCode, ascii};

pub(super) use table::{Access, Place, Route, Verb, routes};

/// The largest address and headers that are taken together, in bytes.
const LARGEST_HEAD: usize = 32 * 1024;

/// The forms of an answer that is one document.
const DOCUMENT: &[Format] = &[Format::Json, Format::Jsonl];

pub(super) fn router(app: Arc<App>) -> Router {
    let mut served = Router::new();
    for route in routes(&app.options) {
        served = served.route(route.path, route.handler);
    }
    Router::new()
        .nest("/v1", served.clone())
        .nest("/api/v1", served)
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(axum::middleware::from_fn(limit_head))
        .layer(axum::middleware::from_fn(super::drain::unread_bodies))
        .layer(CatchPanicLayer::custom(error::panicked))
        .with_state(app)
}

async fn limit_head(request: Request, next: axum::middleware::Next) -> Response {
    let address = request
        .uri()
        .path_and_query()
        .map_or(0, |address| address.as_str().len());
    let headers: usize = request
        .headers()
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len() + 4)
        .sum();
    if address + headers > LARGEST_HEAD {
        return Refusal::head_too_large(LARGEST_HEAD).into_response();
    }
    next.run(request).await
}

async fn not_found(request: Request) -> Refusal {
    Refusal::new(
        ErrorCode::NotFound,
        format!("there is no route {} on this server", shown(request.uri().path())),
    )
}

async fn method_not_allowed(request: Request) -> Refusal {
    Refusal::new(
        ErrorCode::MethodNotAllowed,
        format!("{} does not take {}", shown(request.uri().path()), request.method()),
    )
}

/// A path for a message: channel ids are secrets, and messages end in logs.
fn shown(path: &str) -> String {
    let mut after_channel = false;
    let segments = path.split('/').map(|segment| {
        let hidden = std::mem::replace(&mut after_channel, segment == "channel");
        if hidden { "{channelId}" } else { segment }
    });
    segments.collect::<Vec<_>>().join("/")
}

fn document<T: Serialize>(format: Format, value: &T) -> Response {
    let mut body = ascii::to_json(value);
    if format == Format::Jsonl {
        body.push(b'\n');
    }
    bytes_of(format, body)
}

fn bytes_of(format: Format, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    let kind = HeaderValue::from_static(format.content_type());
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}
