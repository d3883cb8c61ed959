//! What is shared with other screens: the kiosk, the lobby, settings that are read again. State and rules; what is
//! carried out is `tui`'s matter, what is drawn `ui`'s.

pub mod kiosk;
pub mod lobby;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use crate::transcript::{FeedBatch, Transcript};
use crate::wire::ChannelId;
use crate::wire::request::RunSummary;

use super::action::Action;
use super::channel::{Channel, ChannelState};
use super::effect::Effect;
use super::msg::RequestId;
use super::state::App;
use super::update::{complain, insert_watched, save_later, say};

/// The most bytes of text that a kiosk keeps a channel.
const KIOSK_BYTES: usize = 128 * 1024;

/// What the configuration and the flags say of it.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// The program is a read-only dashboard.
    pub kiosk: Option<kiosk::Settings>,
    /// The lobby to be in.
    pub lobby: Option<lobby::Settings>,
    /// Random bits of this start, for delays and for telling this program from others.
    pub seed: u64,
}

/// Its part of the state.
#[derive(Debug, Default)]
pub struct Wall {
    /// The lobby.
    pub lobby: lobby::Lobby,
    /// Which tiles are in view.
    pub rotation: kiosk::Rotation,
}

/// Its part of a channel.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OfChannel {
    /// The run was dispatched from here: it is this program that announces it.
    pub driven: bool,
    /// Who announced it, for channels that came by the lobby.
    pub announced_by: Option<String>,
    /// When it was first seen to be over, Unix time in milliseconds.
    pub over_at: Option<u64>,
}

impl OfChannel {
    /// What is known at the start of a channel that was saved.
    #[must_use]
    pub fn restored(saved: SavedOfChannel) -> Self {
        Self {
            driven: saved.driven,
            announced_by: saved.announced_by,
            over_at: None,
        }
    }

    /// What the next start is to know.
    #[must_use]
    pub fn saved(&self) -> SavedOfChannel {
        SavedOfChannel {
            driven: self.driven,
            announced_by: self.announced_by.clone(),
        }
    }
}

/// What of it the next start shows again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Saved {
    /// Runs that came by the lobby and were taken off the list while they went on, the newest last.
    pub dismissed: Vec<ChannelId>,
}

/// What of a channel the next start shows again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SavedOfChannel {
    /// The run was dispatched from here.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub driven: bool,
    /// Who announced it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub announced_by: Option<String>,
}

/// What can happen to it.
#[derive(Debug)]
pub enum Msg {
    /// The configuration was read again.
    Settings(Box<super::Settings>),
    /// The configuration was read again and cannot be used; what held before holds on. The sentence says where and why.
    BadSettings(String),
}

/// What it wants done: nothing that other effects do not do.
#[derive(Debug, Clone, PartialEq)]
pub enum Do {}

impl App {
    /// Whether the program is a read-only dashboard.
    #[must_use]
    pub fn is_kiosk(&self) -> bool {
        self.settings.wall.kiosk.is_some()
    }
}

/// Whether a dashboard refuses a message: nobody types, answers, cancels or looks around there.
pub(super) fn refuses(app: &App, msg: &super::Msg) -> bool {
    use super::Msg as All;
    app.is_kiosk()
        && match msg {
            All::Action(action) => !matches!(action, Action::Interrupt | Action::Redraw),
            All::DraftChanged(_)
            | All::Submit(_)
            | All::DialogueSubmit(_)
            | All::DialogueChanged(_)
            | All::Dismiss
            | All::ScrollTo(_)
            | All::SelectIndex(_)
            | All::ToggleFold(_)
            | All::MarkPart(_) => true,
            _ => false,
        }
}

/// The program begins.
pub(super) fn start(app: &mut App, effects: &mut Vec<Effect>) {
    app.wall.lobby.begin(app.settings.wall.seed);
    // A lobby carries no run: it is no channel of the list.
    if let Some(lobby) = &app.settings.wall.lobby {
        app.channels.shift_remove(&lobby.channel);
        if app.selected.as_ref() == Some(&lobby.channel) {
            app.selected = app.channels.keys().next().cloned();
        }
    }
    for channel in app.channels.values_mut().filter(|_| app.settings.wall.kiosk.is_some()) {
        channel.transcript = Transcript::with_limit(KIOSK_BYTES);
    }
    lobby::enter(app, effects);
}

/// The server was found. `again`: after it was gone.
pub(super) fn server_found(app: &mut App, again: bool, effects: &mut Vec<Effect>) {
    if again {
        lobby::enter(app, effects);
    }
    kiosk::refresh_now(app);
}

/// A dispatch was accepted on this channel.
pub(super) fn dispatched(app: &mut App, id: &ChannelId) {
    let Some(channel) = app.channels.get_mut(id) else {
        return;
    };
    channel.wall.driven = true;
    save_later(app);
    lobby::announce(app, id);
}

/// A channel was taken off the list. One that others drive is not to come back when they announce it again.
pub(super) fn unwatched(app: &mut App, channel: &Channel) {
    if channel.wall.announced_by.is_some() && !app.is_kiosk() {
        app.wall.lobby.dismiss(&channel.id);
    }
}

/// What the next start is to know.
pub(super) fn saved(app: &App) -> Saved {
    Saved {
        dismissed: app.wall.lobby.dismissed().to_vec(),
    }
}

/// What is known at the start.
pub(super) fn restored(saved: &Saved) -> Wall {
    let mut wall = Wall::default();
    for id in &saved.dismissed {
        wall.lobby.dismiss(id);
    }
    wall
}

/// A publication was answered; `true`: it was one of the lobby's.
pub(super) fn published(app: &mut App, request: RequestId, result: &Result<(), String>) -> bool {
    lobby::published(app, request, result)
}

/// The list of runs came.
pub(super) fn runs(app: &mut App, runs: &[RunSummary], effects: &mut Vec<Effect>) {
    kiosk::runs(app, runs, effects);
}

/// Does what an action says; `false`: the action belongs elsewhere.
pub(super) fn perform(_app: &mut App, _action: Action, _effects: &mut Vec<Effect>) -> bool {
    false
}

/// Takes in what happened.
pub(super) fn take(app: &mut App, msg: Msg, effects: &mut Vec<Effect>) {
    match msg {
        Msg::Settings(settings) => {
            let mut settings = *settings;
            // What kind of program it is was said at its start.
            settings.wall.seed = app.settings.wall.seed;
            if app.settings.wall.kiosk.is_none() {
                settings.wall.kiosk = None;
            }
            let lobby_before = app.settings.wall.lobby.clone();
            app.settings = settings;
            if app.settings.wall.lobby != lobby_before {
                lobby::moved(app, lobby_before.as_ref(), effects);
            }
            if !app.is_kiosk() {
                say(app, "The configuration was read again".to_owned());
            }
        }
        Msg::BadSettings(reason) => complain(app, format!("The configuration was not taken over: {reason}")),
    }
}

/// A batch is about to be taken in.
pub(super) fn before_feed(_app: &mut App, _id: &ChannelId, _batch: &FeedBatch, _effects: &mut Vec<Effect>) {}

/// A batch was taken in.
pub(super) fn after_feed(app: &mut App, id: &ChannelId, _effects: &mut Vec<Effect>) {
    let now = app.now;
    if app.settings.wall.kiosk.is_some()
        && let Some(channel) = app.channels.get_mut(id)
        && !channel.state(now).is_open()
    {
        channel.wall.over_at.get_or_insert(now.unix_ms);
    }
}

/// Time passed. `true`: something visible changed.
pub(super) fn tick(app: &mut App, effects: &mut Vec<Effect>) -> bool {
    let said = lobby::tick(app, effects);
    let turned = kiosk::tick(app, effects);
    said | turned
}

/// When it needs the next tick, monotonic milliseconds.
pub(super) fn next_due(app: &App) -> Option<u64> {
    let due = [lobby::next_due(app), kiosk::next_due(app)];
    due.into_iter().flatten().min()
}

/// Watches a channel that somebody else named, below what is looked at: the mark stays where it is.
fn add(app: &mut App, id: &ChannelId, title: Option<&str>, by: Option<String>, effects: &mut Vec<Effect>) {
    insert_watched(app, id, effects);
    let kiosk = app.is_kiosk();
    if let Some(channel) = app.channels.get_mut(id) {
        if let Some(title) = title {
            channel.set_title(title);
        }
        channel.wall.announced_by = by;
        if kiosk {
            channel.transcript = Transcript::with_limit(KIOSK_BYTES);
        } else {
            channel.unread = true;
        }
    }
    if app.selected.is_none() {
        app.selected = Some(id.clone());
    }
    save_later(app);
}

/// Whether something can still come of a channel, or its person is to look at it.
fn is_alive(channel: &Channel, app: &App) -> bool {
    matches!(
        channel.state(app.now),
        ChannelState::Live | ChannelState::Queued | ChannelState::Waiting | ChannelState::Reconnecting { .. }
    )
}
