//! Where a run meets the server: its events go to a channel or into an answer.
//!
//! The run itself is the engine's; here its events are encoded, and watched for where the run stands.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::answers::HubAnswers;
use crate::engine::{About, Checkpoint, Engine, EventSink, Order, SinkClosed};
use crate::hub::{Append, ChannelKey, Hub, unix_millis};
use crate::measure::ModelMeters;
use crate::store::RunProgress;
use crate::wire::event::{RunError, Wait};
use crate::wire::request::{Limits, RunStatus, WaitingOn};
use crate::wire::{ApiError, ErrorCode, Event, EventKind, Object, ascii};

/// What executes runs, as the server needs it.
#[async_trait]
pub trait RunEngine: Send + Sync + 'static {
    /// Executes one run to its end, with its last event, `result` or `error`. When `cancel` is
    /// cancelled it emits `abort` and then `result` with the reason `abort`. With a checkpoint it goes on from there.
    async fn run(
        &self,
        order: &Order,
        from: Option<&Checkpoint>,
        sink: &RunSink,
        answers: &HubAnswers,
        cancel: &CancellationToken,
    );

    /// Whether an order can be carried out at all, before it is taken.
    ///
    /// # Errors
    /// What is wrong with it, naming the field.
    fn check(&self, order: &Order) -> Result<(), ApiError> {
        let _ = order;
        Ok(())
    }

    /// What is known of an order's run before it begins.
    fn about(&self, order: &Order) -> About {
        About {
            model: order.request.model.clone(),
            private: order.request.privacy == Some(true),
        }
    }

    /// The name of the model that answers when a request names none.
    fn model_name(&self) -> String;

    /// Whether that model is the built-in demo.
    fn is_demo(&self) -> bool;

    /// How long a run may take, where that is bounded: whoever takes its events too slowly is waited for no longer.
    fn longest_run(&self) -> Option<Duration> {
        None
    }

    /// What is counted of its model calls, where they are counted.
    fn meters(&self) -> Option<ModelMeters> {
        None
    }

    /// The bounds of a run, for `GET /v1/server`.
    fn limits(&self) -> Object {
        Object::new()
    }
}

#[async_trait]
impl RunEngine for Engine {
    async fn run(
        &self,
        order: &Order,
        from: Option<&Checkpoint>,
        sink: &RunSink,
        answers: &HubAnswers,
        cancel: &CancellationToken,
    ) {
        if Engine::run(self, order, from, sink, answers, cancel).await.is_err() {
            tracing::info!("a run was given up: nobody takes its events any more");
        }
    }

    fn check(&self, order: &Order) -> Result<(), ApiError> {
        Engine::check(self, order)
    }

    fn about(&self, order: &Order) -> About {
        Engine::about(self, order)
    }

    fn model_name(&self) -> String {
        Engine::model_name(self).to_owned()
    }

    fn is_demo(&self) -> bool {
        Engine::is_demo(self)
    }

    fn longest_run(&self) -> Option<Duration> {
        Some(Engine::limits(self).run)
    }

    fn meters(&self) -> Option<ModelMeters> {
        Engine::meters(self)
    }

    fn limits(&self) -> Object {
        let limits = Engine::limits(self);
        let granted = limits.granted();
        let numbers = |limits: &Limits| {
            Object::from_iter([
                ("iterations".to_owned(), limits.iterations.into()),
                ("calls".to_owned(), limits.calls.into()),
                ("continuations".to_owned(), limits.continuations.into()),
            ])
        };
        let mut shown = numbers(&limits.most());
        shown.insert("defaults".to_owned(), numbers(&granted).into());
        shown.insert("seconds".to_owned(), limits.run.as_secs().into());
        shown.insert("waitSeconds".to_owned(), limits.wait.min(limits.run).as_secs().into());
        shown
    }
}

/// Where a run's events go.
pub struct RunSink {
    target: Target,
    outcome: OnceLock<Outcome>,
}

/// How a run ended, as far as a log may say it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Outcome {
    /// The reason of its result, or `error`.
    pub(super) reason: String,
    /// The code of its error.
    pub(super) code: Option<String>,
    /// What it used.
    pub(super) tokens: u64,
}

impl Outcome {
    /// What an event says about it; `None` if it is not the last one.
    fn of(event: &EventKind) -> Option<Self> {
        match event {
            EventKind::Result(result) => Some(Self {
                reason: result.end.reason.clone(),
                code: None,
                tokens: result.usage.token,
            }),
            EventKind::Error(error) => Some(Self {
                reason: "error".to_owned(),
                code: error.code.clone(),
                tokens: 0,
            }),
            _ => None,
        }
    }
}

enum Target {
    Channel {
        hub: Arc<dyn Hub>,
        key: ChannelKey,
        progress: Mutex<RunProgress>,
        slot: Slot,
        /// Whether there is a checkpoint to go on from.
        kept: AtomicBool,
    },
    Answer(Answering),
}

/// The answer to a client that a run's events go into.
struct Answering {
    events: mpsc::Sender<Event>,
    /// A place for the last event, which waits for nobody.
    last: Mutex<Option<mpsc::OwnedPermit<Event>>>,
    progress: Mutex<RunProgress>,
    slot: Slot,
    /// How long the run may take, and, once it has begun, until when.
    longest: Option<Duration>,
    deadline: OnceLock<Option<Instant>>,
}

impl Answering {
    async fn begin(&self) {
        self.slot.take().await;
        let deadline = self.longest.and_then(|longest| Instant::now().checked_add(longest));
        let _ = self.deadline.set(deadline);
    }

    /// Waits for a client that is slow, for as long as the run may take; then that is how the run ended.
    async fn send(&self, event: Event, outcome: &OnceLock<Outcome>) -> Result<(), SinkClosed> {
        if Outcome::of(&event.kind).is_some() {
            return self.send_last(event);
        }
        let place = self.events.reserve();
        let place = match self.deadline.get().copied().flatten() {
            Some(deadline) => tokio::time::timeout_at(deadline, place).await,
            None => Ok(place.await),
        };
        let Ok(place) = place else {
            let error = EventKind::Error(Box::new(RunError {
                message: "the run's time passed while its client took too little of the answer".to_owned(),
                code: Some(ErrorCode::Timeout.to_string()),
                extra: Object::new(),
            }));
            if let Some(ended) = Outcome::of(&error) {
                // It may have come to its end already, and its client will not hear of that.
                let _ = outcome.set(ended);
            }
            self.send_last(error.into())?;
            return Err(SinkClosed);
        };
        let moved = {
            let mut progress = locked(&self.progress);
            advance(&mut progress, &event.kind).then_some(progress.status)
        };
        place.map_err(|_| SinkClosed)?.send(event);
        self.slot.follow(moved).await;
        Ok(())
    }

    fn send_last(&self, event: Event) -> Result<(), SinkClosed> {
        let place = locked(&self.last).take().filter(|_| !self.events.is_closed());
        place.ok_or(SinkClosed)?.send(event);
        Ok(())
    }
}

/// A run's place among those that go on at once. A run that waits for answers has none.
pub(super) struct Slot {
    slots: Arc<Semaphore>,
    held: Mutex<Option<OwnedSemaphorePermit>>,
    cancel: CancellationToken,
}

impl Slot {
    pub(super) fn new(slots: Arc<Semaphore>, cancel: CancellationToken) -> Self {
        Self {
            slots,
            held: Mutex::default(),
            cancel,
        }
    }

    fn held(&self) -> MutexGuard<'_, Option<OwnedSemaphorePermit>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a place; a run that is cancelled needs none to say so.
    async fn take(&self) {
        if self.held().is_some() {
            return;
        }
        let permit = tokio::select! {
            () = self.cancel.cancelled() => None,
            permit = Arc::clone(&self.slots).acquire_owned() => permit.ok(),
        };
        *self.held() = permit;
    }

    fn give_back(&self) {
        self.held().take();
    }

    /// Gives the place back when the run begins to wait, and takes one again when it goes on. A run is one task, which
    /// says nothing else meanwhile.
    async fn follow(&self, moved: Option<RunStatus>) {
        match moved {
            Some(RunStatus::Waiting) => self.give_back(),
            Some(RunStatus::Running) => self.take().await,
            _ => {}
        }
    }
}

impl RunSink {
    /// Into a channel, for a run that stands at `progress`, with a checkpoint or (not `kept`) at its beginning.
    pub(super) fn channel(hub: Arc<dyn Hub>, key: ChannelKey, progress: RunProgress, kept: bool, slot: Slot) -> Self {
        Self {
            target: Target::Channel {
                hub,
                key,
                progress: Mutex::new(progress),
                slot,
                kept: AtomicBool::new(kept),
            },
            outcome: OnceLock::new(),
        }
    }

    /// Into an answer, for a run that may take so long. The queue of events keeps one place for the last one.
    pub(super) fn answer(events: mpsc::Sender<Event>, longest: Option<Duration>, slot: Slot) -> Self {
        let last = events.clone().try_reserve_owned().ok();
        Self {
            target: Target::Answer(Answering {
                events,
                last: Mutex::new(last),
                progress: Mutex::new(RunProgress::queued()),
                slot,
                longest,
                deadline: OnceLock::new(),
            }),
            outcome: OnceLock::new(),
        }
    }

    /// Whether the run's last event has been emitted.
    pub(super) fn has_ended(&self) -> bool {
        self.outcome.get().is_some()
    }

    /// How the run ended, once it has.
    pub(super) fn outcome(&self) -> Option<&Outcome> {
        self.outcome.get()
    }

    /// Whether nobody takes the events any more because the client of an answer has left.
    pub(super) fn is_abandoned(&self) -> bool {
        matches!(&self.target, Target::Answer(answer) if answer.events.is_closed())
    }

    /// Waits for the run's turn and says that it goes on; with a seam that event comes first.
    pub(super) async fn begin(&self, seam: Option<Event>) {
        let (hub, key, progress, slot) = match &self.target {
            Target::Answer(answer) => return answer.begin().await,
            Target::Channel {
                hub,
                key,
                progress,
                slot,
                ..
            } => (hub, key, progress, slot),
        };
        slot.take().await;
        let progress = {
            let mut progress = locked(progress);
            progress.status = RunStatus::Running;
            progress.waiting.clear();
            progress.restarts += u32::from(seam.is_some());
            progress.clone()
        };
        let append = Append {
            key: key.clone(),
            events: seam.iter().map(|event| ascii::to_json(event).into()).collect(),
            progress: Some(progress),
            checkpoint: None,
        };
        if hub.append(append).await.is_err() {
            tracing::debug!("a run begins while the server stops");
        }
    }
}

impl RunSink {
    /// Leaves the run for a later server. What it shows of an iteration that has not ended is superseded with the
    /// seam; then it is queued, and begins from its last checkpoint. A wait whose beginning is kept stays as it is.
    pub(super) async fn pause(&self, seam: Event) {
        let Target::Channel {
            hub,
            key,
            progress,
            kept,
            ..
        } = &self.target
        else {
            return;
        };
        let progress = {
            let mut progress = locked(progress);
            let waits = progress.status == RunStatus::Waiting && kept.load(Ordering::Acquire);
            if waits || self.has_ended() || progress.status == RunStatus::Queued {
                return;
            }
            progress.status = RunStatus::Queued;
            progress.waiting.clear();
            progress.clone()
        };
        let append = Append {
            key: key.clone(),
            events: vec![ascii::to_json(&seam).into()],
            progress: Some(progress),
            checkpoint: None,
        };
        // A hub that takes nothing more ends with the run as it is: it is gone on with all the same.
        let _ = hub.append(append).await;
    }

    /// Ends the run with an `error` that says why.
    pub(super) async fn give_up(&self, why: &str) {
        let error = RunError {
            message: why.to_owned(),
            code: Some(ErrorCode::InternalServerError.to_string()),
            extra: Object::new(),
        };
        if self.emit(EventKind::Error(Box::new(error)).into()).await.is_err() {
            tracing::warn!("the end of a run could not be recorded");
        }
    }
}

impl EventSink for RunSink {
    async fn emit(&self, event: Event) -> Result<(), SinkClosed> {
        self.take(vec![event], None).await
    }

    async fn emit_all(&self, events: Vec<Event>) -> Result<(), SinkClosed> {
        self.take(events, None).await
    }

    async fn keep(&self, event: Event, checkpoint: Checkpoint) -> Result<(), SinkClosed> {
        self.take(vec![event], Some(checkpoint)).await
    }
}

impl RunSink {
    /// Takes events that belong together; the checkpoint is of where the run stands after the last one.
    async fn take(&self, events: Vec<Event>, checkpoint: Option<Checkpoint>) -> Result<(), SinkClosed> {
        if self.has_ended() {
            return Err(SinkClosed);
        }
        if let Some(outcome) = events.iter().find_map(|event| Outcome::of(&event.kind)) {
            // It has not ended before: that was looked at right above, and a run is one task.
            let _ = self.outcome.set(outcome);
        }
        match &self.target {
            Target::Answer(answer) => {
                for event in events {
                    answer.send(event, &self.outcome).await?;
                }
                Ok(())
            }
            Target::Channel {
                hub,
                key,
                progress,
                slot,
                kept,
            } => {
                if checkpoint.is_some() {
                    kept.store(true, Ordering::Release);
                }
                let moved = {
                    let mut progress = locked(progress);
                    let mut moved = false;
                    for event in &events {
                        moved |= advance(&mut progress, &event.kind);
                    }
                    // It has come further than it was at the restarts.
                    if checkpoint.is_some() && progress.restarts > 0 {
                        progress.restarts = 0;
                        moved = true;
                    }
                    moved.then(|| progress.clone())
                };
                let status = moved.as_ref().map(|progress| progress.status);
                let append = Append {
                    key: key.clone(),
                    events: encoded(&events),
                    progress: moved,
                    checkpoint: checkpoint.map(Checkpoint::into_bytes),
                };
                hub.append(append).await.map_err(|_| SinkClosed)?;
                slot.follow(status).await;
                Ok(())
            }
        }
    }
}

/// Events as ASCII JSON; all of them lie in one piece of memory.
fn encoded(events: &[Event]) -> Vec<Bytes> {
    let mut json = Vec::with_capacity(128 * events.len());
    let ends: Vec<usize> = events
        .iter()
        .map(|event| {
            ascii::write_json(&mut json, event);
            json.len()
        })
        .collect();
    let json = Bytes::from(json);
    let mut start = 0;
    ends.into_iter()
        .map(|end| json.slice(std::mem::replace(&mut start, end)..end))
        .collect()
}

fn locked<T>(state: &Mutex<T>) -> MutexGuard<'_, T> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes an event into account; says whether the run stands elsewhere with it.
fn advance(progress: &mut RunProgress, event: &EventKind) -> bool {
    match event {
        EventKind::WaitBegin(wait) => {
            progress.waiting.push(WaitingOn {
                function: wait.function.name.clone(),
                channel: wait.channel.clone(),
                call: call_of(wait),
                expires_at: wait.expires_at,
            });
            progress.status = RunStatus::Waiting;
        }
        EventKind::WaitEnd(wait) => {
            let id = call_of(wait);
            let ended = |call: &WaitingOn| {
                call.function == wait.function.name && call.channel == wait.channel && call.call == id
            };
            if let Some(at) = progress.waiting.iter().position(ended) {
                progress.waiting.remove(at);
            }
            if progress.waiting.is_empty() {
                progress.status = RunStatus::Running;
            }
        }
        EventKind::Result(result) => end(progress, RunStatus::Ended, &result.end.reason),
        EventKind::Error(_) => end(progress, RunStatus::Failed, "error"),
        _ => return false,
    }
    true
}

/// The id of the call that waits, as the engine says it.
fn call_of(wait: &Wait) -> Option<String> {
    wait.extra.get("id").and_then(|id| id.as_str()).map(str::to_owned)
}

fn end(progress: &mut RunProgress, status: RunStatus, reason: &str) {
    progress.status = status;
    progress.waiting.clear();
    progress.ended_at = Some(unix_millis());
    progress.end_reason = Some(reason.to_owned());
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn kind(value: serde_json::Value) -> EventKind {
        Event::from_json(&value.to_string()).expect("an event").kind
    }

    #[test]
    fn a_run_waits_until_every_wait_has_ended() {
        let wait = |name: &str, function: &str| {
            kind(json!({"type": name, "data": {"channel": "c", "function": {"name": function, "args": {}}}}))
        };
        let mut progress = RunProgress::queued();
        assert!(advance(&mut progress, &wait("waitForChannelMessageBegin", "a")));
        assert!(advance(&mut progress, &wait("waitForChannelMessageBegin", "b")));
        assert_eq!((progress.status, progress.waiting.len()), (RunStatus::Waiting, 2));
        assert!(advance(&mut progress, &wait("waitForChannelMessageEnd", "a")));
        let left: Vec<(&str, &str)> = progress
            .waiting
            .iter()
            .map(|call| (call.function.as_str(), call.channel.as_str()))
            .collect();
        assert_eq!(left, [("b", "c")]);
        assert_eq!(progress.status, RunStatus::Waiting);
        assert!(advance(&mut progress, &wait("waitForChannelMessageEnd", "b")));
        assert_eq!(progress.status, RunStatus::Running);
        assert!(!advance(&mut progress, &Event::token("x").kind));
        assert!(advance(
            &mut progress,
            &kind(json!({"type": "result", "data": {"end": {"reason": "stop"}}}))
        ));
        assert_eq!(progress.status, RunStatus::Ended);
        assert_eq!(progress.end_reason.as_deref(), Some("stop"));
        assert!(progress.ended_at.is_some());
    }
}
