//! Laying a table out to a width: columns shrink, cells wrap; far too narrow, it becomes "head: value" lines.
//!
//! There are no outer borders: a table takes no more columns than its content.
//!
//! While a table grows, what stands to the right of a column must not wander with every word that comes. A cell is held
//! back until it is complete; where it is wider than its column, the columns to its right move then, once. The last
//! column has none to its right, so its cell is shown as it is written, unless it is aligned to another side. A column never becomes narrower, but for one case: when a table gets too wide, a last column that wants more
//! room than there is takes all that it may ever have, at once. A table that was too wide is therefore laid out once
//! more when it is complete.

use std::borrow::Cow;

use super::growing::OpenTable;
use super::lines::{ColumnAlignment, Piece, Table};
use super::wrap::{pieces_width, row, wrap_pieces};
use super::{Role, Row, Span};

/// Between two columns.
const BORDER: &str = " │ ";
const BORDER_WIDTH: usize = 3;
/// The least width of a column whose content is wider, in columns.
const NARROWEST: usize = 5;

/// The columns of a table that still grows, as they were shown last.
#[derive(Debug, Default)]
pub(super) struct Columns {
    /// Where the table begins in the source, in bytes.
    offset: usize,
    widths: Vec<usize>,
    /// The last column takes all that it may have.
    greedy: bool,
}

/// The rows of a table that is at most `width` columns wide.
pub(super) fn lay_out(table: &Table, width: usize, offset: usize, columns: &mut Columns, rows: &mut Vec<Row>) {
    let Some(open) = table.open else {
        return match column_widths(&natural(&table.rows), width) {
            Some(widths) => in_columns(table, &widths, offset, rows),
            None => as_pairs(table, width, offset, rows),
        };
    };
    if columns.offset != offset {
        *columns = Columns {
            offset,
            ..Columns::default()
        };
    }
    let table = held(table, open);
    let natural = natural(&table.rows);
    if columns.widths.len() != natural.len() {
        // The head goes on: which column is the last is not known yet.
        columns.widths.clear();
        columns.greedy = false;
    }
    let shown = columns.widths.iter().copied().chain(std::iter::repeat(0));
    let mut wanted: Vec<usize> = natural
        .iter()
        .zip(shown)
        .map(|(natural, shown)| *natural.max(&shown))
        .collect();
    let room = width.saturating_sub(BORDER_WIDTH * natural.len().saturating_sub(1));
    if wanted.iter().sum::<usize>() > room
        && let Some(last) = wanted.last_mut()
    {
        let had = columns.widths.get(natural.len() - 1);
        columns.greedy |= open != OpenTable::Head && had.is_some_and(|had| *last > *had);
        if columns.greedy {
            *last = room;
        }
    }
    let Some(mut widths) = column_widths(&wanted, width).or_else(|| column_widths(&natural, width)) else {
        return as_pairs(&table, width, offset, rows);
    };
    // Those that get less than they want get the same: who gets what is left over would change with every word.
    let short = widths.iter().zip(&wanted).filter(|(width, wanted)| width < wanted);
    let level = short.map(|(width, _)| *width).min().unwrap_or(usize::MAX);
    for width in &mut widths {
        *width = level.min(*width);
    }
    in_columns(&table, &widths, offset, rows);
    columns.widths = widths;
}

/// The table without the cell that is being written, if that may move others.
fn held(table: &Table, open: OpenTable) -> Cow<'_, Table> {
    let (OpenTable::Cell(column), Some((row, above))) = (open, table.rows.split_last()) else {
        return Cow::Borrowed(table);
    };
    let is_left = !matches!(
        table.alignments.get(column),
        Some(ColumnAlignment::Centre | ColumnAlignment::Right)
    );
    if column >= row.len() || column + 1 == row.len() && is_left {
        return Cow::Borrowed(table);
    }
    let is_first = row.iter().enumerate().all(|(at, cell)| at == column || cell.is_empty());
    let mut table = table.clone();
    if is_first && !above.is_empty() {
        table.rows.pop();
    } else if let Some(row) = table.rows.last_mut() {
        row[column].clear();
    }
    Cow::Owned(table)
}

/// How wide each column is without a limit.
fn natural(rows: &[Vec<Vec<Piece>>]) -> Vec<usize> {
    let count = rows.iter().map(Vec::len).max().unwrap_or(0);
    let mut natural = vec![1; count];
    for cells in rows {
        for (width, cell) in natural.iter_mut().zip(cells) {
            *width = pieces_width(cell).max(*width);
        }
    }
    natural
}

/// Each column gets what it needs, or a fair share of what is left; `None` if that is too little to read.
fn column_widths(natural: &[usize], width: usize) -> Option<Vec<usize>> {
    let mut left = width.checked_sub(BORDER_WIDTH * natural.len().checked_sub(1)?)?;
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
        if index == 0 && table.open != Some(OpenTable::Head) {
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
