//! The parts of a transcript that a person reads: one block for each prompt, answer, call, end, hole.
//!
//! Raw text is kept as it came; how it is laid out and made safe for a terminal is the screen's matter.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The name of a block within its transcript: grows with time, is never used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct BlockId(pub u64);

/// One part of a transcript.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Block {
    /// Its name.
    pub id: BlockId,
    /// Grows whenever the block changes: the key of every cache of its rows.
    pub revision: u64,
    /// When it began, Unix time in milliseconds, where that is known.
    pub at: Option<u64>,
    /// It was streamed before the server restarted and is streamed again below: shown folded.
    pub superseded: bool,
    /// What it is.
    pub kind: BlockKind,
}

/// What a block is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum BlockKind {
    /// A message of the person (or another input message of the run).
    Prompt {
        /// `user`, `context`, `instruction`, …
        role: String,
        /// Its text.
        text: String,
    },
    /// The bot's text.
    Answer {
        /// What has come so far; the final `message` replaces it.
        text: String,
        /// It grows still.
        streaming: bool,
    },
    /// The bot's reasoning.
    Reasoning {
        /// What has come so far.
        text: String,
        /// Tokens that it came in.
        tokens: u64,
        /// It grows still.
        streaming: bool,
    },
    /// A function call with what is known of its result.
    Call {
        /// The function's name.
        function: String,
        /// What it is called with.
        arguments: Value,
        /// How far it is.
        state: CallState,
        /// When it was asked and answered, Unix time in milliseconds.
        asked_at: Option<u64>,
        /// See `asked_at`.
        answered_at: Option<u64>,
    },
    /// What a model call used.
    Usage {
        /// The model's name.
        model: Option<String>,
        /// Tokens read.
        input: u64,
        /// Tokens written.
        output: u64,
    },
    /// An operation, a detection, a compaction: one line.
    Operation {
        /// What is done.
        label: String,
        /// It is over.
        done: bool,
    },
    /// Something was given up (`abort`).
    Abort {
        /// Why.
        reason: String,
    },
    /// The run ended.
    End {
        /// `stop`, `length`, `activity`, `abort`, `error`, `iteration`.
        reason: String,
        /// Tokens in all.
        tokens: u64,
        /// How many of them were read and written, by the `usage` events that were seen.
        used: Option<(u64, u64)>,
    },
    /// The run failed.
    Failure {
        /// What went wrong.
        message: String,
        /// What kind of error it is.
        code: Option<String>,
    },
    /// Events are missing here.
    Gap {
        /// How many, where that is known.
        missing: Option<u64>,
    },
    /// A published message.
    Published {
        /// Its JSON.
        json: String,
    },
    /// The oldest part was folded away to bound the memory.
    Trimmed {
        /// How many blocks.
        blocks: u64,
    },
    /// A line that could not be read, or an event of an unknown type: one line.
    Note {
        /// What to say.
        text: String,
    },
}

/// How far a function call is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum CallState {
    /// Asked; its result comes from elsewhere.
    Requested,
    /// The run waits for an answer on a channel.
    Waiting {
        /// The channel to publish on, as it came.
        channel: String,
        /// When the wait gives up, Unix time in milliseconds.
        expires_at: Option<u64>,
    },
    /// It has its result.
    Answered {
        /// The result.
        result: Value,
        /// Who answered, if the answer said so.
        from: Option<String>,
    },
    /// It ended without a result (given up, superseded, or the run is over).
    Abandoned,
}
