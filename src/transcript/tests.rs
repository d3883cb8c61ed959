//! The rules of the transcript, one table or story each.

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::wire::Event;

fn event(value: Value) -> Event {
    Event::from_json(&value.to_string()).expect("an event")
}

fn feed(transcript: &mut Transcript, events: &[Value]) {
    let from = transcript.counters().events;
    for (index, value) in events.iter().enumerate() {
        let id = from + index as u64;
        let item = Item::Event {
            id: Some(id),
            at: Some(1_000 + id),
            event: event(value.clone()),
            raw: Bytes::new(),
        };
        transcript.apply(item, 5_000 + id);
    }
}

fn feed_without_ids(transcript: &mut Transcript, events: &[Value]) {
    for value in events {
        transcript.apply(
            Item::Event {
                id: None,
                at: None,
                event: event(value.clone()),
                raw: Bytes::new(),
            },
            7,
        );
    }
}

fn of(events: &[Value]) -> Transcript {
    let mut transcript = Transcript::new();
    feed(&mut transcript, events);
    transcript
}

fn token(text: &str) -> Value {
    json!({"type": "token", "data": {"token": text}})
}

fn thought(text: &str) -> Value {
    json!({"type": "reasoningToken", "data": {"token": text}})
}

fn message(kind: &str, text: &str) -> Value {
    json!({"type": "message", "data": {"type": kind, "text": text}})
}

fn begin() -> Value {
    json!({"type": "completeBegin", "data": {"instance": "i", "iteration": 0}})
}

fn complete_end() -> Value {
    json!({"type": "completeEnd", "data": {"instance": "i", "iteration": 0}})
}

fn activity(kind: &str, name: &str, arguments: Value, result: Option<Value>) -> Value {
    let mut function = json!({"name": name, "arguments": arguments});
    if let Some(result) = result {
        function["result"] = result;
    }
    json!({"type": "message", "data": {"type": "activity", "text": "", "meta": {"activity": {"type": kind, "function": function}}}})
}

fn wait(end: bool, channel: &str, name: &str, args: Value, message: Option<Value>) -> Value {
    let mut data = json!({"channel": channel, "function": {"name": name, "args": args}});
    if let Some(message) = message {
        data["message"] = message;
    }
    json!({"type": if end { "waitForChannelMessageEnd" } else { "waitForChannelMessageBegin" }, "data": data})
}

fn result(text: &str, reason: &str) -> Value {
    json!({"type": "result", "data": {"text": text, "usage": {"token": 9}, "end": {"reason": reason}}})
}

/// One word a block, with what matters of it.
fn sketch(transcript: &Transcript) -> Vec<String> {
    let one = |block: &Block| {
        let text = match &block.kind {
            BlockKind::Prompt { role, text } => format!("{role}: {text}"),
            BlockKind::Answer { text, streaming } => format!("answer{} {text}", if *streaming { "…" } else { "" }),
            BlockKind::Reasoning { text, streaming, .. } => {
                format!("reasoning{} {text}", if *streaming { "…" } else { "" })
            }
            BlockKind::Call { function, state, .. } => match state {
                CallState::Requested => format!("{function} requested"),
                CallState::Waiting { channel, .. } => format!("{function} waits on {channel}"),
                CallState::Answered { result, from } => {
                    format!("{function} = {result} {}", from.as_deref().unwrap_or("-"))
                }
                CallState::Abandoned => format!("{function} abandoned"),
            },
            BlockKind::Usage { input, output, .. } => format!("usage {input} {output}"),
            BlockKind::Operation { label, done } => format!("{label} {done}"),
            BlockKind::Abort { reason } => format!("abort {reason}"),
            BlockKind::End { reason, tokens, .. } => format!("end {reason} {tokens}"),
            BlockKind::Failure { message, .. } => format!("failure {message}"),
            BlockKind::Gap { missing } => format!("gap {missing:?}"),
            BlockKind::Published { json } => format!("published {json}"),
            BlockKind::Trimmed { blocks } => format!("trimmed {blocks}"),
            BlockKind::Note { text } => format!("note {text}"),
        };
        if block.superseded { format!("({text})") } else { text }
    };
    transcript.blocks().map(one).collect()
}

#[test]
fn blocks_that_events_add_up_to() {
    let x = || json!({"x": 1});
    let table: Vec<(&str, Vec<Value>, Vec<&str>)> = vec![
        (
            "prompt and stream",
            vec![message("user", "hi"), begin(), token("a"), token("b")],
            vec!["user: hi", "answer… ab"],
        ),
        (
            "a message finishes the tokens",
            vec![begin(), token("a"), message("bot", "a")],
            vec!["answer a"],
        ),
        (
            "a message replaces the tokens",
            vec![begin(), token("a"), message("bot", "other")],
            vec!["answer other"],
        ),
        ("a message without tokens", vec![message("bot", "b")], vec!["answer b"]),
        (
            "reasoning",
            vec![
                begin(),
                thought("t"),
                thought("u"),
                token("a"),
                message("reasoning", "tu!"),
                message("bot", "a"),
            ],
            vec!["reasoning tu!", "answer a"],
        ),
        (
            "two iterations",
            vec![begin(), token("a"), complete_end(), begin(), token("b")],
            vec!["answer a", "answer… b"],
        ),
        (
            "a call that is waited for",
            vec![
                activity("request", "f", x(), None),
                wait(false, "c", "f", x(), None),
                wait(true, "c", "f", x(), Some(json!({"data": 3, "from": "me"}))),
                activity("response", "f", x(), Some(json!({"data": 3, "from": "me"}))),
            ],
            vec!["f = 3 me"],
        ),
        (
            "a wait without a request",
            vec![wait(false, "c", "f", x(), None)],
            vec!["f waits on c"],
        ),
        (
            "two equal calls",
            vec![
                activity("request", "f", x(), None),
                activity("request", "f", x(), None),
                activity("response", "f", x(), Some(json!(1))),
                activity("response", "f", x(), Some(json!(2))),
            ],
            vec!["f = 1 -", "f = 2 -"],
        ),
        (
            "a response alone",
            vec![activity("response", "f", x(), Some(json!({"error": "no"})))],
            vec!["f = {\"error\":\"no\"} -"],
        ),
        (
            "open calls at the end",
            vec![activity("request", "f", x(), None), result("", "activity")],
            vec!["f abandoned", "end activity 9"],
        ),
        (
            "operations",
            vec![
                json!({"type": "operationBegin", "data": {"id": 1, "action": {"name": "search"}}}),
                json!({"type": "progressReport", "data": {"id": "p", "step": 1, "total": 2}}),
                json!({"type": "progressReport", "data": {"id": "p", "step": 2, "total": 2}}),
                json!({"type": "operationEnd", "data": {"id": 1, "action": {"name": "search"}}}),
            ],
            vec!["search true", "step 2 of 2 true"],
        ),
        (
            "a restart",
            vec![
                begin(),
                token("kept"),
                complete_end(),
                begin(),
                token("lost"),
                json!({"type": "abort", "data": {"reason": "server restarted"}}),
                begin(),
                token("again"),
                message("bot", "again"),
            ],
            vec!["answer kept", "(answer lost)", "abort server restarted", "answer again"],
        ),
        (
            "another abort",
            vec![begin(), token("a"), json!({"type": "abort", "data": {"reason": "why"}})],
            vec!["answer… a", "abort why"],
        ),
        (
            "a run that was cancelled, said once",
            vec![
                begin(),
                token("a"),
                json!({"type": "abort", "data": {"reason": "cancelled"}}),
                result("", "abort"),
            ],
            vec!["answer a", "end abort 9"],
        ),
        (
            "a run that was cancelled for a reason",
            vec![
                json!({"type": "abort", "data": {"reason": "too slow"}}),
                result("", "abort"),
            ],
            vec!["abort too slow", "end abort 9"],
        ),
        (
            "a result's text",
            vec![begin(), token("a"), result("whole", "stop")],
            vec!["answer whole", "end stop 9"],
        ),
        (
            "a result after a message",
            vec![begin(), token("a"), message("bot", "a"), result("z", "stop")],
            vec!["answer a", "end stop 9"],
        ),
        (
            "a result alone",
            vec![result("text", "stop")],
            vec!["answer text", "end stop 9"],
        ),
        (
            "a failure, and nothing after",
            vec![
                token("a"),
                json!({"type": "error", "data": {"message": "m"}}),
                token("b"),
            ],
            vec!["answer a", "failure m"],
        ),
        (
            "an unknown event",
            vec![json!({"type": "novel", "data": 1})],
            vec!["note an event of a type that is not known: novel"],
        ),
    ];
    for (name, events, expected) in table {
        assert_eq!(sketch(&of(&events)), expected, "{name}");
    }
}

#[test]
fn status_follows_the_run() {
    let mut transcript = Transcript::new();
    assert_eq!(transcript.status(), Status::Empty);
    for (value, status) in [
        (message("user", "\n Title here \nmore"), Status::Queued),
        (begin(), Status::Running),
        (wait(false, "c", "f", json!({}), None), Status::Waiting),
        (wait(true, "c", "f", json!({}), Some(json!(1))), Status::Running),
        (complete_end(), Status::Running),
        (
            result("", "iteration"),
            Status::Done {
                reason: EndReason::Iteration,
            },
        ),
    ] {
        let before = transcript.revision();
        feed(&mut transcript, &[value]);
        assert_eq!(transcript.status(), status);
        assert!(transcript.revision() > before);
    }
    assert_eq!(transcript.title(), Some("Title here"));
    assert_eq!(transcript.counters().started_at, Some(1_000));
    assert_eq!(transcript.counters().ended_at, Some(1_005));
}

#[test]
fn waiting_calls_are_listed_until_they_are_answered() {
    let mut transcript = of(&[
        activity("request", "f", json!({"n": 1}), None),
        activity("request", "g", json!({}), None),
        wait(false, "one", "f", json!({"n": 1}), None),
        wait(false, "two", "g", json!({}), None),
    ]);
    let names = |transcript: &Transcript| {
        transcript
            .waiting_calls()
            .map(|call| call.channel.to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(names(&transcript), ["one", "two"]);
    feed(
        &mut transcript,
        &[wait(true, "one", "f", json!({"n": 1}), Some(json!("ok")))],
    );
    assert_eq!(names(&transcript), ["two"]);
    feed(&mut transcript, &[result("", "abort")]);
    assert!(names(&transcript).is_empty());
}

#[test]
fn complete_is_claimed_only_when_it_is_known() {
    assert_eq!(of(&[begin(), token("a")]).honesty(), Honesty::Complete);

    let mut late = Transcript::new();
    late.apply(
        Item::Event {
            id: Some(5),
            at: None,
            event: event(token("a")),
            raw: Bytes::new(),
        },
        1,
    );
    assert_eq!(late.honesty(), Honesty::HeadTrimmed);
    assert_eq!(sketch(&late), ["gap Some(5)", "answer… a"]);

    let mut holed = of(&[begin(), token("a")]);
    holed.apply(
        Item::Event {
            id: Some(4),
            at: None,
            event: event(token("b")),
            raw: Bytes::new(),
        },
        1,
    );
    assert_eq!(holed.honesty(), Honesty::Gap);
    assert_eq!(sketch(&holed), ["answer a", "gap Some(2)", "answer… b"]);
    holed.apply(
        Item::Event {
            id: Some(4),
            at: None,
            event: event(token("b")),
            raw: Bytes::new(),
        },
        1,
    );
    assert_eq!(sketch(&holed).len(), 3, "what was seen is not taken twice");
    holed.apply(
        Item::Event {
            id: Some(5),
            at: None,
            event: event(message("bot", "axyb")),
            raw: Bytes::new(),
        },
        1,
    );
    assert_eq!(sketch(&holed), ["(answer a)", "gap Some(2)", "answer axyb"]);
    assert_eq!(holed.plain_answer(), "axyb");

    let mut hosted = Transcript::new();
    feed_without_ids(&mut hosted, &[begin(), token("a")]);
    assert_eq!(hosted.honesty(), Honesty::Unknown);
    feed_without_ids(&mut hosted, &[message("bot", "a")]);
    assert_eq!(hosted.honesty(), Honesty::Complete);
    let mut hosted = Transcript::new();
    feed_without_ids(&mut hosted, &[token("b"), message("bot", "ab")]);
    assert_eq!(hosted.honesty(), Honesty::Unknown);
    hosted.apply(Item::Gap { missing: None }, 1);
    assert_eq!(hosted.honesty(), Honesty::Gap);
}

#[test]
fn a_reset_begins_anew_and_names_are_not_used_again() {
    let mut transcript = of(&[message("user", "old"), begin(), token("a")]);
    let last = transcript.blocks().last().map(|block| block.id);
    transcript.apply(Item::Reset, 1);
    assert_eq!((transcript.title(), transcript.status()), (None, Status::Empty));
    feed(&mut transcript, &[message("user", "new")]);
    assert_eq!(transcript.title(), Some("new"));
    assert_eq!(transcript.honesty(), Honesty::Complete);
    assert!(transcript.blocks().all(|block| Some(block.id) > last));
}

#[test]
fn published_messages_and_bad_lines_are_shown_and_change_nothing() {
    let mut transcript = Transcript::new();
    transcript.apply(
        Item::Published {
            message: Bytes::from_static(b"{\"type\":\"result\"}"),
            raw: Bytes::new(),
        },
        1,
    );
    transcript.apply(
        Item::BadLine {
            reason: "not JSON".to_owned(),
        },
        1,
    );
    assert_eq!(
        sketch(&transcript),
        ["published {\"type\":\"result\"}", "note a line was left out: not JSON"]
    );
    assert_eq!(transcript.status(), Status::Empty);
}

#[test]
fn memory_is_bounded_and_says_so() {
    let mut transcript = Transcript::with_limit(100_000);
    for round in 0..400 {
        feed(&mut transcript, &[begin(), token(&"x".repeat(1_000)), complete_end()]);
        assert!(transcript.bytes <= 101_500, "{} after {round}", transcript.bytes);
    }
    assert!(matches!(transcript.get(0).map(|block| &block.kind), Some(BlockKind::Trimmed { blocks }) if *blocks > 250));
    assert_eq!(transcript.honesty(), Honesty::HeadTrimmed);
    for block in transcript.blocks() {
        assert!(transcript.block(block.id).is_some_and(|found| found.id == block.id));
    }
    let counted: usize = transcript.blocks().map(bound::size).sum();
    assert_eq!(counted, transcript.bytes);
}

#[test]
fn one_giant_block_is_cut_at_its_head_and_says_so() {
    let mut transcript = Transcript::with_limit(100_000);
    feed(&mut transcript, &[begin()]);
    for _ in 0..400 {
        feed(&mut transcript, &[token(&"é".repeat(500))]);
    }
    assert!(transcript.bytes <= 101_500);
    assert!(transcript.plain_answer().starts_with("[the first "));
    let held = transcript.plain_answer().chars().filter(|c| *c == 'é').count() * 2;
    let said: usize = transcript
        .plain_answer()
        .split(' ')
        .nth(2)
        .and_then(|n| n.parse().ok())
        .expect("a count");
    assert_eq!(held + said, 400_000);
    feed(
        &mut transcript,
        &[activity("response", "f", json!({}), Some(json!("y".repeat(300_000))))],
    );
    assert!(transcript.bytes <= 101_500);
}

#[test]
fn the_rate_is_that_of_the_tokens_own_times() {
    let mut transcript = Transcript::new();
    // A replay: all come at once, though they were written a tenth of a second apart.
    for index in 0..100 {
        let item = Item::Event {
            id: Some(index),
            at: Some(10_000 + index * 100),
            event: Event::token("a"),
            raw: Bytes::new(),
        };
        transcript.apply(item, 900_000);
    }
    let rate = transcript.rate(900_000);
    assert!((9.0..12.0).contains(&rate), "{rate}");
    assert_eq!(transcript.rate(910_000), 0.0);
    assert_eq!(transcript.last_text(5).as_deref(), Some("…aaaa"));
}

fn any_event() -> impl Strategy<Value = Value> {
    let texts = prop_oneof![Just(""), Just("a"), Just("é\n"), Just("long text of some length")];
    let functions = prop_oneof![Just("f"), Just("g")];
    prop_oneof![
        4 => texts.clone().prop_map(token),
        2 => texts.clone().prop_map(thought),
        2 => (prop_oneof![Just("user"), Just("bot"), Just("reasoning"), Just("odd")], texts.clone()).prop_map(|(kind, text)| message(kind, text)),
        2 => Just(begin()),
        1 => Just(complete_end()),
        1 => (functions.clone(), any::<bool>()).prop_map(|(name, response)| activity(if response { "response" } else { "request" }, name, json!({}), None)),
        1 => (functions, any::<bool>()).prop_map(|(name, end)| wait(end, "c", name, json!({}), None)),
        1 => prop_oneof![Just("server restarted"), Just("other")].prop_map(|reason| json!({"type": "abort", "data": {"reason": reason}})),
        1 => (0u8..3).prop_map(|id| json!({"type": "operationBegin", "data": {"id": id}})),
        1 => (0u8..3).prop_map(|id| json!({"type": "operationEnd", "data": {"id": id}})),
        1 => Just(json!({"type": "usage", "data": {}})),
        1 => texts.prop_map(|text| result(text, "stop")),
    ]
}

proptest! {
    #[test]
    fn any_sequence_keeps_the_invariants(
        items in proptest::collection::vec((any_event(), 0u8..20, proptest::option::of(0u64..40)), 0..80),
        limit in prop_oneof![Just(4096usize), Just(1 << 20)],
    ) {
        let mut transcript = Transcript::with_limit(limit);
        for (index, (value, what, id)) in items.into_iter().enumerate() {
            let before = transcript.revision();
            let item = match what {
                0 => Item::Reset,
                1 => Item::Gap { missing: None },
                2 => Item::BadLine { reason: "r".to_owned() },
                3 => Item::Published { message: Bytes::from_static(b"1"), raw: Bytes::new() },
                _ => Item::Event { id, at: None, event: event(value), raw: Bytes::new() },
            };
            transcript.apply(item, index as u64);
            prop_assert!(transcript.revision() >= before);
            let ids: Vec<BlockId> = transcript.blocks().map(|block| block.id).collect();
            prop_assert!(ids.is_sorted_by(|one, other| one < other));
            prop_assert_eq!(transcript.blocks().map(bound::size).sum::<usize>(), transcript.bytes);
            let streaming = transcript.blocks().filter(|block| matches!(
                block.kind,
                BlockKind::Answer { streaming: true, .. } | BlockKind::Reasoning { streaming: true, .. }
            )).count();
            let most = if transcript.status().is_over() { 0 } else { 2 };
            prop_assert!(streaming <= most);
            prop_assert_eq!(transcript.status() == Status::Waiting, transcript.waiting_calls().count() > 0);
        }
    }
}
