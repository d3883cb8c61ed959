//! One line of a subscription: the wrapper around an event or a published message.
//!
//! It reads the wrapper and leaves the payload as raw JSON; whether a payload is an event of a run is
//! for the reader to say, since on our server only lines with an id are.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::Event;
use super::jsonl::LineError;

/// A line of `subscribe`, understood.
#[derive(Debug, Clone)]
pub enum SubscriptionLine {
    /// An event or a published message.
    Message(MessageLine),
    /// What was asked for is no longer retained: so many events are missing here.
    Gap {
        /// How many events are missing.
        missing: u64,
    },
    /// The channel began anew since the last connection: what follows is all that it holds.
    Reset,
    /// A wrapper type that this program does not know (`nop`, `ping`, …).
    Other {
        /// The type as it came.
        name: String,
    },
}

/// The wrapper of an event or a published message.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MessageLine {
    /// The event's position in its channel. `None`: a published message on our server; anything on a
    /// server without ids.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<u64>,
    /// When it was committed, Unix time in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<u64>,
    /// The event or the published message, as it came.
    pub data: Box<RawValue>,
}

impl MessageLine {
    /// The payload as an event, if it has the form of one.
    #[must_use]
    pub fn event(&self) -> Option<Event> {
        Event::from_json(self.data.get())
    }
}

#[derive(Deserialize)]
struct RawLine<'a> {
    #[serde(rename = "type", borrow)]
    name: std::borrow::Cow<'a, str>,
    #[serde(default)]
    id: Option<u64>,
    #[serde(default, rename = "createdAt")]
    created_at: Option<u64>,
    #[serde(default)]
    data: Option<Box<RawValue>>,
}

/// The schema of the lines that our server sends in a subscription.
pub struct SubscriptionSchema;

impl JsonSchema for SubscriptionSchema {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "SubscriptionLine".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "One line of a subscription. A client has to pass over types that it does not know.",
            "oneOf": [
                {
                    "type": "object",
                    "description": "An event of the channel's run.",
                    "properties": {
                        "type": {"const": "message"},
                        "id": {
                            "type": "integer", "minimum": 0,
                            "description": "The event's position in its channel: 0, 1, 2 … without holes.",
                        },
                        "createdAt": {
                            "type": "integer", "description": "When it was committed, Unix time in milliseconds.",
                        },
                        "data": generator.subschema_for::<Event>(),
                    },
                    "required": ["type", "id", "createdAt", "data"],
                },
                {
                    "type": "object",
                    "description": "A published message. Without an id it never changes a run, whatever it looks like.",
                    "properties": {"type": {"const": "message"}, "id": false, "data": true},
                    "required": ["type", "data"],
                },
                {
                    "type": "object",
                    "description": "What was asked for is no longer retained. Only who sent `after` is told.",
                    "properties": {
                        "type": {"const": "gap"},
                        "data": {
                            "type": "object",
                            "properties": {"missing": {"type": "integer", "minimum": 0}},
                            "required": ["missing"],
                        },
                    },
                    "required": ["type", "data"],
                },
                {
                    "type": "object",
                    "description": "The channel began anew. Only who sent `after` is told.",
                    "properties": {"type": {"const": "reset"}, "data": {"type": "object"}},
                    "required": ["type", "data"],
                },
            ],
        })
    }
}

#[derive(Deserialize)]
struct GapData {
    #[serde(default)]
    missing: u64,
}

impl SubscriptionLine {
    /// Reads one whole line.
    ///
    /// # Errors
    /// When it is not JSON, not an object with a text `type`, or a `message` without `data`.
    pub fn parse(line: &[u8]) -> Result<Self, LineError> {
        let invalid = |reason: String| LineError::Invalid { reason };
        let raw: RawLine<'_> = serde_json::from_slice(line).map_err(|error| invalid(error.to_string()))?;
        match (raw.name.as_ref(), raw.data) {
            ("message", Some(data)) => Ok(Self::Message(MessageLine {
                id: raw.id,
                created_at: raw.created_at,
                data,
            })),
            ("message", None) => Err(invalid("a `message` line has no `data`".to_owned())),
            ("gap", data) => {
                let data = data.and_then(|data| serde_json::from_str::<GapData>(data.get()).ok());
                Ok(Self::Gap {
                    missing: data.map_or(0, |data| data.missing),
                })
            }
            ("reset", _) => Ok(Self::Reset),
            (other, _) => Ok(Self::Other { name: other.to_owned() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wrappers_of_the_protocol() {
        let line = SubscriptionLine::parse(
            br#"{"type":"message","id":7,"createdAt":9,"data":{"type":"token","data":{"token":"a"}}}"#,
        );
        let Ok(SubscriptionLine::Message(line)) = line else {
            panic!("{line:?}")
        };
        assert_eq!((line.id, line.created_at), (Some(7), Some(9)));
        assert_eq!(line.event(), Some(Event::token("a")));

        let line = SubscriptionLine::parse(br#"{"type":"gap","data":{"missing":3}}"#);
        assert!(matches!(line, Ok(SubscriptionLine::Gap { missing: 3 })), "{line:?}");
        let line = SubscriptionLine::parse(br#"{"type":"reset","data":{}}"#);
        assert!(matches!(line, Ok(SubscriptionLine::Reset)), "{line:?}");
        let line = SubscriptionLine::parse(br#"{"type":"nop"}"#);
        assert!(
            matches!(line, Ok(SubscriptionLine::Other { ref name }) if name == "nop"),
            "{line:?}"
        );
        for bad in [&b"{"[..], b"7", b"{}", br#"{"type":"message"}"#, b"\xff"] {
            assert!(SubscriptionLine::parse(bad).is_err());
        }
    }
}
