//! The form of an answer: one field a row, the one that takes the keys marked, what is typed with its cursor.
//!
//! Drawing only: what fields there are and what they hold is `app::calls::form`'s matter.

use ratatui::layout::Rect;

use crate::app::calls::form::{Field, FieldKind, Form};
use crate::text::width::{truncate, width as columns};
use crate::text::{json, sanitise_line};

use super::canvas::Canvas;
use super::editor::Editor;

/// The widest column of names.
const WIDEST_NAME: u16 = 20;
/// What stands where nothing was typed.
const BLANK: &str = "____________________";
/// Columns between a value and its help.
const GAP: u16 = 2;

/// How many rows the fields take.
pub(super) fn rows(form: &Form, editor: &Editor, width: u16) -> u16 {
    let (_, value) = split(form, width);
    (0..form.fields.len()).map(|at| rows_of(form, at, editor, value)).sum()
}

/// Columns of names and of values.
fn split(form: &Form, width: u16) -> (u16, u16) {
    let widest = form.fields.iter().map(|field| columns(&field.name)).max().unwrap_or(0);
    let name = u16::try_from(widest)
        .unwrap_or(WIDEST_NAME)
        .min(WIDEST_NAME)
        .min(width / 3);
    (name, width.saturating_sub(4 + name + GAP + 1))
}

fn rows_of(form: &Form, at: usize, editor: &Editor, value: u16) -> u16 {
    if form.focus == Some(at) && form.typing().is_some() {
        editor.rows(value)
    } else {
        1
    }
}

/// Draws the form under its heading. Where rows are few, the field that takes the keys is in view. `change` says how a
/// field with values to choose from is changed.
pub(super) fn draw(canvas: &mut Canvas, area: Rect, form: &Form, editor: &Editor, change: &str) {
    if area.height == 0 {
        return;
    }
    let theme = canvas.theme;
    let heading = u16::from(area.height > rows(form, editor, area.width));
    if heading == 1 {
        canvas.put(area.x + 2, area.y, area.width.saturating_sub(3), "answer", theme.dim());
    }
    let (name, value) = split(form, area.width);
    let room = area.height - heading;
    let focus = form.focus.unwrap_or(0);
    let mut first = 0;
    let until = |first: usize| -> u16 { (first..=focus).map(|at| rows_of(form, at, editor, value)).sum() };
    while first < focus && until(first) > room {
        first += 1;
    }
    let mut y = area.y + heading;
    for (at, field) in form.fields.iter().enumerate().skip(first) {
        if y >= area.bottom() {
            return;
        }
        let focused = form.focus == Some(at);
        if focused {
            canvas.put(area.x + 2, y, 1, theme.mark, theme.accent());
        }
        let label = if focused { theme.bold() } else { theme.plain() };
        canvas.put(area.x + 4, y, name, &sanitise_line(&field.name), label);
        let left = area.x + 4 + name + GAP;
        let height = rows_of(form, at, editor, value).min(area.bottom() - y);
        if focused && form.typing().is_some() {
            // The box's own margin of three columns begins at the gap.
            let typed = Rect::new(left.saturating_sub(1), y, value + 1, height);
            editor.draw(canvas, typed, true, placeholder(field));
        } else {
            draw_value(canvas, Rect::new(left, y, value, 1), field, focused, change);
        }
        y += height.max(1);
    }
}

fn placeholder(field: &Field) -> &str {
    match &field.kind {
        FieldKind::Json(_) => "JSON",
        FieldKind::Number { whole: true, .. } => "a whole number",
        FieldKind::Number { .. } => "a number",
        _ if !field.help.is_empty() => &field.help,
        _ => "type a text",
    }
}

fn draw_value(canvas: &mut Canvas, area: Rect, field: &Field, focused: bool, change: &str) {
    let theme = canvas.theme;
    let (text, style) = match &field.kind {
        FieldKind::Bool(on) => ((if *on { "[x]" } else { "[ ]" }).to_owned(), theme.plain()),
        FieldKind::Choice { options, at } => {
            let count = options.len();
            match at.and_then(|at| options.get(at).map(|option| (at, option))) {
                Some((at, option)) => (
                    format!(
                        "{}  ({} of {count})",
                        json::one_line(option, usize::from(area.width) / 2),
                        at + 1
                    ),
                    theme.plain(),
                ),
                None => (format!("(one of {count})"), theme.dim()),
            }
        }
        FieldKind::Text(text) | FieldKind::Number { text, .. } | FieldKind::Json(text) if text.is_empty() => {
            (BLANK.to_owned(), theme.dim())
        }
        FieldKind::Text(text) | FieldKind::Number { text, .. } | FieldKind::Json(text) => {
            let line = text.replace('\n', "⏎");
            (sanitise_line(&line).into_owned(), theme.plain())
        }
    };
    let style = if focused { style.patch(theme.bold()) } else { style };
    let end = canvas.put(
        area.x,
        area.y,
        area.width,
        &truncate(&text, usize::from(area.width)),
        style,
    );
    let help = match (&field.kind, field.required) {
        (FieldKind::Choice { .. } | FieldKind::Bool(_), _) if focused && field.help.is_empty() => change,
        _ => field.help.as_str(),
    };
    if !help.is_empty() && end + GAP + 4 < area.right() {
        canvas.put(end + GAP, area.y, area.right() - end - GAP, help, theme.dim());
    }
}
