//! The one task that makes appends durable and then visible.
//!
//! It takes everything that is pending, gives it to the store as one transaction, then moves the tails
//! of the channels and wakes their readers: group commit and fan-out batcher are the same loop, and
//! alone an event waits for nobody. It alone gives out ids and ends retention, so ids have no holes.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::index::standing;
use super::memory::{Channel, Shared, State};
use super::{Append, Begun, Broken, ChannelKey, HubError};
use crate::store::{EventBatch, RunProgress, RunRecord, Store, Transaction};

/// How many requests one commit takes at most.
const LARGEST_COMMIT: usize = 4096;
/// How many channels one commit looks at to end their retention.
const EXPIRIES_A_COMMIT: usize = 256;

pub(super) enum Request {
    Begin {
        run: RunRecord,
        events: Vec<Bytes>,
        answer: oneshot::Sender<Result<Begun, HubError>>,
    },
    Append(Append),
}

type Answer = oneshot::Sender<Result<Begun, HubError>>;

/// What one commit does to one channel.
struct Part {
    channel: Arc<Channel>,
    first_id: u64,
    events: Vec<Bytes>,
    run: Option<RunRecord>,
    progress: Option<RunProgress>,
    checkpoint: Option<Bytes>,
    expired: bool,
    answers: Vec<(Answer, Begun)>,
    broken: Vec<Broken>,
}

#[derive(Default)]
struct Commit {
    parts: Vec<Part>,
    index: HashMap<ChannelKey, usize>,
}

impl Commit {
    fn part(&mut self, shared: &Shared, key: &ChannelKey) -> &mut Part {
        let at = match self.index.get(key) {
            Some(at) => *at,
            None => {
                let part = shared.with(key, |channel, state| {
                    state.pins += 1;
                    Part {
                        channel: Arc::clone(channel),
                        first_id: state.log.next_id(),
                        events: Vec::new(),
                        run: None,
                        progress: None,
                        checkpoint: None,
                        expired: false,
                        answers: Vec::new(),
                        broken: Vec::new(),
                    }
                });
                self.parts.push(part);
                self.index.insert(key.clone(), self.parts.len() - 1);
                self.parts.len() - 1
            }
        };
        &mut self.parts[at]
    }

    fn add(&mut self, shared: &Shared, request: Request) {
        match request {
            Request::Append(append) => {
                let part = self.part(shared, &append.key);
                part.events.extend(append.events);
                part.progress = append.progress.or(part.progress.take());
                part.checkpoint = append.checkpoint.or(part.checkpoint.take());
                part.broken.push(append.broken);
            }
            Request::Begin { run, events, answer } => {
                let part = self.part(shared, &run.key);
                let known = part
                    .run
                    .as_ref()
                    .map(|known| known.digest)
                    .or_else(|| part.channel.lock().run.as_ref().map(|known| known.digest));
                match known {
                    Some(digest) if digest == run.digest => part.answers.push((answer, Begun::Already)),
                    None if part.first_id == 0 && part.events.is_empty() => {
                        part.events = events;
                        part.run = Some(run);
                        part.answers.push((answer, Begun::New));
                    }
                    // Nobody to tell if the asker has gone.
                    _ => drop(answer.send(Err(HubError::Occupied))),
                }
            }
        }
    }

    fn transaction(&self, created_at: u64) -> Transaction {
        let mut transaction = Transaction::default();
        for part in &self.parts {
            let key = &part.channel.key;
            if part.expired {
                transaction.expired.push(key.clone());
            }
            transaction.queued.extend(part.run.clone());
            if !part.events.is_empty() {
                transaction.events.push(EventBatch {
                    key: key.clone(),
                    first_id: part.first_id,
                    created_at,
                    events: part.events.clone(),
                });
            }
            transaction
                .progress
                .extend(part.progress.clone().map(|progress| (key.clone(), progress)));
            transaction
                .checkpoints
                .extend(part.checkpoint.clone().map(|checkpoint| (key.clone(), checkpoint)));
        }
        transaction
    }
}

/// Channels in the order in which their retention may be over.
#[derive(Default)]
struct Expiries {
    heap: BinaryHeap<Reverse<(Instant, ChannelKey)>>,
}

impl Expiries {
    fn next(&self) -> Option<Instant> {
        self.heap.peek().map(|Reverse((due, _))| *due)
    }

    fn plan(&mut self, due: Instant, key: ChannelKey) {
        self.heap.push(Reverse((due, key)));
    }

    /// Adds to a commit the channels whose retention is over; looks at so many and no more.
    fn collect(&mut self, shared: &Shared, commit: &mut Commit, now: Instant) {
        for _ in 0..EXPIRIES_A_COMMIT {
            if self.next().is_none_or(|due| due > now) {
                return;
            }
            let Some(Reverse((_, key))) = self.heap.pop() else {
                return;
            };
            // A channel that gets something in this commit is looked at again later.
            let busy = commit.index.contains_key(&key);
            let retention = shared.options.retention;
            let part = commit.part(shared, &key);
            let again = {
                let mut state = part.channel.lock();
                let live = state.run.as_ref().is_some_and(|run| !run.progress.is_over());
                let due = state.last_event + retention;
                if live || busy {
                    Some(now + retention)
                } else if due > now {
                    Some(due)
                } else {
                    state.expiry_planned = false;
                    None
                }
            };
            match again {
                Some(due) => self.plan(due, key),
                None => part.expired = true,
            }
        }
    }
}

/// Commits until the hub stops; what is queued then is still committed.
pub(super) async fn run(
    shared: Arc<Shared>,
    store: Arc<dyn Store>,
    mut queue: mpsc::Receiver<Request>,
    stop: CancellationToken,
) {
    let mut pending: Vec<Request> = Vec::new();
    let mut expiries = Expiries::default();
    loop {
        let expiry = async {
            match expiries.next() {
                Some(due) => tokio::time::sleep_until(due).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            count = queue.recv_many(&mut pending, LARGEST_COMMIT) => if count == 0 {
                return;
            },
            () = stop.cancelled(), if !queue.is_closed() => queue.close(),
            () = expiry => {}
        }
        let mut commit = Commit::default();
        for request in pending.drain(..) {
            commit.add(&shared, request);
        }
        expiries.collect(&shared, &mut commit, Instant::now());
        let created_at = unix_millis();
        let transaction = commit.transaction(created_at);
        let result = if transaction.is_empty() {
            Ok(())
        } else {
            store.commit(&transaction).await
        };
        if let Err(error) = &result {
            tracing::error!(%error, "the store refused a commit: the runs concerned are given up");
        }
        for part in commit.parts {
            finish(&shared, &mut expiries, part, created_at, &result);
        }
    }
}

fn finish(
    shared: &Shared,
    expiries: &mut Expiries,
    part: Part,
    created_at: u64,
    result: &Result<(), crate::store::StoreError>,
) {
    let channel = part.channel;
    let mut state = channel.lock();
    state.pins -= 1;
    let wake = !part.events.is_empty();
    let expired = part.expired;
    let answer = match result {
        Ok(()) => {
            let before = standing(state.run.as_ref());
            apply(
                &mut state,
                part.events,
                part.run,
                part.progress,
                part.expired,
                created_at,
            );
            shared.index.note(&channel, before, standing(state.run.as_ref()));
            Ok(())
        }
        Err(error) => {
            for broken in &part.broken {
                broken.set();
            }
            Err(HubError::Store(error.to_string()))
        }
    };
    if (state.run.is_some() || state.log.has_events()) && !state.expiry_planned {
        state.expiry_planned = true;
        expiries.plan(Instant::now() + shared.options.retention, channel.key.clone());
    }
    // What was refused, or is over, leaves a channel with nothing in it.
    let unused = expired || state.is_unused();
    if wake {
        shared.flush(&channel, state);
    } else {
        drop(state);
    }
    for (asker, begun) in part.answers {
        // Nobody to tell if the asker has gone.
        drop(asker.send(answer.clone().map(|()| begun)));
    }
    if unused {
        shared.remove_if_unused(&channel.key);
    }
}

fn apply(
    state: &mut State,
    events: Vec<Bytes>,
    run: Option<RunRecord>,
    progress: Option<RunProgress>,
    expired: bool,
    created_at: u64,
) {
    if expired {
        state.log.expire();
        state.run = None;
    }
    if run.is_some() {
        state.run = run;
        state.last_event = Instant::now();
    }
    if !events.is_empty() {
        state.last_event = Instant::now();
    }
    for event in &events {
        state.log.push_event(created_at, event);
    }
    if let (Some(run), Some(progress)) = (&mut state.run, progress) {
        run.progress = progress;
    }
}

/// Now, as Unix time in milliseconds.
pub(crate) fn unix_millis() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
