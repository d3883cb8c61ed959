//! The terminal program's state and rules: `update(&mut App, Msg, Now) -> Vec<Effect>`.
//!
//! Pure: no clock, no I/O, no drawing, no randomness. The loop in `tui` brings messages and carries out
//! effects; `ui` reads the state and draws it.

pub mod action;
pub mod calls;
pub mod channel;
mod commands;
pub mod compose;
pub mod copying;
mod dialogue;
pub mod effect;
pub mod keymap;
pub mod linear;
pub mod list;
pub mod look;
pub mod msg;
pub mod notifications;
pub mod palette;
pub mod panes;
pub mod picker;
pub mod reading;
pub mod recordings;
mod server;
#[cfg(test)]
mod server_tests;
pub mod settings;
pub mod state;
#[cfg(test)]
mod tests;
mod update;
pub mod wall;

pub use action::Action;
pub use channel::{Channel, ChannelState, Counts};
pub use effect::Effect;
pub use keymap::{Conflict, Keymap};
pub use msg::{Msg, Now, Outage, RequestId, Scroll, Spot};
pub use settings::Settings;
pub use state::{App, SavedState};
pub use update::update;

/// Whether a value is what it would be if it were not written down.
fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
