//! What a channel's events add up to: blocks, status, counters, in bounded memory.
//!
//! It knows no terminal and no network: [`Item`]s come in from a feed, [`Block`]s are there to be read.

pub mod block;
mod bound;
mod calls;
pub mod earlier;
pub mod export;
mod fold;
pub mod input;
mod operations;
pub mod rate;
pub mod raw;
mod read;
pub mod state;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

pub use block::{Block, BlockId, BlockKind, CallState};
pub use earlier::{Turn, TurnKind};
pub use input::{Connection, FeedBatch, Item};
pub use state::Transcript;

/// How far a run is, as far as its events tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Status {
    /// Nothing has come yet.
    #[default]
    Empty,
    /// Its prompt is there, no model call has begun.
    Queued,
    /// It works.
    Running,
    /// It waits for the answer to at least one function call.
    Waiting,
    /// It ended.
    Done {
        /// Why it ended.
        reason: EndReason,
    },
    /// It failed.
    Failed,
}

impl Status {
    /// Whether nothing more can come.
    #[must_use]
    pub fn is_over(self) -> bool {
        matches!(self, Self::Done { .. } | Self::Failed)
    }

    /// One lower-case word for people and for lines of output.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::Queued => "queued",
            Self::Running => "live",
            Self::Waiting => "waiting",
            Self::Done { .. } => "done",
            Self::Failed => "failed",
        }
    }
}

/// `end.reason` of a result (PROTOCOL, "Events of a run").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum EndReason {
    /// The model was finished.
    Stop,
    /// The model's answer was cut at its length limit.
    Length,
    /// A function call is left to the caller.
    Activity,
    /// It was cancelled.
    Abort,
    /// It ended by an error.
    Error,
    /// Its limit of iterations was reached.
    Iteration,
    /// A reason that this program does not know; the `End` block has its text.
    Other,
}

impl From<&str> for EndReason {
    fn from(reason: &str) -> Self {
        match reason {
            "stop" => Self::Stop,
            "length" => Self::Length,
            "activity" => Self::Activity,
            "abort" => Self::Abort,
            "error" => Self::Error,
            "iteration" => Self::Iteration,
            _ => Self::Other,
        }
    }
}

/// What was counted of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counters {
    /// `token` events seen.
    pub tokens: u64,
    /// `reasoningToken` events seen.
    pub reasoning_tokens: u64,
    /// Events seen, of every type.
    pub events: u64,
    /// When the first event was committed (or came, where the server does not say), Unix milliseconds.
    pub started_at: Option<u64>,
    /// The same of the event that ended the run.
    pub ended_at: Option<u64>,
    /// The same of the first token, of the answer or of the reasoning.
    pub first_token_at: Option<u64>,
}

/// What may be said about the transcript's wholeness.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Honesty {
    /// Every event from the first one on was seen, or the streamed text equals the final message.
    Complete,
    /// The beginning is not here: the server no longer had it, or it was folded away to bound the memory.
    HeadTrimmed,
    /// Events are missing in the middle.
    Gap,
    /// The server gives no positions: nothing can be claimed yet.
    #[default]
    Unknown,
}

/// A function call that the run waits for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct WaitingCall<'a> {
    /// The call's block.
    pub block: BlockId,
    /// The function's name.
    pub function: &'a str,
    /// What it is called with.
    pub arguments: &'a serde_json::Value,
    /// The channel to publish the answer on, as it came.
    pub channel: &'a str,
    /// When it was asked, Unix time in milliseconds.
    pub asked_at: Option<u64>,
    /// When the wait gives up, Unix time in milliseconds.
    pub expires_at: Option<u64>,
}
