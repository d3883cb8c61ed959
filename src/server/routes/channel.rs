//! Channels: subscribing, publishing, and stopping the run. What a channel keeps is the hub's.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use http::HeaderMap;

use super::{DOCUMENT, document};
use crate::hub::Start;
use crate::server::error::Refusal;
use crate::server::request::{self, AnsweredChannel, Channel, Format, WatchedChannel};
use crate::server::{App, stream, validate};
use crate::wire::ascii;
use crate::wire::request::PublishAnswer;

const STREAM: &[Format] = &[Format::Jsonl, Format::Sse];

pub(super) async fn subscribe(
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
    // A reader that connects again sends the same body, and what it has seen since beside it.
    let start = match last_seen.or(request.after) {
        Some(after) => Start::After(after),
        None => Start::Newest(request.history_length.unwrap_or(0)),
    };
    let lines = app.hub.open(&key, start).await;
    let open = &app.metrics.http.subscribers;
    Ok(stream::counted(lines, format, app.options.heartbeat, open))
}

pub(super) async fn publish(
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

pub(super) async fn cancel(
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
