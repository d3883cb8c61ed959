//! The parameters of functions: which JSON Schemas are taken, and whether a call's arguments fit.
//!
//! A schema comes from outside, so nothing that it says costs more than a bounded amount of work: nothing is fetched,
//! references stay within it, and what it could make a check cost is counted before the check is made. What becomes
//! of a call that does not fit is `functions`' business.

mod cost;
mod pattern;

use std::sync::{Arc, OnceLock};

use jsonschema::{Keyword, PatternOptions, ValidationError, Validator};
use serde_json::Value;

use crate::wire::request::Function;
use cost::Cost;
use pattern::Pattern;

/// Regular expressions in all the schemas of a request; of one that looks ahead each part counts.
const MOST_PATTERNS: usize = 256;
/// What all compiled regular expressions of a request may take together, in bytes.
const PATTERN_BYTES: usize = 16 * 1024 * 1024;
/// What one of them may take however few there are.
const LARGEST_PATTERN: usize = 1024 * 1024;
/// JSON values in all the schemas of a request.
const MOST_VALUES: usize = 20_000;
/// The largest arguments that are checked, in bytes of their texts and values.
const LARGEST_ARGUMENTS: usize = 4 * 1024 * 1024;
/// What checking the calls of one answer may cost, in evaluated keywords.
const MOST_WORK: u64 = 4_000_000;
/// How many keywords a check may evaluate for what does not fit to be told: each of them may give a reason.
const MOST_REASONED: u64 = 100_000;
/// How many things that do not fit are told at once.
const MOST_REASONS: usize = 5;
/// The longest text about one of them, in characters.
const LONGEST_REASON: usize = 240;

/// The schemas of a run's functions, each compiled when it is first needed.
#[derive(Default)]
pub(super) struct Schemas {
    compiled: Vec<OnceLock<Result<Compiled, String>>>,
    pattern_bytes: usize,
}

/// The checks of the calls of one answer.
pub(super) struct Checks<'a> {
    schemas: &'a Schemas,
    /// The work that is left for them.
    left: u64,
}

/// A schema that can be checked against, and what that costs.
struct Compiled {
    validator: Validator,
    cost: Cost,
}

impl Schemas {
    /// The schemas of these functions.
    pub(super) fn of(functions: &[Function]) -> Self {
        let patterns = functions.iter().filter_map(|function| function.parameters.as_ref());
        Self {
            compiled: functions.iter().map(|_| OnceLock::new()).collect(),
            pattern_bytes: pattern_bytes(patterns.map(|schema| Size::of(schema).patterns).sum()),
        }
    }

    /// Begins to check the calls of an answer.
    pub(super) fn checks(&self) -> Checks<'_> {
        Checks {
            schemas: self,
            left: MOST_WORK,
        }
    }
}

impl Checks<'_> {
    /// Checks the arguments of a call of the function at a place of the list that the schemas were made of.
    ///
    /// # Errors
    /// Where they do not fit and what was expected there, for the model.
    pub(super) fn check(&mut self, at: usize, function: &Function, arguments: &Value) -> Result<(), String> {
        let (Some(schema), Some(slot)) = (&function.parameters, self.schemas.compiled.get(at)) else {
            return Ok(());
        };
        match slot.get_or_init(|| compile(schema, self.schemas.pattern_bytes)) {
            Ok(compiled) => compiled.check(arguments, &mut self.left),
            Err(why) => Err(format!(
                "the function cannot be called, because its parameters are no usable JSON Schema: {why}"
            )),
        }
    }
}

impl Compiled {
    fn check(&self, arguments: &Value, left: &mut u64) -> Result<(), String> {
        let size = Size::of(arguments);
        if size.bytes > LARGEST_ARGUMENTS {
            return Err(format!(
                "the arguments are larger than the {} MiB that are taken; call it again with less",
                LARGEST_ARGUMENTS / (1024 * 1024)
            ));
        }
        let Some(keywords) = self.cost.of(arguments, left) else {
            return Err(
                "the arguments are too large, or nested too deeply, to be checked against the function's parameters; \
                 call it again with less, or by itself"
                    .to_owned(),
            );
        };
        if self.validator.is_valid(arguments) {
            return Ok(());
        }
        if keywords > MOST_REASONED {
            return Err(
                "the arguments do not fit the function's parameters, and are too large for the place to be looked \
                 for; correct them, or call it again with less"
                    .to_owned(),
            );
        }
        let mut reasons: Vec<String> = Vec::new();
        for error in self.validator.iter_errors(arguments).take(MOST_REASONS) {
            let place = error.instance_path().to_string();
            let mut reason = error.to_string();
            if let Some((at, _)) = reason.char_indices().nth(LONGEST_REASON) {
                reason.truncate(at);
                reason.push('…');
            }
            reasons.push(if place.is_empty() {
                reason
            } else {
                format!("at {place}: {reason}")
            });
        }
        Err(format!(
            "the arguments do not fit the function's parameters: {}; correct them and call it again",
            reasons.join("; ")
        ))
    }
}

/// Whether the parameters of all these functions can be checked against.
///
/// # Errors
/// The place of the first function whose parameters cannot, and why.
pub(super) fn check(functions: &[Function]) -> Result<(), (usize, String)> {
    let mut all = Size::default();
    for (at, function) in functions.iter().enumerate() {
        let Some(schema) = &function.parameters else { continue };
        let size = Size::of(schema);
        all.patterns += size.patterns;
        all.values += size.values;
        if all.patterns > MOST_PATTERNS {
            let why = format!("the functions have more than the {MOST_PATTERNS} regular expressions that are taken");
            return Err((at, why));
        }
        if all.values > MOST_VALUES {
            let why = format!("the functions' schemas have more than the {MOST_VALUES} values that are taken");
            return Err((at, why));
        }
    }
    let pattern_bytes = pattern_bytes(all.patterns);
    for (at, function) in functions.iter().enumerate() {
        if let Some(schema) = &function.parameters {
            compile(schema, pattern_bytes).map_err(|why| (at, why))?;
        }
    }
    Ok(())
}

/// What one regular expression may take when there are so many.
fn pattern_bytes(patterns: usize) -> usize {
    (PATTERN_BYTES / patterns.max(1)).min(LARGEST_PATTERN)
}

fn compile(schema: &Value, pattern_bytes: usize) -> Result<Compiled, String> {
    let (cost, patterns) = Cost::new(schema, pattern_bytes)?;
    // Those of `patternProperties`.
    let of_names = PatternOptions::regex()
        .size_limit(pattern_bytes)
        .dfa_size_limit(pattern_bytes);
    let options = jsonschema::options()
        .offline()
        .with_pattern_options(of_names)
        .with_keyword("pattern", move |_, value, _| {
            let pattern = value.as_str().and_then(|text| patterns.get(text));
            match (value.as_str(), pattern) {
                (Some(text), Some(pattern)) => Ok(Box::new(Matched {
                    text: text.to_owned(),
                    pattern: Arc::clone(pattern),
                })),
                _ => Err(ValidationError::custom(format!("{value} is no regular expression"))),
            }
        });
    let validator = options.build(schema).map_err(|error| {
        let place = error.instance_path().to_string();
        let place = if place.is_empty() {
            String::new()
        } else {
            format!("at {place}: ")
        };
        let reason: String = error.to_string().chars().take(LONGEST_REASON).collect();
        format!("{place}{reason}")
    })?;
    Ok(Compiled { validator, cost })
}

/// The keyword `pattern`.
struct Matched {
    text: String,
    pattern: Arc<Pattern>,
}

impl<'i> Keyword<'i> for Matched {
    fn validate(&self, instance: &'i Value) -> Result<(), ValidationError<'i>> {
        if self.is_valid(instance) {
            return Ok(());
        }
        Err(ValidationError::custom(format!(
            "{instance} does not match {:?}",
            self.text
        )))
    }

    fn is_valid(&self, instance: &'i Value) -> bool {
        instance.as_str().is_none_or(|text| self.pattern.is_match(text))
    }
}

/// How large a JSON value is.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Size {
    /// Values in it, itself and the keys of objects included.
    values: usize,
    /// Bytes of its texts, and some for each value.
    bytes: usize,
    /// How deeply it is nested; 0 for a value that holds none.
    depth: usize,
    /// Parts of regular expressions, if it is a schema.
    patterns: usize,
}

impl Size {
    /// Nested no deeper than what `serde_json` reads, so this does not run out of stack.
    fn of(value: &Value) -> Self {
        let mut size = Self {
            values: 1,
            bytes: 8,
            ..Self::default()
        };
        match value {
            Value::String(text) => size.bytes += text.len(),
            Value::Array(items) => items.iter().for_each(|item| size.hold(&Self::of(item))),
            Value::Object(fields) => {
                for (name, value) in fields {
                    size.values += 1;
                    size.bytes += name.len();
                    size.patterns += match (name.as_str(), value) {
                        ("pattern", Value::String(text)) => pattern::parts(text),
                        ("patternProperties", Value::Object(patterns)) => patterns.len(),
                        _ => 0,
                    };
                    size.hold(&Self::of(value));
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
        size
    }

    fn hold(&mut self, inner: &Self) {
        self.values += inner.values;
        self.bytes += inner.bytes;
        self.patterns += inner.patterns;
        self.depth = self.depth.max(inner.depth + 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn function(parameters: Value) -> Function {
        serde_json::from_value(json!({"name": "f", "description": "d", "parameters": parameters})).expect("a function")
    }

    fn refusal(parameters: Value) -> String {
        match check(&[function(parameters.clone())]) {
            Ok(()) => panic!("taken: {parameters}"),
            Err((at, why)) => {
                assert_eq!(at, 0);
                why
            }
        }
    }

    fn checked(parameters: &Value, arguments: &Value) -> Result<(), String> {
        let functions = [function(parameters.clone())];
        check(&functions).expect("a schema that is taken");
        Schemas::of(&functions).checks().check(0, &functions[0], arguments)
    }

    #[test]
    fn arguments_are_told_where_they_do_not_fit() {
        let schema = json!({
            "type": "object",
            "properties": {
                "id": {"type": "integer", "minimum": 1},
                "tags": {"type": "array", "items": {"type": "string", "pattern": "^[a-z]+$"}, "maxItems": 2},
                "place": {"$ref": "#/$defs/place"},
                "kind": {"enum": ["a", "b"]},
                "word": {"type": "string", "pattern": "^(?!no)\\w+$"},
            },
            "required": ["id"],
            "additionalProperties": false,
            "$defs": {"place": {"type": "object", "required": ["city"]}},
        });
        for (arguments, told) in [
            (json!({"id": 1}), ""),
            (
                json!({"id": 7, "tags": ["x"], "place": {"city": "y"}, "kind": "b", "word": "yes"}),
                "",
            ),
            (json!({}), "\"id\" is a required property"),
            (json!({"id": "7"}), "at /id: \"7\" is not of type \"integer\""),
            (json!({"id": 0}), "at /id: 0 is less than the minimum of 1"),
            (json!({"id": 1, "tags": ["x", "Y"]}), "at /tags/1: "),
            (json!({"id": 1, "place": {}}), "at /place: "),
            (json!({"id": 1, "kind": "c"}), "at /kind: "),
            (json!({"id": 1, "word": "nope"}), "at /word: "),
            (json!({"id": 1, "more": 1}), "'more' was unexpected"),
        ] {
            match checked(&schema, &arguments) {
                Ok(()) => assert_eq!(told, "", "{arguments}"),
                Err(why) => assert!(!told.is_empty() && why.contains(told), "{arguments}: {why}"),
            }
        }
        let long = checked(&schema, &json!({"id": "x".repeat(10_000)})).expect_err("it is a text");
        assert!(long.len() < 2 * LONGEST_REASON, "{long}");
    }

    #[test]
    fn a_schema_that_cannot_be_used_is_refused_with_the_reason() {
        let object = |more: Value| {
            let mut schema = json!({"type": "object"});
            for (name, value) in more.as_object().expect("an object") {
                schema[name] = value.clone();
            }
            schema
        };
        for (schema, why) in [
            (
                object(json!({"properties": {"a": {"type": "text"}}})),
                "at /properties/a/type",
            ),
            (object(json!({"properties": 5})), "5 is not of type"),
            (object(json!({"properties": {"a": {"pattern": "("}}})), "("),
            (
                object(json!({"properties": {"a": {"$ref": "https://example.com/schema.json"}}})),
                "only references within the schema",
            ),
            (
                object(json!({"properties": {"a": {"$ref": "file:///etc/passwd"}}})),
                "only references within the schema",
            ),
            (
                object(json!({"properties": {"a": {"$ref": "#/$defs/nowhere"}}})),
                "#/$defs/nowhere",
            ),
            (object(json!({"$schema": "https://example.com/my-schema"})), "my-schema"),
            (object(json!({"$dynamicRef": "#a"})), "$dynamicRef"),
            (
                object(json!({"properties": {"a": {"$id": "http://x/y", "type": "object"}}})),
                "`$id` and `$schema`",
            ),
            (
                object(json!({"properties": {"a": {"$schema": "http://json-schema.org/draft-04/schema#"}}})),
                "`$id` and `$schema`",
            ),
            // A document within it that is only passed through, and whose `#` is itself.
            (
                object(json!({
                    "properties": {"b": {"$ref": "#/$defs/w/$defs/t"}},
                    "$defs": {"w": {
                        "$id": "http://x/y", "type": "object",
                        "allOf": [{"properties": {"a": {"$ref": "#"}}}, {"properties": {"a": {"$ref": "#"}}}],
                        "$defs": {"t": {"$ref": "#"}},
                    }},
                })),
                "`$id` and `$schema`",
            ),
            (
                object(json!({
                    "$schema": "http://json-schema.org/draft-04/schema#",
                    "properties": {"b": {"$ref": "#/definitions/w/definitions/t"}},
                    "definitions": {"w": {"id": "http://x/y", "definitions": {"t": {"$ref": "#"}}}},
                })),
                "`$id` and `$schema`",
            ),
            (
                object(json!({
                    "properties": {"b": {"$ref": "#t"}},
                    "$defs": {"w": {"$id": "http://x/y", "$defs": {"t": {"$anchor": "t", "$ref": "#"}}}},
                })),
                "nothing of this name",
            ),
            (object(json!({"$ref": "#"})), "refers to itself"),
            (
                object(json!({"allOf": [{"$ref": "#/$defs/a"}], "$defs": {"a": {"anyOf": [{"$ref": "#/$defs/a"}]}}})),
                "refers to itself",
            ),
            (
                object(json!({"properties": {"a": {"pattern": "(\\w{500}){500}"}}})),
                "a",
            ),
        ] {
            let told = refusal(schema.clone());
            assert!(told.contains(why), "{schema}: {told}");
        }
        let many: Vec<Function> = (0..=MOST_PATTERNS)
            .map(|_| function(object(json!({"properties": {"a": {"pattern": "a"}}}))))
            .collect();
        let (at, why) = check(&many).expect_err("too many patterns");
        assert!(
            at == MOST_PATTERNS && why.contains("regular expressions"),
            "{at}: {why}"
        );
        let values: Vec<u32> = (0..60_000).collect();
        assert!(refusal(object(json!({"properties": {"a": {"enum": values}}}))).contains("values"));
    }

    #[test]
    fn a_schema_that_grows_without_end_is_not_followed() {
        // Each definition holds the next one twice: a check of one value would evaluate 2^40 of them.
        let mut definitions = json!({"n40": {"type": "object"}});
        for level in 0..40 {
            let next = format!("#/$defs/n{}", level + 1);
            definitions[format!("n{level}")] = json!({"allOf": [{"$ref": next}, {"$ref": next}]});
        }
        let laughs = json!({"type": "object", "properties": {"a": {"$ref": "#/$defs/n0"}}, "$defs": definitions});
        let why = checked(&laughs, &json!({"a": {}})).expect_err("too much work");
        assert!(why.contains("too large, or nested too deeply"), "{why}");
        // And twice a level of what is checked.
        let tree = json!({
            "type": "object",
            "allOf": [{"properties": {"a": {"$ref": "#"}}}, {"properties": {"a": {"$ref": "#"}}}],
        });
        let nested = |depth: usize| (0..depth).fold(json!({}), |inner, _| json!({"a": inner}));
        assert_eq!(checked(&tree, &nested(5)), Ok(()));
        assert!(checked(&tree, &nested(60)).is_err());
    }

    #[test]
    fn schemas_of_trees_are_taken() {
        let tree = json!({
            "type": "object",
            "properties": {"name": {"type": "string"}, "left": {"$ref": "#"}, "right": {"$ref": "#"},
                "children": {"type": "array", "items": {"$ref": "#"}}},
            "required": ["name"],
        });
        let nested = (0..100).fold(json!({"name": "x"}), |inner, _| json!({"name": "x", "left": inner}));
        assert_eq!(checked(&tree, &nested), Ok(()));
        let wide: Vec<Value> = (0..1000).map(|_| json!({"name": "x"})).collect();
        assert_eq!(checked(&tree, &json!({"name": "x", "children": wide})), Ok(()));
        let why = checked(&tree, &json!({"name": "x", "children": [{"name": 5}]})).expect_err("no text");
        assert!(why.contains("at /children/0/name"), "{why}");
    }

    #[test]
    fn the_deepest_check_has_room() {
        let below = json!({"properties": {"a": {"$ref": "#"}}});
        let mut schema = (0..13).fold(below, |inner, _| json!({"allOf": [inner]}));
        schema["type"] = json!("object");
        let nested = |depth: usize| (0..depth).fold(json!({}), |inner, _| json!({"a": inner}));
        assert_eq!(checked(&schema, &nested(120)), Ok(()));
        let why = checked(&schema, &nested(120 + 20)).expect_err("too deep");
        assert!(why.contains("too deeply"), "{why}");
        let wrong = (0..120).fold(json!(1), |inner, _| json!({"a": inner}));
        assert!(checked(&schema, &wrong).is_err());
    }

    #[test]
    fn an_expression_that_looks_around_itself_takes_no_time_without_end() {
        let schema =
            json!({"type": "object", "properties": {"a": {"type": "string", "pattern": "^(?=(a+)+$)(a+)+b$"}}});
        let why = checked(&schema, &json!({"a": "a".repeat(60)})).expect_err("it does not fit");
        assert!(why.contains("do not fit") && !why.contains("too deeply"), "{why}");
        let why = checked(&schema, &json!({"a": "a".repeat(50_000)})).expect_err("it does not fit");
        assert!(why.contains("at /a"), "{why}");
        let why = checked(&schema, &json!({"a": "a".repeat(3_000_000)})).expect_err("it does not fit");
        assert!(why.contains("too large"), "{why}");
        // Texts that it is not for do not count.
        let long = json!({"a": "aab", "b": "x".repeat(1_000_000)});
        let why = checked(&schema, &long).expect_err("it does not fit");
        assert!(why.contains("at /a"), "{why}");
        // The calls of one answer have one bound together.
        let functions = [function(schema.clone())];
        let schemas = Schemas::of(&functions);
        let mut checks = schemas.checks();
        let texts = ["aab", &"a".repeat(1_500_000), &"a".repeat(1_500_000), "aab"];
        let told = texts.map(|text| {
            checks
                .check(0, &functions[0], &json!({"a": text}))
                .expect_err("none fits")
        });
        let refused: Vec<bool> = told.iter().map(|why| why.contains("too large")).collect();
        assert_eq!(refused, [false, false, true, false], "{told:?}");
        // It is no endless loop either.
        let forward = "^(?:(?=a)(?:(?=a)(?=a)){1000000}){1000000}a$";
        let why = refusal(json!({"type": "object", "properties": {"a": {"pattern": forward}}}));
        assert!(why.contains("looks around itself"), "{why}");
        // Every part of it is compiled by itself.
        let many = format!("^{}$", "(?=a)".repeat(300));
        let why = refusal(json!({"type": "object", "properties": {"a": {"pattern": many}}}));
        assert!(why.contains("regular expressions"), "{why}");
        let long = format!("^{}$", "a?".repeat(2_000));
        let why = refusal(json!({"type": "object", "properties": {"a": {"pattern": long}}}));
        assert!(why.contains("longer than"), "{why}");
        let names = json!({"type": "object", "patternProperties": {"^(?!x)": {}}});
        assert!(refusal(names).contains("looks around"));
    }

    #[test]
    fn what_is_left_over_is_found_where_that_is_bounded() {
        let mut definitions = json!({"n40": {}});
        for level in 0..40 {
            let next = format!("#/$defs/n{}", level + 1);
            definitions[format!("n{level}")] = json!({"allOf": [{"$ref": next}, {"$ref": next}]});
        }
        let next = json!({"$ref": "#/$defs/n0"});
        let nested = (0..40).fold(
            json!({"type": "object"}),
            |inner, _| json!({"type": "object", "unevaluatedProperties": false, "allOf": [{"properties": {"x": inner}}]}),
        );
        for schema in [
            json!({"type": "object", "unevaluatedProperties": false, "allOf": [next], "$defs": definitions}),
            json!({"type": "object", "unevaluatedProperties": false, "$ref": "#/$defs/n0", "$defs": definitions}),
            json!({"type": "object", "unevaluatedItems": next, "$defs": definitions}),
            nested,
        ] {
            let why = refusal(schema);
            assert!(
                why.contains("`unevaluated") && why.contains("additionalProperties"),
                "{why}"
            );
        }
        let schema = json!({
            "type": "object", "properties": {"a": {"$ref": "#/$defs/text"}}, "unevaluatedProperties": false,
            "allOf": [{"properties": {"b": {"type": "integer"}}}], "$defs": {"text": {"type": "string"}},
        });
        assert_eq!(checked(&schema, &json!({"a": "x", "b": 1})), Ok(()));
        assert!(checked(&schema, &json!({"a": "x", "c": 1})).is_err());
    }

    #[test]
    fn arguments_that_do_not_fit_in_many_places_are_refused_within_bounds() {
        let schema = json!({
            "type": "object",
            "properties": {"a": {"type": "array", "items": {"anyOf": [{"type": "string"}, {"type": "boolean"}]}}},
        });
        let why = checked(&schema, &json!({"a": vec![1; 200]})).expect_err("no texts");
        assert_eq!(why.matches("at /a/").count(), MOST_REASONS, "{why}");
        let why = checked(&schema, &json!({"a": vec![1; 100_000]})).expect_err("no texts");
        assert!(why.contains("do not fit") && !why.contains("at /a/"), "{why}");
    }
}
