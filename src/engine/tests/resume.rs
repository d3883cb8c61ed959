//! Runs that are interrupted after any event and go on from what was kept: what they come to is what they would have
//! come to without.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use proptest::prelude::*;
use tokio::time::{Instant, sleep_until};

use super::*;
use crate::wire::request::Limits;

/// A model whose answer is a matter of how many were finished before.
struct Script {
    answers: Vec<Vec<Step>>,
    finished: AtomicUsize,
    /// What it was asked for each answer, the last time.
    asked: Mutex<HashMap<usize, ModelRequest>>,
}

impl Model for Script {
    fn name(&self) -> &str {
        "script"
    }

    fn call(&self, request: ModelRequest) -> ModelStream {
        let at = self.finished.fetch_add(1, Ordering::SeqCst);
        self.asked.lock().expect("a lock").insert(at, request);
        let steps = self.answers.get(at).cloned().unwrap_or_else(|| vec![text("The end.")]);
        Box::pin(futures::stream::iter(steps).map(|step| match step {
            Step::Give(event) => Ok(event),
            Step::Fail(error) => Err(error),
            Step::Hang => panic!("a script that hangs"),
        }))
    }
}

/// What a store would hold: events, and the last checkpoint with how many events there were with it.
#[derive(Clone, Default)]
struct Log {
    events: Vec<Value>,
    checkpoint: Option<(usize, Checkpoint)>,
}

/// Keeps events and checkpoints until there is no more room.
struct Keeping {
    log: Mutex<Log>,
    room: usize,
}

impl Keeping {
    fn take(&self, event: &Event, checkpoint: Option<Checkpoint>) -> Result<(), SinkClosed> {
        let mut log = self.log.lock().expect("a lock");
        if log.events.len() >= self.room {
            return Err(SinkClosed);
        }
        log.events.push(serde_json::to_value(event).expect("JSON"));
        if let Some(checkpoint) = checkpoint {
            log.checkpoint = Some((log.events.len(), checkpoint));
        }
        Ok(())
    }
}

impl EventSink for Keeping {
    async fn emit(&self, event: Event) -> Result<(), SinkClosed> {
        self.take(&event, None)
    }

    async fn keep(&self, event: Event, checkpoint: Checkpoint) -> Result<(), SinkClosed> {
        self.take(&event, Some(checkpoint))
    }
}

/// Answers each call at a time of its own, which a restart does not change; some never.
#[derive(Clone)]
struct Timed {
    begun: Instant,
    /// When the call of an id is answered, in milliseconds; ids are `ITERATION-NUMBER`.
    times: Arc<Vec<Option<u64>>>,
}

struct TimedListener(Option<(Instant, Value)>);

impl Answers for Timed {
    type Listener = TimedListener;

    async fn listen(&self, _: &ChannelId, call: &str) -> TimedListener {
        let id = call.split_once('-').unwrap_or(("0", "0"));
        let (iteration, number): (u64, usize) = (id.0.parse().unwrap_or(0), id.1.parse().unwrap_or(0));
        let time = self.times[number % self.times.len()].map(|time| {
            let at = self.begun + Duration::from_millis(iteration * 100_000 + time * 10 + number as u64);
            (at, json!({"data": call, "from": "test"}))
        });
        TimedListener(time)
    }
}

impl AnswerListener for TimedListener {
    async fn next(&mut self) -> Option<Value> {
        match self.0.take() {
            Some((at, answer)) => {
                // Dropped in between, nothing may be lost.
                self.0 = Some((at, answer.clone()));
                sleep_until(at).await;
                self.0 = None;
                Some(answer)
            }
            None => std::future::pending().await,
        }
    }
}

#[derive(Debug, Clone)]
struct Case {
    request: CompleteRequest,
    answers: Vec<(Vec<&'static str>, Vec<&'static str>, FinishReason)>,
    times: Vec<Option<u64>>,
    limits: EngineLimits,
}

impl Case {
    fn script(&self) -> Vec<Vec<Step>> {
        let answer = |(iteration, (texts, calls, finish_as)): (usize, &(Vec<&str>, Vec<&str>, FinishReason))| {
            let mut steps: Vec<Step> = texts.iter().map(|piece| text(piece)).collect();
            for (number, name) in calls.iter().enumerate() {
                let (name, arguments) = match *name {
                    "wrong" => ("data", "{\"n\": \"x\"}"),
                    "broken" => ("data", "{oops"),
                    "search" => ("search_notes", "{\"query\": \"word\"}"),
                    name => (name, "{\"n\": 1}"),
                };
                steps.push(call(&format!("{iteration}-{number}"), name, arguments));
            }
            steps.extend([usage(1, 2), finish(finish_as.clone())]);
            steps
        };
        self.answers.iter().enumerate().map(answer).collect()
    }

    /// Runs to the end, or until there is no more room; goes on from a log.
    async fn run(&self, begun: Instant, from: Log, room: usize) -> (Log, HashMap<usize, ModelRequest>) {
        let ends = |event: &&Value| event["type"] == "completeEnd";
        let model = Arc::new(Script {
            answers: self.script(),
            finished: AtomicUsize::new(from.events.iter().filter(ends).count()),
            asked: Mutex::default(),
        });
        let engine = Engine::new(Arc::clone(&model) as Arc<dyn Model>, self.limits.clone());
        let checkpoint = from.checkpoint.as_ref().map(|(_, checkpoint)| checkpoint.clone());
        let sink = Keeping {
            log: Mutex::new(from),
            room,
        };
        let answers = Timed {
            begun,
            times: Arc::new(self.times.clone()),
        };
        let order = self.request.clone().into();
        let cancel = CancellationToken::new();
        let _ = engine.run(&order, checkpoint.as_ref(), &sink, &answers, &cancel).await;
        let asked = model.asked.lock().expect("a lock").clone();
        (sink.log.into_inner().expect("a lock"), asked)
    }
}

/// Cuts away what the seam supersedes: what came after the last event that was kept. Only parts of a model call may.
fn supersede(log: &mut Log) {
    let kept = log.checkpoint.as_ref().map_or(0, |(kept, _)| *kept);
    for event in log.events.drain(kept..) {
        let name = short(&event);
        let inside = ["completeBegin", "token", "reasoningToken", "bot", "request", "usage"];
        assert!(
            inside.iter().any(|inside| name.starts_with(inside)),
            "{name} was not kept"
        );
    }
    if log.events.last().is_some_and(|event| event["type"] == "completeBegin") {
        log.events.pop();
    }
}

/// The events without what is another in each run of a program: its name, and the clock.
fn comparable(log: &Log) -> Vec<Value> {
    let mut waits = HashMap::new();
    let comparable = |event: &Value| {
        let mut event = event.clone();
        if let Some(data) = event["data"].as_object_mut() {
            data.remove("instance");
            if let Some(expires) = data.remove("expiresAt") {
                // The end of a wait tells the same time as its beginning, also after a restart.
                let begun = waits.entry(data["id"].to_string()).or_insert_with(|| expires.clone());
                assert_eq!(*begun, expires);
            }
        }
        event
    };
    log.events.iter().map(comparable).collect()
}

async fn check(case: &Case) {
    let (whole, asked) = case.run(Instant::now(), Log::default(), usize::MAX).await;
    let expected = comparable(&whole);
    let ends = ["result", "error"].map(|name| whole.events.iter().filter(|event| event["type"] == name).count());
    assert_eq!(ends.iter().sum::<usize>(), 1, "one end");
    let mut responses: Vec<&Value> = whole
        .events
        .iter()
        .filter(|event| short(event).starts_with("response"))
        .map(|event| &event["data"]["meta"]["activity"]["id"])
        .collect();
    let all = responses.len();
    responses.sort_by_key(ToString::to_string);
    responses.dedup();
    assert_eq!(responses.len(), all, "a call is answered once");

    for cut in 0..whole.events.len() {
        let begun = Instant::now();
        let (mut log, mut heard) = case.run(begun, Log::default(), cut).await;
        assert_eq!(log.events.len(), cut);
        supersede(&mut log);
        // And once more, somewhere behind it.
        let again = cut + 1 + cut * 7 % (whole.events.len() - cut);
        let (second, more) = case.run(begun, log, again).await;
        log = second;
        heard.extend(more);
        if log.events.len() < whole.events.len() {
            supersede(&mut log);
            let (third, more) = case.run(begun, log, usize::MAX).await;
            log = third;
            heard.extend(more);
        }
        assert_eq!(comparable(&log), expected, "cut at {cut}, then at {again}");
        assert_eq!(heard, asked, "cut at {cut}, then at {again}: what the model is asked");
    }
}

fn functions(start: bool, end: bool) -> Value {
    let parameters = json!({"type": "object", "properties": {"n": {"type": "integer"}}});
    json!([
        {"name": "data", "description": "d", "parameters": parameters, "result": {"data": [1]}, "call": {"start": start}},
        {"name": "one", "description": "d", "result": {"channel": CHANNEL}},
        {"name": "same", "description": "d", "result": {"channel": CHANNEL, "data": 5}},
        {"name": "two", "description": "d", "result": {"channel": OTHER}},
        {"name": "caller", "description": "d"},
        {"name": "last", "description": "d", "result": {"channel": OTHER}, "call": {"end": end}},
    ])
}

fn cases() -> impl Strategy<Value = Case> {
    const NAMES: [&str; 9] = [
        "data", "one", "same", "two", "last", "wrong", "broken", "nobody", "caller",
    ];
    let texts = prop::collection::vec(prop::sample::select(&["a ", "b ", "c"][..]), 0..3);
    // A caller's call ends the run, so it comes rarely.
    let name = prop_oneof![12 => prop::sample::select(&NAMES[..8]), 1 => Just(NAMES[8])];
    let calls = prop_oneof![1 => Just(Vec::new()), 3 => prop::collection::vec(name, 1..4)];
    let finish = prop::sample::select(vec![FinishReason::Stop, FinishReason::Length, FinishReason::ToolCalls]);
    let answers = prop::collection::vec((texts, calls, finish), 1..4);
    let times = prop::collection::vec(prop::option::weighted(0.8, 0..500u64), 3);
    let limits = (1..5u64, 1..8u64, 0..3u64);
    (answers, times, limits, any::<bool>(), any::<bool>()).prop_map(|(answers, times, limits, start, end)| {
        let (iterations, calls, continuations) = limits;
        Case {
            request: request(json!({"functions": functions(start, end)})),
            answers,
            times,
            limits: EngineLimits {
                defaults: Limits {
                    iterations: Some(iterations),
                    calls: Some(calls),
                    continuations: Some(continuations),
                },
                wait: Duration::from_secs(60 * 60),
                run: Duration::from_secs(24 * 60 * 60),
                ..EngineLimits::default()
            },
        }
    })
}

fn paused() -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_time().start_paused(true).build().expect("a runtime")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn an_interrupted_run_comes_to_the_same(case in cases()) {
        paused().block_on(check(&case));
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_with_everything_in_it_comes_to_the_same() {
    let answers = vec![
        (
            vec!["I look. ", "Now."],
            vec!["one", "two", "same", "data", "wrong", "search"],
            FinishReason::ToolCalls,
        ),
        (vec!["half "], vec![], FinishReason::Length),
        (vec!["and half"], vec!["caller", "two", "nobody"], FinishReason::Stop),
    ];
    // Too much to be given to the model whole: the run searches it itself.
    let records: Vec<Value> = (0..200)
        .map(|number| json!({"text": format!("The word of record {number} is a word among many other words.")}))
        .collect();
    let case = Case {
        request: request(json!({
            "functions": functions(true, true), "extensions": {"datasets": [{"name": "notes", "records": records}]},
        })),
        answers,
        times: vec![Some(30), Some(10), None],
        limits: EngineLimits {
            run: Duration::from_secs(24 * 60 * 60),
            ..EngineLimits::default()
        },
    };
    check(&case).await;
    let (log, asked) = case.run(Instant::now(), Log::default(), usize::MAX).await;
    let events: Vec<String> = log.events.iter().map(short).collect();
    assert_eq!(asked.len(), 3);
    let told = [
        "got two {\"data\":\"0-1\",\"from\":\"test\"}",
        "got one {\"data\":\"0-0\",\"from\":\"test\"}",
        "got same null",
    ];
    let got: Vec<&String> = events.iter().filter(|event| event.starts_with("got")).collect();
    assert_eq!(got[..3], told);
    for event in ["operationBegin", "operationEnd", "response search_notes"] {
        assert!(events.iter().any(|told| told.starts_with(event)), "{event}: {events:?}");
    }
    assert_eq!(events.last().map(String::as_str), Some("result activity 9"));
    assert_eq!(events[events.len() - 2], "request caller");
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_was_kept_comes_first_and_an_expired_wait_is_not_waited_for() {
    let case = |time| Case {
        request: request(json!({"functions": functions(false, false)})),
        answers: vec![(vec![], vec!["one"], FinishReason::ToolCalls)],
        times: vec![time],
        limits: EngineLimits {
            wait: Duration::from_millis(1),
            ..EngineLimits::default()
        },
    };
    for (time, told) in [
        (Some(0), "got one {\"data\":\"0-0\",\"from\":\"test\"}"),
        (None, "got one null"),
    ] {
        let case = case(time);
        let (log, _) = case.run(Instant::now(), Log::default(), 5).await;
        assert_eq!(log.events.last().map(short).as_deref(), Some("waits one"));
        // The clock on the wall goes on while no server runs.
        std::thread::sleep(Duration::from_millis(5));
        let (log, _) = case.run(Instant::now(), log, usize::MAX).await;
        let events: Vec<String> = log.events.iter().map(short).collect();
        assert_eq!(events[5], told);
        assert_eq!(events.iter().filter(|event| event.starts_with("waits")).count(), 1);
        assert_eq!(events.last().map(String::as_str), Some("result stop 4"));
    }
}

#[tokio::test(start_paused = true)]
async fn the_models_own_functions_keep_their_channel() {
    let engine = Engine::new(Arc::new(Demo::with_pace(Duration::ZERO)), EngineLimits::default());
    let order = CompleteRequest::prompt("deploy the shop").into();
    let answers = Timed {
        begun: Instant::now(),
        times: Arc::new(vec![Some(1)]),
    };
    let run = async |log: Log, room| {
        let checkpoint = log.checkpoint.clone().map(|(_, checkpoint)| checkpoint);
        let sink = Keeping {
            log: Mutex::new(log),
            room,
        };
        let cancel = CancellationToken::new();
        let _ = engine.run(&order, checkpoint.as_ref(), &sink, &answers, &cancel).await;
        sink.log.into_inner().expect("a lock")
    };
    let find = |log: &Log, name: &str| log.events.iter().position(|event| event["type"] == name).expect(name);
    let whole = run(Log::default(), usize::MAX).await;
    let begin = find(&whole, "waitForChannelMessageBegin");
    let log = run(run(Log::default(), begin + 1).await, usize::MAX).await;
    let end = find(&log, "waitForChannelMessageEnd");
    assert_eq!(end, begin + 1);
    assert_eq!(log.events[begin]["data"]["channel"], log.events[end]["data"]["channel"]);
    assert_ne!(
        log.events[begin]["data"]["channel"], whole.events[begin]["data"]["channel"],
        "minted for each run"
    );
    assert_eq!(log.events.last().map(short), whole.events.last().map(short));
}

#[tokio::test(start_paused = true)]
async fn a_run_that_was_cancelled_stays_cancelled() {
    let case = Case {
        request: request(json!({"functions": functions(false, false)})),
        answers: vec![(vec!["I ask."], vec!["one"], FinishReason::ToolCalls)],
        times: vec![None],
        limits: EngineLimits::default(),
    };
    let (mut log, _) = case.run(Instant::now(), Log::default(), 7).await;
    assert_eq!(log.events.last().map(short).as_deref(), Some("waits one"));
    let engine = Engine::new(Arc::new(Demo::default()), case.limits.clone());
    let (order, answers) = (case.request.clone().into(), Channels::default());
    let cancel = CancellationToken::new();
    cancel.cancel();
    // Interrupted between `abort` and `result`: only that is left to say.
    for (room, cancel) in [(8, cancel), (usize::MAX, CancellationToken::new())] {
        let checkpoint = log.checkpoint.clone().map(|(_, checkpoint)| checkpoint);
        let sink = Keeping {
            log: Mutex::new(log),
            room,
        };
        let _ = engine.run(&order, checkpoint.as_ref(), &sink, &answers, &cancel).await;
        log = sink.log.into_inner().expect("a lock");
    }
    let events: Vec<String> = log.events.iter().map(short).collect();
    assert_eq!(events[7..], ["abort", "result abort 3"]);
    assert_eq!(log.events[8]["data"]["text"], "I ask.");
}

#[tokio::test(start_paused = true)]
async fn a_checkpoint_that_cannot_be_read_is_one_clear_error() {
    let engine = Engine::new(Arc::new(Demo::default()), EngineLimits::default());
    let order = CompleteRequest::prompt("hi").into();
    for (kept, told) in [("{\"version\":99}", "the form 99"), ("oops", "damaged")] {
        let sink = Keeping {
            log: Mutex::default(),
            room: usize::MAX,
        };
        let checkpoint = Checkpoint::new(kept);
        let cancel = CancellationToken::new();
        let ran = engine
            .run(&order, Some(&checkpoint), &sink, &Channels::default(), &cancel)
            .await;
        let log = sink.log.into_inner().expect("a lock");
        assert!(ran.is_ok() && log.events.len() == 1, "{:?}", log.events);
        let message = log.events[0]["data"]["message"].as_str().unwrap_or_default();
        assert!(
            message.contains(told) && message.contains("dispatch it again"),
            "{message}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_restart_does_not_give_a_run_its_time_again() {
    let limits = EngineLimits {
        run: Duration::from_secs(100),
        wait: Duration::from_secs(80),
        ..EngineLimits::default()
    };
    let case = Case {
        request: request(json!({"functions": functions(false, false)})),
        answers: vec![
            (vec![], vec!["one"], FinishReason::ToolCalls),
            (vec![], vec!["two"], FinishReason::ToolCalls),
        ],
        times: vec![None],
        limits,
    };
    let begun = Instant::now();
    let (log, _) = case.run(begun, Log::default(), 7).await;
    assert_eq!(begun.elapsed(), Duration::from_secs(80), "the first wait gave up");
    assert_eq!(log.events.last().map(short).as_deref(), Some("response one"));
    let (log, _) = case.run(begun, log, usize::MAX).await;
    assert_eq!(begun.elapsed(), Duration::from_secs(100), "twenty seconds were left");
    assert_eq!(log.events.last().map(short).as_deref(), Some("error TIMEOUT"));
}

/// Measures what is kept.
#[derive(Default)]
struct Measuring {
    checkpoints: Mutex<Vec<usize>>,
}

impl EventSink for Measuring {
    async fn emit(&self, _: Event) -> Result<(), SinkClosed> {
        Ok(())
    }

    async fn keep(&self, _: Event, checkpoint: Checkpoint) -> Result<(), SinkClosed> {
        self.checkpoints
            .lock()
            .expect("a lock")
            .push(checkpoint.as_bytes().len());
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn what_functions_give_by_their_definition_is_not_written_with_each_step() {
    let data = "x".repeat(100_000);
    let functions = json!({"functions": [{"name": "data", "description": "d", "result": {"data": data}}]});
    let model = Script {
        answers: vec![
            (0..20)
                .map(|number| call(&format!("0-{number}"), "data", "{}"))
                .collect(),
        ],
        finished: AtomicUsize::new(0),
        asked: Mutex::default(),
    };
    let engine = Engine::new(Arc::new(model), EngineLimits::default());
    let sink = Measuring::default();
    let order = request(functions).into();
    let cancel = CancellationToken::new();
    let ran = engine.run(&order, None, &sink, &Channels::default(), &cancel).await;
    ran.expect("the sink takes everything");
    let sizes = sink.checkpoints.into_inner().expect("a lock");
    // Until the next model call has ended, with which the conversation has it all.
    assert_eq!(sizes.len(), 1 + 1 + 20 + 1);
    let (last, before) = sizes.split_last().expect("a checkpoint");
    assert!(before.iter().all(|size| *size < 10_000), "{sizes:?}");
    assert!(*last > 20 * data.len(), "{sizes:?}");
}
