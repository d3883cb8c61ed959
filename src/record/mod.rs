//! Recordings: the lines of a channel in a file, as they came, with their times.
//!
//! The format is JSON Lines: a head that says what it is, then one line for each item. Files are only for their
//! user to read. The channel's id is not in them: it is a secret, and nothing is read from a channel by its recording.
//! Events are there as they came, a call that waited with the channel of its answer.
//! It knows no network and no screen; following a channel and playing a recording back is done elsewhere.

mod file;
#[cfg(test)]
mod tests;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::transcript::Item;
use crate::wire::line::MessageLine;
use crate::wire::{ChannelId, SubscriptionLine};

pub use file::{Summary, Writer, list, read, slug};

/// The version of the format.
const VERSION: u32 = 1;
/// What the head says to be.
const KIND: &str = "recording";

/// A file could not be read as a recording, or not written.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The file system said no.
    #[error("{path}: {source}")]
    Io {
        /// The file's name.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// Another program writes to it.
    #[error("another program records into {path}")]
    Busy {
        /// The file's name.
        path: String,
    },
    /// It is no recording, or a later version's.
    #[error("{path} is not a recording that this program reads: {reason}")]
    Format {
        /// The file's name.
        path: String,
        /// Why, with the line.
        reason: String,
    },
}

/// What is known of a recording as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Head {
    /// The format, `recording`.
    pub switchboard: String,
    /// Its version.
    pub version: u32,
    /// What the channel was called.
    pub title: String,
    /// What the server was called.
    pub server: String,
    /// When the recording began, Unix time in milliseconds.
    pub started_at: u64,
}

impl Head {
    /// The head of a new recording.
    #[must_use]
    pub fn new(title: &str, server: &str, started_at: u64) -> Self {
        Self {
            switchboard: KIND.to_owned(),
            version: VERSION,
            title: title.to_owned(),
            server: server.to_owned(),
            started_at,
        }
    }
}

/// One line of a recording.
#[derive(Debug, Serialize, Deserialize)]
struct Line {
    /// When it happened, Unix time in milliseconds.
    t: u64,
    /// A line with an event, as it came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    event: Option<Box<RawValue>>,
    /// A line with a published message, as it came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    published: Option<Box<RawValue>>,
    /// Events are missing here: how many, 0 where that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    gap: Option<u64>,
    /// The channel began anew.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    reset: bool,
    /// A line could not be read: why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    bad: Option<String>,
}

/// One thing that happened, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moment {
    /// When, Unix time in milliseconds; never before the one before.
    pub at: u64,
    what: What,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum What {
    Event(Bytes),
    Published(Bytes),
    Gap(Option<u64>),
    Reset,
    Bad(String),
}

/// A recording, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recording {
    /// What is known of it as a whole.
    pub head: Head,
    /// What happened, in order.
    pub moments: Vec<Moment>,
    /// The file ends within a line: its program was stopped while it wrote.
    pub cut: bool,
}

impl Recording {
    /// Where its channel is to be read on.
    #[must_use]
    pub fn end(&self) -> End {
        let last = self.moments.iter().rev().find_map(|moment| match moment.item() {
            Item::Event { id, event, .. } => Some((id, event)),
            _ => None,
        });
        match last {
            Some((_, event)) if event.kind.ends_run() => End::Whole,
            Some((Some(id), _)) => End::After(id),
            None if self.moments.is_empty() => End::Nothing,
            _ => End::Unknown,
        }
    }

    /// From its first moment to its last, in milliseconds.
    #[must_use]
    pub fn length(&self) -> u64 {
        match (self.moments.first(), self.moments.last()) {
            (Some(first), Some(last)) => last.at.saturating_sub(first.at),
            _ => 0,
        }
    }
}

/// Where a recording ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Nothing is in it.
    Nothing,
    /// The run is over, and all of it is there.
    Whole,
    /// Its last event has this id: the channel can be read on after it.
    After(u64),
    /// Its server gives no ids: what comes begins at the beginning.
    Unknown,
}

impl End {
    /// The id of the last event, where it goes on after one.
    #[must_use]
    pub fn id(self) -> Option<u64> {
        match self {
            Self::After(id) => Some(id),
            Self::Nothing | Self::Whole | Self::Unknown => None,
        }
    }
}

impl Moment {
    /// The item that it was when it came.
    #[must_use]
    pub fn item(&self) -> Item {
        match &self.what {
            What::Event(raw) => match message(raw).and_then(|message| Some((message.event()?, message))) {
                Some((event, message)) => Item::Event {
                    id: message.id,
                    // A time that the server gave stays; else the time at which it came.
                    at: message.created_at.or(Some(self.at)),
                    event,
                    raw: raw.clone(),
                },
                None => Item::BadLine {
                    reason: "a line of the recording holds no event".to_owned(),
                },
            },
            What::Published(raw) => Item::Published {
                message: message(raw).map_or_else(Bytes::new, |message| {
                    Bytes::from(message.data.get().as_bytes().to_vec())
                }),
                raw: raw.clone(),
            },
            What::Gap(missing) => Item::Gap { missing: *missing },
            What::Reset => Item::Reset,
            What::Bad(reason) => Item::BadLine { reason: reason.clone() },
        }
    }

    /// What it takes in memory, about, in bytes.
    fn bytes(&self) -> usize {
        64 + match &self.what {
            What::Event(raw) | What::Published(raw) => raw.len(),
            What::Bad(reason) => reason.len(),
            What::Gap(_) | What::Reset => 0,
        }
    }
}

fn message(raw: &[u8]) -> Option<MessageLine> {
    match SubscriptionLine::parse(raw) {
        Ok(SubscriptionLine::Message(message)) => Some(message),
        _ => None,
    }
}

/// The line of an item; `None` for one that has no form of its own. `now_ms` is when it came.
fn line(item: &Item, now_ms: u64) -> Option<Line> {
    let blank = Line {
        t: now_ms,
        event: None,
        published: None,
        gap: None,
        reset: false,
        bad: None,
    };
    let raw_value = |raw: &Bytes| {
        let text = std::str::from_utf8(raw).ok()?;
        RawValue::from_string(text.to_owned()).ok()
    };
    match item {
        Item::Event { at, raw, .. } => Some(Line {
            t: at.unwrap_or(now_ms),
            event: Some(raw_value(raw)?),
            ..blank
        }),
        Item::Published { raw, .. } => Some(Line {
            published: Some(raw_value(raw)?),
            ..blank
        }),
        Item::Gap { missing } => Some(Line {
            gap: Some(missing.unwrap_or(0)),
            ..blank
        }),
        Item::Reset => Some(Line { reset: true, ..blank }),
        Item::BadLine { reason } => Some(Line {
            bad: Some(reason.clone()),
            ..blank
        }),
    }
}

fn what(line: Line) -> Option<What> {
    let raw = |value: Box<RawValue>| {
        let text: Box<str> = value.into();
        Bytes::from(text.into_boxed_bytes())
    };
    Some(match line {
        Line { event: Some(event), .. } => What::Event(raw(event)),
        Line {
            published: Some(message),
            ..
        } => What::Published(raw(message)),
        Line { gap: Some(missing), .. } => What::Gap(Some(missing).filter(|missing| *missing > 0)),
        Line { reset: true, .. } => What::Reset,
        Line { bad: Some(reason), .. } => What::Bad(reason),
        _ => return None,
    })
}

/// The name for the recording of a channel: when it began, its title, and something that tells two apart.
#[must_use]
pub fn file_name(title: &str, stamp: &str, channel: &ChannelId) -> String {
    use sha2::{Digest as _, Sha256};
    // The id is a secret: only a digest of it enters.
    let digest = Sha256::new_with_prefix("switchboard recording ")
        .chain_update(channel.as_str())
        .finalize();
    let tail: String = digest.iter().take(3).map(|byte| format!("{byte:02x}")).collect();
    format!("{stamp}-{}-{tail}.jsonl", slug(title))
}
