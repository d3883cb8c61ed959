//! What operating a server needs, over real sockets: the list of runs by pages, cancelling, server-sent events as a
//! browser reads them, metrics, and the document that describes it all.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use reqwest::Method;
use serde_json::{Value, json};
use switchboard::engine::{AnswerListener, Answers, Checkpoint, EventSink, Order};
use switchboard::server::{Account, HubAnswers, RunEngine, RunSink, ServerOptions, serve};
use switchboard::wire::event::{RunEnd, RunResult, Wait, WaitFunction};
use switchboard::wire::{ChannelId, Event, EventKind, Object, SecretHash};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

const ANSWERS: &str = "answers-0123456789abcdef";
const PATIENCE: Duration = Duration::from_secs(60);

/// What a run does is said by its last message: `tokens N`, `wait` or `hang`.
struct Script;

fn result(reason: &str) -> Event {
    let end = RunEnd {
        reason: reason.into(),
        extra: Object::new(),
    };
    EventKind::Result(Box::new(RunResult {
        end,
        ..RunResult::default()
    }))
    .into()
}

#[async_trait]
impl RunEngine for Script {
    async fn run(
        &self,
        order: &Order,
        _: Option<&Checkpoint>,
        sink: &RunSink,
        answers: &HubAnswers,
        cancel: &CancellationToken,
    ) {
        let text = order.request.messages.last().map_or("", |message| &message.text);
        if let Some(count) = text.strip_prefix("tokens ") {
            for number in 0..count.parse().expect("a number") {
                let _ = sink.emit(Event::token(format!("\u{fc}{number}\n"))).await;
            }
        } else if text == "wait" {
            let channel = ChannelId::parse(ANSWERS).expect("a channel");
            let mut listener = answers.listen(&channel, "call").await;
            let wait = Wait {
                channel: ANSWERS.into(),
                function: WaitFunction {
                    name: "approve".into(),
                    args: json!({}),
                    extra: Object::new(),
                },
                expires_at: None,
                message: None,
                from: None,
                extra: Object::new(),
            };
            let checkpoint = Checkpoint::new("here");
            let _ = sink.keep(EventKind::WaitBegin(Box::new(wait)).into(), checkpoint).await;
            tokio::select! {
                _ = listener.next() => {}
                () = cancel.cancelled() => {}
            }
        } else if text == "hang" {
            cancel.cancelled().await;
        }
        let reason = if cancel.is_cancelled() { "abort" } else { "stop" };
        let _ = sink.emit(result(reason)).await;
    }

    fn model_name(&self) -> String {
        "script".into()
    }

    fn is_demo(&self) -> bool {
        true
    }
}

struct Server {
    url: String,
    http: reqwest::Client,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

async fn server(change: impl FnOnce(&mut ServerOptions)) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let mut options = ServerOptions {
        accounts: vec![
            Account::with_secret("one", "secret-one"),
            Account::with_secret("two", "secret-two"),
        ],
        metrics: Some(SecretHash::of(b"secret-metrics")),
        ..ServerOptions::default()
    };
    change(&mut options);
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    let task = tokio::spawn(async move {
        serve(listener, options, Arc::new(Script), stopped)
            .await
            .expect("served");
    });
    let _ = rustls::crypto::ring::default_provider().install_default();
    let http = reqwest::Client::builder()
        .tls_certs_only([])
        .no_proxy()
        .timeout(PATIENCE)
        .build()
        .expect("a client");
    Server {
        url: format!("http://{address}"),
        http,
        stop,
        task,
    }
}

impl Server {
    fn request(&self, method: Method, path: &str, secret: &str) -> reqwest::RequestBuilder {
        self.http
            .request(method, format!("{}{path}", self.url))
            .bearer_auth(secret)
    }

    async fn get(&self, path: &str) -> (u16, Value) {
        read(self.request(Method::GET, path, "secret-one")).await
    }

    async fn post(&self, path: &str, secret: &str, body: Value) -> (u16, Value) {
        read(self.request(Method::POST, path, secret).json(&body)).await
    }

    async fn dispatch(&self, channel: &str, text: &str) {
        let body = json!({"messages": [{"type": "user", "text": text}], "channelId": channel});
        let (status, answer) = self.post("/v1/conversation/dispatch", "secret-one", body).await;
        assert_eq!((status, &answer["channelId"]), (200, &json!(channel)));
    }

    /// How many runs stand so.
    async fn count(&self, status: &str) -> usize {
        let (_, list) = self.get(&format!("/v1/run/list?status={status}")).await;
        list["items"].as_array().map_or(0, Vec::len)
    }

    async fn until(&self, status: &str, count: usize) {
        let asking = async {
            while self.count(status).await != count {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let asked = tokio::time::timeout(PATIENCE, asking).await;
        assert!(asked.is_ok(), "{count} runs are never {status}");
    }

    async fn metrics(&self) -> Exposition {
        let answer = self
            .request(Method::GET, "/v1/metrics", "secret-metrics")
            .send()
            .await
            .expect("answered");
        assert_eq!(answer.status(), 200);
        Exposition::parse(&answer.text().await.expect("text"))
    }

    async fn end(self) {
        self.stop.cancel();
        tokio::time::timeout(PATIENCE, self.task)
            .await
            .expect("it stops")
            .expect("no panic");
    }
}

async fn read(request: reqwest::RequestBuilder) -> (u16, Value) {
    let answer = request.send().await.expect("answered");
    let status = answer.status().as_u16();
    let body = answer.bytes().await.expect("a body");
    (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
}

fn channel(number: usize) -> String {
    format!("channel-0123456789-{number:04}")
}

fn ids(list: &Value) -> Vec<String> {
    let items = list["items"].as_array().expect("items");
    let id = |item: &Value| item["channelId"].as_str().expect("an id").to_owned();
    items.iter().map(id).collect()
}

#[tokio::test]
async fn the_list_comes_in_pages_that_new_runs_do_not_shift() {
    let server = server(|_| {}).await;
    for number in 0..23 {
        server.dispatch(&channel(number), "tokens 0").await;
    }
    server.until("ended", 23).await;
    let mut seen = Vec::new();
    let mut path = "/v1/run/list?take=5".to_owned();
    let mut pages = 0;
    loop {
        let (status, page) = server.get(&path).await;
        assert_eq!(status, 200);
        seen.extend(ids(&page));
        pages += 1;
        // What comes meanwhile is newer than every page that is still to come.
        server.dispatch(&channel(100 + pages), "tokens 0").await;
        let Some(cursor) = page["cursor"].as_str() else { break };
        assert!(!seen.iter().any(|id| cursor.contains(id.as_str())), "ids are secrets");
        path = format!("/v1/run/list?take=5&cursor={cursor}");
    }
    assert_eq!(pages, 5);
    let first: HashSet<String> = (0..23).map(channel).collect();
    assert_eq!(seen.len(), 23, "none twice");
    assert_eq!(seen.into_iter().collect::<HashSet<_>>(), first);

    let (_, newest) = server.get("/v1/run/list?take=1000").await;
    let (_, oldest) = server.get("/api/v1/run/list?take=1000&order=asc").await;
    let times = |list: &Value| {
        let items = list["items"].as_array().expect("items").clone();
        items
            .into_iter()
            .map(|item| item["createdAt"].as_u64().expect("a time"))
            .collect::<Vec<_>>()
    };
    assert!(times(&newest).windows(2).all(|pair| pair[0] >= pair[1]));
    let mut backwards = ids(&newest);
    backwards.reverse();
    assert_eq!(ids(&oldest), backwards);
    assert_eq!(newest.get("cursor"), None);

    // As lines, all of them come, in one stream.
    let lines = server
        .request(Method::GET, "/v1/run/list?order=asc", "secret-one")
        .header("accept", "application/jsonl");
    let lines = lines.send().await.expect("answered").text().await.expect("text");
    let runs: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).expect("a run"))
        .collect();
    let streamed: Vec<&str> = runs.iter().filter_map(|run| run["channelId"].as_str()).collect();
    assert_eq!(streamed, ids(&oldest));

    let (_, theirs) = read(server.request(Method::GET, "/v1/run/list", "secret-two")).await;
    assert_eq!(theirs, json!({"items": []}));
    for wrong in ["take=0", "take=1001", "order=x", "cursor=x", "status=x"] {
        let (status, refusal) = server.get(&format!("/v1/run/list?{wrong}")).await;
        let field = wrong.split('=').next().unwrap_or_default();
        assert_eq!((status, &refusal["code"]), (400, &json!("BAD_REQUEST")), "{wrong}");
        assert!(
            refusal["message"].as_str().unwrap_or_default().contains(field),
            "{refusal}"
        );
    }
    let (status, refusal) = server.get("/v1/run/list?meta.a=b").await;
    assert_eq!((status, &refusal["code"]), (501, &json!("NOT_IMPLEMENTED")));
    server.end().await;
}

#[tokio::test]
async fn a_list_of_thousands_streams_and_pages() {
    let server = server(|_| {}).await;
    let runs = 600;
    for number in 0..runs {
        server.dispatch(&channel(number), "tokens 0").await;
    }
    server.until("queued,running,waiting", 0).await;
    let lines = server
        .request(Method::GET, "/v1/run/list?status=ended", "secret-one")
        .header("accept", "application/jsonl");
    let lines = lines.send().await.expect("answered").text().await.expect("text");
    assert_eq!(lines.lines().count(), runs);
    let (_, page) = server.get("/v1/run/list").await;
    assert_eq!(ids(&page).len(), 100, "a page is bounded");
    server.end().await;
}

#[tokio::test]
async fn cancelling_is_answered_when_the_run_is_over() {
    let server = server(|options| options.runs_in_flight = 1).await;
    let cancel = |number: usize| format!("/v1/channel/{}/cancel", channel(number));
    server.dispatch(&channel(1), "hang").await;
    server.until("running", 1).await;
    server.dispatch(&channel(2), "hang").await;
    server.dispatch(&channel(3), "wait").await;
    // One that has not begun, one that is going on, one that waits; each twice.
    for number in [2, 1, 3] {
        if number == 3 {
            server.until("waiting", 1).await;
        }
        for _ in 0..2 {
            let (status, answer) = server.post(&cancel(number), "secret-one", json!({})).await;
            assert_eq!((status, &answer["id"]), (200, &json!(channel(number))));
            let (_, list) = server.get("/v1/run/list?status=ended").await;
            let items = list["items"].as_array().expect("items");
            let run = items.iter().find(|run| run["channelId"] == json!(channel(number)));
            assert_eq!(run.map(|run| &run["endReason"]), Some(&json!("abort")), "{list}");
        }
    }
    // No run, and a run of somebody else, are the same.
    let none = server.post(&cancel(4), "secret-one", json!({})).await;
    let theirs = server.post(&cancel(1), "secret-two", json!({})).await;
    assert_eq!((none.0, &none.1["code"]), (404, &json!("NOT_FOUND")));
    assert_eq!(none, theirs);
    server.end().await;
}

#[tokio::test]
async fn a_cancelled_run_does_not_come_back() {
    let dir = tempfile::tempdir().expect("a directory");
    let kept = |options: &mut ServerOptions, dir: &Path| options.data_dir = Some(dir.to_owned());
    let first = server(|options| kept(options, dir.path())).await;
    first.dispatch(&channel(1), "hang").await;
    first.dispatch(&channel(2), "wait").await;
    first.dispatch(&channel(3), "wait").await;
    first.until("waiting", 2).await;
    for number in [1, 2] {
        let path = format!("/v1/channel/{}/cancel", channel(number));
        assert_eq!(first.post(&path, "secret-one", json!({})).await.0, 200);
    }
    first.end().await;

    let second = server(|options| kept(options, dir.path())).await;
    second.until("waiting", 1).await;
    let (_, list) = second.get("/v1/run/list?order=asc").await;
    let standing: Vec<(&Value, &Value)> = list["items"]
        .as_array()
        .expect("items")
        .iter()
        .map(|run| (&run["channelId"], &run["status"]))
        .collect();
    assert_eq!(
        standing,
        [
            (&json!(channel(1)), &json!("ended")),
            (&json!(channel(2)), &json!("ended")),
            (&json!(channel(3)), &json!("waiting"))
        ]
    );
    // One that went on can be cancelled like any other.
    let path = format!("/v1/channel/{}/cancel", channel(3));
    assert_eq!(second.post(&path, "secret-one", json!({})).await.0, 200);
    assert_eq!(second.count("ended").await, 3);
    let metrics = second.metrics().await;
    assert!(
        metrics
            .value("switchboard_store_bytes", &[])
            .is_some_and(|bytes| bytes > 0.0)
    );
    second.end().await;
}

/// A reader of server-sent events, as the HTML standard has it ("Interpreting an event stream").
#[derive(Default)]
struct EventSource {
    text: String,
    data: Vec<String>,
    name: String,
    last_id: String,
    retry: Option<u64>,
    comments: usize,
}

impl EventSource {
    /// The events that are whole with these bytes: name, data, and the last id.
    fn push(&mut self, bytes: &[u8]) -> Vec<(String, Value, String)> {
        self.text
            .push_str(std::str::from_utf8(bytes).expect("our streams are ASCII"));
        let mut events = Vec::new();
        while let Some(end) = self.text.find('\n') {
            let line: String = self.text.drain(..=end).collect();
            let line = line.trim_end_matches('\n');
            let (field, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "" if line.is_empty() => {
                    if !self.data.is_empty() {
                        let data = serde_json::from_str(&self.data.join("\n")).expect("JSON");
                        events.push((std::mem::take(&mut self.name), data, self.last_id.clone()));
                    }
                    self.data.clear();
                    self.name.clear();
                }
                "" => self.comments += 1,
                "event" => self.name = value.to_owned(),
                "data" => self.data.push(value.to_owned()),
                "id" => self.last_id = value.to_owned(),
                "retry" => self.retry = value.parse().ok(),
                other => panic!("{other:?} is no field"),
            }
        }
        events
    }
}

async fn events_until(
    source: &mut EventSource,
    answer: &mut reqwest::Response,
    enough: impl Fn(&[(String, Value, String)], &EventSource) -> bool,
) -> Vec<(String, Value, String)> {
    let mut events = Vec::new();
    let reading = async {
        while !enough(&events, source) {
            let chunk = answer.chunk().await.expect("no error").expect("more");
            events.extend(source.push(&chunk));
        }
    };
    tokio::time::timeout(PATIENCE, reading).await.expect("they come");
    events
}

#[tokio::test]
async fn server_sent_events_resume_and_show_life() {
    let server = server(|options| options.heartbeat = Duration::from_millis(50)).await;
    server.dispatch(&channel(1), "tokens 5").await;
    let path = format!("/v1/channel/{}/subscribe", channel(1));
    let subscribe = |last: Option<&str>| {
        let request = server
            .request(Method::POST, &path, "secret-one")
            .header("accept", "text/event-stream")
            .json(&json!({"historyLength": 100}));
        match last {
            Some(id) => request.header("last-event-id", id),
            None => request,
        }
    };
    let mut answer = subscribe(None).send().await.expect("answered");
    assert_eq!(answer.headers()["content-type"], "text/event-stream");
    assert_eq!(answer.headers()["cache-control"], "no-store");
    let mut source = EventSource::default();
    let ended = |events: &[(String, Value, String)], _: &EventSource| {
        events.last().is_some_and(|(_, data, _)| data["type"] == "result")
    };
    let events = events_until(&mut source, &mut answer, ended).await;
    assert!(events.iter().all(|(name, ..)| name == "message"));
    let seen: Vec<&str> = events.iter().map(|(.., id)| id.as_str()).collect();
    assert_eq!(seen, ["0", "1", "2", "3", "4", "5", "6"]);
    assert_eq!(events[1].1, json!({"type": "token", "data": {"token": "\u{fc}0\n"}}));
    assert_eq!(source.retry, Some(1000), "how long to wait before connecting again");
    events_until(&mut source, &mut answer, |_, source| source.comments >= 2).await;
    drop(answer);

    // A browser comes back with the last id that it saw, and gets what follows, once.
    let mut again = subscribe(Some("3")).send().await.expect("answered");
    let events = events_until(&mut EventSource::default(), &mut again, ended).await;
    let seen: Vec<&str> = events.iter().map(|(.., id)| id.as_str()).collect();
    assert_eq!(seen, ["4", "5", "6"]);
    // What is published has no id, so the browser keeps the one it has.
    let publish = format!("/v1/channel/{}/publish", channel(1));
    server.post(&publish, "secret-one", json!({"message": "hello"})).await;
    let mut source = EventSource::default();
    let events = events_until(&mut source, &mut again, |events, _| !events.is_empty()).await;
    assert_eq!(events, [("message".to_owned(), json!("hello"), String::new())]);
    // An id that the channel never had: it began anew.
    let mut reset = subscribe(Some("99")).send().await.expect("answered");
    let events = events_until(&mut EventSource::default(), &mut reset, ended).await;
    assert_eq!((events[0].0.as_str(), events.len()), ("reset", 8));
    let (status, refusal) = read(subscribe(Some("x"))).await;
    assert_eq!(status, 400);
    assert!(
        refusal["message"]
            .as_str()
            .unwrap_or_default()
            .contains("Last-Event-ID")
    );
    server.end().await;
}

#[tokio::test]
async fn a_completion_as_server_sent_events_names_each_event() {
    let server = server(|_| {}).await;
    let request = server
        .request(Method::POST, "/v1/conversation/complete", "secret-one")
        .header("accept", "text/event-stream")
        .json(&json!({"messages": [{"type": "user", "text": "tokens 2"}]}));
    let answer = request.send().await.expect("answered");
    let events = EventSource::default().push(&answer.bytes().await.expect("a body"));
    let seen: Vec<(&str, &Value)> = events.iter().map(|(name, data, _)| (name.as_str(), data)).collect();
    assert_eq!(seen.len(), 3);
    assert_eq!(seen[0], ("token", &json!({"token": "\u{fc}0\n"})));
    assert_eq!(seen[2].0, "result");
    assert!(events.iter().all(|(.., id)| id.is_empty()));
    server.end().await;
}

/// Metrics as Prometheus reads them: every sample belongs to a family with HELP and TYPE.
struct Exposition {
    samples: Vec<(String, String, f64)>,
    families: Vec<(String, String)>,
}

impl Exposition {
    fn parse(text: &str) -> Self {
        let mut parsed = Self {
            samples: Vec::new(),
            families: Vec::new(),
        };
        assert!(text.ends_with("# EOF\n"), "{text}");
        let mut helped = HashSet::new();
        for line in text.lines().filter(|line| *line != "# EOF") {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                let (name, help) = rest.split_once(' ').expect("a help");
                assert!(helped.insert(name.to_owned()), "{name} is described twice");
                assert!(help.len() > 3, "{line}");
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').expect("a type");
                assert!(["counter", "gauge", "histogram", "info"].contains(&kind), "{line}");
                parsed.families.push((name.to_owned(), kind.to_owned()));
            } else if let Some(rest) = line.strip_prefix("# UNIT ") {
                let (name, unit) = rest.split_once(' ').expect("a unit");
                assert!(name.ends_with(unit), "{line}");
            } else {
                let (sample, value) = line.rsplit_once(' ').expect("a value");
                let (name, labels) = match sample.split_once('{') {
                    Some((name, labels)) => (name, labels.strip_suffix('}').expect("labels end")),
                    None => (sample, ""),
                };
                let known = parsed
                    .families
                    .last()
                    .is_some_and(|(family, kind)| match kind.as_str() {
                        "counter" => name == format!("{family}_total"),
                        "info" => name == format!("{family}_info"),
                        "histogram" => ["_bucket", "_sum", "_count"]
                            .iter()
                            .any(|suffix| name == format!("{family}{suffix}")),
                        _ => name == family,
                    });
                assert!(known, "{line} follows {:?}", parsed.families.last());
                let value = value.parse().expect("a number");
                parsed.samples.push((name.to_owned(), labels.to_owned(), value));
            }
        }
        let described: HashSet<String> = parsed.families.iter().map(|(name, _)| name.clone()).collect();
        assert_eq!(described, helped);
        parsed
    }

    /// The value of a sample with these labels.
    fn value(&self, name: &str, labels: &[&str]) -> Option<f64> {
        let fits = |own: &str| labels.iter().all(|label| own.contains(label));
        let found = self.samples.iter().find(|(other, own, _)| other == name && fits(own));
        found.map(|(.., value)| *value)
    }
}

#[tokio::test]
async fn metrics_count_what_happened_and_name_nobody() {
    let server = server(|_| {}).await;
    server.dispatch(&channel(1), "tokens 3").await;
    server.dispatch(&channel(2), "hang").await;
    server.until("ended", 1).await;
    server.until("running", 1).await;
    let path = format!("/v1/channel/{}/subscribe", channel(1));
    let mut reader = server
        .request(Method::POST, &path, "secret-one")
        .json(&json!({"historyLength": 10}))
        .send()
        .await
        .expect("answered");
    reader.chunk().await.expect("no error").expect("its history");
    server.get("/nowhere").await;

    let metrics = server.metrics().await;
    let expected = [
        ("switchboard_events_total", &[][..], 6.0),
        ("switchboard_runs", &["status=\"ended\""], 1.0),
        ("switchboard_runs", &["status=\"running\""], 1.0),
        ("switchboard_runs", &["status=\"waiting\""], 0.0),
        ("switchboard_runs_dispatched_total", &[], 2.0),
        ("switchboard_runs_ended_total", &["reason=\"stop\""], 1.0),
        ("switchboard_subscribers", &[], 1.0),
        ("switchboard_connections_stalled_total", &[], 0.0),
        ("switchboard_commits_refused_total", &[], 0.0),
        (
            "switchboard_http_requests_total",
            &["route=\"/conversation/dispatch\"", "status=\"200\"", "method=\"POST\""],
            2.0,
        ),
        (
            "switchboard_http_requests_total",
            &["route=\"other\"", "status=\"404\""],
            1.0,
        ),
        (
            "switchboard_build_info",
            &[concat!("version=\"", env!("CARGO_PKG_VERSION"), "\"")],
            1.0,
        ),
    ];
    for (name, labels, value) in expected {
        assert_eq!(metrics.value(name, labels), Some(value), "{name} {labels:?}");
    }
    for (name, labels) in [
        ("switchboard_connections", ""),
        ("switchboard_connections_accepted_total", ""),
        ("switchboard_deliveries_total", ""),
        ("switchboard_delivered_bytes_total", ""),
        ("switchboard_commit_duration_seconds_count", ""),
        ("switchboard_commit_events_sum", ""),
        ("switchboard_http_request_duration_seconds_bucket", "+Inf"),
        ("process_resident_memory_bytes", ""),
        ("process_open_fds", ""),
    ] {
        let mut samples = metrics.samples.iter();
        assert!(
            samples.any(|(other, own, value)| other == name && own.contains(labels) && *value > 0.0),
            "{name}"
        );
    }
    // A test that is quick enough takes no time that the system counts.
    assert!(metrics.value("process_cpu_seconds_total", &[]).is_some());
    for (name, labels, _) in &metrics.samples {
        for secret in ["channel-", "one", "two", "secret"] {
            assert!(!labels.contains(secret), "{name} {labels}");
        }
    }
    drop(reader);
    let gone = async {
        while server.metrics().await.value("switchboard_subscribers", &[]) != Some(0.0) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, gone)
        .await
        .expect("who leaves is not counted");

    for (secret, status) in [("secret-one", 401), ("wrong", 401)] {
        assert_eq!(read(server.request(Method::GET, "/v1/metrics", secret)).await.0, status);
    }
    let (status, _) = read(server.request(Method::GET, "/v1/run/list", "secret-metrics")).await;
    assert_eq!(status, 401, "it opens nothing else");
    server.end().await;
    let without = self::server(|options| options.metrics = None).await;
    assert_eq!(
        read(without.request(Method::GET, "/v1/metrics", "secret-metrics"))
            .await
            .0,
        404
    );
    without.end().await;
}

#[tokio::test]
async fn every_route_of_the_document_is_served_and_no_other() {
    let server = server(|options| options.allow_stop = true).await;
    let document = server.http.get(format!("{}/v1/openapi.json", server.url));
    let (status, document) = read(document).await;
    assert_eq!(
        (status, &document["openapi"]),
        (200, &json!("3.1.0")),
        "no secret is needed"
    );
    assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
    let paths = document["paths"].as_object().expect("paths");
    let served: HashSet<&str> = paths.keys().map(String::as_str).collect();
    let known = [
        "/conversation/dispatch",
        "/conversation/complete",
        "/channel/{channelId}/subscribe",
        "/channel/{channelId}/publish",
        "/channel/{channelId}/cancel",
        "/run/list",
        "/server",
        "/health",
        "/openapi.json",
        "/metrics",
        "/server/stop",
    ];
    assert_eq!(served, HashSet::from(known));
    for prefix in ["/v1", "/api/v1"] {
        for (path, operations) in paths {
            let path = format!("{prefix}{}", path.replace("{channelId}", "short"));
            for method in ["GET", "POST"] {
                let described = operations.get(method.to_lowercase());
                let open = described.is_some_and(|described| described.get("security") == Some(&json!([])));
                let method = Method::from_bytes(method.as_bytes()).expect("a method");
                // No secret: nothing is done but by routes that need none.
                let (status, _) = read(server.http.request(method.clone(), format!("{}{path}", server.url))).await;
                let expected = match described {
                    None => 405,
                    Some(_) if open => 200,
                    Some(_) => 401,
                };
                assert_eq!(status, expected, "{method} {path}");
            }
        }
    }
    server.end().await;
}
