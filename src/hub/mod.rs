//! The channel log: what is appended to a channel, and who reads it from where.
//!
//! A channel is an append-only list of lines that are encoded once and shared; a reader is a position
//! in it and a wake-up. History and live are one read, with no seam. The [`Hub`] trait is narrow on
//! purpose: another implementation may keep the log elsewhere (a stream per channel, a fence against
//! two writers). It knows no HTTP and no engine, and never looks into an event.

mod committer;
mod cursor;
mod held;
mod index;
mod log;
#[cfg(test)]
mod log_tests;
mod memory;
mod waits;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;

use crate::measure::HubMeters;
use crate::store::{RunProgress, RunRecord, StoreError};
use crate::wire::ChannelId;

pub(crate) use committer::unix_millis;
pub use held::{HeldBytes, HeldShare};
pub use index::{NoRunPlace, RunCounts, RunPlace, RunQuery};
pub use log::{Log, Overrun, ReaderId, Step};
pub use memory::MemoryHub;

/// The name of an account. Channels of different accounts have nothing in common.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AccountId(Arc<str>);

impl AccountId {
    /// An account by its name.
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self(name.into())
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A channel of an account.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChannelKey {
    /// The account.
    pub account: AccountId,
    /// The channel's name within it.
    pub channel: ChannelId,
}

/// The bounds of a hub.
#[derive(Debug, Clone, Copy)]
pub struct HubOptions {
    /// How long a channel's events are kept after the last one.
    pub retention: Duration,
    /// How many events are kept of a channel.
    pub events: usize,
    /// How many bytes of events are kept of a channel.
    pub bytes: usize,
    /// How many bytes of published messages are held for readers that have not taken them.
    pub published: usize,
    /// The shortest time between two wake-ups of one channel's readers. An idle channel wakes at once.
    pub flush: Duration,
    /// How many appends wait for the committer before who appends has to wait.
    pub queue: usize,
}

impl Default for HubOptions {
    fn default() -> Self {
        Self {
            retention: Duration::from_secs(3600),
            events: 10_000,
            bytes: 64 * 1024 * 1024,
            published: 8 * 1024 * 1024,
            flush: Duration::from_millis(3),
            queue: 4096,
        }
    }
}

/// Where a reader begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// At the newest so many retained events, then live; 0: live only.
    Newest(u64),
    /// After the event of this id. Such a reader is told of a `gap` and of a `reset`.
    After(u64),
}

/// Events for one channel, with where their run stands after them; committed together.
#[derive(Debug)]
pub struct Append {
    /// The channel.
    pub key: ChannelKey,
    /// The events, each as ASCII JSON without line breaks.
    pub events: Vec<Bytes>,
    /// Where the run stands with them, if that changed.
    pub progress: Option<RunProgress>,
    /// What the run goes on from if the server restarts after them; what was kept before stays when absent.
    pub checkpoint: Option<Bytes>,
}

/// Why a hub did not take something.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HubError {
    /// The hub has stopped.
    #[error("the server is stopping")]
    Stopped,
    /// The channel holds another run, or retained events.
    #[error("this channel already holds another run: use a new channel id, or leave `channelId` out")]
    Occupied,
    /// The store refused the commit.
    #[error("the server cannot keep this now: {0}; nothing was taken, send it again later")]
    Store(StoreError),
}

/// Whether a run was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begun {
    /// It was taken, and is to be started.
    New,
    /// The channel holds the run of the same request already: nothing is to be started.
    Already,
}

/// Listens for the answer to a call; see [`Hub::listen`].
#[async_trait]
pub trait Listening: Send {
    /// The answer, once; it never comes if the run is over. Dropping the future loses nothing.
    async fn next(&mut self) -> Bytes;

    /// Ends listening. A message that has been taken for the answer already is given: whoever published it is told
    /// that it was.
    async fn close(self: Box<Self>) -> Option<Bytes>;
}

/// Channels that are appended to and read.
#[async_trait]
pub trait Hub: Send + Sync + 'static {
    /// Takes a run and the first events of its channel; returns when both are durable.
    ///
    /// # Errors
    /// [`HubError::Occupied`] when the channel holds another run or events; otherwise when it was not stored.
    async fn begin(&self, run: RunRecord, events: Vec<Bytes>) -> Result<Begun, HubError>;

    /// Queues events for the next commit, in the order of the calls; waits only while the queue is
    /// full. Readers see them once they are durable: while the store refuses, they wait for it.
    ///
    /// # Errors
    /// When the hub has stopped.
    async fn append(&self, append: Append) -> Result<(), HubError>;

    /// Returns when everything that was appended before is durable.
    ///
    /// # Errors
    /// When the hub has stopped.
    async fn settle(&self) -> Result<(), HubError>;

    /// Listens for the answer to a call of a run on a channel of its account: the first message that is published
    /// there from now on and is no other call's. It is durable when it is given; one that was kept over a restart is
    /// given at once. The wait ends when it has its answer, when what listens is closed, or with its run: for a run that
    /// is being stopped it goes on until the run's end is durable, and for one that is left to a later server it stays.
    async fn listen(&self, run: &ChannelKey, channel: &ChannelId, call: &str) -> Box<dyn Listening>;

    /// Hands a message (ASCII JSON without line breaks) to the readers that exist now, and to the first call that
    /// waits for one on this channel: then it returns when the answer is durable. Apart from that it is not kept.
    ///
    /// # Errors
    /// When the hub has stopped, or when the answer to a call could not be stored: then nobody has got it.
    async fn publish(&self, key: &ChannelKey, message: &[u8]) -> Result<(), HubError>;

    /// Begins to read a channel. The items are whole lines, many in one item; heartbeats are not its
    /// business. It ends when the hub stops, or when lines were lost that the reader cannot be told of.
    async fn open(&self, key: &ChannelKey, start: Start) -> BoxStream<'static, Bytes>;

    /// The run of a channel, as far as it is committed.
    async fn run(&self, key: &ChannelKey) -> Option<RunRecord>;

    /// The retained runs of an account that are asked for, in the order that is asked for. The work is bounded by what
    /// lies between the first of them and the last.
    async fn runs(&self, account: &AccountId, query: &RunQuery) -> Vec<RunRecord>;

    /// How many runs are retained, of all accounts; costs nothing.
    fn counts(&self) -> RunCounts;

    /// How many bytes it holds: the orders of runs that have not ended, and the retained events. Others may add theirs.
    fn held(&self) -> &HeldBytes;

    /// What it counts.
    fn meters(&self) -> HubMeters;

    /// How many appends and begins wait for the committer.
    fn queued(&self) -> usize;

    /// How many bytes the store takes on disk; `None` where it takes none.
    fn stored_bytes(&self) -> Option<u64>;

    /// Returns when nothing can be stored any more, whatever is tried: the server has to end.
    async fn broken(&self) -> StoreError;

    /// Ends every reader and takes nothing more; returns when what was queued is committed, or cannot be.
    async fn stop(&self);
}
