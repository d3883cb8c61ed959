//! A conversation as the body of a request to an OpenAI-compatible endpoint.
//!
//! It writes JSON and sends nothing.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use super::{Arguments, ChatMessage, ModelRequest, ToolChoice};

/// The body of a streaming `POST …/chat/completions`.
pub(super) fn body(model: &str, request: &ModelRequest) -> Value {
    let mut body = json!({
        "model": model,
        "messages": messages(&request.messages),
        "stream": true,
        "stream_options": {"include_usage": true},
    });
    if !request.tools.is_empty() {
        let tools = request.tools.iter().map(|tool| {
            let none = || json!({"type": "object", "properties": {}});
            json!({"type": "function", "function": {
                "name": tool.name,
                "description": tool.description,
                "parameters": tool.parameters.clone().unwrap_or_else(none),
            }})
        });
        body["tools"] = tools.collect();
        if let ToolChoice::Function(name) = &request.choice {
            body["tool_choice"] = json!({"type": "function", "function": {"name": name}});
        }
    }
    body
}

/// Pictures belong to what the person says right before and after them: together these are one message with parts.
fn messages(all: &[ChatMessage]) -> Vec<Value> {
    let said = |message: &ChatMessage| matches!(message, ChatMessage::User(_) | ChatMessage::Image { .. });
    let shown = |message: &ChatMessage| matches!(message, ChatMessage::Image { .. });
    all.chunk_by(|one, next| said(one) && said(next))
        .flat_map(|group| {
            if group.iter().any(shown) {
                let parts: Vec<Value> = group.iter().map(part).collect();
                vec![json!({"role": "user", "content": parts})]
            } else {
                group.iter().map(message).collect()
            }
        })
        .collect()
}

/// A text or a picture as a part of a message.
fn part(message: &ChatMessage) -> Value {
    match message {
        ChatMessage::Image { media_type, data } => {
            let mut url = format!("data:{media_type};base64,");
            BASE64_STANDARD.encode_string(data, &mut url);
            json!({"type": "image_url", "image_url": {"url": url}})
        }
        ChatMessage::System(text) | ChatMessage::User(text) | ChatMessage::Assistant { text, .. } => {
            json!({"type": "text", "text": text})
        }
        ChatMessage::Tool { content, .. } => json!({"type": "text", "text": content}),
    }
}

fn message(message: &ChatMessage) -> Value {
    match message {
        ChatMessage::System(text) => json!({"role": "system", "content": text}),
        ChatMessage::User(text) => json!({"role": "user", "content": text}),
        ChatMessage::Assistant { text, calls } if calls.is_empty() => json!({"role": "assistant", "content": text}),
        ChatMessage::Assistant { text, calls } => {
            let calls: Vec<Value> = calls
                .iter()
                .map(|call| {
                    let arguments = match &call.arguments {
                        Arguments::Json(value) => value.to_string(),
                        // Servers parse the arguments of earlier calls and refuse what is not JSON.
                        Arguments::Raw(text) => json!({"invalid": text}).to_string(),
                    };
                    let function = json!({"name": call.name, "arguments": arguments});
                    json!({"id": call.id, "type": "function", "function": function})
                })
                .collect();
            let content = if text.is_empty() {
                Value::Null
            } else {
                Value::String(text.clone())
            };
            json!({"role": "assistant", "content": content, "tool_calls": calls})
        }
        ChatMessage::Image { .. } => json!({"role": "user", "content": [part(message)]}),
        ChatMessage::Tool { id, content } => json!({"role": "tool", "tool_call_id": id, "content": content}),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn user(text: &str) -> ChatMessage {
        ChatMessage::User(text.into())
    }

    fn image(data: &'static [u8]) -> ChatMessage {
        ChatMessage::Image {
            media_type: "image/png".into(),
            data: Bytes::from_static(data),
        }
    }

    #[test]
    fn pictures_stand_in_the_message_that_they_belong_to() {
        let text = |text: &str| json!({"type": "text", "text": text});
        let picture = |url: &str| json!({"type": "image_url", "image_url": {"url": url}});
        let (abc, d) = ("data:image/png;base64,YWJj", "data:image/png;base64,ZA==");
        let plain = |role: &str, text: &str| json!({"role": role, "content": text});
        let system = || ChatMessage::System("s".into());
        for (all, expected) in [
            (vec![user("a"), user("b")], vec![plain("user", "a"), plain("user", "b")]),
            (
                vec![system(), user("a"), image(b"abc"), image(b"d"), system(), user("b")],
                vec![
                    plain("system", "s"),
                    json!({"role": "user", "content": [text("a"), picture(abc), picture(d)]}),
                    plain("system", "s"),
                    plain("user", "b"),
                ],
            ),
            (
                vec![image(b"d"), user("a")],
                vec![json!({"role": "user", "content": [picture(d), text("a")]})],
            ),
            (
                vec![system(), image(b"d")],
                vec![plain("system", "s"), json!({"role": "user", "content": [picture(d)]})],
            ),
        ] {
            assert_eq!(messages(&all), expected, "{all:?}");
        }
    }

    #[test]
    fn a_conversation_is_kept_and_read_again() {
        let all = vec![
            user("a"),
            image(b"\x00\xff"),
            ChatMessage::Tool {
                id: "x".into(),
                content: "y".into(),
            },
        ];
        let kept = serde_json::to_string(&all).expect("JSON");
        assert!(kept.contains("AP8="), "{kept}");
        assert_eq!(serde_json::from_str::<Vec<ChatMessage>>(&kept).expect("JSON"), all);
    }
}
