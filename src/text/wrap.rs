//! Breaking logical lines into rows of a width, by grapheme cluster and terminal columns.
//!
//! No row is wider than the width (of 2 columns or more); nothing but white space at a break is lost.

use unicode_segmentation::UnicodeSegmentation as _;

use super::lines::{Line, Piece, Shape};
use super::table::{self, Columns};
use super::width::{self, grapheme_width};
use super::{Joint, LinkId, Role, Row, Span, link};

/// Beyond this a rule is not drawn, in columns.
const LONGEST_RULE: usize = 60;

/// Breaks a line into rows that are at most `width` columns wide. `columns` are those of the table that still grows.
pub(super) fn wrap(line: &Line, width: usize, columns: &mut Columns, rows: &mut Vec<Row>) {
    let width = width.max(2);
    let prefix = pieces_width(&line.first).max(pieces_width(&line.rest));
    // Too narrow to stand beside what is in front: that becomes part of the text.
    let beside = prefix + 4 <= width || (prefix + 2 <= width && prefix <= 2);
    let (first, rest, room): (&[Piece], &[Piece], usize) = if beside {
        (&line.first, &line.rest, width - prefix)
    } else {
        (&[], &[], width)
    };
    let marker = if beside { &[][..] } else { &line.first[..] };
    let mut body = Vec::new();
    match &line.shape {
        Shape::Words(pieces) => fill(&cells(marker, pieces, line.is_open), room, true, line.offset, &mut body),
        Shape::Code(pieces) => fill(
            &cells(marker, pieces, line.is_open),
            room,
            false,
            line.offset,
            &mut body,
        ),
        Shape::Rule => {
            let text = "─".repeat(room.min(LONGEST_RULE));
            body.push(row(vec![Span::new(text, Role::Rule)], line.offset));
        }
        Shape::Table(table) => table::lay_out(table, room, line.offset, columns, &mut body),
    }
    for (index, mut body) in body.into_iter().enumerate() {
        let front = if index == 0 { first } else { rest };
        let invisible = body.spans.is_empty() && front.iter().all(|piece| piece.text.trim().is_empty());
        if !front.is_empty() && !invisible {
            let mut spans: Vec<Span> = front
                .iter()
                .map(|piece| Span::new(piece.text.clone(), piece.role))
                .collect();
            spans.append(&mut body.spans);
            body = Row {
                joint: body.joint,
                front: front.len(),
                ..row(spans, body.source_offset)
            };
        }
        rows.push(body);
    }
}

/// A row of these spans.
pub(super) fn row(spans: Vec<Span>, source_offset: usize) -> Row {
    let width = spans.iter().map(|span| width::width(&span.text)).sum::<usize>();
    Row {
        spans,
        source_offset,
        width: u16::try_from(width).unwrap_or(u16::MAX),
        ..Row::default()
    }
}

/// The columns that pieces take beside each other.
pub(super) fn pieces_width(pieces: &[Piece]) -> usize {
    pieces.iter().map(|piece| width::width(&piece.text)).sum()
}

/// Breaks pieces between words into rows of at most `width` columns; at least one row.
pub(super) fn wrap_pieces(pieces: &[Piece], width: usize, offset: usize, rows: &mut Vec<Row>) {
    fill(&cells(&[], pieces, false), width.max(2), true, offset, rows);
}

/// One grapheme cluster on its way into a row.
struct Cell<'a> {
    text: &'a str,
    width: usize,
    role: Role,
    offset: usize,
    link: Option<LinkId>,
}

impl Cell<'_> {
    fn is_space(&self) -> bool {
        self.text == " "
    }
}

fn cells<'a>(marker: &'a [Piece], pieces: &'a [Piece], is_open: bool) -> Vec<Cell<'a>> {
    let mut cells = Vec::with_capacity(pieces.iter().map(|piece| piece.text.len()).sum());
    for piece in marker.iter().chain(pieces) {
        let (role, offset, link) = (piece.role, piece.offset, piece.link);
        if piece.text.is_ascii() {
            cells.extend((0..piece.text.len()).map(|at| Cell {
                text: &piece.text[at..=at],
                width: 1,
                role,
                offset: offset + at,
                link,
            }));
        } else {
            cells.extend(piece.text.grapheme_indices(true).map(|(at, text)| Cell {
                text,
                width: grapheme_width(text),
                role,
                offset: offset + at,
                link,
            }));
        }
    }
    name_links(&mut cells, marker.iter().chain(pieces), is_open);
    cells
}

/// Addresses that stand in the text lead where they say; one at an open end leads nowhere yet.
fn name_links<'a>(cells: &mut [Cell<'_>], pieces: impl Iterator<Item = &'a Piece> + Clone, is_open: bool) {
    let has_any = pieces.clone().any(|piece| piece.text.contains(':'));
    if !has_any {
        return;
    }
    // An address may stand in several pieces: its parts may look like marks of emphasis.
    let text: String = pieces.map(|piece| piece.text.as_str()).collect();
    for range in link::find(&text) {
        if is_open && range.end == text.len() {
            break;
        }
        let Some(id) = LinkId::of(&text[range.clone()]) else {
            continue;
        };
        let mut at = 0;
        for cell in cells.iter_mut() {
            if at >= range.end {
                break;
            }
            if at >= range.start && cell.link.is_none() && !matches!(cell.role, Role::CodeBlock) {
                cell.link = Some(id);
            }
            at += cell.text.len();
        }
    }
}

fn fill(cells: &[Cell<'_>], room: usize, words: bool, offset: usize, rows: &mut Vec<Row>) {
    let mut start = 0;
    let mut joint = Joint::Break;
    loop {
        let mut used = 0;
        let mut end = start;
        // After which cell the row may end: behind a space, or beside a wide character.
        let mut break_at = None;
        while end < cells.len() {
            let cell = &cells[end];
            let wide_border = cell.width >= 2 || (end > start && cells[end - 1].width >= 2);
            if words && end > start && (cells[end - 1].is_space() || (wide_border && !cell.is_space())) {
                break_at = Some(end);
            }
            // A space that does not fit any more ends the row itself.
            if used + cell.width.min(room) > room {
                if words && cell.is_space() {
                    break_at = Some(end);
                }
                break;
            }
            used += cell.width.min(room);
            end += 1;
        }
        if end >= cells.len() {
            rows.push(Row {
                joint,
                ..cut(&cells[start..], room, offset)
            });
            return;
        }
        let stop = break_at.unwrap_or(end).max(start + 1);
        let mut shown = stop;
        let mut next = stop;
        if words {
            while shown > start + 1 && cells[shown - 1].is_space() {
                shown -= 1;
            }
            while next < cells.len() && cells[next].is_space() {
                next += 1;
            }
        }
        rows.push(Row {
            joint,
            ..cut(&cells[start..shown], room, offset)
        });
        joint = if shown < next { Joint::Space } else { Joint::Nothing };
        start = next;
        if start >= cells.len() {
            return;
        }
    }
}

fn cut(cells: &[Cell<'_>], room: usize, offset: usize) -> Row {
    let mut spans: Vec<Span> = Vec::new();
    let mut width = 0;
    for cell in cells {
        // A cluster that no row of this width can hold.
        let (text, columns) = if cell.width > room {
            ("\u{fffd}", 1)
        } else {
            (cell.text, cell.width)
        };
        width += columns;
        match spans.last_mut() {
            Some(span) if span.role == cell.role && span.link == cell.link => span.text.push_str(text),
            _ => spans.push(Span {
                link: cell.link,
                ..Span::new(text, cell.role)
            }),
        }
    }
    Row {
        spans,
        source_offset: cells.first().map_or(offset, |cell| cell.offset.max(offset)),
        width: u16::try_from(width).unwrap_or(u16::MAX),
        ..Row::default()
    }
}
