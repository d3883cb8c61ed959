//! A transcript that is put away for a while: what stays in memory of it, and how large it is.
//!
//! Where the whole goes meanwhile is not decided here; it can be written and read (`serde`).

use super::{Block, BlockKind, Transcript};

/// How much of the last answer stays, in bytes: enough for a line in a list.
const KEPT_TEXT: usize = 2 * 1024;

impl Transcript {
    /// What it takes in memory, about, in bytes of text and of lines as they came.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes + self.raw.bytes()
    }

    /// Lets it keep about this many bytes from now on (4096 at least): lines as they came go at once where they are
    /// more, blocks are folded away with the next event.
    pub fn set_limit(&mut self, bytes: usize) {
        self.limit = bytes.max(4096);
        self.bound_raw();
    }

    /// What stays while the whole is away: status, counters, title, the end of the last answer, and a note. Its
    /// blocks keep their names, so that places in them hold again when the whole is back.
    #[must_use]
    pub fn remainder(&self, note: &str) -> Self {
        let mut rest = Self {
            next_id: self.next_id,
            revision: self.revision + 1,
            own_from: self.own_from,
            rate: self.rate.clone(),
            rate_offset: self.rate_offset,
            run: self.run.clone(),
            ..Self::with_limit(self.limit)
        };
        let last = self
            .blocks
            .iter()
            .rev()
            .find(|block| matches!(block.kind, BlockKind::Answer { .. }) && !block.superseded);
        if let Some(Block {
            id,
            at,
            kind: BlockKind::Answer { text, .. },
            ..
        }) = last
        {
            let mut from = text.len().saturating_sub(KEPT_TEXT);
            while !text.is_char_boundary(from) {
                from += 1;
            }
            let kind = BlockKind::Answer {
                text: text[from..].to_owned(),
                streaming: false,
            };
            let block = Block {
                id: *id,
                revision: rest.revision,
                at: *at,
                superseded: false,
                kind,
            };
            rest.bytes += super::bound::size(&block);
            rest.blocks.push_back(block);
        }
        rest.note(None, note.to_owned());
        rest
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use serde_json::json;

    use super::*;
    use crate::transcript::{Item, Status};
    use crate::wire::Event;

    fn item(id: u64, event: &serde_json::Value) -> Item {
        Item::Event {
            id: Some(id),
            at: Some(1_000 + id),
            event: Event::from_json(&event.to_string()).expect("an event"),
            raw: Bytes::from(format!(r#"{{"type":"message","id":{id},"data":{event}}}"#)),
        }
    }

    fn run() -> Transcript {
        let mut transcript = Transcript::new();
        let events = [
            json!({"type": "message", "data": {"type": "user", "text": "What is it?"}}),
            json!({"type": "completeBegin", "data": {"iteration": 0}}),
            json!({"type": "token", "data": {"token": "x".repeat(10_000)}}),
            json!({"type": "token", "data": {"token": "é the end"}}),
            json!({"type": "completeEnd", "data": {}}),
            json!({"type": "result", "data": {"end": {"reason": "stop"}, "usage": {"token": 7}}}),
        ];
        for (id, event) in events.iter().enumerate() {
            transcript.apply(item(id as u64, event), 5_000);
        }
        transcript
    }

    #[test]
    fn what_stays_is_small_and_says_what_the_whole_says() {
        let whole = run();
        let rest = whole.remainder("put away");
        assert!(rest.bytes() < 4 * 1024 && whole.bytes() > 10_000, "{}", rest.bytes());
        assert_eq!((rest.status(), rest.title()), (whole.status(), whole.title()));
        assert!(matches!(rest.status(), Status::Done { .. }));
        assert_eq!(rest.counters(), whole.counters());
        assert_eq!(rest.honesty(), whole.honesty());
        assert_eq!(rest.last_id(), whole.last_id());
        assert_eq!(rest.last_text(12), whole.last_text(12));
        let whole_ids: Vec<_> = whole.blocks().map(|block| block.id).collect();
        assert!(rest.blocks().take(1).all(|block| whole_ids.contains(&block.id)));
    }

    #[test]
    fn it_is_written_and_read_without_a_loss() {
        let whole = run();
        let text = serde_json::to_vec(&whole).expect("written");
        let again: Transcript = serde_json::from_slice(&text).expect("read");
        assert_eq!(format!("{again:?}"), format!("{whole:?}"));
    }
}
