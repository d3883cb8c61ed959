//! The routes: extract, call, convert. Each is served under `/v1` and `/api/v1`, identically.

use std::collections::VecDeque;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use bytes::Bytes;
use futures::StreamExt;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::{Deserialize, Serialize};
use tower_http::catch_panic::CatchPanicLayer;

use super::App;
use super::error::{self, Refusal};
use super::request::{self, AnsweredChannel, Caller, Channel, Format, Known, WatchedChannel, Watcher};
use super::{stream, validate};
use crate::engine::Order;
use crate::hub::Start;
use crate::store::RunRecord;
use crate::wire::event::RunResult;
use crate::wire::request::{DispatchAnswer, PublishAnswer, Retention, RunList, RunSummary, ServerInfo};
use crate::wire::{ApiError, ErrorCode, Event, EventKind, Object, ascii};

/// The largest address and headers that are taken together, in bytes.
const LARGEST_HEAD: usize = 32 * 1024;

const DOCUMENT: &[Format] = &[Format::Json, Format::Jsonl];
const STREAM: &[Format] = &[Format::Jsonl, Format::Sse];

pub(super) fn router(app: Arc<App>) -> Router {
    let mut routes = Router::new()
        .route("/conversation/dispatch", post(dispatch))
        .route("/conversation/complete", post(complete))
        .route("/channel/{channelId}/subscribe", post(subscribe))
        .route("/channel/{channelId}/publish", post(publish))
        .route("/channel/{channelId}/cancel", post(cancel))
        .route("/run/list", get(run_list))
        .route("/server", get(server_info))
        .route("/health", get(health));
    if app.options.allow_stop {
        routes = routes.route("/server/stop", post(stop));
    }
    Router::new()
        .nest("/v1", routes.clone())
        .nest("/api/v1", routes)
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

fn bytes_of(format: Format, body: Vec<u8>) -> Response {
    let mut response = Response::new(Body::from(body));
    let kind = HeaderValue::from_static(format.content_type());
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

async fn dispatch(
    State(app): State<Arc<App>>,
    Caller(account): Caller,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    let format = Format::negotiate(&headers, DOCUMENT)?;
    let body = request::read_body(&app, &headers, body).await?;
    let request = validate::dispatch(&body)?;
    let order = Order::from(request.complete);
    let channel_id = app.runs.dispatch(account, request.channel_id, order).await?;
    Ok(document(format, &DispatchAnswer { channel_id }))
}

async fn complete(
    State(app): State<Arc<App>>,
    Caller(account): Caller,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    let format = Format::negotiate(&headers, &[Format::Json, Format::Jsonl, Format::Sse])?;
    let body = request::read_body(&app, &headers, body).await?;
    let (mut events, guard) = app.runs.complete(account, validate::complete(&body)?.into())?;
    if format == Format::Json {
        let mut end = None;
        while let Some(event) = events.recv().await {
            match event.kind {
                EventKind::Result(result) => end = Some(Ok(result)),
                EventKind::Error(error) => end = Some(Err(error)),
                _ => {}
            }
        }
        return match end {
            Some(Ok(result)) => {
                // The documented fields alone: typed clients know just these.
                let RunResult {
                    text,
                    mut usage,
                    mut end,
                    ..
                } = *result;
                usage.extra = Object::new();
                end.extra = Object::new();
                let extra = Object::new();
                Ok(document(
                    format,
                    &RunResult {
                        text,
                        usage,
                        end,
                        extra,
                    },
                ))
            }
            Some(Err(error)) => {
                let code = error.code.as_deref().map(ErrorCode::parse);
                Err(ApiError::new(code.unwrap_or(ErrorCode::InternalServerError), error.message).into())
            }
            None => Err(Refusal::new(ErrorCode::ServiceUnavailable, "the server is stopping")),
        };
    }
    let lines = futures::stream::unfold((events, guard), |(mut events, guard)| async move {
        loop {
            let mut line = Vec::new();
            // Everything that is ready goes out in one piece.
            let mut next = Some(events.recv().await?);
            while let Some(event) = next {
                if let Some(event) = for_answer(event) {
                    ascii::write_json(&mut line, &event);
                    line.push(b'\n');
                }
                next = events.try_recv().ok();
            }
            if !line.is_empty() {
                return Some((Bytes::from(line), (events, guard)));
            }
        }
    });
    Ok(stream::answer(lines.boxed(), format, app.options.heartbeat))
}

/// The event as a streaming `complete` carries it: only the types marked so in PROTOCOL, "Events of a run".
fn for_answer(mut event: Event) -> Option<Event> {
    match &mut event.kind {
        EventKind::WaitEnd(wait) => wait.message = None,
        EventKind::Token(_)
        | EventKind::ReasoningToken(_)
        | EventKind::Message(_)
        | EventKind::CompleteBegin(_)
        | EventKind::CompleteEnd(_)
        | EventKind::Usage(_)
        | EventKind::WaitBegin(_)
        | EventKind::Abort(_)
        | EventKind::Result(_)
        | EventKind::Error(_) => {}
        _ => return None,
    }
    Some(event)
}

async fn subscribe(
    State(app): State<Arc<App>>,
    WatchedChannel(key): WatchedChannel,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    let format = Format::negotiate(&headers, STREAM)?;
    let body = request::read_body(&app, &headers, body).await?;
    let request = validate::subscribe(&body)?;
    let last_seen = headers
        .get("last-event-id")
        .filter(|value| format == Format::Sse && !value.is_empty())
        .map(|value| value.to_str().ok().and_then(|id| id.trim().parse().ok()))
        .map(|id: Option<u64>| id.ok_or_else(|| Refusal::bad_request("`Last-Event-ID` is the number of an event")))
        .transpose()?;
    let start = match request.after.or(last_seen) {
        Some(after) => Start::After(after),
        None => Start::Newest(request.history_length.unwrap_or(0)),
    };
    let lines = app.hub.open(&key, start).await;
    Ok(stream::answer(lines, format, app.options.heartbeat))
}

async fn publish(
    State(app): State<Arc<App>>,
    AnsweredChannel(key): AnsweredChannel,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    let format = Format::negotiate(&headers, DOCUMENT)?;
    let body = request::read_body(&app, &headers, body).await?;
    let message = validate::publish(&body)?;
    app.hub.publish(&key, &ascii::to_json(&message)).await?;
    Ok(document(format, &PublishAnswer { id: key.channel }))
}

async fn cancel(
    State(app): State<Arc<App>>,
    Channel(key): Channel,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    let format = Format::negotiate(&headers, DOCUMENT)?;
    let body = request::read_body(&app, &headers, body).await?;
    validate::empty(&body)?;
    app.runs.cancel(&key).await?;
    Ok(document(format, &PublishAnswer { id: key.channel }))
}

async fn run_list(
    State(app): State<Arc<App>>,
    Watcher(account): Watcher,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let format = Format::negotiate(&headers, DOCUMENT)?;
    let items: VecDeque<RunSummary> = app.hub.runs(&account).await.into_iter().map(summary).collect();
    if format == Format::Json {
        return Ok(document(format, &RunList { items: items.into() }));
    }
    let mut lines = Vec::new();
    for item in &items {
        ascii::write_json(&mut lines, item);
        lines.push(b'\n');
    }
    Ok(bytes_of(format, lines))
}

fn summary(run: RunRecord) -> RunSummary {
    RunSummary {
        channel_id: run.key.channel,
        title: run.title,
        status: run.progress.status,
        model: run.model,
        created_at: run.created_at,
        ended_at: run.progress.ended_at,
        end_reason: run.progress.end_reason,
        waiting: run.progress.waiting.iter().map(|call| call.function.clone()).collect(),
        waiting_on: run.progress.waiting,
    }
}

async fn server_info(State(app): State<Arc<App>>, _caller: Known, headers: HeaderMap) -> Result<Response, Refusal> {
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
        live_runs: app.hub.counts().await.live_runs as u64,
        config_digest: options.config_digest.clone(),
    };
    Ok(document(format, &info))
}

async fn health(headers: HeaderMap) -> Result<Response, Refusal> {
    let format = Format::negotiate(&headers, DOCUMENT)?;
    Ok(document(
        format,
        &Object::from_iter([("status".to_owned(), "ok".into())]),
    ))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Stop {
    #[serde(default)]
    force: bool,
}

async fn stop(
    State(app): State<Arc<App>>,
    _caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    let format = Format::negotiate(&headers, DOCUMENT)?;
    let body = request::read_body(&app, &headers, body).await?;
    let Stop { force } = request::parse(&body)?;
    let live = app.hub.counts().await.live_runs;
    if live > 0 && !force {
        return Err(Refusal::new(
            ErrorCode::Conflict,
            format!("{live} runs have not ended: wait for them, or stop with `force` to end them"),
        ));
    }
    app.shutdown.cancel();
    let mut response = document(format, &Object::new());
    *response.status_mut() = StatusCode::OK;
    Ok(response)
}
