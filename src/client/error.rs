//! What can go wrong between a client and a server, each with what to do next.
//!
//! It turns HTTP and network failures into [`ClientError`]. No variant holds a secret, a channel id,
//! or a URL with one; texts that a server sent are freed of control characters first.

use std::error::Error as _;
use std::time::Duration;

use super::endpoint::Endpoint;
use crate::wire::{ApiError, ErrorCode};

/// The most characters of a server's own text that an error repeats.
const LONGEST_EXCERPT: usize = 300;

/// Why a request did not work.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ClientError {
    /// The server answered with an error.
    #[error("{server} answered with an error: {error}; {}", advice(*.status, *.retry_after))]
    Api {
        /// The server's name.
        server: String,
        /// The HTTP status.
        status: u16,
        /// What the body said; made from the status if it said nothing that can be read.
        error: ApiError,
        /// How long the server asks to wait.
        retry_after: Option<Duration>,
    },
    /// No connection could be made.
    #[error("cannot reach {server} at {origin}: {reason}; check that it is running and that the address is right")]
    Connect {
        /// The server's name.
        server: String,
        /// Its origin.
        origin: String,
        /// Why.
        reason: String,
    },
    /// Nothing came in time.
    #[error("{server} gave no {what} within {after:?}; try again, or check the network and the server")]
    Timeout {
        /// The server's name.
        server: String,
        /// What was waited for.
        what: &'static str,
        /// How long.
        after: Duration,
    },
    /// The connection cannot be made safe.
    #[error(
        "no safe connection to {server}: {reason}; check the address, this machine's clock and its CA certificates"
    )]
    Tls {
        /// The server's name.
        server: String,
        /// Why.
        reason: String,
    },
    /// This machine has no CA certificates.
    #[error(
        "no safe connection to {server}: this machine has no CA certificates ({reason}); install the package \
         `ca-certificates` or name a file of certificates in SSL_CERT_FILE"
    )]
    NoCertificates {
        /// The server's name.
        server: String,
        /// What was found wrong.
        reason: String,
    },
    /// The connection broke before the answer was whole.
    #[error("the connection to {server} was lost: {reason}; try again")]
    Lost {
        /// The server's name.
        server: String,
        /// Why.
        reason: String,
    },
    /// The server sends clients elsewhere, where the secret does not go by itself.
    #[error("{server} redirects to {target}; put that address into the configuration if it is right")]
    Redirect {
        /// The server's name.
        server: String,
        /// Where to: an origin.
        target: String,
    },
    /// The answer is not what the protocol says.
    #[error("{server} gave an answer that cannot be read: {reason}; check that the address is the API's")]
    BadAnswer {
        /// The server's name.
        server: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The request could not be made at all.
    #[error("a request to {server} could not be made: {reason}; check the server's address and secret")]
    Setup {
        /// The server's name.
        server: String,
        /// Why.
        reason: String,
    },
}

impl ClientError {
    /// Whether the same request would fail again: such a request is not repeated.
    #[must_use]
    pub fn is_permanent(&self) -> bool {
        match self {
            Self::Api { status, .. } => {
                matches!(
                    status,
                    400 | 401 | 402 | 403 | 404 | 405 | 406 | 409 | 410 | 411 | 413 | 414 | 415 | 422 | 431 | 501
                )
            }
            Self::NoCertificates { .. } | Self::Redirect { .. } | Self::Setup { .. } => true,
            Self::Connect { .. }
            | Self::Timeout { .. }
            | Self::Tls { .. }
            | Self::Lost { .. }
            | Self::BadAnswer { .. } => false,
        }
    }

    /// Whether something else than the server that was found before is at its address, or nothing is: it
    /// refuses connections, does not know the secret, or does not speak the protocol.
    #[must_use]
    pub fn is_server_gone(&self) -> bool {
        matches!(
            self,
            Self::Connect { .. } | Self::Api { status: 401, .. } | Self::BadAnswer { .. } | Self::Redirect { .. }
        )
    }

    /// The HTTP status, if the server answered with an error.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Api { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// How long the server asks to wait before the next try.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Api { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// An answer with a status that is no success.
    pub(super) fn from_answer(endpoint: &Endpoint, status: u16, retry_after: Option<Duration>, body: &[u8]) -> Self {
        let error = match serde_json::from_slice::<ErrorBody>(body) {
            Ok(body) if !body.message.is_empty() => ApiError::new(
                body.code.map_or_else(
                    || ErrorCode::from_status(status),
                    |code| ErrorCode::parse(&clean(&code)),
                ),
                endpoint.secret().redact(clean(&body.message)),
            ),
            _ => {
                let excerpt = clean(&String::from_utf8_lossy(body));
                let excerpt = endpoint.secret().redact(excerpt);
                let message = if excerpt.is_empty() {
                    format!("status {status} without a message")
                } else {
                    format!("status {status}: {excerpt}")
                };
                ApiError::new(ErrorCode::from_status(status), message)
            }
        };
        Self::Api {
            server: endpoint.name().to_owned(),
            status,
            error,
            retry_after,
        }
    }

    /// A failure of the connection. `what` is what was waited for, `after` how long.
    pub(super) fn from_transport(
        endpoint: &Endpoint,
        error: &reqwest::Error,
        what: &'static str,
        after: Duration,
    ) -> Self {
        let server = endpoint.name().to_owned();
        let reason = endpoint.secret().redact(clean(&reason(error)));
        if error.is_timeout() {
            return Self::Timeout { server, what, after };
        }
        if is_tls(error) {
            return Self::Tls { server, reason };
        }
        if error.is_builder() {
            return Self::Setup { server, reason };
        }
        if error.is_connect() {
            return Self::Connect {
                server,
                origin: endpoint.origin(),
                reason,
            };
        }
        Self::Lost { server, reason }
    }

    pub(super) fn bad_answer(endpoint: &Endpoint, reason: impl Into<String>) -> Self {
        Self::BadAnswer {
            server: endpoint.name().to_owned(),
            reason: endpoint.secret().redact(clean(&reason.into())),
        }
    }
}

#[derive(serde::Deserialize)]
struct ErrorBody {
    message: String,
    #[serde(default)]
    code: Option<String>,
}

/// What to do next, by status.
fn advice(status: u16, retry_after: Option<Duration>) -> String {
    match (status, retry_after) {
        (_, Some(wait)) => format!("try again in {} s", wait.as_secs().max(1)),
        (401, _) => "check the secret of this server".to_owned(),
        (402, _) => "the account needs a subscription for this".to_owned(),
        (403, _) => "use a secret that may do this".to_owned(),
        (404 | 405, _) => "check the address and whether this server has what is asked for".to_owned(),
        (408 | 429, _) => "wait a little and try again".to_owned(),
        (409, _) => "use a new channel".to_owned(),
        (413, _) => "make the request smaller".to_owned(),
        (501, _) => "leave out what this server does not have, or use another server".to_owned(),
        (500.., _) => "try again; if it stays, look at the server's log".to_owned(),
        _ => "change the request".to_owned(),
    }
}

/// The innermost reasons of a failure in one line, without any address.
pub(super) fn reason(error: &reqwest::Error) -> String {
    let mut parts: Vec<String> = Vec::new();
    let mut source = error.source();
    while let Some(inner) = source {
        let text = inner.to_string();
        // Each layer repeats the ones below it or says something general: the deepest ones tell most.
        if !text.starts_with("client error (") && !parts.iter().any(|part| part.contains(&text)) {
            parts.push(text);
        }
        source = inner.source();
    }
    match parts.len() {
        0 => "the request failed".to_owned(),
        length => parts[length.saturating_sub(2)..].join(": "),
    }
}

fn is_tls(error: &reqwest::Error) -> bool {
    let mut source = error.source();
    while let Some(inner) = source {
        if inner.is::<rustls::Error>() {
            return true;
        }
        // An I/O error keeps what it wraps to itself: `source` passes it by.
        let mut wrapped = inner.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        while let Some(inner) = wrapped {
            if inner.is::<rustls::Error>() {
                return true;
            }
            wrapped = inner.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        }
        source = inner.source();
    }
    false
}

/// A text without control characters, on one line, not longer than an excerpt.
fn clean(text: &str) -> String {
    let mut cleaned = String::new();
    let mut length = 0;
    for word in text
        .split(|c: char| c.is_whitespace() || c.is_control())
        .filter(|word| !word.is_empty())
    {
        if length > 0 {
            cleaned.push(' ');
            length += 1;
        }
        for c in word.chars().filter(|c| !is_invisible(*c)) {
            if length >= LONGEST_EXCERPT {
                cleaned.push('…');
                return cleaned;
            }
            cleaned.push(c);
            length += 1;
        }
    }
    cleaned
}

/// Characters that turn the direction of text around or join lines unseen.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint() -> Endpoint {
        Endpoint::custom("team", "https://own.example", "sk-hidden").expect("an endpoint")
    }

    #[test]
    fn bodies_of_errors_become_typed_errors() {
        let long = format!("<html>\n\u{1b}[31m{}</html>", "x".repeat(5000));
        let table: &[(u16, &str, ErrorCode, &str)] = &[
            (
                400,
                r#"{"message":"`messages` is empty","code":"BAD_REQUEST"}"#,
                ErrorCode::BadRequest,
                "`messages` is empty",
            ),
            (409, r#"{"message":"taken"}"#, ErrorCode::Conflict, "taken"),
            (
                418,
                r#"{"message":"tea","code":"TEAPOT"}"#,
                ErrorCode::Other("TEAPOT".into()),
                "tea",
            ),
            (502, &long, ErrorCode::BadGateway, "status 502: <html> [31mxxx"),
            (503, "", ErrorCode::ServiceUnavailable, "status 503 without a message"),
            (
                401,
                r#"{"message":"bad key sk-hidden\u001b]0;x","code":"NOT_AUTHENTICATED"}"#,
                ErrorCode::NotAuthenticated,
                "bad key … ]0;x",
            ),
        ];
        for (status, body, code, message) in table {
            let error = ClientError::from_answer(&endpoint(), *status, None, body.as_bytes());
            let shown = error.to_string();
            let ClientError::Api {
                status: found, error, ..
            } = error
            else {
                panic!("{error:?}")
            };
            assert_eq!((found, &error.code), (*status, code));
            assert!(error.message.starts_with(message), "{}", error.message);
            assert!(error.message.chars().count() < 340, "{}", error.message);
            assert!(!shown.contains("sk-hidden") && !shown.contains('\u{1b}'), "{shown}");
            assert!(shown.contains("; "), "it says what to do next: {shown}");
        }
    }

    #[test]
    fn only_what_may_change_is_tried_again() {
        for status in [400, 401, 402, 403, 404, 405, 409, 413, 422, 501] {
            assert!(
                ClientError::from_answer(&endpoint(), status, None, b"").is_permanent(),
                "{status}"
            );
        }
        for status in [408, 425, 429, 500, 502, 503, 504] {
            assert!(
                !ClientError::from_answer(&endpoint(), status, None, b"").is_permanent(),
                "{status}"
            );
        }
    }
}
