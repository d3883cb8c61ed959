//! What a run has come to, in a form that outlives the process: kept beside each event that changes it, and read by
//! the run that goes on.
//!
//! It holds everything but the order itself and what can be made from it again. It decides nothing; `run` does.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Checkpoint;
use super::functions::Source;
use crate::llm::{ChatMessage, ToolCall};
use crate::wire::event::RunEnd;
use crate::wire::request::Function;
use crate::wire::{ApiError, ErrorCode};

/// The form that is written. It changes whenever an older program could not read what is kept, or would take it
/// for something else.
const VERSION: u64 = 2;
/// The oldest form that is read. What a newer one has more is written as further kinds of sources and stages.
const OLDEST: u64 = 1;

/// Where a run stands. Between two events that are kept nothing of it changes but `text`, which begins anew with
/// each model call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct State {
    /// A name for this run in `completeBegin` and `completeEnd`.
    pub(super) instance: String,
    /// What was made ready before the first model call.
    pub(super) prepared: Prepared,
    /// Model calls finished.
    pub(super) iteration: u64,
    /// Function calls made.
    pub(super) calls: u64,
    /// How often a model that ran into its longest answer was told to go on.
    pub(super) continuations: u64,
    /// The bot's last text, as far as it has come.
    pub(super) text: String,
    /// Tokens of all finished model calls.
    pub(super) tokens: u64,
    /// Whether some of them are estimated.
    pub(super) estimated: bool,
    /// Functions that are still to be called first.
    pub(super) starts: VecDeque<String>,
    /// Whether a function that ends the run was called, or asked for, already.
    pub(super) asked: bool,
    /// What comes next.
    pub(super) next: Next,
    /// The last model call's function calls, in the model's order, until all of them have their results.
    pub(super) pending: Vec<Pending>,
}

/// What is made ready once, before a run's first model call, and is the same after a restart.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Prepared {
    /// The model's own functions, with the channels that were minted for them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) own_functions: Option<Vec<Function>>,
}

/// What a run does next.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) enum Next {
    /// Asks the model.
    Ask {
        /// The function that it has to call.
        function: Option<String>,
        /// Whether it goes on with the text before.
        go_on: bool,
    },
    /// Gets the results of the pending calls.
    Answer(Then),
    /// Says how it ended.
    End(RunEnd),
}

/// What follows when all calls have their results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Then {
    /// The model gets them.
    Ask,
    /// The run ends, because one of the calls was to be the last.
    Stop,
    /// The run ends, because its caller handles the rest.
    Caller,
}

/// A function call and how far it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Pending {
    /// The call; its id stays the same over a restart.
    pub(super) call: ToolCall,
    /// Where its result comes from.
    pub(super) source: Source,
    /// How far it is.
    pub(super) stage: Stage,
}

/// How far a function call is. A stage is entered with the event that tells it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) enum Stage {
    /// Its request is told when the other calls have their results.
    Deferred,
    /// Its request was told.
    Requested,
    /// The run carries it out; its operation was told to begin.
    Begun,
    /// It waits for a message.
    Waiting {
        /// When it gives up, Unix time in milliseconds.
        expires_at: u64,
    },
    /// The wait or the operation is over with this result.
    Answered(Value),
    /// The response was told; this is the result.
    Done(Value),
    /// The response was told; the result is the function's own data, which is in the order already.
    Told,
}

impl State {
    /// The checkpoint of this state.
    pub(super) fn write(&self, added: &[ChatMessage], elapsed: Duration) -> Checkpoint {
        let kept = Writing {
            version: VERSION,
            elapsed: u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX),
            state: self,
            added,
        };
        // Writing to memory cannot fail, and every map in it has strings for keys. A checkpoint that could not be
        // written would be refused as unreadable, not taken for another.
        Checkpoint::new(serde_json::to_vec(&kept).unwrap_or_default())
    }
}

/// What was read from a checkpoint.
#[derive(Debug, PartialEq)]
pub(super) struct Restored {
    pub(super) state: State,
    /// What the run added to the conversation.
    pub(super) added: Vec<ChatMessage>,
    /// How much of its time the run has used.
    pub(super) elapsed: Duration,
}

/// Reads a checkpoint.
///
/// # Errors
/// When it was written by a program that this one does not understand, or is damaged.
pub(super) fn read(checkpoint: &Checkpoint) -> Result<Restored, ApiError> {
    let refused = |why: String| {
        let message = format!("the run cannot go on after the server's restart: {why}; dispatch it again");
        Err(ApiError::new(ErrorCode::InternalServerError, message))
    };
    // Only the version is looked at first: the rest may have any form if it is another one.
    match serde_json::from_slice::<Version>(checkpoint.as_bytes()) {
        Ok(Version {
            version: OLDEST..=VERSION,
        }) => {}
        Ok(Version { version }) => {
            return refused(format!(
                "what was kept of it has the form {version}, and this version of the server reads the form {VERSION}"
            ));
        }
        Err(_) => return refused("what was kept of it is damaged".to_owned()),
    }
    match serde_json::from_slice::<Reading>(checkpoint.as_bytes()) {
        Ok(kept) => Ok(Restored {
            state: kept.state,
            added: kept.added,
            elapsed: Duration::from_millis(kept.elapsed),
        }),
        Err(error) => {
            // Where, not what: the message may hold texts of the conversation.
            let (line, column) = (error.line(), error.column());
            tracing::error!(line, column, "a checkpoint cannot be read");
            refused("what was kept of it is damaged".to_owned())
        }
    }
}

#[derive(Serialize)]
struct Writing<'a> {
    version: u64,
    elapsed: u64,
    state: &'a State,
    added: &'a [ChatMessage],
}

#[derive(Deserialize)]
struct Version {
    version: u64,
}

#[derive(Deserialize)]
struct Reading {
    elapsed: u64,
    state: State,
    added: Vec<ChatMessage>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::llm::Arguments;
    use crate::wire::{ChannelId, Object};
    use serde_json::json;

    fn state(next: Next) -> State {
        State {
            instance: "i".into(),
            prepared: Prepared::default(),
            iteration: 2,
            calls: 3,
            continuations: 1,
            text: "so far".into(),
            tokens: 12,
            estimated: true,
            starts: VecDeque::from(["f".to_owned()]),
            asked: false,
            next,
            pending: Vec::new(),
        }
    }

    fn pending(source: Source, stage: Stage) -> Pending {
        let call = ToolCall {
            id: "a".into(),
            name: "f".into(),
            arguments: Arguments::Json(json!({"x": 1.5})),
        };
        Pending { call, source, stage }
    }

    #[test]
    fn what_is_written_is_read_again() {
        let channel = Source::Channel(ChannelId::parse("0123456789abcdef").expect("an id"));
        let calls = vec![
            pending(channel.clone(), Stage::Requested),
            pending(channel.clone(), Stage::Waiting { expires_at: 5 }),
            pending(channel, Stage::Answered(Value::Null)),
            pending(Source::Known(json!(1)), Stage::Done(json!({"error": "x"}))),
            pending(Source::Refused(json!({"error": "x"})), Stage::Requested),
            pending(Source::Caller, Stage::Deferred),
            pending(Source::Data, Stage::Requested),
            pending(Source::Data, Stage::Told),
        ];
        let mut own = state(Next::Ask {
            function: Some("f".into()),
            go_on: true,
        });
        own.prepared.own_functions = Some(Vec::new());
        let end = RunEnd {
            reason: "stop".into(),
            extra: Object::from_iter([("detail".to_owned(), json!("content_filter"))]),
        };
        let added = vec![
            ChatMessage::Assistant {
                text: "t".into(),
                calls: vec![calls[0].call.clone()],
            },
            ChatMessage::Tool {
                id: "a".into(),
                content: "1".into(),
            },
            ChatMessage::User("go on".into()),
        ];
        let mut answers = state(Next::Answer(Then::Caller));
        answers.pending = calls;
        for state in [own, answers, state(Next::End(end))] {
            let elapsed = Duration::from_millis(1234);
            let restored = read(&state.write(&added, elapsed)).expect("it is read");
            let expected = Restored {
                state,
                added: added.clone(),
                elapsed,
            };
            assert_eq!(restored, expected);
        }
    }

    #[test]
    fn the_form_of_the_first_version_is_read() {
        let kept = json!({
            "version": 1, "elapsed": 7, "added": [{"User": "go on"}, {"Tool": {"id": "a", "content": "1"}},
                {"Assistant": {"text": "", "calls": [{"id": "a", "name": "f", "arguments": {"Raw": "{"}}]}}],
            "state": {"instance": "i", "prepared": {}, "iteration": 1, "calls": 1, "continuations": 0, "text": "",
                "tokens": 3, "estimated": false, "starts": [], "asked": false, "next": {"Answer": "Ask"}, "pending": [
                    {"call": {"id": "a", "name": "f", "arguments": {"Json": {}}},
                     "source": {"Channel": "0123456789abcdef"}, "stage": {"Waiting": {"expires_at": 9}}},
                    {"call": {"id": "b", "name": "g", "arguments": {"Json": {}}},
                     "source": {"Known": [1]}, "stage": {"Done": [1]}}]},
        });
        let restored = read(&Checkpoint::new(kept.to_string())).expect("it is read");
        assert_eq!(restored.state.next, Next::Answer(Then::Ask));
        assert_eq!(restored.state.pending[0].stage, Stage::Waiting { expires_at: 9 });
        assert_eq!(restored.state.pending[1].source, Source::Known(json!([1])));
        assert_eq!(restored.state.pending[1].stage, Stage::Done(json!([1])));
        assert_eq!(restored.added.len(), 3);
    }

    #[test]
    fn what_cannot_be_read_is_refused_without_its_texts() {
        let newer = json!({"version": 3, "state": "something else"}).to_string();
        for (kept, why) in [
            (newer.as_str(), "the form 3"),
            ("", "damaged"),
            ("{\"version\":1}", "damaged"),
            (
                "{\"version\":1,\"state\":{\"text\":\"secret\"},\"added\":[]}",
                "damaged",
            ),
            ("{\"version\":1,\"elapsed\":1,\"added\":[],\"state\":{", "damaged"),
        ] {
            let error = read(&Checkpoint::new(kept.to_owned())).expect_err(kept);
            assert!(error.message.contains(why), "{error}");
            assert!(!error.message.contains("secret"), "{error}");
            assert_eq!(error.code, ErrorCode::InternalServerError);
        }
    }
}
