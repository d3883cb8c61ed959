//! Halves of UTF-16 pairs in JSON strings: joined when they stand in consecutive tokens, else U+FFFD.
//!
//! A JavaScript server that cuts text by UTF-16 units may split an emoji over two tokens; each half is
//! a lone `\uD8xx` escape, which strict JSON readers refuse. It works on raw lines, only on those that
//! hold such an escape; every other line passes through untouched.

use std::borrow::Cow;

use memchr::memmem;

/// Carries the first half of a pair from one line to the next. One per stream.
#[derive(Debug, Default)]
pub struct SurrogateJoiner {
    high: Option<u16>,
}

impl SurrogateJoiner {
    /// The line with every lone half replaced, and a pair that was cut in two joined in the second
    /// line: the first line's text ends before it.
    ///
    /// Only a half at the very end of a token's text is carried over; it comes out as U+FFFD if the
    /// next line does not begin its text with the other half.
    pub fn repair<'a>(&mut self, line: &'a [u8]) -> Cow<'a, [u8]> {
        if self.high.is_none() && !has_surrogate_escape(line) {
            return Cow::Borrowed(line);
        }
        let carried = self.high.take();
        let token_end = token_text(line);
        let mut repaired = Vec::with_capacity(line.len() + 8);
        let mut at = 0;
        let mut pending = carried;
        if let (Some(high), None) = (carried, &token_end) {
            // The next line is no token: the half stays alone, in a text that `message` will replace.
            self.high = Some(high);
            pending = None;
        }
        while at < line.len() {
            if let (Some(high), Some(text)) = (pending, &token_end)
                && at == text.start
            {
                pending = None;
                if let Some(low) = escape_at(line, at).filter(|unit| is_low(*unit)) {
                    push_escape(&mut repaired, high);
                    push_escape(&mut repaired, low);
                    at += 6;
                    continue;
                }
                push_escape(&mut repaired, 0xfffd);
            }
            if line[at] != b'\\' {
                repaired.push(line[at]);
                at += 1;
                continue;
            }
            match escape_at(line, at) {
                Some(unit) if is_high(unit) => match escape_at(line, at + 6).filter(|unit| is_low(*unit)) {
                    Some(_) => {
                        repaired.extend_from_slice(&line[at..at + 12]);
                        at += 12;
                    }
                    None => {
                        if token_end.as_ref().is_some_and(|text| text.end == at + 6) {
                            self.high = Some(unit);
                        } else {
                            push_escape(&mut repaired, 0xfffd);
                        }
                        at += 6;
                    }
                },
                Some(unit) if is_low(unit) => {
                    push_escape(&mut repaired, 0xfffd);
                    at += 6;
                }
                _ => {
                    // Any other escape: its two bytes stay together, so that `\\u` is no escape.
                    let end = (at + 2).min(line.len());
                    repaired.extend_from_slice(&line[at..end]);
                    at = end;
                }
            }
        }
        Cow::Owned(repaired)
    }
}

fn has_surrogate_escape(line: &[u8]) -> bool {
    memmem::find_iter(line, b"\\u").any(|at| matches!(line.get(at + 2), Some(b'd' | b'D')))
}

/// Where the text of a token event lies in its line, between its quotes.
fn token_text(line: &[u8]) -> Option<std::ops::Range<usize>> {
    let finder = b"\"token\":";
    // The event's type is the value "token", so the key is the first `"token":`.
    let key = memmem::find(line, finder)? + finder.len();
    let quote = key + line[key..].iter().position(|byte| !byte.is_ascii_whitespace())?;
    if line[quote] != b'"' {
        return None;
    }
    let start = quote + 1;
    let mut at = start;
    while at < line.len() {
        match line[at] {
            b'\\' => at += 2,
            b'"' => return Some(start..at),
            _ => at += 1,
        }
    }
    None
}

fn escape_at(line: &[u8], at: usize) -> Option<u16> {
    let escape = line.get(at..at + 6)?;
    let hex = escape.strip_prefix(b"\\u")?;
    let hex = std::str::from_utf8(hex).ok()?;
    u16::from_str_radix(hex, 16).ok()
}

fn push_escape(line: &mut Vec<u8>, unit: u16) {
    line.extend_from_slice(format!("\\u{unit:04x}").as_bytes());
}

fn is_high(unit: u16) -> bool {
    (0xd800..0xdc00).contains(&unit)
}

fn is_low(unit: u16) -> bool {
    (0xdc00..0xe000).contains(&unit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{EventKind, SubscriptionLine};
    use proptest::prelude::*;

    fn texts(lines: &[&str]) -> Vec<String> {
        let mut joiner = SurrogateJoiner::default();
        lines
            .iter()
            .map(|text| {
                let line = format!(
                    "{{\"type\":\"message\",\"data\":{{\"type\":\"token\",\"data\":{{\"token\":\"{text}\"}}}}}}"
                );
                let repaired = joiner.repair(line.as_bytes()).into_owned();
                match SubscriptionLine::parse(&repaired).expect("a line") {
                    SubscriptionLine::Message(line) => match line.event().expect("an event").kind {
                        EventKind::Token(token) => token.token,
                        other => panic!("{other:?}"),
                    },
                    other => panic!("{other:?}"),
                }
            })
            .collect()
    }

    #[test]
    fn a_pair_cut_in_two_is_joined_and_a_lone_half_is_replaced() {
        assert_eq!(texts(&["a\\ud83d", "\\ude00b"]).concat(), "a😀b");
        assert_eq!(texts(&["\\ud83d\\ude00"]), ["😀"]);
        assert_eq!(texts(&["a\\ud83d", "b"]).concat(), "a\u{fffd}b");
        assert_eq!(texts(&["\\ude00b", "\\ud83dc"]).concat(), "\u{fffd}b\u{fffd}c");
        assert_eq!(texts(&["\\\\ud83d"]), ["\\ud83d"]);
    }

    proptest! {
        #[test]
        fn any_cut_of_utf16_comes_out_as_the_text(text in "[a\u{1f600}\u{e9}\\\\\"]{0,12}", cuts in proptest::collection::vec(0usize..24, 0..5)) {
            let units: Vec<u16> = text.encode_utf16().collect();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(units.len())).collect();
            cuts.push(units.len());
            cuts.sort_unstable();
            let mut from = 0;
            let mut pieces = Vec::new();
            for cut in cuts {
                let piece: String = units[from..cut].iter().map(|unit| format!("\\u{unit:04x}")).collect();
                if !piece.is_empty() {
                    pieces.push(piece);
                }
                from = cut;
            }
            let pieces: Vec<&str> = pieces.iter().map(String::as_str).collect();
            prop_assert_eq!(texts(&pieces).concat(), text);
        }

        #[test]
        fn no_bytes_break_it(lines in proptest::collection::vec("[\\\\ud83dDe\":token ]{0,40}", 0..4)) {
            let mut joiner = SurrogateJoiner::default();
            for line in &lines {
                let _ = joiner.repair(line.as_bytes());
            }
        }
    }
}
