//! One round: a server on a directory of its own, clients, ends of the server at random moments, and then the oracle.

use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fastrand::Rng;
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use crate::load;
use crate::oracle::{self, End};
use crate::plan::Plan;
use crate::process::{PATIENCE, Server};
use crate::upstream;
use crate::world::{Address, Dispatched, Run, World};

/// How the servers of a round end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ends {
    /// Killed mostly, sometimes asked.
    Any,
    /// Asked.
    Cleanly,
}

/// What happened in rounds.
#[derive(Debug, Default, Clone, Copy)]
pub struct Tally {
    pub rounds: u64,
    pub runs: u64,
    pub stops: u64,
    pub seams: u64,
    pub events: u64,
    pub answers: u64,
    pub given_up: u64,
    pub cancelled: u64,
    pub private: u64,
}

impl Tally {
    /// Whether every kind of thing happened that is looked for.
    pub fn has_everything(&self) -> bool {
        self.answers > 0 && self.cancelled > 0 && self.private > 0
    }
}

impl std::ops::AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.rounds += other.rounds;
        self.runs += other.runs;
        self.stops += other.stops;
        self.seams += other.seams;
        self.events += other.events;
        self.answers += other.answers;
        self.given_up += other.given_up;
        self.cancelled += other.cancelled;
        self.private += other.private;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} rounds, {} runs ({} private, {} cancelled, {} given up), {} ends of a server, {} seams, {} events, {} \
             answers",
            self.rounds,
            self.runs,
            self.private,
            self.cancelled,
            self.given_up,
            self.stops,
            self.seams,
            self.events,
            self.answers
        )
    }
}

/// The servers of a round, one after the other.
struct Servers<'a> {
    world: Arc<World>,
    home: &'a Path,
    upstream: String,
    count: usize,
}

impl Servers<'_> {
    fn start(&mut self) -> Server {
        self.count += 1;
        let model = format!("{}/{}/v1", self.upstream, self.count);
        Server::start(self.home, self.count, &self.world.secret, &model)
    }

    async fn listening(&self, server: &mut Server) -> Address {
        let url = server.url().await;
        let address = Address {
            server: self.count,
            url,
        };
        self.world.set_address(Some(address.clone()));
        address
    }

    fn kill(&self, server: &mut Server) {
        self.world.set_address(None);
        server.kill();
    }

    async fn end(&self, server: &mut Server) -> Result<(), String> {
        self.world.ends_cleanly(self.count);
        // What comes while it ends is refused: nobody is kept away from it.
        server.ask_to_end();
        let status = server.ended().await;
        self.world.set_address(None);
        if status.success() {
            Ok(())
        } else {
            Err(format!("server {} ended with {status}: {}", self.count, server.log()))
        }
    }
}

/// Plays one round.
pub async fn round(seed: u64, ends: Ends) -> Result<Tally, String> {
    let mut rng = Rng::with_seed(seed);
    let home = tempfile::Builder::new().prefix("crash").tempdir().expect("a directory");
    let count = rng.usize(8..16);
    let plans = Plan::draw(&mut rng, count);
    let world = Arc::new(World::new(format!("secret-{:016x}", fastrand::u64(..)), plans));
    let upstream = upstream::start(Arc::clone(&world)).await;
    let mut servers = Servers {
        world: Arc::clone(&world),
        home: home.path(),
        upstream,
        count: 0,
    };
    let played = play(&mut servers, &mut rng, ends).await;
    let world = servers.world;
    world.end().await;
    let mut faults = world.faults();
    let tally = match played {
        Ok(tally) => tally,
        Err(why) => {
            faults.push(why);
            Tally::default()
        }
    };
    if faults.is_empty() {
        return Ok(tally);
    }
    let kept = home.keep();
    Err(format!(
        "{}\n  what the servers left is in {}",
        faults.join("\n  "),
        kept.display()
    ))
}

async fn play(servers: &mut Servers<'_>, rng: &mut Rng, ends: Ends) -> Result<Tally, String> {
    let world = Arc::clone(&servers.world);
    let mut parts = Vec::new();
    for run in &world.runs {
        let part = load::take_part(Arc::clone(&world), Arc::clone(run), rng.fork());
        let (done, part_done) = tokio::sync::oneshot::channel();
        world.spawn(async move {
            part.await;
            let _ = done.send(());
        });
        parts.push(part_done);
    }
    let mut stops = 0;
    for _ in 0..rng.usize(2..5) {
        stop_once(servers, rng, ends).await?;
        stops += 1;
    }
    let mut server = servers.start();
    let at = servers.listening(&mut server).await;
    for part in parts {
        // An error says that it panicked, which is noted.
        let _ = timeout(PATIENCE, part).await.map_err(|_| "a client hangs".to_owned())?;
    }
    let list = all_over(&world, &at, rng).await?;
    let logs = check_all(&world, &at, &list).await?;
    let mut tally = tally(&world, &logs);

    // Nothing of that changes with a server that was asked to end and the next one.
    servers.end(&mut server).await?;
    let mut server = servers.start();
    let at = servers.listening(&mut server).await;
    check_again(&world, &at, &logs, &list).await?;
    if rng.bool() {
        servers.kill(&mut server);
        server = servers.start();
        servers.listening(&mut server).await;
        stops += 1;
    }
    no_private_texts(&world, &servers.home.join("data"), "while the server runs").await?;
    servers.end(&mut server).await?;
    no_private_texts(&world, &servers.home.join("data"), "after the server's end").await?;
    tally.stops = stops + 2;
    Ok(tally)
}

/// Starts a server and ends it at a moment that chance names.
async fn stop_once(servers: &mut Servers<'_>, rng: &mut Rng, ends: Ends) -> Result<(), String> {
    let world = Arc::clone(&servers.world);
    let mut server = servers.start();
    let clean = ends == Ends::Cleanly || rng.u8(..5) == 0;
    if !clean && rng.u8(..4) == 0 {
        // While it starts, or reads what was kept.
        sleep(Duration::from_micros(rng.u64(..60_000))).await;
        server.kill();
        return Ok(());
    }
    servers.listening(&mut server).await;
    let moments = &world.moments;
    let moment = match rng.u8(..8) {
        0 => Some(&moments.dispatched),
        1 => Some(&moments.waiting),
        2 => Some(&moments.answered),
        3 => Some(&moments.cancelled),
        4 => Some(&moments.ended),
        _ => None,
    };
    match moment {
        Some(moment) => {
            sleep(Duration::from_millis(rng.u64(..100))).await;
            // If nothing of the kind happens, any moment is as good.
            let _ = timeout(Duration::from_millis(200), moment.notified()).await;
            sleep(Duration::from_micros(rng.u64(..2_000))).await;
        }
        None => sleep(Duration::from_millis(rng.u64(5..300))).await,
    }
    if clean {
        servers.end(&mut server).await
    } else {
        servers.kill(&mut server);
        Ok(())
    }
}

/// Waits until every run is over and listed so; gives the list.
async fn all_over(world: &Arc<World>, at: &Address, rng: &mut Rng) -> Result<Vec<Value>, String> {
    let end = Instant::now() + PATIENCE;
    loop {
        let list = world.list(at).await.map_err(|error| error.to_string())?;
        for item in &list {
            adopt(world, item, rng)?;
        }
        let over = |item: &Value| matches!(item["status"].as_str(), Some("ended" | "failed"));
        let live: Vec<&Value> = list.iter().filter(|item| !over(item)).collect();
        if live.is_empty() {
            return Ok(list);
        }
        if Instant::now() > end || !world.faults().is_empty() {
            return Err(format!("these runs do not end: {live:?}"));
        }
        sleep(Duration::from_millis(10)).await;
    }
}

/// A run without a channel of its caller's, whose dispatch was taken and not acknowledged, is found by its title.
fn adopt(world: &Arc<World>, item: &Value, rng: &mut Rng) -> Result<(), String> {
    let channel = item["channelId"].as_str().unwrap_or_default();
    let known = |run: &&Arc<Run>| run.lock().channel.as_deref() == Some(channel);
    if world.runs.iter().any(|run| known(&run)) {
        return Ok(());
    }
    let run = world.runs.iter().find(|run| item["title"] == *run.plan.prompt);
    let run = run.ok_or_else(|| format!("nobody dispatched {item}"))?;
    {
        let mut known = run.lock();
        if known.channel.is_some() {
            return Err(format!("{} is there twice: {item}", run.plan.name));
        }
        known.channel = Some(channel.to_owned());
    }
    load::attend(world, run, rng);
    Ok(())
}

/// Every run's log, checked against everything.
async fn check_all(world: &World, at: &Address, list: &[Value]) -> Result<HashMap<String, Vec<String>>, String> {
    let mut logs = HashMap::new();
    let mut items: HashMap<&str, &Value> = HashMap::new();
    for item in list {
        let channel = item["channelId"].as_str().unwrap_or_default();
        if items.insert(channel, item).is_some() {
            return Err(format!("a run is listed twice: {item}"));
        }
    }
    for run in &world.runs {
        let name = &run.plan.name;
        let (channel, dispatched) = {
            let known = run.lock();
            (known.channel.clone(), known.dispatched)
        };
        let item = channel.as_deref().and_then(|channel| items.get(channel));
        let Some((channel, item)) = channel.as_deref().zip(item) else {
            if dispatched == Dispatched::Yes {
                return Err(format!("{name} was acknowledged, and is not listed"));
            }
            if !run.lock().seen.is_empty() {
                return Err(format!("{name} was seen, and is not listed"));
            }
            continue;
        };
        if dispatched == Dispatched::No {
            return Err(format!("{name} was refused each time, and is there"));
        }
        let log = replay(world, at, run, channel).await?;
        check_one(world, run, &log, item).map_err(|why| format!("{name}: {why}"))?;
        logs.insert(name.clone(), log);
    }
    Ok(logs)
}

pub fn check_one(world: &World, run: &Run, log: &[String], item: &Value) -> Result<(), String> {
    let known = run.lock();
    let seen: Vec<String> = known.seen.values().cloned().collect();
    if log.is_empty() && run.plan.secret.is_some() {
        // It had ended before a server did, and its texts with it: what was seen is all there is.
        let end = oracle::check(&run.plan, &known, world.clean_ends(), &seen)?;
        return end.map_or(Ok(()), |end| is_listed(item, &end));
    }
    for (at, (id, line)) in known.seen.iter().enumerate() {
        if *id != at as u64 {
            return Err(format!("{id} was seen without {at}"));
        }
        if log.get(at) != Some(line) {
            return Err(format!("seen was {line}, there is {:?}", log.get(at)));
        }
    }
    let end = oracle::check(&run.plan, &known, world.clean_ends(), log)?;
    is_listed(item, &end.ok_or("its log has no end")?)
}

/// The run list says how a run ended.
fn is_listed(item: &Value, End { reason }: &End) -> Result<(), String> {
    let status = if reason == "error" { "failed" } else { "ended" };
    if item["status"] != status || item["endReason"] != **reason {
        return Err(format!("it ended by {reason}, and is listed as {item}"));
    }
    Ok(())
}

/// Reads what is retained of a channel whose run is over.
pub async fn replay(world: &World, at: &Address, run: &Run, channel: &str) -> Result<Vec<String>, String> {
    let path = format!("channel/{channel}/subscribe");
    let response = world.post(at, &path, &json!({"historyLength": 10_000})).await;
    let mut response = response.map_err(|error| error.to_string())?;
    let mut bytes: Vec<u8> = Vec::new();
    let mut lines: Vec<String> = Vec::new();
    loop {
        // Of a private run nothing may be left, and then nothing comes.
        let silence = match run.plan.secret {
            Some(_) => Duration::from_millis(300),
            None => PATIENCE,
        };
        let Ok(chunk) = timeout(silence, response.chunk()).await else {
            return Ok(lines);
        };
        let chunk = chunk.map_err(|error| error.to_string())?.ok_or("the stream ended")?;
        bytes.extend_from_slice(&chunk);
        if bytes.last() != Some(&b'\n') {
            continue;
        }
        let text = String::from_utf8(std::mem::take(&mut bytes)).map_err(|error| error.to_string())?;
        lines.extend(text.lines().map(|line| line.trim_start_matches(' ').to_owned()));
        let last = lines.last().map_or("", String::as_str);
        let last: Value = serde_json::from_str(last).unwrap_or_default();
        if matches!(last["data"]["type"].as_str(), Some("result" | "error")) {
            // Nothing comes after it.
            return match timeout(Duration::from_millis(5), response.chunk()).await {
                Ok(Ok(Some(more))) if more.iter().any(|byte| *byte != b' ') => {
                    Err(format!("after its end came {more:?}"))
                }
                _ => Ok(lines),
            };
        }
    }
}

/// The next server has the same, byte for byte, but for what private runs said.
async fn check_again(
    world: &World,
    at: &Address,
    logs: &HashMap<String, Vec<String>>,
    list: &[Value],
) -> Result<(), String> {
    for run in &world.runs {
        let Some(log) = logs.get(&run.plan.name) else { continue };
        let Some(channel) = run.lock().channel.clone() else {
            continue;
        };
        let again = replay(world, at, run, &channel).await?;
        let wanted = if run.plan.secret.is_some() { &[][..] } else { log };
        if again != wanted {
            return Err(format!(
                "{} is another one at the next server: {again:?}",
                run.plan.name
            ));
        }
    }
    let plain = |list: &[Value]| -> Vec<Value> {
        let mut list = list.to_vec();
        for item in &mut list {
            let of = |run: &&Arc<Run>| run.lock().channel.as_deref() == item["channelId"].as_str();
            let private = world.runs.iter().any(|run| of(&run) && run.plan.secret.is_some());
            if private {
                // It is a text too.
                item["title"] = Value::Null;
            }
        }
        list
    };
    let again = world.list(at).await.map_err(|error| error.to_string())?;
    if plain(&again) != plain(list) {
        return Err(format!("the list was {list:?} and is {again:?}"));
    }
    Ok(())
}

/// The texts of private runs leave the disk, a moment after their end.
async fn no_private_texts(world: &World, data: &Path, when: &str) -> Result<(), String> {
    let secrets: Vec<&str> = world.runs.iter().filter_map(|run| run.plan.secret.as_deref()).collect();
    let end = Instant::now() + Duration::from_secs(10);
    loop {
        let found = find(data, &secrets);
        match found {
            None => return Ok(()),
            Some(found) if Instant::now() > end => return Err(format!("{when}, {found}")),
            Some(_) => sleep(Duration::from_millis(20)).await,
        }
    }
}

fn find(data: &Path, secrets: &[&str]) -> Option<String> {
    for entry in std::fs::read_dir(data).expect("a directory") {
        let path = entry.expect("an entry").path();
        let Ok(bytes) = std::fs::read(&path) else { continue };
        for secret in secrets {
            if let Some(at) = memchr::memmem::find(&bytes, secret.as_bytes()) {
                let from = at.saturating_sub(60);
                let around = String::from_utf8_lossy(&bytes[from..bytes.len().min(at + 60)]).into_owned();
                return Some(format!("a private text is in {} at {at}: {around:?}", path.display()));
            }
        }
    }
    None
}

fn tally(world: &World, logs: &HashMap<String, Vec<String>>) -> Tally {
    let mut tally = Tally {
        rounds: 1,
        ..Tally::default()
    };
    for run in &world.runs {
        let Some(log) = logs.get(&run.plan.name) else { continue };
        let count = |text: &str| log.iter().filter(|line| line.contains(text)).count() as u64;
        tally.runs += 1;
        tally.events += log.len() as u64;
        tally.seams += count("\"server restarted\"");
        tally.answers += count("\"waitForChannelMessageEnd\"");
        tally.cancelled += count("\"cancelled\"");
        tally.given_up += count("\"type\":\"error\"");
        tally.private += u64::from(run.plan.secret.is_some());
    }
    tally
}
