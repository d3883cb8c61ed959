//! JSON values for people: on one line or on several, bounded in length, safe for a terminal.
//!
//! It reads no further than what is shown: a large value costs no more than a small one.

use std::fmt::Write as _;
use std::ops::Range;

use serde_json::Value;

use super::width::{boundary, truncate};
use super::{Role, sanitise_line};

/// A call on one line, as `approve_deploy(env: "prod", version: "1.8.2")`, at most `max` columns.
#[must_use]
pub fn call(function: &str, arguments: &Value, max: usize) -> String {
    let mut out = String::from(function);
    out.push('(');
    match arguments {
        Value::Null => {}
        Value::Object(fields) => {
            for (index, (name, value)) in fields.iter().enumerate() {
                if out.len() > enough(max) {
                    break;
                }
                if index > 0 {
                    out.push_str(", ");
                }
                let _ = write!(out, "{name}: ");
                compact(value, enough(max), &mut out);
            }
        }
        other => compact(other, enough(max), &mut out),
    }
    out.push(')');
    truncate(&sanitise_line(&out), max).into_owned()
}

/// A value on one line, at most `max` columns. A text stands without quotes.
#[must_use]
pub fn one_line(value: &Value, max: usize) -> String {
    let mut out = String::new();
    match value {
        Value::String(text) => {
            let mut words = text.split_whitespace();
            while out.len() <= enough(max) {
                let Some(word) = words.next() else { break };
                if !out.is_empty() {
                    out.push(' ');
                }
                push_bounded(word, enough(max), &mut out);
            }
        }
        other => compact(other, enough(max), &mut out),
    }
    truncate(&sanitise_line(&out), max).into_owned()
}

/// A value on several lines, two spaces a level, at most `max_lines` (1 at least); a last line then says that more was
/// left out. A text stands as it is, line by line.
#[must_use]
pub fn lines(value: &Value, max_lines: usize) -> Vec<String> {
    let mut out = Vec::new();
    match value {
        Value::String(text) => {
            for line in text.lines().take(max_lines + 1) {
                out.push(clip(line));
            }
        }
        other => pretty(other, "", 0, "", max_lines, &mut out),
    }
    if out.len() > max_lines.max(1) {
        out.truncate(max_lines.max(1) - 1);
        out.push("… (more was left out)".to_owned());
    }
    out
}

/// Bytes after which no more columns can be needed.
fn enough(max: usize) -> usize {
    max.saturating_mul(4).saturating_add(64)
}

/// The longest single line that [`lines`] gives, in columns.
const LONGEST: usize = 2000;

fn clip(line: &str) -> String {
    let mut out = String::new();
    push_bounded(line, enough(LONGEST), &mut out);
    truncate(&sanitise_line(&out), LONGEST).into_owned()
}

fn push_bounded(text: &str, most: usize, out: &mut String) {
    out.push_str(&text[..boundary(text, most)]);
}

fn quoted(text: &str, most: usize, out: &mut String) {
    let head = &text[..boundary(text, most)];
    out.push_str(&Value::String(head.to_owned()).to_string());
}

fn compact(value: &Value, most: usize, out: &mut String) {
    if out.len() > most {
        return;
    }
    match value {
        Value::String(text) => quoted(text, most, out),
        Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if out.len() > most {
                    break;
                }
                if index > 0 {
                    out.push_str(", ");
                }
                compact(item, most, out);
            }
            out.push(']');
        }
        Value::Object(fields) => {
            out.push('{');
            for (index, (name, value)) in fields.iter().enumerate() {
                if out.len() > most {
                    break;
                }
                if index > 0 {
                    out.push_str(", ");
                }
                let _ = write!(out, "{name}: ");
                compact(value, most, out);
            }
            out.push('}');
        }
        other => {
            let _ = write!(out, "{other}");
        }
    }
}

fn pretty(value: &Value, name: &str, level: usize, comma: &str, max_lines: usize, out: &mut Vec<String>) {
    if out.len() > max_lines {
        return;
    }
    let indent = "  ".repeat(level.min(32));
    match value {
        Value::Array(items) if !items.is_empty() => {
            out.push(clip(&format!("{indent}{name}[")));
            for (index, item) in items.iter().enumerate() {
                if out.len() > max_lines {
                    return;
                }
                pretty(
                    item,
                    "",
                    level + 1,
                    if index + 1 < items.len() { "," } else { "" },
                    max_lines,
                    out,
                );
            }
            out.push(format!("{indent}]{comma}"));
        }
        Value::Object(fields) if !fields.is_empty() => {
            out.push(clip(&format!("{indent}{name}{{")));
            for (index, (field, value)) in fields.iter().enumerate() {
                if out.len() > max_lines {
                    return;
                }
                let comma = if index + 1 < fields.len() { "," } else { "" };
                pretty(value, &format!("\"{field}\": "), level + 1, comma, max_lines, out);
            }
            out.push(format!("{indent}}}{comma}"));
        }
        other => {
            let mut text = format!("{indent}{name}");
            compact(other, enough(LONGEST), &mut text);
            text.push_str(comma);
            out.push(clip(&text));
        }
    }
}

/// The parts of a line of JSON with what they are: names, texts, numbers, words. A line that is cut off within a text
/// is read as far as it goes.
#[must_use]
pub fn roles(line: &str) -> Vec<(Range<usize>, Role)> {
    let bytes = line.as_bytes();
    let mut parts: Vec<(Range<usize>, Role)> = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let start = at;
        let role = match bytes[at] {
            b'"' => {
                at += 1;
                while at < bytes.len() && bytes[at] != b'"' {
                    at += if bytes[at] == b'\\' { 2 } else { 1 };
                }
                at = boundary(line, at + 1);
                let names = line[at..].trim_start().starts_with(':');
                if names { Role::Type } else { Role::Str }
            }
            b'-' | b'0'..=b'9' => {
                at = end_of(bytes, at, |byte| {
                    byte.is_ascii_digit() || matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E')
                });
                Role::Number
            }
            byte if byte.is_ascii_alphabetic() => {
                at = end_of(bytes, at, |byte| byte.is_ascii_alphanumeric());
                match &line[start..at] {
                    "true" | "false" | "null" => Role::Keyword,
                    _ => Role::CodeText,
                }
            }
            _ => {
                at += 1;
                while !line.is_char_boundary(at) {
                    at += 1;
                }
                Role::CodeText
            }
        };
        match parts.last_mut() {
            Some((range, last)) if *last == role => range.end = at,
            _ => parts.push((start..at, role)),
        }
    }
    parts
}

fn end_of(bytes: &[u8], from: usize, is_part: impl Fn(u8) -> bool) -> usize {
    bytes[from..]
        .iter()
        .position(|byte| !is_part(*byte))
        .map_or(bytes.len(), |length| from + length)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn calls_read_like_calls() {
        for (arguments, max, line) in [
            (
                json!({"env": "prod", "version": "1.8.2"}),
                80,
                r#"f(env: "prod", version: "1.8.2")"#,
            ),
            (json!({}), 80, "f()"),
            (json!(null), 80, "f()"),
            (json!([1, true]), 80, "f([1, true])"),
            (json!({"a": {"b": [1]}}), 80, "f(a: {b: [1]})"),
            (
                json!({"text": "line\nbreak\u{1b}"}),
                80,
                r#"f(text: "line\nbreak\u001b")"#,
            ),
            (json!({"env": "production"}), 10, r#"f(env: "p…"#),
        ] {
            assert_eq!(call("f", &arguments, max), line);
        }
        assert!(call("f", &json!({"x": "y".repeat(1 << 20)}), 20).len() < 30);
    }

    #[test]
    fn the_parts_of_json_are_told_apart() {
        let line = r#"  "a\"b": [1, -2.5e3, true, "é: 1"], x"#;
        let parts: Vec<(&str, Role)> = roles(line)
            .into_iter()
            .map(|(range, role)| (&line[range], role))
            .filter(|(_, role)| *role != Role::CodeText)
            .collect();
        assert_eq!(
            parts,
            [
                (r#""a\"b""#, Role::Type),
                ("1", Role::Number),
                ("-2.5e3", Role::Number),
                ("true", Role::Keyword),
                (r#""é: 1""#, Role::Str),
            ]
        );
        for cut in ["\"open", "\"open\\", "\"é\\", "-", "\""] {
            let whole: usize = roles(cut).iter().map(|(range, _)| range.len()).sum();
            assert_eq!(whole, cut.len(), "{cut}");
        }
    }

    #[test]
    fn values_on_one_line_and_on_several() {
        assert_eq!(one_line(&json!("two\n words"), 20), "two words");
        assert_eq!(one_line(&json!({"a": 1}), 20), "{a: 1}");
        assert_eq!(
            lines(&json!({"a": [1, "x"], "b": {}}), 20),
            ["{", "  \"a\": [", "    1,", "    \"x\"", "  ],", "  \"b\": {}", "}"]
        );
        assert_eq!(lines(&json!("one\ntwo\u{7}"), 20), ["one", "two^G"]);
        let many: Vec<u32> = (0..1000).collect();
        let shown = lines(&json!(many), 5);
        assert_eq!(shown.len(), 5);
        assert_eq!(shown[4], "… (more was left out)");
    }
}
