//! What the body of `dispatch` and `complete` must hold (PROTOCOL, "Routes" and "Functions").
//!
//! Every refusal names the field. A field that this server does not implement, or does not know, is
//! refused as such and never ignored; `null` for a top-level field counts as absent. What a valid body
//! means is the engine's business.

mod extensions;
mod published;

use std::collections::HashSet;

use serde_json::Value;

use super::error::Refusal;
use super::request;
use crate::wire::request::{Function, LONGEST_HISTORY, Limits, SubscribeRequest};
use crate::wire::surrogate::SurrogateJoiner;
use crate::wire::{ChannelId, CompleteRequest, DispatchRequest, Message, MessageKind, Object};

pub(super) use published::publish;

/// The longest name of a function, in characters.
const LONGEST_FUNCTION_NAME: usize = 64;

/// The fields of a bot's configuration; a `botId` stands in their place.
const CONFIGURATION: [&str; 6] = ["model", "backstory", "datasetId", "skillsetId", "privacy", "moderation"];

/// Reads and checks the body of `dispatch`.
pub(super) fn dispatch(body: &[u8]) -> Result<DispatchRequest, Refusal> {
    read(body, true)
}

/// Reads and checks the body of `complete`.
pub(super) fn complete(body: &[u8]) -> Result<CompleteRequest, Refusal> {
    read(body, false).map(|request| request.complete)
}

/// Reads and checks the body of `subscribe`.
pub(super) fn subscribe(body: &[u8]) -> Result<SubscribeRequest, Refusal> {
    let fields: Object = request::parse(body)?;
    known_fields(&fields, "", &["historyLength", "after"])?;
    let request: SubscribeRequest = typed(Value::Object(fields))?;
    if request.history_length.is_some_and(|length| length > LONGEST_HISTORY) {
        return Err(Refusal::bad_request(format!(
            "`historyLength` is a whole number from 0 to {LONGEST_HISTORY}"
        )));
    }
    Ok(request)
}

/// Checks a body that has no fields.
pub(super) fn empty(body: &[u8]) -> Result<(), Refusal> {
    let fields: Object = request::parse(body)?;
    known_fields(&fields, "", &[])
}

fn read(body: &[u8], with_channel: bool) -> Result<DispatchRequest, Refusal> {
    // A JavaScript caller that cuts a text by length may send half an emoji, which strict readers refuse.
    let body = SurrogateJoiner::default().repair(body);
    let mut fields: Object = request::parse(&body)?;
    fields.retain(|_, value| !value.is_null());
    let mut known = vec![
        "messages",
        "botId",
        "contactId",
        "attachments",
        "functions",
        "extensions",
        "limits",
    ];
    known.extend(CONFIGURATION);
    if with_channel {
        known.push("channelId");
    }
    known_fields(&fields, "", &known)?;
    for (index, message) in items(&fields, "messages") {
        let known = ["type", "text", "meta", "name", "description", "id", "createdAt"];
        known_fields(message, &format!("messages[{index}]."), &known)?;
    }
    only_objects(&fields, "", "attachments")?;
    for (index, attachment) in items(&fields, "attachments") {
        known_fields(attachment, &format!("attachments[{index}]."), &["url"])?;
    }
    only_objects(&fields, "", "functions")?;
    for (index, function) in items(&fields, "functions") {
        let path = format!("functions[{index}].");
        known_fields(
            function,
            &path,
            &["name", "description", "parameters", "result", "call"],
        )?;
        for name in ["result", "call"] {
            // The types would take a list of its values for it.
            if function
                .get(name)
                .is_some_and(|value| !value.is_object() && !value.is_null())
            {
                return Err(Refusal::bad_request(format!("`{path}{name}` is an object")));
            }
        }
        if let Some(Value::Object(result)) = function.get("result") {
            known_fields(result, &format!("{path}result."), &["data", "channel"])?;
        }
        if let Some(Value::Object(call)) = function.get("call") {
            known_fields(call, &format!("{path}call."), &["start", "end"])?;
        }
    }
    if fields.get("limits").is_some_and(|limits| !limits.is_object()) {
        return Err(Refusal::bad_request("`limits` is an object"));
    }
    if let Some(Value::Object(limits)) = fields.get("limits") {
        known_fields(limits, "limits.", &["iterations", "continuations", "calls"])?;
    }
    extensions::fields(&fields)?;
    if fields.contains_key("botId")
        && let Some(field) = CONFIGURATION.iter().find(|field| fields.contains_key(**field))
    {
        return Err(Refusal::bad_request(format!(
            "`{field}` belongs to the configuration that `botId` names: leave out one of them (`extensions` go along \
             with both)"
        )));
    }
    if !fields.contains_key("messages") {
        return Err(Refusal::bad_request(
            "`messages` is missing: at least one message is needed",
        ));
    }
    let channel_id = match fields.remove("channelId") {
        Some(Value::String(channel)) => {
            Some(ChannelId::parse(&channel).map_err(|error| Refusal::bad_request(format!("`channelId`: {error}")))?)
        }
        Some(_) => return Err(Refusal::bad_request("`channelId` is a text")),
        None => None,
    };
    let complete: CompleteRequest = typed(Value::Object(fields))?;
    check(&complete)?;
    Ok(DispatchRequest { channel_id, complete })
}

fn items<'a>(fields: &'a Object, name: &str) -> impl Iterator<Item = (usize, &'a Object)> {
    let items = fields.get(name).and_then(Value::as_array);
    items
        .into_iter()
        .flatten()
        .enumerate()
        .filter_map(|(index, item)| item.as_object().map(|item| (index, item)))
}

/// Refuses a list that holds anything but objects: the types would take a list of a record's values for the record.
fn only_objects(fields: &Object, path: &str, name: &str) -> Result<(), Refusal> {
    let items = fields.get(name).and_then(Value::as_array);
    match items.into_iter().flatten().position(|item| !item.is_object()) {
        Some(index) => Err(Refusal::bad_request(format!("`{path}{name}[{index}]` is an object"))),
        None => Ok(()),
    }
}

fn known_fields(fields: &Object, path: &str, known: &[&str]) -> Result<(), Refusal> {
    match fields.keys().find(|name| !known.contains(&name.as_str())) {
        Some(name) => Err(Refusal::not_implemented(&format!("{path}{name}"))),
        None => Ok(()),
    }
}

fn typed<T: serde::de::DeserializeOwned>(value: Value) -> Result<T, Refusal> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        let path = error.path().to_string();
        let reason = error.into_inner();
        if path == "." {
            Refusal::bad_request(format!("the body: {reason}"))
        } else {
            Refusal::bad_request(format!("`{path}`: {reason}"))
        }
    })
}

fn check(request: &CompleteRequest) -> Result<(), Refusal> {
    if request.messages.is_empty() {
        return Err(Refusal::bad_request("`messages`: at least one message is needed"));
    }
    for (index, message) in request.messages.iter().enumerate() {
        check_message(index, message)?;
    }
    let mut names = HashSet::new();
    for (index, function) in request.functions.iter().enumerate() {
        check_function(index, function)?;
        if !names.insert(function.name.as_str()) {
            return Err(Refusal::bad_request(format!(
                "`functions[{index}].name`: there is another function of this name"
            )));
        }
    }
    if let Some(extensions) = &request.extensions {
        extensions::check(extensions)?;
    }
    match &request.limits {
        Some(limits) => check_limits(limits),
        None => Ok(()),
    }
}

fn check_message(index: usize, message: &Message) -> Result<(), Refusal> {
    match &message.kind {
        MessageKind::Other(name) => Err(Refusal::bad_request(format!(
            "`messages[{index}].type`: {name:?} is none of user, bot, reasoning, context, instruction, backstory, \
             activity, checkpoint"
        ))),
        MessageKind::Activity if message.activity().is_none() => Err(Refusal::bad_request(format!(
            "`messages[{index}].meta.activity`: an activity message needs \
             {{\"type\": \"request\", \"response\" or \"trigger\", \"function\": {{\"name\", \"arguments\"}}}}"
        ))),
        _ => Ok(()),
    }
}

fn check_function(index: usize, function: &Function) -> Result<(), Refusal> {
    let refused =
        |field: &str, reason: &str| Err(Refusal::bad_request(format!("`functions[{index}].{field}`: {reason}")));
    let name = &function.name;
    let mut characters = name.chars();
    let pattern = characters.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '$')
        && characters.all(|c| c.is_ascii_alphanumeric() || c == '$' || c == '_');
    if !pattern {
        return refused(
            "name",
            "a function's name begins with a letter or `$`, and goes on with letters, digits, `$` and `_`",
        );
    }
    if name.len() > LONGEST_FUNCTION_NAME {
        return refused("name", "a function's name has at most 64 characters");
    }
    if function.description.trim().is_empty() {
        return refused("description", "a function needs a description, for the model");
    }
    if let Some(parameters) = &function.parameters
        && parameters.get("type").and_then(Value::as_str) != Some("object")
    {
        return refused("parameters", "this has to be a JSON Schema whose `type` is \"object\"");
    }
    if let Some(result) = &function.result
        && result.data.is_none()
        && result.channel.is_none()
    {
        return refused("result", "this needs `data` or `channel`, or both");
    }
    Ok(())
}

fn check_limits(limits: &Limits) -> Result<(), Refusal> {
    for (name, limit) in [
        ("iterations", limits.iterations),
        ("continuations", limits.continuations),
        ("calls", limits.calls),
    ] {
        if limit == Some(0) {
            return Err(Refusal::bad_request(format!(
                "`limits.{name}` is a whole number of 1 or more"
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::response::IntoResponse;
    use serde_json::json;

    fn refusal(body: &Value) -> (u16, String) {
        match dispatch(body.to_string().as_bytes()) {
            Ok(request) => panic!("taken: {request:?}"),
            Err(refusal) => {
                let message = format!("{refusal:?}");
                (refusal.into_response().status().as_u16(), message)
            }
        }
    }

    #[test]
    fn each_rule_names_its_field() {
        let user = json!([{"type": "user", "text": "hi"}]);
        let function = |fields: Value| {
            let mut function = json!({"name": "f", "description": "d"});
            if let (Some(function), Some(fields)) = (function.as_object_mut(), fields.as_object()) {
                function.extend(fields.clone());
            }
            json!({"messages": user, "functions": [function]})
        };
        let ability = |fields: Value| {
            let mut ability = json!({"name": "n", "description": "d", "instruction": "i"});
            if let (Some(ability), Some(fields)) = (ability.as_object_mut(), fields.as_object()) {
                ability.extend(fields.clone());
            }
            json!({"messages": user, "extensions": {"skillsets": [{"abilities": [ability]}]}})
        };
        let table = [
            (json!({}), 400, "messages"),
            (json!({"messages": []}), 400, "messages"),
            (json!({"messages": 5}), 400, "messages"),
            (json!({"messages": [{"type": "user"}]}), 400, "text"),
            (
                json!({"messages": [{"type": "robot", "text": ""}]}),
                400,
                "messages[0].type",
            ),
            (
                json!({"messages": [{"type": "activity", "text": ""}]}),
                400,
                "messages[0].meta.activity",
            ),
            (
                json!({"messages": [{"type": "user", "text": "", "mood": 1}]}),
                501,
                "messages[0].mood",
            ),
            (json!({"messages": user, "channelId": "short"}), 400, "16"),
            (json!({"messages": user, "surprise": 1}), 501, "surprise"),
            (json!({"messages": user, "botId": 1}), 400, "botId"),
            (json!({"messages": user, "botId": "b", "model": "m"}), 400, "`model`"),
            (
                json!({"messages": user, "botId": "b", "privacy": false}),
                400,
                "`privacy`",
            ),
            (json!({"messages": user, "datasetId": []}), 400, "datasetId"),
            (json!({"messages": user, "skillsetId": {}}), 400, "skillsetId"),
            (json!({"messages": user, "privacy": 1}), 400, "privacy"),
            (json!({"messages": user, "moderation": 1}), 400, "moderation"),
            (json!({"messages": user, "attachments": {}}), 400, "attachments"),
            (json!({"messages": user, "attachments": ["x"]}), 400, "attachments[0]"),
            (json!({"messages": user, "attachments": [{}]}), 400, "attachments[0]"),
            (
                json!({"messages": user, "attachments": [{"url": 1}]}),
                400,
                "attachments[0].url",
            ),
            (
                json!({"messages": user, "attachments": [{"url": "https://a.example/", "type": "x"}]}),
                501,
                "attachments[0].type",
            ),
            (json!({"messages": user, "contactId": ""}), 400, "contactId"),
            (json!({"messages": user, "contactId": 5}), 400, "contactId"),
            (
                json!({"messages": user, "contactId": {"name": "Ada"}}),
                400,
                "contactId.fingerprint",
            ),
            (
                json!({"messages": user, "contactId": {"fingerprint": " "}}),
                400,
                "contactId.fingerprint",
            ),
            (
                json!({"messages": user, "contactId": {"fingerprint": "f", "nick": 1}}),
                400,
                "contactId.nick",
            ),
            (
                json!({"messages": user, "contactId": {"fingerprint": "f", "meta": "m"}}),
                400,
                "contactId.meta",
            ),
            (
                json!({"messages": user, "contactId": {"fingerprint": "f", "age": 1}}),
                501,
                "contactId.age",
            ),
            (json!({"messages": user, "extensions": []}), 400, "extensions"),
            (
                json!({"messages": user, "extensions": {"tools": []}}),
                501,
                "extensions.tools",
            ),
            (
                json!({"messages": user, "extensions": {"datasets": [{"name": "d"}]}}),
                400,
                "extensions.datasets[0]",
            ),
            (
                json!({"messages": user, "extensions": {"datasets": [{"records": [{"text": "t", "score": 1}]}]}}),
                501,
                "extensions.datasets[0].records[0].score",
            ),
            (
                json!({"messages": user, "extensions": {"datasets": [{"records": [{"meta": {}}]}]}}),
                400,
                "extensions.datasets[0].records[0]",
            ),
            (
                ability(json!({"instruction": " "})),
                400,
                "extensions.skillsets[0].abilities[0].instruction",
            ),
            (
                ability(json!({"description": ""})),
                400,
                "extensions.skillsets[0].abilities[0].description",
            ),
            (
                ability(json!({"name": ""})),
                400,
                "extensions.skillsets[0].abilities[0].name",
            ),
            (
                ability(json!({"name": null})),
                400,
                "extensions.skillsets[0].abilities[0].name",
            ),
            (
                ability(json!({"secretId": "s"})),
                501,
                "extensions.skillsets[0].abilities[0].secretId",
            ),
            (
                ability(json!({"icon": "s"})),
                501,
                "extensions.skillsets[0].abilities[0].icon",
            ),
            (
                json!({"messages": user, "extensions": {"features": [{"options": {}}]}}),
                400,
                "extensions.features[0]",
            ),
            (
                json!({"messages": user, "extensions": {"features": [{"name": "time", "on": true}]}}),
                501,
                "extensions.features[0].on",
            ),
            (json!({"messages": user, "limits": {"calls": 0}}), 400, "limits.calls"),
            (
                json!({"messages": user, "limits": {"continuations": 0}}),
                400,
                "limits.continuations",
            ),
            (
                json!({"messages": user, "limits": {"iterations": 0}}),
                400,
                "limits.iterations",
            ),
            (json!({"messages": user, "limits": {"time": 0}}), 501, "limits.time"),
            (function(json!({"name": "_f"})), 400, "functions[0].name"),
            (function(json!({"name": "f-g"})), 400, "functions[0].name"),
            (function(json!({"name": "f".repeat(65)})), 400, "functions[0].name"),
            (function(json!({"description": " "})), 400, "functions[0].description"),
            (
                function(json!({"parameters": {"type": "array"}})),
                400,
                "functions[0].parameters",
            ),
            (function(json!({"result": {}})), 400, "functions[0].result"),
            (function(json!({"result": {"channel": "short"}})), 400, "16"),
            (function(json!({"call": {"start": 1}})), 400, "functions[0].call.start"),
            (
                function(json!({"call": {"middle": true}})),
                501,
                "functions[0].call.middle",
            ),
            (
                json!({"messages": user, "functions": [["f", "d"]]}),
                400,
                "`functions[0]` is an object",
            ),
            (
                json!({"messages": user, "limits": [1, 2, 3]}),
                400,
                "`limits` is an object",
            ),
            (
                json!({"messages": user, "extensions": {"datasets": [[null, null, []]]}}),
                400,
                "`extensions.datasets[0]` is an object",
            ),
            (
                function(json!({"call": [true]})),
                400,
                "`functions[0].call` is an object",
            ),
            (
                function(json!({"result": [1]})),
                400,
                "`functions[0].result` is an object",
            ),
            (function(json!({"strict": true})), 501, "functions[0].strict"),
            (
                json!({"messages": user, "functions": [{"name": "f", "description": "d"}, {"name": "f", "description": "d"}]}),
                400,
                "functions[1].name",
            ),
        ];
        for (body, status, named) in table {
            let (was, message) = refusal(&body);
            assert_eq!(was, status, "{body}: {message}");
            assert!(message.contains(named), "{body}: {message}");
        }
    }

    #[test]
    fn null_counts_as_absent_and_null_data_is_a_result() {
        let body = json!({
            "messages": [{"type": "user", "text": "hi", "meta": null}], "botId": null, "channelId": null, "functions": [
                {"name": "$f_1", "description": "d", "parameters": {"type": "object"}, "result": {"data": null}, "call": null},
            ], "limits": {"iterations": 3, "calls": null},
        });
        let request = dispatch(body.to_string().as_bytes()).expect("a valid dispatch");
        assert_eq!(request.channel_id, None);
        let result = request.complete.functions[0].result.as_ref().expect("a result");
        assert_eq!(result.data, Some(Value::Null));
    }

    #[test]
    fn a_bot_or_a_configuration_goes_along_with_extensions_and_a_contact() {
        let extensions = json!({
            "backstory": "b", "datasets": [{"records": []}, {"name": "n", "description": "d", "records": [{"text": "t"}]}],
            "skillsets": [{"abilities": [{"name": "n", "description": "d", "instruction": "i", "meta": {}}]}],
            "features": [{"name": "time", "options": {"timezone": "UTC"}}],
        });
        let person = json!({"fingerprint": "f", "name": "Ada", "nick": null, "email": "a@b.c", "meta": {"vip": true}});
        for (fields, contact) in [
            (json!({"botId": "b", "model": null}), json!("c-1")),
            (
                json!({"model": "m", "datasetId": "d", "skillsetId": "s", "privacy": true}),
                person,
            ),
        ] {
            let mut body = json!({
                "messages": [{"type": "user", "text": "hi"}], "extensions": extensions, "contactId": contact,
            });
            if let (Some(body), Some(fields)) = (body.as_object_mut(), fields.as_object()) {
                body.extend(fields.clone());
            }
            let request = dispatch(body.to_string().as_bytes())
                .expect("a valid dispatch")
                .complete;
            assert_eq!(
                serde_json::to_value(&request.extensions).expect("JSON")["features"],
                extensions["features"]
            );
            assert!(request.contact_id.is_some());
        }
    }

    #[test]
    fn calls_at_the_start_and_the_end_and_a_bound_of_calls_are_taken() {
        let body = json!({
            "messages": [{"type": "user", "text": "hi"}], "limits": {"calls": 2, "continuations": 3},
            "functions": [{"name": "f", "description": "d", "call": {"start": true, "end": true}}],
        });
        let request = dispatch(body.to_string().as_bytes())
            .expect("a valid dispatch")
            .complete;
        let limits = request.limits.expect("limits");
        assert_eq!((limits.calls, limits.continuations), (Some(2), Some(3)));
        let call = request.functions[0].call.as_ref().expect("a call");
        assert_eq!((call.start, call.end), (Some(true), Some(true)));
    }

    #[test]
    fn half_an_emoji_costs_no_dispatch() {
        let request = dispatch(br#"{"messages":[{"type":"user","text":"hi \ud83d"}]}"#).expect("a valid dispatch");
        assert_eq!(request.complete.messages[0].text, "hi \u{fffd}");
    }

    #[test]
    fn a_complete_has_no_channel() {
        let body = json!({"messages": [{"type": "user", "text": ""}], "channelId": "0123456789abcdef"});
        assert!(complete(body.to_string().as_bytes()).is_err());
    }

    #[test]
    fn a_subscription_is_checked() {
        for (body, valid) in [
            ("", true),
            ("{}", true),
            ("{\"historyLength\":10000}", true),
            ("{\"historyLength\":null,\"after\":3}", true),
            ("{\"historyLength\":10001}", false),
            ("{\"historyLength\":-1}", false),
            ("{\"historyLength\":\"1\"}", false),
            ("{\"history\":1}", false),
            ("[]", false),
            ("{", false),
        ] {
            assert_eq!(subscribe(body.as_bytes()).is_ok(), valid, "{body}");
        }
    }
}
