//! `[kiosk]` and `[lobby]`: the dashboard on a wall, and the channel on which terminals tell each other of their runs.
//!
//! Types and checks only; what they mean is decided by the terminal program's state.

use std::time::Duration;

use serde::{Deserialize, Deserializer, de::Error as _};

use super::value;
use crate::wire::ChannelId;

/// The most columns or rows of tiles.
const MOST_TILES_A_SIDE: u16 = 12;
/// The most channels that a kiosk may keep.
const MOST_CHANNELS: u64 = 1_000;

/// The read-only dashboard.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KioskConfig {
    /// How many tiles there are, columns and rows; `None`: as many as are clear on the screen.
    #[serde(deserialize_with = "tiles")]
    pub tiles: Option<(u16, u16)>,
    /// How long channels stay in view where there are more than tiles.
    #[serde(deserialize_with = "value::duration")]
    pub rotate: Duration,
    /// Only channels whose title has one of these texts; all when empty.
    pub only: Vec<String>,
    /// How long a run stays that is done.
    #[serde(deserialize_with = "value::duration")]
    pub linger: Duration,
    /// How long a run stays that failed.
    #[serde(deserialize_with = "value::duration")]
    pub linger_failed: Duration,
    /// The most channels.
    #[serde(deserialize_with = "most")]
    pub most: usize,
    /// How often the server's list of runs is asked for, where it has one.
    #[serde(deserialize_with = "value::duration")]
    pub refresh: Duration,
}

impl Default for KioskConfig {
    fn default() -> Self {
        Self {
            tiles: None,
            rotate: Duration::from_secs(15),
            only: Vec::new(),
            linger: Duration::from_secs(10 * 60),
            linger_failed: Duration::from_secs(60 * 60),
            most: 200,
            refresh: Duration::from_secs(10),
        }
    }
}

/// The channel on which terminals tell each other of their runs.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LobbyConfig {
    /// The channel's id.
    #[serde(deserialize_with = "channel")]
    pub channel: Option<ChannelId>,
    /// The environment variable that holds the channel's id.
    #[serde(deserialize_with = "value::variable")]
    pub channel_env: Option<String>,
    /// Whether runs that are dispatched here are announced.
    pub announce: bool,
    /// Whether runs that others announce are watched.
    pub follow: bool,
    /// Whether announcements say the runs' titles.
    pub titles: bool,
    /// What this terminal is called there; the machine's name when absent.
    pub name: Option<String>,
}

impl Default for LobbyConfig {
    fn default() -> Self {
        Self {
            channel: None,
            channel_env: None,
            announce: true,
            follow: true,
            titles: true,
            name: None,
        }
    }
}

fn tiles<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<(u16, u16)>, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text == "auto" {
        return Ok(None);
    }
    let side = |part: &str| {
        let number = part.trim().parse::<u16>().ok();
        number.filter(|number| (1..=MOST_TILES_A_SIDE).contains(number))
    };
    text.split_once('x')
        .and_then(|(columns, rows)| Some((side(columns)?, side(rows)?)))
        .map(Some)
        .ok_or_else(|| {
            D::Error::custom(format!(
                "`{text}` is no number of tiles, expected \"auto\", or columns and rows up to {MOST_TILES_A_SIDE}, such as \
                 \"3x2\""
            ))
        })
}

fn most<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    let number = value::at_least_one(deserializer)?;
    usize::try_from(number)
        .ok()
        .filter(|_| number <= MOST_CHANNELS)
        .ok_or_else(|| D::Error::custom(format!("{number} is too large, expected {MOST_CHANNELS} or fewer")))
}

fn channel<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<ChannelId>, D::Error> {
    // The id is a secret: what is wrong with it is said, not what it is.
    let text = String::deserialize(deserializer)?;
    ChannelId::parse(&text).map(Some).map_err(|error| {
        D::Error::custom(format!(
            "{error}, expected the id of a channel that all who share the lobby know, such as 24 random letters"
        ))
    })
}
