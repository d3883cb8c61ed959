//! What real servers send, and what it adds up to.

use proptest::prelude::*;
use serde_json::json;

use super::*;

/// Everything that these chunks give, neighbouring pieces joined.
fn events(chunks: &[Value]) -> Vec<ModelEvent> {
    let mut assembler = Assembler::default();
    let mut events = Vec::new();
    for chunk in chunks {
        events.extend(assembler.push(chunk.to_string().as_bytes()).expect("a good chunk"));
    }
    events.extend(assembler.end("configured"));
    events
}

fn delta(delta: Value) -> Value {
    json!({"choices": [{"index": 0, "delta": delta, "finish_reason": null}]})
}

fn finish(reason: &str) -> Value {
    json!({"choices": [{"delta": {}, "finish_reason": reason}]})
}

fn calls(chunks: &[Value]) -> Vec<(String, String, Value)> {
    events(chunks)
        .into_iter()
        .filter_map(|event| match event {
            ModelEvent::ToolCall(call) => Some((call.id, call.name, call.arguments.to_value())),
            _ => None,
        })
        .collect()
}

fn call(id: &str, name: &str, arguments: Value) -> (String, String, Value) {
    (id.to_owned(), name.to_owned(), arguments)
}

fn text(text: &str) -> ModelEvent {
    ModelEvent::Text(text.into())
}

fn reasoning(text: &str) -> ModelEvent {
    ModelEvent::Reasoning(text.into())
}

#[test]
fn text_usage_and_end() {
    let got = events(&[
        delta(json!({"role": "assistant", "content": null})),
        delta(json!({"content": ""})),
        delta(json!({"content": "Hel"})),
        delta(json!({"content": "lo"})),
        finish("stop"),
        json!({"model": "m-1", "choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2}}),
    ]);
    let usage = ModelEvent::Usage {
        model: "m-1".into(),
        input: 3,
        output: 2,
    };
    assert_eq!(
        got,
        [text("Hel"), text("lo"), usage, ModelEvent::Finish(FinishReason::Stop)]
    );
}

#[test]
fn reasoning_under_its_names() {
    for chunk in [
        json!({"reasoning_content": "why"}),
        json!({"reasoning": "why"}),
        json!({"reasoning_text": "why", "content": null}),
        json!({"reasoning": "why", "reasoning_content": "why"}),
        json!({"content": "<think>why</think>"}),
        json!({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "why"}]}]}),
    ] {
        let got = events(&[delta(chunk.clone()), delta(json!({"content": "so"})), finish("length")]);
        let length = ModelEvent::Finish(FinishReason::Length);
        assert_eq!(got, [reasoning("why"), text("so"), length], "{chunk}");
    }
}

#[test]
fn calls_in_pieces_and_side_by_side() {
    let got = calls(&[
        delta(
            json!({"tool_calls": [{"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": ""}}]}),
        ),
        delta(json!({"tool_calls": [{"index": 1, "id": "b", "function": {"name": "g", "arguments": "{\"y\""}}]})),
        delta(json!({"tool_calls": [{"index": 0, "function": {"arguments": "{\"x\":"}}]})),
        delta(
            json!({"tool_calls": [{"index": 0, "function": {"arguments": "1}"}}, {"index": 1, "function": {"arguments": ":2}"}}]}),
        ),
        finish("tool_calls"),
    ]);
    assert_eq!(got, [call("a", "f", json!({"x": 1})), call("b", "g", json!({"y": 2}))]);
}

#[test]
fn calls_with_missing_parts() {
    let piece = |index: Option<u64>, id: Option<&str>, name: Option<&str>, arguments: Value| {
        let mut call = json!({"function": {"arguments": arguments}});
        if let Some(index) = index {
            call["index"] = json!(index);
        }
        if let Some(id) = id {
            call["id"] = json!(id);
        }
        if let Some(name) = name {
            call["function"]["name"] = json!(name);
        }
        delta(json!({"tool_calls": [call]}))
    };
    let none = json!({});
    for (what, chunks, expected) in [
        (
            "no id",
            vec![piece(Some(0), None, Some("f"), json!("{}"))],
            vec![call("call_0", "f", none.clone())],
        ),
        (
            "no index and no id",
            vec![
                piece(None, None, Some("f"), json!("{\"a\":")),
                piece(None, None, None, json!("1}")),
                piece(None, None, Some("g"), json!("{}")),
            ],
            vec![call("call_0", "f", json!({"a": 1})), call("call_1", "g", none.clone())],
        ),
        (
            "index 0 for all",
            vec![
                piece(Some(0), Some("a"), Some("f"), json!("{}")),
                piece(Some(0), Some("b"), Some("f"), json!("{}")),
            ],
            vec![call("a", "f", none.clone()), call("b", "f", none.clone())],
        ),
        (
            "the name repeated",
            vec![
                piece(Some(0), Some("a"), Some("f"), json!("{\"a\"")),
                piece(Some(0), Some("a"), Some("f"), json!(":1}")),
            ],
            vec![call("a", "f", json!({"a": 1}))],
        ),
        (
            "an object",
            vec![piece(None, None, Some("f"), json!({"a": 1}))],
            vec![call("call_0", "f", json!({"a": 1}))],
        ),
        (
            "null",
            vec![piece(Some(0), Some("a"), Some("f"), Value::Null)],
            vec![call("a", "f", none.clone())],
        ),
        (
            "not JSON",
            vec![piece(Some(0), Some("a"), Some("f"), json!("{oops"))],
            vec![call("a", "f", json!("{oops"))],
        ),
        (
            "the same id twice",
            vec![
                piece(Some(0), Some("a"), Some("f"), json!("{}")),
                piece(Some(1), Some("a"), Some("g"), json!("{}")),
            ],
            vec![call("a", "f", none.clone()), call("a_call_1", "g", none.clone())],
        ),
    ] {
        assert_eq!(calls(&chunks), expected, "{what}");
    }
}

#[test]
fn calls_without_a_reason_end_as_calls() {
    let got = events(&[delta(json!({"tool_calls": [{"function": {"name": "f"}}]}))]);
    assert_eq!(got.last(), Some(&ModelEvent::Finish(FinishReason::ToolCalls)));
}

#[test]
fn errors_inside_the_stream() {
    for (chunk, message, rate_limited) in [
        (json!({"error": "no memory"}), "no memory", false),
        (
            json!({"error": {"message": "slow down", "code": 429}}),
            "slow down",
            true,
        ),
        (
            json!({"error": {"message": "slow down", "type": "rate_limit_error"}}),
            "slow down",
            true,
        ),
        (json!({"object": "error", "message": "bad"}), "bad", false),
    ] {
        let error = Assembler::default().push(chunk.to_string().as_bytes());
        let expected = ChunkError::Upstream {
            message: message.into(),
            rate_limited,
        };
        assert_eq!(error, Err(expected), "{chunk}");
    }
    for garbage in ["nonsense", "[1]", "{\"a\":"] {
        assert_eq!(Assembler::default().push(garbage.as_bytes()), Err(ChunkError::Garbage));
    }
}

#[test]
fn half_an_emoji_is_replaced() {
    let got = Assembler::default().push(br#"{"choices":[{"delta":{"content":"a\ud83d"}}]}"#);
    assert_eq!(got, Ok(vec![text("a\u{fffd}")]));
}

proptest! {
    #[test]
    fn arguments_survive_any_cut(keys in proptest::collection::vec("[a-z\"\\\\é]{1,6}", 1..4), size in 1usize..7) {
        let value: Value = keys.iter().map(|key| (key.clone(), json!(key))).collect::<serde_json::Map<_, _>>().into();
        let written: Vec<char> = value.to_string().chars().collect();
        let mut chunks = vec![delta(json!({"tool_calls": [{"index": 0, "id": "a", "function": {"name": "f"}}]}))];
        for piece in written.chunks(size) {
            let piece: String = piece.iter().collect();
            chunks.push(delta(json!({"tool_calls": [{"index": 0, "function": {"arguments": piece}}]})));
        }
        prop_assert_eq!(calls(&chunks), [call("a", "f", value)]);
    }
}

#[test]
fn calls_without_end_are_too_large() {
    let mut assembler = Assembler::default();
    let piece = delta(json!({"tool_calls": [{"index": 0, "function": {"arguments": "x".repeat(1024 * 1024)}}]}));
    let piece = piece.to_string();
    let failed = (0..20).find_map(|_| assembler.push(piece.as_bytes()).err());
    assert_eq!(failed, Some(ChunkError::TooLarge));
}
