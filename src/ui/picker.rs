//! A list to pick from: what is typed at the top, the entries that match below, the marked one in view.

use ratatui::layout::Rect;

use crate::app::picker::Picker;
use crate::text::width::width;

use super::canvas::Canvas;
use super::editor::Editor;

/// The place in the list of what is found that stands on a row of the screen.
pub(super) fn entry_at(picker: &Picker, area: Rect, row: u16) -> Option<usize> {
    let (top, height) = (area.y + 2, area.height.saturating_sub(2));
    let row = row.checked_sub(top).filter(|row| *row < height)?;
    let place = first(picker, height) + usize::from(row);
    (place < picker.found.len()).then_some(place)
}

/// The first entry in view: the mark stays in view, with the list at rest until it would leave.
fn first(picker: &Picker, height: u16) -> usize {
    (picker.cursor + 1).saturating_sub(usize::from(height).max(1))
}

/// Draws it over the whole area.
pub(super) fn draw(canvas: &mut Canvas, area: Rect, picker: &Picker, editor: &Editor) {
    let theme = canvas.theme;
    let counted = format!("{} of {}", picker.found.len(), picker.entries.len());
    canvas.bar(Rect { height: 1, ..area }, &picker.title, &counted, true);
    let typed = Rect {
        y: area.y + 1,
        height: 1,
        ..area
    }
    .intersection(area);
    editor.draw(canvas, typed, true, picker.placeholder);
    let list = Rect {
        y: area.y + 2,
        height: area.height.saturating_sub(2),
        ..area
    };
    if picker.found.is_empty() {
        let text = if picker.entries.is_empty() {
            picker.empty.as_str()
        } else {
            "nothing matches what is typed"
        };
        canvas.put(list.x + 3, list.y, list.width.saturating_sub(4), text, theme.dim());
        return;
    }
    let rows = usize::from(list.height).max(1);
    let first = first(picker, list.height);
    for (place, index) in picker.found.iter().enumerate().skip(first).take(rows) {
        let Some(entry) = picker.entries.get(*index) else {
            continue;
        };
        let y = list.y + u16::try_from(place - first).unwrap_or(u16::MAX);
        let marked = place == picker.cursor;
        if marked {
            canvas.put(list.x, y, 1, theme.mark, theme.accent());
        }
        let right = list.right().saturating_sub(1);
        let limit = if entry.right.is_empty() {
            right
        } else {
            canvas
                .put_right(list.x + 3, right, y, &entry.right, theme.dim())
                .saturating_sub(2)
        };
        let style = if marked { theme.bold() } else { theme.plain() };
        let x = canvas.put(list.x + 3, y, limit.saturating_sub(list.x + 3), &entry.text, style);
        if !entry.detail.is_empty() && width(&entry.detail) > 0 && x + 2 < limit {
            canvas.put(x + 2, y, limit - x - 2, &entry.detail, theme.dim());
        }
    }
}
