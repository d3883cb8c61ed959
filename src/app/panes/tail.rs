//! The merged tail: the lines of all channels in the order in which they came, in a ring of bounded length.
//!
//! Nothing is kept and nothing costs anything until it was opened once. A line is there when it is complete, or when
//! its text has paused. What is drawn is `ui`'s matter.

use std::collections::{HashMap, VecDeque};

use crate::text::width::boundary;
use crate::text::{json, preview, sanitise_line};
use crate::transcript::{FeedBatch, Item};
use crate::wire::event::{ActivityKind, Event, EventKind, MessageKind};
use crate::wire::{ChannelId, Message};

use super::super::action::Action;
use super::super::channel::ChannelState;
use super::super::msg::Scroll;
use super::super::state::{App, Focus, Overlay};
use super::super::update::{say, select};

/// The most lines that are kept.
pub const MOST_LINES: usize = 2_000;
/// A text that grew no more for so long is shown as far as it is, in milliseconds.
const PAUSE_MS: u64 = 700;
/// Events that were committed so long before their channel was watched are no news, in milliseconds: the clock of the
/// server is another one.
const CLOCKS_DIFFER_MS: u64 = 30_000;
/// The most bytes of a line; a longer one is broken at a blank.
const LONGEST_LINE: usize = 480;
/// Columns that a row keeps for its time, number and title.
const BESIDE_TEXT: u16 = 36;

/// What a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Of the bot's text.
    Text,
    /// Of its reasoning.
    Thought,
    /// Of a prompt.
    Prompt,
    /// A function is called, or answered.
    Call,
    /// A call waits for an answer.
    Waiting,
    /// The run ended.
    Done,
    /// The run failed.
    Failed,
    /// Something to know of the channel.
    Note,
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The channel.
    pub channel: ChannelId,
    /// The number that the channel has here, from 1: it stays.
    pub number: u32,
    /// What it is.
    pub kind: Kind,
    /// Its text, on one line and safe for a terminal.
    pub text: String,
    /// When it came, Unix time in milliseconds.
    pub at: u64,
}

/// A text that is not a line yet.
#[derive(Debug, Default)]
struct Partial {
    text: String,
    thought: bool,
    /// When it grew last, monotonic milliseconds.
    grew_at: u64,
    /// Tokens came since the model call began: the whole message at its end says nothing new.
    streamed: bool,
}

/// The lines of all channels.
#[derive(Debug, Default)]
pub struct Tail {
    lines: VecDeque<Line>,
    /// The name of the oldest line that is kept; names grow by one and stay.
    first: u64,
    partial: HashMap<ChannelId, Partial>,
    numbers: HashMap<ChannelId, u32>,
    last_number: u32,
    /// The marked line; `None`: the last one, following what comes.
    pub cursor: Option<u64>,
    /// When partial texts are looked at next, monotonic milliseconds.
    check_at: Option<u64>,
}

impl Tail {
    /// The names of the lines that are kept.
    #[must_use]
    pub fn names(&self) -> std::ops::Range<u64> {
        self.first..self.first + self.lines.len() as u64
    }

    /// The line of a name.
    #[must_use]
    pub fn line(&self, name: u64) -> Option<&Line> {
        self.lines.get(usize::try_from(name.checked_sub(self.first)?).ok()?)
    }

    fn number(&mut self, id: &ChannelId) -> u32 {
        if let Some(number) = self.numbers.get(id) {
            return *number;
        }
        self.last_number += 1;
        self.numbers.insert(id.clone(), self.last_number);
        self.last_number
    }

    fn push(&mut self, id: &ChannelId, kind: Kind, text: String, at: u64) {
        if text.trim().is_empty() {
            return;
        }
        let number = self.number(id);
        self.lines.push_back(Line {
            channel: id.clone(),
            number,
            kind,
            text,
            at,
        });
        if self.lines.len() > MOST_LINES {
            self.lines.pop_front();
            self.first += 1;
            self.cursor = self.cursor.map(|cursor| cursor.max(self.first));
        }
    }

    /// Takes a piece of text in; `longest` is how many bytes a line may have.
    fn grow(&mut self, id: &ChannelId, thought: bool, piece: &str, longest: usize, at: u64, now: u64) {
        if self.partial.get(id).is_some_and(|partial| partial.thought != thought) {
            self.flush(id, at);
        }
        if !self.partial.contains_key(id) {
            self.partial.insert(id.clone(), Partial::default());
        }
        let Some(partial) = self.partial.get_mut(id) else {
            return;
        };
        partial.thought = thought;
        partial.streamed |= !thought;
        partial.grew_at = now;
        partial.text.push_str(piece);
        self.check_at.get_or_insert(now + PAUSE_MS);
        // Only what ends a line, or is too long for one, needs more than this.
        if !piece.contains(['\n', '\r']) && partial.text.len() <= longest {
            return;
        }
        let kind = if thought { Kind::Thought } else { Kind::Text };
        let mut text = std::mem::take(&mut partial.text);
        loop {
            let line_end = text.find(['\n', '\r']);
            let end = match line_end {
                Some(end) if end <= longest => end,
                _ if text.len() > longest => {
                    let most = boundary(&text, longest);
                    let blank = text[..most].rfind(' ').filter(|blank| *blank > most / 3);
                    blank.unwrap_or(most).max(1)
                }
                _ => break,
            };
            let end = if text.is_char_boundary(end) {
                end
            } else {
                boundary(&text, end + 3)
            };
            self.push(id, kind, shown(&text[..end]), at);
            let rest = text[end..].trim_start_matches(['\n', '\r', ' ']).len();
            text.drain(..text.len() - rest);
            if text.is_empty() {
                break;
            }
        }
        if let Some(partial) = self.partial.get_mut(id) {
            partial.text = text;
        }
    }

    /// What a channel has written so far is a line.
    fn flush(&mut self, id: &ChannelId, at: u64) {
        if let Some(partial) = self.partial.get_mut(id)
            && !partial.text.is_empty()
        {
            let kind = if partial.thought { Kind::Thought } else { Kind::Text };
            let text = std::mem::take(&mut partial.text);
            self.push(id, kind, shown(&text), at);
        }
    }

    /// Texts that have paused become lines; `true`: there were some.
    fn flush_paused(&mut self, at: u64, now: u64) -> bool {
        let paused: Vec<ChannelId> = self
            .partial
            .iter()
            .filter(|(_, partial)| !partial.text.is_empty() && partial.grew_at + PAUSE_MS <= now)
            .map(|(id, _)| id.clone())
            .collect();
        for id in &paused {
            self.flush(id, at);
        }
        let next = self.partial.values().filter(|partial| !partial.text.is_empty());
        self.check_at = next.map(|partial| partial.grew_at + PAUSE_MS).min();
        !paused.is_empty()
    }

    fn event(&mut self, id: &ChannelId, event: &Event, longest: usize, at: u64, now: u64) {
        let line = |text: &str| sanitise_line(text).into_owned();
        match &event.kind {
            EventKind::Token(token) => self.grow(id, false, &token.token, longest, at, now),
            EventKind::ReasoningToken(token) => self.grow(id, true, &token.token, longest, at, now),
            EventKind::Message(message) => self.message(id, message, longest, at, now),
            EventKind::CompleteBegin(_) | EventKind::CompleteEnd(_) => {
                self.flush(id, at);
                if matches!(event.kind, EventKind::CompleteBegin(_))
                    && let Some(partial) = self.partial.get_mut(id)
                {
                    partial.streamed = false;
                }
            }
            EventKind::WaitBegin(wait) => {
                self.flush(id, at);
                let call = json::call(&wait.function.name, &wait.function.args, longest);
                self.push(id, Kind::Waiting, format!("waits for your answer: {}", line(&call)), at);
            }
            EventKind::WaitEnd(wait) => {
                let by = wait.from.as_deref().map(|from| format!(" by {}", line(from)));
                let text = format!("{} answered{}", line(&wait.function.name), by.unwrap_or_default());
                self.push(id, Kind::Call, text, at);
            }
            EventKind::Abort(abort) => {
                let reason = abort.reason.as_deref().unwrap_or("something was given up");
                self.push(id, Kind::Note, line(reason), at);
            }
            EventKind::Result(result) => {
                self.flush(id, at);
                let text = match result.end.reason.as_str() {
                    "stop" | "" => "done".to_owned(),
                    reason => format!("done: {}", line(reason)),
                };
                self.push(id, Kind::Done, text, at);
                self.partial.remove(id);
            }
            EventKind::Error(error) => {
                self.flush(id, at);
                self.push(id, Kind::Failed, format!("failed: {}", line(&error.message)), at);
                self.partial.remove(id);
            }
            _ => {}
        }
    }

    fn message(&mut self, id: &ChannelId, message: &Message, longest: usize, at: u64, now: u64) {
        match message.kind {
            MessageKind::Activity => {
                self.flush(id, at);
                if let Some(activity) = message.activity() {
                    let call = json::call(&activity.function.name, &activity.function.arguments, longest);
                    let text = match activity.kind {
                        ActivityKind::Request | ActivityKind::Trigger => sanitise_line(&call).into_owned(),
                        ActivityKind::Response => format!("{} answered", sanitise_line(&activity.function.name)),
                    };
                    self.push(id, Kind::Call, text, at);
                }
            }
            MessageKind::Bot => {
                let streamed = self.partial.get(id).is_some_and(|partial| partial.streamed);
                if !streamed {
                    self.grow(id, false, &message.text, longest, at, now);
                }
                self.flush(id, at);
            }
            _ => {
                let first = message.text.lines().map(str::trim).find(|line| !line.is_empty());
                let text = first.map_or(String::new(), |line| format!("you: {}", sanitise_line(line)));
                self.push(id, Kind::Prompt, text, at);
            }
        }
    }
}

/// A line as it is shown: without the marks of markdown, safe for a terminal.
fn shown(line: &str) -> String {
    sanitise_line(&preview::words(line)).into_owned()
}

/// How many bytes a line may have: about a row of the screen.
fn longest(app: &App) -> usize {
    usize::from(app.size.0.saturating_sub(BESIDE_TEXT)).clamp(24, LONGEST_LINE)
}

/// Opens the merged tail, or leaves it.
pub(super) fn toggle(app: &mut App) {
    if app.overlay == Some(Overlay::Tail) {
        app.overlay = None;
        return;
    }
    let (at, now) = (app.now.unix_ms, app.now.monotonic_ms);
    let longest = longest(app);
    let is_new = app.panes.tail.is_none();
    let tail = app.panes.tail.get_or_insert_default();
    if is_new {
        // So that there is something to see at once: what each live channel said last.
        for channel in app.channels.values() {
            let state = channel.state(app.now);
            if matches!(state, ChannelState::Live | ChannelState::Waiting)
                && let Some(text) = channel.transcript.last_text(longest)
            {
                tail.push(&channel.id, Kind::Text, shown(&text), at);
            }
            if let Some(waiting) = channel.transcript.waiting_calls().next() {
                let call = json::call(waiting.function, waiting.arguments, longest);
                let text = format!("waits for your answer: {}", sanitise_line(&call));
                tail.push(&channel.id, Kind::Waiting, text, at);
            }
        }
    }
    tail.flush_paused(at, now);
    tail.cursor = None;
    app.overlay = Some(Overlay::Tail);
}

/// Takes a batch in, before the transcript does.
pub(super) fn take_in(app: &mut App, id: &ChannelId, batch: &FeedBatch) {
    if app.panes.tail.is_none() {
        return;
    }
    let longest = longest(app);
    let (unix_ms, now) = (app.now.unix_ms, app.now.monotonic_ms);
    let (Some(tail), Some(channel)) = (&mut app.panes.tail, app.channels.get(id)) else {
        return;
    };
    if channel.transcript.status().is_over() {
        return;
    }
    let seen = channel.transcript.last_id();
    for item in &batch.items {
        match item {
            Item::Event {
                id: position,
                at,
                event,
                ..
            } => {
                // What came before it was watched is no news, and what was seen comes again after a reconnect.
                let is_old = at.is_some_and(|at| at + CLOCKS_DIFFER_MS < channel.watching_since);
                let is_known = position.zip(seen).is_some_and(|(position, seen)| position <= seen);
                if !is_old && !is_known {
                    tail.event(id, event, longest, at.unwrap_or(unix_ms), now);
                }
            }
            Item::Gap { .. } => tail.push(id, Kind::Note, "events are missing here".to_owned(), unix_ms),
            Item::Published { message, .. } => {
                let text = String::from_utf8_lossy(message.get(..longest).unwrap_or(message));
                tail.push(id, Kind::Note, format!("published: {}", sanitise_line(&text)), unix_ms);
            }
            Item::Reset | Item::BadLine { .. } => {}
        }
    }
    let channels = &app.channels;
    if tail.numbers.len() > MOST_LINES {
        tail.numbers.retain(|id, _| channels.contains_key(id));
    }
    if tail.partial.len() > channels.len() {
        tail.partial.retain(|id, _| channels.contains_key(id));
    }
}

/// Moves the mark by so many lines that are shown.
pub(super) fn step(app: &mut App, by: isize) {
    let names: Vec<u64> = app.tail_lines().collect();
    let Some(tail) = &mut app.panes.tail else { return };
    let at = match tail.cursor {
        Some(cursor) => names.partition_point(|name| *name < cursor),
        None => names.len().saturating_sub(1),
    };
    let to = at.saturating_add_signed(by);
    tail.cursor = if to + 1 >= names.len() {
        None
    } else {
        names.get(to).copied()
    };
}

/// Does what an action of the merged tail says; `false`: it is none.
pub(super) fn perform(app: &mut App, action: Action) -> bool {
    match action {
        Action::MergedTail => toggle(app),
        Action::TailDown => step(app, 1),
        Action::TailUp => step(app, -1),
        // How many lines a page has is known where it is drawn; without that it is a page of a usual size.
        Action::TailPageDown => step(app, 20),
        Action::TailPageUp => step(app, -20),
        Action::TailTop => step(app, isize::MIN / 2),
        Action::TailEnd => {
            if let Some(tail) = &mut app.panes.tail {
                tail.cursor = None;
            }
        }
        Action::TailOpen => open(app),
        Action::TailClose => app.overlay = None,
        _ => return false,
    }
    true
}

/// Goes to the channel of the marked line.
fn open(app: &mut App) {
    let Some(tail) = &app.panes.tail else { return };
    let name = tail.cursor.or_else(|| app.tail_lines().last());
    let Some(id) = name.and_then(|name| tail.line(name)).map(|line| line.channel.clone()) else {
        say(app, "There is no line to open yet".to_owned());
        return;
    };
    if app.channels.contains_key(&id) {
        select(app, &id);
        if let Some(channel) = app.channels.get_mut(&id) {
            channel.scroll = Scroll::Tail;
        }
        app.overlay = None;
        app.focus = Focus::Transcript;
    } else {
        say(app, "This channel is not watched any more".to_owned());
    }
}

/// Time passed; `true`: a line came of it.
pub(super) fn tick(app: &mut App) -> bool {
    let (at, now) = (app.now.unix_ms, app.now.monotonic_ms);
    let is_open = app.overlay == Some(Overlay::Tail);
    match &mut app.panes.tail {
        Some(tail) if is_open && tail.check_at.is_some_and(|due| due <= now) => tail.flush_paused(at, now),
        _ => false,
    }
}

/// When it is to be looked at: only while it is seen, and while something is partial.
pub(super) fn next_due(app: &App) -> Option<u64> {
    let tail = app.panes.tail.as_ref()?;
    tail.check_at.filter(|_| app.overlay == Some(Overlay::Tail))
}

impl App {
    /// The names of the lines of the merged tail that are shown, the oldest first: those of the channels that the
    /// list's filter leaves.
    pub fn tail_lines(&self) -> impl DoubleEndedIterator<Item = u64> {
        let names = self.panes.tail.as_ref().map_or(0..0, Tail::names);
        names.filter(|name| self.list.filter.is_empty() || self.shows_in_tail(*name))
    }

    fn shows_in_tail(&self, name: u64) -> bool {
        let line = self.panes.tail.as_ref().and_then(|tail| tail.line(name));
        line.and_then(|line| self.channels.get_index_of(&line.channel))
            .is_some_and(|channel| self.list.row_of(channel).is_some())
    }
}
