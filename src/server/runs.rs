//! The runs of a server: accepted durably, executed by tasks of their own, cancelled, counted.
//!
//! What a run does is the engine's, where it stands is kept with its channel in the hub; here are the
//! tasks, so that a run goes on whether or not anyone is connected.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use sha2::{Digest, Sha256};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use super::answers::HubAnswers;
use super::engine::{RunEngine, RunSink, Slot};
use super::error::Refusal;
use crate::engine::{Checkpoint, Order};
use crate::hub::{AccountId, Begun, ChannelKey, HeldShare, Hub, HubError, unix_millis};
use crate::measure::{ReasonLabel, RunMeters};
use crate::store::{RecoveredRun, RunProgress, RunRecord};
use crate::wire::event::{ABORT_SERVER_RESTARTED, Abort};
use crate::wire::request::RunStatus;
use crate::wire::{ChannelId, CompleteRequest, ErrorCode, Event, EventKind, Message, MessageKind, ascii};

/// The longest title of a run, in characters.
const LONGEST_TITLE: usize = 80;
/// When to dispatch again after the queue was full.
const QUEUE_FULL: Duration = Duration::from_secs(5);
/// When to dispatch again after much was held: events go with time.
const MEMORY_FULL: Duration = Duration::from_secs(60);
/// How often a server may end in the middle of a run's iteration before the run is given up (DESIGN, "Durable before
/// visible").
const MOST_RESTARTS: u32 = 3;
/// How many events of a `complete` wait for a slow client before the run waits.
const ANSWER_QUEUE: usize = 256;

/// How long whoever cancels a run waits for its end.
const CANCEL_TIME: Duration = Duration::from_secs(10);

/// What cancels the run of a channel, from before it can be seen. Dispatches of one channel that come at once share it:
/// at most one of them becomes its run.
struct Live {
    cancel: CancellationToken,
    /// Cancelled when nobody holds it any more.
    over: CancellationToken,
    holders: usize,
}

/// The runs that have not ended.
#[derive(Default)]
struct LiveRuns {
    channels: HashMap<ChannelKey, Live>,
    /// How many are carried out inline.
    inline: usize,
}

impl LiveRuns {
    fn count(&self) -> usize {
        self.channels.len() + self.inline
    }
}

/// Counts a run that is carried out inline, and its order.
struct Inline {
    runs: Runs,
    _held: HeldShare,
}

impl Drop for Inline {
    fn drop(&mut self) {
        self.runs.live().inline -= 1;
    }
}

/// Keeps the entry of a channel as long as a dispatch or its run needs it.
struct Holder {
    runs: Runs,
    key: ChannelKey,
    cancel: CancellationToken,
}

impl Drop for Holder {
    fn drop(&mut self) {
        let live = &mut self.runs.live().channels;
        if let Some(entry) = live.get_mut(&self.key) {
            entry.holders -= 1;
            if entry.holders == 0 {
                entry.over.cancel();
                live.remove(&self.key);
            }
        }
    }
}

/// How many runs are taken.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// Runs that go on at once.
    pub(super) in_flight: usize,
    /// Runs that have not ended.
    pub(super) live: usize,
    /// Bytes that are held.
    pub(super) memory: u64,
}

/// Starts, cancels and ends runs.
#[derive(Clone)]
pub(super) struct Runs {
    hub: Arc<dyn Hub>,
    engine: Arc<dyn RunEngine>,
    meters: RunMeters,
    slots: Arc<Semaphore>,
    bounds: Bounds,
    /// What logs call the accounts.
    shown: Arc<HashMap<AccountId, String>>,
    live: Arc<Mutex<LiveRuns>>,
    tracker: TaskTracker,
    /// Nothing more is taken, and the runs that are executed inline are cancelled.
    stop: CancellationToken,
    /// Ends the tasks of the other runs wherever they are: a later server goes on with them.
    halt: CancellationToken,
}

impl Runs {
    pub(super) fn new(hub: Arc<dyn Hub>, engine: Arc<dyn RunEngine>, meters: RunMeters, bounds: Bounds) -> Self {
        Self {
            hub,
            engine,
            meters,
            slots: Arc::new(Semaphore::new(bounds.in_flight.clamp(1, Semaphore::MAX_PERMITS))),
            bounds,
            shown: Arc::default(),
            live: Arc::default(),
            tracker: TaskTracker::new(),
            stop: CancellationToken::new(),
            halt: CancellationToken::new(),
        }
    }

    /// The same, with what logs call the accounts.
    pub(super) fn calling(self, shown: HashMap<AccountId, String>) -> Self {
        Self {
            shown: Arc::new(shown),
            ..self
        }
    }

    fn live(&self) -> MutexGuard<'_, LiveRuns> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hold(&self, key: &ChannelKey) -> Holder {
        self.hold_among(&mut self.live(), key)
    }

    fn hold_among(&self, live: &mut LiveRuns, key: &ChannelKey) -> Holder {
        let entry = live.channels.entry(key.clone()).or_insert_with(|| Live {
            cancel: CancellationToken::new(),
            over: CancellationToken::new(),
            holders: 0,
        });
        entry.holders += 1;
        Holder {
            runs: self.clone(),
            key: key.clone(),
            cancel: entry.cancel.clone(),
        }
    }

    /// Holds a channel for a run that is one more.
    fn admit(&self, key: &ChannelKey) -> Result<Holder, Refusal> {
        let mut live = self.live();
        self.check_room(&live)?;
        Ok(self.hold_among(&mut live, key))
    }

    fn admit_inline(&self, kept: &KeptOrder) -> Result<Inline, Refusal> {
        let mut live = self.live();
        self.check_room(&live)?;
        live.inline += 1;
        Ok(Inline {
            runs: self.clone(),
            _held: self.hub.held().share(kept.json.len()),
        })
    }

    /// Refuses a run that would be one too many. How many there are is no account's business.
    fn check_room(&self, live: &LiveRuns) -> Result<(), Refusal> {
        let full = |message: &str| Refusal::new(ErrorCode::LimitsReached, message);
        if live.count() >= self.bounds.live {
            return Err(
                full("the server has as many runs as it takes: ask again when some have ended").retry_after(QUEUE_FULL),
            );
        }
        if self.hub.held().bytes() >= self.bounds.memory {
            return Err(
                full("the server holds as much of runs and their events as it may: ask again later")
                    .retry_after(MEMORY_FULL),
            );
        }
        Ok(())
    }

    /// Takes a run durably and starts it; the same dispatch again is answered the same and starts nothing.
    pub(super) async fn dispatch(
        &self,
        account: AccountId,
        channel_id: Option<ChannelId>,
        order: Order,
    ) -> Result<ChannelId, Refusal> {
        self.check_going()?;
        self.engine.check(&order)?;
        let channel = match &channel_id {
            Some(channel) => channel.clone(),
            None => mint()?,
        };
        let about = self.engine.about(&order);
        let body = ascii::to_json(&order);
        let key = ChannelKey {
            account,
            channel: channel.clone(),
        };
        let record = RunRecord {
            key,
            digest: Sha256::digest(&body).into(),
            order: body.into(),
            title: title(&order.request),
            model: about.model.unwrap_or_else(|| self.engine.model_name()),
            created_at: unix_millis(),
            private: about.private,
            progress: RunProgress::queued(),
        };
        let events = first_events(&order.request);
        // As it is kept it takes a fraction of what it takes when it is read.
        drop(order);
        // Before the first event can be seen: whoever sees it may cancel the run at once.
        let holder = match self.admit(&record.key) {
            Ok(holder) => holder,
            // One that is repeated is no run more.
            Err(_) if self.hub.run(&record.key).await.is_some() => self.hold(&record.key),
            Err(refusal) => return Err(refusal),
        };
        // Until the hub counts it.
        let bytes = record.order.len() + events.iter().map(Bytes::len).sum::<usize>();
        let coming = self.hub.held().share(bytes);
        // A task of its own: the run must start even if the client leaves while it is being stored.
        let (answer, answered) = oneshot::channel();
        let runs = self.clone();
        self.tracker
            .spawn(async move { runs.begin(record, events, (holder, coming), answer).await });
        match answered.await {
            Ok(result) => result.map(|()| channel).map_err(Refusal::from),
            Err(_) => Err(HubError::Stopped.into()),
        }
    }

    async fn begin(
        self,
        record: RunRecord,
        events: Vec<Bytes>,
        (holder, coming): (Holder, HeldShare),
        answer: oneshot::Sender<Result<(), HubError>>,
    ) {
        let key = record.key.clone();
        let kept = KeptOrder::of(&record);
        let begun = self.hub.begin(record, events).await;
        drop(coming);
        // Nobody to tell if the client has gone.
        let _ = answer.send(begun.clone().map(|_| ()));
        if begun != Ok(Begun::New) {
            return;
        }
        self.meters.dispatched.inc();
        let from = From {
            progress: RunProgress::queued(),
            checkpoint: None,
            resumed: false,
        };
        self.go_on(&key, kept, from, &holder.cancel).await;
    }

    /// Goes on with runs that had not ended when a server did. Each can be cancelled when this returns.
    pub(super) fn resume(&self, runs: Vec<RecoveredRun>) {
        for run in runs {
            let key = run.record.key.clone();
            let holder = self.hold(&key);
            let runs = self.clone();
            let kept = KeptOrder::of(&run.record);
            self.tracker.spawn(async move {
                let from = From {
                    progress: run.record.progress,
                    checkpoint: run.checkpoint.map(Checkpoint::new),
                    resumed: true,
                };
                runs.go_on(&key, kept, from, &holder.cancel).await;
            });
        }
    }

    fn sink(&self, key: &ChannelKey, from: &From, cancel: &CancellationToken) -> RunSink {
        let slot = Slot::new(Arc::clone(&self.slots), cancel.clone());
        let (progress, kept) = (from.progress.clone(), from.checkpoint.is_some());
        RunSink::channel(Arc::clone(&self.hub), key.clone(), progress, kept, slot)
    }

    /// Executes the run of a channel from where it stands, until it ends or the server does.
    async fn go_on(&self, key: &ChannelKey, kept: KeptOrder, from: From, cancel: &CancellationToken) {
        let sink = self.sink(key, &from, cancel);
        let From {
            progress,
            checkpoint,
            resumed,
        } = from;
        let work = async {
            // A wait goes on as if nothing had happened, if what it began from is known.
            let waits = progress.status == RunStatus::Waiting && checkpoint.is_some();
            let begun = progress.status != RunStatus::Queued;
            if begun && !waits && progress.restarts >= MOST_RESTARTS {
                let said = format!(
                    "the server restarted {} times in the middle of this run, so it was given up",
                    progress.restarts + 1
                );
                sink.give_up(&said).await;
                return self.ended(&key.channel.short(), &key.account, Instant::now(), &sink);
            }
            if !waits {
                let seam = begun.then(seam);
                sink.begin(seam).await;
                // Durable before anything else is done: a run that takes its server down with it is counted.
                if resumed && self.hub.settle().await.is_err() {
                    tracing::debug!("a run goes on while the server stops");
                }
            }
            let order = match kept.read() {
                Ok(order) => order,
                Err(error) => {
                    // What the error says besides may repeat a text.
                    tracing::error!(column = error.column(), run = %key.channel.short(), "a kept run cannot be understood");
                    return sink.give_up(NOT_UNDERSTOOD).await;
                }
            };
            let answers = HubAnswers::of_run(Arc::clone(&self.hub), key.clone());
            tracing::info!(
                run = %key.channel.short(),
                account = self.shown(&key.account),
                model = self.model_of(&order).as_str(),
                restarts = progress.restarts + u32::from(begun && !waits),
                "a run begins"
            );
            let since = Instant::now();
            self.execute(&order, checkpoint.as_ref(), &sink, &answers, cancel).await;
            self.ended(&key.channel.short(), &key.account, since, &sink);
        };
        tokio::select! {
            biased;
            () = self.halt.cancelled() => {}
            () = work => return,
        }
        // The server ends in good order: that is said now and counts as no attempt.
        sink.pause(seam()).await;
    }

    /// Executes a run inline: its events arrive on the receiver; dropping it or the guard cancels the run.
    ///
    /// # Errors
    /// When it cannot be carried out.
    pub(super) fn complete(
        &self,
        account: AccountId,
        order: Order,
    ) -> Result<(mpsc::Receiver<Event>, DropGuard), Refusal> {
        self.check_going()?;
        self.engine.check(&order)?;
        let kept = KeptOrder {
            json: ascii::to_json(&order).into(),
            asked_at: order.asked_at,
        };
        drop(order);
        let inline = self.admit_inline(&kept)?;
        // One more for the last event.
        let (events, receiver) = mpsc::channel(ANSWER_QUEUE + 1);
        let cancel = self.stop.child_token();
        let guard = cancel.clone().drop_guard();
        let runs = self.clone();
        self.tracker.spawn(async move {
            let _inline = inline;
            let slot = Slot::new(Arc::clone(&runs.slots), cancel.clone());
            let sink = RunSink::answer(events.clone(), runs.engine.longest_run(), slot);
            let left = async {
                events.closed().await;
                cancel.cancel();
                std::future::pending::<()>().await;
            };
            let name = account.clone();
            let answers = HubAnswers::inline(Arc::clone(&runs.hub), account);
            let work = async {
                sink.begin(None).await;
                let order = match kept.read() {
                    Ok(order) => order,
                    Err(error) => {
                        tracing::error!(column = error.column(), "an order cannot be read again");
                        return sink.give_up(NOT_UNDERSTOOD).await;
                    }
                };
                let begun = Instant::now();
                tracing::info!(
                    account = runs.shown(&name),
                    model = runs.model_of(&order).as_str(),
                    "an inline run begins"
                );
                runs.execute(&order, None, &sink, &answers, &cancel).await;
                runs.ended("inline", &name, begun, &sink);
            };
            tokio::select! {
                () = left => {}
                () = work => {}
            }
        });
        Ok((receiver, guard))
    }

    async fn execute(
        &self,
        order: &Order,
        from: Option<&Checkpoint>,
        sink: &RunSink,
        answers: &HubAnswers,
        cancel: &CancellationToken,
    ) {
        let run = std::panic::AssertUnwindSafe(self.engine.run(order, from, sink, answers, cancel));
        let panicked = run.catch_unwind().await.is_err();
        if panicked {
            tracing::error!("a run panicked");
        }
        // A client that left its completion has cancelled it: there is nobody to tell, and nothing lost.
        if !sink.has_ended() && !sink.is_abandoned() {
            // Every run ends with a last event, or its readers would wait for ever.
            sink.give_up("the run broke off; the server's log says why").await;
        }
    }

    /// The name of the model of an order as a log can show it: on one line, and not longer than names are.
    fn model_of(&self, order: &Order) -> String {
        let name = order.request.model.clone().unwrap_or_else(|| self.engine.model_name());
        let shown = |c: char| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c };
        name.chars().take(LONGEST_TITLE).map(shown).collect()
    }

    /// What logs call an account; one that the server knows no longer has no name there.
    fn shown(&self, account: &AccountId) -> &str {
        self.shown.get(account).map_or("none", String::as_str)
    }

    /// Counts a run that has ended, and says so.
    fn ended(&self, run: &str, account: &AccountId, begun: Instant, sink: &RunSink) {
        let Some(outcome) = sink.outcome() else { return };
        let reason = reason_label(&outcome.reason);
        self.meters.ended.get_or_create(&ReasonLabel { reason }).inc();
        tracing::info!(
            run,
            account = self.shown(account),
            reason,
            code = outcome.code.as_deref(),
            tokens = outcome.tokens,
            ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
            "a run ended"
        );
    }

    fn check_going(&self) -> Result<(), Refusal> {
        if self.stop.is_cancelled() {
            return Err(HubError::Stopped.into());
        }
        Ok(())
    }

    /// Stops the run of a channel and returns when its end is durable: it does not come back with a later server. One
    /// that is over already stays as it is.
    pub(super) async fn cancel(&self, key: &ChannelKey) -> Result<(), Refusal> {
        self.check_going()?;
        let live = self
            .live()
            .channels
            .get(key)
            .map(|live| (live.cancel.clone(), live.over.clone()));
        if live.is_none() && self.hub.run(key).await.is_none() {
            return Err(Refusal::new(ErrorCode::NotFound, "this channel has no run"));
        }
        let ended = async {
            if let Some((cancel, over)) = live {
                cancel.cancel();
                over.cancelled().await;
            }
            // Also the end of one that is over may be on its way to the store still.
            self.hub.settle().await
        };
        match tokio::time::timeout(CANCEL_TIME, ended).await {
            // A server that ends may have been faster than the run.
            Ok(Ok(())) if self.hub.run(key).await.is_none_or(|run| run.progress.is_over()) => Ok(()),
            Ok(Ok(()) | Err(_)) => Err(HubError::Stopped.into()),
            Err(_) => Err(Refusal::new(
                ErrorCode::ServiceUnavailable,
                "the run was told to stop, and its end is not stored yet: ask again",
            )),
        }
    }

    /// Takes no more runs, and ends the tasks of those that go on; returns when they have. With `keep` the runs in
    /// channels stay as they are, for a later server; without, they are cancelled and each says so.
    pub(super) async fn stop(&self, keep: bool) {
        self.stop.cancel();
        if keep {
            self.halt.cancel();
        } else {
            self.live().channels.values().for_each(|live| live.cancel.cancel());
        }
        self.tracker.close();
        self.tracker.wait().await;
    }
}

/// The event that supersedes what a run has shown of an iteration that begins anew.
fn seam() -> Event {
    let abort = Abort {
        reason: Some(ABORT_SERVER_RESTARTED.to_owned()),
        ..Abort::default()
    };
    EventKind::Abort(Box::new(abort)).into()
}

/// What an order is called for that cannot be read again.
const NOT_UNDERSTOOD: &str = "this version of the server does not understand what was kept of the run";

/// An order whose run waits for its turn, as the hub keeps it: read, it may take fifty times as much.
struct KeptOrder {
    json: Bytes,
    asked_at: Option<u64>,
}

impl KeptOrder {
    fn of(record: &RunRecord) -> Self {
        Self {
            json: record.order.clone(),
            asked_at: Some(record.created_at),
        }
    }

    fn read(self) -> Result<Order, serde_json::Error> {
        let order = serde_json::from_slice(&self.json)?;
        Ok(Order {
            asked_at: self.asked_at,
            ..order
        })
    }
}

/// What the channel of a run begins with: a second device sees the prompt too.
fn first_events(request: &CompleteRequest) -> Vec<Bytes> {
    let event = |message: &Message| Event::from(EventKind::Message(Box::new(message.clone())));
    let messages = request.new_messages().iter();
    messages.map(|message| ascii::to_json(&event(message)).into()).collect()
}

/// Where a run goes on.
struct From {
    progress: RunProgress,
    checkpoint: Option<Checkpoint>,
    /// Whether a server before this one had it.
    resumed: bool,
}

/// The reason of an end, as metrics name it: one of the protocol's, or `other`.
fn reason_label(reason: &str) -> &'static str {
    let known = ["stop", "length", "activity", "abort", "error", "iteration"];
    known.into_iter().find(|known| *known == reason).unwrap_or("other")
}

fn mint() -> Result<ChannelId, Refusal> {
    let mut bytes = [0; 18];
    getrandom::fill(&mut bytes).map_err(|error| {
        tracing::error!(%error, "the system gives no random bytes");
        Refusal::new(ErrorCode::InternalServerError, "the server could not draw a channel id")
    })?;
    Ok(ChannelId::from_random(bytes))
}

/// The first line of the last message of the person.
fn title(request: &CompleteRequest) -> String {
    let last = |wanted: fn(&&Message) -> bool| request.messages.iter().rev().find(wanted);
    let message = last(|message| message.kind == MessageKind::User).or_else(|| last(|_| true));
    let text = message.map_or("", |message| message.text.trim());
    let line = text.lines().next().unwrap_or_default().trim();
    if line.chars().count() <= LONGEST_TITLE {
        return line.to_owned();
    }
    let head: String = line.chars().take(LONGEST_TITLE - 1).collect();
    format!("{}…", head.trim_end())
}

#[cfg(test)]
#[path = "runs_tests.rs"]
mod tests;
