//! The server against bodies and heads that nobody should send: whatever comes, it answers in JSON with a code that
//! PROTOCOL.md knows, or closes the connection; it never answers 500, never hangs, and serves the next one as before.
//!
//! `PROPTEST_CASES` says how many cases each property has; without it there are 256.

mod bodies;
mod heads;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use futures::stream;
use proptest::prelude::*;
use proptest::test_runner::{TestCaseResult, TestRunner};
use serde_json::Value;
use switchboard::engine::{Engine, EngineLimits};
use switchboard::fetch::{FetchOptions, Fetcher};
use switchboard::llm::{FinishReason, Model, ModelEvent, ModelRequest, ModelStream};
use switchboard::server::{Account, ServerOptions, serve};
use switchboard::wire::ErrorCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

const SECRET: &str = "fuzz-secret-0123456789abcdef";

/// What the server may take for one exchange; the limits on slow clients are far below it.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long a request may come before the client closes its side: most are answered at once.
const PAUSE: Duration = Duration::from_millis(40);

/// Answers at once.
struct Instant;

impl Model for Instant {
    fn name(&self) -> &'static str {
        "instant"
    }

    fn call(&self, _: ModelRequest) -> ModelStream {
        let answer = [ModelEvent::Text("yes".into()), ModelEvent::Finish(FinishReason::Stop)];
        Box::pin(stream::iter(answer.map(Ok)))
    }
}

struct Fuzzed {
    runtime: Runtime,
    address: SocketAddr,
}

/// The server that all cases talk to.
fn fuzzed() -> &'static Fuzzed {
    static SERVER: OnceLock<Fuzzed> = OnceLock::new();
    SERVER.get_or_init(|| {
        let runtime = Runtime::new().expect("a runtime");
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a port");
        let address = listener.local_addr().expect("an address");
        let options = ServerOptions {
            accounts: vec![Account::with_secret("test", SECRET)],
            header_timeout: Duration::from_secs(1),
            body_timeout: Duration::from_secs(1),
            // Valid bodies start runs, and none of them may fill the server up.
            retention: Duration::from_secs(1),
            ..ServerOptions::default()
        };
        // Nothing on this machine is allowed, and no name is looked up: attachments always fail.
        let fetch = FetchOptions {
            ports: vec![1],
            ..FetchOptions::default()
        };
        let engine = Engine::new(Arc::new(Instant), EngineLimits::default()).with_fetcher(Some(Fetcher::new(fetch)));
        runtime.spawn(async move {
            serve(listener, options, Arc::new(engine), CancellationToken::new())
                .await
                .expect("it serves to the end");
        });
        Fuzzed { runtime, address }
    })
}

/// An answer: its status, and its body where it is whole.
#[derive(Debug)]
struct Answer {
    status: u16,
    body: Option<String>,
}

/// What the client does when everything is sent.
#[derive(Clone, Copy, PartialEq)]
enum Then {
    /// It closes its side soon: whatever the server still waits for does not come.
    Closes,
    /// It waits for the answer.
    Waits,
}

/// Sends bytes and reads everything that comes back, until the server closes or `enough` has come.
async fn exchange(
    address: SocketAddr,
    request: &[u8],
    then: Then,
    enough: fn(&[u8]) -> bool,
) -> Result<Vec<u8>, String> {
    let mut stream = TcpStream::connect(address).await.map_err(|error| error.to_string())?;
    let (mut reader, mut writer) = stream.split();
    let sending = async {
        // Who refuses may close before everything was sent.
        let _ = writer.write_all(request).await;
        if then == Then::Closes {
            tokio::time::sleep(PAUSE).await;
            let _ = writer.shutdown().await;
        }
        std::future::pending::<()>().await;
    };
    let reading = async {
        let mut seen = Vec::new();
        let mut buffer = [0; 16 * 1024];
        loop {
            match reader.read(&mut buffer).await {
                Ok(0) | Err(_) => return seen,
                Ok(count) => seen.extend_from_slice(&buffer[..count]),
            }
            if enough(&seen) {
                return seen;
            }
        }
    };
    let exchange = async {
        tokio::select! {
            seen = reading => seen,
            () = sending => Vec::new(),
        }
    };
    timeout(PATIENCE, exchange)
        .await
        .map_err(|_| format!("no end within {} seconds", PATIENCE.as_secs()))
}

/// The answers of a connection, in their order; what is cut off at the end is left out.
fn answers(mut seen: &[u8], without_bodies: bool) -> Result<Vec<Answer>, String> {
    let mut answers = Vec::new();
    while !seen.is_empty() {
        let Some(end) = seen.windows(4).position(|four| four == b"\r\n\r\n") else {
            return Err(format!("half a head: {:?}", String::from_utf8_lossy(seen)));
        };
        let head = std::str::from_utf8(&seen[..end]).map_err(|error| error.to_string())?;
        seen = &seen[end + 4..];
        let status = head
            .strip_prefix("HTTP/1.1 ")
            .or_else(|| head.strip_prefix("HTTP/1.0 "))
            .and_then(|rest| rest.get(..3)?.parse().ok())
            .ok_or_else(|| format!("no status: {head:?}"))?;
        let field = |name: &str| {
            head.lines().skip(1).find_map(|line| {
                let (found, value) = line.split_once(':')?;
                found.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
            })
        };
        if (100..200).contains(&status) {
            continue;
        }
        let length: Option<usize> = field("content-length").and_then(|length| length.parse().ok());
        let body = match length {
            // Whether a request that could not be read was a HEAD is not known: its refusal has a body.
            Some(_) if without_bodies && (seen.is_empty() || seen.starts_with(b"HTTP/1.")) => Some(String::new()),
            Some(length) if seen.len() >= length => {
                let body = String::from_utf8_lossy(&seen[..length]).into_owned();
                seen = &seen[length..];
                Some(body)
            }
            // A stream, or an answer that was cut: what follows belongs to it.
            _ => {
                seen = &[];
                None
            }
        };
        answers.push(Answer { status, body });
    }
    Ok(answers)
}

/// Checks that an answer is one that PROTOCOL.md knows.
fn known(answer: &Answer) -> TestCaseResult {
    let Answer { status, body } = answer;
    prop_assert!(*status < 500 || *status == 501, "{answer:?}");
    if *status < 300 {
        return Ok(());
    }
    // A head that is too long has statuses of its own beside the table's.
    let known = ErrorCode::KNOWN.iter().any(|code| code.status() == *status) || [414, 431].contains(status);
    prop_assert!(known, "{answer:?}");
    if let Some(body) = body.as_deref().filter(|body| !body.is_empty()) {
        prop_assert!(body.is_ascii(), "{answer:?}");
        let body: Value =
            serde_json::from_str(body).map_err(|error| TestCaseError::fail(format!("{error}: {body}")))?;
        let code = body["code"].as_str().map(ErrorCode::parse);
        prop_assert!(code.is_some_and(|code| ErrorCode::KNOWN.contains(&code)), "{body}");
        prop_assert!(
            body["message"].as_str().is_some_and(|message| !message.is_empty()),
            "{body}"
        );
    }
    Ok(())
}

/// Checks that the server serves as before.
async fn healthy(address: SocketAddr) -> TestCaseResult {
    let request = b"GET /v1/health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let seen = exchange(address, request, Then::Waits, |_| false)
        .await
        .map_err(TestCaseError::fail)?;
    let answers = answers(&seen, false).map_err(TestCaseError::fail)?;
    prop_assert_eq!(answers.len(), 1);
    prop_assert_eq!(answers[0].status, 200);
    Ok(())
}

/// Runs a property and tells the answers that it saw, by their statuses. Each of `expected` has to be among them, or the
/// cases reach less of the server than they should.
fn run<S: Strategy>(strategy: &S, expected: &[u16], test: impl Fn(S::Value) -> Result<Vec<Answer>, TestCaseError>) {
    let config = ProptestConfig {
        max_shrink_iters: 100,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let cases = config.cases;
    let seen = Mutex::new(BTreeMap::<u16, u64>::new());
    let outcome = TestRunner::new(config).run(strategy, |value| {
        let answers = test(value)?;
        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        for answer in &answers {
            known(answer)?;
            *seen.entry(answer.status).or_default() += 1;
        }
        Ok(())
    });
    let seen = seen.into_inner().unwrap_or_else(PoisonError::into_inner);
    eprintln!("{cases} cases, answers by status: {seen:?}");
    if let Err(error) = outcome {
        panic!("{error}");
    }
    // With fewer cases than usual chance decides.
    if cases >= 256 {
        for status in expected {
            assert!(seen.contains_key(status), "{status} was never answered: {seen:?}");
        }
    }
}
