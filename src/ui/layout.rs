//! Where the parts of the screen are. Pure arithmetic: a size in, rectangles out.

use ratatui::layout::Rect;

use super::header::MOST_ROWS;
use super::panes::{self, Pane};
use crate::app::App;
use crate::app::state::Focus;

/// The fewest columns and rows that can be drawn on.
pub(super) const SMALLEST: (u16, u16) = (40, 10);
/// From this width on list and transcript stand side by side.
const WIDE: u16 = 100;
/// The list beside a transcript: a third of the screen up to the first, a quarter of it up to the second.
const USUAL_LIST: u16 = 40;
const WIDEST_LIST: u16 = 56;

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
    width >= WIDE
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
    let list_width = if !is_wide(screen.width) {
        shows_list(app).then_some(screen.width)
    } else if app.is_zoomed() {
        None
    } else if app.panes.is_several() {
        panes::list_width(app, screen.width)
    } else {
        Some(usual_list_width(screen.width))
    };
    let list = list_width.map(|width| pane(0, width));
    let from = list_width.map_or(0, |width| width + 1);
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

/// The list's width beside one transcript.
fn usual_list_width(width: u16) -> u16 {
    let third = (width / 3).min(USUAL_LIST);
    third.max((width / 4).min(WIDEST_LIST))
}

/// Where one pane shows at a time: whether it is the list.
fn shows_list(app: &App) -> bool {
    match app.focus {
        Focus::List => true,
        Focus::Transcript => false,
        Focus::Compose => app.selected.is_none() || app.focus_before_compose == Focus::List,
    }
}
