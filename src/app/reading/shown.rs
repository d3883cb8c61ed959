//! The text of a block as it stands on the screen when it is open: what is searched is what is shown.
//!
//! Nothing is made safe for a terminal and nothing is broken into rows here.

use std::borrow::Cow;

use serde_json::Value;

use crate::text::json;
use crate::transcript::{Block, BlockKind, CallState};

/// The most lines of one JSON value of an opened call.
const OPEN_JSON_LINES: usize = 200;

/// The text below a block's head; `None` where the head is all of it. Places in it are places in what is laid out.
#[must_use]
pub fn body(block: &Block) -> Option<Cow<'_, str>> {
    match &block.kind {
        BlockKind::Prompt { text, .. }
        | BlockKind::Answer { text, .. }
        | BlockKind::Reasoning { text, .. }
        | BlockKind::Note { text } => Some(Cow::Borrowed(text)),
        BlockKind::Call { arguments, state, .. } => Some(Cow::Owned(call(arguments, state))),
        BlockKind::Published { json } => Some(published(json)),
        BlockKind::Abort { reason } => Some(Cow::Owned(format!("given up: {reason}"))),
        BlockKind::Failure { message, code } => {
            let code = code.as_deref().map(|code| format!(" ({code})")).unwrap_or_default();
            Some(Cow::Owned(format!("x failed: {message}{code}")))
        }
        BlockKind::Usage { .. }
        | BlockKind::Operation { .. }
        | BlockKind::End { .. }
        | BlockKind::Gap { .. }
        | BlockKind::Trimmed { .. } => None,
    }
}

/// What a block's head says, as far as it came from outside.
#[must_use]
pub fn head(block: &Block) -> Option<&str> {
    match &block.kind {
        BlockKind::Call { function, .. } => Some(function),
        BlockKind::Usage { model, .. } => model.as_deref(),
        BlockKind::Operation { label, .. } => Some(label),
        _ => None,
    }
}

/// Arguments and result of an open call.
fn call(arguments: &Value, state: &CallState) -> String {
    let mut text = String::new();
    let is_nothing = arguments.is_null() || arguments.as_object().is_some_and(serde_json::Map::is_empty);
    if !is_nothing {
        section(&mut text, "arguments", arguments);
    }
    if let CallState::Answered { result, .. } = state {
        section(&mut text, "result", result);
    }
    text
}

fn section(text: &mut String, title: &str, value: &Value) {
    if !text.is_empty() {
        text.push('\n');
    }
    text.push_str(title);
    for line in json::lines(value, OPEN_JSON_LINES) {
        text.push_str("\n  ");
        text.push_str(&line);
    }
}

/// A published message over several lines, if it is JSON that is worth it.
fn published(json: &str) -> Cow<'_, str> {
    match serde_json::from_str::<Value>(json) {
        Ok(value @ (Value::Object(_) | Value::Array(_))) => {
            Cow::Owned(self::json::lines(&value, OPEN_JSON_LINES).join("\n"))
        }
        _ => Cow::Borrowed(json),
    }
}
