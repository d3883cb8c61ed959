//! Notifications: what is told beside the screen when a run ends, fails or waits, while nobody looks at the terminal.
//!
//! It decides what is told and when; the bytes that terminals take are in `term::notify`. Only what is news is told,
//! never what is replayed, and a burst of news is one notification.
//!
//! Whether somebody looks: terminals that report their focus say it. One that never did counts as looked at until nobody
//! has pressed a key for a minute.

use serde::{Deserialize, Serialize};

use crate::text::width::truncate;
use crate::transcript::{Connection, FeedBatch, Item};
use crate::wire::ChannelId;

use super::action::Action;
use super::channel::ChannelState;
use super::effect::Effect;
use super::state::App;
use super::{compose, copying};

/// Without reports of the focus: for so long after a key somebody is there, in milliseconds.
const PRESENT_MS: u64 = 60_000;
/// News are gathered for so long before they are told, in milliseconds.
const GATHER_MS: u64 = 400;
/// Two notifications are at least so far from each other, in milliseconds.
const DISTANCE_MS: u64 = 10_000;
/// What comes within this time after connecting may be a replay, where events have no time, in milliseconds.
const REPLAY_MS: u64 = 2_000;
/// The widest title in a notification, in columns.
const WIDEST_TITLE: usize = 60;

/// How something is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Way {
    /// Not at all.
    Off,
    /// The terminal's bell.
    Bell,
    /// OSC 9: iTerm2, WezTerm, Ghostty and others.
    Osc9,
    /// OSC 777: foot, urxvt, VTE and others.
    Osc777,
    /// OSC 99: kitty.
    Osc99,
    /// What the terminal is known to take, else the bell.
    #[default]
    Auto,
}

/// What the configuration and the flags say of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Settings {
    /// A run ended by itself.
    pub finished: Way,
    /// A run failed.
    pub failed: Way,
    /// A run waits for an answer.
    pub waiting: Way,
}

/// What is worth telling; the first is the most urgent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Waiting,
    Failed,
    Finished,
}

impl Kind {
    const ALL: [Self; 3] = [Self::Waiting, Self::Failed, Self::Finished];

    fn of(state: ChannelState) -> Option<Self> {
        match state {
            ChannelState::Waiting => Some(Self::Waiting),
            ChannelState::Failed => Some(Self::Failed),
            ChannelState::Done => Some(Self::Finished),
            _ => None,
        }
    }

    fn way(self, settings: &Settings) -> Way {
        match self {
            Self::Waiting => settings.waiting,
            Self::Failed => settings.failed,
            Self::Finished => settings.finished,
        }
    }

    /// What one run or several do, for after a title or a number.
    fn words(self, several: bool) -> &'static str {
        match (self, several) {
            (Self::Waiting, false) => "waits for an answer",
            (Self::Waiting, true) => "wait for an answer",
            (Self::Failed, _) => "failed",
            (Self::Finished, _) => "finished",
        }
    }
}

/// Its part of the state.
#[derive(Debug, Default)]
pub struct Notifications {
    /// The terminal reports its focus.
    focus_is_known: bool,
    /// When a person did something last, monotonic milliseconds.
    pressed_at: u64,
    /// How many runs are to be told, by kind, and the title of the only one.
    news: [(usize, String); 3],
    /// When they are told, monotonic milliseconds.
    due: Option<u64>,
    /// When something was told last, monotonic milliseconds.
    told_at: Option<u64>,
}

/// Its part of a channel.
#[derive(Debug, Clone, Default)]
pub struct OfChannel {
    /// What it was before the batch that is taken in, if that was worth telling.
    before: Option<Kind>,
    /// The batch is news.
    is_news: bool,
    /// When its connection was made, monotonic milliseconds.
    connected_at: Option<u64>,
}

/// What of it the next start shows again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Saved {}

/// What of a channel the next start shows again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SavedOfChannel {}

/// What can happen to it.
#[derive(Debug)]
pub enum Msg {}

/// What it wants done.
#[derive(Debug, Clone, PartialEq)]
pub enum Do {
    /// Tell this. It is safe for a terminal and holds no id.
    Tell {
        /// How.
        way: Way,
        /// What.
        text: String,
    },
}

/// Does what an action says; `false`: the action belongs elsewhere.
pub(super) fn perform(_app: &mut App, _action: Action, _effects: &mut Vec<Effect>) -> bool {
    false
}

/// Takes in what happened.
pub(super) fn take(_app: &mut App, msg: Msg, _effects: &mut Vec<Effect>) {
    match msg {}
}

/// Takes note of what is about to be taken in: who does something is there.
pub(super) fn note(app: &mut App, msg: &super::Msg) {
    use super::Msg as M;
    let state = &mut app.notifications;
    match msg {
        M::TerminalFocus(focused) => {
            state.focus_is_known = true;
            if *focused {
                forget(state);
            }
        }
        M::Action(_)
        | M::DraftChanged(_)
        | M::Submit(_)
        | M::DialogueSubmit(_)
        | M::DialogueChanged(_)
        | M::Dismiss
        | M::ScrollTo(_)
        | M::SelectIndex(_)
        | M::MarkPart(_)
        | M::ToggleFold(_)
        | M::List(_)
        | M::Panes(_)
        | M::Compose(compose::Msg::Pasted { .. })
        | M::Copying(
            copying::Msg::AskCopy(_)
            | copying::Msg::Select(_)
            | copying::Msg::CopySelected(_)
            | copying::Msg::Focus(_)
            | copying::Msg::FocusPane(_)
            | copying::Msg::Pick(_),
        ) => {
            state.pressed_at = app.now.monotonic_ms;
            // Where the focus is reported a key says nothing new.
            if !state.focus_is_known {
                forget(state);
            }
        }
        _ => {}
    }
}

fn forget(state: &mut Notifications) {
    state.news = Default::default();
    state.due = None;
}

/// Whether nobody looks at the terminal.
fn is_away(app: &App) -> bool {
    let state = &app.notifications;
    if state.focus_is_known {
        !app.terminal_focused
    } else {
        app.now.monotonic_ms.saturating_sub(state.pressed_at) >= PRESENT_MS
    }
}

/// A batch is about to be taken in.
pub(super) fn before_feed(app: &mut App, id: &ChannelId, batch: &FeedBatch, _effects: &mut Vec<Effect>) {
    let now = app.now;
    let Some(channel) = app.channels.get_mut(id) else {
        return;
    };
    let before = Kind::of(channel.state(now));
    let since = channel.watching_since;
    let of = &mut channel.notifications;
    of.before = before;
    of.is_news = batch.items.iter().rev().any(|item| match item {
        Item::Event { at: Some(at), .. } => *at >= since,
        _ => of
            .connected_at
            .is_some_and(|at| now.monotonic_ms.saturating_sub(at) >= REPLAY_MS),
    });
    match &batch.connection {
        Some(Connection::Live) => of.connected_at = Some(of.connected_at.unwrap_or(now.monotonic_ms)),
        // What comes first on the next one may be a replay again.
        Some(_) => of.connected_at = None,
        None => {}
    }
}

/// A batch was taken in.
pub(super) fn after_feed(app: &mut App, id: &ChannelId, _effects: &mut Vec<Effect>) {
    let now = app.now;
    let Some(channel) = app.channels.get(id) else {
        return;
    };
    let of = &channel.notifications;
    let Some(kind) = Kind::of(channel.state(now)).filter(|kind| of.is_news && of.before != Some(*kind)) else {
        return;
    };
    if kind.way(&app.settings.notifications) == Way::Off || !is_away(app) {
        return;
    }
    let title = if channel.titled {
        truncate(&channel.title, WIDEST_TITLE).into_owned()
    } else {
        // Its title is made of its id.
        "A run".to_owned()
    };
    let state = &mut app.notifications;
    let (count, only) = &mut state.news[kind as usize];
    *count += 1;
    *only = title;
    let earliest = state.told_at.map_or(0, |at| at + DISTANCE_MS);
    state.due.get_or_insert((now.monotonic_ms + GATHER_MS).max(earliest));
}

/// Time passed. `true`: something visible changed.
pub(super) fn tick(app: &mut App, effects: &mut Vec<Effect>) -> bool {
    let now = app.now.monotonic_ms;
    if app.notifications.due.is_none_or(|due| now < due) {
        return false;
    }
    if is_away(app) {
        let mut told: Vec<Way> = Vec::new();
        for kind in Kind::ALL {
            let way = kind.way(&app.settings.notifications);
            if app.notifications.news[kind as usize].0 == 0 || told.contains(&way) {
                continue;
            }
            told.push(way);
            let text = text(&app.notifications, |kind| kind.way(&app.settings.notifications) == way);
            effects.push(Effect::Notifications(Do::Tell { way, text }));
        }
        app.notifications.told_at = Some(now);
    }
    forget(&mut app.notifications);
    false
}

/// One sentence for the news of some kinds.
fn text(state: &Notifications, wanted: impl Fn(Kind) -> bool) -> String {
    let news: Vec<(Kind, &(usize, String))> = Kind::ALL
        .into_iter()
        .map(|kind| (kind, &state.news[kind as usize]))
        .filter(|(kind, (count, _))| *count > 0 && wanted(*kind))
        .collect();
    let parts = news.iter().map(|(kind, (count, only))| match count {
        1 if news.len() == 1 => format!("{only}: {}", kind.words(false)),
        1 => format!("1 run {}", kind.words(false)),
        _ => format!("{count} runs {}", kind.words(true)),
    });
    parts.collect::<Vec<_>>().join(", ")
}

/// When it needs the next tick, monotonic milliseconds.
pub(super) fn next_due(app: &App) -> Option<u64> {
    app.notifications.due
}

#[cfg(test)]
mod tests;
