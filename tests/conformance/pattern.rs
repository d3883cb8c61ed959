//! Patterns of JSON: what is written is what is expected, but for texts that begin with `$`.

use std::collections::HashMap;

use serde_json::Value;

/// Values by name.
pub type Saved = HashMap<String, Value>;

/// Checks a value against a pattern and saves what the pattern names.
///
/// # Errors
/// Where they differ.
pub fn matches(pattern: &Value, value: &Value, saved: &mut Saved) -> Result<(), String> {
    at("", pattern, value, saved)
}

fn at(path: &str, pattern: &Value, value: &Value, saved: &mut Saved) -> Result<(), String> {
    let differs = |expected: &str| Err(format!("at `{path}`: {expected} was expected, and {value} came"));
    match (pattern, value) {
        (Value::String(text), _) if text.starts_with('$') => {
            let (kind, argument) = text.split_once(':').unwrap_or((text, ""));
            let fits = match kind {
                "$any" => true,
                "$text" => value.is_string(),
                "$filled" => value.as_str().is_some_and(|text| !text.is_empty()),
                "$number" => value.is_u64(),
                "$list" => value.is_array(),
                "$object" => value.is_object(),
                "$contains" => value
                    .as_str()
                    .is_some_and(|text| text.contains(&filled(argument, saved))),
                "$save" => {
                    saved.insert(argument.to_owned(), value.clone());
                    true
                }
                _ => return Err(format!("{text} is no pattern")),
            };
            if fits { Ok(()) } else { differs(text) }
        }
        (Value::String(text), Value::String(came)) if *came == filled(text, saved) => Ok(()),
        (Value::Object(fields), Value::Object(came)) => {
            for (name, pattern) in fields.iter().filter(|(name, _)| *name != "...") {
                let Some(value) = came.get(name) else {
                    return differs(&format!("a field {name:?}"));
                };
                at(&format!("{path}/{name}"), pattern, value, saved)?;
            }
            if !fields.contains_key("...")
                && let Some(name) = came.keys().find(|name| !fields.contains_key(*name))
            {
                return differs(&format!("no field {name:?}"));
            }
            Ok(())
        }
        (Value::Array(items), Value::Array(came)) => {
            let open = items.last().is_some_and(|last| last == "...");
            let items = if open { &items[..items.len() - 1] } else { items };
            if came.len() < items.len() || !open && came.len() > items.len() {
                return differs(&format!("a list of {}", items.len()));
            }
            for (index, (pattern, value)) in items.iter().zip(came).enumerate() {
                at(&format!("{path}/{index}"), pattern, value, saved)?;
            }
            Ok(())
        }
        _ if pattern == value => Ok(()),
        _ => differs(&pattern.to_string()),
    }
}

/// A text with `{{NAME}}` replaced by what was saved.
pub fn filled(text: &str, saved: &Saved) -> String {
    let mut filled = text.to_owned();
    for (name, value) in saved {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        filled = filled.replace(&format!("{{{{{name}}}}}"), &value);
    }
    filled
}

/// A value with `{{NAME}}` replaced in its texts; a text that is nothing else becomes the value itself.
pub fn filled_value(value: &Value, saved: &Saved) -> Value {
    match value {
        Value::String(text) => {
            let whole = text.strip_prefix("{{").and_then(|rest| rest.strip_suffix("}}"));
            match whole.and_then(|name| saved.get(name)) {
                Some(value) => value.clone(),
                None => Value::String(filled(text, saved)),
            }
        }
        Value::Array(items) => items.iter().map(|item| filled_value(item, saved)).collect(),
        Value::Object(fields) => fields
            .iter()
            .map(|(name, value)| (name.clone(), filled_value(value, saved)))
            .collect(),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn patterns_are_exact_but_where_they_say_otherwise() {
        let saved = || Saved::from([("a".to_owned(), json!("x"))]);
        for (pattern, value, fits) in [
            (json!({"a": 1}), json!({"a": 1}), true),
            (json!({"a": 1}), json!({"a": 1, "b": 2}), false),
            (json!({"a": 1, "...": 0}), json!({"a": 1, "b": 2}), true),
            (json!({"a": 1, "...": 0}), json!({"b": 2}), false),
            (json!([1, "..."]), json!([1, 2, 3]), true),
            (json!([1]), json!([1, 2]), false),
            (json!([1, 2]), json!([1]), false),
            (json!("$number"), json!(1), true),
            (json!("$number"), json!("1"), false),
            (json!("$contains:{{a}}y"), json!("1xy2"), true),
            (json!("<{{a}}>"), json!("<x>"), true),
            (json!("$contains:z"), json!("xy"), false),
            (json!("a"), json!("b"), false),
        ] {
            assert_eq!(
                matches(&pattern, &value, &mut saved()).is_ok(),
                fits,
                "{pattern} {value}"
            );
        }
        assert_eq!(
            filled_value(&json!(["{{a}}", "{{a}}{{a}}"]), &saved()),
            json!(["x", "xx"])
        );
    }
}
