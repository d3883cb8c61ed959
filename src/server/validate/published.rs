//! What may be published: any JSON value but null that whoever waits for it can read.
//!
//! The message is kept as it came. It is read once to its end, and nothing is built of it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::server::error::Refusal;
use crate::server::request;
use crate::wire::surrogate::SurrogateJoiner;

/// How many lists and objects may lie in each other. An answer becomes a part of what a run goes on from, which is read
/// to 128 levels.
const MOST_LEVELS: usize = 100;

/// Reads the body of `publish`: its message, as it came.
pub(in crate::server) fn publish(body: &[u8]) -> Result<Box<RawValue>, Refusal> {
    let mut fields: BTreeMap<String, Box<RawValue>> = request::parse(body)?;
    let Some(message) = fields.remove("message") else {
        return Err(Refusal::bad_request("`message` is missing: it is what is published"));
    };
    if let Some(name) = fields.keys().next() {
        return Err(Refusal::not_implemented(name));
    }
    if message.get() == "null" {
        return Err(Refusal::bad_request(
            "`message`: any JSON value but null can be published",
        ));
    }
    // Whoever waits for it reads it as a value: what nobody could read is refused here, where it can be told.
    let text = SurrogateJoiner::default().repair(message.get().as_bytes());
    let mut reader = serde_json::Deserializer::from_slice(&text);
    match (Readable { levels: MOST_LEVELS }).deserialize(&mut reader) {
        Ok(()) => Ok(message),
        Err(reason) => Err(Refusal::bad_request(format!("`message` cannot be read: {reason}"))),
    }
}

/// Reads a value of so many levels at most, and keeps nothing of it.
#[derive(Clone, Copy)]
struct Readable {
    levels: usize,
}

impl Readable {
    fn below<E: Error>(self) -> Result<Self, E> {
        match self.levels.checked_sub(1) {
            Some(levels) => Ok(Self { levels }),
            None => Err(E::custom(format_args!("it has more than {MOST_LEVELS} levels"))),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Readable {
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

impl<'de> Visitor<'de> for Readable {
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
    use axum::response::IntoResponse as _;

    #[test]
    fn what_nobody_could_read_is_not_published() {
        let deep = format!("{{\"message\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
        let nested = |levels: usize| format!("{{\"message\":{}{}}}", "[".repeat(levels), "]".repeat(levels));
        for (body, status, named) in [
            ("{}", 400, "message"),
            ("[]", 400, "body"),
            (r#"{"message":null}"#, 400, "message"),
            (r#"{"message":1e999}"#, 400, "message"),
            (r#"{"message":1,"retain":true}"#, 501, "retain"),
            (&deep, 400, "message"),
            (&nested(MOST_LEVELS + 1), 400, "message"),
            (r#"{"message":{"a":{"a":1,"b":"\q"}}}"#, 400, "JSON"),
            ("{\"message\":\"a\u{1}\"}", 400, "JSON"),
        ] {
            let refusal = publish(body.as_bytes()).expect_err(&body[..body.len().min(40)]);
            assert!(format!("{refusal:?}").contains(named), "{refusal:?}");
            assert_eq!(refusal.into_response().status().as_u16(), status);
        }
        for message in [
            r#"{"data": 1}"#,
            r#""\ud83d""#,
            "false",
            "[ 1.50 ]",
            "{\"\\u00e9\": {}, \"b\": [null]}",
        ] {
            let taken = publish(format!("{{\"message\": {message} }}").as_bytes()).expect(message);
            assert_eq!(taken.get(), message, "as it came");
        }
        assert!(publish(nested(MOST_LEVELS).as_bytes()).is_ok());
    }
}
