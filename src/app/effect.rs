//! What the state wants done: data that the loop carries out.

use crate::wire::{ChannelId, DispatchRequest};

use super::msg::RequestId;
use super::state::SavedState;

/// One thing to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Bring this many fresh channel ids with `Msg::FreshIds`.
    NeedIds(usize),
    /// Start a run. The channel is already watched; the answer comes as `Msg::Dispatched`.
    Dispatch {
        /// Comes back with the answer.
        request: RequestId,
        /// The channel, one of the fresh ids; its [`Effect::Watch`] comes before this one.
        channel: ChannelId,
        /// The body.
        body: Box<DispatchRequest>,
    },
    /// Watch a channel from its first retained event, or after one that was seen.
    Watch {
        /// The channel.
        channel: ChannelId,
        /// Comes back with every batch.
        generation: u64,
        /// The id of the last event that was seen.
        after: Option<u64>,
    },
    /// Stop watching a channel.
    Unwatch {
        /// The channel.
        channel: ChannelId,
    },
    /// Publish a message; the answer comes as `Msg::Published`.
    Publish {
        /// Comes back with the answer.
        request: RequestId,
        /// The channel, as it came in the event.
        channel: ChannelId,
        /// The message.
        message: serde_json::Value,
    },
    /// Stop the channel's run on the server; the answer comes as `Msg::Cancelled`.
    CancelRun {
        /// The run's channel.
        channel: ChannelId,
    },
    /// Write down what is watched, so that the next start shows it again.
    Save(Box<SavedState>),
    /// Copy a text to the clipboard; the answer comes as `Msg::Copied`.
    Copy(String),
    /// Ask for the account's runs (for titles, and for what is still kept); the answer comes as `Msg::Runs`.
    ListRuns {
        /// Comes back with the answer.
        request: RequestId,
    },
    /// The server is gone: find it again, or start it. What needs it waits until then; the answers are
    /// `Msg::Server` and `Msg::ServerReady`.
    Reconnect,
    /// Something that the channel list wants done.
    List(super::list::Do),
    /// Something that the panes want done.
    Panes(super::panes::Do),
    /// Something that reading wants done.
    Reading(super::reading::Do),
    /// Something that copying, exports and the mouse wants done.
    Copying(super::copying::Do),
    /// Something that the compose box wants done.
    Compose(super::compose::Do),
    /// Something that function calls want done.
    Calls(super::calls::Do),
    /// Something that kiosk and lobby wants done.
    Wall(super::wall::Do),
    /// Something that recordings want done.
    Recordings(super::recordings::Do),
    /// Something that notifications want done.
    Notifications(super::notifications::Do),
    /// Draw the whole screen again.
    Redraw,
    /// Give the terminal back and stop until the shell continues us.
    Suspend,
    /// End the program.
    Quit,
}
