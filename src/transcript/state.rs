//! The transcript itself: takes [`Item`]s in order and keeps the blocks that they add up to.
//!
//! It lays nothing out and makes nothing safe for a terminal; `text` does. Function calls are in
//! `calls`, operations in `operations`, the bound on memory is in `bound`, lines as they came in `raw`, what a reader asks for is in `read`.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::wire::event::{ABORT_SERVER_RESTARTED, Abort, ActivityKind, RunResult};
use crate::wire::{Event, EventKind, Message, MessageKind};

use super::calls::Calls;
use super::rate::RateWindow;
use super::raw::RawLines;
use super::{Block, BlockId, BlockKind, Counters, EndReason, Honesty, Item, Status};

/// The memory that a transcript takes by default, in bytes of text.
pub const DEFAULT_LIMIT: usize = 4 * 1024 * 1024;
/// The longest title, in characters.
const LONGEST_TITLE: usize = 200;

/// What a channel's events add up to.
#[derive(Debug, Serialize, Deserialize)]
pub struct Transcript {
    /// By ascending id, so that a name is found by bisection.
    pub(super) blocks: VecDeque<Block>,
    /// Never used again, not even after a reset. 0 is the name of the `Trimmed` block.
    pub(super) next_id: u64,
    /// The first name that is the channel's own: what is before it belongs to the earlier runs of the thread.
    pub(super) own_from: u64,
    /// Input messages of the earlier runs that the channel is going to bring again.
    pub(super) repeated: VecDeque<String>,
    pub(super) revision: u64,
    /// The memory that the blocks take, about, in bytes.
    pub(super) bytes: usize,
    pub(super) limit: usize,
    /// The lines as they came.
    pub(super) raw: RawLines,
    /// The block that was made or changed last.
    pub(super) touched: BlockId,
    pub(super) rate: RateWindow,
    /// How far this machine's clock is ahead of the one that stamps the tokens, in milliseconds.
    pub(super) rate_offset: i64,
    pub(super) run: Run,
}

/// What is known of the run; a reset begins it anew.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Run {
    pub(super) status: Status,
    counters: Counters,
    title: Option<String>,
    pub(super) answer: Option<Open>,
    pub(super) reasoning: Option<Open>,
    /// An answer that a hole in the events cut off: the final message may contain it.
    cut_off: Option<BlockId>,
    /// Where the unfinished iteration begins; `None` between iterations.
    iteration: Option<BlockId>,
    pub(super) calls: Calls,
    pub(super) operations: VecDeque<(String, BlockId)>,
    /// A bot `message` came: the result's text has nothing to add.
    finished_text: bool,
    positions: Positions,
    /// Tokens that the model calls read and wrote so far, once one said so.
    used: Option<(u64, u64)>,
}

/// A text block that tokens are appended to.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Open {
    pub(super) id: BlockId,
    /// Bytes that were cut off its head to bound the memory.
    pub(super) cut: u64,
}

/// What the ids of the events say about wholeness.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Positions {
    next: Option<u64>,
    seen_first: bool,
    head_missing: bool,
    hole: bool,
    /// A gap was told: the next id may be any.
    told: bool,
    any_event: bool,
    any_id: bool,
    /// Without ids: the first model call of the run was seen to begin.
    from_first_call: bool,
    /// Final messages whose text the tokens gave exactly, and the others.
    matched: u64,
    unmatched: u64,
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

    /// An empty transcript that keeps about this many bytes of text, the newest (4096 at least).
    #[must_use]
    pub fn with_limit(bytes: usize) -> Self {
        Self {
            blocks: VecDeque::new(),
            next_id: 1,
            own_from: 1,
            repeated: VecDeque::new(),
            revision: 0,
            bytes: 0,
            limit: bytes.max(4096),
            raw: RawLines::default(),
            touched: BlockId(0),
            rate: RateWindow::default(),
            rate_offset: 0,
            run: Run::default(),
        }
    }

    /// Takes the next item. `now_ms` is the time it came, Unix time in milliseconds.
    ///
    /// An event whose id was seen before changes nothing, nor does an event after the one that ended the run.
    pub fn apply(&mut self, item: Item, now_ms: u64) {
        match item {
            Item::Event { id, at, event, raw } => {
                if self.event(id, at, event, now_ms) {
                    self.keep_raw(raw);
                }
            }
            Item::Published { message, raw } => {
                let json = String::from_utf8_lossy(&message).into_owned();
                self.push(None, BlockKind::Published { json });
                self.keep_raw(raw);
            }
            Item::Gap { missing } => self.gap(missing),
            Item::Reset => self.reset(),
            Item::BadLine { reason } => self.note(None, format!("a line was left out: {reason}")),
        }
        self.bound();
    }

    /// Ends the run where nothing more can come of it, at `now_ms` (Unix time in milliseconds): its server no
    /// longer has it. `reason` is for a person. A run that is over stays as it is.
    pub fn lose(&mut self, reason: String, now_ms: u64) {
        if !self.run.status.is_over() {
            self.failed(Some(now_ms), now_ms, reason, None);
            self.bound();
        }
    }

    /// The id of the last event that was seen, where the server gives ids: reading can go on after it.
    #[must_use]
    pub fn last_id(&self) -> Option<u64> {
        self.run.positions.next?.checked_sub(1)
    }

    /// How far the run is.
    #[must_use]
    pub fn status(&self) -> Status {
        self.run.status
    }

    /// What was counted.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.run.counters
    }

    /// Tokens a second (answer and reasoning) over the last three seconds before `now_ms`, Unix milliseconds.
    ///
    /// Where the server says when a token was committed, that time counts, so that a replay shows no absurd rate.
    #[must_use]
    pub fn rate(&self, now_ms: u64) -> f64 {
        let now = i64::try_from(now_ms)
            .unwrap_or(i64::MAX)
            .saturating_sub(self.rate_offset);
        self.rate.per_second(u64::try_from(now).unwrap_or(0))
    }

    /// The first line of the first user prompt, as it came, at most 200 characters.
    #[must_use]
    pub fn title(&self) -> Option<&str> {
        self.run.title.as_deref()
    }

    /// What may be said about the transcript's wholeness.
    #[must_use]
    pub fn honesty(&self) -> Honesty {
        let positions = &self.run.positions;
        let folded = matches!(
            self.blocks.front().map(|block| &block.kind),
            Some(BlockKind::Trimmed { .. })
        );
        if positions.hole {
            Honesty::Gap
        } else if positions.head_missing || folded {
            Honesty::HeadTrimmed
        } else if positions.seen_first
            || (!positions.any_id && positions.from_first_call && positions.matched > 0 && positions.unmatched == 0)
        {
            Honesty::Complete
        } else {
            Honesty::Unknown
        }
    }

    /// Takes an event in; `false`: it changed nothing.
    fn event(&mut self, id: Option<u64>, at: Option<u64>, event: Event, now_ms: u64) -> bool {
        if self.run.status.is_over() || !self.position_is_new(id) {
            return false;
        }
        let time = at.unwrap_or(now_ms);
        let counters = &mut self.run.counters;
        counters.events += 1;
        counters.started_at.get_or_insert(time);
        if !self.run.positions.any_event {
            self.run.positions.any_event = true;
            self.run.positions.from_first_call = is_a_beginning(&event.kind);
        }
        match event.kind {
            EventKind::Token(token) => {
                self.run.counters.tokens += 1;
                self.count_token(time, now_ms);
                self.token(at, &token.token);
            }
            EventKind::ReasoningToken(token) => {
                self.run.counters.reasoning_tokens += 1;
                self.count_token(time, now_ms);
                self.reasoning_token(at, &token.token);
            }
            EventKind::Message(message) => self.message(at, *message, time),
            EventKind::CompleteBegin(_) => {
                self.close_texts();
                self.run.answer = None;
                self.run.reasoning = None;
                self.run.calls.forget_answered();
                self.run.iteration = Some(BlockId(self.next_id));
            }
            EventKind::CompleteEnd(_) => {
                self.close_texts();
                self.run.iteration = None;
            }
            EventKind::Usage(usage) => {
                let (input, output) = (usage.input_tokens_used, usage.output_tokens_used);
                let (read, written) = self.run.used.unwrap_or_default();
                self.run.used = Some((read.saturating_add(input), written.saturating_add(output)));
                let model = usage.model;
                self.push(at, BlockKind::Usage { model, input, output });
            }
            EventKind::WaitBegin(wait) => self.wait_begin(at, *wait, time),
            EventKind::WaitEnd(wait) => self.wait_end(at, *wait, time),
            EventKind::OperationBegin(operation) => self.operation_begin(at, "operation", &operation),
            EventKind::OperationEnd(operation) => self.operation_end(at, "operation", &operation),
            EventKind::IntentDetectionBegin(operation) => self.operation_begin(at, "intent", &operation),
            EventKind::IntentDetectionEnd(operation) => self.operation_end(at, "intent", &operation),
            EventKind::ProgressReport(progress) => self.progress(at, &progress),
            EventKind::CompactionBegin(data) => {
                let count = data.get("messagesToSummarize").and_then(serde_json::Value::as_u64);
                let label = match count {
                    Some(count) => format!("summarising {count} earlier messages"),
                    None => "summarising earlier messages".to_owned(),
                };
                self.operation(at, "compaction".to_owned(), label, false);
            }
            EventKind::CompactionEnd(_) => {
                if !self.operation_done("compaction") {
                    self.operation(at, String::new(), "summarised earlier messages".to_owned(), true);
                }
            }
            EventKind::Abort(abort) => self.abort(at, &abort),
            EventKind::SendResult(_) | EventKind::ReceiveResult(_) => {}
            EventKind::Result(result) => self.end(at, *result, time),
            EventKind::Error(error) => {
                let message = if error.message.is_empty() {
                    "the run failed; the server did not say why".to_owned()
                } else {
                    error.message
                };
                self.failed(at, time, message, error.code);
            }
            EventKind::Unknown { name, .. } => self.note(at, format!("an event of a type that is not known: {name}")),
        }
        self.revision += 1;
        if !self.run.status.is_over() {
            self.run.status = self.live_status();
        }
        true
    }

    fn failed(&mut self, at: Option<u64>, time: u64, message: String, code: Option<String>) {
        self.finish(time);
        self.run.status = Status::Failed;
        self.push(at, BlockKind::Failure { message, code });
    }

    fn live_status(&self) -> Status {
        if self.run.calls.any_waiting() {
            Status::Waiting
        } else if self.run.iteration.is_some() || !matches!(self.run.status, Status::Empty | Status::Queued) {
            Status::Running
        } else if self.blocks.iter().rev().take(64).all(|block| {
            !self.is_own(block)
                || matches!(
                    block.kind,
                    BlockKind::Prompt { .. } | BlockKind::Note { .. } | BlockKind::Gap { .. }
                )
        }) {
            Status::Queued
        } else {
            Status::Running
        }
    }

    /// Looks at an event's id; false for one that was seen before.
    fn position_is_new(&mut self, id: Option<u64>) -> bool {
        let Some(id) = id else { return true };
        let positions = &mut self.run.positions;
        let missing = match positions.next {
            Some(next) if id < next => return false,
            Some(next) => id - next,
            None => id,
        };
        let first = !positions.any_id;
        positions.any_id = true;
        positions.next = Some(id.saturating_add(1));
        let told = std::mem::take(&mut positions.told);
        if first && id == 0 && !positions.hole {
            positions.seen_first = true;
        }
        if missing > 0 && !told {
            if first {
                positions.head_missing = true;
            } else {
                positions.hole = true;
            }
            self.push_gap(Some(missing));
        }
        true
    }

    fn gap(&mut self, missing: Option<u64>) {
        let positions = &mut self.run.positions;
        positions.told = true;
        if positions.any_event {
            positions.hole = true;
        } else {
            positions.head_missing = true;
        }
        self.push_gap(missing);
    }

    fn push_gap(&mut self, missing: Option<u64>) {
        self.close_texts();
        self.run.reasoning = None;
        if let Some(open) = self.run.answer.take() {
            self.run.cut_off = Some(open.id);
        }
        self.push(None, BlockKind::Gap { missing });
    }

    fn reset(&mut self) {
        let had_any = self.blocks.back().is_some_and(|block| self.is_own(block));
        self.forget_own();
        self.run = Run::default();
        self.rate = RateWindow::default();
        self.forget_raw();
        self.revision += 1;
        if had_any {
            self.note(
                None,
                "the channel began anew: what was here belonged to an earlier run".to_owned(),
            );
        }
    }

    fn count_token(&mut self, time: u64, now_ms: u64) {
        self.run.counters.first_token_at.get_or_insert(time);
        self.rate.add(time);
        self.rate_offset = i64::try_from(now_ms)
            .unwrap_or(i64::MAX)
            .saturating_sub(i64::try_from(time).unwrap_or(i64::MAX));
    }

    fn token(&mut self, at: Option<u64>, token: &str) {
        if let Some(open) = self.run.reasoning {
            // Thinking has paused; the block stays open for a final message.
            self.set_streaming(open.id, false);
        }
        if let Some(open) = self.run.answer
            && self.grow(open.id, token)
        {
            return;
        }
        let open = token.to_owned();
        let id = self.push_id(
            at,
            BlockKind::Answer {
                text: open,
                streaming: true,
            },
        );
        self.run.answer = Some(Open { id, cut: 0 });
    }

    fn reasoning_token(&mut self, at: Option<u64>, token: &str) {
        if let Some(open) = self.run.reasoning
            && self.grow(open.id, token)
        {
            return;
        }
        let kind = BlockKind::Reasoning {
            text: token.to_owned(),
            tokens: 1,
            streaming: true,
        };
        let id = self.push_id(at, kind);
        self.run.reasoning = Some(Open { id, cut: 0 });
    }

    /// Appends to a text block; false if it is not there any more.
    fn grow(&mut self, id: BlockId, token: &str) -> bool {
        self.revision += 1;
        self.touched = id;
        let revision = self.revision;
        let Some(block) = self.block_mut(id) else { return false };
        match &mut block.kind {
            BlockKind::Answer { text, streaming } => {
                text.push_str(token);
                *streaming = true;
            }
            BlockKind::Reasoning {
                text,
                tokens,
                streaming,
            } => {
                text.push_str(token);
                *tokens += 1;
                *streaming = true;
            }
            _ => return false,
        }
        block.revision = revision;
        self.bytes += token.len();
        true
    }

    fn message(&mut self, at: Option<u64>, message: Message, time: u64) {
        match message.kind {
            MessageKind::Bot => self.bot_message(at, message.text),
            MessageKind::Reasoning => {
                let open = self.run.reasoning.take().map(|open| open.id);
                if !open.is_some_and(|id| self.replace_text(id, &message.text)) && !message.text.is_empty() {
                    self.push(
                        at,
                        BlockKind::Reasoning {
                            text: message.text,
                            tokens: 0,
                            streaming: false,
                        },
                    );
                }
            }
            MessageKind::Activity => match message.activity() {
                Some(activity) => match activity.kind {
                    ActivityKind::Request => self.call_requested(at, activity, time),
                    ActivityKind::Response => self.call_answered(at, activity, time),
                    ActivityKind::Trigger => {
                        let what = crate::text::json::call(&activity.function.name, &activity.function.arguments, 200);
                        self.note(at, format!("set off by {what}"));
                    }
                },
                None => self.note(at, "a function's message that could not be read".to_owned()),
            },
            kind => {
                if kind == MessageKind::User && self.run.title.is_none() {
                    self.run.title = message
                        .text
                        .lines()
                        .map(str::trim)
                        .find(|line| !line.is_empty())
                        .map(|line| line.chars().take(LONGEST_TITLE).collect());
                }
                if self.is_repeated(&message.text) {
                    return;
                }
                let role = kind.as_str().to_owned();
                self.push(
                    at,
                    BlockKind::Prompt {
                        role,
                        text: message.text,
                    },
                );
            }
        }
    }

    fn bot_message(&mut self, at: Option<u64>, text: String) {
        self.run.finished_text = true;
        if let Some(id) = self.run.cut_off.take() {
            // The whole text is here again: what stood before the hole would be shown twice.
            let contained = matches!(
                self.block(id).map(|block| &block.kind),
                Some(BlockKind::Answer { text: before, .. }) if text.starts_with(before.as_str())
            );
            if contained {
                self.edit(id, |block| block.superseded = true);
            }
        }
        let open = self.run.answer.take();
        let streamed = open.and_then(|open| match self.block(open.id).map(|block| &block.kind) {
            Some(BlockKind::Answer { text: streamed, .. }) => Some((open, *streamed == text)),
            _ => None,
        });
        if let Some((open, same)) = streamed {
            if same && open.cut == 0 {
                self.run.positions.matched += 1;
            } else {
                self.run.positions.unmatched += 1;
            }
            if same {
                self.set_streaming(open.id, false);
            } else {
                self.replace_text(open.id, &text);
            }
        } else if !text.is_empty() {
            self.run.positions.unmatched += 1;
            self.push(at, BlockKind::Answer { text, streaming: false });
        }
    }

    /// Replaces the text of a block and ends its streaming; false if it is not there any more.
    fn replace_text(&mut self, id: BlockId, new: &str) -> bool {
        self.edit(id, |block| {
            if let BlockKind::Answer { text, streaming } | BlockKind::Reasoning { text, streaming, .. } =
                &mut block.kind
            {
                *streaming = false;
                if text != new {
                    new.clone_into(text);
                }
            }
        })
    }

    fn set_streaming(&mut self, id: BlockId, on: bool) {
        let streams = matches!(
            self.block(id).map(|block| &block.kind),
            Some(BlockKind::Answer { streaming, .. } | BlockKind::Reasoning { streaming, .. }) if *streaming != on
        );
        if streams {
            self.edit(id, |block| {
                if let BlockKind::Answer { streaming, .. } | BlockKind::Reasoning { streaming, .. } = &mut block.kind {
                    *streaming = on;
                }
            });
        }
    }

    fn close_texts(&mut self) {
        for open in [self.run.answer, self.run.reasoning].into_iter().flatten() {
            self.set_streaming(open.id, false);
        }
    }

    fn abort(&mut self, at: Option<u64>, abort: &Abort) {
        let reason = abort.reason.clone().unwrap_or_default();
        if reason == ABORT_SERVER_RESTARTED {
            self.supersede_iteration();
        }
        let reason = match (&abort.function_name, reason.is_empty()) {
            (Some(function), true) => function.clone(),
            (Some(function), false) => format!("{function}: {reason}"),
            (None, _) => reason,
        };
        self.push(at, BlockKind::Abort { reason });
    }

    /// What came since the iteration began is folded away: it is streamed again below.
    fn supersede_iteration(&mut self) {
        self.close_texts();
        self.run.answer = None;
        self.run.reasoning = None;
        let Some(from) = self.run.iteration.take() else { return };
        let start = self.blocks.partition_point(|block| block.id < from);
        for index in start..self.blocks.len() {
            let id = self.blocks[index].id;
            self.abandon(id);
            if !matches!(
                self.blocks[index].kind,
                BlockKind::Prompt { .. } | BlockKind::Gap { .. }
            ) {
                self.edit(id, |block| block.superseded = true);
            }
        }
    }

    fn end(&mut self, at: Option<u64>, result: RunResult, time: u64) {
        if !self.run.finished_text && !result.text.is_empty() {
            self.result_text(at, &result.text);
        }
        self.finish(time);
        let reason = if result.end.reason.is_empty() {
            "unknown".to_owned()
        } else {
            result.end.reason
        };
        self.run.status = Status::Done {
            reason: EndReason::from(reason.as_str()),
        };
        let is_cancelled = reason == "abort";
        let end = BlockKind::End {
            reason,
            tokens: result.usage.token,
            used: self.run.used,
        };
        // That it was cancelled is said once: the end takes the place of an `abort` that says no more.
        let said = self.blocks.back().filter(|block| {
            is_cancelled
                && matches!(&block.kind, BlockKind::Abort { reason } if reason.is_empty() || reason == "cancelled")
        });
        match said.map(|block| block.id) {
            Some(id) => {
                self.edit(id, |block| block.kind = end);
            }
            None => self.push(at, end),
        }
    }

    /// No `message` came: the result's text says what the bot said, unless the tokens gave it already.
    fn result_text(&mut self, at: Option<u64>, text: &str) {
        let last = self.blocks.iter().rev().find_map(|block| match &block.kind {
            BlockKind::Answer { text, .. } if !block.superseded => Some((block.id, text)),
            _ => None,
        });
        let cut = self.run.answer.is_some_and(|open| open.cut > 0);
        match last {
            // With several answers the result may hold the last one alone or all of them.
            Some((_, streamed)) if !cut && text.ends_with(streamed.as_str()) && !streamed.is_empty() => {
                if streamed.len() == text.len() {
                    self.run.positions.matched += 1;
                } else if self.plain_answer().replace("\n\n", "") != text.replace("\n\n", "")
                    && let Some(id) = self.run.answer.map(|open| open.id)
                {
                    self.run.positions.unmatched += 1;
                    self.replace_text(id, text);
                }
            }
            Some((id, _)) => {
                self.run.positions.unmatched += 1;
                self.replace_text(id, text);
            }
            None => self.push(
                at,
                BlockKind::Answer {
                    text: text.to_owned(),
                    streaming: false,
                },
            ),
        }
    }

    /// The run is over: nothing streams, no call is open.
    fn finish(&mut self, time: u64) {
        self.close_texts();
        self.run.answer = None;
        self.run.reasoning = None;
        self.run.iteration = None;
        self.run.counters.ended_at = Some(time);
        for id in self.run.calls.open() {
            self.abandon(id);
        }
        while let Some((key, _)) = self.run.operations.front() {
            let key = key.clone();
            self.operation_done(&key);
        }
    }

    pub(super) fn note(&mut self, at: Option<u64>, text: String) {
        self.push(at, BlockKind::Note { text });
    }

    pub(super) fn push(&mut self, at: Option<u64>, kind: BlockKind) {
        self.push_id(at, kind);
    }

    pub(super) fn push_id(&mut self, at: Option<u64>, kind: BlockKind) -> BlockId {
        let id = BlockId(self.next_id);
        self.next_id += 1;
        self.revision += 1;
        self.touched = id;
        let block = Block {
            id,
            revision: self.revision,
            at,
            superseded: false,
            kind,
        };
        self.bytes += super::bound::size(&block);
        self.blocks.push_back(block);
        id
    }

    pub(super) fn block_mut(&mut self, id: BlockId) -> Option<&mut Block> {
        // Nearly always the last one or one of the last.
        if self.blocks.back().is_some_and(|block| block.id == id) {
            return self.blocks.back_mut();
        }
        let index = self.position(id)?;
        self.blocks.get_mut(index)
    }

    /// Changes a block and counts the change; false if it is not there any more.
    pub(super) fn edit(&mut self, id: BlockId, change: impl FnOnce(&mut Block)) -> bool {
        self.revision += 1;
        self.touched = id;
        let revision = self.revision;
        let Some(block) = self.block_mut(id) else { return false };
        let before = super::bound::size(block);
        change(block);
        block.revision = revision;
        let after = super::bound::size(block);
        self.bytes = (self.bytes + after).saturating_sub(before);
        true
    }
}

/// Whether a run that begins to be seen with this event is seen from its beginning.
fn is_a_beginning(kind: &EventKind) -> bool {
    match kind {
        EventKind::CompleteBegin(iteration) => iteration
            .iteration
            .as_ref()
            .is_none_or(|at| at.as_u64().is_none_or(|at| at <= 1)),
        EventKind::Message(message) => !matches!(
            message.kind,
            MessageKind::Bot | MessageKind::Reasoning | MessageKind::Activity
        ),
        EventKind::SendResult(_) => true,
        _ => false,
    }
}
