//! What a case holds, as it is written in the files.

use serde::Deserialize;
use serde_json::{Map, Value};

/// One rule and how it shows.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// The rule, in words.
    pub rule: String,
    /// What is special about the server.
    #[serde(default)]
    pub server: Settings,
    /// What the model answers, call by call; after the last one it has nothing to say.
    #[serde(default)]
    pub model: Vec<Vec<Piece>>,
    /// What happens.
    pub steps: Vec<Step>,
}

/// What is special about the server of a case; times in milliseconds.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    pub heartbeat: Option<u64>,
    pub retention: Option<u64>,
    pub retention_events: Option<usize>,
    pub body_limit: Option<usize>,
    pub runs_in_flight: Option<usize>,
    pub wait: Option<u64>,
    pub run: Option<u64>,
    pub iterations: Option<u64>,
    pub calls: Option<u64>,
    pub continuations: Option<u64>,
}

/// A piece of what the model answers.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum Piece {
    /// A piece of text.
    Text(String),
    /// A piece of reasoning.
    Reasoning(String),
    /// A function call: id, name, arguments. Arguments that are a text are given as they are, JSON or not.
    Call(String, String, Value),
    /// Tokens read and written.
    Usage(u64, u64),
    /// Why it stops.
    Finish(String),
    /// It fails.
    Fail(String),
    /// Nothing more comes.
    Hang,
    /// The rest comes when the model is asked to with the step `release`.
    Hold,
    /// Checks what the model was asked: a pattern of the conversation, each message as `[who, text]`.
    Asked(Value),
}

/// One step. Which kind it is follows from the fields that it has.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum Step {
    Request(Box<Request>),
    Read(Box<Read>),
    Control(Control),
}

/// A request and what is expected of its answer.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// Method and path without prefix.
    pub request: String,
    /// The account that asks, by the name of its secret; `""` for none.
    #[serde(default = "usual_secret")]
    pub secret: String,
    #[serde(default)]
    pub headers: Map<String, Value>,
    /// The body as JSON.
    pub body: Option<Value>,
    /// The body as it is sent.
    pub text: Option<String>,
    /// How often the text comes.
    pub times: Option<usize>,
    #[serde(default = "usual_status")]
    pub status: u16,
    /// The content type of the answer.
    #[serde(rename = "type")]
    pub content_type: Option<String>,
    /// A pattern of the answer as one document.
    pub answer: Option<Value>,
    /// Patterns of the answer's lines, all of them.
    pub lines: Option<Value>,
    /// Patterns of the answer's server-sent events: `[event, data]` or `[event, data, id]`.
    pub events: Option<Value>,
    /// A name for the answer, which stays open and is read by later steps.
    pub open: Option<String>,
    /// Ask again until the answer fits.
    #[serde(default)]
    pub until: bool,
}

/// Reads an open answer.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Read {
    pub on: String,
    /// Patterns of the next lines.
    pub lines: Option<Value>,
    /// Patterns of the next server-sent events.
    pub events: Option<Value>,
    /// Lines are passed over until one fits this.
    pub until: Option<Value>,
    /// The next bytes, before any line.
    pub bytes: Option<String>,
}

/// What is not a request.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum Control {
    /// Lets the model go on that holds.
    Release,
    /// Ends an open answer from the client's side.
    Close(String),
}

fn usual_secret() -> String {
    "one".to_owned()
}

fn usual_status() -> u16 {
    200
}
