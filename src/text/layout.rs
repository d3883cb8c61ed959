//! The rows of one block: kept, and extended when its text grows.
//!
//! A text is cut into units (`markdown`) or lines. All but the last are final: they are read and broken once. The
//! work of an update is that of the last unit and of what is new, however long the text is: a unit that grows past
//! a limit is cut. While a text grows, its last unit is read as `growing` tells it. It does not colour, fold or scroll.

use std::borrow::Cow;

use super::fence::Fence;
use super::growing::{self, View};
use super::lines::{Line, Piece, Shape};
use super::markdown::{self, UnitKind};
use super::table::Columns;
use super::width::boundary;
use super::wrap::wrap;
use super::{Role, Row, json, sanitise_line};

/// How much of a text is cut into units at once, in bytes.
const WINDOW: usize = 256 * 1024;
/// A paragraph, or a line of code, that is longer is laid out in parts, in bytes.
const LONGEST_PART: usize = 8 * 1024;
/// The same for a list's item, a table, a quotation.
const LONGEST_NESTED: usize = 64 * 1024;
/// Places and bytes that are compared to see whether a text only grew.
const SAMPLES: usize = 16;
const SAMPLE: usize = 16;

/// How a text is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// As markdown.
    #[default]
    Markdown,
    /// As it is, line by line, broken between words.
    Plain,
    /// As code: line by line, broken anywhere.
    Code,
    /// As JSON: the same, and its parts have roles.
    Json,
}

/// The rows of one block at one width.
///
/// The cache's key is revision, width and whether the text grows; its invariant: the first `stable_rows` rows are those of the first
/// `stable` bytes of the source and never change while the source only grows.
#[derive(Debug, Default)]
pub struct BlockRows {
    format: Format,
    revision: Option<u64>,
    width: u16,
    growth: Growth,
    rows: Vec<Row>,
    columns: Columns,
    stable: usize,
    stable_rows: usize,
    fence: Option<Fence>,
    previous: Previous,
    fences: Vec<CodeFence>,
    length: usize,
    samples: Vec<(usize, [u8; SAMPLE])>,
}

/// Whether more text is to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Growth {
    /// The text is all there is.
    #[default]
    Finished,
    /// Its end is being written: of markdown nothing shows there that the next words would take away again.
    Growing,
}

/// A fenced code block of the top level.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CodeFence {
    /// Where its first line begins in the source, in bytes.
    pub start: usize,
    /// Where the line begins that closes it, once that has come.
    pub end: Option<usize>,
    /// The first word behind the fence; empty where there is none.
    pub language: String,
    fence: Fence,
}

impl CodeFence {
    /// A line of the code, without the indentation that the fence itself has.
    #[must_use]
    pub fn content<'a>(&self, line: &'a str) -> &'a str {
        self.fence.content(line)
    }
}

/// What stands above the next unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Previous {
    #[default]
    Nothing,
    Block,
    Item,
    /// The first part of a unit that was cut.
    Part,
}

impl BlockRows {
    /// No rows yet.
    #[must_use]
    pub fn new(format: Format) -> Self {
        Self {
            format,
            ..Self::default()
        }
    }

    /// Brings the rows up to date with a finished text, its revision and a width in columns (2 at least).
    ///
    /// Free when neither revision nor width changed; when the text only grew, the work is that of the new part.
    pub fn update(&mut self, source: &str, revision: u64, width: u16) {
        self.update_to(source, revision, width, Growth::Finished);
    }

    /// The same for a text that may still grow.
    pub fn update_to(&mut self, source: &str, revision: u64, width: u16, growth: Growth) {
        if self.revision == Some(revision) && self.width == width && self.growth == growth {
            return;
        }
        self.growth = growth;
        if self.width != width || !self.only_grew(source) {
            *self = Self {
                format: self.format,
                width,
                growth,
                ..Self::default()
            };
        }
        self.revision = Some(revision);
        self.rows.truncate(self.stable_rows);
        match self.format {
            Format::Markdown => self.markdown(&with_plain_breaks(source, self.stable)),
            Format::Plain | Format::Code | Format::Json => self.lines(source),
        }
        self.remember(source);
    }

    /// The rows, from the top.
    #[must_use]
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// The code blocks, from the top.
    #[must_use]
    pub fn fences(&self) -> &[CodeFence] {
        &self.fences
    }

    /// How many rows there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is no row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// How many rows from the top are final while the text only grows.
    #[must_use]
    pub fn stable_len(&self) -> usize {
        self.stable_rows
    }

    /// The row that holds this byte of the source: the last one that begins at or before it.
    #[must_use]
    pub fn row_at(&self, offset: usize) -> usize {
        self.rows
            .partition_point(|row| row.source_offset <= offset)
            .saturating_sub(1)
    }

    /// Whether the text begins with the one before, as far as samples tell.
    fn only_grew(&self, source: &str) -> bool {
        source.len() >= self.length
            && source.is_char_boundary(self.stable)
            && self
                .samples
                .iter()
                .all(|(at, bytes)| source.as_bytes().get(*at..at + SAMPLE) == Some(&bytes[..]))
    }

    fn remember(&mut self, source: &str) {
        let bytes = source.as_bytes();
        self.length = bytes.len();
        self.samples.clear();
        let last = bytes.len().saturating_sub(SAMPLE);
        for index in 0..=SAMPLES {
            let at = last / SAMPLES * index;
            let at = if index == SAMPLES { last } else { at };
            if let Some(sample) = bytes.get(at..at + SAMPLE).and_then(|sample| sample.try_into().ok()) {
                self.samples.push((at, sample));
            } else {
                // Too short to sample: a short text is laid out anew.
                self.samples.clear();
                self.length = usize::MAX;
                return;
            }
        }
    }

    fn markdown(&mut self, source: &str) {
        loop {
            if let Some(fence) = self.fence {
                self.fence_lines(source, fence);
                if self.fence.is_some() {
                    return;
                }
            }
            if !self.settle(source) {
                return;
            }
        }
    }

    /// Lays out the units of the next window and makes all but the last final; false when there is no more to do.
    fn settle(&mut self, source: &str) -> bool {
        let (window, whole) = window(&source[self.stable..]);
        let base = self.stable;
        let units = markdown::units(window);
        // The unit that may still change: the last whose first line is complete, so that it cannot turn out to
        // belong to the one before.
        let open = units
            .iter()
            .rposition(|unit| {
                let rest = &window[unit.start..];
                next_line(rest).is_some_and(|(_, next)| {
                    // Right below a paragraph the head of a table is one only while the line below it stays so.
                    unit.kind != UnitKind::Block
                        || unit.start == 0
                        || markdown::blank_before(window, unit.start)
                        || has_break(&rest[next..])
                })
            })
            .unwrap_or(0);
        for (index, unit) in units.iter().enumerate().take(open) {
            let end = units.get(index + 1).map_or(window.len(), |next| next.start);
            if base + unit.start < self.stable {
                // The fence before was read differently: look again from its end.
                return true;
            }
            if self.cut(source, base + unit.start, base + end, unit.kind) {
                return true;
            }
            if unit.kind == UnitKind::Fence && self.open_fence(source, base + unit.start) {
                if let Some(fence) = self.fence {
                    self.fence_lines(source, fence);
                }
                if self.fence.is_some() {
                    return false;
                }
                continue;
            }
            self.unit(source, base + unit.start, base + end, unit.kind);
            self.make_stable(base + end);
        }
        let Some(unit) = units.get(open) else {
            if window.len() > LONGEST_PART {
                let end = base + line_end_before(window, window.len());
                self.make_stable(end);
                return end > base;
            }
            return false;
        };
        let start = base + unit.start;
        if start < self.stable {
            return true;
        }
        if unit.kind == UnitKind::Fence && has_break(&window[unit.start..]) && self.open_fence(source, start) {
            return true;
        }
        let end = units.get(open + 1).map_or(window.len(), |next| next.start);
        if self.cut(source, start, base + end, unit.kind) {
            return true;
        }
        if !whole {
            self.unit(source, start, base + end, unit.kind);
            self.make_stable(base + end);
            return true;
        }
        // The tail: shown, not final.
        let previous = self.previous;
        match growing::view(&window[unit.start..]).filter(|_| self.growth == Growth::Growing) {
            Some(view) => self.view(&view, source, start),
            None => {
                for (index, unit) in units.iter().enumerate().skip(open) {
                    let next = units.get(index + 1).map(|next| next.start);
                    let (start, end) = (base + unit.start, base + next.unwrap_or(window.len()));
                    let growth = if next.is_none() { self.growth } else { Growth::Finished };
                    self.grown_unit(source, start, end, unit.kind, growth);
                }
            }
        }
        self.previous = previous;
        false
    }

    /// Cuts a unit that is too long to be laid out with every token; true when it did.
    fn cut(&mut self, source: &str, start: usize, end: usize, kind: UnitKind) -> bool {
        let unit = &source[start..end];
        let nested = kind == UnitKind::Item || unit.starts_with(['|', '>', ' ', '<']);
        let longest = if nested { LONGEST_NESTED } else { LONGEST_PART };
        if unit.len() <= longest || kind == UnitKind::Fence {
            return false;
        }
        let end = start + line_end_before(unit, longest);
        self.unit(source, start, end, UnitKind::Block);
        self.make_stable(end);
        self.previous = Previous::Part;
        true
    }

    fn make_stable(&mut self, end: usize) {
        self.stable = end;
        self.stable_rows = self.rows.len();
    }

    fn unit(&mut self, source: &str, start: usize, end: usize, kind: UnitKind) {
        self.grown_unit(source, start, end, kind, Growth::Finished);
    }

    fn grown_unit(&mut self, source: &str, start: usize, end: usize, kind: UnitKind, growth: Growth) {
        self.separate((source, start), start, kind);
        self.push_all(markdown::read(&source[start..end], start, None), end, growth);
    }

    fn push_all(&mut self, mut lines: Vec<Line>, end: usize, growth: Growth) {
        if let Some(line) = lines.last_mut() {
            line.is_open = growth == Growth::Growing;
        }
        for line in lines {
            self.push(&line, end);
        }
    }

    /// The view of what is to come after the final rows; it begins at this byte of the source.
    fn view(&mut self, view: &View<'_>, source: &str, base: usize) {
        let units = markdown::units(&view.text);
        let last = source.len();
        for (index, unit) in units.iter().enumerate() {
            let end = units.get(index + 1).map_or(view.text.len(), |next| next.start);
            let start = unit.start;
            let open = view.open.from(start);
            let lines = markdown::read(&view.text[start..end], base + start, Some(&open));
            if lines.is_empty() {
                continue;
            }
            let place = if start == 0 {
                (source, base)
            } else {
                (&*view.text, start)
            };
            self.separate(place, base + start, unit.kind);
            let growth = if index + 1 == units.len() {
                self.growth
            } else {
                Growth::Finished
            };
            self.push_all(lines, (base + end).min(last), growth);
        }
    }

    /// A blank row between two units; between two items only where the text has one at this place.
    fn separate(&mut self, (text, at): (&str, usize), offset: usize, kind: UnitKind) {
        let current = if kind == UnitKind::Item {
            Previous::Item
        } else {
            Previous::Block
        };
        let blank = match (self.previous, current) {
            (Previous::Nothing | Previous::Part, _) => false,
            (Previous::Item, Previous::Item) => markdown::blank_before(text, at),
            _ => true,
        };
        if blank {
            self.rows.push(Row {
                source_offset: offset,
                ..Row::default()
            });
        }
        self.previous = current;
    }

    /// Breaks a line into rows. `end` is where its source ends: signs may be longer than what they stand for, and
    /// no row begins beyond it.
    fn push(&mut self, line: &Line, end: usize) {
        let from = self.rows.len();
        wrap(line, usize::from(self.width), &mut self.columns, &mut self.rows);
        let mut least = from.checked_sub(1).map_or(0, |last| self.rows[last].source_offset);
        for row in &mut self.rows[from..] {
            row.source_offset = row.source_offset.min(end).max(least);
            least = row.source_offset;
        }
    }

    /// Begins a fenced code block at a complete line; false if it is none.
    fn open_fence(&mut self, source: &str, start: usize) -> bool {
        let Some((line, next)) = next_line(&source[start..]) else {
            return false;
        };
        let Some((fence, info)) = Fence::open(line) else {
            return false;
        };
        self.separate((source, start), start, UnitKind::Fence);
        if !info.is_empty() {
            let piece = piece(info, Role::CodeInfo, start);
            self.push(&plain_line(Shape::Words(vec![piece]), start), start + next);
        }
        self.make_stable(start + next);
        self.fences.push(CodeFence {
            start: start + next,
            end: None,
            language: language(info),
            fence,
        });
        self.fence = Some(fence);
        true
    }

    fn fence_lines(&mut self, source: &str, fence: Fence) {
        loop {
            let rest = &source[self.stable..];
            let (line, next) = match next_part(rest) {
                Some(part) => part,
                None => break,
            };
            if fence.is_closed_by(line) && has_break(&rest[..next]) {
                self.fence = None;
                if let Some(fence) = self.fences.last_mut() {
                    fence.end = Some(self.stable);
                }
                self.make_stable(self.stable + next);
                return;
            }
            self.code_line(fence.content(line), self.stable);
            self.make_stable(self.stable + next);
        }
        let rest = source[self.stable..].trim_end_matches('\r');
        // What may become the closing line is not shown as code.
        let held = self.growth == Growth::Growing && growing::is_closing(rest.trim_matches([' ', '\t']));
        if !rest.is_empty() && !held && !fence.is_closed_by(rest) {
            self.code_line(fence.content(rest), self.stable);
        }
    }

    fn code_line(&mut self, line: &str, offset: usize) {
        let pieces = if line.is_empty() {
            Vec::new()
        } else {
            vec![piece(line, Role::CodeBlock, offset)]
        };
        self.push(&plain_line(Shape::Code(pieces), offset), offset + line.len());
    }

    fn lines(&mut self, source: &str) {
        while let Some((line, next)) = next_part(&source[self.stable..]) {
            self.text_line(line, self.stable, Growth::Finished);
            self.make_stable(self.stable + next);
        }
        let rest = source[self.stable..].trim_end_matches('\r');
        if !rest.is_empty() {
            self.text_line(rest, self.stable, self.growth);
        }
    }

    fn text_line(&mut self, line: &str, offset: usize, growth: Growth) {
        match self.format {
            Format::Code => return self.code_line(line, offset),
            Format::Json => {
                let pieces = json::roles(line)
                    .into_iter()
                    .map(|(range, role)| piece(&line[range.clone()], role, offset + range.start))
                    .collect();
                return self.push(&plain_line(Shape::Code(pieces), offset), offset + line.len());
            }
            Format::Markdown | Format::Plain => {}
        }
        let pieces = if line.is_empty() {
            Vec::new()
        } else {
            vec![piece(line, Role::Plain, offset)]
        };
        self.push_all(
            vec![plain_line(Shape::Words(pieces), offset)],
            offset + line.len(),
            growth,
        );
    }
}

fn piece(text: &str, role: Role, offset: usize) -> Piece {
    Piece {
        text: sanitise_line(text).into_owned(),
        role,
        offset,
        link: None,
    }
}

/// The first word behind a fence: `rust`, also of `rust,ignore` and `{.rust}`.
fn language(info: &str) -> String {
    let word = info.trim_start_matches(['{', '.']);
    let end = word.find([' ', ',', '}', '{', ':', '\t']).unwrap_or(word.len());
    word[..end].chars().take(40).collect()
}

fn plain_line(shape: Shape, offset: usize) -> Line {
    Line {
        first: Vec::new(),
        rest: Vec::new(),
        shape,
        offset,
        is_open: false,
    }
}

/// The text, from a byte on, with every `\r` that is a line break of its own as `\n`: the parser takes such a break
/// for one in some places and not in others, and drops whole paragraphs over it. Offsets stay what they are. A `\r` at
/// the very end may be half of a break, and is left out until that is known.
fn with_plain_breaks(source: &str, from: usize) -> Cow<'_, str> {
    let source = source.strip_suffix('\r').unwrap_or(source);
    let tail = source.get(from..).unwrap_or_default();
    let is_lone = |at: &usize| tail.as_bytes().get(at + 1) != Some(&b'\n');
    let Some(first) = memchr::memchr_iter(b'\r', tail.as_bytes()).find(is_lone) else {
        return Cow::Borrowed(source);
    };
    let (whole, rest) = source.split_at(from + first);
    let mut text = String::with_capacity(source.len());
    text.push_str(whole);
    let mut rest = rest.chars().peekable();
    while let Some(character) = rest.next() {
        let lone = character == '\r' && rest.peek() != Some(&'\n');
        text.push(if lone { '\n' } else { character });
    }
    Cow::Owned(text)
}

/// Whether the first line of a text is complete.
fn has_break(text: &str) -> bool {
    next_line(text).is_some()
}

/// The first line without its break, and where the next begins; `None` while it is not complete. A `\r` at the very
/// end may be half of a break.
fn next_line(text: &str) -> Option<(&str, usize)> {
    let at = memchr::memchr2(b'\n', b'\r', text.as_bytes())?;
    match (text.as_bytes()[at], text.as_bytes().get(at + 1)) {
        (b'\r', None) => None,
        (b'\r', Some(b'\n')) => Some((&text[..at], at + 2)),
        _ => Some((&text[..at], at + 1)),
    }
}

/// The same; a line that is too long comes in parts.
fn next_part(text: &str) -> Option<(&str, usize)> {
    let near = &text[..boundary(text, LONGEST_PART + 2)];
    match next_line(near) {
        Some(line) => Some(line),
        None if text.len() > LONGEST_PART + 2 => {
            let end = boundary(text, LONGEST_PART);
            Some((&text[..end], end))
        }
        None => None,
    }
}

/// The part of a text that is looked at at once, and whether that is all of it.
fn window(text: &str) -> (&str, bool) {
    if text.len() <= WINDOW {
        return (text, true);
    }
    (&text[..line_end_before(text, WINDOW)], false)
}

/// The end of the last line (else word, else character) within the first `most` bytes.
fn line_end_before(text: &str, most: usize) -> usize {
    let head = &text[..boundary(text, most)];
    let end = head.rfind('\n').or_else(|| head.rfind(' ')).map_or(0, |at| at + 1);
    if end > 0 { end } else { head.len() }
}
