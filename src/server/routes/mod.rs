//! The routes: extract, call, convert. Each is served under `/v1` and `/api/v1`, identically.

mod channel;
mod conversation;
mod runs;
mod server;
mod table;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use bytes::Bytes;
use futures::FutureExt;
use http::{HeaderValue, Method, header};
use serde::Serialize;
use tokio::time::Instant;
use tower::ServiceExt;

use super::App;
use super::error::{self, Refusal};
use super::request::Format;
use crate::measure::{RequestLabels, RouteLabel};
use crate::wire::{ErrorCode, ascii};

pub(super) use table::{Access, Place, Route, Verb, routes};

/// The forms of an answer that is one document.
const DOCUMENT: &[Format] = &[Format::Json, Format::Jsonl];

/// What answers the requests of a server.
#[derive(Clone)]
pub(super) struct Routes {
    router: Router,
    app: Arc<App>,
}

impl Routes {
    pub(super) fn new(app: Arc<App>) -> Self {
        // One flat router without layers: nested ones and layers cost every request more than its handler does.
        let mut router = Router::new();
        for route in routes(&app.options) {
            router = router
                .route(&format!("/v1{}", route.path), route.handler.clone())
                .route(&format!("/api/v1{}", route.path), route.handler);
        }
        let cors = super::cors::layer(&app.options.cors);
        let router = router
            .fallback(not_found)
            .method_not_allowed_fallback(method_not_allowed)
            .with_state(Arc::clone(&app));
        let router = match cors {
            Some(cors) => router.layer(cors),
            None => router,
        };
        Self { router, app }
    }

    /// Answers a request, counts and times it, and gives it a line of the log. What a refused one still sends is read
    /// first, and a handler that panics is an answer too.
    pub(super) async fn answer<B>(self, request: http::Request<B>) -> Response
    where
        B: http_body::Body<Data = Bytes, Error = axum::Error> + Send + Unpin + 'static,
    {
        let begun = Instant::now();
        let method = known_method(request.method());
        let route = self.app.route_of(request.uri().path());
        let router = self.router;
        let response = super::drain::unread_bodies(request, |request| async move {
            match AssertUnwindSafe(router.oneshot(request)).catch_unwind().await {
                Ok(Ok(response)) => response,
                Ok(Err(never)) => match never {},
                Err(panic) => error::panicked(panic),
            }
        })
        .await;
        observe(&self.app, method, route, begun.elapsed(), response.status().as_u16());
        response
    }
}

impl App {
    /// The route of a path, for labels and logs: a path itself may hold a secret.
    fn route_of(&self, path: &str) -> &'static str {
        let below = path.strip_prefix("/api").unwrap_or(path).strip_prefix("/v1");
        let is = |route: &&&'static str| {
            let mut parts = below.unwrap_or_default().split('/');
            route.split('/').all(|wanted| {
                parts
                    .next()
                    .is_some_and(|part| part == wanted || (wanted.starts_with('{') && !part.is_empty()))
            }) && parts.next().is_none()
        };
        self.route_names.iter().find(is).copied().unwrap_or("other")
    }
}

/// Counts a request that was answered, and gives it a line of the log.
fn observe(app: &App, method: &'static str, route: &'static str, took: Duration, status: u16) {
    let meters = &app.metrics.http;
    let labels = RequestLabels { method, route, status };
    meters.requests.get_or_create(&labels).inc();
    meters
        .seconds
        .get_or_create(&RouteLabel { route })
        .observe(took.as_secs_f64());
    let ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    match status {
        429 | 503 => match app.said.happened() {
            Some(unsaid) => tracing::warn!(method, route, status, ms, unsaid, "a request was turned away"),
            None => tracing::debug!(method, route, status, ms, "a request was turned away"),
        },
        _ => tracing::debug!(method, route, status, ms, "a request was answered"),
    }
}

/// A method as labels and logs have it: one of a few words.
pub(super) fn known_method(method: &Method) -> &'static str {
    let known = ["GET", "POST", "HEAD", "OPTIONS", "PUT", "DELETE", "PATCH"];
    known
        .into_iter()
        .find(|known| *known == method.as_str())
        .unwrap_or("other")
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
