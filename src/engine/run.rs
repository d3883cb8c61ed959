//! The loop of one run: iterations, function results and waits, limits, and the one event that ends it.
//!
//! What happens inside an iteration is in `iteration`; what an answer means is in `functions`.

use std::collections::VecDeque;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures::future::try_join_all;
use futures::stream::{self, StreamExt, TryStreamExt};
use serde_json::Value;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::chat::Chat;
use super::functions::{self, Source};
use super::iteration::{Outcome, estimate};
use super::prepare::Ready;
use super::{AnswerListener, Answers, Engine, EventSink, SinkClosed};
use crate::llm::{FinishReason, ModelError, ToolCall, ToolChoice};
use crate::wire::event::{
    Abort, ActivityKind, Operation, RunEnd, RunError, RunResult, RunUsage, Usage, Wait, WaitFunction,
};
use crate::wire::request::{Function, Limits};
use crate::wire::{ChannelId, ErrorCode, EventKind, MessageKind, Object};

/// What the run says when a model that ran into its longest answer is to go on.
const GO_ON: &str = "Go on exactly where you stopped, without repeating anything.";

/// How many functions of the run's own are carried out at the same time.
const MOST_AT_ONCE: usize = 4;

/// A run without any limit on its time ends after this: clocks cannot count for ever.
const LONGEST_RUN: Duration = Duration::from_secs(366 * 24 * 60 * 60);

/// One run.
pub(super) struct Run<'a, S, A> {
    pub(super) engine: &'a Engine,
    pub(super) ready: &'a Ready<'a>,
    pub(super) sink: &'a S,
    answers: &'a A,
    pub(super) cancel: &'a CancellationToken,
    pub(super) functions: Vec<Function>,
    pub(super) chat: Chat,
    /// A name for this run in `completeBegin` and `completeEnd`.
    pub(super) instance: String,
    /// Model calls begun.
    pub(super) iteration: u64,
    /// Function calls made.
    calls: u64,
    /// The bot's last text, as far as it has come.
    pub(super) text: String,
    /// Tokens of all finished iterations.
    pub(super) tokens: u64,
    pub(super) estimated: bool,
    /// Pieces of the iteration that goes on.
    pub(super) pieces: u64,
    /// When the run has taken too long. Waiting for answers moves it on.
    pub(super) deadline: Instant,
}

/// Why a run stops before its end.
#[derive(Debug)]
pub(super) enum Stop {
    Closed(SinkClosed),
    Cancelled,
    Failed(ErrorCode, String),
}

impl From<SinkClosed> for Stop {
    fn from(closed: SinkClosed) -> Self {
        Self::Closed(closed)
    }
}

impl From<ModelError> for Stop {
    fn from(error: ModelError) -> Self {
        let code = match &error {
            ModelError::Config { .. } | ModelError::Unreachable { .. } => ErrorCode::ServiceUnavailable,
            ModelError::RateLimited { .. } => ErrorCode::TooManyRequests,
            ModelError::Silent { .. } => ErrorCode::GatewayTimeout,
            ModelError::Status { .. }
            | ModelError::Failed { .. }
            | ModelError::Cut { .. }
            | ModelError::Garbage { .. }
            | ModelError::TooLarge { .. }
            | ModelError::Demo { .. } => ErrorCode::BadGateway,
        };
        Self::Failed(code, error.to_string())
    }
}

impl<'a, S: EventSink, A: Answers> Run<'a, S, A> {
    pub(super) fn new(
        engine: &'a Engine,
        ready: &'a Ready<'a>,
        sink: &'a S,
        answers: &'a A,
        cancel: &'a CancellationToken,
    ) -> Self {
        let mut instance = [0; 8];
        // A name that is not unique only makes two runs harder to tell apart in a log.
        let _ = getrandom::fill(&mut instance);
        let mut functions = functions::of(&ready.request, engine.model.as_ref());
        functions.extend(ready.own.iter().map(|(function, _)| function.clone()));
        Self {
            engine,
            ready,
            sink,
            answers,
            cancel,
            functions,
            chat: Chat::new(&ready.request, &ready.told),
            instance: format!("{:016x}", u64::from_be_bytes(instance)),
            iteration: 0,
            calls: 0,
            text: String::new(),
            tokens: 0,
            estimated: false,
            pieces: 0,
            deadline: Instant::now() + engine.limits.run.min(LONGEST_RUN),
        }
    }

    /// Runs to the end and emits the event that says how it ended.
    pub(super) async fn drive(mut self) -> Result<(), SinkClosed> {
        let last = match self.steps().await {
            Ok(end) => self.result(end),
            Err(Stop::Closed(closed)) => return Err(closed),
            Err(Stop::Cancelled) => {
                let abort = Abort {
                    reason: Some("cancelled".into()),
                    ..Abort::default()
                };
                self.sink.emit(EventKind::Abort(Box::new(abort)).into()).await?;
                self.estimated |= self.pieces > 0;
                self.tokens = self.tokens.saturating_add(self.pieces);
                self.result(end("abort"))
            }
            Err(Stop::Failed(code, message)) => EventKind::Error(Box::new(RunError {
                message,
                code: Some(code.as_str().to_owned()),
                extra: Object::new(),
            })),
        };
        self.sink.emit(last.into()).await
    }

    fn result(&mut self, end: RunEnd) -> EventKind {
        EventKind::Result(Box::new(RunResult {
            text: std::mem::take(&mut self.text),
            usage: RunUsage {
                token: self.tokens,
                extra: estimate(self.estimated),
            },
            end,
            extra: Object::new(),
        }))
    }

    async fn steps(&mut self) -> Result<RunEnd, Stop> {
        let bounds = self.bounds();
        let mut starts = self.starts();
        let last = self.last_functions();
        let mut continuations = 0;
        let mut go_on = false;
        // The function that ends the run is asked for once, when the model would stop without it.
        let mut ask_for_last = false;
        let mut asked = false;
        loop {
            if self.iteration >= bounds.0 {
                return Ok(end("iteration"));
            }
            self.iteration += 1;
            let asked_for = if std::mem::take(&mut ask_for_last) {
                last.first().cloned()
            } else {
                starts.pop_front()
            };
            let choice = asked_for.map_or(ToolChoice::Auto, ToolChoice::Function);
            let outcome = self.complete(choice, std::mem::take(&mut go_on)).await?;
            let calls: Vec<ToolCall> = outcome.calls.iter().map(|(call, _)| call.clone()).collect();
            self.chat.assistant(&outcome.text, &calls);
            if calls.is_empty() {
                match outcome.finish {
                    FinishReason::Length if continuations < bounds.2 => {
                        continuations += 1;
                        go_on = true;
                        self.chat.user(GO_ON);
                    }
                    FinishReason::Length => return Ok(end("length")),
                    _ if !last.is_empty() && !asked => {
                        asked = true;
                        ask_for_last = true;
                    }
                    FinishReason::Stop | FinishReason::ToolCalls => return Ok(end("stop")),
                    FinishReason::Other(why) => {
                        let mut end = end("stop");
                        end.extra.insert("detail".into(), why.into());
                        return Ok(end);
                    }
                }
                continue;
            }
            self.calls = self.calls.saturating_add(calls.len() as u64);
            if self.calls > bounds.1 {
                return Ok(end("iteration"));
            }
            if let Some(end) = self.answered(outcome, &last, bounds.0).await? {
                return Ok(end);
            }
        }
    }

    /// Gets the results of an iteration's calls; the run's end if it ends with them.
    async fn answered(&mut self, outcome: Outcome, last: &[String], iterations: u64) -> Result<Option<RunEnd>, Stop> {
        let (by_caller, ours): (Vec<_>, Vec<_>) = outcome
            .calls
            .into_iter()
            .partition(|(_, source)| *source == Source::Caller);
        let ends = by_caller.is_empty() && ours.iter().any(|(call, _)| last.contains(&call.name));
        // Results that no further iteration could read are not fetched: a function may do something.
        if by_caller.is_empty() && !ends && self.iteration >= iterations {
            return Ok(Some(end("iteration")));
        }
        let begun = Instant::now();
        self.execute(&ours).await?;
        self.deadline += begun.elapsed();
        if !by_caller.is_empty() {
            if outcome.deferred {
                for (call, _) in &by_caller {
                    self.activity(ActivityKind::Request, call, None).await?;
                }
            }
            return Ok(Some(end("activity")));
        }
        Ok(ends.then(|| end("stop")))
    }

    /// Gets the results of calls and gives them to the model: what is known at once, then the waits, side by side
    /// unless they share a channel.
    async fn execute(&mut self, calls: &[(ToolCall, Source)]) -> Result<(), Stop> {
        let mut results: Vec<(&ToolCall, Value)> = Vec::new();
        let mut channels: Vec<(&ChannelId, Vec<&ToolCall>)> = Vec::new();
        let mut own = Vec::new();
        for (call, source) in calls {
            match source {
                Source::Known(result) => {
                    self.activity(ActivityKind::Response, call, Some(result.clone()))
                        .await?;
                    results.push((call, result.clone()));
                }
                Source::Channel(channel) => match channels.iter_mut().find(|(known, _)| *known == channel) {
                    Some((_, waiting)) => waiting.push(call),
                    None => channels.push((channel, vec![call])),
                },
                Source::Own => own.push(call),
                Source::Caller => {}
            }
        }
        let mut waits = Vec::with_capacity(channels.len());
        for (channel, waiting) in channels {
            waits.push(self.wait_in_turn(channel, waiting));
        }
        let mut carried = Vec::with_capacity(own.len());
        for call in own {
            carried.push(self.carry_out(call));
        }
        let own = stream::iter(carried).buffer_unordered(MOST_AT_ONCE);
        let (waited, carried_out) = tokio::try_join!(try_join_all(waits), own.try_collect::<Vec<_>>())?;
        results.extend(waited.into_iter().flatten());
        for (call, result, usage) in carried_out {
            if let Some(usage) = usage {
                self.tokens = self
                    .tokens
                    .saturating_add(usage.input_tokens_used)
                    .saturating_add(usage.output_tokens_used);
                self.estimated |= !usage.extra.is_empty();
            }
            results.push((call, result));
        }
        // Models expect the results in the order of their calls.
        for (call, _) in calls {
            if let Some((_, result)) = results.iter().find(|(known, _)| known.id == call.id) {
                self.chat.result(&call.id, result);
            }
        }
        Ok(())
    }

    /// Carries out one call of a function of the run's own, and tells when it begins and ends.
    async fn carry_out<'c>(&self, call: &'c ToolCall) -> Result<(&'c ToolCall, Value, Option<Usage>), Stop> {
        let arguments = call.arguments.to_value();
        let Some(own) = self.ready.own(&call.name) else {
            return Ok((call, functions::failure("this function is not there any more"), None));
        };
        let operation = Operation {
            id: call.id.as_str().into(),
            action: own.action(&call.id, &arguments),
            extra: Object::new(),
        };
        self.emit(EventKind::OperationBegin(Box::new(operation.clone())))
            .await?;
        let model = self.ready.request.model.as_deref();
        let gave = tokio::select! {
            biased;
            () = self.cancel.cancelled() => return Err(Stop::Cancelled),
            () = tokio::time::sleep_until(self.deadline) => return Err(self.too_slow()),
            gave = own.carry_out(&arguments, self.engine.model.as_ref(), model) => gave,
        };
        if let Some(usage) = &gave.usage {
            self.emit(EventKind::Usage(Box::new(usage.clone()))).await?;
        }
        self.emit(EventKind::OperationEnd(Box::new(operation))).await?;
        self.activity(ActivityKind::Response, call, Some(gave.result.clone()))
            .await?;
        Ok((call, gave.result, gave.usage))
    }

    async fn wait_in_turn<'c>(
        &self,
        channel: &ChannelId,
        calls: Vec<&'c ToolCall>,
    ) -> Result<Vec<(&'c ToolCall, Value)>, Stop> {
        let mut results = Vec::with_capacity(calls.len());
        for call in calls {
            let result = self.wait(channel, call).await?;
            results.push((call, result));
        }
        Ok(results)
    }

    /// Waits for the answer of one call. Each wait listens anew, so that a second answer to the call before it is
    /// not taken for this one's.
    async fn wait(&self, channel: &ChannelId, call: &ToolCall) -> Result<Value, Stop> {
        let limit = self.engine.limits.wait;
        let mut listener = self.answers.listen(channel, &call.id).await;
        let expires = SystemTime::now().checked_add(limit);
        let expires_at = expires.and_then(|at| at.duration_since(UNIX_EPOCH).ok());
        let mut wait = Wait {
            channel: channel.as_str().to_owned(),
            function: WaitFunction {
                name: call.name.clone(),
                args: call.arguments.to_value(),
                extra: Object::new(),
            },
            expires_at: expires_at.and_then(|at| u64::try_from(at.as_millis()).ok()),
            message: None,
            from: None,
            extra: Object::from_iter([("id".to_owned(), call.id.as_str().into())]),
        };
        self.emit(EventKind::WaitBegin(Box::new(wait.clone()))).await?;
        let answer = tokio::select! {
            biased;
            () = self.cancel.cancelled() => return Err(Stop::Cancelled),
            answer = timeout(limit, listener.next()) => answer,
        };
        let result = match answer {
            Ok(Some(message)) => {
                let (result, from) = functions::answer(&message);
                wait.message = Some(message);
                wait.from = from;
                result
            }
            Ok(None) => functions::failure("nobody can answer this call any more"),
            Err(_) => functions::failure(&format!("nobody answered this call within {} seconds", limit.as_secs())),
        };
        self.emit(EventKind::WaitEnd(Box::new(wait))).await?;
        self.activity(ActivityKind::Response, call, Some(result.clone()))
            .await?;
        Ok(result)
    }

    /// Iterations, calls and continuations that the run may have.
    fn bounds(&self) -> (u64, u64, u64) {
        let asked = self.ready.request.limits.clone().unwrap_or_default();
        let Limits {
            iterations,
            continuations,
            calls,
        } = asked;
        let limits = &self.engine.limits;
        (
            iterations.unwrap_or(u64::MAX).min(limits.max_iterations),
            calls.unwrap_or(u64::MAX).min(limits.max_calls),
            continuations.unwrap_or(0),
        )
    }

    /// The functions that have to be called first and were not since the person's last message: a caller that goes
    /// on with a function's response does not want it called again.
    fn starts(&self) -> VecDeque<String> {
        let messages = &self.ready.request.messages;
        let since = messages.iter().rposition(|message| message.kind == MessageKind::User);
        let called: Vec<String> = messages[since.unwrap_or(0)..]
            .iter()
            .filter_map(|message| message.activity().map(|activity| activity.function.name))
            .collect();
        let starts = |function: &&Function| function.call.as_ref().is_some_and(|call| call.start == Some(true));
        self.functions
            .iter()
            .filter(starts)
            .map(|function| function.name.clone())
            .filter(|name| !called.contains(name))
            .collect()
    }

    /// The functions whose call ends the run; the first of them is asked for when the model calls none.
    fn last_functions(&self) -> Vec<String> {
        let ends = |function: &&Function| function.call.as_ref().is_some_and(|call| call.end == Some(true));
        self.functions
            .iter()
            .filter(ends)
            .map(|function| function.name.clone())
            .collect()
    }
}

fn end(reason: &str) -> RunEnd {
    RunEnd {
        reason: reason.to_owned(),
        extra: Object::new(),
    }
}
