//! Keys of the compose box. Rows of the table only: what they do is decided elsewhere.

use super::table::*;

/// The rows.
pub(super) static ROWS: &[ActionInfo] = &[
    row(
        Action::Send,
        &[plain(KeyCode::Enter)],
        COMPOSE,
        Group::Compose,
        "send",
        "start a run",
    ),
    row(
        Action::Newline,
        &[
            ctrl('j'),
            Key {
                modifier: Modifier::Alt,
                code: KeyCode::Enter,
            },
        ],
        TYPING,
        Group::Compose,
        "newline",
        "a new line (or Alt-Enter)",
    ),
    row(
        Action::LeaveCompose,
        &[plain(KeyCode::Esc)],
        COMPOSE,
        Group::Compose,
        "back",
        "back (what is typed stays)",
    ),
];
