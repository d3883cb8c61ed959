//! OpenAI-compatible models: one streaming `POST …/chat/completions` per answer.
//!
//! It opens and reads the connection, and makes the request again after a failure that may pass, as long as nothing
//! of the answer has been handed on. What the bytes mean is in `reader`, which failures may pass in `retry`.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::stream;
use prometheus_client::metrics::counter::Counter;
use tokio::time::{Instant, sleep, timeout_at};

use super::body::body;
use super::reader::{Bounds, Reader};
use super::retry::Attempts;
use super::upstream::Upstream;
use super::{Model, ModelError, ModelEvent, ModelOptions, ModelRequest, ModelStream};

/// How long the usage may come after the model has said that it is done.
const USAGE_GRACE: Duration = Duration::from_secs(5);

/// A model behind an OpenAI-compatible API. Cheap to clone.
#[derive(Debug, Clone)]
pub struct OpenAi {
    upstream: Arc<Upstream>,
}

impl OpenAi {
    /// The model of a configuration. It is not asked for anything yet.
    ///
    /// # Errors
    /// When the base URL is not one, the key cannot stand in a header, or no HTTP client can be built.
    pub fn new(options: ModelOptions) -> Result<Self, ModelError> {
        let upstream = Arc::new(Upstream::new(options, "chat/completions")?);
        Ok(Self { upstream })
    }
}

impl Model for OpenAi {
    fn name(&self) -> &str {
        &self.upstream.options.model
    }

    fn takes_images(&self, _model: Option<&str>) -> bool {
        self.upstream.options.images
    }

    fn count_retries(&self, retries: &Counter) {
        // The first one stays: a model is measured once.
        let _ = self.upstream.retried.set(retries.clone());
    }

    fn call(&self, request: ModelRequest) -> ModelStream {
        let model = match &request.model {
            Some(model) => model.clone(),
            None => self.name().to_owned(),
        };
        // It is moved with every piece: boxed, that is a pointer.
        let answer = Box::new(Answer {
            reader: Reader::new(model.clone(), Bounds::default()),
            attempts: Attempts::new(self.upstream.options.retries),
            upstream: Arc::clone(&self.upstream),
            // It is kept as bytes, for as long as it may have to be sent again.
            body: body(&model, &request).to_string().into(),
            model,
            phase: Phase::Start,
            failed: None,
            given: false,
            usage_by: None,
        });
        Box::pin(stream::try_unfold(answer, |mut answer| async move {
            Ok(answer.next().await?.map(|event| (event, answer)))
        }))
    }
}

/// One answer on its way.
struct Answer {
    upstream: Arc<Upstream>,
    model: String,
    body: Bytes,
    phase: Phase,
    reader: Reader,
    attempts: Attempts,
    /// What went wrong, until everything before it is handed on.
    failed: Option<ModelError>,
    /// Whether a piece of it was handed on: it cannot be begun again.
    given: bool,
    /// Until when the usage may come, once the model has said that it is done.
    usage_by: Option<Instant>,
}

enum Phase {
    Start,
    Wait(Duration),
    Body(reqwest::Response),
    Over,
}

impl Answer {
    async fn next(&mut self) -> Result<Option<ModelEvent>, ModelError> {
        loop {
            if let Some(event) = self.reader.pop() {
                if !std::mem::replace(&mut self.given, true) {
                    self.body = Bytes::new();
                }
                return Ok(Some(event));
            }
            if let Some(error) = self.failed.take() {
                let wait = if self.given {
                    None
                } else {
                    self.upstream.wait(&self.attempts, &error)
                };
                match wait {
                    Some(wait) => self.phase = Phase::Wait(wait),
                    None => {
                        self.upstream.say_failed(&error);
                        return Err(error);
                    }
                }
            }
            let step = match std::mem::replace(&mut self.phase, Phase::Over) {
                Phase::Wait(wait) => {
                    sleep(wait).await;
                    if let Some(retried) = self.upstream.retried.get() {
                        retried.inc();
                    }
                    self.usage_by = None;
                    self.reader = Reader::new(self.model.clone(), Bounds::default());
                    self.send().await
                }
                Phase::Start => self.send().await,
                Phase::Body(response) => self.read(response).await,
                Phase::Over => return Ok(None),
            };
            self.failed = step.err();
        }
    }

    async fn send(&mut self) -> Result<(), ModelError> {
        self.attempts.begin();
        let response = self.upstream.send("text/event-stream", self.body.clone()).await?;
        self.phase = Phase::Body(response);
        Ok(())
    }

    /// Reads the next bytes; goes on with the body unless the answer is over with them.
    async fn read(&mut self, mut response: reqwest::Response) -> Result<(), ModelError> {
        let silence = self.upstream.options.silence;
        let finished = self.reader.has_finished();
        let now = Instant::now();
        let limit = if finished {
            *self.usage_by.get_or_insert(now + silence.min(USAGE_GRACE))
        } else {
            now + silence
        };
        let chunk = match timeout_at(limit, response.chunk()).await {
            Ok(Ok(chunk)) => chunk,
            // The model has said that it is done: only its usage is missing.
            Ok(Err(_)) | Err(_) if finished => None,
            Ok(Err(_)) => return Err(self.upstream.cut()),
            Err(_) => return Err(self.upstream.silent()),
        };
        let more = chunk.is_some();
        let read = match chunk {
            Some(chunk) => self.reader.push(&chunk),
            None => self.reader.finish(),
        };
        read.map_err(|error| self.upstream.read_error(error))?;
        if more && !self.reader.is_over() {
            self.phase = Phase::Body(response);
        }
        Ok(())
    }
}
