//! A server on port 0 with a scripted engine behind it, and requests to it by hand.

#![allow(dead_code, reason = "each test file uses a part of this support")]

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Value, json};
use switchboard::engine::{AnswerListener, Answers, Checkpoint, EventSink, Order};
use switchboard::server::{Account, HubAnswers, RunEngine, RunSink, ServerOptions, serve};
use switchboard::wire::event::{Abort, RunEnd, RunResult, Wait, WaitFunction};
use switchboard::wire::{ChannelId, Event, EventKind, Object};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// A channel of a test's run.
pub const CHANNEL: &str = "channel-0123456789abcdef";
/// The channel on which `wait` waits.
pub const ANSWERS: &str = "answers-0123456789abcdef";
/// How long anything may take on a loaded machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// What a run does is said by its last message: `tokens N`, `wait`, `hang`, `panic` or `fail`.
pub struct Script;

/// The last event of a run.
pub fn result(reason: &str) -> Event {
    let result = RunResult {
        text: "done".into(),
        end: RunEnd {
            reason: reason.into(),
            extra: Object::new(),
        },
        ..RunResult::default()
    };
    EventKind::Result(Box::new(result)).into()
}

#[async_trait]
impl RunEngine for Script {
    async fn run(
        &self,
        order: &Order,
        _: Option<&Checkpoint>,
        sink: &RunSink,
        answers: &HubAnswers,
        cancel: &CancellationToken,
    ) {
        let text = order.request.messages.last().map_or("", |message| &message.text);
        if let Some(count) = text.strip_prefix("tokens ") {
            for number in 0..count.parse().expect("a number") {
                let emitted = sink.emit(Event::token(format!("tok{number} "))).await;
                if emitted.is_err() || cancel.is_cancelled() {
                    return;
                }
            }
        } else if text == "wait" {
            let channel = ChannelId::parse(ANSWERS).expect("a channel");
            let mut listener = answers.listen(&channel, "call").await;
            let mut wait = Wait {
                channel: ANSWERS.into(),
                function: WaitFunction {
                    name: "approve".into(),
                    args: json!({}),
                    extra: Object::new(),
                },
                expires_at: None,
                message: None,
                from: None,
                extra: Object::new(),
            };
            let _ = sink.emit(EventKind::WaitBegin(Box::new(wait.clone())).into()).await;
            wait.message = listener.next().await;
            let _ = sink.emit(EventKind::WaitEnd(Box::new(wait)).into()).await;
        } else if text == "hang" {
            cancel.cancelled().await;
            let _ = sink.emit(EventKind::Abort(Box::<Abort>::default()).into()).await;
            let _ = sink.emit(result("abort")).await;
            return;
        } else if text == "zone" {
            let zone = format!("{:?} {}", order.timezone, order.asked_at.is_some());
            let _ = sink.emit(Event::token(zone)).await;
        } else if text == "panic" {
            panic!("as asked");
        }
        let _ = sink.emit(result("stop")).await;
    }

    fn model_name(&self) -> String {
        "script".into()
    }

    fn is_demo(&self) -> bool {
        true
    }
}

/// A server that runs.
pub struct Server {
    pub address: std::net::SocketAddr,
    pub stop: CancellationToken,
    pub task: JoinHandle<()>,
}

/// Starts a server with the accounts `one`, `two` and `three`, whose secrets are `secret-NAME`.
pub async fn server(change: impl FnOnce(&mut ServerOptions)) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let account = |name: &str| Account::with_secret(name, &format!("secret-{name}"));
    let mut options = ServerOptions {
        accounts: vec![account("one"), account("two"), account("three")],
        ..ServerOptions::default()
    };
    change(&mut options);
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    let task = tokio::spawn(async move {
        serve(listener, options, Arc::new(Script), stopped)
            .await
            .expect("served");
    });
    Server { address, stop, task }
}

/// A connection with what has been read of it.
pub struct Answer {
    pub stream: TcpStream,
    pub seen: Vec<u8>,
}

impl Answer {
    /// Reads until the text has come, or the connection ends; gives everything read so far.
    pub async fn until(&mut self, text: &str) -> String {
        let reading = async {
            let mut buffer = vec![0; 64 * 1024];
            let mut looked_at = 0;
            loop {
                // What was looked at may end with the beginning of the text.
                let new = &self.seen[looked_at..];
                if new.windows(text.len()).any(|window| window == text.as_bytes()) {
                    break;
                }
                looked_at = self.seen.len().saturating_sub(text.len());
                match self.stream.read(&mut buffer).await {
                    Ok(0) | Err(_) => break,
                    Ok(count) => self.seen.extend_from_slice(&buffer[..count]),
                }
            }
        };
        tokio::time::timeout(PATIENCE, reading).await.unwrap_or_else(|_| {
            panic!("{text:?} never came, only {:?}", String::from_utf8_lossy(&self.seen));
        });
        String::from_utf8_lossy(&self.seen).into_owned()
    }

    pub async fn end(&mut self) -> String {
        self.until("\u{0}never\u{0}").await
    }
}

impl Server {
    pub async fn raw(&self, request: &[u8]) -> Answer {
        let mut stream = TcpStream::connect(self.address).await.expect("a connection");
        // A server that refuses may close before everything is written.
        let _ = stream.write_all(request).await;
        Answer {
            stream,
            seen: Vec::new(),
        }
    }

    pub async fn ask(&self, method: &str, path: &str, secret: &str, headers: &str, body: &str) -> Answer {
        let length = body.len();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: Bearer {secret}\r\n\
             content-type: application/json\r\ncontent-length: {length}\r\n{headers}\r\n{body}"
        );
        self.raw(request.as_bytes()).await
    }

    /// Status and JSON body of an answer that ends.
    pub async fn json(&self, method: &str, path: &str, body: Value) -> (u16, Value) {
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        parsed(&self.ask(method, path, "secret-one", "", &body).await.end().await)
    }

    pub async fn subscribe(&self, secret: &str, channel: &str, body: Value) -> Answer {
        let path = format!("/v1/channel/{channel}/subscribe");
        let mut answer = self.ask("POST", &path, secret, "", &body.to_string()).await;
        answer.until("\r\n\r\n").await;
        answer
    }

    pub async fn end(self) {
        self.stop.cancel();
        tokio::time::timeout(PATIENCE, self.task)
            .await
            .expect("it stops")
            .expect("no panic");
    }
}

/// Status and JSON body of a whole answer.
pub fn parsed(answer: &str) -> (u16, Value) {
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    let (_, body) = answer
        .split_once("\r\n\r\n")
        .unwrap_or_else(|| panic!("no head: {answer:?}"));
    let body = serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {answer:?}"));
    (status.expect("a status"), body)
}

/// The whole JSON lines of a chunked answer, as far as it has come: its last chunk may be there in part.
pub fn lines(answer: &str) -> Vec<Value> {
    let (_, mut rest) = answer.split_once("\r\n\r\n").expect("a head");
    let mut text = String::new();
    while let Some((length, after)) = rest.split_once("\r\n") {
        let length = usize::from_str_radix(length, 16).unwrap_or(0);
        if length == 0 {
            break;
        }
        let chunk = after.get(..length).unwrap_or(after);
        text.push_str(chunk);
        rest = after[chunk.len()..].trim_start_matches("\r\n");
    }
    let complete = text.rfind('\n').map_or("", |end| &text[..end]);
    complete
        .lines()
        .map(|line| serde_json::from_str(line).expect("a JSON line"))
        .collect()
}

/// The body of a request with one prompt.
pub fn prompt(text: &str) -> Value {
    json!({"messages": [{"type": "user", "text": text}]})
}

/// The same for a channel.
pub fn prompt_on(channel: &str, text: &str) -> Value {
    json!({"messages": [{"type": "user", "text": text}], "channelId": channel})
}
