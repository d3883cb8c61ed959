//! The bodies of requests: dispatch and complete, subscribe, publish; and the answers of our additions.
//!
//! Types only: which values are allowed together, and which fields a server implements, is checked in
//! `server`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::event::{Message, MessageKind};
use super::{ChannelId, Object};

/// The body of `complete`, and of `dispatch` but for the channel.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("allOf" = [{
    "if": {"required": ["botId"], "properties": {"botId": {"type": "string"}}},
    "then": {"properties": {
        "model": {"type": "null"},
        "backstory": {"type": "null"},
        "datasetId": {"type": "null"},
        "skillsetId": {"type": "null"},
        "privacy": {"type": "null"},
        "moderation": {"type": "null"},
    }},
}]))]
pub struct CompleteRequest {
    /// The conversation; at least one message.
    #[schemars(length(min = 1))]
    pub messages: Vec<Message>,
    /// The model to use, by name; the server's own when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The bot's character.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backstory: Option<String>,
    /// A stored bot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bot_id: Option<String>,
    /// A stored dataset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dataset_id: Option<String>,
    /// A stored skillset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skillset_id: Option<String>,
    /// Whether texts are kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub privacy: Option<bool>,
    /// Whether texts are moderated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moderation: Option<bool>,
    /// Files by address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attachments: Option<Vec<Attachment>>,
    /// Whom the conversation is with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contact_id: Option<Contact>,
    /// The functions that the model may call.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub functions: Vec<Function>,
    /// What the bot knows and can do besides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extensions: Option<Extensions>,
    /// Bounds of the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<Limits>,
}

impl CompleteRequest {
    /// A conversation that consists of one prompt.
    pub fn prompt(text: impl Into<String>) -> Self {
        Self {
            messages: vec![Message::new(MessageKind::User, text)],
            ..Self::default()
        }
    }

    /// The messages after the last one of the bot: what this request adds to the conversation. A
    /// run's channel begins with them, so that a second device sees the prompt too.
    #[must_use]
    pub fn new_messages(&self) -> &[Message] {
        let start = self
            .messages
            .iter()
            .rposition(|message| message.kind == MessageKind::Bot)
            .map_or(0, |at| at + 1);
        &self.messages[start..]
    }
}

/// The body of `dispatch`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DispatchRequest {
    /// The channel that the run's events go to; the server mints one when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel_id: Option<ChannelId>,
    /// What to run.
    #[serde(flatten)]
    pub complete: CompleteRequest,
}

/// The answer of `dispatch`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DispatchAnswer {
    /// The channel that the run's events go to.
    pub channel_id: ChannelId,
}

/// A file by address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Attachment {
    /// Where it is, http or https.
    pub url: String,
}

/// Whom a conversation is with: a reference, or what is known of the person.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Contact {
    /// The caller's own id of the contact.
    Id(#[schemars(regex(pattern = r"\S"))] String),
    /// What is known of the contact.
    Person(Box<Person>),
}

/// What is known of a [`Contact`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Person {
    /// What the caller tells the contact apart by.
    #[schemars(regex(pattern = r"\S"))]
    pub fingerprint: String,
    /// The contact's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Who the contact is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// An address for mail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// A number for calls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phone: Option<String>,
    /// What the contact is called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nick: Option<String>,
    /// Whatever else the caller knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub meta: Option<Object>,
}

/// What a bot knows and can do besides its configuration.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Extensions {
    /// More of the bot's character.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backstory: Option<String>,
    /// What it knows.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub datasets: Vec<InlineDataset>,
    /// What it can do.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub skillsets: Vec<InlineSkillset>,
    /// What the server can do for it, by name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub features: Vec<Feature>,
}

/// Records that a request brings.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct InlineDataset {
    /// Its name, for the model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What it holds, for the model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// What it holds.
    pub records: Vec<DatasetRecord>,
}

/// One record of a dataset.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DatasetRecord {
    /// The record itself.
    pub text: String,
    /// What else is known about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub meta: Option<Object>,
}

/// Abilities that a request brings.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct InlineSkillset {
    /// Its name, for the model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What its abilities are for, for the model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// What the bot can do with it.
    pub abilities: Vec<InlineAbility>,
}

/// Something that a bot can do.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct InlineAbility {
    /// Its name.
    #[schemars(regex(pattern = r"\S"))]
    pub name: String,
    /// What it does, for the model that decides to use it.
    #[schemars(regex(pattern = r"\S"))]
    pub description: String,
    /// What is to be done, for the model that does it.
    #[schemars(regex(pattern = r"\S"))]
    pub instruction: String,
    /// A stored secret that it needs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_id: Option<String>,
    /// What else is known about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub meta: Option<Object>,
}

/// Something that the server can do for a bot.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Feature {
    /// Which one.
    pub name: String,
    /// How.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub options: Option<Object>,
}

/// A function that the model may call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Function {
    /// Its name: `^(?!_)[A-Za-z$][A-Za-z0-9_$]*$`, at most 64 characters, unique.
    #[schemars(length(max = 64), regex(pattern = r"^[A-Za-z$][A-Za-z0-9_$]*$"))]
    pub name: String,
    /// What it does, for the model.
    #[schemars(regex(pattern = r"\S"))]
    pub description: String,
    /// A JSON Schema of type `object`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("anyOf" = [
        {"type": "null"},
        {"type": "object", "required": ["type"], "properties": {"type": {"const": "object"}}},
    ]))]
    pub parameters: Option<Value>,
    /// Where its result comes from; absent: the run ends and its caller handles the call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<FunctionResult>,
    /// When it is called without the model's choice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call: Option<FunctionCall>,
}

/// Where a function's result comes from. Both given: the channel decides.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("anyOf" = [
    {"required": ["data"]},
    {"required": ["channel"], "properties": {"channel": {"type": "string"}}},
]))]
pub struct FunctionResult {
    /// This value, at once. `Some(Value::Null)` is a result too.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub data: Option<Value>,
    /// What is published on this channel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<ChannelId>,
}

/// When a function is called without the model's choice.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FunctionCall {
    /// First of all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<bool>,
    /// Last of all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<bool>,
}

/// Bounds of a run; each 1 or more.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Limits {
    /// Model calls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub iterations: Option<u64>,
    /// Continuations after a stop for length.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub continuations: Option<u64>,
    /// Function calls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub calls: Option<u64>,
}

/// The body of `subscribe`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SubscribeRequest {
    /// How many of the newest retained events come first, 0 to 10,000; absent: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = LONGEST_HISTORY))]
    pub history_length: Option<u64>,
    /// Resume: everything retained after this id; our server's addition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<u64>,
}

/// The longest history that may be asked for (PROTOCOL, "subscribe").
pub const LONGEST_HISTORY: u64 = 10_000;

/// The body of `publish`: any JSON value but null.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PublishRequest {
    /// What to publish.
    #[schemars(extend("not" = {"type": "null"}))]
    pub message: Value,
}

/// The answer of `publish`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PublishAnswer {
    /// The channel's id.
    pub id: ChannelId,
}

/// Where a run stands, in the run list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RunStatus {
    /// Accepted, not begun.
    Queued,
    /// Going on.
    Running,
    /// Waiting for a function's result.
    Waiting,
    /// Ended with a result.
    Ended,
    /// Ended with an error.
    Failed,
}

impl RunStatus {
    /// Every status, in the order of a run's life.
    pub const ALL: [Self; 5] = [Self::Queued, Self::Running, Self::Waiting, Self::Ended, Self::Failed];

    /// The status as it stands on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Waiting => "waiting",
            Self::Ended => "ended",
            Self::Failed => "failed",
        }
    }

    /// The status that a text names.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }
}

/// One run of the run list; our server's addition.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RunSummary {
    /// The run's channel.
    pub channel_id: ChannelId,
    /// From the prompt.
    pub title: String,
    /// Where it stands.
    pub status: RunStatus,
    /// The model's name.
    pub model: String,
    /// When it was dispatched, Unix time in milliseconds.
    pub created_at: u64,
    /// When it ended, Unix time in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<u64>,
    /// How it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_reason: Option<String>,
    /// The names of the functions that it waits for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waiting: Vec<String>,
    /// How often a restart of the server broke into the iteration that goes on; absent once the run has come further.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub restarts: u32,
    /// The same calls with where their answers belong, in the same order; absent on older servers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waiting_on: Vec<WaitingOn>,
}

/// A function call that a run waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WaitingOn {
    /// The function's name.
    pub function: String,
    /// The channel on which its answer is to be published.
    pub channel: String,
    /// The id of the call; absent on older servers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call: Option<String>,
    /// When the run stops waiting, Unix time in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<u64>,
}

/// The answer of the run list.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RunList {
    /// The runs, newest first unless asked otherwise.
    pub items: Vec<RunSummary>,
    /// What the next page is asked for with, as `cursor`; absent on the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// The most runs that one page of the list holds.
pub const LARGEST_PAGE: usize = 1000;

/// The answer of `GET /v1/server`; our server's addition.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServerInfo {
    /// The server's version.
    pub version: String,
    /// The model that answers when a request names none.
    pub model: String,
    /// Whether that model is the built-in demo.
    pub demo: bool,
    /// How long events are kept.
    pub retention: Retention,
    /// Bounds of a run on this server.
    #[serde(default)]
    pub limits: Object,
    /// Runs that have not ended; only the local server says it, and its starter asks before it stops one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub live_runs: Option<u64>,
    /// A digest of the configuration; only the local server says it, and its starter compares it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_digest: Option<String>,
}

/// The answer of `GET /v1/health`; our server's addition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Health {
    /// `ok`.
    pub status: String,
}

impl Default for Health {
    fn default() -> Self {
        Self {
            status: "ok".to_owned(),
        }
    }
}

/// The body of `POST /v1/server/stop`, which only the local server has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct StopRequest {
    /// Stop although there are runs that have not ended.
    pub force: bool,
}

/// How long events are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Retention {
    /// Seconds after the last event.
    pub seconds: u64,
    /// Events a channel.
    pub events: u64,
}

fn is_zero(count: &u32) -> bool {
    *count == 0
}

fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_dispatch_reads_and_writes_the_documented_form() {
        let body = json!({
            "channelId": "0123456789abcdef",
            "messages": [{"type": "user", "text": "hi", "meta": {"a": 1}}],
            "model": "m",
            "contactId": "c",
            "extensions": {
                "backstory": "b",
                "datasets": [{"records": [{"text": "t", "meta": {"a": 1}}]}],
                "skillsets": [{"abilities": [{"name": "n", "description": "d", "instruction": "i", "secretId": "s"}]}],
                "features": [{"name": "time", "options": {"timezone": "UTC"}}],
            },
            "functions": [{"name": "f", "description": "d", "parameters": {"type": "object"}, "result": {"data": null}, "call": {"start": true}}],
            "limits": {"iterations": 2},
        });
        let request: DispatchRequest = serde_json::from_value(body.clone()).expect("a dispatch");
        assert_eq!(serde_json::to_value(&request).expect("JSON"), body);
        assert_eq!(
            request.complete.functions[0]
                .result
                .as_ref()
                .and_then(|result| result.data.clone()),
            Some(Value::Null)
        );
    }

    #[test]
    fn the_new_messages_follow_the_last_of_the_bot() {
        let mut request = CompleteRequest::prompt("one");
        assert_eq!(request.new_messages().len(), 1);
        request.messages.push(Message::new(MessageKind::Bot, "two"));
        assert!(request.new_messages().is_empty());
        request.messages.push(Message::new(MessageKind::User, "three"));
        assert_eq!(request.new_messages()[0].text, "three");
    }
}
