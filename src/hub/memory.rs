//! The hub of one process: a map of channels, each with its log behind a lock of its own.
//!
//! An idle channel wakes its readers at once; one that was woken a moment ago is woken again by the
//! flusher when the flush time is over, so that a busy channel's readers get many lines in one write.
//! Events come from the committer alone, which keeps ids without holes; published messages go straight
//! into the log, but for those that answer a call.

use std::collections::{HashMap, VecDeque};
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::task::Waker;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::FutureExt;
use futures::stream::{BoxStream, StreamExt};
use tokio::sync::{Notify, SetOnce, mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::committer::{self, Request};
use super::cursor::Cursor;
use super::held::{HeldBytes, HeldShare};
use super::index::{RunIndex, standing};
use super::log::Log;
use super::waits::{Answering, Waits};
use super::{AccountId, Append, Begun, ChannelKey, Hub, HubError, HubOptions, Listening, RunCounts, RunQuery, Start};
use crate::measure::{HubMeters, Seldom};
use crate::store::{Recovered, RecoveredChannel, RunRecord, Store, StoreError};
use crate::wire::ChannelId;

/// How many runs of an account are looked at in one go.
const RUNS_AT_ONCE: usize = 256;
/// So many busy channels gather for the flush time; each further so many make it longer by as much, up to a few times
/// it. Waking a reader costs far more than a line does, and the many wake-ups of many channels would leave no time.
const BUSY_CHANNELS: usize = 32;
const LONGEST_GATHER: u32 = 3;

/// The in-memory [`Hub`]. Dropping the last clone stops its tasks.
#[derive(Clone)]
pub struct MemoryHub {
    shared: Arc<Shared>,
    store: Arc<dyn Store>,
    requests: mpsc::Sender<Request>,
    tasks: Arc<Tasks>,
}

struct Tasks {
    tracker: TaskTracker,
    stop: CancellationToken,
}

impl Drop for Tasks {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

pub(super) struct Shared {
    pub(super) options: HubOptions,
    pub(super) index: RunIndex,
    pub(super) meters: HubMeters,
    held: HeldBytes,
    /// What the log says of readers that are too slow.
    pub(super) said: Seldom,
    channels: RwLock<HashMap<ChannelKey, Arc<Channel>>>,
    flushes: Mutex<VecDeque<(Instant, Arc<Channel>)>>,
    flush_wanted: Notify,
    pub(super) stopped: AtomicBool,
    /// Where calls wait to which nobody listens any more, by their runs: until the end of the run is durable.
    unheard: Mutex<HashMap<ChannelKey, Vec<ChannelKey>>>,
    /// Why the store refuses, while it does.
    refused: Mutex<Option<StoreError>>,
    /// Why nothing can be stored any more.
    broken: SetOnce<StoreError>,
    /// Answers to calls of runs that have not asked for them since the restart.
    kept_answers: Mutex<HashMap<ChannelKey, Vec<(String, Bytes)>>>,
}

pub(super) struct Channel {
    pub(super) key: ChannelKey,
    state: Mutex<State>,
}

pub(super) struct State {
    pub(super) log: Log,
    pub(super) run: Option<RunRecord>,
    /// The committer is about to write here: the channel stays in the map.
    pub(super) pins: usize,
    /// The calls that wait for a message here.
    pub(super) waits: Waits,
    /// When its retention is over.
    pub(super) expires: Instant,
    /// The committer looks at it again when its retention may be over.
    pub(super) expiry_planned: bool,
    last_flush: Option<Instant>,
    flush_planned: bool,
    /// The order of its run, and its events.
    held: HeldShare,
}

impl State {
    /// Brings its share of what is held up to date; called wherever its run or its log has changed.
    pub(super) fn count_held(&mut self) {
        self.held.set(self.held_now());
    }

    fn held_now(&self) -> usize {
        self.log.event_bytes() + self.run.as_ref().map_or(0, |run| run.order.len())
    }

    pub(super) fn is_unused(&self) -> bool {
        self.pins == 0
            && self.run.is_none()
            && !self.log.has_events()
            && !self.log.has_readers()
            && self.waits.is_empty()
    }
}

impl Channel {
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    fn new(options: HubOptions) -> Self {
        Self {
            options,
            index: RunIndex::default(),
            meters: HubMeters::default(),
            held: HeldBytes::default(),
            said: Seldom::default(),
            channels: RwLock::default(),
            flushes: Mutex::default(),
            flush_wanted: Notify::new(),
            stopped: AtomicBool::new(false),
            unheard: Mutex::default(),
            refused: Mutex::default(),
            broken: SetOnce::new(),
            kept_answers: Mutex::default(),
        }
    }

    /// Puts a channel that was kept in its place; gives when its retention is over.
    fn restore(&self, kept: RecoveredChannel, now: Instant, clock: u64) -> Instant {
        let RecoveredChannel {
            key,
            run,
            next_id,
            last_event,
            events,
        } = kept;
        let age = Duration::from_millis(clock.saturating_sub(last_event));
        let expires = now + self.options.retention.saturating_sub(age);
        let log = Log::restore(self.options.events, self.options.bytes, next_id, events);
        let mut state = self.new_state(log);
        state.expires = expires;
        state.expiry_planned = true;
        let (record, goes_on, answers) = match run {
            Some(run) => (Some(run.record), run.checkpoint.is_some(), run.answers),
            None => (None, false, Vec::new()),
        };
        // A run that begins anew waits anew.
        let open: Vec<(ChannelId, String)> = record
            .iter()
            .filter(|_| goes_on)
            .flat_map(|run| &run.progress.waiting)
            .filter_map(|wait| Some((ChannelId::parse(&wait.channel).ok()?, wait.call.clone()?)))
            .filter(|(_, call)| !answers.iter().any(|(answered, _)| answered == call))
            .collect();
        state.run = record;
        state.count_held();
        {
            let mut channels = self.channels.write().unwrap_or_else(PoisonError::into_inner);
            if let Some(known) = channels.get(&key) {
                // Calls of runs before it wait here already.
                let waits = std::mem::take(&mut known.lock().waits);
                state.waits = waits;
            }
            let standing = standing(state.run.as_ref());
            let channel = Arc::new(Channel {
                key: key.clone(),
                state: Mutex::new(state),
            });
            self.index.note(&channel, None, standing);
            channels.insert(key.clone(), channel);
        }
        for (channel, call) in open {
            let waiting = ChannelKey {
                account: key.account.clone(),
                channel,
            };
            self.with(&waiting, |_, state| state.waits.open(&key, &call));
        }
        if !answers.is_empty() {
            self.kept_answers().insert(key, answers);
        }
        expires
    }

    fn new_state(&self, log: Log) -> State {
        State {
            log: log.holding(self.options.published),
            run: None,
            pins: 0,
            waits: Waits::default(),
            expires: Instant::now() + self.options.retention,
            expiry_planned: false,
            last_flush: None,
            flush_planned: false,
            held: self.held.share(0),
        }
    }

    fn kept_answers(&self) -> MutexGuard<'_, HashMap<ChannelKey, Vec<(String, Bytes)>>> {
        self.kept_answers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the run of a channel is over, as far as it is committed.
    pub(super) fn is_over(&self, key: &ChannelKey) -> bool {
        let channel = self.find(key);
        channel.is_some_and(|channel| channel.lock().run.as_ref().is_some_and(|run| run.progress.is_over()))
    }

    fn unheard(&self) -> MutexGuard<'_, HashMap<ChannelKey, Vec<ChannelKey>>> {
        self.unheard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A call of a run waits on a channel, and nobody listens any more.
    pub(super) fn wait_unheard(&self, run: ChannelKey, channel: &ChannelKey) {
        self.unheard().entry(run).or_default().push(channel.clone());
    }

    /// Forgets what a run that is over waited for, on these channels of its account.
    pub(super) fn forget_run(&self, run: &ChannelKey, waited: impl IntoIterator<Item = String>) {
        self.kept_answers().remove(run);
        let unheard = self.unheard().remove(run).unwrap_or_default();
        let waited = waited.into_iter().filter_map(|name| {
            Some(ChannelKey {
                account: run.account.clone(),
                channel: ChannelId::parse(&name).ok()?,
            })
        });
        for key in waited.chain(unheard) {
            let Some(channel) = self.find(&key) else { continue };
            channel.lock().waits.close_run(run);
            self.remove_if_unused(&key);
        }
    }

    /// Says that the store refuses, and why, or that it takes again.
    pub(super) fn set_refused(&self, why: Option<StoreError>) {
        *self.refused.lock().unwrap_or_else(PoisonError::into_inner) = why;
    }

    /// Says that nothing can be stored any more.
    pub(super) fn give_up(&self, why: StoreError) {
        // The first reason stays.
        let _ = self.broken.set(why);
    }

    /// Does a task's work; without it the server is of no use.
    async fn guard(&self, work: impl Future<Output = ()>) {
        if AssertUnwindSafe(work).catch_unwind().await.is_err() {
            let why = "a task that every run needs has failed: this is a defect of the program";
            self.give_up(StoreError::Unusable(why.to_owned()));
        }
    }

    fn refused(&self) -> Result<(), HubError> {
        let refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        refused.clone().map_or(Ok(()), |why| Err(HubError::Store(why)))
    }

    fn find(&self, key: &ChannelKey) -> Option<Arc<Channel>> {
        let channels = self.channels.read().unwrap_or_else(PoisonError::into_inner);
        channels.get(key).cloned()
    }

    /// Does something with a channel, which is made if need be and stays in the map meanwhile.
    pub(super) fn with<T>(&self, key: &ChannelKey, work: impl FnOnce(&Arc<Channel>, &mut State) -> T) -> T {
        {
            let channels = self.channels.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(channel) = channels.get(key) {
                return work(channel, &mut channel.lock());
            }
        }
        let mut channels = self.channels.write().unwrap_or_else(PoisonError::into_inner);
        let channel = channels.entry(key.clone()).or_insert_with(|| {
            Arc::new(Channel {
                key: key.clone(),
                state: Mutex::new(self.new_state(Log::new(self.options.events, self.options.bytes))),
            })
        });
        work(channel, &mut channel.lock())
    }

    pub(super) fn remove_if_unused(&self, key: &ChannelKey) {
        let mut channels = self.channels.write().unwrap_or_else(PoisonError::into_inner);
        if channels.get(key).is_some_and(|channel| channel.lock().is_unused()) {
            channels.remove(key);
        }
    }

    /// Lets the readers see what was pushed: now, or when the channel's flush time is over.
    pub(super) fn flush(&self, channel: &Arc<Channel>, mut state: MutexGuard<'_, State>) {
        if state.flush_planned {
            return;
        }
        let now = Instant::now();
        match state.last_flush {
            Some(last) if last + self.options.flush > now => {
                state.flush_planned = true;
                drop(state);
                let mut flushes = self.flushes.lock().unwrap_or_else(PoisonError::into_inner);
                let due = last + gather(self.options.flush, flushes.len());
                // The flush time is nearly the same for all, so the queue is nearly in order of time.
                flushes.push_back((due, Arc::clone(channel)));
                if flushes.len() == 1 {
                    self.flush_wanted.notify_one();
                }
            }
            _ => flush_now(state, now),
        }
    }

    /// Wakes the readers of channels whose flush time is over.
    async fn run_flusher(&self, stop: CancellationToken) {
        loop {
            let next = {
                let flushes = self.flushes.lock().unwrap_or_else(PoisonError::into_inner);
                flushes.front().map(|(due, _)| *due)
            };
            let wait = async {
                match next {
                    Some(due) => tokio::time::sleep_until(due).await,
                    None => self.flush_wanted.notified().await,
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = wait => {}
            }
            let now = Instant::now();
            loop {
                let due = {
                    let mut flushes = self.flushes.lock().unwrap_or_else(PoisonError::into_inner);
                    match flushes.front() {
                        Some((due, _)) if *due <= now => flushes.pop_front(),
                        _ => None,
                    }
                };
                let Some((_, channel)) = due else { break };
                let mut state = channel.lock();
                state.flush_planned = false;
                flush_now(state, now);
            }
        }
    }

    fn every_channel(&self) -> Vec<Arc<Channel>> {
        let channels = self.channels.read().unwrap_or_else(PoisonError::into_inner);
        channels.values().cloned().collect()
    }

    fn end_readers(&self) {
        self.stopped.store(true, Ordering::Release);
        for channel in self.every_channel() {
            flush_now(channel.lock(), Instant::now());
        }
    }
}

/// How long a channel gathers between two wake-ups of its readers while so many others do.
fn gather(flush: Duration, busy: usize) -> Duration {
    let times = u32::try_from(busy / BUSY_CHANNELS).unwrap_or(u32::MAX);
    flush * times.saturating_add(1).min(LONGEST_GATHER)
}

fn flush_now(mut state: MutexGuard<'_, State>, now: Instant) {
    let mut wakers: Vec<Waker> = Vec::new();
    state.log.seal();
    state.count_held();
    state.last_flush = Some(now);
    state.log.take_wakers(&mut wakers);
    drop(state);
    for waker in wakers {
        waker.wake();
    }
}

impl MemoryHub {
    /// Starts a hub with its committer and flusher, over a store that kept nothing.
    #[must_use]
    pub fn start(options: HubOptions, store: Arc<dyn Store>) -> Self {
        Self::restore(options, store, Recovered::default())
    }

    /// Starts a hub over a store, with what the store kept: the channels have their events under the same ids, and
    /// the calls that waited when the server ended wait again.
    #[must_use]
    pub fn restore(options: HubOptions, store: Arc<dyn Store>, recovered: Recovered) -> Self {
        let shared = Arc::new(Shared::new(options));
        let (now, clock) = (Instant::now(), committer::unix_millis());
        let expiries: Vec<(Instant, ChannelKey)> = recovered
            .channels
            .into_iter()
            .map(|channel| {
                let key = channel.key.clone();
                (shared.restore(channel, now, clock), key)
            })
            .collect();
        let (requests, queue) = mpsc::channel(options.queue.max(1));
        let tracker = TaskTracker::new();
        let stop = CancellationToken::new();
        let committing = committer::run(Arc::clone(&shared), Arc::clone(&store), queue, expiries, stop.clone());
        let guard = Arc::clone(&shared);
        tracker.spawn(async move { guard.guard(committing).await });
        let (flusher, flusher_stop) = (Arc::clone(&shared), stop.clone());
        tracker.spawn(async move { flusher.guard(flusher.run_flusher(flusher_stop)).await });
        tracker.close();
        Self {
            shared,
            store,
            requests,
            tasks: Arc::new(Tasks { tracker, stop }),
        }
    }

    async fn send(&self, request: Request) -> Result<(), HubError> {
        if self.shared.stopped.load(Ordering::Acquire) {
            return Err(HubError::Stopped);
        }
        self.requests.send(request).await.map_err(|_| HubError::Stopped)
    }
}

#[async_trait]
impl Hub for MemoryHub {
    async fn begin(&self, run: RunRecord, events: Vec<Bytes>) -> Result<Begun, HubError> {
        self.shared.refused()?;
        let (answer, answered) = oneshot::channel();
        self.send(Request::Begin { run, events, answer }).await?;
        answered.await.unwrap_or(Err(HubError::Stopped))
    }

    async fn append(&self, append: Append) -> Result<(), HubError> {
        self.send(Request::Append(append)).await
    }

    async fn settle(&self) -> Result<(), HubError> {
        let (answer, answered) = oneshot::channel();
        self.send(Request::Settle(answer)).await?;
        answered.await.map_err(|_| HubError::Stopped)
    }

    async fn listen(&self, run: &ChannelKey, channel: &ChannelId, call: &str) -> Box<dyn Listening> {
        let kept = {
            let mut kept = self.shared.kept_answers();
            kept.get_mut(run).and_then(|answers| {
                let at = answers.iter().position(|(answered, _)| answered == call)?;
                Some(answers.swap_remove(at).1)
            })
        };
        let key = ChannelKey {
            account: run.account.clone(),
            channel: channel.clone(),
        };
        let (channel, (id, receiver)) = self.shared.with(&key, |channel, state| {
            (Arc::clone(channel), state.waits.listen(run, call, kept))
        });
        Box::new(Answering {
            shared: Arc::clone(&self.shared),
            channel,
            id,
            receiver,
        })
    }

    async fn publish(&self, key: &ChannelKey, message: &[u8]) -> Result<(), HubError> {
        if self.shared.stopped.load(Ordering::Acquire) {
            return Err(HubError::Stopped);
        }
        self.shared.meters.published.inc();
        let Some(channel) = self.shared.find(key) else {
            return Ok(());
        };
        let mut first = None;
        loop {
            let (came, behind) = {
                let mut state = channel.lock();
                let came = *first.get_or_insert(state.waits.now());
                let behind = state.waits.queue_behind(came);
                if behind.is_none() && !state.waits.is_open(came) {
                    if state.log.has_readers() {
                        state.log.push_published(message);
                        self.shared.flush(&channel, state);
                    }
                    return Ok(());
                }
                (came, behind)
            };
            if let Some(behind) = behind {
                tokio::select! {
                    // An error says that the wait has ended, with its run.
                    _ = behind => continue,
                    // Nobody settles it any more.
                    () = self.requests.closed() => return Err(HubError::Stopped),
                }
            }
            self.shared.refused()?;
            // The place in the queue first: a message that is claimed is on its way, even if its sender leaves.
            let place = self.requests.reserve().await.map_err(|_| HubError::Stopped)?;
            let claimed = channel.lock().waits.claim(came);
            let Some((run, call, wait)) = claimed else { continue };
            let (answer, answered) = oneshot::channel();
            place.send(Request::Answer {
                channel,
                wait,
                answer: crate::store::Answer {
                    run,
                    call,
                    message: Bytes::copy_from_slice(message),
                },
                taken: answer,
            });
            return answered.await.unwrap_or(Err(HubError::Stopped));
        }
    }

    async fn open(&self, key: &ChannelKey, start: Start) -> BoxStream<'static, Bytes> {
        let channel = self.shared.with(key, |channel, state| {
            state.pins += 1;
            Arc::clone(channel)
        });
        // Much may have to be made ready for the first reader after a restart: only this channel waits for it.
        let reader = {
            let mut state = channel.lock();
            state.pins -= 1;
            let reader = state.log.open(start);
            // Kept events may have become lines.
            state.count_held();
            reader
        };
        Cursor {
            shared: Arc::clone(&self.shared),
            channel,
            reader,
        }
        .boxed()
    }

    async fn run(&self, key: &ChannelKey) -> Option<RunRecord> {
        self.shared.find(key)?.lock().run.clone()
    }

    async fn runs(&self, account: &AccountId, query: &RunQuery) -> Vec<RunRecord> {
        let mut runs = Vec::new();
        let mut after = query.after;
        while runs.len() < query.take {
            let slice = self
                .shared
                .index
                .slice(account, after, query.oldest_first, RUNS_AT_ONCE);
            let Some((last, _)) = slice.last() else { break };
            after = Some(*last);
            for (_, channel) in &slice {
                let state = channel.lock();
                let wanted = state.run.as_ref().filter(|run| query.wants(run.progress.status));
                runs.extend(wanted.cloned());
                if runs.len() == query.take {
                    break;
                }
            }
            // A filter that few runs pass looks at many of them: others have their turn in between.
            tokio::task::yield_now().await;
        }
        runs
    }

    fn counts(&self) -> RunCounts {
        self.shared.index.counts()
    }

    fn held(&self) -> &HeldBytes {
        &self.shared.held
    }

    fn meters(&self) -> HubMeters {
        self.shared.meters.clone()
    }

    fn queued(&self) -> usize {
        self.requests.max_capacity() - self.requests.capacity()
    }

    fn stored_bytes(&self) -> Option<u64> {
        self.store.stored_bytes()
    }

    async fn broken(&self) -> StoreError {
        self.shared.broken.wait().await.clone()
    }

    async fn stop(&self) {
        self.tasks.stop.cancel();
        self.tasks.tracker.wait().await;
        self.shared.end_readers();
    }
}

#[cfg(test)]
#[path = "held_tests.rs"]
mod held_tests;

#[cfg(test)]
#[path = "memory_tests.rs"]
mod tests;
