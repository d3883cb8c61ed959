//! The terminal itself: modes and their restoring, input, output, frames, the clipboard.
//!
//! It knows nothing of the program's state: `tui` brings what to draw and takes what was typed. Everything
//! that is put into the terminal by [`modes`] is taken back on every way out: return, error, panic, signal.

pub mod alarm;
pub mod backend;
pub mod background;
pub mod burst;
pub mod clipboard;
pub mod input;
pub mod limiter;
pub mod modes;
pub mod notify;
pub mod output;
pub mod panic;
pub mod screen;

pub use alarm::Alarm;
pub use burst::Burst;
pub use input::{Input, InputStream, ScriptedInput, TerminalInput};
pub use limiter::{FrameLimiter, Urgency};
pub use screen::{BackendScreen, Screen, TerminalScreen};
