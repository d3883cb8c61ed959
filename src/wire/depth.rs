//! How deeply JSON from outside may be nested: answers and arguments become a part of what is kept of a run, and what is
//! kept is read to 128 levels.
//!
//! It reads values to their end and builds nothing, or only what is within the bound.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

/// How many lists and objects may lie in each other.
pub const MOST_LEVELS: usize = 100;

/// Whether a text is one JSON value that a reader can read, no deeper than [`MOST_LEVELS`].
///
/// # Errors
/// Why it is not.
pub fn check(text: &[u8]) -> serde_json::Result<()> {
    let mut reader = serde_json::Deserializer::from_slice(text);
    Levels(MOST_LEVELS).deserialize(&mut reader)?;
    reader.end()
}

/// A text as a value; `None` when it is no JSON, or nested more deeply than [`MOST_LEVELS`].
#[must_use]
pub fn parse(text: &str) -> Option<Value> {
    check(text.as_bytes()).ok()?;
    serde_json::from_str(text).ok()
}

/// Reads a value of so many levels at most, and keeps nothing of it.
#[derive(Clone, Copy)]
struct Levels(usize);

impl Levels {
    fn below<E: Error>(self) -> Result<Self, E> {
        match self.0.checked_sub(1) {
            Some(levels) => Ok(Self(levels)),
            None => Err(E::custom(format_args!("it has more than {MOST_LEVELS} levels"))),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Levels {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

/// A name, which has to be a text that can be read.
#[derive(Deserialize)]
struct Name<'a>(
    #[serde(borrow)]
    #[expect(dead_code, reason = "it is only read")]
    Cow<'a, str>,
);

impl<'de> Visitor<'de> for Levels {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let below = self.below()?;
        while items.next_element_seed(below)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        let below = self.below()?;
        while fields.next_key::<Name<'de>>()?.is_some() {
            fields.next_value_seed(below)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_hundred_levels_are_taken() {
        let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        let mixed = |levels: usize| format!("{}1{}", "{\"a\":[".repeat(levels), "]}".repeat(levels));
        for (text, taken) in [
            (nested(MOST_LEVELS), true),
            (nested(MOST_LEVELS + 1), false),
            (mixed(MOST_LEVELS / 2), true),
            (mixed(MOST_LEVELS / 2 + 1), false),
            (nested(100_000), false),
        ] {
            assert_eq!(parse(&text).is_some(), taken);
        }
    }

    proptest! {
        #[test]
        fn what_is_read_is_what_a_reader_of_values_reads(text in "[\\[\\]{}:,\"a1eE.\\\\u-]{0,12}|null|true| \"\\\\ud83d\" |[0-9]{1,400}") {
            prop_assert_eq!(check(text.as_bytes()).is_ok(), serde_json::from_str::<Value>(&text).is_ok(), "{}", text);
        }
    }
}
