//! The one task that makes appends durable and then visible.
//!
//! It takes everything that is pending, gives it to the store as one transaction, then moves the tails
//! of the channels and wakes their readers: group commit and fan-out batcher are the same loop, and
//! alone an event waits for nobody. It alone gives out ids and ends retention, so ids have no holes.
//!
//! While the store refuses, new runs and answers are refused; what runs have appended is kept, tried again with
//! growing pauses, and when much of it has gathered, the runs wait. So nothing is lost, and nothing is seen that is
//! not durable.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::index::standing;
use super::memory::{Channel, Shared, State};
use super::waits::WaitId;
use super::{Append, Begun, ChannelKey, HubError};
use crate::measure::HubMeters;
use crate::store::{self, EventBatch, RunProgress, RunRecord, Store, StoreError, Transaction};

/// How many requests one commit takes at most.
const LARGEST_COMMIT: usize = 4096;
/// How many channels one commit looks at to end their retention.
const EXPIRIES_A_COMMIT: usize = 256;
/// How many bytes of events wait for a store that refuses; beyond that, the runs wait.
const MOST_WAITING: usize = 64 * 1024 * 1024;
/// How long a store that refused is left alone, at first and at most.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

pub(super) enum Request {
    Begin {
        run: RunRecord,
        events: Vec<Bytes>,
        answer: oneshot::Sender<Result<Begun, HubError>>,
    },
    Append(Append),
    Answer {
        channel: Arc<Channel>,
        wait: WaitId,
        answer: store::Answer,
        taken: oneshot::Sender<Result<(), HubError>>,
    },
    Settle(oneshot::Sender<()>),
}

type Asker = oneshot::Sender<Result<Begun, HubError>>;

/// What one commit does to one channel.
struct Part {
    channel: Arc<Channel>,
    first_id: u64,
    count: u32,
    /// The events, each ended by a line break.
    lines: Vec<u8>,
    run: Option<RunRecord>,
    progress: Option<RunProgress>,
    checkpoint: Option<Bytes>,
    expired: bool,
    askers: Vec<(Asker, Begun)>,
}

impl Part {
    fn push(&mut self, events: &[Bytes]) {
        for event in events {
            self.lines.extend_from_slice(event);
            self.lines.push(b'\n');
            self.count += 1;
        }
    }

    fn is_empty(&self) -> bool {
        self.count == 0 && self.run.is_none() && self.progress.is_none() && self.checkpoint.is_none()
    }
}

/// The answer to a call, on its way.
struct Answering {
    channel: Arc<Channel>,
    wait: WaitId,
    answer: store::Answer,
    /// Whether anybody can need it: of a run that is over nothing more is kept.
    wanted: bool,
    taken: oneshot::Sender<Result<(), HubError>>,
}

#[derive(Default)]
struct Commit {
    parts: Vec<Part>,
    index: HashMap<ChannelKey, usize>,
    answers: Vec<Answering>,
    settled: Vec<oneshot::Sender<()>>,
    bytes: usize,
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
                        count: 0,
                        lines: Vec::new(),
                        run: None,
                        progress: None,
                        checkpoint: None,
                        expired: false,
                        askers: Vec::new(),
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
                self.bytes += append.events.iter().map(|event| event.len() + 1).sum::<usize>();
                self.bytes += append.checkpoint.as_ref().map_or(0, Bytes::len);
                let part = self.part(shared, &append.key);
                part.push(&append.events);
                part.progress = append.progress.or(part.progress.take());
                part.checkpoint = append.checkpoint.or(part.checkpoint.take());
            }
            Request::Begin { run, events, answer } => {
                let part = self.part(shared, &run.key);
                let known = part
                    .run
                    .as_ref()
                    .map(|known| known.digest)
                    .or_else(|| part.channel.lock().run.as_ref().map(|known| known.digest));
                match known {
                    Some(digest) if digest == run.digest => part.askers.push((answer, Begun::Already)),
                    None if part.first_id == 0 && part.count == 0 => {
                        part.push(&events);
                        part.run = Some(run);
                        part.askers.push((answer, Begun::New));
                    }
                    // Nobody to tell if the asker has gone.
                    _ => drop(answer.send(Err(HubError::Occupied))),
                }
            }
            Request::Answer {
                channel,
                wait,
                answer,
                taken,
            } => self.answers.push(Answering {
                channel,
                wait,
                wanted: !shared.is_over(&answer.run),
                answer,
                taken,
            }),
            Request::Settle(settled) => self.settled.push(settled),
        }
    }

    /// Takes channels whose retention is over along; none of them is in it.
    fn absorb(&mut self, expired: Self) {
        for part in expired.parts {
            self.index.insert(part.channel.key.clone(), self.parts.len());
            self.parts.push(part);
        }
    }

    /// What the store is to take. The events move there; who goes on with the commit gets them back with it.
    fn transaction(&mut self, created_at: u64) -> Transaction {
        let mut transaction = Transaction::default();
        for part in &mut self.parts {
            let key = &part.channel.key;
            if part.expired {
                transaction.expired.push(key.clone());
            }
            transaction.queued.extend(part.run.clone());
            if let Some(progress) = part.progress.as_mut().filter(|progress| progress.is_over()) {
                // Retention counts from when its end is there to be seen, however long the store refused it.
                progress.ended_at = progress.ended_at.max(Some(created_at));
            }
            if part.count > 0 {
                transaction.events.push(EventBatch {
                    key: key.clone(),
                    first_id: part.first_id,
                    created_at,
                    count: part.count,
                    lines: std::mem::take(&mut part.lines).into(),
                });
            }
            transaction
                .progress
                .extend(part.progress.clone().map(|progress| (key.clone(), progress)));
            transaction
                .checkpoints
                .extend(part.checkpoint.clone().map(|checkpoint| (key.clone(), checkpoint)));
        }
        let wanted = self.answers.iter().filter(|answering| answering.wanted);
        transaction
            .answers
            .extend(wanted.map(|answering| answering.answer.clone()));
        transaction
    }

    /// Has it stored and seen; says whether there was anything to store. When the store refuses it, what is left of it
    /// comes back.
    async fn carry_out(
        mut self,
        shared: &Shared,
        store: &dyn Store,
        expiries: &mut Expiries,
    ) -> Result<bool, (Self, StoreError)> {
        let transaction = Arc::new(self.transaction(unix_millis()));
        let is_something = !transaction.is_empty();
        let result = if !is_something {
            Ok(())
        } else {
            let begun = Instant::now();
            let result = store.commit(Arc::clone(&transaction)).await;
            count(&shared.meters, begun.elapsed(), &transaction, result.is_ok());
            result
        };
        match result {
            Ok(()) => {
                self.finish(shared, expiries, &transaction);
                Ok(is_something)
            }
            Err(why) => {
                // The store has let go of it, or a copy is right too.
                let transaction = Arc::unwrap_or_clone(transaction);
                Err((self.refuse(shared, expiries, transaction, &why), why))
            }
        }
    }

    /// Lets everybody see what is durable now.
    fn finish(self, shared: &Shared, expiries: &mut Expiries, transaction: &Transaction) {
        let mut batches = transaction.events.iter();
        for part in self.parts {
            let batch = (part.count > 0).then(|| batches.next()).flatten();
            finish(shared, expiries, part, batch);
        }
        for answering in self.answers {
            let message = answering.answer.message;
            let mut state = answering.channel.lock();
            state.log.push_published(&message);
            state.waits.settle(answering.wait, Some(message));
            shared.flush(&answering.channel, state);
            // Nobody to tell if the sender has gone.
            let _ = answering.taken.send(Ok(()));
        }
        for settled in self.settled {
            let _ = settled.send(());
        }
    }

    /// Refuses everybody who can be told, and keeps what runs have appended for another time.
    fn refuse(mut self, shared: &Shared, expiries: &mut Expiries, transaction: Transaction, why: &StoreError) -> Self {
        let refusal = HubError::Store(why.clone());
        for answering in self.answers.drain(..) {
            answering.channel.lock().waits.settle(answering.wait, None);
            let _ = answering.taken.send(Err(refusal.clone()));
        }
        let mut kept = Self {
            settled: self.settled,
            ..Self::default()
        };
        let mut batches = transaction.events.into_iter();
        for mut part in self.parts {
            if part.count > 0
                && let Some(batch) = batches.next()
            {
                part.lines = batch.lines.into();
            }
            for (asker, _) in part.askers.drain(..) {
                let _ = asker.send(Err(refusal.clone()));
            }
            if part.run.take().is_some() {
                // A run that does not exist has no events.
                (part.count, part.progress, part.checkpoint) = (0, None, None);
                part.lines.clear();
            }
            if std::mem::take(&mut part.expired) {
                part.channel.lock().expiry_planned = true;
                expiries.plan(Instant::now() + LONGEST_PAUSE, part.channel.key.clone());
            }
            if part.is_empty() {
                let unused = {
                    let mut state = part.channel.lock();
                    state.pins -= 1;
                    state.is_unused()
                };
                if unused {
                    shared.remove_if_unused(&part.channel.key);
                }
                continue;
            }
            kept.bytes += part.lines.len() + part.checkpoint.as_ref().map_or(0, Bytes::len);
            kept.index.insert(part.channel.key.clone(), kept.parts.len());
            kept.parts.push(part);
        }
        kept
    }
}

fn count(meters: &HubMeters, took: Duration, transaction: &Transaction, done: bool) {
    meters.commit_seconds.observe(took.as_secs_f64());
    if !done {
        meters.refused_commits.inc();
        return;
    }
    let events: u64 = transaction.events.iter().map(|batch| u64::from(batch.count)).sum();
    meters.commit_events.observe(events as f64);
    meters.events.inc_by(events);
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

    /// The channels whose retention is over, as a commit of its own: it makes room where there is none. Those that get
    /// something now are looked at again later; it looks at so many and no more.
    fn collect(&mut self, shared: &Shared, others: &Commit, now: Instant) -> Commit {
        let mut commit = Commit::default();
        for _ in 0..EXPIRIES_A_COMMIT {
            if self.next().is_none_or(|due| due > now) {
                break;
            }
            let Some(Reverse((_, key))) = self.heap.pop() else {
                break;
            };
            if others.index.contains_key(&key) {
                self.plan(now + LONGEST_PAUSE, key);
                continue;
            }
            let retention = shared.options.retention;
            let part = commit.part(shared, &key);
            let again = {
                let mut state = part.channel.lock();
                let live = state.run.as_ref().is_some_and(|run| !run.progress.is_over());
                let due = state.expires;
                if live {
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
        commit
    }
}

/// A store that refuses: why, and when it is tried again; with what comes next, when nothing is left to be tried.
struct Refusing {
    why: StoreError,
    pause: Duration,
    again: Option<Instant>,
}

/// Commits until the hub stops; what is queued then is still committed.
pub(super) async fn run(
    shared: Arc<Shared>,
    store: Arc<dyn Store>,
    mut queue: mpsc::Receiver<Request>,
    due: Vec<(Instant, ChannelKey)>,
    stop: CancellationToken,
) {
    let mut pending: Vec<Request> = Vec::new();
    let mut expiries = Expiries {
        heap: due.into_iter().map(Reverse).collect(),
    };
    let mut commit = Commit::default();
    let mut refusing: Option<Refusing> = None;
    loop {
        let room = commit.bytes < MOST_WAITING;
        let again = refusing.as_ref().and_then(|refusing| refusing.again);
        let due = again.or_else(|| expiries.next());
        let timer = async {
            match due {
                Some(due) => tokio::time::sleep_until(due).await,
                None => std::future::pending().await,
            }
        };
        let mut ended = false;
        tokio::select! {
            biased;
            count = queue.recv_many(&mut pending, LARGEST_COMMIT), if room => ended = count == 0,
            () = stop.cancelled(), if !queue.is_closed() => queue.close(),
            () = timer => {}
        }
        for request in pending.drain(..) {
            commit.add(&shared, request);
        }
        let stopping = ended || (!room && queue.is_closed());
        if let Some(waiting) = &refusing
            && waiting.again.is_some_and(|again| again > Instant::now())
            && !stopping
        {
            // Who can be told is told at once; the rest waits.
            let why = waiting.why.clone();
            let transaction = commit.transaction(0);
            commit = commit.refuse(&shared, &mut expiries, transaction, &why);
            continue;
        }
        let mut expired = expiries.collect(&shared, &commit, Instant::now());
        if refusing.is_none() {
            // One sync for both. While the store refuses, what goes makes room for what comes.
            commit.absorb(std::mem::take(&mut expired));
        }
        let (mut refused, mut taken) = (None, false);
        for (work, keeps) in [(expired, false), (std::mem::take(&mut commit), true)] {
            match work.carry_out(&shared, &*store, &mut expiries).await {
                Ok(is_something) => taken |= is_something,
                Err((left, why)) => {
                    refused = Some(why);
                    if keeps {
                        commit = left;
                    }
                }
            }
        }
        if let Some(why @ StoreError::Unusable(_)) = &refused {
            tracing::error!(%why, "the store can take nothing any more");
            shared.give_up(why.clone());
        }
        refusing = match (refused, refusing.take()) {
            (None, None) => None,
            (None, Some(_)) if taken => {
                tracing::info!("the store takes commits again");
                shared.set_refused(None);
                None
            }
            (None, Some(before)) => {
                shared.set_refused(None);
                Some(Refusing { again: None, ..before })
            }
            (Some(why), before) => {
                if before.as_ref().is_none_or(|before| before.why != why) {
                    tracing::error!(%why, "the store refuses commits: new runs are refused, and the others wait");
                }
                let pause = before.map_or(FIRST_PAUSE, |before| (before.pause * 2).min(LONGEST_PAUSE));
                shared.set_refused(Some(why.clone()));
                let again = Some(Instant::now() + pause);
                Some(Refusing { why, pause, again })
            }
        };
        if stopping {
            if !commit.parts.is_empty() {
                tracing::error!("the store refused to the end: runs go on from what it took before");
            }
            return;
        }
    }
}

fn finish(shared: &Shared, expiries: &mut Expiries, part: Part, batch: Option<&EventBatch>) {
    let channel = part.channel;
    let expired = part.expired;
    let mut state = channel.lock();
    state.pins -= 1;
    let before = standing(state.run.as_ref());
    let waited = apply(&mut state, shared, batch, part.run, part.progress, expired);
    state.count_held();
    shared.index.note(&channel, before, standing(state.run.as_ref()));
    if (state.run.is_some() || state.log.has_events()) && !state.expiry_planned {
        state.expiry_planned = true;
        expiries.plan(state.expires, channel.key.clone());
    }
    let unused = expired || state.is_unused();
    if batch.is_some() {
        shared.flush(&channel, state);
    } else {
        drop(state);
    }
    if let Some(waited) = waited {
        shared.forget_run(&channel.key, waited);
    }
    for (asker, begun) in part.askers {
        // Nobody to tell if the asker has gone.
        drop(asker.send(Ok(begun)));
    }
    if unused {
        shared.remove_if_unused(&channel.key);
    }
}

/// Changes a channel; gives the channels on which its run waited if that is over now.
fn apply(
    state: &mut State,
    shared: &Shared,
    batch: Option<&EventBatch>,
    run: Option<RunRecord>,
    progress: Option<RunProgress>,
    expired: bool,
) -> Option<Vec<String>> {
    if expired {
        state.log.expire();
        state.run = None;
    }
    if run.is_some() || batch.is_some() {
        state.expires = Instant::now() + shared.options.retention;
    }
    if run.is_some() {
        state.run = run;
    }
    if let Some(batch) = batch {
        state.log.push_events(batch.created_at, &batch.lines);
    }
    let (run, progress) = (state.run.as_mut()?, progress?);
    let before = std::mem::replace(&mut run.progress, progress);
    if !run.progress.is_over() {
        return None;
    }
    // Nobody starts it again.
    run.order = Bytes::new();
    Some(before.waiting.into_iter().map(|wait| wait.channel).collect())
}

/// Now, as Unix time in milliseconds.
pub(crate) fn unix_millis() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
