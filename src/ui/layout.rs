//! Where the parts of the screen are. Pure arithmetic: a size in, rectangles out.

use ratatui::layout::Rect;

use super::header::MOST_ROWS;
use super::panes::{self, Pane};
use crate::app::App;
use crate::app::list::{SIDE_BY_SIDE, shows_list, width as list_width};

/// The fewest columns and rows that can be drawn on.
pub(super) const SMALLEST: (u16, u16) = (40, 10);

/// Where the parts of the screen are.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Areas {
    /// Program, server, counts, clock.
    pub header: Rect,
    /// The list's title bar and rows; without one it is not on the screen.
    pub list: Option<(Rect, Rect)>,
    /// The title bar and rows of the transcript in focus.
    pub transcript: Option<(Rect, Rect)>,
    /// The title bar of the compose box or a dialogue.
    pub bottom_bar: Rect,
    /// The compose box or a dialogue.
    pub bottom: Rect,
    /// The line of hints and news.
    pub hint: Rect,
    /// List and transcript stand side by side.
    pub beside: bool,
    /// The panes with a transcript each; one, unless the transcript's part is split.
    pub panes: Vec<Pane>,
    /// The columns between what stands side by side.
    pub dividers: Vec<Rect>,
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
    let columns = if !is_wide(screen.width) {
        shows_list(app).then_some(screen.width)
    } else if app.is_zoomed() {
        None
    } else if app.panes.is_several() {
        panes::shows_list(app, screen.width).then(|| list_width(app, screen.width))
    } else {
        Some(list_width(app, screen.width))
    };
    let list = columns.map(|width| pane(0, width));
    let from = columns.map_or(0, |width| width + 1);
    let (panes, mut dividers) = if from < screen.width {
        panes::arrange(app, row(from, 1, screen.width - from, body_rows + 1))
    } else {
        (Vec::new(), Vec::new())
    };
    let beside = list.is_some() && !panes.is_empty();
    if beside {
        dividers.push(row(from - 1, 1, 1, body_rows + 1));
    }
    let transcript = panes
        .iter()
        .find(|pane| pane.number == app.panes.focus)
        .map(|pane| (pane.bar, pane.body));
    Areas {
        header: row(0, 0, screen.width, 1),
        list,
        transcript,
        bottom_bar: row(0, 2 + body_rows, screen.width, 1),
        bottom: row(0, 3 + body_rows, screen.width, bottom_rows),
        hint: row(0, 3 + body_rows + bottom_rows, screen.width, hint_rows),
        beside,
        panes,
        dividers,
    }
}
