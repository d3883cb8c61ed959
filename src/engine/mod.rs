//! One run from its first model call to its last event: iterations, function calls, limits, cancelling.
//!
//! It knows no HTTP and no channel log: events go to an [`EventSink`], answers of functions come from
//! [`Answers`], and the model stands behind `llm::Model`.

pub mod abilities;
mod attachments;
mod calls;
mod chat;
mod checkpoint;
mod date;
mod functions;
mod iteration;
mod limits;
mod moderation;
mod own;
mod prepare;
mod run;
mod schema;

use std::future::Future;
use std::sync::Arc;

use bytes::Bytes;
use futures::FutureExt;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use abilities::Catalog;

use crate::fetch::Fetcher;
use crate::llm::{Model, Moderator};
use crate::measure::ModelMeters;
use crate::wire::{ApiError, ChannelId, CompleteRequest, ErrorCode, Event};

pub use limits::EngineLimits;

/// Where a run's events go, in their order.
pub trait EventSink: Send + Sync {
    /// Hands over the next event; waits while the taker is full.
    ///
    /// # Errors
    /// When nobody takes events any more: the run gives up.
    fn emit(&self, event: Event) -> impl Future<Output = Result<(), SinkClosed>> + Send;

    /// Hands over events that came at once, in their order; whoever keeps events may keep them together.
    ///
    /// # Errors
    /// When nobody takes events any more: the run gives up.
    fn emit_all(&self, events: Vec<Event>) -> impl Future<Output = Result<(), SinkClosed>> + Send {
        async move {
            for event in events {
                self.emit(event).await?;
            }
            Ok(())
        }
    }

    /// Hands over the next event together with what the run goes on from after it: whoever keeps events keeps both
    /// or none. Sinks that keep nothing take the event alone.
    ///
    /// # Errors
    /// When nobody takes events any more: the run gives up.
    fn keep(&self, event: Event, checkpoint: Checkpoint) -> impl Future<Output = Result<(), SinkClosed>> + Send {
        drop(checkpoint);
        self.emit(event)
    }
}

/// What a run is asked for, as it is kept: the request, and what came beside its body.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Order {
    /// The body of the request.
    #[serde(flatten)]
    pub request: CompleteRequest,
    /// The person's time zone (IANA name), from the header `X-Timezone`.
    #[serde(default, rename = "xTimezone", skip_serializing_if = "Option::is_none")]
    pub timezone: Option<String>,
    /// When it was taken, in milliseconds since 1970: a run tells the model the same date however often it is begun.
    /// Kept beside the order, with the run.
    #[serde(skip)]
    pub asked_at: Option<u64>,
}

impl From<CompleteRequest> for Order {
    fn from(request: CompleteRequest) -> Self {
        Self {
            request,
            timezone: None,
            asked_at: None,
        }
    }
}

/// What a run goes on from: everything that it has come to besides its order. Written and read by the engine alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint(Bytes);

impl Checkpoint {
    /// A checkpoint as it was kept.
    pub fn new(bytes: impl Into<Bytes>) -> Self {
        Self(bytes.into())
    }

    /// The bytes that are kept.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The bytes to keep.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        self.0
    }
}

/// Nobody takes the run's events any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("nobody takes the run's events any more")]
pub struct SinkClosed;

/// Where answers to function calls come from: what is published on channels of the run's account.
pub trait Answers: Send + Sync {
    /// Listens on one channel.
    type Listener: AnswerListener;

    /// Begins to listen for the answer of a call, which is named by its id. What is published from now on is not
    /// missed, however late it is asked for; an answer that was kept over a restart comes first.
    fn listen(&self, channel: &ChannelId, call: &str) -> impl Future<Output = Self::Listener> + Send;
}

/// Listens on one channel.
pub trait AnswerListener: Send {
    /// The next published message; `None` when none can come any more. Dropping the future loses nothing.
    fn next(&mut self) -> impl Future<Output = Option<serde_json::Value>> + Send;

    /// Ends listening, because the call has waited long enough. A message that was taken for its answer before, and
    /// not given out yet, is given now: whoever published it was told so.
    fn close(mut self) -> impl Future<Output = Option<serde_json::Value>> + Send
    where
        Self: Sized,
    {
        async move { self.next().now_or_never().flatten() }
    }
}

/// Runs conversations with one model. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    model: Arc<dyn Model>,
    moderator: Option<Arc<dyn Moderator>>,
    limits: EngineLimits,
    fetcher: Option<Fetcher>,
    catalog: Catalog,
}

/// What is known of a run before it begins.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct About {
    /// The name of its model; the server's own when absent.
    pub model: Option<String>,
    /// Whether its texts go when it has ended.
    pub private: bool,
}

impl Engine {
    /// An engine for a model.
    #[must_use]
    pub fn new(model: Arc<dyn Model>, limits: EngineLimits) -> Self {
        Self {
            model,
            moderator: None,
            fetcher: None,
            limits,
            catalog: Catalog::default(),
        }
    }

    /// The same engine with what requests may name.
    #[must_use]
    pub fn with_catalog(self, catalog: Catalog) -> Self {
        Self { catalog, ..self }
    }

    /// The same engine with what judges messages before the model hears of them.
    #[must_use]
    pub fn with_moderator(mut self, moderator: Option<Arc<dyn Moderator>>) -> Self {
        self.moderator = moderator;
        self
    }

    /// The same engine with what fetches the attachments of requests; without it they are refused.
    #[must_use]
    pub fn with_fetcher(mut self, fetcher: Option<Fetcher>) -> Self {
        self.fetcher = fetcher;
        self
    }

    /// The name of the model that is used when a request names none.
    #[must_use]
    pub fn model_name(&self) -> &str {
        self.model.name()
    }

    /// What is counted of the model's calls, where they are counted.
    #[must_use]
    pub fn meters(&self) -> Option<ModelMeters> {
        self.model.meters()
    }

    /// Whether the model is the built-in demo.
    #[must_use]
    pub fn is_demo(&self) -> bool {
        self.model.is_demo()
    }

    /// The bounds in force.
    #[must_use]
    pub fn limits(&self) -> &EngineLimits {
        &self.limits
    }

    /// Whether an order can be carried out at all, before it is taken.
    ///
    /// # Errors
    /// What is wrong with it, naming the field: `BAD_REQUEST` for parameters of a function that are no usable JSON
    /// Schema and for more functions than a run may have, `NOT_FOUND` for a reference that leads nowhere,
    /// `NOT_IMPLEMENTED` for what this engine cannot do.
    pub fn check(&self, order: &Order) -> Result<(), ApiError> {
        let resolved = self.catalog.resolve(&order.request, order.timezone.as_deref())?;
        prepare::check(&resolved)?;
        let known = self.model.check(resolved.request.model.as_deref());
        known.map_err(|error| ApiError::new(run::code_of(&error), format!("`model`: {error}")))?;
        schema::check(&resolved.request.functions).map_err(|(at, why)| {
            let message = format!("`functions[{at}].parameters` cannot be used: {why}");
            ApiError::new(ErrorCode::BadRequest, message)
        })?;
        moderation::check(self, &resolved.request)?;
        attachments::check(self, order)
    }

    /// What is known of an order's run before it begins; its bot is asked where it names one.
    #[must_use]
    pub fn about(&self, order: &Order) -> About {
        let resolved = self.catalog.resolve(&order.request, None).ok();
        let request = resolved.as_ref().map_or(&order.request, |resolved| &*resolved.request);
        About {
            model: request.model.clone(),
            private: request.privacy == Some(true),
        }
    }

    /// Runs a conversation and emits every event of it (PROTOCOL, "Events of a run"); the last one is `result` or
    /// `error`. The request's own messages are not emitted. A cancelled token ends the run with `abort` and
    /// `result`.
    ///
    /// With a checkpoint the run goes on from there: what was kept is not repeated, a model call that was not
    /// finished is made again, an open wait goes on without being announced again. A checkpoint that cannot be read
    /// ends the run with `error`.
    ///
    /// # Errors
    /// When the sink takes no more events: the run is given up and nothing else is emitted.
    pub async fn run<S: EventSink, A: Answers>(
        &self,
        order: &Order,
        from: Option<&Checkpoint>,
        sink: &S,
        answers: &A,
        cancel: &CancellationToken,
    ) -> Result<(), SinkClosed> {
        let restored = match from.map(checkpoint::read).transpose() {
            Ok(restored) => restored,
            Err(error) => return sink.emit(run::failed(error.code, error.message)).await,
        };
        let ready = match prepare::ready(self, order) {
            Ok(ready) => ready,
            // It could be made ready when the order was taken: the configuration has changed since.
            Err(error) => return sink.emit(run::failed(error.code, error.message)).await,
        };
        run::Run::new(self, &ready, restored, sink, answers, cancel)
            .drive()
            .await
    }
}

/// How long a value is as JSON, in bytes.
fn json_bytes(value: &impl Serialize) -> usize {
    struct Counter(usize);
    impl std::io::Write for Counter {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut counter = Counter(0);
    // Counting cannot fail, and what cannot be written counts as endless.
    match serde_json::to_writer(&mut counter, value) {
        Ok(()) => counter.0,
        Err(_) => usize::MAX,
    }
}

#[cfg(test)]
mod tests;
