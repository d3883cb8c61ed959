//! Halves of UTF-16 pairs in JSON strings: joined when they stand in consecutive tokens, else U+FFFD.
//!
//! A JavaScript server that cuts text by UTF-16 units may split an emoji over two tokens; each half is
//! a lone `\uD8xx` escape, which strict JSON readers refuse. It works on raw lines, only on those that
//! hold such an escape; every other line passes through untouched.

use std::borrow::Cow;

use memchr::memmem;

/// Carries the first half of a pair from one line to the next. One per stream.
#[derive(Debug)]
pub struct SurrogateJoiner {
    /// A first half, and the key in whose text it stood.
    high: Option<(u16, &'static str)>,
    keys: &'static [&'static str],
}

impl Default for SurrogateJoiner {
    fn default() -> Self {
        Self::for_keys(&["token"])
    }
}

impl SurrogateJoiner {
    /// A joiner for lines whose pieces of text stand under one of these keys; the first of them that has a text in a
    /// line is that line's.
    #[must_use]
    pub fn for_keys(keys: &'static [&'static str]) -> Self {
        Self { high: None, keys }
    }

    /// Whether a first half waits for the line that brings the other one.
    #[must_use]
    pub fn is_pending(&self) -> bool {
        self.high.is_some()
    }

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
        let found = self.keys.iter().find_map(|key| Some((*key, piece_text(line, key)?)));
        let (key, token_end) = found.unzip();
        let mut repaired = Vec::with_capacity(line.len() + 8);
        let mut at = 0;
        let mut pending = None;
        if let Some((high, carried_key)) = carried {
            if key == Some(carried_key) {
                pending = Some(high);
            } else {
                // The next line is no such piece: the half waits on.
                self.high = carried;
            }
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
                            self.high = key.map(|key| (unit, key));
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

/// Where the text under a key lies in a line, between its quotes; the first one that is a text and not empty.
fn piece_text(line: &[u8], key: &str) -> Option<std::ops::Range<usize>> {
    memmem::find_iter(line, key.as_bytes()).find_map(|found| {
        let after = found + key.len();
        if found == 0 || line[found - 1] != b'"' || line.get(after) != Some(&b'"') {
            return None;
        }
        // The type of an event may be the same word as the key: only a key has a colon behind it.
        let blank = |from: usize| Some(from + line.get(from..)?.iter().position(|byte| !byte.is_ascii_whitespace())?);
        let colon = blank(after + 1).filter(|at| line[*at] == b':')?;
        let quote = blank(colon + 1).filter(|at| line[*at] == b'"')?;
        let start = quote + 1;
        let mut at = start;
        while at < line.len() {
            match line[at] {
                b'\\' => at += 2,
                b'"' => return (at > start).then_some(start..at),
                _ => at += 1,
            }
        }
        None
    })
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

    #[test]
    fn each_kind_of_piece_has_halves_of_its_own() {
        let mut joiner = SurrogateJoiner::for_keys(&["content", "reasoning"]);
        let mut text = |line: &str| String::from_utf8_lossy(&joiner.repair(line.as_bytes())).into_owned();
        assert_eq!(
            text(r#"{"content":null,"reasoning":"a\ud83d"}"#),
            r#"{"content":null,"reasoning":"a"}"#
        );
        assert_eq!(
            text(r#"{"content":"b","reasoning":""}"#),
            r#"{"content":"b","reasoning":""}"#
        );
        assert_eq!(
            text(r#"{"content":"","reasoning" : "\ude00c"}"#),
            r#"{"content":"","reasoning" : "\ud83d\ude00c"}"#
        );
        assert!(!joiner.is_pending());
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
