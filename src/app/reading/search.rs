//! Searching a transcript: which places hold a text, kept up to date while more comes.
//!
//! The work is bounded: a long transcript is searched in steps, and what was searched is not searched again. Where a
//! place is on the screen is not known here.

use std::borrow::Cow;
use std::collections::HashMap;

use regex::{Regex, RegexBuilder};

use crate::app::Channel;
use crate::transcript::{Block, BlockId, BlockKind};

use super::detail::Detail;
use super::shown;

/// How much text one step looks at, in bytes.
pub const STEP: usize = 1024 * 1024;
/// More places than this are not told apart.
const MOST_HITS: usize = 10_000;
/// How many of the newest blocks are looked at for changes when something came.
const NEWEST: usize = 64;
/// The longest text that is searched for, in characters.
const LONGEST_QUERY: usize = 200;

/// A place that holds what is searched for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hit {
    /// The block; of raw events: the number of the line, counted from 1.
    pub block: BlockId,
    /// Bytes into its text, `None`: in its head.
    pub offset: Option<usize>,
}

/// A search that is on.
#[derive(Debug, Clone)]
pub struct Search {
    /// What is searched for, as it was typed.
    pub query: String,
    /// It is still being typed.
    pub typing: bool,
    /// The place that was gone to last.
    pub current: Option<Hit>,
    /// Whether raw events are searched.
    pub raw: bool,
    pattern: Option<Regex>,
    hits: Vec<Hit>,
    /// Where the first look goes on; `None`: it is over.
    from: Option<BlockId>,
    /// What was seen of the transcript.
    revision: u64,
    /// How far texts that still grow were searched.
    growing: HashMap<BlockId, usize>,
}

impl Search {
    /// A search that has looked at nothing. Upper-case letters in the text count only where there are some.
    #[must_use]
    pub fn new(query: &str, raw: bool) -> Self {
        let text: String = query.chars().take(LONGEST_QUERY).collect();
        let ignore_case = !text.chars().any(char::is_uppercase);
        let pattern = RegexBuilder::new(&regex::escape(&text))
            .case_insensitive(ignore_case)
            .build()
            .ok()
            .filter(|_| !text.is_empty());
        Self {
            query: text,
            typing: false,
            current: None,
            raw,
            pattern,
            hits: Vec::new(),
            from: Some(BlockId(0)),
            revision: 0,
            growing: HashMap::new(),
        }
    }

    /// What is looked for; `None` where nothing was typed.
    #[must_use]
    pub fn pattern(&self) -> Option<&Regex> {
        self.pattern.as_ref()
    }

    /// The places, from the top.
    #[must_use]
    pub fn hits(&self) -> &[Hit] {
        &self.hits
    }

    /// Whether everything was looked at.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.from.is_none()
    }

    /// `3 of 12`, `12 matches`, `no match`.
    #[must_use]
    pub fn count(&self) -> String {
        let total = self.hits.len();
        let more = if total >= MOST_HITS || !self.is_complete() {
            "+"
        } else {
            ""
        };
        let at = self.current.and_then(|hit| self.hits.binary_search(&hit).ok());
        match (at, total) {
            (Some(at), _) => format!("{} of {total}{more}", at + 1),
            (None, 0) if self.is_complete() => "no match".to_owned(),
            (None, 0) => "searching".to_owned(),
            (None, 1) if more.is_empty() => "1 match".to_owned(),
            (None, _) => format!("{total}{more} matches"),
        }
    }

    /// The next place after one (or before it), around the end if need be; with whether it went around.
    #[must_use]
    pub fn next(&self, from: Hit, including: bool, forward: bool) -> Option<(Hit, bool)> {
        let (first, last) = (self.hits.first()?, self.hits.last()?);
        if forward {
            let at = self
                .hits
                .partition_point(|hit| *hit < from || *hit == from && !including);
            Some(self.hits.get(at).map_or((*first, true), |hit| (*hit, false)))
        } else {
            let at = self.hits.partition_point(|hit| *hit < from);
            let before = at.checked_sub(1).and_then(|at| self.hits.get(at));
            Some(before.map_or((*last, true), |hit| (*hit, false)))
        }
    }

    /// The places within a block.
    #[must_use]
    pub fn of_block(&self, block: BlockId) -> &[Hit] {
        let from = self.hits.partition_point(|hit| hit.block < block);
        let to = self.hits.partition_point(|hit| hit.block <= block);
        &self.hits[from..to]
    }

    /// Looks further, at about so many bytes; `true`: something was found or lost, or the look is over now.
    pub fn scan(&mut self, channel: &Channel, detail: Detail, budget: usize) -> bool {
        if self.pattern.is_none() {
            self.from = None;
            return false;
        }
        let before = (self.hits.len(), self.from);
        if self.raw {
            self.scan_raw(channel, budget);
        } else if let Some(from) = self.from {
            self.scan_from(channel, detail, from, budget);
        } else if channel.transcript.revision() != self.revision {
            self.scan_changes(channel, detail);
        }
        (self.hits.len(), self.from) != before
    }

    fn scan_from(&mut self, channel: &Channel, detail: Detail, from: BlockId, budget: usize) {
        let transcript = &channel.transcript;
        let mut left = budget;
        let mut index = transcript.first_from(from);
        while let Some(block) = transcript.get(index) {
            if left == 0 {
                self.from = Some(block.id);
                return;
            }
            left = left.saturating_sub(self.scan_block(block, detail).max(64));
            index += 1;
        }
        self.from = None;
        self.revision = transcript.revision();
    }

    /// What came since the last look. Only the newest blocks change often; what happens further up is found anew when
    /// the search begins again.
    fn scan_changes(&mut self, channel: &Channel, detail: Detail) {
        let transcript = &channel.transcript;
        let first = transcript.blocks().find(|block| block.id != BlockId(0));
        if let Some(first) = first.map(|block| block.id) {
            let gone = self.hits.partition_point(|hit| hit.block < first);
            self.hits.drain(..gone);
        }
        let from = transcript.len().saturating_sub(NEWEST);
        for index in from..transcript.len() {
            if let Some(block) = transcript.get(index).filter(|block| block.revision > self.revision) {
                self.scan_block(block, detail);
            }
        }
        self.revision = transcript.revision();
    }

    /// Searches a block, or what is new of one that grew; gives how many bytes it looked at.
    fn scan_block(&mut self, block: &Block, detail: Detail) -> usize {
        let grows = matches!(
            block.kind,
            BlockKind::Answer { streaming: true, .. } | BlockKind::Reasoning { streaming: true, .. }
        );
        let searched = self.growing.remove(&block.id);
        if block.id == BlockId(0) || !detail.shows(block) {
            return 0;
        }
        let body = shown::body(block).unwrap_or(Cow::Borrowed(""));
        let mut from = 0;
        if let (true, Some(searched)) = (grows, searched.filter(|at| *at <= body.len())) {
            // A match may have begun before the end.
            let mut back = searched.saturating_sub(self.query.len() * 3);
            while !body.is_char_boundary(back) {
                back -= 1;
            }
            from = back;
        }
        if grows {
            self.growing.insert(block.id, body.len());
        }
        self.replace(block.id, shown::head(block).filter(|_| from == 0), &body, from);
        body.len() - from
    }

    /// The places of a block from a byte on are found anew.
    fn replace(&mut self, id: BlockId, head: Option<&str>, body: &str, from: usize) {
        let Some(pattern) = &self.pattern else { return };
        let keep = Hit {
            block: id,
            offset: Some(from),
        };
        let start = if from == 0 {
            self.hits.partition_point(|hit| hit.block < id)
        } else {
            self.hits.partition_point(|hit| *hit < keep)
        };
        let end = self.hits.partition_point(|hit| hit.block <= id);
        let room = MOST_HITS.saturating_sub(self.hits.len() - (end - start));
        let in_head = head.filter(|head| pattern.is_match(head)).map(|_| None);
        // A match that begins before `from` and ends behind it is already there.
        let found = in_head
            .into_iter()
            .chain(pattern.find_iter(&body[from..]).map(|found| Some(from + found.start())))
            .map(|offset| Hit { block: id, offset })
            .take(room);
        if start == self.hits.len() {
            self.hits.extend(found.collect::<Vec<_>>());
        } else {
            let found: Vec<Hit> = found.collect();
            self.hits.splice(start..end, found);
        }
    }

    fn scan_raw(&mut self, channel: &Channel, budget: usize) {
        let raw = channel.transcript.raw();
        let first = raw.left_out() + 1;
        let gone = self.hits.partition_point(|hit| hit.block.0 < first);
        self.hits.drain(..gone);
        // Lines never change: what comes next is new.
        let mut number = self.from.map_or(self.revision, |from| from.0).max(raw.left_out());
        let end = raw.left_out() + raw.len() as u64;
        let mut left = budget;
        while number < end && left > 0 {
            let Some(line) = raw.get(number) else { break };
            let text = String::from_utf8_lossy(&line.bytes);
            left = left.saturating_sub(text.len().max(64));
            self.replace(BlockId(number + 1), None, &text, 0);
            number += 1;
        }
        self.revision = number;
        self.from = (number < end).then_some(BlockId(number));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::Now;
    use crate::transcript::Item;
    use crate::wire::{ChannelId, Event};

    fn channel() -> Channel {
        Channel::new(ChannelId::from_random([7; 18]), 1, Now::default())
    }

    fn feed(channel: &mut Channel, json: &str) {
        let item = Item::Event {
            id: None,
            at: None,
            event: Event::from_json(json).expect("an event"),
            raw: json.as_bytes().to_vec().into(),
        };
        channel.transcript.apply(item, 0);
    }

    fn token(channel: &mut Channel, text: &str) {
        let json = serde_json::json!({"type": "token", "data": {"token": text}}).to_string();
        feed(channel, &json);
    }

    fn search(channel: &Channel, query: &str) -> Search {
        let mut search = Search::new(query, false);
        while !search.is_complete() {
            search.scan(channel, Detail::Full, STEP);
        }
        search
    }

    #[test]
    fn upper_case_counts_only_where_there_is_some() {
        let mut channel = channel();
        token(&mut channel, "HNSW and hnsw, and a.b (c) ÄRGER ärger");
        for (query, count) in [
            ("hnsw", 2),
            ("HNSW", 1),
            ("a.b (c", 1),
            ("axb", 0),
            ("ärger", 2),
            ("", 0),
        ] {
            assert_eq!(search(&channel, query).hits().len(), count, "{query}");
        }
    }

    #[test]
    fn what_streams_is_found_and_counted_once_however_it_is_cut() {
        let mut channel = channel();
        feed(
            &mut channel,
            r#"{"type":"message","data":{"type":"user","text":"needle?"}}"#,
        );
        let mut search = search(&channel, "needle");
        for text in ["a nee", "dle and need", "le", " needleneedle ", "nee"] {
            token(&mut channel, text);
            search.scan(&channel, Detail::Full, STEP);
        }
        let whole = self::search(&channel, "needle");
        assert_eq!(search.hits(), whole.hits());
        assert_eq!(search.hits().len(), 5);
        let (first, around) = search.next(search.hits()[4], false, true).expect("a match");
        assert_eq!((first, around), (search.hits()[0], true));
        search.current = Some(search.hits()[2]);
        assert_eq!(search.count(), "3 of 5");
    }

    #[test]
    fn a_long_transcript_is_searched_in_steps() {
        let mut channel = channel();
        for n in 0..100 {
            feed(
                &mut channel,
                &format!(
                    r#"{{"type":"message","data":{{"type":"user","text":"{} needle {n}"}}}}"#,
                    "x".repeat(1000)
                ),
            );
        }
        let mut search = Search::new("needle", false);
        let mut steps = 0;
        while !search.is_complete() {
            search.scan(&channel, Detail::Full, 10_000);
            steps += 1;
        }
        assert_eq!(search.hits().len(), 100);
        assert!((9..=12).contains(&steps), "{steps}");
    }

    #[test]
    fn raw_events_are_searched_line_by_line() {
        let mut channel = channel();
        token(&mut channel, "one");
        token(&mut channel, "two");
        let mut search = Search::new("token", true);
        search.scan(&channel, Detail::Full, STEP);
        assert_eq!(search.hits().len(), 4);
        token(&mut channel, "three");
        search.scan(&channel, Detail::Full, STEP);
        assert_eq!(search.hits().len(), 6);
    }
}
