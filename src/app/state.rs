//! The state of the terminal program.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use crate::transcript::{BlockId, Connection};
use crate::wire::ChannelId;
use crate::wire::request::ServerInfo;

use super::msg::{Now, Scroll};

/// Everything that the screen shows and the rules work on.
#[derive(Debug)]
pub struct App {
    /// The time of the last message.
    pub now: Now,
    /// The terminal's size, in columns and rows.
    pub size: (u16, u16),
    /// The server that channels are watched on.
    pub server: Server,
    /// The watched channels, in the list's order.
    pub channels: IndexMap<ChannelId, Channel>,
    /// The channel that the list's mark is on, and that the transcript shows.
    pub selected: Option<ChannelId>,
    /// Which part of the screen takes the keys.
    pub focus: Focus,
    /// What lies over the screen.
    pub overlay: Option<Overlay>,
    /// What the compose box holds, also when a dispatch failed: nothing typed is lost.
    pub draft: String,
    /// The line of the last news, until it is replaced or has been read.
    pub notice: Option<Notice>,
    /// Whether the terminal has the focus.
    pub terminal_focused: bool,
    /// Grows when the compose box is to take over [`App::draft`] (a failed dispatch gives the text back).
    pub draft_revision: u64,
}

/// The server that channels are watched on.
#[derive(Debug, Clone, Default)]
pub struct Server {
    /// What to call it: `local`, `hosted`, a profile's name or a host. Never a secret.
    pub name: String,
    /// What it told about itself; `None` until it has, and for servers that tell nothing.
    pub info: Option<ServerInfo>,
    /// Whether it was found: not yet, yes, or why not and what to do.
    pub state: ServerState,
}

/// Whether the server was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum ServerState {
    /// It is being found or started.
    #[default]
    Starting,
    /// It answers.
    Ready,
    /// It could not be reached.
    Unreachable {
        /// Why, and what to do.
        reason: String,
    },
}

/// One watched channel.
#[derive(Debug)]
pub struct Channel {
    /// Its id.
    pub id: ChannelId,
    /// From the prompt; the masked id until one is known.
    pub title: String,
    /// Which watch it is; batches of another are stale.
    pub generation: u64,
    /// How its connection is.
    pub connection: Connection,
    /// Something came that was not looked at.
    pub unread: bool,
    /// Where its transcript is scrolled to.
    pub scroll: Scroll,
    /// Blocks that are not as they are by default (folded where open is the default, and the reverse).
    pub toggled: Vec<BlockId>,
    /// When it was first watched or dispatched here, Unix time in milliseconds.
    pub added_at: u64,
}

/// Which part of the screen takes the keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Focus {
    /// The channel list.
    List,
    /// The transcript.
    Transcript,
    /// The compose box.
    #[default]
    Compose,
}

/// What lies over the screen.
#[derive(Debug, Clone, PartialEq)]
pub enum Overlay {
    /// The keys, from the action table.
    Help,
    /// A channel id is asked for.
    Watch {
        /// What was typed.
        input: String,
        /// Why it was not taken.
        error: Option<String>,
    },
    /// A waiting call is being answered.
    Answer(Answer),
    /// A question with yes and no.
    Confirm(Question),
}

/// A waiting call that is being answered.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The run's channel.
    pub run: ChannelId,
    /// The call's block.
    pub block: BlockId,
    /// What was typed.
    pub input: String,
    /// Why it was not taken.
    pub error: Option<String>,
}

/// A question with yes and no.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    /// Cancel this channel's run on the server?
    CancelRun(ChannelId),
}

/// A line of news.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// What happened.
    pub text: String,
    /// It is an error.
    pub error: bool,
    /// When, monotonic milliseconds.
    pub at: u64,
}

/// What the next start shows again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SavedState {
    /// The watched channels in the list's order.
    pub channels: Vec<SavedChannel>,
    /// The channel that was selected.
    pub selected: Option<ChannelId>,
    /// What was being typed.
    pub draft: String,
}

/// One watched channel, written down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedChannel {
    /// Its id.
    pub id: ChannelId,
    /// Its title.
    pub title: String,
    /// When it was first watched or dispatched, Unix time in milliseconds.
    pub added_at: u64,
}
