//! Everything that can happen to the program: the closed set of messages into the loop.

use crate::transcript::{BlockId, FeedBatch};
use crate::wire::ChannelId;
use crate::wire::request::{RunSummary, ServerInfo};

use super::action::Action;

/// The time, passed in so that every rule about time is a plain test.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Now {
    /// Unix time in milliseconds; it may jump.
    pub unix_ms: u64,
    /// Milliseconds since the program started; it never runs backwards.
    pub monotonic_ms: u64,
}

/// Ties a reply to its request; a reply to another is stale and ignored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RequestId(pub u64);

/// Where a transcript is scrolled to: its end, or a place in its content, never a row of the screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Scroll {
    /// At the end, following what comes.
    #[default]
    Tail,
    /// A place that stays where it is while text arrives, folds and the width change.
    Anchor {
        /// The block at the top of the view.
        block: BlockId,
        /// The place within the block.
        spot: Spot,
    },
}

/// A place within a block that does not depend on the width.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spot {
    /// This row of what stands above its text (a blank row, who speaks).
    Head(u16),
    /// The row that begins this far into its text.
    Body {
        /// Bytes into the source.
        offset: usize,
        /// Rows after the first one that begins there (the border of a table begins where its row does).
        skip: u16,
    },
    /// This row of what stands below its text.
    Foot(u16),
}

/// A server could not be reached, or refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outage {
    /// Why, and what to do.
    pub reason: String,
    /// It was reached and it refused: the secret is not the right one.
    pub refused: bool,
    /// In how many milliseconds it is tried again.
    pub retry_ms: u64,
}

/// Something that happened.
#[derive(Debug)]
pub enum Msg {
    /// The loop runs. Sent once, before anything else: the answer holds [`super::Effect::Watch`] for every
    /// saved channel. Effects that need the server may come before [`Msg::Server`] said `Ok`: the loop holds
    /// them until then.
    Start,
    /// New channel ids, each from fresh random bytes: the answer to [`super::Effect::NeedIds`].
    FreshIds(Vec<ChannelId>),
    /// The mark moves to a part of the transcript in focus.
    MarkPart(BlockId),
    /// A key that stands in the action table was pressed (or a command was picked).
    Action(Action),
    /// The compose box holds another text.
    DraftChanged(String),
    /// The compose box was sent.
    Submit(String),
    /// The text line of the open dialogue was entered (a channel id, a JSON answer).
    DialogueSubmit(String),
    /// The text of the open dialogue changed.
    DialogueChanged(String),
    /// The open overlay or dialogue was left.
    Dismiss,
    /// The transcript in focus is to be shown from here.
    ScrollTo(Scroll),
    /// The selection of the list moves to this place from the top.
    SelectIndex(usize),
    /// Fold or unfold a block of the transcript in focus.
    ToggleFold(BlockId),
    /// The terminal has another size, in columns and rows.
    Resize(u16, u16),
    /// The terminal gained or lost the focus.
    TerminalFocus(bool),
    /// Time passed: something on the screen or in the rules depends on it.
    Tick,
    /// A feed has something.
    Feed {
        /// The channel.
        channel: ChannelId,
        /// Which watch of this channel it belongs to; another is stale.
        generation: u64,
        /// What came.
        batch: FeedBatch,
    },
    /// A server was found or started, or could not be and is tried again.
    Server(Result<Box<ServerInfo>, Outage>),
    /// A server was found that tells nothing about itself.
    ServerReady,
    /// A call found that the server, one that can be found again, is not there any more.
    ServerGone,
    /// The answer to [`super::Effect::Dispatch`].
    Dispatched {
        /// Which request it answers.
        request: RequestId,
        /// The channel that was asked for.
        channel: ChannelId,
        /// The channel that the run's events go to; some servers choose another one. `Err`: why not, and what to do.
        result: Result<ChannelId, String>,
    },
    /// The answer to [`super::Effect::Publish`].
    Published {
        /// Which request it answers.
        request: RequestId,
        /// `Err`: why not, and what to do.
        result: Result<(), String>,
    },
    /// The answer to [`super::Effect::CancelRun`].
    Cancelled {
        /// The run's channel.
        channel: ChannelId,
        /// `Err`: why not, and what to do.
        result: Result<(), String>,
    },
    /// The answer to [`super::Effect::ListRuns`].
    Runs {
        /// Which request it answers.
        request: RequestId,
        /// The account's runs, all that are retained; `None` if the server gave no list.
        runs: Option<Vec<RunSummary>>,
    },
    /// The answer to [`super::Effect::Copy`]: which ways were used, or why none.
    Copied(Result<String, String>),
    /// State could not be saved.
    SaveFailed(String),
    /// Something outside went wrong that the person should know, in a sentence.
    Warning(String),
    /// Something happened to the channel list.
    List(super::list::Msg),
    /// Something happened to the panes.
    Panes(super::panes::Msg),
    /// Something happened to reading.
    Reading(super::reading::Msg),
    /// Something happened to copying, exports and the mouse.
    Copying(super::copying::Msg),
    /// Something happened to the compose box.
    Compose(super::compose::Msg),
    /// Something happened to function calls.
    Calls(super::calls::Msg),
    /// Something happened to kiosk and lobby.
    Wall(super::wall::Msg),
    /// Something happened to recordings.
    Recordings(super::recordings::Msg),
    /// Something happened to notifications.
    Notifications(super::notifications::Msg),
    /// Something about how the screen looks.
    Look(super::look::Msg),
    /// The program is asked to end by a signal, or its terminal is gone.
    Shutdown,
}

impl Msg {
    /// What happened, without its contents: for the log.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Start => "Start",
            Self::FreshIds(..) => "FreshIds",
            Self::MarkPart(..) => "MarkPart",
            Self::Action(..) => "Action",
            Self::DraftChanged(..) => "DraftChanged",
            Self::Submit(..) => "Submit",
            Self::DialogueSubmit(..) => "DialogueSubmit",
            Self::DialogueChanged(..) => "DialogueChanged",
            Self::Dismiss => "Dismiss",
            Self::ScrollTo(..) => "ScrollTo",
            Self::SelectIndex(..) => "SelectIndex",
            Self::ToggleFold(..) => "ToggleFold",
            Self::Resize(..) => "Resize",
            Self::TerminalFocus(..) => "TerminalFocus",
            Self::Tick => "Tick",
            Self::Feed { .. } => "Feed",
            Self::Server(..) => "Server",
            Self::ServerReady => "ServerReady",
            Self::ServerGone => "ServerGone",
            Self::Dispatched { .. } => "Dispatched",
            Self::Published { .. } => "Published",
            Self::Cancelled { .. } => "Cancelled",
            Self::Runs { .. } => "Runs",
            Self::Copied(..) => "Copied",
            Self::SaveFailed(..) => "SaveFailed",
            Self::Warning(..) => "Warning",
            Self::List(..) => "List",
            Self::Panes(..) => "Panes",
            Self::Reading(..) => "Reading",
            Self::Copying(..) => "Copying",
            Self::Compose(..) => "Compose",
            Self::Calls(..) => "Calls",
            Self::Wall(..) => "Wall",
            Self::Recordings(..) => "Recordings",
            Self::Notifications(..) => "Notifications",
            Self::Look(..) => "Look",
            Self::Shutdown => "Shutdown",
        }
    }
}
