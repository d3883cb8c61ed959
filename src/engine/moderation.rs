//! Moderation of a run: what the request says, but for the bot, is judged before the model hears of it.
//!
//! It fails closed: without a verdict the run ends.

use std::collections::HashSet;
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
    /// Judges the texts of the request that are not the bot's, if it wants them judged. Asked once, before the first
    /// model call.
    pub(super) async fn moderate(&self) -> Result<(), Stop> {
        if self.ready.request.moderation != Some(true) {
            return Ok(());
        }
        let Some(moderator) = &self.engine.moderator else {
            // The order was taken when there was one.
            let text = "the messages were to be moderated, and this server has no moderation endpoint any more";
            return Err(Stop::Failed(ErrorCode::NotImplemented, text.to_owned()));
        };
        let texts = texts(&self.ready.request);
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

/// The texts of a request that are not the bot's, each once. Where each stands does not matter: whoever writes a
/// request writes all of it, and an answer of the bot between two texts judges nothing.
fn texts(request: &CompleteRequest) -> Vec<&str> {
    let of_bot = request.bot_id.is_some();
    // What a stored bot is told was written by whoever runs the server.
    let backstory = request.backstory.as_deref().filter(|_| !of_bot);
    let extension = request.extensions.as_ref();
    let extension = extension.and_then(|extensions| extensions.backstory.as_deref());
    let said = request.messages.iter().filter(|message| {
        matches!(
            message.kind,
            MessageKind::User | MessageKind::Context | MessageKind::Instruction | MessageKind::Backstory
        )
    });
    let mut seen = HashSet::new();
    backstory
        .into_iter()
        .chain(extension)
        .chain(said.map(|message| message.text.as_str()))
        .filter(|text| !text.trim().is_empty() && seen.insert(*text))
        .collect()
}

fn refusal(verdict: &Verdict) -> String {
    let mut text = "moderation refused the messages".to_owned();
    if !verdict.categories.is_empty() {
        let _ = write!(text, " ({})", verdict.categories.join(", "));
    }
    text.push_str("; nothing was sent to the model");
    text
}
