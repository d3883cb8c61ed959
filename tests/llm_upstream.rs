//! Models against a scripted upstream on a real socket: what it sends, and what comes out.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Response};
use axum::routing::{get, post};
use futures::{StreamExt, stream};
use serde_json::{Value, json};
use switchboard::llm::probe::{Candidate, probe};
use switchboard::llm::{
    Arguments, ChatMessage, FinishReason, ModelError, ModelEvent, ModelOptions, ModelRequest, ModelSource, Secret,
    Tool, ToolCall, ToolChoice, connect, find,
};

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
    let seen = Seen::default();
    let answer = |State((script, seen)): State<(Script, Seen)>, headers: HeaderMap, body: Bytes| async move {
        let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
        seen.lock().expect("a lock").push((headers, body));
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
        .route("/v1/models", get(answer))
        .with_state((script, Arc::clone(&seen)));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move { axum::serve(listener, routes).await });
    (format!("http://{address}/v1"), seen)
}

fn options(base_url: &str) -> ModelOptions {
    ModelOptions {
        key: Some(Secret::new(KEY)),
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
    let options = ModelOptions {
        silence,
        ..options(&url)
    };
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
