//! The server over real sockets on port 0, with a scripted engine behind it.

mod server_support;

use std::time::Duration;

use serde_json::{Value, json};
use server_support::{ANSWERS, Answer, CHANNEL, PATIENCE, lines, parsed, prompt, prompt_on, server};
use switchboard::server::AccountSecret;
use switchboard::wire::{Scope, SecretHash};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

#[tokio::test]
async fn every_refusal_is_our_json() {
    let server = server(|options| options.body_limit = 100_000).await;
    let channel = format!("/v1/channel/{CHANNEL}");
    let user = prompt("x");
    let table = [
        ("GET", "/nowhere".to_owned(), Value::Null, 404, "NOT_FOUND", "/nowhere"),
        (
            "GET",
            "/v1/nowhere".to_owned(),
            Value::Null,
            404,
            "NOT_FOUND",
            "/v1/nowhere",
        ),
        (
            "GET",
            "/v1/conversation/dispatch".to_owned(),
            Value::Null,
            405,
            "METHOD_NOT_ALLOWED",
            "GET",
        ),
        (
            "POST",
            "/v1/server/stop".to_owned(),
            json!({}),
            404,
            "NOT_FOUND",
            "stop",
        ),
        (
            "POST",
            "/v1/conversation/dispatch".to_owned(),
            json!([]),
            400,
            "BAD_REQUEST",
            "body",
        ),
        (
            "POST",
            "/v1/conversation/dispatch".to_owned(),
            json!({}),
            400,
            "BAD_REQUEST",
            "messages",
        ),
        (
            "POST",
            "/api/v1/conversation/complete".to_owned(),
            json!({"messages": [{"type": "user", "text": "x"}], "nonsense": 1}),
            501,
            "NOT_IMPLEMENTED",
            "nonsense",
        ),
        (
            "POST",
            "/v1/channel/short/publish".to_owned(),
            json!({"message": 1}),
            400,
            "BAD_REQUEST",
            "16",
        ),
        (
            "POST",
            format!("{channel}/publish"),
            json!({"message": null}),
            400,
            "BAD_REQUEST",
            "null",
        ),
        (
            "POST",
            format!("{channel}/publish"),
            json!({}),
            400,
            "BAD_REQUEST",
            "message",
        ),
        (
            "POST",
            format!("{channel}/subscribe"),
            json!({"historyLength": 10001}),
            400,
            "BAD_REQUEST",
            "historyLength",
        ),
        (
            "POST",
            format!("{channel}/cancel"),
            Value::Null,
            404,
            "NOT_FOUND",
            "run",
        ),
        (
            "POST",
            format!("{channel}/publish"),
            json!({"message": "x".repeat(200_000)}),
            413,
            "CONTENT_TOO_LARGE",
            "100000",
        ),
    ];
    for (method, path, body, status, code, named) in table {
        let (was, answer) = server.json(method, &path, body).await;
        assert_eq!((was, answer["code"].as_str()), (status, Some(code)), "{path}: {answer}");
        assert!(
            answer["message"].as_str().is_some_and(|text| text.contains(named)),
            "{path}: {answer}"
        );
    }
    let headers = [
        ("accept: text/html\r\n", 400),
        ("accept: application/json;q=0\r\n", 400),
        ("accept: text/html, */*;q=0.1\r\n", 200),
    ];
    for (header, status) in headers {
        let mut answer = server
            .ask(
                "POST",
                "/v1/conversation/complete",
                "secret-one",
                header,
                &user.to_string(),
            )
            .await;
        assert_eq!(parsed(&answer.end().await).0, status, "{header}");
    }
    let mut answer = server.ask("GET", "/v1/run/list", "wrong", "", "").await;
    assert_eq!(parsed(&answer.end().await).1["code"], "NOT_AUTHENTICATED");
    let big = format!("x-big: {}\r\n", "x".repeat(40_000));
    let mut answer = server.ask("GET", "/v1/run/list", "secret-one", &big, "").await;
    assert_eq!(parsed(&answer.end().await).0, 431);
    let many: String = (0..300).map(|number| format!("x-{number}: 1\r\n")).collect();
    let mut answer = server.ask("GET", "/v1/run/list", "secret-one", &many, "").await;
    let (status, body) = parsed(&answer.end().await);
    assert_eq!((status, &body["code"]), (431, &json!("BAD_REQUEST")));
    let long = format!("/v1/{}", "x".repeat(70_000));
    let mut answer = server.ask("GET", &long, "secret-one", "", "").await;
    assert_eq!(parsed(&answer.end().await).0, 431);
    let (status, body) = parsed(&server.raw(b"NO HTTP\r\n\r\n").await.end().await);
    assert_eq!((status, &body["code"]), (400, &json!("BAD_REQUEST")));
    let request = "POST /v1/conversation/dispatch HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: bearer secret-one\r\n\
                   content-type: text/plain\r\ncontent-length: 2\r\n\r\n{}";
    let (status, answer) = parsed(&server.raw(request.as_bytes()).await.end().await);
    assert!(
        status == 400
            && answer["message"]
                .as_str()
                .is_some_and(|text| text.contains("Content-Type"))
    );
    let (status, answer) = parsed(&server.raw(b"GET /v1/health HTTP/1.0\r\n\r\n").await.end().await);
    assert_eq!((status, answer), (200, json!({"status": "ok"})));
    server.end().await;
}

#[tokio::test]
async fn a_refusal_can_be_read_by_who_is_still_sending() {
    let server = server(|options| options.body_limit = 100_000).await;
    let body = " ".repeat(20_000_000);
    for (path, secret, headers, status) in [
        ("/v1/conversation/dispatch", "wrong", "", 401),
        ("/v1/nowhere", "secret-one", "", 404),
        ("/v1/run/list", "secret-one", "", 405),
        ("/v1/conversation/dispatch", "secret-one", "accept: text/html\r\n", 400),
        ("/v1/conversation/dispatch", "secret-one", "", 413),
    ] {
        let length = body.len();
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {secret}\r\nconnection: close\r\n\
             content-type: application/json\r\ncontent-length: {length}\r\n{headers}\r\n"
        );
        let mut stream = TcpStream::connect(server.address).await.expect("a connection");
        stream.write_all(head.as_bytes()).await.expect("sent");
        stream.write_all(body.as_bytes()).await.expect("sent to the end");
        let mut answer = Answer {
            stream,
            seen: Vec::new(),
        };
        assert_eq!(parsed(&answer.end().await).0, status, "{path}");
    }
    server.end().await;
}

#[tokio::test]
async fn no_message_repeats_a_channel_id() {
    let server = server(|_| {}).await;
    for (method, path, status) in [
        ("GET", format!("/v1/channel/{CHANNEL}/subscribe"), 405),
        ("POST", format!("/api/v1/channel/{CHANNEL}/nothing"), 404),
        ("POST", format!("/v1/channel/{CHANNEL}/cancel"), 404),
    ] {
        let (was, body) = server.json(method, &path, Value::Null).await;
        assert_eq!(was, status, "{path}");
        assert!(!body.to_string().contains(CHANNEL), "{body}");
    }
    let path = format!("/v1/channel/{CHANNEL}/cancel");
    let (status, body) = server.json("POST", &path, json!({"reason": "x"})).await;
    assert_eq!((status, &body["code"]), (501, &json!("NOT_IMPLEMENTED")));
    server.end().await;
}

#[tokio::test]
async fn a_dispatch_is_repeatable_and_a_channel_holds_one_run() {
    let server = server(|_| {}).await;
    let body = prompt_on(CHANNEL, "tokens 3");
    for path in ["/v1", "/api/v1", "/v1"] {
        let (status, answer) = server
            .json("POST", &format!("{path}/conversation/dispatch"), body.clone())
            .await;
        assert_eq!((status, answer), (200, json!({"channelId": CHANNEL})));
    }
    let other = prompt_on(CHANNEL, "tokens 4");
    let (status, answer) = server.json("POST", "/v1/conversation/dispatch", other).await;
    assert_eq!((status, &answer["code"]), (409, &json!("CONFLICT")));

    let mut answer = server
        .subscribe("secret-one", CHANNEL, json!({"historyLength": 100}))
        .await;
    let lines = lines(&answer.until("\"result\"").await);
    let ids: Vec<u64> = lines.iter().filter_map(|line| line["id"].as_u64()).collect();
    assert_eq!(ids, [0, 1, 2, 3, 4], "the prompt, three tokens and the result, once");
    assert_eq!(lines[0]["data"]["data"]["text"], "tokens 3");
    let mut resumed = server.subscribe("secret-one", CHANNEL, json!({"after": 3})).await;
    assert!(resumed.until("\"result\"").await.contains("\"id\":4"));

    let (_, list) = server.json("GET", "/v1/run/list", Value::Null).await;
    assert_eq!(list["items"].as_array().map(Vec::len), Some(1));
    assert_eq!(list["items"][0]["status"], "ended");
    assert_eq!(list["items"][0]["title"], "tokens 3");
    let (_, info) = server.json("GET", "/api/v1/server", Value::Null).await;
    assert_eq!(info["model"], "script");
    server.end().await;
}

#[tokio::test]
async fn only_a_server_that_may_be_stopped_says_what_goes_on_in_it() {
    for allow_stop in [false, true] {
        let server = server(|options| {
            options.allow_stop = allow_stop;
            options.config_digest = Some("digest".into());
        })
        .await;
        let hang = prompt_on(CHANNEL, "hang");
        assert_eq!(server.json("POST", "/v1/conversation/dispatch", hang).await.0, 200);
        let (status, info) = server.json("GET", "/v1/server", Value::Null).await;
        let said = (info.get("liveRuns"), info.get("configDigest"));
        let (one, digest) = (json!(1), json!("digest"));
        let expected = if allow_stop {
            (Some(&one), Some(&digest))
        } else {
            (None, None)
        };
        assert_eq!((status, said), (200, expected));
        server.end().await;
    }
}

#[tokio::test]
async fn a_body_that_is_too_large_is_not_asked_for_and_what_was_asked_for_is_read() {
    let server = server(|options| options.body_limit = 100_000).await;
    let head = |headers: &str| {
        format!(
            "POST /v1/conversation/dispatch HTTP/1.1\r\nhost: x\r\nauthorization: Bearer secret-one\r\n\
             connection: close\r\nexpect: 100-continue\r\ncontent-type: application/json\r\n{headers}\r\n"
        )
    };
    let refused = server
        .raw(head("content-length: 20000000\r\n").as_bytes())
        .await
        .end()
        .await;
    assert_eq!(parsed(&refused).0, 413, "{refused}");

    // How long it will be is not known: it is asked for, and read until the refusal can be.
    let mut answer = server.raw(head("transfer-encoding: chunked\r\n").as_bytes()).await;
    assert_eq!(answer.until("\r\n\r\n").await, "HTTP/1.1 100 Continue\r\n\r\n");
    answer.seen.clear();
    let chunk = format!("{:x}\r\n{}\r\n", 1_000_000, " ".repeat(1_000_000));
    for _ in 0..20 {
        answer
            .stream
            .write_all(chunk.as_bytes())
            .await
            .expect("sent to the end");
    }
    answer.stream.write_all(b"0\r\n\r\n").await.expect("sent to the end");
    assert_eq!(parsed(&answer.end().await).0, 413);

    // What it says besides is no reason to leave a body unread.
    let body = " ".repeat(20_000_000);
    let odd = head("content-length: 20000000\r\n").replace("100-continue", "200-ok");
    let mut answer = server.raw(odd.as_bytes()).await;
    answer.stream.write_all(body.as_bytes()).await.expect("sent to the end");
    assert_eq!(parsed(&answer.end().await).0, 413);
    server.end().await;
}

#[tokio::test]
async fn accounts_know_nothing_of_each_other() {
    let server = server(|_| {}).await;
    server
        .json("POST", "/v1/conversation/dispatch", prompt_on(CHANNEL, "tokens 1"))
        .await;
    let mut theirs = server
        .subscribe("secret-two", CHANNEL, json!({"historyLength": 10}))
        .await;
    let mut own = server
        .subscribe("secret-one", CHANNEL, json!({"historyLength": 10}))
        .await;
    own.until("\"result\"").await;
    let path = format!("/v1/channel/{CHANNEL}/publish");
    let body = json!({"message": "f\u{fc}r beide"}).to_string();
    server.ask("POST", &path, "secret-two", "", &body).await.end().await;
    let seen = theirs.until("beide").await;
    assert!(!seen.contains("result") && seen.contains("f\\u00fcr"), "{seen}");
    let mut list = server.ask("GET", "/v1/run/list", "secret-two", "", "").await;
    assert_eq!(parsed(&list.end().await).1, json!({"items": []}));
    let body = prompt_on(CHANNEL, "tokens 2").to_string();
    let mut answer = server
        .ask("POST", "/v1/conversation/dispatch", "secret-two", "", &body)
        .await;
    assert_eq!(parsed(&answer.end().await).0, 200);
    server.end().await;
}

#[tokio::test]
async fn a_secret_does_what_its_scope_says() {
    let server = server(|options| {
        let secret = |secret: &str, scope| AccountSecret {
            hash: SecretHash::of(secret.as_bytes()),
            scope,
        };
        options.accounts[0]
            .secrets
            .extend([secret("one-watch", Scope::Watch), secret("one-answer", Scope::Answer)]);
    })
    .await;
    let dispatch = prompt_on(CHANNEL, "tokens 1").to_string();
    let path = |action: &str| format!("/v1/channel/{CHANNEL}/{action}");
    for (method, path, body, watch, answer) in [
        (
            "POST",
            "/v1/conversation/dispatch".to_owned(),
            dispatch.as_str(),
            403,
            403,
        ),
        (
            "POST",
            "/v1/conversation/complete".to_owned(),
            dispatch.as_str(),
            403,
            403,
        ),
        ("POST", path("subscribe"), "{}", 200, 403),
        ("POST", path("publish"), "{\"message\":1}", 403, 200),
        ("POST", path("cancel"), "", 403, 403),
        ("GET", "/v1/run/list".to_owned(), "", 200, 403),
        ("GET", "/v1/server".to_owned(), "", 200, 200),
    ] {
        for (secret, expected) in [("one-watch", watch), ("one-answer", answer)] {
            let mut reply = server.ask(method, &path, secret, "", body).await;
            let head = reply.until("\r\n\r\n").await;
            assert!(
                head.starts_with(&format!("HTTP/1.1 {expected} ")),
                "{path} {secret}: {head}"
            );
            if expected == 403 {
                let (_, body) = parsed(&reply.end().await);
                assert_eq!(body["code"], "NOT_AUTHORIZED");
                assert!(body["message"].as_str().is_some_and(|text| text.contains("scope")));
            }
        }
    }
    // What one secret of an account starts, the others see.
    let mut watcher = server
        .subscribe("one-watch", CHANNEL, json!({"historyLength": 10}))
        .await;
    server
        .ask("POST", "/v1/conversation/dispatch", "secret-one", "", &dispatch)
        .await
        .end()
        .await;
    watcher.until("\"result\"").await;
    server.end().await;
}

#[tokio::test]
async fn nobody_learns_of_a_channel_of_another_account() {
    let server = server(|_| {}).await;
    let theirs = prompt_on(CHANNEL, "hang");
    assert_eq!(server.json("POST", "/v1/conversation/dispatch", theirs).await.0, 200);
    // Every route answers for a channel that another account has as for one that nobody has.
    let nobodys = "nobodys-0123456789abcdef";
    let dispatch = |channel: &str| prompt_on(channel, "tokens 1").to_string();
    for (path, body) in [
        ("/v1/channel/CHANNEL/cancel", String::new()),
        (
            "/v1/channel/CHANNEL/publish",
            json!({"message": {"data": 1}}).to_string(),
        ),
        ("/v1/channel/CHANNEL/nothing", String::new()),
        ("/v1/conversation/dispatch", dispatch("CHANNEL")),
        ("/v1/conversation/dispatch", dispatch("CHANNEL")),
        ("/v1/channel/CHANNEL/cancel", String::new()),
    ] {
        let mut answers = Vec::new();
        for channel in [CHANNEL, nobodys] {
            let (path, body) = (path.replace("CHANNEL", channel), body.replace("CHANNEL", channel));
            let mut answer = server.ask("POST", &path, "secret-two", "", &body).await;
            let (status, body) = parsed(&answer.end().await);
            answers.push((status, body.to_string().replace(channel, "CHANNEL")));
        }
        assert_eq!(answers[0], answers[1], "{path}");
    }
    for start in [json!({"historyLength": 100}), json!({"after": 0})] {
        let mut heads = Vec::new();
        for channel in [CHANNEL, "nobodies-0123456789abcdef"] {
            let mut reader = server.subscribe("secret-three", channel, start.clone()).await;
            let path = format!("/v1/channel/{channel}/publish");
            let body = json!({"message": "end"}).to_string();
            server.ask("POST", &path, "secret-three", "", &body).await.end().await;
            let seen = reader.until("end").await;
            heads.push(
                seen.lines()
                    .filter(|line| !line.starts_with("date:"))
                    .collect::<Vec<_>>()
                    .join("\n"),
            );
        }
        assert_eq!(heads[0], heads[1]);
    }
    server.end().await;
}

#[tokio::test]
async fn a_run_waits_for_what_is_published_and_can_be_cancelled() {
    let server = server(|_| {}).await;
    server
        .json("POST", "/v1/conversation/dispatch", prompt_on(CHANNEL, "wait"))
        .await;
    let mut run = server
        .subscribe("secret-one", CHANNEL, json!({"historyLength": 10}))
        .await;
    run.until("waitForChannelMessageBegin").await;
    let (_, list) = server.json("GET", "/v1/run/list", Value::Null).await;
    assert_eq!(
        (&list["items"][0]["status"], &list["items"][0]["waiting"]),
        (&json!("waiting"), &json!(["approve"]))
    );
    assert_eq!(
        list["items"][0]["waitingOn"],
        json!([{"function": "approve", "channel": ANSWERS}])
    );
    let path = format!("/v1/channel/{ANSWERS}/publish");
    let (status, answer) = server.json("POST", &path, json!({"message": {"data": 42}})).await;
    assert_eq!((status, answer), (200, json!({"id": ANSWERS})));
    assert!(run.until("\"result\"").await.contains("\"message\":{\"data\":42}"));

    let channel = "another-0123456789abcdef";
    server
        .json("POST", "/v1/conversation/dispatch", prompt_on(channel, "hang"))
        .await;
    let mut run = server
        .subscribe("secret-one", channel, json!({"historyLength": 10}))
        .await;
    let path = format!("/v1/channel/{channel}/cancel");
    assert_eq!(server.json("POST", &path, Value::Null).await.0, 200);
    assert!(run.until("\"result\"").await.contains("\"abort\""));
    assert_eq!(
        server.json("POST", &path, Value::Null).await.0,
        200,
        "a second time changes nothing"
    );
    server.end().await;
}

#[tokio::test]
async fn complete_answers_in_three_forms_and_a_run_that_panics_still_ends() {
    let server = server(|_| {}).await;
    let (status, answer) = server
        .json("POST", "/v1/conversation/complete", prompt("tokens 2"))
        .await;
    assert_eq!(status, 200);
    assert_eq!(
        answer,
        json!({"text": "done", "usage": {"token": 0}, "end": {"reason": "stop"}})
    );
    let body = prompt("tokens 2").to_string();
    let jsonl = "accept: application/jsonl\r\n";
    let mut answer = server
        .ask("POST", "/v1/conversation/complete", "secret-one", jsonl, &body)
        .await;
    let types: Vec<Value> = lines(&answer.end().await)
        .iter()
        .map(|line| line["type"].clone())
        .collect();
    assert_eq!(types, ["token", "token", "result"]);
    let sse = "accept: text/event-stream\r\n";
    let mut answer = server
        .ask("POST", "/v1/conversation/complete", "secret-one", sse, &body)
        .await;
    assert!(
        answer
            .end()
            .await
            .contains("event: token\ndata: {\"token\":\"tok0 \"}\n\n")
    );
    let (status, answer) = server.json("POST", "/v1/conversation/complete", prompt("panic")).await;
    assert_eq!((status, &answer["code"]), (500, &json!("INTERNAL_SERVER_ERROR")));
    server.end().await;
}

#[tokio::test]
async fn a_time_zone_is_taken_from_its_header_and_checked() {
    let server = server(|_| {}).await;
    let zone = |headers: &str| {
        let headers = format!("accept: application/jsonl\r\n{headers}");
        let body = prompt("zone").to_string();
        let server = &server;
        async move {
            let path = "/v1/conversation/complete";
            server
                .ask("POST", path, "secret-one", &headers, &body)
                .await
                .end()
                .await
        }
    };
    for (headers, expected) in [
        ("", "None true"),
        ("x-timezone: \r\n", "None true"),
        (
            "X-Timezone: america/argentina/ushuaia\r\n",
            "Some(\"America/Argentina/Ushuaia\") true",
        ),
    ] {
        assert_eq!(lines(&zone(headers).await)[0]["data"]["token"], expected, "{headers}");
    }
    for headers in [
        "x-timezone: Mars/Olympus\r\n",
        "x-timezone: UTC\r\nx-timezone: UTC\r\n",
        "x-timezone: ../../etc/passwd\r\n",
        "x-timezone: \u{fc}\r\n",
    ] {
        let (status, answer) = parsed(&zone(headers).await);
        assert_eq!((status, &answer["code"]), (400, &json!("BAD_REQUEST")), "{headers}");
        assert!(
            answer["message"]
                .as_str()
                .is_some_and(|text| text.contains("X-Timezone"))
        );
    }
    let body = prompt("x").to_string();
    let refused = server
        .ask(
            "POST",
            "/v1/conversation/dispatch",
            "secret-one",
            "x-timezone: no\r\n",
            &body,
        )
        .await
        .end()
        .await;
    assert_eq!(parsed(&refused).0, 400);
    server.end().await;
}

#[tokio::test]
async fn silence_has_a_heartbeat_and_half_a_head_is_closed() {
    let server = server(|options| {
        options.heartbeat = Duration::from_millis(50);
        options.header_timeout = Duration::from_millis(200);
    })
    .await;
    let mut quiet = server.subscribe("secret-one", CHANNEL, json!({})).await;
    quiet.until("1\r\n \r\n1\r\n \r\n").await;
    let mut half = server.raw(b"POST /v1/conversation/dispatch HTTP/1.1\r\nhost:").await;
    half.end().await;
    server.end().await;
}

#[tokio::test]
async fn from_history_to_live_nothing_is_lost_or_doubled() {
    let server = server(|_| {}).await;
    server
        .json("POST", "/v1/conversation/dispatch", prompt_on(CHANNEL, "tokens 4000"))
        .await;
    let mut readers = Vec::new();
    for _ in 0..8 {
        readers.push(
            server
                .subscribe("secret-one", CHANNEL, json!({"historyLength": 10000}))
                .await,
        );
    }
    for mut reader in readers {
        let lines = lines(&reader.until("\"result\"").await);
        let ids: Vec<u64> = lines.iter().filter_map(|line| line["id"].as_u64()).collect();
        assert_eq!(ids, (0..4002).collect::<Vec<u64>>());
    }
    server.end().await;
}

#[tokio::test]
async fn it_stops_when_asked_and_streams_end_at_a_line() {
    let server = server(|options| options.allow_stop = true).await;
    server
        .json("POST", "/v1/conversation/dispatch", prompt_on(CHANNEL, "hang"))
        .await;
    let mut reader = server
        .subscribe("secret-one", CHANNEL, json!({"historyLength": 10}))
        .await;
    let (status, answer) = server.json("POST", "/v1/server/stop", json!({"force": false})).await;
    assert_eq!((status, &answer["code"]), (409, &json!("CONFLICT")));
    assert_eq!(
        server.json("POST", "/v1/server/stop", json!({"force": true})).await,
        (200, json!({}))
    );
    let seen = reader.end().await;
    assert!(seen.contains("\"abort\"") && seen.ends_with("0\r\n\r\n"), "{seen}");
    tokio::time::timeout(PATIENCE, server.task)
        .await
        .expect("it stops")
        .expect("no panic");
}

#[tokio::test]
async fn short_visits_keep_it_from_leaving() {
    let server = server(|options| options.idle_exit = Some(Duration::from_millis(1500))).await;
    for _ in 0..25 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let (status, _) = server.json("GET", "/v1/health", Value::Null).await;
        assert_eq!(status, 200);
    }
    server.end().await;
}

#[tokio::test]
async fn it_leaves_when_nothing_is_to_be_done() {
    let server = server(|options| options.idle_exit = Some(Duration::from_millis(100))).await;
    tokio::time::timeout(PATIENCE, server.task)
        .await
        .expect("it leaves")
        .expect("no panic");
}
