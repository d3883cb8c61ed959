//! The transcript itself: takes [`Item`]s in order and keeps the blocks that they add up to.
//!
//! It lays nothing out and makes nothing safe for a terminal; `text` does.

use std::collections::VecDeque;

use super::rate::RateWindow;
use super::{Block, BlockId, Counters, Honesty, Item, Status, WaitingCall};

/// The memory that a transcript takes by default, in bytes of text.
pub const DEFAULT_LIMIT: usize = 4 * 1024 * 1024;

/// What a channel's events add up to.
#[derive(Debug)]
pub struct Transcript {
    blocks: VecDeque<Block>,
    revision: u64,
    status: Status,
    counters: Counters,
    rate: RateWindow,
    honesty: Honesty,
    limit: usize,
}

impl Default for Transcript {
    fn default() -> Self {
        Self::with_limit(DEFAULT_LIMIT)
    }
}

impl Transcript {
    /// An empty transcript that keeps up to [`DEFAULT_LIMIT`] bytes.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty transcript that keeps about this many bytes of text, the newest.
    #[must_use]
    pub fn with_limit(bytes: usize) -> Self {
        Self {
            blocks: VecDeque::new(),
            revision: 0,
            status: Status::Empty,
            counters: Counters::default(),
            rate: RateWindow::default(),
            honesty: Honesty::Unknown,
            limit: bytes,
        }
    }

    /// Takes the next item. `now_ms` is the time it came, Unix time in milliseconds.
    pub fn apply(&mut self, _item: Item, now_ms: u64) {
        self.revision += 1;
        self.rate.add(now_ms);
    }

    /// The blocks, oldest first.
    pub fn blocks(&self) -> impl DoubleEndedIterator<Item = &Block> + ExactSizeIterator {
        self.blocks.iter()
    }

    /// The block at a place from the top.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<&Block> {
        self.blocks.get(index)
    }

    /// The place of a block from the top, in O(log n). For one that was folded away: `None`.
    #[must_use]
    pub fn position(&self, id: BlockId) -> Option<usize> {
        self.blocks.binary_search_by_key(&id, |block| block.id).ok()
    }

    /// The block of this name, in O(log n).
    #[must_use]
    pub fn block(&self, id: BlockId) -> Option<&Block> {
        self.position(id).and_then(|index| self.blocks.get(index))
    }

    /// How many blocks there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.blocks.len()
    }

    /// Whether there is no block.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }

    /// Grows with every change: equal revisions, equal content.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// How far the run is.
    #[must_use]
    pub fn status(&self) -> Status {
        self.status
    }

    /// What was counted.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Tokens a second (answer and reasoning) over the last three seconds before `now_ms`, Unix milliseconds.
    #[must_use]
    pub fn rate(&self, now_ms: u64) -> f64 {
        self.rate.per_second(now_ms)
    }

    /// The first line of the first user prompt, as it came.
    #[must_use]
    pub fn title(&self) -> Option<&str> {
        None
    }

    /// The end of the last line of text (answer, else reasoning), at most `max` characters, as it came.
    #[must_use]
    pub fn last_text(&self, _max: usize) -> Option<String> {
        None
    }

    /// What may be said about the transcript's wholeness.
    #[must_use]
    pub fn honesty(&self) -> Honesty {
        self.honesty
    }

    /// The calls that the run waits for, oldest first.
    pub fn waiting_calls(&self) -> impl Iterator<Item = WaitingCall<'_>> {
        let _ = self.limit;
        std::iter::empty()
    }

    /// The bot's text without what was superseded; answers are separated by a blank line.
    #[must_use]
    pub fn plain_answer(&self) -> String {
        String::new()
    }
}
