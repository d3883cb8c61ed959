//! The errors of the API: a code, the status that goes with it, and a message for a person.
//!
//! It maps codes and statuses; it does not decide when which error is due.

use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

macro_rules! error_codes {
    ($($variant:ident $name:literal $status:literal,)*) => {
        /// The error codes of PROTOCOL.md, each with its HTTP status.
        #[derive(Debug, Clone, PartialEq, Eq, Hash)]
        pub enum ErrorCode {
            $(#[doc = concat!("`", $name, "`, HTTP status ", stringify!($status), ".")] $variant,)*
            /// A code that this program does not know, as it came.
            Other(String),
        }

        impl ErrorCode {
            /// Every code that this program knows.
            pub const KNOWN: &'static [Self] = &[$(Self::$variant,)*];

            /// The code as it stands on the wire.
            #[must_use]
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $name,)*
                    Self::Other(name) => name,
                }
            }

            /// The HTTP status that goes with the code; 500 for one that is not known.
            #[must_use]
            pub fn status(&self) -> u16 {
                match self {
                    $(Self::$variant => $status,)*
                    Self::Other(_) => 500,
                }
            }

            /// The code that a text names.
            #[must_use]
            pub fn parse(name: &str) -> Self {
                match name {
                    $($name => Self::$variant,)*
                    other => Self::Other(other.to_owned()),
                }
            }
        }
    };
}

error_codes! {
    BadRequest "BAD_REQUEST" 400,
    NotAuthenticated "NOT_AUTHENTICATED" 401,
    NoSubscription "NO_SUBSCRIPTION" 402,
    NotAuthorized "NOT_AUTHORIZED" 403,
    NotFound "NOT_FOUND" 404,
    MethodNotAllowed "METHOD_NOT_ALLOWED" 405,
    Timeout "TIMEOUT" 408,
    Conflict "CONFLICT" 409,
    ContentTooLarge "CONTENT_TOO_LARGE" 413,
    UnprocessableEntity "UNPROCESSABLE_ENTITY" 422,
    TooManyRequests "TOO_MANY_REQUESTS" 429,
    LimitsReached "LIMITS_REACHED" 429,
    InternalServerError "INTERNAL_SERVER_ERROR" 500,
    NotImplemented "NOT_IMPLEMENTED" 501,
    BadGateway "BAD_GATEWAY" 502,
    ServiceUnavailable "SERVICE_UNAVAILABLE" 503,
    GatewayTimeout "GATEWAY_TIMEOUT" 504,
}

impl ErrorCode {
    /// The code that stands for an HTTP status when the answer's body names none.
    #[must_use]
    pub fn from_status(status: u16) -> Self {
        Self::KNOWN
            .iter()
            .find(|code| code.status() == status)
            .cloned()
            .unwrap_or_else(|| Self::Other(format!("HTTP_{status}")))
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for ErrorCode {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for ErrorCode {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self::parse(&String::deserialize(deserializer)?))
    }
}

impl JsonSchema for ErrorCode {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ErrorCode".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let known: Vec<&str> = Self::KNOWN.iter().map(Self::as_str).collect();
        json_schema!({"description": "What kind of error it is.", "type": "string", "enum": known})
    }
}

/// The body of every answer that is not a success: `{"message": "…", "code": "…"}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, thiserror::Error)]
#[error("{message} ({code})")]
pub struct ApiError {
    /// What went wrong, which field, and why; written for a person.
    pub message: String,
    /// What kind of error it is.
    pub code: ErrorCode,
}

impl ApiError {
    /// An error of a kind with a message for a person.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            code,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_statuses_go_both_ways() {
        for code in ErrorCode::KNOWN {
            assert_eq!(&ErrorCode::parse(code.as_str()), code);
            assert_eq!(ErrorCode::from_status(code.status()).status(), code.status());
        }
        assert_eq!(ErrorCode::from_status(418), ErrorCode::Other("HTTP_418".into()));
    }
}
