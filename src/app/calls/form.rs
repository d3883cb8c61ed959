//! The form of an answer: fields made from what is known of it, and the value that they add up to.
//!
//! What is known is the configured function's `result` schema; without one, the name of a function that asks for an
//! approval. Everything else is one text. It decides nothing about publishing.

use serde_json::{Map, Value};

use crate::config::Schema;

/// Fields of one answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Form {
    /// The fields, in the schema's order.
    pub fields: Vec<Field>,
    /// Whether the fields are those of an object; else the only one is the whole answer.
    object: bool,
    /// Fields that a schema fixes to one value.
    fixed: Map<String, Value>,
    /// Which field takes the keys; `None`: none of them, the keys are commands.
    pub focus: Option<usize>,
}

/// One field.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    /// Its name in the answer.
    pub name: String,
    /// What stands beside it: its description.
    pub help: String,
    /// Whether it may not be left empty.
    pub required: bool,
    /// What it holds.
    pub kind: FieldKind,
}

/// What a field holds.
#[derive(Debug, Clone, PartialEq)]
pub enum FieldKind {
    /// Yes or no.
    Bool(bool),
    /// One of some values; `None`: nothing was chosen.
    Choice {
        /// The values.
        options: Vec<Value>,
        /// The chosen one.
        at: Option<usize>,
    },
    /// A text as it is typed.
    Text(String),
    /// A number as it is typed.
    Number {
        /// What was typed.
        text: String,
        /// Only whole numbers.
        whole: bool,
    },
    /// Anything else, typed as JSON.
    Json(String),
}

impl Field {
    fn new(name: &str, kind: FieldKind) -> Self {
        Self {
            name: name.to_owned(),
            help: String::new(),
            required: true,
            kind,
        }
    }

    /// What was typed into it; `None`: it is not typed into.
    #[must_use]
    pub fn typed(&self) -> Option<&str> {
        match &self.kind {
            FieldKind::Text(text) | FieldKind::Number { text, .. } | FieldKind::Json(text) => Some(text),
            FieldKind::Bool(_) | FieldKind::Choice { .. } => None,
        }
    }

    fn typed_mut(&mut self) -> Option<&mut String> {
        match &mut self.kind {
            FieldKind::Text(text) | FieldKind::Number { text, .. } | FieldKind::Json(text) => Some(text),
            FieldKind::Bool(_) | FieldKind::Choice { .. } => None,
        }
    }

    /// Its value; `Ok(None)`: it is left out.
    fn value(&self) -> Result<Option<Value>, String> {
        let wrong = |what: &str| Err(format!("{}: {what}", self.name));
        match &self.kind {
            FieldKind::Bool(on) => Ok(Some(Value::Bool(*on))),
            FieldKind::Choice { options, at } => match at.and_then(|at| options.get(at)) {
                Some(value) => Ok(Some(value.clone())),
                None if self.required => wrong("choose one of the values"),
                None => Ok(None),
            },
            // An empty text is a text where one is asked for.
            FieldKind::Text(text) if text.is_empty() && !self.required => Ok(None),
            FieldKind::Text(text) => Ok(Some(Value::String(text.clone()))),
            FieldKind::Number { text, .. } | FieldKind::Json(text) if text.trim().is_empty() => {
                if self.required {
                    wrong("this is still to be filled in")
                } else {
                    Ok(None)
                }
            }
            FieldKind::Number { text, whole } => match serde_json::from_str::<Value>(text.trim()) {
                Ok(value) if value.is_i64() || value.is_u64() || (value.is_f64() && !whole) => Ok(Some(value)),
                _ if *whole => wrong("a whole number is expected"),
                _ => wrong("a number is expected"),
            },
            FieldKind::Json(text) => match serde_json::from_str(text) {
                Ok(value) => Ok(Some(value)),
                Err(_) => wrong("this is not JSON; text goes in double quotes"),
            },
        }
    }
}

impl Form {
    /// The form of a function's answer, by its `result` schema, else by its name.
    #[must_use]
    pub fn of(function: &str, result: Option<&Schema>) -> Self {
        let mut form = match result {
            Some(schema) => Self::of_schema(schema.json()),
            None if asks_for_approval(function) => Self {
                fields: vec![
                    Field::new("approved", FieldKind::Bool(false)),
                    Field {
                        required: false,
                        ..Field::new("note", FieldKind::Text(String::new()))
                    },
                ],
                object: true,
                fixed: Map::new(),
                focus: None,
            },
            None => Self::single(Field::new("answer", FieldKind::Text(String::new()))),
        };
        // Keys are commands until a field is typed into; one that is toggled takes Space at once.
        form.focus = form
            .fields
            .iter()
            .position(|field| field.typed().is_none())
            .filter(|at| *at == 0);
        form
    }

    fn single(field: Field) -> Self {
        Self {
            fields: vec![field],
            object: false,
            fixed: Map::new(),
            focus: None,
        }
    }

    fn of_schema(schema: &Value) -> Self {
        let properties = schema.get("properties").and_then(Value::as_object);
        let Some(properties) = properties.filter(|properties| !properties.is_empty()) else {
            return Self::single(Field {
                help: text_of(schema, "description"),
                ..Field::new("answer", kind_of(schema))
            });
        };
        let required: Vec<&str> = schema
            .get("required")
            .and_then(Value::as_array)
            .map(|names| names.iter().filter_map(Value::as_str).collect())
            .unwrap_or_default();
        let mut fixed = Map::new();
        let mut fields = Vec::with_capacity(properties.len());
        for (name, schema) in properties {
            if let Some(value) = schema.get("const") {
                fixed.insert(name.clone(), value.clone());
                continue;
            }
            fields.push(Field {
                name: name.clone(),
                help: text_of(schema, "description"),
                required: required.contains(&name.as_str()),
                kind: kind_of(schema),
            });
        }
        Self {
            fields,
            object: true,
            fixed,
            focus: None,
        }
    }

    /// The value that the fields add up to.
    ///
    /// # Errors
    /// Which field is not filled in as it should be.
    pub fn value(&self) -> Result<Value, String> {
        if !self.object {
            let value = self.fields.first().map_or(Ok(None), Field::value)?;
            return Ok(value.unwrap_or(Value::Null));
        }
        let mut object = self.fixed.clone();
        for field in &self.fields {
            if let Some(value) = field.value()? {
                object.insert(field.name.clone(), value);
            }
        }
        Ok(Value::Object(object))
    }

    /// Whether nothing was filled in.
    #[must_use]
    pub fn is_untouched(&self) -> bool {
        self.fields.iter().all(|field| match &field.kind {
            FieldKind::Bool(on) => !on,
            FieldKind::Choice { at, .. } => at.is_none(),
            FieldKind::Text(text) | FieldKind::Number { text, .. } | FieldKind::Json(text) => text.is_empty(),
        })
    }

    /// The field that takes the keys.
    #[must_use]
    pub fn focused(&self) -> Option<&Field> {
        self.fields.get(self.focus?)
    }

    /// What is typed into now.
    #[must_use]
    pub fn typing(&self) -> Option<&str> {
        self.focused()?.typed()
    }

    /// Whether there is a yes or no of this name.
    #[must_use]
    pub fn has_bool(&self, name: &str) -> bool {
        self.fields
            .iter()
            .any(|field| field.name == name && matches!(field.kind, FieldKind::Bool(_)))
    }

    /// Sets the yes or no of this name.
    pub(super) fn set_bool(&mut self, name: &str, value: bool) {
        for field in &mut self.fields {
            if let (true, FieldKind::Bool(on)) = (field.name == name, &mut field.kind) {
                *on = value;
            }
        }
    }

    /// Goes to another field; past the last one is none, where keys are commands.
    pub(super) fn step(&mut self, forward: bool) {
        let count = self.fields.len();
        self.focus = match (self.focus, forward) {
            (None, true) => (count > 0).then_some(0),
            (None, false) => count.checked_sub(1),
            (Some(at), true) => Some(at + 1).filter(|at| *at < count),
            (Some(at), false) => at.checked_sub(1),
        };
    }

    /// The next of a field's values; `false`: it has none to go through.
    pub(super) fn toggle(&mut self, forward: bool) -> bool {
        let Some(field) = self.focus.and_then(|at| self.fields.get_mut(at)) else {
            return false;
        };
        match &mut field.kind {
            FieldKind::Bool(on) => *on = !*on,
            FieldKind::Choice { options, at } => {
                let last = options.len().saturating_sub(1);
                let none = !field.required;
                *at = match (*at, forward) {
                    (None, true) => Some(0),
                    (None, false) => Some(last),
                    (Some(at), true) if at < last => Some(at + 1),
                    (Some(_), true) => (!none).then_some(0),
                    (Some(0), false) => (!none).then_some(last),
                    (Some(at), false) => Some(at - 1),
                };
            }
            _ => return false,
        }
        true
    }

    /// The text of the field that is typed into changed.
    pub(super) fn type_in(&mut self, text: String) {
        if let Some(typed) = self
            .focus
            .and_then(|at| self.fields.get_mut(at))
            .and_then(Field::typed_mut)
        {
            *typed = text;
        }
    }
}

/// Whether a function's name says that it asks somebody to agree.
fn asks_for_approval(function: &str) -> bool {
    let name = function.to_ascii_lowercase();
    ["approve", "approval", "confirm", "authorize", "authorise", "permission"]
        .iter()
        .any(|word| name.contains(word))
}

fn kind_of(schema: &Value) -> FieldKind {
    if let Some(options) = schema
        .get("enum")
        .and_then(Value::as_array)
        .filter(|options| !options.is_empty())
    {
        let default = schema.get("default");
        return FieldKind::Choice {
            at: default.and_then(|default| options.iter().position(|option| option == default)),
            options: options.clone(),
        };
    }
    let default = schema.get("default");
    let written = || default.map(Value::to_string).unwrap_or_default();
    match schema.get("type").and_then(Value::as_str) {
        Some("boolean") => FieldKind::Bool(default.and_then(Value::as_bool).unwrap_or(false)),
        Some("string") => FieldKind::Text(default.and_then(Value::as_str).unwrap_or_default().to_owned()),
        Some("integer") => FieldKind::Number {
            text: written(),
            whole: true,
        },
        Some("number") => FieldKind::Number {
            text: written(),
            whole: false,
        },
        _ => FieldKind::Json(written()),
    }
}

fn text_of(schema: &Value, name: &str) -> String {
    let text = schema.get(name).and_then(Value::as_str).unwrap_or_default();
    crate::text::sanitise_line(text).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn form(schema: Value) -> Form {
        Form::of("f", Some(&Schema::new(schema).expect("a schema")))
    }

    #[test]
    fn a_schema_becomes_fields_and_the_fields_a_value() {
        let mut form = form(json!({
            "type": "object",
            "properties": {
                "approved": {"type": "boolean"},
                "ring": {"enum": ["canary", "all"], "description": "How far\u{1b}[2J"},
                "count": {"type": "integer"},
                "note": {"type": "string"},
                "more": {"type": "object"},
                "kind": {"const": "deploy"},
            },
            "required": ["approved", "ring", "count"],
        }));
        let names: Vec<&str> = form.fields.iter().map(|field| field.name.as_str()).collect();
        assert_eq!(names, ["approved", "ring", "count", "note", "more"]);
        assert!(!form.fields[1].help.contains('\u{1b}'));
        assert_eq!(form.focus, Some(0));
        assert!(form.toggle(true));
        assert_eq!(form.value(), Err("ring: choose one of the values".to_owned()));
        form.step(true);
        assert!(form.toggle(true));
        form.step(true);
        form.type_in("1.5".to_owned());
        assert_eq!(form.value(), Err("count: a whole number is expected".to_owned()));
        form.type_in(" 3 ".to_owned());
        assert_eq!(
            form.value(),
            Ok(json!({"kind": "deploy", "approved": true, "ring": "canary", "count": 3}))
        );
        form.step(true);
        form.type_in("fine".to_owned());
        form.step(true);
        form.type_in("{\"a\": [1]}".to_owned());
        let value = form.value().expect("a value");
        assert_eq!((&value["note"], &value["more"]), (&json!("fine"), &json!({"a": [1]})));
        form.type_in("{".to_owned());
        assert!(form.value().is_err());
        form.step(true);
        assert_eq!(form.focus, None, "past the last one keys are commands");
    }

    #[test]
    fn other_schemas_are_one_field() {
        for (schema, typed, value) in [
            (json!({"type": "string"}), "true", json!("true")),
            (json!({"type": "number"}), "1.5", json!(1.5)),
            (json!({"type": "array"}), "[1]", json!([1])),
        ] {
            let mut form = form(schema);
            form.step(true);
            form.type_in(typed.to_owned());
            assert_eq!(form.value(), Ok(value));
        }
        let mut form = form(json!({"type": "boolean"}));
        form.toggle(true);
        assert_eq!(form.value(), Ok(json!(true)));
    }

    #[test]
    fn without_a_schema_an_approval_is_known_by_its_name() {
        let mut form = Form::of("approve_deploy", None);
        assert_eq!(form.value(), Ok(json!({"approved": false})));
        form.set_bool("approved", true);
        form.step(true);
        form.type_in("go".to_owned());
        assert_eq!(form.value(), Ok(json!({"approved": true, "note": "go"})));
        let mut form = Form::of("fetch_ticket", None);
        assert_eq!(form.focus, None);
        form.step(true);
        form.type_in("4411".to_owned());
        assert_eq!(form.value(), Ok(json!("4411")), "a text stays a text");
    }
}
