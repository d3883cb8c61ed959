//! Runs one case: a server of its own, its requests, and the answers against their patterns.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::BoxStream;
use reqwest::header::{ACCEPT, CONTENT_TYPE};
use reqwest::{Client, Method, Response};
use serde_json::{Value, json};
use switchboard::engine::{Engine, EngineLimits};
use switchboard::server::{Account, AccountSecret, ServerOptions, serve};
use switchboard::wire::{ErrorCode, Scope, SecretHash};
use tokio::net::TcpListener;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::case::{Case, Control, Read, Request, Settings, Step};
use super::model::Scripted;
use super::pattern::{self, Saved, filled, filled_value};

/// How long anything may take that is waited for.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long it is between two questions that are asked until the answer fits.
const PAUSE: Duration = Duration::from_millis(10);

/// Runs a case under a prefix.
///
/// # Errors
/// The first step that went otherwise than expected.
pub async fn run(case: &Case, prefix: &str) -> Result<(), String> {
    let model = Arc::new(Scripted::new(&case.model));
    let listener = TcpListener::bind("127.0.0.1:0")
        .await
        .map_err(|error| error.to_string())?;
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    let (options, limits) = settings(&case.server);
    let engine = Engine::new(Arc::clone(&model) as _, limits);
    let stop = CancellationToken::new();
    let server = tokio::spawn(serve(listener, options, Arc::new(engine), stop.clone()));
    let client = Client::builder().no_proxy().tls_certs_only([]).build();
    let mut running = Running {
        client: client.map_err(|error| error.to_string())?,
        base: format!("http://{address}{prefix}"),
        model,
        saved: Saved::new(),
        open: HashMap::new(),
    };
    let outcome = running.steps(&case.steps).await;
    drop(running.open);
    stop.cancel();
    let ended = timeout(PATIENCE, server).await;
    outcome?;
    match ended {
        Ok(Ok(Ok(()))) => {}
        other => return Err(format!("the server did not end well: {other:?}")),
    }
    match running.model.faults().as_slice() {
        [] => Ok(()),
        faults => Err(faults.join("; ")),
    }
}

fn settings(settings: &Settings) -> (ServerOptions, EngineLimits) {
    let mut options = ServerOptions::default();
    let mut limits = EngineLimits::default();
    let secret = |name: &str, scope| AccountSecret {
        hash: SecretHash::of(secret(name).as_bytes()),
        scope,
    };
    options.accounts = vec![
        Account {
            name: "one".to_owned(),
            shown: None,
            secrets: vec![
                secret("one", Scope::Full),
                secret("also one", Scope::Full),
                secret("one watches", Scope::Watch),
                secret("one answers", Scope::Answer),
            ],
        },
        Account {
            name: "two".to_owned(),
            shown: None,
            secrets: vec![secret("two", Scope::Full)],
        },
    ];
    let millis = |value: Option<u64>, place: &mut Duration| {
        if let Some(value) = value {
            *place = Duration::from_millis(value);
        }
    };
    millis(settings.heartbeat, &mut options.heartbeat);
    millis(settings.retention, &mut options.retention);
    millis(settings.wait, &mut limits.wait);
    millis(settings.run, &mut limits.run);
    options.retention_events = settings.retention_events.unwrap_or(options.retention_events);
    options.body_limit = settings.body_limit.unwrap_or(options.body_limit);
    options.runs_in_flight = settings.runs_in_flight.unwrap_or(options.runs_in_flight);
    limits.max_iterations = settings.iterations.unwrap_or(limits.max_iterations);
    limits.max_calls = settings.calls.unwrap_or(limits.max_calls);
    limits.max_continuations = settings.continuations.unwrap_or(limits.max_continuations);
    (options, limits)
}

fn secret(name: &str) -> String {
    format!("conformance-secret-of-{}", name.replace(' ', "-"))
}

struct Running {
    client: Client,
    base: String,
    model: Arc<Scripted>,
    saved: Saved,
    open: HashMap<String, Stream>,
}

impl Running {
    async fn steps(&mut self, steps: &[Step]) -> Result<(), String> {
        for (index, step) in steps.iter().enumerate() {
            let done = match step {
                Step::Request(request) => timeout(PATIENCE, self.request(request)).await,
                Step::Read(read) => timeout(PATIENCE, self.read(read)).await,
                Step::Control(control) => Ok(self.control(control)),
            };
            let place = |fault: String| format!("step {}: {fault}", index + 1);
            done.map_err(|_| place("nothing came for too long".to_owned()))?
                .map_err(place)?;
        }
        Ok(())
    }

    fn control(&mut self, control: &Control) -> Result<(), String> {
        match control {
            Control::Release => self.model.release(),
            Control::Close(name) => {
                self.open.remove(name).ok_or_else(|| format!("{name} is not open"))?;
            }
        }
        Ok(())
    }

    async fn request(&mut self, request: &Request) -> Result<(), String> {
        loop {
            match self.ask(request).await {
                Err(_) if request.until => sleep(PAUSE).await,
                other => return other,
            }
        }
    }

    async fn ask(&mut self, request: &Request) -> Result<(), String> {
        let response = self.send(request).await?;
        let status = response.status().as_u16();
        let content_type = response
            .headers()
            .get(CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
            .to_owned();
        if let Some(name) = &request.open {
            if status != request.status {
                let text = response.text().await.unwrap_or_default();
                return Err(format!("{status} came: {text}"));
            }
            check_type(request, &content_type)?;
            let pieces = response
                .bytes_stream()
                .map(|piece| piece.ok().map(|piece| piece.to_vec()));
            let stream = Stream {
                pieces: pieces.boxed(),
                seen: Vec::new(),
                is_sse: content_type == "text/event-stream",
            };
            self.open.insert(name.clone(), stream);
            return Ok(());
        }
        let body = response.bytes().await.map_err(|error| error.to_string())?;
        let text = String::from_utf8(body.to_vec()).map_err(|error| error.to_string())?;
        if status != request.status {
            return Err(format!("{status} came: {text}"));
        }
        if !text.is_ascii() {
            return Err(format!("an answer that is not ASCII: {text}"));
        }
        check_type(request, &content_type)?;
        if status >= 400 {
            check_refusal(status, &content_type, &text)?;
        }
        self.compare(request, &text)
    }

    async fn send(&self, request: &Request) -> Result<Response, String> {
        let line = filled(&request.request, &self.saved);
        let (method, path) = line.split_once(' ').ok_or("a request is METHOD PATH")?;
        let method: Method = method.parse().map_err(|_| format!("{method} is no method"))?;
        let mut sending = self.client.request(method, format!("{}{path}", self.base));
        if !request.secret.is_empty() {
            sending = sending.bearer_auth(secret(&request.secret));
        }
        if let Some(body) = &request.body {
            sending = sending
                .header(CONTENT_TYPE, "application/json")
                .body(filled_value(body, &self.saved).to_string());
        } else if let Some(text) = &request.text {
            sending = sending.body(filled(text, &self.saved).repeat(request.times.unwrap_or(1)));
        }
        if !request.headers.contains_key("accept") {
            // The client's own would be `*/*`, which is another case.
            sending = sending.header(ACCEPT, "");
        }
        for (name, value) in &request.headers {
            sending = sending.header(name, filled(value.as_str().unwrap_or_default(), &self.saved));
        }
        sending.send().await.map_err(|error| format!("no answer: {error}"))
    }

    fn compare(&mut self, request: &Request, text: &str) -> Result<(), String> {
        if let Some(pattern) = &request.answer {
            let value: Value = serde_json::from_str(text).map_err(|error| format!("{error}: {text}"))?;
            pattern::matches(pattern, &value, &mut self.saved)?;
        }
        if let Some(pattern) = &request.lines {
            if !text.is_empty() && !text.ends_with('\n') {
                return Err(format!("the last line has no end: {text:?}"));
            }
            let lines: Result<Value, String> = text.lines().map(line_of).collect();
            pattern::matches(pattern, &lines?, &mut self.saved)?;
        }
        if let Some(pattern) = &request.events {
            let blocks = text
                .split_inclusive("\n\n")
                .filter_map(|block| event_of(block).transpose());
            let events: Result<Value, String> = blocks.collect();
            pattern::matches(pattern, &events?, &mut self.saved)?;
        }
        Ok(())
    }

    async fn read(&mut self, read: &Read) -> Result<(), String> {
        let stream = self
            .open
            .get_mut(&read.on)
            .ok_or_else(|| format!("{} is not open", read.on))?;
        if let Some(expected) = &read.bytes {
            let came = stream.bytes(expected.len()).await?;
            if came != *expected {
                return Err(format!("{expected:?} was expected, and {came:?} came"));
            }
        }
        if let Some(pattern) = &read.until {
            while pattern::matches(pattern, &stream.next().await?, &mut self.saved).is_err() {}
        }
        if let Some(Value::Array(patterns)) = read.lines.as_ref().or(read.events.as_ref()) {
            for pattern in patterns {
                let value = stream.next().await?;
                pattern::matches(pattern, &value, &mut self.saved)?;
            }
        }
        Ok(())
    }
}

fn check_type(request: &Request, content_type: &str) -> Result<(), String> {
    match &request.content_type {
        Some(expected) if expected != content_type => Err(format!("the content type is {content_type:?}")),
        _ => Ok(()),
    }
}

fn check_refusal(status: u16, content_type: &str, text: &str) -> Result<(), String> {
    let refusal: Value =
        serde_json::from_str(text).map_err(|error| format!("a refusal that is no JSON ({error}): {text}"))?;
    let code = ErrorCode::parse(refusal["code"].as_str().unwrap_or_default());
    // 414 and 431 are told with the code of what cannot be read.
    let fits = code.status() == status || matches!(status, 414 | 431) && code == ErrorCode::BadRequest;
    let told = refusal["message"].as_str().is_some_and(|message| !message.is_empty());
    if ErrorCode::KNOWN.contains(&code) && fits && told && content_type == "application/json" {
        Ok(())
    } else {
        Err(format!("no refusal as it should be: {status} {content_type} {text}"))
    }
}

fn line_of(line: &str) -> Result<Value, String> {
    if !line.is_ascii() {
        return Err(format!("a line that is not ASCII: {line}"));
    }
    serde_json::from_str(line).map_err(|error| format!("{error}: {line}"))
}

/// A server-sent event as `[event, data]`, with its id where it has one; nothing for a comment.
fn event_of(block: &str) -> Result<Option<Value>, String> {
    if !block.is_ascii() {
        return Err(format!("an event that is not ASCII: {block}"));
    }
    let (mut kind, mut data, mut id) = (None, None, None);
    for line in block.lines().filter(|line| !line.is_empty() && !line.starts_with(':')) {
        let (name, value) = line.split_once(": ").ok_or_else(|| format!("no field: {line:?}"))?;
        match name {
            "event" => kind = Some(value),
            "data" => data = Some(value),
            "id" => id = Some(value),
            // How long a browser waits before it connects again; it is no event.
            "retry" => {}
            _ => return Err(format!("another field: {line:?}")),
        }
    }
    let (kind, data) = match (kind, data) {
        (None, None) => return Ok(None),
        (Some(kind), Some(data)) => (kind, data),
        _ => return Err(format!("half an event: {block:?}")),
    };
    let data: Value = serde_json::from_str(data).map_err(|error| format!("{error}: {data}"))?;
    Ok(Some(match id {
        Some(id) => json!([kind, data, id]),
        None => json!([kind, data]),
    }))
}

/// An answer that stays open.
struct Stream {
    pieces: BoxStream<'static, Option<Vec<u8>>>,
    seen: Vec<u8>,
    is_sse: bool,
}

impl Stream {
    async fn more(&mut self) -> Result<(), String> {
        match self.pieces.next().await {
            Some(Some(piece)) => {
                self.seen.extend_from_slice(&piece);
                Ok(())
            }
            _ => Err(format!("the answer ended; what was left: {}", self.seen.escape_ascii())),
        }
    }

    async fn bytes(&mut self, count: usize) -> Result<String, String> {
        while self.seen.len() < count {
            self.more().await?;
        }
        Ok(String::from_utf8_lossy(&self.seen.drain(..count).collect::<Vec<u8>>()).into_owned())
    }

    /// The next line or event.
    async fn next(&mut self) -> Result<Value, String> {
        let border: &[u8] = if self.is_sse { b"\n\n" } else { b"\n" };
        loop {
            if let Some(end) = self.seen.windows(border.len()).position(|part| part == border) {
                let line: Vec<u8> = self.seen.drain(..end + border.len()).collect();
                let line = String::from_utf8(line).map_err(|error| error.to_string())?;
                if !self.is_sse {
                    return line_of(line.trim_end_matches('\n'));
                }
                if let Some(event) = event_of(&line)? {
                    return Ok(event);
                }
                continue;
            }
            self.more().await?;
        }
    }
}
