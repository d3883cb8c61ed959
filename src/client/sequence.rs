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
    /// A `gap` line came whose events no id has accounted for yet: how many it spoke of.
    announced: Option<u64>,
    ended: bool,
    aligner: Aligner<Item>,
    hasher: RandomState,
}

impl Sequencer {
    /// A channel of which everything up to `resume` was read before.
    pub(super) fn new(resume: Option<u64>) -> Self {
        Self {
            kind: if resume.is_some() {
                ServerKind::WithIds
            } else {
                ServerKind::Unknown
            },
            last: resume,
            announced: None,
            ended: false,
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
        self.announced = None;
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
                // On a server with ids the next id tells exactly; the line is a promise of that.
                if self.kind == ServerKind::WithoutIds {
                    items.push(Item::Gap {
                        missing: Some(missing).filter(|missing| *missing > 0),
                    });
                } else {
                    self.announced = Some(missing);
                }
            }
            Ok(SubscriptionLine::Reset) => {
                if self.last.is_some() || self.aligner.has_seen() {
                    items.push(Item::Reset);
                }
                self.last = None;
                self.announced = None;
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
        self.announced = None;
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
