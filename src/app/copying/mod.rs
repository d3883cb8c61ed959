//! Taking text out: copying parts, selections, exports, the pager; the mouse. State and rules; what is carried out is `tui`'s matter, what is drawn `ui`'s.

use serde::{Deserialize, Serialize};

use crate::transcript::FeedBatch;
use crate::wire::ChannelId;

use super::action::Action;
use super::effect::Effect;
use super::state::App;

/// What the configuration and the flags say of it.
#[derive(Debug, Clone, Default)]
pub struct Settings {}

/// Its part of the state.
#[derive(Debug, Default)]
pub struct Copying {}

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
pub enum Msg {}

/// What it wants done.
#[derive(Debug, Clone, PartialEq)]
pub enum Do {}

/// Does what an action says; `false`: the action belongs elsewhere.
pub(super) fn perform(_app: &mut App, _action: Action, _effects: &mut Vec<Effect>) -> bool {
    false
}

/// Takes in what happened.
pub(super) fn take(_app: &mut App, msg: Msg, _effects: &mut Vec<Effect>) {
    match msg {}
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
