//! Upstream language models behind one trait: OpenAI-compatible endpoints, and the built-in demo.
//!
//! One [`Model::call`] is one answer of the model: a request in, a stream of [`ModelEvent`]s out. What the
//! pieces add up to, running functions, limits and repeating are the engine's.

mod body;
mod client;
mod connect;
mod delta;
mod demo;
mod demo_arguments;
mod error;
mod measured;
mod moderation;
mod openai;
pub mod probe;
mod reader;
mod retry;
mod router;
mod sse;
mod think;
mod upstream;

use std::pin::Pin;

use bytes::Bytes;
use futures::Stream;
use prometheus_client::metrics::counter::Counter;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use crate::wire::Secret;
pub use connect::{ModelOptions, ModelSource, connect, find};
pub use demo::{DEMO_NAME, Demo};
pub use error::ModelError;
pub use measured::Measured;
pub use moderation::{Moderations, Moderator, Verdict};
pub use openai::OpenAi;
pub use retry::Retries;
pub use router::{NamePattern, Route, Router};

use crate::measure::ModelMeters;
use crate::wire::request::Function;

/// What a model's answer comes as; nothing follows an error.
pub type ModelStream = Pin<Box<dyn Stream<Item = Result<ModelEvent, ModelError>> + Send>>;

/// A language model.
pub trait Model: Send + Sync {
    /// The name that it goes by when a request names none.
    fn name(&self) -> &str;

    /// Whether it is the built-in demo.
    fn is_demo(&self) -> bool {
        false
    }

    /// Whether a model of this name takes pictures; its own choice when absent.
    fn takes_images(&self, model: Option<&str>) -> bool {
        let _ = model;
        false
    }

    /// Whether there is a model of this name; its own choice is always there.
    ///
    /// # Errors
    /// [`ModelError::Unknown`], when a request for it could only fail.
    fn check(&self, model: Option<&str>) -> Result<(), ModelError> {
        let _ = model;
        Ok(())
    }

    /// Functions that a model of this name offers when a request brings none. One with an empty `result` wants a
    /// channel that the engine mints.
    fn builtin_functions(&self, model: Option<&str>) -> Vec<Function> {
        let _ = model;
        Vec::new()
    }

    /// What is counted of its calls, where they are counted.
    fn meters(&self) -> Option<ModelMeters> {
        None
    }

    /// Counts from now on, with this, the requests that are made again.
    fn count_retries(&self, retries: &Counter) {
        let _ = retries;
    }

    /// Begins one answer. Nothing happens before the stream is polled; dropping it gives the answer up.
    fn call(&self, request: ModelRequest) -> ModelStream;
}

/// What one answer is asked for.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ModelRequest {
    /// The model to use; its own choice when absent.
    pub model: Option<String>,
    /// The conversation so far.
    pub messages: Vec<ChatMessage>,
    /// The functions that it may call.
    pub tools: Vec<Tool>,
    /// Whether it has to call one of them.
    pub choice: ToolChoice,
}

/// One message of a conversation, as models take them. Can be kept and read again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum ChatMessage {
    /// Who the model is and what it should do.
    System(String),
    /// What the person says.
    User(String),
    /// A picture that belongs to what the person says right before and after it.
    Image {
        /// What it is: `image/png`, `image/jpeg`, `image/gif`, `image/webp`.
        media_type: String,
        /// The file as it came.
        #[serde(with = "in_base64")]
        data: Bytes,
    },
    /// What the model said and which functions it called.
    Assistant {
        /// Its text; may be empty.
        text: String,
        /// Its calls; may be empty.
        calls: Vec<ToolCall>,
    },
    /// What a function gave.
    Tool {
        /// The call that it answers.
        id: String,
        /// The result as JSON or plain text.
        content: String,
    },
}

/// A function as models take them.
#[derive(Debug, Clone, PartialEq)]
pub struct Tool {
    /// Its name.
    pub name: String,
    /// What it does.
    pub description: String,
    /// A JSON Schema of type `object`.
    pub parameters: Option<Value>,
}

/// Whether the model has to call a function.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum ToolChoice {
    /// As it likes.
    #[default]
    Auto,
    /// It has to call this one.
    Function(String),
}

/// A function call of the model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ToolCall {
    /// Ties the result to the call; made up when the model gave none.
    pub id: String,
    /// The function's name as the model wrote it.
    pub name: String,
    /// The arguments.
    pub arguments: Arguments,
}

/// What a function is called with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Arguments {
    /// A JSON value.
    Json(Value),
    /// What the model wrote, which is not JSON.
    Raw(String),
}

impl Arguments {
    /// Reads what a model wrote; no text at all is a call without arguments, and what is nested too deeply to be kept
    /// ([`crate::wire::depth`]) counts as no JSON.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        if text.trim().is_empty() {
            return Self::Json(Value::Object(crate::wire::Object::new()));
        }
        crate::wire::depth::parse(text).map_or_else(|| Self::Raw(text.to_owned()), Self::Json)
    }

    /// The arguments as a value; what is not JSON is a string.
    #[must_use]
    pub fn to_value(&self) -> Value {
        match self {
            Self::Json(value) => value.clone(),
            Self::Raw(text) => Value::String(text.clone()),
        }
    }
}

/// A piece of the model's answer.
#[derive(Debug, Clone, PartialEq)]
pub enum ModelEvent {
    /// The next piece of its text; never empty.
    Text(String),
    /// The next piece of its reasoning; never empty.
    Reasoning(String),
    /// A whole function call.
    ToolCall(ToolCall),
    /// What the answer used.
    Usage {
        /// The model's name as the upstream gave it.
        model: String,
        /// Tokens read.
        input: u64,
        /// Tokens written.
        output: u64,
    },
    /// Why it stopped. Comes once, and last but for the usage.
    Finish(FinishReason),
}

/// Why a model stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FinishReason {
    /// It was done.
    Stop,
    /// It ran into its longest answer.
    Length,
    /// It calls functions.
    ToolCalls,
    /// Something that this program does not know (`content_filter`, …).
    Other(String),
}

/// Bytes as text, where they are kept.
mod in_base64 {
    use base64::Engine as _;
    use base64::prelude::BASE64_STANDARD;
    use bytes::Bytes;
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(data: &Bytes, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&BASE64_STANDARD.encode(data))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Bytes, D::Error> {
        let text = String::deserialize(deserializer)?;
        BASE64_STANDARD.decode(text).map(Bytes::from).map_err(D::Error::custom)
    }
}
