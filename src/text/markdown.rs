//! Markdown to logical lines: one unit (a block of the top level, or one item of a list) at a time.
//!
//! How a unit reads depends on its own text alone, so that a finished unit is never read again. That leaves
//! reference links (`[text][name]`) as they stand; numbers of lists are those of the source.

use std::ops::Range;

use pulldown_cmark::{CodeBlockKind, Event, HeadingLevel, Options, Parser, Tag, TagEnd};

use super::growing::{Open, Style};
use super::lines::{ColumnAlignment, Line, Piece, Shape, Table};
use super::{LinkId, Role, sanitise_line};

/// Where a unit begins and what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unit {
    /// The beginning of its first line, in bytes.
    pub start: usize,
    /// What it is.
    pub kind: UnitKind,
}

/// What a unit is, as far as laying out needs to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum UnitKind {
    /// An item of a list of the top level.
    Item,
    /// A fenced code block of the top level.
    Fence,
    /// Any other block.
    Block,
}

/// What is read beyond CommonMark.
pub(super) fn options() -> Options {
    Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_TASKLISTS
}

/// The units of a text, in order.
pub(super) fn units(text: &str) -> Vec<Unit> {
    let mut units: Vec<Unit> = Vec::new();
    let mut depth = 0usize;
    let mut in_list = false;
    let mut covered = 0;
    for (event, range) in Parser::new_ext(text, options()).into_offset_iter() {
        let kind = match &event {
            Event::Start(Tag::List(_)) if depth == 0 => {
                in_list = true;
                None
            }
            Event::Start(Tag::Item) if depth == 1 && in_list => Some(UnitKind::Item),
            Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(_))) if depth == 0 => Some(UnitKind::Fence),
            Event::End(_) => None,
            _ if depth == 0 => Some(UnitKind::Block),
            _ => None,
        };
        if let Some(kind) = kind {
            let mut start = line_start(text, range.start);
            let mut kind = kind;
            // Definitions of links give no event. They belong to the paragraph that they stand in, and that decides
            // how the next line reads.
            let between = &text[covered.min(start)..start];
            let blank = between.len() - between.trim_start().len();
            if blank < between.len() {
                start = line_start(text, covered.min(start) + blank);
                kind = UnitKind::Block;
            }
            covered = range.end;
            let deep = text[start..]
                .bytes()
                .take_while(|byte| matches!(byte, b' ' | b'\t'))
                .count()
                > 3
                || text[start..].starts_with('\t');
            let same = units.last().is_some_and(|last| last.start >= start);
            // An item that is indented like code cannot be read on its own.
            if !(same || kind == UnitKind::Item && deep && !units.is_empty()) {
                units.push(Unit { start, kind });
            }
        }
        match event {
            Event::Start(_) => depth += 1,
            Event::End(_) => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    in_list = false;
                }
            }
            _ => {}
        }
    }
    units
}

/// The beginning of the line that holds a byte; any line break of the source counts.
pub(super) fn line_start(text: &str, at: usize) -> usize {
    text.as_bytes()[..at]
        .iter()
        .rposition(|byte| matches!(byte, b'\n' | b'\r'))
        .map_or(0, |at| at + 1)
}

/// Whether the line before the one that holds this byte is blank (a quotation's marks aside).
pub(super) fn blank_before(text: &str, at: usize) -> bool {
    let start = line_start(text, at);
    let before = text[..start].strip_suffix('\n').unwrap_or(&text[..start]);
    let before = before.strip_suffix('\r').unwrap_or(before);
    let line = &before[line_start(before, before.len())..];
    start > 0 && line.bytes().all(|byte| matches!(byte, b' ' | b'\t' | b'>'))
}

/// Reads one unit. `base` is where it begins in the source, in bytes; `open` is what is open at its end.
pub(super) fn read(unit: &str, base: usize, open: Option<&Open>) -> Vec<Line> {
    let mut reader = Reader {
        source: unit,
        base,
        open,
        ..Reader::default()
    };
    for (event, range) in Parser::new_ext(unit, options()).into_offset_iter() {
        reader.event(event, range);
    }
    reader.flush();
    reader.lines
}

/// What stands in front of the lines of a container.
#[derive(Debug)]
struct Container {
    /// In front of its next line only.
    marker: Option<String>,
    /// In front of every line after it.
    rest: String,
    role: Role,
}

#[derive(Debug, Default)]
struct Reader<'a> {
    source: &'a str,
    base: usize,
    lines: Vec<Line>,
    pieces: Vec<Piece>,
    containers: Vec<Container>,
    /// The next number of each list that is open; `None` for bullets.
    lists: Vec<Option<u64>>,
    heading: Option<u8>,
    emphasis: u32,
    strong: u32,
    strike: u32,
    quotes: u32,
    links: Vec<(String, usize)>,
    code: Option<String>,
    code_offset: usize,
    html: bool,
    table: Option<Table>,
    in_head: bool,
    /// Where the present block begins, in bytes of the unit.
    at: usize,
    /// What is open at the end of the unit, when that still grows.
    open: Option<&'a Open>,
}

impl Reader<'_> {
    fn event(&mut self, event: Event<'_>, range: Range<usize>) {
        match event {
            Event::Start(tag) => self.start(tag, range.start),
            Event::End(TagEnd::Table) => self.end_table(range.end),
            Event::End(tag) => self.end(tag, range.start),
            Event::Text(_) if self.opens(&range) => {}
            Event::Text(text) => {
                if let Some(code) = &mut self.code {
                    if code.is_empty() {
                        self.code_offset = range.start;
                    }
                    code.push_str(&text);
                } else {
                    self.text(&text, self.role(), range.start);
                }
            }
            Event::Code(text) => self.text(&text, Role::Code, range.start),
            Event::Html(text) => {
                if let Some(code) = &mut self.code {
                    if code.is_empty() {
                        self.code_offset = range.start;
                    }
                    code.push_str(&text);
                }
            }
            Event::InlineHtml(text) => {
                if self.table.is_none() && matches!(text.as_ref(), "<br>" | "<br/>" | "<br />") {
                    self.flush();
                } else {
                    self.text(&text, self.role(), range.start);
                }
            }
            // A line of the source is not a line of the text: a paragraph fills the width (CommonMark 6.8).
            Event::SoftBreak => {
                if !self.pieces.is_empty() {
                    self.text(" ", self.role(), range.start);
                }
            }
            Event::HardBreak => {
                self.flush();
                self.at = range.end;
            }
            Event::Rule => {
                self.begin(range.start);
                self.push(Shape::Rule, range.start);
            }
            Event::TaskListMarker(done) => {
                let text = if done { "[x] " } else { "[ ] " };
                self.text(text, Role::ListMarker, range.start);
            }
            Event::FootnoteReference(text) | Event::InlineMath(text) | Event::DisplayMath(text) => {
                self.text(&text, self.role(), range.start);
            }
        }
    }

    fn start(&mut self, tag: Tag<'_>, at: usize) {
        match tag {
            Tag::Paragraph => self.begin(at),
            Tag::Heading { level, .. } => {
                self.begin(at);
                self.heading = Some(heading_level(level));
            }
            Tag::BlockQuote(_) => {
                self.begin(at);
                self.quotes += 1;
                self.containers.push(Container {
                    marker: None,
                    rest: "│ ".to_owned(),
                    role: Role::QuoteBar,
                });
            }
            Tag::CodeBlock(kind) => {
                self.begin(at);
                if let CodeBlockKind::Fenced(info) = &kind
                    && !info.trim().is_empty()
                {
                    let piece = self.piece(info.trim(), Role::CodeInfo, at);
                    self.push(Shape::Words(vec![piece]), at);
                }
                self.code = Some(String::new());
                self.code_offset = at;
            }
            Tag::HtmlBlock => {
                self.begin(at);
                self.html = true;
                self.code = Some(String::new());
                self.code_offset = at;
            }
            Tag::List(number) => {
                self.flush();
                self.lists.push(number);
            }
            Tag::Item => {
                self.begin(at);
                let marker = match self.lists.last_mut() {
                    Some(Some(number)) => {
                        let marker = format!("{number}. ");
                        *number = number.saturating_add(1);
                        marker
                    }
                    _ => "• ".to_owned(),
                };
                let rest = " ".repeat(marker.chars().count());
                self.containers.push(Container {
                    marker: Some(marker),
                    rest,
                    role: Role::ListMarker,
                });
            }
            Tag::Table(alignments) => {
                self.begin(at);
                let alignments = alignments.iter().map(ColumnAlignment::from).collect();
                self.table = Some(Table {
                    alignments,
                    rows: Vec::new(),
                    open: None,
                });
            }
            Tag::TableHead | Tag::TableRow => {
                self.in_head = matches!(tag, Tag::TableHead);
                if let Some(table) = &mut self.table {
                    table.rows.push(Vec::new());
                }
            }
            Tag::TableCell => self.pieces.clear(),
            Tag::Emphasis => self.emphasis += 1,
            Tag::Strong => self.strong += 1,
            Tag::Strikethrough => self.strike += 1,
            Tag::Link { dest_url, .. } => self.links.push((dest_url.into_string(), self.pieces.len())),
            Tag::Image { dest_url, .. } => {
                self.text("image: ", Role::Muted, at);
                self.links.push((dest_url.into_string(), self.pieces.len()));
            }
            _ => {}
        }
    }

    fn end(&mut self, tag: TagEnd, at: usize) {
        match tag {
            TagEnd::Paragraph => self.flush(),
            TagEnd::Heading(_) => {
                self.flush();
                self.heading = None;
            }
            TagEnd::BlockQuote(_) => {
                self.flush();
                self.quotes = self.quotes.saturating_sub(1);
                self.containers.pop();
            }
            TagEnd::CodeBlock | TagEnd::HtmlBlock => self.end_code(),
            TagEnd::List(_) => {
                self.flush();
                self.lists.pop();
            }
            TagEnd::Item => {
                self.flush();
                if self
                    .containers
                    .last()
                    .is_some_and(|container| container.marker.is_some())
                {
                    // An item without text is seen too.
                    self.push(Shape::Words(Vec::new()), at);
                }
                self.containers.pop();
            }
            TagEnd::TableHead | TagEnd::TableRow => self.in_head = false,
            TagEnd::TableCell => {
                let cell = std::mem::take(&mut self.pieces);
                if let Some(row) = self.table.as_mut().and_then(|table| table.rows.last_mut()) {
                    row.push(cell);
                }
            }
            TagEnd::Emphasis => self.emphasis = self.emphasis.saturating_sub(1),
            TagEnd::Strong => self.strong = self.strong.saturating_sub(1),
            TagEnd::Strikethrough => self.strike = self.strike.saturating_sub(1),
            TagEnd::Link | TagEnd::Image => {
                if let Some((url, from)) = self.links.pop() {
                    let link = LinkId::of(&url);
                    for piece in self.pieces.iter_mut().skip(from) {
                        piece.link = link;
                    }
                    let shown: String = self.pieces.iter().skip(from).map(|piece| piece.text.as_str()).collect();
                    let mail = url.strip_prefix("mailto:").unwrap_or(&url);
                    // Where a link leads is always to be seen.
                    if !url.is_empty() && shown != url && shown != mail {
                        self.text(&format!(" ({url})"), Role::LinkTarget, at);
                    }
                }
            }
            _ => {}
        }
    }

    fn end_table(&mut self, end: usize) {
        if let Some(mut table) = self.table.take() {
            table.open = self.open.filter(|open| end >= open.end).and_then(|open| open.table);
            self.push(Shape::Table(table), self.at);
        }
        self.pieces.clear();
    }

    /// Whether a text is a mark that counts as closed at the end, or stands behind the end: neither is shown.
    fn opens(&mut self, range: &Range<usize>) -> bool {
        let Some(open) = self.open.filter(|_| self.code.is_none()) else {
            return false;
        };
        let after = open.marks.partition_point(|mark| mark.range.start <= range.start);
        let mark = open.marks[..after].last();
        let Some(mark) = mark.filter(|mark| range.end <= mark.range.end) else {
            return range.start >= open.end;
        };
        if mark.range.start == range.start {
            self.emphasis += u32::from(matches!(mark.style, Style::Emphasis | Style::StrongEmphasis));
            self.strong += u32::from(matches!(mark.style, Style::Strong | Style::StrongEmphasis));
            self.strike += u32::from(mark.style == Style::Strike);
        }
        true
    }

    /// A block begins: a blank row in front of it, where the source has one within the unit.
    fn begin(&mut self, at: usize) {
        self.flush();
        self.at = at;
        let fresh = self
            .containers
            .last()
            .is_some_and(|container| container.marker.is_some());
        if !self.lines.is_empty() && !fresh && blank_before(self.source, at) {
            self.push(Shape::Words(Vec::new()), at);
        }
    }

    fn end_code(&mut self) {
        let Some(code) = self.code.take() else { return };
        let html = std::mem::take(&mut self.html);
        let mut offset = self.code_offset;
        for line in code.lines() {
            let role = if html { self.role() } else { Role::CodeBlock };
            let pieces = if line.is_empty() {
                Vec::new()
            } else {
                vec![self.piece(line, role, offset)]
            };
            let shape = if html {
                Shape::Words(pieces)
            } else {
                Shape::Code(pieces)
            };
            self.push(shape, offset);
            // Where each line begins in the source, unless it is indented there: near enough for an anchor.
            let rest = &self.source[offset.min(self.source.len())..];
            offset += rest.find('\n').map_or(rest.len(), |at| at + 1);
        }
    }

    fn role(&self) -> Role {
        match self.heading {
            Some(level) => Role::Heading(level),
            None if !self.links.is_empty() => Role::Link,
            None if self.strike > 0 => Role::Strike,
            None if self.strong > 0 && self.emphasis > 0 => Role::StrongEmphasis,
            None if self.strong > 0 => Role::Strong,
            None if self.emphasis > 0 => Role::Emphasis,
            None if self.in_head => Role::TableHeader,
            None if self.quotes > 0 => Role::Quote,
            None => Role::Plain,
        }
    }

    fn piece(&self, text: &str, role: Role, at: usize) -> Piece {
        Piece {
            text: sanitise_line(text).into_owned(),
            role,
            offset: self.base + at,
            link: None,
        }
    }

    fn text(&mut self, text: &str, role: Role, at: usize) {
        if self.pieces.is_empty() && self.table.is_none() {
            self.at = at;
        }
        let piece = self.piece(text, role, at);
        self.pieces.push(piece);
    }

    fn flush(&mut self) {
        if !self.pieces.is_empty() && self.table.is_none() {
            let pieces = std::mem::take(&mut self.pieces);
            self.push(Shape::Words(pieces), self.at);
        }
    }

    fn push(&mut self, shape: Shape, at: usize) {
        let offset = self.base + at;
        let mut first = Vec::new();
        let mut rest = Vec::new();
        for container in &mut self.containers {
            let marker = container.marker.take();
            let role = if marker.is_some() || container.role == Role::QuoteBar {
                container.role
            } else {
                Role::Plain
            };
            let text = marker.unwrap_or_else(|| container.rest.clone());
            let link = None;
            first.push(Piece {
                text,
                role,
                offset,
                link,
            });
            let role = if container.role == Role::QuoteBar {
                Role::QuoteBar
            } else {
                Role::Plain
            };
            rest.push(Piece {
                text: container.rest.clone(),
                role,
                offset,
                link,
            });
        }
        self.lines.push(Line {
            first,
            rest,
            shape,
            offset,
            is_open: false,
        });
    }
}

fn heading_level(level: HeadingLevel) -> u8 {
    match level {
        HeadingLevel::H1 => 1,
        HeadingLevel::H2 => 2,
        HeadingLevel::H3 => 3,
        HeadingLevel::H4 => 4,
        HeadingLevel::H5 => 5,
        HeadingLevel::H6 => 6,
    }
}
