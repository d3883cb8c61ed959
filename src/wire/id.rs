//! Channel ids: checked once, at the edge; secrets that no log shows whole.
//!
//! It does not draw random numbers: whoever mints an id brings the random bytes.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// The fewest characters of a channel id (PROTOCOL, "Channel ids are at least 16 characters").
pub const SHORTEST_CHANNEL_ID: usize = 16;
/// The most characters that are taken for a channel id.
pub const LONGEST_CHANNEL_ID: usize = 256;

/// The name of a channel. It is a secret: who knows it and has a key can read the run.
///
/// `Debug` masks it; `Display` shows it whole, for standard output and requests.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct ChannelId(Arc<str>);

/// Why a text is not a channel id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChannelIdError {
    /// It has fewer than [`SHORTEST_CHANNEL_ID`] characters.
    #[error("a channel id has at least {SHORTEST_CHANNEL_ID} characters, this one has {0}")]
    TooShort(usize),
    /// It has more than [`LONGEST_CHANNEL_ID`] characters.
    #[error("a channel id has at most {LONGEST_CHANNEL_ID} characters, this one has {0}")]
    TooLong(usize),
    /// It holds a character that no channel id has.
    #[error("a channel id has no white space and no control characters (found {0:?})")]
    BadCharacter(char),
}

impl ChannelId {
    /// Checks a text and takes it as a channel id. White space around it is not part of it.
    ///
    /// # Errors
    /// When it is too short, too long, or holds white space or control characters.
    pub fn parse(text: &str) -> Result<Self, ChannelIdError> {
        let text = text.trim();
        let length = text.chars().count();
        if length < SHORTEST_CHANNEL_ID {
            return Err(ChannelIdError::TooShort(length));
        }
        if length > LONGEST_CHANNEL_ID {
            return Err(ChannelIdError::TooLong(length));
        }
        if let Some(bad) = text.chars().find(|c| c.is_whitespace() || c.is_control()) {
            return Err(ChannelIdError::BadCharacter(bad));
        }
        Ok(Self(text.into()))
    }

    /// A new id of 24 URL-safe characters out of 144 random bits (the hosted service wants 24). It never begins with
    /// a hyphen, which commands would take for a flag.
    #[must_use]
    pub fn from_random(bytes: [u8; 18]) -> Self {
        let mut text = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes);
        if text.starts_with('-') {
            text.replace_range(..1, "x");
        }
        Self(text.into())
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The beginning of its SHA-256 digest: a name for logs and places in lists that gives nothing away of a random id.
    #[must_use]
    pub fn digest(&self) -> u64 {
        let digest: [u8; 32] = Sha256::digest(self.0.as_bytes()).into();
        digest
            .iter()
            .take(8)
            .fold(0, |number, byte| number << 8 | u64::from(*byte))
    }

    /// A short name for logs, from [`ChannelId::digest`].
    #[must_use]
    pub fn short(&self) -> String {
        format!("{:08x}", self.digest() >> 32)
    }

    /// The id with all but its first four characters hidden, for screens that others see and for logs.
    #[must_use]
    pub fn masked(&self) -> String {
        let head: String = self.0.chars().take(4).collect();
        format!("{head}…")
    }
}

impl fmt::Display for ChannelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ChannelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ChannelId({})", self.masked())
    }
}

impl std::str::FromStr for ChannelId {
    type Err = ChannelIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl JsonSchema for ChannelId {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ChannelId".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "The name of a channel. It is a secret: who knows it and has a key can read the run.",
            "type": "string",
            "minLength": SHORTEST_CHANNEL_ID,
            "maxLength": LONGEST_CHANNEL_ID,
        })
    }
}

impl<'de> Deserialize<'de> for ChannelId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_checked_at_the_edge() {
        assert_eq!(ChannelId::parse("short"), Err(ChannelIdError::TooShort(5)));
        assert_eq!(ChannelId::parse(&"x".repeat(257)), Err(ChannelIdError::TooLong(257)));
        assert_eq!(
            ChannelId::parse("0123456789 abcdef"),
            Err(ChannelIdError::BadCharacter(' '))
        );
        assert_eq!(
            ChannelId::parse("0123456789\u{1b}abcdef"),
            Err(ChannelIdError::BadCharacter('\u{1b}'))
        );
        let id = ChannelId::parse(" 0123456789abcdef\n").expect("white space around it is trimmed");
        assert_eq!(id.as_str(), "0123456789abcdef");
    }

    #[test]
    fn a_minted_id_has_24_characters_and_debug_masks_it() {
        let id = ChannelId::from_random([0xff; 18]);
        assert_eq!(id.as_str().len(), 24);
        assert!(!format!("{id:?}").contains(id.as_str()));
        for first in 0..=u8::MAX {
            let id = ChannelId::from_random([first; 18]);
            assert!(id.as_str().len() == 24 && !id.as_str().starts_with('-'), "{id}");
        }
    }
}
