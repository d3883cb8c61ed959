//! What is selected in a transcript: two places in its content, which stay where they are while text arrives and the
//! width changes. It knows no rows.

use crate::app::msg::Spot;
use crate::transcript::BlockId;
use crate::wire::ChannelId;

/// A part of a transcript between two places, both included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    /// The channel.
    pub channel: ChannelId,
    /// Its watch: blocks of another have other names.
    pub generation: u64,
    /// Where it began.
    pub anchor: Point,
    /// Where it goes to; it may lie before the anchor.
    pub cursor: Point,
    /// Whole rows are selected, and not characters.
    pub whole_rows: bool,
    /// The transcript followed its end before, and does so again afterwards.
    pub followed: bool,
}

/// A place in a transcript.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Point {
    /// The block.
    pub block: BlockId,
    /// The row within it.
    pub spot: Spot,
    /// The column within the row, from the left edge of the text.
    pub column: u16,
}
