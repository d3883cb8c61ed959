//! What a channel's events add up to: blocks, status, counters, in bounded memory.
//!
//! It knows no terminal and no network: [`Item`]s come in from a feed, [`Block`]s are there to be read.

pub mod block;
pub mod input;

pub use block::{Block, BlockId, BlockKind};
pub use input::{Connection, FeedBatch, Item};
