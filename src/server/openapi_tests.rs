//! That the OpenAPI document is one, and that it says what the server does.

use std::collections::HashSet;

use super::*;
use crate::server::ServerOptions;
use crate::server::routes::routes;
use crate::server::validate;

fn table() -> Vec<Route> {
    routes(&ServerOptions {
        allow_stop: true,
        ..ServerOptions::default()
    })
}

/// A check against a schema of the document.
struct Checked {
    document: Value,
}

impl Checked {
    fn against(&self, schema: &Value, value: &Value) -> Result<(), String> {
        let schema = json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "components": self.document["components"],
            "allOf": [schema],
        });
        let validator = jsonschema::options()
            .offline()
            .build(&schema)
            .map_err(|error| error.to_string())?;
        validator
            .validate(value)
            .map_err(|error| format!("{} at {}", error, error.instance_path()))
    }

    fn named(&self, name: &str, value: &Value) -> Result<(), String> {
        assert!(self.document["components"]["schemas"].get(name).is_some(), "{name}");
        self.against(&json!({"$ref": format!("{SCHEMAS}{name}")}), value)
    }
}

fn checked() -> Checked {
    Checked {
        document: document(&table()),
    }
}

#[test]
fn every_route_is_in_the_document_and_nothing_else() {
    let document = document(&table());
    let mut described = HashSet::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        for verb in item.as_object().expect("operations").keys() {
            described.insert((path.clone(), verb.clone()));
        }
    }
    let served: HashSet<(String, String)> = table()
        .iter()
        .map(|route| (route.path.to_owned(), format!("{:?}", route.verb).to_lowercase()))
        .collect();
    assert_eq!(described, served);
    let ids: HashSet<&str> = table().iter().map(|route| route.doc.id).collect();
    assert_eq!(ids.len(), served.len(), "each has an id of its own");
    assert_eq!(document["openapi"], "3.1.0");
}

#[test]
fn every_reference_leads_somewhere() {
    fn look(value: &Value, document: &Value) {
        match value {
            Value::Object(fields) => {
                if let Some(Value::String(target)) = fields.get("$ref") {
                    let found = document.pointer(target.trim_start_matches('#'));
                    assert!(found.is_some(), "{target}");
                }
                fields.values().for_each(|value| look(value, document));
            }
            Value::Array(items) => items.iter().for_each(|value| look(value, document)),
            _ => {}
        }
    }
    let document = document(&table());
    look(&document, &document);
}

#[test]
fn every_parameter_of_a_path_is_described() {
    for route in table() {
        let in_path: Vec<&str> = route
            .path
            .split('/')
            .filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'))
            .collect();
        let described = route.doc.parameters.iter();
        let described: Vec<&str> = described
            .filter(|parameter| parameter.place == Place::Path)
            .map(|parameter| parameter.name)
            .collect();
        assert_eq!(in_path, described, "{}", route.path);
    }
}

#[test]
fn every_example_fits_its_schema() {
    let checked = checked();
    let mut seen = 0;
    for (path, item) in checked.document["paths"].as_object().expect("paths") {
        for (verb, operation) in item.as_object().expect("operations") {
            let bodies = [
                &operation["requestBody"]["content"],
                &operation["responses"]["200"]["content"],
            ];
            for (media, content) in bodies.into_iter().filter_map(Value::as_object).flatten() {
                let examples = content["examples"].as_object().into_iter().flatten();
                for (name, example) in examples {
                    let value = &example["value"];
                    assert!(!value.is_null(), "{path}: the example {name} is no JSON");
                    let fits = checked.against(&content["schema"], value);
                    assert_eq!(fits, Ok(()), "{verb} {path} {media}: {name}");
                    seen += 1;
                }
            }
        }
    }
    assert!(seen >= 20, "{seen}");
}

#[test]
fn what_a_body_may_hold_is_said_as_it_is_checked() {
    let checked = checked();
    let user = json!([{"type": "user", "text": "hi"}]);
    for (body, valid) in [
        (json!({"messages": user}), true),
        (json!({"messages": user, "channelId": "0123456789abcdef"}), true),
        (json!({"messages": user, "limits": {"iterations": 3}}), true),
        (
            json!({"messages": user, "functions": [{"name": "f", "description": "d", "result": {"data": null}}]}),
            true,
        ),
        (json!({}), false),
        (json!({"messages": 5}), false),
        (json!({"messages": [{"type": "user"}]}), false),
        (json!({"messages": [{"type": "robot", "text": ""}]}), false),
        (json!({"messages": user, "channelId": "short"}), false),
        (json!({"messages": user, "limits": {"iterations": "three"}}), false),
        (json!({"messages": user, "functions": [{"name": "f"}]}), false),
        (json!({"messages": []}), false),
        (json!({"messages": user, "channelId": "c".repeat(257)}), false),
        (json!({"messages": user, "limits": {"iterations": 0}}), false),
        (json!({"messages": user, "limits": {"calls": 0}}), false),
        (json!({"messages": user, "limits": {"continuations": 0}}), false),
        (json!({"messages": user, "limits": {"continuations": null}}), true),
        (json!({"messages": user, "limits": 5}), false),
        (json!({"messages": user, "attachments": [5]}), false),
        (json!({"messages": user, "extensions": []}), false),
        (json!({"messages": user, "botId": "b", "model": "m"}), false),
        (json!({"messages": user, "botId": "b", "privacy": true}), false),
        (json!({"messages": user, "botId": "b", "model": null}), true),
        (json!({"messages": user, "botId": null, "model": "m"}), true),
        (json!({"messages": user, "contactId": " "}), false),
        (json!({"messages": user, "contactId": {"name": "n"}}), false),
        (json!({"messages": user, "contactId": {"fingerprint": ""}}), false),
        (
            json!({"messages": user, "contactId": {"fingerprint": "f", "name": "n"}}),
            true,
        ),
        (json!({"messages": [{"type": "activity", "text": ""}]}), false),
        (
            json!({"messages": [{"type": "activity", "text": "", "meta": {"activity": {"type": "nap", "function": {}}}}]}),
            false,
        ),
        (
            json!({"messages": [{"type": "activity", "text": "", "meta":
                {"activity": {"type": "request", "function": {"name": "f", "arguments": {}}}}}]}),
            true,
        ),
    ] {
        let taken = validate::dispatch(body.to_string().as_bytes()).is_ok();
        let described = checked.named("DispatchRequest", &body);
        assert_eq!(taken, valid, "{body}");
        assert_eq!(described.is_ok(), valid, "{body}: {described:?}");
    }
    let function = |fields: Value| {
        let mut function = json!({"name": "f", "description": "d"});
        let own = function.as_object_mut().expect("an object");
        own.extend(fields.as_object().expect("an object").clone());
        json!({"messages": user, "functions": [function]})
    };
    let ability = |field: &str| {
        let mut ability = json!({"name": "n", "description": "d", "instruction": "i"});
        if !field.is_empty() {
            ability[field] = json!(" ");
        }
        json!({"messages": user, "extensions": {"skillsets": [{"abilities": [ability]}]}})
    };
    for (body, valid) in [
        (function(json!({"name": "$f_1"})), true),
        (function(json!({"name": "_f"})), false),
        (function(json!({"name": "1f"})), false),
        (function(json!({"name": "f-g"})), false),
        (function(json!({"name": ""})), false),
        (function(json!({"name": "f".repeat(64)})), true),
        (function(json!({"name": "f".repeat(65)})), false),
        (function(json!({"description": " "})), false),
        (function(json!({"parameters": {"type": "object"}})), true),
        (function(json!({"parameters": null})), true),
        (function(json!({"parameters": {"type": "array"}})), false),
        (function(json!({"parameters": {}})), false),
        (function(json!({"parameters": true})), false),
        (function(json!({"result": {}})), false),
        (function(json!({"result": {"data": null}})), true),
        (function(json!({"result": {"channel": null}})), false),
        (function(json!({"result": {"channel": "short"}})), false),
        (function(json!({"call": {"start": "yes"}})), false),
        (ability(""), true),
        (ability("name"), false),
        (ability("description"), false),
        (ability("instruction"), false),
    ] {
        let taken = validate::dispatch(body.to_string().as_bytes()).is_ok();
        let described = checked.named("DispatchRequest", &body);
        assert_eq!(taken, valid, "{body}");
        assert_eq!(described.is_ok(), valid, "{body}: {described:?}");
    }
    for (body, valid) in [
        (json!({"message": 0}), true),
        (json!({"message": null}), false),
        (json!({}), false),
    ] {
        let taken = validate::publish(body.to_string().as_bytes()).is_ok();
        let described = checked.named("PublishRequest", &body);
        assert_eq!((taken, described.is_ok()), (valid, valid), "{body}: {described:?}");
    }
    for (body, valid) in [
        (json!({}), true),
        (json!({"historyLength": 10, "after": 3}), true),
        (json!({"historyLength": -1}), false),
        (json!({"historyLength": 10_000}), true),
        (json!({"historyLength": 10_001}), false),
        (json!({"historyLength": "10"}), false),
        (json!({"after": -1}), false),
    ] {
        assert_eq!(
            validate::subscribe(body.to_string().as_bytes()).is_ok(),
            valid,
            "{body}"
        );
        assert_eq!(checked.named("SubscribeRequest", &body).is_ok(), valid, "{body}");
    }
}

#[test]
fn events_are_described_as_they_are_sent() {
    let checked = checked();
    for (event, fits) in [
        (json!({"type": "token", "data": {"token": "a"}}), true),
        (json!({"type": "token", "data": {}}), false),
        (json!({"type": "message", "data": {"type": "bot", "text": "x"}}), true),
        (json!({"type": "nothing", "data": {}}), false),
        (
            json!({"type": "usage", "data": {"model": "m", "inputTokensUsed": 1, "outputTokensUsed": 2}}),
            true,
        ),
        (
            json!({"type": "waitForChannelMessageBegin", "data": {"channel": "c", "function": {"name": "f", "args": {}}, "expiresAt": 5}}),
            true,
        ),
        (
            json!({"type": "result", "data": {"text": "t", "usage": {"token": 3}, "end": {"reason": "stop"}}}),
            true,
        ),
        (json!({"type": "result", "data": {"text": 5}}), false),
        (
            json!({"type": "error", "data": {"message": "m", "code": "BAD_GATEWAY"}}),
            true,
        ),
    ] {
        let checked = checked.named("Event", &event);
        assert_eq!(checked.is_ok(), fits, "{event}: {checked:?}");
    }
}
