//! The model of a round: an OpenAI-compatible endpoint that says what the plan of each run says, and looks closely at
//! what it is asked.
//!
//! Each server process has an address of its own here, so that what one of them asks is told from what the next asks.

use std::convert::Infallible;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use futures::stream;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::plan::{INPUT_TOKENS, Source, Turn};
use crate::world::{Run, World};

/// Starts the endpoint; gives its address, to which a server's number and `/v1` are added.
pub async fn start(world: Arc<World>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    let router = Router::new()
        .route("/{server}/v1/chat/completions", post(answer))
        .with_state(Arc::clone(&world));
    let over = world.over.clone();
    tokio::spawn(async move {
        tokio::select! {
            () = over.cancelled() => {}
            _ = axum::serve(listener, router) => {}
        }
    });
    format!("http://{address}")
}

async fn answer(State(world): State<Arc<World>>, Path(server): Path<usize>, body: Bytes) -> Response {
    match find(&world, server, &body) {
        Ok((run, turn)) => stream_turn(&run, turn),
        Err(why) => {
            world.fault(format!("the model was asked what nobody planned: {why}"));
            (StatusCode::BAD_REQUEST, why).into_response()
        }
    }
}

/// Which run asks, and for which of its turns. What it asks with has to be what came of it so far, exactly.
fn find(world: &World, server: usize, body: &[u8]) -> Result<(Arc<Run>, usize), String> {
    let request: Value = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let messages = request["messages"].as_array().ok_or("it has no messages")?;
    let mut messages = messages.iter();
    let prompt = messages.next().and_then(|message| message["content"].as_str());
    let prompt = prompt.ok_or("it has no prompt")?;
    let name = prompt.split(' ').next().unwrap_or_default();
    let run = world.run(name).ok_or_else(|| format!("no run is called {name}"))?;
    if !run.plan.prompts().any(|known| known == prompt) {
        return Err(format!("{name} asks with the prompt {prompt:?}"));
    }
    let mut heard: Vec<((usize, usize), String)> = Vec::new();
    let mut turn = 0;
    while let Some(message) = messages.next() {
        let said = run.plan.turns.get(turn).ok_or(format!("{name} has no turn {turn}"))?;
        let expected = match said.whole_text() {
            text if text.is_empty() => Value::Null,
            text => json!(text),
        };
        let calls = message["tool_calls"].as_array().map_or(&[][..], Vec::as_slice);
        if message["role"] != "assistant" || message["content"] != expected || calls.len() != said.calls.len() {
            return Err(format!("{name} asks with another turn {turn}: {message}"));
        }
        for (at, call) in calls.iter().enumerate() {
            let planned = &said.calls[at];
            let arguments: Value = call["function"]["arguments"]
                .as_str()
                .and_then(|text| serde_json::from_str(text).ok())
                .unwrap_or_default();
            if call["function"]["name"] != json!(planned.function) || arguments != planned.arguments {
                return Err(format!("{name} asks with another call: {call}"));
            }
            let result = messages.next().ok_or(format!("{name} asks without a result"))?;
            let content = result["content"].as_str().unwrap_or_default();
            if result["role"] != "tool" || result["tool_call_id"] != call["id"] {
                return Err(format!("{name} asks with {result} after {call}"));
            }
            let known = match &planned.source {
                Source::Known(value) => Some(value.to_string()),
                Source::Channel(_) => None,
            };
            if known.is_some_and(|known| known != content) {
                return Err(format!("{name} got another known result: {result}"));
            }
            heard.push(((turn, at), content.to_owned()));
        }
        turn += 1;
    }
    if turn >= run.plan.turns.len() {
        return Err(format!("{name} asks for a turn {turn}, and has none"));
    }
    let mut state = run.lock();
    if let Some(cancelled) = state.cancelled_in.filter(|cancelled| *cancelled < server) {
        return Err(format!(
            "{name} asks at server {server} though it was cancelled at {cancelled}"
        ));
    }
    if !state.asked.insert((server, turn)) {
        return Err(format!("{name} asks twice for turn {turn} at server {server}"));
    }
    for (call, content) in heard {
        let before = state.heard.entry(call).or_insert_with(|| content.clone());
        if *before != content {
            return Err(format!(
                "{name}: the result of {call:?} was {before:?} and is {content:?}"
            ));
        }
    }
    drop(state);
    Ok((run, turn))
}

fn stream_turn(run: &Run, turn: usize) -> Response {
    let pace = run.plan.pace;
    let chunks = chunks(&run.plan.turns[turn]);
    let body = stream::unfold(chunks.into_iter(), move |mut chunks| async move {
        let chunk = chunks.next()?;
        if !pace.is_zero() {
            tokio::time::sleep(pace).await;
        }
        Some((Ok::<_, Infallible>(Bytes::from(chunk)), chunks))
    });
    ([("content-type", "text/event-stream")], Body::from_stream(body)).into_response()
}

fn chunks(turn: &Turn) -> Vec<String> {
    let chunk = |delta: Value, finish: Value| {
        let chunk = json!({"model": "scripted", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]});
        format!("data: {chunk}\n\n")
    };
    let mut chunks = Vec::new();
    for piece in &turn.reasoning {
        chunks.push(chunk(json!({"reasoning_content": piece}), Value::Null));
    }
    for piece in &turn.text {
        chunks.push(chunk(json!({"content": piece}), Value::Null));
    }
    for (index, call) in turn.calls.iter().enumerate() {
        let arguments = call.arguments.to_string();
        let (head, tail) = arguments.split_at(arguments.len() / 2);
        let begin = json!({"tool_calls": [{"index": index, "id": call.id, "type": "function",
            "function": {"name": call.function, "arguments": head}}]});
        let rest = json!({"tool_calls": [{"index": index, "function": {"arguments": tail}}]});
        chunks.push(chunk(begin, Value::Null));
        chunks.push(chunk(rest, Value::Null));
    }
    let finish = if turn.calls.is_empty() { "stop" } else { "tool_calls" };
    let usage = json!({"choices": [],
        "usage": {"prompt_tokens": INPUT_TOKENS, "completion_tokens": turn.output_tokens()}});
    chunks.push(format!(
        "{}data: {usage}\n\ndata: [DONE]\n\n",
        chunk(json!({}), json!(finish))
    ));
    chunks
}
