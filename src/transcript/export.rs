//! A transcript as a text that stands on its own: Markdown or plain text.
//!
//! Texts go out as they came, however they look on a terminal: whoever shows them there makes them safe. Where they go
//! to, and the raw events, are not its matter.

use std::fmt::Write as _;

use serde_json::Value;

use super::{Block, BlockId, BlockKind, CallState, Transcript};

/// The form of an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Markdown: headings, reasoning to unfold, calls as fenced JSON.
    Markdown,
    /// The raw events as they came, one JSON object a line.
    JsonLines,
    /// Plain text.
    Text,
}

impl Form {
    /// All of them, the most useful first.
    pub const ALL: [Self; 3] = [Self::Markdown, Self::JsonLines, Self::Text];

    /// What people call it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Markdown => "Markdown",
            Self::JsonLines => "JSON Lines",
            Self::Text => "plain text",
        }
    }

    /// The ending of its files, without the dot.
    #[must_use]
    pub fn ending(self) -> &'static str {
        match self {
            Self::Markdown => "md",
            Self::JsonLines => "jsonl",
            Self::Text => "txt",
        }
    }
}

/// What stands around a transcript in an export.
#[derive(Debug, Clone, Copy, Default)]
pub struct About<'a> {
    /// The heading.
    pub title: &'a str,
    /// A prompt that the channel has not brought yet.
    pub prompt: Option<&'a str>,
    /// Offset of the local time from UTC, in seconds.
    pub utc_offset_seconds: i32,
}

/// The whole transcript as Markdown.
#[must_use]
pub fn markdown(transcript: &Transcript, about: About<'_>) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "# {}\n", about.title);
    if let Some(prompt) = about.prompt {
        let _ = writeln!(out, "## You\n\n{}\n", prompt.trim_end());
    }
    for block in transcript.blocks() {
        markdown_block(&mut out, block, about);
    }
    finish(out)
}

/// The whole transcript as plain text.
#[must_use]
pub fn text(transcript: &Transcript, about: About<'_>) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "{}\n", about.title);
    if let Some(prompt) = about.prompt {
        let _ = writeln!(out, "you");
        indented(&mut out, prompt);
        out.push('\n');
    }
    for block in transcript.blocks() {
        text_block(&mut out, block, about);
    }
    finish(out)
}

/// The raw events as they came, one a line; `of`: only those of this block.
///
/// Lines that were left out to bound the memory are told in a first line of type `gap`, as `switchboard watch --json`
/// tells them.
#[must_use]
pub fn json_lines(transcript: &Transcript, of: Option<BlockId>) -> String {
    let raw = transcript.raw();
    let mut out = String::new();
    if of.is_none() && raw.left_out() > 0 {
        let _ = writeln!(out, "{{\"type\":\"gap\",\"data\":{{\"missing\":{}}}}}", raw.left_out());
    }
    for line in raw.iter().filter(|line| of.is_none_or(|of| line.block == of)) {
        out.push_str(String::from_utf8_lossy(&line.bytes).trim_end_matches(['\r', '\n']));
        out.push('\n');
    }
    out
}

/// One block as it is best pasted elsewhere: the text of texts, the JSON of calls and messages, one line of the rest.
#[must_use]
pub fn block(block: &Block) -> String {
    match &block.kind {
        BlockKind::Prompt { text, .. }
        | BlockKind::Answer { text, .. }
        | BlockKind::Reasoning { text, .. }
        | BlockKind::Note { text } => text.clone(),
        BlockKind::Published { json } => json.clone(),
        BlockKind::Call {
            function,
            arguments,
            state,
            ..
        } => {
            let mut whole = serde_json::Map::new();
            whole.insert("function".to_owned(), Value::String(function.clone()));
            whole.insert("arguments".to_owned(), arguments.clone());
            if let CallState::Answered { result, .. } = state {
                whole.insert("result".to_owned(), result.clone());
            }
            pretty(&Value::Object(whole))
        }
        kind => line(kind),
    }
}

/// A fenced code block of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Code {
    /// What stands behind the fence: a language, most often. May be empty.
    pub language: String,
    /// Its lines, as they are.
    pub text: String,
}

/// The code blocks of a Markdown text, in their order.
#[must_use]
pub fn code_blocks(text: &str) -> Vec<Code> {
    use pulldown_cmark::{CodeBlockKind, Event, Parser, Tag, TagEnd};
    let mut found = Vec::new();
    let mut open: Option<Code> = None;
    for event in Parser::new(text) {
        match event {
            Event::Start(Tag::CodeBlock(kind)) => {
                let language = match kind {
                    CodeBlockKind::Fenced(info) => info.split_whitespace().next().unwrap_or_default().to_owned(),
                    CodeBlockKind::Indented => String::new(),
                };
                open = Some(Code {
                    language,
                    text: String::new(),
                });
            }
            Event::Text(piece) => {
                if let Some(code) = &mut open {
                    code.text.push_str(&piece);
                }
            }
            Event::End(TagEnd::CodeBlock) => {
                if let Some(mut code) = open.take()
                    && !code.text.trim().is_empty()
                {
                    let end = code.text.trim_end_matches('\n').len();
                    code.text.truncate(end);
                    found.push(code);
                }
            }
            _ => {}
        }
    }
    found
}

fn markdown_block(out: &mut String, block: &Block, about: About<'_>) {
    let when = when(block.at, about);
    if block.superseded {
        out.push_str("*Superseded: the server restarted and wrote this anew.*\n\n");
    }
    match &block.kind {
        BlockKind::Prompt { role, text } => {
            let who = if role == "user" { "You" } else { role };
            let _ = writeln!(out, "## {who}{}\n\n{}\n", after(&when), text.trim_end());
        }
        BlockKind::Answer { text, .. } => {
            let _ = writeln!(out, "## Answer{}\n\n{}\n", after(&when), text.trim_end());
        }
        BlockKind::Reasoning { text, tokens, .. } => {
            let summary = if *tokens > 0 {
                format!("Reasoning, {}", counted(*tokens, "token"))
            } else {
                "Reasoning".to_owned()
            };
            let _ = writeln!(
                out,
                "<details>\n<summary>{summary}</summary>\n\n{}\n\n</details>\n",
                text.trim_end()
            );
        }
        BlockKind::Call {
            function,
            arguments,
            state,
            asked_at,
            answered_at,
        } => {
            let how = how(state, *asked_at, *answered_at);
            let _ = writeln!(out, "### Call of `{function}`, {how}\n");
            fenced(out, "json", &pretty(arguments));
            if let CallState::Answered { result, .. } = state {
                out.push_str("Result:\n\n");
                match result {
                    Value::String(text) => fenced(out, "", text.trim_end()),
                    result => fenced(out, "json", &pretty(result)),
                }
            }
        }
        BlockKind::Published { json } => {
            let _ = writeln!(out, "### Published{}\n", after(&when));
            fenced(out, "json", json);
        }
        kind @ (BlockKind::End { .. } | BlockKind::Failure { .. }) => {
            let _ = writeln!(out, "---\n\n{}\n", line(kind));
        }
        kind => {
            let _ = writeln!(out, "*{}*\n", line(kind));
        }
    }
}

fn text_block(out: &mut String, block: &Block, about: About<'_>) {
    let when = when(block.at, about);
    let stamp = if when.is_empty() {
        String::new()
    } else {
        format!("  {when}")
    };
    if block.superseded {
        out.push_str("(superseded: the server restarted and wrote this anew)\n");
    }
    match &block.kind {
        BlockKind::Prompt { role, text } => {
            let who = if role == "user" { "you" } else { role };
            let _ = writeln!(out, "{who}{stamp}");
            indented(out, text);
        }
        BlockKind::Answer { text, .. } => {
            let _ = writeln!(out, "{}", text.trim_end());
        }
        BlockKind::Reasoning { text, tokens, .. } => {
            let _ = writeln!(out, "thought, {}", counted(*tokens, "token"));
            indented(out, text);
        }
        BlockKind::Call {
            function,
            arguments,
            state,
            asked_at,
            answered_at,
        } => {
            let _ = writeln!(out, "{function}, {}", how(state, *asked_at, *answered_at));
            indented(out, &pretty(arguments));
            if let CallState::Answered { result, .. } = state {
                out.push_str("  result\n");
                match result {
                    Value::String(text) => indented(out, text),
                    result => indented(out, &pretty(result)),
                }
            }
        }
        BlockKind::Published { json } => {
            let _ = writeln!(out, "published{stamp}");
            indented(out, json);
        }
        kind => {
            let _ = writeln!(out, "{}", line(kind));
        }
    }
    out.push('\n');
}

/// A block that is one line.
fn line(kind: &BlockKind) -> String {
    match kind {
        BlockKind::Usage { model, input, output } => {
            let model = model.as_deref().unwrap_or("model");
            format!("{model}: {} in, {output} out", counted(*input, "token"))
        }
        BlockKind::Operation { label, done: true } => format!("{label}: done"),
        BlockKind::Operation { label, done: false } => format!("{label}: begun"),
        BlockKind::Abort { reason } => format!("given up: {reason}"),
        BlockKind::End { reason, tokens, .. } => {
            let how = match reason.as_str() {
                "stop" => "Done".to_owned(),
                "abort" => "Cancelled".to_owned(),
                reason => format!("Ended: {reason}"),
            };
            match tokens {
                0 => how,
                tokens => format!("{how}, {} in all", counted(*tokens, "token")),
            }
        }
        BlockKind::Failure {
            message,
            code: Some(code),
        } => format!("Failed: {message} ({code})"),
        BlockKind::Failure { message, code: None } => format!("Failed: {message}"),
        BlockKind::Gap { missing: Some(missing) } => format!("{} missing here", counted(*missing, "event")),
        BlockKind::Gap { missing: None } => "events may be missing here".to_owned(),
        BlockKind::Trimmed { blocks } => format!("{} left out above", counted(*blocks, "earlier part")),
        BlockKind::Note { text } => text.clone(),
        BlockKind::Prompt { .. }
        | BlockKind::Answer { .. }
        | BlockKind::Reasoning { .. }
        | BlockKind::Call { .. }
        | BlockKind::Published { .. } => String::new(),
    }
}

/// How far a call is, in words.
fn how(state: &CallState, asked_at: Option<u64>, answered_at: Option<u64>) -> String {
    match state {
        CallState::Requested => "asked".to_owned(),
        CallState::Waiting { .. } => "waits for an answer".to_owned(),
        CallState::Abandoned => "given up".to_owned(),
        CallState::Answered { from, .. } => {
            let mut how = "answered".to_owned();
            if let Some(from) = from {
                let _ = write!(how, " by {from}");
            }
            if let Some((asked, answered)) = asked_at.zip(answered_at) {
                let tenths = answered.saturating_sub(asked) / 100;
                let _ = write!(how, " after {}.{} s", tenths / 10, tenths % 10);
            }
            how
        }
    }
}

/// A code block whose fence is longer than any run of backticks in it.
fn fenced(out: &mut String, language: &str, text: &str) {
    let mut longest = 2;
    let mut run = 0;
    for c in text.chars() {
        run = if c == '`' { run + 1 } else { 0 };
        longest = longest.max(run);
    }
    let fence = "`".repeat(longest + 1);
    let _ = writeln!(out, "{fence}{language}\n{text}\n{fence}\n");
}

fn indented(out: &mut String, text: &str) {
    for line in text.trim_end().lines() {
        if !line.is_empty() {
            out.push_str("  ");
            out.push_str(line);
        }
        out.push('\n');
    }
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default()
}

fn counted(n: u64, what: &str) -> String {
    let plural = if n == 1 { "" } else { "s" };
    format!("{n} {what}{plural}")
}

fn after(when: &str) -> String {
    if when.is_empty() {
        String::new()
    } else {
        format!(", {when}")
    }
}

/// The local date and time; empty where it is not known.
fn when(at: Option<u64>, about: About<'_>) -> String {
    at.and_then(|at| local(at, about.utc_offset_seconds))
        .map(|time| time.strftime("%Y-%m-%d %H:%M:%S").to_string())
        .unwrap_or_default()
}

/// A Unix time in milliseconds as the clock on the wall shows it.
fn local(at: u64, utc_offset_seconds: i32) -> Option<jiff::Zoned> {
    let offset = jiff::tz::Offset::from_seconds(utc_offset_seconds).ok()?;
    let time = jiff::Timestamp::from_millisecond(i64::try_from(at).ok()?).ok()?;
    Some(time.to_zoned(offset.to_time_zone()))
}

/// A name for a file: the title in small letters, digits and hyphens, then the local time.
#[must_use]
pub fn file_name(title: &str, now_ms: u64, utc_offset_seconds: i32, form: Form) -> String {
    const LONGEST_SLUG: usize = 40;
    let mut slug = String::new();
    for c in title.chars().flat_map(char::to_lowercase) {
        if c.is_alphanumeric() {
            slug.push(c);
        } else if !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
        if slug.chars().count() >= LONGEST_SLUG {
            break;
        }
    }
    let slug = slug.trim_end_matches('-');
    let slug = if slug.is_empty() { "transcript" } else { slug };
    let time = local(now_ms, utc_offset_seconds).map(|time| time.strftime("-%Y%m%d-%H%M").to_string());
    format!("{slug}{}.{}", time.unwrap_or_default(), form.ending())
}

fn finish(mut out: String) -> String {
    let end = out.trim_end().len();
    out.truncate(end);
    out.push('\n');
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::transcript::Item;
    use crate::wire::Event;

    fn sample() -> Transcript {
        let mut transcript = Transcript::new();
        let events = [
            json!({"type": "message", "data": {"type": "user", "text": "Compare them.\n\nShortly."}}),
            json!({"type": "completeBegin", "data": {"instance": "i", "iteration": 1}}),
            json!({"type": "reasoningToken", "data": {"token": "Recall "}}),
            json!({"type": "reasoningToken", "data": {"token": "matters."}}),
            json!({"type": "message", "data": {"type": "activity", "text": "", "meta": {"activity": {"type": "request",
                "id": "c1", "function": {"name": "search", "arguments": {"query": "hnsw"}}}}}}),
            json!({"type": "message", "data": {"type": "activity", "text": "", "meta": {"activity": {"type": "response",
                "id": "c1", "function": {"name": "search", "arguments": {"query": "hnsw"}, "result": "a ``` b"}}}}}),
            json!({"type": "token", "data": {"token": "## Short\n\n```rust\nfn main() {}\n```\n\nDone."}}),
            json!({"type": "usage", "data": {"model": "m", "inputTokensUsed": 1204, "outputTokensUsed": 1}}),
            json!({"type": "result", "data": {"text": "", "usage": {"token": 1205}, "end": {"reason": "stop"}}}),
        ];
        for event in events {
            let text = event.to_string();
            let item = Item::Event {
                id: None,
                at: Some(1_700_056_920_000),
                event: Event::from_json(&text).expect("an event"),
                raw: text.into_bytes().into(),
            };
            transcript.apply(item, 1_700_056_920_000);
        }
        transcript
    }

    #[test]
    fn markdown_keeps_everything_and_can_be_read_by_itself() {
        let about = About {
            title: "compare",
            utc_offset_seconds: 3_600,
            prompt: None,
        };
        insta::assert_snapshot!(markdown(&sample(), about));
    }

    #[test]
    fn text_is_without_marks_of_its_own() {
        let about = About {
            title: "compare",
            prompt: Some("not brought yet"),
            utc_offset_seconds: 0,
        };
        insta::assert_snapshot!(text(&sample(), about));
    }

    #[test]
    fn raw_events_go_out_as_they_came() {
        let transcript = sample();
        let lines = json_lines(&transcript, None);
        assert_eq!(lines.lines().count(), 9, "{lines}");
        for line in lines.lines() {
            assert!(
                serde_json::from_str::<Value>(line).is_ok_and(|value| value["type"].is_string()),
                "{line}"
            );
        }
        let reasoning = transcript.blocks().nth(1).expect("the reasoning").id;
        assert_eq!(json_lines(&transcript, Some(reasoning)).lines().count(), 2);
    }

    #[test]
    fn code_blocks_are_found_with_their_languages() {
        let text = "a\n```rust\nfn a() {}\n```\n\n- item\n  ~~~\n  in an item\n  ~~~\n\n```\n```\n\n```sh\nopen";
        let found: Vec<(String, String)> = code_blocks(text)
            .into_iter()
            .map(|code| (code.language, code.text))
            .collect();
        let expected = [("rust", "fn a() {}"), ("", "in an item"), ("sh", "open")];
        assert_eq!(
            found,
            expected.map(|(language, text)| (language.to_owned(), text.to_owned()))
        );
    }

    #[test]
    fn file_names_are_plain() {
        for (title, name) in [
            (
                "Research: vector databases!",
                "research-vector-databases-20231115-1502.md",
            ),
            ("../../etc/passwd", "etc-passwd-20231115-1502.md"),
            ("Übung 日本", "übung-日本-20231115-1502.md"),
            ("…", "transcript-20231115-1502.md"),
        ] {
            assert_eq!(file_name(title, 1_700_056_920_000, 3_600, Form::Markdown), name);
        }
    }
}
