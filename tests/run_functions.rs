//! Functions and limits of runs, over real sockets: a scripted upstream model, the engine, the log, HTTP.
//!
//! A prompt is the upstream's script: a JSON list of answers, `{"text", "calls": [[NAME, ARGUMENTS]], "finish"}`, of
//! which it gives the one that has its turn.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use serde_json::{Value, json};
use switchboard::client::{Client, ClientError, Endpoint, Subscription, Timeouts, mint_channel_id};
use switchboard::engine::{Engine, EngineLimits};
use switchboard::llm::{ModelOptions, connect};
use switchboard::server::{Account, ServerOptions, serve};
use switchboard::wire::request::{Limits, RunStatus, SubscribeRequest};
use switchboard::wire::{ChannelId, CompleteRequest, DispatchRequest, SubscriptionLine};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

const SECRET: &str = "run-functions-secret";
const PATIENCE: Duration = Duration::from_secs(30);

/// What the upstream was asked, in order.
type Asked = Arc<Mutex<Vec<Value>>>;

async fn upstream(asked: Asked) -> String {
    async fn answer(State(asked): State<Asked>, body: Bytes) -> Response {
        let request: Value = serde_json::from_slice(&body).expect("the engine sends JSON");
        asked.lock().expect("a lock").push(request.clone());
        let messages = request["messages"].as_array().expect("messages");
        let users = messages.iter().filter(|message| message["role"] == "user");
        let mut scripts =
            users.filter_map(|message| serde_json::from_str::<Vec<Value>>(message["content"].as_str()?).ok());
        let turn = messages.iter().filter(|message| message["role"] == "assistant").count();
        let turn = scripts.next().expect("a script").get(turn).cloned();
        let turn = turn.unwrap_or_else(|| json!({"text": "The end."}));
        let mut stream = String::new();
        let mut chunk = |delta: Value, finish: Value| {
            let choice = json!({"index": 0, "delta": delta, "finish_reason": finish});
            stream += &format!("data: {}\n\n", json!({"model": "scripted", "choices": [choice]}));
        };
        if let Some(text) = turn["text"].as_str() {
            chunk(json!({"content": text}), Value::Null);
        }
        for (index, call) in turn["calls"].as_array().into_iter().flatten().enumerate() {
            let arguments = match &call[1] {
                Value::String(raw) => raw.clone(),
                other => other.to_string(),
            };
            let function = json!({"name": call[0], "arguments": arguments});
            let call = json!({"index": index, "id": format!("c{index}"), "type": "function", "function": function});
            chunk(json!({"tool_calls": [call]}), Value::Null);
        }
        let stop = if turn["calls"].is_array() { "tool_calls" } else { "stop" };
        chunk(json!({}), json!(turn["finish"].as_str().unwrap_or(stop)));
        let usage = json!({"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 1}});
        stream += &format!("data: {usage}\n\ndata: [DONE]\n\n");
        ([("content-type", "text/event-stream")], stream).into_response()
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    let router = Router::new()
        .route("/v1/chat/completions", post(answer))
        .with_state(asked);
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}/v1")
}

/// The real server, a client of it, and what its upstream was asked.
struct Server {
    client: Client,
    asked: Asked,
    url: String,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn server() -> Server {
    server_with(EngineLimits::default()).await
}

async fn server_with(limits: EngineLimits) -> Server {
    let asked = Asked::default();
    let url = upstream(Arc::clone(&asked)).await;
    start(url, asked, limits, None).await
}

async fn start(url: String, asked: Asked, limits: EngineLimits, data_dir: Option<&Path>) -> Server {
    let model = connect(ModelOptions::new(url.clone(), "scripted")).expect("a model");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    let options = ServerOptions {
        accounts: vec![Account::with_secret("test", SECRET)],
        data_dir: data_dir.map(Path::to_path_buf),
        ..ServerOptions::default()
    };
    let stop = CancellationToken::new();
    let engine = Arc::new(Engine::new(model, limits));
    let serving = serve(listener, options, engine, stop.clone());
    let task = tokio::spawn(async move { serving.await.expect("a server") });
    let client = Client::new(Endpoint::local(port, SECRET), Timeouts::default()).expect("a client");
    Server {
        client,
        asked,
        url,
        stop,
        task,
    }
}

impl Server {
    /// Dispatches a script with these functions and more fields.
    async fn dispatch(&self, script: &Value, functions: Value, more: Value) -> Result<Watch, ClientError> {
        let mut body = json!({"messages": [{"type": "user", "text": script.to_string()}], "functions": functions});
        for (name, value) in more.as_object().expect("an object") {
            body[name] = value.clone();
        }
        let channel = mint_channel_id();
        let request = DispatchRequest {
            channel_id: Some(channel.clone()),
            complete: serde_json::from_value(body).expect("a request"),
        };
        self.client.dispatch(&request).await?;
        Ok(self.watch(channel).await)
    }

    async fn run(&self, script: Value, functions: Value) -> Watch {
        let watch = self.dispatch(&script, functions, json!({})).await;
        watch.expect("a dispatch")
    }

    async fn watch(&self, channel: ChannelId) -> Watch {
        let request = SubscribeRequest {
            history_length: Some(1000),
            after: None,
        };
        let lines = self.client.subscribe(&channel, request).await.expect("a subscription");
        Watch {
            channel,
            lines,
            events: Vec::new(),
        }
    }

    async fn publish(&self, channel: &str, message: Value) {
        let channel = ChannelId::parse(channel).expect("an id");
        self.client.publish(&channel, &message).await.expect("published");
    }

    /// What the functions gave, as the upstream was last told.
    fn results(&self) -> Vec<String> {
        let asked = self.asked.lock().expect("a lock");
        let messages = asked.last().expect("a question")["messages"].clone();
        let tools = messages.as_array().expect("messages").iter();
        let tools = tools.filter(|message| message["role"] == "tool");
        tools
            .map(|message| message["content"].as_str().unwrap_or_default().to_owned())
            .collect()
    }

    fn asked(&self, at: usize) -> Value {
        self.asked.lock().expect("a lock")[at].clone()
    }
}

/// A channel that is read.
struct Watch {
    channel: ChannelId,
    lines: Subscription,
    events: Vec<Value>,
}

impl Watch {
    /// Reads until an event of this short form has come.
    async fn until(&mut self, what: &str) -> &mut Self {
        let reading = async {
            while !self.short().iter().any(|event| event.starts_with(what)) {
                let lines = self.lines.next().await.expect("more lines").expect("lines");
                for line in lines {
                    if let Ok(SubscriptionLine::Message(line)) = line.line
                        && let Some(id) = line.id
                    {
                        assert_eq!(id, self.events.len() as u64, "no hole and no repetition");
                        self.events
                            .push(serde_json::from_str(line.data.get()).expect("an event"));
                    }
                }
            }
        };
        if timeout(PATIENCE, reading).await.is_err() {
            panic!("{what:?} never came, only {:?}", self.short());
        }
        self
    }

    async fn end(&mut self) -> Vec<String> {
        self.until("result").await.short()
    }

    /// The events but for tokens and what surrounds model calls.
    fn short(&self) -> Vec<String> {
        let mut short = Vec::new();
        for event in &self.events {
            let data = &event["data"];
            let function = |function: &Value| function["name"].as_str().unwrap_or_default().to_owned();
            short.push(match event["type"].as_str().expect("a type") {
                "token" | "usage" | "completeBegin" | "completeEnd" => continue,
                "message" if data["type"] == "activity" => {
                    let activity = &data["meta"]["activity"];
                    format!(
                        "{} {}",
                        activity["type"].as_str().expect("a kind"),
                        function(&activity["function"])
                    )
                }
                "message" if data["type"] == "user" => continue,
                "message" => format!(
                    "{} {}",
                    data["type"].as_str().expect("a type"),
                    data["text"].as_str().expect("a text")
                ),
                "waitForChannelMessageBegin" => format!("waits {}", function(&data["function"])),
                "waitForChannelMessageEnd" => format!("got {} {}", function(&data["function"]), data["message"]),
                "result" => format!("result {}", data["end"]["reason"].as_str().expect("a reason")),
                "error" => format!("result error {}", data["code"].as_str().unwrap_or_default()),
                other => other.to_owned(),
            });
        }
        short
    }
}

fn on(name: &str, channel: &str) -> Value {
    json!({"name": name, "description": "d", "result": {"channel": channel}})
}

const ONE: &str = "answers-one-0123456789";
const TWO: &str = "answers-two-0123456789";

#[tokio::test]
async fn what_is_known_goes_to_the_model_at_once() {
    let server = server().await;
    let functions = json!([{"name": "f", "description": "d", "result": {"data": {"n": 1}}}]);
    let script = json!([{"text": "I look.", "calls": [["f", {}]]}, {"text": "Done."}]);
    let events = server.run(script, functions).await.end().await;
    assert_eq!(
        events,
        ["bot I look.", "request f", "response f", "bot Done.", "result stop"]
    );
    assert_eq!(server.results(), ["{\"n\":1}"]);
}

#[tokio::test]
async fn separate_channels_wait_side_by_side_and_the_first_message_wins() {
    let server = server().await;
    let script = json!([{"calls": [["f", {"a": 1}], ["g", {}]]}, {"text": "Done."}]);
    let mut watch = server.run(script, json!([on("f", ONE), on("g", TWO)])).await;
    watch.until("waits g").await;
    server.publish(TWO, json!({"data": "two", "from": "phone"})).await;
    watch.until("response g").await;
    let runs = server.client.runs().await.expect("a list").items;
    assert_eq!(
        (runs[0].status, runs[0].waiting.as_slice()),
        (RunStatus::Waiting, &["f".to_owned()][..])
    );
    server.publish(ONE, json!("{\"error\": \"no\"}")).await;
    server.publish(ONE, json!({"data": "late"})).await;
    let events = watch.end().await;
    assert_eq!(
        events,
        [
            "request f",
            "request g",
            "waits f",
            "waits g",
            "got g {\"data\":\"two\",\"from\":\"phone\"}",
            "response g",
            "got f \"{\\\"error\\\": \\\"no\\\"}\"",
            "response f",
            "bot Done.",
            "result stop",
        ]
    );
    assert_eq!(
        server.results(),
        ["{\"error\":\"no\"}", "two"],
        "in the order of the calls"
    );
}

#[tokio::test]
async fn calls_that_share_a_channel_are_answered_in_turn_and_a_channel_decides_over_data() {
    let server = server().await;
    let mut both = on("g", ONE);
    both["result"]["data"] = json!("not this");
    let script = json!([{"calls": [["f", {}], ["g", {}]]}, {"text": "Done."}]);
    let mut watch = server.run(script, json!([on("f", ONE), both])).await;
    watch.until("waits f").await;
    server.publish(ONE, json!({"data": 1})).await;
    watch.until("waits g").await;
    server.publish(ONE, json!({"found": 2})).await;
    let events = watch.end().await;
    let expected = [
        "waits f",
        "got f {\"data\":1}",
        "response f",
        "waits g",
        "got g {\"found\":2}",
        "response g",
    ];
    assert_eq!(events[2..8], expected);
    assert_eq!(server.results(), ["1", "{\"found\":2}"]);
}

#[tokio::test]
async fn a_call_of_the_caller_ends_the_run_and_a_new_dispatch_goes_on() {
    let server = server().await;
    let functions =
        json!([{"name": "f", "description": "d"}, {"name": "g", "description": "d", "result": {"data": 5}}]);
    let script =
        json!([{"text": "I ask.", "calls": [["f", {"x": 1}], ["g", {}]]}, {"text": "not yet"}, {"text": "Thanks."}]);
    let mut watch = server.run(script.clone(), functions.clone()).await;
    let events = watch.end().await;
    assert_eq!(
        events,
        ["bot I ask.", "request g", "response g", "request f", "result activity"]
    );
    // The caller appends what came, and its response; the calls are two answers of the model now.
    let mut messages = vec![json!({"type": "user", "text": script.to_string()})];
    let came = watch.events.iter().filter(|event| event["type"] == "message");
    messages.extend(
        came.map(|event| event["data"].clone())
            .filter(|message| message["type"] != "user"),
    );
    let mut response = messages.last().expect("the request").clone();
    response["meta"]["activity"]["type"] = json!("response");
    response["meta"]["activity"]["function"]["result"] = json!("the answer");
    messages.push(response);
    let again = json!({"messages": messages});
    let mut watch = server.dispatch(&script, functions, again).await.expect("a dispatch");
    assert_eq!(watch.end().await.last().expect("an end"), "result stop");
    assert!(watch.short().contains(&"bot Thanks.".to_owned()), "{:?}", watch.short());
    assert_eq!(server.results(), ["5", "the answer"]);
}

#[tokio::test]
async fn functions_are_called_first_and_last() {
    let server = server().await;
    let functions = json!([
        {"name": "first", "description": "d", "result": {"data": 1}, "call": {"start": true}},
        {"name": "last", "description": "d", "result": {"data": 2}, "call": {"end": true}},
    ]);
    let script = json!([{"calls": [["first", {}]]}, {"text": "Done."}, {"calls": [["last", {}]]}, {"text": "never"}]);
    let events = server.run(script, functions).await.end().await;
    let expected = [
        "request first",
        "response first",
        "bot Done.",
        "request last",
        "response last",
        "result stop",
    ];
    assert_eq!(events, expected);
    let forced = |at: usize| server.asked(at)["tool_choice"]["function"]["name"].clone();
    assert_eq!(
        (forced(0), forced(1), forced(2)),
        (json!("first"), Value::Null, json!("last"))
    );
}

#[tokio::test]
async fn a_bad_call_goes_back_to_the_model_and_to_nobody_else() {
    let server = server().await;
    let mut function = on("f", ONE);
    function["parameters"] = json!({"type": "object", "properties": {"id": {"type": "integer"}}, "required": ["id"]});
    let script = json!([
        {"calls": [["f", {"id": "seven"}]]}, {"calls": [["f", "{oops"], ["nobody", {}]]}, {"calls": [["f", {"id": 7}]]},
        {"text": "Done."},
    ]);
    let mut watch = server.run(script, json!([function])).await;
    watch.until("waits f").await;
    server.publish(ONE, json!({"data": "found"})).await;
    let events = watch.end().await;
    assert_eq!(
        events.iter().filter(|event| event.starts_with("waits")).count(),
        1,
        "{events:?}"
    );
    let results = server.results();
    let told = [
        "at /id: \\\"seven\\\" is not of type \\\"integer\\\"",
        "not valid JSON",
        "there are: f",
        "found",
    ];
    assert_eq!(results.len(), told.len());
    for (result, told) in results.iter().zip(told) {
        assert!(result.contains(told), "{results:?}");
    }
}

#[tokio::test]
async fn parameters_that_cannot_be_checked_are_refused_by_name() {
    let server = server().await;
    let fine = json!({"name": "f", "description": "d", "parameters": {"type": "object"}});
    for (parameters, why) in [
        (
            json!({"type": "object", "properties": {"a": {"type": "text"}}}),
            "/properties/a/type",
        ),
        (
            json!({"type": "object", "properties": {"a": {"$ref": "http://127.0.0.1:9/s.json"}}}),
            "only references within",
        ),
        (
            json!({"type": "object", "properties": {"a": {"$ref": "file:///etc/hostname"}}}),
            "only references within",
        ),
        (json!({"type": "object", "$ref": "#"}), "refers to itself"),
    ] {
        let functions = json!([fine, {"name": "g", "description": "d", "parameters": parameters}]);
        let refused = server.dispatch(&json!([]), functions, json!({})).await;
        let Err(ClientError::Api { status: 400, error, .. }) = refused else {
            panic!("{parameters} was not refused as such");
        };
        assert!(error.message.contains("`functions[1].parameters`"), "{error}");
        assert!(error.message.contains(why), "{error}");
    }
    assert!(server.asked.lock().expect("a lock").is_empty());
}

#[tokio::test]
async fn nobody_is_waited_for_without_end() {
    let server = server_with(EngineLimits {
        wait: Duration::from_millis(200),
        ..EngineLimits::default()
    })
    .await;
    let script = json!([{"calls": [["f", {}]]}, {"text": "A pity."}]);
    let events = server.run(script.clone(), json!([on("f", ONE)])).await.end().await;
    assert_eq!(
        events,
        [
            "request f",
            "waits f",
            "got f null",
            "response f",
            "bot A pity.",
            "result stop"
        ]
    );
    assert!(server.results()[0].contains("nobody answered this call"));

    let server = server_with(EngineLimits {
        run: Duration::from_millis(200),
        ..EngineLimits::default()
    })
    .await;
    let events = server.run(script, json!([on("f", ONE)])).await.end().await;
    assert_eq!(events, ["request f", "waits f", "result error TIMEOUT"]);
}

#[tokio::test]
async fn limits_bound_a_run_and_are_shown() {
    let limits = EngineLimits {
        max_iterations: 6,
        max_calls: 3,
        max_continuations: 2,
        defaults: Limits {
            continuations: Some(1),
            ..Limits::default()
        },
        ..EngineLimits::default()
    };
    let server = server_with(limits).await;
    let functions = json!([{"name": "f", "description": "d", "result": {"data": 1}}]);
    let calling = json!([{"calls": [["f", {}]]}, {"calls": [["f", {}]]}, {"calls": [["f", {}]]}, {"calls": [["f", {}]]},
        {"calls": [["f", {}]]}]);
    let cut = json!([{"text": "a", "finish": "length"}, {"text": "b", "finish": "length"}, {"text": "c", "finish": "length"},
        {"text": "d", "finish": "length"}]);
    for (script, limits, end, iterations) in [
        (&calling, json!({"iterations": 2}), "iteration", 2),
        (&calling, json!({"calls": 1}), "iteration", 2),
        (&calling, json!({"calls": 99}), "iteration", 4),
        (&cut, json!({}), "length", 2),
        (&cut, json!({"continuations": 99}), "length", 3),
        (&cut, json!({"iterations": 2, "continuations": 9}), "iteration", 2),
    ] {
        let more = json!({"limits": limits});
        let mut watch = server
            .dispatch(script, functions.clone(), more)
            .await
            .expect("a dispatch");
        let events = watch.end().await;
        assert_eq!(events.last(), Some(&format!("result {end}")), "{limits}");
        let calls = watch.events.iter().filter(|event| event["type"] == "completeEnd");
        assert_eq!(calls.count(), iterations, "{limits}");
    }
    let info = server
        .client
        .server_info()
        .await
        .expect("an answer")
        .expect("our server");
    let shown = Value::Object(info.limits);
    assert_eq!(
        (
            &shown["iterations"],
            &shown["calls"],
            &shown["continuations"],
            &shown["seconds"],
            &shown["waitSeconds"]
        ),
        (&json!(6), &json!(3), &json!(2), &json!(900), &json!(600))
    );
    assert_eq!(
        shown["defaults"],
        json!({"iterations": 6, "calls": 3, "continuations": 1})
    );
}

#[tokio::test]
async fn meta_of_messages_is_passed_through() {
    let server = server().await;
    let message =
        json!({"type": "user", "text": "[]", "meta": {"ticket": [1, {"a": null}]}, "id": "m1", "name": "Ana"});
    let more = json!({"messages": [message]});
    let mut watch = server.dispatch(&json!([]), json!([]), more).await.expect("a dispatch");
    watch.end().await;
    assert_eq!(watch.events[0]["data"], message);
}

#[tokio::test]
async fn a_wait_goes_on_after_a_restart() {
    let dir = tempfile::tempdir().expect("a directory");
    let asked = Asked::default();
    let url = upstream(Arc::clone(&asked)).await;
    let first = start(url, asked, EngineLimits::default(), Some(dir.path())).await;
    let script = json!([{"text": "I ask.", "calls": [["f", {"a": 1}], ["g", {}]]}, {"text": "Thanks."}]);
    let mut watch = first.run(script, json!([on("f", ONE), on("g", ONE)])).await;
    watch.until("waits f").await;
    let expires = watch.events.last().expect("a wait")["data"]["expiresAt"].clone();
    let (url, asked) = (first.url.clone(), Arc::clone(&first.asked));
    first.stop.cancel();
    let mut first = first;
    timeout(PATIENCE, &mut first.task)
        .await
        .expect("it stops")
        .expect("it has stopped");

    let second = start(url, asked, EngineLimits::default(), Some(dir.path())).await;
    // At once, whether or not the run waits again by now.
    second.publish(ONE, json!({"data": "one"})).await;
    let mut watch = second.watch(watch.channel.clone()).await;
    watch.until("waits g").await;
    second.publish(ONE, json!({"data": "two"})).await;
    let events = watch.end().await;
    let expected = [
        "bot I ask.",
        "request f",
        "request g",
        "waits f",
        "got f {\"data\":\"one\"}",
        "response f",
        "waits g",
        "got g {\"data\":\"two\"}",
        "response g",
        "bot Thanks.",
        "result stop",
    ];
    assert_eq!(events, expected);
    let end = watch
        .events
        .iter()
        .find(|event| event["type"] == "waitForChannelMessageEnd");
    assert_eq!(
        end.expect("an end")["data"]["expiresAt"],
        expires,
        "the wait is the old one"
    );
    assert_eq!(second.results(), ["one", "two"]);
    assert_eq!(
        second.asked.lock().expect("a lock").len(),
        2,
        "no model call was made twice"
    );
}

#[tokio::test]
async fn a_completion_waits_like_a_run() {
    let server = server().await;
    let script = json!([{"calls": [["f", {}]]}, {"text": "Done."}]).to_string();
    let mut request = CompleteRequest::prompt(script);
    request.functions = vec![serde_json::from_value(on("f", ONE)).expect("a function")];
    let mut events = server.client.complete_stream(&request).await.expect("a stream");
    let mut names = Vec::new();
    while let Some(event) = timeout(PATIENCE, events.next()).await.expect("an event in time") {
        let (event, _) = event.expect("an event");
        let name = event.kind.name().to_owned();
        if name == "waitForChannelMessageBegin" {
            server.publish(ONE, json!({"data": "x"})).await;
        }
        names.push(name);
    }
    assert!(names.iter().any(|name| name == "waitForChannelMessageEnd"), "{names:?}");
    assert_eq!(names.last().map(String::as_str), Some("result"));
    assert_eq!(server.results(), ["x"]);
}
