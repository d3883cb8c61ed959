//! Runs that are taken, counted, cancelled and carried out inline, over engines that do one thing each.

use async_trait::async_trait;

use super::*;
use crate::engine::{Checkpoint, EventSink as _};
use crate::hub::{HubOptions, MemoryHub};
use crate::store::{Recovered, Store, StoreError, Transaction};

/// Takes its time for each commit.
struct Slow;

#[async_trait]
impl Store for Slow {
    async fn commit(&self, _: Arc<Transaction>) -> Result<(), StoreError> {
        tokio::time::sleep(Duration::from_millis(10)).await;
        Ok(())
    }

    async fn recover(&self, _: u64) -> Result<Recovered, StoreError> {
        Ok(Recovered::default())
    }

    async fn close(&self) {}
}

/// Runs until it is cancelled.
struct Endless;

#[async_trait]
impl RunEngine for Endless {
    async fn run(&self, _: &Order, _: Option<&Checkpoint>, sink: &RunSink, _: &HubAnswers, cancel: &CancellationToken) {
        cancel.cancelled().await;
        let _ = sink.emit(EventKind::Result(Box::default()).into()).await;
    }

    fn model_name(&self) -> String {
        "m".into()
    }

    fn is_demo(&self) -> bool {
        true
    }
}

fn bounds(in_flight: usize, live: usize) -> Bounds {
    Bounds {
        in_flight,
        live,
        memory: u64::MAX,
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_can_be_cancelled_before_it_is_stored() {
    let hub: Arc<dyn Hub> = Arc::new(MemoryHub::start(HubOptions::default(), Arc::new(Slow)));
    let runs = Runs::new(Arc::clone(&hub), Arc::new(Endless), RunMeters::default(), bounds(8, 8));
    let channel = ChannelId::from_random([7; 18]);
    let account = AccountId::new("one");
    let key = ChannelKey {
        account: account.clone(),
        channel: channel.clone(),
    };
    let order = |text: &str| Order::from(CompleteRequest::prompt(text));
    let dispatch = |text: &str| runs.dispatch(account.clone(), Some(channel.clone()), order(text));
    let dispatched = async {
        tokio::join!(dispatch("a"), async {
            tokio::time::sleep(Duration::from_millis(5)).await;
            runs.cancel(&key).await.expect("its run is coming");
        })
    };
    assert_eq!(dispatched.await.0.expect("taken"), channel);
    // A dispatch that is repeated or refused takes nothing away from the run.
    assert!(dispatch("a").await.is_ok());
    assert!(dispatch("b").await.is_err());
    tokio::time::sleep(Duration::from_millis(50)).await;
    let run = hub.run(&key).await.expect("a run");
    assert!(run.progress.is_over(), "{run:?}");
    assert_eq!(runs.live().count(), 0);
}

#[tokio::test(start_paused = true)]
async fn more_runs_than_are_allowed_are_refused_and_a_repeated_one_is_not() {
    let hub = MemoryHub::start(HubOptions::default(), Arc::new(Slow));
    let runs = Runs::new(Arc::new(hub), Arc::new(Endless), RunMeters::default(), bounds(1, 2));
    let account = AccountId::new("one");
    let dispatch = |number: u8| {
        let channel = ChannelId::from_random([number; 18]);
        runs.dispatch(account.clone(), Some(channel), CompleteRequest::prompt("a").into())
    };
    assert!(dispatch(1).await.is_ok() && dispatch(2).await.is_ok());
    let refusal = dispatch(3).await.expect_err("there are two");
    assert!(format!("{refusal:?}").contains("LimitsReached"), "{refusal:?}");
    assert!(dispatch(2).await.is_ok());
    runs.stop(false).await;
    assert_eq!(runs.live().count(), 0);
    let refusal = dispatch(3).await.expect_err("it takes no more");
    assert!(format!("{refusal:?}").contains("ServiceUnavailable"), "{refusal:?}");
}

#[tokio::test(start_paused = true)]
async fn inline_runs_are_counted_with_the_others_for_as_long_as_they_go_on() {
    let hub: Arc<dyn Hub> = Arc::new(MemoryHub::start(HubOptions::default(), Arc::new(Slow)));
    let runs = Runs::new(Arc::clone(&hub), Arc::new(Endless), RunMeters::default(), bounds(1, 2));
    let account = AccountId::new("one");
    let order = || Order::from(CompleteRequest::prompt("a"));
    let channel = ChannelId::from_random([1; 18]);
    let dispatch = || runs.dispatch(account.clone(), Some(channel.clone()), order());
    assert!(dispatch().await.is_ok());
    let first = runs.complete(account.clone(), order()).expect("there is room");
    let refusal = runs.complete(account.clone(), order()).expect_err("there are two");
    let text = format!("{refusal:?}");
    assert!(
        text.contains("LimitsReached") && text.contains("retry_after: Some(5)"),
        "{text}"
    );
    let another = runs.dispatch(account.clone(), None, order()).await;
    assert!(format!("{:?}", another.expect_err("there are two")).contains("LimitsReached"));
    assert!(dispatch().await.is_ok(), "a repeated one is no run more");
    // Its client leaves while it waits for its turn.
    drop(first);
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(runs.live().count(), 1);
    let (mut events, _guard) = runs.complete(account.clone(), order()).expect("there is room again");
    runs.stop(false).await;
    assert!(matches!(
        events.recv().await.map(|event| event.kind),
        Some(EventKind::Result(_))
    ));
    assert_eq!((runs.live().count(), hub.held().bytes() > 0), (0, true));
    drop(events);
}

/// Says that it waits, and that it goes on when it is cancelled.
struct Waiting;

#[async_trait]
impl RunEngine for Waiting {
    async fn run(&self, _: &Order, _: Option<&Checkpoint>, sink: &RunSink, _: &HubAnswers, cancel: &CancellationToken) {
        let wait = |name: &str| {
            let text = format!(
                "{{\"type\":\"{name}\",\"data\":{{\"channel\":\"c\",\"function\":{{\"name\":\"f\",\"args\":{{}}}}}}}}"
            );
            Event::from_json(&text).expect("an event")
        };
        let _ = sink.emit(wait("waitForChannelMessageBegin")).await;
        tokio::select! {
            () = cancel.cancelled() => {}
            () = tokio::time::sleep(Duration::from_secs(60)) => {}
        }
        let _ = sink.emit(wait("waitForChannelMessageEnd")).await;
        tokio::time::sleep(Duration::from_secs(60)).await;
        let _ = sink.emit(EventKind::Result(Box::default()).into()).await;
    }

    fn model_name(&self) -> String {
        "m".into()
    }

    fn is_demo(&self) -> bool {
        true
    }
}

#[tokio::test(start_paused = true)]
async fn an_inline_run_gives_its_place_back_while_it_waits_and_takes_one_to_go_on() {
    let hub = MemoryHub::start(HubOptions::default(), Arc::new(Slow));
    let runs = Runs::new(Arc::new(hub), Arc::new(Waiting), RunMeters::default(), bounds(1, 9));
    let begun = Instant::now();
    let mut inline = Vec::new();
    for _ in 0..3 {
        let run = runs.complete(AccountId::new("one"), CompleteRequest::prompt("a").into());
        inline.push(run.expect("there is room"));
    }
    for (events, _) in &mut inline {
        let event = events.recv().await.expect("an event");
        assert!(matches!(event.kind, EventKind::WaitBegin(_)), "{event:?}");
        assert!(begun.elapsed() < Duration::from_secs(1), "all of them wait at once");
        assert_eq!(runs.slots.available_permits(), 1);
    }
    let mut ends = Vec::new();
    for (mut events, guard) in inline {
        while let Some(event) = events.recv().await {
            if matches!(event.kind, EventKind::Result(_)) {
                ends.push(begun.elapsed().as_secs());
            }
        }
        drop(guard);
    }
    ends.sort_unstable();
    // They wait together, and go on one after the other.
    assert_eq!(ends, [120, 180, 240]);
    runs.stop(false).await;
}

/// Says more and more, for ten seconds at most.
struct Talking;

#[async_trait]
impl RunEngine for Talking {
    async fn run(&self, _: &Order, _: Option<&Checkpoint>, sink: &RunSink, _: &HubAnswers, _: &CancellationToken) {
        while sink.emit(Event::token("a")).await.is_ok() {}
    }

    fn model_name(&self) -> String {
        "m".into()
    }

    fn is_demo(&self) -> bool {
        true
    }

    fn longest_run(&self) -> Option<Duration> {
        Some(Duration::from_secs(10))
    }
}

#[tokio::test(start_paused = true)]
async fn an_inline_run_whose_client_is_slow_ends_with_its_time_and_says_so() {
    let hub = MemoryHub::start(HubOptions::default(), Arc::new(Slow));
    let runs = Runs::new(Arc::new(hub), Arc::new(Talking), RunMeters::default(), bounds(1, 1));
    let run = runs.complete(AccountId::new("one"), CompleteRequest::prompt("a").into());
    let (mut events, _guard) = run.expect("there is room");
    for _ in 0..9 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(events.recv().await.is_some());
    }
    assert_eq!((runs.live().count(), runs.slots.available_permits()), (1, 0));
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!((runs.live().count(), runs.slots.available_permits()), (0, 1));
    let mut rest = Vec::new();
    while let Some(event) = events.recv().await {
        rest.push(event.kind);
    }
    let Some(EventKind::Error(error)) = rest.pop() else {
        panic!("no error at the end: {rest:?}");
    };
    assert_eq!(error.code.as_deref(), Some("TIMEOUT"));
    assert_eq!(rest.len(), ANSWER_QUEUE);
}

#[tokio::test(start_paused = true)]
async fn new_runs_are_refused_while_much_is_held_and_those_that_exist_go_on() {
    let hub: Arc<dyn Hub> = Arc::new(MemoryHub::start(HubOptions::default(), Arc::new(Slow)));
    let memory = Bounds {
        memory: 1,
        ..bounds(8, 8)
    };
    let runs = Runs::new(Arc::clone(&hub), Arc::new(Endless), RunMeters::default(), memory);
    let account = AccountId::new("one");
    let order = || Order::from(CompleteRequest::prompt("a"));
    // What is on its way to the store counts already.
    let (first, second) = tokio::join!(
        runs.dispatch(account.clone(), None, order()),
        runs.dispatch(account.clone(), None, order())
    );
    let channel = first.expect("nothing is held");
    assert!(format!("{second:?}").contains("LimitsReached"), "{second:?}");
    let again = runs.dispatch(account.clone(), Some(channel.clone()), order()).await;
    assert_eq!(again.expect("it is no run more"), channel);
    let refused = [
        runs.dispatch(account.clone(), None, order()).await.map(drop),
        runs.complete(account.clone(), order()).map(drop),
    ];
    for refused in refused {
        let text = format!("{:?}", refused.expect_err("much is held"));
        assert!(
            text.contains("LimitsReached") && text.contains("retry_after: Some(60)"),
            "{text}"
        );
    }
    let key = ChannelKey { account, channel };
    runs.cancel(&key).await.expect("it goes on, and can be stopped");
    tokio::time::sleep(HubOptions::default().retention + Duration::from_secs(2)).await;
    assert_eq!(hub.held().bytes(), 0);
    assert!(runs.complete(key.account, order()).is_ok());
}

#[test]
fn an_order_that_is_taken_is_understood_when_its_run_begins() {
    let nested = |depth: usize| format!("{}1.5{}", "[".repeat(depth), "]".repeat(depth));
    let mut deepest = 0;
    for depth in 0..140 {
        let body = format!(
            r#"{{"messages":[{{"type":"user","text":"\ud83d\ude00","meta":{{"a":{}}},"id":"7"}}],"limits":{{"calls":3}}}}"#,
            nested(depth)
        );
        let Ok(request) = super::super::validate::complete(body.as_bytes()) else {
            break;
        };
        deepest = depth;
        let order = Order {
            timezone: Some("Europe/Berlin".into()),
            asked_at: Some(7),
            ..Order::from(request)
        };
        let kept = KeptOrder {
            json: ascii::to_json(&order).into(),
            asked_at: order.asked_at,
        };
        assert_eq!(kept.read().expect("understood"), order, "{depth}");
    }
    assert!(deepest > 100, "{deepest}");
}

#[test]
fn a_title_is_the_first_line_of_the_last_prompt() {
    let mut request = CompleteRequest::prompt("old");
    request.messages.push(Message::new(MessageKind::Bot, "answer"));
    request
        .messages
        .push(Message::new(MessageKind::User, "\n  new one \nmore"));
    assert_eq!(title(&request), "new one");
    let long = title(&CompleteRequest::prompt("ü".repeat(100)));
    assert_eq!(long.chars().count(), LONGEST_TITLE);
    assert!(long.ends_with('…'));
}
