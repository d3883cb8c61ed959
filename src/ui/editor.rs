//! The text that is being typed: `tui_textarea` edits it, this module wraps and draws it.
//!
//! It is drawn here, not by the library's widget, so that the box grows and shrinks with the text and the
//! cursor's row is always in view.

use ratatui::layout::Rect;
use tui_textarea::{CursorMove, Input, Key, TextArea};
use unicode_segmentation::UnicodeSegmentation as _;

use crate::text::sanitise;
use crate::text::width::grapheme_width;

use super::canvas::Canvas;

/// The most rows that a text takes before it scrolls.
const MOST_ROWS: usize = 6;
/// Columns in front of the text: blank, `>`, blank.
const MARGIN: u16 = 3;

/// A text with a cursor.
#[derive(Debug)]
pub(super) struct Editor {
    area: TextArea<'static>,
}

/// One row: which line, and which bytes of it.
struct EditorRow {
    line: usize,
    start: usize,
    end: usize,
}

impl Default for Editor {
    fn default() -> Self {
        Self::new("")
    }
}

impl Editor {
    /// A text with the cursor at its end.
    pub fn new(text: &str) -> Self {
        let mut area = TextArea::new(text.split('\n').map(str::to_owned).collect());
        area.move_cursor(CursorMove::Bottom);
        area.move_cursor(CursorMove::End);
        Self { area }
    }

    pub fn text(&self) -> String {
        self.area.lines().join("\n")
    }

    /// Whether it holds exactly this text.
    pub fn holds(&self, text: &str) -> bool {
        let mut lines = text.split('\n');
        self.area.lines().iter().all(|line| lines.next() == Some(line)) && lines.next().is_none()
    }

    /// Takes a key; `true`: the text changed.
    ///
    /// The keys are the text area's own, but for those that every shell has otherwise: `Ctrl-U` empties the line
    /// up to the cursor, and `Ctrl-/` (which terminals send as `Ctrl-_` or `Ctrl-7`) takes a change back.
    pub fn input(&mut self, input: impl Into<Input>) -> bool {
        let input = input.into();
        match input {
            Input {
                key: Key::Char('u'),
                ctrl: true,
                alt: false,
                ..
            } => self.area.delete_line_by_head(),
            Input {
                key: Key::Char('/' | '_' | '7'),
                ctrl: true,
                alt: false,
                ..
            } => self.area.undo(),
            input => self.area.input(input),
        }
    }

    pub fn newline(&mut self) {
        self.area.insert_newline();
    }

    /// Inserts a pasted text whole. Line ends become `\n`, control characters do not get in.
    pub fn paste(&mut self, text: &str) {
        let text = text.replace("\r\n", "\n").replace('\r', "\n");
        self.area.insert_str(sanitise(&text));
    }

    /// How many rows it takes at a width of the area.
    pub fn rows(&self, width: u16) -> u16 {
        let rows = self.wrapped(width).len().clamp(1, MOST_ROWS);
        u16::try_from(rows).unwrap_or(1)
    }

    fn wrapped(&self, width: u16) -> Vec<EditorRow> {
        // One column stays free for the cursor behind a full row.
        let columns = usize::from(width.saturating_sub(MARGIN + 1)).max(2);
        let mut rows = Vec::new();
        for (line, text) in self.area.lines().iter().enumerate() {
            let (mut start, mut used, mut word) = (0, 0, None);
            for (at, grapheme) in text.grapheme_indices(true) {
                let wide = columns_of(grapheme);
                if used + wide > columns {
                    // At the last blank of the row if it has one, else anywhere.
                    let end = word.filter(|word| *word > start).unwrap_or(at);
                    rows.push(EditorRow { line, start, end });
                    used = text[end..at].graphemes(true).map(columns_of).sum();
                    start = end;
                    word = None;
                }
                used += wide;
                if grapheme == " " {
                    word = Some(at + 1);
                }
            }
            rows.push(EditorRow {
                line,
                start,
                end: text.len(),
            });
        }
        rows
    }

    /// Puts the cursor where the area was clicked on.
    pub fn click(&mut self, area: Rect, x: u16, y: u16) {
        let rows = self.wrapped(area.width);
        let first = self.first_row(&rows, usize::from(area.height).max(1));
        let at = first + usize::from(y.saturating_sub(area.y));
        let Some(row) = rows.get(at).or(rows.last()) else {
            return;
        };
        let text = &self.area.lines()[row.line];
        let wanted = usize::from(x.saturating_sub(area.x + MARGIN));
        let (mut column, mut byte) = (0, row.start);
        for (at, grapheme) in text[row.start..row.end].grapheme_indices(true) {
            byte = row.start + at;
            if column + columns_of(grapheme) > wanted {
                break;
            }
            column += columns_of(grapheme);
            byte += grapheme.len();
        }
        let character = text[..byte].chars().count();
        let place = |n: usize| u16::try_from(n).unwrap_or(u16::MAX);
        self.area
            .move_cursor(CursorMove::Jump(place(row.line), place(character)));
    }

    /// The line of the cursor, and the byte in it that the cursor stands before.
    fn cursor_at(&self) -> (usize, usize) {
        let cursor = self.area.cursor();
        let (line, column) = (cursor.0, cursor.1);
        let byte = self.area.lines().get(line).and_then(|line| {
            let byte = line.char_indices().nth(column).map(|(at, _)| at);
            byte.or(Some(line.len()))
        });
        (line, byte.unwrap_or(0))
    }

    fn cursor_row(&self, rows: &[EditorRow]) -> usize {
        let (line, byte) = self.cursor_at();
        let row = rows.iter().rposition(|row| row.line == line && row.start <= byte);
        row.unwrap_or(0)
    }

    /// The row at the top of a box of so many rows: the cursor's row is in view.
    fn first_row(&self, rows: &[EditorRow], height: usize) -> usize {
        let last = rows.len().saturating_sub(height);
        (self.cursor_row(rows) + 1).saturating_sub(height).min(last)
    }

    /// Draws the text; without any, the placeholder.
    pub fn draw(&self, canvas: &mut Canvas, area: Rect, focused: bool, placeholder: &str) {
        let theme = canvas.theme;
        let prompt = if focused { theme.accent() } else { theme.dim() };
        canvas.put(area.x + 1, area.y, 1, ">", prompt);
        let left = area.x + MARGIN;
        let lines = self.area.lines();
        let (_, cursor_byte) = self.cursor_at();
        if self.area.is_empty() {
            canvas.put(
                left,
                area.y,
                area.right().saturating_sub(left),
                placeholder,
                theme.dim(),
            );
            if focused && left < area.right() {
                canvas.buffer[(left, area.y)].set_style(theme.cursor());
            }
            return;
        }
        let rows = self.wrapped(area.width);
        let cursor_row = self.cursor_row(&rows);
        let height = usize::from(area.height).max(1);
        let first = self.first_row(&rows, height);
        for (place, row) in rows.iter().enumerate().skip(first).take(height) {
            let y = area.y + u16::try_from(place - first).unwrap_or(0);
            let mut x = left;
            for (at, grapheme) in lines[row.line][row.start..row.end].grapheme_indices(true) {
                let under = focused && place == cursor_row && row.start + at == cursor_byte;
                let style = if under { theme.cursor() } else { theme.plain() };
                let shown = if grapheme == "\t" { "    " } else { grapheme };
                x = canvas.put(x, y, area.right().saturating_sub(x), shown, style);
            }
            if focused && place == cursor_row && cursor_byte >= row.end {
                canvas.put(x, y, 1, " ", theme.cursor());
            }
        }
    }
}

fn columns_of(grapheme: &str) -> usize {
    if grapheme == "\t" { 4 } else { grapheme_width(grapheme) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ctrl(key: char) -> Input {
        Input {
            key: Key::Char(key),
            ctrl: true,
            ..Input::default()
        }
    }

    #[test]
    fn the_keys_of_a_shell_line_hold() {
        let mut editor = Editor::new("first\nabc def ghi");
        assert!(editor.input(ctrl('w')));
        assert_eq!(editor.text(), "first\nabc def ");
        assert!(editor.input(ctrl('u')));
        assert_eq!(editor.text(), "first\n");
        assert!(editor.input(ctrl('/')));
        assert_eq!(editor.text(), "first\nabc def ");
    }
}
