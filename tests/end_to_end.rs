//! The whole way over real sockets: a scripted upstream model, the engine, the log, HTTP, and the client's feed.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use serde_json::{Value, json};
use switchboard::client::feed::{self, FeedOptions};
use switchboard::client::{Client, ClientError, Endpoint, Timeouts, mint_channel_id};
use switchboard::engine::{Engine, EngineLimits};
use switchboard::llm::{ModelOptions, connect};
use switchboard::server::{Account, ServerOptions, serve};
use switchboard::transcript::{BlockKind, CallState, Connection, FeedBatch, Transcript};
use switchboard::wire::request::{Function, FunctionResult, RunStatus};
use switchboard::wire::{ChannelId, CompleteRequest, DispatchRequest};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};

const SECRET: &str = "end-to-end-secret";
const PATIENCE: Duration = Duration::from_secs(30);
const WORDS: [&str; 4] = ["Grüße, ", "wörld ", "\u{1f600}\u{2028}", "done."];

/// An upstream: refuses a prompt that says "refuse", calls `lookup` for one that says "call", else answers.
async fn upstream() -> String {
    async fn answer(body: Bytes) -> Response {
        let request: Value = serde_json::from_slice(&body).expect("the engine sends JSON");
        let messages = request["messages"].as_array().expect("messages").clone();
        let said = |word: &str| {
            messages
                .iter()
                .any(|message| message["role"] == "user" && message["content"].to_string().contains(word))
        };
        if said("refuse") {
            let body = json!({"error": {"message": "the model is on holiday"}}).to_string();
            return (StatusCode::INTERNAL_SERVER_ERROR, body).into_response();
        }
        let tool = messages.iter().find(|message| message["role"] == "tool");
        let chunk = |delta: Value, finish: Value| {
            let chunk =
                json!({"model": "scripted", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]});
            format!("data: {chunk}\n\n")
        };
        let mut stream = String::new();
        if said("call") && tool.is_none() {
            let call = json!({"tool_calls": [{"index": 0, "id": "c1", "type": "function",
                "function": {"name": "lookup", "arguments": "{\"id\": 7}"}}]});
            stream += &chunk(call, json!("tool_calls"));
        } else {
            stream += &chunk(json!({"reasoning_content": "hm"}), Value::Null);
            let result = tool.map(|tool| tool["content"].as_str().unwrap_or_default().to_owned());
            for word in result.iter().map(String::as_str).chain(WORDS) {
                stream += &chunk(json!({ "content": word }), Value::Null);
            }
            stream += &chunk(json!({}), json!("stop"));
        }
        let usage = json!({"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 5}});
        stream += &format!("data: {usage}\n\ndata: [DONE]\n\n");
        ([("content-type", "text/event-stream")], stream).into_response()
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move { axum::serve(listener, Router::new().route("/v1/chat/completions", post(answer))).await });
    format!("http://{address}/v1")
}

/// The real server on the scripted upstream, and a client of it; the guard stops the server.
async fn server() -> (Client, DropGuard) {
    let model = connect(ModelOptions::new(upstream().await, "scripted")).expect("a model");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    let options = ServerOptions {
        accounts: vec![Account::with_secret("test", SECRET)],
        ..ServerOptions::default()
    };
    let shutdown = CancellationToken::new();
    let engine = Arc::new(Engine::new(model, EngineLimits::default()));
    tokio::spawn(serve(listener, options, engine, shutdown.clone()));
    let client = Client::new(Endpoint::local(port, SECRET), Timeouts::default()).expect("a client");
    (client, shutdown.drop_guard())
}

/// Follows a channel into a transcript until `enough`, or to its end.
async fn follow(client: &Client, channel: &ChannelId, enough: impl Fn(&Transcript) -> bool) -> Transcript {
    let (sender, mut batches) = mpsc::channel::<FeedBatch>(4);
    let cancel = CancellationToken::new();
    let _leave = cancel.clone().drop_guard();
    tokio::spawn(feed::run(
        client.clone(),
        channel.clone(),
        FeedOptions::default(),
        sender,
        cancel,
    ));
    let mut transcript = Transcript::new();
    let all = async {
        while let Some(batch) = batches.recv().await {
            for item in batch.items {
                transcript.apply(item, 0);
            }
            if batch.connection == Some(Connection::Ended) || enough(&transcript) {
                return;
            }
        }
        panic!("the feed went before the end");
    };
    timeout(PATIENCE, all).await.expect("an end in time");
    transcript
}

fn run(prompt: &str) -> DispatchRequest {
    DispatchRequest {
        channel_id: Some(mint_channel_id()),
        complete: CompleteRequest::prompt(prompt),
    }
}

fn texts(transcript: &Transcript) -> Vec<String> {
    transcript
        .blocks()
        .map(|block| match &block.kind {
            BlockKind::Prompt { text, .. } => format!("prompt {text}"),
            BlockKind::Answer { text, streaming } => format!("answer {text} {streaming}"),
            BlockKind::Reasoning { text, .. } => format!("reasoning {text}"),
            BlockKind::Usage { input, output, .. } => format!("usage {input} {output}"),
            BlockKind::End { reason, .. } => format!("end {reason}"),
            BlockKind::Failure { message, .. } => format!("failure {message}"),
            other => format!("{other:?}"),
        })
        .collect()
}

#[tokio::test]
async fn a_run_is_the_same_for_who_was_there_first_and_who_came_late() {
    let (client, _server) = server().await;
    let request = run("hello");
    let channel = request.channel_id.clone().expect("minted");
    let early = tokio::spawn({
        let (client, channel) = (client.clone(), channel.clone());
        async move { follow(&client, &channel, |_| false).await }
    });
    let answer = client.dispatch(&request).await.expect("a dispatch");
    assert_eq!(answer.channel_id, channel);
    let early = early.await.expect("the early reader");
    let late = follow(&client, &channel, |_| false).await;
    let expected = [
        "prompt hello".to_owned(),
        "reasoning hm".to_owned(),
        format!("answer {} false", WORDS.concat()),
        "usage 3 5".to_owned(),
        "end stop".to_owned(),
    ];
    assert_eq!(texts(&early), expected);
    assert_eq!(texts(&late), expected);

    let result = client.complete(&request.complete).await.expect("complete");
    assert_eq!((result.text, result.usage.token), (WORDS.concat(), 8));
    let runs = client.runs().await.expect("runs").items;
    assert_eq!((runs.len(), runs[0].status), (1, RunStatus::Ended));
}

#[tokio::test]
async fn a_call_waits_for_whoever_publishes() {
    let (client, _server) = server().await;
    let mut request = run("call it");
    let answers = mint_channel_id();
    request.complete.functions = vec![Function {
        name: "lookup".into(),
        description: "Looks something up".into(),
        parameters: None,
        result: Some(FunctionResult {
            data: None,
            channel: Some(answers.clone()),
        }),
        call: None,
    }];
    let channel = request.channel_id.clone().expect("minted");
    client.dispatch(&request).await.expect("a dispatch");
    let waiting = follow(&client, &channel, |transcript| {
        transcript.waiting_calls().next().is_some()
    })
    .await;
    let call = waiting.waiting_calls().next().expect("a waiting call");
    assert_eq!((call.function, call.channel), ("lookup", answers.as_str()));
    assert_eq!(call.arguments, &json!({"id": 7}));
    assert_eq!(client.runs().await.expect("runs").items[0].status, RunStatus::Waiting);

    let answer = json!({"data": "found", "from": "the test"});
    client.publish(&answers, &answer).await.expect("a publish");
    let whole = follow(&client, &channel, |_| false).await;
    assert!(whole.plain_answer().contains("found"), "{}", whole.plain_answer());
    let state = whole.blocks().find_map(|block| match &block.kind {
        BlockKind::Call { state, .. } => Some(state.clone()),
        _ => None,
    });
    let answered = CallState::Answered {
        result: json!("found"),
        from: Some("the test".into()),
    };
    assert_eq!(state, Some(answered));
}

#[tokio::test]
async fn an_upstream_that_refuses_fails_the_run_with_its_words() {
    let (client, _server) = server().await;
    let request = run("refuse");
    let channel = request.channel_id.clone().expect("minted");
    client.dispatch(&request).await.expect("a dispatch");
    let failed = texts(&follow(&client, &channel, |_| false).await);
    let last = failed.last().expect("a block");
    assert!(
        last.starts_with("failure") && last.contains("the model is on holiday"),
        "{failed:?}"
    );
    let error = client.complete(&request.complete).await.expect_err("a refusal");
    assert!(matches!(&error, ClientError::Api { status: 502, .. }), "{error:?}");
}
