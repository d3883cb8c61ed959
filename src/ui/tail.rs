//! The merged tail: a row a line, each with its time and its channel. Only rows in view are written.

use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::app::panes;
use crate::app::panes::tail::{Kind, Tail};
use crate::app::state::Overlay;
use crate::app::{Action, App, Msg};

use super::canvas::Canvas;
use super::format::{count, time};
use super::{Ui, UiOptions, wrap};

/// Columns of a channel's title, where there is room and where there is not.
const TITLE: u16 = 20;
const SHORT_TITLE: u16 = 12;
/// Under this width titles are short and seconds are left out.
const NARROW: u16 = 100;
/// Under this width the time is left out: the text needs the room.
const NARROWEST: u16 = 60;

/// Draws it; `top` is the name of the line in the first row, kept from frame to frame.
pub(super) fn draw(canvas: &mut Canvas, area: Rect, app: &App, top: &mut u64, options: UiOptions) {
    let theme = canvas.theme;
    let Some(tail) = &app.panes.tail else { return };
    let bar = Rect { height: 1, ..area };
    let body = Rect {
        y: area.y + 1,
        height: area.height.saturating_sub(1),
        ..area
    };
    let rows = usize::from(body.height);
    let first = first(app, tail, *top, rows);
    let mut shown = first.map_or_else(Vec::new, |first| {
        app.tail_lines()
            .skip_while(|name| *name < first)
            .take(rows)
            .collect::<Vec<u64>>()
    });
    // The last row says what is below, where something is.
    let below = shown
        .last()
        .map_or(0, |last| app.tail_lines().rev().take_while(|name| name > last).count());
    if below > 0 && shown.len() == rows {
        shown.pop();
    }
    *top = shown.first().copied().unwrap_or(0);
    // Where it does not follow, the last row says how much is below.
    let follows = if tail.cursor.is_none() { "follows" } else { "" };
    let filter = &app.list.filter;
    let right = match (filter.is_empty(), follows) {
        (true, _) => follows.to_owned(),
        (false, "") => format!("/{}", filter.text()),
        (false, _) => format!("/{}   {follows}", filter.text()),
    };
    canvas.bar(bar, "all live channels", &right, true);
    if shown.is_empty() {
        let text = if filter.is_empty() {
            "Lines of the channels come here as they are written, each with its channel. Nothing has come yet."
        } else {
            "Lines of the listed channels come here as they are written. Nothing has come yet of those that the list's filter leaves."
        };
        let inner = Rect {
            x: body.x + 2,
            width: body.width.saturating_sub(3),
            ..body
        };
        for (row, y) in wrap(text, inner.width.max(1))
            .rows()
            .iter()
            .zip(inner.top() + 1..inner.bottom())
        {
            canvas.put(inner.x, y, inner.width, &row.text(), theme.dim());
        }
        return;
    }
    let cursor = tail.cursor.or_else(|| app.tail_lines().next_back());
    for (name, y) in shown.iter().zip(body.top()..) {
        let row = Rect { y, height: 1, ..body };
        draw_line(canvas, row, app, tail, *name, cursor == Some(*name), options);
    }
    if below > 0 {
        let end = app.settings.keymap.first(Action::TailEnd);
        let text = format!("{} below: {end} follows", count((below + 1) as u64, "line"));
        canvas.put_right(
            body.x,
            body.right().saturating_sub(1),
            body.bottom() - 1,
            &text,
            theme.accent(),
        );
    }
}

/// The line in the first row: the mark stays in view, and the view at rest until the mark would leave it.
fn first(app: &App, tail: &Tail, top: u64, rows: usize) -> Option<u64> {
    let at_end = || app.tail_lines().rev().take(rows).last();
    let Some(cursor) = tail.cursor else { return at_end() };
    if cursor < top {
        return Some(cursor);
    }
    // One row is left for what is below.
    let fits = rows.saturating_sub(1).max(1);
    let between = app
        .tail_lines()
        .skip_while(|name| *name < top)
        .take_while(|name| *name <= cursor)
        .count();
    if between > fits {
        return app
            .tail_lines()
            .rev()
            .skip_while(|name| *name > cursor)
            .take(fits)
            .last();
    }
    let first = app.tail_lines().find(|name| *name >= top);
    match (first, at_end()) {
        (Some(first), Some(end)) => Some(first.min(end)),
        (first, end) => first.or(end),
    }
}

fn draw_line(canvas: &mut Canvas, row: Rect, app: &App, tail: &Tail, name: u64, marked: bool, options: UiOptions) {
    let theme = canvas.theme;
    let Some(line) = tail.line(name) else { return };
    if marked {
        canvas.put(row.x, row.y, 1, theme.mark, theme.accent());
    }
    let narrow = row.width < NARROW;
    let clock = time(line.at, options);
    let shown = if narrow {
        clock.get(..5).unwrap_or(&clock)
    } else {
        clock.as_str()
    };
    let x = if row.width < NARROWEST {
        row.x + 1
    } else {
        canvas.put(row.x + 2, row.y, 8, shown, theme.dim()) + 1
    };
    // The number stays with the channel; the colour only helps the eye.
    let style = theme.lane(line.number);
    canvas.put_right(x, x + 3, row.y, &line.number.to_string(), style);
    let title = app
        .channels
        .get(&line.channel)
        .map_or("not watched any more", |channel| channel.title.as_str());
    let columns = if narrow { SHORT_TITLE } else { TITLE };
    canvas.put(x + 4, row.y, columns, title, style);
    let x = x + 4 + columns + 1;
    canvas.put(x, row.y, 1, theme.bar, theme.dim());
    let (glyph, style): (&str, Style) = match line.kind {
        Kind::Text => ("", theme.plain()),
        Kind::Thought => ("", theme.dim()),
        Kind::Prompt => ("> ", theme.bold()),
        Kind::Call => ("", theme.dim()),
        Kind::Waiting => ("! ", theme.warning()),
        Kind::Done => ("+ ", theme.good()),
        Kind::Failed => ("x ", theme.error()),
        Kind::Note => ("~ ", theme.warning()),
    };
    let right = row.right().saturating_sub(1);
    let x = canvas.put(x + 2, row.y, right.saturating_sub(x + 2), glyph, style);
    canvas.put(x, row.y, right.saturating_sub(x), &line.text, style);
}

impl Ui {
    /// What a page is, is known here.
    pub(super) fn tail_page(&self, app: &App, action: Action) -> Vec<Msg> {
        debug_assert_eq!(app.overlay, Some(Overlay::Tail));
        let rows = isize::try_from(app.size.1.saturating_sub(5).max(1)).unwrap_or(1);
        let by = if action == Action::TailPageDown { rows } else { -rows };
        vec![Msg::Panes(panes::Msg::TailStep(by))]
    }
}
