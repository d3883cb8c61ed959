//! The OpenAPI document: made from the table of routes and the types of the wire, never written by hand.
//!
//! It describes; that it says the truth is held by tests, which read the same table and ask the real server.

use schemars::generate::SchemaSettings;
use schemars::transform::{RecursiveTransform, Transform};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

use super::routes::{Access, Place, Route, Verb};
use crate::wire::{ApiError, ErrorCode, Object};

/// Where the schemas are in the document.
const SCHEMAS: &str = "#/components/schemas/";

/// Gives the schema of a type, and keeps the definitions that it needs.
pub(super) type SchemaOf = fn(&mut SchemaGenerator) -> Schema;

/// The schema of a type, for the table of routes.
pub(super) fn of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

/// The schema of a text in the form of server-sent events.
pub(super) fn server_sent_events(_: &mut SchemaGenerator) -> Schema {
    schemars::json_schema!({
        "type": "string",
        "description": "`event:` is the type of each line, `id:` its id where it has one, `data:` its data as JSON. \
                        A comment shows life after silence; a subscription's `retry:` says when to connect again.",
    })
}

/// A description as people read it, without the marks of the source it comes from.
#[derive(Clone)]
struct PlainDescriptions;

impl Transform for PlainDescriptions {
    fn transform(&mut self, schema: &mut Schema) {
        if let Some(Value::String(text)) = schema.get_mut("description") {
            *text = text.replace("[`", "`").replace("`]", "`");
        }
    }
}

fn generator(settings: SchemaSettings) -> SchemaGenerator {
    settings
        .with(|settings| {
            settings.definitions_path = "/components/schemas".into();
            settings.meta_schema = None;
        })
        .with_transform(RecursiveTransform(PlainDescriptions))
        .into_generator()
}

/// The document for these routes.
pub(super) fn document(routes: &[Route]) -> Value {
    let mut asked = generator(SchemaSettings::draft2020_12().for_deserialize());
    let mut answered = generator(SchemaSettings::draft2020_12().for_serialize());
    let mut paths = Object::new();
    let mut answers: Vec<(String, &'static str, Value)> = Vec::new();
    for route in routes {
        let verb = match route.verb {
            Verb::Get => "get",
            Verb::Post => "post",
        };
        let mut operation = operation(route);
        if let Some(body) = &route.doc.body {
            let schema = (body.schema)(&mut asked);
            operation.insert(
                "requestBody".to_owned(),
                json!({"required": body.required, "content": {"application/json": {"schema": schema, "examples": examples(body.examples)}}}),
            );
        }
        answers.push((route.path.to_owned(), verb, responses(route, &mut answered)));
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        path[verb] = Value::Object(operation);
    }
    let error = of::<ApiError>(&mut answered).to_value();
    let mut schemas = asked.take_definitions(true);
    let (more, renamed) = apart(answered.take_definitions(true), &schemas);
    schemas.extend(more);
    for (path, verb, mut answer) in answers {
        rename(&mut answer, &renamed);
        paths[path.as_str()][verb]["responses"] = answer;
    }
    schemas.sort_keys();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Switchboard",
            "version": env!("CARGO_PKG_VERSION"),
            "summary": "AI runs that go on in the background: dispatched, watched, answered",
            "description": "A field that this server does not implement is refused with `NOT_IMPLEMENTED`, naming it, and never ignored.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [
            {"url": "/v1"},
            {"url": "/api/v1", "description": "The same, where clients of self-hosted editions look for it"},
        ],
        "security": [{"account": []}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "responses": {"Refused": {
                "description": refused_description(),
                "content": {"application/json": {"schema": error}},
            }},
            "securitySchemes": {
                "account": {"type": "http", "scheme": "bearer", "description": "A secret of an account"},
                "metrics": {"type": "http", "scheme": "bearer", "description": "The secret of the metrics"},
            },
        },
    })
}

fn refused_description() -> String {
    let codes: Vec<String> = ErrorCode::KNOWN
        .iter()
        .map(|code| format!("{} {code}", code.status()))
        .collect();
    format!("A refusal; its message says which field, and why. {}", codes.join(", "))
}

fn operation(route: &Route) -> Object {
    let doc = &route.doc;
    let mut operation = Object::new();
    operation.insert("operationId".to_owned(), doc.id.into());
    operation.insert("tags".to_owned(), json!([doc.tag]));
    operation.insert("summary".to_owned(), doc.summary.into());
    operation.insert("description".to_owned(), doc.description.into());
    match doc.access {
        Access::Account => {}
        Access::Metrics => drop(operation.insert("security".to_owned(), json!([{"metrics": []}]))),
        Access::Anyone => drop(operation.insert("security".to_owned(), json!([]))),
    }
    let parameters: Vec<Value> = doc
        .parameters
        .iter()
        .map(|parameter| {
            let place = match parameter.place {
                Place::Path => "path",
                Place::Query => "query",
                Place::Header => "header",
            };
            json!({
                "name": parameter.name,
                "in": place,
                "required": parameter.place == Place::Path,
                "description": parameter.description,
                "schema": (parameter.schema)(),
            })
        })
        .collect();
    if !parameters.is_empty() {
        operation.insert("parameters".to_owned(), parameters.into());
    }
    operation
}

fn responses(route: &Route, generator: &mut SchemaGenerator) -> Value {
    let mut content = Object::new();
    for answer in &route.doc.answers {
        let schema = (answer.schema)(generator);
        let mut media = json!({"schema": schema});
        if !answer.examples.is_empty() {
            media["examples"] = examples(answer.examples);
        }
        content.insert(answer.media.to_owned(), media);
    }
    json!({
        "200": {"description": route.doc.answered, "content": content},
        "default": {"$ref": "#/components/responses/Refused"},
    })
}

/// Examples as the document holds them. They are JSON in the table; a test reads them all.
fn examples(examples: &[(&str, &str)]) -> Value {
    examples
        .iter()
        .map(|(name, json)| {
            let value: Value = serde_json::from_str(json).unwrap_or(Value::Null);
            ((*name).to_owned(), json!({"value": value}))
        })
        .collect::<Map<String, Value>>()
        .into()
}

/// Definitions of answers beside those of requests: one that reads differently there gets a name of its own.
fn apart(answered: Map<String, Value>, asked: &Map<String, Value>) -> (Map<String, Value>, Vec<(String, String)>) {
    let mut renamed: Vec<(String, String)> = Vec::new();
    // What refers to something that is renamed reads differently too.
    loop {
        let before = renamed.len();
        for (name, schema) in &answered {
            if renamed.iter().any(|(from, _)| *from == pointer(name)) {
                continue;
            }
            let mut schema = schema.clone();
            rename(&mut schema, &renamed);
            if asked.get(name).is_some_and(|other| *other != schema) {
                renamed.push((pointer(name), pointer(&format!("{name}Answer"))));
            }
        }
        if renamed.len() == before {
            break;
        }
    }
    let definitions = answered
        .into_iter()
        .map(|(name, mut schema)| {
            rename(&mut schema, &renamed);
            let own = renamed.iter().any(|(from, _)| *from == pointer(&name));
            (if own { format!("{name}Answer") } else { name }, schema)
        })
        .collect();
    (definitions, renamed)
}

fn pointer(name: &str) -> String {
    format!("{SCHEMAS}{name}")
}

fn rename(value: &mut Value, renamed: &[(String, String)]) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                match value {
                    Value::String(target) if key == "$ref" => {
                        if let Some((_, to)) = renamed.iter().find(|(from, _)| from == target) {
                            target.clone_from(to);
                        }
                    }
                    other => rename(other, renamed),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| rename(item, renamed)),
        _ => {}
    }
}

#[cfg(test)]
#[path = "openapi_tests.rs"]
mod tests;
