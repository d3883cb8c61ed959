//! Keys of recordings. Rows of the table only: what they do is decided elsewhere.

use super::table::*;

/// The rows.
pub(super) static ROWS: &[ActionInfo] = &[
    row(
        Action::Record,
        &[char('S')],
        BROWSE,
        Group::Recordings,
        "record",
        "record to disk, or stop",
    ),
    row(
        Action::Rescue,
        &[alt('s')],
        BROWSE,
        Group::Recordings,
        "rescue",
        "record what expires soon",
    ),
    row(
        Action::OpenRecording,
        &[char('o')],
        LIST,
        Group::Recordings,
        "open a recording",
        "open a recording",
    ),
    row(
        Action::PlayPause,
        &[char('P')],
        TRANSCRIPT,
        Group::Recordings,
        "play, pause",
        "play or pause it",
    ),
    row(
        Action::SeekBack,
        &[char(',')],
        TRANSCRIPT,
        Group::Recordings,
        "back",
        "back in it",
    ),
    row(
        Action::SeekForward,
        &[char('.')],
        TRANSCRIPT,
        Group::Recordings,
        "forward",
        "forward in it",
    ),
    row(
        Action::Faster,
        &[char('+')],
        TRANSCRIPT,
        Group::Recordings,
        "faster",
        "faster, up to at once",
    ),
    row(
        Action::Slower,
        &[char('-')],
        TRANSCRIPT,
        Group::Recordings,
        "slower",
        "slower",
    ),
];
