//! Lines of a channel's subscriptions in, items in their true order out: none twice, no hole unsaid.
//!
//! Pure: it neither waits nor connects. On a server with ids the ids decide; on one without,
//! [`super::align`] finds where a replay meets what was seen.

use std::hash::{BuildHasher as _, RandomState};

use bytes::Bytes;

use super::align::{Aligned, Aligner, Fingerprint};
use super::stream::ReceivedLine;
use crate::transcript::Item;
use crate::wire::line::MessageLine;
use crate::wire::{Event, EventKind, SubscriptionLine};

/// Whether the server's lines carry ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ServerKind {
    /// Nothing has told yet.
    Unknown,
    /// A line without id is a published message.
    WithIds,
    /// Order and repetition are told by content.
    WithoutIds,
}

/// What is known of a channel over all its connections.
pub(super) struct Sequencer {
    kind: ServerKind,
    /// The last id that was read.
    last: Option<u64>,
    ended: bool,
    /// The channel began anew. It is told with the first event: until then, what was seen is all there is.
    reset_due: bool,
    aligner: Aligner<Item>,
    hasher: RandomState,
}

impl Sequencer {
    /// A channel of which everything up to `resume` was read before.
    pub(super) fn new(resume: Option<u64>) -> Self {
        Self {
            kind: ServerKind::Unknown,
            last: resume,
            ended: false,
            reset_due: false,
            aligner: Aligner::default(),
            hasher: RandomState::new(),
        }
    }

    /// The id after which the next subscription is to begin.
    pub(super) fn resume_after(&self) -> Option<u64> {
        self.last
    }

    /// Whether the event that ends the run was read.
    pub(super) fn ended(&self) -> bool {
        self.ended
    }

    /// A new connection begins: what comes next is a replay, then live.
    pub(super) fn connected(&mut self) {
        self.aligner.begin_replay();
    }

    /// Whether this line can only be understood when it is known whether the server has ids.
    pub(super) fn needs_server_kind(&self, line: &ReceivedLine) -> bool {
        self.kind == ServerKind::Unknown
            && matches!(&line.line, Ok(SubscriptionLine::Message(message)) if message.id.is_none())
    }

    /// What the server said about itself.
    pub(super) fn server_has_ids(&mut self, has_ids: bool) {
        if self.kind == ServerKind::Unknown {
            self.kind = if has_ids {
                ServerKind::WithIds
            } else {
                ServerKind::WithoutIds
            };
        }
    }

    /// Takes the next line; what it makes known goes to `items`.
    pub(super) fn take(&mut self, received: ReceivedLine, items: &mut Vec<Item>) {
        let ReceivedLine { raw, line } = received;
        match line {
            Ok(SubscriptionLine::Message(message)) => match message.id {
                Some(id) => self.take_with_id(id, message, raw, items),
                None if self.kind == ServerKind::WithoutIds => self.take_without_id(message, raw, items),
                None => items.push(published(message, raw)),
            },
            Ok(SubscriptionLine::Gap { missing }) => {
                // On a server with ids the next id tells exactly, and comes for sure.
                if self.kind == ServerKind::WithoutIds {
                    items.push(Item::Gap {
                        missing: Some(missing).filter(|missing| *missing > 0),
                    });
                }
            }
            Ok(SubscriptionLine::Reset) => {
                self.reset_due |= self.last.is_some() || self.aligner.has_seen();
                self.last = None;
                self.ended = false;
                self.aligner = Aligner::default();
            }
            Ok(SubscriptionLine::Other { .. }) => {}
            Err(error) => items.push(Item::BadLine {
                reason: error.to_string(),
            }),
        }
    }

    fn take_with_id(&mut self, id: u64, message: MessageLine, raw: Bytes, items: &mut Vec<Item>) {
        self.kind = ServerKind::WithIds;
        let expected = self.last.map_or(0, |last| last.saturating_add(1));
        if id < expected {
            return;
        }
        if std::mem::take(&mut self.reset_due) {
            items.push(Item::Reset);
        }
        if id > expected {
            items.push(Item::Gap {
                missing: Some(id - expected),
            });
        }
        self.last = Some(id);
        match message.event() {
            Some(event) => {
                self.ended |= event.kind.ends_run();
                items.push(Item::Event {
                    id: Some(id),
                    at: message.created_at,
                    event,
                    raw,
                });
            }
            None => items.push(Item::BadLine {
                reason: format!("line {id} of the channel holds no event"),
            }),
        }
    }

    fn take_without_id(&mut self, message: MessageLine, raw: Bytes, items: &mut Vec<Item>) {
        let Some(event) = message.event() else {
            items.push(published(message, raw));
            return;
        };
        let fingerprint = self.fingerprint(&event, message.data.get());
        let item = Item::Event {
            id: None,
            at: message.created_at,
            event,
            raw,
        };
        let ended = &mut self.ended;
        self.aligner.take(fingerprint, item, |aligned| match aligned {
            Aligned::Gap => items.push(Item::Gap { missing: None }),
            Aligned::New(item) => {
                *ended |= matches!(&item, Item::Event { event, .. } if event.kind.ends_run());
                items.push(item);
            }
        });
    }

    fn fingerprint(&self, event: &Event, payload: &str) -> Fingerprint {
        let common = matches!(event.kind, EventKind::Token(_) | EventKind::ReasoningToken(_));
        Fingerprint::new(self.hasher.hash_one(payload), !common)
    }
}

fn published(message: MessageLine, raw: Bytes) -> Item {
    let text: Box<str> = message.data.into();
    Item::Published {
        message: Bytes::from(text.into_boxed_bytes()),
        raw,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(sequencer: &mut Sequencer, lines: &[&str]) -> Vec<String> {
        let mut items = Vec::new();
        for line in lines {
            let raw = Bytes::copy_from_slice(line.as_bytes());
            let line = SubscriptionLine::parse(&raw);
            let received = ReceivedLine { raw, line };
            if sequencer.needs_server_kind(&received) {
                sequencer.server_has_ids(true);
            }
            sequencer.take(received, &mut items);
        }
        items
            .into_iter()
            .map(|item| match item {
                Item::Event { id, event, .. } => format!("{} {}", id.map_or(-1, |id| id as i64), event.kind.name()),
                Item::Published { message, .. } => format!("published {}", String::from_utf8_lossy(&message)),
                Item::Gap { missing } => format!("gap {missing:?}"),
                Item::Reset => "reset".to_owned(),
                Item::BadLine { .. } => "bad".to_owned(),
            })
            .collect()
    }

    fn event(id: u64) -> String {
        format!(r#"{{"type":"message","id":{id},"data":{{"type":"token","data":{{"token":"a"}}}}}}"#)
    }

    #[test]
    fn ids_decide_what_is_new_what_is_missing_and_what_is_published() {
        let mut sequencer = Sequencer::new(None);
        let result = r#"{"type":"message","data":{"type":"result","data":{}}}"#;
        let shown = run(&mut sequencer, &[result, &event(2), &event(2), &event(3)]);
        assert_eq!(
            shown,
            [
                r#"published {"type":"result","data":{}}"#,
                "gap Some(2)",
                "2 token",
                "3 token"
            ]
        );
        assert!(!sequencer.ended() && sequencer.resume_after() == Some(3));

        sequencer.connected();
        let gap = r#"{"type":"gap","data":{"missing":4}}"#;
        let odd = r#"{"type":"message","id":9,"data":7}"#;
        let shown = run(&mut sequencer, &[gap, &event(8), odd, r#"{"type":"nop"}"#, "{", result]);
        assert_eq!(
            shown,
            [
                "gap Some(4)",
                "8 token",
                "bad",
                "bad",
                r#"published {"type":"result","data":{}}"#
            ]
        );

        sequencer.connected();
        let reset = r#"{"type":"reset","data":{}}"#;
        let end = r#"{"type":"message","id":1,"data":{"type":"result","data":{}}}"#;
        assert_eq!(
            run(&mut sequencer, &[reset, &event(0), end]),
            ["reset", "0 token", "1 result"]
        );
        assert!(sequencer.ended());
    }

    #[test]
    fn a_channel_that_expired_keeps_what_was_seen_until_it_begins_anew() {
        let mut sequencer = Sequencer::new(Some(4));
        let reset = r#"{"type":"reset","data":{}}"#;
        assert!(run(&mut sequencer, &[reset]).is_empty());
        sequencer.connected();
        assert_eq!(sequencer.resume_after(), None);
        assert_eq!(
            run(&mut sequencer, &[&event(0), &event(1)]),
            ["reset", "0 token", "1 token"]
        );
    }

    #[test]
    fn what_was_read_before_is_not_read_again() {
        let mut sequencer = Sequencer::new(Some(4));
        assert_eq!(sequencer.resume_after(), Some(4));
        assert_eq!(
            run(&mut sequencer, &[&event(4), &event(5), &event(7)]),
            ["5 token", "gap Some(1)", "7 token"]
        );
    }

    #[test]
    fn a_server_without_ids_replays_and_nothing_comes_twice() {
        let mut sequencer = Sequencer::new(None);
        sequencer.server_has_ids(false);
        let begin = r#"{"type":"message","data":{"type":"completeBegin","data":{"iteration":0}}}"#;
        let token = r#"{"type":"message","data":{"type":"token","data":{"token":"a"}}}"#;
        let result = r#"{"type":"message","data":{"type":"result","data":{}}}"#;
        let note = r#"{"type":"message","data":"hello"}"#;
        assert_eq!(
            run(&mut sequencer, &[begin, note, token, token]),
            ["-1 completeBegin", r#"published "hello""#, "-1 token", "-1 token"]
        );
        sequencer.connected();
        assert_eq!(
            run(&mut sequencer, &[begin, token, token, token, result]),
            ["-1 token", "-1 result"]
        );
        assert!(sequencer.ended());
    }
}
