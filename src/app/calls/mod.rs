//! Function calls: the inbox, the form of an answer, configured commands and what may run. State and rules; what is
//! carried out is `tui`'s matter, what is drawn `ui`'s.
//!
//! A call of a run that was dispatched from here, on a result channel that was made for it here, may be answered by
//! its configured command without being asked about. It is taken up at most once: how far calls were taken up is
//! saved before a command starts, and whoever carries a command out claims the call first.

mod carried;
pub mod form;
pub mod inbox;
mod jobs;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::config::FunctionConfig;
use crate::transcript::{BlockId, BlockKind, CallState, FeedBatch};
use crate::wire::ChannelId;

use super::action::Action;
use super::effect::Effect;
use super::msg::RequestId;
use super::state::App;

pub(super) use carried::{carry, carry_only, ids_needed};
pub(super) use jobs::{published, sign};

use carried::Carried;
pub use carried::OfChannel;
use form::Form;
pub use inbox::{Inbox, Waiting, waiting};
pub use jobs::{Job, Stage};

/// What the configuration and the flags say of it.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// The configured functions, by name.
    pub functions: IndexMap<String, Arc<FunctionConfig>>,
    /// What answers are signed with: a name for this machine.
    pub device: String,
}

/// Its part of the state.
#[derive(Debug, Default)]
pub struct Calls {
    /// Commands that run by themselves because a person said so.
    allowed: Vec<Allowed>,
    /// What is being done about calls.
    jobs: Vec<Job>,
    /// Runs whose calls are looked at again once nothing more came for a moment, and when, monotonic milliseconds.
    settling: Vec<(ChannelId, u64)>,
    /// What was filled in for calls whose form is not shown.
    drafts: Vec<(CallRef, Form)>,
    /// Answers by hand on their way.
    by_hand: Vec<(RequestId, CallRef, String)>,
}

/// A call: its run and its block there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallRef {
    /// The run's channel.
    pub run: ChannelId,
    /// The call's block.
    pub block: BlockId,
}

/// "Allow always here", for one function with one command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Allowed {
    function: String,
    digest: String,
}

/// What of it the next start shows again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Saved {
    /// Commands that run by themselves because a person said so.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    allowed: Vec<Allowed>,
}

/// What of a channel the next start shows again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SavedOfChannel {
    /// The functions that its run was dispatched with, and how far their calls were taken up.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    carried: Vec<Carried>,
}

/// What can happen to it.
#[derive(Debug)]
pub enum Msg {
    /// A command ended; `Err`: why there is no result.
    Ran {
        /// Which one.
        job: RequestId,
        /// Its result, or what went wrong in a sentence.
        result: Result<Value, String>,
    },
    /// A command was stopped before its end.
    Stopped {
        /// Which one.
        job: RequestId,
    },
    /// A command was not started: the call was taken up before, by this program or another one.
    Taken {
        /// Which one.
        job: RequestId,
    },
}

/// What it wants done.
#[derive(Debug, Clone, PartialEq)]
pub enum Do {
    /// Run a function's command; the answer is [`Msg::Ran`], [`Msg::Stopped`] or [`Msg::Taken`].
    Run {
        /// Comes back with the answer.
        job: RequestId,
        /// What to run.
        function: Arc<FunctionConfig>,
        /// Its arguments.
        arguments: Value,
        /// Names the call among all calls ever: only the first that claims it runs it. `None`: a person said so,
        /// knowing that it was taken up before.
        claim: Option<String>,
    },
    /// Stop a command.
    Stop {
        /// Which one.
        job: RequestId,
    },
}

impl Calls {
    /// The state at the start.
    pub(super) fn new(saved: Saved) -> Self {
        Self {
            allowed: saved.allowed,
            ..Self::default()
        }
    }

    /// What the next start needs of it.
    pub(super) fn saved(&self) -> Saved {
        Saved {
            allowed: self.allowed.clone(),
        }
    }

    /// What is being done about a call.
    #[must_use]
    pub fn job(&self, run: &ChannelId, block: BlockId) -> Option<&Job> {
        self.jobs.iter().find(|job| job.block == block && job.run == *run)
    }

    fn is_allowed(&self, function: &str, config: &FunctionConfig) -> bool {
        let digest = config.digest();
        self.allowed
            .iter()
            .any(|allowed| allowed.function == function && allowed.digest == digest)
    }
}

/// Does what an action says; `false`: the action belongs elsewhere.
pub(super) fn perform(app: &mut App, action: Action, effects: &mut Vec<Effect>) -> bool {
    inbox::perform(app, action, effects)
}

/// Takes in what happened.
pub(super) fn take(app: &mut App, msg: Msg, effects: &mut Vec<Effect>) {
    match msg {
        Msg::Ran { job, result } => jobs::ran(app, job, result, effects),
        Msg::Stopped { job } => jobs::stopped(app, job),
        Msg::Taken { job } => jobs::taken(app, job),
    }
}

/// A batch is about to be taken in.
pub(super) fn before_feed(app: &mut App, id: &ChannelId, batch: &FeedBatch, _effects: &mut Vec<Effect>) {
    carried::read(app, id, batch);
}

/// A batch was taken in.
pub(super) fn after_feed(app: &mut App, id: &ChannelId, effects: &mut Vec<Effect>) {
    jobs::consider(app, id, effects);
    jobs::follow(app, id, effects);
    inbox::call_changed(app, id);
}

/// Time passed. `true`: something visible changed.
pub(super) fn tick(app: &mut App, effects: &mut Vec<Effect>) -> bool {
    let now = app.now.monotonic_ms;
    let mut changed = false;
    while let Some(at) = app.calls.settling.iter().position(|(_, due)| *due <= now) {
        let (run, _) = app.calls.settling.swap_remove(at);
        jobs::consider(app, &run, effects);
        changed = true;
    }
    changed | jobs::publish_again(app, effects)
}

/// When it needs the next tick, monotonic milliseconds.
pub(super) fn next_due(app: &App) -> Option<u64> {
    let settling = app.calls.settling.iter().map(|(_, due)| *due);
    settling.chain(app.calls.jobs.iter().filter_map(Job::due)).min()
}

/// The waiting call of a block: function, arguments, and the channel for its answer as it came.
fn waiting_at<'a>(app: &'a App, call: &CallRef) -> Option<(&'a str, &'a Value, &'a str)> {
    let block = app.channels.get(&call.run)?.transcript.block(call.block)?;
    match &block.kind {
        BlockKind::Call {
            function,
            arguments,
            state: CallState::Waiting { channel, .. },
            ..
        } => Some((function, arguments, channel)),
        _ => None,
    }
}
