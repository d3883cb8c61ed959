//! The runs of a server: accepted durably, executed by tasks of their own, cancelled, counted.
//!
//! What a run does is the engine's, where it stands is kept with its channel in the hub; here are the
//! tasks, so that a run goes on whether or not anyone is connected.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use futures::FutureExt;
use sha2::{Digest, Sha256};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use super::engine::{HubAnswers, RunEngine, RunSink};
use super::error::Refusal;
use crate::engine::EventSink;
use crate::hub::{AccountId, Begun, ChannelKey, Hub, HubError, unix_millis};
use crate::store::{RunProgress, RunRecord};
use crate::wire::event::RunError;
use crate::wire::{
    ChannelId, CompleteRequest, DispatchRequest, ErrorCode, Event, EventKind, Message, MessageKind, Object, ascii,
};

/// The longest title of a run, in characters.
const LONGEST_TITLE: usize = 80;
/// How many events of a `complete` wait for a slow client before the run waits.
const ANSWER_QUEUE: usize = 256;

/// Starts, cancels and ends runs.
#[derive(Clone)]
pub(super) struct Runs {
    hub: Arc<dyn Hub>,
    engine: Arc<dyn RunEngine>,
    slots: Arc<Semaphore>,
    live: Arc<Mutex<HashMap<ChannelKey, CancellationToken>>>,
    tracker: TaskTracker,
    stop: CancellationToken,
}

impl Runs {
    pub(super) fn new(hub: Arc<dyn Hub>, engine: Arc<dyn RunEngine>, in_flight: usize) -> Self {
        Self {
            hub,
            engine,
            slots: Arc::new(Semaphore::new(in_flight.clamp(1, Semaphore::MAX_PERMITS))),
            live: Arc::default(),
            tracker: TaskTracker::new(),
            stop: CancellationToken::new(),
        }
    }

    fn live(&self) -> MutexGuard<'_, HashMap<ChannelKey, CancellationToken>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a run durably and starts it; the same dispatch again is answered the same and starts nothing.
    pub(super) async fn dispatch(&self, account: AccountId, request: DispatchRequest) -> Result<ChannelId, Refusal> {
        let channel = match &request.channel_id {
            Some(channel) => channel.clone(),
            None => mint()?,
        };
        let body = ascii::to_json(&request.complete);
        let key = ChannelKey {
            account,
            channel: channel.clone(),
        };
        let record = RunRecord {
            key,
            digest: Sha256::digest(&body).into(),
            request: body.into(),
            title: title(&request.complete),
            model: request
                .complete
                .model
                .clone()
                .unwrap_or_else(|| self.engine.model_name()),
            created_at: unix_millis(),
            progress: RunProgress::queued(),
        };
        // A task of its own: the run must start even if the client leaves while it is being stored.
        let (answer, answered) = oneshot::channel();
        let runs = self.clone();
        self.tracker
            .spawn(async move { runs.begin(record, request.complete, answer).await });
        match answered.await {
            Ok(result) => result.map(|()| channel).map_err(Refusal::from),
            Err(_) => Err(HubError::Stopped.into()),
        }
    }

    async fn begin(self, record: RunRecord, request: CompleteRequest, answer: oneshot::Sender<Result<(), HubError>>) {
        let key = record.key.clone();
        let events: Vec<Bytes> = request
            .new_messages()
            .iter()
            .map(|message| ascii::to_json(&Event::from(EventKind::Message(Box::new(message.clone())))).into())
            .collect();
        let begun = self.hub.begin(record, events).await;
        let cancel = self.stop.child_token();
        if begun == Ok(Begun::New) {
            self.live().insert(key.clone(), cancel.clone());
        }
        // Nobody to tell if the client has gone.
        let _ = answer.send(begun.clone().map(|_| ()));
        if begun != Ok(Begun::New) {
            return;
        }
        let sink = RunSink::channel(Arc::clone(&self.hub), key.clone());
        self.execute(&key.account, &request, &sink, &cancel).await;
        self.live().remove(&key);
    }

    /// Executes a run inline: its events arrive on the receiver; dropping it or the guard cancels the run.
    pub(super) fn complete(&self, account: AccountId, request: CompleteRequest) -> (mpsc::Receiver<Event>, DropGuard) {
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
                () = runs.execute(&account, &request, &sink, &cancel) => {}
            }
        });
        (receiver, guard)
    }

    async fn execute(
        &self,
        account: &AccountId,
        request: &CompleteRequest,
        sink: &RunSink,
        cancel: &CancellationToken,
    ) {
        let _slot = tokio::select! {
            // A run that is cancelled before its turn still says so in its channel.
            () = cancel.cancelled() => None,
            slot = self.slots.acquire() => slot.ok(),
        };
        sink.begin().await;
        let answers = HubAnswers::new(Arc::clone(&self.hub), account.clone());
        let run = std::panic::AssertUnwindSafe(self.engine.run(request, sink, &answers, cancel));
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
            if sink.emit(EventKind::Error(Box::new(error)).into()).await.is_err() {
                tracing::warn!("the end of a run could not be recorded");
            }
        }
    }

    /// Stops the run of a channel; one that is over already stays as it is.
    pub(super) async fn cancel(&self, key: &ChannelKey) -> Result<(), Refusal> {
        let token = self.live().get(key).cloned();
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
    use super::*;

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
