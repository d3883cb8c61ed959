//! One run from its first model call to its last event: iterations, function calls, limits, cancelling.
//!
//! It knows no HTTP and no channel log: events go to an [`EventSink`], answers of functions come from
//! [`Answers`], and the model stands behind `llm::Model`.

use std::future::Future;

use crate::wire::{ChannelId, Event};

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
