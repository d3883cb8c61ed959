//! OpenAI-compatible endpoints: one streaming `POST …/chat/completions` per answer.
//!
//! It opens and reads the connection and types its errors; what the chunks mean is in `delta`. It never repeats a
//! request.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures::stream;
use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderValue, RETRY_AFTER};
use serde_json::Value;
use tokio::time::timeout;

use super::body::body;
use super::delta::{Assembler, ChunkError, LARGEST_ANSWER, upstream_error};
use super::sse::{SseDecoder, SseLine};
use super::{Model, ModelError, ModelEvent, ModelOptions, ModelRequest, ModelStream, Secret, client};

/// The most of an error's body that is read, in bytes.
const LARGEST_ERROR: usize = 64 * 1024;
/// The most of an upstream's message that is shown, in characters.
const LONGEST_MESSAGE: usize = 300;
/// How long the usage may come after the model has said that it is done.
const USAGE_GRACE: Duration = Duration::from_secs(5);

/// A model behind an OpenAI-compatible API. Cheap to clone.
#[derive(Debug, Clone)]
pub struct OpenAi {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    client: reqwest::Client,
    endpoint: reqwest::Url,
    /// The base URL as errors show it.
    shown: String,
    authorization: Option<HeaderValue>,
    options: ModelOptions,
}

impl OpenAi {
    /// The model of a configuration. It is not asked for anything yet.
    ///
    /// # Errors
    /// When the base URL is not one, the key cannot stand in a header, or no HTTP client can be built.
    pub fn new(options: ModelOptions) -> Result<Self, ModelError> {
        let (client, url) = client::for_url(&options.base_url)?;
        let mut endpoint = url.clone();
        endpoint.set_path(&format!("{}/chat/completions", url.path().trim_end_matches('/')));
        let authorization = match options.key.as_ref().map(Secret::expose).filter(|key| !key.is_empty()) {
            Some(key) => {
                let mut value = HeaderValue::from_str(&format!("Bearer {key}")).map_err(|_| ModelError::Config {
                    reason: "its key holds characters that no header can carry; copy it again".into(),
                })?;
                value.set_sensitive(true);
                Some(value)
            }
            None => None,
        };
        Ok(Self {
            shared: Arc::new(Shared {
                client,
                endpoint,
                shown: client::shown(&url),
                authorization,
                options,
            }),
        })
    }
}

impl Model for OpenAi {
    fn name(&self) -> &str {
        &self.shared.options.model
    }

    fn takes_images(&self, _model: Option<&str>) -> bool {
        self.shared.options.images
    }

    fn call(&self, request: ModelRequest) -> ModelStream {
        let answer = Answer {
            model: request
                .model
                .clone()
                .unwrap_or_else(|| self.shared.options.model.clone()),
            shared: Arc::clone(&self.shared),
            phase: Phase::Start(Box::new(request)),
            decoder: SseDecoder::default(),
            assembler: Assembler::default(),
            ready: VecDeque::new(),
            chunks: 0,
        };
        Box::pin(stream::try_unfold(answer, |mut answer| async move {
            Ok(answer.next().await?.map(|event| (event, answer)))
        }))
    }
}

/// One answer on its way.
struct Answer {
    shared: Arc<Shared>,
    model: String,
    phase: Phase,
    decoder: SseDecoder,
    assembler: Assembler,
    ready: VecDeque<ModelEvent>,
    chunks: u64,
}

enum Phase {
    Start(Box<ModelRequest>),
    Body(reqwest::Response),
    Over,
}

impl Answer {
    async fn next(&mut self) -> Result<Option<ModelEvent>, ModelError> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Ok(Some(event));
            }
            match std::mem::replace(&mut self.phase, Phase::Over) {
                Phase::Start(request) => self.phase = Phase::Body(self.shared.send(&self.model, &request).await?),
                Phase::Body(response) => self.read(response).await?,
                Phase::Over => return Ok(None),
            }
        }
    }

    /// Reads the next bytes and puts what they give into `ready`; goes on with the body unless it is at its end.
    async fn read(&mut self, mut response: reqwest::Response) -> Result<(), ModelError> {
        let silence = self.shared.options.silence;
        let limit = if self.assembler.finished() {
            silence.min(USAGE_GRACE)
        } else {
            silence
        };
        let chunk = match timeout(limit, response.chunk()).await {
            Ok(Ok(chunk)) => chunk,
            // The model has said that it is done: only its usage is missing.
            Ok(Err(_)) | Err(_) if self.assembler.finished() => None,
            Ok(Err(_)) => return Err(self.shared.cut()),
            Err(_) => return Err(self.shared.silent()),
        };
        let Some(chunk) = chunk else {
            let last = self.decoder.finish();
            if let Some(line) = last
                && self.take_line(line)?
            {
                return Ok(());
            }
            if !self.assembler.finished() {
                return Err(self.shared.cut());
            }
            self.finish();
            return Ok(());
        };
        self.decoder.push(&chunk);
        while let Some(line) = self.decoder.next() {
            if self.take_line(line)? {
                return Ok(());
            }
        }
        self.phase = Phase::Body(response);
        Ok(())
    }

    /// Takes a line; whether the answer is over with it.
    fn take_line(&mut self, line: Result<SseLine, crate::wire::jsonl::LineError>) -> Result<bool, ModelError> {
        match line {
            Err(_) => Err(ModelError::TooLarge { limit: LARGEST_ANSWER }),
            Ok(SseLine::Data(data)) if data.as_ref() == b"[DONE]" => {
                self.finish();
                Ok(true)
            }
            Ok(SseLine::Data(data)) => {
                self.chunks += 1;
                let events = self
                    .assembler
                    .push(&data)
                    .map_err(|error| self.shared.chunk_error(error, &data))?;
                self.ready.extend(events);
                Ok(false)
            }
            // A page, or a document with an error instead of a stream. Later ones are some proxy's noise.
            Ok(SseLine::Stray(line)) if self.chunks == 0 => {
                let error = serde_json::from_slice(&line).ok().as_ref().and_then(upstream_error);
                Err(match error {
                    Some((message, rate_limited)) => self
                        .shared
                        .chunk_error(ChunkError::Upstream { message, rate_limited }, &line),
                    None => self.shared.chunk_error(ChunkError::Garbage, &line),
                })
            }
            Ok(SseLine::Stray(_)) => Ok(false),
        }
    }

    fn finish(&mut self) {
        self.ready.extend(self.assembler.end(&self.model));
    }
}

impl Shared {
    async fn send(&self, model: &str, request: &ModelRequest) -> Result<reqwest::Response, ModelError> {
        let mut builder = self
            .client
            .post(self.endpoint.clone())
            .header(ACCEPT, "text/event-stream")
            .json(&body(model, request));
        if let Some(authorization) = &self.authorization {
            builder = builder.header(AUTHORIZATION, authorization.clone());
        }
        let response = match timeout(self.options.silence, builder.send()).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => {
                return Err(ModelError::Unreachable {
                    url: self.shown.clone(),
                    reason: self.cleaned(&client::chain(&error)),
                });
            }
            Err(_) => return Err(self.silent()),
        };
        if response.status().is_success() {
            Ok(response)
        } else {
            Err(self.status_error(response).await)
        }
    }

    async fn status_error(&self, mut response: reqwest::Response) -> ModelError {
        let status = response.status().as_u16();
        let retry_after = response
            .headers()
            .get(RETRY_AFTER)
            .and_then(|value| value.to_str().ok()?.trim().parse().ok())
            .map(Duration::from_secs);
        let mut body = Vec::new();
        // What came of the body in time is enough for a message.
        let _ = timeout(self.options.silence.min(USAGE_GRACE), async {
            while let Ok(Some(chunk)) = response.chunk().await {
                body.extend_from_slice(&chunk);
                if body.len() > LARGEST_ERROR {
                    break;
                }
            }
        })
        .await;
        let message = self.cleaned(&body_message(&body));
        let url = self.shown.clone();
        if status == 429 {
            ModelError::RateLimited {
                url,
                message,
                retry_after,
            }
        } else {
            ModelError::Status { url, status, message }
        }
    }

    fn chunk_error(&self, error: ChunkError, data: &[u8]) -> ModelError {
        let url = self.shown.clone();
        match error {
            ChunkError::TooLarge => ModelError::TooLarge { limit: LARGEST_ANSWER },
            ChunkError::Garbage => ModelError::Garbage {
                url,
                reason: self.cleaned(&format!("it begins with: {}", String::from_utf8_lossy(data))),
            },
            ChunkError::Upstream { message, rate_limited } => {
                let message = self.cleaned(&message);
                if rate_limited {
                    ModelError::RateLimited {
                        url,
                        message,
                        retry_after: None,
                    }
                } else {
                    ModelError::Failed { url, message }
                }
            }
        }
    }

    fn cut(&self) -> ModelError {
        ModelError::Cut {
            url: self.shown.clone(),
        }
    }

    fn silent(&self) -> ModelError {
        ModelError::Silent {
            url: self.shown.clone(),
            silence: self.options.silence,
        }
    }

    /// A foreign text for an error: without the key, on one line, without control characters, shortened.
    fn cleaned(&self, text: &str) -> String {
        let key = self.options.key.as_ref().map_or("", Secret::expose);
        // Shorter ones are placeholders, and taking those out would only garble the message.
        let text = if key.len() >= 4 {
            text.replace(key, "…")
        } else {
            text.to_owned()
        };
        let mut line = String::new();
        for word in text
            .split(|c: char| c.is_whitespace() || c.is_control())
            .filter(|word| !word.is_empty())
        {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        if line.chars().count() > LONGEST_MESSAGE {
            line = line.chars().take(LONGEST_MESSAGE).chain(['…']).collect();
        }
        line
    }
}

/// What an error's body says.
fn body_message(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let text = text.trim();
    if text.is_empty() {
        return "no reason given".into();
    }
    if let Ok(value) = serde_json::from_str::<Value>(text) {
        if let Some((message, _)) = upstream_error(&value) {
            return message;
        }
        let named = ["message", "detail"].iter().find_map(|name| value.get(name)?.as_str());
        return named.map_or_else(|| text.to_owned(), str::to_owned);
    }
    if text.starts_with('<') {
        return "a web page instead of an error".into();
    }
    text.to_owned()
}
