//! Where a transcript is scrolled to: places in its content, and the rows that are in view.
//!
//! Rows are laid out only where somebody looks: the work is that of the rows in view (and of those that a key
//! moves over), never of the whole transcript. It draws nothing.

use std::collections::BTreeMap;

use crate::app::reading::{Detail, code::Job};
use crate::app::{App, Channel, Scroll, Spot};
use crate::transcript::{Block, BlockId, BlockKind, Connection};

use super::block::{BlockView, is_one_line};
use super::format::number;

/// How many raw events' rows are kept; beyond that they are laid out anew.
const MOST_RAW_VIEWS: usize = 2_000;
/// How many blocks that are not shown are passed over in search of the one above.
const MOST_HIDDEN: usize = 256;

/// The rows of one channel's blocks, as far as they were looked at, at one width.
#[derive(Debug, Default)]
pub(super) struct RowCache {
    views: BTreeMap<BlockId, BlockView>,
    /// The same of raw events, by the numbers of their lines.
    raw: BTreeMap<u64, BlockView>,
    /// Code that is in view and is to be read.
    pub wanted: Vec<Job>,
}

#[cfg(test)]
impl RowCache {
    /// How many blocks were laid out.
    pub fn blocks(&self) -> usize {
        self.views.len()
    }
}

/// A row: which block from the top, which of its rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub index: usize,
    pub row: usize,
}

/// A channel with its rows at a width.
pub(super) struct Viewport<'a> {
    pub channel: &'a Channel,
    cache: &'a mut RowCache,
    width: u16,
    detail: Detail,
    /// Raw events are shown in place of the blocks.
    raw: bool,
    /// A block that is looked at as if it were open.
    open: Option<BlockId>,
}

/// What is in view.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Window {
    /// The row at the top.
    pub top: Place,
    /// The rows that show text.
    pub rows: usize,
    /// The last row of the transcript is in view.
    pub at_end: bool,
}

impl<'a> Viewport<'a> {
    /// `width` is that of the text, in columns.
    pub fn new(app: &App, channel: &'a Channel, cache: &'a mut RowCache, width: u16) -> Self {
        match channel.transcript.get(0) {
            // Rows of blocks that were folded away to bound the memory go too.
            Some(first) if cache.views.first_key_value().is_some_and(|(id, _)| *id < first.id) => {
                cache.views = cache.views.split_off(&first.id);
            }
            Some(_) => {}
            None => cache.views.clear(),
        }
        let raw = channel.reading.raw.is_some();
        if !raw || cache.raw.len() > MOST_RAW_VIEWS {
            cache.raw.clear();
        }
        Self {
            channel,
            cache,
            width: width.max(1),
            detail: app.detail(channel),
            raw,
            open: None,
        }
    }

    /// Looks at a block as if it were open.
    pub fn open(&mut self, block: BlockId) {
        self.open = Some(block);
    }

    /// Has code read.
    pub fn want(&mut self, jobs: Vec<Job>) {
        self.cache.wanted.extend(jobs);
    }

    /// Whether raw events are shown.
    pub fn is_raw(&self) -> bool {
        self.raw
    }

    /// How many blocks (or raw events) there are.
    pub fn count(&self) -> usize {
        let transcript = &self.channel.transcript;
        if self.raw {
            // A line above them says how many were left out.
            transcript.raw().len() + 1
        } else {
            transcript.len()
        }
    }

    /// The name of the block (or raw event) at a place from the top.
    pub fn id(&self, index: usize) -> Option<BlockId> {
        let transcript = &self.channel.transcript;
        if !self.raw {
            return transcript.get(index).map(|block| block.id);
        }
        match index {
            0 => Some(BlockId(0)),
            _ if index <= transcript.raw().len() => Some(BlockId(transcript.raw().left_out() + index as u64)),
            _ => None,
        }
    }

    /// The place from the top of a block (or raw event).
    pub fn position(&self, id: BlockId) -> Option<usize> {
        let transcript = &self.channel.transcript;
        if !self.raw {
            return transcript.position(id);
        }
        let place = usize::try_from(id.0.saturating_sub(transcript.raw().left_out())).ok()?;
        (place <= transcript.raw().len()).then_some(place)
    }

    fn raw_view(&mut self, index: usize) -> Option<&BlockView> {
        let raw = self.channel.transcript.raw();
        let view = if index == 0 {
            let view = self.cache.raw.entry(0).or_default();
            let text = match raw.left_out() {
                0 => "raw events, as they came".to_owned(),
                left_out => format!(
                    "~ raw events; {} earlier ones left out, to bound the memory",
                    number(left_out)
                ),
            };
            view.update_note(text);
            view
        } else {
            let number = raw.left_out() + index as u64;
            let line = raw.get(number - 1)?;
            let view = self.cache.raw.entry(number).or_default();
            view.update_raw(&line.bytes, self.width);
            view
        };
        Some(view)
    }

    /// The rows of the block at a place from the top, up to date.
    pub fn view(&mut self, index: usize) -> Option<&BlockView> {
        if self.raw {
            return self.raw_view(index);
        }
        let block = self.channel.transcript.get(index)?;
        let gap = self
            .shown_before(index)
            .is_some_and(|before| !(self.is_low(before) && self.is_low(block)));
        let folded = self.channel.is_folded(block.id, block.superseded, &block.kind) && self.open != Some(block.id);
        let view = self.cache.views.entry(block.id).or_default();
        view.update(block, self.width, folded, gap, self.detail);
        Some(view)
    }

    /// Whether a block is one row that stands close to its like.
    fn is_low(&self, block: &Block) -> bool {
        is_one_line(&block.kind)
            || self.detail.is_brief()
                && matches!(block.kind, BlockKind::Reasoning { .. } | BlockKind::Call { .. })
                && self.channel.is_folded(block.id, block.superseded, &block.kind)
    }

    /// The last block above a place that is shown; far above, any.
    fn shown_before(&self, index: usize) -> Option<&Block> {
        let transcript = &self.channel.transcript;
        let mut above = (index.saturating_sub(MOST_HIDDEN)..index).rev();
        above
            .find_map(|at| transcript.get(at).filter(|block| self.detail.shows(block)))
            .or_else(|| transcript.get(index.checked_sub(MOST_HIDDEN)?))
    }

    /// The block of a place, unless raw events are shown.
    pub fn block(&self, index: usize) -> Option<&'a Block> {
        if self.raw {
            None
        } else {
            self.channel.transcript.get(index)
        }
    }

    fn rows_of(&mut self, index: usize) -> usize {
        self.view(index).map_or(0, BlockView::len)
    }

    /// What is in view in so many rows. When the end is not in view, the last row is left for saying so.
    pub fn window(&mut self, height: usize) -> Window {
        let height = height.saturating_sub(self.status_rows());
        let top = match self.channel.shown_scroll() {
            Scroll::Tail => None,
            Scroll::Anchor { block, spot } => Some(self.resolve(block, spot)),
        };
        match top {
            Some(top) if self.rows_from(top, height + 1) > height => Window {
                top,
                rows: height.saturating_sub(1),
                at_end: false,
            },
            _ => Window {
                top: self.tail_top(height),
                rows: height,
                at_end: true,
            },
        }
    }

    /// Rows below the text that say what is wrong with the connection.
    pub fn status_rows(&self) -> usize {
        let lost = matches!(
            self.channel.connection,
            Connection::Reconnecting { .. } | Connection::Failed { .. }
        );
        usize::from(lost && !self.channel.transcript.status().is_over())
    }

    /// The top row when the last one is at the bottom.
    pub fn tail_top(&mut self, height: usize) -> Place {
        let mut left = height;
        let mut index = self.count();
        while index > 0 {
            index -= 1;
            let rows = self.rows_of(index);
            if rows >= left {
                return Place {
                    index,
                    row: rows - left,
                };
            }
            left -= rows;
        }
        Place { index: 0, row: 0 }
    }

    /// How many rows there are from a place to the end; counting ends at about `limit`.
    pub fn rows_from(&mut self, place: Place, limit: usize) -> usize {
        let mut rows = 0;
        for index in place.index..self.count() {
            rows += self.rows_of(index);
            if index == place.index {
                rows = rows.saturating_sub(place.row);
            }
            if rows >= limit {
                break;
            }
        }
        rows
    }

    /// The place so many rows further down (or up), within the transcript.
    pub fn moved(&mut self, from: Place, by: isize) -> Place {
        let mut place = from;
        let mut left = by.unsigned_abs();
        if by < 0 {
            while left > 0 {
                if place.row >= left {
                    place.row -= left;
                    return place;
                }
                if place.index == 0 {
                    return Place { index: 0, row: 0 };
                }
                left -= place.row;
                place.index -= 1;
                place.row = self.rows_of(place.index);
            }
            return place;
        }
        loop {
            let rows = self.rows_of(place.index);
            if place.row + left < rows {
                place.row += left;
                return place;
            }
            if place.index + 1 >= self.count() {
                place.row = rows.saturating_sub(1);
                return place;
            }
            left -= rows - place.row;
            place.index += 1;
            place.row = 0;
        }
    }

    /// The scroll position that has this row at the top, wherever the width and the folds go.
    pub fn anchor(&mut self, place: Place) -> Scroll {
        let Some(block) = self.id(place.index) else {
            return Scroll::Tail;
        };
        let spot = match self.view(place.index) {
            None => Spot::Head(0),
            Some(view) => {
                let head = view.head.len();
                let body = view.body();
                if place.row < head {
                    Spot::Head(small(place.row))
                } else if let Some(row) = body.get(place.row - head) {
                    let offset = row.source_offset;
                    let first = body.partition_point(|row| row.source_offset < offset);
                    Spot::Body {
                        offset,
                        skip: small(place.row - head - first),
                    }
                } else {
                    Spot::Foot(small(place.row - head - body.len()))
                }
            }
        };
        Scroll::Anchor { block, spot }
    }

    /// The row of a scroll position. A block that is gone gives way to the first one that is left.
    pub fn resolve(&mut self, block: BlockId, spot: Spot) -> Place {
        let Some(index) = self.position(block) else {
            return Place { index: 0, row: 0 };
        };
        let Some(view) = self.view(index) else {
            return Place { index: 0, row: 0 };
        };
        let head = view.head.len();
        let body = view.body();
        let row = match spot {
            Spot::Head(row) => usize::from(row),
            Spot::Body { offset, skip } => {
                if body.is_empty() {
                    head.saturating_sub(1)
                } else {
                    let first = body.partition_point(|row| row.source_offset < offset);
                    match body.get(first) {
                        Some(row) if row.source_offset == offset => {
                            let same = body[first..].partition_point(|row| row.source_offset == offset);
                            head + first + usize::from(skip).min(same - 1)
                        }
                        _ => head + view.body_row_at(offset),
                    }
                }
            }
            Spot::Foot(row) => head + body.len() + usize::from(row),
        };
        Place {
            index,
            row: row.min(view.len().saturating_sub(1)),
        }
    }

    /// The part that folding acts on: the marked one if it is in view, else the nearest that is folded unless
    /// it was opened: the last in view at the end, the first elsewhere.
    pub fn fold_target(&mut self, window: Window) -> Option<BlockId> {
        if self.raw {
            return None;
        }
        let last = self.last_index(window);
        let blocks = || (window.top.index..=last).filter_map(|index| self.channel.transcript.get(index));
        if let Some(marked) = self.channel.marked
            && blocks().any(|block| block.id == marked)
        {
            return Some(marked);
        }
        let folds =
            |block: &&crate::transcript::Block| crate::app::channel::folds_by_default(block.superseded, &block.kind);
        let found = if window.at_end {
            blocks().rfind(folds)
        } else {
            blocks().find(folds)
        };
        found.map(|block| block.id)
    }

    /// The last block with a row in view.
    pub fn last_index(&mut self, window: Window) -> usize {
        self.moved(window.top, isize::try_from(window.rows.saturating_sub(1)).unwrap_or(0))
            .index
    }

    /// The next (or the previous) block that is wanted: from the marked one if that is in view, else from the view.
    pub fn next_block(&mut self, window: Window, forward: bool, wanted: impl Fn(&Block) -> bool) -> Option<usize> {
        let transcript = &self.channel.transcript;
        let detail = self.detail;
        let is_wanted = |index: &usize| {
            transcript
                .get(*index)
                .is_some_and(|block| detail.shows(block) && wanted(block))
        };
        let last = self.last_index(window);
        let marked = self
            .channel
            .marked
            .and_then(|id| transcript.position(id))
            .filter(|index| (window.top.index..=last).contains(index));
        match (marked, forward) {
            (Some(at), true) => (at + 1..transcript.len()).find(is_wanted),
            (Some(at), false) => (0..at).rev().find(is_wanted),
            (None, true) => (window.top.index..transcript.len()).find(is_wanted),
            (None, false) => (0..=last.min(transcript.len().saturating_sub(1))).rev().find(is_wanted),
        }
    }
}

fn small(n: usize) -> u16 {
    u16::try_from(n).unwrap_or(u16::MAX)
}
