//! What the chunks of a chat completion add up to: text, reasoning, whole function calls, usage, the end.
//!
//! It takes what the many servers that call themselves compatible really send (missing indexes and ids, `null`s,
//! arguments as objects, reasoning under several names) and does no I/O.

use serde_json::Value;

use super::think::{Piece, ThinkSplitter};
use super::{Arguments, FinishReason, ModelEvent, ToolCall};
use crate::wire::surrogate::SurrogateJoiner;

/// The most that is kept of one answer, in bytes.
pub(super) const LARGEST_ANSWER: usize = 16 * 1024 * 1024;
/// What a piece of a call counts at least, so that empty ones have an end too.
const SMALLEST_PIECE: usize = 64;

/// Why a chunk ends the answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ChunkError {
    /// It is not JSON, or not an object.
    Garbage,
    /// It is an error of the upstream.
    Upstream { message: String, rate_limited: bool },
    /// The answer is too large.
    TooLarge,
}

/// Puts chunks together. One per answer.
#[derive(Debug, Default)]
pub(super) struct Assembler {
    splitter: ThinkSplitter,
    calls: Vec<PartialCall>,
    finish: Option<FinishReason>,
    usage: Option<(u64, u64)>,
    model: String,
    /// Bytes of calls that are kept until the end; text is handed on as it comes.
    size: usize,
}

#[derive(Debug, Default)]
struct PartialCall {
    index: Option<u64>,
    id: String,
    name: String,
    arguments: String,
}

impl Assembler {
    /// Takes a chunk's JSON; gives what is decided by now, in order.
    pub(super) fn push(&mut self, data: &[u8]) -> Result<Vec<ModelEvent>, ChunkError> {
        let chunk = parse(data).ok_or(ChunkError::Garbage)?;
        if !chunk.is_object() {
            return Err(ChunkError::Garbage);
        }
        if let Some((message, rate_limited)) = upstream_error(&chunk) {
            return Err(ChunkError::Upstream { message, rate_limited });
        }
        if let Some(model) = chunk
            .get("model")
            .and_then(Value::as_str)
            .filter(|model| !model.is_empty())
        {
            model.clone_into(&mut self.model);
        }
        if let Some(usage) = chunk.get("usage").filter(|usage| usage.is_object()) {
            let count = |name: &str| usage.get(name).and_then(Value::as_u64).unwrap_or(0);
            self.usage = Some((count("prompt_tokens"), count("completion_tokens")));
        }
        let mut events = Vec::new();
        let Some(choice) = chunk.get("choices").and_then(|choices| choices.get(0)) else {
            return Ok(events);
        };
        if let Some(delta) = ["delta", "message"]
            .iter()
            .find_map(|name| choice.get(name).filter(|delta| delta.is_object()))
        {
            self.take_delta(delta, &mut events);
        }
        if self.size > LARGEST_ANSWER {
            return Err(ChunkError::TooLarge);
        }
        if let Some(reason) = choice
            .get("finish_reason")
            .and_then(Value::as_str)
            .filter(|reason| !reason.is_empty())
        {
            self.finish = Some(finish_reason(reason));
        }
        Ok(events)
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

    fn take_delta(&mut self, delta: &Value, events: &mut Vec<ModelEvent>) {
        let text_of = |name: &str| delta.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
        // Some servers send the same reasoning under two names: the first one counts.
        if let Some(reasoning) = ["reasoning_content", "reasoning", "reasoning_text"]
            .iter()
            .find_map(|name| text_of(name))
        {
            events.push(ModelEvent::Reasoning(reasoning.to_owned()));
        }
        match delta.get("content") {
            Some(Value::String(text)) => self.take_text(text, events),
            Some(Value::Array(parts)) => {
                for part in parts {
                    if let Some(text) = part.get("text").and_then(Value::as_str) {
                        self.take_text(text, events);
                    } else if let Some(thinking) = part.get("thinking") {
                        let reasoning = thinking_text(thinking);
                        if !reasoning.is_empty() {
                            events.push(ModelEvent::Reasoning(reasoning));
                        }
                    }
                }
            }
            _ => {}
        }
        if let Some(refusal) = text_of("refusal") {
            self.take_text(refusal, events);
        }
        if let Some(calls) = delta.get("tool_calls").and_then(Value::as_array) {
            for call in calls {
                let function = call.get("function").unwrap_or(&Value::Null);
                self.take_call(call.get("index").and_then(Value::as_u64), call.get("id"), function);
            }
        }
        if let Some(function) = delta.get("function_call").filter(|function| function.is_object()) {
            self.take_call(Some(0), None, function);
        }
    }

    fn take_text(&mut self, text: &str, events: &mut Vec<ModelEvent>) {
        events.extend(self.splitter.push(text).into_iter().map(event));
    }

    fn take_call(&mut self, index: Option<u64>, id: Option<&Value>, function: &Value) {
        let id = id.and_then(Value::as_str).unwrap_or("");
        let name = function.get("name").and_then(Value::as_str).unwrap_or("");
        let known = match index {
            Some(index) => self.calls.iter().rposition(|call| call.index == Some(index)),
            None if !id.is_empty() => self.calls.iter().rposition(|call| call.id == id),
            None => self.calls.len().checked_sub(1),
        };
        let at = known
            .filter(|at| !self.begins_another(*at, index, id, name))
            .unwrap_or_else(|| {
                self.calls.push(PartialCall {
                    index,
                    ..PartialCall::default()
                });
                self.calls.len() - 1
            });
        let arguments = function.get("arguments");
        self.size += SMALLEST_PIECE + name.len() + arguments.and_then(Value::as_str).map_or(0, str::len);
        let call = &mut self.calls[at];
        if call.id.is_empty() {
            id.clone_into(&mut call.id);
        }
        // Some servers repeat the name in every piece; others cut it into pieces.
        if call.name != name && call.arguments.is_empty() {
            call.name.push_str(name);
        }
        match arguments {
            Some(Value::String(piece)) => call.arguments.push_str(piece),
            Some(Value::Null) | None => {}
            Some(whole) => call.arguments = whole.to_string(),
        }
    }

    /// Whether a piece that seems to belong to a known call begins another one: some servers give every call the
    /// index 0, others give neither index nor id.
    fn begins_another(&self, at: usize, index: Option<u64>, id: &str, name: &str) -> bool {
        let call = &self.calls[at];
        if name.is_empty() {
            return false;
        }
        if !id.is_empty() && !call.id.is_empty() {
            return id != call.id;
        }
        let whole = serde_json::from_str::<Value>(&call.arguments).is_ok();
        index.is_none() && id.is_empty() && !call.name.is_empty() && whole
    }
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

/// Strict first; then with bad UTF-8 and lone halves of UTF-16 pairs replaced.
fn parse(data: &[u8]) -> Option<Value> {
    serde_json::from_slice(data).ok().or_else(|| {
        let text = String::from_utf8_lossy(data);
        serde_json::from_slice(&SurrogateJoiner::default().repair(text.as_bytes())).ok()
    })
}

/// The message of an error object, as the many servers write it, and whether it is about rate limits.
pub(super) fn upstream_error(body: &Value) -> Option<(String, bool)> {
    let error = match body.get("error") {
        Some(error) if !error.is_null() && error != &Value::Bool(false) => error,
        _ if body.get("object").and_then(Value::as_str) == Some("error") => body,
        _ => return None,
    };
    let message = match error {
        Value::String(text) => text.clone(),
        other => other
            .get("message")
            .and_then(Value::as_str)
            .map_or_else(|| other.to_string(), str::to_owned),
    };
    let rate_limited = ["code", "type", "status"].iter().any(|name| match error.get(name) {
        Some(Value::Number(number)) => number.as_u64() == Some(429),
        Some(Value::String(text)) => text == "429" || text.contains("rate_limit"),
        _ => false,
    });
    Some((message, rate_limited))
}

fn finish_reason(reason: &str) -> FinishReason {
    match reason {
        "stop" | "eos" | "end_turn" | "stop_sequence" => FinishReason::Stop,
        "length" | "max_tokens" => FinishReason::Length,
        "tool_calls" | "function_call" | "tool_use" => FinishReason::ToolCalls,
        other => FinishReason::Other(other.to_owned()),
    }
}

#[cfg(test)]
#[path = "delta_tests.rs"]
mod tests;
