//! The rules: what each message changes and what it wants done.

use super::effect::Effect;
use super::msg::{Msg, Now};
use super::state::App;

/// Takes a message in and says what is to be done. `now` is the time at which it is taken in.
pub fn update(app: &mut App, msg: Msg, now: Now) -> Vec<Effect> {
    app.now = now;
    match msg {
        Msg::Resize(columns, rows) => app.size = (columns, rows),
        Msg::TerminalFocus(focused) => app.terminal_focused = focused,
        _ => {}
    }
    app.revision += 1;
    Vec::new()
}
