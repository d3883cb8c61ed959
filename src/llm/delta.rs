//! What the chunks of a chat completion add up to: text, reasoning, whole function calls, usage, the end.
//!
//! It takes what the many servers that call themselves compatible really send (missing indexes and ids, `null`s,
//! arguments as objects, reasoning under several names) and does no I/O.

use std::borrow::Cow;
use std::collections::VecDeque;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

use super::think::{Piece, ThinkSplitter};
use super::{Arguments, FinishReason, ModelEvent, ToolCall};
use crate::wire::surrogate::SurrogateJoiner;

/// What a piece of a call counts at least, so that empty ones have an end too.
const SMALLEST_PIECE: usize = 64;
/// The most calls of one answer.
const MOST_CALLS: usize = 1024;
/// The longest name of a function, a model, or a reason to stop that is kept, in bytes; ids of calls too.
const LONGEST_NAME: usize = 256;
/// Where the text of a piece stands: half a character at its end may go on in the next one.
const TEXT_KEYS: &[&str] = &["content", "reasoning_content", "reasoning"];

/// Why a chunk ends the answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ChunkError {
    /// It is not JSON, or not an object.
    Garbage,
    /// It is an error of the upstream.
    Upstream(UpstreamError),
    /// The answer is too large.
    TooLarge,
}

/// An error as an upstream words it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct UpstreamError {
    pub(super) message: String,
    /// It would answer later.
    pub(super) rate_limited: bool,
    /// It wants to be paid first.
    pub(super) out_of_quota: bool,
    /// The HTTP status that it stands for.
    pub(super) status: Option<u16>,
}

/// Puts chunks together. One per answer.
#[derive(Debug)]
pub(super) struct Assembler {
    joiner: SurrogateJoiner,
    splitter: ThinkSplitter,
    calls: Vec<PartialCall>,
    finish: Option<FinishReason>,
    usage: Option<(u64, u64)>,
    model: String,
    /// Whether a chunk was of an answer at all.
    answered: bool,
    /// Bytes of text and of calls, and of the work that they made.
    size: usize,
    limit: usize,
}

#[derive(Debug, Default)]
struct PartialCall {
    index: Option<u64>,
    id: String,
    name: String,
    arguments: String,
}

impl Assembler {
    /// An assembler that takes answers up to a size in bytes.
    pub(super) fn new(limit: usize) -> Self {
        Self {
            joiner: SurrogateJoiner::for_keys(TEXT_KEYS),
            splitter: ThinkSplitter::default(),
            calls: Vec::new(),
            finish: None,
            usage: None,
            model: String::new(),
            answered: false,
            size: 0,
            limit,
        }
    }

    /// Takes a chunk's JSON; puts what is decided by now behind the events, in order, and says whether there was a
    /// word of the answer in it.
    pub(super) fn push(&mut self, data: &[u8], events: &mut VecDeque<ModelEvent>) -> Result<bool, ChunkError> {
        if !self.joiner.is_pending()
            && let Some((model, text)) = PlainChunk::read(data)
        {
            if let Some(model) = model.filter(|model| !model.is_empty() && *model != self.model) {
                bounded(&model).clone_into(&mut self.model);
            }
            self.answered = true;
            let before = self.size;
            self.take_text(&text, events)?;
            return Ok(self.size > before);
        }
        self.push_value(data, events)
    }

    /// The same, whatever the chunk holds.
    fn push_value(&mut self, data: &[u8], events: &mut VecDeque<ModelEvent>) -> Result<bool, ChunkError> {
        let chunk = self.parse(data).ok_or(ChunkError::Garbage)?;
        if !chunk.is_object() {
            return Err(ChunkError::Garbage);
        }
        if let Some(error) = upstream_error(&chunk) {
            return Err(ChunkError::Upstream(error));
        }
        if let Some(model) = chunk
            .get("model")
            .and_then(Value::as_str)
            .filter(|model| !model.is_empty())
        {
            bounded(model).clone_into(&mut self.model);
        }
        if let Some(usage) = chunk.get("usage").filter(|usage| usage.is_object()) {
            let count = |name: &str| usage.get(name).and_then(Value::as_u64).unwrap_or(0);
            self.usage = Some((count("prompt_tokens"), count("completion_tokens")));
        }
        let Some(choice) = chunk.get("choices").and_then(|choices| choices.get(0)) else {
            return Ok(false);
        };
        self.answered = true;
        let before = self.size;
        if let Some(delta) = ["delta", "message"]
            .iter()
            .find_map(|name| choice.get(name).filter(|delta| delta.is_object()))
        {
            self.take_delta(delta, events)?;
        }
        if let Some(reason) = choice
            .get("finish_reason")
            .and_then(Value::as_str)
            .filter(|reason| !reason.is_empty())
        {
            self.finish = Some(finish_reason(reason));
        }
        Ok(self.size > before)
    }

    /// Strict first; then with bad UTF-8 replaced, and with lone halves of UTF-16 pairs joined or replaced.
    fn parse(&mut self, data: &[u8]) -> Option<Value> {
        if !self.joiner.is_pending()
            && let Ok(chunk) = serde_json::from_slice(data)
        {
            return Some(chunk);
        }
        let text = String::from_utf8_lossy(data);
        serde_json::from_slice(&self.joiner.repair(text.as_bytes())).ok()
    }

    /// Whether there was a chunk of an answer at all.
    pub(super) fn has_answered(&self) -> bool {
        self.answered
    }

    fn count(&mut self, bytes: usize) -> Result<(), ChunkError> {
        self.size = self.size.saturating_add(bytes);
        if self.size > self.limit {
            return Err(ChunkError::TooLarge);
        }
        Ok(())
    }

    /// Whether the upstream has said why it stopped; only usage may follow.
    pub(super) fn finished(&self) -> bool {
        self.finish.is_some()
    }

    /// The rest: text that was held back, the calls, the usage, and why it stopped. `configured` is the model's name
    /// if the upstream gave none.
    pub(super) fn end(&mut self, configured: &str) -> Vec<ModelEvent> {
        let mut events: Vec<ModelEvent> = self.splitter.finish().map(event).into_iter().collect();
        let calls = std::mem::take(&mut self.calls);
        let mut ids: Vec<String> = Vec::new();
        for (at, call) in calls.into_iter().enumerate() {
            if call.name.is_empty() && call.arguments.is_empty() {
                continue;
            }
            let mut id = call.id;
            if id.is_empty() || ids.contains(&id) {
                id = format!(
                    "{}call_{at}",
                    if id.is_empty() { String::new() } else { format!("{id}_") }
                );
            }
            ids.push(id.clone());
            events.push(ModelEvent::ToolCall(ToolCall {
                id,
                name: call.name,
                arguments: Arguments::parse(&call.arguments),
            }));
        }
        if let Some((input, output)) = self.usage {
            let model = if self.model.is_empty() { configured } else { &self.model };
            events.push(ModelEvent::Usage {
                model: model.to_owned(),
                input,
                output,
            });
        }
        let finish = self.finish.take().unwrap_or(if ids.is_empty() {
            FinishReason::Stop
        } else {
            FinishReason::ToolCalls
        });
        events.push(ModelEvent::Finish(finish));
        events
    }

    fn take_delta(&mut self, delta: &Value, events: &mut VecDeque<ModelEvent>) -> Result<(), ChunkError> {
        let text_of = |name: &str| delta.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
        // Some servers send the same reasoning under two names: the first one counts.
        if let Some(reasoning) = ["reasoning_content", "reasoning", "reasoning_text"]
            .iter()
            .find_map(|name| text_of(name))
        {
            self.take_reasoning(reasoning, events)?;
        }
        match delta.get("content") {
            Some(Value::String(text)) => self.take_text(text, events)?,
            Some(Value::Array(parts)) => {
                for part in parts {
                    if let Some(text) = part.get("text").and_then(Value::as_str) {
                        self.take_text(text, events)?;
                    } else if let Some(thinking) = part.get("thinking") {
                        self.take_reasoning(&thinking_text(thinking), events)?;
                    }
                }
            }
            _ => {}
        }
        if let Some(refusal) = text_of("refusal") {
            self.take_text(refusal, events)?;
        }
        if let Some(calls) = delta.get("tool_calls").and_then(Value::as_array) {
            for call in calls {
                let function = call.get("function").unwrap_or(&Value::Null);
                self.take_call(call.get("index").and_then(Value::as_u64), call.get("id"), function)?;
            }
        }
        if let Some(function) = delta.get("function_call").filter(|function| function.is_object()) {
            self.take_call(Some(0), None, function)?;
        }
        Ok(())
    }

    fn take_text(&mut self, text: &str, events: &mut VecDeque<ModelEvent>) -> Result<(), ChunkError> {
        self.count(text.len())?;
        self.splitter.push(text, |piece| events.push_back(event(piece)));
        Ok(())
    }

    fn take_reasoning(&mut self, text: &str, events: &mut VecDeque<ModelEvent>) -> Result<(), ChunkError> {
        self.count(text.len())?;
        if !text.is_empty() {
            events.push_back(ModelEvent::Reasoning(text.to_owned()));
        }
        Ok(())
    }

    fn take_call(&mut self, index: Option<u64>, id: Option<&Value>, function: &Value) -> Result<(), ChunkError> {
        let id = id.and_then(Value::as_str).unwrap_or("");
        let id = bounded(id);
        let name = function.get("name").and_then(Value::as_str).unwrap_or("");
        let known = match index {
            Some(index) => self.calls.iter().rposition(|call| call.index == Some(index)),
            None if !id.is_empty() => self.calls.iter().rposition(|call| call.id == id),
            None => self.calls.len().checked_sub(1),
        };
        let at = match known {
            Some(at) if !self.begins_another(at, index, id, name)? => at,
            _ => {
                if self.calls.len() >= MOST_CALLS {
                    return Err(ChunkError::TooLarge);
                }
                self.calls.push(PartialCall {
                    index,
                    ..PartialCall::default()
                });
                self.calls.len() - 1
            }
        };
        let (piece, whole) = match function.get("arguments") {
            Some(Value::String(piece)) => (piece.as_str(), None),
            Some(Value::Null) | None => ("", None),
            Some(whole) => ("", Some(whole.to_string())),
        };
        self.count(SMALLEST_PIECE + name.len() + piece.len() + whole.as_ref().map_or(0, String::len))?;
        let call = &mut self.calls[at];
        if call.id.is_empty() {
            id.clone_into(&mut call.id);
        }
        // Some servers repeat the name in every piece; others cut it into pieces.
        if call.name != name && call.arguments.is_empty() {
            call.name.push_str(name);
            call.name.truncate(bounded(&call.name).len());
        }
        match whole {
            Some(whole) => call.arguments = whole,
            None => call.arguments.push_str(piece),
        }
        Ok(())
    }

    /// Whether a piece that seems to belong to a known call begins another one: some servers give every call the
    /// index 0, others give neither index nor id.
    fn begins_another(&mut self, at: usize, index: Option<u64>, id: &str, name: &str) -> Result<bool, ChunkError> {
        let call = &self.calls[at];
        if name.is_empty() {
            return Ok(false);
        }
        if !id.is_empty() && !call.id.is_empty() {
            return Ok(id != call.id);
        }
        if index.is_some() || !id.is_empty() || call.name.is_empty() {
            return Ok(false);
        }
        // Only what ends like a whole value is read as one, and reading it counts: an upstream could ask for it with
        // every byte.
        let arguments = call.arguments.trim_end();
        if !arguments.ends_with(['}', ']', '"', 'l']) {
            return Ok(false);
        }
        let whole = serde_json::from_str::<serde::de::IgnoredAny>(arguments).is_ok();
        let work = arguments.len();
        self.count(work)?;
        Ok(whole)
    }

    /// How many bytes it holds, about.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        let calls = self.calls.iter();
        calls
            .map(|call| call.id.len() + call.name.len() + call.arguments.len())
            .sum::<usize>()
            + self.splitter.held()
            + self.model.len()
    }
}

/// A chunk as most of them are, a piece of text and nothing else. It is read without taking memory; whatever has more
/// to say, or says it otherwise, is read as a value.
#[derive(Deserialize)]
struct PlainChunk<'a> {
    #[serde(borrow)]
    object: Option<Borrowed<'a>>,
    #[serde(borrow)]
    model: Option<Borrowed<'a>>,
    #[serde(borrow)]
    choices: (PlainChoice<'a>,),
    usage: Option<IgnoredAny>,
    error: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct PlainChoice<'a> {
    #[serde(borrow)]
    delta: PlainDelta<'a>,
    finish_reason: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct PlainDelta<'a> {
    #[serde(borrow)]
    content: Borrowed<'a>,
    reasoning_content: Option<IgnoredAny>,
    reasoning: Option<IgnoredAny>,
    reasoning_text: Option<IgnoredAny>,
    refusal: Option<IgnoredAny>,
    tool_calls: Option<IgnoredAny>,
    function_call: Option<IgnoredAny>,
}

/// A text that is borrowed where it holds no escapes.
#[derive(Deserialize)]
struct Borrowed<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'a> PlainChunk<'a> {
    /// The model's name and the piece of text.
    fn read(data: &'a [u8]) -> Option<(Option<Cow<'a, str>>, Cow<'a, str>)> {
        // Derived readers take arrays for objects.
        let chunk: Self = Some(data)
            .filter(|data| data.trim_ascii_start().starts_with(b"{"))
            .and_then(|data| serde_json::from_slice(data).ok())?;
        let (PlainChoice { delta, finish_reason },) = chunk.choices;
        let is_plain = chunk.object.is_none_or(|object| object.0 != "error")
            && [chunk.usage, chunk.error, finish_reason].iter().all(Option::is_none)
            && [
                delta.reasoning_content,
                delta.reasoning,
                delta.reasoning_text,
                delta.refusal,
                delta.tool_calls,
                delta.function_call,
            ]
            .iter()
            .all(Option::is_none);
        is_plain.then_some((chunk.model.map(|model| model.0), delta.content.0))
    }
}

/// A name's beginning, as much of it as is kept.
fn bounded(name: &str) -> &str {
    let longest = name.len().min(LONGEST_NAME);
    let end = (0..=longest).rev().find(|at| name.is_char_boundary(*at));
    &name[..end.unwrap_or(0)]
}

fn event(piece: Piece) -> ModelEvent {
    match piece {
        Piece::Text(text) => ModelEvent::Text(text),
        Piece::Reasoning(text) => ModelEvent::Reasoning(text),
    }
}

fn thinking_text(thinking: &Value) -> String {
    match thinking {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts
            .iter()
            .filter_map(|part| part.get("text").and_then(Value::as_str))
            .collect(),
        _ => String::new(),
    }
}

/// An error object, as the many servers write it.
pub(super) fn upstream_error(body: &Value) -> Option<UpstreamError> {
    let error = match body.get("error") {
        Some(error) if !error.is_null() && error != &Value::Bool(false) => error,
        _ if body.get("object").and_then(Value::as_str) == Some("error") => body,
        _ => return None,
    };
    let mut found = UpstreamError {
        message: match error {
            Value::String(text) => text.clone(),
            other => other
                .get("message")
                .and_then(Value::as_str)
                .map_or_else(|| other.to_string(), str::to_owned),
        },
        ..UpstreamError::default()
    };
    for name in ["code", "type", "status"] {
        match error.get(name) {
            Some(Value::Number(number)) => found.status = number.as_u64().and_then(http_status).or(found.status),
            Some(Value::String(text)) => {
                found.rate_limited |= text.contains("rate_limit");
                found.out_of_quota |= text.contains("insufficient_quota") || text.contains("billing");
                let named = match text.as_str() {
                    text if text.contains("overloaded") => Some(529),
                    "server_error" | "internal_server_error" => Some(500),
                    "service_unavailable" => Some(503),
                    text => text.parse().ok().and_then(http_status),
                };
                found.status = named.or(found.status);
            }
            _ => {}
        }
    }
    found.rate_limited = (found.rate_limited || found.status == Some(429)) && !found.out_of_quota;
    Some(found)
}

fn http_status(number: u64) -> Option<u16> {
    u16::try_from(number).ok().filter(|status| (400..600).contains(status))
}

fn finish_reason(reason: &str) -> FinishReason {
    match reason {
        "stop" | "eos" | "end_turn" | "stop_sequence" => FinishReason::Stop,
        "length" | "max_tokens" => FinishReason::Length,
        "tool_calls" | "function_call" | "tool_use" => FinishReason::ToolCalls,
        other => FinishReason::Other(bounded(other).to_owned()),
    }
}

#[cfg(test)]
#[path = "delta_tests.rs"]
mod tests;
