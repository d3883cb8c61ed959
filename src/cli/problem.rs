//! What the JSON reader refuses, in plain words: what was expected, and at which line and column.
//!
//! It reads nothing itself. The text is never quoted: it may be long, or hold a secret.

use serde_json::error::Category;

/// What the reader says about a text, and what it means.
const WORDS: &[(&str, &str)] = &[
    (
        "expected ident",
        "a value is expected: \"text\" in double quotes, a number, true, false, null, {…} or […]",
    ),
    (
        "expected value",
        "a value is expected: \"text\" in double quotes, a number, true, false, null, {…} or […]",
    ),
    (
        "key must be a string",
        "a name in double quotes is expected, such as {\"data\": 42}",
    ),
    ("trailing comma", "there is a comma too many"),
    ("trailing characters", "something follows after the end of the value"),
    ("expected `:`", "a colon is expected after the name"),
    ("expected `,` or `}`", "a comma or the closing } is expected"),
    ("expected `,` or `]`", "a comma or the closing ] is expected"),
    ("invalid number", "a number is expected, such as 42 or -1.5"),
    ("number out of range", "the number is too large"),
    (
        "invalid escape",
        "after a backslash only one of \" \\ / b f n r t u may stand",
    ),
    (
        "control character",
        "a line break or control character stands in a text; write a line break as \\n",
    ),
    (
        "lone leading surrogate",
        "half a character stands alone (\\ud800 to \\udfff come in pairs)",
    ),
    (
        "unexpected end of hex escape",
        "half a character stands alone (\\ud800 to \\udfff come in pairs)",
    ),
    ("invalid unicode code point", "the text is not valid Unicode"),
    ("recursion limit exceeded", "it is nested too deeply"),
];

/// What is wrong, with its place.
pub(super) fn plain(error: &serde_json::Error) -> String {
    let full = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    let said = full.strip_suffix(place.as_str()).unwrap_or(&full);
    let text = match error.classify() {
        Category::Eof => "it ends too early; a quote, a bracket or a value is missing".to_owned(),
        Category::Data => shape(said),
        Category::Syntax | Category::Io => WORDS
            .iter()
            .find(|(begins, _)| said.starts_with(begins))
            .map_or_else(|| said.to_owned(), |(_, words)| (*words).to_owned()),
    };
    if error.line() == 0 {
        return text;
    }
    format!("line {}, column {}: {text}", error.line(), error.column())
}

/// What is wrong with a value that is JSON and not what was asked for.
fn shape(said: &str) -> String {
    if let Some(field) = said.strip_prefix("missing field ") {
        return format!("{field} is missing");
    }
    if let Some((found, expected)) = said
        .strip_prefix("invalid type: ")
        .and_then(|rest| rest.rsplit_once(", expected "))
    {
        // What was found is named by its kind alone.
        let found = match found.split([' ', '`']).next().unwrap_or_default() {
            "string" => "a text",
            "integer" | "floating" => "a number",
            "boolean" => "true or false",
            "sequence" => "a list",
            "map" => "an object",
            "null" => "null",
            _ => "something else",
        };
        return format!("{} is expected, not {found}", kind(expected));
    }
    said.to_owned()
}

fn kind(expected: &str) -> &str {
    match expected {
        "a sequence" => "a list",
        "a map" => "an object",
        "a string" | "a borrowed string" => "a text",
        "u64" | "u32" | "usize" => "a whole number",
        "a boolean" => "true or false",
        expected if expected.starts_with("struct ") || expected.starts_with("internally tagged") => "an object",
        expected => expected,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    fn problem(text: &str) -> String {
        plain(&serde_json::from_str::<Value>(text).expect_err("refused"))
    }

    #[test]
    fn what_is_wrong_is_told_in_plain_words() {
        for (text, expected) in [
            ("not json", "line 1, column 2: a value is expected: \"text\""),
            ("hello", "line 1, column 1: a value is expected"),
            ("{\n  data: 1}", "line 2, column 3: a name in double quotes"),
            ("{\"data\": 1", "line 1, column 10: it ends too early"),
            ("", "line 1, column 0: it ends too early"),
            ("[1 2]", "line 1, column 4: a comma or the closing ]"),
            ("{\"a\":1,}", "line 1, column 8: there is a comma too many"),
            ("1 2", "line 1, column 3: something follows"),
            ("\"a\nb\"", "line 2, column 0: a line break or control character"),
            ("{\"a\" 1}", "line 1, column 6: a colon is expected"),
            ("-", "line 1, column 1: it ends too early"),
            ("\"\\x\"", "line 1, column 3: after a backslash"),
        ] {
            assert!(problem(text).starts_with(expected), "{text:?}: {}", problem(text));
        }
        let list = serde_json::from_str::<Vec<u64>>("\"a\"").expect_err("refused");
        assert_eq!(plain(&list), "line 1, column 3: a list is expected, not a text");
    }

    proptest! {
        #[test]
        fn no_text_brings_out_the_words_of_a_parser(text in "[\\[\\]{}:,\"\\\\a-e0-9.ntu \\n-]{0,12}") {
            if let Err(error) = serde_json::from_str::<Value>(&text) {
                let said = plain(&error);
                for word in ["EOF", "ident", "parsing", "trailing", "at line"] {
                    prop_assert!(!said.contains(word), "{text:?}: {said}");
                }
            }
        }
    }
}
