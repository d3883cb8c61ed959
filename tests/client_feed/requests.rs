//! Single requests: where they go, what is repeated, what their failures say.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::json;
use switchboard::client::{Client, ClientError, Endpoint, Timeouts, mint_channel_id};
use switchboard::wire::request::{CompleteRequest, DispatchRequest, SubscribeRequest};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::channel;
use super::fake::{Fake, SECRET};

/// A server that gives one answer after another, and counts.
async fn answers(list: Vec<(u16, &'static str, &'static str)>) -> (Fake, Arc<AtomicUsize>) {
    let count = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&count);
    let fake = Fake::start(move |_, connection| {
        let at = counter.fetch_add(1, Ordering::SeqCst).min(list.len() - 1);
        let (status, headers, body) = list[at];
        async move {
            match status {
                0 => drop(connection),
                _ => connection.answer(status, headers, body).await,
            }
        }
    })
    .await;
    (fake, count)
}

fn dispatch(named: bool) -> DispatchRequest {
    DispatchRequest {
        channel_id: named.then(channel),
        complete: CompleteRequest::prompt("hi"),
    }
}

const OK: (u16, &str, &str) = (200, "", r#"{"channelId":"channel-0123456789abcdef"}"#);

#[tokio::test]
async fn a_dispatch_with_a_channel_is_repeated_and_one_without_is_not() {
    let (fake, count) = answers(vec![(503, "", ""), (0, "", ""), (429, "retry-after: 0\r\n", ""), OK]).await;
    let answer = fake
        .client()
        .dispatch(&dispatch(true))
        .await
        .expect("the fourth try works");
    assert_eq!((answer.channel_id, count.load(Ordering::SeqCst)), (channel(), 4));

    let (fake, count) = answers(vec![(503, "", ""), OK]).await;
    let error = fake
        .client()
        .dispatch(&dispatch(false))
        .await
        .expect_err("it is not repeated");
    assert_eq!((error.status(), count.load(Ordering::SeqCst)), (Some(503), 1));

    for status in [400, 401, 409, 422, 501] {
        let (fake, count) = answers(vec![(status, "", ""), OK]).await;
        let error = fake
            .client()
            .dispatch(&dispatch(true))
            .await
            .expect_err("it is refused");
        assert_eq!((error.status(), count.load(Ordering::SeqCst)), (Some(status), 1));
    }

    let (fake, count) = answers(vec![(429, "retry-after: 3600\r\n", ""), OK]).await;
    let error = fake
        .client()
        .dispatch(&dispatch(true))
        .await
        .expect_err("nobody waits for an hour");
    assert_eq!(error.retry_after(), Some(Duration::from_secs(3600)));
    assert_eq!(count.load(Ordering::SeqCst), 1);
    assert!(error.to_string().contains("3600 s"), "{error}");
}

#[tokio::test]
async fn requests_go_where_the_protocol_says() {
    let fake = Fake::start(|request, connection| async move {
        let head = request.head.to_ascii_lowercase();
        let secret = head.contains(&format!("authorization: bearer {SECRET}"));
        let json = request.method == "GET" || head.contains("content-type: application/json");
        let id = channel();
        let answer = match (request.method.as_str(), request.path.as_str()) {
            _ if !secret || !json => None,
            ("POST", "/api/v1/channel/channel-0123456789abcdef/publish") if request.body == json!({"message": 7}) => {
                Some(json!({"id": id}))
            }
            ("POST", "/api/v1/channel/channel-0123456789abcdef/cancel") => Some(json!({})),
            ("POST", "/api/v1/conversation/complete") => Some(json!({"text": "t", "end": {"reason": "stop"}})),
            ("GET", "/api/v1/run/list?take=1000") => Some(json!({"items": [], "cursor": "1 a"})),
            ("GET", "/api/v1/run/list?take=1000&cursor=1+a") => Some(json!({"items": []})),
            ("POST", "/api/v1/server/stop") if request.body == json!({"force": true}) => Some(json!({})),
            _ => None,
        };
        match answer {
            Some(answer) => connection.answer(200, "", &answer.to_string()).await,
            None => connection.answer(404, "", "").await,
        }
    })
    .await;
    let client = fake.client();
    assert_eq!(
        client.publish(&channel(), &json!(7)).await.expect("published").id,
        channel()
    );
    client.cancel(&channel()).await.expect("cancelled");
    assert_eq!(
        client
            .complete(&CompleteRequest::prompt("hi"))
            .await
            .expect("completed")
            .end
            .reason,
        "stop"
    );
    assert!(client.runs().await.expect("runs").items.is_empty());
    client.stop_server(true).await.expect("stopped");
    assert_eq!(
        client.stop_server(false).await.expect_err("another body").status(),
        Some(404)
    );
    assert_eq!(client.server_info().await, Ok(None));
}

#[tokio::test]
async fn a_completion_streams_its_events_and_a_cut_one_says_so() {
    for whole in [true, false] {
        let fake = Fake::start(move |_, mut connection| async move {
            connection.stream().await;
            connection
                .send(b"{\"type\":\"token\",\"data\":{\"token\":\"a\\ud83d\"}}\n 7\n{\"type\":")
                .await;
            connection
                .send(b"\"token\",\"data\":{\"token\":\"\\ude00\"}}\r\n")
                .await;
            if whole {
                connection
                    .send(b"{\"type\":\"result\",\"data\":{\"text\":\"a\"}}")
                    .await;
            }
            connection.end().await;
        })
        .await;
        let client = fake.client();
        let mut stream = client
            .complete_stream(&CompleteRequest::prompt("hi"))
            .await
            .expect("a stream");
        let mut seen = Vec::new();
        while let Some(next) = stream.next().await {
            seen.push(match next {
                Ok((event, _)) => serde_json::to_string(&event.kind.name()).expect("JSON"),
                Err(ClientError::BadAnswer { .. }) => "bad".to_owned(),
                Err(ClientError::Lost { .. }) => "lost".to_owned(),
                Err(error) => panic!("{error}"),
            });
        }
        let last = if whole { "\"result\"" } else { "lost" };
        assert_eq!(seen, ["\"token\"", "bad", "\"token\"", last]);
    }
}

#[tokio::test]
async fn the_secret_follows_no_redirect() {
    let (elsewhere, count) = answers(vec![OK]).await;
    let location: &'static str = format!("location: http://localhost:{}/x\r\n", elsewhere.port).leak();
    let (fake, _) = answers(vec![(307, location, "")]).await;
    let error = fake.client().dispatch(&dispatch(true)).await.expect_err("redirected");
    assert!(
        matches!(error, ClientError::Redirect { .. }) && error.is_permanent(),
        "{error}"
    );
    assert_eq!(count.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn failures_say_what_to_do_and_hold_no_secret() {
    let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = closed.local_addr().expect("an address").port();
    drop(closed);
    let (page, _) = answers(vec![(200, "content-type: text/html\r\n", "<html>")]).await;
    let (broken, _) = answers(vec![(0, "", "")]).await;
    let silent = Fake::start(|_, connection| connection.stall()).await;
    let timeouts = Timeouts {
        request: Duration::from_millis(100),
        ..Timeouts::default()
    };
    let table = [
        (port, "Connect"),
        (page.port, "BadAnswer"),
        (broken.port, "Lost"),
        (silent.port, "Timeout"),
    ];
    for (port, kind) in table {
        let client = Client::new(Endpoint::local(port, SECRET), timeouts).expect("a client");
        let request = SubscribeRequest::default();
        let error = client.subscribe(&channel(), request).await.err().expect("it fails");
        let shown = format!("{error} {error:?} {client:?}");
        assert!(format!("{error:?}").starts_with(kind), "{shown}");
        assert!(
            !shown.contains(SECRET) && !shown.contains(channel().as_str()),
            "{shown}"
        );
        assert!(error.to_string().contains("; "), "it says what to do next: {error}");
        assert!(!error.is_permanent());
    }
}

#[tokio::test]
async fn a_plain_port_behind_https_is_a_clear_error() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let _ = socket.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
            let _ = socket.shutdown().await;
            let _ = socket.read_to_end(&mut Vec::new()).await;
        }
    });
    let endpoint = Endpoint::custom("team", &format!("https://127.0.0.1:{port}"), SECRET).expect("an endpoint");
    let client = Client::new(endpoint, Timeouts::default()).expect("a client");
    let error = client.runs().await.expect_err("no TLS there");
    // Which of the two depends on whether this machine has CA certificates.
    let expected = matches!(error, ClientError::Tls { .. } | ClientError::NoCertificates { .. });
    assert!(expected && error.to_string().contains("certificates"), "{error:?}");
}

/// Marks the process that has the environment of the test below.
const BARE: &str = "SWITCHBOARD_TEST_BARE_MACHINE";

/// The test runs itself once more, on a machine without CA certificates and with a proxy.
#[test]
fn a_bare_machine_reaches_its_own_server_and_says_what_the_others_need() {
    if std::env::var_os(BARE).is_none() {
        let child = std::process::Command::new(std::env::current_exe().expect("this test's program"))
            .args([
                "--exact",
                "requests::a_bare_machine_reaches_its_own_server_and_says_what_the_others_need",
            ])
            .envs([
                (BARE, "1"),
                ("SSL_CERT_FILE", "/dev/null"),
                ("SSL_CERT_DIR", "/nonexistent"),
            ])
            .envs(["http_proxy", "https_proxy", "all_proxy"].map(|name| (name, "http://127.0.0.1:9")))
            .env_remove("NO_PROXY")
            .env_remove("no_proxy")
            .output()
            .expect("it starts");
        assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stdout));
        return;
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let (fake, _) = answers(vec![OK]).await;
        fake.client()
            .dispatch(&dispatch(false))
            .await
            .expect("no proxy and no certificate is needed");
        let hosted = Client::new(Endpoint::hosted(SECRET), Timeouts::default()).expect("a client");
        let error = hosted
            .dispatch(&dispatch(true))
            .await
            .expect_err("there is no certificate");
        assert!(matches!(error, ClientError::NoCertificates { .. }), "{error:?}");
        assert!(
            error.is_permanent() && error.to_string().contains("SSL_CERT_FILE"),
            "{error}"
        );
    });
}

#[test]
fn minted_channel_ids_are_new_and_long_enough_for_the_hosted_service() {
    let (one, two) = (mint_channel_id(), mint_channel_id());
    assert_ne!(one, two);
    assert!(one.as_str().len() >= 24);
}
