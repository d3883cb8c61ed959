//! The clients of a round: they dispatch, follow, answer and cancel, whatever becomes of the server.
//!
//! They note what they see and what was acknowledged; what that has to come to is the oracle's.

use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use reqwest::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use crate::plan::Answered;
use crate::world::{Address, Attempt, Dispatched, Run, Sent, World};

/// Before somebody who was refused, or lost the server, comes again.
const AGAIN: Duration = Duration::from_millis(8);

fn millis(rng: &mut Rng, below: u64) -> Duration {
    Duration::from_millis(rng.u64(..below))
}

/// Starts what belongs to one run; returns when its dispatch is done with.
pub async fn take_part(world: Arc<World>, run: Arc<Run>, mut rng: Rng) {
    if let Some(channel) = run.plan.channel.clone() {
        run.lock().channel = Some(channel);
        attend(&world, &run, &mut rng);
    }
    sleep(run.plan.begins).await;
    let all = run.plan.prompts().map(|prompt| dispatch(&world, &run, prompt));
    futures::future::join_all(all).await;
    if run.lock().dispatched != Dispatched::Yes {
        return;
    }
    world.moments.dispatched.notify_waiters();
    if run.plan.channel.is_none() {
        attend(&world, &run, &mut rng);
    }
    if let Some(delay) = run.plan.cancel {
        world.spawn(cancel(Arc::clone(&world), Arc::clone(&run), delay));
    }
    if run.plan.channel.is_some() && run.plan.rival.is_none() && rng.bool() {
        sleep(millis(&mut rng, 200)).await;
        dispatch_again(&world, &run).await;
    }
}

/// Watches a run and answers its calls.
pub fn attend(world: &Arc<World>, run: &Arc<Run>, rng: &mut Rng) {
    for mode in [Mode::Resume, Mode::Replay] {
        world.spawn(follow(Arc::clone(world), Arc::clone(run), mode, rng.fork()));
    }
    for answered in run.plan.answered.clone() {
        for publisher in 0..answered.publishers {
            let work = answer(
                Arc::clone(world),
                Arc::clone(run),
                answered.clone(),
                publisher,
                rng.fork(),
            );
            world.spawn(work);
        }
    }
}

async fn dispatch(world: &World, run: &Run, prompt: &str) {
    let body = run.plan.body_with(prompt);
    loop {
        let at = world.server().await;
        match ask(world, &at, "conversation/dispatch", &body).await {
            Asked::Ok(answer) => {
                let Some(channel) = answer["channelId"].as_str() else {
                    return world.fault(format!("a dispatch was answered {answer}"));
                };
                if run.plan.channel.as_ref().is_some_and(|own| own != channel) {
                    world.fault(format!("{} was given another channel", run.plan.name));
                }
                let mut known = run.lock();
                known.channel = Some(channel.to_owned());
                known.dispatched = Dispatched::Yes;
                known.acknowledged.insert(prompt.to_owned());
                return;
            }
            // The other one was faster.
            Asked::Wrong(why) if why.starts_with("409") && run.plan.rival.is_some() => return,
            // Nothing was taken now; an attempt before it may have been.
            Asked::Refused => {}
            Asked::Wrong(why) => return world.fault(format!("the dispatch of {}: {why}", run.plan.name)),
            Asked::Unsent => {}
            Asked::Unknown => {
                {
                    let mut known = run.lock();
                    if known.dispatched == Dispatched::No {
                        known.dispatched = Dispatched::Perhaps;
                    }
                }
                if !run.plan.repeats {
                    return;
                }
            }
        }
        sleep(AGAIN).await;
    }
}

/// The same dispatch again is answered the same; another one on its channel is refused.
async fn dispatch_again(world: &World, run: &Run) {
    let mut other = run.plan.body();
    other["messages"][0]["text"] = json!("something else");
    let bodies = [run.plan.body(), other];
    for (at, body) in bodies.iter().enumerate() {
        for _ in 0..3 {
            let server = world.server().await;
            let asked = ask(world, &server, "conversation/dispatch", body).await;
            match (at, asked) {
                (0, Asked::Ok(answer)) if answer["channelId"].as_str() == run.plan.channel.as_deref() => break,
                (1, Asked::Wrong(why)) if why.starts_with("409") => break,
                (_, Asked::Unknown | Asked::Refused | Asked::Unsent) => sleep(AGAIN).await,
                (_, asked) => {
                    return world.fault(format!("{} dispatched again ({at}): {asked:?}", run.plan.name));
                }
            }
        }
    }
}

async fn cancel(world: Arc<World>, run: Arc<Run>, delay: Duration) {
    sleep(delay).await;
    let Some(channel) = run.lock().channel.clone() else {
        return;
    };
    run.lock().cancel_sent = true;
    for _ in 0..3 {
        let at = world.server().await;
        match ask(&world, &at, &format!("channel/{channel}/cancel"), &json!({})).await {
            Asked::Ok(_) => {
                run.lock().cancelled_in = Some(at.server);
                world.moments.cancelled.notify_waiters();
                return;
            }
            Asked::Wrong(why) => return world.fault(format!("cancelling {}: {why}", run.plan.name)),
            Asked::Refused | Asked::Unsent | Asked::Unknown => sleep(AGAIN).await,
        }
    }
}

/// How a request ended.
#[derive(Debug)]
enum Asked {
    Ok(Value),
    /// Politely, with the promise that nothing was taken.
    Refused,
    /// No server was there.
    Unsent,
    /// The server went meanwhile.
    Unknown,
    /// In a way that nobody expects.
    Wrong(String),
}

async fn ask(world: &World, at: &Address, path: &str, body: &Value) -> Asked {
    let response = match world.post(at, path, body).await {
        Ok(response) => response,
        Err(error) if error.is_connect() => return Asked::Unsent,
        Err(_) => return Asked::Unknown,
    };
    let status = response.status();
    let Ok(text) = response.text().await else {
        return Asked::Unknown;
    };
    match (status, serde_json::from_str(&text)) {
        (StatusCode::OK, Ok(answer)) => Asked::Ok(answer),
        (StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS, Ok(_)) => Asked::Refused,
        // The port is another program's by now.
        (StatusCode::UNAUTHORIZED, _) => Asked::Unsent,
        _ => Asked::Wrong(format!("{status} {text}")),
    }
}

/// Answers what waits on a channel, sometimes before it is asked, sometimes twice, until the run is over.
async fn answer(world: Arc<World>, run: Arc<Run>, answered: Answered, publisher: usize, mut rng: Rng) {
    let Answered { channel, eager, .. } = answered;
    let mark = run.plan.secret.clone().unwrap_or_default();
    let path = format!("channel/{channel}/publish");
    for number in 0.. {
        if eager {
            sleep(Duration::from_millis(rng.u64(5..30))).await;
        } else if rng.u8(..4) != 0 {
            let pause = millis(&mut rng, 80);
            sleep(pause).await;
        }
        let at = loop {
            let at = world.server().await;
            {
                let known = run.lock();
                if known.ended || run.over.is_cancelled() {
                    return;
                }
                if eager || known.waiting.get(&channel).is_some_and(|calls| !calls.is_empty()) {
                    break at;
                }
            }
            // A change that comes right now is seen a moment later.
            let _ = timeout(Duration::from_millis(20), run.changed.notified()).await;
        };
        let text = format!("answer{number}.{publisher} of {channel} {mark}");
        let (message, content) = match rng.u8(..5) {
            0 => (json!({"data": {"said": text}}), json!({"said": text}).to_string()),
            1 => (json!(text), text),
            2 => (json!({"error": text}), json!({"error": text}).to_string()),
            3 => (json!({"data": text, "from": "laptop-2"}), text),
            _ => (json!({"data": text}), text),
        };
        let attempt = {
            let mut known = run.lock();
            let shown = known.waiting.get(&channel).cloned().unwrap_or_default();
            let begun = known.moment();
            let attempts = known.attempts.entry(channel.clone()).or_default();
            attempts.push(Attempt {
                content,
                message: message.clone(),
                shown,
                sent: Sent::Unknown,
                begun,
                acknowledged: None,
            });
            attempts.len() - 1
        };
        let sent = match ask(&world, &at, &path, &json!({"message": message})).await {
            Asked::Ok(_) => Sent::Acknowledged,
            Asked::Refused | Asked::Unsent => Sent::Refused,
            Asked::Unknown => Sent::Unknown,
            Asked::Wrong(why) => return world.fault(format!("publishing for {}: {why}", run.plan.name)),
        };
        {
            let mut known = run.lock();
            let now = known.moment();
            let attempt = known.attempts.get_mut(&channel).and_then(|all| all.get_mut(attempt));
            if let Some(attempt) = attempt {
                attempt.sent = sent;
                attempt.acknowledged = (sent == Sent::Acknowledged).then_some(now);
            }
        }
        if sent == Sent::Acknowledged {
            world.moments.answered.notify_waiters();
        } else {
            sleep(AGAIN).await;
        }
    }
}

/// How a subscriber comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// After the last event that it saw.
    Resume,
    /// From the beginning, and it leaves now and then.
    Replay,
}

/// What a subscription's line says.
#[derive(Debug, Deserialize)]
struct Line {
    #[serde(rename = "type")]
    kind: String,
    id: Option<u64>,
    #[serde(default)]
    data: Value,
}

/// Reads a channel over all servers until the run's last event.
async fn follow(world: Arc<World>, run: Arc<Run>, mode: Mode, mut rng: Rng) {
    let Some(channel) = run.lock().channel.clone() else {
        return;
    };
    let path = format!("channel/{channel}/subscribe");
    let mut last: Option<u64> = None;
    loop {
        if mode == Mode::Replay {
            last = None;
            let pause = millis(&mut rng, 100);
            sleep(pause).await;
        }
        let at = world.server().await;
        let body = match last {
            Some(last) => json!({"after": last}),
            None => json!({"historyLength": 10_000}),
        };
        let leaves_after = (mode == Mode::Replay).then(|| rng.usize(1..200));
        let reading = read(&world, &run, &at, &path, &body, &mut last, leaves_after);
        let read = tokio::select! {
            () = run.over.cancelled() => return,
            read = reading => read,
        };
        match read {
            Ok(End::Run) => return,
            Ok(End::Stream) => sleep(AGAIN).await,
            Err(why) => return world.fault(format!("{} followed by {mode:?}: {why}", run.plan.name)),
        }
    }
}

enum End {
    /// The run's last event came.
    Run,
    /// There is more to come, from this server or the next.
    Stream,
}

async fn read(
    world: &World,
    run: &Run,
    at: &Address,
    path: &str,
    body: &Value,
    last: &mut Option<u64>,
    leaves_after: Option<usize>,
) -> Result<End, String> {
    let mut response = match world.post(at, path, body).await {
        Ok(response) if response.status() == StatusCode::OK => response,
        Ok(response) if [401, 429, 503].contains(&response.status().as_u16()) => return Ok(End::Stream),
        Ok(response) => return Err(format!("{} {:?}", response.status(), response.text().await)),
        Err(_) => return Ok(End::Stream),
    };
    let mut buffer: Vec<u8> = Vec::new();
    let mut lines = 0;
    loop {
        let chunk = response.chunk().await;
        let Ok(Some(chunk)) = chunk else {
            // One that was asked to end does so properly.
            if world.was_clean(at.server) {
                if let Err(error) = chunk {
                    return Err(format!("server {} cut the stream: {error:?}", at.server));
                }
                if buffer.iter().any(|byte| *byte != b' ') {
                    return Err(format!("server {} ended within a line", at.server));
                }
            }
            return Ok(End::Stream);
        };
        buffer.extend_from_slice(&chunk);
        let mut rest = 0;
        while let Some(end) = buffer[rest..].iter().position(|byte| *byte == b'\n') {
            let line = std::str::from_utf8(&buffer[rest..rest + end]).map_err(|error| error.to_string())?;
            rest += end + 1;
            lines += 1;
            if take_line(world, run, line.trim_start_matches(' '), last)? {
                return Ok(End::Run);
            }
        }
        buffer.drain(..rest);
        if leaves_after.is_some_and(|most| lines >= most) {
            return Ok(End::Stream);
        }
    }
}

/// Notes a line; says whether it is the run's last.
fn take_line(world: &World, run: &Run, text: &str, last: &mut Option<u64>) -> Result<bool, String> {
    let line: Line = serde_json::from_str(text).map_err(|error| format!("{error} in {text}"))?;
    let Some(id) = line.id else {
        // Its texts are gone once a private run has ended and the server has gone.
        let gone = ["gap", "reset"].contains(&line.kind.as_str()) && run.plan.secret.is_some();
        return if gone { Ok(true) } else { Err(format!("it got {text}")) };
    };
    let expected = last.map_or(0, |last| last + 1);
    if id != expected || line.kind != "message" {
        return Err(format!("it got {id} in place of {expected}: {text}"));
    }
    *last = Some(id);
    let kind = line.data["type"].as_str().unwrap_or_default();
    let ends = matches!(kind, "result" | "error");
    let mut known = run.lock();
    if let Some(before) = known.seen.get(&id) {
        return if before == text {
            Ok(ends)
        } else {
            Err(format!("{id} was {before} and is {text}"))
        };
    }
    known.seen.insert(id, text.to_owned());
    let data = &line.data["data"];
    let part = |name: &str| data[name].as_str().unwrap_or_default().to_owned();
    match kind {
        "waitForChannelMessageBegin" => {
            known.waiting.entry(part("channel")).or_default().push(part("id"));
            world.moments.waiting.notify_waiters();
        }
        "waitForChannelMessageEnd" => {
            let id = part("id");
            known
                .waiting
                .entry(part("channel"))
                .or_default()
                .retain(|call| *call != id);
        }
        "result" | "error" => {
            known.ended = true;
            known.waiting.clear();
            world.moments.ended.notify_waiters();
        }
        _ => {}
    }
    drop(known);
    run.changed.notify_waiters();
    Ok(ends)
}
