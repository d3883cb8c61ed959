//! The terminal program's state and rules: `update(&mut App, Msg, Now) -> Vec<Effect>`.
//!
//! Pure: no clock, no I/O, no drawing. The loop in `tui` brings messages and carries out effects; `ui`
//! reads the state and draws it.

pub mod action;
pub mod effect;
pub mod msg;
pub mod state;

pub use action::Action;
pub use effect::Effect;
pub use msg::Msg;
pub use state::App;
