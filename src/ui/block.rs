//! The rows of one block of a transcript: what stands above its text, the text, what stands below it.
//!
//! What changes with the clock (a countdown) is not kept in rows; it is written when they are drawn.

use serde_json::Value;

use crate::app::channel::is_foldable;
use crate::app::reading::{Detail, shown};
use crate::text::width::width as columns;
use crate::text::{BlockRows, CodeFence, Format, Growth, json, sanitise_line};
use crate::transcript::{Block, BlockKind, CallState};

use super::format::{count, number, short_duration};

/// The most lines of a call's result while it is folded.
const FOLDED_JSON_LINES: usize = 3;
/// The most characters of a function's name that are looked at.
const LONGEST_LINE: usize = 400;
/// The most bytes of a raw event that are shown.
const LONGEST_RAW: usize = 64 * 1024;

/// How a line of the program's own looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    Plain,
    Dim,
    Bold,
    Warning,
    Error,
    Good,
}

/// What stands at the right end of a line.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Right {
    Nothing,
    Text(String),
    /// When a prompt was written, Unix time in milliseconds.
    At(u64),
    /// A call waits; its time runs.
    Waiting {
        asked_at: Option<u64>,
    },
}

/// Under a call that waits; where it is drawn the key that answers is put behind it.
pub(super) const WAITS: &str = "waits for your answer";

/// One line that the program writes around a block's text.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Line {
    pub text: String,
    pub tone: Tone,
    pub indent: u16,
    pub right: Right,
}

impl Line {
    fn new(text: impl Into<String>, tone: Tone) -> Self {
        Self {
            text: text.into(),
            tone,
            indent: 0,
            right: Right::Nothing,
        }
    }

    fn blank() -> Self {
        Self::new("", Tone::Plain)
    }
}

/// What the rows of a block were made from: equal keys, equal rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Key {
    revision: u64,
    width: u16,
    folded: bool,
    gap: bool,
    detail: Detail,
}

/// The rows of one block. The key is the block's revision, the width, whether it is folded, whether a
/// blank row stands above it, and how much is shown.
#[derive(Debug)]
pub(super) struct BlockView {
    key: Option<Key>,
    pub head: Vec<Line>,
    pub foot: Vec<Line>,
    body: BlockRows,
    format: Format,
    shows_body: bool,
    pub body_indent: u16,
    pub body_tone: Tone,
    /// Text is still being written at its end.
    pub streaming: bool,
    pub foldable: bool,
    pub folded: bool,
    /// Rows of `head` that are blank and do not belong to the block's look.
    pub gap: usize,
}

impl Default for BlockView {
    fn default() -> Self {
        Self {
            key: None,
            head: Vec::new(),
            foot: Vec::new(),
            body: BlockRows::new(Format::Plain),
            format: Format::Plain,
            shows_body: false,
            body_indent: 0,
            body_tone: Tone::Plain,
            streaming: false,
            foldable: false,
            folded: false,
            gap: 0,
        }
    }
}

impl BlockView {
    /// Lays out an event as it came.
    pub fn update_raw(&mut self, line: &[u8], width: u16) {
        let key = Key {
            revision: 1,
            width,
            folded: false,
            gap: false,
            detail: Detail::Full,
        };
        if self.key == Some(key) {
            return;
        }
        self.key = Some(key);
        let shown = &line[..line.len().min(LONGEST_RAW)];
        let mut text = String::from_utf8_lossy(shown).into_owned();
        if shown.len() < line.len() {
            text.push_str(&format!("… ({} more bytes)", line.len() - shown.len()));
        }
        self.set_body(&text, Format::Json, 0, Tone::Plain);
    }

    /// One line of the program's own.
    pub fn update_note(&mut self, text: String) {
        self.key = None;
        self.head = vec![Line::new(text, Tone::Dim)];
    }

    /// The code blocks within its text.
    pub fn fences(&self) -> &[CodeFence] {
        if self.shows_body { self.body.fences() } else { &[] }
    }

    /// The rows of its text that are shown.
    pub fn body(&self) -> &[crate::text::Row] {
        if self.shows_body { self.body.rows() } else { &[] }
    }

    /// The rows of its text among some rows of the block.
    pub fn body_in(&self, rows: std::ops::Range<usize>) -> &[crate::text::Row] {
        let (head, body) = (self.head.len(), self.body());
        let first = rows.start.saturating_sub(head).min(body.len());
        let last = rows.end.saturating_sub(head).min(body.len());
        &body[first..last]
    }

    /// The row of its text that holds this byte of the source.
    pub fn body_row_at(&self, offset: usize) -> usize {
        if self.shows_body { self.body.row_at(offset) } else { 0 }
    }

    /// How many rows there are in all.
    pub fn len(&self) -> usize {
        self.head.len() + self.body().len() + self.foot.len()
    }

    /// Brings the rows up to date. Cheap when nothing changed; when the text only grew, the work is that of
    /// the new part.
    pub fn update(&mut self, block: &Block, width: u16, folded: bool, gap: bool, detail: Detail) {
        let key = Key {
            revision: block.revision,
            width,
            folded,
            gap,
            detail,
        };
        if self.key == Some(key) {
            return;
        }
        self.key = Some(key);
        self.head.clear();
        self.foot.clear();
        self.body_indent = 0;
        self.body_tone = Tone::Plain;
        self.streaming = false;
        self.shows_body = false;
        self.foldable = is_foldable(block.superseded, &block.kind);
        self.folded = folded && self.foldable;
        self.gap = 0;
        if !detail.shows(block) {
            return;
        }
        self.gap = usize::from(gap);
        if gap {
            self.head.push(Line::blank());
        }
        if block.superseded && folded {
            let text = format!(
                "> {}, superseded: the server restarted and wrote it anew",
                kind_word(&block.kind)
            );
            self.head.push(Line::new(text, Tone::Dim));
            return;
        }
        self.fill(block, folded, detail);
        if block.superseded {
            self.body_tone = Tone::Dim;
        }
    }

    fn fill(&mut self, block: &Block, folded: bool, detail: Detail) {
        let Some(Key { revision, width, .. }) = self.key else {
            return;
        };
        match &block.kind {
            BlockKind::Prompt { role, text } => {
                let who = if role == "user" {
                    "you".into()
                } else {
                    sanitise_line(role)
                };
                let mut line = Line::new(
                    if folded {
                        fold_line(&who, text)
                    } else {
                        who.into_owned()
                    },
                    Tone::Bold,
                );
                if let Some(at) = block.at {
                    line.right = Right::At(at);
                }
                self.head.push(line);
                if !folded {
                    self.set_body(text, Format::Plain, 2, Tone::Plain);
                }
            }
            BlockKind::Answer { text, streaming } => {
                if folded {
                    self.head.push(Line::new(fold_line("answer", text), Tone::Dim));
                } else {
                    self.streaming = *streaming;
                    self.set_body(text, Format::Markdown, 0, Tone::Plain);
                }
            }
            BlockKind::Reasoning {
                text,
                tokens,
                streaming,
            } => {
                let glyph = if folded { ">" } else { "v" };
                let verb = if *streaming { "thinking" } else { "thought" };
                self.head.push(Line::new(
                    format!("{glyph} {verb}, {}", count(*tokens, "token")),
                    Tone::Dim,
                ));
                if !folded {
                    self.streaming = *streaming;
                    self.set_body(text, Format::Plain, 2, Tone::Dim);
                }
            }
            BlockKind::Call {
                function,
                arguments,
                state,
                asked_at,
                answered_at,
            } => {
                self.call_head(function, arguments, state, *asked_at, *answered_at, folded);
                let text = match state {
                    _ if !folded => shown::body(block).unwrap_or_default().into_owned(),
                    CallState::Answered { result, .. } if !detail.is_brief() => in_short(result, width),
                    _ => String::new(),
                };
                // The text is another one where it is folded: nothing of the rows is kept.
                self.body = BlockRows::new(Format::Json);
                self.format = Format::Json;
                if !text.is_empty() {
                    self.set_body(&text, Format::Json, 2, Tone::Dim);
                }
            }
            BlockKind::Usage { model, input, output } => {
                let model = model.as_deref().map_or("model".into(), sanitise_line);
                let text = format!("{model}: {} in, {} out", count(*input, "token"), number(*output));
                self.head.push(Line::new(text, Tone::Dim));
            }
            BlockKind::Operation { label, done } => {
                let glyph = if *done { "+" } else { "." };
                self.head
                    .push(Line::new(format!("{glyph} {}", sanitise_line(label)), Tone::Dim));
            }
            BlockKind::Abort { .. } => self.set_shown(block, Format::Plain, 0, Tone::Warning),
            BlockKind::End { reason, tokens, used } => {
                let (text, tone) = end_words(reason);
                let mut line = Line::new(text, tone);
                let room = usize::from(width).saturating_sub(columns(&line.text) + 2);
                line.right = Right::Text(in_all(*tokens, *used, room));
                self.head.push(line);
            }
            BlockKind::Failure { .. } => self.set_shown(block, Format::Plain, 0, Tone::Error),
            BlockKind::Gap { missing } => {
                let text = match missing {
                    Some(missing) => format!(
                        "~ {} missing here: the server no longer had them",
                        count(*missing, "event")
                    ),
                    None => "~ events may be missing here".to_owned(),
                };
                self.set_body(&text, Format::Plain, 0, Tone::Warning);
            }
            BlockKind::Published { json } => {
                if folded {
                    self.head.push(Line::new(fold_line("published", json), Tone::Dim));
                } else {
                    self.head.push(Line::new("published", Tone::Dim));
                    self.set_shown(block, Format::Json, 2, Tone::Plain);
                }
            }
            BlockKind::Trimmed { blocks } => {
                let text = format!(
                    "~ {} left out above, to bound the memory",
                    count(*blocks, "earlier part")
                );
                self.set_body(&text, Format::Plain, 0, Tone::Dim);
            }
            BlockKind::Note { text } => self.set_body(text, Format::Plain, 0, Tone::Dim),
        }
        debug_assert!(revision == block.revision && width > 0);
    }

    fn set_shown(&mut self, block: &Block, format: Format, indent: u16, tone: Tone) {
        self.set_body(&shown::body(block).unwrap_or_default(), format, indent, tone);
    }

    fn set_body(&mut self, text: &str, format: Format, indent: u16, tone: Tone) {
        let Some(Key { revision, width, .. }) = self.key else {
            return;
        };
        if self.format != format {
            self.body = BlockRows::new(format);
            self.format = format;
        }
        let growth = if self.streaming {
            Growth::Growing
        } else {
            Growth::Finished
        };
        self.body
            .update_to(text, revision, width.saturating_sub(indent).max(1), growth);
        self.body_indent = indent;
        self.body_tone = tone;
        self.shows_body = true;
    }

    fn call_head(
        &mut self,
        function: &str,
        arguments: &Value,
        state: &CallState,
        asked_at: Option<u64>,
        answered_at: Option<u64>,
        folded: bool,
    ) {
        let room = usize::from(self.key.map_or(80, |key| key.width));
        let took = asked_at
            .zip(answered_at)
            .map(|(asked, answered)| format!("  {:>5}", short_duration(answered.saturating_sub(asked))))
            .unwrap_or_default();
        let (right, tone) = match state {
            CallState::Requested => (Right::Text("asked".to_owned()), Tone::Bold),
            CallState::Waiting { .. } => (Right::Waiting { asked_at }, Tone::Warning),
            CallState::Answered { from: Some(from), .. } => (
                Right::Text(format!("answered by {}{took}", sanitise_line(from))),
                Tone::Bold,
            ),
            CallState::Answered { from: None, .. } => (Right::Text(format!("answered{took}")), Tone::Bold),
            CallState::Abandoned => (Right::Text("given up".to_owned()), Tone::Dim),
        };
        let taken = match &right {
            Right::Text(text) => columns(text) + 2,
            Right::Nothing | Right::At(_) | Right::Waiting { .. } => "waiting 00:00".len() + 2,
        };
        let text = if folded {
            json::call(function, arguments, room.saturating_sub(taken).max(8))
        } else {
            let name: String = function.chars().take(LONGEST_LINE).collect();
            sanitise_line(&name).into_owned()
        };
        self.head.push(Line {
            text,
            tone,
            indent: 0,
            right,
        });
        if let CallState::Waiting { channel, .. } = state {
            let mut line = Line::new(WAITS, Tone::Warning);
            if let Err(error) = crate::wire::ChannelId::parse(channel) {
                line.text = format!("cannot be answered: {error}");
                line.right = Right::Text(String::new());
            }
            line.indent = 2;
            self.foot.push(line);
        }
    }
}

/// Whether a block is a single line that stands close to its like.
pub(super) fn is_one_line(kind: &BlockKind) -> bool {
    matches!(
        kind,
        BlockKind::Usage { .. }
            | BlockKind::Operation { .. }
            | BlockKind::End { .. }
            | BlockKind::Note { .. }
            | BlockKind::Trimmed { .. }
            | BlockKind::Gap { .. }
            | BlockKind::Abort { .. }
    )
}

fn kind_word(kind: &BlockKind) -> &'static str {
    match kind {
        BlockKind::Prompt { .. } => "prompt",
        BlockKind::Answer { .. } => "answer",
        BlockKind::Reasoning { .. } => "reasoning",
        BlockKind::Call { .. } => "call",
        _ => "part",
    }
}

/// The tokens of the run, and how they come about where that adds up and there is room to say so. Nothing where the
/// server counted none: some do not count.
fn in_all(tokens: u64, used: Option<(u64, u64)>, room: usize) -> String {
    if tokens == 0 {
        return String::new();
    }
    let total = format!("{} in all", count(tokens, "token"));
    let parts = used.filter(|(input, output)| input.saturating_add(*output) == tokens);
    match parts {
        Some((input, output)) => {
            let long = format!("{total} ({} in, {} out)", number(input), number(output));
            if long.len() <= room { long } else { total }
        }
        None => total,
    }
}

fn end_words(reason: &str) -> (String, Tone) {
    let (text, tone) = match reason {
        "stop" => ("+ done", Tone::Good),
        "length" => ("+ ended: the answer was cut at its length limit", Tone::Warning),
        "activity" => ("+ ended: a function call is left to the caller", Tone::Warning),
        "abort" => ("- cancelled", Tone::Warning),
        "error" => ("x ended by an error", Tone::Error),
        "iteration" => ("+ ended: the limit of iterations was reached", Tone::Warning),
        "unknown" => ("+ ended: the server gives no reason", Tone::Warning),
        other => return (format!("+ ended: {}", sanitise_line(other)), Tone::Warning),
    };
    (text.to_owned(), tone)
}

/// A result in short: the first lines of a text, else as much of the value as one row holds.
fn in_short(result: &Value, width: u16) -> String {
    match result {
        Value::String(_) => json::lines(result, FOLDED_JSON_LINES).join("\n"),
        other => json::one_line(other, usize::from(width.saturating_sub(2)).max(8)),
    }
}

fn fold_line(who: &str, text: &str) -> String {
    let first = text
        .lines()
        .map(str::trim)
        .find(|line| !line.is_empty())
        .unwrap_or_default();
    let first: String = first.chars().take(LONGEST_LINE).collect();
    format!("> {who}: {}", sanitise_line(&first))
}
