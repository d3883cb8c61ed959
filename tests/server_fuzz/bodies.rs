//! Bodies: valid ones with something strange in the place of a value, and such with their text damaged.

use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::{Value, json};

use super::{SECRET, Then, answers, exchange, fuzzed, healthy, run};

const CHANNEL: &str = "fuzz-channel-0123456789";

/// The routes that take a body, each with one that is valid.
fn routes() -> Vec<(String, Value)> {
    let conversation = json!({
        "messages": [
            {"type": "user", "text": "hi", "meta": {"a": [1]}, "name": "n", "id": "i", "createdAt": 1},
            {"type": "activity", "text": "", "meta": {"activity": {"type": "request", "function": {"name": "f", "arguments": {}}}}},
        ],
        "model": "instant", "backstory": "b", "attachments": [{"url": "http://127.0.0.1:1/"}],
        "functions": [{
            "name": "f", "description": "d", "result": {"data": 1, "channel": "0123456789abcdef"}, "call": {"start": true, "end": false},
            "parameters": {"type": "object", "properties": {"x": {"type": "string", "pattern": "a+"}}},
        }],
        "limits": {"iterations": 1, "continuations": 1, "calls": 1},
        "extensions": {
            "backstory": "e", "datasets": [{"name": "n", "records": [{"text": "t", "meta": {}}]}],
            "skillsets": [{"name": "s", "abilities": [{"name": "a", "description": "d", "instruction": "i"}]}],
            "features": [{"name": "x", "options": {}}],
        },
        "contactId": {"fingerprint": "f", "name": "n", "email": "e", "meta": {}},
        "botId": "b", "datasetId": "d", "skillsetId": "s", "privacy": true, "moderation": false,
    });
    let simple = json!({"messages": [{"type": "user", "text": "hi"}]});
    let mut named = simple.clone();
    named["channelId"] = json!("fuzz-dispatch-0123456789");
    vec![
        ("/v1/conversation/dispatch".to_owned(), conversation.clone()),
        ("/v1/conversation/dispatch".to_owned(), named),
        ("/api/v1/conversation/complete".to_owned(), conversation),
        ("/v1/conversation/complete".to_owned(), simple),
        (
            format!("/v1/channel/{CHANNEL}/subscribe"),
            json!({"historyLength": 5, "after": 3}),
        ),
        (
            format!("/v1/channel/{CHANNEL}/publish"),
            json!({"message": {"data": "x"}}),
        ),
        (format!("/v1/channel/{CHANNEL}/cancel"), json!({})),
        ("/v1/server/stop".to_owned(), json!({"force": false})),
    ]
}

/// What stands in the place of a value, as it is written.
fn strange() -> Vec<Vec<u8>> {
    let texts = [
        "null",
        "true",
        "0",
        "-1",
        "1.5",
        "1e400",
        "-1e400",
        "1e-400",
        "18446744073709551615",
        "18446744073709551616",
        "-9223372036854775809",
        "123456789012345678901234567890",
        "\"\"",
        "\"\\u0000\"",
        "\"\\ud83d\"",
        "\"\\ude00\\ud83d\"",
        "\"\\ud83d\\ude00\"",
        "\"\u{2028}\u{2029}\u{85}\"",
        "\"\\u2028\"",
        "\"\u{202e}\u{feff}\"",
        "\"\\x\"",
        "\"\t\"",
        "[]",
        "{}",
        "[null]",
        "[[]]",
        "[{}]",
        "{\"a\":1,\"a\":2}",
        "{\"\":{}}",
        "NaN",
        "Infinity",
        "'x'",
        "undefined",
        "01",
        "+1",
        ".5",
        "1.",
        "tru",
        "\"http://[::1\"",
        "\"https://user:pw@example.com/\"",
        "{\"$ref\":\"#\"}",
        "{\"type\":\"object\",\"$ref\":\"#\"}",
        "{\"type\":\"object\",\"properties\":{\"x\":{\"pattern\":\"(a+)+$\"}}}",
        "{\"type\":\"object\",\"allOf\":[{\"$ref\":\"#\"}]}",
        "{\"type\":\"object\",\"properties\":{\"x\":{\"pattern\":\"(?=a)\\\\1{9999}\"}}}",
        "{\"type\":\"object\",\"$ref\":\"http://127.0.0.1:1/\"}",
    ];
    let mut strange: Vec<Vec<u8>> = texts.iter().map(|text| text.as_bytes().to_vec()).collect();
    strange.push(b"\"\xff\xfe\"".to_vec());
    strange.push(b"\"\xed\xa0\xbd\"".to_vec());
    strange.push(["[".repeat(120), "]".repeat(120)].concat().into_bytes());
    strange.push(["[".repeat(100_000), "]".repeat(100_000)].concat().into_bytes());
    strange.push("{\"a\":".repeat(5000).into_bytes());
    strange.push(format!("\"{}\"", "x".repeat(200_000)).into_bytes());
    strange.push(format!("\"{}\"", "\\u2028".repeat(20_000)).into_bytes());
    strange.push(format!("[{}1]", "1,".repeat(50_000)).into_bytes());
    strange.push("9".repeat(5000).into_bytes());
    strange.push(b"{\"type\":\"user\",\"text\":\"\\ud83d\"}".to_vec());
    strange
}

/// The paths of all values, the whole included.
fn paths(value: &Value) -> Vec<String> {
    fn collect(value: &Value, path: &str, found: &mut Vec<String>) {
        found.push(path.to_owned());
        match value {
            Value::Object(fields) => fields
                .iter()
                .for_each(|(name, value)| collect(value, &format!("{path}/{name}"), found)),
            Value::Array(items) => {
                items
                    .iter()
                    .enumerate()
                    .for_each(|(index, value)| collect(value, &format!("{path}/{index}"), found));
            }
            _ => {}
        }
    }
    let mut found = Vec::new();
    collect(value, "", &mut found);
    found
}

/// What is done to a body.
#[derive(Debug, Clone)]
enum Change {
    /// A value is replaced.
    Value(Index, Vec<u8>),
    /// A value goes.
    Without(Index),
    /// A value has a field more.
    Field(Index, String, Vec<u8>),
    /// A few bytes are replaced.
    Bytes(Index, u8, Vec<u8>),
    /// The rest is cut off.
    Cut(Index),
    /// The text comes twice.
    Twice,
}

fn change() -> impl Strategy<Value = Change> {
    let names = select(vec![
        "",
        "a",
        "type",
        "__proto__",
        "messages",
        "data",
        "channelId",
        "id",
        "\u{2028}",
    ]);
    let bytes = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..6),
        select(vec![
            ",", ":", "}", "]", "{", "[", "\"", "\\", "\\u", "\0", "\u{feff}", "//", "/**/", ",,"
        ])
        .prop_map(|text| text.as_bytes().to_vec()),
    ];
    prop_oneof![
        6 => (any::<Index>(), select(strange())).prop_map(|(at, with)| Change::Value(at, with)),
        2 => any::<Index>().prop_map(Change::Without),
        2 => (any::<Index>(), names, select(strange())).prop_map(|(at, name, with)| Change::Field(at, name.to_owned(), with)),
        3 => (any::<Index>(), 0_u8..4, bytes).prop_map(|(at, count, with)| Change::Bytes(at, count, with)),
        1 => any::<Index>().prop_map(Change::Cut),
        1 => Just(Change::Twice),
    ]
}

/// Stands for a strange value until the text is written.
fn mark(number: usize) -> String {
    format!("@@{number}@@")
}

fn body(mut value: Value, changes: &[Change]) -> Vec<u8> {
    let mut raw: Vec<&[u8]> = Vec::new();
    for change in changes {
        let paths = paths(&value);
        match change {
            Change::Value(at, with) => {
                if let Some(place) = value.pointer_mut(at.get(paths.as_slice()).as_str()) {
                    *place = json!(mark(raw.len()));
                    raw.push(with);
                }
            }
            Change::Without(at) => {
                let path = at.get(paths.as_slice());
                if let Some((parent, name)) = path.rsplit_once('/')
                    && let Some(Value::Object(fields)) = value.pointer_mut(parent)
                {
                    fields.shift_remove(name);
                }
            }
            Change::Field(at, name, with) => {
                if let Some(Value::Object(fields)) = value.pointer_mut(at.get(paths.as_slice()).as_str()) {
                    fields.insert(name.clone(), json!(mark(raw.len())));
                    raw.push(with);
                }
            }
            Change::Bytes(..) | Change::Cut(_) | Change::Twice => {}
        }
    }
    let mut text = value.to_string().into_bytes();
    for (number, with) in raw.iter().enumerate() {
        let quoted = format!("\"{}\"", mark(number));
        if let Some(at) = text.windows(quoted.len()).position(|part| part == quoted.as_bytes()) {
            text.splice(at..at + quoted.len(), with.iter().copied());
        }
    }
    for change in changes {
        match change {
            Change::Bytes(at, count, with) => {
                let at = at.index(text.len() + 1);
                let end = (at + usize::from(*count)).min(text.len());
                text.splice(at..end, with.iter().copied());
            }
            Change::Cut(at) => text.truncate(at.index(text.len() + 1)),
            Change::Twice => text.extend(text.clone()),
            _ => {}
        }
    }
    text
}

/// The fields of a conversation that mostly name what is not there.
const OFTEN_LEFT_OUT: [&str; 8] = [
    "botId",
    "datasetId",
    "skillsetId",
    "contactId",
    "attachments",
    "extensions",
    "privacy",
    "moderation",
];

fn request() -> impl Strategy<Value = Vec<u8>> {
    let accept = select(vec![
        "",
        "accept: application/jsonl\r\n",
        "accept: text/event-stream\r\n",
        "accept: application/json\r\n",
    ]);
    // A body with such a field is refused for that alone, so most go without, and some have one.
    let left_out = prop_oneof![4 => Just(None), 3 => any::<Index>().prop_map(Some)];
    let changes = prop::collection::vec(change(), 0..4);
    (select(routes()), changes, accept, left_out).prop_map(|((path, mut value), changes, accept, kept)| {
        if let Some(fields) = value.as_object_mut() {
            let kept = kept.map(|kept| *kept.get(&OFTEN_LEFT_OUT));
            fields.retain(|name, _| Some(name.as_str()) == kept || !OFTEN_LEFT_OUT.contains(&name.as_str()));
        }
        let body = body(value, &changes);
        let mut request = format!(
            "POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: Bearer {SECRET}\r\n\
             content-type: application/json\r\n{accept}content-length: {}\r\n\r\n",
            body.len()
        )
        .into_bytes();
        request.extend_from_slice(&body);
        request
    })
}

/// Whether this is the beginning of an answer that goes on for ever, as a subscription's does.
fn is_stream(seen: &[u8]) -> bool {
    let head = seen.windows(4).position(|four| four == b"\r\n\r\n");
    let length = |head: &[u8]| {
        head.windows(15)
            .any(|part| part.eq_ignore_ascii_case(b"content-length:"))
    };
    seen.starts_with(b"HTTP/1.1 200") && head.is_some_and(|end| !length(&seen[..end]))
}

#[test]
fn any_body_is_taken_or_refused() {
    let server = fuzzed();
    run(&request(), &[200, 400, 404, 501], |request| {
        server.runtime.block_on(async {
            let seen = exchange(server.address, &request, Then::Waits, is_stream).await;
            let answers = answers(&seen.map_err(TestCaseError::fail)?, false).map_err(TestCaseError::fail)?;
            prop_assert_eq!(answers.len(), 1);
            healthy(server.address).await?;
            Ok(answers)
        })
    });
}
