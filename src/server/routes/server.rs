//! What the server says about itself, and stopping it.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, HeaderValue, StatusCode, header};

use super::{DOCUMENT, bytes_of, document, routes};
use crate::server::error::Refusal;
use crate::server::request::{self, Caller, Format, Known, Observer};
use crate::server::{App, metrics, openapi};
use crate::wire::request::{Health, Retention, ServerInfo, StopRequest};
use crate::wire::{ErrorCode, Object, ascii};

pub(super) async fn info(State(app): State<Arc<App>>, _caller: Known, headers: HeaderMap) -> Result<Response, Refusal> {
    let format = Format::negotiate(&headers, DOCUMENT)?;
    let options = &app.options;
    let info = ServerInfo {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        model: app.engine.model_name(),
        demo: app.engine.is_demo(),
        retention: Retention {
            seconds: options.retention.as_secs(),
            events: options.retention_events as u64,
        },
        limits: {
            let mut limits = app.engine.limits();
            limits.insert("bodyBytes".to_owned(), options.body_limit.into());
            limits.insert("runsInFlight".to_owned(), options.runs_in_flight.into());
            limits
        },
        // For who starts and stops the local server. With several accounts it would be the others' business.
        live_runs: options.allow_stop.then(|| app.hub.counts().live() as u64),
        config_digest: options.config_digest.clone().filter(|_| options.allow_stop),
    };
    Ok(document(format, &info))
}

pub(super) async fn health(headers: HeaderMap) -> Result<Response, Refusal> {
    let format = Format::negotiate(&headers, DOCUMENT)?;
    Ok(document(format, &Health::default()))
}

pub(super) async fn metrics(State(app): State<Arc<App>>, _observer: Observer) -> Result<Response, Refusal> {
    let text = app.metrics.text().map_err(|_| {
        // Writing to a text cannot fail but for an instrument that is broken.
        Refusal::new(ErrorCode::InternalServerError, "the metrics could not be written")
    })?;
    let mut response = Response::new(Body::from(text));
    let kind = HeaderValue::from_static(metrics::CONTENT_TYPE);
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    Ok(response)
}

pub(super) async fn openapi(State(app): State<Arc<App>>, headers: HeaderMap) -> Result<Response, Refusal> {
    let format = Format::negotiate(&headers, &[Format::Json])?;
    let made = || ascii::to_json(&openapi::document(&routes(&app.options))).into();
    Ok(bytes_of(format, app.openapi.get_or_init(made).clone()))
}

pub(super) async fn stop(
    State(app): State<Arc<App>>,
    _caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    let format = Format::negotiate(&headers, DOCUMENT)?;
    let body = request::read_body(&app, &headers, body).await?;
    let StopRequest { force } = request::parse(&body)?;
    let live = app.hub.counts().live();
    if live > 0 && !force {
        return Err(Refusal::new(
            ErrorCode::Conflict,
            format!("{live} runs have not ended: wait for them, or stop with `force` to interrupt them"),
        ));
    }
    app.shutdown.cancel();
    let mut response = document(format, &Object::new());
    *response.status_mut() = StatusCode::OK;
    Ok(response)
}
