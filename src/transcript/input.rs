//! What a feed tells about one channel: items in order, and how the connection is.
//!
//! Data only; `client::feed` produces it and [`super::Transcript`] takes it in.

use bytes::Bytes;

use crate::wire::Event;

/// One thing that came over a channel, in its order.
#[derive(Debug, Clone)]
pub enum Item {
    /// An event of the channel's run.
    Event {
        /// Its position in the channel, where the server says so.
        id: Option<u64>,
        /// When it was committed, Unix time in milliseconds, where the server says so.
        at: Option<u64>,
        /// What was understood of it.
        event: Event,
        /// The line as it came, byte for byte.
        raw: Bytes,
    },
    /// A message that somebody published; it never changes a run.
    Published {
        /// The message as JSON, as it came.
        message: Bytes,
        /// The line as it came, byte for byte.
        raw: Bytes,
    },
    /// Events are missing here: the server no longer had them, or the overlap could not be told.
    Gap {
        /// How many, where that is known.
        missing: Option<u64>,
    },
    /// The channel began anew: what came before belongs to another run.
    Reset,
    /// A line that could not be read was left out.
    BadLine {
        /// Why, for a person.
        reason: String,
    },
}

/// How the connection of one channel is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Connection {
    /// The first connection is being made.
    #[default]
    Connecting,
    /// Connected: what is retained was read or is being read, what comes is shown.
    Live,
    /// The connection was lost; the next try is at a known time.
    Reconnecting {
        /// Why it was lost, for a person.
        reason: String,
        /// When the next try begins, Unix time in milliseconds.
        next_try_at: u64,
        /// Tries since it was last live.
        attempt: u32,
    },
    /// The run is over and everything of it was read; the feed has ended.
    Ended,
    /// The server is not there any more; the feed has ended, so that whoever watches finds the server again.
    ServerGone {
        /// What was found in its place, for a person.
        reason: String,
    },
    /// It makes no sense to try again; the feed has ended.
    Failed {
        /// Why, and what to do, for a person.
        reason: String,
    },
}

/// What a feed hands over at once: what came since the last batch, then how the connection is now.
#[derive(Debug, Clone, Default)]
pub struct FeedBatch {
    /// What came, in order.
    pub items: Vec<Item>,
    /// The connection's state after the items, if it changed.
    pub connection: Option<Connection>,
}
