//! One iteration of a run: one model call, its tokens as they come, then its whole messages and what it used.
//!
//! It runs no function; `run` does, after it.

use futures::StreamExt;
use serde_json::json;
use tokio::time::timeout_at;

use super::functions::Source;
use super::run::{Run, Stop};
use super::{Answers, EventSink, functions};
use crate::llm::{FinishReason, ModelError, ModelEvent, ModelRequest, ToolCall, ToolChoice};
use crate::wire::event::{Activity, ActivityFunction, ActivityKind, Iteration, Usage};
use crate::wire::{ErrorCode, Event, EventKind, Message, MessageKind, Object};

/// What an iteration came to.
pub(super) struct Outcome {
    /// The bot's text.
    pub(super) text: String,
    /// What it calls, each with where the result comes from.
    pub(super) calls: Vec<(ToolCall, Source)>,
    /// Requests that were not emitted yet, because a run that its caller goes on with ends with them.
    pub(super) deferred: bool,
    /// Why the model stopped.
    pub(super) finish: FinishReason,
}

#[derive(Default)]
struct Answer {
    text: String,
    reasoning: String,
    calls: Vec<ToolCall>,
    usage: Option<(String, u64, u64)>,
    finish: Option<FinishReason>,
    size: usize,
}

impl<S: EventSink, A: Answers> Run<'_, S, A> {
    /// Makes one model call and emits everything of it, from `completeBegin` to `completeEnd`.
    pub(super) async fn complete(&mut self, choice: ToolChoice, go_on: bool) -> Result<Outcome, Stop> {
        let mark = Iteration {
            instance: Some(json!(self.instance)),
            iteration: Some(json!(self.iteration)),
            extra: Object::new(),
        };
        self.emit(EventKind::CompleteBegin(Box::new(mark.clone()))).await?;
        self.pieces = 0;
        let answer = self.stream(choice, go_on).await?;
        self.pieces_counted(&answer);

        if !answer.reasoning.is_empty() {
            self.message(Message::new(MessageKind::Reasoning, answer.reasoning))
                .await?;
        }
        if !answer.text.is_empty() {
            self.message(Message::new(MessageKind::Bot, answer.text.as_str()))
                .await?;
        }
        let mut calls = Vec::with_capacity(answer.calls.len());
        for mut call in answer.calls {
            call.id = self.chat.fresh_id(&call.id);
            let mut source = functions::source(&self.functions, &call);
            if source == Source::Caller && self.ready.own(&call.name).is_some() {
                source = Source::Own;
            }
            calls.push((call, source));
        }
        let by_caller = calls.iter().filter(|(_, source)| *source == Source::Caller).count();
        let deferred = by_caller > 0 && by_caller < calls.len();
        for (call, source) in &calls {
            if !(deferred && *source == Source::Caller) {
                self.activity(ActivityKind::Request, call, None).await?;
            }
        }
        let usage = self.usage(answer.usage);
        self.emit(EventKind::Usage(Box::new(usage))).await?;
        self.emit(EventKind::CompleteEnd(Box::new(mark))).await?;
        Ok(Outcome {
            text: answer.text,
            calls,
            deferred,
            finish: answer.finish.unwrap_or(FinishReason::Stop),
        })
    }

    /// Reads the model's answer to its end and emits its tokens.
    async fn stream(&mut self, choice: ToolChoice, go_on: bool) -> Result<Answer, Stop> {
        let limit = self.engine.limits.max_answer;
        let mut stream = self.engine.model.call(ModelRequest {
            model: self.ready.request.model.clone(),
            messages: self.chat.messages(),
            tools: functions::tools(&self.functions),
            choice,
        });
        let mut answer = Answer::default();
        loop {
            let next = tokio::select! {
                biased;
                () = self.cancel.cancelled() => return Err(Stop::Cancelled),
                next = timeout_at(self.deadline, stream.next()) => next,
            };
            let Ok(next) = next else {
                return Err(self.too_slow());
            };
            let Some(event) = next else { break };
            match event? {
                ModelEvent::Text(text) if !text.is_empty() => {
                    if answer.text.is_empty() && !go_on {
                        self.text.clear();
                    }
                    answer.size += text.len();
                    answer.text.push_str(&text);
                    self.text.push_str(&text);
                    self.pieces += 1;
                    self.sink.emit(Event::token(text)).await?;
                }
                ModelEvent::Reasoning(text) if !text.is_empty() => {
                    answer.size += text.len();
                    answer.reasoning.push_str(&text);
                    self.pieces += 1;
                    self.sink.emit(Event::reasoning_token(text)).await?;
                }
                ModelEvent::Text(_) | ModelEvent::Reasoning(_) => {}
                ModelEvent::ToolCall(call) => {
                    answer.size += call.name.len() + call.arguments.to_value().to_string().len();
                    answer.calls.push(call);
                }
                ModelEvent::Usage { model, input, output } => answer.usage = Some((model, input, output)),
                ModelEvent::Finish(reason) => answer.finish = Some(reason),
            }
            if answer.size > limit {
                return Err(ModelError::TooLarge { limit }.into());
            }
        }
        Ok(answer)
    }

    /// A call is at least one token more, when the upstream does not say what it used.
    fn pieces_counted(&mut self, answer: &Answer) {
        self.pieces += answer.calls.len() as u64;
    }

    /// What the iteration used, counted towards the run. An upstream that does not say gets an estimate: a piece is
    /// about a token, and what was read is not known.
    fn usage(&mut self, said: Option<(String, u64, u64)>) -> Usage {
        let pieces = std::mem::take(&mut self.pieces);
        let (model, input, output, estimated) = match said {
            Some((model, input, output)) => (model, input, output, false),
            None => {
                let model = self
                    .ready
                    .request
                    .model
                    .as_deref()
                    .unwrap_or_else(|| self.engine.model.name());
                (model.to_owned(), 0, pieces, true)
            }
        };
        self.tokens = self.tokens.saturating_add(input).saturating_add(output);
        self.estimated |= estimated;
        Usage {
            model: Some(model),
            input_tokens_used: input,
            output_tokens_used: output,
            extra: estimate(estimated),
        }
    }

    pub(super) fn too_slow(&self) -> Stop {
        let minutes = self.engine.limits.run.as_secs().div_ceil(60);
        Stop::Failed(
            ErrorCode::Timeout,
            format!(
                "the run took longer than {minutes} minutes and was stopped; ask for less at once, or raise the \
                 server's limit on the time of a run"
            ),
        )
    }

    pub(super) async fn emit(&self, kind: EventKind) -> Result<(), Stop> {
        Ok(self.sink.emit(kind.into()).await?)
    }

    pub(super) async fn message(&self, message: Message) -> Result<(), Stop> {
        self.emit(EventKind::Message(Box::new(message))).await
    }

    /// Emits one side of a call.
    pub(super) async fn activity(
        &self,
        kind: ActivityKind,
        call: &ToolCall,
        result: Option<serde_json::Value>,
    ) -> Result<(), Stop> {
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
        self.message(Message::from_activity(&activity)).await
    }
}

/// The mark of numbers that are estimated.
pub(super) fn estimate(estimated: bool) -> Object {
    if estimated {
        Object::from_iter([("estimated".to_owned(), json!(true))])
    } else {
        Object::new()
    }
}
