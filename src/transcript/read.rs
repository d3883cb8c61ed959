//! What readers ask a transcript for. Nothing here changes it.

use super::{Block, BlockId, BlockKind, CallState, Transcript, WaitingCall};

/// How far back the list's line of text is searched for, in blocks.
const LAST_TEXT_BLOCKS: usize = 32;

impl Transcript {
    /// The blocks, oldest first.
    pub fn blocks(&self) -> impl DoubleEndedIterator<Item = &Block> + ExactSizeIterator {
        self.blocks.iter()
    }

    /// The block at a place from the top, in O(1).
    #[must_use]
    pub fn get(&self, index: usize) -> Option<&Block> {
        self.blocks.get(index)
    }

    /// The place of a block from the top, in O(log n). For one that was folded away: `None`.
    #[must_use]
    pub fn position(&self, id: BlockId) -> Option<usize> {
        self.blocks.binary_search_by_key(&id, |block| block.id).ok()
    }

    /// The place from the top of the first block that is not older than a name, in O(log n).
    #[must_use]
    pub fn first_from(&self, id: BlockId) -> usize {
        self.blocks.partition_point(|block| block.id < id)
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

    /// The end of the last line of text (answer, else reasoning), at most `max` characters, as it came.
    ///
    /// A line that is cut begins with `…`.
    #[must_use]
    pub fn last_text(&self, max: usize) -> Option<String> {
        self.blocks
            .iter()
            .rev()
            .take(LAST_TEXT_BLOCKS)
            .find_map(|block| match &block.kind {
                BlockKind::Answer { text, .. } | BlockKind::Reasoning { text, .. } if !block.superseded => {
                    last_line(text, max)
                }
                _ => None,
            })
    }

    /// The text of the first prompt of a person in the channel's own run that is still here.
    #[must_use]
    pub fn first_prompt(&self) -> Option<&str> {
        let mut own = self.blocks.iter().filter(|block| self.is_own(block));
        own.find_map(|block| match &block.kind {
            BlockKind::Prompt { role, text } if role == "user" => Some(text.as_str()),
            _ => None,
        })
    }

    /// The calls that the run waits for, oldest first.
    pub fn waiting_calls(&self) -> impl Iterator<Item = WaitingCall<'_>> {
        self.run.calls.waiting().filter_map(|id| match self.block(id) {
            Some(Block {
                id,
                kind:
                    BlockKind::Call {
                        function,
                        arguments,
                        state: CallState::Waiting { channel, expires_at },
                        asked_at,
                        ..
                    },
                ..
            }) => Some(WaitingCall {
                block: *id,
                function,
                arguments,
                channel,
                asked_at: *asked_at,
                expires_at: *expires_at,
            }),
            _ => None,
        })
    }

    /// The bot's text of the channel's own run without what was superseded; answers are separated by a blank line.
    #[must_use]
    pub fn plain_answer(&self) -> String {
        let mut whole = String::new();
        for block in &self.blocks {
            if let BlockKind::Answer { text, .. } = &block.kind
                && !block.superseded
                && self.is_own(block)
                && !text.is_empty()
            {
                if !whole.is_empty() {
                    whole.push_str("\n\n");
                }
                whole.push_str(text);
            }
        }
        whole
    }
}

/// The end of the last line that is not blank. Looks at the end of the text only, however long it is.
fn last_line(text: &str, max: usize) -> Option<String> {
    let mut from = text.len().saturating_sub(max.saturating_mul(4).saturating_add(1024));
    while !text.is_char_boundary(from) {
        from += 1;
    }
    let tail = text[from..].trim_end();
    let line = tail.rsplit(['\n', '\r']).next().unwrap_or(tail);
    let cut_before = from > 0 && line.len() == tail.len();
    let line = line.trim_start();
    if line.is_empty() || max == 0 {
        return None;
    }
    let count = line.chars().count();
    if count <= max && !cut_before {
        return Some(line.to_owned());
    }
    let skip = count.saturating_sub(max - 1);
    Some(std::iter::once('…').chain(line.chars().skip(skip)).collect())
}

#[cfg(test)]
mod tests {
    use super::last_line;

    #[test]
    fn the_last_line_is_the_last_that_is_not_blank() {
        for (text, max, line) in [
            ("", 5, None),
            (" \n\n", 5, None),
            ("one\ntwo \n", 5, Some("two")),
            ("one two three", 6, Some("…three")),
            ("héllo wörld", 5, Some("…örld")),
            ("abc", 0, None),
        ] {
            assert_eq!(last_line(text, max).as_deref(), line, "{text:?}");
        }
        let long = "x".repeat(100_000);
        assert_eq!(last_line(&long, 4).as_deref(), Some("…xxx"));
    }
}
