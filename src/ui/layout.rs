//! Where the parts of the screen are. Pure arithmetic: a size in, rectangles out.

use ratatui::layout::Rect;

use super::header::MOST_ROWS;
use crate::app::App;
use crate::app::list::{SIDE_BY_SIDE, shows_list, width as list_width};

/// The fewest columns and rows that can be drawn on.
pub(super) const SMALLEST: (u16, u16) = (40, 10);

/// Where the parts of the screen are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Areas {
    /// Program, server, counts, clock.
    pub header: Rect,
    /// The list's title bar and rows; without one it is not on the screen.
    pub list: Option<(Rect, Rect)>,
    /// The transcript's title bar and rows.
    pub transcript: Option<(Rect, Rect)>,
    /// The title bar of the compose box or a dialogue.
    pub bottom_bar: Rect,
    /// The compose box or a dialogue.
    pub bottom: Rect,
    /// The line of hints and news.
    pub hint: Rect,
    /// Where two panes stand side by side: the column between them.
    pub divider: Option<u16>,
}

/// Whether list and transcript stand side by side.
pub(super) fn is_wide(width: u16) -> bool {
    width >= SIDE_BY_SIDE
}

/// Lays the screen out. `bottom_rows` and `hint_rows` are what those parts would like to have.
pub(super) fn areas(app: &App, screen: Rect, bottom_rows: u16, hint_rows: u16) -> Areas {
    let hint_rows = hint_rows.clamp(1, MOST_ROWS);
    // The panes keep at least three rows under their title bar.
    let spare = screen.height.saturating_sub(1 + 1 + 3 + 1 + hint_rows);
    let bottom_rows = bottom_rows.clamp(1, spare.max(1));
    let body_rows = screen.height.saturating_sub(1 + 1 + 1 + bottom_rows + hint_rows);
    let row = |x: u16, y: u16, width: u16, height: u16| {
        Rect::new(screen.x + x, screen.y + y, width, height).intersection(screen)
    };
    let pane = |x: u16, width: u16| (row(x, 1, width, 1), row(x, 2, width, body_rows));
    let (list, transcript, divider) = if is_wide(screen.width) {
        let list = list_width(app, screen.width);
        (
            Some(pane(0, list)),
            Some(pane(list + 1, screen.width - list - 1)),
            Some(screen.x + list),
        )
    } else if shows_list(app) {
        (Some(pane(0, screen.width)), None, None)
    } else {
        (None, Some(pane(0, screen.width)), None)
    };
    Areas {
        header: row(0, 0, screen.width, 1),
        list,
        transcript,
        bottom_bar: row(0, 2 + body_rows, screen.width, 1),
        bottom: row(0, 3 + body_rows, screen.width, bottom_rows),
        hint: row(0, 3 + body_rows + bottom_rows, screen.width, hint_rows),
        divider,
    }
}
