//! One channel's log and its readers: a pure data structure, with no clock, no task and no lock.
//!
//! Lines are collected in an open batch and sealed into one shared `Bytes`; a reader takes slices of
//! sealed batches, so a delivery copies and allocates nothing. Every line has a position, and every
//! retained event an id besides; published messages have a position only, and go once every reader that
//! existed when they came has taken them. When to seal is decided by who owns the log.

use std::collections::VecDeque;
use std::task::Waker;

use bytes::Bytes;
use memchr::memchr;
use slab::Slab;

use super::Start;
use crate::store::KeptEvents;

/// An open batch is sealed when it is as large as this, in bytes.
const LARGEST_BATCH: usize = 256 * 1024;
/// Sealed batches smaller than this are put together for replay, in bytes.
const SMALL_BATCH: usize = 32 * 1024;
/// Published messages that all have taken are removed when they add up to this, in bytes.
const COLLECT_AT: usize = 64 * 1024;

/// A reader of a [`Log`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReaderId(usize);

/// What a reader gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Whole lines; there may be more.
    Lines(Bytes),
    /// Nothing: it has everything up to the end.
    Idle,
    /// Lines were lost that it cannot be told of; it is to begin again.
    Overrun(Overrun),
}

/// Why a reader cannot go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overrun {
    /// Events are no longer retained, and the reader does not know of gaps.
    Events,
    /// Published messages are no longer held.
    Published,
}

#[derive(Debug, Clone, Copy)]
struct Line {
    position: u64,
    /// Where the line ends in its batch's bytes.
    end: u32,
    /// How many events the batch holds up to and with this line.
    events: u32,
}

#[derive(Debug)]
struct Batch {
    bytes: Bytes,
    lines: Box<[Line]>,
    /// The id of its first event, or of the next event after it if it holds none.
    first_id: u64,
}

impl Batch {
    fn last_position(&self) -> u64 {
        self.lines.last().map_or(0, |line| line.position)
    }

    fn events(&self) -> u32 {
        self.lines.last().map_or(0, |line| line.events)
    }

    fn next_id(&self) -> u64 {
        self.first_id + u64::from(self.events())
    }

    fn start_of(&self, index: usize) -> usize {
        if index == 0 {
            0
        } else {
            self.lines[index - 1].end as usize
        }
    }

    fn events_before(&self, index: usize) -> u32 {
        if index == 0 { 0 } else { self.lines[index - 1].events }
    }

    fn is_event(&self, index: usize) -> bool {
        self.lines[index].events > self.events_before(index)
    }
}

#[derive(Debug)]
struct Reader {
    /// The first position that it has not taken.
    position: u64,
    /// The id of the next event that it is due.
    next_id: u64,
    /// Published messages before this position came before the reader did.
    live_from: u64,
    /// Whether it asked for `after`, so that `gap` and `reset` lines may be sent to it.
    told: bool,
    note: Option<Note>,
    overrun: Option<Overrun>,
    waker: Option<Waker>,
}

#[derive(Debug, Clone, Copy)]
enum Note {
    Gap(u64),
    Reset,
}

impl Note {
    fn line(self) -> Bytes {
        match self {
            Self::Gap(missing) => format!("{{\"type\":\"gap\",\"data\":{{\"missing\":{missing}}}}}\n").into(),
            Self::Reset => Bytes::from_static(b"{\"type\":\"reset\",\"data\":{}}\n"),
        }
    }
}

/// A channel's lines and readers.
#[derive(Debug)]
pub struct Log {
    batches: VecDeque<Batch>,
    /// Events that were kept over a restart, until somebody wants them: they come before every batch.
    kept: Option<Box<KeptEvents>>,
    open_bytes: Vec<u8>,
    open_lines: Vec<Line>,
    readers: Slab<Reader>,
    next_position: u64,
    /// The id of the oldest retained event; equal to `next_id` when there is none.
    first_id: u64,
    next_id: u64,
    /// Sealed and open bytes of events and of published messages.
    event_bytes: usize,
    published_bytes: usize,
    /// When `published_bytes` reach this, those that all have taken are removed.
    collect_at: usize,
    /// Published messages before this position were given up although somebody had not taken them.
    published_lost: u64,
    most_events: u64,
    most_bytes: usize,
    most_published: usize,
}

impl Log {
    /// An empty log that retains at most so many events, and so many bytes of events; of published
    /// messages that a slow reader has not taken it holds as many bytes again.
    #[must_use]
    pub fn new(most_events: usize, most_bytes: usize) -> Self {
        Self {
            batches: VecDeque::new(),
            kept: None,
            open_bytes: Vec::new(),
            open_lines: Vec::new(),
            readers: Slab::new(),
            next_position: 0,
            first_id: 0,
            next_id: 0,
            event_bytes: 0,
            published_bytes: 0,
            collect_at: COLLECT_AT.min(most_bytes),
            published_lost: 0,
            most_events: most_events.max(1) as u64,
            most_bytes: most_bytes.max(1),
            most_published: most_bytes.max(1),
        }
    }

    /// The same log, holding at most so many bytes of published messages for readers that have not taken them.
    #[must_use]
    pub fn holding(mut self, most_published: usize) -> Self {
        self.most_published = most_published.max(1);
        self.collect_at = COLLECT_AT.min(self.most_published);
        self
    }

    /// A log that goes on from what was kept: the next event gets `next_id`. Kept events are made into lines when
    /// somebody reads them or more are added, so that a channel nobody asks for costs nothing but their bytes.
    #[must_use]
    pub fn restore(most_events: usize, most_bytes: usize, next_id: u64, kept: KeptEvents) -> Self {
        let mut log = Self::new(most_events, most_bytes);
        let count = kept.count().min(next_id);
        log.next_id = next_id;
        log.first_id = next_id - count.min(log.most_events);
        log.next_position = count;
        log.kept = (count > 0).then(|| Box::new(kept));
        log
    }

    /// Makes kept events into lines.
    fn unpack(&mut self) {
        let Some(kept) = self.kept.take() else { return };
        let newer = std::mem::take(&mut self.batches);
        let (open_bytes, open_lines) = (
            std::mem::take(&mut self.open_bytes),
            std::mem::take(&mut self.open_lines),
        );
        let (next_id, next_position) = (self.next_id, self.next_position);
        // As if they came now; those that are over the bounds are passed over.
        self.next_id = next_id - kept.count().min(next_id);
        self.next_position = 0;
        let mut rest = &kept.lines[..];
        for (count, created_at) in &kept.batches {
            let mut over = self.first_id.saturating_sub(self.next_id).min(u64::from(*count));
            let mut end = 0;
            let mut start = 0;
            for _ in 0..*count {
                end += memchr(b'\n', &rest[end..]).map_or(rest.len() - end, |at| at + 1);
                if over > 0 {
                    over -= 1;
                    start = end;
                    self.next_id += 1;
                    self.next_position += 1;
                }
            }
            self.push_lines(*created_at, &rest[start..end]);
            rest = &rest[end..];
        }
        self.seal_open();
        (self.next_id, self.next_position) = (next_id, next_position);
        self.batches.extend(newer);
        (self.open_bytes, self.open_lines) = (open_bytes, open_lines);
        self.trim();
    }

    /// The id that the next event gets.
    #[must_use]
    pub fn next_id(&self) -> u64 {
        self.next_id
    }

    /// Whether events are retained.
    #[must_use]
    pub fn has_events(&self) -> bool {
        self.first_id < self.next_id
    }

    /// How many bytes of events it holds.
    #[must_use]
    pub fn event_bytes(&self) -> usize {
        self.event_bytes + self.kept.as_ref().map_or(0, |kept| kept.lines.len())
    }

    /// Whether somebody reads.
    #[must_use]
    pub fn has_readers(&self) -> bool {
        !self.readers.is_empty()
    }

    /// Adds an event (ASCII JSON without line breaks) with its time in Unix milliseconds. Readers see
    /// it after the next [`Log::seal`].
    pub fn push_event(&mut self, created_at: u64, json: &[u8]) {
        self.unpack();
        self.push_lines(created_at, json);
        if self.open_bytes.len() >= LARGEST_BATCH {
            self.seal();
        }
    }

    /// Adds events, each ended by a line break, with their time in Unix milliseconds.
    pub fn push_events(&mut self, created_at: u64, lines: &[u8]) {
        self.unpack();
        self.push_lines(created_at, lines);
        if self.open_bytes.len() >= LARGEST_BATCH {
            self.seal();
        }
    }

    fn push_lines(&mut self, created_at: u64, lines: &[u8]) {
        let mut meta = Vec::with_capacity(48);
        meta.extend_from_slice(b",\"createdAt\":");
        meta.extend_from_slice(itoa::Buffer::new().format(created_at).as_bytes());
        meta.extend_from_slice(b",\"data\":");
        let mut rest = lines;
        while !rest.is_empty() {
            let end = memchr(b'\n', rest).unwrap_or(rest.len());
            self.push_line(&meta, &rest[..end]);
            rest = rest.get(end + 1..).unwrap_or_default();
            if self.open_bytes.len() >= LARGEST_BATCH {
                self.seal_open();
            }
        }
    }

    fn push_line(&mut self, meta: &[u8], json: &[u8]) {
        let before = self.open_bytes.len();
        self.open_bytes.extend_from_slice(b"{\"type\":\"message\",\"id\":");
        let mut digits = itoa::Buffer::new();
        self.open_bytes
            .extend_from_slice(digits.format(self.next_id).as_bytes());
        self.open_bytes.extend_from_slice(meta);
        self.finish_line(json, 1);
        self.next_id += 1;
        self.event_bytes += self.open_bytes.len() - before;
    }

    /// Adds a published message (ASCII JSON without line breaks) for the readers that exist now.
    pub fn push_published(&mut self, json: &[u8]) {
        if self.readers.is_empty() {
            return;
        }
        let before = self.open_bytes.len();
        self.open_bytes.extend_from_slice(b"{\"type\":\"message\",\"data\":");
        self.finish_line(json, 0);
        self.published_bytes += self.open_bytes.len() - before;
        if self.open_bytes.len() >= LARGEST_BATCH {
            self.seal();
        }
    }

    fn finish_line(&mut self, json: &[u8], events: u32) {
        self.open_bytes.extend_from_slice(json);
        self.open_bytes.extend_from_slice(b"}\n");
        self.open_lines.push(Line {
            position: self.next_position,
            end: u32::try_from(self.open_bytes.len()).unwrap_or(u32::MAX),
            events: self.open_lines.last().map_or(0, |line| line.events) + events,
        });
        self.next_position += 1;
    }

    /// Closes the open batch: its lines can be read from now on, and what is over the bounds goes.
    pub fn seal(&mut self) {
        if self.open_lines.is_empty() {
            return;
        }
        self.seal_open();
        self.trim();
        self.collect_if_due();
        self.merge_if_many(256);
    }

    fn seal_open(&mut self) {
        if self.open_lines.is_empty() {
            return;
        }
        let lines = std::mem::take(&mut self.open_lines).into_boxed_slice();
        let events = lines.last().map_or(0, |line| line.events);
        self.batches.push_back(Batch {
            bytes: Bytes::from(std::mem::take(&mut self.open_bytes)),
            lines,
            first_id: self.next_id - u64::from(events),
        });
    }

    /// Takes the wake-ups of all readers that wait; whoever calls wakes them, after its lock is free.
    pub fn take_wakers(&mut self, wakers: &mut Vec<Waker>) {
        wakers.extend(self.readers.iter_mut().filter_map(|(_, reader)| reader.waker.take()));
    }

    /// Begins to read.
    pub fn open(&mut self, start: Start) -> ReaderId {
        self.seal();
        let wants_kept = match start {
            Start::Newest(count) => count > 0,
            Start::After(id) => id.saturating_add(1) != self.next_id,
        };
        if wants_kept {
            // Before the first one is chosen: as lines they are larger, and fewer may be within the bounds.
            self.unpack();
        }
        let mut note = None;
        let next_id = match start {
            Start::Newest(count) => self.next_id.saturating_sub(count).max(self.first_id),
            Start::After(id) if id >= self.next_id => {
                note = Some(Note::Reset);
                self.first_id
            }
            Start::After(id) => {
                let wanted = id + 1;
                if wanted < self.first_id {
                    note = Some(Note::Gap(self.first_id - wanted));
                }
                wanted.max(self.first_id)
            }
        };
        if next_id < self.next_id {
            self.merge_if_many(8);
        }
        ReaderId(self.readers.insert(Reader {
            position: self.position_of(next_id),
            next_id,
            live_from: self.next_position,
            told: matches!(start, Start::After(_)),
            note,
            overrun: None,
            waker: None,
        }))
    }

    fn position_of(&self, id: u64) -> u64 {
        let index = self.batches.partition_point(|batch| batch.next_id() <= id);
        let Some(batch) = self.batches.get(index) else {
            return self.next_position;
        };
        let wanted = id.saturating_sub(batch.first_id);
        let line = batch.lines.partition_point(|line| u64::from(line.events) <= wanted);
        batch.lines.get(line).map_or(self.next_position, |line| line.position)
    }

    /// Ends a reader. What only it had not taken goes.
    pub fn close(&mut self, reader: ReaderId) {
        self.readers.try_remove(reader.0);
        if self.readers.is_empty() && self.published_bytes > 0 {
            self.collect();
        }
    }

    /// The next lines for a reader. On [`Step::Idle`] it is woken through `waker` when there is more.
    pub fn read(&mut self, id: ReaderId, waker: Option<&Waker>) -> Step {
        let Some(reader) = self.readers.get_mut(id.0) else {
            return Step::Overrun(Overrun::Events);
        };
        if let Some(overrun) = reader.overrun {
            return Step::Overrun(overrun);
        }
        if let Some(note) = reader.note.take() {
            return Step::Lines(note.line());
        }
        // Most readers are in the last batch or past it.
        let last = self.batches.back().map(Batch::last_position);
        if last.is_none_or(|last| last < reader.position) {
            if let Some(waker) = waker
                && !reader.waker.as_ref().is_some_and(|known| known.will_wake(waker))
            {
                reader.waker = Some(waker.clone());
            }
            return Step::Idle;
        }
        if reader.position.max(reader.live_from) < self.published_lost {
            reader.overrun = Some(Overrun::Published);
            return Step::Overrun(Overrun::Published);
        }
        let position = reader.position;
        let last = self.batches.len() - 1;
        let from = if self.batches[last].lines[0].position <= position {
            last
        } else {
            self.batches.partition_point(|batch| batch.last_position() < position)
        };
        for batch in self.batches.range(from..) {
            let mut start = if batch.lines[0].position >= reader.position {
                0
            } else {
                let position = reader.position;
                batch.lines.partition_point(|line| line.position < position)
            };
            let mut end = batch.lines.len();
            let replay = batch.lines[0].position < reader.live_from;
            if replay && batch.events() as usize != batch.lines.len() {
                // Older messages that were only published are not for this reader.
                let wanted = |index: usize| batch.is_event(index) || batch.lines[index].position >= reader.live_from;
                while start < end && !wanted(start) {
                    start += 1;
                }
                end = (start..end).find(|index| !wanted(*index)).unwrap_or(end);
            }
            if start == end {
                reader.position = batch.last_position() + 1;
                continue;
            }
            let first_id = batch.first_id + u64::from(batch.events_before(start));
            if first_id > reader.next_id {
                let missing = first_id - reader.next_id;
                reader.next_id = first_id;
                if !reader.told {
                    reader.overrun = Some(Overrun::Events);
                    return Step::Overrun(Overrun::Events);
                }
                return Step::Lines(Note::Gap(missing).line());
            }
            reader.position = batch.lines[end - 1].position + 1;
            reader.next_id = batch.first_id + u64::from(batch.lines[end - 1].events);
            let bytes = batch.start_of(start)..batch.lines[end - 1].end as usize;
            return Step::Lines(if bytes == (0..batch.bytes.len()) {
                batch.bytes.clone()
            } else {
                batch.bytes.slice(bytes)
            });
        }
        self.read(id, waker)
    }

    /// Drops every event: the retention is over, and ids begin at 0 again. A reader that asked for
    /// `after` gets a `reset`; one that had not taken all of them has lost some.
    pub fn expire(&mut self) {
        self.seal();
        for (_, reader) in &mut self.readers {
            if reader.next_id < self.next_id {
                reader.overrun = Some(Overrun::Events);
            } else if reader.told && self.next_id > 0 {
                reader.note = Some(Note::Reset);
            }
            reader.next_id = 0;
        }
        self.kept = None;
        self.next_id = 0;
        self.first_id = 0;
        self.event_bytes = 0;
        let slowest = self.slowest();
        let most = self.most_published;
        self.rebuild(|position, event| !event && position >= slowest, most);
        for batch in &mut self.batches {
            batch.first_id = 0;
        }
    }

    /// The position before which everybody has taken everything.
    fn slowest(&self) -> u64 {
        self.readers
            .iter()
            .map(|(_, reader)| reader.position)
            .min()
            .unwrap_or(self.next_position)
    }

    fn trim(&mut self) {
        self.first_id = self.first_id.max(self.next_id.saturating_sub(self.most_events));
        while self.event_bytes > self.most_bytes && self.batches.len() > 1 {
            let Some(oldest) = self.batches.iter().position(|batch| batch.events() > 0) else {
                break;
            };
            if oldest + 1 >= self.batches.len() {
                break;
            }
            self.first_id = self.first_id.max(self.batches[oldest].next_id());
            self.drop_front(oldest + 1);
        }
        // Published messages in front of events that go have gone by: their readers see the gap.
        let mut drop = 0;
        for (index, batch) in self.batches.iter().enumerate() {
            if batch.first_id >= self.first_id {
                break;
            }
            if batch.events() > 0 && batch.next_id() <= self.first_id {
                drop = index + 1;
            }
        }
        self.drop_front(drop);
    }

    fn drop_front(&mut self, count: usize) {
        let mut last = None;
        for batch in self.batches.drain(..count) {
            let (events, published) = bytes_of(&batch);
            self.event_bytes -= events;
            self.published_bytes -= published;
            last = Some(batch);
        }
        // Messages behind the last event that went are still due to whoever had all the events before them.
        let Some(mut batch) = last else { return };
        let Some(event) = (0..batch.lines.len()).rfind(|index| batch.is_event(*index)) else {
            return;
        };
        let (position, next_id) = (batch.lines[event].position, batch.next_id());
        let due = self.slowest().max(position + 1);
        batch.first_id = next_id;
        if let Some(rest) = filtered(batch, &|position, event| !event && position >= due) {
            self.published_bytes += rest.bytes.len();
            self.batches.push_front(rest);
        }
    }

    fn collect_if_due(&mut self) {
        if self.published_bytes >= self.collect_at {
            self.collect();
        }
    }

    /// Removes published messages that all have taken; beyond the bound, the others too.
    fn collect(&mut self) {
        self.seal();
        let slowest = self.slowest();
        let most = self.most_published;
        self.rebuild(|position, event| event || position >= slowest, most);
    }

    /// Keeps only the lines that `keep` wants, and of published ones none when they are over the bound.
    fn rebuild(&mut self, keep: impl Fn(u64, bool) -> bool, most_published: usize) {
        let mut batches = std::mem::take(&mut self.batches);
        self.published_bytes = 0;
        self.event_bytes = 0;
        for batch in batches.drain(..) {
            if let Some(batch) = filtered(batch, &keep) {
                let (events, published) = bytes_of(&batch);
                self.event_bytes += events;
                self.published_bytes += published;
                self.batches.push_back(batch);
            }
        }
        if self.published_bytes > most_published {
            // The older half goes, and never the newest batch: whoever keeps up loses nothing.
            let batches = std::mem::take(&mut self.batches);
            let newest = batches.len() - 1;
            for (index, batch) in batches.into_iter().enumerate() {
                let (_, published) = bytes_of(&batch);
                if published == 0 || index == newest || self.published_bytes <= most_published / 2 {
                    self.batches.push_back(batch);
                    continue;
                }
                self.published_bytes -= published;
                let last = (0..batch.lines.len()).rfind(|index| !batch.is_event(*index));
                self.published_lost = last.map_or(self.published_lost, |index| batch.lines[index].position + 1);
                self.batches.extend(filtered(batch, &|_, event| event));
            }
        }
        self.collect_at = (self.published_bytes * 2).max(COLLECT_AT).min(self.most_published);
    }

    /// Puts small neighbours together when there are far more batches than the bytes need, so that a
    /// replay is few large writes. Each byte is copied about once in its life.
    fn merge_if_many(&mut self, slack: usize) {
        let bytes = self.event_bytes + self.published_bytes;
        if self.batches.len() <= 2 * (bytes / SMALL_BATCH) + slack {
            return;
        }
        let mut merged: VecDeque<Batch> = VecDeque::new();
        let mut group: Vec<Batch> = Vec::new();
        let mut group_bytes = 0;
        for batch in self.batches.drain(..) {
            if batch.bytes.len() >= SMALL_BATCH || group_bytes + batch.bytes.len() > 2 * SMALL_BATCH {
                merged.extend(joined(&mut group));
                group_bytes = 0;
            }
            if batch.bytes.len() >= SMALL_BATCH {
                merged.push_back(batch);
            } else {
                group_bytes += batch.bytes.len();
                group.push(batch);
            }
        }
        merged.extend(joined(&mut group));
        self.batches = merged;
    }
}

/// The bytes of a batch's events, and of its published messages.
fn bytes_of(batch: &Batch) -> (usize, usize) {
    let total = batch.bytes.len();
    match batch.events() as usize {
        0 => (0, total),
        events if events == batch.lines.len() => (total, 0),
        _ => {
            let events = (0..batch.lines.len())
                .filter(|index| batch.is_event(*index))
                .map(|index| batch.lines[index].end as usize - batch.start_of(index))
                .sum();
            (events, total - events)
        }
    }
}

fn joined(group: &mut Vec<Batch>) -> Option<Batch> {
    if group.len() <= 1 {
        return group.pop();
    }
    let mut bytes = Vec::with_capacity(group.iter().map(|batch| batch.bytes.len()).sum());
    let mut lines: Vec<Line> = Vec::with_capacity(group.iter().map(|batch| batch.lines.len()).sum());
    let first_id = group[0].first_id;
    for batch in group.drain(..) {
        let offset = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let events = lines.last().map_or(0, |line| line.events);
        lines.extend(batch.lines.iter().map(|line| Line {
            position: line.position,
            end: offset + line.end,
            events: events + line.events,
        }));
        bytes.extend_from_slice(&batch.bytes);
    }
    Some(Batch {
        bytes: bytes.into(),
        lines: lines.into_boxed_slice(),
        first_id,
    })
}

fn filtered(batch: Batch, keep: &impl Fn(u64, bool) -> bool) -> Option<Batch> {
    let wanted = |index: usize| keep(batch.lines[index].position, batch.is_event(index));
    if (0..batch.lines.len()).all(wanted) {
        return Some(batch);
    }
    let mut bytes = Vec::new();
    let mut lines: Vec<Line> = Vec::new();
    for index in (0..batch.lines.len()).filter(|index| wanted(*index)) {
        bytes.extend_from_slice(&batch.bytes[batch.start_of(index)..batch.lines[index].end as usize]);
        lines.push(Line {
            position: batch.lines[index].position,
            end: u32::try_from(bytes.len()).unwrap_or(u32::MAX),
            events: lines.last().map_or(0, |line| line.events) + u32::from(batch.is_event(index)),
        });
    }
    (!lines.is_empty()).then(|| Batch {
        bytes: bytes.into(),
        lines: lines.into_boxed_slice(),
        first_id: batch.first_id,
    })
}
