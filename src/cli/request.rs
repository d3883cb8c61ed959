//! From arguments to a request: a prompt, or a whole body as JSON; and channel ids.

use std::io::Read as _;

use serde_json::Value;

use super::args::RequestArgs;
use super::exit::Failure;
use super::problem;
use crate::config::error::nearest;
use crate::wire::{ChannelId, CompleteRequest, DispatchRequest};

/// The most that is read from standard input or a file, in bytes.
const LONGEST_INPUT: u64 = 16 * 1024 * 1024;

/// The request that the arguments describe; a body may name its channel.
///
/// # Errors
/// When the input cannot be read, is not JSON, or is not a request.
pub fn request(args: &RequestArgs) -> Result<DispatchRequest, Failure> {
    if let Some(place) = &args.body {
        let text = read(place)?;
        return parse_body(&text).map_err(|problem| Failure::usage(format!("{}: {problem}", name(place))));
    }
    let prompt = match args.prompt.as_deref() {
        Some("-") => read("-")?,
        Some(prompt) => prompt.to_owned(),
        None => String::new(),
    };
    // What `echo` adds at the end is not part of the prompt.
    let prompt = prompt.trim_end_matches(['\n', '\r']);
    if prompt.trim().is_empty() {
        return Err(Failure::usage(
            "the prompt is empty; give a text, or `-` to read it from standard input",
        ));
    }
    let mut complete = CompleteRequest::prompt(prompt);
    complete.model.clone_from(&args.model);
    complete.backstory.clone_from(&args.backstory);
    Ok(DispatchRequest {
        channel_id: None,
        complete,
    })
}

/// Checks a channel id.
///
/// # Errors
/// When it is none.
pub fn channel(text: &str) -> Result<ChannelId, Failure> {
    ChannelId::parse(text).map_err(|error| Failure::usage(format!("{error}; copy it whole")))
}

/// Reads JSON from an argument, or from standard input for `-`.
///
/// # Errors
/// When it cannot be read or is not JSON, or is null.
pub fn json(argument: &str) -> Result<Value, Failure> {
    let text = if argument == "-" {
        read("-")?
    } else {
        argument.to_owned()
    };
    let value: Value = serde_json::from_str(&text).map_err(|error| {
        Failure::usage(format!(
            "the message is not JSON: {}. A plain text is written '\"text\"', an answer '{{\"data\": …}}'",
            problem::plain(&error)
        ))
    })?;
    if value.is_null() {
        return Err(Failure::usage(
            "the message is null, which cannot be published; publish any other JSON value",
        ));
    }
    Ok(value)
}

fn name(place: &str) -> &str {
    if place == "-" { "standard input" } else { place }
}

fn read(place: &str) -> Result<String, Failure> {
    let mut text = String::new();
    let result = if place == "-" {
        std::io::stdin()
            .lock()
            .take(LONGEST_INPUT + 1)
            .read_to_string(&mut text)
    } else {
        std::fs::File::open(place).and_then(|file| file.take(LONGEST_INPUT + 1).read_to_string(&mut text))
    };
    match result {
        Ok(length) if length as u64 > LONGEST_INPUT => Err(Failure::usage(format!(
            "{} holds more than {} MiB; make it smaller",
            name(place),
            LONGEST_INPUT / 1024 / 1024
        ))),
        Ok(_) => Ok(text),
        Err(error) => Err(Failure::usage(format!("cannot read {}: {error}", name(place)))),
    }
}

fn parse_body(text: &str) -> Result<DispatchRequest, String> {
    let value: Value = serde_json::from_str(text).map_err(|error| format!("not JSON: {}", problem::plain(&error)))?;
    if !value.is_object() {
        return Err("not a JSON object; expected {\"messages\": [{\"type\": \"user\", \"text\": \"…\"}]}".to_owned());
    }
    let refused = |error: serde_json::Error| format!("not a request: {}", problem::plain(&error));
    // Read once without the channel, since flattened types lose the places of their problems.
    serde_json::from_str::<CompleteRequest>(text).map_err(refused)?;
    let request: DispatchRequest = serde_json::from_str(text).map_err(refused)?;
    if request.complete.messages.is_empty() {
        return Err("`messages` is empty; expected at least one message".to_owned());
    }
    // What the types do not know would be dropped without a word.
    let understood = serde_json::to_value(&request).map_err(|error| error.to_string())?;
    match lost(&value, &understood) {
        Some(field) => Err(unknown_field(&field)),
        None => Ok(request),
    }
}

fn unknown_field(field: &str) -> String {
    let known = [
        "messages",
        "model",
        "backstory",
        "botId",
        "datasetId",
        "skillsetId",
        "privacy",
        "moderation",
        "attachments",
        "contactId",
        "functions",
        "extensions",
        "limits",
        "channelId",
    ];
    match nearest(field, known) {
        Some(near) => format!("unknown field `{field}`; did you mean `{near}`?"),
        None => format!("unknown field `{field}`; leave it out"),
    }
}

/// The path of a field that is not null on the left and absent on the right.
fn lost(left: &Value, right: &Value) -> Option<String> {
    let below = |name: String, rest: Option<String>| rest.map(|rest| format!("{name}.{rest}"));
    match (left, right) {
        (Value::Object(left), Value::Object(right)) => left.iter().find_map(|(name, value)| match right.get(name) {
            Some(other) => below(name.clone(), lost(value, other)),
            None if value.is_null() || value.as_array().is_some_and(Vec::is_empty) => None,
            None => Some(name.clone()),
        }),
        (Value::Array(left), Value::Array(right)) => left
            .iter()
            .zip(right)
            .enumerate()
            .find_map(|(index, (left, right))| below(index.to_string(), lost(left, right))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_taken_whole_or_refused() {
        let good = r#"{"channelId":"0123456789abcdef","messages":[{"type":"user","text":"hi","x":1}],
            "functions":[{"name":"f","description":"d","result":{"channel":"fedcba9876543210"}}],"model":null,"limits":{"calls":3}}"#;
        let request = parse_body(good).expect("a good body");
        assert_eq!(request.complete.functions.len(), 1);
        assert!(request.channel_id.is_some());
        for (body, expected) in [
            (
                "{",
                "not JSON: line 1, column 1: it ends too early; a quote, a bracket or a value is missing",
            ),
            (
                "{\"messages\":\n\"a\"}",
                "not a request: line 2, column 3: a list is expected, not a text",
            ),
            ("{}", "not a request: line 1, column 2: `messages` is missing"),
            (
                "[]",
                "not a JSON object; expected {\"messages\": [{\"type\": \"user\", \"text\": \"…\"}]}",
            ),
            (
                r#"{"messages":[]}"#,
                "`messages` is empty; expected at least one message",
            ),
            (
                r#"{"messages":[{"type":"user","text":"a"}],"function":[1]}"#,
                "unknown field `function`; did you mean `functions`?",
            ),
            (
                r#"{"messages":[{"type":"user","text":"a"}],"limits":{"loops":1}}"#,
                "unknown field `limits.loops`; leave it out",
            ),
            (
                r#"{"messages":[{"type":"user","text":"a"}],"functions":[{"name":"f","description":"d","extra":1}]}"#,
                "unknown field `functions.0.extra`; leave it out",
            ),
        ] {
            assert_eq!(parse_body(body).expect_err("refused"), expected);
        }
        let short = r#"{"channelId":"short","messages":[{"type":"user","text":"a"}]}"#;
        assert!(
            parse_body(short)
                .expect_err("refused")
                .contains("at least 16 characters")
        );
    }
}
