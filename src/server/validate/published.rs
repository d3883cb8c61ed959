//! What may be published: any JSON value but null that whoever waits for it can read.
//!
//! The message is kept as it came. It is read once to its end, and nothing is built of it.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use crate::server::error::Refusal;
use crate::server::request;
use crate::wire::depth;
use crate::wire::surrogate::SurrogateJoiner;

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
    match depth::check(&text) {
        Ok(()) => Ok(message),
        Err(reason) => Err(Refusal::bad_request(format!("`message` cannot be read: {reason}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::depth::MOST_LEVELS;
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
