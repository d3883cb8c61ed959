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
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use super::engine::{HubAnswers, RunEngine, RunSink};
use super::error::Refusal;
use crate::engine::{EventSink, Order};
use crate::hub::{AccountId, Begun, ChannelKey, Hub, HubError, unix_millis};
use crate::store::{RunProgress, RunRecord};
use crate::wire::event::RunError;
use crate::wire::{ChannelId, CompleteRequest, ErrorCode, Event, EventKind, Message, MessageKind, Object, ascii};

/// The longest title of a run, in characters.
const LONGEST_TITLE: usize = 80;
/// When to dispatch again after the queue was full.
const QUEUE_FULL: Duration = Duration::from_secs(5);
/// How many events of a `complete` wait for a slow client before the run waits.
const ANSWER_QUEUE: usize = 256;

/// What cancels the run of a channel, from before it can be seen. Dispatches of one channel that come at once share it:
/// at most one of them becomes its run.
struct Live {
    cancel: CancellationToken,
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
    slots: Arc<Semaphore>,
    most_live: usize,
    live: Arc<Mutex<HashMap<ChannelKey, Live>>>,
    tracker: TaskTracker,
    stop: CancellationToken,
}

impl Runs {
    pub(super) fn new(hub: Arc<dyn Hub>, engine: Arc<dyn RunEngine>, in_flight: usize, most_live: usize) -> Self {
        Self {
            hub,
            engine,
            slots: Arc::new(Semaphore::new(in_flight.clamp(1, Semaphore::MAX_PERMITS))),
            most_live,
            live: Arc::default(),
            tracker: TaskTracker::new(),
            stop: CancellationToken::new(),
        }
    }

    fn live(&self) -> MutexGuard<'_, HashMap<ChannelKey, Live>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hold(&self, key: &ChannelKey) -> Holder {
        let mut live = self.live();
        let entry = live.entry(key.clone()).or_insert_with(|| Live {
            cancel: self.stop.child_token(),
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
        self.engine.check(&order)?;
        let channel = match &channel_id {
            Some(channel) => channel.clone(),
            None => mint()?,
        };
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
            model: order.request.model.clone().unwrap_or_else(|| self.engine.model_name()),
            created_at: unix_millis(),
            private: order.request.privacy == Some(true),
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
        let sink = RunSink::channel(Arc::clone(&self.hub), key.clone());
        self.execute(&key.account, &order, &sink, &holder.cancel).await;
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
            tokio::select! {
                () = left => {}
                () = runs.execute(&account, &order, &sink, &cancel) => {}
            }
        });
        Ok((receiver, guard))
    }

    async fn execute(&self, account: &AccountId, order: &Order, sink: &RunSink, cancel: &CancellationToken) {
        let _slot = tokio::select! {
            // A run that is cancelled before its turn still says so in its channel.
            () = cancel.cancelled() => None,
            slot = self.slots.acquire() => slot.ok(),
        };
        sink.begin().await;
        let answers = HubAnswers::new(Arc::clone(&self.hub), account.clone());
        let run = std::panic::AssertUnwindSafe(self.engine.run(order, None, sink, &answers, cancel));
        let panicked = run.catch_unwind().await.is_err();
        if panicked {
            tracing::error!("a run panicked");
        }
        if !sink.has_ended() && !sink.is_abandoned() {
            // Every run ends with a last event, or its readers would wait for ever.
            let error = RunError {
                message: "the run broke off; the server's log says why".to_owned(),
                code: Some(ErrorCode::InternalServerError.to_string()),
                extra: Object::new(),
            };
            // A client that left its completion has cancelled it: there is nobody to tell, and nothing lost.
            if sink.emit(EventKind::Error(Box::new(error)).into()).await.is_err() && !cancel.is_cancelled() {
                tracing::warn!("the end of a run could not be recorded");
            }
        }
    }

    /// Stops the run of a channel; one that is over already stays as it is.
    pub(super) async fn cancel(&self, key: &ChannelKey) -> Result<(), Refusal> {
        let token = self.live().get(key).map(|live| live.cancel.clone());
        match token {
            Some(token) => {
                token.cancel();
                Ok(())
            }
            None if self.hub.run(key).await.is_some() => Ok(()),
            None => Err(Refusal::new(ErrorCode::NotFound, "this channel has no run")),
        }
    }

    /// Cancels every run and waits until each has said so.
    pub(super) async fn stop(&self) {
        self.stop.cancel();
        self.tracker.close();
        self.tracker.wait().await;
    }
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
    use crate::engine::Checkpoint;
    use crate::hub::{HubOptions, MemoryHub};
    use crate::store::{Recovered, Store, StoreError, Transaction};

    /// Takes its time for each commit.
    struct Slow;

    #[async_trait]
    impl Store for Slow {
        async fn commit(&self, _: &Transaction) -> Result<(), StoreError> {
            tokio::time::sleep(Duration::from_millis(10)).await;
            Ok(())
        }

        async fn recover(&self) -> Result<Recovered, StoreError> {
            Ok(Recovered::default())
        }
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
        let runs = Runs::new(Arc::clone(&hub), Arc::new(Endless), 8, 8);
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
        let runs = Runs::new(Arc::new(hub), Arc::new(Endless), 1, 2);
        let account = AccountId::new("one");
        let dispatch = |number: u8| {
            let channel = ChannelId::from_random([number; 18]);
            runs.dispatch(account.clone(), Some(channel), CompleteRequest::prompt("a").into())
        };
        assert!(dispatch(1).await.is_ok() && dispatch(2).await.is_ok());
        let refusal = dispatch(3).await.expect_err("there are two");
        assert!(format!("{refusal:?}").contains("LimitsReached"), "{refusal:?}");
        assert!(dispatch(2).await.is_ok());
        runs.stop().await;
        assert!(runs.live().is_empty());
        assert!(dispatch(3).await.is_ok(), "the others have ended");
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
