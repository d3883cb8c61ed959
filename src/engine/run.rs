//! The loop of one run: what comes next, limits, and the one event that ends it.
//!
//! What happens inside a model call is in `iteration`, getting the results of function calls in `calls`; what is
//! kept over a restart in `checkpoint`.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::chat::Chat;
use super::checkpoint::{Next, Pending, Prepared, Restored, Stage, State, Then};
use super::functions::{self, Source};
use super::iteration::{Outcome, estimate};
use super::limits::Bounds;
use super::prepare::Ready;
use super::schema::Schemas;
use super::{Answers, Engine, EventSink, SinkClosed};
use crate::llm::{FinishReason, ModelError, ToolCall};
use crate::wire::event::{Abort, RunEnd, RunError, RunResult, RunUsage};
use crate::wire::request::{Function, FunctionCall};
use crate::wire::{CompleteRequest, ErrorCode, Event, EventKind, MessageKind, Object};

/// What the run says when a model that ran into its longest answer is to go on.
const GO_ON: &str = "Go on exactly where you stopped, without repeating anything.";
/// What it says, before a function's name, when the model answered and is to call that function: many endpoints refuse
/// a conversation whose last word is the model's own.
const CALL_NOW: &str = "Now call the function";

/// A run without any limit on its time ends after this: clocks cannot count for ever.
const LONGEST_RUN: Duration = Duration::from_secs(366 * 24 * 60 * 60);

/// One run.
pub(super) struct Run<'a, S, A> {
    pub(super) engine: &'a Engine,
    pub(super) ready: &'a Ready<'a>,
    pub(super) sink: &'a S,
    pub(super) answers: &'a A,
    pub(super) cancel: &'a CancellationToken,
    pub(super) functions: Vec<Function>,
    pub(super) schemas: Schemas,
    pub(super) chat: Chat,
    /// Where the run stands.
    pub(super) state: State,
    /// Whether anything was kept of this run.
    pub(super) is_kept: bool,
    /// Whether the conversation has the request's attachments.
    pub(super) is_attached: bool,
    /// What the run added to the conversation and what its pending calls have given so far, in bytes.
    pub(super) gathered: usize,
    /// Pieces of the model call that goes on.
    pub(super) pieces: u64,
    bounds: Bounds,
    /// When it began, or went on after a restart, and how much of its time it had used before.
    begun: Instant,
    used: Duration,
    /// When the run has taken too long.
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
        Self::Failed(code_of(&error), error.to_string())
    }
}

/// The code that tells a run's readers what kind of failure of the model it is.
pub(super) fn code_of(error: &ModelError) -> ErrorCode {
    match error {
        ModelError::Config { .. } | ModelError::Unreachable { .. } => ErrorCode::ServiceUnavailable,
        ModelError::Unknown { .. } => ErrorCode::NotFound,
        ModelError::RateLimited { .. } => ErrorCode::TooManyRequests,
        ModelError::Silent { .. } => ErrorCode::GatewayTimeout,
        ModelError::Status { .. }
        | ModelError::Failed { .. }
        | ModelError::Cut { .. }
        | ModelError::Garbage { .. }
        | ModelError::TooLarge { .. }
        | ModelError::Demo { .. } => ErrorCode::BadGateway,
    }
}

impl<'a, S: EventSink, A: Answers> Run<'a, S, A> {
    /// A run that begins, or goes on from what was kept of it.
    pub(super) fn new(
        engine: &'a Engine,
        ready: &'a Ready<'a>,
        restored: Option<Restored>,
        sink: &'a S,
        answers: &'a A,
        cancel: &'a CancellationToken,
    ) -> Self {
        let request = &*ready.request;
        let bounds = engine.limits.bounds(request.limits.as_ref());
        let mut chat = Chat::new(request, &ready.told);
        let is_kept = restored.is_some();
        let (state, used) = match restored {
            Some(restored) => {
                chat.restore(restored.added);
                (restored.state, restored.elapsed)
            }
            None => (first_state(engine, request, bounds), Duration::ZERO),
        };
        let begun = Instant::now();
        let of_model = state.prepared.own_functions.as_ref();
        let mut functions = of_model.unwrap_or(&request.functions).clone();
        functions.extend(ready.own.iter().map(|(function, _)| function.clone()));
        Self {
            engine,
            ready,
            sink,
            answers,
            cancel,
            schemas: Schemas::of(&functions),
            functions,
            chat,
            state,
            is_kept,
            is_attached: false,
            gathered: 0,
            pieces: 0,
            bounds,
            begun,
            used,
            deadline: begun + engine.limits.run.min(LONGEST_RUN).saturating_sub(used),
        }
    }

    /// Runs to the end and emits the event that says how it ended.
    pub(super) async fn drive(mut self) -> Result<(), SinkClosed> {
        let last = match self.steps().await {
            Ok(end) => self.result(end),
            Err(Stop::Closed(closed)) => return Err(closed),
            Err(Stop::Cancelled) => {
                self.state.estimated |= self.pieces > 0;
                self.state.tokens = self.state.tokens.saturating_add(self.pieces);
                self.state.next = Next::End(end("abort"));
                let abort = Abort {
                    reason: Some("cancelled".into()),
                    ..Abort::default()
                };
                let abort = EventKind::Abort(Box::new(abort)).into();
                self.sink.keep(abort, self.checkpoint()).await?;
                self.result(end("abort"))
            }
            Err(Stop::Failed(code, message)) => failed(code, message),
        };
        self.sink.emit(last).await
    }

    fn result(&mut self, end: RunEnd) -> Event {
        let result = RunResult {
            text: std::mem::take(&mut self.state.text),
            usage: RunUsage {
                token: self.state.tokens,
                extra: estimate(self.state.estimated),
            },
            end,
            extra: Object::new(),
        };
        EventKind::Result(Box::new(result)).into()
    }

    /// Goes from step to step. What was kept decides what comes next, so that a run that goes on after a restart
    /// takes the same way.
    async fn steps(&mut self) -> Result<RunEnd, Stop> {
        if !self.is_kept {
            self.moderate().await?;
        }
        loop {
            match &self.state.next {
                Next::Ask { function, go_on } => {
                    let (function, go_on) = (function.clone(), *go_on);
                    if self.chat.added_bytes() > self.engine.limits.max_added {
                        return Err(self.too_much());
                    }
                    self.attach().await?;
                    self.complete(function, go_on).await?;
                }
                Next::Answer(then) => {
                    let then = *then;
                    self.answer().await?;
                    self.answered(then);
                }
                Next::End(end) => return Ok(end.clone()),
            }
        }
    }

    /// What follows a finished model call.
    pub(super) fn settle(&mut self, outcome: Outcome) {
        self.state.iteration += 1;
        let calls: Vec<ToolCall> = outcome.calls.iter().map(|call| call.call.clone()).collect();
        self.chat.assistant(&outcome.text, &calls);
        self.state.next = if calls.is_empty() {
            self.after_text(outcome.finish)
        } else {
            self.after_calls(outcome.calls)
        };
    }

    fn after_text(&mut self, finish: FinishReason) -> Next {
        if finish == FinishReason::Length {
            if self.state.continuations >= self.bounds.continuations {
                return Next::End(end("length"));
            }
            self.state.continuations += 1;
            self.chat.user(GO_ON);
            let function = self.state.starts.pop_front();
            return self.ask(function, true);
        }
        // The model was to call a function and did not; the others that are to come first may still be called.
        if let Some(function) = self.state.starts.pop_front() {
            return self.call_now(function);
        }
        // The function that ends the run is asked for once, when the model would stop without it.
        let last = self.last_functions().next().map(str::to_owned);
        if let Some(last) = last.filter(|_| !self.state.asked) {
            self.state.asked = true;
            return self.call_now(last);
        }
        let mut end = end("stop");
        if let FinishReason::Other(why) = finish {
            end.extra.insert("detail".into(), why.into());
        }
        Next::End(end)
    }

    fn after_calls(&mut self, calls: Vec<Pending>) -> Next {
        let is_allowed = self.allows(calls.len());
        self.state.calls = self.state.calls.saturating_add(calls.len() as u64);
        if !is_allowed {
            return Next::End(end("iteration"));
        }
        let of_caller = calls.iter().any(|call| call.source == Source::Caller);
        // A call that is not carried out does not end the run: the model may do better.
        let is_last = |call: &Pending| {
            !matches!(call.source, Source::Refused(_)) && self.last_functions().any(|name| name == call.call.name)
        };
        let ends = calls.iter().any(is_last);
        self.state.asked |= ends;
        let then = match (of_caller, ends) {
            (true, _) => Then::Caller,
            (false, true) => Then::Stop,
            // Results that no further model call could read are not fetched: a function may do something.
            (false, false) if self.state.iteration >= self.bounds.iterations => return Next::End(end("iteration")),
            (false, false) => Then::Ask,
        };
        self.state.pending = calls;
        Next::Answer(then)
    }

    /// What follows when all calls have their results.
    fn answered(&mut self, then: Then) {
        // Models expect the results in the order of their calls.
        for Pending { call, stage, .. } in std::mem::take(&mut self.state.pending) {
            match stage {
                Stage::Done(result) => self.chat.result(&call.id, &result),
                Stage::Told => self
                    .chat
                    .result(&call.id, &functions::data(&self.functions, &call.name)),
                _ => {}
            }
        }
        self.state.next = match then {
            Then::Ask => {
                let function = self.state.starts.pop_front();
                self.ask(function, false)
            }
            Then::Stop => Next::End(end("stop")),
            Then::Caller => Next::End(end("activity")),
        };
    }

    /// Whether the run may make so many calls more.
    pub(super) fn allows(&self, calls: usize) -> bool {
        self.state.calls.saturating_add(calls as u64) <= self.bounds.calls
    }

    /// Asks for a function after the model's answer.
    fn call_now(&mut self, function: String) -> Next {
        if self.chat.ends_with_answer() {
            self.chat.user(&format!("{CALL_NOW} {function}."));
        }
        self.ask(Some(function), false)
    }

    fn ask(&self, function: Option<String>, go_on: bool) -> Next {
        if self.state.iteration >= self.bounds.iterations {
            return Next::End(end("iteration"));
        }
        Next::Ask { function, go_on }
    }

    /// The functions whose call ends the run; the first of them is asked for when the model calls none.
    fn last_functions(&self) -> impl Iterator<Item = &str> {
        named(&self.functions, |call| call.end == Some(true))
    }

    /// What the run goes on from if it is interrupted now.
    pub(super) fn checkpoint(&self) -> super::Checkpoint {
        self.state.write(self.chat.added(), self.used + self.begun.elapsed())
    }

    pub(super) async fn emit(&self, kind: EventKind) -> Result<(), Stop> {
        Ok(self.sink.emit(kind.into()).await?)
    }

    /// Emits an event together with where the run stands after it.
    pub(super) async fn keep(&self, kind: EventKind) -> Result<(), Stop> {
        Ok(self.sink.keep(kind.into(), self.checkpoint()).await?)
    }

    pub(super) fn too_much(&self) -> Stop {
        let most = self.engine.limits.max_added / (1024 * 1024);
        let text = format!(
            "the run's answers and results have grown larger than the {most} MiB that a conversation may; have \
             functions give less at once"
        );
        Stop::Failed(ErrorCode::ContentTooLarge, text)
    }

    pub(super) fn too_slow(&self) -> Stop {
        let time = humantime::format_duration(self.engine.limits.run);
        Stop::Failed(
            ErrorCode::Timeout,
            format!(
                "the run took longer than {time}, waiting included, and was stopped; ask for less at \
                 once, or raise the server's limit on the time of a run"
            ),
        )
    }
}

/// Where a run stands that begins.
fn first_state(engine: &Engine, request: &CompleteRequest, bounds: Bounds) -> State {
    let mut instance = [0; 8];
    // A name that is not unique only makes two runs harder to tell apart in a log.
    let _ = getrandom::fill(&mut instance);
    let prepared = Prepared {
        own_functions: request
            .functions
            .is_empty()
            .then(|| functions::own(engine.model.as_ref(), request.model.as_deref())),
    };
    let functions = prepared.own_functions.as_ref().unwrap_or(&request.functions);
    let called = called(request);
    let was_called = |name: &&str| called.iter().any(|called| called == name);
    let mut starts: VecDeque<String> = named(functions, |call| call.start == Some(true))
        .filter(|name| !was_called(name))
        .map(str::to_owned)
        .collect();
    let asked = named(functions, |call| call.end == Some(true)).any(|name| was_called(&name));
    let next = if bounds.iterations == 0 {
        Next::End(end("iteration"))
    } else {
        Next::Ask {
            function: starts.pop_front(),
            go_on: false,
        }
    };
    State {
        instance: format!("{:016x}", u64::from_be_bytes(instance)),
        prepared,
        iteration: 0,
        calls: 0,
        continuations: 0,
        text: String::new(),
        tokens: 0,
        estimated: false,
        starts,
        asked,
        next,
        pending: Vec::new(),
    }
}

/// The functions that were called since the person's last message: a caller that goes on with a function's response
/// does not want it called first, or last, once more.
fn called(request: &CompleteRequest) -> Vec<String> {
    let messages = &request.messages;
    let since = messages.iter().rposition(|message| message.kind == MessageKind::User);
    messages[since.unwrap_or(0)..]
        .iter()
        .filter_map(|message| message.activity().map(|activity| activity.function.name))
        .collect()
}

fn named(functions: &[Function], wanted: fn(&FunctionCall) -> bool) -> impl Iterator<Item = &str> {
    functions
        .iter()
        .filter(move |function| function.call.as_ref().is_some_and(wanted))
        .map(|function| function.name.as_str())
}

pub(super) fn failed(code: ErrorCode, message: String) -> Event {
    let error = RunError {
        message,
        code: Some(code.as_str().to_owned()),
        extra: Object::new(),
    };
    EventKind::Error(Box::new(error)).into()
}

fn end(reason: &str) -> RunEnd {
    RunEnd {
        reason: reason.to_owned(),
        extra: Object::new(),
    }
}
