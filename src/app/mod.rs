//! The terminal program's state and rules: `update(&mut App, Msg, Now) -> Vec<Effect>`.
//!
//! Pure: no clock, no I/O, no drawing, no randomness. The loop in `tui` brings messages and carries out
//! effects; `ui` reads the state and draws it.

pub mod action;
pub mod channel;
mod commands;
mod dialogue;
pub mod effect;
pub mod msg;
mod server;
#[cfg(test)]
mod server_tests;
pub mod state;
#[cfg(test)]
mod tests;
mod update;

pub use action::Action;
pub use channel::{Channel, ChannelState, Counts};
pub use effect::Effect;
pub use msg::{Msg, Now, Outage, RequestId, Scroll, Spot};
pub use state::{App, SavedState};
pub use update::update;
