//! Models against a scripted upstream on a real socket: what it sends, and what comes out.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Response};
use axum::routing::{get, post};
use futures::{StreamExt, stream};
use proptest::prelude::*;
use serde_json::{Value, json};
use switchboard::engine::{AnswerListener, Answers, Engine, EngineLimits, EventSink, SinkClosed};
use switchboard::llm::probe::{Candidate, probe};
use switchboard::llm::{
    Arguments, ChatMessage, FinishReason, ModelError, ModelEvent, ModelOptions, ModelRequest, ModelSource, Moderations,
    Moderator, Retries, Secret, Tool, ToolCall, ToolChoice, Verdict, connect, find,
};
use switchboard::wire::{ChannelId, CompleteRequest, Event};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_util::sync::CancellationToken;

const KEY: &str = "sk-very-secret-0123456789";

/// What the upstream answers: a status, headers, chunks; then it ends, breaks, or stays silent.
#[derive(Clone)]
struct Script {
    status: u16,
    headers: Vec<(&'static str, &'static str)>,
    chunks: Vec<Vec<u8>>,
    end: End,
}

#[derive(Clone, Copy, PartialEq)]
enum End {
    Close,
    Break,
    Silence,
}

type Seen = Arc<Mutex<Vec<(HeaderMap, Value)>>>;

fn chunks(chunks: &[&str]) -> Script {
    Script {
        status: 200,
        headers: vec![("content-type", "text/event-stream")],
        chunks: chunks.iter().map(|chunk| chunk.as_bytes().to_vec()).collect(),
        end: End::Close,
    }
}

fn status(status: u16, body: &str) -> Script {
    Script {
        status,
        ..chunks(&[body])
    }
}

/// Starts an upstream on a free port; gives its base URL and what it was asked.
async fn upstream(script: Script) -> (String, Seen) {
    upstream_of(vec![script]).await
}

/// The same with an answer for each request; the last one is that of all further ones.
async fn upstream_of(scripts: Vec<Script>) -> (String, Seen) {
    let seen = Seen::default();
    let answer = |State((scripts, seen)): State<(Vec<Script>, Seen)>, headers: HeaderMap, body: Bytes| async move {
        let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
        let script = {
            let mut seen = seen.lock().expect("a lock");
            seen.push((headers, body));
            scripts[seen.len().min(scripts.len()) - 1].clone()
        };
        let mut response = Response::builder().status(script.status);
        for (name, value) in script.headers {
            response = response.header(name, value);
        }
        let chunks = stream::iter(
            script
                .chunks
                .into_iter()
                .map(|chunk| Ok::<_, std::io::Error>(Bytes::from(chunk))),
        );
        let end = stream::once(async move {
            match script.end {
                End::Close => Ok(Bytes::new()),
                End::Break => {
                    // The server writes what it has when there is nothing to do.
                    for _ in 0..10 {
                        tokio::task::yield_now().await;
                    }
                    Err(std::io::Error::other("broken"))
                }
                End::Silence => std::future::pending().await,
            }
        });
        response.body(Body::from_stream(chunks.chain(end))).expect("a response")
    };
    let routes = Router::new()
        .route("/v1/chat/completions", post(answer))
        .route("/v1/moderations", post(answer))
        .route("/v1/models", get(answer))
        .with_state((scripts, Arc::clone(&seen)));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move { axum::serve(listener, routes).await });
    (format!("http://{address}/v1"), seen)
}

fn options(base_url: &str) -> ModelOptions {
    ModelOptions {
        key: Some(Secret::new(KEY)),
        retries: Retries::NONE,
        ..ModelOptions::new(base_url, "configured")
    }
}

fn ask() -> ModelRequest {
    ModelRequest {
        messages: vec![ChatMessage::User("hi".into())],
        ..ModelRequest::default()
    }
}

async fn answer(script: Script, silence: Duration) -> (Vec<ModelEvent>, Option<ModelError>) {
    let (url, _) = upstream(script).await;
    answer_of(ModelOptions {
        silence,
        ..options(&url)
    })
    .await
}

async fn answer_of(options: ModelOptions) -> (Vec<ModelEvent>, Option<ModelError>) {
    let items: Vec<_> = connect(options).expect("a model").call(ask()).collect().await;
    let mut events = Vec::new();
    let mut failed = None;
    for item in items {
        assert!(failed.is_none(), "nothing follows an error");
        match item {
            Ok(event) => events.push(event),
            Err(error) => failed = Some(error),
        }
    }
    (events, failed)
}

const LONG: Duration = Duration::from_secs(60);

fn text(text: &str) -> ModelEvent {
    ModelEvent::Text(text.into())
}

const STOP: &str = "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";

#[tokio::test]
async fn good_streams() {
    let stop = || ModelEvent::Finish(FinishReason::Stop);
    let usage = || ModelEvent::Usage {
        model: "configured".into(),
        input: 5,
        output: 1,
    };
    let hi = "data: {\"choices\":[{\"delta\":{\"content\":\"hi\"}}]}\n\n";
    let used = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":1}}\n\n";
    for (what, script, expected) in [
        (
            "all of it",
            chunks(&[hi, STOP, used, "data: [DONE]\n\n"]),
            vec![text("hi"), usage(), stop()],
        ),
        (
            "no [DONE]",
            chunks(&[hi, STOP, used]),
            vec![text("hi"), usage(), stop()],
        ),
        ("no reason", chunks(&[hi, "data: [DONE]"]), vec![text("hi"), stop()]),
        ("no usage", chunks(&[hi, STOP]), vec![text("hi"), stop()]),
        (
            "no last line break",
            chunks(&[hi, STOP.trim_end()]),
            vec![text("hi"), stop()],
        ),
        (
            "comments",
            chunks(&[": processing\n\n", hi, ": ping\n\n", STOP]),
            vec![text("hi"), stop()],
        ),
        (
            "cut inside a character",
            Script {
                chunks: "data: {\"choices\":[{\"delta\":{\"content\":\"é🦀\"}}]}\n\ndata: [DONE]\n\n"
                    .bytes()
                    .map(|byte| vec![byte])
                    .collect(),
                ..chunks(&[])
            },
            vec![text("é🦀"), stop()],
        ),
        (
            "broken after the end",
            Script {
                end: End::Break,
                ..chunks(&[hi, STOP])
            },
            vec![text("hi"), stop()],
        ),
    ] {
        assert_eq!(answer(script, LONG).await, (expected, None), "{what}");
    }
}

#[tokio::test]
async fn streams_that_fail() {
    let hi = "data: {\"choices\":[{\"delta\":{\"content\":\"hi\"}}]}\n\n";
    let (events, error) = answer(chunks(&[hi]), LONG).await;
    assert!(
        events == [text("hi")] && matches!(error, Some(ModelError::Cut { .. })),
        "{error:?}"
    );
    let broken = Script {
        end: End::Break,
        ..chunks(&[hi])
    };
    assert!(matches!(answer(broken, LONG).await.1, Some(ModelError::Cut { .. })));
    for garbage in ["<html>nothing here</html>", "data: nonsense\n\n", "data: [1]\n\n"] {
        let error = answer(chunks(&[garbage]), LONG).await.1;
        assert!(
            matches!(error, Some(ModelError::Garbage { .. })),
            "{garbage}: {error:?}"
        );
    }
    for inside in [
        "data: {\"error\":{\"message\":\"no memory\",\"code\":500}}\n\n",
        "{\"error\":\"no memory\"}",
    ] {
        let error = answer(chunks(&[inside]), LONG).await.1;
        assert!(
            matches!(&error, Some(ModelError::Failed { message, .. }) if message == "no memory"),
            "{inside}: {error:?}"
        );
    }
}

#[tokio::test]
async fn statuses_keep_the_upstreams_words_but_never_the_key() {
    let echo = format!("{{\"error\":{{\"message\":\"Incorrect API key {KEY} given\\u001b[31m\"}}}}");
    let Some(ModelError::Status {
        status: code, message, ..
    }) = answer(status(401, &echo), LONG).await.1
    else {
        panic!("a status");
    };
    assert_eq!((code, message.as_str()), (401, "Incorrect API key … given [31m"));
    for (body, expected) in [
        ("{\"error\":\"model not found\"}", "model not found"),
        ("{\"detail\":\"nope\"}", "nope"),
        ("plain\n words", "plain words"),
        ("<html>x</html>", "a web page instead of an error"),
        ("", "no reason given"),
    ] {
        let Some(ModelError::Status { message, .. }) = answer(status(500, body), LONG).await.1 else {
            panic!("a status");
        };
        assert_eq!(message, expected);
    }
    let Some(ModelError::Status { message, .. }) = answer(status(500, &"x".repeat(100_000)), LONG).await.1 else {
        panic!("a status");
    };
    assert_eq!(message.chars().count(), 301);
    let mut limited = status(429, "{\"error\":{\"message\":\"slow down\"}}");
    limited.headers.push(("retry-after", "7"));
    let error = answer(limited, LONG).await.1.expect("an error");
    assert!(error.to_string().contains("slow down; wait 7 seconds"), "{error}");
}

/// Waits that the upstream asks for, so that no test waits.
fn at_once(mut script: Script) -> Script {
    script.headers.push(("retry-after", "0"));
    script
}

fn retrying(url: &str, count: u32) -> ModelOptions {
    ModelOptions {
        retries: Retries {
            count,
            within: Duration::from_secs(20),
        },
        ..options(url)
    }
}

#[tokio::test]
async fn what_may_pass_is_asked_again_until_it_answers() {
    let hi = "data: {\"choices\":[{\"delta\":{\"content\":\"hi\"}}]}\n\n";
    let good = chunks(&[hi, STOP]);
    let (url, seen) = upstream_of(vec![
        at_once(status(429, "{\"error\":{\"message\":\"slow down\"}}")),
        at_once(status(503, "")),
        at_once(status(500, "<html>")),
        good.clone(),
    ])
    .await;
    let (events, error) = answer_of(retrying(&url, 3)).await;
    assert_eq!(
        (events, error),
        (vec![text("hi"), ModelEvent::Finish(FinishReason::Stop)], None)
    );
    let seen = seen.lock().expect("a lock").clone();
    assert_eq!(seen.len(), 4);
    assert!(
        seen.iter().all(|(_, body)| *body == seen[0].1),
        "the same request each time"
    );

    // What breaks off before a word of an answer may pass too; it has no `Retry-After`, so it waits a little.
    for failing in [
        chunks(&[]),
        Script {
            end: End::Break,
            ..chunks(&[": processing\n\n"])
        },
        chunks(&["data: {\"error\":{\"message\":\"busy\",\"type\":\"overloaded_error\"}}\n\n"]),
    ] {
        let (url, seen) = upstream_of(vec![failing, good.clone()]).await;
        assert_eq!(answer_of(retrying(&url, 1)).await.1, None);
        assert_eq!(seen.lock().expect("a lock").len(), 2);
    }
}

#[tokio::test]
async fn what_stays_so_and_what_has_begun_is_not_asked_again() {
    let hi = "data: {\"choices\":[{\"delta\":{\"content\":\"hi\"}}]}\n\n";
    let mut later = status(429, "");
    later.headers.push(("retry-after", "3600"));
    for (script, asked) in [
        (at_once(status(400, "")), 1),
        (at_once(status(401, "")), 1),
        (at_once(status(404, "")), 1),
        (at_once(status(501, "")), 1),
        (at_once(status(505, "")), 1),
        (
            at_once(status(
                429,
                "{\"error\":{\"message\":\"pay\",\"code\":\"insufficient_quota\"}}",
            )),
            1,
        ),
        (later, 1),
        (chunks(&["<html>"]), 1),
        (chunks(&[hi]), 1),
        (
            chunks(&[hi, "data: {\"error\":{\"message\":\"busy\",\"code\":503}}\n\n"]),
            1,
        ),
        (at_once(status(502, "")), 3),
    ] {
        let what = format!("{} {:?}", script.status, script.headers);
        let (url, seen) = upstream(script).await;
        assert!(answer_of(retrying(&url, 2)).await.1.is_some(), "{what}");
        assert_eq!(seen.lock().expect("a lock").len(), asked, "{what}");
    }
}

/// Takes a run's events.
#[derive(Default)]
struct Events(Mutex<Vec<Value>>);

impl EventSink for Events {
    async fn emit(&self, event: Event) -> Result<(), SinkClosed> {
        let value = serde_json::to_value(&event).expect("JSON");
        self.0.lock().expect("a lock").push(value);
        Ok(())
    }
}

struct Nobody;

impl AnswerListener for Nobody {
    async fn next(&mut self) -> Option<Value> {
        None
    }
}

impl Answers for Nobody {
    type Listener = Self;

    async fn listen(&self, _: &ChannelId, _: &str) -> Self {
        Self
    }
}

/// A run with this model: its events.
async fn run(options: ModelOptions, cancel: &CancellationToken) -> Vec<Value> {
    let engine = Engine::new(connect(options).expect("a model"), EngineLimits::default());
    let events = Events::default();
    let order = CompleteRequest::prompt("go").into();
    let run = engine.run(&order, None, &events, &Nobody, cancel);
    run.await.expect("the sink takes everything");
    events.0.into_inner().expect("a lock")
}

#[tokio::test]
async fn a_run_that_is_cancelled_does_not_wait_for_the_next_attempt() {
    let mut later = status(503, "");
    later.headers.push(("retry-after", "600"));
    let (url, seen) = upstream(later).await;
    let options = ModelOptions {
        retries: Retries {
            count: 1,
            within: Duration::from_secs(3600),
        },
        ..options(&url)
    };
    let cancel = CancellationToken::new();
    let asked = async {
        while seen.lock().expect("a lock").is_empty() {
            tokio::task::yield_now().await;
        }
        cancel.cancel();
    };
    let (events, ()) = tokio::join!(run(options, &cancel), asked);
    let types: Vec<&Value> = events.iter().map(|event| &event["type"]).collect();
    assert_eq!(types, ["completeBegin", "abort", "result"]);
    assert_eq!(events[2]["data"]["end"]["reason"], "abort");
}

#[tokio::test]
async fn a_run_fails_once_whatever_the_upstream_does() {
    let hi = "data: {\"choices\":[{\"delta\":{\"content\":\"hi\"}}]}\n\n";
    let endless = |piece: &str, size: usize| chunks(&vec![piece; size / piece.len() + 1]);
    let silence = Duration::from_millis(100);
    let blank = " ".repeat(64 * 1024);
    for (what, script, code) in [
        ("empty", chunks(&[]), "BAD_GATEWAY"),
        ("only the end", chunks(&["data: [DONE]\n\n"]), "BAD_GATEWAY"),
        ("cut", chunks(&[hi]), "BAD_GATEWAY"),
        ("garbage", chunks(&[hi, "data: \u{0}\u{1}\n"]), "BAD_GATEWAY"),
        ("a page", chunks(&["<!DOCTYPE html>\n<p>hi</p>\n"]), "BAD_GATEWAY"),
        (
            "binary",
            Script {
                chunks: vec![vec![0x1f, 0x8b, 0xff, 0xfe, b'\n'], vec![0x80; 100]],
                headers: vec![
                    ("content-type", "application/octet-stream"),
                    ("content-encoding", "gzip"),
                ],
                ..chunks(&[])
            },
            "BAD_GATEWAY",
        ),
        ("a redirect", status(302, ""), "BAD_GATEWAY"),
        ("rate limited", status(429, ""), "TOO_MANY_REQUESTS"),
        (
            "an endless line",
            endless(&format!("data: {blank}"), 17 << 20),
            "BAD_GATEWAY",
        ),
        (
            "a stall",
            Script {
                end: End::Silence,
                ..chunks(&[hi])
            },
            "GATEWAY_TIMEOUT",
        ),
    ] {
        let (url, _) = upstream(script).await;
        let options = ModelOptions {
            silence: if code == "GATEWAY_TIMEOUT" { silence } else { LONG },
            ..options(&url)
        };
        let events = run(options, &CancellationToken::new()).await;
        let ends = events
            .iter()
            .filter(|event| event["type"] == "error" || event["type"] == "result");
        assert_eq!(ends.count(), 1, "{what}");
        let last = events.last().expect("an event");
        assert_eq!(
            (&last["type"], &last["data"]["code"]),
            (&json!("error"), &json!(code)),
            "{what}: {last}"
        );
        let said = last["data"]["message"].as_str().expect("a message");
        assert!(said.len() < 700 && !said.contains(KEY), "{what}: {said}");
    }
}

/// Whole HTTP answers, changed at random, over a socket: each ends once, with an end or with an error.
#[test]
fn no_http_answer_breaks_it() {
    let good = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n\
                37\r\ndata: {\"choices\":[{\"delta\":{\"content\":\"hi é🦀\"}}]}\n\n\r\n\
                E\r\ndata: [DONE]\n\n\r\n0\r\n\r\n";
    let bad = "HTTP/1.1 429 Slow\r\nretry-after: 0\r\ncontent-length: 26\r\n\r\n{\"error\":{\"message\":\"no\"}}";
    let word = proptest::sample::select(
        &[
            "\r\n",
            "\n",
            "HTTP/1.1 200 OK\r\n\r\n",
            "content-length: 5\r\n",
            "-1",
            "FFFFFFFFFFFFFFFF\r\n",
            "0\r\n\r\n",
            "\u{0}",
            "data: ",
        ][..],
    )
    .prop_map(|word| word.as_bytes().to_vec());
    let put = prop_oneof![word, proptest::collection::vec(any::<u8>(), 0..4)];
    let change = (any::<proptest::sample::Index>(), 0usize..8, put);
    let answers = (
        proptest::sample::select(vec![good, bad]),
        proptest::collection::vec(change, 0..6),
    );
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    // A tenth of the usual number of cases, because each one connects.
    let config = ProptestConfig::default();
    let config = ProptestConfig {
        cases: config.cases.div_ceil(10),
        failure_persistence: None,
        ..config
    };
    let mut runner = proptest::test_runner::TestRunner::new(config);
    let outcome = runner.run(&answers, |(answer, changes)| {
        let mut bytes = answer.as_bytes().to_vec();
        for (at, gone, put) in changes {
            let at = at.index(bytes.len() + 1);
            let end = (at + gone).min(bytes.len());
            bytes.splice(at..end, put);
        }
        let ended = runtime.block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
            let url = format!("http://{}/v1", listener.local_addr().expect("an address"));
            let serving = tokio::spawn(async move {
                let (mut stream, _) = listener.accept().await.expect("a connection");
                let mut asked = vec![0; 64 * 1024];
                let _ = stream.read(&mut asked).await;
                let _ = stream.write_all(&bytes).await;
                let _ = stream.shutdown().await;
                // What is still sent is read, so that nothing is reset before it was seen.
                let _ = tokio::time::timeout(Duration::from_secs(5), stream.read(&mut asked)).await;
            });
            let (events, error) = answer_of(options(&url)).await;
            serving.abort();
            let finished = events
                .iter()
                .filter(|event| matches!(event, ModelEvent::Finish(_)))
                .count();
            finished + usize::from(error.is_some())
        });
        prop_assert_eq!(ended, 1);
        Ok(())
    });
    outcome.expect("each ends once");
}

#[tokio::test]
async fn messages_are_moderated() {
    let verdict = |body: &str| status(200, body);
    let fine = verdict(
        "{\"results\":[{\"flagged\":false,\"categories\":{}},{\"flagged\":true,\"categories\":{\"hate\":true}}]}",
    );
    let (url, seen) = upstream_of(vec![at_once(status(503, "")), fine]).await;
    let moderations = Moderations::new(retrying(&url, 1)).expect("a moderator");
    let flagged = Verdict {
        flagged: true,
        categories: vec!["hate".into()],
    };
    assert_eq!(moderations.moderate(&["a", "b"]).await, Ok(flagged));
    let seen = seen.lock().expect("a lock").clone();
    assert_eq!(seen.len(), 2);
    assert_eq!(seen[1].1, json!({"input": ["a", "b"], "model": "configured"}));
    assert_eq!(seen[1].0["authorization"], format!("Bearer {KEY}"));

    for (script, expected) in [
        (verdict("{\"results\":[]}"), "Garbage"),
        (verdict("<html>"), "Garbage"),
        (verdict("{\"error\":\"no\"}"), "Failed"),
        (status(401, ""), "Status"),
        (
            Script {
                end: End::Break,
                ..chunks(&["{"])
            },
            "Cut",
        ),
        (
            Script {
                end: End::Silence,
                ..chunks(&["{"])
            },
            "Silent",
        ),
        (status(200, &" ".repeat(5 << 20)), "TooLarge"),
    ] {
        let (url, _) = upstream(script).await;
        let options = ModelOptions {
            silence: if expected == "Silent" {
                Duration::from_millis(50)
            } else {
                LONG
            },
            ..options(&url)
        };
        let error = Moderations::new(options).expect("a moderator").moderate(&["a"]).await;
        let error = error.expect_err(expected);
        assert!(format!("{error:?}").starts_with(expected), "{error:?}");
    }
}

#[tokio::test]
async fn a_silent_model_is_given_up() {
    let silence = Duration::from_millis(50);
    let silent = |chunks_: &[&str]| Script {
        end: End::Silence,
        ..chunks(chunks_)
    };
    for script in [
        silent(&[]),
        silent(&["data: {\"choices\":[{\"delta\":{\"content\":\"hi\"}}]}\n\n"]),
    ] {
        let error = answer(script, silence).await.1;
        assert!(matches!(error, Some(ModelError::Silent { .. })), "{error:?}");
    }
    // Long enough for a loaded machine to bring the first bytes.
    let (events, error) = answer(silent(&[STOP]), Duration::from_secs(3)).await;
    assert!(
        error.is_none() && events == [ModelEvent::Finish(FinishReason::Stop)],
        "only the usage was missing"
    );
}

#[tokio::test]
async fn nobody_there() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://user:{KEY}@{}/v1", listener.local_addr().expect("an address"));
    drop(listener);
    let mut answer = connect(options(&url)).expect("a model").call(ask());
    let error = answer.next().await.expect("an item").expect_err("an error");
    assert!(matches!(error, ModelError::Unreachable { .. }), "{error:?}");
    assert!(!format!("{error} {error:?}").contains(KEY));
    assert!(answer.next().await.is_none());
}

#[tokio::test]
async fn what_is_sent() {
    let (url, seen) = upstream(chunks(&["data: [DONE]\n\n"])).await;
    let model = connect(options(&url)).expect("a model");
    let call = |arguments| ToolCall {
        id: "a".into(),
        name: "f".into(),
        arguments,
    };
    let request = ModelRequest {
        model: Some("asked for".into()),
        messages: vec![
            ChatMessage::System("be kind".into()),
            ChatMessage::User("hi".into()),
            ChatMessage::Assistant {
                text: String::new(),
                calls: vec![
                    call(Arguments::Json(json!({"x": 1}))),
                    call(Arguments::Raw("{oops".into())),
                ],
            },
            ChatMessage::Tool {
                id: "a".into(),
                content: "1".into(),
            },
        ],
        tools: vec![Tool {
            name: "f".into(),
            description: "does".into(),
            parameters: None,
        }],
        choice: ToolChoice::Function("f".into()),
    };
    let _: Vec<_> = model.call(request).collect().await;
    let _: Vec<_> = model.call(ask()).collect().await;
    let seen = seen.lock().expect("a lock").clone();
    let (headers, body) = &seen[0];
    assert_eq!(headers["authorization"], format!("Bearer {KEY}"));
    assert_eq!(
        body,
        &json!({
            "model": "asked for",
            "messages": [
                {"role": "system", "content": "be kind"},
                {"role": "user", "content": "hi"},
                {"role": "assistant", "content": null, "tool_calls": [
                    {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{\"x\":1}"}},
                    {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{\"invalid\":\"{oops\"}"}},
                ]},
                {"role": "tool", "tool_call_id": "a", "content": "1"},
            ],
            "stream": true,
            "stream_options": {"include_usage": true},
            "tools": [{"type": "function", "function":
                {"name": "f", "description": "does", "parameters": {"type": "object", "properties": {}}}}],
            "tool_choice": {"type": "function", "function": {"name": "f"}},
        })
    );
    let second = &seen[1].1;
    assert_eq!(second["model"], "configured");
    assert!(second.get("tools").is_none() && second.get("tool_choice").is_none());
}

#[test]
fn a_key_is_never_shown() {
    let shown = format!("{:?}", options("http://127.0.0.1:1/v1"));
    assert!(!shown.contains(KEY), "{shown}");
    let bad = ModelOptions {
        key: Some(Secret::new("secret\nkey")),
        ..ModelOptions::new("http://127.0.0.1:1/v1", "m")
    };
    let error = connect(bad).err().expect("no header can carry it");
    assert!(!error.to_string().contains("secret"), "{error}");
}

#[tokio::test]
async fn probing_takes_the_first_that_answers_with_a_model() {
    let list = |body: &str| status(200, body);
    let (nothing, _) = upstream(list("{\"object\":\"list\",\"data\":[]}")).await;
    let (page, _) = upstream(list("<html>")).await;
    let (failing, _) = upstream(status(500, "{\"data\":[{\"id\":\"x\"}]}")).await;
    let (silent, _) = upstream(Script {
        end: End::Silence,
        ..chunks(&[])
    })
    .await;
    let (good, _) = upstream(list("{\"data\":[{\"id\":\"llama\"},{\"id\":\"other\"}]}")).await;
    let candidates: Vec<Candidate> = [&nothing, &page, &failing, &silent]
        .iter()
        .map(|url| Candidate::new("bad", url.as_str()))
        .collect();
    assert_eq!(probe(&candidates).await, None);
    assert_eq!(probe(&[]).await, None);
    let (model, source) = find(None, &candidates).await.expect("the demo");
    assert!(model.is_demo() && source == ModelSource::Demo);

    // A loaded machine may be late once; it is not late for ever.
    let with_good = [candidates, vec![Candidate::new("Good", good.as_str())]].concat();
    let mut found = None;
    for _ in 0..20 {
        found = probe(&with_good).await;
        if found.is_some() {
            break;
        }
    }
    let found = found.expect("a model");
    assert_eq!(
        (found.name.as_str(), found.model.as_str(), &found.base_url),
        ("Good", "llama", &good)
    );
}
