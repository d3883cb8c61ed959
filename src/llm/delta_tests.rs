//! What real servers send, and what it adds up to.

use proptest::prelude::*;
use serde_json::json;

use super::*;

const LIMIT: usize = 16 * 1024 * 1024;

/// Everything that these chunks give, neighbouring pieces joined.
fn events(chunks: &[Value]) -> Vec<ModelEvent> {
    let mut assembler = Assembler::new(LIMIT);
    let mut events = VecDeque::new();
    for chunk in chunks {
        assembler
            .push(chunk.to_string().as_bytes(), &mut events)
            .expect("a good chunk");
    }
    events.extend(assembler.end("configured"));
    events.into()
}

/// What one chunk gives.
fn push(chunk: &[u8]) -> Result<Vec<ModelEvent>, ChunkError> {
    let mut events = VecDeque::new();
    Assembler::new(LIMIT).push(chunk, &mut events).map(|_| events.into())
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
    let error = |message: &str, rate_limited, out_of_quota, status| UpstreamError {
        message: message.into(),
        rate_limited,
        out_of_quota,
        status,
    };
    for (chunk, expected) in [
        (json!({"error": "no memory"}), error("no memory", false, false, None)),
        (
            json!({"error": {"message": "slow down", "code": 429}}),
            error("slow down", true, false, Some(429)),
        ),
        (
            json!({"error": {"message": "slow down", "type": "rate_limit_error"}}),
            error("slow down", true, false, None),
        ),
        (
            json!({"error": {"message": "pay", "code": "insufficient_quota", "status": "429"}}),
            error("pay", false, true, Some(429)),
        ),
        (
            json!({"error": {"message": "busy", "type": "overloaded_error"}}),
            error("busy", false, false, Some(529)),
        ),
        (
            json!({"error": {"message": "oh", "type": "server_error", "code": null}}),
            error("oh", false, false, Some(500)),
        ),
        (
            json!({"object": "error", "message": "bad"}),
            error("bad", false, false, None),
        ),
    ] {
        assert_eq!(
            push(chunk.to_string().as_bytes()),
            Err(ChunkError::Upstream(expected)),
            "{chunk}"
        );
    }
    for garbage in ["nonsense", "[1]", "{\"a\":"] {
        assert_eq!(push(garbage.as_bytes()), Err(ChunkError::Garbage));
    }
}

#[test]
fn halves_of_an_emoji_are_joined_or_replaced() {
    for (lines, expected) in [
        (&[r#"{"content":"a\ud83d"}"#, r#"{"content":"\ude00b"}"#][..], "a😀b"),
        (&[r#"{"content":"a\ud83d"}"#, r#"{"content":"b"}"#], "a\u{fffd}b"),
        (&[r#"{"content":"\ude00b"}"#, r#"{"content":"c"}"#], "\u{fffd}bc"),
        (
            &[
                r#"{"reasoning_content":"a\ud83d"}"#,
                r#"{"reasoning_content":"\ude00b"}"#,
            ],
            "a😀b",
        ),
        (
            &[
                r#"{"content":"a\ud83d"}"#,
                r#"{"role":"x"}"#,
                r#"{"content":"\ude00b"}"#,
            ],
            "a😀b",
        ),
    ] {
        let mut assembler = Assembler::new(LIMIT);
        let mut events = VecDeque::new();
        for line in lines {
            let chunk = format!(r#"{{"choices":[{{"delta":{line}}}]}}"#);
            assembler.push(chunk.as_bytes(), &mut events).expect("a good chunk");
        }
        let got: String = events
            .into_iter()
            .map(|event| match event {
                ModelEvent::Text(text) | ModelEvent::Reasoning(text) => text,
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(got, expected, "{lines:?}");
    }
}

#[test]
fn names_are_bounded_and_calls_counted() {
    let long = "é".repeat(10_000);
    let got = events(&[
        json!({"model": long, "usage": {"prompt_tokens": -1, "completion_tokens": 1.5}}),
        delta(json!({"tool_calls": [{"index": 0, "id": long, "function": {"name": long}}]})),
        finish(&long),
    ]);
    for event in &got {
        let length = match event {
            ModelEvent::ToolCall(call) => call.id.len().max(call.name.len()),
            ModelEvent::Usage {
                model,
                input: 0,
                output: 0,
            } => model.len(),
            ModelEvent::Finish(FinishReason::Other(reason)) => reason.len(),
            other => panic!("{other:?}"),
        };
        assert_eq!(length, LONGEST_NAME);
    }
    assert_eq!(got.len(), 3);
    let mut assembler = Assembler::new(LIMIT);
    let another = |id: usize| delta(json!({"tool_calls": [{"id": id.to_string(), "function": {"name": "f"}}]}));
    let failed = (0..2_000).find_map(|id| {
        let error = assembler
            .push(another(id).to_string().as_bytes(), &mut VecDeque::new())
            .err()?;
        Some((id, error))
    });
    assert_eq!(failed, Some((MOST_CALLS, ChunkError::TooLarge)));
}

#[test]
fn an_upstream_cannot_make_work_without_bound() {
    // Each piece repeats the name, so that each might begin another call.
    let mut assembler = Assembler::new(LIMIT);
    let whole = format!("{{\"a\":\"{}\"", "x".repeat(1024 * 1024));
    let piece = |arguments: &str| delta(json!({"tool_calls": [{"function": {"name": "f", "arguments": arguments}}]}));
    let mut pieces = std::iter::once(piece(&whole)).chain(std::iter::repeat_with(|| piece("}}")));
    let failed = (0..100).find(|_| {
        let piece = pieces.next().expect("a piece").to_string();
        assembler.push(piece.as_bytes(), &mut VecDeque::new()).is_err()
    });
    assert!(failed.is_some_and(|at| at < 20), "{failed:?}");
}

/// A value of a field that means something, often the usual one.
fn field(usual: Value) -> impl Strategy<Value = Option<Value>> {
    let odd = prop_oneof![
        Just(json!(null)),
        Just(json!(false)),
        Just(json!("")),
        Just(json!("error")),
        Just(json!({})),
        Just(json!([])),
        Just(json!([{"index": 0, "id": "a", "function": {"name": "f", "arguments": "{}"}}])),
        Just(json!({"prompt_tokens": 1, "completion_tokens": 2})),
        Just(json!([["x", null, null, null, null, null, null], null])),
        Just(json!(1)),
    ];
    prop_oneof![4 => Just(Some(usual)), 4 => Just(None), 2 => odd.prop_map(Some)]
}

fn object(names: &'static [&'static str], usual: &'static str) -> impl Strategy<Value = Value> {
    let fields: Vec<_> = names.iter().map(|_| field(json!(usual))).collect();
    fields.prop_map(move |values| {
        let pairs = names.iter().zip(values);
        pairs
            .filter_map(|(name, value)| Some(((*name).to_owned(), value?)))
            .collect()
    })
}

prop_compose! {
    fn any_chunk()(
        top in object(&["id", "object", "model", "usage", "error"], "m"),
        choice in object(&["index", "finish_reason", "message", "logprobs"], "stop"),
        delta in object(&["role", "content", "reasoning_content", "refusal", "tool_calls", "function_call"], "<think> \u{e9}"),
        usual in any::<bool>(),
        count in 0usize..3,
        shape in 0u8..8,
    ) -> Value {
        let mut choice = if usual { json!({}) } else { choice };
        choice["delta"] = if shape == 0 { json!([delta]) } else { delta };
        let mut chunk = if usual { json!({"id": "x", "object": "chat.completion.chunk", "model": "m"}) } else { top };
        chunk["choices"] = match shape {
            1 => json!(choice),
            2 => vec![choice; count].into(),
            _ => json!([choice]),
        };
        if shape == 3 { json!([chunk]) } else { chunk }
    }
}

proptest! {
    #[test]
    fn plain_chunks_are_read_as_all_others(chunks in proptest::collection::vec(any_chunk(), 1..5)) {
        let (mut plain, mut whole) = (Assembler::new(1000), Assembler::new(1000));
        for chunk in chunks {
            let data = chunk.to_string();
            let (mut events, mut others) = (VecDeque::new(), VecDeque::new());
            let read = plain.push(data.as_bytes(), &mut events);
            prop_assert_eq!(&read, &whole.push_value(data.as_bytes(), &mut others), "{}", data);
            prop_assert_eq!(events, others);
            prop_assert_eq!(plain.finished(), whole.finished());
            if read.is_err() {
                return Ok(());
            }
        }
        prop_assert_eq!(plain.has_answered(), whole.has_answered());
        prop_assert_eq!(plain.end("m"), whole.end("m"));
    }

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
    let mut assembler = Assembler::new(LIMIT);
    let piece = delta(json!({"tool_calls": [{"index": 0, "function": {"arguments": "x".repeat(1024 * 1024)}}]}));
    let piece = piece.to_string();
    let failed = (0..20).find_map(|_| assembler.push(piece.as_bytes(), &mut VecDeque::new()).err());
    assert_eq!(failed, Some(ChunkError::TooLarge));
}
