//! The end of a channel's transcript, over the screen until the next key: neither its place of reading nor what is
//! unread changes by it.

use ratatui::layout::Rect;

use crate::app::{App, Channel};

use super::canvas::Canvas;
use super::layout::Areas;
use super::transcript::{draw_empty, draw_plain_row, summary, text_width};
use super::viewport::{Place, RowCache, Viewport};

/// The most rows, with the title bar.
const MOST_ROWS: u16 = 16;
/// Columns of the title bar that the title keeps.
const LEAST_TITLE: u16 = 20;

/// Where it stands: over the lower part of the transcript, else over the half of the list that the mark is not in.
pub(super) fn area(areas: &Areas, marked_row: Option<u16>) -> Option<Rect> {
    if let Some((_, pane)) = areas.transcript {
        let height = (pane.height * 2 / 3).clamp(1, MOST_ROWS).min(pane.height);
        return Some(Rect {
            y: pane.bottom() - height,
            height,
            ..pane
        });
    }
    let (_, pane) = areas.list?;
    let half = (pane.height / 2).clamp(1, MOST_ROWS);
    let lower_half = marked_row.is_some_and(|y| y >= pane.bottom().saturating_sub(half));
    let y = if lower_half { pane.y } else { pane.bottom() - half };
    Some(Rect {
        y,
        height: half,
        ..pane
    })
}

/// Draws it.
pub(super) fn draw(canvas: &mut Canvas, area: Rect, app: &App, channel: &Channel, cache: &mut RowCache) {
    canvas.clear(area);
    let bar = Rect { height: 1, ..area };
    let room = usize::from(bar.width.saturating_sub(LEAST_TITLE));
    let title = format!("peek: {}", channel.title);
    canvas.bar(bar, &title, &summary(app, channel, room), false);
    let pane = Rect {
        y: area.y + 1,
        height: area.height.saturating_sub(1),
        ..area
    };
    if channel.transcript.is_empty() {
        draw_empty(canvas, pane, app, channel);
        return;
    }
    let mut viewport = Viewport::new(app, channel, cache, text_width(pane));
    let Place { mut index, mut row } = viewport.tail_top(usize::from(pane.height));
    let mut y = pane.top();
    while y < pane.bottom() {
        let block = channel.transcript.get(index).filter(|_| !viewport.is_raw());
        let Some(view) = viewport.view(index) else { break };
        while row < view.len() && y < pane.bottom() {
            let line = Rect { y, height: 1, ..pane };
            draw_plain_row(canvas, line, block, view, row, app.now);
            row += 1;
            y += 1;
        }
        row = 0;
        index += 1;
    }
}
