//! Heads and framing, over a plain socket: methods, targets, versions, headers, lengths and chunks that contradict the
//! rules or each other, several requests in a row, and bytes that are no HTTP at all.

use std::fmt;

use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::{SECRET, Then, answers, exchange, fuzzed, healthy, run};

const METHODS: [&str; 14] = [
    "GET",
    "POST",
    "HEAD",
    "OPTIONS",
    "PUT",
    "DELETE",
    "TRACE",
    "CONNECT",
    "PATCH",
    "get",
    "G@T",
    "",
    "PRI",
    "VERYLONGMETHODNAMEINDEED",
];

const TARGETS: [&str; 22] = [
    "/v1/health",
    "/v1/server",
    "/v1/run/list",
    "/v1/run/list?limit=-1&cursor=%00",
    "/v1/conversation/complete",
    "/v1/channel/0123456789abcdef/publish",
    "/v1/channel/%30123456789abcdef%2f..%2f/publish",
    "/v1/channel/%ff%fe/subscribe",
    "/v1/channel//subscribe",
    "/v1/../v1/health",
    "//v1/health",
    "/v1/health?a=b#c",
    "/v1/health%00",
    "/v1/\u{1f600}",
    "/\u{0}",
    "*",
    "http://other.example/v1/health",
    "http://x/v1/health",
    "other.example:443",
    "?",
    "",
    "/v1/health /v1/server",
];

const VERSIONS: [&str; 9] = [
    "HTTP/1.1",
    "HTTP/1.0",
    "HTTP/2.0",
    "HTTP/0.9",
    "HTTP/1.2",
    "HTTP/11",
    "http/1.1",
    "",
    "HTTP/1.1 ",
];

const FIELDS: [&str; 46] = [
    "host: x",
    "host: x",
    "host: y, z",
    "host:",
    "Host: x:99999",
    "content-length: 0",
    "content-length: 2",
    "content-length: 5",
    "content-length: -1",
    "content-length: +2",
    "content-length: 2, 2",
    "content-length: 2, 3",
    "content-length: 0x2",
    "content-length: 99999999999999999999",
    "content-length: 9223372036854775807",
    "content-length : 2",
    "Content-Length:\t2",
    "transfer-encoding: chunked",
    "Transfer-Encoding: Chunked",
    "transfer-encoding: chunked, identity",
    "transfer-encoding: identity",
    "transfer-encoding: gzip, chunked",
    "transfer-encoding: xchunked",
    "transfer-encoding : chunked",
    "transfer-encoding:\u{b}chunked",
    "x: y\r\n folded",
    "\tstarts: folded",
    "connection: close",
    "connection: keep-alive",
    "connection: close, upgrade, te",
    "upgrade: h2c",
    "upgrade: websocket",
    "expect: 100-continue",
    "expect: nonsense",
    "te: trailers",
    "trailer: x",
    "accept: text/html",
    "accept: application/json;q=nan, */*;q=2",
    "content-type: text/plain",
    "content-encoding: gzip",
    "authorization: Bearer wrong",
    "authorization: Basic eDp5",
    "last-event-id: -1",
    "x-timezone: Nowhere/Never",
    "no colon at all",
    ": no name",
];

/// Fields that change little, so that what stands beside them decides.
const HARMLESS: [&str; 6] = [
    "connection: close",
    "connection: keep-alive",
    "accept: */*",
    "user-agent: x",
    "x-anything: y",
    "content-length: 0",
];

const STRANGE_FIELDS: [&[u8]; 8] = [
    b"x: a\0b",
    b"x: \xff\xfe",
    b"x\0y: z",
    b"x: \x01\x02",
    b"x: a\nsmuggled: yes",
    b"x: a\rsmuggled: yes",
    b"x(y): z",
    b"\xc3\xa9: z",
];

const BODIES: [&[u8]; 18] = [
    b"",
    b"{}",
    b"hello",
    b"2\r\n{}\r\n0\r\n\r\n",
    b"0\r\n\r\n",
    b"02\r\n{}\r\n00\r\n\r\n",
    b"2;ext=\"x\"\r\n{}\r\n0\r\ntrailer: x\r\n\r\n",
    b"2\n{}\n0\n\n",
    b"-2\r\n{}\r\n0\r\n\r\n",
    b"0x2\r\n{}\r\n0\r\n\r\n",
    b"2 \r\n{}\r\n0\r\n\r\n",
    b"ffffffffffffffff\r\n{}\r\n",
    b"fffffffffffffffff\r\n{}\r\n",
    b"g\r\n{}\r\n",
    b"2\r\n{}0\r\n\r\n",
    b"3\r\n{}\r\n0\r\n\r\n",
    b"2\r\n{}\r\n0\r\nbad trailer\r\n\r\n",
    b"\r\n",
];

#[derive(Clone)]
struct Sent {
    bytes: Vec<u8>,
    /// Whether an answer to it may have no body although it says a length.
    head: bool,
}

impl fmt::Debug for Sent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.bytes.escape_ascii())
    }
}

fn field() -> impl Strategy<Value = Vec<u8>> {
    let long = (1_usize..90_000, any::<bool>()).prop_map(|(length, name)| {
        let long = "x".repeat(length);
        if name {
            format!("{long}: y")
        } else {
            format!("x: {long}")
        }
        .into_bytes()
    });
    prop_oneof![
        20 => select(HARMLESS.to_vec()).prop_map(|field| field.as_bytes().to_vec()),
        30 => select(FIELDS.to_vec()).prop_map(|field| field.as_bytes().to_vec()),
        6 => select(STRANGE_FIELDS.to_vec()).prop_map(<[u8]>::to_vec),
        1 => long,
    ]
}

fn request() -> impl Strategy<Value = Sent> {
    let ends = prop_oneof![9 => Just("\r\n"), 1 => select(vec!["\n", "\r", "\r\r\n", ""])];
    let method = prop_oneof![3 => select(vec!["GET", "POST"]), 1 => select(METHODS.to_vec())];
    let target =
        prop_oneof![2 => select(vec!["/v1/health", "/v1/conversation/complete"]), 2 => select(TARGETS.to_vec())];
    let version = prop_oneof![5 => Just("HTTP/1.1"), 1 => select(VERSIONS.to_vec())];
    let many = prop_oneof![12 => Just(0_usize), 1 => Just(300_usize)];
    (
        (method, target, version, ends),
        prop::collection::vec(field(), 0..5),
        any::<bool>(),
        any::<bool>(),
        many,
        select(BODIES.to_vec()),
    )
        .prop_map(|((method, target, version, end), fields, secret, host, many, body)| {
            let mut bytes = format!("{method} {target} {version}{end}").into_bytes();
            let mut add = |field: &[u8]| {
                bytes.extend_from_slice(field);
                bytes.extend_from_slice(end.as_bytes());
            };
            if host {
                add(b"host: x");
            }
            if secret {
                add(format!("authorization: Bearer {SECRET}").as_bytes());
            }
            for field in &fields {
                add(field);
            }
            for number in 0..many {
                add(format!("x-{number}: y").as_bytes());
            }
            add(b"");
            bytes.extend_from_slice(body);
            Sent {
                head: method == "HEAD",
                bytes,
            }
        })
}

fn sent() -> impl Strategy<Value = Sent> {
    let noise = prop::collection::vec(any::<u8>(), 0..300).prop_map(|bytes| Sent { bytes, head: false });
    let preface = Just(Sent {
        bytes: b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec(),
        head: false,
    });
    let tls = Just(Sent {
        bytes: b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(),
        head: false,
    });
    let several = prop::collection::vec(request(), 1..4).prop_map(|requests| Sent {
        head: requests.iter().any(|request| request.head),
        bytes: requests.into_iter().flat_map(|request| request.bytes).collect(),
    });
    let damaged = (request(), any::<Index>(), any::<u8>()).prop_map(|(mut request, at, byte)| {
        let at = at.index(request.bytes.len());
        request.bytes[at] = byte;
        request
    });
    prop_oneof![8 => several, 4 => damaged, 1 => noise, 1 => preface, 1 => tls]
}

#[test]
fn any_head_is_answered_or_the_connection_closed() {
    let server = fuzzed();
    run(&sent(), &[200, 400, 405], |sent| {
        server.runtime.block_on(async {
            let seen = exchange(server.address, &sent.bytes, Then::Closes, |_| false).await;
            let seen = seen.map_err(TestCaseError::fail)?;
            healthy(server.address).await?;
            answers(&seen, sent.head).map_err(TestCaseError::fail)
        })
    });
}

/// A request that smuggles another one is answered once, and the connection closed: the second one is never carried out.
#[test]
fn nothing_is_smuggled() {
    let server = fuzzed();
    let inner = format!("GET /v1/run/list HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {SECRET}\r\n\r\n");
    let length = inner.len();
    let table = [
        format!("content-length: {length}\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n{inner}"),
        format!("transfer-encoding: chunked\r\ncontent-length: {length}\r\n\r\n0\r\n\r\n{inner}"),
        format!("content-length: 0\r\ncontent-length: {length}\r\n\r\n{inner}"),
        format!("content-length: 0, {length}\r\n\r\n{inner}"),
        format!("transfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n{inner}"),
        format!("transfer-encoding: identity\r\ncontent-length: 0\r\n\r\n{inner}"),
        format!("transfer-encoding: xchunked\r\n\r\n0\r\n\r\n{inner}"),
        format!("transfer-encoding : chunked\r\n\r\n0\r\n\r\n{inner}"),
        format!("content-length : 0\r\n\r\n{inner}"),
        format!("content-length: -1\r\n\r\n{inner}"),
        format!("transfer-encoding: chunked\r\n\r\n0;\n\r\n\r\n{inner}"),
        format!("transfer-encoding: chunked\r\n\r\n-1\r\n\r\n{inner}"),
        format!("transfer-encoding: chunked\r\n\r\nfffffffffffffffff\r\n\r\n{inner}"),
    ];
    for fields in table {
        let request = format!(
            "POST /v1/channel/0123456789abcdef/publish HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {SECRET}\r\n\
             content-type: application/json\r\n{fields}"
        );
        let exchange = exchange(server.address, request.as_bytes(), Then::Closes, |_| false);
        let seen = server.runtime.block_on(exchange).expect("it ends");
        let seen = String::from_utf8_lossy(&seen);
        assert!(!seen.contains("\"items\""), "{request}\n{seen}");
        assert!(
            seen.lines().filter(|line| line.starts_with("HTTP/1.1 ")).count() <= 1,
            "{request}\n{seen}"
        );
        assert!(seen.is_empty() || seen.starts_with("HTTP/1.1 4"), "{request}\n{seen}");
    }
}
