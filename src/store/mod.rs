//! What outlives a process: runs, their requests and their events.
//!
//! The [`Store`] trait is what the committer of `hub` writes to and what the server reads at a start.
//! It is cut for SQLite: one transaction for everything that is pending, one row for a channel's whole
//! batch of events, never one for an event. It does not know what events mean, and wakes nobody.

mod memory;
mod sqlite;

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use crate::hub::ChannelKey;
use crate::wire::request::{RunStatus, WaitingOn};

pub use memory::MemoryStore;
pub use sqlite::{SqliteOptions, SqliteStore};

/// A run as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunRecord {
    /// The account and channel that the run belongs to; a channel holds one run.
    pub key: ChannelKey,
    /// What was asked for, as JSON (`engine::Order`): enough to run it again after a restart.
    pub order: Bytes,
    /// A digest of the request, to tell a repeated dispatch from another one.
    pub digest: [u8; 32],
    /// A title for lists, from the prompt.
    pub title: String,
    /// The model's name.
    pub model: String,
    /// When it was dispatched, Unix time in milliseconds.
    pub created_at: u64,
    /// Whether its texts go when it ends (PROTOCOL, `privacy`): of a run that is over only its name, its state and the
    /// number of its events stay on disk.
    pub private: bool,
    /// Where it stands.
    pub progress: RunProgress,
}

/// Where a run stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunProgress {
    /// Queued, running, waiting, ended or failed.
    pub status: RunStatus,
    /// The function calls that it waits for, while it is waiting.
    pub waiting: Vec<WaitingOn>,
    /// When it ended, Unix time in milliseconds.
    pub ended_at: Option<u64>,
    /// How it ended.
    pub end_reason: Option<String>,
    /// How often a server restarted in the middle of the iteration that goes on.
    pub restarts: u32,
}

impl RunProgress {
    /// A run that was accepted and has not begun.
    #[must_use]
    pub fn queued() -> Self {
        Self {
            status: RunStatus::Queued,
            waiting: Vec::new(),
            ended_at: None,
            end_reason: None,
            restarts: 0,
        }
    }

    /// Whether the run is over.
    #[must_use]
    pub fn is_over(&self) -> bool {
        matches!(self.status, RunStatus::Ended | RunStatus::Failed)
    }
}

/// One channel's new events of one commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventBatch {
    /// The channel.
    pub key: ChannelKey,
    /// The id of the first event; the others follow without holes.
    pub first_id: u64,
    /// When they were committed, Unix time in milliseconds.
    pub created_at: u64,
    /// How many events there are.
    pub count: u32,
    /// The events as ASCII JSON in their order, each ended by a line break.
    pub lines: Bytes,
}

/// The answer to a function call of a run: the first message that was published where the run waits for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The run that waits.
    pub run: ChannelKey,
    /// The id of its call.
    pub call: String,
    /// What was published, as ASCII JSON.
    pub message: Bytes,
}

/// Everything that one commit changes, applied whole or not at all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Transaction {
    /// Runs that are accepted.
    pub queued: Vec<RunRecord>,
    /// New events.
    pub events: Vec<EventBatch>,
    /// Runs that stand elsewhere now; the newest for each run.
    pub progress: Vec<(ChannelKey, RunProgress)>,
    /// What runs need to go on from after a restart, in place of what was kept for them before (`engine::Checkpoint`).
    pub checkpoints: Vec<(ChannelKey, Bytes)>,
    /// Answers to function calls. An answer to a call that has one already changes nothing.
    pub answers: Vec<Answer>,
    /// Channels whose retention is over: their runs and events go.
    pub expired: Vec<ChannelKey>,
}

impl Transaction {
    /// Whether it changes nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.queued.is_empty()
            && self.events.is_empty()
            && self.progress.is_empty()
            && self.checkpoints.is_empty()
            && self.answers.is_empty()
            && self.expired.is_empty()
    }
}

/// A run that was kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecoveredRun {
    /// The run, with where it stands.
    pub record: RunRecord,
    /// What it goes on from, if it came so far.
    pub checkpoint: Option<Bytes>,
    /// The answers to its calls that were acknowledged, by the calls' ids.
    pub answers: Vec<(String, Bytes)>,
}

/// The events of one channel that were kept, in their order and without holes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeptEvents {
    /// The id of the first one.
    pub first_id: u64,
    /// The events as ASCII JSON, each ended by a line break.
    pub lines: Vec<u8>,
    /// How many of them were committed together, and when (Unix time in milliseconds); in order.
    pub batches: Vec<(u32, u64)>,
}

impl KeptEvents {
    /// How many events there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.batches.iter().map(|(count, _)| u64::from(*count)).sum()
    }
}

/// A channel that was kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecoveredChannel {
    /// The channel.
    pub key: ChannelKey,
    /// Its run.
    pub run: Option<RecoveredRun>,
    /// The id that its next event gets. More than what follows from `events` when those are gone from disk.
    pub next_id: u64,
    /// When its last event was committed, Unix time in milliseconds.
    pub last_event: u64,
    /// Its retained events.
    pub events: KeptEvents,
}

/// What a store holds when a server starts: every channel, in the order in which they began.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recovered {
    /// The channels.
    pub channels: Vec<RecoveredChannel>,
}

/// Why a store could not do what it was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// There is no space left; it is worth trying again.
    #[error("the disk is full")]
    Full,
    /// Reading or writing failed; it may be worth trying again.
    #[error("the disk cannot be used: {0}")]
    Disk(String),
    /// The file cannot be used by this program as it is, and trying again changes nothing.
    #[error("{0}")]
    Unusable(String),
}

/// Keeps runs and events. What `commit` returned for is durable to the degree that the store promises.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Applies a transaction whole, or not at all. Called by one task at a time.
    ///
    /// # Errors
    /// When nothing of it was applied.
    async fn commit(&self, transaction: Arc<Transaction>) -> Result<(), StoreError>;

    /// What was kept; asked once, before the first commit. Runs that ended before `forget_before` (Unix time in
    /// milliseconds) are not worth reading any more: they go.
    ///
    /// # Errors
    /// When the store cannot be read.
    async fn recover(&self, forget_before: u64) -> Result<Recovered, StoreError>;

    /// How many bytes it takes on disk; `None` where it takes none.
    fn stored_bytes(&self) -> Option<u64> {
        None
    }

    /// Puts everything in order for a server that ends; no commit comes after it.
    async fn close(&self);
}
