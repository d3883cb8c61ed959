//! The server among clients that are slow, many, greedy, or mean it ill: real sockets, hand-written requests. Random
//! ones are in `server_fuzz`.

mod server_support;

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use server_support::{Answer, CHANNEL, PATIENCE, Server, lines, parsed, prompt_on, server};
use switchboard::server::{Rate, Tls, TlsFiles};
use switchboard::wire::SecretHash;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto};

/// A request that would be answered if it were taken for one of its own.
const SMUGGLED: &str = "GET /v1/health HTTP/1.1\r\nhost: x\r\n\r\n";

fn post(headers: &str, body: &str) -> String {
    format!(
        "POST /v1/channel/{CHANNEL}/publish HTTP/1.1\r\nhost: x\r\nauthorization: Bearer secret-one\r\n{headers}\r\n{body}"
    )
}

#[tokio::test]
async fn whatever_two_readers_could_understand_differently_is_refused_and_the_connection_closed() {
    let server = server(|_| {}).await;
    let message = "{\"message\":1}";
    let length = message.len();
    let chunk = format!("{length:x}\r\n{message}\r\n0\r\n\r\n");
    let chunked = "transfer-encoding: chunked\r\n";
    let sized = format!("content-length: {length}\r\n");
    let health = |head: &str| format!("{head}\r\n\r\n");
    let table = [
        ("two lengths", post(&format!("{sized}content-length: 0\r\n"), message)),
        ("the same length twice", post(&format!("{sized}{sized}"), message)),
        (
            "a list of lengths",
            post(&format!("content-length: {length}, {length}\r\n"), message),
        ),
        (
            "a signed length",
            post(&format!("content-length: +{length}\r\n"), message),
        ),
        ("a length that is no number", post("content-length: 0x0d\r\n", message)),
        (
            "a length beyond all",
            post(&format!("content-length: {}\r\n", "9".repeat(40)), message),
        ),
        ("length, then chunks", post(&format!("{sized}{chunked}"), &chunk)),
        ("chunks, then length", post(&format!("{chunked}{sized}"), &chunk)),
        (
            "chunks that are not last",
            post("transfer-encoding: chunked, identity\r\n", &chunk),
        ),
        ("identity", post("transfer-encoding: identity\r\n", message)),
        ("another coding", post("transfer-encoding: gzip, chunked\r\n", &chunk)),
        ("chunks twice", post(&format!("{chunked}{chunked}"), &chunk)),
        (
            "chunks in HTTP/1.0",
            post(chunked, &chunk).replace("HTTP/1.1", "HTTP/1.0"),
        ),
        ("a hidden coding", post("transfer-encoding : chunked\r\n", &chunk)),
        ("a folded coding", post("transfer-encoding:\r\n chunked\r\n", &chunk)),
        ("a folded header", post(&format!("{sized}x: a\r\n b\r\n"), message)),
        ("a header without a name", post(&format!("{sized}: a\r\n"), message)),
        ("a header without a colon", post(&format!("{sized}abc\r\n"), message)),
        ("a header with NUL", post(&format!("{sized}x: a\0b\r\n"), message)),
        (
            "a header with a bare carriage return",
            post(&format!("{sized}x: a\rb: c\r\n"), message),
        ),
        ("bare line feeds", post(&sized, message).replacen("\r\n", "\n", 9)),
        (
            "one bare line feed",
            post(&sized, message).replacen("\r\nauthorization", "\nauthorization", 1),
        ),
        (
            "a chunk's size that is none",
            post(chunked, &format!("g\r\n{message}\r\n0\r\n\r\n")),
        ),
        ("a negative chunk", post(chunked, &format!("-{chunk}"))),
        ("a chunk's size with a prefix", post(chunked, &format!("0x{chunk}"))),
        (
            "a chunk's size with junk",
            post(chunked, &chunk.replacen("\r\n", " junk\r\n", 1)),
        ),
        (
            "a chunk's extension with a line feed",
            post(chunked, &chunk.replacen("\r\n", ";a\nb\r\n", 1)),
        ),
        (
            "a chunk's size that overflows",
            post(chunked, &format!("{}\r\n{message}\r\n0\r\n\r\n", "f".repeat(17))),
        ),
        ("a chunk that is longer", post(chunked, &chunk.replacen("}", "}}", 1))),
        (
            "chunks with bare line feeds",
            post(chunked, &chunk.replace("\r\n", "\n")),
        ),
        (
            "a length behind the chunks",
            post(chunked, &chunk.replacen("0\r\n", "0\r\ncontent-length: 9\r\n", 1)),
        ),
        ("no host", health("GET /v1/health HTTP/1.1")),
        ("two hosts", health("GET /v1/health HTTP/1.1\r\nhost: x\r\nhost: x")),
        ("a host that is none", health("GET /v1/health HTTP/1.1\r\nhost: x/y")),
        (
            "an address of another host",
            health("GET http://y/v1/health HTTP/1.1\r\nhost: x"),
        ),
        ("no version", health("GET /v1/health")),
        ("another version", health("GET /v1/health HTTP/2.5\r\nhost: x")),
        ("two blanks", health("GET  /v1/health HTTP/1.1\r\nhost: x")),
        ("a method that is none", health("G(T /v1/health HTTP/1.1\r\nhost: x")),
        (
            "an address with a control character",
            health("GET /v1/he\u{7f}alth HTTP/1.1\r\nhost: x"),
        ),
        (
            "a beginning with a blank line too many",
            format!("\n{}", health("GET /v1/health HTTP/1.1\r\nhost: x")),
        ),
    ];
    for (name, request) in table {
        let mut answer = server.raw(format!("{request}{SMUGGLED}").as_bytes()).await;
        let text = answer.end().await;
        let (status, body) = parsed(&text);
        assert_eq!((status, &body["code"]), (400, &json!("BAD_REQUEST")), "{name}: {text}");
        assert_eq!(text.matches("content-length: ").count(), 1, "{name}: {text}");
        assert!(!text.contains("\"ok\""), "{name}: {text}");
    }
    // The same in their right form, several on one connection, and in pieces.
    let good = [
        post(&sized, message),
        post(chunked, &chunk),
        post(chunked, &chunk.replacen("\r\n", ";name=\"value\"\r\n", 1)),
        format!("\r\n{SMUGGLED}"),
        SMUGGLED.replace("host: x", "HOST:x:7280"),
        SMUGGLED.replace("/v1/health", "http://x/v1/health"),
        SMUGGLED.replace("host: x\r\n", "host: x\r\nconnection: close\r\n"),
    ]
    .concat();
    let mut stream = TcpStream::connect(server.address).await.expect("a connection");
    for piece in good.as_bytes().chunks(7) {
        stream.write_all(piece).await.expect("sent");
    }
    let mut answer = Answer {
        stream,
        seen: Vec::new(),
    };
    let text = answer.end().await;
    assert_eq!(text.matches("HTTP/1.1 200 OK").count(), 7, "{text}");
    server.end().await;
}

#[tokio::test]
async fn a_flaw_in_a_later_request_leaves_the_earlier_ones_their_answers() {
    let server = server(|_| {}).await;
    let request = format!(
        "{SMUGGLED}{}{SMUGGLED}",
        SMUGGLED.replace("\r\n\r\n", "\r\nx : y\r\n\r\n")
    );
    let text = server.raw(request.as_bytes()).await.end().await;
    assert_eq!(text.matches("HTTP/1.1 200").count(), 1, "{text}");
    assert_eq!(text.matches("HTTP/1.1 400").count(), 1, "{text}");
    server.end().await;
}

#[tokio::test]
async fn who_sends_too_slowly_is_told_so() {
    let server = server(|options| {
        options.header_timeout = Duration::from_millis(200);
        options.body_timeout = Duration::from_millis(200);
    })
    .await;
    for (request, named) in [
        ("GET /v1/health HT".to_owned(), "head"),
        ("GET /v1/health HTTP/1.1\r\nhost: x\r\nx: y".to_owned(), "head"),
        (format!("{SMUGGLED}GET"), "head"),
        (post("content-length: 13\r\n", "{\"mess"), "body"),
        (post("transfer-encoding: chunked\r\n", "5\r\n{\"mes"), "body"),
    ] {
        let text = server.raw(request.as_bytes()).await.end().await;
        let last = &text[text.rfind("HTTP/1.1 ").expect("an answer")..];
        let (status, body) = parsed(last);
        assert_eq!((status, &body["code"]), (408, &json!("TIMEOUT")), "{request}: {text}");
        assert!(
            body["message"].as_str().is_some_and(|text| text.contains(named)),
            "{text}"
        );
    }
    // Who says nothing is told nothing.
    assert_eq!(server.raw(b"").await.end().await, "");
    let text = server.raw(SMUGGLED.as_bytes()).await.end().await;
    assert_eq!(text.matches("HTTP/1.1 ").count(), 1, "{text}");
    server.end().await;
}

#[tokio::test]
async fn heads_have_bounds_that_the_options_say() {
    let server = server(|options| {
        options.head_limit = 2000;
        options.headers = 10;
    })
    .await;
    let request =
        |address: &str, more: &str| format!("GET {address} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{more}\r\n");
    let table = [
        (request("/v1/health", &format!("x: {}\r\n", "y".repeat(1800))), 200),
        (request("/v1/health", &format!("x: {}\r\n", "y".repeat(2000))), 431),
        (request("/v1/health", &"x: y\r\n".repeat(8)), 200),
        (request("/v1/health", &"x: y\r\n".repeat(9)), 431),
        // Far more than any buffer.
        (request("/v1/health", &format!("x: {}\r\n", "y".repeat(500_000))), 431),
        (request(&format!("/{}", "y".repeat(100_000)), ""), 431),
    ];
    for (request, expected) in table {
        let text = server.raw(request.as_bytes()).await.end().await;
        let (status, body) = parsed(&text);
        assert_eq!(status, expected, "{} bytes: {body}", request.len());
        if expected == 431 {
            assert!(
                body["message"]
                    .as_str()
                    .is_some_and(|text| text.contains("2000 bytes or 10 headers")),
                "{body}"
            );
        }
    }
    server.end().await;
}

#[tokio::test]
async fn a_connection_too_many_is_told_so_and_one_that_leaves_frees_its_place() {
    let server = server(|options| options.connections = 2).await;
    let run = prompt_on("first-0123456789abcdef", "hang");
    assert_eq!(server.json("POST", "/v1/conversation/dispatch", run).await.0, 200);
    let first = server
        .subscribe("secret-one", "first-0123456789abcdef", json!({"historyLength": 10}))
        .await;
    let second = server.subscribe("secret-one", CHANNEL, json!({})).await;
    let text = server.raw(SMUGGLED.as_bytes()).await.end().await;
    let (status, body) = parsed(&text);
    assert_eq!((status, &body["code"]), (503, &json!("SERVICE_UNAVAILABLE")));
    assert!(text.contains("retry-after: "), "{text}");
    // The run of who leaves goes on.
    drop(first);
    let list = until_taken(&server, "/v1/run/list").await;
    assert_eq!(list["items"][0]["status"], "running");
    drop(second);
    server.end().await;
}

/// Asks until there is a place.
async fn until_taken(server: &Server, path: &str) -> Value {
    let asking = async {
        loop {
            let (status, body) = server.json("GET", path, Value::Null).await;
            if status == 200 {
                return body;
            }
            assert_eq!(status, 503, "{body}");
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, asking).await.expect("a place is free")
}

#[tokio::test]
async fn an_account_that_asks_too_often_waits_and_the_others_do_not() {
    let server = server(|options| {
        let number = |number| NonZeroU32::new(number).expect("not zero");
        options.rate = Some(Rate {
            per_second: number(1),
            burst: number(5),
        });
    })
    .await;
    // A subscription counts once, however long it is open.
    let mut reader = server.subscribe("secret-one", CHANNEL, json!({})).await;
    let mut refused = None;
    for _ in 0..30 {
        let text = server.ask("GET", "/v1/server", "secret-one", "", "").await.end().await;
        if text.starts_with("HTTP/1.1 429 ") {
            refused = Some(text);
            break;
        }
    }
    let text = refused.expect("thirty requests are more than five");
    assert_eq!(parsed(&text).1["code"], "TOO_MANY_REQUESTS");
    assert!(text.contains("\r\nretry-after: 1\r\n"), "{text}");
    for _ in 0..3 {
        let mut other = server.ask("GET", "/v1/server", "secret-two", "", "").await;
        assert_eq!(parsed(&other.end().await).0, 200);
    }
    // Nor do those who have no account use up anybody's.
    for _ in 0..10 {
        let mut nobody = server.ask("GET", "/v1/server", "wrong", "", "").await;
        assert_eq!(parsed(&nobody.end().await).0, 401);
    }
    let path = format!("/v1/channel/{CHANNEL}/publish");
    let publishing = async {
        while server.json("POST", &path, json!({"message": "still here"})).await.0 != 200 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, publishing)
        .await
        .expect("its time comes again");
    reader.until("still here").await;
    server.end().await;
}

#[tokio::test]
async fn a_queue_that_is_full_says_when_to_come_again() {
    let server = server(|options| {
        options.runs_in_flight = 1;
        options.live_runs = 2;
    })
    .await;
    let dispatch = |number: usize| prompt_on(&format!("channel-{number}-0123456789abcdef"), "hang");
    for number in 0..2 {
        let (status, _) = server.json("POST", "/v1/conversation/dispatch", dispatch(number)).await;
        assert_eq!(status, 200);
    }
    let body = dispatch(2).to_string();
    let mut answer = server
        .ask("POST", "/v1/conversation/dispatch", "secret-one", "", &body)
        .await;
    let text = answer.end().await;
    let (status, body) = parsed(&text);
    assert_eq!((status, &body["code"]), (429, &json!("LIMITS_REACHED")));
    assert!(text.contains("\r\nretry-after: 5\r\n"), "{text}");
    server.end().await;
}

#[tokio::test]
async fn what_is_refused_before_it_reaches_a_route_is_counted() {
    let server = server(|options| {
        options.metrics = Some(SecretHash::of(b"secret-metrics"));
        options.header_timeout = Duration::from_millis(300);
        options.connections = 2;
    })
    .await;
    let big = format!("GET / HTTP/1.1\r\nhost: x\r\nx: {}\r\n\r\n", "x".repeat(40_000));
    for (request, status) in [
        ("POST /v1/health HTTP/1.1\r\n\r\n", "400"),
        ("NO HTTP\r\n\r\n", "400"),
        (big.as_str(), "431"),
        ("GET /v1/heal", "408"),
    ] {
        let text = server.raw(request.as_bytes()).await.end().await;
        assert_eq!(text.split(' ').nth(1), Some(status), "{text}");
    }
    let mut held = Vec::new();
    for number in 0..2 {
        let channel = format!("channel-{number}-0123456789abcdef");
        held.push(server.subscribe("secret-one", &channel, json!({})).await);
    }
    let text = server.raw(SMUGGLED.as_bytes()).await.end().await;
    assert_eq!(parsed(&text).0, 503);
    drop(held);
    let counted = |text: &str, method: &str, status: &str| {
        let labels = format!("{{method=\"{method}\",route=\"other\",status=\"{status}\"}} 1");
        text.contains(&format!("switchboard_http_requests_total{labels}\n"))
    };
    let asking = async {
        loop {
            let text = server
                .ask("GET", "/v1/metrics", "secret-metrics", "", "")
                .await
                .end()
                .await;
            // The places of those who leave are free a moment later.
            if !text.starts_with("HTTP/1.1 503 ") {
                return text;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let text = tokio::time::timeout(PATIENCE, asking).await.expect("a free place");
    for (method, status) in [("POST", "400"), ("other", "400"), ("other", "431"), ("other", "408")] {
        assert!(counted(&text, method, status), "{method} {status}: {text}");
    }
    assert!(text.contains("route=\"other\",status=\"503\"}"), "{text}");
    server.end().await;
}

/// A subscription whose client does not read on.
async fn slow_reader(address: SocketAddr, channel: &str) -> Answer {
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    let request = format!(
        "POST /v1/channel/{channel}/subscribe HTTP/1.1\r\nhost: x\r\nauthorization: Bearer secret-one\r\n\
         content-length: 0\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = Answer {
        stream,
        seen: Vec::new(),
    };
    answer.until("\r\n\r\n").await;
    answer
}

/// Publishes messages of 50 kB, each with its number.
async fn publish(server: &Server, numbers: std::ops::Range<usize>) {
    let path = format!("/v1/channel/{CHANNEL}/publish");
    for number in numbers {
        let body = json!({"message": {"number": number, "text": "x".repeat(50_000)}});
        assert_eq!(server.json("POST", &path, body).await.0, 200);
    }
}

fn numbers(answer: &str) -> Vec<u64> {
    lines(answer)
        .iter()
        .filter_map(|line| line["data"]["number"].as_u64())
        .collect()
}

#[tokio::test]
async fn a_stalled_reader_is_cut_after_its_time_and_the_others_miss_nothing() {
    let server = server(|options| options.reader_timeout = Duration::from_millis(500)).await;
    let mut stalled = slow_reader(server.address, CHANNEL).await;
    let mut fast = server.subscribe("secret-one", CHANNEL, json!({})).await;
    let reading = tokio::spawn(async move { fast.until("\"number\":59").await });
    publish(&server, 0..60).await;
    let seen = reading.await.expect("read");
    assert_eq!(numbers(&seen)[..59], (0..59).collect::<Vec<u64>>());
    // It took nothing for its time: the connection is gone, though nobody closed it here.
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let seen = stalled.end().await;
    assert!(
        !seen.ends_with("0\r\n\r\n") && numbers(&seen).len() < 59,
        "{}",
        seen.len()
    );
    server.end().await;
}

#[tokio::test]
async fn what_a_channel_holds_for_slow_readers_is_bounded_and_they_are_cut_where_it_ends() {
    let server = server(|options| {
        options.reader_timeout = Duration::from_secs(600);
        options.reader_backlog = 400_000;
    })
    .await;
    let mut slow = slow_reader(server.address, CHANNEL).await;
    let mut fast = server.subscribe("secret-one", CHANNEL, json!({})).await;
    let reading = tokio::spawn(async move { fast.until("\"number\":99").await });
    publish(&server, 0..100).await;
    assert_eq!(
        numbers(&reading.await.expect("read"))[..99],
        (0..99).collect::<Vec<u64>>()
    );
    // What it gets has no hole; where messages were given up, it ends, and at a line's border.
    let seen = slow.until("\r\n0\r\n\r\n").await;
    let got = numbers(&seen);
    assert!(
        got.len() < 99 && got == (0..got.len() as u64).collect::<Vec<u64>>(),
        "{got:?}"
    );
    assert!(seen.ends_with("0\r\n\r\n"));
    server.end().await;
}

#[tokio::test]
async fn a_web_page_of_a_listed_origin_may_ask_and_another_may_not() {
    let server = server(|options| {
        options.cors = ["https://dash.example.com", "http://localhost:5173"]
            .map(|origin| origin.parse().expect("a header"))
            .into();
    })
    .await;
    let preflight = |origin: &str| {
        format!(
            "OPTIONS /v1/channel/{CHANNEL}/subscribe HTTP/1.1\r\nhost: x\r\nconnection: close\r\norigin: {origin}\r\n\
             access-control-request-method: POST\r\n\
             access-control-request-headers: authorization,content-type,last-event-id,x-timezone\r\n\r\n"
        )
    };
    let text = server
        .raw(preflight("https://dash.example.com").as_bytes())
        .await
        .end()
        .await;
    assert!(text.starts_with("HTTP/1.1 200 "), "{text}");
    assert!(
        text.contains("access-control-allow-origin: https://dash.example.com\r\n"),
        "{text}"
    );
    for allowed in ["authorization", "content-type", "last-event-id", "x-timezone"] {
        let line = text
            .lines()
            .find(|line| line.starts_with("access-control-allow-headers"));
        assert!(line.is_some_and(|line| line.contains(allowed)), "{text}");
    }
    let text = server
        .raw(preflight("https://evil.example.com").as_bytes())
        .await
        .end()
        .await;
    assert!(!text.contains("access-control-allow-origin"), "{text}");
    for (origin, secret, status, allowed) in [
        ("http://localhost:5173", "secret-one", 200, true),
        ("http://localhost:5173", "wrong", 401, true),
        ("http://localhost:5174", "secret-one", 200, false),
    ] {
        let headers = format!("origin: {origin}\r\n");
        let text = server
            .ask("GET", "/v1/run/list", secret, &headers, "")
            .await
            .end()
            .await;
        assert_eq!(parsed(&text).0, status);
        assert_eq!(
            text.contains(&format!("access-control-allow-origin: {origin}\r\n")),
            allowed,
            "{text}"
        );
        assert!(!text.contains("allow-credentials"), "{text}");
    }
    server.end().await;

    let closed = server_support::server(|_| {}).await;
    let text = closed
        .raw(preflight("https://dash.example.com").as_bytes())
        .await
        .end()
        .await;
    assert!(
        text.starts_with("HTTP/1.1 405 ") && !text.contains("access-control"),
        "{text}"
    );
    closed.end().await;
}

/// A certificate for `localhost` and its key, in files, and a client that trusts it.
fn certificate(home: &std::path::Path) -> (TlsFiles, TlsConnector) {
    let key = rcgen::KeyPair::generate().expect("a key");
    let params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
    let certificate = params.self_signed(&key).expect("signed");
    let files = TlsFiles {
        certificate: home.join("certificate.pem"),
        key: home.join("key.pem"),
    };
    std::fs::write(&files.certificate, certificate.pem()).expect("written");
    std::fs::write(&files.key, key.serialize_pem()).expect("written");
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(certificate.pem().as_bytes()).expect("PEM"))
        .expect("a root");
    let mut config = ClientConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    (files, TlsConnector::from(Arc::new(config)))
}

#[tokio::test]
async fn it_speaks_tls_with_a_certificate_and_answers_those_who_do_not() {
    let home = tempfile::tempdir().expect("a directory");
    let (files, connector) = certificate(home.path());
    let tls = Arc::new(Tls::open(files).expect("usable"));
    let server = server(|options| options.tls = Some(tls)).await;
    let connect = async || {
        let stream = TcpStream::connect(server.address).await.expect("a connection");
        let name = ServerName::try_from("localhost").expect("a name");
        connector.connect(name, stream).await.expect("a handshake")
    };
    let mut stream = connect().await;
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(b"http/1.1".as_slice()));
    stream
        .write_all(
            SMUGGLED
                .replace("host: x", "host: localhost\r\nconnection: close")
                .as_bytes(),
        )
        .await
        .expect("sent");
    let mut text = String::new();
    stream
        .read_to_string(&mut text)
        .await
        .expect("an answer and a proper end");
    assert_eq!(parsed(&text), (200, json!({"status": "ok"})));

    // A subscription, fed from another connection.
    let mut reader = connect().await;
    reader
        .write_all(
            format!(
                "POST /v1/channel/{CHANNEL}/subscribe HTTP/1.1\r\nhost: x\r\nauthorization: Bearer secret-one\r\n\
                 content-length: 0\r\n\r\n"
            )
            .as_bytes(),
        )
        .await
        .expect("sent");
    let mut seen = Vec::new();
    let mut buffer = [0; 4096];
    while !String::from_utf8_lossy(&seen).contains("\r\n\r\n") {
        let count = reader.read(&mut buffer).await.expect("a head");
        seen.extend_from_slice(&buffer[..count]);
    }
    let message = "{\"message\":\"over TLS\"}";
    let mut publisher = connect().await;
    publisher
        .write_all(post(&format!("content-length: {}\r\n", message.len()), message).as_bytes())
        .await
        .expect("sent");
    while !String::from_utf8_lossy(&seen).contains("over TLS") {
        let count = reader.read(&mut buffer).await.expect("a line");
        assert!(count > 0, "it ended");
        seen.extend_from_slice(&buffer[..count]);
    }

    let (status, body) = parsed(&server.raw(SMUGGLED.as_bytes()).await.end().await);
    assert_eq!(status, 400);
    assert!(
        body["message"].as_str().is_some_and(|text| text.contains("https://")),
        "{body}"
    );
    // Garbage is no handshake, and no harm.
    server.raw(&[0x16, 3, 1, 0, 5, 1, 2, 3, 4, 5]).await.end().await;
    drop(connect().await);
    server.end().await;
}
