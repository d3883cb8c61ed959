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
        "send the prompt",
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
        Action::SwitchThread,
        &[ctrl('t')],
        COMPOSE,
        Group::Compose,
        "new run or thread",
        "new run, or go on with it",
    ),
    row(
        Action::Presets,
        &[ctrl('p')],
        COMPOSE,
        Group::Compose,
        "presets",
        "pick a preset (/preset)",
    ),
    row(
        Action::HistoryBack,
        &[plain(KeyCode::Up)],
        COMPOSE,
        Group::Compose,
        "before",
        "earlier prompt (first row)",
    ),
    row(
        Action::HistoryForward,
        &[plain(KeyCode::Down)],
        COMPOSE,
        Group::Compose,
        "after",
        "later prompt (last row)",
    ),
    row(
        Action::SearchHistory,
        &[ctrl('r')],
        COMPOSE,
        Group::Compose,
        "history",
        "search what was sent",
    ),
    row(
        Action::EditDraft,
        &[ctrl('g')],
        COMPOSE,
        Group::Compose,
        "editor",
        "write it in your $EDITOR",
    ),
    row(
        Action::Unfold,
        &[ctrl('o')],
        COMPOSE,
        Group::Compose,
        "unfold",
        "unfold the pasted text",
    ),
    row(
        Action::TakeBackQueued,
        &[Key {
            modifier: Modifier::Alt,
            code: KeyCode::Up,
        }],
        COMPOSE,
        Group::Compose,
        "edit queued",
        "edit the queued prompt",
    ),
    row(
        Action::DropQueued,
        &[Key {
            modifier: Modifier::Alt,
            code: KeyCode::Delete,
        }],
        COMPOSE,
        Group::Compose,
        "drop queued",
        "drop the queued prompt",
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
