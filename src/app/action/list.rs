//! Keys of the channel list. Rows of the table only: what they do is decided elsewhere.

use super::table::*;

/// The rows.
pub(super) static ROWS: &[ActionInfo] = &[
    row(
        Action::SelectNext,
        &[char('j'), plain(KeyCode::Down)],
        LIST,
        Group::List,
        "down",
        "next channel",
    ),
    row(
        Action::SelectPrevious,
        &[char('k'), plain(KeyCode::Up)],
        LIST,
        Group::List,
        "up",
        "channel before",
    ),
    row(
        Action::SelectFirst,
        &[char('g'), plain(KeyCode::Home)],
        LIST,
        Group::List,
        "first",
        "first channel",
    ),
    row(
        Action::SelectLast,
        &[char('G'), plain(KeyCode::End)],
        LIST,
        Group::List,
        "last",
        "last channel",
    ),
    row(
        Action::Open,
        &[plain(KeyCode::Enter)],
        LIST,
        Group::List,
        "open",
        "open the transcript",
    ),
];
