//! Runs that are asked for: dispatched to a channel, or carried out inline. What the body must hold is checked in
//! `validate`; what a run does is the engine's.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use bytes::Bytes;
use futures::StreamExt;
use http::HeaderMap;

use super::{DOCUMENT, document};
use crate::engine::Order;
use crate::hub::unix_millis;
use crate::server::error::Refusal;
use crate::server::request::{self, Caller, Format};
use crate::server::{App, stream, validate};
use crate::wire::event::RunResult;
use crate::wire::request::DispatchAnswer;
use crate::wire::{ApiError, ErrorCode, Event, EventKind, Object, ascii};

pub(super) async fn dispatch(
    State(app): State<Arc<App>>,
    Caller(account): Caller,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    let format = Format::negotiate(&headers, DOCUMENT)?;
    let body = request::read_body(&app, &headers, body).await?;
    let request = validate::dispatch(&body)?;
    let order = Order {
        timezone: request::timezone(&headers)?,
        ..Order::from(request.complete)
    };
    let channel_id = app.runs.dispatch(account, request.channel_id, order).await?;
    Ok(document(format, &DispatchAnswer { channel_id }))
}

pub(super) async fn complete(
    State(app): State<Arc<App>>,
    Caller(account): Caller,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    let format = Format::negotiate(&headers, &[Format::Json, Format::Jsonl, Format::Sse])?;
    let body = request::read_body(&app, &headers, body).await?;
    let order = Order {
        timezone: request::timezone(&headers)?,
        asked_at: Some(unix_millis()),
        ..Order::from(validate::complete(&body)?)
    };
    let (mut events, guard) = app.runs.complete(account, order)?;
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
