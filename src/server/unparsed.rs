//! Answers to what reaches no route: requests that the parser refuses, heads that never end, connections too many.
//!
//! The parser writes a head without a body and closes the connection. It is recognised as it is written, and written anew
//! with our JSON; everything else passes through.

use super::framing::Flaw;
use crate::wire::{ApiError, ErrorCode, ascii};

/// How large a head may be.
#[derive(Debug, Clone, Copy)]
pub(super) struct HeadLimits {
    /// The address and the headers together, in bytes.
    pub(super) bytes: usize,
    /// How many headers.
    pub(super) headers: usize,
}

/// The status and the whole answer for a head that only the parser writes: every refusal of ours has a body. `flaw` is what was found
/// beside the parser, which often knows more.
pub(super) fn explained(head: &[u8], flaw: Option<Flaw>, limits: &HeadLimits) -> Option<(u16, Vec<u8>)> {
    if !head.starts_with(b"HTTP/1.1 4") || !head.ends_with(b"\r\n\r\n") {
        return None;
    }
    let text = std::str::from_utf8(head).ok()?;
    if !text.contains("\r\ncontent-length: 0\r\n") {
        return None;
    }
    let (status_line, _) = text.split_once("\r\n")?;
    let status = status_line.split(' ').nth(1)?.parse().ok()?;
    let message = match (status, flaw) {
        (431, _) => format!(
            "the request's address and headers are more than the {} bytes or {} headers that this server takes",
            limits.bytes, limits.headers
        ),
        (414, _) => "the request's address is longer than this server takes".to_owned(),
        (_, Some(flaw)) => flaw.message().to_owned(),
        _ => "this is no HTTP/1.1 request that this server can read".to_owned(),
    };
    let error = ApiError::new(ErrorCode::BadRequest, message);
    Some((status, whole(status_line, &error, "")))
}

/// The answer to a request whose head did not come in time.
pub(super) fn slow_head(seconds: u64) -> Vec<u8> {
    let message = format!("the head of the request did not come within {seconds} seconds");
    whole(
        "HTTP/1.1 408 Request Timeout",
        &ApiError::new(ErrorCode::Timeout, message),
        "",
    )
}

/// The answer to a connection for which there is no place.
pub(super) fn too_many(connections: usize) -> Vec<u8> {
    let message = format!("the server has {connections} connections open, and takes no more: try again later");
    whole(
        "HTTP/1.1 503 Service Unavailable",
        &ApiError::new(ErrorCode::ServiceUnavailable, message),
        "retry-after: 5\r\n",
    )
}

/// The answer to a request without TLS where TLS is spoken.
pub(super) fn not_encrypted() -> Vec<u8> {
    let message = "this server speaks TLS: use an address that begins with https://";
    whole(
        "HTTP/1.1 400 Bad Request",
        &ApiError::new(ErrorCode::BadRequest, message),
        "",
    )
}

fn whole(status_line: &str, error: &ApiError, headers: &str) -> Vec<u8> {
    let body = ascii::to_json(error);
    let length = body.len();
    let head = format!(
        "{status_line}\r\ncontent-type: application/json\r\n{headers}connection: close\r\ncontent-length: {length}\r\n\r\n"
    );
    [head.into_bytes(), body].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_parser_wrote_is_written_anew() {
        let limits = HeadLimits { bytes: 10, headers: 3 };
        let written = |head: &str, flaw| {
            let explained = explained(head.as_bytes(), flaw, &limits);
            explained.map(|(_, answer)| String::from_utf8(answer))
        };
        let close = "connection: close\r\ncontent-length: 0\r\n\r\n";
        for (status, flaw, named) in [
            ("400 Bad Request", None, "no HTTP/1.1 request"),
            ("400 Bad Request", Some(Flaw::Folded), "next line"),
            (
                "431 Request Header Fields Too Large",
                Some(Flaw::Folded),
                "10 bytes or 3 headers",
            ),
            ("414 URI Too Long", None, "address"),
        ] {
            let text = written(&format!("HTTP/1.1 {status}\r\n{close}"), flaw);
            let text = text.expect("explained").expect("text");
            assert!(
                text.starts_with(&format!("HTTP/1.1 {status}\r\n")) && text.contains(named),
                "{text}"
            );
            let (head, body) = text.split_once("\r\n\r\n").expect("a head");
            assert!(head.contains(&format!("content-length: {}", body.len())), "{text}");
        }
        for other in [
            format!("HTTP/1.1 200 OK\r\n{close}"),
            format!("HTTP/1.1 400 Bad Request\r\n{close}x"),
            "HTTP/1.1 400 Bad Request\r\ncontent-length: 1\r\n\r\n".to_owned(),
        ] {
            assert!(written(&other, None).is_none(), "{other}");
        }
    }
}
