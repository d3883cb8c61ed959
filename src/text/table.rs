//! Laying a table out to a width: columns shrink, cells wrap; far too narrow, it becomes "head: value" lines.
//!
//! There are no outer borders: a table takes no more columns than its content.

use super::lines::{ColumnAlignment, Piece, Table};
use super::wrap::{pieces_width, row, wrap_pieces};
use super::{Role, Row, Span};

/// Between two columns.
const BORDER: &str = " │ ";
const BORDER_WIDTH: usize = 3;
/// The least width of a column whose content is wider, in columns.
const NARROWEST: usize = 5;

/// The rows of a table that is at most `width` columns wide.
pub(super) fn lay_out(table: &Table, width: usize, offset: usize, rows: &mut Vec<Row>) {
    let count = table.rows.iter().map(Vec::len).max().unwrap_or(0);
    if count == 0 {
        return;
    }
    let natural: Vec<usize> = (0..count)
        .map(|column| {
            let cells = table.rows.iter().filter_map(|cells| cells.get(column));
            cells.map(|cell| pieces_width(cell)).max().unwrap_or(0).max(1)
        })
        .collect();
    match column_widths(&natural, width) {
        Some(widths) => in_columns(table, &widths, offset, rows),
        None => as_pairs(table, width, offset, rows),
    }
}

/// Each column gets what it needs, or a fair share of what is left; `None` if that is too little to read.
fn column_widths(natural: &[usize], width: usize) -> Option<Vec<usize>> {
    let mut left = width.checked_sub(BORDER_WIDTH * (natural.len() - 1))?;
    let mut order: Vec<usize> = (0..natural.len()).collect();
    order.sort_by_key(|column| natural[*column]);
    let mut widths = vec![0; natural.len()];
    for (done, column) in order.iter().enumerate() {
        let share = left / (natural.len() - done);
        widths[*column] = natural[*column].min(share);
        if widths[*column] < natural[*column].min(NARROWEST) {
            return None;
        }
        left -= widths[*column];
    }
    Some(widths)
}

fn in_columns(table: &Table, widths: &[usize], offset: usize, rows: &mut Vec<Row>) {
    for (index, cells) in table.rows.iter().enumerate() {
        let at = first_offset(cells).unwrap_or(offset);
        let wrapped: Vec<Vec<Row>> = widths
            .iter()
            .enumerate()
            .map(|(column, width)| {
                let mut lines = Vec::new();
                if let Some(cell) = cells.get(column).filter(|cell| !cell.is_empty()) {
                    // A column of one column cannot hold a wide character; `fill` shows a sign then.
                    wrap_pieces(cell, (*width).max(2), at, &mut lines);
                }
                lines
            })
            .collect();
        let height = wrapped.iter().map(Vec::len).max().unwrap_or(0).max(1);
        for line in 0..height {
            let mut spans = Vec::new();
            for (column, width) in widths.iter().enumerate() {
                if column > 0 {
                    spans.push(Span::new(BORDER, Role::TableBorder));
                }
                let alignment = table.alignments.get(column).copied().unwrap_or(ColumnAlignment::Left);
                let cell = wrapped[column].get(line);
                let last = column + 1 == widths.len();
                pad(&mut spans, cell, *width, alignment, last);
            }
            rows.push(row(spans, at));
        }
        if index == 0 {
            let line: Vec<String> = widths.iter().map(|width| "─".repeat(*width)).collect();
            rows.push(row(vec![Span::new(line.join("─┼─"), Role::TableBorder)], at));
        }
    }
}

fn pad(spans: &mut Vec<Span>, cell: Option<&Row>, width: usize, alignment: ColumnAlignment, last: bool) {
    let used = cell.map_or(0, |cell| usize::from(cell.width));
    let space = width.saturating_sub(used);
    let before = match alignment {
        ColumnAlignment::Left => 0,
        ColumnAlignment::Centre => space / 2,
        ColumnAlignment::Right => space,
    };
    let blank = |count: usize| Span::new(" ".repeat(count), Role::Plain);
    if before > 0 {
        spans.push(blank(before));
    }
    if let Some(cell) = cell {
        spans.extend(cell.spans.iter().cloned());
    }
    if space > before && !last {
        spans.push(blank(space - before));
    }
}

fn as_pairs(table: &Table, width: usize, offset: usize, rows: &mut Vec<Row>) {
    let Some((head, body)) = table.rows.split_first() else {
        return;
    };
    if body.is_empty() {
        for cell in head {
            wrap_pieces(cell, width, first_offset(head).unwrap_or(offset), rows);
        }
    }
    for (index, cells) in body.iter().enumerate() {
        let at = first_offset(cells).unwrap_or(offset);
        if index > 0 {
            rows.push(row(Vec::new(), at));
        }
        for (column, cell) in cells.iter().enumerate() {
            let mut pieces: Vec<Piece> = head.get(column).cloned().unwrap_or_default();
            if !pieces.is_empty() {
                pieces.push(Piece {
                    text: ": ".to_owned(),
                    role: Role::TableBorder,
                    offset: at,
                    link: None,
                });
            }
            // The head's own place is far above; a row's place is its own.
            for piece in &mut pieces {
                piece.offset = at;
            }
            pieces.extend(cell.iter().cloned());
            wrap_pieces(&pieces, width, at, rows);
        }
    }
}

fn first_offset(cells: &[Vec<Piece>]) -> Option<usize> {
    cells.iter().flatten().map(|piece| piece.offset).next()
}
