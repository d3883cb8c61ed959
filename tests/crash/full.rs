//! A disk that is full, and has room again: what the program does then, by the limit on the size of its files.

use std::sync::Arc;
use std::time::{Duration, Instant};

use fastrand::Rng;
use reqwest::StatusCode;
use rustix::process::{Resource, Rlimit, prlimit};
use serde_json::Value;
use tokio::time::sleep;

use crate::load;
use crate::plan::Plan;
use crate::process::{PATIENCE, Server};
use crate::round::{check_one, replay};
use crate::upstream;
use crate::world::{Address, Dispatched, Run, World};

/// How large the files of a server may become, from now on.
fn limit(server: &Server, most: Option<u64>) {
    let limit = Rlimit {
        current: most,
        maximum: None,
    };
    prlimit(Some(server.pid()), Resource::Fsize, limit).expect("a limit");
}

async fn dispatch(world: &World, at: &Address, run: &Run) -> (StatusCode, Value) {
    let answer = world
        .post(at, "conversation/dispatch", &run.plan.body())
        .await
        .expect("an answer");
    let status = answer.status();
    if status == StatusCode::OK {
        run.lock().dispatched = Dispatched::Yes;
    }
    (status, answer.json().await.expect("JSON"))
}

async fn until_over(world: &World, at: &Address, run: &Run) -> Value {
    let end = Instant::now() + PATIENCE;
    loop {
        let list = world.list(at).await.expect("a list");
        let item = list.iter().find(|item| item["title"] == *run.plan.prompt);
        match item {
            Some(item) if item["status"] == "ended" => return item.clone(),
            _ => assert!(Instant::now() < end, "{} does not end: {list:?}", run.plan.name),
        }
        sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_without_room_refuses_runs_serves_readers_and_heals() {
    let home = tempfile::tempdir().expect("a directory");
    let plans = vec![
        Plan::plain("before", 20, Duration::ZERO),
        Plan::plain("during", 150, Duration::from_millis(4)),
        Plan::plain("after", 20, Duration::ZERO),
    ];
    let world = Arc::new(World::new("secret-0123456789".to_owned(), plans));
    let upstream = upstream::start(Arc::clone(&world)).await;
    let mut server = Server::start(home.path(), 1, &world.secret, &format!("{upstream}/1/v1"));
    let mut at = Address {
        server: 1,
        url: server.url().await,
    };
    world.set_address(Some(at.clone()));
    let [before, during, after] = &world.runs[..] else {
        panic!("three runs");
    };
    for run in &world.runs {
        run.lock().channel.clone_from(&run.plan.channel);
        load::attend(&world, run, &mut Rng::with_seed(1));
    }
    assert_eq!(dispatch(&world, &at, before).await.0, StatusCode::OK);
    until_over(&world, &at, before).await;
    let channel = |run: &Run| run.plan.channel.clone().expect("its own");
    let log = replay(&world, &at, before, &channel(before)).await.expect("a log");
    assert_eq!(dispatch(&world, &at, during).await.0, StatusCode::OK);
    sleep(Duration::from_millis(100)).await;

    limit(&server, Some(4096));
    let end = Instant::now() + Duration::from_secs(2);
    let mut refused = 0;
    while Instant::now() < end {
        let (status, answer) = dispatch(&world, &at, after).await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{answer}");
        assert_eq!(answer["code"], "SERVICE_UNAVAILABLE");
        assert!(
            answer["message"].as_str().is_some_and(|why| why.contains("later")),
            "{answer}"
        );
        refused += 1;
        // Readers are served meanwhile.
        assert_eq!(replay(&world, &at, before, &channel(before)).await.as_ref(), Ok(&log));
        let list = world.list(&at).await.expect("a list");
        assert_eq!(list.len(), 2, "{list:?}");
        assert_eq!(list[0]["status"], "running", "its end cannot be kept: {list:?}");
        sleep(Duration::from_millis(100)).await;
    }
    assert!(refused > 3);

    limit(&server, None);
    let end = Instant::now() + PATIENCE;
    while dispatch(&world, &at, after).await.0 != StatusCode::OK {
        assert!(Instant::now() < end, "it does not heal: {}", server.log());
        sleep(Duration::from_millis(50)).await;
    }
    for number in 2..4 {
        let mut logs = Vec::new();
        for run in [before, during, after] {
            let item = until_over(&world, &at, run).await;
            let log = replay(&world, &at, run, &channel(run)).await.expect("a log");
            check_one(&world, run, &log, &item).unwrap_or_else(|why| panic!("{}: {why}", run.plan.name));
            assert!(!log.iter().any(|line| line.contains("\"abort\"")), "{log:?}");
            logs.push(log);
        }
        assert_eq!(logs[0], log);
        server.kill();
        server = Server::start(home.path(), number, &world.secret, &format!("{upstream}/{number}/v1"));
        at = Address {
            server: number,
            url: server.url().await,
        };
        world.set_address(Some(at.clone()));
    }
    world.end().await;
    assert_eq!(world.faults(), Vec::<String>::new());
}
