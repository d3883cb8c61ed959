//! What has to be true of a run whatever happened to its server.
//!
//! It reads a channel's log from its first event and compares it with the plan of the run, with what subscribers saw,
//! with what was published, and with what the model was asked.

use std::collections::HashSet;

use serde_json::Value;

use crate::plan::{Call, INPUT_TOKENS, Plan, Source, Turn};
use crate::world::{Attempt, Known, Sent};

/// How often a server may be killed in the middle of an iteration before its run is given up.
const MOST_SEAMS: u32 = 3;

/// A model call whose events are not all there yet.
#[derive(Debug, Default)]
struct Open {
    text: String,
    reasoning: String,
    told_text: bool,
    told_reasoning: bool,
    /// The ids of the calls that were requested.
    ids: Vec<String>,
    used: bool,
}

/// A function call of the last finished model call.
#[derive(Debug)]
struct Called {
    turn: usize,
    at: usize,
    id: String,
    call: Call,
    begun: bool,
    /// What ended its wait.
    message: Option<Value>,
    responded: bool,
}

/// A call that was answered by somebody: its channel, its id, and the message.
#[derive(Debug)]
struct Won {
    channel: String,
    id: String,
    message: Value,
}

/// How a log ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    /// The reason of the `result`, or `error`.
    pub reason: String,
}

/// Reads a log event by event.
struct Reader<'a> {
    plan: &'a Plan,
    known: &'a Known,
    /// How many servers ended in good order: that counts as no attempt of a run.
    clean: u32,
    begun: bool,
    instance: Option<Value>,
    /// Model calls that are finished.
    done: usize,
    open: Option<Open>,
    calls: Vec<Called>,
    won: Vec<Won>,
    text: String,
    tokens: u64,
    /// Restarts since the run came further.
    seams: u32,
    cancelled: bool,
    end: Option<End>,
}

/// Checks the log of a run, or its beginning, after so many clean ends of servers; gives how it ends.
pub fn check(plan: &Plan, known: &Known, clean: u32, lines: &[String]) -> Result<Option<End>, String> {
    let mut reader = Reader {
        plan,
        known,
        clean,
        begun: false,
        instance: None,
        done: 0,
        open: None,
        calls: Vec::new(),
        won: Vec::new(),
        text: String::new(),
        tokens: 0,
        seams: 0,
        cancelled: false,
        end: None,
    };
    for (at, line) in lines.iter().enumerate() {
        let value: Value = serde_json::from_str(line).map_err(|error| format!("{error} in {line}"))?;
        if value["id"] != at {
            return Err(format!("event {at} is {line}"));
        }
        reader
            .take(&value["data"])
            .map_err(|why| format!("{why}, at event {at}: {line}"))?;
    }
    reader.answers()?;
    Ok(reader.end)
}

macro_rules! hold {
    ($condition:expr, $($why:tt)+) => {
        if !$condition {
            return Err(format!($($why)+));
        }
    };
}

impl Reader<'_> {
    fn take(&mut self, event: &Value) -> Result<(), String> {
        hold!(self.end.is_none(), "an event after the last one");
        let data = &event["data"];
        let kind = event["type"].as_str().unwrap_or_default();
        if !self.begun {
            let taken = self.plan.prompts().find(|prompt| data["text"] == ***prompt);
            let taken = taken.filter(|_| kind == "message" && data["type"] == "user");
            let taken = taken.ok_or("it does not begin with its prompt")?;
            let other = self.known.acknowledged.iter().find(|prompt| *prompt != taken);
            if let Some(other) = other {
                return Err(format!("{other:?} was acknowledged, and {taken:?} was taken"));
            }
            self.begun = true;
            return Ok(());
        }
        let restarted = kind == "abort" && data["reason"] == "server restarted";
        hold!(
            !self.cancelled || kind == "result" || restarted,
            "an event after it was cancelled"
        );
        match kind {
            "completeBegin" => self.complete_begin(data),
            "token" => self.piece(data, false),
            "reasoningToken" => self.piece(data, true),
            "message" => self.message(data),
            "usage" => {
                let turn = self.turn();
                let open = self.open.as_mut().ok_or("usage outside of an iteration")?;
                hold!(!open.used, "usage twice");
                open.used = true;
                hold!(
                    data["inputTokensUsed"] == INPUT_TOKENS && data["outputTokensUsed"] == turn.output_tokens(),
                    "other usage"
                );
                Ok(())
            }
            "completeEnd" => self.complete_end(data),
            "waitForChannelMessageBegin" => {
                let (call, earlier) = self.waiting(data)?;
                hold!(!call.begun, "a wait is announced twice");
                call.begun = true;
                self.seams = 0;
                hold!(
                    earlier,
                    "a wait begins before the one that shares its channel has ended"
                );
                Ok(())
            }
            "waitForChannelMessageEnd" => {
                let message = data["message"].clone();
                hold!(!message.is_null(), "a wait that nobody answered");
                let (call, _) = self.waiting(data)?;
                hold!(call.begun && call.message.is_none(), "a wait ends that did not go on");
                call.message = Some(message.clone());
                self.seams = 0;
                let (channel, id) = (text(data, "channel"), text(data, "id"));
                self.won.push(Won { channel, id, message });
                Ok(())
            }
            "abort" => self.abort(data),
            "result" => self.result(data),
            "error" => {
                hold!(
                    self.seams >= MOST_SEAMS && text(data, "message").contains("restarted"),
                    "it failed"
                );
                self.end = Some(End {
                    reason: "error".to_owned(),
                });
                Ok(())
            }
            _ => Err("an event that nobody planned".to_owned()),
        }
    }

    /// The turn that goes on.
    fn turn(&self) -> Turn {
        self.plan.turns.get(self.done).cloned().unwrap_or_default()
    }

    fn complete_begin(&mut self, data: &Value) -> Result<(), String> {
        hold!(self.open.is_none(), "an iteration within an iteration");
        hold!(self.done < self.plan.turns.len(), "one iteration too many");
        hold!(data["iteration"] == self.done + 1, "another iteration");
        hold!(
            self.calls.iter().all(|call| call.responded),
            "an iteration begins before all calls have their results"
        );
        if self.instance.is_none() {
            // The first one is a step that is kept.
            self.seams = 0;
        }
        let instance = self.instance.get_or_insert_with(|| data["instance"].clone());
        hold!(*instance == data["instance"], "events of another run");
        self.open = Some(Open::default());
        Ok(())
    }

    fn piece(&mut self, data: &Value, reasoning: bool) -> Result<(), String> {
        let turn = self.turn();
        let open = self.open.as_mut().ok_or("a token outside of an iteration")?;
        let (so_far, told, whole) = if reasoning {
            (&mut open.reasoning, open.told_reasoning, turn.whole_reasoning())
        } else {
            (&mut open.text, open.told_text, turn.whole_text())
        };
        so_far.push_str(data["token"].as_str().unwrap_or_default());
        hold!(
            !told && whole.starts_with(so_far.as_str()),
            "the model did not say that"
        );
        Ok(())
    }

    fn message(&mut self, data: &Value) -> Result<(), String> {
        let turn = self.turn();
        let said = text(data, "text");
        match text(data, "type").as_str() {
            "reasoning" => {
                let open = self.open.as_mut().ok_or("reasoning outside of an iteration")?;
                hold!(
                    !open.told_reasoning && said == turn.whole_reasoning(),
                    "other reasoning"
                );
                open.told_reasoning = true;
                Ok(())
            }
            "bot" => {
                let open = self.open.as_mut().ok_or("a message outside of an iteration")?;
                hold!(!open.told_text && said == turn.whole_text(), "another text");
                open.told_text = true;
                Ok(())
            }
            "activity" => {
                let activity = &data["meta"]["activity"];
                if activity["type"] == "request" {
                    self.request(activity, &turn)
                } else {
                    self.response(activity)
                }
            }
            _ => Err("a message that nobody planned".to_owned()),
        }
    }

    fn request(&mut self, activity: &Value, turn: &Turn) -> Result<(), String> {
        let open = self.open.as_mut().ok_or("a call outside of an iteration")?;
        let call = turn.calls.get(open.ids.len()).ok_or("a call too many")?;
        let function = &activity["function"];
        hold!(
            function["name"] == *call.function && function["arguments"] == call.arguments,
            "another call"
        );
        open.ids.push(text(activity, "id"));
        Ok(())
    }

    fn response(&mut self, activity: &Value) -> Result<(), String> {
        hold!(self.open.is_none(), "a response within an iteration");
        let id = text(activity, "id");
        let call = self.calls.iter_mut().find(|call| call.id == id);
        let call = call.ok_or("a response to no call")?;
        hold!(!call.responded, "a second response");
        call.responded = true;
        self.seams = 0;
        let result = &activity["function"]["result"];
        let content = match result {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let expected = match (&call.call.source, &call.message) {
            (Source::Known(value), _) => value.to_string(),
            (Source::Channel(channel), Some(message)) => {
                let attempts = self.known.attempts.get(channel).into_iter().flatten();
                let attempt = attempts.into_iter().find(|attempt| attempt.message == *message);
                attempt.ok_or("an answer that nobody gave")?.content.clone()
            }
            (Source::Channel(_), None) => return Err("a response before the wait ended".to_owned()),
        };
        hold!(content == expected, "another result than {expected:?}");
        if let Some(heard) = self.known.heard.get(&(call.turn, call.at)) {
            hold!(*heard == expected, "the model was given {heard:?}");
        }
        Ok(())
    }

    fn complete_end(&mut self, data: &Value) -> Result<(), String> {
        let turn = self.turn();
        let open = self.open.take().ok_or("an iteration ends that has not begun")?;
        hold!(data["iteration"] == self.done + 1, "another iteration");
        hold!(
            open.text == turn.whole_text()
                && open.reasoning == turn.whole_reasoning()
                && open.told_text != open.text.is_empty()
                && open.told_reasoning != open.reasoning.is_empty()
                && open.ids.len() == turn.calls.len()
                && open.used,
            "an iteration ends before it is whole"
        );
        let unique: HashSet<&String> = open.ids.iter().chain(self.calls.iter().map(|call| &call.id)).collect();
        hold!(
            unique.len() == open.ids.len() + self.calls.len(),
            "two calls have one name"
        );
        let calls = turn.calls.iter().zip(open.ids).enumerate();
        self.calls = calls
            .map(|(at, (call, id))| Called {
                turn: self.done,
                at,
                id,
                call: call.clone(),
                begun: false,
                message: None,
                responded: false,
            })
            .collect();
        if !open.text.is_empty() {
            self.text = open.text;
        }
        self.tokens += INPUT_TOKENS + turn.output_tokens();
        self.done += 1;
        self.seams = 0;
        Ok(())
    }

    /// The call that a wait is for, and whether those before it on its channel have ended.
    fn waiting(&mut self, data: &Value) -> Result<(&mut Called, bool), String> {
        hold!(self.open.is_none(), "a wait within an iteration");
        let (id, channel) = (text(data, "id"), text(data, "channel"));
        let of_channel = |call: &Called| matches!(&call.call.source, Source::Channel(own) if *own == channel);
        let at = self.calls.iter().position(|call| call.id == id && of_channel(call));
        let at = at.ok_or("a wait for no call")?;
        let earlier = self.calls[..at]
            .iter()
            .filter(|call| of_channel(call))
            .all(|call| call.message.is_some());
        Ok((&mut self.calls[at], earlier))
    }

    fn abort(&mut self, data: &Value) -> Result<(), String> {
        match text(data, "reason").as_str() {
            "server restarted" => {
                self.open = None;
                self.seams += 1;
                hold!(self.seams <= MOST_SEAMS + self.clean, "it was begun again too often");
            }
            "cancelled" => {
                hold!(self.known.cancel_sent, "nobody cancelled it");
                self.cancelled = true;
                if let Some(open) = self.open.take().filter(|open| !open.text.is_empty()) {
                    self.text = open.text;
                }
            }
            _ => return Err("an abort for no reason".to_owned()),
        }
        Ok(())
    }

    fn result(&mut self, data: &Value) -> Result<(), String> {
        let reason = text(&data["end"], "reason");
        hold!(self.open.is_none(), "it ends within an iteration");
        let expected = if self.cancelled { "abort" } else { "stop" };
        hold!(reason == expected, "it ends otherwise than by {expected}");
        hold!(
            text(data, "text") == self.text,
            "the result is not what the model said: {:?}",
            self.text
        );
        if !self.cancelled {
            hold!(self.done == self.plan.turns.len(), "it ends too early");
            hold!(data["usage"]["token"] == self.tokens, "it used {}", self.tokens);
        }
        self.end = Some(End { reason });
        Ok(())
    }

    /// The first message wins, exactly once, and what was acknowledged to a wait that was shown is never passed over.
    fn answers(&self) -> Result<(), String> {
        let mut used = HashSet::new();
        for won in &self.won {
            let attempts = self.known.attempts.get(&won.channel).map_or(&[][..], Vec::as_slice);
            let winner = attempts.iter().position(|attempt| attempt.message == won.message);
            let winner = winner.ok_or_else(|| format!("nobody published {}", won.message))?;
            hold!(
                used.insert((&won.channel, winner)),
                "{} answered two calls",
                won.message
            );
            hold!(
                attempts[winner].sent != Sent::Refused,
                "{} was refused, and answered a call",
                won.message
            );
            let begun = attempts[winner].begun;
            let earlier = |attempt: &&Attempt| {
                attempt.acknowledged.is_some_and(|at| at < begun) && attempt.shown.contains(&won.id)
            };
            if let Some(lost) = attempts.iter().find(earlier) {
                return Err(format!("{} was acknowledged, and {} won", lost.message, won.message));
            }
        }
        // A run does not end while a call of it waits, unless it is cancelled.
        let waiting = self.calls.iter().find(|call| call.begun && call.message.is_none());
        if let Some(call) = waiting.filter(|_| !self.cancelled && self.end.is_some()) {
            return Err(format!("the run ended while {} waited", call.id));
        }
        Ok(())
    }
}

fn text(data: &Value, name: &str) -> String {
    data[name].as_str().unwrap_or_default().to_owned()
}
