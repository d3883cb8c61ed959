//! Arguments that fit a function's schema, for the demo's calls.
//!
//! It knows the common parts of JSON Schema, not all of it; what it does not know becomes `null`.

use serde_json::{Map, Value, json};

const DEEPEST: usize = 6;

/// Arguments for a call; texts without a better idea are the topic.
pub(super) fn arguments(parameters: Option<&Value>, topic: &str) -> Value {
    match parameters.map(|schema| object(schema, topic, 0)) {
        Some(value) => value,
        None => json!({}),
    }
}

/// The required properties; all of them if none is required.
fn object(schema: &Value, topic: &str, depth: usize) -> Value {
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else {
        return json!({});
    };
    let required: Vec<&str> = schema
        .get("required")
        .and_then(Value::as_array)
        .map(|names| names.iter().filter_map(Value::as_str).collect())
        .unwrap_or_default();
    let chosen = properties
        .iter()
        .filter(|(name, _)| required.is_empty() || required.contains(&name.as_str()));
    let fields: Map<String, Value> = chosen
        .map(|(name, schema)| (name.clone(), value(schema, topic, depth + 1)))
        .collect();
    Value::Object(fields)
}

fn value(schema: &Value, topic: &str, depth: usize) -> Value {
    if depth > DEEPEST {
        return Value::Null;
    }
    for name in ["const", "default"] {
        if let Some(value) = schema.get(name) {
            return value.clone();
        }
    }
    for name in ["enum", "examples"] {
        if let Some(value) = schema.get(name).and_then(|values| values.get(0)) {
            return value.clone();
        }
    }
    for name in ["anyOf", "oneOf", "allOf"] {
        if let Some(schema) = schema.get(name).and_then(|schemas| schemas.get(0)) {
            return value(schema, topic, depth + 1);
        }
    }
    let kind = match schema.get("type") {
        Some(Value::Array(kinds)) => kinds.first(),
        other => other,
    };
    match kind.and_then(Value::as_str) {
        Some("string") => text(schema, topic),
        Some("integer") => number(schema, |value| value.as_i64().map(Value::from)),
        Some("number") => number(schema, |value| value.is_number().then(|| value.clone())),
        Some("boolean") => Value::Bool(true),
        Some("array") => {
            let item = schema.get("items").map(|items| value(items, topic, depth + 1));
            Value::Array(item.into_iter().collect())
        }
        Some("object") => object(schema, topic, depth),
        _ => Value::Null,
    }
}

fn text(schema: &Value, topic: &str) -> Value {
    let text = match schema.get("format").and_then(Value::as_str) {
        Some("date") => "2026-01-15",
        Some("date-time") => "2026-01-15T09:30:00Z",
        Some("time") => "09:30:00Z",
        Some("email") => "demo@example.com",
        Some("uri" | "url") => "https://example.com/",
        Some("uuid") => "00000000-0000-4000-8000-000000000000",
        _ => topic,
    };
    let longest = schema.get("maxLength").and_then(Value::as_u64).unwrap_or(u64::MAX);
    let text: String = text
        .chars()
        .take(usize::try_from(longest).unwrap_or(usize::MAX))
        .collect();
    Value::String(text)
}

fn number(schema: &Value, read: impl Fn(&Value) -> Option<Value>) -> Value {
    let limit = ["minimum", "maximum"]
        .iter()
        .find_map(|name| schema.get(name).and_then(&read));
    limit.unwrap_or_else(|| json!(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_fit_their_schema() {
        for (schema, expected) in [
            (json!({"type": "object"}), json!({})),
            (
                json!({"properties": {"a": {"type": "string"}, "b": {"type": "integer", "minimum": 5}}}),
                json!({"a": "topic", "b": 5}),
            ),
            (
                json!({"properties": {"a": {"type": "string"}, "b": {"type": "boolean"}}, "required": ["b"]}),
                json!({"b": true}),
            ),
            (
                json!({"properties": {"a": {"enum": ["x", "y"]}, "b": {"const": 7}, "c": {"type": ["null", "string"]}}}),
                json!({"a": "x", "b": 7, "c": null}),
            ),
            (
                json!({"properties": {"a": {"type": "array", "items": {"type": "string", "maxLength": 2}}}}),
                json!({"a": ["to"]}),
            ),
            (
                json!({"properties": {"a": {"anyOf": [{"type": "object", "properties": {"n": {"type": "number"}}}]}}}),
                json!({"a": {"n": 1}}),
            ),
        ] {
            assert_eq!(arguments(Some(&schema), "topic"), expected, "{schema}");
        }
        assert_eq!(arguments(None, "topic"), json!({}));
    }
}
