//! The text that is being typed: `tui_textarea` edits it, this module wraps and draws it.
//!
//! It is drawn here, not by the library's widget, so that the box grows and shrinks with the text and the
//! cursor's row is always in view. What a paste is folded to is decided in `app`; here its label is drawn.

use std::cell::{Ref, RefCell};

use ratatui::layout::Rect;
use tui_textarea::{CursorMove, Input, Key, TextArea};
use unicode_segmentation::UnicodeSegmentation as _;

use crate::app::compose::pastes::{Pastes, is_mark, without_marks};
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
    /// What stands for folded pastes, by their characters.
    labels: Vec<(char, String)>,
    /// The rows at a width, until the text changes: a long one is not wrapped anew for each frame.
    wrapped: RefCell<Option<(u16, Vec<EditorRow>)>>,
}

/// One row: which line, and which bytes of it.
#[derive(Debug)]
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
        Self {
            area,
            labels: Vec::new(),
            wrapped: RefCell::new(None),
        }
    }

    /// A draft, with what stands for its folded pastes.
    pub fn of_draft(draft: &str, pastes: &Pastes) -> Self {
        let mut editor = Self::new(draft);
        editor.labels = draft
            .chars()
            .filter_map(|c| Some((c, pastes.get(c)?.label.clone())))
            .collect();
        editor
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
    /// up to the cursor, `Ctrl-/` (which terminals send as `Ctrl-_` or `Ctrl-7`) takes a change back, and `Alt-/`
    /// makes it again.
    pub fn input(&mut self, input: impl Into<Input>) -> bool {
        let input = input.into();
        // No key stands for a paste.
        if matches!(input.key, Key::Char(c) if is_mark(c)) {
            return false;
        }
        self.wrapped.take();
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
            Input {
                key: Key::Char('/' | '_'),
                ctrl: false,
                alt: true,
                ..
            } => self.area.redo(),
            input => self.area.input(input),
        }
    }

    pub fn newline(&mut self) {
        self.wrapped.take();
        self.area.insert_newline();
    }

    /// Inserts a pasted text whole. Line ends become `\n`, control characters do not get in.
    pub fn paste(&mut self, text: &str) {
        self.wrapped.take();
        self.area.insert_str(clean(text));
    }

    /// Inserts what stands for a folded paste.
    pub fn paste_folded(&mut self, mark: char, label: String) {
        self.wrapped.take();
        self.labels.retain(|(known, _)| *known != mark);
        self.labels.push((mark, label));
        self.area.insert_char(mark);
    }

    /// The folded paste at the cursor, or before it.
    pub fn folded_at_cursor(&self) -> Option<char> {
        let (line, column) = self.cursor();
        let line = self.area.lines().get(line)?;
        let at = |column: usize| line.chars().nth(column).filter(|c| is_mark(*c));
        at(column).or_else(|| at(column.checked_sub(1)?))
    }

    /// Puts the whole text in the place of the folded paste at the cursor.
    pub fn unfold(&mut self, mark: char, text: &str) {
        let (line, column) = self.cursor();
        let under = self.area.lines().get(line).and_then(|line| line.chars().nth(column));
        self.wrapped.take();
        if under == Some(mark) {
            self.area.delete_next_char();
        } else {
            self.area.delete_char();
        }
        self.area.insert_str(text);
    }

    fn cursor(&self) -> (usize, usize) {
        let cursor = self.area.cursor();
        (cursor.0, cursor.1)
    }

    /// Moves the cursor a row up or down at a width of the area; `false`: there is no such row.
    pub fn step(&mut self, down: bool, width: u16) -> bool {
        let (line, column) = self.cursor();
        let target = {
            let rows = self.wrapped(width);
            let lines = self.area.lines();
            let byte = lines.get(line).map_or(0, |line| byte_of(line, column));
            let at = row_of(&rows, line, byte);
            let next = if down { Some(at + 1) } else { at.checked_sub(1) };
            let (Some(from), Some(to)) = (rows.get(at), next.and_then(|at| rows.get(at))) else {
                return false;
            };
            let mut left: usize = lines[from.line][from.start..byte]
                .graphemes(true)
                .map(|grapheme| self.columns_of(grapheme))
                .sum();
            let text = &lines[to.line][to.start..to.end];
            let mut end = to.start;
            for (at, grapheme) in text.grapheme_indices(true) {
                let wide = self.columns_of(grapheme);
                // Behind the last character of a row that goes on below is the beginning of the next one.
                let is_last = at + grapheme.len() == text.len() && to.end < lines[to.line].len();
                if wide > left || is_last {
                    break;
                }
                left -= wide;
                end = to.start + at + grapheme.len();
            }
            (to.line, lines[to.line][..end].chars().count())
        };
        let place = |number: usize| u16::try_from(number).unwrap_or(u16::MAX);
        self.area.cancel_selection();
        self.area
            .move_cursor(CursorMove::Jump(place(target.0), place(target.1)));
        true
    }

    /// How many rows it takes at a width of the area.
    pub fn rows(&self, width: u16) -> u16 {
        let rows = self.wrapped(width).len().clamp(1, MOST_ROWS);
        u16::try_from(rows).unwrap_or(1)
    }

    /// The columns that a character takes; a folded paste takes those of its label.
    fn columns_of(&self, grapheme: &str) -> usize {
        match self.label(grapheme) {
            Some(label) => label.len(),
            None if grapheme == "\t" => 4,
            None => grapheme_width(grapheme),
        }
    }

    /// What stands for a folded paste.
    fn label(&self, grapheme: &str) -> Option<&str> {
        let mark = grapheme.chars().next().filter(|c| is_mark(*c))?;
        let label = self.labels.iter().find(|(known, _)| *known == mark);
        Some(label.map_or("[pasted]", |(_, label)| label))
    }

    fn wrapped(&self, width: u16) -> Ref<'_, [EditorRow]> {
        let known = matches!(&*self.wrapped.borrow(), Some((of, _)) if *of == width);
        if !known {
            *self.wrapped.borrow_mut() = Some((width, self.wrap(width)));
        }
        Ref::map(self.wrapped.borrow(), |wrapped| match wrapped {
            Some((_, rows)) => rows.as_slice(),
            None => &[],
        })
    }

    fn wrap(&self, width: u16) -> Vec<EditorRow> {
        // One column stays free for the cursor behind a full row.
        let columns = usize::from(width.saturating_sub(MARGIN + 1)).max(2);
        let mut rows = Vec::new();
        for (line, text) in self.area.lines().iter().enumerate() {
            let (mut start, mut used, mut word) = (0, 0, None);
            for (at, grapheme) in text.grapheme_indices(true) {
                let wide = self.columns_of(grapheme);
                if used + wide > columns {
                    // At the last blank of the row if it has one, else anywhere.
                    let end = word.filter(|word| *word > start).unwrap_or(at);
                    rows.push(EditorRow { line, start, end });
                    used = text[end..at]
                        .graphemes(true)
                        .map(|grapheme| self.columns_of(grapheme))
                        .sum();
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
            if column + self.columns_of(grapheme) > wanted {
                break;
            }
            column += self.columns_of(grapheme);
            byte += grapheme.len();
        }
        let (line, character) = (row.line, text[..byte].chars().count());
        drop(rows);
        let place = |n: usize| u16::try_from(n).unwrap_or(u16::MAX);
        self.area.move_cursor(CursorMove::Jump(place(line), place(character)));
    }

    /// The row at the top of a box of so many rows: the cursor's row is in view.
    fn first_row(&self, rows: &[EditorRow], height: usize) -> usize {
        let (line, column) = self.cursor();
        let byte = self.area.lines().get(line).map_or(0, |line| byte_of(line, column));
        let last = rows.len().saturating_sub(height);
        (row_of(rows, line, byte) + 1).saturating_sub(height).min(last)
    }

    /// Draws the text; without any, the placeholder.
    pub fn draw(&self, canvas: &mut Canvas, area: Rect, focused: bool, placeholder: &str) {
        let theme = canvas.theme;
        let prompt = if focused { theme.accent() } else { theme.dim() };
        canvas.put(area.x + 1, area.y, 1, ">", prompt);
        let left = area.x + MARGIN;
        let (cursor_line, cursor_column) = self.cursor();
        let lines = self.area.lines();
        let cursor_byte = lines.get(cursor_line).map_or(0, |line| byte_of(line, cursor_column));
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
        let cursor_row = row_of(&rows, cursor_line, cursor_byte);
        let height = usize::from(area.height).max(1);
        let first = self.first_row(&rows, height);
        for (place, row) in rows.iter().enumerate().skip(first).take(height) {
            let y = area.y + u16::try_from(place - first).unwrap_or(0);
            let mut x = left;
            for (at, grapheme) in lines[row.line][row.start..row.end].grapheme_indices(true) {
                let under = focused && place == cursor_row && row.start + at == cursor_byte;
                let label = self.label(grapheme);
                let style = match (under, label) {
                    (true, _) => theme.cursor(),
                    (false, Some(_)) => theme.accent(),
                    (false, None) => theme.plain(),
                };
                let shown = label.unwrap_or(if grapheme == "\t" { "    " } else { grapheme });
                x = canvas.put(x, y, area.right().saturating_sub(x), shown, style);
            }
            if focused && place == cursor_row && cursor_byte >= row.end {
                canvas.put(x, y, 1, " ", theme.cursor());
            }
        }
    }
}

/// A pasted text as it gets into the box. Line ends become `\n`, control characters do not get in.
pub(super) fn clean(text: &str) -> String {
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    without_marks(&sanitise(&text)).into_owned()
}

/// Where a character begins, in bytes.
fn byte_of(line: &str, column: usize) -> usize {
    line.char_indices().nth(column).map_or(line.len(), |(at, _)| at)
}

/// The row that a place is in.
fn row_of(rows: &[EditorRow], line: usize, byte: usize) -> usize {
    let behind = rows.partition_point(|row| (row.line, row.start) <= (line, byte));
    behind.saturating_sub(1)
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

    #[test]
    fn the_cursor_goes_by_rows_and_words() {
        let mut editor = Editor::new("one two three four\nend");
        // Ten columns of text a row: "one two ", "three four", "end".
        let width = 14;
        assert_eq!(editor.rows(width), 3);
        assert!(!editor.step(true, width), "the last row");
        assert!(editor.step(false, width));
        assert_eq!(editor.cursor(), (0, 11), "in the middle of the line");
        assert!(editor.step(false, width));
        assert_eq!(editor.cursor(), (0, 3));
        assert!(!editor.step(false, width), "the first row");
        assert!(editor.step(true, width) && editor.step(true, width));
        assert_eq!(editor.cursor(), (1, 3));
        let alt = |key: char| Input {
            key: Key::Char(key),
            alt: true,
            ..Input::default()
        };
        let mut editor = Editor::new("one two");
        editor.input(alt('b'));
        assert_eq!(editor.cursor(), (0, 4));
        editor.input(Input {
            key: Key::Left,
            ctrl: true,
            ..Input::default()
        });
        assert_eq!(editor.cursor(), (0, 0));
        editor.input(alt('f'));
        assert_eq!(editor.cursor(), (0, 4));
        editor.input(alt('d'));
        assert_eq!(editor.text(), "one ");
        editor.input(ctrl('/'));
        editor.input(ctrl('/'));
        assert_eq!(editor.text(), "one two");
        editor.input(alt('/'));
        assert_eq!(editor.text(), "one ", "made again");
    }

    #[test]
    fn a_folded_paste_is_one_unit_and_unfolds() {
        let mark = '\u{100000}';
        let mut editor = Editor::new("see ");
        editor.paste_folded(mark, "[pasted 120 lines]".to_owned());
        assert_eq!(editor.text(), format!("see {mark}"));
        assert_eq!(editor.rows(15), 2, "its label takes columns");
        assert_eq!(editor.folded_at_cursor(), Some(mark));
        editor.input(Input {
            key: Key::Backspace,
            ..Input::default()
        });
        assert_eq!(editor.text(), "see ");
        assert_eq!(editor.folded_at_cursor(), None);
        editor.input(ctrl('/'));
        assert_eq!(editor.text(), format!("see {mark}"), "undone");
        editor.unfold(mark, "a\nb");
        assert_eq!(editor.text(), "see a\nb");
        editor.paste("x\u{100000}\u{1b}y");
        assert!(!editor.text().contains(mark), "nothing from outside stands for a paste");
    }
}
