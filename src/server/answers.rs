//! Where the answers to a run's function calls come from: what is published on the channels of its account.
//!
//! Which message is whose, and that it is durable, is the hub's business; what an answer means is the engine's.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{FutureExt as _, StreamExt as _};

use crate::engine::{AnswerListener, Answers};
use crate::hub::{AccountId, ChannelKey, Hub, Listening, Start};
use crate::wire::surrogate::SurrogateJoiner;
use crate::wire::{ChannelId, LineDecoder, SubscriptionLine};

/// What is published on the channels of one account, for one run.
#[derive(Clone)]
pub struct HubAnswers {
    hub: Arc<dyn Hub>,
    account: AccountId,
    /// The run's channel, if it has one: its answers are durable then.
    run: Option<ChannelKey>,
}

impl HubAnswers {
    /// For a run in a channel.
    pub(super) fn of_run(hub: Arc<dyn Hub>, run: ChannelKey) -> Self {
        Self {
            hub,
            account: run.account.clone(),
            run: Some(run),
        }
    }

    /// For a run whose events are an answer, which ends with it.
    pub(super) fn inline(hub: Arc<dyn Hub>, account: AccountId) -> Self {
        Self {
            hub,
            account,
            run: None,
        }
    }
}

impl Answers for HubAnswers {
    type Listener = HubListener;

    async fn listen(&self, channel: &ChannelId, call: &str) -> HubListener {
        if let Some(run) = &self.run {
            return HubListener::Own(self.hub.listen(run, channel, call).await);
        }
        let key = ChannelKey {
            account: self.account.clone(),
            channel: channel.clone(),
        };
        HubListener::Any(Box::new(Published::of(self.hub.open(&key, Start::Newest(0)).await)))
    }
}

/// Listens on one channel for the answer of a call.
pub enum HubListener {
    /// The message that is the call's own, durable when it comes.
    Own(Box<dyn Listening>),
    /// Whatever is published; nothing of it is kept.
    Any(Box<Published>),
}

/// The published messages of a channel; events of a run there are passed over.
pub struct Published {
    lines: BoxStream<'static, Bytes>,
    decoder: LineDecoder,
    ready: VecDeque<serde_json::Value>,
}

impl AnswerListener for HubListener {
    async fn next(&mut self) -> Option<serde_json::Value> {
        match self {
            Self::Own(call) => value(&call.next().await),
            Self::Any(published) => published.next().await,
        }
    }

    async fn close(self) -> Option<serde_json::Value> {
        match self {
            Self::Own(call) => call.close().await.and_then(|message| value(&message)),
            Self::Any(mut published) => published.next().now_or_never().flatten(),
        }
    }
}

impl Published {
    fn of(lines: BoxStream<'static, Bytes>) -> Self {
        Self {
            lines,
            // The lines are our own: none is too long.
            decoder: LineDecoder::with_limit(usize::MAX),
            ready: VecDeque::new(),
        }
    }

    async fn next(&mut self) -> Option<serde_json::Value> {
        loop {
            if let Some(message) = self.ready.pop_front() {
                return Some(message);
            }
            let lines = self.lines.next().await?;
            self.decoder.push(&lines);
            while let Some(line) = self.decoder.next_line() {
                self.ready.extend(line.ok().and_then(|line| published(&line)));
            }
        }
    }
}

/// A message as a value. A JavaScript caller may publish half an emoji; it must not cost the answer.
fn value(message: &[u8]) -> Option<serde_json::Value> {
    serde_json::from_slice(&SurrogateJoiner::default().repair(message)).ok()
}

fn published(line: &[u8]) -> Option<serde_json::Value> {
    // A JavaScript caller may publish half an emoji; it must not cost the answer.
    let line = SurrogateJoiner::default().repair(line).into_owned();
    match SubscriptionLine::parse(&line) {
        Ok(SubscriptionLine::Message(line)) if line.id.is_none() => serde_json::from_str(line.data.get()).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_a_line_without_id_is_an_answer() {
        assert_eq!(
            published(br#"{"type":"message","data":{"data":1}}"#),
            Some(json!({"data": 1}))
        );
        assert_eq!(
            published(br#"{"type":"message","id":0,"createdAt":1,"data":{"data":1}}"#),
            None
        );
        assert_eq!(
            published(br#"{"type":"message","data":"\ud83d"}"#),
            Some(json!("\u{fffd}"))
        );
    }

    #[tokio::test]
    async fn an_answer_of_any_length_is_read() {
        let text = "x".repeat(crate::wire::jsonl::LONGEST_LINE);
        let line = format!("{{\"type\":\"message\",\"data\":\"{text}\"}}\n");
        let lines = futures::stream::once(async { Bytes::from(line) }).boxed();
        let message = Published::of(lines).next().await.expect("an answer");
        assert_eq!(message.as_str().map(str::len), Some(text.len()));
    }
}
