//! Writing into the frame: text cut to a width, text from the right, fillings. Nothing is written outside the area.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::text::width::width;

use super::theme::Theme;

/// The frame's buffer with the theme.
pub(super) struct Canvas<'a> {
    pub buffer: &'a mut Buffer,
    pub theme: Theme,
}

impl Canvas<'_> {
    /// Writes a text of at most `max` columns; gives the column after it. What does not fit is cut, with an
    /// ellipsis in the last column.
    pub fn put(&mut self, x: u16, y: u16, max: u16, text: &str, style: Style) -> u16 {
        let area = self.buffer.area;
        if y >= area.bottom() || x >= area.right() || max == 0 {
            return x;
        }
        let max = max.min(area.right() - x);
        if width(text) <= usize::from(max) {
            return self.buffer.set_stringn(x, y, text, usize::from(max), style).0;
        }
        let end = self.buffer.set_stringn(x, y, text, usize::from(max) - 1, style).0;
        self.buffer.set_stringn(end, y, self.theme.ellipsis, 1, style).0
    }

    /// Writes a text that ends before the column `right` and does not begin before `left`; gives the column
    /// where it begins.
    pub fn put_right(&mut self, left: u16, right: u16, y: u16, text: &str, style: Style) -> u16 {
        let columns = u16::try_from(width(text)).unwrap_or(u16::MAX);
        let start = right.saturating_sub(columns).max(left);
        self.put(start, y, right.saturating_sub(start), text, style);
        start
    }

    /// Repeats a glyph over a row.
    pub fn fill(&mut self, area: Rect, glyph: &str, style: Style) {
        let area = area.intersection(self.buffer.area);
        for y in area.top()..area.bottom() {
            for x in area.left()..area.right() {
                self.buffer[(x, y)].set_symbol(glyph).set_style(style);
            }
        }
    }

    /// Takes away what was written in an area.
    pub fn clear(&mut self, area: Rect) {
        let area = area.intersection(self.buffer.area);
        for y in area.top()..area.bottom() {
            for x in area.left()..area.right() {
                self.buffer[(x, y)].reset();
            }
        }
    }

    /// A pane's title bar: `━ title ━━━━━━━ right ━`, heavy when the pane has the focus.
    pub fn bar(&mut self, area: Rect, title: &str, right: &str, focused: bool) {
        let style = self.theme.bar_style(focused);
        let glyph = if focused { self.theme.heavy } else { self.theme.rule };
        self.fill(area, glyph, style);
        let mut limit = area.right().saturating_sub(1);
        if !right.is_empty() && width(right) + 8 < usize::from(area.width) {
            let text = format!(" {right} ");
            limit = self
                .put_right(area.left(), limit, area.top(), &text, style)
                .saturating_sub(1);
        }
        let start = area.left() + 1;
        // A blank on both sides, also where it is cut.
        let end = self.put(start, area.top(), limit.saturating_sub(start).min(1), " ", style);
        let end = self.put(end, area.top(), limit.saturating_sub(end + 1), title, style);
        self.put(end, area.top(), limit.saturating_sub(end).min(1), " ", style);
    }
}
