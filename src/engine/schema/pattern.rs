//! Regular expressions of schemas: compiled within a size, matched within a time that is known before.
//!
//! Where they stand in a schema is `cost`'s business.

use fancy_regex::{Regex, RegexBuilder};

/// The longest regular expression, in bytes.
const LONGEST: usize = 2_000;
/// Steps back of an expression that looks around itself; one that needs more does not match.
const MOST_STEPS_BACK: usize = 1_000;
/// The smallest size that is told apart when one is compiled, in bytes.
const SMALLEST: usize = 1024;

/// A regular expression that was compiled.
#[derive(Debug)]
pub(super) struct Pattern {
    regex: Regex,
    /// What each byte of a text may cost, in evaluated keywords.
    weight: u64,
}

impl Pattern {
    /// Compiles an expression, each of whose engines may take so many bytes.
    ///
    /// # Errors
    /// When it is none, or too large.
    pub(super) fn new(text: &str, most: usize) -> Result<Self, String> {
        let refused = |why: &str| {
            let shown: String = text.chars().take(100).collect();
            Err(format!("the regular expression {shown:?} {why}"))
        };
        if text.len() > LONGEST {
            return refused(&format!("is longer than the {LONGEST} bytes that are taken"));
        }
        let Some(parts) = Parts::of(text) else {
            return refused("has groups that ECMA-262 does not know");
        };
        let Ok(translated) = jsonschema_regex::to_rust_regex(text) else {
            return refused("is not valid");
        };
        // The smaller it is when compiled, the fewer states can be alive at each byte of a text.
        let mut size = SMALLEST.min(most);
        let regex = loop {
            let mut builder = RegexBuilder::new(&translated);
            builder.backtrack_limit(MOST_STEPS_BACK);
            builder.delegate_size_limit(size).delegate_dfa_size_limit(most);
            match builder.build() {
                Ok(regex) => break regex,
                Err(_) if size < most => size = (size * 2).min(most),
                Err(_) => return refused("is not valid, or becomes too large"),
            }
        };
        let steps = if parts.looks_around { MOST_STEPS_BACK } else { 1 };
        let weight = size.div_ceil(SMALLEST).saturating_mul(steps.div_ceil(5));
        Ok(Self {
            regex,
            weight: weight as u64,
        })
    }

    /// Whether something in a text matches. What would take too many steps back counts as no match.
    pub(super) fn is_match(&self, text: &str) -> bool {
        self.regex.is_match(text).unwrap_or(false)
    }

    /// The most that matching a text of so many bytes can cost, in evaluated keywords.
    pub(super) fn work(&self, bytes: usize) -> u64 {
        self.weight.saturating_mul(bytes as u64 + 1)
    }
}

/// How many engines an expression is made of, at most: one that looks around itself, or back, is cut into the parts
/// between its groups.
pub(super) fn engines(text: &str) -> usize {
    Parts::of(text).map_or(1, |parts| parts.engines())
}

/// Whether an expression looks around itself, or back, which takes steps back.
pub(super) fn looks_around(text: &str) -> bool {
    Parts::of(text).is_some_and(|parts| parts.looks_around)
}

#[derive(Debug, Default)]
struct Parts {
    looks_around: bool,
    /// Groups, alternatives and references back.
    borders: usize,
}

impl Parts {
    /// `None` when it has groups that are not in ECMA-262, some of which recurse.
    fn of(text: &str) -> Option<Self> {
        let mut parts = Self::default();
        let mut rest = text;
        let mut in_class = false;
        while let Some(next) = rest.chars().next() {
            rest = &rest[next.len_utf8()..];
            match next {
                '\\' => {
                    let escaped = rest.chars().next().unwrap_or_default();
                    rest = &rest[escaped.len_utf8().min(rest.len())..];
                    match escaped {
                        'g' if !in_class => return None,
                        '1'..='9' | 'k' if !in_class => {
                            parts.looks_around = true;
                            parts.borders += 1;
                        }
                        _ => {}
                    }
                }
                ']' => in_class = false,
                _ if in_class => {}
                '[' => in_class = true,
                '|' => parts.borders += 1,
                '(' => {
                    parts.borders += 1;
                    if let Some(after) = rest.strip_prefix('?') {
                        match after.as_bytes() {
                            [b'=' | b'!', ..] | [b'<', b'=' | b'!', ..] => parts.looks_around = true,
                            [b':' | b'<', ..] | [b'P', b'<', ..] => {}
                            [b'i' | b'm' | b's' | b'u' | b'-', ..] => {}
                            _ => return None,
                        }
                    }
                }
                _ => {}
            }
        }
        Some(parts)
    }

    fn engines(&self) -> usize {
        if self.looks_around { 1 + self.borders } else { 1 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_engines_of_an_expression_are_counted() {
        for (text, count) in [
            ("^[a-z]+$", 1),
            ("(a|b)(?:c)(?<name>d)", 1),
            ("^(?!no)\\w+$", 2),
            ("(a)\\1", 3),
            ("[(?=]\\(?=", 1),
            ("(?<=a)b|(?<!c)d", 4),
        ] {
            assert_eq!(engines(text), count, "{text}");
            assert!(Pattern::new(text, 64 * 1024).is_ok(), "{text}");
        }
        for text in ["(?R)", "(a)(?1)", "(?>a)", "\\g<1>", "(", &"a".repeat(LONGEST + 1)] {
            assert!(Pattern::new(text, 64 * 1024).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_large_or_looks_around_costs_more() {
        let work = |text: &str| Pattern::new(text, 1024 * 1024).expect("an expression").work(99);
        assert!(work("^[a-z]+$") <= 800, "{}", work("^[a-z]+$"));
        assert!(work("^(?:[a-z]{1,50}-){1,50}$") > 10 * work("^[a-z]+$"));
        assert!(work("^(?!x)[a-z]+$") > 100 * work("^[a-z]+$"));
    }

    #[test]
    fn an_expression_that_people_check_addresses_with_matches_them() {
        let email =
            "^(?!\\.)(?!.*\\.\\.)([A-Za-z0-9_'+\\-\\.]*)[A-Za-z0-9_+-]@([A-Za-z0-9][A-Za-z0-9\\-]*\\.)+[A-Za-z]{2,}$";
        let pattern = Pattern::new(email, 64 * 1024).expect("an expression");
        for (text, is_one) in [
            ("ada.lovelace+tea@mail.example.com", true),
            (".ada@example.com", false),
            ("ada..l@example.com", false),
            ("nobody", false),
        ] {
            assert_eq!(pattern.is_match(text), is_one, "{text}");
        }
        let endless = Pattern::new("^(?=(a+)+$)(a+)+b$", 64 * 1024).expect("an expression");
        assert!(!endless.is_match(&"a".repeat(5_000)));
    }
}
