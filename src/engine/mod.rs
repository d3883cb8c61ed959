//! One run from its first model call to its last event: iterations, function calls, limits, cancelling.
//!
//! It knows no HTTP and no channel log: events go to an [`EventSink`], answers of functions come from
//! [`Answers`], and the model stands behind `llm::Model`.

mod chat;
mod functions;
mod iteration;
mod run;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::llm::Model;
use crate::wire::{ChannelId, CompleteRequest, Event};

/// Where a run's events go, in their order.
pub trait EventSink: Send + Sync {
    /// Hands over the next event; waits while the taker is full.
    ///
    /// # Errors
    /// When nobody takes events any more: the run gives up.
    fn emit(&self, event: Event) -> impl Future<Output = Result<(), SinkClosed>> + Send;
}

/// Nobody takes the run's events any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("nobody takes the run's events any more")]
pub struct SinkClosed;

/// Where answers to function calls come from: what is published on channels of the run's account.
pub trait Answers: Send + Sync {
    /// Listens on one channel.
    type Listener: AnswerListener;

    /// Begins to listen. What is published from now on is not missed, however late it is asked for.
    fn listen(&self, channel: &ChannelId) -> impl Future<Output = Self::Listener> + Send;
}

/// Listens on one channel.
pub trait AnswerListener: Send {
    /// The next published message; `None` when none can come any more.
    fn next(&mut self) -> impl Future<Output = Option<serde_json::Value>> + Send;
}

/// Bounds of every run of an [`Engine`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineLimits {
    /// Model calls of one run; a request may ask for fewer.
    pub max_iterations: u64,
    /// Function calls of one run; a request may ask for fewer.
    pub max_calls: u64,
    /// How long a run waits for the answer of one function.
    pub wait: Duration,
    /// How long a whole run may take, waiting included.
    pub run: Duration,
    /// Text, reasoning and arguments of one model call, in bytes.
    pub max_answer: usize,
}

impl Default for EngineLimits {
    fn default() -> Self {
        Self {
            max_iterations: 20,
            max_calls: 100,
            wait: Duration::from_secs(15 * 60),
            run: Duration::from_secs(15 * 60),
            max_answer: 16 * 1024 * 1024,
        }
    }
}

/// Runs conversations with one model. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    model: Arc<dyn Model>,
    limits: EngineLimits,
}

impl Engine {
    /// An engine for a model.
    #[must_use]
    pub fn new(model: Arc<dyn Model>, limits: EngineLimits) -> Self {
        Self { model, limits }
    }

    /// The name of the model that is used when a request names none.
    #[must_use]
    pub fn model_name(&self) -> &str {
        self.model.name()
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

    /// Runs a conversation and emits every event of it (PROTOCOL, "Events of a run"); the last one is `result` or
    /// `error`. The request's own messages are not emitted. A cancelled token ends the run with `abort` and
    /// `result`.
    ///
    /// # Errors
    /// When the sink takes no more events: the run is given up and nothing else is emitted.
    pub async fn run<S: EventSink, A: Answers>(
        &self,
        request: &CompleteRequest,
        sink: &S,
        answers: &A,
        cancel: &CancellationToken,
    ) -> Result<(), SinkClosed> {
        run::Run::new(self, request, sink, answers, cancel).drive().await
    }
}

#[cfg(test)]
mod tests;
