//! Taking text out: copying parts, selections, exports, the pager; the mouse. State and rules; what is carried out is `tui`'s matter, what is drawn `ui`'s.

use serde::{Deserialize, Serialize};

use crate::transcript::FeedBatch;
use crate::wire::ChannelId;

use super::action::Action;
use super::effect::Effect;
use super::state::App;
use super::update::complain;

/// What the configuration and the flags say of it.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Whether the mouse is taken from the start.
    pub mouse: bool,
    /// Whether what was selected with the mouse is copied when its button is released.
    pub copy_on_select: bool,
}

/// Its part of the state.
#[derive(Debug, Default)]
pub struct Copying {
    /// Whether the terminal reports the mouse to the program.
    pub mouse: bool,
}

impl Copying {
    /// The state at the start.
    #[must_use]
    pub fn new(settings: &Settings) -> Self {
        Self { mouse: settings.mouse }
    }
}

/// Its part of a channel.
#[derive(Debug, Clone, Default)]
pub struct OfChannel {}

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
pub enum Msg {
    /// A program on the terminal has ended; the answer to [`Do::Open`].
    Returned {
        /// What it was for.
        then: Then,
        /// The text as an editor left it; `None` after a pager. `Err`: why there is none.
        result: Result<Option<String>, String>,
    },
}

/// What it wants done.
#[derive(Debug, Clone, PartialEq)]
pub enum Do {
    /// Lend the terminal to a program of the person's; the answer comes as [`Msg::Returned`].
    Open(Open),
}

/// A program on the terminal over a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Open {
    /// Which one.
    pub program: Program,
    /// The name of the text's file; its ending tells an editor what it is.
    pub name: &'static str,
    /// The text.
    pub text: String,
    /// What becomes of it.
    pub then: Then,
}

/// A program that the person chose by the environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    /// `$PAGER`.
    Pager,
    /// `$VISUAL` or `$EDITOR`.
    Editor,
}

/// What becomes of a text when its program has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// Nothing.
    Nothing,
    /// It is the draft of the compose box.
    Draft,
}

/// Does what an action says; `false`: the action belongs elsewhere.
pub(super) fn perform(_app: &mut App, _action: Action, _effects: &mut Vec<Effect>) -> bool {
    false
}

/// Opens the compose box's text in the person's editor. What it becomes there replaces the draft; an editor that
/// fails changes nothing.
pub fn edit_draft(app: &App, effects: &mut Vec<Effect>) {
    effects.push(Effect::Copying(Do::Open(Open {
        program: Program::Editor,
        name: "prompt.md",
        text: app.compose.pastes.expand(&app.draft),
        then: Then::Draft,
    })));
}

/// Takes in what happened.
pub(super) fn take(app: &mut App, msg: Msg, _effects: &mut Vec<Effect>) {
    match msg {
        Msg::Returned { then, result } => match (result, then) {
            (Ok(Some(text)), Then::Draft) => super::compose::edited(app, &text),
            (Ok(_), _) => {}
            (Err(reason), _) => complain(app, reason),
        },
    }
}

/// A batch is about to be taken in.
pub(super) fn before_feed(_app: &mut App, _id: &ChannelId, _batch: &FeedBatch, _effects: &mut Vec<Effect>) {}

/// A batch was taken in.
pub(super) fn after_feed(_app: &mut App, _id: &ChannelId, _effects: &mut Vec<Effect>) {}

/// Time passed. `true`: something visible changed.
pub(super) fn tick(_app: &mut App, _effects: &mut Vec<Effect>) -> bool {
    false
}

/// When it needs the next tick, monotonic milliseconds.
pub(super) fn next_due(_app: &App) -> Option<u64> {
    None
}
