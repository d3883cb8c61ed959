//! Servers that end and begin again over the same data directory: runs go on, waits stay open, a clean stop loses
//! nothing.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::StreamExt as _;
use serde_json::json;
use switchboard::client::{Client, ClientError, Endpoint, Timeouts, mint_channel_id};
use switchboard::engine::{Engine, EngineLimits};
use switchboard::llm::{Arguments, ChatMessage, FinishReason, Model, ModelEvent, ModelRequest, ModelStream, ToolCall};
use switchboard::server::{Account, ServerOptions, serve};
use switchboard::store::{RunProgress, SqliteOptions, SqliteStore, Store, Transaction};
use switchboard::wire::request::{RunStatus, RunSummary, SubscribeRequest};
use switchboard::wire::{ChannelId, CompleteRequest, DispatchRequest};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

const SECRET: &str = "store-server-secret";

/// Calls `lookup` for a prompt that says "call"; never ends an answer for one that says "stall".
#[derive(Default)]
struct Scripted {
    calls: AtomicUsize,
}

impl Model for Scripted {
    fn name(&self) -> &str {
        "scripted"
    }

    fn call(&self, request: ModelRequest) -> ModelStream {
        self.calls.fetch_add(1, Ordering::SeqCst);
        let said = |word: &str| {
            let says = |message: &ChatMessage| matches!(message, ChatMessage::User(text) if text.contains(word));
            request.messages.iter().any(says)
        };
        let result = request.messages.iter().find_map(|message| match message {
            ChatMessage::Tool { content, .. } => Some(content.clone()),
            _ => None,
        });
        let text = |text: &str| Ok(ModelEvent::Text(text.to_owned()));
        if said("stall") {
            let begin = futures::stream::iter([text("one "), text("two ")]);
            return Box::pin(begin.chain(futures::stream::pending()));
        }
        let events = if said("call") && result.is_none() {
            let call = ToolCall {
                id: String::new(),
                name: "lookup".into(),
                arguments: Arguments::Json(json!({})),
            };
            vec![
                Ok(ModelEvent::ToolCall(call)),
                Ok(ModelEvent::Finish(FinishReason::ToolCalls)),
            ]
        } else {
            let said = format!("it is {}", result.unwrap_or_default());
            vec![text(&said), Ok(ModelEvent::Finish(FinishReason::Stop))]
        };
        Box::pin(futures::stream::iter(events))
    }
}

/// A server on a runtime of its own, so that it can be cut off as a whole.
struct Server {
    runtime: Option<Runtime>,
    stop: CancellationToken,
    ended: Option<tokio::task::JoinHandle<()>>,
    client: Client,
    model: Arc<Scripted>,
}

impl Server {
    async fn start(dir: &Path, runs_in_flight: usize) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build();
        let runtime = runtime.expect("a runtime");
        let stop = CancellationToken::new();
        let model = Arc::new(Scripted::default());
        let options = ServerOptions {
            accounts: vec![Account::with_secret("test", SECRET)],
            data_dir: Some(dir.to_path_buf()),
            runs_in_flight,
            ..ServerOptions::default()
        };
        let engine = Arc::new(Engine::new(
            Arc::clone(&model) as Arc<dyn Model>,
            EngineLimits::default(),
        ));
        let (address, port) = tokio::sync::oneshot::channel();
        let shutdown = stop.clone();
        let ended = runtime.spawn(async move {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
            let _ = address.send(listener.local_addr().expect("an address").port());
            serve(listener, options, engine, shutdown).await.expect("served");
        });
        let port = port.await.expect("a port");
        Self {
            runtime: Some(runtime),
            stop,
            ended: Some(ended),
            client: Client::new(Endpoint::local(port, SECRET), Timeouts::default()).expect("a client"),
            model,
        }
    }

    /// Cuts it off, or stops it in good order.
    async fn end(mut self, clean: bool) {
        if clean {
            self.stop.cancel();
            let ended = self.ended.take().expect("it runs");
            tokio::time::timeout(Duration::from_secs(20), ended)
                .await
                .expect("in time")
                .expect("it ends");
        }
        let runtime = self.runtime.take().expect("it runs");
        tokio::task::spawn_blocking(move || runtime.shutdown_timeout(Duration::from_secs(5)))
            .await
            .expect("it is gone");
    }

    async fn dispatch(&self, prompt: &str) -> ChannelId {
        let mut complete = CompleteRequest::prompt(prompt);
        if prompt.contains("call") {
            complete.functions = serde_json::from_value(json!([{
                "name": "lookup", "description": "looks up", "parameters": {"type": "object"},
                "result": {"channel": format!("answers-{prompt}-0123456789").replace(' ', "-")},
            }]))
            .expect("a function");
        }
        let request = DispatchRequest {
            channel_id: Some(mint_channel_id()),
            complete,
        };
        self.client.dispatch(&request).await.expect("taken").channel_id
    }

    async fn run(&self, channel: &ChannelId) -> RunSummary {
        let runs = self.client.runs().await.expect("runs").items;
        runs.into_iter()
            .find(|run| run.channel_id == *channel)
            .expect("the run")
    }

    async fn until(&self, channel: &ChannelId, status: RunStatus) -> RunSummary {
        for _ in 0..1000 {
            let run = self.run(channel).await;
            if run.status == status {
                return run;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{status:?} did not come: {:?}", self.run(channel).await);
    }

    /// The types of the channel's events, tokens left out, and the text of its end.
    async fn events(&self, channel: &ChannelId) -> Vec<String> {
        let request = SubscribeRequest {
            history_length: Some(10_000),
            after: None,
        };
        let mut subscription = self.client.subscribe(channel, request).await.expect("subscribed");
        let mut lines = Vec::new();
        while let Ok(Some(Ok(more))) = tokio::time::timeout(Duration::from_millis(200), subscription.next()).await {
            lines.extend(more);
        }
        lines
            .iter()
            .map(|line| {
                let line: serde_json::Value = serde_json::from_slice(&line.raw).expect("JSON");
                let (kind, data) = (&line["data"]["type"], &line["data"]["data"]);
                let detail = [&data["reason"], &data["end"]["reason"], &data["message"], &data["text"]];
                let detail = detail.iter().find_map(|detail| detail.as_str()).unwrap_or_default();
                format!("{} {detail}", kind.as_str().unwrap_or_default())
                    .trim_end()
                    .to_owned()
            })
            .filter(|event| event != "token")
            .collect()
    }
}

#[tokio::test]
async fn a_wait_goes_on_silently_and_its_answer_reaches_the_model() {
    for clean in [true, false] {
        let home = tempfile::tempdir().expect("a directory");
        let server = Server::start(home.path(), 8).await;
        let channel = server.dispatch("call it").await;
        let before = server.until(&channel, RunStatus::Waiting).await;
        let events = server.events(&channel).await;
        server.end(clean).await;

        let server = Server::start(home.path(), 8).await;
        assert_eq!(server.run(&channel).await, before, "clean: {clean}");
        assert_eq!(server.events(&channel).await, events);
        // Before the run has got so far, or after: the answer is its own.
        let answers = ChannelId::parse(&before.waiting_on[0].channel).expect("a channel id");
        server
            .client
            .publish(&answers, &json!({"data": "sunny"}))
            .await
            .expect("taken");
        server
            .client
            .publish(&answers, &json!({"data": "rainy"}))
            .await
            .expect("taken");
        server.until(&channel, RunStatus::Ended).await;
        assert_eq!(
            server.model.calls.load(Ordering::SeqCst),
            1,
            "the first answer was kept"
        );
        let after = server.events(&channel).await;
        assert!(after.starts_with(&events), "{after:?}");
        let rest: Vec<&str> = after[events.len()..].iter().map(String::as_str).collect();
        assert_eq!(rest[0], "waitForChannelMessageEnd", "{rest:?}");
        assert_eq!(rest.last(), Some(&"result stop"), "{rest:?}");
        assert!(rest.contains(&"message it is sunny"), "{rest:?}");
        assert!(!after.iter().any(|event| event.starts_with("abort")), "{after:?}");
        server.end(true).await;
    }
}

#[tokio::test]
async fn an_answer_that_was_acknowledged_is_not_lost_with_the_server() {
    let home = tempfile::tempdir().expect("a directory");
    let server = Server::start(home.path(), 8).await;
    let channel = server.dispatch("call it").await;
    let waits = server.until(&channel, RunStatus::Waiting).await;
    let answers = ChannelId::parse(&waits.waiting_on[0].channel).expect("a channel id");
    server
        .client
        .publish(&answers, &json!({"data": "sunny"}))
        .await
        .expect("taken");
    server.end(false).await;
    let server = Server::start(home.path(), 8).await;
    server.until(&channel, RunStatus::Ended).await;
    let events = server.events(&channel).await;
    assert!(events.iter().any(|event| event == "message it is sunny"), "{events:?}");
    let ends = events.iter().filter(|event| event.starts_with("result"));
    assert_eq!(ends.count(), 1, "{events:?}");
    server.end(true).await;
}

#[tokio::test]
async fn a_run_that_was_cut_begins_its_iteration_anew_three_times_at_most() {
    let home = tempfile::tempdir().expect("a directory");
    let server = Server::start(home.path(), 8).await;
    let channel = server.dispatch("stall").await;
    server.until(&channel, RunStatus::Running).await;
    server.end(false).await;
    for restart in 1..=3 {
        let server = Server::start(home.path(), 8).await;
        let seams = |events: &[String]| events.iter().filter(|event| *event == "abort server restarted").count();
        let mut events = server.events(&channel).await;
        while events.last().is_none_or(|last| last != "completeBegin") || seams(&events) < restart {
            events = server.events(&channel).await;
        }
        assert_eq!(seams(&events), restart, "{events:?}");
        assert_eq!(server.run(&channel).await.status, RunStatus::Running);
        server.end(false).await;
    }
    let server = Server::start(home.path(), 8).await;
    let failed = server.until(&channel, RunStatus::Failed).await;
    assert_eq!(failed.end_reason.as_deref(), Some("error"));
    let events = server.events(&channel).await;
    let last = events.last().expect("events");
    assert!(last.starts_with("error the server restarted 4 times"), "{events:?}");
    server.end(true).await;
    let server = Server::start(home.path(), 8).await;
    assert_eq!(server.events(&channel).await, events, "it stays over");
    server.end(true).await;
}

#[tokio::test]
async fn clean_stops_count_as_no_attempt() {
    let home = tempfile::tempdir().expect("a directory");
    let mut channel = None;
    for _ in 0..6 {
        let server = Server::start(home.path(), 8).await;
        let channel = match &channel {
            Some(channel) => channel,
            None => channel.insert(server.dispatch("stall").await),
        };
        server.until(channel, RunStatus::Running).await;
        server.end(true).await;
    }
    let channel = channel.expect("a channel");
    let server = Server::start(home.path(), 8).await;
    server.until(&channel, RunStatus::Running).await;
    server.client.cancel(&channel).await.expect("cancelled");
    server.until(&channel, RunStatus::Ended).await;
    let events = server.events(&channel).await;
    let seams = events.iter().filter(|event| *event == "abort server restarted").count();
    assert_eq!(seams, 6, "{events:?}");
    assert_eq!(events.last().map(String::as_str), Some("result abort"), "{events:?}");
    server.end(true).await;
}

#[tokio::test]
async fn a_run_that_waits_keeps_no_other_from_going_on() {
    let home = tempfile::tempdir().expect("a directory");
    let server = Server::start(home.path(), 1).await;
    let waits = [server.dispatch("call one").await, server.dispatch("call two").await];
    for channel in &waits {
        server.until(channel, RunStatus::Waiting).await;
    }
    server.end(false).await;
    let server = Server::start(home.path(), 1).await;
    let other = server.dispatch("hello").await;
    server.until(&other, RunStatus::Ended).await;
    for channel in &waits {
        let run = server.until(channel, RunStatus::Waiting).await;
        let answers = ChannelId::parse(&run.waiting_on[0].channel).expect("a channel id");
        server
            .client
            .publish(&answers, &json!({"data": 1}))
            .await
            .expect("taken");
        server.until(channel, RunStatus::Ended).await;
    }
    // One that goes on keeps the place, and the next one its turn.
    let stalls = server.dispatch("stall").await;
    server.until(&stalls, RunStatus::Running).await;
    let queued = server.dispatch("hello again").await;
    assert_eq!(server.run(&queued).await.status, RunStatus::Queued);
    server.client.cancel(&stalls).await.expect("cancelled");
    server.until(&queued, RunStatus::Ended).await;
    server.end(true).await;
}

#[tokio::test]
async fn what_is_not_understood_ends_with_an_error_and_keeps_nobody_from_starting() {
    let home = tempfile::tempdir().expect("a directory");
    let server = Server::start(home.path(), 8).await;
    let channel = server.dispatch("stall").await;
    server.until(&channel, RunStatus::Running).await;
    server.end(true).await;
    let connection = rusqlite::Connection::open(SqliteStore::file(home.path())).expect("a database");
    connection
        .execute("UPDATE orders SET body = x'ff'", [])
        .expect("changed");
    drop(connection);
    let server = Server::start(home.path(), 8).await;
    server.until(&channel, RunStatus::Failed).await;
    server.end(true).await;
}

#[tokio::test]
async fn a_full_disk_is_said_as_503_and_passes() {
    let home = tempfile::tempdir().expect("a directory");
    let server = Server::start(home.path(), 8).await;
    let channel = server.dispatch("hello").await;
    server.until(&channel, RunStatus::Ended).await;
    server.end(true).await;
    // A database that belongs to somebody else for a while is as good as a full disk.
    let server = Server::start(home.path(), 8).await;
    let connection = rusqlite::Connection::open(SqliteStore::file(home.path())).expect("a database");
    connection.execute_batch("BEGIN IMMEDIATE").expect("locked");
    let request = DispatchRequest {
        channel_id: Some(mint_channel_id()),
        complete: CompleteRequest::prompt("hello"),
    };
    let refused = server.client.dispatch(&request).await;
    assert!(
        matches!(refused, Err(ClientError::Api { status: 503, .. })),
        "{refused:?}"
    );
    assert!(server.events(&channel).await.iter().any(|event| event == "result stop"));
    connection.execute_batch("ROLLBACK").expect("free");
    let taken = loop {
        if let Ok(taken) = server.client.dispatch(&request).await {
            break taken.channel_id;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    server.until(&taken, RunStatus::Ended).await;
    server.end(true).await;
}

#[tokio::test]
async fn a_server_does_not_start_over_what_is_no_database() {
    let home = tempfile::tempdir().expect("a directory");
    std::fs::write(SqliteStore::file(home.path()), "something else ".repeat(100)).expect("written");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let options = ServerOptions {
        accounts: vec![Account::with_secret("test", SECRET)],
        data_dir: Some(home.path().to_path_buf()),
        ..ServerOptions::default()
    };
    let engine = Arc::new(Engine::new(Arc::new(Scripted::default()), EngineLimits::default()));
    let refused = serve(listener, options, engine, CancellationToken::new()).await;
    let said = refused.expect_err("refused").to_string();
    assert!(
        said.contains("is not a database") && said.contains("switchboard.db"),
        "{said}"
    );
}

#[tokio::test]
async fn a_run_whose_progress_says_waiting_without_a_checkpoint_begins_anew() {
    let home = tempfile::tempdir().expect("a directory");
    let server = Server::start(home.path(), 8).await;
    let channel = server.dispatch("hello").await;
    server.until(&channel, RunStatus::Ended).await;
    let listed = server.run(&channel).await;
    server.end(true).await;
    // As a version of the program without checkpoints left it.
    let store = SqliteStore::open(home.path(), SqliteOptions::default()).expect("a database");
    let recovered = store.recover(0).await.expect("readable");
    let mut run = recovered.channels[0].run.clone().expect("a run").record;
    let other = ChannelId::from_random([3; 18]);
    run.key.channel = other.clone();
    run.order = serde_json::to_vec(&CompleteRequest::prompt("hello"))
        .expect("JSON")
        .into();
    run.progress = RunProgress {
        status: RunStatus::Waiting,
        ..RunProgress::queued()
    };
    let transaction = Transaction {
        queued: vec![run],
        ..Transaction::default()
    };
    store.commit(Arc::new(transaction)).await.expect("committed");
    store.close().await;
    drop(store);
    let server = Server::start(home.path(), 8).await;
    server.until(&other, RunStatus::Ended).await;
    assert_eq!(server.events(&other).await[0], "abort server restarted");
    assert_eq!(server.run(&channel).await, listed);
    server.end(true).await;
}
