//! Functions that runs dispatched from here may call: what the model is told, the command that answers, its bounds.
//!
//! Schemas are compiled here, once, and follow no reference out of themselves: neither to files nor to the network.
//! It runs nothing.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use indexmap::IndexMap;
use serde::Deserialize;
use serde::de::{Deserializer, Error};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use toml::Spanned;

use super::value;

/// The longest name of a function, in characters (PROTOCOL, "complete").
const LONGEST_NAME: usize = 64;
/// The most bytes that `max_output` may allow.
const MOST_OUTPUT: u64 = 16 << 20;
/// The most places that a value that does not fit is described by.
const MOST_PLACES: usize = 3;

/// One function.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FunctionConfig {
    /// What it does, for the model.
    pub description: String,
    /// What it is called with.
    #[serde(deserialize_with = "parameters")]
    pub parameters: Option<Schema>,
    /// What its answer looks like: the form of an answer by hand, and a check of the command's result.
    #[serde(deserialize_with = "schema")]
    pub result: Option<Schema>,
    /// The program and its arguments; no shell reads them. Without one, a person answers.
    #[serde(deserialize_with = "command")]
    pub command: Vec<String>,
    /// Where the command runs; where the terminal program was started when absent.
    #[serde(deserialize_with = "value::path")]
    pub cwd: Option<PathBuf>,
    /// Environment variables of the command, beside the few that it inherits.
    #[serde(deserialize_with = "environment")]
    pub env: IndexMap<String, Hidden>,
    /// How long the command may take.
    #[serde(deserialize_with = "value::duration")]
    pub timeout: Duration,
    /// How many bytes the command may write to its standard output.
    #[serde(deserialize_with = "value::bytes::<MOST_OUTPUT, _>")]
    pub max_output: u64,
    /// Whether the command runs by itself.
    pub policy: Policy,
}

impl Default for FunctionConfig {
    fn default() -> Self {
        Self {
            description: String::new(),
            parameters: None,
            result: None,
            command: Vec::new(),
            cwd: None,
            env: IndexMap::new(),
            timeout: Duration::from_secs(30),
            max_output: 256 << 10,
            policy: Policy::default(),
        }
    }
}

/// Whether a function's command runs by itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Policy {
    /// When a person allows it.
    #[default]
    Ask,
    /// Always.
    Allow,
    /// Never: calls are refused at once.
    Deny,
}

impl FunctionConfig {
    /// The command as one line, for people; empty without one.
    #[must_use]
    pub fn command_line(&self) -> String {
        self.command.join(" ")
    }

    /// What "allow always" was said to: another command, directory or environment has another digest.
    #[must_use]
    pub fn digest(&self) -> String {
        let env: Vec<(&str, &str)> = self
            .env
            .iter()
            .map(|(name, value)| (name.as_str(), value.expose()))
            .collect();
        let said = serde_json::json!([self.command, self.cwd, env]);
        let digest = Sha256::digest(said.to_string());
        digest[..16].iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// A text that `Debug` does not show: it may be a secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Hidden(String);

impl Hidden {
    /// The text itself.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hidden(…)")
    }
}

/// A JSON Schema that was checked.
#[derive(Clone)]
pub struct Schema {
    json: Value,
    validator: Arc<jsonschema::Validator>,
}

impl Schema {
    /// Checks a schema and takes it.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn new(json: Value) -> Result<Self, String> {
        // Nothing outside the schema is fetched: `offline` refuses every reference that is not in it.
        let built = jsonschema::options().offline().build(&json);
        let validator = built.map_err(|error| {
            let place = error.instance_path().to_string();
            let place = if place.is_empty() {
                String::new()
            } else {
                format!(" at {place}")
            };
            format!("this is not a usable JSON Schema{place}: {error}")
        })?;
        Ok(Self {
            json,
            validator: Arc::new(validator),
        })
    }

    /// The schema itself.
    #[must_use]
    pub fn json(&self) -> &Value {
        &self.json
    }

    /// Whether a value fits.
    ///
    /// # Errors
    /// Where it does not and why, in a sentence's part.
    pub fn check(&self, value: &Value) -> Result<(), String> {
        let places: Vec<String> = self
            .validator
            .iter_errors(value)
            .take(MOST_PLACES)
            .map(|error| {
                let place = error.instance_path().to_string();
                let message: String = error.to_string().chars().take(200).collect();
                if place.is_empty() {
                    message
                } else {
                    format!("at {place}: {message}")
                }
            })
            .collect();
        if places.is_empty() {
            Ok(())
        } else {
            Err(places.join("; "))
        }
    }
}

impl PartialEq for Schema {
    fn eq(&self, other: &Self) -> bool {
        self.json == other.json
    }
}

impl fmt::Debug for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Schema({})", self.json)
    }
}

/// Whether the functions fit together and are complete. `Err`: where, and what is wrong.
pub(super) fn check(
    functions: &IndexMap<Spanned<String>, Spanned<FunctionConfig>>,
) -> Result<(), (std::ops::Range<usize>, String)> {
    for (name, function) in functions {
        let span = name.span();
        let name = name.get_ref();
        if !is_name(name) {
            return Err((span, no_name(name)));
        }
        let function = function.get_ref();
        if function.description.trim().is_empty() {
            return Err((span, no_description(name)));
        }
        if function.command.is_empty() && function.policy == Policy::Allow {
            return Err((
                span,
                format!("function `{name}` has no command to allow, expected `command = [\"…\"]`, or another policy"),
            ));
        }
    }
    Ok(())
}

/// What to say of a name that is none.
pub(super) fn no_name(name: &str) -> String {
    format!(
        "`{name}` is not a function's name, expected letters, digits, `$` and `_`, at most {LONGEST_NAME}, beginning \
         with a letter or `$`"
    )
}

/// What to say of a function that the model is told nothing about.
pub(super) fn no_description(name: &str) -> String {
    format!("function `{name}` has no description, expected `description = \"…\"`: what it does, for the model")
}

/// Whether a function may be called so (PROTOCOL, "complete").
pub(super) fn is_name(name: &str) -> bool {
    let mut characters = name.chars();
    name.len() <= LONGEST_NAME
        && characters.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '$')
        && characters.all(|c| c.is_ascii_alphanumeric() || c == '$' || c == '_')
}

fn schema<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Schema>, D::Error> {
    let json = Value::deserialize(deserializer)?;
    if !json.is_object() {
        return Err(D::Error::custom(
            "expected a JSON Schema as a table, such as { type = \"object\" }",
        ));
    }
    Schema::new(json).map(Some).map_err(D::Error::custom)
}

pub(super) fn parameters<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Schema>, D::Error> {
    let schema = schema(deserializer)?;
    let is_object = |schema: &Schema| schema.json.get("type").and_then(Value::as_str) == Some("object");
    if schema.as_ref().is_some_and(|schema| !is_object(schema)) {
        return Err(D::Error::custom("expected a JSON Schema whose `type` is \"object\""));
    }
    Ok(schema)
}

fn command<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        List(Vec<String>),
        Text(#[allow(dead_code)] String),
        Other(serde::de::IgnoredAny),
    }
    let expected = "expected the program and its arguments as a list, such as [\"./approve.sh\", \"--quick\"]";
    match Written::deserialize(deserializer)? {
        Written::List(list) if list.is_empty() || list[0].trim().is_empty() => {
            Err(D::Error::custom(format!("an empty command, {expected}")))
        }
        Written::List(list) if list.iter().any(|word| word.contains('\0')) => {
            Err(D::Error::custom(format!("a command with a NUL character, {expected}")))
        }
        Written::List(list) => Ok(list),
        Written::Text(_) => Err(D::Error::custom(format!("no shell reads a command, {expected}"))),
        Written::Other(_) => Err(D::Error::custom(expected)),
    }
}

fn environment<'de, D: Deserializer<'de>>(deserializer: D) -> Result<IndexMap<String, Hidden>, D::Error> {
    let map = IndexMap::<String, String>::deserialize(deserializer)?;
    // Values may be secrets: they are not repeated.
    for (name, value) in &map {
        if name.is_empty() || name.contains(['=', '\0']) {
            return Err(D::Error::custom(
                "this holds no name of an environment variable, expected one such as REGION",
            ));
        }
        if value.contains('\0') {
            return Err(D::Error::custom(format!("the value of `{name}` holds a NUL character")));
        }
    }
    Ok(map.into_iter().map(|(name, value)| (name, Hidden(value))).collect())
}

/// Reads the name of this machine.
pub(super) fn device<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let name = text.trim();
    if name.is_empty() || name.chars().count() > LONGEST_NAME || name.chars().any(char::is_control) {
        return Err(D::Error::custom(format!(
            "expected a name for this machine of 1 to {LONGEST_NAME} characters, such as \"laptop-2\""
        )));
    }
    Ok(Some(name.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_schema_reaches_nothing_outside_of_itself() {
        for reference in ["https://example.com/s.json", "file:///etc/passwd", "other.json"] {
            let error = Schema::new(json!({"type": "object", "properties": {"a": {"$ref": reference}}}));
            assert!(error.is_err(), "{reference}");
        }
        let schema = Schema::new(json!({"$ref": "#/$defs/a", "$defs": {"a": {"type": "string"}}})).expect("a schema");
        assert!(schema.check(&json!("x")).is_ok());
        assert!(schema.check(&json!(1)).is_err());
    }

    #[test]
    fn what_does_not_fit_is_said_with_its_place() {
        let schema =
            Schema::new(json!({"type": "object", "properties": {"env": {"enum": ["prod"]}}, "required": ["env"]}));
        let schema = schema.expect("a schema");
        let error = schema.check(&json!({"env": "here"})).expect_err("not one of them");
        assert!(error.starts_with("at /env: "), "{error}");
        let error = schema.check(&json!({})).expect_err("it is required");
        assert!(error.contains("env"), "{error}");
    }

    #[test]
    fn another_command_is_another_permission() {
        let one = FunctionConfig {
            command: vec!["./a".into()],
            ..FunctionConfig::default()
        };
        let words = FunctionConfig {
            description: "other words".into(),
            ..one.clone()
        };
        assert_eq!(one.digest(), words.digest());
        for other in [
            FunctionConfig {
                command: vec!["./b".into()],
                ..one.clone()
            },
            FunctionConfig {
                cwd: Some("/".into()),
                ..one.clone()
            },
            FunctionConfig {
                env: [("A".to_owned(), Hidden("1".to_owned()))].into_iter().collect(),
                ..one.clone()
            },
        ] {
            assert_ne!(one.digest(), other.digest());
        }
    }
}
