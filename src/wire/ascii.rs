//! JSON in ASCII alone: every other character is written as `\uXXXX`.
//!
//! So what was UTF-8 grows threefold at most: U+0080 from two bytes to six. (DEL, the one control character that JSON takes
//! as it is, is ASCII; it would grow sixfold.)
//!
//! Real clients decode each network read on its own, or cut lines at U+2028 and U+0085, so nothing
//! but ASCII leaves this program (PROTOCOL, "Facts about real clients"). It only writes; reading
//! needs nothing special.

use std::io;

use serde::Serialize;
use serde_json::ser::Formatter;

struct AsciiFormatter;

impl Formatter for AsciiFormatter {
    fn write_string_fragment<W: ?Sized + io::Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        write_ascii(writer, fragment)
    }

    fn write_raw_fragment<W: ?Sized + io::Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        // Raw JSON came from outside: line breaks between its tokens would end our line, and every
        // character that is not ASCII stands inside one of its strings, where an escape is the same.
        let mut rest = fragment;
        while let Some(at) = memchr::memchr2(b'\n', b'\r', rest.as_bytes()) {
            write_ascii(writer, &rest[..at])?;
            writer.write_all(b" ")?;
            rest = &rest[at + 1..];
        }
        write_ascii(writer, rest)
    }
}

fn write_ascii<W: ?Sized + io::Write>(writer: &mut W, text: &str) -> io::Result<()> {
    let mut rest = text;
    while let Some(at) = rest.bytes().position(|byte| !byte.is_ascii()) {
        writer.write_all(&rest.as_bytes()[..at])?;
        let Some(character) = rest[at..].chars().next() else {
            break;
        };
        for unit in character.encode_utf16(&mut [0; 2]) {
            write!(writer, "\\u{unit:04x}")?;
        }
        rest = &rest[at + character.len_utf8()..];
    }
    writer.write_all(rest.as_bytes())
}

/// Appends a value as one line of ASCII JSON, without a line break, to a buffer.
///
/// # Panics
/// Never for the types of this program: it is for values whose serialisation cannot fail.
pub fn write_json<T: Serialize + ?Sized>(buffer: &mut Vec<u8>, value: &T) {
    let mut serializer = serde_json::Serializer::with_formatter(buffer, AsciiFormatter);
    value
        .serialize(&mut serializer)
        .expect("a value of the protocol always has a JSON form");
}

/// A value as ASCII JSON.
#[must_use]
pub fn to_json<T: Serialize + ?Sized>(value: &T) -> Vec<u8> {
    let mut buffer = Vec::with_capacity(128);
    write_json(&mut buffer, value);
    buffer
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_is_ascii_without_line_breaks_and_means_the_same(text in any::<String>()) {
            let json = to_json(&text);
            prop_assert!(json.iter().all(|byte| (0x20..0x80).contains(byte)));
            prop_assert_eq!(serde_json::from_slice::<String>(&json).expect("valid JSON"), text);
        }
    }

    #[test]
    fn raw_json_loses_its_line_breaks_and_nothing_else() {
        let raw = serde_json::value::RawValue::from_string("{\"a\":\n \"ü😀\"}".into()).expect("valid JSON");
        assert_eq!(to_json(&raw), b"{\"a\":  \"\\u00fc\\ud83d\\ude00\"}");
    }
}
