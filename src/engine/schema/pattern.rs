//! Regular expressions of schemas: compiled within a size, matched in a time that grows with the text and not faster.
//!
//! The engine takes no step back, so it cannot look around itself or back. What people look ahead for right behind `^`
//! (no two dots, at least one digit) is cut off and matched for itself, which means the same; any other such expression
//! is refused. Where they stand in a schema is `cost`'s business.

use regex::{Regex, RegexBuilder};

/// The longest regular expression, in bytes.
const LONGEST: usize = 2_000;
/// The smallest size that is told apart when one is compiled, in bytes.
const SMALLEST: usize = 1024;

/// A regular expression that was compiled.
#[derive(Debug)]
pub(super) struct Pattern {
    /// Expressions without a look around, all of which have to match a text, or have not to.
    parts: Vec<(Regex, bool)>,
    /// What each byte of a text may cost, in evaluated keywords.
    weight: u64,
}

impl Pattern {
    /// Compiles an expression, each of whose parts may take so many bytes.
    ///
    /// # Errors
    /// When it is none, too large, or looks around itself elsewhere than behind its `^`.
    pub(super) fn new(text: &str, most: usize) -> Result<Self, String> {
        Self::of(text, most, ahead(text))
    }

    /// The same for one that may not look ahead either.
    ///
    /// # Errors
    /// When it is none, too large, or looks around itself.
    pub(super) fn plain(text: &str, most: usize) -> Result<Self, String> {
        Self::of(text, most, None)
    }

    fn of(text: &str, most: usize, ahead: Option<Ahead<'_>>) -> Result<Self, String> {
        let refused = |why: &str| {
            let shown: String = text.chars().take(100).collect();
            Err(format!("the regular expression {shown:?} {why}"))
        };
        if text.len() > LONGEST {
            return refused(&format!("is longer than the {LONGEST} bytes that are taken"));
        }
        let cut: Vec<(String, bool)> = match ahead {
            Some(Ahead { looked, rest }) => {
                let looked = looked
                    .into_iter()
                    .map(|(body, wanted)| (format!("^(?:{body})"), wanted));
                looked.chain([(format!("^{rest}"), true)]).collect()
            }
            None => vec![(text.to_owned(), true)],
        };
        let (mut parts, mut weight) = (Vec::with_capacity(cut.len()), 0);
        for (part, wanted) in cut {
            let Ok(translated) = jsonschema_regex::to_rust_regex(&part) else {
                return refused("is not valid");
            };
            // The smaller it is when compiled, the fewer states can be alive at each byte of a text.
            let mut size = SMALLEST.min(most);
            let regex = loop {
                let built = RegexBuilder::new(&translated)
                    .size_limit(size)
                    .dfa_size_limit(most)
                    .build();
                match built {
                    Ok(regex) => break regex,
                    Err(regex::Error::CompiledTooBig(_)) if size < most => size = (size * 2).min(most),
                    Err(regex::Error::CompiledTooBig(_)) => return refused("becomes too large"),
                    Err(_) if looks_around(text) => {
                        return refused(
                            "looks around itself, or back, where that cannot be checked: in `pattern` groups like \
                             (?=…) and (?!…) may stand right behind its ^, and nowhere else",
                        );
                    }
                    Err(_) => return refused("is not valid"),
                }
            };
            weight += size.div_ceil(SMALLEST) as u64;
            parts.push((regex, wanted));
        }
        Ok(Self { parts, weight })
    }

    /// Whether something in a text matches.
    pub(super) fn is_match(&self, text: &str) -> bool {
        self.parts.iter().all(|(part, wanted)| part.is_match(text) == *wanted)
    }

    /// The most that matching a text of so many bytes can cost, in evaluated keywords.
    pub(super) fn work(&self, bytes: usize) -> u64 {
        self.weight.saturating_mul(bytes as u64 + 1)
    }
}

/// How many parts an expression is compiled into.
pub(super) fn parts(text: &str) -> usize {
    ahead(text).map_or(1, |ahead| ahead.looked.len() + 1)
}

/// An expression that looks ahead right behind its `^`: what for, whether that has to be there, and what follows.
struct Ahead<'a> {
    looked: Vec<(&'a str, bool)>,
    rest: &'a str,
}

/// Cuts off what an expression looks ahead for; `None` when it does not, or when that would not mean the same.
fn ahead(text: &str) -> Option<Ahead<'_>> {
    let mut rest = text.strip_prefix('^')?;
    let mut looked = Vec::new();
    loop {
        let (body, wanted) = match (rest.strip_prefix("(?="), rest.strip_prefix("(?!")) {
            (Some(body), _) => (body, true),
            (_, Some(body)) => (body, false),
            _ => break,
        };
        let end = group_end(body)?;
        looked.push((&body[..end], wanted));
        rest = &body[end + 1..];
        // Looked for any number of times: none is one of them.
        if rest.starts_with(['*', '+', '?', '{']) {
            return None;
        }
    }
    // Of several alternatives the `^` and what is behind it are the first one's alone.
    let alternatives = Walk::new(rest).any(|(_, next, depth)| next == '|' && depth == 0);
    (!looked.is_empty() && !alternatives).then_some(Ahead { looked, rest })
}

/// Where the group ends that begins right before a text.
fn group_end(text: &str) -> Option<usize> {
    Walk::new(text)
        .find(|(_, next, depth)| *next == ')' && *depth == 0)
        .map(|(at, ..)| at)
}

/// Whether an expression looks around itself, or back.
fn looks_around(text: &str) -> bool {
    Walk::new(text).any(|(at, next, _)| {
        let after = &text[at + next.len_utf8()..];
        match next {
            '(' => ["?=", "?!", "?<=", "?<!"].iter().any(|kind| after.starts_with(kind)),
            '\\' => after.starts_with(|next: char| matches!(next, '1'..='9' | 'k')),
            _ => false,
        }
    })
}

/// The characters of an expression that mean something: not those in classes, and not what is escaped. Each with its
/// place and with how many groups it is in; the bracket that ends a group is in it, the one that begins it is not.
struct Walk<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
}

impl<'a> Walk<'a> {
    fn new(text: &'a str) -> Self {
        Self { text, at: 0, depth: 0 }
    }

    fn next_char(&mut self) -> Option<char> {
        let next = self.text[self.at..].chars().next()?;
        self.at += next.len_utf8();
        Some(next)
    }
}

impl Iterator for Walk<'_> {
    type Item = (usize, char, usize);

    fn next(&mut self) -> Option<Self::Item> {
        let at = self.at;
        let next = self.next_char()?;
        match next {
            '\\' => drop(self.next_char()),
            '[' => loop {
                match self.next_char()? {
                    '\\' => drop(self.next_char()),
                    ']' => break,
                    _ => {}
                }
            },
            '(' => {
                self.depth += 1;
                return Some((at, next, self.depth - 1));
            }
            ')' => {
                let depth = self.depth;
                self.depth = depth.saturating_sub(1);
                // The one that ends a group from before the text is in none.
                return Some((at, next, depth));
            }
            _ => {}
        }
        Some((at, next, self.depth))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MOST: usize = 64 * 1024;

    #[test]
    fn the_parts_of_an_expression_are_counted() {
        for (text, count) in [
            ("^[a-z]+$", 1),
            ("(a|b)(?:c)(?<name>d)", 1),
            ("^(?!no)\\w+$", 2),
            ("^(?=.*\\d)(?=.*[)a-z\\]])(?!(a|\\))b).{8,}$", 4),
            ("[(?=]\\(?=", 1),
            ("^(?!a(b|c))[|](d|e)$", 2),
        ] {
            assert_eq!(parts(text), count, "{text}");
            assert!(Pattern::new(text, MOST).is_ok(), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_matched_without_stepping_back_is_refused_with_the_reason() {
        for text in [
            "(a)\\1",
            "(?<=a)b|(?<!c)d",
            "(?!a)b",
            "^(?!a)b|c",
            "^(?=a)*b",
            "^a(?!b)",
            "^(?=a(?=b))a",
            "^(?:(?=a)(?:(?=a)(?=a)){1000000}){1000000}a$",
        ] {
            let why = Pattern::new(text, MOST).expect_err(text);
            assert!(why.contains("looks around itself"), "{text}: {why}");
        }
        for text in ["(a)(?1)", "(?>a)", "\\g<1>", "(", "^(?!a", &"a".repeat(LONGEST + 1)] {
            assert!(Pattern::new(text, MOST).is_err(), "{text}");
        }
        assert!(Pattern::plain("^(?!a)b", MOST).is_err());
        let why = Pattern::new("(\\w{500}){500}", MOST).expect_err("too large");
        assert!(why.contains("too large"), "{why}");
    }

    #[test]
    fn what_is_large_costs_more() {
        let work = |text: &str| Pattern::new(text, 1024 * 1024).expect("an expression").work(99);
        assert!(work("^[a-z]+$") <= 800, "{}", work("^[a-z]+$"));
        assert!(work("^(?:[a-z]{1,50}-){1,50}$") > 10 * work("^[a-z]+$"));
    }

    #[test]
    fn an_expression_that_people_check_addresses_with_matches_them() {
        let email =
            "^(?!\\.)(?!.*\\.\\.)([A-Za-z0-9_'+\\-\\.]*)[A-Za-z0-9_+-]@([A-Za-z0-9][A-Za-z0-9\\-]*\\.)+[A-Za-z]{2,}$";
        let pattern = Pattern::new(email, MOST).expect("an expression");
        for (text, is_one) in [
            ("ada.lovelace+tea@mail.example.com", true),
            (".ada@example.com", false),
            ("ada..l@example.com", false),
            ("nobody", false),
        ] {
            assert_eq!(pattern.is_match(text), is_one, "{text}");
        }
        let endless = Pattern::new("^(?=(a+)+$)(a+)+b$", MOST).expect("an expression");
        assert!(!endless.is_match(&"a".repeat(500_000)));
    }

    proptest! {
        /// Against an engine that steps back.
        #[test]
        fn cutting_off_means_the_same(
            looked in proptest::collection::vec(("[ab.]{0,3}[*$]?", any::<bool>()), 1..3),
            rest in "[ab.]{0,3}[*+]?\\$?",
            texts in proptest::collection::vec("[abc]{0,6}", 10),
        ) {
            let looked: String = looked.iter().map(|(body, wanted)| format!("(?{}{body})", if *wanted { '=' } else { '!' })).collect();
            let text = format!("^{looked}{rest}");
            let (Ok(cut), Ok(whole)) = (Pattern::new(&text, MOST), fancy_regex::Regex::new(&text)) else {
                return Ok(());
            };
            for subject in texts {
                prop_assert_eq!(cut.is_match(&subject), whole.is_match(&subject).expect("short"), "{} in {}", text, subject);
            }
        }
    }
}
