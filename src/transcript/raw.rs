//! The lines of a channel as they came, byte for byte, beside the blocks that they add up to.
//!
//! They share the bytes that came in and take what the blocks leave of the memory; the oldest go first, and how many
//! went is counted. Nothing is read or laid out here.

use std::collections::VecDeque;

use bytes::Bytes;
use serde::ser::SerializeSeq as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{BlockId, Transcript};

/// One line as it came.
#[derive(Debug, Clone)]
pub struct RawLine {
    /// The block that it made or changed; for a line that shows nothing, the one before.
    pub block: BlockId,
    /// The line, without its break.
    pub bytes: Bytes,
}

/// The newest lines of a channel.
#[derive(Debug, Default)]
pub struct RawLines {
    lines: VecDeque<RawLine>,
    left_out: u64,
    bytes: usize,
}

impl RawLines {
    /// The lines that are kept, oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &RawLine> + ExactSizeIterator {
        self.lines.iter()
    }

    /// The line of this number. Numbers count every line that came, from 0, and stay when older ones go.
    #[must_use]
    pub fn get(&self, number: u64) -> Option<&RawLine> {
        self.lines
            .get(usize::try_from(number.checked_sub(self.left_out)?).ok()?)
    }

    /// How many lines are kept.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// Whether no line is kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// How many of the oldest lines were left out to bound the memory: also the number of the first that is kept.
    #[must_use]
    pub fn left_out(&self) -> u64 {
        self.left_out
    }

    /// The memory that the lines take, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The number of the line that stands a given share of the way through a block's lines; for a block without lines,
    /// the first of what came after it.
    #[must_use]
    pub fn of_block(&self, block: BlockId, part: usize, whole: usize) -> Option<u64> {
        let mut mine = self.lines.iter().enumerate().filter(|(_, line)| line.block == block);
        let count = mine.clone().count();
        let index = if count == 0 {
            self.lines.iter().position(|line| line.block >= block)?
        } else {
            let skip = (count * part.min(whole) / whole.max(1)).min(count - 1);
            mine.nth(skip)?.0
        };
        Some(self.left_out + index as u64)
    }

    fn push(&mut self, line: RawLine) {
        self.bytes += size(&line);
        self.lines.push_back(line);
    }

    /// Lets the oldest lines go until the rest takes no more than so many bytes.
    fn bound(&mut self, most: usize) {
        while self.bytes > most
            && let Some(line) = self.lines.pop_front()
        {
            self.bytes -= size(&line);
            self.left_out += 1;
        }
    }
}

/// Lines are JSON, so text: as such they are put away and come back.
impl Serialize for RawLines {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut all = serializer.serialize_seq(Some(self.lines.len() + 1))?;
        all.serialize_element(&(self.left_out, ""))?;
        for line in &self.lines {
            all.serialize_element(&(line.block.0, String::from_utf8_lossy(&line.bytes)))?;
        }
        all.end()
    }
}

impl<'de> Deserialize<'de> for RawLines {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut all = Vec::<(u64, String)>::deserialize(deserializer)?.into_iter();
        let mut raw = Self {
            left_out: all.next().map_or(0, |(left_out, _)| left_out),
            ..Self::default()
        };
        for (block, text) in all {
            raw.push(RawLine {
                block: BlockId(block),
                bytes: text.into(),
            });
        }
        Ok(raw)
    }
}

fn size(line: &RawLine) -> usize {
    line.bytes.len() + std::mem::size_of::<RawLine>()
}

impl Transcript {
    /// The lines as they came.
    #[must_use]
    pub fn raw(&self) -> &RawLines {
        &self.raw
    }

    /// Keeps a line beside the block that it touched. An eighth of the memory is always left for lines.
    pub(super) fn keep_raw(&mut self, bytes: Bytes) {
        if bytes.is_empty() {
            return;
        }
        let block = self.touched;
        self.raw.push(RawLine { block, bytes });
        self.bound_raw();
    }

    /// Lets the oldest lines go that are too many.
    pub(super) fn bound_raw(&mut self) {
        self.raw
            .bound(self.limit.saturating_sub(self.bytes).max(self.limit / 8));
    }

    /// The channel began anew.
    pub(super) fn forget_raw(&mut self) {
        self.raw = RawLines::default();
        self.touched = BlockId(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transcript::Item;
    use crate::wire::Event;

    fn token(text: &str, raw: String) -> Item {
        Item::Event {
            id: None,
            at: None,
            event: Event::token(text),
            raw: raw.into_bytes().into(),
        }
    }

    #[test]
    fn lines_are_kept_as_they_came_and_the_oldest_go_first() {
        let mut transcript = Transcript::with_limit(4096);
        for n in 0..200 {
            transcript.apply(token("x", format!("{{\"n\":{n}}}")), 0);
        }
        let raw = transcript.raw();
        assert!(raw.bytes() <= 4096, "{}", raw.bytes());
        assert_eq!(raw.left_out() + raw.len() as u64, 200);
        assert!(raw.left_out() > 0 && raw.get(raw.left_out() - 1).is_none());
        assert_eq!(&raw.get(199).expect("the last").bytes[..], b"{\"n\":199}");
        let block = transcript.get(0).expect("the answer").id;
        let first = raw.of_block(block, 0, 10).expect("its first line");
        let last = raw.of_block(block, 10, 10).expect("its last line");
        assert_eq!((first, last), (raw.left_out(), 199));
        transcript.apply(Item::Reset, 0);
        assert!(transcript.raw().is_empty());
    }

    #[test]
    fn a_line_belongs_to_the_block_that_it_touched() {
        let mut transcript = Transcript::new();
        let user = Event::from_json(r#"{"type":"message","data":{"type":"user","text":"hi"}}"#).expect("an event");
        let begin = Event::from_json(r#"{"type":"completeBegin","data":{}}"#).expect("an event");
        for (event, raw) in [(user, "user"), (begin, "begin")] {
            let raw = bytes::Bytes::from_static(raw.as_bytes());
            transcript.apply(
                Item::Event {
                    id: None,
                    at: None,
                    event,
                    raw,
                },
                0,
            );
        }
        transcript.apply(token("a", "token".to_owned()), 0);
        let blocks: Vec<BlockId> = transcript.blocks().map(|block| block.id).collect();
        let of: Vec<BlockId> = transcript.raw().iter().map(|line| line.block).collect();
        assert_eq!(of, [blocks[0], blocks[0], blocks[1]]);
    }
}
