//! What is said in a lobby: an agreed channel on which programs tell each other which runs there are.
//!
//! A lobby is a channel like any other and its messages are plain published ones, so it works on every server. They
//! are data: nothing here or elsewhere does what a message says, beyond watching a channel that it names. Reading is
//! lenient (unknown fields are left alone, unknown messages are none) and bounded. Data only: what is announced when
//! is decided in `app`.
//!
//! ```json
//! {"switchboard": 1, "type": "ask", "at": 1700000000000, "from": "laptop-2", "instance": "5f0c1b2a9d3e"}
//! {"switchboard": 1, "type": "run", "channelId": "…", "title": "deploy check", "startedAt": 1700000000000,
//!  "from": "laptop-2", "instance": "5f0c1b2a9d3e"}
//! ```
//!
//! `title`, `startedAt`, `from` and `instance` may be missing. Whoever asks is told of every run that goes on by the
//! program that dispatched it, each with a `run` message of its own.

use serde_json::{Value, json};

use super::{ChannelId, SubscriptionLine};

/// The version of the messages.
pub const VERSION: u64 = 1;
/// The most bytes of a message that is looked at.
pub const LONGEST_MESSAGE: usize = 4096;
/// The most characters of a title.
pub const LONGEST_TITLE: usize = 200;
/// The most characters of a sender's name.
pub const LONGEST_NAME: usize = 40;
/// The most characters of the word that tells one program from another.
const LONGEST_INSTANCE: usize = 32;

/// Who says it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sender {
    /// A name for people, as it came.
    pub name: Option<String>,
    /// A word that tells this program from all others, so that it knows its own messages.
    pub instance: Option<String>,
}

/// A message in a lobby.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LobbyMessage {
    /// Somebody is new and asks which runs there are.
    Ask {
        /// Who asks.
        sender: Sender,
        /// When, Unix time in milliseconds: no two are equal.
        at: u64,
    },
    /// There is a run on this channel.
    Run(Announcement),
}

/// That there is a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announcement {
    /// Its channel.
    pub channel: ChannelId,
    /// Its title, as it came.
    pub title: Option<String>,
    /// When it began, Unix time in milliseconds.
    pub started_at: Option<u64>,
    /// Who announces it.
    pub sender: Sender,
}

impl LobbyMessage {
    /// Reads a published message; `None`: it is none of these, or too long.
    #[must_use]
    pub fn read(message: &[u8]) -> Option<Self> {
        if message.len() > LONGEST_MESSAGE {
            return None;
        }
        let value: Value = serde_json::from_slice(message).ok()?;
        // A server may hand a message over as the text that it was published as.
        let value = match value {
            Value::String(text) => serde_json::from_str(&text).ok()?,
            value => value,
        };
        if value.get("switchboard")?.as_u64()? == 0 {
            return None;
        }
        let text = |name: &str, most: usize| -> Option<String> {
            let text: String = value.get(name)?.as_str()?.trim().chars().take(most).collect();
            (!text.is_empty()).then_some(text)
        };
        let sender = Sender {
            name: text("from", LONGEST_NAME),
            instance: text("instance", LONGEST_INSTANCE),
        };
        match value.get("type")?.as_str()? {
            "ask" => Some(Self::Ask {
                sender,
                at: value.get("at").and_then(Value::as_u64).unwrap_or(0),
            }),
            "run" => Some(Self::Run(Announcement {
                channel: ChannelId::parse(value.get("channelId")?.as_str()?).ok()?,
                title: text("title", LONGEST_TITLE),
                started_at: value.get("startedAt").and_then(Value::as_u64),
                sender,
            })),
            _ => None,
        }
    }

    /// Reads a line of a subscription: where a server gives no ids, a message may look like an event of a run.
    #[must_use]
    pub fn read_line(line: &[u8]) -> Option<Self> {
        match SubscriptionLine::parse(line).ok()? {
            SubscriptionLine::Message(message) => Self::read(message.data.get().as_bytes()),
            _ => None,
        }
    }

    /// The message as it is published.
    #[must_use]
    pub fn to_value(&self) -> Value {
        let mut value = match self {
            Self::Ask { at, .. } => json!({"switchboard": VERSION, "type": "ask", "at": at}),
            Self::Run(run) => {
                let mut value = json!({"switchboard": VERSION, "type": "run", "channelId": run.channel});
                if let Some(title) = &run.title {
                    value["title"] = json!(title.chars().take(LONGEST_TITLE).collect::<String>());
                }
                if let Some(at) = run.started_at {
                    value["startedAt"] = json!(at);
                }
                value
            }
        };
        let (Self::Ask { sender, .. } | Self::Run(Announcement { sender, .. })) = self;
        if let Some(name) = &sender.name {
            value["from"] = json!(name);
        }
        if let Some(instance) = &sender.instance {
            value["instance"] = json!(instance);
        }
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0123456789abcdef";

    fn run(title: Option<&str>) -> LobbyMessage {
        LobbyMessage::Run(Announcement {
            channel: ChannelId::parse(ID).expect("an id"),
            title: title.map(str::to_owned),
            started_at: Some(5),
            sender: Sender {
                name: Some("laptop-2".into()),
                instance: Some("a1".into()),
            },
        })
    }

    #[test]
    fn what_is_written_is_read() {
        let ask = LobbyMessage::Ask {
            sender: Sender::default(),
            at: 7,
        };
        for message in [run(Some("deploy check")), run(None), ask] {
            let text = message.to_value().to_string();
            assert_eq!(LobbyMessage::read(text.as_bytes()), Some(message.clone()), "{text}");
            let line = format!("{{\"type\":\"message\",\"data\":{text}}}");
            assert_eq!(
                LobbyMessage::read_line(line.as_bytes()),
                Some(message.clone()),
                "{line}"
            );
            let quoted = serde_json::to_string(&text).expect("JSON");
            assert_eq!(LobbyMessage::read(quoted.as_bytes()), Some(message), "{quoted}");
        }
    }

    #[test]
    fn what_is_no_message_is_left_alone_and_what_is_too_long_is_cut() {
        for text in [
            "",
            "7",
            "{}",
            "not json",
            "{\"type\":\"run\",\"channelId\":\"0123456789abcdef\"}",
            "{\"switchboard\":0,\"type\":\"ask\"}",
            "{\"switchboard\":\"1\",\"type\":\"ask\"}",
            "{\"switchboard\":1,\"type\":\"run\"}",
            "{\"switchboard\":1,\"type\":\"run\",\"channelId\":\"short\"}",
            "{\"switchboard\":1,\"type\":\"run\",\"channelId\":7}",
            "{\"switchboard\":1,\"type\":\"cancel\",\"channelId\":\"0123456789abcdef\"}",
            "{\"switchboard\":1}",
        ] {
            assert_eq!(LobbyMessage::read(text.as_bytes()), None, "{text}");
        }
        let long = json!({"switchboard": 1, "type": "run", "channelId": ID, "title": "x".repeat(5000)}).to_string();
        assert_eq!(LobbyMessage::read(long.as_bytes()), None, "too long");
        // A later version with more fields, and fields of other types.
        let later = json!({"switchboard": 3, "type": "run", "channelId": ID, "title": 7, "startedAt": "soon", "more": {},
            "from": "n".repeat(100)});
        let Some(LobbyMessage::Run(run)) = LobbyMessage::read(later.to_string().as_bytes()) else {
            panic!("not read")
        };
        assert_eq!((run.title, run.started_at), (None, None));
        assert_eq!(run.sender.name.map(|name| name.len()), Some(LONGEST_NAME));
    }
}
