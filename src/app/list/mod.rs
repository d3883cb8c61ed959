//! The channel list: order, sorting, groups, pins, titles by hand, the filter, how many lines a channel takes,
//! peeking, finding runs. State and rules.
//!
//! The order is worked out in `order`, what is typed as a filter is read in `filter`, keys are in `commands`, runs
//! that were dispatched elsewhere in `finder`; what is drawn is `ui`'s matter.

mod commands;
mod filter;
mod finder;
mod order;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use crate::transcript::FeedBatch;
use crate::wire::ChannelId;

use super::channel::{Channel, Counts};
use super::effect::Effect;
use super::msg::RequestId;
use super::state::{App, Focus};

pub use filter::Filter;
pub use order::{Heading, Row};

pub(super) use commands::{
    filter_changed, grouped, leave_dialogue, listed_at, neighbour_of, perform, renamed, stop_watching, submit_filter,
};
pub(super) use finder::{found, picked_run};
pub(super) use order::{settle, settle_if_stale};

/// From this many columns on list and transcript stand side by side.
pub const SIDE_BY_SIDE: u16 = 100;
/// The list beside a transcript: a third of the screen up to the first, a quarter of it up to the second.
const USUAL_WIDTH: u16 = 40;
const WIDEST_USUAL: u16 = 56;
/// The narrowest that it is by itself, beside several panes.
const NARROW: u16 = 28;
/// The list beside a transcript is never narrower than this, and leaves the transcript so many columns.
const NARROWEST: u16 = 24;
const LEAST_TRANSCRIPT: u16 = 40;

/// How many samples of the rate are kept.
pub const SAMPLES: usize = 8;
/// How long a sample is, in milliseconds.
const SAMPLE_MS: u64 = 2_000;
/// A channel that was silent for so long comes to life again with its next event, in milliseconds.
const SILENCE_MS: u64 = 5_000;

/// What the configuration and the flags say of it.
#[derive(Debug, Clone, Default)]
pub struct Settings {}

/// By what the list is sorted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sort {
    /// New channels at the top, then as the person moves them.
    #[default]
    Stable,
    /// What waits, what failed and what ended since it was looked at, then what goes on.
    Attention,
    /// What came to life or changed its state last at the top. A stream moves nothing.
    Activity,
    /// By title.
    Name,
}

impl Sort {
    /// The order's name.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Stable => "stable",
            Self::Attention => "attention",
            Self::Activity => "activity",
            Self::Name => "name",
        }
    }
}

/// Under what headings the list stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GroupBy {
    /// Under none.
    #[default]
    None,
    /// By state.
    State,
    /// By the labels that the person gives.
    Label,
}

/// Its part of the state.
#[derive(Debug, Default)]
pub struct Listing {
    /// By what it is sorted.
    pub sort: Sort,
    /// Under what headings it stands.
    pub group_by: GroupBy,
    /// What it is narrowed to.
    pub filter: Filter,
    /// The channel whose end is shown until the next key.
    pub peek: Option<ChannelId>,
    /// Lines that a channel takes, less one.
    more_lines: u8,
    /// The width that the person chose, in columns.
    width: Option<u16>,
    /// The request for runs to pick from that was not answered yet.
    finding: Option<RequestId>,
    /// The runs to pick from.
    found: Vec<ChannelId>,
    /// The rows in their order, and what was counted.
    order: order::Order,
}

impl Listing {
    /// What the last program wrote down.
    #[must_use]
    pub(super) fn of_saved(saved: &Saved) -> Self {
        Self {
            sort: saved.sort,
            group_by: saved.group_by,
            more_lines: saved.more_lines.min(2),
            width: saved.width,
            ..Self::default()
        }
    }

    /// What the next start shows again.
    #[must_use]
    pub(super) fn saved(&self) -> Saved {
        Saved {
            sort: self.sort,
            group_by: self.group_by,
            more_lines: self.more_lines,
            width: self.width,
        }
    }

    /// How many lines a channel takes: one to three.
    #[must_use]
    pub fn lines(&self) -> u16 {
        u16::from(self.more_lines) + 1
    }

    /// The rows from the top: headings, and channels by their place in [`App::channels`].
    #[must_use]
    pub fn rows(&self) -> &[Row] {
        self.order.rows()
    }

    /// A heading of the rows.
    #[must_use]
    pub fn heading(&self, at: usize) -> Option<&Heading> {
        self.order.heading(at)
    }

    /// The row of the channel at this place in [`App::channels`]; `None`: the filter hides it.
    #[must_use]
    pub fn row_of(&self, channel: usize) -> Option<usize> {
        self.order.row_of(channel)
    }

    /// The place of the channel at this place in [`App::channels`] among those that are listed, from the top.
    #[must_use]
    pub(super) fn place_of(&self, channel: usize) -> Option<usize> {
        self.order.place_of(channel)
    }

    /// How many channels are listed (headings do not count).
    #[must_use]
    pub fn listed(&self) -> usize {
        self.order.listed()
    }

    /// How many channels are in which state, whatever is listed.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.order.counts()
    }

    /// How many channels were not looked at since something came, whatever is listed.
    #[must_use]
    pub fn unread(&self) -> usize {
        self.order.unread()
    }

    /// Whether some channel shows seconds.
    #[must_use]
    pub(super) fn shows_seconds(&self) -> bool {
        self.order.shows_seconds()
    }

    /// How many listed channels that wait stand above and below these rows (half open).
    #[must_use]
    pub fn waiting_outside(&self, first: usize, end: usize) -> (usize, usize) {
        self.order.waiting_outside(first, end)
    }
}

/// Its part of a channel.
#[derive(Debug, Clone, Default)]
pub struct OfChannel {
    /// It stays on top.
    pub pinned: bool,
    /// The group that the person put it in; empty: none. On one line and safe for a terminal.
    pub group: String,
    /// The title is one that the person gave; this is the one before.
    pub title_before: Option<String>,
    /// When its last event was committed (or came), Unix time in milliseconds.
    pub last_event_at: Option<u64>,
    /// When it came to life or changed its state, Unix time in milliseconds.
    active_at: u64,
    /// It was unread when it was selected: it keeps its place until the mark moves on.
    held: bool,
    /// What it added to the counts.
    tally: Option<order::Tally>,
    samples: Samples,
}

impl OfChannel {
    /// What the last program wrote down.
    #[must_use]
    pub(super) fn of_saved(saved: SavedOfChannel) -> Self {
        Self {
            pinned: saved.pinned,
            group: crate::text::sanitise_line(&saved.group).into_owned(),
            title_before: saved.title_before,
            ..Self::default()
        }
    }

    /// What the next start shows again.
    #[must_use]
    pub(super) fn saved(&self) -> SavedOfChannel {
        SavedOfChannel {
            pinned: self.pinned,
            group: self.group.clone(),
            title_before: self.title_before.clone(),
        }
    }

    /// Tokens of the last [`SAMPLES`] times two seconds, the oldest first, as of now.
    #[must_use]
    pub fn samples(&self, monotonic_ms: u64) -> [u32; SAMPLES] {
        self.samples.read(monotonic_ms)
    }
}

/// Tokens counted by slots of time, in a ring: constant memory, and time alone changes nothing in it.
#[derive(Debug, Clone, Default)]
struct Samples {
    counts: [u32; SAMPLES],
    /// The slot that was written last, from the program's start.
    slot: u64,
    /// Tokens of the channel when they were counted last.
    tokens: u64,
}

impl Samples {
    fn add(&mut self, tokens: u64, now: u64) {
        let slot = now / SAMPLE_MS;
        let passed = slot.saturating_sub(self.slot).min(SAMPLES as u64);
        for step in 1..=passed {
            self.counts[((self.slot + step) % SAMPLES as u64) as usize] = 0;
        }
        if passed == SAMPLES as u64 {
            self.counts = [0; SAMPLES];
        }
        self.slot = self.slot.max(slot);
        let count = &mut self.counts[(self.slot % SAMPLES as u64) as usize];
        *count = count.saturating_add(u32::try_from(tokens).unwrap_or(u32::MAX));
    }

    fn read(&self, now: u64) -> [u32; SAMPLES] {
        let slot = (now / SAMPLE_MS).max(self.slot);
        let mut samples = [0; SAMPLES];
        for (age, sample) in samples.iter_mut().rev().enumerate() {
            let Some(at) = slot.checked_sub(age as u64) else { break };
            if at <= self.slot && at + SAMPLES as u64 > self.slot {
                *sample = self.counts[(at % SAMPLES as u64) as usize];
            }
        }
        samples
    }
}

/// What of it the next start shows again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Saved {
    /// By what it is sorted.
    pub sort: Sort,
    /// Under what headings it stands.
    pub group_by: GroupBy,
    /// Lines that a channel takes, less one.
    pub more_lines: u8,
    /// The width that the person chose, in columns.
    pub width: Option<u16>,
}

/// What of a channel the next start shows again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SavedOfChannel {
    /// It stays on top.
    pub pinned: bool,
    /// Its group.
    pub group: String,
    /// The title before the one that the person gave.
    pub title_before: Option<String>,
}

/// What can happen to it.
#[derive(Debug)]
pub enum Msg {
    /// The mark moves by so many channels: how many a page has only the screen knows.
    Step(isize),
    /// A key that means nothing else ends the peek.
    EndPeek,
}

/// What it wants done.
#[derive(Debug, Clone, PartialEq)]
pub enum Do {}

/// Takes in what happened.
pub(super) fn take(app: &mut App, msg: Msg, _effects: &mut Vec<Effect>) {
    app.list.peek = None;
    match msg {
        Msg::Step(by) => commands::step(app, by),
        Msg::EndPeek => {}
    }
}

/// A batch is about to be taken in.
pub(super) fn before_feed(app: &mut App, id: &ChannelId, batch: &FeedBatch, _effects: &mut Vec<Effect>) {
    let now = app.now;
    let Some(channel) = app.channels.get_mut(id) else {
        return;
    };
    let tokens = channel.tokens();
    let list = &mut channel.list;
    list.samples.tokens = tokens;
    let event_at = batch.items.iter().rev().find_map(|item| match item {
        crate::transcript::Item::Event { at, .. } => Some(at.unwrap_or(now.unix_ms)),
        _ => None,
    });
    let Some(at) = event_at else { return };
    if list
        .last_event_at
        .is_none_or(|last| at > last.saturating_add(SILENCE_MS))
    {
        list.active_at = at;
        app.list.order.activity_moved(app.list.sort);
    }
    list.last_event_at = Some(list.last_event_at.unwrap_or(0).max(at));
}

/// A batch was taken in.
pub(super) fn after_feed(app: &mut App, id: &ChannelId, _effects: &mut Vec<Effect>) {
    let now = app.now;
    let Some(channel) = app.channels.get_mut(id) else {
        return;
    };
    let tokens = channel.tokens();
    let new = tokens.saturating_sub(channel.list.samples.tokens);
    // What is replayed was written long ago: it is no rate.
    let recent = channel
        .list
        .last_event_at
        .is_some_and(|at| now.unix_ms.saturating_sub(at) < SAMPLE_MS * SAMPLES as u64);
    if new > 0 && recent {
        channel.list.samples.add(new, now.monotonic_ms);
    }
    order::touched(app, id);
}

/// Time passed. `true`: something visible changed.
pub(super) fn tick(app: &mut App, _effects: &mut Vec<Effect>) -> bool {
    settle_if_stale(app)
}

/// When it needs the next tick, monotonic milliseconds.
pub(super) fn next_due(app: &App) -> Option<u64> {
    app.list.order.due()
}

/// The mark moves from one channel to another: the one that it was on takes the place that it has now.
pub(super) fn selecting(app: &mut App, id: &ChannelId) {
    if app.selected.as_ref() == Some(id) {
        return;
    }
    if let Some(before) = app.selected.as_ref().and_then(|id| app.channels.get_mut(id)) {
        before.list.held = false;
    }
    if let Some(channel) = app.channels.get_mut(id) {
        channel.list.held = channel.unread;
    }
}

/// Whether the selected channel's transcript is on the screen: where list and transcript take turns, a channel is not
/// read because the mark moved over it.
#[must_use]
pub fn transcript_is_shown(app: &App) -> bool {
    app.size.0 >= SIDE_BY_SIDE || !shows_list(app)
}

/// Where list and transcript take turns: whether it is the list's.
#[must_use]
pub fn shows_list(app: &App) -> bool {
    match app.focus {
        Focus::List => true,
        Focus::Transcript => false,
        Focus::Compose => app.selected.is_none() || app.focus_before_compose == Focus::List,
    }
}

/// The list's width beside a transcript, on a screen of so many columns.
#[must_use]
pub fn width(app: &App, columns: u16) -> u16 {
    let usual = if app.panes.is_several() {
        (columns / 5).clamp(NARROW, USUAL_WIDTH)
    } else {
        (columns / 3).min(USUAL_WIDTH).max((columns / 4).min(WIDEST_USUAL))
    };
    let most = columns.saturating_sub(LEAST_TRANSCRIPT + 1).max(NARROWEST);
    app.list.width.unwrap_or(usual).clamp(NARROWEST, most)
}

/// For how long the server still keeps what came on a channel, in milliseconds; `None` where that is not known, or
/// as long as a run goes on.
#[must_use]
pub fn kept_for(app: &App, channel: &Channel) -> Option<u64> {
    if !channel.transcript.status().is_over() || super::recordings::is_replay(channel) {
        return None;
    }
    let seconds = app.server.info.as_ref()?.retention.seconds;
    let last = channel.list.last_event_at.or(channel.transcript.counters().ended_at)?;
    Some(
        last.saturating_add(seconds.saturating_mul(1_000))
            .saturating_sub(app.now.unix_ms),
    )
}
