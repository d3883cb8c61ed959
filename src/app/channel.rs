//! One watched channel: its transcript, its connection, and the one state that both add up to.
//!
//! It decides what a channel *is*; what the person may do with it is in `commands`.

use crate::text::sanitise_line;
use crate::transcript::{BlockId, BlockKind, Connection, EndReason, Status, Transcript};
use crate::wire::ChannelId;

use super::msg::{Now, Scroll};

/// The most characters of a title that are kept.
const LONGEST_TITLE: usize = 200;

/// One watched channel.
#[derive(Debug)]
pub struct Channel {
    /// Its id.
    pub id: ChannelId,
    /// From the prompt; the masked id until one is known. On one line and safe for a terminal.
    pub title: String,
    /// Whether the title came from a prompt (and not from the id).
    pub titled: bool,
    /// Which watch it is; batches of another are stale.
    pub generation: u64,
    /// How its connection is.
    pub connection: Connection,
    /// What its events add up to.
    pub transcript: Transcript,
    /// Something came that was not looked at.
    pub unread: bool,
    /// Where its transcript is scrolled to.
    pub scroll: Scroll,
    /// Tokens counted when the reader left the end; what came since is new to them.
    pub read_tokens: u64,
    /// The part of the transcript that folding acts on, once the person chose one.
    pub marked: Option<BlockId>,
    /// Blocks that are not as they are by default (folded where open is the default, and the reverse).
    pub toggled: Vec<BlockId>,
    /// Since when it is watched by this program, Unix time in milliseconds: older events are not news.
    pub watching_since: u64,
    /// When it was first watched or dispatched here, Unix time in milliseconds.
    pub added_at: u64,
    /// The prompt that was sent from here, shown until the channel brings it.
    pub prompt: Option<String>,
    /// Its dispatch was not answered yet.
    pub dispatching: bool,
    /// Since when the connection is lost, Unix time in milliseconds.
    pub lost_at: Option<u64>,
    /// Whether its server keeps a run of it.
    pub kept: Kept,
    /// What the channel list knows of it.
    pub list: super::list::OfChannel,
    /// What the panes know of it.
    pub panes: super::panes::OfChannel,
    /// What reading knows of it.
    pub reading: super::reading::OfChannel,
    /// What copying, exports and the mouse know of it.
    pub copying: super::copying::OfChannel,
    /// What the compose box knows of it.
    pub compose: super::compose::OfChannel,
    /// What function calls know of it.
    pub calls: super::calls::OfChannel,
    /// What kiosk and lobby know of it.
    pub wall: super::wall::OfChannel,
    /// What recordings know of it.
    pub recordings: super::recordings::OfChannel,
    /// What notifications know of it.
    pub notifications: super::notifications::OfChannel,
}

/// Whether a channel's server keeps a run of it, as far as is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Kept {
    /// Nothing was ever known of a run.
    #[default]
    Unknown,
    /// There is one, or there was when it was known last.
    Yes,
    /// The server may be another one, or much time has passed: it is to be asked.
    Doubted,
    /// It was asked.
    Asked,
    /// It keeps none.
    No,
}

/// What a channel is, for its glyph, word and colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChannelState {
    /// The first connection is being made.
    Connecting,
    /// Connected, and nothing was published yet that is kept.
    Quiet,
    /// A run was here once; the server keeps nothing of it.
    NotKept,
    /// Accepted, not begun.
    Queued,
    /// It streams.
    Live,
    /// It waits for an answer.
    Waiting,
    /// It ended.
    Done,
    /// It failed, or cannot be watched.
    Failed,
    /// It was cancelled.
    Cancelled,
    /// It is a recording, played back.
    Replay,
    /// The connection was lost; the next try is in so many seconds.
    Reconnecting {
        /// Whole seconds to the next try, rounded up; 0: now.
        seconds: u64,
    },
}

impl ChannelState {
    /// The state in one lower-case word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Connecting => "connecting",
            Self::Quiet => "no events",
            Self::NotKept => "nothing kept",
            Self::Queued => "queued",
            Self::Live => "live",
            Self::Waiting => "waiting",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Replay => "replay",
            Self::Reconnecting { .. } => "reconnecting",
        }
    }

    /// Whether there is a run, or may be one, that something can still come of.
    #[must_use]
    pub fn is_open(self) -> bool {
        !matches!(self, Self::Done | Self::Failed | Self::Cancelled | Self::NotKept)
    }
}

/// How many channels are in which state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Live, queued, or a run to which the connection is being made again.
    pub live: usize,
    /// Waiting for an answer.
    pub waiting: usize,
    /// Ended.
    pub done: usize,
    /// Cancelled.
    pub cancelled: usize,
    /// Failed.
    pub failed: usize,
}

impl Channel {
    /// A channel that nothing has come of.
    #[must_use]
    pub fn new(id: ChannelId, generation: u64, now: Now) -> Self {
        Self {
            title: sanitise_line(&id.masked()).into_owned(),
            titled: false,
            id,
            generation,
            connection: Connection::default(),
            transcript: Transcript::new(),
            unread: false,
            scroll: Scroll::Tail,
            read_tokens: 0,
            marked: None,
            toggled: Vec::new(),
            watching_since: now.unix_ms,
            added_at: now.unix_ms,
            prompt: None,
            dispatching: false,
            lost_at: None,
            kept: Kept::default(),
            list: super::list::OfChannel::default(),
            panes: super::panes::OfChannel::default(),
            reading: super::reading::OfChannel::default(),
            copying: super::copying::OfChannel::default(),
            compose: super::compose::OfChannel::default(),
            calls: super::calls::OfChannel::default(),
            wall: super::wall::OfChannel::default(),
            recordings: super::recordings::OfChannel::default(),
            notifications: super::notifications::OfChannel::default(),
        }
    }

    /// It is watched as if for the first time: nothing of what was seen belongs to what comes.
    pub(super) fn begin_anew(&mut self, generation: u64) {
        self.generation = generation;
        self.connection = Connection::Connecting;
        self.transcript = Transcript::new();
        self.compose.begin(&mut self.transcript);
        // These name blocks, and the names begin anew too.
        self.scroll = Scroll::Tail;
        self.read_tokens = 0;
        self.marked = None;
        self.toggled.clear();
        super::reading::begin_anew(&mut self.reading);
        super::recordings::begin_anew(&mut self.recordings);
    }

    /// Takes over how its connection is; `now_ms` is Unix time in milliseconds.
    pub(super) fn connected(&mut self, connection: Connection, now_ms: u64) {
        match connection {
            Connection::Reconnecting { .. } => {
                self.lost_at.get_or_insert(now_ms);
            }
            Connection::Live | Connection::Ended | Connection::Failed { .. } => self.lost_at = None,
            Connection::Connecting | Connection::ServerGone { .. } => {}
        }
        self.connection = connection;
    }

    /// Nothing came of it, and nothing was sent on it from here.
    pub(super) fn is_untouched(&self) -> bool {
        self.transcript.status() == Status::Empty && self.prompt.is_none()
    }

    /// What was known to be kept may not be any more.
    pub(super) fn doubt(&mut self) {
        if super::recordings::is_replay(self) {
            return;
        }
        let known = self.kept != Kept::Unknown || !self.is_untouched();
        if known && !self.dispatching && !self.transcript.status().is_over() {
            self.kept = Kept::Doubted;
        }
    }

    /// Takes a prompt's first line as the title.
    pub(crate) fn set_title(&mut self, text: &str) -> bool {
        let Some(line) = text.lines().map(str::trim).find(|line| !line.is_empty()) else {
            return false;
        };
        let short: String = line.chars().take(LONGEST_TITLE).collect();
        let title = sanitise_line(&short);
        if self.titled && self.title == title {
            return false;
        }
        self.title = title.into_owned();
        self.titled = true;
        true
    }

    /// The state of the run and its connection in one.
    #[must_use]
    pub fn state(&self, now: Now) -> ChannelState {
        if let Some(state) = super::recordings::state(self) {
            return state;
        }
        match self.transcript.status() {
            Status::Done {
                reason: EndReason::Abort,
            } => return ChannelState::Cancelled,
            Status::Done {
                reason: EndReason::Error,
            }
            | Status::Failed => return ChannelState::Failed,
            Status::Done { .. } => return ChannelState::Done,
            Status::Empty | Status::Queued | Status::Running | Status::Waiting => {}
        }
        match &self.connection {
            Connection::Reconnecting { .. } if self.is_untouched() && self.kept == Kept::No => {
                return ChannelState::NotKept;
            }
            Connection::Reconnecting { next_try_at, .. } => {
                return ChannelState::Reconnecting {
                    seconds: next_try_at.saturating_sub(now.unix_ms).div_ceil(1000),
                };
            }
            Connection::Failed { .. } => return ChannelState::Failed,
            Connection::Connecting | Connection::Live | Connection::Ended | Connection::ServerGone { .. } => {}
        }
        match self.transcript.status() {
            Status::Waiting => ChannelState::Waiting,
            Status::Running => ChannelState::Live,
            Status::Queued => ChannelState::Queued,
            _ if self.prompt.is_some() => ChannelState::Queued,
            _ if self.kept == Kept::No => ChannelState::NotKept,
            // Until the server was asked, a channel that was here before is not said to be empty.
            _ if self.connection == Connection::Live && !matches!(self.kept, Kept::Doubted | Kept::Asked) => {
                ChannelState::Quiet
            }
            _ => ChannelState::Connecting,
        }
    }

    /// How long the run goes or went, in milliseconds; `None` before its first event.
    #[must_use]
    pub fn elapsed(&self, now: Now) -> Option<u64> {
        let counters = self.transcript.counters();
        let start = counters.started_at?;
        Some(counters.ended_at.unwrap_or(self.clock(now)).saturating_sub(start))
    }

    /// The time on the clocks of its run, Unix time in milliseconds: now, or then for a recording.
    #[must_use]
    pub fn clock(&self, now: Now) -> u64 {
        let playback = self.recordings.playback.as_ref();
        playback.map_or(now.unix_ms, super::recordings::Playback::clock)
    }

    /// Tokens of the answer and the reasoning.
    #[must_use]
    pub fn tokens(&self) -> u64 {
        let counters = self.transcript.counters();
        counters.tokens.saturating_add(counters.reasoning_tokens)
    }

    /// Folds an open block, or opens a folded one.
    pub(super) fn toggle(&mut self, block: BlockId) {
        match self.toggled.iter().position(|toggled| *toggled == block) {
            Some(at) => drop(self.toggled.swap_remove(at)),
            None => self.toggled.push(block),
        }
    }

    /// Whether a block is shown as one line.
    #[must_use]
    pub fn is_folded(&self, id: BlockId, superseded: bool, kind: &BlockKind) -> bool {
        folds_by_default(superseded, kind) != self.toggled.contains(&id)
    }
}

/// Whether a block is folded unless the person opens it. A folded call shows its result in short.
#[must_use]
pub fn folds_by_default(superseded: bool, kind: &BlockKind) -> bool {
    superseded || matches!(kind, BlockKind::Reasoning { .. } | BlockKind::Call { .. })
}

/// Whether folding means anything for a block.
#[must_use]
pub fn is_foldable(superseded: bool, kind: &BlockKind) -> bool {
    superseded
        || matches!(
            kind,
            BlockKind::Reasoning { .. }
                | BlockKind::Call { .. }
                | BlockKind::Prompt { .. }
                | BlockKind::Answer { .. }
                | BlockKind::Published { .. }
        )
}
