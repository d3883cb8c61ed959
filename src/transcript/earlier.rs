//! The earlier runs of a thread: what is kept of them when the conversation goes on with another run, as data
//! that can be written down, and how a transcript begins with them.
//!
//! It knows no request: which of it goes along to a model is decided by who sends it.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Block, BlockKind, CallState, Transcript};

/// One part of an earlier run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Turn {
    /// When it began, Unix time in milliseconds, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<u64>,
    /// What it is.
    #[serde(flatten)]
    pub kind: TurnKind,
}

/// What a part of an earlier run is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum TurnKind {
    /// A message of the person, or another input message.
    Prompt {
        /// `user`, `context`, …
        role: String,
        /// Its text.
        text: String,
    },
    /// The bot's text.
    Answer {
        /// Its text.
        text: String,
    },
    /// The bot's reasoning.
    Reasoning {
        /// Its text.
        text: String,
        /// Tokens that it came in.
        tokens: u64,
    },
    /// A function call.
    Call {
        /// The function's name.
        function: String,
        /// What it was called with.
        arguments: Value,
        /// Its result, if it had one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        result: Option<Value>,
        /// Who answered.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        from: Option<String>,
        /// When it was answered, Unix time in milliseconds.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        answered_at: Option<u64>,
    },
    /// The run ended.
    End {
        /// Why.
        reason: String,
        /// Tokens in all.
        tokens: u64,
        /// How many of them were read and written.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        used: Option<(u64, u64)>,
    },
    /// The run failed.
    Failure {
        /// What went wrong.
        message: String,
        /// What kind of error it is.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        code: Option<String>,
    },
    /// Something is missing here.
    Missing {
        /// How many events, where that is known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        events: Option<u64>,
    },
}

impl Turn {
    /// What a block leaves behind; `None`: nothing that the conversation is made of.
    fn of(block: &Block) -> Option<Self> {
        if block.superseded {
            return None;
        }
        let kind = match &block.kind {
            BlockKind::Prompt { role, text } => TurnKind::Prompt {
                role: role.clone(),
                text: text.clone(),
            },
            BlockKind::Answer { text, .. } => TurnKind::Answer { text: text.clone() },
            BlockKind::Reasoning { text, tokens, .. } => TurnKind::Reasoning {
                text: text.clone(),
                tokens: *tokens,
            },
            BlockKind::Call {
                function,
                arguments,
                state,
                answered_at,
                ..
            } => {
                let (result, from) = match state {
                    CallState::Answered { result, from } => (Some(result.clone()), from.clone()),
                    _ => (None, None),
                };
                TurnKind::Call {
                    function: function.clone(),
                    arguments: arguments.clone(),
                    result,
                    from,
                    answered_at: *answered_at,
                }
            }
            BlockKind::End { reason, tokens, used } => TurnKind::End {
                reason: reason.clone(),
                tokens: *tokens,
                used: *used,
            },
            BlockKind::Failure { message, code } => TurnKind::Failure {
                message: message.clone(),
                code: code.clone(),
            },
            BlockKind::Gap { missing } => TurnKind::Missing { events: *missing },
            BlockKind::Trimmed { .. } => TurnKind::Missing { events: None },
            _ => return None,
        };
        Some(Self { at: block.at, kind })
    }

    fn block(&self) -> BlockKind {
        match self.kind.clone() {
            TurnKind::Prompt { role, text } => BlockKind::Prompt { role, text },
            TurnKind::Answer { text } => BlockKind::Answer { text, streaming: false },
            TurnKind::Reasoning { text, tokens } => BlockKind::Reasoning {
                text,
                tokens,
                streaming: false,
            },
            TurnKind::Call {
                function,
                arguments,
                result,
                from,
                answered_at,
            } => BlockKind::Call {
                function,
                arguments,
                state: match result {
                    Some(result) => CallState::Answered { result, from },
                    None => CallState::Abandoned,
                },
                asked_at: self.at,
                answered_at,
            },
            TurnKind::End { reason, tokens, used } => BlockKind::End { reason, tokens, used },
            TurnKind::Failure { message, code } => BlockKind::Failure { message, code },
            TurnKind::Missing { events } => BlockKind::Gap { missing: events },
        }
    }

    /// The memory that its text takes, about, in bytes.
    #[must_use]
    pub fn size(&self) -> usize {
        64 + match &self.kind {
            TurnKind::Prompt { text, .. } | TurnKind::Answer { text } | TurnKind::Reasoning { text, .. } => text.len(),
            TurnKind::Call { arguments, result, .. } => {
                arguments.to_string().len() + result.as_ref().map_or(0, |result| result.to_string().len())
            }
            TurnKind::Failure { message, .. } => message.len(),
            TurnKind::End { .. } | TurnKind::Missing { .. } => 0,
        }
    }
}

impl Transcript {
    /// What the channel's own run leaves behind, without what the transcript began with.
    #[must_use]
    pub fn own_turns(&self) -> Vec<Turn> {
        // What was folded away stands at the front under a name of its own, and is missing from the conversation.
        self.blocks
            .iter()
            .filter(|block| block.id.0 >= self.own_from || matches!(block.kind, BlockKind::Trimmed { .. }))
            .filter_map(Turn::of)
            .collect()
    }

    /// Begins with the earlier runs of the thread. Call it on a transcript in which nothing is yet.
    pub fn begin_with(&mut self, earlier: &[Turn]) {
        for turn in earlier {
            self.push(turn.at, turn.block());
        }
        self.own_from = self.next_id;
        self.repeated = repeated(earlier);
    }

    /// Whether a message stands above already: a run whose conversation has no answer yet brings the prompts
    /// that were sent before.
    pub(super) fn is_repeated(&mut self, text: &str) -> bool {
        if self.repeated.front().is_some_and(|known| known == text) {
            self.repeated.pop_front();
            return true;
        }
        self.repeated.clear();
        false
    }

    /// Whether a block is of the channel's own run.
    pub(super) fn is_own(&self, block: &Block) -> bool {
        block.id.0 >= self.own_from
    }

    /// Leaves only what the transcript began with.
    pub(super) fn forget_own(&mut self) {
        let from = self.own_from;
        self.blocks.retain(|block| block.id.0 < from);
        self.bytes = self.blocks.iter().map(super::bound::size).sum();
    }
}

/// The input messages after the last answer, which the next run's channel brings again.
fn repeated(earlier: &[Turn]) -> std::collections::VecDeque<String> {
    let from = earlier
        .iter()
        .rposition(|turn| matches!(turn.kind, TurnKind::Answer { .. }))
        .map_or(0, |at| at + 1);
    earlier[from..]
        .iter()
        .filter_map(|turn| match &turn.kind {
            TurnKind::Prompt { text, .. } => Some(text.clone()),
            _ => None,
        })
        .collect()
}
