//! A channel's log behind the fake server: it grows, is trimmed, begins anew, and each connection to it
//! goes as its turn says. When the turns are used up everything is served and the run ends.
//!
//! `createdAt` of each line holds the event's true position, which the feed hands over without using it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};

use serde_json::{Value, json};

use super::fake::{Connection, Fake, Request};

/// What happens on a connection while it is live.
#[derive(Debug, Clone)]
pub enum Step {
    /// The run goes on by so many events.
    Grow(usize),
    /// The last event is sent once more (only on a server with ids).
    Repeat,
    /// Somebody publishes a message.
    Published,
    /// A line that is none.
    Bad,
    /// A single space.
    Heartbeat,
    /// Wrapper types that nobody knows.
    Nop,
}

/// How a connection ends.
#[derive(Debug, Clone)]
pub enum End {
    /// In the middle of a line.
    Cut(usize),
    /// As HTTP has it.
    Clean,
    /// With silence.
    Stall,
    /// It is refused to begin with.
    Refused(u16),
}

/// One connection.
#[derive(Debug, Clone)]
pub struct Turn {
    /// So many events come before it.
    pub away: usize,
    /// Only so many events are retained when it begins.
    pub retain: Option<usize>,
    /// The channel begins anew before it.
    pub restart: bool,
    pub steps: Vec<Step>,
    pub end: End,
}

/// The log and what has become of it.
pub struct State {
    pub ids: bool,
    /// The runs on this channel, one after another: payloads in JSON.
    pub runs: Vec<Vec<Value>>,
    pub run: usize,
    /// How many events of the run have happened.
    pub length: usize,
    /// The first event that is retained.
    pub floor: usize,
    /// The highest floor of each run.
    pub floors: Vec<usize>,
    /// The channel began anew, and no subscriber was told yet.
    anew: bool,
    pub turns: VecDeque<Turn>,
    /// The bodies of the subscriptions that came.
    pub requests: Vec<Value>,
}

impl State {
    pub fn new(ids: bool, runs: Vec<Vec<Value>>, turns: Vec<Turn>) -> Self {
        Self {
            ids,
            floors: vec![0; runs.len()],
            runs,
            run: 0,
            length: 0,
            floor: 0,
            anew: false,
            turns: turns.into(),
            requests: Vec::new(),
        }
    }

    fn grow(&mut self, count: usize) -> std::ops::Range<usize> {
        let from = self.length;
        // The last event of a run comes only when the turns are used up.
        let most = self.runs[self.run].len() - usize::from(!self.turns.is_empty() || count < usize::MAX);
        self.length = self.length.saturating_add(count).min(most).max(from);
        from..self.length
    }

    fn line(&self, at: usize) -> String {
        let mut line = json!({"type": "message"});
        if self.ids {
            line["id"] = json!(at);
        }
        line["createdAt"] = json!(at);
        line["data"] = self.runs[self.run][at].clone();
        format!("{line}\n")
    }

    fn lines(&self, range: std::ops::Range<usize>) -> String {
        range.map(|at| self.line(at)).collect()
    }

    /// What a new subscriber gets first.
    fn replay(&mut self, request: &Value) -> String {
        let anew = std::mem::take(&mut self.anew);
        let after = request["after"]
            .as_u64()
            .filter(|_| self.ids)
            .map(|after| after as usize);
        match after {
            Some(after) if anew || after >= self.length => {
                let reset = "{\"type\":\"reset\",\"data\":{}}\n".to_owned();
                reset + &self.lines(self.floor..self.length)
            }
            Some(after) if after + 1 < self.floor => {
                let gap = json!({"type": "gap", "data": {"missing": self.floor - after - 1}});
                format!("{gap}\n") + &self.lines(self.floor..self.length)
            }
            Some(after) => self.lines(after + 1..self.length),
            None => self.lines(self.floor..self.length),
        }
    }

    fn begin(&mut self, turn: &Turn) {
        if turn.restart && self.run + 1 < self.runs.len() {
            self.run += 1;
            self.length = 0;
            self.floor = 0;
            self.anew = true;
        }
        self.grow(turn.away);
        if let Some(retain) = turn.retain {
            self.floor = self.floor.max(self.length.saturating_sub(retain));
            let run = self.run;
            self.floors[run] = self.floor;
        }
    }
}

/// A server with one channel.
pub async fn serve(state: State) -> (Fake, Arc<Mutex<State>>) {
    let state = Arc::new(Mutex::new(state));
    let shared = Arc::clone(&state);
    let fake = Fake::start(move |request, connection| handle(Arc::clone(&shared), request, connection)).await;
    (fake, state)
}

pub fn locked(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().expect("no test holds it while it fails")
}

async fn handle(state: Arc<Mutex<State>>, request: Request, connection: Connection) {
    if request.path.ends_with("/server") {
        let info = json!({"version": "1", "model": "m", "demo": true, "retention": {"seconds": 1, "events": 1}});
        let ids = locked(&state).ids;
        return match ids {
            true => connection.answer(200, "", &info.to_string()).await,
            false => connection.answer(404, "", "<html>no such page</html>").await,
        };
    }
    subscription(state, request, connection).await;
}

async fn subscription(state: Arc<Mutex<State>>, request: Request, mut connection: Connection) {
    let turn = {
        let mut state = locked(&state);
        state.requests.push(request.body.clone());
        let turn = state.turns.pop_front();
        if let Some(turn) = &turn {
            state.begin(turn);
        }
        turn
    };
    if let Some(Turn {
        end: End::Refused(status),
        ..
    }) = turn
    {
        let body = format!("{{\"message\":\"no, not with {}\"}}", super::fake::SECRET);
        return connection.answer(status, "", &body).await;
    }
    connection.stream().await;
    let replay = locked(&state).replay(&request.body);
    send(&mut connection, &replay).await;
    let Some(turn) = turn else {
        let rest = {
            let mut state = locked(&state);
            let range = state.grow(usize::MAX);
            state.lines(range)
        };
        send(&mut connection, &rest).await;
        return connection.stall().await;
    };
    for step in &turn.steps {
        let text = {
            let mut state = locked(&state);
            match step {
                Step::Grow(count) => {
                    let range = state.grow(*count);
                    state.lines(range)
                }
                Step::Repeat if state.ids && state.length > state.floor => state.line(state.length - 1),
                Step::Repeat => String::new(),
                // On a server with ids even what looks like the end of a run is no more than a message.
                Step::Published if state.ids => {
                    "{\"type\":\"message\",\"data\":{\"type\":\"result\",\"data\":{}}}\n".to_owned()
                }
                Step::Published => "{\"type\":\"message\",\"data\":\"hello\"}\n".to_owned(),
                Step::Bad => "{\"type\":\"message\"\n".to_owned(),
                Step::Heartbeat => " ".to_owned(),
                Step::Nop => "\r\n{\"type\":\"nop\"}\r\n{\"type\":\"ping\",\"data\":{}}\n".to_owned(),
            }
        };
        send(&mut connection, &text).await;
    }
    match turn.end {
        End::Cut(bytes) => {
            let half = {
                let state = locked(&state);
                let line = state.line(state.length.min(state.runs[state.run].len() - 1));
                line[..bytes.min(line.len() - 2)].to_owned()
            };
            send(&mut connection, &half).await;
        }
        End::Clean => connection.end().await,
        End::Stall => connection.stall().await,
        End::Refused(_) => {}
    }
}

/// Sends a text in pieces that have nothing to do with its lines.
async fn send(connection: &mut Connection, text: &str) {
    let mut rest = text.as_bytes();
    let mut size = 1 + text.len() % 97;
    while !rest.is_empty() {
        let (piece, later) = rest.split_at(size.min(rest.len()));
        if !connection.send(piece).await {
            return;
        }
        rest = later;
        size = size * 3 + 1;
    }
}
