//! Terminal keys as the action table names them, and where a key is pressed.

use crossterm::event::{KeyCode as TerminalCode, KeyEvent, KeyModifiers};

use crate::app::App;
use crate::app::action::{Key, KeyCode, Modifier, Place};
use crate::app::copying;
use crate::app::state::{Focus, Overlay};

/// Where a key is pressed in the present state.
pub(super) fn place(app: &App) -> Place {
    match (&app.overlay, app.focus) {
        (Some(Overlay::Help), _) => Place::Help,
        (Some(Overlay::Ask(_) | Overlay::Answer(_)), _) => Place::Dialogue,
        (Some(Overlay::Pick(_)), _) => Place::Picker,
        (Some(Overlay::Inbox(inbox)), _) if inbox.form.typing().is_some() => Place::Field,
        (Some(Overlay::Inbox(_)), _) => Place::Inbox,
        (Some(Overlay::Confirm(_)), _) => Place::Confirm,
        (Some(Overlay::Tail), _) => Place::Tail,
        (None, Focus::List | Focus::Transcript) if app.panes.prefix => Place::PanePrefix,
        (None, Focus::List) => Place::List,
        (None, Focus::Transcript) if copying::selection(app).is_some() => Place::Selection,
        (None, Focus::Transcript) => Place::Transcript,
        (None, Focus::Compose) => Place::Compose,
    }
}

/// A terminal's key in the table's terms; `None` for keys that no table names.
pub(super) fn convert(event: KeyEvent) -> Option<Key> {
    let code = match event.code {
        TerminalCode::Char(c) => KeyCode::Char(c),
        TerminalCode::Enter => KeyCode::Enter,
        TerminalCode::Esc => KeyCode::Esc,
        TerminalCode::Tab if event.modifiers.contains(KeyModifiers::SHIFT) => KeyCode::BackTab,
        TerminalCode::Tab => KeyCode::Tab,
        TerminalCode::BackTab => KeyCode::BackTab,
        TerminalCode::Up => KeyCode::Up,
        TerminalCode::Down => KeyCode::Down,
        TerminalCode::Left => KeyCode::Left,
        TerminalCode::Right => KeyCode::Right,
        TerminalCode::Backspace => KeyCode::Backspace,
        TerminalCode::Delete => KeyCode::Delete,
        TerminalCode::Insert => KeyCode::Insert,
        TerminalCode::F(n) => KeyCode::F(n),
        TerminalCode::Home => KeyCode::Home,
        TerminalCode::End => KeyCode::End,
        TerminalCode::PageUp => KeyCode::PageUp,
        TerminalCode::PageDown => KeyCode::PageDown,
        _ => return None,
    };
    let ctrl = event.modifiers.contains(KeyModifiers::CONTROL);
    let alt = event.modifiers.contains(KeyModifiers::ALT);
    let (modifier, code) = match (ctrl, alt, code) {
        // Ctrl-C arrives as `C` where caps lock is on.
        (true, false, KeyCode::Char(c)) => (Modifier::Ctrl, KeyCode::Char(c.to_ascii_lowercase())),
        (true, false, code) => (Modifier::Ctrl, code),
        (false, true, code) => (Modifier::Alt, code),
        (false, false, code) => (Modifier::None, code),
        (true, true, _) => return None,
    };
    Some(Key { modifier, code })
}

/// The terminal's key of one of the table's, for tests that press every row.
#[cfg(test)]
pub(super) fn event_of(key: Key) -> KeyEvent {
    let code = match key.code {
        KeyCode::Char(c) => TerminalCode::Char(c),
        KeyCode::Enter => TerminalCode::Enter,
        KeyCode::Esc => TerminalCode::Esc,
        KeyCode::Tab => TerminalCode::Tab,
        KeyCode::BackTab => TerminalCode::BackTab,
        KeyCode::Up => TerminalCode::Up,
        KeyCode::Down => TerminalCode::Down,
        KeyCode::Left => TerminalCode::Left,
        KeyCode::Right => TerminalCode::Right,
        KeyCode::Backspace => TerminalCode::Backspace,
        KeyCode::Delete => TerminalCode::Delete,
        KeyCode::Insert => TerminalCode::Insert,
        KeyCode::F(n) => TerminalCode::F(n),
        KeyCode::Home => TerminalCode::Home,
        KeyCode::End => TerminalCode::End,
        KeyCode::PageUp => TerminalCode::PageUp,
        KeyCode::PageDown => TerminalCode::PageDown,
    };
    let modifiers = match key.modifier {
        Modifier::None => KeyModifiers::NONE,
        Modifier::Ctrl => KeyModifiers::CONTROL,
        Modifier::Alt => KeyModifiers::ALT,
    };
    KeyEvent::new(code, modifiers)
}
