//! A conversation as models take it: the request's messages and what the run adds.
//!
//! It keeps one promise that models insist on: every function call is followed by its result. It runs nothing.

mod open;

use std::collections::{HashMap, HashSet};

use serde_json::{Value, json};

use super::json_bytes;
use crate::llm::{Arguments, ChatMessage, ToolCall};
use crate::wire::event::{Activity, ActivityKind};
use crate::wire::{CompleteRequest, Message, MessageKind};
use open::Open;

/// The conversation so far.
#[derive(Debug, Default)]
pub(super) struct Chat {
    messages: Vec<ChatMessage>,
    /// Calls without a result yet.
    open: Open,
    /// The ids of all calls, so that none is used twice.
    ids: HashSet<String>,
    /// The last number that was tried behind an id.
    numbers: HashMap<String, usize>,
    /// How many messages there were before the run added any.
    given: usize,
}

impl Chat {
    /// The conversation of a request; `told` is what the model is told besides, after the backstory.
    pub(super) fn new(request: &CompleteRequest, told: &[String]) -> Self {
        let mut chat = Self::default();
        let extension = request
            .extensions
            .as_ref()
            .and_then(|extensions| extensions.backstory.as_deref());
        // Many models take what tells them who they are only at the very beginning, in one piece.
        let stored = request
            .messages
            .iter()
            .filter(|message| message.kind == MessageKind::Backstory);
        let backstory = request
            .backstory
            .as_deref()
            .into_iter()
            .chain(extension)
            .chain(stored.map(|message| message.text.as_str()))
            .chain(told.iter().map(String::as_str))
            .map(str::trim)
            .filter(|text| !text.is_empty())
            .collect::<Vec<_>>()
            .join("\n\n");
        if !backstory.is_empty() {
            chat.messages.push(ChatMessage::System(backstory));
        }
        for message in &request.messages {
            chat.take(message);
        }
        chat.given = chat.messages.len();
        chat
    }

    /// Adds what the person attached, in front of what they said last.
    pub(super) fn attach(&mut self, attached: Vec<ChatMessage>) {
        let given = &self.messages[..self.given];
        let said_last = given
            .iter()
            .rposition(|message| matches!(message, ChatMessage::User(_)));
        // Without a word of the person they follow what tells the model who it is.
        let start = || {
            given
                .iter()
                .take_while(|message| matches!(message, ChatMessage::System(_)))
                .count()
        };
        let at = said_last.unwrap_or_else(start);
        self.given += attached.len();
        self.messages.splice(at..at, attached);
    }

    /// What the run added to the conversation, as [`Self::restore`] takes it.
    pub(super) fn added(&self) -> &[ChatMessage] {
        &self.messages[self.given..]
    }

    /// How much the run added, in bytes of texts, calls and results.
    pub(super) fn added_bytes(&self) -> usize {
        let bytes = |message: &ChatMessage| match message {
            ChatMessage::System(text) | ChatMessage::User(text) => text.len(),
            ChatMessage::Image { data, .. } => data.len(),
            ChatMessage::Assistant { text, calls } => text.len() + calls.iter().map(call_bytes).sum::<usize>(),
            ChatMessage::Tool { content, .. } => content.len(),
        };
        self.added().iter().map(bytes).sum()
    }

    /// Adds again what the run had added before it was interrupted.
    pub(super) fn restore(&mut self, added: Vec<ChatMessage>) {
        for message in &added {
            match message {
                ChatMessage::Assistant { calls, .. } => {
                    for call in calls {
                        self.ids.insert(call.id.clone());
                        self.open.add(&call.id, &call.name);
                    }
                }
                ChatMessage::Tool { id, .. } => self.open.remove(id),
                ChatMessage::System(_) | ChatMessage::User(_) | ChatMessage::Image { .. } => {}
            }
        }
        self.messages.extend(added);
    }

    /// The whole conversation; calls that nobody answered get a result that says so.
    pub(super) fn messages(&mut self) -> Vec<ChatMessage> {
        self.close();
        self.messages.clone()
    }

    /// An id for a call that no earlier call has.
    pub(super) fn fresh_id(&mut self, wanted: &str) -> String {
        let mut id = wanted.to_owned();
        while id.is_empty() || !self.ids.insert(id.clone()) {
            let count = self.ids.len();
            let number = self.numbers.entry(wanted.to_owned()).or_default();
            *number = count.max(*number) + 1;
            id = if wanted.is_empty() {
                format!("call_{number}")
            } else {
                format!("{wanted}_{number}")
            };
        }
        id
    }

    /// What the model said and called. The calls' ids come from [`Self::fresh_id`].
    pub(super) fn assistant(&mut self, text: &str, calls: &[ToolCall]) {
        self.close();
        if text.is_empty() && calls.is_empty() {
            return;
        }
        self.messages.push(ChatMessage::Assistant {
            text: text.to_owned(),
            calls: calls.to_vec(),
        });
        for call in calls {
            self.open.add(&call.id, &call.name);
        }
    }

    /// What a call gave.
    pub(super) fn result(&mut self, id: &str, result: &Value) {
        self.open.remove(id);
        self.messages.push(ChatMessage::Tool {
            id: id.to_owned(),
            content: content(result),
        });
    }

    /// Whether the last word is the model's.
    pub(super) fn ends_with_answer(&self) -> bool {
        matches!(self.messages.last(), Some(ChatMessage::Assistant { .. }))
    }

    /// What the run says in the person's place.
    pub(super) fn user(&mut self, text: &str) {
        self.close();
        self.messages.push(ChatMessage::User(text.to_owned()));
    }

    fn take(&mut self, message: &Message) {
        let text = message.text.as_str();
        match &message.kind {
            MessageKind::Activity => {
                if let Some(activity) = message.activity() {
                    self.take_activity(&activity);
                }
            }
            // The backstory stands at the beginning; the rest is for people.
            MessageKind::Backstory | MessageKind::Reasoning | MessageKind::Checkpoint | MessageKind::Other(_) => {}
            _ if text.is_empty() => {}
            MessageKind::User => self.user(text),
            MessageKind::Bot => self.assistant(text, &[]),
            MessageKind::Context => {
                self.close();
                self.messages.push(ChatMessage::System(format!("Context:\n{text}")));
            }
            MessageKind::Instruction => {
                self.close();
                self.messages.push(ChatMessage::System(text.to_owned()));
            }
        }
    }

    fn take_activity(&mut self, activity: &Activity) {
        let function = &activity.function;
        let id = activity.extra.get("id").and_then(Value::as_str).unwrap_or("");
        match activity.kind {
            ActivityKind::Request => {
                self.request(id, &function.name, &function.arguments);
            }
            ActivityKind::Response => {
                let id = match self.open.find(id, &function.name) {
                    Some(id) => id.to_owned(),
                    // Its request was not kept: it is put in front of it.
                    None => self.request(id, &function.name, &function.arguments),
                };
                self.result(&id, function.result.as_ref().unwrap_or(&Value::Null));
            }
            ActivityKind::Trigger => {
                let happened = json!({"event": function.name, "arguments": function.arguments});
                self.user(&happened.to_string());
            }
        }
    }

    /// A call of the conversation so far. Calls that follow each other belong to one answer of the model.
    /// Gives the call's id.
    fn request(&mut self, id: &str, name: &str, arguments: &Value) -> String {
        let id = self.fresh_id(id);
        let call = ToolCall {
            id: id.clone(),
            name: name.to_owned(),
            arguments: match arguments {
                Value::Null => Arguments::Json(json!({})),
                other => Arguments::Json(other.clone()),
            },
        };
        if let Some(ChatMessage::Assistant { calls, .. }) = self.messages.last_mut() {
            calls.push(call);
        } else {
            self.close();
            self.messages.push(ChatMessage::Assistant {
                text: String::new(),
                calls: vec![call],
            });
        }
        self.open.add(&id, name);
        id
    }

    fn close(&mut self) {
        for id in self.open.take() {
            self.messages.push(ChatMessage::Tool {
                id,
                content: content(&json!({"error": "nobody answered this call"})),
            });
        }
    }
}

fn call_bytes(call: &ToolCall) -> usize {
    let arguments = match &call.arguments {
        Arguments::Json(value) => json_bytes(value),
        Arguments::Raw(text) => text.len(),
    };
    call.name.len() + arguments
}

/// A result as models read it: a text as it is, everything else as JSON.
fn content(result: &Value) -> String {
    match result {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::llm::ChatMessage::{Assistant, System, Tool, User};

    fn chat(request: Value) -> Vec<ChatMessage> {
        Chat::new(&serde_json::from_value(request).expect("a request"), &[]).messages()
    }

    fn activity(kind: &str, name: &str, id: Option<&str>, result: Option<Value>) -> Value {
        let mut activity = json!({"type": kind, "function": {"name": name, "arguments": {"a": 1}}});
        if let Some(id) = id {
            activity["id"] = json!(id);
        }
        if let Some(result) = result {
            activity["function"]["result"] = result;
        }
        json!({"type": "activity", "text": "", "meta": {"activity": activity}})
    }

    fn call(id: &str, name: &str) -> ToolCall {
        ToolCall {
            id: id.into(),
            name: name.into(),
            arguments: Arguments::Json(json!({"a": 1})),
        }
    }

    fn tool(id: &str, content: &str) -> ChatMessage {
        Tool {
            id: id.into(),
            content: content.into(),
        }
    }

    #[test]
    fn every_kind_of_message_has_its_place() {
        let got = chat(json!({
            "backstory": "You are kind.",
            "extensions": {"backstory": "And brief."},
            "messages": [
                {"type": "user", "text": "one"},
                {"type": "reasoning", "text": "hidden"},
                {"type": "bot", "text": "two"},
                {"type": "context", "text": "ctx"},
                {"type": "instruction", "text": "do"},
                {"type": "backstory", "text": "And wise."},
                {"type": "checkpoint", "text": "c"},
                {"type": "new kind", "text": "?"},
                {"type": "user", "text": "three"},
            ],
        }));
        let two = Assistant {
            text: "two".into(),
            calls: Vec::new(),
        };
        assert_eq!(
            got,
            [
                System("You are kind.\n\nAnd brief.\n\nAnd wise.".into()),
                User("one".into()),
                two,
                System("Context:\nctx".into()),
                System("do".into()),
                User("three".into()),
            ]
        );
    }

    #[test]
    fn calls_find_their_results() {
        let got = chat(json!({"messages": [
            {"type": "user", "text": "go"},
            {"type": "bot", "text": "I look."},
            activity("request", "f", Some("x"), None),
            activity("request", "g", None, None),
            activity("response", "g", None, Some(json!("two"))),
            activity("response", "f", Some("x"), Some(json!({"n": 1}))),
            activity("response", "h", None, Some(json!(3))),
        ]}));
        let looked = Assistant {
            text: "I look.".into(),
            calls: vec![call("x", "f"), call("call_2", "g")],
        };
        let made_up = Assistant {
            text: String::new(),
            calls: vec![call("call_3", "h")],
        };
        assert_eq!(
            got,
            [
                User("go".into()),
                looked,
                tool("call_2", "two"),
                tool("x", "{\"n\":1}"),
                made_up,
                tool("call_3", "3")
            ]
        );
    }

    #[test]
    fn a_call_that_nobody_answered_is_closed() {
        let got = chat(json!({"messages": [
            activity("request", "f", Some("x"), None),
            {"type": "user", "text": "never mind"},
        ]}));
        assert_eq!(got[1], tool("x", "{\"error\":\"nobody answered this call\"}"));
        assert_eq!(got[2], User("never mind".into()));
    }

    #[test]
    fn what_was_added_can_be_added_again() {
        let request: CompleteRequest = serde_json::from_value(json!({"messages": [
            {"type": "user", "text": "go"},
            activity("request", "f", Some("x"), None),
        ]}))
        .expect("a request");
        let mut first = Chat::new(&request, &[]);
        assert!(first.added().is_empty());
        let asked = first.messages();
        assert_eq!(first.added(), [tool("x", "{\"error\":\"nobody answered this call\"}")]);
        let id = first.fresh_id("x");
        first.assistant("I look.", &[call(&id, "f"), call("z", "f")]);
        first.result(&id, &json!(1));
        let mut second = Chat::new(&request, &[]);
        second.restore(first.added().to_vec());
        assert_eq!(second.added(), first.added());
        assert_ne!(second.fresh_id(&id), id, "the ids are known");
        let messages = second.messages();
        assert_eq!(messages, first.messages(), "the open call is closed in both");
        assert!(messages.starts_with(&asked));
    }

    #[test]
    fn ids_are_used_once() {
        let mut chat = Chat::default();
        let ids: Vec<String> = ["a", "a", "", "", "a"].iter().map(|id| chat.fresh_id(id)).collect();
        let unique: HashSet<&String> = ids.iter().collect();
        assert_eq!(unique.len(), ids.len(), "{ids:?}");
        assert_eq!(ids[0], "a");
        let mut chat = Chat::default();
        chat.fresh_id("a_3");
        assert_eq!(["a", "a"].map(|id| chat.fresh_id(id)), ["a", "a_4"]);
    }

    #[test]
    fn a_long_history_of_calls_takes_no_time_that_grows_with_its_square() {
        let count = 20_000;
        let mut messages: Vec<Value> = (0..count).map(|_| activity("request", "f", Some("x"), None)).collect();
        messages.extend((0..count).map(|_| activity("response", "f", None, Some(json!(1)))));
        let begun = std::time::Instant::now();
        let got = chat(json!({"messages": messages}));
        assert!(begun.elapsed().as_secs() < 20, "{:?}", begun.elapsed());
        assert_eq!(got.len(), count + 1);
        assert_eq!((&got[1], &got[2]), (&tool("x", "1"), &tool("x_2", "1")));
    }
}
