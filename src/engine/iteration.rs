//! One iteration of a run: one model call, its tokens as they come, then its whole messages and what it used.
//!
//! It runs no function; `run` does, after it.

use futures::StreamExt;
use serde_json::json;
use tokio::time::timeout_at;

use super::calls::activity;
use super::checkpoint::{Pending, Stage};
use super::functions::Source;
use super::run::{Run, Stop};
use super::{Answers, EventSink, functions};
use crate::llm::{Arguments, FinishReason, ModelError, ModelEvent, ModelRequest, ToolCall, ToolChoice};
use crate::wire::event::{ActivityKind, Iteration, Usage};
use crate::wire::{Event, EventKind, Message, MessageKind, Object};

/// How much of what a model said is shown at once at most, when it came at once.
const EVENTS_AT_ONCE: usize = 64;

/// What an iteration came to.
pub(super) struct Outcome {
    /// The bot's text.
    pub(super) text: String,
    /// What it calls.
    pub(super) calls: Vec<Pending>,
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
    /// Makes one model call and emits everything of it, from `completeBegin` to `completeEnd`. With the last event
    /// the run stands at what follows; until then it stands before this call, which is made again after a restart.
    pub(super) async fn complete(&mut self, function: Option<String>, go_on: bool) -> Result<(), Stop> {
        let mark = Iteration {
            instance: Some(json!(self.state.instance)),
            iteration: Some(json!(self.state.iteration + 1)),
            extra: Object::new(),
        };
        let begin = EventKind::CompleteBegin(Box::new(mark.clone()));
        if self.is_kept {
            self.emit(begin).await?;
        } else {
            // From here on a restart makes nothing ready once more. Not again after a restart: it would look as if
            // the run had come further.
            self.is_kept = true;
            self.keep(begin).await?;
        }
        self.pieces = 0;
        let choice = function.map_or(ToolChoice::Auto, ToolChoice::Function);
        let answer = self.stream(choice, go_on).await?;

        if !answer.reasoning.is_empty() {
            self.message(Message::new(MessageKind::Reasoning, answer.reasoning))
                .await?;
        }
        if !answer.text.is_empty() {
            self.message(Message::new(MessageKind::Bot, answer.text.as_str()))
                .await?;
        }
        let finish = answer.finish.unwrap_or(FinishReason::Stop);
        // A call is at least one token more, when the upstream does not say what it used.
        self.pieces += answer.calls.len() as u64;
        let calls = self.pending(answer.calls, &finish);
        for call in calls.iter().filter(|call| call.stage == Stage::Requested) {
            self.emit(activity(ActivityKind::Request, &call.call, None)).await?;
        }
        let usage = self.usage(answer.usage);
        self.emit(EventKind::Usage(Box::new(usage))).await?;
        self.settle(Outcome {
            text: answer.text,
            calls,
            finish,
        });
        self.keep(EventKind::CompleteEnd(Box::new(mark))).await
    }

    /// The model's calls with where their results come from. A run that its caller goes on with ends with the
    /// requests of the calls that the caller handles, so these are told last when there are others.
    fn pending(&mut self, calls: Vec<ToolCall>, finish: &FinishReason) -> Vec<Pending> {
        let mut pending = Vec::with_capacity(calls.len());
        // Calls beyond what is allowed end the run: nothing comes of their arguments.
        let mut checks = self.allows(calls.len()).then(|| self.schemas.checks());
        for mut call in calls {
            call.id = self.chat.fresh_id(&call.id);
            // Some models write `null` for no arguments.
            if call.arguments == Arguments::Json(serde_json::Value::Null) {
                call.arguments = Arguments::Json(json!({}));
            }
            let mut source = functions::source(&self.functions, checks.as_mut(), &call, finish);
            if source == Source::Caller && self.ready.own(&call.name).is_some() {
                source = Source::Own;
            }
            pending.push(Pending {
                call,
                source,
                stage: Stage::Requested,
            });
        }
        if pending.iter().any(|call| call.source != Source::Caller) {
            for call in &mut pending {
                if call.source == Source::Caller {
                    call.stage = Stage::Deferred;
                }
            }
        }
        pending
    }

    /// Reads the model's answer to its end and emits its tokens.
    async fn stream(&mut self, choice: ToolChoice, go_on: bool) -> Result<Answer, Stop> {
        let stream = self.engine.model.call(ModelRequest {
            model: self.ready.request.model.clone(),
            messages: self.chat.messages(),
            tools: functions::tools(&self.functions),
            choice,
        });
        let mut stream = stream.ready_chunks(EVENTS_AT_ONCE);
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
            let Some(events) = next else { break };
            let mut tokens = Vec::with_capacity(events.len());
            let taken = events
                .into_iter()
                .try_for_each(|event| self.take(event?, &mut answer, &mut tokens, go_on));
            // What came before an error is shown before it.
            if !tokens.is_empty() {
                self.sink.emit_all(tokens).await?;
            }
            taken?;
        }
        Ok(answer)
    }

    /// Takes what the model said next; what is to be shown of it goes behind `tokens`.
    fn take(
        &mut self,
        event: ModelEvent,
        answer: &mut Answer,
        tokens: &mut Vec<Event>,
        go_on: bool,
    ) -> Result<(), ModelError> {
        match event {
            ModelEvent::Text(text) if !text.is_empty() => {
                if answer.text.is_empty() && !go_on {
                    self.state.text.clear();
                }
                answer.size += text.len();
                answer.text.push_str(&text);
                self.state.text.push_str(&text);
                self.pieces += 1;
                tokens.push(Event::token(text));
            }
            ModelEvent::Reasoning(text) if !text.is_empty() => {
                answer.size += text.len();
                answer.reasoning.push_str(&text);
                self.pieces += 1;
                tokens.push(Event::reasoning_token(text));
            }
            ModelEvent::Text(_) | ModelEvent::Reasoning(_) => {}
            ModelEvent::ToolCall(call) => {
                answer.size += call.name.len() + call.arguments.to_value().to_string().len();
                answer.calls.push(call);
            }
            ModelEvent::Usage { model, input, output } => answer.usage = Some((model, input, output)),
            ModelEvent::Finish(reason) => answer.finish = Some(reason),
        }
        let limit = self.engine.limits.max_answer;
        if answer.size > limit {
            return Err(ModelError::TooLarge { limit });
        }
        Ok(())
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
        self.state.tokens = self.state.tokens.saturating_add(input).saturating_add(output);
        self.state.estimated |= estimated;
        Usage {
            model: Some(model),
            input_tokens_used: input,
            output_tokens_used: output,
            extra: estimate(estimated),
        }
    }

    async fn message(&self, message: Message) -> Result<(), Stop> {
        self.emit(EventKind::Message(Box::new(message))).await
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
