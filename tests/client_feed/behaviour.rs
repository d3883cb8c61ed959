//! What a feed does in one situation each.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use switchboard::client::feed::{self, Connection, FeedOptions, Item};
use switchboard::client::supervisor::{Arrival, Supervisor};
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use super::fake::{Fake, SECRET};
use super::log::{End, State, Step, Turn, locked, serve};
use super::{LONG, channel, follow, options};

fn tokens(count: usize) -> Vec<Value> {
    let token = |_| json!({"type": "token", "data": {"token": "a"}});
    let result = json!({"type": "result", "data": {}});
    (0..count).map(token).chain([result]).collect()
}

fn turn(steps: Vec<Step>, end: End) -> Turn {
    Turn {
        away: 0,
        retain: None,
        restart: false,
        steps,
        end,
    }
}

fn ids(items: &[Item]) -> Vec<u64> {
    let id = |item: &Item| match item {
        Item::Event { id, .. } => *id,
        _ => None,
    };
    items.iter().filter_map(id).collect()
}

#[tokio::test]
async fn permanent_errors_end_the_feed_at_once_and_say_why() {
    for status in [400, 401, 403, 404, 422, 501] {
        let turns = vec![turn(Vec::new(), End::Refused(status))];
        let (fake, state) = serve(State::new(true, vec![tokens(2)], turns)).await;
        let (items, connections) = follow(fake.client(), options()).await;
        assert!(items.is_empty());
        let [Connection::Connecting, Connection::Failed { reason }] = connections.as_slice() else {
            panic!("{connections:?}")
        };
        assert!(
            reason.contains("no, not with …") && !reason.contains(SECRET),
            "{reason}"
        );
        assert_eq!(locked(&state).requests.len(), 1, "status {status} is not tried again");
    }
}

#[tokio::test]
async fn a_feed_leaves_a_server_that_is_gone_where_it_may_be_elsewhere() {
    let leaving = || FeedOptions {
        leave_when_gone: true,
        ..options()
    };
    // Another server at its port does not know the secret.
    let turns = vec![
        turn(vec![Step::Grow(2)], End::Clean),
        turn(Vec::new(), End::Refused(401)),
    ];
    let (fake, state) = serve(State::new(true, vec![tokens(5)], turns)).await;
    let (items, connections) = follow(fake.client(), leaving()).await;
    assert_eq!(ids(&items), [0, 1]);
    assert!(
        matches!(connections.last(), Some(Connection::ServerGone { reason }) if !reason.contains(SECRET)),
        "{connections:?}"
    );
    assert_eq!(locked(&state).requests.len(), 2);
    // Nothing is at its port.
    let client = fake.client();
    drop(fake);
    let gone = async {
        loop {
            let (_, connections) = follow(client.clone(), leaving()).await;
            if let [Connection::Connecting, Connection::ServerGone { .. }] = connections.as_slice() {
                break;
            }
        }
    };
    tokio::time::timeout(LONG, gone).await.expect("it says so");
}

#[tokio::test]
async fn passing_errors_are_tried_again_and_the_reason_shows() {
    let turns = vec![turn(Vec::new(), End::Refused(503)), turn(Vec::new(), End::Refused(429))];
    let (fake, state) = serve(State::new(true, vec![tokens(2)], turns)).await;
    let (items, connections) = follow(fake.client(), options()).await;
    assert_eq!(ids(&items), [0, 1, 2]);
    let attempts: Vec<u32> = connections
        .iter()
        .filter_map(|connection| match connection {
            Connection::Reconnecting { attempt, reason, .. } => {
                assert!(!reason.contains(SECRET));
                Some(*attempt)
            }
            _ => None,
        })
        .collect();
    assert_eq!(attempts, [1, 2]);
    assert_eq!(locked(&state).requests.len(), 3);
}

#[tokio::test]
async fn silence_counts_as_a_lost_connection_and_reading_goes_on_after_the_last_id() {
    let turns = vec![turn(vec![Step::Grow(3)], End::Stall)];
    let (fake, state) = serve(State::new(true, vec![tokens(5)], turns)).await;
    let options = FeedOptions {
        idle_timeout: Duration::from_millis(300),
        ..options()
    };
    let (items, connections) = follow(fake.client(), options).await;
    assert_eq!(ids(&items), [0, 1, 2, 3, 4, 5]);
    let silent = |connection: &Connection| matches!(connection, Connection::Reconnecting { reason, .. } if reason.contains("sign of life"));
    assert!(connections.iter().any(silent), "{connections:?}");
    let requests = &locked(&state).requests;
    assert_eq!(requests[0], json!({"historyLength": 10000}));
    assert_eq!(requests[1], json!({"historyLength": 10000, "after": 2}));
}

#[tokio::test]
async fn heartbeats_keep_a_silent_connection_alive() {
    let fake = Fake::start(|_, mut connection| async move {
        connection.stream().await;
        for _ in 0..20 {
            connection.send(b" ").await;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        connection
            .send(b"{\"type\":\"message\",\"id\":0,\"data\":{\"type\":\"result\"}}\n")
            .await;
        connection.stall().await;
    })
    .await;
    let options = FeedOptions {
        idle_timeout: Duration::from_millis(1500),
        ..options()
    };
    let (items, connections) = follow(fake.client(), options).await;
    assert_eq!(ids(&items), [0]);
    assert_eq!(
        connections,
        [Connection::Connecting, Connection::Live, Connection::Ended]
    );
}

#[tokio::test]
async fn half_a_line_at_a_cut_is_dropped() {
    let turns = vec![
        turn(vec![Step::Grow(2)], End::Cut(30)),
        turn(vec![Step::Grow(1)], End::Cut(60)),
    ];
    let (fake, _state) = serve(State::new(true, vec![tokens(5)], turns)).await;
    let (items, _) = follow(fake.client(), options()).await;
    assert_eq!(ids(&items), [0, 1, 2, 3, 4, 5]);
    assert_eq!(items.len(), 6, "{items:?}");
}

#[tokio::test]
async fn a_feed_begins_after_what_was_read_before() {
    let mut first = turn(Vec::new(), End::Clean);
    first.away = 5;
    let (fake, state) = serve(State::new(true, vec![tokens(5)], vec![first])).await;
    let options = FeedOptions {
        resume: Some(2),
        ..options()
    };
    let (items, _) = follow(fake.client(), options).await;
    assert_eq!(ids(&items), [3, 4, 5]);
    assert_eq!(locked(&state).requests[0]["after"], 2);
}

#[tokio::test]
async fn what_looks_like_an_end_but_has_no_id_is_a_published_message() {
    let turns = vec![turn(vec![Step::Published, Step::Grow(1), Step::Published], End::Clean)];
    let (fake, _state) = serve(State::new(true, vec![tokens(1)], turns)).await;
    let (items, _) = follow(fake.client(), options()).await;
    let published = items
        .iter()
        .filter(|item| matches!(item, Item::Published { .. }))
        .count();
    assert_eq!((published, ids(&items)), (2, vec![0, 1]));
}

#[tokio::test]
async fn cancelling_ends_a_feed_that_waits_for_its_reader() {
    let (fake, _state) = serve(State::new(true, vec![tokens(3)], Vec::new())).await;
    let (sender, receiver) = mpsc::channel(1);
    let cancel = CancellationToken::new();
    let run = tokio::spawn(feed::run(fake.client(), channel(), options(), sender, cancel.clone()));
    while receiver.is_empty() {
        tokio::task::yield_now().await;
    }
    cancel.cancel();
    tokio::time::timeout(LONG, run)
        .await
        .expect("it ends")
        .expect("it does not panic");
}

#[tokio::test]
async fn a_feed_ends_when_nobody_reads_it() {
    let (fake, _state) = serve(State::new(true, vec![tokens(3)], Vec::new())).await;
    let (sender, receiver) = mpsc::channel(1);
    drop(receiver);
    let run = feed::run(fake.client(), channel(), options(), sender, CancellationToken::new());
    tokio::time::timeout(LONG, run).await.expect("it ends");
}

#[tokio::test]
async fn a_supervisor_tags_what_comes_and_cancels_what_it_owns() {
    let left = Arc::new(Semaphore::new(0));
    let counter = Arc::clone(&left);
    let fake = Fake::start(move |request, mut connection| {
        let left = Arc::clone(&counter);
        async move {
            connection.stream().await;
            connection
                .send(b"{\"type\":\"message\",\"id\":0,\"data\":{\"type\":\"token\"}}\n")
                .await;
            if request.path.contains("channel-one") {
                connection
                    .send(b"{\"type\":\"message\",\"id\":1,\"data\":{\"type\":\"error\"}}\n")
                    .await;
            }
            connection.stall().await;
            left.add_permits(1);
        }
    })
    .await;
    let (sender, mut receiver) = mpsc::channel(4);
    let mut supervisor = Supervisor::new(fake.client(), options(), sender, tokio::runtime::Handle::current());
    let names = [
        "channel-one-0123456789",
        "channel-two-0123456789",
        "channel-three-01234567",
    ];
    let channels = names.map(|name| name.parse::<switchboard::wire::ChannelId>().expect("a channel id"));
    for (generation, channel) in channels.iter().enumerate() {
        supervisor.watch(channel.clone(), generation as u64, None);
    }
    let mut seen = [0; 3];
    let mut ended = false;
    while !ended || seen[1] == 0 || seen[2] == 0 {
        let arrival: Arrival = tokio::time::timeout(LONG, receiver.recv())
            .await
            .expect("in time")
            .expect("open");
        let at = arrival.generation as usize;
        assert_eq!(arrival.channel, channels[at]);
        seen[at] += arrival.batch.items.len();
        ended |= at == 0 && arrival.batch.connection == Some(Connection::Ended);
    }
    assert_eq!(seen[0], 2);
    let leave = |count| tokio::time::timeout(LONG, left.acquire_many(count));
    leave(1).await.expect("the ended feed leaves").expect("open").forget();
    supervisor.unwatch(&channels[1]);
    leave(1)
        .await
        .expect("the feed that is not watched leaves")
        .expect("open")
        .forget();
    drop(supervisor);
    leave(1).await.expect("the last feed leaves").expect("open").forget();
    assert!(receiver.recv().await.is_none(), "no task holds the queue");
}
