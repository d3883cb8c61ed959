//! What can go wrong with a model, each with a message that says what to do next.
//!
//! It holds no secret: addresses are shown without their user part, upstream messages are shortened and cleaned.

use std::time::Duration;

/// Why a model gave no (whole) answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ModelError {
    /// The configuration cannot be used.
    #[error("the model cannot be used: {reason}")]
    Config {
        /// What is wrong with it.
        reason: String,
    },
    /// No upstream of the configuration serves a model of this name.
    #[error("there is no model {model:?} on this server; there are: {known}")]
    Unknown {
        /// The name, shortened.
        model: String,
        /// The names and patterns that there are, as one text.
        known: String,
    },
    /// No connection.
    #[error("the model at {url} cannot be reached ({reason}); is it running, and is the base URL right?")]
    Unreachable {
        /// The base URL.
        url: String,
        /// What the network said.
        reason: String,
    },
    /// An HTTP status that is not a success.
    #[error("the model at {url} answered {status}: {message}{}", advice(*status))]
    Status {
        /// The base URL.
        url: String,
        /// The HTTP status.
        status: u16,
        /// What the upstream said, shortened.
        message: String,
        /// How long the upstream says to wait.
        retry_after: Option<Duration>,
    },
    /// HTTP 429.
    #[error("the model at {url} is rate limited: {message}; wait{} and try again", seconds(*retry_after))]
    RateLimited {
        /// The base URL.
        url: String,
        /// What the upstream said, shortened.
        message: String,
        /// How long the upstream says to wait.
        retry_after: Option<Duration>,
    },
    /// An error that came inside the stream.
    #[error("the model at {url} gave up in the middle of its answer: {message}")]
    Failed {
        /// The base URL.
        url: String,
        /// What the upstream said, shortened.
        message: String,
        /// The HTTP status that it would have had outside of a stream, where the upstream says so.
        status: Option<u16>,
    },
    /// The stream ended before the answer did.
    #[error("the model at {url} ended its answer before it was whole; try again")]
    Cut {
        /// The base URL.
        url: String,
    },
    /// What came is not what the API says.
    #[error(
        "the model at {url} answered something that is no stream of chat completions ({reason}); is the base URL that of an OpenAI-compatible API?"
    )]
    Garbage {
        /// The base URL.
        url: String,
        /// What came instead, shortened.
        reason: String,
    },
    /// Nothing came for too long.
    #[error("the model at {url} has been silent for {} seconds; try again, or raise the limit on silence", silence.as_secs())]
    Silent {
        /// The base URL.
        url: String,
        /// The limit in force.
        silence: Duration,
    },
    /// The answer is larger than what is taken.
    #[error("the model's answer is larger than {limit} bytes; ask for less at once")]
    TooLarge {
        /// The limit in force, in bytes.
        limit: usize,
    },
    /// The demo was asked to fail.
    #[error("{message}")]
    Demo {
        /// What it says.
        message: String,
    },
}

impl ModelError {
    /// The HTTP status that the upstream gave, if it gave one that is no success.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Status { status, .. } => Some(*status),
            Self::RateLimited { .. } => Some(429),
            Self::Failed { status, .. } => *status,
            _ => None,
        }
    }

    /// The kind of error in a word or two, for logs: without anything that an upstream said.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Config { .. } => "configuration",
            Self::Unknown { .. } => "unknown model",
            Self::Unreachable { .. } => "unreachable",
            Self::Status { .. } => "status",
            Self::RateLimited { .. } => "rate limited",
            Self::Failed { .. } => "failed",
            Self::Cut { .. } => "cut",
            Self::Garbage { .. } => "garbage",
            Self::Silent { .. } => "silent",
            Self::TooLarge { .. } => "too large",
            Self::Demo { .. } => "demo",
        }
    }
}

fn advice(status: u16) -> &'static str {
    match status {
        429 => "; see to the account that its key belongs to",
        401 | 403 => "; check the model's key",
        300..=399 => "; it redirects: use the address that it redirects to",
        404 => "; check the base URL and the model's name",
        500..=599 => "; try again",
        _ => "",
    }
}

fn seconds(wait: Option<Duration>) -> String {
    wait.map_or_else(String::new, |wait| format!(" {} seconds", wait.as_secs()))
}
