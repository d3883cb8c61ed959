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

    /// Draws the text; without any, the placeholder.
    pub fn draw(&self, canvas: &mut Canvas, area: Rect, focused: bool, placeholder: &str) {
        let theme = canvas.theme;
        let prompt = if focused { theme.accent() } else { theme.dim() };
        canvas.put(area.x + 1, area.y, 1, ">", prompt);
        let left = area.x + MARGIN;
        let cursor = self.area.cursor();
        let (cursor_line, cursor_column) = (cursor.0, cursor.1);
        let lines = self.area.lines();
        let cursor_byte = lines
            .get(cursor_line)
            .and_then(|line| {
                line.char_indices()
                    .nth(cursor_column)
                    .map(|(at, _)| at)
                    .or(Some(line.len()))
            })
            .unwrap_or(0);
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
        let cursor_row = rows
            .iter()
            .rposition(|row| row.line == cursor_line && row.start <= cursor_byte)
            .unwrap_or(0);
        let height = usize::from(area.height).max(1);
        let first = (cursor_row + 1)
            .saturating_sub(height)
            .min(rows.len().saturating_sub(height));
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
