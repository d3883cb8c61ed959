//! The results of a model call's function calls: what is known at once, then side by side the waits, unless they share
//! a channel, and what the run carries out itself.
//!
//! One loop takes the answers as they come and tells each step; nothing else emits meanwhile, so that every event is
//! kept with what the run stands at. What an answer means is in `functions`.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep_until, timeout};

use super::checkpoint::{Pending, Stage};
use super::functions::{self, Source};
use super::own::Gave;
use super::run::{Run, Stop};
use super::{AnswerListener, Answers, EventSink, json_bytes};
use crate::llm::ToolCall;
use crate::wire::event::{Activity, ActivityFunction, ActivityKind, Operation, Wait, WaitFunction};
use crate::wire::{ChannelId, EventKind, Message, Object};

/// How many calls the run carries out itself at the same time; the others follow.
const MOST_AT_ONCE: usize = 4;

/// What a call has come to.
enum Came {
    /// Its wait ended.
    Heard(Heard),
    /// It was carried out.
    Gave(Gave),
}

/// How a wait ended.
enum Heard {
    /// With a message.
    Message(Value),
    /// No message can come any more.
    Nothing,
    /// It took too long.
    TooLate,
}

/// What goes on: which call each is for, and what it has come to.
type Waits<'a> = FuturesUnordered<BoxFuture<'a, (usize, Came)>>;

impl<'a, S: EventSink, A: Answers> Run<'a, S, A> {
    /// Gets the results of the pending calls.
    pub(super) async fn answer(&mut self) -> Result<(), Stop> {
        self.gathered = self.chat.added_bytes();
        for at in 0..self.state.pending.len() {
            let bytes = match &self.state.pending[at].stage {
                Stage::Answered(result) | Stage::Done(result) => json_bytes(result),
                Stage::Told => json_bytes(&functions::data(&self.functions, &self.state.pending[at].call.name)),
                _ => 0,
            };
            self.gathered = self.gathered.saturating_add(bytes);
        }
        // After a restart: a wait had ended, and its result was not told yet.
        while let Some((at, result)) = self.find(|call| match &call.stage {
            Stage::Answered(result) => Some(result.clone()),
            _ => None,
        }) {
            self.respond(at, result).await?;
        }
        while let Some((at, result)) = self.find(|call| match (&call.source, &call.stage) {
            (Source::Known(result) | Source::Refused(result), Stage::Requested) => Some(result.clone()),
            (Source::Data, Stage::Requested) => Some(functions::data(&self.functions, &call.call.name).into_owned()),
            _ => None,
        }) {
            self.gather(&result)?;
            self.respond(at, result).await?;
        }
        self.all_at_once().await?;
        while let Some((at, ())) = self.find(|call| (call.stage == Stage::Deferred).then_some(())) {
            self.state.pending[at].stage = Stage::Requested;
            let request = activity(ActivityKind::Request, &self.state.pending[at].call, None);
            self.keep(request).await?;
        }
        Ok(())
    }

    async fn all_at_once(&mut self) -> Result<(), Stop> {
        let mut waits = Waits::new();
        // Of the calls that share a channel the first one waits, the others follow in their order.
        let mut channels: Vec<ChannelId> = Vec::new();
        while let Some((at, channel)) = self.find(|call| match (&call.source, &call.stage) {
            (Source::Channel(channel), Stage::Requested | Stage::Waiting { .. }) if !channels.contains(channel) => {
                Some(channel.clone())
            }
            _ => None,
        }) {
            self.begin_wait(at, &channel, &mut waits).await?;
            channels.push(channel);
        }
        // What had begun before a restart is done again: it has no effect outside of the run.
        let begun = |call: &Pending| (call.stage == Stage::Begun).then_some(());
        let again: Vec<usize> = (0..self.state.pending.len())
            .filter(|at| begun(&self.state.pending[*at]).is_some())
            .collect();
        let mut busy = again.len();
        for at in again {
            self.carry_out(at, &mut waits);
        }
        loop {
            while busy < MOST_AT_ONCE
                && let Some((at, ())) =
                    self.find(|call| (call.source == Source::Own && call.stage == Stage::Requested).then_some(()))
            {
                self.begin_own(at, &mut waits).await?;
                busy += 1;
            }
            let came = tokio::select! {
                biased;
                () = self.cancel.cancelled() => return Err(Stop::Cancelled),
                () = sleep_until(self.deadline), if !waits.is_empty() => return Err(self.too_slow()),
                came = waits.next() => came,
            };
            let Some((at, came)) = came else { return Ok(()) };
            let heard = match came {
                Came::Heard(heard) => heard,
                Came::Gave(gave) => {
                    self.end_own(at, gave).await?;
                    busy -= 1;
                    continue;
                }
            };
            let Source::Channel(channel) = self.state.pending[at].source.clone() else {
                continue;
            };
            self.end_wait(at, &channel, heard).await?;
            let next = self.find(|call| match (&call.source, &call.stage) {
                (Source::Channel(other), Stage::Requested) if *other == channel => Some(()),
                _ => None,
            });
            if let Some((next, ())) = next {
                self.begin_wait(next, &channel, &mut waits).await?;
            }
        }
    }

    /// Begins the wait of one call, or goes on with it after a restart. Each wait listens anew, so that a second
    /// answer to the call before it is not taken for this one's; and it listens before it is announced, so that the
    /// fastest answer is heard.
    async fn begin_wait(&mut self, at: usize, channel: &ChannelId, waits: &mut Waits<'a>) -> Result<(), Stop> {
        let mut listener = self.answers.listen(channel, &self.state.pending[at].call.id).await;
        let left = match self.state.pending[at].stage {
            Stage::Waiting { expires_at } => Duration::from_millis(expires_at.saturating_sub(unix_millis())),
            _ => {
                let left = self.deadline.saturating_duration_since(Instant::now());
                let left = left.min(self.engine.limits.wait);
                let expires_at = unix_millis().saturating_add(u64::try_from(left.as_millis()).unwrap_or(u64::MAX));
                self.state.pending[at].stage = Stage::Waiting { expires_at };
                let wait = wait(&self.state.pending[at].call, channel, expires_at);
                self.keep(EventKind::WaitBegin(Box::new(wait))).await?;
                left
            }
        };
        waits.push(Box::pin(async move {
            let heard = match timeout(left, listener.next()).await {
                Ok(Some(message)) => Heard::Message(message),
                Ok(None) => Heard::Nothing,
                Err(_) => listener.close().await.map_or(Heard::TooLate, Heard::Message),
            };
            (at, Came::Heard(heard))
        }));
        Ok(())
    }

    async fn end_wait(&mut self, at: usize, channel: &ChannelId, heard: Heard) -> Result<(), Stop> {
        let Stage::Waiting { expires_at } = self.state.pending[at].stage else {
            return Ok(());
        };
        let mut wait = wait(&self.state.pending[at].call, channel, expires_at);
        let result = match heard {
            Heard::Message(message) => {
                let (result, from) = functions::answer(&message);
                wait.message = Some(message);
                wait.from = from;
                result
            }
            Heard::Nothing => functions::failure("nobody can answer this call any more"),
            Heard::TooLate => functions::failure(&format!(
                "nobody answered this call within {} seconds",
                self.engine.limits.wait.as_secs()
            )),
        };
        self.gather(&result)?;
        self.state.pending[at].stage = Stage::Answered(result.clone());
        self.keep(EventKind::WaitEnd(Box::new(wait))).await?;
        self.respond(at, result).await
    }

    /// Begins a call that the run carries out itself.
    async fn begin_own(&mut self, at: usize, waits: &mut Waits<'a>) -> Result<(), Stop> {
        self.state.pending[at].stage = Stage::Begun;
        if let Some(operation) = self.operation(at) {
            self.keep(EventKind::OperationBegin(Box::new(operation))).await?;
        }
        self.carry_out(at, waits);
        Ok(())
    }

    fn carry_out(&self, at: usize, waits: &mut Waits<'a>) {
        let call = &self.state.pending[at].call;
        let arguments = call.arguments.to_value();
        let (engine, ready) = (self.engine, self.ready);
        let Some(own) = ready.own(&call.name) else {
            // The run was resumed with another configuration.
            let gave = Gave::known(functions::failure("this function is not there any more"));
            return waits.push(Box::pin(std::future::ready((at, Came::Gave(gave)))));
        };
        let model = ready.request.model.as_deref();
        waits.push(Box::pin(async move {
            let gave = own.carry_out(&arguments, engine.model.as_ref(), model).await;
            (at, Came::Gave(gave))
        }));
    }

    async fn end_own(&mut self, at: usize, gave: Gave) -> Result<(), Stop> {
        if let Some(usage) = gave.usage {
            let used = usage.input_tokens_used.saturating_add(usage.output_tokens_used);
            self.state.tokens = self.state.tokens.saturating_add(used);
            self.state.estimated |= gave.estimated;
            // Kept by itself: if the run is interrupted now, the model is asked once more, and that counts too.
            self.keep(EventKind::Usage(Box::new(usage))).await?;
        }
        self.gather(&gave.result)?;
        self.state.pending[at].stage = Stage::Answered(gave.result.clone());
        if let Some(operation) = self.operation(at) {
            self.keep(EventKind::OperationEnd(Box::new(operation))).await?;
        }
        self.respond(at, gave.result).await
    }

    /// What a call that the run carries out itself is to those who watch.
    fn operation(&self, at: usize) -> Option<Operation> {
        let call = &self.state.pending[at].call;
        let own = self.ready.own(&call.name)?;
        Some(Operation {
            id: call.id.as_str().into(),
            action: own.action(&call.id, &call.arguments.to_value()),
            extra: Object::new(),
        })
    }

    async fn respond(&mut self, at: usize, result: Value) -> Result<(), Stop> {
        let response = activity(
            ActivityKind::Response,
            &self.state.pending[at].call,
            Some(result.clone()),
        );
        let pending = &mut self.state.pending[at];
        pending.stage = match pending.source {
            // The state is written with every step, and the order has it already.
            Source::Data => Stage::Told,
            _ => Stage::Done(result),
        };
        self.keep(response).await
    }

    /// Counts a result before it is kept, and with it told: what is gathered is written again with every step.
    fn gather(&mut self, result: &Value) -> Result<(), Stop> {
        self.gathered = self.gathered.saturating_add(json_bytes(result));
        if self.gathered > self.engine.limits.max_added {
            return Err(self.too_much());
        }
        Ok(())
    }

    /// The first call of which something is to be had.
    fn find<T>(&self, mut wanted: impl FnMut(&Pending) -> Option<T>) -> Option<(usize, T)> {
        let mut found = self.state.pending.iter().enumerate();
        found.find_map(|(at, call)| wanted(call).map(|what| (at, what)))
    }
}

/// One side of a call.
pub(super) fn activity(kind: ActivityKind, call: &ToolCall, result: Option<Value>) -> EventKind {
    let activity = Activity {
        kind,
        function: ActivityFunction {
            name: call.name.clone(),
            arguments: call.arguments.to_value(),
            result,
            extra: Object::new(),
        },
        extra: Object::from_iter([("id".to_owned(), json!(call.id))]),
    };
    EventKind::Message(Box::new(Message::from_activity(&activity)))
}

fn wait(call: &ToolCall, channel: &ChannelId, expires_at: u64) -> Wait {
    Wait {
        channel: channel.as_str().to_owned(),
        function: WaitFunction {
            name: call.name.clone(),
            args: call.arguments.to_value(),
            extra: Object::new(),
        },
        expires_at: Some(expires_at),
        message: None,
        from: None,
        extra: Object::from_iter([("id".to_owned(), call.id.as_str().into())]),
    }
}

fn unix_millis() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
