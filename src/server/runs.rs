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

use super::engine::{HubAnswers, RunEngine, RunSink, Slot};
use super::error::Refusal;
use crate::engine::{Checkpoint, Order};
use crate::hub::{AccountId, Begun, ChannelKey, Hub, HubError, unix_millis};
use crate::measure::{ReasonLabel, RunMeters};
use crate::store::{RecoveredRun, RunProgress, RunRecord};
use crate::wire::event::{ABORT_SERVER_RESTARTED, Abort};
use crate::wire::request::RunStatus;
use crate::wire::{ChannelId, CompleteRequest, ErrorCode, Event, EventKind, Message, MessageKind, ascii};

/// The longest title of a run, in characters.
const LONGEST_TITLE: usize = 80;
/// When to dispatch again after the queue was full.
const QUEUE_FULL: Duration = Duration::from_secs(5);
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

/// Keeps the entry of a channel as long as a dispatch or its run needs it.
struct Holder {
    runs: Runs,
    key: ChannelKey,
    cancel: CancellationToken,
}

impl Drop for Holder {
    fn drop(&mut self) {
        let mut live = self.runs.live();
        if let Some(entry) = live.get_mut(&self.key) {
            entry.holders -= 1;
            if entry.holders == 0 {
                entry.over.cancel();
                live.remove(&self.key);
            }
        }
    }
}

/// Starts, cancels and ends runs.
#[derive(Clone)]
pub(super) struct Runs {
    hub: Arc<dyn Hub>,
    engine: Arc<dyn RunEngine>,
    meters: RunMeters,
    slots: Arc<Semaphore>,
    most_live: usize,
    live: Arc<Mutex<HashMap<ChannelKey, Live>>>,
    tracker: TaskTracker,
    /// Nothing more is taken, and the runs that are executed inline are cancelled.
    stop: CancellationToken,
    /// Ends the tasks of the other runs wherever they are: a later server goes on with them.
    halt: CancellationToken,
}

impl Runs {
    pub(super) fn new(
        hub: Arc<dyn Hub>,
        engine: Arc<dyn RunEngine>,
        meters: RunMeters,
        in_flight: usize,
        most_live: usize,
    ) -> Self {
        Self {
            hub,
            engine,
            meters,
            slots: Arc::new(Semaphore::new(in_flight.clamp(1, Semaphore::MAX_PERMITS))),
            most_live,
            live: Arc::default(),
            tracker: TaskTracker::new(),
            stop: CancellationToken::new(),
            halt: CancellationToken::new(),
        }
    }

    fn live(&self) -> MutexGuard<'_, HashMap<ChannelKey, Live>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hold(&self, key: &ChannelKey) -> Holder {
        let mut live = self.live();
        let entry = live.entry(key.clone()).or_insert_with(|| Live {
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

    /// Takes a run durably and starts it; the same dispatch again is answered the same and starts nothing.
    pub(super) async fn dispatch(
        &self,
        account: AccountId,
        channel_id: Option<ChannelId>,
        mut order: Order,
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
        order.asked_at = Some(record.created_at);
        let live = self.live().len();
        // One that is repeated is no run more.
        if live >= self.most_live && self.hub.run(&record.key).await.is_none() {
            return Err(Refusal::new(
                ErrorCode::LimitsReached,
                format!("{live} runs have not ended, and the server takes no more: dispatch again when some have"),
            )
            .retry_after(QUEUE_FULL));
        }
        // A task of its own: the run must start even if the client leaves while it is being stored.
        let (answer, answered) = oneshot::channel();
        let runs = self.clone();
        self.tracker
            .spawn(async move { runs.begin(record, order, answer).await });
        match answered.await {
            Ok(result) => result.map(|()| channel).map_err(Refusal::from),
            Err(_) => Err(HubError::Stopped.into()),
        }
    }

    async fn begin(self, record: RunRecord, order: Order, answer: oneshot::Sender<Result<(), HubError>>) {
        let key = record.key.clone();
        let events: Vec<Bytes> = order
            .request
            .new_messages()
            .iter()
            .map(|message| ascii::to_json(&Event::from(EventKind::Message(Box::new(message.clone())))).into())
            .collect();
        // Before the first event can be seen: whoever sees it may cancel the run at once.
        let holder = self.hold(&key);
        let begun = self.hub.begin(record, events).await;
        // Nobody to tell if the client has gone.
        let _ = answer.send(begun.clone().map(|_| ()));
        if begun != Ok(Begun::New) {
            return;
        }
        self.meters.dispatched.inc();
        let from = From {
            progress: RunProgress::queued(),
            checkpoint: None,
        };
        self.go_on(&key, &order, from, &holder.cancel).await;
    }

    /// Goes on with runs that had not ended when a server did. Each can be cancelled when this returns.
    pub(super) fn resume(&self, runs: Vec<RecoveredRun>) {
        for run in runs {
            let key = run.record.key.clone();
            let holder = self.hold(&key);
            let runs = self.clone();
            self.tracker.spawn(async move {
                let from = From {
                    progress: run.record.progress,
                    checkpoint: run.checkpoint.map(Checkpoint::new),
                };
                match serde_json::from_slice::<Order>(&run.record.order) {
                    Ok(mut order) => {
                        order.asked_at = Some(run.record.created_at);
                        runs.go_on(&key, &order, from, &holder.cancel).await;
                    }
                    Err(error) => {
                        // What the error says besides may repeat a text.
                        tracing::error!(column = error.column(), run = %key.channel.short(), "a kept run cannot be understood");
                        let sink = runs.sink(&key, &from, &holder.cancel);
                        sink.give_up("this version of the server does not understand what was kept of the run")
                            .await;
                    }
                }
            });
        }
    }

    fn sink(&self, key: &ChannelKey, from: &From, cancel: &CancellationToken) -> RunSink {
        let slot = Slot::new(Arc::clone(&self.slots), cancel.clone());
        let (progress, kept) = (from.progress.clone(), from.checkpoint.is_some());
        RunSink::channel(Arc::clone(&self.hub), key.clone(), progress, kept, slot)
    }

    /// Executes the run of a channel from where it stands, until it ends or the server does.
    async fn go_on(&self, key: &ChannelKey, order: &Order, from: From, cancel: &CancellationToken) {
        let sink = self.sink(key, &from, cancel);
        let From { progress, checkpoint } = from;
        let work = async {
            // A wait goes on as if nothing had happened, if what it began from is known.
            let waits = progress.status == RunStatus::Waiting && checkpoint.is_some();
            let begun = progress.status != RunStatus::Queued;
            if begun && !waits && progress.restarts >= MOST_RESTARTS {
                let said = format!(
                    "the server restarted {} times in the middle of this run, so it was given up",
                    progress.restarts + 1
                );
                return sink.give_up(&said).await;
            }
            if !waits {
                let seam = begun.then(seam);
                sink.begin(seam).await;
            }
            let answers = HubAnswers::of_run(Arc::clone(&self.hub), key.clone());
            tracing::info!(
                run = %key.channel.short(),
                account = key.account.as_str(),
                model = self.model_of(order).as_str(),
                restarts = progress.restarts,
                "a run begins"
            );
            let begun = Instant::now();
            self.execute(order, checkpoint.as_ref(), &sink, &answers, cancel).await;
            self.ended(&key.channel.short(), key.account.as_str(), begun, &sink);
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
        let (events, receiver) = mpsc::channel(ANSWER_QUEUE);
        let cancel = self.stop.child_token();
        let guard = cancel.clone().drop_guard();
        let runs = self.clone();
        self.tracker.spawn(async move {
            let sink = RunSink::answer(events.clone());
            let left = async {
                events.closed().await;
                cancel.cancel();
                std::future::pending::<()>().await;
            };
            let name = account.clone();
            let answers = HubAnswers::inline(Arc::clone(&runs.hub), account);
            let work = async {
                let begun = Instant::now();
                let _slot = tokio::select! {
                    // A run that is cancelled before its turn still says so.
                    () = cancel.cancelled() => None,
                    slot = runs.slots.acquire() => slot.ok(),
                };
                tracing::info!(
                    account = name.as_str(),
                    model = runs.model_of(&order).as_str(),
                    "an inline run begins"
                );
                runs.execute(&order, None, &sink, &answers, &cancel).await;
                runs.ended("inline", name.as_str(), begun, &sink);
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

    /// Counts a run that has ended, and says so.
    fn ended(&self, run: &str, account: &str, begun: Instant, sink: &RunSink) {
        let Some(outcome) = sink.outcome() else { return };
        let reason = reason_label(&outcome.reason);
        self.meters.ended.get_or_create(&ReasonLabel { reason }).inc();
        tracing::info!(
            run,
            account,
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
            self.live().values().for_each(|live| live.cancel.cancel());
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

/// Where a run goes on.
struct From {
    progress: RunProgress,
    checkpoint: Option<Checkpoint>,
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
mod tests {
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
        async fn run(
            &self,
            _: &Order,
            _: Option<&Checkpoint>,
            sink: &RunSink,
            _: &HubAnswers,
            cancel: &CancellationToken,
        ) {
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

    #[tokio::test(start_paused = true)]
    async fn a_run_can_be_cancelled_before_it_is_stored() {
        let hub: Arc<dyn Hub> = Arc::new(MemoryHub::start(HubOptions::default(), Arc::new(Slow)));
        let runs = Runs::new(Arc::clone(&hub), Arc::new(Endless), RunMeters::default(), 8, 8);
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
        assert!(runs.live().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn more_runs_than_are_allowed_are_refused_and_a_repeated_one_is_not() {
        let hub = MemoryHub::start(HubOptions::default(), Arc::new(Slow));
        let runs = Runs::new(Arc::new(hub), Arc::new(Endless), RunMeters::default(), 1, 2);
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
        assert!(runs.live().is_empty());
        let refusal = dispatch(3).await.expect_err("it takes no more");
        assert!(format!("{refusal:?}").contains("ServiceUnavailable"), "{refusal:?}");
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
}
