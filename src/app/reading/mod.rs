//! Reading a transcript: how much is shown, raw events, times, search, and where the reader left.
//!
//! State and rules. Which row a place is on is known to `ui` alone, so jumps come from there as places.

pub mod code;
pub mod detail;
pub mod search;
pub mod shown;

use serde::{Deserialize, Serialize};

use crate::transcript::{BlockId, BlockKind, FeedBatch, Transcript};
use crate::wire::ChannelId;

use super::action::Action;
use super::channel::Channel;
use super::effect::Effect;
use super::msg::{Scroll, Spot};
use super::state::{App, Ask, AskFor, Focus, Overlay};
use super::update::{save_later, say, with_selected};
use crate::text::highlight::Done;

pub use detail::{Detail, Times};
pub use search::{Hit, Search};

/// What the configuration and the flags say of it.
#[derive(Debug, Clone, Default)]
pub struct Settings {}

/// Its part of the state.
#[derive(Debug, Default)]
pub struct Reading {
    /// How much is shown of channels that have no choice of their own.
    pub detail: Detail,
    /// Which times are shown.
    pub times: Times,
}

/// Its part of a channel.
#[derive(Debug, Clone, Default)]
pub struct OfChannel {
    /// How much of this channel is shown, where that was chosen.
    pub detail: Option<Detail>,
    /// Its events are shown as they came.
    pub raw: Option<RawView>,
    /// A search that is on.
    pub search: Option<Search>,
    /// The end of what the reader saw: the last block then, and the length of its text in bytes.
    pub left: Option<(BlockId, usize)>,
    /// What is known of the code in it.
    pub code: code::CodeBlocks,
    /// Something came since it was looked at.
    away: bool,
}

/// The raw events of a channel on the screen. Their blocks are named by the number of the line, counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RawView {
    /// Where they are scrolled to.
    pub scroll: Scroll,
    /// Where they were opened.
    opened: Scroll,
    /// Where the transcript was then.
    back: Scroll,
}

/// What of it the next start shows again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Saved {
    /// How much is shown of channels that have no choice of their own.
    pub detail: Detail,
    /// Which times are shown.
    pub times: Times,
}

/// What of a channel the next start shows again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SavedOfChannel {
    /// How much of it is shown, where that was chosen.
    pub detail: Option<Detail>,
}

/// What can happen to it.
#[derive(Debug)]
pub enum Msg {
    /// The raw events are to be shown, from the place that is at the top now.
    OpenRaw {
        /// The block at the top.
        block: BlockId,
        /// How far into its text, in bytes.
        offset: usize,
    },
    /// The transcript is to be shown again; this raw event is at the top.
    CloseRaw {
        /// The number of the line, counted from 1.
        line: u64,
    },
    /// The search goes to this place; a folded block is opened.
    Show {
        /// The place.
        hit: Hit,
        /// It went around the end.
        around: bool,
        /// The block is folded.
        folded: bool,
    },
    /// Code is on the screen that was not read yet.
    CodeSeen(Box<code::Job>),
    /// The answer to [`Do::ReadCode`].
    CodeRead {
        /// What was to be read.
        job: Box<code::Job>,
        /// What it is.
        done: Done,
    },
}

/// What it wants done.
#[derive(Debug, Clone, PartialEq)]
pub enum Do {
    /// Read some code; the answer comes as [`Msg::CodeRead`].
    ReadCode(Box<code::Job>),
}

impl App {
    /// How much of a channel is shown.
    #[must_use]
    pub fn detail(&self, channel: &Channel) -> Detail {
        channel.reading.detail.unwrap_or(self.reading.detail)
    }
}

impl Channel {
    /// Where what is shown of it, its transcript or its raw events, is scrolled to.
    #[must_use]
    pub fn shown_scroll(&self) -> Scroll {
        self.reading.raw.map_or(self.scroll, |raw| raw.scroll)
    }
}

/// What the next start is to know.
pub(super) fn saved(app: &App) -> Saved {
    Saved {
        detail: app.reading.detail,
        times: app.reading.times,
    }
}

/// What the last program knew.
pub(super) fn restored(saved: &Saved) -> Reading {
    Reading {
        detail: saved.detail,
        times: saved.times,
    }
}

/// The same of a channel.
pub(super) fn saved_of(channel: &Channel) -> SavedOfChannel {
    SavedOfChannel {
        detail: channel.reading.detail,
    }
}

/// The same of a channel.
pub(super) fn restored_of(saved: &SavedOfChannel) -> OfChannel {
    OfChannel {
        detail: saved.detail,
        ..OfChannel::default()
    }
}

/// The names of blocks begin anew: nothing that names one holds any longer.
pub(super) fn begin_anew(reading: &mut OfChannel) {
    *reading = OfChannel {
        detail: reading.detail,
        ..OfChannel::default()
    };
}

/// Scrolls what is shown; `false`: that is the transcript itself.
pub(super) fn scroll_raw(channel: &mut Channel, scroll: Scroll) -> bool {
    match &mut channel.reading.raw {
        Some(raw) => {
            raw.scroll = scroll;
            true
        }
        None => false,
    }
}

/// The reader leaves the end: what comes from here on is new to them.
pub(super) fn left_the_end(channel: &mut Channel) {
    channel.reading.left = end_of(&channel.transcript);
}

/// The end of a transcript: its last block and the length of its text.
fn end_of(transcript: &Transcript) -> Option<(BlockId, usize)> {
    let last = transcript.blocks().next_back()?;
    let length = match &last.kind {
        BlockKind::Answer { text, .. } | BlockKind::Reasoning { text, .. } => text.len(),
        _ => 0,
    };
    Some((last.id, length))
}

/// Whether anything came after a place that was the end once.
fn is_past(transcript: &Transcript, left: (BlockId, usize)) -> bool {
    end_of(transcript).is_some_and(|end| end > left)
}

/// Does what an action says; `false`: the action belongs elsewhere.
pub(super) fn perform(app: &mut App, action: Action, _effects: &mut Vec<Effect>) -> bool {
    match action {
        Action::Detail => set_detail(app, false),
        Action::DetailOfAll => set_detail(app, true),
        Action::Times => {
            app.reading.times = app.reading.times.next();
            save_later(app);
            say(app, format!("Times: {}", app.reading.times.word()));
        }
        Action::Search => {
            if app.selected_channel().is_some() {
                app.overlay = Some(Overlay::Ask(Ask::new(AskFor::Search, "")));
                typed(app, "");
            } else {
                say(app, "There is no transcript to search".to_owned());
            }
        }
        // These come here when there is nowhere to go to.
        Action::NextNeedsYou | Action::PreviousMatch if is_searching(app) => no_match(app),
        Action::PreviousMatch => {
            let key = app.settings.keymap.first(Action::Search);
            say(app, format!("No search is on; {key} begins one"));
        }
        Action::NextTurn => say(app, "No prompt further down".to_owned()),
        Action::PreviousTurn => say(app, "No prompt further up".to_owned()),
        Action::CallBelow => say(app, "No call further down".to_owned()),
        Action::CallAbove => say(app, "No call further up".to_owned()),
        Action::NextPart => say(app, "No part further down".to_owned()),
        Action::PreviousPart => say(app, "No part further up".to_owned()),
        Action::NextError => say(app, "Nothing failed here".to_owned()),
        Action::RawEvents => say(
            app,
            "Nothing came of this channel yet: there are no raw events".to_owned(),
        ),
        Action::FirstUnread => first_unread(app),
        Action::Back if is_searching(app) => with_selected(app, |channel| channel.reading.search = None),
        Action::Back
            if app
                .selected_channel()
                .is_some_and(|channel| channel.reading.raw.is_some()) =>
        {
            with_selected(app, |channel| {
                if let Some(raw) = channel.reading.raw.take() {
                    channel.scroll = raw.back;
                }
            });
        }
        Action::Close | Action::Interrupt => {
            if matches!(&app.overlay, Some(Overlay::Ask(ask)) if ask.purpose == AskFor::Search) {
                with_selected(app, |channel| channel.reading.search = None);
            }
            return false;
        }
        Action::End => {
            let raw = app
                .selected_channel()
                .is_some_and(|channel| channel.reading.raw.is_some());
            with_selected(app, |channel| {
                scroll_raw(channel, Scroll::Tail);
            });
            return raw;
        }
        Action::Top => {
            let raw = app
                .selected_channel()
                .is_some_and(|channel| channel.reading.raw.is_some());
            with_selected(app, |channel| {
                let block = BlockId(0);
                let spot = Spot::Head(0);
                scroll_raw(channel, Scroll::Anchor { block, spot });
            });
            return raw;
        }
        _ => return false,
    }
    true
}

/// Whether keys go from match to match.
fn is_searching(app: &App) -> bool {
    app.focus == Focus::Transcript
        && app
            .selected_channel()
            .is_some_and(|channel| channel.reading.search.is_some())
}

fn no_match(app: &mut App) {
    let found = app
        .selected_channel()
        .and_then(|channel| channel.reading.search.as_ref())
        .map(|search| format!("{}: {}", crate::text::sanitise_line(&search.query), search.count()));
    if let Some(text) = found {
        say(app, text);
    }
}

fn set_detail(app: &mut App, all: bool) {
    let Some(channel) = app.selected_channel() else {
        say(app, "No channel is selected".to_owned());
        return;
    };
    let detail = app.detail(channel).next();
    if all {
        app.reading.detail = detail;
        for channel in app.channels.values_mut() {
            channel.reading.detail = None;
            search_again(channel);
        }
    } else {
        let default = app.reading.detail;
        with_selected(app, |channel| {
            channel.reading.detail = (detail != default).then_some(detail);
            search_again(channel);
        });
    }
    scan(app, search::STEP);
    save_later(app);
    let whose = if all { ", in all channels" } else { "" };
    say(app, format!("Detail: {}{whose}", detail.word()));
}

/// What is searched is another text now.
fn search_again(channel: &mut Channel) {
    let raw = channel.reading.raw.is_some();
    if let Some(search) = &mut channel.reading.search {
        let typing = search.typing;
        *search = Search::new(&search.query, raw);
        search.typing = typing;
    }
}

fn first_unread(app: &mut App) {
    let found = app.selected_channel().and_then(|channel| {
        let left = channel.reading.left?;
        is_past(&channel.transcript, left).then_some(left)
    });
    let Some((block, length)) = found else {
        say(app, "Nothing here came while you were away".to_owned());
        return;
    };
    with_selected(app, |channel| {
        channel.reading.raw = None;
        // The row that was read last is at the top, to hold on to.
        let spot = if length > 0 {
            Spot::Body {
                offset: length - 1,
                skip: 0,
            }
        } else {
            Spot::Head(0)
        };
        channel.scroll = Scroll::Anchor { block, spot };
    });
}

/// The text of the search that is being typed changed.
pub(super) fn typed(app: &mut App, text: &str) {
    with_selected(app, |channel| {
        let raw = channel.reading.raw.is_some();
        let mut search = Search::new(text, raw);
        search.typing = true;
        channel.reading.search = Some(search);
    });
    scan(app, search::STEP);
}

/// The search was entered: it stays on. Without a text, none is.
pub(super) fn keep(app: &mut App, text: &str) {
    if app
        .selected_channel()
        .and_then(|channel| channel.reading.search.as_ref())
        .is_none_or(|search| search.query != text)
    {
        typed(app, text);
    }
    if app.focus == Focus::Compose || app.focus == Focus::List {
        app.focus = Focus::Transcript;
    }
    let mut missing = false;
    with_selected(app, |channel| {
        if let Some(search) = &mut channel.reading.search {
            search.typing = false;
            missing = !text.is_empty() && search.is_complete() && search.hits().is_empty();
        }
        if text.is_empty() || missing {
            channel.reading.search = None;
        }
    });
    if missing {
        say(app, format!("No match for {}", crate::text::sanitise_line(text)));
    }
}

/// Looks further for what the selected channel is searched for; `true`: something changed.
fn scan(app: &mut App, budget: usize) -> bool {
    let Some(id) = app.selected.clone() else { return false };
    let default = app.reading.detail;
    let Some(channel) = app.channels.get_mut(&id) else {
        return false;
    };
    scan_channel(channel, default, budget)
}

fn scan_channel(channel: &mut Channel, default: Detail, budget: usize) -> bool {
    // Taken out while the channel is read.
    let Some(mut search) = channel.reading.search.take() else {
        return false;
    };
    let detail = channel.reading.detail.unwrap_or(default);
    let changed = search.scan(channel, detail, budget);
    channel.reading.search = Some(search);
    changed
}

/// Takes in what happened; `false`: nothing visible changed.
pub(super) fn take(app: &mut App, msg: Msg, effects: &mut Vec<Effect>) -> bool {
    match msg {
        Msg::CodeSeen(job) => {
            let channel = code_of(app, &job);
            if channel.is_some_and(|channel| channel.reading.code.ask(&job)) {
                effects.push(Effect::Reading(Do::ReadCode(job)));
            }
            return false;
        }
        Msg::CodeRead { job, done } => {
            let channel = code_of(app, &job);
            return channel.is_some_and(|channel| channel.reading.code.take(&job, done));
        }
        Msg::OpenRaw { block, offset } => with_selected(app, |channel| open_raw(channel, block, offset)),
        Msg::CloseRaw { line } => with_selected(app, |channel| close_raw(channel, line)),
        Msg::Show { hit, around, folded } => {
            with_selected(app, |channel| {
                if let Some(search) = &mut channel.reading.search {
                    search.current = Some(hit);
                }
                if folded && channel.reading.raw.is_none() {
                    channel.toggle(hit.block);
                }
            });
            if around {
                say(app, "The search went around the end".to_owned());
            }
        }
    }
    scan(app, search::STEP);
    true
}

/// The channel of some code, if it is still the same watch.
fn code_of<'a>(app: &'a mut App, job: &code::Job) -> Option<&'a mut Channel> {
    let (id, generation) = &job.channel;
    app.channels
        .get_mut(id)
        .filter(|channel| channel.generation == *generation)
}

fn open_raw(channel: &mut Channel, block: BlockId, offset: usize) {
    let transcript = &channel.transcript;
    let whole = match transcript.block(block).map(|block| &block.kind) {
        Some(BlockKind::Answer { text, .. } | BlockKind::Reasoning { text, .. }) => text.len(),
        _ => 0,
    };
    let line = transcript.raw().of_block(block, offset, whole);
    let scroll = match line {
        Some(number) if channel.scroll != Scroll::Tail => Scroll::Anchor {
            block: BlockId(number + 1),
            spot: Spot::Head(0),
        },
        _ => Scroll::Tail,
    };
    channel.reading.raw = Some(RawView {
        scroll,
        opened: scroll,
        back: channel.scroll,
    });
    search_again(channel);
}

fn close_raw(channel: &mut Channel, line: u64) {
    let Some(raw) = channel.reading.raw.take() else {
        return;
    };
    channel.scroll = if raw.scroll == raw.opened {
        raw.back
    } else if raw.scroll == Scroll::Tail {
        Scroll::Tail
    } else {
        let number = line.saturating_sub(1);
        let lines = channel.transcript.raw();
        let block = lines.get(number).map_or(BlockId(0), |line| line.block);
        Scroll::Anchor {
            block,
            spot: Spot::Head(0),
        }
    };
    search_again(channel);
}

/// A batch is about to be taken in.
pub(super) fn before_feed(app: &mut App, id: &ChannelId, batch: &FeedBatch, _effects: &mut Vec<Effect>) {
    let looked_at = app.terminal_focused && app.is_in_view(id);
    let Some(channel) = app.channels.get_mut(id) else {
        return;
    };
    if looked_at {
        channel.reading.away = false;
    } else if !channel.reading.away && !batch.items.is_empty() {
        channel.reading.away = true;
        if channel.scroll == Scroll::Tail {
            channel.reading.left = end_of(&channel.transcript);
        }
    }
}

/// A batch was taken in.
pub(super) fn after_feed(app: &mut App, id: &ChannelId, _effects: &mut Vec<Effect>) {
    let default = app.reading.detail;
    if let Some(channel) = app.channels.get_mut(id) {
        if channel.transcript.is_empty() {
            begin_anew(&mut channel.reading);
        }
        // The first look goes on by ticks.
        if channel.reading.search.as_ref().is_some_and(Search::is_complete) {
            scan_channel(channel, default, search::STEP);
        }
    }
}

/// Time passed. `true`: something visible changed.
pub(super) fn tick(app: &mut App, _effects: &mut Vec<Effect>) -> bool {
    next_due(app).is_some() && scan(app, search::STEP)
}

/// When it needs the next tick, monotonic milliseconds.
pub(super) fn next_due(app: &App) -> Option<u64> {
    let search = app.selected_channel()?.reading.search.as_ref()?;
    (!search.is_complete()).then_some(app.now.monotonic_ms + 1)
}
