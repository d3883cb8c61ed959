//! What of a channel can be copied: the entries of the list to pick from, and the text behind each.
//!
//! An entry's value names its part, so that what is copied is what is there when it is picked.

use crate::app::channel::Channel;
use crate::app::picker::Entry;
use crate::text::preview;
use crate::text::sanitise_line;
use crate::transcript::export::{self, About, Code, Form};
use crate::transcript::{Block, BlockId, BlockKind, CallState};

/// The most code blocks that are listed, the newest.
const MOST_CODE_BLOCKS: usize = 100;
/// The most characters of a part's first line.
const LONGEST_LINE: usize = 120;

/// Everything of a channel that can be copied; `block` is the one that is marked or looked at, and comes first.
pub(super) fn entries(channel: &Channel, block: Option<BlockId>) -> Vec<Entry> {
    let transcript = &channel.transcript;
    let mut entries = Vec::new();
    let first = block.and_then(|id| transcript.block(id));
    if let Some(block) = first {
        let text = export::block(block);
        entries.push(entry(
            &format!("this {}", kind(block)),
            first_line(&text),
            lines(&text),
            format!("block:{}", block.id.0),
        ));
        for (index, code) in codes(block).iter().enumerate() {
            entries.push(code_entry(code, block.id, index));
        }
    }
    let answers = || transcript.blocks().filter(|block| is_answer(block));
    let count = answers().count();
    let last = answers()
        .next_back()
        .filter(|last| first.is_none_or(|first| first.id != last.id));
    if let Some(last) = last {
        let text = export::block(last);
        let name = if count > 1 { "last answer" } else { "answer" };
        entries.push(entry(name, first_line(&text), lines(&text), "last".to_owned()));
    }
    if count > 1 {
        let text = format!("all {count} answers");
        entries.push(entry(&text, String::new(), String::new(), "answers".to_owned()));
    }
    let listed = first.map(|block| block.id);
    let others = answers().rev().filter(|block| Some(block.id) != listed);
    let code = others.flat_map(|block| {
        let codes = codes(block);
        codes
            .into_iter()
            .enumerate()
            .map(|(index, code)| code_entry(&code, block.id, index))
            .collect::<Vec<_>>()
    });
    entries.extend(code.take(MOST_CODE_BLOCKS));
    entries.push(entry(
        "whole transcript as Markdown",
        String::new(),
        String::new(),
        "md".to_owned(),
    ));
    entries.push(entry(
        "whole transcript as plain text",
        String::new(),
        String::new(),
        "txt".to_owned(),
    ));
    if let Some(block) = first {
        let name = format!("raw events of this {}", kind(block));
        entries.push(entry(
            &name,
            String::new(),
            String::new(),
            format!("raw:{}", block.id.0),
        ));
    }
    let all = "all raw events, as JSON Lines";
    entries.push(entry(all, String::new(), String::new(), "jsonl".to_owned()));
    let secret = "who knows it can follow the run".to_owned();
    entries.push(entry("channel id", secret, String::new(), "id".to_owned()));
    entries
}

/// The text of a part, and what it is in words; `None`: it is no longer there.
pub(super) fn text(channel: &Channel, about: About<'_>, value: &str) -> Option<(String, String)> {
    let transcript = &channel.transcript;
    let block = |id: &str| transcript.block(BlockId(id.parse().ok()?));
    if let Some(id) = value.strip_prefix("block:") {
        let block = block(id)?;
        return Some((export::block(block), format!("the {}", kind(block))));
    }
    if let Some((id, index)) = value.strip_prefix("code:").and_then(|at| at.split_once(':')) {
        let code = codes(block(id)?).into_iter().nth(index.parse().ok()?)?;
        return Some((code.text, "the code block".to_owned()));
    }
    let whole = |form| whole(channel, about, form);
    if let Some(id) = value.strip_prefix("raw:") {
        let block = block(id)?;
        let text = export::json_lines(transcript, Some(block.id));
        return Some((text, format!("the raw events of the {}", kind(block))));
    }
    Some(match value {
        "jsonl" => (whole(Form::JsonLines), "all raw events".to_owned()),
        "last" => {
            let last = transcript.blocks().rfind(|block| is_answer(block))?;
            (export::block(last), "the answer".to_owned())
        }
        "answers" => (transcript.plain_answer(), "all answers".to_owned()),
        "md" => (whole(Form::Markdown), "the transcript as Markdown".to_owned()),
        "txt" => (whole(Form::Text), "the transcript as plain text".to_owned()),
        "id" => (channel.id.to_string(), "channel id".to_owned()),
        _ => return None,
    })
}

/// The whole transcript in a form.
pub(super) fn whole(channel: &Channel, about: About<'_>, form: Form) -> String {
    match form {
        Form::Markdown => export::markdown(&channel.transcript, about),
        Form::Text => export::text(&channel.transcript, about),
        Form::JsonLines => export::json_lines(&channel.transcript, None),
    }
}

fn is_answer(block: &Block) -> bool {
    !block.superseded && matches!(&block.kind, BlockKind::Answer { text, .. } if !text.is_empty())
}

/// The code blocks of an answer. Prompts and other texts are not read as Markdown.
fn codes(block: &Block) -> Vec<Code> {
    match &block.kind {
        BlockKind::Answer { text, .. } => export::code_blocks(text),
        _ => Vec::new(),
    }
}

fn kind(block: &Block) -> String {
    match &block.kind {
        BlockKind::Prompt { .. } => "prompt".to_owned(),
        BlockKind::Answer { .. } => "answer".to_owned(),
        BlockKind::Reasoning { .. } => "reasoning".to_owned(),
        BlockKind::Call {
            state: CallState::Answered { .. },
            ..
        } => "call with its result".to_owned(),
        BlockKind::Call { .. } => "call".to_owned(),
        BlockKind::Published { .. } => "published message".to_owned(),
        _ => "line".to_owned(),
    }
}

fn code_entry(code: &Code, block: BlockId, index: usize) -> Entry {
    let language = sanitise_line(&code.language);
    let name = if language.is_empty() {
        "code".to_owned()
    } else {
        format!("{language} code")
    };
    entry(
        &name,
        first_words(&code.text),
        lines(&code.text),
        format!("code:{}:{index}", block.0),
    )
}

fn entry(text: &str, detail: String, right: String, value: String) -> Entry {
    Entry {
        text: text.to_owned(),
        detail,
        right,
        value,
    }
}

/// The first words of a text without its marks, safe for a terminal.
fn first_line(text: &str) -> String {
    sanitise_line(&preview::words(&first_words(text))).into_owned()
}

/// The first line of a text that is not blank, safe for a terminal.
fn first_words(text: &str) -> String {
    let line = text
        .lines()
        .map(str::trim)
        .find(|line| !line.is_empty())
        .unwrap_or_default();
    let line: String = line.chars().take(LONGEST_LINE).collect();
    sanitise_line(&line).into_owned()
}

fn lines(text: &str) -> String {
    match text.lines().count() {
        1 => "1 line".to_owned(),
        n => format!("{n} lines"),
    }
}
