//! Function calls: a request, the wait for its answer, and the answer are one block.
//!
//! The protocol ties them together by the function's name, its arguments and the channel only; where
//! the server gives a call an `id`, that decides.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::wire::event::{Activity, Wait};

use super::{BlockId, BlockKind, CallState, Transcript};

/// Calls that are followed at once; more are shown but not matched any longer.
const MOST_CALLS: usize = 1024;

/// The calls that something may still come for.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Calls {
    tracked: Vec<Tracked>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Tracked {
    block: BlockId,
    call_id: Option<Value>,
    stage: Stage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Stage {
    Requested,
    Waiting,
    /// Its wait ended; the response message is still to come and says the same.
    Answered,
}

impl Calls {
    /// The blocks of the calls that have no result yet.
    pub(super) fn open(&self) -> Vec<BlockId> {
        self.tracked
            .iter()
            .filter(|call| call.stage != Stage::Answered)
            .map(|call| call.block)
            .collect()
    }

    /// The blocks of the calls that the run waits for, oldest first.
    pub(super) fn waiting(&self) -> impl Iterator<Item = BlockId> {
        self.tracked
            .iter()
            .filter(|call| call.stage == Stage::Waiting)
            .map(|call| call.block)
    }

    pub(super) fn any_waiting(&self) -> bool {
        self.tracked.iter().any(|call| call.stage == Stage::Waiting)
    }

    /// A new iteration began: responses for answered calls do not come any more.
    pub(super) fn forget_answered(&mut self) {
        self.tracked.retain(|call| call.stage != Stage::Answered);
    }

    pub(super) fn forget(&mut self, block: BlockId) {
        self.tracked.retain(|call| call.block != block);
    }

    fn track(&mut self, block: BlockId, call_id: Option<Value>, stage: Stage) {
        if self.tracked.len() >= MOST_CALLS {
            self.tracked.remove(0);
        }
        self.tracked.push(Tracked { block, call_id, stage });
    }

    fn stage_of(&mut self, block: BlockId, stage: Stage) {
        if let Some(call) = self.tracked.iter_mut().find(|call| call.block == block) {
            call.stage = stage;
        }
    }
}

impl Transcript {
    pub(super) fn call_requested(&mut self, at: Option<u64>, activity: Activity, time: u64) {
        let call_id = activity.extra.get("id").cloned();
        let id = self.push_call(
            at,
            activity.function.name,
            activity.function.arguments,
            CallState::Requested,
            time,
        );
        self.run.calls.track(id, call_id, Stage::Requested);
    }

    pub(super) fn call_answered(&mut self, at: Option<u64>, activity: Activity, time: u64) {
        let call_id = activity.extra.get("id");
        let function = &activity.function;
        let found = call_id
            .and_then(|wanted| {
                self.run
                    .calls
                    .tracked
                    .iter()
                    .find(|call| call.call_id.as_ref() == Some(wanted))
            })
            .or_else(|| {
                self.run.calls.tracked.iter().find(|call| {
                    (call_id.is_none() || call.call_id.is_none())
                        && self.is_call(call.block, &function.name, &function.arguments)
                })
            })
            .cloned();
        let result = function.result.clone().unwrap_or(Value::Null);
        match found {
            Some(call) => {
                if call.stage != Stage::Answered {
                    self.answer(call.block, result, None, time);
                }
                self.run.calls.forget(call.block);
            }
            None => {
                let (result, from) = unwrapped(result);
                let state = CallState::Answered { result, from };
                self.push_call(at, activity.function.name, activity.function.arguments, state, time);
            }
        }
    }

    pub(super) fn wait_begin(&mut self, at: Option<u64>, wait: Wait, time: u64) {
        let state = CallState::Waiting {
            channel: wait.channel.clone(),
            expires_at: wait.expires_at,
        };
        let matching = |stage: Stage| {
            self.run.calls.tracked.iter().find(|call| {
                call.stage == stage
                    && self.is_call(call.block, &wait.function.name, &wait.function.args)
                    && (stage == Stage::Requested || self.waits_on(call.block, &wait.channel))
            })
        };
        // A wait that begins once more on the same channel is the same one after a restart of the server.
        let found = matching(Stage::Requested)
            .or_else(|| matching(Stage::Waiting))
            .map(|call| call.block);
        match found {
            Some(block) => {
                self.run.calls.stage_of(block, Stage::Waiting);
                self.edit(block, |block| {
                    if let BlockKind::Call { state: old, .. } = &mut block.kind {
                        *old = state;
                    }
                });
            }
            None => {
                let id = self.push_call(at, wait.function.name, wait.function.args, state, time);
                self.run.calls.track(id, None, Stage::Waiting);
            }
        }
    }

    pub(super) fn wait_end(&mut self, at: Option<u64>, wait: Wait, time: u64) {
        let waiting = || {
            self.run
                .calls
                .tracked
                .iter()
                .filter(|call| call.stage == Stage::Waiting)
        };
        let (name, args) = (&wait.function.name, &wait.function.args);
        let found = waiting()
            .find(|call| self.waits_on(call.block, &wait.channel) && self.is_call(call.block, name, args))
            .or_else(|| waiting().find(|call| self.waits_on(call.block, &wait.channel)))
            .map(|call| call.block);
        let result = wait.message.unwrap_or(Value::Null);
        match found {
            Some(block) => {
                self.run.calls.stage_of(block, Stage::Answered);
                self.answer(block, result, wait.from, time);
            }
            None => {
                let (result, from) = unwrapped(result);
                let state = CallState::Answered {
                    result,
                    from: wait.from.or(from),
                };
                let id = self.push_call(at, wait.function.name, wait.function.args, state, time);
                self.run.calls.track(id, None, Stage::Answered);
            }
        }
    }

    /// A call that has no result will not get one.
    pub(super) fn abandon(&mut self, id: BlockId) {
        self.run.calls.forget(id);
        let open = matches!(
            self.block(id).map(|block| &block.kind),
            Some(BlockKind::Call {
                state: CallState::Requested | CallState::Waiting { .. },
                ..
            })
        );
        if open {
            self.edit(id, |block| {
                if let BlockKind::Call { state, .. } = &mut block.kind {
                    *state = CallState::Abandoned;
                }
            });
        }
    }

    fn push_call(
        &mut self,
        at: Option<u64>,
        function: String,
        arguments: Value,
        state: CallState,
        time: u64,
    ) -> BlockId {
        let answered_at = matches!(state, CallState::Answered { .. }).then_some(time);
        let arguments = parsed(arguments);
        self.push_id(
            at,
            BlockKind::Call {
                function,
                arguments,
                state,
                asked_at: Some(time),
                answered_at,
            },
        )
    }

    fn answer(&mut self, id: BlockId, result: Value, from: Option<String>, time: u64) {
        let (result, by) = unwrapped(result);
        self.edit(id, |block| {
            if let BlockKind::Call { state, answered_at, .. } = &mut block.kind {
                *state = CallState::Answered {
                    result,
                    from: from.or(by),
                };
                *answered_at = Some(time);
            }
        });
    }

    fn is_call(&self, id: BlockId, name: &str, args: &Value) -> bool {
        matches!(
            self.block(id).map(|block| &block.kind),
            Some(BlockKind::Call { function, arguments, .. })
                if function == name && (arguments == args || *arguments == parsed(args.clone()))
        )
    }

    fn waits_on(&self, id: BlockId, wanted: &str) -> bool {
        matches!(
            self.block(id).map(|block| &block.kind),
            Some(BlockKind::Call { state: CallState::Waiting { channel, .. }, .. }) if channel == wanted
        )
    }
}

/// Arguments that came as a text of JSON are that JSON.
fn parsed(arguments: Value) -> Value {
    match &arguments {
        Value::String(text) if text.trim_start().starts_with('{') => serde_json::from_str(text).unwrap_or(arguments),
        _ => arguments,
    }
}

/// What a published answer holds (PROTOCOL, "Functions"): `{"data": VALUE}` is the value, `{"error": TEXT}` stays
/// as it is so that it is seen to be an error; a text that is JSON is that JSON. With it, who answered.
fn unwrapped(result: Value) -> (Value, Option<String>) {
    let result = match result {
        Value::String(text) => serde_json::from_str(&text).unwrap_or(Value::String(text)),
        other => other,
    };
    let Value::Object(mut fields) = result else {
        return (result, None);
    };
    let known = |name: &str| matches!(name, "data" | "error" | "from");
    if !fields.keys().all(|name| known(name)) || !(fields.contains_key("data") ^ fields.contains_key("error")) {
        return (Value::Object(fields), None);
    }
    let from = match fields.shift_remove("from") {
        Some(Value::String(from)) => Some(from),
        _ => None,
    };
    match fields.shift_remove("data") {
        Some(data) => (data, from),
        None => (Value::Object(fields), from),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn published_answers_are_unwrapped_for_display() {
        for (published, result, from) in [
            (json!({"data": 7}), json!(7), None),
            (
                json!({"data": {"a": 1}, "from": "laptop-2"}),
                json!({"a": 1}),
                Some("laptop-2"),
            ),
            (json!({"error": "no"}), json!({"error": "no"}), None),
            (json!({"rows": 3}), json!({"rows": 3}), None),
            (json!({"data": 1, "rows": 3}), json!({"data": 1, "rows": 3}), None),
            (json!("{\"data\":[1]}"), json!([1]), None),
            (json!("plain"), json!("plain"), None),
            (json!(null), json!(null), None),
        ] {
            assert_eq!(unwrapped(published), (result, from.map(str::to_owned)));
        }
    }
}
