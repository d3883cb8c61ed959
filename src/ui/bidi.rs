//! Right-to-left text in the order in which it is read: the cells of each stretch of a row that holds some are put into
//! their visual order (UAX 9, in a left-to-right paragraph). Titles, columns and panes stay in their places.
//!
//! It moves cells with their styles; it shapes no letters and aligns nothing to the right. Terminals that would reorder
//! rows themselves are told not to, in `term::modes`.

use ratatui::buffer::{Buffer, Cell};
use unicode_bidi::{BidiClass, BidiInfo, Level, bidi_class};

use crate::text::width::width;

/// Puts right-to-left text of a frame into its visual order.
pub(super) fn reorder(buffer: &mut Buffer) {
    let columns = usize::from(buffer.area.width).max(1);
    for row in buffer.content.chunks_mut(columns) {
        if row.iter().any(|cell| is_right_to_left(cell.symbol())) {
            reorder_row(row);
        }
    }
}

/// Whether a cell's letter is read from the right. Most cells are told apart by their first byte.
fn is_right_to_left(symbol: &str) -> bool {
    symbol.as_bytes().first().is_some_and(|byte| *byte >= 0xd6)
        && symbol
            .chars()
            .next()
            .is_some_and(|c| matches!(bidi_class(c), BidiClass::R | BidiClass::AL))
}

/// Stretches end at the lines between panes and cells, and where columns are apart.
fn reorder_row(row: &mut [Cell]) {
    let mut start = 0;
    for at in 0..=row.len() {
        let symbol = |at: usize| row.get(at).map_or("│", Cell::symbol);
        let ends =
            matches!(symbol(at), "│" | "|" | "▌" | "▏" | "━" | "─") || (symbol(at) == " " && symbol(at + 1) == " ");
        if ends {
            if row[start..at].iter().any(|cell| is_right_to_left(cell.symbol())) {
                reorder_stretch(&mut row[start..at]);
            }
            start = at + 1;
        }
    }
}

fn reorder_stretch(cells: &mut [Cell]) {
    // A wide letter takes the cell after it along.
    let (mut units, mut text, mut at) = (Vec::new(), String::new(), 0);
    while at < cells.len() {
        let symbol = cells[at].symbol();
        let end = (at + width(symbol).max(1)).min(cells.len());
        units.push((at..end, text.len()));
        text.push_str(symbol);
        at = end;
    }
    let info = BidiInfo::new(&text, Some(Level::ltr()));
    let level = |start: usize| info.levels.get(start).copied().unwrap_or(Level::ltr());
    let levels: Vec<Level> = units.iter().map(|(_, start)| level(*start)).collect();
    let mut moved = Vec::with_capacity(cells.len());
    for index in BidiInfo::reorder_visual(&levels) {
        let from = moved.len();
        moved.extend_from_slice(&cells[units[index].0.clone()]);
        if levels[index].is_rtl()
            && let Some(mirrored) = mirrored(moved[from].symbol())
        {
            moved[from].set_symbol(mirrored);
        }
    }
    cells.clone_from_slice(&moved);
}

/// The bracket that is seen where one is read from the right.
fn mirrored(symbol: &str) -> Option<&'static str> {
    Some(match symbol {
        "(" => ")",
        ")" => "(",
        "[" => "]",
        "]" => "[",
        "{" => "}",
        "}" => "{",
        "<" => ">",
        ">" => "<",
        "«" => "»",
        "»" => "«",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use ratatui::layout::Rect;
    use ratatui::style::{Modifier, Style};

    use super::*;

    fn shown(text: &str) -> String {
        let mut buffer = Buffer::empty(Rect::new(0, 0, 30, 1));
        buffer.set_string(0, 0, text, Style::new());
        reorder(&mut buffer);
        let symbols: String = buffer.content.iter().map(Cell::symbol).collect();
        symbols.trim_end().to_owned()
    }

    #[test]
    fn letters_are_in_the_order_in_which_they_are_read() {
        for (text, expected) in [
            ("plain text, 日本", "plain text, 日 本"),
            ("שלום", "םולש"),
            ("say שלום now", "say םולש now"),
            ("שלום עולם", "םלוע םולש"),
            ("שלום 123 abc", "123 םולש abc"),
            ("(שלום)", "(םולש)"),
            ("א (ב) ג", "ג (ב) א"),
            // Panes and columns stay where they are.
            ("אב │ גד", "בא │ דג"),
            ("אב  גד", "בא  דג"),
            // A mark stays with its letter, a wide letter keeps its two cells.
            ("שָׁל", "לשָׁ"),
            ("א日ב", "א日 ב"),
        ] {
            assert_eq!(shown(text), expected, "{text}");
        }
    }

    #[test]
    fn the_cursor_goes_with_its_letter() {
        let mut buffer = Buffer::empty(Rect::new(0, 0, 6, 1));
        buffer.set_string(0, 0, "אבג", Style::new());
        buffer[(0, 0)].modifier = Modifier::REVERSED;
        reorder(&mut buffer);
        assert_eq!(
            (buffer[(2, 0)].symbol(), buffer[(2, 0)].modifier),
            ("א", Modifier::REVERSED)
        );
    }
}
