//! What a server logs: that runs and requests have their lines, and that no secret, no channel id and no text of a
//! message ever stands in one, whatever happens and however much is logged.

mod cli_support;

use std::fs::File;
use std::process::{Child, Stdio};

use cli_support::{PATIENCE, User, listening};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

const SECRET: &str = "secret-zanzibar-0123456789";
const METRICS: &str = "metrics-zanzibar-0123456789";
const CHANNEL: &str = "channel-marzipan-0123456789";
const ANSWERS: &str = "answers-marzipan-0123456789";
/// Stands in every text, argument and name that is sent.
const TEXT: &str = "rhubarb";

struct Server {
    child: Child,
    url: String,
    http: reqwest::Client,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn start(user: &User, secret: &str, args: &[&str]) -> Server {
    user.configure("[server.model]\ndemo = true\n[server.metrics]\nsecret_env = \"METRICS\"\n");
    let log = user.path("log");
    let file = File::create(&log).expect("a file");
    let mut all = vec!["serve", "--demo", "--listen", "127.0.0.1:0"];
    all.extend(args);
    let child = user
        .command(&all)
        .env("SWITCHBOARD_SECRET", secret)
        // As a file of secrets may hold it.
        .env("METRICS", format!(" {METRICS}\n"))
        .stdin(Stdio::null())
        .stderr(file)
        .spawn()
        .expect("it starts");
    let url = listening(&log);
    let _ = rustls::crypto::ring::default_provider().install_default();
    let http = reqwest::Client::builder()
        .tls_certs_only([])
        .no_proxy()
        .timeout(PATIENCE)
        .build()
        .expect("a client");
    Server { child, url, http }
}

impl Server {
    async fn ask(&self, method: &str, path: &str, secret: &str, body: &Value) -> (u16, String) {
        let method = reqwest::Method::from_bytes(method.as_bytes()).expect("a method");
        let request = self
            .http
            .request(method, format!("{}{path}", self.url))
            .bearer_auth(secret)
            .json(body);
        let answer = request.send().await.expect("answered");
        (answer.status().as_u16(), answer.text().await.unwrap_or_default())
    }

    /// Every route, well and badly used.
    async fn drive(&self) {
        let prompt = |text: &str| json!([{"type": "user", "text": format!("{TEXT} {text}"), "meta": {TEXT: TEXT}}]);
        let function = json!({
            "name": "approve", "description": TEXT, "parameters": {"type": "object"},
            "result": {"channel": ANSWERS}, "call": {"start": true},
        });
        let dispatch = json!({
            "messages": prompt("please"), "channelId": CHANNEL, "backstory": TEXT, "functions": [function],
        });
        let path = "/v1/conversation/dispatch";
        assert_eq!(self.ask("POST", path, SECRET, &dispatch).await.0, 200);
        let other = json!({"messages": prompt("another"), "channelId": CHANNEL});
        assert_eq!(self.ask("POST", path, SECRET, &other).await.0, 409);
        let attachment = format!("http://127.0.0.1/{TEXT}");
        for (body, expected) in [
            (json!({"messages": [{"type": TEXT, "text": TEXT}]}), 400),
            (json!({"messages": prompt("x"), "channelId": CHANNEL, TEXT: TEXT}), 501),
            (json!({"messages": TEXT}), 400),
            (json!({"messages": prompt("x"), "botId": TEXT}), 404),
            (
                json!({"messages": prompt("x"), "attachments": [{"url": attachment}]}),
                400,
            ),
        ] {
            let (status, answer) = self.ask("POST", path, SECRET, &body).await;
            assert_eq!(status, expected, "{body}: {answer}");
        }
        // The run waits as soon as it has begun: until then nobody takes the answer.
        self.until_status("waiting").await;
        let publish = format!("/v1/channel/{ANSWERS}/publish");
        let answer = json!({"message": {"data": TEXT, "from": TEXT}});
        assert_eq!(self.ask("POST", &publish, SECRET, &answer).await.0, 200);
        let cancel = format!("/api/v1/channel/{CHANNEL}/cancel");
        assert_eq!(self.ask("POST", &cancel, SECRET, &json!({})).await.0, 200);
        // A client that leaves: its run ends with it.
        let complete = self
            .http
            .post(format!("{}/v1/conversation/complete", self.url))
            .bearer_auth(SECRET)
            .header("accept", "application/jsonl")
            .json(&json!({"messages": prompt("inline")}));
        let mut stream = complete.send().await.expect("answered");
        assert!(stream.chunk().await.expect("no error").is_some());
        drop(stream);
        let subscribe = self
            .http
            .post(format!("{}/v1/channel/{CHANNEL}/subscribe", self.url))
            .bearer_auth(SECRET)
            .json(&json!({"historyLength": 1000}));
        let mut stream = subscribe.send().await.expect("answered");
        assert!(stream.chunk().await.expect("no error").is_some());
        drop(stream);
        for (method, path, secret, expected) in [
            ("GET", "/v1/run/list?take=1", SECRET, 200),
            ("GET", "/v1/server", SECRET, 200),
            ("GET", "/v1/metrics", METRICS, 200),
            ("GET", "/v1/metrics", SECRET, 401),
            ("GET", "/v1/openapi.json", SECRET, 200),
            ("GET", "/v1/health", SECRET, 200),
            ("GET", "/v1/run/list", "wrong-zanzibar-secret", 401),
            ("POST", "/v1/channel/channel-marzipan-9/nowhere", SECRET, 404),
            ("PUT", "/v1/channel/channel-marzipan-9/publish", SECRET, 405),
            ("GET", "/rhubarb/zanzibar", SECRET, 404),
        ] {
            let (status, answer) = self.ask(method, path, secret, &json!({TEXT: TEXT})).await;
            assert_eq!(status, expected, "{method} {path}: {answer}");
        }
    }

    async fn until_status(&self, status: &str) {
        let path = format!("/v1/run/list?status={status}");
        let asking = async {
            while self.ask("GET", &path, SECRET, &Value::Null).await.1 == "{\"items\":[]}" {
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PATIENCE, asking).await.expect("it comes to that");
    }

    fn end(mut self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("it lives");
        self.child.wait().expect("it ends");
    }
}

#[tokio::test]
async fn no_secret_no_channel_and_no_text_is_ever_logged() {
    for (level, format) in [("trace", "text"), ("debug", "json"), ("info", "json")] {
        let user = User::new();
        let server = start(&user, SECRET, &["--log-level", level, "--log-format", format]);
        server.drive().await;
        server.end();
        let log = std::fs::read_to_string(user.path("log")).expect("a log");
        // The name under which its runs are stored would help to guess its secret.
        let digest = Sha256::digest(format!("switchboard account {SECRET}"));
        let name: String = digest[..3].iter().map(|byte| format!("{byte:02x}")).collect();
        for (number, line) in log.lines().enumerate() {
            for never in ["zanzibar", "marzipan", TEXT, &name] {
                assert!(!line.contains(never), "{level} {format}, line {number}: {line}");
            }
        }
        if format == "text" {
            assert!(log.contains("INFO") && log.contains("a run begins"), "{log}");
            continue;
        }
        let lines: Vec<Value> = log
            .lines()
            .filter(|line| !line.starts_with("switchboard: "))
            .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
            .collect();
        let with = |message: &str| -> Vec<&Value> { lines.iter().filter(|line| line["message"] == message).collect() };
        let (begun, ended) = (with("a run begins"), with("a run ended"));
        assert!(!begun.is_empty() && !ended.is_empty(), "{log}");
        assert_eq!(begun[0]["run"], ended[0]["run"]);
        assert_eq!(ended[0]["reason"], "abort");
        assert!(ended[0]["ms"].is_u64() && ended[0]["tokens"].is_u64(), "{}", ended[0]);
        assert_eq!(
            (&begun[0]["account"], &ended[0]["account"]),
            (&json!("account-1"), &json!("account-1"))
        );
        let requests = with("a request was answered");
        assert_eq!(requests.is_empty(), level == "info", "{log}");
        if level == "debug" {
            assert!(
                requests
                    .iter()
                    .any(|line| line["status"] == 404 && line["route"] == "other"),
                "its path may hold a secret: {log}"
            );
        }
    }
}

#[tokio::test]
async fn a_secret_that_can_be_guessed_is_warned_of_wherever_the_server_listens() {
    for (secret, warned) in [
        (SECRET, false),
        ("change-me", true),
        ("aaaaaaaaaaaaaaaaaaaaaaaaaaaa", true),
    ] {
        let user = User::new();
        start(&user, secret, &[]).end();
        let log = std::fs::read_to_string(user.path("log")).expect("a log");
        assert_eq!(log.contains("a secret can be guessed"), warned, "{secret}: {log}");
    }
}
