//! The events of a run as types. What this program does not know is kept as it came.
//!
//! Reading is lenient: an event whose data does not fit its type is [`EventKind::Unknown`], never an
//! error, except the two that end a run, which always count as an end. It does not say what events
//! add up to; `transcript` does.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;
use serde_json::value::RawValue;

use super::Object;

/// One event: `{"type": …, "data": …}`.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Its type with its data.
    pub kind: EventKind,
    /// Further fields beside `type` and `data`, as they came.
    pub extra: Object,
}

/// A piece of streamed text.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Token {
    /// The next piece of the text.
    pub token: String,
    /// Further fields, as they came.
    #[serde(flatten)]
    pub extra: Object,
}

/// What kind of message it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MessageKind {
    /// From the person.
    User,
    /// From the model.
    Bot,
    /// The model's reasoning.
    Reasoning,
    /// Background for the model.
    Context,
    /// An instruction to the model.
    Instruction,
    /// The bot's character.
    Backstory,
    /// A function's request or response.
    Activity,
    /// A mark in the conversation.
    Checkpoint,
    /// One that this program does not know.
    Other(String),
}

impl MessageKind {
    /// Every kind that this program knows.
    pub const KNOWN: [Self; 8] = [
        Self::User,
        Self::Bot,
        Self::Reasoning,
        Self::Context,
        Self::Instruction,
        Self::Backstory,
        Self::Activity,
        Self::Checkpoint,
    ];

    /// The kind as it stands on the wire.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::User => "user",
            Self::Bot => "bot",
            Self::Reasoning => "reasoning",
            Self::Context => "context",
            Self::Instruction => "instruction",
            Self::Backstory => "backstory",
            Self::Activity => "activity",
            Self::Checkpoint => "checkpoint",
            Self::Other(name) => name,
        }
    }
}

impl From<&str> for MessageKind {
    fn from(name: &str) -> Self {
        match name {
            "user" => Self::User,
            "bot" => Self::Bot,
            "reasoning" => Self::Reasoning,
            "context" => Self::Context,
            "instruction" => Self::Instruction,
            "backstory" => Self::Backstory,
            "activity" => Self::Activity,
            "checkpoint" => Self::Checkpoint,
            other => Self::Other(other.to_owned()),
        }
    }
}

impl Serialize for MessageKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for MessageKind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self::from(String::deserialize(deserializer)?.as_str()))
    }
}

impl JsonSchema for MessageKind {
    fn schema_name() -> Cow<'static, str> {
        "MessageKind".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "What kind of message it is.",
            "type": "string",
            "enum": Self::KNOWN.map(|kind| kind.as_str().to_owned()),
        })
    }
}

/// A whole message of a conversation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend(
    "if" = {"required": ["type"], "properties": {"type": {"const": "activity"}}},
    "then" = {"required": ["meta"], "properties": {"meta": {
        "type": "object",
        "required": ["activity"],
        "properties": {"activity": {
            "type": "object",
            "required": ["type", "function"],
            "properties": {
                "type": {"enum": ["request", "response", "trigger"]},
                "function": {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}}},
            },
        }},
    }}}
))]
pub struct Message {
    /// What kind of message it is.
    #[serde(rename = "type")]
    pub kind: MessageKind,
    /// Its text.
    pub text: String,
    /// What else is known about it; an `activity` message has `meta.activity`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub meta: Option<Object>,
    /// Further fields (`name`, `description`, `id`, `createdAt`, …), as they came.
    #[serde(flatten)]
    pub extra: Object,
}

impl Message {
    /// A message of a kind with a text and nothing else.
    pub fn new(kind: MessageKind, text: impl Into<String>) -> Self {
        Self {
            kind,
            text: text.into(),
            meta: None,
            extra: Object::new(),
        }
    }

    /// An `activity` message (its text is empty).
    #[must_use]
    pub fn from_activity(activity: &Activity) -> Self {
        let mut message = Self::new(MessageKind::Activity, "");
        let value = serde_json::to_value(activity).unwrap_or(Value::Null);
        message.meta = Some(Object::from_iter([("activity".to_owned(), value)]));
        message
    }

    /// The function's request or response that an `activity` message carries.
    #[must_use]
    pub fn activity(&self) -> Option<Activity> {
        let value = self.meta.as_ref()?.get("activity")?;
        Activity::deserialize(value).ok()
    }
}

/// Which side of a function call an `activity` message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ActivityKind {
    /// The model calls the function.
    Request,
    /// What the function gave.
    Response,
    /// Something outside set the conversation off.
    Trigger,
}

/// `meta.activity` of an `activity` message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Activity {
    /// Request, response or trigger.
    #[serde(rename = "type")]
    pub kind: ActivityKind,
    /// The function, its arguments and its result.
    pub function: ActivityFunction,
    /// Further fields (our server puts the call's `id` here), as they came.
    #[serde(flatten)]
    pub extra: Object,
}

/// The function of an [`Activity`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ActivityFunction {
    /// Its name.
    pub name: String,
    /// What it is called with.
    #[serde(default)]
    pub arguments: Value,
    /// What it gave; only in a response.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Value>,
    /// Further fields, as they came.
    #[serde(flatten)]
    pub extra: Object,
}

/// A model call that starts or ends.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Iteration {
    /// A name of the run's instance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<Value>,
    /// Which model call of the run it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iteration: Option<Value>,
    /// Further fields, as they came.
    #[serde(flatten)]
    pub extra: Object,
}

/// What a model call used, in tokens.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Usage {
    /// The model's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Tokens that the model read.
    #[serde(default, deserialize_with = "count")]
    pub input_tokens_used: u64,
    /// Tokens that the model wrote.
    #[serde(default, deserialize_with = "count")]
    pub output_tokens_used: u64,
    /// Further fields, as they came.
    #[serde(flatten)]
    pub extra: Object,
}

/// A function that a run waits for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WaitFunction {
    /// Its name.
    pub name: String,
    /// What it is called with.
    #[serde(default)]
    pub args: Value,
    /// Further fields, as they came.
    #[serde(flatten)]
    pub extra: Object,
}

/// A run that waits for a message on a channel, or has got it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Wait {
    /// The channel that the answer is to be published on, as it came.
    pub channel: String,
    /// The function that is called.
    pub function: WaitFunction,
    /// When the wait gives up, Unix time in milliseconds; our server's addition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<u64>,
    /// What it got; only at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<Value>,
    /// Who answered, if the answer said so; our server's addition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Further fields, as they came.
    #[serde(flatten)]
    pub extra: Object,
}

/// An action that begins or ends: `{id, action: {…}}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Operation {
    /// Ties the beginning to the end.
    pub id: Value,
    /// What is done.
    #[serde(default)]
    pub action: Action,
    /// Further fields, as they came.
    #[serde(flatten)]
    pub extra: Object,
}

/// What an [`Operation`] does.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Action {
    /// The action's own id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<Value>,
    /// `dataset`, `skillset` or `function`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// A name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Further fields (`input`, `justification`, `icon`), as they came.
    #[serde(flatten)]
    pub extra: Object,
}

/// How far a long step is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Progress {
    /// Ties the reports of one step together.
    #[serde(default)]
    pub id: Value,
    /// Steps done.
    #[serde(default, deserialize_with = "count")]
    pub step: u64,
    /// Steps in all.
    #[serde(default, deserialize_with = "count")]
    pub total: u64,
    /// Further fields (`eta`), as they came.
    #[serde(flatten)]
    pub extra: Object,
}

/// Something of the run was given up.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Abort {
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The function concerned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub function_name: Option<String>,
    /// Further fields (`instance`, `iteration`), as they came.
    #[serde(flatten)]
    pub extra: Object,
}

/// The `reason` of an [`Abort`] after which the unfinished part of an iteration is superseded.
pub const ABORT_SERVER_RESTARTED: &str = "server restarted";

/// What a whole run used.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RunUsage {
    /// Tokens in all.
    #[serde(default, deserialize_with = "count")]
    pub token: u64,
    /// Further fields, as they came.
    #[serde(flatten)]
    pub extra: Object,
}

/// How a run ended.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RunEnd {
    /// `stop`, `length`, `activity`, `abort`, `error`, `iteration`.
    #[serde(default)]
    pub reason: String,
    /// Further fields, as they came.
    #[serde(flatten)]
    pub extra: Object,
}

/// The last event of a run that ended, and the JSON answer of `complete`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RunResult {
    /// The bot's text.
    #[serde(default)]
    pub text: String,
    /// What the run used.
    #[serde(default)]
    pub usage: RunUsage,
    /// How it ended.
    #[serde(default)]
    pub end: RunEnd,
    /// Further fields, as they came.
    #[serde(flatten)]
    pub extra: Object,
}

/// The last event of a run that failed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RunError {
    /// What went wrong, for a person.
    #[serde(default)]
    pub message: String,
    /// What kind of error it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// Further fields, as they came.
    #[serde(flatten)]
    pub extra: Object,
}

macro_rules! event_kinds {
    ($($(#[doc = $doc:literal])* $variant:ident($data:ty) = $name:literal,)*) => {
        /// The types of events with their data (PROTOCOL, "Events of a run").
        #[derive(Debug, Clone, PartialEq)]
        pub enum EventKind {
            $($(#[doc = $doc])* $variant($data),)*
            /// A type that this program does not know, or data that does not fit its type.
            Unknown {
                /// The type as it came.
                name: String,
                /// The data as it came; `None` if there was none.
                data: Option<Value>,
            },
        }

        impl EventKind {
            /// The type as it stands on the wire.
            #[must_use]
            pub fn name(&self) -> &str {
                match self {
                    $(Self::$variant(_) => $name,)*
                    Self::Unknown { name, .. } => name,
                }
            }

            /// The types that this program knows, each with what it means and the schema of its data.
            fn schemas(generator: &mut SchemaGenerator) -> Vec<(&'static str, String, Schema)> {
                vec![$(($name, [$($doc.trim()),*].join(" "), generator.subschema_for::<$data>()),)*]
            }

            fn read(name: &str, data: Option<&RawValue>) -> Option<Self> {
                let data = data?.get();
                match name {
                    $($name => serde_json::from_str::<$data>(data).ok().map(Self::$variant),)*
                    _ => None,
                }
            }

            fn write_data<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
                match self {
                    $(Self::$variant(data) => map.serialize_entry("data", data),)*
                    Self::Unknown { data: Some(data), .. } => map.serialize_entry("data", data),
                    Self::Unknown { data: None, .. } => Ok(()),
                }
            }
        }
    };
}

event_kinds! {
    /// The next piece of the bot's text.
    Token(Token) = "token",
    /// The next piece of the bot's reasoning.
    ReasoningToken(Token) = "reasoningToken",
    /// A whole message.
    Message(Box<Message>) = "message",
    /// A model call starts.
    CompleteBegin(Box<Iteration>) = "completeBegin",
    /// A model call ends.
    CompleteEnd(Box<Iteration>) = "completeEnd",
    /// What a model call used.
    Usage(Box<Usage>) = "usage",
    /// The run waits for a message.
    WaitBegin(Box<Wait>) = "waitForChannelMessageBegin",
    /// The run has got the message, or has given up.
    WaitEnd(Box<Wait>) = "waitForChannelMessageEnd",
    /// An operation begins.
    OperationBegin(Box<Operation>) = "operationBegin",
    /// An operation ends.
    OperationEnd(Box<Operation>) = "operationEnd",
    /// The detection of an intent begins.
    IntentDetectionBegin(Box<Operation>) = "intentDetectionBegin",
    /// The detection of an intent ends.
    IntentDetectionEnd(Box<Operation>) = "intentDetectionEnd",
    /// How far a long step is.
    ProgressReport(Box<Progress>) = "progressReport",
    /// The conversation is being summarised.
    CompactionBegin(Box<Object>) = "compactionBegin",
    /// The conversation was summarised.
    CompactionEnd(Box<Object>) = "compactionEnd",
    /// Something of the run was given up. It never ends a transcript by itself.
    Abort(Box<Abort>) = "abort",
    /// Sent by the hosted service around a completion.
    SendResult(Box<Object>) = "sendResult",
    /// Sent by the hosted service around a completion.
    ReceiveResult(Box<Object>) = "receiveResult",
    /// The last event of a run that ended.
    Result(Box<RunResult>) = "result",
    /// The last event of a run that failed.
    Error(Box<RunError>) = "error",
}

impl EventKind {
    /// Whether the run is over with this event.
    #[must_use]
    pub fn ends_run(&self) -> bool {
        matches!(self, Self::Result(_) | Self::Error(_))
    }
}

impl From<EventKind> for Event {
    fn from(kind: EventKind) -> Self {
        Self {
            kind,
            extra: Object::new(),
        }
    }
}

impl Event {
    /// The next piece of the bot's text.
    pub fn token(token: impl Into<String>) -> Self {
        EventKind::Token(Token {
            token: token.into(),
            extra: Object::new(),
        })
        .into()
    }

    /// The next piece of the bot's reasoning.
    pub fn reasoning_token(token: impl Into<String>) -> Self {
        EventKind::ReasoningToken(Token {
            token: token.into(),
            extra: Object::new(),
        })
        .into()
    }

    /// Reads a published value as an event; `None` if it is not an object with a text `type`.
    #[must_use]
    pub fn from_json(json: &str) -> Option<Self> {
        serde_json::from_str(json).ok()
    }

    fn assemble(name: &str, data: Option<Box<RawValue>>, extra: Object) -> Self {
        let kind = EventKind::read(name, data.as_deref()).unwrap_or_else(|| {
            let data = data.and_then(|data| serde_json::from_str::<Value>(data.get()).ok());
            let fields = |data| match data {
                Some(Value::Object(fields)) => fields,
                Some(other) => Object::from_iter([("value".to_owned(), other)]),
                None => Object::new(),
            };
            match name {
                // An end that cannot be read is still an end; what came with it is kept.
                "result" => EventKind::Result(Box::new(RunResult {
                    extra: fields(data),
                    ..RunResult::default()
                })),
                "error" => EventKind::Error(Box::new(RunError {
                    extra: fields(data),
                    ..RunError::default()
                })),
                _ => EventKind::Unknown {
                    name: name.to_owned(),
                    data,
                },
            }
        });
        Self { kind, extra }
    }
}

impl Serialize for Event {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("type", self.kind.name())?;
        self.kind.write_data(&mut map)?;
        for (name, value) in &self.extra {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

impl JsonSchema for Event {
    fn schema_name() -> Cow<'static, str> {
        "Event".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let kinds: Vec<Schema> = EventKind::schemas(generator)
            .into_iter()
            .map(|(name, description, data)| {
                json_schema!({
                    "type": "object",
                    "description": description,
                    "properties": {"type": {"const": name}, "data": data},
                    "required": ["type", "data"],
                })
            })
            .collect();
        json_schema!({
            "description": "One event of a run. A client has to take types and fields that it does not know.",
            "oneOf": kinds,
        })
    }
}

/// A text that is borrowed where it can be: every token's line holds some.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de> Deserialize<'de> for Event {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct EventVisitor;

        impl<'de> Visitor<'de> for EventVisitor {
            type Value = Event;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an event: an object with a text `type`")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Event, A::Error> {
                let mut name: Option<Cow<'_, str>> = None;
                let mut data: Option<Box<RawValue>> = None;
                let mut extra = Object::new();
                while let Some(Text(key)) = map.next_key::<Text<'de>>()? {
                    match key.as_ref() {
                        "type" if name.is_none() => name = Some(map.next_value::<Text<'de>>()?.0),
                        "data" if data.is_none() => data = Some(map.next_value()?),
                        "type" | "data" => {
                            map.next_value::<IgnoredAny>()?;
                        }
                        _ => {
                            extra.insert(key.into_owned(), map.next_value()?);
                        }
                    }
                }
                let name = name.ok_or_else(|| serde::de::Error::missing_field("type"))?;
                Ok(Event::assemble(&name, data, extra))
            }
        }

        deserializer.deserialize_map(EventVisitor)
    }
}

/// Any JSON number as a count; what is no number counts as nothing.
fn count<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let value = Value::deserialize(deserializer)?;
    Ok(value
        .as_u64()
        .or_else(|| value.as_f64().map(|number| number as u64))
        .unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn round_trip(value: &Value) -> Value {
        let event = Event::from_json(&value.to_string()).expect("an event");
        serde_json::to_value(&event).expect("JSON")
    }

    #[test]
    fn every_event_of_the_protocol_is_known_and_comes_back_as_it_was() {
        let events = [
            json!({"type": "token", "data": {"token": "a"}}),
            json!({"type": "reasoningToken", "data": {"token": "a", "later": 1}}),
            json!({"type": "message", "data": {"type": "bot", "text": "x", "meta": {"a": 1}, "id": "m"}}),
            json!({"type": "completeBegin", "data": {"instance": "i", "iteration": 0}}),
            json!({"type": "completeEnd", "data": {"instance": "i", "iteration": 0}}),
            json!({"type": "usage", "data": {"model": "m", "inputTokensUsed": 1, "outputTokensUsed": 2}}),
            json!({"type": "waitForChannelMessageBegin", "data": {"channel": "c", "function": {"name": "f", "args": {}}, "expiresAt": 5}}),
            json!({"type": "waitForChannelMessageEnd", "data": {"channel": "c", "function": {"name": "f", "args": {}}, "message": {"data": 1}, "from": "x"}}),
            json!({"type": "operationBegin", "data": {"id": "1", "action": {"id": "a", "kind": "function", "input": {}}}}),
            json!({"type": "operationEnd", "data": {"id": "1", "action": {}}}),
            json!({"type": "intentDetectionBegin", "data": {"id": "1", "action": {}}}),
            json!({"type": "intentDetectionEnd", "data": {"id": "1", "action": {}}}),
            json!({"type": "progressReport", "data": {"id": "1", "step": 1, "total": 2, "eta": null}}),
            json!({"type": "compactionBegin", "data": {"messagesToSummarize": 1}}),
            json!({"type": "compactionEnd", "data": {"success": true}}),
            json!({"type": "abort", "data": {"reason": "r", "iteration": 1}}),
            json!({"type": "sendResult", "data": {"text": "t"}}),
            json!({"type": "receiveResult", "data": {"text": "t"}}),
            json!({"type": "result", "data": {"text": "t", "usage": {"token": 3}, "end": {"reason": "stop"}}}),
            json!({"type": "error", "data": {"message": "m", "code": "C"}, "beside": true}),
        ];
        for event in &events {
            let known = Event::from_json(&event.to_string()).expect("an event");
            assert!(!matches!(known.kind, EventKind::Unknown { .. }), "{event}");
            assert_eq!(&round_trip(event), event);
        }
    }

    #[test]
    fn what_is_not_known_is_kept() {
        for event in [
            json!({"type": "new", "data": [1, 2], "x": 3}),
            json!({"type": "bare"}),
            json!({"type": "token", "data": 7}),
        ] {
            assert_eq!(round_trip(&event), event);
        }
        assert_eq!(Event::from_json("{\"data\":{}}"), None);
        assert_eq!(Event::from_json("[1]"), None);
        assert_eq!(Event::from_json("{\"type\":5}"), None);
    }

    #[test]
    fn an_end_that_cannot_be_read_is_still_an_end() {
        for event in [
            json!({"type": "result", "data": {"text": 5}}),
            json!({"type": "result"}),
            json!({"type": "error", "data": "no"}),
        ] {
            assert!(Event::from_json(&event.to_string()).expect("an event").kind.ends_run());
        }
    }

    #[test]
    fn an_activity_goes_into_a_message_and_comes_out() {
        let activity = Activity {
            kind: ActivityKind::Request,
            function: ActivityFunction {
                name: "f".into(),
                arguments: json!({"a": 1}),
                result: None,
                extra: Object::new(),
            },
            extra: Object::new(),
        };
        assert_eq!(Message::from_activity(&activity).activity(), Some(activity));
    }

    proptest! {
        #[test]
        fn any_text_streams_through(text in any::<String>()) {
            let event = Event::token(text);
            let json = super::super::ascii::to_json(&event);
            prop_assert_eq!(Event::from_json(std::str::from_utf8(&json).expect("ASCII")), Some(event));
        }
    }
}
