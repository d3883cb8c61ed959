//! Runs with a scripted model: which events come in which order, whatever the answers and limits.

mod abilities;
mod attachments;
mod bounds;
mod moderation;
mod resume;

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};

use futures::StreamExt;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::*;
use crate::llm::{
    Arguments, ChatMessage, Demo, FinishReason, ModelError, ModelEvent, ModelRequest, ModelStream, ToolCall, ToolChoice,
};

/// What a scripted answer consists of.
#[derive(Clone)]
enum Step {
    Give(ModelEvent),
    Fail(ModelError),
    /// Nothing more comes, ever.
    Hang,
}

/// A model that gives its answers one after the other and remembers what it was asked.
#[derive(Default)]
struct Scripted {
    answers: Mutex<VecDeque<Vec<Step>>>,
    asked: Mutex<Vec<ModelRequest>>,
}

impl Model for Scripted {
    fn name(&self) -> &str {
        "scripted"
    }

    fn call(&self, request: ModelRequest) -> ModelStream {
        self.asked.lock().expect("a lock").push(request);
        let steps = self
            .answers
            .lock()
            .expect("a lock")
            .pop_front()
            .unwrap_or_else(|| vec![Step::Hang]);
        Box::pin(futures::stream::iter(steps).then(|step| async move {
            match step {
                Step::Give(event) => Ok(event),
                Step::Fail(error) => Err(error),
                Step::Hang => std::future::pending().await,
            }
        }))
    }
}

/// Keeps every event; tells a listener about each.
struct Kept {
    events: Mutex<Vec<Value>>,
    told: mpsc::UnboundedSender<Value>,
    /// How many events it takes before it is closed.
    room: usize,
}

impl EventSink for Kept {
    async fn emit(&self, event: Event) -> Result<(), SinkClosed> {
        let value = serde_json::to_value(&event).expect("JSON");
        let mut events = self.events.lock().expect("a lock");
        if events.len() >= self.room {
            return Err(SinkClosed);
        }
        events.push(value.clone());
        let _ = self.told.send(value);
        Ok(())
    }
}

/// Channels in memory: what is published reaches who listens now.
#[derive(Default, Clone)]
struct Channels(Arc<Mutex<HashMap<String, Vec<mpsc::UnboundedSender<Value>>>>>);

impl Channels {
    fn publish(&self, channel: &str, message: Value) {
        if let Some(listeners) = self.0.lock().expect("a lock").get(channel) {
            for listener in listeners {
                let _ = listener.send(message.clone());
            }
        }
    }

    fn close(&self) {
        self.0.lock().expect("a lock").clear();
    }
}

struct Listener(mpsc::UnboundedReceiver<Value>);

impl AnswerListener for Listener {
    async fn next(&mut self) -> Option<Value> {
        self.0.recv().await
    }
}

impl Answers for Channels {
    type Listener = Listener;

    async fn listen(&self, channel: &ChannelId, _call: &str) -> Listener {
        let (sender, receiver) = mpsc::unbounded_channel();
        self.0
            .lock()
            .expect("a lock")
            .entry(channel.as_str().to_owned())
            .or_default()
            .push(sender);
        Listener(receiver)
    }
}

const CHANNEL: &str = "channel-one-0001";
const OTHER: &str = "channel-two-0002";

fn text(text: &str) -> Step {
    Step::Give(ModelEvent::Text(text.into()))
}

fn reasoning(text: &str) -> Step {
    Step::Give(ModelEvent::Reasoning(text.into()))
}

fn call(id: &str, name: &str, arguments: &str) -> Step {
    Step::Give(ModelEvent::ToolCall(ToolCall {
        id: id.into(),
        name: name.into(),
        arguments: Arguments::parse(arguments),
    }))
}

fn usage(input: u64, output: u64) -> Step {
    Step::Give(ModelEvent::Usage {
        model: "m".into(),
        input,
        output,
    })
}

fn finish(reason: FinishReason) -> Step {
    Step::Give(ModelEvent::Finish(reason))
}

fn request(more: Value) -> CompleteRequest {
    let mut body = json!({"messages": [{"type": "user", "text": "go"}]});
    for (name, value) in more.as_object().expect("an object") {
        body[name] = value.clone();
    }
    serde_json::from_value(body).expect("a request")
}

fn channel_function(name: &str, channel: &str) -> Value {
    json!({"name": name, "description": "", "result": {"channel": channel}})
}

/// A finished run: its events, and what the model was asked.
struct Done {
    events: Vec<Value>,
    asked: Vec<ModelRequest>,
    outcome: Result<(), SinkClosed>,
}

impl Done {
    /// The events in short: the type, and what tells them apart.
    fn short(&self) -> Vec<String> {
        self.events.iter().map(short).collect()
    }

    fn last(&self) -> &Value {
        self.events.last().expect("at least one event")
    }

    fn reason(&self) -> &str {
        self.last()["data"]["end"]["reason"].as_str().unwrap_or("none")
    }

    /// What the functions gave, as the model's last question held it.
    fn results(&self) -> Vec<String> {
        let last = self.asked.last().expect("a question");
        let results = last.messages.iter().filter_map(|message| match message {
            ChatMessage::Tool { content, .. } => Some(content.clone()),
            _ => None,
        });
        results.collect()
    }
}

fn short(event: &Value) -> String {
    let data = &event["data"];
    let name = event["type"].as_str().expect("a type");
    match name {
        "token" | "reasoningToken" => format!("{name} {}", data["token"].as_str().unwrap_or("")),
        "message" if data["type"] == "activity" => {
            let activity = &data["meta"]["activity"];
            let (kind, function) = (activity["type"].as_str().unwrap_or(""), &activity["function"]);
            format!("{kind} {}", function["name"].as_str().unwrap_or(""))
        }
        "message" => format!(
            "{} {}",
            data["type"].as_str().unwrap_or(""),
            data["text"].as_str().unwrap_or("")
        ),
        "completeBegin" | "completeEnd" => format!("{name} {}", data["iteration"]),
        "waitForChannelMessageBegin" => format!("waits {}", data["function"]["name"].as_str().unwrap_or("")),
        "waitForChannelMessageEnd" => format!(
            "got {} {}",
            data["function"]["name"].as_str().unwrap_or(""),
            data["message"]
        ),
        "result" => format!(
            "result {} {}",
            data["end"]["reason"].as_str().unwrap_or(""),
            data["usage"]["token"]
        ),
        "operationBegin" | "operationEnd" => {
            let text = |field: &str| data["action"][field].as_str().unwrap_or("");
            format!("{name} {} {} {}", text("kind"), text("name"), data["action"]["input"])
        }
        "error" => format!("error {}", data["code"].as_str().unwrap_or("")),
        other => other.to_owned(),
    }
}

/// Runs a script; `react` sees each event and may publish or cancel.
async fn run_with(
    request: CompleteRequest,
    script: Vec<Vec<Step>>,
    limits: EngineLimits,
    room: usize,
    react: impl Fn(&Value, &Channels, &CancellationToken) + Send + 'static,
) -> Done {
    run_by(|model| Engine::new(model, limits), request, script, room, react).await
}

/// The same with an engine of one's own.
async fn run_by(
    engine: impl FnOnce(Arc<dyn Model>) -> Engine,
    request: CompleteRequest,
    script: Vec<Vec<Step>>,
    room: usize,
    react: impl Fn(&Value, &Channels, &CancellationToken) + Send + 'static,
) -> Done {
    let model = Arc::new(Scripted {
        answers: Mutex::new(script.into()),
        asked: Mutex::default(),
    });
    let engine = engine(Arc::clone(&model) as Arc<dyn Model>);
    let (told, mut heard) = mpsc::unbounded_channel();
    let sink = Kept {
        events: Mutex::default(),
        told,
        room,
    };
    let channels = Channels::default();
    let cancel = CancellationToken::new();
    let (to_publish, to_cancel) = (channels.clone(), cancel.clone());
    let reacting = tokio::spawn(async move {
        while let Some(event) = heard.recv().await {
            react(&event, &to_publish, &to_cancel);
        }
    });
    // Spawned, because a server spawns it: the run's future has to be `Send`.
    let run = tokio::spawn(async move {
        let outcome = engine.run(&request.into(), None, &sink, &channels, &cancel).await;
        (outcome, sink.events.into_inner().expect("a lock"))
    });
    let (outcome, events) = run.await.expect("the run does not panic");
    reacting.await.expect("the reaction does not panic");
    let asked = model.asked.lock().expect("a lock").clone();
    Done { events, asked, outcome }
}

async fn run(request: CompleteRequest, script: Vec<Vec<Step>>) -> Done {
    run_with(request, script, EngineLimits::default(), usize::MAX, |_, _, _| {}).await
}

#[tokio::test(start_paused = true)]
async fn an_answer_comes_in_the_documented_order() {
    let script = vec![vec![
        reasoning("hm"),
        text("Hel"),
        text(""),
        text("lo"),
        usage(3, 4),
        finish(FinishReason::Stop),
    ]];
    let done = run(request(json!({})), script).await;
    assert_eq!(
        done.short(),
        [
            "completeBegin 1",
            "reasoningToken hm",
            "token Hel",
            "token lo",
            "reasoning hm",
            "bot Hello",
            "usage",
            "completeEnd 1",
            "result stop 7",
        ]
    );
    assert_eq!(done.last()["data"]["text"], "Hello");
    assert_eq!(done.events[0]["data"]["instance"], done.events[7]["data"]["instance"]);
    assert_eq!(done.outcome, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn what_is_not_known_is_estimated_and_says_so() {
    let done = run(
        request(json!({})),
        vec![vec![text("a"), text("b"), finish(FinishReason::Stop)]],
    )
    .await;
    let usage = &done.events[4]["data"];
    assert_eq!(
        usage,
        &json!({"model": "scripted", "inputTokensUsed": 0, "outputTokensUsed": 2, "estimated": true})
    );
    assert_eq!(done.last()["data"]["usage"], json!({"token": 2, "estimated": true}));
}

#[tokio::test(start_paused = true)]
async fn a_known_result_goes_to_the_model_at_once() {
    let functions = json!({"functions": [{"name": "f", "description": "", "result": {"data": {"n": 1}}}]});
    let script = vec![
        vec![
            text("I look."),
            call("a", "f", "{\"x\":1}"),
            usage(1, 1),
            finish(FinishReason::ToolCalls),
        ],
        vec![text("Done."), usage(2, 2), finish(FinishReason::Stop)],
    ];
    let done = run(request(functions), script).await;
    assert_eq!(
        done.short(),
        [
            "completeBegin 1",
            "token I look.",
            "bot I look.",
            "request f",
            "usage",
            "completeEnd 1",
            "response f",
            "completeBegin 2",
            "token Done.",
            "bot Done.",
            "usage",
            "completeEnd 2",
            "result stop 6",
        ]
    );
    let response = &done.events[6]["data"]["meta"]["activity"];
    assert_eq!(
        response["function"],
        json!({"name": "f", "arguments": {"x": 1}, "result": {"n": 1}})
    );
    assert_eq!(response["id"], "a");
    assert_eq!(done.results(), ["{\"n\":1}"]);
    assert_eq!(done.last()["data"]["text"], "Done.");
}

#[tokio::test(start_paused = true)]
async fn a_function_without_result_ends_the_run_with_its_request() {
    let one = json!({"functions": [{"name": "f", "description": ""}]});
    let done = run(request(one), vec![vec![call("a", "f", "{}"), usage(1, 1)]]).await;
    assert_eq!(
        done.short(),
        [
            "completeBegin 1",
            "request f",
            "usage",
            "completeEnd 1",
            "result activity 2"
        ]
    );

    let two = json!({"functions": [
        {"name": "f", "description": ""},
        {"name": "g", "description": "", "result": {"data": 1}},
    ]});
    let done = run(
        request(two),
        vec![vec![call("a", "f", "{}"), call("b", "g", "{}"), usage(1, 1)]],
    )
    .await;
    let expected = [
        "completeBegin 1",
        "request g",
        "usage",
        "completeEnd 1",
        "response g",
        "request f",
        "result activity 2",
    ];
    assert_eq!(done.short(), expected, "the last message is the request");
}

#[tokio::test(start_paused = true)]
async fn what_the_model_gets_wrong_is_told_to_it() {
    let functions = json!({"functions": [{"name": "f", "description": "", "result": {"data": 1}}]});
    let script = vec![
        vec![call("a", "nobody", "{}"), call("b", "f", "{oops"), usage(1, 1)],
        vec![text("Sorry."), usage(1, 1)],
    ];
    let done = run(request(functions), script).await;
    let results = done.results();
    assert!(
        results[0].contains("there are: f") && results[1].contains("not valid JSON"),
        "{results:?}"
    );
    assert_eq!(done.reason(), "stop");
}

#[tokio::test(start_paused = true)]
async fn a_wait_takes_the_first_answer() {
    let functions = json!({"functions": [channel_function("f", CHANNEL)]});
    let script = || {
        vec![
            vec![call("a", "f", "{\"x\":1}"), usage(1, 1)],
            vec![text("ok"), usage(1, 1)],
        ]
    };
    let done = run_with(
        request(functions),
        script(),
        EngineLimits::default(),
        usize::MAX,
        |event, channels, _| {
            if event["type"] == "waitForChannelMessageBegin" {
                channels.publish(CHANNEL, json!({"data": "first", "from": "laptop-2"}));
                channels.publish(CHANNEL, json!({"data": "second"}));
            }
        },
    )
    .await;
    assert_eq!(
        done.short(),
        [
            "completeBegin 1",
            "request f",
            "usage",
            "completeEnd 1",
            "waits f",
            "got f {\"data\":\"first\",\"from\":\"laptop-2\"}",
            "response f",
            "completeBegin 2",
            "token ok",
            "bot ok",
            "usage",
            "completeEnd 2",
            "result stop 4",
        ]
    );
    let begin = &done.events[4]["data"];
    assert_eq!(
        (&begin["channel"], &begin["function"]["args"]),
        (&json!(CHANNEL), &json!({"x": 1}))
    );
    assert!(begin["expiresAt"].as_u64().is_some_and(|at| at > 1_600_000_000_000));
    assert_eq!(done.events[5]["data"]["from"], "laptop-2");
    assert_eq!(done.results(), ["first"]);
}

/// Publishes while the run begins to listen, before it says that it waits.
#[derive(Clone)]
struct Eager(Channels);

impl Answers for Eager {
    type Listener = Listener;

    async fn listen(&self, channel: &ChannelId, call: &str) -> Listener {
        let listener = self.0.listen(channel, call).await;
        self.0.publish(channel.as_str(), json!({"data": "early"}));
        listener
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_before_the_wait_is_announced_is_not_lost() {
    let model = Scripted {
        answers: Mutex::new(vec![vec![call("a", "f", "{}"), usage(1, 1)], vec![text("ok"), usage(1, 1)]].into()),
        asked: Mutex::default(),
    };
    let engine = Engine::new(Arc::new(model), EngineLimits::default());
    let (told, _heard) = mpsc::unbounded_channel();
    let sink = Kept {
        events: Mutex::default(),
        told,
        room: usize::MAX,
    };
    let request = request(json!({"functions": [channel_function("f", CHANNEL)]}));
    let answers = Eager(Channels::default());
    engine
        .run(&request.into(), None, &sink, &answers, &CancellationToken::new())
        .await
        .expect("an open sink");
    let events: Vec<String> = sink.events.lock().expect("a lock").iter().map(short).collect();
    assert_eq!(events[4..6], ["waits f", "got f {\"data\":\"early\"}"]);
}

#[tokio::test(start_paused = true)]
async fn a_wait_gives_up_in_the_end() {
    let functions = json!({"functions": [channel_function("f", CHANNEL)]});
    let script = vec![
        vec![call("a", "f", "{}"), usage(1, 1)],
        vec![text("a pity"), usage(1, 1)],
    ];
    let begun = tokio::time::Instant::now();
    let done = run(request(functions), script).await;
    assert_eq!(begun.elapsed(), EngineLimits::default().wait);
    assert_eq!(done.short()[4..7], ["waits f", "got f null", "response f"]);
    assert!(done.results()[0].contains("nobody answered this call within 600 seconds"));
    assert_eq!(done.reason(), "stop", "the model gets the time that is left to say so");
}

#[tokio::test(start_paused = true)]
async fn a_wait_ends_when_no_answer_can_come() {
    let functions = json!({"functions": [channel_function("f", CHANNEL)]});
    let script = vec![
        vec![call("a", "f", "{}"), usage(1, 1)],
        vec![text("a pity"), usage(1, 1)],
    ];
    let done = run_with(
        request(functions),
        script,
        EngineLimits::default(),
        usize::MAX,
        |event, channels, _| {
            if event["type"] == "waitForChannelMessageBegin" {
                channels.close();
            }
        },
    )
    .await;
    assert!(done.results()[0].contains("any more"));
}

#[tokio::test(start_paused = true)]
async fn separate_channels_wait_side_by_side() {
    let functions = json!({"functions": [channel_function("f", CHANNEL), channel_function("g", OTHER)]});
    let script = vec![
        vec![call("a", "f", "{}"), call("b", "g", "{}"), usage(1, 1)],
        vec![text("ok"), usage(1, 1)],
    ];
    let done = run_with(
        request(functions),
        script,
        EngineLimits::default(),
        usize::MAX,
        |event, channels, _| {
            // The second call is answered first, and only then the first one.
            match short(event).as_str() {
                "waits g" => channels.publish(OTHER, json!({"data": "two"})),
                "response g" => channels.publish(CHANNEL, json!({"data": "one"})),
                _ => {}
            }
        },
    )
    .await;
    let waits = &done.short()[5..11];
    let expected = [
        "waits f",
        "waits g",
        "got g {\"data\":\"two\"}",
        "response g",
        "got f {\"data\":\"one\"}",
        "response f",
    ];
    assert_eq!(waits, expected);
    assert_eq!(
        done.results(),
        ["one", "two"],
        "the model gets them in the order of its calls"
    );
}

#[tokio::test(start_paused = true)]
async fn calls_that_share_a_channel_are_answered_in_turn() {
    let functions = json!({"functions": [channel_function("f", CHANNEL), channel_function("g", CHANNEL)]});
    let script = vec![
        vec![call("a", "f", "{}"), call("b", "g", "{}"), usage(1, 1)],
        vec![text("ok"), usage(1, 1)],
    ];
    let done = run_with(
        request(functions),
        script,
        EngineLimits::default(),
        usize::MAX,
        |event, channels, _| {
            match short(event).as_str() {
                // Two devices answer the first call; the second call is not answered by that.
                "waits f" => {
                    channels.publish(CHANNEL, json!({"data": "one"}));
                    channels.publish(CHANNEL, json!({"data": "one again"}));
                }
                "waits g" => channels.publish(CHANNEL, json!({"data": "two"})),
                _ => {}
            }
        },
    )
    .await;
    let expected = [
        "waits f",
        "got f {\"data\":\"one\"}",
        "response f",
        "waits g",
        "got g {\"data\":\"two\"}",
        "response g",
    ];
    assert_eq!(&done.short()[5..11], expected);
    assert_eq!(done.results(), ["one", "two"]);
}

#[tokio::test(start_paused = true)]
async fn cancelling_ends_a_stream_and_a_wait() {
    let cancel_at = |what: &'static str| {
        move |event: &Value, _: &Channels, cancel: &CancellationToken| {
            if short(event) == what {
                cancel.cancel();
            }
        }
    };
    let limits = EngineLimits::default;
    let script = vec![vec![text("one "), text("two"), Step::Hang]];
    let done = run_with(request(json!({})), script, limits(), usize::MAX, cancel_at("token two")).await;
    assert_eq!(done.short()[3..], ["abort", "result abort 2"]);
    assert_eq!(done.events[3]["data"], json!({"reason": "cancelled"}));
    assert_eq!(done.last()["data"]["text"], "one two");

    let functions = json!({"functions": [channel_function("f", CHANNEL)]});
    let script = vec![vec![text("I ask."), call("a", "f", "{}"), usage(1, 1)]];
    let done = run_with(request(functions), script, limits(), usize::MAX, cancel_at("waits f")).await;
    assert_eq!(done.short()[6..], ["waits f", "abort", "result abort 2"]);
    assert_eq!(done.last()["data"]["text"], "I ask.");
}

#[tokio::test(start_paused = true)]
async fn a_failing_model_gives_one_error_with_its_code() {
    let url = || "http://127.0.0.1:1/v1".to_owned();
    let reason = || "x".to_owned();
    let silence = std::time::Duration::from_secs(120);
    for (error, code) in [
        (
            ModelError::Unreachable {
                url: url(),
                reason: reason(),
            },
            "SERVICE_UNAVAILABLE",
        ),
        (
            ModelError::Status {
                url: url(),
                status: 401,
                message: reason(),
                retry_after: None,
            },
            "BAD_GATEWAY",
        ),
        (
            ModelError::RateLimited {
                url: url(),
                message: reason(),
                retry_after: None,
            },
            "TOO_MANY_REQUESTS",
        ),
        (ModelError::Cut { url: url() }, "BAD_GATEWAY"),
        (ModelError::Silent { url: url(), silence }, "GATEWAY_TIMEOUT"),
    ] {
        let done = run(request(json!({})), vec![vec![text("a"), Step::Fail(error.clone())]]).await;
        assert_eq!(
            done.short(),
            ["completeBegin 1".to_owned(), "token a".into(), format!("error {code}")]
        );
        assert_eq!(done.last()["data"]["message"], error.to_string());
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_that_takes_too_long_and_one_that_says_too_much() {
    let done = run(request(json!({})), vec![vec![text("a"), Step::Hang]]).await;
    assert_eq!(done.short().last().map(String::as_str), Some("error TIMEOUT"));

    let limits = EngineLimits {
        max_answer: 10,
        ..EngineLimits::default()
    };
    let script = vec![vec![text("123456"), text("123456")]];
    let done = run_with(request(json!({})), script, limits, usize::MAX, |_, _, _| {}).await;
    assert_eq!(done.short().last().map(String::as_str), Some("error BAD_GATEWAY"));
}

#[tokio::test(start_paused = true)]
async fn a_closed_sink_ends_the_run() {
    let script = vec![vec![text("a"), text("b"), Step::Hang]];
    let done = run_with(request(json!({})), script, EngineLimits::default(), 2, |_, _, _| {}).await;
    assert_eq!(done.outcome, Err(SinkClosed));
    assert_eq!(done.events.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn the_demo_asks_for_an_approval() {
    let engine = Engine::new(
        Arc::new(Demo::with_pace(std::time::Duration::ZERO)),
        EngineLimits::default(),
    );
    assert!(engine.is_demo() && engine.model_name() == "demo");
    let (told, mut heard) = mpsc::unbounded_channel::<Value>();
    let sink = Kept {
        events: Mutex::default(),
        told,
        room: usize::MAX,
    };
    let channels = Channels::default();
    let publisher = channels.clone();
    let answering = tokio::spawn(async move {
        while let Some(event) = heard.recv().await {
            if event["type"] == "waitForChannelMessageBegin" {
                let channel = event["data"]["channel"].as_str().expect("a channel").to_owned();
                assert_eq!(event["data"]["function"]["args"]["environment"], "production");
                publisher.publish(&channel, json!({"data": {"approved": true}, "from": "test"}));
            }
        }
    });
    let request = CompleteRequest::prompt("deploy the shop");
    engine
        .run(&request.into(), None, &sink, &channels, &CancellationToken::new())
        .await
        .expect("an open sink");
    let events = sink.events.lock().expect("a lock").clone();
    drop(sink);
    answering.await.expect("answered");
    let last = events.last().expect("an end");
    assert_eq!(last["data"]["end"]["reason"], "stop");
    assert!(
        last["data"]["text"]
            .as_str()
            .is_some_and(|text| text.contains("**yes**")),
        "{last}"
    );
}
