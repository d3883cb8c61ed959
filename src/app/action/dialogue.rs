//! Keys of dialogues, questions and the help. Rows of the table only: what they do is decided elsewhere.

use super::table::*;

/// The rows.
pub(super) static ROWS: &[ActionInfo] = &[
    row(
        Action::Accept,
        &[plain(KeyCode::Enter)],
        &[Place::Dialogue, Place::Picker],
        Group::Dialogue,
        "enter",
        "take it, or publish it",
    ),
    row(
        Action::PickNext,
        &[plain(KeyCode::Down), ctrl('n')],
        PICKER,
        Group::Dialogue,
        "down",
        "next of a list",
    ),
    row(
        Action::PickPrevious,
        &[plain(KeyCode::Up), ctrl('p')],
        PICKER,
        Group::Dialogue,
        "up",
        "the one before",
    ),
    row(
        Action::Close,
        &[plain(KeyCode::Esc)],
        OVERLAYS,
        Group::Dialogue,
        "leave",
        "leave without doing it",
    ),
    row(
        Action::CloseHelp,
        &[char('q')],
        &[Place::Help],
        Group::Dialogue,
        "leave",
        "leave the help",
    ),
    row(
        // Not Enter: a key pressed too often must not cancel a run.
        Action::Yes,
        &[char('y')],
        &[Place::Confirm],
        Group::Dialogue,
        "yes",
        "yes",
    ),
    row(
        Action::No,
        &[char('n'), plain(KeyCode::Esc)],
        &[Place::Confirm],
        Group::Dialogue,
        "no",
        "no",
    ),
];
