//! Streams of every kind through the real parser: good, mutated, and made up, cut anywhere.
//!
//! Each property runs 256 cases, or as many as `PROPTEST_CASES` says:
//! `PROPTEST_CASES=200000 cargo test --release --lib llm::reader`.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::llm::FinishReason;

/// What upstreams send, good and bad.
const STREAMS: &[&str] = &[
    "data: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":null}}]}\n\n\
     data: {\"choices\":[{\"delta\":{\"content\":\"Hel\"}}],\"usage\":null}\n\n\
     data: {\"choices\":[{\"delta\":{\"content\":\"lo é漢🦀\"},\"finish_reason\":null}]}\n\n\
     data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n\
     data: {\"model\":\"m\",\"choices\":[],\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":1}}\n\ndata: [DONE]\n\n",
    "\u{feff}: hello\r\ndata: {\"choices\":[{\"delta\":{\"content\":\"<think>why</think> so\"}}]}\r\n\r\n: ping\r\n\r\n\
     data: {\"choices\":[{\"delta\":{\"content\":\"a\\ud83d\"}}]}\r\n\r\ndata: {\"choices\":[{\"delta\":{\"content\":\"\\ude00b\"}}]}\r\n\
     data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"length\"}]}",
    "data: {\"choices\":[{\"delta\":{\"reasoning_content\":\"hm\"}}]}\n\n\
     data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"a\",\"function\":{\"name\":\"f\",\"arguments\":\"\"}}]}}]}\n\n\
     data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"{\\\"x\\\":\"}}]}}]}\n\n\
     data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"1}\"}},{\"function\":{\"name\":\"g\",\"arguments\":{}}}]}}]}\n\n\
     data: {\"choices\":[{\"delta\":{\"function_call\":{\"name\":\"h\",\"arguments\":\"[]\"}},\"finish_reason\":\"tool_calls\"}]}\n\ndata: [DONE]\n\n",
    "data: {\"choices\":[{\"delta\":{\"content\":[{\"type\":\"text\",\"text\":\"a\"},{\"thinking\":[{\"text\":\"b\"}]}]}}]}\n\n\
     data: {\"error\":{\"message\":\"overloaded\",\"type\":\"overloaded_error\",\"code\":529}}\n\n",
    "{\"error\":{\"message\":\"no\",\"code\":\"rate_limit_exceeded\"}}",
    "<!DOCTYPE html>\n<html><body>502 Bad Gateway</body></html>\n",
    "{\"choices\":[{\"message\":{\"content\":\"all at once\"},\"finish_reason\":\"stop\"}]}",
    "data: [DONE]\n\n",
    "event: error\nid: 1\nretry: 5\ndata\ndata:\n\n",
    "",
];

/// Words that break things where they stand.
const WORDS: &[&str] = &[
    "data:",
    "data: [DONE]\n",
    "\n",
    "\r\n",
    "\u{feff}",
    "{",
    "}",
    "[",
    "]",
    "\"",
    "\\",
    "\\ud83d",
    "\\ude00",
    "null",
    "1e999",
    "-1",
    "\"choices\":",
    "\"delta\":",
    "\"tool_calls\":[{}]",
    "\"index\":18446744073709551615",
    "\"arguments\":",
    "<think>",
    "</think>",
    "{\"error\":\"x\"}",
    "\u{0}",
    "\u{2028}",
];

/// What a stream came to: everything that was given, and the error that ended it.
#[derive(Debug, PartialEq)]
struct Outcome {
    events: Vec<ModelEvent>,
    error: Option<ReadError>,
}

/// Reads a stream in these pieces and holds the reader to its promises on the way.
fn read<'a>(pieces: impl IntoIterator<Item = &'a [u8]>, bounds: Bounds, held: &mut usize) -> Outcome {
    let mut reader = Reader::new("configured".into(), bounds);
    let mut events = Vec::new();
    let mut error = None;
    for piece in pieces {
        let was_over = reader.is_over();
        let pushed = reader.push(piece);
        *held = (*held).max(reader.held().saturating_sub(piece.len()));
        let before = events.len();
        while let Some(event) = reader.pop() {
            events.push(event);
        }
        if was_over {
            assert!(pushed.is_ok() && events.len() == before, "nothing comes after the end");
        }
        error = error.or(pushed.err());
    }
    let finished = reader.finish();
    while let Some(event) = reader.pop() {
        events.push(event);
    }
    assert!(error.is_none() || finished.is_ok(), "one error");
    let error = error.or(finished.err());
    assert!(reader.is_over() && reader.finish().is_ok() && reader.pop().is_none());
    let ends = events
        .iter()
        .filter(|event| matches!(event, ModelEvent::Finish(_)))
        .count();
    let expected = usize::from(error.is_none());
    assert_eq!(ends, expected, "it ends well once, or with an error");
    assert!(error.is_some() || matches!(events.last(), Some(ModelEvent::Finish(_))));
    Outcome { events, error }
}

fn pieces<'a>(stream: &'a [u8], sizes: &[usize]) -> Vec<&'a [u8]> {
    let mut pieces = Vec::new();
    let mut rest = stream;
    let mut sizes = sizes.iter().cycle();
    while !rest.is_empty() {
        let size = sizes.next().copied().unwrap_or(usize::MAX).clamp(1, rest.len());
        let (piece, after) = rest.split_at(size);
        pieces.push(piece);
        rest = after;
    }
    pieces
}

/// Whether a stream comes to the same whichever way it is cut, and stays in its bounds when they are small.
fn hold(stream: &[u8], sizes: &[usize]) {
    let mut held = 0;
    let whole = read([stream], Bounds::default(), &mut held);
    let cut = read(pieces(stream, sizes), Bounds::default(), &mut held);
    assert_eq!(cut, whole);
    let small = Bounds {
        line: 256,
        answer: 512,
        noise: 1024,
    };
    let mut held = 0;
    read(pieces(stream, sizes), small, &mut held);
    // A line, what is kept of the answer, and names that may be a little longer than what was counted.
    assert!(held <= 3 * (small.line + small.answer), "{held} bytes");
}

/// A change of a stream: where, how much is left out, and what is put in.
fn change() -> impl Strategy<Value = (prop::sample::Index, usize, Vec<u8>)> {
    let word = prop::sample::select(WORDS).prop_map(|word| word.as_bytes().to_vec());
    let bytes = vec(any::<u8>(), 0..4);
    let many = (prop::sample::select(WORDS), 1usize..300).prop_map(|(word, count)| word.repeat(count).into_bytes());
    (
        any::<prop::sample::Index>(),
        0usize..12,
        prop_oneof![4 => word, 3 => bytes, 1 => many],
    )
}

fn mutated() -> impl Strategy<Value = Vec<u8>> {
    let streams = vec(prop::sample::select(STREAMS), 1..3);
    (streams, vec(change(), 0..8)).prop_map(|(streams, changes)| {
        let mut stream = streams.concat().into_bytes();
        for (at, gone, put) in changes {
            let at = at.index(stream.len() + 1);
            let end = (at + gone).min(stream.len());
            stream.splice(at..end, put);
        }
        stream
    })
}

/// Any value where a chunk has one.
fn value() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        any::<i64>().prop_map(|number| number.to_string()),
        "\"[a-z<>/ \\{\\}é\u{1f600}]{0,12}\"",
        Just("\"\\ud83d\"".to_owned()),
        Just("\"\\ude00\"".to_owned()),
        Just("[]".to_owned()),
        Just("{}".to_owned()),
        prop::sample::select(&["\"stop\"", "\"length\"", "\"tool_calls\"", "\"f\"", "0", "1"][..])
            .prop_map(str::to_owned),
    ];
    let key = prop::sample::select(
        &[
            "choices",
            "delta",
            "message",
            "content",
            "text",
            "thinking",
            "reasoning",
            "reasoning_content",
            "refusal",
            "tool_calls",
            "function_call",
            "function",
            "index",
            "id",
            "name",
            "arguments",
            "finish_reason",
            "usage",
            "prompt_tokens",
            "model",
            "error",
            "code",
        ][..],
    );
    leaf.prop_recursive(6, 48, 5, move |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(|items| format!("[{}]", items.join(","))),
            vec((key.clone(), inner), 0..5).prop_map(|fields| {
                let fields: Vec<String> = fields.iter().map(|(key, value)| format!("\"{key}\":{value}")).collect();
                format!("{{{}}}", fields.join(","))
            }),
        ]
    })
}

/// Streams whose every line is JSON, in shapes that come near to chunks.
fn shaped() -> impl Strategy<Value = Vec<u8>> {
    let line = prop_oneof![
        3 => value().prop_map(|value| format!("data: {{\"choices\":[{{\"delta\":{value}}}]}}\n\n")),
        2 => value().prop_map(|value| format!("data: {{\"choices\":[{{\"delta\":{{\"tool_calls\":[{value}]}}}}]}}\n\n")),
        2 => value().prop_map(|value| format!("data: {{\"choices\":[{{\"delta\":{{\"content\":{value}}}}}]}}\n\n")),
        1 => value().prop_map(|value| format!("data: {{\"choices\":{value}}}\n\n")),
        1 => value().prop_map(|value| format!("data: {value}\n\n")),
        1 => Just("data: [DONE]\n\n".to_owned()),
    ];
    vec(line, 0..12).prop_map(|lines| lines.concat().into_bytes())
}

fn sizes() -> impl Strategy<Value = Vec<usize>> {
    prop_oneof![vec(1usize..4, 1..3), vec(1usize..200, 1..8)]
}

proptest! {
    #[test]
    fn mutated_streams_end_once_in_bounded_memory(stream in mutated(), sizes in sizes()) {
        hold(&stream, &sizes);
    }

    #[test]
    fn shapes_that_come_near_end_once_in_bounded_memory(stream in shaped(), sizes in sizes()) {
        hold(&stream, &sizes);
    }

    #[test]
    fn any_bytes_end_once_in_bounded_memory(stream in vec(any::<u8>(), 0..600), sizes in sizes()) {
        hold(&stream, &sizes);
        hold(&[b"data: ".as_slice(), &stream].concat(), &sizes);
    }
}

#[test]
fn every_known_stream_comes_to_what_it_should() {
    let text = |text: &str| ModelEvent::Text(text.into());
    let expected = [
        Ok(FinishReason::Stop),
        Ok(FinishReason::Length),
        Ok(FinishReason::ToolCalls),
        Err("Upstream"),
        Err("Upstream"),
        Err("Garbage"),
        Err("Garbage"),
        Err("Cut"),
        Err("Cut"),
        Err("Cut"),
    ];
    assert_eq!(STREAMS.len(), expected.len());
    for (stream, expected) in STREAMS.iter().zip(expected) {
        let outcome = read([stream.as_bytes()], Bounds::default(), &mut 0);
        match (expected, outcome.error, outcome.events.last()) {
            (Ok(reason), None, last) => assert_eq!(last, Some(&ModelEvent::Finish(reason)), "{stream}"),
            (Err(kind), Some(error), _) => assert!(format!("{error:?}").starts_with(kind), "{stream}: {error:?}"),
            other => panic!("{stream}: {other:?}"),
        }
    }
    // What came before an error is given, although both came at once.
    let broken = [
        STREAMS[0].split("data: {\"model\"").next().expect("a start"),
        "data: oops\n\n",
    ]
    .concat();
    let outcome = read([broken.as_bytes()], Bounds::default(), &mut 0);
    assert_eq!(outcome.events, [text("Hel"), text("lo é漢🦀")]);
    assert_eq!(outcome.error, Some(ReadError::Garbage("oops".into())));
}

#[test]
fn a_stream_without_end_is_given_up() {
    let small = Bounds {
        line: 256,
        answer: 512,
        noise: 1024,
    };
    let delta = |delta: &str| format!("data: {{\"choices\":[{{\"delta\":{delta}}}]}}\n\n");
    for (what, piece, expected) in [
        ("comments", ": ping\n\n".to_owned(), ReadError::Noise { limit: 1024 }),
        ("line breaks", "\r\n".to_owned(), ReadError::Noise { limit: 1024 }),
        ("empty pieces", delta("{}"), ReadError::Noise { limit: 1024 }),
        ("a line", "data: xxxxxxx".to_owned(), ReadError::TooLarge { limit: 256 }),
        ("blanks", "      ".to_owned(), ReadError::TooLarge { limit: 256 }),
        (
            "text",
            delta("{\"content\":\"abc\"}"),
            ReadError::TooLarge { limit: 512 },
        ),
        (
            "white space",
            delta("{\"content\":\"   \"}"),
            ReadError::TooLarge { limit: 512 },
        ),
        (
            "reasoning",
            delta("{\"reasoning\":\"abc\"}"),
            ReadError::TooLarge { limit: 512 },
        ),
        (
            "empty calls",
            delta("{\"tool_calls\":[{}]}"),
            ReadError::TooLarge { limit: 512 },
        ),
        (
            "a call",
            delta("{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"a\"}}]}"),
            ReadError::TooLarge { limit: 512 },
        ),
        (
            "usage",
            "data: {\"choices\":[],\"usage\":{}}\n\n".to_owned(),
            ReadError::Noise { limit: 1024 },
        ),
    ] {
        let mut reader = Reader::new(String::new(), small);
        let error = (0..10_000).find_map(|_| reader.push(piece.as_bytes()).err());
        assert_eq!(error, Some(expected), "{what}");
        assert_eq!(reader.decoder.held() + reader.assembler.held(), 0, "{what}: let go");
    }
}
