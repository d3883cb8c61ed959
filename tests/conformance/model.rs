//! The model behind the server: it gives what a case says, call by call.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use futures::stream::{self, StreamExt};
use serde_json::{Value, json};
use switchboard::llm::{
    Arguments, ChatMessage, FinishReason, Model, ModelError, ModelEvent, ModelRequest, ModelStream, ToolCall,
    ToolChoice,
};
use tokio::sync::Semaphore;

use super::case::Piece;
use super::pattern::{self, Saved};

/// A model with a script.
pub struct Scripted {
    answers: Mutex<VecDeque<Vec<Piece>>>,
    release: Arc<Semaphore>,
    faults: Arc<Mutex<Vec<String>>>,
}

impl Scripted {
    pub fn new(answers: &[Vec<Piece>]) -> Self {
        Self {
            answers: Mutex::new(answers.iter().cloned().collect()),
            release: Arc::new(Semaphore::new(0)),
            faults: Arc::default(),
        }
    }

    /// Lets one that holds go on.
    pub fn release(&self) {
        self.release.add_permits(1);
    }

    /// What it was asked that it should not have been.
    pub fn faults(&self) -> Vec<String> {
        let mut faults = self.faults.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *faults)
    }
}

/// The conversation in short: who, what, and for calls their names.
fn asked(request: &ModelRequest) -> Value {
    let messages = request.messages.iter().map(|message| match message {
        ChatMessage::System(text) => json!(["system", text]),
        ChatMessage::User(text) => json!(["user", text]),
        ChatMessage::Image { media_type, .. } => json!(["image", media_type]),
        ChatMessage::Assistant { text, calls } if calls.is_empty() => json!(["bot", text]),
        ChatMessage::Assistant { text, calls } => {
            let calls: Vec<&str> = calls.iter().map(|call| call.name.as_str()).collect();
            json!(["bot", text, calls])
        }
        ChatMessage::Tool { content, .. } => json!(["result", content]),
    });
    let mut asked: Vec<Value> = messages.collect();
    if let ToolChoice::Function(name) = &request.choice {
        asked.push(json!(["must call", name]));
    }
    Value::Array(asked)
}

impl Model for Scripted {
    fn name(&self) -> &'static str {
        "scripted"
    }

    fn call(&self, request: ModelRequest) -> ModelStream {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        let pieces = answers.pop_front().unwrap_or_default();
        let ends = pieces.iter().any(|piece| matches!(piece, Piece::Finish(_)));
        let calls = pieces.iter().any(|piece| matches!(piece, Piece::Call(..)));
        let last = (!ends).then(|| Piece::Finish(if calls { "tool_calls" } else { "stop" }.to_owned()));
        let (release, faults) = (Arc::clone(&self.release), Arc::clone(&self.faults));
        let asked = asked(&request);
        let give = move |piece: Piece| {
            let (release, faults, asked) = (Arc::clone(&release), Arc::clone(&faults), asked.clone());
            async move {
                let event = match piece {
                    Piece::Text(text) => ModelEvent::Text(text),
                    Piece::Reasoning(text) => ModelEvent::Reasoning(text),
                    Piece::Call(id, name, arguments) => ModelEvent::ToolCall(ToolCall {
                        id,
                        name,
                        arguments: match arguments {
                            Value::String(text) => Arguments::parse(&text),
                            other => Arguments::Json(other),
                        },
                    }),
                    Piece::Usage(input, output) => ModelEvent::Usage {
                        model: "scripted".to_owned(),
                        input,
                        output,
                    },
                    Piece::Finish(why) => ModelEvent::Finish(match why.as_str() {
                        "stop" => FinishReason::Stop,
                        "length" => FinishReason::Length,
                        "tool_calls" => FinishReason::ToolCalls,
                        other => FinishReason::Other(other.to_owned()),
                    }),
                    Piece::Fail(message) => return Some(Err(ModelError::Demo { message })),
                    Piece::Hang => std::future::pending().await,
                    Piece::Hold => {
                        if let Ok(permit) = release.acquire().await {
                            permit.forget();
                        }
                        return None;
                    }
                    Piece::Asked(expected) => {
                        if let Err(fault) = pattern::matches(&expected, &asked, &mut Saved::default()) {
                            let mut faults = faults.lock().unwrap_or_else(PoisonError::into_inner);
                            faults.push(format!("the model was asked {asked}: {fault}"));
                        }
                        return None;
                    }
                };
                Some(Ok(event))
            }
        };
        Box::pin(
            stream::iter(pieces.into_iter().chain(last))
                .then(give)
                .filter_map(std::future::ready),
        )
    }
}
