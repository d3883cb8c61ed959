//! The bound on a transcript's memory: the oldest part is folded away, and said so.
//!
//! What still grows or waits is folded last. The size is an estimate: text counts exactly, structure roughly.

use serde_json::Value;

use super::{Block, BlockId, BlockKind, CallState, Transcript};

/// What a block takes beside its text, in bytes.
const BLOCK_OVERHEAD: usize = 160;
/// The name of the block that stands for what was folded away; no other block ever has it.
pub(super) const TRIMMED: BlockId = BlockId(0);
/// How many blocks that are still in use are passed over in search of one to fold.
const PASSED_OVER: usize = 64;

/// What a block takes, about, in bytes.
pub(super) fn size(block: &Block) -> usize {
    let text = match &block.kind {
        BlockKind::Prompt { text, .. }
        | BlockKind::Answer { text, .. }
        | BlockKind::Reasoning { text, .. }
        | BlockKind::Note { text } => text.len(),
        BlockKind::Call {
            function,
            arguments,
            state,
            ..
        } => {
            function.len()
                + value_size(arguments)
                + match state {
                    CallState::Answered { result, .. } => value_size(result),
                    CallState::Waiting { channel, .. } => channel.len(),
                    CallState::Requested | CallState::Abandoned => 0,
                }
        }
        BlockKind::Usage { model, .. } => model.as_ref().map_or(0, String::len),
        BlockKind::Operation { label, .. } => label.len(),
        BlockKind::Abort { reason } | BlockKind::End { reason, .. } => reason.len(),
        BlockKind::Failure { message, .. } => message.len(),
        BlockKind::Published { json } => json.len(),
        BlockKind::Gap { .. } | BlockKind::Trimmed { .. } => 0,
    };
    text + BLOCK_OVERHEAD
}

fn value_size(value: &Value) -> usize {
    let own = std::mem::size_of::<Value>();
    own + match value {
        Value::String(text) => text.len(),
        Value::Array(items) => items.iter().map(value_size).sum(),
        Value::Object(fields) => fields
            .iter()
            .map(|(name, value)| own + name.len() + value_size(value))
            .sum(),
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
    }
}

impl Transcript {
    /// Brings the memory back under the limit. Costs nothing while it is.
    pub(super) fn bound(&mut self) {
        if self.bytes <= self.limit / 2 {
            return;
        }
        self.bound_last();
        if self.bytes <= self.limit {
            return;
        }
        // Down to seven eighths, so that not every token folds.
        let target = self.limit - self.limit / 8;
        let mut folded = 0;
        while self.bytes > target && self.blocks.len() > 2 {
            let from = usize::from(self.blocks.front().is_some_and(|block| block.id == TRIMMED));
            let end = (from + PASSED_OVER).min(self.blocks.len() - 1);
            let index = (from..end)
                .find(|index| !self.in_use(&self.blocks[*index]))
                .unwrap_or(from);
            if index + 1 >= self.blocks.len() {
                break;
            }
            let Some(block) = self.blocks.remove(index) else { break };
            self.run.calls.forget(block.id);
            self.bytes = self.bytes.saturating_sub(size(&block));
            folded += 1;
        }
        if folded > 0 {
            self.count_folded(folded);
        }
    }

    fn count_folded(&mut self, folded: u64) {
        self.revision += 1;
        let revision = self.revision;
        if let Some(Block {
            revision: known,
            kind: BlockKind::Trimmed { blocks },
            ..
        }) = self.blocks.front_mut()
        {
            *blocks += folded;
            *known = revision;
            return;
        }
        let kind = BlockKind::Trimmed { blocks: folded };
        let block = Block {
            id: TRIMMED,
            revision,
            at: None,
            superseded: false,
            kind,
        };
        self.bytes += size(&block);
        self.blocks.push_front(block);
    }

    fn in_use(&self, block: &Block) -> bool {
        let open = |open: Option<super::state::Open>| open.is_some_and(|open| open.id == block.id);
        open(self.run.answer)
            || open(self.run.reasoning)
            || matches!(
                block.kind,
                BlockKind::Call {
                    state: CallState::Requested | CallState::Waiting { .. },
                    ..
                }
            )
    }

    /// No single block may take more than half of the memory: the newest ones are looked at, since only they change.
    fn bound_last(&mut self) {
        let most = self.limit / 2;
        let answer = self.run.answer.map(|open| open.id);
        let reasoning = self.run.reasoning.map(|open| open.id);
        let last = self.blocks.back().map(|block| block.id);
        for id in [answer, reasoning, last].into_iter().flatten() {
            if self.block(id).is_some_and(|block| size(block) > most) {
                let cut_before = [self.run.answer, self.run.reasoning]
                    .into_iter()
                    .flatten()
                    .find(|open| open.id == id)
                    .map_or(0, |open| open.cut);
                let mut cut = cut_before;
                self.edit(id, |block| shrink(block, most / 2, &mut cut));
                for open in [&mut self.run.answer, &mut self.run.reasoning].into_iter().flatten() {
                    if open.id == id {
                        open.cut = cut;
                    }
                }
            }
        }
    }
}

/// Cuts a block's content down to about `keep` bytes and says so in it.
fn shrink(block: &mut Block, keep: usize, cut: &mut u64) {
    match &mut block.kind {
        BlockKind::Answer { text, .. } | BlockKind::Reasoning { text, .. } => cut_head(text, keep, cut),
        BlockKind::Prompt { text, .. } | BlockKind::Note { text } | BlockKind::Published { json: text } => {
            cut_tail(text, keep);
        }
        BlockKind::Failure { message: text, .. }
        | BlockKind::Abort { reason: text }
        | BlockKind::Operation { label: text, .. } => cut_tail(text, keep),
        BlockKind::Call {
            function,
            arguments,
            state,
            ..
        } => {
            cut_tail(function, keep / 4);
            cut_value(arguments, keep / 2);
            if let CallState::Answered { result, .. } = state {
                cut_value(result, keep / 2);
            }
        }
        BlockKind::Usage { .. } | BlockKind::End { .. } | BlockKind::Gap { .. } | BlockKind::Trimmed { .. } => {}
    }
}

fn cut_head(text: &mut String, keep: usize, cut: &mut u64) {
    let notice = if *cut > 0 { cut_notice(*cut).len() } else { 0 };
    let mut from = text.len().saturating_sub(keep).max(notice.min(text.len()));
    // A line's beginning, if one is near: what follows reads better.
    if let Some(line) = text.as_bytes()[from..]
        .iter()
        .take(2048)
        .position(|byte| *byte == b'\n')
    {
        from += line + 1;
    }
    while !text.is_char_boundary(from) {
        from += 1;
    }
    *cut += (from - notice.min(from)) as u64;
    text.replace_range(..from, &cut_notice(*cut));
    text.shrink_to(keep * 2);
}

fn cut_notice(bytes: u64) -> String {
    format!("[the first {bytes} bytes of this text were left out to bound the memory]\n\n")
}

fn cut_tail(text: &mut String, keep: usize) {
    if text.len() > keep {
        let mut end = keep;
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        let left = text.len() - end;
        text.truncate(end);
        text.push_str(&format!("… ({left} more bytes were left out to bound the memory)"));
        text.shrink_to_fit();
    }
}

fn cut_value(value: &mut Value, keep: usize) {
    let bytes = value_size(value);
    if bytes > keep {
        let mut text = value.to_string();
        cut_tail(&mut text, keep / 2);
        *value = Value::String(text);
    }
}
