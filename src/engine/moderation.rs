//! Moderation of a run: what the person newly says is judged before the model hears of it.
//!
//! It fails closed: without a verdict the run ends.

use std::fmt::Write as _;

use tokio::time::timeout_at;

use super::run::{Run, Stop, code_of};
use super::{Answers, Engine, EventSink};
use crate::llm::Verdict;
use crate::wire::{ApiError, CompleteRequest, ErrorCode, MessageKind};

/// Whether what a request says about moderation can be done.
pub(super) fn check(engine: &Engine, request: &CompleteRequest) -> Result<(), ApiError> {
    if request.moderation == Some(true) && engine.moderator.is_none() {
        return Err(ApiError::new(
            ErrorCode::NotImplemented,
            "`moderation`: this server has no moderation endpoint; name one in [server.moderation] of its configuration",
        ));
    }
    Ok(())
}

impl<S: EventSink, A: Answers> Run<'_, S, A> {
    /// Judges what the person says in the messages after the bot's last one, if the request wants it judged. Asked
    /// once, before the first model call.
    pub(super) async fn moderate(&self) -> Result<(), Stop> {
        if self.ready.request.moderation != Some(true) {
            return Ok(());
        }
        let Some(moderator) = &self.engine.moderator else {
            // The order was taken when there was one.
            let text = "the messages were to be moderated, and this server has no moderation endpoint any more";
            return Err(Stop::Failed(ErrorCode::NotImplemented, text.to_owned()));
        };
        let said = self.ready.request.new_messages().iter();
        let texts: Vec<&str> = said
            .filter(|message| message.kind == MessageKind::User && !message.text.trim().is_empty())
            .map(|message| message.text.as_str())
            .collect();
        if texts.is_empty() {
            return Ok(());
        }
        let verdict = tokio::select! {
            biased;
            () = self.cancel.cancelled() => return Err(Stop::Cancelled),
            verdict = timeout_at(self.deadline, moderator.moderate(&texts)) => verdict,
        };
        match verdict {
            Err(_) => Err(self.too_slow()),
            Ok(Err(error)) => Err(Stop::Failed(
                code_of(&error),
                format!("the messages could not be moderated: {error}"),
            )),
            Ok(Ok(verdict)) if verdict.flagged => Err(Stop::Failed(ErrorCode::UnprocessableEntity, refusal(&verdict))),
            Ok(Ok(_)) => Ok(()),
        }
    }
}

fn refusal(verdict: &Verdict) -> String {
    let mut text = "moderation refused the messages".to_owned();
    if !verdict.categories.is_empty() {
        let _ = write!(text, " ({})", verdict.categories.join(", "));
    }
    text.push_str("; nothing was sent to the model");
    text
}
